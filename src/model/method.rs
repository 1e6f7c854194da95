//! Every method by name: how a fitted model is written into a folder, and how a folder becomes a model again.

use std::collections::BTreeMap;

use super::baseline::{self, BaselineKind, WEIGHTS_FILE};
use super::context::{CONTEXT, ContextModel};
use super::hybrid::{HYBRID, Hybrid, PUBLISHED_HYBRID};
use super::manifest::Card;
use super::{ModelError, ProfileModel};

/// A profile model that can be written into a model's folder.
pub trait StoredModel: ProfileModel {
    /// Returns the method's name, as cards and commands spell it.
    fn method(&self) -> &'static str;

    /// Returns the settings that belong into the model's card.
    ///
    /// # Errors
    /// The settings cannot be written as JSON.
    fn settings(&self) -> Result<serde_json::Value, ModelError>;

    /// Returns the files of the weights, by name.
    ///
    /// # Errors
    /// The weights cannot be serialised.
    fn files(&self) -> Result<BTreeMap<String, Vec<u8>>, ModelError>;
}

/// Builds a model from its card and the bytes of its files.
///
/// # Errors
/// The method is not known, or settings or files do not fit it.
pub fn build(card: &Card, files: &BTreeMap<String, Vec<u8>>) -> Result<Box<dyn StoredModel>, ModelError> {
    if matches!(card.method.as_str(), HYBRID | PUBLISHED_HYBRID) {
        return Ok(Box::new(Hybrid::load(&card.settings, files)?));
    }
    if card.method == CONTEXT {
        return Ok(Box::new(ContextModel::load(&card.settings, files)?));
    }
    let fault = |file: &str, reason: String| ModelError::File { file: file.to_owned(), reason };
    let kind = BaselineKind::parse(&card.method)
        .ok_or_else(|| fault("manifest.json", format!("names the unknown method '{}'", card.method)))?;
    let weights = files.get(WEIGHTS_FILE).ok_or_else(|| fault(WEIGHTS_FILE, "is not in the manifest".to_owned()))?;
    baseline::load(kind, &card.settings, weights)
}
