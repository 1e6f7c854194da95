//! Models that turn a gene's surroundings into its tissue profile.
//!
//! A model never sees a request or a database: it reads a [`Reference`] whose tissues are its own and a batch of
//! [`Target`]s, and returns numbers on its [`Scale`]. Imports `genome` and `reference`. Invariant: one prediction a
//! target, in order, one finite number a tissue; alone or in a batch the same to 1e-4.

pub mod baseline;
pub mod boosted_trees;
pub mod context;
pub mod device;
pub mod distance;
pub mod explanation;
pub mod expression;
pub mod features;
pub mod golden;
pub mod hybrid;
pub mod import;
pub mod layers;
pub mod manifest;
pub mod method;
pub mod network;
pub mod own_tissues;
pub mod promoter_cnn;
pub mod registry;
pub mod ridge;
pub mod scaled_cnn;
pub mod served;
pub mod shelf;
pub mod tissue_transformer;

use serde::{Deserialize, Serialize};

use crate::genome::{Biotype, Chromosome, Locus, Promoter};
pub use crate::reference::vicinity::{Neighbour, Orientation};
use crate::reference::{GeneIndex, Reference};

/// What a model's numbers are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scale {
    /// The published scale: a gene's values from its lowest tissue, 0, to its highest, 1. A shape without a level.
    MinMax,
    /// log2(1 + x) of the dataset's unit. A shape with its level.
    Log2,
}

impl Scale {
    /// Brings a gene's values, in the dataset's unit, onto the scale; a flat profile is all 0 under min–max.
    #[must_use]
    pub fn forward(self, expression: &[f32]) -> Vec<f32> {
        match self {
            Self::MinMax => min_max(expression),
            Self::Log2 => expression.iter().map(|x| (1.0 + x.max(0.0)).log2()).collect(),
        }
    }
}

/// Scales values to 0 at the lowest and 1 at the highest finite one; NaN stays NaN, a flat profile is all 0.
#[must_use]
pub fn min_max(values: &[f32]) -> Vec<f32> {
    let finite = values.iter().copied().filter(|value| value.is_finite());
    let (low, high) = finite.fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), x| (low.min(x), high.max(x)));
    let span = if high > low { high - low } else { 1.0 };
    values.iter().map(|value| (value - low) / span).collect()
}

/// A gene to be predicted: of the dataset, or one that no dataset has.
#[derive(Debug, Clone, PartialEq)]
pub struct Target {
    /// Where it is, on the reference's assembly.
    pub locus: Locus,
    /// Its biotype where it is known.
    pub biotype: Option<Biotype>,
    /// Its promoter where it is known, on its own strand, in the model's window.
    pub promoter: Option<Promoter>,
    /// Its index where the dataset has it: what the dataset measured of it is never read.
    pub gene: Option<GeneIndex>,
    /// What may be read of its own profile: one value a tissue of the reference, in the reference's unit, NaN where
    /// nothing is known; empty where nothing is known at all.
    pub measured: Vec<f32>,
}

/// What a prediction can rest on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// The sequence of the gene's promoter.
    Promoter,
    /// The measured genes around it, and how densely genes lie there.
    Neighbours,
    /// The gene's own measured tissues.
    OwnTissues,
}

impl Part {
    /// Every part.
    pub const ALL: [Self; 3] = [Self::Promoter, Self::Neighbours, Self::OwnTissues];
}

/// How much is known of a gene's own profile: intervals are set and measured for each case apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Known {
    /// No tissue.
    None,
    /// Up to a quarter of the tissues.
    Few,
    /// More than a quarter of the tissues.
    Many,
}

impl Known {
    /// Every case.
    pub const ALL: [Self; 3] = [Self::None, Self::Few, Self::Many];

    /// Returns the case of a gene with so many known tissues of so many.
    #[must_use]
    pub const fn of(known: usize, tissues: usize) -> Self {
        match known {
            0 => Self::None,
            known if 4 * known <= tissues => Self::Few,
            _ => Self::Many,
        }
    }

    /// Returns the name that cards and tables use.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Few => "few",
            Self::Many => "many",
        }
    }
}

impl Target {
    /// Returns the target that stands for a gene of the dataset, or `None` for a gene without a place.
    #[must_use]
    pub fn of_gene(reference: &Reference, index: GeneIndex) -> Option<Self> {
        let gene = reference.gene(index);
        Some(Self {
            locus: gene.locus.clone()?,
            biotype: gene.biotype.clone(),
            promoter: reference.promoter(index).cloned(),
            gene: Some(index),
            measured: Vec::new(),
        })
    }

    /// Lets models read these values of the gene's own profile; see [`Target::measured`].
    #[must_use]
    pub fn with_measured(mut self, values: &[f32]) -> Self {
        let any = values.iter().any(|value| value.is_finite());
        self.measured = if any { values.to_vec() } else { Vec::new() };
        self
    }

    /// Returns the number of tissues that are known of the gene's own profile.
    #[must_use]
    pub fn known_tissues(&self) -> usize {
        self.measured.iter().filter(|value| value.is_finite()).count()
    }

    /// Returns whether a base of its promoter is known.
    #[must_use]
    pub fn has_promoter(&self) -> bool {
        self.promoter.as_ref().is_some_and(|promoter| promoter.known() > 0)
    }

    /// Returns the same gene with one thing taken away that a prediction can rest on.
    #[must_use]
    pub fn without(&self, part: Part) -> Self {
        let mut rest = self.clone();
        match part {
            Part::Promoter => rest.promoter = None,
            // On a chromosome of its own a gene has no neighbour.
            Part::Neighbours => rest.locus.chromosome = Chromosome::without_genes(),
            Part::OwnTissues => rest.measured = Vec::new(),
        }
        rest
    }
}

/// A model's answer for one target.
#[derive(Debug, Clone, PartialEq)]
pub struct Prediction {
    /// One number a tissue on the model's scale.
    pub values: Vec<f32>,
    /// How far off each number may be, in relation to the others: one positive number a tissue, by which the card's
    /// half widths are multiplied. Empty where the model tells no difference.
    pub spread: Vec<f32>,
    /// The reference genes that were read, nearest first.
    pub references: Vec<Neighbour>,
}

/// A model of tissue profiles.
pub trait ProfileModel: Send + Sync {
    /// Returns the scale of its numbers.
    fn scale(&self) -> Scale;

    /// Returns whether it reads [`Target::measured`]; other models answer as if nothing were known of the gene itself.
    fn reads_measured(&self) -> bool {
        false
    }

    /// Predicts one profile a target, in order.
    ///
    /// # Errors
    /// The reference lacks what the model reads, or a number came out that is not finite.
    fn predict(&self, reference: &Reference, targets: &[Target]) -> Result<Vec<Prediction>, ModelError>;
}

/// Why a model could not be built, loaded or asked.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// The reference has no measured gene that could serve as a neighbour.
    #[error("the dataset has no measured gene with a place in the genome")]
    NoReferenceGene,
    /// The dataset lacks tissues that the model reads.
    #[error("the dataset lacks tissues that the model reads: {}", .0.join(", "))]
    Tissues(Vec<String>),
    /// A number came out that is not finite.
    #[error("the model gave a number that is not finite")]
    NotFinite,
    /// A file of a model's folder is not what its manifest says.
    #[error("model file {file}: {reason}")]
    File {
        /// The file's name.
        file: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A tensor is missing or has another shape.
    #[error("tensor '{name}' {reason}")]
    Tensor {
        /// The tensor's name.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A batch came out with another number of genes than it went in with.
    #[error("the model was asked for {asked} genes and answered {answered}")]
    Count {
        /// Genes that were asked for.
        asked: usize,
        /// Genes that were answered.
        answered: usize,
    },
    /// The folder of models has no such model.
    #[error("there is no model '{named}' in {folder}; there are: {}", .there.join(", "))]
    NotThere {
        /// What was asked for.
        named: String,
        /// The folder of models.
        folder: String,
        /// What there is: names, or the versions of the name where that is there.
        there: Vec<String>,
    },
    /// The numeric library failed.
    #[error("the numeric library failed")]
    Numeric(#[from] candle_core::Error),
    /// A file could not be read or written.
    #[error("cannot read or write {path}")]
    Io {
        /// The file.
        path: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}
