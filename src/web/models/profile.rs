//! The card of a model that imputes tissue profiles.

use std::fmt::Write as _;
use std::sync::Arc;

use super::accuracy::{Better, Dot, Dots, Mark, short};
use super::parts::{Headline, beside, command, facts, files, interval, method_cell, number, plot, table};
use crate::genome::Tissue;
use crate::http::state::Snapshot;
use crate::model::baseline::BaselineKind;
use crate::model::manifest::{Accuracy, Card, HiddenAccuracy, Hiding, Stratum};
use crate::model::own_tissues::OwnTissuesKind;
use crate::model::served::ServedModel;
use crate::model::shelf::Shelved;
use crate::model::{Known, Scale};
use crate::web::{count, counted, escape, path_segment};

/// A profile model as the page takes it.
pub(super) type Model<'a> = Shelved<'a, Arc<ServedModel>>;

fn mark(card: &Card, method: &str) -> Mark {
    if method == card.method {
        return Mark::Own;
    }
    let own_tissues = OwnTissuesKind::ALL.iter().any(|kind| kind.as_str() == method);
    if own_tissues || BaselineKind::parse(method).is_some() { Mark::Baseline } else { Mark::Other }
}

const fn scale_name(scale: Scale) -> &'static str {
    match scale {
        Scale::MinMax => "each gene scaled from 0 to 1",
        Scale::Log2 => "log2(1 + x)",
    }
}

/// What the model's numbers are.
pub(super) fn unit(card: &Card) -> String {
    match card.scale {
        Scale::Log2 => format!("{}, fitted as log2(1 + x)", card.unit.as_str().to_uppercase()),
        Scale::MinMax => "relative: 0 at a gene's lowest tissue, 1 at its highest".to_owned(),
    }
}

fn dots(card: &Card, scores: &[&Accuracy]) -> Vec<Dot> {
    let dot = |one: &&Accuracy| Dot {
        name: one.method.clone(),
        value: one.mean_error,
        reach: Some(one.mean_error_interval),
        mark: mark(card, &one.method),
    };
    scores.iter().map(dot).collect()
}

fn on(card: &Card, scale: Scale) -> Vec<&Accuracy> {
    card.accuracy.iter().filter(|one| one.scale == scale).collect()
}

/// The model's error in a few words, beside that of the strongest baseline.
pub(super) fn headline(card: &Card) -> Headline {
    let dots = dots(card, &on(card, card.scale));
    let own = dots.iter().find(|dot| dot.mark == Mark::Own);
    Headline {
        own: own.map_or("not known".to_owned(), |own| format!("mean error 1 − r: {}", short(own.value))),
        beside: beside(&dots, true),
    }
}

/// The card.
pub(super) fn content(snapshot: &Snapshot, shelved: &Model<'_>) -> String {
    let card = &shelved.item.card;
    let label = path_segment(&shelved.label());
    let mut content = format!(
        "<h1>{}<span class=\"soft\">@{}</span></h1><p class=\"lead\">Imputes tissue profiles.</p><p>{}</p>",
        escape(shelved.name),
        escape(shelved.version),
        escape(&card.description),
    );
    about(&mut content, snapshot, shelved);
    let _ = write!(
        content,
        "<ul class=\"links\"><li><a href=\"/impute\">Impute a new gene</a></li><li><a href=\"/v1/models/{label}\">\
         Card as JSON</a></li></ul><h2>Accuracy on chromosomes held out</h2>",
    );
    if card.accuracy.is_empty() {
        content.push_str("<p>Not known: the card has no accuracy.</p>");
    }
    errors(&mut content, card);
    hidden(&mut content, card);
    calibration(&mut content, card);
    content.push_str(
        "<h2>What the numbers do not mean</h2><ul class=\"notes\"><li>An imputed value is a guess from the gene’s \
         neighbours, its promoter and what else is known of it, with an interval; it is no measurement, and it says \
         nothing of one person or one cell.</li><li>The accuracy holds for genes, tissues and conditions like those of \
         the dataset that the model was trained on.</li></ul>",
    );
    trained(&mut content, card);
    content.push_str("<h2>Files</h2>");
    files(&mut content, "Files of the model", &card.files);
    content
}

fn about(content: &mut String, snapshot: &Snapshot, shelved: &Model<'_>) {
    let card = &shelved.item.card;
    let reads = super::datasets(snapshot, &shelved.label());
    let at_work = if reads.is_empty() { "no dataset that is loaded".to_owned() } else { reads.join(", ") };
    let own = if shelved.item.model.reads_measured() { "are read" } else { "are not read" };
    let default = if shelved.is_default { "this version" } else { "another version" };
    facts(
        content,
        &[
            ("Method", card.method.clone()),
            ("Tissues", count(card.tissues.len())),
            ("Unit", unit(card)),
            ("At work on", at_work),
            ("A gene’s own measured tissues", own.to_owned()),
            ("The name alone means", default.to_owned()),
            ("Digest", shelved.item.digest.clone()),
        ],
    );
    let names: Vec<_> = card.tissues.iter().map(|id| escape(Tissue::from_name(id).name())).collect();
    let _ = write!(content, "<details><summary>The tissues</summary><p>{}</p></details>", names.join(", "));
}

/// Error per method, on each scale that the card has.
fn errors(content: &mut String, card: &Card) {
    let scales = [(Scale::Log2, "log2"), (Scale::MinMax, "minmax")];
    content.push_str("<div class=\"plots\">");
    for (scale, id) in scales {
        let scores = on(card, scale);
        if let Some(first) = scores.first() {
            let title = format!("Error on {} ({})", scale_name(scale), counted(first.genes, "gene"));
            let (axis, better) = ("mean error 1 − r over tissues, 95 % interval over genes", Better::Lower);
            let dots = dots(card, &scores);
            plot(
                content,
                &title,
                &Dots { id, title: &title, axis, better, from_zero: false, line: None, methods: dots }.svg(),
            );
        }
    }
    content.push_str("</div>");
    for (scale, _) in scales {
        let mut scores = on(card, scale);
        let Some(first) = scores.first() else { continue };
        let caption = format!(
            "On {}; {} of the chromosomes held out; r is Pearson’s over a gene’s tissues",
            scale_name(scale),
            counted(first.genes, "gene"),
        );
        scores.sort_by(|a, b| a.mean_error.total_cmp(&b.mean_error));
        let mut rows = String::from("<tbody>");
        for one in scores {
            method_cell(&mut rows, &one.method, mark(card, &one.method));
            number(&mut rows, &short(one.mean_error));
            number(&mut rows, &interval(one.mean_error_interval));
            number(&mut rows, &short(one.median_error));
            number(&mut rows, &short(one.mse));
            rows.push_str("</tr>");
        }
        rows.push_str("</tbody>");
        let heads = ["method", "+mean error 1 − r", "+95 % interval", "+median error", "+mean squared error"];
        table(content, &format!("Error on {}", scale_name(scale)), &caption, &heads, &rows);
    }
}

/// How well hidden tissues are filled in, one small plot a scheme and all of them as a table.
fn hidden(content: &mut String, card: &Card) {
    if card.hidden.is_empty() {
        return;
    }
    let of =
        |scheme: Hiding| -> Vec<&HiddenAccuracy> { card.hidden.iter().filter(|one| one.scheme == scheme).collect() };
    content.push_str("<h2>Accuracy where part of a gene’s tissues is hidden</h2><div class=\"plots\">");
    for (at, scheme) in Hiding::ALL.into_iter().enumerate() {
        let scores = of(scheme);
        if scores.is_empty() {
            continue;
        }
        let dot = |one: &&HiddenAccuracy| Dot {
            name: one.method.clone(),
            value: one.rmse,
            reach: Some(one.rmse_interval),
            mark: mark(card, &one.method),
        };
        let dots = scores.iter().map(dot).collect();
        let (id, title) = (format!("hidden-{at}"), format!("Error with {}", scheme.label()));
        let (axis, better) = ("root mean squared error in log2(1 + x), 95 % interval", Better::Lower);
        plot(
            content,
            &title,
            &Dots { id: &id, title: &title, axis, better, from_zero: false, line: None, methods: dots }.svg(),
        );
    }
    content.push_str("</div>");
    let mut rows = String::new();
    for scheme in Hiding::ALL {
        let mut scores = of(scheme);
        scores.sort_by(|a, b| a.rmse.total_cmp(&b.rmse));
        rows.push_str("<tbody>");
        for one in scores {
            method_cell(&mut rows, &one.method, mark(card, &one.method));
            let _ = write!(rows, "<td>{}</td>", scheme.label());
            number(&mut rows, &count(one.genes));
            number(&mut rows, &short(one.rmse));
            number(&mut rows, &interval(one.rmse_interval));
            number(&mut rows, &one.mean_r.map_or("–".to_owned(), short));
            rows.push_str("</tr>");
        }
        rows.push_str("</tbody>");
    }
    let caption =
        "Error over the hidden values; r is the mean over genes, – where too few of a gene are hidden at once";
    let heads = ["method", "hidden", "+genes", "+root mean squared error", "+95 % interval", "+mean r"];
    content.push_str("<details><summary>As a table</summary>");
    table(content, "Accuracy where tissues are hidden", caption, &heads, &rows);
    content.push_str("</details>");
}

const fn known_name(known: Known) -> &'static str {
    match known {
        Known::None => "no tissue known",
        Known::Few => "up to a quarter known",
        Known::Many => "more than a quarter",
    }
}

/// The lowest and highest coverage over tissues.
fn range(stratum: &Stratum) -> Option<[f64; 2]> {
    let by_tissue = || stratum.coverage_by_tissue.iter().copied().filter(|coverage| coverage.is_finite());
    Some([by_tissue().reduce(f64::min)?, by_tissue().reduce(f64::max)?])
}

/// How often a measured value lies in its interval, by how much is known of the gene.
fn calibration(content: &mut String, card: &Card) {
    content.push_str("<h2>Calibration of the intervals</h2>");
    let Some(calibration) = &card.calibration else {
        content.push_str("<p>The model gives no intervals.</p>");
        return;
    };
    let dot = |stratum: &Stratum| Dot {
        name: known_name(stratum.known).to_owned(),
        value: stratum.coverage,
        reach: range(stratum),
        mark: Mark::Own,
    };
    let nominal = format!("nominal {}", short(calibration.level));
    let drawn = Dots {
        id: "coverage",
        title: "Share of measured values inside their interval",
        axis: "coverage over all tissues; the line spans the tissues",
        better: Better::AtLine,
        from_zero: false,
        line: Some((calibration.level, &nominal)),
        methods: calibration.strata.iter().map(dot).collect(),
    };
    plot(content, drawn.title, &drawn.svg());
    let mut rows = String::from("<tbody>");
    for stratum in &calibration.strata {
        let _ = write!(rows, "<tr><th scope=\"row\">{}</th>", known_name(stratum.known));
        for text in [
            short(calibration.level),
            short(stratum.coverage),
            range(stratum).map_or("–".to_owned(), interval),
            count(stratum.genes),
        ] {
            number(&mut rows, &text);
        }
        rows.push_str("</tr>");
    }
    rows.push_str("</tbody>");
    let caption = "Coverage on the chromosomes held out; half widths were set on other chromosomes";
    let heads = ["of the gene itself", "+nominal", "+coverage", "+lowest to highest tissue", "+genes set on"];
    table(content, "Coverage of the intervals", caption, &heads, &rows);
}

fn trained(content: &mut String, card: &Card) {
    let training = &card.training;
    let list = |names: &[String]| if names.is_empty() { "none".to_owned() } else { names.join(", ") };
    content.push_str("<h2>Training</h2>");
    facts(
        content,
        &[
            ("Dataset", format!("{}, version {}", training.dataset, training.dataset_version)),
            ("Assembly", training.assembly.clone()),
            ("Genes", count(training.genes)),
            ("Chromosomes held out for the accuracy", list(&training.held_out_chromosomes)),
            ("Chromosomes held out for the intervals", list(&training.calibration_chromosomes)),
            ("Seed", training.seed.to_string()),
            ("Took", format!("{} s", short(training.seconds))),
            ("Made by", format!("Tissuecast {}", training.tissuecast_version)),
        ],
    );
    command(content, "Command that gives the same weights again", &training.command);
}
