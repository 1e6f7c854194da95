//! The forms of an answer: JSON, TSV, phenotype BED, Arrow and Parquet; and the logs of single variants and of what
//! each has added.
//!
//! | form | one row | unknown | numbers | leaves |
//! | --- | --- | --- | --- | --- |
//! | JSON | a gene | `null` | 10 digits | gene by gene |
//! | TSV | a person | `NA` | 10 digits | at the end: a row needs every gene |
//! | BED | a gene | `NA` | 10 digits | gene by gene |
//! | Arrow | a gene | null | 64 bits | by batches of at most 64 genes or 8 MB |
//! | Parquet | a gene | null | 64 bits | by row groups |
//!
//! Every form writes into an [`Output`], as the rows come, and stops at the first failure: a reader that has gone
//! stops the work. Positions count from 1 everywhere but in BED. Imports what `prediction` may. Invariant: a form
//! writes every gene that it is given exactly once, and an answer that was not finished does not look like one that
//! was.

mod arrow;
mod bed;
mod columns;
mod explanations;
mod json;
mod number;
mod output;
mod parquet;
#[cfg(test)]
mod tests;
mod tsv;
mod variants;

use std::borrow::Cow;
use std::io::Write;
use std::path::Path;

use serde::Serialize;

pub use arrow::ArrowAnswer;
pub use bed::{BedAnswer, UNPLACED};
pub use explanations::{BASE, ExplanationLog};
pub use json::JsonAnswer;
pub use output::{Output, Packing};
pub use parquet::ParquetAnswer;
pub use tsv::TsvAnswer;
pub use variants::VariantLog;

use super::{Answer, AnswerError, GeneAnswer, Heading};
use crate::genotype::report::Report;
use crate::model::expression::{ServedGenotypeModel, name_among};

/// What an unknown cell of a text table says.
const UNKNOWN: &[u8] = b"NA";

/// A form of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Form {
    /// `application/json`.
    Json,
    /// The reference tool's table: a row a person.
    Tsv,
    /// Phenotype BED: a row a gene, by place.
    Bed,
    /// An Arrow IPC stream.
    Arrow,
    /// A Parquet file.
    Parquet,
}

impl Form {
    /// All forms.
    pub const ALL: [Self; 5] = [Self::Json, Self::Tsv, Self::Bed, Self::Arrow, Self::Parquet];

    /// Returns the short name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Tsv => "tsv",
            Self::Bed => "bed",
            Self::Arrow => "arrow",
            Self::Parquet => "parquet",
        }
    }

    /// Returns the media type without parameters.
    #[must_use]
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Tsv => "text/tab-separated-values",
            Self::Bed => "text/x-bed",
            Self::Arrow => "application/vnd.apache.arrow.stream",
            Self::Parquet => "application/vnd.apache.parquet",
        }
    }

    /// Returns the form and the packing of a file by the ending of its name, in either case. The text forms may end
    /// in `.gz` and are then bgzip, which every reader of gzip reads. `.arrow` and `.arrows` are both Arrow's stream.
    ///
    /// # Errors
    /// The ending is none of those that are known; the text names them.
    ///
    /// ```
    /// use tissuecast::prediction::answer::{Form, Packing};
    /// assert_eq!(Form::of_path("out/a.BED.gz".as_ref())?, (Form::Bed, Packing::Bgzip));
    /// assert!(Form::of_path("a.csv".as_ref()).is_err());
    /// # Ok::<(), String>(())
    /// ```
    pub fn of_path(path: &Path) -> Result<(Self, Packing), String> {
        let name = path.file_name().map(|name| name.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
        let (stem, packing) = match name.strip_suffix(".gz") {
            Some(stem) => (stem, Packing::Bgzip),
            None => (name.as_str(), Packing::Plain),
        };
        match (stem.rsplit_once('.').map_or("", |(_, ending)| ending), packing) {
            ("json", _) => Ok((Self::Json, packing)),
            ("tsv" | "txt", _) => Ok((Self::Tsv, packing)),
            ("bed", _) => Ok((Self::Bed, packing)),
            ("arrow" | "arrows", Packing::Plain) => Ok((Self::Arrow, packing)),
            ("parquet", Packing::Plain) => Ok((Self::Parquet, packing)),
            _ => Err(format!(
                "the ending of '{}' names no form of an answer: end it in .json, .tsv, .txt or .bed, each also with \
                 .gz, or in .arrow, .arrows or .parquet",
                path.display()
            )),
        }
    }

    /// Returns what writes an answer in this form into `w`.
    pub fn writer<'w>(self, packing: Packing, w: impl Write + Send + 'w) -> Box<dyn Answer + Send + 'w> {
        let output = Output::new(w, packing);
        match self {
            Self::Json => Box::new(JsonAnswer::new(output)),
            Self::Tsv => Box::new(TsvAnswer::new(output)),
            Self::Bed => Box::new(BedAnswer::new(output)),
            Self::Arrow => Box::new(ArrowAnswer::new(output)),
            Self::Parquet => Box::new(ParquetAnswer::new(output)),
        }
    }
}

/// Gives an answer to two: the first gets a copy of each gene, the second the gene itself; the first failure of
/// either is the failure of both.
#[derive(Debug)]
pub struct Tee<A, B>(pub A, pub B);

impl<A: Answer, B: Answer> Answer for Tee<A, B> {
    fn begin(&mut self, heading: &Heading) -> Result<(), AnswerError> {
        self.0.begin(heading)?;
        self.1.begin(heading)
    }

    fn gene(&mut self, heading: &Heading, gene: GeneAnswer) -> Result<(), AnswerError> {
        self.0.gene(heading, gene.clone())?;
        self.1.gene(heading, gene)
    }

    fn finish(&mut self, heading: &Heading, report: &Report) -> Result<(), AnswerError> {
        self.0.finish(heading, report)?;
        self.1.finish(heading, report)
    }
}

impl<T: Answer + ?Sized> Answer for Box<T> {
    fn begin(&mut self, heading: &Heading) -> Result<(), AnswerError> {
        (**self).begin(heading)
    }

    fn gene(&mut self, heading: &Heading, gene: GeneAnswer) -> Result<(), AnswerError> {
        (**self).gene(heading, gene)
    }

    fn finish(&mut self, heading: &Heading, report: &Report) -> Result<(), AnswerError> {
        (**self).finish(heading, report)
    }
}

/// A model as an answer names it.
#[derive(Debug, Serialize)]
struct ModelEntry<'a> {
    name: &'a str,
    version: &'a str,
    digest: &'a str,
    tissue: Option<&'a str>,
    assembly: Option<&'a str>,
    unit: &'a str,
}

impl<'a> ModelEntry<'a> {
    fn of(model: &'a ServedGenotypeModel) -> Self {
        let card = &model.card;
        Self {
            name: &card.name,
            version: &card.version,
            digest: &model.digest,
            tissue: card.tissue.as_deref(),
            assembly: card.assembly.as_deref(),
            unit: &card.unit,
        }
    }
}

/// Checks what every form relies on: one value a person, none of them infinite, and so each variant's contributions.
fn check(heading: &Heading, answer: &GeneAnswer) -> Result<(), AnswerError> {
    let fault = |what: String| {
        let (model, gene) = heading.gene_of(answer);
        AnswerError::Form(format!("gene '{}' of model '{}' has {what}", gene.name, model.card.name))
    };
    let people = heading.samples.len();
    if answer.values.len() != people {
        return Err(fault(format!("{} values for {people} people", answer.values.len())));
    }
    let of_variants = answer.explanation.iter().flat_map(|explanation| &explanation.variants);
    if let Some(wrong) = of_variants.clone().find(|one| one.values.len() != people) {
        return Err(fault(format!("{} contributions of a variant for {people} people", wrong.values.len())));
    }
    let contributions = of_variants.flat_map(|one| &one.values);
    if contributions.clone().any(|value| value.is_infinite()) {
        return Err(fault("an infinite contribution".to_owned()));
    }
    match answer.values.iter().position(|value| value.is_infinite()) {
        Some(at) => Err(fault(format!("an infinite value for person {}", at + 1))),
        None => Ok(()),
    }
}

/// Returns what names a gene's row or column: its model's own spelling, and with several models `MODEL:GENE`.
fn row_name(heading: &Heading, (model, gene): (usize, usize)) -> Cow<'_, str> {
    let served = &heading.models[model];
    let name = &served.model.genes()[gene].name;
    let has_several = heading.models.len() > 1;
    if has_several { format!("{}:{name}", name_among(&heading.models, model)).into() } else { Cow::Borrowed(&**name) }
}

/// Appends a cell of a text table; a blank in the place of a tab or a line break keeps the table a table.
fn push_cell(out: &mut Vec<u8>, text: &str) {
    let from = out.len();
    out.extend_from_slice(text.as_bytes());
    for byte in out.iter_mut().skip(from).filter(|byte| matches!(byte, b'\t' | b'\n' | b'\r')) {
        *byte = b' ';
    }
}

/// Appends a person's value as a cell of a text table.
fn push_value(out: &mut Vec<u8>, value: f64) {
    if value.is_nan() {
        out.extend_from_slice(UNKNOWN);
    } else {
        number::push(out, value);
    }
}

/// Returns the text of a part of the answer as JSON.
fn json_text<T: Serialize + ?Sized>(part: &T) -> Result<String, AnswerError> {
    serde_json::to_string(part).map_err(|error| AnswerError::Form(format!("it cannot be written as JSON: {error}")))
}

/// What a defect of the caller gets: genes before the heading, or after the report.
fn out_of_order() -> AnswerError {
    AnswerError::Form("the parts of the answer came in the wrong order".to_owned())
}
