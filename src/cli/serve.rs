//! `tissuecast serve`: runs the service.

use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::config::{ConfigError, ServeConfig};
use crate::model::ModelError;
use crate::model::registry;
use crate::serve::access::KeyKeeper;
use crate::serve::data::{Background, DataSource};
use crate::serve::{self, Settings};
use crate::store::Store;
use crate::telemetry;

/// Answers over HTTP from the store and the models
#[derive(Debug, Args)]
pub struct Serve {
    #[command(flatten)]
    config: ServeConfig,
}

impl Serve {
    /// Returns what telemetry is started with.
    ///
    /// # Errors
    /// The configuration cannot work.
    pub fn telemetry(&self) -> Result<telemetry::Settings, ConfigError> {
        self.config.validate()?;
        Ok(self.config.telemetry.settings())
    }

    /// Runs the service until it is told to stop.
    ///
    /// # Errors
    /// The configuration cannot work, the store or the models cannot be read, or the address is taken.
    pub async fn run(self) -> anyhow::Result<()> {
        run(self.config, |_| {}).await
    }
}

/// Opens the store. Predictions from genotypes need none: where a genotype model is there and no SQLite file, an empty
/// store is made.
async fn open_store(config: &ServeConfig) -> anyhow::Result<Store> {
    let predicts = || {
        let folders = registry::list(&config.store.models_dir)?;
        Ok::<_, ModelError>(folders.iter().any(|folder| matches!(registry::genotype_card(&folder.path), Ok(Some(_)))))
    };
    let database = &config.store.database;
    if !database.is_missing_file() || !predicts()? {
        return database.open_existing().await;
    }
    let store = database.open().await?;
    store.migrate().await?;
    tracing::info!("there was no store: an empty one was made, since genotype models need no dataset");
    Ok(store)
}

/// Runs the service and calls `ready` with the address once it listens.
///
/// # Errors
/// As [`Serve::run`].
pub async fn run(config: ServeConfig, ready: impl FnOnce(std::net::SocketAddr)) -> anyhow::Result<()> {
    config.validate()?;
    // From here on SIGHUP does not end the process; what it asks for is being done anyway.
    #[cfg(unix)]
    let _survives_hang_ups = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup())?;
    let store = open_store(&config).await?;
    let settings = Settings::from(config.clone());
    store.require_current_schema().await?;
    let keys = KeyKeeper::open(Arc::new(store.clone()), &config.access, Arc::clone(&settings.access)).await?;
    let (models_dir, keep) = (config.store.models_dir.clone(), config.store.keep_versions);
    let (mut source, saving) = DataSource::open(store, models_dir, keep).await?;
    let loaded = source.load().await?;
    if loaded.references.is_empty() && loaded.expression_models.is_empty() {
        tracing::warn!("the store has no dataset yet: 'tissuecast ingest' brings one in");
    }
    let (sender, events) = mpsc::channel(4);
    let every = Duration::from_secs(config.store.poll_seconds);
    let background = Background::new(saving, source.watch(every, sender));
    let stop = CancellationToken::new();
    let keeping = keys.clone().watch(every, settings.hang_up.subscribe(), stop.clone());
    let ended = serve::run(settings, loaded, events, ready).await;
    stop.cancel();
    let keys_end = async {
        // Whether it ended well is not the question any more.
        let _ = keeping.await;
        keys.end().await;
    };
    tokio::join!(keys_end, background.end());
    ended
}
