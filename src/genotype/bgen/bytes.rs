//! Little-endian numbers, texts and runs of bytes off an input that may end anywhere.

use super::super::input::Input;
use super::super::{GenotypeError, Limit};

/// How many bytes of text a record may still have.
pub(super) struct Budget {
    left: usize,
    most: usize,
}

impl Budget {
    pub(super) const fn new(most: usize) -> Self {
        Self { left: most, most }
    }
}

/// The bytes of a BGEN file.
pub(super) struct Bytes(Input);

impl Bytes {
    pub(super) fn new(input: Input) -> Self {
        Self(input)
    }

    pub(super) fn name(&self) -> &str {
        self.0.name()
    }

    /// Returns whether the input goes on.
    pub(super) fn has_more(&mut self) -> Result<bool, GenotypeError> {
        Ok(!self.0.fill()?.is_empty())
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], GenotypeError> {
        let mut array = [0; N];
        if self.0.read_full(&mut array)? == N { Ok(array) } else { Err(cut_off()) }
    }

    pub(super) fn u16(&mut self) -> Result<u16, GenotypeError> {
        self.array().map(u16::from_le_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, GenotypeError> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn four(&mut self) -> Result<[u8; 4], GenotypeError> {
        self.array()
    }

    /// Appends `count` bytes; memory grows with the bytes that come, not with the number that was declared.
    pub(super) fn append(&mut self, count: u64, into: &mut Vec<u8>) -> Result<(), GenotypeError> {
        self.walk(count, |bytes| into.extend_from_slice(bytes))
    }

    /// Passes over `count` bytes.
    pub(super) fn skip(&mut self, count: u64) -> Result<(), GenotypeError> {
        self.walk(count, |_| {})
    }

    fn walk(&mut self, mut left: u64, mut take: impl FnMut(&[u8])) -> Result<(), GenotypeError> {
        while left > 0 {
            let bytes = self.0.fill()?;
            if bytes.is_empty() {
                return Err(cut_off());
            }
            let count = bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            take(bytes.get(..count).unwrap_or(bytes));
            self.0.consume(count);
            left -= count as u64;
        }
        Ok(())
    }

    /// Reads a text of `length` bytes and takes them off the budget, what is left of the most.
    pub(super) fn text(&mut self, length: u32, field: &str, budget: &mut Budget) -> Result<String, GenotypeError> {
        budget.left = budget
            .left
            .checked_sub(length as usize)
            .ok_or_else(|| GenotypeError::limit(Limit::RecordBytes, budget.most as u64))?;
        let mut bytes = Vec::new();
        self.append(u64::from(length), &mut bytes)?;
        String::from_utf8(bytes).map_err(|_| GenotypeError::field(field, "it is not UTF-8 text"))
    }
}

pub(super) fn cut_off() -> GenotypeError {
    GenotypeError::malformed("the file ends within a block: it is cut off or damaged")
}
