//! Plots of accuracy as SVG: methods as dots with their intervals, and how a number spreads over genes.
//!
//! Presentation attributes let a saved plot stand alone; the classes let a page's style recolour it.

use std::fmt::Write as _;

use crate::web::plot::FONT;
use crate::web::{count, escape, round_step, rounded};

/// Narrow enough for a phone.
const WIDTH: f64 = 460.0;
/// How much larger the plot is where there is room.
const ENLARGED: f64 = 1.25;
/// Where the axis of the dots starts: left of it are the methods' names.
const LEFT: f64 = 166.0;
/// Where it ends: right of it are the values.
const RIGHT: f64 = 402.0;
const TOP: f64 = 40.0;
const ROW: f64 = 24.0;
/// Where the axes of a distribution lie: left, right, top, bottom.
const SPREAD: (f64, f64, f64, f64) = (46.0, 444.0, 46.0, 210.0);
/// Letters of a name that fit in any font.
const LONGEST_NAME: usize = 21;
/// A distribution has at most as many bars.
const MOST_BARS: f64 = 32.0;

/// What a dot stands for; told by shape, not by colour alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mark {
    /// The model that the page is about.
    Own,
    /// A simple method that it is compared with.
    Baseline,
    /// Another method.
    Other,
}

impl Mark {
    /// Returns what the mark says, for tables and legends.
    pub(super) const fn label(self) -> &'static str {
        match self {
            Self::Own => "this model",
            Self::Baseline => "baseline",
            Self::Other => "other method",
        }
    }

    fn draw(self, out: &mut String, x: f64, y: f64) {
        let _ = match self {
            Self::Own => {
                write!(out, "<circle class=\"tc-accent\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"6\" fill=\"#0b5cad\"/>")
            }
            Self::Baseline => write!(
                out,
                "<rect class=\"tc-paper tc-line\" x=\"{:.1}\" y=\"{:.1}\" width=\"9\" height=\"9\" fill=\"#ffffff\" \
                 stroke=\"#17202a\" stroke-width=\"1.5\"/>",
                x - 4.5,
                y - 4.5,
            ),
            Self::Other => write!(
                out,
                "<circle class=\"tc-paper tc-line\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4.5\" fill=\"#ffffff\" \
                 stroke=\"#17202a\" stroke-width=\"1.5\"/>"
            ),
        };
    }
}

/// Which way along the axis is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Better {
    Higher,
    Lower,
    /// Neither: the nearer to the line, the better.
    AtLine,
}

/// One method's number.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Dot {
    pub(super) name: String,
    pub(super) value: f64,
    /// The ends of the whisker.
    pub(super) reach: Option<[f64; 2]>,
    pub(super) mark: Mark,
}

/// Methods side by side.
#[derive(Debug)]
pub(super) struct Dots<'a> {
    /// Tells the plots of a page apart.
    pub(super) id: &'a str,
    pub(super) title: &'a str,
    /// What the axis shows, with its unit, and what the whiskers are.
    pub(super) axis: &'a str,
    pub(super) better: Better,
    /// Whether the axis shows 0.
    pub(super) from_zero: bool,
    /// A line across all methods, with its name.
    pub(super) line: Option<(f64, &'a str)>,
    pub(super) methods: Vec<Dot>,
}

/// Round numbers along a line of the plot.
struct Axis {
    step: f64,
    /// First and last tick, in steps.
    first: i32,
    last: i32,
    /// Where they lie.
    ends: (f64, f64),
}

impl Axis {
    /// The axis over these values, with about so many steps.
    fn over(values: impl Iterator<Item = f64>, steps: f64, ends: (f64, f64)) -> Self {
        let finite = values.filter(|value| value.is_finite());
        let (low, high) = finite.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), x| (low.min(x), high.max(x)));
        let (low, high) = if low <= high { (low, high) } else { (0.0, 1.0) };
        // Numbers that hardly differ count as one: the steps between them could not be told apart.
        let least = 1e-6 * high.abs().max(low.abs());
        let span = if high - low > least { high - low } else { high.abs().max(1.0) };
        let rough = span / steps;
        let step = round_step(rough);
        let first = (low / step + 1e-6).floor() as i32;
        let last = ((high / step - 1e-6).ceil() as i32).max(first + 1);
        Self { step, first, last, ends }
    }

    fn place(&self, value: f64) -> f64 {
        let share = (value / self.step - f64::from(self.first)) / f64::from(self.last - self.first);
        self.ends.0 + (self.ends.1 - self.ends.0) * share.clamp(0.0, 1.0)
    }

    fn ticks(&self) -> impl Iterator<Item = f64> + '_ {
        (self.first..=self.last).map(|at| f64::from(at) * self.step)
    }
}

/// Returns a number for people.
pub(super) fn short(value: f64) -> String {
    rounded(value as f32)
}

fn open(out: &mut String, (id, title): (&str, &str), height: f64, text: &str) {
    let _ = write!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"accuracy\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{:.0}\" \
         height=\"{:.0}\" role=\"img\" aria-labelledby=\"{id}-title {id}-desc\" font-family=\"{}\"><title \
         id=\"{id}-title\">{title}</title><desc id=\"{id}-desc\">{}</desc><rect class=\"tc-paper\" width=\"{WIDTH}\" \
         height=\"{height}\" fill=\"#ffffff\"/><text class=\"tc-ink\" x=\"8\" y=\"20\" font-size=\"14\" \
         font-weight=\"600\" fill=\"#17202a\">{title}</text>",
        ENLARGED * WIDTH,
        ENLARGED * height,
        escape(FONT),
        escape(text),
        id = escape(id),
        title = escape(title),
    );
}

/// Text in the plot: place, anchor, what is added to its attributes, and what it says.
fn label(out: &mut String, (x, y): (f64, f64), (anchor, class): (&str, &str), text: &str) {
    let fill = if class == "tc-ink" { "#17202a" } else { "#4a545e" };
    let _ = write!(
        out,
        "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" font-size=\"12\" fill=\"{fill}\" \
         text-anchor=\"{anchor}\">{}</text>",
        escape(text),
    );
}

fn rule(out: &mut String, class: &str, (x1, y1): (f64, f64), (x2, y2): (f64, f64)) {
    let (stroke, width) = if class == "tc-grid" { ("#d9dee3", 1.0) } else { ("#17202a", 1.4) };
    let _ = write!(
        out,
        "<line class=\"{class}\" x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" stroke=\"{stroke}\" \
         stroke-width=\"{width}\"/>"
    );
}

impl Dots<'_> {
    /// Draws the methods, the best on top.
    pub(super) fn svg(mut self) -> String {
        match self.better {
            Better::Higher => self.methods.sort_by(|a, b| b.value.total_cmp(&a.value)),
            Better::Lower => self.methods.sort_by(|a, b| a.value.total_cmp(&b.value)),
            Better::AtLine => {}
        }
        let reach = |dot: &Dot| [Some(dot.value), dot.reach.map(|ends| ends[0]), dot.reach.map(|ends| ends[1])];
        let values = self.methods.iter().flat_map(reach).flatten();
        let values = values.chain(self.line.map(|(at, _)| at)).chain(self.from_zero.then_some(0.0));
        let axis = Axis::over(values, 5.0, (LEFT, RIGHT));
        let top = if self.line.is_some() { TOP + 14.0 } else { TOP };
        let bottom = top + ROW * self.methods.len() as f64;
        let mut out = String::with_capacity(512 * (self.methods.len() + 4));
        open(&mut out, (self.id, self.title), bottom + 84.0, &self.in_words());
        for tick in axis.ticks() {
            let x = axis.place(tick);
            rule(&mut out, "tc-grid", (x, top - 6.0), (x, bottom + 4.0));
            label(&mut out, (x, bottom + 18.0), ("middle", "tc-soft"), &short(tick));
        }
        if let Some((at, name)) = self.line {
            let x = axis.place(at);
            rule(&mut out, "tc-line", (x, top - 6.0), (x, bottom + 4.0));
            label(&mut out, (x, top - 9.0), ("middle", "tc-soft"), name);
        }
        for (row, dot) in self.methods.iter().enumerate() {
            dot.draw(&mut out, &axis, top + ROW * (row as f64 + 0.5));
        }
        let axis_name = match self.better {
            Better::Higher => format!("{} · better →", self.axis),
            Better::Lower => format!("← better · {}", self.axis),
            Better::AtLine => self.axis.to_owned(),
        };
        label(&mut out, (WIDTH / 2.0, bottom + 40.0), ("middle", "tc-ink"), &axis_name);
        self.legend(&mut out, bottom + 66.0);
        out.push_str("</svg>");
        out
    }

    fn legend(&self, out: &mut String, y: f64) {
        let used = |mark: &Mark| self.methods.iter().any(|dot| dot.mark == *mark);
        let marks: Vec<Mark> = [Mark::Own, Mark::Baseline, Mark::Other].into_iter().filter(used).collect();
        if marks.len() < 2 {
            return;
        }
        let mut x = 90.0;
        for mark in marks {
            mark.draw(out, x, y - 4.0);
            label(out, (x + 12.0, y), ("start", "tc-soft"), mark.label());
            x += 34.0 + 6.6 * mark.label().len() as f64;
        }
    }

    /// The text alternative: every method with its number.
    fn in_words(&self) -> String {
        let mut text = format!("{}.", self.axis);
        for dot in &self.methods {
            let _ = write!(text, " {}: {}", dot.name, short(dot.value));
            if let Some([low, high]) = dot.reach {
                let _ = write!(text, ", {} to {}", short(low), short(high));
            }
            text.push(';');
        }
        text
    }
}

impl Dot {
    fn draw(&self, out: &mut String, axis: &Axis, y: f64) {
        let weight = if self.mark == Mark::Own { " font-weight=\"700\"" } else { "" };
        // Names are set into their place in whatever font there is; one of no sensible length is cut.
        let name: String = self.name.chars().take(40).collect();
        let fitted = if name.chars().count() > LONGEST_NAME {
            format!(" textLength=\"{:.0}\" lengthAdjust=\"spacingAndGlyphs\"", LEFT - 18.0)
        } else {
            String::new()
        };
        let _ = write!(
            out,
            "<g><title>{}: {} ({})</title><text class=\"tc-ink\" x=\"{}\" y=\"{:.1}\" font-size=\"12\" \
             fill=\"#17202a\" text-anchor=\"end\"{weight}{fitted}>{}</text>",
            escape(&self.name),
            short(self.value),
            self.mark.label(),
            LEFT - 12.0,
            y + 4.0,
            escape(&name),
        );
        if let Some([low, high]) = self.reach {
            rule(out, "tc-line", (axis.place(low), y), (axis.place(high), y));
        }
        self.mark.draw(out, axis.place(self.value), y);
        label(out, (WIDTH - 8.0, y + 4.0), ("end", "tc-ink"), &short(self.value));
        out.push_str("</g>");
    }
}

/// How a number spreads over genes.
#[derive(Debug)]
pub(super) struct Spread<'a> {
    /// Tells the plots of a page apart.
    pub(super) id: &'a str,
    pub(super) title: &'a str,
    pub(super) axis: &'a str,
    /// One known number a gene.
    pub(super) values: &'a [f64],
    pub(super) median: f64,
}

impl Spread<'_> {
    /// Draws the numbers of genes as bars.
    pub(super) fn svg(&self) -> String {
        let (left, right, top, bottom) = SPREAD;
        let axis = Axis::over(self.values.iter().copied(), MOST_BARS, (left, right));
        let mut counts = vec![0_usize; usize::try_from(axis.last - axis.first).unwrap_or(0)];
        for value in self.values.iter().filter(|value| value.is_finite()) {
            // A value on the border of two bars belongs to the upper one; the highest to the last.
            let at = (value / axis.step + 1e-9).floor() as i32 - axis.first;
            let at = usize::try_from(at).unwrap_or_default().min(counts.len() - 1);
            counts[at] += 1;
        }
        let most = counts.iter().copied().max().unwrap_or_default();
        let genes = Axis::over([0.0, most.max(1) as f64].into_iter(), 4.0, (bottom, top));
        let text = format!("{} genes, median {}. {}", count(self.values.len()), short(self.median), self.axis);
        let mut out = String::new();
        open(&mut out, (self.id, self.title), bottom + 56.0, &text);
        for tick in genes.ticks().filter(|tick| tick.fract().abs() < 1e-9) {
            rule(&mut out, "tc-grid", (left, genes.place(tick)), (right, genes.place(tick)));
            label(&mut out, (left - 8.0, genes.place(tick) + 4.0), ("end", "tc-soft"), &format!("{tick:.0}"));
        }
        for (at, many) in counts.iter().enumerate().filter(|(_, many)| **many > 0) {
            let from = (f64::from(axis.first) + at as f64) * axis.step;
            let (x, y) = (axis.place(from), genes.place(*many as f64));
            let _ = write!(
                out,
                "<rect class=\"tc-accent\" x=\"{:.1}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"{:.1}\" \
                 fill=\"#0b5cad\"><title>{} to {}: {many} genes</title></rect>",
                x + 0.5,
                (axis.place(from + axis.step) - x - 1.0).max(1.0),
                bottom - y,
                short(from),
                short(from + axis.step),
            );
        }
        // Every so many bars a number, on multiples of a round one.
        let every = ((axis.last - axis.first) / 7).max(1);
        for tick in (axis.first..=axis.last).filter(|at| at % every == 0).map(|at| f64::from(at) * axis.step) {
            rule(&mut out, "tc-grid", (axis.place(tick), bottom), (axis.place(tick), bottom + 4.0));
            label(&mut out, (axis.place(tick), bottom + 18.0), ("middle", "tc-soft"), &short(tick));
        }
        let x = axis.place(self.median);
        rule(&mut out, "tc-line", (x, top - 6.0), (x, bottom));
        label(&mut out, (x + 5.0, top - 4.0), ("start", "tc-ink"), &format!("median {}", short(self.median)));
        label(&mut out, (WIDTH / 2.0, bottom + 40.0), ("middle", "tc-ink"), self.axis);
        out.push_str("</svg>");
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dot(name: &str, value: f64, mark: Mark) -> Dot {
        Dot { name: name.to_owned(), value, reach: Some([value - 0.01, value + 0.01]), mark }
    }

    fn dots(better: Better) -> String {
        let dots = vec![dot("b<ase>", 0.1, Mark::Baseline), dot("own", 0.3, Mark::Own), dot("third", 0.2, Mark::Other)];
        let (id, title, axis) = ("a", "Accuracy & more", "mean r");
        Dots { id, title, axis, better, from_zero: true, line: Some((0.2, "half")), methods: dots }.svg()
    }

    #[test]
    fn the_best_method_is_on_top_and_shapes_tell_the_baselines() {
        let place = |svg: &str, name: &str| svg.find(&format!("<g><title>{name}:")).unwrap();
        let higher = dots(Better::Higher);
        assert!(
            place(&higher, "own") < place(&higher, "third") && place(&higher, "third") < place(&higher, "b&lt;ase&gt;")
        );
        assert!(higher.contains("mean r · better →") && higher.contains(">half</text>"));
        let lower = dots(Better::Lower);
        assert!(place(&lower, "b&lt;ase&gt;") < place(&lower, "own") && lower.contains("← better · mean r"));
        // One square for the baseline and one for the legend; the paper is a rectangle, too.
        assert_eq!(higher.matches("<rect").count(), 3);
        assert!(!higher.contains("b<ase>") && higher.contains("Accuracy &amp; more"));
    }

    #[test]
    fn an_axis_has_round_ends_around_its_values() {
        for (values, first, last) in [([0.061, 0.117], 0.06, 0.12), ([-0.31, 0.9], -0.5, 1.0), ([0.5, 0.5], 0.4, 0.6)] {
            let axis = Axis::over(values.into_iter(), 5.0, (0.0, 100.0));
            let ticks: Vec<f64> = axis.ticks().collect();
            assert!((ticks[0] - first).abs() < 1e-9, "{values:?}: {ticks:?}");
            assert!(
                *ticks.last().unwrap() >= last - 1e-9 || (values[0] - values[1]).abs() < 1e-12,
                "{values:?}: {ticks:?}"
            );
            assert!(values.iter().all(|value| (0.0..=100.0).contains(&axis.place(*value))));
        }
        assert_eq!(Axis::over(std::iter::empty(), 5.0, (0.0, 1.0)).ticks().count(), 6);
    }

    #[test]
    fn every_gene_is_in_one_bar() {
        let values = [-0.05, 0.0, 0.0, 0.31, 0.9, 0.9, 0.9];
        let svg = Spread { id: "s", title: "Spread", axis: "r", values: &values, median: 0.31 }.svg();
        let counted: usize = svg
            .split(" genes</title>")
            .filter_map(|part| part.rsplit_once(": ").and_then(|(_, count)| count.parse::<usize>().ok()))
            .sum();
        assert_eq!(counted, values.len());
        assert!(svg.contains("median 0.31"));
    }
}
