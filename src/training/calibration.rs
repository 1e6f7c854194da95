//! Intervals: how wide, from genes that a model was not fitted to, and how often they hold, on others again.
//!
//! Split conformal prediction by tissue (Lei et al., "Distribution-Free Predictive Inference for Regression", JASA
//! 2018): the half width is the quantile of the errors on the calibration genes, each divided by the spread that the
//! model gave with it. Apart for each case of how much is known of the gene itself, which is hidden at random. Imports
//! `reference`, `model` and its siblings.

use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;

use super::init::generator;
use super::masking::keep_some;
use crate::model::manifest::{Calibration, Stratum};
use crate::model::{Known, ModelError, ProfileModel, Target};
use crate::reference::{GeneIndex, Reference};

/// The nominal coverage of every interval.
pub const LEVEL: f64 = 0.9;

/// How often each gene is hidden anew where some of its tissues stay known.
const DRAWS: usize = 4;

/// Targets that the model is asked at once.
const BATCH: usize = 512;

/// Sets half widths on `calibration` and measures their coverage on `test`; `None` where either has no gene.
///
/// # Errors
/// The model cannot answer.
pub fn calibrate(
    model: &dyn ProfileModel,
    reference: &Reference,
    calibration: &[GeneIndex],
    test: &[GeneIndex],
    seed: u64,
) -> Result<Option<Calibration>, ModelError> {
    if calibration.is_empty() || test.is_empty() {
        return Ok(None);
    }
    let cases: &[Known] = if model.reads_measured() { &Known::ALL } else { &[Known::None] };
    let mut strata = Vec::with_capacity(cases.len());
    for &known in cases {
        if known == Known::Few && reference.tissues().len() < 4 {
            continue;
        }
        let hide = |purpose: &str| generator(seed, &format!("{purpose} of genes with {} tissues", known.as_str()));
        let errors = relative_errors(model, reference, calibration, known, &mut hide("calibration"))?;
        // A tissue that was never hidden has no error to go by.
        if errors.iter().any(Vec::is_empty) {
            continue;
        }
        let half_width: Vec<f32> = errors.into_iter().map(|errors| conformal_quantile(errors, LEVEL)).collect();
        let unseen = relative_errors(model, reference, test, known, &mut hide("test"))?;
        if unseen.iter().any(Vec::is_empty) {
            continue;
        }
        let within = |(errors, width): (&Vec<f32>, &f32)| errors.iter().filter(|error| *error <= width).count();
        let covered: Vec<usize> = unseen.iter().zip(&half_width).map(within).collect();
        let share = |covered: usize, all: usize| covered as f64 / all.max(1) as f64;
        strata.push(Stratum {
            known,
            genes: calibration.len(),
            coverage: share(covered.iter().sum(), unseen.iter().map(Vec::len).sum()),
            coverage_by_tissue: covered.iter().zip(&unseen).map(|(covered, all)| share(*covered, all.len())).collect(),
            half_width,
        });
    }
    Ok(Some(Calibration { level: LEVEL, strata }))
}

/// Draws how many of a gene's tissues stay known in a case; few of them takes at least four tissues.
pub(crate) fn draw_count(known: Known, tissues: usize, rng: &mut ChaCha8Rng) -> usize {
    match known {
        Known::None => 0,
        Known::Few => rng.random_range(1..=tissues / 4),
        Known::Many => rng.random_range(tissues / 4 + 1..tissues.max(tissues / 4 + 2)),
    }
}

/// Returns, by tissue, the absolute errors over the genes on the model's scale, divided by the prediction's spread; only
/// of tissues that the model was not told.
fn relative_errors(
    model: &dyn ProfileModel,
    reference: &Reference,
    genes: &[GeneIndex],
    known: Known,
    rng: &mut ChaCha8Rng,
) -> Result<Vec<Vec<f32>>, ModelError> {
    let tissues = reference.tissues().len();
    let draws = if known == Known::None { 1 } else { DRAWS };
    let mut targets = Vec::with_capacity(genes.len() * draws);
    for target in genes.iter().filter_map(|gene| Target::of_gene(reference, *gene)) {
        for _ in 0..draws {
            let expression = target.gene.map(|gene| reference.expression(gene)).unwrap_or_default();
            let count = draw_count(known, tissues, rng);
            targets.push(target.clone().with_measured(&keep_some(expression, count, rng)));
        }
    }
    let mut errors = vec![Vec::with_capacity(targets.len()); tissues];
    for batch in targets.chunks(BATCH) {
        for (target, prediction) in batch.iter().zip(model.predict(reference, batch)?) {
            let expression = target.gene.map(|gene| reference.expression(gene)).unwrap_or_default();
            let truth = model.scale().forward(expression);
            for (tissue, (predicted, truth)) in prediction.values.iter().zip(truth).enumerate() {
                if target.measured.get(tissue).is_none_or(|value| value.is_nan()) {
                    let spread = prediction.spread.get(tissue).copied().unwrap_or(1.0);
                    errors[tissue].push((predicted - truth).abs() / spread);
                }
            }
        }
    }
    Ok(errors)
}

/// Returns the smallest error that at least a share `level` of new ones will not pass: rank ⌈(n + 1) · level⌉, or the
/// greatest error where there are too few for that.
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
