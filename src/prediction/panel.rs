//! The union of all models' variants: one lookup a record, by place and by identifier, whatever the number of models.

use std::ops::Range;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::selection::Selection;
use crate::genome::{Allele, Assembly, Chromosome, PlacedName, VariantId};
use crate::genotype::Site;
use crate::genotype::variants::{ModelVariant, VariantTable};
use crate::model::expression::{ModelGene, ServedGenotypeModel};

/// How far a record may lie from the place of the variant whose identifier it has, on an assembly that is known, to be
/// taken for it: indels are placed differently; further away it is another variant or another assembly.
pub const NEAR: u32 = 1_000;

/// A gene of one of the models that was asked for.
#[derive(Debug, Clone)]
pub struct PanelGene {
    /// The model's place in the panel's list.
    pub model: usize,
    /// The gene's place in the model.
    pub gene: usize,
    /// Its rows in the panel.
    pub rows: Range<usize>,
    /// Its chromosome (in [`Panel::chromosomes`]), start (from 0) and end on the submission's assembly; `None` where
    /// its variants have no place there, or places on several chromosomes.
    pub interval: Option<(u32, u32, u32)>,
    /// The last position of a row: a sorted submission has nothing more for the gene behind it. The chromosome's end
    /// where a row has no place and is found by its identifier; 0 where there are no rows.
    pub last: u32,
}

/// Alleles on the other strand, other and effect; boxed, since few rows have them.
type TurnedAlleles = Box<(Allele, Allele)>;

/// A row of one gene of one model.
#[derive(Debug, Clone)]
pub struct PanelRow {
    /// The gene's place in [`Panel::genes`].
    pub gene: u32,
    /// The row's place in its model's table.
    pub row: u32,
    /// Chromosome (in [`Panel::chromosomes`]) and position on the submission's assembly.
    pub place: Option<(u32, u32)>,
    /// The alleles on the submission's forward strand, other and effect, where the assembly turns the model's round.
    turned: Option<TurnedAlleles>,
}

/// How a model's positions are matched with a submission's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Positions {
    /// On the model's own assembly.
    Own,
    /// On the assembly that the model was lifted to.
    Lifted,
    /// Not at all: the model has none on the submission's assembly.
    None,
}

impl Positions {
    /// Returns the assembly that a model's positions are on when they are read like this.
    #[must_use]
    pub fn assembly_of(self, table: &VariantTable) -> Option<&Assembly> {
        match self {
            Self::Own => table.assembly.as_ref(),
            Self::Lifted => table.lifted.as_ref().map(|lifted| &lifted.assembly),
            Self::None => None,
        }
    }
}

/// The rows of all genes that were asked for, ready to be looked up.
#[derive(Debug)]
pub struct Panel {
    /// The models.
    pub models: Vec<Arc<ServedGenotypeModel>>,
    /// How each model's positions are matched.
    pub positions: Vec<Positions>,
    /// The genes, model by model in the models' order.
    pub genes: Vec<PanelGene>,
    /// The rows, gene by gene.
    pub rows: Vec<PanelRow>,
    /// How many rows each model has.
    pub rows_of_models: Vec<u64>,
    /// Chromosomes by number, in natural order.
    pub chromosomes: Vec<Chromosome>,
    numbers: FxHashMap<Chromosome, u32>,
    by_place: Index<u64>,
    by_rs: Index<u64>,
    by_name: Index<Box<str>>,
    /// Whether the submission's assembly is known, so that a place is a place.
    pub(crate) places_are_certain: bool,
    /// Whether a sorted submission has nothing more for a gene behind the gene's last place: not so where the assembly
    /// is not known and identifiers may be met anywhere.
    pub genes_end_at_their_last_place: bool,
}

/// Lists of row numbers by key, in one allocation.
#[derive(Debug)]
struct Index<K> {
    spans: FxHashMap<K, (u32, u32)>,
    rows: Vec<u32>,
}

impl<K: std::hash::Hash + Eq + Ord> Index<K> {
    fn new(mut entries: Vec<(K, u32)>) -> Self {
        entries.sort_unstable();
        let rows = entries.iter().map(|(_, row)| *row).collect();
        let mut spans: FxHashMap<K, (u32, u32)> = FxHashMap::default();
        spans.reserve(entries.len());
        for (at, (key, _)) in entries.into_iter().enumerate() {
            spans.entry(key).and_modify(|span| span.1 += 1).or_insert((at as u32, 1));
        }
        Self { spans, rows }
    }

    fn get<Q: std::hash::Hash + Eq + ?Sized>(&self, key: &Q) -> &[u32]
    where
        K: std::borrow::Borrow<Q>,
    {
        self.spans.get(key).map_or(&[], |(start, count)| &self.rows[*start as usize..(*start + *count) as usize])
    }

    fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}

const fn key(chromosome: u32, position: u32) -> u64 {
    (chromosome as u64) << 32 | position as u64
}

impl Panel {
    /// Builds the panel of a selection for a submission on `assembly`; where that is not known, each model's own
    /// assembly is taken for it.
    #[must_use]
    pub fn build(selection: &Selection, assembly: Option<&Assembly>) -> Self {
        let mut builder = Builder::default();
        for (at, (model, genes)) in selection.models.iter().enumerate() {
            builder.model(at, model, genes.as_deref(), assembly);
        }
        builder.build(assembly.is_some())
    }

    /// Returns the assembly that a model's places are matched on; `None` where they are not, or it does not say.
    #[must_use]
    pub fn matched_on(&self, model: usize) -> Option<&Assembly> {
        self.positions[model].assembly_of(self.models[model].model.variants())
    }

    /// Returns the number of a chromosome, where a row or a gene lies on it.
    #[must_use]
    pub fn number_of(&self, chromosome: &Chromosome) -> Option<u32> {
        self.numbers.get(chromosome).copied()
    }

    /// Collects the rows that may be the site's: those at its place and those with one of its identifiers, on a known
    /// assembly only near their place. `number` is the number of the site's chromosome. Returns how many rows have one
    /// of its identifiers and another place, whether they are collected or not.
    pub fn lookup(&self, site: &Site<'_>, number: Option<u32>, found: &mut Vec<u32>) -> u64 {
        let mut displaced = 0;
        found.clear();
        if let (Some(number), Some(position)) = (number, site.position) {
            found.extend_from_slice(self.by_place.get(&key(number, position.get())));
            if !self.places_are_certain && !found.is_empty() {
                self.drop_other_variants(site.ids, found);
            }
        }
        if self.by_rs.is_empty() && self.by_name.is_empty() && site.position.is_some() {
            return 0;
        }
        for id in site.ids.split(';') {
            let named = match id.as_bytes() {
                [] | b"." => continue,
                [b'r' | b'R', b's' | b'S', digits @ ..] => {
                    rs_number(digits).map_or(&[][..], |number| self.by_rs.get(&number))
                }
                _ if site.position.is_none() => self.named_place(id),
                _ => self.by_name.get(id),
            };
            let by_place = found.len();
            // Most often both ways lead to the same rows.
            if found != named {
                for row in named {
                    if found[..by_place].contains(row) {
                        continue;
                    }
                    let is_elsewhere = self.is_elsewhere(*row, site, number);
                    displaced += u64::from(is_elsewhere);
                    if !(is_elsewhere && self.places_are_certain) {
                        found.push(*row);
                    }
                }
            }
        }
        displaced
    }

    /// Whether a row has a place and the site lies far from it.
    fn is_elsewhere(&self, row: u32, site: &Site<'_>, number: Option<u32>) -> bool {
        let (Some((chromosome, place)), Some(position)) = (self.rows[row as usize].place, site.position) else {
            return false;
        };
        number != Some(chromosome) || place.abs_diff(position.get()) > NEAR
    }

    /// Drops rows that have another rs number than the record: on an assembly that nobody has named, two variants at
    /// one place may be there by chance.
    fn drop_other_variants(&self, ids: &str, found: &mut Vec<u32>) {
        let rs = |id: &str| match VariantId::parse(id) {
            Some(VariantId::Rs(number)) => Some(number),
            _ => None,
        };
        if ids.split(';').any(|id| rs(id).is_some()) {
            found.retain(|row| match &self.variant(*row).id {
                Some(VariantId::Rs(number)) => ids.split(';').any(|id| rs(id) == Some(*number)),
                _ => true,
            });
        }
    }

    /// The rows of an identifier that may itself be a place, for a record without one.
    fn named_place(&self, id: &str) -> &[u32] {
        let placed = PlacedName::parse(id)
            .and_then(|name| Some(self.by_place.get(&key(self.number_of(&name.chromosome)?, name.position.get()))));
        placed.unwrap_or_else(|| self.by_name.get(id))
    }

    /// Returns a row's variant as its model has it.
    #[must_use]
    pub fn variant(&self, row: u32) -> &ModelVariant {
        let row = &self.rows[row as usize];
        let gene = &self.genes[row.gene as usize];
        &self.models[gene.model].model.variants().rows[row.row as usize]
    }

    /// Returns a row's alleles on the submission's forward strand: the one that is not counted, and the one that is.
    #[must_use]
    pub fn alleles(&self, row: u32) -> (&Allele, &Allele) {
        if let Some(turned) = &self.rows[row as usize].turned {
            return (&turned.0, &turned.1);
        }
        let variant = self.variant(row);
        (&variant.other, &variant.effect)
    }

    /// Returns the model's place in the list that a row belongs to.
    #[must_use]
    pub fn model_of(&self, row: u32) -> usize {
        self.genes[self.rows[row as usize].gene as usize].model
    }
}

/// The number of an rs identifier's digits, fast.
fn rs_number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || digits.len() > 18 {
        return None;
    }
    digits.iter().try_fold(0u64, |number, digit| digit.is_ascii_digit().then(|| number * 10 + u64::from(digit - b'0')))
}

#[derive(Default)]
struct Builder {
    models: Vec<Arc<ServedGenotypeModel>>,
    positions: Vec<Positions>,
    genes: Vec<PanelGene>,
    rows: Vec<PanelRow>,
    chromosomes: Vec<Chromosome>,
    numbers: FxHashMap<Chromosome, u32>,
}

/// How a model's positions meet a submission on `assembly`.
fn positions(table: &VariantTable, assembly: Option<&Assembly>) -> Positions {
    match (assembly, &table.assembly) {
        (None, _) => Positions::Own,
        // A model that does not say its assembly is taken at its word: by identifier.
        (Some(_), None) => Positions::None,
        (Some(wanted), Some(own)) if wanted == own => Positions::Own,
        (Some(wanted), _) if table.lifted.as_ref().is_some_and(|lifted| lifted.assembly == *wanted) => {
            Positions::Lifted
        }
        _ => Positions::None,
    }
}

impl Builder {
    fn model(
        &mut self,
        at: usize,
        model: &Arc<ServedGenotypeModel>,
        genes: Option<&[usize]>,
        assembly: Option<&Assembly>,
    ) {
        let table = model.model.variants();
        let positions = positions(table, assembly);
        let every: Vec<usize>;
        let genes = if let Some(genes) = genes {
            genes
        } else {
            every = (0..model.model.genes().len()).collect();
            &every
        };
        for gene in genes {
            let of_model = &model.model.genes()[*gene];
            let start = self.rows.len();
            for row in of_model.rows.clone() {
                let (place, turned) = self.place(table, row, positions);
                self.rows.push(PanelRow { gene: self.genes.len() as u32, row: row as u32, place, turned });
            }
            let rows = start..self.rows.len();
            let (interval, last) = self.interval(of_model, rows.clone(), positions);
            self.genes.push(PanelGene { model: at, gene: *gene, rows, interval, last });
        }
        self.models.push(Arc::clone(model));
        self.positions.push(positions);
    }

    fn place(
        &mut self,
        table: &VariantTable,
        row: usize,
        positions: Positions,
    ) -> (Option<(u32, u32)>, Option<TurnedAlleles>) {
        match positions {
            Positions::None => (None, None),
            Positions::Own => {
                let place = table.rows[row].place.as_ref();
                (place.map(|(chromosome, position)| (self.number(chromosome), position.get())), None)
            }
            Positions::Lifted => {
                let lifted = table.lifted.as_ref().and_then(|lifted| lifted.places.get(row)?.as_ref());
                let place = lifted.map(|place| (self.number(&place.chromosome), place.position.get()));
                let turned = lifted.filter(|place| place.reversed).map(|_| {
                    let variant = &table.rows[row];
                    Box::new((variant.other.reverse_complement(), variant.effect.reverse_complement()))
                });
                (place, turned)
            }
        }
    }

    fn number(&mut self, chromosome: &Chromosome) -> u32 {
        if let Some(number) = self.numbers.get(chromosome) {
            return *number;
        }
        let number = self.chromosomes.len() as u32;
        self.chromosomes.push(chromosome.clone());
        self.numbers.insert(chromosome.clone(), number);
        number
    }

    /// A gene's interval on the submission's assembly, and its last position.
    fn interval(
        &mut self,
        gene: &ModelGene,
        rows: Range<usize>,
        positions: Positions,
    ) -> (Option<(u32, u32, u32)>, u32) {
        let rows = &self.rows[rows];
        let places: Vec<(u32, u32)> = rows.iter().filter_map(|row| row.place).collect();
        let first = places.first().copied();
        let chromosome = first.map(|(chromosome, _)| chromosome);
        let one = chromosome.filter(|one| places.iter().all(|(chromosome, _)| chromosome == one));
        let start = places.iter().map(|(_, position)| *position).min();
        let end = places.iter().map(|(_, position)| *position).max();
        let is_empty = rows.is_empty();
        let last = if is_empty {
            0
        } else if places.len() == rows.len() {
            end.unwrap_or(u32::MAX)
        } else {
            u32::MAX
        };
        let own = gene.locus.as_ref().filter(|_| positions == Positions::Own);
        let interval = match own {
            Some((chromosome, start, end)) => Some((self.number(chromosome), start.get() - 1, end.get())),
            None => one.and_then(|one| Some((one, start? - 1, end?))),
        };
        // Rows on another chromosome than the gene: only the end tells that the gene is complete.
        (interval.filter(|(chromosome, ..)| is_empty || one == Some(*chromosome)), last)
    }

    fn build(mut self, places_are_certain: bool) -> Panel {
        // Natural order, so that whatever is listed by chromosome comes out as people expect it.
        let mut order: Vec<u32> = (0..self.chromosomes.len() as u32).collect();
        order.sort_by(|a, b| self.chromosomes[*a as usize].cmp(&self.chromosomes[*b as usize]));
        let mut renumbered = vec![0; order.len()];
        order.iter().enumerate().for_each(|(new, old)| renumbered[*old as usize] = new as u32);
        for row in &mut self.rows {
            row.place = row.place.map(|(chromosome, position)| (renumbered[chromosome as usize], position));
        }
        for gene in &mut self.genes {
            gene.interval = gene.interval.map(|(c, start, end)| (renumbered[c as usize], start, end));
        }
        self.numbers.values_mut().for_each(|number| *number = renumbered[*number as usize]);
        let chromosomes = order.iter().map(|old| self.chromosomes[*old as usize].clone()).collect();
        let has_ids = |row: &PanelRow| {
            let model = self.genes[row.gene as usize].model;
            self.models[model].model.variants().rows[row.row as usize].id.is_some()
        };
        let genes_end_at_their_last_place = places_are_certain || !self.rows.iter().any(has_ids);
        let mut by_place = Vec::with_capacity(self.rows.len());
        let mut by_rs = Vec::with_capacity(self.rows.len());
        let mut by_name = Vec::new();
        for (at, row) in self.rows.iter().enumerate() {
            by_place.extend(row.place.map(|(chromosome, position)| (key(chromosome, position), at as u32)));
            let model = self.genes[row.gene as usize].model;
            match &self.models[model].model.variants().rows[row.row as usize].id {
                Some(VariantId::Rs(number)) => by_rs.push((*number, at as u32)),
                Some(VariantId::Name(name)) => by_name.push((name.clone(), at as u32)),
                None => {}
            }
        }
        let mut rows_of_models = vec![0; self.models.len()];
        self.genes.iter().for_each(|gene| rows_of_models[gene.model] += gene.rows.len() as u64);
        Panel {
            rows_of_models,
            by_place: Index::new(by_place),
            by_rs: Index::new(by_rs),
            by_name: Index::new(by_name),
            models: self.models,
            positions: self.positions,
            genes: self.genes,
            rows: self.rows,
            chromosomes,
            numbers: self.numbers,
            places_are_certain,
            genes_end_at_their_last_place,
        }
    }
}
