//! From the round of everybody to the models that are served.

use half::f16;

use super::{GenotypeMethod, NetworkWeights, TrainedRound, Weights};
use crate::genome::Position;
use crate::genotype::variants::{ModelVariant, VariantTable};
use crate::model::ModelError;
use crate::model::expression::linear::Linear;
use crate::model::expression::network::{Encoder, GenotypeNetwork};
use crate::model::expression::{GeneAccuracy, ModelGene};
use crate::model::scaled_cnn::Layout;
use crate::training::cohort::Cohort;

/// A model as it is stored.
#[derive(Debug, Clone, PartialEq)]
pub enum BuiltModel {
    /// Every gene is a weighted sum.
    Linear(Linear),
    /// Some genes have encoders.
    Network(GenotypeNetwork),
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
    let (mut genes, mut rows, mut weights, mut encoders) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (at, (gene, record)) in cohort.genes.iter().zip(&round.genes).enumerate() {
        let start = rows.len();
        let of_method = choose(at).and_then(|method| record.methods.get(&method));
        let mut encoder = None;
        match of_method.and_then(|record| record.weights.as_ref()) {
            Some(Weights::Linear(own)) => {
                rows.extend(own.iter().map(|(variant, _)| row(cohort, *variant)));
                weights.extend(own.iter().map(|(_, weight)| *weight));
            }
            Some(Weights::Network(network)) => {
                let (own, additive, encoded) = of_network(cohort, network);
                rows.extend(own);
                weights.extend(additive);
                encoder = encoded;
            }
            None => {}
        }
        encoders.push(encoder);
        let place = |base: u32| Position::new(base).ok_or(ModelError::NotFinite);
        genes.push(ModelGene {
            id: gene.id.clone(),
            version: gene.version,
            name: gene.name.clone(),
            symbol: gene.symbol.clone(),
            biotype: gene.biotype.clone(),
            locus: Some((gene.chromosome.clone(), place(gene.start + 1)?, place(gene.end)?)),
            accuracy: accuracy(at),
            rows: start..rows.len(),
        });
    }
    let table = VariantTable {
        rows,
        assembly: cohort.assembly.clone(),
        other_is_reference: cohort.other_is_reference,
        lifted: None,
    };
    let linear = Linear::new(genes, table, weights)?;
    if encoders.iter().all(Option::is_none) {
        return Ok(BuiltModel::Linear(linear));
    }
    Ok(BuiltModel::Network(GenotypeNetwork::new(linear, encoders)?))
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

/// The rows of a network, what its linear skip adds by copy, and the encoder where it adds anything at all.
fn of_network(cohort: &Cohort, network: &NetworkWeights) -> (Vec<ModelVariant>, Vec<f64>, Option<Encoder>) {
    let layout = Layout::of_variants(network.variants.len());
    let members = network.parameters.chunks_exact(layout.parameters());
    let is_encoding = members.clone().any(|own| own[layout.head()].iter().any(|value| *value != 0.0));
    // Without an encoder the sum is of plain dosages; half precision would only blur it.
    let deviation = |at: usize| if is_encoding { half(network.deviations[at]) } else { network.deviations[at] };
    let additive = |at: usize| {
        let sum: f64 = members.clone().map(|own| f64::from(own[at]) * f64::from(own[layout.linear()][at])).sum();
        sum / network.members as f64 / f64::from(deviation(at))
    };
    let reads = |at: &usize| is_encoding || members.clone().any(|own| own[*at] != 0.0);
    let kept: Vec<usize> = (0..network.variants.len()).filter(reads).collect();
    let rows = kept.iter().map(|at| row(cohort, network.variants[*at])).collect();
    // A float's digits are enough, and the file packs better.
    let weights = kept.iter().map(|at| f64::from(additive(*at) as f32)).collect();
    let encoder = is_encoding.then(|| {
        let mut parameters = network.parameters.clone();
        for own in parameters.chunks_exact_mut(layout.parameters()) {
            own[layout.linear()].fill(0.0);
            own.iter_mut().for_each(|value| *value = half(*value));
        }
        let deviations = (0..network.variants.len()).map(deviation).collect();
        Encoder { parameters, members: network.members, deviations }
    });
    (rows, weights, encoder)
}

/// Rounds to what half precision holds.
fn half(value: f32) -> f32 {
    f16::from_f32(value).to_f32()
}
