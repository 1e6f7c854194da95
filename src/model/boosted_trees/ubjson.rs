//! Universal Binary JSON (draft 12), read into the same types as JSON.
//!
//! Invariant: nothing is allocated on a file's word. A count only bounds a loop whose every turn uses up bytes, for
//! which element types without a body (`Z`, `T`, `F`, `N`) are refused in typed arrays.

use std::fmt;

use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, IntoDeserializer as _, MapAccess, SeqAccess, Visitor,
};
use serde::forward_to_deserialize_any;

/// Arrays and objects inside each other beyond which a file is refused; a model has about ten.
const MAX_DEPTH: usize = 64;

/// What is wrong with a UBJSON file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UbjsonError {
    /// The byte, from 0, at which reading stopped; `None` where the wrong field's place is not known.
    at: Option<usize>,
    problem: String,
}

impl fmt::Display for UbjsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.at {
            Some(at) => write!(f, "{} at byte {at}", self.problem),
            None => f.write_str(&self.problem),
        }
    }
}

impl std::error::Error for UbjsonError {}

impl serde::de::Error for UbjsonError {
    fn custom<T: fmt::Display>(problem: T) -> Self {
        Self { at: None, problem: problem.to_string() }
    }
}

type Result<T> = std::result::Result<T, UbjsonError>;

/// Reads one value that takes up all of the bytes.
pub(super) fn from_slice<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    let mut reader = Reader { bytes, at: 0, depth: 0 };
    let value = T::deserialize(&mut reader).map_err(|error| reader.place(error))?;
    while reader.peek() == Some(b'N') {
        reader.at += 1;
    }
    if reader.at < bytes.len() {
        return Err(reader.fail("bytes behind the end of the model"));
    }
    Ok(value)
}

struct Reader<'de> {
    bytes: &'de [u8],
    at: usize,
    depth: usize,
}

/// What an array or object says about its elements.
#[derive(Clone, Copy)]
struct Container {
    /// The type of every element.
    kind: Option<u8>,
    /// How many elements are to come.
    left: Option<u64>,
}

impl<'de> Reader<'de> {
    fn fail(&self, problem: &str) -> UbjsonError {
        UbjsonError { at: Some(self.at), problem: problem.to_owned() }
    }

    fn place(&self, error: UbjsonError) -> UbjsonError {
        UbjsonError { at: error.at.or(Some(self.at)), ..error }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn take(&mut self, n: u64) -> Result<&'de [u8]> {
        let rest = &self.bytes[self.at..];
        let taken = usize::try_from(n).ok().and_then(|n| rest.get(..n)).ok_or_else(|| self.fail("the file ends"))?;
        self.at += taken.len();
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let taken = self.take(N as u64)?;
        taken.try_into().map_err(|_| self.fail("the file ends"))
    }

    fn marker(&mut self) -> Result<u8> {
        loop {
            match self.array()? {
                [b'N'] => {}
                [marker] => return Ok(marker),
            }
        }
    }

    fn integer(&mut self, marker: u8) -> Result<i64> {
        Ok(match marker {
            b'i' => i8::from_be_bytes(self.array()?).into(),
            b'U' => u8::from_be_bytes(self.array()?).into(),
            b'I' => i16::from_be_bytes(self.array()?).into(),
            b'l' => i32::from_be_bytes(self.array()?).into(),
            b'L' => i64::from_be_bytes(self.array()?),
            _ => return Err(self.fail("a length that is not a whole number")),
        })
    }

    fn length(&mut self) -> Result<u64> {
        let marker = self.marker()?;
        let length = self.integer(marker)?;
        u64::try_from(length).map_err(|_| self.fail("a length below 0"))
    }

    fn text(&mut self) -> Result<&'de str> {
        let length = self.length()?;
        let bytes = self.take(length)?;
        std::str::from_utf8(bytes).map_err(|_| self.fail("a text that is not UTF-8"))
    }

    fn open(&mut self) -> Result<Container> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(self.fail("more than 64 arrays and objects inside each other"));
        }
        let mut container = Container { kind: None, left: None };
        if self.peek() == Some(b'$') {
            self.at += 1;
            let [kind] = self.array()?;
            if !b"iUIlLdDHCS[{".contains(&kind) {
                return Err(self.fail("an element type that cannot be that of an array"));
            }
            container.kind = Some(kind);
            if self.peek() != Some(b'#') {
                return Err(self.fail("an element type without a count"));
            }
        }
        if self.peek() == Some(b'#') {
            self.at += 1;
            container.left = Some(self.length()?);
        }
        Ok(container)
    }

    /// Returns whether another element follows, and steps over the end mark where there is none.
    fn another(&mut self, container: &mut Container, end: u8) -> Result<bool> {
        if let Some(left) = &mut container.left {
            let more = *left > 0;
            *left = left.saturating_sub(1);
            return Ok(more);
        }
        while self.peek() == Some(b'N') {
            self.at += 1;
        }
        match self.peek() {
            None => Err(self.fail("the file ends")),
            Some(mark) if mark == end => {
                self.at += 1;
                Ok(false)
            }
            Some(_) => Ok(true),
        }
    }

    fn value<V: Visitor<'de>>(&mut self, marker: u8, visitor: V) -> Result<V::Value> {
        match marker {
            b'Z' => visitor.visit_unit(),
            b'T' => visitor.visit_bool(true),
            b'F' => visitor.visit_bool(false),
            b'i' | b'U' | b'I' | b'l' | b'L' => visitor.visit_i64(self.integer(marker)?),
            b'd' => visitor.visit_f32(f32::from_be_bytes(self.array()?)),
            b'D' => visitor.visit_f64(f64::from_be_bytes(self.array()?)),
            b'H' => {
                let text = self.text()?;
                visitor.visit_f64(text.parse().map_err(|_| self.fail("a number that cannot be read"))?)
            }
            b'C' => visitor.visit_char(self.array::<1>()?[0].into()),
            b'S' => visitor.visit_borrowed_str(self.text()?),
            b'[' => {
                let container = self.open()?;
                let mut elements = Elements { reader: self, container, finished: false };
                let value = visitor.visit_seq(&mut elements)?;
                elements.close(b']')?;
                Ok(value)
            }
            b'{' => {
                let container = self.open()?;
                let mut elements = Elements { reader: self, container, finished: false };
                let value = visitor.visit_map(&mut elements)?;
                elements.close(b'}')?;
                Ok(value)
            }
            _ => Err(self.fail("a mark that is no type")),
        }
    }
}

impl<'de> Deserializer<'de> for &mut Reader<'de> {
    type Error = UbjsonError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        let marker = self.marker()?;
        self.value(marker, visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        let marker = self.marker()?;
        Typed { reader: self, marker }.deserialize_option(visitor)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

/// A value whose type mark is known already.
struct Typed<'a, 'de> {
    reader: &'a mut Reader<'de>,
    marker: u8,
}

impl<'de> Deserializer<'de> for Typed<'_, 'de> {
    type Error = UbjsonError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        self.reader.value(self.marker, visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        if self.marker == b'Z' { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

struct Elements<'a, 'de> {
    reader: &'a mut Reader<'de>,
    container: Container,
    finished: bool,
}

impl<'de> Elements<'_, 'de> {
    fn another(&mut self, end: u8) -> Result<bool> {
        if !self.finished {
            self.finished = !self.reader.another(&mut self.container, end)?;
        }
        Ok(!self.finished)
    }

    fn element<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value> {
        let marker = self.container.kind.map_or_else(|| self.reader.marker(), Ok)?;
        seed.deserialize(Typed { reader: self.reader, marker }).map_err(|error| self.reader.place(error))
    }

    fn close(mut self, end: u8) -> Result<()> {
        self.reader.depth -= 1;
        if self.another(end)? {
            return Err(self.reader.fail("more elements than the field has"));
        }
        Ok(())
    }
}

impl<'de> SeqAccess<'de> for &mut Elements<'_, 'de> {
    type Error = UbjsonError;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>> {
        if self.another(b']')? { self.element(seed).map(Some) } else { Ok(None) }
    }

    fn size_hint(&self) -> Option<usize> {
        let rest = self.reader.bytes.len() - self.reader.at;
        self.container.left.map(|left| usize::try_from(left).map_or(rest, |left| left.min(rest)))
    }
}

impl<'de> MapAccess<'de> for &mut Elements<'_, 'de> {
    type Error = UbjsonError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>> {
        if !self.another(b'}')? {
            return Ok(None);
        }
        let key: &str = self.reader.text()?;
        seed.deserialize(key.into_deserializer()).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value> {
        self.element(seed)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::de::IgnoredAny;

    use super::*;

    #[test]
    fn every_number_type_reads_alone_and_in_typed_arrays() {
        let mixed = b"[i\xfeU\xfeI\xff\x00l\x00\x01\x00\x00L\x00\x00\x00\x00\x00\x00\x00\x07ND\x3f\xf0\x00\x00\x00\x00\x00\x00Hi\x032.5]";
        assert_eq!(from_slice::<Vec<f64>>(mixed).unwrap(), [-2.0, 254.0, -256.0, 65536.0, 7.0, 1.0, 2.5]);
        let floats = b"[$d#i\x02\x3f\x80\x00\x00\xbf\x00\x00\x00";
        assert_eq!(from_slice::<Vec<f32>>(floats).unwrap(), [1.0, -0.5]);
        let map = b"{#i\x02i\x01aZi\x01bSi\x02hi";
        let map = from_slice::<BTreeMap<String, Option<String>>>(map).unwrap();
        assert_eq!(map.into_iter().collect::<Vec<_>>(), [("a".into(), None), ("b".into(), Some("hi".into()))]);
        assert_eq!(from_slice::<BTreeMap<String, u8>>(b"{$U#i\x01i\x01a\x05").unwrap()["a"], 5);
        assert_eq!(from_slice::<Vec<bool>>(b"[TF]").unwrap(), [true, false]);
    }

    #[test]
    fn counts_depth_and_tails_are_held_to_the_bytes() {
        let huge = b"[$d#L\x10\x00\x00\x00\x00\x00\x00\x00\x3f\x80\x00\x00";
        assert_eq!(from_slice::<Vec<f32>>(huge).unwrap_err().to_string(), "the file ends at byte 17");
        let empty_elements = b"[$Z#L\x10\x00\x00\x00\x00\x00\x00\x00";
        assert!(from_slice::<Vec<IgnoredAny>>(empty_elements).unwrap_err().to_string().contains("element type"));
        let deep = vec![b'['; 100_000];
        assert!(from_slice::<IgnoredAny>(&deep).unwrap_err().to_string().contains("64 arrays"));
        assert!(from_slice::<Vec<u8>>(b"[]]").unwrap_err().to_string().contains("behind the end"));
        assert!(from_slice::<Vec<u8>>(b"[i\xff]").is_err(), "-1 is not a byte");
        assert!(
            from_slice::<String>(b"SL\xff\xff\xff\xff\xff\xff\xff\xff").unwrap_err().to_string().contains("below 0")
        );
    }
}
