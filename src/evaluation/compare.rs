//! Asks every method for the same genes and scores them.
//!
//! Imports `reference`, `model`, `training` and its siblings. Invariant: all methods of a comparison are scored on
//! the same genes against the same truth, that of the reference as it was measured.

use rayon::prelude::*;

use super::controls::Control;
use super::metrics::GeneScore;
use super::report::{Report, ReportInput};
use crate::model::manifest::Calibration;
use crate::model::{ModelError, ProfileModel, Scale, Target};
use crate::reference::{GeneIndex, Reference};
use crate::training::folds::Split;

/// Targets asked for at once, between two reports of progress.
const BATCH: usize = 256;

/// A method to be scored.
#[derive(Clone, Copy)]
pub struct Method<'a> {
    /// Its name in tables; one method on two scales may have one name.
    pub name: &'a str,
    /// The fitted model.
    pub model: &'a dyn ProfileModel,
    /// Whether the negative controls are run with it.
    pub controls: bool,
    /// Its intervals, where it has them.
    pub calibration: Option<&'a Calibration>,
}

/// What an evaluation does beside scoring.
#[derive(Debug, Clone, PartialEq)]
pub struct EvaluationSettings {
    /// Thresholds of the minimal vicinity cover whose test genes are reported apart.
    pub thresholds_bp: Vec<u32>,
    /// Bootstrap resamples over genes.
    pub resamples: usize,
    /// Seed of the bootstrap and of the controls.
    pub seed: u64,
    /// Groups of fewer genes are left out.
    pub smallest_group: usize,
    /// Names of the methods that every other one of the same scale is compared with, gene by gene.
    pub against: Vec<String>,
    /// Whether, where one tissue is hidden, every gene is asked for each tissue in turn; otherwise for a random third
    /// of them.
    pub every_tissue: bool,
}

impl Default for EvaluationSettings {
    fn default() -> Self {
        Self {
            thresholds_bp: vec![2_500, 5_000, 10_000, 20_000],
            resamples: 1_000,
            seed: 1,
            smallest_group: 20,
            against: vec!["copy-nearest".to_owned(), "ridge-neighbours-promoter".to_owned()],
            every_tissue: false,
        }
    }
}

/// How far an evaluation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress<'a> {
    /// The method at work.
    pub method: &'a str,
    /// The control at work; `None` for the method as it is.
    pub control: Option<Control>,
    /// Predictions so far, over all methods and controls.
    pub done: usize,
    /// Predictions in all.
    pub total: usize,
}

/// One method's scores, in the order of the genes that were asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct MethodScores {
    /// The method's name.
    pub method: String,
    /// The scale of its numbers.
    pub scale: Scale,
    /// The control that it was run under.
    pub control: Option<Control>,
    /// One a gene.
    pub scores: Vec<GeneScore>,
}

/// Scores all methods on the test genes of a split and writes the report.
///
/// A method may read every measured profile but that of the gene that it is asked for, those of other test genes
/// included: it was fitted to none of them. That is also so at the thresholds, where the report takes the genes
/// that are test genes of the published split ([`crate::reference::cover::Cover`]).
///
/// # Errors
/// A method fails, or the split has no test gene.
pub fn evaluate(
    reference: &Reference,
    split: &Split,
    methods: &[Method<'_>],
    settings: &EvaluationSettings,
    progress: &dyn Fn(Progress<'_>),
) -> Result<Report, ModelError> {
    if split.test.is_empty() {
        return Err(ModelError::NoReferenceGene);
    }
    let controlled = methods.iter().filter(|method| method.controls).count();
    let total = split.test.len() * (methods.len() + controlled * Control::OF_REFERENCE.len());
    let mut done = 0;
    let mut all = Vec::new();
    for control in std::iter::once(None).chain(Control::OF_REFERENCE.map(Some)) {
        if control.is_some() && controlled == 0 {
            continue;
        }
        let changed = control.and_then(|control| control.apply(reference, settings.seed));
        let seen = changed.as_ref().unwrap_or(reference);
        for method in methods.iter().filter(|method| control.is_none() || method.controls) {
            let mut step = |genes: usize| {
                done += genes;
                progress(Progress { method: method.name, control, done, total });
            };
            let scores = score(reference, seen, &split.test, method.model, &mut step)?;
            all.push(MethodScores { method: method.name.to_owned(), scale: method.model.scale(), control, scores });
        }
    }
    Ok(Report::new(&ReportInput { reference, split, settings, methods: &all }))
}

/// Scores a model that reads `seen` on genes of `truth`; both have the same genes in the same order.
fn score(
    truth: &Reference,
    seen: &Reference,
    genes: &[GeneIndex],
    model: &dyn ProfileModel,
    step: &mut dyn FnMut(usize),
) -> Result<Vec<GeneScore>, ModelError> {
    let mut scores = Vec::with_capacity(genes.len());
    for batch in genes.chunks(BATCH) {
        let targets: Vec<Target> = batch.iter().filter_map(|&gene| Target::of_gene(seen, gene)).collect();
        let predictions = model.predict(seen, &targets)?;
        let scored = batch
            .par_iter()
            .zip(&predictions)
            .map(|(&gene, prediction)| GeneScore::new(truth.expression(gene), &prediction.values, model.scale()));
        scores.extend(scored.collect::<Vec<_>>());
        step(batch.len());
    }
    Ok(scores)
}
