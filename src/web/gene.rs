//! A gene's page: its profile, and what it rests on.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use axum::routing::get;

use super::frame::{Page, ProblemPage, Tab, curl, search_form};
use super::plot::View;
use super::profile::{Shown, view_parameters};
use super::{escape, in_dataset, path_segment};
use crate::http::audit::Audit;
use crate::http::extract::{Query, Segment};
use crate::http::lookup;
use crate::http::problem::Problem;
use crate::http::profiles::{self, Found};
use crate::http::state::{AppState, Snapshot};
use crate::model::shelf::{Versioned, label};

/// Returns the page's route.
pub(super) fn routes() -> Router<Arc<AppState>> {
    Router::new().route("/genes/{gene}", get(gene))
}

/// What an address chooses beside the gene.
struct Chosen<'a> {
    dataset: Option<&'a str>,
    model: Option<&'a str>,
    view: View,
}

impl<'a> Chosen<'a> {
    fn of(query: &'a Query) -> Result<Self, Problem> {
        let known: Vec<&str> = ["dataset", "model"].into_iter().chain(view_parameters()).collect();
        query.only(&known)?;
        Ok(Self { dataset: query.one("dataset")?, model: query.one("model")?, view: View::parse(query)? })
    }
}

async fn gene(
    state: State<Arc<AppState>>,
    path: Segment,
    query: Query,
    asked: (HeaderMap, Audit),
) -> Result<Response, ProblemPage> {
    let (headers, audit) = asked;
    let snapshot = state.snapshot();
    let named = query.all("dataset").next();
    let page = async {
        let chosen = Chosen::of(&query)?;
        content(&state, &snapshot, &path.0, &chosen, (&headers, &audit)).await
    };
    let (title, content) =
        page.await.map_err(|problem| ProblemPage::new(problem, Tab::Genes).with_search(&snapshot, &path.0, named))?;
    let search = search_form(&snapshot, "", named);
    let page = Page {
        title: &title,
        tab: Tab::Genes,
        scripts: &["profile.js"],
        styles: &[],
        search: &search,
        content: &content,
    };
    Ok(page.respond())
}

/// Returns the page's title and content.
async fn content(
    state: &AppState,
    snapshot: &Snapshot,
    name: &str,
    chosen: &Chosen<'_>,
    (headers, audit): (&HeaderMap, &Audit),
) -> Result<(String, String), Problem> {
    let dataset = snapshot.dataset(chosen.dataset)?;
    let completion = dataset.completion(chosen.model)?.map(Arc::as_ref);
    audit.models(completion.map(Versioned::label));
    let index = lookup::gene(dataset, name)?;
    let Found { profile, .. } = profiles::find(snapshot, name, chosen.dataset, chosen.model, false).await?;
    audit.genes(1);
    let suffix = in_dataset(chosen.dataset);
    let reference = &dataset.reference;
    let shown = Shown {
        profile: &profile,
        dataset,
        completion,
        view: chosen.view,
        index: Some(index),
        locus: reference.gene(index).locus.as_ref(),
        promoter: reference.promoter(index),
        suffix: &suffix,
    };
    let gene = &profile.gene;
    let mut content = format!("<h1>{}</h1>", escape(&gene.symbol));
    shown.facts(&mut content);
    let page = format!("/genes/{}", path_segment(&gene.gene_id));
    let _ = write!(
        content,
        "<section id=\"profile\" aria-label=\"Profile\"><h2>Profile</h2><form id=\"view\" action=\"{page}\" method=\"get\">"
    );
    for (name, value) in [("dataset", chosen.dataset), ("model", chosen.model)] {
        if let Some(value) = value {
            let _ = write!(content, "<input type=\"hidden\" name=\"{name}\" value=\"{}\">", escape(value));
        }
    }
    content.push_str("</form>");
    shown.plot(&mut content, "view");
    // Dataset and model are named, so that the same is shown when another one is the default.
    let mut exact = format!("dataset={}", path_segment(&profile.dataset.name));
    if let Some(model) = &profile.model {
        let _ = write!(exact, "&model={}", path_segment(&label(&model.name, &model.version)));
    }
    let data = format!("/v1/genes/{}/profile?{exact}", path_segment(&gene.gene_id));
    let view = chosen.view.query();
    content.push_str("<h2>Download</h2><ul class=\"links\" data-downloads>");
    let formats = [
        ("tsv", "TSV table", ""),
        ("json", "JSON", ""),
        ("svg", "SVG plot", view.as_str()),
        ("arrow", "Arrow stream", ""),
    ];
    for (format, label, view) in formats {
        let _ = write!(
            content,
            "<li><a href=\"{}\" download=\"{}.{format}\">{label}</a></li>",
            escape(&format!("{data}&format={format}{view}")),
            escape(&gene.symbol),
        );
    }
    let _ = write!(
        content,
        "</ul><p><a href=\"{}\">Link to this view</a>, with dataset and model version.</p>{}</section>",
        escape(&format!("{page}?{exact}{view}")),
        curl(state, headers, &format!("'{{host}}{data}&format=tsv'")),
    );
    shown.missing(&mut content);
    shown.neighbourhood(&mut content);
    shown.promoter(&mut content);
    shown.values(&mut content);
    Ok((gene.symbol.clone(), content))
}
