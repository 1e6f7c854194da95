//! How many predictions run at one time, and how many may wait for their turn.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::problem::{Kind, Problem};

/// The gate before predictions: a run each for so many, a place in the queue for a few more, 503 for the rest.
#[derive(Debug)]
pub(crate) struct Gate {
    running: Arc<Semaphore>,
    waiting: Semaphore,
    /// How many may run, and how many may wait.
    places: (usize, usize),
    longest_wait: Duration,
}

impl Gate {
    /// Returns a gate for `running` at one time and `waiting` in the queue.
    pub(crate) fn new(running: usize, waiting: usize, longest_wait: Duration) -> Self {
        let places = (running, waiting);
        Self { running: Arc::new(Semaphore::new(running)), waiting: Semaphore::new(waiting), places, longest_wait }
    }

    /// Returns how many run.
    pub(crate) fn running(&self) -> usize {
        self.places.0.saturating_sub(self.running.available_permits())
    }

    /// Returns how many wait.
    pub(crate) fn waiting(&self) -> usize {
        self.places.1.saturating_sub(self.waiting.available_permits())
    }

    /// Waits for a turn; the permit is given back when it is dropped.
    ///
    /// # Errors
    /// The queue is full, or the turn did not come in time.
    pub(crate) async fn enter(&self) -> Result<OwnedSemaphorePermit, Problem> {
        if let Ok(permit) = Arc::clone(&self.running).try_acquire_owned() {
            return Ok(permit);
        }
        let busy = || {
            let detail =
                "as many predictions are at work and waiting as the service takes: send the request again later";
            Problem::new(Kind::Overloaded, detail)
        };
        let _place = self.waiting.try_acquire().map_err(|_| busy())?;
        let turn = tokio::time::timeout(self.longest_wait, Arc::clone(&self.running).acquire_owned()).await;
        turn.map_err(|_| busy())?.map_err(|_| busy())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_neither_runs_nor_waits_is_refused() {
        let gate = Arc::new(Gate::new(1, 1, Duration::from_millis(20)));
        let first = gate.enter().await.unwrap();
        let second = tokio::spawn({
            let gate = Arc::clone(&gate);
            async move { gate.enter().await.map(drop).map_err(|problem| problem.kind()) }
        });
        tokio::task::yield_now().await;
        assert_eq!(gate.enter().await.unwrap_err().kind(), Kind::Overloaded);
        assert_eq!((gate.running(), gate.waiting()), (1, 1));
        // The turn of the one that waits does not come in time.
        assert_eq!(second.await.unwrap(), Err(Kind::Overloaded));
        drop(first);
        assert_eq!((gate.running(), gate.waiting()), (0, 0));
        assert!(gate.enter().await.is_ok());
    }
}
