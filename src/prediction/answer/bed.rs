//! Phenotype BED: `#chr start end gene_id sample…`, one row a gene, sorted by place, as `tabix -p bed` takes it.
//!
//! Starts count from 0. `gene_id` is the gene as its model spells it, with several models `MODEL:GENE`. A gene without
//! a place is not lost: it stands on the chromosome [`UNPLACED`] from 0 to 1, all such genes together. Places of
//! different assemblies are never mixed in one file.

use std::io::Write;

use super::{Output, check, push_cell, push_value, row_name};
use crate::genome::{Assembly, Chromosome};
use crate::genotype::report::Report;
use crate::prediction::{Answer, AnswerError, GeneAnswer, Heading};

/// The chromosome of genes without a place.
pub const UNPLACED: &str = "unplaced";

/// Values between two looks at how much waits.
const VALUES: usize = 8192;

/// Writes an answer as phenotype BED.
#[derive(Debug)]
pub struct BedAnswer<W: Write> {
    output: Output<W>,
    last: Last,
}

/// The place of the row before.
#[derive(Debug, Clone, PartialEq)]
struct Last {
    place: Option<(Chromosome, u32)>,
    /// Whether it was a gene without a place.
    unplaced: bool,
    /// Whether there were such genes at all.
    any_unplaced: bool,
}

impl<W: Write> BedAnswer<W> {
    /// Writes into `output`.
    #[must_use]
    pub fn new(output: Output<W>) -> Self {
        Self { output, last: Last { place: None, unplaced: false, any_unplaced: false } }
    }
}

impl Last {
    /// Moves on to the next row; whether it may follow: chromosome by chromosome, start by start, and the genes
    /// without a place together, before or after the others.
    fn follow(&mut self, next: Option<(&Chromosome, u32)>) -> bool {
        match next {
            None => {
                let apart = self.any_unplaced && !self.unplaced;
                (self.unplaced, self.any_unplaced) = (true, true);
                !apart
            }
            Some((chromosome, start)) => {
                let follows = match &self.place {
                    None => true,
                    // Placed genes on both sides would be in two parts.
                    Some(_) if self.unplaced => false,
                    Some(last) => (&last.0, last.1) <= (chromosome, start),
                };
                self.place = Some((chromosome.clone(), start));
                self.unplaced = false;
                follows
            }
        }
    }
}

impl<W: Write> Answer for BedAnswer<W> {
    fn begin(&mut self, heading: &Heading) -> Result<(), AnswerError> {
        one_assembly(heading)?;
        let out = self.output.buffer();
        out.extend_from_slice(b"#chr\tstart\tend\tgene_id");
        for sample in heading.samples.iter() {
            out.push(b'\t');
            push_cell(out, &sample.id);
        }
        out.push(b'\n');
        Ok(self.output.spill()?)
    }

    fn gene(&mut self, heading: &Heading, gene: GeneAnswer) -> Result<(), AnswerError> {
        check(heading, &gene)?;
        let name = row_name(heading, (gene.model, gene.gene));
        let place = gene.interval.as_ref();
        if !self.last.follow(place.map(|(chromosome, start, _)| (chromosome, *start))) {
            return Err(AnswerError::Form(format!(
                "a phenotype BED has to be sorted by place, and gene '{name}' is not after the gene before it: ask for \
                 another form"
            )));
        }
        let out = self.output.buffer();
        match place {
            Some((chromosome, start, end)) => {
                push_cell(out, chromosome.as_str());
                // An empty interval would be no line that an indexer takes.
                out.extend_from_slice(format!("\t{start}\t{}\t", (*end).max(start.saturating_add(1))).as_bytes());
            }
            None => out.extend_from_slice(format!("{UNPLACED}\t0\t1\t").as_bytes()),
        }
        push_cell(out, &name);
        for values in gene.values.chunks(VALUES) {
            let out = self.output.buffer();
            for value in values {
                out.push(b'\t');
                push_value(out, *value);
            }
            self.output.spill()?;
        }
        self.output.buffer().push(b'\n');
        Ok(self.output.spill()?)
    }

    fn finish(&mut self, _heading: &Heading, _report: &Report) -> Result<(), AnswerError> {
        Ok(self.output.finish()?)
    }
}

/// Checks that the models' places are on one assembly, as far as the cards tell.
fn one_assembly(heading: &Heading) -> Result<(), AnswerError> {
    let named = heading.models.iter().filter_map(|model| {
        let assembly = Assembly::parse(model.card.assembly.as_deref()?).ok()?;
        Some((&model.card.name, assembly))
    });
    let named: Vec<_> = named.collect();
    let Some((first, assembly)) = named.first() else { return Ok(()) };
    match named.iter().find(|(_, other)| other != assembly) {
        Some((second, other)) => Err(AnswerError::Form(format!(
            "a phenotype BED has the places of one assembly, and model '{first}' is on {assembly} but model '{second}' \
             on {other}: ask for one of them at a time, or for another form"
        ))),
        None => Ok(()),
    }
}
