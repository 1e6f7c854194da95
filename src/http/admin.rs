//! `POST /v1/admin/models:reload`: looks at the folder of models anew, and answers once the outcome is served.
//!
//! Who keeps the folder listens to the other end of a [`Reloader`]; nothing here reads a file.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;
use tokio::sync::{mpsc, oneshot};
use utoipa::ToSchema;

use super::answer::to_json;
use super::extract::Query;
use super::problem::{Kind, Problem, ProblemDetails, Wrong};
use super::state::AppState;
use crate::model::expression::ServedGenotypeModel;
use crate::model::served::ServedModel;
use crate::model::shelf::Shelf;

/// A folder of models that does not pass its checks, or a model that failed on a dataset.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
pub struct Refusal {
    /// The model, as `name@version`.
    #[schema(example = "yfs_blood@2")]
    pub model: String,
    /// Why it is not served.
    pub reason: String,
}

/// A version that is served.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct ServedVersion {
    /// The model, as `name@version`.
    #[schema(example = "yfs_blood@2")]
    pub model: String,
    /// `profile` or `genotype`.
    pub kind: &'static str,
    /// `sha256:` and the digest of its files.
    pub digest: String,
    /// Whether its name alone means it.
    pub is_default: bool,
}

impl ServedVersion {
    /// Lists every version: profile models, then genotype models.
    #[must_use]
    pub fn all(profile: &Shelf<Arc<ServedModel>>, genotype: &Shelf<Arc<ServedGenotypeModel>>) -> Vec<Self> {
        let one =
            |model: String, kind, digest: &str, is_default| Self { model, kind, digest: digest.to_owned(), is_default };
        let profile =
            profile.iter().map(|shelved| one(shelved.label(), "profile", &shelved.item.digest, shelved.is_default));
        let genotype =
            genotype.iter().map(|shelved| one(shelved.label(), "genotype", &shelved.item.digest, shelved.is_default));
        profile.chain(genotype).collect()
    }
}

/// What a look at the folder of models has brought.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, ToSchema)]
pub struct Reloaded {
    /// Versions that were loaded, replaced, or made what their name alone means.
    pub changed: Vec<String>,
    /// Versions that are not served any more.
    pub removed: Vec<String>,
    /// How many versions are served on as they were.
    pub unchanged: usize,
    /// What is not served, and why; where an earlier version of the same folder was served, it is served on.
    pub refused: Vec<Refusal>,
    /// Every version that is served now.
    pub models: Vec<ServedVersion>,
}

/// The wish for a look at every folder of models: the outcome is sent back once it is served.
#[derive(Debug)]
pub struct Reload(pub oneshot::Sender<Reloaded>);

/// Where the wish for a look goes; looks are taken one after another.
pub type Reloader = mpsc::Sender<Reload>;

/// Asks for a look at every folder of models, and waits until its outcome is served; `None` where nobody takes it.
pub async fn reload(reloader: &Reloader) -> Option<Reloaded> {
    let (reply, reloaded) = oneshot::channel();
    reloader.send(Reload(reply)).await.ok()?;
    reloaded.await.ok()
}

/// Looks at the folder of models anew: loads versions that are new or have changed, lets go those that are gone, and
/// checks all others from the first byte to the last.
#[utoipa::path(
    post,
    path = "/v1/admin/models:reload",
    operation_id = "reloadModels",
    tag = "admin",
    description = "Every folder is verified whole: digests, tensors, golden sample; a new version also has to give a \
                   first prediction. The answer comes once the outcome is served; requests at work end with the \
                   versions that they began with, and none fails. A folder that does not pass is refused: what was \
                   served of it before is served on. The service does the same on SIGHUP, and looks for changed \
                   folders by itself every few seconds.",
    responses(
        (status = 200, description = "What has changed, and every version that is served now", body = Reloaded),
        (status = 422, description = "`models-refused`: `errors` names each refused version and why; all other changes are served", body = ProblemDetails, content_type = "application/problem+json"),
        (status = 503, description = "`unavailable`", body = ProblemDetails, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn reload_models(state: State<Arc<AppState>>, query: Query) -> Result<Response, Problem> {
    query.only(&[])?;
    let unavailable = || Problem::new(Kind::Unavailable, "models cannot be reloaded at the moment");
    let reloader = state.reloader.as_ref().ok_or_else(unavailable)?;
    let reloaded = reload(reloader).await.ok_or_else(unavailable)?;
    if !reloaded.refused.is_empty() {
        let names: Vec<&str> = reloaded.refused.iter().map(|one| one.model.as_str()).collect();
        let changed = reloaded.changed.len() + reloaded.removed.len();
        let detail = format!("refused: {}; {changed} other changes are served", names.join(", "));
        let wrong = |one: Refusal| Wrong { pointer: one.model, detail: one.reason };
        let errors = reloaded.refused.into_iter().map(wrong).collect();
        return Err(Problem::new(Kind::ModelsRefused, detail).with_errors(errors));
    }
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    Ok((StatusCode::OK, headers, to_json(&reloaded)).into_response())
}
