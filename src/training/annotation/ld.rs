//! LD scores in the cohort: how much of its surroundings a variant stands for.
//!
//! The score of variant j is Σ r²ⱼₖ over the variants k within a distance, j itself among them, each r² without its
//! expected excess in n people: r² − (1 − r²)/(n − 2) (Bulik-Sullivan et al., 2015). Imports `genome` and the cohort.
//! Invariant: every pair is one product of a block, and blocks are summed in their order, so that the scores do not
//! depend on the number of threads.

use std::ops::Range;

use nalgebra::DMatrix;
use rayon::prelude::*;

use crate::training::cohort::{Cohort, CohortVariant};

/// Variants of a block: large enough for the product's kernels, small enough to keep the overhang short.
const BLOCK: usize = 192;

/// Returns the LD score of every variant of the cohort within `reach_bp`.
pub(super) fn scores(cohort: &Cohort, reach_bp: u32) -> Vec<f32> {
    let count = cohort.variants.len();
    let blocks: Vec<Range<usize>> = (0..count).step_by(BLOCK).map(|at| at..(at + BLOCK).min(count)).collect();
    let reach = first_in_reach(cohort, reach_bp);
    let mut scores = vec![0.0_f64; count];
    // A group at a time: its parts wait for their turn in memory.
    for group in blocks.chunks(64) {
        let parts: Vec<Vec<f64>> = group.par_iter().map(|block| block_scores(cohort, block.clone(), &reach)).collect();
        for (block, part) in group.iter().zip(parts) {
            scores[block.start..].iter_mut().zip(part).for_each(|(score, more)| *score += more);
        }
    }
    scores.into_iter().map(|score| score as f32).collect()
}

/// The first variant within reach of each.
fn first_in_reach(cohort: &Cohort, reach_bp: u32) -> Vec<usize> {
    let variants = &cohort.variants;
    let mut first = 0;
    let mut reach = Vec::with_capacity(variants.len());
    for variant in variants {
        let near = |other: &CohortVariant| {
            other.chromosome == variant.chromosome && variant.position.get() - other.position.get() <= reach_bp
        };
        while !near(&variants[first]) {
            first += 1;
        }
        reach.push(first);
    }
    reach
}

/// What the pairs of a block's variants with themselves and later ones add, from the block's first variant on.
fn block_scores(cohort: &Cohort, block: Range<usize>, reach: &[usize]) -> Vec<f64> {
    let people = cohort.people.len();
    let adjusted = |r: f32| {
        let squared = f64::from(r * r).min(1.0);
        squared - (1.0 - squared) / (people as f64 - 2.0).max(1.0)
    };
    let mut end = block.end;
    while end < reach.len() && reach[end] < block.end {
        end += 1;
    }
    let mut scores = vec![0.0; end - block.start];
    let left = standardised(cohort, block.clone()).transpose();
    for start in (block.start..end).step_by(BLOCK) {
        let partners = start..(start + BLOCK).min(end);
        let products = &left * standardised(cohort, partners.clone());
        for (column, to) in partners.enumerate() {
            for from in reach[to].max(block.start)..to.min(block.end) {
                let shared = adjusted(products[(from - block.start, column)]);
                scores[from - block.start] += shared;
                scores[to - block.start] += shared;
            }
            if block.contains(&to) {
                scores[to - block.start] += 1.0;
            }
        }
    }
    scores
}

/// Dosages with mean 0 and length 1, a column a variant.
fn standardised(cohort: &Cohort, variants: Range<usize>) -> DMatrix<f32> {
    let people = cohort.people.len();
    let count = variants.len();
    let mut columns = cohort.dosages(variants);
    for column in columns.chunks_mut(people.max(1)) {
        let mean = column.iter().sum::<f32>() / people as f32;
        for value in column.iter_mut() {
            *value -= mean;
        }
        let length = column.iter().map(|value| value * value).sum::<f32>().sqrt();
        if length > 0.0 {
            for value in column.iter_mut() {
                *value /= length;
            }
        }
    }
    DMatrix::from_vec(people, count, columns)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::training::cohort::simulated::simulate;

    #[test]
    fn scores_are_the_sums_over_all_pairs_in_reach() {
        let cohort = simulate(4, 130, 50, 0.2, 3);
        let reach = 60_000;
        let found = scores(&cohort, reach);
        let columns = standardised(&cohort, 0..cohort.variants.len());
        for at in (0..cohort.variants.len()).step_by(7) {
            let mut expected = 0.0;
            for other in 0..cohort.variants.len() {
                let (a, b) = (&cohort.variants[at], &cohort.variants[other]);
                if a.chromosome != b.chromosome || a.position.get().abs_diff(b.position.get()) > reach {
                    continue;
                }
                let squared = f64::from(columns.column(at).dot(&columns.column(other))).powi(2).min(1.0);
                expected += squared - (1.0 - squared) / 48.0;
            }
            assert!((f64::from(found[at]) - expected).abs() < 1e-3, "{at}: {} is not {expected}", found[at]);
        }
    }
}
