//! The genes of a cohort: which of the expression table's can be used, what gene models say of them, their values.
//!
//! Imports `genome` and `reference`. Invariant: genes come by chromosome, start and name, whatever the file's order.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::RangeInclusive;
use std::path::Path;

use super::expression_bed::{ExpressionRow, ExpressionTable};
use super::genotypes::Spans;
use super::transform::{NormalScores, Transform};
use super::{CohortError, CohortGene};
use crate::genome::{Chromosome, Gene, GeneId};
use crate::reference::annotation;
use crate::reference::source::{Source, SourceError};

/// Which genes were asked for; all where nothing is given.
#[derive(Clone, Copy, Default)]
pub(super) struct Wanted<'a> {
    pub(super) names: Option<&'a [String]>,
    pub(super) chromosomes: Option<&'a [Chromosome]>,
}

/// Chromosomes of which not everybody has two copies.
const NOT_TWO_COPIES: [&str; 3] = ["chrX", "chrY", "chrM"];

/// Takes the genes that were asked for, with what the gene models know of them; their values are still the table's.
pub(super) fn select(
    table: ExpressionTable,
    wanted: Wanted<'_>,
    gene_models: Option<&Path>,
    notes: &mut Vec<String>,
) -> Result<Vec<CohortGene>, CohortError> {
    let models = gene_models.map(read_models).transpose()?;
    let names = wanted.names.map(|names| names.iter().map(String::as_str).collect::<HashSet<&str>>());
    let mut found: HashSet<String> = HashSet::new();
    let (mut haploid, mut unknown, mut genes) = (0, 0, Vec::new());
    for row in table.genes {
        if wanted.chromosomes.is_some_and(|wanted| !wanted.contains(&row.chromosome)) {
            continue;
        }
        let model = models.as_ref().map(|models| models.get(&row.id));
        let gene = gene(row, model.flatten());
        if let Some(names) = &names {
            let symbol = gene.symbol.as_ref().map_or("", |symbol| symbol.as_str());
            let known = [&*gene.name, gene.id.as_str(), symbol].into_iter().find(|name| names.contains(name));
            let Some(known) = known else { continue };
            found.insert(known.to_owned());
        }
        if NOT_TWO_COPIES.contains(&gene.chromosome.as_str()) {
            haploid += 1;
            continue;
        }
        unknown += usize::from(model == Some(None));
        genes.push(gene);
    }
    let mut note = |count: usize, what: &str| {
        if count > 0 {
            notes.push(format!("{count} {what}."));
        }
    };
    note(haploid, "genes are on chrX, chrY or chrM and were left out: not everybody has two copies of them");
    note(unknown, "genes are not in the gene models: their strand, symbol and biotype are not known");
    let missing = names.map(|names| names.into_iter().filter(|name| !found.contains(*name)).collect());
    let mut missing: Vec<&str> = missing.unwrap_or_default();
    missing.sort_unstable();
    if genes.is_empty() {
        let why = if missing.is_empty() {
            "none is on a chromosome that was asked for and that everybody has two copies of".to_owned()
        } else {
            format!("it has none of {}", missing.join(", "))
        };
        return Err(CohortError::NoGenes(why));
    }
    if !missing.is_empty() {
        notes.push(format!("The expression table does not have these genes: {}.", missing.join(", ")));
    }
    genes.sort_by(|a, b| (&a.chromosome, a.start, &a.name).cmp(&(&b.chromosome, b.start, &b.name)));
    Ok(genes)
}

fn read_models(path: &Path) -> Result<HashMap<GeneId, Gene>, SourceError> {
    let annotation = annotation::read(Source::open(path)?)?;
    Ok(annotation.genes.into_iter().map(|gene| (gene.id.clone(), gene)).collect())
}

fn gene(row: ExpressionRow, model: Option<&Gene>) -> CohortGene {
    CohortGene {
        strand: row.strand.or_else(|| model.and_then(|model| model.locus.as_ref()).map(|locus| locus.strand)),
        symbol: model.map(|model| model.symbol.clone()),
        biotype: model.and_then(|model| model.biotype.clone()),
        name: row.name,
        id: row.id,
        version: row.version,
        chromosome: row.chromosome,
        start: row.start,
        end: row.end,
        expression: row.values,
    }
}

/// Reduces the values to those of the people at `places` and transforms them; genes with a value missing or the same
/// for everybody are left out and counted.
pub(super) fn take_people(
    genes: &mut Vec<CohortGene>,
    places: &[usize],
    transform: Transform,
    notes: &mut Vec<String>,
) -> Result<(), CohortError> {
    let scores = NormalScores::new(places.len());
    let (mut incomplete, mut constant) = (0, 0);
    genes.retain_mut(|gene| {
        gene.expression = places.iter().map(|place| gene.expression[*place]).collect();
        if gene.expression.iter().any(|value| value.is_nan()) {
            incomplete += 1;
            return false;
        }
        let (least, most) =
            gene.expression.iter().fold((f64::MAX, f64::MIN), |(a, b), value| (a.min(*value), b.max(*value)));
        if least >= most {
            constant += 1;
            return false;
        }
        if transform == Transform::InverseNormal {
            scores.apply(&mut gene.expression);
        }
        true
    });
    if genes.is_empty() {
        let why = format!("{incomplete} have missing values, {constant} are the same for everybody");
        return Err(CohortError::NoGenes(why));
    }
    for (count, why) in [(incomplete, "have missing values"), (constant, "have the same value for everybody")] {
        if count > 0 {
            notes.push(format!("{count} genes {why}; they were left out."));
        }
    }
    Ok(())
}

/// Returns the bases within the window of some gene, merged.
pub(super) fn spans(genes: &[CohortGene], window_bp: u32) -> Spans {
    let mut spans: BTreeMap<&Chromosome, Vec<(u32, u32)>> = BTreeMap::new();
    for gene in genes {
        let (first, last) = gene.body();
        let span = (first.saturating_sub(window_bp), last.saturating_add(window_bp));
        spans.entry(&gene.chromosome).or_default().push(span);
    }
    spans.into_iter().map(|(chromosome, spans)| (chromosome.clone(), merged(spans))).collect()
}

fn merged(mut spans: Vec<(u32, u32)>) -> Vec<RangeInclusive<u32>> {
    spans.sort_unstable();
    let mut merged: Vec<(u32, u32)> = Vec::new();
    for (from, to) in spans {
        match merged.last_mut() {
            Some(last) if from <= last.1 => last.1 = last.1.max(to),
            _ => merged.push((from, to)),
        }
    }
    merged.into_iter().map(|(from, to)| from..=to).collect()
}
