//! The minimal vicinity cover: which genes serve as reference genes so that every gene has one nearby.
//!
//! The published split of genes into reference and test genes (Dong, Brown and Truong, Bioinformatics Advances 2025,
//! vbaf163), written from its description. A gene's vicinity is the genes that follow it in genome order, outward on
//! either side until the first whose gap to it exceeds the threshold. The cover is the smallest set of genes whose
//! vicinities hold every gene; among the smallest the one with the smallest sum of mean distances from a reference to
//! the other genes of its vicinity (0 where bodies overlap). Imports `genome` and its parent.

use std::collections::BTreeMap;

use super::{GeneIndex, Reference};
use crate::genome::{Chromosome, Locus};

/// A minimal vicinity cover; see the module's text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cover {
    /// The largest gap between a gene and its reference, in base pairs.
    pub threshold_bp: u32,
    /// The reference genes, in genome order.
    pub references: Vec<GeneIndex>,
    /// All other genes, in genome order: the test genes.
    pub members: Vec<Member>,
}

/// A test gene and its nearest reference gene.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member {
    /// The test gene.
    pub gene: GeneIndex,
    /// Its nearest reference gene by gap; of two at one gap the nearer in genome order, then the left one.
    pub reference: GeneIndex,
    /// Base pairs between the two bodies, 0 where they overlap.
    pub gap_bp: u64,
}

impl Cover {
    /// Computes the cover of the given genes, each chromosome by itself; genes without a place are left out.
    #[must_use]
    pub fn minimal(reference: &Reference, genes: &[GeneIndex], threshold_bp: u32) -> Self {
        let mut chromosomes: BTreeMap<&Chromosome, Vec<(GeneIndex, &Locus)>> = BTreeMap::new();
        for &gene in genes {
            if let Some(locus) = &reference.gene(gene).locus {
                chromosomes.entry(&locus.chromosome).or_default().push((gene, locus));
            }
        }
        let mut cover = Self { threshold_bp, references: Vec::new(), members: Vec::new() };
        for mut genes in chromosomes.into_values() {
            // The reference keeps genes in genome order, so that the index is the order.
            genes.sort_by_key(|(gene, _)| *gene);
            genes.dedup_by_key(|(gene, _)| *gene);
            let loci: Vec<&Locus> = genes.iter().map(|(_, locus)| *locus).collect();
            let chosen = smallest(&vicinities(&loci, threshold_bp));
            cover.references.extend(chosen.iter().map(|&at| genes[at].0));
            for at in (0..genes.len()).filter(|at| chosen.binary_search(at).is_err()) {
                let nearest = chosen.iter().min_by_key(|&&r| (gap(loci[r], loci[at]), r.abs_diff(at), r));
                let Some(&nearest) = nearest else { continue };
                let gap_bp = gap(loci[nearest], loci[at]);
                cover.members.push(Member { gene: genes[at].0, reference: genes[nearest].0, gap_bp });
            }
        }
        cover
    }
}

/// The first and last gene of a vicinity and the mean distance of its other genes.
#[derive(Debug, Clone, Copy)]
struct Span {
    first: usize,
    last: usize,
    mean_distance: f64,
}

fn gap(a: &Locus, b: &Locus) -> u64 {
    a.gap_to(b).unsigned_abs()
}

fn vicinities(loci: &[&Locus], threshold_bp: u32) -> Vec<Span> {
    let within = |a: usize, b: usize| gap(loci[a], loci[b]) <= u64::from(threshold_bp);
    let span = |at: usize| {
        let first = (0..at).rev().take_while(|&other| within(at, other)).last().unwrap_or(at);
        let last = (at + 1..loci.len()).take_while(|&other| within(at, other)).last().unwrap_or(at);
        let total: u64 = (first..=last).map(|other| gap(loci[at], loci[other])).sum();
        Span { first, last, mean_distance: total as f64 / (last - first).max(1) as f64 }
    };
    (0..loci.len()).map(span).collect()
}

/// The best way to cover the first genes of a chromosome.
#[derive(Debug, Clone, Copy)]
struct Step {
    references: usize,
    distance: f64,
    /// The reference that was added last and how many genes were covered before it.
    from: Option<(usize, usize)>,
}

/// Finds the smallest set of spans that covers every place: the shortest path over "the first `n` are covered".
fn smallest(spans: &[Span]) -> Vec<usize> {
    let n = spans.len();
    let mut holding: Vec<Vec<usize>> = vec![Vec::new(); n];
    for (at, span) in spans.iter().enumerate() {
        holding[span.first..=span.last].iter_mut().for_each(|list| list.push(at));
    }
    let mut best: Vec<Option<Step>> = vec![None; n + 1];
    best[0] = Some(Step { references: 0, distance: 0.0, from: None });
    for covered in 0..n {
        let Some(step) = best[covered] else { continue };
        for &at in &holding[covered] {
            let next = Step {
                references: step.references + 1,
                distance: step.distance + spans[at].mean_distance,
                from: Some((at, covered)),
            };
            let old = &mut best[spans[at].last + 1];
            let better = old.is_none_or(|old| (next.references, next.distance) < (old.references, old.distance));
            if better {
                *old = Some(next);
            }
        }
    }
    let mut chosen = Vec::new();
    let mut covered = n;
    while let Some((at, before)) = best[covered].and_then(|step| step.from) {
        chosen.push(at);
        covered = before;
    }
    chosen.sort_unstable();
    chosen
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::genome::{Strand, Tissue};
    use crate::reference::tests::{dataset, record};

    fn reference(bodies: &[(u32, u32)]) -> Reference {
        let record = |(at, &(start, end)): (usize, &(u32, u32))| {
            record(&format!("g{at:02}"), Some(("1", start, end, Strand::Forward)), Some(&[1.0]))
        };
        Reference::new(dataset(), vec![Tissue::from_name("Liver")], bodies.iter().enumerate().map(record).collect())
    }

    /// Tries every set of references: the smallest number and, for it, the smallest sum of mean distances.
    fn brute_force(spans: &[Span]) -> (u32, f64) {
        let covers = |set: u32| {
            (0..spans.len()).all(|gene| {
                (0..spans.len()).any(|at| set >> at & 1 == 1 && (spans[at].first..=spans[at].last).contains(&gene))
            })
        };
        let distance =
            |set: u32| (0..spans.len()).filter(|at| set >> at & 1 == 1).map(|at| spans[at].mean_distance).sum();
        (1u32..1 << spans.len())
            .filter(|set| covers(*set))
            .map(|set| (set.count_ones(), distance(set)))
            .min_by(|a: &(u32, f64), b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)))
            .unwrap()
    }

    #[test]
    fn covers_are_as_small_and_near_as_trying_all_finds() {
        let mut rng = ChaCha8Rng::seed_from_u64(11);
        for _ in 0..60 {
            let bodies: Vec<_> = (0..rng.random_range(1..9))
                .map(|_| {
                    let start = rng.random_range(1..200);
                    (start, start + rng.random_range(0..40))
                })
                .collect();
            let reference = reference(&bodies);
            let threshold = rng.random_range(0..40);
            let genes: Vec<_> = (0..bodies.len()).collect();
            let loci: Vec<_> = genes.iter().map(|&gene| reference.gene(gene).locus.as_ref().unwrap()).collect();
            let spans = vicinities(&loci, threshold);
            let cover = Cover::minimal(&reference, &genes, threshold);
            let distance: f64 = cover.references.iter().map(|&at| spans[at].mean_distance).sum();
            let (count, least) = brute_force(&spans);
            assert_eq!(cover.references.len(), count as usize);
            assert!((distance - least).abs() < 1e-9, "{distance} {least}");
            assert_eq!(cover.references.len() + cover.members.len(), bodies.len());
            assert!(cover.members.iter().all(|member| member.gap_bp <= u64::from(threshold)));
        }
    }

    #[test]
    fn scanning_stops_at_the_first_miss() {
        // The long gene overlaps the last one, but the short gene between them is out of reach of the last.
        let reference = reference(&[(1, 1000), (5, 10), (900, 950)]);
        let loci: Vec<_> = reference.genes().iter().map(|gene| gene.locus.as_ref().unwrap()).collect();
        let spans = vicinities(&loci, 20);
        assert_eq!((spans[2].first, spans[2].last), (2, 2));
        assert_eq!((spans[0].first, spans[0].last), (0, 2));
        assert_eq!(Cover::minimal(&reference, &[0, 1, 2], 20).references, [0]);
    }

    #[test]
    fn a_test_gene_gets_the_reference_with_the_smallest_gap() {
        let reference = reference(&[(1, 10), (30, 40), (45, 50), (52, 60), (90, 99)]);
        let cover = Cover::minimal(&reference, &[0, 1, 2, 3, 4], 20);
        assert_eq!(cover.references, [1, 4]);
        let pairs: Vec<_> = cover.members.iter().map(|m| (m.gene, m.reference, m.gap_bp)).collect();
        assert_eq!(pairs, [(0, 1, 20), (2, 1, 5), (3, 1, 12)]);
    }
}
