//! What a model can read about a gene, as named blocks of numbers.
//!
//! A model's settings list its [`FeatureBlock`]s; ridge, boosted trees and the networks read the same ones. Imports
//! `genome`, `reference` and its parent. Invariants: columns come in the order of the blocks; NaN is a number that is
//! not known (an absent neighbour, a gene without promoter), never zero; the target's own profile is never read.

mod matrix;
mod presets;
mod promoter;
mod surroundings;

use std::ops::Range;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::Target;
use crate::genome::{Biotype, Tissue};
use crate::reference::Reference;
use crate::reference::vicinity::{Neighbour, Vicinity};
pub use matrix::Matrix;
use surroundings::Surroundings;

/// The classes that a biotype is told by; any other one is in the last.
const BIOTYPES: [&str; 4] = ["protein_coding", "lincRNA", "antisense", "other"];

/// How many classes a biotype is told by.
pub(super) const BIOTYPE_CLASSES: usize = BIOTYPES.len();

/// Returns a biotype's class, the last one for any that has none of its own; `None` where it is not known.
pub(super) fn biotype_class(biotype: Option<&Biotype>) -> Option<usize> {
    let name = biotype?.as_str();
    Some(BIOTYPES.iter().position(|known| *known == name).unwrap_or(BIOTYPES.len() - 1))
}

/// Measured genes on either side that kernels and densities look at.
pub const REACH: usize = 10;

/// Targets per unit of parallel work.
const CHUNK: usize = 16;

/// How a neighbour's profile is written into features.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProfileForm {
    /// log2(1 + x), brought to mean 0 and variance 1 over tissues.
    LogShape,
    /// The dataset's unit, brought to mean 0 and variance 1 over tissues.
    LinearShape,
    /// From 0 at the lowest to 1 at the highest tissue.
    MinMax,
    /// log2(1 + x).
    Log2,
}

/// Which neighbours an average is taken over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Subset {
    /// All of them.
    All,
    /// Protein-coding genes.
    ProteinCoding,
    /// Genes of another biotype.
    OtherBiotype,
    /// Genes on the target's strand.
    SameStrand,
    /// Genes on the other strand.
    OppositeStrand,
    /// Genes on the target's strand whose body overlaps its own.
    OverlapSameStrand,
    /// Genes on the other strand whose body overlaps its own.
    OverlapOppositeStrand,
    /// Genes that share a divergent promoter: opposite starts within 1,500 bp.
    DivergentPromoter,
}

/// A named group of features; `side` counts neighbours on either side, windows are base offsets in the promoter.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "block", rename_all = "snake_case")]
pub enum FeatureBlock {
    /// The gene's strand (+1, −1) and biotype class.
    Own,
    /// Gene density, a divergent partner, an overlapping gene, the neighbours' level, the gene's own length.
    Context,
    /// For each flanking gene whether it is there, its log distance, strand, orientation and biotype class.
    FlankContext {
        /// Neighbours on either side.
        side: usize,
    },
    /// For each flanking gene its profile.
    FlankProfiles {
        /// Neighbours on either side.
        side: usize,
        /// How profiles are written.
        form: ProfileForm,
    },
    /// The nearest gene's profile.
    NearestProfile {
        /// How the profile is written.
        form: ProfileForm,
    },
    /// Averages of the neighbours' profiles with weight exp(−distance ÷ bandwidth), shrunk to 0 where all are far.
    KernelProfiles {
        /// How profiles are written.
        form: ProfileForm,
        /// The neighbours that count.
        subset: Subset,
        /// One average a bandwidth.
        bandwidths_bp: Vec<u32>,
    },
    /// The plain average of some neighbours' profiles, shrunk to 0 where there are few.
    SubsetProfiles {
        /// How profiles are written.
        form: ProfileForm,
        /// The neighbours that count.
        subset: Subset,
    },
    /// Whether a promoter is known (1 or 0).
    PromoterPresent,
    /// Square roots of the counts of k-mers, both strands taken together.
    PromoterKmers {
        /// Length of the words, 1 to 6.
        k: usize,
        /// First base and the base behind the last one; the whole promoter where it is left out.
        window: Option<[usize; 2]>,
    },
    /// Square roots of the counts of k-mers as they lie on the gene's own strand.
    StrandedKmers {
        /// Length of the words, 1 to 6.
        k: usize,
        /// First base and the base behind the last one.
        window: [usize; 2],
    },
    /// By bin: GC content, observed over expected `CpG`, `CpG` content, strand skew.
    PromoterComposition {
        /// Bases in a bin.
        bin: usize,
        /// How many bins.
        bins: usize,
    },
}

/// What is wrong with a list of blocks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FeatureError {
    /// The list is empty.
    #[error("a model needs at least one feature block")]
    Empty,
    /// A block's number is out of range.
    #[error("feature block {index} ({block}): {reason}")]
    Block {
        /// Its place in the list, from 0.
        index: usize,
        /// The block, as it is written in settings.
        block: String,
        /// What is allowed.
        reason: &'static str,
    },
}

/// A list of feature blocks: what a model reads, in order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<FeatureBlock>", into = "Vec<FeatureBlock>")]
pub struct Features {
    blocks: Vec<FeatureBlock>,
}

impl TryFrom<Vec<FeatureBlock>> for Features {
    type Error = FeatureError;

    fn try_from(blocks: Vec<FeatureBlock>) -> Result<Self, FeatureError> {
        Self::try_new(blocks)
    }
}

impl From<Features> for Vec<FeatureBlock> {
    fn from(features: Features) -> Self {
        features.blocks
    }
}

impl Features {
    /// Takes a list of blocks.
    ///
    /// # Errors
    /// The list is empty, or a block's number is out of range.
    pub fn try_new(blocks: Vec<FeatureBlock>) -> Result<Self, FeatureError> {
        if blocks.is_empty() {
            return Err(FeatureError::Empty);
        }
        for (index, block) in blocks.iter().enumerate() {
            if let Err(reason) = block.check() {
                return Err(FeatureError::Block { index, block: block.label(), reason });
            }
        }
        Ok(Self { blocks })
    }

    /// Returns the blocks in order.
    #[must_use]
    pub fn blocks(&self) -> &[FeatureBlock] {
        &self.blocks
    }

    /// Returns each block's label and columns, for a reference of so many tissues.
    #[must_use]
    pub fn spans(&self, tissues: usize) -> Vec<(String, Range<usize>)> {
        let mut start = 0;
        let span = |block: &FeatureBlock| {
            let columns = start..start + block.width(tissues);
            start = columns.end;
            (block.label(), columns)
        };
        self.blocks.iter().map(span).collect()
    }

    /// Returns the number of columns for a reference of so many tissues.
    #[must_use]
    pub fn width(&self, tissues: usize) -> usize {
        self.blocks.iter().map(|block| block.width(tissues)).sum()
    }

    /// Returns each column's name, `block:feature`, unique and stable.
    #[must_use]
    pub fn names(&self, tissues: &[Tissue]) -> Vec<String> {
        let named = |block: &FeatureBlock| {
            let label = block.label();
            block.names(tissues).into_iter().map(move |name| format!("{label}:{name}")).collect::<Vec<_>>()
        };
        self.blocks.iter().flat_map(named).collect()
    }

    /// Returns the reference genes that the features of a target are computed from, nearest first.
    #[must_use]
    pub fn references(&self, vicinity: &Vicinity, target: &Target) -> Vec<Neighbour> {
        let reach = self.blocks.iter().map(FeatureBlock::reach).max().unwrap_or(0);
        let nearest_only = self.blocks.iter().all(|block| matches!(block, FeatureBlock::NearestProfile { .. }));
        if nearest_only {
            vicinity.nearest(&target.locus, target.gene, 1)
        } else {
            vicinity.flanking(&target.locus, target.gene, reach, reach).by_distance()
        }
    }

    /// Computes the features: targets × [`Features::width`]; a row depends on its own target alone.
    #[must_use]
    pub fn matrix(&self, reference: &Reference, vicinity: &Vicinity, targets: &[Target]) -> Matrix {
        let tissues = reference.tissues().len();
        let columns = self.width(tissues);
        let mut values = vec![f32::NAN; targets.len() * columns];
        let fill = |(row, target): (&mut [f32], &Target)| {
            let surroundings = Surroundings::new(reference, vicinity, target);
            let mut rest = row;
            for block in &self.blocks {
                let (own, behind) = rest.split_at_mut(block.width(tissues));
                block.write(&surroundings, own);
                rest = behind;
            }
        };
        if columns > 0 {
            values
                .par_chunks_mut(columns * CHUNK)
                .zip(targets.par_chunks(CHUNK))
                .for_each(|(rows, targets)| rows.chunks_exact_mut(columns).zip(targets).for_each(fill));
        }
        Matrix { rows: targets.len(), columns, values }
    }
}

impl FeatureBlock {
    /// Returns the block's label: its kind and settings in one word.
    #[must_use]
    pub fn label(&self) -> String {
        match self {
            Self::Own => "own".to_owned(),
            Self::Context => "context".to_owned(),
            Self::FlankContext { side } => format!("flank_context_{side}"),
            Self::FlankProfiles { side, form } => format!("flank_profiles_{side}_{}", form.label()),
            Self::NearestProfile { form } => format!("nearest_profile_{}", form.label()),
            Self::KernelProfiles { form, subset, bandwidths_bp } => {
                let bandwidths: Vec<_> = bandwidths_bp.iter().map(u32::to_string).collect();
                format!("kernel_profiles_{}_{}_{}", form.label(), subset.label(), bandwidths.join("_"))
            }
            Self::SubsetProfiles { form, subset } => format!("subset_profiles_{}_{}", form.label(), subset.label()),
            Self::PromoterPresent => "promoter_present".to_owned(),
            Self::PromoterKmers { k, window: None } => format!("promoter_{k}mers"),
            Self::PromoterKmers { k, window: Some([start, end]) } => format!("promoter_{k}mers_{start}_{end}"),
            Self::StrandedKmers { k, window: [start, end] } => format!("stranded_{k}mers_{start}_{end}"),
            Self::PromoterComposition { bin, bins } => format!("promoter_composition_{bin}_{bins}"),
        }
    }

    /// Returns whether the block is made from sequence.
    #[must_use]
    pub const fn is_sequence(&self) -> bool {
        matches!(
            self,
            Self::PromoterPresent
                | Self::PromoterKmers { .. }
                | Self::StrandedKmers { .. }
                | Self::PromoterComposition { .. }
        )
    }

    /// Returns whether the block is made from neighbours' profiles.
    #[must_use]
    pub const fn is_profiles(&self) -> bool {
        matches!(
            self,
            Self::FlankProfiles { .. }
                | Self::NearestProfile { .. }
                | Self::KernelProfiles { .. }
                | Self::SubsetProfiles { .. }
        )
    }

    /// Returns how many columns the block has for a reference of so many tissues.
    #[must_use]
    pub fn width(&self, tissues: usize) -> usize {
        match self {
            Self::Own => 1 + BIOTYPES.len(),
            Self::Context => surroundings::CONTEXT.len(),
            Self::FlankContext { side } => 2 * side * surroundings::slot_names().len(),
            Self::FlankProfiles { side, .. } => 2 * side * tissues,
            Self::NearestProfile { .. } | Self::SubsetProfiles { .. } => tissues,
            Self::KernelProfiles { bandwidths_bp, .. } => bandwidths_bp.len() * tissues,
            Self::PromoterPresent => 1,
            Self::PromoterKmers { k, .. } => promoter::words(*k),
            Self::StrandedKmers { k, .. } => 1 << (2 * k),
            Self::PromoterComposition { bins, .. } => bins * promoter::COMPOSITION.len(),
        }
    }

    /// Returns how many measured genes on either side the block reads.
    const fn reach(&self) -> usize {
        match self {
            Self::Own
            | Self::PromoterPresent
            | Self::PromoterKmers { .. }
            | Self::StrandedKmers { .. }
            | Self::PromoterComposition { .. } => 0,
            Self::FlankContext { side } | Self::FlankProfiles { side, .. } => *side,
            Self::NearestProfile { .. } => 1,
            Self::Context | Self::KernelProfiles { .. } | Self::SubsetProfiles { .. } => REACH,
        }
    }

    fn check(&self) -> Result<(), &'static str> {
        match self {
            Self::FlankContext { side } | Self::FlankProfiles { side, .. } if !(1..=REACH).contains(side) => {
                Err("1 to 10 neighbours on either side")
            }
            Self::KernelProfiles { bandwidths_bp, .. } if bandwidths_bp.is_empty() || bandwidths_bp.contains(&0) => {
                Err("at least one bandwidth, each at least 1 bp")
            }
            Self::PromoterKmers { k, .. } | Self::StrandedKmers { k, .. } if !(1..=6).contains(k) => {
                Err("words of 1 to 6 bases")
            }
            Self::PromoterKmers { window: Some([start, end]), .. }
            | Self::StrandedKmers { window: [start, end], .. }
                if start >= end =>
            {
                Err("a window with a base in it")
            }
            Self::PromoterComposition { bin, bins } if *bin < 2 || *bins == 0 => Err("bins of at least 2 bases"),
            _ => Ok(()),
        }
    }

    fn names(&self, tissues: &[Tissue]) -> Vec<String> {
        let by_tissue = |prefix: String| tissues.iter().map(move |tissue| format!("{prefix}{}", tissue.id()));
        let slots = |side: usize| {
            let slot = move |side_name| (1..=side).map(move |at| format!("{side_name}{at}_"));
            slot("left").chain(slot("right"))
        };
        match self {
            Self::Own => std::iter::once("strand").chain(BIOTYPES).map(str::to_owned).collect(),
            Self::Context => surroundings::CONTEXT.iter().map(|name| (*name).to_owned()).collect(),
            Self::FlankContext { side } => slots(*side)
                .flat_map(|slot| surroundings::slot_names().into_iter().map(move |name| format!("{slot}{name}")))
                .collect(),
            Self::FlankProfiles { side, .. } => slots(*side).flat_map(by_tissue).collect(),
            Self::NearestProfile { .. } | Self::SubsetProfiles { .. } => by_tissue(String::new()).collect(),
            Self::KernelProfiles { bandwidths_bp, .. } => {
                bandwidths_bp.iter().flat_map(|bandwidth| by_tissue(format!("{bandwidth}bp_"))).collect()
            }
            Self::PromoterPresent => vec!["present".to_owned()],
            Self::PromoterKmers { k, .. } => promoter::word_names(*k),
            Self::StrandedKmers { k, .. } => promoter::stranded_word_names(*k),
            Self::PromoterComposition { bins, .. } => (1..=*bins)
                .flat_map(|bin| promoter::COMPOSITION.iter().map(move |name| format!("bin{bin}_{name}")))
                .collect(),
        }
    }

    fn write(&self, surroundings: &Surroundings<'_>, out: &mut [f32]) {
        let bases = surroundings.promoter();
        match self {
            Self::Own => surroundings.own(out),
            Self::Context => surroundings.context(out),
            Self::FlankContext { side } => surroundings.flank_context(*side, out),
            Self::FlankProfiles { side, form } => surroundings.flank_profiles(*side, *form, out),
            Self::NearestProfile { form } => surroundings.nearest_profile(*form, out),
            Self::KernelProfiles { form, subset, bandwidths_bp } => {
                let tissues = out.len() / bandwidths_bp.len();
                for (bandwidth, out) in bandwidths_bp.iter().zip(out.chunks_exact_mut(tissues.max(1))) {
                    surroundings.kernel_profile(*form, *subset, *bandwidth, out);
                }
            }
            Self::SubsetProfiles { form, subset } => surroundings.subset_profile(*form, *subset, out),
            Self::PromoterPresent => out[0] = if bases.is_some() { 1.0 } else { 0.0 },
            Self::PromoterKmers { k, window } => {
                if let Some(bases) = bases {
                    promoter::count_words(*k, promoter::cut(bases, *window), out);
                }
            }
            Self::StrandedKmers { k, window } => {
                if let Some(bases) = bases {
                    promoter::count_stranded_words(*k, promoter::cut(bases, Some(*window)), out);
                }
            }
            Self::PromoterComposition { bin, .. } => {
                if let Some(bases) = bases {
                    promoter::composition(bases, *bin, out);
                }
            }
        }
    }
}

impl ProfileForm {
    const fn label(self) -> &'static str {
        match self {
            Self::LogShape => "log_shape",
            Self::LinearShape => "linear_shape",
            Self::MinMax => "min_max",
            Self::Log2 => "log2",
        }
    }
}

impl Subset {
    const fn label(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::ProteinCoding => "protein_coding",
            Self::OtherBiotype => "other_biotype",
            Self::SameStrand => "same_strand",
            Self::OppositeStrand => "opposite_strand",
            Self::OverlapSameStrand => "overlap_same_strand",
            Self::OverlapOppositeStrand => "overlap_opposite_strand",
            Self::DivergentPromoter => "divergent_promoter",
        }
    }
}

#[cfg(test)]
mod tests;
