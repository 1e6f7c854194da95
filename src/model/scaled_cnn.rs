//! The scaled convolutional network: from a gene's standardised dosages in genome order to its expression.
//!
//! Every variant's dosage is multiplied by a scale of its own, whose size says how much the variant matters (Ramprasad,
//! Ren and Pan, Genet Epidemiol 2025, doi 10.1002/gepi.22595; what is known of it is its abstract: sizes and layers are
//! this project's choice). Behind the scales, a linear skip, so that the additive model is nested inside, and an
//! encoder: a convolution over patches of neighbouring variants, one over neighbouring patches, and a dense head.
//! A gene has several members, trained on different parts of the people; its prediction is their mean.
//!
//! One [`Batch`] holds many genes: on the processor it runs on loops of its own, elsewhere as candle's operations on
//! the same parameters. A test holds the two to each other and both to finite differences.

#![expect(clippy::inline_always, reason = "only inlined code is compiled for the processor's own vectors")]

mod kernels;
#[cfg(test)]
mod tests;

use std::ops::Range;

use candle_core::{Device, Tensor, Var};
use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use self::kernels::{LANES, Member, Scratch, WINDOW};
use super::layers::Computed;

/// Variants of one patch.
pub const TAPS: usize = 16;
/// Channels of both convolutions.
pub const CHANNELS: usize = 4;

/// Where a member's parameters lie in its vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// Patches of [`TAPS`] variants.
    pub patches: usize,
}

impl Layout {
    /// Returns the layout for so many variants; the last patch is filled up.
    #[must_use]
    pub const fn of_variants(variants: usize) -> Self {
        Self { patches: if variants == 0 { 1 } else { variants.div_ceil(TAPS) } }
    }

    /// Returns the places of variants, those that fill the last patch included.
    #[must_use]
    pub const fn places(&self) -> usize {
        self.patches * TAPS
    }

    /// Returns how many numbers a member has.
    #[must_use]
    pub const fn parameters(&self) -> usize {
        self.bias() + 1
    }

    /// Returns the scales, one a place.
    #[must_use]
    pub const fn scale(&self) -> Range<usize> {
        0..self.places()
    }

    /// Returns the weights of the linear skip, one a place.
    #[must_use]
    pub const fn linear(&self) -> Range<usize> {
        self.places()..2 * self.places()
    }

    /// Returns the first convolution, `[channels, taps]`.
    #[must_use]
    pub const fn kernel(&self) -> Range<usize> {
        let start = 2 * self.places();
        start..start + CHANNELS * TAPS
    }

    /// Returns its bias by channel.
    #[must_use]
    pub const fn kernel_bias(&self) -> Range<usize> {
        let start = self.kernel().end;
        start..start + CHANNELS
    }

    /// Returns the second convolution, `[channels, neighbouring patches, channels]`.
    #[must_use]
    pub const fn mixer(&self) -> Range<usize> {
        let start = self.kernel_bias().end;
        start..start + CHANNELS * WINDOW * CHANNELS
    }

    /// Returns its bias by channel.
    #[must_use]
    pub const fn mixer_bias(&self) -> Range<usize> {
        let start = self.mixer().end;
        start..start + CHANNELS
    }

    /// Returns the head, `[patches, channels]`.
    #[must_use]
    pub const fn head(&self) -> Range<usize> {
        let start = self.mixer_bias().end;
        start..start + self.patches * CHANNELS
    }

    /// Returns every tensor's place, in the order in which they lie.
    #[must_use]
    pub const fn tensors(&self) -> [Range<usize>; 8] {
        [
            self.scale(),
            self.linear(),
            self.kernel(),
            self.kernel_bias(),
            self.mixer(),
            self.mixer_bias(),
            self.head(),
            self.bias()..self.bias() + 1,
        ]
    }

    /// Returns how far a standard deviation of a place's dosage can move a member's prediction through the encoder at most,
    /// the positive parts left aside.
    #[must_use]
    pub fn reach(&self, parameters: &[f32], place: usize) -> f32 {
        let (patch, tap) = (place / TAPS, place % TAPS);
        let (kernel, mixer) = (&parameters[self.kernel()], &parameters[self.mixer()]);
        let head = &parameters[self.head()];
        let mut reach = 0.0;
        for input in 0..CHANNELS {
            let mut behind = 0.0;
            for at in 0..WINDOW {
                // The neighbour whose second convolution reads this patch at place `at` of its kernel.
                let Some(reader) = (patch + 1).checked_sub(at).filter(|reader| *reader < self.patches) else {
                    continue;
                };
                for channel in 0..CHANNELS {
                    let weight = mixer[(channel * WINDOW + at) * CHANNELS + input];
                    behind += (weight * head[reader * CHANNELS + channel]).abs();
                }
            }
            reach += kernel[input * TAPS + tap].abs() * behind;
        }
        reach * parameters[place].abs()
    }

    /// Returns the place of the last bias.
    #[must_use]
    pub const fn bias(&self) -> usize {
        self.head().end
    }
}

/// What a batch learns from.
#[derive(Debug, Clone, Copy)]
pub struct Targets<'a> {
    /// Expression, `[genes, people]`.
    pub values: &'a [f32],
    /// How much a person counts for a member, `[genes, members, people]`.
    pub weights: &'a [f32],
}

/// The dosages of several genes of one layout, standardised; missing and filled places are 0, the mean.
#[derive(Debug, Clone)]
pub struct Batch {
    /// The layout that all genes share.
    pub layout: Layout,
    people: usize,
    padded: usize,
    genes: usize,
    /// `[genes, places, padded people]`.
    inputs: Vec<f32>,
}

impl Batch {
    /// Builds a batch without genes for so many people.
    #[must_use]
    pub fn new(layout: Layout, people: usize) -> Self {
        Self { layout, people, padded: people.next_multiple_of(LANES), genes: 0, inputs: Vec::new() }
    }

    /// Adds a gene whose variants are all at their mean, and returns its rows to be filled by [`Self::row_mut`].
    pub fn push(&mut self) -> usize {
        self.inputs.resize(self.inputs.len() + self.layout.places() * self.padded, 0.0);
        self.genes += 1;
        self.genes - 1
    }

    /// Returns the standardised dosages of a gene's variant, one a person.
    pub fn row_mut(&mut self, gene: usize, place: usize) -> &mut [f32] {
        let start = (gene * self.layout.places() + place) * self.padded;
        &mut self.inputs[start..start + self.people]
    }

    /// Returns how many people there are.
    #[must_use]
    pub const fn people(&self) -> usize {
        self.people
    }

    /// Returns how many genes there are.
    #[must_use]
    pub const fn genes(&self) -> usize {
        self.genes
    }

    /// Returns the dosages as candle has them, `[genes, patches, taps, people]`.
    ///
    /// # Errors
    /// The device fails.
    pub fn tensor(&self, device: &Device) -> Computed<Tensor> {
        let shape = (self.genes, self.layout.patches, TAPS, self.padded);
        Tensor::from_slice(&self.inputs, shape, device)?.narrow(3, 0, self.people)?.contiguous()
    }

    /// Predicts: `parameters` is `[genes, members, numbers of a member]`, the answer `[genes, members, people]`.
    ///
    /// # Errors
    /// The device fails.
    pub fn predict(&self, parameters: &[f32], members: usize, device: &Device) -> Computed<Vec<f32>> {
        if !device.is_cpu() {
            let parameters = self.on_device(parameters, members, device)?;
            return self.forward(&parameters, &self.tensor(device)?)?.flatten_all()?.to_vec1();
        }
        let mut out = vec![0.0; self.genes * members * self.people];
        let genes = out.par_chunks_mut((members * self.people).max(1)).enumerate();
        genes.for_each_init(Scratch::default, |scratch, (gene, out)| {
            let own = Own { batch: self, parameters, members, gene };
            pulp::Arch::new().dispatch(PredictGene { own, out, scratch });
        });
        Ok(out)
    }

    /// Predicts, and computes the gradient of each member's Σ weight × (prediction − target)² by its parameters.
    ///
    /// The answer is the predictions, `[genes, members, people]`, and the gradient, of the parameters' shape.
    ///
    /// # Errors
    /// The device fails.
    pub fn learn(
        &self,
        parameters: &[f32],
        members: usize,
        targets: Targets<'_>,
        device: &Device,
    ) -> Computed<(Vec<f32>, Vec<f32>)> {
        if !device.is_cpu() {
            return self.learn_on(parameters, members, targets, device);
        }
        let mut predicted = vec![0.0; self.genes * members * self.people];
        let mut gradient = vec![0.0; parameters.len()];
        let size = members * self.layout.parameters();
        let genes = predicted.par_chunks_mut((members * self.people).max(1)).zip(gradient.par_chunks_mut(size));
        genes.enumerate().for_each_init(Scratch::default, |scratch, (gene, (predicted, gradient))| {
            let own = Own { batch: self, parameters, members, gene };
            let targets = Targets {
                values: &targets.values[gene * self.people..(gene + 1) * self.people],
                weights: &targets.weights[gene * members * self.people..(gene + 1) * members * self.people],
            };
            pulp::Arch::new().dispatch(LearnGene { own, targets, predicted, gradient, scratch });
        });
        Ok((predicted, gradient))
    }

    fn on_device(&self, parameters: &[f32], members: usize, device: &Device) -> Computed<Tensor> {
        Tensor::from_slice(parameters, (self.genes, members, self.layout.parameters()), device)
    }

    fn learn_on(
        &self,
        parameters: &[f32],
        members: usize,
        targets: Targets<'_>,
        device: &Device,
    ) -> Computed<(Vec<f32>, Vec<f32>)> {
        let parameters = Var::from_tensor(&self.on_device(parameters, members, device)?)?;
        let predicted = self.forward(&parameters, &self.tensor(device)?)?;
        let values = Tensor::from_slice(targets.values, (self.genes, 1, self.people), device)?;
        let weights = Tensor::from_slice(targets.weights, (self.genes, members, self.people), device)?;
        let loss = (predicted.broadcast_sub(&values)?.sqr()? * weights)?.sum_all()?;
        let gradients = loss.backward()?;
        let gradient = gradients.get(&parameters).map_or_else(|| parameters.zeros_like(), |found| Ok(found.clone()))?;
        Ok((predicted.flatten_all()?.to_vec1()?, gradient.flatten_all()?.to_vec1()?))
    }

    /// Computes the network in candle's operations: parameters `[genes, members, numbers]` and inputs `[genes, patches,
    /// taps, people]` to predictions `[genes, members, people]`. Gradients reach both.
    ///
    /// # Errors
    /// A shape differs, or the device fails.
    pub fn forward(&self, parameters: &Tensor, inputs: &Tensor) -> Computed<Tensor> {
        let (layout, patches) = (&self.layout, self.layout.patches);
        let (genes, members, _) = parameters.dims3()?;
        let people = inputs.dim(3)?;
        let part = |range: Range<usize>, shape: &[usize]| {
            let shape: Vec<usize> = [genes, members].iter().chain(shape).copied().collect();
            parameters.narrow(2, range.start, range.len())?.contiguous()?.reshape(shape)
        };
        let scaled = inputs.unsqueeze(1)?.broadcast_mul(&part(layout.scale(), &[patches, TAPS, 1])?)?;
        let linear = scaled.broadcast_mul(&part(layout.linear(), &[patches, TAPS, 1])?)?.sum((2, 3))?;
        // [genes, members, patches, channels, people] from here on. A product's factors are contiguous and of three
        // axes: candle takes no other batch of strides.
        let product = |kernel: Tensor, input: &Tensor| -> Computed<Tensor> {
            let (rows, columns) = (kernel.dim(3)?, kernel.dim(4)?);
            let kernel = kernel.broadcast_as((genes, members, patches, rows, columns))?.contiguous()?;
            let kernel = kernel.reshape((genes * members * patches, rows, columns))?;
            let input = input.contiguous()?.reshape((genes * members * patches, columns, people))?;
            kernel.matmul(&input)?.reshape((genes, members, patches, rows, people))
        };
        let first = product(part(layout.kernel(), &[1, CHANNELS, TAPS])?, &scaled)?;
        let first = first.broadcast_add(&part(layout.kernel_bias(), &[1, CHANNELS, 1])?)?.relu()?;
        let edge = Tensor::zeros((genes, members, 1, CHANNELS, people), first.dtype(), first.device())?;
        let around = Tensor::cat(&[&edge, &first, &edge], 2)?;
        let windows: Computed<Vec<Tensor>> = (0..WINDOW).map(|at| around.narrow(2, at, patches)).collect();
        let windows = Tensor::cat(&windows?, 3)?;
        let second = product(part(layout.mixer(), &[1, CHANNELS, WINDOW * CHANNELS])?, &windows)?;
        let second = second.broadcast_add(&part(layout.mixer_bias(), &[1, CHANNELS, 1])?)?.relu()?;
        let head = second.broadcast_mul(&part(layout.head(), &[patches, CHANNELS, 1])?)?.sum((2, 3))?;
        (linear + head)?.broadcast_add(&part(layout.bias()..layout.bias() + 1, &[1])?)
    }
}

/// One gene of a batch with its members' parameters.
#[derive(Clone, Copy)]
struct Own<'a> {
    batch: &'a Batch,
    parameters: &'a [f32],
    members: usize,
    gene: usize,
}

impl<'a> Own<'a> {
    fn member(&self, member: usize) -> Member<'a> {
        let layout = self.batch.layout;
        let (numbers, inputs) = (layout.parameters(), layout.places() * self.batch.padded);
        let at = self.gene * self.members + member;
        Member {
            layout,
            parameters: &self.parameters[at * numbers..(at + 1) * numbers],
            inputs: &self.batch.inputs[self.gene * inputs..(self.gene + 1) * inputs],
        }
    }
}

struct PredictGene<'a> {
    own: Own<'a>,
    out: &'a mut [f32],
    scratch: &'a mut Scratch,
}

impl WithSimd for PredictGene<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        let Batch { people, padded, .. } = self.own.batch;
        let mut out = vec![0.0; *padded];
        for (member, into) in self.out.chunks_exact_mut((*people).max(1)).enumerate() {
            kernels::forward(&self.own.member(member), &mut out, self.scratch);
            into.copy_from_slice(&out[..*people]);
        }
    }
}

struct LearnGene<'a> {
    own: Own<'a>,
    targets: Targets<'a>,
    predicted: &'a mut [f32],
    gradient: &'a mut [f32],
    scratch: &'a mut Scratch,
}

impl WithSimd for LearnGene<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        let Batch { layout, people, padded, .. } = self.own.batch;
        let (mut out, mut error) = (vec![0.0; *padded], vec![0.0; *padded]);
        let weights = self.targets.weights.chunks_exact((*people).max(1));
        let parts = self.predicted.chunks_exact_mut((*people).max(1)).zip(weights);
        for (member, ((predicted, weights), gradient)) in
            parts.zip(self.gradient.chunks_exact_mut(layout.parameters())).enumerate()
        {
            let own = self.own.member(member);
            kernels::forward(&own, &mut out, self.scratch);
            predicted.copy_from_slice(&out[..*people]);
            let residuals = out.iter().zip(self.targets.values).zip(weights);
            for (error, ((out, target), weight)) in error.iter_mut().zip(residuals) {
                *error = 2.0 * weight * (out - target);
            }
            kernels::backward(&own, &error, gradient, self.scratch);
        }
    }
}
