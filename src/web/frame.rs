//! What all pages share: the frame, its navigation and search, the policy that they load under, and problems as pages.

use std::fmt::Write as _;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::{escape, in_dataset, path_segment};
use crate::http::problem::Problem;
use crate::http::state::{AppState, Snapshot};

/// Everything comes from this host; plots are saved by way of a `blob:`.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; \
                      worker-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// A part of the site, as the navigation names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tab {
    Genes,
    Predict,
    Impute,
    Models,
    Api,
}

impl Tab {
    const ALL: [(Self, &'static str, &'static str); 5] = [
        (Self::Genes, "/", "Genes"),
        (Self::Predict, "/predict", "Predict"),
        (Self::Impute, "/impute", "Impute"),
        (Self::Models, "/models", "Models"),
        (Self::Api, "/docs", "API"),
    ];
}

/// A page to be put into the frame.
#[derive(Debug)]
pub(crate) struct Page<'a> {
    /// The title, escaped here.
    pub(crate) title: &'a str,
    pub(crate) tab: Tab,
    /// Scripts of this page alone, by file name.
    pub(crate) scripts: &'a [&'a str],
    /// Styles of this page alone, by file name.
    pub(crate) styles: &'a [&'a str],
    /// The search in the header; the start page has its own.
    pub(crate) search: &'a str,
    /// The page's content as HTML.
    pub(crate) content: &'a str,
}

impl Page<'_> {
    /// Returns the page as HTML.
    pub(crate) fn html(&self) -> String {
        let mut head = String::new();
        for style in ["style.css"].iter().chain(self.styles) {
            let _ = write!(head, "<link rel=\"stylesheet\" href=\"/assets/{style}\">");
        }
        for script in ["search.js"].iter().chain(self.scripts) {
            let _ = write!(head, "<script type=\"module\" src=\"/assets/{script}\"></script>");
        }
        let mut tabs = String::new();
        for (tab, path, name) in Tab::ALL {
            let current = if tab == self.tab { " aria-current=\"page\"" } else { "" };
            let _ = write!(tabs, "<li><a href=\"{path}\"{current}>{name}</a></li>");
        }
        format!(
            "<!doctype html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\"><meta name=\"viewport\" \
             content=\"width=device-width, initial-scale=1\"><title>{title} · Tissuecast</title><link rel=\"icon\" \
             href=\"/assets/icon.svg\">{head}</head>\n<body>\n<a class=\"skip\" href=\"#main\">Skip to content</a>\
             <header class=\"site\"><a class=\"brand\" href=\"/\">Tissuecast</a><nav aria-label=\"Pages\"><ul>{tabs}</ul></nav>\
             {search}</header>\n<main id=\"main\" tabindex=\"-1\">\n{content}\n</main>\n<footer class=\"site\">Tissuecast \
             {version} · <a href=\"/openapi.yaml\">OpenAPI</a> · <a href=\"/readyz\">readiness</a> · nothing on this page \
             comes from another host</footer>\n</body>\n</html>\n",
            title = escape(self.title),
            search = self.search,
            content = self.content,
            version = env!("CARGO_PKG_VERSION"),
        )
    }

    /// Answers with the page.
    pub(crate) fn respond(&self) -> Response {
        html(StatusCode::OK, self.html())
    }
}

/// Answers with a page and the policy that lets it load from this host alone.
pub(crate) fn html(status: StatusCode, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// The search for a gene.
pub(crate) fn search_form(snapshot: &Snapshot, text: &str, dataset: Option<&str>) -> String {
    let mut choice = String::new();
    if snapshot.datasets.len() > 1 {
        let _ = write!(
            choice,
            "<label for=\"search-dataset\">in</label> {}",
            dataset_select(snapshot, dataset, "search-dataset")
        );
    }
    format!(
        "<form class=\"search\" action=\"/genes\" method=\"get\" role=\"search\"><div class=\"combo\"><input name=\"query\" \
         type=\"search\" value=\"{}\" aria-label=\"Gene symbol, identifier or region\" placeholder=\"Symbol, id or region\" autocomplete=\"off\" spellcheck=\"false\" maxlength=\"100\" required></div>{choice}<button>Show \
         profile</button></form>",
        escape(text)
    )
}

/// A choice among the loaded datasets.
pub(crate) fn dataset_select(snapshot: &Snapshot, chosen: Option<&str>, id: &str) -> String {
    let names = snapshot.datasets.keys().map(|name| (name.as_str(), name.as_str()));
    select((id, "dataset", ""), chosen.or(snapshot.default_dataset()).unwrap_or_default(), names)
}

/// A choice among named values: identifier, name and further attributes; value and label of each option.
pub(crate) fn select<'a>(
    (id, name, attributes): (&str, &str, &str),
    chosen: &str,
    options: impl Iterator<Item = (&'a str, &'a str)>,
) -> String {
    let mut out = format!("<select id=\"{id}\" name=\"{name}\"{attributes}>");
    for (value, label) in options {
        let selected = if value == chosen { " selected" } else { "" };
        let _ = write!(out, "<option value=\"{}\"{selected}>{}</option>", escape(value), escape(label));
    }
    out.push_str("</select>");
    out
}

/// Returns this service's address as the browser knows it, as long as it is a plain one.
pub(crate) fn address(headers: &HeaderMap) -> String {
    let plain = |host: &&str| host.bytes().all(|b| b.is_ascii_alphanumeric() || b".-:[]".contains(&b));
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).filter(plain).unwrap_or("127.0.0.1:8080");
    // A proxy in front says how it was reached; the name only goes into text that somebody copies.
    let secure = headers.get("x-forwarded-proto").is_some_and(|scheme| scheme == "https");
    format!("{}://{host}", if secure { "https" } else { "http" })
}

/// Returns a `curl` line to copy; `{host}` in it becomes this service's address.
pub(crate) fn curl(state: &AppState, headers: &HeaderMap, line: &str) -> String {
    let key = if state.access.ring().is_enforced() { "-H \"Authorization: Bearer $KEY\" " } else { "" };
    let line = format!("curl {key}{}", line.replace("{host}", &address(headers)));
    format!(
        "<pre class=\"curl\" tabindex=\"0\" role=\"region\" aria-label=\"Command line\"><code>{}</code></pre>",
        escape(&line)
    )
}

/// A problem as a page: what was wrong, the names that were perhaps meant, and the search.
#[derive(Debug)]
pub(crate) struct ProblemPage {
    problem: Problem,
    tab: Tab,
    /// The search with what was typed.
    search: String,
    /// What is put behind the path of a suggested gene.
    suffix: String,
}

impl ProblemPage {
    pub(crate) fn new(problem: Problem, tab: Tab) -> Self {
        Self { problem, tab, search: String::new(), suffix: String::new() }
    }

    /// Adds the search for a gene, with what was typed.
    pub(crate) fn with_search(mut self, snapshot: &Snapshot, text: &str, dataset: Option<&str>) -> Self {
        self.search = search_form(snapshot, text, dataset.filter(|name| snapshot.datasets.contains_key(*name)));
        self.suffix = in_dataset(dataset);
        self
    }
}

impl IntoResponse for ProblemPage {
    fn into_response(self) -> Response {
        let (_, title, status) = self.problem.kind().describe();
        let detail = self.problem.details(None).detail;
        let mut content = format!("<h1>{}</h1><p class=\"lead\">{}</p>", escape(title), escape(&detail));
        if !self.problem.candidates().is_empty() {
            // Genes that are unknown or several; other names lead to the start.
            let genes = matches!(status, StatusCode::NOT_FOUND | StatusCode::CONFLICT) && self.tab == Tab::Genes;
            content.push_str("<h2>Did you mean</h2><ul class=\"links\">");
            for name in self.problem.candidates() {
                let link = if genes { format!("/genes/{}{}", path_segment(name), self.suffix) } else { "/".to_owned() };
                let _ = write!(content, "<li><a href=\"{}\">{}</a></li>", escape(&link), escape(name));
            }
            content.push_str("</ul>");
        }
        content.push_str(&self.search);
        let page = Page { title, tab: self.tab, scripts: &[], styles: &[], search: "", content: &content };
        html(status, page.html())
    }
}
