//! The loops behind the layers: channels-last convolution, batch normalisation with dropout, pooling, attention.
//!
//! Plain slices, rayon over fixed blocks. Invariant: what is added up is added up in an order that depends on the
//! shapes only, so that the number of threads never changes a bit of the result. Knows nothing of candle.

use nalgebra::{DMatrixView, DMatrixViewMut, Dyn, RealField};
use rayon::prelude::*;

/// Rows that one task normalises: a multiple of four, as [`Mask::apply`] needs, and small enough for a core's cache.
const BLOCK_ROWS: usize = 256;
/// The most partial sums of a weight gradient: bounds their memory, and is the most threads that can help.
const GROUPS: usize = 16;

/// The two float types that the kernels run in: `f32` for use, `f64` for finite differences.
pub(super) trait Real: RealField + Copy {
    /// Rounds to this type.
    fn from_wide(value: f64) -> Self;
    /// Widens exactly.
    fn wide(self) -> f64;
}

impl Real for f32 {
    fn from_wide(value: f64) -> Self {
        value as Self
    }

    fn wide(self) -> f64 {
        f64::from(self)
    }
}

impl Real for f64 {
    fn from_wide(value: f64) -> Self {
        value
    }

    fn wide(self) -> f64 {
        self
    }
}

/// A read-only matrix over a slice; rows may overlap, which is how a convolution's windows are one matrix.
#[derive(Clone, Copy)]
pub(super) struct Operand<'a, T> {
    data: &'a [T],
    rows: usize,
    columns: usize,
    row_stride: usize,
    column_stride: usize,
}

impl<'a, T: Real> Operand<'a, T> {
    /// Returns a matrix whose rows start `row_stride` elements apart.
    pub(super) fn rows(data: &'a [T], rows: usize, columns: usize, row_stride: usize) -> Self {
        Self { data, rows, columns, row_stride, column_stride: 1 }
    }

    /// Returns the transpose.
    pub(super) fn transposed(self) -> Self {
        Self {
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
            ..self
        }
    }

    fn view(&self) -> DMatrixView<'a, T, Dyn, Dyn> {
        DMatrixView::from_slice_with_strides(self.data, self.rows, self.columns, self.row_stride, self.column_stride)
    }
}

/// Adds `a · b` to a row-major matrix.
pub(super) fn multiply_add<T: Real>(out: &mut [T], a: Operand<'_, T>, b: Operand<'_, T>) {
    // nalgebra hands only larger products to a fast routine, and its loop for small ones refuses overlapping rows.
    if a.rows.min(a.columns).min(b.columns) > 5 {
        let mut view: DMatrixViewMut<'_, T, Dyn, Dyn> =
            DMatrixViewMut::from_slice_with_strides_mut(out, a.rows, b.columns, b.columns, 1);
        view.gemm(T::one(), &a.view(), &b.view(), T::one());
        return;
    }
    for (row, out) in out.chunks_exact_mut(b.columns).enumerate() {
        for inner in 0..a.columns {
            let factor = a.data[row * a.row_stride + inner * a.column_stride];
            for (column, out) in out.iter_mut().enumerate() {
                *out += factor * b.data[inner * b.row_stride + column * b.column_stride];
            }
        }
    }
}

/// A stride-1 'same' convolution over `[batch, length, inputs]`, kernel `[kernel × inputs, outputs]`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Convolution {
    pub(super) batch: usize,
    pub(super) length: usize,
    pub(super) inputs: usize,
    pub(super) outputs: usize,
    pub(super) kernel: usize,
    /// Whether the positive part is taken behind it.
    pub(super) relu: bool,
}

/// Gradients of a convolution; `input` only where it was asked for.
pub(super) struct ConvolutionGradients<T> {
    pub(super) input: Option<Vec<T>>,
    pub(super) weight: Vec<T>,
    pub(super) bias: Vec<T>,
}

impl Convolution {
    /// Zeros before the first position: Keras's choice, which for an even kernel is the smaller half.
    pub(super) fn left(&self) -> usize {
        (self.kernel - 1) / 2
    }

    /// Zeros behind the last position.
    pub(super) fn right(&self) -> usize {
        self.kernel - 1 - self.left()
    }

    fn padded(&self) -> usize {
        self.length + self.kernel - 1
    }

    /// Computes `[batch, length, outputs]`.
    pub(super) fn forward<T: Real>(&self, input: &[T], weight: &[T], bias: &[T]) -> Vec<T> {
        let (inputs, outputs, window) = (self.inputs, self.outputs, self.kernel * self.inputs);
        let mut out = vec![T::zero(); self.batch * self.length * outputs];
        let weight = Operand::rows(weight, window, outputs, outputs);
        let samples = out.par_chunks_mut(self.length * outputs).zip(input.par_chunks(self.length * inputs));
        samples.for_each_init(
            || vec![T::zero(); self.padded() * inputs],
            |padded, (out, sample)| {
                padded[self.left() * inputs..][..sample.len()].copy_from_slice(sample);
                out.chunks_exact_mut(outputs).for_each(|row| row.copy_from_slice(bias));
                let windows = Operand::rows(padded, self.length, window, inputs);
                multiply_add(out, windows, weight);
                if self.relu {
                    // Written so that a value that is no number stays one.
                    for value in out.iter_mut() {
                        *value = if *value < T::zero() { T::zero() } else { *value };
                    }
                }
            },
        );
        out
    }

    /// Computes the gradients from the output (for its sign) and the output's gradient.
    pub(super) fn backward<T: Real>(
        &self,
        input: &[T],
        weight: &[T],
        output: (&[T], &[T]),
        with_input: bool,
    ) -> ConvolutionGradients<T> {
        let group = self.batch.div_ceil(GROUPS).max(1);
        let size = self.length * self.inputs;
        let flipped = self.flipped(weight);
        let mut input_gradient = if with_input { vec![T::zero(); self.batch * size] } else { Vec::new() };
        let mut slots: Vec<&mut [T]> = input_gradient.chunks_mut(group * size).collect();
        slots.resize_with(self.batch.div_ceil(group), Default::default);
        let partial: Vec<_> = slots
            .into_par_iter()
            .enumerate()
            .map(|(index, slot)| {
                let first = index * group;
                let samples = first..(first + group).min(self.batch);
                self.backward_group(samples, input, output, (with_input, &flipped, slot))
            })
            .collect();
        let mut gradients = ConvolutionGradients {
            input: None,
            weight: vec![T::zero(); weight.len()],
            bias: vec![T::zero(); self.outputs],
        };
        for (weight, bias) in partial {
            add(&mut gradients.weight, &weight);
            add(&mut gradients.bias, &bias);
        }
        gradients.input = with_input.then_some(input_gradient);
        gradients
    }

    fn backward_group<T: Real>(
        &self,
        samples: std::ops::Range<usize>,
        input: &[T],
        output: (&[T], &[T]),
        slot: (bool, &[T], &mut [T]),
    ) -> (Vec<T>, Vec<T>) {
        let (inputs, outputs, window) = (self.inputs, self.outputs, self.kernel * self.inputs);
        let (with_input, flipped, input_gradient) = slot;
        let mut weight = vec![T::zero(); window * outputs];
        let mut bias = vec![T::zero(); outputs];
        let mut padded = vec![T::zero(); self.padded() * inputs];
        let mut gradient = vec![T::zero(); self.padded() * outputs];
        for (at, sample) in samples.enumerate() {
            let rows = sample * self.length * outputs..(sample + 1) * self.length * outputs;
            // The input's gradient is the output's, convolved with the flipped kernel: the padding changes sides.
            let inner = self.right() * outputs..(self.right() + self.length) * outputs;
            gradient[inner.clone()].copy_from_slice(&output.1[rows.clone()]);
            if self.relu {
                for (gradient, value) in gradient[inner.clone()].iter_mut().zip(&output.0[rows]) {
                    *gradient = if *value > T::zero() { *gradient } else { T::zero() };
                }
            }
            let sample = &input[sample * self.length * inputs..][..self.length * inputs];
            padded[self.left() * inputs..][..sample.len()].copy_from_slice(sample);
            let windows = Operand::rows(&padded, self.length, window, inputs);
            let signal = Operand::rows(&gradient[inner.clone()], self.length, outputs, outputs);
            multiply_add(&mut weight, windows.transposed(), signal);
            gradient[inner].chunks_exact(outputs).for_each(|row| add(&mut bias, row));
            if with_input {
                let out = &mut input_gradient[at * self.length * inputs..][..self.length * inputs];
                let windows = Operand::rows(&gradient, self.length, self.kernel * outputs, outputs);
                let kernel = Operand::rows(flipped, self.kernel * outputs, inputs, inputs);
                multiply_add(out, windows, kernel);
            }
        }
        (weight, bias)
    }

    /// The kernel back to front with inputs and outputs exchanged: `[kernel × outputs, inputs]`.
    fn flipped<T: Real>(&self, weight: &[T]) -> Vec<T> {
        let mut flipped = Vec::with_capacity(weight.len());
        for tap in (0..self.kernel).rev() {
            for output in 0..self.outputs {
                flipped
                    .extend((0..self.inputs).map(|input| weight[(tap * self.inputs + input) * self.outputs + output]));
            }
        }
        flipped
    }
}

/// Adds a slice to another.
pub(super) fn add<T: Real>(sum: &mut [T], terms: &[T]) {
    sum.iter_mut().zip(terms).for_each(|(sum, term)| *sum += *term);
}

/// A dropout mask that is never stored: an element's fate is a hash of the seed and its index.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Mask {
    seed: u64,
    /// Of 65,536 elements, how many are dropped.
    dropped: u64,
    scale: f64,
}

impl Mask {
    /// Builds the mask that drops a share `rate` below 1 of the elements and scales the others up to the same mean.
    pub(super) fn new(seed: u64, rate: f64) -> Self {
        #[expect(clippy::cast_sign_loss, reason = "a rate is not negative")]
        let dropped = (rate * 65_536.0).round() as u64;
        Self { seed, dropped, scale: 65_536.0 / (65_536 - dropped.min(65_535)) as f64 }
    }

    /// Applies the mask to the elements from `start`, a multiple of four, on.
    pub(super) fn apply<T: Real>(&self, start: usize, values: &mut [T]) {
        let scale = T::from_wide(self.scale);
        let factor = |bits: u64| if bits & 0xffff < self.dropped { T::zero() } else { scale };
        // SplitMix64 as a counter-based generator: four 16-bit draws a step.
        let draw = |block: usize| {
            let counter = (start / 4 + block + 1) as u64;
            let bits = self.seed.wrapping_add(counter.wrapping_mul(0x9e37_79b9_7f4a_7c15));
            let bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            bits ^ (bits >> 31)
        };
        let (whole, rest) = values.as_chunks_mut::<4>();
        let blocks = whole.len();
        for (block, [first, second, third, fourth]) in whole.iter_mut().enumerate() {
            let bits = draw(block);
            *first *= factor(bits);
            *second *= factor(bits >> 16);
            *third *= factor(bits >> 32);
            *fourth *= factor(bits >> 48);
        }
        rest.iter_mut().enumerate().for_each(|(lane, value)| *value *= factor(draw(blocks) >> (16 * lane)));
    }
}

/// Returns the mean and the biased variance of every channel of `[rows, channels]`.
pub(super) fn moments<T: Real>(values: &[T], channels: usize) -> (Vec<f64>, Vec<f64>) {
    let rows = (values.len() / channels) as f64;
    let mean: Vec<f64> = column_sums(values, channels, |_, value| value).iter().map(|sum| sum / rows).collect();
    let centre: Vec<T> = mean.iter().map(|mean| T::from_wide(*mean)).collect();
    let squares = column_sums(values, channels, |channel, value| (value - centre[channel]) * (value - centre[channel]));
    (mean, squares.iter().map(|sum| sum / rows).collect())
}

fn column_sums<T: Real>(values: &[T], channels: usize, term: impl Fn(usize, T) -> T + Sync) -> Vec<f64> {
    let blocks: Vec<Vec<T>> = values
        .par_chunks(BLOCK_ROWS * channels)
        .map(|block| {
            let mut sums = vec![T::zero(); channels];
            for row in block.chunks_exact(channels) {
                for (channel, (sum, value)) in sums.iter_mut().zip(row).enumerate() {
                    *sum += term(channel, *value);
                }
            }
            sums
        })
        .collect();
    total(&blocks, channels)
}

fn total<T: Real>(blocks: &[Vec<T>], channels: usize) -> Vec<f64> {
    let mut sums = vec![0.0; channels];
    for block in blocks {
        sums.iter_mut().zip(block).for_each(|(sum, part)| *sum += part.wide());
    }
    sums
}

/// Computes `value · scale + shift` by channel, then drops.
pub(super) fn affine<T: Real>(values: &[T], scale: &[T], shift: &[T], mask: Option<Mask>) -> Vec<T> {
    let size = BLOCK_ROWS * scale.len();
    let mut out = vec![T::zero(); values.len()];
    out.par_chunks_mut(size).zip(values.par_chunks(size)).enumerate().for_each(|(block, (out, values))| {
        for (out, row) in out.chunks_exact_mut(scale.len()).zip(values.chunks_exact(scale.len())) {
            for ((out, value), (scale, shift)) in out.iter_mut().zip(row).zip(scale.iter().zip(shift)) {
                *out = *value * *scale + *shift;
            }
        }
        if let Some(mask) = mask {
            mask.apply(block * size, out);
        }
    });
    out
}

/// Gradients of batch normalisation followed by dropout: of the input, of gamma and of beta.
pub(super) fn normalise_backward<T: Real>(
    values: &[T],
    gamma: &[T],
    moments: (&[T], &[T]),
    gradient: &[T],
    mask: Option<Mask>,
) -> (Vec<T>, Vec<T>, Vec<T>) {
    let channels = gamma.len();
    let size = BLOCK_ROWS * channels;
    let (mean, inverse) = moments;
    let mut signal = gradient.to_vec();
    let blocks: Vec<(Vec<T>, Vec<T>)> = signal
        .par_chunks_mut(size)
        .zip(values.par_chunks(size))
        .enumerate()
        .map(|(block, (signal, values))| {
            if let Some(mask) = mask {
                mask.apply(block * size, signal);
            }
            let (mut beta, mut gamma) = (vec![T::zero(); channels], vec![T::zero(); channels]);
            for (signal, values) in signal.chunks_exact(channels).zip(values.chunks_exact(channels)) {
                for channel in 0..channels {
                    beta[channel] += signal[channel];
                    gamma[channel] += signal[channel] * (values[channel] - mean[channel]) * inverse[channel];
                }
            }
            (beta, gamma)
        })
        .collect();
    let (betas, gammas): (Vec<_>, Vec<_>) = blocks.into_iter().unzip();
    let (beta, scale) = (total(&betas, channels), total(&gammas, channels));
    let rows = (values.len() / channels) as f64;
    let beta_mean: Vec<T> = beta.iter().map(|sum| T::from_wide(sum / rows)).collect();
    let scale_mean: Vec<T> = scale.iter().map(|sum| T::from_wide(sum / rows)).collect();
    signal.par_chunks_mut(size).zip(values.par_chunks(size)).for_each(|(signal, values)| {
        for (signal, values) in signal.chunks_exact_mut(channels).zip(values.chunks_exact(channels)) {
            for channel in 0..channels {
                let normal = (values[channel] - mean[channel]) * inverse[channel];
                let centred = signal[channel] - beta_mean[channel] - normal * scale_mean[channel];
                signal[channel] = gamma[channel] * inverse[channel] * centred;
            }
        }
    });
    let narrow = |sums: Vec<f64>| sums.into_iter().map(T::from_wide).collect();
    (signal, narrow(scale), narrow(beta))
}

/// Maximum over windows of `[batch, length, channels]` along the length; the remainder is dropped.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pooling {
    pub(super) length: usize,
    pub(super) channels: usize,
    pub(super) window: usize,
}

impl Pooling {
    /// Computes `[batch, length / window, channels]`.
    pub(super) fn forward<T: Real>(&self, values: &[T]) -> Vec<T> {
        let (sample, span) = (self.length * self.channels, self.window * self.channels);
        let pooled = self.length / self.window * self.channels;
        let mut out = vec![T::zero(); values.len() / sample * pooled];
        out.par_chunks_mut(pooled).zip(values.par_chunks(sample)).for_each(|(out, values)| {
            for (out, window) in out.chunks_exact_mut(self.channels).zip(values.chunks_exact(span)) {
                out.copy_from_slice(&window[..self.channels]);
                for row in window.chunks_exact(self.channels).skip(1) {
                    out.iter_mut().zip(row).for_each(|(out, value)| *out = if *value > *out { *value } else { *out });
                }
            }
        });
        out
    }

    /// Gives each output's gradient to the first position that has its value.
    pub(super) fn backward<T: Real>(&self, values: &[T], pooled: &[T], gradient: &[T]) -> Vec<T> {
        let (sample, span) = (self.length * self.channels, self.window * self.channels);
        let size = self.length / self.window * self.channels;
        let mut out = vec![T::zero(); values.len()];
        let samples = out.par_chunks_mut(sample).zip(values.par_chunks(sample));
        samples.zip(pooled.par_chunks(size).zip(gradient.par_chunks(size))).for_each(
            |((out, values), (pooled, signal))| {
                let windows = out.chunks_exact_mut(span).zip(values.chunks_exact(span));
                let outputs = pooled.chunks_exact(self.channels).zip(signal.chunks_exact(self.channels));
                for ((out, values), (pooled, signal)) in windows.zip(outputs) {
                    for channel in 0..self.channels {
                        let places = (channel..span).step_by(self.channels);
                        if let Some(first) = places.into_iter().find(|place| values[*place] >= pooled[channel]) {
                            out[first] = signal[channel];
                        }
                    }
                }
            },
        );
        out
    }
}
