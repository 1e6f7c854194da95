//! The listener for what watches the service: metrics and health, apart from the clients' requests.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::connection::ImpatientListener;
use crate::config::TelemetryConfig;
use crate::http;
use crate::http::state::AppState;

/// A listener that ends when it is dropped.
#[derive(Debug)]
pub(super) struct Internal(JoinHandle<()>);

impl Drop for Internal {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Starts to answer where the configuration names an address.
///
/// # Errors
/// The address is taken.
pub(super) async fn start(
    config: &TelemetryConfig,
    state: &Arc<AppState>,
    silence: Duration,
) -> anyhow::Result<Option<Internal>> {
    let Some(listen) = config.internal_listen else { return Ok(None) };
    let cannot = || format!("cannot listen on {listen} (--internal-listen)");
    let listener = TcpListener::bind(listen).await.with_context(cannot)?;
    tracing::info!(address = %listener.local_addr()?, "serving metrics and health");
    let router = http::internal::router(Arc::clone(state));
    Ok(Some(Internal(tokio::spawn(async move {
        if let Err(error) = axum::serve(ImpatientListener::new(listener, silence), router).await {
            tracing::error!(%error, "the internal listener failed");
        }
    }))))
}
