//! `tissuecast keys`: makes, lists and revokes API keys.

use std::num::{NonZeroU32, NonZeroU64};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};

use super::models::Format;
use crate::access::key::{PlainKey, RANDOM_BYTES};
use crate::access::record::{KeyName, KeyRecord, Scopes, Standing};
use crate::access::{Seconds, file};
use crate::config::{DatabaseArgs, KeySource, KeysArgs};
use crate::serve::now;
use crate::store::{SchemaState, Store};

/// Makes, lists and revokes API keys
#[derive(Debug, Args)]
pub struct Keys {
    #[command(subcommand)]
    command: KeysCommand,
}

/// Where the keys are.
#[derive(Debug, Args)]
struct Place {
    #[command(flatten)]
    keys: KeysArgs,
    #[command(flatten)]
    database: DatabaseArgs,
}

#[derive(Debug, Subcommand)]
enum KeysCommand {
    /// Makes a key and prints it: this once, since only its SHA-256 is kept.
    Create {
        /// The key's name in log lines and lists: whose it is, or what for
        #[arg(long)]
        name: KeyName,
        /// What it may do: predict (send genotypes), read (everything else that is asked), admin (reload models)
        #[arg(long, default_value = "predict,read")]
        scopes: Scopes,
        /// When it ends: a time from now (90d, 12h), a day (2027-06-30), or never
        #[arg(long, default_value = "365d", value_parser = Expiry::parse)]
        expires: Expiry,
        /// Requests a minute, in the place of serve's --requests-per-minute
        #[arg(long, value_name = "N")]
        requests_per_minute: Option<NonZeroU32>,
        /// People a day whose expression may be predicted, in the place of serve's --samples-per-day
        #[arg(long, value_name = "N")]
        samples_per_day: Option<NonZeroU64>,
        #[command(flatten)]
        place: Place,
    },
    /// Lists the keys: names, scopes, times, limits.
    List {
        /// How to print
        #[arg(long, value_enum, default_value_t = Format::Text)]
        format: Format,
        #[command(flatten)]
        place: Place,
    },
    /// Takes a key back; a running service knows within its --poll-seconds, or at once after SIGHUP.
    Revoke {
        /// The key's name
        name: KeyName,
        #[command(flatten)]
        place: Place,
    },
}

/// When a key ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expiry {
    Never,
    After(Duration),
    At(Seconds),
}

impl Expiry {
    fn parse(text: &str) -> Result<Self, String> {
        if text == "never" {
            return Ok(Self::Never);
        }
        if let Ok(after) = humantime::parse_duration(text) {
            return Ok(Self::After(after));
        }
        let day = humantime::parse_rfc3339_weak(&format!("{text} 00:00:00"));
        let at = day.or_else(|_| humantime::parse_rfc3339_weak(text)).ok();
        let seconds = at.and_then(|at| i64::try_from(at.duration_since(UNIX_EPOCH).ok()?.as_secs()).ok());
        seconds.map(Self::At).ok_or_else(|| "write 90d, 12h, 2027-06-30 or never".to_owned())
    }

    fn seconds(self, now: Seconds) -> anyhow::Result<Option<Seconds>> {
        let end = match self {
            Self::Never => return Ok(None),
            Self::At(at) => at,
            Self::After(after) => now.saturating_add(i64::try_from(after.as_secs()).unwrap_or(i64::MAX)),
        };
        if end <= now {
            bail!("--expires lies in the past");
        }
        if end > LATEST {
            bail!("--expires lies beyond the year 9999: say never");
        }
        Ok(Some(end))
    }
}

/// The last second that a date can be written for.
const LATEST: Seconds = 253_402_300_799;

impl Keys {
    /// Runs the command.
    ///
    /// # Errors
    /// The store or the file cannot be used, the name is taken or not there.
    pub async fn run(self) -> anyhow::Result<()> {
        let now = now();
        match self.command {
            KeysCommand::Create { name, scopes, expires, requests_per_minute, samples_per_day, place } => {
                let mut random = [0; RANDOM_BYTES];
                getrandom::fill(&mut random).context("the system gives no random numbers")?;
                let key = PlainKey::from_random(random);
                let record = KeyRecord {
                    name,
                    sha256: key.digest(),
                    scopes,
                    created_at_seconds: now,
                    expires_at_seconds: expires.seconds(now)?,
                    revoked_at_seconds: None,
                    requests_per_minute,
                    samples_per_day,
                };
                let says =
                    format!("key {} may {} until {}", record.name, record.scopes, end(record.expires_at_seconds));
                match &place.keys.keys {
                    KeySource::Store => store(&place.database).await?.add_key(&record).await?,
                    KeySource::File(path) => file::add(path, record)?,
                }
                eprintln!("{says}; it is shown this once:");
                println!("{}", key.reveal());
            }
            KeysCommand::List { format, place } => {
                let keys = match &place.keys.keys {
                    KeySource::Store => store(&place.database).await?.keys().await?,
                    KeySource::File(path) => file::read(path)?,
                };
                match format {
                    Format::Json => println!("{}", serde_json::to_string_pretty(&keys)?),
                    Format::Text => print!("{}", table(&keys, now)),
                }
            }
            KeysCommand::Revoke { name, place } => {
                match &place.keys.keys {
                    KeySource::Store => store(&place.database).await?.revoke_key(&name, now).await?,
                    KeySource::File(path) => file::revoke(path, &name, now)?,
                }
                eprintln!("key {name} is revoked");
            }
        }
        Ok(())
    }
}

/// Opens the store for keys; the first key may be made before anything else is there.
async fn store(database: &DatabaseArgs) -> anyhow::Result<Store> {
    let store = database.open().await?;
    if store.schema_state().await? == SchemaState::Empty {
        store.migrate().await?;
    }
    store.require_current_schema().await?;
    Ok(store)
}

fn end(expires: Option<Seconds>) -> String {
    expires.map_or_else(|| "it is revoked".to_owned(), date)
}

fn date(seconds: Seconds) -> String {
    let seconds = u64::try_from(seconds.clamp(0, LATEST)).unwrap_or(0);
    humantime::format_rfc3339_seconds(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)).to_string()
}

fn table(keys: &[KeyRecord], now: Seconds) -> String {
    let number = |number: Option<u64>| number.map_or_else(|| "-".to_owned(), |number| number.to_string());
    let head = ["name", "scopes", "standing", "created", "expires", "requests/min", "samples/day"].map(str::to_owned);
    let row = |key: &KeyRecord| {
        let standing = match key.standing(now) {
            Standing::Usable => "usable",
            Standing::Expired => "expired",
            Standing::Revoked => "revoked",
        };
        [
            key.name.to_string(),
            key.scopes.to_string(),
            standing.to_owned(),
            date(key.created_at_seconds),
            key.expires_at_seconds.map_or_else(|| "never".to_owned(), date),
            number(key.requests_per_minute.map(|rate| u64::from(rate.get()))),
            number(key.samples_per_day.map(NonZeroU64::get)),
        ]
    };
    let rows: Vec<[String; 7]> = std::iter::once(head).chain(keys.iter().map(row)).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..7).map(width).collect();
    let line = |row: &[String; 7]| {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        format!("{}\n", cells.join("  ").trim_end())
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_a_time_from_now_a_day_or_never() {
        assert_eq!(Expiry::parse("never"), Ok(Expiry::Never));
        assert_eq!(Expiry::parse("2d").unwrap().seconds(10).unwrap(), Some(10 + 2 * 86_400));
        assert_eq!(Expiry::parse("2027-01-01").unwrap().seconds(0).unwrap().map(date).unwrap(), "2027-01-01T00:00:00Z");
        for wrong in ["soon", "2027-13-01", ""] {
            assert!(Expiry::parse(wrong).is_err(), "{wrong}");
        }
        assert!(Expiry::parse("2020-01-01").unwrap().seconds(1_800_000_000).is_err());
        assert!(Expiry::parse("0s").unwrap().seconds(1).is_err());
        assert!(Expiry::parse("9000y").unwrap().seconds(1).is_err());
    }
}
