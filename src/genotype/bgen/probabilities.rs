//! From stored genotype probabilities to expected allele counts.

use super::super::{DosageRow, Fault};

/// The largest ploidy that is read.
const DIPLOID: u8 = 2;

/// A probability of 1 in layout 1.
const ONE: u32 = 1 << 15;

/// An 8-bit diploid dosage by its numerator.
const EIGHT_BIT: [f32; 511] = {
    let mut table = [0.0; 511];
    let mut numerator = 0;
    while numerator < 511 {
        table[numerator] = numerator as f32 / 255.0;
        numerator += 1;
    }
    table
};

/// Reads a block of layout 1: three probabilities a person, of 0, 1 and 2 copies of the second allele.
///
/// Three zeros are a missing genotype. Where the three do not sum to 1, the rest is no call, so that the count is
/// expected among the three.
pub(super) fn layout_one(data: &[u8], samples: usize, allele: usize, row: &mut DosageRow) -> Result<(), Fault> {
    if data.len() != 6 * samples {
        return Err(wrong_length(data.len(), 6 * samples as u64));
    }
    row.values.reserve(samples);
    for triple in data.chunks_exact(6) {
        let [a, b, c, d, e, f] = *triple else { continue };
        let [first, both, second] = [[a, b], [c, d], [e, f]].map(|pair| u32::from(u16::from_le_bytes(pair)));
        let sum = first + both + second;
        // Each of the three may have been rounded up.
        if sum > ONE + 3 {
            return Err(sample_fault(row.values.len(), "its probabilities sum to more than 1"));
        }
        let twice = if allele == 0 { first } else { second };
        let value = if sum == 0 { f32::NAN } else { ((both + 2 * twice) as f32 / sum as f32).min(2.0) };
        push(row, value);
    }
    Ok(())
}

/// A block of layout 2 taken apart.
struct Parts<'a> {
    ploidies: &'a [u8],
    phased: bool,
    bits: u8,
    values: &'a [u8],
}

/// Reads a block of layout 2: the expected count of the first of the two numbers among as many alleles as the second.
pub(super) fn layout_two(
    data: &[u8],
    samples: usize,
    (allele, alleles): (usize, usize),
    row: &mut DosageRow,
) -> Result<(), Fault> {
    let parts = Parts::of(data, samples, alleles)?;
    row.values.reserve(samples);
    let plain = alleles == 2 && !parts.phased && parts.ploidies.iter().all(|byte| byte & 0x7f == DIPLOID);
    match (plain, parts.bits) {
        (true, 8) if eight_bit(&parts, allele, row) => Ok(()),
        (true, 16) if sixteen_bit(&parts, allele, row) => Ok(()),
        _ => {
            row.values.clear();
            row.missing = 0;
            any_bits(&parts, allele, alleles, row)
        }
    }
}

impl<'a> Parts<'a> {
    fn of(data: &'a [u8], samples: usize, alleles: usize) -> Result<Self, Fault> {
        let short = || wrong_length(data.len(), 10 + samples as u64);
        let (counts, rest) = data.split_first_chunk::<8>().ok_or_else(short)?;
        let [n0, n1, n2, n3, k0, k1, least, most] = *counts;
        let (ploidies, rest) = rest.split_at_checked(samples).ok_or_else(short)?;
        let ([phased, bits], values) = rest.split_first_chunk::<2>().ok_or_else(short)?;
        let found = u32::from_le_bytes([n0, n1, n2, n3]) as usize;
        if found != samples {
            return Err(field("number of samples", format!("the data have {found}, the header {samples}")));
        }
        let found = usize::from(u16::from_le_bytes([k0, k1]));
        if found != alleles {
            return Err(field("number of alleles", format!("the data have {found}, the variant {alleles}")));
        }
        if *phased > 1 {
            return Err(field("phased", format!("it is {phased}: it is 0 or 1")));
        }
        if !(1..=32).contains(bits) {
            return Err(field("bits of a probability", format!("there are {bits}: there are 1 to 32")));
        }
        let parts = Self { ploidies, phased: *phased == 1, bits: *bits, values };
        let mut stored = 0_u64;
        for (index, byte) in ploidies.iter().enumerate() {
            let ploidy = byte & 0x3f;
            if ploidy > DIPLOID {
                return Err(sample_fault(index, &format!("its ploidy is {ploidy}: only 1 and 2 are read")));
            }
            if !(least..=most).contains(&ploidy) {
                return Err(sample_fault(index, &format!("its ploidy is {ploidy}, outside of {least} to {most}")));
            }
            stored += parts.stored(ploidy, alleles) as u64;
        }
        let expected = (stored * u64::from(*bits)).div_ceil(8);
        if values.len() as u64 == expected {
            Ok(parts)
        } else {
            Err(wrong_length(data.len(), 10 + samples as u64 + expected))
        }
    }

    /// How many numbers are stored for a person: the last of each set of probabilities is left out.
    fn stored(&self, ploidy: u8, alleles: usize) -> usize {
        match ploidy {
            0 => 0,
            _ if self.phased => usize::from(ploidy) * (alleles - 1),
            1 => alleles - 1,
            _ => alleles * (alleles + 1) / 2 - 1,
        }
    }
}

/// Reads diploid, unphased 8-bit probabilities of two alleles; `false` where a pair sums to more than 1.
fn eight_bit(parts: &Parts<'_>, allele: usize, row: &mut DosageRow) -> bool {
    for (pair, ploidy) in parts.values.as_chunks::<2>().0.iter().zip(parts.ploidies) {
        let [first, both] = pair.map(usize::from);
        if first + both > 255 {
            return false;
        }
        let copies = 2 * first + both;
        let value = EIGHT_BIT.get(if allele == 0 { copies } else { 510 - copies }).copied().unwrap_or(f32::NAN);
        push(row, if ploidy & 0x80 == 0 { value } else { f32::NAN });
    }
    true
}

/// As [`eight_bit`] with 16 bits.
fn sixteen_bit(parts: &Parts<'_>, allele: usize, row: &mut DosageRow) -> bool {
    for ([a, b, c, d], ploidy) in parts.values.as_chunks::<4>().0.iter().zip(parts.ploidies) {
        let [first, both] = [[*a, *b], [*c, *d]].map(|pair| u32::from(u16::from_le_bytes(pair)));
        if first + both > 65_535 {
            return false;
        }
        let copies = 2 * first + both;
        let value = (if allele == 0 { copies } else { 131_070 - copies }) as f32 / 65_535.0;
        push(row, if ploidy & 0x80 == 0 { value } else { f32::NAN });
    }
    true
}

/// Reads probabilities of any kind.
fn any_bits(parts: &Parts<'_>, allele: usize, alleles: usize, row: &mut DosageRow) -> Result<(), Fault> {
    let mut reader = Bits { data: parts.values, at: 0, width: usize::from(parts.bits) };
    for (index, byte) in parts.ploidies.iter().enumerate() {
        let ploidy = byte & 0x3f;
        if ploidy == 1 {
            row.haploid.push(index as u32);
        }
        if byte & 0x80 != 0 || ploidy == 0 {
            reader.skip(parts.stored(ploidy, alleles));
            push(row, f32::NAN);
            continue;
        }
        let count = match (parts.phased, ploidy) {
            (false, DIPLOID) => reader.genotypes(allele, alleles),
            _ => (0..ploidy).try_fold(0, |sum, _| reader.haplotype(allele, alleles).map(|count| sum + count)),
        };
        let Some(count) = count else {
            return Err(sample_fault(index, "its probabilities sum to more than 1"));
        };
        let value = count as f64 / reader.one() as f64;
        push(row, (value as f32).min(f32::from(ploidy)));
    }
    Ok(())
}

/// Numbers of a fixed width in bits, the least significant bit first.
struct Bits<'a> {
    data: &'a [u8],
    at: usize,
    width: usize,
}

impl Bits<'_> {
    /// The number that a probability of 1 has.
    fn one(&self) -> u64 {
        (1 << self.width) - 1
    }

    fn skip(&mut self, numbers: usize) {
        self.at += numbers * self.width;
    }

    fn next(&mut self) -> u64 {
        let rest = self.data.get(self.at / 8..).unwrap_or_default();
        // 32 bits that begin within a byte lie in 5 bytes.
        let window = rest.first_chunk::<8>().map_or_else(
            || rest.iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte)),
            |bytes| u64::from_le_bytes(*bytes),
        );
        let number = window >> (self.at % 8) & self.one();
        self.at += self.width;
        number
    }

    /// Reads one haplotype, or a haploid genotype; the expected count of the allele in units of [`Self::one`].
    fn haplotype(&mut self, allele: usize, alleles: usize) -> Option<u64> {
        let (mut sum, mut count) = (0, 0);
        for stored in 0..alleles - 1 {
            let number = self.next();
            sum += number;
            count += if stored == allele { number } else { 0 };
        }
        let last = self.last(sum, alleles - 1)?;
        Some(count + if allele + 1 == alleles { last } else { 0 })
    }

    /// As [`Self::haplotype`] for a diploid unphased genotype, whose pairs of alleles come in colexicographic order.
    fn genotypes(&mut self, allele: usize, alleles: usize) -> Option<u64> {
        let (mut sum, mut count) = (0, 0);
        for higher in 0..alleles {
            for lower in 0..=higher {
                if lower + 1 == alleles {
                    break;
                }
                let number = self.next();
                sum += number;
                count += number * (u64::from(lower == allele) + u64::from(higher == allele));
            }
        }
        let last = self.last(sum, alleles * (alleles + 1) / 2 - 1)?;
        Some(count + if allele + 1 == alleles { 2 * last } else { 0 })
    }

    /// The probability that is left out; `None` where the others sum to more than 1 beyond their rounding.
    fn last(&self, sum: u64, stored: usize) -> Option<u64> {
        // A few bits round so coarsely that an allowance would hide a wrong sum.
        let rounding = if self.width < 8 { 0 } else { stored as u64 / 2 };
        if sum > self.one() + rounding { None } else { Some(self.one().saturating_sub(sum)) }
    }
}

fn push(row: &mut DosageRow, value: f32) {
    row.missing += usize::from(value.is_nan());
    row.values.push(value);
}

fn wrong_length(found: usize, expected: u64) -> Fault {
    field("length of the data", format!("there are {found} bytes where the counts need {expected}"))
}

fn field(name: &str, reason: String) -> Fault {
    Fault::Field { field: name.to_owned(), reason }
}

fn sample_fault(index: usize, reason: &str) -> Fault {
    field(&format!("sample {}", index + 1), reason.to_owned())
}
