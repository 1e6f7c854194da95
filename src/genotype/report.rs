//! What became of every variant of a model: the match report.

use std::collections::BTreeMap;

use serde::Serialize;
use serde::ser::{SerializeMap as _, Serializer};

use super::Place;

/// What became of a variant of a model; each ends in exactly one of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MatchKind {
    /// Used: the input's alternative allele is the effect allele.
    Exact,
    /// Used: the input's reference allele is the effect allele, 2 − dosage.
    Swapped,
    /// Used: the alleles fit on the other strand.
    StrandFlipped,
    /// Used: the alleles fit on the other strand and swapped.
    StrandFlippedSwapped,
    /// Not used: palindromic, and the policy did not resolve it.
    Ambiguous,
    /// Not used: a record is at the place or has the identifier, but its alleles do not fit.
    Mismatch,
    /// Used: several records fit; the first was used and the others were not.
    Duplicate,
    /// Not used: no record.
    #[default]
    Absent,
}

impl MatchKind {
    /// All kinds in the order of reports.
    pub const ALL: [Self; 8] = [
        Self::Exact,
        Self::Swapped,
        Self::StrandFlipped,
        Self::StrandFlippedSwapped,
        Self::Ambiguous,
        Self::Mismatch,
        Self::Duplicate,
        Self::Absent,
    ];

    /// Returns the name in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Swapped => "swapped",
            Self::StrandFlipped => "strand_flipped",
            Self::StrandFlippedSwapped => "strand_flipped_swapped",
            Self::Ambiguous => "ambiguous",
            Self::Mismatch => "mismatch",
            Self::Duplicate => "duplicate",
            Self::Absent => "absent",
        }
    }

    /// Returns whether a variant of this kind has a part in the prediction.
    #[must_use]
    pub const fn is_used(self) -> bool {
        !matches!(self, Self::Ambiguous | Self::Mismatch | Self::Absent)
    }
}

/// How many variants ended in each kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct KindCounts([u64; 8]);

impl KindCounts {
    /// Counts one variant.
    pub fn add(&mut self, kind: MatchKind) {
        self.0[kind as usize] += 1;
    }

    /// Adds the counts of another set of variants.
    pub fn merge(&mut self, other: &Self) {
        self.0.iter_mut().zip(other.0).for_each(|(sum, count)| *sum += count);
    }

    /// Returns how many variants ended in `kind`.
    #[must_use]
    pub fn of(&self, kind: MatchKind) -> u64 {
        self.0[kind as usize]
    }

    /// Returns how many variants there are.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// Returns how many variants were used.
    #[must_use]
    pub fn used(&self) -> u64 {
        MatchKind::ALL.iter().filter(|kind| kind.is_used()).map(|kind| self.of(*kind)).sum()
    }
}

impl Serialize for KindCounts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(8))?;
        for kind in MatchKind::ALL {
            map.serialize_entry(kind.name(), &self.of(kind))?;
        }
        map.end()
    }
}

/// What became of one variant of one gene, for `report=variants`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct VariantOutcome {
    /// The identifier in the model, or its place and alleles where it has none.
    pub variant: String,
    /// The chromosome in the model.
    pub chromosome: Option<String>,
    /// The position in the model.
    pub position: Option<u32>,
    /// The allele that is not counted.
    pub other_allele: String,
    /// The counted allele.
    pub effect_allele: String,
    /// The weight, where the model has one number for it.
    pub weight: Option<f64>,
    /// What became of it.
    pub kind: MatchKind,
    /// Why it was not used, or what was done to use it, in a sentence.
    pub reason: String,
    /// The record that it was compared with.
    pub record: Option<MatchedRecord>,
    /// Records after the first that fitted as well and were not used.
    pub duplicates: u32,
    /// How many people's genotypes were missing in the record.
    pub missing_genotypes: u64,
}

/// A record of the input.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MatchedRecord {
    /// Its line or number in the input.
    #[serde(serialize_with = "place")]
    pub place: Place,
    /// Its identifiers.
    pub id: String,
    /// Its chromosome.
    pub chromosome: Option<String>,
    /// Its position.
    pub position: Option<u32>,
    /// Its reference allele.
    #[serde(rename = "ref")]
    pub reference: String,
    /// Its alternative alleles.
    pub alt: String,
}

fn place<S: Serializer>(place: &Place, serializer: S) -> Result<S::Ok, S::Error> {
    match place {
        Place::Whole => serializer.serialize_none(),
        Place::Line(line) => serializer.serialize_str(&format!("line {line}")),
        Place::Record(record) => serializer.serialize_str(&format!("record {record}")),
    }
}

/// One model's part of the report.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ModelReport {
    /// The model's name.
    pub model: String,
    /// The assembly that its positions were matched on; null where only identifiers were.
    pub matched_on: Option<String>,
    /// Its variants in the genes that were asked for.
    pub by_kind: KindCounts,
    /// The share of the variants that a record fits, of those that could have one: found ÷ the smaller of the model's variants on the submitted
    /// chromosomes and the submitted records on them.
    pub overlap: f64,
    /// Genes that were asked for.
    pub genes: usize,
    /// Genes with a value for at least one person.
    pub genes_predicted: usize,
    /// Genes below the least overlap.
    pub genes_below_min_overlap: usize,
    /// Genes of whose variants none was used.
    pub genes_without_variants: usize,
    /// Genes that the model counts no variant for, so that it predicts nothing for anybody.
    pub genes_without_model: usize,
    /// What is wrong, where the overlap is low.
    pub diagnosis: Option<Diagnosis>,
}

/// Why so little matched, and what would match.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Diagnosis {
    /// What was found, in plain words, the likeliest cause first.
    pub summary: String,
    /// What was tried: a description and the share of the sampled records that would match.
    pub tried: Vec<Trial>,
    /// Records that were sampled.
    pub sampled_records: usize,
}

/// One explanation that was tried.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Trial {
    /// What was assumed.
    pub hypothesis: String,
    /// The share of sampled records that would match if it were so.
    pub would_match: f64,
    /// What to do if it is so.
    pub remedy: String,
}

/// The whole report of a submission.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// Records that were read.
    pub records: u64,
    /// Records that no model's gene asked for, or that could not be used.
    pub records_unused: u64,
    /// The input's format.
    pub format: String,
    /// The input's assembly, and how it is known: `request`, `input`, or null where neither names it.
    pub assembly: Option<AssemblyFound>,
    /// The policies that were followed.
    pub policies: super::Policies,
    /// Variants of all models by kind.
    pub by_kind: KindCounts,
    /// Records that fitted a variant which another record had been used for.
    pub duplicate_records: u64,
    /// Genotypes that were missing in records that were used.
    pub missing_genotypes: u64,
    /// Values that are not known because a genotype was missing.
    pub values_lost_to_missing: u64,
    /// Haploid calls in records that were used.
    pub haploid_calls: u64,
    /// By model, in the order of the request.
    pub models: Vec<ModelReport>,
    /// The first model's diagnosis that is not null.
    pub diagnosis: Option<Diagnosis>,
    /// What else the reader should know, in sentences.
    pub notes: Vec<String>,
    /// Records that were used, by chromosome.
    pub used_by_chromosome: BTreeMap<String, u64>,
    /// Variants of all models by chromosome and kind; `unknown` where neither the model nor a record tells a variant's
    /// chromosome. Adds up to [`Report::by_kind`].
    pub by_chromosome: BTreeMap<String, KindCounts>,
}

/// The input's assembly.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AssemblyFound {
    /// Its name.
    pub name: String,
    /// `request` or `input`.
    pub from: &'static str,
}
