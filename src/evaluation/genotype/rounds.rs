//! From trained rounds to the held-out predictions that are scored.

use std::collections::BTreeSet;

use super::{CrossPredictions, GeneTruth, MethodPredictions, SELECTED};
use crate::training::cohort::Cohort;
use crate::training::cohort::covariates::Adjustment;
use crate::training::genotype::{Control, GenotypeMethod, HERITABLE_Z, TrainedRound};

/// Puts rounds of one split together, with rounds of the same people under controls.
///
/// What was measured is the real expression under every control: a model of permuted expression has nothing to say of it.
#[must_use]
pub fn cross_predictions(
    cohort: &Cohort,
    split: &str,
    rounds: &[TrainedRound],
    controls: &[TrainedRound],
) -> CrossPredictions {
    let people = cohort.people.len();
    let mut fold_of_person = vec![0; people];
    let mut measured = vec![vec![f64::NAN; people]; cohort.genes.len()];
    for (fold, trained) in rounds.iter().enumerate() {
        let adjustment = Adjustment::fit(cohort.covariates.as_ref(), &trained.round.learns);
        trained.round.held_out.iter().for_each(|person| fold_of_person[*person] = fold as u8);
        for (gene, measured) in cohort.genes.iter().zip(&mut measured) {
            let residuals = adjustment.residuals(&gene.expression).values;
            trained.round.held_out.iter().for_each(|person| measured[*person] = residuals[*person]);
        }
    }
    let truth = |(at, measured): (usize, Vec<f64>)| GeneTruth {
        name: cohort.genes[at].name.to_string(),
        symbol: cohort.genes[at].symbol.as_ref().map(|symbol| symbol.as_str().to_owned()),
        measured,
        // Residuals are of the training people's own mean.
        null: vec![0.0; people],
        heritable: rounds.iter().map(|trained| trained.genes[at].heritable_z >= HERITABLE_Z).collect(),
    };
    let mut methods = predictions(cohort, rounds, None);
    let under: BTreeSet<Control> = controls.iter().filter_map(|trained| trained.round.control).collect();
    for control in under {
        let own: Vec<&TrainedRound> =
            controls.iter().filter(|trained| trained.round.control == Some(control)).collect();
        let own: Vec<TrainedRound> = own.into_iter().cloned().collect();
        let mut run = predictions(cohort, &own, Some(control));
        if control == Control::PermutedAnnotations {
            // The others are what they are without the control.
            let reads = |name: &str| GenotypeMethod::ALL.iter().any(|m| m.reads_annotations() && m.as_str() == name);
            run.retain(|method| reads(&method.name));
        }
        methods.append(&mut run);
    }
    CrossPredictions {
        split: split.to_owned(),
        fold_names: rounds.iter().map(|trained| trained.round.fold_name().to_owned()).collect(),
        fold_of_person,
        genes: measured.into_iter().enumerate().map(truth).collect(),
        methods,
    }
}

fn predictions(cohort: &Cohort, rounds: &[TrainedRound], control: Option<Control>) -> Vec<MethodPredictions> {
    let trained = |method: &GenotypeMethod| {
        rounds.iter().all(|round| round.genes.iter().all(|gene| gene.methods.contains_key(method)))
    };
    let methods: Vec<GenotypeMethod> = GenotypeMethod::ALL.into_iter().filter(trained).collect();
    let run = |name: &str, method: Option<GenotypeMethod>| {
        let mut predicted = vec![vec![f64::NAN; cohort.people.len()]; cohort.genes.len()];
        let mut seconds = 0.0;
        for round in rounds {
            for ((gene, method), predicted) in round.genes.iter().zip(round.methods(method)).zip(&mut predicted) {
                let Some(record) = method.and_then(|method| gene.methods.get(&method)) else { continue };
                seconds += record.seconds;
                let held_out = round.round.held_out.iter().zip(&record.predicted);
                held_out.for_each(|(person, value)| predicted[*person] = f64::from(*value));
            }
        }
        MethodPredictions {
            name: name.to_owned(),
            control: control.map(|control| control.as_str().to_owned()),
            predicted,
            seconds,
        }
    };
    let mut all: Vec<MethodPredictions> = methods.iter().map(|method| run(method.as_str(), Some(*method))).collect();
    if methods.iter().filter(|method| method.is_served()).count() > 1 && control.is_none() {
        all.push(run(SELECTED, None));
    }
    all
}
