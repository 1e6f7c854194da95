//! Trains models of expression from genotypes: every method on the same people, gene by gene.
//!
//! A [`Round`] is one set of people to learn from and the people that it holds out: an outer fold, the people outside a
//! population, or everybody. Whatever is chosen (λ, the strength of annotations, when a network stops, the method that
//! serves a gene) is chosen within the round's own people, by its inner folds. Finished genes are kept in a [`Work`]
//! folder, so that a second run goes on where the first was interrupted. Imports `model` and its siblings. Invariant:
//! cohort, plan and seed decide every number, whatever the order in which genes finish.

mod annotated;
mod gene;
pub mod models;
mod record;
mod round;
#[cfg(test)]
mod tests;
mod work;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use candle_core::Device;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use self::annotated::{Sharing, share};
use self::gene::{Learner, Standardised};
pub use self::record::{GeneRecord, HERITABLE_Z, MARGIN, MethodRecord, NetworkWeights, Weights};
use self::record::{choose, favourite};
use self::round::permuted;
pub use self::round::{Control, Round};
pub use self::work::{Work, WorkError};
use super::annotation::Annotations;
use super::cohort::people::balanced_folds;
use super::cohort::{Cohort, covariates::Adjustment};
use super::elastic_net;
use super::scaled_cnn::CnnSettings;
use crate::model::ModelError;

/// The version of what is fitted and kept: raised whenever either changes, so that finished genes of an older one are
/// not taken for this one's.
const RECORDS: u32 = 1;
/// Genes that one task trains together.
const GENES_AT_ONCE: usize = 8;

/// A method of predicting expression from genotypes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GenotypeMethod {
    /// Elastic net, λ by inner folds: the bar.
    ElasticNet,
    /// The mean of the elastic nets that the network's members start from: what averaging alone brings.
    ElasticNetBagged,
    /// Elastic net whose penalty of a variant follows from its annotations.
    AnnotatedElasticNet,
    /// The scaled convolutional network.
    ScaledCnn,
    /// The same with scales that a network shared by all genes derives from annotations.
    AnnotatedCnn,
}

impl GenotypeMethod {
    /// Every method, the simplest first.
    pub const ALL: [Self; 5] =
        [Self::ElasticNet, Self::ElasticNetBagged, Self::AnnotatedElasticNet, Self::ScaledCnn, Self::AnnotatedCnn];

    /// Returns the name as commands and cards have it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ElasticNet => "elastic-net",
            Self::ElasticNetBagged => "elastic-net-bagged",
            Self::AnnotatedElasticNet => "annotated-elastic-net",
            Self::ScaledCnn => "scaled-cnn",
            Self::AnnotatedCnn => "annotated-cnn",
        }
    }

    /// Returns whether it reads annotations.
    #[must_use]
    pub const fn reads_annotations(self) -> bool {
        matches!(self, Self::AnnotatedElasticNet | Self::AnnotatedCnn)
    }

    /// Returns whether models of it are served; the mean of the members' elastic nets is there to compare with.
    #[must_use]
    pub const fn is_served(self) -> bool {
        !matches!(self, Self::ElasticNetBagged)
    }

    /// Returns whether it is a network.
    #[must_use]
    pub const fn is_network(self) -> bool {
        matches!(self, Self::ScaledCnn | Self::AnnotatedCnn)
    }
}

/// What is trained and how.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// The methods.
    pub methods: Vec<GenotypeMethod>,
    /// Folds that accuracy is measured by.
    pub outer_folds: usize,
    /// Folds within a round's people that λ is chosen by.
    pub inner_folds: usize,
    /// Strengths of annotations that inner folds choose from: 0 is without.
    pub strengths: Vec<f64>,
    /// Genes that the shared network learns from, those that are predicted best within the round.
    pub shared_genes: usize,
    /// The network.
    pub cnn: CnnSettings,
    /// Seed of folds, starting values and controls.
    pub seed: u64,
}

impl Plan {
    /// Returns the plan of the given methods.
    #[must_use]
    pub fn new(methods: Vec<GenotypeMethod>, seed: u64) -> Self {
        Self {
            methods,
            outer_folds: 5,
            inner_folds: 10,
            strengths: vec![0.25, 0.5, 1.0],
            shared_genes: 256,
            cnn: CnnSettings { seed, ..CnnSettings::default() },
            seed,
        }
    }

    fn wants(&self, method: GenotypeMethod) -> bool {
        self.methods.contains(&method)
    }

    fn wants_annotations(&self) -> bool {
        self.methods.iter().any(|method| method.reads_annotations())
    }
}

/// A round with all of its genes.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainedRound {
    /// The round.
    pub round: Round,
    /// One record a gene, in the cohort's order.
    pub genes: Vec<GeneRecord>,
    /// How strongly annotations count, as the inner folds had it.
    pub strength: Option<f64>,
    /// What each annotation adds to the log of a variant's share of weight, by name.
    pub annotation_weights: BTreeMap<String, f64>,
}

impl TrainedRound {
    /// Returns how long the round's genes took, in seconds of one thread.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        self.genes.iter().flat_map(|gene| gene.methods.values()).map(|record| record.seconds).sum()
    }

    /// Returns the method of each gene: the given one, or where there is none that which serves the gene.
    #[must_use]
    pub fn methods(&self, only: Option<GenotypeMethod>) -> Vec<Option<GenotypeMethod>> {
        only.map_or_else(|| self.chosen(), |method| vec![Some(method); self.genes.len()])
    }

    /// Returns the method that serves each gene, by the inner folds.
    #[must_use]
    pub fn chosen(&self) -> Vec<Option<GenotypeMethod>> {
        let favourite = favourite(&self.genes);
        self.genes.iter().map(|gene| choose(gene, favourite?)).collect()
    }
}

/// How far training is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GenotypeProgress<'a> {
    /// The round.
    pub round: &'a str,
    /// What is being done.
    pub stage: &'static str,
    /// Genes done.
    pub done: usize,
    /// Genes in all.
    pub total: usize,
}

/// Why training failed.
#[derive(Debug, thiserror::Error)]
pub enum GenotypeTrainingError {
    /// The work folder cannot be used.
    #[error(transparent)]
    Work(#[from] WorkError),
    /// The network failed.
    #[error("the network of gene {gene} failed")]
    Network {
        /// The gene, or the first of several.
        gene: String,
        /// Why.
        #[source]
        source: ModelError,
    },
    /// The shared network failed.
    #[error("the network that the genes share failed")]
    Shared(#[source] ModelError),
    /// A method reads annotations and there are none.
    #[error("the method {0} reads annotations: give some, or leave the method out")]
    NoAnnotations(&'static str),
}

/// Everything that training starts from.
#[derive(Debug)]
pub struct Training {
    /// The people.
    pub cohort: Cohort,
    /// What is known of their variants.
    pub annotations: Option<Annotations>,
    /// What is to be done.
    pub plan: Plan,
    /// Where finished genes are kept.
    pub work: Work,
}

impl Training {
    /// Opens the folder below `work` that belongs to these people, annotations and plan.
    ///
    /// # Errors
    /// The folder cannot be made, or annotations are missing.
    pub fn new(
        cohort: Cohort,
        annotations: Option<Annotations>,
        plan: Plan,
        work: &Path,
    ) -> Result<Self, GenotypeTrainingError> {
        if let (Some(method), None) = (plan.methods.iter().find(|method| method.reads_annotations()), &annotations) {
            return Err(GenotypeTrainingError::NoAnnotations(method.as_str()));
        }
        let read = annotations.as_ref().map(|read| (&read.names, &read.means, &read.deviations));
        let work = Work::open(work, &(RECORDS, cohort.digest(), read, &plan))?;
        Ok(Self { cohort, annotations, plan, work })
    }

    /// Trains all methods of the plan in one round; what the work folder has is not trained again.
    ///
    /// # Errors
    /// The work folder cannot be read or written, or a network gives no numbers.
    pub fn round(
        &self,
        round: &Round,
        progress: &(dyn Fn(GenotypeProgress<'_>) + Sync),
    ) -> Result<TrainedRound, GenotypeTrainingError> {
        let Self { cohort, plan, work, .. } = self;
        let annotations = self.annotations.as_ref().filter(|_| plan.wants_annotations());
        let permuted = (round.control == Some(Control::PermutedAnnotations))
            .then(|| annotations.map(|annotations| annotations.permuted(plan.seed)))
            .flatten();
        let annotations = permuted.as_ref().or(annotations);
        let trainer = Trainer::new(cohort, plan, round);
        // Permuted annotations change nothing of what does not read them: the genes of the plain round serve.
        let is_plain = round.control == Some(Control::PermutedAnnotations);
        let plain_key = if is_plain { round.name.clone() } else { round.key() };
        let plain = trainer.genes(work, &format!("{plain_key}.plain"), ("without annotations", progress), |genes| {
            trainer.plain(genes)
        })?;
        let Some(annotations) = annotations else {
            let none = BTreeMap::new();
            return Ok(TrainedRound { round: round.clone(), genes: plain, strength: None, annotation_weights: none });
        };
        let sharing: Sharing = work.once(&format!("{}.shared", round.key()), || {
            share(&trainer, annotations, &plain, &|done, total| {
                progress(GenotypeProgress { round: &round.name, stage: "what annotations say", done, total });
            })
        })?;
        let key = format!("{}.annotated", round.key());
        let annotated = trainer.genes(work, &key, ("with annotations", progress), |genes| {
            trainer.annotated(genes, annotations, &sharing)
        })?;
        let joined = plain.into_iter().zip(annotated).map(|(mut plain, annotated)| {
            plain.methods.extend(annotated.methods);
            plain
        });
        let weights = annotations.names.iter().cloned().zip(sharing.theta.iter().copied()).collect();
        Ok(TrainedRound {
            round: round.clone(),
            genes: joined.collect(),
            strength: Some(sharing.strength),
            annotation_weights: weights,
        })
    }
}

/// What all genes of a round share.
struct Trainer<'a> {
    cohort: &'a Cohort,
    plan: &'a Plan,
    round: &'a Round,
    adjustment: Adjustment,
    /// For each person of training the inner fold that λ is chosen by.
    inner: Vec<u8>,
    /// For each person of training the member that holds the person out.
    held_out_by: Vec<u8>,
    /// Whose expression each person has, under the control of permuted expression.
    expression_of: Option<Vec<usize>>,
    settings: elastic_net::Settings,
}

impl<'a> Trainer<'a> {
    fn new(cohort: &'a Cohort, plan: &'a Plan, round: &'a Round) -> Self {
        let folds = |count: usize, what: u64| {
            balanced_folds(&cohort.people, &round.learns, count, plan.seed.wrapping_add(what))
        };
        let expression_of = (round.control == Some(Control::PermutedExpression)).then(|| permuted(cohort, plan.seed));
        Self {
            cohort,
            plan,
            round,
            adjustment: Adjustment::fit(cohort.covariates.as_ref(), &round.learns),
            inner: folds(plan.inner_folds, 1),
            held_out_by: folds(plan.cnn.members, 2),
            expression_of,
            settings: elastic_net::Settings::default(),
        }
    }

    /// Trains the genes that the work folder does not have, and returns all in the cohort's order.
    fn genes(
        &self,
        work: &Work,
        key: &str,
        (stage, progress): (&'static str, &(dyn Fn(GenotypeProgress<'_>) + Sync)),
        train: impl Fn(&[usize]) -> Result<Vec<GeneRecord>, GenotypeTrainingError> + Sync,
    ) -> Result<Vec<GeneRecord>, GenotypeTrainingError> {
        let total = self.cohort.genes.len();
        let log = work.log(key)?;
        let mut there: BTreeMap<usize, GeneRecord> = log.read()?;
        there.retain(|gene, _| *gene < total);
        let missing: Vec<usize> = (0..total).filter(|gene| !there.contains_key(gene)).collect();
        let done = std::sync::atomic::AtomicUsize::new(there.len());
        progress(GenotypeProgress { round: &self.round.name, stage, done: there.len(), total });
        let trained: Result<Vec<Vec<GeneRecord>>, GenotypeTrainingError> = missing
            .par_chunks(GENES_AT_ONCE)
            .map(|genes| {
                let records = train(genes)?;
                records.iter().try_for_each(|record| log.append(record))?;
                let done = done.fetch_add(genes.len(), std::sync::atomic::Ordering::Relaxed) + genes.len();
                progress(GenotypeProgress { round: &self.round.name, stage, done, total });
                Ok(records)
            })
            .collect();
        there.extend(trained?.into_iter().flatten().map(|record| (record.gene, record)));
        Ok(there.into_values().collect())
    }

    /// The methods that read no annotations.
    fn plain(&self, genes: &[usize]) -> Result<Vec<GeneRecord>, GenotypeTrainingError> {
        let learners: Vec<Learner<'_>> = genes.iter().map(|gene| Learner::new(self, *gene)).collect();
        let mut records = Vec::new();
        let mut tasks = Vec::new();
        for learner in &learners {
            let (record, net) = learner.elastic_net(None);
            let mut methods = BTreeMap::new();
            let shares = learner.shares(&net.solution);
            if self.plan.wants(GenotypeMethod::ScaledCnn) {
                let (standardised, bagged) = learner.network_task(net.solution.lambda, None, None);
                methods.insert(GenotypeMethod::ElasticNetBagged, bagged);
                tasks.push(standardised);
            }
            methods.insert(GenotypeMethod::ElasticNet, record);
            let heritable_z = learner.heritable_z();
            records.push(GeneRecord { gene: learner.gene, heritable_z, shares, methods });
        }
        self.networks(GenotypeMethod::ScaledCnn, &learners, tasks, &mut records)?;
        Ok(records)
    }

    /// The methods that read annotations.
    fn annotated(
        &self,
        genes: &[usize],
        annotations: &Annotations,
        sharing: &Sharing,
    ) -> Result<Vec<GeneRecord>, GenotypeTrainingError> {
        let learners: Vec<Learner<'_>> = genes.iter().map(|gene| Learner::new(self, *gene)).collect();
        let network = sharing.network().map_err(GenotypeTrainingError::Shared)?;
        let mut records = Vec::new();
        let mut tasks = Vec::new();
        for learner in &learners {
            let of_gene = learner.annotations(annotations);
            let penalty = sharing.penalty(&of_gene, learner.variants());
            let (record, net) = learner.elastic_net(Some(&penalty));
            let mut methods = BTreeMap::from([(GenotypeMethod::AnnotatedElasticNet, record)]);
            methods.retain(|method, _| self.plan.wants(*method));
            if self.plan.wants(GenotypeMethod::AnnotatedCnn) {
                let gates = network.gates(&of_gene, annotations.names.len()).map_err(GenotypeTrainingError::Shared)?;
                tasks.push(learner.network_task(net.solution.lambda, Some(&penalty), Some(&gates)).0);
            }
            records.push(GeneRecord { gene: learner.gene, heritable_z: 0.0, shares: Vec::new(), methods });
        }
        self.networks(GenotypeMethod::AnnotatedCnn, &learners, tasks, &mut records)?;
        Ok(records)
    }

    fn networks(
        &self,
        method: GenotypeMethod,
        learners: &[Learner<'_>],
        tasks: Vec<Standardised>,
        records: &mut [GeneRecord],
    ) -> Result<(), GenotypeTrainingError> {
        if tasks.is_empty() {
            return Ok(());
        }
        let started = std::time::Instant::now();
        let fault = |source| GenotypeTrainingError::Network {
            gene: learners.first().map(|learner| self.cohort.genes[learner.gene].name.to_string()).unwrap_or_default(),
            source,
        };
        let (parts, tasks): (Vec<_>, Vec<_>) = tasks.into_iter().map(Standardised::split).unzip();
        let fitted = super::scaled_cnn::fit(tasks, &self.plan.cnn, &device()).map_err(fault)?;
        let mut made = Vec::new();
        for ((learner, parts), fitted) in learners.iter().zip(parts).zip(fitted) {
            made.push(learner.network_record(&parts, &fitted).map_err(fault)?);
        }
        let seconds = seconds(started.elapsed()) / made.len().max(1) as f64;
        for (record, mut network) in records.iter_mut().zip(made) {
            network.seconds = seconds;
            record.methods.insert(method, network);
        }
        Ok(())
    }
}

fn device() -> Device {
    crate::model::device::preferred()
}

fn seconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e4).round() / 1e4
}
