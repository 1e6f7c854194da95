//! The page that lists the API's operations, made from the OpenAPI document.

use std::fmt::Write as _;

use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::{OpenApi, RefOr};

use super::escape;
use super::pages::frame;
use crate::http::problem::Kind;

/// Returns the page.
#[must_use]
pub fn page(document: &OpenApi) -> String {
    let mut content = String::from(
        "<h1>API</h1><p class=\"lead\">Every operation of this service. The contract for programs is \
         <a href=\"/openapi.yaml\">openapi.yaml</a>.</p>",
    );
    // What people come for first, the service's own routes behind it.
    let mut paths: Vec<_> = document.paths.paths.iter().collect();
    paths.sort_by_key(|(path, _)| !path.starts_with("/v1/"));
    for (path, item) in paths {
        for (method, operation) in operations(item) {
            operation_card(&mut content, path, method, operation);
        }
    }
    content.push_str(
        "<h2>Problems</h2><div class=\"scroll\"><table><caption>Errors are application/problem+json (RFC 9457)</caption>\
         <thead><tr><th scope=\"col\">type</th><th scope=\"col\">status</th><th scope=\"col\">title</th></tr></thead><tbody>",
    );
    for kind in Kind::ALL {
        let (name, title, status) = kind.describe();
        let _ = write!(content, "<tr><td><code>{name}</code></td><td>{}</td><td>{title}</td></tr>", status.as_u16());
    }
    content.push_str("</tbody></table></div>");
    frame("API · Tissuecast", "", &content)
}

fn operations(item: &PathItem) -> impl Iterator<Item = (&'static str, &Operation)> {
    let named = [("get", &item.get), ("post", &item.post)];
    named.into_iter().filter_map(|(method, operation)| operation.as_ref().map(|operation| (method, operation)))
}

fn operation_card(content: &mut String, path: &str, method: &str, operation: &Operation) {
    let summary = operation.summary.as_deref().or(operation.description.as_deref()).unwrap_or_default();
    let _ = write!(
        content,
        "<section class=\"card\"><h2><span class=\"method {method}\">{}</span> <code>{}</code></h2><p>{}</p>",
        method.to_uppercase(),
        escape(path),
        escape(summary),
    );
    let parameters = operation.parameters.as_deref().unwrap_or_default();
    if !parameters.is_empty() {
        content.push_str("<dl class=\"facts\">");
        for parameter in parameters {
            let RefOr::T(parameter) = parameter else { continue };
            let description = parameter.description.as_deref().unwrap_or_default();
            let _ =
                write!(content, "<dt><code>{}</code></dt><dd>{}</dd>", escape(&parameter.name), escape(description));
        }
        content.push_str("</dl>");
    }
    let codes: Vec<&str> = operation.responses.responses.keys().map(String::as_str).collect();
    let _ = write!(content, "<p>Answers: {}</p></section>", escape(&codes.join(", ")));
}
