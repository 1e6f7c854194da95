//! The loops behind the token layers: attention and layer normalisation; the rules of [`super::kernels`] hold.

use rayon::prelude::*;

use super::kernels::{Operand, Real, add, multiply_add};

/// Vectors that one task normalises.
const BLOCK_ROWS: usize = 256;

/// Attention of every token to every token: queries, keys and values side by side in `[batch, tokens, 3 × width]`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Attention {
    pub(super) tokens: usize,
    pub(super) width: usize,
    pub(super) heads: usize,
}

impl Attention {
    /// Columns of a head.
    pub(super) fn head(&self) -> usize {
        self.width / self.heads
    }

    /// What the products of queries and keys are multiplied by.
    pub(super) fn scale(&self) -> f64 {
        1.0 / (self.head() as f64).sqrt()
    }

    /// One head's queries (part 0), keys (1) or values (2).
    fn part<'a, T: Real>(&self, sample: &'a [T], part: usize, head: usize) -> Operand<'a, T> {
        let start = part * self.width + head * self.head();
        Operand::rows(&sample[start..], self.tokens, self.head(), 3 * self.width)
    }

    /// The share of attention that each token gives to each: rows sum to 1.
    fn shares<T: Real>(&self, sample: &[T], head: usize, shares: &mut [T]) {
        shares.fill(T::zero());
        multiply_add(shares, self.part(sample, 0, head), self.part(sample, 1, head).transposed());
        let scale = T::from_wide(self.scale());
        for row in shares.chunks_exact_mut(self.tokens) {
            let highest = row.iter().copied().fold(row[0], |a, b| if b > a { b } else { a });
            let mut sum = T::zero();
            for value in row.iter_mut() {
                *value = ((*value - highest) * scale).exp();
                sum += *value;
            }
            for value in row.iter_mut() {
                *value /= sum;
            }
        }
    }

    /// Copies a head's `[tokens, head]` between its own matrix and its columns of a wider one.
    fn scatter<T: Real>(&self, matrix: &[T], wide: &mut [T], start: usize, stride: usize) {
        for (row, wide) in matrix.chunks_exact(self.head()).zip(wide.chunks_exact_mut(stride)) {
            wide[start..start + self.head()].copy_from_slice(row);
        }
    }

    /// Computes `[batch, tokens, width]`.
    pub(super) fn forward<T: Real>(&self, input: &[T]) -> Vec<T> {
        let (tokens, width) = (self.tokens, self.width);
        let mut out = vec![T::zero(); input.len() / 3];
        let samples = out.par_chunks_mut(tokens * width).zip(input.par_chunks(3 * tokens * width));
        samples.for_each_init(
            || (vec![T::zero(); tokens * tokens], vec![T::zero(); tokens * self.head()]),
            |(shares, mixed), (out, sample)| {
                for head in 0..self.heads {
                    self.shares(sample, head, shares);
                    mixed.fill(T::zero());
                    multiply_add(mixed, Operand::rows(shares, tokens, tokens, tokens), self.part(sample, 2, head));
                    self.scatter(mixed, out, head * self.head(), width);
                }
            },
        );
        out
    }

    /// Computes the input's gradient; the shares are computed again, which is cheaper than keeping them.
    pub(super) fn backward<T: Real>(&self, input: &[T], gradient: &[T]) -> Vec<T> {
        let (tokens, width) = (self.tokens, self.width);
        let mut out = vec![T::zero(); input.len()];
        let samples = out.par_chunks_mut(3 * tokens * width).zip(input.par_chunks(3 * tokens * width));
        samples.zip(gradient.par_chunks(tokens * width)).for_each_init(
            || {
                (
                    vec![T::zero(); tokens * tokens],
                    vec![T::zero(); tokens * tokens],
                    vec![T::zero(); tokens * self.head()],
                )
            },
            |(shares, signal, part), ((out, sample), gradient)| {
                for head in 0..self.heads {
                    let start = head * self.head();
                    let mut keep = |index: usize, a: Operand<'_, T>, b: Operand<'_, T>| {
                        part.fill(T::zero());
                        multiply_add(part, a, b);
                        self.scatter(part, out, index * width + start, 3 * width);
                    };
                    self.shares(sample, head, shares);
                    let wanted = Operand::rows(&gradient[start..], tokens, self.head(), width);
                    keep(2, Operand::rows(shares, tokens, tokens, tokens).transposed(), wanted);
                    signal.fill(T::zero());
                    multiply_add(signal, wanted, self.part(sample, 2, head).transposed());
                    self.softmax_backward(shares, signal);
                    let scores = Operand::rows(signal, tokens, tokens, tokens);
                    keep(0, scores, self.part(sample, 1, head));
                    keep(1, scores.transposed(), self.part(sample, 0, head));
                }
            },
        );
        out
    }

    /// Turns the gradient of the shares into that of the products of queries and keys.
    fn softmax_backward<T: Real>(&self, shares: &[T], signal: &mut [T]) {
        let scale = T::from_wide(self.scale());
        for (share, signal) in shares.chunks_exact(self.tokens).zip(signal.chunks_exact_mut(self.tokens)) {
            let mut mean = T::zero();
            share.iter().zip(signal.iter()).for_each(|(share, signal)| mean += *share * *signal);
            for (share, signal) in share.iter().zip(signal.iter_mut()) {
                *signal = scale * *share * (*signal - mean);
            }
        }
    }
}

/// The mean and the inverse deviation of a vector.
fn row_moments<T: Real>(row: &[T], epsilon: T) -> (T, T) {
    let count = T::from_wide(row.len() as f64);
    let mean = row.iter().fold(T::zero(), |sum, value| sum + *value) / count;
    let square = row.iter().fold(T::zero(), |sum, value| sum + (*value - mean) * (*value - mean)) / count;
    (mean, T::one() / (square + epsilon).sqrt())
}

/// Normalises every vector of `[rows, width]`.
pub(super) fn layer_norm<T: Real>(values: &[T], gamma: &[T], beta: &[T], epsilon: f64) -> Vec<T> {
    let width = gamma.len();
    let mut out = vec![T::zero(); values.len()];
    out.par_chunks_mut(BLOCK_ROWS * width).zip(values.par_chunks(BLOCK_ROWS * width)).for_each(|(out, values)| {
        for (out, row) in out.chunks_exact_mut(width).zip(values.chunks_exact(width)) {
            let (mean, inverse) = row_moments(row, T::from_wide(epsilon));
            for ((out, value), (gamma, beta)) in out.iter_mut().zip(row).zip(gamma.iter().zip(beta)) {
                *out = (*value - mean) * inverse * *gamma + *beta;
            }
        }
    });
    out
}

/// Gradients of [`layer_norm`]: of the input, of gamma and of beta.
pub(super) fn layer_norm_backward<T: Real>(
    values: &[T],
    gamma: &[T],
    gradient: &[T],
    epsilon: f64,
) -> (Vec<T>, Vec<T>, Vec<T>) {
    let width = gamma.len();
    let size = BLOCK_ROWS * width;
    let count = T::from_wide(width as f64);
    let mut out = vec![T::zero(); values.len()];
    let blocks: Vec<(Vec<T>, Vec<T>)> = out
        .par_chunks_mut(size)
        .zip(values.par_chunks(size).zip(gradient.par_chunks(size)))
        .map(|(out, (values, gradient))| {
            let (mut scale, mut shift) = (vec![T::zero(); width], vec![T::zero(); width]);
            let rows = values.chunks_exact(width).zip(gradient.chunks_exact(width));
            for (out, (row, gradient)) in out.chunks_exact_mut(width).zip(rows) {
                let (mean, inverse) = row_moments(row, T::from_wide(epsilon));
                let (mut level, mut slope) = (T::zero(), T::zero());
                for column in 0..width {
                    let normal = (row[column] - mean) * inverse;
                    scale[column] += gradient[column] * normal;
                    shift[column] += gradient[column];
                    level += gradient[column] * gamma[column];
                    slope += gradient[column] * gamma[column] * normal;
                }
                let (level, slope) = (level / count, slope / count);
                for column in 0..width {
                    let normal = (row[column] - mean) * inverse;
                    out[column] = inverse * (gradient[column] * gamma[column] - level - normal * slope);
                }
            }
            (scale, shift)
        })
        .collect();
    let (mut scale, mut shift) = (vec![T::zero(); width], vec![T::zero(); width]);
    for (scales, shifts) in blocks {
        add(&mut scale, &scales);
        add(&mut shift, &shifts);
    }
    (out, scale, shift)
}
