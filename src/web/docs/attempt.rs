//! Trying an operation: a form for what only reads, and lines for `curl`.
//!
//! A form is a plain link to the answer where the path is whole; the page's script fills paths, shows answers and keeps
//! the line up to date.

use std::fmt::Write as _;

use serde_json::Value;

use super::operation::Operation;
use super::{HOST, escape, fields, marked, schema, text};
use crate::web::path_segment;

/// How `curl` sends a body that is a file, by media type.
const FILES: [(&str, &str); 3] = [
    ("text/vcf", "-H 'Content-Type: text/vcf' --data-binary @cohort.vcf.gz"),
    ("application/octet-stream", "-H 'Content-Type: application/octet-stream' --data-binary @cohort.bcf"),
    ("multipart/form-data", "-F bim=@cohort.bim -F fam=@cohort.fam -F bed=@cohort.bed"),
];

/// Adds a line to copy.
pub(super) fn line(out: &mut String, line: &str) {
    let _ = write!(out, "<pre class=\"curl\" tabindex=\"0\"><code>{}</code></pre>", escape(line));
}

/// Adds the form or the lines.
pub(super) fn section(out: &mut String, operation: &Operation<'_>, document: &Value) {
    if operation.method == "get" {
        form(out, operation);
    } else {
        out.push_str("<h4>From the command line</h4>");
        for one in lines(operation, document) {
            line(out, &one);
        }
    }
}

/// The lines that send a body, one a kind of body.
fn lines(operation: &Operation<'_>, document: &Value) -> Vec<String> {
    let address = address(operation);
    let mut lines = Vec::new();
    if let Some(example) = operation.example(document) {
        let json = example.to_string().replace('\'', "'\\''");
        lines.push(format!("curl -H 'Content-Type: application/json' -d '{json}' '{address}'"));
    }
    for (media_type, _) in fields(&operation.value["requestBody"], "content") {
        if let Some((_, how)) = FILES.iter().find(|(name, _)| name == media_type) {
            lines.push(format!("curl {how} '{address}'"));
        }
    }
    if lines.is_empty() {
        lines.push(format!("curl -X {} '{address}'", operation.method.to_uppercase()));
    }
    lines
}

/// The operation's address with the examples of its path.
fn address(operation: &Operation<'_>) -> String {
    let mut path = operation.path.to_owned();
    for one in operation.parameters().iter().filter(|one| one["in"] == "path") {
        let name = text(one, "name");
        let example = example(one).map_or_else(|| name.to_uppercase(), |example| path_segment(&example));
        path = path.replace(&format!("{{{name}}}"), &example);
    }
    format!("{HOST}{path}")
}

/// The parameter's example as a form takes it.
fn example(parameter: &Value) -> Option<String> {
    [&parameter["example"], &parameter["schema"]["example"]].into_iter().find_map(|example| match example {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    })
}

fn form(out: &mut String, operation: &Operation<'_>) {
    let path = escape(operation.path);
    let whole = !operation.path.contains('{');
    let (action, disabled) = if whole { (path.as_str(), "") } else { ("/docs", " disabled") };
    let _ = write!(
        out,
        "<details class=\"try\"><summary>Try it</summary><form action=\"{action}\" method=\"get\" data-path=\"{path}\">\
         <div class=\"fields\">",
    );
    for one in operation.parameters() {
        field(out, operation.id(), one);
    }
    let answers = operation.answers();
    if answers.len() > 1 {
        let id = format!("{}-accept", escape(operation.id()));
        let _ = write!(
            out,
            "<div class=\"field scripted\" hidden><label for=\"{id}\">Accept</label><select id=\"{id}\" data-accept>"
        );
        for media_type in &answers {
            let _ = write!(out, "<option>{}</option>", escape(media_type));
        }
        out.push_str("</select></div>");
    }
    let _ = write!(out, "</div><div class=\"buttons\"><button{disabled}>Try it</button></div>");
    if !whole {
        out.push_str(
            "<noscript><p class=\"hint\">The form needs scripts; the line below does the same.</p></noscript>",
        );
    }
    line(out, &format!("curl '{}'", address(operation)));
    out.push_str("<div class=\"answer\" hidden></div></form></details>");
}

/// The words that a parameter's description begins with, where it lists what may be given.
fn choices(description: &str) -> Vec<&str> {
    let mut choices = Vec::new();
    let mut rest = description;
    for word in marked(description) {
        let expected = format!("`{word}`");
        let Some(behind) = rest.strip_prefix(&expected) else { break };
        choices.push(word);
        rest = [", ", " or "].iter().find_map(|between| behind.strip_prefix(between)).unwrap_or_default();
    }
    if choices.len() > 1 { choices } else { Vec::new() }
}

fn field(out: &mut String, operation: &str, parameter: &Value) {
    let name = escape(text(parameter, "name"));
    let id = format!("{}-{name}", escape(operation));
    let is_required = parameter["required"] == true;
    let mark = if is_required { " <span class=\"soft\">required</span>" } else { "" };
    let required = if is_required { " required" } else { "" };
    let place = if parameter["in"] == "path" { " data-in=\"path\"" } else { "" };
    let _ = write!(out, "<div class=\"field\"><label for=\"{id}\">{name}{mark}</label>");
    let kind = schema::kind(&parameter["schema"]);
    let choices = if kind == "boolean" { vec!["true", "false"] } else { choices(text(parameter, "description")) };
    if choices.is_empty() {
        // Only what has to be given is filled in: the other examples would narrow the answer.
        let value = example(parameter).unwrap_or_default();
        let (value, hint) = if is_required { (value, String::new()) } else { (String::new(), value) };
        let number = if kind == "integer" { " inputmode=\"numeric\"" } else { "" };
        let _ = write!(
            out,
            "<input type=\"text\" id=\"{id}\" name=\"{name}\" value=\"{}\" placeholder=\"{}\" autocomplete=\"off\" \
             spellcheck=\"false\"{number}{required}{place}>",
            escape(&value),
            escape(&hint),
        );
    } else {
        let _ = write!(out, "<select id=\"{id}\" name=\"{name}\"{required}{place}><option value=\"\"></option>");
        for choice in choices {
            let _ = write!(out, "<option>{}</option>", escape(choice));
        }
        out.push_str("</select>");
    }
    out.push_str("</div>");
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_list_of_words_becomes_a_choice_and_other_text_does_not() {
        assert_eq!(choices("`json`, `tsv` or `arrow`; wins over `Accept`"), ["json", "tsv", "arrow"]);
        assert!(choices("The model, as `name` or `name@version`").is_empty());
        assert!(choices("`predixcan`: `missing=ref`").is_empty());
    }

    #[test]
    fn a_path_takes_its_examples_and_a_body_its_line() {
        let value = json!({
            "operationId": "x", "parameters": [
                {"name": "gene", "in": "path", "required": true, "example": "HLA/A", "schema": {"type": "string"}},
                {"name": "model", "in": "path", "required": true, "schema": {"type": "string"}},
            ],
            "requestBody": {"content": {"application/json": {"example": {"a": "it's"}}, "text/vcf": {}}},
        });
        let operation = Operation { path: "/v1/{model}/{gene}", method: "post", value: &value };
        assert_eq!(address(&operation), format!("{HOST}/v1/MODEL/HLA%2FA"));
        let lines = lines(&operation, &json!({}));
        assert!(lines[0].contains(r#"-d '{"a":"it'\''s"}'"#) && lines[1].contains("@cohort.vcf.gz"), "{lines:?}");
    }

    #[test]
    fn a_form_is_a_link_only_where_its_path_is_whole() {
        let value = json!({"operationId": "x", "parameters": [
            {"name": "q", "in": "query", "required": false, "example": "a<b", "schema": {"type": "string"}},
        ]});
        let mut whole = String::new();
        form(&mut whole, &Operation { path: "/v1/x", method: "get", value: &value });
        assert!(
            whole.contains("action=\"/v1/x\"") && whole.contains("<button>") && whole.contains("a&lt;b"),
            "{whole}"
        );
        let mut part = String::new();
        form(&mut part, &Operation { path: "/v1/{y}", method: "get", value: &value });
        assert!(part.contains("<button disabled>") && part.contains("<noscript>"), "{part}");
    }
}
