//! The mean of the training genes whose known tissues are most alike.

use super::{FromOwnTissues, Known, ProfileTable};
use crate::model::Target;

/// How many genes are averaged.
const NEAREST: usize = 20;

/// The training genes' profiles, from which those nearest over the known tissues are averaged.
#[derive(Debug, Clone, PartialEq)]
pub struct NearestProfiles {
    table: ProfileTable,
}

impl NearestProfiles {
    /// Builds the model from the table.
    #[must_use]
    pub const fn new(table: ProfileTable) -> Self {
        Self { table }
    }

    fn tissue(&self, tissue: usize) -> &[f32] {
        let genes = self.table.genes.len();
        &self.table.log2[tissue * genes..][..genes]
    }
}

impl FromOwnTissues for NearestProfiles {
    fn tissues(&self) -> &[String] {
        &self.table.tissues
    }

    fn mean(&self) -> &[f64] {
        &self.table.mean
    }

    fn fill(&self, target: &Target, known: &Known) -> Option<(Vec<f32>, Vec<f32>)> {
        let mut squares = vec![0.0f32; self.table.genes.len()];
        for (tissue, value) in known.tissues.iter().zip(&known.log2) {
            squares.iter_mut().zip(self.tissue(*tissue)).for_each(|(sum, other)| *sum += (other - value).powi(2));
        }
        // A gene is not its own neighbour. Equal distances: the first gene.
        let mut genes: Vec<usize> =
            (0..squares.len()).filter(|at| target.gene != Some(self.table.genes[*at])).collect();
        let count = NEAREST.min(genes.len());
        let order = |a: &usize, b: &usize| squares[*a].total_cmp(&squares[*b]).then(a.cmp(b));
        if count < genes.len() && count > 0 {
            genes.select_nth_unstable_by(count - 1, order);
            genes.truncate(count);
        }
        genes.sort_unstable();
        let mut values: Vec<f32> = self.table.mean.iter().map(|mean| *mean as f32).collect();
        for &tissue in known.hidden.iter().filter(|_| count > 0) {
            let own = self.tissue(tissue);
            values[tissue] = genes.iter().map(|at| own[*at]).sum::<f32>() / count as f32;
        }
        Some((values, Vec::new()))
    }
}
