//! When a gene is complete, and in which order genes are answered.
//!
//! Genes leave chromosome by chromosome in the order in which the submission has them, by start within a chromosome;
//! those on chromosomes that it does not have follow in natural order, those without a place come last.

use super::panel::{NEAR, Panel};

/// The genes of a panel in the order in which they are answered.
#[derive(Debug)]
pub(crate) struct Schedule {
    /// Genes by chromosome, by start.
    by_chromosome: Vec<Vec<u32>>,
    /// How many of each chromosome have left.
    next: Vec<usize>,
    /// Genes without a place.
    unplaced: Vec<u32>,
}

impl Schedule {
    pub(crate) fn new(panel: &Panel) -> Self {
        let mut by_chromosome: Vec<Vec<u32>> = vec![Vec::new(); panel.chromosomes.len()];
        let mut unplaced = Vec::new();
        for (at, gene) in panel.genes.iter().enumerate() {
            match gene.interval {
                Some((chromosome, ..)) => by_chromosome[chromosome as usize].push(at as u32),
                None => unplaced.push(at as u32),
            }
        }
        let start = |at: &u32| {
            let gene = &panel.genes[*at as usize];
            (gene.interval.map_or((u32::MAX, 0), |(chromosome, start, _)| (chromosome, start)), gene.model, gene.gene)
        };
        for genes in &mut by_chromosome {
            genes.sort_by_key(start);
        }
        unplaced.sort_by_key(start);
        Self { next: vec![0; by_chromosome.len()], by_chromosome, unplaced }
    }

    /// Returns the next gene of `chromosome` if all of its rows lie before `position`.
    pub(crate) fn passed(&mut self, panel: &Panel, chromosome: u32, position: u32) -> Option<u32> {
        let next = &mut self.next[chromosome as usize];
        let gene = *self.by_chromosome[chromosome as usize].get(*next)?;
        // A record that has a variant's identifier may lie a little behind the variant's place.
        let is_behind = panel.genes[gene as usize].last.saturating_add(NEAR) < position;
        is_behind.then(|| {
            *next += 1;
            gene
        })
    }

    /// Returns the genes of `chromosome` that are left.
    pub(crate) fn finish(&mut self, chromosome: u32) -> Vec<u32> {
        let next = &mut self.next[chromosome as usize];
        let genes = &self.by_chromosome[chromosome as usize];
        let left = genes[*next..].to_vec();
        *next = genes.len();
        left
    }

    /// Returns all genes that are left.
    pub(crate) fn finish_all(&mut self) -> Vec<u32> {
        let mut left: Vec<u32> = Vec::new();
        (0..self.by_chromosome.len()).for_each(|chromosome| left.extend(self.finish(chromosome as u32)));
        left.append(&mut self.unplaced);
        left
    }
}
