//! The dosages of the current record: decoded once for all who count the same allele, with what stands in for missing
//! genotypes.

use std::sync::Arc;

use super::Pass;
use crate::genome::Chromosome;
use crate::genotype::harmonise::Count;
use crate::genotype::policy::Missing;
use crate::genotype::{DosageRow, Fault, GenotypeError, GenotypeSource, Sex};

/// The dosages of what was counted at the current record.
#[derive(Default)]
pub(super) struct Decoded {
    pub(super) count: Option<Count>,
    /// Of all people, for frequencies.
    pub(super) frequency: f64,
    pub(super) called: usize,
    /// Of the chosen people.
    pub(super) row: DosageRow,
    /// Copies for genes that gather their dosages, by the bits of what stands in for missing ones.
    shared: Vec<(Option<u32>, Arc<[f32]>)>,
}

impl Decoded {
    /// Copies the dosages, with `stand_in` for the missing ones.
    pub(super) fn fill(&self, stand_in: f32, filled: &mut Vec<f32>) {
        filled.clear();
        filled.extend(self.row.values.iter().map(|dosage| if dosage.is_nan() { stand_in } else { *dosage }));
    }

    /// Returns the dosages to be kept, with what stands in for the missing ones; genes that keep the same share them.
    pub(super) fn shared(&mut self, stand_in: Option<f32>) -> Arc<[f32]> {
        let key = stand_in.map(f32::to_bits);
        if let Some((_, dosages)) = self.shared.iter().find(|(other, _)| *other == key) {
            return Arc::clone(dosages);
        }
        let dosages: Arc<[f32]> = match stand_in {
            None => self.row.values.as_slice().into(),
            Some(stand_in) => {
                self.row.values.iter().map(|dosage| if dosage.is_nan() { stand_in } else { *dosage }).collect()
            }
        };
        self.shared.push((key, Arc::clone(&dosages)));
        dosages
    }
}

impl Pass<'_> {
    /// Adds the dosages of `count` at the current record to a row.
    pub(super) fn add(
        &mut self,
        source: &mut dyn GenotypeSource,
        (row, count): (u32, Count),
        chromosome: Option<&Chromosome>,
    ) -> Result<(), GenotypeError> {
        let at = self.decode(source, count, chromosome)?;
        let missing = self.decoded[at].row.missing;
        let stand_in = match missing {
            0 => None,
            _ => Some(self.stand_in(row, at, count).map_err(|error| error.at(source.place()))?),
        };
        match stand_in {
            _ if self.ledger.gathers(row) => self.ledger.gather(row, self.decoded[at].shared(stand_in), missing),
            None => self.ledger.add(row, &self.decoded[at].row.values, 0),
            Some(stand_in) => {
                self.decoded[at].fill(stand_in, &mut self.filled);
                self.ledger.add(row, &self.filled, missing);
            }
        }
        Ok(())
    }

    /// Returns where in `decoded` the dosages of `count` at the current record are.
    pub(super) fn decode(
        &mut self,
        source: &mut dyn GenotypeSource,
        count: Count,
        chromosome: Option<&Chromosome>,
    ) -> Result<usize, GenotypeError> {
        if let Some(at) = self.decoded.iter().position(|decoded| decoded.count == Some(count)) {
            return Ok(at);
        }
        let at = self.decoded.iter().position(|decoded| decoded.count.is_none()).unwrap_or(self.decoded.len());
        if at == self.decoded.len() {
            self.decoded.push(Decoded::default());
        }
        let decoded = &mut self.decoded[at];
        decoded.count = Some(count);
        decoded.shared.clear();
        let row = &mut decoded.row;
        let allele = if let Count::Allele(allele) = count { allele } else { 0 };
        source.dosages(allele, row)?;
        if count == Count::NotReference {
            row.values.iter_mut().for_each(|dosage| *dosage = 2.0 - *dosage);
            // A haploid call has one copy in all.
            row.haploid.iter().for_each(|at| row.values[*at as usize] -= 1.0);
        }
        if !row.haploid.is_empty() && chromosome.is_some_and(|chromosome| chromosome.as_str() == "chrX") {
            let people = source.samples().iter().as_slice();
            for at in row.haploid.iter().filter(|at| people[**at as usize].sex == Sex::Male) {
                row.values[*at as usize] *= 2.0;
                self.totals.haploid_scaled += 1;
            }
        }
        let needs_frequency = self.request.policies.ambiguous == crate::genotype::policy::Ambiguous::Frequency
            || self.request.policies.missing == Missing::Cohort && row.missing > 0;
        if needs_frequency {
            let known = row.values.iter().filter(|dosage| !dosage.is_nan());
            let (sum, called) = known.fold((0.0, 0), |(sum, n), dosage| (sum + f64::from(*dosage), n + 1));
            decoded.called = called;
            decoded.frequency = if called == 0 { f64::NAN } else { sum / (2 * called) as f64 };
        }
        if let Some(chosen) = &self.chosen {
            let values = chosen.iter().map(|at| row.values[*at as usize]).collect();
            row.values = values;
            row.missing = row.values.iter().filter(|dosage| dosage.is_nan()).count();
            row.haploid.retain(|at| chosen.binary_search(at).is_ok());
        }
        Ok(at)
    }

    /// What stands in for a missing genotype by the policy; NaN where nothing does.
    fn stand_in(&mut self, row: u32, at: usize, count: Count) -> Result<f32, GenotypeError> {
        let decoded = &self.decoded[at];
        let stand_in = match self.request.policies.missing {
            Missing::Mean => self.panel.variant(row).frequency.map_or(f32::NAN, |frequency| 2.0 * frequency),
            Missing::Cohort => (2.0 * decoded.frequency) as f32,
            Missing::Ref => {
                if count == Count::Allele(0) {
                    2.0
                } else {
                    0.0
                }
            }
            Missing::Drop => {
                let of_panel = &self.panel.rows[row as usize];
                self.panel.models[self.panel.model_of(row)].model.neutral_dosage(of_panel.row as usize)
            }
            Missing::Error => {
                let person = decoded.row.values.iter().position(|dosage| dosage.is_nan()).unwrap_or(0);
                let id = self.heading.samples.iter().nth(person).map(|sample| sample.id.clone()).unwrap_or_default();
                return Err(GenotypeError::new(Fault::Field {
                    field: format!("sample {} ('{id}')", person + 1),
                    reason: "its genotype is missing, and missing=error was asked for".to_owned(),
                }));
            }
        };
        if !stand_in.is_nan() {
            self.totals.imputed += decoded.row.missing as u64;
        }
        Ok(stand_in)
    }
}
