//! The header block and the sample identifier block.

use super::super::{Fault, GenotypeError, Limit, ReadLimits, Sample};
use super::bytes::{Budget, Bytes};

/// How the data blocks are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Compression {
    None,
    Zlib,
    Zstd,
}

/// How a record is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    /// Two alleles, three 16-bit probabilities a person (v1.1).
    One,
    /// Any alleles, ploidies and numbers of bits (v1.2 and v1.3).
    Two,
}

/// What the header declares.
#[derive(Debug, Clone, Copy)]
pub(super) struct Header {
    pub(super) variants: u32,
    pub(super) samples: usize,
    pub(super) compression: Compression,
    pub(super) layout: Layout,
}

/// The fixed part of the header block.
const FIXED: u32 = 20;

/// Reads up to the first record; the people where the file has their identifiers.
pub(super) fn read(bytes: &mut Bytes, limits: &ReadLimits) -> Result<(Header, Option<Vec<Sample>>), GenotypeError> {
    let offset = bytes.u32()?;
    let length = bytes.u32()?;
    let variants = bytes.u32()?;
    let samples = bytes.u32()?;
    let magic = bytes.four()?;
    if &magic != b"bgen" && magic != [0; 4] {
        return Err(GenotypeError::malformed("it is no BGEN file: its header does not say 'bgen'"));
    }
    if length < FIXED || length > offset {
        let reason = format!("it is {length}: it is from {FIXED} to the offset of the first record, {offset}");
        return Err(GenotypeError::field("length of the header", reason));
    }
    bytes.skip(u64::from(length - FIXED))?;
    let flags = bytes.u32()?;
    let header = Header {
        variants,
        samples: samples as usize,
        compression: compression(flags & 3)?,
        layout: layout(flags >> 2 & 15)?,
    };
    if header.compression == Compression::Zstd && header.layout == Layout::One {
        return Err(GenotypeError::malformed("its header declares zstd with layout 1, which has zlib or nothing"));
    }
    if header.samples > limits.samples {
        return Err(GenotypeError::limit(Limit::Samples, limits.samples as u64));
    }
    if u64::from(variants) > limits.records {
        return Err(GenotypeError::limit(Limit::Records, limits.records));
    }
    let mut left = offset - length;
    let people = if flags >> 31 == 1 { Some(read_people(bytes, samples, &mut left)?) } else { None };
    bytes.skip(u64::from(left))?;
    Ok((header, people))
}

fn compression(flag: u32) -> Result<Compression, GenotypeError> {
    match flag {
        0 => Ok(Compression::None),
        1 => Ok(Compression::Zlib),
        2 => Ok(Compression::Zstd),
        _ => Err(unsupported(format!("compression {flag} is not known: BGEN has 0, 1 (zlib) and 2 (zstd)"))),
    }
}

fn layout(flag: u32) -> Result<Layout, GenotypeError> {
    match flag {
        1 => Ok(Layout::One),
        2 => Ok(Layout::Two),
        _ => Err(unsupported(format!(
            "layout {flag} is not read here: convert the file to BGEN 1.2, such as by qctool or plink2 --export bgen-1.2"
        ))),
    }
}

fn unsupported(what: String) -> GenotypeError {
    GenotypeError::new(Fault::Unsupported(what))
}

/// Reads the identifiers, within the `left` bytes before the first record.
fn read_people(bytes: &mut Bytes, samples: u32, left: &mut u32) -> Result<Vec<Sample>, GenotypeError> {
    let too_long = || GenotypeError::field("sample identifiers", "they run into the first record");
    let mut take = |count: u32| {
        *left = left.checked_sub(count).ok_or_else(too_long)?;
        Ok::<(), GenotypeError>(())
    };
    take(8)?;
    let _length = bytes.u32()?;
    let declared = bytes.u32()?;
    if declared != samples {
        let reason = format!("there are {declared}, the header declares {samples} samples");
        return Err(GenotypeError::field("sample identifiers", reason));
    }
    // The number is only a claim until the identifiers have come.
    let mut people = Vec::with_capacity(samples.min(1 << 16) as usize);
    for number in 1..=samples {
        take(2)?;
        let length = bytes.u16()?;
        take(u32::from(length))?;
        let id = bytes.text(
            u32::from(length),
            &format!("identifier of sample {number}"),
            &mut Budget::new(usize::from(length)),
        )?;
        people.push(Sample::named(&id));
    }
    Ok(people)
}
