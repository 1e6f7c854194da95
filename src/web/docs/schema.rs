//! Schemas as text for people: the type in a few words, and the fields of an object, unfolded on request.

use std::fmt::Write as _;

use serde_json::{Map, Value};

use super::{escape, fields, inline, list, marked, text};

const PREFIX: &str = "#/components/schemas/";

/// The name of the schema that this one refers to.
fn referred(schema: &Value) -> Option<&str> {
    schema["$ref"].as_str().map(|reference| reference.strip_prefix(PREFIX).unwrap_or(reference))
}

/// Returns the type in a few words, such as `array of GeneAnswer` or `integer or null`.
pub(super) fn kind(schema: &Value) -> String {
    if let Some(name) = referred(schema) {
        return name.to_owned();
    }
    let either = [list(schema, "oneOf"), list(schema, "anyOf")].concat();
    if !either.is_empty() {
        return either.iter().map(kind).collect::<Vec<_>>().join(" or ");
    }
    let all = list(schema, "allOf");
    if !all.is_empty() {
        return all.iter().map(kind).collect::<Vec<_>>().join(" and ");
    }
    let one = |name: &str| match name {
        "array" => format!("array of {}", kind(&schema["items"])),
        "object" if schema["additionalProperties"].is_object() => {
            format!("map from string to {}", kind(&schema["additionalProperties"]))
        }
        name => name.to_owned(),
    };
    match &schema["type"] {
        Value::String(name) => one(name),
        Value::Array(names) => names.iter().filter_map(Value::as_str).map(one).collect::<Vec<_>>().join(" or "),
        _ => "any JSON".to_owned(),
    }
}

/// The schemas that a field's own schema names.
fn names(schema: &Value) -> Vec<&str> {
    if let Some(name) = referred(schema) {
        return vec![name];
    }
    let mut found: Vec<&str> = Vec::new();
    for key in ["oneOf", "anyOf", "allOf"] {
        found.extend(list(schema, key).iter().flat_map(names));
    }
    for key in ["items", "additionalProperties"] {
        if schema[key].is_object() {
            found.extend(names(&schema[key]));
        }
    }
    found.dedup();
    found
}

/// Adds the schemas that a schema names, each folded.
pub(super) fn details(out: &mut String, document: &Value, schema: &Value) {
    for name in names(schema) {
        folded(out, document, name, &mut Vec::new());
    }
}

/// Adds a named schema, unfolded.
pub(super) fn unfolded(out: &mut String, document: &Value, name: &str) {
    let _ = write!(out, "<h3><code>{}</code></h3>", escape(name));
    body(out, document, &document["components"]["schemas"][name], &mut vec![name]);
}

fn folded<'a>(out: &mut String, document: &'a Value, name: &'a str, above: &mut Vec<&'a str>) {
    if above.contains(&name) {
        return;
    }
    above.push(name);
    let _ = write!(out, "<details class=\"schema\"><summary><code>{}</code></summary>", escape(name));
    body(out, document, &document["components"]["schemas"][name], above);
    out.push_str("</details>");
    above.pop();
}

fn body<'a>(out: &mut String, document: &'a Value, schema: &'a Value, above: &mut Vec<&'a str>) {
    let description = text(schema, "description");
    if !description.is_empty() {
        let _ = write!(out, "<p>{}</p>", inline(description));
    }
    for key in ["oneOf", "anyOf", "allOf"] {
        let parts = list(schema, key);
        if key != "allOf" && !parts.is_empty() {
            out.push_str("<p>One of:</p>");
        }
        for part in parts {
            match referred(part) {
                Some(name) => folded(out, document, name, above),
                None => properties(out, document, part, above),
            }
        }
    }
    properties(out, document, schema, above);
}

/// The fields of an object: those that are always there first.
fn properties<'a>(out: &mut String, document: &'a Value, schema: &'a Value, above: &mut Vec<&'a str>) {
    if !schema["properties"].is_object() {
        return;
    }
    let required = |name: &str| list(schema, "required").iter().any(|one| one == name);
    let mut sorted: Vec<(&String, &Value)> = fields(schema, "properties").collect();
    sorted.sort_by_key(|(name, _)| !required(name));
    out.push_str("<dl class=\"fields-of\">");
    for (name, field) in sorted {
        let mark = if required(name) { " · <strong>required</strong>" } else { "" };
        let _ = write!(
            out,
            "<dt><code>{}</code> <span class=\"soft\">{}{mark}</span></dt><dd>{}",
            escape(name),
            escape(&kind(field)),
            described(field_text(field), &field["example"]),
        );
        for name in names(field) {
            folded(out, document, name, above);
        }
        out.push_str("</dd>");
    }
    out.push_str("</dl>");
}

/// The field's description; that of a field which may be null stands with the part that is not.
fn field_text(field: &Value) -> &str {
    let own = text(field, "description");
    let parts = || list(field, "oneOf").iter().map(|part| text(part, "description"));
    if own.is_empty() { parts().find(|text| !text.is_empty()).unwrap_or_default() } else { own }
}

/// Returns a description with its example, as HTML.
pub(super) fn described(description: &str, example: &Value) -> String {
    let example = match example {
        Value::Null => return inline(description),
        Value::String(text) => escape(text),
        other => escape(&other.to_string()),
    };
    match description.trim_end().strip_suffix('.') {
        Some(description) => format!("{}, such as <code>{example}</code>.", inline(description)),
        None => format!("{}, such as <code>{example}</code>", inline(description)),
    }
}

/// Returns an example of a schema: its own, the first JSON that its description has, or one of what it requires.
pub(super) fn example(document: &Value, schema: &Value, description: &str) -> Option<Value> {
    if !schema["example"].is_null() {
        return Some(schema["example"].clone());
    }
    let shown = marked(description).filter_map(|code| serde_json::from_str::<Value>(code).ok());
    if let Some(shown) = shown.into_iter().find(Value::is_object) {
        let is_list = schema["type"] == "array";
        return Some(if is_list { Value::Array(vec![shown]) } else { shown });
    }
    if let Some(name) = referred(schema) {
        return example(document, &document["components"]["schemas"][name], "");
    }
    let required = list(schema, "required");
    let mut built = Map::new();
    for name in required.iter().filter_map(Value::as_str) {
        let field = &schema["properties"][name];
        built.insert(name.to_owned(), example(document, field, text(field, "description"))?);
    }
    (!built.is_empty()).then_some(Value::Object(built))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn document() -> Value {
        json!({"components": {"schemas": {
            "Tree": {"type": "object", "description": "A <tree>.", "required": ["name"], "properties": {
                "name": {"type": "string", "example": "oak"},
                "branches": {"type": "array", "items": {"$ref": "#/components/schemas/Tree"}},
                "leaf": {"oneOf": [
                    {"$ref": "#/components/schemas/Leaf", "description": "Its leaf."}, {"type": "null"},
                ]},
            }},
            "Leaf": {"type": "object", "properties": {"area": {"type": ["number", "null"]}}},
        }}})
    }

    #[test]
    fn types_are_said_in_words() {
        let document = document();
        let tree = &document["components"]["schemas"]["Tree"]["properties"];
        assert_eq!(kind(&tree["branches"]), "array of Tree");
        assert_eq!(kind(&tree["leaf"]), "Leaf or null");
        assert_eq!(
            kind(&json!({"type": "object", "additionalProperties": {"type": "string"}})),
            "map from string to string"
        );
        assert_eq!(kind(&json!({})), "any JSON");
    }

    #[test]
    fn references_are_resolved_and_a_schema_within_itself_ends() {
        let mut out = String::new();
        details(&mut out, &document(), &json!({"$ref": "#/components/schemas/Tree"}));
        assert_eq!(out.matches("<details").count(), 2, "{out}");
        assert!(
            out.contains("A &lt;tree&gt;.") && out.contains(", such as <code>oak</code>") && out.contains("Its leaf.")
        );
        assert!(
            out.find("<code>name</code>").unwrap() < out.find("<code>branches</code>").unwrap(),
            "required ones first"
        );
    }

    #[test]
    fn an_example_is_found_or_made() {
        let document = document();
        let tree = json!({"$ref": "#/components/schemas/Tree"});
        assert_eq!(example(&document, &tree, ""), Some(json!({"name": "oak"})));
        assert_eq!(example(&document, &json!({}), "JSON (`{\"a\": 1}`)"), Some(json!({"a": 1})));
        assert_eq!(example(&document, &json!({"type": "array"}), "as `{\"a\": 1}`"), Some(json!([{"a": 1}])));
        assert_eq!(example(&document, &json!({"type": "string"}), "as `text`"), None);
    }
}
