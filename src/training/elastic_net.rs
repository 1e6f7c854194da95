//! Elastic nets of one outcome on a gene's dosages: the path of penalties, cross-validation, weights by raw dosage.
//!
//! Minimised over the weights `b` of the standardised dosages `z`, for `n` people and an outcome that is centred but
//! not scaled:
//!
//! ```text
//! 1/(2n) Σᵢ (yᵢ − Σⱼ bⱼ zᵢⱼ)² + λ Σⱼ fⱼ (α |bⱼ| + (1 − α)/2 bⱼ²)
//! ```
//!
//! Means and standard deviations (divisor `n`) are those of the people that are fitted; the factors `f` have mean 1
//! over the variants. In scikit-learn, λ is `alpha` and α is `l1_ratio`, the rest is the same. glmnet scales the outcome
//! to a standard deviation `s` of 1 (divisor `n`) and reports λ on the outcome's own scale: there the penalty of the
//! squares is `1/s` times this one. For an outcome with `s = 1` the two agree.
//!
//! Coordinate descent on products of variants ("covariance updates") with warm starts along the path and the sequential
//! strong rules. Sources: Friedman, Hastie and Tibshirani, "Regularization Paths for Generalized Linear Models via
//! Coordinate Descent", J. Stat. Softw. 33 (2010); Tibshirani et al., "Strong rules for discarding predictors in
//! lasso-type problems", J. R. Stat. Soc. B 74 (2012).
//!
//! One gene is one thread's work, so that the result does not depend on the number of threads; genes run beside each
//! other. Imports nothing of the crate.

mod cross_validation;
mod gram;
mod part;
mod path;
#[cfg(test)]
mod tests;

pub use self::cross_validation::{CrossValidated, cross_validate};
pub use self::gram::Gram;
use self::part::Part;
use self::path::Path;

/// How a path of elastic nets is walked.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// The share α of the absolute weights in the penalty; the rest is for their squares.
    pub alpha: f64,
    /// The number of penalties λ, evenly spaced in the logarithm.
    pub lambdas: usize,
    /// The smallest λ of the path as a share of the largest, with which all weights are 0.
    pub lambda_ratio: f64,
    /// Sweeps end once no step explains more than this share of the outcome's variance, as glmnet's `thresh`. Its 1e-7
    /// leaves weights of correlated variants wrong in the second digit at small λ.
    pub tolerance: f64,
    /// Sweeps after which a λ is left even so.
    pub sweeps: usize,
    /// The path ends once a step explains less than this share more of what it explains, as glmnet's `fdev`.
    pub least_gain: f64,
    /// The path ends once this share of the variance is explained, as glmnet's `devmax`.
    pub enough: f64,
    /// Cross-validation ends early: once this many λ in a row have not come below the least squared error so far, and
    /// the last of them is [`Settings::RISEN`] times above it. `None` walks the whole path.
    pub patience: Option<usize>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            alpha: 0.5,
            lambdas: 100,
            lambda_ratio: 0.01,
            tolerance: 1e-9,
            sweeps: 10_000,
            least_gain: 1e-5,
            enough: 0.999,
            patience: Some(20),
        }
    }
}

impl Settings {
    /// How far the squared error must have risen over its least value before `patience` ends the walk.
    pub const RISEN: f64 = 1.02;

    /// The share that a path ending at `lambda_ratio` takes of λ at each step.
    fn step(&self) -> f64 {
        self.lambda_ratio.powf(1.0 / self.lambdas.saturating_sub(1).max(1) as f64)
    }

    /// α, kept from 0 where the largest λ comes from, as glmnet does.
    fn alpha_for_largest(&self) -> f64 {
        self.alpha.max(1e-3)
    }
}

/// Dosages of a gene's variants, by variant: every value must be finite.
#[derive(Debug, Clone, Copy)]
pub struct Dosages<'a> {
    /// variants × people, row-major.
    pub values: &'a [f32],
    /// The number of people in a row.
    pub people: usize,
}

impl Dosages<'_> {
    /// Returns the number of variants.
    #[must_use]
    pub fn variants(&self) -> usize {
        self.values.len().checked_div(self.people).unwrap_or(0)
    }

    /// The dosages of one variant.
    fn variant(&self, variant: usize) -> &[f32] {
        &self.values[variant * self.people..(variant + 1) * self.people]
    }
}

/// A fitted elastic net on the scale of raw dosages.
#[derive(Debug, Clone, PartialEq)]
pub struct Solution {
    /// The penalty that it was fitted with.
    pub lambda: f64,
    /// What a person without any effect allele is predicted to have.
    pub intercept: f64,
    /// The variants with a weight other than 0 and their weights, ascending by variant.
    pub weights: Vec<(usize, f64)>,
}

impl Solution {
    /// Predicts the outcome of some of the people, one value for each of `people` in order.
    #[must_use]
    pub fn predict(&self, dosages: Dosages<'_>, people: &[usize]) -> Vec<f64> {
        let mut predicted = vec![self.intercept; people.len()];
        for &(variant, weight) in &self.weights {
            let row = dosages.variant(variant);
            for (value, &person) in predicted.iter_mut().zip(people) {
                *value += weight * f64::from(row[person]);
            }
        }
        predicted
    }
}

/// Fits `rows`, with one value of `y` each, at one λ, walking the path down to it.
///
/// `gram` must be of exactly these rows. `penalty` gives one factor a variant, by default 1 each; they are rescaled to
/// mean 1, and a variant whose factor is not positive and finite is left out. A λ below a millionth of the largest
/// counts as that millionth.
///
/// # Panics
/// `y` has not one value a row, or `penalty` not one factor a variant.
#[must_use]
#[expect(clippy::too_many_arguments, reason = "the data of one fit, each a plain slice")]
pub fn fit_at(
    gram: &Gram,
    dosages: Dosages<'_>,
    y: &[f64],
    rows: &[usize],
    penalty: Option<&[f64]>,
    settings: &Settings,
    lambda: f64,
) -> Solution {
    let part = Part::all(gram, dosages, y, rows, penalty);
    walk_to(&part, settings, lambda)
}

/// Walks the path of a part from its largest λ down to the given one.
fn walk_to(part: &Part<'_>, settings: &Settings, lambda: f64) -> Solution {
    let mut path = Path::new(part, settings);
    let largest = path.largest_lambda();
    let lambda = lambda.max(largest * 1e-6);
    let mut next = largest;
    while next > lambda * (1.0 + 1e-9) {
        path.advance(next);
        next *= settings.step().min(0.99);
    }
    path.advance(lambda);
    path.solution()
}
