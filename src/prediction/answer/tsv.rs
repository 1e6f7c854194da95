//! The reference tool's table: `FID IID gene…`, one row a person.
//!
//! A column is named as the model spells its gene, with several models `MODEL:GENE`. FID is the family's identifier,
//! else the individual's. A row needs a value of every gene, so that all values are held until the end: 8 bytes a gene
//! and person, within the caller's limits.

use std::io::Write;

use super::{Output, check, out_of_order, push_cell, push_value, row_name};
use crate::genotype::report::Report;
use crate::prediction::{Answer, AnswerError, GeneAnswer, Heading};

/// People whose values are brought together at a time: two lines of the cache from every gene.
const PEOPLE: usize = 16;

/// Writes an answer as the reference tool does.
#[derive(Debug)]
pub struct TsvAnswer<W: Write> {
    output: Output<W>,
    /// The genes' names and values; `None` before the heading and after the report.
    genes: Option<Vec<(usize, usize, Vec<f64>)>>,
}

impl<W: Write> TsvAnswer<W> {
    /// Writes into `output`.
    #[must_use]
    pub fn new(output: Output<W>) -> Self {
        Self { output, genes: None }
    }
}

impl<W: Write> Answer for TsvAnswer<W> {
    fn begin(&mut self, _heading: &Heading) -> Result<(), AnswerError> {
        self.genes = Some(Vec::new());
        Ok(())
    }

    fn gene(&mut self, heading: &Heading, gene: GeneAnswer) -> Result<(), AnswerError> {
        check(heading, &gene)?;
        self.genes.as_mut().ok_or_else(out_of_order)?.push((gene.model, gene.gene, gene.values));
        Ok(())
    }

    fn finish(&mut self, heading: &Heading, _report: &Report) -> Result<(), AnswerError> {
        let genes = self.genes.take().ok_or_else(out_of_order)?;
        let out = self.output.buffer();
        out.extend_from_slice(b"FID\tIID");
        for (model, gene, _) in &genes {
            out.push(b'\t');
            push_cell(out, &row_name(heading, (*model, *gene)));
        }
        out.push(b'\n');
        let mut tile = Vec::with_capacity(PEOPLE.min(heading.samples.len()) * genes.len());
        let mut people = heading.samples.iter();
        for first in (0..heading.samples.len()).step_by(PEOPLE) {
            // Gene by gene into rows: a row alone would touch a line of the cache for each of its numbers.
            let count = PEOPLE.min(heading.samples.len() - first);
            tile.clear();
            tile.resize(count * genes.len(), f64::NAN);
            for (at, (_, _, values)) in genes.iter().enumerate() {
                for (person, value) in values.iter().skip(first).take(count).enumerate() {
                    tile[person * genes.len() + at] = *value;
                }
            }
            for (person, sample) in people.by_ref().take(count).enumerate() {
                let out = self.output.buffer();
                push_cell(out, sample.family.as_deref().filter(|family| !family.is_empty()).unwrap_or(&sample.id));
                out.push(b'\t');
                push_cell(out, &sample.id);
                for value in &tile[person * genes.len()..(person + 1) * genes.len()] {
                    out.push(b'\t');
                    push_value(out, *value);
                }
                out.push(b'\n');
                self.output.spill()?;
            }
        }
        Ok(self.output.finish()?)
    }
}
