use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Deserialize;

use super::*;

/// What `tests/data/elastic_net/make_reference.py` wrote.
#[derive(Deserialize)]
struct Reference {
    people: usize,
    variants: usize,
    largest_lambda: f64,
    dosages: Vec<Vec<f32>>,
    y: Vec<f64>,
    factors: Vec<f64>,
    folds: Vec<u8>,
    fits: Vec<Fit>,
    cross_validation: Vec<Chosen>,
}

#[derive(Deserialize)]
struct Fit {
    alpha: f64,
    lambda: f64,
    factors: bool,
    intercept: f64,
    weights: Vec<f64>,
}

#[derive(Deserialize)]
struct Chosen {
    index: usize,
    lambda: f64,
    mse: f64,
    null_mse: f64,
    out_of_fold: Vec<f64>,
    intercept: f64,
    weights: Vec<f64>,
}

fn reference() -> Reference {
    let path = format!("{}/tests/data/elastic_net/reference.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// Walks to the end, to more digits than are compared.
fn exact() -> Settings {
    Settings { tolerance: 1e-16, least_gain: 0.0, enough: 1.0, patience: None, ..Settings::default() }
}

fn dense(solution: &Solution, variants: usize) -> Vec<f64> {
    let mut weights = vec![0.0; variants];
    solution.weights.iter().for_each(|&(variant, weight)| weights[variant] = weight);
    weights
}

fn farthest(left: &[f64], right: &[f64]) -> f64 {
    assert_eq!(left.len(), right.len());
    left.iter().zip(right).map(|(left, right)| (left - right).abs()).fold(0.0, f64::max)
}

/// Variants in linkage disequilibrium and an outcome of some of them.
struct Gene {
    values: Vec<f32>,
    people: usize,
    y: Vec<f64>,
}

impl Gene {
    fn simulate(variants: usize, people: usize, fractional: bool, seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut haplotypes = vec![0.0_f32; 2 * people];
        let mut values = Vec::new();
        for variant in 0..variants {
            let frequency = rng.random_range(0.02..0.98);
            for allele in &mut haplotypes {
                if variant % 12 == 0 || rng.random_bool(0.1) {
                    *allele = f32::from(u8::from(rng.random_bool(frequency)));
                }
            }
            for person in 0..people {
                let noise = if fractional { rng.random_range(0.0..0.1) } else { 0.0 };
                values.push((haplotypes[person] + haplotypes[people + person] + noise).min(2.0));
            }
        }
        let effects: Vec<(usize, f64)> = (0..variants.min(4)).map(|at| (at * variants / 4, 0.6)).collect();
        let value = |person: usize, noise: f64| {
            let genetic: f64 =
                effects.iter().map(|&(at, effect)| effect * f64::from(values[at * people + person])).sum();
            3.0 + genetic + noise
        };
        let y = (0..people).map(|person| value(person, rng.random_range(-1.5..1.5))).collect();
        Self { values, people, y }
    }

    fn dosages(&self) -> Dosages<'_> {
        Dosages { values: &self.values, people: self.people }
    }

    fn outcomes(&self, rows: &[usize]) -> Vec<f64> {
        rows.iter().map(|&row| self.y[row]).collect()
    }
}

#[test]
fn weights_agree_with_scikit_learn() {
    let reference = reference();
    let values = reference.dosages.concat();
    let dosages = Dosages { values: &values, people: reference.people };
    let rows: Vec<usize> = (0..reference.people).collect();
    let gram = Gram::new(dosages);
    assert_eq!(reference.fits.len(), 24);
    for fit in &reference.fits {
        let settings = Settings { alpha: fit.alpha, ..exact() };
        let penalty = fit.factors.then_some(reference.factors.as_slice());
        let solution = fit_at(&gram, dosages, &reference.y, &rows, penalty, &settings, fit.lambda);
        let context = format!("α {} λ {} factors {}", fit.alpha, fit.lambda, fit.factors);
        assert!(farthest(&dense(&solution, reference.variants), &fit.weights) < 1e-5, "{context}");
        assert!((solution.intercept - fit.intercept).abs() < 1e-5, "{context}");
        assert!(solution.weights.iter().all(|&(variant, _)| variant != 17), "it does not vary");
        let rough = Settings { alpha: fit.alpha, ..Settings::default() };
        let rough = fit_at(&gram, dosages, &reference.y, &rows, penalty, &rough, fit.lambda);
        let off = farthest(&dense(&rough, reference.variants), &fit.weights);
        assert!(off < 3e-3, "{context}, default tolerance: {off}");
    }
}

#[test]
fn cross_validation_chooses_what_scikit_learn_chooses() {
    let reference = reference();
    let values = reference.dosages.concat();
    let dosages = Dosages { values: &values, people: reference.people };
    let rows: Vec<usize> = (0..reference.people).collect();
    let gram = Gram::new(dosages);
    for (chosen, factors) in reference.cross_validation.iter().zip([None, Some(reference.factors.as_slice())]) {
        let found = cross_validate(&gram, dosages, &reference.y, &rows, &reference.folds, factors, &exact());
        assert!((found.solution.lambda - chosen.lambda).abs() < 1e-6);
        if factors.is_none() {
            let step = exact().step().powi(i32::try_from(chosen.index).unwrap());
            assert!((found.solution.lambda - reference.largest_lambda * step).abs() < 1e-6);
        }
        assert!((found.mse - chosen.mse).abs() < 1e-6);
        assert!((found.null_mse - chosen.null_mse).abs() < 1e-6);
        assert!(farthest(&found.out_of_fold, &chosen.out_of_fold) < 1e-5);
        assert!(farthest(&dense(&found.solution, reference.variants), &chosen.weights) < 1e-5);
        assert!((found.solution.intercept - chosen.intercept).abs() < 1e-5);
        let at = fit_at(&gram, dosages, &reference.y, &rows, factors, &exact(), chosen.lambda);
        assert!(farthest(&dense(&at, reference.variants), &chosen.weights) < 1e-5);
        // Ending early changes nothing here.
        let early = Settings { patience: Settings::default().patience, ..exact() };
        assert_eq!(found, cross_validate(&gram, dosages, &reference.y, &rows, &reference.folds, factors, &early));
    }
}

#[test]
fn cross_validation_equals_separate_fits_to_each_part() {
    let gene = Gene::simulate(50, 70, true, 3);
    let rows: Vec<usize> = (0..70).rev().filter(|row| row % 7 != 2).collect();
    let held: Vec<usize> = (0..70).filter(|row| row % 7 == 2).collect();
    let y = gene.outcomes(&rows);
    let folds: Vec<u8> = rows.iter().map(|row| [4, 200, 9][row % 3]).collect();
    let factors: Vec<f64> = (0..50).map(|variant| 0.5 + f64::from(variant % 3)).collect();
    let gram = Gram::new(gene.dosages()).without(gene.dosages(), &held);
    let found = cross_validate(&gram, gene.dosages(), &y, &rows, &folds, Some(&factors), &exact());
    for fold in [4, 200, 9] {
        let split =
            |inside: bool| -> Vec<usize> { (0..rows.len()).filter(|&at| (folds[at] == fold) == inside).collect() };
        let (inside, outside) = (split(true), split(false));
        let people = |places: &[usize]| -> Vec<usize> { places.iter().map(|&place| rows[place]).collect() };
        let gram = Gram::of(gene.dosages(), &people(&outside));
        let y: Vec<f64> = outside.iter().map(|&place| y[place]).collect();
        let lambda = found.solution.lambda;
        let solution = fit_at(&gram, gene.dosages(), &y, &people(&outside), Some(&factors), &exact(), lambda);
        let predicted: Vec<f64> = inside.iter().map(|&place| found.out_of_fold[place]).collect();
        assert!(farthest(&solution.predict(gene.dosages(), &people(&inside)), &predicted) < 1e-5);
    }
    let errors = y.iter().zip(&found.out_of_fold).map(|(y, predicted)| (y - predicted).powi(2));
    assert!((errors.sum::<f64>() / y.len() as f64 - found.mse).abs() < 1e-12);
    assert!(found.mse < 0.95 * found.null_mse, "{} {}", found.mse, found.null_mse);
}

#[test]
fn products_of_hard_calls_are_exact() {
    let gene = Gene::simulate(30, 90, false, 5);
    let (some, rest): (Vec<usize>, Vec<usize>) = (0..90).partition(|person| person % 4 == 0);
    let mut without = Gram::new(gene.dosages()).without(gene.dosages(), &some);
    let mut of = Gram::of(gene.dosages(), &rest);
    assert_eq!(without, of);
    assert_eq!((of.people(), of.variants()), (rest.len(), 30));
    without = without.without(gene.dosages(), &rest);
    of = of.without(gene.dosages(), &rest);
    assert_eq!(without, of, "nothing is left of either");
}

/// Checks that `solution` is the least of its objective: the gradient of each variant balances its penalty.
fn check_optimum(gene: &Gene, rows: &[usize], factors: &[f64], settings: &Settings, solution: &Solution) {
    let y = gene.outcomes(rows);
    let n = rows.len() as f64;
    let predicted = solution.predict(gene.dosages(), rows);
    let residual: Vec<f64> = y.iter().zip(&predicted).map(|(y, predicted)| y - predicted).collect();
    assert!(residual.iter().sum::<f64>().abs() / n < 1e-7, "the intercept is free");
    let weights = dense(solution, factors.len());
    let mean_factor = factors.iter().sum::<f64>() / factors.len() as f64;
    for (variant, (weight, factor)) in weights.iter().zip(factors).enumerate() {
        let x: Vec<f64> = rows.iter().map(|&row| f64::from(gene.dosages().variant(variant)[row])).collect();
        let mean = x.iter().sum::<f64>() / n;
        let sd = (x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n).sqrt();
        if sd < 1e-6 {
            assert!(*weight == 0.0);
            continue;
        }
        let gradient = x.iter().zip(&residual).map(|(x, r)| (x - mean) / sd * r).sum::<f64>() / n;
        let penalty = solution.lambda * factor / mean_factor;
        let standardised = weight * sd;
        if *weight == 0.0 {
            assert!(gradient.abs() <= penalty * settings.alpha + 1e-5, "{variant}: {gradient}");
        } else {
            let due = penalty * (settings.alpha * weight.signum() + (1.0 - settings.alpha) * standardised);
            assert!((gradient - due).abs() < 1e-5, "{variant}: {gradient} {due}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(24) })]

    #[test]
    fn every_solution_is_where_the_gradients_balance(
        seed in any::<u64>(), variants in 1_usize..60, alpha in 0.05_f64..1.0, share in 0.02_f64..1.1, fractional: bool
    ) {
        let gene = Gene::simulate(variants, 40, fractional, seed);
        let rows: Vec<usize> = (0..40).filter(|row| row % 5 != 1).collect();
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let factors: Vec<f64> = (0..variants).map(|_| rng.random_range(0.2..3.0)).collect();
        let settings = Settings { alpha, ..exact() };
        let (gram, y) = (Gram::of(gene.dosages(), &rows), gene.outcomes(&rows));
        let largest = Path::new(&Part::all(&gram, gene.dosages(), &y, &rows, Some(&factors)), &settings).largest_lambda();
        let lambda = share * largest;
        let solution = fit_at(&gram, gene.dosages(), &y, &rows, Some(&factors), &settings, lambda);
        prop_assert!(solution.weights.is_sorted());
        prop_assert_eq!(solution.weights.is_empty(), share >= 1.0 || largest == 0.0);
        check_optimum(&gene, &rows, &factors, &settings, &solution);
    }
}

#[test]
fn a_factor_without_bound_leaves_its_variant_out() {
    let gene = Gene::simulate(8, 50, false, 8);
    let rows: Vec<usize> = (0..50).collect();
    let gram = Gram::new(gene.dosages());
    let mut factors = vec![1.0; 8];
    let fit = |factors: &[f64]| fit_at(&gram, gene.dosages(), &gene.y, &rows, Some(factors), &exact(), 0.01);
    assert!(fit(&factors).weights.iter().any(|&(variant, _)| variant == 2));
    for unusable in [f64::INFINITY, f64::NAN, 0.0, -1.0] {
        factors[2] = unusable;
        let solution = fit(&factors);
        assert!(solution.weights.iter().all(|&(variant, weight)| variant != 2 && weight.is_finite()));
        assert!(!solution.weights.is_empty());
    }
    factors.fill(f64::INFINITY);
    assert!(fit(&factors).weights.is_empty());
}

#[test]
fn what_does_not_vary_gives_the_mean() {
    let gene = Gene::simulate(20, 40, false, 9);
    let rows: Vec<usize> = (0..40).collect();
    let folds: Vec<u8> = rows.iter().map(|&row| (row % 5) as u8).collect();
    let check = |dosages: Dosages<'_>, y: &[f64]| {
        let gram = Gram::new(dosages);
        let found = cross_validate(&gram, dosages, y, &rows, &folds, None, &Settings::default());
        let mean = y.iter().sum::<f64>() / 40.0;
        assert!(found.solution.weights.is_empty());
        assert!((found.solution.intercept - mean).abs() < 1e-12);
        assert!(found.solution.lambda == 0.0 && found.mse.is_finite());
        assert!((found.mse - found.null_mse).abs() < 1e-12);
        assert!(found.out_of_fold.iter().all(|value| value.is_finite()));
        let at = fit_at(&gram, dosages, y, &rows, None, &Settings::default(), 0.1);
        assert!(at.weights.is_empty() && (at.intercept - mean).abs() < 1e-12);
    };
    for constant in [0.0, 0.3, -7.1e8] {
        check(gene.dosages(), &[constant; 40]);
    }
    check(Dosages { values: &[], people: 40 }, &gene.y);
    check(Dosages { values: &[0.37; 80], people: 40 }, &gene.y);
}

#[test]
fn a_variant_that_varies_only_in_the_fold_predicts_nothing_there() {
    let mut gene = Gene::simulate(3, 40, false, 10);
    let rows: Vec<usize> = (0..40).collect();
    let folds: Vec<u8> = rows.iter().map(|&row| u8::from(row >= 4)).collect();
    (0..40).for_each(|person| gene.values[person] = if person < 2 { 2.0 } else { 0.0 });
    gene.y[0] = 30.0;
    let found =
        cross_validate(&Gram::new(gene.dosages()), gene.dosages(), &gene.y, &rows, &folds, None, &Settings::default());
    assert!(found.out_of_fold.iter().all(|value| value.is_finite()));
    let reached: Vec<f64> = (0..2).map(|row| found.out_of_fold[row]).collect();
    assert!(reached.iter().all(|value| value.abs() < 10.0), "{reached:?}");
}

#[test]
fn a_saturated_path_stays_where_it_ended() {
    let mut gene = Gene::simulate(30, 20, true, 11);
    gene.y = (0..20).map(|person| f64::from(gene.values[person])).collect();
    let rows: Vec<usize> = (0..20).collect();
    let gram = Gram::new(gene.dosages());
    let settings = Settings { alpha: 1.0, ..Settings::default() };
    let fit = |lambda: f64| fit_at(&gram, gene.dosages(), &gene.y, &rows, None, &settings, lambda);
    let (late, later) = (fit(1e-5), fit(1e-6));
    assert_eq!(late.weights, later.weights);
    let residual: f64 = late.predict(gene.dosages(), &rows).iter().zip(&gene.y).map(|(p, y)| (p - y).powi(2)).sum();
    let mean = gene.y.iter().sum::<f64>() / 20.0;
    let total: f64 = gene.y.iter().map(|y| (y - mean).powi(2)).sum();
    assert!(residual < 0.002 * total, "{residual} {total}");
}
