//! A pgen record's bytes as genotypes: hard calls, calls of further alleles, dosages.
//!
//! Follows the draft of the PLINK 2 file format specification. Imports the vocabulary of `genotype` alone. Invariant:
//! all bytes of a record are accounted for, so that damage shows.

use super::difflist::{Cursor, Damage, bit, count_bits, set_bits};
use super::header::Kind;

/// One dosage of an alternative allele, in parts of 1/16384.
const FULL_DOSAGE: u16 = 1 << 15;
/// What stands for a dosage that is not known.
const NO_DOSAGE: u16 = u16::MAX;

/// A person's two alleles where one of them is not the reference or the first alternative allele.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Patch {
    pub(super) sample: usize,
    pub(super) alleles: [usize; 2],
}

/// The genotypes of one record.
#[derive(Debug, Default)]
pub(super) struct Genotypes {
    /// Two bits a sample: no alternative allele, one, two, not known. Bits behind the last sample are 0.
    pub(super) categories: Vec<u8>,
    /// Samples with other alleles than the categories say.
    pub(super) patches: Vec<Patch>,
    /// Samples with dosages of the alternative allele.
    pub(super) dosages: Vec<(u32, u16)>,
}

/// What is known of a record beside its bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Context {
    pub(super) kind: Kind,
    pub(super) samples: usize,
    pub(super) alternatives: usize,
}

impl Genotypes {
    /// Decodes a record; `base` is the earlier record that it may refer to.
    pub(super) fn decode(&mut self, bytes: &[u8], context: Context, base: Option<&[u8]>) -> Result<(), Damage> {
        self.patches.clear();
        self.dosages.clear();
        let mut cursor = Cursor(bytes);
        self.main_track(&mut cursor, context, base)?;
        let kind = context.kind;
        if kind.multiallelic() {
            self.further_alleles(&mut cursor, context)?;
        }
        if kind.phased() {
            self.pass_phases(&mut cursor, context.samples)?;
        }
        if kind.dosages() > 0 {
            self.read_dosages(&mut cursor, context)?;
        } else if kind.phased_dosages() {
            return Err(Damage("it has phases of dosages but no dosages"));
        }
        if cursor.0.is_empty() { Ok(()) } else { Err(Damage("the record has more bytes than its genotypes take")) }
    }

    /// Decodes a record's categories alone, for later records that refer to them.
    pub(super) fn decode_base(&mut self, bytes: &[u8], context: Context) -> Result<(), Damage> {
        self.main_track(&mut Cursor(bytes), context, None)
    }

    fn main_track(&mut self, cursor: &mut Cursor<'_>, context: Context, base: Option<&[u8]>) -> Result<(), Damage> {
        let samples = context.samples;
        let width = samples.div_ceil(4);
        self.categories.clear();
        match context.kind.main() {
            0 => self.categories.extend_from_slice(cursor.take(width)?),
            1 => self.two_categories(cursor, samples)?,
            2 | 3 => {
                let base = base.ok_or(Damage("it refers to an earlier record, but there is none"))?;
                self.categories.extend_from_slice(base);
            }
            5 => return Err(Damage("its main track has the reserved form 5")),
            form => self.categories.resize(width, (form & 3) * 0x55),
        }
        let categories = &mut self.categories;
        if context.kind.main() != 0 {
            cursor.difflist(samples, true, |sample, value| set(categories, sample, value))?;
        }
        if context.kind.main() == 3 {
            // The categories 0 and 2 change places, after the differences.
            for byte in categories.iter_mut() {
                *byte ^= (!*byte & 0x55) << 1;
            }
        }
        if let (Some(last), used @ 1..) = (categories.last_mut(), samples % 4) {
            *last &= (1 << (2 * used)) - 1;
        }
        Ok(())
    }

    /// The two most frequent categories by one bit a sample; the others follow as a list.
    fn two_categories(&mut self, cursor: &mut Cursor<'_>, samples: usize) -> Result<(), Damage> {
        let (low, high) = match cursor.byte()? {
            1 => (0, 1),
            2 => (0, 2),
            3 => (0, 3),
            5 => (1, 2),
            6 => (1, 3),
            9 => (2, 3),
            _ => return Err(Damage("its two most frequent categories cannot be")),
        };
        let bits = cursor.take(samples.div_ceil(8))?;
        let spread = |four: u8| (0..4).fold(0, |codes, place| codes | (four >> place & 1) << (2 * place));
        for byte in bits {
            for four in [byte & 15, byte >> 4] {
                self.categories.push(low * 0x55 + spread(four) * (high - low));
            }
        }
        self.categories.truncate(samples.div_ceil(4));
        Ok(())
    }

    /// Returns the samples of a category in order.
    fn of_category(&self, category: u8, samples: usize) -> impl Iterator<Item = usize> {
        let each = move |(at, byte): (usize, &u8)| {
            let byte = *byte;
            (0..4).filter(move |place| byte >> (2 * place) & 3 == category).map(move |place| 4 * at + place)
        };
        self.categories.iter().enumerate().flat_map(each).take_while(move |sample| *sample < samples)
    }

    fn further_alleles(&mut self, cursor: &mut Cursor<'_>, context: Context) -> Result<(), Damage> {
        if context.alternatives < 2 {
            return Err(Damage("it has calls of a second alternative allele where the pvar file has one"));
        }
        let forms = cursor.byte()?;
        let alternatives = context.alternatives;
        let of_one = self.patched(cursor, forms & 15, 1, context.samples)?;
        let width = value_bits(alternatives - 1, true);
        let values = cursor.take((of_one.len() * width).div_ceil(8))?;
        for (place, sample) in of_one.into_iter().enumerate() {
            let allele = value(values, place, width) + 2;
            self.patch(sample, [0, allele], alternatives)?;
        }
        let of_two = self.patched(cursor, forms >> 4, 2, context.samples)?;
        if alternatives == 2 {
            let both = cursor.take(of_two.len().div_ceil(8))?;
            for (place, sample) in of_two.into_iter().enumerate() {
                self.patch(sample, if bit(both, place) { [2, 2] } else { [1, 2] }, alternatives)?;
            }
        } else {
            let width = value_bits(alternatives, false);
            let values = cursor.take((of_two.len() * 2 * width).div_ceil(8))?;
            for (place, sample) in of_two.into_iter().enumerate() {
                let alleles = [2 * place, 2 * place + 1].map(|at| value(values, at, width) + 1);
                self.patch(sample, alleles, alternatives)?;
            }
        }
        Ok(())
    }

    /// Returns the samples of a category that have other alleles than it says.
    fn patched(&self, cursor: &mut Cursor<'_>, form: u8, category: u8, samples: usize) -> Result<Vec<usize>, Damage> {
        match form {
            0 => {
                let among = self.of_category(category, samples).count();
                let bits = cursor.take(among.div_ceil(8))?;
                let of_category = self.of_category(category, samples).enumerate();
                Ok(of_category.filter(|(place, _)| bit(bits, *place)).map(|(_, sample)| sample).collect())
            }
            1 => {
                let mut found = Vec::new();
                cursor.difflist(samples, false, |sample, _| found.push(sample))?;
                if found.iter().any(|sample| get(&self.categories, *sample) != category) {
                    return Err(Damage("its calls of further alleles contradict its hard calls"));
                }
                Ok(found)
            }
            15 => Ok(Vec::new()),
            _ => Err(Damage("its calls of further alleles have a form that is not known")),
        }
    }

    fn patch(&mut self, sample: usize, alleles: [usize; 2], alternatives: usize) -> Result<(), Damage> {
        if alleles[0] > alleles[1] || alleles[1] > alternatives {
            return Err(Damage("it has a call of an allele that the pvar file does not have"));
        }
        self.patches.push(Patch { sample, alleles });
        Ok(())
    }

    /// Phases say nothing of dosages; only where they end matters.
    fn pass_phases(&self, cursor: &mut Cursor<'_>, samples: usize) -> Result<(), Damage> {
        let two_alternatives = |patch: &&Patch| patch.alleles[0] > 0 && patch.alleles[0] != patch.alleles[1];
        let het = self.of_category(1, samples).count() + self.patches.iter().filter(two_alternatives).count();
        let first = cursor.take((1 + het).div_ceil(8))?;
        if bit(first, 0) {
            let phased = count_bits(first, 1 + het) - 1;
            cursor.take(phased.div_ceil(8))?;
        }
        Ok(())
    }

    fn read_dosages(&mut self, cursor: &mut Cursor<'_>, context: Context) -> Result<(), Damage> {
        let samples = context.samples;
        let dosages = &mut self.dosages;
        let all = context.kind.dosages() == 2;
        match context.kind.dosages() {
            1 => {
                cursor.difflist(samples, false, |sample, _| dosages.push((sample as u32, 0)))?;
            }
            2 => dosages.extend((0..samples).map(|sample| (sample as u32, 0))),
            _ => {
                let bits = cursor.take(samples.div_ceil(8))?;
                dosages.extend(set_bits(bits, samples).map(|sample| (sample as u32, 0)));
            }
        }
        let values = cursor.take(2 * dosages.len())?;
        for ((_, dosage), bytes) in dosages.iter_mut().zip(values.as_chunks().0) {
            *dosage = u16::from_le_bytes(*bytes);
            if *dosage > FULL_DOSAGE && (*dosage != NO_DOSAGE || !all) {
                return Err(Damage("it has a dosage that is larger than 2"));
            }
        }
        if context.kind.phased_dosages() {
            let phased = if all {
                samples
            } else {
                let bits = cursor.take(dosages.len().div_ceil(8))?;
                count_bits(bits, dosages.len())
            };
            cursor.take(2 * phased)?;
        }
        // Where there is a place for a dosage but none is known, the hard call counts.
        if all {
            dosages.retain(|(_, dosage)| *dosage != NO_DOSAGE);
        }
        Ok(())
    }
}

/// Returns a sample's category.
fn get(categories: &[u8], sample: usize) -> u8 {
    categories.get(sample / 4).map_or(3, |byte| byte >> (2 * (sample % 4)) & 3)
}

fn set(categories: &mut [u8], sample: usize, value: u8) {
    if let Some(byte) = categories.get_mut(sample / 4) {
        let shift = 2 * (sample % 4);
        *byte = *byte & !(3 << shift) | value << shift;
    }
}

/// Returns how many bits a packed value takes that is one of `count`; one of one takes none where `implied`.
fn value_bits(count: usize, implied: bool) -> usize {
    match count {
        0 | 1 if implied => 0,
        0..=2 if implied => 1,
        0..=4 => 2,
        5..=16 => 4,
        17..=256 => 8,
        257..=65_536 => 16,
        _ => 24,
    }
}

/// Returns a packed value of 0, 1, 2, 4, 8, 16 or 24 bits.
fn value(bytes: &[u8], index: usize, width: usize) -> usize {
    let start = index * width;
    let bytes = bytes.get(start / 8..).unwrap_or_default().iter().take(3).rev();
    let number = bytes.fold(0, |number, byte| number << 8 | usize::from(*byte));
    number >> (start % 8) & ((1 << width) - 1)
}
