//! Genotypes coming in: people, and a stream of variant records with dosages.
//!
//! Every format is read through [`GenotypeSource`]: one site at a time, its dosages only where somebody wants them, so
//! that memory is one record × samples whatever the file's length. Imports `genome` alone. Invariants: samples keep
//! their order and are unique; a dosage is a number from 0 to 2, or NaN where the genotype is not known.

pub mod bcf;
pub mod bgen;
mod call;
pub mod dosage_text;
pub mod harmonise;
pub mod input;
pub mod json;
pub mod pgen;
pub mod plink;
pub mod policy;
pub mod report;
mod sample_file;
pub mod submission;
pub mod variants;
pub mod vcf;

use std::collections::HashSet;

pub use policy::Policies;

use crate::genome::{Assembly, Chromosome, Position};

/// A person's sex, where the input gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sex {
    /// One X chromosome.
    Male,
    /// Two X chromosomes.
    Female,
    /// Not given.
    #[default]
    Unknown,
}

/// A person of the submission.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// The individual's identifier, unique in the submission.
    pub id: Box<str>,
    /// The family's identifier, where the format has one.
    pub family: Option<Box<str>>,
    /// The sex.
    pub sex: Sex,
}

impl Sample {
    /// Returns a person of whom nothing but the identifier is known.
    #[must_use]
    pub fn named(id: &str) -> Self {
        Self { id: id.into(), family: None, sex: Sex::Unknown }
    }
}

/// The people of a submission in their order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Samples(Vec<Sample>);

impl Samples {
    /// Takes people in their order.
    ///
    /// # Errors
    /// There is none, there are more than the limit, or two have one identifier.
    pub fn new(samples: Vec<Sample>, limits: &ReadLimits) -> Result<Self, GenotypeError> {
        if samples.is_empty() {
            return Err(GenotypeError::new(Fault::NoSamples));
        }
        if samples.len() > limits.samples {
            return Err(GenotypeError::limit(Limit::Samples, limits.samples as u64));
        }
        let mut seen = HashSet::with_capacity(samples.len());
        if let Some((at, twice)) = samples.iter().enumerate().find(|(_, sample)| !seen.insert(&sample.id)) {
            let first = samples.iter().position(|sample| sample.id == twice.id).unwrap_or(at);
            return Err(GenotypeError::new(Fault::DuplicateSample {
                id: twice.id.clone(),
                first: first + 1,
                second: at + 1,
            }));
        }
        Ok(Self(samples))
    }

    /// Returns how many people there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns whether there is nobody.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the people at these places, in this order; a place that nobody has is left out.
    #[must_use]
    pub fn subset(&self, places: &[u32]) -> Self {
        Self(places.iter().filter_map(|at| self.0.get(*at as usize).cloned()).collect())
    }

    /// Returns the people in order.
    pub fn iter(&self) -> std::slice::Iter<'_, Sample> {
        self.0.iter()
    }
}

impl<'a> IntoIterator for &'a Samples {
    type Item = &'a Sample;
    type IntoIter = std::slice::Iter<'a, Sample>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// A record's site as the input spells it; what is missing is `None` or the empty text.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Site<'a> {
    /// The chromosome.
    pub chromosome: Option<&'a Chromosome>,
    /// The position of the first base of the reference allele.
    pub position: Option<Position>,
    /// The identifiers, several parted by `;`; `.` or empty where there is none.
    pub ids: &'a str,
    /// The reference allele (allele 0), in either case.
    pub reference: &'a str,
    /// The alternative alleles (alleles 1…), parted by commas; `.` or empty where there is none.
    pub alternatives: &'a str,
}

/// The dosages of one allele of one site.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct DosageRow {
    /// How often each sample carries the allele, from 0 to 2 (0 to 1 for a haploid call), in the samples' order; NaN
    /// where it is not known.
    pub values: Vec<f32>,
    /// How many of them are NaN.
    pub missing: usize,
    /// Samples whose call is haploid, ascending; empty for almost every site.
    pub haploid: Vec<u32>,
}

/// A stream of variant records.
pub trait GenotypeSource: Send {
    /// Returns the format's name, such as `vcf`.
    fn format(&self) -> &'static str;

    /// Returns the people, in the input's order.
    fn samples(&self) -> &Samples;

    /// Returns the assembly that the input itself names or that its contig lengths tell.
    fn assembly(&self) -> Option<&Assembly>;

    /// Goes to the next record and returns its site; `None` at the end, where everything that can be checked of the
    /// whole input has been checked.
    ///
    /// # Errors
    /// The record is malformed, the input is truncated, or a limit is passed.
    fn next_site(&mut self) -> Result<Option<Site<'_>>, GenotypeError>;

    /// Returns whether records come in the order of their positions, chromosome by chromosome, so that what lies
    /// behind the current one will not come any more. A source that returns `false` may come in any order.
    fn is_in_order(&self) -> bool {
        true
    }

    /// Returns where the current record is: its line, or its number from 1.
    fn place(&self) -> Place;

    /// Reads how often each sample carries allele `allele` of the current site (0 is the reference allele, 1 the
    /// first alternative) into `row`. May be called several times for one site.
    ///
    /// # Errors
    /// A sample's entry is malformed or is no dosage; the record has no such allele.
    fn dosages(&mut self, allele: usize, row: &mut DosageRow) -> Result<(), GenotypeError>;
}

/// How much of an input is read before it is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadLimits {
    /// Bytes after decompression.
    pub decompressed_bytes: u64,
    /// Bytes of one line or one binary record.
    pub record_bytes: usize,
    /// Variant records.
    pub records: u64,
    /// Samples.
    pub samples: usize,
    /// Alternative alleles of one record.
    pub alternatives: usize,
}

impl Default for ReadLimits {
    fn default() -> Self {
        Self {
            decompressed_bytes: 1 << 40,
            record_bytes: 256 << 20,
            records: 1_000_000_000,
            samples: 1_000_000,
            alternatives: 1_000,
        }
    }
}

/// A limit of [`ReadLimits`] by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// [`ReadLimits::decompressed_bytes`].
    DecompressedBytes,
    /// [`ReadLimits::record_bytes`].
    RecordBytes,
    /// [`ReadLimits::records`].
    Records,
    /// [`ReadLimits::samples`].
    Samples,
    /// [`ReadLimits::alternatives`].
    Alternatives,
}

impl std::fmt::Display for Limit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::DecompressedBytes => "bytes after decompression",
            Self::RecordBytes => "bytes of one record",
            Self::Records => "records",
            Self::Samples => "samples",
            Self::Alternatives => "alternative alleles of one record",
        })
    }
}

/// Where in an input something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Place {
    /// The input as a whole.
    #[default]
    Whole,
    /// A line, from 1.
    Line(u64),
    /// A record, from 1.
    Record(u64),
}

/// What is wrong with an input.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// There is nobody in it.
    #[error("it has no samples")]
    NoSamples,
    /// Two samples have one identifier.
    #[error("samples {first} and {second} have the same identifier '{id}': identifiers have to be unique")]
    DuplicateSample {
        /// The identifier.
        id: Box<str>,
        /// The first sample that has it, from 1.
        first: usize,
        /// The second one.
        second: usize,
    },
    /// Something is not as the format says; the text says what and what to do.
    #[error("{0}")]
    Malformed(String),
    /// A field has a value that cannot be.
    #[error("{field}: {reason}")]
    Field {
        /// The field: a column's name, with the sample's number where it is a sample's.
        field: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A limit was passed.
    #[error("it has more than {most} {limit}, the limit here")]
    Limit {
        /// Which.
        limit: Limit,
        /// Its value.
        most: u64,
    },
    /// The compressed data cannot be read.
    #[error("the compressed data is damaged or cut off")]
    Compressed(#[source] std::io::Error),
    /// The input cannot be read.
    #[error("it cannot be read")]
    Io(#[source] std::io::Error),
    /// The input is of a kind that is not supported; the text says what to do.
    #[error("{0}")]
    Unsupported(String),
}

/// Why an input cannot be read: which file, where in it, what is wrong.
#[derive(Debug)]
pub struct GenotypeError {
    /// The file's name, where there are several.
    pub file: Option<Box<str>>,
    /// The line or record.
    pub place: Place,
    /// What is wrong.
    pub fault: Fault,
}

impl std::error::Error for GenotypeError {
    /// The fault is part of the message; what stands behind it is not.
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.fault.source()
    }
}

impl std::fmt::Display for GenotypeError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.file {
            Some(file) => write!(f, "{file}")?,
            None => f.write_str("the genotypes")?,
        }
        match self.place {
            Place::Whole => {}
            Place::Line(line) => write!(f, ", line {line}")?,
            Place::Record(record) => write!(f, ", record {record}")?,
        }
        // What is wrong belongs to the same sentence; a cause behind it (an I/O error) stays in the chain.
        write!(f, ": {}", self.fault)
    }
}

impl GenotypeError {
    /// Returns a fault of the input as a whole.
    #[must_use]
    pub const fn new(fault: Fault) -> Self {
        Self { file: None, place: Place::Whole, fault }
    }

    /// Returns a fault of the format; `what` says what is wrong and what to do.
    #[must_use]
    pub fn malformed(what: impl Into<String>) -> Self {
        Self::new(Fault::Malformed(what.into()))
    }

    /// Returns a field's fault.
    #[must_use]
    pub fn field(field: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::new(Fault::Field { field: field.into(), reason: reason.into() })
    }

    /// Returns a passed limit.
    #[must_use]
    pub const fn limit(limit: Limit, most: u64) -> Self {
        Self::new(Fault::Limit { limit, most })
    }

    /// Adds the file's name where none is known yet.
    #[must_use]
    pub fn in_file(mut self, file: &str) -> Self {
        self.file.get_or_insert_with(|| file.into());
        self
    }

    /// Adds the place where none is known yet.
    #[must_use]
    pub fn at(mut self, place: Place) -> Self {
        if self.place == Place::Whole {
            self.place = place;
        }
        self
    }
}

/// Checks a dosage; a value a rounding error outside of 0 to 2 is drawn inside.
///
/// # Errors
/// The value is not a number from 0 to 2.
pub fn dosage(value: f32) -> Result<f32, String> {
    const ROUNDING: f32 = 1e-3;
    if (-ROUNDING..=2.0 + ROUNDING).contains(&value) {
        Ok(value.clamp(0.0, 2.0))
    } else {
        Err(format!("{value} is no dosage: dosages are numbers from 0 to 2"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_unique_and_somebody() {
        let limits = ReadLimits { samples: 2, ..ReadLimits::default() };
        let named = |ids: &[&str]| Samples::new(ids.iter().map(|id| Sample::named(id)).collect(), &limits);
        assert_eq!(named(&["a", "b"]).unwrap().len(), 2);
        let error = |ids: &[&str]| named(ids).unwrap_err().to_string();
        assert!(error(&[]).contains("no samples"));
        assert!(error(&["a", "a"]).contains("samples 1 and 2"));
        assert!(error(&["a", "b", "c"]).contains("more than 2 samples"));
    }

    #[test]
    fn what_is_no_dosage_is_refused() {
        for value in [2.7, -0.1, f32::NAN, f32::INFINITY] {
            assert!(dosage(value).is_err(), "{value}");
        }
        assert_eq!((dosage(2.000_1).unwrap().to_bits(), dosage(-0.000_1).unwrap().to_bits()), (2f32.to_bits(), 0));
    }
}
