//! Networks as genotype models: sums, explanations, rows that are not there, and the files.

use std::sync::Arc;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;
use crate::genome::{Allele, Chromosome, GeneId, Position};
use crate::genotype::variants::ModelVariant;
use crate::model::expression::network_file;

const PEOPLE: usize = 7;

/// A model whose first gene has an encoder over 20 variants, and whose second is a sum of 3.
fn model() -> GenotypeNetwork {
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    let counts = [20, 3];
    let (mut genes, mut rows, mut weights) = (Vec::new(), Vec::new(), Vec::new());
    for (at, count) in counts.into_iter().enumerate() {
        let name = format!("ENSG0000000000{at}");
        let (id, version) = GeneId::parse(&name).unwrap();
        genes.push(ModelGene {
            id,
            version,
            name: name.into(),
            symbol: None,
            biotype: None,
            locus: None,
            accuracy: None,
            rows: rows.len()..rows.len() + count,
        });
        for _ in 0..count {
            rows.push(ModelVariant {
                id: None,
                place: Some((Chromosome::parse("1").unwrap(), Position::new(rows.len() as u32 + 1).unwrap())),
                other: Allele::parse("A").unwrap(),
                effect: Allele::parse("C").unwrap(),
                frequency: Some(rng.random_range(0.1..0.9)),
            });
            weights.push(rng.random_range(-0.5..0.5));
        }
    }
    let layout = Layout::of_variants(20);
    let mut parameters: Vec<f32> = (0..2 * layout.parameters()).map(|_| rng.random_range(-0.5..0.5)).collect();
    for own in parameters.chunks_exact_mut(layout.parameters()) {
        own[layout.linear()].fill(0.0);
        for value in own {
            *value = half::f16::from_f32(*value).to_f32();
        }
    }
    let encoder = Encoder { parameters, members: 2, deviations: vec![0.5; 20], unit: 3.0 };
    let linear = Linear::new(genes, VariantTable { rows, ..VariantTable::default() }, weights).unwrap();
    GenotypeNetwork::new(linear, vec![Some(encoder), None]).unwrap()
}

fn gathered(model: &GenotypeNetwork, gene: usize) -> Gathered {
    let mut rng = ChaCha8Rng::seed_from_u64(9);
    let rows = model.genes()[gene].rows.clone();
    let mut dosages = || (0..PEOPLE).map(|_| rng.random_range(0..3) as f32).collect::<Arc<[f32]>>();
    Gathered { gene, people: PEOPLE, rows: rows.map(|row| (row, dosages())).collect() }
}

#[test]
fn a_gene_is_the_same_alone_together_and_in_any_order_of_rows() {
    let model = model();
    let genes = [gathered(&model, 0), gathered(&model, 1), gathered(&model, 0)];
    let together = model.finish_batch(&genes).unwrap();
    assert_eq!(together[0], together[2]);
    let mut turned = genes[0].clone();
    turned.rows.reverse();
    for (alone, expected) in model.finish_batch(&[turned]).unwrap()[0].iter().zip(&together[0]) {
        assert!((alone - expected).abs() < 1e-9);
    }
    let mut one_by_one = model.start(0, PEOPLE);
    genes[0].rows.iter().for_each(|(row, dosages)| one_by_one.add(*row, dosages));
    assert_eq!(one_by_one.finish().unwrap(), together[0]);
}

#[test]
fn explanations_add_up() {
    let model = model();
    for gene in [0, 1] {
        let explained = model.explain(&[gathered(&model, gene)]).unwrap().remove(0);
        for (person, value) in explained.values.iter().enumerate() {
            let sum: f64 = explained.contributions.iter().map(|(_, own)| own[person]).sum();
            assert!((explained.base + sum - value).abs() < 1e-9, "gene {gene}, person {person}");
        }
    }
}

#[test]
fn a_row_that_is_not_there_is_at_the_mean_and_one_not_known_makes_the_answer_unknown() {
    let model = model();
    for gene in [0, 1] {
        let mut without = gathered(&model, gene);
        let (row, _) = without.rows.remove(1);
        let mut at_mean = without.clone();
        at_mean.rows.push((row, vec![model.mean(row); PEOPLE].into()));
        let (without, at_mean) =
            (model.finish_batch(&[without]).unwrap().remove(0), model.finish_batch(&[at_mean]).unwrap().remove(0));
        for (a, b) in without.iter().zip(&at_mean) {
            assert!((a - b).abs() < 1e-6);
        }
        let mut unknown = gathered(&model, gene);
        let mut dosages = unknown.rows[1].1.to_vec();
        dosages[3] = f32::NAN;
        unknown.rows[1].1 = dosages.into();
        let values = model.finish_batch(&[unknown]).unwrap().remove(0);
        assert!(values.iter().enumerate().all(|(person, value)| value.is_nan() == (person == 3)), "{values:?}");
    }
}

#[test]
fn weights_scales_and_importance_are_those_of_the_gene() {
    let model = model();
    assert!(model.weight(0).is_none() && model.scale(0).is_some());
    assert!(model.weight(21).is_some() && model.scale(21) == Some(model.importance(21)));
    assert!((0..23).all(|row| model.importance(row) > 0.0));
    assert!(
        (model.neutral_dosage(0) - model.mean(0)).abs() < 1e-6
            && (model.neutral_dosage(21) - model.mean(21)).abs() < 1e-6
    );
}

#[test]
fn files_load_as_they_were_stored_and_damaged_ones_are_refused() {
    let model = model();
    let files = network_file::store(&model).unwrap();
    assert_eq!(network_file::load(&files).unwrap(), model);
    for name in files.keys() {
        for cut in [0, files[name].len() / 2, files[name].len() - 1] {
            let mut damaged = files.clone();
            damaged.get_mut(name).unwrap().truncate(cut);
            assert!(network_file::load(&damaged).is_err(), "{name} cut to {cut}");
        }
        let mut missing = files.clone();
        missing.remove(name);
        assert!(network_file::load(&missing).is_err(), "{name} missing");
    }
    let encoder = model.encoders()[0].clone().unwrap();
    let wrong = [
        Encoder { members: 3, ..encoder.clone() },
        Encoder { deviations: vec![0.0; 20], ..encoder.clone() },
        Encoder { parameters: vec![f32::NAN; encoder.parameters.len()], ..encoder },
    ];
    for encoder in wrong {
        assert!(GenotypeNetwork::new(model.additive().clone(), vec![Some(encoder), None]).is_err());
    }
    assert!(GenotypeNetwork::new(model.additive().clone(), vec![None]).is_err());
}
