//! The files of a sparse linear model: `weights.safetensors`, a column a tensor, plain or packed, and `genes.json`.
//!
//! Texts lie end to end in a tensor of bytes with a tensor of offsets beside it, so that tens of thousands of rows load
//! in milliseconds. Invariant: what loads is what was stored; a file that was altered is an error and never a panic.

mod columns;

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::ops::Range;

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde::{Deserialize, Serialize};

use super::linear::Linear;
use super::{GeneAccuracy, GenotypeModel, ModelGene};
use crate::genome::{Allele, Assembly, Biotype, Chromosome, GeneId, GeneSymbol, Position, VariantId};
use crate::genotype::variants::{LiftedPlace, LiftedRows, ModelVariant, VariantTable};
use crate::model::ModelError;
use columns::{Reader, Texts, Writer};

/// The file of the rows.
pub const WEIGHTS_FILE: &str = "weights.safetensors";
/// The same, packed by gzip.
pub const PACKED_WEIGHTS_FILE: &str = "weights.safetensors.gz";
/// Bytes that a packed file may inflate to: far more than the weights of any model of a whole genome.
const MOST_BYTES: u64 = 4 << 30;
/// The file of the genes.
pub const GENES_FILE: &str = "genes.json";

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct GenesFile {
    assembly: Option<String>,
    other_is_reference: bool,
    lifted_assembly: Option<String>,
    /// The chromosomes that the rows name by number.
    chromosomes: Vec<Chromosome>,
    genes: Vec<GeneEntry>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct GeneEntry {
    name: Box<str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    symbol: Option<GeneSymbol>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    biotype: Option<Biotype>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    locus: Option<(Chromosome, Position, Position)>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    accuracy: Option<GeneAccuracy>,
}

fn fault(file: &str, reason: impl Into<String>) -> ModelError {
    ModelError::File { file: file.to_owned(), reason: reason.into() }
}

/// The numbers of the chromosomes that rows name; 0 stands for none.
#[derive(Default)]
struct ChromosomeNumbers {
    names: Vec<Chromosome>,
    numbers: BTreeMap<Chromosome, u16>,
}

impl ChromosomeNumbers {
    fn of(&mut self, chromosome: &Chromosome) -> Result<u16, ModelError> {
        if let Some(number) = self.numbers.get(chromosome) {
            return Ok(*number);
        }
        self.names.push(chromosome.clone());
        let number =
            u16::try_from(self.names.len()).map_err(|_| fault(WEIGHTS_FILE, "has more than 65,535 chromosomes"))?;
        self.numbers.insert(chromosome.clone(), number);
        Ok(number)
    }
}

/// Writes a model as the files of its folder.
///
/// # Errors
/// There are more than 65,535 chromosomes or 2³² bytes of text, or the library fails.
pub fn store(model: &Linear) -> Result<BTreeMap<String, Vec<u8>>, ModelError> {
    let table = model.variants();
    let mut chromosomes = ChromosomeNumbers::default();
    let mut writer = Writer::default();
    let starts = model.genes().iter().map(|gene| gene.rows.end);
    writer.u32("gene_offsets", &std::iter::once(0).chain(starts).map(|end| end as u32).collect::<Vec<_>>());
    write_places(&mut writer, &mut chromosomes, table)?;
    let texts = |text: &dyn Fn(&ModelVariant) -> Vec<u8>| Texts::of(table.rows.iter().map(text));
    let id = |row: &ModelVariant| row.id.as_ref().map(|id| id.to_string().into_bytes()).unwrap_or_default();
    writer.texts("id", texts(&id)?);
    writer.texts("other", texts(&|row| row.other.bases().to_vec())?);
    writer.texts("effect", texts(&|row| row.effect.bases().to_vec())?);
    writer.f64("weight", &(0..table.rows.len()).map(|row| model.weight(row).unwrap_or(f64::NAN)).collect::<Vec<_>>());
    writer.f32("frequency", &table.rows.iter().map(|row| row.frequency.unwrap_or(f32::NAN)).collect::<Vec<_>>());
    let genes = GenesFile {
        assembly: table.assembly.as_ref().map(|assembly| assembly.as_str().to_owned()),
        other_is_reference: table.other_is_reference,
        lifted_assembly: table.lifted.as_ref().map(|lifted| lifted.assembly.as_str().to_owned()),
        chromosomes: chromosomes.names,
        genes: model.genes().iter().map(GeneEntry::of).collect(),
    };
    let genes = serde_json::to_vec(&genes).map_err(|error| fault(GENES_FILE, error.to_string()))?;
    Ok(BTreeMap::from([(WEIGHTS_FILE.to_owned(), writer.finish()?), (GENES_FILE.to_owned(), genes)]))
}

fn write_places(
    writer: &mut Writer,
    chromosomes: &mut ChromosomeNumbers,
    table: &VariantTable,
) -> Result<(), ModelError> {
    let (mut numbers, mut positions) = (Vec::new(), Vec::new());
    for row in &table.rows {
        let place = row.place.as_ref();
        numbers.push(place.map_or(Ok(0), |(chromosome, _)| chromosomes.of(chromosome))?);
        positions.push(place.map_or(0, |(_, position)| position.get()));
    }
    writer.u16("chromosome", &numbers);
    writer.u32("position", &positions);
    let Some(lifted) = &table.lifted else { return Ok(()) };
    let (mut numbers, mut positions, mut reversed) = (Vec::new(), Vec::new(), Vec::new());
    for place in &lifted.places {
        let place = place.as_ref();
        numbers.push(place.map_or(Ok(0), |place| chromosomes.of(&place.chromosome))?);
        positions.push(place.map_or(0, |place| place.position.get()));
        reversed.push(u8::from(place.is_some_and(|place| place.reversed)));
    }
    writer.u16("lifted_chromosome", &numbers);
    writer.u32("lifted_position", &positions);
    writer.u8("lifted_reversed", reversed);
    Ok(())
}

/// Packs the weights among a model's files.
///
/// # Errors
/// The library fails.
pub fn pack(mut files: BTreeMap<String, Vec<u8>>) -> Result<BTreeMap<String, Vec<u8>>, ModelError> {
    if let Some(bytes) = files.remove(WEIGHTS_FILE) {
        files.insert(PACKED_WEIGHTS_FILE.to_owned(), packed(&bytes, PACKED_WEIGHTS_FILE)?);
    }
    Ok(files)
}

/// Packs a file by gzip.
pub(super) fn packed(bytes: &[u8], name: &str) -> Result<Vec<u8>, ModelError> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).and_then(|()| encoder.finish()).map_err(|error| fault(name, error.to_string()))
}

/// Inflates a packed file among a model's files.
pub(super) fn unpacked(files: &BTreeMap<String, Vec<u8>>, name: &str) -> Result<Vec<u8>, ModelError> {
    let packed = files.get(name).ok_or_else(|| fault(name, "is not in the manifest"))?;
    let mut bytes = Vec::new();
    let inflated = GzDecoder::new(&**packed).take(MOST_BYTES).read_to_end(&mut bytes);
    inflated.map_err(|error| fault(name, error.to_string()))?;
    Ok(bytes)
}

/// Reads a model from the files of its folder.
///
/// # Errors
/// A file is missing, or anything in it is not what [`store`] writes.
pub fn load(files: &BTreeMap<String, Vec<u8>>) -> Result<Linear, ModelError> {
    let file = |name: &str| files.get(name).ok_or_else(|| fault(name, "is not in the manifest"));
    let genes: GenesFile =
        serde_json::from_slice(file(GENES_FILE)?).map_err(|error| fault(GENES_FILE, error.to_string()))?;
    let unpacked =
        if files.contains_key(PACKED_WEIGHTS_FILE) { Some(unpacked(files, PACKED_WEIGHTS_FILE)?) } else { None };
    let reader = Reader::new(unpacked.as_ref().map_or_else(|| file(WEIGHTS_FILE), Ok)?)?;
    let offsets = reader.u32("gene_offsets", None)?;
    if offsets.len() != genes.genes.len() + 1 || offsets.first() != Some(&0) {
        return Err(columns::wrong("gene_offsets", "does not fit the genes"));
    }
    let count = offsets.last().map_or(0, |last| *last as usize);
    let weights = reader.f64("weight", count)?;
    let rows = read_rows(&reader, &genes.chromosomes, count)?;
    let assembly = |name: &Option<String>| {
        name.as_deref().map(Assembly::parse).transpose().map_err(|error| fault(GENES_FILE, error.to_string()))
    };
    let lifted = match assembly(&genes.lifted_assembly)? {
        None => None,
        Some(assembly) => Some(LiftedRows { assembly, places: read_lifted(&reader, &genes.chromosomes, count)? }),
    };
    let own = assembly(&genes.assembly)?;
    let table = VariantTable { rows, assembly: own, other_is_reference: genes.other_is_reference, lifted };
    let ranges = offsets.iter().zip(offsets.iter().skip(1)).map(|(start, end)| *start as usize..*end as usize);
    let genes: Result<Vec<ModelGene>, ModelError> =
        genes.genes.into_iter().zip(ranges).map(|(gene, rows)| gene.model_gene(rows)).collect();
    // The model itself checks that the ranges follow each other and that weights are finite.
    Linear::new(genes?, table, weights)
}

fn read_rows(reader: &Reader<'_>, names: &[Chromosome], count: usize) -> Result<Vec<ModelVariant>, ModelError> {
    let places = read_places(reader, names, ["chromosome", "position"], count)?;
    let (ids, others, effects) =
        (reader.texts("id", count)?, reader.texts("other", count)?, reader.texts("effect", count)?);
    let frequencies = reader.f32("frequency", count)?;
    let mut rows = Vec::with_capacity(count);
    for (row, (place, frequency)) in places.into_iter().zip(frequencies).enumerate() {
        if !frequency.is_nan() && !(0.0..=1.0).contains(&frequency) {
            return Err(columns::wrong("frequency", format!("is {frequency} in row {row}, not between 0 and 1")));
        }
        let allele = |column: &'static str, texts: &Texts<'_>| {
            Allele::parse(texts.get(row)).map_err(|error| columns::wrong(column, format!("in row {row}: {error}")))
        };
        rows.push(ModelVariant {
            id: VariantId::parse(ids.get(row)),
            place,
            other: allele("other_bytes", &others)?,
            effect: allele("effect_bytes", &effects)?,
            frequency: (!frequency.is_nan()).then_some(frequency),
        });
    }
    Ok(rows)
}

/// The places of two columns; a chromosome and a position are both there or both 0.
fn read_places(
    reader: &Reader<'_>,
    names: &[Chromosome],
    [chromosome, position]: [&'static str; 2],
    count: usize,
) -> Result<Vec<Option<(Chromosome, Position)>>, ModelError> {
    let numbers = reader.u16(chromosome, count)?;
    let positions = reader.u32(position, Some(count))?;
    let place = |(row, (number, base)): (usize, (u16, u32))| {
        let name = usize::from(number).checked_sub(1).and_then(|index| names.get(index));
        match (number, name, Position::new(base)) {
            (0, _, None) => Ok(None),
            (_, Some(name), Some(position)) => Ok(Some((name.clone(), position))),
            _ => Err(columns::wrong(chromosome, format!("{number} with position {base} in row {row} is no place"))),
        }
    };
    numbers.into_iter().zip(positions).enumerate().map(place).collect()
}

fn read_lifted(
    reader: &Reader<'_>,
    names: &[Chromosome],
    count: usize,
) -> Result<Vec<Option<LiftedPlace>>, ModelError> {
    let places = read_places(reader, names, ["lifted_chromosome", "lifted_position"], count)?;
    let reversed = reader.u8("lifted_reversed", Some(count))?;
    if reversed.iter().any(|flag| *flag > 1) {
        return Err(columns::wrong("lifted_reversed", "has a number other than 0 and 1"));
    }
    let lifted = places.into_iter().zip(reversed).map(|(place, flag)| {
        place.map(|(chromosome, position)| LiftedPlace { chromosome, position, reversed: *flag == 1 })
    });
    Ok(lifted.collect())
}

impl GeneEntry {
    fn of(gene: &ModelGene) -> Self {
        Self {
            name: gene.name.clone(),
            symbol: gene.symbol.clone(),
            biotype: gene.biotype.clone(),
            locus: gene.locus.clone(),
            accuracy: gene.accuracy.clone(),
        }
    }

    fn model_gene(self, rows: Range<usize>) -> Result<ModelGene, ModelError> {
        let (id, version) = GeneId::parse(&self.name).map_err(|error| fault(GENES_FILE, error.to_string()))?;
        if self.locus.as_ref().is_some_and(|(_, start, end)| end < start) {
            return Err(fault(GENES_FILE, format!("gene {} ends before it starts", self.name)));
        }
        let Self { name, symbol, biotype, locus, accuracy } = self;
        Ok(ModelGene { id, version, name, symbol, biotype, locus, accuracy, rows })
    }
}

#[cfg(test)]
mod tests;
