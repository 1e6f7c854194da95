//! The report as a dot plot: one panel a metric, methods sorted by error, with bootstrap intervals.

use std::fmt::Write;

use super::hidden::MAIN;
use super::metrics::Metric;
use super::report::{Report, Row};
use super::table::scale_name;

/// Width of a label's letter: an upper bound of the average in the fonts below.
const LETTER_WIDTH: f64 = 7.4;
const PANEL_WIDTH: f64 = 380.0;
const PANEL_GAP: f64 = 40.0;
const ROW_HEIGHT: f64 = 24.0;
const TOP: f64 = 74.0;
const BOTTOM: f64 = 48.0;
const INSET: f64 = 14.0;

/// The plot's style: readable in print and on a screen, and with any font at hand.
const STYLE: &str = "text{font:13px system-ui,'DejaVu Sans',Arial,sans-serif;fill:#222}.t{font-size:15px;font-weight:600}\
.s{font-size:12px;fill:#555}.n{text-anchor:end}.m{text-anchor:middle}.g{stroke:#e4e4e4}.a{stroke:#888}\
.i{stroke:#1f5fa8;stroke-width:2}.d{fill:#1f5fa8}";

impl Report {
    /// Returns the table of all held-out genes as an SVG picture: lower errors first, intervals as lines.
    #[must_use]
    pub fn to_svg(&self) -> String {
        let rows = self.overall().map_or(&[][..], |group| &group.rows);
        let panels = [Metric::Scaled, Metric::Log].map(|metric| Panel::of_metric(rows, metric));
        let panels: Vec<Panel> =
            panels.into_iter().chain(self.hidden_panel()).filter(|panel| !panel.points.is_empty()).collect();
        let longest = panels.iter().map(|panel| panel.points.len()).max().unwrap_or(0);
        let labels = panels.iter().flat_map(|panel| &panel.points);
        let letters = labels.map(|point| point.label.chars().count()).max().unwrap_or(0);
        let panel_width = letters as f64 * LETTER_WIDTH + PANEL_WIDTH + PANEL_GAP;
        let width = panels.len() as f64 * panel_width + INSET;
        let height = TOP + longest as f64 * ROW_HEIGHT + BOTTOM;
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
             viewBox=\"0 0 {width} {height}\" role=\"img\"><title>Error by method</title><style>{STYLE}</style>\
             <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>"
        );
        let heading = format!(
            "{} {}: {} genes on {} held out; dots are means, lines 95 % bootstrap intervals over genes",
            self.dataset,
            self.unit,
            self.genes,
            self.held_out_chromosomes.join(", ")
        );
        let _ = write!(svg, "<text class=\"s\" x=\"{INSET}\" y=\"24\">{}</text>", escaped(&heading));
        for (at, panel) in panels.iter().enumerate() {
            let left = INSET + (at + 1) as f64 * panel_width - PANEL_WIDTH - PANEL_GAP;
            panel.draw(&mut svg, left);
        }
        svg.push_str("</svg>\n");
        svg
    }

    /// Returns the panel of hidden tissues where there is one.
    fn hidden_panel(&self) -> Option<Panel> {
        let table = self.hidden.as_ref()?.scheme(MAIN)?;
        let point = |row: &super::hidden::report::HiddenRow| Point {
            label: row.method.clone(),
            mean: row.rmse,
            interval: row.rmse_interval,
        };
        let axis = "root of the mean squared error over hidden tissues, log2(1 + x)";
        Some(Panel::sorted(MAIN.label(), axis, table.rows.iter().map(point).collect()))
    }
}

/// A method's error.
struct Point {
    label: String,
    mean: f64,
    interval: [f64; 2],
}

/// Methods by one kind of error, smallest first; of two equal ones the first given stays first.
struct Panel {
    title: &'static str,
    axis: &'static str,
    points: Vec<Point>,
}

/// Returns a row's label.
fn label(row: &Row) -> String {
    format!("{} · {}", row.method, scale_name(row.scale))
}

impl Panel {
    fn sorted(title: &'static str, axis: &'static str, mut points: Vec<Point>) -> Self {
        points.sort_by(|a, b| a.mean.total_cmp(&b.mean));
        Self { title, axis, points }
    }

    /// Returns the panel of the rows that have a metric.
    fn of_metric(rows: &[Row], metric: Metric) -> Self {
        let (title, of_row): (_, fn(&Row) -> _) = match metric {
            Metric::Scaled => ("scaled (dataset's unit)", |row| Some(row.scaled)),
            Metric::Log => ("log2(1 + x)", |row| row.log),
        };
        let point = |row: &Row| {
            of_row(row).map(|summary| Point { label: label(row), mean: summary.mean, interval: summary.interval })
        };
        Self::sorted(title, "1 − Pearson r over tissues, mean over genes", rows.iter().filter_map(point).collect())
    }

    fn draw(&self, svg: &mut String, left: f64) {
        let Self { title, axis, points } = self;
        let ends = points.iter().flat_map(|point| [point.interval[0], point.interval[1], point.mean]);
        let (low, high) = ends.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), x| (low.min(x), high.max(x)));
        let step = tick_step(high - low);
        let (low, high) = ((low / step).floor() * step, (high / step).ceil() * step);
        let place = |error: f64| left + (error - low) / (high - low).max(step) * PANEL_WIDTH;
        let bottom = TOP + points.len() as f64 * ROW_HEIGHT;
        let _ = write!(svg, "<text class=\"t\" x=\"{left}\" y=\"{:.1}\">{title}</text>", TOP - 20.0);
        #[expect(clippy::cast_sign_loss, reason = "high is not below low")]
        let ticks = ((high - low) / step).round() as usize;
        for tick in 0..=ticks {
            let error = low + tick as f64 * step;
            let x = place(error);
            let _ = write!(
                svg,
                "<line class=\"g\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{:.1}\" y2=\"{bottom:.1}\"/>",
                TOP - 8.0
            );
            let _ = write!(svg, "<text class=\"s m\" x=\"{x:.1}\" y=\"{:.1}\">{error:.2}</text>", bottom + 16.0);
        }
        let middle = left + PANEL_WIDTH / 2.0;
        let _ = write!(
            svg,
            "<line class=\"a\" x1=\"{left:.1}\" x2=\"{:.1}\" y1=\"{bottom:.1}\" y2=\"{bottom:.1}\"/>\
         <text class=\"s m\" x=\"{middle:.1}\" y=\"{:.1}\">{axis}</text>",
            left + PANEL_WIDTH,
            bottom + 36.0
        );
        for (at, point) in points.iter().enumerate() {
            let y = TOP + (at as f64 + 0.5) * ROW_HEIGHT;
            let [from, to] = point.interval.map(place);
            let _ = write!(
                svg,
                "<text class=\"n\" x=\"{:.1}\" y=\"{:.1}\">{}</text>\
             <line class=\"i\" x1=\"{from:.1}\" x2=\"{to:.1}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\
             <circle class=\"d\" cx=\"{:.1}\" cy=\"{y:.1}\" r=\"4.5\"><title>{:.3} [{:.3}, {:.3}]</title></circle>",
                left - 10.0,
                y + 4.5,
                escaped(&point.label),
                place(point.mean),
                point.mean,
                point.interval[0],
                point.interval[1]
            );
        }
    }
}

/// Returns a round step, at least 0.01, that cuts a span of errors into at most eight parts.
fn tick_step(span: f64) -> f64 {
    let steps = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5];
    steps.into_iter().find(|step| span / step <= 8.0).unwrap_or(1.0)
}

pub(super) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
