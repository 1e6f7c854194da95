//! Splits of genes by chromosome: neighbours resemble each other, so that a random split would leak.
//!
//! Imports `genome` and `reference`. Invariant: the parts of a split share no chromosome, and every gene in them has
//! a place and a shape ([`Reference::has_shape`]).

use std::collections::BTreeMap;

use crate::genome::{Chromosome, GenomeError};
use crate::reference::{GeneIndex, Reference};

/// The chromosomes that accuracy is measured on unless a user says otherwise.
pub const HELD_OUT: &str = "8,9,18,21";
/// The chromosomes that intervals are set on, and training is stopped on, unless a user says otherwise.
pub const CALIBRATION: &str = "7,16";

/// Why a split cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SplitError {
    /// A name in the list is not a chromosome's.
    #[error("cannot read the list of chromosomes")]
    Name(#[from] GenomeError),
    /// The dataset has no gene to score there.
    #[error("the dataset has no gene with a complete profile on {chromosome}; it has them on {}", .present.join(", "))]
    Unknown {
        /// The chromosome that was asked for.
        chromosome: Chromosome,
        /// The chromosomes with such genes.
        present: Vec<String>,
    },
    /// One chromosome cannot serve twice.
    #[error("{0} is both held out and used for calibration: name it once")]
    Twice(Chromosome),
    /// Nothing would be left to fit to.
    #[error("no gene is left to train on: hold fewer chromosomes out")]
    NothingLeft,
}

/// The genes of a dataset in three parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Split {
    /// Genes to fit to.
    pub train: Vec<GeneIndex>,
    /// Genes to stop training and set intervals on.
    pub calibration: Vec<GeneIndex>,
    /// Genes to measure accuracy on.
    pub test: Vec<GeneIndex>,
    /// The chromosomes of `calibration`, in order.
    pub calibration_chromosomes: Vec<Chromosome>,
    /// The chromosomes of `test`, in order.
    pub held_out_chromosomes: Vec<Chromosome>,
}

impl Split {
    /// Splits the genes: those on `held_out` are for the test, those on `calibration` for calibration, all others for
    /// training. Either list may be empty.
    ///
    /// # Errors
    /// A chromosome has no gene that can be scored, is in both lists, or nothing is left for training.
    pub fn by_chromosome(
        reference: &Reference,
        held_out: &[Chromosome],
        calibration: &[Chromosome],
    ) -> Result<Self, SplitError> {
        let mut genes = by_chromosome(reference, 0..reference.genes().len());
        let present: Vec<String> = genes.keys().map(|chromosome| chromosome.as_str().to_owned()).collect();
        let mut take = |chromosomes: &[Chromosome]| {
            let mut chromosomes = chromosomes.to_vec();
            chromosomes.sort();
            chromosomes.dedup();
            let mut taken = Vec::new();
            for chromosome in &chromosomes {
                let unknown = || SplitError::Unknown { chromosome: chromosome.clone(), present: present.clone() };
                taken.extend(genes.remove(chromosome).ok_or_else(unknown)?);
            }
            Ok::<_, SplitError>((chromosomes, taken))
        };
        if let Some(twice) = calibration.iter().find(|chromosome| held_out.contains(chromosome)) {
            return Err(SplitError::Twice(twice.clone()));
        }
        let (held_out_chromosomes, test) = take(held_out)?;
        let (calibration_chromosomes, calibration) = take(calibration)?;
        let train: Vec<GeneIndex> = genes.into_values().flatten().collect();
        if train.is_empty() {
            return Err(SplitError::NothingLeft);
        }
        Ok(Self { train, calibration, test, calibration_chromosomes, held_out_chromosomes })
    }
}

/// Parses a list of chromosomes such as `8,9,chr18`; blanks around names and an empty list are allowed.
///
/// # Errors
/// A name is empty or has a blank in it.
pub fn parse_chromosomes(text: &str) -> Result<Vec<Chromosome>, SplitError> {
    if text.trim().is_empty() {
        return Ok(Vec::new());
    }
    text.split(',').map(|name| Ok(Chromosome::parse(name.trim())?)).collect()
}

/// Groups genes with a place and a shape by chromosome, in genome order.
fn by_chromosome(
    reference: &Reference,
    genes: impl IntoIterator<Item = GeneIndex>,
) -> BTreeMap<Chromosome, Vec<GeneIndex>> {
    let mut chromosomes: BTreeMap<Chromosome, Vec<GeneIndex>> = BTreeMap::new();
    for gene in genes {
        if let Some(locus) = &reference.gene(gene).locus
            && reference.has_shape(gene)
        {
            chromosomes.entry(locus.chromosome.clone()).or_default().push(gene);
        }
    }
    chromosomes
}

/// Deals genes into up to `count` folds of about equal size, whole chromosomes at a time: the largest chromosome
/// first, each to the smallest fold. Genes of a single chromosome are cut into stretches instead. Genes without a
/// place or a shape are left out; no fold is empty.
#[must_use]
pub fn inner_folds(reference: &Reference, genes: &[GeneIndex], count: usize) -> Vec<Vec<GeneIndex>> {
    let chromosomes = by_chromosome(reference, genes.iter().copied());
    let mut folds = vec![Vec::new(); count.max(1)];
    if chromosomes.len() == 1 {
        for genes in chromosomes.into_values() {
            let stretch = genes.len().div_ceil(folds.len()).max(1);
            folds = genes.chunks(stretch).map(<[_]>::to_vec).collect();
        }
        return folds;
    }
    let mut groups: Vec<Vec<GeneIndex>> = chromosomes.into_values().collect();
    groups.sort_by_key(|genes| std::cmp::Reverse(genes.len()));
    for genes in groups {
        if let Some(smallest) = folds.iter_mut().min_by_key(|fold| fold.len()) {
            smallest.extend(genes);
        }
    }
    folds.retain(|fold| !fold.is_empty());
    folds
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::genome::{Strand, Tissue};
    use crate::reference::tests::{dataset, record};

    fn reference() -> Reference {
        let mut records = Vec::new();
        for (chromosome, genes) in [("1", 6), ("2", 4), ("3", 3), ("X", 2)] {
            for at in 0..genes {
                let place = Some((chromosome, 10 * at + 1, 10 * at + 5, Strand::Forward));
                records.push(record(&format!("g{chromosome}_{at}"), place, Some(&[1.0, 2.0])));
            }
        }
        records.push(record("flat", Some(("1", 900, 901, Strand::Forward)), Some(&[1.0, 1.0])));
        records.push(record("unplaced", None, Some(&[1.0, 2.0])));
        Reference::new(dataset(), ["Liver", "Lung"].map(Tissue::from_name).to_vec(), records)
    }

    #[test]
    fn the_parts_share_no_chromosome_and_hold_every_scored_gene() {
        let reference = reference();
        let list = |text| parse_chromosomes(text).unwrap();
        let split = Split::by_chromosome(&reference, &list("X, 2"), &list("chr3")).unwrap();
        assert_eq!((split.train.len(), split.calibration.len(), split.test.len()), (6, 3, 6));
        assert_eq!(split.held_out_chromosomes, list("2,X"));
        let chromosome =
            |gene: &GeneIndex| reference.gene(*gene).locus.as_ref().unwrap().chromosome.as_str().to_owned();
        assert!(split.train.iter().all(|gene| chromosome(gene) == "chr1"));
        assert!(split.calibration.iter().all(|gene| chromosome(gene) == "chr3"));
    }

    #[test]
    fn impossible_splits_say_why() {
        let reference = reference();
        let split = |held_out, calibration| {
            Split::by_chromosome(
                &reference,
                &parse_chromosomes(held_out).unwrap(),
                &parse_chromosomes(calibration).unwrap(),
            )
        };
        let error = split("21", "").unwrap_err();
        assert!(error.to_string().contains("chr21; it has them on chr1, chr2, chr3, chrX"), "{error}");
        assert!(matches!(split("1", "1"), Err(SplitError::Twice(_))));
        assert_eq!(split("1,2", "3,X"), Err(SplitError::NothingLeft));
        assert!(parse_chromosomes("1,,2").is_err());
    }

    #[test]
    fn inner_folds_are_balanced_whole_chromosomes() {
        let reference = reference();
        let genes: Vec<_> = (0..reference.genes().len()).collect();
        let folds = inner_folds(&reference, &genes, 2);
        assert_eq!(folds.iter().map(Vec::len).collect::<Vec<_>>(), [8, 7]);
        assert_eq!(inner_folds(&reference, &genes, 9).len(), 4, "no more folds than chromosomes");
        assert_eq!(inner_folds(&reference, &genes[..6], 4).iter().map(Vec::len).sum::<usize>(), 6);
    }
}
