//! One part's path: coordinate descent from λ to λ, each started from the last.
//!
//! Variants that may enter are *admitted*: their correlations with all variants are made then, and those among the
//! admitted ones are kept close together, so that a step of one weight touches as little memory as possible. The strong
//! rule admits the variants that will likely be needed; once the admitted ones have settled, the gradient of all others
//! is checked, so that a variant that it missed still enters.

use super::part::Part;
use super::{Settings, Solution};

/// λ after which a path may end for lack of gain, as glmnet's `mnlam`.
const LEAST_LAMBDAS: usize = 5;

/// The state of one path.
pub(super) struct Path<'a> {
    part: &'a Part<'a>,
    settings: &'a Settings,
    /// The variants admitted, in order of admission, and whether a variant is among them.
    admitted: Vec<usize>,
    is_admitted: Vec<bool>,
    /// admitted × variants: correlations, for the check of all variants.
    rows: Vec<f32>,
    /// admitted × `stride`: correlations among the admitted, symmetric.
    close: Vec<f64>,
    stride: usize,
    /// Weights of the admitted, and the covariance of each with what is not yet explained.
    weights: Vec<f64>,
    gradient: Vec<f64>,
    /// Covariance of every variant with what is not yet explained; not kept up for the admitted.
    all: Vec<f32>,
    lambda: f64,
    steps: usize,
    explained: f64,
    ended: bool,
    /// Room for one variant's correlations.
    raw: Vec<f32>,
    exact: Vec<f64>,
}

impl<'a> Path<'a> {
    pub(super) fn new(part: &'a Part<'a>, settings: &'a Settings) -> Self {
        let variants = part.variants();
        Self {
            part,
            settings,
            admitted: Vec::new(),
            is_admitted: vec![false; variants],
            rows: Vec::new(),
            close: Vec::new(),
            stride: 0,
            weights: Vec::new(),
            gradient: Vec::new(),
            all: part.covariances.iter().map(|&covariance| covariance as f32).collect(),
            lambda: f64::INFINITY,
            steps: 0,
            explained: 0.0,
            ended: false,
            raw: Vec::with_capacity(variants),
            exact: vec![0.0; variants],
        }
    }

    /// The least λ with which all weights are 0; 0 where no variant may enter.
    pub(super) fn largest_lambda(&self) -> f64 {
        let alpha = self.settings.alpha_for_largest();
        let each = self.part.covariances.iter().zip(&self.part.factors).zip(&self.part.scales);
        let needed = each.filter(|(_, scale)| **scale > 0.0).map(|((c, factor), _)| c.abs() / (alpha * factor));
        // A last place more, so that rounding lets no variant in at the largest λ itself.
        needed.fold(0.0, f64::max) * (1.0 + 1e-12)
    }

    /// Moves on to a smaller λ; once the path has ended, all stays as it is.
    pub(super) fn advance(&mut self, lambda: f64) {
        let last = self.lambda.min(1.05 * lambda);
        self.lambda = lambda;
        if self.ended || self.part.y_variance <= 0.0 || lambda <= 0.0 {
            return;
        }
        self.admit(2.0 * lambda - last);
        loop {
            self.descend();
            self.refresh();
            if !self.admit(lambda) {
                break;
            }
        }
        self.steps += 1;
        let before = self.explained;
        self.explained = self.share_explained();
        let gained = self.explained - before >= self.settings.least_gain * self.explained;
        self.ended = self.explained > self.settings.enough || (self.steps >= LEAST_LAMBDAS && !gained);
    }

    /// Whether the path has ended: smaller λ change nothing.
    pub(super) fn ended(&self) -> bool {
        self.ended
    }

    /// Admits all variants whose gradient is above what `lambda` lets pass; returns whether there were any.
    fn admit(&mut self, lambda: f64) -> bool {
        let bound = lambda * self.settings.alpha;
        let before = self.admitted.len();
        for variant in 0..self.part.variants() {
            let passes = f64::from(self.all[variant].abs()) > bound * self.part.factors[variant];
            if passes && !self.is_admitted[variant] && self.part.scales[variant] > 0.0 {
                self.is_admitted[variant] = true;
                self.admitted.push(variant);
            }
        }
        self.widen(self.admitted.len());
        for place in before..self.admitted.len() {
            self.fill(place);
        }
        self.admitted.len() > before
    }

    /// Makes room for correlations among so many admitted variants.
    fn widen(&mut self, admitted: usize) {
        if admitted > self.stride {
            let stride = (admitted + admitted / 2).next_multiple_of(16);
            let mut close = vec![0.0; stride * stride];
            for (place, row) in self.close.chunks_exact(self.stride.max(1)).enumerate().take(self.weights.len()) {
                close[place * stride..place * stride + self.stride].copy_from_slice(row);
            }
            (self.close, self.stride) = (close, stride);
        }
    }

    /// Makes the correlations of the variant admitted at `place`, which is the next.
    fn fill(&mut self, place: usize) {
        let variant = self.admitted[place];
        self.part.correlations(variant, &mut self.raw, &mut self.exact);
        self.rows.extend(self.exact.iter().map(|&value| value as f32));
        let mut gradient = self.part.covariances[variant];
        for (earlier, weight) in self.weights.iter().enumerate() {
            let correlation = self.exact[self.admitted[earlier]];
            self.close[place * self.stride + earlier] = correlation;
            self.close[earlier * self.stride + place] = correlation;
            gradient -= correlation * weight;
        }
        self.close[place * self.stride + place] = 1.0;
        self.weights.push(0.0);
        self.gradient.push(gradient);
    }

    /// Sweeps over the admitted variants until no step matters.
    fn descend(&mut self) {
        let least = self.settings.tolerance * self.part.y_variance;
        let every: Vec<usize> = (0..self.admitted.len()).collect();
        let mut sweeps = 0;
        while sweeps < self.settings.sweeps {
            sweeps += 1;
            if self.sweep(&every) <= least {
                return;
            }
            let active: Vec<usize> = every.iter().copied().filter(|&place| self.weights[place] != 0.0).collect();
            while sweeps < self.settings.sweeps {
                sweeps += 1;
                if self.sweep(&active) <= least {
                    break;
                }
            }
        }
    }

    /// Sets each weight in turn to where the objective is least in it; returns the largest square of a change.
    fn sweep(&mut self, places: &[usize]) -> f64 {
        let absolute = self.lambda * self.settings.alpha;
        let squared = self.lambda * (1.0 - self.settings.alpha);
        let admitted = self.admitted.len();
        let gradient = &mut self.gradient[..admitted];
        let mut largest = 0.0_f64;
        for &place in places {
            let factor = self.part.factors[self.admitted[place]];
            let old = self.weights[place];
            let free = gradient[place] + old;
            let left = free.abs() - absolute * factor;
            let new = if left > 0.0 { left.copysign(free) / (1.0 + squared * factor) } else { 0.0 };
            let change = new - old;
            if change != 0.0 {
                self.weights[place] = new;
                largest = largest.max(change * change);
                let row = &self.close[place * self.stride..place * self.stride + admitted];
                gradient.iter_mut().zip(row).for_each(|(value, correlation)| *value -= change * correlation);
            }
        }
        largest
    }

    /// Makes the gradient of all variants anew from the weights: rounding does not add up along the path.
    fn refresh(&mut self) {
        let variants = self.part.variants();
        for (value, &covariance) in self.all.iter_mut().zip(&self.part.covariances) {
            *value = covariance as f32;
        }
        let active: Vec<usize> = (0..self.admitted.len()).filter(|&place| self.weights[place] != 0.0).collect();
        let row = |place: usize| &self.rows[place * variants..(place + 1) * variants];
        let weight = |place: usize| self.weights[place] as f32;
        // Four rows at a time: the gradient is read and written a quarter as often.
        let mut fours = active.chunks_exact(4);
        for four in &mut fours {
            let (w0, w1, w2, w3) = (weight(four[0]), weight(four[1]), weight(four[2]), weight(four[3]));
            let first = row(four[0]).iter().zip(row(four[1]));
            let second = row(four[2]).iter().zip(row(four[3]));
            for (value, ((r0, r1), (r2, r3))) in self.all.iter_mut().zip(first.zip(second)) {
                *value -= (w0 * r0 + w1 * r1) + (w2 * r2 + w3 * r3);
            }
        }
        for &place in fours.remainder() {
            let w = weight(place);
            self.all.iter_mut().zip(row(place)).for_each(|(value, r)| *value -= w * r);
        }
    }

    /// The share of the outcome's variance that is explained.
    fn share_explained(&self) -> f64 {
        let each = self.admitted.iter().zip(&self.weights).zip(&self.gradient);
        let twice: f64 = each.map(|((&variant, w), g)| w * (self.part.covariances[variant] + g)).sum();
        twice / self.part.y_variance
    }

    /// Predicts the held-out people of the part into `out`.
    pub(super) fn predict_held(&self, out: &mut [f64]) {
        out.fill(self.part.y_mean);
        for (&variant, &weight) in self.admitted.iter().zip(&self.weights).filter(|(_, weight)| **weight != 0.0) {
            self.part.add_held(variant, weight, out);
        }
    }

    /// The elastic net at the current λ by raw dosage.
    pub(super) fn solution(&self) -> Solution {
        let mut solution = Solution { lambda: self.lambda, intercept: self.part.y_mean, weights: Vec::new() };
        for (&variant, &weight) in self.admitted.iter().zip(&self.weights).filter(|(_, weight)| **weight != 0.0) {
            let (weight, mean) = self.part.raw(variant, weight);
            solution.intercept -= weight * mean;
            solution.weights.push((variant, weight));
        }
        solution.weights.sort_unstable_by_key(|&(variant, _)| variant);
        solution
    }
}
