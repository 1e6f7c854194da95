//! The samples of a PLINK 2 file: psam, or fam where there is no header.
//!
//! Imports the vocabulary of `genotype` alone.

use crate::genotype::input::{Input, Lines};
use crate::genotype::plink::text::{SampleColumns, field_fault, fields, read_samples};
use crate::genotype::{Fault, GenotypeError, ReadLimits, Samples};

/// Reads a psam file.
///
/// # Errors
/// It is malformed or cannot be read, two people have one identifier, or a limit is passed.
pub(super) fn read(input: Input, limits: &ReadLimits) -> Result<Samples, GenotypeError> {
    let mut lines = Lines::new(input, limits);
    let mut columns = None;
    let mut ahead = false;
    while lines.advance()? {
        let line = lines.current();
        if line.starts_with(b"#FID") || line.starts_with(b"#IID") {
            columns = Some(named_columns(&lines)?);
        } else if !line.starts_with(b"#") && !line.trim_ascii().is_empty() {
            ahead = true;
            break;
        }
    }
    let columns = match columns {
        Some(columns) => columns,
        None if ahead => unnamed_columns(&lines)?,
        None => SampleColumns::FAM,
    };
    read_samples(&mut lines, &columns, ahead, limits)
}

fn named_columns(lines: &Lines) -> Result<SampleColumns, GenotypeError> {
    let line = lines.current();
    let names: Vec<&[u8]> = fields(line).map(|at| line.get(at).unwrap_or_default()).collect();
    let find = |name: &[u8]| names.iter().position(|found| found.strip_prefix(b"#").unwrap_or(found) == name);
    let id = find(b"IID").ok_or_else(|| field_fault(lines, "IID", "the header line has no such column"))?;
    Ok(SampleColumns { family: find(b"FID"), id, sex: find(b"SEX"), least: names.len(), most: usize::MAX })
}

/// The columns of a fam file; the phenotype may be left out, and more may follow.
fn unnamed_columns(lines: &Lines) -> Result<SampleColumns, GenotypeError> {
    match fields(lines.current()).take(6).count() {
        found @ (5 | 6) => Ok(SampleColumns { least: found, most: usize::MAX, ..SampleColumns::FAM }),
        found => {
            let what = format!("it has {found} fields: without a header line (#FID IID SEX …) 5 or 6 are expected");
            Err(lines.fault(Fault::Malformed(what)))
        }
    }
}
