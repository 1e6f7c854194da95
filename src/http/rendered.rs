//! Written answers that are kept: bounded by bytes, thrown away with the snapshot that they were written from.
//!
//! Two generations in place of a list by recency: when the young one is full it becomes the old one and the old one is
//! dropped, so that what is asked for again survives and neither a lookup nor an insertion ever walks the cache.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;
use bytes::Bytes;

use super::negotiate::Format;

/// The header that carries the model's digest.
pub(crate) const MODEL_DIGEST: HeaderName = HeaderName::from_static("x-tissuecast-model-digest");

const SHARDS: usize = 16;

/// A written answer with its headers.
#[derive(Debug)]
pub(crate) struct Rendered {
    body: Bytes,
    content_type: HeaderValue,
    etag: HeaderValue,
    digest: Option<HeaderValue>,
}

impl Rendered {
    /// Takes a body; the entity tag is made of the dataset's version, the model's digest, this program's version and
    /// the format. It is weak, since compression changes the bytes.
    pub(crate) fn new(body: impl Into<Bytes>, format: Format, dataset_version: &str, digest: Option<&str>) -> Self {
        let model = digest.map_or("none", |digest| digest.strip_prefix("sha256:").unwrap_or(digest));
        let model = model.get(..16).unwrap_or(model);
        let etag = format!("W/\"{dataset_version}.{model}.{}.{}\"", env!("CARGO_PKG_VERSION"), format.name());
        // A version with odd characters gives no tag that could match by accident.
        let etag = HeaderValue::try_from(etag).unwrap_or(HeaderValue::from_static("W/\"unversioned\""));
        Self {
            body: body.into(),
            content_type: HeaderValue::from_static(format.content_type()),
            etag,
            digest: digest.and_then(|digest| HeaderValue::try_from(digest).ok()),
        }
    }

    /// Answers with the body, or with 304 where the client has it.
    pub(crate) fn respond(&self, request: &HeaderMap) -> Response {
        let known = self.is_known(request);
        let mut response = Response::new(if known { Body::empty() } else { Body::from(self.body.clone()) });
        if known {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
        }
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, self.content_type.clone());
        headers.insert(header::ETAG, self.etag.clone());
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        headers.insert(header::VARY, HeaderValue::from_static("accept"));
        if let Some(digest) = &self.digest {
            headers.insert(MODEL_DIGEST, digest.clone());
        }
        response
    }

    fn is_known(&self, request: &HeaderMap) -> bool {
        let opaque = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
        let Ok(own) = self.etag.to_str() else { return false };
        let mut tags = request.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
        tags.any(|line| line.trim() == "*" || line.split(',').any(|tag| opaque(tag) == opaque(own)))
    }
}

#[derive(Debug, Default)]
struct Shard {
    young: HashMap<Box<str>, Arc<Rendered>>,
    old: HashMap<Box<str>, Arc<Rendered>>,
    young_bytes: usize,
}

/// Written answers by request.
#[derive(Debug)]
pub(crate) struct RenderCache {
    shards: [Mutex<Shard>; SHARDS],
    hasher: RandomState,
    shard_bytes: usize,
}

impl RenderCache {
    /// Returns a cache that holds at most about this many bytes of bodies.
    pub(crate) fn new(bytes: usize) -> Self {
        Self { shards: Default::default(), hasher: RandomState::new(), shard_bytes: bytes / (2 * SHARDS) }
    }

    /// Returns the answer to this request where it is kept.
    pub(crate) fn get(&self, key: &str) -> Option<Arc<Rendered>> {
        let mut shard = self.shard(key).lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = shard.young.get(key) {
            return Some(Arc::clone(found));
        }
        let (key, found) = shard.old.remove_entry(key)?;
        self.insert_young(&mut shard, key, Arc::clone(&found));
        Some(found)
    }

    /// Keeps an answer.
    pub(crate) fn insert(&self, key: String, rendered: Arc<Rendered>) {
        let mut shard = self.shard(&key).lock().unwrap_or_else(PoisonError::into_inner);
        self.insert_young(&mut shard, key.into_boxed_str(), rendered);
    }

    fn insert_young(&self, shard: &mut Shard, key: Box<str>, rendered: Arc<Rendered>) {
        let bytes = rendered.body.len() + key.len() + 256;
        if bytes > self.shard_bytes {
            return;
        }
        if shard.young_bytes + bytes > self.shard_bytes {
            shard.old = std::mem::take(&mut shard.young);
            shard.young_bytes = 0;
        }
        shard.young_bytes += bytes;
        shard.young.insert(key, rendered);
    }

    fn shard(&self, key: &str) -> &Mutex<Shard> {
        &self.shards[self.hasher.hash_one(key) as usize % SHARDS]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(bytes: usize) -> Arc<Rendered> {
        Arc::new(Rendered::new(vec![b'x'; bytes], Format::Json, "v1", None))
    }

    #[test]
    fn the_cache_is_bounded_and_keeps_what_is_asked_for() {
        let cache = RenderCache::new(2 * SHARDS * 10_000);
        cache.insert("hot".to_owned(), rendered(500));
        for n in 0..5_000 {
            cache.insert(format!("cold {n}"), rendered(500));
            assert!(cache.get("hot").is_some(), "after {n}");
        }
        let held: usize = cache.shards.iter().map(|s| s.lock().unwrap()).map(|s| s.young.len() + s.old.len()).sum();
        assert!(held * 500 <= 2 * SHARDS * 10_000, "{held} answers are held");
    }

    #[test]
    fn an_answer_that_no_shard_could_hold_is_not_kept() {
        let cache = RenderCache::new(2 * SHARDS * 1_000);
        cache.insert("big".to_owned(), rendered(5_000));
        assert!(cache.get("big").is_none());
    }

    #[test]
    fn a_known_tag_is_answered_without_the_body() {
        let one = rendered(3);
        let mut headers = HeaderMap::new();
        assert_eq!(one.respond(&headers).status(), StatusCode::OK);
        let tag = one.etag.to_str().unwrap().trim_start_matches("W/").to_owned();
        headers.insert(header::IF_NONE_MATCH, format!("\"other\", {tag}").parse().unwrap());
        assert_eq!(one.respond(&headers).status(), StatusCode::NOT_MODIFIED);
    }
}
