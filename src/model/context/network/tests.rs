//! Gradients, independence of the batch, the say of every input, and the file.

use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;

use super::*;
use crate::model::layers::tests::assert_gradients;
use crate::training::init::seeded;

fn settings() -> ContextNetworkSettings {
    let attention = TissueSettings { width: 8, layers: 2, heads: 2, feed_forward: 10, dropout: 0.1 };
    ContextNetworkSettings { tissues: 4, side: 2, promoter: 3, attention }
}

fn batch(genes: usize) -> ContextBatch {
    let numbers = |count: usize, step: usize| (0..count).map(|at| ((at * step + 3) % 11) as f32 / 5.0 - 1.0).collect();
    ContextBatch {
        genes,
        tissues: numbers(genes * 4 * TISSUE, 7),
        profiles: numbers(genes * 4 * 4, 5),
        places: numbers(genes * 4 * PLACE, 3),
        promoters: numbers(genes * 3, 4),
        own: numbers(genes * (OWN + 4), 9),
    }
}

fn network(dtype: DType) -> ContextNetwork {
    ContextNetwork::new(&settings(), dtype, &Device::Cpu, &mut seeded(3)).unwrap()
}

fn both(corrections: &Corrections) -> Tensor {
    Tensor::cat(&[&corrections.values, &corrections.outputs], 1).unwrap()
}

fn answers(network: &ContextNetwork, batch: &ContextBatch) -> Vec<Vec<f32>> {
    both(&network.forward(batch, &mut Pass::Infer).unwrap()).to_vec2().unwrap()
}

#[test]
fn the_whole_network_has_right_gradients() {
    let network = network(DType::F64);
    let learned: Vec<_> = network.variables().learned().collect();
    assert_gradients(&learned, || {
        let mut generator = ChaCha8Rng::seed_from_u64(1);
        both(&network.forward(&batch(3), &mut Pass::Train(&mut generator)).unwrap())
    });
}

#[test]
fn a_gene_alone_gives_what_it_gives_in_a_batch() {
    let network = network(DType::F32).frozen().unwrap();
    let together = answers(&network, &batch(3));
    for gene in 0..3 {
        let part = |values: &[f32]| values[gene * values.len() / 3..(gene + 1) * values.len() / 3].to_vec();
        let all = batch(3);
        let alone = ContextBatch {
            genes: 1,
            tissues: part(&all.tissues),
            profiles: part(&all.profiles),
            places: part(&all.places),
            promoters: part(&all.promoters),
            own: part(&all.own),
        };
        for (a, b) in answers(&network, &alone)[0].iter().zip(&together[gene]) {
            assert!((a - b).abs() < 1e-4, "{a} alone, {b} in the batch");
        }
    }
}

#[test]
fn every_input_has_a_say_in_its_own_gene_only() {
    let network = network(DType::F32).frozen().unwrap();
    let plain = answers(&network, &batch(2));
    let changes: [fn(&mut ContextBatch); 5] = [
        |batch| batch.tissues[1] += 0.5,
        |batch| batch.profiles[2] += 0.5,
        |batch| batch.places[3] += 0.5,
        |batch| batch.promoters[1] += 0.5,
        |batch| batch.own[OWN] += 0.5,
    ];
    for (index, change) in changes.iter().enumerate() {
        let mut batch = batch(2);
        change(&mut batch);
        let out = answers(&network, &batch);
        assert_ne!(out[0], plain[0], "change {index}");
        assert_eq!(out[1], plain[1], "change {index} reached another gene");
    }
}

#[test]
fn a_file_brings_it_back_and_an_uneven_batch_is_refused() {
    let network = network(DType::F32);
    let bytes = network.variables().to_bytes(DType::F32).unwrap();
    let read = ContextNetwork::from_bytes(&settings(), &bytes, &Device::Cpu).unwrap();
    assert_eq!(answers(&read, &batch(2)), answers(&network, &batch(2)));
    let wider = ContextNetworkSettings { tissues: 5, ..settings() };
    assert!(ContextNetwork::from_bytes(&wider, &bytes, &Device::Cpu).is_err());
    let mut uneven = batch(2);
    uneven.own.pop();
    assert!(matches!(network.forward(&uneven, &mut Pass::Infer), Err(ModelError::Tensor { .. })));
}
