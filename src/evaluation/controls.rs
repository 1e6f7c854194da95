//! Negative controls: references in which promoters or profiles belong to other genes.
//!
//! What a method loses under a control is what it truly drew from that input. The truth always comes from the
//! reference as it was measured. Imports `reference`.

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::reference::{GeneIndex, GeneRecord, Reference};

/// What a control takes away from a method.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Control {
    /// Every gene with a promoter has that of a random other one.
    ShuffledPromoters,
    /// Every measured neighbour has the profile of a random other one.
    ShuffledReferences,
    /// The tissues that are known of a gene have the values of a random other scored gene.
    ShuffledOwnTissues,
}

impl Control {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::ShuffledPromoters, Self::ShuffledReferences, Self::ShuffledOwnTissues];

    /// Those that change the reference: they say something of every method.
    pub const OF_REFERENCE: [Self; 2] = [Self::ShuffledPromoters, Self::ShuffledReferences];

    /// Returns the control's name for tables.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ShuffledPromoters => "shuffled promoters",
            Self::ShuffledReferences => "shuffled references",
            Self::ShuffledOwnTissues => "shuffled own tissues",
        }
    }

    /// Returns the reference as a method sees it under the control; genes, places and indices stay as they are.
    ///
    /// Profiles are shuffled among the genes that serve as neighbours ([`Reference::has_shape`]), so that the same
    /// genes are found nearby; holes stay where they are. `None` where the reference stays as it is.
    #[must_use]
    pub fn apply(self, reference: &Reference, seed: u64) -> Option<Reference> {
        let all = 0..reference.genes().len();
        let eligible: Vec<GeneIndex> = match self {
            Self::ShuffledPromoters => all.clone().filter(|&gene| reference.promoter(gene).is_some()).collect(),
            Self::ShuffledReferences => all.clone().filter(|&gene| reference.has_shape(gene)).collect(),
            Self::ShuffledOwnTissues => return None,
        };
        let mut source: Vec<GeneIndex> = all.clone().collect();
        for (gene, from) in eligible.iter().zip(deranged(&eligible, seed)) {
            source[*gene] = from;
        }
        let record = |gene: GeneIndex| {
            let (profile, promoter) = match self {
                Self::ShuffledPromoters => (gene, source[gene]),
                Self::ShuffledReferences | Self::ShuffledOwnTissues => (source[gene], gene),
            };
            GeneRecord {
                gene: reference.gene(gene).clone(),
                expression: Some(reference.expression(profile).to_vec()),
                promoter: reference.promoter(promoter).cloned(),
            }
        };
        let records = all.map(record).collect();
        Some(Reference::new(reference.dataset().clone(), reference.tissues().to_vec(), records))
    }
}

/// Deals the genes so that none gets itself: each gets the next one of a random circle.
pub(super) fn deranged(genes: &[GeneIndex], seed: u64) -> Vec<GeneIndex> {
    let mut circle: Vec<usize> = (0..genes.len()).collect();
    circle.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
    let mut dealt = genes.to_vec();
    for (place, at) in circle.iter().enumerate() {
        dealt[*at] = genes[circle[(place + 1) % circle.len()]];
    }
    dealt
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::genome::{Promoter, Strand, Tissue};
    use crate::reference::tests::{dataset, record};

    fn reference() -> Reference {
        let records = (0..8u8).map(|at| {
            let start = u32::from(at) * 100 + 1;
            let profile = [f32::from(at), if at == 3 { f32::NAN } else { 100.0 }];
            let mut record = record(&format!("g{at}"), Some(("1", start, start + 9, Strand::Forward)), Some(&profile));
            record.promoter = (at != 5).then(|| Promoter::parse(&[b"ACGT"[usize::from(at % 4)]; 7]).unwrap());
            record
        });
        Reference::new(dataset(), ["Liver", "Lung"].map(Tissue::from_name).to_vec(), records.collect())
    }

    #[test]
    fn promoters_move_and_profiles_stay() {
        let (before, after) = (reference(), Control::ShuffledPromoters.apply(&reference(), 4).unwrap());
        let promoters = |reference: &Reference| {
            let mut all: Vec<_> = (0..8).map(|gene| reference.promoter(gene).map(|p| p.bases().to_vec())).collect();
            assert!(all[5].is_none(), "a gene without a promoter stays without");
            all.sort();
            all
        };
        assert_eq!(promoters(&before), promoters(&after));
        assert!((0..8).any(|gene| before.promoter(gene) != after.promoter(gene)));
        let bits =
            |reference: &Reference, gene| reference.expression(gene).iter().map(|v| v.to_bits()).collect::<Vec<_>>();
        assert!((0..8).all(|gene| bits(&before, gene) == bits(&after, gene)));
    }

    #[test]
    fn profiles_move_to_other_genes_and_holes_stay() {
        let (before, after) = (reference(), Control::ShuffledReferences.apply(&reference(), 4).unwrap());
        for gene in (0..8).filter(|gene| *gene != 3) {
            assert!(
                (before.expression(gene)[0] - after.expression(gene)[0]).abs() > 0.5,
                "gene {gene} kept its profile"
            );
            assert_eq!(before.promoter(gene), after.promoter(gene));
        }
        assert!(after.expression(3)[1].is_nan());
    }
}
