//! The routes of the internal listener: metrics, and the two health signals of the public one.
//!
//! They pass none of the public routes' layers: they are never shed, never limited and never audited, and what watches the
//! service needs no key. Metrics are nowhere else.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;

use super::admin::ServedVersion;
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
        queues: snapshot.engines().map(queued).collect(),
        models: models(&snapshot),
        models_refused: state.refused().len(),
    };
    ([(header::CONTENT_TYPE, MEDIA_TYPE)], state.metrics.text(&reading)).into_response()
}

fn models(snapshot: &Snapshot) -> Vec<ModelInfo> {
    let info = |one: ServedVersion| {
        let (model, version) = one.model.split_once('@').unwrap_or((&one.model, ""));
        ModelInfo { model: model.to_owned(), version: version.to_owned(), kind: one.kind, digest: one.digest.clone() }
    };
    ServedVersion::all(&snapshot.models, &snapshot.expression_models).into_iter().map(info).collect()
}
