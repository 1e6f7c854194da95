//! What is known of variants besides their genotypes: annotations, one row for each variant of each gene.
//!
//! Computed from what a lab has: distance to the transcription start, gene body, exons and promoter, minor-allele
//! frequency and LD score in the cohort, overlap with any BED file, and the numbers of any table by variant. Imports
//! `genome`, `reference` and the cohort. Invariants: rows are centred and scaled over all pairs of a gene and a variant
//! of its window, no column is constant there, and nothing depends on expression.

mod gene_models;
mod intervals;
mod ld;
mod shape;
mod table;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use self::intervals::{Intervals, is_comment, is_interval};
use self::shape::{GENE_COLUMNS, GeneShape};
use self::table::{Header, VariantIndex};
use super::cohort::{ChainError, Cohort, Table, TableError, TableProblem};
use crate::reference::source::SourceError;

/// LD scores are summed over variants within this distance, in base pairs.
pub const LD_REACH_BP: u32 = 500_000;
/// A column of a table that lacks more than this share of the variants gets a column that says which it has.
const MOST_UNKNOWN: f64 = 0.01;

/// Why annotations cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum AnnotationError {
    /// A file cannot be read.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// A line is not what its format asks for.
    #[error(transparent)]
    Table(#[from] TableError),
    /// The gene models' chain cannot be used.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// A file of annotations is neither of the two kinds.
    #[error("{0}: neither BED (chrom, start, end) nor a table whose header has SNP (or ID, rsid) or CHR and BP")]
    Kind(TableError),
}

/// Where a column's values come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    /// The gene's shape: the place in [`GENE_COLUMNS`].
    Gene(usize),
    /// The variant alone: the place among the columns by variant.
    Variant(usize),
}

/// Annotations of every variant of every gene's window.
#[derive(Debug, Clone)]
pub struct AnnotationTable {
    /// The columns' names.
    pub names: Vec<String>,
    /// Each column's mean over all pairs of a gene and a variant of its window, before centring.
    pub means: Vec<f64>,
    /// Each column's standard deviation over the same pairs, before scaling.
    pub deviations: Vec<f64>,
    /// What was left out or guessed, in sentences.
    pub notes: Vec<String>,
    origins: Vec<Origin>,
    by_variant: Vec<Vec<f32>>,
    shapes: Vec<GeneShape>,
    permutation: Option<u64>,
}

/// The same under the name of what is in it.
pub type Annotations = AnnotationTable;

/// Columns by variant while they are gathered.
#[derive(Default)]
struct Gathered {
    names: Vec<String>,
    columns: Vec<Vec<f32>>,
    notes: Vec<String>,
}

impl AnnotationTable {
    /// Computes the annotations of a cohort.
    ///
    /// `files` are BED files (a 0/1 column each, by the file's name) or tables by variant (every column of numbers; a
    /// variant that a table lacks has the column's mean). `gene_models` (GTF with exon lines, or BED12 by identifier or
    /// symbol) give exons; `chain` lifts them where they are of another assembly than the genotypes. Positions of
    /// `files` are of the genotypes' assembly.
    ///
    /// # Errors
    /// A file cannot be read or is malformed, or the chain leads to another assembly.
    pub fn build(
        cohort: &Cohort,
        files: &[PathBuf],
        gene_models: Option<&Path>,
        chain: Option<&Path>,
    ) -> Result<Self, AnnotationError> {
        let mut gathered = Gathered::default();
        let shapes = shape::shapes(cohort, gene_models, chain, &mut gathered.notes)?;
        let minor = cohort.variants.iter().map(|variant| variant.frequency.min(1.0 - variant.frequency));
        gathered.push("", "minor-allele frequency", minor.collect());
        // The adjustment makes a score without any linkage scatter around 1, at times below 0.
        let scores = ld::scores(cohort, LD_REACH_BP).into_iter().map(|score| score.max(0.0).ln_1p());
        gathered.push("", "LD score", scores.collect());
        let index = VariantIndex::new(cohort);
        for file in files {
            gathered.read(file, cohort, &index)?;
        }
        let mut origins: Vec<Origin> = (0..GENE_COLUMNS.len()).map(Origin::Gene).collect();
        origins.extend((0..gathered.columns.len()).map(Origin::Variant));
        let mut table = Self {
            names: GENE_COLUMNS.iter().map(|name| (*name).to_owned()).chain(gathered.names).collect(),
            means: Vec::new(),
            deviations: Vec::new(),
            notes: gathered.notes,
            origins,
            by_variant: gathered.columns,
            shapes,
            permutation: None,
        };
        table.standardise(cohort);
        Ok(table)
    }

    /// Returns the annotations of variants of a gene: a row a variant, centred and scaled columns.
    ///
    /// # Panics
    /// The cohort is not the one that the table was built of, or there is no such gene or variant.
    #[must_use]
    pub fn of_gene(&self, cohort: &Cohort, gene: usize, variants: &[usize]) -> Vec<f32> {
        let window = cohort.window(gene);
        let mut shuffled: Vec<usize> = Vec::new();
        if let Some(seed) = self.permutation {
            shuffled.extend(window.clone());
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            rng.set_stream(gene as u64);
            shuffled.shuffle(&mut rng);
        }
        let mut rows = Vec::with_capacity(variants.len() * self.names.len());
        for variant in variants {
            let place = variant.checked_sub(window.start);
            let annotated = place.and_then(|place| shuffled.get(place)).unwrap_or(variant);
            for (column, value) in self.raw(cohort, gene, *annotated).enumerate() {
                rows.push(((value - self.means[column]) / self.deviations[column]) as f32);
            }
        }
        rows
    }

    /// Returns the same annotations dealt anew: within each gene's window, which variant has which row is shuffled. A
    /// negative control: whoever learns from annotations must lose by it.
    #[must_use]
    pub fn permuted(&self, seed: u64) -> Self {
        Self { permutation: Some(seed), ..self.clone() }
    }

    /// The values of a pair before centring and scaling.
    fn raw(&self, cohort: &Cohort, gene: usize, variant: usize) -> impl Iterator<Item = f64> {
        let of_gene = self.shapes[gene].columns(cohort.variants[variant].position.get());
        self.origins.iter().map(move |origin| match origin {
            Origin::Gene(column) => of_gene[*column],
            Origin::Variant(column) => f64::from(self.by_variant[*column][variant]),
        })
    }

    /// Takes means and deviations over all pairs, and leaves constant columns out.
    fn standardise(&mut self, cohort: &Cohort) {
        let width = self.origins.len();
        let first = cohort.genes.first().map(|_| cohort.window(0).start);
        // Sums are taken of differences from a first value: large numbers that hardly differ keep their digits.
        let pivot: Vec<f64> = first.map_or_else(|| vec![0.0; width], |variant| self.raw(cohort, 0, variant).collect());
        let of_gene = |gene: usize| {
            let mut sums = vec![(0.0, 0.0); width];
            for variant in cohort.window(gene) {
                for ((sum, value), pivot) in sums.iter_mut().zip(self.raw(cohort, gene, variant)).zip(&pivot) {
                    let difference = value - pivot;
                    *sum = (sum.0 + difference, sum.1 + difference * difference);
                }
            }
            sums
        };
        let parts: Vec<Vec<(f64, f64)>> = (0..cohort.genes.len()).into_par_iter().map(of_gene).collect();
        let mut sums = vec![(0.0, 0.0); width];
        for part in parts {
            sums.iter_mut().zip(part).for_each(|(sum, more)| *sum = (sum.0 + more.0, sum.1 + more.1));
        }
        let pairs = (0..cohort.genes.len()).map(|gene| cohort.window(gene).len()).sum::<usize>().max(1) as f64;
        let (names, origins) = (std::mem::take(&mut self.names), std::mem::take(&mut self.origins));
        let mut constant = Vec::new();
        for (column, (name, origin)) in names.into_iter().zip(origins).enumerate() {
            let (sum, squares) = sums[column];
            let deviation = (squares / pairs - (sum / pairs).powi(2)).max(0.0).sqrt();
            let mean = pivot[column] + sum / pairs;
            // A first value that all others equal leaves exact zeros.
            if squares <= 0.0 || deviation <= 1e-9 * mean.abs() {
                constant.push(name);
                continue;
            }
            self.names.push(name);
            self.origins.push(origin);
            self.means.push(mean);
            self.deviations.push(deviation);
        }
        if !constant.is_empty() {
            let constant = constant.join(", ");
            self.notes.push(format!("These annotations are the same for all variants and were left out: {constant}."));
        }
    }
}

impl Gathered {
    /// Adds a column; a name that is taken gets the file's in front.
    fn push(&mut self, file: &str, name: &str, column: Vec<f32>) {
        let taken = |name: &str| GENE_COLUMNS.contains(&name) || self.names.iter().any(|known| known == name);
        let mut unique = name.to_owned();
        if taken(&unique) {
            unique = format!("{file}: {name}");
        }
        let mut number = 2;
        while taken(&unique) {
            unique = format!("{file}: {name} ({number})");
            number += 1;
        }
        self.names.push(unique);
        self.columns.push(column);
    }

    fn read(&mut self, path: &Path, cohort: &Cohort, index: &VariantIndex<'_>) -> Result<(), AnnotationError> {
        let mut file = Table::open(path)?;
        let stem = stem(path);
        loop {
            let Some(row) = file.next()? else {
                return Err(AnnotationError::Kind(file.wrong(TableProblem::Ended("its first line"))));
            };
            if is_interval(&row) {
                let mut intervals = Intervals::default();
                intervals.add(&row)?;
                self.overlap(&stem, cohort, &intervals.read(file)?);
                return Ok(());
            }
            if let Some(header) = Header::parse(&row) {
                let read = table::read(file, &header, index)?;
                self.take_table(&stem, read);
                return Ok(());
            }
            let named = row.fields().iter().skip(1).take(2).map(|name| name.to_ascii_lowercase()).collect::<Vec<_>>();
            let is_heading = matches!(&named[..], [start, end] if start.contains("start") && end.contains("end"));
            if !is_comment(row.text) && !is_heading {
                return Err(AnnotationError::Kind(row.wrong(TableProblem::NoHeader("it names no variants"))));
            }
        }
    }

    fn overlap(&mut self, stem: &str, cohort: &Cohort, intervals: &Intervals) {
        let inside = cohort.variants.iter().map(|variant| {
            let inside = intervals.contain(&variant.chromosome, variant.position.get());
            f32::from(u8::from(inside))
        });
        self.push(stem, stem, inside.collect());
    }

    fn take_table(&mut self, stem: &str, read: table::TableColumns) {
        let mut indicators: Vec<Vec<f32>> = Vec::new();
        for (name, mut column) in read.columns {
            let known: Vec<f32> = column.iter().map(|value| f32::from(u8::from(!value.is_nan()))).collect();
            let (count, sum) = column
                .iter()
                .filter(|value| !value.is_nan())
                .fold((0_usize, 0.0), |(count, sum), value| (count + 1, sum + f64::from(*value)));
            let mean = if count > 0 { (sum / count as f64) as f32 } else { 0.0 };
            column.iter_mut().filter(|value| value.is_nan()).for_each(|value| *value = mean);
            self.push(stem, &name, column);
            // Columns of one file mostly lack the same variants: one column says it for all.
            let lacks = (known.len() - count) as f64 > MOST_UNKNOWN * known.len() as f64;
            if lacks && count > 0 && !indicators.contains(&known) {
                self.push(stem, &format!("{name} is known"), known.clone());
                indicators.push(known);
            }
        }
        let total = self.columns.first().map_or(0, Vec::len);
        self.notes
            .push(format!("{stem} has {} of {total} variants; the others have its columns' means.", read.matched));
        if !read.words.is_empty() {
            self.notes
                .push(format!("Columns of {stem} that are not numbers were left out: {}.", read.words.join(", ")));
        }
    }
}

/// The file's name without what says its format.
fn stem(path: &Path) -> String {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let mut stem = name.as_str();
    for ending in [".gz", ".bgz", ".bed", ".tsv", ".txt", ".csv"] {
        stem = stem.strip_suffix(ending).unwrap_or(stem);
    }
    stem.to_owned()
}
