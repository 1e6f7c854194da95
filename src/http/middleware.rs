//! What every request passes: its id, its log line, its timings, and the rule that every error is a problem.

use std::any::Any;
use std::fmt::Write as _;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use tokio::sync::Semaphore;
use tracing::Instrument as _;

use super::complete::EngineTimings;
use super::problem::{Kind, MEDIA_TYPE, Problem};

/// The header of a request's id.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");
const LONGEST_ID: usize = 64;

/// Gives requests their ids: a prefix drawn at the start and a counter.
#[derive(Debug)]
pub(crate) struct RequestIds {
    prefix: u64,
    next: AtomicU64,
}

impl RequestIds {
    /// Returns a source whose prefix differs from one start to the next.
    pub(crate) fn new() -> Self {
        // The standard library's hash keys are random, which is all that a prefix needs.
        Self { prefix: RandomState::new().hash_one(0u8), next: AtomicU64::new(1) }
    }

    fn of(&self, request: &Request) -> HeaderValue {
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

/// The outermost layer: request id, span, timings, and problems for errors that some layer gave without one.
pub(crate) async fn envelope(ids: State<Arc<RequestIds>>, request: Request, next: Next) -> Response {
    let clock = Instant::now();
    let id = ids.of(&request);
    let id_text = id.to_str().unwrap_or("unknown");
    // The matched path and not the path: a gene or a posted body is nobody's business but the client's.
    let route = request.extensions().get::<MatchedPath>().map_or("<unmatched>", MatchedPath::as_str);
    let span = tracing::debug_span!("request", id = id_text, method = %request.method(), route);
    let response = next.run(request).instrument(span.clone()).await;
    let mut response = as_problem(response, id_text);
    let status = response.status();
    let elapsed = clock.elapsed();
    span.in_scope(|| {
        if status.is_server_error() && status != StatusCode::SERVICE_UNAVAILABLE {
            tracing::error!(id = id_text, status = status.as_u16(), ?elapsed, "a request failed");
        } else {
            tracing::debug!(status = status.as_u16(), ?elapsed, "answered");
        }
    });
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
    response
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
    if matches!(request.uri().path(), "/livez" | "/readyz") {
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

/// Answers for a handler that panicked.
#[expect(clippy::needless_pass_by_value, reason = "the shape that the catching layer calls")]
pub(crate) fn panicked(cause: Box<dyn Any + Send + 'static>) -> Response {
    let cause = cause.downcast_ref::<String>().map(String::as_str).or_else(|| cause.downcast_ref::<&str>().copied());
    tracing::error!(cause = cause.unwrap_or("unknown"), "a request's handler panicked");
    Problem::new(Kind::Internal, "the service failed on this request: tell the operator the request's id")
        .into_response()
}
