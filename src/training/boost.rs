//! Fits gradient-boosted trees: XGBoost's `hist` method for squared error.
//!
//! Each output is its own problem over bin codes that all share, so that outputs run beside each other. Gradients are
//! summed as whole numbers, which makes a sum independent of its order: the same seed gives the same trees on any
//! number of threads. Reference: Chen and Guestrin, "XGBoost: A Scalable Tree Boosting System", KDD 2016.

mod bins;
mod grow;

use std::sync::atomic::{AtomicUsize, Ordering};

use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use self::bins::Bins;
use self::grow::Grower;
use crate::model::boosted_trees::{BoostedTrees, Tree};

/// Rows above which the whole-number sums would lose precision.
const MAX_ROWS: usize = 1 << 21;
/// Depth above which a level's histograms would not fit in memory.
const MAX_DEPTH: usize = 10;

/// Rows to learn from or to watch the error on.
#[derive(Debug, Clone, Copy)]
pub struct Samples<'a> {
    /// rows × features, row-major; NaN is a missing value.
    pub features: &'a [f32],
    /// The number of features.
    pub n_features: usize,
    /// rows × outputs, row-major; a row whose value is NaN is left out of that output's fit.
    pub targets: &'a [f32],
    /// The number of outputs.
    pub n_targets: usize,
    /// What each sum starts from, rows × outputs, in place of the mean; predict with the same margins then.
    pub margins: Option<&'a [f32]>,
}

impl Samples<'_> {
    fn rows(&self) -> usize {
        self.features.len() / self.n_features.max(1)
    }

    fn row(&self, row: usize) -> &[f32] {
        &self.features[row * self.n_features..(row + 1) * self.n_features]
    }

    fn target(&self, row: usize, target: usize) -> f32 {
        self.targets[row * self.n_targets + target]
    }

    fn margin(&self, row: usize, target: usize) -> Option<f32> {
        self.margins.map(|margins| margins[row * self.n_targets + target])
    }

    fn check(&self) -> Result<(), BoostError> {
        let rows = self.rows();
        if rows == 0 || self.n_targets == 0 {
            return Err(BoostError::Empty);
        }
        if rows > MAX_ROWS {
            return Err(BoostError::TooManyRows { rows });
        }
        let margins = self.margins.map_or(rows * self.n_targets, <[f32]>::len);
        let due = rows * self.n_targets;
        let tables = [
            ("features", self.features.len(), rows * self.n_features),
            ("targets", self.targets.len(), due),
            ("margins", margins, due),
        ];
        for (table, found, expected) in tables {
            if found != expected {
                return Err(BoostError::Shape { table, expected, found });
            }
        }
        let margins = self.margins.unwrap_or_default();
        let unusable = |value: &f32| value.is_infinite();
        let faults = [
            ("features", self.n_features, self.features.iter().position(unusable)),
            ("targets", self.n_targets, self.targets.iter().position(unusable)),
            ("margins", self.n_targets, margins.iter().position(|margin| !margin.is_finite())),
        ];
        for (table, columns, place) in faults {
            if let Some(place) = place {
                return Err(BoostError::NotFinite { table, row: place / columns, column: place % columns });
            }
        }
        let empty = |target: &usize| (0..rows).all(|row| self.target(row, *target).is_nan());
        (0..self.n_targets).find(empty).map_or(Ok(()), |target| Err(BoostError::NoValues { target }))
    }
}

/// When to stop before all rounds are done.
#[derive(Debug, Clone, Copy)]
pub struct EarlyStopping<'a> {
    /// Rows that are not fitted to.
    pub validation: Samples<'a>,
    /// An output stops after this many rounds without a lower error on them, and keeps its best round's trees.
    pub patience: usize,
}

impl EarlyStopping<'_> {
    fn check(&self, samples: &Samples<'_>) -> Result<(), BoostError> {
        let validation = &self.validation;
        validation.check()?;
        let margins = |samples: &Samples<'_>| samples.margins.map_or(0, |_| samples.n_targets);
        let tables = [
            ("validation features of a row", samples.n_features, validation.n_features),
            ("validation targets of a row", samples.n_targets, validation.n_targets),
            ("validation margins of a row", margins(samples), margins(validation)),
        ];
        for (table, expected, found) in tables {
            if found != expected {
                return Err(BoostError::Shape { table, expected, found });
            }
        }
        if self.patience == 0 {
            return Err(BoostError::Setting { setting: "patience", value: 0.0, range: "at least 1" });
        }
        Ok(())
    }
}

/// How to fit; the defaults are XGBoost's.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// Trees an output.
    pub rounds: usize,
    /// The share of a leaf's weight that is taken, above 0.
    pub learning_rate: f64,
    /// Splits above each other, 1 to 10.
    pub max_depth: usize,
    /// The penalty on squared leaf weights.
    pub lambda: f64,
    /// The penalty on absolute leaf weights.
    pub alpha: f64,
    /// The least by which a split must lower the loss.
    pub gamma: f64,
    /// The fewest rows of a node.
    pub min_child_weight: f64,
    /// The share of rows that each tree sees, drawn anew.
    pub subsample: f64,
    /// The share of features that each tree sees, drawn anew.
    pub colsample_bytree: f64,
    /// The most bins of a feature, 2 to 256.
    pub max_bin: usize,
    /// The seed of the draws.
    pub seed: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            rounds: 100,
            learning_rate: 0.3,
            max_depth: 6,
            lambda: 1.0,
            alpha: 0.0,
            gamma: 0.0,
            min_child_weight: 1.0,
            subsample: 1.0,
            colsample_bytree: 1.0,
            max_bin: 256,
            seed: 0,
        }
    }
}

impl Settings {
    /// Returns the settings of trees that correct what a ridge says: shallow, slow and much drawn in.
    #[must_use]
    pub fn correcting(rounds: usize, seed: u64) -> Self {
        Self {
            rounds,
            learning_rate: 0.06,
            max_depth: 4,
            lambda: 10.0,
            min_child_weight: 20.0,
            subsample: 0.7,
            colsample_bytree: 0.3,
            max_bin: 64,
            seed,
            ..Self::default()
        }
    }

    fn check(&self) -> Result<(), BoostError> {
        let share = |value: f64| value > 0.0 && value <= 1.0;
        let penalty = |value: f64| value >= 0.0 && value.is_finite();
        let checks = [
            ("rounds", self.rounds as f64, self.rounds >= 1, "at least 1"),
            ("learning_rate", self.learning_rate, penalty(self.learning_rate) && self.learning_rate > 0.0, "above 0"),
            ("max_depth", self.max_depth as f64, (1..=MAX_DEPTH).contains(&self.max_depth), "1 to 10"),
            ("lambda", self.lambda, penalty(self.lambda), "at least 0"),
            ("alpha", self.alpha, penalty(self.alpha), "at least 0"),
            ("gamma", self.gamma, penalty(self.gamma), "at least 0"),
            ("min_child_weight", self.min_child_weight, penalty(self.min_child_weight), "at least 0"),
            ("subsample", self.subsample, share(self.subsample), "above 0 and at most 1"),
            ("colsample_bytree", self.colsample_bytree, share(self.colsample_bytree), "above 0 and at most 1"),
            ("max_bin", self.max_bin as f64, (2..=256).contains(&self.max_bin), "2 to 256"),
        ];
        for (setting, value, good, range) in checks {
            if !good {
                return Err(BoostError::Setting { setting, value, range });
            }
        }
        Ok(())
    }
}

/// Why trees could not be fitted.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum BoostError {
    /// There are no rows or no outputs.
    #[error("there is nothing to learn from: no rows or no outputs")]
    Empty,
    /// There are too many rows for exact sums.
    #[error("{rows} rows are more than the 2,097,152 that trees can be fitted to")]
    TooManyRows {
        /// How many there are.
        rows: usize,
    },
    /// A table has another number of values than its rows and columns say.
    #[error("the {table} have {found} values where {expected} are due")]
    Shape {
        /// Which table.
        table: &'static str,
        /// How many values it should have.
        expected: usize,
        /// How many it has.
        found: usize,
    },
    /// A table has an infinite value, or the margins a missing one.
    #[error("the {table} are not finite in row {row}, column {column}, both from 0")]
    NotFinite {
        /// Which table.
        table: &'static str,
        /// The row, from 0.
        row: usize,
        /// The column, from 0.
        column: usize,
    },
    /// An output has no value in any row.
    #[error("output {target} has no value in any row")]
    NoValues {
        /// The output, from 0.
        target: usize,
    },
    /// A setting is out of its range.
    #[error("{setting} is {value}: it has to be {range}")]
    Setting {
        /// The setting's name.
        setting: &'static str,
        /// Its value.
        value: f64,
        /// What it has to be.
        range: &'static str,
    },
}

/// Fits one ensemble an output.
///
/// Without margins each output starts from its mean. `progress` is told after each tree how many of how many are done,
/// from several threads at once.
///
/// # Errors
/// A table has the wrong size or an infinite value, an output has no values, or a setting is out of its range.
pub fn fit(
    samples: &Samples<'_>,
    early_stopping: Option<&EarlyStopping<'_>>,
    settings: &Settings,
    progress: &(dyn Fn(usize, usize) + Sync),
) -> Result<BoostedTrees, BoostError> {
    settings.check()?;
    samples.check()?;
    if let Some(stopping) = early_stopping {
        stopping.check(samples)?;
    }
    let bins = Bins::new(samples.features, samples.n_features, settings.max_bin);
    let total = settings.rounds * samples.n_targets;
    let done = AtomicUsize::new(0);
    let advance = |trees: usize| progress(done.fetch_add(trees, Ordering::Relaxed) + trees, total);
    let job = Job { samples, early_stopping, settings, bins: &bins, advance: &advance };
    let ensembles: Vec<(f32, Vec<Tree>)> =
        (0..samples.n_targets).into_par_iter().map(|target| job.fit(target)).collect();

    let mut model = BoostedTrees::new(samples.n_features, ensembles.iter().map(|(base, _)| *base).collect());
    let rounds = ensembles.iter().map(|(_, trees)| trees.len()).max().unwrap_or(0);
    for round in 0..rounds {
        for (target, (_, trees)) in ensembles.iter().enumerate() {
            if let Some(tree) = trees.get(round) {
                model.push(target, tree);
            }
        }
        model.end_round();
    }
    Ok(model)
}

/// What the fits of all outputs share.
struct Job<'a> {
    samples: &'a Samples<'a>,
    early_stopping: Option<&'a EarlyStopping<'a>>,
    settings: &'a Settings,
    bins: &'a Bins,
    advance: &'a (dyn Fn(usize) + Sync),
}

impl Job<'_> {
    /// Fits one output: what its sums start from, and its trees.
    fn fit(&self, target: usize) -> (f32, Vec<Tree>) {
        let Self { samples, settings, .. } = *self;
        let known: Vec<u32> =
            (0..samples.rows() as u32).filter(|row| !samples.target(*row as usize, target).is_nan()).collect();
        let base = match samples.margins {
            Some(_) => 0.0,
            None => mean(known.iter().map(|row| samples.target(*row as usize, target))),
        };
        let mut sums: Vec<f32> = (0..samples.rows()).map(|row| samples.margin(row, target).unwrap_or(base)).collect();
        let mut watch = self.early_stopping.map(|stopping| Watch::new(stopping, target, base));
        let mut draws = ChaCha8Rng::seed_from_u64(settings.seed);
        draws.set_stream(target as u64);
        let mut grower = Grower::new(self.bins, settings);
        let mut gradients = vec![0.0; samples.rows()];
        let mut trees = Vec::with_capacity(settings.rounds);
        for round in 0..settings.rounds {
            for &row in &known {
                gradients[row as usize] = sums[row as usize] - samples.target(row as usize, target);
            }
            let (rows, rest) = sample(&known, settings.subsample, &mut draws);
            let features = choose(samples.n_features, settings.colsample_bytree, &mut draws);
            let tree = grower.grow(&gradients, rows, &features);
            grower.for_each_leaf(|rows, value| rows.iter().for_each(|row| sums[*row as usize] += value));
            for row in rest {
                sums[row as usize] += tree.value(samples.row(row as usize));
            }
            let stop = watch.as_mut().is_some_and(|watch| watch.add(&tree, round));
            trees.push(tree);
            (self.advance)(if stop { settings.rounds - round } else { 1 });
            if stop {
                break;
            }
        }
        if let Some(watch) = watch {
            trees.truncate(watch.best_round + 1);
        }
        (base, trees)
    }
}

/// The error of one output on the validation rows.
struct Watch<'a> {
    stopping: &'a EarlyStopping<'a>,
    target: usize,
    sums: Vec<f32>,
    best: f64,
    best_round: usize,
}

impl<'a> Watch<'a> {
    fn new(stopping: &'a EarlyStopping<'a>, target: usize, base: f32) -> Self {
        let validation = &stopping.validation;
        let sums = (0..validation.rows()).map(|row| validation.margin(row, target).unwrap_or(base)).collect();
        Self { stopping, target, sums, best: f64::INFINITY, best_round: 0 }
    }

    /// Adds a round's tree; returns whether the error has not fallen for too long.
    fn add(&mut self, tree: &Tree, round: usize) -> bool {
        let validation = &self.stopping.validation;
        let mut error = 0.0;
        for (row, sum) in self.sums.iter_mut().enumerate() {
            *sum += tree.value(validation.row(row));
            let residual = f64::from(*sum - validation.target(row, self.target));
            if !residual.is_nan() {
                error += residual * residual;
            }
        }
        if error < self.best {
            (self.best, self.best_round) = (error, round);
        }
        round - self.best_round >= self.stopping.patience
    }
}

fn mean(values: impl ExactSizeIterator<Item = f32>) -> f32 {
    let n = values.len() as f64;
    (values.map(f64::from).sum::<f64>() / n) as f32
}

/// Draws each row with the given probability: the rows of a tree, and the others.
fn sample(rows: &[u32], share: f64, draws: &mut ChaCha8Rng) -> (Vec<u32>, Vec<u32>) {
    if share >= 1.0 {
        return (rows.to_vec(), Vec::new());
    }
    let (taken, rest): (Vec<u32>, Vec<u32>) =
        rows.iter().partition(|_| f64::from(draws.next_u32()) < share * 4_294_967_296.0);
    // A handful of rows can leave a draw empty, and a tree needs one.
    if taken.is_empty() { (rest, taken) } else { (taken, rest) }
}

/// Draws the features of a tree without repetition, at least one: a flag a feature.
#[expect(clippy::cast_sign_loss, reason = "the share of a count is not below 0")]
fn choose(n_features: usize, share: f64, draws: &mut ChaCha8Rng) -> Vec<bool> {
    let taken = ((n_features as f64 * share).round() as usize).clamp(1, n_features);
    let mut order: Vec<usize> = (0..n_features).collect();
    let mut chosen = vec![taken == n_features; n_features];
    if taken < n_features {
        for place in 0..taken {
            let rest = (n_features - place) as u64;
            order.swap(place, place + ((u64::from(draws.next_u32()) * rest) >> 32) as usize);
            chosen[order[place]] = true;
        }
    }
    chosen
}

#[cfg(test)]
mod tests;
