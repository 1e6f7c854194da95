//! How often intervals hold on scored genes, for each case of how much is known of a gene itself.

use super::super::compare::{EvaluationSettings, Method};
use super::super::metrics::median;
use super::super::report::GroupKind;
use super::ask::{Case, Exam, Value, some_of};
use super::report::{Coverage, GroupCoverage, StratumCoverage, TissueCoverage};
use crate::model::manifest::{Calibration, Stratum};
use crate::model::{Known, ModelError};
use crate::reference::{GeneIndex, Reference};
use crate::training::calibration::draw_count;
use crate::training::init::generator;

/// How often each gene is hidden anew where some of its tissues stay known.
const DRAWS: usize = 4;

/// How far coverage over all values may lie from the nominal one.
const OVERALL: f64 = 0.02;

/// How far the coverage of any tissue may.
const BY_TISSUE: f64 = 0.05;

/// Returns how many predictions a calibration takes to be measured on so many genes.
pub(super) fn predictions(calibration: &Calibration, genes: usize) -> usize {
    calibration.strata.iter().map(|stratum| genes * draws(stratum.known)).sum()
}

const fn draws(known: Known) -> usize {
    match known {
        Known::None => 1,
        Known::Few | Known::Many => DRAWS,
    }
}

/// What intervals are measured on.
pub(super) struct Measure<'a> {
    pub(super) reference: &'a Reference,
    pub(super) genes: &'a [GeneIndex],
    pub(super) groups: &'a [(GroupKind, Vec<usize>)],
    pub(super) settings: &'a EvaluationSettings,
}

impl Measure<'_> {
    /// Measures the intervals of a method.
    pub(super) fn of(
        &self,
        method: &Method<'_>,
        calibration: &Calibration,
        step: &mut dyn FnMut(usize),
    ) -> Result<Coverage, ModelError> {
        let exam = Exam { truth: self.reference, seen: self.reference, genes: self.genes, told: None };
        let mut strata = Vec::with_capacity(calibration.strata.len());
        for stratum in &calibration.strata {
            let values = exam.ask(method.model, &self.cases(stratum.known), step)?;
            strata.extend(self.stratum(stratum, calibration.level, &values));
        }
        Ok(Coverage { method: method.name.to_owned(), level: calibration.level, strata })
    }

    /// Draws what is hidden: as much as when half widths were set, but of other genes and by another seed.
    fn cases(&self, known: Known) -> Vec<Case> {
        let tissues = self.reference.tissues().len();
        let mut cases = Vec::with_capacity(self.genes.len() * draws(known));
        for (place, gene) in self.genes.iter().enumerate() {
            let purpose = format!("intervals, {} known of {}", known.as_str(), self.reference.gene(*gene).id.as_str());
            let mut rng = generator(self.settings.seed, &purpose);
            for _ in 0..draws(known) {
                let hidden = tissues - draw_count(known, tissues, &mut rng).min(tissues);
                cases.push(Case { place, hidden: some_of(tissues, hidden, &mut rng) });
            }
        }
        cases
    }

    fn stratum(&self, stratum: &Stratum, level: f64, values: &[Value]) -> Option<StratumCoverage> {
        let inside: Vec<Interval> = values.iter().map(|value| Interval::of(value, stratum)).collect();
        let share = |keep: &dyn Fn(&Value) -> bool| {
            let own = values.iter().zip(&inside).filter(|(value, _)| keep(value));
            let (held, all) = own.fold((0u32, 0u32), |(held, all), (_, at)| (held + u32::from(at.holds), all + 1));
            (all > 0).then(|| f64::from(held) / f64::from(all))
        };
        let coverage = share(&|_| true)?;
        let mut tissues: Vec<TissueCoverage> = (0..self.reference.tissues().len())
            .filter_map(|tissue| {
                let coverage = share(&|value| value.tissue == tissue)?;
                Some(TissueCoverage { tissue: self.reference.tissues()[tissue].id().to_owned(), coverage })
            })
            .collect();
        tissues.sort_by(|a, b| a.coverage.total_cmp(&b.coverage));
        let (lowest, highest) = (tissues.first()?.clone(), tissues.last()?.clone());
        let of_group = |(kind, members): &(GroupKind, Vec<usize>)| {
            let coverage = share(&|value| members.binary_search(&value.place).is_ok())?;
            Some(GroupCoverage { kind: kind.clone(), genes: members.len(), coverage })
        };
        // A share that is exactly at the edge is within it.
        let near = |share: f64, reach: f64| (share - level).abs() <= reach + 1e-9;
        Some(StratumCoverage {
            known: stratum.known,
            values: values.len(),
            coverage,
            overall_met: near(coverage, OVERALL),
            tissues_met: near(lowest.coverage, BY_TISSUE) && near(highest.coverage, BY_TISSUE),
            lowest,
            highest,
            median_width: median(&inside.iter().map(|at| at.width).collect::<Vec<_>>()),
            groups: self.groups.iter().filter(|(kind, _)| *kind != GroupKind::All).filter_map(of_group).collect(),
        })
    }
}

/// An interval as it is served: no value is below 0, on the log scale either.
struct Interval {
    holds: bool,
    width: f64,
}

impl Interval {
    fn of(value: &Value, stratum: &Stratum) -> Self {
        let half = stratum.half_width.get(value.tissue).copied().unwrap_or(f32::INFINITY) * value.spread;
        let (low, high) = ((value.predicted - half).max(0.0), (value.predicted + half).max(0.0));
        Self { holds: (low..=high).contains(&value.truth), width: f64::from(high) - f64::from(low) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_is_cut_at_nothing_expressed() {
        let stratum = Stratum {
            known: Known::None,
            genes: 1,
            half_width: vec![1.0],
            coverage: 0.9,
            coverage_by_tissue: Vec::new(),
        };
        let at =
            |predicted, spread, truth| Interval::of(&Value { place: 0, tissue: 0, truth, predicted, spread }, &stratum);
        assert!(at(0.5, 1.0, 0.0).holds && at(0.5, 1.0, 1.5).holds && !at(0.5, 1.0, 1.6).holds);
        assert!((at(0.5, 1.0, 0.0).width - 1.5).abs() < 1e-6);
        assert!((at(3.0, 0.5, 0.0).width - 1.0).abs() < 1e-6 && !at(3.0, 0.5, 3.6).holds, "spread narrows it");
        assert!(at(-2.0, 1.0, 0.0).holds, "far below 0 the interval is 0 alone");
    }
}
