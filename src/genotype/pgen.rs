//! PLINK 2: pgen, pvar and psam.
//!
//! The pvar is read line by line together with the pgen, so that memory is one record, the record that it may refer
//! to, and the pgen's own tables of kinds and lengths. A record that nobody asks for is passed over without decoding.
//! Dosages take the place of hard calls; phases are passed over. A person's haploid call is written as a homozygous
//! one, so that dosages count from 0 to 2 everywhere. Imports `genome` and the vocabulary of `genotype`.

mod difflist;
mod header;
mod psam;
mod pvar;
mod record;
mod zstd;

#[cfg(test)]
mod tests;

use self::difflist::Damage;
use self::header::{Kind, Layout};
use self::pvar::Pvar;
use self::record::{Context, Genotypes};
use super::input::Input;
use super::plink::two_bit::Table;
use super::plink::{bed_tables, misfit, no_such_allele, skip};
use super::{DosageRow, Fault, GenotypeError, GenotypeSource, Limit, Place, ReadLimits, Samples, Site};
use crate::genome::Assembly;

/// The genotypes of a pgen, pvar and psam file.
pub struct PgenSource {
    pgen: Input,
    pvar: Pvar,
    psam: Box<str>,
    samples: Samples,
    layout: Layout,
    /// Bytes that have been read of the pgen, and of them those of its header.
    at: u64,
    header: u64,
    most_bytes: usize,
    tables: Tables,
    current: Held,
    base: Held,
}

/// What a sample's two bits count for each kind of allele.
struct Tables {
    reference: Table,
    first_alternative: Table,
    further: Table,
}

/// A record and how far it has been read.
#[derive(Default)]
struct Held {
    /// The record, from 0.
    number: u64,
    state: State,
    bytes: Vec<u8>,
    genotypes: Genotypes,
}

/// How far a record has been read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum State {
    /// There is none, or it has been passed over.
    #[default]
    Passed,
    /// It is what comes next in the file.
    Ahead,
    /// Its bytes are here.
    Read,
    /// Its genotypes are here.
    Decoded,
}

impl PgenSource {
    /// Reads the samples, the pgen's header and tables, and the pvar's header.
    ///
    /// # Errors
    /// A header or the psam file is malformed, the pgen has another number of samples or is of a kind that is not
    /// read, or a limit is passed.
    pub fn open(pgen: Input, pvar: Input, psam: Input, limits: &ReadLimits) -> Result<Self, GenotypeError> {
        let mut pgen = pgen;
        let psam_name = psam.name().into();
        let samples = psam::read(psam, limits)?;
        let (layout, header) =
            Layout::read(&mut pgen, samples.len(), limits).map_err(|error| error.in_file(pgen.name()))?;
        let tables = if matches!(layout, Layout::Bed { .. }) {
            let [reference, first_alternative] = bed_tables();
            Tables { reference, first_alternative, further: Table::new([0.0, f32::NAN, 0.0, 0.0], 1) }
        } else {
            let of = |codes| Table::new(codes, 3);
            Tables {
                reference: of([2.0, 1.0, 0.0, f32::NAN]),
                first_alternative: of([0.0, 1.0, 2.0, f32::NAN]),
                further: of([0.0, 0.0, 0.0, f32::NAN]),
            }
        };
        Ok(Self {
            pvar: Pvar::open(pvar, limits)?,
            pgen,
            psam: psam_name,
            samples,
            layout,
            at: header,
            header,
            most_bytes: limits.record_bytes,
            tables,
            current: Held::default(),
            base: Held::default(),
        })
    }

    /// Leaves the current record: its bytes are kept where the next record refers to them, else passed over.
    fn leave(&mut self) -> Result<(), GenotypeError> {
        let number = self.current.number;
        let refers_back = |record: u64| self.layout.kind(record).is_some_and(Kind::refers_back);
        let wanted = refers_back(number + 1) && !refers_back(number);
        match self.current.state {
            State::Ahead if wanted => self.read_bytes()?,
            State::Ahead => {
                let length = u64::from(self.layout.length(number).unwrap_or_default());
                let skipped = skip(&mut self.pgen, length)?;
                self.at += skipped;
                if skipped < length {
                    return Err(self.ended());
                }
            }
            _ => {}
        }
        if wanted && self.current.state != State::Passed {
            std::mem::swap(&mut self.current, &mut self.base);
        }
        self.current.state = State::Passed;
        Ok(())
    }

    /// Reads the current record's bytes.
    fn read_bytes(&mut self) -> Result<(), GenotypeError> {
        let length = self.layout.length(self.current.number).unwrap_or_default() as usize;
        if length > self.most_bytes {
            let error = GenotypeError::limit(Limit::RecordBytes, self.most_bytes as u64);
            return Err(error.in_file(self.pgen.name()).at(self.place()));
        }
        // No record takes that many bytes a sample; a length that was made up must not take memory.
        if length > 64 + 32 * self.samples.len() {
            return Err(self.damaged(Damage("the record is longer than its samples can make it")));
        }
        self.current.bytes.resize(length, 0);
        let read = self.pgen.read_full(&mut self.current.bytes)?;
        self.at += read as u64;
        if read < length {
            return Err(self.ended());
        }
        self.current.state = State::Read;
        Ok(())
    }

    /// Decodes the current record, and the one that it refers to.
    fn decode(&mut self) -> Result<(), GenotypeError> {
        if self.current.state == State::Ahead {
            self.read_bytes()?;
        }
        if self.current.state == State::Decoded {
            return Ok(());
        }
        let number = self.current.number;
        let kind = self.layout.kind(number).unwrap_or(Kind(0));
        let (samples, alternatives) = (self.samples.len(), self.pvar.variants.alternatives());
        let context = Context { kind, samples, alternatives };
        if alternatives > 1 && kind.dosages() > 0 {
            return Err(self.no_multiallelic_dosages());
        }
        if kind.refers_back() && self.layout.block_start(number).is_none() && self.base.state == State::Read {
            let kind = self.layout.kind(self.base.number).unwrap_or(Kind(0));
            let decoded = self.base.genotypes.decode_base(&self.base.bytes, Context { kind, ..context });
            decoded.map_err(|damage| self.damaged(damage))?;
            self.base.state = State::Decoded;
        }
        let usable = self.base.state == State::Decoded && self.layout.block_start(number).is_none();
        let base = usable.then_some(self.base.genotypes.categories.as_slice());
        let decoded = self.current.genotypes.decode(&self.current.bytes, context, base);
        decoded.map_err(|damage| self.damaged(damage))?;
        self.current.state = State::Decoded;
        Ok(())
    }

    /// Checks what is known of a record before it is read: that it is there, and that the two files agree on it.
    fn check_next(&mut self) -> Result<(), GenotypeError> {
        let number = self.current.number;
        if let Some(records) = self.layout.records().filter(|records| number >= *records) {
            let what = format!(
                "{} has {records} variants, this file has more: the two do not belong together",
                self.pgen.name()
            );
            return Err(self.pvar.variants.fault(Fault::Malformed(what)));
        }
        let found = self.pvar.variants.alternatives() as u64 + 1;
        if let Some(alleles) = self.layout.alleles(number).filter(|alleles| *alleles != found) {
            let what = format!(
                "it has {found} alleles where {} has {alleles}: the two do not belong together",
                self.pgen.name()
            );
            return Err(self.pvar.variants.fault(Fault::Malformed(what)));
        }
        if let Some(start) = self.layout.block_start(number) {
            let gap = start.checked_sub(self.at);
            let gap = gap.ok_or_else(|| self.damaged(Damage("the header says that it begins within another one")))?;
            self.at += skip(&mut self.pgen, gap)?;
        }
        Ok(())
    }

    /// Checks that the pgen ends with the variants.
    fn finish(&mut self) -> Result<(), GenotypeError> {
        let variants = self.pvar.variants.records();
        if let Some(records) = self.layout.records().filter(|records| *records != variants) {
            let what = format!(
                "it has {records} variants where {} has {variants}: the two do not belong together",
                self.pvar.variants.name()
            );
            return Err(GenotypeError::malformed(what).in_file(self.pgen.name()));
        }
        let rest = skip(&mut self.pgen, u64::MAX)?;
        self.at += rest;
        if rest == 0 {
            return Ok(());
        }
        if let Layout::Bed { width } = self.layout {
            return Err(self.misfit(width));
        }
        let what = format!("{rest} bytes follow its last record: something was added to it, or it is damaged");
        Err(GenotypeError::malformed(what).in_file(self.pgen.name()))
    }

    /// Returns the fault of a pgen that ends within a record.
    fn ended(&mut self) -> GenotypeError {
        if let Layout::Bed { width } = self.layout {
            return self.misfit(width);
        }
        let records = self.layout.records().unwrap_or_default();
        let what = format!("it ends within record {} of {records}: it was cut off", self.current.number + 1);
        GenotypeError::malformed(what).in_file(self.pgen.name())
    }

    fn misfit(&mut self, width: usize) -> GenotypeError {
        match self.pvar.variants.count_all() {
            Ok(variants) => {
                let names = (self.pvar.variants.name(), &*self.psam);
                let what = misfit(self.at - self.header, variants, width, names, &self.samples);
                GenotypeError::malformed(what).in_file(self.pgen.name())
            }
            Err(error) => error,
        }
    }

    fn damaged(&self, Damage(what): Damage) -> GenotypeError {
        let what = format!("{what}: the file is damaged, or it does not belong to its pvar file");
        GenotypeError::malformed(what).in_file(self.pgen.name()).at(self.place())
    }

    fn no_multiallelic_dosages(&self) -> GenotypeError {
        let what = format!(
            "variant {} has {} alternative alleles and dosages, which are not read together: split such variants before \
             they come into PLINK (bcftools norm -m-), or leave the dosages out (plink2 --make-pgen erase-dosage)",
            self.pvar.variants.site().ids,
            self.pvar.variants.alternatives()
        );
        GenotypeError::new(Fault::Unsupported(what)).in_file(self.pgen.name()).at(self.place())
    }

    fn fill(&self, allele: usize, row: &mut DosageRow) {
        let (samples, genotypes) = (self.samples.len(), &self.current.genotypes);
        let table = match allele {
            0 => &self.tables.reference,
            1 => &self.tables.first_alternative,
            _ => &self.tables.further,
        };
        if matches!(self.layout, Layout::Bed { .. }) {
            table.fill(&self.current.bytes, samples, row);
            return;
        }
        table.fill(&genotypes.categories, samples, row);
        for patch in &genotypes.patches {
            if let Some(value) = row.values.get_mut(patch.sample) {
                *value = patch.alleles.iter().filter(|carried| **carried == allele).count() as f32;
            }
        }
        for (sample, dosage) in &genotypes.dosages {
            if let Some(value) = row.values.get_mut(*sample as usize) {
                row.missing -= usize::from(value.is_nan());
                let alternative = f32::from(*dosage) / 16_384.0;
                *value = if allele == 0 { 2.0 - alternative } else { alternative };
            }
        }
    }
}

impl GenotypeSource for PgenSource {
    fn format(&self) -> &'static str {
        "pgen"
    }

    fn samples(&self) -> &Samples {
        &self.samples
    }

    fn assembly(&self) -> Option<&Assembly> {
        self.pvar.assembly.as_ref()
    }

    fn next_site(&mut self) -> Result<Option<Site<'_>>, GenotypeError> {
        self.leave()?;
        let zstd = self.pvar.zstd;
        if !self.pvar.variants.advance().map_err(|error| if zstd { zstd::explain(error) } else { error })? {
            self.finish()?;
            return Ok(None);
        }
        self.current.number = self.pvar.variants.records() - 1;
        self.check_next()?;
        self.current.state = State::Ahead;
        Ok(Some(self.pvar.variants.site()))
    }

    fn place(&self) -> Place {
        Place::Record(self.pvar.variants.records())
    }

    fn dosages(&mut self, allele: usize, row: &mut DosageRow) -> Result<(), GenotypeError> {
        let alternatives = self.pvar.variants.alternatives();
        if allele > alternatives {
            return Err(no_such_allele(allele, alternatives).in_file(self.pgen.name()).at(self.place()));
        }
        if matches!(self.layout, Layout::Bed { .. }) {
            if self.current.state == State::Ahead {
                self.read_bytes()?;
            }
        } else {
            self.decode()?;
        }
        self.fill(allele, row);
        Ok(())
    }
}
