//! Models that turn genotypes into expression, gene by gene.
//!
//! A model lists its genes and, gene by gene, the variants that it counts; whoever has read and harmonised a
//! submission starts a gene, adds one row of effect-allele dosages after another in any order, and finishes it. So a
//! linear model sums as it goes. A model that wants many genes together says so by [`GenotypeModel::batch`] and gets
//! them with their dosages gathered, and so does every model that has to explain its numbers. Imports `genome` and
//! `genotype`. Invariant: one number a person, NaN where a dosage that it needs is not known.

pub mod card;
pub mod explained;
pub mod golden;
pub mod linear;
pub mod linear_file;
pub mod network;
pub mod network_file;
pub mod stored;

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use card::GenotypeCard;
pub use explained::{Explained, ExplanationMethod, Gathered, Gathering};

use super::ModelError;
use super::shelf::Versioned;
use crate::genome::{Biotype, Chromosome, GeneId, GeneSymbol, Position};
use crate::genotype::variants::VariantTable;

/// How well a gene's expression is predicted, as the model's makers measured it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GeneAccuracy {
    /// Squared correlation of predicted and measured expression.
    pub r2: Option<f64>,
    /// The p value of that correlation.
    pub p_value: Option<f64>,
    /// How many people it was measured on.
    pub n: Option<u32>,
    /// How it was measured, such as `nested cross-validation`.
    pub kind: String,
    /// The mean over the outer folds of the correlation of predicted and measured expression in the people held out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub r: Option<f64>,
    /// 1 − residual ÷ total sum of squares in the people held out; negative where the mean would predict better.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rsq: Option<f64>,
    /// The method that the gene is served by, for models that choose one for each gene.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// Squared correlation in the inner folds, which the method was chosen by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inner_r2: Option<f64>,
}

/// A gene that a model predicts.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelGene {
    /// The identifier without its version.
    pub id: GeneId,
    /// The identifier's version.
    pub version: Option<u32>,
    /// The gene as the model's makers spell it, such as `ENSG00000107331.16` or an intron.
    pub name: Box<str>,
    /// The symbol, where the model has one.
    pub symbol: Option<GeneSymbol>,
    /// The biotype, where the model has one.
    pub biotype: Option<Biotype>,
    /// Chromosome, first and last base on the model's assembly, where they are known.
    pub locus: Option<(Chromosome, Position, Position)>,
    /// Its measured accuracy.
    pub accuracy: Option<GeneAccuracy>,
    /// Its rows of the model's variants.
    pub rows: Range<usize>,
}

/// A gene's prediction in the making.
pub trait GenePrediction {
    /// Adds a row of the model's variants: how often each person carries the effect allele, NaN where that is not
    /// known. Each row at most once.
    fn add(&mut self, row: usize, dosages: &[f32]);

    /// Returns one number a person, NaN where it is not known; rows that were never added count as not there.
    ///
    /// # Errors
    /// The model failed.
    fn finish(self: Box<Self>) -> Result<Vec<f64>, ModelError>;
}

/// A model of expression from genotypes.
pub trait GenotypeModel: Send + Sync {
    /// Returns the genes, each with its rows of [`Self::variants`].
    fn genes(&self) -> &[ModelGene];

    /// Returns the variants, gene by gene.
    fn variants(&self) -> &VariantTable;

    /// Returns a row's weight, where the model has one number for it.
    fn weight(&self, row: usize) -> Option<f64>;

    /// Returns how much a row matters, never negative: |weight| × standard deviation of the dosage for a linear model,
    /// the standard deviation taken as 1 where no frequency is known; for a network that and the most that a standard
    /// deviation can add through the encoder.
    fn importance(&self, row: usize) -> f64;

    /// Returns what a network multiplies a row's input by, averaged over its members, where the model has such a scale.
    fn scale(&self, _row: usize) -> Option<f64> {
        None
    }

    /// Returns the dosage at which a row adds nothing to the prediction.
    fn neutral_dosage(&self, _row: usize) -> f32 {
        0.0
    }

    /// Starts a gene's prediction for so many people; a model that wants its dosages together returns a [`Gathering`].
    fn start(&self, gene: usize, people: usize) -> Box<dyn GenePrediction + '_>;

    /// Returns how many complete genes the model likes to have together. Above 1 a pass gathers their dosages and asks
    /// [`Self::finish_batch`], with fewer where the dosages become many or no more genes come; else it lets the model
    /// sum as it goes.
    fn batch(&self) -> usize {
        1
    }

    /// Returns the values of complete genes, as [`GenePrediction::finish`] gives them, in the genes' order. With which
    /// others a gene comes must not change its values by more than rounding.
    ///
    /// # Errors
    /// The model failed.
    fn finish_batch(&self, genes: &[Gathered]) -> Result<Vec<Vec<f64>>, ModelError>;

    /// Returns the values of complete genes with what each row has added to them, in the genes' order.
    ///
    /// # Errors
    /// The model failed.
    fn explain(&self, genes: &[Gathered]) -> Result<Vec<Explained>, ModelError>;
}

/// A loaded genotype model with what names and describes it.
#[derive(Clone)]
pub struct ServedGenotypeModel {
    /// The card.
    pub card: GenotypeCard,
    /// `sha256:` and the digest of the model's folder.
    pub digest: String,
    /// The model.
    pub model: Arc<dyn GenotypeModel>,
}

impl Versioned for ServedGenotypeModel {
    fn name(&self) -> &str {
        &self.card.name
    }

    fn version(&self) -> &str {
        &self.card.version
    }
}

/// Returns what an answer calls one of its models: by name, and by `name@version` where it has another version, too.
#[must_use]
pub fn name_among(models: &[Arc<ServedGenotypeModel>], at: usize) -> Cow<'_, str> {
    let name = &models[at].card.name;
    let has_another = models.iter().enumerate().any(|(other, model)| other != at && model.card.name == *name);
    if has_another { Cow::Owned(models[at].label()) } else { Cow::Borrowed(name) }
}

impl fmt::Debug for ServedGenotypeModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServedGenotypeModel")
            .field("name", &self.card.name)
            .field("digest", &self.digest)
            .finish_non_exhaustive()
    }
}
