//! Rounds: who is learned from and who is predicted, and under which control.

use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};

use super::Plan;
use crate::training::cohort::Cohort;
use crate::training::cohort::people::{balanced_folds, populations};
use crate::training::init::generator;

/// A negative control.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Control {
    /// Within each gene, variants have each other's annotations.
    PermutedAnnotations,
    /// People have each other's expression, within their populations.
    PermutedExpression,
}

impl Control {
    /// Returns the name as reports have it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PermutedAnnotations => "permuted annotations",
            Self::PermutedExpression => "permuted expression",
        }
    }
}

/// People to learn from, and people to predict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Round {
    /// The round's name: `fold-1`…, `without-FIN`…, `everybody`.
    pub name: String,
    /// The people to learn from, ascending.
    pub learns: Vec<usize>,
    /// The people that are held out, ascending.
    pub held_out: Vec<usize>,
    /// The control that the round is run under.
    pub control: Option<Control>,
}

impl Round {
    /// Returns the rounds of the outer folds, every population spread evenly over them.
    #[must_use]
    pub fn folds(cohort: &Cohort, plan: &Plan, control: Option<Control>) -> Vec<Self> {
        let everybody: Vec<usize> = (0..cohort.people.len()).collect();
        let folds = balanced_folds(&cohort.people, &everybody, plan.outer_folds, plan.seed);
        let round = |fold: usize| {
            let (held_out, learns) = everybody.iter().partition(|person| usize::from(folds[**person]) == fold);
            Self { name: format!("fold-{}", fold + 1), learns, held_out, control }
        };
        (0..plan.outer_folds).map(round).collect()
    }

    /// Returns a round for each population, which is held out whole; none where there are fewer than two.
    #[must_use]
    pub fn populations(cohort: &Cohort) -> Vec<Self> {
        let populations = populations(&cohort.people);
        if populations.len() < 2 {
            return Vec::new();
        }
        let round = |(name, held_out): (_, &Vec<usize>)| {
            let learns = (0..cohort.people.len()).filter(|person| !held_out.contains(person)).collect();
            Self { name: format!("without-{name}"), learns, held_out: held_out.clone(), control: None }
        };
        populations.iter().map(round).collect()
    }

    /// Returns the round that learns from everybody: its models are served.
    #[must_use]
    pub fn everybody(cohort: &Cohort) -> Self {
        let learns = (0..cohort.people.len()).collect();
        Self { name: "everybody".to_owned(), learns, held_out: Vec::new(), control: None }
    }

    /// Returns the name as a fold of a split: `1`…, or the population that is left out.
    #[must_use]
    pub fn fold_name(&self) -> &str {
        ["fold-", "without-"].iter().find_map(|prefix| self.name.strip_prefix(prefix)).unwrap_or(&self.name)
    }

    pub(super) fn key(&self) -> String {
        match self.control {
            None => self.name.clone(),
            Some(control) => format!("{}.{}", self.name, control.as_str().replace(' ', "-")),
        }
    }
}

/// Whose expression each person has: shuffled within populations, so that differences between them stay.
pub(super) fn permuted(cohort: &Cohort, seed: u64) -> Vec<usize> {
    let mut order: Vec<usize> = (0..cohort.people.len()).collect();
    let mut rng = generator(seed, "permuted expression");
    let mut groups = populations(&cohort.people);
    let placed: Vec<usize> = groups.values().flatten().copied().collect();
    let others: Vec<usize> = order.iter().copied().filter(|person| !placed.contains(person)).collect();
    groups.insert("".into(), others);
    for people in groups.values() {
        let mut shuffled = people.clone();
        shuffled.shuffle(&mut rng);
        people.iter().zip(shuffled).for_each(|(person, other)| order[*person] = other);
    }
    order
}
