//! Rounds on simulated people: what is there is found, what is chosen is chosen within the round, and controls are null.

use super::*;
use crate::training::cohort::simulated::simulate;

fn plan() -> Plan {
    let mut plan = Plan::new(GenotypeMethod::ALL.to_vec(), 5);
    plan.outer_folds = 2;
    plan.inner_folds = 4;
    plan.cnn.members = 2;
    plan.strengths = vec![0.5];
    plan
}

fn quiet(_: GenotypeProgress<'_>) {}

fn mean_r(cohort: &Cohort, trained: &TrainedRound, method: GenotypeMethod) -> f64 {
    let of_gene = |record: &GeneRecord| {
        let predicted: Vec<f64> = record.methods[&method].predicted.iter().map(|value| f64::from(*value)).collect();
        let measured: Vec<f64> =
            trained.round.held_out.iter().map(|person| cohort.genes[record.gene].expression[*person]).collect();
        pearson(&predicted, &measured)
    };
    trained.genes.iter().map(of_gene).sum::<f64>() / trained.genes.len() as f64
}

#[test]
fn every_method_predicts_people_that_it_has_not_seen() {
    let cohort = simulate(5, 40, 120, 0.6, 2);
    let annotations = Annotations::build(&cohort, &[], None, None).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let training = Training::new(cohort, Some(annotations), plan(), folder.path()).unwrap();
    let (cohort, plan) = (&training.cohort, &training.plan);
    let rounds = Round::folds(cohort, plan, None);
    assert_eq!(rounds.iter().map(|round| round.held_out.len()).sum::<usize>(), 120);
    let trained = training.round(&rounds[0], &quiet).unwrap();
    for method in GenotypeMethod::ALL {
        let r = mean_r(cohort, &trained, method);
        assert!(r > 0.4, "{} has a mean r of {r}", method.as_str());
    }
    assert!(trained.genes.iter().all(|gene| gene.heritable_z > HERITABLE_Z));
    assert!(trained.genes.iter().all(|gene| gene.methods.values().all(|method| method.weights.is_none())));
    // The same again, now from the folder.
    assert_eq!(training.round(&rounds[0], &quiet).unwrap(), trained);
    let null = Round::folds(cohort, plan, Some(Control::PermutedExpression)).remove(0);
    let null = training.round(&null, &quiet).unwrap();
    let r = mean_r(cohort, &null, GenotypeMethod::ElasticNet);
    assert!(r.abs() < 0.25, "a model of permuted expression has a mean r of {r}");
}

#[test]
fn models_of_everybody_predict_what_was_fitted() {
    let cohort = simulate(3, 30, 100, 0.6, 4);
    let folder = tempfile::tempdir().unwrap();
    let mut plan = plan();
    plan.methods = vec![GenotypeMethod::ElasticNet, GenotypeMethod::ElasticNetBagged, GenotypeMethod::ScaledCnn];
    let missing = Training::new(cohort.clone(), None, self::plan(), folder.path());
    assert!(matches!(missing, Err(GenotypeTrainingError::NoAnnotations(_))));
    let training = Training::new(cohort, None, plan, folder.path()).unwrap();
    let cohort = &training.cohort;
    let trained = training.round(&Round::everybody(cohort), &quiet).unwrap();
    assert!(trained.strength.is_none());
    for method in [GenotypeMethod::ElasticNet, GenotypeMethod::ScaledCnn] {
        let built = models::build(cohort, &trained, |_| Some(method), |_| None).unwrap();
        for (gene, fitted) in cohort.genes.iter().zip(built.fitted(cohort).unwrap()) {
            let r = pearson(&fitted, &gene.expression);
            assert!(r > 0.5, "{}: {r}", method.as_str());
        }
    }
}

#[test]
fn populations_are_left_out_whole() {
    let cohort = simulate(1, 20, 80, 0.5, 1);
    let rounds = Round::populations(&cohort);
    assert_eq!(rounds.len(), 4);
    for round in &rounds {
        let of = |people: &[usize]| people.iter().map(|at| cohort.people[*at].population.clone()).collect::<Vec<_>>();
        assert!(of(&round.held_out).iter().all(|population| population.as_deref() == Some(round.fold_name())));
        assert!(!of(&round.learns).iter().any(|population| population.as_deref() == Some(round.fold_name())));
    }
}

/// Pearson's correlation; 0 where a side is constant.
fn pearson(a: &[f64], b: &[f64]) -> f64 {
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let (ma, mb) = (mean(a), mean(b));
    let sum = |f: &dyn Fn(f64, f64) -> f64| a.iter().zip(b).map(|(a, b)| f(a - ma, b - mb)).sum::<f64>();
    let size = (sum(&|a, _| a * a) * sum(&|_, b| b * b)).sqrt();
    if size > 0.0 { sum(&|a, b| a * b) / size } else { 0.0 }
}

#[test]
fn a_gene_is_served_by_what_all_genes_favour_unless_another_is_clearly_better() {
    let record = |gene: usize, errors: [f64; 2]| {
        let methods = [GenotypeMethod::ElasticNet, GenotypeMethod::AnnotatedCnn].into_iter().zip(errors);
        let of_error = |inner_error| MethodRecord {
            predicted: Vec::new(),
            inner_error,
            inner_r2: 0.0,
            weights: None,
            seconds: 0.0,
        };
        let methods = methods.map(|(method, error)| (method, of_error(error))).collect();
        GeneRecord { gene, heritable_z: 0.0, shares: Vec::new(), methods }
    };
    let trained = TrainedRound {
        round: Round { name: String::new(), learns: Vec::new(), held_out: Vec::new(), control: None },
        genes: vec![record(0, [0.9, 0.7]), record(1, [0.80, 0.81]), record(2, [0.80, 0.83])],
        strength: None,
        annotation_weights: BTreeMap::new(),
    };
    let (net, cnn) = (Some(GenotypeMethod::ElasticNet), Some(GenotypeMethod::AnnotatedCnn));
    assert_eq!(trained.chosen(), [cnn, cnn, net]);
}
