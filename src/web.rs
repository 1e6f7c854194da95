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

use crate::http::state::AppState;

/// Returns the pages' routes.
pub(crate) fn routes() -> Router<Arc<AppState>> {
    search::routes().merge(gene::routes()).merge(impute::routes()).merge(predict::routes()).merge(models::routes())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_and_control_characters_do_not_pass() {
        assert_eq!(escape("<a href=\"x\">&'\u{0}\u{1b}"), "&lt;a href=&quot;x&quot;&gt;&amp;&#39;");
        assert_eq!(path_segment("HLA/A b?é"), "HLA%2FA%20b%3F%C3%A9");
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
