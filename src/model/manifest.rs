//! The card of a model: what it is, what made it, how good it is; one `manifest.json` in the model's folder.
//!
//! Written by training and read by the registry through the same types, so that the two cannot drift apart.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

#[cfg(doc)]
use super::Prediction;
use super::{Known, Scale};
use crate::reference::Unit;

/// The manifest's schema version that this program writes and reads.
pub const SCHEMA: u32 = 1;

/// A model's card.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Card {
    /// The manifest's schema version.
    pub schema: u32,
    /// The model's name, that of its folder.
    pub name: String,
    /// The model's version, that of its subfolder.
    pub version: String,
    /// The method's name, such as `hybrid` or `ridge-nearest`.
    pub method: String,
    /// One paragraph for people: what it reads, what is published and what is the project's own choice.
    pub description: String,
    /// The scale of its numbers.
    pub scale: Scale,
    /// The unit of the values that it learned from.
    pub unit: Unit,
    /// The tissues, by identifier, in the order of its outputs.
    pub tissues: Vec<String>,
    /// What it was trained on.
    pub training: TrainingRecord,
    /// Its accuracy on held-out chromosomes, beside the baselines on the same genes.
    pub accuracy: Vec<Accuracy>,
    /// Its accuracy where part of a gene's own tissues is hidden, beside what reads nothing else; empty for a model
    /// that does not read them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hidden: Vec<HiddenAccuracy>,
    /// The interval around its numbers, measured on genes that it was not fitted to; `None` where it has none.
    pub calibration: Option<Calibration>,
    /// The method's own settings, as its code reads them.
    pub settings: serde_json::Value,
    /// The other files of the folder with their SHA-256.
    pub files: BTreeMap<String, String>,
}

/// What a model was trained on and how.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainingRecord {
    /// The dataset's name.
    pub dataset: String,
    /// The dataset's version.
    pub dataset_version: String,
    /// The assembly of its positions.
    pub assembly: String,
    /// How many genes it was fitted to.
    pub genes: usize,
    /// Chromosomes that it was not fitted to because its accuracy was measured on them.
    pub held_out_chromosomes: Vec<String>,
    /// Chromosomes that it was not fitted to because its interval was set on them.
    pub calibration_chromosomes: Vec<String>,
    /// The seed of everything random.
    pub seed: u64,
    /// The command that gives the same weights again.
    pub command: String,
    /// This program's version.
    pub tissuecast_version: String,
    /// How long it took.
    pub seconds: f64,
}

impl TrainingRecord {
    /// Returns the base of promoters, from 0, at which transcription starts, as the command of the training has it.
    #[must_use]
    pub fn promoter_tss(&self) -> Option<u32> {
        let mut words = self.command.split_whitespace().skip_while(|word| *word != "--promoter-tss");
        words.nth(1)?.parse().ok()
    }
}

/// One method's accuracy on one set of genes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Accuracy {
    /// The method's name.
    pub method: String,
    /// The scale that correlation is taken on.
    pub scale: Scale,
    /// How many genes were scored.
    pub genes: usize,
    /// Mean over genes of 1 − Pearson r over tissues.
    pub mean_error: f64,
    /// Median over genes of 1 − Pearson r over tissues.
    pub median_error: f64,
    /// Bootstrap interval (95 %) of the mean over genes.
    pub mean_error_interval: [f64; 2],
    /// Mean over genes of the mean squared error, in the scale's units.
    pub mse: f64,
}

/// Which of a gene's tissues are hidden from a method that has to fill them in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Hiding {
    /// A tenth of them, at random.
    Tenth,
    /// Half of them, at random.
    Half,
    /// Nine tenths of them, at random.
    NineTenths,
    /// All of them: nothing is known of the gene itself.
    All,
    /// 30 to 90 % of them at random, the share drawn for each gene.
    ThirtyToNinety,
    /// One tissue in all scored genes, each tissue in turn, as in a laboratory that never measured it; but neighbours
    /// and training genes keep it.
    OneTissue,
}

impl Hiding {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Tenth, Self::Half, Self::NineTenths, Self::All, Self::ThirtyToNinety, Self::OneTissue];

    /// Returns what is hidden, for people.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Tenth => "10 % hidden",
            Self::Half => "50 % hidden",
            Self::NineTenths => "90 % hidden",
            Self::All => "all hidden",
            Self::ThirtyToNinety => "30 to 90 % hidden",
            Self::OneTissue => "one tissue hidden in all scored genes",
        }
    }
}

/// One method's accuracy where tissues are hidden.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HiddenAccuracy {
    /// What was hidden.
    pub scheme: Hiding,
    /// The method's name.
    pub method: String,
    /// How many genes were scored.
    pub genes: usize,
    /// Root of the mean squared error over hidden values, in log2(1 + x) of the unit.
    pub rmse: f64,
    /// Bootstrap interval (95 %) over genes.
    pub rmse_interval: [f64; 2],
    /// Mean over genes of Pearson r over their hidden tissues; absent where too few of a gene are hidden at once.
    pub mean_r: Option<f64>,
}

/// Half widths of intervals and their measured coverage, for each case of what is known of the gene itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Calibration {
    /// The nominal coverage, such as 0.9.
    pub level: f64,
    /// The cases; [`Known::None`] first, and alone where the model does not read a gene's own tissues.
    pub strata: Vec<Stratum>,
}

/// The intervals of genes of which about as much is known.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stratum {
    /// How much is known of the gene itself.
    pub known: Known,
    /// How many genes the half widths were set on.
    pub genes: usize,
    /// Half width by tissue, on the model's scale, for a [`Prediction::spread`] of 1.
    pub half_width: Vec<f32>,
    /// Coverage over all tissues, measured on the held-out chromosomes.
    pub coverage: f64,
    /// Coverage by tissue, measured on the held-out chromosomes.
    pub coverage_by_tissue: Vec<f64>,
}

impl Calibration {
    /// Returns the intervals of a case, or those of genes without any known tissue where the model has no others.
    #[must_use]
    pub fn of(&self, known: Known) -> Option<&Stratum> {
        let find = |known| self.strata.iter().find(|stratum| stratum.known == known);
        find(known).or_else(|| find(Known::None))
    }
}
