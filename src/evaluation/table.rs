//! The report as an aligned table of plain text.

use std::fmt::Write;

use super::metrics::Metric;
use super::report::{GroupKind, Pair, Report, Row, Summary};
use crate::model::Scale;

impl GroupKind {
    /// Returns what the group is, for people.
    #[must_use]
    pub fn label(&self) -> String {
        match self {
            Self::All => "all held-out genes".to_owned(),
            Self::Threshold { threshold_bp } => {
                format!("test genes of the minimal vicinity cover at {} kb", f64::from(*threshold_bp) / 1_000.0)
            }
            Self::Promoter { known: true } => "genes with a promoter".to_owned(),
            Self::Promoter { known: false } => "genes without a promoter".to_owned(),
            Self::Biotype { biotype } => format!("biotype {biotype}"),
            Self::Level { quarter } => format!("expression level, quarter {quarter} of 4 (1 is the lowest)"),
            Self::Control { control } => format!("control: {}", control.as_str()),
        }
    }
}

impl Report {
    /// Returns the report as text: every table, then the pairs.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = format!(
            "{} {} ({}): {} genes on {} held out, {} genes trained on\n\
             error = 1 - Pearson r over tissues, mean over genes [95 % bootstrap interval], {} resamples, seed {}\n",
            self.dataset,
            self.dataset_version,
            self.unit,
            self.genes,
            self.held_out_chromosomes.join(", "),
            self.training_genes,
            self.resamples,
            self.seed
        );
        for group in &self.groups {
            let header = ["method", "scale", "scaled", "median", "log", "median", "mse", "constant"].map(str::to_owned);
            let cells = std::iter::once(header).chain(group.rows.iter().map(cells)).collect::<Vec<_>>();
            push_table(&mut text, &format!("{} (n = {})", group.kind.label(), group.genes), &cells);
        }
        if !self.pairs.is_empty() {
            let header = ["method", "against", "scale", "metric", "difference", "wins", "losses", "ties", "error", "r"];
            let header = header.map(str::to_owned);
            let cells = std::iter::once(header).chain(self.pairs.iter().map(pair_cells)).collect::<Vec<_>>();
            push_table(
                &mut text,
                "pairs: method minus the other, gene by gene; ratios of mean error and mean r",
                &cells,
            );
        }
        if let Some(hidden) = &self.hidden {
            hidden.push_text(&mut text, self.unit);
        }
        text
    }
}

/// Returns a scale's name in tables.
pub(super) const fn scale_name(scale: Scale) -> &'static str {
    match scale {
        Scale::MinMax => "min-max",
        Scale::Log2 => "log2",
    }
}

fn cells(row: &Row) -> [String; 8] {
    let mean = |summary: Option<Summary>| {
        summary.map_or("-".to_owned(), |s| format!("{:.3} [{:.3}, {:.3}]", s.mean, s.interval[0], s.interval[1]))
    };
    let median = |summary: Option<Summary>| summary.map_or("-".to_owned(), |s| format!("{:.3}", s.median));
    [
        row.method.clone(),
        scale_name(row.scale).to_owned(),
        mean(Some(row.scaled)),
        median(Some(row.scaled)),
        mean(row.log),
        median(row.log),
        format!("{:.4}", row.mse),
        row.constant.to_string(),
    ]
}

fn pair_cells(pair: &Pair) -> [String; 10] {
    let metric = match pair.metric {
        Metric::Scaled => "scaled",
        Metric::Log => "log",
    };
    [
        pair.method.clone(),
        pair.against.clone(),
        scale_name(pair.scale).to_owned(),
        metric.to_owned(),
        format!("{:+.3} [{:+.3}, {:+.3}]", pair.difference, pair.interval[0], pair.interval[1]),
        pair.wins.to_string(),
        pair.losses.to_string(),
        pair.ties.to_string(),
        format!("×{:.2}", pair.error_ratio),
        pair.correlation_ratio.map_or("-".to_owned(), |ratio| format!("×{ratio:.2}")),
    ]
}

/// Appends a titled table: words to the left, numbers to the right.
pub(super) fn push_table<R: AsRef<[String]>>(text: &mut String, title: &str, cells: &[R]) {
    let width = |column: usize| cells.iter().map(|row| row.as_ref()[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..cells.first().map_or(0, |row| row.as_ref().len())).map(width).collect();
    // A column of words starts with a letter below its heading; a ratio starts with the multiplication sign.
    let is_word = |column: usize| cells.last().is_some_and(|row| row.as_ref()[column].starts_with(char::is_alphabetic));
    let _ = write!(text, "\n{title}\n");
    for row in cells {
        let mut line = String::new();
        for (column, (cell, &width)) in row.as_ref().iter().zip(&widths).enumerate() {
            let _ = if is_word(column) { write!(line, "  {cell:<width$}") } else { write!(line, "  {cell:>width$}") };
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
}
