//! What has become of the variants, by chromosome: their own in the model, else that of the records that their gene met.

use std::collections::BTreeMap;

use rustc_hash::FxHashMap;

use super::panel::Panel;
use crate::genome::Chromosome;
use crate::genotype::Site;
use crate::genotype::report::{KindCounts, MatchKind};

/// What variants are counted under of which nothing tells the chromosome.
const UNKNOWN: &str = "unknown";

/// Kinds by chromosome.
#[derive(Debug, Default)]
pub(crate) struct ByChromosome {
    counts: BTreeMap<Option<Chromosome>, KindCounts>,
    /// Where records were met for genes whose model knows variants by identifier alone.
    met: FxHashMap<u32, Chromosome>,
}

impl ByChromosome {
    /// Notes where a row's record lies, if nothing else tells it.
    pub(crate) fn meet(&mut self, panel: &Panel, row: u32, record: &Site<'_>) {
        let gene = panel.rows[row as usize].gene;
        if let (None, Some(chromosome)) = (&panel.variant(row).place, record.chromosome)
            && !self.met.contains_key(&gene)
        {
            self.met.insert(gene, chromosome.clone());
        }
    }

    /// Counts the rows of a gene that is answered.
    pub(crate) fn count(&mut self, panel: &Panel, gene: u32, kind: impl Fn(usize) -> MatchKind) {
        let met = self.met.remove(&gene);
        let chromosome_of = |row: usize| {
            let placed = panel.rows[row].place.map(|(number, _)| &panel.chromosomes[number as usize]);
            let own = || panel.variant(row as u32).place.as_ref().map(|(chromosome, _)| chromosome);
            placed.or_else(own).or(met.as_ref())
        };
        let mut rows = panel.genes[gene as usize].rows.clone().peekable();
        // A gene's rows mostly lie on one chromosome: its counts are looked up once for all of them.
        while let Some(first) = rows.next() {
            let chromosome = chromosome_of(first);
            let counts = self.counts.entry(chromosome.cloned()).or_default();
            counts.add(kind(first));
            while let Some(row) = rows.next_if(|row| chromosome_of(*row) == chromosome) {
                counts.add(kind(row));
            }
        }
    }

    /// Returns the counts by the chromosomes' names.
    pub(crate) fn named(&self) -> BTreeMap<String, KindCounts> {
        let name = |chromosome: &Option<Chromosome>| chromosome.as_ref().map_or(UNKNOWN, Chromosome::as_str).to_owned();
        self.counts.iter().map(|(chromosome, counts)| (name(chromosome), *counts)).collect()
    }
}
