use std::collections::BTreeMap;

use super::*;
use crate::genome::Promoter;
use crate::model::ProfileModel;
use crate::model::manifest::{Card, SCHEMA, TrainingRecord};
use crate::model::method;
use crate::reference::GeneRecord;
use crate::simulate::Simulation;
use crate::training::folds::{Split, parse_chromosomes};

/// Bases of the promoters here, with the transcription start at `TSS`: short, so that a fit takes a second.
const BASES: usize = 120;
const TSS: usize = 80;

fn reference(change: impl Fn(&mut GeneRecord)) -> Reference {
    let simulated = Simulation { genes: 72, chromosomes: 4, seed: 3 }.run().unwrap();
    let shorten = |mut record: GeneRecord| {
        let start = crate::simulate::PROMOTER_TSS - TSS;
        let cut = |promoter: &Promoter| Promoter::parse(&promoter.bases()[start..start + BASES]).unwrap();
        record.promoter = record.promoter.as_ref().map(cut);
        change(&mut record);
        record
    };
    let records = simulated.records.into_iter().map(shorten).collect();
    Reference::new(simulated.dataset, simulated.tissues, records)
}

fn split(reference: &Reference) -> Split {
    Split::by_chromosome(reference, &parse_chromosomes("4").unwrap(), &parse_chromosomes("3").unwrap()).unwrap()
}

fn plan(on_base: bool, ablation: Ablation) -> HybridPlan {
    let scale = if on_base { Scale::Log2 } else { Scale::MinMax };
    HybridPlan { scale, on_base, preset: Preset::Compact, ablation, members: 2, promoter_tss: TSS, seed: 1 }
}

fn fit(reference: &Reference, plan: &HybridPlan) -> Hybrid {
    let split = split(reference);
    fit_hybrid(reference, &split.train, &split.calibration, plan, &|_| ()).unwrap()
}

fn predict(model: &Hybrid, reference: &Reference, genes: &[GeneIndex]) -> Vec<Vec<f32>> {
    let targets: Vec<Target> = genes.iter().filter_map(|gene| Target::of_gene(reference, *gene)).collect();
    model.predict(reference, &targets).unwrap().into_iter().map(|prediction| prediction.values).collect()
}

fn apart(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn a_hybrid_is_itself_again_from_its_files_alone_and_in_a_batch() {
    for on_base in [false, true] {
        let reference = reference(|_| ());
        let test = split(&reference).test;
        let model = fit(&reference, &plan(on_base, Ablation::None));
        let card = Card {
            schema: SCHEMA,
            name: "t".to_owned(),
            version: "1".to_owned(),
            method: model.method().to_owned(),
            description: String::new(),
            scale: model.scale(),
            unit: reference.dataset().unit,
            tissues: tissue_ids(&reference),
            training: TrainingRecord {
                dataset: String::new(),
                dataset_version: String::new(),
                assembly: String::new(),
                genes: 0,
                held_out_chromosomes: Vec::new(),
                calibration_chromosomes: Vec::new(),
                seed: 1,
                command: String::new(),
                tissuecast_version: String::new(),
                seconds: 0.0,
            },
            accuracy: Vec::new(),
            hidden: Vec::new(),
            calibration: None,
            settings: model.settings().unwrap(),
            files: BTreeMap::new(),
        };
        let files = model.files().unwrap();
        let targets: Vec<Target> = test.iter().filter_map(|gene| Target::of_gene(&reference, *gene)).collect();
        let again = method::build(&card, &files).unwrap().predict(&reference, &targets).unwrap();
        let together = predict(&model, &reference, &test);
        for ((gene, whole), again) in test.iter().zip(&together).zip(&again) {
            assert_eq!(whole, &again.values, "the files hold the whole model");
            assert!(apart(&predict(&model, &reference, &[*gene])[0], whole) < 1e-4, "alone as in a batch");
        }
        let mut less = files.clone();
        less.remove("network-1.safetensors");
        assert!(
            matches!(method::build(&card, &less), Err(ModelError::File { file, .. }) if file == "network-1.safetensors")
        );
    }
}

#[test]
fn the_same_plan_gives_the_same_files_and_another_seed_others() {
    let reference = reference(|_| ());
    let files = |seed| fit(&reference, &HybridPlan { seed, ..plan(false, Ablation::None) }).files().unwrap();
    let first = files(1);
    assert!(first == files(1));
    assert!(first != files(2));
}

#[test]
fn the_targets_own_measurements_are_never_read() {
    let plain = reference(|_| ());
    let gene = split(&plain).test[0];
    let id = plain.gene(gene).id.clone();
    let altered = reference(|record| {
        if record.gene.id == id {
            record.expression.iter_mut().flatten().for_each(|value| *value = 1_000.0 - 3.0 * *value);
        }
    });
    let model = fit(&plain, &plan(true, Ablation::None));
    assert_eq!(predict(&model, &plain, &[gene]), predict(&model, &altered, &[gene]));
}

#[test]
fn each_part_can_be_left_out_and_then_does_not_matter() {
    let plain = reference(|_| ());
    let bare = reference(|record| record.promoter = None);
    let test = split(&plain).test;
    for ablation in Ablation::ALL {
        let model = fit(&plain, &plan(false, ablation));
        let differs = predict(&model, &plain, &test) != predict(&model, &bare, &test);
        assert_eq!(differs, ablation != Ablation::Cnn, "{ablation:?}: whether promoters matter");
    }
}

#[test]
fn a_place_without_a_measured_neighbour_is_answered() {
    let plain = reference(|_| ());
    let model = fit(&plain, &plan(false, Ablation::None));
    let mut target = Target::of_gene(&plain, 0).unwrap();
    target.gene = None;
    target.locus.chromosome = crate::genome::Chromosome::parse("chr99").unwrap();
    let prediction = model.predict(&plain, &[target]).unwrap().remove(0);
    assert!(prediction.references.is_empty());
    assert!(prediction.values.iter().all(|value| value.is_finite()));
}

#[test]
fn too_few_genes_are_an_error_that_says_what_is_needed() {
    let plain = reference(|_| ());
    let split = split(&plain);
    let plan = plan(false, Ablation::None);
    let few = fit_hybrid(&plain, &split.train[..3], &split.calibration, &plan, &|_| ());
    assert!(few.unwrap_err().to_string().contains("two chromosomes"));
    let none = fit_hybrid(&plain, &split.train, &[], &plan, &|_| ());
    assert!(none.unwrap_err().to_string().contains("calibration"));
}
