//! Phenotype BED: `#chr start end gene_id sample…`, one row a gene, sorted by place, as `tabix -p bed` takes it.
//!
//! Starts count from 0. `gene_id` is the gene as its model spells it, with several models `MODEL:GENE`. A gene without
//! a place is not lost: it stands on the chromosome [`UNPLACED`] from 0 to 1, all such genes together. Places of
//! different assemblies are never mixed in one file.

use std::collections::HashSet;
use std::io::Write;

use super::{Output, check, push_cell, push_value, row_name};
use crate::genome::Chromosome;
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

/// Where the rows are: chromosomes one after the other, each once, and by start within.
#[derive(Debug, Default)]
struct Last {
    /// The chromosome of the row before, `None` for genes without a place, and its start.
    row: Option<(Option<Chromosome>, u32)>,
    /// Chromosomes that have ended.
    ended: HashSet<Option<Chromosome>>,
}

impl<W: Write> BedAnswer<W> {
    /// Writes into `output`.
    #[must_use]
    pub fn new(output: Output<W>) -> Self {
        Self { output, last: Last::default() }
    }
}

impl Last {
    /// Moves on to the next row; whether it may follow. Any order of chromosomes will do for tabix, as long as each
    /// is in one piece: it is that of the submission.
    fn follow(&mut self, next: Option<(&Chromosome, u32)>) -> bool {
        let (chromosome, start) = next.map_or((None, 0), |(chromosome, start)| (Some(chromosome.clone()), start));
        match self.row.take() {
            Some((last, before)) if last == chromosome => {
                self.row = Some((chromosome, start));
                before <= start
            }
            last => {
                self.ended.extend(last.map(|(last, _)| last));
                let is_new = !self.ended.contains(&chromosome);
                self.row = Some((chromosome, start));
                is_new
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
    let named = heading.models.iter().zip(&heading.assemblies);
    let named: Vec<_> = named.filter_map(|(model, assembly)| Some((&model.card.name, assembly.as_ref()?))).collect();
    let Some((first, assembly)) = named.first() else { return Ok(()) };
    match named.iter().find(|(_, other)| other != assembly) {
        Some((second, other)) => Err(AnswerError::Form(format!(
            "a phenotype BED has the places of one assembly, and model '{first}' is on {assembly} but model '{second}' \
             on {other}: say the genotypes' assembly, ask for one of them at a time, or for another form"
        ))),
        None => Ok(()),
    }
}
