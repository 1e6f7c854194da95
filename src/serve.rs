//! The composition root: references and models → engines → snapshot → router → listener, and how it all stops.
//!
//! The database is wired at one place: whoever keeps it hands over a [`Loaded`], sends an [`Event`] for every change,
//! and listens to the other end of [`Loaded::saver`]. Nothing below this module knows that there is one.

pub mod access;
mod assemble;
mod connection;
pub mod data;
mod internal;
pub mod library;
mod listener;
mod tls;

use std::collections::BTreeMap;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use connection::Patience;
use listener::Door;
use tls::Certificate;

use crate::access::Seconds;
use crate::config::ServeConfig;
use crate::genome::GeneId;
use crate::http;
use crate::http::admin::{Refusal, Reloader, reload};
use crate::http::auth::Access;
use crate::http::state::{AppState, HttpLimits, Saver, Snapshot};
use crate::model::expression::ServedGenotypeModel;
use crate::model::served::ServedModel;
use crate::model::shelf::Shelf;
use crate::reference::Reference;
use crate::telemetry::metrics::Reload;
pub use assemble::{by_preference, saved, snapshot};
use library::Looked;

/// How often a swapped-out snapshot is looked at until its last request has gone.
const RETIRE_LOOK: Duration = Duration::from_millis(100);

/// How long a connection may be silent on top of what its requests may take.
const SILENCE: Duration = Duration::from_secs(15);

/// What the service is built from.
#[derive(Debug, Default)]
pub struct Loaded {
    /// The datasets.
    pub references: Vec<Arc<Reference>>,
    /// The models.
    pub models: Shelf<Arc<ServedModel>>,
    /// The models of expression from genotypes.
    pub expression_models: Shelf<Arc<ServedGenotypeModel>>,
    /// Profiles that were imputed before, as JSON, by dataset version and [`ServedModel::imputation_key`]; those of a
    /// dataset and a model that are served already need not be among them.
    pub imputed: BTreeMap<(String, String), Vec<(GeneId, String)>>,
    /// Where newly imputed profiles go to be saved.
    pub saver: Option<Saver>,
    /// Who looks at the folder of models when somebody asks.
    pub reloader: Option<Reloader>,
    /// Who is told once all this is served, with the models whose first prediction failed; dropped where it cannot be.
    pub served: Option<oneshot::Sender<Vec<Refusal>>>,
}

/// What happens while the service runs.
#[derive(Debug)]
pub enum Event {
    /// Datasets or models changed: here is all that is to be served from now on.
    Changed(Loaded),
    /// Somebody had the folder of models looked at, or a look has found something new in it.
    Looked(Looked),
    /// The database was asked whether it lives: it answered, or not.
    Store {
        /// Whether it answered.
        answers: bool,
    },
}

/// What the service was told, and who may come in.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What it was told.
    pub config: ServeConfig,
    /// Who may come in: everybody, until keys are put into it.
    pub access: Arc<Access>,
    /// Counts SIGHUPs, for whoever keeps something that can be read again.
    pub hang_up: Arc<watch::Sender<u64>>,
}

impl From<ServeConfig> for Settings {
    fn from(config: ServeConfig) -> Self {
        let told = &config.access;
        let rate = told.key_defaults().requests_per_minute;
        let access = Access::new(rate, told.trusted_proxies.clone(), told.cors_origins.clone(), now);
        Self { config, access: Arc::new(access), hang_up: Arc::default() }
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
    let (reloader, hang_up) = (loaded.reloader.clone(), Arc::clone(&settings.hang_up));
    let stop = CancellationToken::new();
    let stopped = stop.clone();
    let service = serve_on(listener, settings, loaded, events, async move { stopped.cancelled().await });
    tokio::pin!(service);
    loop {
        tokio::select! {
            ended = &mut service => return ended,
            signal = signals.next() => match signal {
                Signal::Stop => break,
                Signal::HangUp => {
                    hang_up.send_modify(|count| *count += 1);
                    drop(tokio::spawn(reload_models(reloader.clone())));
                }
            },
        }
    }
    tracing::info!("asked to stop: open requests are answered, new ones are not taken");
    stop.cancel();
    tokio::select! {
        ended = &mut service => ended,
        () = signals.stop() => anyhow::bail!("stopped by a second signal before all requests had ended"),
    }
}

/// Refuses to stand open to other machines, and warns where keys can be overheard.
fn guard(Settings { config, access, .. }: &Settings) -> anyhow::Result<()> {
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
    let Settings { config, access, hang_up } = settings.into();
    config.validate()?;
    let certificate = certificate(&config)?;
    let reloader = loaded.reloader.clone();
    let first = snapshot(&config, loaded, None)?;
    let state = AppState::new(first, config.http_limits(), config.operator());
    let state = Arc::new(state.with_access(access).with_reloader(reloader));
    let router = http::router(Arc::clone(&state));
    let deadline = Duration::from_secs(config.server.drain_seconds);
    let patience = patience(&config.http_limits());
    let connections = config.access.max_connections;
    let internal = internal::start(&config.telemetry, &state, patience).await?;
    log_settings(&config);
    tracing::info!(address = %listener.local_addr()?, tls = certificate.is_some(), "serving");
    let renewal =
        certificate.clone().map(|one| tokio::spawn(one.watch(config.store.poll_seconds, hang_up.subscribe())));
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
    // Up to here, so that what watches the service sees it draining.
    drop(internal);
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

/// Says what the service was started with; the store's address is left out, since it may have a password in it.
fn log_settings(config: &ServeConfig) {
    let (limits, genotypes) = (&config.limits, &config.limits.genotypes);
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        models_dir = %config.store.models_dir.display(),
        drain_seconds = config.server.drain_seconds,
        max_in_flight = limits.max_in_flight,
        request_timeout_seconds = limits.request_timeout_seconds,
        predictions = config.http_limits().predictions,
        waiting_predictions = genotypes.waiting_predictions,
        prediction_timeout_seconds = genotypes.prediction_timeout_seconds,
        max_samples = genotypes.max_samples,
        audit_log = config.telemetry.audit_log.as_ref().map(|path| path.display().to_string()),
        otlp_endpoint = config.telemetry.otlp_endpoint,
        "settings"
    );
}

/// Applies what happens while the service runs.
async fn update(state: Arc<AppState>, config: ServeConfig, mut events: mpsc::Receiver<Event>) {
    while let Some(event) = events.recv().await {
        match event {
            Event::Store { answers } => state.note_store(answers),
            Event::Looked(looked) => {
                state.metrics.reloaded(match &looked {
                    looked if !looked.refused.is_empty() => Reload::Refused,
                    looked if looked.has_changes() => Reload::Changed,
                    _ => Reload::Unchanged,
                });
                state.note_refused(looked.refused);
            }
            Event::Changed(mut loaded) => {
                let served = loaded.served.take();
                let current = state.snapshot();
                let config = config.clone();
                // Building walks all genes and starts threads: not for the threads that answer requests.
                let built = tokio::task::spawn_blocking(move || snapshot(&config, loaded, Some(&current))).await;
                match built {
                    Ok(Ok(fresh)) => {
                        let refused = fresh.refused.clone();
                        let old = state.replace(fresh);
                        tracing::info!("datasets or models changed: now served");
                        tokio::spawn(retire(old));
                        // Whoever asked may have gone.
                        let _ = served.map(|served| served.send(refused));
                    }
                    Ok(Err(error)) => {
                        state.metrics.reloaded(Reload::Refused);
                        tracing::error!(error = format!("{error:#}"), "a change could not be served");
                    }
                    Err(error) => {
                        state.metrics.reloaded(Reload::Refused);
                        tracing::error!(%error, "a change could not be served");
                    }
                }
            }
        }
    }
}

/// Closes the engines that nobody uses any more, once the last request of the old snapshot has gone.
async fn retire(mut old: Arc<Snapshot>) {
    let completions = loop {
        match Arc::try_unwrap(old) {
            Ok(old) => break old.into_completions(),
            Err(shared) => old = shared,
        }
        tokio::time::sleep(RETIRE_LOOK).await;
    };
    // One that another snapshot has, too, is closed by whoever lets go of it last.
    for completion in completions.into_iter().filter_map(Arc::into_inner) {
        let closed = tokio::task::spawn_blocking(move || completion.engine.close());
        let _ = closed.await;
    }
}

/// Waits for the next SIGHUP, one that came since the last wait included.
async fn next_signal(hang_up: &mut watch::Receiver<u64>) {
    if hang_up.changed().await.is_err() {
        // Nobody is left who could send one.
        std::future::pending::<()>().await;
    }
}

/// Has every folder of models looked at.
async fn reload_models(reloader: Option<Reloader>) {
    if let Some(reloader) = &reloader {
        // What comes of it is logged where it is done.
        let _ = reload(reloader).await;
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

/// What a signal asks for.
enum Signal {
    /// SIGTERM or SIGINT.
    Stop,
    /// SIGHUP.
    HangUp,
}

/// The signals that ask the service to stop or to reload.
struct Signals {
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
    #[cfg(unix)]
    hang_up: tokio::signal::unix::Signal,
}

impl Signals {
    fn new() -> anyhow::Result<Self> {
        #[cfg(unix)]
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            #[cfg(unix)]
            terminate: signal(SignalKind::terminate()).context("cannot listen to SIGTERM")?,
            #[cfg(unix)]
            hang_up: signal(SignalKind::hangup()).context("cannot listen to SIGHUP")?,
        })
    }

    async fn next(&mut self) -> Signal {
        #[cfg(unix)]
        tokio::select! {
            _ = self.terminate.recv() => Signal::Stop,
            _ = tokio::signal::ctrl_c() => Signal::Stop,
            _ = self.hang_up.recv() => Signal::HangUp,
        }
        #[cfg(not(unix))]
        {
            let _ = tokio::signal::ctrl_c().await;
            Signal::Stop
        }
    }

    /// Waits until somebody asks to stop.
    async fn stop(&mut self) {
        while let Signal::HangUp = self.next().await {}
    }
}
