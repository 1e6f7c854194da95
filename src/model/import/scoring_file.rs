//! Scoring files of the PGS Catalog (format 2.0, harmonised or not): one score is one gene of the model.
//!
//! A row without its other allele is left out: the effect allele alone does not tell strand or variant. So are rows
//! whose weight is not one of the dosage: dominant, recessive, haplotypes, interactions.

use super::draft::{Draft, Row};
use super::table::Table;
use super::{Format, ImportError};
use crate::genome::Assembly;
use crate::reference::source::Source;

/// Reads a scoring file; `stem` names the score where the file does not.
///
/// # Errors
/// The file cannot be read, or columns are missing.
pub fn read(source: Source, stem: &str) -> Result<Draft, ImportError> {
    let is_header = |words: &[&str]| words.contains(&"effect_allele") && words.contains(&"effect_weight");
    let table = Table::open(source, is_header)?;
    let [effect, weight] = table.require(["effect_allele", "effect_weight"])?;
    let said = |key: &str| {
        let pairs = table.comments.iter().filter_map(|line| line.split_once('='));
        pairs.into_iter().find(|(name, _)| name.trim().eq_ignore_ascii_case(key)).map(|(_, value)| value.trim())
    };
    let score = said("pgs_id").filter(|id| !id.is_empty() && !id.contains(char::is_whitespace)).unwrap_or(stem);
    let score: String = score.chars().map(|c| if c.is_whitespace() { '_' } else { c }).collect();
    let symbol = said("pgs_name").map(str::to_owned);
    let assembly = |key: &str| said(key).filter(|name| *name != "NR").and_then(|name| Assembly::parse(name).ok());
    let mut draft = Draft::new(Format::ScoringFile, false);
    let harmonised = (table.find(&["hm_chr"]), table.find(&["hm_pos"]));
    let own = (table.find(&["chr_name"]), table.find(&["chr_position"]));
    let (chromosome, position) = if let (Some(chromosome), Some(position)) = harmonised {
        draft.assembly = assembly("HmPOS_build").or_else(|| assembly("genome_build"));
        (Some(chromosome), Some(position))
    } else {
        draft.assembly = assembly("genome_build");
        own
    };
    let id = [table.find(&["hm_rsID"]), table.find(&["rsID", "variant_id"])];
    let other = [table.find(&["other_allele", "reference_allele"]), table.find(&["hm_inferOtherAllele"])];
    let frequency = table.find(&["allelefrequency_effect"]);
    let odd = ["is_haplotype", "is_interaction", "is_dominant", "is_recessive", "is_diplotype"]
        .map(|name| table.find(&[name]));
    table.each(|row| {
        if odd.iter().any(|column| row.maybe(*column).is_some_and(|text| text.eq_ignore_ascii_case("true"))) {
            draft.leave_out("the weight is not one of a variant's dosage");
            return Ok(());
        }
        let Some(other) = other.iter().find_map(|column| row.maybe(*column)) else {
            draft.leave_out("the other allele is not given");
            return Ok(());
        };
        draft.add(Row {
            gene: &score,
            id: id.iter().find_map(|column| row.maybe(*column)).unwrap_or_default(),
            place: chromosome.zip(position).map(|(chromosome, position)| (row.text(chromosome), row.text(position))),
            other,
            effect: row.text(effect),
            weight: row.number(weight, "effect_weight")?,
            frequency: frequency.map(|index| row.number(index, "allelefrequency_effect")).transpose()?.flatten(),
        })
    })?;
    draft.describe(&score, symbol.as_deref(), None, None);
    Ok(draft)
}
