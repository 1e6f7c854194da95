//! One operation: what it takes, what it answers.

use std::fmt::Write as _;

use serde_json::Value;

use super::{attempt, escape, fields, inline, list, schema, text};

/// An operation of the document.
pub(super) struct Operation<'a> {
    pub(super) path: &'a str,
    /// In lower case.
    pub(super) method: &'a str,
    pub(super) value: &'a Value,
}

/// Whether bodies of this media type are JSON.
fn is_json(media_type: &str) -> bool {
    media_type == "application/json" || media_type.ends_with("+json")
}

impl<'a> Operation<'a> {
    /// The identifier, which also names its place on the page.
    pub(super) fn id(&self) -> &'a str {
        text(self.value, "operationId")
    }

    pub(super) fn parameters(&self) -> &'a [Value] {
        list(self.value, "parameters")
    }

    /// The media types of its good answer.
    pub(super) fn answers(&self) -> Vec<&'a str> {
        fields(&self.value["responses"]["200"], "content").map(|(media_type, _)| media_type.as_str()).collect()
    }

    /// Adds the operation.
    pub(super) fn card(&self, out: &mut String, document: &Value) {
        let id = escape(self.id());
        let _ = write!(
            out,
            "<article class=\"card operation\" id=\"{id}\" aria-labelledby=\"{id}-name\"><h3 id=\"{id}-name\"><span \
             class=\"method {}\">{}</span> <code>{}</code></h3>",
            escape(self.method),
            self.method.to_uppercase(),
            escape(self.path),
        );
        for paragraph in ["summary", "description"].map(|key| text(self.value, key)) {
            if !paragraph.is_empty() {
                let _ = write!(out, "<p>{}</p>", inline(paragraph));
            }
        }
        self.parameter_list(out);
        self.request(out, document);
        self.responses(out, document);
        attempt::section(out, self, document);
        out.push_str("</article>");
    }

    fn parameter_list(&self, out: &mut String) {
        if self.parameters().is_empty() {
            return;
        }
        out.push_str("<h4>Parameters</h4><dl class=\"fields-of parameters\">");
        for one in self.parameters() {
            let required = if one["required"] == true { " · <strong>required</strong>" } else { "" };
            let _ = write!(
                out,
                "<dt><code>{}</code> <span class=\"soft\">{} in the {}{required}</span></dt><dd>{}</dd>",
                escape(text(one, "name")),
                escape(&schema::kind(&one["schema"])),
                escape(text(one, "in")),
                schema::described(text(one, "description"), &one["example"]),
            );
        }
        out.push_str("</dl>");
    }

    fn request(&self, out: &mut String, document: &Value) {
        let body = &self.value["requestBody"];
        if !body.is_object() {
            return;
        }
        let needed = if body["required"] == true { "" } else { " (may be left out)" };
        let _ = write!(out, "<h4>Body{needed}</h4><p>{}</p><ul>", inline(text(body, "description")));
        for (media_type, content) in fields(body, "content") {
            let kind =
                if is_json(media_type) { format!(": {}", schema::kind(&content["schema"])) } else { String::new() };
            let _ = write!(out, "<li><code>{}</code>{}", escape(media_type), escape(&kind));
            if is_json(media_type) {
                schema::details(out, document, &content["schema"]);
            }
            out.push_str("</li>");
        }
        out.push_str("</ul>");
        if let Some(example) = self.example(document) {
            let pretty = serde_json::to_string_pretty(&example).unwrap_or_default();
            // Line ends stay: they are all that `escape` would take from JSON.
            let lines: Vec<String> = pretty.lines().map(escape).collect();
            let _ = write!(
                out,
                "<p>Example:</p><pre tabindex=\"0\" role=\"region\" aria-label=\"Example body of {}\"><code>{}\
                 </code></pre>",
                escape(self.id()),
                lines.join("\n")
            );
        }
    }

    /// An example of its JSON body.
    pub(super) fn example(&self, document: &Value) -> Option<Value> {
        let body = &self.value["requestBody"];
        let json = &body["content"]["application/json"];
        if !json["example"].is_null() {
            return Some(json["example"].clone());
        }
        json.is_object().then(|| schema::example(document, &json["schema"], text(body, "description"))).flatten()
    }

    fn responses(&self, out: &mut String, document: &Value) {
        out.push_str("<h4>Answers</h4><ul class=\"answers\">");
        for (status, response) in fields(self.value, "responses") {
            let _ = write!(out, "<li><strong>{}</strong> {}", escape(status), inline(text(response, "description")));
            let content = &response["content"];
            let is_problem = |media_type: &str| media_type == "application/problem+json";
            let types: Vec<&str> = fields(response, "content").map(|(media_type, _)| media_type.as_str()).collect();
            if types.iter().any(|media_type| is_problem(media_type)) {
                out.push_str(" · <a class=\"small\" href=\"#problems\">problem</a>");
            } else if !types.is_empty() {
                let types: Vec<String> =
                    types.into_iter().map(|name| format!("<code>{}</code>", escape(name))).collect();
                let _ = write!(out, "<br><span class=\"soft\">as {}</span>", types.join(", "));
            }
            for (media_type, one) in content.as_object().into_iter().flatten() {
                if is_json(media_type) && !is_problem(media_type) {
                    schema::details(out, document, &one["schema"]);
                }
            }
            out.push_str("</li>");
        }
        out.push_str("</ul>");
    }
}
