//! A mixture of Gaussians over a gene's tissues and its surroundings' guess: given some of the numbers, what are the rest?
//!
//! Each component is a kind of gene (silent, expressed everywhere, of one organ, …) with its own mean and covariance.
//! Known numbers say which kinds fit and move the unknown ones within each. With one component it is the conditional
//! Gaussian. Imports its parent. Invariant: with nothing known the posterior is the mixture's mean.

use std::collections::BTreeMap;

use crate::model::ModelError;
use crate::model::baseline::{Tensors, write_tensors};

const WEIGHTS: &str = "log_weights";
const MEANS: &str = "means";
const COVARIANCES: &str = "covariances";

/// A mixture of Gaussians over `width` numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct Mixture {
    width: usize,
    /// One a component.
    log_weights: Vec<f32>,
    /// Components × width.
    means: Vec<f32>,
    /// Components × packed lower triangles, row by row.
    covariances: Vec<f32>,
}

/// What a mixture says of numbers, each by itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Posterior {
    /// The mean; a known number is itself.
    pub mean: Vec<f32>,
    /// The variance; 0 for a known number.
    pub variance: Vec<f32>,
}

impl Mixture {
    /// Takes components: log weights, means (components × width) and packed lower triangles of their covariances.
    ///
    /// # Errors
    /// A part has another length than the components need, or a number is not finite.
    pub fn try_new(
        width: usize,
        log_weights: Vec<f32>,
        means: Vec<f32>,
        covariances: Vec<f32>,
    ) -> Result<Self, ModelError> {
        let components = log_weights.len();
        let fault = |name: &str, reason: String| Err(ModelError::Tensor { name: name.to_owned(), reason });
        for (name, numbers, due) in [
            (WEIGHTS, &log_weights, components.max(1)),
            (MEANS, &means, components * width),
            (COVARIANCES, &covariances, components * triangle(width)),
        ] {
            if numbers.len() != due {
                return fault(name, format!("has {} numbers where {due} are due", numbers.len()));
            }
            if !numbers.iter().all(|number| number.is_finite()) {
                return fault(name, "has a number that is not finite".to_owned());
            }
        }
        Ok(Self { width, log_weights, means, covariances })
    }

    /// Returns how many numbers it is over.
    #[must_use]
    pub const fn width(&self) -> usize {
        self.width
    }

    /// Returns mean and variance of every number, given those that are not NaN.
    ///
    /// `noise` is added to the variance of every known number, so that a measurement is not taken as exact.
    ///
    /// # Errors
    /// A covariance is not positive definite, which a fitted mixture's always are.
    pub fn posterior(&self, values: &[f32], noise: f64) -> Result<Posterior, ModelError> {
        let known: Vec<usize> = (0..self.width).filter(|at| values[*at].is_finite()).collect();
        let hidden: Vec<usize> = (0..self.width).filter(|at| !values[*at].is_finite()).collect();
        let order: Vec<usize> = known.iter().chain(&hidden).copied().collect();
        let given = Given { values, order: &order, known: known.len(), noise };
        let parts = (0..self.log_weights.len()).map(|component| self.conditional(component, &given));
        let parts = parts.collect::<Result<Vec<_>, _>>()?;
        let most = parts.iter().map(|part| part.log_density).fold(f64::NEG_INFINITY, f64::max);
        let shares: Vec<f64> = parts.iter().map(|part| (part.log_density - most).exp()).collect();
        let total: f64 = shares.iter().sum();
        let mut posterior = Posterior { mean: values.to_vec(), variance: vec![0.0; self.width] };
        for (row, &at) in hidden.iter().enumerate() {
            let (mut mean, mut square) = (0.0, 0.0);
            for (part, share) in parts.iter().zip(&shares) {
                let share = share / total;
                mean += share * part.mean[row];
                square += share * (part.variance[row] + part.mean[row].powi(2));
            }
            posterior.mean[at] = mean as f32;
            posterior.variance[at] = (square - mean * mean).max(0.0) as f32;
        }
        Ok(posterior)
    }

    /// One component's density of the known numbers, and what it says of the others.
    ///
    /// One factorisation of the covariance, known numbers first, has all of it: its first rows give the density, the
    /// rows below them the shift of the mean, and what is left of those rows the variance.
    fn conditional(&self, component: usize, given: &Given<'_>) -> Result<Conditional, ModelError> {
        let Given { values, order, known, noise } = *given;
        let width = self.width;
        let packed = &self.covariances[component * triangle(width)..][..triangle(width)];
        let mean = &self.means[component * width..][..width];
        let mut lower = vec![0.0_f64; width * width];
        for (row, &at) in order.iter().enumerate() {
            for (column, &other) in order[..=row].iter().enumerate() {
                let (high, low) = (at.max(other), at.min(other));
                lower[row * width + column] = f64::from(packed[triangle(high) + low]);
            }
            if row < known {
                lower[row * width + row] += noise;
            }
        }
        factorise(&mut lower, width).ok_or_else(|| ModelError::Tensor {
            name: COVARIANCES.to_owned(),
            reason: format!("component {component} is not positive definite"),
        })?;
        let mut whitened = vec![0.0; known];
        let mut log_density = f64::from(self.log_weights[component]);
        for row in 0..known {
            let own = &lower[row * width..][..=row];
            let rest = f64::from(values[order[row]]) - f64::from(mean[order[row]]);
            whitened[row] = (rest - dot(&own[..row], &whitened[..row])) / own[row];
            log_density -= 0.5 * whitened[row].powi(2) + own[row].ln();
        }
        let rows = known..width;
        let of = |row: usize| &lower[row * width..][..=row];
        Ok(Conditional {
            log_density,
            mean: rows.clone().map(|row| f64::from(mean[order[row]]) + dot(&of(row)[..known], &whitened)).collect(),
            variance: rows.map(|row| of(row)[known..].iter().map(|value| value * value).sum()).collect(),
        })
    }

    /// Returns the tensors of a file: name, shape, numbers.
    #[must_use]
    pub fn tensors(&self) -> [(&'static str, Vec<usize>, &[f32]); 3] {
        let components = self.log_weights.len();
        [
            (WEIGHTS, vec![components], &self.log_weights),
            (MEANS, vec![components, self.width], &self.means),
            (COVARIANCES, vec![components, triangle(self.width)], &self.covariances),
        ]
    }

    /// Writes the bytes of a safetensors file.
    ///
    /// # Errors
    /// The file format refuses the tensors.
    pub fn to_bytes(&self) -> Result<Vec<u8>, ModelError> {
        let tensors: BTreeMap<&str, (Vec<usize>, &[f32])> =
            self.tensors().into_iter().map(|(name, shape, numbers)| (name, (shape, numbers))).collect();
        write_tensors(&tensors)
    }

    /// Reads the bytes of a safetensors file of a mixture over `width` numbers with so many components.
    ///
    /// # Errors
    /// A tensor is missing, of another shape, or not finite.
    pub fn from_bytes(bytes: &[u8], width: usize, components: usize) -> Result<Self, ModelError> {
        let tensors = Tensors::read(bytes)?;
        Self::try_new(
            width,
            tensors.take(WEIGHTS, &[components])?,
            tensors.take(MEANS, &[components, width])?,
            tensors.take(COVARIANCES, &[components, triangle(width)])?,
        )
    }
}

/// What is known, and in which order the numbers are taken: the known ones first.
struct Given<'a> {
    values: &'a [f32],
    order: &'a [usize],
    known: usize,
    noise: f64,
}

/// One component's answer.
struct Conditional {
    log_density: f64,
    mean: Vec<f64>,
    variance: Vec<f64>,
}

/// Returns how many numbers the lower triangle of a matrix has, its diagonal included.
#[must_use]
pub const fn triangle(width: usize) -> usize {
    width * (width + 1) / 2
}

/// Turns the lower triangle of a symmetric matrix, row by row, into its Cholesky factor.
pub(crate) fn factorise(lower: &mut [f64], width: usize) -> Option<()> {
    for row in 0..width {
        let (above, below) = lower.split_at_mut(row * width);
        for column in 0..row {
            let other = &above[column * width..][..=column];
            below[column] = (below[column] - dot(&below[..column], &other[..column])) / other[column];
        }
        let rest = below[row] - dot(&below[..row], &below[..row]);
        if rest <= 0.0 || !rest.is_finite() {
            return None;
        }
        below[row] = rest.sqrt();
    }
    Some(())
}

/// Sums products in four lanes, so that they are taken side by side.
pub(crate) fn dot(a: &[f64], b: &[f64]) -> f64 {
    let mut lanes = [0.0; 4];
    let (a_lanes, a_rest) = a.as_chunks::<4>();
    let (b_lanes, b_rest) = b.as_chunks::<4>();
    for (a, b) in a_lanes.iter().zip(b_lanes) {
        for lane in 0..4 {
            lanes[lane] += a[lane] * b[lane];
        }
    }
    let rest: f64 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
    (lanes[0] + lanes[1]) + (lanes[2] + lanes[3]) + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two components over three numbers.
    fn mixture() -> Mixture {
        let covariances = vec![1.0, 0.5, 2.0, 0.25, 0.1, 1.0, 0.5, 0.0, 0.5, 0.0, 0.0, 0.5];
        let means = vec![0.0, 1.0, 2.0, 5.0, 6.0, 7.0];
        Mixture::try_new(3, vec![0.4_f32.ln(), 0.6_f32.ln()], means, covariances).unwrap()
    }

    fn close(a: f32, b: f64) {
        assert!((f64::from(a) - b).abs() < 1e-5, "{a} is not {b}");
    }

    #[test]
    fn one_component_is_the_conditional_gaussian() {
        let one = Mixture::try_new(2, vec![0.0], vec![1.0, 2.0], vec![4.0, 1.0, 3.0]).unwrap();
        let posterior = one.posterior(&[3.0, f32::NAN], 0.0).unwrap();
        // mean 2 + 1/4 (3 − 1), variance 3 − 1/4.
        close(posterior.mean[0], 3.0);
        close(posterior.mean[1], 2.5);
        close(posterior.variance[0], 0.0);
        close(posterior.variance[1], 2.75);
        let noisy = one.posterior(&[3.0, f32::NAN], 1.0).unwrap();
        close(noisy.mean[1], 2.4);
    }

    #[test]
    fn nothing_known_is_the_mixtures_mean_and_variance() {
        let posterior = mixture().posterior(&[f32::NAN; 3], 0.0).unwrap();
        close(posterior.mean[0], 3.0);
        close(posterior.mean[2], 0.4 * 2.0 + 0.6 * 7.0);
        // Within: 0.4 · 1 + 0.6 · 0.5; between: 0.4 · 0.6 · 5².
        close(posterior.variance[0], 0.7 + 6.0);
    }

    #[test]
    fn known_numbers_choose_the_component_by_bayes_rule() {
        let posterior = mixture().posterior(&[2.5, f32::NAN, f32::NAN], 0.0).unwrap();
        let density = |x: f64, mean: f64, variance: f64| (-0.5 * (x - mean).powi(2) / variance).exp() / variance.sqrt();
        let (first, second) = (0.4 * density(2.5, 0.0, 1.0), 0.6 * density(2.5, 5.0, 0.5));
        let share = first / (first + second);
        close(posterior.mean[1], share * (1.0 + 0.5 * 2.5) + (1.0 - share) * 6.0);
        let near = mixture().posterior(&[f32::NAN, f32::NAN, 7.0], 0.0).unwrap();
        assert!((near.mean[0] - 5.0).abs() < 0.05, "{near:?}");
    }

    #[test]
    fn a_file_brings_it_back_and_a_broken_one_is_refused() {
        let bytes = mixture().to_bytes().unwrap();
        assert_eq!(Mixture::from_bytes(&bytes, 3, 2).unwrap(), mixture());
        assert!(Mixture::from_bytes(&bytes, 4, 2).is_err());
        assert!(Mixture::try_new(2, vec![0.0], vec![f32::NAN, 0.0], vec![1.0, 0.0, 1.0]).is_err());
        let flat = Mixture::try_new(2, vec![0.0], vec![0.0, 0.0], vec![1.0, 1.0, 1.0]).unwrap();
        assert!(flat.posterior(&[1.0, f32::NAN], 0.0).is_err(), "singular");
    }
}
