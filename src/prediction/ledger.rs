//! What has become of every row so far, and the genes' sums: from here the answers and the report are written.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::genome::Chromosome;
use crate::genotype::harmonise::{Count, Fit};
use crate::genotype::policy::Absent;
use crate::genotype::report::{KindCounts, MatchKind, MatchedRecord, VariantOutcome};
use crate::genotype::{Place, Policies, Site};
use crate::model::ModelError;
use crate::model::expression::{Explained, Gathered, GenePrediction, GenotypeModel};

use super::by_chromosome::ByChromosome;
use super::panel::Panel;
use super::{Contributions, Explanation, GeneAnswer, PredictionError, Reason, Request};

/// What has become of a row so far.
#[derive(Debug, Clone, Default)]
pub(crate) struct RowState {
    pub(crate) kind: MatchKind,
    /// How the used record's alleles fit.
    fit: Option<Fit>,
    duplicates: u32,
    pub(crate) missing: u64,
    /// Whether a palindromic variant's strand was decided by frequency.
    by_frequency: bool,
    record: Option<Box<MatchedRecord>>,
}

/// All rows and genes of a pass.
pub(crate) struct Ledger<'a> {
    panel: &'a Panel,
    policies: &'a Policies,
    people: usize,
    keeps_records: bool,
    states: Vec<RowState>,
    open: Vec<Option<Box<dyn GenePrediction + 'a>>>,
    /// Whether a model's genes are gathered: because it wants many together, or to be explained.
    gathers: Vec<bool>,
    /// The dosages of the genes of such models.
    gathered: FxHashMap<u32, Gathered>,
    /// Dosages of people who carry the effect allele nowhere.
    no_copies: Option<Arc<[f32]>>,
    /// Rows by model that a record fits, whether the policies let them be used or not.
    pub(crate) found: Vec<u64>,
    /// Kinds by model, of the genes that have been answered.
    pub(crate) by_kind: Vec<KindCounts>,
    /// Genes by model and how they came out.
    pub(crate) outcomes: Vec<GeneOutcomes>,
    /// Genes that have been answered.
    closed: Vec<bool>,
    /// Records that have a row's identifier but lie where the submission should not have it any more.
    pub(crate) late_records: u64,
    pub(crate) duplicate_records: u64,
    pub(crate) values_lost: u64,
    pub(crate) used_by_chromosome: FxHashMap<Chromosome, u64>,
    /// Kinds by chromosome, of the genes that have been answered.
    pub(crate) by_chromosome: ByChromosome,
}

/// How a model's genes came out.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct GeneOutcomes {
    pub(crate) genes: usize,
    pub(crate) predicted: usize,
    pub(crate) below_min_overlap: usize,
    pub(crate) without_variants: usize,
    pub(crate) without_model: usize,
}

/// What has become of a gene's rows.
struct Tally {
    by_kind: KindCounts,
    /// Rows that were taken for the reference.
    assumed: u64,
    weight_fraction_used: Option<f64>,
}

/// What is to be done with a row that a record may be.
pub(crate) enum Candidate {
    /// The record is used for it.
    Use(Fit),
    /// The record fits, but its strand is not known: frequency has to decide.
    Undecided(Fit),
    /// Nothing.
    Skip,
}

impl<'a> Ledger<'a> {
    pub(crate) fn new(panel: &'a Panel, request: &'a Request, people: usize) -> Self {
        let models = panel.models.len();
        let gathers = panel.models.iter().map(|model| request.explain || model.model.batch() > 1).collect();
        Self {
            panel,
            policies: &request.policies,
            people,
            keeps_records: request.report_variants,
            states: vec![RowState::default(); panel.rows.len()],
            open: panel.genes.iter().map(|_| None).collect(),
            gathers,
            gathered: FxHashMap::default(),
            no_copies: None,
            found: vec![0; models],
            by_kind: vec![KindCounts::default(); models],
            outcomes: vec![GeneOutcomes::default(); models],
            closed: vec![false; panel.genes.len()],
            late_records: 0,
            duplicate_records: 0,
            values_lost: 0,
            used_by_chromosome: FxHashMap::default(),
            by_chromosome: ByChromosome::default(),
        }
    }

    /// Decides what a record is to a row, from its alleles' fit; keeps the record for the report.
    pub(crate) fn consider(&mut self, row: u32, fit: Option<Fit>, record: &Site<'_>) -> Candidate {
        use crate::genotype::policy::Ambiguous;
        let palindromic = self.panel.variant(row).is_palindromic();
        if self.closed[self.panel.rows[row as usize].gene as usize] {
            self.late_records += 1;
            return Candidate::Skip;
        }
        self.by_chromosome.meet(self.panel, row, record);
        let state = &mut self.states[row as usize];
        let Some(fit) = fit else {
            if state.kind == MatchKind::Absent {
                state.kind = MatchKind::Mismatch;
                self.keep(row, record);
            }
            return Candidate::Skip;
        };
        if state.kind.is_used() {
            state.kind = MatchKind::Duplicate;
            state.duplicates += 1;
            self.duplicate_records += 1;
            return Candidate::Skip;
        }
        self.keep(row, record);
        match self.policies.ambiguous {
            Ambiguous::Drop if palindromic => {
                self.leave_ambiguous(row);
                Candidate::Skip
            }
            Ambiguous::Frequency if palindromic => Candidate::Undecided(fit),
            _ => {
                self.accept(row, fit);
                Candidate::Use(fit)
            }
        }
    }

    /// Whether any of the rows has met a record.
    pub(crate) fn has_any(&self, rows: std::ops::Range<usize>) -> bool {
        self.states[rows].iter().any(|state| state.kind != MatchKind::Absent)
    }

    /// Settles a palindromic row by what the frequencies said; `None` leaves it ambiguous.
    pub(crate) fn settle(&mut self, row: u32, fit: Option<Fit>) {
        self.states[row as usize].by_frequency = true;
        match fit {
            Some(fit) => self.accept(row, fit),
            None => self.leave_ambiguous(row),
        }
    }

    fn leave_ambiguous(&mut self, row: u32) {
        let kind = &mut self.states[row as usize].kind;
        if *kind != MatchKind::Ambiguous {
            *kind = MatchKind::Ambiguous;
            self.found[self.panel.model_of(row)] += 1;
        }
    }

    fn accept(&mut self, row: u32, fit: Fit) {
        let state = &mut self.states[row as usize];
        state.kind = fit.kind;
        state.fit = Some(fit);
        self.found[self.panel.model_of(row)] += 1;
    }

    fn keep(&mut self, row: u32, site: &Site<'_>) {
        if self.keeps_records {
            self.states[row as usize].record = Some(Box::new(MatchedRecord {
                place: Place::Whole,
                id: site.ids.to_owned(),
                chromosome: site.chromosome.map(|chromosome| chromosome.as_str().to_owned()),
                position: site.position.map(crate::genome::Position::get),
                reference: site.reference.to_owned(),
                alt: site.alternatives.to_owned(),
            }));
        }
    }

    /// Says where the record that was just kept for these rows is: its site borrows the source, which alone knows.
    pub(crate) fn locate(&mut self, rows: &[u32], place: Place) {
        for row in rows {
            if let Some(record) = &mut self.states[*row as usize].record
                && record.place == Place::Whole
            {
                record.place = place;
            }
        }
    }

    /// Adds a row's effect-allele dosages to its gene.
    pub(crate) fn add(&mut self, row: u32, dosages: &[f32], missing: usize) {
        let of_panel = &self.panel.rows[row as usize];
        self.states[row as usize].missing = missing as u64;
        let (panel, people) = (self.panel, self.people);
        let gene = &panel.genes[of_panel.gene as usize];
        let open = self.open[of_panel.gene as usize]
            .get_or_insert_with(|| panel.models[gene.model].model.start(gene.gene, people));
        open.add(of_panel.row as usize, dosages);
    }

    /// Returns whether a row's gene is to be gathered.
    pub(crate) fn gathers(&self, row: u32) -> bool {
        self.gathers[self.panel.model_of(row)]
    }

    /// Keeps a row's effect-allele dosages for its gene.
    pub(crate) fn gather(&mut self, row: u32, dosages: Arc<[f32]>, missing: usize) {
        let of_panel = &self.panel.rows[row as usize];
        self.states[row as usize].missing = missing as u64;
        let (panel, people) = (self.panel, self.people);
        let gene = || Gathered::new(panel.genes[of_panel.gene as usize].gene, people);
        self.gathered.entry(of_panel.gene).or_insert_with(gene).rows.push((of_panel.row as usize, dosages));
    }

    /// Returns a model of the panel.
    pub(crate) fn model(&self, model: usize) -> &'a dyn GenotypeModel {
        &*self.panel.models[model].model
    }

    /// Closes a gene and makes its answer; the values are still to be made of the dosages where those are returned too.
    pub(crate) fn close(&mut self, gene: u32) -> Result<(GeneAnswer, Option<Gathered>), PredictionError> {
        self.closed[gene as usize] = true;
        let of_panel = &self.panel.genes[gene as usize];
        let rows = of_panel.rows.clone();
        let Tally { by_kind, assumed, weight_fraction_used } = self.tally(rows.clone());
        let states = &self.states;
        self.by_chromosome.count(self.panel, gene, |row| states[row].kind);
        let used = by_kind.used() + assumed;
        let reason = if by_kind.total() == 0 {
            Some(Reason::NoVariantInModel)
        } else if used == 0 {
            let in_input = by_kind.of(MatchKind::Absent) < by_kind.total();
            Some(if in_input { Reason::NoVariantUsable } else { Reason::NoVariantInInput })
        } else if (used as f64) < self.policies.min_overlap * by_kind.total() as f64 {
            Some(Reason::BelowMinOverlap)
        } else {
            None
        };
        self.by_kind[of_panel.model].merge(&by_kind);
        let mut answer = GeneAnswer {
            model: of_panel.model,
            gene: of_panel.gene,
            values: Vec::new(),
            by_kind,
            assumed_reference: assumed,
            weight_fraction_used,
            reason,
            interval: of_panel
                .interval
                .map(|(number, start, end)| (self.panel.chromosomes[number as usize].clone(), start, end)),
            variants: self.keeps_records.then(|| rows.map(|row| self.outcome(row as u32)).collect()),
            explanation: None,
        };
        let sum = self.open[gene as usize].take();
        let gathered = self.gathered.remove(&gene);
        let values = match (reason, sum) {
            (None, Some(sum)) => sum.finish()?,
            (None, None) if gathered.is_some() => return Ok((answer, gathered)),
            _ => vec![f64::NAN; self.people],
        };
        self.finish(&mut answer, values)?;
        Ok((answer, None))
    }

    /// Counts what has become of a gene's rows; those that are taken for the reference get their dosages.
    fn tally(&mut self, rows: std::ops::Range<usize>) -> Tally {
        let mut by_kind = KindCounts::default();
        let (mut importance, mut used_importance) = (0.0, 0.0);
        let homref = self.policies.absent == Absent::Homref;
        let mut assumed = 0;
        for row in rows {
            let kind = self.states[row].kind;
            by_kind.add(kind);
            let weighs = self.model(self.panel.model_of(row as u32)).importance(self.panel.rows[row].row as usize);
            importance += weighs;
            let is_assumed = homref && kind == MatchKind::Absent;
            if is_assumed {
                assumed += 1;
                if self.gathers(row as u32) {
                    let none = Arc::clone(self.no_copies.get_or_insert_with(|| vec![0.0; self.people].into()));
                    self.gather(row as u32, none, 0);
                } else {
                    self.add(row as u32, &vec![0.0; self.people], 0);
                }
            }
            if is_assumed || kind.is_used() {
                used_importance += weighs;
            }
        }
        Tally { by_kind, assumed, weight_fraction_used: (importance > 0.0).then(|| used_importance / importance) }
    }

    /// Gives a gene its values, and counts how it came out.
    pub(crate) fn finish(&mut self, answer: &mut GeneAnswer, values: Vec<f64>) -> Result<(), PredictionError> {
        if values.iter().any(|value| value.is_infinite()) {
            return Err(PredictionError::Model(ModelError::NotFinite));
        }
        let unknown = values.iter().filter(|value| value.is_nan()).count();
        if answer.reason.is_none() && unknown > 0 {
            answer.reason = Some(Reason::MissingGenotypes);
            self.values_lost += unknown as u64;
        }
        let outcomes = &mut self.outcomes[answer.model];
        outcomes.genes += 1;
        outcomes.predicted += usize::from(unknown < self.people);
        match answer.reason {
            Some(Reason::NoVariantInModel) => outcomes.without_model += 1,
            Some(Reason::NoVariantInInput | Reason::NoVariantUsable) => outcomes.without_variants += 1,
            Some(Reason::BelowMinOverlap) => outcomes.below_min_overlap += 1,
            Some(Reason::MissingGenotypes) | None => {}
        }
        answer.values = values;
        Ok(())
    }

    /// Gives a gene its values with what each of its variants has added to them.
    pub(crate) fn finish_explained(
        &mut self,
        answer: &mut GeneAnswer,
        explained: Explained,
    ) -> Result<(), PredictionError> {
        let Explained { values, base, mut contributions, method } = explained;
        let is_wrong = |values: &Vec<f64>| values.iter().any(|value| value.is_infinite());
        if !base.is_finite() || contributions.iter().any(|(_, values)| is_wrong(values)) {
            return Err(PredictionError::Model(ModelError::NotFinite));
        }
        contributions.sort_by_key(|(row, _)| *row);
        let table = self.model(answer.model).variants();
        let one = |(row, values): (usize, Vec<f64>)| Contributions { variant: table.rows[row].name(), values };
        answer.explanation = Some(Explanation { base, method, variants: contributions.into_iter().map(one).collect() });
        self.finish(answer, values)
    }

    fn outcome(&mut self, row: u32) -> VariantOutcome {
        let variant = self.panel.variant(row);
        let of_panel = &self.panel.rows[row as usize];
        let model = &self.panel.models[self.panel.model_of(row)].model;
        let place = variant.place.as_ref();
        let reason = self.reason(row);
        let state = &mut self.states[row as usize];
        VariantOutcome {
            variant: variant.name(),
            chromosome: place.map(|(chromosome, _)| chromosome.as_str().to_owned()),
            position: place.map(|(_, position)| position.get()),
            other_allele: variant.other.to_string(),
            effect_allele: variant.effect.to_string(),
            weight: model.weight(of_panel.row as usize),
            kind: state.kind,
            reason,
            record: state.record.take().map(|record| *record),
            duplicates: state.duplicates,
            missing_genotypes: state.missing,
        }
    }

    fn reason(&self, row: u32) -> String {
        let state = &self.states[row as usize];
        let counted = match state.fit.map(|fit| fit.count) {
            Some(Count::Allele(0)) => "copies of the record's reference allele are counted",
            Some(Count::NotReference) => "nobody differs from the record's reference allele",
            _ => "copies of the record's alternative allele are counted",
        };
        let mut reason = match state.kind {
            MatchKind::Exact => format!("alleles fit as they are: {counted}"),
            MatchKind::Swapped => format!("alleles fit swapped: {counted}"),
            MatchKind::StrandFlipped => format!("alleles fit on the other strand: {counted}"),
            MatchKind::StrandFlippedSwapped => format!("alleles fit on the other strand, swapped: {counted}"),
            MatchKind::Duplicate => format!("{} more records fit: the first is used, {counted}", state.duplicates),
            MatchKind::Ambiguous if state.by_frequency => {
                "palindromic, and the frequencies do not tell the strand: not used".to_owned()
            }
            MatchKind::Ambiguous => "palindromic: the alleles do not tell the strand, not used".to_owned(),
            MatchKind::Mismatch => "a record is there, but its alleles are not the model's: not used".to_owned(),
            MatchKind::Absent if self.policies.absent == Absent::Homref => {
                "no record: taken as homozygous for the reference allele".to_owned()
            }
            MatchKind::Absent => "no record: not used".to_owned(),
        };
        if state.by_frequency && state.kind.is_used() {
            reason.push_str("; palindromic, the strand was told by frequency");
        }
        reason
    }
}
