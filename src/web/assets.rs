//! The files that pages load, part of the program: a style, an icon and small scripts. They hold nothing of a lab's, and
//! need no key.

use std::sync::{Arc, LazyLock};

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;

use crate::http::extract::Segment;
use crate::http::problem::{Kind, Problem};
use crate::http::state::AppState;
use crate::model::registry::sha256;

const STYLE: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

/// A file: its name, media type and content.
type Asset = (&'static str, &'static str, &'static str);

macro_rules! assets {
    ($($name:literal: $media_type:expr),* $(,)?) => {
        [$(($name, $media_type, include_str!(concat!("assets/", $name)))),*]
    };
}

const ASSETS: &[Asset] = &assets! {
    "icon.svg": "image/svg+xml",
    "docs.css": STYLE,
    "docs.js": SCRIPT,
    "models.css": STYLE,
    "predict.css": STYLE,
    "style.css": STYLE,
    "predict-answer.js": SCRIPT,
    "predict-canvas.js": SCRIPT,
    "predict-cluster.js": SCRIPT,
    "predict-colour.js": SCRIPT,
    "predict-dom.js": SCRIPT,
    "predict-download.js": SCRIPT,
    "predict-explain.js": SCRIPT,
    "predict-files.js": SCRIPT,
    "predict-form.js": SCRIPT,
    "predict-gene.js": SCRIPT,
    "predict-input.js": SCRIPT,
    "predict-map.js": SCRIPT,
    "predict-problem.js": SCRIPT,
    "predict-pyramid.js": SCRIPT,
    "predict-report.js": SCRIPT,
    "predict-send.js": SCRIPT,
    "predict-worker.js": SCRIPT,
    "predict.js": SCRIPT,
    "profile.js": SCRIPT,
    "search.js": SCRIPT,
};

/// The entity tags of the files, in their order.
static TAGS: LazyLock<Vec<HeaderValue>> = LazyLock::new(|| {
    let tag = |asset: &Asset| {
        let digest: String = sha256(asset.2.as_bytes()).chars().take(16).collect();
        HeaderValue::try_from(format!("W/\"{digest}\"")).unwrap_or(HeaderValue::from_static("W/\"none\""))
    };
    ASSETS.iter().map(tag).collect()
});

/// Returns the files' route.
pub(crate) fn routes() -> Router<Arc<AppState>> {
    Router::new().route("/assets/{name}", get(asset))
}

/// Answers with a file; browsers ask each time whether it has changed, so that no page runs with an older script.
async fn asset(_: State<Arc<AppState>>, name: Segment, asked: HeaderMap) -> Result<Response, Problem> {
    let found = ASSETS.iter().zip(TAGS.iter()).find(|(asset, _)| asset.0 == name.0);
    let Some(((_, media_type, text), tag)) = found else {
        return Err(Problem::new(Kind::NoSuchRoute, "there is no such file"));
    };
    let known = asked.get(header::IF_NONE_MATCH).is_some_and(|known| known == tag);
    let (status, body) =
        if known { (StatusCode::NOT_MODIFIED, Body::empty()) } else { (StatusCode::OK, (*text).into()) };
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(media_type)),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        (header::ETAG, tag.clone()),
    ];
    Ok((status, headers, body).into_response())
}
