//! The card of a model that predicts expression from genotypes.

mod genes;

use std::fmt::Write as _;
use std::sync::Arc;

use super::accuracy::{Better, Dot, Dots, Mark, short};
use super::parts::{Headline, beside, command, facts, files, interval, method_cell, number, plot, sentences, table};
use crate::genome::Tissue;
use crate::http::model_genes::MOST_ITEMS;
use crate::model::expression::card::{GeneSet, GenotypeCard, GenotypeTraining, ImportRecord, MethodAccuracy};
use crate::model::expression::network::{ANNOTATED_ELASTIC_NET, ELASTIC_NET};
use crate::model::expression::{ModelGene, ServedGenotypeModel};
use crate::model::shelf::Shelved;
use crate::web::{count, counted, escape, path_segment};

/// A genotype model as the page takes it.
pub(super) type Model<'a> = Shelved<'a, Arc<ServedGenotypeModel>>;

const NOT_KNOWN: &str = "not known";
/// Correlations above which the card counts genes.
const BARS: [&str; 3] = ["+r > 0.1", "+r > 0.2", "+r > 0.3"];

/// What a method is beside a model: elastic nets are the simple methods that networks are compared with.
fn mark(card: &GenotypeCard, method: &str) -> Mark {
    match method {
        own if own == card.method => Mark::Own,
        ELASTIC_NET | "elastic-net-bagged" | ANNOTATED_ELASTIC_NET => Mark::Baseline,
        _ => Mark::Other,
    }
}

fn over(card: &GenotypeCard, genes: GeneSet) -> Vec<&MethodAccuracy> {
    card.accuracy.iter().filter(|one| one.genes == genes).collect()
}

fn dots(card: &GenotypeCard, scores: &[&MethodAccuracy]) -> Vec<Dot> {
    let dot = |one: &&MethodAccuracy| Dot {
        name: one.method.clone(),
        value: one.mean_r,
        reach: Some(one.interval_r),
        mark: mark(card, &one.method),
    };
    scores.iter().map(dot).collect()
}

/// The model's accuracy in a few words: over all genes beside the strongest elastic net, else what its makers measured.
pub(super) fn headline(served: &ServedGenotypeModel) -> Headline {
    let dots = dots(&served.card, &over(&served.card, GeneSet::All));
    if let Some(own) = dots.iter().find(|dot| dot.mark == Mark::Own) {
        return Headline { own: format!("mean r: {}", short(own.value)), beside: beside(&dots, false) };
    }
    let genes = served.model.genes();
    let own = match genes::median(genes::squared(genes)) {
        Some((median, known)) => {
            format!("median r²: {} ({} of {} genes)", short(median), count(known), count(genes.len()))
        }
        None => NOT_KNOWN.to_owned(),
    };
    Headline { own, beside: None }
}

/// The card; `asked` is a gene of the model that the reader looks for.
pub(super) fn content(shelved: &Model<'_>, asked: Option<&str>) -> String {
    let card = &shelved.item.card;
    let label = path_segment(&shelved.label());
    let mut content = format!(
        "<h1>{}<span class=\"soft\">@{}</span></h1><p class=\"lead\">Predicts expression from genotypes.</p><p>{}</p>",
        escape(shelved.name),
        escape(shelved.version),
        escape(&card.description),
    );
    about(&mut content, shelved);
    // The page for genotypes has the default versions alone.
    let predict = if shelved.is_default {
        format!("<li><a href=\"/predict?model={}\">Predict with this model</a></li>", path_segment(shelved.name))
    } else {
        String::new()
    };
    let all = card.genes <= MOST_ITEMS;
    let genes = if all { "Genes as TSV".to_owned() } else { format!("First {} genes as TSV", count(MOST_ITEMS)) };
    let _ = write!(
        content,
        "<ul class=\"links\">{predict}<li><a href=\"/v1/models/{label}\">Card as JSON</a></li><li><a \
         href=\"/v1/models/{label}/genes?items_per_page={MOST_ITEMS}&amp;format=tsv\" download>{genes}</a></li></ul>",
    );
    accuracy(&mut content, card);
    content.push_str(
        "<h2>What the numbers do not mean</h2><ul class=\"notes\"><li>Expression predicted from variants near a gene \
         is not measured expression: it is the part that these variants carry, which for most genes is small, and \
         says nothing of age, illness, treatment or cell state.</li><li>The accuracy holds for people like those \
         that the model was trained on; in people of other ancestry it is usually lower, and the card does not \
         measure it.</li></ul>",
    );
    genes::section(&mut content, shelved, asked);
    if let Some(training) = &card.training {
        trained(&mut content, training);
    }
    if let Some(import) = &card.import {
        imported(&mut content, import);
    }
    lifted(&mut content, card);
    content.push_str("<h2>Files</h2>");
    files(&mut content, "Files of the model", &card.files);
    content
}

fn about(content: &mut String, shelved: &Model<'_>) {
    let card = &shelved.item.card;
    let unknown = || NOT_KNOWN.to_owned();
    let missing = if card.has_frequencies {
        "stands for its mean, since the model has allele frequencies"
    } else {
        "makes the value unknown unless a policy says otherwise: the model has no allele frequencies"
    };
    let default = if shelved.is_default { "this version" } else { "another version" };
    facts(
        content,
        &[
            ("Tissue", card.tissue.as_deref().map_or_else(unknown, |id| Tissue::from_name(id).name().to_owned())),
            ("Method", card.method.clone()),
            ("Genes", count(card.genes)),
            ("Variants", format!("{}, counted once a gene", count(card.weights))),
            ("People trained on", card.n_samples.map_or_else(unknown, |people| count(people as usize))),
            ("Population", card.population.clone().unwrap_or_else(unknown)),
            ("Assembly", card.assembly.clone().unwrap_or_else(|| "none: variants by identifier alone".to_owned())),
            ("Unit", card.unit.clone()),
            ("A missing genotype", missing.to_owned()),
            ("The name alone means", default.to_owned()),
            ("Digest", shelved.item.digest.clone()),
        ],
    );
}

fn accuracy(content: &mut String, card: &GenotypeCard) {
    content.push_str("<h2>Accuracy in people held out</h2>");
    if card.accuracy.is_empty() {
        content.push_str(
            "<p>Not known: the card has no accuracy beside other methods. What its makers measured gene by gene, where \
             they gave it, is below.</p>",
        );
        return;
    }
    content.push_str("<div class=\"plots\">");
    for (id, genes, title) in [
        ("all", GeneSet::All, "Accuracy over all genes"),
        ("heritable", GeneSet::Heritable, "Accuracy over heritable genes"),
    ] {
        let scores = over(card, genes);
        if let Some(first) = scores.first() {
            let title = format!("{title} ({})", count(first.n_genes));
            let dots = dots(card, &scores);
            let (axis, better) = ("mean correlation r, 95 % interval over genes", Better::Higher);
            let drawn = Dots { id, title: &title, axis, better, from_zero: true, line: None, methods: dots };
            plot(content, &title, &drawn.svg());
        }
    }
    content.push_str("</div>");
    accuracy_table(content, card, &over(card, GeneSet::All), "trained");
    let heritable = "that the training folds alone show to be heritable";
    accuracy_table(content, card, &over(card, GeneSet::Heritable), heritable);
}

fn accuracy_table(content: &mut String, card: &GenotypeCard, scores: &[&MethodAccuracy], what: &str) {
    let Some(first) = scores.first() else { return };
    let mut sorted = scores.to_vec();
    sorted.sort_by(|a, b| b.mean_r.total_cmp(&a.mean_r));
    let mut rows = String::from("<tbody>");
    for one in sorted {
        method_cell(&mut rows, &one.method, mark(card, &one.method));
        for text in [short(one.mean_r), interval(one.interval_r), short(one.median_r), short(one.mean_r2)] {
            number(&mut rows, &text);
        }
        number(&mut rows, &short(one.mean_rsq));
        for above in one.r_above {
            number(&mut rows, &count(above));
        }
        rows.push_str("</tr>");
    }
    rows.push_str("</tbody>");
    let caption = format!(
        "The {} {what}; {}; R² is 1 − residual ÷ total sum of squares; the last columns count genes",
        counted(first.n_genes, "gene"),
        first.split
    );
    let heads = [&["method", "+mean r", "+95 % interval", "+median r", "+mean r²", "+mean R²"][..], &BARS].concat();
    table(content, &format!("Accuracy over the genes {what}"), &caption, &heads, &rows);
}

fn trained(content: &mut String, training: &GenotypeTraining) {
    content.push_str("<h2>Training</h2>");
    let list = |names: &[String]| if names.is_empty() { "none".to_owned() } else { names.join(", ") };
    let populations = training.population.iter().map(|(name, people)| format!("{name} {}", count(*people)));
    facts(
        content,
        &[
            ("People", format!("{}: {}", count(training.people), populations.collect::<Vec<_>>().join(", "))),
            ("Genes", count(training.genes)),
            ("Window", format!("{} bp on either side of a gene", count(training.window_bp as usize))),
            ("Folds", format!("{} outer, {} inner", training.outer_folds, training.inner_folds)),
            ("Networks a gene", training.members.to_string()),
            ("Expression before the fit", training.transform.clone()),
            ("Covariates taken out", list(&training.covariates)),
            ("Annotations read", list(&training.annotations)),
            ("Rarer allele at least", short(training.min_maf)),
            ("Seed", training.seed.to_string()),
            ("Digest of the cohort", training.cohort_digest.clone()),
            ("Took", format!("{} s of one thread", short(training.seconds))),
            ("Made by", format!("Tissuecast {}", training.tissuecast_version)),
        ],
    );
    command(content, "Command that gives the same weights again", &training.command);
    sentences(content, "Stated by the paper", &training.stated_by_paper);
    sentences(content, "Our choice", &training.our_choice);
    files(content, "Files that it was trained on", &training.sources);
}

fn imported(content: &mut String, import: &ImportRecord) {
    content.push_str("<h2>Import</h2>");
    facts(
        content,
        &[("Format", import.format.clone()), ("Imported by", format!("Tissuecast {}", import.tissuecast_version))],
    );
    if import.left_out.is_empty() {
        content.push_str("<p>Every row was taken.</p>");
    } else {
        let mut rows = String::from("<tbody>");
        for (reason, left_out) in &import.left_out {
            let _ = write!(rows, "<tr><th scope=\"row\">{}</th>", escape(reason));
            number(&mut rows, &count(*left_out));
            rows.push_str("</tr>");
        }
        rows.push_str("</tbody>");
        table(content, "Rows left out", "Rows that were left out", &["reason", "+rows"], &rows);
    }
    sentences(content, "Notes", &import.notes);
    files(content, "Files that it was read from", &import.sources);
}

fn lifted(content: &mut String, card: &GenotypeCard) {
    let Some(lifted) = &card.liftover else { return };
    let total = lifted.lifted + lifted.unmapped + lifted.multiple;
    content.push_str("<h2>Liftover</h2>");
    facts(
        content,
        &[
            ("Also on", lifted.assembly.clone()),
            ("Placed", format!("{} of {}", count(lifted.lifted), counted(total, "row"))),
            ("Turned round there", count(lifted.reversed)),
            ("Without a place there", count(lifted.unmapped)),
            ("With several places there, not used", count(lifted.multiple)),
            ("Chain", lifted.chain.clone()),
            ("SHA-256 of the chain", lifted.chain_sha256.clone()),
        ],
    );
}
