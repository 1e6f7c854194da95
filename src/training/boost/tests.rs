//! Planted rules, exhaustive search, and the library's own error on the same task.

use serde_json::Value;

use super::*;

const QUIET: &(dyn Fn(usize, usize) + Sync) = &|_, _| {};

fn path(name: &str) -> String {
    format!("{}/tests/data/xgboost/{name}", env!("CARGO_MANIFEST_DIR"))
}

fn table(rows: &Value) -> Vec<f32> {
    let cells = rows.as_array().unwrap().iter().flat_map(|row| row.as_array().unwrap());
    cells.map(|cell| cell.as_f64().map_or(f32::NAN, |number| number as f32)).collect()
}

fn task() -> Value {
    serde_json::from_slice(&std::fs::read(path("task.json")).unwrap()).unwrap()
}

fn samples<'a>(features: &'a [f32], n_features: usize, targets: &'a [f32], n_targets: usize) -> Samples<'a> {
    Samples { features, n_features, targets, n_targets, margins: None }
}

/// Uniform draws from 0 to 1.
fn uniform(n: usize, seed: u64) -> Vec<f32> {
    let mut draws = ChaCha8Rng::seed_from_u64(seed);
    (0..n).map(|_| draws.next_u32() as f32 / 4_294_967_296.0).collect()
}

fn rmse(found: &[f32], expected: &[f32], n_targets: usize, target: usize) -> f64 {
    let pairs = found.iter().zip(expected).skip(target).step_by(n_targets);
    let squares: Vec<f64> = pairs.map(|(a, b)| f64::from(a - b).powi(2)).collect();
    (squares.iter().sum::<f64>() / squares.len() as f64).sqrt()
}

#[test]
fn a_planted_step_with_an_interaction_is_found() {
    let features = uniform(800 * 10, 1);
    let rule = |row: &[f32]| if row[2] > 0.5 && row[7] > 0.25 { 3.0 } else { -1.0 };
    let targets: Vec<f32> = features.chunks(10).map(rule).collect();
    let settings = Settings { rounds: 30, max_depth: 2, ..Settings::default() };
    let model = fit(&samples(&features, 10, &targets, 1), None, &settings, QUIET).unwrap();
    let fresh = uniform(500 * 10, 2);
    let expected: Vec<f32> = fresh.chunks(10).map(rule).collect();
    let found = model.predict(&fresh).unwrap();
    let right = found.iter().zip(&expected).filter(|(a, b)| (*a - *b).abs() < 0.1).count();
    assert!(right >= 485, "{right} of 500: only rows at the very edge may be wrong");
    let gains = model.gain(0).unwrap();
    assert!((gains[2] + gains[7]) / gains.iter().sum::<f64>() > 0.99, "{gains:?}");
}

#[test]
fn the_training_error_falls_with_every_round() {
    let task = task();
    let (features, targets) = (table(&task["features"]), table(&task["targets"]));
    let samples = samples(&features, 5, &targets, 2);
    let errors: Vec<f64> = [1, 2, 4, 8, 16, 32]
        .map(|rounds| {
            let settings = Settings { rounds, max_depth: 3, learning_rate: 0.2, ..Settings::default() };
            let model = fit(&samples, None, &settings, QUIET).unwrap();
            rmse(&model.predict(&features).unwrap(), &targets, 2, 0)
        })
        .to_vec();
    assert!(errors.windows(2).all(|pair| pair[1] < pair[0]), "{errors:?}");
}

#[test]
fn a_missing_value_goes_where_its_rows_belong() {
    let values = uniform(300, 3);
    for missing_is_high in [true, false] {
        let features: Vec<f32> =
            values.iter().enumerate().map(|(row, x)| if row % 4 == 0 { f32::NAN } else { *x }).collect();
        let rule = |x: &f32| if x.is_nan() { missing_is_high } else { *x >= 0.5 };
        let targets: Vec<f32> = features.iter().map(|x| f32::from(u8::from(rule(x)))).collect();
        let settings = Settings { rounds: 1, max_depth: 1, learning_rate: 1.0, lambda: 0.0, ..Settings::default() };
        let model = fit(&samples(&features, 1, &targets, 1), None, &settings, QUIET).unwrap();
        let expected = f32::from(u8::from(missing_is_high));
        for (x, y) in [(f32::NAN, expected), (0.1, 0.0), (0.9, 1.0)] {
            assert!((model.predict(&[x]).unwrap()[0] - y).abs() < 1e-5, "{x} with missing high: {missing_is_high}");
        }
    }
    // Whether a value is there can be all that matters.
    let features: Vec<f32> = (0..20).map(|row| if row % 2 == 0 { f32::NAN } else { 7.0 }).collect();
    let targets: Vec<f32> = (0..20).map(|row| f32::from(row % 2_u8)).collect();
    let settings = Settings { rounds: 1, max_depth: 1, learning_rate: 1.0, lambda: 0.0, ..Settings::default() };
    let model = fit(&samples(&features, 1, &targets, 1), None, &settings, QUIET).unwrap();
    assert_eq!(model.predict(&[f32::NAN, 7.0]).unwrap(), [0.0, 1.0]);
}

/// The gain of the best of all splits, by summing rows for each.
fn best_gain(features: &[f32], n_features: usize, residuals: &[f64], settings: &Settings) -> f64 {
    let score = |rows: &[f64]| {
        let pull = (rows.iter().sum::<f64>().abs() - settings.alpha).max(0.0);
        pull * pull / (rows.len() as f64 + settings.lambda)
    };
    let mut best = 0.0_f64;
    for feature in 0..n_features {
        let column: Vec<f32> = features.iter().skip(feature).step_by(n_features).copied().collect();
        for threshold in column.iter().copied().filter(|x| !x.is_nan()).chain([f32::MAX]) {
            for missing_left in [true, false] {
                let left = |x: f32| if x.is_nan() { missing_left } else { x < threshold };
                let side = |wanted: bool| -> Vec<f64> {
                    column.iter().zip(residuals).filter(|(x, _)| left(**x) == wanted).map(|(_, r)| *r).collect()
                };
                let (left, right) = (side(true), side(false));
                if left.len().min(right.len()) as f64 >= settings.min_child_weight.max(1.0) {
                    best = best.max(score(&left) + score(&right) - score(residuals));
                }
            }
        }
    }
    best
}

#[test]
fn the_first_split_is_the_best_of_all() {
    let mut features = uniform(40 * 11, 5);
    features.iter_mut().step_by(7).for_each(|x| *x = f32::NAN);
    let targets = uniform(40, 6);
    for (lambda, alpha, min_child_weight) in [(0.0, 0.0, 1.0), (1.0, 0.0, 0.0), (2.0, 0.5, 5.0), (0.5, 0.1, 12.0)] {
        let settings = Settings { rounds: 1, max_depth: 1, lambda, alpha, min_child_weight, ..Settings::default() };
        let model = fit(&samples(&features, 11, &targets, 1), None, &settings, QUIET).unwrap();
        let residuals: Vec<f64> = targets.iter().map(|y| f64::from(model.base()[0] - y)).collect();
        let (found, expected) =
            (model.gain(0).unwrap().iter().sum::<f64>(), best_gain(&features, 11, &residuals, &settings));
        assert!(expected > 0.0 && (found - expected).abs() < 1e-5, "{found} for {expected} with {settings:?}");
        let dear = Settings { gamma: expected * 1.01, ..settings };
        let model = fit(&samples(&features, 11, &targets, 1), None, &dear, QUIET).unwrap();
        assert_eq!(model.n_nodes(), 1, "a split that does not pay is not made");
    }
}

#[test]
fn one_seed_gives_one_model_on_any_number_of_threads() {
    let task = task();
    let (features, targets) = (table(&task["features"]), table(&task["targets"]));
    let run = |seed: u64, threads: usize| {
        let settings = Settings { rounds: 6, subsample: 0.6, colsample_bytree: 0.5, seed, ..Settings::default() };
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let model = pool.install(|| fit(&samples(&features, 5, &targets, 2), None, &settings, QUIET)).unwrap();
        model.to_json().unwrap()
    };
    let model = run(1, 1);
    assert!(model == run(1, 1) && model == run(1, 2), "the same seed");
    assert!(model != run(2, 1), "another seed");
}

#[test]
fn the_error_is_that_of_the_library() {
    let task = task();
    let (features, targets) = (table(&task["features"]), table(&task["targets"]));
    let settings = Settings { rounds: 60, max_depth: 4, learning_rate: 0.1, ..Settings::default() };
    let training = samples(&features[..400 * 5], 5, &targets[..400 * 2], 2);
    let model = fit(&training, None, &settings, QUIET).unwrap();
    let found = model.predict(&features[400 * 5..]).unwrap();
    for target in 0..2 {
        let library = task["rmse"][target].as_f64().unwrap();
        let own = rmse(&found, &targets[400 * 2..], 2, target);
        assert!((own / library - 1.0).abs() < 0.03, "output {target}: {own} where the library has {library}");
    }
}

fn fit_with_early_stopping() -> (BoostedTrees, Vec<f32>) {
    let task = task();
    let (features, targets) = (table(&task["features"]), table(&task["targets"]));
    let validation = samples(&features[400 * 5..], 5, &targets[400 * 2..], 2);
    let settings = Settings { rounds: 200, max_depth: 3, subsample: 0.8, max_bin: 32, ..Settings::default() };
    let stopping = EarlyStopping { validation, patience: 5 };
    let training = samples(&features[..400 * 5], 5, &targets[..400 * 2], 2);
    let model = fit(&training, Some(&stopping), &settings, QUIET).unwrap();
    let predictions = model.predict(&features[400 * 5..]).unwrap();
    (model, predictions)
}

/// The file that `tests/data/xgboost/check.py` gives to the library: its outputs have different numbers of trees.
#[test]
fn early_stopping_keeps_each_outputs_best_round() {
    let (model, predictions) = fit_with_early_stopping();
    let whole: Value = serde_json::from_slice(&model.to_json().unwrap()).unwrap();
    let trees = whole["learner"]["gradient_booster"]["model"]["tree_info"].as_array().unwrap();
    let counts = [0, 1].map(|target| trees.iter().filter(|info| **info == target).count());
    assert!(counts[0] != counts[1] && counts.iter().all(|count| (2..195).contains(count)), "{counts:?}");
    if std::env::var_os("TISSUECAST_WRITE_FIXTURES").is_some() {
        std::fs::write(path("fitted.json"), model.to_json().unwrap()).unwrap();
        let rows: Vec<&[f32]> = predictions.chunks(2).collect();
        std::fs::write(path("fitted_predictions.json"), serde_json::to_string(&rows).unwrap() + "\n").unwrap();
    }
    let recorded: Value = serde_json::from_slice(&std::fs::read(path("fitted_predictions.json")).unwrap()).unwrap();
    let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
    assert_eq!(bits(&predictions), bits(&table(&recorded)));
    assert!(BoostedTrees::read(&std::fs::read(path("fitted.json")).unwrap()).unwrap() == model);
}

#[test]
fn margins_are_where_the_sums_start() {
    let features = uniform(200, 8);
    let margins = uniform(200, 9);
    let targets: Vec<f32> = features.iter().zip(&margins).map(|(x, m)| m + if *x > 0.5 { 2.0 } else { 1.0 }).collect();
    let samples = Samples { margins: Some(&margins), ..samples(&features, 1, &targets, 1) };
    let settings = Settings { rounds: 40, max_depth: 1, ..Settings::default() };
    let model = fit(&samples, None, &settings, QUIET).unwrap();
    assert_eq!(model.base(), [0.0]);
    let found = model.predict_with_margin(&features, &margins).unwrap();
    assert!(rmse(&found, &targets, 1, 0) < 0.02);
}

#[test]
fn rows_without_a_value_are_left_out_of_that_output_alone() {
    let features = uniform(100 * 3, 10);
    let full = uniform(100, 11);
    let mut targets: Vec<f32> = full.iter().flat_map(|y| [*y, *y]).collect();
    targets.iter_mut().skip(1).step_by(2).take(50).for_each(|y| *y = f32::NAN);
    let settings = Settings { rounds: 5, max_depth: 3, ..Settings::default() };
    let model = fit(&samples(&features, 3, &targets, 2), None, &settings, QUIET).unwrap();
    let first = fit(&samples(&features, 3, &full, 1), None, &settings, QUIET).unwrap();
    let found = model.predict(&features).unwrap();
    let column = |target: usize| found.iter().skip(target).step_by(2).copied().collect::<Vec<f32>>();
    assert_eq!(column(0), first.predict(&features).unwrap());
    let late = full[50..].iter().sum::<f32>() / 50.0;
    assert!((model.base()[1] - late).abs() < 1e-6, "the mean of the known rows");
    assert_ne!(column(1), column(0));
}

#[test]
fn progress_counts_every_tree() {
    let (features, targets) = (uniform(30, 12), uniform(60, 13));
    let (calls, last) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let progress = |done: usize, total: usize| {
        assert_eq!(total, 8);
        calls.fetch_add(1, Ordering::Relaxed);
        last.fetch_max(done, Ordering::Relaxed);
    };
    let settings = Settings { rounds: 4, ..Settings::default() };
    fit(&samples(&features, 1, &targets, 2), None, &settings, &progress).unwrap();
    assert_eq!((calls.into_inner(), last.into_inner()), (8, 8));
}

#[test]
fn bad_input_is_named() {
    let good = Settings::default();
    let run = |features: &[f32], targets: &[f32], settings: &Settings| {
        fit(&samples(features, 2, targets, 1), None, settings, QUIET).unwrap_err().to_string()
    };
    let features = [1.0, 2.0, 3.0, f32::NAN];
    assert!(run(&[], &[], &good).contains("nothing to learn from"));
    assert!(run(&features, &[1.0], &good).contains("targets have 1 values where 2 are due"));
    assert!(run(&features[..3], &[1.0], &good).contains("features have 3 values where 2 are due"));
    assert!(run(&[1.0, 2.0, 3.0, f32::INFINITY], &[1.0, 2.0], &good).contains("row 1, column 1"));
    assert!(run(&features, &[f32::NAN; 2], &good).contains("output 0 has no value"));
    let training = samples(&features, 2, &[1.0, 2.0], 1);
    for (validation, patience, expected) in [
        (samples(&features, 1, &[1.0; 4], 1), 1, "validation features of a row have 1 values where 2 are due"),
        (samples(&features, 2, &[1.0; 4], 2), 1, "validation targets of a row"),
        (Samples { margins: Some(&[0.0; 2]), ..training }, 1, "validation margins of a row"),
        (samples(&features, 2, &[f32::NAN; 2], 1), 1, "output 0 has no value"),
        (training, 0, "patience is 0"),
    ] {
        let stopping = EarlyStopping { validation, patience };
        let error = fit(&training, Some(&stopping), &good, QUIET).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
    for (settings, expected) in [
        (Settings { max_bin: 300, ..good }, "max_bin is 300: it has to be 2 to 256"),
        (Settings { learning_rate: 0.0, ..good }, "learning_rate is 0"),
        (Settings { subsample: f64::NAN, ..good }, "subsample is NaN"),
        (Settings { max_depth: 0, ..good }, "max_depth"),
        (Settings { lambda: -1.0, ..good }, "lambda"),
    ] {
        assert!(run(&features, &[1.0, 2.0], &settings).contains(expected));
    }
}
