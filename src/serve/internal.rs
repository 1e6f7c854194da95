//! The listener for what watches the service: metrics and health, apart from the clients' requests.

use std::sync::Arc;

use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::connection::Patience;
use super::listener::Door;
use crate::config::TelemetryConfig;
use crate::http;
use crate::http::state::AppState;

/// Connections that are open at one time: whoever watches needs few.
const CONNECTIONS: usize = 256;

/// A listener that ends when it is dropped.
#[derive(Debug)]
pub(super) struct Internal {
    _open: DropGuard,
}

/// Starts to answer where the configuration names an address.
///
/// # Errors
/// The address is taken.
pub(super) async fn start(
    config: &TelemetryConfig,
    state: &Arc<AppState>,
    patience: Patience,
) -> anyhow::Result<Option<Internal>> {
    let Some(listen) = config.internal_listen else { return Ok(None) };
    let cannot = || format!("cannot listen on {listen} (--internal-listen)");
    let listener = TcpListener::bind(listen).await.with_context(cannot)?;
    tracing::info!(address = %listener.local_addr()?, "serving metrics and health");
    let router = http::internal::router(Arc::clone(state));
    let stop = CancellationToken::new();
    tokio::spawn(Door::new(listener, None, CONNECTIONS, patience).serve(router, stop.clone()));
    Ok(Some(Internal { _open: stop.drop_guard() }))
}
