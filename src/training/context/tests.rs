//! The model learns what a simulated genome holds, reads holes, and is the same again and after a trip through its files.

use super::*;
use crate::model::{Known, ProfileModel as _};
use crate::simulate::Simulation;
use crate::training::masking::keep_some;

fn reference() -> Reference {
    let genome = Simulation { genes: 240, chromosomes: 4, seed: 5 }.run().unwrap();
    Reference::new(crate::reference::tests::dataset(), genome.tissues, genome.records)
}

fn fit() -> ContextFit {
    ContextFit { members: 2, trees: 4, components: 2, epochs: 2, ..ContextFit::new(1_000, 3) }
}

fn train(reference: &Reference) -> Vec<GeneIndex> {
    (0..reference.genes().len()).filter(|gene| reference.has_shape(*gene)).collect()
}

#[test]
fn holes_are_filled_better_the_more_is_known_the_same_each_time_and_after_a_trip_through_files() {
    let reference = reference();
    let genes = train(&reference);
    let model = fit_context(&reference, &genes, &fit(), &|_| ()).unwrap();
    let mut rng = crate::training::init::generator(1, "test");
    let mut errors = Vec::new();
    let tissues = reference.tissues().len();
    for known in [0, tissues / 5, tissues * 4 / 5] {
        let target = |gene: &GeneIndex| {
            let kept = keep_some(reference.expression(*gene), known, &mut rng);
            Target::of_gene(&reference, *gene).unwrap().with_measured(&kept)
        };
        let targets: Vec<Target> = genes.iter().take(60).map(target).collect();
        let predictions = model.predict(&reference, &targets).unwrap();
        let (mut sum, mut count) = (0.0, 0.0);
        for (target, prediction) in targets.iter().zip(&predictions) {
            let truth = Scale::Log2.forward(reference.expression(target.gene.unwrap()));
            for (at, truth) in truth.iter().enumerate() {
                assert!(prediction.spread[at] > 0.0);
                if target.measured.get(at).is_some_and(|value| value.is_finite()) {
                    assert!((prediction.values[at] - truth).abs() < 1e-5, "a measured value stays");
                } else {
                    sum += f64::from(prediction.values[at] - truth).powi(2);
                    count += 1.0;
                }
            }
        }
        errors.push((sum / count).sqrt());
        let alone = model.predict(&reference, &targets[3..4]).unwrap();
        for (a, b) in alone[0].values.iter().zip(&predictions[3].values) {
            assert!((a - b).abs() < 1e-4, "{a} alone, {b} in a batch");
        }
    }
    // The genes are those of the fit, so that even without a known tissue the error is small.
    assert!(errors[1] < errors[0] && errors[2] < 0.8 * errors[0], "{errors:?} by {:?}", Known::ALL);
    let same = fit_context(&reference, &genes, &fit(), &|_| ()).unwrap();
    assert!(same.files().unwrap() == model.files().unwrap(), "the same seed");
    let settings = model.settings().unwrap();
    let again = ContextModel::load(&settings, &model.files().unwrap()).unwrap();
    let targets: Vec<Target> = genes.iter().take(5).filter_map(|gene| Target::of_gene(&reference, *gene)).collect();
    assert_eq!(again.predict(&reference, &targets).unwrap(), model.predict(&reference, &targets).unwrap());
    let mut files = model.files().unwrap();
    files.remove("mixture-1.safetensors");
    assert!(ContextModel::load(&settings, &files).is_err());
}

#[test]
fn too_few_genes_are_refused_at_once() {
    let reference = reference();
    assert!(matches!(fit_context(&reference, &train(&reference)[..6], &fit(), &|_| ()), Err(TrainError::Plan(_))));
}

#[test]
fn folds_are_never_tiny_nor_nearly_all() {
    use crate::genome::Strand;
    use crate::reference::tests::{dataset, record};
    let of = |sizes: &[u32]| {
        let gene = |chromosome: usize, at: u32| {
            let place = Some((["1", "2", "3", "X"][chromosome], 100 * at + 1, 100 * at + 50, Strand::Forward));
            record(&format!("g{chromosome}_{at}"), place, Some(&[at as f32, 1.5]))
        };
        let records =
            sizes.iter().enumerate().flat_map(|(chromosome, size)| (0..*size).map(move |at| gene(chromosome, at)));
        let tissues = ["Liver", "Lung"].map(crate::genome::Tissue::from_name).to_vec();
        let reference = Reference::new(dataset(), tissues, records.collect());
        let genes: Vec<GeneIndex> = (0..reference.genes().len()).collect();
        deal(&reference, &genes, 4).map(|folds| folds.iter().map(Vec::len).collect::<Vec<_>>())
    };
    assert_eq!(of(&[40, 30, 20, 2]), Some(vec![40, 30, 22]));
    assert_eq!(of(&[400, 10]), Some(vec![205, 205]), "one chromosome has nearly all genes");
    assert_eq!(of(&[9]), Some(vec![5, 4]));
    assert_eq!(of(&[4, 3]), None);
}
