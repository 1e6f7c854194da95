//! Expression as the eQTL tools take it: BED with a column a sample.
//!
//! `#chr start end gene_id sample…`, as `FastQTL` and `tensorQTL` read it, or `QTLtools`' six columns
//! `#chr start end pid gid strand sample…`; plain, gzip or bgzip. Imports `genome` and `reference`. Invariant: genes
//! and samples are unique, and every row has a value or NaN for every sample.

use std::collections::{HashMap, HashSet};

use super::CohortError;
use super::lines::{Row, Table, TableError, TableProblem, is_missing, number};
use crate::genome::{Chromosome, GeneId, Strand};
use crate::reference::source::{Quoted, Source};

/// An expression table.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ExpressionTable {
    /// The samples in the header's order.
    pub(super) samples: Vec<Box<str>>,
    /// The genes in the file's order.
    pub(super) genes: Vec<ExpressionRow>,
}

/// A gene's row.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ExpressionRow {
    pub(super) name: Box<str>,
    pub(super) id: GeneId,
    pub(super) version: Option<u32>,
    pub(super) chromosome: Chromosome,
    /// From 0.
    pub(super) start: u32,
    pub(super) end: u32,
    pub(super) strand: Option<Strand>,
    /// One a sample; NaN where it is not known.
    pub(super) values: Vec<f64>,
}

/// The columns in front of the samples' ones.
struct Header {
    names: Vec<Box<str>>,
    first_sample: usize,
}

/// Reads an expression BED.
pub(super) fn read(source: Source) -> Result<ExpressionTable, CohortError> {
    let mut table = Table::new(source);
    let header = loop {
        let Some(row) = table.next()? else { return Err(table.wrong(TableProblem::Ended("its header")).into()) };
        // A line of two or more # is a comment; the header has one.
        if row.text.is_empty() || row.text.starts_with("##") {
            continue;
        }
        break Header::parse(&row)?;
    };
    let samples = header.names[header.first_sample..].to_vec();
    let mut genes: Vec<ExpressionRow> = Vec::new();
    let mut lines: HashMap<GeneId, u64> = HashMap::new();
    while let Some(row) = table.next()? {
        if row.text.is_empty() {
            continue;
        }
        let gene = header.gene(&row)?;
        if let Some(first) = lines.insert(gene.id.clone(), row.line) {
            let twice = TableProblem::DuplicateGene { gene: Quoted::new(&gene.name), first };
            return Err(row.wrong_field((3, &header.names[3]), twice).into());
        }
        genes.push(gene);
    }
    if genes.is_empty() {
        return Err(table.wrong(TableProblem::Ended("its first gene")).into());
    }
    Ok(ExpressionTable { samples, genes })
}

impl Header {
    fn parse(row: &Row<'_>) -> Result<Self, TableError> {
        let names: Vec<Box<str>> = row.text.split('\t').map(|name| name.trim().into()).collect();
        let is = |index: usize, name: &str| names.get(index).is_some_and(|found| found.eq_ignore_ascii_case(name));
        let numbers = names.get(1).is_some_and(|name| name.parse::<u32>().is_ok());
        if numbers || names.len() < 5 {
            let form = "write #chr, start, end, gene_id and the samples' ids, between tabs";
            return Err(row.wrong(TableProblem::NoHeader(form)));
        }
        let first_sample = if is(5, "strand") { 6 } else { 4 };
        if names.len() <= first_sample {
            return Err(row.wrong(TableProblem::NoHeading("samples")));
        }
        let mut seen = HashSet::new();
        for (index, name) in names.iter().enumerate().skip(first_sample) {
            if name.is_empty() {
                return Err(row.wrong_field((index, "sample"), TableProblem::EmptyField));
            }
            if !seen.insert(name) {
                return Err(row.wrong_field((index, name), TableProblem::DuplicateSample(Quoted::new(name))));
            }
        }
        Ok(Self { names, first_sample })
    }

    fn gene(&self, row: &Row<'_>) -> Result<ExpressionRow, TableError> {
        let fields: Vec<&str> = row.text.split('\t').collect();
        if fields.len() != self.names.len() {
            let counts = TableProblem::FieldCount { found: fields.len(), expected: self.names.len() };
            return Err(row.wrong(counts));
        }
        let at = |index: usize| (index, &*self.names[index]);
        let chromosome = row.chromosome(at(0), fields[0])?;
        let (start, end) = (row.whole(at(1), fields[1])?, row.whole(at(2), fields[2])?);
        if end < start {
            return Err(row.wrong_field(at(2), TableProblem::EndBeforeStart { start, end }));
        }
        let name = fields[3].trim();
        let (id, version) = GeneId::parse(name).map_err(|error| row.wrong_field(at(3), error))?;
        let strand = match fields[5].trim() {
            _ if self.first_sample < 6 => None,
            text if is_missing(text) => None,
            text => Some(Strand::parse(text).map_err(|error| row.wrong_field(at(5), error))?),
        };
        let mut values = Vec::with_capacity(fields.len() - self.first_sample);
        for (index, text) in fields.iter().enumerate().skip(self.first_sample) {
            let text = text.trim();
            let value = if is_missing(text) { Some(f64::NAN) } else { number(text) };
            let wrong = || row.wrong_field(at(index), TableProblem::NotANumber(Quoted::new(text)));
            values.push(value.ok_or_else(wrong)?);
        }
        Ok(ExpressionRow { name: name.into(), id, version, chromosome, start, end, strand, values })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::reference::source::tests::{bytes, text};

    const HEADER: &str = "#chr\tstart\tend\tgene_id\ta\tb\n";

    #[test]
    fn both_layouts_are_read() {
        let table = read(text(&format!("{HEADER}1\t9\t20\tENSG1.2\t1.5\tNA\nchr2\t0\t0\tG\t0\t-1e-3\n"))).unwrap();
        assert_eq!(table.samples, ["a".into(), "b".into()]);
        let [first, second] = &table.genes[..] else { panic!("{table:?}") };
        assert_eq!((&*first.name, first.id.as_str(), first.version), ("ENSG1.2", "ENSG1", Some(2)));
        assert_eq!((first.chromosome.as_str(), first.start, first.end), ("chr1", 9, 20));
        assert!((first.values[0] - 1.5).abs() < 1e-12 && first.values[1].is_nan());
        assert!((second.values[1] + 1e-3).abs() < 1e-12);
        let six = "#chr\tstart\tend\tpid\tgid\tstrand\ta\n1\t9\t20\tG\tG\t-\t1\n";
        let table = read(text(six)).unwrap();
        assert_eq!((table.samples.len(), table.genes[0].strand), (1, Some(Strand::Reverse)));
    }

    #[test]
    fn malformed_lines_name_line_and_column() {
        let row = |text: &str| format!("{HEADER}{text}\n");
        let cases = [
            (String::new(), "test, line 0: the file ends before its header"),
            (HEADER.to_owned(), "line 1: the file ends before its first gene"),
            ("1\t2\t3\tg\t5\t6\n".to_owned(), "line 1: the first line is no header"),
            ("#chr\tstart\tend\tid\n".to_owned(), "line 1: the first line is no header"),
            ("#chr\tstart\tend\tid\ta\ta\n".to_owned(), "line 1, column 6 (a): the sample \"a\" is there already"),
            ("#chr\tstart\tend\tid\ta\t\n".to_owned(), "line 1, column 6 (sample): the field is empty"),
            (row("1\t2\t3\tg\t1"), "line 2: 5 fields where 6 are expected"),
            (row("1\t2\t3\tg\t1\tx"), "line 2, column 6 (b): \"x\" is not a finite number"),
            (row("1\t2\t3\tg\t1\tinf"), "line 2, column 6 (b): \"inf\" is not a finite number"),
            (row("1\t-2\t3\tg\t1\t1"), "line 2, column 2 (start): \"-2\" is not a whole number"),
            (row("1\t5\t3\tg\t1\t1"), "line 2, column 3 (end): it ends at 3, before its start 5"),
            (row("\t2\t3\tg\t1\t1"), "line 2, column 1 (#chr): '' is not a chromosome"),
            (row("1\t2\t3\t\t1\t1"), "line 2, column 4 (gene_id): '' is not a gene"),
            (
                row("1\t2\t3\tENSG1.1\t1\t1\n1\t2\t3\tENSG1.2\t1\t1"),
                "line 3, column 4 (gene_id): the gene \"ENSG1.2\" is on line 2 already",
            ),
        ];
        for (file, expected) in cases {
            let error = read(text(&file)).unwrap_err().to_string();
            assert!(error.starts_with("test, ") && error.contains(expected.trim_start_matches("test, ")), "{error}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(body in "[a-z0-9.+\\-\t\r\n# ]{0,80}", junk in any::<Vec<u8>>()) {
            let _ = read(text(&body));
            let _ = read(text(&format!("{HEADER}{body}")));
            let _ = read(bytes(&junk));
        }
    }
}
