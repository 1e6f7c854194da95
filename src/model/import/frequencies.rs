//! Allele frequencies for a model's rows: PLINK 2's `.afreq` or PLINK 1's `.frq`.

use std::collections::HashMap;

use super::ImportError;
use super::draft::Built;
use super::table::{Fields, Table};
use crate::genome::{Allele, Chromosome, PlacedName, Position, VariantId};
use crate::model::expression::GenotypeModel;
use crate::reference::source::Source;

/// Where a table has its columns; `counted` is the allele that the frequency is of.
struct Columns {
    id: usize,
    chromosome: Option<usize>,
    position: Option<usize>,
    counted: usize,
    other: usize,
    frequency: usize,
}

/// Fills in the frequency of the effect allele of every row that the file has, by identifier or by place, with the same
/// two alleles; returns how many rows that is.
///
/// # Errors
/// The file cannot be read, or columns are missing.
pub fn fill(built: &mut Built, source: Source) -> Result<usize, ImportError> {
    let is_header = |words: &[&str]| words.contains(&"ALT_FREQS") || words.contains(&"MAF");
    let table = Table::open(source, is_header)?;
    let columns = columns(&table)?;
    let (mut by_id, mut by_place) = (HashMap::<VariantId, Vec<usize>>::new(), HashMap::<_, Vec<usize>>::new());
    for (index, row) in built.model.variants().rows.iter().enumerate() {
        if let Some(id) = &row.id {
            by_id.entry(id.clone()).or_default().push(index);
        }
        if let Some(place) = &row.place {
            by_place.entry(place.clone()).or_default().push(index);
        }
    }
    let mut frequencies: HashMap<usize, f32> = HashMap::new();
    let rows = &built.model.variants().rows;
    table.each(|fields| {
        let frequency = fields.text(columns.frequency).parse::<f64>().ok();
        let alleles =
            Allele::parse(fields.text(columns.counted)).ok().zip(Allele::parse(fields.text(columns.other)).ok());
        // A record of several alternative alleles has several frequencies in one field: no number, no use.
        let (Some(frequency), Some((counted, other))) = (frequency.filter(|x| (0.0..=1.0).contains(x)), alleles) else {
            return Ok(());
        };
        let by_id = VariantId::parse(fields.text(columns.id)).and_then(|id| by_id.get(&id));
        let by_place = place(fields, &columns).and_then(|place| by_place.get(&place));
        for index in by_id.into_iter().chain(by_place).flatten() {
            let Some(row) = rows.get(*index) else { continue };
            if (&row.effect, &row.other) == (&counted, &other) {
                frequencies.insert(*index, frequency as f32);
            } else if (&row.other, &row.effect) == (&counted, &other) {
                frequencies.insert(*index, (1.0 - frequency) as f32);
            }
        }
        Ok(())
    })?;
    let found = frequencies.len();
    built.model = super::extras::rebuild(&built.model, |_, table| {
        for (index, frequency) in frequencies {
            if let Some(row) = table.rows.get_mut(index) {
                row.frequency = Some(frequency);
            }
        }
    })?;
    built.notes.push(format!("frequencies were given for {found} of {} weights", built.model.variants().rows.len()));
    Ok(found)
}

fn columns(table: &Table) -> Result<Columns, ImportError> {
    if table.find(&["ALT_FREQS"]).is_some() {
        let [id, other, counted, frequency] = table.require(["ID", "REF", "ALT", "ALT_FREQS"])?;
        let (chromosome, position) = (table.find(&["CHROM"]), table.find(&["POS"]));
        return Ok(Columns { id, chromosome, position, counted, other, frequency });
    }
    let [id, counted, other, frequency] = table.require(["SNP", "A1", "A2", "MAF"])?;
    Ok(Columns { id, chromosome: None, position: None, counted, other, frequency })
}

fn place(fields: &Fields<'_>, columns: &Columns) -> Option<(Chromosome, Position)> {
    let written = columns.chromosome.zip(columns.position).and_then(|(chromosome, position)| {
        Some((Chromosome::parse(fields.text(chromosome)).ok()?, Position::parse(fields.text(position)).ok()?))
    });
    written.or_else(|| PlacedName::parse(fields.text(columns.id)).map(|name| (name.chromosome, name.position)))
}
