//! Fits the context model's network: tissues are hidden at random rates, anew in every pass, and all of them at times.

use std::time::Instant;

use candle_core::backprop::GradStore;
use candle_core::{DType, Device, Tensor};
use rand::{Rng as _, RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use crate::model::context::mixture::{Mixture, Posterior};
use crate::model::context::network::{ContextBatch, ContextNetwork, Corrections, PLACE};
use crate::model::context::{ContextSettings, Guess, Reading, known_and_guess, read};
use crate::model::layers::Pass;
use crate::model::{ModelError, Target};
use crate::reference::Reference;
use crate::training::adam::{Adam, AdamSettings, unreached};
use crate::training::fit::FitError;
use crate::training::init::{generator, seeded};
use crate::training::profile::{Step, TrainError};

/// Genes of one step.
const BATCH: usize = 64;
/// Genes of a part of a step: parts are computed side by side, and their gradients averaged in order.
const PART: usize = 32;
/// The share of genes of which every tissue is hidden.
const ALL_HIDDEN: f64 = 0.25;
/// The least share of tissues that is hidden.
const LEAST_HIDDEN: f64 = 0.05;
/// The greatest share of neighbours that is hidden; each gene draws its own up to that.
const MOST_NEIGHBOURS_HIDDEN: f64 = 0.4;
/// The weight of shape and level, of genes without any known tissue, beside that of values.
const OUTPUTS_WEIGHT: f64 = 0.3;
/// The weight of level and spread beside that of one tissue's shape.
const LEVEL_WEIGHT: f32 = 2.0;
/// Steps until the full step size.
const WARM_UP: usize = 300;
const ADAM: AdamSettings = AdamSettings { learning_rate: 2e-3, weight_decay: 0.05, clip_norm: 1.0 };

/// A gene to learn from, with what the parts say that were not fitted to it.
pub(super) struct Lesson<'a> {
    pub(super) target: &'a Target,
    /// log2(1 + x) by tissue.
    pub(super) profile: &'a [f32],
    /// Shape and level.
    pub(super) wanted: &'a [f32],
    pub(super) guess: &'a Guess,
    pub(super) mixture: &'a Mixture,
}

/// What the network is fitted to.
pub(super) struct NetworkFit<'a> {
    pub(super) reference: &'a Reference,
    pub(super) settings: &'a ContextSettings,
    pub(super) lessons: &'a [Lesson<'a>],
    pub(super) epochs: usize,
    pub(super) seed: u64,
}

/// Fits the network.
///
/// # Errors
/// A variable gets no gradient in the first step, or the loss diverges.
pub(super) fn fit_network(
    fit: &NetworkFit<'_>,
    progress: &(dyn Fn(Step<'_>) + Sync),
) -> Result<ContextNetwork, TrainError> {
    let mut source = seeded(fit.seed);
    let network = ContextNetwork::new(&fit.settings.network, DType::F32, &Device::Cpu, &mut source)?;
    let mut adam = Adam::new(network.variables(), ADAM);
    let mut masks = generator(fit.seed, "context dropout");
    let mut hiding = generator(fit.seed, "context hiding");
    let mut order: Vec<usize> = (0..fit.lessons.len()).collect();
    let steps = fit.epochs * order.len().div_ceil(BATCH);
    let warm_up = WARM_UP.min(steps / 4).max(1);
    let (mut step, mut checked) = (0_usize, false);
    let started = Instant::now();
    for epoch in 1..=fit.epochs {
        for place in (1..order.len()).rev() {
            order.swap(place, hiding.random_range(0..=place));
        }
        let mut sum = 0.0;
        for rows in order.chunks(BATCH) {
            let mut parts = Vec::with_capacity(rows.len().div_ceil(PART));
            for rows in rows.chunks(PART) {
                parts.push((fit.hide(rows, &mut hiding)?, ChaCha8Rng::seed_from_u64(masks.next_u64())));
            }
            let done = parts.par_iter_mut().map(|(hidden, masks)| hidden.learn(&network, masks));
            let (losses, gradients): (Vec<f64>, Vec<GradStore>) =
                done.collect::<Result<Vec<_>, ModelError>>()?.into_iter().unzip();
            if !checked && parts.iter().any(|(hidden, _)| hidden.both_kinds) {
                let blank = |of: fn(&ContextBatch) -> &Vec<f32>| {
                    parts.iter().all(|(hidden, _)| of(&hidden.tokens).iter().all(|number| *number == 0.0))
                };
                // A dataset without promoters, or genes without neighbours, give these nothing to learn from.
                let (promoters, neighbours) = (blank(|tokens| &tokens.promoters), blank(|tokens| &tokens.profiles));
                let spared = |name: &str| match name {
                    "context.promoter.weight" => promoters,
                    "context.profile.weight" | "context.place.weight" => neighbours,
                    _ => false,
                };
                let unreached = unreached(network.variables(), &gradients, spared).map_err(ModelError::from)?;
                if let Some(name) = unreached {
                    return Err(FitError::NoGradient(name).into());
                }
                checked = true;
            }
            let rising = step as f64 / warm_up as f64;
            let along = (step as f64 - warm_up as f64).max(0.0) / steps.saturating_sub(warm_up).max(1) as f64;
            let falling = f64::midpoint(1.0, (std::f64::consts::PI * along.min(1.0)).cos());
            adam.step(network.variables(), &gradients, rising.min(1.0) * falling).map_err(ModelError::from)?;
            sum += losses.iter().sum::<f64>() / losses.len() as f64 * rows.len() as f64;
            step += 1;
        }
        let train_loss = sum / order.len() as f64;
        if !train_loss.is_finite() {
            return Err(FitError::Diverged { epoch }.into());
        }
        let left = started.elapsed() / epoch as u32 * (fit.epochs - epoch) as u32;
        progress(Step::Context { epoch, epochs: fit.epochs, loss: train_loss, left });
    }
    Ok(network.frozen()?)
}

/// Genes with part of their tissues hidden, and what is due.
struct Hidden {
    tokens: ContextBatch,
    /// Genes × tissues: what has to be added to the mixtures' values, and how much each counts.
    values: (Vec<f32>, Vec<f32>),
    /// Genes × (tissues + 2): the same of the guesses' outputs.
    outputs: (Vec<f32>, Vec<f32>),
    genes: usize,
    both_kinds: bool,
}

impl Hidden {
    /// Returns the loss and the gradients of a training pass.
    fn learn(&self, network: &ContextNetwork, masks: &mut ChaCha8Rng) -> Result<(f64, GradStore), ModelError> {
        let loss = self.loss(&network.forward(&self.tokens, &mut Pass::Train(masks))?)?;
        Ok((f64::from(loss.to_scalar::<f32>()?), loss.backward()?))
    }

    fn loss(&self, corrections: &Corrections) -> candle_core::Result<Tensor> {
        let part = |correction: &Tensor, (due, weight): &(Vec<f32>, Vec<f32>)| {
            let table =
                |values: &[f32]| Tensor::from_slice(values, (self.genes, values.len() / self.genes), &Device::Cpu);
            ((correction - table(due)?)?.sqr()? * table(weight)?)?.sum_all()
        };
        part(&corrections.values, &self.values)? + part(&corrections.outputs, &self.outputs)?
    }
}

impl NetworkFit<'_> {
    /// Hides tissues of some genes and writes them as a batch.
    fn hide(&self, rows: &[usize], rng: &mut ChaCha8Rng) -> Result<Hidden, ModelError> {
        let targets: Vec<Target> = rows.iter().map(|row| self.hidden_target(*row, rng)).collect();
        let lessons = || rows.iter().map(|row| &self.lessons[*row]);
        let posterior = |(target, row): (&Target, &usize)| {
            let lesson = &self.lessons[*row];
            let values = known_and_guess(&self.settings.scaling, &target.measured, &lesson.guess.values);
            lesson.mixture.posterior(&values, self.settings.noise)
        };
        let posteriors = targets.par_iter().zip(rows).map(posterior).collect::<Result<Vec<Posterior>, _>>()?;
        let guesses: Vec<Guess> = lessons().map(|lesson| lesson.guess.clone()).collect();
        let reading = Reading { targets: &targets, guesses: &guesses, posteriors: &posteriors };
        let mut tokens = read(self.reference, self.settings, &reading);
        self.hide_neighbours(&mut tokens, rng);
        let tissues = self.settings.tissues.len();
        let hidden = |target: &Target, at: usize| target.measured.get(at).is_some_and(|value| value.is_nan());
        let hidden_values = targets.iter().flat_map(|target| (0..tissues).map(move |at| hidden(target, at)));
        let hidden_values: Vec<bool> = hidden_values.collect();
        let values_count = hidden_values.iter().filter(|hidden| **hidden).count().max(1) as f32;
        let blank = targets.iter().filter(|target| target.known_tissues() == 0).count();
        let outputs_weight = OUTPUTS_WEIGHT as f32 / (blank.max(1) * tissues) as f32;
        let mut batch = Hidden {
            tokens,
            values: (
                Vec::new(),
                hidden_values.iter().map(|hidden| if *hidden { 1.0 / values_count } else { 0.0 }).collect(),
            ),
            outputs: (Vec::new(), Vec::new()),
            genes: rows.len(),
            both_kinds: blank > 0 && values_count > 1.0,
        };
        for ((lesson, target), posterior) in lessons().zip(&targets).zip(&posteriors) {
            batch.values.0.extend(lesson.profile.iter().zip(&posterior.mean).map(|(due, said)| due - said));
            batch.outputs.0.extend(lesson.wanted.iter().zip(&lesson.guess.outputs).map(|(due, said)| due - said));
            let weight = if target.known_tissues() == 0 { outputs_weight } else { 0.0 };
            batch
                .outputs
                .1
                .extend((0..tissues + 2).map(|at| if at < tissues { weight } else { LEVEL_WEIGHT * weight }));
        }
        Ok(batch)
    }

    /// Takes neighbours away at random, each gene at a rate of its own, so that no single one is relied on.
    fn hide_neighbours(&self, tokens: &mut ContextBatch, rng: &mut ChaCha8Rng) {
        let (slots, tissues) = (2 * self.settings.network.side, self.settings.tissues.len());
        for gene in 0..tokens.genes {
            let rate = rng.random_range(0.0..MOST_NEIGHBOURS_HIDDEN);
            for slot in gene * slots..(gene + 1) * slots {
                if rng.random_bool(rate) {
                    tokens.profiles[slot * tissues..(slot + 1) * tissues].fill(0.0);
                    tokens.places[slot * PLACE..(slot + 1) * PLACE].fill(0.0);
                }
            }
        }
    }

    /// Returns a gene with some of its tissues known.
    fn hidden_target(&self, row: usize, rng: &mut ChaCha8Rng) -> Target {
        let target = self.lessons[row].target.clone();
        let rate = if rng.random_bool(ALL_HIDDEN) { 1.0 } else { rng.random_range(LEAST_HIDDEN..1.0) };
        let measured = target.gene.map(|gene| self.reference.expression(gene)).unwrap_or_default();
        let kept: Vec<f32> =
            measured.iter().map(|value| if rng.random_bool(rate) { f32::NAN } else { *value }).collect();
        target.with_measured(&kept)
    }
}
