//! A stretch of a chromosome with its genes, as SVG: which of them an imputed profile rests on, and where the gene is.
//!
//! Presentation attributes and classes as in [`super::plot`]; every gene is a link with a name for readers who do not see
//! where it lies.

use std::fmt::Write as _;

use super::plot::FONT;
use super::{escape, path_segment, round_step};
use crate::genome::{Locus, Position, Region, Strand};
use crate::reference::{GeneIndex, Reference};

const WIDTH: f32 = 960.0;
const LEFT: f32 = 24.0;
const RIGHT: f32 = 936.0;
/// Where the axis is.
const AXIS: f32 = 34.0;
const LANE: f32 = 30.0;
const BOX: f32 = 10.0;
/// Lanes of genes; what does not fit into them is drawn without a name in the last one.
const LANES: usize = 8;
/// Genes of one picture: a denser stretch is a table's job.
pub(crate) const MOST_GENES: usize = 400;

/// Returns the region around a gene that holds all of its reference genes, within reason.
pub(crate) fn around(locus: &Locus, distances: impl Iterator<Item = i64>) -> Region {
    const LEAST: i64 = 50_000;
    const MOST: i64 = 3_000_000;
    let (mut left, mut right) = (LEAST, LEAST);
    for distance in distances {
        let room = (distance.abs() + distance.abs() / 10).clamp(LEAST, MOST);
        if distance < 0 { left = left.max(room) } else { right = right.max(room) }
    }
    let tss = i64::from(locus.tss.get());
    let at = |base: i64| u32::try_from(base).ok().and_then(Position::new);
    Region {
        chromosome: locus.chromosome.clone(),
        first: at(tss - left).or(Position::new(1)).unwrap_or(locus.tss),
        last: at(tss + right).unwrap_or(locus.tss),
    }
}

/// Returns the genes that lie in a region, by place.
pub(crate) fn genes<'a>(reference: &'a Reference, region: &Region) -> impl Iterator<Item = (GeneIndex, &'a Locus)> {
    let genes = reference.genes().iter().enumerate();
    let placed = genes.filter_map(|(index, gene)| gene.locus.as_ref().map(|locus| (index, locus)));
    placed.filter(|(_, locus)| region.overlaps(locus))
}

/// The horizontal scale.
struct Ruler<'a>(&'a Region);

impl Ruler<'_> {
    fn at(&self, base: u32) -> f32 {
        self.x(f64::from(base))
    }

    fn x(&self, base: f64) -> f32 {
        let (first, last) = self.ends();
        let share = (base - f64::from(first)) / f64::from(last - first).max(1.0);
        LEFT + (RIGHT - LEFT) * (share as f32).clamp(0.0, 1.0)
    }

    const fn ends(&self) -> (u32, u32) {
        (self.0.first.get(), self.0.last.get())
    }
}

/// The gene that a picture is about: one of the dataset, or a place with a name.
pub(crate) struct Subject<'a> {
    pub(crate) index: Option<GeneIndex>,
    pub(crate) name: &'a str,
    pub(crate) locus: &'a Locus,
    /// First and last base of its promoter, where the window is known.
    pub(crate) promoter: Option<(u32, u32)>,
}

/// How a gene is drawn.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Own,
    Reference,
    Measured,
    Unmeasured,
}

impl Role {
    const ALL: [Self; 4] = [Self::Own, Self::Reference, Self::Measured, Self::Unmeasured];

    const fn words(self) -> &'static str {
        match self {
            Self::Own => "this gene",
            Self::Reference => "reference gene",
            Self::Measured => "measured",
            Self::Unmeasured => "not measured in full",
        }
    }

    /// Fill, outline and dashes: told apart without colour too.
    const fn look(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Own => ("#d55e00", "#7a3600", ""),
            Self::Reference => ("#0072b2", "#00415f", ""),
            Self::Measured => ("#b9c2cb", "#5b6570", ""),
            Self::Unmeasured => ("none", "#5b6570", " stroke-dasharray=\"3 2\""),
        }
    }
}

/// A gene to be drawn.
struct Placed<'a> {
    role: Role,
    name: &'a str,
    id: Option<&'a str>,
    locus: &'a Locus,
}

/// Draws a region with its genes; `used` are those that the subject's imputed values rest on, `suffix` stands behind
/// the path of every gene's link.
pub(crate) fn svg(
    reference: &Reference,
    region: &Region,
    subject: Option<&Subject<'_>>,
    used: impl Fn(&str) -> bool,
    suffix: &str,
) -> String {
    let ruler = Ruler(region);
    let placed = genes(reference, region).take(MOST_GENES).map(|(index, locus)| {
        let gene = reference.gene(index);
        let role = if subject.is_some_and(|subject| subject.index == Some(index)) {
            Role::Own
        } else if used(gene.id.as_str()) {
            Role::Reference
        } else if reference.has_shape(index) {
            Role::Measured
        } else {
            Role::Unmeasured
        };
        Placed { role, name: gene.symbol.as_str(), id: Some(gene.id.as_str()), locus }
    });
    let mut genes: Vec<Placed<'_>> = placed.collect();
    if let Some(subject) = subject.filter(|subject| subject.index.is_none()) {
        genes.push(Placed { role: Role::Own, name: subject.name, id: None, locus: subject.locus });
        genes.sort_by_key(|gene| gene.locus.start);
    }
    let lanes = lanes(&ruler, &genes);
    let count = lanes.iter().max().map_or(1, |last| last + 1);
    let height = AXIS + 26.0 + LANE * count as f32 + 34.0;
    let mut out = String::new();
    // Writing to a String cannot fail, so the results below are dropped.
    let _ = write!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" \
         role=\"group\" aria-label=\"{} genes on {} from {} to {}\" font-family=\"{}\"><rect class=\"tc-paper\" \
         width=\"{WIDTH}\" height=\"{height}\" fill=\"#ffffff\"/>",
        genes.len(),
        escape(region.chromosome.as_str()),
        region.first,
        region.last,
        escape(FONT),
    );
    axis(&mut out, &ruler, height - 34.0);
    if let Some((subject, (first, last))) = subject.and_then(|subject| Some((subject, subject.promoter?))) {
        let (from, to) = (ruler.at(first), ruler.at(last));
        let _ = write!(
            out,
            "<rect x=\"{from:.1}\" y=\"{AXIS}\" width=\"{:.1}\" height=\"{:.1}\" fill=\"#e69f00\" fill-opacity=\"0.45\"><title>\
             promoter window of {}: {first} to {last}</title></rect>",
            (to - from).max(2.0),
            height - 34.0 - AXIS,
            escape(subject.name),
        );
    }
    for (gene, lane) in genes.iter().zip(&lanes) {
        draw(&mut out, &ruler, (gene, suffix), AXIS + 16.0 + LANE * *lane as f32, *lane < LANES);
    }
    legend(&mut out, &genes, height - 12.0);
    out.push_str("</svg>");
    out
}

/// Puts each gene into the first lane that is free where it and its name lie.
fn lanes(ruler: &Ruler<'_>, genes: &[Placed<'_>]) -> Vec<usize> {
    let mut ends: Vec<f32> = Vec::new();
    let place = |gene: &Placed<'_>| {
        let from = ruler.at(gene.locus.start.get());
        let to = ruler.at(gene.locus.end.get()).max(from + 6.7 * gene.name.chars().count() as f32);
        let free = ends.iter().position(|end| *end + 8.0 < from).unwrap_or(ends.len());
        if free == ends.len() && free < LANES {
            ends.push(to);
        } else if let Some(end) = ends.get_mut(free) {
            *end = to;
        }
        free
    };
    genes.iter().map(place).collect()
}

fn axis(out: &mut String, ruler: &Ruler<'_>, bottom: f32) {
    let (first, last) = ruler.ends();
    let step = round_step((f64::from(last - first) / 6.0).max(1.0));
    let _ = write!(
        out,
        "<line class=\"tc-line\" x1=\"{LEFT}\" x2=\"{RIGHT}\" y1=\"{AXIS}\" y2=\"{AXIS}\" stroke=\"#5b6570\"/>\
         <text class=\"tc-soft\" x=\"{LEFT}\" y=\"14\" font-size=\"11\" fill=\"#4a545e\">{}, millions of bases</text>",
        escape(ruler.0.chromosome.as_str())
    );
    let mut tick = (f64::from(first) / step).ceil() * step;
    for _ in 0..20 {
        if tick > f64::from(last) {
            break;
        }
        let x = ruler.x(tick);
        let decimals = usize::try_from(6 - step.log10().floor() as i64).unwrap_or(0).min(6);
        let _ = write!(
            out,
            "<line class=\"tc-grid\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{AXIS}\" y2=\"{bottom}\" stroke=\"#e1e5e9\"/><text \
             class=\"tc-soft\" x=\"{x:.1}\" y=\"28\" font-size=\"11\" fill=\"#4a545e\" text-anchor=\"middle\">{:.decimals$}</text>",
            tick / 1e6
        );
        tick += step;
    }
}

/// A gene as an arrow along its strand, with its name below.
fn draw(out: &mut String, ruler: &Ruler<'_>, (gene, suffix): (&Placed<'_>, &str), top: f32, named: bool) {
    let (from, to) = (ruler.at(gene.locus.start.get()), ruler.at(gene.locus.end.get()));
    let to = to.max(from + 3.0);
    let (fill, line, dashes) = gene.role.look();
    let tip = 5.0_f32.min((to - from) / 2.0);
    let (middle, bottom) = (top + BOX / 2.0, top + BOX);
    let path = match gene.locus.strand {
        Strand::Forward => {
            format!("M{from:.1} {top}H{:.1}L{to:.1} {middle}L{:.1} {bottom}H{from:.1}Z", to - tip, to - tip)
        }
        Strand::Reverse => {
            format!("M{to:.1} {top}H{:.1}L{from:.1} {middle}L{:.1} {bottom}H{to:.1}Z", from + tip, from + tip)
        }
    };
    let name = escape(gene.name);
    let words = format!(
        "{name}, {}, {} to {}, {} strand",
        gene.role.words(),
        gene.locus.start,
        gene.locus.end,
        gene.locus.strand.as_str()
    );
    let shape = format!(
        "<path d=\"{path}\" fill=\"{fill}\" stroke=\"{line}\" stroke-width=\"1\"{dashes}><title>{words}</title></path>"
    );
    let label = if named {
        let weight = if gene.role == Role::Own { "700" } else { "400" };
        let longest = WIDTH - 6.7 * gene.name.chars().count() as f32;
        format!(
            "<text class=\"tc-ink\" x=\"{:.1}\" y=\"{}\" font-size=\"10.5\" font-style=\"italic\" font-weight=\"{weight}\" \
             fill=\"#17202a\" aria-hidden=\"true\">{name}</text>",
            from.min(longest.max(0.0)),
            bottom + 10.0
        )
    } else {
        String::new()
    };
    match gene.id.filter(|_| gene.role != Role::Own) {
        Some(id) => {
            let _ = write!(
                out,
                "<a href=\"/genes/{}{suffix}\" aria-label=\"{words}\">{shape}{label}</a>",
                path_segment(id)
            );
        }
        None => {
            let _ = write!(out, "<g role=\"img\" aria-label=\"{words}\">{shape}{label}</g>");
        }
    }
}

fn legend(out: &mut String, genes: &[Placed<'_>], y: f32) {
    let mut x = LEFT;
    for role in Role::ALL.into_iter().filter(|role| genes.iter().any(|gene| gene.role == *role)) {
        let (fill, line, dashes) = role.look();
        let _ = write!(
            out,
            "<rect x=\"{x}\" y=\"{}\" width=\"16\" height=\"{BOX}\" fill=\"{fill}\" stroke=\"{line}\"{dashes}/><text \
             class=\"tc-soft\" x=\"{}\" y=\"{y}\" font-size=\"11\" fill=\"#4a545e\">{}</text>",
            y - BOX + 1.0,
            x + 21.0,
            role.words()
        );
        x += 40.0 + 6.2 * role.words().len() as f32;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::genome::Tissue;
    use crate::reference::tests::{dataset, record};

    fn reference() -> Reference {
        let tissues = vec![Tissue::from_name("Liver"), Tissue::from_name("Lung")];
        let mut records = vec![
            record("g1", Some(("1", 1_000, 9_000, Strand::Forward)), Some(&[1.0, 2.0])),
            record("g2", Some(("1", 8_000, 20_000, Strand::Reverse)), Some(&[1.0, f32::NAN])),
            record("g3", Some(("2", 8_000, 20_000, Strand::Reverse)), Some(&[1.0, 3.0])),
            record("g4", Some(("1", 90_000, 95_000, Strand::Forward)), Some(&[2.0, 5.0])),
        ];
        records[0].gene.symbol = crate::genome::GeneSymbol::new("<G1>");
        Reference::new(dataset(), tissues, records)
    }

    #[test]
    fn a_picture_has_the_genes_of_its_region_and_tells_them_apart() {
        let reference = reference();
        let own = reference.gene(1).locus.clone().unwrap();
        let region = around(&own, [-19_000, 70_000].into_iter());
        assert_eq!((region.first.get(), region.last.get()), (1, 97_000));
        let subject = Subject { index: Some(1), name: "g2", locus: &own, promoter: Some((19_500, 21_000)) };
        let drawn = svg(&reference, &region, Some(&subject), |id| id == "g4", "?dataset=x");
        assert!(drawn.contains("3 genes on chr1 from 1 to 97000"), "{drawn}");
        assert!(drawn.contains("&lt;G1&gt;, measured, 1000 to 9000, + strand") && !drawn.contains("<G1>"));
        assert!(drawn.contains("href=\"/genes/g4?dataset=x\" aria-label=\"g4, reference gene,"));
        assert!(drawn.contains("g2, this gene") && !drawn.contains("href=\"/genes/g2"));
        assert!(drawn.contains("promoter window of g2: 19500 to 21000"));
        assert!(!drawn.contains(">g3<") && !drawn.contains("not measured in full"));
    }

    #[test]
    fn a_place_without_a_gene_is_drawn_among_the_genes_around_it() {
        let reference = reference();
        let at = |base| Position::new(base).unwrap();
        let chromosome = reference.gene(0).locus.as_ref().unwrap().chromosome.clone();
        let locus = Locus::new(chromosome, at(50_000), at(50_000), Strand::Reverse);
        let region = around(&locus, std::iter::empty());
        let subject = Subject { index: None, name: "mine", locus: &locus, promoter: None };
        let drawn = svg(&reference, &region, Some(&subject), |_| false, "");
        assert!(drawn.contains("mine, this gene, 50000 to 50000, - strand") && drawn.contains(">g4</text>"));
    }

    #[test]
    fn genes_that_overlap_lie_in_different_lanes() {
        let reference = reference();
        let region = Region::parse("1:1-100000").unwrap();
        let placed: Vec<Placed<'_>> = (genes(&reference, &region))
            .map(|(index, locus)| Placed {
                role: Role::Measured,
                name: reference.gene(index).symbol.as_str(),
                id: None,
                locus,
            })
            .collect();
        assert_eq!(lanes(&Ruler(&region), &placed), [0, 1, 0]);
    }
}
