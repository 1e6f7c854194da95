//! `tissuecast evaluate genotype`: every method on the same people, who are held out in turn.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;

use crate::cli::cohort::{CohortArgs, RESAMPLES, train};
use crate::evaluation::genotype::{LEAVE_ONE_POPULATION_OUT, Report, SELECTED, cross_predictions};
use crate::training::genotype::{Control, GenotypeMethod, Round, TrainedRound, Training, models};

/// What is evaluated.
#[derive(Debug, Args)]
pub struct EvaluateGenotype {
    #[command(flatten)]
    cohort: CohortArgs,
    /// Also leaves out one population after the other
    #[arg(long, env = "TISSUECAST_LEAVE_ONE_POPULATION_OUT")]
    leave_one_population_out: bool,
    /// Negative controls to run, repeated or parted by commas
    #[arg(long, env = "TISSUECAST_CONTROLS", value_enum, value_delimiter = ',', value_name = "NAME")]
    controls: Vec<ControlArg>,
    /// A folder for the report: `report.txt`, `report.json`, `genes.tsv` and a plot of each method against elastic net, by
    /// split; and `fitted-METHOD.tsv`, what the models trained on everybody, the ones that are served, say of these people
    #[arg(long, env = "TISSUECAST_OUT", value_name = "DIR")]
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
        // What would fail at the end fails here.
        if let Some(folder) = &self.out {
            fs::create_dir_all(folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
        }
        let loaded = self.cohort.load()?;
        let populations = Round::populations(&loaded.cohort);
        anyhow::ensure!(
            !self.leave_one_population_out || !populations.is_empty(),
            "--leave-one-population-out needs --populations with two of them or more"
        );
        let rounds = train(&loaded, &Round::folds(&loaded.cohort, &loaded.plan, None))?;
        let mut controls = Vec::new();
        for control in &self.controls {
            let control = match control {
                ControlArg::PermutedAnnotations => Control::PermutedAnnotations,
                ControlArg::PermutedExpression => Control::PermutedExpression,
            };
            controls.extend(train(&loaded, &Round::folds(&loaded.cohort, &loaded.plan, Some(control)))?);
        }
        let split = format!("{}-fold", loaded.plan.outer_folds);
        self.show(&loaded, &split, &rounds, &controls)?;
        if self.leave_one_population_out {
            let rounds = train(&loaded, &populations)?;
            self.show(&loaded, LEAVE_ONE_POPULATION_OUT, &rounds, &[])?;
        }
        match &self.out {
            Some(folder) => write_fitted(&loaded, folder),
            None => Ok(()),
        }
    }

    fn show(
        &self,
        loaded: &Training,
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

/// Writes what the models that are served say of the people that they were trained on: a row a person, a column a gene.
fn write_fitted(loaded: &Training, folder: &Path) -> anyhow::Result<()> {
    let cohort = &loaded.cohort;
    let everybody = train(loaded, &[Round::everybody(cohort)])?;
    let everybody = everybody.first().context("the round of everybody is missing")?;
    let served = loaded.plan.methods.iter().copied().filter(|method| method.is_served()).map(Some);
    for method in served.chain([None]) {
        let name = method.map_or(SELECTED, GenotypeMethod::as_str);
        let methods = everybody.methods(method);
        let method_of = |gene: usize| methods.get(gene).copied().flatten();
        let values = models::build(cohort, everybody, method_of, |_| None)?.fitted(cohort)?;
        let mut text = "FID\tIID".to_owned();
        cohort.genes.iter().for_each(|gene| text.extend(["\t", &gene.name]));
        for (at, person) in cohort.people.iter().enumerate() {
            text.extend(["\n", &person.id, "\t", &person.id]);
            for of_gene in &values {
                let value = of_gene.get(at).copied().filter(|value| !value.is_nan());
                text.push_str(&value.map_or_else(|| "\tNA".to_owned(), |value| format!("\t{value}")));
            }
        }
        text.push('\n');
        let path = folder.join(format!("fitted-{name}.tsv"));
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}
