//! Extractors whose rejections are problems: the path, the query and JSON bodies.

use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::header;
use axum::http::request::Parts;
use bytes::Bytes;
use serde::de::DeserializeOwned;

use super::problem::{Kind, Problem};

/// A path's parameter; not named `Path`, which utoipa takes for axum's own.
#[derive(Debug)]
pub struct Segment(pub String);

impl<S: Send + Sync> FromRequestParts<S> for Segment {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = axum::extract::Path::<String>::from_request_parts(parts, state).await;
        path.map(|path| Self(path.0)).map_err(|_| Problem::new(Kind::NoSuchRoute, "the path is not UTF-8"))
    }
}

/// A query string as names and values, in order.
#[derive(Debug, Clone, Default)]
pub struct Query(Vec<(String, String)>);

impl<S: Send + Sync> FromRequestParts<S> for Query {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        if parts.uri.query().is_none() {
            return Ok(Self::default());
        }
        let pairs = axum::extract::Query::<Vec<(String, String)>>::from_request_parts(parts, state).await;
        pairs.map(|pairs| Self(pairs.0)).map_err(|_| Problem::parameter("query", "the query string cannot be read"))
    }
}

impl FromIterator<(String, String)> for Query {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(pairs: I) -> Self {
        Self(pairs.into_iter().collect())
    }
}

impl Query {
    /// Refuses parameters that the route does not have, so that a misspelt filter is not silently ignored.
    ///
    /// # Errors
    /// A parameter has another name than these.
    pub fn only(&self, known: &[&str]) -> Result<(), Problem> {
        match self.0.iter().find(|(name, _)| !known.contains(&name.as_str())) {
            Some((name, _)) => {
                let detail = format!("this route has no parameter '{name}'; it has: {}", known.join(", "));
                Err(Problem::parameter(name, detail))
            }
            None => Ok(()),
        }
    }

    /// Returns a parameter that may be given once; an empty one counts as not given.
    ///
    /// # Errors
    /// It is given more than once.
    pub fn one<'a>(&'a self, name: &str) -> Result<Option<&'a str>, Problem> {
        let mut values = self.all(name);
        let first = values.next();
        if values.next().is_some() {
            return Err(Problem::parameter(name, format!("'{name}' is given more than once")));
        }
        Ok(first)
    }

    /// Returns every value of a parameter that may be repeated.
    pub fn all<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(key, value)| key == name && !value.is_empty()).map(|(_, value)| value.as_str())
    }

    /// Returns a flag: `true` or `false`, false where it is not given.
    ///
    /// # Errors
    /// It is anything else.
    pub fn flag(&self, name: &str) -> Result<bool, Problem> {
        match self.one(name)? {
            None | Some("false" | "0") => Ok(false),
            Some("true" | "1") => Ok(true),
            Some(other) => Err(Problem::parameter(name, format!("'{name}' is true or false, not '{other}'"))),
        }
    }

    /// Returns a whole number within a range, or the default.
    ///
    /// # Errors
    /// It is no whole number or out of range.
    pub fn number(&self, name: &str, default: usize, range: std::ops::RangeInclusive<usize>) -> Result<usize, Problem> {
        let Some(text) = self.one(name)? else { return Ok(default) };
        let number = text.parse().ok().filter(|number| range.contains(number));
        number.ok_or_else(|| {
            let detail = format!("'{name}' is a whole number from {} to {}, not '{text}'", range.start(), range.end());
            Problem::parameter(name, detail)
        })
    }
}

/// A JSON body.
#[derive(Debug)]
pub struct Json<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let media_type = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let essence = media_type.unwrap_or_default().split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        if essence != "application/json" && !(essence.starts_with("application/") && essence.ends_with("+json")) {
            let detail = format!("the body's content-type is '{essence}': send application/json");
            return Err(Problem::new(Kind::UnsupportedMediaType, detail));
        }
        let bytes = Bytes::from_request(request, state).await.map_err(|rejection| {
            if rejection.status() == axum::http::StatusCode::PAYLOAD_TOO_LARGE {
                Problem::new(Kind::BodyTooLarge, "the body is longer than this service takes: send fewer genes at once")
            } else {
                Problem::new(Kind::MalformedBody, "the body could not be read to its end")
            }
        })?;
        serde_json::from_slice(&bytes).map(Self).map_err(|error| {
            // serde's message names what it met by kind or key, never a long part of the body.
            let mut message = error.to_string();
            message.truncate(message.char_indices().nth(200).map_or(message.len(), |(at, _)| at));
            Problem::new(Kind::MalformedBody, format!("the body is not JSON of the documented shape: {message}"))
        })
    }
}
