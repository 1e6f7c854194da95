//! Tables line by line, with errors that name file, line and column.
//!
//! Imports `genome` and `reference`, whose [`Source`] opens, decompresses and checks the text. Invariant: every
//! [`Row`] knows its file and its 1-based line.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use crate::genome::{Chromosome, GenomeError};
use crate::reference::source::{Quoted, Source, SourceError};

/// A line of a table that is not what its format asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableError {
    /// The file.
    pub file: Arc<str>,
    /// The line, counted from 1.
    pub line: u64,
    /// The field's number, counted from 1, and its name, where one is to blame.
    pub column: Option<(usize, Box<str>)>,
    /// What is wrong.
    pub problem: TableProblem,
}

impl std::error::Error for TableError {}

impl fmt::Display for TableError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, line {}", self.file, self.line)?;
        if let Some((number, name)) = &self.column {
            write!(f, ", column {number} ({name})")?;
        }
        write!(f, ": {}", self.problem)
    }
}

/// What is wrong with a line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TableProblem {
    /// The file ended before its header or its first entry.
    #[error("the file ends before {0}")]
    Ended(&'static str),
    /// A line has too many or too few fields.
    #[error("{found} fields where {expected} are expected")]
    FieldCount {
        /// How many there are.
        found: usize,
        /// How many there should be.
        expected: usize,
    },
    /// The header is not the format's.
    #[error("the header has no {0}")]
    NoHeading(&'static str),
    /// The first line is no header.
    #[error("the first line is no header: {0}")]
    NoHeader(&'static str),
    /// A field has nothing in it.
    #[error("the field is empty")]
    EmptyField,
    /// A field should be a number.
    #[error("{0} is not a finite number")]
    NotANumber(Quoted),
    /// A field should be a whole number.
    #[error("{0} is not a whole number from 0")]
    NotAWholeNumber(Quoted),
    /// An interval ends before it starts.
    #[error("it ends at {end}, before its start {start}")]
    EndBeforeStart {
        /// The start, counted from 0.
        start: u32,
        /// The end.
        end: u32,
    },
    /// A word of the genome's vocabulary is wrong.
    #[error(transparent)]
    Genome(#[from] GenomeError),
    /// A sample is there twice.
    #[error("the sample {0} is there already: samples have to be unique")]
    DuplicateSample(Quoted),
    /// A gene is there twice.
    #[error("the gene {gene} is on line {first} already: write one row a gene (version suffixes do not count)")]
    DuplicateGene {
        /// The gene as this line spells it.
        gene: Quoted,
        /// The line that has it, counted from 1.
        first: u64,
    },
    /// A covariate is there twice.
    #[error("the covariate {0} is there already: covariates need names of their own")]
    DuplicateCovariate(Quoted),
    /// A covariate is not known of a sample.
    #[error("the covariate {covariate} is missing for the sample {sample}: fill it in or leave one of them out")]
    MissingCovariate {
        /// The covariate.
        covariate: Quoted,
        /// The sample.
        sample: Quoted,
    },
    /// A covariate has both numbers and words.
    #[error("the covariate {covariate} has words and numbers, such as {word} and {number}: write only one kind")]
    MixedCovariate {
        /// The covariate.
        covariate: Quoted,
        /// A word.
        word: Quoted,
        /// A number.
        number: Quoted,
    },
    /// A covariate's words are nearly all different.
    #[error("the covariate {covariate} has {levels} different words for {people} people: is it an identifier?")]
    TooManyLevels {
        /// The covariate.
        covariate: Quoted,
        /// How many words.
        levels: usize,
        /// How many people.
        people: usize,
    },
    /// No sample of the table is one of the cohort.
    #[error("neither the header nor the first columns have the cohort's samples, such as {0}")]
    NoSamples(Quoted),
}

/// A table that is read line by line.
pub(in crate::training) struct Table {
    source: Source,
    file: Arc<str>,
    line: u64,
}

impl Table {
    pub(in crate::training) fn open(path: &Path) -> Result<Self, SourceError> {
        Ok(Self::new(Source::open(path)?))
    }

    pub(in crate::training) fn new(source: Source) -> Self {
        Self { file: source.file().into(), source, line: 0 }
    }

    /// Returns the next line, empty ones included.
    pub(in crate::training) fn next(&mut self) -> Result<Option<Row<'_>>, SourceError> {
        let Some(line) = self.source.next_line()? else { return Ok(None) };
        self.line += 1;
        Ok(Some(Row { file: &self.file, line: self.line, text: line.text() }))
    }

    /// Makes an error about the last line that was read.
    pub(in crate::training) fn wrong(&self, problem: impl Into<TableProblem>) -> TableError {
        TableError { file: Arc::clone(&self.file), line: self.line, column: None, problem: problem.into() }
    }

    pub(in crate::training) fn file(&self) -> Arc<str> {
        Arc::clone(&self.file)
    }
}

/// A line of a [`Table`].
#[derive(Clone, Copy)]
pub(in crate::training) struct Row<'a> {
    file: &'a Arc<str>,
    pub(in crate::training) line: u64,
    pub(in crate::training) text: &'a str,
}

impl<'a> Row<'a> {
    /// Returns the fields: between tabs where there is one, else between blanks.
    pub(in crate::training) fn fields(&self) -> Vec<&'a str> {
        if self.text.contains('\t') {
            self.text.split('\t').map(str::trim).collect()
        } else {
            self.text.split_whitespace().collect()
        }
    }

    pub(in crate::training) fn wrong(&self, problem: impl Into<TableProblem>) -> TableError {
        TableError { file: Arc::clone(self.file), line: self.line, column: None, problem: problem.into() }
    }

    /// Makes an error about the field with this 0-based index and this name.
    pub(in crate::training) fn wrong_field(
        &self,
        (index, name): (usize, &str),
        problem: impl Into<TableProblem>,
    ) -> TableError {
        TableError { column: Some((index + 1, name.into())), ..self.wrong(problem) }
    }

    pub(in crate::training) fn chromosome(&self, at: (usize, &str), text: &str) -> Result<Chromosome, TableError> {
        Chromosome::parse(text).map_err(|error| self.wrong_field(at, error))
    }

    pub(in crate::training) fn whole(&self, at: (usize, &str), text: &str) -> Result<u32, TableError> {
        whole(text).ok_or_else(|| self.wrong_field(at, TableProblem::NotAWholeNumber(Quoted::new(text))))
    }
}

/// Parses a whole number from 0; R writes round ones as 8.4e+07.
pub(in crate::training) fn whole(text: &str) -> Option<u32> {
    text.parse().ok().or_else(|| {
        let value = number(text).filter(|_| text.contains(['e', 'E']))?;
        let fits = value.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(&value);
        #[expect(clippy::cast_sign_loss, reason = "it was just found to be in range")]
        fits.then_some(value as u32)
    })
}

/// Returns whether a field says that its value is not known.
pub(in crate::training) fn is_missing(text: &str) -> bool {
    matches!(text, "" | "." | "NA" | "N/A" | "NaN" | "nan" | "na" | "NULL")
}

/// Parses a finite number.
pub(in crate::training) fn number(text: &str) -> Option<f64> {
    text.parse().ok().filter(|value: &f64| value.is_finite())
}
