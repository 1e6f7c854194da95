//! The thread that owns a model: gathers what has arrived, predicts, answers.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use tokio::sync::mpsc::UnboundedReceiver;

use super::queue::{Job, Reply};
use super::{EngineError, Health, Meters, Output};
use crate::model::{ModelError, Prediction, ProfileModel, Target};
use crate::reference::Reference;

/// What the thread owns.
pub(crate) struct Worker {
    pub(crate) model: Arc<dyn ProfileModel>,
    pub(crate) reference: Arc<Reference>,
    pub(crate) batch_rows: usize,
    pub(crate) health: Arc<Health>,
    pub(crate) meters: Arc<OnceLock<Meters>>,
}

/// A request that left the queue, with how long it waited.
struct Started {
    rows: usize,
    reply: Reply,
    queued: Duration,
}

impl Worker {
    /// Works until the queue is closed and empty.
    pub(crate) fn run(self, mut queue: UnboundedReceiver<Job>) {
        let mut held_over = None;
        while let Some(first) = held_over.take().or_else(|| queue.blocking_recv()) {
            let mut rows = first.targets.len();
            let mut batch = vec![first];
            while rows < self.batch_rows
                && let Ok(next) = queue.try_recv()
            {
                if rows + next.targets.len() > self.batch_rows {
                    held_over = Some(next);
                    break;
                }
                rows += next.targets.len();
                batch.push(next);
            }
            self.answer(batch);
        }
    }

    /// Answers a batch; one that fails as a whole is asked again request by request, so that only the request that
    /// is to blame fails.
    fn answer(&self, batch: Vec<Job>) {
        let mut targets = Vec::new();
        let mut started = Vec::with_capacity(batch.len());
        for job in batch {
            drop(job.space);
            if job.reply.is_closed() {
                continue;
            }
            let queued = job.arrived.elapsed();
            if let Some(meters) = self.meters.get() {
                meters.queue_seconds.observe(queued.as_secs_f64());
            }
            started.push(Started { rows: job.targets.len(), reply: job.reply, queued });
            targets.extend(job.targets);
        }
        if started.len() < 2 {
            if let Some(only) = started.pop() {
                self.answer_one(only, &targets);
            }
            return;
        }
        let clock = Instant::now();
        if let Ok(predictions) = self.predict(&targets) {
            let computed = clock.elapsed();
            let mut rest = predictions.into_iter();
            for one in started {
                let predictions = rest.by_ref().take(one.rows).collect();
                // A client that has gone meanwhile is no failure.
                let _ = one.reply.send(Ok(Output { predictions, queued: one.queued, computed }));
            }
            return;
        }
        let mut from = 0;
        for one in started {
            let rows = from..from + one.rows;
            from = rows.end;
            self.answer_one(one, &targets[rows]);
        }
    }

    fn answer_one(&self, one: Started, targets: &[Target]) {
        let clock = Instant::now();
        let mut predictions = Vec::with_capacity(targets.len());
        for slice in targets.chunks(self.batch_rows) {
            if one.reply.is_closed() {
                return;
            }
            match self.predict(slice) {
                Ok(some) => predictions.extend(some),
                Err(error) => {
                    // A target without neighbours says nothing about the model's health.
                    if !matches!(error, EngineError::Failed(ModelError::NoReferenceGene)) {
                        self.health.failed();
                    }
                    let _ = one.reply.send(Err(error));
                    return;
                }
            }
        }
        let _ = one.reply.send(Ok(Output { predictions, queued: one.queued, computed: clock.elapsed() }));
    }

    fn predict(&self, targets: &[Target]) -> Result<Vec<Prediction>, EngineError> {
        // The model is only read, so a panic leaves nothing half done behind.
        let call = AssertUnwindSafe(|| self.model.predict(&self.reference, targets));
        let clock = Instant::now();
        let ended = catch_unwind(call);
        if let Some(meters) = self.meters.get() {
            meters.batch_rows.observe(targets.len() as f64);
            meters.compute_seconds.observe(clock.elapsed().as_secs_f64());
        }
        let predictions = ended.map_err(|_| EngineError::Panicked)?.map_err(EngineError::Failed)?;
        if predictions.len() != targets.len() {
            return Err(EngineError::Count { got: predictions.len(), wanted: targets.len() });
        }
        if predictions.iter().any(|one| one.values.iter().any(|value| !value.is_finite())) {
            return Err(EngineError::Failed(ModelError::NotFinite));
        }
        self.health.succeeded();
        Ok(predictions)
    }
}
