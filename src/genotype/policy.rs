//! What is done with what is not known: the policies of a request, every one of them explicit and echoed.

use serde::Serialize;

use crate::genome::Assembly;

/// What a person's missing genotype counts as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Missing {
    /// 2 × the effect allele's frequency as the model's card has it; without one the person's value is not known.
    Mean,
    /// The mean dosage of the submitted people whose genotype is known: the value then depends on who else is
    /// submitted.
    Cohort,
    /// Two copies of the input's reference allele.
    Ref,
    /// The variant adds nothing to this person's value.
    Drop,
    /// The request is refused.
    Error,
}

/// What is done with a palindromic variant (A/T, C/G), whose alleles do not tell the strand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Ambiguous {
    /// It is not used.
    Drop,
    /// Both are taken to be on one strand.
    Keep,
    /// The strand on which the submitted people's frequency fits the model's, where that is clear.
    Frequency,
}

/// What a site without a record counts as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Absent {
    /// Not known: the variant is not used.
    Unknown,
    /// Two copies of the reference allele, as in a file of whole-genome sequences that lists differences only.
    Homref,
}

/// A set of policies by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Preset {
    /// The reference tool's numbers on clean input.
    Predixcan,
}

/// The policies of a request.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Policies {
    /// Missing genotypes.
    pub missing: Missing,
    /// Palindromic variants.
    pub ambiguous: Ambiguous,
    /// Sites without a record.
    pub absent: Absent,
    /// The least share of variants that has to be used: below it a gene's value is not known, and below it a model is
    /// refused with a diagnosis.
    pub min_overlap: f64,
    /// The input's assembly, where the request names it.
    #[serde(serialize_with = "assembly")]
    pub assembly: Option<Assembly>,
    /// The preset that the other policies came from.
    pub preset: Option<Preset>,
}

fn assembly<S: serde::Serializer>(assembly: &Option<Assembly>, serializer: S) -> Result<S::Ok, S::Error> {
    assembly.as_ref().map(Assembly::as_str).serialize(serializer)
}

impl Default for Policies {
    fn default() -> Self {
        Self {
            missing: Missing::Mean,
            ambiguous: Ambiguous::Drop,
            absent: Absent::Unknown,
            min_overlap: 0.1,
            assembly: None,
            preset: None,
        }
    }
}

impl Policies {
    /// Returns the policies of a preset.
    #[must_use]
    pub fn preset(preset: Preset) -> Self {
        match preset {
            Preset::Predixcan => Self {
                missing: Missing::Ref,
                ambiguous: Ambiguous::Keep,
                min_overlap: 0.0,
                preset: Some(preset),
                ..Self::default()
            },
        }
    }
}

/// Defines the names that requests and flags use for a policy's values.
macro_rules! names {
    ($policy:ty, $what:literal, $($name:literal => $value:expr),+) => {
        impl $policy {
            /// The names of all values.
            pub const NAMES: &'static [&'static str] = &[$($name),+];
        }

        impl std::str::FromStr for $policy {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, String> {
                match text {
                    $($name => Ok($value),)+
                    _ => Err(format!("'{text}' is no value of {}; there are: {}", $what, Self::NAMES.join(", "))),
                }
            }
        }
    };
}

names!(Missing, "missing", "mean" => Self::Mean, "cohort" => Self::Cohort, "ref" => Self::Ref, "drop" => Self::Drop,
    "error" => Self::Error);
names!(Ambiguous, "ambiguous", "drop" => Self::Drop, "keep" => Self::Keep, "frequency" => Self::Frequency);
names!(Absent, "absent", "unknown" => Self::Unknown, "homref" => Self::Homref);
names!(Preset, "preset", "predixcan" => Self::Predixcan);
