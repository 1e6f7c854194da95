//! The pages of the models: what is served and how good it is, and the card of each model for people.
//!
//! Every number is the card's or counted from the model's genes; what a card does not say is shown as not known.

mod accuracy;
mod genotype;
mod parts;
mod profile;

use std::fmt::Write as _;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;

use super::frame::{Page, Tab, curl, html};
use super::{count, escape, path_segment};
use crate::genome::Tissue;
use crate::http::admin::Refusal;
use crate::http::extract::{Query, Segment};
use crate::http::state::{AppState, LoadedDataset, Snapshot, unknown_model};
use crate::model::shelf::{Shelved, split_label};
use parts::{Headline, table};

const STYLES: &[&str] = &["models.css"];
/// How many names are suggested for one that is not loaded.
const SUGGESTIONS: usize = 12;

/// Returns the routes of these pages.
pub(crate) fn routes() -> Router<Arc<AppState>> {
    Router::new().route("/models", get(list)).route("/models/{model}", get(card))
}

async fn list(state: State<Arc<AppState>>) -> Response {
    let content = list_content(&state.snapshot(), &state.refused());
    Page { title: "Models", tab: Tab::Models, scripts: &[], styles: STYLES, search: "", content: &content }.respond()
}

async fn card(state: State<Arc<AppState>>, path: Segment, query: Query, headers: HeaderMap) -> Response {
    let snapshot = state.snapshot();
    let asked = query.all("gene").next();
    let content = if let Some(model) = snapshot.expression_models.find(&path.0) {
        genotype::content(&model, asked)
    } else if let Some(model) = snapshot.models.find(&path.0) {
        profile::content(&snapshot, &model)
    } else {
        return unknown(&snapshot, &path.0);
    };
    let line = format!("'{{host}}/v1/models/{}'", path_segment(&path.0));
    let content = format!("{content}<h2>The card for programs</h2>{}", curl(&state, &headers, &line));
    Page { title: &path.0, tab: Tab::Models, scripts: &[], styles: STYLES, search: "", content: &content }.respond()
}

/// The page of a model that is not loaded: the names that are nearest to it.
fn unknown(snapshot: &Snapshot, named: &str) -> Response {
    let (name, _) = split_label(named);
    let mut names: Vec<&String> = snapshot.models.names().chain(snapshot.expression_models.names()).collect();
    names.sort_by(|a, b| strsim::jaro_winkler(b, name).total_cmp(&strsim::jaro_winkler(a, name)).then(a.cmp(b)));
    names.dedup();
    let problem = unknown_model(named, snapshot.labels());
    let (_, title, status) = problem.kind().describe();
    let shown: String = named.chars().take(80).collect();
    let mut content =
        format!("<h1>{}</h1><p class=\"lead\">No model ‘{}’ is loaded.</p>", escape(title), escape(&shown));
    if names.is_empty() {
        content.push_str(NOTHING);
    } else {
        content.push_str("<h2>Did you mean</h2><ul class=\"links\">");
        for name in names.into_iter().take(SUGGESTIONS) {
            let _ = write!(content, "<li><a href=\"/models/{}\">{}</a></li>", path_segment(name), escape(name));
        }
        content.push_str("</ul><p><a href=\"/models\">All models</a></p>");
    }
    let page = Page { title, tab: Tab::Models, scripts: &[], styles: STYLES, search: "", content: &content };
    html(status, page.html()).into_response()
}

const NOTHING: &str = "<p class=\"card\">No model is loaded. <code>tissuecast models import</code> takes weights that \
                       others trained (PredictDB, FUSION and more), <code>tissuecast train genotype</code> and \
                       <code>tissuecast train profile</code> make a model of your own data; the service finds either \
                       in its folder of models within seconds.</p>";

fn list_content(snapshot: &Snapshot, refused: &[Refusal]) -> String {
    let mut content = String::from(
        "<h1>Models</h1><p class=\"lead\">What this service predicts with, and how good each model is beside the \
         strongest simple method that was measured on the same genes.</p>",
    );
    if snapshot.models.is_empty() && snapshot.expression_models.is_empty() {
        content.push_str(NOTHING);
    }
    if !snapshot.expression_models.is_empty() {
        content.push_str("<h2>Models that predict expression from genotypes</h2>");
        let mut groups = Groups::default();
        for model in snapshot.expression_models.iter() {
            groups.add(model.name, &genotype_row(&model, has_several(snapshot, model.name)));
        }
        let heads = ["model, method", "accuracy", "tissue", "+genes", "people", "assembly", "unit"];
        table(&mut content, "Models that predict expression from genotypes", "", &heads, &groups.finish());
    }
    if !snapshot.models.is_empty() {
        content.push_str("<h2>Models that impute tissue profiles</h2>");
        let mut groups = Groups::default();
        for model in snapshot.models.iter() {
            groups.add(model.name, &profile_row(snapshot, &model));
        }
        let heads = ["model, method", "accuracy", "+tissues", "+genes", "trained on", "unit", "datasets"];
        table(&mut content, "Models that impute tissue profiles", "", &heads, &groups.finish());
    }
    if !refused.is_empty() {
        content.push_str("<h2>Refused</h2><p>These do not pass their checks; what was served before is served on.</p>");
        let mut rows = String::from("<tbody>");
        for Refusal { model, reason } in refused {
            let _ = write!(rows, "<tr><th scope=\"row\">{}</th><td>{}</td></tr>", escape(model), escape(reason));
        }
        rows.push_str("</tbody>");
        table(&mut content, "Refused models", "", &["model", "reason"], &rows);
    }
    content
}

/// Rows of a table, those of one name together.
#[derive(Default)]
struct Groups<'a> {
    html: String,
    last: Option<&'a str>,
}

impl<'a> Groups<'a> {
    fn add(&mut self, name: &'a str, row: &str) {
        if self.last != Some(name) {
            self.html.push_str(if self.last.is_some() { "</tbody><tbody>" } else { "<tbody>" });
            self.last = Some(name);
        }
        self.html.push_str(row);
    }

    fn finish(mut self) -> String {
        self.html.push_str(if self.last.is_some() { "</tbody>" } else { "" });
        self.html
    }
}

fn has_several(snapshot: &Snapshot, name: &str) -> bool {
    let genotype = snapshot.expression_models.iter().filter(|one| one.name == name).count();
    genotype + snapshot.models.iter().filter(|one| one.name == name).count() > 1
}

/// The first cell of a row: the name alone leads to the default version, every other version to itself.
fn name_cell<T>(shelved: &Shelved<'_, T>, several: bool, method: &str) -> String {
    let (name, version) = (escape(shelved.name), escape(shelved.version));
    let link = if shelved.is_default {
        let mark = if several { " <span class=\"badge\">default</span>" } else { "" };
        let path = path_segment(shelved.name);
        format!("<a href=\"/models/{path}\">{name}</a><span class=\"soft\">@{version}</span>{mark}")
    } else {
        format!("<a href=\"/models/{}\">{name}@{version}</a>", path_segment(&shelved.label()))
    };
    format!("<tr><th scope=\"row\">{link}<br><span class=\"soft\">{}</span></th>", escape(method))
}

/// The cell of a model's accuracy, with that of the strongest simple method below it.
fn accuracy_cell(Headline { own, beside }: &Headline) -> String {
    let below = |beside: &String| format!("<br><span class=\"soft\">{}</span>", escape(beside));
    format!("<td class=\"accuracy\">{}{}</td>", escape(own), beside.as_ref().map_or(String::new(), below))
}

fn genotype_row(shelved: &genotype::Model<'_>, several: bool) -> String {
    let card = &shelved.item.card;
    let unknown = || "not known".to_owned();
    let tissue = card.tissue.as_deref().map_or_else(unknown, |id| Tissue::from_name(id).name().to_owned());
    let people = match (card.n_samples, &card.population) {
        (Some(people), Some(population)) => format!("{}: {population}", count(people as usize)),
        (Some(people), None) => count(people as usize),
        (None, Some(population)) => population.clone(),
        (None, None) => unknown(),
    };
    let lifted = card.liftover.as_ref().map_or(String::new(), |lifted| format!(", lifted to {}", lifted.assembly));
    let assembly = card.assembly.as_ref().map_or("by identifier alone".to_owned(), |own| format!("{own}{lifted}"));
    format!(
        "{}{}<td>{}</td><td class=\"number\">{}</td><td>{}</td><td>{}</td><td class=\"unit\">{}</td></tr>",
        name_cell(shelved, several, &card.method),
        accuracy_cell(&genotype::headline(shelved.item)),
        escape(&tissue),
        count(card.genes),
        escape(&people),
        escape(&assembly),
        escape(&card.unit),
    )
}

fn profile_row(snapshot: &Snapshot, shelved: &profile::Model<'_>) -> String {
    let card = &shelved.item.card;
    let reads = datasets(snapshot, &shelved.label());
    format!(
        "{}{}<td class=\"number\">{}</td><td class=\"number\">{}</td><td>{} ({})</td><td>{}</td><td>{}</td></tr>",
        name_cell(shelved, has_several(snapshot, shelved.name), &card.method),
        accuracy_cell(&profile::headline(card)),
        count(card.tissues.len()),
        count(card.training.genes),
        escape(&card.training.dataset),
        escape(&card.training.assembly),
        escape(&profile::unit(card)),
        escape(&if reads.is_empty() { "none of those loaded".to_owned() } else { reads.join(", ") }),
    )
}

/// The datasets that a profile model is at work on.
fn datasets(snapshot: &Snapshot, label: &str) -> Vec<String> {
    let reads = |loaded: &LoadedDataset| loaded.completions.get(label).is_some();
    snapshot.datasets.iter().filter(|(_, loaded)| reads(loaded)).map(|(name, _)| name.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::shelf::Shelf;

    #[test]
    fn versions_of_a_name_stand_together_and_one_link_is_the_name() {
        let mut shelf = Shelf::default();
        for (name, version) in [("a<b", "1"), ("a<b", "2"), ("c", "1")] {
            shelf.insert(name, version, ());
        }
        let mut groups = Groups::default();
        for one in shelf.iter() {
            groups.add(one.name, &name_cell(&one, one.name == "a<b", "ridge"));
        }
        let html = groups.finish();
        assert_eq!(html.matches("<tbody>").count(), 2);
        assert!(html.contains("<a href=\"/models/a%3Cb@1\">a&lt;b@1</a>"), "{html}");
        assert!(html.contains("<a href=\"/models/a%3Cb\">a&lt;b</a><span class=\"soft\">@2</span> <span"), "{html}");
        assert_eq!(html.matches("default").count(), 1, "a name with one version needs no mark: {html}");
    }

    #[test]
    fn nothing_loaded_says_what_to_do() {
        let snapshot = Snapshot::new(Vec::new(), Shelf::default(), None, 0);
        let html = list_content(&snapshot, &[Refusal { model: "m@1".to_owned(), reason: "<torn>".to_owned() }]);
        assert!(html.contains("tissuecast models import") && html.contains("&lt;torn&gt;") && html.contains("m@1"));
    }
}
