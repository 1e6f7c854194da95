//! Genotypes as JSON, in a shape that can be written by hand.
//!
//! ```
//! use tissuecast::genotype::{DosageRow, GenotypeSource, ReadLimits, json::JsonSource};
//!
//! let body = br#"{
//!   "assembly": "GRCh37",
//!   "samples": ["S1", {"id": "S2", "sex": "female", "family": "F1"}],
//!   "variants": [
//!     {"id": "rs1", "chromosome": "1", "position": 1234, "ref": "A", "alt": "G", "dosages": [1.02, null]},
//!     {"id": "chr1_2000_C_T_b37", "genotypes": ["0/1", "./."]},
//!     {"chromosome": 1, "position": 3000, "ref": "A", "alt": ["C", "G"], "genotypes": ["1|2", "0|0"]}
//!   ]
//! }"#;
//! let mut source = JsonSource::parse(body, &ReadLimits::default())?;
//! assert_eq!(source.samples().len(), 2);
//! let site = source.next_site()?.unwrap();
//! assert_eq!((site.ids, site.reference, site.alternatives), ("rs1", "A", "G"));
//! let mut row = DosageRow::default();
//! source.dosages(1, &mut row)?;
//! assert_eq!((row.values[0], row.missing), (1.02, 1));
//! # Ok::<(), tissuecast::genotype::GenotypeError>(())
//! ```
//!
//! | key | |
//! | --- | --- |
//! | `assembly` | the assembly of the positions; may be left out |
//! | `samples` | the people: identifiers, or objects of `id`, `sex` (`male`, `female`, `unknown`) and `family` |
//! | `variants` | the variants, as below |
//!
//! | key of a variant | |
//! | --- | --- |
//! | `id` | the identifier; it or the place may be left out, not both |
//! | `chromosome`, `position` | the place: a text or a number, and a whole number from 1 |
//! | `ref`, `alt` | the reference and the alternative allele; several alternatives are an array |
//! | `dosages` | how often each person carries `alt`: a number from 0 to 2, or null where that is not known |
//! | `genotypes` | in place of `dosages`: `"0/1"`, `"0\|1"`, haploid `"1"`; `"./."`, a half call and null are missing |
//!
//! An identifier made of place and alleles, such as `chr1_123_A_G_b38` or `1:123:A:G`, stands for those that are left
//! out; where both are given they have to agree, but for the order of the two alleles, which `ref` and `alt` give.
//! Any other key is refused, so that a misspelt one is not passed over. Imports `genome` alone. Invariant: the whole
//! body has been checked before the first site is given out.

mod call;
mod shape;
mod store;
mod values;
mod variant;

use std::cell::RefCell;

use serde::de::DeserializeSeed;
use shape::{Body, Trail};
use store::{Store, Variant};

use super::{DosageRow, GenotypeError, GenotypeSource, Limit, Place, ReadLimits, Samples, Site};
use crate::genome::Assembly;

/// A source of a JSON submission's variants.
pub struct JsonSource {
    samples: Samples,
    assembly: Option<Assembly>,
    store: Store,
    /// The next variant.
    next: usize,
}

impl JsonSource {
    /// Parses and checks a whole submission.
    ///
    /// # Errors
    /// The body is no JSON or not of the shape above, a value cannot be, or a limit is passed; the error names the
    /// variant and the value, such as `variants[3].dosages[1]`.
    pub fn parse(bytes: &[u8], limits: &ReadLimits) -> Result<Self, GenotypeError> {
        if bytes.len() as u64 > limits.decompressed_bytes {
            return Err(GenotypeError::limit(Limit::DecompressedBytes, limits.decompressed_bytes));
        }
        let trail = Trail { limits, place: RefCell::default(), fault: RefCell::default() };
        let mut json = serde_json::Deserializer::from_slice(bytes);
        let body = Body(&trail).deserialize(&mut json);
        let parsed = body.and_then(|parsed| json.end().map(|()| parsed));
        let parts = parsed.map_err(|error| trail.error(&error))?;
        let samples = Samples::new(parts.samples, limits)?;
        parts.store.check_widths(samples.len())?;
        let assembly = match (parts.assembly, parts.store.assembly()) {
            (Some(given), Some((named, variant))) if given != *named => {
                let reason = format!("it names {named}, the submission's assembly is {given}");
                let error = GenotypeError::field(format!("variants[{variant}].id"), reason);
                return Err(error.at(Place::Record(*variant as u64 + 1)));
            }
            (given, named) => given.or_else(|| named.map(|(named, _)| named.clone())),
        };
        Ok(Self { samples, assembly, store: parts.store, next: 0 })
    }

    fn current(&self) -> Option<&Variant> {
        self.store.variants.get(self.next.checked_sub(1)?)
    }
}

impl GenotypeSource for JsonSource {
    fn format(&self) -> &'static str {
        "json"
    }

    fn samples(&self) -> &Samples {
        &self.samples
    }

    fn assembly(&self) -> Option<&Assembly> {
        self.assembly.as_ref()
    }

    /// Records written by hand may come in any order.
    fn is_in_order(&self) -> bool {
        false
    }

    fn next_site(&mut self) -> Result<Option<Site<'_>>, GenotypeError> {
        let variant = self.store.variants.get(self.next);
        // Past the end there is no current variant.
        self.next = (self.next + 1).min(self.store.variants.len() + 1);
        Ok(variant.map(|variant| self.store.site(variant)))
    }

    fn place(&self) -> Place {
        self.current().map_or(Place::Whole, |_| Place::Record(self.next as u64))
    }

    fn dosages(&mut self, allele: usize, row: &mut DosageRow) -> Result<(), GenotypeError> {
        row.values.clear();
        row.haploid.clear();
        row.missing = 0;
        let alleles = self.current().map_or(0, |variant| self.store.alleles(variant));
        let Some(variant) = self.current().filter(|_| allele < alleles) else {
            let error = GenotypeError::field("allele", format!("the variant has no allele {allele}"));
            return Err(error.at(self.place()));
        };
        self.store.row(variant, allele, self.samples.len(), row);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
