//! What the text files of PLINK have in common: fields between tabs or blanks, and the samples.
//!
//! Imports the vocabulary of `genotype` alone.

use std::iter;
use std::ops::Range;

use crate::genotype::input::Lines;
use crate::genotype::{Fault, GenotypeError, Limit, ReadLimits, Sample, Samples, Sex};

/// Returns where a line's fields are; several tabs or blanks part two fields as one does.
pub(in crate::genotype) fn fields(line: &[u8]) -> impl Iterator<Item = Range<usize>> + '_ {
    let mut start = 0;
    memchr::memchr2_iter(b'\t', b' ', line).chain(iter::once(line.len())).filter_map(move |end| {
        let field = start..end;
        start = end + 1;
        (!field.is_empty()).then_some(field)
    })
}

/// Returns a field's text.
pub(in crate::genotype) fn text<'a>(lines: &'a Lines, name: &str, at: &Range<usize>) -> Result<&'a str, GenotypeError> {
    let bytes = lines.current().get(at.clone()).unwrap_or_default();
    std::str::from_utf8(bytes).map_err(|_| field_fault(lines, name, "it is no UTF-8 text"))
}

/// Returns a fault of a field of the current line.
pub(in crate::genotype) fn field_fault(lines: &Lines, field: &str, reason: impl Into<String>) -> GenotypeError {
    lines.fault(Fault::Field { field: field.to_owned(), reason: reason.into() })
}

/// Where the columns of a table of samples are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::genotype) struct SampleColumns {
    pub(in crate::genotype) family: Option<usize>,
    pub(in crate::genotype) id: usize,
    pub(in crate::genotype) sex: Option<usize>,
    /// How many fields a line has at least.
    pub(in crate::genotype) least: usize,
    /// How many fields a line has at most.
    pub(in crate::genotype) most: usize,
}

impl SampleColumns {
    /// The columns of a fam file: FID, IID, father, mother, sex, phenotype.
    pub(in crate::genotype) const FAM: Self = Self { family: Some(0), id: 1, sex: Some(4), least: 6, most: 6 };
}

/// Reads the samples from the current line on; `lines` stands before it, or on it where `ahead`.
pub(in crate::genotype) fn read_samples(
    lines: &mut Lines,
    columns: &SampleColumns,
    mut ahead: bool,
    limits: &ReadLimits,
) -> Result<Samples, GenotypeError> {
    let mut samples = Vec::new();
    while std::mem::take(&mut ahead) || lines.advance()? {
        let found: Vec<_> = fields(lines.current()).take(columns.most.saturating_add(1)).collect();
        if found.is_empty() {
            continue;
        }
        if !(columns.least..=columns.most).contains(&found.len()) {
            return Err(lines.fault(Fault::Malformed(field_count(found.len(), columns))));
        }
        if samples.len() >= limits.samples {
            return Err(lines.fault(Fault::Limit { limit: Limit::Samples, most: limits.samples as u64 }));
        }
        samples.push(sample(lines, columns, &found)?);
    }
    Samples::new(samples, limits).map_err(|error| explain(error).in_file(lines.name()))
}

fn field_count(found: usize, columns: &SampleColumns) -> String {
    let expected = if columns.most == columns.least { columns.least.to_string() } else { format!("{}", columns.least) };
    let found = if found > columns.most { format!("more than {}", columns.most) } else { found.to_string() };
    format!("it has {found} fields where {expected} are expected: a name or an identifier must not have blanks in it")
}

fn sample(lines: &Lines, columns: &SampleColumns, found: &[Range<usize>]) -> Result<Sample, GenotypeError> {
    let field = |name: &str, column: usize| match found.get(column) {
        Some(at) => text(lines, name, at),
        None => Ok(""),
    };
    let sex = match columns.sex.map(|column| field("SEX", column)).transpose()? {
        Some("1" | "M" | "m") => Sex::Male,
        Some("2" | "F" | "f") => Sex::Female,
        _ => Sex::Unknown,
    };
    let family = columns.family.map(|column| field("FID", column)).transpose()?.map(Box::from);
    Ok(Sample { id: field("IID", columns.id)?.into(), family, sex })
}

/// Says of a doubled identifier which of the two it is that has to be unique.
fn explain(mut error: GenotypeError) -> GenotypeError {
    if let Fault::DuplicateSample { id, first, second } = &error.fault {
        let reason =
            format!("samples {first} and {second} are both '{id}': IIDs have to be unique, even where the FIDs differ");
        error.fault = Fault::Field { field: "IID".to_owned(), reason };
    }
    error
}
