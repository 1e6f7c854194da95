//! The comparison of genotype models: each over all and over heritable genes, pair by pair, and what annotation adds.
//!
//! Imports its siblings only. Invariant: genes, methods and pairs are sorted, so that the same predictions and seed
//! give the same report, byte for byte; a number that does not exist is absent, never 0.

use std::fmt::Write;

use serde::{Deserialize, Serialize};

use super::scores::{GeneScores, Scores, people_by_fold, score};
use super::summary::{Bootstrap, Difference, GeneSet, Score, Summary, combined, questions};
use super::{
    ANNOTATED_CNN, ANNOTATED_ELASTIC_NET, CrossPredictions, CrossPredictionsError, ELASTIC_NET, ORDER, SCALED_CNN,
};
use crate::evaluation::metrics::mean;

/// The report's schema version.
pub const SCHEMA: u32 = 1;

/// A comparison of methods on one split of the people.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// The report's schema version.
    pub schema: u32,
    /// The split's name.
    pub split: String,
    /// The folds.
    pub folds: Vec<Fold>,
    /// How many people were predicted.
    pub people: usize,
    /// How many genes were scored.
    pub genes: usize,
    /// How many of them are heritable in at least one fold, going by that fold's training people.
    pub heritable_genes: usize,
    /// Bootstrap resamples over genes.
    pub resamples: usize,
    /// The bootstrap's seed.
    pub seed: u64,
    /// Every method, each followed by its runs under a control.
    pub methods: Vec<MethodSummary>,
    /// Methods against others, gene by gene.
    pub pairs: Vec<Pair>,
    /// What annotation adds to the network beyond what it adds to elastic net; empty unless all four methods ran.
    pub annotation: Vec<AnnotationEffect>,
    /// Scores gene by gene, one list a method, in the methods' order; they are kept as a table, not in the JSON.
    #[serde(skip)]
    scores: Vec<Vec<GeneScores>>,
}

/// One fold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fold {
    /// Its name: a number, or the population that was left out.
    pub name: String,
    /// How many people were held out.
    pub people: usize,
    /// How many genes are heritable among its training people.
    pub heritable_genes: usize,
}

/// One method, or its run under a control.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MethodSummary {
    /// The method's name.
    pub method: String,
    /// The control that it was run under.
    pub control: Option<String>,
    /// How long training and prediction took.
    pub seconds: f64,
    /// Genes for which everyone in a fold has the same prediction, in every fold; their r counts as 0.
    pub constant: usize,
    /// Over all genes.
    pub all: Summary,
    /// Over heritable genes; absent where there is none.
    pub heritable: Option<Summary>,
    /// Fold by fold, in the folds' order.
    pub by_fold: Vec<FoldSummary>,
    /// Genes by the number of folds in which they are heritable.
    pub by_heritable_folds: Vec<HeritableFoldsSummary>,
}

/// A method in one fold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FoldSummary {
    /// The fold's name.
    pub fold: String,
    /// Mean r within the fold over all genes; absent in a fold of too few people.
    pub mean_r: Option<f64>,
    /// The same over the genes that are heritable in this fold; absent where there is none.
    pub heritable_mean_r: Option<f64>,
}

/// A method on the genes that are heritable in so many folds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeritableFoldsSummary {
    /// In how many folds the genes are heritable.
    pub heritable_folds: usize,
    /// How many genes.
    pub genes: usize,
    /// Their mean r over all folds.
    pub mean_r: f64,
}

/// A method against another.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pair {
    /// The method.
    pub method: String,
    /// The control that it was run under.
    pub control: Option<String>,
    /// The method that it is compared with, never under a control; the same one for a control.
    pub against: String,
    /// Which genes.
    pub set: GeneSet,
    /// The score.
    pub score: Score,
    /// The method's score minus the other's.
    pub difference: Difference,
}

/// What annotation adds to the network, and to elastic net.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AnnotationEffect {
    /// Which genes.
    pub set: GeneSet,
    /// The score.
    pub score: Score,
    /// The annotated network's score minus the network's.
    pub network: Difference,
    /// Annotated elastic net's score minus elastic net's.
    pub elastic_net: Difference,
    /// The former minus the latter: positive where annotation helps the network more.
    pub network_minus_elastic_net: Difference,
}

impl Report {
    /// Scores every method and sums the scores up, with `resamples` (at least one) over genes.
    ///
    /// # Errors
    /// The predictions do not fit each other ([`CrossPredictions::check`]).
    pub fn try_new(input: &CrossPredictions, resamples: usize, seed: u64) -> Result<Self, CrossPredictionsError> {
        input.check()?;
        let mut genes: Vec<usize> = (0..input.genes.len()).collect();
        genes.sort_by_key(|&gene| &input.genes[gene].name);
        let mut methods: Vec<_> = input.methods.iter().collect();
        methods.sort_by_key(|method| {
            let rank = ORDER.iter().position(|known| *known == method.name).unwrap_or(ORDER.len());
            (rank, &method.name, &method.control)
        });
        let scores: Vec<Vec<GeneScores>> = methods.iter().map(|method| score(input, method, &genes)).collect();
        let bootstrap = Bootstrap { resamples: resamples.max(1), seed };
        let people = people_by_fold(input);
        let fold = |(at, name): (usize, &String)| Fold {
            name: name.clone(),
            people: people[at].len(),
            heritable_genes: input.genes.iter().filter(|gene| gene.heritable[at]).count(),
        };
        let folds: Vec<Fold> = input.fold_names.iter().enumerate().map(fold).collect();
        let heritable: Vec<Vec<bool>> = genes.iter().map(|&gene| input.genes[gene].heritable.clone()).collect();
        let summaries = methods.iter().zip(&scores).map(|(method, scores)| {
            Ok(MethodSummary {
                method: method.name.clone(),
                control: method.control.clone(),
                seconds: method.seconds,
                constant: scores.iter().filter(|gene| gene.constant).count(),
                all: Summary::new(scores, GeneSet::All, bootstrap).ok_or(CrossPredictionsError::Nothing("gene"))?,
                heritable: Summary::new(scores, GeneSet::Heritable, bootstrap),
                by_fold: by_fold(scores, &folds, &heritable),
                by_heritable_folds: by_heritable_folds(scores, folds.len()),
            })
        });
        let summaries = summaries.collect::<Result<Vec<_>, _>>()?;
        let mut report = Self {
            schema: SCHEMA,
            split: input.split.clone(),
            people: input.fold_of_person.len(),
            genes: genes.len(),
            heritable_genes: heritable.iter().filter(|folds| folds.contains(&true)).count(),
            resamples: bootstrap.resamples,
            seed,
            methods: summaries,
            folds,
            pairs: Vec::new(),
            annotation: Vec::new(),
            scores,
        };
        report.pairs = report.pairs(bootstrap);
        report.annotation = report.annotation(bootstrap);
        Ok(report)
    }

    /// Returns a method's scores gene by gene, sorted by gene; `None` for an unknown method or a report read back.
    #[must_use]
    pub fn gene_scores(&self, method: &str, control: Option<&str>) -> Option<&[GeneScores]> {
        let own = |summary: &MethodSummary| summary.method == method && summary.control.as_deref() == control;
        self.scores.get(self.methods.iter().position(own)?).map(Vec::as_slice)
    }

    /// Returns the report as JSON, without the scores gene by gene.
    ///
    /// # Panics
    /// Never: the report holds numbers, text and lists.
    #[must_use]
    #[expect(clippy::expect_used, reason = "a plain structure with names for keys always serialises")]
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("a report of numbers and names is JSON") + "\n"
    }

    /// Returns all scores gene by gene as a tab-separated table with a heading: one row a method and gene.
    ///
    /// `r`, `r2`, `rsq` and `pooled_r` are over all folds; the columns that begin with `heritable_` are over the
    /// folds in which the gene is heritable, and empty for a gene that never is.
    #[must_use]
    pub fn to_tsv(&self) -> String {
        let mut text = "gene\tsymbol\tmethod\tcontrol\tsplit\theritable_folds\tr\tr2\trsq\tpooled_r\theritable_r\t\
                        heritable_r2\theritable_rsq\n"
            .to_owned();
        let clean = |field: &str| field.replace(['\t', '\n', '\r'], " ");
        for (method, scores) in self.methods.iter().zip(&self.scores) {
            let control = method.control.as_deref().unwrap_or_default();
            let [name, control, split] = [&method.method, control, &self.split].map(clean);
            for gene in scores {
                let [id, symbol] = [&gene.gene, gene.symbol.as_deref().unwrap_or_default()].map(clean);
                let Scores { r, pooled_r, r2, rsq } = gene.all;
                let folds = gene.heritable_folds;
                let _ = write!(
                    text,
                    "{id}\t{symbol}\t{name}\t{control}\t{split}\t{folds}\t{r:.6}\t{r2:.6}\t{rsq:.6}\t{pooled_r:.6}"
                );
                match gene.heritable {
                    Some(Scores { r, r2, rsq, .. }) => {
                        let _ = writeln!(text, "\t{r:.6}\t{r2:.6}\t{rsq:.6}");
                    }
                    None => text.push_str("\t\t\t\n"),
                }
            }
        }
        text
    }

    /// Returns a scatter plot for each other method without control: the genes' r against those by elastic net.
    ///
    /// Each comes with its method's name. There is none without elastic net.
    #[must_use]
    pub fn scatters(&self) -> Vec<(String, String)> {
        let Some(reference) = self.gene_scores(ELASTIC_NET, None) else { return Vec::new() };
        let r = |scores: &[GeneScores]| scores.iter().map(|gene| gene.all.r).collect::<Vec<f64>>();
        let name = |gene: &GeneScores| gene.symbol.as_ref().unwrap_or(&gene.gene).clone();
        let (x, names) = (r(reference), reference.iter().map(name).collect::<Vec<_>>());
        let others = self.methods.iter().zip(&self.scores);
        others
            .filter(|(method, _)| method.control.is_none() && method.method != ELASTIC_NET)
            .map(|(method, scores)| {
                let svg = super::scatter_svg((ELASTIC_NET, &x), (&method.method, &r(scores)), &names);
                (method.method.clone(), svg)
            })
            .collect()
    }

    /// Compares each method with elastic net, the annotated ones with their like, and each control with its method.
    fn pairs(&self, bootstrap: Bootstrap) -> Vec<Pair> {
        let mut pairs = Vec::new();
        for (method, own) in self.methods.iter().zip(&self.scores) {
            let against: &[&str] = match (&method.control, method.method.as_str()) {
                (Some(_), name) => &[name],
                (None, ELASTIC_NET) => &[],
                (None, ANNOTATED_CNN) => &[ELASTIC_NET, ANNOTATED_ELASTIC_NET, SCALED_CNN],
                (None, _) => &[ELASTIC_NET],
            };
            for &against in against {
                let Some(others) = self.gene_scores(against, None) else { continue };
                for (set, score) in questions() {
                    let signed = [(own.as_slice(), 1.0), (others, -1.0)];
                    let Some(difference) = Difference::new(&combined(&signed, set, score), bootstrap) else { continue };
                    let (method, control) = (method.method.clone(), method.control.clone());
                    pairs.push(Pair { method, control, against: against.to_owned(), set, score, difference });
                }
            }
        }
        pairs
    }

    fn annotation(&self, bootstrap: Bootstrap) -> Vec<AnnotationEffect> {
        let names = [ANNOTATED_CNN, SCALED_CNN, ANNOTATED_ELASTIC_NET, ELASTIC_NET];
        let [Some(network), Some(bare_network), Some(linear), Some(bare_linear)] =
            names.map(|name| self.gene_scores(name, None))
        else {
            return Vec::new();
        };
        let effect = |(set, score)| {
            let signed = [(network, 1.0), (bare_network, -1.0), (linear, -1.0), (bare_linear, 1.0)];
            Some(AnnotationEffect {
                set,
                score,
                network: Difference::new(&combined(&signed[..2], set, score), bootstrap)?,
                elastic_net: Difference::new(&combined(&[(linear, 1.0), (bare_linear, -1.0)], set, score), bootstrap)?,
                network_minus_elastic_net: Difference::new(&combined(&signed, set, score), bootstrap)?,
            })
        };
        questions().filter_map(effect).collect()
    }
}

fn by_fold(scores: &[GeneScores], folds: &[Fold], heritable: &[Vec<bool>]) -> Vec<FoldSummary> {
    let known_mean = |values: Vec<f64>| (!values.is_empty()).then(|| mean(&values));
    let one = |(at, fold): (usize, &Fold)| {
        let own = || scores.iter().zip(heritable).filter_map(move |(gene, in_)| Some((gene.r_by_fold[at]?, in_[at])));
        FoldSummary {
            fold: fold.name.clone(),
            mean_r: known_mean(own().map(|(r, _)| r).collect()),
            heritable_mean_r: known_mean(own().filter(|(_, heritable)| *heritable).map(|(r, _)| r).collect()),
        }
    };
    folds.iter().enumerate().map(one).collect()
}

fn by_heritable_folds(scores: &[GeneScores], folds: usize) -> Vec<HeritableFoldsSummary> {
    let one = |heritable_folds| {
        let own = scores.iter().filter(|gene| gene.heritable_folds == heritable_folds);
        let r: Vec<f64> = own.map(|gene| gene.all.r).collect();
        (!r.is_empty()).then(|| HeritableFoldsSummary { heritable_folds, genes: r.len(), mean_r: mean(&r) })
    };
    (0..=folds).filter_map(one).collect()
}
