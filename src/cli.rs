//! The command line: one binary, one module a command.
//!
//! Every flag can also be given as an environment variable, `TISSUECAST_` and the flag's name in capitals.

pub mod cohort;
pub mod complete;
pub mod demo;
pub mod evaluate;
pub mod health;
pub mod ingest;
pub mod keys;
pub mod migrate;
pub mod models;
pub mod openapi;
pub mod predict;
pub mod progress;
pub mod serve;
pub mod train;

use std::time::Duration;

use clap::{Parser, Subcommand};

use crate::telemetry::{self, Settings};

/// Expression predicted from genotypes, and tissue profiles of genes: measured, or imputed where they are missing.
#[derive(Debug, Parser)]
#[command(name = "tissuecast", version, about, max_term_width = 120)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Answers over HTTP from the store and the models.
    Serve(Box<serve::Serve>),
    /// Simulates a small genome, ingests it into a fresh SQLite file, and serves it: needs no data and no network.
    Demo(demo::Demo),
    /// Brings the store's schema up to date.
    Migrate(migrate::MigrateArgs),
    /// Reads an expression table, an annotation and promoters into the store.
    Ingest(Box<ingest::IngestArgs>),
    /// Trains a model: of tissue profiles on a dataset of the store, or of expression on genotypes.
    Train(train::Train),
    /// Compares models and baselines on chromosomes or people held out.
    Evaluate(evaluate::Evaluate),
    /// Predicts expression from genotypes in files.
    Predict(Box<predict::Predict>),
    /// Fills every hole and every missing gene of a dataset of the store, into a file and into the store.
    Complete(complete::Complete),
    /// Imports, lists and checks models, and sets which version is the default.
    Models(models::Models),
    /// Makes, lists and revokes API keys.
    Keys(keys::Keys),
    /// Prints the HTTP contract as an OpenAPI document.
    Openapi(openapi::OpenApi),
    /// Asks a running service whether it is ready.
    Health(health::Health),
}

impl Cli {
    /// Runs the command.
    ///
    /// # Errors
    /// Whatever the command meets; the chain says what failed and why.
    pub fn run(self) -> anyhow::Result<()> {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let settings = match &self.command {
            Command::Serve(command) => command.telemetry()?,
            _ => Settings::default(),
        };
        let telemetry = telemetry::start(&settings, runtime.handle())?;
        let ended = runtime.block_on(async {
            match self.command {
                Command::Serve(command) => command.run().await,
                Command::Demo(command) => command.run().await,
                Command::Migrate(command) => command.run().await,
                Command::Ingest(command) => command.run().await,
                Command::Train(command) => command.run().await,
                Command::Evaluate(command) => command.run().await,
                Command::Predict(command) => command.run(),
                Command::Complete(command) => command.run().await,
                Command::Models(command) => command.run().await,
                Command::Keys(command) => command.run().await,
                Command::Openapi(command) => command.run(),
                Command::Health(command) => command.run(),
            }
        });
        telemetry.end();
        // A look at the models that is still going on ends with the process.
        runtime.shutdown_timeout(Duration::from_secs(1));
        ended
    }
}
