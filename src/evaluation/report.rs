//! The comparison of methods: overall, by group of genes, pair by pair, under controls; as text, JSON and plot.
//!
//! Imports `genome`, `reference`, `model`'s card and its siblings. Invariant: the same scores and seed give the same
//! report, byte for byte; a number that does not exist is absent, never 0.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::compare::{EvaluationSettings, MethodScores};
use super::controls::Control;
use super::hidden::report::HiddenReport;
use super::metrics::{Metric, bootstrap_means, interval, mean, median, quantile};
use crate::model::Scale;
use crate::model::manifest::Accuracy;
use crate::reference::cover::Cover;
use crate::reference::{GeneIndex, Reference, Unit};
use crate::training::folds::Split;

/// The report's schema version.
pub const SCHEMA: u32 = 1;

/// What a report is made from.
#[derive(Debug, Clone, Copy)]
pub struct ReportInput<'a> {
    /// The reference as it was measured.
    pub reference: &'a Reference,
    /// The split whose test genes were scored.
    pub split: &'a Split,
    /// How to report.
    pub settings: &'a EvaluationSettings,
    /// Scores by method, each in the order of the split's test genes.
    pub methods: &'a [MethodScores],
}

/// A comparison of methods on held-out genes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// The report's schema version.
    pub schema: u32,
    /// The dataset's name.
    pub dataset: String,
    /// The dataset's version.
    pub dataset_version: String,
    /// The unit of its values.
    pub unit: Unit,
    /// The chromosomes that the scored genes lie on.
    pub held_out_chromosomes: Vec<String>,
    /// The chromosomes that were kept for calibration.
    pub calibration_chromosomes: Vec<String>,
    /// How many genes methods were fitted to.
    pub training_genes: usize,
    /// How many genes were scored.
    pub genes: usize,
    /// Bootstrap resamples.
    pub resamples: usize,
    /// Seed of bootstrap and controls.
    pub seed: u64,
    /// The tables: all genes first, then groups of genes, then the controls.
    pub groups: Vec<Group>,
    /// Pairs of methods on all genes.
    pub pairs: Vec<Pair>,
    /// Genes of which part of the own tissues is known; absent where that was not asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hidden: Option<HiddenReport>,
}

/// Which genes a table is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "group", rename_all = "snake_case", deny_unknown_fields)]
pub enum GroupKind {
    /// All scored genes.
    All,
    /// Those that are test genes of the minimal vicinity cover at this threshold.
    Threshold {
        /// The largest gap to a reference gene.
        threshold_bp: u32,
    },
    /// Those with or without a known promoter.
    Promoter {
        /// Whether they have one.
        known: bool,
    },
    /// Those of one biotype.
    Biotype {
        /// The biotype.
        biotype: String,
    },
    /// Those of one quarter by mean of log2(1 + x) over tissues, 1 the lowest.
    Level {
        /// 1 to 4.
        quarter: u8,
    },
    /// All scored genes, methods run under a control.
    Control {
        /// The control.
        control: Control,
    },
}

/// A table: every method on one group of genes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Group {
    /// Which genes.
    #[serde(flatten)]
    pub kind: GroupKind,
    /// How many genes.
    pub genes: usize,
    /// One a method, in the order in which they were given.
    pub rows: Vec<Row>,
}

/// A method's accuracy on a group of genes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// The method's name.
    pub method: String,
    /// The scale of its numbers.
    pub scale: Scale,
    /// Error in the dataset's unit (the published metric).
    pub scaled: Summary,
    /// Error in log2(1 + x); absent for a method that gives a shape without a level.
    pub log: Option<Summary>,
    /// Mean over genes of the mean squared error, on the method's scale.
    pub mse: f64,
    /// Predictions that were the same in all tissues; their correlation counts as 0.
    pub constant: usize,
}

/// 1 − Pearson r over tissues, summed up over genes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Summary {
    /// Mean over genes.
    pub mean: f64,
    /// Median over genes.
    pub median: f64,
    /// Bootstrap interval (95 %) of the mean.
    pub interval: [f64; 2],
}

/// Two methods of one scale, gene by gene.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pair {
    /// The method.
    pub method: String,
    /// The one that it is compared with.
    pub against: String,
    /// The scale of both.
    pub scale: Scale,
    /// The metric.
    pub metric: Metric,
    /// Mean over genes of the method's error minus the other's: negative where the method is better.
    pub difference: f64,
    /// Paired bootstrap interval (95 %) of the difference.
    pub interval: [f64; 2],
    /// Genes where the method's error is smaller.
    pub wins: usize,
    /// Genes where it is larger.
    pub losses: usize,
    /// Genes where both are equal.
    pub ties: usize,
    /// Mean error over the other's mean error.
    pub error_ratio: f64,
    /// Mean correlation over the other's mean correlation; absent where the latter is not above 0.
    pub correlation_ratio: Option<f64>,
}

impl Report {
    /// Sums scores up.
    #[must_use]
    pub fn new(input: &ReportInput<'_>) -> Self {
        let ReportInput { reference, split, settings, methods } = *input;
        let names = |list: &[crate::genome::Chromosome]| list.iter().map(|c| c.as_str().to_owned()).collect();
        let plain: Vec<&MethodScores> = methods.iter().filter(|method| method.control.is_none()).collect();
        let mut groups: Vec<Group> = memberships(reference, &split.test, settings)
            .into_iter()
            .map(|(kind, members)| Group { kind, genes: members.len(), rows: rows(&plain, &members, settings) })
            .collect();
        let everyone: Vec<usize> = (0..split.test.len()).collect();
        for control in Control::OF_REFERENCE {
            let controlled: Vec<_> = methods.iter().filter(|method| method.control == Some(control)).collect();
            if !controlled.is_empty() {
                let rows = rows(&controlled, &everyone, settings);
                groups.push(Group { kind: GroupKind::Control { control }, genes: everyone.len(), rows });
            }
        }
        let dataset = reference.dataset();
        Self {
            schema: SCHEMA,
            dataset: dataset.name.clone(),
            dataset_version: dataset.version.clone(),
            unit: dataset.unit,
            held_out_chromosomes: names(&split.held_out_chromosomes),
            calibration_chromosomes: names(&split.calibration_chromosomes),
            training_genes: split.train.len(),
            genes: split.test.len(),
            resamples: settings.resamples,
            seed: settings.seed,
            groups,
            pairs: pairs(&plain, settings),
            hidden: None,
        }
    }

    /// Returns the table of all scored genes.
    #[must_use]
    pub fn overall(&self) -> Option<&Group> {
        self.groups.iter().find(|group| group.kind == GroupKind::All)
    }

    /// Returns the overall table as a model's card keeps it: each method in the metric of its own scale.
    #[must_use]
    pub fn accuracy(&self) -> Vec<Accuracy> {
        let entry = |row: &Row| {
            let own = row.log.unwrap_or(row.scaled);
            Accuracy {
                method: row.method.clone(),
                scale: row.scale,
                genes: self.genes,
                mean_error: own.mean,
                median_error: own.median,
                mean_error_interval: own.interval,
                mse: row.mse,
            }
        };
        self.overall().map_or_else(Vec::new, |group| group.rows.iter().map(entry).collect())
    }
}

/// Sorts the test genes, by their place in the list, into groups; the first is all of them.
pub(super) fn memberships(
    reference: &Reference,
    genes: &[GeneIndex],
    settings: &EvaluationSettings,
) -> Vec<(GroupKind, Vec<usize>)> {
    let where_ = |keep: &dyn Fn(GeneIndex) -> bool| -> Vec<usize> {
        genes.iter().enumerate().filter(|(_, gene)| keep(**gene)).map(|(at, _)| at).collect()
    };
    let mut groups = vec![(GroupKind::All, where_(&|_| true))];
    let neighbours: Vec<GeneIndex> = reference.vicinity().genes().collect();
    for &threshold_bp in &settings.thresholds_bp {
        let cover = Cover::minimal(reference, &neighbours, threshold_bp);
        let mut members: Vec<GeneIndex> = cover.members.iter().map(|member| member.gene).collect();
        members.sort_unstable();
        groups.push((GroupKind::Threshold { threshold_bp }, where_(&|gene| members.binary_search(&gene).is_ok())));
    }
    for known in [true, false] {
        let is_known = |gene| reference.promoter(gene).is_some_and(|promoter| promoter.known() > 0);
        groups.push((GroupKind::Promoter { known }, where_(&|gene| is_known(gene) == known)));
    }
    let mut biotypes: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (at, &gene) in genes.iter().enumerate() {
        if let Some(biotype) = &reference.gene(gene).biotype {
            biotypes.entry(biotype.as_str()).or_default().push(at);
        }
    }
    groups
        .extend(biotypes.into_iter().map(|(name, members)| (GroupKind::Biotype { biotype: name.to_owned() }, members)));
    let level = |gene: &GeneIndex| {
        let logs = Scale::Log2.forward(reference.expression(*gene));
        f64::from(logs.iter().sum::<f32>()) / logs.len().max(1) as f64
    };
    let levels: Vec<f64> = genes.iter().map(level).collect();
    let borders = [0.25, 0.5, 0.75].map(|share| quantile(&levels, share));
    for quarter in 1..=4u8 {
        let own = |level: f64| borders.iter().filter(|border| level > **border).count() + 1 == usize::from(quarter);
        groups.push((GroupKind::Level { quarter }, (0..genes.len()).filter(|&at| own(levels[at])).collect()));
    }
    groups.retain(|(kind, members)| *kind == GroupKind::All || members.len() >= settings.smallest_group.max(1));
    groups
}

/// Returns the metrics that a method has.
fn metrics(scale: Scale) -> &'static [Metric] {
    match scale {
        Scale::MinMax => &[Metric::Scaled],
        Scale::Log2 => &[Metric::Scaled, Metric::Log],
    }
}

/// Returns every method's errors over some genes, one column a method and metric.
fn columns(methods: &[&MethodScores], members: &[usize]) -> Vec<Vec<f64>> {
    let column = |method: &MethodScores, metric| members.iter().map(|&at| method.scores[at].error(metric)).collect();
    methods.iter().flat_map(|method| metrics(method.scale).iter().map(move |metric| column(method, *metric))).collect()
}

fn rows(methods: &[&MethodScores], members: &[usize], settings: &EvaluationSettings) -> Vec<Row> {
    let columns = columns(methods, members);
    let views: Vec<&[f64]> = columns.iter().map(Vec::as_slice).collect();
    let means = bootstrap_means(&views, settings.resamples, settings.seed);
    let mut summaries = columns.iter().zip(&means).map(|(errors, means)| Summary {
        mean: mean(errors),
        median: median(errors),
        interval: interval(means),
    });
    let mut rows = Vec::with_capacity(methods.len());
    for method in methods {
        let own: Vec<Summary> = summaries.by_ref().take(metrics(method.scale).len()).collect();
        let scores = members.iter().map(|&at| &method.scores[at]);
        rows.push(Row {
            method: method.method.clone(),
            scale: method.scale,
            scaled: own[0],
            log: own.get(1).copied(),
            mse: mean(&scores.clone().map(|score| score.mse).collect::<Vec<_>>()),
            constant: scores.filter(|score| score.constant).count(),
        });
    }
    rows
}

/// Compares every method with the named ones of its scale.
fn pairs(methods: &[&MethodScores], settings: &EvaluationSettings) -> Vec<Pair> {
    let mut pairs = Vec::new();
    for name in &settings.against {
        for other in methods.iter().filter(|other| other.method == *name) {
            let same_scale = |method: &&&MethodScores| method.scale == other.scale && method.method != *name;
            for method in methods.iter().filter(same_scale) {
                pairs.extend(metrics(method.scale).iter().map(|metric| pair(method, other, *metric, settings)));
            }
        }
    }
    pairs
}

fn pair(method: &MethodScores, other: &MethodScores, metric: Metric, settings: &EvaluationSettings) -> Pair {
    let errors = |scores: &MethodScores| scores.scores.iter().map(|score| score.error(metric)).collect::<Vec<f64>>();
    let (own, others) = (errors(method), errors(other));
    let differences: Vec<f64> = own.iter().zip(&others).map(|(a, b)| a - b).collect();
    let resampled = bootstrap_means(&[&differences], settings.resamples, settings.seed);
    let (wins, losses) = differences
        .iter()
        .fold((0, 0), |(wins, losses), d| (wins + usize::from(*d < 0.0), losses + usize::from(*d > 0.0)));
    Pair {
        method: method.method.clone(),
        against: other.method.clone(),
        scale: method.scale,
        metric,
        difference: mean(&differences),
        interval: interval(&resampled[0]),
        wins,
        losses,
        ties: differences.len() - wins - losses,
        error_ratio: mean(&own) / mean(&others),
        correlation_ratio: (mean(&others) < 1.0).then(|| (1.0 - mean(&own)) / (1.0 - mean(&others))),
    }
}

#[cfg(test)]
mod tests;
