//! The keys that are in force: read from the store or a file, again and again, and what they use written back.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::next_signal;

use crate::access::file;
use crate::access::quota::day_of;
use crate::access::record::KeyRecord;
use crate::access::ring::{KeyDefaults, KeyRing};
use crate::config::{AccessConfig, KeySource};
use crate::http::auth::Access;
use crate::store::Store;

/// How long the store may take to answer.
const STORE_ANSWER: Duration = Duration::from_secs(5);

/// Why a store that takes longer is given up.
const LATE: &str = "the store does not answer in time";

/// Keeps the keys of a service in step with where they are written down.
#[derive(Debug, Clone)]
pub struct KeyKeeper {
    store: Arc<Store>,
    source: KeySource,
    defaults: KeyDefaults,
    access: Arc<Access>,
}

impl KeyKeeper {
    /// Reads the keys for the first time.
    ///
    /// # Errors
    /// The store or the file cannot be read.
    pub async fn open(store: Arc<Store>, config: &AccessConfig, access: Arc<Access>) -> anyhow::Result<Self> {
        let keeper = Self { store, source: config.keys.keys.clone(), defaults: config.key_defaults(), access };
        keeper.refresh().await?;
        // What was used before a restart counts.
        keeper.settle().await?;
        Ok(keeper)
    }

    /// Reads the keys again.
    ///
    /// # Errors
    /// The store or the file cannot be read: the keys that are in force stay so.
    pub async fn refresh(&self) -> anyhow::Result<()> {
        let records = self.records().await.context("cannot read the API keys")?;
        let before = self.access.ring();
        self.access.replace(KeyRing::new(records, self.defaults, Some(&before)));
        Ok(())
    }

    async fn records(&self) -> anyhow::Result<Vec<KeyRecord>> {
        Ok(match &self.source {
            KeySource::Store => timeout(STORE_ANSWER, self.store.keys()).await.context(LATE)??,
            KeySource::File(path) => {
                let path = path.clone();
                tokio::task::spawn_blocking(move || file::read(&path)).await??
            }
        })
    }

    /// Writes down what the keys have used, and takes what other services on the same store have.
    async fn settle(&self) -> anyhow::Result<()> {
        let (ring, now) = (self.access.ring(), self.access.now());
        let mut is_limited = false;
        for holder in ring.holders().filter(|holder| holder.samples_per_day.is_some()) {
            is_limited = true;
            let Some(unsaved) = holder.samples.take_unsaved(now) else { continue };
            let added = timeout(STORE_ANSWER, self.store.add_use(holder.record.sha256, unsaved)).await;
            if let Err(error) = added.context(LATE).and_then(|added| Ok(added?)) {
                holder.samples.put_back(unsaved, now);
                return Err(error);
            }
        }
        if is_limited {
            let day = day_of(now);
            for (digest, samples) in timeout(STORE_ANSWER, self.store.uses_of(day)).await.context(LATE)?? {
                if let Some(holder) = ring.holders().find(|holder| holder.record.sha256 == digest) {
                    holder.samples.learn(day, samples, now);
                }
            }
        }
        Ok(())
    }

    /// Looks for changed keys again and again, and on every SIGHUP, until `stop`; a store or a file that is away changes
    /// nothing. What is being written down when it stops is written to its end.
    #[must_use]
    pub fn watch(self, every: Duration, mut hang_up: watch::Receiver<u64>, stop: CancellationToken) -> JoinHandle<()> {
        tokio::spawn(async move {
            let mut is_failing = false;
            loop {
                tokio::select! {
                    () = stop.cancelled() => return,
                    // Either is a reason to look.
                    _ = timeout(every, next_signal(&mut hang_up)) => {}
                }
                // First, and whatever comes of the rest: a key that was revoked in a file has to end also while the store
                // is away.
                let (refreshed, settled) = (self.refresh().await, self.settle().await);
                match refreshed.and(settled) {
                    Ok(()) => is_failing = false,
                    Err(error) if !std::mem::replace(&mut is_failing, true) => {
                        tracing::error!(error = format!("{error:#}"), "the API keys cannot be kept in step");
                    }
                    Err(_) => {}
                }
            }
        })
    }

    /// Writes down what was used since the last look, at the end of the service.
    pub async fn end(&self) {
        if let Err(error) = self.settle().await {
            tracing::warn!(error = format!("{error:#}"), "what the keys have used last was not saved");
        }
    }
}
