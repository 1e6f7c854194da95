//! The report of a pass, from what its ledger has counted.

use std::collections::HashSet;

use super::Pass;
use crate::genotype::GenotypeSource;
use crate::genotype::policy::Missing;
use crate::genotype::report::{AssemblyFound, KindCounts, MatchKind, ModelReport, Report};
use crate::model::expression::name_among;
use crate::prediction::panel::{NEAR, Positions};

impl Pass<'_> {
    pub(super) fn report(&self, source: &dyn GenotypeSource) -> Report {
        let models: Vec<ModelReport> = (0..self.panel.models.len()).map(|model| self.model_report(model)).collect();
        let mut by_kind = KindCounts::default();
        self.ledger.by_kind.iter().for_each(|counts| by_kind.merge(counts));
        let policies = self.request.policies.clone();
        let assembly = match (&policies.assembly, source.assembly()) {
            (Some(named), _) => Some(AssemblyFound { name: named.to_string(), from: "request" }),
            (None, Some(found)) => Some(AssemblyFound { name: found.to_string(), from: "input" }),
            (None, None) => None,
        };
        Report {
            records: self.totals.records,
            records_unused: self.totals.unused,
            format: source.format().to_owned(),
            assembly,
            by_kind,
            duplicate_records: self.ledger.duplicate_records,
            missing_genotypes: self.totals.missing,
            values_lost_to_missing: self.ledger.values_lost,
            haploid_calls: self.totals.haploid,
            diagnosis: models.iter().find_map(|model| model.diagnosis.clone()),
            notes: self.notes(source, &by_kind),
            models,
            used_by_chromosome: self
                .ledger
                .used_by_chromosome
                .iter()
                .map(|(chromosome, count)| (chromosome.as_str().to_owned(), *count))
                .collect(),
            by_chromosome: self.ledger.by_chromosome.named(),
            policies,
        }
    }

    fn model_report(&self, model: usize) -> ModelReport {
        let found = self.ledger.found[model];
        let rows = self.rows_within_reach(model);
        let possible = rows.min(self.totals.records);
        let overlap = if possible == 0 { 0.0 } else { (found as f64 / possible as f64).min(1.0) };
        // A model none of whose variants is on the submitted chromosomes is no mistake unless all are like that.
        let nothing_at_all = self.ledger.found.iter().all(|found| *found == 0);
        let all_rows = self.panel.rows_of_models[model];
        let is_low = match found {
            // Nothing to be found is no mistake either.
            0 => rows > 0 || all_rows > 0 && (self.has_rows_anywhere(model) || nothing_at_all),
            _ => overlap < self.request.policies.min_overlap,
        };
        let outcomes = self.ledger.outcomes[model];
        ModelReport {
            model: name_among(&self.panel.models, model).into_owned(),
            matched_on: self.panel.matched_on(model).map(ToString::to_string),
            by_kind: self.ledger.by_kind[model],
            overlap,
            genes: outcomes.genes,
            genes_predicted: outcomes.predicted,
            genes_below_min_overlap: outcomes.below_min_overlap,
            genes_without_variants: outcomes.without_variants,
            genes_without_model: outcomes.without_model,
            diagnosis: is_low.then(|| self.sampled.diagnose(self.panel, model, found, all_rows)),
        }
    }

    /// Rows of a model that the submission could have: those on its chromosomes, and of those without a place the ones
    /// of genes that it has another variant of, since nothing else tells where they are.
    fn rows_within_reach(&self, model: usize) -> u64 {
        let seen: HashSet<u32> = self.seen.iter().filter_map(|chromosome| self.panel.number_of(chromosome)).collect();
        let mut within = 0;
        for gene in self.panel.genes.iter().filter(|gene| gene.model == model) {
            let is_touched = self.ledger.has_any(gene.rows.clone());
            let rows = self.panel.rows[gene.rows.clone()].iter();
            within += rows.filter(|row| row.place.map_or(is_touched, |(number, _)| seen.contains(&number))).count();
        }
        within as u64
    }

    /// Whether a row of the model has no place, so that the submission's chromosomes do not explain its absence.
    fn has_rows_anywhere(&self, model: usize) -> bool {
        let mut genes = self.panel.genes.iter().filter(|gene| gene.model == model);
        genes.any(|gene| self.panel.rows[gene.rows.clone()].iter().any(|row| row.place.is_none()))
    }

    fn notes(&self, source: &dyn GenotypeSource, by_kind: &KindCounts) -> Vec<String> {
        let mut notes = Vec::new();
        let policies = &self.request.policies;
        if let (Some(named), Some(found)) = (&policies.assembly, source.assembly())
            && named != found
        {
            notes.push(format!("the input's header says {found}, the request says {named}: the request was followed"));
        }
        for (model, positions) in self.panel.models.iter().zip(&self.panel.positions) {
            let table = model.model.variants();
            if *positions == Positions::None
                && let Some(own) = &table.assembly
            {
                notes.push(format!(
                    "the positions of model '{}' are on {own} and were not compared: its variants were found by \
                     identifier alone; import it with a liftover chain to match by position",
                    model.card.name
                ));
            }
        }
        let lost = self.ledger.values_lost;
        if lost > 0 {
            notes.push(format!(
                "{lost} values are not known because a genotype is missing and the model has no allele frequency for \
                 it; missing=cohort puts the submitted people's mean in its place, missing=ref the reference allele"
            ));
        }
        if self.totals.imputed > 0 {
            let how = match policies.missing {
                Missing::Mean => "the mean by the model's allele frequency",
                Missing::Cohort => "the submitted people's mean",
                Missing::Ref => "two copies of the reference allele",
                Missing::Drop | Missing::Error => "nothing",
            };
            notes.push(format!("{} missing genotypes, counted once a gene, were taken as {how}", self.totals.imputed));
        }
        let displaced = self.totals.displaced;
        if displaced > 0 {
            notes.push(if self.panel.places_are_certain {
                format!(
                    "{displaced} variants' identifiers were met more than {NEAR} bases from the variant's place on this \
                     assembly: those records were not used; is the assembly right?"
                )
            } else {
                format!(
                    "{displaced} variants were found by identifier more than {NEAR} bases from where the model has them: \
                     the input is probably on another assembly than the model; name the input's by assembly=, so that \
                     no position is taken for another variant's"
                )
            });
        }
        let late = self.ledger.late_records;
        if late > 0 {
            notes.push(format!(
                "{late} records without a place have the identifier of a variant whose gene was behind them already: \
                 they were not used"
            ));
        }
        if self.totals.haploid > 0 {
            notes.push(format!(
                "{} haploid calls: {} of males on chromosome X count twice, the others as they are",
                self.totals.haploid, self.totals.haploid_scaled
            ));
        }
        let ambiguous = by_kind.of(MatchKind::Ambiguous);
        if ambiguous > 0 {
            notes.push(format!(
                "{ambiguous} palindromic variants were not used, since their alleles do not tell the strand; \
                 ambiguous=keep uses them as they are, ambiguous=frequency where the frequencies tell"
            ));
        }
        notes
    }
}
