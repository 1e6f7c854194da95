//! What every format is read into: genes with rows, each row checked as it comes.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::{Format, ImportError};
use crate::genome::{Allele, Assembly, Biotype, Chromosome, GeneId, GeneSymbol, PlacedName, Position, VariantId};
use crate::genotype::variants::{ModelVariant, VariantTable};
use crate::model::expression::linear::Linear;
use crate::model::expression::{GeneAccuracy, ModelGene};

/// More rows than any model of expression has; a file that passes it is something else.
const MOST_ROWS: usize = 20_000_000;
/// The longest name of a gene or a variant and the longest allele.
const LONGEST_WORD: usize = 10_000;

/// A row as the file has it.
#[derive(Debug, Clone, Copy)]
pub struct Row<'a> {
    /// The gene, as the file spells it.
    pub gene: &'a str,
    /// The variant's identifier; a name that is made of a place gives the place.
    pub id: &'a str,
    /// The place, where the file has it beside the identifier.
    pub place: Option<(&'a str, &'a str)>,
    /// The allele that is not counted.
    pub other: &'a str,
    /// The allele that is counted.
    pub effect: &'a str,
    /// The weight; `None` where it is no number.
    pub weight: Option<f64>,
    /// The counted allele's frequency.
    pub frequency: Option<f64>,
}

/// What a file says of its model as a whole.
#[derive(Debug, Clone, PartialEq)]
pub struct About {
    /// The format.
    pub format: Format,
    /// The tissue.
    pub tissue: Option<String>,
    /// How many people it was trained on.
    pub n_samples: Option<u32>,
    /// Their population.
    pub population: Option<String>,
}

#[derive(Debug)]
struct DraftGene {
    id: GeneId,
    version: Option<u32>,
    name: Box<str>,
    symbol: Option<GeneSymbol>,
    biotype: Option<Biotype>,
    accuracy: Option<GeneAccuracy>,
    rows: Vec<(ModelVariant, f64)>,
}

/// A model in the making.
#[derive(Debug)]
pub struct Draft {
    /// What is true of the whole.
    pub about: About,
    /// The assembly that the file says its places are of.
    pub assembly: Option<Assembly>,
    /// Whether the allele that is not counted is the reference allele.
    pub other_is_reference: bool,
    genes: Vec<DraftGene>,
    by_name: HashMap<Box<str>, usize>,
    left_out: BTreeMap<String, usize>,
    notes: Vec<String>,
    rows: usize,
}

/// A checked model with the account of what was left out.
#[derive(Debug)]
pub struct Built {
    /// The model.
    pub model: Linear,
    /// What the file said of it.
    pub about: About,
    /// Rows that were left out, by reason.
    pub left_out: BTreeMap<String, usize>,
    /// What was missing or odd.
    pub notes: Vec<String>,
}

impl Draft {
    /// Starts an empty draft.
    #[must_use]
    pub fn new(format: Format, other_is_reference: bool) -> Self {
        Self {
            about: About { format, tissue: None, n_samples: None, population: None },
            assembly: None,
            other_is_reference,
            genes: Vec::new(),
            by_name: HashMap::new(),
            left_out: BTreeMap::new(),
            notes: Vec::new(),
            rows: 0,
        }
    }

    /// Counts a row that is left out.
    pub fn leave_out(&mut self, reason: &str) {
        if let Some(count) = self.left_out.get_mut(reason) {
            *count += 1;
        } else {
            self.left_out.insert(reason.to_owned(), 1);
        }
    }

    /// Notes what was missing or odd.
    pub fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    /// Takes a row, or counts why it is left out.
    ///
    /// # Errors
    /// There are more rows than any model has.
    pub fn add(&mut self, row: Row<'_>) -> Result<(), ImportError> {
        self.rows += 1;
        if self.rows > MOST_ROWS {
            return Err(ImportError::TooLarge(MOST_ROWS));
        }
        match self.checked(row) {
            Ok((gene, variant, weight)) => self.gene(gene, row.gene).rows.push((variant, weight)),
            Err(reason) => self.leave_out(reason),
        }
        Ok(())
    }

    #[expect(clippy::type_complexity, reason = "the parts of one row, taken apart at once")]
    fn checked(&mut self, row: Row<'_>) -> Result<((GeneId, Option<u32>), ModelVariant, f64), &'static str> {
        if [row.gene, row.id, row.other, row.effect].iter().any(|word| word.len() > LONGEST_WORD) {
            return Err("a word of the row is too long");
        }
        let gene = GeneId::parse(row.gene).map_err(|_| "the gene has no usable name")?;
        let weight = row.weight.filter(|weight| weight.is_finite()).ok_or("the weight is not a finite number")?;
        if weight == 0.0 {
            return Err("the weight is zero");
        }
        let allele = |text: &str| Allele::parse(text).map_err(|_| "an allele is not made of bases");
        let (other, effect) = (allele(row.other)?, allele(row.effect)?);
        if other == effect {
            return Err("both alleles are the same");
        }
        let named = PlacedName::parse(row.id);
        if let Some(assembly) = named.as_ref().and_then(|name| name.assembly.as_ref())
            && self.assembly.get_or_insert_with(|| assembly.clone()) != assembly
        {
            return Err("the position is of another assembly than the file's others");
        }
        let place = match row.place.filter(|(chromosome, position)| is_given(chromosome) && is_given(position)) {
            Some((chromosome, position)) => {
                let chromosome = Chromosome::parse(chromosome).map_err(|_| "the place makes no sense")?;
                Some((chromosome, Position::parse(position).map_err(|_| "the place makes no sense")?))
            }
            None => named.as_ref().map(|name| (name.chromosome.clone(), name.position)),
        };
        let id = if named.is_none() && is_given(row.id) { VariantId::parse(row.id) } else { None };
        if place.is_none() && id.is_none() {
            return Err("the variant has neither identifier nor place");
        }
        let frequency = row.frequency.filter(|frequency| (0.0..=1.0).contains(frequency)).map(|x| x as f32);
        Ok((gene, ModelVariant { id, place, other, effect, frequency }, weight))
    }

    fn gene(&mut self, (id, version): (GeneId, Option<u32>), name: &str) -> &mut DraftGene {
        let next = self.genes.len();
        let index = self.by_name.get(name).copied().unwrap_or(next);
        if index == next {
            self.by_name.insert(name.into(), next);
            let (symbol, biotype, accuracy) = (None, None, None);
            self.genes.push(DraftGene { id, version, name: name.into(), symbol, biotype, accuracy, rows: Vec::new() });
        }
        &mut self.genes[index]
    }

    /// Returns how many genes have a row.
    #[must_use]
    pub fn genes(&self) -> usize {
        self.genes.len()
    }

    /// Describes a gene; returns whether it has rows.
    pub fn describe(
        &mut self,
        name: &str,
        symbol: Option<&str>,
        biotype: Option<&str>,
        accuracy: Option<GeneAccuracy>,
    ) -> bool {
        let Some(gene) = self.by_name.get(name).and_then(|index| self.genes.get_mut(*index)) else { return false };
        gene.symbol = symbol.filter(|text| is_given(text)).map(GeneSymbol::new).or(gene.symbol.take());
        gene.biotype = biotype.filter(|text| is_given(text)).map(Biotype::new).or(gene.biotype.take());
        gene.accuracy = accuracy.or(gene.accuracy.take());
        true
    }

    /// Sorts and checks the whole. `assembly` is what the one who imports says of the places.
    ///
    /// # Errors
    /// No row is left, or the places' assembly is not known or in doubt.
    pub fn build(mut self, assembly: Option<&Assembly>) -> Result<Built, ImportError> {
        if let (Some(file), Some(given)) = (&self.assembly, assembly)
            && file != given
        {
            let (file, given) = (file.as_str().to_owned(), given.as_str().to_owned());
            return Err(ImportError::OtherAssembly { file, given });
        }
        let mut assembly = self.assembly.take().or_else(|| assembly.cloned());
        for index in 0..self.genes.len() {
            let repeated = self.genes.get_mut(index).map_or(0, |gene| {
                let before = gene.rows.len();
                let mut seen = HashSet::with_capacity(before);
                gene.rows.retain(|(row, _)| {
                    let alleles =
                        (row.effect.clone().min(row.other.clone()), row.effect.clone().max(row.other.clone()));
                    seen.insert((row.id.clone(), row.place.clone(), alleles))
                });
                gene.rows.sort_by(|(a, _), (b, _)| a.place.cmp(&b.place));
                before - gene.rows.len()
            });
            (0..repeated).for_each(|_| self.leave_out("the gene has a weight for this variant already"));
        }
        let count: usize = self.genes.iter().map(|gene| gene.rows.len()).sum();
        if count == 0 {
            let reasons: Vec<String> = self.left_out.iter().map(|(why, rows)| format!("{why} ({rows})")).collect();
            let reasons =
                if reasons.is_empty() { ": it has none".to_owned() } else { format!(": {}", reasons.join("; ")) };
            return Err(ImportError::NoWeights(reasons));
        }
        let (mut genes, mut rows, mut weights) =
            (Vec::with_capacity(self.genes.len()), Vec::with_capacity(count), Vec::with_capacity(count));
        for gene in self.genes {
            let start = rows.len();
            for (row, weight) in gene.rows {
                rows.push(row);
                weights.push(weight);
            }
            let DraftGene { id, version, name, symbol, biotype, accuracy, .. } = gene;
            genes.push(ModelGene {
                id,
                version,
                name,
                symbol,
                biotype,
                locus: None,
                accuracy,
                rows: start..rows.len(),
            });
        }
        let placed = rows.iter().any(|row| row.place.is_some());
        if placed && assembly.is_none() {
            return Err(ImportError::NoAssembly);
        }
        if !placed {
            assembly = None;
            self.notes.push("the file has no positions: variants are known by their identifiers alone".to_owned());
        }
        let table = VariantTable { rows, assembly, other_is_reference: self.other_is_reference, lifted: None };
        let model = Linear::new(genes, table, weights)?;
        Ok(Built { model, about: self.about, left_out: self.left_out, notes: self.notes })
    }
}

/// Whether a field has a value: not empty, `.` or `NA`.
#[must_use]
pub fn is_given(text: &str) -> bool {
    !matches!(text, "" | "." | "NA" | "NaN" | "nan" | "None")
}

/// Makes a gene's accuracy of what a file says; what is out of range is not known, and nothing known is no accuracy.
#[must_use]
pub fn accuracy(
    r2: Option<f64>,
    lowest_r2: f64,
    p_value: Option<f64>,
    n: Option<u32>,
    kind: &str,
) -> Option<GeneAccuracy> {
    let r2 = r2.filter(|r2| (lowest_r2..=1.0).contains(r2));
    let p_value = p_value.filter(|p| (0.0..=1.0).contains(p));
    (r2.is_some() || p_value.is_some()).then(|| GeneAccuracy {
        r2,
        p_value,
        n,
        kind: kind.to_owned(),
        ..GeneAccuracy::default()
    })
}
