//! What is known of a key: its name, its digest, what it may do, how much and for how long.

use std::collections::BTreeSet;
use std::fmt;
use std::num::{NonZeroU32, NonZeroU64};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::Seconds;
use super::key::KeyDigest;

/// What a key may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Send genotypes and get predictions.
    Predict,
    /// Read genes, profiles, datasets and models, and have the profiles of new genes imputed.
    Read,
    /// Reload models.
    Admin,
}

impl Scope {
    /// Every scope.
    pub const ALL: [Self; 3] = [Self::Predict, Self::Read, Self::Admin];

    /// Returns the scope's name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Predict => "predict",
            Self::Read => "read",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// A text of a key's record that makes no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// There is no such scope.
    #[error("there is no scope '{0}': name some of predict, read, admin, parted by commas")]
    Scope(String),
    /// A key may do nothing.
    #[error("a key has at least one scope: predict, read, admin")]
    NoScope,
    /// The name cannot stand in a log line or a command.
    #[error("'{0}' is no name of a key: use 1 to 64 letters, digits, '_', '-', '.' and '@'")]
    Name(String),
}

impl FromStr for Scope {
    type Err = RecordError;

    fn from_str(text: &str) -> Result<Self, RecordError> {
        let found = Self::ALL.into_iter().find(|scope| scope.as_str() == text);
        found.ok_or_else(|| RecordError::Scope(text.to_owned()))
    }
}

/// Some scopes; at least one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "BTreeSet<Scope>", into = "BTreeSet<Scope>")]
pub struct Scopes(BTreeSet<Scope>);

impl Scopes {
    /// Returns whether the scope is among them.
    #[must_use]
    pub fn contains(&self, scope: Scope) -> bool {
        self.0.contains(&scope)
    }
}

impl FromStr for Scopes {
    type Err = RecordError;

    fn from_str(text: &str) -> Result<Self, RecordError> {
        let named = text.split(',').map(str::trim).filter(|name| !name.is_empty());
        named.map(str::parse).collect::<Result<BTreeSet<Scope>, _>>()?.try_into()
    }
}

impl TryFrom<BTreeSet<Scope>> for Scopes {
    type Error = RecordError;

    fn try_from(scopes: BTreeSet<Scope>) -> Result<Self, RecordError> {
        if scopes.is_empty() { Err(RecordError::NoScope) } else { Ok(Self(scopes)) }
    }
}

impl From<Scopes> for BTreeSet<Scope> {
    fn from(scopes: Scopes) -> Self {
        scopes.0
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.0.iter().map(|scope| scope.as_str()).collect();
        formatter.write_str(&names.join(","))
    }
}

/// A key's name: it stands for the key in every log line and command.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct KeyName(String);

impl KeyName {
    /// Returns the name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for KeyName {
    type Err = RecordError;

    fn from_str(text: &str) -> Result<Self, RecordError> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.@".contains(&byte);
        if (1..=64).contains(&text.len()) && text.bytes().all(plain) {
            Ok(Self(text.to_owned()))
        } else {
            Err(RecordError::Name(text.to_owned()))
        }
    }
}

impl TryFrom<String> for KeyName {
    type Error = RecordError;

    fn try_from(text: String) -> Result<Self, RecordError> {
        text.parse()
    }
}

impl From<KeyName> for String {
    fn from(name: KeyName) -> Self {
        name.0
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// How a key stands at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It opens the door.
    Usable,
    /// Its time is over.
    Expired,
    /// It was taken back.
    Revoked,
}

/// A key as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyRecord {
    /// Its name.
    pub name: KeyName,
    /// Its SHA-256.
    pub sha256: KeyDigest,
    /// What it may do.
    pub scopes: Scopes,
    /// When it was made.
    pub created_at_seconds: Seconds,
    /// From when on it does not work any more.
    #[serde(default)]
    pub expires_at_seconds: Option<Seconds>,
    /// When it was taken back.
    #[serde(default)]
    pub revoked_at_seconds: Option<Seconds>,
    /// Requests a minute; the service's own setting where it is left out.
    #[serde(default)]
    pub requests_per_minute: Option<NonZeroU32>,
    /// People a day (UTC) whose expression may be predicted; the service's own setting where it is left out.
    #[serde(default)]
    pub samples_per_day: Option<NonZeroU64>,
}

impl KeyRecord {
    /// Returns how the key stands.
    #[must_use]
    pub fn standing(&self, now: Seconds) -> Standing {
        if self.revoked_at_seconds.is_some() {
            Standing::Revoked
        } else if self.expires_at_seconds.is_some_and(|end| end <= now) {
            Standing::Expired
        } else {
            Standing::Usable
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_and_names_are_parsed_or_refused_by_name() {
        let scopes: Scopes = "read, predict".parse().unwrap();
        assert_eq!(scopes.to_string(), "predict,read");
        assert!(scopes.contains(Scope::Read) && !scopes.contains(Scope::Admin));
        assert_eq!("write".parse::<Scopes>(), Err(RecordError::Scope("write".to_owned())));
        assert_eq!(",".parse::<Scopes>(), Err(RecordError::NoScope));
        assert!(serde_json::from_str::<Scopes>("[]").is_err());
        assert_eq!("ada@lab-2".parse::<KeyName>().unwrap().as_str(), "ada@lab-2");
        for wrong in ["", "two words", "a\nb", &"x".repeat(65)] {
            assert!(wrong.parse::<KeyName>().is_err(), "{wrong}");
        }
    }
}
