//! What the handlers answer from: an immutable snapshot of datasets, models and engines, swapped as a whole.
//!
//! A request takes the snapshot once and keeps it to its end, so that a reload never changes an answer half way. The
//! written answers are kept inside the snapshot and vanish with it. Knows no database: see [`Saver`].

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use tokio::sync::mpsc;

use super::audit::versioned;
use super::auth::Access;
use super::gate::Gate;
use super::pace::Pace;
use super::problem::{Kind, Problem};
use super::rendered::RenderCache;
use crate::completion::Reach;
use crate::genome::{Biotype, Chromosome, GeneId};
use crate::genotype::ReadLimits;
use crate::inference::Engine;
use crate::model::expression::ServedGenotypeModel;
use crate::model::served::{ImputedProfile, ServedModel};
use crate::prediction::selection::PanelCache;
use crate::reference::Reference;
use crate::reference::units::TissueSums;
use crate::telemetry::metrics::{Metrics, SaveMeters};

/// Imputed profiles that are kept in memory for each dataset and model: more than a genome has genes.
const MOST_IMPUTED: usize = 100_000;

/// Limits of requests and of what is kept.
#[derive(Debug, Clone)]
pub struct HttpLimits {
    /// Bytes of a body.
    pub body_bytes: usize,
    /// Genes of one `POST /v1/profiles`.
    pub batch_genes: usize,
    /// Bases of a posted promoter.
    pub promoter_bases: usize,
    /// Requests at work at one time.
    pub in_flight: usize,
    /// How long a request may take.
    pub timeout: std::time::Duration,
    /// Bytes of written answers that are kept.
    pub cache_bytes: usize,
    /// Bytes of a body of genotypes, as it is sent.
    pub genotype_body_bytes: usize,
    /// Bytes of an upload's files that are kept in memory because the genotypes come after them.
    pub kept_upload_bytes: usize,
    /// What is read of genotypes before they are refused.
    pub read: ReadLimits,
    /// Genes × people of one answer.
    pub answer_values: usize,
    /// Predictions at work at one time.
    pub predictions: usize,
    /// Predictions that may wait for their turn.
    pub waiting_predictions: usize,
    /// How long a client that sends genotypes may be silent.
    pub idle: std::time::Duration,
    /// How long a prediction may take until its answer begins.
    pub prediction_timeout: std::time::Duration,
    /// Bytes a second that a client has to send of its genotypes, and to take of its predictions, on average.
    pub transfer_bytes_per_second: u64,
}

impl Default for HttpLimits {
    fn default() -> Self {
        Self {
            body_bytes: 32 << 20,
            batch_genes: 1_000,
            promoter_bases: 20_000,
            in_flight: 1_024,
            timeout: std::time::Duration::from_mins(1),
            cache_bytes: 64 << 20,
            genotype_body_bytes: 4 << 30,
            kept_upload_bytes: 256 << 20,
            read: ReadLimits { decompressed_bytes: 64 << 30, samples: 100_000, ..ReadLimits::default() },
            answer_values: 50_000_000,
            predictions: std::thread::available_parallelism().map_or(2, usize::from),
            waiting_predictions: 64,
            idle: std::time::Duration::from_secs(15),
            prediction_timeout: std::time::Duration::from_mins(10),
            transfer_bytes_per_second: 1_024,
        }
    }
}

impl HttpLimits {
    /// Returns how slow a client may be that sends genotypes or takes predictions.
    pub(crate) const fn pace(&self) -> Pace {
        Pace::new(self.transfer_bytes_per_second, self.idle)
    }
}

/// Who runs the service, for `GET /service-info`.
#[derive(Debug, Clone)]
pub struct Operator {
    /// The organisation's name.
    pub name: String,
    /// Its address on the web.
    pub url: String,
}

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
    fn count_into(&self, metrics: &Metrics) {
        self.engine.count_into(metrics.engine(&versioned(&self.model.card)));
        // Set already where the model goes on after a reload.
        let _ = self.save_meters.set(metrics.saves());
    }

    /// Returns a known gene's profile where it was imputed before.
    #[must_use]
    pub fn recall(&self, gene: &GeneId) -> Option<Arc<ImputedProfile>> {
        self.imputed.read().unwrap_or_else(PoisonError::into_inner).get(gene).cloned()
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

/// A dataset that is loaded, with the models that read it.
#[derive(Debug)]
pub struct LoadedDataset {
    /// The snapshot.
    pub reference: Arc<Reference>,
    /// Models that fit, by name.
    pub completions: BTreeMap<String, Arc<Completion>>,
    /// Models that do not fit, by name, and why.
    pub unfit: BTreeMap<String, String>,
    /// The model that is used where a request names none.
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
    /// Takes a dataset and the models that were tried on it; the default model is the preferred one where it fits,
    /// else the first that does.
    #[must_use]
    pub fn new(
        reference: Arc<Reference>,
        completions: Vec<Completion>,
        unfit: BTreeMap<String, String>,
        preferred: Option<&str>,
    ) -> Self {
        let first = completions.first().map(|first| first.model.card.name.clone());
        let completions: BTreeMap<_, _> =
            completions.into_iter().map(|one| (one.model.card.name.clone(), Arc::new(one))).collect();
        let preferred = preferred.filter(|name| completions.contains_key(*name)).map(str::to_owned);
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
            default_model: preferred.or(first),
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
        let (name, version) = split_version(named);
        let dataset = &self.reference.dataset().name;
        match self.completions.get(name) {
            Some(found) if version.is_none_or(|version| version == found.model.card.version) => Ok(Some(found)),
            None if self.unfit.contains_key(name) => {
                let why = &self.unfit[name];
                let detail = format!("model '{name}' cannot read dataset '{dataset}': {why}");
                Err(Problem::new(Kind::ModelDoesNotFit, detail))
            }
            _ => Err(unknown_model(named, self.completions.keys().chain(self.unfit.keys()))),
        }
    }
}

/// Splits `name@version`.
pub(crate) fn split_version(named: &str) -> (&str, Option<&str>) {
    named.split_once('@').map_or((named, None), |(name, version)| (name, Some(version)))
}

/// The problem of a model that is not loaded.
pub(crate) fn unknown_model<'a>(named: &str, loaded: impl Iterator<Item = &'a String>) -> Problem {
    let mut loaded: Vec<String> = loaded.cloned().collect();
    loaded.sort();
    Problem::new(Kind::UnknownModel, format!("no model '{named}' is loaded; loaded: {}", listing(&loaded)))
        .with_candidates(loaded)
}

/// Names for a sentence.
pub(crate) fn listing(names: &[String]) -> String {
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

/// Everything that requests are answered from.
#[derive(Debug)]
pub struct Snapshot {
    /// Datasets by name.
    pub datasets: BTreeMap<String, Arc<LoadedDataset>>,
    /// Profile models by name.
    pub models: BTreeMap<String, Arc<ServedModel>>,
    /// Genotype models by name.
    pub expression_models: BTreeMap<String, Arc<ServedGenotypeModel>>,
    /// Their variants, ready to be looked up.
    pub(crate) panels: Arc<PanelCache>,
    default_dataset: Option<String>,
    pub(crate) rendered: RenderCache,
}

impl Snapshot {
    /// Takes datasets and models; the default dataset is the preferred one, else the only one.
    #[must_use]
    pub fn new(
        datasets: Vec<LoadedDataset>,
        models: Vec<Arc<ServedModel>>,
        preferred: Option<&str>,
        cache_bytes: usize,
    ) -> Self {
        let named = |one: LoadedDataset| (one.reference.dataset().name.clone(), Arc::new(one));
        let datasets: BTreeMap<_, _> = datasets.into_iter().map(named).collect();
        let only = if datasets.len() == 1 { datasets.keys().next().cloned() } else { None };
        let preferred = preferred.filter(|name| datasets.contains_key(*name)).map(str::to_owned);
        let models = models.into_iter().map(|model| (model.card.name.clone(), model)).collect();
        Self {
            datasets,
            models,
            expression_models: BTreeMap::new(),
            panels: Arc::default(),
            default_dataset: preferred.or(only),
            rendered: RenderCache::new(cache_bytes),
        }
    }

    /// Returns the genotype model of a `name` or `name@version`.
    pub(crate) fn expression_model(&self, named: &str) -> Option<&Arc<ServedGenotypeModel>> {
        let (name, version) = split_version(named);
        self.expression_models.get(name).filter(|model| version.is_none_or(|version| version == model.card.version))
    }

    /// Adds genotype models.
    #[must_use]
    pub fn with_expression_models(mut self, models: Vec<Arc<ServedGenotypeModel>>) -> Self {
        self.expression_models = models.into_iter().map(|model| (model.card.name.clone(), model)).collect();
        self
    }

    /// Returns the dataset that a request names, or the default one.
    ///
    /// # Errors
    /// It is not loaded, or the request names none and there is no default.
    pub fn dataset(&self, named: Option<&str>) -> Result<&Arc<LoadedDataset>, Problem> {
        let loaded = || self.datasets.keys().cloned().collect::<Vec<_>>();
        if let Some(name) = named {
            return self.datasets.get(name).ok_or_else(|| {
                let detail = format!("no dataset '{name}' is loaded; loaded: {}", listing(&loaded()));
                Problem::new(Kind::UnknownDataset, detail).with_candidates(loaded())
            });
        }
        self.default_dataset.as_ref().and_then(|name| self.datasets.get(name)).ok_or_else(|| {
            let detail = if self.datasets.is_empty() {
                "no dataset is loaded: ingest one, then name it by 'dataset'".to_owned()
            } else {
                format!("several datasets are loaded: name one by 'dataset': {}", listing(&loaded()))
            };
            Problem::new(Kind::NoDefaultDataset, detail).with_candidates(loaded())
        })
    }

    /// Returns the name of the dataset that is used where a request names none.
    #[must_use]
    pub fn default_dataset(&self) -> Option<&str> {
        self.default_dataset.as_deref()
    }

    fn count_into(&self, metrics: &Metrics) {
        self.datasets.values().flat_map(|loaded| loaded.completions.values()).for_each(|one| one.count_into(metrics));
    }

    /// Returns every engine with the names of its dataset and model.
    pub fn engines(&self) -> impl Iterator<Item = (&str, &str, &Arc<Engine>)> {
        self.datasets.iter().flat_map(|(dataset, loaded)| {
            loaded.completions.iter().map(|(model, one)| (dataset.as_str(), model.as_str(), &one.engine))
        })
    }
}

/// What all requests share.
#[derive(Debug)]
pub struct AppState {
    snapshot: RwLock<Arc<Snapshot>>,
    /// Limits of requests.
    pub limits: HttpLimits,
    /// Who runs the service.
    pub operator: Operator,
    draining: AtomicBool,
    store_answers: AtomicBool,
    /// Who may come in.
    pub access: Arc<Access>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// The gate before predictions.
    pub(crate) predictions: Gate,
    /// The OpenAPI document, written once.
    pub(crate) openapi_yaml: bytes::Bytes,
    /// The page that lists its operations, written once.
    pub(crate) docs_page: bytes::Bytes,
}

impl AppState {
    /// Takes the first snapshot.
    #[must_use]
    pub fn new(snapshot: Snapshot, limits: HttpLimits, operator: Operator) -> Self {
        let document = super::openapi();
        let docs_page = crate::web::docs::page(&document).into();
        let metrics = Arc::new(Metrics::new());
        snapshot.count_into(&metrics);
        Self {
            metrics,
            snapshot: RwLock::new(Arc::new(snapshot)),
            predictions: Gate::new(limits.predictions, limits.waiting_predictions, limits.timeout),
            limits,
            operator,
            access: Arc::new(Access::open()),
            draining: AtomicBool::new(false),
            store_answers: AtomicBool::new(true),
            openapi_yaml: super::openapi_yaml().into(),
            docs_page,
        }
    }

    /// Sets who may come in; everybody otherwise.
    #[must_use]
    pub fn with_access(mut self, access: Arc<Access>) -> Self {
        self.access = access;
        self
    }

    /// Returns the snapshot of this moment.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.snapshot.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts another snapshot in the place of the current one, which it returns; requests at work keep the old one.
    pub fn replace(&self, snapshot: Snapshot) -> Arc<Snapshot> {
        snapshot.count_into(&self.metrics);
        let mut current = self.snapshot.write().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut current, Arc::new(snapshot))
    }

    /// Turns readiness off for good: the service is about to stop.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Returns whether the service is about to stop.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// Notes whether the database answered when it was last asked.
    pub fn note_store(&self, answers: bool) {
        self.store_answers.store(answers, Ordering::Relaxed);
    }

    /// Returns whether the database answered when it was last asked.
    #[must_use]
    pub fn store_answers(&self) -> bool {
        self.store_answers.load(Ordering::Relaxed)
    }
}
