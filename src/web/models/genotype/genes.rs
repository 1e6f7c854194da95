//! The genes of a genotype model: how their accuracy spreads, the best of them, and one that the reader looks for.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::Arc;

use super::super::accuracy::Spread;
use super::{Model, ModelGene, count, counted, escape, number, path_segment, plot, short, table};
use crate::http::model_genes;
use crate::model::expression::GeneAccuracy;
use crate::prediction::selection::Selection;

/// How many of the best predicted genes are listed.
const BEST: usize = 20;
/// How many genes of one name are shown.
const MOST_FOUND: usize = 50;

/// The number that genes are ranked by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Measure {
    /// Mean correlation in the people held out, which has a sign.
    Correlation,
    /// Squared correlation, where that is all that the makers gave.
    Squared,
}

impl Measure {
    fn of(genes: &[ModelGene]) -> Self {
        let signed = genes.iter().any(|gene| Self::Correlation.value(gene).is_some());
        if signed { Self::Correlation } else { Self::Squared }
    }

    fn value(self, gene: &ModelGene) -> Option<f64> {
        let accuracy = gene.accuracy.as_ref()?;
        match self {
            Self::Correlation => accuracy.r,
            Self::Squared => accuracy.r2,
        }
    }

    const fn axis(self) -> &'static str {
        match self {
            Self::Correlation => "correlation r of predicted and measured expression in people held out",
            Self::Squared => "squared correlation r² of predicted and measured expression",
        }
    }
}

/// The squared correlations that are known.
pub(super) fn squared(genes: &[ModelGene]) -> Vec<f64> {
    genes.iter().filter_map(|gene| Measure::Squared.value(gene)).collect()
}

/// The median as the card's JSON has it, and of how many.
pub(super) fn median(mut known: Vec<f64>) -> Option<(f64, usize)> {
    let (middle, many) = (known.len() / 2, known.len());
    (many > 0).then(|| (*known.select_nth_unstable_by(middle, f64::total_cmp).1, many))
}

/// Adds the section; `asked` is a gene that the reader looks for.
pub(super) fn section(content: &mut String, shelved: &Model<'_>, asked: Option<&str>) {
    let genes = shelved.item.model.genes();
    let measure = Measure::of(genes);
    content.push_str("<h2 id=\"genes\">Genes</h2>");
    let known: Vec<f64> = genes.iter().filter_map(|gene| measure.value(gene)).collect();
    if let Some((median, many)) = median(known.clone()) {
        let without = genes.len() - many;
        let rest = match without {
            0 => "The accuracy of every gene is known.".to_owned(),
            _ => format!("Of {} the accuracy is not known: they are in no bar.", counted(without, "gene")),
        };
        let title = format!("Accuracy of {}, gene by gene", counted(many, "gene"));
        let drawn = Spread { id: "spread", title: &title, axis: measure.axis(), values: &known, median };
        plot(content, &title, &drawn.svg());
        let _ = write!(content, "<p>{rest}</p>");
    } else {
        let _ = write!(content, "<p>The accuracy of none of its {} is known.</p>", counted(genes.len(), "gene"));
    }
    find(content, shelved, asked);
    let mut best: Vec<(f64, &ModelGene)> =
        genes.iter().filter_map(|gene| measure.value(gene).map(|value| (value, gene))).collect();
    best.sort_by(|a, b| b.0.total_cmp(&a.0));
    best.truncate(BEST);
    if !best.is_empty() {
        let label = format!("The {} predicted best", counted(best.len(), "gene"));
        let _ = write!(content, "<h3>{label}</h3>");
        let best: Vec<&ModelGene> = best.into_iter().map(|(_, gene)| gene).collect();
        gene_table(content, shelved, &label, &best);
    }
}

/// The search for one gene of the model, and what it found.
fn find(content: &mut String, shelved: &Model<'_>, asked: Option<&str>) {
    let asked = asked.map(str::trim).filter(|asked| !asked.is_empty());
    let _ = write!(
        content,
        "<h3 id=\"gene\">Look up a gene of this model</h3><form class=\"buttons\" action=\"/models/{}#gene\" \
         method=\"get\"><input type=\"search\" name=\"gene\" value=\"{}\" aria-label=\"Gene of this \
         model\" placeholder=\"Symbol or Ensembl id\" maxlength=\"100\" autocomplete=\"off\" spellcheck=\"false\" \
         required><button class=\"quiet\">Look up</button></form>",
        path_segment(&shelved.label()),
        escape(asked.unwrap_or_default()),
    );
    let Some(asked) = asked else { return };
    let selection = Selection::of(vec![Arc::clone(shelved.item)], &[asked.to_owned()]);
    let found = selection.models.into_iter().next().and_then(|(_, genes)| genes).unwrap_or_default();
    let all = shelved.item.model.genes();
    let genes: Vec<&ModelGene> = found.into_iter().take(MOST_FOUND).map(|at| &all[at]).collect();
    if genes.is_empty() {
        let shown: String = asked.chars().take(80).collect();
        let _ = write!(content, "<p role=\"status\">This model predicts no gene ‘{}’.</p>", escape(&shown));
    } else {
        gene_table(content, shelved, "The gene that was looked up", &genes);
        if let [gene] = genes.as_slice() {
            variant_table(content, shelved, gene);
        }
    }
}

/// The variants of a gene with what each weighs.
fn variant_table(content: &mut String, shelved: &Model<'_>, gene: &ModelGene) {
    let variants = model_genes::variants(shelved.item, gene);
    if variants.is_empty() {
        content.push_str("<p>The model counts no variant for it, and predicts nothing for anybody.</p>");
        return;
    }
    let has_weights = variants.iter().any(|one| one.weight.is_some());
    let cell = |number: Option<f64>| number.map_or("–".to_owned(), short);
    let mut rows = String::from("<tbody>");
    for one in &variants {
        let place = one.chromosome.as_ref().zip(one.position);
        let place = place.map_or("–".to_owned(), |(chromosome, position)| format!("{chromosome}:{position}"));
        let _ = write!(
            rows,
            "<tr><th scope=\"row\">{}</th><td>{}</td><td>{}&gt;{}</td>",
            escape(one.id.as_deref().unwrap_or("–")),
            escape(&place),
            escape(&one.other_allele),
            escape(&one.effect_allele),
        );
        number(&mut rows, &cell(one.effect_allele_frequency.map(f64::from)));
        number(&mut rows, &cell(if has_weights { one.weight } else { one.scale }));
        number(&mut rows, &one.share.map_or("–".to_owned(), |share| format!("{} %", short(100.0 * share))));
        rows.push_str("</tr>");
    }
    rows.push_str("</tbody>");
    let weight = if has_weights { "+weight" } else { "+scale" };
    let heads = ["variant", "place", "alleles, the second counted", "+frequency", weight, "+share of importance"];
    let caption = format!(
        "Positions on {}; a weight is what one copy of the counted allele adds",
        shelved.item.card.assembly.as_deref().unwrap_or("no assembly: the model knows variants by identifier")
    );
    let json = format!("/v1/models/{}/genes/{}", path_segment(&shelved.label()), path_segment(&gene.name));
    table(content, "Variants of the gene", &caption, &heads, &rows);
    let _ = write!(
        content,
        "<p><a href=\"{json}?format=tsv\" download>Variants as TSV</a> · <a href=\"{json}\">as JSON</a></p>"
    );
}

/// The name of a column, and its cell.
type NumberColumn = (&'static str, fn(&GeneAccuracy) -> Option<String>);

/// Numbers of a gene's accuracy that a table can have.
const COLUMNS: [NumberColumn; 4] = [
    ("+r", |accuracy| accuracy.r.map(short)),
    ("+r²", |accuracy| accuracy.r2.map(short)),
    ("+p", |accuracy| accuracy.p_value.map(short)),
    ("+people", |accuracy| accuracy.n.map(|people| count(people as usize))),
];

fn gene_table(content: &mut String, shelved: &Model<'_>, label: &str, genes: &[&ModelGene]) {
    let (model, name) = (path_segment(&shelved.label()), path_segment(shelved.name));
    let accuracies = || genes.iter().filter_map(|gene| gene.accuracy.as_ref());
    let is_known = |cell: fn(&GeneAccuracy) -> Option<String>| accuracies().any(|accuracy| cell(accuracy).is_some());
    let columns: Vec<_> = COLUMNS.into_iter().filter(|(_, cell)| is_known(*cell)).collect();
    let has_method = is_known(|accuracy| accuracy.method.clone());
    let has_place = genes.iter().any(|gene| gene.locus.is_some());
    let mut rows = String::from("<tbody>");
    for gene in genes {
        let symbol = gene.symbol.as_ref().map_or(&*gene.name, |symbol| symbol.as_str());
        let place = gene.locus.as_ref().map_or("–".to_owned(), |(chromosome, start, end)| {
            format!("{}:{}-{}", chromosome.as_str(), start.get(), end.get())
        });
        let _ = write!(
            rows,
            "<tr><th scope=\"row\"><a href=\"/models/{model}?gene={}#gene\">{}</a></th><td>{}</td>",
            path_segment(&gene.name),
            escape(symbol),
            escape(&gene.name),
        );
        if has_place {
            let _ = write!(rows, "<td class=\"place\">{}</td>", escape(&place));
        }
        number(&mut rows, &count(gene.rows.len()));
        let accuracy = gene.accuracy.as_ref();
        for (_, cell) in &columns {
            number(&mut rows, &accuracy.and_then(cell).unwrap_or_else(|| "–".to_owned()));
        }
        if has_method {
            let method = accuracy.and_then(|accuracy| accuracy.method.as_deref());
            let _ = write!(rows, "<td>{}</td>", escape(method.unwrap_or("–")));
        }
        if shelved.is_default {
            let gene = path_segment(&gene.name);
            let _ = write!(rows, "<td><a href=\"/predict?model={name}&amp;gene={gene}\">predict</a></td>");
        }
        rows.push_str("</tr>");
    }
    rows.push_str("</tbody>");
    let mut heads = vec!["gene", "identifier"];
    heads.extend(has_place.then_some("place"));
    heads.push("+variants");
    heads.extend(columns.iter().map(|(head, _)| head));
    heads.extend(has_method.then_some("method"));
    // The page for genotypes has the default versions alone.
    heads.extend(shelved.is_default.then_some("your people"));
    let kinds: BTreeSet<&str> = accuracies().map(|one| one.kind.as_str()).filter(|kind| !kind.is_empty()).collect();
    let kinds = kinds.into_iter().collect::<Vec<_>>().join(", ");
    let measured = if kinds.is_empty() { "accuracy not known".to_owned() } else { format!("accuracy by {kinds}") };
    let caption = format!("A gene’s link leads to its variants and weights; {measured}");
    table(content, label, &caption, &heads, &rows);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_cards() {
        assert_eq!(median(Vec::new()), None);
        assert_eq!(median(vec![0.3, 0.1, 0.2]), Some((0.2, 3)));
        assert_eq!(median(vec![0.4, 0.1, 0.2, 0.3]), Some((0.3, 4)));
    }
}
