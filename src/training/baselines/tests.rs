use super::*;
use crate::evaluation::metrics::{GeneScore, mean};
use crate::model::Prediction;
use crate::model::baseline::{WEIGHTS_FILE, load};
use crate::model::features::FeatureError;
use crate::simulate::{Simulated, Simulation};
use crate::training::folds::{Split, parse_chromosomes};

/// No inner folds: the penalty stays 1, and a test is quick.
const QUICK: BaselineSettings = BaselineSettings { promoter_tss: 1_000, inner_folds: 1 };

fn simulated(genes: usize) -> Reference {
    let Simulated { dataset, tissues, records } = Simulation { genes, chromosomes: 4, seed: 5 }.run().unwrap();
    Reference::new(dataset, tissues, records)
}

fn reference() -> Reference {
    simulated(80)
}

fn split(reference: &Reference) -> Split {
    Split::by_chromosome(reference, &parse_chromosomes("2").unwrap(), &[]).unwrap()
}

fn predict(model: &dyn StoredModel, reference: &Reference, genes: &[GeneIndex]) -> Vec<Prediction> {
    let targets: Vec<Target> = genes.iter().filter_map(|&gene| Target::of_gene(reference, gene)).collect();
    model.predict(reference, &targets).unwrap()
}

fn error(model: &dyn StoredModel, reference: &Reference, genes: &[GeneIndex]) -> f64 {
    let score = |(&gene, prediction): (&GeneIndex, &Prediction)| {
        GeneScore::new(reference.expression(gene), &prediction.values, model.scale()).scaled
    };
    mean(&genes.iter().zip(&predict(model, reference, genes)).map(score).collect::<Vec<_>>())
}

#[test]
fn every_baseline_fits_saves_and_comes_back() {
    let reference = reference();
    let split = split(&reference);
    for kind in BaselineKind::ALL.into_iter().filter(|kind| *kind != BaselineKind::RidgeSurroundings) {
        for scale in [Scale::MinMax, Scale::Log2] {
            let model = fit_baseline(kind, &reference, &split.train, scale, QUICK).unwrap();
            assert_eq!((model.method(), model.scale()), (kind.as_str(), scale));
            let settings = serde_json::to_string(&model.settings().unwrap()).unwrap();
            let settings = serde_json::from_str(&settings).unwrap();
            let back = load(kind, &settings, &model.files().unwrap()[WEIGHTS_FILE]).unwrap();
            let genes = &split.test[..5];
            assert_eq!(predict(model.as_ref(), &reference, genes), predict(back.as_ref(), &reference, genes), "{kind}");
            assert!(back.files().unwrap() == model.files().unwrap(), "{kind}: the same bytes");
        }
    }
}

#[test]
fn methods_rank_as_the_simulation_makes_them() {
    let reference = simulated(600);
    let split = split(&reference);
    let error_of = |kind| {
        let model = fit_baseline(kind, &reference, &split.train, Scale::MinMax, QUICK).unwrap();
        error(model.as_ref(), &reference, &split.test)
    };
    let [copy, constant, flanking, weighted] = [0, 1, 2, 3].map(|at| error_of(BaselineKind::ALL[at]));
    assert!(weighted < flanking.min(copy), "{weighted} {flanking} {copy}");
    assert!(flanking.max(copy) < constant, "{flanking} {copy} {constant}");
    let (nearest, both) = (error_of(BaselineKind::RidgeNearest), error_of(BaselineKind::RidgeNeighboursPromoter));
    assert!(nearest < constant && both < constant, "{nearest} {both} {constant}");
}

#[test]
fn the_richest_features_win_on_simulated_genes() {
    let reference = simulated(600);
    let split = split(&reference);
    let error_of = |kind| {
        let model = fit_baseline(kind, &reference, &split.train, Scale::Log2, QUICK).unwrap();
        error(model.as_ref(), &reference, &split.test)
    };
    let (weighted, rich) = (error_of(BaselineKind::DistanceWeighted), error_of(BaselineKind::RidgeSurroundings));
    assert!(rich < weighted, "{rich} {weighted}");
}

#[test]
fn no_gene_to_fit_to_is_an_error() {
    let reference = reference();
    let flat: Vec<_> = (0..reference.genes().len()).filter(|&gene| !reference.has_shape(gene)).collect();
    let fitted = fit_baseline(BaselineKind::CopyNearest, &reference, &flat, Scale::Log2, BaselineSettings::default());
    assert!(matches!(fitted.err(), Some(ModelError::NoReferenceGene)));
}

#[test]
fn a_ridge_with_other_features_does_not_load() {
    let reference = reference();
    let split = split(&reference);
    let kind = BaselineKind::RidgeNearest;
    let model = fit_baseline(kind, &reference, &split.train, Scale::Log2, BaselineSettings::default()).unwrap();
    let mut settings = model.settings().unwrap();
    settings["features"] = serde_json::json!([{"block": "flank_profiles", "side": 1, "form": "log2"}]);
    assert!(matches!(load(kind, &settings, &model.files().unwrap()[WEIGHTS_FILE]), Err(ModelError::Tensor { .. })));
    settings["features"] = serde_json::json!([]);
    let refused = load(kind, &settings, &model.files().unwrap()[WEIGHTS_FILE]).err().unwrap().to_string();
    assert!(refused.contains(&FeatureError::Empty.to_string()), "{refused}");
}

#[test]
fn what_is_not_known_counts_as_the_mean() {
    let reference = reference();
    let genes: Vec<_> = split(&reference).train;
    let targets: Vec<Target> = genes.iter().filter_map(|&gene| Target::of_gene(&reference, gene)).collect();
    let matrix = Features::neighbours_and_promoter().matrix(&reference, reference.vicinity(), &targets);
    let Standardised { centre, factor } = Standardised::of(&matrix);
    let all = standardised(&matrix, 0..matrix.rows(), (&centre, &factor));
    let missing = matrix.values().iter().filter(|value| value.is_nan()).count();
    assert!(missing > 0 && all.iter().all(|value| value.is_finite()));
    for (column, row) in all.row_iter().enumerate() {
        assert!(row.mean().abs() < 1e-4, "column {column}");
        assert!(factor[column] == 0.0 || row.variance() < 1.01, "column {column}");
    }
}
