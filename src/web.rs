//! The pages: server-rendered, readable without scripts, from this host alone.
//!
//! Imports `http`'s answers and state. Invariants: every text that came from a request or a dataset is escaped; no page
//! or plot needs an inline style or script, so that the content security policy forbids them; what a script does, a
//! link or a form does more slowly, but for the page that sends genotypes.

pub(crate) mod assets;
pub mod docs;
pub(crate) mod frame;
mod gene;
mod impute;
mod models;
mod neighbourhood;
pub mod plot;
mod predict;
mod profile;
mod search;

use std::sync::Arc;

use axum::Router;
use axum::response::{IntoResponse as _, Response};
use frame::{ProblemPage, Tab};

use crate::http::problem::Problem;
use crate::http::state::AppState;

/// Returns the pages' routes.
pub(crate) fn routes() -> Router<Arc<AppState>> {
    search::routes().merge(gene::routes()).merge(impute::routes()).merge(predict::routes()).merge(models::routes())
}

/// Returns a problem as a page, for a browser that was led astray.
pub(crate) fn problem_page(problem: Problem) -> Response {
    ProblemPage::new(problem, Tab::Genes).into_response()
}

/// Returns the text as XML and HTML take it, in content and in quoted attributes; characters that XML does not know are
/// left out.
#[must_use]
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\t' | '\n' => out.push(' '),
            c if c.is_control() || matches!(c, '\u{FFFE}' | '\u{FFFF}') => {}
            c => out.push(c),
        }
    }
    out
}

/// Returns the text as one segment of a path, or as a value of a query.
#[must_use]
pub fn path_segment(text: &str) -> String {
    use std::fmt::Write as _;
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~' | b'@' | b':') {
            out.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

/// Returns what stands behind the path of a gene's page, so that it is of the dataset that an address has named.
pub(crate) fn in_dataset(named: Option<&str>) -> String {
    named.map_or(String::new(), |name| format!("?dataset={}", path_segment(name)))
}

/// Returns a value with three significant digits, for people.
#[must_use]
pub fn rounded(value: f32) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    let digits = 2 - (value.abs().log10().floor() as i32);
    match usize::try_from(digits) {
        Ok(digits) if digits <= 6 => {
            let text = format!("{value:.digits$}");
            if digits > 0 { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
        }
        Ok(_) => format!("{value:.1e}"),
        Err(_) => format!("{value:.0}"),
    }
}

/// Returns a whole number with its thousands apart.
pub(crate) fn count(number: usize) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Returns so many of something, in words: `1 gene`, `2 genes`.
pub(crate) fn counted(number: usize, one: &str) -> String {
    format!("{} {one}{}", count(number), if number == 1 { "" } else { "s" })
}

/// Returns the text with its first letter large.
pub(crate) fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or(String::new(), |first| first.to_uppercase().chain(letters).collect())
}

/// Returns 1, 2 or 5 times a power of ten: the smallest that is at least this rough step of an axis.
pub(crate) fn round_step(rough: f64) -> f64 {
    let power = 10.0_f64.powf(rough.log10().floor());
    power * [1.0, 2.0, 5.0, 10.0].into_iter().find(|m| m * power >= rough * 0.999).unwrap_or(10.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_and_control_characters_do_not_pass() {
        assert_eq!(escape("<a href=\"x\">&'\u{0}\u{1b}"), "&lt;a href=&quot;x&quot;&gt;&amp;&#39;");
        assert_eq!(path_segment("HLA/A b?é"), "HLA%2FA%20b%3F%C3%A9");
    }

    #[test]
    fn thousands_are_parted_and_things_counted() {
        for (number, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (12_685, "12,685"), (1_234_567, "1,234,567")] {
            assert_eq!(count(number), text);
        }
        assert_eq!((counted(1, "gene"), counted(1_893, "gene")), ("1 gene".to_owned(), "1,893 genes".to_owned()));
    }

    #[test]
    fn steps_of_an_axis_are_round() {
        for (rough, step) in [(0.13, 0.2), (0.2, 0.2), (1.0, 1.0), (7.0, 10.0), (34_000.0, 50_000.0)] {
            assert!((round_step(rough) - step).abs() < 1e-9 * step, "{rough}");
        }
    }

    #[test]
    fn values_keep_three_digits() {
        for (value, text) in
            [(0.0, "0"), (0.012_34, "0.0123"), (3.1, "3.1"), (12.345, "12.3"), (1234.5, "1234"), (1e-9, "1.0e-9")]
        {
            assert_eq!(rounded(value), text);
        }
    }
}
