//! A training cohort: people with genotypes and expression, the genes, and the variants near them.
//!
//! Imports `genome`, `genotype` and `reference` (whose readers open text and gene models). Invariants: people, genes
//! and variants keep one order from loading on, whatever order the files have; every value is of a person whom all
//! inputs know; the same files and settings give the same cohort, to the bit. Only chromosomes of which everybody has
//! two copies are taken: genes on chrX, chrY and chrM are left out and counted.

mod chain;
pub mod covariates;
mod expression_bed;
mod genes;
mod genotypes;
mod lines;
pub mod people;
pub mod simulated;
pub mod transform;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::ops::Range;
use std::path::PathBuf;

use sha2::{Digest, Sha256};

pub use self::chain::ChainError;
pub(in crate::training) use self::chain::{open_chain, turned};
pub use self::covariates::{Adjustment, Covariates, Residuals, residualise};
use self::genotypes::{Filters, GenotypeRows, ReadGenotypes};
pub(in crate::training) use self::lines::{Row, Table, is_missing, number, whole};
pub use self::lines::{TableError, TableProblem};
pub use self::people::{Person, balanced_folds, populations};
pub use self::transform::Transform;
use crate::genome::{Allele, Assembly, Biotype, Chromosome, GeneId, GeneSymbol, Position, Strand, VariantId};
use crate::genotype::submission::{self, SubmittedFile};
use crate::genotype::{GenotypeError, ReadLimits};
use crate::reference::source::{Source, SourceError};

/// The window around a gene's body unless a user says otherwise, in base pairs.
pub const WINDOW_BP: u32 = 500_000;
/// The least minor-allele frequency unless a user says otherwise.
pub const MIN_MAF: f64 = 0.05;

/// Why a cohort cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum CohortError {
    /// The genotypes cannot be read.
    #[error(transparent)]
    Genotypes(#[from] GenotypeError),
    /// A file cannot be read.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// A line of a table is not what its format asks for.
    #[error(transparent)]
    Table(#[from] TableError),
    /// The expression table's chain cannot be used.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// Too few people are in all inputs.
    #[error(
        "only {common} people are in all inputs, at least {} are needed: the genotypes have {genotypes} \
         ({genotype_examples}), the expression table has {expression} ({expression_examples}){}; \
         are the identifiers spelled alike?",
        people::FEWEST_PEOPLE,
        covariates.as_ref().map(|(count, examples)| format!(", the covariates have {count} ({examples})"))
            .unwrap_or_default()
    )]
    FewPeople {
        /// How many are in all.
        common: usize,
        /// How many the genotypes have.
        genotypes: usize,
        /// Some of their ids.
        genotype_examples: String,
        /// How many the expression table has.
        expression: usize,
        /// Some of their ids.
        expression_examples: String,
        /// How many the covariates have, and some of their ids.
        covariates: Option<(usize, String)>,
    },
    /// No gene is left.
    #[error("no gene of the expression table can be used: {0}")]
    NoGenes(String),
    /// No variant is near a gene.
    #[error(
        "none of the {records} records of the genotypes can be used within {window_bp} bp of a gene: genes are on \
         {genes}, genotypes on {genotypes}; are both of one assembly? {notes}"
    )]
    NoVariants {
        /// How many records there are.
        records: usize,
        /// The window.
        window_bp: u32,
        /// Chromosomes with genes.
        genes: String,
        /// Chromosomes with genotypes.
        genotypes: String,
        /// What was left out.
        notes: String,
    },
    /// Two inputs say different assemblies.
    #[error("the genotypes are of {found}, not of {asked}: give positions of one assembly")]
    Assembly {
        /// What the genotypes say.
        found: Assembly,
        /// What was asked for.
        asked: Assembly,
    },
}

/// A gene whose expression was measured in the cohort.
#[derive(Debug, Clone, PartialEq)]
pub struct CohortGene {
    /// The name as the expression table spells it.
    pub name: Box<str>,
    /// The identifier, without version.
    pub id: GeneId,
    /// The identifier's version, where it has one.
    pub version: Option<u32>,
    /// The symbol, where the gene models have the gene.
    pub symbol: Option<GeneSymbol>,
    /// The biotype, where the gene models have it.
    pub biotype: Option<Biotype>,
    /// The chromosome.
    pub chromosome: Chromosome,
    /// The interval's start in the expression table, counted from 0.
    pub start: u32,
    /// The interval's end.
    pub end: u32,
    /// The strand, from the expression table or the gene models: it does not depend on the assembly.
    pub strand: Option<Strand>,
    /// One value a person, transformed.
    pub expression: Vec<f64>,
}

impl CohortGene {
    /// Returns the first and the last base of the gene's interval, counted from 1; an empty interval is its base.
    #[must_use]
    pub fn body(&self) -> (u32, u32) {
        let first = self.start.saturating_add(1).min(self.end).max(1);
        (first, self.end.max(first))
    }

    /// Returns the base where transcription starts, counted from 1. Without a strand it is known only where the
    /// interval is one base, as `tensorQTL` wants it.
    #[must_use]
    pub fn tss(&self) -> Option<u32> {
        let (first, last) = self.body();
        match self.strand {
            Some(Strand::Forward) => Some(first),
            Some(Strand::Reverse) => Some(last),
            None => (first == last).then_some(last),
        }
    }
}

/// A variant of the cohort.
#[derive(Debug, Clone, PartialEq)]
pub struct CohortVariant {
    /// The chromosome.
    pub chromosome: Chromosome,
    /// The first base of the record's first allele.
    pub position: Position,
    /// The identifier, where it has one.
    pub id: Option<VariantId>,
    /// The allele that is not counted.
    pub other: Allele,
    /// The allele that dosages count.
    pub effect: Allele,
    /// The effect allele's frequency among the cohort's people.
    pub frequency: f32,
}

/// What a cohort is loaded from.
pub struct CohortInputs {
    /// The files of the genotypes, of any format that predictions take.
    pub genotypes: Vec<SubmittedFile>,
    /// The expression: BED with a column a sample.
    pub expression: PathBuf,
    /// A chain file of UCSC that lifts the expression table's positions, where they are of another assembly than the
    /// genotypes.
    pub expression_chain: Option<PathBuf>,
    /// Covariates, either way round.
    pub covariates: Option<PathBuf>,
    /// The table of populations.
    pub populations: Option<PathBuf>,
    /// Gene models (GTF, BED12 or a table) for strand, symbol and biotype, by gene id; of any assembly.
    pub gene_models: Option<PathBuf>,
    /// The window around a gene's body, in base pairs.
    pub window_bp: u32,
    /// The least minor-allele frequency among the cohort's people.
    pub min_maf: f64,
    /// Whether A/T and C/G variants are kept.
    pub keep_ambiguous: bool,
    /// What is done with expression values.
    pub transform: Transform,
    /// The genotypes' assembly, where they do not say it themselves.
    pub assembly: Option<Assembly>,
    /// Only these genes, by name, identifier or symbol.
    pub genes: Option<Vec<String>>,
    /// Only genes on these chromosomes.
    pub chromosomes: Option<Vec<Chromosome>>,
}

impl CohortInputs {
    /// Returns inputs of genotypes and expression alone, with the defaults for everything else.
    #[must_use]
    pub fn new(genotypes: Vec<SubmittedFile>, expression: PathBuf) -> Self {
        Self {
            genotypes,
            expression,
            expression_chain: None,
            covariates: None,
            populations: None,
            gene_models: None,
            window_bp: WINDOW_BP,
            min_maf: MIN_MAF,
            keep_ambiguous: false,
            transform: Transform::default(),
            assembly: None,
            genes: None,
            chromosomes: None,
        }
    }
}

/// People with genotypes and expression, ready to train on.
#[derive(Debug, Clone)]
pub struct Cohort {
    /// The people, in the genotypes' order.
    pub people: Vec<Person>,
    /// The genes with at least one variant in their window, by chromosome, start and name.
    pub genes: Vec<CohortGene>,
    /// The variants in some gene's window, by chromosome and position.
    pub variants: Vec<CohortVariant>,
    /// The covariates, where there are any.
    pub covariates: Option<Covariates>,
    /// The assembly of the positions, where it is known.
    pub assembly: Option<Assembly>,
    /// Whether [`CohortVariant::other`] is the reference allele: PLINK 1, BGEN and text dosages do not record it.
    pub other_is_reference: bool,
    /// What was left out and how much, in sentences.
    pub notes: Vec<String>,
    /// The window around a gene's body, in base pairs.
    pub window_bp: u32,
    genotypes: GenotypeRows,
    windows: Vec<Range<usize>>,
}

impl Cohort {
    /// Loads a cohort; `progress` is told what is read, how much of it is done, and of how much (0 where that is not
    /// known before the end).
    ///
    /// # Errors
    /// A file is malformed or cannot be read, too few people are in all of them, or no gene or variant can be used.
    pub fn load(inputs: CohortInputs, progress: &dyn Fn(&str, usize, usize)) -> Result<Self, CohortError> {
        let mut notes = Vec::new();
        let expression = expression_bed::read(Source::open(&inputs.expression)?)?;
        progress("expression", expression.genes.len(), expression.genes.len());
        let covariates = inputs
            .covariates
            .as_deref()
            .map(|path| -> Result<_, CohortError> { covariates::read(Source::open(path)?, &expression.samples) });
        let covariates = covariates.transpose()?;
        let described = inputs.populations.as_deref().map(people::read_populations).transpose()?;
        let mut source = submission::open(inputs.genotypes, &ReadLimits::default())?;
        let assembly = match (source.assembly(), inputs.assembly) {
            (Some(found), Some(asked)) if *found != asked => {
                return Err(CohortError::Assembly { found: found.clone(), asked });
            }
            (found, asked) => asked.or_else(|| found.cloned()),
        };
        let other_is_reference = matches!(source.format(), "vcf" | "bcf" | "pgen" | "json");
        let in_covariates = covariates.as_ref().map(covariates::CovariateTable::ids);
        let samples = (source.samples(), &*expression.samples);
        let joined = people::join(samples, in_covariates.as_ref(), described.as_ref(), &mut notes)?;
        let covariates = covariates.as_ref().map(|table| table.of_people(joined.people.iter().map(|one| &*one.id)));
        let covariates = covariates.transpose()?;
        let wanted = genes::Wanted { names: inputs.genes.as_deref(), chromosomes: inputs.chromosomes.as_deref() };
        let mut genes = genes::select(expression, wanted, inputs.gene_models.as_deref(), &mut notes)?;
        if let Some(path) = &inputs.expression_chain {
            chain::lift_genes(&mut genes, &chain::open_chain(path, assembly.as_ref())?, &mut notes);
        }
        genes::take_people(&mut genes, &joined.in_expression, inputs.transform, &mut notes)?;
        let spans = genes::spans(&genes, inputs.window_bp);
        let filters = Filters { min_maf: inputs.min_maf, keep_ambiguous: inputs.keep_ambiguous };
        let read = genotypes::read(&mut *source, (&joined.in_genotypes, &spans), filters, progress)?;
        if read.variants.is_empty() {
            return Err(no_variants(&read, &genes, inputs.window_bp));
        }
        notes.extend(read.notes);
        let cohort = Self {
            people: joined.people,
            genes,
            variants: read.variants,
            covariates,
            assembly,
            other_is_reference,
            notes,
            window_bp: inputs.window_bp,
            genotypes: read.rows,
            windows: Vec::new(),
        };
        Ok(cohort.with_windows())
    }

    /// Finds every gene's variants and leaves genes without one out.
    fn with_windows(mut self) -> Self {
        let mut ranges: HashMap<&Chromosome, Range<usize>> = HashMap::new();
        for (at, variant) in self.variants.iter().enumerate() {
            ranges.entry(&variant.chromosome).or_insert(at..at).end = at + 1;
        }
        let window = |gene: &CohortGene| {
            let range = ranges.get(&gene.chromosome).cloned().unwrap_or(0..0);
            let (first, last) = gene.body();
            let (from, to) = (first.saturating_sub(self.window_bp), last.saturating_add(self.window_bp));
            let variants = &self.variants[range.clone()];
            let below = |limit: u32| variants.partition_point(|variant| variant.position.get() < limit);
            let behind = variants.partition_point(|variant| variant.position.get() <= to);
            range.start + below(from)..range.start + behind
        };
        let windows: Vec<Range<usize>> = self.genes.iter().map(window).collect();
        let before = self.genes.len();
        let mut of_gene = windows.iter();
        self.genes.retain(|_| of_gene.next().is_some_and(|window| !window.is_empty()));
        self.windows = windows.into_iter().filter(|window| !window.is_empty()).collect();
        if self.genes.len() < before {
            let (left_out, window_bp) = (before - self.genes.len(), self.window_bp);
            self.notes.push(format!(
                "{left_out} genes have no variant within {window_bp} bp that can be used; they were left out."
            ));
        }
        self
    }

    /// Returns the variants within the window of a gene: from `window_bp` in front of its interval to as far behind
    /// it. It is never empty.
    ///
    /// # Panics
    /// There is no such gene.
    #[must_use]
    pub fn window(&self, gene: usize) -> Range<usize> {
        self.windows[gene].clone()
    }

    /// Returns the dosages of variants: variant by variant, people in the cohort's order.
    ///
    /// A genotype that is not known is the variant's mean over the whole cohort, twice its frequency: that is the
    /// same in every fold and uses nobody's expression.
    ///
    /// # Panics
    /// There is no such variant.
    #[must_use]
    pub fn dosages(&self, variants: impl Iterator<Item = usize>) -> Vec<f32> {
        let mut dosages = Vec::with_capacity(variants.size_hint().0 * self.people.len());
        for variant in variants {
            self.genotypes.decode(variant, 2.0 * self.variants[variant].frequency, &mut dosages);
        }
        dosages
    }

    /// Returns how many bytes the genotypes take in memory.
    #[must_use]
    pub fn genotype_bytes(&self) -> usize {
        self.genotypes.bytes()
    }

    /// Returns the SHA-256 of everything that training sees, as hexadecimal digits: people, genes with the bits of
    /// their expression, variants, genotypes, covariates and the window.
    #[must_use]
    pub fn digest(&self) -> String {
        let mut hash = Hash(Sha256::new());
        hash.number(self.window_bp.into());
        hash.number(self.people.len() as u64);
        for person in &self.people {
            hash.text(&person.id);
            hash.text(person.population.as_deref().unwrap_or(""));
        }
        hash.number(self.genes.len() as u64);
        for gene in &self.genes {
            hash.text(&gene.name);
            hash.text(gene.chromosome.as_str());
            hash.text(gene.strand.map_or("", Strand::as_str));
            hash.number(gene.start.into());
            hash.number(gene.end.into());
            gene.expression.iter().for_each(|value| hash.number(value.to_bits()));
        }
        hash.number(self.variants.len() as u64);
        for variant in &self.variants {
            hash.text(variant.chromosome.as_str());
            hash.number(variant.position.get().into());
            hash.text(&variant.id.as_ref().map(ToString::to_string).unwrap_or_default());
            hash.bytes(variant.other.bases());
            hash.bytes(variant.effect.bases());
        }
        self.genotypes.hash(&mut hash.0);
        for (name, column) in self.covariates.iter().flat_map(|all| all.names.iter().zip(all.columns())) {
            hash.text(name);
            for value in column {
                hash.number(value.to_bits());
            }
        }
        hash.0.finalize().iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"))
    }
}

/// A hash of parts that cannot run into each other.
struct Hash(Sha256);

impl Hash {
    fn number(&mut self, number: u64) {
        self.0.update(number.to_le_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.0.update(bytes);
    }

    fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }
}

fn no_variants(read: &ReadGenotypes, genes: &[CohortGene], window_bp: u32) -> CohortError {
    let list = |names: Vec<&Chromosome>| {
        let mut names: Vec<&str> = names.into_iter().map(Chromosome::as_str).collect();
        names.dedup();
        names.truncate(10);
        if names.is_empty() { "no chromosome".to_owned() } else { names.join(", ") }
    };
    CohortError::NoVariants {
        records: read.records,
        window_bp,
        genes: list(genes.iter().map(|gene| &gene.chromosome).collect()),
        genotypes: list(read.chromosomes.iter().collect()),
        notes: read.notes.join(" "),
    }
}
