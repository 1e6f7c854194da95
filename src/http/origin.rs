//! Pages of other hosts: what they may ask, and what they may read.
//!
//! Closed by default: a page elsewhere reads no answer, and what a browser sends in its name with a remembered key is
//! refused where it would have the service do something.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use tower_http::cors::{AllowHeaders, AllowMethods, AllowOrigin, CorsLayer, ExposeHeaders};

use super::client::Peer;
use super::problem::{Kind, Problem};
use super::state::AppState;

/// The origin of a page: scheme, host and port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin(HeaderValue);

/// A text that is no origin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an origin is written like https://lab.example or http://localhost:3000, without a path")]
pub struct OriginError;

impl FromStr for Origin {
    type Err = OriginError;

    fn from_str(text: &str) -> Result<Self, OriginError> {
        let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")).ok_or(OriginError)?;
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte);
        if host.is_empty() || !host.bytes().all(plain) {
            return Err(OriginError);
        }
        HeaderValue::from_str(&text.to_ascii_lowercase()).map(Self).map_err(|_| OriginError)
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.0.to_str().unwrap_or_default())
    }
}

/// Headers that a page elsewhere may read.
const EXPOSED: [&str; 8] = [
    "x-request-id",
    "server-timing",
    "etag",
    "retry-after",
    "ratelimit-limit",
    "ratelimit-remaining",
    "x-tissuecast-model-digest",
    "x-tissuecast-report",
];

/// Headers that a page elsewhere may send.
const ACCEPTED: [&str; 6] = ["authorization", "x-api-key", "content-type", "accept", "x-request-id", "traceparent"];

/// Returns the layer that lets pages of these origins read answers; with none of them, nobody elsewhere may.
pub(crate) fn cors(origins: &[Origin]) -> CorsLayer {
    let names =
        |names: &[&'static str]| -> Vec<HeaderName> { names.iter().copied().map(HeaderName::from_static).collect() };
    CorsLayer::new()
        .allow_origin(AllowOrigin::list(origins.iter().map(|origin| origin.0.clone())))
        .allow_methods(AllowMethods::list([Method::GET, Method::HEAD, Method::POST]))
        .allow_headers(AllowHeaders::list(names(&ACCEPTED)))
        .expose_headers(ExposeHeaders::list(names(&EXPOSED)))
        .max_age(Duration::from_hours(1))
}

/// Refuses what a page of another origin has a browser send, other than reading.
pub(crate) async fn same_origin(state: State<Arc<AppState>>, request: Request, next: Next) -> Response {
    let reads = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    let proxied = request.extensions().get::<Peer>().is_some_and(|peer| state.access.trusts(peer.address.ip()));
    if reads || is_own(request.headers(), proxied, state.access.origins()) {
        return next.run(request).await;
    }
    let detail = "the request comes from a page of another origin, which --cors-origins of the service does not name";
    Problem::new(Kind::Forbidden, detail).into_response()
}

/// Whether a request comes from no page, from a page of this service, or from one that is named.
fn is_own(headers: &HeaderMap, proxied: bool, named: &[Origin]) -> bool {
    let Some(origin) = headers.get(header::ORIGIN) else { return true };
    if named.iter().any(|one| one.0 == origin) {
        return true;
    }
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let forwarded = if proxied { text(HeaderName::from_static("x-forwarded-host")) } else { None };
    let host = forwarded.or_else(|| text(header::HOST));
    let page = origin.to_str().ok().and_then(|origin| origin.split_once("://")).map(|(_, host)| host);
    page.zip(host).is_some_and(|(page, host)| page.eq_ignore_ascii_case(host))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_of_another_host_is_told_from_ones_own() {
        let named: Vec<Origin> = vec!["https://lab.example".parse().unwrap()];
        let own = |origin: Option<&str>, forwarded: Option<&str>, proxied| {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, HeaderValue::from_static("cast.example:8080"));
            for (name, value) in [("origin", origin), ("x-forwarded-host", forwarded)] {
                if let Some(value) = value {
                    headers.insert(HeaderName::try_from(name).unwrap(), value.parse().unwrap());
                }
            }
            is_own(&headers, proxied, &named)
        };
        assert!(own(None, None, false));
        assert!(own(Some("http://cast.example:8080"), None, false));
        assert!(own(Some("https://lab.example"), None, false));
        assert!(own(Some("https://public.example"), Some("public.example"), true));
        assert!(!own(Some("https://public.example"), Some("public.example"), false));
        assert!(!own(Some("http://evil.example"), None, false));
        assert!(!own(Some("null"), None, false));
        assert!(!own(Some("https://lab.example.evil.example"), None, false));
    }

    #[test]
    fn an_origin_has_a_scheme_and_no_path() {
        for wrong in ["lab.example", "https://", "https://lab.example/", "*", "https://a b"] {
            assert_eq!(wrong.parse::<Origin>(), Err(OriginError), "{wrong}");
        }
        assert_eq!("HTTPS://Lab.example".parse::<Origin>(), Err(OriginError));
        assert_eq!("https://Lab.example".parse::<Origin>().unwrap().to_string(), "https://lab.example");
    }
}
