//! `tissuecast models`: what lies in the folder of models, whether it is sound, and how others' models come into it.

pub mod import;
mod list;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::{Args, Subcommand, ValueEnum};

use crate::model::ModelError;
use crate::model::registry::{self, ModelFolder};
use crate::model::shelf::label;

/// Lists, checks and imports models, and sets which version is the default.
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
    /// Sets the version that a model's name alone means, on the command line and in a running service.
    Default {
        /// The model's name.
        name: String,
        /// The version, which has to pass its checks; the newest one again where it is left out.
        version: Option<String>,
    },
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
                    registry::load(&folder.path).with_context(|| format!("model {}", folder.label()))
                };
                let models = folders.iter().map(load).collect::<anyhow::Result<Vec<_>>>()?;
                let defaults = defaults(&self.models_dir, &folders);
                match format {
                    Format::Json => println!("{}", list::json(&models, &defaults)?),
                    Format::Text => print!("{}", list::text(&models, &defaults)),
                }
                Ok(())
            }
            ModelsCommand::Check => check(&self.models_dir, &folders),
            ModelsCommand::Default { name, version } => default(&self.models_dir, &name, version.as_deref()),
            ModelsCommand::Import(_) => Ok(()),
        }
    }
}

/// The versions that names alone mean, as `name@version`; a name whose `default` file is broken has none.
fn defaults(models_dir: &Path, folders: &[ModelFolder]) -> BTreeSet<String> {
    let names: BTreeSet<&str> = folders.iter().map(|folder| folder.name.as_str()).collect();
    names.into_iter().filter_map(|name| Some(registry::find(models_dir, name).ok()?.label())).collect()
}

fn check(models_dir: &Path, folders: &[ModelFolder]) -> anyhow::Result<()> {
    let mut failed = 0;
    let mut fails = |name: &str, error: ModelError| {
        failed += 1;
        println!("{name} FAILS: {:#}", anyhow::Error::from(error));
    };
    for folder in folders {
        match registry::load(&folder.path) {
            Ok(model) => println!("{} passes ({})", folder.label(), model.digest()),
            Err(error) => fails(&folder.label(), error),
        }
    }
    for name in folders.iter().map(|folder| folder.name.as_str()).collect::<BTreeSet<_>>() {
        if let Err(error) = registry::find(models_dir, name) {
            fails(name, error);
        }
    }
    if failed > 0 {
        bail!("{failed} of {} models do not pass", folders.len());
    }
    Ok(())
}

fn default(models_dir: &Path, name: &str, version: Option<&str>) -> anyhow::Result<()> {
    let Some(version) = version else {
        if !registry::list(models_dir)?.iter().any(|folder| folder.name == name) {
            bail!("there is no model '{name}' in {}", models_dir.display());
        }
        registry::set_default(models_dir, name, None)?;
        println!("{name} means its newest version, {}", registry::find(models_dir, name)?.label());
        return Ok(());
    };
    let folder = registry::find(models_dir, &label(name, version))?;
    registry::load(&folder.path).with_context(|| format!("{} does not pass its checks", folder.label()))?;
    registry::set_default(models_dir, name, Some(version))?;
    println!("{name} means {}", folder.label());
    Ok(())
}
