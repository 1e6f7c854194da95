//! Intervals: how wide, from genes that a model was not fitted to, and how often they hold, on others again.
//!
//! Split conformal prediction by tissue (Lei et al., "Distribution-Free Predictive Inference for Regression", JASA
//! 2018): the half width is the quantile of the absolute errors on the calibration genes. Imports `reference` and
//! `model`.

use crate::model::manifest::Calibration;
use crate::model::{ModelError, ProfileModel, Target};
use crate::reference::{GeneIndex, Reference};

/// The nominal coverage of every interval.
pub const LEVEL: f64 = 0.9;

/// Sets half widths on `calibration` and measures their coverage on `test`; `None` where either has no gene.
///
/// # Errors
/// The model cannot answer.
pub fn calibrate(
    model: &dyn ProfileModel,
    reference: &Reference,
    calibration: &[GeneIndex],
    test: &[GeneIndex],
) -> Result<Option<Calibration>, ModelError> {
    if calibration.is_empty() || test.is_empty() {
        return Ok(None);
    }
    let errors = absolute_errors(model, reference, calibration)?;
    let half_width: Vec<f32> = errors.into_iter().map(|errors| conformal_quantile(errors, LEVEL)).collect();
    let unseen = absolute_errors(model, reference, test)?;
    let coverage_by_tissue: Vec<f64> = unseen
        .iter()
        .zip(&half_width)
        .map(|(errors, width)| errors.iter().filter(|error| *error <= width).count() as f64 / errors.len() as f64)
        .collect();
    let coverage = coverage_by_tissue.iter().sum::<f64>() / coverage_by_tissue.len().max(1) as f64;
    Ok(Some(Calibration { level: LEVEL, half_width, genes: calibration.len(), coverage, coverage_by_tissue }))
}

/// Returns, by tissue, the absolute errors over the genes, on the model's scale.
fn absolute_errors(
    model: &dyn ProfileModel,
    reference: &Reference,
    genes: &[GeneIndex],
) -> Result<Vec<Vec<f32>>, ModelError> {
    let targets: Vec<Target> = genes.iter().filter_map(|gene| Target::of_gene(reference, *gene)).collect();
    let mut errors = vec![Vec::with_capacity(targets.len()); reference.tissues().len()];
    for (target, prediction) in targets.iter().zip(model.predict(reference, &targets)?) {
        let expression = target.gene.map(|gene| reference.expression(gene)).unwrap_or_default();
        let truth = model.scale().forward(expression);
        for ((errors, predicted), truth) in errors.iter_mut().zip(&prediction.values).zip(truth) {
            errors.push((predicted - truth).abs());
        }
    }
    Ok(errors)
}

/// Returns the smallest error that at least a share `level` of new ones will not pass: rank ⌈(n + 1) · level⌉.
fn conformal_quantile(mut errors: Vec<f32>, level: f64) -> f32 {
    errors.sort_by(f32::total_cmp);
    #[expect(clippy::cast_sign_loss, reason = "a rank is not below 0")]
    let rank = ((errors.len() + 1) as f64 * level).ceil() as usize;
    errors.get(rank.clamp(1, errors.len().max(1)) - 1).copied().unwrap_or(f32::INFINITY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_quantile_is_the_conformal_rank() {
        let errors: Vec<f32> = (1..=9).rev().map(|n| n as f32).collect();
        for (errors, level, expected) in [(errors.clone(), 0.9, 9.0), (errors, 0.5, 5.0), (vec![2.0], 0.9, 2.0)] {
            let found = conformal_quantile(errors, level);
            assert!((found - expected).abs() < f32::EPSILON, "level {level}: {found}, expected {expected}");
        }
    }
}
