//! The network of one gene's member on the processor: predictions and their gradient in one pass over its variants.
//!
//! Written out by hand because the networks are tiny: candle's one operation a tensor would move far more memory than
//! they hold. People lie last and in whole lanes, so that every inner loop is over people. Plain slices; knows nothing
//! of candle. Invariant: sums are taken lane by lane in a fixed order, so that no processor changes a bit of them.

use super::{CHANNELS, Layout, TAPS};

/// People of one lane: [`super::Batch`] pads them to a multiple of it.
pub(super) const LANES: usize = 16;
/// The encoder's neighbouring patches that one of its second convolution's outputs reads.
pub(super) const WINDOW: usize = 3;

/// The activations of one member, kept between the way there and the way back.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    /// `[patches, channels, people]`, behind the first convolution.
    first: Vec<f32>,
    /// The same behind the second.
    second: Vec<f32>,
    /// The gradient at `first`.
    back: Vec<f32>,
}

/// One member of a gene.
#[derive(Debug, Clone, Copy)]
pub(super) struct Member<'a> {
    pub(super) layout: Layout,
    /// The numbers, as the layout has them.
    pub(super) parameters: &'a [f32],
    /// The gene's dosages, `[patches × taps, people]`.
    pub(super) inputs: &'a [f32],
}

/// Computes the predictions of a member into `out`, one a person.
#[inline(always)]
pub(super) fn forward(member: &Member<'_>, out: &mut [f32], scratch: &mut Scratch) {
    let Member { layout, parameters, inputs } = *member;
    let people = out.len();
    let rows = CHANNELS * people;
    scratch.first.resize(layout.patches * rows, 0.0);
    scratch.second.resize(layout.patches * rows, 0.0);
    out.fill(parameters[layout.bias()]);
    let (scale, linear) = (&parameters[layout.scale()], &parameters[layout.linear()]);
    let (kernel, shift) = (&parameters[layout.kernel()], &parameters[layout.kernel_bias()]);
    for patch in 0..layout.patches {
        let x = &inputs[patch * TAPS * people..(patch + 1) * TAPS * people];
        let s = &scale[patch * TAPS..(patch + 1) * TAPS];
        let w = &linear[patch * TAPS..(patch + 1) * TAPS];
        // The scale is folded into the weights: it never meets the people.
        let mut weights = [[0.0; CHANNELS + 1]; TAPS];
        for (tap, row) in weights.iter_mut().enumerate() {
            for (channel, weight) in row.iter_mut().take(CHANNELS).enumerate() {
                *weight = kernel[channel * TAPS + tap] * s[tap];
            }
            row[CHANNELS] = w[tap] * s[tap];
        }
        let first = &mut scratch.first[patch * rows..(patch + 1) * rows];
        for from in (0..people).step_by(LANES) {
            let mut sums = [[0.0; LANES]; CHANNELS + 1];
            for (channel, sum) in sums.iter_mut().take(CHANNELS).enumerate() {
                sum.fill(shift[channel]);
            }
            for (tap, row) in weights.iter().enumerate() {
                let x = &x[tap * people + from..tap * people + from + LANES];
                for (sum, weight) in sums.iter_mut().zip(row) {
                    for (sum, x) in sum.iter_mut().zip(x) {
                        *sum += *weight * *x;
                    }
                }
            }
            for (channel, sum) in sums.iter().take(CHANNELS).enumerate() {
                let into = &mut first[channel * people + from..channel * people + from + LANES];
                for (into, sum) in into.iter_mut().zip(sum) {
                    *into = if *sum > 0.0 { *sum } else { 0.0 };
                }
            }
            for (out, sum) in out[from..from + LANES].iter_mut().zip(&sums[CHANNELS]) {
                *out += *sum;
            }
        }
    }
    let (mixer, shift) = (&parameters[layout.mixer()], &parameters[layout.mixer_bias()]);
    let head = &parameters[layout.head()];
    for patch in 0..layout.patches {
        let neighbours = neighbours(layout, patch);
        for from in (0..people).step_by(LANES) {
            let mut sums = [[0.0; LANES]; CHANNELS];
            sums.iter_mut().zip(shift).for_each(|(sum, shift)| sum.fill(*shift));
            for (at, neighbour) in neighbours.clone() {
                for input in 0..CHANNELS {
                    let start = neighbour * rows + input * people + from;
                    let h = &scratch.first[start..start + LANES];
                    for (channel, sum) in sums.iter_mut().enumerate() {
                        let weight = mixer[(channel * WINDOW + at) * CHANNELS + input];
                        for (sum, h) in sum.iter_mut().zip(h) {
                            *sum += weight * *h;
                        }
                    }
                }
            }
            for (channel, sum) in sums.iter().enumerate() {
                let weight = head[patch * CHANNELS + channel];
                let start = patch * rows + channel * people + from;
                let into = scratch.second[start..start + LANES].iter_mut();
                for ((into, sum), out) in into.zip(sum).zip(&mut out[from..from + LANES]) {
                    let positive = if *sum > 0.0 { *sum } else { 0.0 };
                    *into = positive;
                    *out += weight * positive;
                }
            }
        }
    }
}

/// The patches that a patch's second convolution reads, with their places in its kernel.
#[inline(always)]
fn neighbours(layout: Layout, patch: usize) -> impl Iterator<Item = (usize, usize)> + Clone {
    let patches = layout.patches;
    (0..WINDOW).filter_map(move |at| (patch + at).checked_sub(1).filter(|near| *near < patches).map(|near| (at, near)))
}

/// Computes the gradient of Σ `error` × prediction by every parameter into `gradient`, after [`forward`].
#[inline(always)]
pub(super) fn backward(member: &Member<'_>, error: &[f32], gradient: &mut [f32], scratch: &mut Scratch) {
    let Member { layout, parameters, inputs } = *member;
    let people = error.len();
    let rows = CHANNELS * people;
    gradient.fill(0.0);
    let Scratch { first, second, back } = scratch;
    back.clear();
    back.resize(layout.patches * rows, 0.0);
    gradient[layout.bias()] = error.iter().fold(0.0, |sum, e| sum + *e);
    let mixer = &parameters[layout.mixer()];
    for patch in 0..layout.patches {
        let active = &mut second[patch * rows..(patch + 1) * rows];
        let weights = &parameters[layout.head()][patch * CHANNELS..(patch + 1) * CHANNELS];
        for (channel, (active, weight)) in active.chunks_exact_mut(people).zip(weights).enumerate() {
            let [dot] = dots([&*active], error);
            gradient[layout.head()][patch * CHANNELS + channel] = dot;
            // From here on the activation's place holds the gradient at it.
            for (active, error) in active.iter_mut().zip(error) {
                *active = if *active > 0.0 { *weight * *error } else { 0.0 };
            }
        }
        let at_second: [&[f32]; CHANNELS] = std::array::from_fn(|channel| &active[channel * people..][..people]);
        for (channel, at_second) in at_second.iter().enumerate() {
            let sum = lane_sum(at_second);
            gradient[layout.mixer_bias()][channel] += sum;
        }
        for (at, neighbour) in neighbours(layout, patch) {
            for input in 0..CHANNELS {
                let start = neighbour * rows + input * people;
                let found = dots(at_second, &first[start..start + people]);
                for (channel, found) in found.into_iter().enumerate() {
                    gradient[layout.mixer()][(channel * WINDOW + at) * CHANNELS + input] += found;
                }
                let weights: [f32; CHANNELS] =
                    std::array::from_fn(|channel| mixer[(channel * WINDOW + at) * CHANNELS + input]);
                for (from, back) in (0..people).step_by(LANES).zip(back[start..start + people].chunks_exact_mut(LANES))
                {
                    for (weight, at_second) in weights.iter().zip(at_second) {
                        for (back, at_second) in back.iter_mut().zip(&at_second[from..from + LANES]) {
                            *back += *weight * *at_second;
                        }
                    }
                }
            }
        }
    }
    let (scale, linear, kernel) =
        (&parameters[layout.scale()], &parameters[layout.linear()], &parameters[layout.kernel()]);
    for patch in 0..layout.patches {
        let back = &mut back[patch * rows..(patch + 1) * rows];
        for (back, first) in back.iter_mut().zip(&first[patch * rows..(patch + 1) * rows]) {
            if *first <= 0.0 {
                *back = 0.0;
            }
        }
        let lines: [&[f32]; CHANNELS + 1] =
            std::array::from_fn(|line| if line < CHANNELS { &back[line * people..(line + 1) * people] } else { error });
        for (channel, line) in lines.iter().take(CHANNELS).enumerate() {
            gradient[layout.kernel_bias()][channel] += lane_sum(line);
        }
        for tap in 0..TAPS {
            let row = patch * TAPS + tap;
            let found = dots(lines, &inputs[row * people..(row + 1) * people]);
            let mut by_scale = linear[row] * found[CHANNELS];
            gradient[layout.linear()][row] = scale[row] * found[CHANNELS];
            for (channel, found) in found.into_iter().take(CHANNELS).enumerate() {
                gradient[layout.kernel()][channel * TAPS + tap] += scale[row] * found;
                by_scale += kernel[channel * TAPS + tap] * found;
            }
            gradient[layout.scale()][row] = by_scale;
        }
    }
}

#[inline(always)]
fn lane_sum(values: &[f32]) -> f32 {
    let mut sums = [0.0; LANES];
    for values in values.chunks_exact(LANES) {
        sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += *value);
    }
    sums.into_iter().fold(0.0, |sum, lane| sum + lane)
}

/// The scalar products of several rows with one.
#[inline(always)]
fn dots<const ROWS: usize>(rows: [&[f32]; ROWS], with: &[f32]) -> [f32; ROWS] {
    let mut sums = [[0.0; LANES]; ROWS];
    for (chunk, with) in with.chunks_exact(LANES).enumerate() {
        let from = chunk * LANES;
        for (sum, row) in sums.iter_mut().zip(&rows) {
            for ((sum, row), with) in sum.iter_mut().zip(&row[from..from + LANES]).zip(with) {
                *sum += *row * *with;
            }
        }
    }
    sums.map(|lanes| lanes.into_iter().fold(0.0, |sum, lane| sum + lane))
}
