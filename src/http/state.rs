//! What the handlers answer from: an immutable snapshot of datasets, models and engines, swapped as a whole.
//!
//! A request takes the snapshot once and keeps it to its end, so that a reload never changes an answer half way. The
//! written answers are kept inside the snapshot and vanish with it. Knows no database: see [`Saver`].

mod dataset;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use super::admin::{Refusal, Reloader, ServedVersion};
use super::auth::Access;
use super::gate::Gate;
use super::pace::Pace;
use super::problem::{Kind, Problem};
use super::rendered::RenderCache;
use crate::genotype::ReadLimits;
use crate::inference::Engine;
use crate::model::expression::ServedGenotypeModel;
use crate::model::served::ServedModel;
use crate::model::shelf::Shelf;
use crate::prediction::selection::PanelCache;
use crate::telemetry::metrics::Metrics;

pub use dataset::{Completion, LoadedDataset, Save, Saver};

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
    pub timeout: Duration,
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
    pub idle: Duration,
    /// How long a prediction may take until its answer begins.
    pub prediction_timeout: Duration,
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
            timeout: Duration::from_mins(1),
            cache_bytes: 64 << 20,
            genotype_body_bytes: 4 << 30,
            kept_upload_bytes: 256 << 20,
            read: ReadLimits { decompressed_bytes: 64 << 30, samples: 100_000, ..ReadLimits::default() },
            answer_values: 50_000_000,
            predictions: std::thread::available_parallelism().map_or(2, usize::from),
            waiting_predictions: 64,
            idle: Duration::from_secs(15),
            prediction_timeout: Duration::from_mins(10),
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

/// The problem of a model that is not loaded; `loaded` are the labels of those that are.
pub(crate) fn unknown_model(named: &str, mut loaded: Vec<String>) -> Problem {
    loaded.sort();
    loaded.dedup();
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
    /// Profile models.
    pub models: Shelf<Arc<ServedModel>>,
    /// Genotype models.
    pub expression_models: Shelf<Arc<ServedGenotypeModel>>,
    /// Models whose first prediction on a dataset failed, so that they do not answer for it.
    pub refused: Vec<Refusal>,
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
        models: Shelf<Arc<ServedModel>>,
        preferred: Option<&str>,
        cache_bytes: usize,
    ) -> Self {
        let named = |one: LoadedDataset| (one.reference.dataset().name.clone(), Arc::new(one));
        let datasets: BTreeMap<_, _> = datasets.into_iter().map(named).collect();
        let only = if datasets.len() == 1 { datasets.keys().next().cloned() } else { None };
        let preferred = preferred.filter(|name| datasets.contains_key(*name)).map(str::to_owned);
        Self {
            datasets,
            models,
            expression_models: Shelf::default(),
            refused: Vec::new(),
            panels: Arc::default(),
            default_dataset: preferred.or(only),
            rendered: RenderCache::new(cache_bytes),
        }
    }

    /// Adds genotype models.
    #[must_use]
    pub fn with_expression_models(mut self, models: Shelf<Arc<ServedGenotypeModel>>) -> Self {
        self.expression_models = models;
        self
    }

    /// Goes on with the panels of an earlier snapshot where no genotype model of that one has gone.
    #[must_use]
    pub fn with_panels_of(mut self, earlier: &Self) -> Self {
        let stays = |earlier: &Arc<ServedGenotypeModel>| {
            self.expression_models.iter().any(|one| one.item.digest == earlier.digest)
        };
        if earlier.expression_models.iter().all(|one| stays(one.item)) {
            self.panels = Arc::clone(&earlier.panels);
        }
        self
    }

    /// Returns `name@version` of the models of both kinds.
    pub(crate) fn labels(&self) -> Vec<String> {
        [self.models.labels(), self.expression_models.labels()].concat()
    }

    /// Returns every version that is served: profile models, then genotype models.
    #[must_use]
    pub fn versions(&self) -> Vec<ServedVersion> {
        ServedVersion::all(&self.models, &self.expression_models)
    }

    /// Returns the models at work on datasets.
    #[must_use]
    pub fn into_completions(self) -> Vec<Arc<Completion>> {
        let shelves = self.datasets.values();
        shelves.flat_map(|loaded| loaded.completions.iter().map(|one| Arc::clone(one.item))).collect()
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
        let completions = self.datasets.values().flat_map(|loaded| loaded.completions.iter());
        completions.for_each(|one| one.item.count_into(metrics, &one.label()));
    }

    /// Returns every engine with its dataset's name and its model's `name@version`.
    pub fn engines(&self) -> impl Iterator<Item = (&str, String, &Arc<Engine>)> {
        self.datasets.iter().flat_map(|(dataset, loaded)| {
            loaded.completions.iter().map(|one| (dataset.as_str(), one.label(), &one.item.engine))
        })
    }
}

/// How the database was found when it was last asked.
#[derive(Debug, Clone, Copy)]
struct StoreHealth {
    answers: bool,
    answered: Instant,
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
    store: Mutex<StoreHealth>,
    refused: RwLock<Vec<Refusal>>,
    /// Who looks at the folder of models anew.
    pub(crate) reloader: Option<Reloader>,
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
            store: Mutex::new(StoreHealth { answers: true, answered: Instant::now() }),
            refused: RwLock::default(),
            reloader: None,
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

    /// Adds who looks at the folder of models anew.
    #[must_use]
    pub fn with_reloader(mut self, reloader: Option<Reloader>) -> Self {
        self.reloader = reloader;
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
        let mut store = self.store.lock().unwrap_or_else(PoisonError::into_inner);
        store.answers = answers;
        if answers {
            store.answered = Instant::now();
        }
    }

    /// Returns whether the database answered when it was last asked.
    #[must_use]
    pub fn store_answers(&self) -> bool {
        self.store.lock().unwrap_or_else(PoisonError::into_inner).answers
    }

    /// Returns how long ago the database answered.
    #[must_use]
    pub fn store_answered(&self) -> Duration {
        self.store.lock().unwrap_or_else(PoisonError::into_inner).answered.elapsed()
    }

    /// Notes which folders of models do not pass their checks.
    pub fn note_refused(&self, refused: Vec<Refusal>) {
        *self.refused.write().unwrap_or_else(PoisonError::into_inner) = refused;
    }

    /// Returns which folders of models do not pass their checks, and which models failed on a dataset.
    #[must_use]
    pub fn refused(&self) -> Vec<Refusal> {
        let folders = self.refused.read().unwrap_or_else(PoisonError::into_inner).clone();
        [folders, self.snapshot().refused.clone()].concat()
    }
}
