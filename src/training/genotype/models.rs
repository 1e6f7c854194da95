//! From the round of everybody to the models that are served.

use std::sync::Arc;

use half::f16;
use rayon::prelude::*;

use super::{GenotypeMethod, NetworkWeights, TrainedRound, Weights};
use crate::genome::Position;
use crate::genotype::variants::{ModelVariant, VariantTable};
use crate::model::ModelError;
use crate::model::expression::linear::Linear;
use crate::model::expression::network::{Encoder, GenotypeNetwork};
use crate::model::expression::{Gathered, GeneAccuracy, GenotypeModel, ModelGene};
use crate::model::scaled_cnn::Layout;
use crate::training::cohort::Cohort;

/// A model with the cohort's variants that its rows count.
#[derive(Debug, Clone, PartialEq)]
pub struct BuiltModel {
    /// The model.
    pub model: GenotypeNetwork,
    /// The cohort's variant of each row.
    variants: Vec<usize>,
}

impl BuiltModel {
    /// Predicts the people of the cohort from its own dosages, past every file and all matching: one list a gene, NaN
    /// where the gene has no variants.
    ///
    /// # Errors
    /// The model fails.
    pub fn fitted(&self, cohort: &Cohort) -> Result<Vec<Vec<f64>>, ModelError> {
        let (model, people) = (&self.model, cohort.people.len());
        let of_gene = |(at, gene): (usize, &ModelGene)| {
            if gene.rows.is_empty() {
                return Ok(vec![f64::NAN; people]);
            }
            let dosages = cohort.dosages(self.variants[gene.rows.clone()].iter().copied());
            let rows = gene.rows.clone().zip(dosages.chunks_exact(people)).map(|(row, own)| (row, Arc::from(own)));
            let gathered = Gathered { gene: at, people, rows: rows.collect() };
            model.finish_batch(&[gathered]).map(|values| values.into_iter().next().unwrap_or_default())
        };
        model.genes().par_iter().enumerate().map(of_gene).collect()
    }
}

/// Builds the model in which each gene is predicted by the method that `choose` names; a gene without one, or without
/// any variant that has a weight, stays in it without variants.
///
/// # Errors
/// A number of a network is not finite.
pub fn build(
    cohort: &Cohort,
    round: &TrainedRound,
    choose: impl Fn(usize) -> Option<GenotypeMethod>,
    accuracy: impl Fn(usize) -> Option<GeneAccuracy>,
) -> Result<BuiltModel, ModelError> {
    let (mut genes, mut variants, mut weights, mut encoders) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (at, (gene, record)) in cohort.genes.iter().zip(&round.genes).enumerate() {
        let start = variants.len();
        let of_method = choose(at).and_then(|method| record.methods.get(&method));
        let mut encoder = None;
        match of_method.and_then(|record| record.weights.as_ref()) {
            Some(Weights::Linear(own)) => {
                variants.extend(own.iter().map(|(variant, _)| *variant));
                weights.extend(own.iter().map(|(_, weight)| *weight));
            }
            Some(Weights::Network(network)) => {
                let (own, additive, encoded) = of_network(network);
                variants.extend(own);
                weights.extend(additive);
                encoder = encoded;
            }
            None => {}
        }
        encoders.push(encoder);
        let (first, last) = gene.body();
        let place = |base: u32| Position::new(base).ok_or(ModelError::NotFinite);
        genes.push(ModelGene {
            id: gene.id.clone(),
            version: gene.version,
            name: gene.name.clone(),
            symbol: gene.symbol.clone(),
            biotype: gene.biotype.clone(),
            locus: Some((gene.chromosome.clone(), place(first)?, place(last)?)),
            accuracy: accuracy(at),
            rows: start..variants.len(),
        });
    }
    let table = VariantTable {
        rows: variants.iter().map(|variant| row(cohort, *variant)).collect(),
        assembly: cohort.assembly.clone(),
        other_is_reference: cohort.other_is_reference,
        lifted: None,
    };
    let linear = Linear::new(genes, table, weights)?;
    Ok(BuiltModel { model: GenotypeNetwork::new(linear, encoders)?, variants })
}

fn row(cohort: &Cohort, variant: usize) -> ModelVariant {
    let variant = &cohort.variants[variant];
    ModelVariant {
        id: variant.id.clone(),
        place: Some((variant.chromosome.clone(), variant.position)),
        other: variant.other.clone(),
        effect: variant.effect.clone(),
        frequency: Some(variant.frequency),
    }
}

/// The variants of a network, what its linear skip adds by copy, and the encoder where it adds anything at all.
fn of_network(network: &NetworkWeights) -> (Vec<usize>, Vec<f64>, Option<Encoder>) {
    let layout = Layout::of_variants(network.variants.len());
    let members = network.parameters.chunks_exact(layout.parameters());
    let is_encoding = members.clone().any(|own| own[layout.head()].iter().any(|value| *value != 0.0));
    // Without an encoder the sum is of plain dosages; half precision would only blur it.
    let deviation = |at: usize| if is_encoding { half(network.deviations[at]) } else { network.deviations[at] };
    let additive = |at: usize| {
        let sum: f64 = members.clone().map(|own| f64::from(own[at]) * f64::from(own[layout.linear()][at])).sum();
        sum / network.members as f64 / f64::from(deviation(at))
    };
    let reads = |at: &usize| is_encoding || additive(*at) != 0.0;
    let kept: Vec<usize> = (0..network.variants.len()).filter(reads).collect();
    let variants = kept.iter().map(|at| network.variants[*at]).collect();
    // A float's digits are enough, and the file packs better.
    let weights = kept.iter().map(|at| f64::from(additive(*at) as f32)).collect();
    let encoder = is_encoding.then(|| {
        let mut parameters = network.parameters.clone();
        // Half precision holds neither a large unit of expression nor a tiny one: the largest number behind is 1.
        let behind = |own: &[f32]| own[layout.head().start..].iter().fold(0.0f32, |most, value| most.max(value.abs()));
        let unit = parameters.chunks_exact(layout.parameters()).map(behind).fold(f32::MIN_POSITIVE, f32::max);
        for own in parameters.chunks_exact_mut(layout.parameters()) {
            own[layout.linear()].fill(0.0);
            for value in &mut own[layout.head().start..] {
                *value /= unit;
            }
            for value in own {
                *value = half(*value);
            }
        }
        let deviations = (0..network.variants.len()).map(deviation).collect();
        Encoder { parameters, members: network.members, deviations, unit }
    });
    (variants, weights, encoder)
}

/// Rounds to what half precision holds.
fn half(value: f32) -> f32 {
    f16::from_f32(value).to_f32()
}
