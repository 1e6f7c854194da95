//! How much of an outcome the variants beside a gene explain together, by Haseman–Elston regression.
//!
//! Pairs of people who share more alleles should resemble each other more: the products of two people's standardised
//! outcomes are regressed on their relatedness. Used to choose heritable genes on training people alone; it fits no
//! weights, so that no method of prediction is favoured. Sources: Haseman and Elston, Behav. Genet. 2 (1972); Chen,
//! "Estimating heritability of complex traits from genome-wide association studies using IBS-based Haseman–Elston
//! regression", Front. Genet. 5 (2014). Imports `training::elastic_net`'s dosages alone.

use nalgebra::DMatrix;

use super::elastic_net::Dosages;

/// A variance below this share of the mean square is rounding: nothing varies.
const CONSTANT: f64 = 1e-10;

/// The evidence that variants explain an outcome, and how much of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct VarianceComponent {
    /// The score statistic, with mean 0 and a standard deviation of about 1 where nothing is explained.
    pub z: f64,
    /// The estimated share of the outcome's variance; unbounded, since noise alone may exceed 0 and 1.
    pub heritability: f64,
}

/// Returns the score statistic of [`variance_component`].
#[must_use]
pub fn variance_component_z(dosages: Dosages<'_>, y: &[f64], rows: &[usize]) -> f64 {
    variance_component(dosages, y, rows).z
}

/// Tests whether the variants explain the outcome of `rows`, which has one value of `y` each.
///
/// With `K` the relatedness of two people, the mean over variants of the product of their standardised dosages, and the
/// standardised outcome `y`, sums run over all pairs of different people:
/// `z = (Σ K y y − e) / √(Σ K²)` and the heritability is `(Σ K y y − e) / Σ K²`, where `e` is the mean of the first sum
/// over all orders of the outcome. (It is not 0, since neither `K` nor `y` has a mean to give away.)
///
/// The statistic is a sum of few independent terms where variants are in strong linkage disequilibrium, so that its
/// normal approximation is rough and skewed to the right: a threshold on it ranks genes, it is no p-value. Both numbers
/// are 0 where the outcome or all variants are constant.
///
/// # Panics
/// `y` has not one value a row.
#[must_use]
pub fn variance_component(dosages: Dosages<'_>, y: &[f64], rows: &[usize]) -> VarianceComponent {
    assert_eq!(y.len(), rows.len(), "one outcome a row");
    let nothing = VarianceComponent { z: 0.0, heritability: 0.0 };
    let mut outcome = y.to_vec();
    if rows.len() < 3 || !standardise(&mut outcome) {
        return nothing;
    }
    let mut standardised = Vec::with_capacity(dosages.variants() * rows.len());
    let mut row = Vec::with_capacity(rows.len());
    let mut varying = 0;
    for variant in dosages.values.chunks_exact(dosages.people.max(1)) {
        row.clear();
        row.extend(rows.iter().map(|&person| f64::from(variant[person])));
        if standardise(&mut row) {
            varying += 1;
            standardised.extend(row.iter().map(|&value| value as f32));
        }
    }
    let by_variant = DMatrix::from_vec(rows.len(), varying, standardised);
    let related = &by_variant * by_variant.transpose();
    let (mut products, mut sum, mut squares) = (0.0, 0.0, 0.0);
    for (person, own) in outcome.iter().enumerate() {
        for (other, value) in outcome[..person].iter().enumerate() {
            let related = f64::from(related[(other, person)]) / varying.max(1) as f64;
            products += related * own * value;
            sum += related;
            squares += related * related;
        }
    }
    if squares <= 0.0 {
        return nothing;
    }
    // Two different people's standardised outcomes have the mean product −1/(n − 1).
    let beyond = products + sum / (rows.len() as f64 - 1.0);
    VarianceComponent { z: beyond / squares.sqrt(), heritability: beyond / squares }
}

/// Brings values to mean 0 and variance 1 (divisor n); false where they do not vary.
fn standardise(values: &mut [f64]) -> bool {
    let n = (values.len() as f64).max(1.0);
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / n;
    let square = variance + mean * mean;
    let varies = variance > CONSTANT * square;
    if varies {
        for value in values {
            *value = (*value - mean) / variance.sqrt();
        }
    }
    varies
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    /// Dosages of 60 variants in 12 blocks, and noise of variance 1.
    fn simulate(people: usize, rng: &mut ChaCha8Rng) -> (Vec<f32>, Vec<f64>) {
        let mut values: Vec<f32> = Vec::new();
        for variant in 0..60 {
            for _ in 0..people {
                let fresh = variant % 5 == 0 || rng.random_bool(0.2);
                let drawn = f32::from(u8::from(rng.random_bool(0.3)) + u8::from(rng.random_bool(0.3)));
                values.push(if fresh { drawn } else { values[values.len() - people] });
            }
        }
        let noise = (0..people).map(|_| (0..12).map(|_| rng.random_range(-0.5..0.5)).sum()).collect();
        (values, noise)
    }

    #[test]
    fn without_an_effect_the_statistic_is_around_zero() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let rows: Vec<usize> = (0..80).filter(|row| row % 8 != 3).collect();
        let mut found = Vec::new();
        for _ in 0..300 {
            let (values, noise) = simulate(80, &mut rng);
            let y: Vec<f64> = rows.iter().map(|&row| 5.0 + noise[row]).collect();
            found.push(variance_component_z(Dosages { values: &values, people: 80 }, &y, &rows));
        }
        let mean = found.iter().sum::<f64>() / 300.0;
        let variance = found.iter().map(|z| (z - mean).powi(2)).sum::<f64>() / 299.0;
        assert!(mean.abs() < 0.2, "{mean}");
        assert!((0.6..1.5).contains(&variance), "{variance}");
    }

    #[test]
    fn effects_are_found_and_their_share_estimated() {
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        let rows: Vec<usize> = (0..300).collect();
        let (mut mean, mut least) = (0.0, f64::INFINITY);
        for _ in 0..20 {
            let (values, noise) = simulate(300, &mut rng);
            let dosages = Dosages { values: &values, people: 300 };
            let mut genetic = vec![0.0; 300];
            for variant in values.chunks_exact(300) {
                let effect = rng.random_range(-1.0..1.0);
                genetic.iter_mut().zip(variant).for_each(|(sum, &value)| *sum += effect * f64::from(value));
            }
            standardise(&mut genetic);
            let y: Vec<f64> = genetic.iter().zip(&noise).map(|(genetic, noise)| genetic + noise).collect();
            let found = variance_component(dosages, &y, &rows);
            mean += found.heritability / 20.0;
            least = least.min(found.z);
            assert!((found.z - variance_component_z(dosages, &y, &rows)).abs() < 1e-12);
        }
        assert!((0.4..0.6).contains(&mean), "{mean}");
        assert!(least > 5.0, "{least}");
    }

    #[test]
    fn nothing_that_varies_gives_zero() {
        let rows = [0, 1, 2, 3];
        let zero = |values: &[f32], y: &[f64]| {
            let found = variance_component(Dosages { values, people: 4 }, y, &rows);
            found == VarianceComponent { z: 0.0, heritability: 0.0 }
        };
        assert!(zero(&[0.0, 1.0, 2.0, 1.0], &[3.3; 4]));
        assert!(zero(&[1.2; 8], &[0.0, 1.0, 2.0, 3.0]));
        assert!(zero(&[], &[0.0, 1.0, 2.0, 3.0]));
    }
}
