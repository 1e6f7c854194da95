//! VCF text: plain, gzip or bgzip.
//!
//! Imports `genome` and the vocabulary of genotypes. A record's sample columns are looked at only where its dosages
//! are asked for: a record that nobody wants costs the search for its line break. A sample's value is its DS; where
//! that is absent or missing, its GP; where that is too, its GT.

mod cells;
pub(in crate::genotype) mod header;

use std::ops::Range;

use self::cells::{Cells, Layout};
use self::header::{FIXED, HeaderReader};
use super::call::Asked;
use super::input::{Input, Lines};
use super::{DosageRow, Fault, GenotypeError, GenotypeSource, Limit, Place, ReadLimits, Samples, Site};
use crate::genome::{Assembly, Chromosome, Position};

/// Variant records of a VCF text.
pub struct VcfSource {
    lines: Lines,
    samples: Samples,
    assembly: Option<Assembly>,
    limits: ReadLimits,
    records: u64,
    /// The last record's chromosome as it is spelled, and parsed.
    chromosome: Option<(Box<[u8]>, Chromosome)>,
    record: Record,
    cells: Cells,
}

/// Where a record's columns are in its line.
#[derive(Debug, Clone, Default)]
struct Record {
    position: Option<Position>,
    ids: Range<usize>,
    reference: Range<usize>,
    alternatives: Range<usize>,
    alleles: usize,
}

impl VcfSource {
    /// Reads the header.
    ///
    /// # Errors
    /// The input is no VCF, its header is malformed, or it has no samples or two with one name.
    pub fn open(input: Input, limits: &ReadLimits) -> Result<Self, GenotypeError> {
        let mut lines = Lines::new(input, limits);
        let mut reader = HeaderReader::default();
        loop {
            if !lines.advance()? {
                let what = if lines.number() == 0 {
                    "this is no VCF: it is empty"
                } else {
                    "it ends within the header, before the line of column names"
                };
                return Err(lines.fault(Fault::Malformed(what.to_owned())));
            }
            let header = reader.take(lines.current(), limits);
            if let Some(header) = header.map_err(|error| error.in_file(lines.name()).at(lines.place()))? {
                return Ok(Self {
                    lines,
                    samples: header.samples,
                    assembly: header.assembly,
                    limits: limits.clone(),
                    records: 0,
                    chromosome: None,
                    record: Record::default(),
                    cells: Cells::default(),
                });
            }
        }
    }

    /// Goes to the next line that is not empty; empty ones are allowed at the end only.
    fn advance(&mut self) -> Result<bool, GenotypeError> {
        let mut empty = None;
        while self.lines.advance()? {
            if !self.lines.current().is_empty() {
                return match empty {
                    None => Ok(true),
                    Some(place) => {
                        let error = GenotypeError::malformed("an empty line between records: take it out");
                        Err(error.in_file(self.lines.name()).at(place))
                    }
                };
            }
            empty.get_or_insert(self.lines.place());
        }
        Ok(false)
    }

    /// Finds the columns of the current line up to ALT.
    fn locate(&mut self) -> Result<(), GenotypeError> {
        let line = self.lines.current();
        let mut ends = [0; 5];
        let mut tabs = memchr::memchr_iter(b'\t', line);
        for end in &mut ends {
            *end = tabs.next().ok_or_else(|| column_count(line, self.samples.len()))?;
        }
        let [chromosome, position, ids, reference, alternatives] = ends;
        let record = Record {
            position: Some(parse_position(&line[chromosome + 1..position])?),
            ids: position + 1..ids,
            reference: ids + 1..reference,
            alternatives: reference + 1..alternatives,
            alleles: count_alleles(&line[ids + 1..reference], &line[reference + 1..alternatives], &self.limits)?,
        };
        let name = &line[..chromosome];
        if self.chromosome.as_ref().is_none_or(|(last, _)| **last != *name) {
            let text = str::from_utf8(name).map_err(|_| not_text("CHROM"))?;
            let parsed = Chromosome::parse(text).map_err(|_| {
                let text: String = text.chars().take(40).collect();
                GenotypeError::field("CHROM", format!("'{text}' is not a chromosome name"))
            })?;
            self.chromosome = Some((name.into(), parsed));
        }
        self.record = record;
        if !self.lines.terminated() {
            // Only the last line can be cut off, and then most likely is not whole.
            check_columns(self.lines.current(), self.samples.len())?;
        }
        Ok(())
    }

    fn site(&self) -> Result<Site<'_>, GenotypeError> {
        let line = self.lines.current();
        let text = |range: &Range<usize>, field: &str| {
            str::from_utf8(line.get(range.clone()).unwrap_or_default()).map_err(|_| not_text(field))
        };
        Ok(Site {
            chromosome: self.chromosome.as_ref().map(|(_, chromosome)| chromosome),
            position: self.record.position,
            ids: text(&self.record.ids, "ID")?,
            reference: text(&self.record.reference, "REF")?,
            alternatives: text(&self.record.alternatives, "ALT")?,
        })
    }

    fn read_dosages(&mut self, allele: usize, row: &mut DosageRow) -> Result<(), GenotypeError> {
        let asked = Asked::new(allele, self.record.alleles)?;
        let people = self.samples.len();
        let line = self.lines.current();
        // QUAL, FILTER and INFO lie between ALT and FORMAT.
        let after = line.get(self.record.alternatives.end + 1..).unwrap_or_default();
        let mut tabs = memchr::memchr_iter(b'\t', after).skip(2);
        let (Some(info), Some(format)) = (tabs.next(), tabs.next()) else {
            return Err(column_count(line, people));
        };
        let layout = Layout::parse(&after[info + 1..format])?;
        row.values.clear();
        row.haploid.clear();
        row.missing = 0;
        row.values.reserve(people);
        let whole = self.cells.read(&after[format + 1..], people, (&layout, asked), row)?;
        if whole { Ok(()) } else { Err(column_count(line, people)) }
    }
}

impl GenotypeSource for VcfSource {
    fn format(&self) -> &'static str {
        "vcf"
    }

    fn samples(&self) -> &Samples {
        &self.samples
    }

    fn assembly(&self) -> Option<&Assembly> {
        self.assembly.as_ref()
    }

    fn next_site(&mut self) -> Result<Option<Site<'_>>, GenotypeError> {
        if !self.advance()? {
            return Ok(None);
        }
        self.records += 1;
        if self.records > self.limits.records {
            return Err(GenotypeError::limit(Limit::Records, self.limits.records).in_file(self.lines.name()));
        }
        let located = self.locate();
        located.and_then(|()| self.site()).map(Some).map_err(|error| error.in_file(self.lines.name()).at(self.place()))
    }

    fn place(&self) -> Place {
        self.lines.place()
    }

    fn dosages(&mut self, allele: usize, row: &mut DosageRow) -> Result<(), GenotypeError> {
        let result = self.read_dosages(allele, row);
        result.map_err(|error| error.in_file(self.lines.name()).at(self.lines.place()))
    }
}

fn not_text(field: &str) -> GenotypeError {
    GenotypeError::field(field, "it is not UTF-8 text")
}

fn parse_position(text: &[u8]) -> Result<Position, GenotypeError> {
    let digits = str::from_utf8(text).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    digits.and_then(|digits| Position::parse(digits).ok()).ok_or_else(|| {
        let text: String = String::from_utf8_lossy(text).chars().take(40).collect();
        GenotypeError::field("POS", format!("'{text}' is not a position: positions are whole numbers from 1"))
    })
}

/// Returns how many alleles a record has, with the reference allele, and checks that they are different from it.
pub(in crate::genotype) fn count_alleles(
    reference: &[u8],
    alternatives: &[u8],
    limits: &ReadLimits,
) -> Result<usize, GenotypeError> {
    for (field, text) in [("REF", reference), ("ALT", alternatives)] {
        if text.is_empty() {
            return Err(GenotypeError::field(field, "it is empty"));
        }
    }
    if alternatives == b"." {
        return Ok(1);
    }
    let mut alleles = 1;
    for alternative in alternatives.split(|byte| *byte == b',') {
        if alternative.eq_ignore_ascii_case(reference) {
            let allele: String = String::from_utf8_lossy(alternative).chars().take(40).collect();
            return Err(GenotypeError::field("ALT", format!("'{allele}' is the same allele as REF")));
        }
        alleles += 1;
        if alleles - 1 > limits.alternatives {
            return Err(GenotypeError::limit(Limit::Alternatives, limits.alternatives as u64));
        }
    }
    Ok(alleles)
}

fn check_columns(line: &[u8], people: usize) -> Result<(), GenotypeError> {
    let found = memchr::memchr_iter(b'\t', line).count() + 1;
    if found == FIXED.len() + people { Ok(()) } else { Err(column_count(line, people)) }
}

fn column_count(line: &[u8], people: usize) -> GenotypeError {
    let found = memchr::memchr_iter(b'\t', line).count() + 1;
    let expected = FIXED.len() + people;
    let cut = if found < expected { ": it may be cut off, or its columns not be parted by tabs" } else { "" };
    GenotypeError::malformed(format!("{found} columns where the header has {expected}{cut}"))
}

#[cfg(test)]
pub(crate) mod tests;
