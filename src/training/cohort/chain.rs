//! Intervals carried to the genotypes' assembly by a chain file.
//!
//! Imports `genome`. Invariant: an interval is carried by its ends; what lies between them may have gaps.

use std::fs::File;
use std::path::Path;

use super::CohortGene;
use crate::genome::liftover::{Lift, LiftoverError, LiftoverMap};
use crate::genome::{Assembly, Chromosome, Position, Strand};

/// An interval that grows or shrinks by more than this factor was torn apart.
const MOST_STRETCH: f64 = 2.0;
/// Base pairs by which even a short interval may change.
const ANY_STRETCH_BP: u32 = 10_000;

/// Why a chain file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ChainError {
    /// The file cannot be opened.
    #[error("cannot open the chain file {file}")]
    Open {
        /// The file.
        file: Box<str>,
        /// The operating system's reason.
        source: std::io::Error,
    },
    /// The file cannot be read.
    #[error("cannot use the chain file {file}")]
    Read {
        /// The file.
        file: Box<str>,
        /// Why.
        source: LiftoverError,
    },
    /// The chain leads to another assembly than the genotypes'.
    #[error("the chain file {file} does not lead to {assembly}, the genotypes' assembly")]
    LeadsElsewhere {
        /// The file.
        file: Box<str>,
        /// The genotypes' assembly.
        assembly: Assembly,
    },
}

/// Opens the chain that leads to the genotypes' assembly `to`.
pub(in crate::training) fn open_chain(path: &Path, to: Option<&Assembly>) -> Result<LiftoverMap, ChainError> {
    let file: Box<str> = path.display().to_string().into();
    let opened = match File::open(path) {
        Ok(opened) => opened,
        Err(source) => return Err(ChainError::Open { file, source }),
    };
    let chain = match LiftoverMap::read(opened) {
        Ok(chain) => chain,
        Err(source) => return Err(ChainError::Read { file, source }),
    };
    match to {
        Some(to) if chain.leads_to(to) == Some(false) => Err(ChainError::LeadsElsewhere { file, assembly: to.clone() }),
        _ => Ok(chain),
    }
}

/// A lifted base: its chromosome, its place from 1, whether the sequence is turned round.
type Base = (Chromosome, u32, bool);

fn lift(chain: &LiftoverMap, chromosome: &Chromosome, base: u32) -> Option<Base> {
    match chain.lift(chromosome, Position::new(base)?, 1) {
        Lift::At { chromosome, position, reversed } => Some((chromosome, position.get(), reversed)),
        Lift::Nowhere | Lift::Several => None,
    }
}

/// Carries genes to the chain's second assembly: by both ends, or by one with the length kept where the other has no
/// place. Genes without a place, or torn apart, are left out and counted.
pub(super) fn lift_genes(genes: &mut Vec<CohortGene>, chain: &LiftoverMap, notes: &mut Vec<String>) {
    let before = genes.len();
    genes.retain_mut(|gene| lift_gene(gene, chain));
    let lost = before - genes.len();
    notes.push(format!("The positions of {} genes were lifted to the genotypes' assembly.", genes.len()));
    if lost > 0 {
        notes.push(format!("{lost} genes cannot be lifted to the genotypes' assembly; they were left out."));
    }
    genes.sort_by(|a, b| (&a.chromosome, a.start, &a.name).cmp(&(&b.chromosome, b.start, &b.name)));
}

fn lift_gene(gene: &mut CohortGene, chain: &LiftoverMap) -> bool {
    let (first, last) = gene.body();
    let length = last - first;
    let ends = (lift(chain, &gene.chromosome, first), lift(chain, &gene.chromosome, last));
    let (chromosome, from, to, reversed) = match ends {
        (Some(a), Some(b)) if a.0 == b.0 && a.2 == b.2 => {
            let (from, to) = (a.1.min(b.1), a.1.max(b.1));
            let stretch = f64::from(to - from + 1) / f64::from(length + 1);
            let torn = !(1.0 / MOST_STRETCH..=MOST_STRETCH).contains(&stretch);
            if torn && (to - from).abs_diff(length) > ANY_STRETCH_BP {
                return false;
            }
            (a.0, from, to, a.2)
        }
        // Turned round, the first base becomes the last.
        (Some(a), None) if a.2 => (a.0, a.1.saturating_sub(length).max(1), a.1, true),
        (Some(a), None) => (a.0, a.1, a.1.saturating_add(length), false),
        (None, Some(b)) if b.2 => (b.0, b.1, b.1.saturating_add(length), true),
        (None, Some(b)) => (b.0, b.1.saturating_sub(length).max(1), b.1, false),
        _ => return false,
    };
    (gene.chromosome, gene.start, gene.end) = (chromosome, from - 1, to);
    if reversed {
        gene.strand = gene.strand.map(turned);
    }
    true
}

/// Returns the other strand.
pub(in crate::training) const fn turned(strand: Strand) -> Strand {
    match strand {
        Strand::Forward => Strand::Reverse,
        Strand::Reverse => Strand::Forward,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::training::cohort::simulated::simulate;

    #[test]
    fn genes_are_lifted_by_their_ends() {
        // Bases 0 to 100 move by 1000, 100 to 120 are gone, up to 300 they move by 980; the next 100 are turned round.
        let chain = "chain 1 chr1 1000 + 0 300 chr1 5000 + 1000 1280 1\n100 20 0\n180\n\n\
                     chain 1 chr1 1000 + 300 400 chr1 5000 - 2000 2100 2\n100\n\n";
        let chain = LiftoverMap::read(chain.as_bytes()).unwrap();
        let gene = simulate(1, 3, 40, 0.1, 1).genes.remove(0);
        let lifted = |start, end| {
            let strand = Some(Strand::Forward);
            let mut genes = vec![CohortGene { start, end, strand, ..gene.clone() }];
            lift_genes(&mut genes, &chain, &mut Vec::new());
            genes.pop().map(|gene| (gene.start, gene.end, gene.strand))
        };
        let (forward, reverse) = (Some(Strand::Forward), Some(Strand::Reverse));
        assert_eq!(lifted(10, 90), Some((1010, 1090, forward)));
        assert_eq!(lifted(90, 130), Some((1090, 1110, forward)), "over the gap");
        assert_eq!(lifted(90, 110), Some((1090, 1110, forward)), "the end has no place");
        assert_eq!(lifted(110, 130), Some((1090, 1110, forward)), "the start has no place");
        assert_eq!(lifted(310, 330), Some((2970, 2990, reverse)));
        assert_eq!(lifted(290, 310), None, "the ends are turned against each other");
        assert_eq!(lifted(500, 600), None);
    }
}
