//! `tissuecast demo`: a simulated genome through the whole product, with no network and no data of one's own.

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;

use super::{ingest, serve};
use crate::simulate;

/// The demo's dataset, and the model in the models folder that was trained on another simulated genome.
const DEMO: &str = "demo";

/// How large the simulated genome is.
const GENES: usize = 600;

/// Simulates a small genome, ingests it into a fresh SQLite file, and serves it.
#[derive(Debug, Args)]
pub struct Demo {
    /// Where to listen.
    #[arg(long, env = "TISSUECAST_LISTEN", default_value = "127.0.0.1:8080")]
    listen: std::net::SocketAddr,
    /// The folder of models.
    #[arg(long, env = "TISSUECAST_MODELS_DIR", default_value = "models")]
    models_dir: PathBuf,
    /// Where the simulated files and the database go; a folder of its own that every run of the demo replaces.
    #[arg(long, env = "TISSUECAST_DEMO_DIR", default_value = "tissuecast-demo")]
    demo_dir: PathBuf,
    /// The seed of the simulated genome.
    #[arg(long, default_value_t = 7)]
    seed: u64,
}
