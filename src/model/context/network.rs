//! The network that reads a gene in its context: attention over its tissues, its neighbours and its promoter.
//!
//! A token a tissue (what was measured there, what the surroundings and the mixture say), a token a neighbouring
//! measured gene (its profile, distance, orientation, biotype), one for the promoter and one for the gene itself. It
//! answers with corrections: to the mixture's values, and to the surroundings' guess of shape and level. Imports its
//! parent. Invariant: a correction depends on its own gene only, alone or in a batch the same to 1e-4.

#[cfg(test)]
mod tests;

use candle_core::{D, DType, Device, Tensor};
use serde::{Deserialize, Serialize};

use crate::model::ModelError;
use crate::model::layers::{Builder, Initial, LayerNorm, Linear, Pass, Source, Variables, dropout};
use crate::model::tissue_transformer::{AttentionLayer, TissueSettings};

/// Numbers of a tissue's token.
pub const TISSUE: usize = 7;
/// Numbers of a neighbour's token beside its profile.
pub const PLACE: usize = 9;
/// Numbers of the gene's own token beside its measured profile: its biotype's class, whether its promoter is known, and
/// the share of tissues that are known.
pub const OWN: usize = 6;

/// Corrections are this much smaller than the heads' sums, so that with starting weights the answer is nearly that of
/// the parts below.
const HEAD_SCALE: f64 = 0.1;

/// The shape of the network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContextNetworkSettings {
    /// Tissues of the profiles.
    pub tissues: usize,
    /// Neighbouring measured genes on either side.
    pub side: usize,
    /// Numbers that describe a promoter.
    pub promoter: usize,
    /// The attention's shape.
    pub attention: TissueSettings,
}

impl ContextNetworkSettings {
    /// Returns a shape that two cores train in half an hour on a table of 14,000 genes.
    #[must_use]
    pub fn compact(tissues: usize, promoter: usize) -> Self {
        let attention = TissueSettings { width: 64, layers: 2, heads: 4, feed_forward: 128, dropout: 0.15 };
        Self { tissues, side: 5, promoter, attention }
    }

    fn validate(&self) -> Result<(), ModelError> {
        let own = if self.tissues < 2 || self.side == 0 || self.promoter == 0 {
            Some("two tissues or more, neighbours, and numbers of a promoter")
        } else {
            self.attention.fault()
        };
        match own {
            Some(needed) => {
                Err(ModelError::File { file: "settings".to_owned(), reason: format!("the network needs {needed}") })
            }
            None => Ok(()),
        }
    }
}

/// Genes as the network reads them, row by row.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ContextBatch {
    /// How many genes there are.
    pub genes: usize,
    /// Genes × tissues × [`TISSUE`].
    pub tissues: Vec<f32>,
    /// Genes × 2 · side × tissues: the neighbours' standardised profiles, left ones first, nearest first on each side.
    pub profiles: Vec<f32>,
    /// Genes × 2 · side × [`PLACE`].
    pub places: Vec<f32>,
    /// Genes × promoter numbers.
    pub promoters: Vec<f32>,
    /// Genes × ([`OWN`] + tissues): the gene's own token, its measured profile at the end.
    pub own: Vec<f32>,
}

/// The network with its variables.
#[derive(Debug, Clone)]
pub struct ContextNetwork {
    settings: ContextNetworkSettings,
    variables: Variables,
    tissue: Linear,
    /// `[tissues, width]`.
    tissue_names: Tensor,
    profile: Linear,
    place: Linear,
    promoter: Linear,
    own: Linear,
    layers: Vec<AttentionLayer>,
    /// `[tissues, width]` each: what a tissue's token says of its value, and of the shape there.
    value_head: Tensor,
    shape_head: Tensor,
    /// `[tissues]` each.
    value_bias: Tensor,
    shape_bias: Tensor,
    level_norm: LayerNorm,
    level: Linear,
}

/// What the network answers.
#[derive(Debug, Clone)]
pub struct Corrections {
    /// `[genes, tissues]`: added to the mixture's values, log2(1 + x).
    pub values: Tensor,
    /// `[genes, tissues + 2]`: added to the surroundings' outputs, shape and level.
    pub outputs: Tensor,
}

impl ContextNetwork {
    /// Builds a network of new variables, to be trained.
    ///
    /// # Errors
    /// The settings are out of range, or the source fails.
    pub fn new<'a>(
        settings: &ContextNetworkSettings,
        dtype: DType,
        device: &Device,
        source: &'a mut Source<'a>,
    ) -> Result<Self, ModelError> {
        Self::build(settings, Builder::new(dtype, device, source))
    }

    /// Builds a network on existing variables, sharing their storage: it answers and cannot be trained.
    ///
    /// # Errors
    /// The settings are out of range, or a variable is missing, left over, or of another shape.
    pub fn from_variables(settings: &ContextNetworkSettings, variables: Variables) -> Result<Self, ModelError> {
        Self::build(settings, Builder::frozen(variables))
    }

    /// Reads a network from a safetensors buffer, in single precision.
    ///
    /// # Errors
    /// The buffer is not safetensors; a tensor is missing, left over, of another shape, or not finite.
    pub fn from_bytes(settings: &ContextNetworkSettings, bytes: &[u8], device: &Device) -> Result<Self, ModelError> {
        let variables = Variables::from_bytes(bytes, DType::F32, device)?;
        variables.require_finite()?;
        Self::from_variables(settings, variables)
    }

    fn build(settings: &ContextNetworkSettings, mut builder: Builder<'_>) -> Result<Self, ModelError> {
        settings.validate()?;
        let (tissues, width) = (settings.tissues, settings.attention.width);
        let by_tissue = |builder: &mut Builder<'_>, name: &str| {
            builder.learned(name, &[tissues, width], Initial::GlorotUniform { fan_in: width, fan_out: 1 })
        };
        let tissue = Linear::build(&mut builder, "context.tissue", TISSUE, width)?;
        let tissue_names = by_tissue(&mut builder, "context.tissue_names")?;
        let profile = Linear::build(&mut builder, "context.profile", tissues, width)?;
        let place = Linear::build(&mut builder, "context.place", PLACE, width)?;
        let promoter = Linear::build(&mut builder, "context.promoter", settings.promoter, width)?;
        let own = Linear::build(&mut builder, "context.own", OWN + tissues, width)?;
        let layer = |index| AttentionLayer::build(&mut builder, &format!("context.layer.{index}"), &settings.attention);
        let layers = (0..settings.attention.layers).map(layer).collect::<Result<_, _>>()?;
        let value_head = by_tissue(&mut builder, "context.value_head")?;
        let shape_head = by_tissue(&mut builder, "context.shape_head")?;
        let value_bias = builder.learned("context.value_bias", &[tissues], Initial::Zeros)?;
        let shape_bias = builder.learned("context.shape_bias", &[tissues], Initial::Zeros)?;
        let level_norm = LayerNorm::build(&mut builder, "context.level_norm", width)?;
        let level = Linear::build(&mut builder, "context.level", width, 2)?;
        Ok(Self {
            settings: settings.clone(),
            variables: builder.finish()?,
            tissue,
            tissue_names,
            profile,
            place,
            promoter,
            own,
            layers,
            value_head,
            shape_head,
            value_bias,
            shape_bias,
            level_norm,
            level,
        })
    }

    /// Returns the network's shape.
    #[must_use]
    pub fn settings(&self) -> &ContextNetworkSettings {
        &self.settings
    }

    /// Returns the network's variables.
    #[must_use]
    pub fn variables(&self) -> &Variables {
        &self.variables
    }

    /// Returns a network on the same variables that keeps no graph of its operations; it sees every later change.
    ///
    /// # Errors
    /// The numeric library failed.
    pub fn frozen(&self) -> Result<Self, ModelError> {
        Self::from_variables(&self.settings, self.variables.clone())
    }

    /// Computes the corrections of a batch.
    ///
    /// # Errors
    /// The batch is empty or a part has another length than its genes need.
    pub fn forward(&self, batch: &ContextBatch, pass: &mut Pass<'_>) -> Result<Corrections, ModelError> {
        let ContextNetworkSettings { tissues, side, promoter, ref attention } = self.settings;
        let (genes, neighbours) = (batch.genes, 2 * side);
        let table = |name: &str, values: &[f32], rows: usize, columns: usize| {
            if genes == 0 || values.len() != genes * rows * columns {
                let reason = format!("{name}: {} numbers for {genes} genes of {rows} × {columns}", values.len());
                return Err(ModelError::Tensor { name: "batch".to_owned(), reason });
            }
            let tensor = Tensor::from_slice(values, (genes, rows, columns), self.variables.device())?;
            Ok(tensor.to_dtype(self.variables.dtype())?)
        };
        let by_tissue = self.tissue.forward(&table("tissues", &batch.tissues, tissues, TISSUE)?)?;
        let by_tissue = by_tissue.broadcast_add(&self.tissue_names)?;
        let profiles = self.profile.forward(&table("profiles", &batch.profiles, neighbours, tissues)?)?;
        let places = self.place.forward(&table("places", &batch.places, neighbours, PLACE)?)?;
        let promoters = self.promoter.forward(&table("promoters", &batch.promoters, 1, promoter)?)?;
        let own = self.own.forward(&table("own", &batch.own, 1, OWN + tissues)?)?;
        let own = dropout(&own, attention.dropout, pass)?;
        let promoters = dropout(&promoters, attention.dropout, pass)?;
        let mut tokens = Tensor::cat(&[by_tissue, (profiles + places)?, promoters, own], 1)?;
        for layer in &self.layers {
            tokens = layer.forward(&tokens, pass)?;
        }
        let by_tissue = tokens.narrow(1, 0, tissues)?.contiguous()?;
        let own = tokens.narrow(1, tissues + neighbours + 1, 1)?.contiguous()?.squeeze(1)?;
        let head = |head: &Tensor, bias: &Tensor| -> Result<Tensor, ModelError> {
            let sums = by_tissue.broadcast_mul(head)?.sum(D::Minus1)?;
            Ok((sums.broadcast_add(bias)? * HEAD_SCALE)?)
        };
        let level = (self.level.forward(&self.level_norm.forward(&own)?)? * HEAD_SCALE)?;
        Ok(Corrections {
            values: head(&self.value_head, &self.value_bias)?,
            outputs: Tensor::cat(&[head(&self.shape_head, &self.shape_bias)?, level], 1)?,
        })
    }
}
