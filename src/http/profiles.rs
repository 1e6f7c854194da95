//! `GET /v1/genes/{gene}/profile` and `POST /v1/profiles`.

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::answer::{ProfileAnswer, Row, Source, table, to_json};
use super::audit::Audit;
use super::complete::{self, EngineTimings, Subject};
use super::extract::{Json, Query, Segment};
use super::genes::PagingInfo;
use super::lookup;
use super::negotiate::{Format, TABULAR};
use super::problem::{Kind, Problem, ProblemDetails};
use super::rendered::Rendered;
use super::state::{AppState, Snapshot};
use super::submission::{self, Item, ProfilesBody};
use crate::model::shelf::Versioned;
use crate::web::plot::View;

/// What a profile is offered in.
const PROFILE_FORMATS: [Format; 4] = [Format::Json, Format::Tsv, Format::Arrow, Format::Svg];
const PROFILE_PARAMETERS: [&str; 9] =
    ["dataset", "model", "tissue", "missing_only", "explain", "format", "sort", "scale", "colours"];

/// A profile with what its headers are made of.
pub(crate) struct Found {
    pub(crate) profile: ProfileAnswer,
    pub(crate) timings: EngineTimings,
}

/// Finds a gene and completes its profile, with an explanation of what is imputed where that is wanted.
///
/// # Errors
/// The gene, dataset or model is unknown, or the engine refused or failed.
pub(crate) async fn find(
    snapshot: &Snapshot,
    gene: &str,
    dataset: Option<&str>,
    model: Option<&str>,
    explain: bool,
) -> Result<Found, Problem> {
    let dataset = snapshot.dataset(dataset)?;
    let completion = dataset.completion(model)?.map(Arc::as_ref);
    let subject = [Subject::Known(lookup::gene(dataset, gene)?)];
    let (mut profiles, timings) = complete::profiles(dataset, completion, &subject, explain).await?;
    let profile = profiles.pop().ok_or_else(|| Problem::new(Kind::Internal, "the profile got lost"))?;
    Ok(Found { profile, timings })
}

/// Gives a gene's profile over the dataset's tissues: measured where it is measured, imputed where it is missing.
#[utoipa::path(
    get,
    path = "/v1/genes/{gene}/profile",
    operation_id = "getProfile",
    tag = "profiles",
    params(
        ("gene" = String, Path, description = "Ensembl identifier, with or without version, or symbol", example = "DDX11"),
        ("dataset" = Option<String>, Query, description = "The dataset; needed where several are loaded and none is the default"),
        ("model" = Option<String>, Query, description = "The model, as `name` or `name@version`; the dataset's default one where it is left out"),
        ("tissue" = Option<Vec<String>>, Query, description = "Only these tissues, by identifier or name; may be repeated"),
        ("missing_only" = Option<bool>, Query, description = "Only tissues that were not measured"),
        ("explain" = Option<bool>, Query, description = "Adds to each imputed tissue what the promoter, the neighbours and the gene's own measured tissues do to it, measured by leaving each out: `moved` on the model's scale (log2(1 + x), or 0 to 1 for a model of relative shapes) and `share`; computed afresh"),
        ("format" = Option<String>, Query, description = "`json`, `tsv`, `arrow` or `svg`; wins over `Accept`"),
        ("sort" = Option<String>, Query, description = "The plot's order: `gtex` (the default), `value` or `system` (by body system); tables stay in the dataset's order"),
        ("scale" = Option<String>, Query, description = "The plot's axis: `linear` (the default) or `log` (log(1 + x))"),
        ("colours" = Option<String>, Query, description = "The plot's colours: `gtex` (the default) or `safe`, for any colour vision: neighbouring body systems differ, and colours repeat"),
    ),
    responses(
        (status = 200, description = "The profile", content(
            (ProfileAnswer = "application/json"),
            (String = "text/tab-separated-values"),
            (Vec<u8> = "application/vnd.apache.arrow.stream"),
            (String = "image/svg+xml"),
        )),
        (status = 304, description = "The client has this profile (`If-None-Match`)"),
        (status = 404, description = "`unknown-gene`, `unknown-dataset`, `unknown-model`", body = ProblemDetails, content_type = "application/problem+json"),
        (status = 406, description = "`not-acceptable`", body = ProblemDetails, content_type = "application/problem+json"),
        (status = 409, description = "`ambiguous-gene`, with the candidates", body = ProblemDetails, content_type = "application/problem+json"),
        (status = 422, description = "`invalid-parameter`, `no-default-dataset`, `model-does-not-fit`", body = ProblemDetails, content_type = "application/problem+json"),
        (status = 503, description = "`overloaded`, `unavailable`", body = ProblemDetails, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn get_profile(
    state: State<Arc<AppState>>,
    path: Segment,
    raw: RawQuery,
    query: Query,
    asked: (HeaderMap, Audit),
) -> Result<Response, Problem> {
    let (headers, audit) = asked;
    let format = Format::choose(&headers, query.one("format")?, &PROFILE_FORMATS)?;
    let snapshot = state.snapshot();
    // A raw query has no '#' in it, so that no two requests share a key.
    let key = format!("{}#{}#{}", format.name(), raw.0.as_deref().unwrap_or_default(), path.0);
    if let Some(rendered) = snapshot.rendered.get(&key) {
        note(&audit, &snapshot, (query.one("dataset")?, query.one("model")?));
        return Ok(rendered.respond(&headers));
    }
    query.only(&PROFILE_PARAMETERS)?;
    let missing_only = query.flag("missing_only")?;
    let explain = query.flag("explain")?;
    let view = View::parse(&query)?;
    let (dataset, model) = (query.one("dataset")?, query.one("model")?);
    let wanted = tissues(&snapshot, dataset, &query)?;
    let Found { mut profile, timings } = find(&snapshot, &path.0, dataset, model, explain).await?;
    if let Some(wanted) = wanted {
        profile.tissues.retain(|one| wanted.contains(&one.tissue));
    }
    if missing_only {
        profile.tissues.retain(|one| one.source != Source::Measured);
    }
    note(&audit, &snapshot, (dataset, model));
    let digest = profile.model.as_ref().map(|model| model.digest.clone());
    let rendered =
        Rendered::new(profile.write(format, explain, view)?, format, &profile.dataset.version, digest.as_deref());
    let rendered = Arc::new(rendered);
    let mut response = rendered.respond(&headers);
    response.extensions_mut().insert(timings);
    snapshot.rendered.insert(key, rendered);
    Ok(response)
}

/// Notes a gene's profile that was found.
fn note(audit: &Audit, snapshot: &Snapshot, (dataset, model): (Option<&str>, Option<&str>)) {
    let completion = snapshot.dataset(dataset).and_then(|dataset| dataset.completion(model));
    audit.models(completion.ok().flatten().map(Versioned::label));
    audit.genes(1);
}

/// The identifiers of the tissues that the query names, or `None` where it names none.
fn tissues(snapshot: &Snapshot, dataset: Option<&str>, query: &Query) -> Result<Option<Vec<String>>, Problem> {
    let reference = &snapshot.dataset(dataset)?.reference;
    let mut found = Vec::new();
    for text in query.all("tissue") {
        let at = lookup::tissue(reference, text)
            .map_err(|(detail, nearest)| Problem::parameter("tissue", detail).with_candidates(nearest))?;
        found.push(reference.tissues()[at].id().to_owned());
    }
    Ok(if found.is_empty() { None } else { Some(found) })
}

/// One item of a batch's answer.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub enum BatchItem {
    /// The gene's profile.
    Profile(Box<ProfileAnswer>),
    /// The gene was not found, or several have its symbol.
    NotFound(Box<NotFound>),
}

/// A gene of a batch that was not found.
#[derive(Debug, Serialize, ToSchema)]
pub struct NotFound {
    /// What was asked for.
    pub query: String,
    /// Why it was not found.
    pub error: ProblemDetails,
}

/// The answer to a batch: one item a posted gene, in order.
#[derive(Debug, Serialize, ToSchema)]
pub struct ProfilesAnswer {
    /// The items, in the order of the request.
    pub data: Vec<BatchItem>,
    /// Always one page.
    pub paging_info: PagingInfo,
}

/// Gives the profiles of many genes, known ones and ones that no dataset has.
#[utoipa::path(
    post,
    path = "/v1/profiles",
    operation_id = "postProfiles",
    tag = "profiles",
    params(("format" = Option<String>, Query, description = "`json`, `tsv` or `arrow`; wins over `Accept`")),
    request_body(content = ProfilesBody, content_type = "application/json"),
    responses(
        (status = 200, description = "One item a gene, in order; known genes that are not found are listed as such", content(
            (ProfilesAnswer = "application/json"),
            (String = "text/tab-separated-values"),
            (Vec<u8> = "application/vnd.apache.arrow.stream"),
        )),
        (status = 400, description = "`malformed-body`", body = ProblemDetails, content_type = "application/problem+json"),
        (status = 404, description = "`unknown-dataset`, `unknown-model`", body = ProblemDetails, content_type = "application/problem+json"),
        (status = 406, description = "`not-acceptable`", body = ProblemDetails, content_type = "application/problem+json"),
        (status = 413, description = "`body-too-large`", body = ProblemDetails, content_type = "application/problem+json"),
        (status = 415, description = "`unsupported-media-type`", body = ProblemDetails, content_type = "application/problem+json"),
        (status = 422, description = "`invalid-item` naming every wrong item, `no-default-dataset`, `model-does-not-fit`", body = ProblemDetails, content_type = "application/problem+json"),
        (status = 503, description = "`overloaded`, `unavailable`", body = ProblemDetails, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn post_profiles(
    state: State<Arc<AppState>>,
    query: Query,
    headers: HeaderMap,
    audit: Audit,
    body: Json<ProfilesBody>,
) -> Result<Response, Problem> {
    query.only(&["format"])?;
    let format = Format::choose(&headers, query.one("format")?, &TABULAR)?;
    let snapshot = state.snapshot();
    let Json(body) = body;
    let dataset = snapshot.dataset(body.dataset.as_deref())?;
    let completion = dataset.completion(body.model.as_deref())?.map(Arc::as_ref);
    audit.models(completion.map(Versioned::label));
    let mut subjects = Vec::new();
    let mut order = Vec::new();
    for item in submission::items(dataset, &state.limits, &body)? {
        match item {
            Item::Subject(subject) => {
                subjects.push(subject);
                order.push(None);
            }
            Item::NotFound(query, problem) => order.push(Some((query, problem))),
        }
    }
    let (profiles, timings) = complete::profiles(dataset, completion, &subjects, body.explain).await?;
    audit.genes(profiles.len());
    let mut profiles = profiles.into_iter();
    let answered = order.into_iter().filter_map(|missed| match missed {
        None => profiles.next().map(|profile| BatchItem::Profile(Box::new(profile))),
        Some((query, problem)) => Some(BatchItem::NotFound(Box::new(NotFound { query, error: problem.details(None) }))),
    });
    let data: Vec<BatchItem> = answered.collect();
    let bytes = match format {
        Format::Json | Format::Svg | Format::Bed | Format::Parquet => {
            let paging_info = PagingInfo::whole(data.len());
            to_json(&ProfilesAnswer { data, paging_info })
        }
        Format::Tsv => table(data.iter().map(BatchItem::row), body.explain).tsv().into_bytes(),
        Format::Arrow => table(data.iter().map(BatchItem::row), body.explain).arrow()?,
    };
    let version = &dataset.reference.dataset().version;
    let digest = completion.map(|completion| completion.model.digest.as_str());
    // A POST answers its own body: its entity tag would compare to nothing.
    let mut response = Rendered::new(bytes, format, version, digest).respond(&HeaderMap::new()).into_response();
    response.headers_mut().remove(axum::http::header::ETAG);
    response.extensions_mut().insert(timings);
    Ok(response)
}

impl BatchItem {
    fn row(&self) -> Row<'_> {
        match self {
            Self::Profile(profile) => Row::Profile(profile),
            Self::NotFound(missed) => Row::NotFound(&missed.query),
        }
    }
}
