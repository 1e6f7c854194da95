//! The lists of blocks that the project's own methods read.

use super::{FeatureBlock, Features, ProfileForm, Subset};

impl Features {
    /// Returns the nearest gene's profile alone.
    #[must_use]
    pub fn nearest_profile(form: ProfileForm) -> Self {
        Self { blocks: vec![FeatureBlock::NearestProfile { form }] }
    }

    /// Returns the strongest published-style baseline's features: 5 + 5 neighbours' profiles, their distances,
    /// strands and biotypes, and the promoter's 5-mers.
    #[must_use]
    pub fn neighbours_and_promoter() -> Self {
        use FeatureBlock::{FlankContext, FlankProfiles, Own, PromoterKmers, PromoterPresent};
        let blocks = vec![
            Own,
            FlankContext { side: 5 },
            FlankProfiles { side: 5, form: ProfileForm::LogShape },
            PromoterPresent,
            PromoterKmers { k: 5, window: None },
        ];
        Self { blocks }
    }

    /// Returns the project's own, richer features: neighbours averaged by distance at several bandwidths, their
    /// context, and the promoter's words and composition; `tss` is the promoter's base at which transcription starts.
    ///
    /// The word windows are the whole promoter, the core (−150 to +50 around `tss`) and the part behind the core; words
    /// of the gene's own strand are counted in four windows from −500 to +500.
    #[must_use]
    pub fn surroundings_and_promoter(tss: usize) -> Self {
        use ProfileForm::LogShape;
        let kernel = |subset, bandwidths: &[u32]| FeatureBlock::KernelProfiles {
            form: LogShape,
            subset,
            bandwidths_bp: bandwidths.to_vec(),
        };
        let mut blocks = vec![
            FeatureBlock::Own,
            FeatureBlock::Context,
            FeatureBlock::FlankContext { side: 2 },
            FeatureBlock::FlankProfiles { side: 2, form: LogShape },
            kernel(Subset::All, &[5_000, 20_000, 100_000, 1_000_000]),
            kernel(Subset::ProteinCoding, &[50_000]),
            kernel(Subset::OtherBiotype, &[50_000]),
            FeatureBlock::KernelProfiles {
                form: ProfileForm::Log2,
                subset: Subset::All,
                bandwidths_bp: vec![20_000, 1_000_000],
            },
            FeatureBlock::SubsetProfiles { form: LogShape, subset: Subset::OverlapSameStrand },
            FeatureBlock::SubsetProfiles { form: LogShape, subset: Subset::OverlapOppositeStrand },
            FeatureBlock::PromoterPresent,
            FeatureBlock::PromoterKmers { k: 5, window: None },
            FeatureBlock::PromoterKmers { k: 5, window: Some([tss.saturating_sub(150), tss + 50]) },
            FeatureBlock::PromoterKmers { k: 4, window: Some([tss + 50, tss + 500]) },
        ];
        let borders = [tss.saturating_sub(500), tss.saturating_sub(150), tss, tss + 200, tss + 500];
        // A promoter that begins at its start has nothing before it.
        let windows = borders.array_windows().filter(|[start, end]| start < end);
        blocks.extend(windows.map(|window| FeatureBlock::StrandedKmers { k: 4, window: *window }));
        blocks.push(FeatureBlock::PromoterComposition { bin: 100, bins: 15 });
        Self { blocks }
    }

    /// Returns what a network reads of a promoter: its shortest words and its composition.
    #[must_use]
    pub fn promoter_summary() -> Self {
        let blocks = vec![
            FeatureBlock::PromoterPresent,
            FeatureBlock::PromoterKmers { k: 3, window: None },
            FeatureBlock::PromoterComposition { bin: 100, bins: 15 },
        ];
        Self { blocks }
    }

    /// Returns what trees read beside a network's features and a ridge's outputs: fewer and coarser numbers than the
    /// ridge reads, since trees pick single ones.
    #[must_use]
    pub fn beside_a_network(tss: usize) -> Self {
        use ProfileForm::LogShape;
        let blocks = vec![
            FeatureBlock::Own,
            FeatureBlock::Context,
            FeatureBlock::FlankContext { side: 2 },
            FeatureBlock::KernelProfiles {
                form: LogShape,
                subset: Subset::All,
                bandwidths_bp: vec![5_000, 20_000, 100_000, 1_000_000],
            },
            FeatureBlock::SubsetProfiles { form: LogShape, subset: Subset::OverlapSameStrand },
            FeatureBlock::SubsetProfiles { form: LogShape, subset: Subset::OverlapOppositeStrand },
            FeatureBlock::PromoterPresent,
            FeatureBlock::PromoterKmers { k: 3, window: None },
            FeatureBlock::PromoterKmers { k: 4, window: None },
            FeatureBlock::PromoterKmers { k: 4, window: Some([tss.saturating_sub(150), tss + 50]) },
            FeatureBlock::PromoterComposition { bin: 100, bins: 15 },
        ];
        Self { blocks }
    }
}
