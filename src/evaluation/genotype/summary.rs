//! Scores summed up over genes, and the differences of methods gene by gene.
//!
//! Imports its siblings and the bootstrap. Invariant: an empty set of genes has no summary; every interval of a report
//! comes from the same draws of genes.

use serde::{Deserialize, Serialize};

use super::scores::{GeneScores, Scores};
use super::wilcoxon::signed_rank;
use crate::evaluation::metrics::{bootstrap_means, interval, mean, median, quantile};

/// Two scores of a gene that differ by less are equal: neither method wins.
pub const TIE: f64 = 1e-9;
/// Genes with a mean correlation above these are counted.
pub const R_ABOVE: [f64; 3] = [0.1, 0.2, 0.3];
/// Genes with a squared correlation above these are counted.
pub const R2_ABOVE: [f64; 5] = [0.05, 0.1, 0.2, 0.3, 0.5];

/// Which genes a number is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GeneSet {
    /// All genes, scored over all folds.
    All,
    /// Genes heritable in at least one fold, scored over those folds only.
    Heritable,
}

impl GeneSet {
    /// Both of them.
    pub const ALL: [Self; 2] = [Self::All, Self::Heritable];

    /// Returns the gene's scores if it belongs to the set.
    const fn of(self, scores: &GeneScores) -> Option<Scores> {
        match self {
            Self::All => Some(scores.all),
            Self::Heritable => scores.heritable,
        }
    }
}

/// A score that methods are compared by; larger is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Score {
    /// Mean over folds of Pearson's r.
    R,
    /// 1 − RSS / TSS.
    Rsq,
}

impl Score {
    /// Both of them.
    pub const ALL: [Self; 2] = [Self::R, Self::Rsq];

    const fn of(self, scores: &Scores) -> f64 {
        match self {
            Self::R => scores.r,
            Self::Rsq => scores.rsq,
        }
    }
}

/// Scores summed up over genes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Summary {
    /// How many genes.
    pub genes: usize,
    /// Mean r.
    pub mean_r: f64,
    /// Bootstrap interval (95 %) of the mean r.
    pub mean_r_interval: [f64; 2],
    /// Median r.
    pub median_r: f64,
    /// Interval (95 %) of the median r, from order statistics: what bootstrapping a median tends to.
    pub median_r_interval: [f64; 2],
    /// Mean r².
    pub mean_r2: f64,
    /// Mean of 1 − RSS / TSS.
    pub mean_rsq: f64,
    /// Bootstrap interval (95 %) of that.
    pub mean_rsq_interval: [f64; 2],
    /// Median of 1 − RSS / TSS.
    pub median_rsq: f64,
    /// Genes by r.
    pub r_above: Vec<Above>,
    /// Genes by r².
    pub r2_above: Vec<Above>,
}

/// A count of genes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Above {
    /// The score that they exceed.
    pub above: f64,
    /// How many do.
    pub genes: usize,
}

/// Differences gene by gene, summed up.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Difference {
    /// Mean over genes: positive where the first is better.
    pub mean: f64,
    /// Paired bootstrap interval (95 %) of the mean.
    pub interval: [f64; 2],
    /// Genes with a positive difference.
    pub wins: usize,
    /// Genes with a negative one.
    pub losses: usize,
    /// Genes with none, to [`TIE`].
    pub ties: usize,
    /// Rank-biserial correlation of the differences, −1 to 1: the share of ranks won minus the share lost.
    pub rank_effect: f64,
    /// Two-sided p of Wilcoxon's signed-rank test over genes.
    pub p: f64,
}

/// How genes are drawn for intervals: every number of a report from the same draws.
#[derive(Clone, Copy)]
pub(super) struct Bootstrap {
    pub(super) resamples: usize,
    pub(super) seed: u64,
}

/// Every set of genes with every score.
pub(super) fn questions() -> impl Iterator<Item = (GeneSet, Score)> {
    GeneSet::ALL.into_iter().flat_map(|set| Score::ALL.into_iter().map(move |score| (set, score)))
}

/// Returns a score of each gene of a set.
fn column(scores: &[GeneScores], set: GeneSet, score: impl Fn(&Scores) -> f64) -> Vec<f64> {
    scores.iter().filter_map(|gene| set.of(gene)).map(|scores| score(&scores)).collect()
}

/// Returns the signed sum of several methods' scores, gene by gene.
pub(super) fn combined(methods: &[(&[GeneScores], f64)], set: GeneSet, score: Score) -> Vec<f64> {
    let mut sums: Vec<f64> = Vec::new();
    for (scores, sign) in methods {
        let own = column(scores, set, |scores| sign * score.of(scores));
        if sums.is_empty() {
            sums = own;
        } else {
            sums.iter_mut().zip(own).for_each(|(sum, own)| *sum += own);
        }
    }
    sums
}

impl Difference {
    /// Sums differences up; `None` without genes.
    pub(super) fn new(differences: &[f64], bootstrap: Bootstrap) -> Option<Self> {
        if differences.is_empty() {
            return None;
        }
        let resampled = bootstrap_means(&[differences], bootstrap.resamples, bootstrap.seed);
        let wins = differences.iter().filter(|difference| **difference >= TIE).count();
        let losses = differences.iter().filter(|difference| **difference <= -TIE).count();
        let test = signed_rank(differences, TIE);
        Some(Self {
            mean: mean(differences),
            interval: interval(&resampled[0]),
            wins,
            losses,
            ties: differences.len() - wins - losses,
            rank_effect: test.effect,
            p: test.p,
        })
    }
}

impl Summary {
    /// Sums the scores of a set of genes up; `None` where it is empty.
    pub(super) fn new(scores: &[GeneScores], set: GeneSet, bootstrap: Bootstrap) -> Option<Self> {
        let scored = |score: fn(&Scores) -> f64| column(scores, set, score);
        let (r, r2, rsq) = (scored(|gene| gene.r), scored(|gene| gene.r2), scored(|gene| gene.rsq));
        if r.is_empty() {
            return None;
        }
        let resampled = bootstrap_means(&[&r, &rsq], bootstrap.resamples, bootstrap.seed);
        // The count of genes below the median is binomial: two standard deviations of it, as a share of the genes.
        let reach = 1.96 * 0.5 / (r.len() as f64).sqrt();
        let count = |values: &[f64], above: f64| values.iter().filter(|value| **value > above).count();
        Some(Self {
            genes: r.len(),
            mean_r: mean(&r),
            mean_r_interval: interval(&resampled[0]),
            median_r: median(&r),
            median_r_interval: [quantile(&r, 0.5 - reach), quantile(&r, 0.5 + reach)],
            mean_r2: mean(&r2),
            mean_rsq: mean(&rsq),
            mean_rsq_interval: interval(&resampled[1]),
            median_rsq: median(&rsq),
            r_above: R_ABOVE.iter().map(|&above| Above { above, genes: count(&r, above) }).collect(),
            r2_above: R2_ABOVE.iter().map(|&above| Above { above, genes: count(&r2, above) }).collect(),
        })
    }
}
