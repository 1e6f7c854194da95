//! Which format an answer is written in: `?format=` or the `Accept` header.

use axum::http::{HeaderMap, header};

use super::problem::{Kind, Problem};

/// A format of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// `application/json`.
    Json,
    /// `text/tab-separated-values`.
    Tsv,
    /// `application/vnd.apache.arrow.stream`.
    Arrow,
    /// `text/x-bed`, a phenotype BED.
    Bed,
    /// `application/vnd.apache.parquet`.
    Parquet,
    /// `image/svg+xml`.
    Svg,
}

/// JSON, TSV and Arrow: what every table is offered in.
pub(crate) const TABULAR: [Format; 3] = [Format::Json, Format::Tsv, Format::Arrow];

impl Format {
    /// Returns the short name that `?format=` takes.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Tsv => "tsv",
            Self::Arrow => "arrow",
            Self::Bed => "bed",
            Self::Parquet => "parquet",
            Self::Svg => "svg",
        }
    }

    /// Returns the media type without parameters.
    #[must_use]
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Tsv => "text/tab-separated-values",
            Self::Arrow => "application/vnd.apache.arrow.stream",
            Self::Bed => "text/x-bed",
            Self::Parquet => "application/vnd.apache.parquet",
            Self::Svg => "image/svg+xml",
        }
    }

    /// Returns the `content-type` that an answer is sent with.
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Tsv => "text/tab-separated-values; charset=utf-8",
            _ => self.media_type(),
        }
    }

    /// Chooses the format: `?format=` wins; otherwise the offered one that `Accept` weighs highest, the first offered
    /// one among equals; without either the first offered.
    ///
    /// # Errors
    /// `?format=` names none of the offered ones, or `Accept` allows none.
    pub fn choose(headers: &HeaderMap, wanted: Option<&str>, offered: &[Self]) -> Result<Self, Problem> {
        let names = || offered.iter().map(|format| format.name()).collect::<Vec<_>>().join(", ");
        if let Some(name) = wanted {
            let found = offered.iter().copied().find(|format| format.name() == name);
            return found.ok_or_else(|| {
                Problem::parameter("format", format!("this route has no format '{name}'; it has: {}", names()))
            });
        }
        let mut lines = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok()).peekable();
        let (Some(first), true) = (offered.first().copied(), lines.peek().is_some()) else {
            return offered.first().copied().ok_or_else(|| Problem::new(Kind::NotAcceptable, "no format is offered"));
        };
        let ranges: Vec<(&str, u16)> = lines.flat_map(|line| line.split(',')).filter_map(range).collect();
        if ranges.is_empty() {
            return Ok(first);
        }
        let mut best: Option<(u16, Self)> = None;
        for format in offered.iter().copied() {
            let weight = weight(&ranges, format.media_type());
            if weight > best.map_or(0, |(highest, _)| highest) {
                best = Some((weight, format));
            }
        }
        best.map(|(_, format)| format).ok_or_else(|| {
            let types: Vec<_> = offered.iter().map(|format| format.media_type()).collect();
            Problem::new(Kind::NotAcceptable, format!("this route answers in: {}", types.join(", ")))
        })
    }
}

/// Returns whether a client asks for pages, as browsers do by naming `text/html`.
pub(crate) fn wants_page(headers: &HeaderMap) -> bool {
    let mut lines = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    lines.any(|line| line.split(',').filter_map(range).any(|(range, weight)| range == "text/html" && weight > 0))
}

/// Reads one media range and its weight in thousandths; a range that cannot be read counts as absent.
fn range(text: &str) -> Option<(&str, u16)> {
    let mut parts = text.split(';').map(str::trim);
    let range = parts.next().filter(|range| range.contains('/'))?;
    let mut weight = 1000;
    for part in parts {
        if let Some(q) = part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")) {
            let q: f32 = q.parse().ok().filter(|q| (0.0..=1.0).contains(q))?;
            weight = (q * 1000.0).round().clamp(0.0, 1000.0).to_string().parse().ok()?;
        }
    }
    Some((range, weight))
}

/// The weight of a media type: that of the most specific range that covers it.
fn weight(ranges: &[(&str, u16)], media_type: &str) -> u16 {
    let kind = media_type.split('/').next().unwrap_or_default();
    let specificity = |range: &str| {
        if range.eq_ignore_ascii_case(media_type) {
            Some(2)
        } else if range.strip_suffix("/*").is_some_and(|r| r.eq_ignore_ascii_case(kind)) {
            Some(1)
        } else {
            (range == "*/*").then_some(0)
        }
    };
    let covering = ranges.iter().filter_map(|(range, weight)| specificity(range).map(|s| (s, *weight)));
    covering.max_by_key(|(specific, _)| *specific).map_or(0, |(_, weight)| weight)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Format; 4] = [Format::Json, Format::Tsv, Format::Arrow, Format::Svg];

    fn choose(accept: &str) -> Result<Format, Problem> {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, accept.parse().unwrap());
        Format::choose(&headers, None, &ALL)
    }

    #[test]
    fn accept_weighs_and_prefers_the_specific_range() {
        let cases = [
            ("*/*", Format::Json),
            ("", Format::Json),
            ("text/tab-separated-values", Format::Tsv),
            ("application/*;q=0.5, text/tab-separated-values;q=0.4", Format::Json),
            ("application/json;q=0.1, */*;q=0.2", Format::Tsv),
            ("application/json;q=0, application/*", Format::Arrow),
            ("text/html, image/*;q=0.8, */*;q=0.1", Format::Svg),
            ("IMAGE/SVG+XML", Format::Svg),
        ];
        for (accept, expected) in cases {
            assert_eq!(choose(accept).unwrap(), expected, "{accept}");
        }
    }

    #[test]
    fn what_is_not_offered_is_refused() {
        for accept in ["text/html", "application/json;q=0", "application/pdf;q=1"] {
            assert_eq!(choose(accept).unwrap_err().kind(), Kind::NotAcceptable, "{accept}");
        }
        let error = Format::choose(&HeaderMap::new(), Some("svg"), &TABULAR).unwrap_err();
        assert_eq!(error.kind(), Kind::InvalidParameter);
    }
}
