//! One gene's accuracy over people, fold by fold and in all.
//!
//! Imports its siblings only. Invariant: a score is a finite number, and no score of heritable folds contains a
//! person of another fold.

use rayon::prelude::*;

use super::{CrossPredictions, GeneTruth, MethodPredictions};

/// A fold with fewer measured people gives no correlation of its own.
pub const FEWEST_PEOPLE: usize = 3;

/// How well one gene was predicted over some folds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scores {
    /// Mean over folds of Pearson's correlation within the fold; a constant prediction counts as 0.
    ///
    /// It is taken within folds since pooling over them is biased downwards: a fold that lies high leaves a low
    /// training mean behind, and a model predicts around that mean. The pooled correlation of the null model is
    /// therefore negative, that of a weak model too. Where folds are populations, pooling would also reward a model
    /// for telling populations apart.
    pub r: f64,
    /// Correlation of measured and predicted, both centred within folds, over all people; 0 where undefined.
    pub pooled_r: f64,
    /// The square of `pooled_r`; 0 where that is negative.
    pub r2: f64,
    /// 1 − RSS / TSS over all people, TSS being around the training mean; 0 where nothing varies around that.
    ///
    /// It also counts what correlation forgives, a wrong level and a wrong spread, and is negative for a prediction
    /// that is worse than the training mean.
    pub rsq: f64,
}

/// One gene's scores by one method.
#[derive(Debug, Clone, PartialEq)]
pub struct GeneScores {
    /// The gene's identifier.
    pub gene: String,
    /// The gene's symbol.
    pub symbol: Option<String>,
    /// In how many folds the gene is heritable.
    pub heritable_folds: usize,
    /// Over all folds.
    pub all: Scores,
    /// Over the folds in which the gene is heritable; `None` where it is so in none.
    pub heritable: Option<Scores>,
    /// For each fold the correlation within it; `None` in a fold with fewer than [`FEWEST_PEOPLE`] measured people.
    pub r_by_fold: Vec<Option<f64>>,
    /// Whether within every fold all people have the same prediction.
    pub constant: bool,
}

/// Sums over a fold's people, from which every score follows.
#[derive(Debug, Clone, Copy, Default)]
struct FoldSums {
    people: usize,
    /// Products of deviations from the fold's means: measured × predicted, measured², predicted².
    products: [f64; 3],
    residual: f64,
    around_null: f64,
}

impl FoldSums {
    fn new(gene: &GeneTruth, predicted: &[f64], people: &[usize]) -> Self {
        let known = || people.iter().copied().filter(|&person| !gene.measured[person].is_nan());
        let count = known().count();
        let mut sums = Self { people: count, ..Self::default() };
        let n = count.max(1) as f64;
        let means = [&gene.measured[..], predicted].map(|side| known().map(|person| side[person]).sum::<f64>() / n);
        for person in known() {
            let (measured, predicted) = (gene.measured[person], predicted[person]);
            let (y, p) = (measured - means[0], predicted - means[1]);
            for (sum, product) in sums.products.iter_mut().zip([y * p, y * y, p * p]) {
                *sum += product;
            }
            sums.residual += (measured - predicted).powi(2);
            sums.around_null += (measured - gene.null[person]).powi(2);
        }
        // Equal numbers may leave a rounding error behind when their mean is taken off.
        let flat = |squares: f64, mean: f64| squares <= n * (mean.abs() * 1e-12).powi(2);
        if flat(sums.products[1], means[0]) {
            sums.products[..2].fill(0.0);
        }
        if flat(sums.products[2], means[1]) {
            sums.products[0] = 0.0;
            sums.products[2] = 0.0;
        }
        sums
    }

    fn r(&self) -> Option<f64> {
        (self.people >= FEWEST_PEOPLE).then(|| correlation(self.products))
    }
}

/// Returns the correlation that sums of products stand for; 0 where one side does not vary.
fn correlation([both, measured, predicted]: [f64; 3]) -> f64 {
    let r = both / (measured.sqrt() * predicted.sqrt());
    if r.is_finite() { r.clamp(-1.0, 1.0) } else { 0.0 }
}

impl Scores {
    fn new<'a>(folds: impl Iterator<Item = &'a FoldSums>) -> Self {
        let (mut r, mut counted) = (0.0, 0.0);
        let mut all = FoldSums::default();
        for fold in folds {
            if let Some(own) = fold.r() {
                r += own;
                counted += 1.0;
            }
            for (sum, product) in all.products.iter_mut().zip(fold.products) {
                *sum += product;
            }
            all.residual += fold.residual;
            all.around_null += fold.around_null;
        }
        let pooled_r = correlation(all.products);
        let rsq = if all.around_null > 0.0 { 1.0 - all.residual / all.around_null } else { 0.0 };
        Self { r: if counted > 0.0 { r / counted } else { 0.0 }, pooled_r, r2: pooled_r.max(0.0).powi(2), rsq }
    }
}

impl GeneScores {
    /// Scores one gene's predictions, given the people of each fold.
    #[must_use]
    pub fn new(gene: &GeneTruth, predicted: &[f64], people_by_fold: &[Vec<usize>]) -> Self {
        let folds: Vec<FoldSums> = people_by_fold.iter().map(|people| FoldSums::new(gene, predicted, people)).collect();
        let heritable_folds = gene.heritable.iter().filter(|heritable| **heritable).count();
        let heritable = folds.iter().zip(&gene.heritable).filter(|(_, heritable)| **heritable).map(|(fold, _)| fold);
        Self {
            gene: gene.name.clone(),
            symbol: gene.symbol.clone(),
            heritable_folds,
            all: Scores::new(folds.iter()),
            heritable: (heritable_folds > 0).then(|| Scores::new(heritable)),
            r_by_fold: folds.iter().map(FoldSums::r).collect(),
            constant: folds.iter().all(|fold| fold.products[2] <= 0.0),
        }
    }
}

/// Returns each fold's people.
#[must_use]
pub(super) fn people_by_fold(input: &CrossPredictions) -> Vec<Vec<usize>> {
    let mut people = vec![Vec::new(); input.fold_names.len()];
    for (person, fold) in input.fold_of_person.iter().enumerate() {
        people[usize::from(*fold)].push(person);
    }
    people
}

/// Scores one method on the genes at `order`.
pub(super) fn score(input: &CrossPredictions, method: &MethodPredictions, order: &[usize]) -> Vec<GeneScores> {
    let people = people_by_fold(input);
    let one = |gene: &usize| GeneScores::new(&input.genes[*gene], &method.predicted[*gene], &people);
    order.par_iter().map(one).collect()
}
