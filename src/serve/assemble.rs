//! From references and models to a snapshot: which model reads which dataset, by which engine.
//!
//! Whatever is served already, unchanged, goes on as it is: its engine, and the profiles that it has imputed.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;

use super::Loaded;
use crate::config::ServeConfig;
use crate::genome::{Chromosome, GeneId};
use crate::http::admin::Refusal;
use crate::http::state::{Completion, LoadedDataset, Saver, Snapshot};
use crate::inference::{Engine, EngineError, Limits};
use crate::model::served::{ImputedProfile, ServedModel};
use crate::model::shelf::{Shelf, Versioned as _};
use crate::model::{ModelError, Target};
use crate::reference::Reference;

/// Puts every model to work on every dataset that it fits; where neither the dataset nor the model changed since the
/// previous snapshot, its engine and what it has imputed go on.
///
/// Where there is a previous snapshot, a new engine has to give a first prediction, or its model counts as unfit for the
/// dataset. Blocks: call it from a thread that may.
///
/// # Errors
/// The system gives no thread for an engine.
pub fn snapshot(config: &ServeConfig, loaded: Loaded, previous: Option<&Snapshot>) -> anyhow::Result<Snapshot> {
    let mut datasets = Vec::with_capacity(loaded.references.len());
    let mut refused = Vec::new();
    for reference in &loaded.references {
        let mut work = Work { config, loaded: &loaded, previous, reference, refused: &mut refused };
        datasets.push(work.dataset()?);
    }
    let Loaded { models, expression_models, .. } = loaded;
    let default_dataset = config.store.default_dataset.as_deref();
    if let Some(name) =
        default_dataset.filter(|name| !datasets.iter().any(|one| one.reference.dataset().name == **name))
    {
        tracing::warn!(name, "the store has no dataset of the name that --default-dataset gives");
    }
    if let Some(name) = config.store.default_model.as_deref().filter(|name| models.get(name).is_none()) {
        tracing::warn!(name, "there is no model of the name that --default-model gives: another one is used");
    }
    let cache_bytes = config.http_limits().cache_bytes;
    let mut fresh = Snapshot::new(datasets, models, default_dataset, cache_bytes);
    fresh.refused = refused;
    fresh = fresh.with_expression_models(expression_models);
    Ok(match previous {
        Some(previous) => fresh.with_panels_of(previous),
        None => fresh,
    })
}

/// A dataset that models are put to work on.
struct Work<'a> {
    config: &'a ServeConfig,
    loaded: &'a Loaded,
    previous: Option<&'a Snapshot>,
    reference: &'a Arc<Reference>,
    refused: &'a mut Vec<Refusal>,
}

impl Work<'_> {
    fn dataset(&mut self) -> anyhow::Result<LoadedDataset> {
        let (mut completions, mut unfit) = (Shelf::default(), Shelf::default());
        let models = &self.loaded.models;
        for shelved in models.iter() {
            match self.completion(shelved.item)? {
                Ok(completion) => completions.insert(shelved.name, shelved.version, completion),
                Err(why) => unfit.insert(shelved.name, shelved.version, why),
            }
        }
        completions.set_defaults_of(models);
        unfit.set_defaults_of(models);
        let defaults: Vec<Arc<ServedModel>> = models.defaults().cloned().collect();
        let preferred = by_preference(&defaults, self.reference);
        let preferred = preferred.iter().map(|model| model.card.name.as_str());
        let preferred: Vec<&str> = self.config.store.default_model.as_deref().into_iter().chain(preferred).collect();
        Ok(LoadedDataset::new(Arc::clone(self.reference), completions, unfit, &preferred))
    }

    /// A model at work on the dataset; the inner error says why it does not fit.
    fn completion(&mut self, model: &Arc<ServedModel>) -> anyhow::Result<Result<Arc<Completion>, String>> {
        let about = self.reference.dataset();
        let before = self.before(model).cloned();
        if let Some(running) = before.as_ref().filter(|one| one.engine.is_ready()) {
            return Ok(Ok(Arc::clone(running)));
        }
        let started = start(self.reference, model, self.config.engine_limits())?;
        let warm = started.and_then(|engine| match self.previous {
            Some(_) => warm_up(&engine, self.config.http_limits().timeout)
                .inspect_err(|why| {
                    let model = format!("{} on {}", model.label(), about.name);
                    self.refused.push(Refusal { model, reason: why.clone() });
                })
                .map(|()| engine),
            None => Ok(engine),
        });
        let engine = match warm {
            Ok(engine) => engine,
            Err(why) => {
                let known = self.previous.and_then(|previous| previous.datasets.get(&about.name));
                if known.and_then(|known| known.unfit.get(&model.label())) != Some(&why) {
                    tracing::warn!(model = model.label(), dataset = about.name, why, "model does not fit");
                }
                return Ok(Err(why));
            }
        };
        let saver: Option<Saver> = self.loaded.saver.clone();
        let key = (about.version.clone(), model.imputation_key());
        let saved = match (self.loaded.imputed.get(&key), &before) {
            (None, Some(before)) => before.kept(),
            (found, _) => saved(self.reference, found.map_or(&[], Vec::as_slice)),
        };
        Ok(Ok(Arc::new(Completion::new(Arc::clone(model), engine, saved, saver))))
    }

    /// The same model at work on the same dataset in the previous snapshot.
    fn before(&self, model: &ServedModel) -> Option<&Arc<Completion>> {
        let dataset = self.previous?.datasets.get(&self.reference.dataset().name)?;
        let same = dataset.reference.dataset().version == self.reference.dataset().version;
        dataset.completions.get(&model.label()).filter(|one| same && one.model.digest == model.digest)
    }
}

/// Returns the models in the order in which they are tried on a dataset: the first that fits is the default one.
#[must_use]
pub fn by_preference<'a>(models: &'a [Arc<ServedModel>], reference: &Reference) -> Vec<&'a Arc<ServedModel>> {
    let mut preferred: Vec<&Arc<ServedModel>> = models.iter().collect();
    preferred.sort_by(|a, b| preference(a, reference).total_cmp(&preference(b, reference)));
    preferred
}

/// How early a model is tried for a dataset: models that give values before shapes, those trained on this very dataset
/// before others, then by their measured error; a model without one comes last.
fn preference(model: &ServedModel, reference: &Reference) -> f64 {
    let card = &model.card;
    let own = card.accuracy.iter().find(|accuracy| accuracy.method == card.method && accuracy.scale == card.scale);
    let rank =
        4 * u8::from(!model.has_level_in(reference)) + 2 * u8::from(card.training.dataset != reference.dataset().name);
    f64::from(rank) + own.map_or(1.5, |accuracy| accuracy.mean_error.clamp(0.0, 1.0))
}

/// Starts an engine; the inner error says why the model does not fit the dataset.
fn start(
    reference: &Arc<Reference>,
    model: &Arc<ServedModel>,
    limits: Limits,
) -> anyhow::Result<Result<Arc<Engine>, String>> {
    match model.reference_for(reference) {
        Ok(own) => {
            let engine = Engine::start(&model.card.name, Arc::clone(&model.model), own, limits);
            Ok(Ok(Arc::new(engine.context("the system gave no thread for a model")?)))
        }
        Err(error) => Ok(Err(error.to_string())),
    }
}

/// Asks a new engine for a first prediction, of a gene that has others on its chromosome; says why it gave none.
fn warm_up(engine: &Engine, patience: Duration) -> Result<(), String> {
    let reference = engine.reference();
    let chromosome = |gene: usize| reference.gene(gene).locus.as_ref().map(|locus| &locus.chromosome);
    let genes = 0..reference.genes().len();
    let mut measured: HashMap<&Chromosome, usize> = HashMap::new();
    for chromosome in genes.clone().filter(|gene| reference.has_shape(*gene)).filter_map(chromosome) {
        *measured.entry(chromosome).or_default() += 1;
    }
    let has_others = |gene: &usize| chromosome(*gene).and_then(|on| measured.get(on)).is_some_and(|count| *count > 1);
    let gene = genes.clone().find(has_others);
    // A dataset without such a gene asks nothing of any model.
    let Some(target) = gene.and_then(|gene| Target::of_gene(reference, gene)) else { return Ok(()) };
    let asked = async { tokio::time::timeout(patience, engine.predict(vec![target])).await };
    let why = match tokio::runtime::Handle::current().block_on(asked) {
        Ok(Ok(_) | Err(EngineError::Failed(ModelError::NoReferenceGene))) => return Ok(()),
        Ok(Err(EngineError::Failed(error))) => error.to_string(),
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("it took longer than {} s", patience.as_secs()),
    };
    Err(format!("its first prediction failed: {why}"))
}

/// Reads saved profiles; one that cannot be read is imputed again.
#[must_use]
pub fn saved(reference: &Reference, profiles: &[(GeneId, String)]) -> HashMap<GeneId, Arc<ImputedProfile>> {
    let read = |(gene, json): &(GeneId, String)| {
        let profile: ImputedProfile = serde_json::from_str(json).ok()?;
        let fits = profile.tissues.len() == reference.tissues().len();
        fits.then(|| (gene.clone(), Arc::new(profile)))
    };
    profiles.iter().filter_map(read).collect()
}
