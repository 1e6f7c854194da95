//! BCF 2: the binary form of VCF.
//!
//! Imports `genome` and the vocabulary of genotypes. The meaning of a record is that of [`super::vcf`]. Invariant: no
//! length that the input claims is believed before its bytes have come; a record's samples are looked at only where
//! its dosages are asked for.

mod dictionary;
mod typed;

use self::dictionary::Dictionaries;
use self::typed::{Cursor, Values};
use super::call::{Asked, Entry, EntryFault, Genotype, sample_fault};
use super::input::Input;
use super::vcf::{count_alleles, header::HeaderReader};
use super::{DosageRow, GenotypeError, GenotypeSource, Limit, Place, ReadLimits, Samples, Site};
use crate::genome::{Assembly, Position};

/// Bytes of a record's shared part before its variable fields.
const FIXED: usize = 24;

/// Variant records of a BCF file.
pub struct BcfSource {
    input: Input,
    samples: Samples,
    assembly: Option<Assembly>,
    dictionaries: Dictionaries,
    limits: ReadLimits,
    records: u64,
    shared: Vec<u8>,
    individual: Vec<u8>,
    /// Bytes of the current record's samples that were not read yet.
    unread: usize,
    record: Record,
    probabilities: Vec<Option<f32>>,
}

/// What the shared part of a record says.
#[derive(Debug, Default)]
struct Record {
    contig: usize,
    position: Option<Position>,
    ids: String,
    reference: String,
    alternatives: String,
    alleles: usize,
    formats: usize,
}

impl BcfSource {
    /// Reads the header.
    ///
    /// # Errors
    /// The input is no BCF 2, its header is malformed, or it has no samples or two with one name.
    pub fn open(input: Input, limits: &ReadLimits) -> Result<Self, GenotypeError> {
        let name: Box<str> = input.name().into();
        Self::read_header(input, limits).map_err(|error| error.in_file(&name))
    }

    fn read_header(mut input: Input, limits: &ReadLimits) -> Result<Self, GenotypeError> {
        let mut magic = [0; 9];
        let found = input.read_full(&mut magic)?;
        let [b'B', b'C', b'F', major, _, length @ ..] = magic else {
            return Err(GenotypeError::malformed("this is no BCF: it does not begin with 'BCF'"));
        };
        if found < magic.len() {
            return Err(GenotypeError::malformed("it ends within the header"));
        }
        if major != 2 {
            let what = format!("this is BCF version {major}, only version 2 is read: convert it to VCF");
            return Err(GenotypeError::new(super::Fault::Unsupported(what)));
        }
        let mut text = Vec::new();
        read_bytes(&mut input, &mut text, u64::from(u32::from_le_bytes(length)), limits, "the header")?;
        let (mut reader, mut dictionaries) = (HeaderReader::default(), Dictionaries::default());
        // The text ends with a zero byte, with a line break before it or not.
        let end = text.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        for (index, line) in text[..end].split(|byte| *byte == b'\n').enumerate() {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            let place = Place::Line(index as u64 + 1);
            dictionaries.take(line).map_err(|error| error.at(place))?;
            if let Some(header) = reader.take(line, limits).map_err(|error| error.at(place))? {
                return Ok(Self {
                    input,
                    samples: header.samples,
                    assembly: header.assembly,
                    dictionaries,
                    limits: limits.clone(),
                    records: 0,
                    shared: Vec::new(),
                    individual: Vec::new(),
                    unread: 0,
                    record: Record::default(),
                    probabilities: Vec::new(),
                });
            }
        }
        Err(GenotypeError::malformed("the header ends before its line of column names"))
    }

    /// Reads the next record's shared part; `false` at the end.
    fn advance(&mut self) -> Result<bool, GenotypeError> {
        let unread = std::mem::take(&mut self.unread);
        skip_bytes(&mut self.input, unread)?;
        self.individual.clear();
        let mut lengths = [0; 8];
        let found = self.input.read_full(&mut lengths)?;
        if found == 0 {
            return Ok(false);
        }
        self.records += 1;
        if found < lengths.len() {
            return Err(ended("the record"));
        }
        if self.records > self.limits.records {
            return Err(GenotypeError::limit(Limit::Records, self.limits.records));
        }
        let [a, b, c, d, e, f, g, h] = lengths;
        let (shared, individual) = (u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h]));
        if u64::from(shared) + u64::from(individual) > self.limits.record_bytes as u64 {
            return Err(GenotypeError::limit(Limit::RecordBytes, self.limits.record_bytes as u64));
        }
        read_bytes(&mut self.input, &mut self.shared, u64::from(shared), &self.limits, "the record")?;
        self.unread = individual as usize;
        Ok(true)
    }

    fn parse_shared(&mut self) -> Result<(), GenotypeError> {
        let (record, limits) = (&mut self.record, &self.limits);
        let mut cursor = Cursor::new(&self.shared);
        let fixed = cursor.take(FIXED).and_then(<[u8]>::first_chunk::<FIXED>).ok_or_else(|| damaged("the record"))?;
        let word = |index: usize| fixed.as_chunks::<4>().0.get(index).copied().unwrap_or_default();
        record.contig = u32::from_le_bytes(word(0)) as usize;
        // Positions are counted from 0 here; what would be 0 in VCF is −1.
        let position = i32::from_le_bytes(word(1));
        record.position = u32::try_from(position).ok().and_then(|base| Position::new(base + 1));
        if record.position.is_none() {
            let shown = i64::from(position) + 1;
            return Err(GenotypeError::field("POS", format!("{shown} is not a position: positions are from 1")));
        }
        let alleles = (u32::from_le_bytes(word(4)) >> 16) as usize;
        let samples = u32::from_le_bytes(word(5));
        record.formats = (samples >> 24) as usize;
        let (found, expected) = ((samples & 0x00ff_ffff) as usize, self.samples.len());
        if found != expected {
            let what = format!("the record has {found} samples where the header has {expected}");
            return Err(GenotypeError::malformed(what));
        }
        if alleles == 0 {
            return Err(GenotypeError::field("REF", "the record has no alleles"));
        }
        if alleles - 1 > limits.alternatives {
            return Err(GenotypeError::limit(Limit::Alternatives, limits.alternatives as u64));
        }
        take_text(&mut cursor, "ID", &mut record.ids)?;
        take_text(&mut cursor, "REF", &mut record.reference)?;
        record.alternatives.clear();
        let mut alternative = String::new();
        for index in 1..alleles {
            take_text(&mut cursor, "ALT", &mut alternative)?;
            if index > 1 {
                record.alternatives.push(',');
            }
            record.alternatives.push_str(&alternative);
        }
        if alleles == 1 {
            record.alternatives.push('.');
        }
        record.alleles = count_alleles(record.reference.as_bytes(), record.alternatives.as_bytes(), limits)?;
        if record.alleles != alleles && record.alternatives != "." {
            return Err(GenotypeError::field("ALT", "an allele has a comma in it"));
        }
        Ok(())
    }

    fn site(&self) -> Result<Site<'_>, GenotypeError> {
        let record = &self.record;
        let chromosome = self.dictionaries.contig(record.contig).ok_or_else(|| {
            GenotypeError::field("CHROM", format!("the header has no contig with the index {}", record.contig))
        })?;
        Ok(Site {
            chromosome: Some(chromosome),
            position: record.position,
            ids: &record.ids,
            reference: &record.reference,
            alternatives: &record.alternatives,
        })
    }

    fn read_dosages(&mut self, allele: usize, row: &mut DosageRow) -> Result<(), GenotypeError> {
        let asked = Asked::new(allele, self.record.alleles)?;
        let people = self.samples.len();
        if self.unread > 0 {
            let count = std::mem::take(&mut self.unread) as u64;
            read_bytes(&mut self.input, &mut self.individual, count, &self.limits, "the record")?;
        }
        let mut cursor = Cursor::new(&self.individual);
        let (mut genotypes, mut dosages, mut probabilities) = (None, None, None);
        for _ in 0..self.record.formats {
            let field = cursor.integer().and_then(|key| Some((key, cursor.matrix(people)?)));
            let (key, values) = field.ok_or_else(|| damaged("a field of the samples"))?;
            let slot = match self.dictionaries.string(key) {
                Some("GT") => &mut genotypes,
                Some("DS") => &mut dosages,
                Some("GP") => &mut probabilities,
                Some(_) => continue,
                None => {
                    return Err(GenotypeError::malformed(format!("the header has no field with the index {key}")));
                }
            };
            slot.get_or_insert(values);
        }
        if genotypes.is_none() && dosages.is_none() && probabilities.is_none() {
            let reason = "the record has none of GT, DS and GP: a dosage has to come from one of them";
            return Err(GenotypeError::field("FORMAT", reason));
        }
        row.values.clear();
        row.haploid.clear();
        row.missing = 0;
        row.values.reserve(people);
        let fields = Fields { genotypes, dosages, probabilities };
        for sample in 0..people {
            if fields.add_simple(sample, asked, row) {
                continue;
            }
            let added = fields.add(sample, asked, &mut self.probabilities, row);
            added.map_err(|fault| sample_fault(sample, fault))?;
        }
        Ok(())
    }
}

/// The fields of a record's samples.
struct Fields<'a> {
    genotypes: Option<Values<'a>>,
    dosages: Option<Values<'a>>,
    probabilities: Option<Values<'a>>,
}

impl Fields<'_> {
    /// Adds a sample's value where it is of the usual form: two bytes of alleles 0 and 1, and one number. Returns
    /// whether it was.
    fn add_simple(&self, sample: usize, asked: Asked, row: &mut DosageRow) -> bool {
        if asked.alleles != 2 {
            return false;
        }
        let count = match self.genotypes.as_ref().and_then(|values| values.byte_pair(sample)) {
            // An allele is (index + 1) × 2, and 1 more where it is phased: 2 and 3 are allele 0, 4 and 5 are allele 1.
            Some([first @ 2..=5, second @ 2..=5]) => (first >> 1) + (second >> 1) - 2,
            _ => return false,
        };
        let value = match &self.dosages {
            Some(values) => match values.single_float(sample) {
                Some(value) if (0.0..=2.0).contains(&value) => value,
                _ => return false,
            },
            None if self.probabilities.is_none() => f32::from(count),
            None => return false,
        };
        row.values.push(if asked.allele == 0 { 2.0 - value } else { value });
        true
    }

    fn add(
        &self,
        sample: usize,
        asked: Asked,
        buffer: &mut Vec<Option<f32>>,
        row: &mut DosageRow,
    ) -> Result<(), EntryFault> {
        let genotype = match &self.genotypes {
            Some(values) => {
                let alleles = values.integers(sample).map_err(|reason| ("GT", reason))?;
                let alleles = alleles.map(|value| match value {
                    Some(value @ 0..) => Ok(usize::try_from(value >> 1).unwrap_or_default().checked_sub(1)),
                    Some(value) => Err(format!("{value} is not a genotype")),
                    None => Ok(None),
                });
                Genotype::new(alleles, asked.alleles).map_err(|reason| ("GT", reason))?
            }
            None => Genotype::Missing,
        };
        buffer.clear();
        if let Some(values) = &self.probabilities {
            for value in values.floats(sample).map_err(|reason| ("GP", reason))? {
                buffer.push(value.map_err(|reason| ("GP", reason))?);
            }
        }
        let dosages = self.dosages.as_ref().filter(|values| !values.is_empty(sample));
        let dosages = dosages.map(|values| values.floats(sample)).transpose().map_err(|reason| ("DS", reason))?;
        asked.add(row, Entry { genotype, dosages, probabilities: (!buffer.is_empty()).then_some(buffer) })
    }
}

impl GenotypeSource for BcfSource {
    fn format(&self) -> &'static str {
        "bcf"
    }

    fn samples(&self) -> &Samples {
        &self.samples
    }

    fn assembly(&self) -> Option<&Assembly> {
        self.assembly.as_ref()
    }

    fn next_site(&mut self) -> Result<Option<Site<'_>>, GenotypeError> {
        let advanced = match self.advance() {
            Ok(true) => self.parse_shared(),
            Ok(false) => return Ok(None),
            Err(error) => Err(error),
        };
        let place = self.place();
        advanced.and_then(|()| self.site()).map(Some).map_err(|error| error.in_file(self.input.name()).at(place))
    }

    fn place(&self) -> Place {
        Place::Record(self.records)
    }

    fn dosages(&mut self, allele: usize, row: &mut DosageRow) -> Result<(), GenotypeError> {
        let result = self.read_dosages(allele, row);
        result.map_err(|error| error.in_file(self.input.name()).at(Place::Record(self.records)))
    }
}

fn damaged(what: &str) -> GenotypeError {
    GenotypeError::malformed(format!("{what} is damaged: its lengths do not fit each other"))
}

fn ended(what: &str) -> GenotypeError {
    GenotypeError::malformed(format!("the file ends within {what}: send it whole"))
}

/// Reads a text field; several identifiers stay parted as they are.
fn take_text(cursor: &mut Cursor<'_>, field: &str, text: &mut String) -> Result<(), GenotypeError> {
    let bytes = cursor.text().ok_or_else(|| damaged(field))?;
    text.clear();
    text.push_str(str::from_utf8(bytes).map_err(|_| GenotypeError::field(field, "it is not UTF-8 text"))?);
    Ok(())
}

/// Reads exactly `count` bytes; the buffer grows with what has come, not with what is claimed.
fn read_bytes(
    input: &mut Input,
    buffer: &mut Vec<u8>,
    count: u64,
    limits: &ReadLimits,
    what: &str,
) -> Result<(), GenotypeError> {
    if count > limits.record_bytes as u64 {
        return Err(GenotypeError::limit(Limit::RecordBytes, limits.record_bytes as u64));
    }
    buffer.clear();
    let count = count as usize;
    while buffer.len() < count {
        let bytes = input.fill()?;
        let taken = bytes.len().min(count - buffer.len());
        if taken == 0 {
            return Err(ended(what));
        }
        buffer.extend_from_slice(&bytes[..taken]);
        input.consume(taken);
    }
    Ok(())
}

fn skip_bytes(input: &mut Input, mut count: usize) -> Result<(), GenotypeError> {
    while count > 0 {
        let taken = input.fill()?.len().min(count);
        if taken == 0 {
            return Err(ended("the record"));
        }
        input.consume(taken);
        count -= taken;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
