//! Ridge regression from features to a profile.
//!
//! Prediction only; `training::baselines` fits it. Imports `reference` and its parents. A feature that is not known
//! counts as its training mean: it is 0 after standardising.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::baseline::{self, BaselineKind, Tensors, WEIGHTS_FILE};
use super::features::Features;
use super::method::StoredModel;
use super::{ModelError, Prediction, ProfileModel, Scale, Target};
use crate::reference::Reference;
use crate::reference::vicinity::Neighbour;

/// Targets whose features are in memory at once.
const BATCH: usize = 512;

const CENTRE: &str = "feature_mean";
const FACTOR: &str = "feature_inverse_sd";
const COEFFICIENTS: &str = "coefficients";
const INTERCEPT: &str = "intercept";

/// What the regression's outputs mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outputs {
    /// One a tissue, on the model's scale.
    Direct,
    /// One a tissue, of mean 0 and variance 1 over the gene's tissues; then the gene's mean and the natural logarithm
    /// of its standard deviation on the model's scale. Every gene's shape then weighs the same in the fit.
    ShapeAndLevel,
}

impl Outputs {
    /// Returns the number of outputs for so many tissues.
    #[must_use]
    pub const fn width(self, tissues: usize) -> usize {
        match self {
            Self::Direct => tissues,
            Self::ShapeAndLevel => tissues + 2,
        }
    }

    /// Turns a profile on the model's scale into outputs.
    #[must_use]
    pub fn encode(self, profile: &[f32]) -> Vec<f32> {
        match self {
            Self::Direct => profile.to_vec(),
            Self::ShapeAndLevel => {
                let n = profile.len() as f32;
                let mean = profile.iter().sum::<f32>() / n;
                let sd = (profile.iter().map(|value| (value - mean).powi(2)).sum::<f32>() / n).sqrt();
                let sd = sd.max(f32::EPSILON);
                profile.iter().map(|value| (value - mean) / sd).chain([mean, sd.ln()]).collect()
            }
        }
    }

    /// Turns outputs into a profile on the model's scale.
    #[must_use]
    pub fn decode(self, mut outputs: Vec<f32>) -> Vec<f32> {
        if self == Self::ShapeAndLevel
            && let [.., mean, log_sd] = outputs[..]
        {
            outputs.truncate(outputs.len() - 2);
            for value in &mut outputs {
                *value = mean + *value * log_sd.exp();
            }
        }
        outputs
    }
}

/// What a ridge regression is, apart from its weights.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RidgeSettings {
    /// The scale of its numbers.
    pub scale: Scale,
    /// The tissues, by identifier, in order.
    pub tissues: Vec<String>,
    /// What its outputs mean.
    pub outputs: Outputs,
    /// What it reads.
    pub features: Features,
    /// The penalty a training gene of each kind of feature, as inner folds chose it.
    pub penalties: BTreeMap<String, f64>,
}

/// The weights of a ridge regression.
#[derive(Debug, Clone, PartialEq)]
pub struct RidgeWeights {
    /// Each feature's mean over the training genes that have it.
    pub centre: Vec<f32>,
    /// One over each feature's standard deviation.
    pub factor: Vec<f32>,
    /// Features × outputs, row by row.
    pub coefficients: Vec<f32>,
    /// One an output.
    pub intercept: Vec<f32>,
}

/// A fitted ridge regression.
#[derive(Debug, Clone, PartialEq)]
pub struct RidgeModel {
    kind: BaselineKind,
    settings: RidgeSettings,
    weights: RidgeWeights,
}

impl RidgeModel {
    /// Builds the model.
    ///
    /// # Errors
    /// A tensor's length does not fit the settings.
    pub fn try_new(kind: BaselineKind, settings: RidgeSettings, weights: RidgeWeights) -> Result<Self, ModelError> {
        let (inputs, outputs) = shape(&settings);
        let lengths = [
            (CENTRE, weights.centre.len(), inputs),
            (FACTOR, weights.factor.len(), inputs),
            (COEFFICIENTS, weights.coefficients.len(), inputs * outputs),
            (INTERCEPT, weights.intercept.len(), outputs),
        ];
        match lengths.into_iter().find(|(_, length, expected)| length != expected) {
            Some((name, length, expected)) => Err(ModelError::Tensor {
                name: name.to_owned(),
                reason: format!("has {length} numbers where the features and tissues need {expected}"),
            }),
            None => Ok(Self { kind, settings, weights }),
        }
    }

    pub(super) fn load(kind: BaselineKind, settings: &serde_json::Value, weights: &[u8]) -> Result<Self, ModelError> {
        let settings: RidgeSettings = baseline::read_settings(settings)?;
        let tensors = Tensors::read(weights)?;
        let (inputs, outputs) = shape(&settings);
        let weights = RidgeWeights {
            centre: tensors.take(CENTRE, &[inputs])?,
            factor: tensors.take(FACTOR, &[inputs])?,
            coefficients: tensors.take(COEFFICIENTS, &[inputs, outputs])?,
            intercept: tensors.take(INTERCEPT, &[outputs])?,
        };
        Self::try_new(kind, settings, weights)
    }

    /// Returns the outputs before they are turned into profiles: targets × outputs, row by row.
    ///
    /// # Errors
    /// The reference has other tissues than the model.
    pub fn outputs_of(&self, reference: &Reference, targets: &[Target]) -> Result<Vec<f32>, ModelError> {
        baseline::check_tissues(&self.settings.tissues, reference.tissues())?;
        let mut outputs = Vec::new();
        for batch in targets.chunks(BATCH) {
            let matrix = self.settings.features.matrix(reference, reference.vicinity(), batch);
            outputs.extend((0..batch.len()).flat_map(|row| self.outputs(matrix.row(row))));
        }
        Ok(outputs)
    }

    /// Returns the reference genes that a target's outputs are computed from, nearest first.
    #[must_use]
    pub fn references(&self, reference: &Reference, target: &Target) -> Vec<Neighbour> {
        self.settings.features.references(reference.vicinity(), target)
    }

    fn outputs(&self, row: &[f32]) -> Vec<f32> {
        let RidgeWeights { centre, factor, coefficients, intercept } = &self.weights;
        let mut outputs = intercept.clone();
        let columns = row.iter().zip(centre).zip(factor).zip(coefficients.chunks_exact(outputs.len()));
        for (((value, centre), factor), coefficients) in columns {
            let value = (value - centre) * factor;
            if value.is_finite() && value != 0.0 {
                outputs.iter_mut().zip(coefficients).for_each(|(output, coefficient)| *output += value * coefficient);
            }
        }
        outputs
    }
}

/// Returns inputs and outputs of a regression with these settings.
fn shape(settings: &RidgeSettings) -> (usize, usize) {
    let tissues = settings.tissues.len();
    (settings.features.width(tissues), settings.outputs.width(tissues))
}

impl ProfileModel for RidgeModel {
    fn scale(&self) -> Scale {
        self.settings.scale
    }

    fn predict(&self, reference: &Reference, targets: &[Target]) -> Result<Vec<Prediction>, ModelError> {
        let rows = self.outputs_of(reference, targets)?;
        let width = self.settings.outputs.width(self.settings.tissues.len());
        let predict = |(outputs, target): (&[f32], &Target)| {
            let values = self.settings.outputs.decode(outputs.to_vec());
            let finite = values.iter().all(|value| value.is_finite());
            let references = self.references(reference, target);
            if finite { Ok(Prediction { values, spread: Vec::new(), references }) } else { Err(ModelError::NotFinite) }
        };
        rows.chunks_exact(width).zip(targets).map(predict).collect()
    }
}

impl StoredModel for RidgeModel {
    fn method(&self) -> &'static str {
        self.kind.as_str()
    }

    fn settings(&self) -> Result<serde_json::Value, ModelError> {
        baseline::write_settings(&self.settings)
    }

    fn files(&self) -> Result<BTreeMap<String, Vec<u8>>, ModelError> {
        let (inputs, outputs) = shape(&self.settings);
        let weights = baseline::write_tensors(&BTreeMap::from([
            (CENTRE, (vec![inputs], &self.weights.centre[..])),
            (FACTOR, (vec![inputs], &self.weights.factor[..])),
            (COEFFICIENTS, (vec![inputs, outputs], &self.weights.coefficients[..])),
            (INTERCEPT, (vec![outputs], &self.weights.intercept[..])),
        ]))?;
        Ok(BTreeMap::from([(WEIGHTS_FILE.to_owned(), weights)]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shape_and_level_can_be_undone() {
        let profile = [0.5, 4.0, 1.25, 0.0];
        for outputs in [Outputs::Direct, Outputs::ShapeAndLevel] {
            let encoded = outputs.encode(&profile);
            assert_eq!(encoded.len(), outputs.width(4));
            for (value, expected) in outputs.decode(encoded).iter().zip(profile) {
                assert!((value - expected).abs() < 1e-5, "{outputs:?}: {value} {expected}");
            }
        }
    }
}
