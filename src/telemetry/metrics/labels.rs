//! The labels of the metrics: sets of few values, none of which a client chooses.

use prometheus_client::encoding::EncodeLabelSet;

/// Labels of a counter of requests.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct RequestLabels {
    pub(super) method: &'static str,
    pub(super) route: String,
    pub(super) status: String,
}

/// The label of what is measured by route.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct RouteLabels {
    pub(super) route: String,
}

/// The label of refused requests.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct ReasonLabels {
    pub(super) reason: &'static str,
}

/// The label of what is measured by model.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct ModelLabels {
    pub(super) model: String,
}

/// Labels of an engine.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct EngineLabels {
    pub(super) dataset: String,
    pub(super) model: String,
}

/// Labels of variants by what became of them.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct VariantLabels {
    pub(super) model: String,
    pub(super) kind: &'static str,
}

/// What a model is.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct ModelInfo {
    /// Its name.
    pub(crate) model: String,
    /// Its version.
    pub(crate) version: String,
    /// What it reads: `genotype` or `profile`.
    pub(crate) kind: &'static str,
    /// Its digest.
    pub(crate) digest: String,
}

/// The label of reloads.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct ReloadLabels {
    pub(super) outcome: &'static str,
}

/// The program's version.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct BuildLabels {
    pub(super) version: &'static str,
}
