//! What a round's genes share: how annotations bear on where a gene's weight lies.
//!
//! Learned from the round's own people, from the genes that they predict best. The elastic net gets it as penalty
//! factors, exp(−strength × θ · annotations), with the strength by inner folds; the network gets it as gates on its
//! scales. Both read the same annotations.

use std::collections::BTreeMap;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::gene::{Learner, Standardised};
use super::{GeneRecord, GenotypeMethod, GenotypeTrainingError, Trainer, device};
use crate::model::ModelError;
use crate::training::annotation::Annotations;
use crate::training::annotation_network::{AnnotatedVariants, AnnotationNetwork};
use crate::training::annotation_prior::{GeneShares, fit, penalty_factors};
use crate::training::scaled_cnn::Fit;

/// Ridge on θ, in genes.
const RIDGE: f64 = 1.0;
/// Steps of the network on where elastic nets put their weight.
const SHARE_STEPS: usize = 150;
/// Steps of the network together with the genes' own.
const JOINT_STEPS: usize = 40;
/// Genes of one batch while they learn together.
const JOINT_BATCH: usize = 16;

/// What the genes of a round share.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Sharing {
    /// What each annotation adds to the log of a variant's share of weight.
    pub(super) theta: Vec<f64>,
    /// How strongly θ counts in the elastic net's penalty.
    pub(super) strength: f64,
    /// Mean inner error by strength, over the genes that were learned from.
    errors: Vec<(f64, f64)>,
    /// The shared network's numbers by name.
    network: BTreeMap<String, Vec<f32>>,
}

impl Sharing {
    /// The penalty factors of a gene's variants.
    pub(super) fn penalty(&self, annotations: &[f32], variants: usize) -> Vec<f64> {
        if self.theta.is_empty() {
            return vec![1.0; variants];
        }
        penalty_factors(&self.theta, self.strength, annotations)
    }

    /// The shared network.
    pub(super) fn network(&self) -> Result<AnnotationNetwork, ModelError> {
        AnnotationNetwork::of_numbers(self.theta.len(), &self.network)
    }
}

/// A gene that is learned from.
struct Example {
    gene: usize,
    annotations: Vec<f32>,
    shares: Vec<f32>,
    lambda_error: f64,
}

/// Learns what the genes share.
pub(super) fn share(
    trainer: &Trainer<'_>,
    annotations: &Annotations,
    plain: &[GeneRecord],
    progress: &(dyn Fn(usize, usize) + Sync),
) -> Result<Sharing, GenotypeTrainingError> {
    let width = annotations.names.len();
    let examples = examples(trainer, annotations, plain);
    let of_genes: Vec<GeneShares<'_>> = examples
        .iter()
        .map(|example| GeneShares { annotations: &example.annotations, shares: &example.shares })
        .collect();
    let theta = fit(&of_genes, width, RIDGE);
    let total = trainer.plan.strengths.len() + 1;
    let mut errors = vec![(0.0, mean(examples.iter().map(|example| example.lambda_error)))];
    for (done, strength) in trainer.plan.strengths.iter().enumerate() {
        progress(done, total);
        let error = |example: &Example| {
            let penalty = penalty_factors(&theta, *strength, &example.annotations);
            Learner::new(trainer, example.gene).elastic_net(Some(&penalty)).0.inner_error
        };
        let found: Vec<f64> = examples.par_iter().map(error).collect();
        errors.push((*strength, mean(found.into_iter())));
    }
    // Ties go to the weaker: without evidence, annotations say nothing.
    let strength = errors.iter().fold((0.0, f64::INFINITY), |best, now| if now.1 < best.1 { *now } else { best }).0;
    progress(total - 1, total);
    let mut sharing = Sharing { theta, strength, errors, network: BTreeMap::new() };
    let network = network(trainer, &examples, &sharing, width).map_err(GenotypeTrainingError::Shared)?;
    sharing.network = network.numbers().map_err(GenotypeTrainingError::Shared)?;
    Ok(sharing)
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = values.fold((0.0, 0usize), |(sum, count), value| (sum + value, count + 1));
    sum / count.max(1) as f64
}

/// The genes that the round's people predict best among those with any weight.
fn examples(trainer: &Trainer<'_>, annotations: &Annotations, plain: &[GeneRecord]) -> Vec<Example> {
    let net = |record: &GeneRecord| {
        let net = record.methods.get(&GenotypeMethod::ElasticNet)?;
        (!record.shares.is_empty() && net.inner_r2 > 0.0).then_some((net.inner_r2, net.inner_error))
    };
    let mut able: Vec<(f64, f64, &GeneRecord)> =
        plain.iter().filter_map(|record| net(record).map(|(r2, error)| (r2, error, record))).collect();
    able.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.2.gene.cmp(&b.2.gene)));
    able.truncate(trainer.plan.shared_genes);
    able.sort_by_key(|(.., record)| record.gene);
    let example = |(_, error, record): &(f64, f64, &GeneRecord)| {
        let window = trainer.cohort.window(record.gene);
        let variants: Vec<usize> = window.clone().collect();
        let mut shares = vec![0.0; window.len()];
        record.shares.iter().for_each(|(row, share)| shares[*row as usize] = *share);
        let annotations = annotations.of_gene(trainer.cohort, record.gene, &variants);
        Example { gene: record.gene, annotations, shares, lambda_error: *error }
    };
    able.par_iter().map(example).collect()
}

fn network(
    trainer: &Trainer<'_>,
    examples: &[Example],
    sharing: &Sharing,
    width: usize,
) -> Result<AnnotationNetwork, ModelError> {
    let mut network = AnnotationNetwork::new(width, trainer.plan.seed)?;
    if examples.is_empty() || !trainer.plan.methods.contains(&GenotypeMethod::AnnotatedCnn) {
        return Ok(network);
    }
    let mut variants = AnnotatedVariants::default();
    for example in examples {
        variants.push(&example.annotations, width);
    }
    let shares: Vec<f32> = examples.iter().flat_map(|example| &example.shares).copied().collect();
    for _ in 0..SHARE_STEPS {
        network.fit_shares(&variants, &shares, width)?;
    }
    // Then together with the genes' own networks.
    let mut joint = AnnotatedVariants::default();
    let mut fits = Vec::new();
    for examples in examples.chunks(JOINT_BATCH) {
        let gates: Result<Vec<Vec<f32>>, ModelError> =
            examples.iter().map(|example| network.gates(&example.annotations, width)).collect();
        let tasks: Vec<Standardised> = examples
            .par_iter()
            .zip(gates?)
            .map(|(example, gates)| {
                let learner = Learner::new(trainer, example.gene);
                let penalty = sharing.penalty(&example.annotations, example.shares.len());
                let net = learner.elastic_net(Some(&penalty)).1;
                learner.network_task(net.solution.lambda, Some(&penalty), Some(&gates)).0
            })
            .collect();
        for (task, example) in tasks.iter().zip(examples) {
            let own = task.rows().iter().flat_map(|row| &example.annotations[row * width..(row + 1) * width]);
            joint.push(&own.copied().collect::<Vec<f32>>(), width);
        }
        let tasks = tasks.into_iter().map(|task| task.split().1).collect();
        fits.push(Fit::new(tasks, &trainer.plan.cnn, &device()));
    }
    for _ in 0..JOINT_STEPS {
        let mut gradient = Vec::with_capacity(joint.annotations.len() / width.max(1));
        let mut genes = joint.genes.iter();
        for fit in &mut fits {
            let of_genes: Vec<std::ops::Range<usize>> = genes.by_ref().take(fit.genes()).cloned().collect();
            let gates = of_genes
                .iter()
                .map(|rows| network.gates(&joint.annotations[rows.start * width..rows.end * width], width))
                .collect::<Result<Vec<_>, _>>()?;
            fit.set_gates(&gates);
            let by_gate = fit.step()?.unwrap_or_default();
            let lengths: Vec<usize> = of_genes.iter().map(ExactSizeIterator::len).collect();
            gradient.extend(fit.by_variant(&by_gate, &lengths));
        }
        let count = examples.len() as f32;
        for value in &mut gradient {
            *value /= count;
        }
        network.descend(&joint, gradient, width)?;
    }
    Ok(network)
}
