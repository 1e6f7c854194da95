//! The hand-written loops against candle's operations, and those against finite differences.

use candle_core::Device;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;
use crate::model::layers::tests::{assert_gradients, noise};

const MEMBERS: usize = 3;
const PEOPLE: usize = 21;

fn draw(rng: &mut ChaCha8Rng, count: usize, size: f32) -> Vec<f32> {
    (0..count).map(|_| rng.random_range(-size..size)).collect()
}

fn example(variants: usize, genes: usize) -> (Batch, Vec<f32>, ChaCha8Rng) {
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let mut batch = Batch::new(Layout::of_variants(variants), PEOPLE);
    for _ in 0..genes {
        let gene = batch.push();
        for place in 0..variants {
            let row = draw(&mut rng, PEOPLE, 1.5);
            batch.row_mut(gene, place).copy_from_slice(&row);
        }
    }
    let parameters = draw(&mut rng, genes * MEMBERS * batch.layout.parameters(), 0.6);
    (batch, parameters, rng)
}

fn assert_close(a: &[f32], b: &[f32]) {
    assert_eq!(a.len(), b.len());
    for (at, (a, b)) in a.iter().zip(b).enumerate() {
        assert!((a - b).abs() < 2e-4 * (1.0 + b.abs()), "number {at}: {a} is not {b}");
    }
}

#[test]
fn the_loops_are_what_the_operations_are() {
    for variants in [1, TAPS, 3 * TAPS - 5] {
        let (batch, parameters, mut rng) = example(variants, 4);
        let targets = draw(&mut rng, 4 * PEOPLE, 1.0);
        let weights: Vec<f32> = draw(&mut rng, 4 * MEMBERS * PEOPLE, 1.0).iter().map(|w| w.max(0.0)).collect();
        let device = Device::Cpu;
        let targets = Targets { values: &targets, weights: &weights };
        let (predicted, gradient) = batch.learn(&parameters, MEMBERS, targets, &device).unwrap();
        let (expected, by_operations) = batch.learn_on(&parameters, MEMBERS, targets, &device).unwrap();
        assert_close(&predicted, &expected);
        assert_close(&gradient, &by_operations);
        assert_close(&batch.predict(&parameters, MEMBERS, &device).unwrap(), &expected);
    }
}

#[test]
fn gradients_of_parameters_and_inputs_are_those_of_finite_differences() {
    let (batch, ..) = example(2 * TAPS + 3, 2);
    let parameters = noise(3, &[2, MEMBERS, batch.layout.parameters()]);
    let inputs = noise(4, &[2, batch.layout.patches, TAPS, PEOPLE]);
    assert_gradients(&[("parameters", &parameters), ("inputs", &inputs)], || {
        batch.forward(parameters.as_tensor(), inputs.as_tensor()).unwrap()
    });
}

#[test]
fn every_parameter_learns() {
    let (batch, parameters, mut rng) = example(2 * TAPS, 1);
    let targets = draw(&mut rng, PEOPLE, 1.0);
    let targets = Targets { values: &targets, weights: &[1.0; MEMBERS * PEOPLE] };
    let (_, gradient) = batch.learn(&parameters, MEMBERS, targets, &Device::Cpu).unwrap();
    let layout = batch.layout;
    let tensors = layout.tensors();
    for own in gradient.chunks_exact(layout.parameters()) {
        // A channel whose positive part is 0 for everybody learns nothing; no whole tensor may be like that.
        assert!(tensors.iter().all(|range| own[range.clone()].iter().any(|value| *value != 0.0)), "{own:?}");
        assert!(own[layout.linear()].iter().all(|value| *value != 0.0));
    }
}

#[test]
fn a_gene_alone_is_what_it_is_in_a_batch() {
    let (batch, parameters, _) = example(20, 3);
    let together = batch.predict(&parameters, MEMBERS, &Device::Cpu).unwrap();
    let mut alone = Batch::new(batch.layout, PEOPLE);
    alone.push();
    for place in 0..20 {
        let start = (batch.layout.places() + place) * batch.padded;
        alone.row_mut(0, place).copy_from_slice(&batch.inputs[start..start + PEOPLE]);
    }
    let size = MEMBERS * batch.layout.parameters();
    let found = alone.predict(&parameters[size..2 * size], MEMBERS, &Device::Cpu).unwrap();
    assert_eq!(found, together[MEMBERS * PEOPLE..2 * MEMBERS * PEOPLE]);
}

#[test]
fn without_an_encoder_it_is_the_additive_model() {
    let (batch, mut parameters, _) = example(TAPS, 1);
    let layout = batch.layout;
    for own in parameters.chunks_exact_mut(layout.parameters()) {
        own[layout.head()].fill(0.0);
    }
    let predicted = batch.predict(&parameters, MEMBERS, &Device::Cpu).unwrap();
    for (member, own) in parameters.chunks_exact(layout.parameters()).enumerate() {
        for person in 0..PEOPLE {
            let weight = |place: usize| own[layout.scale()][place] * own[layout.linear()][place];
            let sum: f32 = (0..TAPS).map(|place| weight(place) * batch.inputs[place * batch.padded + person]).sum();
            assert!((predicted[member * PEOPLE + person] - sum - own[layout.bias()]).abs() < 1e-4);
        }
    }
}
