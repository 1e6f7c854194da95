//! The composition root: references and models → engines → snapshot → router → listener, and how it all stops.
//!
//! The database is wired at one place: whoever keeps it hands over a [`Loaded`], sends an [`Event`] for every change,
//! and listens to the other end of [`Loaded::saver`]. Nothing below this module knows that there is one.

pub mod access;
mod connection;
pub mod data;
mod listener;
mod tls;

use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use connection::Patience;
use listener::Door;
use tls::Certificate;

use crate::access::Seconds;
use crate::config::ServeConfig;
use crate::genome::GeneId;
use crate::http;
use crate::http::auth::Access;
use crate::http::state::{AppState, Completion, HttpLimits, LoadedDataset, Saver, Snapshot};
use crate::inference::{Engine, Limits};
use crate::model::expression::ServedGenotypeModel;
use crate::model::served::{ImputedProfile, ServedModel};
use crate::reference::Reference;

/// How often a swapped-out snapshot is looked at until its last request has gone.
const RETIRE_LOOK: Duration = Duration::from_millis(100);

/// How long a connection may be silent on top of what its requests may take.
const SILENCE: Duration = Duration::from_secs(15);

/// What the service is built from.
#[derive(Debug, Default)]
pub struct Loaded {
    /// The datasets.
    pub references: Vec<Arc<Reference>>,
    /// The models; the order is that of preference where no default model is named.
    pub models: Vec<Arc<ServedModel>>,
    /// The models of expression from genotypes.
    pub expression_models: Vec<Arc<ServedGenotypeModel>>,
    /// Profiles that were imputed before, as JSON, by dataset version and [`ServedModel::imputation_key`].
    pub imputed: BTreeMap<(String, String), Vec<(GeneId, String)>>,
    /// Where newly imputed profiles go to be saved.
    pub saver: Option<Saver>,
}

/// What happens while the service runs.
#[derive(Debug)]
pub enum Event {
    /// Datasets or models changed: here is all that is to be served from now on.
    Changed(Loaded),
    /// The database was asked whether it lives: it answered, or not.
    Store {
        /// Whether it answered.
        answers: bool,
    },
}

/// Puts every model to work on every dataset that it fits; engines of the previous snapshot go on where neither the
/// dataset nor the model changed.
///
/// # Errors
/// The system gives no thread for an engine.
pub fn snapshot(config: &ServeConfig, loaded: Loaded, previous: Option<&Snapshot>) -> anyhow::Result<Snapshot> {
    let Loaded { references, models, imputed, saver, expression_models } = loaded;
    let mut datasets = Vec::with_capacity(references.len());
    for reference in references {
        let mut completions = Vec::new();
        let mut unfit = BTreeMap::new();
        for model in by_preference(&models, &reference) {
            let engine = match running(previous, &reference, model) {
                Some(engine) => Ok(engine),
                None => start(&reference, model, config.engine_limits())?,
            };
            match engine {
                Ok(engine) => {
                    let key = (reference.dataset().version.clone(), model.imputation_key());
                    let saved = saved(&reference, imputed.get(&key).map_or(&[], Vec::as_slice));
                    completions.push(Completion::new(Arc::clone(model), engine, saved, saver.clone()));
                }
                Err(why) => {
                    tracing::warn!(
                        model = model.card.name,
                        dataset = reference.dataset().name,
                        why,
                        "model does not fit"
                    );
                    unfit.insert(model.card.name.clone(), why);
                }
            }
        }
        datasets.push(LoadedDataset::new(reference, completions, unfit, config.store.default_model.as_deref()));
    }
    let default_dataset = config.store.default_dataset.as_deref();
    if let Some(name) =
        default_dataset.filter(|name| !datasets.iter().any(|one| one.reference.dataset().name == **name))
    {
        tracing::warn!(name, "the store has no dataset of the name that --default-dataset gives");
    }
    let default_model = config.store.default_model.as_deref();
    if let Some(name) = default_model.filter(|name| !models.iter().any(|model| model.card.name == **name)) {
        tracing::warn!(name, "there is no model of the name that --default-model gives: another one is used");
    }
    let snapshot = Snapshot::new(datasets, models, default_dataset, config.http_limits().cache_bytes);
    Ok(snapshot.with_expression_models(expression_models))
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

/// The engine that already runs this model on this dataset.
fn running(previous: Option<&Snapshot>, reference: &Reference, model: &ServedModel) -> Option<Arc<Engine>> {
    let dataset = previous?.datasets.get(&reference.dataset().name)?;
    let same = dataset.reference.dataset().version == reference.dataset().version;
    let one = dataset.completions.get(&model.card.name).filter(|one| same && one.model.digest == model.digest)?;
    one.engine.is_ready().then(|| Arc::clone(&one.engine))
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

/// What the service was told, and who may come in.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What it was told.
    pub config: ServeConfig,
    /// Who may come in: everybody, until keys are put into it.
    pub access: Arc<Access>,
}

impl From<ServeConfig> for Settings {
    fn from(config: ServeConfig) -> Self {
        let told = &config.access;
        let rate = told.key_defaults().requests_per_minute;
        let access = Access::new(rate, told.trusted_proxies.clone(), told.cors_origins.clone(), now);
        Self { config, access: Arc::new(access) }
    }
}

/// Returns the time.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "the composition root is where the clock comes in")]
pub fn now() -> Seconds {
    // A clock before 1970 makes no key last longer: every one that ends has ended.
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(Seconds::MAX, |since| since.as_secs().cast_signed())
}

/// Runs the service until it is told to stop by SIGTERM or SIGINT; calls `ready` with the address that it listens on.
///
/// # Errors
/// The configuration cannot work, the address is taken, or the service was stopped before its requests had ended.
pub async fn run(
    settings: impl Into<Settings>,
    loaded: Loaded,
    events: mpsc::Receiver<Event>,
    ready: impl FnOnce(SocketAddr),
) -> anyhow::Result<()> {
    let settings = settings.into();
    let listen = settings.config.server.listen;
    guard(&settings)?;
    let listener = TcpListener::bind(listen).await.with_context(|| format!("cannot listen on {listen}"))?;
    ready(listener.local_addr()?);
    let mut signals = Signals::new()?;
    let stop = CancellationToken::new();
    let stopped = stop.clone();
    let service = serve_on(listener, settings, loaded, events, async move { stopped.cancelled().await });
    tokio::pin!(service);
    tokio::select! {
        ended = &mut service => return ended,
        () = signals.next() => {}
    }
    tracing::info!("asked to stop: open requests are answered, new ones are not taken");
    stop.cancel();
    tokio::select! {
        ended = &mut service => ended,
        () = signals.next() => anyhow::bail!("stopped by a second signal before all requests had ended"),
    }
}

/// Refuses to stand open to other machines, and warns where keys can be overheard.
fn guard(Settings { config, access }: &Settings) -> anyhow::Result<()> {
    let (listen, told) = (config.server.listen, &config.access);
    told.require_guarded(listen, access.ring().has_usable(access.now()))?;
    if told.is_in_the_clear(listen) {
        tracing::warn!(
            %listen,
            "requests and keys can be overheard: give --tls-certificate and --tls-key, or put a proxy with TLS in front \
             and name it by --trusted-proxies"
        );
    }
    Ok(())
}

/// Runs the service on a listener until `stop` ends; then drains within the configured deadline.
///
/// # Errors
/// As [`run`].
pub async fn serve_on(
    listener: TcpListener,
    settings: impl Into<Settings>,
    loaded: Loaded,
    events: mpsc::Receiver<Event>,
    stop: impl Future<Output = ()> + Send + 'static,
) -> anyhow::Result<()> {
    let Settings { config, access } = settings.into();
    config.validate()?;
    let certificate = certificate(&config)?;
    let first = snapshot(&config, loaded, None)?;
    let state = Arc::new(AppState::new(first, config.http_limits(), config.operator()).with_access(access));
    let router = http::router(Arc::clone(&state));
    let deadline = Duration::from_secs(config.server.drain_seconds);
    let patience = patience(&config.http_limits());
    let connections = config.access.max_connections;
    tracing::info!(address = %listener.local_addr()?, tls = certificate.is_some(), "serving");
    let renewal = certificate.clone().map(|one| tokio::spawn(renew(one, config.store.poll_seconds)));
    let updates = tokio::spawn(update(Arc::clone(&state), config, events));
    let stopping = CancellationToken::new();
    let door = Door::new(listener, certificate, connections, patience).serve(router, stopping.clone());
    tokio::pin!(door, stop);
    let served = tokio::select! {
        () = &mut door => Ok(()),
        () = &mut stop => {
            state.drain();
            stopping.cancel();
            let drained = tokio::time::timeout(deadline, door).await;
            drained.map_err(|_| anyhow::anyhow!("open requests did not end within the deadline"))
        }
    };
    updates.abort();
    if let Some(renewal) = renewal {
        renewal.abort();
    }
    let ended = close(&state.snapshot(), Instant::now() + Duration::from_secs(5)).await;
    served.and(ended)
}

/// How long a connection may be silent: as long as a client may be, and longer than any answer takes.
fn patience(limits: &HttpLimits) -> Patience {
    let longest = limits.timeout.max(limits.prediction_timeout).max(limits.idle);
    Patience { silence: longest + SILENCE, untaken: limits.timeout + SILENCE }
}

/// Reads the certificate where the service was told of one.
fn certificate(config: &ServeConfig) -> anyhow::Result<Option<Arc<Certificate>>> {
    let files = config.access.tls_certificate.clone().zip(config.access.tls_key.clone());
    files.map(|(chain, key)| Certificate::load(chain, key).map(Arc::new)).transpose()
}

/// Reads the certificate again and again; one that cannot be used leaves the one before in use.
async fn renew(certificate: Arc<Certificate>, poll_seconds: u64) {
    let mut is_failing = false;
    loop {
        tokio::time::sleep(Duration::from_secs(poll_seconds)).await;
        let read = Arc::clone(&certificate);
        match tokio::task::spawn_blocking(move || read.reload()).await {
            Ok(Ok(changed)) => {
                is_failing = false;
                if changed {
                    tracing::info!("the certificate changed: new connections get the new one");
                }
            }
            Ok(Err(error)) if !std::mem::replace(&mut is_failing, true) => {
                tracing::error!(error = format!("{error:#}"), "the changed certificate cannot be used");
            }
            _ => {}
        }
    }
}

/// Applies what happens while the service runs.
async fn update(state: Arc<AppState>, config: ServeConfig, mut events: mpsc::Receiver<Event>) {
    while let Some(event) = events.recv().await {
        match event {
            Event::Store { answers } => state.note_store(answers),
            Event::Changed(loaded) => {
                let current = state.snapshot();
                let config = config.clone();
                // Building walks all genes and starts threads: not for the threads that answer requests.
                let built = tokio::task::spawn_blocking(move || snapshot(&config, loaded, Some(&current))).await;
                match built {
                    Ok(Ok(fresh)) => {
                        let old = state.replace(fresh);
                        tracing::info!("datasets or models changed: now served");
                        tokio::spawn(retire(old, Arc::clone(&state)));
                    }
                    Ok(Err(error)) => tracing::error!(error = format!("{error:#}"), "a change could not be served"),
                    Err(error) => tracing::error!(%error, "a change could not be served"),
                }
            }
        }
    }
}

/// Closes the engines that nobody uses any more, once the last request of the old snapshot has gone.
async fn retire(old: Arc<Snapshot>, state: Arc<AppState>) {
    while Arc::strong_count(&old) > 1 {
        tokio::time::sleep(RETIRE_LOOK).await;
    }
    let current = state.snapshot();
    let kept: Vec<&Arc<Engine>> = current.engines().map(|(_, _, engine)| engine).collect();
    let gone = old.engines().map(|(_, _, engine)| engine).filter(|one| !kept.iter().any(|kept| Arc::ptr_eq(one, kept)));
    for engine in gone {
        let engine = Arc::clone(engine);
        let closed = tokio::task::spawn_blocking(move || engine.close());
        let _ = closed.await;
    }
}

/// Closes every engine of the snapshot.
async fn close(snapshot: &Snapshot, deadline: Instant) -> anyhow::Result<()> {
    for (dataset, model, engine) in snapshot.engines() {
        let engine = Arc::clone(engine);
        let closed = timeout_at(deadline, tokio::task::spawn_blocking(move || engine.close())).await;
        closed.with_context(|| format!("model {model} on {dataset} did not end its work in time"))??;
    }
    Ok(())
}

/// The signals that ask the service to stop.
struct Signals {
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
}

impl Signals {
    fn new() -> anyhow::Result<Self> {
        Ok(Self {
            #[cfg(unix)]
            terminate: tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())
                .context("cannot listen to SIGTERM")?,
        })
    }

    async fn next(&mut self) {
        #[cfg(unix)]
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        }
        #[cfg(not(unix))]
        let _ = tokio::signal::ctrl_c().await;
    }
}
