//! What is noted while a prediction is answered: genes for the audit line, the report for the headers; and how the work
//! learns that nobody waits for it.

use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::genotype::report::Report;
use crate::http::audit::Audit;
use crate::prediction::{Answer, AnswerError, GeneAnswer, Heading};

/// Tells the work to stop when the request's future is dropped: the client has gone.
pub(super) struct StopOnDrop(pub(super) Arc<AtomicBool>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Takes an answer that nobody wants to read.
pub(super) struct Nobody;

impl Answer for Nobody {
    fn begin(&mut self, _: &Heading) -> Result<(), AnswerError> {
        Ok(())
    }

    fn gene(&mut self, _: &Heading, _: GeneAnswer) -> Result<(), AnswerError> {
        Ok(())
    }

    fn finish(&mut self, _: &Heading, _: &Report) -> Result<(), AnswerError> {
        Ok(())
    }
}

/// Makes the report known before the end of the answer is written: it can then go with the headers of an answer of
/// which nothing has left yet, such as a table with a row a person.
pub(super) struct Announcing<'a, A> {
    pub(super) answer: A,
    pub(super) complete: &'a OnceLock<Report>,
}

impl<A: Answer> Answer for Announcing<'_, A> {
    fn begin(&mut self, heading: &Heading) -> Result<(), AnswerError> {
        self.answer.begin(heading)
    }

    fn gene(&mut self, heading: &Heading, gene: GeneAnswer) -> Result<(), AnswerError> {
        self.answer.gene(heading, gene)
    }

    fn finish(&mut self, heading: &Heading, report: &Report) -> Result<(), AnswerError> {
        // It is set once: an answer is finished once.
        let _ = self.complete.set(report.clone());
        self.answer.finish(heading, report)
    }
}

/// Notes how many genes were answered.
pub(super) struct Counting<'a> {
    pub(super) answer: &'a mut dyn Answer,
    pub(super) audit: &'a Audit,
    pub(super) genes: usize,
}

impl Answer for Counting<'_> {
    fn begin(&mut self, heading: &Heading) -> Result<(), AnswerError> {
        self.answer.begin(heading)
    }

    fn gene(&mut self, heading: &Heading, gene: GeneAnswer) -> Result<(), AnswerError> {
        self.answer.gene(heading, gene)?;
        self.genes += 1;
        self.audit.genes(self.genes);
        Ok(())
    }

    fn finish(&mut self, heading: &Heading, report: &Report) -> Result<(), AnswerError> {
        self.answer.finish(heading, report)
    }
}
