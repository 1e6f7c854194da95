//! Baselines for partly measured genes: they read what is known of a gene's own tissues and nothing else.
//!
//! Every method that reads [`Target::measured`] is compared with them: what it knows of the surroundings and of the
//! promoter has to show beyond what the gene's own tissues say. On the log scale, for comparisons only: they are not
//! stored. Imports `reference` and its parents. Invariants: with nothing known they answer the mean profile of the
//! fitted genes; a known tissue is answered as it was told.

mod gaussian;
mod low_rank;
mod nearest;

use std::fmt;

use rayon::prelude::*;

pub use gaussian::ConditionalGaussian;
pub use low_rank::LowRank;
pub use nearest::NearestProfiles;

use super::{ModelError, Prediction, ProfileModel, Scale, Target, baseline};
use crate::reference::{GeneIndex, Reference};

/// The baselines that read a gene's own tissues.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OwnTissuesKind {
    /// A Gaussian over tissues, conditioned on the known ones.
    ConditionalGaussian,
    /// The mean of the genes whose known tissues are most alike.
    NearestProfiles,
    /// A soft-thresholded singular value decomposition of the table.
    LowRank,
}

impl OwnTissuesKind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::ConditionalGaussian, Self::NearestProfiles, Self::LowRank];

    /// Returns the name that tables use, such as `low-rank`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ConditionalGaussian => "conditional-gaussian",
            Self::NearestProfiles => "nearest-profiles",
            Self::LowRank => "low-rank",
        }
    }

    /// Returns one sentence for people.
    #[must_use]
    pub const fn description(self) -> &'static str {
        match self {
            Self::ConditionalGaussian => {
                "The training genes' mean and covariance over tissues, conditioned on the gene's known tissues."
            }
            Self::NearestProfiles => {
                "The mean of the 20 training genes that are nearest over the gene's known tissues."
            }
            Self::LowRank => {
                "A soft-thresholded singular value decomposition of the training table, to whose factors the gene's \
                 known tissues are fitted."
            }
        }
    }
}

impl fmt::Display for OwnTissuesKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The table that the baselines are fitted to.
#[derive(Debug, Clone, PartialEq)]
pub struct ProfileTable {
    /// The tissues, by identifier, in order.
    pub tissues: Vec<String>,
    /// The genes.
    pub genes: Vec<GeneIndex>,
    /// Tissues × genes on the log scale, one tissue after another.
    pub log2: Vec<f32>,
    /// The mean by tissue.
    pub mean: Vec<f64>,
}

/// Where a gene is known and where it is not.
#[derive(Debug, Clone, PartialEq, Default)]
struct Known {
    /// The known tissues.
    tissues: Vec<usize>,
    /// Their values on the log scale.
    log2: Vec<f32>,
    /// The other tissues.
    hidden: Vec<usize>,
}

impl Known {
    fn of(target: &Target, tissues: usize) -> Self {
        let mut known = Self::default();
        for tissue in 0..tissues {
            match target.measured.get(tissue).filter(|value| value.is_finite()) {
                Some(value) => {
                    known.tissues.push(tissue);
                    known.log2.push((1.0 + value.max(0.0)).log2());
                }
                None => known.hidden.push(tissue),
            }
        }
        known
    }

    /// Puts the known values where they belong.
    fn restore(&self, profile: &mut [f32]) {
        self.tissues.iter().zip(&self.log2).for_each(|(tissue, value)| profile[*tissue] = *value);
    }
}

/// What one of the baselines says of a gene.
trait FromOwnTissues: Send + Sync {
    /// The tissues, by identifier.
    fn tissues(&self) -> &[String];

    /// The mean profile.
    fn mean(&self) -> &[f64];

    /// Returns a profile and its spread for a gene with at least one known and one hidden tissue; what is said of
    /// known tissues does not count.
    fn fill(&self, target: &Target, known: &Known) -> Option<(Vec<f32>, Vec<f32>)>;

    /// Returns the spread of a gene of which nothing is known.
    fn spread_of_mean(&self) -> Vec<f32> {
        Vec::new()
    }
}

/// Answers all targets, several at once.
fn answer(
    model: &dyn FromOwnTissues,
    reference: &Reference,
    targets: &[Target],
) -> Result<Vec<Prediction>, ModelError> {
    baseline::check_tissues(model.tissues(), reference.tissues())?;
    let one = |target: &Target| {
        let known = Known::of(target, model.tissues().len());
        let (mut values, spread) = if known.tissues.is_empty() || known.hidden.is_empty() {
            (model.mean().iter().map(|mean| *mean as f32).collect(), model.spread_of_mean())
        } else {
            model.fill(target, &known).ok_or(ModelError::NotFinite)?
        };
        known.restore(&mut values);
        let finite = values.iter().chain(&spread).all(|value| value.is_finite());
        if finite { Ok(Prediction { values, spread, references: Vec::new() }) } else { Err(ModelError::NotFinite) }
    };
    targets.par_iter().map(one).collect()
}

/// Makes a profile model of each baseline.
macro_rules! profile_model {
    ($($model:ty),*) => {$(
        impl ProfileModel for $model {
            fn scale(&self) -> Scale {
                Scale::Log2
            }

            fn reads_measured(&self) -> bool {
                true
            }

            fn predict(&self, reference: &Reference, targets: &[Target]) -> Result<Vec<Prediction>, ModelError> {
                answer(self, reference, targets)
            }
        }
    )*};
}

profile_model!(ConditionalGaussian, NearestProfiles, LowRank);

#[cfg(test)]
mod tests;
