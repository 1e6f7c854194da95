//! Fits the baselines that read nothing but a gene's own tissues.
//!
//! Imports `reference`, `model` and its siblings. Invariant: everything random comes from a passed seed.

use nalgebra::{DMatrix, SymmetricEigen};
use rand::RngExt as _;
use rayon::prelude::*;

use super::init::generator;
use super::masking::keep_some;
use crate::model::baseline::tissue_ids;
use crate::model::own_tissues::{ConditionalGaussian, LowRank, NearestProfiles, OwnTissuesKind, ProfileTable};
use crate::model::{ModelError, ProfileModel, Scale, Target};
use crate::reference::{GeneIndex, Reference};

/// Ranks of the low-rank table that are tried, up to half of the tissues: of full rank, without a threshold, it is the
/// conditional Gaussian again.
const RANKS: [usize; 5] = [2, 4, 8, 16, 32];

/// Thresholds that are tried, as shares of the largest singular value.
const THRESHOLDS: [f64; 3] = [0.0, 3e-3, 1e-2];

/// Penalties that are tried on a gene's factors, in squared units of log2(1 + x).
const PENALTIES: [f64; 6] = [1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1];

/// Fits a baseline to the training genes with a whole, varied profile; what it leaves open is chosen on calibration
/// genes, parts of whose tissues are hidden, or on the training genes where there are none.
///
/// # Errors
/// None of the genes can be fitted to.
pub fn fit_own_tissues(
    kind: OwnTissuesKind,
    reference: &Reference,
    train: &[GeneIndex],
    calibration: &[GeneIndex],
    seed: u64,
) -> Result<Box<dyn ProfileModel>, ModelError> {
    let table = table(reference, train)?;
    Ok(match kind {
        OwnTissuesKind::ConditionalGaussian => {
            let covariance = covariance(&table);
            Box::new(ConditionalGaussian::new(table.tissues, table.mean, covariance.as_slice()))
        }
        OwnTissuesKind::NearestProfiles => Box::new(NearestProfiles::new(table)),
        OwnTissuesKind::LowRank => {
            let on = if calibration.is_empty() { train } else { calibration };
            Box::new(fit_low_rank(&table, reference, on, seed)?)
        }
    })
}

fn table(reference: &Reference, genes: &[GeneIndex]) -> Result<ProfileTable, ModelError> {
    let genes: Vec<GeneIndex> = genes.iter().copied().filter(|&gene| reference.has_shape(gene)).collect();
    if genes.is_empty() {
        return Err(ModelError::NoReferenceGene);
    }
    let tissues = tissue_ids(reference);
    let mut log2 = vec![0.0; tissues.len() * genes.len()];
    for (at, &gene) in genes.iter().enumerate() {
        let profile = Scale::Log2.forward(reference.expression(gene));
        profile.into_iter().enumerate().for_each(|(tissue, value)| log2[tissue * genes.len() + at] = value);
    }
    let mean = |values: &[f32]| values.iter().map(|value| f64::from(*value)).sum::<f64>() / values.len() as f64;
    let mean = log2.chunks_exact(genes.len()).map(mean).collect();
    Ok(ProfileTable { tissues, genes, log2, mean })
}

fn covariance(table: &ProfileTable) -> DMatrix<f64> {
    let genes = table.genes.len();
    let centred = table
        .log2
        .chunks_exact(genes)
        .zip(&table.mean)
        .flat_map(|(values, mean)| values.iter().map(move |value| f64::from(*value) - mean));
    let centred = DMatrix::from_iterator(genes, table.tissues.len(), centred);
    centred.tr_mul(&centred) / genes as f64
}

/// Chooses rank, threshold and penalty with the smallest squared error over hidden tissues, 30 to 90 % of each gene's.
fn fit_low_rank(
    table: &ProfileTable,
    reference: &Reference,
    genes: &[GeneIndex],
    seed: u64,
) -> Result<LowRank, ModelError> {
    let tissues = table.tissues.len();
    let spectrum = Spectrum::of(table);
    let mut rng = generator(seed, "tissues hidden to choose a rank");
    let hide = |target: Target| {
        let expression = target.gene.map(|gene| reference.expression(gene)).unwrap_or_default();
        let left = (1.0 - rng.random_range(0.3..=0.9)) * tissues as f64;
        #[expect(clippy::cast_sign_loss, reason = "it is at least 1")]
        let kept = keep_some(expression, left.round().max(1.0) as usize, &mut rng);
        target.with_measured(&kept)
    };
    let targets: Vec<Target> = genes.iter().filter_map(|&gene| Target::of_gene(reference, gene)).map(hide).collect();
    let mut candidates = Vec::new();
    for rank in RANKS.into_iter().map(|rank| rank.min(tissues / 2).max(1)) {
        if !candidates.iter().any(|(known, _)| *known == rank) {
            candidates.extend(THRESHOLDS.map(|threshold| (rank, threshold)));
        }
    }
    let models: Vec<LowRank> = candidates
        .into_iter()
        .flat_map(|(rank, threshold)| {
            let spectrum = &spectrum;
            PENALTIES.map(move |penalty| spectrum.low_rank(table, rank, threshold, penalty))
        })
        .collect();
    let tried =
        models.into_par_iter().map(|model| Ok::<_, ModelError>((hidden_error(&model, reference, &targets)?, model)));
    let tried: Vec<(f64, LowRank)> = tried.collect::<Result<_, ModelError>>()?;
    // The smaller rank, unless a larger one is better by more than rounding.
    let best = tried.into_iter().reduce(|best, next| if next.0 < 0.999 * best.0 { next } else { best });
    best.map(|(_, model)| model).ok_or(ModelError::NoReferenceGene)
}

/// Returns the squared error over what is hidden of the targets.
fn hidden_error(model: &LowRank, reference: &Reference, targets: &[Target]) -> Result<f64, ModelError> {
    let predictions = model.predict(reference, targets)?;
    let of_gene = predictions.iter().zip(targets).map(|(prediction, target)| {
        let expression = target.gene.map(|gene| reference.expression(gene)).unwrap_or_default();
        // What is known comes back as it was, so that it adds nothing.
        let errors = Scale::Log2.forward(expression).into_iter().zip(&prediction.values);
        errors.map(|(truth, value)| f64::from(truth - value).powi(2)).sum::<f64>()
    });
    Ok(of_gene.sum())
}

/// The singular values of the centred table, largest first, and the right vectors.
struct Spectrum {
    values: Vec<f64>,
    /// One column a singular value.
    vectors: DMatrix<f64>,
}

impl Spectrum {
    fn of(table: &ProfileTable) -> Self {
        let genes = table.genes.len() as f64;
        let SymmetricEigen { eigenvectors, eigenvalues } = SymmetricEigen::new(covariance(table));
        let mut order: Vec<usize> = (0..eigenvalues.len()).collect();
        order.sort_by(|a, b| eigenvalues[*b].total_cmp(&eigenvalues[*a]));
        let values = order.iter().map(|at| (eigenvalues[*at].max(0.0) * genes).sqrt()).collect();
        Self { values, vectors: eigenvectors.select_columns(&order) }
    }

    /// Returns the model of a rank, of a threshold that is a share of the largest singular value, and of a penalty.
    fn low_rank(&self, table: &ProfileTable, rank: usize, threshold: f64, penalty: f64) -> LowRank {
        let threshold = threshold * self.values.first().copied().unwrap_or(0.0);
        let genes = (table.genes.len() as f64).sqrt();
        let scales = self.values.iter().take(rank).map(|value| (value - threshold).max(0.0) / genes);
        let scales: Vec<f64> = scales.collect();
        let factors: Vec<f64> = (0..table.tissues.len())
            .flat_map(|tissue| scales.iter().enumerate().map(move |(at, scale)| self.vectors[(tissue, at)] * scale))
            .collect();
        LowRank::new(table.tissues.clone(), table.mean.clone(), &factors, penalty)
    }
}

#[cfg(test)]
mod tests;
