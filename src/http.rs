//! The whole API on one page: its routes, its layers, its OpenAPI document.
//!
//! Handlers answer from the snapshot of [`state`] and never wait for a database; errors leave by
//! [`problem::Problem`] alone. Imports the layers below, and neither a database nor tensors.

pub mod admin;
pub mod answer;
pub mod audit;
pub mod auth;
pub mod client;
pub(crate) mod complete;
pub mod datasets;
mod ending;
pub mod extract;
mod gate;
pub mod genes;
pub mod internal;
pub mod lookup;
pub(crate) mod middleware;
pub mod missing;
pub mod model_genes;
pub mod models;
pub mod negotiate;
pub(crate) mod notes;
pub mod origin;
mod pace;
pub mod predictions;
pub mod problem;
pub mod profiles;
pub(crate) mod rendered;
pub mod state;
pub mod status;
mod stream;
pub mod submission;
pub(crate) mod table;
mod upload;

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::{from_fn_with_state, map_request};
use axum::response::{IntoResponse as _, Response};
use tokio::sync::Semaphore;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::SizeAbove;
use tower_http::limit::RequestBodyLimitLayer;
use tower_http::timeout::{RequestBodyTimeoutLayer, TimeoutLayer};
use utoipa::OpenApi as _;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, Http, HttpAuthScheme, SecurityScheme};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use auth::Guard;
use pace::Paced;
use problem::{Kind, Problem};
use state::AppState;

use crate::access::record::Scope;

/// The base of the OpenAPI document; paths and schemas come from the handlers.
#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Tissuecast",
        description = "Expression predicted from posted genotypes, with every variant accounted for; and tissue \
                       expression profiles of genes: measured where they are measured, imputed where they are \
                       missing, each imputed value with an interval and the model that made it.\n\nErrors are RFC 9457 \
                       problem details; every `type` is one of `/problems/…`, named in the responses below. On top of \
                       those, every route may answer `/problems/overloaded` and `/problems/unavailable` (503, with \
                       `Retry-After`), `/problems/timeout` (504), `/problems/internal` (500), \
                       `/problems/no-such-route` (404) and `/problems/method-not-allowed` (405).\n\nWhere the service has API \
                       keys, every route that is not tagged `status` asks for one, as `Authorization: Bearer KEY`, as \
                       the password of a basic login (any name) or as `X-Api-Key: KEY`, with the scope `predict` for \
                       genotypes, `admin` for `/v1/admin`, `read` for the rest: `/problems/unauthorized` (401) without \
                       one, `/problems/forbidden` (403) without the scope or where a page of another origin asks, \
                       `/problems/rate-limited` (429) beyond the key's requests a minute, `/problems/quota-exceeded` \
                       (429) beyond its people a day, both with `Retry-After`; `ratelimit-limit` and \
                       `ratelimit-remaining` say how many requests may follow.\n\nEvery answer carries \
                       `x-request-id` and `server-timing`; answers that a model has a part in carry \
                       `x-tissuecast-model-digest`.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    tags(
        (name = "predictions", description = "Expression predicted from genotypes"),
        (name = "profiles", description = "Tissue profiles of genes"),
        (name = "genes", description = "Genes of the datasets"),
        (name = "datasets", description = "Reference datasets and their tissues"),
        (name = "models", description = "Models and their cards"),
        (name = "status", description = "The service itself"),
        (name = "admin", description = "What the service serves"),
    ),
    modifiers(&Keys),
    security((), ("bearer" = []), ("basic" = []), ("header" = []))
)]
struct Document;

/// The three ways to send a key.
struct Keys;

impl utoipa::Modify for Keys {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let header = ApiKey::Header(ApiKeyValue::new("x-api-key"));
        let schemes = [
            ("bearer", SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer))),
            ("basic", SecurityScheme::Http(Http::new(HttpAuthScheme::Basic))),
            ("header", SecurityScheme::ApiKey(header)),
        ];
        document.components.get_or_insert_default().add_security_schemes_from_iter(schemes);
    }
}

/// Routes that take genotypes: longer bodies, and more time.
fn genotype_routes() -> OpenApiRouter<Arc<AppState>> {
    OpenApiRouter::new().routes(routes!(predictions::post_predictions)).routes(routes!(predictions::check_predictions))
}

/// Routes for whoever runs the service: a reload checks every model whole, which takes its time.
fn admin_routes() -> OpenApiRouter<Arc<AppState>> {
    OpenApiRouter::new().routes(routes!(admin::reload_models))
}

/// Routes that answer from datasets and models.
fn routes() -> OpenApiRouter<Arc<AppState>> {
    OpenApiRouter::new()
        .routes(routes!(profiles::get_profile))
        .routes(routes!(profiles::post_profiles))
        .routes(routes!(genes::list_genes))
        .routes(routes!(genes::get_gene))
        .routes(routes!(datasets::list_datasets))
        .routes(routes!(datasets::list_tissues))
        .routes(routes!(missing::list_missing))
        .routes(routes!(models::list_models))
        .routes(routes!(models::get_model))
        .routes(routes!(model_genes::list_model_genes))
        .routes(routes!(model_genes::get_model_gene))
}

/// Routes that say what the service is and how it is: they need no key.
fn open_routes() -> OpenApiRouter<Arc<AppState>> {
    OpenApiRouter::new()
        .routes(routes!(status::service_info))
        .routes(routes!(status::livez))
        .routes(routes!(status::readyz))
        .routes(routes!(status::openapi_yaml))
        .routes(routes!(status::docs))
}

/// Returns the OpenAPI document, made from the handlers.
#[must_use]
pub fn openapi() -> utoipa::openapi::OpenApi {
    let keyed = routes().merge(genotype_routes()).merge(admin_routes());
    OpenApiRouter::with_openapi(Document::openapi()).merge(keyed).merge(open_routes()).into_openapi()
}

/// Returns the OpenAPI document as the text of `openapi.yaml`.
#[must_use]
pub fn openapi_yaml() -> String {
    // The document is made of strings, numbers and maps by string: YAML can write each of them.
    openapi().to_yaml().unwrap_or_default()
}

/// Builds the service: the API and the pages behind the layers that every request passes.
pub fn router(state: Arc<AppState>) -> axum::Router {
    let limits = state.limits.clone();
    let reception = Arc::new(middleware::Reception::new(Arc::clone(&state.metrics)));
    let gate = Arc::new(Semaphore::new(limits.in_flight));
    let guard = |scope| from_fn_with_state(Guard { state: Arc::clone(&state), scope }, auth::require);
    let (api, _) = routes().split_for_parts();
    let (open, _) = open_routes().split_for_parts();
    let (genotypes, _) = genotype_routes().split_for_parts();
    let (admin, _) = admin_routes().split_for_parts();
    let admin = admin
        .layer(guard(Scope::Admin))
        .layer(RequestBodyLimitLayer::new(limits.body_bytes))
        .layer(TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, limits.prediction_timeout));
    let pace = limits.pace();
    let paced =
        move |request: Request| std::future::ready(request.map(|body| Body::new(Paced::new(body, pace.clone()))));
    // The last layer added is the outermost one.
    let genotypes = genotypes
        .layer(guard(Scope::Predict))
        .layer(DefaultBodyLimit::disable())
        // A client that stops sending, or that trickles, gives its place back.
        .layer(map_request(paced))
        .layer(RequestBodyTimeoutLayer::new(limits.idle))
        .layer(RequestBodyLimitLayer::new(limits.genotype_body_bytes))
        .layer(TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, limits.prediction_timeout));
    let router = api
        .merge(crate::web::routes())
        .layer(guard(Scope::Read))
        .merge(open)
        .merge(crate::web::assets::routes())
        .layer(DefaultBodyLimit::max(limits.body_bytes))
        .layer(RequestBodyLimitLayer::new(limits.body_bytes))
        .layer(TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, limits.timeout))
        .merge(genotypes)
        .merge(admin)
        .fallback(no_such_route)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(from_fn_with_state(Arc::clone(&state), origin::same_origin));
    let origins = state.access.origins();
    let router = if origins.is_empty() { router } else { router.layer(origin::cors(origins)) };
    router
        .layer(from_fn_with_state(gate, middleware::shed))
        .layer(CompressionLayer::new().gzip(true).compress_when(SizeAbove::new(1024)))
        .layer(CatchPanicLayer::custom(middleware::panicked))
        .layer(from_fn_with_state(reception, middleware::envelope))
        .with_state(state)
}

async fn no_such_route(headers: HeaderMap) -> Response {
    let problem = Problem::new(Kind::NoSuchRoute, "there is no such route: GET /docs lists them");
    if negotiate::wants_page(&headers) { crate::web::problem_page(problem) } else { problem.into_response() }
}

async fn method_not_allowed() -> Problem {
    Problem::new(Kind::MethodNotAllowed, "the route has no such method: the allow header lists those it has")
}
