//! The variants of a model as submissions are matched with them: place, identifier, alleles, frequency.

use crate::genome::{Allele, Assembly, Chromosome, Position, VariantId};

/// A variant in one gene's model: a row. Alleles belong to the row: another gene's row of the same variant may count
/// the other allele.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelVariant {
    /// The identifier, where the model has one that is not a place.
    pub id: Option<VariantId>,
    /// The position of the first base, on the model's own assembly.
    pub place: Option<(Chromosome, Position)>,
    /// The allele that is not counted.
    pub other: Allele,
    /// The allele whose copies are counted.
    pub effect: Allele,
    /// The counted allele's frequency where the model was trained.
    pub frequency: Option<f32>,
}

impl ModelVariant {
    /// Returns whether the alleles alone do not tell the strand.
    #[must_use]
    pub fn is_palindromic(&self) -> bool {
        self.effect.is_palindromic_with(&self.other)
    }

    /// Returns the identifier, or the place and alleles where there is none.
    #[must_use]
    pub fn name(&self) -> String {
        match (&self.id, &self.place) {
            (Some(id), _) => id.to_string(),
            (None, Some((chromosome, position))) => format!("{chromosome}:{position}:{}:{}", self.other, self.effect),
            (None, None) => String::new(),
        }
    }

    /// Returns the mean of the counted allele's dosage where the model was trained, 2 × frequency, and no copy where the
    /// frequency is not known: what explanations compare a person with.
    #[must_use]
    pub fn baseline_dosage(&self) -> f64 {
        self.frequency.map_or(0.0, |frequency| 2.0 * f64::from(frequency))
    }

    /// Returns the standard deviation of the counted allele's dosage at Hardy–Weinberg equilibrium, √(2p(1 − p)),
    /// where the frequency is known.
    #[must_use]
    pub fn dosage_sd(&self) -> Option<f64> {
        self.frequency.map(f64::from).map(|p| (2.0 * p * (1.0 - p)).max(0.0).sqrt())
    }
}

/// Where a variant lies on another assembly.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiftedPlace {
    /// The chromosome there.
    pub chromosome: Chromosome,
    /// The position of the first base there, on the forward strand.
    pub position: Position,
    /// Whether the sequence is turned round there: alleles are then read on the other strand.
    pub reversed: bool,
}

/// All rows of a model, gene by gene, with what is true of all of them.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct VariantTable {
    /// The rows.
    pub rows: Vec<ModelVariant>,
    /// The assembly of [`ModelVariant::place`], where it is known.
    pub assembly: Option<Assembly>,
    /// Whether the allele that is not counted is the genome's reference allele in every row.
    pub other_is_reference: bool,
    /// The rows' places on one more assembly, one entry a row.
    pub lifted: Option<LiftedRows>,
}

/// The places of a model's rows on another assembly.
#[derive(Debug, Clone, PartialEq)]
pub struct LiftedRows {
    /// The assembly.
    pub assembly: Assembly,
    /// One entry a row; `None` where the row has no place there, or several.
    pub places: Vec<Option<LiftedPlace>>,
}
