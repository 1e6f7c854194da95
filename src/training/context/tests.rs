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
    ContextFit { members: 2, components: 2, epochs: 2, ..ContextFit::new(1_000, 3) }
}

fn train(reference: &Reference) -> Vec<GeneIndex> {
    (0..reference.genes().len()).filter(|gene| reference.has_shape(*gene)).collect()
}

#[test]
fn holes_are_filled_better_the_more_is_known_and_files_bring_the_model_back() {
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
    assert!(errors[1] < 0.9 * errors[0] && errors[2] < errors[1], "{errors:?} by {:?}", Known::ALL);
    let settings = model.settings().unwrap();
    let again = ContextModel::load(&settings, &model.files().unwrap()).unwrap();
    let targets: Vec<Target> = genes.iter().take(5).filter_map(|gene| Target::of_gene(&reference, *gene)).collect();
    assert_eq!(again.predict(&reference, &targets).unwrap(), model.predict(&reference, &targets).unwrap());
    let mut files = model.files().unwrap();
    files.remove("mixture-1.safetensors");
    assert!(ContextModel::load(&settings, &files).is_err());
}

#[test]
fn the_same_seed_gives_the_same_files_and_too_few_genes_are_refused() {
    let reference = reference();
    let genes = train(&reference);
    let fit = ContextFit { epochs: 1, ..fit() };
    let run = || fit_context(&reference, &genes, &fit, &|_| ()).unwrap().files().unwrap();
    assert!(run() == run(), "the same seed");
    let other = ContextFit { seed: 4, ..fit.clone() };
    assert!(run() != fit_context(&reference, &genes, &other, &|_| ()).unwrap().files().unwrap(), "another seed");
    assert!(matches!(fit_context(&reference, &genes[..6], &fit, &|_| ()), Err(TrainError::Plan(_))));
}
