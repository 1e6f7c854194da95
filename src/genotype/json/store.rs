//! The variants of a submission, packed: texts and values lie in common arrays, so that a body takes about as much
//! memory as it has bytes.

use super::super::{DosageRow, GenotypeError, Place, Site};
use super::call::Call;
use crate::genome::{Assembly, Chromosome, Position};

/// Stands for a missing dosage among the whole ones.
const MISSING: u8 = u8::MAX;

/// Where the values of a variant lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Values {
    /// Dosages of 0, 1 and 2 and missing ones, in [`Store::whole`].
    Whole,
    /// Dosages of any value, in [`Store::fractions`].
    Fractions,
    /// Genotypes, in [`Store::calls`].
    Calls,
}

/// One variant; its texts lie one after the other.
#[derive(Debug, Clone)]
pub(super) struct Variant {
    pub(super) chromosome: Option<Chromosome>,
    pub(super) position: Option<Position>,
    pub(super) text: usize,
    pub(super) id: u32,
    pub(super) reference: u32,
    pub(super) alternatives: u32,
    pub(super) values: Values,
    pub(super) start: usize,
    pub(super) count: u32,
}

/// All variants.
#[derive(Debug, Default)]
pub(super) struct Store {
    pub(super) variants: Vec<Variant>,
    pub(super) text: String,
    pub(super) whole: Vec<u8>,
    pub(super) fractions: Vec<f32>,
    pub(super) calls: Vec<Call>,
    /// The assembly that identifiers name, and the first variant whose identifier does.
    pub(super) named: Option<(Assembly, usize)>,
}

impl Store {
    /// Adds a dosage to those of the variant that is being read, whose values began at `start`; one that is no whole
    /// number moves them to the fractions.
    pub(super) fn push_dosage(&mut self, value: Option<f32>, (values, start): &mut (Values, usize)) {
        if *values == Values::Whole {
            if let Some(code) = value.map_or(Some(MISSING), whole) {
                return self.whole.push(code);
            }
            let from = *start;
            (*values, *start) = (Values::Fractions, self.fractions.len());
            self.fractions.extend(self.whole.drain(from..).map(fraction));
        }
        self.fractions.push(value.unwrap_or(f32::NAN));
    }

    /// Returns how many values there are from the start of a variant that is being read.
    pub(super) fn count(&self, (values, start): (Values, usize)) -> usize {
        let length = match values {
            Values::Whole => self.whole.len(),
            Values::Fractions => self.fractions.len(),
            Values::Calls => self.calls.len(),
        };
        length - start
    }

    pub(super) fn assembly(&self) -> Option<&(Assembly, usize)> {
        self.named.as_ref()
    }

    /// Checks that each variant has a value for each person.
    pub(super) fn check_widths(&self, samples: usize) -> Result<(), GenotypeError> {
        let Some(at) = self.variants.iter().position(|variant| variant.count as usize != samples) else {
            return Ok(());
        };
        let (found, values) = self.variants.get(at).map_or((0, Values::Whole), |v| (v.count, v.values));
        let name = if values == Values::Calls { "genotypes" } else { "dosages" };
        let reason = format!(
            "there are {found} values for {samples} samples: there has to be one for each, null where it is not known"
        );
        Err(GenotypeError::field(format!("variants[{at}].{name}"), reason).at(Place::Record(at as u64 + 1)))
    }

    fn texts(&self, variant: &Variant) -> [&str; 3] {
        let mut at = variant.text;
        [variant.id, variant.reference, variant.alternatives].map(|length| {
            let start = at;
            at += length as usize;
            self.text.get(start..at).unwrap_or_default()
        })
    }

    pub(super) fn site<'a>(&'a self, variant: &'a Variant) -> Site<'a> {
        let [ids, reference, alternatives] = self.texts(variant);
        Site { chromosome: variant.chromosome.as_ref(), position: variant.position, ids, reference, alternatives }
    }

    /// Returns how many alleles a variant has.
    pub(super) fn alleles(&self, variant: &Variant) -> usize {
        let [.., alternatives] = self.texts(variant);
        1 + alternatives.split(',').count()
    }

    /// Fills in how often each person carries an allele.
    pub(super) fn row(&self, variant: &Variant, allele: usize, samples: usize, row: &mut DosageRow) {
        let range = variant.start..variant.start + samples;
        // A dosage is of the one alternative there is; the reference allele has the rest of two.
        let of = |dosage: f32| if allele == 0 { 2.0 - dosage } else { dosage };
        match variant.values {
            Values::Whole => {
                let codes = self.whole.get(range).unwrap_or_default();
                row.values.extend(codes.iter().map(|code| of(fraction(*code))));
            }
            Values::Fractions => {
                let dosages = self.fractions.get(range).unwrap_or_default();
                row.values.extend(dosages.iter().map(|dosage| of(*dosage)));
            }
            Values::Calls => {
                let calls = self.calls.get(range).unwrap_or_default();
                row.values.extend(calls.iter().map(|call| call.count(allele).map_or(f32::NAN, f32::from)));
                let haploid = calls.iter().enumerate().filter(|(_, call)| call.is_haploid());
                row.haploid.extend(haploid.map(|(index, _)| index as u32));
            }
        }
        row.missing = row.values.iter().filter(|value| value.is_nan()).count();
    }
}

/// The code of a whole dosage, `None` for any other.
fn whole(value: f32) -> Option<u8> {
    [0_u8, 1, 2].into_iter().find(|code| f32::from(*code).to_bits() == value.to_bits())
}

fn fraction(code: u8) -> f32 {
    if code == MISSING { f32::NAN } else { f32::from(code) }
}
