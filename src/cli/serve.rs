//! `tissuecast serve`: runs the service.

use clap::Args;
use tokio::sync::mpsc;

use crate::config::ServeConfig;
use crate::serve::{self, Event, Loaded};
use crate::telemetry;

/// Serve tissue profiles over HTTP
#[derive(Debug, Args)]
pub struct Serve {
    #[command(flatten)]
    config: ServeConfig,
}

impl Serve {
    /// Runs the service until it is told to stop.
    ///
    /// # Errors
    /// The configuration cannot work, the store or the models cannot be read, or the address is taken.
    pub fn run(self) -> anyhow::Result<()> {
        telemetry::start();
        self.config.validate()?;
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        runtime.block_on(async {
            // The seam: the store's datasets, saved profiles, saver and change events enter here.
            let (_store, events) = mpsc::channel::<Event>(4);
            serve::run(self.config, Loaded::default(), events).await
        })
    }
}
