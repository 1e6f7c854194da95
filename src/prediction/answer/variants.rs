//! The log of single variants as TSV: one line a variant of a model, saying what became of it and why.

use std::fmt::Display;
use std::io::Write;

use super::{Output, UNKNOWN, push_cell};
use crate::genotype::Place;
use crate::genotype::report::{Report, VariantOutcome};
use crate::model::expression::ModelGene;
use crate::prediction::{Answer, AnswerError, GeneAnswer, Heading};

const COLUMNS: &str = "model\tgene\tvariant\tchromosome\tposition\tother\teffect\tweight\tkind\treason\trecord_place\t\
    record_id\trecord_chromosome\trecord_position\trecord_ref\trecord_alt\tduplicates\tmissing_genotypes\n";

/// Writes what became of every variant; takes answers whose genes have [`GeneAnswer::variants`].
#[derive(Debug)]
pub struct VariantLog<W: Write> {
    output: Output<W>,
}

impl<W: Write> VariantLog<W> {
    /// Writes into `output`.
    #[must_use]
    pub fn new(output: Output<W>) -> Self {
        Self { output }
    }
}

impl<W: Write> Answer for VariantLog<W> {
    fn begin(&mut self, _heading: &Heading) -> Result<(), AnswerError> {
        self.output.buffer().extend_from_slice(COLUMNS.as_bytes());
        Ok(())
    }

    fn gene(&mut self, heading: &Heading, answer: GeneAnswer) -> Result<(), AnswerError> {
        let (model, (_, gene)) = (heading.model_of(&answer), heading.gene_of(&answer));
        match &answer.variants {
            Some(variants) => {
                for outcome in variants {
                    push_line(self.output.buffer(), &model, gene, outcome);
                    self.output.spill()?;
                }
                Ok(())
            }
            None if answer.by_kind.total() == 0 => Ok(()),
            // An empty log would say that there were none.
            None => Err(AnswerError::Form(format!(
                "the variants of gene '{}' cannot be listed: they were not asked for",
                gene.name
            ))),
        }
    }

    fn finish(&mut self, _heading: &Heading, _report: &Report) -> Result<(), AnswerError> {
        Ok(self.output.finish()?)
    }
}

fn push_line(out: &mut Vec<u8>, model: &str, gene: &ModelGene, outcome: &VariantOutcome) {
    let record = outcome.record.as_ref();
    let place = record.and_then(|record| match record.place {
        Place::Whole => None,
        Place::Line(line) => Some(format!("line {line}")),
        Place::Record(record) => Some(format!("record {record}")),
    });
    push_cell(out, model);
    cell(out, Some(&gene.name));
    cell(out, Some(&outcome.variant));
    cell(out, outcome.chromosome.as_ref());
    cell(out, outcome.position);
    cell(out, Some(&outcome.other_allele));
    cell(out, Some(&outcome.effect_allele));
    cell(out, outcome.weight);
    cell(out, Some(outcome.kind.name()));
    cell(out, Some(&outcome.reason));
    cell(out, place);
    cell(out, record.map(|record| &record.id));
    cell(out, record.and_then(|record| record.chromosome.as_ref()));
    cell(out, record.and_then(|record| record.position));
    cell(out, record.map(|record| &record.reference));
    cell(out, record.map(|record| &record.alt));
    cell(out, Some(outcome.duplicates));
    cell(out, Some(outcome.missing_genotypes));
    out.push(b'\n');
}

/// Appends a tab and a cell; what is not there is unknown.
fn cell(out: &mut Vec<u8>, value: Option<impl Display>) {
    out.push(b'\t');
    match value {
        Some(value) => push_cell(out, &value.to_string()),
        None => out.extend_from_slice(UNKNOWN),
    }
}
