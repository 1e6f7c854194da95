//! From a submission to predicted expression: one pass over the genotypes for all models at once.
//!
//! Imports `genome`, `genotype` and `model`. Invariant: every gene that was asked for is answered exactly once, in one
//! fixed order, with a value or a reason for each person.

pub mod answer;
mod by_chromosome;
mod diagnosis;
mod ledger;
pub mod panel;
mod pass;
mod queue;
mod schedule;
pub mod selection;

use std::borrow::Cow;
use std::sync::Arc;

use serde::Serialize;

use crate::genome::{Assembly, Chromosome};
use crate::genotype::report::{KindCounts, Report, VariantOutcome};
use crate::genotype::{GenotypeError, Policies, Samples};
pub use pass::{FREQUENCY_APART, FREQUENCY_MARGIN, FREQUENCY_PEOPLE, Request, predict};

use crate::model::ModelError;
use crate::model::expression::{ExplanationMethod, ModelGene, ServedGenotypeModel, name_among};

/// What stands above the rows of an answer.
#[derive(Debug, Clone)]
pub struct Heading {
    /// The people, in the order of the values.
    pub samples: Arc<Samples>,
    /// The models.
    pub models: Vec<Arc<ServedGenotypeModel>>,
    /// The assembly that each model's places are on in this answer; `None` where it has none or does not say.
    pub assemblies: Vec<Option<Assembly>>,
    /// The policies that are followed.
    pub policies: Policies,
    /// Whether values are explained.
    pub explained: bool,
    /// Genes that were asked for by a name that no model knows, in the order of the request.
    pub genes_not_found: Vec<String>,
}

impl Heading {
    /// Returns the model and the gene of an answer's row.
    #[must_use]
    pub fn gene_of(&self, answer: &GeneAnswer) -> (&ServedGenotypeModel, &ModelGene) {
        let model = &self.models[answer.model];
        (model, &model.model.genes()[answer.gene])
    }

    /// Returns what the model of an answer's row is called: by name, with the version where another one is here, too.
    #[must_use]
    pub fn model_of(&self, answer: &GeneAnswer) -> Cow<'_, str> {
        name_among(&self.models, answer.model)
    }
}

/// Why a gene has no values, or not for everybody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The model counts no variant for it: nobody's genotype tells anything of it.
    NoVariantInModel,
    /// None of its variants is in the input.
    NoVariantInInput,
    /// Some are in the input, none could be used.
    NoVariantUsable,
    /// Fewer of its variants could be used than the request's least overlap.
    BelowMinOverlap,
    /// Some people's values are not known because a genotype is missing and the model has no frequency for it.
    MissingGenotypes,
}

/// One gene's answer.
#[derive(Debug, Clone, PartialEq)]
pub struct GeneAnswer {
    /// The model's place in [`Heading::models`].
    pub model: usize,
    /// The gene's place in the model.
    pub gene: usize,
    /// One value a person in the samples' order; NaN where it is not known.
    pub values: Vec<f64>,
    /// Its variants by what became of them.
    pub by_kind: KindCounts,
    /// Variants that have no record and were taken as homozygous for the reference allele.
    pub assumed_reference: u64,
    /// Σ importance of the used variants ÷ Σ importance of all.
    pub weight_fraction_used: Option<f64>,
    /// Why values are not known, where some are not.
    pub reason: Option<Reason>,
    /// Where the gene is: chromosome, start (from 0) and end, for the phenotype BED; from the model, else from the
    /// span of its variants; `None` where neither has a place.
    pub interval: Option<(Chromosome, u32, u32)>,
    /// Every variant, where the request asked for them.
    pub variants: Option<Vec<VariantOutcome>>,
    /// What each variant has added to the values, where the request asked for it and there are values.
    pub explanation: Option<Explanation>,
}

/// What each variant of a gene has added to its values: with the base they add up to each person's value.
#[derive(Debug, Clone, PartialEq)]
pub struct Explanation {
    /// The prediction for the baseline: everybody at the mean of the training set, where that is known, else without a
    /// copy.
    pub base: f64,
    /// How the contributions were found.
    pub method: ExplanationMethod,
    /// The variants that were used, in the model's order.
    pub variants: Vec<Contributions>,
}

/// What a variant has added to a gene's values.
#[derive(Debug, Clone, PartialEq)]
pub struct Contributions {
    /// The variant's identifier in the model, or its place and alleles where it has none.
    pub variant: String,
    /// One number a person in the samples' order; NaN where the person's genotype is not known.
    pub values: Vec<f64>,
}

/// Whatever writes an answer: a heading, the genes one by one, the report.
pub trait Answer {
    /// Takes the heading; called once, first.
    ///
    /// # Errors
    /// Whoever reads the answer has gone, or it cannot be written in this form.
    fn begin(&mut self, heading: &Heading) -> Result<(), AnswerError>;

    /// Takes the next gene.
    ///
    /// # Errors
    /// As [`Self::begin`].
    fn gene(&mut self, heading: &Heading, gene: GeneAnswer) -> Result<(), AnswerError>;

    /// Takes the report; called once, last.
    ///
    /// # Errors
    /// As [`Self::begin`].
    fn finish(&mut self, heading: &Heading, report: &Report) -> Result<(), AnswerError>;
}

/// Why an answer could not be written.
#[derive(Debug, thiserror::Error)]
pub enum AnswerError {
    /// It could not be written, or nobody reads it any more.
    #[error("the answer could not be written")]
    Io(#[from] std::io::Error),
    /// It cannot be written in this form; the text says why and what to do.
    #[error("{0}")]
    Form(String),
}

/// Why a submission could not be predicted.
#[derive(Debug, thiserror::Error)]
pub enum PredictionError {
    /// The genotypes cannot be read.
    #[error(transparent)]
    Genotypes(#[from] GenotypeError),
    /// Too little of a model matches the submission; the report says why.
    #[error("{}", .0.diagnosis.as_ref().map_or("too few of the model's variants match", |d| d.summary.as_str()))]
    LowOverlap(Box<Report>),
    /// A gene that was asked for is in none of the models.
    #[error("none of the models predicts any of the genes that were asked for: {}", .0.join(", "))]
    NoSuchGene(Vec<String>),
    /// A sample that was asked for is not in the input.
    #[error("the input has no sample '{0}'")]
    NoSuchSample(String),
    /// A policy cannot be followed; the text says why and what to do.
    #[error("{0}")]
    Policy(String),
    /// The answer would have more values than the limit.
    #[error(
        "{genes} genes × {people} people are more values than the limit of {most}: choose genes by gene=, people by \
         sample=, or fewer models"
    )]
    TooManyValues {
        /// Genes that were asked for, counted once a model.
        genes: usize,
        /// People.
        people: usize,
        /// The limit.
        most: usize,
    },
    /// The explanations would have more numbers than the limit.
    #[error(
        "{variants} variants of the genes × {people} people are more contributions than the limit of {most}: choose \
         genes by gene= and people by sample="
    )]
    TooManyContributions {
        /// Variants of the genes that were asked for, counted once a gene and model.
        variants: usize,
        /// People.
        people: usize,
        /// The limit.
        most: usize,
    },
    /// A model failed.
    #[error("the model failed")]
    Model(#[from] ModelError),
    /// The answer could not be written.
    #[error(transparent)]
    Answer(#[from] AnswerError),
}

#[cfg(test)]
mod tests;
