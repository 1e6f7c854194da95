//! The choice of λ by cross-validation: the same λ for all folds, their squared errors pooled over rows.

use super::part::Whole;
use super::path::Path;
use super::{Dosages, Gram, Settings, Solution, walk_to};

/// λ that one fold walks before the next fold's turn, so that its products stay in the processor's cache.
const TURN: usize = 10;

/// An elastic net with its λ chosen by cross-validation.
#[derive(Debug, Clone, PartialEq)]
pub struct CrossValidated {
    /// The fit to all rows at the best λ.
    pub solution: Solution,
    /// What each row is predicted to have by the fit at the best λ that was made without its fold, in the rows' order.
    pub out_of_fold: Vec<f64>,
    /// The mean squared error of `out_of_fold`.
    pub mse: f64,
    /// The mean squared error of predicting each row by the mean of the rows outside its fold.
    pub null_mse: f64,
}

/// Chooses λ by the least squared error over folds, ties going to the larger λ, and fits all rows with it.
///
/// `gram` must be of exactly these rows; `y` and `folds` have one value a row, and there are at least two folds. The λ
/// are those of the path of all rows. `penalty` is as in [`super::fit_at`].
///
/// # Panics
/// `y` or `folds` has not one value a row, or `penalty` not one factor a variant.
#[must_use]
#[expect(clippy::too_many_arguments, reason = "the data of one fit, each a plain slice")]
pub fn cross_validate(
    gram: &Gram,
    dosages: Dosages<'_>,
    y: &[f64],
    rows: &[usize],
    folds: &[u8],
    penalty: Option<&[f64]>,
    settings: &Settings,
) -> CrossValidated {
    assert_eq!(folds.len(), rows.len(), "one fold a row");
    let whole = Whole::new(gram, dosages, y, rows, penalty);
    let all = whole.part(&[]);
    let largest = Path::new(&all, settings).largest_lambda();
    // Where nothing varies there is one λ, 0, and the means are the fit.
    let count = if largest > 0.0 { settings.lambdas.max(1) } else { 1 };
    let lambdas: Vec<f64> = (0..count).map(|at| largest * settings.step().powf(at as f64)).collect();

    let held: Vec<Vec<usize>> = fold_places(folds);
    let parts: Vec<_> = held.iter().map(|places| whole.part(places)).collect();
    let mut paths: Vec<_> = parts.iter().map(|part| Path::new(part, settings)).collect();
    let mut errors = Errors::new(y, settings.patience);
    let mut predicted = Vec::new();
    for turn in lambdas.chunks(TURN) {
        let from = predicted.len();
        predicted.resize(from + turn.len(), vec![0.0; y.len()]);
        let mut out = Vec::new();
        for (path, places) in paths.iter_mut().zip(&held) {
            for (&lambda, predicted) in turn.iter().zip(&mut predicted[from..]) {
                path.advance(lambda);
                out.resize(places.len(), 0.0);
                path.predict_held(&mut out);
                places.iter().zip(&out).for_each(|(&place, &value)| predicted[place] = value);
            }
        }
        if predicted[from..].iter().any(|predicted| !errors.add(predicted)) || paths.iter().all(Path::ended) {
            break;
        }
    }
    let null: f64 = parts.iter().zip(&held).map(|(part, places)| squared(places, y, |_| part.y_mean)).sum();
    CrossValidated {
        solution: walk_to(&all, settings, lambdas[errors.best]),
        out_of_fold: predicted.swap_remove(errors.best),
        mse: errors.least,
        null_mse: null / (y.len() as f64).max(1.0),
    }
}

fn squared(places: &[usize], y: &[f64], predicted: impl Fn(usize) -> f64) -> f64 {
    places.iter().map(|&place| (y[place] - predicted(place)).powi(2)).sum()
}

/// The places of each fold's rows; folds without any are left out.
fn fold_places(folds: &[u8]) -> Vec<Vec<usize>> {
    let mut places = vec![Vec::new(); 256];
    for (place, &fold) in folds.iter().enumerate() {
        places[usize::from(fold)].push(place);
    }
    places.retain(|places| !places.is_empty());
    places
}

/// The squared errors along the λ: which was least, and whether to go on.
struct Errors<'a> {
    y: &'a [f64],
    patience: Option<usize>,
    seen: usize,
    best: usize,
    least: f64,
}

impl<'a> Errors<'a> {
    fn new(y: &'a [f64], patience: Option<usize>) -> Self {
        Self { y, patience, seen: 0, best: 0, least: f64::INFINITY }
    }

    /// Takes in the next λ; returns whether a later one may still be better.
    fn add(&mut self, predicted: &[f64]) -> bool {
        let sum: f64 = self.y.iter().zip(predicted).map(|(y, predicted)| (y - predicted).powi(2)).sum();
        let error = sum / (self.y.len() as f64).max(1.0);
        if error < self.least {
            (self.best, self.least) = (self.seen, error);
        }
        self.seen += 1;
        let waited = self.patience.is_some_and(|patience| self.seen - self.best > patience);
        !(waited && error > Settings::RISEN * self.least)
    }
}
