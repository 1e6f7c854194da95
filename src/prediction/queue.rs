//! Complete genes on their way out, in the order in which they are answered.
//!
//! A model that sums as it goes has its values at once; one that wants many genes together has them held here, and the
//! genes behind them wait too. Invariant: genes leave in the order in which they came, at most as many of a model wait
//! for their values as it wants together, and all that waits holds a bounded number of numbers.

use std::collections::VecDeque;

use crate::model::ModelError;
use crate::model::expression::Gathered;

use super::ledger::Ledger;
use super::panel::Panel;
use super::{GeneAnswer, PredictionError};

/// Numbers that may wait before a batch is asked for though it is not full: 128 MiB of dosages.
const MOST: usize = 1 << 25;

/// Complete genes in their order.
pub(crate) struct Queue {
    explain: bool,
    genes: VecDeque<Waiting>,
    /// How many genes of each model wait for their values, and how many it wants together.
    of_models: Vec<(usize, usize)>,
    /// Numbers that wait.
    numbers: usize,
    most: usize,
}

struct Waiting {
    answer: GeneAnswer,
    /// The dosages that the values are still to be made of.
    gathered: Option<Gathered>,
    numbers: usize,
}

impl Queue {
    pub(crate) fn new(panel: &Panel, explain: bool) -> Self {
        Self::holding(panel, explain, MOST)
    }

    /// With another number of numbers that may wait.
    pub(super) fn holding(panel: &Panel, explain: bool, most: usize) -> Self {
        let of_models = panel.models.iter().map(|model| (0, model.model.batch())).collect();
        Self { explain, genes: VecDeque::new(), of_models, numbers: 0, most }
    }

    /// Takes the next gene: with its values, or with the dosages that they are to be made of.
    pub(crate) fn push(
        &mut self,
        ledger: &mut Ledger<'_>,
        (answer, gathered): (GeneAnswer, Option<Gathered>),
    ) -> Result<(), PredictionError> {
        let model = answer.model;
        let numbers = gathered.as_ref().map_or(answer.values.len(), |gene| gene.people * (gene.rows.len() + 1));
        let waits = gathered.is_some();
        self.numbers += numbers;
        self.genes.push_back(Waiting { answer, gathered, numbers });
        if waits {
            let (waiting, wanted) = &mut self.of_models[model];
            *waiting += 1;
            if waiting >= wanted {
                self.ask(ledger, model)?;
            }
        }
        if self.numbers > self.most
            && let Some(first) = self.genes.front().filter(|first| first.gathered.is_some())
        {
            let model = first.answer.model;
            self.ask(ledger, model)?;
        }
        Ok(())
    }

    /// Returns the next gene, where its values are known.
    pub(crate) fn pop(&mut self) -> Option<GeneAnswer> {
        let first = self.genes.pop_front_if(|first| first.gathered.is_none())?;
        self.numbers -= first.numbers;
        Some(first.answer)
    }

    /// Makes the values of everything that waits: no more genes come.
    pub(crate) fn finish(&mut self, ledger: &mut Ledger<'_>) -> Result<(), PredictionError> {
        (0..self.of_models.len()).try_for_each(|model| self.ask(ledger, model))
    }

    /// Asks a model for the values of its genes that wait.
    fn ask(&mut self, ledger: &mut Ledger<'_>, model: usize) -> Result<(), PredictionError> {
        let mut batch = Vec::with_capacity(self.of_models[model].0);
        let mut answers = Vec::with_capacity(batch.capacity());
        for waiting in self.genes.iter_mut().filter(|waiting| waiting.answer.model == model) {
            if let Some(gathered) = waiting.gathered.take() {
                batch.push(gathered);
                answers.push(&mut waiting.answer);
            }
        }
        self.of_models[model].0 = 0;
        if batch.is_empty() {
            return Ok(());
        }
        let asked = batch.len();
        let count = |answered| if answered == asked { Ok(()) } else { Err(ModelError::Count { asked, answered }) };
        let served = ledger.model(model);
        if self.explain {
            let explained = served.explain(&batch)?;
            count(explained.len())?;
            answers.into_iter().zip(explained).try_for_each(|(answer, one)| ledger.finish_explained(answer, one))
        } else {
            let values = served.finish_batch(&batch)?;
            count(values.len())?;
            answers.into_iter().zip(values).try_for_each(|(answer, values)| ledger.finish(answer, values))
        }
    }
}
