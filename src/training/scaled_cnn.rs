//! Fits the scaled convolutional network, many genes at once.
//!
//! Every gene has several members; each learns from the people that it does not hold out, all of them in every step, so
//! that a step's predictions also tell how well the held-out people are predicted. A gene stops at the step at which
//! its members together predict their held-out people best, step 0 included: there a member is the elastic net that it
//! starts from. Imports `model`. Invariant: inputs, settings and seed decide every bit on a processor.

mod optimiser;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use candle_core::Device;
use rand::RngExt;
use serde::{Deserialize, Serialize};

use self::optimiser::Optimiser;
use super::init::generator;
use crate::model::ModelError;
use crate::model::scaled_cnn::{Batch, CHANNELS, Layout, TAPS, Targets};

/// Where a network starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Start {
    /// Each member at the elastic net of its own people.
    ElasticNet,
    /// Scales at the correlations with expression, weights behind them at 0: a network that has to learn everything.
    Correlations,
}

/// How the network is fitted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CnnSettings {
    /// Where members start.
    pub start: Start,
    /// Members of a gene that hold out one part of the people each; one more learns from everybody.
    pub members: usize,
    /// Variants that a member reads: those that correlate most with expression among its own people.
    pub variants: usize,
    /// Most steps.
    pub steps: usize,
    /// Steps without a better prediction of the held-out people after which a gene stops.
    pub patience: usize,
    /// Step size of the scales and the linear skip.
    pub learning_rate: f32,
    /// Step size of the encoder.
    pub encoder_rate: f32,
    /// Decoupled weight decay of everything but the scales: without it the penalty on the scales could be evaded by
    /// small scales and large weights behind them.
    pub weight_decay: f32,
    /// L1 penalty on the scales.
    pub scale_penalty: f32,
    /// How large a variant's scale is at the start where the elastic net does not use it: this times its correlation.
    pub spread: f32,
    /// Seed of the encoders' starting values.
    pub seed: u64,
}

impl Default for CnnSettings {
    fn default() -> Self {
        Self {
            start: Start::ElasticNet,
            members: 5,
            variants: 48,
            steps: 80,
            patience: 12,
            learning_rate: 0.01,
            encoder_rate: 0.01,
            weight_decay: 0.01,
            scale_penalty: 0.001,
            spread: 0.2,
            seed: 7,
        }
    }
}

impl CnnSettings {
    /// Returns how many members a gene has, the one that holds nobody out included; it comes last.
    #[must_use]
    pub const fn all_members(&self) -> usize {
        self.members + 1
    }
}

/// What one gene is fitted to.
#[derive(Debug, Clone)]
pub struct CnnTask {
    /// A name that the starting values follow from.
    pub name: String,
    /// Standardised dosages of the variants that any member reads, in genome order: `[variants, people]`.
    pub dosages: Vec<f32>,
    /// Expression, centred and of variance 1, one a person.
    pub targets: Vec<f32>,
    /// The member that holds a person out, one a person.
    pub held_out_by: Vec<u8>,
    /// What each member starts from: a weight a variant on standardised dosages, `[members, variants]`.
    pub start: Vec<f32>,
    /// Where a member reads a variant, `[members, variants]`.
    pub reads: Vec<bool>,
    /// How large a variant's scale tends to be, from its annotations; 1 on average. One a variant.
    pub gate: Option<Vec<f32>>,
}

impl CnnTask {
    /// Returns the people with their data.
    #[must_use]
    pub fn sample(&self) -> Sample<'_> {
        Sample { dosages: &self.dosages, targets: &self.targets, held_out_by: &self.held_out_by }
    }

    /// Returns how many variants there are.
    #[must_use]
    pub fn variants(&self) -> usize {
        self.dosages.len().checked_div(self.targets.len()).unwrap_or(0)
    }
}

/// A fitted gene.
#[derive(Debug, Clone, PartialEq)]
pub struct FittedCnn {
    /// The members' parameters, `[members, numbers]`, scales with the gate multiplied in.
    pub parameters: Vec<f32>,
    /// The layout of a member's parameters.
    pub layout: Layout,
    /// What the members say of the people that they hold out, one a person.
    pub out_of_fold: Vec<f32>,
    /// The step that was kept; 0 is the start.
    pub step: usize,
}

/// People with the dosages around a gene and its expression, standardised.
#[derive(Debug, Clone, Copy)]
pub struct Sample<'a> {
    /// `[variants, people]`.
    pub dosages: &'a [f32],
    /// One a person.
    pub targets: &'a [f32],
    /// The member that holds a person out, one a person.
    pub held_out_by: &'a [u8],
}

impl Sample<'_> {
    /// Returns the variants that each member reads, `[members, variants]`: those that correlate most among its own
    /// people, `most` of them, correlations weighed by the gates where there are any.
    #[must_use]
    pub fn screen(&self, members: usize, most: usize, gate: Option<&[f32]>) -> Vec<bool> {
        let variants = self.dosages.len().checked_div(self.targets.len()).unwrap_or(0);
        let mut reads = vec![false; members * variants];
        for (member, reads) in reads.chunks_exact_mut(variants.max(1)).enumerate() {
            let weighed = self.correlations(member).into_iter().enumerate();
            let mut scores: Vec<(usize, f32)> =
                weighed.map(|(at, r)| (at, r.abs() * gate.map_or(1.0, |gate| gate[at]))).collect();
            scores.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
            scores.iter().take(most).for_each(|(at, _)| reads[*at] = true);
        }
        reads
    }

    /// The mean product of every variant with expression among the people that a member learns from.
    fn correlations(&self, member: usize) -> Vec<f32> {
        let is_own = |by: &u8| usize::from(*by) != member;
        let people = self.targets.iter().zip(self.held_out_by);
        let own: Vec<f32> = people.map(|(target, by)| if is_own(by) { *target } else { 0.0 }).collect();
        let learns = self.held_out_by.iter().filter(|by| is_own(by)).count().max(1);
        let product = |row: &[f32]| row.iter().zip(&own).map(|(x, y)| x * y).sum::<f32>() / learns as f32;
        self.dosages.chunks_exact(self.targets.len().max(1)).map(product).collect()
    }
}

/// Genes of one layout on their way.
pub struct Fit<'a> {
    settings: &'a CnnSettings,
    device: Device,
    tasks: Vec<CnnTask>,
    batch: Batch,
    targets: Vec<f32>,
    weights: Vec<f32>,
    parameters: Vec<f32>,
    optimiser: Optimiser,
    /// The gate at every scale, `[genes, members, places]`.
    gates: Option<Vec<f32>>,
    best: Vec<Best>,
    steps: usize,
}

#[derive(Debug, Clone)]
struct Best {
    loss: f64,
    step: usize,
    parameters: Vec<f32>,
    out_of_fold: Vec<f32>,
}

/// Fits genes from start to end: on a processor each by itself, so that it stays in a core's cache and stops when it is
/// done; elsewhere all of one layout together.
///
/// # Errors
/// The device fails, or a prediction is no number.
pub fn fit(tasks: Vec<CnnTask>, settings: &CnnSettings, device: &Device) -> Result<Vec<FittedCnn>, ModelError> {
    // Genes of one layout only: a gene's patches must not depend on which others it is fitted with.
    let mut groups: BTreeMap<(usize, usize), Vec<(usize, CnnTask)>> = BTreeMap::new();
    for (at, task) in tasks.into_iter().enumerate() {
        let alone = if device.is_cpu() { at } else { 0 };
        groups.entry((Layout::of_variants(task.variants()).patches, alone)).or_default().push((at, task));
    }
    let mut fitted = BTreeMap::new();
    for group in groups.into_values() {
        let (places, together): (Vec<usize>, Vec<CnnTask>) = group.into_iter().unzip();
        let mut fit = Fit::new(together, settings, device);
        while !fit.is_done() {
            fit.step()?;
        }
        fitted.extend(places.into_iter().zip(fit.finish()));
    }
    Ok(fitted.into_values().collect())
}

impl<'a> Fit<'a> {
    /// Puts genes at their start; the layout is that of the gene with most variants.
    #[must_use]
    pub fn new(tasks: Vec<CnnTask>, settings: &'a CnnSettings, device: &Device) -> Self {
        let people = tasks.first().map_or(0, |task| task.targets.len());
        let layout = Layout::of_variants(tasks.iter().map(CnnTask::variants).max().unwrap_or(0));
        let members = settings.all_members();
        let mut batch = Batch::new(layout, people);
        let (mut targets, mut weights, mut parameters) = (Vec::new(), Vec::new(), Vec::new());
        let mut frozen = Vec::new();
        let mut gates = tasks.iter().any(|task| task.gate.is_some()).then(Vec::new);
        for task in &tasks {
            let gene = batch.push();
            for (place, row) in task.dosages.chunks_exact(people.max(1)).enumerate() {
                batch.row_mut(gene, place).copy_from_slice(row);
            }
            targets.extend_from_slice(&task.targets);
            for member in 0..members {
                let learns = task.held_out_by.iter().filter(|by| usize::from(**by) != member).count().max(1);
                let weight = |by: &u8| if usize::from(*by) == member { 0.0 } else { 1.0 / learns as f32 };
                weights.extend(task.held_out_by.iter().map(weight));
                let (own, still) = start(task, member, layout, settings);
                parameters.extend(own);
                frozen.extend(still);
                if let Some(gates) = &mut gates {
                    let given = task.gate.as_deref().unwrap_or_default();
                    gates.extend((0..layout.places()).map(|place| given.get(place).copied().unwrap_or(1.0)));
                }
            }
        }
        let nothing = Best { loss: f64::INFINITY, step: 0, parameters: Vec::new(), out_of_fold: Vec::new() };
        Self {
            best: vec![nothing; tasks.len()],
            optimiser: Optimiser::new(layout, tasks.len() * members, frozen),
            settings,
            device: device.clone(),
            tasks,
            batch,
            targets,
            weights,
            parameters,
            gates,
            steps: 0,
        }
    }

    /// Returns whether no gene has got better for long enough, or the most steps are done.
    #[must_use]
    pub fn is_done(&self) -> bool {
        let waits = |best: &Best| self.steps > best.step + self.settings.patience;
        self.steps > self.settings.steps || self.best.iter().all(waits)
    }

    /// Notes how well the held-out people are predicted, then takes a step. Returns the gradient by the gates,
    /// `[genes, members, places]`, where there are any.
    ///
    /// # Errors
    /// The device fails, or a prediction is no number.
    pub fn step(&mut self) -> Result<Option<Vec<f32>>, ModelError> {
        let members = self.settings.all_members();
        let seen = self.gated();
        let targets = Targets { values: &self.targets, weights: &self.weights };
        let (predicted, mut gradient) = self.batch.learn(&seen, members, targets, &self.device)?;
        self.note(&predicted, &seen)?;
        let by_gate = self.gates.as_ref().map(|gates| {
            let (layout, size) = (self.batch.layout, self.batch.layout.parameters());
            let mut by_gate = Vec::with_capacity(gates.len());
            let own = gradient.chunks_exact_mut(size).zip(self.parameters.chunks_exact(size));
            for ((gradient, parameters), gates) in own.zip(gates.chunks_exact(layout.places())) {
                for ((gradient, scale), gate) in gradient[layout.scale()].iter_mut().zip(parameters).zip(gates) {
                    by_gate.push(*gradient * scale);
                    *gradient *= gate;
                }
            }
            by_gate
        });
        self.optimiser.step(&mut self.parameters, &gradient, self.settings);
        self.steps += 1;
        Ok(by_gate)
    }

    /// Sets other gates, one list a gene in the tasks' order, with one gate a variant.
    pub fn set_gates(&mut self, of_genes: &[Vec<f32>]) {
        let (places, members) = (self.batch.layout.places(), self.settings.all_members());
        let mut gates = Vec::with_capacity(of_genes.len() * members * places);
        for own in of_genes {
            for _ in 0..members {
                gates.extend((0..places).map(|place| own.get(place).copied().unwrap_or(1.0)));
            }
        }
        self.gates = Some(gates);
    }

    /// Sums a gradient by the gates over members, gene by gene, each with its number of variants.
    #[must_use]
    pub fn by_variant(&self, by_gate: &[f32], variants: &[usize]) -> Vec<f32> {
        let (places, members) = (self.batch.layout.places(), self.settings.all_members());
        let mut summed = Vec::new();
        for (own, variants) in by_gate.chunks_exact(members * places).zip(variants) {
            summed.extend((0..*variants).map(|at| own.chunks_exact(places).map(|member| member[at]).sum::<f32>()));
        }
        summed
    }

    /// Returns how many genes there are.
    #[must_use]
    pub const fn genes(&self) -> usize {
        self.batch.genes()
    }

    /// The parameters with the gates multiplied into the scales.
    fn gated(&self) -> Vec<f32> {
        let mut seen = self.parameters.clone();
        if let Some(gates) = &self.gates {
            let layout = self.batch.layout;
            let members = seen.chunks_exact_mut(layout.parameters()).zip(gates.chunks_exact(layout.places()));
            for (own, gates) in members {
                own[layout.scale()].iter_mut().zip(gates).for_each(|(scale, gate)| *scale *= gate);
            }
        }
        seen
    }

    fn note(&mut self, predicted: &[f32], seen: &[f32]) -> Result<(), ModelError> {
        let (people, members) = (self.batch.people(), self.settings.all_members());
        let size = members * self.batch.layout.parameters();
        for (gene, (task, best)) in self.tasks.iter().zip(&mut self.best).enumerate() {
            let own = &predicted[gene * members * people..(gene + 1) * members * people];
            let held_out: Vec<f32> = (0..people)
                .map(|person| own.get(usize::from(task.held_out_by[person]) * people + person).copied().unwrap_or(0.0))
                .collect();
            let squares = held_out.iter().zip(&task.targets).map(|(p, y)| f64::from(p - y).powi(2));
            let loss = squares.sum::<f64>();
            if !loss.is_finite() {
                if best.parameters.is_empty() {
                    return Err(ModelError::NotFinite);
                }
                // A fit that has left the numbers keeps the step that was good.
                continue;
            }
            // Whether a gene goes on must not depend on which others it is fitted with.
            if self.steps > best.step + self.settings.patience {
                continue;
            }
            // Equal is not better: the earlier step is nearer to the elastic net.
            if loss < best.loss - 1e-6 * best.loss.abs().min(1e6) {
                *best = Best {
                    loss,
                    step: self.steps,
                    parameters: seen[gene * size..(gene + 1) * size].to_vec(),
                    out_of_fold: held_out,
                };
            }
        }
        Ok(())
    }

    /// Returns the genes at their best steps.
    #[must_use]
    pub fn finish(self) -> Vec<FittedCnn> {
        let layout = self.batch.layout;
        let fitted = |best: Best| FittedCnn {
            parameters: best.parameters,
            layout,
            out_of_fold: best.out_of_fold,
            step: best.step,
        };
        self.best.into_iter().map(fitted).collect()
    }
}

/// A member's parameters at the start, and those that never move: scales of variants that it does not read.
fn start(task: &CnnTask, member: usize, layout: Layout, settings: &CnnSettings) -> (Vec<f32>, Vec<bool>) {
    let mut own = vec![0.0; layout.parameters()];
    let mut still = vec![false; layout.parameters()];
    still[layout.scale()].fill(true);
    still[layout.linear()].fill(true);
    let variants = task.variants();
    let found = task.sample().correlations(member);
    for (variant, r) in found.into_iter().enumerate() {
        let at = member * variants + variant;
        let gate = task.gate.as_ref().map_or(1.0, |gate| gate[variant]);
        let weight = task.start[at];
        if !task.reads[at] && weight == 0.0 {
            continue;
        }
        // The gate is multiplied in later, so that it comes off what the elastic net gives.
        let scale = weight.abs() / gate + settings.spread * r.abs();
        own[layout.scale()][variant] = scale;
        own[layout.linear()][variant] = if scale * gate > 0.0 { weight / (scale * gate) } else { 0.0 };
        still[layout.scale().start + variant] = false;
        still[layout.linear().start + variant] = false;
    }
    let mut rng = generator(settings.seed, &format!("{}/{member}", task.name));
    let mut draw = |range: std::ops::Range<usize>, limit: f32| {
        own[range].iter_mut().for_each(|value| *value = rng.random_range(-limit..=limit));
    };
    draw(layout.kernel(), (6.0 / (TAPS + CHANNELS) as f32).sqrt());
    draw(layout.mixer(), (6.0 / (4 * CHANNELS) as f32).sqrt());
    // The head starts at zero, and with it what the encoder adds.
    (own, still)
}
