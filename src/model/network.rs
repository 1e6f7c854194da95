//! The pair network: a target gene and one neighbour in, the target's tissue profile out.
//!
//! Both promoters go through one shared encoder, the neighbour's profile through the tissue encoder; with the aux
//! numbers they make the feature vector that the head and the boosted trees read (Brown, Dong, Truong, Communications
//! Biology 2026). Invariant: a prediction depends on its own pair only, alone or in a batch the same to 1e-4.

#[cfg(test)]
mod tests;

use std::ops::Range;

use candle_core::{DType, Device, Tensor};
use serde::{Deserialize, Serialize};

use super::ModelError;
use super::layers::{self, Builder, Initial, Linear, Pass, Source, Variables};
use super::promoter_cnn::{PromoterCnn, PromoterSettings};
use super::tissue_transformer::{TissueSettings, TissueTransformer};
use crate::genome::Promoter;

/// Numbers beside promoters and profile: distance, the target's strand one-hot, the neighbour's strand one-hot.
pub const AUX: usize = 5;

/// Base pairs of promoter that the published network reads (version 2 of its authors' code).
pub const PAPER_PROMOTER_LENGTH: usize = 1573;

/// What the head makes of its sums.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Output {
    /// ln(1 + eˣ): for targets that are never negative. The published choice.
    Softplus,
    /// The sum itself: for standardised targets.
    Linear,
}

/// What stands for the embedding of a promoter that nobody knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MissingPromoter {
    /// Zeros.
    Zeros,
    /// A learned vector.
    Learned,
}

/// The shape of a pair network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetworkSettings {
    /// Tissues of the profiles, in and out.
    pub tissues: usize,
    /// The promoter encoder.
    pub promoter: PromoterSettings,
    /// What stands for an unknown promoter.
    pub missing_promoter: MissingPromoter,
    /// The tissue encoder.
    pub tissue: TissueSettings,
    /// Width of the dense layer over both promoters.
    pub pair_width: usize,
    /// Share of that layer's outputs that is dropped while learning.
    pub pair_dropout: f64,
    /// What the head makes of its sums.
    pub output: Output,
    /// Whether the promoters are read.
    pub use_cnn: bool,
    /// Whether the neighbour's profile is read.
    pub use_transformer: bool,
    /// Whether the aux numbers are read.
    pub use_aux: bool,
}

impl NetworkSettings {
    /// Returns the published network; with 54 tissues it has 1,520,836 parameters.
    #[must_use]
    pub fn paper(tissues: usize) -> Self {
        Self {
            tissues,
            promoter: PromoterSettings::paper(PAPER_PROMOTER_LENGTH),
            missing_promoter: MissingPromoter::Zeros,
            tissue: TissueSettings::paper(),
            pair_width: 128,
            pair_dropout: 0.4,
            output: Output::Softplus,
            use_cnn: true,
            use_transformer: true,
            use_aux: true,
        }
    }

    /// Returns a network of the same make that two cores train, for promoters of `length` bases.
    #[must_use]
    pub fn compact(tissues: usize, length: usize) -> Self {
        Self {
            promoter: PromoterSettings::compact(length),
            missing_promoter: MissingPromoter::Learned,
            tissue: TissueSettings::compact(),
            pair_width: 64,
            ..Self::paper(tissues)
        }
    }

    /// Returns the length of the feature vector: 261 for the published network.
    #[must_use]
    pub fn features(&self) -> usize {
        let part = |used: bool, width: usize| if used { width } else { 0 };
        let tissue = part(self.use_transformer, self.tissue.width);
        tissue + part(self.use_cnn, self.pair_width) + part(self.use_aux, AUX)
    }

    /// Checks that a network of this shape can be built.
    ///
    /// # Errors
    /// A size or share is out of range; the error says what is needed.
    pub fn validate(&self) -> Result<(), ModelError> {
        let own = if self.tissues < 2 || self.pair_width == 0 {
            Some("two tissues or more and a pair width above 0")
        } else if !(0.0..1.0).contains(&self.pair_dropout) {
            Some("a pair dropout from 0 to below 1")
        } else if self.features() == 0 {
            Some("at least one of promoters, profile and aux numbers")
        } else {
            None
        };
        match own.or(self.promoter.fault()).or(self.tissue.fault()) {
            Some(needed) => {
                Err(ModelError::File { file: "settings".to_owned(), reason: format!("the network needs {needed}") })
            }
            None => Ok(()),
        }
    }
}

/// Embeddings of promoters, one row each; empty where the network reads none. They can be cached and mixed.
#[derive(Debug, Clone)]
pub struct Embeddings(Option<Tensor>);

impl Embeddings {
    /// Puts the rows of several sets one after the other.
    ///
    /// # Errors
    /// The sets come from networks of different shapes, or there is none.
    pub fn concat(sets: &[&Self]) -> Result<Self, ModelError> {
        let tensors: Vec<&Tensor> = sets.iter().filter_map(|set| set.0.as_ref()).collect();
        if tensors.is_empty() { Ok(Self(None)) } else { Ok(Self(Some(Tensor::cat(&tensors, 0)?))) }
    }

    /// Picks rows.
    ///
    /// # Errors
    /// A row does not exist.
    pub fn select(&self, rows: &[usize]) -> Result<Self, ModelError> {
        let Some(tensor) = &self.0 else { return Ok(Self(None)) };
        let rows: Vec<u32> = rows.iter().map(|row| *row as u32).collect();
        Ok(Self(Some(tensor.index_select(&Tensor::new(rows, tensor.device())?, 0)?)))
    }
}

/// Pairs of a target and a neighbour; every vector has one entry a pair.
#[derive(Debug, Clone, Default)]
pub struct PairBatch {
    /// Rows of the embeddings: the targets' promoters.
    pub target_promoters: Vec<usize>,
    /// Rows of the embeddings: the neighbours' promoters.
    pub neighbour_promoters: Vec<usize>,
    /// The neighbours' profiles, scaled, one number a tissue: `[pairs × tissues]` row by row.
    pub neighbour_profiles: Vec<f32>,
    /// The aux numbers: signed ln(1 + distance), standardised; target strand one-hot; neighbour strand one-hot.
    pub aux: Vec<[f32; AUX]>,
}

impl PairBatch {
    /// Returns the pairs of a range, for a network of so many tissues.
    #[must_use]
    pub fn slice(&self, range: Range<usize>, tissues: usize) -> Self {
        Self {
            target_promoters: self.target_promoters[range.clone()].to_vec(),
            neighbour_promoters: self.neighbour_promoters[range.clone()].to_vec(),
            neighbour_profiles: self.neighbour_profiles[range.start * tissues..range.end * tissues].to_vec(),
            aux: self.aux[range].to_vec(),
        }
    }
}

/// The network with its variables.
#[derive(Debug, Clone)]
pub struct PairNetwork {
    settings: NetworkSettings,
    variables: Variables,
    promoter: Option<Pair>,
    tissue: Option<TissueTransformer>,
    head: Linear,
}

/// What reads the promoters of a pair.
#[derive(Debug, Clone)]
struct Pair {
    cnn: PromoterCnn,
    /// `[1, width]`.
    missing: Tensor,
    dense: Linear,
}

impl PairNetwork {
    /// The name of the variable that stands for unknown promoters.
    pub const MISSING_PROMOTER: &str = "pair.missing_promoter";

    /// Builds a network of new variables, to be trained.
    ///
    /// # Errors
    /// The settings are out of range, or the source fails.
    pub fn new<'a>(
        settings: &NetworkSettings,
        dtype: DType,
        device: &Device,
        source: &'a mut Source<'a>,
    ) -> Result<Self, ModelError> {
        Self::build(settings, Builder::new(dtype, device, source), dtype, device)
    }

    /// Builds a network on existing variables, sharing their storage: it answers and cannot be trained.
    ///
    /// # Errors
    /// The settings are out of range, or a variable is missing, left over, or of another shape.
    pub fn from_variables(settings: &NetworkSettings, variables: Variables) -> Result<Self, ModelError> {
        let (dtype, device) = (variables.dtype(), variables.device().clone());
        Self::build(settings, Builder::frozen(variables), dtype, &device)
    }

    /// Reads a network from a safetensors buffer, in single precision.
    ///
    /// # Errors
    /// The buffer is not safetensors; a tensor is missing, left over, or of another shape; a number is not finite.
    pub fn from_bytes(settings: &NetworkSettings, bytes: &[u8], device: &Device) -> Result<Self, ModelError> {
        let variables = Variables::from_bytes(bytes, DType::F32, device)?;
        variables.require_finite()?;
        Self::from_variables(settings, variables)
    }

    fn build(
        settings: &NetworkSettings,
        mut builder: Builder<'_>,
        dtype: DType,
        device: &Device,
    ) -> Result<Self, ModelError> {
        settings.validate()?;
        let width = settings.promoter.width();
        let promoter = if settings.use_cnn {
            let cnn = PromoterCnn::build(&mut builder, &settings.promoter, dtype, device)?;
            let missing = match settings.missing_promoter {
                MissingPromoter::Zeros => Tensor::zeros((1, width), dtype, device)?,
                MissingPromoter::Learned => {
                    let initial = Initial::GlorotUniform { fan_in: 1, fan_out: width };
                    builder.learned(Self::MISSING_PROMOTER, &[1, width], initial)?
                }
            };
            let dense = Linear::build(&mut builder, "pair.dense", 2 * width + 1, settings.pair_width)?;
            Some(Pair { cnn, missing, dense })
        } else {
            None
        };
        let tissue = if settings.use_transformer {
            let context = (dtype, device);
            Some(TissueTransformer::build(&mut builder, &settings.tissue, settings.tissues, context)?)
        } else {
            None
        };
        let head = Linear::build(&mut builder, "head", settings.features(), settings.tissues)?;
        Ok(Self { settings: settings.clone(), variables: builder.finish()?, promoter, tissue, head })
    }

    /// Returns the network's shape.
    #[must_use]
    pub fn settings(&self) -> &NetworkSettings {
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

    /// Encodes promoters, one row each in order; `None` is a promoter that nobody knows.
    ///
    /// # Errors
    /// The numeric library failed.
    pub fn encode_promoters(
        &self,
        promoters: &[Option<&Promoter>],
        pass: &mut Pass<'_>,
    ) -> Result<Embeddings, ModelError> {
        let Some(pair) = &self.promoter else { return Ok(Embeddings(None)) };
        let known: Vec<&Promoter> = promoters.iter().copied().flatten().collect();
        if known.len() == promoters.len() && !known.is_empty() {
            return Ok(Embeddings(Some(pair.cnn.encode(&known, pass)?)));
        }
        let pool = if known.is_empty() {
            pair.missing.clone()
        } else {
            Tensor::cat(&[&pair.missing, &pair.cnn.encode(&known, pass)?], 0)?
        };
        let mut next = 0;
        let row = |promoter: Option<&Promoter>| {
            next += usize::from(promoter.is_some());
            if promoter.is_some() { next } else { 0 }
        };
        let rows: Vec<usize> = promoters.iter().copied().map(row).collect();
        Embeddings(Some(pool)).select(&rows)
    }

    /// Computes the feature vectors `[pairs, features]`: tissue encoding, promoter pair, aux numbers.
    ///
    /// # Errors
    /// The batch is empty or its vectors differ in length; an embedding's row does not exist.
    pub fn features(
        &self,
        embeddings: &Embeddings,
        batch: &PairBatch,
        pass: &mut Pass<'_>,
    ) -> Result<Tensor, ModelError> {
        let (pairs, tissues) = (batch.aux.len(), self.settings.tissues);
        let lengths = [batch.target_promoters.len(), batch.neighbour_promoters.len()];
        if pairs == 0 || lengths != [pairs, pairs] || batch.neighbour_profiles.len() != pairs * tissues {
            let reason = format!("needs {pairs} pairs above 0 in every part, with {tissues} tissues each");
            return Err(ModelError::Tensor { name: "batch".to_owned(), reason });
        }
        let (device, dtype) = (self.variables.device(), self.variables.dtype());
        let mut parts = Vec::with_capacity(3);
        if let Some(tissue) = &self.tissue {
            let profiles = Tensor::from_slice(&batch.neighbour_profiles, (pairs, tissues), device)?.to_dtype(dtype)?;
            parts.push(tissue.forward(&profiles, pass)?);
        }
        if let Some(pair) = &self.promoter {
            let rows = |rows: &[usize]| match embeddings.select(rows)?.0 {
                Some(rows) => Ok(rows),
                None => Err(ModelError::Tensor { name: "embeddings".to_owned(), reason: "are missing".to_owned() }),
            };
            let (target, neighbour) = (rows(&batch.target_promoters)?, rows(&batch.neighbour_promoters)?);
            let cosine = layers::cosine_similarity(&target, &neighbour)?;
            let dense = pair.dense.forward_relu(&Tensor::cat(&[target, neighbour, cosine], 1)?)?;
            parts.push(layers::dropout(&dense, self.settings.pair_dropout, pass)?);
        }
        if self.settings.use_aux {
            let aux: Vec<f32> = batch.aux.iter().flatten().copied().collect();
            parts.push(Tensor::from_vec(aux, (pairs, AUX), device)?.to_dtype(dtype)?);
        }
        Ok(Tensor::cat(&parts, 1)?)
    }

    /// Predicts profiles `[pairs, tissues]` on the scale of the training targets.
    ///
    /// # Errors
    /// As [`Self::features`].
    pub fn forward(
        &self,
        embeddings: &Embeddings,
        batch: &PairBatch,
        pass: &mut Pass<'_>,
    ) -> Result<Tensor, ModelError> {
        let sums = self.head.forward(&self.features(embeddings, batch, pass)?)?;
        match self.settings.output {
            Output::Softplus => Ok(layers::softplus(&sums)?),
            Output::Linear => Ok(sums),
        }
    }
}
