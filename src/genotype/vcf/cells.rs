//! The sample columns of a VCF record.
//!
//! Nearly all cells of nearly all files look like `0|1` or `0|1:0.998`. These are read straight from the bytes; any
//! other cell, and any that is wrong, goes through the reader that knows the whole format.

use crate::genotype::call::{Asked, Entry, EntryFault, Genotype, sample_fault};
use crate::genotype::{DosageRow, GenotypeError};

/// Where in a cell the fields are that are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Layout {
    genotype: Option<usize>,
    dosage: Option<usize>,
    probability: Option<usize>,
    fields: usize,
}

impl Layout {
    /// Parses the FORMAT column.
    ///
    /// # Errors
    /// It has none of the fields that tell a dosage.
    pub(super) fn parse(format: &[u8]) -> Result<Self, GenotypeError> {
        let place = |name: &[u8]| format.split(|byte| *byte == b':').position(|key| key == name);
        let layout = Self {
            genotype: place(b"GT"),
            dosage: place(b"DS"),
            probability: place(b"GP"),
            fields: memchr::memchr_iter(b':', format).count() + 1,
        };
        if layout.genotype.is_none() && layout.dosage.is_none() && layout.probability.is_none() {
            let text = quoted(format);
            let reason = format!("'{text}' has none of GT, DS and GP: a dosage has to come from one of them");
            return Err(GenotypeError::field("FORMAT", reason));
        }
        Ok(layout)
    }
}

/// Reads cells; keeps a buffer between records.
#[derive(Debug, Default)]
pub(super) struct Cells {
    probabilities: Vec<Option<f32>>,
}

impl Cells {
    /// Reads `people` cells into `row`; returns whether there were that many, neither fewer nor more.
    ///
    /// # Errors
    /// A cell is malformed or tells no dosage.
    pub(super) fn read(
        &mut self,
        cells: &[u8],
        people: usize,
        (layout, asked): (&Layout, Asked),
        row: &mut DosageRow,
    ) -> Result<bool, GenotypeError> {
        let more = layout.fields > 1;
        let simple = asked.alleles == 2;
        let mut rest = Some(cells);
        let mut sample = 0;
        while let Some(bytes) = rest {
            if simple && layout.genotype == Some(0) {
                let (read, used) = if layout.dosage == Some(1) {
                    read_dosages(bytes, people - sample, (layout.fields > 2, asked), &mut row.values)
                } else if layout.dosage.is_none() && layout.probability.is_none() {
                    read_genotypes(bytes, people - sample, (more, asked), &mut row.values)
                } else {
                    (0, 0)
                };
                sample += read;
                rest = bytes.get(used..);
            }
            if sample == people {
                // What is read that way ends with a tab, so there is another column.
                return Ok(false);
            }
            let Some(bytes) = rest else { break };
            let end = memchr::memchr(b'\t', bytes);
            let cell = bytes.get(..end.unwrap_or(bytes.len())).unwrap_or_default();
            self.add(cell, layout, asked, row).map_err(|fault| sample_fault(sample, fault))?;
            sample += 1;
            rest = end.and_then(|end| bytes.get(end + 1..));
            if sample == people {
                return Ok(rest.is_none());
            }
        }
        Ok(false)
    }

    /// Reads any cell.
    fn add(&mut self, cell: &[u8], layout: &Layout, asked: Asked, row: &mut DosageRow) -> Result<(), EntryFault> {
        let (mut genotype, mut dosage, mut probability) = (None, None, None);
        let mut found = 0;
        for field in cell.split(|byte| *byte == b':') {
            let here = Some(found);
            if here == layout.genotype {
                genotype = Some(field);
            } else if here == layout.dosage {
                dosage = Some(field);
            } else if here == layout.probability {
                probability = Some(field);
            }
            found += 1;
        }
        if found > layout.fields {
            return Err(("the entry", format!("it has {found} fields where FORMAT has {}", layout.fields)));
        }
        let genotype = genotype.map_or(Ok(Genotype::Missing), |text| parse_genotype(text, asked.alleles));
        self.probabilities.clear();
        for value in probability.into_iter().flat_map(numbers) {
            self.probabilities.push(value.map_err(|reason| ("GP", reason))?);
        }
        let entry = Entry {
            genotype: genotype.map_err(|reason| ("GT", reason))?,
            dosages: dosage.map(numbers),
            probabilities: probability.map(|_| self.probabilities.as_slice()),
        };
        asked.add(row, entry)
    }
}

const GENOTYPE_MASK: u32 = u32::from_le_bytes([0xfe, 0xff, 0xfe, 0]);
const PHASED: u32 = u32::from_le_bytes(*b"0|0\0");
const UNPHASED: u32 = u32::from_le_bytes(*b"0/0\0");

/// Returns how many of a genotype's two alleles are 1, where both are 0 or 1.
#[inline]
fn simple_genotype(start: [u8; 4]) -> Option<u8> {
    let masked = u32::from_le_bytes(start) & GENOTYPE_MASK;
    (masked == PHASED || masked == UNPHASED).then(|| (start[0] & 1) + (start[2] & 1))
}

/// Reads cells such as `0|1` while they are; returns how many, and their bytes. `more` says whether other fields may
/// follow.
fn read_genotypes(cells: &[u8], people: usize, (more, asked): (bool, Asked), values: &mut Vec<f32>) -> (usize, usize) {
    let table = if asked.allele == 0 { [2.0, 1.0, 0.0] } else { [0.0, 1.0, 2.0] };
    let (mut read, mut used) = (0, 0);
    while read < people {
        let Some(start) = cells.get(used..).and_then(|rest| rest.first_chunk::<4>()) else { break };
        let Some(value) = simple_genotype(*start).and_then(|count| table.get(usize::from(count))) else { break };
        let next = match start[3] {
            b'\t' => used + 4,
            b':' if more => match cells.get(used + 4..).and_then(|rest| memchr::memchr(b'\t', rest)) {
                Some(tab) => used + 4 + tab + 1,
                None => break,
            },
            _ => break,
        };
        values.push(*value);
        used = next;
        read += 1;
    }
    (read, used)
}

/// Reads cells such as `0|1:0.998` while they are, as [`read_genotypes`].
fn read_dosages(cells: &[u8], people: usize, (more, asked): (bool, Asked), values: &mut Vec<f32>) -> (usize, usize) {
    let (mut read, mut used) = (0, 0);
    while read < people {
        let Some((start, after)) = cells.get(used..).and_then(|rest| rest.split_first_chunk::<4>()) else { break };
        if start[3] != b':' || simple_genotype(*start).is_none() {
            break;
        }
        let Some((value, length)) = decimal(after).filter(|(value, _)| *value <= 2.0) else { break };
        let next = match after.get(length) {
            Some(b'\t') => used + 4 + length + 1,
            Some(b':') if more => match after.get(length..).and_then(|rest| memchr::memchr(b'\t', rest)) {
                Some(tab) => used + 4 + length + tab + 1,
                None => break,
            },
            _ => break,
        };
        values.push(if asked.allele == 0 { 2.0 - value } else { value });
        used = next;
        read += 1;
    }
    (read, used)
}

/// Reads a number such as `1`, `0.998` from the start of the bytes; returns it and its length. `None` for what is
/// written otherwise, or has more digits than the quotient of two exact numbers can give back exactly.
#[inline]
fn decimal(bytes: &[u8]) -> Option<(f32, usize)> {
    // 10^k is exact up to k = 10 and the digits are below 2^24, so that the one division rounds as a parser does.
    const POWERS: [f32; 8] = [1.0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7];
    let digit = |at: usize| bytes.get(at).map(|byte| byte.wrapping_sub(b'0')).filter(|digit| *digit < 10);
    let mut mantissa = u32::from(digit(0)?);
    if bytes.get(1) != Some(&b'.') {
        return digit(1).is_none().then_some((mantissa as f32, 1));
    }
    let mut length = 2;
    while let Some(digit) = digit(length) {
        mantissa = mantissa * 10 + u32::from(digit);
        length += 1;
        if length == 2 + POWERS.len() {
            return None;
        }
    }
    let power = POWERS.get(length - 2).filter(|_| length > 2 && mantissa < 1 << 24)?;
    Some((mantissa as f32 / power, length))
}

/// Reads numbers parted by commas; a dot is missing.
fn numbers(text: &[u8]) -> impl Iterator<Item = Result<Option<f32>, String>> {
    text.split(|byte| *byte == b',').map(number)
}

fn number(text: &[u8]) -> Result<Option<f32>, String> {
    if text == b"." {
        return Ok(None);
    }
    if let Some((value, length)) = decimal(text)
        && length == text.len()
    {
        return Ok(Some(value));
    }
    let parsed = str::from_utf8(text).ok().and_then(|text| text.parse().ok());
    parsed.map(Some).ok_or_else(|| format!("'{}' is not a number", quoted(text)))
}

fn parse_genotype(text: &[u8], alleles: usize) -> Result<Genotype, String> {
    // From VCF 4.4 on the first allele may have a mark of its own.
    let text = text.strip_prefix(b"|").or_else(|| text.strip_prefix(b"/")).unwrap_or(text);
    let parts = text.split(|byte| matches!(byte, b'|' | b'/')).map(|part| {
        if part == b"." {
            return Ok(None);
        }
        let digits = str::from_utf8(part).ok().filter(|part| part.bytes().all(|byte| byte.is_ascii_digit()));
        let index = digits.and_then(|digits| digits.parse().ok());
        index.map(Some).ok_or_else(|| format!("'{}' is not a genotype", quoted(text)))
    });
    Genotype::new(parts, alleles)
}

/// Returns the beginning of a field, for an error.
fn quoted(text: &[u8]) -> String {
    let text = text.get(..80).unwrap_or(text);
    String::from_utf8_lossy(text).chars().take(30).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn numbers_are_read_as_the_standard_library_reads_them(text in "[0-9]{1,3}(\\.[0-9]{0,12})?(e-?[0-9])?") {
            let expected: f32 = text.parse().unwrap();
            prop_assert_eq!(number(text.as_bytes()).unwrap().unwrap().to_bits(), expected.to_bits());
            if let Some((value, length)) = decimal(text.as_bytes()) {
                prop_assert_eq!(value.to_bits(), text[..length].parse::<f32>().unwrap().to_bits());
            }
        }
    }

    #[test]
    fn every_dosage_of_up_to_six_digits_is_exact() {
        for digits in 1..=6_usize {
            for step in 0..10_u32.pow(digits as u32) {
                for whole in 0..2 {
                    let text = format!("{whole}.{step:0digits$}");
                    let (value, length) = decimal(text.as_bytes()).unwrap();
                    assert_eq!((value.to_bits(), length), (text.parse::<f32>().unwrap().to_bits(), text.len()));
                }
            }
        }
    }
}
