//! What the cards of both kinds are made of: facts, tables, files with their digests.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::accuracy::{Dot, Mark, short};
use crate::web::{count, escape};

/// A model's accuracy in a few words, and that of the strongest simple method beside it.
pub(super) struct Headline {
    pub(super) own: String,
    /// Not there where none was measured.
    pub(super) beside: Option<String>,
}

/// Adds terms with what is known of them; text is escaped here.
pub(super) fn facts(out: &mut String, facts: &[(&str, String)]) {
    out.push_str("<dl class=\"facts\">");
    for (term, text) in facts {
        let _ = write!(out, "<dt>{term}</dt><dd>{}</dd>", escape(text));
    }
    out.push_str("</dl>");
}

/// Adds a table: a label for the part that scrolls, a caption, the columns' names (`+` before one of numbers), and rows
/// as HTML.
pub(super) fn table(out: &mut String, label: &str, caption: &str, heads: &[&str], rows: &str) {
    let _ =
        write!(out, "<div class=\"scroll\" role=\"region\" aria-label=\"{}\" tabindex=\"0\"><table>", escape(label));
    if !caption.is_empty() {
        let _ = write!(out, "<caption>{}</caption>", escape(caption));
    }
    out.push_str("<thead><tr>");
    for head in heads {
        let (class, head) = head.strip_prefix('+').map_or(("", *head), |head| (" class=\"number\"", head));
        let _ = write!(out, "<th scope=\"col\"{class}>{}</th>", escape(head));
    }
    let _ = write!(out, "</tr></thead>{rows}</table></div>");
}

/// Adds the first cell of a method's row: its name, and what it is here.
pub(super) fn method_cell(out: &mut String, name: &str, mark: Mark) {
    let class = if mark == Mark::Own { " class=\"own\"" } else { "" };
    let _ = write!(out, "<tr{class}><th scope=\"row\"><span>{}</span>", escape(name));
    if mark != Mark::Other {
        let _ = write!(out, " <span class=\"badge\">{}</span>", mark.label());
    }
    out.push_str("</th>");
}

/// Adds a cell of a number.
pub(super) fn number(out: &mut String, text: &str) {
    let _ = write!(out, "<td class=\"number\">{}</td>", escape(text));
}

/// Returns an interval for people.
pub(super) fn interval([low, high]: [f64; 2]) -> String {
    format!("{} to {}", short(low), short(high))
}

/// Adds sentences under a heading, where there are any.
pub(super) fn sentences(out: &mut String, heading: &str, sentences: &[String]) {
    if sentences.is_empty() {
        return;
    }
    let _ = write!(out, "<h3>{heading}</h3><ul>");
    for sentence in sentences {
        let _ = write!(out, "<li>{}</li>", escape(sentence));
    }
    out.push_str("</ul>");
}

/// Adds files with their SHA-256, folded.
pub(super) fn files(out: &mut String, summary: &str, files: &BTreeMap<String, String>) {
    if files.is_empty() {
        return;
    }
    let _ = write!(out, "<details><summary>{summary} ({})</summary>", count(files.len()));
    let mut rows = String::from("<tbody>");
    for (name, digest) in files {
        let _ = write!(
            rows,
            "<tr><th scope=\"row\">{}</th><td><code class=\"digest\">{}</code></td></tr>",
            escape(name),
            escape(digest)
        );
    }
    rows.push_str("</tbody>");
    table(out, summary, "", &["file", "SHA-256"], &rows);
    out.push_str("</details>");
}

/// Adds a command that can be copied.
pub(super) fn command(out: &mut String, heading: &str, command: &str) {
    let _ = write!(out, "<h3>{heading}</h3><pre tabindex=\"0\"><code>{}</code></pre>", escape(command));
}

/// Adds a plot; on a small screen it scrolls.
pub(super) fn plot(out: &mut String, label: &str, svg: &str) {
    let _ = write!(
        out,
        "<div class=\"card plot\" role=\"group\" aria-label=\"{}\" tabindex=\"0\">{svg}</div>",
        escape(label)
    );
}

/// Returns what stands beside a model's number: the strongest baseline with its own.
pub(super) fn beside(dots: &[Dot], lower_is_better: bool) -> Option<String> {
    strongest(dots, lower_is_better).map(|dot| format!("baseline {}: {}", dot.name, short(dot.value)))
}

/// The strongest baseline: the one with the lowest or the highest number.
fn strongest(dots: &[Dot], lower_is_better: bool) -> Option<&Dot> {
    let baselines = dots.iter().filter(|dot| dot.mark == Mark::Baseline);
    let sign = if lower_is_better { 1.0 } else { -1.0 };
    baselines.min_by(|a, b| (sign * a.value).total_cmp(&(sign * b.value)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_strongest_baseline_is_none_of_the_others() {
        let dot = |name: &str, value, mark| Dot { name: name.to_owned(), value, reach: None, mark };
        let dots = [dot("own", 0.9, Mark::Own), dot("a", 0.3, Mark::Baseline), dot("b", 0.5, Mark::Baseline)];
        assert_eq!(strongest(&dots, false).unwrap().name, "b");
        assert_eq!(strongest(&dots, true).unwrap().name, "a");
        assert!(strongest(&dots[..1], true).is_none());
    }

    #[test]
    fn what_a_card_says_cannot_become_markup() {
        let mut out = String::new();
        facts(&mut out, &[("Tissue", "<b>".to_owned())]);
        sentences(&mut out, "Notes", &["<i>".to_owned()]);
        files(&mut out, "Sources", &BTreeMap::from([("<u>".to_owned(), "<s>".to_owned())]));
        method_cell(&mut out, "<em>", Mark::Baseline);
        for tag in ["<b>", "<i>", "<u>", "<s>", "<em>"] {
            assert!(!out.contains(tag), "{tag}");
        }
    }
}
