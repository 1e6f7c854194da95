//! Bringing a single gene's values from TPM into a dataset's RPKM, by the dataset's own sums.
//!
//! Of one sample, TPM = RPKM · 10⁶ ÷ Σ RPKM over its genes, so that RPKM = TPM · Σ RPKM ÷ 10⁶. A dataset in RPKM has that
//! sum for each tissue; genes without a value count as nothing in it. A dataset in TPM has none: its values add up to
//! about 10⁶ whatever the RPKM were, so that RPKM values cannot be brought into it.

use super::{Reference, Unit};
use crate::genome::Tissue;

/// Why a value cannot be brought into the dataset's unit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnitError {
    /// The dataset does not tell the sum that the conversion needs.
    #[error(
        "rpkm cannot be brought into tpm here: that takes the sum of all RPKM of the sample, which a dataset in TPM does \
         not tell; send the values in TPM"
    )]
    NoSum,
    /// No gene of the dataset has a value above zero in the tissue.
    #[error("tpm cannot be brought into rpkm for {0}: the dataset's values there add up to 0")]
    Nothing(String),
}

/// What a dataset's values add up to, tissue by tissue.
#[derive(Debug, Clone, PartialEq)]
pub struct TissueSums(Vec<f64>);

impl TissueSums {
    /// Adds up a dataset; a gene without a value in a tissue counts as nothing there.
    #[must_use]
    pub fn of(reference: &Reference) -> Self {
        let mut sums = vec![0.0; reference.tissues().len()];
        for gene in 0..reference.genes().len() {
            let row = reference.expression(gene);
            sums.iter_mut().zip(row).filter(|(_, value)| value.is_finite()).for_each(|(sum, x)| *sum += f64::from(*x));
        }
        Self(sums)
    }

    /// Returns by what a value of a tissue is multiplied to come from a unit into the dataset's; 1 where it is the same.
    ///
    /// # Errors
    /// The dataset does not tell what the conversion needs.
    pub fn factor(&self, reference: &Reference, tissue: usize, from: Unit) -> Result<f64, UnitError> {
        match (from, reference.dataset().unit) {
            (Unit::Tpm, Unit::Tpm) | (Unit::Rpkm, Unit::Rpkm) => Ok(1.0),
            (Unit::Rpkm, Unit::Tpm) => Err(UnitError::NoSum),
            (Unit::Tpm, Unit::Rpkm) => {
                let sum = self.0.get(tissue).copied().unwrap_or(0.0);
                let name = || reference.tissues().get(tissue).map_or(String::new(), |one: &Tissue| one.id().to_owned());
                if sum > 0.0 { Ok(sum / 1e6) } else { Err(UnitError::Nothing(name())) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::Dataset;
    use crate::reference::tests::{dataset, record};

    fn reference(unit: Unit) -> Reference {
        let tissues = vec![Tissue::from_name("Liver"), Tissue::from_name("leaf")];
        let records = vec![
            record("a", None, Some(&[3.0, f32::NAN])),
            record("b", None, Some(&[1.0, 0.0])),
            record("c", None, None),
        ];
        Reference::new(Dataset { unit, ..dataset() }, tissues, records)
    }

    #[test]
    fn tpm_comes_into_rpkm_by_the_tissues_sum() {
        let rpkm = reference(Unit::Rpkm);
        let sums = TissueSums::of(&rpkm);
        let factor = sums.factor(&rpkm, 0, Unit::Tpm).unwrap();
        // A gene with 3 of the sample's 4 RPKM has 750,000 TPM, and the other way round.
        assert!((750_000.0 * factor - 3.0).abs() < 1e-9, "{factor}");
        assert_eq!(sums.factor(&rpkm, 0, Unit::Rpkm), Ok(1.0));
        assert_eq!(sums.factor(&rpkm, 1, Unit::Tpm), Err(UnitError::Nothing("leaf".to_owned())));
    }

    #[test]
    fn a_dataset_in_tpm_does_not_tell_the_sum_of_rpkm() {
        let tpm = reference(Unit::Tpm);
        let sums = TissueSums::of(&tpm);
        assert_eq!(sums.factor(&tpm, 0, Unit::Rpkm), Err(UnitError::NoSum));
        assert_eq!(sums.factor(&tpm, 1, Unit::Tpm), Ok(1.0));
    }
}
