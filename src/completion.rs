//! Completing a gene's profile: what was measured stays, the rest is imputed, and what cannot be imputed says why.
//!
//! The one place that decides what is asked of a model and how its answer is joined with what was measured: the service
//! and the command line both stand on it. Imports `genome`, `reference` and `model`. Invariants: a measured value is
//! never changed; every tissue of the dataset comes once; what is not known is `None`, never 0.

pub mod batch;
pub mod matrix;
pub mod output;
pub mod table;

use std::collections::HashSet;
use std::sync::Arc;

use serde::Serialize;

use crate::genome::Chromosome;
use crate::model::served::{ImputedProfile, ServedModel};
use crate::model::{Target, min_max};
use crate::reference::Reference;

/// Where a tissue's value comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// It was measured.
    Measured,
    /// The model imputed it.
    Imputed,
    /// There is no value.
    Unknown,
}

impl Source {
    /// Every source.
    pub const ALL: [Self; 3] = [Self::Measured, Self::Imputed, Self::Unknown];

    /// Returns the name that answers and files use.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Measured => "measured",
            Self::Imputed => "imputed",
            Self::Unknown => "unknown",
        }
    }
}

/// One tissue of a completed profile.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cell {
    /// Where the value comes from.
    pub source: Source,
    /// The value in the dataset's unit; `None` where only the shape is known, or nothing.
    pub value: Option<f32>,
    /// The interval's lower end; `None` for measured values.
    pub lower: Option<f32>,
    /// The interval's upper end; `None` for measured values.
    pub upper: Option<f32>,
    /// 0 at the gene's lowest tissue, 1 at its highest.
    pub relative: Option<f32>,
}

impl Cell {
    /// Returns how wide the interval is, (1 + upper) ÷ (1 + lower): 1 would be certain, 4 means that the upper end is
    /// four times the lower one; `None` where there is no interval.
    #[must_use]
    pub fn fold_range(&self) -> Option<f32> {
        fold_range(self.lower, self.upper)
    }
}

/// Returns (1 + upper) ÷ (1 + lower) of an interval; see [`Cell::fold_range`].
#[must_use]
pub fn fold_range(lower: Option<f32>, upper: Option<f32>) -> Option<f32> {
    let (lower, upper) = lower.zip(upper)?;
    Some((1.0 + upper) / (1.0 + lower))
}

/// Returns the median of numbers, the mean of the middle two where their count is even; `None` of none.
#[must_use]
pub fn median(numbers: impl Iterator<Item = f32>) -> Option<f32> {
    let mut sorted: Vec<f32> = numbers.collect();
    sorted.sort_unstable_by(f32::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        odd if odd % 2 == 1 => Some(sorted[middle]),
        _ => Some(f32::midpoint(sorted[middle - 1], sorted[middle])),
    }
}

/// Joins what was measured, NaN where nothing was, with what was imputed: one cell a tissue, in the dataset's order.
///
/// With levels everywhere one relative scale spans the whole profile; where imputed tissues have no level, they and the
/// measured ones are each on a scale of their own.
#[must_use]
pub fn join(measured: &[f32], imputed: Option<&ImputedProfile>) -> Vec<Cell> {
    let guess = |at: usize| imputed.and_then(|profile| profile.tissues.get(at).copied().flatten());
    let cell = |(at, value): (usize, &f32)| match guess(at) {
        _ if value.is_finite() => {
            Cell { source: Source::Measured, value: Some(*value), lower: None, upper: None, relative: None }
        }
        Some(guess) => Cell {
            source: Source::Imputed,
            value: guess.value,
            lower: guess.lower,
            upper: guess.upper,
            relative: Some(guess.relative),
        },
        None => Cell { source: Source::Unknown, value: None, lower: None, upper: None, relative: None },
    };
    let mut cells: Vec<Cell> = measured.iter().enumerate().map(cell).collect();
    let shape = min_max(&cells.iter().map(|one| one.value.unwrap_or(f32::NAN)).collect::<Vec<_>>());
    for (one, relative) in cells.iter_mut().zip(shape) {
        one.relative = if relative.is_finite() { Some(relative) } else { one.relative };
    }
    cells
}

/// Why nothing is imputed of a gene that lacks values.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum NotImputed {
    /// There is no model.
    #[error("no model that fits the dataset is loaded: nothing is imputed")]
    NoModel,
    /// The annotation does not place the gene.
    #[error("the annotation has no place for this gene: nothing is imputed")]
    NoPlace,
    /// No gene of the chromosome has a measured profile.
    #[error("the dataset has no measured gene on {0}: nothing is imputed")]
    LonelyChromosome(Chromosome),
    /// The model found no gene that it could read.
    #[error("the dataset has no measured gene near this one that the model could read")]
    NoNeighbour,
}

/// Where the imputed values of a gene come from.
#[derive(Debug, Clone, PartialEq)]
pub enum Plan {
    /// Every tissue was measured: nothing is to be imputed.
    Nothing,
    /// Nothing can be imputed.
    Cannot(NotImputed),
    /// It was imputed before.
    Recalled(Arc<ImputedProfile>),
    /// The model is to be asked this.
    Ask(Box<Target>),
}

/// Which chromosomes have a gene with a measured shape: elsewhere a model has no neighbour to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reach(HashSet<Chromosome>);

impl Reach {
    /// Looks at a dataset in the model's tissues.
    #[must_use]
    pub fn of(reference: &Reference) -> Self {
        let shaped = (0..reference.genes().len()).filter(|gene| reference.has_shape(*gene));
        let place = |gene| reference.gene(gene).locus.as_ref().map(|locus| locus.chromosome.clone());
        Self(shaped.filter_map(place).collect())
    }

    /// Returns what is to be done for a gene with these measured values, one a tissue of the dataset, NaN where nothing
    /// is known.
    ///
    /// `recalled` gives what was imputed of it before, `target` is `None` for a gene without a place.
    #[must_use]
    pub fn plan(
        &self,
        (model, dataset): (&ServedModel, &Reference),
        measured: &[f32],
        recalled: impl FnOnce() -> Option<Arc<ImputedProfile>>,
        target: impl FnOnce() -> Option<Target>,
    ) -> Plan {
        if !measured.iter().any(|value| value.is_nan()) {
            return Plan::Nothing;
        }
        if let Some(profile) = recalled() {
            return Plan::Recalled(profile);
        }
        match self.target(model, dataset, target(), measured) {
            Ok(target) => Plan::Ask(Box::new(target)),
            Err(reason) => Plan::Cannot(reason),
        }
    }

    /// The target with what the model may read of the gene's own tissues.
    fn target(
        &self,
        model: &ServedModel,
        dataset: &Reference,
        target: Option<Target>,
        measured: &[f32],
    ) -> Result<Target, NotImputed> {
        let target = target.ok_or(NotImputed::NoPlace)?;
        if !self.0.contains(&target.locus.chromosome) {
            return Err(NotImputed::LonelyChromosome(target.locus.chromosome));
        }
        if !model.reads_measured_of(dataset) {
            return Ok(target);
        }
        Ok(target.with_measured(&model.measured_for(dataset, measured)))
    }
}

/// Returns why a model's imputed tissues have a shape and no value in a dataset, or `None` where they have values.
#[must_use]
pub fn shape_only(model: &ServedModel, dataset: &Reference) -> Option<String> {
    let unit = dataset.dataset().unit;
    if model.has_level_in(dataset) {
        None
    } else if model.card.unit == unit {
        Some("the model predicts relative shapes only: imputed tissues have no value".to_owned())
    } else {
        Some(format!(
            "the model learned from {}, the dataset is in {unit}: imputed tissues have a relative shape and no value",
            model.card.unit
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::served::ImputedValue;

    pub(super) fn imputed(values: &[Option<(Option<f32>, f32)>]) -> ImputedProfile {
        let value = |(value, relative): (Option<f32>, f32)| ImputedValue {
            value,
            lower: value.map(|x| x / 2.0),
            upper: value.map(|x| x * 2.0),
            relative,
        };
        let tissues = values.iter().map(|one| one.map(value)).collect();
        ImputedProfile { tissues, references: Vec::new(), known_tissues: 0 }
    }

    #[test]
    fn measured_values_stay_and_the_rest_is_imputed_or_unknown() {
        let nan = f32::NAN;
        let profile = imputed(&[Some((Some(9.0), 1.0)), Some((Some(3.0), 0.0)), None]);
        let cells = join(&[0.0, nan, nan], Some(&profile));
        let sources: Vec<Source> = cells.iter().map(|one| one.source).collect();
        assert_eq!(sources, [Source::Measured, Source::Imputed, Source::Unknown]);
        assert_eq!((cells[0].value, cells[0].upper, cells[0].fold_range()), (Some(0.0), None, None));
        assert_eq!((cells[1].value, cells[1].lower, cells[1].relative), (Some(3.0), Some(1.5), Some(1.0)));
        assert_eq!((cells[2].value, cells[2].relative), (None, None), "unknown is never zero");
        let fold = cells[1].fold_range().unwrap();
        assert!((fold - 7.0 / 2.5).abs() < 1e-6, "{fold}");
    }

    #[test]
    fn a_median_of_none_is_none() {
        let of = |numbers: &[f32]| median(numbers.iter().copied());
        assert_eq!((of(&[]), of(&[3.0, 1.0, 9.0]), of(&[3.0, 1.0])), (None, Some(3.0), Some(2.0)));
    }

    #[test]
    fn without_levels_measured_and_imputed_have_a_scale_each() {
        let profile = imputed(&[None, Some((None, 0.25)), None]);
        let cells = join(&[2.0, f32::NAN, 4.0], Some(&profile));
        let relative: Vec<_> = cells.iter().map(|one| one.relative).collect();
        assert_eq!(relative, [Some(0.0), Some(0.25), Some(1.0)]);
        assert_eq!((cells[1].source, cells[1].value, cells[1].fold_range()), (Source::Imputed, None, None));
    }
}
