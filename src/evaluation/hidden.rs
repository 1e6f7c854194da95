//! Accuracy where part of a scored gene's own tissues is hidden: schemes, controls, and how often intervals hold.
//!
//! Imports `genome`, `reference`, `model`, `training` and its siblings. Invariants: every method is asked with the same
//! tissues hidden, which depend on the seed and the gene alone; a method is only told what is not hidden; errors are in
//! log2(1 + x) of the dataset's unit, whatever the method's own scale of them.
//!
//! [`Hiding::OneTissue`] stands for a laboratory that never measured a tissue: it would lack it for every gene, scored
//! and neighbouring alike. Here it is hidden in the scored gene's own profile alone; the neighbours that a method reads
//! and the genes that it was fitted to still have it, so that this scheme shows how well a known tissue is filled in
//! and not how well one that the dataset lacks.

mod ask;
mod coverage;
pub mod report;
mod scores;
mod table;

use ask::{Case, Exam};
use report::{ControlTable, HiddenGroup, HiddenReport, HiddenRow, SchemeTable};
use scores::GeneErrors;

use super::compare::{EvaluationSettings, Method, Progress};
use super::controls::{Control, deranged};
use super::report::{GroupKind, memberships};
use crate::model::manifest::Hiding;
use crate::model::{ModelError, Scale};
use crate::reference::{GeneIndex, Reference};
use crate::training::folds::Split;

/// The scheme that groups and controls are shown for, and the figure of a method.
pub const MAIN: Hiding = Hiding::ThirtyToNinety;

/// A sink for finished predictions: of which method, under which control, how many.
type Step<'a> = &'a mut dyn FnMut(&str, Option<Control>, usize);

/// Scores methods on the test genes of a split with part of each gene's own tissues hidden.
///
/// Methods that read what is known of a gene itself are run under every scheme; all others of the log scale only where
/// everything is hidden, and those of the min–max scale not at all: they give no level. [`Control`]s are run under
/// [`MAIN`] for the methods that have them on. Intervals are measured where a method has a calibration.
///
/// # Errors
/// A method fails, or the split has no test gene.
pub fn evaluate(
    reference: &Reference,
    split: &Split,
    methods: &[Method<'_>],
    settings: &EvaluationSettings,
    progress: &dyn Fn(Progress<'_>),
) -> Result<HiddenReport, ModelError> {
    if split.test.is_empty() {
        return Err(ModelError::NoReferenceGene);
    }
    let methods: Vec<&Method<'_>> = methods.iter().filter(|method| method.model.scale() == Scale::Log2).collect();
    let groups = EvaluationSettings { thresholds_bp: Vec::new(), ..settings.clone() };
    let groups = memberships(reference, &split.test, &groups);
    let work = Work { reference, genes: &split.test, groups: &groups, methods, settings };
    let schemes: Vec<(Hiding, Vec<Case>)> = Hiding::ALL
        .into_iter()
        .map(|scheme| (scheme, ask::draw(reference, work.genes, scheme, settings)))
        .filter(|(_, cases)| !cases.is_empty())
        .collect();
    let total = work.predictions(&schemes);
    let mut done = 0;
    let mut step = |method: &str, control: Option<Control>, predictions: usize| {
        done += predictions;
        progress(Progress { method, control, done, total });
    };
    let mut report = HiddenReport { every_tissue: settings.every_tissue, ..HiddenReport::default() };
    for (scheme, cases) in &schemes {
        work.scheme(*scheme, cases, &mut report, &mut step)?;
    }
    if let Some((_, cases)) = schemes.iter().find(|(scheme, _)| *scheme == MAIN) {
        for control in Control::ALL {
            report.controls.extend(work.control(control, cases, &mut step)?);
        }
    }
    for method in &work.methods {
        if let Some(calibration) = method.calibration {
            let measure = coverage::Measure { reference, genes: work.genes, groups: &groups, settings };
            let mut count = |predictions: usize| step(method.name, None, predictions);
            report.coverage.push(measure.of(method, calibration, &mut count)?);
        }
    }
    Ok(report)
}

/// What is scored on what.
struct Work<'a> {
    reference: &'a Reference,
    genes: &'a [GeneIndex],
    groups: &'a [(GroupKind, Vec<usize>)],
    methods: Vec<&'a Method<'a>>,
    settings: &'a EvaluationSettings,
}

impl Work<'_> {
    /// Returns the methods that are run under a scheme.
    fn methods(&self, scheme: Hiding) -> impl Iterator<Item = &&Method<'_>> {
        self.methods.iter().filter(move |method| scheme == Hiding::All || method.model.reads_measured())
    }

    fn controlled(&self) -> impl Iterator<Item = &&Method<'_>> {
        self.methods(MAIN).filter(|method| method.controls)
    }

    /// Returns how many predictions all of it takes.
    fn predictions(&self, schemes: &[(Hiding, Vec<Case>)]) -> usize {
        let plain = schemes.iter().map(|(scheme, cases)| cases.len() * self.methods(*scheme).count());
        let main = schemes.iter().find(|(scheme, _)| *scheme == MAIN).map_or(0, |(_, cases)| cases.len());
        let intervals = self.methods.iter().filter_map(|method| method.calibration);
        plain.sum::<usize>()
            + main * self.controlled().count() * Control::ALL.len()
            + intervals.map(|calibration| coverage::predictions(calibration, self.genes.len())).sum::<usize>()
    }

    /// Runs a scheme and adds its table, and those of the groups where they are shown.
    fn scheme(
        &self,
        scheme: Hiding,
        cases: &[Case],
        report: &mut HiddenReport,
        step: Step<'_>,
    ) -> Result<(), ModelError> {
        let exam = Exam { truth: self.reference, seen: self.reference, genes: self.genes, told: None };
        let mut errors = Vec::new();
        let mut table = SchemeTable {
            scheme,
            genes: self.genes.len(),
            values: cases.iter().map(|case| case.hidden.len()).sum(),
            rows: Vec::new(),
        };
        for method in self.methods(scheme) {
            let values = exam.ask(method.model, cases, &mut |asked| step(method.name, None, asked))?;
            let of_gene = GeneErrors::of(&values, self.genes.len(), scheme);
            let everyone: Vec<usize> = (0..self.genes.len()).collect();
            let row = of_gene.row(method.name, &everyone, self.settings);
            table.rows.push(HiddenRow { tissues: scores::by_tissue(&values, self.reference.tissues()), ..row });
            errors.push((method.name, of_gene));
        }
        report.schemes.extend((!table.rows.is_empty()).then_some(table));
        if scheme == MAIN || scheme == Hiding::All {
            for (kind, members) in self.groups.iter().filter(|(kind, _)| *kind != GroupKind::All) {
                let rows: Vec<HiddenRow> =
                    errors.iter().map(|(name, of_gene)| of_gene.row(name, members, self.settings)).collect();
                let group = HiddenGroup { scheme, kind: kind.clone(), genes: members.len(), rows };
                report.groups.extend((!group.rows.is_empty()).then_some(group));
            }
        }
        Ok(())
    }

    /// Runs the methods that have controls on under one of them.
    fn control(&self, control: Control, cases: &[Case], step: Step<'_>) -> Result<Option<ControlTable>, ModelError> {
        if self.controlled().next().is_none() {
            return Ok(None);
        }
        let changed = control.apply(self.reference, self.settings.seed);
        let others = (control == Control::ShuffledOwnTissues).then(|| deranged(self.genes, self.settings.seed));
        let exam = Exam {
            truth: self.reference,
            seen: changed.as_ref().unwrap_or(self.reference),
            genes: self.genes,
            told: others.as_deref(),
        };
        let everyone: Vec<usize> = (0..self.genes.len()).collect();
        let mut rows = Vec::new();
        for method in self.controlled() {
            let values = exam.ask(method.model, cases, &mut |asked| step(method.name, Some(control), asked))?;
            rows.push(GeneErrors::of(&values, self.genes.len(), MAIN).row(method.name, &everyone, self.settings));
        }
        Ok(Some(ControlTable { control, scheme: MAIN, rows }))
    }
}

#[cfg(test)]
mod tests;
