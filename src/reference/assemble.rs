//! Expression, annotation and promoters joined into the content of one reference dataset, with counts.
//!
//! Imports `genome` only. Invariant: a gene is in a [`ReferenceTable`] once; its expression has one value a tissue, of
//! which at least one is known.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::annotation::Annotation;
use super::gct::{ExpressionRow, ExpressionTable};
use super::genome_fasta::{GenomeFasta, PromoterWindow};
use super::promoter::Promoters;
use super::source::SourceError;
use super::{Dataset, GeneRecord, Reference, Unit};
use crate::genome::{Assembly, Chromosome, Gene, GeneId, GeneSymbol, Promoter, Tissue};

/// What an ingest found, for the person who started it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct IngestCounts {
    /// Genes of the dataset: measured, annotated or both.
    pub genes: usize,
    /// Tissues of the dataset.
    pub tissues: usize,
    /// Genes that the expression table has a row for.
    pub expression_genes: usize,
    /// Genes of the annotation.
    pub annotated_genes: usize,
    /// Genes with a row and a place.
    pub matched: usize,
    /// Those of the matched that were found by their symbol, since the annotation has no identifiers.
    pub matched_by_symbol: usize,
    /// Genes with a row that the annotation does not have: kept, without a place.
    pub without_annotation: usize,
    /// Genes without any measured value.
    pub without_profile: usize,
    /// Genes measured as zero in every tissue.
    pub all_zero: usize,
    /// Genes measured in part of the tissues.
    pub with_holes: usize,
    /// Genes without a promoter.
    pub without_promoter: usize,
    /// Promoters whose gene is not in the dataset.
    pub promoters_without_gene: usize,
    /// Promoters left out because none of their bases is known.
    pub promoters_unknown: usize,
    /// Rows of the expression table left out because their gene has an earlier row.
    pub duplicate_expression_rows: usize,
    /// Entries of the annotation left out because their identifier has an earlier entry.
    pub duplicate_annotation_entries: usize,
    /// Promoters left out because their gene has an earlier one.
    pub duplicate_promoters: usize,
    /// Tissues that GTEx does not know, by name.
    pub unknown_tissues: Vec<String>,
}

/// Why files cannot be joined.
#[derive(Debug, thiserror::Error)]
pub enum AssembleError {
    /// Expression and annotation have no gene in common.
    #[error(
        "no gene of the expression table ({expression}, …) is in the annotation ({annotation}, …){}",
        guess.as_ref().map(|guess| format!(": {guess}")).unwrap_or_default()
    )]
    NoGeneMatches {
        /// A gene of the expression table.
        expression: GeneId,
        /// A gene of the annotation.
        annotation: GeneId,
        /// The likely reason.
        guess: Option<Mismatch>,
    },
    /// No promoter belongs to a gene of the dataset.
    #[error(
        "no promoter ({promoter}, …) belongs to a gene of the dataset ({gene}, …){}",
        guess.as_ref().map(|guess| format!(": {guess}")).unwrap_or_default()
    )]
    NoPromoterMatches {
        /// A promoter's gene.
        promoter: GeneId,
        /// A gene of the dataset.
        gene: GeneId,
        /// The likely reason.
        guess: Option<Mismatch>,
    },
    /// A genome has none of the chromosomes of the annotation.
    #[error("the genome has none of the annotation's chromosomes ({0}, …), or no base around any gene")]
    NoChromosomeMatches(Chromosome),
    /// A gene lies beyond its chromosome's end.
    #[error(
        "gene {gene} ends at {chromosome}:{end}, but {chromosome} of {assembly} has {length} bases: is the annotation of \
         another assembly?"
    )]
    BeyondChromosome {
        /// The gene.
        gene: GeneId,
        /// Its chromosome.
        chromosome: Chromosome,
        /// Its last base.
        end: u32,
        /// The assembly that was named.
        assembly: Assembly,
        /// The chromosome's length in it.
        length: u32,
    },
    /// A record's expression has not one value a tissue, or a value below zero or infinite.
    #[error("the expression of gene {0} is not one finite value from 0 (or NaN) for each of the {1} tissues")]
    Expression(GeneId, usize),
    /// A gene is there twice.
    #[error("gene {0} is there twice")]
    DuplicateGene(GeneId),
    /// A genome could not be read.
    #[error(transparent)]
    Source(#[from] SourceError),
}

/// Why the identifiers of two files do not meet.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Mismatch {
    /// One has Ensembl identifiers, the other has not.
    #[error(
        "{0} looks like an Ensembl identifier, {1} does not (a symbol or an Entrez number?); both files need the same kind"
    )]
    EnsemblAgainstOther(GeneId, GeneId),
    /// Both have Ensembl identifiers, of different species.
    #[error("the Ensembl prefixes {0} and {1} are those of different species")]
    Species(String, String),
}

impl Mismatch {
    fn guess(one: &GeneId, other: &GeneId) -> Option<Self> {
        match (ensembl_prefix(one), ensembl_prefix(other)) {
            (Some(_), None) => Some(Self::EnsemblAgainstOther(one.clone(), other.clone())),
            (None, Some(_)) => Some(Self::EnsemblAgainstOther(other.clone(), one.clone())),
            (Some(a), Some(b)) if a != b => Some(Self::Species(a.to_owned(), b.to_owned())),
            _ => None,
        }
    }
}

/// Returns `ENSG` of `ENSG00000000003`, `ENSMUSG` of a mouse's.
fn ensembl_prefix(id: &GeneId) -> Option<&str> {
    let prefix = id.as_str().trim_end_matches(|c: char| c.is_ascii_digit());
    let is_ensembl = prefix.starts_with("ENS") && prefix.len() < id.as_str().len();
    is_ensembl.then_some(prefix)
}

/// The content of a reference dataset before it has a name: what the store keeps and [`Reference`] serves.
#[derive(Debug, Clone)]
pub struct ReferenceTable {
    assembly: Assembly,
    unit: Unit,
    tissues: Vec<Tissue>,
    records: Vec<GeneRecord>,
    counts: IngestCounts,
}

impl ReferenceTable {
    /// Takes records that are joined already, in any order; the counts follow from them.
    ///
    /// # Errors
    /// A gene is there twice, or its expression does not fit the tissues.
    pub fn new(
        assembly: Assembly,
        unit: Unit,
        tissues: Vec<Tissue>,
        mut records: Vec<GeneRecord>,
    ) -> Result<Self, AssembleError> {
        let mut seen = HashSet::with_capacity(records.len());
        for record in &mut records {
            if !seen.insert(record.gene.id.clone()) {
                return Err(AssembleError::DuplicateGene(record.gene.id.clone()));
            }
            let Some(values) = &record.expression else { continue };
            let is_value = |value: &f32| value.is_nan() || (value.is_finite() && *value >= 0.0);
            if values.len() != tissues.len() || !values.iter().all(is_value) {
                return Err(AssembleError::Expression(record.gene.id.clone(), tissues.len()));
            }
            if values.iter().all(|value| value.is_nan()) {
                record.expression = None;
            }
        }
        let mut table = Self { assembly, unit, tissues, records, counts: IngestCounts::default() };
        table.count();
        table.counts.expression_genes = table.records.iter().filter(|record| record.expression.is_some()).count();
        table.counts.annotated_genes = table.records.iter().filter(|record| record.gene.locus.is_some()).count();
        let matched = |record: &&GeneRecord| record.expression.is_some() && record.gene.locus.is_some();
        table.counts.matched = table.records.iter().filter(matched).count();
        Ok(table)
    }

    /// Joins an expression table and an annotation by gene identifier, or by symbol where the annotation has nothing
    /// else (BED12) and the symbol is one gene's in both.
    ///
    /// # Errors
    /// No gene is in both, or a gene lies beyond its chromosome's end in `assembly`.
    pub fn join(
        assembly: Assembly,
        unit: Unit,
        expression: ExpressionTable,
        annotation: Annotation,
    ) -> Result<Self, AssembleError> {
        check_places(&assembly, &annotation)?;
        let from_files = IngestCounts {
            expression_genes: expression.rows.len(),
            annotated_genes: annotation.genes.len(),
            duplicate_expression_rows: expression.duplicates,
            duplicate_annotation_entries: annotation.duplicates,
            ..IngestCounts::default()
        };
        let (mut matched, mut by_symbol) = (0, 0);
        let examples =
            (expression.rows.first().map(|row| row.id.clone()), annotation.genes.first().map(|g| g.id.clone()));
        let places = Places::new(&expression, &annotation);
        let mut used = vec![false; annotation.genes.len()];
        let mut records = Vec::with_capacity(expression.rows.len().max(annotation.genes.len()));
        for row in expression.rows {
            let place = places.find(&row);
            if let Some((index, found_by_symbol)) = place {
                used[index] = true;
                matched += 1;
                by_symbol += usize::from(found_by_symbol);
            }
            records.push(measured(row, place.map(|(index, _)| &annotation.genes[index])));
        }
        if let (0, (Some(expression), Some(annotation))) = (matched, examples) {
            let guess = Mismatch::guess(&expression, &annotation);
            return Err(AssembleError::NoGeneMatches { expression, annotation, guess });
        }
        let unmeasured = annotation.genes.into_iter().zip(used).filter(|(_, used)| !used);
        records.extend(unmeasured.map(|(gene, _)| GeneRecord { gene, expression: None, promoter: None }));
        let mut table = Self::new(assembly, unit, expression.tissues, records)?;
        table.counts = IngestCounts { matched, matched_by_symbol: by_symbol, ..from_files };
        table.count();
        Ok(table)
    }

    /// Gives the genes their promoters.
    ///
    /// # Errors
    /// No promoter belongs to a gene of the dataset.
    pub fn attach_promoters(&mut self, mut promoters: Promoters) -> Result<(), AssembleError> {
        let (duplicates, unknown) = (promoters.duplicates, promoters.unknown);
        let read = promoters.by_gene.len();
        for record in &mut self.records {
            record.promoter = promoters.by_gene.remove(&record.gene.id);
        }
        let left = promoters.by_gene.len();
        if left == read
            && let (Some(promoter), Some(record)) = (promoters.by_gene.into_keys().min(), self.records.first())
        {
            let gene = record.gene.id.clone();
            let guess = Mismatch::guess(&gene, &promoter);
            return Err(AssembleError::NoPromoterMatches { promoter, gene, guess });
        }
        self.counts.duplicate_promoters = duplicates;
        self.counts.promoters_unknown = unknown;
        self.counts.promoters_without_gene = left;
        self.count();
        Ok(())
    }

    /// Cuts the promoter of every placed gene from a genome.
    ///
    /// # Errors
    /// The genome cannot be read, or has a base for none of the genes.
    pub fn cut_promoters(&mut self, genome: &mut GenomeFasta, window: PromoterWindow) -> Result<(), AssembleError> {
        let (mut cut, mut example) = (0, None);
        // Reading in genome order keeps the disk's head and the page cache in one place.
        let mut order: Vec<usize> = (0..self.records.len()).collect();
        let place = |record: &GeneRecord| record.gene.locus.as_ref().map(|locus| (locus.chromosome.clone(), locus.tss));
        order.sort_by_cached_key(|index| place(&self.records[*index]));
        for index in order {
            let record = &mut self.records[index];
            if let Some(locus) = &record.gene.locus {
                record.promoter = genome.cut(locus, window)?;
                cut += usize::from(record.promoter.is_some());
                example.get_or_insert_with(|| locus.chromosome.clone());
            }
        }
        if let (0, Some(chromosome)) = (cut, example) {
            return Err(AssembleError::NoChromosomeMatches(chromosome));
        }
        self.count();
        Ok(())
    }

    /// Counts what follows from the records.
    fn count(&mut self) {
        let count = |holds: &dyn Fn(&GeneRecord) -> bool| self.records.iter().filter(|record| holds(record)).count();
        let values =
            |record: &GeneRecord, holds: &dyn Fn(&[f32]) -> bool| record.expression.as_deref().is_some_and(holds);
        self.counts = IngestCounts {
            genes: self.records.len(),
            tissues: self.tissues.len(),
            without_annotation: count(&|record| record.gene.locus.is_none()),
            without_profile: count(&|record| record.expression.is_none()),
            all_zero: count(&|record| values(record, &|values| values.iter().all(|value| *value <= 0.0))),
            with_holes: count(&|record| values(record, &|values| values.iter().any(|value| value.is_nan()))),
            without_promoter: count(&|record| record.promoter.is_none()),
            unknown_tissues: self.tissues.iter().filter(|t| t.gtex().is_none()).map(|t| t.name().to_owned()).collect(),
            ..std::mem::take(&mut self.counts)
        };
    }

    /// Returns the assembly of the positions.
    #[must_use]
    pub fn assembly(&self) -> &Assembly {
        &self.assembly
    }

    /// Returns the unit of the values.
    #[must_use]
    pub fn unit(&self) -> Unit {
        self.unit
    }

    /// Returns the tissues in the dataset's order.
    #[must_use]
    pub fn tissues(&self) -> &[Tissue] {
        &self.tissues
    }

    /// Returns the genes with their expression and promoters.
    #[must_use]
    pub fn records(&self) -> &[GeneRecord] {
        &self.records
    }

    /// Returns what was found.
    #[must_use]
    pub fn counts(&self) -> &IngestCounts {
        &self.counts
    }

    /// Returns the version: the first 16 hexadecimal digits of the SHA-256 over the content, whatever the order of the
    /// records; the same content is the same version under every name.
    #[must_use]
    pub fn version(&self) -> String {
        let mut digest = ContentDigest(Sha256::new());
        digest.text("tissuecast reference 1");
        digest.text(self.assembly.as_str());
        digest.text(self.unit.as_str());
        digest.number(self.tissues.len());
        self.tissues.iter().for_each(|tissue| digest.text(tissue.name()));
        let mut records: Vec<&GeneRecord> = self.records.iter().collect();
        records.sort_by(|a, b| a.gene.id.cmp(&b.gene.id));
        for record in records {
            digest.record(record);
        }
        let hash = digest.0.finalize();
        hash.iter()
            .take(8)
            .flat_map(|byte| [byte >> 4, byte & 15])
            .filter_map(|nibble| char::from_digit(nibble.into(), 16))
            .collect()
    }

    /// Makes the snapshot that the service would load from the store under this name.
    #[must_use]
    pub fn into_reference(self, name: &str) -> Reference {
        let version = self.version();
        let dataset = Dataset { name: name.to_owned(), version, assembly: self.assembly, unit: self.unit };
        Reference::new(dataset, self.tissues, self.records)
    }
}

/// A digest in which no two different contents have the same bytes: every part carries its length.
struct ContentDigest(Sha256);

impl ContentDigest {
    fn bytes(&mut self, bytes: &[u8]) {
        self.0.update((bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
    }

    fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    fn number(&mut self, number: usize) {
        self.0.update((number as u64).to_le_bytes());
    }

    fn optional(&mut self, bytes: Option<&[u8]>) {
        self.0.update([u8::from(bytes.is_some())]);
        self.bytes(bytes.unwrap_or_default());
    }

    fn record(&mut self, record: &GeneRecord) {
        let gene = &record.gene;
        self.text(gene.id.as_str());
        self.optional(gene.version.map(u32::to_le_bytes).as_ref().map(<[u8; 4]>::as_slice));
        self.text(gene.symbol.as_str());
        self.optional(gene.biotype.as_ref().map(|biotype| biotype.as_str().as_bytes()));
        self.optional(gene.locus.as_ref().map(|locus| locus.chromosome.as_str().as_bytes()));
        if let Some(locus) = &gene.locus {
            for position in [locus.start, locus.end, locus.tss] {
                self.0.update(position.get().to_le_bytes());
            }
            self.text(locus.strand.as_str());
        }
        let canonical = |value: &f32| if value.is_nan() { f32::NAN } else { value.abs() }.to_bits().to_le_bytes();
        let values: Option<Vec<u8>> =
            record.expression.as_ref().map(|values| values.iter().flat_map(canonical).collect());
        self.optional(values.as_deref());
        self.optional(record.promoter.as_ref().map(Promoter::bases));
    }
}

/// Finds the place of a measured gene.
struct Places {
    by_id: HashMap<GeneId, usize>,
    /// Symbol → place, for symbols that tell one gene in both files.
    by_symbol: HashMap<String, usize>,
}

impl Places {
    fn new(expression: &ExpressionTable, annotation: &Annotation) -> Self {
        let mut rows_by_symbol: BTreeMap<&str, usize> = BTreeMap::new();
        for symbol in expression.rows.iter().filter_map(|row| row.description.as_deref()) {
            *rows_by_symbol.entry(symbol).or_default() += 1;
        }
        let ids = annotation.genes.iter().enumerate();
        // Only where the annotation's identifier is the symbol itself: an Ensembl identifier that the table lacks is
        // another gene, even where the symbols agree.
        let tells_one = |gene: &&Gene| {
            let name = gene.id.as_str();
            name == gene.symbol.as_str()
                && !annotation.repeated.contains(&gene.id)
                && rows_by_symbol.get(name) == Some(&1)
        };
        let by_symbol = ids.clone().filter(|(_, gene)| tells_one(gene));
        Self {
            by_symbol: by_symbol.map(|(index, gene)| (gene.id.as_str().to_owned(), index)).collect(),
            by_id: ids.map(|(index, gene)| (gene.id.clone(), index)).collect(),
        }
    }

    /// Returns the index in the annotation and whether the symbol led there.
    fn find(&self, row: &ExpressionRow) -> Option<(usize, bool)> {
        let by_id = self.by_id.get(&row.id).map(|index| (*index, false));
        by_id.or_else(|| Some((*self.by_symbol.get(row.description.as_deref()?)?, true)))
    }
}

fn check_places(assembly: &Assembly, annotation: &Annotation) -> Result<(), AssembleError> {
    for gene in &annotation.genes {
        let Some(locus) = &gene.locus else { continue };
        if let Some(length) = assembly.length_of(&locus.chromosome)
            && locus.end.get().max(locus.tss.get()) > length
        {
            return Err(AssembleError::BeyondChromosome {
                gene: gene.id.clone(),
                chromosome: locus.chromosome.clone(),
                end: locus.end.get().max(locus.tss.get()),
                assembly: assembly.clone(),
                length,
            });
        }
    }
    Ok(())
}

fn measured(row: ExpressionRow, annotated: Option<&Gene>) -> GeneRecord {
    let symbol = row.description.as_deref().map(GeneSymbol::new);
    let gene = match annotated {
        Some(gene) => Gene { id: row.id, version: gene.version.or(row.version), ..gene.clone() },
        None => Gene {
            symbol: symbol.unwrap_or_else(|| GeneSymbol::new(row.id.as_str())),
            id: row.id,
            version: row.version,
            biotype: None,
            locus: None,
        },
    };
    GeneRecord { gene, expression: Some(row.values), promoter: None }
}

#[cfg(test)]
#[path = "assemble_tests.rs"]
mod tests;
