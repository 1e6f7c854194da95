//! Where elastic nets put their weight: a conditional logit of variants' annotations, shared by all genes.
//!
//! Within a gene, a variant's expected share of the weight is the softmax of `θᵀa` over the gene's variants; `θ` is
//! fitted to the shares that plain elastic nets gave, and turned into penalty factors for the next fit. Source: the
//! conditional logit of D. `McFadden`, "Conditional logit analysis of qualitative choice behavior" (1974). Genes are summed
//! over in a fixed order, so that the result does not depend on the number of threads. Imports nothing of the crate.

use nalgebra::{Cholesky, DMatrix, DVector};
use rayon::prelude::*;

/// Newton steps at most; a handful suffices.
const STEPS: usize = 50;
/// Halvings of a step before the fit counts as settled.
const HALVINGS: usize = 30;
/// Genes that one thread sums up at a time.
const BATCH: usize = 16;
/// Largest penalty factor over the smallest of a gene.
const LARGEST_RATIO: f64 = 100.0;

/// One gene's variants: what is known of each, and its share of the gene's weight.
#[derive(Debug, Clone, Copy)]
pub struct GeneShares<'a> {
    /// variants × annotations, row-major; every value must be finite.
    pub annotations: &'a [f32],
    /// A share a variant, not negative, with sum 1; a gene whose shares are all 0 is skipped.
    pub shares: &'a [f32],
}

/// Fits the coefficients of the annotations.
///
/// They maximise the sum over genes and variants of `share × log softmax(θᵀa)` less `ridge ‖θ‖²/2`, by Newton's method
/// with halved steps. An annotation that does not differ within any gene gets 0, by the ridge or without one.
///
/// # Panics
/// A gene has not one share a row of annotations.
#[must_use]
pub fn fit(genes: &[GeneShares<'_>], annotations: usize, ridge: f64) -> Vec<f64> {
    let mut theta = DVector::zeros(annotations);
    if annotations == 0 {
        return Vec::new();
    }
    let mut here = Sums::of(genes, &theta, ridge, true);
    for _ in 0..STEPS {
        let Some(step) = here.newton_step() else { break };
        // Twice the gain that a quadratic objective would have.
        let expected = step.dot(&here.gradient);
        if expected <= 1e-10 * (1.0 + here.value.abs()) {
            break;
        }
        let mut share = 1.0;
        let better = (0..HALVINGS).find_map(|_| {
            let next = &theta + &step * share;
            let value = Sums::of(genes, &next, ridge, false).value;
            let enough = value >= here.value + 1e-4 * share * expected;
            share /= 2.0;
            enough.then_some(next)
        });
        let Some(next) = better else { break };
        theta = next;
        here = Sums::of(genes, &theta, ridge, true);
    }
    theta.as_slice().to_vec()
}

/// Turns one gene's annotations into penalty factors of mean 1: `exp(−strength θᵀa)`.
///
/// `annotations` has one row of as many values as `theta` a variant. Factors are kept within ten times of their median,
/// so that none exceeds another a hundredfold: a shared guess must not rule a variant out.
#[must_use]
pub fn penalty_factors(theta: &[f64], strength: f64, annotations: &[f32]) -> Vec<f64> {
    if theta.is_empty() {
        return Vec::new();
    }
    let score =
        |row: &[f32]| -strength * row.iter().zip(theta).map(|(&value, theta)| f64::from(value) * theta).sum::<f64>();
    let scores: Vec<f64> = annotations.chunks_exact(theta.len()).map(score).collect();
    let mut sorted = scores.clone();
    sorted.sort_unstable_by(f64::total_cmp);
    let Some(&median) = sorted.get(sorted.len() / 2) else { return Vec::new() };
    let bound = LARGEST_RATIO.ln() / 2.0;
    let factors: Vec<f64> = scores.iter().map(|score| (score - median).clamp(-bound, bound).exp()).collect();
    let mean = factors.iter().sum::<f64>() / factors.len() as f64;
    factors.into_iter().map(|factor| factor / mean).collect()
}

/// The objective at one θ, with its gradient and the negative of its second derivative where asked for.
#[derive(Debug, Clone)]
struct Sums {
    value: f64,
    gradient: DVector<f64>,
    curvature: DMatrix<f64>,
}

impl Sums {
    fn zero(annotations: usize) -> Self {
        let (gradient, curvature) = (DVector::zeros(annotations), DMatrix::zeros(annotations, annotations));
        Self { value: 0.0, gradient, curvature }
    }

    fn of(genes: &[GeneShares<'_>], theta: &DVector<f64>, ridge: f64, derivatives: bool) -> Self {
        let batch = |genes: &[GeneShares<'_>]| {
            let mut sums = Self::zero(theta.len());
            for gene in genes {
                sums.add(*gene, theta, derivatives);
            }
            sums
        };
        let batches: Vec<Self> = genes.par_chunks(BATCH).map(batch).collect();
        let mut total = Self::zero(theta.len());
        for sums in batches {
            total.value += sums.value;
            total.gradient += sums.gradient;
            total.curvature += sums.curvature;
        }
        total.value -= ridge * theta.norm_squared() / 2.0;
        total.gradient -= theta * ridge;
        for at in 0..theta.len() {
            total.curvature[(at, at)] += ridge;
        }
        total
    }

    fn add(&mut self, gene: GeneShares<'_>, theta: &DVector<f64>, derivatives: bool) {
        let (width, variants) = (theta.len(), gene.shares.len());
        assert_eq!(gene.annotations.len(), variants * width, "one share a row of annotations");
        let weight: f64 = gene.shares.iter().map(|&share| f64::from(share)).sum();
        if weight <= 0.0 {
            return;
        }
        let values = gene.annotations.iter().map(|&value| f64::from(value)).collect();
        let annotations = DMatrix::from_vec(width, variants, values);
        let scores = annotations.tr_mul(theta);
        let largest = scores.max();
        let mut expected = scores.map(|score| (score - largest).exp());
        let sum = expected.sum();
        expected /= sum;
        let normaliser = largest + sum.ln();
        let shares = gene.shares.iter().zip(scores.iter());
        self.value += shares.map(|(&share, score)| f64::from(share) * (score - normaliser)).sum::<f64>();
        if !derivatives {
            return;
        }
        let shares = DVector::from_iterator(variants, gene.shares.iter().map(|&share| f64::from(share)));
        self.gradient += &annotations * (shares - &expected * weight);
        let mean = &annotations * &expected;
        let mut spread = annotations;
        for (mut column, share) in spread.column_iter_mut().zip(expected.iter()) {
            column -= &mean;
            column *= (share * weight).sqrt();
        }
        self.curvature.gemm(1.0, &spread, &spread.transpose(), 1.0);
    }

    /// The step to where a quadratic objective would be greatest; `None` where there is none.
    fn newton_step(&self) -> Option<DVector<f64>> {
        let mut curvature = self.curvature.clone();
        // An annotation that never differs within a gene has no curvature: it stays where it is.
        let least = 1e-9 * curvature.diagonal().max();
        if least <= 0.0 {
            return None;
        }
        for at in 0..curvature.nrows() {
            curvature[(at, at)] += least;
        }
        Some(Cholesky::new(curvature)?.solve(&self.gradient))
    }
}

#[cfg(test)]
mod tests {
    use rand::seq::SliceRandom;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    const THETA: [f64; 3] = [1.2, -0.7, 0.0];

    struct Genes(Vec<(Vec<f32>, Vec<f32>)>);

    impl Genes {
        /// Genes whose shares are each one variant's, drawn by the model itself.
        fn simulate(genes: usize, seed: u64) -> Self {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let gene = |_| {
                let variants = rng.random_range(5..60);
                let annotations: Vec<f32> = (0..3 * variants).map(|_| rng.random_range(-1.5..1.5)).collect();
                let score = |row: &[f32]| row.iter().zip(THETA).map(|(&a, theta)| f64::from(a) * theta).sum::<f64>();
                let odds: Vec<f64> = annotations.chunks_exact(3).map(|row| score(row).exp()).collect();
                let mut left = rng.random_range(0.0..odds.iter().sum());
                let chosen = odds.iter().position(|odds| {
                    left -= odds;
                    left < 0.0
                });
                let mut shares = vec![0.0; variants];
                shares[chosen.unwrap_or(0)] = 1.0;
                (annotations, shares)
            };
            Self((0..genes).map(gene).collect())
        }

        fn shares(&self) -> Vec<GeneShares<'_>> {
            self.0.iter().map(|(annotations, shares)| GeneShares { annotations, shares }).collect()
        }
    }

    #[test]
    fn coefficients_that_made_the_shares_are_found_again() {
        let mut genes = Genes::simulate(3_000, 1);
        genes.0.push((vec![1.0; 6], vec![0.0; 2]));
        genes.0.push((Vec::new(), Vec::new()));
        let theta = fit(&genes.shares(), 3, 1.0);
        for (found, expected) in theta.iter().zip(THETA) {
            assert!((found - expected).abs() < 0.1, "{theta:?}");
        }
        let strong = fit(&genes.shares(), 3, 1e7);
        assert!(strong.iter().all(|theta| theta.abs() < 1e-2), "{strong:?}");
    }

    #[test]
    fn permuted_annotations_say_nothing() {
        let mut genes = Genes::simulate(3_000, 2);
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        genes.0.iter_mut().for_each(|(_, shares)| shares.shuffle(&mut rng));
        let theta = fit(&genes.shares(), 3, 1.0);
        assert!(theta.iter().all(|theta| theta.abs() < 0.08), "{theta:?}");
    }

    #[test]
    fn the_derivatives_agree_with_finite_differences() {
        let genes = Genes::simulate(40, 4);
        let at = |values: &[f64]| Sums::of(&genes.shares(), &DVector::from_column_slice(values), 0.7, true);
        let theta = [0.4, 0.2, -0.9];
        let here = at(&theta);
        let step = 1e-5;
        for along in 0..3 {
            let (mut up, mut down) = (theta, theta);
            up[along] += step;
            down[along] -= step;
            let (up, down) = (at(&up), at(&down));
            let slope = (up.value - down.value) / (2.0 * step);
            assert!((slope - here.gradient[along]).abs() < 1e-6 * (1.0 + slope.abs()));
            let curvature = (&down.gradient - &up.gradient) / (2.0 * step);
            assert!((curvature - here.curvature.column(along)).amax() < 1e-5);
        }
        let theta = fit(&genes.shares(), 3, 0.7);
        assert!(at(&theta).gradient.amax() < 1e-3, "the gradient is 0 at the greatest value");
    }

    #[test]
    fn annotations_that_do_not_differ_stay_without_effect() {
        let gene = (vec![1.0, 0.0, 1.0, 1.0, 1.0, 2.0], vec![0.0, 0.5, 0.5]);
        let genes = Genes(vec![gene; 20]);
        let theta = fit(&genes.shares(), 2, 0.0);
        assert!(theta[0].abs() < 1e-6 && theta[1] > 0.1, "{theta:?}");
        assert!(fit(&[], 2, 1.0).iter().all(|theta| *theta == 0.0));
        assert!(fit(&genes.shares()[..0], 0, 1.0).is_empty());
    }

    #[test]
    fn factors_are_bounded_with_mean_one() {
        let annotations: Vec<f32> = (0..20).map(|at| at as f32 / 2.0).collect();
        let factors = penalty_factors(&[2.0], 1.0, &annotations);
        let (least, largest) =
            (factors.iter().copied().fold(f64::MAX, f64::min), factors.iter().copied().fold(0.0, f64::max));
        assert!((factors.iter().sum::<f64>() / 20.0 - 1.0).abs() < 1e-12);
        assert!(largest / least <= LARGEST_RATIO * (1.0 + 1e-9) && largest / least > 90.0);
        assert!(factors.windows(2).all(|pair| pair[0] >= pair[1]), "a higher score, a lower penalty");
        assert!(penalty_factors(&[2.0], 0.0, &annotations).iter().all(|factor| (factor - 1.0).abs() < 1e-12));
        let mild = penalty_factors(&[0.1, -0.2], 0.5, &[1.0, 0.0, 0.0, 1.0]);
        assert!((mild[1] / mild[0] - (0.15_f64).exp()).abs() < 1e-7);
        assert!(penalty_factors(&[1.0], 1.0, &[]).is_empty());
    }
}
