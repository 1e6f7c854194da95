//! `tissuecast train`: fits a model to a dataset of the store and writes it into the folder of models.

pub mod genotype;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, bail};
use clap::{Args, Subcommand, ValueEnum};

use super::evaluate;
use super::progress::FitProgress;
use crate::config::DatabaseArgs;
use crate::evaluation::compare::{EvaluationSettings, Method};
use crate::evaluation::hidden;
use crate::genome::{Chromosome, Tissue};
use crate::model::golden::{self, Golden};
use crate::model::manifest::{Accuracy, Card, HiddenAccuracy, SCHEMA, TrainingRecord};
use crate::model::method::StoredModel;
use crate::model::registry;
use crate::model::{ProfileModel, Scale};
use crate::reference::{GeneRecord, Reference};
use crate::simulate::Simulation;
use crate::training::calibration::calibrate;
use crate::training::folds::{Split, parse_chromosomes};
use crate::training::method::{ProfileMethod, fit_method};
use crate::training::profile::{Ablation, HybridPlan, Preset};

/// How many simulated genes the golden sample has.
const GOLDEN_GENES: usize = 40;

/// Trains a model on a dataset of the store.
#[derive(Debug, Args)]
pub struct Train {
    #[command(subcommand)]
    command: TrainCommand,
}

#[derive(Debug, Subcommand)]
enum TrainCommand {
    /// A model of tissue profiles: from a gene's surroundings and promoter to its expression by tissue.
    Profile(Box<TrainProfile>),
    /// Models of expression from genotypes: from people with both to weights and networks, gene by gene.
    Genotype(Box<genotype::TrainGenotype>),
}

/// What a profile model is fitted to and how; `evaluate` reads the same flags.
#[derive(Debug, Clone, Args)]
pub struct FitArgs {
    /// The dataset, as it was ingested.
    #[arg(long, env = "TISSUECAST_DATASET", value_name = "NAME")]
    pub dataset: String,
    /// Chromosomes that no model is fitted to and accuracy is measured on; left out, they are chosen by their numbers
    /// of genes, about an eighth of all, and printed.
    #[arg(long, env = "TISSUECAST_HOLDOUT_CHROMOSOMES", value_name = "LIST")]
    pub holdout_chromosomes: Option<String>,
    /// Chromosomes that networks stop by and intervals are set on; left out, they are chosen likewise, about a tenth.
    #[arg(long, env = "TISSUECAST_CALIBRATION_CHROMOSOMES", value_name = "LIST")]
    pub calibration_chromosomes: Option<String>,
    /// The size of the hybrids' parts: as published, or sized for two cores; other methods have none.
    #[arg(long, env = "TISSUECAST_PRESET", value_enum, default_value_t = PresetArg::Compact)]
    pub preset: PresetArg,
    /// Members of a hybrid: each network learns from the folds that its trees do not learn from; other methods have none.
    #[arg(long, env = "TISSUECAST_MEMBERS", default_value_t = 2)]
    pub members: usize,
    /// The promoters' base, from 0, at which transcription starts.
    #[arg(long, env = "TISSUECAST_PROMOTER_TSS", default_value_t = 1_000)]
    pub promoter_tss: usize,
    /// The seed of everything random: the same command gives the same weights.
    #[arg(long, env = "TISSUECAST_SEED", default_value_t = 7)]
    pub seed: u64,
    /// The store.
    #[command(flatten)]
    pub database: DatabaseArgs,
}

/// The size of the hybrids' parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PresetArg {
    /// The published sizes: days on two cores.
    Paper,
    /// The same parts for two cores.
    Compact,
}

/// What a model's numbers are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ScaleArg {
    /// The published scale: each gene from its lowest tissue, 0, to its highest, 1.
    MinMax,
    /// log2(1 + x): the shape with its level, so that imputed values have a unit.
    Log2,
}

impl From<ScaleArg> for Scale {
    fn from(scale: ScaleArg) -> Self {
        match scale {
            ScaleArg::MinMax => Self::MinMax,
            ScaleArg::Log2 => Self::Log2,
        }
    }
}

#[derive(Debug, Args)]
struct TrainProfile {
    #[command(flatten)]
    fit: FitArgs,
    /// The method; `tissuecast evaluate profile --help` says what each one is.
    #[arg(long, env = "TISSUECAST_METHOD", default_value = "context", value_parser = ProfileMethod::parse)]
    method: ProfileMethod,
    /// What the model's numbers are.
    #[arg(long, env = "TISSUECAST_SCALE", value_enum, default_value_t = ScaleArg::Log2)]
    scale: ScaleArg,
    /// The model's folder, `models/NAME`: the next free version is made in it.
    #[arg(long, env = "TISSUECAST_OUT", value_name = "DIR")]
    out: PathBuf,
}

/// Returns chromosomes as a flag takes them.
fn list(chromosomes: &[Chromosome]) -> String {
    chromosomes.iter().map(Chromosome::as_str).collect::<Vec<_>>().join(",")
}

impl FitArgs {
    /// Loads the dataset and splits its genes.
    ///
    /// # Errors
    /// The database cannot be used, has no such dataset, or the chromosomes do not split it.
    pub async fn load(&self) -> anyhow::Result<(Arc<Reference>, Split)> {
        let store = self.database.open_existing().await?;
        store.require_current_schema().await?;
        let Some(reference) = store.load_reference(&self.dataset).await? else {
            let names: Vec<String> = store.versions().await?.into_keys().collect();
            bail!("the store has no dataset '{}'; it has: {}", self.dataset, names.join(", "));
        };
        store.close().await;
        let parse = |list: &Option<String>, flag| list.as_deref().map(parse_chromosomes).transpose().context(flag);
        let held_out = parse(&self.holdout_chromosomes, "--holdout-chromosomes")?;
        let calibration = parse(&self.calibration_chromosomes, "--calibration-chromosomes")?;
        let split = Split::chosen(&reference, held_out.as_deref(), calibration.as_deref())
            .context("--holdout-chromosomes and --calibration-chromosomes")?;
        if held_out.is_none() || calibration.is_none() {
            let flags = [
                format!("--holdout-chromosomes {}", list(&split.held_out_chromosomes)),
                format!("--calibration-chromosomes {}", list(&split.calibration_chromosomes)),
            ];
            let genes = [split.test.len(), split.calibration.len(), split.train.len()];
            println!(
                "chosen by the chromosomes' numbers of genes: {} {} ({} genes held out, {} for calibration, {} to train \
                 on)",
                flags[0], flags[1], genes[0], genes[1], genes[2]
            );
        }
        Ok((Arc::new(reference), split))
    }

    /// Returns the plan of a whole hybrid on a scale.
    #[must_use]
    pub fn plan(&self, scale: Scale) -> HybridPlan {
        HybridPlan {
            scale,
            on_base: false,
            preset: match self.preset {
                PresetArg::Paper => Preset::Paper,
                PresetArg::Compact => Preset::Compact,
            },
            ablation: Ablation::None,
            members: self.members,
            promoter_tss: self.promoter_tss,
            seed: self.seed,
        }
    }
}

impl Train {
    /// Runs the command.
    ///
    /// # Errors
    /// The dataset cannot be read, the fit fails, or the folder cannot be written.
    pub async fn run(self) -> anyhow::Result<()> {
        let train = match self.command {
            TrainCommand::Genotype(train) => return tokio::task::spawn_blocking(move || train.run()).await?,
            TrainCommand::Profile(train) => train,
        };
        let (reference, split) = train.fit.load().await?;
        tokio::task::spawn_blocking(move || train.run(&reference, &split)).await?
    }
}

impl TrainProfile {
    fn run(&self, reference: &Reference, split: &Split) -> anyhow::Result<()> {
        let Some(name) = self.out.file_name().and_then(|name| name.to_str()).filter(|name| !name.starts_with('.'))
        else {
            bail!("--out has to name the model's folder, such as models/{}", self.method.as_str());
        };
        let models = self.out.parent().unwrap_or(std::path::Path::new("."));
        let started = Instant::now();
        let scale = Scale::from(self.scale);
        let progress = FitProgress::new(self.method.as_str());
        let model = fit_method(self.method, reference, split, &self.fit.plan(scale), &|step| progress.show(step))?;
        progress.finish();
        let calibration = calibrate(&*model, reference, &split.calibration, &split.test, self.fit.seed)?;
        let training = self.record(reference, split, started.elapsed().as_secs_f64());
        let (accuracy, hidden) = self.accuracy(reference, split, &*model)?;
        let mut files = model.files()?;
        let golden = Golden::record(&*model, &golden_reference(reference, self.fit.seed)?)?;
        files.insert(golden::FILE.to_owned(), serde_json::to_vec(&golden)?);
        let mut card = Card {
            schema: SCHEMA,
            name: name.to_owned(),
            version: registry::next_version(models, name)?,
            method: self.method.as_str().to_owned(),
            description: self.method.description().to_owned(),
            scale,
            unit: reference.dataset().unit,
            tissues: reference.tissues().iter().map(|tissue| tissue.id().to_owned()).collect(),
            training,
            accuracy,
            hidden,
            calibration,
            settings: model.settings()?,
            files: BTreeMap::new(),
        };
        let folder = registry::write(models, &mut card, &files)?;
        let loaded = registry::load(&folder).context("the model that was just written does not load")?;
        println!("{} {}@{} in {}", loaded.digest(), card.name, card.version, folder.display());
        evaluate::print_accuracy(&card.accuracy);
        evaluate::print_hidden(&card.hidden);
        if let Some(calibration) = &card.calibration {
            for stratum in &calibration.strata {
                println!(
                    "{:.0} % interval, {} of the gene's own tissues known: covers {:.1} % of held-out values ({:.1} to \
                     {:.1} % by tissue)",
                    100.0 * calibration.level,
                    stratum.known.as_str(),
                    100.0 * stratum.coverage,
                    100.0 * stratum.coverage_by_tissue.iter().copied().fold(f64::INFINITY, f64::min),
                    100.0 * stratum.coverage_by_tissue.iter().copied().fold(0.0, f64::max)
                );
            }
        }
        Ok(())
    }

    /// Scores the model beside the baselines on the held-out genes, and where it reads a gene's own tissues also with
    /// part of them hidden; nothing to score is no accuracy.
    fn accuracy(
        &self,
        reference: &Reference,
        split: &Split,
        model: &dyn StoredModel,
    ) -> anyhow::Result<(Vec<Accuracy>, Vec<HiddenAccuracy>)> {
        if split.test.is_empty() {
            return Ok((Vec::new(), Vec::new()));
        }
        let scale = Scale::from(self.scale);
        let baselines = evaluate::fit_baselines(reference, split, &self.fit.plan(scale), self.method)?;
        let own = Method {
            name: self.method.as_str(),
            model: model as &dyn ProfileModel,
            controls: false,
            calibration: None,
        };
        let mut methods: Vec<Method<'_>> = baselines.iter().map(|baseline| baseline.method()).chain([own]).collect();
        let settings = EvaluationSettings::default();
        let accuracy = evaluate::score(reference, split, &methods, &settings)?.accuracy();
        if !model.reads_measured() {
            return Ok((accuracy, Vec::new()));
        }
        let of_own_tissues = evaluate::fit_own_tissues(reference, split, self.fit.seed, false)?;
        methods.splice(0..0, of_own_tissues.iter().map(|baseline| baseline.method()));
        let progress = FitProgress::new("scoring with hidden tissues");
        let hidden = hidden::evaluate(reference, split, &methods, &settings, &|at| {
            progress.count(at.method, at.done, at.total);
        })?;
        progress.finish();
        Ok((accuracy, hidden.accuracy()))
    }

    fn record(&self, reference: &Reference, split: &Split, seconds: f64) -> TrainingRecord {
        let names =
            |chromosomes: &[Chromosome]| chromosomes.iter().map(|chromosome| chromosome.as_str().to_owned()).collect();
        let fit = &self.fit;
        let preset = match fit.preset {
            PresetArg::Paper => "paper",
            PresetArg::Compact => "compact",
        };
        let scale = match self.scale {
            ScaleArg::MinMax => "min-max",
            ScaleArg::Log2 => "log2",
        };
        let hybrid = matches!(self.method, ProfileMethod::Hybrid | ProfileMethod::PublishedHybrid);
        let parts = if hybrid { format!(" --preset {preset} --members {}", fit.members) } else { String::new() };
        TrainingRecord {
            dataset: reference.dataset().name.clone(),
            dataset_version: reference.dataset().version.clone(),
            assembly: reference.dataset().assembly.as_str().to_owned(),
            genes: split.train.len(),
            held_out_chromosomes: names(&split.held_out_chromosomes),
            calibration_chromosomes: names(&split.calibration_chromosomes),
            seed: fit.seed,
            command: format!(
                "tissuecast train profile --dataset {} --method {}{parts} --scale {scale} --promoter-tss {} --holdout-chromosomes {} --calibration-chromosomes {} --seed {} --out {}",
                fit.dataset,
                self.method.as_str(),
                fit.promoter_tss,
                quoted(&list(&split.held_out_chromosomes)),
                quoted(&list(&split.calibration_chromosomes)),
                fit.seed,
                self.out.display()
            ),
            tissuecast_version: env!("CARGO_PKG_VERSION").to_owned(),
            seconds: (seconds * 10.0).round() / 10.0,
        }
    }
}

/// Returns a list as a shell takes it: the empty one needs quotes.
fn quoted(list: &str) -> &str {
    if list.is_empty() { "''" } else { list }
}

/// Returns a small simulated genome with the tissues of `reference`, so that no measured value enters a model's folder.
fn golden_reference(reference: &Reference, seed: u64) -> anyhow::Result<Reference> {
    let genome = Simulation { genes: GOLDEN_GENES, chromosomes: 2, seed }.run()?;
    let columns: Vec<usize> = reference
        .tissues()
        .iter()
        .enumerate()
        .map(|(at, tissue)| {
            let same = genome.tissues.iter().position(|simulated: &Tissue| simulated.id() == tissue.id());
            same.unwrap_or(at % genome.tissues.len())
        })
        .collect();
    let records = genome.records.into_iter().map(|record| GeneRecord {
        expression: record.expression.map(|values| columns.iter().map(|column| values[*column]).collect()),
        ..record
    });
    Ok(Reference::new(reference.dataset().clone(), reference.tissues().to_vec(), records.collect()))
}
