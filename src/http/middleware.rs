//! What every request passes: its id, its log lines, its end, its timings, and the rule that every error is a problem.

use std::any::Any;
use std::fmt::Write as _;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderName, HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use tokio::sync::Semaphore;
use tracing::Instrument as _;

use super::audit::Audit;
use super::complete::EngineTimings;
use super::ending::{Begun, Ending, PROBES};
use super::problem::{Kind, MEDIA_TYPE, Problem};
use crate::telemetry::metrics::Metrics;
use crate::telemetry::{REQUEST, trace};

/// The header of a request's id.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");
const LONGEST_ID: usize = 64;

/// Gives requests their ids, a prefix drawn at the start and a counter, and counts them.
#[derive(Debug)]
pub(crate) struct Reception {
    prefix: u64,
    next: AtomicU64,
    metrics: Arc<Metrics>,
}

impl Reception {
    /// Returns one whose prefix differs from one start to the next.
    pub(crate) fn new(metrics: Arc<Metrics>) -> Self {
        // The standard library's hash keys are random, which is all that a prefix needs.
        Self { prefix: RandomState::new().hash_one(0u8), next: AtomicU64::new(1), metrics }
    }

    fn id_of(&self, request: &Request) -> HeaderValue {
        let safe = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b':');
        let sent = request.headers().get(&REQUEST_ID).filter(|id| (1..=LONGEST_ID).contains(&id.len()));
        if let Some(sent) = sent.filter(|id| id.as_bytes().iter().all(safe)) {
            return sent.clone();
        }
        let mut id = String::with_capacity(32);
        let _ = write!(id, "{:016x}-{:x}", self.prefix, self.next.fetch_add(1, Ordering::Relaxed));
        HeaderValue::try_from(id).unwrap_or(HeaderValue::from_static("unknown"))
    }
}

/// The outermost layer: request id, spans, end, timings, and problems for errors that some layer gave without one.
pub(crate) async fn envelope(reception: State<Arc<Reception>>, mut request: Request, next: Next) -> Response {
    let clock = Instant::now();
    let id = reception.id_of(&request);
    let id_text = id.to_str().unwrap_or("unknown");
    // The matched path and not the path: a gene or a posted body is nobody's business but the client's.
    let route = request.extensions().get::<MatchedPath>().map_or("<unmatched>", MatchedPath::as_str).to_owned();
    let (sent_method, method) = (request.method().clone(), name_of(request.method()));
    let audit = Audit::default();
    request.extensions_mut().insert(audit.clone());
    let span = tracing::error_span!(target: REQUEST, parent: None, "request", id = id_text, method, route);
    let trace = trace::request(method, &route, request.headers());
    let begun = Begun { id: id_text.to_owned(), method, route, span: span.clone(), trace, audit };
    let ending = Ending::of(begun, &reception.metrics);
    let response = next.run(ending.watch(request)).instrument(span.clone()).await;
    let mut response = span.in_scope(|| as_problem(response, id_text));
    if let Some(problem) = response.extensions().get::<Problem>() {
        reception.metrics.refused(problem.kind().name());
    }
    let elapsed = clock.elapsed();
    let mut timing = String::with_capacity(64);
    if let Some(engine) = response.extensions().get::<EngineTimings>().filter(|one| !one.computed.is_zero()) {
        let (queued, computed) = (milliseconds(engine.queued), milliseconds(engine.computed));
        let _ = write!(timing, "queue;dur={queued:.3}, compute;dur={computed:.3}, ");
    }
    let _ = write!(timing, "total;dur={:.3}", milliseconds(elapsed));
    let headers = response.headers_mut();
    if let Ok(timing) = HeaderValue::try_from(timing) {
        headers.insert(SERVER_TIMING, timing);
    }
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REQUEST_ID, id);
    ending.follow(response, &sent_method)
}

/// The method's name, where it is one of the standard: any other text is the client's own.
fn name_of(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::HEAD => "HEAD",
        Method::OPTIONS => "OPTIONS",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::TRACE => "TRACE",
        Method::CONNECT => "CONNECT",
        _ => "<other>",
    }
}

fn milliseconds(duration: std::time::Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

/// Writes a problem's body with the request's id; makes a problem of an error that has neither a problem nor a body
/// of its own.
fn as_problem(response: Response, id: &str) -> Response {
    let status = response.status();
    if !status.is_client_error() && !status.is_server_error() {
        return response;
    }
    if let Some(problem) = response.extensions().get::<Problem>().cloned() {
        return with_body(response, &problem, id);
    }
    let media_type = response.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    if media_type.is_some_and(|media_type| media_type.contains("json") || media_type.starts_with("text/html")) {
        return response;
    }
    let kind = Kind::of_status(status);
    // What made a problem of its failure has logged it; what was only given a status has not.
    match kind {
        Kind::Internal => tracing::error!(status = status.as_u16(), "a request failed"),
        Kind::Timeout => tracing::warn!(status = status.as_u16(), "a request took longer than it may"),
        _ => {}
    }
    let detail = match kind {
        Kind::BodyTooLarge => "the body is longer than this service takes: send fewer genes at once",
        Kind::Timeout => "the request took longer than the service allows: send fewer genes at once",
        Kind::Internal => "the service failed on this request: tell the operator the request's id",
        _ => kind.describe().1,
    };
    let problem = Problem::new(kind, detail);
    let mut answer = problem.clone().into_response();
    if let Some(allow) = response.headers().get(header::ALLOW) {
        answer.headers_mut().insert(header::ALLOW, allow.clone());
    }
    with_body(answer, &problem, id)
}

fn with_body(response: Response, problem: &Problem, id: &str) -> Response {
    let (mut parts, _) = response.into_parts();
    parts.headers.remove(header::CONTENT_LENGTH);
    parts.headers.remove(header::CONTENT_ENCODING);
    parts.headers.insert(header::CONTENT_TYPE, MEDIA_TYPE);
    Response::from_parts(parts, Body::from(problem.body(Some(id))))
}

/// Refuses at once what comes on top of the requests that may be at work; the two health signals always pass, so that
/// a busy service is not taken for a dead one.
pub(crate) async fn shed(gate: State<Arc<Semaphore>>, request: Request, next: Next) -> Response {
    if PROBES.contains(&request.uri().path()) {
        return next.run(request).await;
    }
    match gate.try_acquire() {
        Ok(_held_to_the_end) => next.run(request).await,
        Err(_) => {
            Problem::new(Kind::Overloaded, "the service has as much work as it takes: send the request again later")
                .into_response()
        }
    }
}

/// Answers for a handler that panicked; the panic itself was logged where it happened.
pub(crate) fn panicked(_: Box<dyn Any + Send + 'static>) -> Response {
    Problem::new(Kind::Internal, "the service failed on this request: tell the operator the request's id")
        .into_response()
}
