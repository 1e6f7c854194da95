//! The pages: the search, a gene with its plot and table, and what is said of a gene that is not there.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::get;

use super::{escape, path_segment, plot, rounded};
use crate::completion::{fold_range, median};
use crate::http::answer::{ProfileAnswer, Source};
use crate::http::extract::{Query, Segment};
use crate::http::genes::missing_name;
use crate::http::problem::Problem;
use crate::http::profiles;
use crate::http::state::{AppState, Snapshot};

const POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; \
                      frame-ancestors 'none'";

/// Returns the pages' routes.
pub(crate) fn routes() -> Router<Arc<AppState>> {
    Router::new()
        .route("/", get(index))
        .route("/genes", get(search))
        .route("/genes/{gene}", get(gene))
        .route("/assets/style.css", get(async || asset("text/css; charset=utf-8", include_str!("style.css"))))
        .route("/assets/icon.svg", get(async || asset("image/svg+xml", include_str!("icon.svg"))))
}

fn asset(media_type: &'static str, text: &'static str) -> Response {
    let headers = [(header::CONTENT_TYPE, media_type), (header::CACHE_CONTROL, "max-age=3600")];
    (headers, text).into_response()
}

/// Answers with a page and the policy that lets it load from this host alone.
pub(crate) fn html(status: StatusCode, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

/// Puts a page's content into the frame that all pages share.
pub(crate) fn frame(title: &str, search: &str, content: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\"><meta name=\"viewport\" \
         content=\"width=device-width, initial-scale=1\"><title>{}</title><link rel=\"icon\" \
         href=\"/assets/icon.svg\"><link rel=\"stylesheet\" href=\"/assets/style.css\"></head>\n<body>\n\
         <header class=\"site\"><a class=\"brand\" href=\"/\">Tissuecast</a><a href=\"/docs\">API</a>{search}</header>\n\
         <main>\n{content}\n</main>\n<footer class=\"site\">Tissuecast {} · <a href=\"/openapi.yaml\">OpenAPI</a> · \
         <a href=\"/readyz\">readiness</a></footer>\n</body>\n</html>\n",
        escape(title),
        env!("CARGO_PKG_VERSION"),
    )
}

fn search_form(snapshot: &Snapshot, text: &str, dataset: Option<&str>) -> String {
    let mut choice = String::new();
    if snapshot.datasets.len() > 1 {
        choice.push_str("<label for=\"dataset\">in</label> <select id=\"dataset\" name=\"dataset\">");
        for name in snapshot.datasets.keys() {
            let chosen = dataset.or(snapshot.default_dataset()) == Some(name);
            let chosen = if chosen { " selected" } else { "" };
            let name = escape(name);
            let _ = write!(choice, "<option value=\"{name}\"{chosen}>{name}</option>");
        }
        choice.push_str("</select>");
    }
    format!(
        "<form class=\"search\" action=\"/genes\" method=\"get\" role=\"search\"><input name=\"query\" type=\"search\" \
         value=\"{}\" aria-label=\"Gene symbol or identifier\" placeholder=\"Gene symbol or identifier\" \
         autocomplete=\"off\" spellcheck=\"false\" maxlength=\"100\" required>{choice}<button>Show profile</button></form>",
        escape(text)
    )
}

async fn index(state: State<Arc<AppState>>) -> Response {
    let snapshot = state.snapshot();
    let mut content = format!(
        "<h1>In which tissues is a gene expressed?</h1><p class=\"lead\">Search a gene to see its expression in every \
         tissue: measured where it is measured, imputed where it is missing, with an interval.</p>{}",
        search_form(&snapshot, "", None)
    );
    content.push_str("<h2>Loaded datasets</h2>");
    if snapshot.datasets.is_empty() {
        content.push_str("<p>None yet. <code>tissuecast ingest</code> adds one.</p>");
    } else {
        content.push_str(
            "<div class=\"scroll\"><table><thead><tr><th scope=\"col\">dataset</th><th scope=\"col\" class=\"number\">\
             genes</th><th scope=\"col\" class=\"number\">tissues</th><th scope=\"col\">unit</th><th scope=\"col\">\
             assembly</th><th scope=\"col\">default model</th></tr></thead><tbody>",
        );
        for (name, loaded) in &snapshot.datasets {
            let reference = &loaded.reference;
            let _ = write!(
                content,
                "<tr><td>{}</td><td class=\"number\">{}</td><td class=\"number\">{}</td><td>{}</td><td>{}</td>\
                 <td>{}</td></tr>",
                escape(name),
                reference.genes().len(),
                reference.tissues().len(),
                reference.dataset().unit,
                escape(reference.dataset().assembly.as_str()),
                escape(loaded.default_model.as_deref().unwrap_or("none fits")),
            );
        }
        content.push_str("</tbody></table></div>");
    }
    html(StatusCode::OK, frame("Tissuecast: tissue profiles of genes", "", &content))
}

async fn search(query: Query) -> Result<Response, Problem> {
    let Some(text) = query.one("query")?.map(str::trim).filter(|text| !text.is_empty()) else {
        return Ok(Redirect::to("/").into_response());
    };
    let dataset = query.one("dataset")?.map_or(String::new(), |name| format!("?dataset={}", path_segment(name)));
    Ok(Redirect::to(&format!("/genes/{}{dataset}", path_segment(text))).into_response())
}

async fn gene(state: State<Arc<AppState>>, path: Segment, query: Query, headers: HeaderMap) -> Response {
    let snapshot = state.snapshot();
    let chosen = query.one("dataset").and_then(|dataset| Ok((dataset, query.one("model")?)));
    let (dataset, model) = match chosen {
        Ok(chosen) => chosen,
        Err(problem) => return not_found(&snapshot, &path.0, None, &problem),
    };
    match profiles::find(&snapshot, &path.0, dataset, model, false).await {
        Ok(found) => {
            let search = search_form(&snapshot, "", dataset);
            let title = format!("{} · Tissuecast", found.profile.gene.symbol);
            html(StatusCode::OK, frame(&title, &search, &gene_content(&found.profile, (dataset, model), &headers)))
        }
        Err(problem) => not_found(&snapshot, &path.0, dataset, &problem),
    }
}

/// The page of a problem: what was wrong and the names that were perhaps meant.
fn not_found(snapshot: &Snapshot, text: &str, dataset: Option<&str>, problem: &Problem) -> Response {
    let (_, title, status) = problem.kind().describe();
    let detail = problem.details(None).detail;
    let mut content = format!("<h1>{}</h1><p class=\"lead\">{}</p>", escape(title), escape(&detail));
    if !problem.candidates().is_empty() {
        let genes = matches!(status, StatusCode::NOT_FOUND | StatusCode::CONFLICT);
        content.push_str("<h2>Did you mean</h2><ul class=\"links\">");
        let suffix = dataset.map_or(String::new(), |name| format!("?dataset={}", path_segment(name)));
        for name in problem.candidates() {
            let link = if genes { format!("/genes/{}{suffix}", path_segment(name)) } else { "/".to_owned() };
            let _ = write!(content, "<li><a href=\"{}\">{}</a></li>", escape(&link), escape(name));
        }
        content.push_str("</ul>");
    }
    content.push_str(&search_form(snapshot, text, dataset));
    html(status, frame(&format!("{title} · Tissuecast"), "", &content))
}

fn gene_content(profile: &ProfileAnswer, chosen: (Option<&str>, Option<&str>), headers: &HeaderMap) -> String {
    let gene = &profile.gene;
    let mut content = format!("<h1>{}</h1>", escape(&gene.symbol));
    let version = gene.version.map_or(String::new(), |version| format!(".{version}"));
    let place = match (&gene.chromosome, gene.start, gene.end, gene.strand) {
        (Some(chromosome), Some(start), Some(end), Some(strand)) => format!("{chromosome}:{start}-{end} ({strand})"),
        _ => "not in the annotation".to_owned(),
    };
    let state = match profile.missing {
        None => "measured in every tissue".to_owned(),
        Some(missing) => match missing_name(missing) {
            "no_profile" => "not measured in any tissue".to_owned(),
            "some_tissues" => "measured in part of the tissues".to_owned(),
            _ => "measured, and zero in every tissue".to_owned(),
        },
    };
    let model = profile.model.as_ref().map_or("none".to_owned(), |model| format!("{} {}", model.name, model.version));
    content.push_str("<dl class=\"facts\">");
    for (term, text) in [
        ("Identifier", format!("{}{version}", gene.gene_id)),
        ("Place", place),
        ("Biotype", gene.biotype.clone().unwrap_or_else(|| "unknown".to_owned())),
        ("Dataset", format!("{}, {}", profile.dataset.name, profile.unit.to_uppercase())),
        ("Profile", state),
        ("Model", model),
    ] {
        let _ = write!(content, "<dt>{term}</dt><dd>{}</dd>", escape(&text));
    }
    if let Some(text) = certainty(profile) {
        let _ = write!(content, "<dt>Certainty</dt><dd>{}</dd>", escape(&text));
    }
    content.push_str("</dl>");
    if !profile.notes.is_empty() {
        content.push_str("<ul class=\"notes\">");
        for note in &profile.notes {
            let _ = write!(content, "<li>{}</li>", escape(note));
        }
        content.push_str("</ul>");
    }
    let _ = write!(content, "<div class=\"card plot\">{}</div>", plot::svg(profile));
    downloads(&mut content, profile, chosen, headers);
    references(&mut content, profile);
    values(&mut content, profile);
    content
}

/// How sure the imputed values are, in a sentence.
fn certainty(profile: &ProfileAnswer) -> Option<String> {
    let imputed = || profile.tissues.iter().filter(|one| one.source == Source::Imputed);
    let range = median(imputed().filter_map(|one| fold_range(one.lower, one.upper)))?;
    let count = imputed().count();
    let tissues = if count == 1 { "1 imputed tissue".to_owned() } else { format!("{count} imputed tissues") };
    Some(format!(
        "{tissues}; the upper end of an interval is {} times its lower end (median, each with 1 added)",
        rounded(range)
    ))
}

fn downloads(content: &mut String, profile: &ProfileAnswer, chosen: (Option<&str>, Option<&str>), headers: &HeaderMap) {
    let mut query = String::new();
    for (name, value) in [("dataset", chosen.0), ("model", chosen.1)] {
        if let Some(value) = value {
            let _ = write!(query, "{name}={}&", path_segment(value));
        }
    }
    let path = format!("/v1/genes/{}/profile?{query}", path_segment(&profile.gene.gene_id));
    content.push_str("<h2>Download</h2><ul class=\"links\">");
    for (format, label) in [("tsv", "TSV table"), ("json", "JSON"), ("svg", "SVG plot"), ("arrow", "Arrow stream")] {
        let _ = write!(content, "<li><a href=\"{}format={format}\" download>{label}</a></li>", escape(&path));
    }
    // The host as the browser knows it, as long as it is a plain one.
    let plain =
        |host: &&str| host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b':' | b'[' | b']'));
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).filter(plain).unwrap_or("127.0.0.1:8080");
    let _ =
        write!(content, "</ul><pre><code>curl '{}'</code></pre>", escape(&format!("http://{host}{path}format=tsv")));
}

fn references(content: &mut String, profile: &ProfileAnswer) {
    if profile.references.is_empty() {
        return;
    }
    content.push_str(
        "<h2>Reference genes</h2><div class=\"scroll\"><table><caption>Neighbours that the imputed values rest on, \
         nearest first</caption><thead><tr><th scope=\"col\">gene</th><th scope=\"col\">identifier</th><th scope=\"col\" \
         class=\"number\">distance (bp)</th><th scope=\"col\">orientation</th></tr></thead><tbody>",
    );
    for one in &profile.references {
        let orientation = match one.orientation {
            crate::model::Orientation::Tandem => "tandem",
            crate::model::Orientation::Divergent => "divergent",
            crate::model::Orientation::Convergent => "convergent",
        };
        let _ = write!(
            content,
            "<tr><td><a href=\"/genes/{}\">{}</a></td><td>{}</td><td class=\"number\">{}</td><td>{orientation}</td></tr>",
            path_segment(&one.gene_id),
            escape(&one.symbol),
            escape(&one.gene_id),
            one.distance_bp,
        );
    }
    content.push_str("</tbody></table></div>");
}

fn values(content: &mut String, profile: &ProfileAnswer) {
    let _ = write!(
        content,
        "<h2>Values</h2><div class=\"scroll\"><table><caption>By tissue, in {}; relative is 0 at the lowest tissue and 1 \
         at the highest; fold range is (1 + upper) ÷ (1 + lower), 1 would be certain</caption><thead><tr><th scope=\"col\">tissue</th><th scope=\"col\" class=\"number\">value</th>\
         <th scope=\"col\" class=\"number\">interval</th><th scope=\"col\" class=\"number\">fold range</th><th scope=\"col\" class=\"number\">relative</th>\
         <th scope=\"col\">source</th></tr></thead><tbody>",
        profile.unit.to_uppercase()
    );
    let cell = |value: Option<f32>| value.map_or("–".to_owned(), rounded);
    for one in &profile.tissues {
        let interval = one
            .lower
            .zip(one.upper)
            .map_or(String::new(), |(lower, upper)| format!("{} to {}", rounded(lower), rounded(upper)));
        let source = one.source.as_str();
        let shown = if one.source == Source::Unknown { "no value" } else { source };
        let _ = write!(
            content,
            "<tr><td>{}</td><td class=\"number\">{}</td><td class=\"number\">{interval}</td><td class=\"number\">{}</td>\
             <td class=\"number\">{}</td><td class=\"{source}\">{shown}</td></tr>",
            escape(&one.name),
            cell(one.value),
            fold_range(one.lower, one.upper).map_or(String::new(), rounded),
            cell(one.relative),
        );
    }
    content.push_str("</tbody></table></div>");
}
