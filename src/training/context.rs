//! Fits the context model: ridge, trees and mixtures crosswise, then the network by hiding tissues at random.
//!
//! The training genes are dealt into folds by chromosome. What the network reads of a training gene comes from parts
//! that were not fitted to its fold, as it will with genes that nobody has seen. Imports `reference`, `model` and its
//! siblings. As usual where models are stacked, the parts themselves learned from what earlier parts, fitted to other
//! folds, said. The same genes, settings and seed give the same weights.

mod mixture;
mod network;
#[cfg(test)]
mod tests;

use std::collections::HashMap;

use nalgebra::{DMatrix, SymmetricEigen};

use self::mixture::{MixtureSettings, fit_mixture};
use self::network::{Lesson, NetworkFit, fit_network};
use super::baselines::{BaselineSettings, fit_surroundings};
use super::boost::{self, Samples};
use super::folds::inner_folds;
use super::profile::{Step, TrainError};
use crate::model::baseline::tissue_ids;
use crate::model::boosted_trees::BoostedTrees;
use crate::model::context::mixture::Mixture;
use crate::model::context::network::ContextNetworkSettings;
use crate::model::context::{ContextMember, ContextModel, ContextScaling, ContextSettings, Guess, tree_rows};
use crate::model::features::{Features, Matrix};
use crate::model::method::StoredModel as _;
use crate::model::ridge::Outputs;
use crate::model::{Scale, Target};
use crate::reference::{GeneIndex, Reference};

/// Directions in which guesses differ that the mixtures read.
const AXES: usize = 10;

/// The fewest genes of a fold.
const FEWEST: usize = 4;

/// How the model is fitted.
#[derive(Debug, Clone, PartialEq)]
pub struct ContextFit {
    /// Folds, each with trees and a mixture of its own.
    pub members: usize,
    /// The promoters' base, from 0, at which transcription starts.
    pub promoter_tss: usize,
    /// Trees for each number that they correct.
    pub trees: usize,
    /// The most components of a mixture.
    pub components: usize,
    /// The variance of a measured value around the gene's own, log2(1 + x).
    pub noise: f64,
    /// Passes of the network over the training genes.
    pub epochs: usize,
    /// The seed of everything random.
    pub seed: u64,
}

impl ContextFit {
    /// Returns the settings that were chosen on the calibration chromosomes of the GTEx table.
    #[must_use]
    pub const fn new(promoter_tss: usize, seed: u64) -> Self {
        Self { members: 4, promoter_tss, trees: 80, components: 15, noise: 0.003, epochs: 20, seed }
    }
}

/// Fits the model to `train`.
///
/// # Errors
/// There are too few genes, or a part fails.
pub fn fit_context(
    reference: &Reference,
    train: &[GeneIndex],
    fit: &ContextFit,
    progress: &(dyn Fn(Step<'_>) + Sync),
) -> Result<ContextModel, TrainError> {
    let folds = deal(reference, train, fit.members.max(2))
        .ok_or(TrainError::Plan("at least eight genes with a place and a complete profile to train on"))?;
    progress(Step::Base);
    let ridge_settings = BaselineSettings { promoter_tss: fit.promoter_tss, inner_folds: folds.len() };
    let ridge = fit_surroundings(reference, &folds.concat(), Scale::Log2, ridge_settings)?;
    let mut genes = Genes::new(reference, &folds);
    genes.set_ridge(ridge.held_out.iter().map(|(gene, outputs)| (*gene, outputs.as_slice())))?;

    let trees_read = Features::beside_a_network(fit.promoter_tss);
    let trees = genes.fit_trees(reference, &trees_read, fit, progress)?;
    let promoter = Features::promoter_summary();
    let scaling = genes.scaling(reference, &promoter);
    let mixtures = genes.fit_mixtures(&scaling, fit, progress)?;
    let components = mixtures.iter().map(|mixture| mixture.tensors()[0].1[0]).collect();
    let tissues = reference.tissues().len();
    let network = ContextNetworkSettings::compact(tissues, promoter.width(tissues));
    let settings = ContextSettings {
        tissues: tissue_ids(reference),
        base: ridge.model.settings()?,
        trees: trees_read,
        promoter,
        scaling,
        components,
        noise: fit.noise,
        network,
    };
    let members: Vec<ContextMember> =
        trees.into_iter().zip(mixtures).map(|(trees, mixture)| ContextMember { trees, mixture }).collect();
    let lessons = genes.lessons(&members);
    let network_fit =
        NetworkFit { reference, settings: &settings, lessons: &lessons, epochs: fit.epochs, seed: fit.seed };
    let network = fit_network(&network_fit, progress)?;
    Ok(ContextModel::try_new(settings, ridge.model, members, network)?)
}

/// Deals genes into up to `most` folds of which none is tiny and none has nearly all genes: whole chromosomes where that
/// can be, two halves of the genome otherwise.
fn deal(reference: &Reference, genes: &[GeneIndex], most: usize) -> Option<Vec<Vec<GeneIndex>>> {
    let is_even = |folds: &Vec<Vec<GeneIndex>>| {
        let sizes = || folds.iter().map(Vec::len);
        let largest = sizes().max().unwrap_or(0);
        folds.len() > 1 && sizes().all(|size| size >= FEWEST) && 4 * largest <= 3 * sizes().sum::<usize>()
    };
    let whole = (2..=most).rev().map(|count| inner_folds(reference, genes, count)).find(is_even);
    whole.or_else(|| {
        // An index is a place: genes are in genome order.
        let mut all = inner_folds(reference, genes, 1).concat();
        all.sort_unstable();
        Some(all.chunks(all.len().div_ceil(2).max(1)).map(<[_]>::to_vec).collect()).filter(is_even)
    })
}

/// The training genes in the order of their folds, with what is found out about them step by step.
struct Genes {
    targets: Vec<Target>,
    /// Each gene's fold.
    folds: Vec<usize>,
    fold_count: usize,
    /// log2(1 + x), a row a gene.
    profiles: Vec<Vec<f32>>,
    /// Shape and level.
    wanted: Vec<Vec<f32>>,
    /// What the ridge says of each gene when its fold is left out.
    ridge: Vec<f32>,
    /// What ridge and trees say of each gene when its fold is left out.
    guesses: Vec<Guess>,
}

impl Genes {
    fn new(reference: &Reference, folds: &[Vec<GeneIndex>]) -> Self {
        let mut genes = Self {
            targets: Vec::new(),
            folds: Vec::new(),
            fold_count: folds.len(),
            profiles: Vec::new(),
            wanted: Vec::new(),
            ridge: Vec::new(),
            guesses: Vec::new(),
        };
        for (fold, members) in folds.iter().enumerate() {
            for target in members.iter().filter_map(|gene| Target::of_gene(reference, *gene)) {
                let expression = target.gene.map(|gene| reference.expression(gene)).unwrap_or_default();
                let profile = Scale::Log2.forward(expression);
                genes.wanted.push(Outputs::ShapeAndLevel.encode(&profile));
                genes.profiles.push(profile);
                genes.folds.push(fold);
                genes.targets.push(target);
            }
        }
        genes
    }

    fn set_ridge<'a>(&mut self, held_out: impl Iterator<Item = (GeneIndex, &'a [f32])>) -> Result<(), TrainError> {
        let of_gene: HashMap<GeneIndex, &[f32]> = held_out.collect();
        for target in &self.targets {
            match target.gene.and_then(|gene| of_gene.get(&gene)) {
                Some(outputs) => self.ridge.extend_from_slice(outputs),
                None => return Err(TrainError::Plan("a held-out ridge prediction of every training gene")),
            }
        }
        Ok(())
    }

    /// Returns the rows of the genes that are in a fold, or of all that are not.
    fn rows(&self, fold: usize, within: bool) -> Vec<usize> {
        (0..self.targets.len()).filter(|row| (self.folds[*row] == fold) == within).collect()
    }

    /// Fits, fold by fold, trees to the genes of the other folds, and takes their guesses of the fold's own.
    fn fit_trees(
        &mut self,
        reference: &Reference,
        read: &Features,
        fit: &ContextFit,
        progress: &(dyn Fn(Step<'_>) + Sync),
    ) -> Result<Vec<BoostedTrees>, TrainError> {
        let rows = tree_rows(reference, read, &self.targets, &self.ridge);
        let features = rows.len() / self.targets.len();
        let outputs = self.wanted.first().map_or(0, Vec::len);
        let pick = |table: &[f32], width: usize, rows: &[usize]| -> Vec<f32> {
            rows.iter().flat_map(|row| table[row * width..(row + 1) * width].iter().copied()).collect()
        };
        let mut guesses: Vec<Option<Guess>> = vec![None; self.targets.len()];
        let mut all = Vec::with_capacity(self.fold_count);
        for fold in 0..self.fold_count {
            let (own, others) = (self.rows(fold, true), self.rows(fold, false));
            let wanted: Vec<f32> = others.iter().flat_map(|row| self.wanted[*row].iter().copied()).collect();
            let margins = pick(&self.ridge, outputs, &others);
            let samples = Samples {
                features: &pick(&rows, features, &others),
                n_features: features,
                targets: &wanted,
                n_targets: outputs,
                margins: Some(&margins),
            };
            let seed = fit.seed.wrapping_mul(1_000).wrapping_add(fold as u64);
            let settings = boost::Settings::correcting(fit.trees, seed);
            let (member, members) = (fold + 1, self.fold_count);
            let trees = boost::fit(&samples, None, &settings, &|done, total| {
                progress(Step::Trees { member, members, done, total });
            })?;
            let said = trees.predict_with_margin(&pick(&rows, features, &own), &pick(&self.ridge, outputs, &own));
            let said = said.map_err(|_| TrainError::Plan("trees that read the rows which they were fitted to"))?;
            for (row, outputs) in own.iter().zip(said.chunks_exact(outputs)) {
                guesses[*row] = Some(Guess::new(outputs.to_vec()));
            }
            all.push(trees);
        }
        self.guesses = guesses.into_iter().flatten().collect();
        Ok(all)
    }

    fn scaling(&self, reference: &Reference, promoter: &Features) -> ContextScaling {
        let tissues = reference.tissues().len();
        let column = |rows: &dyn Fn(usize) -> f32| -> (f32, f32) {
            let n = self.targets.len().max(1) as f64;
            let mean = (0..self.targets.len()).map(|row| f64::from(rows(row))).sum::<f64>() / n;
            let square = (0..self.targets.len()).map(|row| (f64::from(rows(row)) - mean).powi(2)).sum::<f64>() / n;
            (mean as f32, square.sqrt() as f32)
        };
        let (mean, sd): (Vec<f32>, Vec<f32>) = (0..tissues).map(|at| column(&|row| self.profiles[row][at])).unzip();
        let sd = sd.into_iter().map(|sd| if sd > 1e-6 { sd } else { 1.0 }).collect();
        let guess_mean: Vec<f32> = (0..tissues).map(|at| column(&|row| self.guesses[row].values[at]).0).collect();
        let (promoter_mean, promoter_factor) =
            moments(&promoter.matrix(reference, reference.vicinity(), &self.targets));
        ContextScaling { mean, sd, guess_axes: self.axes(&guess_mean), guess_mean, promoter_mean, promoter_factor }
    }

    /// Returns the main directions in which guesses differ, all scaled by one number so that they vary by about 1.
    fn axes(&self, mean: &[f32]) -> Vec<Vec<f32>> {
        let tissues = mean.len();
        let mut covariance = DMatrix::<f64>::zeros(tissues, tissues);
        for guess in &self.guesses {
            let rest: Vec<f64> = guess.values.iter().zip(mean).map(|(value, mean)| f64::from(value - mean)).collect();
            for row in 0..tissues {
                for column in 0..tissues {
                    covariance[(row, column)] += rest[row] * rest[column];
                }
            }
        }
        covariance /= self.guesses.len().max(1) as f64;
        let eigen = SymmetricEigen::new(covariance);
        let mut order: Vec<usize> = (0..tissues).collect();
        order.sort_by(|a, b| eigen.eigenvalues[*b].total_cmp(&eigen.eigenvalues[*a]));
        order.truncate(AXES);
        let sds = order.iter().map(|at| eigen.eigenvalues[*at].max(0.0).sqrt());
        let scale = (sds.sum::<f64>() / order.len().max(1) as f64).max(1e-6);
        let axis = |at: &usize| eigen.eigenvectors.column(*at).iter().map(|value| (value / scale) as f32).collect();
        order.iter().map(axis).collect()
    }

    /// Fits, fold by fold, a mixture to the genes of the other folds.
    fn fit_mixtures(
        &self,
        scaling: &ContextScaling,
        fit: &ContextFit,
        progress: &(dyn Fn(Step<'_>) + Sync),
    ) -> Result<Vec<Mixture>, TrainError> {
        let width = scaling.mean.len() + scaling.guess_axes.len();
        let mut mixtures = Vec::with_capacity(self.fold_count);
        for fold in 0..self.fold_count {
            progress(Step::Mixture { member: fold + 1, members: self.fold_count });
            let settings = MixtureSettings {
                components: fit.components,
                rounds: 30,
                prior_genes: 150.0,
                seed: fit.seed.wrapping_mul(1_000).wrapping_add(fold as u64),
            };
            let rows = self.rows(fold, false);
            let rows = rows.iter().flat_map(|&row| {
                let axes = scaling.axes(&self.guesses[row].values);
                self.profiles[row].iter().copied().chain(axes).map(f64::from).collect::<Vec<f64>>()
            });
            let rows: Vec<f64> = rows.collect();
            mixtures.push(fit_mixture(&rows, width, &settings)?);
        }
        Ok(mixtures)
    }

    fn lessons<'a>(&'a self, members: &'a [ContextMember]) -> Vec<Lesson<'a>> {
        let lesson = |row: usize| Lesson {
            target: &self.targets[row],
            profile: &self.profiles[row],
            wanted: &self.wanted[row],
            guess: &self.guesses[row],
            mixture: &members[self.folds[row]].mixture,
        };
        (0..self.targets.len()).map(lesson).collect()
    }
}

/// Returns each column's mean and one over its standard deviation, over the rows that have it.
fn moments(matrix: &Matrix) -> (Vec<f32>, Vec<f32>) {
    let column = |at: usize| {
        let values = (0..matrix.rows()).map(|row| f64::from(matrix.row(row)[at])).filter(|value| value.is_finite());
        let values: Vec<f64> = values.collect();
        let n = values.len().max(1) as f64;
        let mean = values.iter().sum::<f64>() / n;
        let sd = (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / n).sqrt();
        (mean as f32, if sd > 1e-6 { (1.0 / sd) as f32 } else { 0.0 })
    };
    (0..matrix.columns()).map(column).unzip()
}
