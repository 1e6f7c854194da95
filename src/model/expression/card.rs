//! The card of a genotype model: what it is, where it came from, how good it is.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The word that tells a genotype model's manifest from a profile model's.
pub const KIND: &str = "genotype";

/// A genotype model's card.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GenotypeCard {
    /// The manifest's schema version.
    pub schema: u32,
    /// [`KIND`].
    pub kind: String,
    /// The model's name, that of its folder.
    pub name: String,
    /// The model's version, that of its subfolder.
    pub version: String,
    /// The method, such as `linear`.
    pub method: String,
    /// One paragraph for people: what it is and what its numbers are.
    pub description: String,
    /// The tissue that it predicts, where that is known.
    pub tissue: Option<String>,
    /// The assembly of its positions; `None` where it knows variants by identifier alone.
    pub assembly: Option<String>,
    /// The assembly that its positions were also lifted to, and how that went.
    pub liftover: Option<Liftover>,
    /// What its numbers are, such as `normalised expression of the training set`.
    pub unit: String,
    /// How many genes it predicts.
    pub genes: usize,
    /// How many weights it has: variants, counted once a gene.
    pub weights: usize,
    /// Whether its rows have allele frequencies; without them a missing genotype has no mean to stand in for it.
    pub has_frequencies: bool,
    /// How many people it was trained on, where that is known.
    pub n_samples: Option<u32>,
    /// The population that it was trained on, where that is known.
    pub population: Option<String>,
    /// Where it came from, for a model that others trained.
    pub import: Option<ImportRecord>,
    /// The other files of the folder with their SHA-256.
    pub files: BTreeMap<String, String>,
}

/// How a model's positions were brought onto another assembly.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Liftover {
    /// The other assembly.
    pub assembly: String,
    /// The chain file's name.
    pub chain: String,
    /// The chain file's SHA-256.
    pub chain_sha256: String,
    /// Rows that have exactly one place there.
    pub lifted: usize,
    /// Rows among those whose sequence is turned round there.
    pub reversed: usize,
    /// Rows without a place there.
    pub unmapped: usize,
    /// Rows with several places there: not used on that assembly.
    pub multiple: usize,
}

/// Where an imported model came from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImportRecord {
    /// The format, such as `PredictDB`.
    pub format: String,
    /// The files that it was read from, with their SHA-256.
    pub sources: BTreeMap<String, String>,
    /// Rows that were left out, by reason.
    pub left_out: BTreeMap<String, usize>,
    /// What was missing or odd, in sentences.
    pub notes: Vec<String>,
    /// This program's version.
    pub tissuecast_version: String,
}
