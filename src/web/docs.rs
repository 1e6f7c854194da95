//! The page that documents the API, made from the OpenAPI document: every operation with its parameters, bodies and
//! answers, the schemas unfolded, and a form that tries it.
//!
//! Reads the document as JSON, so that it shows what programs read. Written once, when the service starts.

mod attempt;
mod operation;
mod schema;

use std::fmt::Write as _;

use serde_json::{Map, Value};
use utoipa::openapi::OpenApi;

use super::frame::{Page, Tab};
use super::{capitalised, escape};
use crate::http::problem::Kind;
use operation::Operation;

/// What lines to copy call the service; the page's script puts its real address there.
const HOST: &str = "http://127.0.0.1:8080";

/// Returns the page.
#[must_use]
pub fn page(document: &OpenApi) -> String {
    // The document is made of strings, numbers and maps by string: JSON can hold each of them.
    let document = serde_json::to_value(document).unwrap_or_default();
    let sections = sections(&document);
    let mut content = String::from(
        "<h1>API</h1><p class=\"lead\">Every operation of this service. The contract for programs is \
         <a href=\"/openapi.yaml\">openapi.yaml</a>.</p>",
    );
    contents(&mut content, &sections);
    let about = document["info"]["description"].as_str().unwrap_or_default();
    content.push_str("<section class=\"card\"><h2 id=\"about\">About</h2>");
    for paragraph in about.split("\n\n") {
        let _ = write!(content, "<p>{}</p>", inline(paragraph));
    }
    content.push_str("</section>");
    keys(&mut content);
    for section in &sections {
        let _ = write!(
            content,
            "<h2 id=\"tag-{}\">{}</h2><p class=\"lead\">{}</p>",
            escape(section.name),
            escape(&capitalised(section.name)),
            inline(section.description)
        );
        for operation in &section.operations {
            operation.card(&mut content, &document);
        }
    }
    problems(&mut content, &document);
    let (scripts, styles): (&[&str], &[&str]) = (&["docs.js"], &["docs.css"]);
    Page { title: "API", tab: Tab::Api, scripts, styles, search: "", content: &content }.html()
}

/// The operations of one tag.
struct Section<'a> {
    name: &'a str,
    description: &'a str,
    operations: Vec<Operation<'a>>,
}

/// The operations by tag, in the order of the tags; those without a tag of the document come last.
fn sections(document: &Value) -> Vec<Section<'_>> {
    let named =
        |tag| Section { name: text(tag, "name"), description: text(tag, "description"), operations: Vec::new() };
    let mut sections: Vec<Section<'_>> = list(document, "tags").iter().map(named).collect();
    sections.push(Section { name: "others", description: "", operations: Vec::new() });
    for (path, item) in fields(document, "paths") {
        for (method, operation) in item.as_object().into_iter().flatten() {
            if !operation.is_object() {
                continue;
            }
            let tag = list(operation, "tags").first().and_then(Value::as_str).unwrap_or_default();
            let at = sections.iter().position(|section| section.name == tag).unwrap_or(sections.len() - 1);
            sections[at].operations.push(Operation { path, method, value: operation });
        }
    }
    sections.retain(|section| !section.operations.is_empty());
    sections
}

fn contents(content: &mut String, sections: &[Section<'_>]) {
    content.push_str("<nav class=\"card contents\" aria-label=\"Operations\"><ul>");
    for section in sections {
        let name = escape(&capitalised(section.name));
        let _ = write!(content, "<li><a href=\"#tag-{}\">{name}</a><ul>", escape(section.name));
        for one in &section.operations {
            let _ = write!(
                content,
                "<li><a href=\"#{}\">{} {}</a></li>",
                escape(one.id()),
                one.method.to_uppercase(),
                escape(one.path)
            );
        }
        content.push_str("</ul></li>");
    }
    content.push_str(
        "<li><a href=\"#about\">About</a></li><li><a href=\"#keys\">Keys</a></li><li><a href=\"#problems\">Problems</a>\
         </li></ul></nav>",
    );
}

/// How a key is sent, and, with scripts, the field that the forms of this page take it from.
fn keys(content: &mut String) {
    content.push_str(
        "<section class=\"card\"><h2 id=\"keys\">Keys</h2><p>A service without keys asks for none. Where it has keys, \
         send yours in one of three ways:</p>",
    );
    for header in ["-H \"Authorization: Bearer $KEY\"", "-u \"me:$KEY\"", "-H \"X-Api-Key: $KEY\""] {
        attempt::line(content, &format!("curl {header} '{HOST}/v1/models'"));
    }
    content.push_str(
        "<div class=\"field\" id=\"key-field\" hidden><label for=\"key\">Key for the forms of this page</label><input \
         id=\"key\" type=\"password\" autocomplete=\"off\" spellcheck=\"false\" aria-describedby=\"key-help\"><p \
         id=\"key-help\" class=\"hint\">Kept in this page alone, until you leave it.</p></div></section>",
    );
}

fn problems(content: &mut String, document: &Value) {
    content.push_str(
        "<h2 id=\"problems\">Problems</h2><p>Errors are <code>application/problem+json</code> (RFC 9457); \
         <code>detail</code> says what was wrong and what to do.</p>",
    );
    schema::unfolded(content, document, "ProblemDetails");
    content.push_str(
        "<div class=\"scroll\" role=\"region\" aria-label=\"Problems\" tabindex=\"0\"><table><thead><tr><th \
         scope=\"col\">type</th><th scope=\"col\">status</th><th scope=\"col\">title</th></tr></thead><tbody>",
    );
    for kind in Kind::ALL {
        let (name, title, status) = kind.describe();
        let _ = write!(content, "<tr><td><code>{name}</code></td><td>{}</td><td>{title}</td></tr>", status.as_u16());
    }
    content.push_str("</tbody></table></div>");
}

/// Returns text with its `code` marked; line ends are blanks.
fn inline(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    let mut parts = text.split('`').peekable();
    let mut code = false;
    while let Some(part) = parts.next() {
        // A last part after an odd mark is no code: the mark was a mark.
        if code && parts.peek().is_some() {
            let _ = write!(out, "<code>{}</code>", escape(part));
        } else {
            let _ = write!(out, "{}{}", if code { "`" } else { "" }, escape(part));
        }
        code = !code;
    }
    out
}

/// Returns the parts of a text that are marked as code.
fn marked(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value[key].as_array().map_or(&[], Vec::as_slice)
}

fn fields<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = (&'a String, &'a Value)> {
    value[key].as_object().into_iter().flat_map(Map::iter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_parameter_and_schema_is_there() {
        let document = crate::http::openapi();
        let html = page(&document);
        let document = serde_json::to_value(&document).unwrap();
        for (path, item) in fields(&document, "paths") {
            for (method, operation) in item.as_object().unwrap() {
                let id = text(operation, "operationId");
                let from = html.find(&format!("<article class=\"card operation\" id=\"{id}\"")).unwrap();
                let card = &html[from..from + html[from..].find("</article>").unwrap()];
                assert!(
                    card.contains(&format!("<code>{path}</code>")) && card.contains(&method.to_uppercase()),
                    "{id}"
                );
                for parameter in list(operation, "parameters") {
                    let row = format!("<dt><code>{}</code> <span", text(parameter, "name"));
                    assert!(card.contains(&row), "{id}: {row}");
                }
                for (status, _) in fields(operation, "responses") {
                    assert!(card.contains(&format!("<strong>{status}</strong>")), "{id}: {status}");
                }
            }
        }
        for (name, _) in fields(&document["components"], "schemas") {
            assert!(html.contains(&format!("<code>{name}</code>")), "{name}");
        }
        assert!(html.len() < 600_000, "{} bytes", html.len());
    }

    #[test]
    fn code_is_marked_and_markup_is_not_let_through() {
        assert_eq!(inline("see `GET <x>`\nand <b>"), "see <code>GET &lt;x&gt;</code> and &lt;b&gt;");
        assert_eq!(inline("an odd ` mark"), "an odd ` mark");
        assert_eq!(marked("`a`, `b` or `c`; d").collect::<Vec<_>>(), ["a", "b", "c"]);
    }
}
