//! What an evaluation with hidden tissues says, as it is written to JSON.
//!
//! Imports `model`'s card and its siblings. Invariant: a number that does not exist is absent, never 0.

use serde::{Deserialize, Serialize};

use super::super::controls::Control;
use super::super::report::GroupKind;
use crate::model::Known;
use crate::model::manifest::{HiddenAccuracy, Hiding};

/// Accuracy and intervals where part of a scored gene's own tissues is hidden.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HiddenReport {
    /// Whether, where one tissue is hidden, every gene was asked for each; otherwise for a random third.
    pub every_tissue: bool,
    /// One table a scheme.
    pub schemes: Vec<SchemeTable>,
    /// Groups of genes, under some schemes.
    pub groups: Vec<HiddenGroup>,
    /// Methods run under controls.
    pub controls: Vec<ControlTable>,
    /// Intervals, by method.
    pub coverage: Vec<Coverage>,
}

/// Every method under one scheme.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SchemeTable {
    /// What was hidden.
    pub scheme: Hiding,
    /// How many genes were scored.
    pub genes: usize,
    /// How many hidden values they have together.
    pub values: usize,
    /// One a method.
    pub rows: Vec<HiddenRow>,
}

/// A method's accuracy over hidden values.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HiddenRow {
    /// The method's name.
    pub method: String,
    /// Root of the mean squared error in log2(1 + x).
    pub rmse: f64,
    /// Bootstrap interval (95 %) over genes.
    pub rmse_interval: [f64; 2],
    /// Mean over genes of Pearson r over hidden tissues; absent where no gene has three that differ.
    pub mean_r: Option<f64>,
    /// Genes that it is over.
    pub genes_with_r: usize,
    /// By tissue; only in the tables of schemes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tissues: Vec<TissueScore>,
}

/// A method's accuracy in one tissue.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TissueScore {
    /// The tissue's identifier.
    pub tissue: String,
    /// Genes that it was hidden in.
    pub genes: usize,
    /// Squared Pearson correlation over genes in log2(1 + x); absent where the genes are too few or do not differ.
    pub r2: Option<f64>,
    /// Root of the mean squared error in log2(1 + x).
    pub rmse: f64,
}

/// Every method under one scheme on one group of genes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HiddenGroup {
    /// What was hidden.
    pub scheme: Hiding,
    /// Which genes.
    #[serde(flatten)]
    pub kind: GroupKind,
    /// How many genes.
    pub genes: usize,
    /// One a method.
    pub rows: Vec<HiddenRow>,
}

/// Methods under a control.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ControlTable {
    /// The control.
    pub control: Control,
    /// What was hidden.
    pub scheme: Hiding,
    /// One a method.
    pub rows: Vec<HiddenRow>,
}

/// How often a method's intervals hold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Coverage {
    /// The method's name.
    pub method: String,
    /// The nominal coverage.
    pub level: f64,
    /// For each case of what is known of the gene itself.
    pub strata: Vec<StratumCoverage>,
}

/// How often intervals hold where about as much is known of a gene.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StratumCoverage {
    /// How much is known.
    pub known: Known,
    /// How many hidden values were looked at.
    pub values: usize,
    /// The share of them that lie in their interval.
    pub coverage: f64,
    /// Whether that is within 2 % of the nominal one.
    pub overall_met: bool,
    /// The tissue with the lowest share.
    pub lowest: TissueCoverage,
    /// The tissue with the highest share.
    pub highest: TissueCoverage,
    /// Whether every tissue is within 5 % of the nominal one.
    pub tissues_met: bool,
    /// Median width in log2(1 + x), cut at 0 as it is served.
    pub median_width: f64,
    /// Shares by group of genes.
    pub groups: Vec<GroupCoverage>,
}

/// How often intervals hold in a tissue.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TissueCoverage {
    /// The tissue's identifier.
    pub tissue: String,
    /// The share.
    pub coverage: f64,
}

/// How often intervals hold in a group of genes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GroupCoverage {
    /// Which genes.
    #[serde(flatten)]
    pub kind: GroupKind,
    /// How many genes.
    pub genes: usize,
    /// The share.
    pub coverage: f64,
}

impl HiddenReport {
    /// Returns the tables of schemes as a model's card keeps them.
    #[must_use]
    pub fn accuracy(&self) -> Vec<HiddenAccuracy> {
        let entry = |table: &SchemeTable, row: &HiddenRow| HiddenAccuracy {
            scheme: table.scheme,
            method: row.method.clone(),
            genes: table.genes,
            rmse: row.rmse,
            rmse_interval: row.rmse_interval,
            mean_r: row.mean_r,
        };
        self.schemes.iter().flat_map(|table| table.rows.iter().map(move |row| entry(table, row))).collect()
    }

    /// Returns the table of a scheme.
    #[must_use]
    pub fn scheme(&self, scheme: Hiding) -> Option<&SchemeTable> {
        self.schemes.iter().find(|table| table.scheme == scheme)
    }
}
