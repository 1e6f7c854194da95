//! Baselines by distance alone: copy the nearest gene, the flanking mean, distance weights, the mean profile.
//!
//! Imports `genome`, `reference` and its parents. Where a chromosome has no measured gene, all of them fall back to
//! the mean profile of the fitted genes, so that a prediction is never missing.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::baseline::{self, BaselineKind, Tensors, WEIGHTS_FILE};
use super::method::StoredModel;
use super::{ModelError, Prediction, ProfileModel, Scale, Target};
use crate::reference::Reference;
use crate::reference::vicinity::Neighbour;

/// Neighbours that the distance-weighted mean reads.
const WEIGHTED_NEIGHBOURS: usize = 10;
/// Base pairs added to a distance before it is turned into a weight, unless the fit chose another number.
pub const WEIGHT_OFFSET_BP: u32 = 1_000;

const MEAN: &str = "mean_profile";

/// A baseline by distance; see the module's text.
#[derive(Debug, Clone, PartialEq)]
pub struct DistanceModel {
    kind: BaselineKind,
    settings: Settings,
    mean: Vec<f32>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    scale: Scale,
    tissues: Vec<String>,
    /// Base pairs added to a distance before it is turned into a weight; only distance weights read it.
    offset_bp: u32,
}

impl DistanceModel {
    /// Builds the model from the mean profile, on `scale`, of the genes that it was fitted to.
    ///
    /// # Panics
    /// `mean` has not one number a tissue, or `kind` is a ridge regression: the fit rules both out.
    #[must_use]
    pub fn new(kind: BaselineKind, scale: Scale, tissues: Vec<String>, mean: Vec<f32>) -> Self {
        assert_eq!(tissues.len(), mean.len(), "one mean a tissue");
        assert!(kind <= BaselineKind::DistanceWeighted, "{kind} is not a method by distance");
        Self { kind, settings: Settings { scale, tissues, offset_bp: WEIGHT_OFFSET_BP }, mean }
    }

    /// Returns the model with weights 1 ÷ (distance + `offset_bp`).
    #[must_use]
    pub fn with_offset(mut self, offset_bp: u32) -> Self {
        self.settings.offset_bp = offset_bp.max(1);
        self
    }

    /// Reads the model back.
    ///
    /// # Errors
    /// The settings or the weights are not this method's.
    pub(super) fn load(kind: BaselineKind, settings: &serde_json::Value, weights: &[u8]) -> Result<Self, ModelError> {
        let settings: Settings = baseline::read_settings(settings)?;
        let mean = Tensors::read(weights)?.take(MEAN, &[settings.tissues.len()])?;
        Ok(Self { kind, settings, mean })
    }

    fn weighted(&self, reference: &Reference, target: &Target) -> (Vec<Neighbour>, Vec<f32>) {
        let vicinity = reference.vicinity();
        let nearest = |count| vicinity.nearest(&target.locus, target.gene, count);
        let neighbours = match self.kind {
            BaselineKind::CopyNearest => nearest(1),
            BaselineKind::FlankingMean => vicinity.flanking(&target.locus, target.gene, 1, 1).by_distance(),
            BaselineKind::DistanceWeighted => nearest(WEIGHTED_NEIGHBOURS),
            _ => Vec::new(),
        };
        let weight = |at: &Neighbour| match self.kind {
            BaselineKind::DistanceWeighted => {
                1.0 / (at.distance_bp.unsigned_abs() as f32 + self.settings.offset_bp as f32)
            }
            _ => 1.0,
        };
        let weights = neighbours.iter().map(weight).collect();
        (neighbours, weights)
    }

    fn predict_one(&self, reference: &Reference, target: &Target) -> Prediction {
        let (references, weights) = self.weighted(reference, target);
        if references.is_empty() {
            return Prediction { values: self.mean.clone(), spread: Vec::new(), references };
        }
        let total: f32 = weights.iter().sum();
        let mut values = vec![0.0; self.mean.len()];
        for (at, weight) in references.iter().zip(&weights) {
            let profile = self.settings.scale.forward(reference.expression(at.gene));
            values.iter_mut().zip(profile).for_each(|(value, own)| *value += own * weight / total);
        }
        Prediction { values, spread: Vec::new(), references }
    }
}

impl ProfileModel for DistanceModel {
    fn scale(&self) -> Scale {
        self.settings.scale
    }

    fn predict(&self, reference: &Reference, targets: &[Target]) -> Result<Vec<Prediction>, ModelError> {
        baseline::check_tissues(&self.settings.tissues, reference.tissues())?;
        Ok(targets.iter().map(|target| self.predict_one(reference, target)).collect())
    }
}

impl StoredModel for DistanceModel {
    fn method(&self) -> &'static str {
        self.kind.as_str()
    }

    fn settings(&self) -> Result<serde_json::Value, ModelError> {
        baseline::write_settings(&self.settings)
    }

    fn files(&self) -> Result<BTreeMap<String, Vec<u8>>, ModelError> {
        let weights = baseline::write_tensors(&BTreeMap::from([(MEAN, (vec![self.mean.len()], &self.mean[..]))]))?;
        Ok(BTreeMap::from([(WEIGHTS_FILE.to_owned(), weights)]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::genome::{Chromosome, Locus, Position, Strand, Tissue};
    use crate::reference::tests::{dataset, record};

    fn reference() -> Reference {
        let gene = |id, start, values: &[f32]| record(id, Some(("1", start, start, Strand::Forward)), Some(values));
        let records = vec![
            gene("a", 1_000, &[0.0, 1.0]),
            gene("b", 4_000, &[3.0, 0.0]),
            gene("c", 5_000, &[f32::NAN, 9.0]),
            gene("d", 9_000, &[7.0, 1.0]),
        ];
        Reference::new(dataset(), ["Liver", "Lung"].map(Tissue::from_name).to_vec(), records)
    }

    fn model(kind: BaselineKind, scale: Scale) -> DistanceModel {
        DistanceModel::new(kind, scale, vec!["Liver".to_owned(), "Lung".to_owned()], vec![0.25, 0.5])
    }

    fn predict(kind: BaselineKind, scale: Scale, gene: usize) -> (Vec<f32>, Vec<usize>) {
        let reference = reference();
        let target = Target::of_gene(&reference, gene).unwrap();
        let prediction = model(kind, scale).predict(&reference, &[target]).unwrap().remove(0);
        (prediction.values, prediction.references.iter().map(|at| at.gene).collect())
    }

    #[test]
    fn each_method_reads_the_neighbours_that_it_names() {
        let log = Scale::Log2;
        assert_eq!(predict(BaselineKind::CopyNearest, log, 1), (vec![0.0, 1.0], vec![0]));
        assert_eq!(predict(BaselineKind::CopyNearest, Scale::MinMax, 2), (vec![1.0, 0.0], vec![1]));
        assert_eq!(predict(BaselineKind::FlankingMean, log, 1), (vec![1.5, 1.0], vec![0, 3]));
        assert_eq!(predict(BaselineKind::MeanProfile, log, 1), (vec![0.25, 0.5], vec![]));
        let (values, genes) = predict(BaselineKind::DistanceWeighted, log, 1);
        assert_eq!(genes, [0, 3]);
        let (near, far) = (1.0 / 4_000f32, 1.0 / 6_000f32);
        assert!((values[0] - 3.0 * far / (near + far)).abs() < 1e-6);
    }

    #[test]
    fn a_chromosome_without_measured_genes_gets_the_mean_profile() {
        let at = Position::new(7).unwrap();
        let locus = Locus::new(Chromosome::parse("5").unwrap(), at, at, Strand::Reverse);
        let target = Target { locus, biotype: None, promoter: None, gene: None, measured: Vec::new() };
        for kind in &BaselineKind::ALL[..4] {
            let predictions = model(*kind, Scale::Log2).predict(&reference(), std::slice::from_ref(&target)).unwrap();
            assert_eq!(predictions[0].values, [0.25, 0.5]);
        }
    }

    #[test]
    fn a_saved_model_comes_back() {
        let model = model(BaselineKind::FlankingMean, Scale::MinMax);
        let back =
            DistanceModel::load(model.kind, &model.settings().unwrap(), &model.files().unwrap()[WEIGHTS_FILE]).unwrap();
        assert_eq!(back, model);
    }
}
