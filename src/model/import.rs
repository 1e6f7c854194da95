//! Models that others trained, brought into the project's own format.
//!
//! A reader a format fills one neutral [`Draft`], which checks every row, counts what it leaves out by reason, sorts, and
//! becomes a [`Linear`]. Imports `genome`, `genotype` and `reference`. Invariant: every row of the file is either in the
//! model or counted.

pub mod draft;
pub mod extras;
pub mod frequencies;
pub mod fusion;
pub mod predictdb;
pub mod scoring_file;
pub mod table;
pub mod tigar;

use std::collections::BTreeMap;
use std::io::Read;

pub use draft::{Draft, Row};

use super::ModelError;
use super::expression::card::{GenotypeCard, ImportRecord, KIND, Liftover};
use super::expression::golden::GenotypeGolden;
use super::expression::linear::{LINEAR, Linear};
use super::expression::{GenotypeModel, linear_file};
use super::golden::FILE as GOLDEN_FILE;
use super::manifest::SCHEMA;
use crate::genome::liftover::LiftoverError;
use crate::reference::source::SourceError;

/// Why a model could not be imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The file cannot be read, or a line is malformed.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// Columns are missing.
    #[error("{table} lacks {}; it has {}", missing.join(", "), if found.is_empty() { "nothing".to_owned() } else { found.join(", ") })]
    Columns {
        /// The table or file.
        table: String,
        /// What it should have.
        missing: Vec<String>,
        /// What it has.
        found: Vec<String>,
    },
    /// The format is not recognised.
    #[error(
        "none of the formats that are read: PredictDB (SQLite), FUSION (a table with gene, a1_effect and a2), TIGAR (CHROM \
         POS REF ALT TargetID ES), a scoring file (effect_allele and effect_weight)"
    )]
    UnknownFormat,
    /// The file is R's.
    #[error(
        "an R data file, which only R reads: export its wgt.matrix and snps as a table with the columns gene chr snp \
         pos_hg19 a1_effect a2 lasso enet (write.table(…, sep = \"\\t\", quote = FALSE, row.names = FALSE))"
    )]
    RData,
    /// There are several columns of weights.
    #[error("several columns of weights: choose one of {} with --weights", .0.join(", "))]
    SeveralWeights(Vec<String>),
    /// The wanted column of weights is not there.
    #[error("no column of weights '{wanted}': there is {}", found.join(", "))]
    NoSuchWeights {
        /// What was asked for.
        wanted: String,
        /// What is there.
        found: Vec<String>,
    },
    /// No weight is left.
    #[error("no weight of the file can be used{0}")]
    NoWeights(String),
    /// Positions without an assembly.
    #[error("the file does not say which assembly its positions are of: give --assembly GRCh37 or --assembly GRCh38")]
    NoAssembly,
    /// The file is of another assembly than was said.
    #[error("the file's positions are of {file}, but --assembly says {given}")]
    OtherAssembly {
        /// What the file says.
        file: String,
        /// What was given.
        given: String,
    },
    /// A model without positions cannot be lifted.
    #[error("the model has no positions that --chain could lift")]
    NoPlaces,
    /// The chain does not start from the model's assembly.
    #[error("the chain file does not start from the model's assembly {0}{1}")]
    WrongChain(String, &'static str),
    /// The chain leads somewhere else than was said.
    #[error("the chain file does not lead to {0}: its chromosomes have other lengths")]
    WrongChainEnd(String),
    /// The chain file is malformed.
    #[error(transparent)]
    Liftover(#[from] LiftoverError),
    /// The model could not be made or stored.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// Too many rows.
    #[error("more than {0} rows")]
    TooLarge(usize),
}

/// A format of models.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Format {
    /// `PredictDB`, SQLite.
    PredictDb,
    /// A table exported from FUSION.
    Fusion,
    /// FUSION's table of models, beside one of weights.
    FusionModels,
    /// TIGAR.
    Tigar,
    /// The PGS Catalog's scoring file.
    ScoringFile,
}

impl Format {
    /// Returns the format's name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PredictDb => "PredictDB",
            Self::Fusion => "FUSION",
            Self::FusionModels => "FUSION models",
            Self::Tigar => "TIGAR",
            Self::ScoringFile => "scoring file",
        }
    }

    /// Recognises a format by the first bytes of the inflated file.
    ///
    /// # Errors
    /// It is R's format, or none that is read.
    pub fn detect(head: &[u8]) -> Result<Self, ImportError> {
        const SQLITE: &[u8] = b"SQLite format 3\0";
        if head.starts_with(SQLITE) {
            return Ok(Self::PredictDb);
        }
        // R's own marks, and the bzip2 and xz that R also writes.
        if [&b"RDX"[..], b"RDA", b"BZh", b"\xfd7zXZ"].iter().any(|magic| head.starts_with(magic)) {
            return Err(ImportError::RData);
        }
        let text = String::from_utf8_lossy(head);
        let lines = text.trim_start_matches('\u{feff}').lines().filter(|line| !line.trim().is_empty());
        for line in lines {
            let words: Vec<&str> = line.trim_start_matches('#').split_whitespace().collect();
            let has = |name: &str| words.iter().any(|word| word.eq_ignore_ascii_case(name));
            if has("TargetID") && has("ES") {
                return Ok(Self::Tigar);
            }
            if has("effect_weight") && has("effect_allele") {
                return Ok(Self::ScoringFile);
            }
            if has("gene") && has("a1_effect") {
                return Ok(Self::Fusion);
            }
            if has("gene") && (has("hsq") || words.iter().any(|word| word.starts_with("cv_r2"))) {
                return Ok(Self::FusionModels);
            }
            if !line.starts_with('#') {
                break;
            }
        }
        Err(ImportError::UnknownFormat)
    }
}

/// Reads the first bytes of a file, inflated where it is gzip.
///
/// # Errors
/// The file cannot be read or inflated.
pub fn head(mut reader: impl Read) -> std::io::Result<Vec<u8>> {
    const HEAD: u64 = 1 << 16;
    let mut raw = Vec::new();
    reader.by_ref().take(HEAD).read_to_end(&mut raw)?;
    if !raw.starts_with(&[0x1f, 0x8b]) {
        return Ok(raw);
    }
    let mut inflated = Vec::new();
    let rest = std::io::Cursor::new(raw).chain(reader);
    flate2::read::MultiGzDecoder::new(rest).take(HEAD).read_to_end(&mut inflated)?;
    Ok(inflated)
}

/// What the one who imports says of the model.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Naming {
    /// The model's name.
    pub name: String,
    /// The model's version.
    pub version: String,
    /// The tissue, where it is not the file's own to say.
    pub tissue: Option<String>,
    /// The files that it was read from, with their SHA-256.
    pub sources: BTreeMap<String, String>,
}

/// An imported model, ready to be written into the folder of models.
#[derive(Debug)]
pub struct Imported {
    /// Its card; the files' digests are still to be filled in.
    pub card: GenotypeCard,
    /// Its files.
    pub files: BTreeMap<String, Vec<u8>>,
}

impl Imported {
    /// Makes card and files of a draft's model.
    ///
    /// # Errors
    /// The model cannot be stored, or gives numbers that are not finite.
    pub fn new(built: draft::Built, liftover: Option<Liftover>, naming: Naming) -> Result<Self, ImportError> {
        let draft::Built { model, about, left_out, notes } = built;
        let mut files = linear_file::store(&model)?;
        let golden = GenotypeGolden::record(&model)?;
        let golden = serde_json::to_vec(&golden)
            .map_err(|error| ModelError::File { file: GOLDEN_FILE.to_owned(), reason: error.to_string() })?;
        files.insert(GOLDEN_FILE.to_owned(), golden);
        let Naming { name, version, tissue, sources } = naming;
        let tissue = tissue.or(about.tissue);
        let table = model.variants();
        let card = GenotypeCard {
            schema: SCHEMA,
            kind: KIND.to_owned(),
            name,
            version,
            method: LINEAR.to_owned(),
            description: description(about.format, &model),
            tissue,
            assembly: table.assembly.as_ref().map(|assembly| assembly.as_str().to_owned()),
            liftover,
            unit: about.format.unit().to_owned(),
            genes: model.genes().len(),
            weights: table.rows.len(),
            has_frequencies: table.rows.iter().any(|row| row.frequency.is_some()),
            n_samples: about.n_samples,
            population: about.population,
            import: Some(ImportRecord {
                format: about.format.as_str().to_owned(),
                sources,
                left_out,
                notes,
                tissuecast_version: env!("CARGO_PKG_VERSION").to_owned(),
            }),
            training: None,
            accuracy: Vec::new(),
            files: BTreeMap::new(),
        };
        Ok(Self { card, files })
    }
}

impl Format {
    fn unit(self) -> &'static str {
        match self {
            Self::ScoringFile => "score: sum of weight x dosage, without a centre",
            _ => "normalised expression of the training set, known up to a constant",
        }
    }
}

fn description(format: Format, model: &Linear) -> String {
    let (genes, rows) = (model.genes().len(), model.variants().rows.len());
    format!(
        "Sparse linear model imported from {}: for each of {genes} genes the sum over its variants of weight x dosage of \
         the effect allele, {rows} weights in all, no intercept. Trained by others; its accuracy is as they gave it.",
        format.as_str()
    )
}

#[cfg(test)]
mod tests;
