//! The report as plain text: one table of all methods, the folds, the pairs, and what annotation adds.
//!
//! Imports its siblings. Invariant: with names of up to 22 letters and up to 9,999 genes no line is longer than 120.

use std::fmt::Write;

use super::LEAVE_ONE_POPULATION_OUT;
use super::report::{AnnotationEffect, MethodSummary, Pair, Report};
use super::summary::{Difference, GeneSet, Score, Summary};

/// The widest line.
const WIDTH: usize = 120;
/// More groups by heritable folds than this stand in the JSON only.
const MOST_GROUPS: usize = 12;
/// Below this p, and with the interval on the same side of 0, a difference counts as shown.
const SHOWN: f64 = 0.05;

impl Report {
    /// Returns the report for people: every method in one table, then folds, pairs and the effect of annotation.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = format!(
            "{}: {} people in {} folds, {} genes, {} of them heritable in at least one fold's training people\n\
             r: mean over folds of Pearson's r within the fold; r2: squared correlation of all people, centred within \
             folds;\n\
             rsq: 1 - RSS/TSS around the training mean; heritable genes are scored on the folds in which they are so\n\
             [ ]: 95 % bootstrap interval over genes, {} resamples, seed {}; p: Wilcoxon's signed-rank test, two-sided\n\
             better, worse: p < {SHOWN} and the interval of the mean difference on the same side of 0; otherwise unclear\n",
            self.split,
            self.people,
            self.folds.len(),
            self.genes,
            self.heritable_genes,
            self.resamples,
            self.seed
        );
        self.push_methods(&mut text);
        self.push_folds(&mut text);
        self.push_heritable_folds(&mut text);
        self.push_pairs(&mut text);
        self.push_annotation(&mut text);
        text
    }

    /// Returns a method's name in a table: a run under a control stands indented below its method.
    fn label(&self, method: &MethodSummary) -> String {
        let has_own = self.methods.iter().any(|own| own.control.is_none() && own.method == method.method);
        match &method.control {
            None => method.method.clone(),
            Some(control) if has_own => format!("  {control}"),
            Some(control) => format!("{}, {control}", method.method),
        }
    }

    fn push_methods(&self, text: &mut String) {
        let mut table = Table::default();
        let heading = ["method", "mean", "[95 %]", "median", "mean", "mean", "median"].map(str::to_owned);
        let first = &self.methods.first().map(|method| &method.all);
        let above = first.iter().flat_map(|all| all.r_above.iter().chain(&all.r2_above));
        table.push(heading.into_iter().chain(above.map(|count| count.above.to_string())));
        for set in GeneSet::ALL {
            let genes = match set {
                GeneSet::All => self.genes,
                GeneSet::Heritable => self.heritable_genes,
            };
            table.titles.push((table.rows.len(), title(set, genes)));
            for method in &self.methods {
                let summary = match set {
                    GeneSet::All => Some(&method.all),
                    GeneSet::Heritable => method.heritable.as_ref(),
                };
                if let Some(summary) = summary {
                    table.push(std::iter::once(self.label(method)).chain(cells(summary)));
                }
            }
        }
        table.gap = |column| match column {
            2 | 8 | 9 | 11.. => 1,
            _ => 2,
        };
        table.spans = vec![(1, "r"), (4, "r2"), (5, "rsq"), (7, "genes: r >"), (10, "genes: r2 >")];
        text.push('\n');
        table.write(text);
    }

    fn push_folds(&self, text: &mut String) {
        let what = if self.split == LEAVE_ONE_POPULATION_OUT { "population left out" } else { "fold" };
        let fold_width = self.folds.iter().map(|fold| fold.name.chars().count()).max().unwrap_or(0).max(6) + 2;
        let labels = self.methods.iter().map(|method| self.label(method).chars().count()).max().unwrap_or(0);
        let at_once = (WIDTH.saturating_sub(labels.max(22) + 22) / fold_width).max(1);
        let mut from = 0;
        while from < self.folds.len() {
            let shown = from..self.folds.len().min(from + at_once);
            let mut table = Table::default();
            let names = self.folds[shown.clone()].iter().map(|fold| fold.name.clone());
            table
                .push(std::iter::once("method".to_owned()).chain(names).chain(["constant", "time"].map(str::to_owned)));
            for set in GeneSet::ALL {
                table.titles.push((table.rows.len(), set_name(set).to_owned()));
                let genes = self.folds[shown.clone()].iter().map(|fold| match set {
                    GeneSet::All => self.genes.to_string(),
                    GeneSet::Heritable => fold.heritable_genes.to_string(),
                });
                let last = ["", ""].map(str::to_owned);
                table.push(std::iter::once("  genes".to_owned()).chain(genes).chain(last));
                for method in &self.methods {
                    let r = method.by_fold[shown.clone()].iter().map(|fold| match set {
                        GeneSet::All => number(fold.mean_r),
                        GeneSet::Heritable => number(fold.heritable_mean_r),
                    });
                    let last = match set {
                        GeneSet::All => [method.constant.to_string(), duration(method.seconds)],
                        GeneSet::Heritable => ["", ""].map(str::to_owned),
                    };
                    table.push(std::iter::once(self.label(method)).chain(r).chain(last));
                }
            }
            let _ = write!(
                text,
                "\nmean r by {what}; constant: genes with one prediction for everyone in each fold, their r counts as 0\n"
            );
            table.write(text);
            from = shown.end;
        }
    }

    fn push_heritable_folds(&self, text: &mut String) {
        let Some(first) = self.methods.first().filter(|first| first.by_heritable_folds.len() <= MOST_GROUPS) else {
            return;
        };
        let mut table = Table::default();
        let counts = first.by_heritable_folds.iter();
        table
            .push(std::iter::once("folds".to_owned()).chain(counts.clone().map(|row| row.heritable_folds.to_string())));
        table.push(std::iter::once("genes".to_owned()).chain(counts.map(|row| row.genes.to_string())));
        for method in &self.methods {
            let r = method.by_heritable_folds.iter().map(|row| number(Some(row.mean_r)));
            table.push(std::iter::once(self.label(method)).chain(r));
        }
        text.push_str("\nmean r over all folds, genes by the number of folds in which they are heritable\n");
        table.write(text);
    }

    fn push_pairs(&self, text: &mut String) {
        for group in sorted(&self.pairs).chunk_by(|a, b| (&a.control, other(a)) == (&b.control, other(b))) {
            let Some(first) = group.first() else { continue };
            let against = match &first.control {
                None => format!("against {}", first.against),
                Some(control) => format!("{control} against the same method without"),
            };
            if group.iter().all(|pair| pair.method == first.method) {
                let _ = write!(text, "\n{}: {against}\n", first.method);
                for pair in group {
                    let question = format!("{}, {}", set_name(pair.set), score_name(pair.score));
                    push_difference(text, &question, &pair.difference);
                }
                continue;
            }
            for asked in group.chunk_by(|a, b| (a.set, a.score) == (b.set, b.score)) {
                let Some(Pair { set, score, .. }) = asked.first() else { continue };
                let _ = write!(text, "\n{against}: {}, {}\n", set_name(*set), score_name(*score));
                for pair in asked {
                    push_difference(text, &pair.method, &pair.difference);
                }
            }
        }
    }

    fn push_annotation(&self, text: &mut String) {
        if self.annotation.is_empty() {
            return;
        }
        text.push_str("\ndoes annotation help the network more than it helps elastic net?\n");
        for AnnotationEffect { set, score, network, elastic_net, network_minus_elastic_net } in &self.annotation {
            let answer = match verdict(network_minus_elastic_net) {
                Verdict::Better if network.mean > 0.0 => "yes",
                Verdict::Better => "no, it only hurts the network less",
                Verdict::Worse if elastic_net.mean > 0.0 => "no, it helps elastic net more",
                Verdict::Worse => "no, it hurts the network more",
                Verdict::Unclear => "not shown",
            };
            let _ = writeln!(text, "{}, {}: {answer}", set_name(*set), score_name(*score));
            push_difference(text, "gain of the network", network);
            push_difference(text, "gain of elastic net", elastic_net);
            push_difference(text, "network - elastic net", network_minus_elastic_net);
        }
    }
}

/// Returns pairs by what they are compared with: other methods first, then controls, set by set and score by score.
fn sorted(pairs: &[Pair]) -> Vec<&Pair> {
    let mut sorted: Vec<&Pair> = pairs.iter().collect();
    let place = |pair: &Pair| pairs.iter().position(|other| other.against == pair.against).unwrap_or(0);
    sorted.sort_by_key(|pair| {
        let against = if pair.control.is_none() { place(pair) } else { 0 };
        (pair.control.clone(), against, pair.set, pair.score)
    });
    sorted
}

/// Returns the other method that a pair names; none for a control, whose partner is the method itself.
fn other(pair: &Pair) -> Option<&str> {
    pair.control.is_none().then_some(pair.against.as_str())
}

/// What a difference shows.
enum Verdict {
    Better,
    Worse,
    Unclear,
}

/// Judges a difference: shown where the mean's interval and the ranks agree.
fn verdict(difference: &Difference) -> Verdict {
    let [low, high] = difference.interval;
    if difference.p >= SHOWN {
        Verdict::Unclear
    } else if low > 0.0 && difference.rank_effect > 0.0 {
        Verdict::Better
    } else if high < 0.0 && difference.rank_effect < 0.0 {
        Verdict::Worse
    } else {
        Verdict::Unclear
    }
}

fn push_difference(text: &mut String, name: &str, difference: &Difference) {
    let Difference { mean, interval: [low, high], wins, losses, ties, p, .. } = difference;
    let [mean, low, high] = [mean, low, high].map(|number| rounded(*number, 4));
    let word = match verdict(difference) {
        Verdict::Better => "better",
        Verdict::Worse => "worse",
        Verdict::Unclear => "unclear",
    };
    let _ = writeln!(
        text,
        "  {name:<21}  {mean:+.4} [{low:+.4}, {high:+.4}]  {wins:>4} better, {losses:>4} worse, {ties:>4} equal  \
         p {:<8}  {word}",
        probability(*p)
    );
}

const fn set_name(set: GeneSet) -> &'static str {
    match set {
        GeneSet::All => "all genes",
        GeneSet::Heritable => "heritable genes",
    }
}

const fn score_name(score: Score) -> &'static str {
    match score {
        Score::R => "r",
        Score::Rsq => "rsq",
    }
}

fn title(set: GeneSet, genes: usize) -> String {
    format!("{} (n = {genes})", set_name(set))
}

fn cells(summary: &Summary) -> impl Iterator<Item = String> {
    let [low, high] = summary.mean_r_interval.map(|bound| rounded(bound, 3));
    let numbers = [
        number(Some(summary.mean_r)),
        format!("[{low:>6.3}, {high:>6.3}]"),
        number(Some(summary.median_r)),
        number(Some(summary.mean_r2)),
        number(Some(summary.mean_rsq)),
        number(Some(summary.median_rsq)),
    ];
    numbers.into_iter().chain(summary.r_above.iter().chain(&summary.r2_above).map(|count| count.genes.to_string()))
}

/// Rounds for printing, so that no zero has a sign.
fn rounded(number: f64, decimals: i32) -> f64 {
    let unit = 10.0f64.powi(decimals);
    (number * unit).round() / unit + 0.0
}

/// Returns a score with three decimals, fewer where it is far from its usual range; a dash where there is none.
fn number(score: Option<f64>) -> String {
    match score {
        None => "-".to_owned(),
        Some(score) if score.abs() < 9.9995 => format!("{:.3}", rounded(score, 3)),
        Some(score) if score.abs() < 999.95 => format!("{score:.1}"),
        Some(score) => format!("{score:.0e}"),
    }
}

fn probability(p: f64) -> String {
    if p >= 0.001 {
        format!("{p:.3}")
    } else if p > 0.0 {
        format!("{p:.1e}")
    } else {
        "< 1e-300".to_owned()
    }
}

fn duration(seconds: f64) -> String {
    match seconds {
        short if short < 9.95 => format!("{short:.1} s"),
        short if short < 600.0 => format!("{short:.0} s"),
        long => format!("{:.0} min", long / 60.0),
    }
}

/// Rows of cells under one heading: the first column of words, the others of numbers.
struct Table {
    rows: Vec<Vec<String>>,
    /// Lines of their own, each before the row at its place.
    titles: Vec<(usize, String)>,
    /// Words above the heading, each at the left edge of a column.
    spans: Vec<(usize, &'static str)>,
    /// The spaces before a column.
    gap: fn(usize) -> usize,
}

impl Default for Table {
    fn default() -> Self {
        Self { rows: Vec::new(), titles: Vec::new(), spans: Vec::new(), gap: |_| 2 }
    }
}

impl Table {
    fn push(&mut self, cells: impl Iterator<Item = String>) {
        self.rows.push(cells.collect());
    }

    fn write(&self, text: &mut String) {
        let columns = self.rows.first().map_or(0, Vec::len);
        let width = |column: usize| self.rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..columns).map(width).collect();
        if !self.spans.is_empty() {
            let mut line = String::new();
            for (column, word) in &self.spans {
                let before: usize = (1..*column).map(|at| widths[at] + (self.gap)(at)).sum();
                let left = widths[0] + before + (self.gap)(*column);
                line = format!("{line:<left$}{word}");
            }
            let _ = writeln!(text, "{line}");
        }
        for (at, row) in self.rows.iter().enumerate() {
            for (_, title) in self.titles.iter().filter(|(before, _)| *before == at) {
                let _ = writeln!(text, "{title}");
            }
            let mut line = format!("{:<width$}", row[0], width = widths[0]);
            for (column, (cell, width)) in row.iter().zip(&widths).enumerate().skip(1) {
                let _ = write!(line, "{:gap$}{cell:>width$}", "", gap = (self.gap)(column));
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
    }
}
