//! The page that sends genotypes and shows what comes back. Its scripts talk to `POST /v1/predictions` alone; here stand
//! the form, the models and the limits that it knows before anything is sent.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use axum::routing::get;

use super::escape;
use super::frame::{Page, ProblemPage, Tab, curl};
use crate::http::extract::Query;
use crate::http::state::{AppState, HttpLimits, Snapshot};
use crate::model::expression::ServedGenotypeModel;
use crate::model::shelf::label;

/// Returns the page's route.
pub(super) fn routes() -> Router<Arc<AppState>> {
    Router::new().route("/predict", get(predict))
}

/// The page's form behind the choice of models; the scripts find its parts by their identifiers.
const GENOTYPES: &str = include_str!("predict/genotypes.html");
const POLICIES: &str = include_str!("predict/policies.html");
const RESULTS: &str = include_str!("predict/results.html");

async fn predict(state: State<Arc<AppState>>, query: Query, headers: HeaderMap) -> Result<Response, ProblemPage> {
    query.only(&["model", "gene"]).map_err(|problem| ProblemPage::new(problem, Tab::Predict))?;
    let snapshot = state.snapshot();
    let line = "--data-binary @cohort.vcf.gz -H 'Content-Type: text/vcf' '{host}/v1/predictions?model=all&format=tsv' > predicted.tsv";
    let mut content = format!(
        "<h1>Predict expression from genotypes</h1><p class=\"lead\">Add a cohort's genotypes, choose models, and see what \
         matched, everybody's predicted expression and what it is made of. The file goes to this service alone, is read \
         while it arrives and is not kept.</p><noscript><div class=\"card\"><p>This page needs scripts. Without them the same \
         answer comes by <code>curl</code>:</p>{}</div></noscript>",
        curl(&state, &headers, line)
    );
    if snapshot.expression_models.is_empty() {
        content.push_str(
            "<div class=\"card\"><p>No model that predicts from genotypes is loaded. <code>tissuecast models import</code> \
             brings those that others trained, <code>tissuecast train genotype</code> trains your own; both are served while \
             the service runs.</p></div>",
        );
    } else {
        form(&mut content, &snapshot, &state.limits, &query);
        content.push_str(RESULTS);
    }
    let page = Page {
        title: "Predict expression",
        tab: Tab::Predict,
        // Without a model there is no form to be at work on.
        scripts: if snapshot.expression_models.is_empty() { &[] } else { &["predict.js"] },
        styles: &["predict.css"],
        search: "",
        content: &content,
    };
    Ok(page.respond())
}

fn form(content: &mut String, snapshot: &Snapshot, limits: &HttpLimits, query: &Query) {
    let _ = write!(
        content,
        "<form id=\"predict\" class=\"card\" data-max-bytes=\"{}\" data-max-people=\"{}\" data-max-values=\"{}\" \
         data-max-kept-bytes=\"{}\">{GENOTYPES}",
        limits.genotype_body_bytes, limits.read.samples, limits.answer_values, limits.kept_upload_bytes,
    );
    models(content, snapshot, query);
    let known = ["GRCh37", "GRCh38"].map(str::to_owned);
    let of_models = snapshot.expression_models.iter().filter_map(|one| one.item.card.assembly.clone());
    let assemblies: BTreeSet<String> = known.into_iter().chain(of_models).collect();
    let options: String = assemblies.iter().fold(String::new(), |mut out, name| {
        let _ = write!(out, "<option>{}</option>", escape(name));
        out
    });
    content.push_str(&POLICIES.replace("{assemblies}", &options));
    content.push_str("</form>");
}

/// The default version of every model, the first one chosen where the address chooses none.
fn models(content: &mut String, snapshot: &Snapshot, query: &Query) {
    content.push_str(
        "<fieldset class=\"models\"><legend>Models</legend><div class=\"model-bar\" id=\"model-bar\" hidden><label \
         for=\"model-filter\">Show models with</label> <input type=\"search\" id=\"model-filter\" autocomplete=\"off\" \
         spellcheck=\"false\"><button type=\"button\" class=\"quiet\" id=\"models-all\">All shown</button><button \
         type=\"button\" class=\"quiet\" id=\"models-none\">None</button> <span id=\"models-count\" role=\"status\"></span></div>\
         <div class=\"model-list\" id=\"models\">",
    );
    let wanted: Vec<&str> = query.all("model").collect();
    let mut first = wanted.is_empty();
    for model in snapshot.expression_models.defaults() {
        let card = &model.card;
        let chosen = std::mem::take(&mut first)
            || wanted.iter().any(|named| *named == card.name || *named == label(&card.name, &card.version));
        let _ = write!(
            content,
            "<label><input type=\"checkbox\" name=\"model\" value=\"{}\" data-genes=\"{}\"{}> {} \
             <small>{}</small></label>",
            escape(&card.name),
            card.genes,
            if chosen { " checked" } else { "" },
            escape(&card.name),
            escape(&about(model)),
        );
    }
    let genes: Vec<String> = query.all("gene").map(escape).collect();
    let _ = write!(
        content,
        "</div><label for=\"genes\">Only these genes</label><textarea id=\"genes\" rows=\"2\" spellcheck=\"false\" \
         autocomplete=\"off\" aria-describedby=\"genes-help\">{}</textarea><p id=\"genes-help\" class=\"hint\">Symbols or Ensembl \
         identifiers, separated by blanks, commas or line breaks. Empty: all genes of the models.</p></fieldset>",
        genes.join(" ")
    );
}

fn about(model: &ServedGenotypeModel) -> String {
    let card = &model.card;
    let tissue = card.tissue.clone().unwrap_or_else(|| "tissue not known".to_owned());
    let assembly = match (&card.assembly, &card.liftover) {
        (Some(own), Some(lifted)) => format!("{own} and {}", lifted.assembly),
        (Some(own), None) => own.clone(),
        (None, _) => "by rs number alone".to_owned(),
    };
    format!("{tissue} · {assembly} · {} genes", card.genes)
}
