//! Text tables with a header: columns by name, fields by tab, or by blanks where the header has no tab.

use super::ImportError;
use crate::reference::source::{Line, Problem, Quoted, Source, SourceError};

/// A table whose header has been read.
pub struct Table {
    source: Source,
    /// The headings, without a leading `#`.
    pub headings: Vec<String>,
    /// The lines before the header, without their `#`.
    pub comments: Vec<String>,
    tabs: bool,
}

/// How many comment lines are kept.
const MOST_COMMENTS: usize = 1_000;

impl Table {
    /// Reads up to the header: the first line that is no comment, or a line of `#` in which `is_header` finds its columns.
    ///
    /// # Errors
    /// The file cannot be read or has no header.
    pub fn open(mut source: Source, is_header: impl Fn(&[&str]) -> bool) -> Result<Self, ImportError> {
        let mut comments = Vec::new();
        loop {
            let Some(line) = source.next_line()? else {
                return Err(source.malformed(Problem::Ended("its header")).into());
            };
            let text = line.text();
            if text.trim().is_empty() {
                continue;
            }
            let bare = text.trim_start_matches('#');
            let tabs = bare.contains('\t');
            let words = split(bare, tabs);
            if bare.len() < text.len() && !is_header(&words) {
                if comments.len() < MOST_COMMENTS {
                    comments.push(bare.trim().to_owned());
                }
                continue;
            }
            let headings = words.iter().map(|word| (*word).to_owned()).collect();
            return Ok(Self { source, headings, comments, tabs });
        }
    }

    /// Returns the index of the first heading that has one of these names, in either case.
    #[must_use]
    pub fn find(&self, names: &[&str]) -> Option<usize> {
        names.iter().find_map(|name| self.headings.iter().position(|heading| heading.eq_ignore_ascii_case(name)))
    }

    /// Finds columns that must be there.
    ///
    /// # Errors
    /// Names every one that is missing.
    pub fn require<const N: usize>(&self, names: [&str; N]) -> Result<[usize; N], ImportError> {
        let missing: Vec<String> =
            names.iter().filter(|name| self.find(&[name]).is_none()).map(|name| (*name).to_owned()).collect();
        if !missing.is_empty() {
            let (table, found) = (self.source.file().to_owned(), self.headings.clone());
            return Err(ImportError::Columns { table, missing, found });
        }
        Ok(names.map(|name| self.find(&[name]).unwrap_or_default()))
    }

    /// Hands over every row that is no comment.
    ///
    /// # Errors
    /// The file cannot be read, a row has another number of fields than the header, or `take` fails.
    pub fn each(mut self, mut take: impl FnMut(&Fields<'_>) -> Result<(), ImportError>) -> Result<(), ImportError> {
        let (tabs, expected) = (self.tabs, self.headings.len());
        while let Some(line) = self.source.next_line()? {
            let text = line.text();
            if text.trim().is_empty() || text.starts_with('#') {
                continue;
            }
            let fields = split(text, tabs);
            if fields.len() != expected {
                return Err(line.wrong(Problem::FieldCount { found: fields.len(), expected }).into());
            }
            take(&Fields { line, fields })?;
        }
        Ok(())
    }
}

fn split(text: &str, tabs: bool) -> Vec<&str> {
    if tabs { text.split('\t').map(str::trim).collect() } else { text.split_whitespace().collect() }
}

/// A row.
pub struct Fields<'a> {
    line: Line<'a>,
    fields: Vec<&'a str>,
}

impl<'a> Fields<'a> {
    /// Returns a field's text.
    #[must_use]
    pub fn text(&self, index: usize) -> &'a str {
        self.fields.get(index).copied().unwrap_or_default()
    }

    /// Returns a field's text where there is such a column.
    #[must_use]
    pub fn maybe(&self, index: Option<usize>) -> Option<&'a str> {
        index.map(|index| self.text(index)).filter(|text| super::draft::is_given(text))
    }

    /// Parses a number; `None` for a field without a value.
    ///
    /// # Errors
    /// The field is neither a number nor without a value.
    pub fn number(&self, index: usize, name: &str) -> Result<Option<f64>, SourceError> {
        let text = self.text(index);
        if !super::draft::is_given(text) {
            return Ok(None);
        }
        text.parse().map(Some).map_err(|_| self.line.wrong_field(index, name, Problem::NotANumber(Quoted::new(text))))
    }
}
