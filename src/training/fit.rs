//! The fit loop of the pair network: seeded batches of adjacent genes, `AdamW`, early stopping on a validation set.
//!
//! Invariant: data, settings and seed decide every bit of the weights on a CPU; no clock and no thread has a say.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use candle_core::backprop::GradStore;
use candle_core::{DType, Device, Tensor};
use rand::{Rng, RngExt};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::adam::{Adam, AdamSettings, unreached};
use super::init::{generator, seeded};
use crate::genome::Promoter;
use crate::model::ModelError;
use crate::model::layers::Pass;
use crate::model::network::{AUX, NetworkSettings, PairBatch, PairNetwork};

/// How a network is fitted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FitSettings {
    /// Most passes over the training pairs.
    pub epochs: usize,
    /// Passes without improvement after which the fit stops.
    pub patience: usize,
    /// How much lower the validation loss must be to count as improved.
    pub min_delta: f64,
    /// Step size of `AdamW`.
    pub learning_rate: f64,
    /// Decoupled weight decay of `AdamW`.
    pub weight_decay: f64,
    /// Greatest norm of one variable's gradient.
    pub clip_norm: f64,
    /// Pairs of one step.
    pub batch: usize,
    /// Pairs that follow each other in the data and stay together: they share promoters, each encoded once a batch.
    pub chunk: usize,
    /// Batches after each pass that only move the running statistics, without dropout. Those from learning are of
    /// activations that dropout had spread, which shifts every answer of a network without dropout (Li et al.,
    /// "Understanding the Disharmony between Dropout and Batch Normalization", CVPR 2019).
    pub settle: usize,
    /// Seed of the starting values, of the order of batches and of dropout.
    pub seed: u64,
}

impl FitSettings {
    /// Returns the published settings; only the order of batches, by chunks, is not the published one.
    #[must_use]
    pub fn paper(seed: u64) -> Self {
        Self {
            epochs: 200,
            patience: 30,
            min_delta: 1e-4,
            learning_rate: 1e-5,
            weight_decay: 1e-5,
            clip_norm: 2.0,
            batch: 32,
            chunk: 8,
            settle: 0,
            seed,
        }
    }

    /// Returns settings for the compact network on a small machine.
    #[must_use]
    pub fn compact(seed: u64) -> Self {
        Self { epochs: 12, patience: 3, learning_rate: 3e-3, batch: 64, chunk: 16, settle: 40, ..Self::paper(seed) }
    }
}

/// A target gene and a neighbour, by rows of a [`PairData`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pair {
    /// The target's promoter.
    pub target_promoter: usize,
    /// The neighbour's promoter.
    pub neighbour_promoter: usize,
    /// The neighbour's scaled profile.
    pub profile: usize,
    /// The target's wanted outputs.
    pub target: usize,
    /// The aux numbers, as [`PairBatch::aux`].
    pub aux: [f32; AUX],
}

/// Pairs to learn from or to be scored on.
#[derive(Debug, Clone, Default)]
pub struct PairData {
    /// Promoters, each once; `None` is one that nobody knows.
    pub promoters: Vec<Option<Promoter>>,
    /// Scaled profiles as inputs, one number a tissue.
    pub profiles: Vec<Vec<f32>>,
    /// Profiles as outputs, one number a tissue.
    pub targets: Vec<Vec<f32>>,
    /// The pairs in genome order.
    pub pairs: Vec<Pair>,
}

impl PairData {
    /// Checks that every pair's rows exist and that every number is finite.
    fn validate(&self, which: &'static str, tissues: usize) -> Result<(), FitError> {
        let broken = |pair: usize, reason: &'static str| FitError::Data { which, pair, reason };
        if self.pairs.is_empty() {
            return Err(broken(0, "is not there: at least one is needed"));
        }
        let whole = |rows: &[Vec<f32>], row: usize| {
            rows.get(row).is_some_and(|row| row.len() == tissues && row.iter().all(|value| value.is_finite()))
        };
        for (index, pair) in self.pairs.iter().enumerate() {
            if pair.target_promoter.max(pair.neighbour_promoter) >= self.promoters.len() {
                return Err(broken(index, "names a promoter that is not there"));
            }
            if !whole(&self.profiles, pair.profile) || !whole(&self.targets, pair.target) {
                return Err(broken(index, "needs two profiles with one finite number a tissue"));
            }
            if !pair.aux.iter().all(|value| value.is_finite()) {
                return Err(broken(index, "has an aux number that is not finite"));
            }
        }
        Ok(())
    }

    /// Puts pairs together with their promoters, each once.
    fn batch(&self, pairs: &[usize]) -> (Vec<Option<&Promoter>>, PairBatch) {
        let mut rows = BTreeMap::new();
        let mut promoters = Vec::new();
        let mut batch = PairBatch::default();
        for pair in pairs.iter().map(|index| &self.pairs[*index]) {
            let mut row = |promoter: usize| {
                *rows.entry(promoter).or_insert_with(|| {
                    promoters.push(self.promoters[promoter].as_ref());
                    promoters.len() - 1
                })
            };
            batch.target_promoters.push(row(pair.target_promoter));
            batch.neighbour_promoters.push(row(pair.neighbour_promoter));
            batch.neighbour_profiles.extend(&self.profiles[pair.profile]);
            batch.aux.push(pair.aux);
        }
        (promoters, batch)
    }

    fn targets(&self, pairs: &[usize], device: &Device) -> candle_core::Result<Tensor> {
        let rows = pairs.iter().map(|index| &self.targets[self.pairs[*index].target]);
        let values: Vec<f32> = rows.flatten().copied().collect();
        Tensor::from_vec(values, (pairs.len(), ()), device)
    }
}

/// One pass over the training pairs.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Epoch {
    /// Mean squared error over the pass's own steps, with dropout.
    pub train_loss: f64,
    /// Mean squared error on the validation pairs after it, without dropout.
    pub validation_loss: f64,
}

/// What happened during a fit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FitLog {
    /// Every pass.
    pub epochs: Vec<Epoch>,
    /// The pass, from 0, whose weights were kept.
    pub best: usize,
}

/// What a fit reports after every pass.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Progress {
    /// Passes done.
    pub epoch: usize,
    /// Most passes.
    pub epochs: usize,
    /// The last pass's losses.
    pub losses: Epoch,
    /// Time until the most passes are done, at the pace so far.
    pub left: Duration,
}

/// Why a fit failed.
#[derive(Debug, thiserror::Error)]
pub enum FitError {
    /// The settings cannot work.
    #[error("a fit needs {0}")]
    Settings(&'static str),
    /// A pair of the data cannot be used.
    #[error("{which} pair {pair} {reason}")]
    Data {
        /// Which data: `training` or `validation`.
        which: &'static str,
        /// The pair's place, from 0.
        pair: usize,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A variable would never learn.
    #[error("no gradient reaches the variable '{0}': it would never learn")]
    NoGradient(String),
    /// The loss left the numbers.
    #[error("the loss is not finite in pass {epoch}: lower the learning rate")]
    Diverged {
        /// The pass, from 1.
        epoch: usize,
    },
    /// The network failed.
    #[error("the network failed")]
    Model(#[from] ModelError),
}

impl From<candle_core::Error> for FitError {
    fn from(source: candle_core::Error) -> Self {
        Self::Model(source.into())
    }
}

/// Fits a network and returns it with its best weights, frozen, and the log.
///
/// `progress` is called after every pass.
///
/// # Errors
/// Settings or data are out of range, a variable gets no gradient in the first step, or the loss diverges.
pub fn fit(
    settings: &FitSettings,
    network: &NetworkSettings,
    train: &PairData,
    validation: &PairData,
    mut progress: impl FnMut(&Progress),
) -> Result<(PairNetwork, FitLog), FitError> {
    if settings.epochs == 0 || settings.batch < 2 || settings.chunk == 0 || settings.chunk > settings.batch {
        return Err(FitError::Settings("an epoch, a batch of two pairs or more, and a chunk no longer than the batch"));
    }
    train.validate("training", network.tissues)?;
    validation.validate("validation", network.tissues)?;
    let mut source = seeded(settings.seed);
    let network = PairNetwork::new(network, DType::F32, &Device::Cpu, &mut source)?;
    let answering = network.frozen()?;
    let mut trainer = Trainer {
        adam: Adam::new(
            network.variables(),
            AdamSettings {
                learning_rate: settings.learning_rate,
                weight_decay: settings.weight_decay,
                clip_norm: settings.clip_norm,
            },
        ),
        masks: generator(settings.seed, "dropout"),
        network,
        checked: false,
    };
    let mut order = generator(settings.seed, "order");
    let mut best: Option<(f64, BTreeMap<String, Tensor>)> = None;
    let mut log = FitLog { epochs: Vec::new(), best: 0 };
    let started = Instant::now();
    for epoch in 1..=settings.epochs {
        let batches = batches(train.pairs.len(), settings, &mut order);
        let mut train_loss = 0.0;
        for batch in &batches {
            train_loss += trainer.step(train, batch)? * batch.len() as f64;
        }
        for batch in batches.iter().take(settings.settle) {
            trainer.settle(train, batch)?;
        }
        let pairs: usize = batches.iter().map(Vec::len).sum();
        let losses = Epoch {
            train_loss: train_loss / pairs as f64,
            validation_loss: validation_loss(&answering, validation, settings.batch)?,
        };
        if !losses.train_loss.is_finite() || !losses.validation_loss.is_finite() {
            return Err(FitError::Diverged { epoch });
        }
        log.epochs.push(losses);
        let left = started.elapsed() / epoch as u32 * (settings.epochs - epoch) as u32;
        progress(&Progress { epoch, epochs: settings.epochs, losses, left });
        if best.as_ref().is_none_or(|(best, _)| losses.validation_loss < best - settings.min_delta) {
            best = Some((losses.validation_loss, snapshot(&trainer.network)?));
            log.best = epoch - 1;
        } else if epoch - 1 - log.best >= settings.patience {
            break;
        }
    }
    if let Some((_, weights)) = best {
        for (name, var) in trainer.network.variables().all() {
            var.set(&weights[name])?;
        }
    }
    Ok((answering, log))
}

/// Copies every variable, the running statistics too.
fn snapshot(network: &PairNetwork) -> candle_core::Result<BTreeMap<String, Tensor>> {
    network.variables().all().map(|(name, var)| Ok((name.to_owned(), var.as_tensor().detach().copy()?))).collect()
}

/// Shuffles chunks of adjacent pairs, cut at another place every time, into batches; a single left-over pair, which
/// has no batch statistics of its own, waits for the next pass.
fn batches(pairs: usize, settings: &FitSettings, order: &mut ChaCha8Rng) -> Vec<Vec<usize>> {
    let first = order.random_range(0..settings.chunk).min(pairs);
    let indices: Vec<usize> = (0..pairs).collect();
    let (head, tail) = indices.split_at(first);
    let mut chunks: Vec<&[usize]> = tail.chunks(settings.chunk).collect();
    chunks.push(head);
    for place in (1..chunks.len()).rev() {
        let other = (order.next_u64() % (place as u64 + 1)) as usize;
        chunks.swap(place, other);
    }
    let shuffled = chunks.concat();
    shuffled.chunks(settings.batch).filter(|batch| batch.len() > 1 || pairs == 1).map(<[usize]>::to_vec).collect()
}

struct Trainer {
    network: PairNetwork,
    adam: Adam,
    masks: ChaCha8Rng,
    checked: bool,
}

impl Trainer {
    /// Moves the running statistics by a batch, and nothing else.
    fn settle(&mut self, data: &PairData, pairs: &[usize]) -> Result<(), FitError> {
        let (promoters, _) = data.batch(pairs);
        self.network.encode_promoters(&promoters, &mut Pass::Settle)?;
        Ok(())
    }

    /// Takes one step and returns the mean squared error before it.
    fn step(&mut self, data: &PairData, pairs: &[usize]) -> Result<f64, FitError> {
        let (promoters, batch) = data.batch(pairs);
        let mut pass = Pass::Train(&mut self.masks);
        let embeddings = self.network.encode_promoters(&promoters, &mut pass)?;
        let output = self.network.forward(&embeddings, &batch, &mut pass)?;
        let loss = (output - data.targets(pairs, &Device::Cpu)?)?.sqr()?.mean_all()?;
        let gradients = [loss.backward()?];
        if !self.checked {
            check_gradients(&self.network, &gradients, promoters.iter().any(Option::is_none))?;
            self.checked = true;
        }
        self.adam.step(self.network.variables(), &gradients, 1.0)?;
        Ok(f64::from(loss.to_scalar::<f32>()?))
    }
}

/// Checks that a gradient reaches every variable; the vector for unknown promoters has one only where there are any.
fn check_gradients(network: &PairNetwork, gradients: &[GradStore], any_missing: bool) -> Result<(), FitError> {
    let spared = |name: &str| !any_missing && name == PairNetwork::MISSING_PROMOTER;
    unreached(network.variables(), gradients, spared)?.map_or(Ok(()), |name| Err(FitError::NoGradient(name)))
}

/// Computes the mean squared error, every promoter encoded once.
fn validation_loss(network: &PairNetwork, data: &PairData, batch: usize) -> Result<f64, FitError> {
    let all: Vec<usize> = (0..data.pairs.len()).collect();
    let (promoters, whole) = data.batch(&all);
    let embeddings = network.encode_promoters(&promoters, &mut Pass::Infer)?;
    let tissues = network.settings().tissues;
    let mut sum = 0.0;
    for pairs in all.chunks(batch.max(64)) {
        let range = pairs[0]..pairs[0] + pairs.len();
        let part = whole.slice(range, tissues);
        let output = network.forward(&embeddings, &part, &mut Pass::Infer)?;
        let squares = (output - data.targets(pairs, &Device::Cpu)?)?.sqr()?.sum_all()?;
        sum += f64::from(squares.to_scalar::<f32>()?);
    }
    Ok(sum / (data.pairs.len() * tissues) as f64)
}
