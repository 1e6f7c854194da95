//! Text dosages as the `PrediXcan` tools read them: lines `chr id pos a0 a1 freq d1 … dN` without a header.
//!
//! The columns are parted by tabs or blanks. A dosage counts `a1`, so `a0` is the reference allele here and `a1` the
//! alternative; `freq` is not used; `NA` and `.` are missing dosages. The people are in a second file
//! (`sample_file`). Several files, one a chromosome, are read in the natural order of their names (chr2
//! before chr10). Imports `genome` alone. Invariant: the dosages of a line are parsed only when they are asked for.

mod number;

use std::cmp::Ordering;
use std::collections::VecDeque;

use super::input::{Input, Lines};
use super::{
    DosageRow, Fault, GenotypeError, GenotypeSource, Limit, Place, ReadLimits, Samples, Site, dosage, sample_file,
};
use crate::genome::{Assembly, Chromosome, Position};

/// The columns before the dosages.
const COLUMNS: [&str; 6] = ["chr", "id", "pos", "a0", "a1", "freq"];

/// A source of text dosages.
pub struct DosageTextSource {
    waiting: VecDeque<Input>,
    lines: Option<Lines>,
    samples: Samples,
    limits: ReadLimits,
    records: u64,
    chromosome: Option<(Box<[u8]>, Chromosome)>,
    position: Option<Position>,
    /// The ends of the first six columns in the line, from the end of the one before.
    columns: [(usize, usize); COLUMNS.len()],
}

impl DosageTextSource {
    /// Opens dosages, in one file or several, and the list of their people.
    ///
    /// # Errors
    /// There is no file of dosages, or the list of people cannot be read.
    pub fn open(dosages: Vec<Input>, samples: Input, limits: &ReadLimits) -> Result<Self, GenotypeError> {
        if dosages.is_empty() {
            return Err(GenotypeError::malformed("there is no file of dosages: send at least one"));
        }
        let samples = sample_file::read(samples, limits)?;
        let mut waiting = dosages;
        waiting.sort_by(|a, b| natural_order(a.name(), b.name()));
        Ok(Self {
            waiting: waiting.into(),
            lines: None,
            samples,
            limits: limits.clone(),
            records: 0,
            chromosome: None,
            position: None,
            columns: Default::default(),
        })
    }

    /// Goes to the next line that is not empty, in this file or the next; returns whether there is one, and whether it
    /// is its file's first.
    fn advance(&mut self) -> Result<Option<bool>, GenotypeError> {
        let mut first = false;
        loop {
            if let Some(lines) = &mut self.lines {
                while lines.advance()? {
                    if !lines.current().trim_ascii().is_empty() {
                        return Ok(Some(first));
                    }
                }
            }
            let Some(input) = self.waiting.pop_front() else {
                self.lines = None;
                return Ok(None);
            };
            self.lines = Some(Lines::new(input, &self.limits));
            first = true;
        }
    }

    /// Finds the first six columns of a line and parses the place.
    fn parse_site(&mut self, first: bool) -> Result<(), Fault> {
        let Some(lines) = &self.lines else { return Ok(()) };
        let line = lines.current();
        let mut at = 0;
        for (number, column) in self.columns.iter_mut().enumerate() {
            let Some((start, end)) = next_field(line, at) else {
                let missing = COLUMNS.get(number).copied().unwrap_or_default();
                return Err(Fault::Malformed(format!(
                    "the line ends before its column {} ({missing}): lines are 'chr id pos a0 a1 freq d1 …'",
                    number + 1
                )));
            };
            *column = (start, end);
            at = end;
        }
        let text = |column: usize| {
            let (start, end) = self.columns.get(column).copied().unwrap_or_default();
            line.get(start..end).unwrap_or_default()
        };
        for (column, name) in COLUMNS.iter().enumerate().take(5) {
            if std::str::from_utf8(text(column)).is_err() {
                return Err(field(name, "it is not UTF-8 text"));
            }
        }
        let written = text(0);
        if self.chromosome.as_ref().is_none_or(|(known, _)| **known != *written) {
            let chromosome = Chromosome::parse(&String::from_utf8_lossy(written));
            self.chromosome = Some((written.into(), chromosome.map_err(|error| field("chr", error.to_string()))?));
        }
        let written = text(2);
        self.position = if is_missing(written) || written == b"0" {
            None
        } else {
            let hint = if first { "; the files have no header line" } else { "" };
            let position = Position::parse(&String::from_utf8_lossy(written));
            Some(position.map_err(|error| field("pos", format!("{error}{hint}")))?)
        };
        if first {
            self.check_width(line)?;
        }
        Ok(())
    }

    /// Checks that a line has a dosage for each person.
    fn check_width(&self, line: &[u8]) -> Result<(), Fault> {
        let [.., (_, mut at)] = self.columns;
        let mut found = 0;
        while let Some((_, end)) = next_field(line, at) {
            found += 1;
            at = end;
        }
        if found == self.samples.len() { Ok(()) } else { Err(self.wrong_width(found)) }
    }

    fn wrong_width(&self, found: usize) -> Fault {
        let expected = self.samples.len();
        Fault::Malformed(format!(
            "the line has {found} dosages, the list of samples has {expected} people: there has to be one dosage for each"
        ))
    }

    /// Parses the dosages of `a1`.
    fn parse_row(&self, line: &[u8], row: &mut DosageRow) -> Result<(), Fault> {
        let [.., (_, mut at)] = self.columns;
        row.values.reserve(self.samples.len());
        while let Some((start, end)) = next_field(line, at) {
            at = end;
            let text = line.get(start..end).unwrap_or_default();
            let value = match number::parse(text) {
                Some(value) => dosage(value),
                None if is_missing(text) => Ok(f32::NAN),
                None => Err(format!(
                    "'{}' is no dosage: dosages are numbers from 0 to 2, or NA",
                    String::from_utf8_lossy(text.get(..40).unwrap_or(text))
                )),
            };
            let value = value.map_err(|reason| field(&format!("d{}", row.values.len() + 1), reason))?;
            if row.values.len() == self.samples.len() {
                self.check_width(line)?;
            }
            row.missing += usize::from(value.is_nan());
            row.values.push(value);
        }
        if row.values.len() == self.samples.len() { Ok(()) } else { Err(self.wrong_width(row.values.len())) }
    }

    /// A column of the current line, which [`Self::parse_site`] found to be text.
    fn column(&self, column: usize) -> &str {
        let line = self.lines.as_ref().map(Lines::current).unwrap_or_default();
        let (start, end) = self.columns.get(column).copied().unwrap_or_default();
        line.get(start..end).and_then(|text| std::str::from_utf8(text).ok()).unwrap_or_default()
    }
}

impl GenotypeSource for DosageTextSource {
    fn format(&self) -> &'static str {
        "dosage_text"
    }

    fn samples(&self) -> &Samples {
        &self.samples
    }

    fn assembly(&self) -> Option<&Assembly> {
        None
    }

    fn next_site(&mut self) -> Result<Option<Site<'_>>, GenotypeError> {
        let Some(first) = self.advance()? else { return Ok(None) };
        self.records += 1;
        let parsed = if self.records > self.limits.records {
            Err(Fault::Limit { limit: Limit::Records, most: self.limits.records })
        } else {
            self.parse_site(first)
        };
        if let Err(fault) = parsed {
            return Err(self.fault(fault));
        }
        let ids = self.column(1);
        Ok(Some(Site {
            chromosome: self.chromosome.as_ref().map(|(_, chromosome)| chromosome),
            position: self.position,
            ids: if is_missing(ids.as_bytes()) { "" } else { ids },
            reference: self.column(3),
            alternatives: self.column(4),
        }))
    }

    fn place(&self) -> Place {
        self.lines.as_ref().map_or(Place::Whole, Lines::place)
    }

    fn dosages(&mut self, allele: usize, row: &mut DosageRow) -> Result<(), GenotypeError> {
        row.values.clear();
        row.haploid.clear();
        row.missing = 0;
        let Some(lines) = self.lines.as_ref().filter(|_| allele < 2) else {
            return Err(self.fault(field("allele", format!("the record has no allele {allele}"))));
        };
        self.parse_row(lines.current(), row).map_err(|fault| self.fault(fault))?;
        if allele == 0 {
            row.values.iter_mut().for_each(|value| *value = 2.0 - *value);
        }
        Ok(())
    }
}

impl DosageTextSource {
    fn fault(&self, fault: Fault) -> GenotypeError {
        match &self.lines {
            Some(lines) => lines.fault(fault),
            None => GenotypeError::new(fault),
        }
    }
}

fn field(field: &str, reason: impl Into<String>) -> Fault {
    Fault::Field { field: field.to_owned(), reason: reason.into() }
}

const fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

/// Returns where the next field begins and ends, from `at` on.
#[inline]
fn next_field(line: &[u8], at: usize) -> Option<(usize, usize)> {
    let rest = line.get(at..)?;
    let start = at + rest.iter().position(|byte| !is_blank(*byte))?;
    let length = line.get(start..)?.iter().position(|byte| is_blank(*byte));
    Some((start, length.map_or(line.len(), |length| start + length)))
}

fn is_missing(text: &[u8]) -> bool {
    matches!(text, b"." | b"NA" | b"NaN" | b"nan")
}

/// Compares names so that numbers in them count as numbers, whatever the case of the letters.
fn natural_order(a: &str, b: &str) -> Ordering {
    let (mut a_rest, mut b_rest) = (a.as_bytes(), b.as_bytes());
    while let (Some(a_first), Some(b_first)) = (a_rest.first(), b_rest.first()) {
        let order = if a_first.is_ascii_digit() && b_first.is_ascii_digit() {
            let (a_number, b_number) = (take_number(&mut a_rest), take_number(&mut b_rest));
            // Without leading zeros the longer number is the greater one, however long.
            a_number.len().cmp(&b_number.len()).then_with(|| a_number.cmp(b_number))
        } else {
            (a_rest, b_rest) = (a_rest.get(1..).unwrap_or_default(), b_rest.get(1..).unwrap_or_default());
            a_first.to_ascii_lowercase().cmp(&b_first.to_ascii_lowercase())
        };
        if order != Ordering::Equal {
            return order;
        }
    }
    a_rest.len().cmp(&b_rest.len()).then_with(|| a.cmp(b))
}

/// Takes the digits off the front and returns them without leading zeros.
fn take_number<'a>(rest: &mut &'a [u8]) -> &'a [u8] {
    let end = rest.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(rest.len());
    let (digits, after) = rest.split_at_checked(end).unwrap_or_default();
    *rest = after;
    let zeros = digits.iter().take_while(|digit| **digit == b'0').count();
    digits.get(zeros..).unwrap_or_default()
}

#[cfg(test)]
mod tests;
