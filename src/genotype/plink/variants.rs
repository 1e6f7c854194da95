//! The table of variants beside a PLINK file, line by line: bim, and the body of a pvar.
//!
//! Imports `genome` and the vocabulary of `genotype`. Invariant: one line is in memory, never the table.

use std::ops::Range;

use super::text::{field_fault, fields, text};
use crate::genome::{Chromosome, GenomeError, Position};
use crate::genotype::input::{Input, Lines};
use crate::genotype::{Fault, GenotypeError, Limit, ReadLimits, Site};

/// Where the columns of a table of variants are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::genotype) struct Columns {
    pub(in crate::genotype) chromosome: usize,
    pub(in crate::genotype) position: usize,
    pub(in crate::genotype) id: usize,
    pub(in crate::genotype) reference: usize,
    pub(in crate::genotype) alternatives: usize,
    /// How many fields a line has at least.
    pub(in crate::genotype) least: usize,
    /// How many fields a line has at most.
    pub(in crate::genotype) most: usize,
}

impl Columns {
    /// The columns of a bim file: chromosome, identifier, centimorgans, position, A1, A2. Which of A1 and A2 is the
    /// reference is not recorded; by convention, and as PLINK 2 reads it, it is A2.
    pub(in crate::genotype) const BIM: Self =
        Self { chromosome: 0, id: 1, position: 3, alternatives: 4, reference: 5, least: 6, most: 6 };
}

/// A table of variants, line by line.
pub(in crate::genotype) struct Variants {
    lines: Lines,
    columns: Columns,
    /// The current line has been read but not been looked at.
    ahead: bool,
    records: u64,
    most_records: u64,
    most_alternatives: usize,
    fields: Vec<Range<usize>>,
    chromosome_text: String,
    chromosome: Option<Chromosome>,
    position: Option<Position>,
    alternatives: usize,
}

impl Variants {
    /// Reads a bim file.
    pub(in crate::genotype) fn bim(input: Input, limits: &ReadLimits) -> Self {
        Self::new(Lines::new(input, limits), Columns::BIM, false, limits)
    }

    /// Reads lines from the next one on, or from the current one on where `ahead`.
    pub(in crate::genotype) fn new(lines: Lines, columns: Columns, ahead: bool, limits: &ReadLimits) -> Self {
        Self {
            lines,
            columns,
            ahead,
            records: 0,
            most_records: limits.records,
            most_alternatives: limits.alternatives,
            fields: Vec::new(),
            chromosome_text: String::new(),
            chromosome: None,
            position: None,
            alternatives: 0,
        }
    }

    /// Returns the file's name.
    pub(in crate::genotype) fn name(&self) -> &str {
        self.lines.name()
    }

    /// Returns how many variants there have been.
    pub(in crate::genotype) fn records(&self) -> u64 {
        self.records
    }

    /// Returns how many alternative alleles the current variant has.
    pub(in crate::genotype) fn alternatives(&self) -> usize {
        self.alternatives
    }

    /// Returns a fault at the current line.
    pub(in crate::genotype) fn fault(&self, fault: Fault) -> GenotypeError {
        self.lines.fault(fault)
    }

    /// Goes to the next variant; `false` at the end.
    ///
    /// # Errors
    /// The line is malformed, the input cannot be read, or a limit is passed.
    pub(in crate::genotype) fn advance(&mut self) -> Result<bool, GenotypeError> {
        if !self.next_line()? {
            return Ok(false);
        }
        self.fields.clear();
        self.fields.extend(fields(self.lines.current()).take(self.columns.most.saturating_add(1)));
        let found = self.fields.len();
        if found < self.columns.least || found > self.columns.most {
            let found = if found > self.columns.most { format!("more than {}", found - 1) } else { found.to_string() };
            let least = self.columns.least;
            return Err(self.fault(Fault::Malformed(format!("it has {found} fields where {least} are expected"))));
        }
        self.parse_place()?;
        self.parse_alleles()?;
        Ok(true)
    }

    /// Counts the lines that are left without looking at them, and returns how many there are in all.
    ///
    /// # Errors
    /// The input cannot be read, or a limit is passed.
    pub(in crate::genotype) fn count_all(&mut self) -> Result<u64, GenotypeError> {
        while self.next_line()? {}
        Ok(self.records)
    }

    fn next_line(&mut self) -> Result<bool, GenotypeError> {
        while std::mem::take(&mut self.ahead) || self.lines.advance()? {
            if self.lines.current().iter().any(|byte| !matches!(byte, b' ' | b'\t')) {
                if self.records >= self.most_records {
                    return Err(self.fault(Fault::Limit { limit: Limit::Records, most: self.most_records }));
                }
                self.records += 1;
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn parse_place(&mut self) -> Result<(), GenotypeError> {
        let name = self.field("chromosome", self.columns.chromosome)?;
        if name != self.chromosome_text || self.records == 1 {
            let chromosome =
                chromosome(name).map_err(|error| field_fault(&self.lines, "chromosome", error.to_string()))?;
            self.chromosome_text = name.to_owned();
            self.chromosome = chromosome;
        }
        let text = self.field("position", self.columns.position)?;
        // PLINK writes 0 for a position that is not known, and takes a negative one for a variant to be left alone.
        let unknown = text == "." || text.strip_prefix('-').unwrap_or(text).bytes().all(|digit| digit == b'0');
        let negative =
            text.len() > 1 && text.starts_with('-') && text.bytes().skip(1).all(|byte| byte.is_ascii_digit());
        self.position = if unknown || negative {
            None
        } else {
            let position = Position::parse(text);
            Some(position.map_err(|error| field_fault(&self.lines, "position", error.to_string()))?)
        };
        Ok(())
    }

    fn parse_alleles(&mut self) -> Result<(), GenotypeError> {
        self.field("identifier", self.columns.id)?;
        let reference = self.field("reference allele", self.columns.reference)?;
        let alternatives = self.field("alternative allele", self.columns.alternatives)?;
        let count = memchr::memchr_iter(b',', alternatives.as_bytes()).count() + 1;
        let (two_only, comma) = (self.columns == Columns::BIM, count > 1 || reference.contains(','));
        if two_only && comma {
            let reason = "there is a comma in it; a bim file has two alleles of each variant";
            return Err(field_fault(&self.lines, "allele", reason));
        }
        if count > self.most_alternatives {
            let most = self.most_alternatives as u64;
            return Err(self.fault(Fault::Limit { limit: Limit::Alternatives, most }));
        }
        self.alternatives = count;
        Ok(())
    }

    fn field(&self, name: &str, column: usize) -> Result<&str, GenotypeError> {
        self.fields.get(column).map_or(Ok(""), |at| text(&self.lines, name, at))
    }

    /// Returns the current variant.
    pub(in crate::genotype) fn site(&self) -> Site<'_> {
        // Whether they are text has been seen when the line was read.
        let field = |column: usize| self.field("", column).unwrap_or_default();
        Site {
            chromosome: self.chromosome.as_ref(),
            position: self.position,
            ids: field(self.columns.id),
            reference: allele(field(self.columns.reference)),
            alternatives: allele(field(self.columns.alternatives)),
        }
    }
}

/// PLINK 1 writes 0 for an allele that nobody has.
fn allele(text: &str) -> &str {
    if text == "0" { "." } else { text }
}

/// Parses a chromosome by PLINK's codes: 23 to 26 are X, Y, the pseudo-autosomal region of X, and MT; 0 is none.
fn chromosome(text: &str) -> Result<Option<Chromosome>, GenomeError> {
    let bare = match text.get(..3) {
        Some(prefix) if prefix.eq_ignore_ascii_case("chr") => text.get(3..).unwrap_or_default(),
        _ => text,
    };
    let name = match bare.to_ascii_uppercase().as_str() {
        "0" | "." | "UN" => return Ok(None),
        "23" | "25" | "XY" | "PAR1" | "PAR2" => "X",
        "24" => "Y",
        "26" => "MT",
        _ => text,
    };
    Chromosome::parse(name).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chromosomes_have_plinks_codes() {
        let cases = [
            ("1", Some("chr1")),
            ("chr22", Some("chr22")),
            ("23", Some("chrX")),
            ("chr23", Some("chrX")),
            ("24", Some("chrY")),
            ("25", Some("chrX")),
            ("xy", Some("chrX")),
            ("PAR1", Some("chrX")),
            ("26", Some("chrM")),
            ("MT", Some("chrM")),
            ("scaffold_3", Some("scaffold_3")),
            ("0", None),
        ];
        for (text, expected) in cases {
            let found = chromosome(text).unwrap();
            assert_eq!(found.as_ref().map(Chromosome::as_str), expected, "{text}");
        }
    }
}
