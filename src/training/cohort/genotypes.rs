//! The cohort's genotypes: read once, filtered, kept in two bits a person where they are whole numbers.
//!
//! Imports `genome` and `genotype`. Invariant: a row has one value a person of the cohort; what is not known is the
//! variant's mean over the cohort when it is decoded.

use std::collections::HashMap;
use std::ops::RangeInclusive;

use rustc_hash::FxHashSet;
use sha2::{Digest, Sha256};

use super::{CohortError, CohortVariant};
use crate::genome::{Allele, Chromosome, Position, VariantId};
use crate::genotype::{DosageRow, GenotypeSource, Site};

/// Variants missing in a larger share of people than this are left out.
pub(super) const MOST_MISSING: f64 = 0.1;
/// The code of a genotype that is not known.
const UNKNOWN: u8 = 3;
/// After so many records progress is told.
const TELL_EVERY: usize = 10_000;

/// Which variants are kept.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Filters {
    pub(super) min_maf: f64,
    pub(super) keep_ambiguous: bool,
}

/// The bases around genes, by chromosome: merged, ascending, 1-based.
pub(super) type Spans = HashMap<Chromosome, Vec<RangeInclusive<u32>>>;

/// Where a variant's genotypes are.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Row {
    /// Two bits a person, from this byte.
    Calls(usize),
    /// A number a person, from this one.
    Dosages(usize),
}

/// Genotypes of variants × people.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct GenotypeRows {
    people: usize,
    calls: Vec<u8>,
    dosages: Vec<f32>,
    rows: Vec<Row>,
}

impl GenotypeRows {
    pub(super) fn new(people: usize) -> Self {
        Self { people, ..Self::default() }
    }

    /// Adds a variant; unknown values are NaN.
    pub(super) fn push(&mut self, values: &[f32]) {
        let code = |value: f32| match value {
            0.0 => Some(0),
            1.0 => Some(1),
            2.0 => Some(2),
            value if value.is_nan() => Some(UNKNOWN),
            _ => None,
        };
        let start = self.calls.len();
        for four in values.chunks(4) {
            let mut byte = 0;
            for (place, value) in four.iter().enumerate() {
                let Some(code) = code(*value) else {
                    self.calls.truncate(start);
                    self.rows.push(Row::Dosages(self.dosages.len()));
                    self.dosages.extend_from_slice(values);
                    return;
                };
                byte |= code << (2 * place);
            }
            self.calls.push(byte);
        }
        self.rows.push(Row::Calls(start));
    }

    /// Appends a variant's dosages, `mean` where they are not known.
    pub(super) fn decode(&self, variant: usize, mean: f32, into: &mut Vec<f32>) {
        match self.rows[variant] {
            Row::Calls(start) => {
                let table = [0.0, 1.0, 2.0, mean];
                let bytes = &self.calls[start..start + self.people.div_ceil(4)];
                let codes = bytes.iter().flat_map(|byte| [0, 2, 4, 6].map(|shift| byte >> shift & 3));
                into.extend(codes.take(self.people).map(|code| table[usize::from(code)]));
            }
            Row::Dosages(start) => {
                let values = &self.dosages[start..start + self.people];
                into.extend(values.iter().map(|value| if value.is_nan() { mean } else { *value }));
            }
        }
    }

    /// Puts the rows into the order of `order`.
    pub(super) fn reorder(&mut self, order: &[usize]) {
        self.rows = order.iter().map(|at| self.rows[*at]).collect();
    }

    /// Adds every row to a digest, in order.
    pub(super) fn hash(&self, hash: &mut Sha256) {
        for row in &self.rows {
            match row {
                Row::Calls(start) => hash.update(&self.calls[*start..start + self.people.div_ceil(4)]),
                Row::Dosages(start) => {
                    self.dosages[*start..start + self.people].iter().for_each(|value| hash.update(value.to_le_bytes()));
                }
            }
        }
    }

    /// Returns how many bytes the genotypes take.
    pub(super) fn bytes(&self) -> usize {
        self.calls.len() + 4 * self.dosages.len()
    }
}

/// The variants that were kept and how many were not.
#[derive(Debug, Default)]
pub(super) struct ReadGenotypes {
    pub(super) variants: Vec<CohortVariant>,
    pub(super) rows: GenotypeRows,
    pub(super) records: usize,
    pub(super) notes: Vec<String>,
    /// The chromosomes that there are records of, as the file comes to them, the first ten.
    pub(super) chromosomes: Vec<Chromosome>,
}

#[derive(Default)]
struct Counts {
    unplaced: usize,
    no_two_alleles: usize,
    ambiguous: usize,
    duplicates: usize,
    missing: usize,
    rare: usize,
}

/// Reads the biallelic variants within `spans` of the people at `places`.
pub(super) fn read(
    source: &mut dyn GenotypeSource,
    (places, spans): (&[u32], &Spans),
    filters: Filters,
    progress: &dyn Fn(&str, usize, usize),
) -> Result<ReadGenotypes, CohortError> {
    let mut read = ReadGenotypes { rows: GenotypeRows::new(places.len()), ..ReadGenotypes::default() };
    let mut counts = Counts::default();
    let mut seen: FxHashSet<(Chromosome, Position, Allele, Allele)> = FxHashSet::default();
    let mut row = DosageRow::default();
    let mut values = vec![0.0; places.len()];
    while let Some(site) = source.next_site()? {
        read.records += 1;
        if read.records.is_multiple_of(TELL_EVERY) {
            progress("genotypes", read.records, 0);
        }
        let (Some(chromosome), Some(position)) = (site.chromosome, site.position) else {
            counts.unplaced += 1;
            continue;
        };
        if read.chromosomes.len() < 10 && !read.chromosomes.contains(chromosome) {
            read.chromosomes.push(chromosome.clone());
        }
        if !spans.get(chromosome).is_some_and(|spans| contains(spans, position.get())) {
            continue;
        }
        let Some((other, effect)) = alleles(&site) else {
            counts.no_two_alleles += 1;
            continue;
        };
        if !filters.keep_ambiguous && other.is_palindromic_with(&effect) {
            counts.ambiguous += 1;
            continue;
        }
        let id = site.ids.split(';').find_map(VariantId::parse);
        let mut variant = CohortVariant { chromosome: chromosome.clone(), position, id, other, effect, frequency: 0.0 };
        let key = key(&variant);
        if seen.contains(&key) {
            counts.duplicates += 1;
            continue;
        }
        source.dosages(1, &mut row)?;
        values.iter_mut().zip(places).for_each(|(value, place)| *value = row.values[*place as usize]);
        let known = values.iter().filter(|value| !value.is_nan());
        let (count, sum) = known.fold((0_usize, 0.0), |(count, sum), value| (count + 1, sum + f64::from(*value)));
        if count == 0 || (values.len() - count) as f64 > MOST_MISSING * values.len() as f64 {
            counts.missing += 1;
            continue;
        }
        let frequency = sum / (2.0 * count as f64);
        let minor = frequency.min(1.0 - frequency);
        if minor <= 0.0 || minor < filters.min_maf {
            counts.rare += 1;
            continue;
        }
        variant.frequency = frequency as f32;
        seen.insert(key);
        read.rows.push(&values);
        read.variants.push(variant);
    }
    progress("genotypes", read.records, read.records);
    sort(&mut read);
    read.notes = counts.notes(filters);
    Ok(read)
}

fn contains(spans: &[RangeInclusive<u32>], position: u32) -> bool {
    let at = spans.partition_point(|span| *span.end() < position);
    spans.get(at).is_some_and(|span| span.contains(&position))
}

fn alleles(site: &Site<'_>) -> Option<(Allele, Allele)> {
    let (other, effect) = (Allele::parse(site.reference).ok()?, Allele::parse(site.alternatives).ok()?);
    (other != effect).then_some((other, effect))
}

/// What makes two records the same variant: either allele may be the first.
fn key(variant: &CohortVariant) -> (Chromosome, Position, Allele, Allele) {
    let (first, second) = (variant.other.clone(), variant.effect.clone());
    let (first, second) = if first <= second { (first, second) } else { (second, first) };
    (variant.chromosome.clone(), variant.position, first, second)
}

fn sort(read: &mut ReadGenotypes) {
    let place = |variant: &CohortVariant| (variant.chromosome.clone(), variant.position);
    if read.variants.is_sorted_by_key(place) {
        return;
    }
    let mut order: Vec<usize> = (0..read.variants.len()).collect();
    order.sort_by_cached_key(|at| place(&read.variants[*at]));
    read.rows.reorder(&order);
    let mut variants: Vec<Option<CohortVariant>> = std::mem::take(&mut read.variants).into_iter().map(Some).collect();
    read.variants = order.iter().filter_map(|at| variants[*at].take()).collect();
}

impl Counts {
    fn notes(&self, filters: Filters) -> Vec<String> {
        let rare = format!("have a minor-allele frequency below {} or do not vary", filters.min_maf);
        let missing = format!("are not known of more than {:.0} % of the people", 100.0 * MOST_MISSING);
        let counted: [(usize, &str); 6] = [
            (self.unplaced, "have no chromosome or position"),
            (self.no_two_alleles, "do not have two alleles of bases"),
            (self.ambiguous, "are A/T or C/G, so that their strand is not certain"),
            (self.duplicates, "repeat the position and alleles of an earlier one"),
            (self.missing, &missing),
            (self.rare, &rare),
        ];
        let left_out = counted.into_iter().filter(|(count, _)| *count > 0);
        left_out.map(|(count, why)| format!("{count} records {why}; they were left out.")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_back_as_they_were() {
        let mut rows = GenotypeRows::new(5);
        rows.push(&[0.0, 1.0, 2.0, f32::NAN, 1.0]);
        rows.push(&[0.0, 1.25, f32::NAN, 2.0, 0.0]);
        let mut decoded = Vec::new();
        rows.decode(1, 0.5, &mut decoded);
        rows.decode(0, 0.75, &mut decoded);
        let expected = [0.0, 1.25, 0.5, 2.0, 0.0, 0.0, 1.0, 2.0, 0.75, 1.0];
        assert!(decoded.iter().zip(expected).all(|(found, expected)| (found - expected).abs() < 1e-7), "{decoded:?}");
        assert_eq!((decoded.len(), rows.bytes()), (10, 2 + 20));
    }

    #[test]
    fn spans_contain_their_ends() {
        let spans = [5..=9, 20..=20];
        let inside: Vec<u32> = (0..30).filter(|position| contains(&spans, *position)).collect();
        assert_eq!(inside, [5, 6, 7, 8, 9, 20]);
    }
}
