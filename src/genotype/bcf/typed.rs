//! BCF's typed values (VCF 4.3, section 6.3.3).

/// Reads bytes from the front; `None` where there are too few or they are of another type.
pub(super) struct Cursor<'a>(&'a [u8]);

const MISSING: [u8; 4] = 0x7f80_0001_u32.to_le_bytes();
const END: [u8; 4] = 0x7f80_0002_u32.to_le_bytes();

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Nothing,
    Int8,
    Int16,
    Int32,
    Float,
    Text,
}

impl Kind {
    const fn size(self) -> usize {
        match self {
            Self::Nothing => 0,
            Self::Int8 | Self::Text => 1,
            Self::Int16 => 2,
            Self::Int32 | Self::Float => 4,
        }
    }

    /// Reads an integer of this kind.
    fn integer(self, bytes: &[u8]) -> Option<i32> {
        match self {
            Self::Int8 => bytes.first_chunk().map(|bytes| i32::from(i8::from_le_bytes(*bytes))),
            Self::Int16 => bytes.first_chunk().map(|bytes| i32::from(i16::from_le_bytes(*bytes))),
            Self::Int32 => bytes.first_chunk().map(|bytes| i32::from_le_bytes(*bytes)),
            Self::Nothing | Self::Float | Self::Text => None,
        }
    }

    /// Returns the smallest integer, which stands for a missing one; the next stands for the end of a list.
    const fn lowest(self) -> i32 {
        match self {
            Self::Int8 => i8::MIN as i32,
            Self::Int16 => i16::MIN as i32,
            _ => i32::MIN,
        }
    }
}

impl<'a> Cursor<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Takes `count` bytes.
    pub(super) fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    /// Takes a type and how many values of it follow.
    fn descriptor(&mut self) -> Option<(Kind, usize)> {
        let byte = *self.take(1)?.first()?;
        let kind = match byte & 0x0f {
            0 => Kind::Nothing,
            1 => Kind::Int8,
            2 => Kind::Int16,
            3 => Kind::Int32,
            5 => Kind::Float,
            7 => Kind::Text,
            _ => return None,
        };
        // Fifteen and more are counted by an integer of their own, which is not counted that way again.
        let count = match byte >> 4 {
            15 if self.0.first().is_some_and(|byte| byte >> 4 == 1) => self.integer()?,
            15 => return None,
            count => usize::from(count),
        };
        Some((kind, count))
    }

    /// Takes one integer that is not negative.
    pub(super) fn integer(&mut self) -> Option<usize> {
        let byte = *self.take(1)?.first()?;
        let kind = match byte {
            0x11 => Kind::Int8,
            0x12 => Kind::Int16,
            0x13 => Kind::Int32,
            _ => return None,
        };
        usize::try_from(kind.integer(self.take(kind.size())?)?).ok()
    }

    /// Takes a text.
    pub(super) fn text(&mut self) -> Option<&'a [u8]> {
        let (kind, count) = self.descriptor()?;
        if !matches!(kind, Kind::Text | Kind::Nothing) {
            return None;
        }
        let text = self.take(count.checked_mul(kind.size())?)?;
        let end = text.iter().position(|byte| *byte == 0).unwrap_or(text.len());
        text.get(..end)
    }

    /// Takes one list of values a sample, all of one length.
    pub(super) fn matrix(&mut self, samples: usize) -> Option<Values<'a>> {
        let (kind, count) = self.descriptor()?;
        let width = count.checked_mul(kind.size())?;
        Some(Values { kind, width, bytes: self.take(width.checked_mul(samples)?)? })
    }
}

/// A field of all samples.
#[derive(Debug, Clone, Copy)]
pub(super) struct Values<'a> {
    kind: Kind,
    width: usize,
    bytes: &'a [u8],
}

impl<'a> Values<'a> {
    /// Returns a sample's bytes.
    #[inline]
    pub(super) fn entry(&self, sample: usize) -> &'a [u8] {
        let start = sample.saturating_mul(self.width);
        self.bytes.get(start..start.saturating_add(self.width)).unwrap_or_default()
    }

    /// Returns a sample's values where they are two bytes.
    #[inline]
    pub(super) fn byte_pair(&self, sample: usize) -> Option<[u8; 2]> {
        if self.kind == Kind::Int8 { self.entry(sample).try_into().ok() } else { None }
    }

    /// Returns a sample's value where there is one a sample and it is a number; a missing one is NaN.
    #[inline]
    pub(super) fn single_float(&self, sample: usize) -> Option<f32> {
        match (self.kind, self.entry(sample).try_into()) {
            (Kind::Float, Ok(bytes)) => Some(f32::from_le_bytes(bytes)),
            _ => None,
        }
    }

    /// Returns whether a sample has no values, not even a missing one.
    pub(super) fn is_empty(&self, sample: usize) -> bool {
        match self.kind {
            Kind::Float => self.entry(sample).first_chunk().is_none_or(|bytes| *bytes == END),
            kind => kind.integer(self.entry(sample)).is_none_or(|value| value == kind.lowest() + 1),
        }
    }

    /// Returns a sample's integers, `None` where one is missing.
    ///
    /// # Errors
    /// The values are no integers.
    pub(super) fn integers(&self, sample: usize) -> Result<impl Iterator<Item = Option<i32>> + use<'a>, String> {
        let kind = self.kind;
        if matches!(kind, Kind::Float | Kind::Text) {
            return Err("its values are not integers".to_owned());
        }
        let values = self.entry(sample).chunks_exact(kind.size().max(1)).filter_map(move |bytes| kind.integer(bytes));
        let values = values.take_while(move |value| *value != kind.lowest() + 1);
        Ok(values.map(move |value| (value != kind.lowest()).then_some(value)))
    }

    /// Returns a sample's numbers, `None` where one is missing.
    ///
    /// # Errors
    /// The values are no numbers.
    pub(super) fn floats(
        &self,
        sample: usize,
    ) -> Result<impl Iterator<Item = Result<Option<f32>, String>> + use<'a>, String> {
        let kind = self.kind;
        if kind == Kind::Text {
            return Err("its values are text: declare the field's Type as Float in the header".to_owned());
        }
        let values = self.entry(sample).chunks_exact(kind.size().max(1)).map_while(move |bytes| {
            if let Some(integer) = kind.integer(bytes) {
                let known = (integer != kind.lowest()).then_some(integer as f32);
                return (integer != kind.lowest() + 1).then_some(Ok(known));
            }
            let bytes: [u8; 4] = bytes.try_into().ok()?;
            let known = (bytes != MISSING).then(|| f32::from_le_bytes(bytes));
            (bytes != END).then_some(Ok(known))
        });
        Ok(values)
    }
}
