//! The project's own model for new genes, genes with holes and whole missing genes: everything around a gene, and what
//! is known of the gene itself.
//!
//! Four parts, each reading those before it. A ridge and boosted trees guess shape and level from the surroundings and
//! the promoter. Mixtures of Gaussians over the tissues and that guess fill in what is not known from what is. A network
//! with attention over tissues, neighbours and promoter corrects either. Ridge, trees and mixtures were fitted crosswise
//! by fold, so that the network learned from what they say of genes they had not seen. Invariant: only
//! [`Target::measured`] is read of the gene's own profile.

pub mod mixture;
pub mod network;
mod tokens;

use std::collections::BTreeMap;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use self::mixture::{Mixture, Posterior};
use self::network::{ContextNetwork, ContextNetworkSettings};
pub use self::tokens::{Reading, read};
use super::baseline::{self, BaselineKind};
use super::boosted_trees::BoostedTrees;
use super::device;
use super::features::{Features, Matrix};
use super::hybrid::join_rows;
use super::layers::Pass;
use super::method::StoredModel;
use super::ridge::{Outputs, RidgeModel};
use super::{ModelError, Prediction, ProfileModel, Scale, Target};
use crate::reference::Reference;

/// The method's name.
pub const CONTEXT: &str = "context";

/// Targets that go through the parts at once.
const BATCH: usize = 256;

/// The least spread: no value is taken as exact.
const SPREAD_FLOOR: f32 = 0.05;

const BASE_FILE: &str = "base.safetensors";
const NETWORK_FILE: &str = "network.safetensors";

fn trees_file(member: usize) -> String {
    format!("trees-{member}.json.gz")
}

fn mixture_file(member: usize) -> String {
    format!("mixture-{member}.safetensors")
}

/// What the model is, apart from its weights.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContextSettings {
    /// The tissues, by identifier, in order.
    pub tissues: Vec<String>,
    /// The settings of the ridge.
    pub base: serde_json::Value,
    /// What the trees read beside the ridge's outputs.
    pub trees: Features,
    /// What the network reads of a promoter.
    pub promoter: Features,
    /// How numbers are brought to the network and to the mixtures.
    pub scaling: ContextScaling,
    /// The components of each mixture; there are as many mixtures and tree ensembles as entries.
    pub components: Vec<usize>,
    /// The variance of what a mixture is told around the gene's own: of measured values, log2(1 + x), and of the guess's
    /// places on the axes.
    pub noise: f64,
    /// The shape of the network.
    pub network: ContextNetworkSettings,
}

/// How numbers are brought to the network and to the mixtures: from the training genes alone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContextScaling {
    /// Mean of log2(1 + x) by tissue.
    pub mean: Vec<f32>,
    /// Its standard deviation.
    pub sd: Vec<f32>,
    /// Mean by tissue of what the surroundings guess.
    pub guess_mean: Vec<f32>,
    /// Axes × tissues: the main directions in which those guesses differ, scaled so that they vary by about 1.
    pub guess_axes: Vec<Vec<f32>>,
    /// Mean of each promoter number over the promoters that have it.
    pub promoter_mean: Vec<f32>,
    /// One over its standard deviation.
    pub promoter_factor: Vec<f32>,
}

impl ContextScaling {
    /// Places a guess of the profile, log2(1 + x), on the axes.
    #[must_use]
    pub fn axes(&self, guess: &[f32]) -> Vec<f32> {
        let along = |axis: &Vec<f32>| {
            let rest = guess.iter().zip(&self.guess_mean).map(|(value, mean)| value - mean);
            rest.zip(axis).map(|(rest, axis)| rest * axis).sum()
        };
        self.guess_axes.iter().map(along).collect()
    }

    fn fault(&self, tissues: usize, promoter: usize) -> Option<&'static str> {
        let lengths = [self.mean.len(), self.sd.len(), self.guess_mean.len()];
        if lengths != [tissues; 3] || self.guess_axes.iter().any(|axis| axis.len() != tissues) {
            Some("one number a tissue in every part of the scaling")
        } else if [self.promoter_mean.len(), self.promoter_factor.len()] != [promoter; 2] {
            Some("one number a promoter feature in the scaling")
        } else {
            None
        }
    }
}

/// Trees and a mixture that were fitted without the genes of one fold.
#[derive(Debug)]
pub struct ContextMember {
    /// Corrects the ridge's outputs.
    pub trees: BoostedTrees,
    /// Over the tissues, log2(1 + x), and the guess's place on the axes.
    pub mixture: Mixture,
}

/// The model.
#[derive(Debug)]
pub struct ContextModel {
    settings: ContextSettings,
    base: RidgeModel,
    members: Vec<ContextMember>,
    network: ContextNetwork,
}

/// What the surroundings say of genes, before anything of their own profiles is read.
#[derive(Debug, Clone, PartialEq)]
pub struct Guess {
    /// Shape and level, as [`Outputs::ShapeAndLevel`].
    pub outputs: Vec<f32>,
    /// The same as a profile, log2(1 + x).
    pub values: Vec<f32>,
}

impl Guess {
    /// Takes outputs.
    #[must_use]
    pub fn new(outputs: Vec<f32>) -> Self {
        Self { values: Outputs::ShapeAndLevel.decode(outputs.clone()), outputs }
    }
}

/// Returns the rows that the trees read: the ridge's outputs, then the extra features.
#[must_use]
pub fn tree_rows(reference: &Reference, extra: &Features, targets: &[Target], ridge: &[f32]) -> Vec<f32> {
    let extra = extra.matrix(reference, reference.vicinity(), targets);
    join_rows(ridge, targets.len(), Some(Matrix::values(&extra)))
}

/// Returns what is known of a gene as a mixture takes it: log2(1 + x) by tissue, NaN where nothing is, then the guess's
/// place on the axes.
#[must_use]
pub fn known_and_guess(scaling: &ContextScaling, measured: &[f32], guess: &[f32]) -> Vec<f32> {
    let mut values: Vec<f32> = if measured.is_empty() {
        vec![f32::NAN; guess.len()]
    } else {
        // NaN.max(0) is 0: unknown is never zero.
        measured.iter().map(|x| if x.is_finite() { (1.0 + x.max(0.0)).log2() } else { f32::NAN }).collect()
    };
    values.extend(scaling.axes(guess));
    values
}

impl ContextModel {
    /// Puts the parts together.
    ///
    /// # Errors
    /// The parts do not fit the settings or each other.
    pub fn try_new(
        settings: ContextSettings,
        base: RidgeModel,
        members: Vec<ContextMember>,
        network: ContextNetwork,
    ) -> Result<Self, ModelError> {
        let tissues = settings.tissues.len();
        let outputs = Outputs::ShapeAndLevel.width(tissues);
        let fault = |reason: &str| Err(ModelError::File { file: "settings".to_owned(), reason: reason.to_owned() });
        let promoter = settings.promoter.width(tissues);
        if let Some(needed) = settings.scaling.fault(tissues, promoter) {
            return fault(&format!("the model needs {needed}"));
        }
        if [settings.network.tissues, settings.network.promoter] != [tissues, promoter] {
            return fault("the network has other tissues or promoter numbers than the model");
        }
        if members.is_empty() || members.len() != settings.components.len() {
            return fault("there are other members than the settings name");
        }
        let features = outputs + settings.trees.width(tissues);
        let width = tissues + settings.scaling.guess_axes.len();
        let fits = |member: &ContextMember| {
            member.trees.n_features() == features
                && member.trees.n_targets() == outputs
                && member.mixture.width() == width
        };
        if !members.iter().all(fits) {
            return fault("the trees or mixtures are not over the model's numbers");
        }
        Ok(Self { settings, base, members, network })
    }

    /// Builds the model from a folder's settings and files.
    ///
    /// # Errors
    /// A file is missing or does not fit the settings.
    pub fn load(settings: &serde_json::Value, files: &BTreeMap<String, Vec<u8>>) -> Result<Self, ModelError> {
        let settings: ContextSettings = baseline::read_settings(settings)?;
        let file = |name: &str| match files.get(name) {
            Some(bytes) => Ok(bytes),
            None => Err(ModelError::File { file: name.to_owned(), reason: "is not in the manifest".to_owned() }),
        };
        let base = RidgeModel::load(BaselineKind::RidgeSurroundings, &settings.base, file(BASE_FILE)?)?;
        let width = settings.tissues.len() + settings.scaling.guess_axes.len();
        let member = |(index, components): (usize, &usize)| {
            let name = trees_file(index);
            let trees = BoostedTrees::read(file(&name)?);
            let trees = trees.map_err(|error| ModelError::File { file: name, reason: error.to_string() })?;
            let mixture = Mixture::from_bytes(file(&mixture_file(index))?, width, *components)?;
            Ok::<_, ModelError>(ContextMember { trees, mixture })
        };
        let members = settings.components.iter().enumerate().map(member).collect::<Result<_, _>>()?;
        let network = ContextNetwork::from_bytes(&settings.network, file(NETWORK_FILE)?, &device::preferred())?;
        Self::try_new(settings, base, members, network)
    }

    /// Returns what the surroundings say of each target.
    fn guesses(&self, reference: &Reference, targets: &[Target]) -> Result<Vec<Guess>, ModelError> {
        let ridge = self.base.outputs_of(reference, targets)?;
        let rows = tree_rows(reference, &self.settings.trees, targets, &ridge);
        let mut sums = vec![0.0_f32; ridge.len()];
        for (index, member) in self.members.iter().enumerate() {
            let outputs = member.trees.predict_with_margin(&rows, &ridge);
            let outputs =
                outputs.map_err(|error| ModelError::File { file: trees_file(index), reason: error.to_string() })?;
            sums.iter_mut().zip(outputs).for_each(|(sum, output)| *sum += output);
        }
        let members = self.members.len() as f32;
        let width = ridge.len() / targets.len().max(1);
        let mean = |row: &[f32]| row.iter().map(|sum| sum / members).collect();
        Ok(sums.chunks_exact(width).map(|row| Guess::new(mean(row))).collect())
    }

    /// Returns the mean of what the members' mixtures say.
    fn posterior(&self, target: &Target, guess: &Guess) -> Result<Posterior, ModelError> {
        let values = known_and_guess(&self.settings.scaling, &target.measured, &guess.values);
        let parts = self.members.iter().map(|member| member.mixture.posterior(&values, self.settings.noise));
        let parts = parts.collect::<Result<Vec<_>, _>>()?;
        let count = parts.len() as f32;
        let tissues = self.settings.tissues.len();
        let average = |of: &dyn Fn(&Posterior) -> f32| parts.iter().map(of).sum::<f32>() / count;
        let mean: Vec<f32> = (0..tissues).map(|at| average(&|part| part.mean[at])).collect();
        let variance = |at: usize| average(&|part| part.variance[at] + (part.mean[at] - mean[at]).powi(2));
        Ok(Posterior { variance: (0..tissues).map(variance).collect(), mean })
    }

    fn predict_batch(&self, reference: &Reference, targets: &[Target]) -> Result<Vec<Prediction>, ModelError> {
        let guesses = self.guesses(reference, targets)?;
        let posteriors = targets.par_iter().zip(&guesses).map(|(target, guess)| self.posterior(target, guess));
        let posteriors = posteriors.collect::<Result<Vec<_>, _>>()?;
        let batch = read(reference, &self.settings, &Reading { targets, guesses: &guesses, posteriors: &posteriors });
        let corrections = self.network.forward(&batch, &mut Pass::Infer)?;
        let values: Vec<Vec<f32>> = corrections.values.to_vec2()?;
        let outputs: Vec<Vec<f32>> = corrections.outputs.to_vec2()?;
        let mut predictions = Vec::with_capacity(targets.len());
        for (row, target) in targets.iter().enumerate() {
            let sum = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a + b).collect::<Vec<f32>>();
            let values = if target.known_tissues() == 0 {
                Outputs::ShapeAndLevel.decode(sum(&guesses[row].outputs, &outputs[row]))
            } else {
                let known = |at: usize| target.measured[at].is_finite();
                let filled = sum(&posteriors[row].mean, &values[row]).into_iter().enumerate();
                filled.map(|(at, value)| if known(at) { posteriors[row].mean[at] } else { value }).collect()
            };
            if !values.iter().all(|value| value.is_finite()) {
                return Err(ModelError::NotFinite);
            }
            let spread = posteriors[row].variance.iter().map(|variance| variance.sqrt().max(SPREAD_FLOOR)).collect();
            let references = self.base.references(reference, target);
            predictions.push(Prediction { values, spread, references });
        }
        Ok(predictions)
    }
}

impl ProfileModel for ContextModel {
    fn scale(&self) -> Scale {
        Scale::Log2
    }

    fn reads_measured(&self) -> bool {
        true
    }

    fn predict(&self, reference: &Reference, targets: &[Target]) -> Result<Vec<Prediction>, ModelError> {
        baseline::check_tissues(&self.settings.tissues, reference.tissues())?;
        let mut predictions = Vec::with_capacity(targets.len());
        for batch in targets.chunks(BATCH) {
            predictions.extend(self.predict_batch(reference, batch)?);
        }
        Ok(predictions)
    }
}

impl StoredModel for ContextModel {
    fn method(&self) -> &'static str {
        CONTEXT
    }

    fn settings(&self) -> Result<serde_json::Value, ModelError> {
        baseline::write_settings(&self.settings)
    }

    fn files(&self) -> Result<BTreeMap<String, Vec<u8>>, ModelError> {
        let mut files = BTreeMap::new();
        files.extend(self.base.files()?.into_values().map(|bytes| (BASE_FILE.to_owned(), bytes)));
        files.insert(NETWORK_FILE.to_owned(), self.network.variables().to_bytes(candle_core::DType::F32)?);
        for (index, member) in self.members.iter().enumerate() {
            let packed = member.trees.to_json_gz();
            let packed =
                packed.map_err(|error| ModelError::File { file: trees_file(index), reason: error.to_string() })?;
            files.insert(trees_file(index), packed);
            files.insert(mixture_file(index), member.mixture.to_bytes()?);
        }
        Ok(files)
    }
}
