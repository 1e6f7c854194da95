//! Fits a mixture of Gaussians by expectation–maximisation, its covariances drawn towards a common one.
//!
//! Many components have few genes for their many numbers: each covariance is averaged with the pooled one, made as quiet
//! as the component, as if `prior_genes` more genes had that. Starts from k-means. Imports the mixture. Invariant: rows, settings and seed decide
//! every bit; the number of threads does not.

use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use crate::model::ModelError;
use crate::model::context::mixture::{Mixture, dot, factorise, triangle};
use crate::training::init::generator;

/// How a mixture is fitted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct MixtureSettings {
    /// The most components; fewer where there are few rows.
    pub(super) components: usize,
    /// Rounds of expectation and maximisation.
    pub(super) rounds: usize,
    /// The weight of the pooled covariance, in rows.
    pub(super) prior_genes: f64,
    /// The seed of the start.
    pub(super) seed: u64,
}

/// Rows for each component at least.
const ROWS_A_COMPONENT: usize = 200;
/// The weight of the diagonal beside a single component's covariance, in rows.
const ROWS_OF_DIAGONAL: f64 = 20.0;
/// Rounds of k-means.
const START_ROUNDS: usize = 15;
/// What is added to every variance.
const FLOOR: f64 = 1e-4;
/// Rows of one unit of parallel work: fixed, so that sums do not depend on threads.
const CHUNK: usize = 256;

/// Returns how many components a mixture of so many rows gets.
pub(super) fn components(settings: &MixtureSettings, rows: usize) -> usize {
    (rows / ROWS_A_COMPONENT).clamp(1, settings.components.max(1))
}

/// Fits a mixture to `rows` (rows × width, finite).
///
/// # Errors
/// A covariance lost its positive definiteness, which the floor rules out for finite rows.
pub(super) fn fit_mixture(rows: &[f64], width: usize, settings: &MixtureSettings) -> Result<Mixture, ModelError> {
    let count = rows.len() / width.max(1);
    let components = components(settings, count);
    let mut rng = generator(settings.seed, "mixture");
    let labels = k_means(rows, width, components, &mut rng);
    let mut shares = vec![0.0; count * components];
    for (row, label) in labels.iter().enumerate() {
        shares[row * components + label] = 1.0;
    }
    let start = moments(rows, width, &shares, components);
    let mut pooled = pooled(&start, components, width);
    if components == 1 {
        // A single component is its own pooled covariance: what it is drawn towards is then the diagonal.
        let kept = count as f64 / (count as f64 + ROWS_OF_DIAGONAL);
        for row in 0..width {
            pooled[triangle(row)..triangle(row) + row].iter_mut().for_each(|value| *value *= kept);
        }
    }
    let mut state = maximise(&start, width, settings.prior_genes, &pooled);
    for _ in 0..settings.rounds {
        expect(rows, width, &state, &mut shares)?;
        state = maximise(&moments(rows, width, &shares, components), width, settings.prior_genes, &pooled);
    }
    let narrow = |numbers: &[f64]| numbers.iter().map(|number| *number as f32).collect::<Vec<f32>>();
    Mixture::try_new(width, narrow(&state.log_weights), narrow(&state.means), narrow(&state.covariances))
}

/// A mixture in the precision that it is fitted in; as [`Mixture`].
struct State {
    log_weights: Vec<f64>,
    means: Vec<f64>,
    covariances: Vec<f64>,
}

/// Weighted sums by component: of 1, of the numbers, and of their products (packed lower triangles).
struct Moments {
    weights: Vec<f64>,
    sums: Vec<f64>,
    products: Vec<f64>,
}

fn moments(rows: &[f64], width: usize, shares: &[f64], components: usize) -> Moments {
    let zero = || Moments {
        weights: vec![0.0; components],
        sums: vec![0.0; components * width],
        products: vec![0.0; components * triangle(width)],
    };
    let part = |(rows, shares): (&[f64], &[f64])| {
        let mut part = zero();
        for (row, shares) in rows.chunks_exact(width).zip(shares.chunks_exact(components)) {
            for (component, &share) in shares.iter().enumerate().filter(|(_, share)| **share > 1e-6) {
                part.weights[component] += share;
                let sums = &mut part.sums[component * width..][..width];
                sums.iter_mut().zip(row).for_each(|(sum, value)| *sum += share * value);
                let products = &mut part.products[component * triangle(width)..][..triangle(width)];
                for at in 0..width {
                    let scaled = share * row[at];
                    let line = &mut products[triangle(at)..][..=at];
                    line.iter_mut().zip(row).for_each(|(sum, value)| *sum += scaled * value);
                }
            }
        }
        part
    };
    let parts: Vec<Moments> =
        rows.par_chunks(CHUNK * 8 * width).zip(shares.par_chunks(CHUNK * 8 * components)).map(part).collect();
    let mut all = zero();
    for part in parts {
        for (sum, more) in
            [(&mut all.weights, part.weights), (&mut all.sums, part.sums), (&mut all.products, part.products)]
        {
            sum.iter_mut().zip(more).for_each(|(sum, more)| *sum += more);
        }
    }
    all
}

/// Returns a component's scatter around its own mean, as a packed lower triangle.
fn scatter(moments: &Moments, component: usize, width: usize) -> Vec<f64> {
    let weight = moments.weights[component].max(1e-9);
    let sums = &moments.sums[component * width..][..width];
    let products = &moments.products[component * triangle(width)..][..triangle(width)];
    let mut scatter = products.to_vec();
    for row in 0..width {
        for column in 0..=row {
            scatter[triangle(row) + column] -= sums[row] * sums[column] / weight;
        }
    }
    scatter
}

/// The covariance within components, over all of them.
fn pooled(moments: &Moments, components: usize, width: usize) -> Vec<f64> {
    let mut sum = vec![0.0; triangle(width)];
    for component in 0..components {
        let own = scatter(moments, component, width);
        sum.iter_mut().zip(own).for_each(|(sum, own)| *sum += own);
    }
    let rows: f64 = moments.weights.iter().sum();
    sum.iter().map(|value| value / rows.max(1.0)).collect()
}

fn trace(packed: &[f64], width: usize) -> f64 {
    (0..width).map(|at| packed[triangle(at) + at]).sum()
}

fn maximise(moments: &Moments, width: usize, prior: f64, pooled: &[f64]) -> State {
    let components = moments.weights.len();
    let all: f64 = moments.weights.iter().sum();
    let mut state = State {
        log_weights: moments.weights.iter().map(|own| ((own + 1.0) / (all + components as f64)).ln()).collect(),
        means: Vec::with_capacity(components * width),
        covariances: Vec::with_capacity(components * triangle(width)),
    };
    for component in 0..components {
        let weight = moments.weights[component].max(1e-9);
        state.means.extend(moments.sums[component * width..][..width].iter().map(|sum| sum / weight));
        let own = scatter(moments, component, width);
        // A component of quiet genes is drawn towards a quiet version of the pooled covariance.
        let quiet = (trace(&own, width) / weight / trace(pooled, width).max(1e-9)).min(1.0);
        // One that lost all its genes is nobody's, and must not become a spike.
        let quiet = if weight < 1.0 { 1.0 } else { quiet };
        let first = state.covariances.len();
        let mixed = own.iter().zip(pooled).map(|(own, pooled)| (own + prior * quiet * pooled) / (weight + prior));
        state.covariances.extend(mixed);
        for at in 0..width {
            state.covariances[first + triangle(at) + at] += FLOOR;
        }
    }
    state
}

/// Computes each row's share of every component.
fn expect(rows: &[f64], width: usize, state: &State, shares: &mut [f64]) -> Result<(), ModelError> {
    let components = state.log_weights.len();
    let mut inverses = Vec::with_capacity(components);
    for component in 0..components {
        let packed = &state.covariances[component * triangle(width)..][..triangle(width)];
        let mut lower = vec![0.0; width * width];
        for row in 0..width {
            lower[row * width..][..=row].copy_from_slice(&packed[triangle(row)..][..=row]);
        }
        factorise(&mut lower, width).ok_or(ModelError::NotFinite)?;
        let log_determinant: f64 = (0..width).map(|at| lower[at * width + at].ln()).sum();
        inverses.push((lower, state.log_weights[component] - log_determinant));
    }
    let one = |(rows, shares): (&[f64], &mut [f64])| {
        let (mut rest, mut white) = (vec![0.0; width], vec![0.0; width]);
        for (row, shares) in rows.chunks_exact(width).zip(shares.chunks_exact_mut(components)) {
            for (component, (lower, constant)) in inverses.iter().enumerate() {
                let mean = &state.means[component * width..][..width];
                rest.iter_mut().zip(row.iter().zip(mean)).for_each(|(rest, (value, mean))| *rest = value - mean);
                let mut squares = 0.0;
                for at in 0..width {
                    let line = &lower[at * width..][..=at];
                    white[at] = (rest[at] - dot(&line[..at], &white[..at])) / line[at];
                    squares += white[at] * white[at];
                }
                shares[component] = constant - 0.5 * squares;
            }
            let most = shares.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let mut total = 0.0;
            for share in shares.iter_mut() {
                *share = (*share - most).exp();
                total += *share;
            }
            for share in shares.iter_mut() {
                *share /= total;
            }
        }
    };
    rows.par_chunks(CHUNK * width).zip(shares.par_chunks_mut(CHUNK * components)).for_each(one);
    Ok(())
}

/// Returns each row's cluster: k-means from distant random starts.
fn k_means(rows: &[f64], width: usize, clusters: usize, rng: &mut ChaCha8Rng) -> Vec<usize> {
    let count = rows.len() / width;
    let row = |at: usize| &rows[at * width..][..width];
    let apart = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f64>();
    let mut centres: Vec<f64> = row(rng.random_range(0..count)).to_vec();
    let mut nearest = vec![f64::INFINITY; count];
    while centres.len() < clusters * width {
        let last = &centres[centres.len() - width..];
        nearest.par_iter_mut().enumerate().for_each(|(at, nearest)| *nearest = nearest.min(apart(row(at), last)));
        let total: f64 = nearest.iter().sum();
        let mut left = rng.random_range(0.0..1.0) * total;
        let drawn = nearest.iter().position(|distance| {
            left -= distance;
            left <= 0.0
        });
        centres.extend_from_slice(row(drawn.unwrap_or(count - 1)));
    }
    let mut labels = vec![0; count];
    for _ in 0..START_ROUNDS {
        labels.par_iter_mut().enumerate().for_each(|(at, label)| {
            let distances = centres.chunks_exact(width).map(|centre| apart(row(at), centre));
            *label = distances.enumerate().min_by(|a, b| a.1.total_cmp(&b.1)).map_or(0, |(cluster, _)| cluster);
        });
        let mut sums = vec![0.0; clusters * width];
        let mut sizes = vec![0.0; clusters];
        for (at, &label) in labels.iter().enumerate() {
            sizes[label] += 1.0;
            sums[label * width..][..width].iter_mut().zip(row(at)).for_each(|(sum, value)| *sum += value);
        }
        for (cluster, size) in sizes.iter().enumerate().filter(|(_, size)| **size > 0.0) {
            for at in cluster * width..(cluster + 1) * width {
                centres[at] = sums[at] / size;
            }
        }
    }
    labels
}

#[cfg(test)]
mod tests {
    use rayon::ThreadPoolBuilder;

    use super::*;

    /// Two kinds of rows: around (0, 0) with equal numbers, around (6, 2) with opposite ones.
    fn rows() -> Vec<f64> {
        let mut rng = generator(4, "rows");
        let mut normal = || (0..12).map(|_| rng.random_range(0.0..1.0)).sum::<f64>() - 6.0;
        let mut rows = Vec::new();
        for at in 0..1_200 {
            let (shared, own) = (normal(), 0.3 * normal());
            if at % 3 == 0 {
                rows.extend([6.0 + shared, 2.0 - shared + own]);
            } else {
                rows.extend([shared, shared + own]);
            }
        }
        rows
    }

    const SETTINGS: MixtureSettings = MixtureSettings { components: 2, rounds: 20, prior_genes: 5.0, seed: 1 };

    #[test]
    fn two_kinds_are_told_apart_and_each_fills_in_its_own_way() {
        let mixture = fit_mixture(&rows(), 2, &SETTINGS).unwrap();
        let fill = |known: f32| mixture.posterior(&[known, f32::NAN], 0.0).unwrap().mean[1];
        assert!((fill(1.0) - 1.0).abs() < 0.15, "{}", fill(1.0));
        assert!((fill(7.0) - 1.0).abs() < 0.25, "{}", fill(7.0));
        assert!((fill(8.0) - fill(6.5) + 1.5).abs() < 0.3, "opposite numbers");
    }

    #[test]
    fn the_number_of_threads_and_a_second_run_change_nothing() {
        let run = |threads: usize| {
            let pool = ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| fit_mixture(&rows(), 2, &SETTINGS).unwrap())
        };
        assert_eq!(run(1), run(3));
    }

    #[test]
    fn few_rows_get_one_component() {
        let mixture = fit_mixture(&rows()[..100], 2, &SETTINGS).unwrap();
        assert_eq!(mixture.tensors()[0].1, [1]);
    }
}
