//! The head of a pvar file: its columns, and the assembly that its contig lengths tell.
//!
//! A bim file is a pvar file without a header, and a VCF without samples is one with a header. Imports `genome` and
//! the vocabulary of `genotype`.

use super::zstd;
use crate::genome::{Assembly, Chromosome};
use crate::genotype::input::{Input, Lines};
use crate::genotype::plink::text::{field_fault, fields};
use crate::genotype::plink::variants::{Columns, Variants};
use crate::genotype::{Fault, GenotypeError, ReadLimits};

/// A pvar file: its variants, what is known from its header, and whether it is compressed by Zstandard.
pub(super) struct Pvar {
    pub(super) variants: Variants,
    pub(super) assembly: Option<Assembly>,
    pub(super) zstd: bool,
}

impl Pvar {
    /// Reads the header; the variants follow.
    ///
    /// # Errors
    /// The header is malformed, or the input cannot be read.
    pub(super) fn open(input: Input, limits: &ReadLimits) -> Result<Self, GenotypeError> {
        let (input, zstd) = zstd::inflate(input, limits)?;
        Self::read(input, zstd, limits).map_err(|error| if zstd { zstd::explain(error) } else { error })
    }

    fn read(input: Input, zstd: bool, limits: &ReadLimits) -> Result<Self, GenotypeError> {
        let mut lines = Lines::new(input, limits);
        let mut lengths = ContigLengths::default();
        let (columns, ahead) = loop {
            if !lines.advance()? {
                break (Columns::BIM, false);
            }
            let line = lines.current();
            if line.starts_with(b"#CHROM") {
                break (named_columns(&lines)?, false);
            } else if line.starts_with(b"#") {
                lengths.read(&String::from_utf8_lossy(line));
            } else if !line.trim_ascii().is_empty() {
                break (unnamed_columns(&lines)?, true);
            }
        };
        let variants = Variants::new(lines, columns, ahead, limits);
        Ok(Self { variants, assembly: lengths.assembly(), zstd })
    }
}

fn named_columns(lines: &Lines) -> Result<Columns, GenotypeError> {
    let line = lines.current();
    let mut names = fields(line).map(|at| line.get(at).unwrap_or_default());
    // What follows FORMAT are the genotypes of a VCF.
    let names: Vec<&[u8]> = names.by_ref().take_while(|name| *name != b"FORMAT").collect();
    let find = |name: &'static str| {
        let mut places = names.iter().enumerate().filter(|(_, found)| **found == name.as_bytes());
        match (places.next(), places.next()) {
            (Some((place, _)), None) => Ok(place),
            (None, _) => Err(field_fault(lines, name, "the header line has no such column")),
            (Some(_), Some(_)) => Err(field_fault(lines, name, "the header line has this column twice")),
        }
    };
    Ok(Columns {
        chromosome: find("#CHROM")?,
        position: find("POS")?,
        id: find("ID")?,
        reference: find("REF")?,
        alternatives: find("ALT")?,
        least: names.len(),
        most: usize::MAX,
    })
}

/// The columns of a bim file; the centimorgans may be left out.
fn unnamed_columns(lines: &Lines) -> Result<Columns, GenotypeError> {
    match fields(lines.current()).take(6).count() {
        6 => Ok(Columns { most: usize::MAX, ..Columns::BIM }),
        5 => {
            Ok(Columns { chromosome: 0, id: 1, position: 2, alternatives: 3, reference: 4, least: 5, most: usize::MAX })
        }
        found => {
            let what =
                format!("it has {found} fields: without a header line (#CHROM POS ID REF ALT) 5 or 6 are expected");
            Err(lines.fault(Fault::Malformed(what)))
        }
    }
}

/// How many contig lengths of a header are those of each known assembly.
#[derive(Debug, Default)]
struct ContigLengths([usize; ASSEMBLIES.len()]);

const ASSEMBLIES: [&str; 2] = ["GRCh38", "GRCh37"];

impl ContigLengths {
    fn read(&mut self, line: &str) {
        let Some(inside) = line.strip_prefix("##contig=<") else { return };
        let value = |key: &str| {
            let found = inside.trim_end_matches('>').split(',').find_map(|part| part.trim().strip_prefix(key));
            found.and_then(|rest| rest.strip_prefix('='))
        };
        let (Some(name), Some(length)) = (value("ID"), value("length")) else { return };
        let (Ok(chromosome), Ok(length)) = (Chromosome::parse(name), length.parse::<u32>()) else { return };
        for (count, name) in self.0.iter_mut().zip(ASSEMBLIES) {
            let known = Assembly::parse(name).ok().and_then(|assembly| assembly.length_of(&chromosome));
            *count += usize::from(known == Some(length));
        }
    }

    /// Returns the assembly with more lengths in common; the mitochondrion alone has one length in several.
    fn assembly(&self) -> Option<Assembly> {
        let best = self.0.iter().max()?;
        let mut with_best = self.0.iter().zip(ASSEMBLIES).filter(|(count, _)| *count == best);
        match (with_best.next(), with_best.next()) {
            (Some((1.., name)), None) => Assembly::parse(name).ok(),
            _ => None,
        }
    }
}
