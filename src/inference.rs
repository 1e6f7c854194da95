//! The engine: one thread that owns a model, behind a bounded queue.
//!
//! [`Engine::submit`] takes queue space by rows, at once or not at all; the worker takes what has arrived, in order, up
//! to a row budget, so that a batch grows while the one before it runs and nothing ever waits for a timer. Knows the
//! model's trait only: imports `model` and `reference`, no layer above it. Invariant: every accepted request
//! is answered exactly once, or was abandoned by its own client.

pub mod queue;
pub mod worker;

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use prometheus_client::metrics::histogram::Histogram;
use tokio::sync::oneshot;

use crate::model::{ModelError, Prediction, ProfileModel, Target};
use crate::reference::Reference;

use queue::Intake;

/// Failures in a row after which an engine calls itself unfit.
const FAILURES_IN_A_ROW: u32 = 3;

/// How much an engine takes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Rows, one a target, that may wait; past them a request is refused at once.
    pub queue_rows: usize,
    /// Rows that one call of the model gets at most.
    pub batch_rows: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { queue_rows: 4096, batch_rows: 256 }
    }
}

/// What an engine gives back for a request.
#[derive(Debug)]
pub struct Output {
    /// One prediction a target, in order.
    pub predictions: Vec<Prediction>,
    /// How long the request waited for the model.
    pub queued: Duration,
    /// How long the model worked on the batch that the request was part of.
    pub computed: Duration,
}

/// Why an engine gave no predictions.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The queue has no room for the request's rows.
    #[error("the model's queue is full")]
    Overloaded,
    /// The worker has stopped.
    #[error("the model's worker has stopped")]
    Unavailable,
    /// The model panicked.
    #[error("the model panicked")]
    Panicked,
    /// The model gave another number of predictions than it was given targets.
    #[error("the model gave {got} predictions for {wanted} targets")]
    Count {
        /// How many it gave.
        got: usize,
        /// How many were asked.
        wanted: usize,
    },
    /// The model refused or failed.
    #[error("the model failed")]
    Failed(#[source] ModelError),
}

/// What an engine's worker counts into: shared by all engines of a model.
#[derive(Debug, Clone)]
pub struct Meters {
    /// Rows of each call of the model.
    pub batch_rows: Histogram,
    /// How long each request waited.
    pub queue_seconds: Histogram,
    /// How long each call of the model took.
    pub compute_seconds: Histogram,
}

/// An engine's state of health, shared with its worker.
#[derive(Debug, Default)]
pub(crate) struct Health {
    failures: AtomicU32,
}

impl Health {
    pub(crate) fn succeeded(&self) {
        self.failures.store(0, Ordering::Relaxed);
    }

    pub(crate) fn failed(&self) {
        let before = self.failures.load(Ordering::Relaxed);
        self.failures.store(before.saturating_add(1), Ordering::Relaxed);
    }
}

/// A request that the engine has accepted.
#[derive(Debug)]
#[must_use = "a request that nobody waits for is skipped"]
pub struct Pending {
    reply: oneshot::Receiver<Result<Output, EngineError>>,
}

impl Pending {
    /// Waits for the predictions; dropping the future abandons the request.
    ///
    /// # Errors
    /// The model failed, or its worker stopped before it came to the request.
    pub async fn wait(self) -> Result<Output, EngineError> {
        self.reply.await.unwrap_or(Err(EngineError::Unavailable))
    }
}

/// The handle of one model's worker.
#[derive(Debug)]
pub struct Engine {
    intake: Intake,
    health: Arc<Health>,
    reference: Arc<Reference>,
    meters: Arc<OnceLock<Meters>>,
    worker: Mutex<Option<JoinHandle<()>>>,
}

impl Engine {
    /// Starts the thread that owns the model and the reference whose tissues are the model's.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start(
        name: &str,
        model: Arc<dyn ProfileModel>,
        reference: Arc<Reference>,
        limits: Limits,
    ) -> std::io::Result<Self> {
        let (intake, queue) = queue::bounded(limits.queue_rows.max(1));
        let health = Arc::new(Health::default());
        let meters: Arc<OnceLock<Meters>> = Arc::default();
        let worker = worker::Worker {
            model,
            reference: Arc::clone(&reference),
            batch_rows: limits.batch_rows.max(1),
            health: Arc::clone(&health),
            meters: Arc::clone(&meters),
        };
        let thread = std::thread::Builder::new().name(format!("engine-{name}")).spawn(move || worker.run(queue))?;
        Ok(Self { intake, health, reference, meters, worker: Mutex::new(Some(thread)) })
    }

    /// Returns the reference that the model reads.
    #[must_use]
    pub fn reference(&self) -> &Arc<Reference> {
        &self.reference
    }

    /// Tells the worker what to count into; the first time counts, so that an engine which outlives a reload goes on
    /// where it was.
    pub fn count_into(&self, meters: Meters) {
        let _ = self.meters.set(meters);
    }

    /// Returns how many rows wait for the model.
    #[must_use]
    pub fn queued_rows(&self) -> usize {
        self.intake.queued_rows()
    }

    /// Queues targets; refuses at once where their rows do not fit.
    ///
    /// More rows than the whole queue holds are taken when nothing else waits.
    ///
    /// # Errors
    /// The queue is full or the worker has stopped.
    pub fn submit(&self, targets: Vec<Target>) -> Result<Pending, EngineError> {
        let (sender, reply) = oneshot::channel();
        self.intake.push(targets, sender)?;
        Ok(Pending { reply })
    }

    /// Queues targets and waits for their predictions.
    ///
    /// # Errors
    /// As [`Self::submit`] and [`Pending::wait`].
    pub async fn predict(&self, targets: Vec<Target>) -> Result<Output, EngineError> {
        self.submit(targets)?.wait().await
    }

    /// Returns whether the worker lives and its last calls did not all fail.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        let alive = {
            let worker = self.worker.lock().unwrap_or_else(PoisonError::into_inner);
            worker.as_ref().is_some_and(|thread| !thread.is_finished())
        };
        alive && self.health.failures.load(Ordering::Relaxed) < FAILURES_IN_A_ROW
    }

    /// Takes no more requests, answers those that were accepted, and joins the worker.
    ///
    /// Blocks: call it from a thread that may.
    pub fn close(&self) {
        self.intake.close();
        let thread = self.worker.lock().unwrap_or_else(PoisonError::into_inner).take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("an engine's worker ended in a panic");
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // Only closes: joining could block the thread that drops the last handle, which may be an async one.
        self.intake.close();
    }
}
