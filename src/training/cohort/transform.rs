//! Expression values before training: ranks as normal scores.
//!
//! Imports nothing of the crate. Invariant: the scores depend on the values' order alone.

/// What is done with a gene's expression values, over the people that are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Transform {
    /// The normal score of the rank: the quantile of (rank − 0.5)/n, ties sharing their mean rank.
    #[default]
    InverseNormal,
    /// The values as they are.
    None,
}

impl Transform {
    /// Returns the name by which commands and cards speak of it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::InverseNormal => "inverse-normal",
            Self::None => "none",
        }
    }

    /// Parses a name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::InverseNormal, Self::None].into_iter().find(|transform| transform.name() == text)
    }
}

/// Normal scores of `people` values, each computed once.
pub(super) struct NormalScores {
    /// By twice the mean rank: ties give halves.
    by_double_rank: Vec<f64>,
}

impl NormalScores {
    pub(super) fn new(people: usize) -> Self {
        let score = |double: usize| quantile((double as f64 / 2.0 - 0.5) / people as f64);
        // Twice the ranks 1 to n; the first two are never asked for.
        Self { by_double_rank: (0..=2 * people).map(|double| if double < 2 { 0.0 } else { score(double) }).collect() }
    }

    /// Replaces values by the scores of their ranks; none may be NaN.
    pub(super) fn apply(&self, values: &mut [f64]) {
        let mut order: Vec<usize> = (0..values.len()).collect();
        order.sort_by(|a, b| values[*a].total_cmp(&values[*b]));
        let mut from = 0;
        while from < order.len() {
            let value = values[order[from]];
            // Equal as numbers: 0 and −0 are one value.
            let same = order[from..].iter().take_while(|at| values[**at] <= value).count();
            // Ranks from + 1 to from + same.
            let score = self.by_double_rank.get(2 * from + same + 1).copied().unwrap_or(0.0);
            for at in &order[from..from + same] {
                values[*at] = score;
            }
            from += same;
        }
    }
}

/// The standard normal distribution's quantile: Newton's method on the distribution function.
fn quantile(share: f64) -> f64 {
    if share > 0.5 {
        return -quantile(1.0 - share);
    }
    let density = |x: f64| (-0.5 * x * x).exp() / std::f64::consts::TAU.sqrt();
    // From the tail's approximation √(−2 ln p), which lies outside of the root: convex there, so that it converges.
    let mut x = -(-2.0 * (2.0 * share).ln()).max(0.0).sqrt();
    for _ in 0..60 {
        let step = (distribution(x) - share) / density(x);
        x -= step;
        if step.abs() < 1e-14 {
            break;
        }
    }
    x
}

/// The standard normal distribution function for x ≤ 0.
fn distribution(x: f64) -> f64 {
    let density = (-0.5 * x * x).exp() / std::f64::consts::TAU.sqrt();
    if x < -4.0 {
        // Laplace's continued fraction of the tail.
        return density / (1..60).rev().fold(-x, |below, k| -x + f64::from(k) / below);
    }
    // Φ(x) = ½ + φ(x)(x + x³/3 + x⁵/(3·5) + …).
    let (mut term, mut sum, mut odd) = (x, x, 1.0);
    while term.abs() > 1e-18 {
        odd += 2.0;
        term *= x * x / odd;
        sum += term;
    }
    0.5 + density * sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_the_tables() {
        // Known to ten digits.
        let table = [
            (0.975, 1.959_963_984_540_054),
            (0.5, 0.0),
            (0.841_344_746_068_542_9, 1.0),
            (0.001_349_898_031_630_094_6, -3.0),
            (2.866_515_718_791_939e-7, -5.0),
        ];
        for (share, expected) in table {
            assert!((quantile(share) - expected).abs() < 1e-9, "{share}: {} is not {expected}", quantile(share));
        }
    }

    #[test]
    fn ties_share_their_mean_rank_and_scores_keep_the_order() {
        let mut values = vec![3.0, 10.0, 3.0, -1.0];
        NormalScores::new(4).apply(&mut values);
        let expected = [0.0, quantile(0.875), 0.0, quantile(0.125)];
        for (value, expected) in values.iter().zip(expected) {
            assert!((value - expected).abs() < 1e-12, "{values:?}");
        }
        let once = values.clone();
        NormalScores::new(4).apply(&mut values);
        assert_eq!(once, values, "scores are their own scores");
    }
}
