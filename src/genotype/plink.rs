//! PLINK 1: bed, bim and fam.
//!
//! The bim is read line by line together with the bed, so that memory is one variant whatever the file's length. Which
//! of A1 and A2 is the reference is not recorded: by convention it is A2, so that allele 1 is A1. A person's haploid
//! call is written as a homozygous one, so that dosages count from 0 to 2 everywhere. Imports `genome` and the
//! vocabulary of `genotype`.

pub(in crate::genotype) mod text;
pub(in crate::genotype) mod two_bit;
pub(in crate::genotype) mod variants;

#[cfg(test)]
mod tests;

use self::text::{SampleColumns, read_samples};
use self::two_bit::Table;
use self::variants::Variants;
use super::input::{Input, Lines};
use super::{DosageRow, Fault, GenotypeError, GenotypeSource, Limit, Place, ReadLimits, Samples, Site};
use crate::genome::Assembly;

/// The first two bytes of a bed and of a pgen file.
pub(in crate::genotype) const MAGIC: [u8; 2] = [0x6c, 0x1b];

/// What to do with a bed that lists people by people.
pub(in crate::genotype) const INDIVIDUAL_MAJOR: &str =
    "it lists the genotypes person by person (individual-major): convert it with plink --make-bed first";

/// The meaning of a bed's two bits for A2 (allele 0) and A1 (allele 1): hom A1, missing, het, hom A2.
pub(in crate::genotype) fn bed_tables() -> [Table; 2] {
    [[0.0, f32::NAN, 1.0, 2.0], [2.0, f32::NAN, 1.0, 0.0]].map(|codes| Table::new(codes, 1))
}

/// The genotypes of a bed, bim and fam file.
pub struct PlinkSource {
    bed: Bed,
    bim: Variants,
    fam: Box<str>,
    samples: Samples,
}

impl PlinkSource {
    /// Reads the samples and opens the variants.
    ///
    /// # Errors
    /// The fam file is malformed, the bed file is none or lists people by people, or a limit is passed.
    pub fn open(bed: Input, bim: Input, fam: Input, limits: &ReadLimits) -> Result<Self, GenotypeError> {
        let mut fam = Lines::new(fam, limits);
        let samples = read_samples(&mut fam, &SampleColumns::FAM, false, limits)?;
        let mut bed = bed;
        check_magic(&mut bed)?;
        let bed = Bed::new(bed, samples.len(), limits)?;
        Ok(Self { bed, bim: Variants::bim(bim, limits), fam: fam.name().into(), samples })
    }

    /// Says what does not fit where the bed does not have the bytes that it should.
    fn misfit(&mut self, found: u64) -> GenotypeError {
        match self.bim.count_all() {
            Ok(variants) => {
                let what = misfit(found, variants, self.bed.record.len(), (self.bim.name(), &self.fam), &self.samples);
                GenotypeError::malformed(what).in_file(self.bed.name())
            }
            Err(error) => error,
        }
    }
}

/// The sentence for a bed whose length is not that of its variants and samples.
pub(in crate::genotype) fn misfit(
    found: u64,
    variants: u64,
    record: usize,
    (table, people): (&str, &str),
    samples: &Samples,
) -> String {
    let expected = variants.saturating_mul(record as u64);
    let cause = if found < expected { "it was cut off, or" } else { "something was added to it, or" };
    format!(
        "it has {found} bytes of genotypes where {variants} variants ({table}) of {} samples ({people}) take \
         {expected}: {cause} the three files do not belong together",
        samples.len()
    )
}

fn check_magic(bed: &mut Input) -> Result<(), GenotypeError> {
    let mut head = [0; 3];
    let count = bed.read_full(&mut head)?;
    let what = match head {
        [0x6c, 0x1b, 1] if count == 3 => return Ok(()),
        [0x6c, 0x1b, 0] if count == 3 => INDIVIDUAL_MAJOR,
        [0x6c, 0x1b, _] if count == 3 => {
            "it is a PLINK 2 file (pgen): name it so and give it with its pvar and psam files"
        }
        _ => {
            "it is no bed file of PLINK: it has to begin with the bytes 6c 1b 01 (a bed file of intervals is another \
              format)"
        }
    };
    let fault = if what == INDIVIDUAL_MAJOR { Fault::Unsupported(what.into()) } else { Fault::Malformed(what.into()) };
    Err(GenotypeError::new(fault).in_file(bed.name()))
}

impl GenotypeSource for PlinkSource {
    fn format(&self) -> &'static str {
        "plink"
    }

    fn samples(&self) -> &Samples {
        &self.samples
    }

    fn assembly(&self) -> Option<&Assembly> {
        None
    }

    fn next_site(&mut self) -> Result<Option<Site<'_>>, GenotypeError> {
        if let Some(found) = self.bed.leave()? {
            return Err(self.misfit(found));
        }
        if !self.bim.advance()? {
            let (found, more) = self.bed.count_rest()?;
            return if more { Err(self.misfit(found)) } else { Ok(None) };
        }
        self.bed.ahead = true;
        Ok(Some(self.bim.site()))
    }

    fn place(&self) -> Place {
        Place::Record(self.bim.records())
    }

    fn dosages(&mut self, allele: usize, row: &mut DosageRow) -> Result<(), GenotypeError> {
        if let Some(found) = self.bed.load()? {
            return Err(self.misfit(found));
        }
        self.bed.fill(allele, self.samples.len(), row).map_err(|error| error.at(self.place()))
    }
}

/// The records of a bed: of fixed width, with PLINK 1's codes.
pub(in crate::genotype) struct Bed {
    input: Input,
    /// The current record's bytes.
    record: Vec<u8>,
    /// The current record has not been read yet.
    ahead: bool,
    /// How many bytes of genotypes have been read.
    found: u64,
    tables: [Table; 2],
}

impl Bed {
    /// Takes the records that follow the magic bytes.
    fn new(input: Input, samples: usize, limits: &ReadLimits) -> Result<Self, GenotypeError> {
        let width = samples.div_ceil(4);
        if width > limits.record_bytes {
            let most = limits.record_bytes as u64;
            return Err(GenotypeError::limit(Limit::RecordBytes, most).in_file(input.name()));
        }
        Ok(Self { input, record: vec![0; width], ahead: false, found: 0, tables: bed_tables() })
    }

    fn name(&self) -> &str {
        self.input.name()
    }

    /// Passes over the current record where it has not been read; where the file ends in it, returns how many bytes
    /// of genotypes the file has.
    fn leave(&mut self) -> Result<Option<u64>, GenotypeError> {
        if !std::mem::take(&mut self.ahead) {
            return Ok(None);
        }
        let width = self.record.len() as u64;
        let skipped = skip(&mut self.input, width)?;
        self.found += skipped;
        Ok((skipped < width).then_some(self.found))
    }

    /// Reads the current record where it has not been read; returns as [`Self::leave`].
    fn load(&mut self) -> Result<Option<u64>, GenotypeError> {
        if !std::mem::take(&mut self.ahead) {
            return Ok(None);
        }
        let read = self.input.read_full(&mut self.record)?;
        self.found += read as u64;
        Ok((read < self.record.len()).then_some(self.found))
    }

    /// Counts the bytes of genotypes to the end, and says whether any was left.
    fn count_rest(&mut self) -> Result<(u64, bool), GenotypeError> {
        let rest = skip(&mut self.input, u64::MAX)?;
        self.found += rest;
        Ok((self.found, rest > 0))
    }

    fn fill(&self, allele: usize, samples: usize, row: &mut DosageRow) -> Result<(), GenotypeError> {
        let table = self.tables.get(allele).ok_or_else(|| no_such_allele(allele, 1).in_file(self.name()))?;
        table.fill(&self.record, samples, row);
        Ok(())
    }
}

/// Returns the fault of asking for an allele that a record does not have.
pub(in crate::genotype) fn no_such_allele(allele: usize, alternatives: usize) -> GenotypeError {
    GenotypeError::malformed(format!("it has no allele {allele}: its alleles are 0 to {alternatives}"))
}

/// Passes over up to `count` bytes; returns how many there were.
pub(in crate::genotype) fn skip(input: &mut Input, count: u64) -> Result<u64, GenotypeError> {
    let mut left = count;
    while left > 0 {
        let at_hand = input.fill()?.len();
        if at_hand == 0 {
            break;
        }
        let take = usize::try_from(left).map_or(at_hand, |left| left.min(at_hand));
        input.consume(take);
        left -= take as u64;
    }
    Ok(count - left)
}
