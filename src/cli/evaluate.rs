//! `tissuecast evaluate`: every method beside every other one on the same held-out genes.

pub mod genotype;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail};
use clap::{Args, Subcommand, ValueEnum};

use super::progress::FitProgress;
use super::train::{FitArgs, ScaleArg};
use crate::evaluation::compare::{self, EvaluationSettings, Method};
use crate::evaluation::hidden;
use crate::evaluation::report::Report;
use crate::model::baseline::BaselineKind;
use crate::model::manifest::{Accuracy, Calibration, HiddenAccuracy};
use crate::model::method::StoredModel;
use crate::model::own_tissues::OwnTissuesKind;
use crate::model::registry::{self, LoadedModel};
use crate::model::{ProfileModel, Scale};
use crate::reference::Reference;
use crate::training::calibration::calibrate;
use crate::training::folds::Split;
use crate::training::method::{ProfileMethod, fit_method};
use crate::training::own_tissues;
use crate::training::profile::{Ablation, HybridPlan};

/// Compares models and baselines on held-out chromosomes.
#[derive(Debug, Args)]
pub struct Evaluate {
    #[command(subcommand)]
    command: EvaluateCommand,
}

#[derive(Debug, Subcommand)]
enum EvaluateCommand {
    /// Models of tissue profiles: 1 - Pearson r over tissues, every method on the same genes.
    Profile(Box<EvaluateProfile>),
    /// Models of expression from genotypes: every method on the same held-out people.
    Genotype(Box<genotype::EvaluateGenotype>),
}

#[derive(Debug, Args)]
struct EvaluateProfile {
    #[command(flatten)]
    fit: FitArgs,
    /// Methods to fit now, besides the baselines: `published-hybrid`, `hybrid` (its trees on a ridge), `context` (the
    /// default of `train`: surroundings, the gene's own tissues, attention; on the log2 scale only).
    #[arg(long, env = "TISSUECAST_METHODS", value_delimiter = ',', value_parser = ProfileMethod::parse)]
    methods: Vec<ProfileMethod>,
    /// The scales to fit on.
    #[arg(long, env = "TISSUECAST_SCALES", value_enum, value_delimiter = ',', default_value = "min-max,log2")]
    scales: Vec<ScaleArg>,
    /// Models of the models folder to compare with, as NAME or NAME@VERSION; the default versions of all that were trained on the dataset where it is left out.
    #[arg(long, env = "TISSUECAST_MODELS", value_delimiter = ',')]
    models: Option<Vec<String>>,
    /// The folder of models.
    #[arg(long, env = "TISSUECAST_MODELS_DIR", default_value = "models")]
    models_dir: PathBuf,
    /// Also fits each hybrid of --methods without one of its parts.
    #[arg(long, env = "TISSUECAST_ABLATIONS")]
    ablations: bool,
    /// How much to ask with part of a gene's own tissues hidden: nothing, each gene for a random third of the tissues
    /// where one tissue is hidden, or for every one.
    #[arg(long, env = "TISSUECAST_HIDDEN", value_enum, default_value_t = HiddenArg::Quick)]
    hidden: HiddenArg,
    /// A folder for `report.txt`, `report.json` and `report.svg`.
    #[arg(long, env = "TISSUECAST_OUT", value_name = "DIR")]
    out: Option<PathBuf>,
}

/// How much is asked with part of a gene's own tissues hidden.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum HiddenArg {
    /// Nothing.
    None,
    /// Where one tissue is hidden, each gene for a random third of them.
    Quick,
    /// Where one tissue is hidden, each gene for every one.
    Full,
}

/// A model that was fitted for a comparison.
pub struct Fitted {
    name: String,
    model: Box<dyn StoredModel>,
    controls: bool,
    calibration: Option<Calibration>,
}

/// A baseline that reads nothing but a gene's own tissues, fitted for a comparison.
pub struct FittedOwnTissues {
    kind: OwnTissuesKind,
    model: Box<dyn ProfileModel>,
    calibration: Option<Calibration>,
}

impl FittedOwnTissues {
    /// Returns the entry for the comparison.
    #[must_use]
    pub fn method(&self) -> Method<'_> {
        let calibration = self.calibration.as_ref();
        Method { name: self.kind.as_str(), model: &*self.model, controls: false, calibration }
    }
}

impl Fitted {
    /// Returns the entry for the comparison.
    #[must_use]
    pub fn method(&self) -> Method<'_> {
        let model = &*self.model as &dyn ProfileModel;
        Method { name: &self.name, model, controls: self.controls, calibration: self.calibration.as_ref() }
    }
}

impl Evaluate {
    /// Runs the command.
    ///
    /// # Errors
    /// The dataset or a model cannot be read, a model saw the held-out chromosomes, or a fit fails.
    pub async fn run(self) -> anyhow::Result<()> {
        let evaluate = match self.command {
            EvaluateCommand::Genotype(evaluate) => return tokio::task::spawn_blocking(move || evaluate.run()).await?,
            EvaluateCommand::Profile(evaluate) => evaluate,
        };
        let (reference, split) = evaluate.fit.load().await?;
        tokio::task::spawn_blocking(move || evaluate.run(&reference, &split)).await?
    }
}

impl EvaluateProfile {
    fn run(&self, reference: &Arc<Reference>, split: &Split) -> anyhow::Result<()> {
        let loaded = self.load_models(reference, split)?;
        let mut fitted = Vec::new();
        for scale in self.scales.iter().copied().map(Scale::from) {
            let plan = self.fit.plan(scale);
            fitted.extend(fit_baselines_with(reference, split, &plan, &BaselineKind::ALL)?);
            let on_scale = |method: &&ProfileMethod| scale == Scale::Log2 || **method != ProfileMethod::Context;
            for method in self.methods.iter().filter(on_scale) {
                let has_parts = matches!(method, ProfileMethod::Hybrid | ProfileMethod::PublishedHybrid);
                let ablations: &[Ablation] = if self.ablations && has_parts { &Ablation::ALL } else { &[] };
                for ablation in std::iter::once(&Ablation::None).chain(ablations) {
                    let mut one = fit_one(reference, split, &HybridPlan { ablation: *ablation, ..plan }, *method)?;
                    if one.controls && scale == Scale::Log2 && self.hidden != HiddenArg::None {
                        let seed = self.fit.seed;
                        one.calibration = calibrate(&*one.model, reference, &split.calibration, &split.test, seed)?;
                    }
                    fitted.push(one);
                }
            }
        }
        let named: Vec<(String, &LoadedModel)> =
            loaded.iter().map(|model| (format!("{}@{}", model.card.name, model.card.version), model)).collect();
        let methods: Vec<Method<'_>> = fitted
            .iter()
            .map(Fitted::method)
            .chain(named.iter().map(|(name, loaded)| Method {
                name,
                model: &*loaded.model as &dyn ProfileModel,
                controls: true,
                calibration: loaded.card.calibration.as_ref().filter(|_| set_elsewhere(loaded, split)),
            }))
            .collect();
        let settings =
            EvaluationSettings { every_tissue: self.hidden == HiddenArg::Full, ..EvaluationSettings::default() };
        let mut report = score(reference, split, &methods, &settings)?;
        if self.hidden != HiddenArg::None {
            let baselines = fit_own_tissues(reference, split, self.fit.seed, true)?;
            // Values in another unit than the dataset's have another level.
            let unit = reference.dataset().unit;
            let foreign: Vec<&str> =
                named.iter().filter(|(_, loaded)| loaded.card.unit != unit).map(|(name, _)| name.as_str()).collect();
            let methods: Vec<Method<'_>> = baselines
                .iter()
                .map(FittedOwnTissues::method)
                .chain(methods.iter().copied().filter(|method| !foreign.contains(&method.name)))
                .collect();
            let progress = FitProgress::new("scoring with hidden tissues");
            report.hidden = Some(hidden::evaluate(reference, split, &methods, &settings, &|at| {
                progress.count(at.method, at.done, at.total);
            })?);
            progress.finish();
        }
        let text = report.to_text();
        print!("{text}");
        if let Some(folder) = &self.out {
            write_report(folder, &report, &text)?;
        }
        Ok(())
    }

    fn load_models(&self, reference: &Reference, split: &Split) -> anyhow::Result<Vec<LoadedModel>> {
        let mut loaded = Vec::new();
        let folders = match &self.models {
            Some(named) => named.iter().map(|one| registry::find(&self.models_dir, one)).collect::<Result<_, _>>()?,
            None => registry::defaults(&self.models_dir)?,
        };
        for folder in folders {
            let loaded_folder = registry::load(&folder.path).with_context(|| format!("model {}", folder.label()))?;
            let Some(model) = loaded_folder.profile() else {
                if self.models.is_some() {
                    bail!("model {} predicts expression from genotypes, not tissue profiles", folder.name);
                }
                continue;
            };
            let record = &model.card.training;
            let same = record.dataset == reference.dataset().name;
            if self.models.is_none() && !same {
                continue;
            }
            let mut kept_out = record.held_out_chromosomes.clone();
            kept_out.extend_from_slice(&record.calibration_chromosomes);
            let seen = split
                .held_out_chromosomes
                .iter()
                .find(|held_out| !kept_out.iter().any(|chromosome| chromosome == held_out.as_str()));
            if let Some(chromosome) = seen {
                bail!("model {} was fitted to {chromosome}: its accuracy there would say nothing", model.card.name);
            }
            loaded.push(model);
        }
        Ok(loaded)
    }
}

/// Returns whether a model's intervals were set on none of the held-out chromosomes: elsewhere their coverage says nothing.
fn set_elsewhere(loaded: &LoadedModel, split: &Split) -> bool {
    let set_on = &loaded.card.training.calibration_chromosomes;
    !split.held_out_chromosomes.iter().any(|held_out| set_on.iter().any(|name| name == held_out.as_str()))
}

/// Fits the baselines that a method is compared with, on the plan's scale; not the method itself.
///
/// # Errors
/// A fit fails.
pub fn fit_baselines(
    reference: &Reference,
    split: &Split,
    plan: &HybridPlan,
    besides: ProfileMethod,
) -> anyhow::Result<Vec<Fitted>> {
    let kinds: Vec<BaselineKind> =
        BaselineKind::ALL.into_iter().filter(|kind| ProfileMethod::Baseline(*kind) != besides).collect();
    fit_baselines_with(reference, split, plan, &kinds)
}

fn fit_baselines_with(
    reference: &Reference,
    split: &Split,
    plan: &HybridPlan,
    kinds: &[BaselineKind],
) -> anyhow::Result<Vec<Fitted>> {
    kinds.iter().map(|kind| fit_one(reference, split, plan, ProfileMethod::Baseline(*kind))).collect()
}

fn fit_one(reference: &Reference, split: &Split, plan: &HybridPlan, method: ProfileMethod) -> anyhow::Result<Fitted> {
    let name = match plan.ablation {
        Ablation::None => method.as_str().to_owned(),
        ablation => format!("{} {}", method.as_str(), ablation.as_str()),
    };
    let progress = FitProgress::new(&name);
    let model = fit_method(method, reference, split, plan, &|step| progress.show(step))?;
    progress.finish();
    let controls = !matches!(method, ProfileMethod::Baseline(_)) && plan.ablation == Ablation::None;
    Ok(Fitted { name, model, controls, calibration: None })
}

/// Fits the baselines that read nothing but a gene's own tissues, with intervals or without.
///
/// # Errors
/// A fit fails.
pub fn fit_own_tissues(
    reference: &Reference,
    split: &Split,
    seed: u64,
    intervals: bool,
) -> anyhow::Result<Vec<FittedOwnTissues>> {
    let fit = |kind| {
        let model = own_tissues::fit_own_tissues(kind, reference, &split.train, &split.calibration, seed)?;
        let calibration =
            if intervals { calibrate(&*model, reference, &split.calibration, &split.test, seed)? } else { None };
        Ok(FittedOwnTissues { kind, model, calibration })
    };
    OwnTissuesKind::ALL.into_iter().map(fit).collect()
}

/// Scores methods on the split's test genes.
///
/// # Errors
/// A method fails.
pub fn score(
    reference: &Reference,
    split: &Split,
    methods: &[Method<'_>],
    settings: &EvaluationSettings,
) -> anyhow::Result<Report> {
    let progress = FitProgress::new("scoring");
    let report = compare::evaluate(reference, split, methods, settings, &|at| {
        progress.count(at.method, at.done, at.total);
    })?;
    progress.finish();
    Ok(report)
}

/// Prints a card's accuracy as a table.
pub fn print_accuracy(accuracy: &[Accuracy]) {
    if accuracy.is_empty() {
        return;
    }
    println!("{:<28} {:>8} {:>6} {:>7} {:>7}  95 % interval of the mean", "method", "scale", "genes", "mean", "median");
    for row in accuracy {
        let scale = match row.scale {
            Scale::MinMax => "scaled",
            Scale::Log2 => "log",
        };
        println!(
            "{:<28} {:>8} {:>6} {:>7.3} {:>7.3}  {:.3} to {:.3}",
            row.method,
            scale,
            row.genes,
            row.mean_error,
            row.median_error,
            row.mean_error_interval[0],
            row.mean_error_interval[1]
        );
    }
}

/// Prints a card's accuracy with hidden tissues as a table.
pub fn print_hidden(hidden: &[HiddenAccuracy]) {
    if hidden.is_empty() {
        return;
    }
    println!(
        "{:<38} {:<28} {:>6} {:>6} {:>7}  95 % interval of the rmse",
        "hidden", "method", "genes", "rmse", "mean r"
    );
    for row in hidden {
        let r = row.mean_r.map_or_else(|| "-".to_owned(), |r| format!("{r:.3}"));
        let [low, high] = row.rmse_interval;
        println!(
            "{:<38} {:<28} {:>6} {:>6.3} {r:>7}  {low:.3} to {high:.3}",
            row.scheme.label(),
            row.method,
            row.genes,
            row.rmse
        );
    }
}

fn write_report(folder: &Path, report: &Report, text: &str) -> anyhow::Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let json = serde_json::to_string_pretty(report)?;
    for (name, content) in [("report.txt", text), ("report.json", &json), ("report.svg", &report.to_svg())] {
        let path = folder.join(name);
        fs::write(&path, content).with_context(|| format!("cannot write {}", path.display()))?;
        println!("wrote {}", path.display());
    }
    Ok(())
}
