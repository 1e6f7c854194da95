//! What is said about the running program: log lines, audit lines, traces, panics, and the service's metrics.
//!
//! Log lines go to standard error, as text on a terminal and as JSON elsewhere, filtered by `TISSUECAST_LOG`. Some rules
//! hold whatever the filter says:
//!
//! - A line of a request carries its id, method and route, never its path, query or body.
//! - Lines of other crates below `info` are never written. They come from code that does not know what it is handling:
//!   at `trace` and `debug`, web frameworks quote rejected bodies and query strings, and database drivers statements.
//! - Audit lines and panics are always written; a panic's message only where it is fixed text, since a formatted one may
//!   quote a genotype.
//!
//! Imports the match kinds of `genotype` and the meters of `inference`, and no layer above them.

pub mod audit_file;
pub mod metrics;
mod panics;
pub(crate) mod process;
pub(crate) mod trace;

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::runtime::Handle;
use tracing::Metadata;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::{FilterExt as _, filter_fn};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer, Registry};

use audit_file::AuditFile;

/// The variable that holds the filter, such as `debug` or `tissuecast::http=debug,info`.
pub const FILTER: &str = "TISSUECAST_LOG";

/// The target of audit lines.
pub const AUDIT: &str = "tissuecast::audit";

/// The target of the spans that give a request's lines their id.
pub(crate) const REQUEST: &str = "tissuecast::request";

/// The target of panics.
const PANIC: &str = "tissuecast::panic";

/// What telemetry is started with.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// The file that audit lines go to; they go with the log lines where there is none.
    pub audit_log: Option<PathBuf>,
    /// The collector that spans are sent to, if any.
    pub otlp_endpoint: Option<String>,
    /// Whether the process will hold other people's genotypes: its memory is then never written to a core dump.
    pub holds_genotypes: bool,
}

/// Why telemetry could not start.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The audit log cannot be written.
    #[error("cannot append to the audit log {} (--audit-log)", .path.display())]
    AuditLog {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Spans cannot be sent.
    #[error("cannot send traces to '{endpoint}' (--otlp-endpoint)")]
    Traces {
        /// The collector's address.
        endpoint: String,
        /// Why.
        #[source]
        source: opentelemetry_otlp::ExporterBuildError,
    },
}

/// What has to be ended in order.
#[derive(Debug, Default)]
#[must_use = "spans that were not sent yet are lost where it is dropped"]
pub struct Telemetry {
    spans: Option<trace::Exporter>,
}

impl Telemetry {
    /// Sends the spans that wait, for a few seconds at most. Blocks: the runtime has to be alive on other threads.
    pub fn end(self) {
        if let Some(spans) = self.spans {
            spans.end();
        }
    }
}

/// Starts logging and what else the settings name; log lines go on as they were where some logger runs already.
///
/// # Errors
/// The audit log or the collector's address cannot be used.
pub fn start(settings: &Settings, runtime: &Handle) -> Result<Telemetry, TelemetryError> {
    panics::install();
    if settings.holds_genotypes {
        panics::forbid_core_dumps();
    }
    let mut layers = vec![lines(settings.audit_log.is_none())];
    if let Some(path) = &settings.audit_log {
        let file = AuditFile::open(path).map_err(|source| TelemetryError::AuditLog { path: path.clone(), source })?;
        let file = Arc::new(file);
        layers.push(audit_lines(&file));
        audit_file::reopen_on_hangup(file, runtime);
    }
    let mut telemetry = Telemetry::default();
    if let Some(endpoint) = &settings.otlp_endpoint {
        let failed = |source| TelemetryError::Traces { endpoint: endpoint.clone(), source };
        let exporter = trace::Exporter::start(endpoint, runtime).map_err(failed)?;
        layers.push(exporter.layer());
        telemetry.spans = Some(exporter);
    }
    // Refused only where some logger runs already, as in tests.
    let _ = tracing_subscriber::registry().with(layers).try_init();
    Ok(telemetry)
}

type BoxedLayer = Box<dyn Layer<Registry> + Send + Sync>;

/// Log lines on standard error.
fn lines(with_audit: bool) -> BoxedLayer {
    let wanted = EnvFilter::try_from_env(FILTER).unwrap_or_else(|_| EnvFilter::new("info"));
    let always = filter_fn(move |line| is_always_written(line, with_audit)).with_max_level_hint(LevelFilter::INFO);
    let filter = wanted.and(filter_fn(may_be_written)).or(always);
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    if std::io::stderr().is_terminal() {
        lines.with_ansi(true).with_filter(filter).boxed()
    } else {
        lines.json().flatten_event(true).with_span_list(false).with_filter(filter).boxed()
    }
}

/// Audit lines in a file of their own.
fn audit_lines(file: &Arc<AuditFile>) -> BoxedLayer {
    let lines = tracing_subscriber::fmt::layer().json().flatten_event(true).with_writer(Arc::clone(file));
    let lines = lines.with_level(false).with_target(false).with_current_span(false).with_span_list(false);
    lines.with_filter(filter_fn(|line| line.target() == AUDIT).with_max_level_hint(LevelFilter::INFO)).boxed()
}

/// Whether a line is the program's own, or one of another crate that is grave enough; audit lines and spans for the
/// collector have their own rules.
fn may_be_written(line: &Metadata<'_>) -> bool {
    let target = line.target();
    let own = target.strip_prefix("tissuecast").is_some_and(|rest| rest.is_empty() || rest.starts_with("::"));
    let elsewhere = target == AUDIT || target == trace::TARGET;
    // It quotes the line of a password file that it cannot read.
    let tells_passwords = target.starts_with("sqlx_postgres::options::pgpass");
    (own || *line.level() <= tracing::Level::INFO) && !elsewhere && !tells_passwords
}

/// Whether a line is written whatever the filter says.
fn is_always_written(line: &Metadata<'_>, with_audit: bool) -> bool {
    match line.target() {
        REQUEST => line.is_span(),
        PANIC => true,
        AUDIT => with_audit,
        _ => false,
    }
}
