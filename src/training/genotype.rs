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
#[cfg(test)]
mod tests;
mod work;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use candle_core::Device;
use rand::seq::SliceRandom;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use self::annotated::{Sharing, share};
use self::gene::{Learner, Standardised};
pub use self::work::{Work, WorkError};
use super::annotation::Annotations;
use super::cohort::people::{balanced_folds, populations};
use super::cohort::{Cohort, covariates::Adjustment};
use super::elastic_net;
use super::init::generator;
use super::scaled_cnn::CnnSettings;
use crate::model::ModelError;

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

/// A negative control.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Control {
    /// Within each gene, variants have each other's annotations.
    PermutedAnnotations,
    /// People have each other's expression, within their populations.
    PermutedExpression,
}

impl Control {
    /// Returns the name as reports have it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PermutedAnnotations => "permuted annotations",
            Self::PermutedExpression => "permuted expression",
        }
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

/// People to learn from, and people to predict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Round {
    /// The round's name: `fold-1`…, `without-FIN`…, `everybody`.
    pub name: String,
    /// The people to learn from, ascending.
    pub learns: Vec<usize>,
    /// The people that are held out, ascending.
    pub held_out: Vec<usize>,
    /// The control that the round is run under.
    pub control: Option<Control>,
}

impl Round {
    /// Returns the rounds of the outer folds, every population spread evenly over them.
    #[must_use]
    pub fn folds(cohort: &Cohort, plan: &Plan, control: Option<Control>) -> Vec<Self> {
        let everybody: Vec<usize> = (0..cohort.people.len()).collect();
        let folds = balanced_folds(&cohort.people, &everybody, plan.outer_folds, plan.seed);
        let round = |fold: usize| {
            let (held_out, learns) = everybody.iter().partition(|person| usize::from(folds[**person]) == fold);
            Self { name: format!("fold-{}", fold + 1), learns, held_out, control }
        };
        (0..plan.outer_folds).map(round).collect()
    }

    /// Returns a round for each population, which is held out whole; none where there are fewer than two.
    #[must_use]
    pub fn populations(cohort: &Cohort) -> Vec<Self> {
        let populations = populations(&cohort.people);
        if populations.len() < 2 {
            return Vec::new();
        }
        let round = |(name, held_out): (_, &Vec<usize>)| {
            let learns = (0..cohort.people.len()).filter(|person| !held_out.contains(person)).collect();
            Self { name: format!("without-{name}"), learns, held_out: held_out.clone(), control: None }
        };
        populations.iter().map(round).collect()
    }

    /// Returns the round that learns from everybody: its models are served.
    #[must_use]
    pub fn everybody(cohort: &Cohort) -> Self {
        let learns = (0..cohort.people.len()).collect();
        Self { name: "everybody".to_owned(), learns, held_out: Vec::new(), control: None }
    }

    /// Returns the name as a fold of a split: `1`…, or the population that is left out.
    #[must_use]
    pub fn fold_name(&self) -> &str {
        ["fold-", "without-"].iter().find_map(|prefix| self.name.strip_prefix(prefix)).unwrap_or(&self.name)
    }

    fn key(&self) -> String {
        match self.control {
            None => self.name.clone(),
            Some(control) => format!("{}.{}", self.name, control.as_str().replace(' ', "-")),
        }
    }
}

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

/// Returns the method that serves a gene: the one that the inner folds of the gene's own training people favour, the
/// simplest among equals.
#[must_use]
pub fn choose(gene: &GeneRecord) -> Option<GenotypeMethod> {
    let served = gene.methods.iter().filter(|(method, _)| method.is_served());
    served.min_by(|a, b| a.1.inner_error.total_cmp(&b.1.inner_error).then(a.0.cmp(b.0))).map(|(method, _)| *method)
}

/// The z at and above which a gene counts as heritable in a round: one-sided p of 0.05, roughly.
pub const HERITABLE_Z: f64 = 1.645;

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
        let names = annotations.as_ref().map(|annotations| (&annotations.names, &annotations.means));
        let work = Work::open(work, &(cohort.digest(), names, &plan, env!("CARGO_PKG_VERSION")))?;
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
            let penalty = sharing.penalty(&of_gene);
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

/// Whose expression each person has: shuffled within populations, so that differences between them stay.
fn permuted(cohort: &Cohort, seed: u64) -> Vec<usize> {
    let mut order: Vec<usize> = (0..cohort.people.len()).collect();
    let mut rng = generator(seed, "permuted expression");
    let mut groups = populations(&cohort.people);
    let placed: Vec<usize> = groups.values().flatten().copied().collect();
    let others: Vec<usize> = order.iter().copied().filter(|person| !placed.contains(person)).collect();
    groups.insert("".into(), others);
    for people in groups.values() {
        let mut shuffled = people.clone();
        shuffled.shuffle(&mut rng);
        people.iter().zip(shuffled).for_each(|(person, other)| order[*person] = other);
    }
    order
}
