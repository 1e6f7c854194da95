//! What each variant has added to each prediction, as TSV: a line for every gene, person and variant, and one for the
//! base.
//!
//! The lines of a gene and a person add up to the person's prediction, to the digits that are written. A gene without
//! values has no lines.

use std::io::Write;

use super::{Output, push_cell, push_value};
use crate::genome::GeneSymbol;
use crate::genotype::report::Report;
use crate::prediction::{Answer, AnswerError, GeneAnswer, Heading};

/// What the base is called where variants have their names.
pub const BASE: &str = "(base)";

const COLUMNS: &str = "model\tgene_id\tsymbol\tsample\tvariant\tcontribution\n";

/// Writes what each variant has added; takes answers of a request that asked for it.
#[derive(Debug)]
pub struct ExplanationLog<W: Write> {
    output: Output<W>,
}

impl<W: Write> ExplanationLog<W> {
    /// Writes into `output`.
    #[must_use]
    pub fn new(output: Output<W>) -> Self {
        Self { output }
    }
}

impl<W: Write> Answer for ExplanationLog<W> {
    fn begin(&mut self, heading: &Heading) -> Result<(), AnswerError> {
        if !heading.explained {
            // An empty table would say that nothing contributes.
            return Err(AnswerError::Form("contributions cannot be listed: they were not asked for".to_owned()));
        }
        self.output.buffer().extend_from_slice(COLUMNS.as_bytes());
        Ok(())
    }

    fn gene(&mut self, heading: &Heading, answer: GeneAnswer) -> Result<(), AnswerError> {
        super::check(heading, &answer)?;
        let Some(explanation) = &answer.explanation else { return Ok(()) };
        let (model, (_, gene)) = (heading.model_of(&answer), heading.gene_of(&answer));
        let mut before = Vec::new();
        for (person, sample) in heading.samples.iter().enumerate() {
            before.clear();
            for cell in [&*model, gene.id.as_str(), gene.symbol.as_ref().map_or("NA", GeneSymbol::as_str)] {
                push_cell(&mut before, cell);
                before.push(b'\t');
            }
            push_cell(&mut before, &sample.id);
            before.push(b'\t');
            let of_variants = explanation.variants.iter().map(|one| (&*one.variant, one.values[person]));
            for (variant, value) in std::iter::once((BASE, explanation.base)).chain(of_variants) {
                let out = self.output.buffer();
                out.extend_from_slice(&before);
                push_cell(out, variant);
                out.push(b'\t');
                push_value(out, value);
                out.push(b'\n');
                self.output.spill()?;
            }
        }
        Ok(())
    }

    fn finish(&mut self, _heading: &Heading, _report: &Report) -> Result<(), AnswerError> {
        Ok(self.output.finish()?)
    }
}
