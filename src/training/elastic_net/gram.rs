//! Products of a gene's variants over people, gathered once and cut down to parts of the people.
//!
//! Every variant is shifted by its rounded mean first: products of hard calls are then small whole numbers, exact in
//! f32, and those of fractional dosages lose nothing where the mean is large beside the spread.

use nalgebra::DMatrix;

use super::Dosages;

/// Products of all pairs of variants, summed over people, and the sums that standardise them.
#[derive(Debug, Clone, PartialEq)]
pub struct Gram {
    people: usize,
    /// What is taken from each variant's dosages: 0, 1 or 2.
    shift: Vec<f32>,
    /// Sums of the shifted dosages.
    sums: Vec<f64>,
    /// Sums of their squares.
    squares: Vec<f64>,
    /// variants × variants: sums of their products.
    products: DMatrix<f32>,
}

impl Gram {
    /// Sums the products over all people.
    #[must_use]
    pub fn new(dosages: Dosages<'_>) -> Self {
        let everyone: Vec<usize> = (0..dosages.people).collect();
        Self::of(dosages, &everyone)
    }

    /// Sums the products over some of the people.
    #[must_use]
    pub fn of(dosages: Dosages<'_>, people: &[usize]) -> Self {
        let variants = dosages.variants();
        let shift = (0..variants).map(|variant| rounded_mean(dosages.variant(variant))).collect();
        let mut gram = Self {
            people: 0,
            shift,
            sums: vec![0.0; variants],
            squares: vec![0.0; variants],
            products: DMatrix::zeros(variants, variants),
        };
        gram.add(dosages, people, 1.0);
        gram
    }

    /// Returns the sums over the people that are left when `people`, who must be among them, are taken out.
    #[must_use]
    pub fn without(&self, dosages: Dosages<'_>, people: &[usize]) -> Self {
        let mut rest = self.clone();
        rest.add(dosages, people, -1.0);
        rest
    }

    /// Returns the number of people that were summed over.
    #[must_use]
    pub fn people(&self) -> usize {
        self.people
    }

    /// Returns the number of variants.
    #[must_use]
    pub fn variants(&self) -> usize {
        self.shift.len()
    }

    /// Adds people with the sign 1, or takes them out with the sign −1.
    fn add(&mut self, dosages: Dosages<'_>, people: &[usize], sign: f32) {
        let by_variant = self.shifted(dosages, people);
        for (variant, (sum, square)) in self.sums.iter_mut().zip(&mut self.squares).enumerate() {
            for value in by_variant.column(variant).iter().map(|&value| f64::from(value)) {
                *sum += f64::from(sign) * value;
                *square += f64::from(sign) * value * value;
            }
        }
        if sign > 0.0 {
            self.people += people.len();
        } else {
            self.people = self.people.saturating_sub(people.len());
        }
        self.products.gemm(sign, &by_variant.transpose(), &by_variant, 1.0);
    }

    /// The shifted dosages of some people, a column a variant.
    pub(super) fn shifted(&self, dosages: Dosages<'_>, people: &[usize]) -> DMatrix<f32> {
        let mut values = Vec::with_capacity(people.len() * self.variants());
        for (variant, shift) in self.shift.iter().enumerate() {
            let row = dosages.variant(variant);
            values.extend(people.iter().map(|&person| row[person] - shift));
        }
        DMatrix::from_vec(people.len(), self.variants(), values)
    }

    pub(super) fn shift(&self) -> &[f32] {
        &self.shift
    }

    pub(super) fn sums(&self) -> &[f64] {
        &self.sums
    }

    pub(super) fn squares(&self) -> &[f64] {
        &self.squares
    }

    /// The products of one variant with all.
    pub(super) fn column(&self, variant: usize) -> &[f32] {
        let variants = self.variants();
        &self.products.as_slice()[variant * variants..(variant + 1) * variants]
    }
}

fn rounded_mean(dosages: &[f32]) -> f32 {
    let sum: f64 = dosages.iter().map(|&dosage| f64::from(dosage)).sum();
    (sum / dosages.len().max(1) as f64).round() as f32
}
