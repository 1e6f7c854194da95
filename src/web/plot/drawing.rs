//! The parts of a profile's picture.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::axis::{Axis, Quantity};
use super::layout::Layout;
use super::view::{NEUTRAL, View};
use crate::http::answer::{ProfileAnswer, Source, TissueAnswer};
use crate::web::{escape, rounded};

const BAR: f32 = 11.0;

/// What all bars of a plot share.
pub(super) struct Drawing<'a> {
    pub(super) profile: &'a ProfileAnswer,
    pub(super) quantity: Quantity,
    pub(super) axis: Axis,
    pub(super) view: View,
    pub(super) layout: Layout,
}

impl Drawing<'_> {
    /// The gene, where it is, and what the values are of.
    pub(super) fn heading(&self, out: &mut String) {
        let profile = self.profile;
        let gene = &profile.gene;
        let version = gene.version.map_or(String::new(), |version| format!(".{version}"));
        let id = if gene.symbol == gene.gene_id { String::new() } else { format!("{}{version}", gene.gene_id) };
        let model = profile
            .model
            .as_ref()
            .map_or("no model".to_owned(), |model| format!("model {} {}", model.name, model.version));
        let place = match (&gene.chromosome, gene.tss, gene.strand) {
            (Some(chromosome), Some(tss), Some(strand)) => format!("{chromosome}:{tss} ({strand})"),
            _ => "no place in the annotation".to_owned(),
        };
        let _ = write!(
            out,
            "<text class=\"tc-ink\" x=\"20\" y=\"34\" font-size=\"20\" font-weight=\"700\" fill=\"#17202a\">{}<tspan class=\"tc-soft\" dx=\"10\" \
             font-size=\"13\" font-weight=\"400\" fill=\"#4a545e\">{}</tspan></text>\
             <text class=\"tc-soft\" x=\"20\" y=\"55\" font-size=\"12\" fill=\"#4a545e\">{} · dataset {} · {}</text>",
            escape(&gene.symbol),
            escape(&id),
            escape(&place),
            escape(&profile.dataset.name),
            escape(&model),
        );
    }

    /// The text alternative: what a reader who does not see the plot has to know.
    pub(super) fn head(&self, out: &mut String) {
        let (tissues, prefix) = (&self.profile.tissues, self.layout.prefix);
        let count = |source: Source| tissues.iter().filter(|one| one.source == source).count();
        let lengths = tissues.iter().filter_map(|one| Some((self.quantity.length(one)?, one.name.as_str())));
        let top = lengths
            .max_by(|a, b| a.0.total_cmp(&b.0))
            .map_or(String::new(), |(length, name)| format!(" The highest is {name} with {}.", rounded(length)));
        let _ = write!(
            out,
            "<title id=\"{prefix}-title\">Tissue profile of {}</title><desc id=\"{prefix}-desc\">{}, by tissue: {} tissues \
             measured, {} imputed, {} without a value.{}</desc>",
            escape(&self.profile.gene.symbol),
            match self.quantity {
                Quantity::Value => format!("Expression in {}", escape(&self.profile.unit.to_uppercase())),
                Quantity::Relative => "Relative expression".to_owned(),
            },
            count(Source::Measured),
            count(Source::Imputed),
            count(Source::Unknown),
            escape(&top),
        );
    }

    /// One hatching a colour in use.
    pub(super) fn patterns(&self, out: &mut String) {
        let imputed = self.profile.tissues.iter().filter(|one| one.source == Source::Imputed);
        let mut colours: BTreeSet<&str> = imputed.map(|one| self.view.colour(&one.tissue)).collect();
        colours.insert(NEUTRAL);
        out.push_str("<defs>");
        for colour in colours {
            let _ = write!(
                out,
                "<pattern id=\"{}-{colour}\" width=\"5\" height=\"5\" patternUnits=\"userSpaceOnUse\" \
                 patternTransform=\"rotate(45)\"><rect width=\"5\" height=\"5\" fill=\"#{colour}\" fill-opacity=\"0.22\"/>\
                 <rect width=\"2\" height=\"5\" fill=\"#{colour}\"/></pattern>",
                self.layout.prefix
            );
        }
        out.push_str("</defs>");
    }

    /// What the bars' looks mean; only looks that occur.
    pub(super) fn legend(&self, out: &mut String) {
        let has = |source: Source| self.profile.tissues.iter().any(|one| one.source == source);
        let layout = &self.layout;
        let (mut x, baseline) = if layout.is_wide { (20.0, 82.0) } else { (layout.name, 18.0) };
        let mut entry = |out: &mut String, mark: &dyn Fn(f32) -> String, label: &str| {
            let _ = write!(
                out,
                "{}<text class=\"tc-ink\" x=\"{}\" y=\"{baseline}\" font-size=\"12\" fill=\"#2c3640\">{label}</text>",
                mark(x),
                x + 30.0
            );
            x += 46.0 + 6.4 * label.len() as f32;
        };
        let swatch = |fill: String| {
            move |x: f32| {
                format!(
                    "<rect x=\"{x}\" y=\"{}\" width=\"24\" height=\"{BAR}\" fill=\"{fill}\" stroke=\"#5b6570\" \
                     stroke-width=\"0.7\"/>",
                    baseline - 10.0
                )
            }
        };
        if has(Source::Measured) {
            entry(out, &swatch(format!("#{NEUTRAL}")), "measured");
        }
        if has(Source::Imputed) {
            entry(out, &swatch(format!("url(#{}-{NEUTRAL})", layout.prefix)), "imputed");
            if self.profile.tissues.iter().any(|one| self.quantity.interval(one).is_some()) {
                let whisker = |x: f32| {
                    let (middle, top) = (baseline - 4.5, baseline - 8.0);
                    format!(
                        "<path class=\"tc-line\" d=\"M{x} {middle}h24M{x} {top}v7M{} {top}v7\" stroke=\"#17202a\" \
                         stroke-width=\"1.2\" fill=\"none\"/>",
                        x + 24.0
                    )
                };
                entry(out, &whisker, if layout.is_wide { "interval of an imputed value" } else { "interval" });
            }
        }
        if has(Source::Unknown) {
            let dash = |x: f32| {
                format!(
                    "<text class=\"tc-soft\" x=\"{}\" y=\"{baseline}\" font-size=\"12\" fill=\"#5b6570\">–</text>",
                    x + 8.0
                )
            };
            entry(out, &dash, "no value");
        }
    }

    pub(super) fn grid(&self, out: &mut String, bottom: f32) {
        for tick in self.axis.ticks() {
            let x = self.axis.x(tick);
            let _ = write!(
                out,
                "<line class=\"tc-grid\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{}\" y2=\"{}\" stroke=\"#e1e5e9\" \
                 stroke-width=\"1\"/><text class=\"tc-soft\" x=\"{x:.1}\" y=\"{}\" font-size=\"11\" fill=\"#4a545e\" \
                 text-anchor=\"middle\">{}</text>",
                self.layout.top,
                bottom + 4.0,
                bottom + 18.0,
                rounded(tick),
            );
        }
        let (from, to) = self.layout.bars;
        let _ = write!(
            out,
            "<text class=\"tc-ink\" x=\"{}\" y=\"{}\" font-size=\"12\" fill=\"#2c3640\" text-anchor=\"middle\">{}</text>",
            f32::midpoint(from, to),
            bottom + 40.0,
            escape(&self.axis_label()),
        );
    }

    fn axis_label(&self) -> String {
        let scale = if self.axis.is_log() { ", logarithm of 1 + value" } else { "" };
        match self.quantity {
            Quantity::Value => format!("expression ({}{scale})", self.profile.unit.to_uppercase()),
            Quantity::Relative => "relative expression (0 at the lowest tissue, 1 at the highest)".to_owned(),
        }
    }

    /// One tissue: its name, its bar and its numbers; `row` is where its row starts.
    pub(super) fn bar(&self, out: &mut String, row: f32, one: &TissueAnswer) {
        let layout = &self.layout;
        let (left, _) = layout.bars;
        let top = row + layout.to_bar;
        let baseline = top + BAR / 2.0 + 4.0;
        let (name, anchor) = if layout.is_wide { (baseline, "end") } else { (row + 12.0, "start") };
        let numbers = escape(&numbers(one, &self.profile.unit.to_uppercase()));
        let _ = write!(
            out,
            "<g class=\"tc-bar\" role=\"listitem\" aria-label=\"{numbers}\"><title>{numbers}</title><rect class=\"tc-hit\" \
             x=\"4\" y=\"{row}\" width=\"{}\" height=\"{}\" fill=\"none\" pointer-events=\"all\"/><text \
             class=\"tc-ink\" x=\"{}\" y=\"{name}\" font-size=\"11.5\" fill=\"#17202a\" text-anchor=\"{anchor}\" \
             aria-hidden=\"true\">{}</text>",
            layout.width - 8.0,
            layout.row,
            layout.name,
            escape(&one.name),
        );
        match self.quantity.length(one) {
            Some(length) => self.length(out, top, one, length),
            None => {
                let _ = write!(
                    out,
                    "<text class=\"tc-soft\" x=\"{}\" y=\"{baseline}\" font-size=\"11\" font-style=\"italic\" \
                     fill=\"#5b6570\" aria-hidden=\"true\">no value</text>",
                    left + 6.0
                );
            }
        }
        out.push_str("</g>");
    }

    fn length(&self, out: &mut String, top: f32, one: &TissueAnswer, length: f32) {
        let (axis, colour) = (&self.axis, self.view.colour(&one.tissue));
        let (left, _) = self.layout.bars;
        let middle = top + BAR / 2.0;
        let fill = if one.source == Source::Imputed {
            format!("url(#{}-{colour})", self.layout.prefix)
        } else {
            format!("#{colour}")
        };
        let _ = write!(
            out,
            "<rect x=\"{left}\" y=\"{top}\" width=\"{:.1}\" height=\"{BAR}\" fill=\"{fill}\" stroke=\"#{}\" \
             stroke-width=\"0.7\"/>",
            axis.x(length) - left,
            darker(colour),
        );
        let mut label = axis.x(length);
        if let Some((lower, upper)) = self.quantity.interval(one) {
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
                "<path class=\"tc-halo\" d=\"{path}\" stroke=\"#ffffff\" stroke-width=\"3\" stroke-opacity=\"0.75\" \
                 fill=\"none\"/><path class=\"tc-line\" d=\"{path}\" stroke=\"#17202a\" stroke-width=\"1.1\" fill=\"none\"/>",
            );
            label = label.max(to);
        }
        let _ = write!(
            out,
            "<text class=\"tc-soft\" x=\"{:.1}\" y=\"{}\" font-size=\"10.5\" fill=\"#4a545e\" aria-hidden=\"true\">{}</text>",
            label + 6.0,
            middle + 4.0,
            value_label(self.quantity, one, length),
        );
    }
}

/// What stands behind a bar: the value, and the whole interval, which the axis may cut.
fn value_label(quantity: Quantity, one: &TissueAnswer, length: f32) -> String {
    let value = rounded(length);
    let interval = quantity.interval(one);
    interval.map_or(value.clone(), |(lower, upper)| format!("{value} ({} to {})", rounded(lower), rounded(upper)))
}

/// A tissue with its numbers, in words.
fn numbers(one: &TissueAnswer, unit: &str) -> String {
    let source = one.source.as_str();
    match (one.value, one.lower.zip(one.upper), one.relative) {
        (Some(value), Some((lower, upper)), _) => {
            format!("{}: {} {unit}, {source}, {} to {}", one.name, rounded(value), rounded(lower), rounded(upper))
        }
        (Some(value), None, _) => format!("{}: {} {unit}, {source}", one.name, rounded(value)),
        (None, _, Some(relative)) => format!("{}: relative {}, {source}", one.name, rounded(relative)),
        _ => format!("{}: no value", one.name),
    }
}

/// A darker shade for the outline, so that light colours stand out from the paper.
fn darker(colour: &str) -> String {
    let channel = |at: usize| u32::from_str_radix(colour.get(at..at + 2).unwrap_or("80"), 16).unwrap_or(128) * 62 / 100;
    format!("{:02x}{:02x}{:02x}", channel(0), channel(2), channel(4))
}
