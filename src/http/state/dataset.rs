//! A dataset that is loaded, the models at work on it, and the profiles that they have imputed.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use tokio::sync::mpsc;

use super::unknown_model;
use crate::completion::Reach;
use crate::genome::{Biotype, Chromosome, GeneId};
use crate::http::problem::{Kind, Problem};
use crate::inference::Engine;
use crate::model::served::{ImputedProfile, ServedModel};
use crate::model::shelf::{Shelf, Versioned};
use crate::reference::Reference;
use crate::reference::units::TissueSums;
use crate::telemetry::metrics::{Metrics, SaveMeters};

/// Imputed profiles of known genes that are to be saved.
#[derive(Debug, Clone)]
pub struct Save {
    /// The dataset's version.
    pub dataset_version: String,
    /// [`ServedModel::imputation_key`].
    pub imputation_key: String,
    /// The profiles as JSON.
    pub profiles: Vec<(GeneId, String)>,
    /// What counts whether they were.
    pub meters: SaveMeters,
}

/// Where imputed profiles go to be saved: a bounded channel that whoever keeps the database listens to.
pub type Saver = mpsc::Sender<Save>;

/// Imputed profiles that are kept in memory for each dataset and model: more than a genome has genes.
const MOST_IMPUTED: usize = 100_000;

/// A model at work on a dataset.
#[derive(Debug)]
pub struct Completion {
    /// The model.
    pub model: Arc<ServedModel>,
    /// Its engine; it owns the dataset in the model's tissues.
    pub engine: Arc<Engine>,
    dataset_version: String,
    /// Where the model has genes to read.
    pub(crate) reach: Reach,
    /// Profiles of known genes, each computed once.
    imputed: RwLock<HashMap<GeneId, Arc<ImputedProfile>>>,
    saver: Option<Saver>,
    save_meters: OnceLock<SaveMeters>,
}

impl Completion {
    /// Puts a model to work on a dataset, with the profiles that were imputed by it before.
    #[must_use]
    pub fn new(
        model: Arc<ServedModel>,
        engine: Arc<Engine>,
        saved: HashMap<GeneId, Arc<ImputedProfile>>,
        saver: Option<Saver>,
    ) -> Self {
        let reference = engine.reference();
        let dataset_version = reference.dataset().version.clone();
        let reach = Reach::of(reference);
        let (imputed, save_meters) = (RwLock::new(saved), OnceLock::new());
        Self { model, engine, dataset_version, reach, imputed, saver, save_meters }
    }

    /// Has the engine and what is saved counted.
    pub(super) fn count_into(&self, metrics: &Metrics, label: &str) {
        self.engine.count_into(metrics.engine(label));
        // Set already where the model goes on after a reload.
        let _ = self.save_meters.set(metrics.saves());
    }

    /// Returns a known gene's profile where it was imputed before.
    #[must_use]
    pub fn recall(&self, gene: &GeneId) -> Option<Arc<ImputedProfile>> {
        self.imputed.read().unwrap_or_else(PoisonError::into_inner).get(gene).cloned()
    }

    /// Returns every profile that was imputed before.
    #[must_use]
    pub fn kept(&self) -> HashMap<GeneId, Arc<ImputedProfile>> {
        self.imputed.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Keeps profiles of known genes and hands them over to be saved.
    ///
    /// Saving is best effort: what the channel has no room for is imputed again after the next start.
    pub fn keep(&self, profiles: &[(GeneId, Arc<ImputedProfile>)]) {
        {
            let mut imputed = self.imputed.write().unwrap_or_else(PoisonError::into_inner);
            let room = MOST_IMPUTED.saturating_sub(imputed.len());
            imputed.extend(profiles.iter().take(room).cloned());
        }
        let Some(saver) = &self.saver else { return };
        let json = |(gene, profile): &(GeneId, Arc<ImputedProfile>)| {
            serde_json::to_string(profile.as_ref()).ok().map(|json| (gene.clone(), json))
        };
        let profiles: Vec<_> = profiles.iter().filter_map(json).collect();
        let save = Save {
            dataset_version: self.dataset_version.clone(),
            imputation_key: self.model.imputation_key(),
            profiles,
            meters: self.save_meters.get().cloned().unwrap_or_default(),
        };
        let (count, dropped) = (save.profiles.len() as u64, save.meters.dropped.clone());
        if count > 0 && saver.try_send(save).is_err() {
            dropped.inc_by(count);
            tracing::warn!("imputed profiles were not saved: the store does not keep up");
        }
    }
}

impl Versioned for Completion {
    fn name(&self) -> &str {
        self.model.name()
    }

    fn version(&self) -> &str {
        self.model.version()
    }
}

/// A dataset that is loaded, with the models that read it.
#[derive(Debug)]
pub struct LoadedDataset {
    /// The snapshot.
    pub reference: Arc<Reference>,
    /// Models that fit.
    pub completions: Shelf<Arc<Completion>>,
    /// Why the other models do not fit.
    pub unfit: Shelf<String>,
    /// The model that is used where a request names none, as a name or `name@version`.
    pub default_model: Option<String>,
    /// Upper-case symbols by gene, for the search.
    pub(crate) symbols: Vec<Box<str>>,
    /// Chromosomes that a gene of the dataset lies on.
    pub(crate) chromosomes: BTreeSet<Chromosome>,
    /// Biotypes that a gene of the dataset has.
    pub(crate) biotypes: BTreeSet<Biotype>,
    /// Bases of the longest promoter.
    pub(crate) promoter_bases: Option<usize>,
    /// What its values add up to, once a value in another unit is posted.
    sums: OnceLock<TissueSums>,
}

impl LoadedDataset {
    /// Takes a dataset and the models that were tried on it; the default model is the first of the preferred names that
    /// fits, else the first of all.
    #[must_use]
    pub fn new(
        reference: Arc<Reference>,
        completions: Shelf<Arc<Completion>>,
        unfit: Shelf<String>,
        preferred: &[&str],
    ) -> Self {
        let preferred = preferred.iter().find(|name| completions.get(name).is_some());
        let first = || completions.defaults().next().map(|one| one.name().to_owned());
        let default_model = preferred.map(|name| (*name).to_owned()).or_else(first);
        let genes = reference.genes();
        let chromosomes =
            genes.iter().filter_map(|gene| gene.locus.as_ref().map(|locus| locus.chromosome.clone())).collect();
        let biotypes = genes.iter().filter_map(|gene| gene.biotype.clone()).collect();
        let promoter_bases =
            (0..genes.len()).filter_map(|gene| reference.promoter(gene)).map(|p| p.bases().len()).max();
        let symbols = reference.genes().iter().map(|gene| gene.symbol.as_str().to_uppercase().into()).collect();
        Self {
            completions,
            unfit,
            default_model,
            symbols,
            chromosomes,
            biotypes,
            promoter_bases,
            sums: OnceLock::new(),
            reference,
        }
    }

    /// Returns what the dataset's values add up to, tissue by tissue.
    pub(crate) fn sums(&self) -> &TissueSums {
        self.sums.get_or_init(|| TissueSums::of(&self.reference))
    }

    /// Returns the model that a request names, or the default one; `None` where no model fits.
    ///
    /// # Errors
    /// No such model is loaded, or it does not fit the dataset.
    pub fn completion(&self, named: Option<&str>) -> Result<Option<&Arc<Completion>>, Problem> {
        let Some(named) = named else {
            return Ok(self.default_model.as_ref().and_then(|name| self.completions.get(name)));
        };
        if let Some(found) = self.completions.get(named) {
            return Ok(Some(found));
        }
        match self.unfit.get(named) {
            Some(why) => {
                let dataset = &self.reference.dataset().name;
                let detail = format!("model '{named}' cannot read dataset '{dataset}': {why}");
                Err(Problem::new(Kind::ModelDoesNotFit, detail))
            }
            None => Err(unknown_model(named, [self.completions.labels(), self.unfit.labels()].concat())),
        }
    }
}
