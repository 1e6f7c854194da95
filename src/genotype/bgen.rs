//! BGEN, versions 1.1 to 1.3: layouts 1 and 2, plain, zlib or zstd, as the specification of the Oxford group has them.
//!
//! A variant's first allele is the reference allele here, as the format's convention and plink2's `ref-first` have it;
//! the others are the alternatives. A dosage is the expected count of an allele. People come from the file's own
//! identifiers or from a `.sample` file (`sample_file`), which counts where both are there, since it has the
//! sexes too. Imports `genome` alone. Invariants: the data of a record that nobody asks for are neither kept nor
//! inflated; no length that the file declares is trusted before bytes have come.

mod bytes;
mod header;
mod inflate;
mod probabilities;

use bytes::{Budget, Bytes};
use header::{Compression, Header, Layout};
use inflate::Inflater;

use super::input::Input;
use super::{DosageRow, Fault, GenotypeError, GenotypeSource, Limit, Place, ReadLimits, Samples, Site, sample_file};
use crate::genome::{Assembly, Chromosome, Position};

/// A source of BGEN records.
pub struct BgenSource {
    bytes: Bytes,
    header: Header,
    samples: Samples,
    limits: ReadLimits,
    inflater: Inflater,
    record: u64,
    site: Parts,
    block: Block,
    /// The data block as it stands in the file.
    raw: Vec<u8>,
    /// The data block inflated.
    data: Vec<u8>,
}

/// The identifying data of the current record.
#[derive(Debug, Default)]
struct Parts {
    chromosome: Option<(String, Chromosome)>,
    position: Option<Position>,
    ids: String,
    reference: String,
    alternatives: String,
    alleles: usize,
}

/// The data block of the current record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Block {
    /// There is no record.
    None,
    /// It comes next in the file: so many bytes, so many when inflated.
    Waiting { stored: u32, inflated: u32 },
    /// It has been read and inflated.
    Read,
    /// It has been tried and is damaged.
    Damaged,
}

impl BgenSource {
    /// Opens a BGEN file and the list of its people, where one was sent.
    ///
    /// # Errors
    /// The header is malformed or of a version that is not known, there are no identifiers and no list, the list's
    /// people are not as many as the file's, or a limit is passed.
    pub fn open(bgen: Input, sample: Option<Input>, limits: &ReadLimits) -> Result<Self, GenotypeError> {
        let mut bytes = Bytes::new(bgen);
        let (header, own) = header::read(&mut bytes, limits).map_err(|error| error.in_file(bytes.name()))?;
        let samples = match (sample, own) {
            (Some(list), _) => {
                let name: Box<str> = list.name().into();
                let listed = sample_file::read(list, limits)?;
                if listed.len() != header.samples {
                    let what = format!(
                        "it lists {} people, the BGEN file has {}: send the .sample file that belongs to it",
                        listed.len(),
                        header.samples
                    );
                    return Err(GenotypeError::malformed(what).in_file(&name));
                }
                listed
            }
            (None, Some(own)) => Samples::new(own, limits).map_err(|error| error.in_file(bytes.name()))?,
            (None, None) => {
                let what = "it has no sample identifiers: send the .sample file that belongs to it";
                return Err(GenotypeError::malformed(what).in_file(bytes.name()));
            }
        };
        Ok(Self {
            inflater: Inflater::new(header.compression, limits),
            bytes,
            header,
            samples,
            limits: limits.clone(),
            record: 0,
            site: Parts::default(),
            block: Block::None,
            raw: Vec::new(),
            data: Vec::new(),
        })
    }

    /// Passes over what is left of the current record and reads the next one up to its data.
    fn advance(&mut self) -> Result<bool, GenotypeError> {
        if let Block::Waiting { stored, .. } = self.block {
            self.bytes.skip(u64::from(stored))?;
        }
        self.block = Block::None;
        if self.record >= u64::from(self.header.variants) {
            if self.bytes.has_more()? {
                let what = format!("bytes follow the {} variants that the header declares", self.header.variants);
                return Err(GenotypeError::malformed(what));
            }
            return Ok(false);
        }
        self.record += 1;
        if self.header.layout == Layout::One {
            let samples = self.bytes.u32()?;
            if samples as usize != self.header.samples {
                let reason = format!("the record has {samples}, the header {}", self.header.samples);
                return Err(GenotypeError::field("number of samples", reason));
            }
        }
        self.read_parts()?;
        self.block = self.read_lengths()?;
        Ok(true)
    }

    fn read_parts(&mut self) -> Result<(), GenotypeError> {
        let mut budget = Budget::new(self.limits.record_bytes);
        let short = |bytes: &mut Bytes, name, budget: &mut Budget| -> Result<String, GenotypeError> {
            let length = u32::from(bytes.u16()?);
            bytes.text(length, name, budget)
        };
        let name = short(&mut self.bytes, "variant identifier", &mut budget)?;
        let rsid = short(&mut self.bytes, "rsid", &mut budget)?;
        let chromosome = short(&mut self.bytes, "chromosome", &mut budget)?;
        let site = &mut self.site;
        site.ids = match (rsid.as_str(), name.as_str()) {
            (_, "" | ".") => rsid,
            ("" | ".", _) => name,
            (a, b) if a == b => rsid,
            (a, b) => format!("{a};{b}"),
        };
        if site.chromosome.as_ref().is_none_or(|(known, _)| *known != chromosome) {
            site.chromosome = parse_chromosome(&chromosome)?.map(|parsed| (chromosome, parsed));
        }
        site.position = Position::new(self.bytes.u32()?);
        site.alleles = match self.header.layout {
            Layout::One => 2,
            Layout::Two => usize::from(self.bytes.u16()?),
        };
        if site.alleles == 0 {
            return Err(GenotypeError::field("number of alleles", "it is 0: a variant has at least one"));
        }
        if site.alleles - 1 > self.limits.alternatives {
            return Err(GenotypeError::limit(Limit::Alternatives, self.limits.alternatives as u64));
        }
        site.alternatives.clear();
        for allele in 0..site.alleles {
            let length = self.bytes.u32()?;
            let bases = self.bytes.text(length, "allele", &mut budget)?;
            match allele {
                0 => site.reference = bases,
                1 => site.alternatives = bases,
                _ => {
                    site.alternatives.push(',');
                    site.alternatives.push_str(&bases);
                }
            }
        }
        Ok(())
    }

    /// Reads how long the data block is, before and after inflating.
    fn read_lengths(&mut self) -> Result<Block, GenotypeError> {
        let compressed = self.header.compression != Compression::None;
        let (stored, inflated) = match self.header.layout {
            Layout::One => {
                // The header's check against the limit of samples keeps this far below 2^32.
                let plain = u32::try_from(6 * self.header.samples as u64).unwrap_or(u32::MAX);
                if compressed { (self.bytes.u32()?, plain) } else { (plain, plain) }
            }
            Layout::Two => {
                let length = self.bytes.u32()?;
                if compressed {
                    let stored = length.checked_sub(4).ok_or_else(|| {
                        GenotypeError::field("length of the data", format!("it is {length}: it is 4 at the least"))
                    })?;
                    (stored, self.bytes.u32()?)
                } else {
                    (length, length)
                }
            }
        };
        if stored.max(inflated) as usize > self.limits.record_bytes {
            return Err(GenotypeError::limit(Limit::RecordBytes, self.limits.record_bytes as u64));
        }
        Ok(Block::Waiting { stored, inflated })
    }

    /// Reads and inflates the current data block, once.
    fn load(&mut self) -> Result<(), GenotypeError> {
        match self.block {
            Block::Read => return Ok(()),
            Block::None => return Err(GenotypeError::malformed("there is no current record")),
            Block::Damaged => return Err(GenotypeError::malformed("the record's data are damaged")),
            Block::Waiting { stored, inflated } => {
                self.block = Block::Damaged;
                self.raw.clear();
                self.bytes.append(u64::from(stored), &mut self.raw)?;
                self.inflater.inflate(&mut self.raw, inflated as usize, &mut self.data)?;
            }
        }
        self.block = Block::Read;
        Ok(())
    }

    fn placed(&self, error: GenotypeError) -> GenotypeError {
        error.in_file(self.bytes.name()).at(self.place())
    }
}

impl GenotypeSource for BgenSource {
    fn format(&self) -> &'static str {
        "bgen"
    }

    fn samples(&self) -> &Samples {
        &self.samples
    }

    fn assembly(&self) -> Option<&Assembly> {
        None
    }

    fn next_site(&mut self) -> Result<Option<Site<'_>>, GenotypeError> {
        let more = self.advance().map_err(|error| self.placed(error))?;
        Ok(more.then(|| Site {
            chromosome: self.site.chromosome.as_ref().map(|(_, chromosome)| chromosome),
            position: self.site.position,
            ids: &self.site.ids,
            reference: &self.site.reference,
            alternatives: &self.site.alternatives,
        }))
    }

    fn place(&self) -> Place {
        if self.record == 0 { Place::Whole } else { Place::Record(self.record) }
    }

    fn dosages(&mut self, allele: usize, row: &mut DosageRow) -> Result<(), GenotypeError> {
        self.load().map_err(|error| self.placed(error))?;
        row.values.clear();
        row.haploid.clear();
        row.missing = 0;
        let alleles = self.site.alleles;
        let read = if allele >= alleles {
            Err(Fault::Field { field: "allele".to_owned(), reason: format!("the record has no allele {allele}") })
        } else {
            match self.header.layout {
                Layout::One => probabilities::layout_one(&self.data, self.samples.len(), allele, row),
                Layout::Two => probabilities::layout_two(&self.data, self.samples.len(), (allele, alleles), row),
            }
        };
        read.map_err(|fault| self.placed(GenotypeError::new(fault)))
    }
}

/// Parses a chromosome's name; the format's tools write `01` for 1 and leave an unknown one empty or `NA`.
fn parse_chromosome(text: &str) -> Result<Option<Chromosome>, GenotypeError> {
    if matches!(text, "" | "NA" | "." | "0" | "00") {
        return Ok(None);
    }
    let number = text.bytes().all(|byte| byte.is_ascii_digit());
    let bare = if number { text.trim_start_matches('0') } else { text };
    Chromosome::parse(bare).map(Some).map_err(|error| GenotypeError::field("chromosome", error.to_string()))
}

#[cfg(test)]
mod tests;
