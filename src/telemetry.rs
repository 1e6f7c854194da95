//! Log lines: to standard error, as text on a terminal and as JSON elsewhere, filtered by `TISSUECAST_LOG`.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

/// The variable that holds the filter, such as `debug` or `tissuecast::http=debug,info`.
pub const FILTER: &str = "TISSUECAST_LOG";

/// Starts logging; a second call changes nothing.
pub fn start() {
    let filter = EnvFilter::try_from_env(FILTER).unwrap_or_else(|_| EnvFilter::new("info"));
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let terminal = std::io::stderr().is_terminal();
    // Refused only where some logger runs already, as in tests.
    let _ = if terminal { lines.with_ansi(true).try_init() } else { lines.json().flatten_event(true).try_init() };
}
