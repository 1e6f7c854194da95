//! The form of a new gene: what was typed into it, as the item of `POST /v1/profiles`, and the form itself with what is
//! wrong beside its field.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use crate::http::extract::Query;
use crate::http::problem::Wrong;
use crate::http::state::{LoadedDataset, Snapshot};
use crate::web::escape;
use crate::web::frame::{dataset_select, select};

/// Fields of text: name, label, hint.
pub(super) const FIELDS: [(&str, &str, &str); 5] = [
    ("id", "Name", "what you call it; may be left empty"),
    ("chromosome", "Chromosome", "such as chr12"),
    ("tss", "Transcription start", "the first base that is transcribed, from 1"),
    ("strand", "Strand", ""),
    ("biotype", "Biotype", "such as protein_coding or lincRNA; may be left empty"),
];

/// What stands before a tissue's name in its field's.
pub(super) const OBSERVED: &str = "observed.";

/// What was typed, or nothing yet.
pub(super) struct Typed(pub(super) Query);

impl Typed {
    /// A field's text; empty where nothing was typed.
    pub(super) fn text(&self, name: &str) -> &str {
        self.0.all(name).next().unwrap_or_default().trim()
    }

    /// A field's text, where something was typed.
    pub(super) fn optional(&self, name: &str) -> Option<&str> {
        Some(self.text(name)).filter(|text| !text.is_empty())
    }

    /// The item of `POST /v1/profiles`.
    pub(super) fn item(&self, dataset: &LoadedDataset) -> Value {
        let mut item = Map::new();
        for (name, ..) in FIELDS {
            if let Some(text) = self.optional(name) {
                let value = match (name, text.replace([',', '_', ' '], "").parse::<u32>()) {
                    ("tss", Ok(number)) => json!(number),
                    // As annotations spell it.
                    ("biotype", _) => json!(text.split_whitespace().collect::<Vec<_>>().join("_")),
                    _ => json!(text),
                };
                item.insert(name.to_owned(), value);
            }
        }
        let sequence = self.sequence();
        if !sequence.is_empty() {
            item.insert("promoter".to_owned(), json!(sequence));
        }
        let mut observed = Map::new();
        for tissue in dataset.reference.tissues() {
            if let Some(text) = self.optional(&format!("{OBSERVED}{}", tissue.id())) {
                // A decimal comma is a comma's only meaning here.
                let number = text.replace(',', ".").parse::<f64>().ok().and_then(serde_json::Number::from_f64);
                observed.insert(tissue.id().to_owned(), number.map_or_else(|| json!(text), Value::Number));
            }
        }
        if !observed.is_empty() {
            item.insert("observed".to_owned(), Value::Object(observed));
        }
        Value::Object(item)
    }

    /// Numbers that could be meant in two ways: a comma before three digits parts thousands for some and decimals for
    /// others.
    pub(super) fn ambiguous(&self, dataset: &LoadedDataset) -> Vec<Wrong> {
        let is_ambiguous = |text: &str| {
            text.split_once(',').is_some_and(|(whole, rest)| {
                (1..=3).contains(&whole.len()) && rest.len() == 3 && rest.bytes().all(|byte| byte.is_ascii_digit())
            })
        };
        let tissues = dataset.reference.tissues().iter();
        let names = tissues.map(|tissue| format!("{OBSERVED}{}", tissue.id()));
        let found = names.filter(|name| is_ambiguous(self.text(name)));
        found
            .map(|name| {
                let [whole, decimal] = ["", "."].map(|part| self.text(&name).replace(',', part));
                let detail = format!("could be {whole} or {decimal}: write it without a comma");
                Wrong { pointer: format!("genes[0].{name}"), detail }
            })
            .collect()
    }

    /// The bases that were pasted, without a FASTA header, blanks and line numbers.
    pub(super) fn sequence(&self) -> String {
        let lines = self.text("promoter").lines().filter(|line| !line.starts_with('>'));
        lines.flat_map(str::chars).filter(|c| !c.is_whitespace() && !c.is_ascii_digit()).collect()
    }
}

/// Writes the form.
pub(super) fn write(
    content: &mut String,
    snapshot: &Snapshot,
    dataset: &LoadedDataset,
    typed: &Typed,
    wrong: &[Wrong],
) {
    let complaint = |field: &str| wrong.iter().find(|one| one.pointer == format!("genes[0].{field}"));
    if !wrong.is_empty() {
        content.push_str("<div class=\"card\" role=\"alert\"><p class=\"error\">Nothing was imputed:</p><ul>");
        for one in wrong {
            let name = one.pointer.strip_prefix("genes[0].").unwrap_or(&one.pointer);
            let _ = write!(
                content,
                "<li><a href=\"#impute-{}\">{}</a>: {}</li>",
                escape(name),
                escape(label_of(name)),
                escape(&one.detail)
            );
        }
        content.push_str("</ul></div>");
    }
    let _ = write!(
        content,
        "<form id=\"impute\" action=\"/impute#profile\" method=\"post\"><p>Positions are those of {}, as in the dataset \
         {}.</p><div class=\"fields\">",
        escape(dataset.reference.dataset().assembly.as_str()),
        escape(&dataset.reference.dataset().name),
    );
    for (name, label, hint) in FIELDS {
        let attributes = described(name, hint, complaint(name));
        let control = if name == "strand" {
            let strands = [("", "choose"), ("+", "+"), ("-", "-")];
            select(("impute-strand", "strand", &attributes), typed.text("strand"), strands.into_iter())
        } else {
            let mode = match name {
                "tss" => " inputmode=\"numeric\"",
                "biotype" => " list=\"biotypes\"",
                _ => "",
            };
            format!(
                "<input id=\"impute-{name}\" name=\"{name}\" value=\"{}\" autocomplete=\"off\" \
                 spellcheck=\"false\"{mode}{attributes}>",
                escape(typed.text(name)),
            )
        };
        field(content, name, (label, hint), &control, complaint(name));
    }
    content.push_str("<datalist id=\"biotypes\">");
    for biotype in &dataset.biotypes {
        let _ = write!(content, "<option value=\"{}\"></option>", escape(biotype.as_str()));
    }
    content.push_str("</datalist>");
    if snapshot.datasets.len() > 1 {
        let control = dataset_select(snapshot, typed.optional("dataset"), "impute-dataset");
        field(content, "dataset", ("Dataset", "its tissues are below; another one has others"), &control, None);
    }
    let labels = dataset.completions.labels();
    if labels.len() > 1 {
        let models =
            std::iter::once(("", "the dataset's default")).chain(labels.iter().map(|one| (one.as_str(), one.as_str())));
        field(
            content,
            "model",
            ("Model", ""),
            &select(("impute-model", "model", ""), typed.text("model"), models),
            None,
        );
    }
    let hint = promoter_hint(dataset);
    let promoter = format!(
        "<textarea id=\"impute-promoter\" name=\"promoter\" rows=\"5\" spellcheck=\"false\" autocomplete=\"off\"{}>{}</textarea>",
        described("promoter", &hint, complaint("promoter")),
        escape_lines(typed.text("promoter"))
    );
    content.push_str("<div class=\"field wide\"><label for=\"impute-promoter\">Promoter</label>");
    let _ = write!(content, "{promoter}<p class=\"hint\" id=\"impute-promoter-hint\">{}</p>", escape(&hint));
    complain(content, "promoter", complaint("promoter"));
    content.push_str("</div></div>");
    observed(content, dataset, typed, wrong);
    content.push_str(
        "<div class=\"buttons\"><button>Impute profile</button><a href=\"/impute\">Start again</a></div></form>",
    );
}

/// What sequence the models read.
fn promoter_hint(dataset: &LoadedDataset) -> String {
    let bases = dataset.promoter_bases;
    let completion = dataset.completion(None).ok().flatten();
    let tss = completion.and_then(|completion| completion.model.card.training.promoter_tss());
    let window = match (bases.and_then(|bases| u32::try_from(bases).ok()), tss) {
        (Some(bases), Some(tss)) if bases > tss => {
            format!(
                "; this dataset's have {bases} bases, from {tss} before the start of transcription to {} behind it",
                bases - tss - 1
            )
        }
        (Some(bases), _) => format!("; this dataset's have {bases} bases"),
        _ => String::new(),
    };
    format!("A, C, G, T, N on the gene's own strand, with or without a FASTA header{window}; may be left empty")
}

fn observed(content: &mut String, dataset: &LoadedDataset, typed: &Typed, wrong: &[Wrong]) {
    let unit = dataset.reference.dataset().unit;
    let open =
        dataset.reference.tissues().iter().any(|one| typed.optional(&format!("{OBSERVED}{}", one.id())).is_some());
    let units = [("rpkm", "RPKM"), ("tpm", "TPM")];
    let unit = select(("impute-unit", "unit", ""), typed.optional("unit").unwrap_or(unit.as_str()), units.into_iter());
    let _ = write!(
        content,
        "<details{}><summary>Measured tissues</summary><fieldset><legend>Measured tissues</legend><p class=\"hint\">What you \
         measured stays as it is and improves the rest. Empty means not measured; 0 means measured and not found.</p>\
         <p><label for=\"impute-unit\">Unit</label> {unit}</p><div class=\"tissues\">",
        if open { " open" } else { "" }
    );
    for tissue in dataset.reference.tissues() {
        let name = format!("{OBSERVED}{}", tissue.id());
        let complaint = wrong.iter().find(|one| one.pointer == format!("genes[0].{name}"));
        let _ = write!(
            content,
            "<div><label>{} <input id=\"impute-{name}\" name=\"{name}\" value=\"{}\" inputmode=\"decimal\" autocomplete=\"off\"{}></label>",
            escape(tissue.name()),
            escape(typed.text(&name)),
            described(&name, "", complaint),
        );
        complain(content, &name, complaint);
        content.push_str("</div>");
    }
    content.push_str("</div></fieldset></details>");
}

fn field(content: &mut String, name: &str, (label, hint): (&str, &str), control: &str, complaint: Option<&Wrong>) {
    let _ = write!(content, "<div class=\"field\"><label for=\"impute-{name}\">{label}</label>{control}");
    if !hint.is_empty() {
        let _ = write!(content, "<p class=\"hint\" id=\"impute-{name}-hint\">{hint}</p>");
    }
    complain(content, name, complaint);
    content.push_str("</div>");
}

fn complain(content: &mut String, name: &str, complaint: Option<&Wrong>) {
    if let Some(one) = complaint {
        let _ = write!(content, "<p class=\"error\" id=\"impute-{name}-error\">{}</p>", escape(&sentence(&one.detail)));
    }
}

/// Attributes of a control: what describes it, and whether it is wrong.
fn described(name: &str, hint: &str, complaint: Option<&Wrong>) -> String {
    let mut by = Vec::new();
    if !hint.is_empty() {
        by.push(format!("impute-{name}-hint"));
    }
    if complaint.is_some() {
        by.push(format!("impute-{name}-error"));
    }
    let invalid = if complaint.is_some() { " aria-invalid=\"true\"" } else { "" };
    let by = if by.is_empty() { String::new() } else { format!(" aria-describedby=\"{}\"", by.join(" ")) };
    format!("{invalid}{by}")
}

/// The label of a field.
fn label_of(name: &str) -> &str {
    let known = FIELDS.iter().find(|(field, ..)| *field == name).map(|(_, label, _)| *label);
    known.unwrap_or_else(|| if name == "promoter" { "Promoter" } else { name.strip_prefix(OBSERVED).unwrap_or(name) })
}

fn sentence(detail: &str) -> String {
    let subject = if detail.starts_with("is ")
        || detail.starts_with("could ")
        || detail.starts_with("has ")
        || detail.starts_with("does ")
        || detail.starts_with("lies ")
    {
        "It "
    } else {
        ""
    };
    format!("{subject}{detail}.")
}

/// Escapes what stands in a text area, whose lines stay lines.
fn escape_lines(text: &str) -> String {
    text.lines().map(escape).collect::<Vec<_>>().join("\n")
}
