//! The service's metrics: every name, unit, label and bucket in one place.
//!
//! Owned by the service's state. What the state knows anyway is read when it is asked for (`Reading`), so that no gauge
//! drifts from what it measures; what happens once is counted where it happens, by the methods here. No label has a
//! value that a client chooses.

mod labels;

use std::sync::atomic::AtomicU64;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use prometheus_client::encoding::text;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Metric, Registry, Unit};

use super::process::Process;
use crate::genotype::report::{KindCounts, MatchKind};
use crate::inference::Meters;
pub(crate) use labels::ModelInfo;
use labels::{
    BuildLabels, EngineLabels, ModelLabels, ReasonLabels, ReloadLabels, RequestLabels, RouteLabels, VariantLabels,
};

/// The media type of the text.
pub(crate) const MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Problems that are refusals: the service could answer and does not want to now.
const REFUSALS: [&str; 5] = ["overloaded", "rate-limited", "quota-exceeded", "unauthorized", "forbidden"];

/// From answers out of memory to predictions of biobanks.
const REQUEST_SECONDS: [f64; 16] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0, 900.0];
/// From a batch of one gene to the longest that a request waits.
const ENGINE_SECONDS: [f64; 14] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0];
const BATCH_ROWS: [f64; 11] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0];
const PREDICTION_SECONDS: [f64; 13] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 1800.0];

/// A number of things.
type Level = Gauge<u64, AtomicU64>;
type Histograms<L> = Family<L, Histogram, fn() -> Histogram>;

/// How a reload of the models ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reload {
    /// Something else is served now.
    Changed,
    /// Everything was as it was.
    Unchanged,
    /// Something could not be taken.
    Refused,
}

/// Counts profiles on their way to the store.
#[derive(Debug, Clone, Default)]
pub struct SaveMeters {
    /// Profiles that were saved.
    pub saved: Counter,
    /// Profiles that will have to be imputed again.
    pub dropped: Counter,
}

/// What is read when the metrics are asked for.
#[derive(Debug)]
pub(crate) struct Reading {
    /// Whether the service is ready.
    pub(crate) is_ready: bool,
    /// Whether the store answered when it was last asked.
    pub(crate) store_answers: bool,
    /// Predictions at work.
    pub(crate) running: usize,
    /// Predictions that wait for their turn.
    pub(crate) waiting: usize,
    /// Rows that wait, by dataset and model.
    pub(crate) queues: Vec<(String, String, usize)>,
    /// The models.
    pub(crate) models: Vec<ModelInfo>,
    /// Models that did not pass their checks.
    pub(crate) models_refused: usize,
}

/// A prediction that was answered.
#[derive(Debug)]
pub(crate) struct Predicted<'a> {
    /// What each model's variants became, by `name@version`.
    pub(crate) models: Vec<(String, &'a KindCounts)>,
    /// The people.
    pub(crate) samples: usize,
    /// How long it took.
    pub(crate) took: Duration,
}

/// Every metric of the service.
#[derive(Debug)]
pub struct Metrics {
    registries: [Registry; 2],
    /// One reading at a time: the gauges are set and written together.
    reading: Mutex<()>,
    requests: Family<RequestLabels, Counter>,
    request_seconds: Histograms<RouteLabels>,
    in_flight: Level,
    refused: Family<ReasonLabels, Counter>,
    ready: Level,
    queue_rows: Family<EngineLabels, Level>,
    batch_rows: Histograms<ModelLabels>,
    queue_seconds: Histograms<ModelLabels>,
    compute_seconds: Histograms<ModelLabels>,
    running: Level,
    waiting: Level,
    prediction_seconds: Histograms<ModelLabels>,
    samples: Counter,
    variants: Family<VariantLabels, Counter>,
    store_up: Level,
    saves: SaveMeters,
    models: Family<ModelInfo, Level>,
    models_refused: Level,
    reloads: Family<ReloadLabels, Counter>,
    audit_lines_lost: Counter,
    process: ProcessGauges,
}

/// What the system says of the process.
#[derive(Debug, Default)]
struct ProcessGauges {
    resident_memory: Level,
    open_fds: Level,
    cpu: Counter<f64, AtomicU64>,
    start_time: Gauge<f64, AtomicU64>,
}

/// Registers metrics and hands them back.
struct Book(Registry);

impl Book {
    fn add<M: Metric + Clone>(&mut self, name: &str, help: &str, metric: M) -> M {
        self.0.register(name, help, metric.clone());
        metric
    }

    fn add_in<M: Metric + Clone>(&mut self, unit: Unit, name: &str, help: &str, metric: M) -> M {
        self.0.register_with_unit(name, help, unit, metric.clone());
        metric
    }

    fn seconds<L>(&mut self, name: &str, help: &str, histogram: fn() -> Histogram) -> Histograms<L>
    where
        Histograms<L>: Metric + Clone,
        L: Clone + std::hash::Hash + Eq,
    {
        self.add_in(Unit::Seconds, name, help, Family::new_with_constructor(histogram))
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// Registers every metric.
    #[must_use]
    pub fn new() -> Self {
        let mut system = Book(Registry::default());
        let process = ProcessGauges::register(&mut system);
        let mut own = Book(Registry::with_prefix("tissuecast"));
        let version = Info::new(BuildLabels { version: env!("CARGO_PKG_VERSION") });
        own.0.register("build", "The program", version);
        let request = || Histogram::new(REQUEST_SECONDS);
        let engine = || Histogram::new(ENGINE_SECONDS);
        let rows = Family::new_with_constructor((|| Histogram::new(BATCH_ROWS)) as fn() -> Histogram);
        let metrics = Self {
            reading: Mutex::new(()),
            ready: own.add("ready", "Whether the service is ready", Level::default()),
            requests: own.add("http_requests", "Requests that ended, by status or 'aborted'", Family::default()),
            request_seconds: own.seconds("http_request_duration", "Time to the answer's last byte", request),
            in_flight: own.add("http_requests_in_flight", "Requests at work, to the last byte", Level::default()),
            refused: own.add("http_refused", "Requests that were refused, by reason", Family::default()),
            queue_rows: own.add("engine_queue_rows", "Rows that wait for a model", Family::default()),
            batch_rows: own.add("engine_batch_rows", "Rows of a model's calls", rows),
            queue_seconds: own.seconds("engine_queue", "Time that requests waited for a model", engine),
            compute_seconds: own.seconds("engine_compute", "Time of a model's calls", engine),
            running: own.add("predictions_running", "Predictions at work", Level::default()),
            waiting: own.add("predictions_waiting", "Predictions that wait for their turn", Level::default()),
            prediction_seconds: own.seconds("prediction", "Time from a prediction's turn to its end", || {
                Histogram::new(PREDICTION_SECONDS)
            }),
            samples: own.add("prediction_samples", "People whose expression was predicted", Counter::default()),
            variants: own.add("prediction_variants", "Variants of models by what became of them", Family::default()),
            store_up: own.add("store_up", "Whether the store answered when last asked", Level::default()),
            saves: SaveMeters {
                saved: own.add("store_profiles_saved", "Imputed profiles that were saved", Counter::default()),
                dropped: own.add("store_profiles_dropped", "Imputed profiles that were not", Counter::default()),
            },
            models: own.add("model_info", "Models that are served", Family::default()),
            models_refused: own.add("models_refused", "Models that did not pass their checks", Level::default()),
            reloads: own.add("model_reloads", "Reloads of the models, by outcome", Family::default()),
            audit_lines_lost: own.add("audit_lines_lost", "Audit lines that were not written", Counter::default()),
            process,
            registries: [own.0, system.0],
        };
        // Known from the start, so that a rate over them is one from the first event on.
        for reason in REFUSALS {
            drop(metrics.refused.get_or_create(&ReasonLabels { reason }));
        }
        for outcome in [Reload::Changed, Reload::Unchanged, Reload::Refused] {
            drop(metrics.reloads.get_or_create(&outcome.labels()));
        }
        metrics
    }

    /// Counts a request that has come.
    pub(crate) fn request_begins(&self) {
        self.in_flight.inc();
    }

    /// Counts a request that has ended, after its last byte.
    pub(crate) fn request_ends(&self, method: &'static str, route: &str, status: String, took: Duration) {
        self.in_flight.dec();
        let route = route.to_owned();
        self.request_seconds.get_or_create(&RouteLabels { route: route.clone() }).observe(took.as_secs_f64());
        self.requests.get_or_create(&RequestLabels { method, route, status }).inc();
    }

    /// Counts a problem that a request was answered with, by the last part of its type, where it is a refusal.
    pub(crate) fn refused(&self, problem: &str) {
        if let Some(reason) = REFUSALS.into_iter().find(|reason| *reason == problem) {
            self.refused.get_or_create(&ReasonLabels { reason }).inc();
        }
    }

    /// Returns what an engine counts into.
    pub(crate) fn engine(&self, model: &str) -> Meters {
        let model = ModelLabels { model: model.to_owned() };
        Meters {
            batch_rows: self.batch_rows.get_or_create_owned(&model),
            queue_seconds: self.queue_seconds.get_or_create_owned(&model),
            compute_seconds: self.compute_seconds.get_or_create_owned(&model),
        }
    }

    /// Returns what counts profiles on their way to the store.
    pub(crate) fn saves(&self) -> SaveMeters {
        self.saves.clone()
    }

    /// Counts a prediction that was answered.
    pub(crate) fn predicted(&self, predicted: &Predicted<'_>) {
        let model = match predicted.models.as_slice() {
            [(only, _)] => only.clone(),
            _ => "several".to_owned(),
        };
        self.prediction_seconds.get_or_create(&ModelLabels { model }).observe(predicted.took.as_secs_f64());
        self.samples.inc_by(predicted.samples as u64);
        for (model, counts) in &predicted.models {
            for kind in MatchKind::ALL {
                let labels = VariantLabels { model: model.clone(), kind: kind.name() };
                self.variants.get_or_create(&labels).inc_by(counts.of(kind));
            }
        }
    }

    /// Counts a reload of the models.
    pub fn reloaded(&self, outcome: Reload) {
        self.reloads.get_or_create(&outcome.labels()).inc();
    }

    /// Returns the text of all metrics, with what was read just now.
    pub(crate) fn text(&self, reading: &Reading) -> String {
        let _one = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        self.ready.set(u64::from(reading.is_ready));
        self.store_up.set(u64::from(reading.store_answers));
        self.running.set(reading.running as u64);
        self.waiting.set(reading.waiting as u64);
        self.queue_rows.clear();
        for (dataset, model, rows) in &reading.queues {
            let labels = EngineLabels { dataset: dataset.clone(), model: model.clone() };
            self.queue_rows.get_or_create(&labels).set(*rows as u64);
        }
        self.models_refused.set(reading.models_refused as u64);
        self.models.clear();
        for model in &reading.models {
            self.models.get_or_create(model).set(1);
        }
        self.audit_lines_lost.inner().store(super::audit_file::lost_lines(), std::sync::atomic::Ordering::Relaxed);
        self.process.read();
        let mut out = String::with_capacity(16 << 10);
        // Writing into memory does not fail.
        let _ = self.registries.iter().try_for_each(|registry| text::encode_registry(&mut out, registry));
        let _ = text::encode_eof(&mut out);
        out
    }
}

impl Reload {
    const fn labels(self) -> ReloadLabels {
        let outcome = match self {
            Self::Changed => "changed",
            Self::Unchanged => "unchanged",
            Self::Refused => "refused",
        };
        ReloadLabels { outcome }
    }
}

impl ProcessGauges {
    /// Registers what the system can be asked for; nothing where it cannot.
    fn register(book: &mut Book) -> Self {
        let gauges = Self::default();
        if Process::now().is_none() {
            return gauges;
        }
        let Self { resident_memory, open_fds, cpu, start_time } = gauges;
        Self {
            resident_memory: book.add_in(Unit::Bytes, "process_resident_memory", "Memory", resident_memory),
            open_fds: book.add("process_open_fds", "Open file descriptors", open_fds),
            cpu: book.add_in(Unit::Seconds, "process_cpu", "Processor time", cpu),
            start_time: book.add_in(Unit::Seconds, "process_start_time", "Start, since 1970", start_time),
        }
    }

    fn read(&self) {
        let Some(process) = Process::now() else { return };
        self.resident_memory.set(process.resident_memory_bytes);
        self.open_fds.set(process.open_fds);
        self.cpu.inner().store(process.cpu_seconds.to_bits(), std::sync::atomic::Ordering::Relaxed);
        self.start_time.set(process.start_time_seconds);
    }
}
