//! The bounded intake of an engine: space is counted in rows and taken at once or refused.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::{EngineError, Output};
use crate::model::Target;

/// Where an answer goes.
pub(crate) type Reply = oneshot::Sender<Result<Output, EngineError>>;

/// One accepted request.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) targets: Vec<Target>,
    pub(crate) reply: Reply,
    pub(crate) arrived: Instant,
    /// Holds the request's rows in the queue until the worker takes it.
    pub(crate) space: OwnedSemaphorePermit,
}

/// The side that requests go in by.
#[derive(Debug)]
pub(crate) struct Intake {
    space: Arc<Semaphore>,
    rows: u32,
    /// `None` once closed: dropping the sender is what ends the worker.
    sender: Mutex<Option<UnboundedSender<Job>>>,
}

/// Makes a queue for this many rows.
pub(crate) fn bounded(rows: usize) -> (Intake, UnboundedReceiver<Job>) {
    let rows = u32::try_from(rows.min(Semaphore::MAX_PERMITS)).unwrap_or(u32::MAX >> 4);
    // The channel itself is unbounded: the semaphore is what bounds it, in rows instead of messages.
    let (sender, receiver) = mpsc::unbounded_channel();
    (Intake { space: Arc::new(Semaphore::new(rows as usize)), rows, sender: Mutex::new(Some(sender)) }, receiver)
}

impl Intake {
    /// Takes space for the targets and queues them, or refuses at once.
    pub(crate) fn push(&self, targets: Vec<Target>, reply: Reply) -> Result<(), EngineError> {
        let sender = self.sender.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let sender = sender.ok_or(EngineError::Unavailable)?;
        if sender.is_closed() {
            return Err(EngineError::Unavailable);
        }
        let wanted = u32::try_from(targets.len()).unwrap_or(u32::MAX).clamp(1, self.rows);
        let space = Arc::clone(&self.space).try_acquire_many_owned(wanted).map_err(|_| EngineError::Overloaded)?;
        let job = Job { targets, reply, arrived: Instant::now(), space };
        sender.send(job).map_err(|_| EngineError::Unavailable)
    }

    /// Returns how many rows wait.
    pub(crate) fn queued_rows(&self) -> usize {
        (self.rows as usize).saturating_sub(self.space.available_permits())
    }

    /// Takes no more; what is queued stays queued.
    pub(crate) fn close(&self) {
        self.sender.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}
