//! The flag that names the database, the same for every command.

use anyhow::Context;
use clap::Args;

use crate::store::Store;

/// Where the store is.
#[derive(Debug, Clone, Args)]
pub struct DatabaseArgs {
    /// The store: `postgres://USER@HOST/DATABASE` or `sqlite://FILE` (made where it is missing)
    // The environment's value may have a password in it, which the help would show.
    #[arg(
        long,
        env = "TISSUECAST_DATABASE_URL",
        hide_env_values = true,
        value_name = "URL",
        default_value = "sqlite://tissuecast-data/tissuecast.sqlite"
    )]
    pub database_url: String,
}

impl DatabaseArgs {
    /// Opens the store, whatever its schema.
    ///
    /// # Errors
    /// The address is malformed or the database cannot be reached.
    pub async fn open(&self) -> anyhow::Result<Store> {
        Store::open(&self.database_url).await.context("cannot use the database of --database-url")
    }
}
