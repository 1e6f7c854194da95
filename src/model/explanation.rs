//! What an imputed profile rests on, measured by ablation: each thing that a prediction can rest on is taken away, and
//! what the prediction loses by it is what that thing moved.
//!
//! The numbers are on the model's scale: log2(1 + x) of its unit for a model with levels, so that 1 is a factor of two;
//! the gene's own range from 0 to 1 for a model of relative shapes. What the parts move does not add up to the
//! prediction, since parts can say the same thing twice. Invariant: a part that the gene does not have is not there.

use super::{ModelError, Part, Prediction, ProfileModel, Target};
use crate::reference::Reference;

/// What one part does to a tissue's prediction.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Influence {
    /// The prediction with everything minus the prediction without the part, on the model's scale; `None` where the
    /// model gives none without it.
    pub moved: Option<f32>,
    /// |moved| over the sum of |moved| of all parts; `None` where nothing moves, or not every part can be left out.
    pub share: Option<f32>,
}

/// What each part of a gene does to its prediction.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Explanation {
    /// For each part that the gene has, one influence a tissue of the model.
    parts: Vec<(Part, Vec<Influence>)>,
}

/// Returns the parts that a prediction of this target can rest on: its neighbours, its promoter where one is known, its
/// own tissues where the model is given some.
#[must_use]
pub fn parts(target: &Target) -> Vec<Part> {
    let has = |part: &Part| match part {
        Part::Promoter => target.has_promoter(),
        Part::Neighbours => true,
        Part::OwnTissues => target.known_tissues() > 0,
    };
    Part::ALL.into_iter().filter(has).collect()
}

impl Explanation {
    /// Compares a prediction with those of the same gene without a part; `None` for one that the model did not give.
    #[must_use]
    pub fn of(whole: &Prediction, without: &[(Part, Option<Prediction>)]) -> Self {
        let moved = |rest: &Option<Prediction>, at: usize| {
            rest.as_ref().and_then(|rest| Some(whole.values[at] - rest.values.get(at)?))
        };
        let total = |at: usize| without.iter().map(|(_, rest)| moved(rest, at).map(f32::abs)).sum::<Option<f32>>();
        let influence = |rest: &Option<Prediction>, at: usize| {
            let moved = moved(rest, at);
            let total = total(at).filter(|total| *total > 0.0);
            Influence { moved, share: moved.zip(total).map(|(moved, total)| moved.abs() / total) }
        };
        let tissues = 0..whole.values.len();
        let part = |(part, rest): &(Part, Option<Prediction>)| {
            (*part, tissues.clone().map(|at| influence(rest, at)).collect())
        };
        Self { parts: without.iter().map(part).collect() }
    }

    /// Returns what each part does to a tissue of the model.
    pub fn tissue(&self, at: usize) -> impl Iterator<Item = (Part, Influence)> + '_ {
        self.parts.iter().filter_map(move |(part, tissues)| Some((*part, *tissues.get(at)?)))
    }
}

/// Predicts a target with everything and without each of its parts, in one batch.
///
/// # Errors
/// The model fails on the target, also where all it lacks are neighbours.
pub fn explain(
    model: &dyn ProfileModel,
    reference: &Reference,
    target: &Target,
) -> Result<(Prediction, Explanation), ModelError> {
    let parts = parts(target);
    let mut targets = vec![target.clone()];
    targets.extend(parts.iter().map(|part| target.without(*part)));
    let mut found: Vec<Option<Prediction>> = match model.predict(reference, &targets) {
        Ok(found) => found.into_iter().map(Some).collect(),
        // Without its neighbours there may be nothing to read.
        Err(ModelError::NoReferenceGene) => {
            let alone = |target| match model.predict(reference, std::slice::from_ref(target)) {
                Ok(found) => Ok(found.into_iter().next()),
                Err(ModelError::NoReferenceGene) => Ok(None),
                Err(error) => Err(error),
            };
            targets.iter().map(alone).collect::<Result<_, ModelError>>()?
        }
        Err(error) => return Err(error),
    };
    let answered = found.len();
    if answered != targets.len() {
        return Err(ModelError::Count { asked: targets.len(), answered });
    }
    let without: Vec<_> = parts.into_iter().zip(found.drain(1..)).collect();
    let whole = found.pop().flatten().ok_or(ModelError::NoReferenceGene)?;
    let explanation = Explanation::of(&whole, &without);
    Ok((whole, explanation))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::genome::{Chromosome, Locus, Position, Promoter, Strand};
    use crate::model::Scale;
    use crate::reference::tests::dataset;

    /// Adds up what it is given: 4 for a promoter, 2 for a chromosome with genes, the first own tissue as it is.
    struct Sum {
        needs_neighbours: bool,
    }

    impl ProfileModel for Sum {
        fn scale(&self) -> Scale {
            Scale::Log2
        }

        fn predict(&self, _: &Reference, targets: &[Target]) -> Result<Vec<Prediction>, ModelError> {
            let one = |target: &Target| {
                let near = target.locus.chromosome != Chromosome::without_genes();
                if self.needs_neighbours && !near {
                    return Err(ModelError::NoReferenceGene);
                }
                let own = target.measured.first().copied().unwrap_or(0.0);
                let value =
                    f32::from(u8::from(target.promoter.is_some())) * 4.0 + f32::from(u8::from(near)) * 2.0 - own;
                Ok(Prediction { values: vec![value, 1.0], spread: Vec::new(), references: Vec::new() })
            };
            targets.iter().map(one).collect()
        }
    }

    fn target(promoter: bool, own: Option<f32>) -> Target {
        let position = Position::new(5).unwrap();
        let locus = Locus::new(Chromosome::parse("1").unwrap(), position, position, Strand::Forward);
        let promoter = promoter.then(|| Promoter::parse(b"ACGT").unwrap());
        let target = Target { locus, biotype: None, promoter, gene: None, measured: Vec::new() };
        target.with_measured(&own.map_or(Vec::new(), |own| vec![own, f32::NAN]))
    }

    fn close(got: Option<f32>, expected: f32) {
        assert!((got.unwrap() - expected).abs() < 1e-6, "{got:?} is not {expected}");
    }

    #[test]
    fn each_part_moves_what_the_prediction_loses_without_it() {
        let reference = Reference::new(dataset(), Vec::new(), Vec::new());
        let model = Sum { needs_neighbours: false };
        let (whole, explanation) = explain(&model, &reference, &target(true, Some(1.0))).unwrap();
        close(whole.values.first().copied(), 5.0);
        let found: Vec<_> = explanation.tissue(0).collect();
        for ((part, influence), (expected, moved)) in
            found.iter().zip([(Part::Promoter, 4.0), (Part::Neighbours, 2.0), (Part::OwnTissues, -1.0)])
        {
            assert_eq!(*part, expected);
            close(influence.moved, moved);
            close(influence.share, moved.abs() / 7.0);
        }
        assert!(explanation.tissue(1).all(|(_, one)| one.moved == Some(0.0) && one.share.is_none()), "nothing moves");
    }

    #[test]
    fn only_what_the_gene_has_is_left_out() {
        let reference = Reference::new(dataset(), Vec::new(), Vec::new());
        let (_, explanation) = explain(&Sum { needs_neighbours: false }, &reference, &target(false, None)).unwrap();
        let found: Vec<_> = explanation.tissue(0).collect();
        assert_eq!(found, [(Part::Neighbours, Influence { moved: Some(2.0), share: Some(1.0) })]);
    }

    #[test]
    fn a_part_that_the_model_cannot_do_without_has_no_number() {
        let reference = Reference::new(dataset(), Vec::new(), Vec::new());
        let (_, explanation) = explain(&Sum { needs_neighbours: true }, &reference, &target(true, None)).unwrap();
        let found: Vec<_> = explanation.tissue(0).map(|(_, one)| one).collect();
        assert_eq!(found[0], Influence { moved: Some(4.0), share: None });
        assert_eq!(found[1], Influence { moved: None, share: None });
    }
}
