//! The pass over a submission: each record is looked up once for all models, decoded where somebody wants it, and
//! added to the genes that it belongs to; a gene leaves when the submission has passed its last variant.

mod dosages;
mod reporting;

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::genome::{Assembly, Chromosome};
use crate::genotype::harmonise::{Fit, fit};
use crate::genotype::policy::Absent;
use crate::genotype::report::Report;
use crate::genotype::{GenotypeError, GenotypeSource, Policies, Samples};
use crate::model::expression::ServedGenotypeModel;

use super::diagnosis::Sample as SampledRecords;
use super::ledger::{Candidate, Ledger};
use super::panel::Panel;
use super::queue::Queue;
use super::schedule::Schedule;
use super::selection::Selection;
use super::{Answer, AnswerError, GeneAnswer, Heading, PredictionError};
use dosages::Decoded;

/// People whose genotypes have to be known before their frequency decides about a strand.
pub const FREQUENCY_PEOPLE: usize = 50;
/// How far from ½ both frequencies have to be.
pub const FREQUENCY_MARGIN: f64 = 0.1;
/// How far apart the two frequencies may be on the strand that fits.
pub const FREQUENCY_APART: f64 = 0.2;

/// What a submission is asked.
#[derive(Debug, Clone)]
pub struct Request {
    /// The models and their genes.
    pub selection: Selection,
    /// The people that are wanted, by identifier; all where `None`. They are answered in the input's order.
    pub samples: Option<Vec<String>>,
    /// The policies.
    pub policies: Policies,
    /// Whether every variant is reported.
    pub report_variants: bool,
    /// Whether each value is explained by what every variant has added to it.
    pub explain: bool,
    /// Set from outside when nobody waits for the answer any more.
    pub stop: Arc<AtomicBool>,
}

/// Predicts the expression of a submission's people, writes it to `answer` gene by gene, and returns the report.
///
/// Nothing is written before it is certain that enough of every model matches, so that a submission that does not is
/// refused whole. `panel` gives the panel for the submission's assembly.
///
/// # Errors
/// The submission cannot be read, too little matches, a policy cannot be followed, or the answer cannot be written.
pub fn predict(
    source: &mut dyn GenotypeSource,
    request: &Request,
    panel: impl FnOnce(Option<&Assembly>) -> Arc<Panel>,
    answer: &mut dyn Answer,
) -> Result<Report, PredictionError> {
    let assembly = request.policies.assembly.as_ref().or(source.assembly()).cloned();
    let panel = panel(assembly.as_ref());
    check_assembly(&panel.models, assembly.as_ref())?;
    check_policies(&panel.models, &request.policies)?;
    let (samples, chosen) = choose(source.samples(), request.samples.as_deref())?;
    let people = samples.len();
    let heading = Heading {
        samples: Arc::new(samples),
        models: panel.models.clone(),
        assemblies: (0..panel.models.len()).map(|model| panel.matched_on(model).cloned()).collect(),
        policies: request.policies.clone(),
        explained: request.explain,
        genes_not_found: request.selection.not_found.clone(),
    };
    let mut pass = Pass {
        ledger: Ledger::new(&panel, request, people),
        schedule: Schedule::new(&panel),
        queue: Queue::new(&panel, request.explain),
        panel: &panel,
        request,
        heading,
        chosen,
        answer,
        held: Vec::new(),
        has_begun: false,
        decoded: Vec::new(),
        filled: Vec::new(),
        sampled: SampledRecords::default(),
        current: None,
        seen: HashSet::new(),
        totals: Totals::default(),
    };
    pass.run(source)?;
    pass.finish(source)
}

fn check_policies(models: &[Arc<ServedGenotypeModel>], policies: &Policies) -> Result<(), PredictionError> {
    let lacking = models.iter().find(|model| !model.model.variants().other_is_reference);
    match lacking {
        Some(model) if policies.absent == Absent::Homref => Err(PredictionError::Policy(format!(
            "absent=homref needs to know each variant's reference allele, which model '{}' does not say: leave it out, \
             or use absent=unknown",
            model.card.name
        ))),
        _ => Ok(()),
    }
}

/// Refuses an assembly that neither a model nor this program has heard of: it is a misspelling far more often than a
/// genome that no model is of.
fn check_assembly(models: &[Arc<ServedGenotypeModel>], assembly: Option<&Assembly>) -> Result<(), PredictionError> {
    let Some(assembly) = assembly.filter(|assembly| !assembly.is_known()) else { return Ok(()) };
    let of_models = models.iter().flat_map(|model| {
        let table = model.model.variants();
        [table.assembly.as_ref(), table.lifted.as_ref().map(|lifted| &lifted.assembly)]
    });
    let mut names: Vec<&str> = of_models.flatten().map(Assembly::as_str).chain(["GRCh37", "GRCh38"]).collect();
    names.sort_unstable();
    names.dedup();
    if names.contains(&assembly.as_str()) {
        return Ok(());
    }
    Err(PredictionError::Policy(format!("there is no assembly '{assembly}' here; there are: {}", names.join(", "))))
}

/// The people that are wanted, and their places in the input where not all are.
fn choose(samples: &Samples, wanted: Option<&[String]>) -> Result<(Samples, Option<Vec<u32>>), PredictionError> {
    let Some(wanted) = wanted else { return Ok((samples.clone(), None)) };
    let set: HashSet<&str> = wanted.iter().map(String::as_str).collect();
    let chosen: Vec<u32> =
        samples.iter().enumerate().filter(|(_, sample)| set.contains(&*sample.id)).map(|(at, _)| at as u32).collect();
    if chosen.len() < set.len() {
        let known: HashSet<&str> = samples.iter().map(|sample| &*sample.id).collect();
        let stranger = wanted.iter().find(|id| !known.contains(id.as_str())).cloned().unwrap_or_default();
        return Err(PredictionError::NoSuchSample(stranger));
    }
    Ok((samples.subset(&chosen), Some(chosen)))
}

/// What was counted on the way.
#[derive(Debug, Default)]
struct Totals {
    records: u64,
    unused: u64,
    /// Identifiers of variants met elsewhere than at the variant's place.
    displaced: u64,
    missing: u64,
    imputed: u64,
    haploid: u64,
    haploid_scaled: u64,
}

struct Pass<'a> {
    panel: &'a Panel,
    request: &'a Request,
    heading: Heading,
    chosen: Option<Vec<u32>>,
    ledger: Ledger<'a>,
    schedule: Schedule,
    queue: Queue,
    answer: &'a mut dyn Answer,
    /// Answers that wait until enough has matched.
    held: Vec<GeneAnswer>,
    has_begun: bool,
    decoded: Vec<Decoded>,
    filled: Vec<f32>,
    sampled: SampledRecords,
    /// The current chromosome, its number in the panel, and the last position on it.
    current: Option<(Chromosome, Option<u32>, u32)>,
    seen: HashSet<Chromosome>,
    totals: Totals,
}

impl Pass<'_> {
    fn run(&mut self, source: &mut dyn GenotypeSource) -> Result<(), PredictionError> {
        let in_order = source.is_in_order();
        let mut candidates: Vec<u32> = Vec::new();
        let mut wanted: Vec<(u32, Fit)> = Vec::new();
        let mut undecided: Vec<(u32, Fit)> = Vec::new();
        loop {
            self.check_stop()?;
            let Some(site) = source.next_site()? else { break };
            self.totals.records += 1;
            self.sampled.keep(self.panel, &site);
            let moved = match (site.chromosome, site.position) {
                (Some(chromosome), position) => {
                    Some(self.step(chromosome, position.map_or(0, crate::genome::Position::get), in_order))
                }
                (None, _) => None,
            };
            let (number, due) = match moved {
                Some(Ok(step)) => step,
                Some(Err(error)) => return Err(error.at(source.place()).into()),
                None => (None, Vec::new()),
            };
            // Before the record is looked at: what it adds must not go to a gene that has been answered.
            for gene in due {
                self.close(gene)?;
            }
            self.totals.displaced += self.panel.lookup(&site, number, &mut candidates);
            wanted.clear();
            undecided.clear();
            for row in &candidates {
                let (other, effect) = self.panel.alleles(*row);
                match self.ledger.consider(*row, fit(&site, other, effect), &site) {
                    Candidate::Use(fit) => wanted.push((*row, fit)),
                    Candidate::Undecided(fit) => undecided.push((*row, fit)),
                    Candidate::Skip => {}
                }
            }
            let chromosome = site.chromosome.cloned();
            if self.request.report_variants {
                self.ledger.locate(&candidates, source.place());
            }
            if wanted.is_empty() && undecided.is_empty() {
                self.totals.unused += 1;
                continue;
            }
            self.take(source, &mut wanted, &undecided, chromosome.as_ref())?;
        }
        Ok(())
    }

    fn check_stop(&self) -> Result<(), AnswerError> {
        if self.request.stop.load(Ordering::Relaxed) {
            let gone = std::io::Error::new(std::io::ErrorKind::ConnectionAborted, "nobody waits for the answer");
            return Err(AnswerError::Io(gone));
        }
        Ok(())
    }

    /// Notes where the submission is; returns the chromosome's number and the genes that are complete.
    fn step(
        &mut self,
        chromosome: &Chromosome,
        position: u32,
        in_order: bool,
    ) -> Result<(Option<u32>, Vec<u32>), GenotypeError> {
        let mut due = Vec::new();
        match &mut self.current {
            Some((current, number, last)) if current == chromosome => {
                if in_order && position != 0 {
                    if position < *last {
                        return Err(GenotypeError::malformed(format!(
                            "the records are not sorted: position {position} of {chromosome} comes after {last}; sort \
                             them, for example with 'bcftools sort' or 'plink2 --sort-vars'"
                        )));
                    }
                    if let Some(number) = *number
                        && position > *last
                        && self.panel.genes_end_at_their_last_place
                    {
                        due.extend(std::iter::from_fn(|| self.schedule.passed(self.panel, number, position)));
                    }
                    *last = position;
                }
                return Ok((*number, due));
            }
            Some((_, Some(number), _)) if in_order && self.panel.genes_end_at_their_last_place => {
                due = self.schedule.finish(*number);
            }
            _ => {}
        }
        if !self.seen.insert(chromosome.clone()) && in_order {
            return Err(GenotypeError::malformed(format!(
                "the records are not sorted: {chromosome} comes again after another chromosome; sort them, for \
                 example with 'bcftools sort' or 'plink2 --sort-vars'"
            )));
        }
        let number = self.panel.number_of(chromosome);
        self.current = Some((chromosome.clone(), number, position));
        Ok((number, due))
    }

    /// Decodes what the wanted rows count, and adds it to their genes.
    fn take(
        &mut self,
        source: &mut dyn GenotypeSource,
        wanted: &mut Vec<(u32, Fit)>,
        undecided: &[(u32, Fit)],
        chromosome: Option<&Chromosome>,
    ) -> Result<(), PredictionError> {
        self.decoded.iter_mut().for_each(|decoded| decoded.count = None);
        for (row, fit) in undecided {
            let at = self.decode(source, fit.count, chromosome)?;
            let decoded = &self.decoded[at];
            let model = self.panel.variant(*row).frequency.map(f64::from);
            let fit = resolve(*fit, model, decoded.frequency, decoded.called);
            self.ledger.settle(*row, fit);
            wanted.extend(fit.map(|fit| (*row, fit)));
        }
        if wanted.is_empty() {
            self.totals.unused += 1;
            return Ok(());
        }
        if let Some(chromosome) = chromosome {
            match self.ledger.used_by_chromosome.get_mut(chromosome) {
                Some(count) => *count += 1,
                None => drop(self.ledger.used_by_chromosome.insert(chromosome.clone(), 1)),
            }
        }
        for (row, fit) in wanted.iter().copied() {
            self.add(source, (row, fit.count), chromosome)?;
        }
        let first = self.decoded.iter().find(|decoded| decoded.count.is_some());
        self.totals.missing += first.map_or(0, |decoded| decoded.row.missing as u64);
        self.totals.haploid += first.map_or(0, |decoded| decoded.row.haploid.len() as u64);
        Ok(())
    }

    fn close(&mut self, gene: u32) -> Result<(), PredictionError> {
        self.check_stop()?;
        let closed = self.ledger.close(gene)?;
        self.queue.push(&mut self.ledger, closed)?;
        self.give()
    }

    /// Gives the genes that have their values to the answer.
    fn give(&mut self) -> Result<(), PredictionError> {
        while let Some(answer) = self.queue.pop() {
            self.give_one(answer)?;
        }
        Ok(())
    }

    fn give_one(&mut self, answer: GeneAnswer) -> Result<(), PredictionError> {
        if !self.has_begun && !self.is_assured() {
            self.held.push(answer);
            return Ok(());
        }
        self.begin()?;
        Ok(self.answer.gene(&self.heading, answer)?)
    }

    fn begin(&mut self) -> Result<(), PredictionError> {
        if !self.has_begun {
            self.has_begun = true;
            self.answer.begin(&self.heading)?;
            for answer in std::mem::take(&mut self.held) {
                self.answer.gene(&self.heading, answer)?;
            }
        }
        Ok(())
    }

    /// Whether enough of every model has matched, whatever is still to come.
    fn is_assured(&self) -> bool {
        let least = self.request.policies.min_overlap;
        let rows = &self.panel.rows_of_models;
        let is_assured = |found: u64, rows: u64| rows == 0 || found > 0 && found as f64 >= least * rows as f64;
        self.ledger.found.iter().zip(rows).all(|(found, rows)| is_assured(*found, *rows))
    }

    fn finish(mut self, source: &dyn GenotypeSource) -> Result<Report, PredictionError> {
        let genes_left_on_the_way = source.is_in_order() && self.panel.genes_end_at_their_last_place;
        // The chromosome that the input ended on first: a chromosome's genes stay together.
        let mut left = match &self.current {
            Some((_, Some(number), _)) if genes_left_on_the_way => self.schedule.finish(*number),
            _ => Vec::new(),
        };
        left.extend(self.schedule.finish_all());
        for gene in left {
            self.close(gene)?;
        }
        self.queue.finish(&mut self.ledger)?;
        self.give()?;
        let report = self.report(source);
        if report.diagnosis.is_some() {
            return Err(PredictionError::LowOverlap(Box::new(report)));
        }
        self.begin()?;
        self.answer.finish(&self.heading, &report)?;
        Ok(report)
    }
}

/// The strand of a palindromic variant on which the submitted frequency fits the model's, where that is clear.
fn resolve(fit: Fit, model: Option<f64>, submitted: f64, called: usize) -> Option<Fit> {
    let model = model?;
    let is_clear = |frequency: f64| (frequency - 0.5).abs() >= FREQUENCY_MARGIN;
    if called < FREQUENCY_PEOPLE || !is_clear(model) || !is_clear(submitted) {
        return None;
    }
    let same_side = (model < 0.5) == (submitted < 0.5);
    let on_strand = if same_side { submitted } else { 1.0 - submitted };
    let fits = (model - on_strand).abs() <= FREQUENCY_APART;
    fits.then(|| if same_side { fit } else { fit.on_other_strand() })
}
