//! The routes of the internal listener: metrics, and the two health signals of the public one.
//!
//! They pass none of the public routes' layers: they are never shed, never limited and never audited, and what watches the
//! service needs no key. Metrics are nowhere else.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;

use super::audit::versioned;
use super::state::{AppState, Snapshot};
use super::status;
use crate::inference::Engine;
use crate::telemetry::metrics::{MEDIA_TYPE, ModelInfo, Reading};

/// Builds the internal listener's routes.
pub fn router(state: Arc<AppState>) -> axum::Router {
    axum::Router::new()
        .route("/metrics", get(metrics))
        .route("/livez", get(status::livez))
        .route("/readyz", get(status::readyz))
        .with_state(state)
}

async fn metrics(state: State<Arc<AppState>>) -> Response {
    let snapshot = state.snapshot();
    let queued =
        |(dataset, model, engine): (&str, String, &Arc<Engine>)| (dataset.to_owned(), model, engine.queued_rows());
    let reading = Reading {
        is_ready: status::readiness(&state).ready,
        store_answers: state.store_answers(),
        running: state.predictions.running(),
        waiting: state.predictions.waiting(),
        queues: engines(&snapshot).map(queued).collect(),
        models: models(&snapshot),
    };
    ([(header::CONTENT_TYPE, MEDIA_TYPE)], state.metrics.text(&reading)).into_response()
}

/// Every engine with its dataset's name and its model's `name@version`.
pub(super) fn engines(snapshot: &Snapshot) -> impl Iterator<Item = (&str, String, &Arc<Engine>)> {
    snapshot.datasets.iter().flat_map(|(dataset, loaded)| {
        loaded.completions.values().map(|one| (dataset.as_str(), versioned(&one.model.card), &one.engine))
    })
}

fn models(snapshot: &Snapshot) -> Vec<ModelInfo> {
    let info = |kind, name: &str, version: &str, digest: &str| ModelInfo {
        model: name.to_owned(),
        version: version.to_owned(),
        kind,
        digest: digest.to_owned(),
    };
    let profile = snapshot.models.values().map(|one| info("profile", &one.card.name, &one.card.version, &one.digest));
    let genotype = snapshot.expression_models.values();
    profile.chain(genotype.map(|one| info("genotype", &one.card.name, &one.card.version, &one.digest))).collect()
}
