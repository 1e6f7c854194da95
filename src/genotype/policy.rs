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

#[expect(clippy::ref_option, reason = "serde gives a reference to the field")]
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

/// Policies as a request or a command line chooses them: what is left out is the preset's, or the default.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PolicyChoices {
    /// A set of policies to start from.
    pub preset: Option<Preset>,
    /// Missing genotypes.
    pub missing: Option<Missing>,
    /// Palindromic variants.
    pub ambiguous: Option<Ambiguous>,
    /// Sites without a record.
    pub absent: Option<Absent>,
    /// The least overlap.
    pub min_overlap: Option<f64>,
    /// The input's assembly.
    pub assembly: Option<Assembly>,
}

impl PolicyChoices {
    /// Returns the policies that follow from the choices.
    #[must_use]
    pub fn policies(self) -> Policies {
        let base = self.preset.map_or_else(Policies::default, Policies::preset);
        Policies {
            missing: self.missing.unwrap_or(base.missing),
            ambiguous: self.ambiguous.unwrap_or(base.ambiguous),
            absent: self.absent.unwrap_or(base.absent),
            min_overlap: self.min_overlap.unwrap_or(base.min_overlap),
            assembly: self.assembly,
            preset: base.preset,
        }
    }
}

/// Parses a share from 0 to 1.
///
/// # Errors
/// It is no number, or outside.
pub fn share(text: &str) -> Result<f64, String> {
    let share = text.parse().ok().filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| format!("'{text}' is no share: write a number from 0 to 1"))
}
