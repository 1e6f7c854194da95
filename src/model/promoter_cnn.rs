//! The promoter's encoder: a convolutional network over one-hot bases, shared by both promoters of a pair.
//!
//! Block: convolution, positive part, batch normalisation, dropout, plus a 1×1 convolution of itself, max-pooling; the
//! last block has neither the 1×1 convolution nor the pooling and is averaged over the length (Brown, Dong, Truong,
//! Communications Biology 2026).

use candle_core::{DType, Device, Tensor};
use serde::{Deserialize, Serialize};

use super::ModelError;
use super::layers::{self, BatchNorm, Builder, Computed, Conv1d, Pass};
use crate::genome::Promoter;

/// Promoters that are encoded at once while answering: bounds the memory.
const CHUNK: usize = 32;

/// The shape of a promoter encoder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PromoterSettings {
    /// Bases that are read, from the promoter's first on; a shorter promoter is followed by unknown bases.
    pub length: usize,
    /// Channels of each block's convolution; the last is the embedding's width.
    pub channels: Vec<usize>,
    /// Taps of each block's convolution.
    pub kernels: Vec<usize>,
    /// Window of the max-pooling behind every block but the last.
    pub pool: usize,
    /// Share of the normalised activations that is dropped while learning.
    pub dropout: f64,
    /// Share of the running statistics that a step while learning leaves as it is.
    pub momentum: f64,
}

impl PromoterSettings {
    /// Returns the published shape for promoters of `length` bases.
    #[must_use]
    pub fn paper(length: usize) -> Self {
        Self { length, channels: vec![64, 128, 256], kernels: vec![8, 12, 16], pool: 2, dropout: 0.4, momentum: 0.99 }
    }

    /// Returns a shape that a small machine trains: about 15 million multiplications for 1,500 bases.
    #[must_use]
    pub fn compact(length: usize) -> Self {
        Self { length, channels: vec![32, 48, 64], kernels: vec![8, 12, 16], pool: 4, dropout: 0.4, momentum: 0.9 }
    }

    /// Returns the embedding's width.
    #[must_use]
    pub fn width(&self) -> usize {
        self.channels.last().copied().unwrap_or_default()
    }

    /// Returns what is wrong with the settings, if anything.
    pub(super) fn fault(&self) -> Option<&'static str> {
        let pooled = (1..self.channels.len()).fold(self.length, |length, _| length / self.pool.max(1));
        if self.channels.is_empty() || self.channels.len() != self.kernels.len() {
            Some("as many kernels as channels, and at least one")
        } else if self.channels.contains(&0) || self.kernels.contains(&0) || self.pool == 0 || pooled == 0 {
            Some("channels, kernels and pool above 0, and a length that outlasts the pooling")
        } else if !(0.0..1.0).contains(&self.dropout) {
            Some("a dropout from 0 to below 1")
        } else if !(0.0..1.0).contains(&self.momentum) {
            Some("a momentum from 0 to below 1")
        } else {
            None
        }
    }
}

#[derive(Debug, Clone)]
struct Block {
    convolution: Conv1d,
    norm: BatchNorm,
    /// The 1×1 convolution; `None` in the last block.
    residual: Option<Conv1d>,
}

/// The encoder.
#[derive(Debug, Clone)]
pub struct PromoterCnn {
    settings: PromoterSettings,
    blocks: Vec<Block>,
    device: Device,
    dtype: DType,
}

impl PromoterCnn {
    /// Builds the encoder from variables under `promoter.`.
    ///
    /// # Errors
    /// A variable is missing or has another shape.
    pub fn build(
        builder: &mut Builder<'_>,
        settings: &PromoterSettings,
        dtype: DType,
        device: &Device,
    ) -> Result<Self, ModelError> {
        let mut inputs = 4;
        let mut blocks = Vec::with_capacity(settings.channels.len());
        for (index, (&outputs, &taps)) in settings.channels.iter().zip(&settings.kernels).enumerate() {
            let name = format!("promoter.{index}");
            let residual = (index + 1 < settings.channels.len())
                .then(|| Conv1d::build(builder, &format!("{name}.residual"), [outputs, outputs], 1));
            blocks.push(Block {
                convolution: Conv1d::build(builder, &format!("{name}.convolution"), [inputs, outputs], taps)?,
                norm: BatchNorm::build(builder, &format!("{name}.norm"), outputs)?,
                residual: residual.transpose()?,
            });
            inputs = outputs;
        }
        Ok(Self { settings: settings.clone(), blocks, device: device.clone(), dtype })
    }

    /// Encodes promoters to `[promoters, width]`.
    ///
    /// # Errors
    /// There is no promoter, or the numeric library failed.
    pub fn encode(&self, promoters: &[&Promoter], pass: &mut Pass<'_>) -> Computed<Tensor> {
        match pass {
            Pass::Train(_) | Pass::Settle => self.forward(&self.one_hot(promoters)?, pass),
            Pass::Infer => {
                let encode = |chunk: &[&Promoter]| self.forward(&self.one_hot(chunk)?, &mut Pass::Infer);
                Tensor::cat(&promoters.chunks(CHUNK).map(encode).collect::<Computed<Vec<_>>>()?, 0)
            }
        }
    }

    /// One-hot A, C, G, T: `[promoters, length, 4]`; zeros where a base is not known or beyond the promoter.
    fn one_hot(&self, promoters: &[&Promoter]) -> Computed<Tensor> {
        let length = self.settings.length;
        let mut values = vec![0f32; promoters.len() * length * 4];
        for (promoter, values) in promoters.iter().zip(values.chunks_exact_mut(length * 4)) {
            for (base, values) in promoter.bases().iter().zip(values.chunks_exact_mut(4)) {
                if let Some(letter) = b"ACGT".iter().position(|letter| letter == base) {
                    values[letter] = 1.0;
                }
            }
        }
        Tensor::from_vec(values, (promoters.len(), length, 4), &self.device)?.to_dtype(self.dtype)
    }

    /// Encodes one-hot bases `[promoters, length, 4]` to `[promoters, width]`.
    fn forward(&self, input: &Tensor, pass: &mut Pass<'_>) -> Computed<Tensor> {
        let mut out = input.clone();
        for block in &self.blocks {
            let activated = block.convolution.forward_relu(&out)?;
            out = match (pass.mask(self.settings.dropout), &*pass, &block.residual) {
                (mask, Pass::Train(_) | Pass::Settle, residual) => {
                    let normal = block.norm.forward_train(&activated, mask, self.settings.momentum)?;
                    match residual {
                        Some(residual) => {
                            layers::max_pool(&residual.forward_residual(&normal, None)?, self.settings.pool)?
                        }
                        None => layers::average_pool(&normal)?,
                    }
                }
                // Running statistics are a fixed affine map by channel, which later linear steps take in.
                (_, Pass::Infer, Some(residual)) => {
                    let affine = block.norm.affine()?;
                    layers::max_pool(&residual.forward_residual(&activated, Some(&affine))?, self.settings.pool)?
                }
                (_, Pass::Infer, None) => {
                    let (scale, shift) = block.norm.affine()?;
                    layers::average_pool(&activated)?.broadcast_mul(&scale)?.broadcast_add(&shift)?
                }
            };
        }
        Ok(out)
    }
}
