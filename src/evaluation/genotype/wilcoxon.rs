//! Wilcoxon's signed-rank test of paired differences.
//!
//! Imports nothing. Differences within the tolerance of zero are dropped (Wilcoxon's own treatment). Up to
//! [`EXACT_UP_TO`] differences without equal magnitudes the distribution is counted out; otherwise it is the normal
//! one, with the variance corrected for ties and half a rank of continuity (Wilcoxon 1945; Lehmann 1975).

use std::f64::consts::PI;

/// The most differences for which the exact distribution is used.
pub const EXACT_UP_TO: usize = 25;

/// The test's result.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SignedRank {
    /// Differences that were not dropped.
    pub n: usize,
    /// Sum of the ranks of positive differences.
    pub positive: f64,
    /// Rank-biserial correlation: positive minus negative ranks over all of them, −1 to 1; 0 without differences.
    pub effect: f64,
    /// Two-sided p; 1 without differences.
    pub p: f64,
}

/// Tests whether differences lie around zero; those of magnitude below `tolerance` count as zero and are dropped.
///
/// ```
/// use tissuecast::evaluation::genotype::wilcoxon::signed_rank;
/// let test = signed_rank(&[0.5, 1.0, 2.0, 0.0, 3.0, 4.5], 1e-9);
/// assert_eq!((test.n, test.positive), (5, 15.0));
/// assert!((test.p - 2.0 / 32.0).abs() < 1e-12);
/// ```
#[must_use]
pub fn signed_rank(differences: &[f64], tolerance: f64) -> SignedRank {
    let mut kept: Vec<f64> = differences.iter().copied().filter(|d| d.abs() >= tolerance && *d != 0.0).collect();
    kept.sort_by(|a, b| a.abs().total_cmp(&b.abs()));
    let n = kept.len();
    if n == 0 {
        return SignedRank { n, positive: 0.0, effect: 0.0, p: 1.0 };
    }
    let (mut positive, mut ties, mut from) = (0.0, 0.0, 0);
    for group in kept.chunk_by(|a, b| a.abs().total_cmp(&b.abs()).is_eq()) {
        let size = group.len() as f64;
        let rank = from as f64 + f64::midpoint(size, 1.0);
        positive += rank * group.iter().filter(|d| **d > 0.0).count() as f64;
        ties += size.powi(3) - size;
        from += group.len();
    }
    let count = n as f64;
    let total = count * (count + 1.0) / 2.0;
    let p = if n <= EXACT_UP_TO && ties == 0.0 {
        exact(n, positive.min(total - positive))
    } else {
        let variance = count * (count + 1.0) * (2.0 * count + 1.0) / 24.0 - ties / 48.0;
        let distance = ((positive - total / 2.0).abs() - 0.5).max(0.0);
        2.0 * upper_tail(distance / variance.sqrt())
    };
    SignedRank { n, positive, effect: 2.0 * positive / total - 1.0, p: p.min(1.0) }
}

/// Returns twice the probability of a rank sum up to `smaller`, from the number of subsets of 1..=n with each sum.
fn exact(n: usize, smaller: f64) -> f64 {
    let mut subsets = vec![0.0f64; n * (n + 1) / 2 + 1];
    subsets[0] = 1.0;
    for rank in 1..=n {
        for sum in (rank..subsets.len()).rev() {
            subsets[sum] += subsets[sum - rank];
        }
    }
    let below: f64 = subsets.iter().enumerate().filter(|(sum, _)| *sum as f64 <= smaller).map(|(_, count)| count).sum();
    2.0 * below / (n as f64).exp2()
}

/// Returns the probability that a standard normal number exceeds `z`, which is not negative.
///
/// Near zero by the series of the integral, further out by the continued fraction of Mills' ratio (Abramowitz and
/// Stegun 26.2.11 and 26.2.14): the relative error stays below 1e-12 down to the smallest numbers.
fn upper_tail(z: f64) -> f64 {
    let density = (-z * z / 2.0).exp() / (2.0 * PI).sqrt();
    if z < 2.5 {
        let (mut term, mut sum) = (z, z);
        for odd in 1..100 {
            term *= z * z / f64::from(2 * odd + 1);
            sum += term;
        }
        return 0.5 - density * sum;
    }
    let fraction = (1..=200).rev().fold(0.0, |below, k| f64::from(k) / (z + below));
    density / (z + fraction)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A sequence with both signs, reproduced in Python to ask scipy.
    fn sequence(square: usize, linear: usize, modulus: usize, less: f64, over: f64) -> impl Fn(usize) -> f64 {
        move |k| ((square * k * k + linear * k) % modulus) as f64 / over - less / over
    }

    fn close(found: f64, expected: f64) {
        assert!((found / expected - 1.0).abs() < 1e-9, "{found} is not {expected}");
    }

    // Recorded from scipy 1.17.1: scipy.stats.wilcoxon(x, zero_method="wilcox", correction=True, method=m), m being
    // "exact" in the first test and "asymptotic" in the second (x without its zeros in the exact cases).

    #[test]
    fn exact_values_are_those_of_scipy() {
        close(signed_rank(&[0.953, -0.147, 1.022, 0.43, 0.62, 0.59, 0.49, -0.08, 0.01], 1e-9).p, 0.039_062_5);
        close(signed_rank(&[0.5, -0.25, 1.0, 2.0, -0.125, 3.0, 4.5], 1e-9).p, 0.078_125);
        let zeros = signed_rank(&[3.0, 0.0, -1.0, 1e-12, 2.0, -1e-10], 1e-9);
        assert_eq!(zeros.n, 3);
        close(zeros.p, 0.5);
        let base = sequence(7, 3, 53, 20.0, 16.0);
        let x: Vec<f64> = (1..=25).map(|k| base(k) + k as f64 / 1024.0).collect();
        close(signed_rank(&x, 1e-9).p, 0.014_722_049_236_297_607);
    }

    #[test]
    fn approximate_values_are_those_of_scipy() {
        let base = sequence(7, 3, 53, 20.0, 16.0);
        let x: Vec<f64> = (1..=26).map(|k| base(k) + k as f64 / 1024.0).collect();
        close(signed_rank(&x, 1e-9).p, 0.009_581_054_033_159_137);
        let few = [1, 1, -1, 2, 2, -2, 3, 0, 0, 4, -4, 5, 5, 5, 0, -6, 7, 8].map(f64::from);
        close(signed_rank(&few, 1e-9).p, 0.077_510_907_425_610_25);
        let base = sequence(5, 11, 29, 12.0, 4.0);
        let tied: Vec<f64> = (0..200).map(base).collect();
        let test = signed_rank(&tied, 1e-9);
        assert_eq!(test.n, 187);
        close(test.p, 0.025_363_597_918_808_052);
        let base = sequence(5, 11, 97, 20.0, 64.0);
        let many: Vec<f64> = (0..1_000).map(|k| base(k) + k as f64 / 65_536.0).collect();
        close(signed_rank(&many, 1e-9).p, 2.372_568_381_768_987_5e-103);
    }

    #[test]
    fn both_sides_are_alike_and_nothing_differs_without_differences() {
        let x = [1.0, 1.0, -2.0, 3.5, 4.0, -0.5];
        let turned = x.map(|d: f64| -d);
        let (one, other) = (signed_rank(&x, 1e-9), signed_rank(&turned, 1e-9));
        assert!((one.p - other.p).abs() < 1e-15 && (one.effect + other.effect).abs() < 1e-15);
        let none = signed_rank(&[0.0, 1e-10, -1e-11], 1e-9);
        assert!(none.n == 0 && (none.p - 1.0).abs() < 1e-15 && none.effect.abs() < 1e-15);
        assert!((signed_rank(&[1.0, -1.0], 1e-9).p - 1.0).abs() < 1e-12, "balanced");
    }

    #[test]
    fn the_normal_tail_is_that_of_scipy() {
        // scipy 1.17.1: scipy.stats.norm.sf(z).
        let values = [
            (0.0, 0.5),
            (0.3, 0.382_088_577_811_047_4),
            (1.0, 0.158_655_253_931_457_07),
            (2.4, 0.008_197_535_924_596_131),
            (2.6, 0.004_661_188_023_718_747),
            (5.0, 2.866_515_718_791_933e-7),
            (10.0, 7.619_853_024_160_47e-24),
            (30.0, 4.906_713_927_147_908e-198),
        ];
        for (z, expected) in values {
            assert!((upper_tail(z) / expected - 1.0).abs() < 1e-11, "{z}");
        }
    }
}
