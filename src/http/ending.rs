//! How requests end: counted, audited and traced once each, when the answer's last byte was handed over, the answer broke
//! off, or the client has gone.

use std::error::Error;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Instant;

use axum::body::Body;
use axum::extract::Request;
use axum::http::{Method, StatusCode};
use axum::response::Response;
use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use tracing::Span;

use super::audit::Audit;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::trace;

/// Routes that are asked every few seconds by what watches the service.
pub(crate) const PROBES: [&str; 2] = ["/livez", "/readyz"];

/// What is known of a request when it comes.
pub(super) struct Begun {
    pub(super) id: String,
    pub(super) method: &'static str,
    pub(super) route: String,
    pub(super) span: Span,
    pub(super) trace: Span,
    pub(super) audit: Audit,
}

/// How far the answer came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    /// Not to its end: the client has gone, unless something else is noted.
    Open,
    /// To its last byte.
    Complete,
    /// To where it could not go on.
    BrokenOff,
}

/// Writes down how a request ended when it is dropped.
pub(super) struct Ending {
    begun: Begun,
    metrics: Arc<Metrics>,
    clock: Instant,
    status: Option<StatusCode>,
    progress: Progress,
    /// Whether the client has gone before it had sent everything.
    has_left: Arc<AtomicBool>,
}

impl Ending {
    /// Counts a request that has come.
    pub(super) fn of(begun: Begun, metrics: &Arc<Metrics>) -> Self {
        metrics.request_begins();
        let (metrics, clock) = (Arc::clone(metrics), Instant::now());
        Self { begun, metrics, clock, status: None, progress: Progress::Open, has_left: Arc::default() }
    }

    /// Learns from the request's body whether the client leaves in the middle of it: whatever is answered then, nobody
    /// gets it.
    pub(super) fn watch(&self, request: Request) -> Request {
        let has_left = Arc::clone(&self.has_left);
        request.map(|body| if body.is_end_stream() { body } else { Body::new(Arriving { body, has_left }) })
    }

    /// Lets the answer go; the request ends with its body.
    pub(super) fn follow(mut self, response: Response, method: &Method) -> Response {
        self.status = Some(response.status());
        let (parts, body) = response.into_parts();
        // What has no body, or none that is sent, is never asked for one.
        if body.is_end_stream() || *method == Method::HEAD {
            self.progress = Progress::Complete;
        }
        Response::from_parts(parts, Body::new(Followed { body, ending: self }))
    }

    /// The status, or what came in the place of a whole answer.
    fn outcome(&self) -> String {
        if self.has_left.load(Ordering::Relaxed) {
            return "aborted".to_owned();
        }
        match (self.status, self.progress) {
            (Some(status), Progress::Complete) => status.as_u16().to_string(),
            (Some(_), Progress::BrokenOff) => "broken-off".to_owned(),
            _ => "aborted".to_owned(),
        }
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        let Begun { id, method, route, span, trace, audit } = &self.begun;
        let (outcome, elapsed) = (self.outcome(), self.clock.elapsed());
        tracing::debug!(parent: span, outcome, ?elapsed, "ended");
        trace::ended(trace, self.status.map(|status| status.as_u16()), &audit.model_list());
        if !PROBES.contains(&route.as_str()) {
            audit.write(id, method, route, &outcome);
        }
        self.metrics.request_ends(method, route, outcome, elapsed);
    }
}

/// An answer's body with what is to be written down when it ends.
struct Followed {
    body: Body,
    ending: Ending,
}

impl HttpBody for Followed {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        match &frame {
            Some(Err(_)) => self.ending.progress = Progress::BrokenOff,
            None => self.ending.progress = Progress::Complete,
            Some(Ok(_)) if self.body.is_end_stream() => self.ending.progress = Progress::Complete,
            Some(Ok(_)) => {}
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A request's body on its way in.
struct Arriving {
    body: Body,
    has_left: Arc<AtomicBool>,
}

impl HttpBody for Arriving {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        if let Some(Err(error)) = &frame
            && is_of_a_client_that_left(error)
        {
            self.has_left.store(true, Ordering::Relaxed);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Whether a body broke off because the connection did, and not because something else was sent than a body.
fn is_of_a_client_that_left(error: &axum::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, TimedOut, UnexpectedEof};
    std::iter::successors(error.source(), |cause| (*cause).source()).any(|cause| {
        let hyper = cause.downcast_ref::<hyper::Error>();
        let io = cause.downcast_ref::<io::Error>().map(io::Error::kind);
        hyper.is_some_and(|error| error.is_incomplete_message() || error.is_closed() || error.is_canceled())
            || matches!(io, Some(BrokenPipe | ConnectionAborted | ConnectionReset | TimedOut | UnexpectedEof))
    })
}

#[cfg(test)]
mod tests;
