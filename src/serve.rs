//! The composition root: references and models → engines → snapshot → router → listener, and how it all stops.
//!
//! The database is wired at one place: whoever keeps it hands over a [`Loaded`], sends an [`Event`] for every change,
//! and listens to the other end of [`Loaded::saver`]. Nothing below this module knows that there is one.

mod assemble;
mod connection;
pub mod data;
pub mod library;

use std::collections::BTreeMap;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout_at};

use connection::ImpatientListener;

use crate::config::ServeConfig;
use crate::genome::GeneId;
use crate::http;
use crate::http::admin::{Refusal, Reloader, reload};
use crate::http::state::{AppState, Saver, Snapshot};
use crate::model::expression::ServedGenotypeModel;
use crate::model::served::ServedModel;
use crate::model::shelf::Shelf;
use crate::reference::Reference;
pub use assemble::{by_preference, saved, snapshot};
use library::Looked;

/// How often a swapped-out snapshot is looked at until its last request has gone.
const RETIRE_LOOK: Duration = Duration::from_millis(100);

/// How long a connection may be silent, on top of the longest request, before it is closed.
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

/// Runs the service until it is told to stop by SIGTERM or SIGINT; calls `ready` with the address that it listens on.
///
/// # Errors
/// The configuration cannot work, the address is taken, or the service was stopped before its requests had ended.
pub async fn run(
    config: ServeConfig,
    loaded: Loaded,
    events: mpsc::Receiver<Event>,
    ready: impl FnOnce(SocketAddr),
) -> anyhow::Result<()> {
    let listen = config.server.listen;
    let listener = TcpListener::bind(listen).await.with_context(|| format!("cannot listen on {listen}"))?;
    ready(listener.local_addr()?);
    let mut signals = Signals::new()?;
    let reloader = loaded.reloader.clone();
    let (stop, stopped) = oneshot::channel::<()>();
    let service = serve_on(listener, config, loaded, events, async {
        // A sender that is gone would mean that the task below has ended: stop then, too.
        let _ = stopped.await;
    });
    tokio::pin!(service);
    loop {
        tokio::select! {
            ended = &mut service => return ended,
            signal = signals.next() => match signal {
                Signal::Stop => break,
                Signal::HangUp => drop(tokio::spawn(reload_all(reloader.clone()))),
            },
        }
    }
    tracing::info!("asked to stop: open requests are answered, new ones are not taken");
    let _ = stop.send(());
    tokio::select! {
        ended = &mut service => ended,
        () = signals.stop() => anyhow::bail!("stopped by a second signal before all requests had ended"),
    }
}

/// Runs the service on a listener until `stop` ends; then drains within the configured deadline.
///
/// # Errors
/// As [`run`].
pub async fn serve_on(
    listener: TcpListener,
    config: ServeConfig,
    loaded: Loaded,
    events: mpsc::Receiver<Event>,
    stop: impl Future<Output = ()> + Send + 'static,
) -> anyhow::Result<()> {
    config.validate()?;
    let reloader = loaded.reloader.clone();
    let first = snapshot(&config, loaded, None)?;
    let state = Arc::new(AppState::new(first, config.http_limits(), config.operator()).with_reloader(reloader));
    let router = http::router(Arc::clone(&state));
    let deadline = Duration::from_secs(config.server.drain_seconds);
    let silence = config.http_limits().timeout + SILENCE;
    tracing::info!(address = %listener.local_addr()?, "serving");
    let updates = tokio::spawn(update(Arc::clone(&state), config, events));
    let (draining, drain_started) = oneshot::channel::<Instant>();
    let marked = Arc::clone(&state);
    let listener = ImpatientListener::new(listener, silence);
    let server = axum::serve(listener, router).with_graceful_shutdown(async move {
        stop.await;
        marked.drain();
        let _ = draining.send(Instant::now());
    });
    let deadline = async {
        let from = drain_started.await.unwrap_or_else(|_| Instant::now());
        tokio::time::sleep_until(from + deadline).await;
        from + deadline
    };
    let served = tokio::select! {
        served = server => served.context("the listener failed"),
        _ = deadline => Err(anyhow::anyhow!("open requests did not end within the deadline")),
    };
    updates.abort();
    let ended = close(&state.snapshot(), Instant::now() + Duration::from_secs(5)).await;
    served.and(ended)
}

/// Applies what happens while the service runs.
async fn update(state: Arc<AppState>, config: ServeConfig, mut events: mpsc::Receiver<Event>) {
    while let Some(event) = events.recv().await {
        match event {
            Event::Store { answers } => state.note_store(answers),
            Event::Looked(looked) => state.note_refused(looked.refused),
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
                    Ok(Err(error)) => tracing::error!(error = format!("{error:#}"), "a change could not be served"),
                    Err(error) => tracing::error!(%error, "a change could not be served"),
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

/// Reloads whatever can be reloaded while the service runs.
async fn reload_all(reloader: Option<Reloader>) {
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
