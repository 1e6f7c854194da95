//! Exons of gene models: GTF's `exon` lines or the blocks of BED12, lifted where the genotypes are of another assembly.
//!
//! Imports `genome`, `reference` and the cohort's tables. Invariant: spans are merged, counted from 0 with the end left
//! out, and of the chromosome that the model says.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use super::AnnotationError;
use super::intervals::{is_comment, is_interval, merged};
use crate::genome::liftover::{Lift, LiftoverMap};
use crate::genome::{Chromosome, GeneId, GeneSymbol, Position, Strand};
use crate::training::cohort::{CohortGene, Row, Table, TableError, TableProblem, turned};

/// A model that lies further than this from the gene's interval is another place's.
const FURTHEST_BP: u32 = 100_000;

/// A gene's model.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct GeneModel {
    pub(super) chromosome: Chromosome,
    pub(super) strand: Option<Strand>,
    pub(super) start: u32,
    pub(super) end: u32,
    pub(super) exons: Vec<(u32, u32)>,
    /// Whether two places have this name: then it is nobody's.
    ambiguous: bool,
}

/// Gene models by identifier and by symbol.
#[derive(Debug, Default)]
pub(super) struct GeneModels {
    models: BTreeMap<GeneId, GeneModel>,
    by_symbol: HashMap<String, Option<GeneId>>,
}

impl GeneModels {
    /// Reads GTF or BED12, told apart by the first line.
    pub(super) fn read(path: &Path) -> Result<Self, AnnotationError> {
        Self::read_table(Table::open(path)?)
    }

    fn read_table(mut table: Table) -> Result<Self, AnnotationError> {
        let mut models = Self::default();
        while let Some(row) = table.next()? {
            if is_comment(row.text) {
                continue;
            }
            if is_interval(&row) { models.add_bed(&row)? } else { models.add_gtf(&row)? }
        }
        if models.models.is_empty() {
            return Err(table.wrong(TableProblem::Ended("its first gene")).into());
        }
        for model in models.models.values_mut() {
            model.exons = merged(std::mem::take(&mut model.exons));
        }
        Ok(models)
    }

    fn add_bed(&mut self, row: &Row<'_>) -> Result<(), TableError> {
        let fields = row.fields();
        if fields.len() < 6 {
            return Err(row.wrong(TableProblem::FieldCount { found: fields.len(), expected: 12 }));
        }
        let chromosome = row.chromosome((0, "chrom"), fields[0])?;
        let (start, end) = (row.whole((1, "chromStart"), fields[1])?, row.whole((2, "chromEnd"), fields[2])?);
        let (id, _) = GeneId::parse(fields[3]).map_err(|error| row.wrong_field((3, "name"), error))?;
        let strand = Strand::parse(fields[5]).ok();
        let list = |index: usize, name: &str| -> Result<Vec<u32>, TableError> {
            let text = fields.get(index).copied().unwrap_or("");
            text.split(',').filter(|number| !number.is_empty()).map(|number| row.whole((index, name), number)).collect()
        };
        let (sizes, starts) = (list(10, "blockSizes")?, list(11, "blockStarts")?);
        let exons = sizes.iter().zip(&starts).map(|(size, from)| {
            let first = start.saturating_add(*from);
            (first, first.saturating_add(*size))
        });
        let model = GeneModel { chromosome, strand, start, end, exons: exons.collect(), ambiguous: false };
        self.add_symbol(fields[3], &id);
        self.models.entry(id).and_modify(|earlier| earlier.ambiguous = true).or_insert(model);
        Ok(())
    }

    fn add_gtf(&mut self, row: &Row<'_>) -> Result<(), TableError> {
        let fields: Vec<&str> = row.text.split('\t').collect();
        let [chromosome, _, kind, start, end, _, strand, _, attributes] = fields[..] else {
            return Err(row.wrong(TableProblem::FieldCount { found: fields.len(), expected: 9 }));
        };
        if kind != "gene" && kind != "exon" {
            return Ok(());
        }
        let chromosome = row.chromosome((0, "seqname"), chromosome)?;
        let (first, end) = (row.whole((3, "start"), start)?, row.whole((4, "end"), end)?);
        let start = first.saturating_sub(1);
        let Some(id) = attribute(attributes, "gene_id") else {
            return Err(row.wrong_field((8, "attributes"), TableProblem::NoHeading("attribute gene_id")));
        };
        let (id, _) = GeneId::parse(id).map_err(|error| row.wrong_field((8, "attributes"), error))?;
        if end < start {
            return Err(row.wrong_field((4, "end"), TableProblem::EndBeforeStart { start, end }));
        }
        if let Some(symbol) = attribute(attributes, "gene_name") {
            self.add_symbol(symbol, &id);
        }
        let strand = Strand::parse(strand).ok();
        let fresh =
            || GeneModel { chromosome: chromosome.clone(), strand, start, end, exons: vec![], ambiguous: false };
        let model = self.models.entry(id).or_insert_with(fresh);
        model.ambiguous |= model.chromosome != chromosome;
        (model.start, model.end) = (model.start.min(start), model.end.max(end));
        if kind == "exon" {
            model.exons.push((start, end));
        }
        Ok(())
    }

    fn add_symbol(&mut self, symbol: &str, id: &GeneId) {
        let known = self.by_symbol.entry(symbol.to_owned()).or_insert_with(|| Some(id.clone()));
        if known.as_ref() != Some(id) {
            *known = None;
        }
    }

    /// Returns the model of a gene: by its identifier, else by its symbol or its name where one model alone has it.
    pub(super) fn of(&self, gene: &CohortGene) -> Option<&GeneModel> {
        let symbol = gene.symbol.as_ref().map(GeneSymbol::as_str);
        let named = |name: &str| self.by_symbol.get(name).and_then(Option::as_ref).and_then(|id| self.models.get(id));
        let found = self.models.get(&gene.id).or_else(|| symbol.and_then(named)).or_else(|| named(&gene.name));
        found.filter(|model| !model.ambiguous)
    }

    /// Returns whether any model has an exon.
    pub(super) fn have_exons(&self) -> bool {
        self.models.values().any(|model| !model.exons.is_empty())
    }
}

impl GeneModel {
    /// Returns the model on another assembly; exons with a gap in the chain, or carried to another chromosome, are
    /// left out. `None` where no exon (without exons: neither end) is left.
    pub(super) fn lifted(&self, chain: &LiftoverMap) -> Option<Self> {
        let lift = |start: u32, end: u32| {
            let length = end.saturating_sub(start).max(1);
            let first = Position::new(start.saturating_add(1))?;
            match chain.lift(&self.chromosome, first, length) {
                Lift::At { chromosome, position, reversed } => {
                    let onto = position.get() - 1;
                    Some((chromosome, onto, onto.saturating_add(length), reversed))
                }
                Lift::Nowhere | Lift::Several => None,
            }
        };
        let last = self.end.max(1) - 1;
        let ends = [lift(self.start, self.start.saturating_add(1)), lift(last, last.saturating_add(1))];
        let exons: Vec<_> = self.exons.iter().filter_map(|(start, end)| lift(*start, *end)).collect();
        let (chromosome, reversed) =
            ends.iter().flatten().chain(&exons).map(|found| (found.0.clone(), found.3)).next()?;
        let on_it = |found: &&(Chromosome, u32, u32, bool)| found.0 == chromosome && found.3 == reversed;
        let bases: Vec<(u32, u32)> =
            ends.iter().flatten().chain(&exons).filter(on_it).map(|found| (found.1, found.2)).collect();
        Some(Self {
            strand: if reversed { self.strand.map(turned) } else { self.strand },
            start: bases.iter().map(|(start, _)| *start).min()?,
            end: bases.iter().map(|(_, end)| *end).max()?,
            exons: merged(exons.iter().filter(on_it).map(|found| (found.1, found.2)).collect()),
            chromosome,
            ambiguous: false,
        })
    }

    /// Returns whether the model is at the gene's place.
    pub(super) fn fits(&self, gene: &CohortGene) -> bool {
        let (first, last) = gene.body();
        self.chromosome == gene.chromosome
            && self.start <= last.saturating_add(FURTHEST_BP)
            && first <= self.end.saturating_add(FURTHEST_BP)
    }
}

/// Returns the value of an attribute of a GTF line.
fn attribute<'a>(attributes: &'a str, wanted: &str) -> Option<&'a str> {
    // A `;` within quotes is no end, but what identifiers and symbols need is found in spite of it.
    attributes.split(';').find_map(|attribute| {
        let (key, value) = attribute.trim().split_once(' ')?;
        let value = value.trim().trim_matches('"');
        (key == wanted && !value.is_empty()).then_some(value)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::source::tests::text;
    use crate::training::cohort::simulated::simulate;

    fn models(file: &str) -> Result<GeneModels, AnnotationError> {
        GeneModels::read_table(Table::new(text(file)))
    }

    #[test]
    fn gtf_and_bed_give_the_same_exons() {
        let gtf = "#!x\nchr1\tx\tgene\t11\t100\t.\t-\t.\tgene_id \"ENSG00000000001.3\"; gene_name \"SIM1\";\n\
                   chr1\tx\ttranscript\t11\t100\t.\t-\t.\tx\n\
                   chr1\tx\texon\t11\t20\t.\t-\t.\tgene_id \"ENSG00000000001.3\"; gene_name \"SIM1\";\n\
                   chr1\tx\texon\t61\t100\t.\t-\t.\tgene_id \"ENSG00000000001.3\"; gene_name \"SIM1\";\n";
        let bed = "chr1\t10\t100\tSIM1\t0\t-\t100\t100\t0\t2\t10,40,\t0,50,\tSIM1\n";
        let cohort = simulate(2, 2, 40, 0.1, 1);
        for file in [gtf, bed] {
            let models = models(file).unwrap();
            let model = models.of(&cohort.genes[0]).unwrap();
            assert_eq!((model.start, model.end, model.strand), (10, 100, Some(Strand::Reverse)));
            assert_eq!(model.exons, [(10, 20), (60, 100)]);
            assert!(models.of(&cohort.genes[1]).is_none() && models.have_exons());
            assert!(!model.fits(&cohort.genes[0]), "the gene is at 1 Mb");
        }
        let twice = models(&bed.repeat(2)).unwrap();
        assert!(twice.of(&cohort.genes[0]).is_none());
        assert!(models("chr1\t10\t100\n").unwrap_err().to_string().contains("line 1: 3 fields"));
    }

    #[test]
    fn exons_are_lifted_one_by_one() {
        // Bases 0 to 50 move by 1000; 50 to 60 are gone; the rest moves by 990.
        let chain = "chain 1 chr1 1000 + 0 200 chr1 5000 + 1000 1190 1\n50 10 0\n140\n\n";
        let chain = LiftoverMap::read(chain.as_bytes()).unwrap();
        let bed = "chr1\t10\t100\tG\t0\t+\t0\t0\t0\t3\t10,20,40,\t0,28,50,\n";
        let models = models(bed).unwrap();
        let model = models.models.values().next().unwrap().lifted(&chain).unwrap();
        assert_eq!((model.start, model.end, model.exons), (1010, 1090, vec![(1010, 1020), (1050, 1090)]));
    }
}
