//! What a gene's place says of a base: distance to the transcription start, body, exons, promoter.
//!
//! Imports `genome` and the cohort. Invariant: everything is of the genotypes' assembly and on the gene's chromosome.

use std::path::Path;

use super::AnnotationError;
use super::gene_models::GeneModels;
use super::intervals::contain;
use crate::genome::Strand;
use crate::training::cohort::{Cohort, CohortGene, open_chain};

/// The columns that depend on the gene: log₁₀(1 + |distance|/1000) and four of 0 and 1.
pub(super) const GENE_COLUMNS: [&str; 5] = ["TSS distance", "upstream of the TSS", "gene body", "exon", "promoter"];

/// Bases of a promoter in front of the transcription start.
const PROMOTER_UPSTREAM: i64 = 1_000;
/// Bases of a promoter behind it.
const PROMOTER_DOWNSTREAM: i64 = 500;
/// A share of models that are not at their genes' places from which another assembly is likely.
const SUSPICIOUS_SHARE: f64 = 0.2;

/// A gene's shape.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct GeneShape {
    tss: Option<u32>,
    strand: Option<Strand>,
    /// First and last base, from 1.
    body: (u32, u32),
    /// From 0, the end left out.
    exons: Vec<(u32, u32)>,
}

impl GeneShape {
    /// Returns the columns of a base, counted from 1, in the order of [`GENE_COLUMNS`].
    pub(super) fn columns(&self, base: u32) -> [f64; 5] {
        let flag = |is: bool| f64::from(u8::from(is));
        let (first, last) = self.body;
        let distance = self.tss.map_or_else(|| base.abs_diff(first).min(base.abs_diff(last)), |tss| base.abs_diff(tss));
        // How far behind the start on the gene's strand.
        let behind = self.tss.zip(self.strand).map(|(tss, strand)| match strand {
            Strand::Forward => i64::from(base) - i64::from(tss),
            Strand::Reverse => i64::from(tss) - i64::from(base),
        });
        [
            (1.0 + f64::from(distance) / 1000.0).log10(),
            flag(behind.is_some_and(|behind| behind < 0)),
            flag((first..=last).contains(&base)),
            flag(contain(&self.exons, base)),
            flag(behind.is_some_and(|behind| (-PROMOTER_UPSTREAM..=PROMOTER_DOWNSTREAM).contains(&behind))),
        ]
    }
}

#[derive(Default)]
struct Counts {
    without_tss: usize,
    elsewhere: usize,
    /// Of those elsewhere: at the gene's place before they were lifted.
    unlifted_fit: usize,
    unknown: usize,
    not_lifted: usize,
}

/// Returns every gene's shape, with the exons of its model where that fits.
pub(super) fn shapes(
    cohort: &Cohort,
    gene_models: Option<&Path>,
    chain: Option<&Path>,
    notes: &mut Vec<String>,
) -> Result<Vec<GeneShape>, AnnotationError> {
    let models = gene_models.map(GeneModels::read).transpose()?;
    let chain = chain.map(|path| open_chain(path, cohort.assembly.as_ref())).transpose()?;
    let mut counts = Counts::default();
    let mut shapes = Vec::with_capacity(cohort.genes.len());
    for gene in &cohort.genes {
        let found = models.as_ref().and_then(|models| models.of(gene));
        counts.unknown += usize::from(models.is_some() && found.is_none());
        // The strand of a gene is that of its transcript, whatever the assembly turned round since.
        let strand = gene.strand.or_else(|| found.and_then(|model| model.strand));
        let lifted = found.and_then(|model| match &chain {
            Some(chain) => {
                let lifted = model.lifted(chain);
                counts.not_lifted += usize::from(lifted.is_none());
                lifted
            }
            None => Some(model.clone()),
        });
        let fitting = lifted.filter(|model| {
            let fits = model.fits(gene);
            counts.elsewhere += usize::from(!fits);
            let fitted_before = chain.is_some() && found.is_some_and(|model| model.fits(gene));
            counts.unlifted_fit += usize::from(!fits && fitted_before);
            fits
        });
        let mut shape = of_interval(gene, strand);
        if let Some(model) = fitting {
            if shape.body.0 == shape.body.1 {
                shape.body = (model.start + 1, model.end.max(model.start + 1));
            }
            shape.exons = model.exons;
        }
        counts.without_tss += usize::from(shape.tss.is_none());
        shapes.push(shape);
    }
    if models.as_ref().is_some_and(|models| !models.have_exons()) {
        notes.push("The gene models have no exons (GTF's exon lines, or the blocks of BED12).".to_owned());
    }
    counts.note(cohort.genes.len(), chain.is_some(), notes);
    Ok(shapes)
}

/// The shape as the expression table gives it; an interval of one base is the transcription start.
fn of_interval(gene: &CohortGene, strand: Option<Strand>) -> GeneShape {
    let body = gene.body();
    let tss = match strand {
        _ if body.0 == body.1 => Some(body.1),
        Some(Strand::Forward) => Some(body.0),
        Some(Strand::Reverse) => Some(body.1),
        None => None,
    };
    GeneShape { tss, strand, body, exons: Vec::new() }
}

impl Counts {
    fn note(&self, genes: usize, lifted: bool, notes: &mut Vec<String>) {
        let mut note = |count: usize, what: &str| {
            if count > 0 {
                notes.push(format!("{count} of {genes} genes {what}."));
            }
        };
        note(
            self.without_tss,
            "have no known strand: their distance is taken to the nearer end of the gene, they have no promoter",
        );
        note(self.unknown, "are not in the gene models (by identifier, or by a symbol that is one gene's)");
        note(self.not_lifted, "have a model that cannot be lifted to the genotypes' assembly");
        note(self.elsewhere, "have a model at another place than the expression table's: it was not used");
        if self.elsewhere as f64 > SUSPICIOUS_SHARE * genes as f64 {
            let what = if self.unlifted_fit as f64 > SUSPICIOUS_SHARE * genes as f64 {
                "Genes lie where the gene models have them before they are lifted: the expression table seems to be of the \
                 gene models' assembly, not of the genotypes'. Its windows are wrong then: lift it too."
            } else if lifted {
                "Does the chain file lead from the gene models' assembly to the genotypes'?"
            } else {
                "Are the gene models of another assembly than the genotypes? Give a chain file then."
            };
            notes.push(what.to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_is_seen_from_the_genes_strand() {
        let mut shape =
            GeneShape { tss: Some(5_000), strand: Some(Strand::Reverse), body: (2_000, 5_000), exons: vec![] };
        shape.exons = vec![(1_999, 2_100)];
        let near = |found: [f64; 5], expected: [f64; 5]| {
            assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-9), "{found:?}, wanted {expected:?}");
        };
        near(shape.columns(6_000), [2.0_f64.log10(), 1.0, 0.0, 0.0, 1.0]);
        near(shape.columns(6_001), [2.001_f64.log10(), 1.0, 0.0, 0.0, 0.0]);
        near(shape.columns(2_000), [4.0_f64.log10(), 0.0, 1.0, 1.0, 0.0]);
        (shape.tss, shape.strand) = (None, None);
        near(shape.columns(1_000), [2.0_f64.log10(), 0.0, 0.0, 0.0, 0.0]);
        near(shape.columns(4_000), [2.0_f64.log10(), 0.0, 1.0, 0.0, 0.0]);
    }
}
