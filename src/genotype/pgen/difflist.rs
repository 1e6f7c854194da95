//! Walking through a record's bytes: fields, numbers of variable length, lists of samples that differ.
//!
//! Imports nothing. Invariant: a list's samples ascend and exist, whatever the bytes say.

/// What is wrong with a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Damage(pub(super) &'static str);

/// The bytes of a record that have not been looked at.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cursor<'a>(pub(super) &'a [u8]);

impl<'a> Cursor<'a> {
    /// Takes the next bytes.
    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8], Damage> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(Damage("the record ends too early"))?;
        self.0 = rest;
        Ok(taken)
    }

    /// Takes the next byte.
    pub(super) fn byte(&mut self) -> Result<u8, Damage> {
        self.take(1).map(|bytes| bytes.first().copied().unwrap_or_default())
    }

    /// Takes a number of variable length: seven bits a byte, the lowest first.
    pub(super) fn varint(&mut self) -> Result<u32, Damage> {
        let mut number = 0_u64;
        for shift in (0..35).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return u32::try_from(number).map_err(|_| Damage("a number of it is too large"));
            }
        }
        Err(Damage("a number of it is too long"))
    }

    /// Takes a list of samples that ascend, and hands each to `each`, with its two bits where the list has `values`.
    /// Returns how many there are.
    ///
    /// The list is: how many; the first sample of each group of 64; the groups' lengths in bytes, which serve random
    /// access only; the values; the steps between the samples of a group.
    pub(super) fn difflist(
        &mut self,
        samples: usize,
        values: bool,
        mut each: impl FnMut(usize, u8),
    ) -> Result<usize, Damage> {
        let count = self.varint()? as usize;
        if count > samples {
            return Err(Damage("a list of it has more samples than there are"));
        }
        if count == 0 {
            return Ok(0);
        }
        let groups = count.div_ceil(64);
        let width = id_width(samples);
        let firsts = self.take(groups * width)?;
        self.take(groups - 1)?;
        let values = if values { self.take(count.div_ceil(4))? } else { &[] };
        let mut firsts = firsts.chunks_exact(width);
        let mut least = 0;
        for place in 0..count {
            let sample = if place % 64 == 0 {
                let bytes = firsts.next().unwrap_or_default();
                bytes.iter().rev().fold(0, |id, byte| id << 8 | usize::from(*byte))
            } else {
                // `least` is one behind the sample before.
                (least - 1) + self.varint()? as usize
            };
            if sample < least || sample >= samples {
                return Err(Damage("a list of it has samples that do not ascend or do not exist"));
            }
            least = sample + 1;
            let value = values.get(place / 4).map_or(0, |byte| byte >> (2 * (place % 4)) & 3);
            each(sample, value);
        }
        Ok(count)
    }
}

/// Returns the bytes of a sample's number.
fn id_width(samples: usize) -> usize {
    match samples {
        0..=0x100 => 1,
        0x101..=0x1_0000 => 2,
        0x1_0001..=0x100_0000 => 3,
        _ => 4,
    }
}

/// Returns whether a bit of a bit array is set.
pub(super) fn bit(bits: &[u8], index: usize) -> bool {
    bits.get(index / 8).is_some_and(|byte| byte >> (index % 8) & 1 == 1)
}

/// Returns the places of the set bits among the first `count` of a bit array, ascending.
pub(super) fn set_bits(bits: &[u8], count: usize) -> impl Iterator<Item = usize> + '_ {
    let of_byte = |(at, byte): (usize, &u8)| {
        let mut left = *byte;
        std::iter::from_fn(move || {
            let place = left.trailing_zeros() as usize;
            left &= left.checked_sub(1)?;
            Some(8 * at + place)
        })
    };
    bits.iter().enumerate().flat_map(of_byte).take_while(move |place| *place < count)
}

/// Counts the set bits among the first `count` of a bit array.
pub(super) fn count_bits(bits: &[u8], count: usize) -> usize {
    let whole: usize = bits.iter().take(count / 8).map(|byte| byte.count_ones() as usize).sum();
    let used = count % 8;
    let last = bits.get(count / 8).copied().unwrap_or_default();
    whole + if used == 0 { 0 } else { (last & ((1 << used) - 1)).count_ones() as usize }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_specification() {
        let mut bytes = vec![79, 0x88, 0x13, 0x00, 0x88, 0xf5, 0x04, 0x3f];
        bytes.extend([0b11_10_01_00; 20]);
        bytes.extend([0x88, 0x27].repeat(77));
        let mut found = Vec::new();
        let mut cursor = Cursor(&bytes);
        assert_eq!(cursor.difflist(488_377, true, |sample, value| found.push((sample, value))), Ok(79));
        let expected: Vec<_> = (0..79).map(|place| (5000 * (place + 1), (place % 4) as u8)).collect();
        assert_eq!(found, expected);
        assert!(cursor.0.is_empty());
    }

    #[test]
    fn lists_that_cannot_be_are_refused() {
        let cases: [(&[u8], &str); 7] = [
            (&[], "ends too early"),
            (&[3, 0, 1], "ends too early"),
            (&[11, 0], "more samples"),
            (&[2, 3, 0], "do not ascend"),
            (&[2, 3, 7], "do not exist"),
            (&[1, 10], "do not exist"),
            (&[0xff, 0xff, 0xff, 0xff, 0xff], "too long"),
        ];
        for (bytes, expected) in cases {
            let Damage(what) = Cursor(bytes).difflist(10, false, |_, _| ()).unwrap_err();
            assert!(what.contains(expected), "{bytes:?}: {what}");
        }
    }
}
