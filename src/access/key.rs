//! Keys as they are handed out, and what is kept of them.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

/// What every key starts with, so that it is recognised where it should not be: in a mail, in a repository.
pub const PREFIX: &str = "tissuecast_";

/// Random bytes of a key.
pub const RANDOM_BYTES: usize = 32;

/// A key in the clear: it is shown once, to whoever made it.
#[derive(Clone)]
pub struct PlainKey(String);

impl PlainKey {
    /// Returns the key of these random bytes.
    #[must_use]
    pub fn from_random(bytes: [u8; RANDOM_BYTES]) -> Self {
        Self(format!("{PREFIX}{}", hexadecimal(&bytes)))
    }

    /// Returns the key as it is sent.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Returns what is kept of it.
    #[must_use]
    pub fn digest(&self) -> KeyDigest {
        KeyDigest::of(&self.0)
    }
}

impl fmt::Debug for PlainKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("PlainKey(…)")
    }
}

/// The SHA-256 of a key. A key has 256 random bits: no slower digest would make it harder to guess.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct KeyDigest([u8; 32]);

/// A text that is no SHA-256.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a key's sha256 is 64 hexadecimal digits")]
pub struct DigestError;

impl KeyDigest {
    /// Returns the digest of a key as it was sent.
    #[must_use]
    pub fn of(presented: &str) -> Self {
        Self(Sha256::digest(presented.as_bytes()).into())
    }

    /// Reads 64 hexadecimal digits.
    ///
    /// # Errors
    /// It is anything else.
    ///
    /// ```
    /// use tissuecast::access::key::KeyDigest;
    ///
    /// let digest = KeyDigest::of("tissuecast_0");
    /// assert!(KeyDigest::parse(&digest.to_string()).unwrap() == digest);
    /// assert!(KeyDigest::parse("0123").is_err());
    /// ```
    pub fn parse(text: &str) -> Result<Self, DigestError> {
        let mut bytes = [0; 32];
        if text.len() != 2 * bytes.len() || !text.is_ascii() {
            return Err(DigestError);
        }
        for (at, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text[2 * at..2 * at + 2], 16).map_err(|_| DigestError)?;
        }
        Ok(Self(bytes))
    }
}

/// Compares in a time that does not tell where two digests differ.
impl PartialEq for KeyDigest {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for KeyDigest {}

impl fmt::Display for KeyDigest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&hexadecimal(&self.0))
    }
}

impl TryFrom<String> for KeyDigest {
    type Error = DigestError;

    fn try_from(text: String) -> Result<Self, DigestError> {
        Self::parse(&text)
    }
}

impl From<KeyDigest> for String {
    fn from(digest: KeyDigest) -> Self {
        digest.to_string()
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_recognised_and_never_shown_by_accident() {
        let key = PlainKey::from_random([7; RANDOM_BYTES]);
        assert!(key.reveal().starts_with(PREFIX) && key.reveal().len() == PREFIX.len() + 64);
        assert!(!format!("{key:?}").contains("0707"));
        assert!(key.digest() == KeyDigest::of(key.reveal()));
        assert!(key.digest() != KeyDigest::of(PREFIX));
    }

    #[test]
    fn the_digest_is_the_published_one() {
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(KeyDigest::of("abc").to_string(), abc);
        for wrong in ["", "ba78", &abc.replace('b', "g"), &format!("{abc}00"), &"é".repeat(32)] {
            assert_eq!(KeyDigest::parse(wrong), Err(DigestError), "{wrong}");
        }
    }
}
