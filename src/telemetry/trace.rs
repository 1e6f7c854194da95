//! Traces: one span a request, sent to an OpenTelemetry collector by OTLP over HTTP.
//!
//! Off unless an endpoint is given: the span's callsite is then dead and costs nothing. A span has the request's method,
//! route, status and models, and nothing else. A collector that is away costs a warning now and then.

use std::pin::Pin;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use hyper::HeaderMap;
use hyper::header::HeaderName;
use opentelemetry::propagation::TextMapPropagator as _;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_http::hyper::HyperClient;
use opentelemetry_http::{Bytes, HeaderExtractor, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{ExporterBuildError, Protocol, SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
use tokio::runtime::Handle;
use tracing::Span;
use tracing::level_filters::LevelFilter;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::filter_fn;

use super::BoxedLayer;

/// The header that names a client's span.
const TRACE_PARENT: &str = "traceparent";

/// The target of spans for the collector.
pub(super) const TARGET: &str = "tissuecast::trace";

const NAME: &str = "tissuecast";
/// How long the collector may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// The time between two warnings that it does not answer.
const BETWEEN_WARNINGS: Duration = Duration::from_mins(1);

/// Sends spans from a thread of its own.
#[derive(Debug)]
pub(super) struct Exporter {
    provider: SdkTracerProvider,
}

impl Exporter {
    /// Starts to send to the collector at this address, over the runtime's connections.
    pub(super) fn start(endpoint: &str, runtime: &Handle) -> Result<Self, ExporterBuildError> {
        let client = Client {
            inner: HyperClient::with_default_connector(PATIENCE, None),
            runtime: runtime.clone(),
            warned: Mutex::new(None),
        };
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(client)
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(format!("{}/v1/traces", endpoint.trim_end_matches('/')))
            .with_timeout(PATIENCE)
            .build()?;
        let version = opentelemetry::KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
        let resource = Resource::builder().with_service_name(NAME).with_attribute(version).build();
        let provider = SdkTracerProvider::builder()
            .with_sampler(Sampler::AlwaysOn)
            .with_batch_exporter(exporter)
            .with_resource(resource)
            .build();
        Ok(Self { provider })
    }

    /// Returns the layer that makes spans of the requests' and of nothing else.
    pub(super) fn layer(&self) -> BoxedLayer {
        let layer = tracing_opentelemetry::layer().with_tracer(self.provider.tracer(NAME));
        let layer = layer.with_location(false).with_threads(false).with_tracked_inactivity(false).with_target(false);
        let requests = filter_fn(|one| one.is_span() && one.target() == TARGET);
        layer.with_filter(requests.with_max_level_hint(LevelFilter::INFO)).boxed()
    }

    /// Sends what waits, for a few seconds at most, and stops.
    pub(super) fn end(self) {
        if let Err(error) = self.provider.shutdown_with_timeout(PATIENCE) {
            tracing::warn!(%error, "the last traces could not be sent");
        }
    }
}

/// Sends over the runtime's connections for a thread that is not the runtime's.
#[derive(Debug)]
struct Client {
    inner: HyperClient,
    runtime: Handle,
    warned: Mutex<Option<Instant>>,
}

impl Client {
    fn warn(&self, why: &str) {
        let mut warned = self.warned.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if warned.is_none_or(|at| at.elapsed() >= BETWEEN_WARNINGS) {
            *warned = Some(Instant::now());
            tracing::warn!(why, "the trace collector does not take spans: they are dropped");
        }
    }
}

impl HttpClient for Client {
    fn send_bytes<'a, 'b>(
        &'a self,
        request: Request<Bytes>,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'b>>
    where
        'a: 'b,
        Self: 'b,
    {
        let inner = self.inner.clone();
        let sending = self.runtime.spawn(async move { inner.send_bytes(request).await });
        Box::pin(async move {
            let sent = sending.await.map_err(HttpError::from).flatten();
            match &sent {
                Ok(response) if response.status().is_success() => {}
                Ok(response) => self.warn(response.status().as_str()),
                Err(error) => self.warn(&error.to_string()),
            }
            sent
        })
    }
}

/// Opens a request's span: a child of the client's where its `traceparent` names one.
pub(crate) fn request(method: &'static str, route: &str, headers: &HeaderMap) -> Span {
    let span = tracing::info_span!(
        target: TARGET,
        parent: None,
        "request",
        otel.name = format!("{method} {route}"),
        otel.kind = "server",
        otel.status_code = tracing::field::Empty,
        http.request.method = method,
        http.route = route,
        http.response.status_code = tracing::field::Empty,
        tissuecast.models = tracing::field::Empty,
    );
    if !span.is_disabled() {
        // The client's `tracestate` is free text: it goes nowhere.
        let mut named = HeaderMap::new();
        named.extend(headers.get(TRACE_PARENT).map(|value| (HeaderName::from_static(TRACE_PARENT), value.clone())));
        let parent = TraceContextPropagator::new().extract(&HeaderExtractor(&named));
        // Refused only for a span that no collector gets.
        let _ = span.set_parent(parent);
    }
    span
}

/// Notes how a request ended; `None` for one that got no answer.
pub(crate) fn ended(span: &Span, status: Option<u16>, models: &str) {
    if let Some(status) = status {
        span.record("http.response.status_code", i64::from(status));
        if status >= 500 {
            span.record("otel.status_code", "ERROR");
        }
    }
    if !models.is_empty() {
        span.record("tissuecast.models", models);
    }
}
