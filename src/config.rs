//! The service's configuration: sections of flags, each also read from the environment, checked before anything starts.

mod access;
mod telemetry;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;

use crate::genotype::ReadLimits;
use crate::http::state::{HttpLimits, Operator};
use crate::inference::Limits;
use crate::store::Store;
pub use telemetry::TelemetryConfig;

pub use access::{AccessConfig, KeySource, KeysArgs};

/// Everything that `serve` is told.
#[derive(Debug, Clone, Args)]
pub struct ServeConfig {
    #[command(flatten)]
    /// Where the service listens and how it stops.
    pub server: ServerConfig,
    #[command(flatten)]
    /// Who may come in, and how.
    pub access: AccessConfig,
    #[command(flatten)]
    /// What it reads.
    pub store: StoreConfig,
    #[command(flatten)]
    /// What a request may ask for.
    pub limits: LimitsConfig,
    #[command(flatten)]
    /// What the engines take on.
    pub inference: InferenceConfig,
    #[command(flatten)]
    /// What it tells about itself.
    pub telemetry: TelemetryConfig,
}

/// Where the service listens, who runs it, how it stops.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Server")]
pub struct ServerConfig {
    /// Address and port to listen on
    #[arg(long, env = "TISSUECAST_LISTEN", default_value = "127.0.0.1:8080", value_name = "HOST:PORT")]
    pub listen: SocketAddr,
    /// Seconds that open requests are given after a signal to stop
    #[arg(long, env = "TISSUECAST_DRAIN_SECONDS", default_value_t = 30, value_name = "SECONDS")]
    pub drain_seconds: u64,
    /// The organisation that runs the service, for /service-info
    #[arg(long, env = "TISSUECAST_ORGANIZATION", default_value = "Tissuecast (self-hosted)", value_name = "NAME")]
    pub organization: String,
    /// The organisation's address on the web, for /service-info
    #[arg(long, env = "TISSUECAST_ORGANIZATION_URL", default_value = "http://localhost/", value_name = "URL")]
    pub organization_url: String,
}

/// Where datasets and models are.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Data")]
pub struct StoreConfig {
    #[command(flatten)]
    /// The database with the datasets.
    pub database: DatabaseArgs,
    /// The folder with the models
    #[arg(long, env = "TISSUECAST_MODELS_DIR", default_value = "models", value_name = "DIR")]
    pub models_dir: PathBuf,
    /// The dataset that is used where a request names none; the only one where one is loaded
    #[arg(long, env = "TISSUECAST_DEFAULT_DATASET", value_name = "NAME")]
    pub default_dataset: Option<String>,
    /// The model that is used where a request names none, as NAME or NAME@VERSION; the first that fits the dataset
    /// otherwise
    #[arg(long, env = "TISSUECAST_DEFAULT_MODEL", value_name = "NAME")]
    pub default_model: Option<String>,
    /// Newest versions of each model that are served side by side; the default one always is
    #[arg(long, env = "TISSUECAST_KEEP_VERSIONS", default_value_t = 2, value_name = "N")]
    pub keep_versions: usize,
    /// Seconds between two looks for a changed dataset or model
    #[arg(long, env = "TISSUECAST_POLL_SECONDS", default_value_t = 10, value_name = "SECONDS")]
    pub poll_seconds: u64,
}

/// What a request may ask for.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Limits")]
pub struct LimitsConfig {
    /// MiB of a request's body
    #[arg(long, env = "TISSUECAST_MAX_BODY_MIB", default_value_t = 32, value_name = "MIB")]
    pub max_body_mib: usize,
    /// Genes of one POST /v1/profiles
    #[arg(long, env = "TISSUECAST_MAX_BATCH_GENES", default_value_t = 1_000, value_name = "N")]
    pub max_batch_genes: usize,
    /// Bases of a posted promoter
    #[arg(long, env = "TISSUECAST_MAX_PROMOTER_BASES", default_value_t = 20_000, value_name = "N")]
    pub max_promoter_bases: usize,
    /// Requests at work at one time; more are refused with 503
    #[arg(long, env = "TISSUECAST_MAX_IN_FLIGHT", default_value_t = 1_024, value_name = "N")]
    pub max_in_flight: usize,
    /// Seconds that one request may take
    #[arg(long, env = "TISSUECAST_REQUEST_TIMEOUT_SECONDS", default_value_t = 60, value_name = "SECONDS")]
    pub request_timeout_seconds: u64,
    /// MiB of written answers that are kept in memory
    #[arg(long, env = "TISSUECAST_CACHE_MIB", default_value_t = 64, value_name = "MIB")]
    pub cache_mib: usize,
    #[command(flatten)]
    /// What a request with genotypes may ask for.
    pub genotypes: GenotypeLimits,
}

/// What a request with genotypes may ask for.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Limits of genotypes")]
pub struct GenotypeLimits {
    /// MiB of a body of genotypes, as it is sent
    #[arg(long, env = "TISSUECAST_MAX_GENOTYPE_MIB", default_value_t = 4_096, value_name = "MIB")]
    pub max_genotype_mib: usize,
    /// MiB of genotypes after decompression
    #[arg(long, env = "TISSUECAST_MAX_DECOMPRESSED_MIB", default_value_t = 65_536, value_name = "MIB")]
    pub max_decompressed_mib: u64,
    /// MiB of one line or record of genotypes; a JSON body counts as one
    #[arg(long, env = "TISSUECAST_MAX_RECORD_MIB", default_value_t = 256, value_name = "MIB")]
    pub max_record_mib: usize,
    /// MiB of an upload's files that are kept in memory because the genotypes come after them
    #[arg(long, env = "TISSUECAST_MAX_KEPT_UPLOAD_MIB", default_value_t = 256, value_name = "MIB")]
    pub max_kept_upload_mib: usize,
    /// Variant records of a submission
    #[arg(long, env = "TISSUECAST_MAX_RECORDS", default_value_t = 200_000_000, value_name = "N")]
    pub max_records: u64,
    /// People of a submission
    #[arg(long, env = "TISSUECAST_MAX_SAMPLES", default_value_t = 100_000, value_name = "N")]
    pub max_samples: usize,
    /// Values of one answer: genes, counted once a model, times people
    #[arg(long, env = "TISSUECAST_MAX_ANSWER_VALUES", default_value_t = 50_000_000, value_name = "N")]
    pub max_answer_values: usize,
    /// Predictions at work at one time; 0 for one a core
    #[arg(long, env = "TISSUECAST_PREDICTIONS", default_value_t = 0, value_name = "N")]
    pub predictions: usize,
    /// Predictions that may wait for their turn; more are refused with 503
    #[arg(long, env = "TISSUECAST_WAITING_PREDICTIONS", default_value_t = 64, value_name = "N")]
    pub waiting_predictions: usize,
    /// Seconds that a client which sends genotypes may be silent
    #[arg(long, env = "TISSUECAST_IDLE_SECONDS", default_value_t = 15, value_name = "SECONDS")]
    pub idle_seconds: u64,
    /// Seconds that a prediction may take until its answer begins
    #[arg(long, env = "TISSUECAST_PREDICTION_TIMEOUT_SECONDS", default_value_t = 600, value_name = "SECONDS")]
    pub prediction_timeout_seconds: u64,
}

impl GenotypeLimits {
    fn checks(&self) -> [(&'static str, u64, u64, u64); 11] {
        [
            ("--idle-seconds", self.idle_seconds, 1, 3_600),
            ("--max-genotype-mib", self.max_genotype_mib as u64, 1, 1 << 24),
            ("--max-decompressed-mib", self.max_decompressed_mib, 1, 1 << 30),
            ("--max-record-mib", self.max_record_mib as u64, 1, 1 << 14),
            ("--max-kept-upload-mib", self.max_kept_upload_mib as u64, 1, 1 << 20),
            ("--max-records", self.max_records, 1, 1 << 40),
            ("--max-samples", self.max_samples as u64, 1, 100_000_000),
            ("--max-answer-values", self.max_answer_values as u64, 1, 1 << 40),
            ("--predictions", self.predictions as u64, 0, 4_096),
            ("--waiting-predictions", self.waiting_predictions as u64, 0, 1_000_000),
            ("--prediction-timeout-seconds", self.prediction_timeout_seconds, 1, 86_400),
        ]
    }

    fn read(&self) -> ReadLimits {
        ReadLimits {
            decompressed_bytes: self.max_decompressed_mib << 20,
            record_bytes: self.max_record_mib << 20,
            records: self.max_records,
            samples: self.max_samples,
            ..ReadLimits::default()
        }
    }
}

/// What the engines take on.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Inference")]
pub struct InferenceConfig {
    /// Genes that may wait for a model; a request that does not fit is refused with 503
    #[arg(long, env = "TISSUECAST_QUEUE_GENES", default_value_t = 4_096, value_name = "N")]
    pub queue_genes: usize,
    /// Genes that a model works on at one time
    #[arg(long, env = "TISSUECAST_BATCH_GENES", default_value_t = 256, value_name = "N")]
    pub batch_genes: usize,
}

/// Where the store is.
#[derive(Debug, Clone, Args)]
pub struct DatabaseArgs {
    /// The store: `postgres://USER@HOST/DATABASE` or `sqlite://FILE` (made where it is missing)
    // The environment's value may have a password in it, which the help would show.
    #[arg(
        long,
        env = "TISSUECAST_DATABASE_URL",
        hide_env_values = true,
        value_name = "URL",
        default_value = "sqlite://tissuecast-data/tissuecast.sqlite"
    )]
    pub database_url: String,
}

impl DatabaseArgs {
    /// Opens a store that is there, whatever its schema: a misspelt file name makes no new one.
    ///
    /// # Errors
    /// There is no such SQLite file, the address is malformed or the database cannot be reached.
    pub async fn open_existing(&self) -> anyhow::Result<Store> {
        if let Some(file) = self.database_url.strip_prefix("sqlite://")
            && self.is_missing_file()
        {
            anyhow::bail!("there is no store at {file}: 'tissuecast ingest' makes one, --database-url names another");
        }
        self.open().await
    }

    /// Returns whether the store is a SQLite file that is not there.
    #[must_use]
    pub fn is_missing_file(&self) -> bool {
        let file = self.database_url.strip_prefix("sqlite://");
        file.is_some_and(|file| !std::path::Path::new(file).exists())
    }

    /// Opens the store, whatever its schema; a SQLite file is made where it is missing.
    ///
    /// # Errors
    /// The address is malformed or the database cannot be reached.
    pub async fn open(&self) -> anyhow::Result<Store> {
        Store::open(&self.database_url).await.context("cannot use the database of --database-url")
    }
}

/// A configuration that cannot work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The address can be reached from other machines, and nothing guards it.
    #[error(
        "--listen {listen} can be reached from other machines, and there is no usable key in {keys}: make one with \
         'tissuecast keys create --name NAME', or say --insecure"
    )]
    Unguarded {
        /// The address.
        listen: SocketAddr,
        /// Where keys were looked for.
        keys: String,
    },
    /// A number is outside of what makes sense.
    #[error("{flag} is {value}: it has to be from {least} to {most}")]
    Range {
        /// The flag.
        flag: &'static str,
        /// What was given.
        value: u64,
        /// The least that works.
        least: u64,
        /// The most that works.
        most: u64,
    },
    /// Spans cannot be sent there.
    #[error(
        "--otlp-endpoint is '{given}': it has to be the address of a collector by plain HTTP, such as http://collector:4318"
    )]
    Endpoint {
        /// What was given.
        given: String,
    },
}

impl ServeConfig {
    /// Checks every section.
    ///
    /// # Errors
    /// A value cannot work; the error names its flag.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let limits = &self.limits;
        let checks: [(&'static str, u64, u64, u64); 13] = [
            ("--max-connections", self.access.max_connections as u64, 1, 1_000_000),
            ("--min-transfer-bytes-per-second", self.access.min_transfer_bytes_per_second, 0, 1 << 30),
            ("--drain-seconds", self.server.drain_seconds, 0, 3_600),
            ("--keep-versions", self.store.keep_versions as u64, 1, 100),
            ("--poll-seconds", self.store.poll_seconds, 1, 86_400),
            ("--max-body-mib", limits.max_body_mib as u64, 1, 1_024),
            ("--max-batch-genes", limits.max_batch_genes as u64, 1, 100_000),
            ("--max-promoter-bases", limits.max_promoter_bases as u64, 1, 10_000_000),
            ("--max-in-flight", limits.max_in_flight as u64, 1, 1_000_000),
            ("--request-timeout-seconds", limits.request_timeout_seconds, 1, 86_400),
            ("--cache-mib", limits.cache_mib as u64, 0, 65_536),
            ("--queue-genes", self.inference.queue_genes as u64, 1, 10_000_000),
            ("--batch-genes", self.inference.batch_genes as u64, 1, 100_000),
        ];
        for (flag, value, least, most) in checks.into_iter().chain(limits.genotypes.checks()) {
            if !(least..=most).contains(&value) {
                return Err(ConfigError::Range { flag, value, least, most });
            }
        }
        self.telemetry.validate()
    }

    /// Returns the limits of requests.
    #[must_use]
    pub fn http_limits(&self) -> HttpLimits {
        let limits = &self.limits;
        let genotypes = &limits.genotypes;
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        HttpLimits {
            body_bytes: limits.max_body_mib << 20,
            batch_genes: limits.max_batch_genes,
            promoter_bases: limits.max_promoter_bases,
            in_flight: limits.max_in_flight,
            timeout: Duration::from_secs(limits.request_timeout_seconds),
            cache_bytes: limits.cache_mib << 20,
            genotype_body_bytes: genotypes.max_genotype_mib << 20,
            kept_upload_bytes: genotypes.max_kept_upload_mib << 20,
            read: genotypes.read(),
            answer_values: genotypes.max_answer_values,
            predictions: if genotypes.predictions == 0 { cores } else { genotypes.predictions },
            waiting_predictions: genotypes.waiting_predictions,
            idle: Duration::from_secs(genotypes.idle_seconds),
            prediction_timeout: Duration::from_secs(genotypes.prediction_timeout_seconds),
            transfer_bytes_per_second: self.access.min_transfer_bytes_per_second,
        }
    }

    /// Returns the limits of an engine.
    #[must_use]
    pub fn engine_limits(&self) -> Limits {
        Limits { queue_rows: self.inference.queue_genes, batch_rows: self.inference.batch_genes }
    }

    /// Returns who runs the service.
    #[must_use]
    pub fn operator(&self) -> Operator {
        Operator { name: self.server.organization.clone(), url: self.server.organization_url.clone() }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        config: ServeConfig,
    }

    fn parse(flags: &[&str]) -> ServeConfig {
        Line::parse_from(std::iter::once("serve").chain(flags.iter().copied())).config
    }

    #[test]
    fn the_defaults_work_and_listen_on_this_machine_only() {
        let config = parse(&[]);
        assert_eq!(config.validate(), Ok(()));
        assert!(config.server.listen.ip().is_loopback());
    }

    #[test]
    fn what_cannot_work_is_named() {
        let error = parse(&["--batch-genes", "0"]).validate().unwrap_err();
        assert!(error.to_string().starts_with("--batch-genes is 0"), "{error}");
    }
}
