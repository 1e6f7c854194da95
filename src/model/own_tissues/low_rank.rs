//! A low-rank table, to whose factors a gene's known tissues are fitted.
//!
//! The table's singular values are soft-thresholded (Mazumder, Hastie, Tibshirani, "Spectral Regularization Algorithms
//! for Learning Large Incomplete Matrices", JMLR 2010). A tissue's factors are scaled so that a training gene's have
//! variance 1; a new gene's minimise the squared error over its known tissues plus penalty × squared factors, which is
//! their posterior mean where the penalty is the variance of what the factors leave over (Tipping, Bishop,
//! "Probabilistic Principal Component Analysis", J. R. Stat. Soc. B 1999).

use nalgebra::{Cholesky, DMatrix, DVector};

use super::{FromOwnTissues, Known};
use crate::model::Target;

/// A tissue's factors and the penalty on a gene's.
#[derive(Debug, Clone, PartialEq)]
pub struct LowRank {
    tissues: Vec<String>,
    mean: Vec<f64>,
    /// Tissues × factors.
    factors: DMatrix<f64>,
    penalty: f64,
}

impl LowRank {
    /// Builds the model from the mean of log2(1 + x) and each tissue's factors, row by row.
    ///
    /// # Panics
    /// The lengths do not fit the tissues or the penalty is not above 0: the fit rules it out.
    #[must_use]
    pub fn new(tissues: Vec<String>, mean: Vec<f64>, factors: &[f64], penalty: f64) -> Self {
        let n = tissues.len();
        assert!(mean.len() == n && factors.len().is_multiple_of(n) && penalty > 0.0, "whole factors, a penalty");
        Self { tissues, mean, factors: DMatrix::from_row_slice(n, factors.len() / n, factors), penalty }
    }

    /// Returns the number of factors.
    #[must_use]
    pub fn rank(&self) -> usize {
        self.factors.ncols()
    }

    /// Returns the penalty on a gene's factors.
    #[must_use]
    pub const fn penalty(&self) -> f64 {
        self.penalty
    }
}

impl FromOwnTissues for LowRank {
    fn tissues(&self) -> &[String] {
        &self.tissues
    }

    fn mean(&self) -> &[f64] {
        &self.mean
    }

    fn fill(&self, _: &Target, known: &Known) -> Option<(Vec<f32>, Vec<f32>)> {
        let own = self.factors.select_rows(&known.tissues);
        let away = known.tissues.iter().zip(&known.log2).map(|(tissue, value)| f64::from(*value) - self.mean[*tissue]);
        let away = DVector::from_iterator(known.tissues.len(), away);
        let mut equations = own.tr_mul(&own);
        (0..equations.nrows()).for_each(|at| equations[(at, at)] += self.penalty);
        let of_gene = Cholesky::new(equations)?.solve(&own.tr_mul(&away));
        let profile = &self.factors * of_gene;
        Some((self.mean.iter().zip(&profile).map(|(mean, own)| (mean + own) as f32).collect(), Vec::new()))
    }
}
