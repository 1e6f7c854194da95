//! Fits the hybrid: networks and trees crosswise, so that no tree ever learns from a gene its network has seen.
//!
//! The training genes are dealt into folds by chromosome. Each member's network is fitted on the other folds and its
//! trees on its own fold; on a base, the trees correct what a ridge predicted of genes that it had not seen either.
//! Imports `reference`, `model` and its siblings. The same plan and seed give the same weights.

use std::collections::HashMap;
use std::time::Duration;

use super::baselines::{BaselineSettings, RidgeFit, fit_surroundings};
use super::boost::{self, BoostError, Samples};
use super::fit::{self, FitError, FitSettings, Pair, PairData, Progress};
use super::folds::inner_folds;
use crate::model::baseline::tissue_ids;
use crate::model::features::{Features, Matrix};
use crate::model::hybrid::{Head, Hybrid, HybridSettings, Member, PairScaling, Pairs, encode, join_rows, signed_log};
use crate::model::layers::Pass;
use crate::model::method::StoredModel;
use crate::model::network::{Embeddings, NetworkSettings, PAPER_PROMOTER_LENGTH, PairNetwork};
use crate::model::ridge::Outputs;
use crate::model::{ModelError, Neighbour, Scale, Target};
use crate::reference::{GeneIndex, Reference};

/// How large the parts are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preset {
    /// The published sizes.
    Paper,
    /// The same parts, sized for two cores.
    Compact,
}

/// What is left out, to see what it is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ablation {
    /// Nothing: the whole model.
    None,
    /// The promoter network.
    Cnn,
    /// The tissue transformer.
    Transformer,
    /// Distance and orientation.
    Aux,
    /// The boosted trees: the network's last layer predicts.
    Trees,
}

impl Ablation {
    /// Every part that can be left out.
    pub const ALL: [Self; 4] = [Self::Cnn, Self::Transformer, Self::Aux, Self::Trees];

    /// Returns what is left out, as tables print it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "whole",
            Self::Cnn => "without-cnn",
            Self::Transformer => "without-transformer",
            Self::Aux => "without-distance-and-orientation",
            Self::Trees => "without-trees",
        }
    }
}

/// What to fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HybridPlan {
    /// The scale of the model's numbers.
    pub scale: Scale,
    /// Whether the trees correct a ridge on the surroundings; otherwise the model is the published one.
    pub on_base: bool,
    /// How large the parts are.
    pub preset: Preset,
    /// What is left out.
    pub ablation: Ablation,
    /// How many members, each on its own fold: at least 2.
    pub members: usize,
    /// The promoters' base, from 0, at which transcription starts.
    pub promoter_tss: usize,
    /// The seed of everything random.
    pub seed: u64,
}

/// Where a fit is.
#[derive(Debug, Clone, Copy)]
pub enum Step<'a> {
    /// The ridge below.
    Base,
    /// A member's mixture.
    Mixture {
        /// Which member, from 1.
        member: usize,
        /// How many.
        members: usize,
    },
    /// A member's network.
    Network {
        /// Which member, from 1.
        member: usize,
        /// How many.
        members: usize,
        /// Its last pass.
        progress: &'a Progress,
    },
    /// The context model's network.
    Context {
        /// Passes done.
        epoch: usize,
        /// Passes in all.
        epochs: usize,
        /// The last pass's loss.
        loss: f64,
        /// Time until all are done, at the pace so far.
        left: Duration,
    },
    /// A member's trees.
    Trees {
        /// Which member, from 1.
        member: usize,
        /// How many.
        members: usize,
        /// Trees grown.
        done: usize,
        /// Trees to grow.
        total: usize,
    },
}

/// Why a model could not be fitted.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// The plan cannot work with these genes.
    #[error("the model needs {0}")]
    Plan(&'static str),
    /// A network could not be fitted.
    #[error("the network could not be fitted")]
    Fit(#[from] FitError),
    /// The trees could not be fitted.
    #[error("the trees could not be fitted")]
    Boost(#[from] BoostError),
    /// A part failed.
    #[error("a part of the model failed")]
    Model(#[from] ModelError),
}

/// Fits a hybrid to `train`; the networks stop by their loss on `validation`.
///
/// # Errors
/// There are too few genes, or a part fails.
pub fn fit_hybrid(
    reference: &Reference,
    train: &[GeneIndex],
    validation: &[GeneIndex],
    plan: &HybridPlan,
    progress: &(dyn Fn(Step<'_>) + Sync),
) -> Result<Hybrid, TrainError> {
    let folds = inner_folds(reference, train, plan.members.max(2));
    if folds.len() < 2 || folds.iter().any(|fold| fold.len() < 4) {
        return Err(TrainError::Plan("at least two chromosomes, or eight genes, to train on"));
    }
    if inner_folds(reference, validation, 1).concat().is_empty() {
        return Err(TrainError::Plan("genes on the calibration chromosomes, by which the networks stop"));
    }
    let base = if plan.on_base {
        progress(Step::Base);
        let settings = BaselineSettings { promoter_tss: plan.promoter_tss, ..BaselineSettings::default() };
        Some(fit_surroundings(reference, &folds.concat(), plan.scale, settings)?)
    } else {
        None
    };
    let settings = settings_of(reference, &folds.concat(), plan, base.as_ref())?;
    let workshop = Workshop { reference, plan, settings: &settings, base: base.as_ref(), progress };
    let mut members = Vec::with_capacity(folds.len());
    for held_out in 0..folds.len() {
        let others: Vec<GeneIndex> = folds
            .iter()
            .enumerate()
            .filter(|(fold, _)| *fold != held_out)
            .flat_map(|(_, genes)| genes.clone())
            .collect();
        members.push(workshop.member(held_out, &others, &folds[held_out], validation)?);
    }
    let base = base.map(|fit| fit.model);
    Ok(Hybrid::try_new(settings, base, members)?)
}

fn settings_of(
    reference: &Reference,
    genes: &[GeneIndex],
    plan: &HybridPlan,
    base: Option<&RidgeFit>,
) -> Result<HybridSettings, ModelError> {
    let tissues = reference.tissues().len();
    let outputs = if plan.on_base { Outputs::ShapeAndLevel } else { Outputs::Direct };
    let longest = genes.iter().filter_map(|gene| reference.promoter(*gene)).map(|p| p.bases().len()).max();
    let network = match plan.preset {
        Preset::Paper => NetworkSettings::paper(tissues),
        Preset::Compact => NetworkSettings::compact(tissues, longest.unwrap_or(PAPER_PROMOTER_LENGTH)),
    };
    let network = NetworkSettings {
        use_cnn: plan.ablation != Ablation::Cnn,
        use_transformer: plan.ablation != Ablation::Transformer,
        use_aux: plan.ablation != Ablation::Aux,
        ..network
    };
    Ok(HybridSettings {
        scale: plan.scale,
        tissues: tissue_ids(reference),
        outputs,
        network,
        scaling: scaling_of(reference, genes, plan.scale, outputs),
        head: if plan.ablation == Ablation::Trees { Head::Network } else { Head::Trees },
        extra: plan.on_base.then(|| Features::beside_a_network(plan.promoter_tss)),
        base: base.map(|fit| fit.model.settings()).transpose()?,
        members: plan.members.max(2),
    })
}

fn scaling_of(reference: &Reference, genes: &[GeneIndex], scale: Scale, outputs: Outputs) -> PairScaling {
    let tissues = reference.tissues().len();
    let (mut low, mut high) = (vec![f32::INFINITY; tissues], vec![f32::NEG_INFINITY; tissues]);
    let mut sums = vec![0.0_f64; tissues];
    for &gene in genes {
        for (tissue, value) in encode(reference, scale, outputs, gene).into_iter().enumerate() {
            low[tissue] = low[tissue].min(value);
            high[tissue] = high[tissue].max(value);
            sums[tissue] += f64::from(value);
        }
    }
    let span = low.iter().zip(&high).map(|(low, high)| if high > low { high - low } else { 1.0 }).collect();
    let mean = sums.into_iter().map(|sum| (sum / genes.len().max(1) as f64) as f32).collect();
    let distances: Vec<f64> = flanking(reference, genes)
        .iter()
        .filter_map(|(_, neighbour)| neighbour.map(|neighbour| f64::from(signed_log(neighbour.distance_bp))))
        .collect();
    let n = distances.len().max(1) as f64;
    let centre = distances.iter().sum::<f64>() / n;
    let sd = (distances.iter().map(|d| (d - centre).powi(2)).sum::<f64>() / n).sqrt();
    PairScaling { low, span, mean, distance_mean: centre as f32, distance_sd: if sd > 1e-6 { sd as f32 } else { 1.0 } }
}

/// Pairs each gene with its nearest measured gene on either side: both directions of every adjacent pair.
fn flanking(reference: &Reference, genes: &[GeneIndex]) -> Vec<(Target, Option<Neighbour>)> {
    let mut pairs = Vec::with_capacity(2 * genes.len());
    for target in genes.iter().filter_map(|gene| Target::of_gene(reference, *gene)) {
        let flanks = reference.vicinity().flanking(&target.locus, target.gene, 1, 1);
        let neighbours: Vec<Neighbour> = flanks.left.into_iter().chain(flanks.right).collect();
        if neighbours.is_empty() {
            pairs.push((target, None));
        } else {
            pairs.extend(neighbours.into_iter().map(|neighbour| (target.clone(), Some(neighbour))));
        }
    }
    pairs
}

/// Pairs each gene with its nearest measured gene, as a prediction does.
fn nearest(reference: &Reference, genes: &[GeneIndex]) -> Vec<(Target, Option<Neighbour>)> {
    let targets = genes.iter().filter_map(|gene| Target::of_gene(reference, *gene));
    let pair = |target: Target| {
        let neighbour = reference.vicinity().nearest(&target.locus, target.gene, 1).first().copied();
        (target, neighbour)
    };
    targets.map(pair).collect()
}

/// What every member is made from.
struct Workshop<'a> {
    reference: &'a Reference,
    plan: &'a HybridPlan,
    settings: &'a HybridSettings,
    base: Option<&'a RidgeFit>,
    progress: &'a (dyn Fn(Step<'_>) + Sync),
}

impl Workshop<'_> {
    fn member(
        &self,
        index: usize,
        seen: &[GeneIndex],
        unseen: &[GeneIndex],
        validation: &[GeneIndex],
    ) -> Result<Member, TrainError> {
        let (member, members) = (index + 1, self.settings.members);
        let seed = self.plan.seed.wrapping_mul(1_000).wrapping_add(member as u64);
        let fit_settings = match self.plan.preset {
            Preset::Paper => FitSettings::paper(seed),
            Preset::Compact => FitSettings::compact(seed),
        };
        let train = self.pair_data(&flanking(self.reference, seen));
        let held_out = self.pair_data(&nearest(self.reference, validation));
        let (network, log) = fit::fit(&fit_settings, &self.settings.network, &train, &held_out, |progress| {
            (self.progress)(Step::Network { member, members, progress });
        })?;
        tracing::debug!(member, best_pass = log.best + 1, passes = log.epochs.len(), "network fitted");
        if self.settings.head == Head::Network {
            return Ok(Member { network, trees: None });
        }
        // As published the trees learn from both neighbours; on a base the base has read all of them already.
        let pairs =
            if self.base.is_some() { nearest(self.reference, unseen) } else { flanking(self.reference, unseen) };
        let (targets, neighbours): (Vec<Target>, Vec<Option<Neighbour>>) = pairs.into_iter().unzip();
        let written = Pairs::new(self.reference, self.settings, &targets, &neighbours);
        let own = network_features(&network, &written)?;
        let margins = self.base.map(|base| base_outputs(base, &targets)).transpose()?;
        let extra = self.settings.extra.as_ref();
        let extra = extra.map(|extra| extra.matrix(self.reference, self.reference.vicinity(), &targets));
        let features = join_rows(&own, targets.len(), margins.as_deref());
        let features = join_rows(&features, targets.len(), extra.as_ref().map(Matrix::values));
        let wanted: Vec<f32> = targets.iter().flat_map(|target| self.wanted(target)).collect();
        let samples = Samples {
            features: &features,
            n_features: features.len() / targets.len(),
            targets: &wanted,
            n_targets: wanted.len() / targets.len(),
            margins: margins.as_deref(),
        };
        let trees = boost::fit(&samples, None, &self.tree_settings(seed), &|done, total| {
            (self.progress)(Step::Trees { member, members, done, total });
        })?;
        Ok(Member { network, trees: Some(trees) })
    }

    /// Returns the trees' wanted outputs of a gene.
    fn wanted(&self, target: &Target) -> Vec<f32> {
        let expression = target.gene.map(|gene| self.reference.expression(gene)).unwrap_or_default();
        self.settings.outputs.encode(&self.settings.scale.forward(expression))
    }

    fn pair_data(&self, pairs: &[(Target, Option<Neighbour>)]) -> PairData {
        let (targets, neighbours): (Vec<Target>, Vec<Option<Neighbour>>) = pairs.iter().cloned().unzip();
        let written = Pairs::new(self.reference, self.settings, &targets, &neighbours);
        let tissues = self.settings.tissues.len();
        let profiles = written.batch.neighbour_profiles.chunks_exact(tissues).map(<[f32]>::to_vec).collect();
        let wanted = |target: &Target| {
            let mut wanted = self.wanted(target);
            wanted.truncate(tissues);
            self.settings.scaling.scale(&wanted)
        };
        let pair = |row: usize| Pair {
            target_promoter: written.batch.target_promoters[row],
            neighbour_promoter: written.batch.neighbour_promoters[row],
            profile: row,
            target: row,
            aux: written.batch.aux[row],
        };
        PairData {
            promoters: written.promoters.iter().map(|promoter| promoter.cloned()).collect(),
            profiles,
            targets: targets.iter().map(wanted).collect(),
            pairs: (0..pairs.len()).map(pair).collect(),
        }
    }

    fn tree_settings(&self, seed: u64) -> boost::Settings {
        match (self.base.is_some(), self.plan.preset) {
            // Version 2 of the published code: everything that it does not name at the library's default.
            (false, Preset::Paper) => {
                boost::Settings { rounds: 750, learning_rate: 0.005, max_depth: 5, seed, ..boost::Settings::default() }
            }
            (false, Preset::Compact) => boost::Settings {
                rounds: 120,
                learning_rate: 0.03,
                max_depth: 5,
                lambda: 5.0,
                min_child_weight: 10.0,
                subsample: 0.7,
                colsample_bytree: 0.8,
                max_bin: 64,
                seed,
                ..boost::Settings::default()
            },
            (true, _) => boost::Settings::correcting(80, seed),
        }
    }
}

/// Returns what the base said of each target when it had not seen it.
fn base_outputs(base: &RidgeFit, targets: &[Target]) -> Result<Vec<f32>, TrainError> {
    let of_gene: HashMap<GeneIndex, &Vec<f32>> = base.held_out.iter().map(|(gene, outputs)| (*gene, outputs)).collect();
    let mut rows = Vec::new();
    for target in targets {
        match target.gene.and_then(|gene| of_gene.get(&gene)) {
            Some(outputs) => rows.extend(outputs.iter()),
            None => return Err(TrainError::Plan("a held-out ridge prediction of every training gene")),
        }
    }
    Ok(rows)
}

/// Computes the network's features of pairs, without dropout.
fn network_features(network: &PairNetwork, pairs: &Pairs<'_>) -> Result<Vec<f32>, ModelError> {
    /// Promoters and pairs that go through the network at once: bounds the memory.
    const AT_ONCE: usize = 256;
    let mut sets = Vec::new();
    for chunk in pairs.promoters.chunks(AT_ONCE) {
        sets.push(network.encode_promoters(chunk, &mut Pass::Infer)?);
    }
    let embeddings = Embeddings::concat(&sets.iter().collect::<Vec<_>>())?;
    let mut features = Vec::new();
    for start in (0..pairs.batch.aux.len()).step_by(AT_ONCE) {
        let batch = pairs.batch.slice(start..(start + AT_ONCE).min(pairs.batch.aux.len()), network.settings().tissues);
        features.extend(network.features(&embeddings, &batch, &mut Pass::Infer)?.flatten_all()?.to_vec1::<f32>()?);
    }
    Ok(features)
}

#[cfg(test)]
mod tests;
