//! A model as it is served: its card, its digest, and what its numbers mean in a dataset.
//!
//! Turns a model's [`Prediction`], on the model's scale and over the model's tissues, into an [`ImputedProfile`] over
//! a dataset's tissues, in the dataset's unit where that can be known. Imports `genome` and `reference`.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::manifest::Card;
use super::shelf::Versioned;
use super::{Known, ModelError, Orientation, Prediction, ProfileModel, Scale, min_max};
use crate::genome::{GeneId, GeneSymbol, Tissue};
use crate::reference::{GeneRecord, Reference};

/// A loaded model with what names and describes it.
#[derive(Clone)]
pub struct ServedModel {
    /// The card.
    pub card: Card,
    /// `sha256:` and the digest of the model's folder.
    pub digest: String,
    /// The model.
    pub model: Arc<dyn ProfileModel>,
}

impl Versioned for ServedModel {
    fn name(&self) -> &str {
        &self.card.name
    }

    fn version(&self) -> &str {
        &self.card.version
    }
}

impl fmt::Debug for ServedModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServedModel")
            .field("name", &self.card.name)
            .field("digest", &self.digest)
            .finish_non_exhaustive()
    }
}

/// One imputed value of one tissue.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ImputedValue {
    /// The value in the dataset's unit; `None` where only the shape is known.
    pub value: Option<f32>,
    /// The interval's lower end.
    pub lower: Option<f32>,
    /// The interval's upper end.
    pub upper: Option<f32>,
    /// 0 at the profile's lowest tissue, 1 at its highest.
    pub relative: f32,
}

/// A reference gene that a profile rests on, named so that it can be stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImputedReference {
    /// The gene.
    pub gene_id: GeneId,
    /// Its symbol.
    pub symbol: GeneSymbol,
    /// Base pairs from the target's transcription start to its own.
    pub distance_bp: i64,
    /// How the two are turned to each other.
    pub orientation: Orientation,
}

/// A model's profile of one gene over a dataset's tissues.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ImputedProfile {
    /// One entry a tissue of the dataset, in its order; `None` where the model does not know the tissue.
    pub tissues: Vec<Option<ImputedValue>>,
    /// The reference genes, nearest first.
    pub references: Vec<ImputedReference>,
    /// How many of the gene's own tissues the model read.
    pub known_tissues: usize,
}

/// The version of what [`ServedModel::impute`] makes of a prediction: raised when the same model gives other profiles,
/// so that those which an earlier program kept are imputed again.
pub const IMPUTATION: u32 = 3;

impl ServedModel {
    /// Returns the key that imputed profiles are kept under: the model's digest and how profiles are made from it.
    #[must_use]
    pub fn imputation_key(&self) -> String {
        format!("{}/{IMPUTATION}", self.digest)
    }

    /// Returns the dataset as the model reads it: the same one where the tissues are the same in the same order,
    /// otherwise a copy with the model's tissues.
    ///
    /// # Errors
    /// The dataset lacks tissues that the model reads.
    pub fn reference_for(&self, dataset: &Arc<Reference>) -> Result<Arc<Reference>, ModelError> {
        let columns = self.columns(dataset);
        let lacking: Vec<String> =
            self.card.tissues.iter().zip(&columns).filter(|(_, at)| at.is_none()).map(|(id, _)| id.clone()).collect();
        if !lacking.is_empty() {
            return Err(ModelError::Tissues(lacking));
        }
        let columns: Vec<usize> = columns.into_iter().flatten().collect();
        if columns.len() == dataset.tissues().len() && columns.iter().enumerate().all(|(at, from)| at == *from) {
            return Ok(Arc::clone(dataset));
        }
        let tissues: Vec<Tissue> = columns.iter().map(|at| dataset.tissues()[*at].clone()).collect();
        let project = |index| {
            let row = dataset.expression(index);
            GeneRecord {
                gene: dataset.gene(index).clone(),
                expression: Some(columns.iter().map(|at| row[*at]).collect()),
                promoter: dataset.promoter(index).cloned(),
            }
        };
        let records = (0..dataset.genes().len()).map(project).collect();
        Ok(Arc::new(Reference::new(dataset.dataset().clone(), tissues, records)))
    }

    /// Returns whether the model's values are in the dataset's unit, so that they can be given as values.
    #[must_use]
    pub fn has_level_in(&self, dataset: &Reference) -> bool {
        self.model.scale() == Scale::Log2 && self.card.unit == dataset.dataset().unit
    }

    /// Brings a prediction onto the dataset's tissues and, where it can be, into the dataset's unit.
    ///
    /// On the log scale the value is 2^p − 1, never below 0, with the card's interval transformed alike; on the
    /// min–max scale, and where the units differ, only the shape is given. `measured` is what is known of the gene
    /// itself, one value a tissue of the dataset, NaN where nothing is: it decides which intervals apply and, where the
    /// model has not read it, it moves the level.
    #[must_use]
    pub fn impute(&self, dataset: &Reference, prediction: &Prediction, measured: &[f32]) -> ImputedProfile {
        let scale = self.model.scale();
        let (known, shift) = if self.reads_measured_of(dataset) {
            (self.measured_for(dataset, measured).iter().filter(|value| value.is_finite()).count(), 0.0)
        } else if self.has_level_in(dataset) {
            (0, self.level_shift(dataset, prediction, measured))
        } else {
            (0, 0.0)
        };
        let calibration = self.card.calibration.as_ref();
        let stratum = calibration.and_then(|all| all.of(Known::of(known, self.card.tissues.len())));
        let level = |p: f32| ((p + shift).exp2() - 1.0).max(0.0);
        let shape = match scale {
            Scale::Log2 => min_max(&prediction.values.iter().copied().map(level).collect::<Vec<_>>()),
            Scale::MinMax => min_max(&prediction.values.iter().map(|p| p.clamp(0.0, 1.0)).collect::<Vec<_>>()),
        };
        let has_level = self.has_level_in(dataset);
        let mut tissues = vec![None; dataset.tissues().len()];
        for (of_model, column) in self.columns(dataset).into_iter().enumerate() {
            let (Some(column), Some(p)) = (column, prediction.values.get(of_model).copied()) else { continue };
            let spread = prediction.spread.get(of_model).copied().unwrap_or(1.0);
            let half = stratum.and_then(|stratum| stratum.half_width.get(of_model)).map(|half| half * spread);
            let half = half.filter(|_| has_level);
            tissues[column] = Some(ImputedValue {
                value: has_level.then(|| level(p)),
                lower: half.map(|half| level(p - half)),
                upper: half.map(|half| level(p + half)),
                relative: shape[of_model],
            });
        }
        let references = prediction.references.iter().map(|neighbour| {
            let gene = dataset.gene(neighbour.gene);
            ImputedReference {
                gene_id: gene.id.clone(),
                symbol: gene.symbol.clone(),
                distance_bp: neighbour.distance_bp,
                orientation: neighbour.orientation,
            }
        });
        ImputedProfile { tissues, references: references.collect(), known_tissues: known }
    }

    /// Returns whether the model reads what is measured of a gene of this dataset: it does where it can and the values
    /// are in the unit that it learned from.
    #[must_use]
    pub fn reads_measured_of(&self, dataset: &Reference) -> bool {
        self.model.reads_measured() && self.card.unit == dataset.dataset().unit
    }

    /// Brings a gene's measured values, one a tissue of the dataset, into the order of the model's tissues.
    #[must_use]
    pub fn measured_for(&self, dataset: &Reference, measured: &[f32]) -> Vec<f32> {
        let value = |column: Option<usize>| column.and_then(|at| measured.get(at).copied()).unwrap_or(f32::NAN);
        self.columns(dataset).into_iter().map(value).collect()
    }

    /// By how much, on the log scale, the gene's own measured tissues lie above the prediction: the mean difference,
    /// drawn towards 0 as if one more tissue had none.
    fn level_shift(&self, dataset: &Reference, prediction: &Prediction, measured: &[f32]) -> f32 {
        let columns = self.columns(dataset);
        let differences: Vec<f32> = columns
            .iter()
            .zip(&prediction.values)
            .filter_map(|(column, p)| {
                // Unknown is never zero: a tissue without a value says nothing of the level.
                let value = measured.get((*column)?).filter(|value| value.is_finite())?;
                Some((1.0 + value.max(0.0)).log2() - p)
            })
            .collect();
        differences.iter().sum::<f32>() / (differences.len() + 1) as f32
    }

    /// For each tissue of the model, its place in the dataset.
    fn columns(&self, dataset: &Reference) -> Vec<Option<usize>> {
        self.card.tissues.iter().map(|id| dataset.find_tissue(id)).collect()
    }
}
