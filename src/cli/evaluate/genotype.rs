//! `tissuecast evaluate genotype`: every method on the same people, who are held out in turn.

use std::fs;
use std::path::PathBuf;

use anyhow::Context;
use clap::Args;

use crate::cli::cohort::{CohortArgs, Loaded};
use crate::evaluation::genotype::{LEAVE_ONE_POPULATION_OUT, Report, cross_predictions};
use crate::training::genotype::{Control, Round, TrainedRound};

/// Bootstrap resamples over genes.
const RESAMPLES: usize = 2_000;

/// What is evaluated.
#[derive(Debug, Args)]
pub struct EvaluateGenotype {
    #[command(flatten)]
    cohort: CohortArgs,
    /// Also leaves out one population after the other
    #[arg(long)]
    leave_one_population_out: bool,
    /// Negative controls to run, repeated or parted by commas
    #[arg(long, value_enum, value_delimiter = ',', value_name = "NAME")]
    controls: Vec<ControlArg>,
    /// A folder for the report: `report.txt`, `report.json`, `genes.tsv` and a plot of each method against elastic net
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// A negative control.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum ControlArg {
    /// Within each gene, variants have each other's annotations
    PermutedAnnotations,
    /// Within each population, people have each other's expression
    PermutedExpression,
}

impl EvaluateGenotype {
    /// Runs the command.
    ///
    /// # Errors
    /// A file cannot be read or used, training fails, or the report cannot be written.
    pub fn run(&self) -> anyhow::Result<()> {
        let loaded = self.cohort.load()?;
        let rounds = loaded.train(&Round::folds(&loaded.cohort, &loaded.plan, None))?;
        let mut controls = Vec::new();
        for control in &self.controls {
            let control = match control {
                ControlArg::PermutedAnnotations => Control::PermutedAnnotations,
                ControlArg::PermutedExpression => Control::PermutedExpression,
            };
            controls.extend(loaded.train(&Round::folds(&loaded.cohort, &loaded.plan, Some(control)))?);
        }
        let split = format!("{}-fold", loaded.plan.outer_folds);
        self.show(&loaded, &split, &rounds, &controls)?;
        if self.leave_one_population_out {
            let rounds = Round::populations(&loaded.cohort);
            anyhow::ensure!(
                !rounds.is_empty(),
                "--leave-one-population-out needs --populations with two of them or more"
            );
            let rounds = loaded.train(&rounds)?;
            self.show(&loaded, LEAVE_ONE_POPULATION_OUT, &rounds, &[])?;
        }
        Ok(())
    }

    fn show(
        &self,
        loaded: &Loaded,
        split: &str,
        rounds: &[TrainedRound],
        controls: &[TrainedRound],
    ) -> anyhow::Result<()> {
        let predictions = cross_predictions(&loaded.cohort, split, rounds, controls);
        let report = Report::try_new(&predictions, RESAMPLES, loaded.plan.seed)?;
        let text = report.text();
        print!("{text}");
        let Some(folder) = &self.out else { return Ok(()) };
        let folder = folder.join(split);
        fs::create_dir_all(&folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
        let write = |name: &str, bytes: &str| {
            let path = folder.join(name);
            fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))
        };
        write("report.txt", &text)?;
        write("report.json", &report.to_json())?;
        write("genes.tsv", &report.to_tsv())?;
        for (name, svg) in report.scatters() {
            write(&format!("{name}.svg"), &svg)?;
        }
        Ok(())
    }
}
