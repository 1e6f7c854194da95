//! Errors over hidden values, summed up over genes and over tissues.

use super::super::compare::EvaluationSettings;
use super::super::metrics::{bootstrap_means, interval, mean, pearson};
use super::ask::Value;
use super::report::{HiddenRow, TissueScore};
use crate::genome::Tissue;
use crate::model::manifest::Hiding;

/// Hidden tissues of a gene at once, below which no correlation is taken over them.
const FEWEST_FOR_R: usize = 3;

/// A method's errors by gene.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct GeneErrors {
    /// Sum of squared errors.
    squares: Vec<f64>,
    /// How many values it is over.
    counts: Vec<f64>,
    /// Pearson r over hidden tissues, where there are enough and they differ.
    r: Vec<Option<f64>>,
}

impl GeneErrors {
    /// Sorts values, which come by gene, to their genes.
    pub(super) fn of(values: &[Value], genes: usize, scheme: Hiding) -> Self {
        let mut errors = Self { squares: vec![0.0; genes], counts: vec![0.0; genes], r: vec![None; genes] };
        for own in values.chunk_by(|a, b| a.place == b.place) {
            let place = own[0].place;
            errors.squares[place] = own.iter().map(squared).sum();
            errors.counts[place] = own.len() as f64;
            // One tissue at a time is another question than a profile.
            if scheme != Hiding::OneTissue && own.len() >= FEWEST_FOR_R {
                errors.r[place] = correlation(own);
            }
        }
        errors
    }

    /// Sums some genes up.
    pub(super) fn row(&self, method: &str, members: &[usize], settings: &EvaluationSettings) -> HiddenRow {
        let column = |values: &[f64]| members.iter().map(|at| values[*at]).collect::<Vec<f64>>();
        let (squares, counts) = (column(&self.squares), column(&self.counts));
        let means = bootstrap_means(&[&squares, &counts], settings.resamples, settings.seed);
        let roots: Vec<f64> = means[0].iter().zip(&means[1]).map(|(squares, count)| (squares / count).sqrt()).collect();
        let r: Vec<f64> = members.iter().filter_map(|at| self.r[*at]).collect();
        HiddenRow {
            method: method.to_owned(),
            rmse: (squares.iter().sum::<f64>() / counts.iter().sum::<f64>()).sqrt(),
            rmse_interval: interval(&roots),
            mean_r: (!r.is_empty()).then(|| mean(&r)),
            genes_with_r: r.len(),
            tissues: Vec::new(),
        }
    }
}

/// Returns Pearson r; 0 for a prediction that is the same everywhere, `None` where the truth is.
fn correlation(values: &[Value]) -> Option<f64> {
    let truth: Vec<f32> = values.iter().map(|value| value.truth).collect();
    let predicted: Vec<f32> = values.iter().map(|value| value.predicted).collect();
    let varied = truth.iter().any(|value| (value - truth[0]).abs() > 0.0);
    varied.then(|| pearson(&truth, &predicted).unwrap_or(0.0))
}

/// Scores each tissue over the genes that it is hidden in.
pub(super) fn by_tissue(values: &[Value], tissues: &[Tissue]) -> Vec<TissueScore> {
    let mut of_tissue: Vec<Vec<Value>> = vec![Vec::new(); tissues.len()];
    for value in values {
        of_tissue[value.tissue].push(*value);
    }
    let score = |(tissue, own): (&Tissue, &Vec<Value>)| TissueScore {
        tissue: tissue.id().to_owned(),
        genes: own.len(),
        r2: if own.len() < FEWEST_FOR_R { None } else { correlation(own).map(|r| r * r) },
        rmse: (own.iter().map(squared).sum::<f64>() / own.len() as f64).sqrt(),
    };
    tissues.iter().zip(&of_tissue).filter(|(_, own)| !own.is_empty()).map(score).collect()
}

fn squared(value: &Value) -> f64 {
    (f64::from(value.truth) - f64::from(value.predicted)).powi(2)
}
