//! Who may ask for what: API keys with their scopes, their rate of requests and their quota of samples.
//!
//! A key is random and long, so its SHA-256 is all that is ever kept of it. Knows neither HTTP nor a database: `http`
//! asks it about requests, `store` and `access::file` keep its records, and the time is always a parameter. Invariant: a
//! ring that has held a key never lets anybody in without one again.

pub mod file;
pub mod key;
pub mod quota;
pub mod record;
pub mod ring;

/// Seconds since 1970-01-01 00:00 UTC.
pub type Seconds = i64;
