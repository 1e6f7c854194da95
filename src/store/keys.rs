//! API keys and their use, kept where several services find them.

use std::num::{NonZeroU32, NonZeroU64};

use sqlx::Row;
use sqlx::any::AnyRow;

use super::{Store, StoreError, failed};
use crate::access::Seconds;
use crate::access::key::KeyDigest;
use crate::access::quota::Unsaved;
use crate::access::record::{KeyName, KeyRecord};

/// Days after which nobody asks any more what a key has used.
const KEPT_DAYS: i64 = 31;

impl Store {
    /// Returns every key, by name.
    ///
    /// # Errors
    /// The database fails, or a row makes no sense.
    pub async fn keys(&self) -> Result<Vec<KeyRecord>, StoreError> {
        let rows = sqlx::query(
            "SELECT name, sha256, scopes, created_at, expires_at, revoked_at, requests_per_minute, samples_per_day \
             FROM access_keys",
        )
        .fetch_all(&self.pool)
        .await
        .map_err(failed("read the keys"))?;
        let mut keys = rows.iter().map(key).collect::<Result<Vec<_>, _>>()?;
        keys.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(keys)
    }

    /// Adds a key.
    ///
    /// # Errors
    /// There is a key of that name, revoked ones among them, or the database fails.
    pub async fn add_key(&self, key: &KeyRecord) -> Result<(), StoreError> {
        let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        let scopes = serde_json::to_string(&key.scopes).unwrap_or_default();
        let done = sqlx::query(
            "INSERT INTO access_keys (name, sha256, scopes, created_at, expires_at, revoked_at, \
             requests_per_minute, samples_per_day) VALUES ($1, $2, $3, $4, $5, $6, $7, $8) \
             ON CONFLICT (name) DO NOTHING",
        )
        .bind(key.name.as_str().to_owned())
        .bind(key.sha256.to_string())
        .bind(scopes)
        .bind(key.created_at_seconds)
        .bind(key.expires_at_seconds)
        .bind(key.revoked_at_seconds)
        .bind(key.requests_per_minute.map(|rate| i64::from(rate.get())))
        .bind(key.samples_per_day.map(|samples| number(samples.get())))
        .execute(&self.pool)
        .await
        .map_err(failed("add a key"))?;
        if done.rows_affected() == 0 { Err(StoreError::KeyTaken(key.name.clone())) } else { Ok(()) }
    }

    /// Revokes a key; one that was revoked before keeps its time.
    ///
    /// # Errors
    /// There is no key of that name, or the database fails.
    pub async fn revoke_key(&self, name: &KeyName, now: Seconds) -> Result<(), StoreError> {
        let done = sqlx::query("UPDATE access_keys SET revoked_at = COALESCE(revoked_at, $2) WHERE name = $1")
            .bind(name.as_str().to_owned())
            .bind(now)
            .execute(&self.pool)
            .await
            .map_err(failed("revoke a key"))?;
        if done.rows_affected() == 0 { Err(StoreError::UnknownKey(name.clone())) } else { Ok(()) }
    }

    /// Adds what a key has used, and forgets what was used long before.
    ///
    /// # Errors
    /// The database fails.
    pub async fn add_use(&self, key: KeyDigest, used: Unsaved) -> Result<(), StoreError> {
        // First, so that what was added is never told to have failed.
        sqlx::query("DELETE FROM access_use WHERE day < $1")
            .bind(used.day - KEPT_DAYS)
            .execute(&self.pool)
            .await
            .map_err(failed("forget what keys had used"))?;
        sqlx::query(
            "INSERT INTO access_use (sha256, day, samples) VALUES ($1, $2, $3) \
             ON CONFLICT (sha256, day) DO UPDATE SET samples = access_use.samples + excluded.samples",
        )
        .bind(key.to_string())
        .bind(used.day)
        .bind(used.samples)
        .execute(&self.pool)
        .await
        .map(drop)
        .map_err(failed("note what a key has used"))
    }

    /// Returns what every key has used on a day.
    ///
    /// # Errors
    /// The database fails, or a row makes no sense.
    pub async fn uses_of(&self, day: i64) -> Result<Vec<(KeyDigest, u64)>, StoreError> {
        let rows = sqlx::query_as::<_, (String, i64)>("SELECT sha256, samples FROM access_use WHERE day = $1")
            .bind(day)
            .fetch_all(&self.pool)
            .await
            .map_err(failed("read what keys have used"))?;
        let one = |(digest, samples): (String, i64)| {
            let corrupt = |column| StoreError::CorruptKey { name: digest.clone(), column };
            let key = KeyDigest::parse(&digest).map_err(|_| corrupt("sha256"))?;
            // Below zero while one service has written down what another one's charge is still to come of.
            Ok((key, u64::try_from(samples.max(0)).unwrap_or(0)))
        };
        rows.into_iter().map(one).collect()
    }
}

fn key(row: &AnyRow) -> Result<KeyRecord, StoreError> {
    let text = |at: usize| row.try_get::<String, _>(at).map_err(failed("read the keys"));
    let number = |at: usize| row.try_get::<Option<i64>, _>(at).map_err(failed("read the keys"));
    let name = text(0)?;
    let corrupt = |column: &'static str| StoreError::CorruptKey { name: name.clone(), column };
    let positive = |at: usize, column| {
        let number =
            number(at)?.map(|number| u64::try_from(number).ok().and_then(NonZeroU64::new).ok_or(corrupt(column)));
        number.transpose()
    };
    let rate = positive(6, "requests_per_minute")?;
    Ok(KeyRecord {
        name: name.parse().map_err(|_| corrupt("name"))?,
        sha256: KeyDigest::parse(&text(1)?).map_err(|_| corrupt("sha256"))?,
        scopes: serde_json::from_str(&text(2)?).map_err(|_| corrupt("scopes"))?,
        created_at_seconds: row.try_get(3).map_err(failed("read the keys"))?,
        expires_at_seconds: number(4)?,
        revoked_at_seconds: number(5)?,
        requests_per_minute: rate
            .map(|rate| NonZeroU32::try_from(rate).map_err(|_| corrupt("requests_per_minute")))
            .transpose()?,
        samples_per_day: positive(7, "samples_per_day")?,
    })
}
