//! The measured genes around a place of the genome.
//!
//! Imports `genome` and its parent only. Invariant: only genes whose profile is complete and not flat are returned
//! ([`Reference::has_shape`]), never the gene that is asked about, and the answer depends on places alone: no profile
//! is read after the index is built.

use std::collections::BTreeMap;
use std::iter::Peekable;

use serde::{Deserialize, Serialize};

use super::{GeneIndex, Reference};
use crate::genome::{Chromosome, Locus, Position, Strand};

/// How two neighbouring genes are turned to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Orientation {
    /// Both on one strand.
    Tandem,
    /// Starts towards each other: the left gene on −, the right one on +.
    Divergent,
    /// Ends towards each other: the left gene on +, the right one on −.
    Convergent,
}

impl Orientation {
    /// Returns how a gene on `own` is turned to one on `other` whose start lies `distance_bp` to the right (negative:
    /// to the left); two opposite genes that start at one base are divergent.
    #[must_use]
    pub fn between(own: Strand, other: Strand, distance_bp: i64) -> Self {
        if own == other {
            return Self::Tandem;
        }
        let left = if distance_bp > 0 { own } else { other };
        if distance_bp == 0 || left == Strand::Reverse { Self::Divergent } else { Self::Convergent }
    }
}

/// A reference gene that a prediction used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Neighbour {
    /// Its index in the reference.
    pub gene: GeneIndex,
    /// Base pairs from the target's transcription start to its own: negative where it lies to the left.
    pub distance_bp: i64,
    /// How the two are turned to each other.
    pub orientation: Orientation,
}

/// The measured genes on either side of a place, nearest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Flanks {
    /// Those that start at or left of the place.
    pub left: Vec<Neighbour>,
    /// Those that start right of the place.
    pub right: Vec<Neighbour>,
}

impl Flanks {
    /// Returns both sides as one list, nearest first; of two at one distance the left one.
    #[must_use]
    pub fn by_distance(&self) -> Vec<Neighbour> {
        merge(self.left.iter().copied(), self.right.iter().copied()).collect()
    }
}

/// An index of the measured genes of a reference by place.
#[derive(Debug, Clone, Default)]
pub struct Vicinity {
    /// Measured genes, by transcription start and gene index.
    measured: BTreeMap<Chromosome, Vec<Place>>,
    /// Transcription starts of every placed gene, measured or not, ascending.
    starts: BTreeMap<Chromosome, Vec<Position>>,
    genes: usize,
}

#[derive(Debug, Clone, Copy)]
struct Place {
    tss: Position,
    gene: GeneIndex,
    strand: Strand,
}

impl Vicinity {
    /// Builds the index from the genes with a place and a shape.
    #[must_use]
    pub fn new(reference: &Reference) -> Self {
        let mut index = Self::default();
        for (gene, entry) in reference.genes().iter().enumerate() {
            let Some(locus) = &entry.locus else { continue };
            index.starts.entry(locus.chromosome.clone()).or_default().push(locus.tss);
            if reference.has_shape(gene) {
                let place = Place { tss: locus.tss, gene, strand: locus.strand };
                index.measured.entry(locus.chromosome.clone()).or_default().push(place);
                index.genes += 1;
            }
        }
        index.measured.values_mut().for_each(|places| places.sort_by_key(|place| (place.tss, place.gene)));
        index.starts.values_mut().for_each(|starts| starts.sort());
        index
    }

    /// Returns how many measured genes there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.genes
    }

    /// Returns whether there is no measured gene at all.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.genes == 0
    }

    /// Returns the measured genes, by chromosome and transcription start.
    pub fn genes(&self) -> impl Iterator<Item = GeneIndex> {
        self.measured.values().flatten().map(|place| place.gene)
    }

    /// Returns up to `count` measured genes of the place's chromosome by distance of transcription starts, without
    /// `own`; of two at one distance the left one comes first. Fewer, or none, where the chromosome has no more.
    #[must_use]
    pub fn nearest(&self, locus: &Locus, own: Option<GeneIndex>, count: usize) -> Vec<Neighbour> {
        let (left, right) = self.sides(locus, own);
        merge(left, right).take(count).collect()
    }

    /// Returns up to `left` and `right` measured genes on either side of the place, without `own`.
    #[must_use]
    pub fn flanking(&self, locus: &Locus, own: Option<GeneIndex>, left: usize, right: usize) -> Flanks {
        let (to_left, to_right) = self.sides(locus, own);
        Flanks { left: to_left.take(left).collect(), right: to_right.take(right).collect() }
    }

    /// Returns how many other genes, measured or not, start within `window_bp` of the place; `own` says whether the
    /// place is a gene of the dataset, which is then not counted.
    #[must_use]
    pub fn density(&self, locus: &Locus, own: Option<GeneIndex>, window_bp: u32) -> usize {
        let Some(starts) = self.starts.get(&locus.chromosome) else { return 0 };
        let low = starts.partition_point(|tss| locus.tss.distance_to(*tss) < -i64::from(window_bp));
        let high = starts.partition_point(|tss| locus.tss.distance_to(*tss) <= i64::from(window_bp));
        (high - low).saturating_sub(usize::from(own.is_some()))
    }

    fn sides(
        &self,
        locus: &Locus,
        own: Option<GeneIndex>,
    ) -> (impl Iterator<Item = Neighbour>, impl Iterator<Item = Neighbour>) {
        let places = self.measured.get(&locus.chromosome).map_or(&[][..], Vec::as_slice);
        let (left, right) = places.split_at(places.partition_point(|place| place.tss <= locus.tss));
        let (tss, strand) = (locus.tss, locus.strand);
        let neighbour = move |place: &Place| {
            let distance_bp = tss.distance_to(place.tss);
            let orientation = Orientation::between(strand, place.strand, distance_bp);
            Neighbour { gene: place.gene, distance_bp, orientation }
        };
        let other = move |place: &&Place| Some(place.gene) != own;
        (left.iter().rev().filter(other).map(neighbour), right.iter().filter(other).map(neighbour))
    }
}

/// Merges two lists that are each nearest first.
fn merge(
    left: impl Iterator<Item = Neighbour>,
    right: impl Iterator<Item = Neighbour>,
) -> impl Iterator<Item = Neighbour> {
    let (mut left, mut right) = (left.peekable(), right.peekable());
    let distance = |side: Option<&Neighbour>| side.map_or(u64::MAX, |neighbour| neighbour.distance_bp.unsigned_abs());
    std::iter::from_fn(move || {
        if distance(Peekable::peek(&mut left)) <= distance(Peekable::peek(&mut right)) {
            left.next()
        } else {
            right.next()
        }
    })
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::genome::Tissue;
    use crate::reference::tests::{dataset, record};

    fn reference(genes: &[(u32, Strand, bool)]) -> Reference {
        let records = genes.iter().enumerate().map(|(at, &(start, strand, measured))| {
            let values: &[f32] = if measured { &[1.0, 2.0] } else { &[1.0, f32::NAN] };
            record(&format!("g{at}"), Some(("1", start, start, strand)), Some(values))
        });
        let other = record("far", Some(("2", 5, 9, Strand::Forward)), Some(&[3.0, 4.0]));
        let tissues = vec![Tissue::from_name("Liver"), Tissue::from_name("Lung")];
        Reference::new(dataset(), tissues, records.chain([other]).collect())
    }

    fn locus(chromosome: &str, start: u32) -> Locus {
        let at = Position::new(start).unwrap();
        Locus::new(Chromosome::parse(chromosome).unwrap(), at, at, Strand::Forward)
    }

    #[test]
    fn orientation_follows_strands_and_order() {
        use Orientation::{Convergent, Divergent, Tandem};
        use Strand::{Forward, Reverse};
        for (own, other, distance, expected) in [
            (Forward, Forward, 10, Tandem),
            (Reverse, Reverse, -10, Tandem),
            (Forward, Reverse, -10, Divergent),
            (Forward, Reverse, 10, Convergent),
            (Reverse, Forward, 10, Divergent),
            (Reverse, Forward, -10, Convergent),
            (Reverse, Forward, 0, Divergent),
            (Forward, Reverse, 0, Divergent),
        ] {
            assert_eq!(Orientation::between(own, other, distance), expected, "{own:?} {other:?} {distance}");
        }
    }

    #[test]
    fn nearest_is_what_a_plain_sort_finds() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        for _ in 0..40 {
            let genes: Vec<_> = (0..rng.random_range(1..12))
                .map(|_| (rng.random_range(1..40), Strand::Forward, rng.random_bool(0.7)))
                .collect();
            let reference = reference(&genes);
            let vicinity = Vicinity::new(&reference);
            for own in [None, Some(0), Some(genes.len() / 2)] {
                let place = own.map_or_else(|| locus("1", 20), |gene| reference.gene(gene).locus.clone().unwrap());
                let mut plain: Vec<i64> = reference.genes()[..genes.len()]
                    .iter()
                    .enumerate()
                    .filter(|(gene, _)| Some(*gene) != own && reference.has_shape(*gene))
                    .map(|(_, gene)| place.tss.distance_to(gene.locus.as_ref().unwrap().tss))
                    .collect();
                plain.sort_by_key(|distance| (distance.abs(), *distance));
                let found = vicinity.nearest(&place, own, 4);
                let distances: Vec<_> = found.iter().map(|neighbour| neighbour.distance_bp).collect();
                assert_eq!(distances, plain[..plain.len().min(4)]);
                let flanks = vicinity.flanking(&place, own, 20, 20);
                assert_eq!(flanks.by_distance().iter().map(|n| n.distance_bp).collect::<Vec<_>>(), plain);
                assert!(
                    flanks.left.iter().all(|n| n.distance_bp <= 0) && flanks.right.iter().all(|n| n.distance_bp > 0)
                );
            }
        }
    }

    #[test]
    fn another_chromosome_has_no_neighbour() {
        let vicinity = Vicinity::new(&reference(&[(5, Strand::Forward, true)]));
        assert!(vicinity.nearest(&locus("3", 5), None, 5).is_empty());
        assert_eq!(vicinity.len(), 2);
    }

    #[test]
    fn density_counts_all_genes_but_not_the_own_one() {
        let reference =
            reference(&[(10, Strand::Forward, true), (15, Strand::Forward, false), (30, Strand::Reverse, true)]);
        let vicinity = Vicinity::new(&reference);
        assert_eq!(vicinity.density(&locus("1", 10), None, 5), 2);
        assert_eq!(vicinity.density(&locus("1", 10), Some(0), 5), 1);
        assert_eq!(vicinity.density(&locus("1", 10), Some(0), 20), 2);
    }
}
