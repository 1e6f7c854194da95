//! Two methods' scores gene by gene as a picture: points above the diagonal are genes that the second does better.
//!
//! Imports its siblings. Invariant: well-formed SVG without script, whatever the genes are called.

use std::fmt::Write;

use super::summary::TIE;
use crate::evaluation::metrics::mean;
use crate::evaluation::plot::escaped;

/// More points than this carry no name: the picture would grow past what a browser opens at once.
const MOST_NAMED: usize = 3_000;
const LEFT: f64 = 64.0;
const TOP: f64 = 62.0;
const SIDE: f64 = 480.0;
const RIGHT: f64 = 24.0;
const BOTTOM: f64 = 56.0;
/// The grid's step in r.
const STEP: f64 = 0.2;

/// One dark hue: more points show as a darker spot, so that the picture reads without telling colours apart.
const STYLE: &str = "text{font:13px system-ui,'DejaVu Sans',Arial,sans-serif;fill:#222}.t{font-size:15px;font-weight:600}\
.s{font-size:12px;fill:#555}.m{text-anchor:middle}.e{text-anchor:end}.g{stroke:#e4e4e4}.z{stroke:#bbb}\
.x{stroke:#555;stroke-dasharray:5 4}.f{fill:none;stroke:#888}.d{fill:#12395f;fill-opacity:.38}";

/// Draws `y`'s scores against those of `x` (each a method's name and its r for every gene) as an SVG picture.
///
/// `genes` are the names in the same order. A gene without a finite score on both sides is left out.
#[must_use]
pub fn scatter_svg(x: (&str, &[f64]), y: (&str, &[f64]), genes: &[impl AsRef<str>]) -> String {
    let points: Vec<(f64, f64, &str)> =
        x.1.iter()
            .zip(y.1)
            .zip(genes)
            .map(|((x, y), gene)| (*x, *y, gene.as_ref()))
            .filter(|(x, y, _)| x.is_finite() && y.is_finite())
            .collect();
    let above = points.iter().filter(|(x, y, _)| y - x >= TIE).count();
    let below = points.iter().filter(|(x, y, _)| x - y >= TIE).count();
    let equal = points.len() - above - below;
    let (width, height) = (LEFT + SIDE + RIGHT, TOP + SIDE + BOTTOM);
    let [name_x, name_y] = [x.0, y.0].map(escaped);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {width} {height}\" role=\"img\"><title>{name_y} against {name_x}, gene by gene</title>\
         <style>{STYLE}</style><rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\
         <text class=\"t\" x=\"{LEFT}\" y=\"24\">{name_y} against {name_x}</text>\
         <text class=\"s\" x=\"{LEFT}\" y=\"44\">{} genes: {above} above the diagonal, {below} below, {equal} on it</text>",
        points.len()
    );
    let scale = Scale::new(&points);
    scale.draw_grid(&mut svg);
    for (x, y, gene) in &points {
        let _ = write!(svg, "<circle class=\"d\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"3\"", scale.x(*x), scale.y(*y));
        if points.len() <= MOST_NAMED {
            let _ = write!(svg, "><title>{}: {x:.3}, {y:.3}</title></circle>", escaped(gene));
        } else {
            svg.push_str("/>");
        }
    }
    draw_words(&mut svg, &name_x, &name_y, &points);
    svg.push_str("</svg>\n");
    svg
}

/// The same range on both axes: the grid's lines that hold every point, and a margin below 0, where many lie.
struct Scale {
    low: f64,
    steps: u32,
}

impl Scale {
    fn new(points: &[(f64, f64, &str)]) -> Self {
        let ends = points.iter().flat_map(|(x, y, _)| [*x, *y]);
        let (low, high) = ends.fold((-0.1f64, 0.8f64), |(low, high), r| (low.min(r), high.max(r)));
        let low = (low / STEP).floor();
        #[expect(clippy::cast_sign_loss, reason = "the range holds -0.1 to 0.8")]
        let steps = ((high / STEP).ceil() - low).min(1_000.0) as u32;
        Self { low: low * STEP, steps }
    }

    fn share(&self, r: f64) -> f64 {
        (r - self.low) / (f64::from(self.steps) * STEP) * SIDE
    }

    fn x(&self, r: f64) -> f64 {
        LEFT + self.share(r)
    }

    fn y(&self, r: f64) -> f64 {
        TOP + SIDE - self.share(r)
    }

    fn draw_grid(&self, svg: &mut String) {
        let (right, bottom) = (LEFT + SIDE, TOP + SIDE);
        for step in 0..=self.steps {
            let r = self.low + f64::from(step) * STEP;
            let (x, y) = (self.x(r), self.y(r));
            let class = if r.abs() < STEP / 2.0 { "z" } else { "g" };
            // No "-0.0" on an axis.
            let r = if r.abs() < STEP / 2.0 { 0.0 } else { r };
            let _ = write!(
                svg,
                "<line class=\"{class}\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{TOP}\" y2=\"{bottom}\"/>\
                 <line class=\"{class}\" x1=\"{LEFT}\" x2=\"{right}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\
                 <text class=\"s m\" x=\"{x:.1}\" y=\"{:.1}\">{r:.1}</text>\
                 <text class=\"s e\" x=\"{:.1}\" y=\"{:.1}\">{r:.1}</text>",
                bottom + 18.0,
                LEFT - 8.0,
                y + 4.0
            );
        }
        let _ = write!(
            svg,
            "<rect class=\"f\" x=\"{LEFT}\" y=\"{TOP}\" width=\"{SIDE}\" height=\"{SIDE}\"/>\
             <line class=\"x\" x1=\"{LEFT}\" x2=\"{right}\" y1=\"{bottom}\" y2=\"{TOP}\"/>"
        );
    }
}

/// Writes the axes' labels with the means.
fn draw_words(svg: &mut String, name_x: &str, name_y: &str, points: &[(f64, f64, &str)]) {
    let label = |name: &str, r: Vec<f64>| {
        if r.is_empty() { format!("{name}: r") } else { format!("{name}: r, mean {:.3}", mean(&r)) }
    };
    let label_x = label(name_x, points.iter().map(|point| point.0).collect());
    let label_y = label(name_y, points.iter().map(|point| point.1).collect());
    let (middle_x, middle_y) = (LEFT + SIDE / 2.0, TOP + SIDE / 2.0);
    let _ = write!(
        svg,
        "<text class=\"m\" x=\"{middle_x}\" y=\"{:.1}\">{label_x}</text>\
         <text class=\"m\" transform=\"translate(18 {middle_y}) rotate(-90)\">{label_y}</text>",
        TOP + SIDE + 42.0
    );
}
