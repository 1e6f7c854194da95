//! Genotypes of two bits a sample, four samples a byte, as dosages.
//!
//! A byte's four dosages are looked up at once: a table of 256 entries for each allele is built once for a file.
//! Imports the vocabulary of `genotype` alone. Invariant: bits behind the last sample are never looked at.

use crate::genotype::DosageRow;

/// The dosages of the four samples of a byte, for one meaning of the two bits.
pub(in crate::genotype) struct Table {
    dosages: Box<[[f32; 4]; 256]>,
    missing: u8,
}

impl Table {
    /// Builds the table for what each of the four codes stands for; `missing` is the code that is NaN.
    pub(in crate::genotype) fn new(codes: [f32; 4], missing: u8) -> Self {
        let mut dosages = Box::new([[0.0; 4]; 256]);
        for (byte, four) in dosages.iter_mut().enumerate() {
            for (place, dosage) in four.iter_mut().enumerate() {
                *dosage = codes[byte >> (2 * place) & 3];
            }
        }
        Self { dosages, missing }
    }

    /// Fills `row` with the dosages of `samples` people; `packed` has at least their bytes.
    pub(in crate::genotype) fn fill(&self, packed: &[u8], samples: usize, row: &mut DosageRow) {
        row.haploid.clear();
        row.values.resize(samples, f32::NAN);
        let whole = samples / 4;
        let bytes = packed.get(..whole).unwrap_or(packed);
        let (fours, rest) = row.values.split_at_mut(whole * 4);
        for (four, byte) in fours.chunks_exact_mut(4).zip(bytes) {
            four.copy_from_slice(&self.dosages[usize::from(*byte)]);
        }
        row.missing = self.count_missing(bytes);
        let last = packed.get(whole).map_or([f32::NAN; 4], |byte| self.dosages[usize::from(*byte)]);
        for (value, dosage) in rest.iter_mut().zip(last) {
            *value = dosage;
            row.missing += usize::from(dosage.is_nan());
        }
    }

    /// Counts the missing code in whole bytes, 32 samples at a time.
    fn count_missing(&self, bytes: &[u8]) -> usize {
        // Turns the missing code into 11, whatever it is.
        let turn = !(u64::from(self.missing) * LOW_BITS);
        let (words, rest) = bytes.as_chunks::<8>();
        let count = |word: u64| {
            let turned = word ^ turn;
            (turned & (turned >> 1) & LOW_BITS).count_ones() as usize
        };
        let whole: usize = words.iter().map(|word| count(u64::from_le_bytes(*word))).sum();
        let rest: usize = rest
            .iter()
            .map(|byte| count(u64::from(*byte)).saturating_sub(7 * 4 * usize::from(self.missing == 0)))
            .sum();
        whole + rest
    }
}

/// The lower of a sample's two bits, for 32 samples.
const LOW_BITS: u64 = 0x5555_5555_5555_5555;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_filled_row_is_what_every_code_stands_for(
            codes in prop::collection::vec(0_u8..4, 1..300), missing in 0_u8..4, beyond in any::<u8>()
        ) {
            let mut packed = vec![0_u8; codes.len().div_ceil(4)];
            for (sample, code) in codes.iter().enumerate() {
                packed[sample / 4] |= code << (2 * (sample % 4));
            }
            // Bits behind the last sample and bytes behind the last byte say nothing.
            let used = codes.len() % 4;
            if used > 0 {
                *packed.last_mut().unwrap() |= beyond << (2 * used);
            }
            packed.push(beyond);
            let mut meaning = [0.0, 1.0, 2.0, 0.5];
            meaning[usize::from(missing)] = f32::NAN;
            let mut row = DosageRow { haploid: vec![7], ..DosageRow::default() };
            Table::new(meaning, missing).fill(&packed, codes.len(), &mut row);
            let expected: Vec<f32> = codes.iter().map(|code| meaning[usize::from(*code)]).collect();
            let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
            prop_assert_eq!(bits(&row.values), bits(&expected));
            prop_assert_eq!(row.missing, expected.iter().filter(|value| value.is_nan()).count());
            prop_assert!(row.haploid.is_empty());
        }
    }
}
