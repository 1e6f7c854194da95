//! The plot of a profile: horizontal bars by tissue, as SVG.
//!
//! Measured values are solid, imputed ones hatched with their interval as a whisker, in GTEx's colours and the
//! dataset's order. Presentation attributes only, so that the plot also shows inside a page that forbids inline styles.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::{escape, rounded};
use crate::genome::Tissue;
use crate::http::answer::{ProfileAnswer, Source, TissueAnswer};

const WIDTH: f32 = 960.0;
/// Where the bars start: left of it are the tissues' names.
const LEFT: f32 = 286.0;
/// Where the axis ends: right of it there is room for the last number.
const RIGHT: f32 = 836.0;
/// Where the first row starts.
const TOP: f32 = 104.0;
const ROW: f32 = 17.0;
const BAR: f32 = 11.0;
/// The colour of tissues that GTEx does not have.
const NEUTRAL: &str = "8A94A0";
const FONT: &str = "system-ui, -apple-system, 'Segoe UI', 'Helvetica Neue', Arial, sans-serif";
/// An interval longer than this many times the highest value is cut at the axis' end, or the bars would vanish.
const LONGEST_INTERVAL: f32 = 1.6;

/// What the bars are as long as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Quantity {
    /// Values in the dataset's unit.
    Value,
    /// The relative shape, where some tissue has no level.
    Relative,
}

impl Quantity {
    fn of(profile: &ProfileAnswer) -> Self {
        let shape_only = |one: &TissueAnswer| one.value.is_none() && one.relative.is_some();
        if profile.tissues.iter().any(shape_only) { Self::Relative } else { Self::Value }
    }

    fn length(self, one: &TissueAnswer) -> Option<f32> {
        match self {
            Self::Value => one.value,
            Self::Relative => one.relative,
        }
    }

    fn interval(self, one: &TissueAnswer) -> Option<(f32, f32)> {
        if self == Self::Value { one.lower.zip(one.upper) } else { None }
    }
}

/// The axis: from 0 to a round number.
struct Axis {
    end: f32,
    step: f32,
}

impl Axis {
    fn of(profile: &ProfileAnswer, quantity: Quantity) -> Self {
        let highest = |lengths: &mut dyn Iterator<Item = f32>| lengths.fold(0.0_f32, f32::max);
        let value = highest(&mut profile.tissues.iter().filter_map(|one| quantity.length(one)));
        let upper =
            highest(&mut profile.tissues.iter().filter_map(|one| quantity.interval(one)).map(|(_, upper)| upper));
        let reach = value.max(upper.min(LONGEST_INTERVAL * value));
        let reach = if reach > 0.0 { reach } else { 1.0 };
        // The step is 1, 2 or 5 times a power of ten, so that there are four to seven ticks.
        let rough = reach / 6.5;
        let power = 10.0_f32.powi(rough.log10().floor() as i32);
        let step = power * [1.0, 2.0, 5.0, 10.0].into_iter().find(|m| m * power >= rough * 0.999).unwrap_or(10.0);
        Self { end: step * (reach / step * 0.999).ceil(), step }
    }

    fn x(&self, value: f32) -> f32 {
        LEFT + (RIGHT - LEFT) * (value / self.end).clamp(0.0, 1.0)
    }

    fn ticks(&self) -> impl Iterator<Item = f32> + '_ {
        let past = self.end + self.step / 2.0;
        (0..=u16::MAX).map(|n| f32::from(n) * self.step).take_while(move |tick| *tick < past)
    }
}

/// Draws a profile.
#[must_use]
pub fn svg(profile: &ProfileAnswer) -> String {
    let quantity = Quantity::of(profile);
    let axis = Axis::of(profile, quantity);
    let bottom = TOP + ROW * profile.tissues.len() as f32;
    let height = bottom + 58.0;
    let mut out = String::with_capacity(400 * profile.tissues.len() + 4096);
    // Writing to a String cannot fail, so the results below are dropped.
    let _ = write!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" \
         height=\"{height}\" role=\"img\" aria-labelledby=\"tc-title tc-desc\" font-family=\"{}\">",
        escape(FONT)
    );
    head(&mut out, profile, quantity);
    patterns(&mut out, profile);
    let _ = write!(out, "<rect width=\"{WIDTH}\" height=\"{height}\" fill=\"#ffffff\"/>");
    heading(&mut out, profile);
    legend(&mut out, profile, quantity);
    grid(&mut out, &axis, bottom, &axis_label(profile, quantity));
    for (row, one) in profile.tissues.iter().enumerate() {
        bar(&mut out, &axis, quantity, profile, (row, one));
    }
    let _ = write!(
        out,
        "<line x1=\"{LEFT}\" x2=\"{LEFT}\" y1=\"{TOP}\" y2=\"{bottom}\" stroke=\"#5b6570\" stroke-width=\"1\"/></svg>"
    );
    out
}

fn axis_label(profile: &ProfileAnswer, quantity: Quantity) -> String {
    match quantity {
        Quantity::Value => format!("expression ({})", profile.unit.to_uppercase()),
        Quantity::Relative => "relative expression (0 at the lowest tissue, 1 at the highest)".to_owned(),
    }
}

/// The text alternative: what a reader who does not see the plot has to know.
fn head(out: &mut String, profile: &ProfileAnswer, quantity: Quantity) {
    let count = |source: Source| profile.tissues.iter().filter(|one| one.source == source).count();
    let top = profile.tissues.iter().filter_map(|one| quantity.length(one).map(|length| (length, one.name.as_str())));
    let top = top
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map_or(String::new(), |(length, name)| format!(" The highest is {name} with {}.", rounded(length)));
    let _ = write!(
        out,
        "<title id=\"tc-title\">Tissue profile of {}</title><desc id=\"tc-desc\">{}, by tissue: {} tissues measured, {} \
         imputed, {} without a value.{}</desc>",
        escape(&profile.gene.symbol),
        escape(&axis_label(profile, quantity)),
        count(Source::Measured),
        count(Source::Imputed),
        count(Source::Unknown),
        escape(&top),
    );
}

/// One hatching a colour in use.
fn patterns(out: &mut String, profile: &ProfileAnswer) {
    let imputed = profile.tissues.iter().filter(|one| one.source == Source::Imputed);
    let mut colours: BTreeSet<&str> = imputed.map(|one| colour(&one.tissue)).collect();
    colours.insert(NEUTRAL);
    out.push_str("<defs>");
    for colour in colours {
        let _ = write!(
            out,
            "<pattern id=\"tc-{colour}\" width=\"5\" height=\"5\" patternUnits=\"userSpaceOnUse\" \
             patternTransform=\"rotate(45)\"><rect width=\"5\" height=\"5\" fill=\"#{colour}\" fill-opacity=\"0.22\"/>\
             <rect width=\"2\" height=\"5\" fill=\"#{colour}\"/></pattern>"
        );
    }
    out.push_str("</defs>");
}

fn heading(out: &mut String, profile: &ProfileAnswer) {
    let gene = &profile.gene;
    let version = gene.version.map_or(String::new(), |version| format!(".{version}"));
    let id = if gene.symbol == gene.gene_id { String::new() } else { format!("{}{version}", gene.gene_id) };
    let model =
        profile.model.as_ref().map_or("no model".to_owned(), |model| format!("model {} {}", model.name, model.version));
    let place = match (&gene.chromosome, gene.tss, gene.strand) {
        (Some(chromosome), Some(tss), Some(strand)) => format!("{chromosome}:{tss} ({strand})"),
        _ => "no place in the annotation".to_owned(),
    };
    let _ = write!(
        out,
        "<text x=\"20\" y=\"34\" font-size=\"20\" font-weight=\"700\" fill=\"#17202a\">{}<tspan dx=\"10\" \
         font-size=\"13\" font-weight=\"400\" fill=\"#4a545e\">{}</tspan></text>\
         <text x=\"20\" y=\"55\" font-size=\"12\" fill=\"#4a545e\">{} · dataset {} · {}</text>",
        escape(&gene.symbol),
        escape(&id),
        escape(&place),
        escape(&profile.dataset.name),
        escape(&model),
    );
}

/// What the bars' looks mean; only looks that occur.
fn legend(out: &mut String, profile: &ProfileAnswer, quantity: Quantity) {
    let has = |source: Source| profile.tissues.iter().any(|one| one.source == source);
    let mut x = 20.0;
    let mut entry = |out: &mut String, mark: String, label: &str| {
        let _ = write!(out, "{mark}<text x=\"{}\" y=\"82\" font-size=\"12\" fill=\"#2c3640\">{label}</text>", x + 30.0);
        x += 46.0 + 6.4 * label.len() as f32;
        x
    };
    let swatch = |x: f32, fill: &str| {
        format!(
            "<rect x=\"{x}\" y=\"72\" width=\"24\" height=\"{BAR}\" fill=\"{fill}\" stroke=\"#5b6570\" \
             stroke-width=\"0.7\"/>"
        )
    };
    let mut at = 20.0;
    if has(Source::Measured) {
        at = entry(out, swatch(at, &format!("#{NEUTRAL}")), "measured");
    }
    if has(Source::Imputed) {
        at = entry(out, swatch(at, &format!("url(#tc-{NEUTRAL})")), "imputed");
        if profile.tissues.iter().any(|one| quantity.interval(one).is_some()) {
            let mark = format!(
                "<path d=\"M{at} 77.5h24M{at} 74v7M{} 74v7\" stroke=\"#17202a\" stroke-width=\"1.2\" fill=\"none\"/>",
                at + 24.0
            );
            at = entry(out, mark, "interval of an imputed value");
        }
    }
    if has(Source::Unknown) {
        let mark = format!("<text x=\"{}\" y=\"82\" font-size=\"12\" fill=\"#6a747e\">–</text>", at + 8.0);
        entry(out, mark, "no value");
    }
}

fn grid(out: &mut String, axis: &Axis, bottom: f32, label: &str) {
    for tick in axis.ticks() {
        let x = axis.x(tick);
        let _ = write!(
            out,
            "<line x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{TOP}\" y2=\"{}\" stroke=\"#e1e5e9\" stroke-width=\"1\"/>\
             <text x=\"{x:.1}\" y=\"{}\" font-size=\"11\" fill=\"#4a545e\" text-anchor=\"middle\">{}</text>",
            bottom + 4.0,
            bottom + 18.0,
            rounded(tick),
        );
    }
    let _ = write!(
        out,
        "<text x=\"{}\" y=\"{}\" font-size=\"12\" fill=\"#2c3640\" text-anchor=\"middle\">{}</text>",
        f32::midpoint(LEFT, RIGHT),
        bottom + 40.0,
        escape(label),
    );
}

fn bar(out: &mut String, axis: &Axis, quantity: Quantity, profile: &ProfileAnswer, row: (usize, &TissueAnswer)) {
    let (row, one) = row;
    let top = TOP + ROW * row as f32 + (ROW - BAR) / 2.0;
    let middle = top + BAR / 2.0;
    let baseline = middle + 4.0;
    let name = escape(&one.name);
    let _ = write!(
        out,
        "<g><title>{}</title><text x=\"{}\" y=\"{baseline}\" font-size=\"11.5\" fill=\"#17202a\" \
         text-anchor=\"end\">{name}</text>",
        escape(&tooltip(one, &profile.unit)),
        LEFT - 8.0,
    );
    let Some(length) = quantity.length(one) else {
        let _ = write!(
            out,
            "<text x=\"{}\" y=\"{baseline}\" font-size=\"11\" font-style=\"italic\" fill=\"#6a747e\">no value</text></g>",
            LEFT + 6.0
        );
        return;
    };
    let colour = colour(&one.tissue);
    let fill = match one.source {
        Source::Imputed => format!("url(#tc-{colour})"),
        _ => format!("#{colour}"),
    };
    let end = axis.x(length);
    let _ = write!(
        out,
        "<rect x=\"{LEFT}\" y=\"{top}\" width=\"{:.1}\" height=\"{BAR}\" fill=\"{fill}\" stroke=\"#{}\" \
         stroke-width=\"0.7\"/>",
        (end - LEFT).max(0.6),
        darker(colour),
    );
    let mut label = end;
    if let Some((lower, upper)) = quantity.interval(one) {
        let (from, to) = (axis.x(lower), axis.x(upper));
        let cut = upper > axis.end;
        let cap = if cut {
            format!("M{:.1} {}l4 4l-4 4", to - 4.0, middle - 4.0)
        } else {
            format!("M{to:.1} {}v6", middle - 3.0)
        };
        let path = format!("M{from:.1} {middle}H{to:.1}M{from:.1} {}v6{cap}", middle - 3.0);
        // A light rim keeps the whisker visible on dark hatching.
        let _ = write!(
            out,
            "<path d=\"{path}\" stroke=\"#ffffff\" stroke-width=\"3\" stroke-opacity=\"0.75\" fill=\"none\"/><path \
             d=\"{path}\" stroke=\"#17202a\" stroke-width=\"1.1\" fill=\"none\"/>",
        );
        label = label.max(to);
    }
    let _ = write!(
        out,
        "<text x=\"{:.1}\" y=\"{baseline}\" font-size=\"10.5\" fill=\"#4a545e\">{}</text></g>",
        label + 6.0,
        value_label(quantity, one, length),
    );
}

/// What stands behind a bar: the value, and the whole interval, which the axis may cut.
fn value_label(quantity: Quantity, one: &TissueAnswer, length: f32) -> String {
    let value = rounded(length);
    let interval = quantity.interval(one);
    interval.map_or(value.clone(), |(lower, upper)| format!("{value} ({} to {})", rounded(lower), rounded(upper)))
}

fn tooltip(one: &TissueAnswer, unit: &str) -> String {
    let source = one.source.as_str();
    match (one.value, one.lower.zip(one.upper), one.relative) {
        (Some(value), Some((lower, upper)), _) => {
            format!("{}: {} {unit} ({source}, {} to {})", one.name, rounded(value), rounded(lower), rounded(upper))
        }
        (Some(value), None, _) => format!("{}: {} {unit} ({source})", one.name, rounded(value)),
        (None, _, Some(relative)) => format!("{}: relative {} ({source})", one.name, rounded(relative)),
        _ => format!("{}: no value", one.name),
    }
}

fn colour(tissue: &str) -> &'static str {
    Tissue::from_name(tissue).gtex().map_or(NEUTRAL, |known| known.colour)
}

/// A darker shade for the outline, so that light colours stand out from the paper.
fn darker(colour: &str) -> String {
    let channel = |at: usize| u32::from_str_radix(colour.get(at..at + 2).unwrap_or("80"), 16).unwrap_or(128) * 62 / 100;
    format!("{:02x}{:02x}{:02x}", channel(0), channel(2), channel(4))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::answer::{DatasetRef, GeneAnswer};

    fn tissue(name: &str, value: Option<f32>, source: Source, interval: Option<(f32, f32)>) -> TissueAnswer {
        let known = Tissue::from_name(name);
        TissueAnswer {
            tissue: known.id().to_owned(),
            name: known.name().to_owned(),
            value,
            source,
            lower: interval.map(|i| i.0),
            upper: interval.map(|i| i.1),
            relative: value.map(|_| 0.5),
            explanation: None,
        }
    }

    fn profile(tissues: Vec<TissueAnswer>) -> ProfileAnswer {
        let gene = GeneAnswer {
            gene_id: "ENSG1".to_owned(),
            version: Some(3),
            symbol: "<A&B>".to_owned(),
            chromosome: None,
            start: None,
            end: None,
            strand: None,
            tss: None,
            biotype: None,
        };
        let dataset = DatasetRef { name: "set".to_owned(), version: "1".to_owned() };
        let (references, notes) = (Vec::new(), Vec::new());
        ProfileAnswer { gene, dataset, model: None, unit: "tpm".to_owned(), missing: None, tissues, references, notes }
    }

    #[test]
    fn looks_follow_the_source_and_text_is_escaped() {
        let drawn = svg(&profile(vec![
            tissue("Liver", Some(4.0), Source::Measured, None),
            tissue("Lung", Some(2.0), Source::Imputed, Some((1.0, 3.0))),
            tissue("my <leaf>", None, Source::Unknown, None),
        ]));
        assert!(drawn.contains("fill=\"#AABB66\""), "the liver is solid in its colour");
        assert!(drawn.contains("fill=\"url(#tc-99FF00)\""), "the lung is hatched in its colour");
        assert_eq!(drawn.matches(">no value<").count(), 2, "once in the plot and once in the legend");
        assert!(!drawn.contains("<A&B>") && drawn.contains("&lt;A&amp;B&gt;") && !drawn.contains("<leaf>"));
        assert!(drawn.contains("1 tissues measured, 1 imputed, 1 without a value"));
    }

    #[test]
    fn the_axis_ends_at_a_round_number_beyond_the_values() {
        for (highest, end) in [(4.0, 4.0), (97.0, 100.0), (0.013, 0.014), (0.0, 1.0), (12_345.0, 14_000.0)] {
            let one = profile(vec![tissue("Liver", Some(highest), Source::Measured, None)]);
            let axis = Axis::of(&one, Quantity::of(&one));
            assert!((axis.end - end).abs() < 1e-3 * end, "{highest}: {}", axis.end);
        }
    }

    #[test]
    fn a_long_interval_does_not_make_the_bars_vanish() {
        let one = profile(vec![tissue("Liver", Some(10.0), Source::Imputed, Some((0.0, 5_000.0)))]);
        assert!(Axis::of(&one, Quantity::of(&one)).end <= 20.0);
    }

    #[test]
    fn a_shape_without_levels_is_drawn_on_the_relative_scale() {
        let mut one = profile(vec![
            tissue("Liver", Some(900.0), Source::Measured, None),
            tissue("Lung", None, Source::Imputed, None),
        ]);
        one.tissues[1].relative = Some(0.25);
        assert_eq!(Quantity::of(&one), Quantity::Relative);
        assert!(svg(&one).contains("relative expression"));
    }
}
