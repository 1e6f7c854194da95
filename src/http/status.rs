//! What the service says about itself: service-info, the two health signals, the OpenAPI document and its page.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::admin::Refusal;
use super::answer::to_json;
use super::extract::Query;
use super::problem::{Problem, ProblemDetails};
use super::state::{AppState, Snapshot};
use crate::web::frame::html;

/// GA4GH service-info 1.0.0.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServiceInfo {
    /// The service's identifier, in reverse domain name notation.
    pub id: &'static str,
    /// Its name.
    pub name: &'static str,
    /// What kind of service it is.
    #[serde(rename = "type")]
    pub kind: ServiceType,
    /// What it does.
    pub description: &'static str,
    /// Who runs it.
    pub organization: Organization,
    /// Where its documentation is.
    pub documentation_url: &'static str,
    /// The program's version.
    pub version: &'static str,
    /// Datasets that are loaded, with their versions.
    pub datasets: BTreeMap<String, String>,
    /// Every version of the models that is loaded, as `name@version`, with their digests.
    pub models: BTreeMap<String, String>,
    /// The version that each model's name alone means.
    pub default_models: BTreeMap<String, String>,
}

/// A kind of service, as GA4GH names it.
#[derive(Debug, Serialize, ToSchema)]
pub struct ServiceType {
    /// Whose namespace the artifact is in.
    pub group: &'static str,
    /// What it is.
    pub artifact: &'static str,
    /// The version of the artifact's contract.
    pub version: &'static str,
}

/// Who runs a service.
#[derive(Debug, Serialize, ToSchema)]
pub struct Organization {
    /// The name.
    pub name: String,
    /// The address on the web.
    pub url: String,
}

/// Says what the service is.
#[utoipa::path(
    get,
    path = "/service-info",
    operation_id = "getServiceInfo",
    tag = "status",
    responses((status = 200, description = "GA4GH service-info 1.0.0", body = ServiceInfo))
)]
pub(crate) async fn service_info(state: State<Arc<AppState>>) -> Response {
    let snapshot = state.snapshot();
    let version = |loaded: &Arc<super::state::LoadedDataset>| loaded.reference.dataset().version.clone();
    let loaded = snapshot.versions();
    let defaults = loaded.iter().filter(|one| one.is_default).filter_map(|one| one.model.split_once('@'));
    json_answer(
        StatusCode::OK,
        &ServiceInfo {
            id: "org.tissuecast",
            name: "Tissuecast",
            kind: ServiceType { group: "org.tissuecast", artifact: "tissuecast", version: "1.0.0" },
            description: "Expression predicted from genotypes; tissue expression profiles of genes, measured or imputed",
            organization: Organization { name: state.operator.name.clone(), url: state.operator.url.clone() },
            documentation_url: "/docs",
            version: env!("CARGO_PKG_VERSION"),
            datasets: snapshot.datasets.iter().map(|(name, loaded)| (name.clone(), version(loaded))).collect(),
            models: loaded.iter().map(|one| (one.model.clone(), one.digest.clone())).collect(),
            default_models: defaults.map(|(name, version)| (name.to_owned(), version.to_owned())).collect(),
        },
    )
}

/// Says that the process lives.
#[utoipa::path(
    get,
    path = "/livez",
    operation_id = "getLiveness",
    tag = "status",
    responses((status = 200, description = "The process lives", body = String, content_type = "text/plain"))
)]
pub(crate) async fn livez() -> &'static str {
    "live\n"
}

/// Whether the service is ready, and each reason.
#[derive(Debug, Serialize, ToSchema)]
pub struct Readiness {
    /// Whether all required checks pass.
    pub ready: bool,
    /// The checks by name.
    pub checks: BTreeMap<String, Check>,
}

/// One check of readiness.
#[derive(Debug, Serialize, ToSchema)]
pub struct Check {
    /// Whether it passes.
    pub ok: bool,
    /// Whether the service is ready only where it passes.
    pub required: bool,
    /// What was found.
    pub detail: String,
}

/// Says whether the service is ready to answer: shutdown, store, datasets, engines and models.
#[utoipa::path(
    get,
    path = "/readyz",
    operation_id = "getReadiness",
    tag = "status",
    params(("exclude" = Option<Vec<String>>, Query, description = "Checks that are told and do not count, such as `store`: a service whose database is away answers on from memory")),
    responses(
        (status = 200, description = "Ready", body = Readiness),
        (status = 422, description = "`invalid-parameter`", body = ProblemDetails, content_type = "application/problem+json"),
        (status = 503, description = "Not ready, with the reasons", body = Readiness),
    )
)]
pub(crate) async fn readyz(state: State<Arc<AppState>>, query: Query) -> Result<Response, Problem> {
    query.only(&["exclude"])?;
    let mut readiness = readiness(&state);
    for name in query.all("exclude").flat_map(|names| names.split(',')) {
        let check = readiness.checks.get_mut(name);
        let check = check.ok_or_else(|| Problem::parameter("exclude", format!("there is no check '{name}'")))?;
        check.required = false;
    }
    readiness.ready = readiness.checks.values().all(|check| check.ok || !check.required);
    let status = if readiness.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    Ok(json_answer(status, &readiness))
}

/// Looks at everything that readiness depends on.
pub(crate) fn readiness(state: &AppState) -> Readiness {
    let snapshot = state.snapshot();
    let mut checks = BTreeMap::new();
    let mut check = |name: String, ok: bool, good: &str, bad: &str| {
        checks.insert(name, Check { ok, required: true, detail: if ok { good } else { bad }.to_owned() });
    };
    check("shutdown".to_owned(), !state.is_draining(), "not asked to stop", "the service is stopping");
    let seconds = state.store_answered().as_secs();
    let good = format!("the database answered {seconds} s ago");
    let bad = format!(
        "the database did not answer when it was last asked; it last answered {seconds} s ago; answers go on from memory"
    );
    check("store".to_owned(), state.store_answers(), &good, &bad);
    let models = snapshot.expression_models.len();
    let loaded = format!("{} loaded; {models} genotype models, which need none", snapshot.datasets.len());
    let nothing = "neither a dataset nor a genotype model is loaded: ingest one, or import a model";
    check("datasets".to_owned(), !snapshot.datasets.is_empty() || models > 0, &loaded, nothing);
    for (dataset, model, engine) in snapshot.engines() {
        let name = format!("engine {model} on {dataset}");
        check(name, engine.is_ready(), "at work", "its worker has stopped or its last calls all failed");
    }
    checks.insert("models".to_owned(), models_check(&snapshot, &state.refused()));
    Readiness { ready: checks.values().all(|check| check.ok || !check.required), checks }
}

/// How many versions are served and what is refused: the others answer, so that it does not turn readiness off.
fn models_check(snapshot: &Snapshot, refused: &[Refusal]) -> Check {
    let count = snapshot.models.len() + snapshot.expression_models.len();
    let mut detail = format!("{count} versions served, {} refused", refused.len());
    for Refusal { model, reason } in refused {
        let _ = write!(detail, "; {model}: {reason}");
    }
    Check { ok: refused.is_empty(), required: false, detail }
}

/// Gives the OpenAPI document.
#[utoipa::path(
    get,
    path = "/openapi.yaml",
    operation_id = "getOpenApi",
    tag = "status",
    responses((status = 200, description = "The OpenAPI document", body = String, content_type = "application/yaml"))
)]
pub(crate) async fn openapi_yaml(state: State<Arc<AppState>>) -> Response {
    ([(header::CONTENT_TYPE, "application/yaml")], state.openapi_yaml.clone()).into_response()
}

/// Gives a page that lists the operations.
#[utoipa::path(
    get,
    path = "/docs",
    operation_id = "getDocs",
    tag = "status",
    responses((status = 200, description = "A page that lists the operations", body = String, content_type = "text/html"))
)]
pub(crate) async fn docs(state: State<Arc<AppState>>) -> Response {
    html(StatusCode::OK, state.docs_page.clone())
}

fn json_answer<T: Serialize>(status: StatusCode, value: &T) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], to_json(value)).into_response()
}
