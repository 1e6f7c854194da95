//! What is kept of a gene in a round, and the choice between methods.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::GenotypeMethod;

/// What predicts a gene.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Weights {
    /// Weights by copies of the effect allele, with the cohort's variants, ascending.
    Linear(Vec<(usize, f64)>),
    /// A network.
    Network(NetworkWeights),
}

/// The network of one gene.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NetworkWeights {
    /// The cohort's variants, ascending.
    pub variants: Vec<usize>,
    /// The mean dosage of each among the people of training.
    pub means: Vec<f32>,
    /// The standard deviation of each.
    pub deviations: Vec<f32>,
    /// The members' parameters, `[members, numbers]`, in the unit of expression.
    pub parameters: Vec<f32>,
    /// How many members there are.
    pub members: usize,
}

/// One method on one gene in one round.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MethodRecord {
    /// What the held-out people are predicted to have, less the mean of the people of training.
    pub predicted: Vec<f32>,
    /// The mean squared error over inner folds as a share of that of each fold's mean.
    pub inner_error: f64,
    /// The squared correlation over inner folds, 0 where it is not positive.
    pub inner_r2: f64,
    /// What predicts the gene; kept of the round of everybody alone.
    pub weights: Option<Weights>,
    /// How long it took, in seconds of one thread.
    pub seconds: f64,
}

/// One gene in one round.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GeneRecord {
    /// The gene's place in the cohort.
    pub gene: usize,
    /// The score test of its heritability among the people of training.
    pub heritable_z: f64,
    /// Where the elastic net puts its weight: the share of each variant of the window that has any.
    pub shares: Vec<(u32, f32)>,
    /// The methods.
    pub methods: BTreeMap<GenotypeMethod, MethodRecord>,
}

/// How much less inner error, as a share of a gene's variance, another method needs to serve a gene than the one that
/// all genes together favour: about what two methods differ by in the inner folds of a few hundred people by chance.
pub const MARGIN: f64 = 0.02;

/// Returns the method with the least inner error over all genes, the simplest among equals.
#[must_use]
pub(super) fn favourite(genes: &[GeneRecord]) -> Option<GenotypeMethod> {
    let mut sums: BTreeMap<GenotypeMethod, f64> = BTreeMap::new();
    for (method, record) in genes.iter().flat_map(|gene| &gene.methods).filter(|(method, _)| method.is_served()) {
        *sums.entry(*method).or_default() += record.inner_error;
    }
    sums.into_iter().min_by(|a, b| a.1.total_cmp(&b.1).then(a.0.cmp(&b.0))).map(|(method, _)| method)
}

/// Returns the method that serves a gene by the inner folds of the round's own people: the round's favourite, unless
/// another one is better for the gene by more than [`MARGIN`].
#[must_use]
pub(super) fn choose(gene: &GeneRecord, favourite: GenotypeMethod) -> Option<GenotypeMethod> {
    let served = gene.methods.iter().filter(|(method, _)| method.is_served());
    let best = served.min_by(|a, b| a.1.inner_error.total_cmp(&b.1.inner_error).then(a.0.cmp(b.0)))?;
    let is_clear = |of_favourite: &MethodRecord| best.1.inner_error + MARGIN < of_favourite.inner_error;
    let keeps = gene.methods.get(&favourite).is_some_and(|of_favourite| !is_clear(of_favourite));
    Some(if keeps { favourite } else { *best.0 })
}

/// The z at and above which a gene counts as heritable in a round: one-sided p of 0.05, roughly.
pub const HERITABLE_Z: f64 = 1.645;
