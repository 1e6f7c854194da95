//! The plot of a profile: horizontal bars by tissue, as SVG.
//!
//! Measured values are solid, imputed ones hatched with their interval as a whisker. Presentation attributes only, so
//! that the plot stands alone and also shows inside a page that forbids inline styles; classes let a page recolour its
//! inks. Each bar is an item of a list whose name says its numbers, for readers who do not see them.

mod axis;
mod drawing;
mod layout;
mod view;

use std::fmt::Write as _;

use axis::{Axis, Quantity};
use drawing::Drawing;
pub(crate) use layout::Layout;
pub(crate) use view::CHOICES;
pub use view::View;

use super::escape;
use crate::http::answer::ProfileAnswer;

/// The height of a group's heading.
const HEADING: f32 = 22.0;
pub(super) const FONT: &str = "system-ui, -apple-system, 'Segoe UI', 'Helvetica Neue', Arial, sans-serif";

/// Draws a profile, to stand alone.
#[must_use]
pub fn svg(profile: &ProfileAnswer, view: View) -> String {
    drawn(profile, view, Layout::WIDE)
}

/// Draws a profile in a layout.
pub(crate) fn drawn(profile: &ProfileAnswer, view: View, layout: Layout) -> String {
    let quantity = Quantity::of(profile);
    let axis = Axis::of(profile, quantity, view.is_log(), layout.bars);
    let groups = view.groups(profile);
    let headings = groups.iter().filter(|(heading, _)| heading.is_some()).count();
    let bottom = layout.top + layout.row * profile.tissues.len() as f32 + HEADING * headings as f32;
    let (width, height) = (layout.width, bottom + 58.0);
    let mut out = String::with_capacity(600 * profile.tissues.len() + 4096);
    let drawing = Drawing { profile, quantity, axis, view, layout };
    // Writing to a String cannot fail, so the results below are dropped.
    let prefix = layout.prefix;
    let _ = write!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" \
         role=\"group\" aria-labelledby=\"{prefix}-title\" aria-describedby=\"{prefix}-desc\" font-family=\"{}\">",
        escape(FONT)
    );
    drawing.head(&mut out);
    drawing.patterns(&mut out);
    let _ = write!(out, "<rect class=\"tc-paper\" width=\"{width}\" height=\"{height}\" fill=\"#ffffff\"/>");
    if layout.is_wide {
        drawing.heading(&mut out);
    }
    drawing.legend(&mut out);
    drawing.grid(&mut out, bottom);
    out.push_str("<g role=\"list\" aria-label=\"Tissues\">");
    let mut top = layout.top;
    for (heading, tissues) in groups {
        if let Some(heading) = heading {
            let _ = write!(
                out,
                "<text class=\"tc-soft\" x=\"{}\" y=\"{}\" font-size=\"11.5\" font-weight=\"600\" fill=\"#4a545e\" \
                 aria-hidden=\"true\">{heading}</text>",
                if layout.is_wide { 20.0 } else { layout.name },
                top + 15.0
            );
            top += HEADING;
        }
        for one in tissues {
            drawing.bar(&mut out, top, one);
            top += layout.row;
        }
    }
    let _ = write!(
        out,
        "</g><line class=\"tc-line\" x1=\"{left}\" x2=\"{left}\" y1=\"{}\" y2=\"{bottom}\" stroke=\"#5b6570\" \
         stroke-width=\"1\"/></svg>",
        layout.top,
        left = layout.bars.0,
    );
    out
}

#[cfg(test)]
mod tests {
    use super::view::Order;
    use super::*;
    use crate::genome::Tissue;
    use crate::http::answer::{DatasetRef, GeneAnswer, Source, TissueAnswer};

    fn seen(query: &str) -> View {
        let pairs = query.split('&').filter_map(|pair| pair.split_once('=')).map(|(a, b)| (a.to_owned(), b.to_owned()));
        View::parse(&pairs.collect()).unwrap()
    }

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
        let drawn = svg(
            &profile(vec![
                tissue("Liver", Some(4.0), Source::Measured, None),
                tissue("Lung", Some(2.0), Source::Imputed, Some((1.0, 3.0))),
                tissue("my <leaf>", None, Source::Unknown, None),
            ]),
            View::default(),
        );
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
            let axis = Axis::of(&one, Quantity::of(&one), false, Layout::WIDE.bars);
            assert!((axis.end - end).abs() < 1e-3 * end, "{highest}: {}", axis.end);
        }
    }

    #[test]
    fn a_long_interval_does_not_make_the_bars_vanish() {
        let one = profile(vec![tissue("Liver", Some(10.0), Source::Imputed, Some((0.0, 5_000.0)))]);
        assert!(Axis::of(&one, Quantity::of(&one), false, Layout::WIDE.bars).end <= 20.0);
    }

    #[test]
    fn a_shape_without_levels_is_drawn_on_the_relative_scale() {
        let mut one = profile(vec![
            tissue("Liver", Some(900.0), Source::Measured, None),
            tissue("Lung", None, Source::Imputed, None),
        ]);
        one.tissues[1].relative = Some(0.25);
        assert_eq!(Quantity::of(&one), Quantity::Relative);
        assert!(svg(&one, seen("scale=log")).contains("relative expression"), "a shape is never on a logarithm");
    }

    #[test]
    fn a_view_orders_scales_and_colours_and_says_itself_as_a_query() {
        let one = profile(vec![
            tissue("Whole Blood", Some(1.0), Source::Measured, None),
            tissue("Brain - Cortex", Some(900.0), Source::Measured, None),
            tissue("leaf", None, Source::Unknown, None),
            tissue("Liver", Some(30.0), Source::Imputed, Some((10.0, 4_000.0))),
            tissue("Brain - Cerebellum", Some(2.0), Source::Measured, None),
        ]);
        let names = |query: &str| -> Vec<String> {
            let groups = seen(query).groups(&one);
            groups.into_iter().flat_map(|(_, all)| all).map(|one| one.name.clone()).collect()
        };
        let gtex = ["Brain - Cerebellum", "Brain - Cortex", "Liver", "Whole Blood", "leaf"];
        assert_eq!(names(""), gtex);
        assert_eq!(names("sort=value"), ["Brain - Cortex", "Liver", "Brain - Cerebellum", "Whole Blood", "leaf"]);
        assert_eq!(seen("sort=system").order(), Order::System);
        let groups: Vec<_> =
            seen("sort=system").groups(&one).into_iter().map(|(name, all)| (name, all.len())).collect();
        assert_eq!(groups, [(Some("nervous"), 2), (Some("digestive"), 1), (Some("blood"), 1), (Some("other"), 1)]);
        let drawn = svg(&one, seen("sort=system"));
        assert!(drawn.contains(">digestive</text>") && drawn.matches("tc-bar\"").count() == 5);
        let axis = Axis::of(&one, Quantity::Value, true, Layout::WIDE.bars);
        assert_eq!(axis.ticks().collect::<Vec<_>>(), [0.0, 1.0, 10.0, 100.0, 1_000.0, 10_000.0]);
        assert!(axis.x(30.0) > axis.x(3.0) + 50.0 && (axis.x(0.0) - Layout::WIDE.bars.0).abs() < 1e-3);
        let plain = svg(&one, seen("colours=safe"));
        assert!(plain.contains("#D55E00") && !plain.contains("#EEEE00"), "brain in a colour that all tell apart");
        assert_eq!(seen("sort=value&scale=log").query(), "&sort=value&scale=log");
        assert_eq!(View::default().query(), "");
        let wrong = [("sort".to_owned(), "size".to_owned())].into_iter().collect();
        assert!(View::parse(&wrong).is_err());
    }

    #[test]
    fn two_layouts_on_one_page_have_no_identifier_in_common() {
        let one = profile(vec![tissue("Lung", Some(2.0), Source::Imputed, Some((1.0, 3.0)))]);
        let identifiers = |text: &str| -> std::collections::BTreeSet<String> {
            text.split("id=\"").skip(1).filter_map(|rest| rest.split('"').next()).map(str::to_owned).collect()
        };
        let [wide, narrow] = [Layout::WIDE, Layout::NARROW].map(|layout| drawn(&one, View::default(), layout));
        assert!(identifiers(&wide).is_disjoint(&identifiers(&narrow)));
        for (drawn, prefix) in [(wide, "tc"), (narrow, "tn")] {
            for used in drawn.split("url(#").skip(1).filter_map(|rest| rest.split(')').next()) {
                assert!(used.starts_with(prefix) && identifiers(&drawn).contains(used), "{used}");
            }
        }
    }

    #[test]
    fn every_bar_says_its_numbers() {
        let drawn = svg(
            &profile(vec![
                tissue("Liver", Some(4.0), Source::Measured, None),
                tissue("Lung", Some(2.0), Source::Imputed, Some((1.0, 3.0))),
                tissue("Spleen", None, Source::Unknown, None),
            ]),
            View::default(),
        );
        for name in ["Liver: 4 TPM, measured", "Lung: 2 TPM, imputed, 1 to 3", "Spleen: no value"] {
            assert!(drawn.contains(&format!("role=\"listitem\" aria-label=\"{name}\"")), "{name}");
        }
    }
}
