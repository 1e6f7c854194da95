//! Intervals of BED files, and whether a base lies in one.
//!
//! Imports `genome` and the cohort's tables. Invariant: intervals are merged and ascending.

use std::collections::HashMap;

use super::AnnotationError;
use crate::genome::Chromosome;
use crate::training::cohort::{Row, Table, TableProblem, whole};

/// A BED file's intervals by chromosome, counted from 0, the end left out.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Intervals(HashMap<Chromosome, Vec<(u32, u32)>>);

impl Intervals {
    /// Takes the rest of a BED file; `first` is its first line, where it holds an interval.
    pub(super) fn read(mut self, mut table: Table) -> Result<Self, AnnotationError> {
        while let Some(row) = table.next()? {
            self.add(&row)?;
        }
        if self.0.is_empty() {
            return Err(table.wrong(TableProblem::Ended("its first interval")).into());
        }
        for spans in self.0.values_mut() {
            *spans = merged(std::mem::take(spans));
        }
        Ok(self)
    }

    /// Adds a line; comments hold nothing.
    pub(super) fn add(&mut self, row: &Row<'_>) -> Result<(), AnnotationError> {
        if is_comment(row.text) {
            return Ok(());
        }
        let fields = row.fields();
        let [chromosome, start, end, ..] = fields[..] else {
            return Err(row.wrong(TableProblem::FieldCount { found: fields.len(), expected: 3 }).into());
        };
        let chromosome = row.chromosome((0, "chrom"), chromosome)?;
        let (start, end) = (row.whole((1, "chromStart"), start)?, row.whole((2, "chromEnd"), end)?);
        if end < start {
            return Err(row.wrong_field((2, "chromEnd"), TableProblem::EndBeforeStart { start, end }).into());
        }
        self.0.entry(chromosome).or_default().push((start, end));
        Ok(())
    }

    /// Returns whether a base, counted from 1, lies in an interval.
    pub(super) fn contain(&self, chromosome: &Chromosome, base: u32) -> bool {
        self.0.get(chromosome).is_some_and(|spans| contain(spans, base))
    }
}

/// Returns whether a base, counted from 1, lies in one of the merged spans.
pub(super) fn contain(spans: &[(u32, u32)], base: u32) -> bool {
    let at = spans.partition_point(|(_, end)| *end < base);
    spans.get(at).is_some_and(|(start, _)| *start < base)
}

/// Sorts spans and joins those that overlap or touch.
pub(super) fn merged(mut spans: Vec<(u32, u32)>) -> Vec<(u32, u32)> {
    spans.sort_unstable();
    let mut merged: Vec<(u32, u32)> = Vec::with_capacity(spans.len());
    for (start, end) in spans {
        match merged.last_mut() {
            Some(last) if start <= last.1 => last.1 = last.1.max(end),
            _ => merged.push((start, end)),
        }
    }
    merged
}

/// Returns whether a line of a BED file holds no interval.
pub(super) fn is_comment(text: &str) -> bool {
    let text = text.trim();
    text.is_empty() || text.starts_with('#') || text.starts_with("track") || text.starts_with("browser")
}

/// Returns whether a line is one of a BED file: a name and two whole numbers.
pub(super) fn is_interval(row: &Row<'_>) -> bool {
    let fields = row.fields();
    [1, 2].iter().all(|at| fields.get(*at).is_some_and(|text| whole(text).is_some()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::source::tests::text;

    #[test]
    fn a_base_is_in_an_interval_from_start_plus_one_to_end() {
        let file = "track name=x\nchr1\t10\t20\tTF\n1 15 30\nchr1\t4e+01\t41\n";
        let intervals = Intervals::default().read(Table::new(text(file))).unwrap();
        let chromosome = Chromosome::parse("1").unwrap();
        let inside: Vec<u32> = (0..50).filter(|base| intervals.contain(&chromosome, *base)).collect();
        assert_eq!(inside, (11..=30).chain(41..=41).collect::<Vec<_>>());
        assert!(!intervals.contain(&Chromosome::parse("2").unwrap(), 15));
    }

    #[test]
    fn malformed_lines_name_line_and_column() {
        for (file, expected) in [
            ("1\t2\n", "line 1: 2 fields"),
            ("1\t2\t3\n1\tx\t3\n", "line 2, column 2 (chromStart): \"x\""),
            ("1\t5\t3\n", "line 1, column 3 (chromEnd): it ends at 3"),
            ("# nothing\n", "line 1: the file ends before its first interval"),
        ] {
            let error = Intervals::default().read(Table::new(text(file))).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
