//! The baselines by name: what they have in common, and how they are written into a model's folder and read back.
//!
//! Imports its siblings. Invariant: a model that was saved and loaded gives the same numbers bit for bit.

use std::collections::BTreeMap;
use std::fmt;

use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde::{Deserialize, Serialize};

use super::distance::DistanceModel;
use super::ridge::RidgeModel;
use super::{ModelError, ProfileModel};
use crate::genome::Tissue;
use crate::reference::Reference;

/// The name of the file that a baseline's weights are in.
pub const WEIGHTS_FILE: &str = "weights.safetensors";

/// The methods that every other one is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BaselineKind {
    /// The nearest measured gene's profile.
    CopyNearest,
    /// The mean profile of the fitted genes, the same for every target.
    MeanProfile,
    /// The mean of the nearest measured genes on either side.
    FlankingMean,
    /// The ten nearest measured genes weighted by 1 ÷ (distance + offset); the fit chooses the offset.
    DistanceWeighted,
    /// Ridge regression on the nearest measured gene's profile.
    RidgeNearest,
    /// Ridge regression on 5 + 5 neighbours and the promoter's 5-mers.
    RidgeNeighboursPromoter,
    /// Ridge regression on distance-weighted surroundings and a promoter's words and composition.
    RidgeSurroundings,
}

impl BaselineKind {
    /// All of them, simplest first.
    pub const ALL: [Self; 7] = [
        Self::CopyNearest,
        Self::MeanProfile,
        Self::FlankingMean,
        Self::DistanceWeighted,
        Self::RidgeNearest,
        Self::RidgeNeighboursPromoter,
        Self::RidgeSurroundings,
    ];

    /// Returns the name that commands and cards use, such as `copy-nearest`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CopyNearest => "copy-nearest",
            Self::MeanProfile => "mean-profile",
            Self::FlankingMean => "flanking-mean",
            Self::DistanceWeighted => "distance-weighted",
            Self::RidgeNearest => "ridge-nearest",
            Self::RidgeNeighboursPromoter => "ridge-neighbours-promoter",
            Self::RidgeSurroundings => "ridge-surroundings",
        }
    }

    /// Returns the method with this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }

    /// Returns one sentence for people and model cards.
    #[must_use]
    pub const fn description(self) -> &'static str {
        match self {
            Self::CopyNearest => {
                "Copies the profile of the nearest measured gene (the published distance-based method)."
            }
            Self::MeanProfile => "Gives every gene the mean profile of the training genes.",
            Self::FlankingMean => "Averages the profiles of the nearest measured genes on either side.",
            Self::DistanceWeighted => {
                "Averages the ten nearest measured genes with weight 1 / (distance + offset), the offset chosen in training."
            }
            Self::RidgeNearest => "Ridge regression from the profile of the nearest measured gene.",
            Self::RidgeNeighboursPromoter => {
                "Ridge regression from five measured neighbours on either side, their distances, strands and biotypes, \
                 and the promoter's 5-mers."
            }
            Self::RidgeSurroundings => {
                "Ridge regression from neighbours averaged by distance at several bandwidths, their context, and the \
                 promoter's words and composition (the project's own features)."
            }
        }
    }
}

impl fmt::Display for BaselineKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A profile model that can be written into a model's folder.
pub trait SavedModel: ProfileModel {
    /// Returns which baseline it is.
    fn kind(&self) -> BaselineKind;

    /// Returns the settings that belong into the model's card.
    ///
    /// # Errors
    /// The settings cannot be written as JSON.
    fn settings(&self) -> Result<serde_json::Value, ModelError>;

    /// Returns the weights as the bytes of a safetensors file.
    ///
    /// # Errors
    /// The weights cannot be serialised.
    fn save(&self) -> Result<Vec<u8>, ModelError>;
}

/// Reads a baseline back from the settings of its card and the bytes of its weights.
///
/// # Errors
/// The settings do not fit the method, or a tensor is missing or has another shape.
pub fn load(
    kind: BaselineKind,
    settings: &serde_json::Value,
    weights: &[u8],
) -> Result<Box<dyn SavedModel>, ModelError> {
    Ok(match kind {
        BaselineKind::CopyNearest
        | BaselineKind::MeanProfile
        | BaselineKind::FlankingMean
        | BaselineKind::DistanceWeighted => Box::new(DistanceModel::load(kind, settings, weights)?),
        BaselineKind::RidgeNearest | BaselineKind::RidgeNeighboursPromoter | BaselineKind::RidgeSurroundings => {
            Box::new(RidgeModel::load(kind, settings, weights)?)
        }
    })
}

/// Checks that a reference has exactly the model's tissues in the model's order.
///
/// # Errors
/// It has not; the error lists the tissues that are missing or in another place.
pub fn check_tissues(model: &[String], reference: &[Tissue]) -> Result<(), ModelError> {
    let at_place = |at: usize| reference.get(at).map(Tissue::id);
    let missing: Vec<String> =
        model.iter().enumerate().filter(|(at, id)| at_place(*at) != Some(id)).map(|(_, id)| id.clone()).collect();
    if missing.is_empty() && model.len() == reference.len() { Ok(()) } else { Err(ModelError::Tissues(missing)) }
}

/// Returns the identifiers of a reference's tissues.
pub(crate) fn tissue_ids(reference: &Reference) -> Vec<String> {
    reference.tissues().iter().map(|tissue| tissue.id().to_owned()).collect()
}

/// Writes named f32 tensors as the bytes of a safetensors file.
pub(super) fn write_tensors(tensors: &BTreeMap<&str, (Vec<usize>, &[f32])>) -> Result<Vec<u8>, ModelError> {
    let failed = |error: safetensors::SafeTensorError| weights_error(error.to_string());
    let bytes: Vec<(&str, &[usize], Vec<u8>)> = tensors
        .iter()
        .map(|(name, (shape, values))| (*name, &shape[..], values.iter().flat_map(|v| v.to_le_bytes()).collect()))
        .collect();
    let views = bytes
        .iter()
        .map(|(name, shape, bytes)| Ok((*name, TensorView::new(Dtype::F32, shape.to_vec(), bytes)?)))
        .collect::<Result<Vec<_>, _>>()
        .map_err(failed)?;
    safetensors::serialize(views, None).map_err(failed)
}

/// The tensors of a weights file.
pub(super) struct Tensors<'a>(SafeTensors<'a>);

impl<'a> Tensors<'a> {
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, ModelError> {
        SafeTensors::deserialize(bytes).map(Self).map_err(|error| weights_error(error.to_string()))
    }

    /// Returns a tensor's numbers, which must be finite f32 in this shape.
    pub(super) fn take(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, ModelError> {
        let wrong = |reason: String| ModelError::Tensor { name: name.to_owned(), reason };
        let tensor = self.0.tensor(name).map_err(|_| wrong("is missing".to_owned()))?;
        if tensor.dtype() != Dtype::F32 || tensor.shape() != shape {
            return Err(wrong(format!("is {:?} {:?}, not F32 {shape:?}", tensor.dtype(), tensor.shape())));
        }
        let (numbers, _) = tensor.data().as_chunks();
        let values: Vec<f32> = numbers.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
        if values.iter().all(|value| value.is_finite()) {
            Ok(values)
        } else {
            Err(wrong("has a number that is not finite".to_owned()))
        }
    }
}

/// Reads a method's own settings.
pub(super) fn read_settings<T: serde::de::DeserializeOwned>(settings: &serde_json::Value) -> Result<T, ModelError> {
    T::deserialize(settings)
        .map_err(|error| ModelError::File { file: "manifest.json".to_owned(), reason: format!("settings: {error}") })
}

/// Writes a method's own settings.
pub(super) fn write_settings<T: Serialize>(settings: &T) -> Result<serde_json::Value, ModelError> {
    serde_json::to_value(settings)
        .map_err(|error| ModelError::File { file: "manifest.json".to_owned(), reason: format!("settings: {error}") })
}

fn weights_error(reason: String) -> ModelError {
    ModelError::File { file: WEIGHTS_FILE.to_owned(), reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_back_to_their_method() {
        for kind in BaselineKind::ALL {
            assert_eq!(BaselineKind::parse(kind.as_str()), Some(kind));
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.as_str());
        }
        assert_eq!(BaselineKind::parse("nearest"), None);
    }

    #[test]
    fn tensors_are_checked_by_name_shape_and_number() {
        let bytes = write_tensors(&BTreeMap::from([("a", (vec![2], &[1.0, -0.5][..])), ("b", (vec![1], &[f32::NAN]))]));
        let bytes = bytes.unwrap();
        let tensors = Tensors::read(&bytes).unwrap();
        assert_eq!(tensors.take("a", &[2]).unwrap(), [1.0, -0.5]);
        for (name, shape) in [("a", vec![1, 2]), ("b", vec![1]), ("c", vec![1])] {
            assert!(matches!(tensors.take(name, &shape), Err(ModelError::Tensor { .. })), "{name}");
        }
        assert!(Tensors::read(&bytes[..bytes.len() - 1]).is_err(), "cut short");
    }

    #[test]
    fn tissues_must_be_the_models_own_in_order() {
        let reference = ["Liver", "Lung"].map(Tissue::from_name);
        let ids = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert!(check_tissues(&ids(&["Liver", "Lung"]), &reference).is_ok());
        assert!(check_tissues(&ids(&["Liver"]), &reference).is_err());
        assert!(
            matches!(check_tissues(&ids(&["Lung", "Liver"]), &reference), Err(ModelError::Tissues(list)) if list.len() == 2)
        );
    }
}
