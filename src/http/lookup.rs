//! Finding what a request names: genes by identifier or symbol, tissues, and the nearest names of what is unknown.

use super::problem::{Kind, Problem};
use super::state::LoadedDataset;
use crate::genome::{GeneId, Region};
use crate::reference::{GeneIndex, Reference};

/// How many names are suggested.
const SUGGESTIONS: usize = 5;
/// Shorter words are no identifiers of a genome, but symbols.
const SHORTEST_IDENTIFIER: usize = 9;
/// Longer words are not compared: nothing in a dataset is near them.
const LONGEST_WORD: usize = 40;

/// Finds a gene by identifier, with or without version, or by symbol, both in either case.
///
/// # Errors
/// No gene or several genes have the name.
pub(crate) fn gene(dataset: &LoadedDataset, text: &str) -> Result<GeneIndex, Problem> {
    let reference = &dataset.reference;
    let text = text.trim();
    match named(dataset, text).as_slice() {
        [only] => Ok(*only),
        [] => Err(unknown_gene(dataset, text)),
        several => {
            let ids: Vec<String> = several.iter().map(|index| reference.gene(*index).id.as_str().to_owned()).collect();
            let detail = format!("{} genes have the symbol '{text}': ask by identifier: {}", ids.len(), ids.join(", "));
            Err(Problem::new(Kind::AmbiguousGene, detail).with_candidates(ids))
        }
    }
}

/// The genes with this identifier, else those with this symbol.
fn named(dataset: &LoadedDataset, text: &str) -> Vec<GeneIndex> {
    let reference = &dataset.reference;
    let by_id = |text: &str| GeneId::parse(text).ok().and_then(|(id, _)| reference.find(&id));
    match by_id(text).or_else(|| by_id(&text.to_ascii_uppercase())) {
        Some(index) => vec![index],
        None => reference.find_symbol(text).to_vec(),
    }
}

/// Reads the region that a text means; none where a gene has it as its name, or where it is none.
///
/// # Errors
/// It is meant as a region and is none.
pub(crate) fn region(dataset: &LoadedDataset, text: &str) -> Result<Option<Region>, Problem> {
    let is_meant = Region::is_meant_by(text) && named(dataset, text.trim()).is_empty();
    let region = is_meant.then(|| Region::parse(text)).transpose();
    region.map_err(|error| Problem::parameter("query", error.to_string()))
}

fn unknown_gene(dataset: &LoadedDataset, text: &str) -> Problem {
    let nearest = nearest_genes(dataset, text);
    let name = &dataset.reference.dataset().name;
    let shown: String = text.chars().take(LONGEST_WORD).collect();
    let mut detail = format!("dataset '{name}' has no gene '{shown}'");
    if !nearest.is_empty() {
        detail.push_str("; nearest names: ");
        detail.push_str(&nearest.join(", "));
    }
    Problem::new(Kind::UnknownGene, detail).with_candidates(nearest)
}

/// Names that were perhaps meant.
fn nearest_genes(dataset: &LoadedDataset, text: &str) -> Vec<String> {
    let wanted = text.to_uppercase();
    if wanted.is_empty() || wanted.len() > LONGEST_WORD {
        return Vec::new();
    }
    let genes = dataset.reference.genes();
    // Identifiers of a genome, Ensembl's or another's, have one length and end in digits: counting the letters that
    // differ is enough, and quick over all of them.
    let bare = wanted.split('.').next().unwrap_or_default().to_owned();
    if bare.len() >= SHORTEST_IDENTIFIER && bare.ends_with(|last: char| last.is_ascii_digit()) {
        let differing = |id: &str| {
            let pairs = id.bytes().zip(bare.bytes());
            (id.len() == bare.len()).then(|| pairs.filter(|(a, b)| !a.eq_ignore_ascii_case(b)).count())
        };
        let scored = genes.iter().filter_map(|gene| Some((differing(gene.id.as_str())?, gene.id.as_str())));
        let near = best(scored.filter(|(distance, _)| *distance <= 3));
        if !near.is_empty() || wanted.starts_with("ENS") {
            return near;
        }
    }
    let allowed = (wanted.len() / 3).clamp(1, 3);
    let close = |symbol: &str| {
        if symbol.len().abs_diff(wanted.len()) > allowed {
            return None;
        }
        Some(strsim::osa_distance(symbol, &wanted)).filter(|distance| *distance <= allowed)
    };
    let scored = dataset.symbols.iter().zip(genes).filter_map(|(upper, gene)| {
        let starts = wanted.len() >= 3 && upper.starts_with(&wanted);
        close(upper).or_else(|| starts.then_some(allowed + 1)).map(|distance| (distance, gene.symbol.as_str()))
    });
    best(scored)
}

fn best<'a>(scored: impl Iterator<Item = (usize, &'a str)>) -> Vec<String> {
    let mut scored: Vec<_> = scored.collect();
    scored.sort_unstable();
    scored.dedup();
    scored.into_iter().take(SUGGESTIONS).map(|(_, name)| name.to_owned()).collect()
}

/// Finds a tissue by identifier or name, in either case.
///
/// # Errors
/// The detail and the nearest tissues.
pub(crate) fn tissue(reference: &Reference, text: &str) -> Result<usize, (String, Vec<String>)> {
    let same = |name: &str| name.eq_ignore_ascii_case(text.trim());
    let found = reference.find_tissue(text);
    let found = found.or_else(|| reference.tissues().iter().position(|t| same(t.id()) || same(t.name())));
    found.ok_or_else(|| {
        let wanted = text.to_lowercase();
        let likeness = |id: &str| {
            let id = id.to_lowercase();
            let within = id.split(['_', '-']).any(|word| word == wanted);
            if within { 1.0 } else { strsim::jaro_winkler(&id, &wanted) }
        };
        let mut scored: Vec<(f64, &str)> = if text.len() > 2 * LONGEST_WORD {
            Vec::new()
        } else {
            reference.tissues().iter().map(|tissue| (likeness(tissue.id()), tissue.id())).collect()
        };
        scored.retain(|(likeness, _)| *likeness > 0.7);
        scored.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
        let nearest: Vec<String> = scored.into_iter().take(SUGGESTIONS).map(|(_, id)| id.to_owned()).collect();
        let shown: String = text.chars().take(2 * LONGEST_WORD).collect();
        let mut detail = format!("dataset '{}' has no tissue '{shown}'", reference.dataset().name);
        if nearest.is_empty() {
            detail.push_str("; GET /v1/tissues lists them");
        } else {
            detail.push_str("; nearest: ");
            detail.push_str(&nearest.join(", "));
        }
        (detail, nearest)
    })
}
