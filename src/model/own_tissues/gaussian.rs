//! A Gaussian over tissues, conditioned on the known ones: the best linear guess from a gene's own tissues.

use nalgebra::{Cholesky, DMatrix, DVector};

use super::{FromOwnTissues, Known};
use crate::model::Target;

/// What is added to every tissue's variance, so that tissues that nearly copy each other do not upset the equations.
pub(super) const RIDGE: f64 = 1e-3;

/// The smallest spread, so that it stays positive.
const SMALLEST_SPREAD: f64 = 1e-3;

/// Mean and covariance over tissues; a prediction is the conditional mean, its spread the conditional standard
/// deviation.
#[derive(Debug, Clone, PartialEq)]
pub struct ConditionalGaussian {
    tissues: Vec<String>,
    mean: Vec<f64>,
    /// With the ridge on its diagonal.
    covariance: DMatrix<f64>,
}

impl ConditionalGaussian {
    /// Builds the model from the mean and the covariance, row by row, of log2(1 + x).
    ///
    /// # Panics
    /// The lengths do not fit the tissues: the fit rules it out.
    #[must_use]
    pub fn new(tissues: Vec<String>, mean: Vec<f64>, covariance: &[f64]) -> Self {
        let n = tissues.len();
        assert!(mean.len() == n && covariance.len() == n * n, "one mean a tissue, one covariance a pair");
        let mut covariance = DMatrix::from_row_slice(n, n, covariance);
        (0..n).for_each(|at| covariance[(at, at)] += RIDGE);
        Self { tissues, mean, covariance }
    }
}

impl FromOwnTissues for ConditionalGaussian {
    fn tissues(&self) -> &[String] {
        &self.tissues
    }

    fn mean(&self) -> &[f64] {
        &self.mean
    }

    fn spread_of_mean(&self) -> Vec<f32> {
        self.covariance.diagonal().iter().map(|variance| variance.sqrt().max(SMALLEST_SPREAD) as f32).collect()
    }

    fn fill(&self, _: &Target, known: &Known) -> Option<(Vec<f32>, Vec<f32>)> {
        let part = |rows: &[usize], columns: &[usize]| {
            DMatrix::from_fn(rows.len(), columns.len(), |row, column| self.covariance[(rows[row], columns[column])])
        };
        let across = part(&known.tissues, &known.hidden);
        let weights = Cholesky::new(part(&known.tissues, &known.tissues))?.solve(&across);
        let away = known.tissues.iter().zip(&known.log2).map(|(tissue, value)| f64::from(*value) - self.mean[*tissue]);
        let away = DVector::from_iterator(known.tissues.len(), away);
        let mut values: Vec<f32> = self.mean.iter().map(|mean| *mean as f32).collect();
        let mut spread = vec![SMALLEST_SPREAD as f32; values.len()];
        for (at, &tissue) in known.hidden.iter().enumerate() {
            let (weights, across) = (weights.column(at), across.column(at));
            values[tissue] = (self.mean[tissue] + weights.dot(&away)) as f32;
            let variance = self.covariance[(tissue, tissue)] - weights.dot(&across);
            spread[tissue] = variance.max(0.0).sqrt().max(SMALLEST_SPREAD) as f32;
        }
        Some((values, spread))
    }
}
