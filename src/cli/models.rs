//! `tissuecast models`: what lies in the folder of models, whether it is sound, and how others' models come into it.

pub mod import;
mod list;

use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::{Args, Subcommand, ValueEnum};

use crate::model::registry::{self, ModelFolder};

/// Lists, checks and imports models.
#[derive(Debug, Args)]
pub struct Models {
    /// The folder of models.
    #[arg(long, env = "TISSUECAST_MODELS_DIR", default_value = "models", global = true)]
    models_dir: PathBuf,
    #[command(subcommand)]
    command: ModelsCommand,
}

#[derive(Debug, Subcommand)]
enum ModelsCommand {
    /// Lists every version of every model with its accuracy.
    List {
        /// How to print.
        #[arg(long, value_enum, default_value_t = Format::Text)]
        format: Format,
    },
    /// Loads every model as the service would: digests, tensors, golden sample. Fails where one does not pass.
    Check,
    /// Imports models that others trained: `PredictDB`, FUSION, TIGAR, scoring files of the PGS Catalog.
    Import(Box<import::Import>),
}

/// How to print.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Aligned columns for people.
    Text,
    /// JSON for programs.
    Json,
}

impl Models {
    /// Runs the command.
    ///
    /// # Errors
    /// The folder or a model in it cannot be read, or a model does not pass.
    pub async fn run(self) -> anyhow::Result<()> {
        if let ModelsCommand::Import(command) = self.command {
            return command.run(&self.models_dir).await;
        }
        let folders = registry::list(&self.models_dir)?;
        if folders.is_empty() {
            eprintln!("there is no model in {}", self.models_dir.display());
        }
        match self.command {
            ModelsCommand::List { format } => {
                let load = |folder: &ModelFolder| {
                    registry::load(&folder.path).with_context(|| format!("model {}@{}", folder.name, folder.version))
                };
                let models = folders.iter().map(load).collect::<anyhow::Result<Vec<_>>>()?;
                match format {
                    Format::Json => println!("{}", list::json(&models)?),
                    Format::Text => print!("{}", list::text(&models)),
                }
                Ok(())
            }
            ModelsCommand::Check => check(&folders),
            ModelsCommand::Import(_) => Ok(()),
        }
    }
}

fn check(folders: &[ModelFolder]) -> anyhow::Result<()> {
    let mut failed = 0;
    for folder in folders {
        match registry::load(&folder.path) {
            Ok(model) => println!("{}@{} passes ({})", folder.name, folder.version, model.digest()),
            Err(error) => {
                failed += 1;
                let error = anyhow::Error::from(error);
                println!("{}@{} FAILS: {error:#}", folder.name, folder.version);
            }
        }
    }
    if failed > 0 {
        bail!("{failed} of {} models do not pass", folders.len());
    }
    Ok(())
}
