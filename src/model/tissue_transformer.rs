//! The encoder of a neighbour's tissue profile: one token a tissue, attention over tissues, mean over tokens.

use candle_core::{DType, Device, Tensor};
use serde::{Deserialize, Serialize};

use super::ModelError;
use super::layers::{self, Builder, Computed, LayerNorm, Linear, Pass};

/// The shape of a tissue encoder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TissueSettings {
    /// Width of a token, which is that of the encoding.
    pub width: usize,
    /// Layers of attention.
    pub layers: usize,
    /// Heads of a layer; they share the width evenly.
    pub heads: usize,
    /// Width of a layer's feed-forward part.
    pub feed_forward: usize,
    /// Share of each part's output that is dropped while learning.
    pub dropout: f64,
}

impl TissueSettings {
    /// Returns the published shape.
    #[must_use]
    pub fn paper() -> Self {
        Self { width: 128, layers: 4, heads: 8, feed_forward: 512, dropout: 0.1 }
    }

    /// Returns a shape that a small machine trains.
    #[must_use]
    pub fn compact() -> Self {
        Self { width: 32, layers: 2, heads: 4, feed_forward: 64, dropout: 0.1 }
    }

    /// Returns what is wrong with the settings, if anything.
    pub(super) fn fault(&self) -> Option<&'static str> {
        if self.width == 0 || self.width % 2 == 1 || self.heads == 0 || !self.width.is_multiple_of(self.heads) {
            Some("an even width that the heads share evenly")
        } else if self.layers == 0 || self.feed_forward == 0 {
            Some("layers and a feed-forward width above 0")
        } else if !(0.0..1.0).contains(&self.dropout) {
            Some("a dropout from 0 to below 1")
        } else {
            None
        }
    }
}

/// One layer of attention over tokens and a feed-forward part, each added to its input and then normalised.
#[derive(Debug, Clone)]
pub(super) struct AttentionLayer {
    /// Queries, keys and values side by side.
    projection: Linear,
    output: Linear,
    attention_norm: LayerNorm,
    expand: Linear,
    contract: Linear,
    feed_forward_norm: LayerNorm,
    heads: usize,
    dropout: f64,
}

impl AttentionLayer {
    /// Builds the layer from variables under `prefix.`.
    pub(super) fn build(
        builder: &mut Builder<'_>,
        prefix: &str,
        settings: &TissueSettings,
    ) -> Result<Self, ModelError> {
        let (width, inner) = (settings.width, settings.feed_forward);
        let head = width / settings.heads;
        // Keras reads the three axes of an attention kernel as a convolution's, which gives these fans.
        let projection_fans = [width * settings.heads, width * head];
        let output_fans = [width, width * settings.heads];
        let name = |part: &str| format!("{prefix}.{part}");
        Ok(Self {
            projection: Linear::build_with(builder, &name("projection"), [width, 3 * width], projection_fans)?,
            output: Linear::build_with(builder, &name("output"), [width, width], output_fans)?,
            attention_norm: LayerNorm::build(builder, &name("attention_norm"), width)?,
            expand: Linear::build(builder, &name("expand"), width, inner)?,
            contract: Linear::build(builder, &name("contract"), inner, width)?,
            feed_forward_norm: LayerNorm::build(builder, &name("feed_forward_norm"), width)?,
            heads: settings.heads,
            dropout: settings.dropout,
        })
    }

    /// Mixes tokens: `[batch, tokens, width]` to the same shape.
    pub(super) fn forward(&self, tokens: &Tensor, pass: &mut Pass<'_>) -> Computed<Tensor> {
        let mixed = layers::attend(&self.projection.forward(tokens)?, self.heads)?;
        let mixed = layers::dropout(&self.output.forward(&mixed)?, self.dropout, pass)?;
        let tokens = self.attention_norm.forward(&(tokens + mixed)?)?;
        let fed = self.contract.forward(&self.expand.forward_relu(&tokens)?)?;
        let fed = layers::dropout(&fed, self.dropout, pass)?;
        self.feed_forward_norm.forward(&(tokens + fed)?)
    }
}

/// The encoder.
#[derive(Debug, Clone)]
pub struct TissueTransformer {
    embedding: Linear,
    /// Sinusoids by tissue: `[tissues, width]`.
    positions: Tensor,
    layers: Vec<AttentionLayer>,
}

impl TissueTransformer {
    /// Builds the encoder from variables under `tissue.`.
    ///
    /// # Errors
    /// A variable is missing or has another shape.
    pub fn build(
        builder: &mut Builder<'_>,
        settings: &TissueSettings,
        tissues: usize,
        (dtype, device): (DType, &Device),
    ) -> Result<Self, ModelError> {
        let width = settings.width;
        let embedding = Linear::build(builder, "tissue.embedding", 1, width)?;
        let layer = |index| AttentionLayer::build(builder, &format!("tissue.{index}"), settings);
        let layers = (0..settings.layers).map(layer).collect::<Result<_, _>>()?;
        let positions = Tensor::from_vec(sinusoids(tissues, width), (tissues, width), device)?.to_dtype(dtype)?;
        Ok(Self { embedding, positions, layers })
    }

    /// Encodes profiles `[batch, tissues]` to `[batch, width]`.
    ///
    /// # Errors
    /// The profiles have another number of tissues.
    pub fn forward(&self, profiles: &Tensor, pass: &mut Pass<'_>) -> Computed<Tensor> {
        let mut tokens = self.embedding.forward(&profiles.unsqueeze(2)?)?.broadcast_add(&self.positions)?;
        for layer in &self.layers {
            tokens = layer.forward(&tokens, pass)?;
        }
        tokens.mean(1)
    }
}

/// Sine at even and cosine at odd places, wavelengths from 2π to 10,000 · 2π.
fn sinusoids(positions: usize, width: usize) -> Vec<f32> {
    let value = |position: usize, place: usize| {
        let angle = position as f64 / 10_000f64.powf((place / 2 * 2) as f64 / width as f64);
        (if place.is_multiple_of(2) { angle.sin() } else { angle.cos() }) as f32
    };
    (0..positions).flat_map(|position| (0..width).map(move |place| value(position, place))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_interleave_sine_and_cosine() {
        let values = sinusoids(2, 4);
        let expected = [0.0, 1.0, 0.0, 1.0, 1f32.sin(), 1f32.cos(), 0.01f32.sin(), 0.01f32.cos()];
        assert!(values.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{values:?}");
    }
}
