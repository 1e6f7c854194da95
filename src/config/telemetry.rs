//! What the service tells about itself: metrics and health on a listener of their own, audit lines, traces.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;

use super::ConfigError;
use crate::telemetry::Settings;

/// Where metrics, audit lines and traces go.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Telemetry")]
pub struct TelemetryConfig {
    /// Address and port of /metrics, /livez and /readyz by plain HTTP; off where it is left out
    #[arg(long, env = "TISSUECAST_INTERNAL_LISTEN", value_name = "HOST:PORT")]
    pub internal_listen: Option<SocketAddr>,
    /// File that audit lines are appended to as JSON; with the log lines where it is left out. SIGHUP opens it again
    #[arg(long, env = "TISSUECAST_AUDIT_LOG", value_name = "FILE")]
    pub audit_log: Option<PathBuf>,
    /// Collector that gets a span a request by OTLP over plain HTTP, such as `http://collector:4318`; off where it is
    /// left out
    #[arg(long, env = "TISSUECAST_OTLP_ENDPOINT", value_name = "URL", hide_env_values = true)]
    pub otlp_endpoint: Option<String>,
}

impl TelemetryConfig {
    /// Checks what can be checked before anything starts.
    ///
    /// # Errors
    /// The collector's address is none that spans can be sent to.
    pub fn validate(&self) -> Result<(), ConfigError> {
        match &self.otlp_endpoint {
            Some(url) if !is_plain_http(url) => {
                // What stands before the host may be a password.
                let given = url.rsplit_once('@').map_or(url.as_str(), |(_, host)| host).to_owned();
                Err(ConfigError::Endpoint { given })
            }
            _ => Ok(()),
        }
    }

    /// Returns what telemetry is started with.
    #[must_use]
    pub fn settings(&self) -> Settings {
        Settings { audit_log: self.audit_log.clone(), otlp_endpoint: self.otlp_endpoint.clone(), holds_genotypes: true }
    }
}

/// Whether the text is the address of a host by plain HTTP.
fn is_plain_http(url: &str) -> bool {
    let uri = url.parse::<axum::http::Uri>();
    // A name and a password before the host would stand in the log.
    let names_host = |uri: &axum::http::Uri| uri.authority().is_some_and(|host| !host.as_str().contains('@'));
    uri.is_ok_and(|uri| uri.scheme_str() == Some("http") && names_host(&uri) && uri.query().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_that_spans_can_be_sent_to_are_taken() {
        let check =
            |url: &str| TelemetryConfig { otlp_endpoint: Some(url.to_owned()), ..Default::default() }.validate();
        for good in ["http://collector:4318", "http://127.0.0.1:4318/", "http://[::1]:4318/otlp"] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        for bad in [
            "collector:4318",
            "https://collector:4318",
            "http://",
            "http://x:4318?a=b",
            "http://me:secret@x:4318",
            "grpc://x:4317",
        ] {
            let error = check(bad).unwrap_err().to_string();
            assert!(
                error.starts_with("--otlp-endpoint is") && error.contains(bad.rsplit('@').next().unwrap()),
                "{error}"
            );
            assert!(!error.contains("secret"), "{error}");
        }
    }
}
