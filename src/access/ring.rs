//! The keys that are in force, ready to be compared.

use std::num::{NonZeroU32, NonZeroU64};
use std::sync::Arc;

use super::Seconds;
use super::key::KeyDigest;
use super::quota::{Charge, QuotaExceeded, RequestRate, SampleQuota};
use super::record::{KeyRecord, Standing};

/// What holds for keys that say nothing of it themselves.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct KeyDefaults {
    /// Requests a minute; none for as many as come.
    pub requests_per_minute: Option<NonZeroU32>,
    /// People a day; none for as many as come.
    pub samples_per_day: Option<NonZeroU64>,
}

/// A key with what it has used.
#[derive(Debug)]
pub struct Holder {
    /// What is known of it.
    pub record: KeyRecord,
    /// Its rate of requests, where it has one.
    pub rate: Option<Arc<RequestRate>>,
    /// People a day.
    pub samples_per_day: Option<NonZeroU64>,
    /// What it has used of its people a day.
    pub samples: Arc<SampleQuota>,
    per_minute: Option<NonZeroU32>,
}

impl Holder {
    fn new(record: KeyRecord, defaults: KeyDefaults, before: Option<&Self>) -> Self {
        let per_minute = record.requests_per_minute.or(defaults.requests_per_minute);
        let samples_per_day = record.samples_per_day.or(defaults.samples_per_day);
        let kept = before.filter(|before| before.per_minute == per_minute);
        let rate = match kept {
            Some(kept) => kept.rate.clone(),
            None => per_minute.map(|rate| Arc::new(RequestRate::new(rate))),
        };
        let samples = before.map(|before| Arc::clone(&before.samples)).unwrap_or_default();
        Self { record, rate, samples_per_day, samples, per_minute }
    }

    /// Counts people whose expression is to be predicted; nothing where the key has no quota.
    ///
    /// # Errors
    /// The quota of the day has fewer left.
    pub fn charge(&self, samples: u64, now: Seconds) -> Result<Option<Charge>, QuotaExceeded> {
        self.samples_per_day.map(|limit| self.samples.charge(samples, limit.get(), now)).transpose()
    }
}

/// Why a key opens nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyRefusal {
    /// There is no such key.
    #[error("the key is not known")]
    Unknown,
    /// Its time is over.
    #[error("the key has expired")]
    Expired,
    /// It was taken back.
    #[error("the key was revoked")]
    Revoked,
}

/// The keys.
#[derive(Debug, Default)]
pub struct KeyRing {
    holders: Vec<Arc<Holder>>,
    /// Whether there was ever a key: then nobody comes in without one.
    is_enforced: bool,
}

impl KeyRing {
    /// Takes the records; keys that were there before go on with what they have used.
    #[must_use]
    pub fn new(records: Vec<KeyRecord>, defaults: KeyDefaults, previous: Option<&Self>) -> Self {
        let before = |record: &KeyRecord| {
            previous.and_then(|ring| ring.holders.iter().find(|one| one.record.sha256 == record.sha256))
        };
        let is_enforced = !records.is_empty() || previous.is_some_and(|ring| ring.is_enforced);
        let holder = |record: KeyRecord| {
            let before = before(&record).cloned();
            Arc::new(Holder::new(record, defaults, before.as_deref()))
        };
        Self { holders: records.into_iter().map(holder).collect(), is_enforced }
    }

    /// Returns whether a key is asked for.
    #[must_use]
    pub const fn is_enforced(&self) -> bool {
        self.is_enforced
    }

    /// Returns whether some key opens the door.
    #[must_use]
    pub fn has_usable(&self, now: Seconds) -> bool {
        self.holders.iter().any(|one| one.record.standing(now) == Standing::Usable)
    }

    /// Returns every key.
    pub fn holders(&self) -> impl Iterator<Item = &Arc<Holder>> {
        self.holders.iter()
    }

    /// Finds the key that was presented: by its digest, compared with every one in the same time.
    #[must_use]
    pub fn find(&self, presented: &str) -> Option<&Arc<Holder>> {
        let digest = KeyDigest::of(presented);
        self.holders.iter().fold(None, |found, one| if one.record.sha256 == digest { Some(one) } else { found })
    }

    /// Finds the key that was presented where it opens the door.
    ///
    /// # Errors
    /// There is none, it has expired, or it was revoked.
    pub fn verify(&self, presented: &str, now: Seconds) -> Result<&Arc<Holder>, KeyRefusal> {
        let holder = self.find(presented).ok_or(KeyRefusal::Unknown)?;
        match holder.record.standing(now) {
            Standing::Usable => Ok(holder),
            Standing::Expired => Err(KeyRefusal::Expired),
            Standing::Revoked => Err(KeyRefusal::Revoked),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::key::PlainKey;

    fn record(key: &PlainKey, expires: Option<Seconds>) -> KeyRecord {
        KeyRecord {
            name: "ada".parse().unwrap(),
            sha256: key.digest(),
            scopes: "read".parse().unwrap(),
            created_at_seconds: 0,
            expires_at_seconds: expires,
            revoked_at_seconds: None,
            requests_per_minute: NonZeroU32::new(2),
            samples_per_day: None,
        }
    }

    #[test]
    fn a_key_opens_until_it_expires_or_is_revoked() {
        let (key, other) = (PlainKey::from_random([1; 32]), PlainKey::from_random([2; 32]));
        let ring = KeyRing::new(vec![record(&key, Some(100))], KeyDefaults::default(), None);
        assert_eq!(ring.verify(key.reveal(), 99).unwrap().record.name.as_str(), "ada");
        assert_eq!(ring.verify(key.reveal(), 100).unwrap_err(), KeyRefusal::Expired);
        assert_eq!(ring.verify(other.reveal(), 0).unwrap_err(), KeyRefusal::Unknown);
        assert!(ring.has_usable(99) && !ring.has_usable(100));
        let revoked = KeyRecord { revoked_at_seconds: Some(5), ..record(&key, None) };
        let ring = KeyRing::new(vec![revoked], KeyDefaults::default(), Some(&ring));
        assert_eq!(ring.verify(key.reveal(), 6).unwrap_err(), KeyRefusal::Revoked);
        let ring = KeyRing::new(Vec::new(), KeyDefaults::default(), Some(&ring));
        assert!(ring.is_enforced(), "the last key's removal does not open the door");
    }

    #[test]
    fn what_was_used_outlives_a_reload_and_a_changed_limit_does_not() {
        let key = PlainKey::from_random([1; 32]);
        let defaults = KeyDefaults { samples_per_day: NonZeroU64::new(10), ..KeyDefaults::default() };
        let ring = KeyRing::new(vec![record(&key, None)], defaults, None);
        let holder = ring.verify(key.reveal(), 0).unwrap();
        assert_eq!(holder.rate.as_ref().unwrap().count().remaining, 1);
        holder.charge(9, 0).unwrap();
        let ring = KeyRing::new(vec![record(&key, None)], defaults, Some(&ring));
        let holder = ring.verify(key.reveal(), 0).unwrap();
        assert_eq!(holder.rate.as_ref().unwrap().count().remaining, 0);
        assert_eq!(holder.charge(2, 0).unwrap_err().left, 1);
        let faster = KeyRecord { requests_per_minute: NonZeroU32::new(50), ..record(&key, None) };
        let ring = KeyRing::new(vec![faster], defaults, Some(&ring));
        assert_eq!(ring.verify(key.reveal(), 0).unwrap().rate.as_ref().unwrap().count().remaining, 49);
    }
}
