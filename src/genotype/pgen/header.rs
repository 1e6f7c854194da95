//! The header of a pgen file: its storage mode, its counts, and the kind and length of every record.
//!
//! Imports the vocabulary of `genotype` alone. Invariant: the tables hold no more bytes than the file has given, so
//! that a count that was made up costs nothing.

use crate::genotype::input::Input;
use crate::genotype::plink::{INDIVIDUAL_MAJOR, MAGIC, skip};
use crate::genotype::{Fault, GenotypeError, Limit, ReadLimits};

/// A block's number of variants in the header's tables.
const BLOCK: u64 = 1 << 16;
/// How many bytes of a table are asked for at once.
const CHUNK: usize = 1 << 16;

/// A record's kind: what is stored in it and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Kind(pub(super) u8);

impl Kind {
    /// Returns how the main track is stored, from 0 to 7.
    pub(super) const fn main(self) -> u8 {
        self.0 & 7
    }

    /// Returns whether the main track lists differences from an earlier record.
    pub(super) const fn refers_back(self) -> bool {
        matches!(self.main(), 2 | 3)
    }

    /// Returns whether there are calls of alternative alleles after the first.
    pub(super) const fn multiallelic(self) -> bool {
        self.0 & 8 != 0
    }

    /// Returns whether there are phases of hard calls.
    pub(super) const fn phased(self) -> bool {
        self.0 & 0x10 != 0
    }

    /// Returns how dosages are stored, from 0 (there are none) to 3.
    pub(super) const fn dosages(self) -> u8 {
        self.0 >> 5 & 3
    }

    /// Returns whether there are phases of dosages.
    pub(super) const fn phased_dosages(self) -> bool {
        self.0 & 0x80 != 0
    }
}

/// How a table's entries are packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Packing {
    /// Bits of a record's kind: 0, 4 or 8.
    kind_bits: u64,
    /// Bits of a record's length: 2, 4, 8, 16, 24 or 32.
    length_bits: u64,
    /// Bytes of an allele count: 0 where there is none.
    count_bytes: u64,
    /// Whether every record has a bit for an uncertain reference allele.
    flags: bool,
}

/// Where the records of a pgen file are and what is in them.
#[derive(Debug)]
pub(super) enum Layout {
    /// PLINK 1's records, as many as there are variants.
    Bed {
        /// Bytes of a record.
        width: usize,
    },
    /// Records of one kind and length.
    Fixed {
        /// How many.
        records: u64,
        /// The kind of all of them.
        kind: Kind,
        /// Bytes of a record.
        width: usize,
    },
    /// Records of their own kinds and lengths.
    Tables(Tables),
}

/// The kinds and lengths of all records, packed as in the file.
#[derive(Debug)]
pub(super) struct Tables {
    records: u64,
    packing: Packing,
    /// The least length of a record where lengths are stored as what is beyond it.
    least: u32,
    blocks: Vec<u8>,
    kinds: Vec<u8>,
    lengths: Vec<u8>,
    counts: Vec<u8>,
}

impl Layout {
    /// Reads the header of a file that has to be of `samples` people; returns its layout and its length in bytes.
    ///
    /// # Errors
    /// It is no pgen file, one of another mode or of other people, or it ends within the header.
    pub(super) fn read(pgen: &mut Input, samples: usize, limits: &ReadLimits) -> Result<(Self, u64), GenotypeError> {
        let mut reader = Reader { input: pgen, at: 0 };
        let [first, second, mode] = reader.array()?;
        if [first, second] != MAGIC {
            return Err(malformed("it is no pgen file of PLINK 2: it has to begin with the bytes 6c 1b"));
        }
        let width = samples.div_ceil(4);
        if mode == 1 {
            return Ok((Self::Bed { width }, reader.at));
        }
        check_mode(mode)?;
        let records = u64::from(u32::from_le_bytes(reader.array()?));
        let people = u64::from(u32::from_le_bytes(reader.array()?));
        let [format] = reader.array()?;
        if people != samples as u64 {
            return Err(malformed(format!(
                "it has {people} samples where the psam file has {samples}: the two do not belong together"
            )));
        }
        if records > limits.records {
            return Err(GenotypeError::limit(Limit::Records, limits.records));
        }
        let layout = if mode == 0x10 {
            Self::Tables(Tables::read(&mut reader, records, width, format)?)
        } else {
            if format & 0x3f != 0 {
                return Err(malformed("its header says that records of fixed width have tables: it is damaged"));
            }
            if format >> 6 == 3 {
                reader.skip(records.div_ceil(8))?;
            }
            let (kind, more) = match mode {
                2 => (Kind(0), 0),
                3 => (Kind(0x40), 2 * samples),
                _ => (Kind(0xc0), 4 * samples),
            };
            Self::Fixed { records, kind, width: width + more }
        };
        Ok((layout, reader.at))
    }

    /// Returns how many records there are, where the file says it.
    pub(super) fn records(&self) -> Option<u64> {
        match self {
            Self::Bed { .. } => None,
            Self::Fixed { records, .. } => Some(*records),
            Self::Tables(tables) => Some(tables.records),
        }
    }

    /// Returns the kind of a record, from 0; `None` behind the last.
    pub(super) fn kind(&self, record: u64) -> Option<Kind> {
        match self {
            Self::Bed { .. } => Some(Kind(0)),
            Self::Fixed { kind, .. } => Some(*kind),
            Self::Tables(tables) => tables.kind(record),
        }
    }

    /// Returns a record's length in bytes; `None` behind the last.
    pub(super) fn length(&self, record: u64) -> Option<u32> {
        match self {
            Self::Bed { width } | Self::Fixed { width, .. } => u32::try_from(*width).ok(),
            Self::Tables(tables) => tables.length(record),
        }
    }

    /// Returns how many alleles the file says that a record has, where it says it.
    pub(super) fn alleles(&self, record: u64) -> Option<u64> {
        match self {
            Self::Tables(tables) if tables.packing.count_bytes > 0 => {
                number(&tables.counts, record, tables.packing.count_bytes)
            }
            _ => None,
        }
    }

    /// Returns where the block that begins with a record begins in the file; `None` for all other records.
    pub(super) fn block_start(&self, record: u64) -> Option<u64> {
        match self {
            Self::Tables(tables) if record.is_multiple_of(BLOCK) => number(&tables.blocks, record / BLOCK, 8),
            _ => None,
        }
    }
}

/// Refuses the storage modes that cannot be read, each by its name.
fn check_mode(mode: u8) -> Result<(), GenotypeError> {
    let what = match mode {
        2..=4 | 0x10 => return Ok(()),
        0 => INDIVIDUAL_MAJOR.to_owned(),
        0x11 | 0x21 => {
            "its index is in a separate file (pgi), which is not read: write it anew with plink2 --make-pgen".to_owned()
        }
        0x20 => "it has the extended header of newer PLINK 2 versions, which is not read: write it anew with an older \
                 plink2 --make-pgen, or as a VCF with plink2 --export vcf-4.2"
            .to_owned(),
        _ => format!("its storage mode 0x{mode:02x} is not known: write it anew with plink2 --make-pgen"),
    };
    Err(GenotypeError::new(Fault::Unsupported(what)))
}

fn malformed(what: impl Into<String>) -> GenotypeError {
    GenotypeError::malformed(what)
}

impl Packing {
    fn parse(format: u8) -> Result<Self, GenotypeError> {
        let (kind_bits, length_bits) = match format & 15 {
            form @ 0..=3 => (4, 8 * (u64::from(form) + 1)),
            form @ 4..=7 => (8, 8 * (u64::from(form) - 3)),
            8 => (0, 2),
            9 => (0, 4),
            form => {
                let what = format!("its tables have form {form}, which is not known: write it anew with plink2");
                return Err(GenotypeError::new(Fault::Unsupported(what)));
            }
        };
        Ok(Self { kind_bits, length_bits, count_bytes: u64::from(format >> 4 & 3), flags: format >> 6 == 3 })
    }
}

impl Tables {
    fn read(reader: &mut Reader<'_>, records: u64, width: usize, format: u8) -> Result<Self, GenotypeError> {
        let packing = Packing::parse(format)?;
        let least = if packing.kind_bits == 0 { u32::try_from(width).unwrap_or(u32::MAX) } else { 0 };
        let empty = Vec::new;
        let mut tables =
            Self { records, packing, least, blocks: empty(), kinds: empty(), lengths: empty(), counts: empty() };
        reader.extend(&mut tables.blocks, records.div_ceil(BLOCK) * 8)?;
        let mut left = records;
        while left > 0 {
            let block = left.min(BLOCK);
            reader.extend(&mut tables.kinds, (block * packing.kind_bits).div_ceil(8))?;
            reader.extend(&mut tables.lengths, (block * packing.length_bits).div_ceil(8))?;
            reader.extend(&mut tables.counts, block * packing.count_bytes)?;
            if packing.flags {
                reader.skip(block.div_ceil(8))?;
            }
            left -= block;
        }
        Ok(tables)
    }

    fn kind(&self, record: u64) -> Option<Kind> {
        match self.packing.kind_bits {
            // A record that is longer than its hard calls can only have more alleles.
            0 => Some(Kind(if self.length(record)? > self.least { 8 } else { 0 })),
            bits => (record < self.records).then(|| small(&self.kinds, record, bits)).flatten().map(Kind),
        }
    }

    fn length(&self, record: u64) -> Option<u32> {
        if record >= self.records {
            return None;
        }
        match self.packing.length_bits {
            bits @ (2 | 4) => self.least.checked_add(u32::from(small(&self.lengths, record, bits)?)),
            bits => number(&self.lengths, record, bits / 8).and_then(|length| u32::try_from(length).ok()),
        }
    }
}

/// Returns an entry of 2, 4 or 8 bits of a packed table.
fn small(table: &[u8], index: u64, bits: u64) -> Option<u8> {
    let per_byte = 8 / bits;
    let byte = table.get(usize::try_from(index / per_byte).ok()?)?;
    let mask = (1_u16 << bits) - 1;
    Some(byte >> (index % per_byte * bits) & mask as u8)
}

/// Returns an entry of up to eight whole bytes of a table.
fn number(table: &[u8], index: u64, width: u64) -> Option<u64> {
    let (index, width) = (usize::try_from(index).ok()?, usize::try_from(width).ok()?);
    let start = index.checked_mul(width)?;
    let bytes = table.get(start..start.checked_add(width)?)?;
    Some(bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)))
}

/// The bytes of the header, counted.
struct Reader<'a> {
    input: &'a mut Input,
    at: u64,
}

impl Reader<'_> {
    fn array<const N: usize>(&mut self) -> Result<[u8; N], GenotypeError> {
        let mut bytes = [0; N];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), GenotypeError> {
        let read = self.input.read_full(bytes)?;
        self.at += read as u64;
        if read < bytes.len() { Err(ended()) } else { Ok(()) }
    }

    /// Reads `count` bytes behind what `table` has; the table grows as the bytes come.
    fn extend(&mut self, table: &mut Vec<u8>, count: u64) -> Result<(), GenotypeError> {
        let mut left = count;
        while left > 0 {
            let chunk = usize::try_from(left).map_or(CHUNK, |left| left.min(CHUNK));
            let start = table.len();
            table.resize(start + chunk, 0);
            self.fill(table.get_mut(start..).unwrap_or_default())?;
            left -= chunk as u64;
        }
        Ok(())
    }

    fn skip(&mut self, count: u64) -> Result<(), GenotypeError> {
        let skipped = skip(self.input, count)?;
        self.at += skipped;
        if skipped < count { Err(ended()) } else { Ok(()) }
    }
}

fn ended() -> GenotypeError {
    malformed("it ends within its header: it was cut off")
}
