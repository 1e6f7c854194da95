//! The page for a gene that no dataset has: its place, its promoter and what was measured of it; then its profile.
//!
//! The form is read into the item of `POST /v1/profiles`, so that both say the same of the same gene and refuse the same.

mod form;

use std::fmt::Write as _;
use std::sync::Arc;

use axum::Router;
use axum::extract::rejection::FormRejection;
use axum::extract::{Form, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use form::{FIELDS, OBSERVED, Typed};
use serde_json::{Value, json};

use super::frame::{Page, ProblemPage, Tab, curl, html, search_form};
use super::plot::View;
use super::profile::Shown;
use super::{escape, in_dataset, path_segment};
use crate::http::answer::ProfileAnswer;
use crate::http::audit::Audit;
use crate::http::complete::{self, Subject};
use crate::http::extract::Query;
use crate::http::negotiate::Format;
use crate::http::problem::{Kind, Problem, Wrong};
use crate::http::state::{AppState, LoadedDataset};
use crate::http::submission::{self, Item, ProfilesBody};
use crate::model::shelf::{Versioned, label};

/// What a profile is saved in here.
const FORMATS: [Format; 3] = [Format::Tsv, Format::Json, Format::Svg];

/// Returns the page's route.
pub(super) fn routes() -> Router<Arc<AppState>> {
    Router::new().route("/impute", get(show).post(impute))
}

async fn show(state: State<Arc<AppState>>, query: Query, asked: (HeaderMap, Audit)) -> Result<Response, ProblemPage> {
    let is_asked = query.all("chromosome").chain(query.all("tss")).next().is_some();
    respond(&state, (Typed(query), is_asked), &asked).await
}

async fn impute(
    state: State<Arc<AppState>>,
    asked: (HeaderMap, Audit),
    form: Result<Form<Vec<(String, String)>>, FormRejection>,
) -> Result<Response, ProblemPage> {
    let pairs = form.map_err(|rejection| {
        let kind = match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => Kind::BodyTooLarge,
            StatusCode::UNSUPPORTED_MEDIA_TYPE => Kind::UnsupportedMediaType,
            _ => Kind::MalformedBody,
        };
        ProblemPage::new(Problem::new(kind, "the form could not be read: send it from this page"), Tab::Impute)
    })?;
    respond(&state, (Typed(pairs.0.into_iter().collect()), true), &asked).await
}

/// Answers with the form, with what is wrong in it, or with the profile; a format that is named gives the file.
async fn respond(
    state: &AppState,
    (typed, is_asked): (Typed, bool),
    (headers, audit): &(HeaderMap, Audit),
) -> Result<Response, ProblemPage> {
    let snapshot = state.snapshot();
    let failed = |problem: Problem| ProblemPage::new(problem, Tab::Impute);
    let dataset = snapshot.dataset(typed.optional("dataset")).map_err(failed)?;
    let view = View::parse(&typed.0).map_err(failed)?;
    let mut wrong: Vec<Wrong> = typed.ambiguous(dataset);
    let mut shown = None;
    if is_asked && wrong.is_empty() {
        match profile(state, dataset, &typed, audit).await {
            Ok(found) => shown = Some(found),
            Err(problem) if problem.kind() == Kind::InvalidItem => wrong = problem.details(None).errors,
            Err(problem) => return Err(failed(problem)),
        }
    }
    if let (Some(Imputed { profile, .. }), Some(format)) = (&shown, typed.optional("format")) {
        return file(profile, format, view).map_err(failed);
    }
    let mut content = String::from(
        "<h1>A gene that no dataset has</h1><p class=\"lead\">Where it is, its promoter if you know it, and what you \
         measured of it: the rest of its tissue profile is imputed, each value with an interval.</p>",
    );
    form::write(&mut content, &snapshot, dataset, &typed, &wrong);
    if let Some(found) = &shown {
        found.write(&mut content, dataset, (&typed, view), (state, headers));
    }
    let search = search_form(&snapshot, "", typed.optional("dataset"));
    let page = Page {
        title: "Impute a new gene",
        tab: Tab::Impute,
        scripts: &["profile.js"],
        styles: &[],
        search: &search,
        content: &content,
    };
    let status = if wrong.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    Ok(html(status, page.html()))
}

/// Answers with a profile as a file to be saved.
fn file(profile: &ProfileAnswer, format: &str, view: View) -> Result<Response, Problem> {
    let format = Format::choose(&HeaderMap::new(), Some(format), &FORMATS)?;
    let name = format!("attachment; filename=\"profile.{}\"", format.name());
    let disposition = HeaderValue::try_from(name).unwrap_or(HeaderValue::from_static("attachment"));
    let media_type = HeaderValue::from_static(format.content_type());
    let headers = [(header::CONTENT_TYPE, media_type), (header::CONTENT_DISPOSITION, disposition)];
    Ok((headers, profile.write(format, false, view)?).into_response())
}

/// A new gene's profile, and what it was asked with.
struct Imputed {
    profile: ProfileAnswer,
    subject: Subject,
    item: Value,
}

async fn profile(state: &AppState, dataset: &LoadedDataset, typed: &Typed, audit: &Audit) -> Result<Imputed, Problem> {
    let completion = dataset.completion(typed.optional("model"))?.map(Arc::as_ref);
    audit.models(completion.map(Versioned::label));
    let item = typed.item(dataset);
    let body = ProfilesBody {
        dataset: None,
        model: None,
        unit: typed.optional("unit").map(str::to_owned),
        explain: false,
        genes: vec![item.clone()],
    };
    let item_read = submission::items(dataset, &state.limits, &body)?.pop();
    let Some(Item::Subject(subject)) = item_read else {
        return Err(Problem::new(Kind::Internal, "a form's gene is always a new one"));
    };
    let subjects = [subject];
    let (mut profiles, _) = complete::profiles(dataset, completion, &subjects, false).await?;
    audit.genes(1);
    let profile = profiles.pop().ok_or_else(|| Problem::new(Kind::Internal, "the profile got lost"))?;
    let [subject] = subjects;
    Ok(Imputed { profile, subject, item })
}

impl Imputed {
    fn write(
        &self,
        content: &mut String,
        dataset: &LoadedDataset,
        (typed, view): (&Typed, View),
        asked: (&AppState, &HeaderMap),
    ) {
        let Subject::New(gene) = &self.subject else { return };
        let completion = dataset.completion(typed.optional("model")).ok().flatten().map(Arc::as_ref);
        let suffix = in_dataset(typed.optional("dataset"));
        let shown = Shown {
            profile: &self.profile,
            dataset,
            completion,
            view,
            index: None,
            locus: Some(&gene.target.locus),
            promoter: gene.target.promoter.as_ref(),
            suffix: &suffix,
        };
        let _ = write!(
            content,
            "<section id=\"profile\" aria-label=\"Profile\" tabindex=\"-1\"><h2>Profile of {}</h2>",
            escape(&self.profile.gene.symbol)
        );
        shown.facts(content);
        shown.plot(content, "impute");
        content.push_str("<h2>Download</h2><div class=\"buttons\" data-downloads>");
        for (format, label) in [("tsv", "TSV table"), ("json", "JSON"), ("svg", "SVG plot")] {
            let _ = write!(
                content,
                "<button class=\"quiet\" form=\"impute\" name=\"format\" value=\"{format}\">{label}</button>"
            );
        }
        content.push_str("</div>");
        self.reproduce(content, (typed, view), asked);
        shown.missing(content);
        shown.neighbourhood(content);
        shown.promoter(content);
        shown.values(content);
        // All of it is of the form as it was sent: another view replaces all of it.
        content.push_str("</section>");
    }

    /// A link and a command line that give the same again.
    fn reproduce(
        &self,
        content: &mut String,
        (typed, view): (&Typed, View),
        (state, headers): (&AppState, &HeaderMap),
    ) {
        // Longer addresses are cut by some programs that they pass through.
        const LONGEST: usize = 6_000;
        let mut link = String::from("/impute?");
        let fields = FIELDS.iter().map(|(name, ..)| (*name, typed.text(name).to_owned()));
        // Dataset and model are named, so that the same is shown when another one is the default.
        let model = self.profile.model.as_ref().map_or(String::new(), |model| label(&model.name, &model.version));
        let rest =
            [("dataset", self.profile.dataset.name.clone()), ("model", model), ("unit", typed.text("unit").to_owned())];
        for (name, text) in fields.chain(rest.clone()).chain([("promoter", typed.sequence())]) {
            if !text.is_empty() {
                let _ = write!(link, "{name}={}&", path_segment(&text));
            }
        }
        if let Some(Value::Object(observed)) = self.item.get("observed") {
            for (tissue, value) in observed {
                let _ = write!(link, "{}={value}&", path_segment(&format!("{OBSERVED}{tissue}")));
            }
        }
        let link = format!("{}{}", link.trim_end_matches('&'), view.query());
        if link.len() <= LONGEST {
            let _ = write!(content, "<p><a href=\"{}\">Link to this view</a></p>", escape(&link));
        }
        let mut body = json!({ "genes": [self.item] });
        for (name, text) in rest.iter().filter(|(_, text)| !text.is_empty()) {
            body[*name] = json!(text);
        }
        // A quote would end the argument.
        let body = body.to_string().replace('\'', "\\u0027");
        let line = format!("-H 'Content-Type: application/json' '{{host}}/v1/profiles?format=tsv' -d '{body}'");
        content.push_str(&curl(state, headers, &line));
    }
}
