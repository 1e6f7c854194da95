//! One gene in one round: its dosages, its expression without covariates, and each method on them.

use std::time::Instant;

use candle_core::Device;

use super::{MethodRecord, NetworkWeights, Trainer, Weights, seconds};
use crate::model::ModelError;
use crate::model::scaled_cnn::Batch;
use crate::training::annotation::Annotations;
use crate::training::elastic_net::{self, CrossValidated, Dosages, Gram, Solution};
use crate::training::heritability::variance_component;
use crate::training::scaled_cnn::{CnnTask, FittedCnn, Sample, Start};

/// A gene's data in a round.
pub(super) struct Learner<'a> {
    trainer: &'a Trainer<'a>,
    pub(super) gene: usize,
    /// The cohort's variants in the gene's window.
    window: std::ops::Range<usize>,
    /// `[variants, people]`, missing ones at the cohort's mean.
    dosages: Vec<f32>,
    /// Products of the people of training.
    gram: Gram,
    /// Expression of the people of training, without covariates.
    y: Vec<f64>,
}

/// A network's task with what brings its numbers back to dosages and expression.
pub(super) struct Standardised {
    task: CnnTask,
    parts: Parts,
}

/// How a task's inputs and outputs were standardised.
pub(super) struct Parts {
    /// Rows of the window.
    rows: Vec<usize>,
    means: Vec<f32>,
    deviations: Vec<f32>,
    y_deviation: f32,
}

impl Standardised {
    pub(super) fn split(self) -> (Parts, CnnTask) {
        (self.parts, self.task)
    }

    /// The rows of the window that the task reads.
    pub(super) fn rows(&self) -> &[usize] {
        &self.parts.rows
    }
}

impl<'a> Learner<'a> {
    pub(super) fn new(trainer: &'a Trainer<'a>, gene: usize) -> Self {
        let cohort = trainer.cohort;
        let window = cohort.window(gene);
        let dosages = cohort.dosages(window.clone());
        let measured = &cohort.genes[gene].expression;
        let expression: Vec<f64> = match &trainer.expression_of {
            None => measured.clone(),
            Some(of) => of.iter().map(|person| measured[*person]).collect(),
        };
        let residuals = trainer.adjustment.residuals(&expression).values;
        let y = trainer.round.learns.iter().map(|person| residuals[*person]).collect();
        let gram = Gram::of(Dosages { values: &dosages, people: cohort.people.len() }, &trainer.round.learns);
        Self { trainer, gene, window, dosages, gram, y }
    }

    fn of_everybody(&self) -> Dosages<'_> {
        Dosages { values: &self.dosages, people: self.trainer.cohort.people.len() }
    }

    fn row(&self, row: usize) -> &[f32] {
        let people = self.trainer.cohort.people.len();
        &self.dosages[row * people..(row + 1) * people]
    }

    pub(super) fn variants(&self) -> usize {
        self.window.len()
    }

    pub(super) fn annotations(&self, annotations: &Annotations) -> Vec<f32> {
        let variants: Vec<usize> = self.window.clone().collect();
        annotations.of_gene(self.trainer.cohort, self.gene, &variants)
    }

    pub(super) fn heritable_z(&self) -> f64 {
        variance_component(self.of_everybody(), &self.y, &self.trainer.round.learns).z
    }

    /// Where a solution has its weight: each variant's share of Σ |weight on the standardised dosage|.
    pub(super) fn shares(&self, solution: &Solution) -> Vec<(u32, f32)> {
        let sized: Vec<(usize, f64)> =
            solution.weights.iter().map(|(row, weight)| (*row, weight.abs() * self.moments(*row).1)).collect();
        let total: f64 = sized.iter().map(|(_, size)| size).sum();
        let share = |(row, size): (usize, f64)| (row as u32, (size / total) as f32);
        if total > 0.0 { sized.into_iter().map(share).collect() } else { Vec::new() }
    }

    /// Mean and standard deviation of a row among the people of training.
    fn moments(&self, row: usize) -> (f64, f64) {
        let learns = &self.trainer.round.learns;
        let row = self.row(row);
        let n = learns.len() as f64;
        let mean = learns.iter().map(|person| f64::from(row[*person])).sum::<f64>() / n;
        let square = learns.iter().map(|person| (f64::from(row[*person]) - mean).powi(2)).sum::<f64>() / n;
        (mean, square.sqrt())
    }

    fn keeps_weights(&self) -> bool {
        self.trainer.round.held_out.is_empty()
    }

    /// An elastic net with λ by the inner folds.
    pub(super) fn elastic_net(&self, penalty: Option<&[f64]>) -> (MethodRecord, CrossValidated) {
        let started = Instant::now();
        let trainer = self.trainer;
        let net = elastic_net::cross_validate(
            &self.gram,
            self.of_everybody(),
            &self.y,
            &trainer.round.learns,
            &trainer.inner,
            penalty,
            &trainer.settings,
        );
        let predicted = net.solution.predict(self.of_everybody(), &trainer.round.held_out);
        let weights = self.keeps_weights().then(|| {
            Weights::Linear(
                net.solution.weights.iter().map(|(row, weight)| (self.window.start + row, *weight)).collect(),
            )
        });
        let record = MethodRecord {
            predicted: predicted.into_iter().map(|value| value as f32).collect(),
            inner_error: net.mse / net.null_mse.max(f64::MIN_POSITIVE),
            inner_r2: r2(&net.out_of_fold, &self.y),
            weights,
            seconds: seconds(started.elapsed()),
        };
        (record, net)
    }

    /// A network's task, its members at the elastic nets of their own people, and the mean of those as a method.
    pub(super) fn network_task(
        &self,
        lambda: f64,
        penalty: Option<&[f64]>,
        gates: Option<&[f32]>,
    ) -> (Standardised, MethodRecord) {
        let started = Instant::now();
        let trainer = self.trainer;
        let settings = &trainer.plan.cnn;
        let learns = &trainer.round.learns;
        let variants = self.window.len();
        let moments: Vec<(f64, f64)> = (0..variants).map(|row| self.moments(row)).collect();
        let y_deviation = (self.y.iter().map(|y| y * y).sum::<f64>() / self.y.len().max(1) as f64).sqrt();
        let y_deviation = if y_deviation > 0.0 { y_deviation } else { 1.0 };
        let targets: Vec<f32> = self.y.iter().map(|y| (y / y_deviation) as f32).collect();
        let mut start = vec![0.0; settings.all_members() * variants];
        let mut out_of_fold = vec![0.0; learns.len()];
        let mut predicted = vec![0.0; trainer.round.held_out.len()];
        let mut mean_weights = vec![0.0; variants];
        for member in 0..settings.all_members() {
            let (own, held): (Vec<usize>, Vec<usize>) =
                (0..learns.len()).partition(|at| usize::from(trainer.held_out_by[*at]) != member);
            let people = |places: &[usize]| places.iter().map(|at| learns[*at]).collect::<Vec<usize>>();
            let (rows, held_people) = (people(&own), people(&held));
            let y: Vec<f64> = own.iter().map(|at| self.y[*at]).collect();
            let gram = self.gram.without(self.of_everybody(), &held_people);
            let net = elastic_net::fit_at(&gram, self.of_everybody(), &y, &rows, penalty, &trainer.settings, lambda);
            for (row, weight) in &net.weights {
                start[member * variants + row] = (weight * moments[*row].1 / y_deviation) as f32;
                mean_weights[*row] += weight / settings.all_members() as f64;
            }
            let of_held = net.predict(self.of_everybody(), &held_people);
            held.iter().zip(of_held).for_each(|(at, value)| out_of_fold[*at] = value);
            for (sum, value) in predicted.iter_mut().zip(net.predict(self.of_everybody(), &trainer.round.held_out)) {
                *sum += (value / settings.all_members() as f64) as f32;
            }
        }
        let null: f64 = self.y.iter().map(|y| y * y).sum();
        let error: f64 = self.y.iter().zip(&out_of_fold).map(|(y, p)| (y - p).powi(2)).sum();
        let weights = self.keeps_weights().then(|| {
            let used = mean_weights.iter().enumerate().filter(|(_, weight)| **weight != 0.0);
            Weights::Linear(used.map(|(row, weight)| (self.window.start + row, *weight)).collect())
        });
        let bagged = MethodRecord {
            predicted,
            inner_error: error / null.max(f64::MIN_POSITIVE),
            inner_r2: r2(&out_of_fold, &self.y),
            weights,
            seconds: seconds(started.elapsed()),
        };
        if settings.start == Start::Correlations {
            start.fill(0.0);
        }
        let all = self.standardise(&(0..variants).collect::<Vec<_>>(), &moments, learns);
        let sample = Sample { dosages: &all, targets: &targets, held_out_by: &trainer.held_out_by };
        let reads = sample.screen(settings.all_members(), settings.variants, gates);
        let is_read = |row: &usize| {
            let varies = moments[*row].1 > 0.0;
            varies && (0..settings.all_members()).any(|m| reads[m * variants + row] || start[m * variants + row] != 0.0)
        };
        let rows: Vec<usize> = (0..variants).filter(is_read).collect();
        let picked = |values: &[f32]| -> Vec<f32> {
            values.chunks_exact(variants.max(1)).flat_map(|own| rows.iter().map(|row| own[*row])).collect()
        };
        let task = CnnTask {
            name: trainer.cohort.genes[self.gene].name.to_string(),
            dosages: self.standardise(&rows, &moments, learns),
            targets,
            held_out_by: trainer.held_out_by.clone(),
            start: picked(&start),
            reads: reads.chunks_exact(variants.max(1)).flat_map(|own| rows.iter().map(|row| own[*row])).collect(),
            gate: gates.map(|gates| rows.iter().map(|row| gates[*row]).collect()),
        };
        let parts = Parts {
            means: rows.iter().map(|row| moments[*row].0 as f32).collect(),
            deviations: rows.iter().map(|row| moments[*row].1 as f32).collect(),
            rows,
            y_deviation: y_deviation as f32,
        };
        (Standardised { task, parts }, bagged)
    }

    fn standardise(&self, rows: &[usize], moments: &[(f64, f64)], people: &[usize]) -> Vec<f32> {
        let mut standardised = Vec::with_capacity(rows.len() * people.len());
        for row in rows {
            let (mean, deviation) = moments[*row];
            let dosages = self.row(*row);
            let deviation = if deviation > 0.0 { deviation } else { 1.0 };
            standardised.extend(people.iter().map(|person| ((f64::from(dosages[*person]) - mean) / deviation) as f32));
        }
        standardised
    }

    /// What a fitted network says of the held-out people, and the network itself in the round of everybody.
    pub(super) fn network_record(&self, parts: &Parts, fitted: &FittedCnn) -> Result<MethodRecord, ModelError> {
        let trainer = self.trainer;
        let settings = &trainer.plan.cnn;
        let held_out = &trainer.round.held_out;
        let mut batch = Batch::new(fitted.layout, held_out.len());
        batch.push();
        for (place, ((row, mean), deviation)) in parts.rows.iter().zip(&parts.means).zip(&parts.deviations).enumerate()
        {
            let dosages = self.row(*row);
            let into = batch.row_mut(0, place);
            into.iter_mut().zip(held_out).for_each(|(x, person)| *x = (dosages[*person] - mean) / deviation);
        }
        let of_members = batch.predict(&fitted.parameters, settings.all_members(), &Device::Cpu)?;
        let mut predicted = vec![0.0f32; held_out.len()];
        for own in of_members.chunks_exact(held_out.len().max(1)) {
            let scale = parts.y_deviation / settings.all_members() as f32;
            predicted.iter_mut().zip(own).for_each(|(sum, value)| *sum += value * scale);
        }
        let out_of_fold: Vec<f64> =
            fitted.out_of_fold.iter().map(|value| f64::from(*value * parts.y_deviation)).collect();
        let null: f64 = self.y.iter().map(|y| y * y).sum();
        let error: f64 = self.y.iter().zip(&out_of_fold).map(|(y, p)| (y - p).powi(2)).sum();
        let weights =
            self.keeps_weights().then(|| Weights::Network(self.weights(parts, fitted, settings.all_members())));
        Ok(MethodRecord {
            predicted,
            inner_error: error / null.max(f64::MIN_POSITIVE),
            inner_r2: r2(&out_of_fold, &self.y),
            weights,
            seconds: 0.0,
        })
    }

    fn weights(&self, parts: &Parts, fitted: &FittedCnn, members: usize) -> NetworkWeights {
        let mut parameters = fitted.parameters.clone();
        let layout = fitted.layout;
        for own in parameters.chunks_exact_mut(layout.parameters()) {
            for range in [layout.linear(), layout.head(), layout.bias()..layout.bias() + 1] {
                own[range].iter_mut().for_each(|value| *value *= parts.y_deviation);
            }
        }
        NetworkWeights {
            variants: parts.rows.iter().map(|row| self.window.start + row).collect(),
            means: parts.means.clone(),
            deviations: parts.deviations.clone(),
            parameters,
            members,
        }
    }
}

/// The squared correlation, 0 where it is not positive or not defined.
fn r2(predicted: &[f64], y: &[f64]) -> f64 {
    let n = y.len().max(1) as f64;
    let (mp, my) = (predicted.iter().sum::<f64>() / n, y.iter().sum::<f64>() / n);
    let (mut py, mut pp, mut yy) = (0.0, 0.0, 0.0);
    for (p, y) in predicted.iter().zip(y) {
        py += (p - mp) * (y - my);
        pp += (p - mp).powi(2);
        yy += (y - my).powi(2);
    }
    if pp > 1e-18 && yy > 0.0 && py > 0.0 { py * py / (pp * yy) } else { 0.0 }
}
