//! Splits of genes by chromosome: neighbours resemble each other, so that a random split would leak.
//!
//! Imports `genome` and `reference`. Invariant: the parts of a split share no chromosome, and every gene in them has
//! a place and a shape ([`Reference::has_shape`]).

use std::collections::BTreeMap;

use crate::genome::{Chromosome, GenomeError};
use crate::reference::{GeneIndex, Reference};

/// One scored gene in so many is held out where nobody names chromosomes.
const HELD_OUT_OF: usize = 8;
/// One scored gene in so many is for calibration where nobody names chromosomes.
const CALIBRATION_OF: usize = 10;
/// A chromosome with less than one scored gene in so many stays in training: a list of scaffolds helps nobody.
const SMALLEST_OF: usize = 200;

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
    /// Every part needs a chromosome of its own.
    #[error(
        "the dataset has genes with a complete profile on {} only, which is too few to choose parts from: name the \
         chromosomes to hold out and to calibrate on, or an empty list for a part that is not wanted",
        .0.join(", ")
    )]
    TooFew(Vec<String>),
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

impl Split {
    /// Splits the genes as [`Self::by_chromosome`] does; a list that is left out is chosen from the dataset itself.
    ///
    /// Held out is about an eighth of the genes that can be scored, for calibration about a tenth, in whole
    /// chromosomes. The chromosomes are ordered by their number of such genes and every eighth (tenth) is taken, so
    /// that large and small ones are among them; of the places to start from, the one that comes nearest to the share.
    /// Chromosomes with less than half a percent of the genes stay in training, unless fewer than three would be left
    /// to choose from.
    ///
    /// # Errors
    /// As [`Self::by_chromosome`], or fewer chromosomes have genes that can be scored than there are parts.
    pub fn chosen(
        reference: &Reference,
        held_out: Option<&[Chromosome]>,
        calibration: Option<&[Chromosome]>,
    ) -> Result<Self, SplitError> {
        let genes = by_chromosome(reference, 0..reference.genes().len());
        let mut sizes: Vec<(Chromosome, usize)> =
            genes.iter().map(|(chromosome, genes)| (chromosome.clone(), genes.len())).collect();
        // A stable sort: of equal sizes the first in the genome.
        sizes.sort_by_key(|(_, genes)| std::cmp::Reverse(*genes));
        let all: usize = sizes.iter().map(|(_, genes)| genes).sum();
        let too_few = || SplitError::TooFew(genes.keys().map(|chromosome| chromosome.as_str().to_owned()).collect());
        let mut parts = [(held_out, HELD_OUT_OF), (calibration, CALIBRATION_OF)].map(|(named, one_of)| {
            let named = named.map(<[Chromosome]>::to_vec);
            sizes.retain(|(chromosome, _)| named.as_ref().is_none_or(|named| !named.contains(chromosome)));
            (named, one_of)
        });
        let mut left_out = parts.iter().filter(|(named, _)| named.is_none()).count();
        let large = sizes.iter().filter(|(_, genes)| genes * SMALLEST_OF >= all).count();
        sizes.truncate(large.max(3));
        for (named, one_of) in &mut parts {
            if named.is_none() {
                // This part, those that are still to be chosen, and training.
                if sizes.len() <= left_out {
                    return Err(too_few());
                }
                left_out -= 1;
                let chosen = every(&sizes, *one_of, all / *one_of);
                sizes.retain(|(chromosome, _)| !chosen.contains(chromosome));
                *named = Some(chosen);
            }
        }
        let [(held_out, _), (calibration, _)] = parts;
        Self::by_chromosome(reference, &held_out.unwrap_or_default(), &calibration.unwrap_or_default())
    }
}

/// Returns every `step`th chromosome, from the place whose chromosomes together come nearest to `wanted` genes.
fn every(sizes: &[(Chromosome, usize)], step: usize, wanted: usize) -> Vec<Chromosome> {
    let from = |start: usize| sizes.iter().skip(start).step_by(step);
    let away = |start: &usize| from(*start).map(|(_, genes)| genes).sum::<usize>().abs_diff(wanted);
    let start = (0..step.min(sizes.len())).min_by_key(away).unwrap_or(0);
    from(start).map(|(chromosome, _)| chromosome.clone()).collect()
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

    /// A genome with so many genes on each chromosome, which are numbered from 1.
    fn genome(sizes: &[u32]) -> Reference {
        let mut records = Vec::new();
        for (chromosome, genes) in (1..).zip(sizes) {
            let chromosome = chromosome.to_string();
            for at in 0..*genes {
                let place = Some((chromosome.as_str(), 10 * at + 1, 10 * at + 5, Strand::Forward));
                records.push(record(&format!("g{chromosome}_{at}"), place, Some(&[1.0, 2.0])));
            }
        }
        Reference::new(dataset(), ["Liver", "Lung"].map(Tissue::from_name).to_vec(), records)
    }

    #[test]
    fn chromosomes_that_nobody_names_are_chosen_by_their_sizes() {
        // About a mammal's: 20 chromosomes from large to small, and a scaffold with a single gene.
        let mut sizes: Vec<u32> = (0..20).map(|at| 100 - 4 * at).collect();
        sizes.push(1);
        let reference = genome(&sizes);
        let split = Split::chosen(&reference, None, None).unwrap();
        assert_eq!(split, Split::chosen(&reference, None, None).unwrap());
        let all = f64::from(sizes.iter().sum::<u32>());
        let share = |genes: &[GeneIndex]| genes.len() as f64 / all;
        assert!((share(&split.test) - 0.125).abs() < 0.03, "{:?}", split.held_out_chromosomes);
        assert!((share(&split.calibration) - 0.1).abs() < 0.03, "{:?}", split.calibration_chromosomes);
        assert!(split.held_out_chromosomes.len() > 1 && split.calibration_chromosomes.len() > 1);
        assert!(split.train.len() > 900);
        let scaffold = Chromosome::parse("21").unwrap();
        assert!(!split.held_out_chromosomes.contains(&scaffold) && !split.calibration_chromosomes.contains(&scaffold));
    }

    #[test]
    fn a_named_list_is_kept_and_the_other_one_is_chosen() {
        let reference = genome(&[50, 40, 30, 20]);
        let named = parse_chromosomes("3").unwrap();
        let split = Split::chosen(&reference, Some(&named), None).unwrap();
        assert_eq!((split.held_out_chromosomes, split.calibration.len()), (named.clone(), 20));
        let split = Split::chosen(&reference, None, Some(&named)).unwrap();
        assert_eq!((split.test.len(), split.calibration_chromosomes), (20, named));
        assert_eq!(Split::chosen(&reference, Some(&[]), Some(&[])).unwrap().train.len(), 140);
    }

    #[test]
    fn a_genome_with_too_few_chromosomes_says_what_to_do() {
        assert_eq!(Split::chosen(&genome(&[9, 8, 7]), None, None).unwrap().train.len(), 9);
        for sizes in [&[9, 8][..], &[9]] {
            let error = Split::chosen(&genome(sizes), None, None).unwrap_err();
            assert!(matches!(error, SplitError::TooFew(_)) && error.to_string().contains("chr1"), "{error}");
        }
        let split = Split::chosen(&genome(&[9, 8]), Some(&[]), None).unwrap();
        assert_eq!((split.test.len(), split.calibration.len(), split.train.len()), (0, 8, 9));
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
