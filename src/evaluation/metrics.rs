//! Accuracy of one gene's profile, and of many: correlation error, mean squared error, bootstrap over genes.
//!
//! Imports `model`'s scales only. Invariant: everything random comes from a passed seed.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::model::Scale;

/// The values that a correlation is taken over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// The dataset's unit; a gene's min–max scaling does not change it, so that it is the published one.
    Scaled,
    /// log2(1 + x) of the dataset's unit.
    Log,
}

/// How well one gene's profile was predicted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GeneScore {
    /// 1 − Pearson r over tissues in the dataset's unit.
    pub scaled: f64,
    /// 1 − Pearson r over tissues in log2(1 + x); NaN where the model gives a shape without a level.
    pub log: f64,
    /// Mean squared error over tissues, on the model's scale.
    pub mse: f64,
    /// Whether the prediction was the same in all tissues: its correlation is not defined and counts as 0.
    pub constant: bool,
}

impl GeneScore {
    /// Scores a prediction on `scale` against what was measured, in the dataset's unit.
    ///
    /// A prediction on the log scale is brought back to the unit, 2^p − 1, for the scaled metric.
    #[must_use]
    pub fn new(measured: &[f32], predicted: &[f32], scale: Scale) -> Self {
        let truth = scale.forward(measured);
        let squares = truth.iter().zip(predicted).map(|(t, p)| (f64::from(*t) - f64::from(*p)).powi(2));
        let mse = squares.sum::<f64>() / truth.len().max(1) as f64;
        let (linear, log) = match scale {
            Scale::MinMax => (pearson(measured, predicted), None),
            Scale::Log2 => {
                let unit: Vec<f32> = predicted.iter().map(|p| p.exp2() - 1.0).collect();
                (pearson(measured, &unit), Some(pearson(&truth, predicted)))
            }
        };
        let error = |r: Option<f64>| 1.0 - r.unwrap_or(0.0);
        let constant = linear.is_none() || log == Some(None);
        Self { scaled: error(linear), log: log.map_or(f64::NAN, error), mse, constant }
    }

    /// Returns 1 − Pearson r, NaN where the metric does not apply.
    #[must_use]
    pub const fn error(&self, metric: Metric) -> f64 {
        match metric {
            Metric::Scaled => self.scaled,
            Metric::Log => self.log,
        }
    }
}

/// Returns Pearson's correlation, or `None` where one side is the same everywhere, not finite, or shorter than two.
///
/// ```
/// use tissuecast::evaluation::metrics::pearson;
/// assert!((pearson(&[1.0, 2.0, 3.0], &[2.0, 4.0, 6.0]).unwrap_or(0.0) - 1.0).abs() < 1e-12);
/// assert_eq!(pearson(&[1.0, 2.0, 3.0], &[5.0, 5.0, 5.0]), None);
/// ```
#[must_use]
pub fn pearson(a: &[f32], b: &[f32]) -> Option<f64> {
    let n = a.len() as f64;
    if a.len() < 2 || a.len() != b.len() {
        return None;
    }
    let mean = |values: &[f32]| values.iter().map(|value| f64::from(*value)).sum::<f64>() / n;
    let (mean_a, mean_b) = (mean(a), mean(b));
    let (mut ab, mut aa, mut bb) = (0.0, 0.0, 0.0);
    for (x, y) in a.iter().zip(b) {
        let (x, y) = (f64::from(*x) - mean_a, f64::from(*y) - mean_b);
        ab += x * y;
        aa += x * x;
        bb += y * y;
    }
    // Equal f32 values may leave a rounding error behind after their f64 mean is taken off.
    let flat = |sum: f64, mean: f64| sum <= n * (mean.abs() * 1e-12).powi(2);
    if flat(aa, mean_a) || flat(bb, mean_b) {
        return None;
    }
    let r = ab / (aa.sqrt() * bb.sqrt());
    r.is_finite().then_some(r.clamp(-1.0, 1.0))
}

/// Returns the arithmetic mean; NaN of nothing.
#[must_use]
pub fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// Returns the `share` quantile (0 to 1), interpolated between order statistics; NaN of nothing.
#[must_use]
pub fn quantile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let Some(last) = sorted.len().checked_sub(1) else { return f64::NAN };
    let place = share.clamp(0.0, 1.0) * last as f64;
    let below = place.floor();
    #[expect(clippy::cast_sign_loss, reason = "the place lies between 0 and the last index")]
    let (low, high) = (below as usize, place.ceil() as usize);
    sorted[low] + (sorted[high] - sorted[low]) * (place - below)
}

/// Returns the median; NaN of nothing.
#[must_use]
pub fn median(values: &[f64]) -> f64 {
    quantile(values, 0.5)
}

/// Returns the bounds that hold the middle 95 % of the values.
#[must_use]
pub fn interval(values: &[f64]) -> [f64; 2] {
    [quantile(values, 0.025), quantile(values, 0.975)]
}

/// Draws genes with replacement, `resamples` times, and returns every column's mean in every resample.
///
/// All columns, one number a gene, are drawn together: the difference of two columns' means in one resample is a
/// paired one. Each resample has a generator of its own, so that the result does not depend on threads.
#[must_use]
pub fn bootstrap_means(columns: &[&[f64]], resamples: usize, seed: u64) -> Vec<Vec<f64>> {
    let genes = columns.first().map_or(0, |column| column.len());
    let resample = |at: usize| {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(at as u64);
        let mut counts = vec![0.0f64; genes];
        for _ in 0..genes {
            counts[rng.random_range(0..genes)] += 1.0;
        }
        let weighted = |column: &&[f64]| {
            counts.iter().zip(*column).map(|(count, value)| if *count > 0.0 { count * value } else { 0.0 }).sum::<f64>()
        };
        columns.iter().map(|column| weighted(column) / genes as f64).collect::<Vec<f64>>()
    };
    let rows: Vec<Vec<f64>> = (0..resamples).into_par_iter().map(resample).collect();
    (0..columns.len()).map(|column| rows.iter().map(|row| row[column]).collect()).collect()
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "the expected numbers are exact")]
mod tests {
    use super::*;

    #[test]
    fn a_perfect_prediction_has_no_error_on_either_scale() {
        let measured = [0.0, 3.0, 1.0, 7.5];
        for scale in [Scale::MinMax, Scale::Log2] {
            let score = GeneScore::new(&measured, &scale.forward(&measured), scale);
            assert!(score.scaled.abs() < 1e-6 && score.mse < 1e-12 && !score.constant, "{score:?}");
            assert_eq!(score.log.is_nan(), scale == Scale::MinMax, "{score:?}");
        }
    }

    #[test]
    fn scales_are_told_apart() {
        // log2(1 + x) of what was measured is 1, 2, 3; the prediction is 1, 15, 15 in the unit.
        let score = GeneScore::new(&[1.0, 3.0, 7.0], &[1.0, 4.0, 4.0], Scale::Log2);
        assert!((score.log - (1.0 - 0.75f64.sqrt())).abs() < 1e-6, "{score:?}");
        let scaled = GeneScore::new(&[1.0, 3.0, 7.0], &[1.0, 15.0, 15.0], Scale::MinMax).scaled;
        assert!((score.scaled - scaled).abs() < 1e-6 && (scaled - 0.244_071_1).abs() < 1e-6, "{score:?} {scaled}");
        assert!((score.mse - (0.0 + 4.0 + 1.0) / 3.0).abs() < 1e-9);
    }

    #[test]
    fn a_constant_prediction_counts_as_no_correlation() {
        for scale in [Scale::MinMax, Scale::Log2] {
            let score = GeneScore::new(&[1.0, 2.0, 3.0], &[0.1, 0.1, 0.1], scale);
            assert!(score.constant && score.scaled == 1.0, "{score:?}");
        }
    }

    #[test]
    fn quantiles_interpolate() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(quantile(&[0.0, 1.0], 0.25), 0.25);
        assert!(median(&[]).is_nan());
    }

    #[test]
    fn the_bootstrap_is_seeded_paired_and_of_the_right_width() {
        let a: Vec<f64> = (0..400).map(|at| f64::from(at % 20)).collect();
        let b: Vec<f64> = a.iter().map(|value| value + 1.0).collect();
        let means = bootstrap_means(&[&a, &b], 500, 9);
        assert_eq!(means, bootstrap_means(&[&a, &b], 500, 9));
        assert_ne!(means, bootstrap_means(&[&a, &b], 500, 10));
        assert!(means[0].iter().zip(&means[1]).all(|(a, b)| (b - a - 1.0).abs() < 1e-9), "paired");
        let [low, high] = interval(&means[0]);
        // sd of 0..20 is 5.77: the mean of 400 has a standard error of 0.288.
        assert!((high - low - 2.0 * 1.96 * 0.288).abs() < 0.15, "{low} {high}");
        assert!(low < 9.5 && 9.5 < high);
    }
}
