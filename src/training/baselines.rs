//! Fits the baselines.
//!
//! Imports `reference`, `model` and its siblings. Nothing here is random: the same genes give the same weights.

use std::collections::BTreeMap;

use nalgebra::DMatrix;

use super::folds::inner_folds;
use super::least_squares::{NormalEquations, Solution};
use crate::model::baseline::{BaselineKind, SavedModel, tissue_ids};
use crate::model::distance::DistanceModel;
use crate::model::features::{FeatureBlock, Features, Matrix, ProfileForm};
use crate::model::ridge::{Outputs, RidgeModel, RidgeSettings, RidgeWeights};
use crate::model::{ModelError, ProfileModel, Scale, Target};
use crate::reference::{GeneIndex, Reference};

/// Genes whose standardised features are in memory as f64 at once.
const BATCH: usize = 512;

/// Factor between two penalties of the search for one common penalty.
const COARSE: f64 = 3.0;
/// Bounds of the common penalty, a training gene.
const PENALTIES: [f64; 2] = [1e-3, 1e3];
/// Factors that are tried on the penalty of each kind of feature.
const FINE: [f64; 2] = [1.0 / 3.0, 3.0];

/// Offsets that are tried for distance weights.
const OFFSETS_BP: [u32; 6] = [1_000, 3_000, 10_000, 30_000, 100_000, 300_000];

/// What a fit of a baseline needs beside the genes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BaselineSettings {
    /// The base of the dataset's promoters, from 0, at which transcription starts.
    pub promoter_tss: usize,
    /// Folds by chromosome within the training genes, on which penalties are chosen.
    pub inner_folds: usize,
}

impl Default for BaselineSettings {
    fn default() -> Self {
        Self { promoter_tss: 1_000, inner_folds: 4 }
    }
}

/// Fits a baseline to the given genes; those without a place or a complete, varied profile are left out.
///
/// # Errors
/// None of the genes can be fitted to.
pub fn fit_baseline(
    kind: BaselineKind,
    reference: &Reference,
    genes: &[GeneIndex],
    scale: Scale,
    settings: BaselineSettings,
) -> Result<Box<dyn SavedModel>, ModelError> {
    let genes: Vec<GeneIndex> = genes
        .iter()
        .copied()
        .filter(|&gene| reference.has_shape(gene) && reference.gene(gene).locus.is_some())
        .collect();
    if genes.is_empty() {
        return Err(ModelError::NoReferenceGene);
    }
    let (features, outputs) = match kind {
        BaselineKind::CopyNearest
        | BaselineKind::MeanProfile
        | BaselineKind::FlankingMean
        | BaselineKind::DistanceWeighted => {
            let mean = mean_profile(reference, &genes, scale);
            let model = DistanceModel::new(kind, scale, tissue_ids(reference), mean);
            let tuned = kind == BaselineKind::DistanceWeighted;
            return Ok(Box::new(if tuned { fit_offset(&model, reference, &genes)? } else { model }));
        }
        BaselineKind::RidgeNearest => {
            let form = if scale == Scale::MinMax { ProfileForm::MinMax } else { ProfileForm::Log2 };
            (Features::nearest_profile(form), Outputs::Direct)
        }
        BaselineKind::RidgeNeighboursPromoter => (Features::neighbours_and_promoter(), Outputs::ShapeAndLevel),
        BaselineKind::RidgeSurroundings => {
            (Features::surroundings_and_promoter(settings.promoter_tss), Outputs::ShapeAndLevel)
        }
    };
    let (penalties, tissues) = (BTreeMap::new(), tissue_ids(reference));
    let plan = RidgeSettings { scale, tissues, outputs, features, penalties };
    Ok(Box::new(fit_ridge(kind, plan, reference, &genes, settings.inner_folds)?))
}

/// Chooses the offset of distance weights with the smallest error on the genes, each from its neighbours: the squared
/// difference of standardised profiles, which is 2 (1 − Pearson r) a tissue.
fn fit_offset(model: &DistanceModel, reference: &Reference, genes: &[GeneIndex]) -> Result<DistanceModel, ModelError> {
    let targets: Vec<Target> = genes.iter().filter_map(|&gene| Target::of_gene(reference, gene)).collect();
    let truth = genes.iter().map(|&gene| shape_of(&model.scale().forward(reference.expression(gene))));
    let truth: Vec<Vec<f32>> = truth.collect();
    let mut best = (f64::INFINITY, model.clone());
    for offset_bp in OFFSETS_BP {
        let candidate = model.clone().with_offset(offset_bp);
        let predictions = candidate.predict(reference, &targets)?;
        let squares = predictions.iter().zip(&truth).flat_map(|(prediction, truth)| {
            shape_of(&prediction.values).into_iter().zip(truth).map(|(p, t)| f64::from(p - t).powi(2))
        });
        let error = squares.sum();
        if error < best.0 {
            best = (error, candidate);
        }
    }
    Ok(best.1)
}

fn shape_of(profile: &[f32]) -> Vec<f32> {
    let mut outputs = Outputs::ShapeAndLevel.encode(profile);
    outputs.truncate(profile.len());
    outputs
}

/// Returns the mean, by tissue, of the genes' profiles on a scale.
fn mean_profile(reference: &Reference, genes: &[GeneIndex], scale: Scale) -> Vec<f32> {
    let mut sums = vec![0.0; reference.tissues().len()];
    for &gene in genes {
        let profile = scale.forward(reference.expression(gene));
        sums.iter_mut().zip(profile).for_each(|(sum, value)| *sum += f64::from(value));
    }
    sums.into_iter().map(|sum| (sum / genes.len() as f64) as f32).collect()
}

fn fit_ridge(
    kind: BaselineKind,
    mut plan: RidgeSettings,
    reference: &Reference,
    genes: &[GeneIndex],
    inner: usize,
) -> Result<RidgeModel, ModelError> {
    let folds = inner_folds(reference, genes, inner);
    let targets: Vec<Target> = folds.iter().flatten().filter_map(|&gene| Target::of_gene(reference, gene)).collect();
    let matrix = plan.features.matrix(reference, reference.vicinity(), &targets);
    let Standardised { centre, factor } = Standardised::of(&matrix);
    let mut at = 0;
    let mut parts = Vec::with_capacity(folds.len());
    for fold in &folds {
        let mut equations = NormalEquations::new(matrix.columns(), plan.outputs.width(plan.tissues.len()));
        for genes in fold.chunks(BATCH) {
            let x = standardised(&matrix, at..at + genes.len(), (&centre, &factor));
            let y = genes.iter().flat_map(|&gene| {
                let profile = plan.scale.forward(reference.expression(gene));
                plan.outputs.encode(&profile).into_iter().map(f64::from)
            });
            let outputs = plan.outputs.width(plan.tissues.len());
            equations.add_rows(&x, &DMatrix::from_iterator(outputs, genes.len(), y));
            at += genes.len();
        }
        equations.mirror();
        parts.push(equations);
    }
    let groups = Groups::of(&plan.features, plan.tissues.len());
    let (penalties, solution) = search(&parts, &groups, plan.tissues.len()).ok_or(ModelError::NotFinite)?;
    plan.penalties = groups.names.iter().map(|name| (*name).to_owned()).zip(penalties).collect();
    let coefficients = solution.coefficients.transpose().iter().map(|value| *value as f32).collect();
    let intercept = solution.intercept.iter().map(|value| *value as f32).collect();
    RidgeModel::try_new(kind, plan, RidgeWeights { centre, factor, coefficients, intercept })
}

/// Each feature's mean and one over its standard deviation, over the rows that have it; 0 for one that never varies.
struct Standardised {
    centre: Vec<f32>,
    factor: Vec<f32>,
}

impl Standardised {
    fn of(matrix: &Matrix) -> Self {
        let mut sums = vec![[0.0f64; 3]; matrix.columns()];
        for row in (0..matrix.rows()).map(|row| matrix.row(row)) {
            for (sums, value) in sums.iter_mut().zip(row) {
                if value.is_finite() {
                    let value = f64::from(*value);
                    *sums = [sums[0] + 1.0, sums[1] + value, sums[2] + value * value];
                }
            }
        }
        let column = |[n, sum, squares]: [f64; 3]| {
            let n = n.max(1.0);
            let mean = sum / n;
            let sd = (squares / n - mean * mean).max(0.0).sqrt();
            (mean as f32, if sd > 1e-6 { (1.0 / sd) as f32 } else { 0.0 })
        };
        let (centre, factor) = sums.into_iter().map(column).unzip();
        Self { centre, factor }
    }
}

/// Returns rows of the matrix, standardised, one column a row; what is not known becomes 0, the mean.
fn standardised(matrix: &Matrix, rows: std::ops::Range<usize>, (centre, factor): (&[f32], &[f32])) -> DMatrix<f64> {
    let values = rows.clone().flat_map(|row| {
        matrix.row(row).iter().zip(centre).zip(factor).map(|((value, centre), factor)| {
            let value = (value - centre) * factor;
            if value.is_finite() { f64::from(value) } else { 0.0 }
        })
    });
    DMatrix::from_iterator(matrix.columns(), rows.len(), values)
}

/// Kinds of features that get a penalty of their own.
struct Groups {
    names: Vec<&'static str>,
    /// Each column's kind.
    of_column: Vec<usize>,
}

impl Groups {
    fn of(features: &Features, tissues: usize) -> Self {
        let kind = |block: &FeatureBlock| match (block.is_profiles(), block.is_sequence()) {
            (true, _) => "profiles",
            (_, true) => "sequence",
            _ => "context",
        };
        let mut groups = Self { names: Vec::new(), of_column: Vec::new() };
        for block in features.blocks() {
            let name = kind(block);
            let index = groups.names.iter().position(|known| *known == name).unwrap_or_else(|| {
                groups.names.push(name);
                groups.names.len() - 1
            });
            groups.of_column.extend(std::iter::repeat_n(index, block.width(tissues)));
        }
        groups
    }

    fn spread(&self, penalties: &[f64]) -> Vec<f64> {
        self.of_column.iter().map(|&group| penalties[group]).collect()
    }
}

/// The best penalties so far, by the squared error on inner folds, each predicted from the others.
struct Search<'a> {
    parts: &'a [NormalEquations],
    all: NormalEquations,
    groups: &'a Groups,
    outputs: usize,
    penalties: Vec<f64>,
    error: f64,
}

impl Search<'_> {
    /// Tries penalties and keeps them where they are better; `None` where the equations cannot be solved.
    fn consider(&mut self, penalties: Vec<f64>) -> Option<bool> {
        let spread = self.groups.spread(&penalties);
        let error_on = |part: &NormalEquations| {
            let fitted = self.all.without(part).solve(&spread)?;
            Some(part.squared_error(&fitted, self.outputs))
        };
        let error = self.parts.iter().map(error_on).sum::<Option<f64>>()?;
        let better = error < self.error;
        if better {
            (self.penalties, self.error) = (penalties, error);
        }
        Some(better)
    }

    /// Multiplies all penalties by a factor for as long as that helps; returns whether it did at all.
    fn walk(&mut self, factor: f64) -> Option<bool> {
        let mut walked = false;
        loop {
            let next: Vec<f64> = self.penalties.iter().map(|penalty| penalty * factor).collect();
            if !(PENALTIES[0]..=PENALTIES[1]).contains(&next[0]) || !self.consider(next)? {
                return Some(walked);
            }
            walked = true;
        }
    }
}

/// Chooses penalties on inner folds and solves with them on all rows.
///
/// First one penalty for all features, walking downhill from 1 a gene; then that of each kind of feature by itself.
/// With a single fold there is nothing to choose on, and the penalty stays 1.
fn search(parts: &[NormalEquations], groups: &Groups, outputs: usize) -> Option<(Vec<f64>, Solution)> {
    let (first, others) = parts.split_first()?;
    let mut all = first.clone();
    for part in others {
        all.add(part);
    }
    let kinds = groups.names.len();
    let mut search = Search { parts, all, groups, outputs, penalties: vec![1.0; kinds], error: f64::INFINITY };
    if parts.len() > 1 {
        search.consider(vec![1.0; kinds])?;
        let _ = search.walk(1.0 / COARSE)? || search.walk(COARSE)?;
        for kind in (0..kinds).filter(|_| kinds > 1) {
            for factor in FINE {
                let mut next = search.penalties.clone();
                next[kind] *= factor;
                if search.consider(next)? {
                    break;
                }
            }
        }
    }
    let solution = search.all.solve(&groups.spread(&search.penalties))?;
    Some((search.penalties, solution))
}

#[cfg(test)]
mod tests;
