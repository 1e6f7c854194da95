//! Completing many genes of a dataset at once on all cores, for whoever has no engine.
//!
//! Invariants: one answer a gene, in order; a gene that the model has nothing to read for spoils no other one; what was
//! imputed before is not imputed again.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use rayon::prelude::*;

use super::{Cell, NotImputed, Plan, Reach, join};
use crate::genome::GeneId;
use crate::model::served::{ImputedProfile, ServedModel};
use crate::model::{ModelError, Prediction, ProfileModel, Target};
use crate::reference::{GeneIndex, Reference};

/// Targets of one call of the model: enough for its own batches, few enough to share out.
const CHUNK: usize = 64;

/// A dataset and the model that completes it.
#[derive(Debug)]
pub struct Filler {
    dataset: Arc<Reference>,
    model: Arc<ServedModel>,
    /// The dataset in the model's tissues.
    own: Arc<Reference>,
    reach: Reach,
    kept: HashMap<GeneId, Arc<ImputedProfile>>,
}

/// A completed gene.
#[derive(Debug, Clone, PartialEq)]
pub struct Filled {
    /// Its index in the dataset.
    pub gene: GeneIndex,
    /// One cell a tissue of the dataset.
    pub cells: Vec<Cell>,
    /// Its imputed profile, where it was imputed just now.
    pub fresh: Option<Arc<ImputedProfile>>,
    /// Why nothing could be imputed of what it lacks.
    pub not_imputed: Option<NotImputed>,
}

impl Filler {
    /// Takes a dataset, a model and the profiles that it imputed for the dataset before.
    ///
    /// # Errors
    /// The dataset lacks tissues that the model reads.
    pub fn try_new(
        dataset: Arc<Reference>,
        model: Arc<ServedModel>,
        kept: HashMap<GeneId, Arc<ImputedProfile>>,
    ) -> Result<Self, ModelError> {
        let own = model.reference_for(&dataset)?;
        let reach = Reach::of(&own);
        Ok(Self { dataset, model, own, reach, kept })
    }

    /// Returns the dataset.
    #[must_use]
    pub fn dataset(&self) -> &Reference {
        &self.dataset
    }

    /// Returns the model.
    #[must_use]
    pub fn model(&self) -> &ServedModel {
        &self.model
    }

    /// Completes a range of the dataset's genes, in order.
    ///
    /// # Errors
    /// The model failed.
    pub fn fill(&self, genes: Range<GeneIndex>) -> Result<Vec<Filled>, ModelError> {
        let mut asked = Vec::new();
        let mut plans: Vec<(GeneIndex, Plan)> = Vec::with_capacity(genes.len());
        for gene in genes {
            let recalled = || self.kept.get(&self.dataset.gene(gene).id).cloned();
            let target = || Target::of_gene(&self.dataset, gene);
            let measured = self.dataset.expression(gene);
            let plan = self.reach.plan((&self.model, &self.dataset), measured, recalled, target);
            if let Plan::Ask(target) = &plan {
                asked.push(target.as_ref().clone());
            }
            plans.push((gene, plan));
        }
        let mut predictions = predict(&*self.model.model, &self.own, &asked)?.into_iter();
        let predicted = |plan: &Plan| if let Plan::Ask(_) = plan { predictions.next().flatten() } else { None };
        let predicted: Vec<_> = plans.iter().map(|(_, plan)| plan).map(predicted).collect();
        let found = plans.into_par_iter().zip(predicted);
        Ok(found.map(|((gene, plan), prediction)| self.filled(gene, plan, prediction)).collect())
    }

    fn filled(&self, gene: GeneIndex, plan: Plan, prediction: Option<Prediction>) -> Filled {
        let measured = self.dataset.expression(gene);
        let impute = |prediction| Arc::new(self.model.impute(&self.dataset, &prediction, measured));
        let (profile, fresh, not_imputed) = match plan {
            Plan::Nothing => (None, None, None),
            Plan::Cannot(reason) => (None, None, Some(reason)),
            Plan::Recalled(profile) => (Some(profile), None, None),
            Plan::Ask(_) => match prediction.map(impute) {
                Some(profile) => (Some(Arc::clone(&profile)), Some(profile), None),
                None => (None, None, Some(NotImputed::NoNeighbour)),
            },
        };
        Filled { gene, cells: join(measured, profile.as_deref()), fresh, not_imputed }
    }
}

/// Predicts the targets, in order; `None` where the model found no gene to read.
///
/// # Errors
/// The model failed, or gave a number that is not finite.
pub fn predict(
    model: &dyn ProfileModel,
    reference: &Reference,
    targets: &[Target],
) -> Result<Vec<Option<Prediction>>, ModelError> {
    let chunks: Result<Vec<_>, ModelError> =
        targets.par_chunks(CHUNK).map(|chunk| predict_chunk(model, reference, chunk)).collect();
    Ok(chunks?.into_iter().flatten().collect())
}

fn predict_chunk(
    model: &dyn ProfileModel,
    reference: &Reference,
    targets: &[Target],
) -> Result<Vec<Option<Prediction>>, ModelError> {
    match model.predict(reference, targets) {
        Ok(found) if found.len() != targets.len() => {
            Err(ModelError::Count { asked: targets.len(), answered: found.len() })
        }
        Ok(found) if found.iter().any(|one| one.values.iter().any(|value| !value.is_finite())) => {
            Err(ModelError::NotFinite)
        }
        Ok(found) => Ok(found.into_iter().map(Some).collect()),
        Err(ModelError::NoReferenceGene) if targets.len() == 1 => Ok(vec![None]),
        Err(ModelError::NoReferenceGene) => {
            // One of them has none: halves tell which in few calls.
            let (left, right) = targets.split_at(targets.len() / 2);
            let mut found = predict_chunk(model, reference, left)?;
            found.extend(predict_chunk(model, reference, right)?);
            Ok(found)
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::genome::{Chromosome, Locus, Position, Strand};
    use crate::model::Scale;
    use crate::reference::tests::dataset;

    /// Says where each target is; knows nothing at odd places.
    struct Echo;

    impl ProfileModel for Echo {
        fn scale(&self) -> Scale {
            Scale::Log2
        }

        fn predict(&self, _: &Reference, targets: &[Target]) -> Result<Vec<Prediction>, ModelError> {
            let one = |target: &Target| {
                let place = target.locus.tss.get();
                if place % 50 == 1 {
                    return Err(ModelError::NoReferenceGene);
                }
                Ok(Prediction { values: vec![place as f32], spread: Vec::new(), references: Vec::new() })
            };
            targets.iter().map(one).collect()
        }
    }

    #[test]
    fn answers_come_in_order_and_one_without_neighbours_spoils_none() {
        let reference = Reference::new(dataset(), Vec::new(), Vec::new());
        let target = |place: u32| {
            let position = Position::new(place).unwrap();
            let locus = Locus::new(Chromosome::parse("1").unwrap(), position, position, Strand::Forward);
            Target { locus, biotype: None, promoter: None, gene: None, measured: Vec::new() }
        };
        let targets: Vec<Target> = (1..=300).map(target).collect();
        let found = predict(&Echo, &reference, &targets).unwrap();
        assert_eq!(found.len(), 300);
        for (place, one) in (1_u16..).zip(found) {
            let value = one.map(|one| one.values[0]);
            assert_eq!(value, (place % 50 != 1).then(|| f32::from(place)), "{place}");
        }
    }
}
