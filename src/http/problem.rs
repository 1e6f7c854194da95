//! Errors as RFC 9457 problem details: the one place where an error becomes an answer.
//!
//! Every error of every layer ends here; the `type` of each kind is stable and listed in the OpenAPI document. The
//! detail of a 5xx is fixed text: what went wrong inside is logged with the request's id and never sent.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::genotype::report::Report;
use crate::inference::EngineError;

/// The media type of a problem.
pub(crate) const MEDIA_TYPE: HeaderValue = HeaderValue::from_static("application/problem+json");

/// The kinds of problems: the stable last part of their `type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// No gene of the dataset has this identifier or symbol.
    UnknownGene,
    /// Several genes have this symbol.
    AmbiguousGene,
    /// The dataset has no tissue of this name.
    UnknownTissue,
    /// No dataset of this name is loaded.
    UnknownDataset,
    /// No model of this name is loaded.
    UnknownModel,
    /// The model cannot read this dataset.
    ModelDoesNotFit,
    /// Several datasets are loaded, none is the default and the request names none.
    NoDefaultDataset,
    /// A query parameter is unknown or has a value that cannot be.
    InvalidParameter,
    /// An item of the body is wrong.
    InvalidItem,
    /// The body is not JSON of the documented shape.
    MalformedBody,
    /// The body's media type is not `application/json`.
    UnsupportedMediaType,
    /// None of the formats that the client accepts is offered.
    NotAcceptable,
    /// The body is longer than the limit.
    BodyTooLarge,
    /// The genotypes are not as their format says.
    MalformedGenotypes,
    /// The genotypes pass a limit.
    LimitPassed,
    /// Too little of a model matches the genotypes.
    LowOverlap,
    /// A policy cannot be followed, or an answer cannot be written in the form that was asked for.
    UnusablePolicy,
    /// The request has no key that opens the service.
    Unauthorized,
    /// The key may not do this, or a page of another origin asks.
    Forbidden,
    /// The key or the address sends requests faster than it may.
    RateLimited,
    /// The key has used up its people of the day.
    QuotaExceeded,
    /// Folders of models do not pass their checks.
    ModelsRefused,
    /// There is no such route.
    NoSuchRoute,
    /// The route has no such method.
    MethodNotAllowed,
    /// The service has as much work as it takes.
    Overloaded,
    /// The service, or a part of it, does not answer at the moment.
    Unavailable,
    /// The request took longer than the limit.
    Timeout,
    /// Something failed inside.
    Internal,
}

impl Kind {
    /// Every kind, in the order of the documentation.
    pub const ALL: [Self; 28] = [
        Self::UnknownGene,
        Self::AmbiguousGene,
        Self::UnknownTissue,
        Self::UnknownDataset,
        Self::UnknownModel,
        Self::ModelDoesNotFit,
        Self::NoDefaultDataset,
        Self::InvalidParameter,
        Self::InvalidItem,
        Self::MalformedBody,
        Self::UnsupportedMediaType,
        Self::NotAcceptable,
        Self::BodyTooLarge,
        Self::MalformedGenotypes,
        Self::LimitPassed,
        Self::LowOverlap,
        Self::UnusablePolicy,
        Self::Unauthorized,
        Self::Forbidden,
        Self::RateLimited,
        Self::QuotaExceeded,
        Self::ModelsRefused,
        Self::NoSuchRoute,
        Self::MethodNotAllowed,
        Self::Overloaded,
        Self::Unavailable,
        Self::Timeout,
        Self::Internal,
    ];

    /// Returns the `type`, the title and the status.
    #[must_use]
    pub const fn describe(self) -> (&'static str, &'static str, StatusCode) {
        match self {
            Self::UnknownGene => ("/problems/unknown-gene", "Unknown gene", StatusCode::NOT_FOUND),
            Self::AmbiguousGene => ("/problems/ambiguous-gene", "Ambiguous gene symbol", StatusCode::CONFLICT),
            Self::UnknownTissue => ("/problems/unknown-tissue", "Unknown tissue", StatusCode::NOT_FOUND),
            Self::UnknownDataset => ("/problems/unknown-dataset", "Unknown dataset", StatusCode::NOT_FOUND),
            Self::UnknownModel => ("/problems/unknown-model", "Unknown model", StatusCode::NOT_FOUND),
            Self::ModelDoesNotFit => {
                ("/problems/model-does-not-fit", "Model does not fit the dataset", StatusCode::UNPROCESSABLE_ENTITY)
            }
            Self::NoDefaultDataset => {
                ("/problems/no-default-dataset", "No default dataset", StatusCode::UNPROCESSABLE_ENTITY)
            }
            Self::InvalidParameter => {
                ("/problems/invalid-parameter", "Invalid parameter", StatusCode::UNPROCESSABLE_ENTITY)
            }
            Self::InvalidItem => ("/problems/invalid-item", "Invalid item", StatusCode::UNPROCESSABLE_ENTITY),
            Self::MalformedBody => ("/problems/malformed-body", "Malformed body", StatusCode::BAD_REQUEST),
            Self::UnsupportedMediaType => {
                ("/problems/unsupported-media-type", "Unsupported media type", StatusCode::UNSUPPORTED_MEDIA_TYPE)
            }
            Self::NotAcceptable => ("/problems/not-acceptable", "Format not offered", StatusCode::NOT_ACCEPTABLE),
            Self::BodyTooLarge => ("/problems/body-too-large", "Body too large", StatusCode::PAYLOAD_TOO_LARGE),
            Self::MalformedGenotypes => {
                ("/problems/malformed-genotypes", "Malformed genotypes", StatusCode::BAD_REQUEST)
            }
            Self::LimitPassed => ("/problems/limit-passed", "A limit was passed", StatusCode::PAYLOAD_TOO_LARGE),
            Self::LowOverlap => {
                ("/problems/low-overlap", "Too little of the model matches", StatusCode::UNPROCESSABLE_ENTITY)
            }
            Self::UnusablePolicy => {
                ("/problems/unusable-policy", "The policy cannot be followed", StatusCode::UNPROCESSABLE_ENTITY)
            }
            Self::Unauthorized => ("/problems/unauthorized", "A key is needed", StatusCode::UNAUTHORIZED),
            Self::Forbidden => ("/problems/forbidden", "Not allowed", StatusCode::FORBIDDEN),
            Self::RateLimited => ("/problems/rate-limited", "Too many requests", StatusCode::TOO_MANY_REQUESTS),
            Self::QuotaExceeded => ("/problems/quota-exceeded", "Quota used up", StatusCode::TOO_MANY_REQUESTS),
            Self::ModelsRefused => {
                ("/problems/models-refused", "Models were refused", StatusCode::UNPROCESSABLE_ENTITY)
            }
            Self::NoSuchRoute => ("/problems/no-such-route", "No such route", StatusCode::NOT_FOUND),
            Self::MethodNotAllowed => {
                ("/problems/method-not-allowed", "Method not allowed", StatusCode::METHOD_NOT_ALLOWED)
            }
            Self::Overloaded => ("/problems/overloaded", "Overloaded", StatusCode::SERVICE_UNAVAILABLE),
            Self::Unavailable => ("/problems/unavailable", "Unavailable", StatusCode::SERVICE_UNAVAILABLE),
            Self::Timeout => ("/problems/timeout", "Timeout", StatusCode::GATEWAY_TIMEOUT),
            Self::Internal => ("/problems/internal", "Internal error", StatusCode::INTERNAL_SERVER_ERROR),
        }
    }

    /// Returns the last part of the `type`.
    pub(crate) fn name(self) -> &'static str {
        let (kind, ..) = self.describe();
        kind.rsplit('/').next().unwrap_or(kind)
    }

    /// Returns the kind that stands for an error status which some layer gave without a problem.
    pub(crate) fn of_status(status: StatusCode) -> Self {
        match status {
            StatusCode::NOT_FOUND => Self::NoSuchRoute,
            StatusCode::METHOD_NOT_ALLOWED => Self::MethodNotAllowed,
            StatusCode::NOT_ACCEPTABLE => Self::NotAcceptable,
            StatusCode::PAYLOAD_TOO_LARGE => Self::BodyTooLarge,
            StatusCode::UNSUPPORTED_MEDIA_TYPE => Self::UnsupportedMediaType,
            StatusCode::SERVICE_UNAVAILABLE => Self::Unavailable,
            StatusCode::GATEWAY_TIMEOUT | StatusCode::REQUEST_TIMEOUT => Self::Timeout,
            status if status.is_client_error() => Self::MalformedBody,
            _ => Self::Internal,
        }
    }
}

/// Letters of a detail; the names of all tissues fit in.
const LONGEST_DETAIL: usize = 2_000;

/// One wrong place of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Wrong {
    /// Where: a parameter's name or a place of the body, such as `genes[3].promoter`.
    pub pointer: String,
    /// What is wrong with it and what to do.
    pub detail: String,
}

/// An error as it is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    kind: Kind,
    detail: String,
    errors: Vec<Wrong>,
    candidates: Vec<String>,
    /// What only few problems have, apart so that the others stay small.
    more: Option<Box<More>>,
}

/// What only few problems have.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct More {
    not_found: Vec<String>,
    report: Option<Value>,
    retry_after_seconds: Option<u64>,
}

/// Leaves out the middle of a text that somebody has sent a very long name for: what it ends with says what to do.
fn shortened(text: String) -> String {
    let Some((cut, _)) = text.char_indices().nth(LONGEST_DETAIL) else { return text };
    let end = text.char_indices().nth_back(LONGEST_DETAIL / 4).map_or(cut, |(at, _)| at);
    let start = text.char_indices().nth(LONGEST_DETAIL / 4).map_or(cut, |(at, _)| at);
    format!("{} … {}", &text[..start], &text[end..])
}

/// RFC 9457 problem details.
#[derive(Debug, Serialize, ToSchema)]
pub struct ProblemDetails {
    /// The stable identifier of the kind of problem.
    #[serde(rename = "type")]
    #[schema(example = "/problems/unknown-gene")]
    pub kind: &'static str,
    /// The kind in words.
    pub title: &'static str,
    /// The HTTP status.
    #[schema(example = 404)]
    pub status: u16,
    /// What was wrong, where, and what to do.
    pub detail: String,
    /// The request, by its id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// Every wrong place where there are several or where one can be named.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<Wrong>,
    /// Names that were perhaps meant, or that may be chosen from.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub candidates: Vec<String>,
    /// Names that were asked for and are not known, in the order of the request.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub not_found: Vec<String>,
    /// The match report, where genotypes were read to their end.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub report: Option<Value>,
}

impl Problem {
    /// Returns a problem of a kind with its detail.
    #[must_use]
    pub fn new(kind: Kind, detail: impl Into<String>) -> Self {
        Self { kind, detail: shortened(detail.into()), errors: Vec::new(), candidates: Vec::new(), more: None }
    }

    /// Returns a problem with one query parameter.
    #[must_use]
    pub fn parameter(name: &str, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        let wrong = Wrong { pointer: shortened(name.to_owned()), detail: shortened(detail.clone()) };
        Self { errors: vec![wrong], ..Self::new(Kind::InvalidParameter, detail) }
    }

    /// Adds names to choose from.
    #[must_use]
    pub fn with_candidates(mut self, candidates: Vec<String>) -> Self {
        self.candidates = candidates;
        self
    }

    /// Adds names that are not known.
    #[must_use]
    pub fn with_not_found(mut self, names: &[String]) -> Self {
        self.more.get_or_insert_default().not_found = names.iter().cloned().map(shortened).collect();
        self
    }

    /// Adds a match report.
    #[must_use]
    pub fn with_report(mut self, report: &Report) -> Self {
        // Strings and numbers under string keys: it can be written.
        self.more.get_or_insert_default().report = serde_json::to_value(report).ok();
        self
    }

    /// Adds after how many seconds it is worth to ask again.
    #[must_use]
    pub fn with_retry_after(mut self, seconds: u64) -> Self {
        self.more.get_or_insert_default().retry_after_seconds = Some(seconds);
        self
    }

    /// Adds the wrong places.
    #[must_use]
    pub fn with_errors(mut self, errors: Vec<Wrong>) -> Self {
        let short = |wrong: Wrong| Wrong { detail: shortened(wrong.detail), ..wrong };
        self.errors = errors.into_iter().map(short).collect();
        self
    }

    /// Returns the kind.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// Returns the names to choose from.
    #[must_use]
    pub fn candidates(&self) -> &[String] {
        &self.candidates
    }

    /// Returns the problem as it is written, with the request's id where it is known.
    #[must_use]
    pub fn details(&self, request_id: Option<&str>) -> ProblemDetails {
        let (kind, title, status) = self.kind.describe();
        ProblemDetails {
            kind,
            title,
            status: status.as_u16(),
            detail: self.detail.clone(),
            instance: request_id.map(|id| format!("urn:tissuecast:request:{id}")),
            errors: self.errors.clone(),
            candidates: self.candidates.clone(),
            not_found: self.more.as_ref().map(|more| more.not_found.clone()).unwrap_or_default(),
            report: self.more.as_ref().and_then(|more| more.report.clone()),
        }
    }

    /// Returns the body.
    pub(crate) fn body(&self, request_id: Option<&str>) -> Vec<u8> {
        // Strings and numbers only: nothing in it can fail to be written.
        serde_json::to_vec(&self.details(request_id)).unwrap_or_default()
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::from(self.body(None)));
        *response.status_mut() = self.kind.describe().2;
        response.headers_mut().insert(header::CONTENT_TYPE, MEDIA_TYPE);
        let named = self.more.as_ref().and_then(|more| more.retry_after_seconds);
        let soon = || matches!(self.kind, Kind::Overloaded | Kind::Unavailable).then_some(1);
        if let Some(seconds) = named.or_else(soon) {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        // The outermost layer writes the body again with the request's id in it.
        response.extensions_mut().insert(self);
        response
    }
}

impl From<EngineError> for Problem {
    fn from(error: EngineError) -> Self {
        match error {
            EngineError::Overloaded => Self::new(
                Kind::Overloaded,
                "the model has as much work as its queue holds: send the request again later",
            ),
            EngineError::Unavailable => Self::new(Kind::Unavailable, "the model is not running at the moment"),
            EngineError::Panicked | EngineError::Count { .. } | EngineError::Failed(_) => {
                tracing::error!(error = &error as &dyn std::error::Error, "a model failed");
                Self::new(Kind::Internal, "the model failed on this request: tell the operator the request's id")
            }
        }
    }
}
