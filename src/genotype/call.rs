//! From a sample's genotype, dosages or probabilities to how often it carries one allele.
//!
//! What the text and the binary reader share. A sample's value comes from DS; where DS is absent or missing, from GP;
//! where that is too, from GT. Invariant: a value is a dosage or NaN, and a haploid call's is at most 1.

use super::{DosageRow, GenotypeError, dosage};

/// How far a sum of rounded probabilities may be from 1.
const PROBABILITY_ROUNDING: f64 = 0.05;

/// A called genotype; a half call is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Genotype {
    /// Not known, or not given.
    Missing,
    /// One allele.
    Haploid(usize),
    /// Two alleles.
    Diploid(usize, usize),
}

impl Genotype {
    /// Takes a genotype's alleles, `None` where one is not known.
    ///
    /// # Errors
    /// An allele is not one of the record's `count`, or there are more than two.
    pub(super) fn new(
        alleles: impl Iterator<Item = Result<Option<usize>, String>>,
        count: usize,
    ) -> Result<Self, String> {
        let mut known = [Some(0); 2];
        let mut ploidy = 0;
        for allele in alleles {
            let allele = allele?;
            if let Some(index) = allele.filter(|index| *index >= count) {
                return Err(format!("allele {index} is not one of the record's, which are 0 to {}", count - 1));
            }
            let Some(place) = known.get_mut(ploidy) else {
                return Err("it has more than two alleles: only haploid and diploid genotypes are read".to_owned());
            };
            *place = allele;
            ploidy += 1;
        }
        Ok(match (ploidy, known) {
            (1, [Some(first), _]) => Self::Haploid(first),
            (2, [Some(first), Some(second)]) => Self::Diploid(first, second),
            _ => Self::Missing,
        })
    }
}

/// A sample's values as its record gives them.
pub(super) struct Entry<'a, D> {
    /// GT.
    pub(super) genotype: Genotype,
    /// DS, one value an alternative allele.
    pub(super) dosages: Option<D>,
    /// GP, one value a genotype; `None` where one is missing.
    pub(super) probabilities: Option<&'a [Option<f32>]>,
}

/// Which field of a sample is wrong, and how.
pub(super) type EntryFault = (&'static str, String);

/// An allele of a record.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked {
    /// Which, from 0, the reference allele.
    pub(super) allele: usize,
    /// How many the record has, with the reference allele.
    pub(super) alleles: usize,
}

impl Asked {
    /// Asks for an allele of a record.
    ///
    /// # Errors
    /// The record has no such allele.
    pub(super) fn new(allele: usize, alleles: usize) -> Result<Self, GenotypeError> {
        if allele < alleles {
            Ok(Self { allele, alleles })
        } else {
            let reason = format!("there is no alternative allele {allele}: the record has {}", alleles.max(1) - 1);
            Err(GenotypeError::field("ALT", reason))
        }
    }

    /// Adds a sample's value to `row`.
    pub(super) fn add<D>(self, row: &mut DosageRow, entry: Entry<'_, D>) -> Result<(), EntryFault>
    where
        D: Iterator<Item = Result<Option<f32>, String>>,
    {
        let (value, haploid) = self.resolve(entry)?;
        if value.is_nan() {
            row.missing += 1;
        }
        if haploid {
            row.haploid.push(row.values.len() as u32);
        }
        row.values.push(value);
        Ok(())
    }

    fn resolve<D>(self, entry: Entry<'_, D>) -> Result<(f32, bool), EntryFault>
    where
        D: Iterator<Item = Result<Option<f32>, String>>,
    {
        let haploid = matches!(entry.genotype, Genotype::Haploid(_));
        if let Some(values) = entry.dosages
            && let Some(value) = self.of_dosages(values, haploid).map_err(|reason| ("DS", reason))?
        {
            return Ok((value, haploid));
        }
        if let Some(values) = entry.probabilities
            && let Some(found) = self.of_probabilities(values).map_err(|reason| ("GP", reason))?
        {
            return Ok(found);
        }
        let count = |allele: usize| f32::from(u8::from(allele == self.allele));
        Ok(match entry.genotype {
            Genotype::Missing => (f32::NAN, false),
            Genotype::Haploid(only) => (count(only), true),
            Genotype::Diploid(first, second) => (count(first) + count(second), false),
        })
    }

    /// Returns the dosage that DS tells; `None` where it is missing.
    fn of_dosages(
        self,
        values: impl Iterator<Item = Result<Option<f32>, String>>,
        haploid: bool,
    ) -> Result<Option<f32>, String> {
        // A record without alternative alleles may have the one value of a field of Number=1.
        let expected = (self.alleles - 1).max(1);
        let most: f32 = if haploid { 1.0 } else { 2.0 };
        let (mut found, mut missing, mut sum, mut own) = (0, false, 0.0, None);
        for value in values {
            let value = value?.map(dosage).transpose()?;
            if let Some(value) = value.filter(|value| *value > most + 0.001) {
                return Err(format!("{value} is no dosage of a haploid genotype, which are numbers from 0 to 1"));
            }
            found += 1;
            missing |= value.is_none();
            sum += f64::from(value.unwrap_or(0.0));
            if found == self.allele {
                own = value;
            }
        }
        if missing && found == 1 {
            // A single dot stands for all of them.
            return Ok(None);
        }
        if found != expected {
            return Err(format!("it has {found} values, one an alternative allele would be {expected}"));
        }
        if self.allele == 0 && !missing {
            let rest = f64::from(most) - sum;
            if rest < -0.001 * found as f64 {
                return Err(format!("its values add up to {sum}, which is more than {most}"));
            }
            own = Some(rest as f32);
        }
        Ok(own.map(|value| value.clamp(0.0, most)))
    }

    /// Returns the expected dosage over the genotypes' probabilities, and whether they are of haploid genotypes;
    /// `None` where they are missing. Genotype j/k (j ≤ k) has place k(k + 1)/2 + j (VCF 4.3, section 1.6.2).
    fn of_probabilities(self, values: &[Option<f32>]) -> Result<Option<(f32, bool)>, String> {
        let alleles = self.alleles;
        let genotypes = alleles * (alleles + 1) / 2;
        if matches!(values, [None]) {
            return Ok(None);
        }
        if values.len() != genotypes && values.len() != alleles {
            let found = values.len();
            return Err(format!("it has {found} values, a diploid genotype has {genotypes}, a haploid one {alleles}"));
        }
        let haploid = values.len() != genotypes;
        let (mut total, mut sum, mut low, mut high) = (0.0, 0.0, 0, 0);
        for value in values {
            let Some(value) = *value else { return Ok(None) };
            if !(-0.001..=1.001).contains(&value) {
                return Err(format!("{value} is no probability: GP has to have numbers from 0 to 1, not Phred scores"));
            }
            let value = f64::from(value).max(0.0);
            total += value;
            let copies = u8::from(high == self.allele) + u8::from(!haploid && low == self.allele);
            sum += value * f64::from(copies);
            if haploid || low == high {
                high += 1;
                low = 0;
            } else {
                low += 1;
            }
        }
        if total == 0.0 {
            // Some programs write zeros where nothing is known.
            return Ok(None);
        }
        if (total - 1.0).abs() > PROBABILITY_ROUNDING {
            return Err(format!("its values add up to {total}, probabilities add up to 1"));
        }
        Ok(Some(((sum / total) as f32, haploid)))
    }
}

/// Returns the fault of a sample's field; `sample` counts from 0.
pub(super) fn sample_fault(sample: usize, (field, reason): EntryFault) -> GenotypeError {
    GenotypeError::field(format!("{field} of sample {}", sample + 1), reason)
}
