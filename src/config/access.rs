//! Who may come in, and how: keys, certificates, proxies, origins, rates.

use std::fmt;
use std::net::SocketAddr;
use std::num::{NonZeroU32, NonZeroU64};
use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;
use ipnet::IpNet;

use super::ConfigError;
use crate::access::ring::KeyDefaults;
use crate::http::origin::Origin;

/// Where the keys are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySource {
    /// In the store, beside the datasets.
    Store,
    /// In a file.
    File(PathBuf),
}

impl FromStr for KeySource {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(if text == "store" { Self::Store } else { Self::File(PathBuf::from(text)) })
    }
}

impl fmt::Display for KeySource {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Store => formatter.write_str("the store"),
            Self::File(path) => write!(formatter, "{}", path.display()),
        }
    }
}

/// Where the keys are, as a flag.
#[derive(Debug, Clone, Args)]
pub struct KeysArgs {
    /// Where the API keys are: `store`, or a file that `tissuecast keys` writes
    #[arg(long, env = "TISSUECAST_KEYS", default_value = "store", value_name = "store|FILE")]
    pub keys: KeySource,
}

/// Who may come in, and how.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Access")]
pub struct AccessConfig {
    #[command(flatten)]
    /// Where the keys are.
    pub keys: KeysArgs,
    /// Lets everybody in who reaches an address of other machines, where there is no key
    #[arg(long, env = "TISSUECAST_INSECURE")]
    pub insecure: bool,
    /// The certificate chain for TLS, in PEM; read again when it changes
    #[arg(long, env = "TISSUECAST_TLS_CERTIFICATE", value_name = "FILE", requires = "tls_key")]
    pub tls_certificate: Option<PathBuf>,
    /// The certificate's private key, in PEM
    #[arg(long, env = "TISSUECAST_TLS_KEY", value_name = "FILE", requires = "tls_certificate")]
    pub tls_key: Option<PathBuf>,
    /// Addresses of proxies whose X-Forwarded-For and X-Forwarded-Host are believed, such as `10.0.0.0/8`
    #[arg(long, env = "TISSUECAST_TRUSTED_PROXIES", value_delimiter = ',', value_name = "CIDR")]
    pub trusted_proxies: Vec<IpNet>,
    /// Origins of pages elsewhere that may read answers, such as `https://lab.example`; none where it is left out
    #[arg(long, env = "TISSUECAST_CORS_ORIGINS", value_delimiter = ',', value_name = "ORIGIN")]
    pub cors_origins: Vec<Origin>,
    /// Requests a minute of a key that says nothing else, and of a client of another machine without a key; 0 for as
    /// many as come
    #[arg(long, env = "TISSUECAST_REQUESTS_PER_MINUTE", default_value_t = 6_000, value_name = "N")]
    pub requests_per_minute: u32,
    /// People a day (UTC) whose expression a key that says nothing else may have predicted; 0 for as many as come
    #[arg(long, env = "TISSUECAST_SAMPLES_PER_DAY", default_value_t = 0, value_name = "N")]
    pub samples_per_day: u64,
    /// Connections that are open at one time; more wait until one is closed
    #[arg(long, env = "TISSUECAST_MAX_CONNECTIONS", default_value_t = 4_096, value_name = "N")]
    pub max_connections: usize,
    /// Bytes a second that a client has to send of its genotypes, and to take of its predictions, on average; a slower
    /// one is sent away; 0 for as slow as it likes
    #[arg(long, env = "TISSUECAST_MIN_TRANSFER_BYTES_PER_SECOND", default_value_t = 1_024, value_name = "N")]
    pub min_transfer_bytes_per_second: u64,
}

impl AccessConfig {
    /// Returns what holds for keys that say nothing of it themselves.
    #[must_use]
    pub fn key_defaults(&self) -> KeyDefaults {
        KeyDefaults {
            requests_per_minute: NonZeroU32::new(self.requests_per_minute),
            samples_per_day: NonZeroU64::new(self.samples_per_day),
        }
    }

    /// Refuses to stand open: an address that other machines reach needs a key that works, or the word that it is meant.
    ///
    /// # Errors
    /// The address is not this machine's alone, no key is usable, and `--insecure` was not said.
    pub fn require_guarded(&self, listen: SocketAddr, has_usable_key: bool) -> Result<(), ConfigError> {
        // A proxy on this machine lets others in.
        let is_own = listen.ip().is_loopback() && self.trusted_proxies.is_empty();
        if is_own || has_usable_key || self.insecure {
            return Ok(());
        }
        Err(ConfigError::Unguarded { listen, keys: self.keys.keys.to_string() })
    }

    /// Returns whether keys would travel in the clear to this address.
    #[must_use]
    pub fn is_in_the_clear(&self, listen: SocketAddr) -> bool {
        !listen.ip().is_loopback() && self.tls_certificate.is_none() && self.trusted_proxies.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        config: AccessConfig,
    }

    #[test]
    fn an_address_of_other_machines_needs_a_key_or_the_word() {
        let parse = |flags: &[&str]| Line::parse_from(std::iter::once("serve").chain(flags.iter().copied())).config;
        let [this, all, six]: [SocketAddr; 3] =
            ["127.0.0.1:80", "0.0.0.0:80", "[::]:80"].map(|text| text.parse().unwrap());
        let config = parse(&[]);
        assert_eq!(config.require_guarded(this, false), Ok(()));
        assert_eq!(config.require_guarded(all, true), Ok(()));
        let proxied = parse(&["--trusted-proxies", "127.0.0.1/32"]);
        assert!(proxied.require_guarded(this, false).is_err() && proxied.require_guarded(this, true).is_ok());
        for address in [all, six] {
            let error = config.require_guarded(address, false).unwrap_err().to_string();
            assert!(error.contains("tissuecast keys create") && error.contains("--insecure"), "{error}");
        }
        assert_eq!(parse(&["--insecure"]).require_guarded(all, false), Ok(()));
        assert!(config.is_in_the_clear(all) && !config.is_in_the_clear(this));
        assert!(!parse(&["--trusted-proxies", "10.0.0.0/8,::1/128"]).is_in_the_clear(all));
        assert!(Line::try_parse_from(["serve", "--tls-certificate", "c.pem"]).is_err());
        assert!(Line::try_parse_from(["serve", "--cors-origins", "lab.example"]).is_err());
    }
}
