//! The people that one path is fitted to: all rows, or those that a fold leaves, with their own means and spreads.
//!
//! The products of what a fold leaves are the rows' own less those of the few people held out, made for a variant only
//! once it may enter.

use nalgebra::DMatrix;

use super::{Dosages, Gram};

/// A variance below this share of the mean square is rounding: the variant does not vary.
const CONSTANT: f64 = 1e-10;

/// The rows of a gram less the held-out ones, standardised.
pub(super) struct Part<'a> {
    gram: &'a Gram,
    /// Shifted dosages of the held-out people: a column a variant, and a column a person.
    held_by_variant: DMatrix<f32>,
    held_by_person: DMatrix<f32>,
    people: f64,
    pub(super) y_mean: f64,
    pub(super) y_variance: f64,
    /// Means of the shifted dosages.
    means: Vec<f64>,
    /// One over each variant's standard deviation; 0 for a variant that must not enter.
    pub(super) scales: Vec<f64>,
    /// Covariance of the standardised variants with the outcome.
    pub(super) covariances: Vec<f64>,
    /// Penalty factors with mean 1.
    pub(super) factors: Vec<f64>,
}

/// Sums of each variant's product with the outcome over people.
fn products_with(shifted: &DMatrix<f32>, y: &[f64]) -> Vec<f64> {
    let product = |column: &[f32]| column.iter().zip(y).map(|(&value, y)| f64::from(value) * y).sum();
    match shifted.nrows() {
        0 => vec![0.0; shifted.ncols()],
        rows => shifted.as_slice().chunks_exact(rows).map(product).collect(),
    }
}

/// What all parts of a gene's rows share: the outcome and its products, the penalty factors.
pub(super) struct Whole<'a> {
    gram: &'a Gram,
    dosages: Dosages<'a>,
    y: &'a [f64],
    rows: &'a [usize],
    /// Products of the variants with the outcome, which is centred by its mean over all rows.
    products: Vec<f64>,
    mean: f64,
    factors: Vec<f64>,
}

impl<'a> Whole<'a> {
    pub(super) fn new(
        gram: &'a Gram,
        dosages: Dosages<'a>,
        y: &'a [f64],
        rows: &'a [usize],
        penalty: Option<&[f64]>,
    ) -> Self {
        assert_eq!(y.len(), rows.len(), "one outcome a row");
        assert_eq!(gram.people(), rows.len(), "the gram is of the rows");
        let mean = y.iter().sum::<f64>() / (y.len() as f64).max(1.0);
        let centred: Vec<f64> = y.iter().map(|y| y - mean).collect();
        let products = products_with(&gram.shifted(dosages, rows), &centred);
        Self { gram, dosages, y, rows, products, mean, factors: factors(penalty, gram.variants()) }
    }

    /// The part without the rows at the given places.
    pub(super) fn part(&self, held: &[usize]) -> Part<'a> {
        let people: Vec<usize> = held.iter().map(|&place| self.rows[place]).collect();
        let held_by_variant = self.gram.shifted(self.dosages, &people);
        let left = (self.rows.len() - held.len()) as f64;
        let n = left.max(1.0);
        let held_y: Vec<f64> = held.iter().map(|&place| self.y[place] - self.mean).collect();
        let held_products = products_with(&held_by_variant, &held_y);
        let y_sum = -held_y.iter().sum::<f64>();
        let y_offset = y_sum / n;
        let squares = |values: &mut dyn Iterator<Item = f64>| values.map(|y| y * y).sum::<f64>();
        let all_squares = squares(&mut self.y.iter().map(|y| y - self.mean));
        let y_variance = (all_squares - squares(&mut held_y.iter().copied())) / n - y_offset * y_offset;
        let constant = y_variance <= CONSTANT * (self.mean * self.mean + all_squares / n) || left < 2.0;
        let mut part = Part {
            gram: self.gram,
            held_by_person: held_by_variant.transpose(),
            people: n,
            y_mean: if left > 0.0 { self.mean + y_offset } else { 0.0 },
            y_variance: if constant { 0.0 } else { y_variance },
            means: Vec::with_capacity(self.factors.len()),
            scales: Vec::with_capacity(self.factors.len()),
            covariances: Vec::with_capacity(self.factors.len()),
            factors: self.factors.clone(),
            held_by_variant,
        };
        for (variant, factor) in self.factors.iter().enumerate() {
            let held = part.held_by_variant.column(variant);
            let (mut sum, mut square) = (self.gram.sums()[variant], self.gram.squares()[variant]);
            for value in held.iter().map(|&value| f64::from(value)) {
                sum -= value;
                square -= value * value;
            }
            let mean = sum / n;
            let variance = square / n - mean * mean;
            let varies = variance > CONSTANT * (self.gram.squares()[variant] / n) && !constant && *factor > 0.0;
            let scale = if varies { 1.0 / variance.sqrt() } else { 0.0 };
            part.means.push(mean);
            part.scales.push(scale);
            let product = self.products[variant] - held_products[variant];
            part.covariances.push((product / n - mean * y_offset) * scale);
        }
        part
    }
}

impl<'a> Part<'a> {
    /// All rows.
    pub(super) fn all(
        gram: &'a Gram,
        dosages: Dosages<'a>,
        y: &'a [f64],
        rows: &'a [usize],
        penalty: Option<&[f64]>,
    ) -> Self {
        Whole::new(gram, dosages, y, rows, penalty).part(&[])
    }

    pub(super) fn variants(&self) -> usize {
        self.scales.len()
    }

    /// Writes the correlations of one variant with all into `out`; 0 with a variant that must not enter.
    pub(super) fn correlations(&self, variant: usize, raw: &mut Vec<f32>, out: &mut [f64]) {
        raw.clear();
        raw.extend_from_slice(self.gram.column(variant));
        let variants = self.variants();
        let people = self.held_by_person.as_slice().chunks_exact(variants);
        for (person, &own) in people.zip(self.held_by_variant.column(variant).iter()) {
            // Shifted dosages are 0 for the most common genotype, that is for most people.
            if own != 0.0 {
                raw.iter_mut().zip(person).for_each(|(sum, other)| *sum -= own * other);
            }
        }
        let mean = self.means[variant];
        let scale = self.scales[variant];
        let moments = self.means.iter().zip(&self.scales);
        for ((out, &product), (other_mean, other_scale)) in out.iter_mut().zip(raw.iter()).zip(moments) {
            *out = (f64::from(product) / self.people - mean * other_mean) * scale * other_scale;
        }
        out[variant] = 1.0;
    }

    /// Adds to `out`, one value a held-out person, what a variant of the given standardised weight predicts.
    pub(super) fn add_held(&self, variant: usize, weight: f64, out: &mut [f64]) {
        let (mean, weight) = (self.means[variant], weight * self.scales[variant]);
        for (out, &value) in out.iter_mut().zip(self.held_by_variant.column(variant).iter()) {
            *out += weight * (f64::from(value) - mean);
        }
    }

    /// The weight by raw dosage of a variant with the given standardised weight, and the variant's mean dosage.
    pub(super) fn raw(&self, variant: usize, weight: f64) -> (f64, f64) {
        (weight * self.scales[variant], self.means[variant] + f64::from(self.gram.shift()[variant]))
    }
}

/// Factors rescaled to mean 1 over the variants that may enter; 0 marks the others.
fn factors(penalty: Option<&[f64]>, variants: usize) -> Vec<f64> {
    let Some(penalty) = penalty else { return vec![1.0; variants] };
    assert_eq!(penalty.len(), variants, "one penalty factor a variant");
    let usable = |factor: f64| if factor.is_finite() && factor > 0.0 { factor } else { 0.0 };
    let count = penalty.iter().filter(|&&factor| usable(factor) > 0.0).count() as f64;
    let sum: f64 = penalty.iter().map(|&factor| usable(factor)).sum();
    penalty.iter().map(|&factor| if sum > 0.0 { usable(factor) * count / sum } else { 0.0 }).collect()
}
