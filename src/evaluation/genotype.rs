//! Accuracy of expression predicted from genotypes, from predictions for people who were held out.
//!
//! Imports its siblings' arithmetic only. Invariant: every method is scored on the same genes, people and folds, and
//! the same predictions and seed give the same report, byte for byte, in whatever order they were given.

use std::collections::BTreeSet;

pub mod report;
mod rounds;
mod scatter;
pub mod scores;
pub mod summary;
mod table;
pub mod wilcoxon;

pub use report::Report;
pub use rounds::cross_predictions;
pub use scatter::scatter_svg;

/// The split by populations, as [`CrossPredictions::split`] names it.
pub const LEAVE_ONE_POPULATION_OUT: &str = "leave-one-population-out";
/// The method that every other one is compared with.
pub const ELASTIC_NET: &str = "elastic-net";
/// Elastic net with annotations as penalty factors.
pub const ANNOTATED_ELASTIC_NET: &str = "annotated-elastic-net";
/// The network without annotations.
pub const SCALED_CNN: &str = "scaled-cnn";
/// The network with annotations.
pub const ANNOTATED_CNN: &str = "annotated-cnn";

/// The method that the inner folds favour, gene by gene.
pub const SELECTED: &str = "selected";

/// The order of methods in tables; others follow by name.
const ORDER: [&str; 6] =
    [ELASTIC_NET, "elastic-net-bagged", ANNOTATED_ELASTIC_NET, SCALED_CNN, ANNOTATED_CNN, SELECTED];

/// Why predictions cannot be scored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CrossPredictionsError {
    /// There is nothing to score.
    #[error("no {0} to score: a split needs folds, people, genes and methods")]
    Nothing(&'static str),
    /// A list is longer or shorter than what it is a list of.
    #[error("{what} of {owner} has {found} entries, not {expected}: give one for each {each}")]
    Length {
        /// The list.
        what: &'static str,
        /// The gene or method that it belongs to.
        owner: String,
        /// Its entries.
        found: usize,
        /// How many there should be.
        expected: usize,
        /// What each entry is for.
        each: &'static str,
    },
    /// A person is in no fold that has a name.
    #[error("person {person} is in fold {fold}, counted from 0, and only {folds} folds have a name")]
    Fold {
        /// The person's place in the list, from 0.
        person: usize,
        /// The person's fold.
        fold: u8,
        /// How many folds there are.
        folds: usize,
    },
    /// A number cannot be scored.
    #[error("{what} of {owner} for person {person} is not a finite number: leave the gene or the method out")]
    NotFinite {
        /// Which number.
        what: &'static str,
        /// The gene, or the method and gene.
        owner: String,
        /// The person's place in the list, from 0.
        person: usize,
    },
    /// A method's time cannot be reported.
    #[error("the time of {0} is not a finite number: give its seconds")]
    Seconds(String),
    /// One name stands twice.
    #[error("{what} {name} is given twice: give it once")]
    Twice {
        /// What it names.
        what: &'static str,
        /// The name.
        name: String,
    },
}

/// Held-out predictions of one split of the people: outer folds, or one population left out after the other.
#[derive(Debug, Clone, PartialEq)]
pub struct CrossPredictions {
    /// The split's name: `5-fold` or [`LEAVE_ONE_POPULATION_OUT`].
    pub split: String,
    /// The folds' names: `1` to `5`, or the populations'.
    pub fold_names: Vec<String>,
    /// For each person the fold, counted from 0, in which the person was held out.
    pub fold_of_person: Vec<u8>,
    /// What was measured.
    pub genes: Vec<GeneTruth>,
    /// What was predicted.
    pub methods: Vec<MethodPredictions>,
}

/// One gene as it was measured.
#[derive(Debug, Clone, PartialEq)]
pub struct GeneTruth {
    /// The gene's identifier.
    pub name: String,
    /// The gene's symbol.
    pub symbol: Option<String>,
    /// For each person the residual of the fold in which the person was held out; NaN where nothing was measured.
    pub measured: Vec<f64>,
    /// For each person the mean of that fold's training people: what the null model predicts.
    pub null: Vec<f64>,
    /// For each fold whether the gene is heritable, decided on that fold's training people alone.
    pub heritable: Vec<bool>,
}

/// One method's predictions, or those of its run under a control.
#[derive(Debug, Clone, PartialEq)]
pub struct MethodPredictions {
    /// The method's name.
    pub name: String,
    /// The control that it was run under: `permuted annotations`, `permuted expression`; `None` for the method as it is.
    pub control: Option<String>,
    /// For each gene and person the prediction of the model that did not see the person.
    pub predicted: Vec<Vec<f64>>,
    /// How long training and prediction took.
    pub seconds: f64,
}

impl MethodPredictions {
    /// Returns the method's name with its control, for messages.
    #[must_use]
    pub fn label(&self) -> String {
        self.control.as_ref().map_or_else(|| self.name.clone(), |control| format!("{}, {control}", self.name))
    }
}

impl CrossPredictions {
    /// Checks that every list has the length that it should have, and that there is a number wherever one is needed.
    ///
    /// # Errors
    /// Nothing to score, lists of unequal length, an unknown fold, a number that is not finite, a name given twice.
    pub fn check(&self) -> Result<(), CrossPredictionsError> {
        let (folds, people, genes) = (self.fold_names.len(), self.fold_of_person.len(), self.genes.len());
        for (count, what) in [(folds, "fold"), (people, "person"), (genes, "gene"), (self.methods.len(), "method")] {
            if count == 0 {
                return Err(CrossPredictionsError::Nothing(what));
            }
        }
        if let Some(person) = self.fold_of_person.iter().position(|fold| usize::from(*fold) >= folds) {
            let fold = self.fold_of_person[person];
            return Err(CrossPredictionsError::Fold { person, fold, folds });
        }
        unique("fold", self.fold_names.iter().cloned())?;
        unique("gene", self.genes.iter().map(|gene| gene.name.clone()))?;
        unique("method", self.methods.iter().map(MethodPredictions::label))?;
        for gene in &self.genes {
            length("measured expression", &gene.name, gene.measured.len(), people, "person")?;
            length("the training mean", &gene.name, gene.null.len(), people, "person")?;
            length("heritability", &gene.name, gene.heritable.len(), folds, "fold")?;
            finite("measured expression", &gene.measured, gene, || gene.name.clone())?;
            finite("the training mean", &gene.null, gene, || gene.name.clone())?;
        }
        for method in &self.methods {
            length("predictions", &method.label(), method.predicted.len(), genes, "gene")?;
            if !method.seconds.is_finite() {
                return Err(CrossPredictionsError::Seconds(method.label()));
            }
            for (gene, predicted) in self.genes.iter().zip(&method.predicted) {
                let owner = || format!("{} by {}", gene.name, method.label());
                if predicted.len() != people {
                    length("the prediction", &owner(), predicted.len(), people, "person")?;
                }
                finite("the prediction", predicted, gene, owner)?;
            }
        }
        Ok(())
    }
}

fn unique(what: &'static str, names: impl Iterator<Item = String>) -> Result<(), CrossPredictionsError> {
    let mut seen = BTreeSet::new();
    for name in names {
        if !seen.insert(name.clone()) {
            return Err(CrossPredictionsError::Twice { what, name });
        }
    }
    Ok(())
}

fn length(
    what: &'static str,
    owner: &str,
    found: usize,
    expected: usize,
    each: &'static str,
) -> Result<(), CrossPredictionsError> {
    if found == expected {
        return Ok(());
    }
    Err(CrossPredictionsError::Length { what, owner: owner.to_owned(), found, expected, each })
}

/// Checks that there is a number for every person whose expression was measured.
fn finite(
    what: &'static str,
    numbers: &[f64],
    gene: &GeneTruth,
    owner: impl Fn() -> String,
) -> Result<(), CrossPredictionsError> {
    let missing = |(number, measured): (&f64, &f64)| !measured.is_nan() && !number.is_finite();
    match numbers.iter().zip(&gene.measured).position(missing) {
        Some(person) => Err(CrossPredictionsError::NotFinite { what, owner: owner(), person }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
