//! The start page with the search, and what a search finds.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::get;

use super::frame::{Page, ProblemPage, Tab, search_form};
use super::{counted, escape, in_dataset, neighbourhood, path_segment};
use crate::http::extract::Query;
use crate::http::problem::{Kind, Problem};
use crate::http::state::{AppState, LoadedDataset, Snapshot};
use crate::http::{genes, lookup};
use crate::reference::{GeneIndex, Missing};

/// Genes on one page of results.
const PAGE: usize = 100;

/// Returns the pages' routes.
pub(super) fn routes() -> Router<Arc<AppState>> {
    Router::new().route("/", get(index)).route("/genes", get(search))
}

async fn index(state: State<Arc<AppState>>) -> Response {
    let snapshot = state.snapshot();
    let mut content = format!(
        "<h1>In which tissues is a gene expressed?</h1><p class=\"lead\">Search a gene to see its expression in every \
         tissue: measured where it is measured, imputed where it is missing, with an interval.</p>{}",
        search_form(&snapshot, "", None)
    );
    examples(&mut content, &snapshot);
    content.push_str(
        "<h2>What else</h2><ul><li><a href=\"/predict\">Predict</a> the expression of people from their genotypes: drop a \
         VCF or a PLINK set, see which variants were used and why not, and the values of every person and gene.</li>\
         <li><a href=\"/impute\">Impute</a> the profile of a gene that no dataset has, from its place, its promoter and \
         what you measured of it.</li><li><a href=\"/models\">Models</a>: what they were trained on, and how well they do \
         beside simple ones.</li><li><a href=\"/docs\">API</a>: everything here for programs.</li></ul>\
         <h2>Loaded datasets</h2>",
    );
    datasets(&mut content, &snapshot);
    let page = Page {
        title: "Tissue profiles of genes",
        tab: Tab::Genes,
        scripts: &[],
        styles: &[],
        search: "",
        content: &content,
    };
    page.respond()
}

/// A gene of each kind, to look at.
fn examples(content: &mut String, snapshot: &Snapshot) {
    let Ok(dataset) = snapshot.dataset(None) else { return };
    let reference = &dataset.reference;
    let named = |index: &GeneIndex| {
        let gene = reference.gene(*index);
        gene.locus.is_some() && gene.symbol.as_str() != gene.id.as_str()
    };
    let coding = |index: &GeneIndex| {
        reference.gene(*index).biotype.as_ref().is_some_and(|biotype| biotype.as_str() == "protein_coding")
    };
    let first = |wanted: Option<Missing>| {
        let mut of_kind =
            (0..reference.genes().len()).filter(|index| reference.missing(*index) == wanted && named(index));
        let first = of_kind.next()?;
        if coding(&first) { Some(first) } else { of_kind.find(coding).or(Some(first)) }
    };
    let kinds = [
        (None, "measured everywhere"),
        (Some(Missing::SomeTissues), "measured in part"),
        (Some(Missing::NoProfile), "never measured"),
    ];
    let links: Vec<String> = (kinds.into_iter())
        .filter_map(|(wanted, words)| Some((first(wanted)?, words)))
        .map(|(index, words)| {
            let gene = reference.gene(index);
            let (id, symbol) = (path_segment(gene.id.as_str()), escape(gene.symbol.as_str()));
            format!("<a href=\"/genes/{id}\">{symbol}</a> ({words})")
        })
        .collect();
    if !links.is_empty() {
        let _ = write!(content, "<p class=\"small\">For example {}.</p>", links.join(", "));
    }
}

fn datasets(content: &mut String, snapshot: &Snapshot) {
    if snapshot.datasets.is_empty() {
        content.push_str("<p>None yet. <code>tissuecast ingest</code> adds one.</p>");
        return;
    }
    content.push_str(
        "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Loaded datasets\"><table><thead><tr><th \
         scope=\"col\">dataset</th><th scope=\"col\" class=\"number\">genes</th><th scope=\"col\" \
         class=\"number\">tissues</th><th scope=\"col\">unit</th><th scope=\"col\">assembly</th><th scope=\"col\">default \
         model</th></tr></thead><tbody>",
    );
    for (name, loaded) in &snapshot.datasets {
        let reference = &loaded.reference;
        let model = loaded.default_model.as_deref().map_or("none fits".to_owned(), |model| {
            format!("<a href=\"/models/{}\">{}</a>", path_segment(model), escape(model))
        });
        let _ = write!(
            content,
            "<tr><th scope=\"row\">{}</th><td class=\"number\">{}</td><td class=\"number\">{}</td><td>{}</td><td>{}</td>\
             <td>{model}</td></tr>",
            escape(name),
            reference.genes().len(),
            reference.tissues().len(),
            reference.dataset().unit.as_str().to_uppercase(),
            escape(reference.dataset().assembly.as_str()),
        );
    }
    content.push_str("</tbody></table></div>");
}

async fn search(state: State<Arc<AppState>>, query: Query) -> Result<Response, ProblemPage> {
    let snapshot = state.snapshot();
    let typed = query.all("query").next().unwrap_or_default().trim().to_owned();
    let named = query.all("dataset").next();
    answer(&snapshot, &query, &typed)
        .map_err(|problem| ProblemPage::new(problem, Tab::Genes).with_search(&snapshot, &typed, named))
}

/// Leads to the gene where one is meant, else lists what was found.
fn answer(snapshot: &Snapshot, query: &Query, typed: &str) -> Result<Response, Problem> {
    query.only(&["query", "dataset", "page"])?;
    if typed.is_empty() {
        return Ok(Redirect::to("/").into_response());
    }
    let named = query.one("dataset")?;
    let suffix = in_dataset(named);
    let dataset = snapshot.dataset(named)?;
    let Err(missed) = lookup::gene(dataset, typed) else {
        return Ok(Redirect::to(&format!("/genes/{}{suffix}", path_segment(typed))).into_response());
    };
    let region = lookup::region(dataset, typed)?;
    let found = genes::search(dataset, query)?;
    if found.is_empty() {
        let name = &dataset.reference.dataset().name;
        let nowhere = |region| Problem::new(Kind::UnknownGene, format!("dataset '{name}' has no gene in {region}"));
        return Err(region.map_or(missed, nowhere));
    }
    let page = query.number("page", 0, 0..=found.len().div_ceil(PAGE) - 1)?;
    let mut content = format!("<h1>{} for “{}”</h1>", counted(found.len(), "gene"), escape(typed));
    if let Some(region) = &region {
        let drawn = neighbourhood::svg(&dataset.reference, region, None, |_| false, &suffix);
        let _ = write!(content, "<div class=\"card plot\">{drawn}</div>");
        if found.len() > neighbourhood::MOST_GENES {
            let _ = write!(content, "<p>The picture has the first {} of them.</p>", neighbourhood::MOST_GENES);
        }
    }
    listing(&mut content, dataset, found.iter().skip(page * PAGE).take(PAGE), &suffix);
    pages(&mut content, (page, found.len().div_ceil(PAGE)), typed, named);
    let search = search_form(snapshot, typed, named);
    let title = format!("Genes for {typed}");
    Ok(Page { title: &title, tab: Tab::Genes, scripts: &[], styles: &[], search: &search, content: &content }.respond())
}

fn listing<'a>(
    content: &mut String,
    dataset: &LoadedDataset,
    found: impl Iterator<Item = &'a GeneIndex>,
    suffix: &str,
) {
    content.push_str(
        "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Genes\"><table><thead><tr><th \
         scope=\"col\">gene</th><th scope=\"col\">identifier</th><th scope=\"col\">place</th><th scope=\"col\">biotype</th>\
         <th scope=\"col\">profile</th></tr></thead><tbody>",
    );
    let reference = &dataset.reference;
    for index in found {
        let gene = reference.gene(*index);
        let place = gene.locus.as_ref().map_or("–".to_owned(), |locus| {
            format!("{}:{}-{} ({})", locus.chromosome, locus.start, locus.end, locus.strand.as_str())
        });
        let profile = match reference.missing(*index) {
            None => "measured",
            Some(Missing::SomeTissues) => "measured in part",
            Some(Missing::NoProfile) => "not measured",
            Some(Missing::AllZero) => "zero everywhere",
        };
        let _ = write!(
            content,
            "<tr><th scope=\"row\"><a href=\"/genes/{}{suffix}\">{}</a></th><td>{}</td><td>{}</td><td>{}</td>\
             <td>{profile}</td></tr>",
            path_segment(gene.id.as_str()),
            escape(gene.symbol.as_str()),
            escape(gene.id.as_str()),
            escape(&place),
            escape(gene.biotype.as_ref().map_or("–", |biotype| biotype.as_str())),
        );
    }
    content.push_str("</tbody></table></div>");
}

fn pages(content: &mut String, (page, pages): (usize, usize), typed: &str, dataset: Option<&str>) {
    if pages < 2 {
        return;
    }
    let link = |page: usize| {
        let dataset = dataset.map_or(String::new(), |name| format!("&dataset={}", path_segment(name)));
        escape(&format!("/genes?query={}{dataset}&page={page}", path_segment(typed)))
    };
    let _ = write!(content, "<nav aria-label=\"Pages of results\"><p>Page {} of {pages}", page + 1);
    if page > 0 {
        let _ = write!(content, " · <a href=\"{}\">before</a>", link(page - 1));
    }
    if page + 1 < pages {
        let _ = write!(content, " · <a href=\"{}\">next</a>", link(page + 1));
    }
    content.push_str("</p></nav>");
}
