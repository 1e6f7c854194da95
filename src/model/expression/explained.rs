//! Whole genes: their dosages gathered, to be predicted together or explained.
//!
//! A model that wants many genes at once, and every explanation, needs a gene's dosages together; a linear sum does not
//! and never keeps them. Imports what `expression` may. Invariant: a gene's contributions and its base add up to its
//! values.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;

use super::{GenePrediction, GenotypeModel};
use crate::model::ModelError;

/// The dosages of a gene.
#[derive(Debug, Clone, PartialEq)]
pub struct Gathered {
    /// The gene's place in the model.
    pub gene: usize,
    /// How many people there are.
    pub people: usize,
    /// The model's rows in the order in which they were met, each with how often each person carries the effect allele,
    /// NaN where that is not known. Rows that are not there have not been met. Genes that count the same record share
    /// its dosages.
    pub rows: Vec<(usize, Arc<[f32]>)>,
}

/// How contributions were found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum ExplanationMethod {
    /// They are the terms of a sum.
    #[serde(rename = "exact")]
    Exact,
    /// By integrated gradients, from the baseline to the person.
    #[serde(rename = "integrated gradients")]
    IntegratedGradients,
}

/// A gene's values with what each row has added to them.
#[derive(Debug, Clone, PartialEq)]
pub struct Explained {
    /// One number a person, as [`GenePrediction::finish`] gives them.
    pub values: Vec<f64>,
    /// The prediction for the baseline: everybody at the mean of the training set, 2 × frequency, where that is known,
    /// else without a copy.
    pub base: f64,
    /// Rows of the model, each once, with one number a person; with the base they add up to the person's value. NaN
    /// where a person's dosage of the row is not known.
    pub contributions: Vec<(usize, Vec<f64>)>,
    /// How they were found.
    pub method: ExplanationMethod,
}

impl Gathered {
    /// Starts a gene without any row.
    #[must_use]
    pub fn new(gene: usize, people: usize) -> Self {
        Self { gene, people, rows: Vec::new() }
    }
}

/// A prediction that gathers its gene's dosages and asks the model when they are complete: what [`GenotypeModel::start`]
/// returns for a model that does not sum as it goes.
pub struct Gathering<'a> {
    model: &'a dyn GenotypeModel,
    gathered: Gathered,
}

impl<'a> Gathering<'a> {
    /// Starts a gene's prediction by `model`.
    #[must_use]
    pub fn new(model: &'a dyn GenotypeModel, gene: usize, people: usize) -> Self {
        Self { model, gathered: Gathered::new(gene, people) }
    }
}

impl fmt::Debug for Gathering<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gathering").field("gathered", &self.gathered).finish_non_exhaustive()
    }
}

impl GenePrediction for Gathering<'_> {
    fn add(&mut self, row: usize, dosages: &[f32]) {
        self.gathered.rows.push((row, dosages.into()));
    }

    fn finish(self: Box<Self>) -> Result<Vec<f64>, ModelError> {
        let mut answered = self.model.finish_batch(std::slice::from_ref(&self.gathered))?;
        match (answered.pop(), answered.is_empty()) {
            (Some(values), true) => Ok(values),
            (last, _) => Err(ModelError::Count { asked: 1, answered: answered.len() + usize::from(last.is_some()) }),
        }
    }
}
