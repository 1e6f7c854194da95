//! Which tissues of which gene are hidden, and what a model says of them.

use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::super::compare::EvaluationSettings;
use crate::model::manifest::Hiding;
use crate::model::{ModelError, ProfileModel, Scale, Target};
use crate::reference::{GeneIndex, Reference};
use crate::training::init::generator;

/// Targets that a model is asked at once.
const BATCH: usize = 128;

/// Batches between two reports of progress; they run at the same time where there are processors for them.
const BATCHES: usize = 16;

/// One question: what a gene has in its hidden tissues.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Case {
    /// The gene's place among the scored ones.
    pub(super) place: usize,
    /// The tissues that are hidden and asked for.
    pub(super) hidden: Vec<usize>,
}

/// What was measured and predicted in one hidden tissue of a gene, on the log scale.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Value {
    /// The gene's place among the scored ones.
    pub(super) place: usize,
    /// The tissue.
    pub(super) tissue: usize,
    /// What was measured.
    pub(super) truth: f32,
    /// What the model says.
    pub(super) predicted: f32,
    /// The spread that it gives with it.
    pub(super) spread: f32,
}

/// Draws the questions of a scheme, by place; none where there are too few tissues for it.
pub(super) fn draw(
    reference: &Reference,
    genes: &[GeneIndex],
    scheme: Hiding,
    settings: &EvaluationSettings,
) -> Vec<Case> {
    let tissues = reference.tissues().len();
    if tissues < 2 && scheme != Hiding::All {
        return Vec::new();
    }
    let draw = |(place, gene): (usize, &GeneIndex)| {
        // A generator for each gene: what is hidden of it depends on no other gene.
        let purpose = format!("{scheme:?} of {} hidden", reference.gene(*gene).id.as_str());
        let mut rng = generator(settings.seed, &purpose);
        let share = match scheme {
            Hiding::Tenth => 0.1,
            Hiding::Half => 0.5,
            Hiding::NineTenths => 0.9,
            Hiding::ThirtyToNinety => rng.random_range(0.3..=0.9),
            Hiding::All => return vec![Case { place, hidden: (0..tissues).collect() }],
            Hiding::OneTissue => {
                let asked = if settings.every_tissue { tissues } else { tissues.div_ceil(3) };
                let one = |tissue| Case { place, hidden: vec![tissue] };
                return some_of(tissues, asked, &mut rng).into_iter().map(one).collect();
            }
        };
        #[expect(clippy::cast_sign_loss, reason = "a share of a count is not below 0")]
        let count = (share * tissues as f64).round() as usize;
        vec![Case { place, hidden: some_of(tissues, count.clamp(1, tissues - 1), &mut rng) }]
    };
    genes.iter().enumerate().flat_map(draw).collect()
}

/// Draws `count` of `tissues`, in order.
pub(super) fn some_of(tissues: usize, count: usize, rng: &mut ChaCha8Rng) -> Vec<usize> {
    let mut all: Vec<usize> = (0..tissues).collect();
    for drawn in 0..count {
        let other = rng.random_range(drawn..tissues);
        all.swap(drawn, other);
    }
    all.truncate(count);
    all.sort_unstable();
    all
}

/// Whom a model is asked about and what it may see.
#[derive(Clone, Copy)]
pub(super) struct Exam<'a> {
    /// What was measured.
    pub(super) truth: &'a Reference,
    /// The same genes as the model sees them.
    pub(super) seen: &'a Reference,
    /// The scored genes.
    pub(super) genes: &'a [GeneIndex],
    /// By place, the gene whose values the model is told as the gene's own, where it is another one.
    pub(super) told: Option<&'a [GeneIndex]>,
}

impl Exam<'_> {
    /// Asks a model; returns one value for every hidden tissue of every case, in order.
    ///
    /// # Errors
    /// The model fails, or answers less than it was asked.
    pub(super) fn ask(
        &self,
        model: &dyn ProfileModel,
        cases: &[Case],
        step: &mut dyn FnMut(usize),
    ) -> Result<Vec<Value>, ModelError> {
        let mut values = Vec::with_capacity(cases.iter().map(|case| case.hidden.len()).sum());
        for round in cases.chunks(BATCH * BATCHES) {
            let answers: Vec<Vec<Value>> =
                round.par_chunks(BATCH).map(|batch| self.ask_batch(model, batch)).collect::<Result<_, _>>()?;
            values.extend(answers.into_iter().flatten());
            step(round.len());
        }
        Ok(values)
    }

    fn ask_batch(&self, model: &dyn ProfileModel, batch: &[Case]) -> Result<Vec<Value>, ModelError> {
        let targets: Vec<Target> = batch.iter().filter_map(|case| self.target(case)).collect();
        let predictions = model.predict(self.seen, &targets)?;
        if predictions.len() != batch.len() {
            return Err(ModelError::Count { asked: batch.len(), answered: predictions.len() });
        }
        let mut values = Vec::new();
        for (case, prediction) in batch.iter().zip(&predictions) {
            let truth = Scale::Log2.forward(self.truth.expression(self.genes[case.place]));
            for &tissue in &case.hidden {
                let predicted = prediction.values.get(tissue).copied().ok_or(ModelError::NotFinite)?;
                let spread = prediction.spread.get(tissue).copied().unwrap_or(1.0);
                values.push(Value { place: case.place, tissue, truth: truth[tissue], predicted, spread });
            }
        }
        Ok(values)
    }

    fn target(&self, case: &Case) -> Option<Target> {
        let told = self.told.map_or(self.genes[case.place], |told| told[case.place]);
        let mut measured = self.truth.expression(told).to_vec();
        case.hidden.iter().for_each(|tissue| measured[*tissue] = f32::NAN);
        Some(Target::of_gene(self.seen, self.genes[case.place])?.with_measured(&measured))
    }
}
