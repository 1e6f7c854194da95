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
    /// What it was trained on and how, for a model that this program trained; boxed, since few have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub training: Option<Box<GenotypeTraining>>,
    /// Its accuracy in people held out beside that of the other methods on the same folds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub accuracy: Vec<MethodAccuracy>,
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

/// What a genotype model was trained on, and how.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GenotypeTraining {
    /// People by population.
    pub population: BTreeMap<String, usize>,
    /// How many people.
    pub people: usize,
    /// How many genes.
    pub genes: usize,
    /// How far from a gene its variants may lie, in base pairs.
    pub window_bp: u32,
    /// Folds that accuracy was measured in.
    pub outer_folds: usize,
    /// Folds that settings were chosen in, within the training part of each outer fold.
    pub inner_folds: usize,
    /// Networks whose mean is served; 1 for a linear model.
    pub members: usize,
    /// The seed of everything random.
    pub seed: u64,
    /// What was done to the measured expression before it was fitted.
    pub transform: String,
    /// Covariates that expression was freed of, by name.
    pub covariates: Vec<String>,
    /// Annotations of variants that were read, by name.
    pub annotations: Vec<String>,
    /// The least frequency of the rarer allele of a variant that was read.
    pub min_maf: f64,
    /// The files that it was trained on, with their SHA-256.
    pub sources: BTreeMap<String, String>,
    /// A digest of the people, genes, variants and values as they were fitted.
    pub cohort_digest: String,
    /// The command that gives the same weights again.
    pub command: String,
    /// How long the fits of all its methods took, in seconds of one thread.
    pub seconds: f64,
    /// This program's version.
    pub tissuecast_version: String,
    /// What the published description says of the method, in sentences.
    pub stated_by_paper: Vec<String>,
    /// What it leaves open and was chosen here, in sentences.
    pub our_choice: Vec<String>,
}

/// The genes that a method's accuracy is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GeneSet {
    /// All that were trained.
    All,
    /// Those that the training folds alone show to be heritable.
    Heritable,
}

/// One method's accuracy over a set of genes, in people held out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MethodAccuracy {
    /// The method's name.
    pub method: String,
    /// Which genes.
    pub genes: GeneSet,
    /// How many genes.
    pub n_genes: usize,
    /// Mean over genes of the correlation of predicted and measured expression.
    pub mean_r: f64,
    /// Bootstrap interval (95 %) of that mean over genes.
    pub interval_r: [f64; 2],
    /// Median over genes of the correlation.
    pub median_r: f64,
    /// Mean over genes of the squared correlation.
    pub mean_r2: f64,
    /// Mean over genes of 1 − residual ÷ total sum of squares.
    pub mean_rsq: f64,
    /// Genes with a correlation above 0.1, 0.2 and 0.3.
    pub r_above: [usize; 3],
    /// How people were held out, such as `nested cross-validation, 5 outer folds`.
    pub split: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::expression::GeneAccuracy;

    #[test]
    fn cards_and_accuracies_of_before_load_and_stay_as_they_were() {
        let card = serde_json::json!({
            "schema": 1, "kind": "genotype", "name": "m", "version": "1", "method": "linear", "description": "",
            "tissue": null, "assembly": null, "liftover": null, "unit": "z", "genes": 0, "weights": 0,
            "has_frequencies": false, "n_samples": null, "population": null, "import": null, "files": {},
        });
        let loaded: GenotypeCard = serde_json::from_value(card.clone()).unwrap();
        assert!(loaded.training.is_none() && loaded.accuracy.is_empty());
        assert_eq!(serde_json::to_value(loaded).unwrap(), card);
        let accuracy = serde_json::json!({"r2": 0.25, "p_value": null, "n": 7, "kind": "measured"});
        let loaded: GeneAccuracy = serde_json::from_value(accuracy.clone()).unwrap();
        assert_eq!(serde_json::to_value(loaded).unwrap(), accuracy);
    }
}
