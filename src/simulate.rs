//! A small simulated genome for the demo and for tests: nothing in it is real.
//!
//! Genes lie in clusters and share part of their cluster's activity; motifs planted in their promoters drive the
//! tissues of one body system each. So both neighbours and promoters predict profiles here, as they do in real data,
//! and a model can be seen to learn from either. Imports `genome` and `reference`. Invariant: the same settings give
//! the same genome, byte for byte.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::genome::tissue::GTEX_V8;
use crate::genome::{
    Assembly, Biotype, Chromosome, Gene, GeneId, GeneSymbol, GenomeError, Locus, Position, Promoter, Strand, Tissue,
};
use crate::reference::{Dataset, GeneRecord, Unit};

/// Bases of a simulated promoter.
pub const PROMOTER_BASES: usize = 1_500;
/// The base of a simulated promoter, from 0, at which transcription starts.
pub const PROMOTER_TSS: usize = 1_000;

/// The seed of what all simulated genomes have in common.
const WORLD_SEED: u64 = 1;

/// Length of a motif.
const MOTIF_BASES: usize = 9;
/// Where motifs are planted, around the transcription start.
const MOTIF_WINDOW: std::ops::Range<usize> = PROMOTER_TSS - 150..PROMOTER_TSS + 50;
/// Bases on a line of FASTA.
const FASTA_LINE: usize = 60;

/// What is simulated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Simulation {
    /// How many genes.
    pub genes: usize,
    /// Over how many chromosomes they are spread, at least 1.
    pub chromosomes: usize,
    /// Seed of everything random.
    pub seed: u64,
}

impl Default for Simulation {
    fn default() -> Self {
        Self { genes: 600, chromosomes: 6, seed: 1 }
    }
}

/// A simulated dataset, as an ingest would hand it to the store.
#[derive(Debug, Clone)]
pub struct Simulated {
    /// Its name, version, assembly and unit.
    pub dataset: Dataset,
    /// GTEx V8's 54 tissues.
    pub tissues: Vec<Tissue>,
    /// Its genes in genome order.
    pub records: Vec<GeneRecord>,
}

/// Where a simulated dataset was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SimulatedFiles {
    /// The expression table, GCT 1.2.
    pub expression: PathBuf,
    /// The annotation, GTF.
    pub annotation: PathBuf,
    /// The promoters, FASTA.
    pub promoters: PathBuf,
}

/// Why a simulation failed.
#[derive(Debug, thiserror::Error)]
pub enum SimulationError {
    /// The genome vocabulary refused a simulated word.
    #[error("the simulation made a word that is not one of a genome")]
    Genome(#[from] GenomeError),
    /// A file could not be written.
    #[error("cannot write {path}")]
    Io {
        /// The file.
        path: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// What holds for the whole simulated genome.
struct World {
    /// Body systems, each with the tissues in it and the motif that drives it.
    programs: Vec<Program>,
    /// An effect a tissue that all genes share.
    tissue_effects: Vec<f64>,
}

struct Program {
    tissues: Vec<usize>,
    motif: [u8; MOTIF_BASES],
}

/// What the genes of a cluster share.
struct Cluster {
    level: f64,
    /// A program and how strongly it is on.
    programs: Vec<(usize, f64)>,
}

impl Simulation {
    /// Simulates the genome.
    ///
    /// About 3 % of the genes have no profile, 4 % have holes, 6 % have no promoter, and one is 0 in every tissue.
    ///
    /// # Errors
    /// More genes are asked for than fit on a chromosome.
    pub fn run(&self) -> Result<Simulated, SimulationError> {
        // Every simulated genome has the same motifs and tissues: a model of one can be asked about another.
        let world = World::draw(&mut ChaCha8Rng::seed_from_u64(WORLD_SEED));
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        let mut records = Vec::with_capacity(self.genes);
        let chromosomes = self.chromosomes.max(1);
        for at in 0..chromosomes {
            let chromosome = Chromosome::parse(&(at + 1).to_string())?;
            let genes = self.genes / chromosomes + usize::from(at < self.genes % chromosomes);
            simulate_chromosome(&world, &chromosome, genes, &mut records, &mut rng)?;
        }
        if let Some(record) = records.get_mut(self.genes / 2) {
            record.expression = Some(vec![0.0; GTEX_V8.len()]);
        }
        let version = format!("{}-{}-{}", self.genes, self.chromosomes, self.seed);
        let assembly = Assembly::parse("simulated")?;
        let dataset = Dataset { name: "simulated".to_owned(), version, assembly, unit: Unit::Tpm };
        let tissues = GTEX_V8.iter().map(|tissue| Tissue::from_name(tissue.name)).collect();
        Ok(Simulated { dataset, tissues, records })
    }
}

impl World {
    fn draw(rng: &mut ChaCha8Rng) -> Self {
        let systems: BTreeSet<&str> = GTEX_V8.iter().map(|tissue| tissue.system).collect();
        let program = |system: &str, rng: &mut ChaCha8Rng| Program {
            tissues: (0..GTEX_V8.len()).filter(|&tissue| GTEX_V8[tissue].system == system).collect(),
            motif: std::array::from_fn(|_| b"ACGT"[rng.random_range(0..4)]),
        };
        let programs = systems.into_iter().map(|system| program(system, rng)).collect();
        Self { programs, tissue_effects: GTEX_V8.iter().map(|_| 0.4 * normal(rng)).collect() }
    }

    fn draw_programs(&self, count: usize, strength: f64, rng: &mut ChaCha8Rng) -> Vec<(usize, f64)> {
        let all: Vec<usize> = (0..self.programs.len()).collect();
        all.sample(rng, count).map(|&program| (program, strength)).collect()
    }
}

/// Lays clusters of 3 to 8 genes along a chromosome until it has as many as it should.
fn simulate_chromosome(
    world: &World,
    chromosome: &Chromosome,
    genes: usize,
    records: &mut Vec<GeneRecord>,
    rng: &mut ChaCha8Rng,
) -> Result<(), SimulationError> {
    let mut position = 1_000_000;
    let last = records.len() + genes;
    while records.len() < last {
        let count = rng.random_range(1..=2);
        let cluster = Cluster {
            level: 2.5 + 1.2 * normal(rng),
            programs: world.draw_programs(count, rng.random_range(1.5..3.5), rng),
        };
        for _ in 0..rng.random_range(3..=8).min(last - records.len()) {
            let end = position + log_uniform(1_000.0, 30_000.0, rng);
            let strand = if rng.random_bool(0.5) { Strand::Forward } else { Strand::Reverse };
            let place = |base: u32| Position::new(base).ok_or_else(|| GenomeError::Position(base.to_string()));
            let locus = Locus::new(chromosome.clone(), place(position)?, place(end)?, strand);
            records.push(simulate_gene(world, &cluster, locus, records.len() + 1, rng)?);
            position = end + log_uniform(500.0, 15_000.0, rng);
        }
        position += log_uniform(40_000.0, 250_000.0, rng);
    }
    Ok(())
}

fn simulate_gene(
    world: &World,
    cluster: &Cluster,
    locus: Locus,
    number: usize,
    rng: &mut ChaCha8Rng,
) -> Result<GeneRecord, SimulationError> {
    let own = if rng.random_bool(0.7) { world.draw_programs(1, 2.5, rng) } else { Vec::new() };
    let copies = rng.random_range(1..=3);
    let bases = draw_promoter(world, &own, copies, rng);
    let level = cluster.level + 0.8 * normal(rng);
    let mut logs: Vec<f64> = world.tissue_effects.iter().map(|effect| level + effect + 0.4 * normal(rng)).collect();
    let kept = rng.random_range(0.6..1.1);
    let shared = cluster.programs.iter().map(|(program, strength)| (*program, strength * kept));
    let driven = own.iter().map(|(program, strength)| (*program, strength * f64::from(copies).sqrt()));
    for (program, strength) in shared.chain(driven) {
        for &tissue in &world.programs[program].tissues {
            logs[tissue] += strength;
        }
    }
    let mut expression: Vec<f32> = logs.into_iter().map(|log| rounded((log - 1.0).exp2() - 0.3)).collect();
    if rng.random_bool(0.04) {
        for _ in 0..rng.random_range(5..15) {
            let tissue = rng.random_range(0..expression.len());
            expression[tissue] = f32::NAN;
        }
    }
    let biotype = match rng.random_range(0..100) {
        0..75 => "protein_coding",
        75..88 => "lincRNA",
        88..96 => "antisense",
        _ => "processed_transcript",
    };
    let (id, version) = GeneId::parse(&format!("SIMG{number:06}"))?;
    let symbol = GeneSymbol::new(&format!("SIM{number}"));
    let gene = Gene { id, version, symbol, biotype: Some(Biotype::new(biotype)), locus: Some(locus) };
    let expression = (!rng.random_bool(0.03)).then_some(expression);
    let promoter = if rng.random_bool(0.06) { None } else { Some(Promoter::parse(&bases)?) };
    Ok(GeneRecord { gene, expression, promoter })
}

/// Draws a promoter with a base composition of its own and plants the motifs of its programs on either strand.
fn draw_promoter(world: &World, programs: &[(usize, f64)], copies: u32, rng: &mut ChaCha8Rng) -> Vec<u8> {
    let gc = rng.random_range(0.4..0.65);
    let draw = |rng: &mut ChaCha8Rng| {
        let strong = rng.random_bool(gc);
        let pair: &[u8] = if strong { b"GC" } else { b"AT" };
        pair[rng.random_range(0..2)]
    };
    let mut bases: Vec<u8> = (0..PROMOTER_BASES).map(|_| draw(rng)).collect();
    for (program, _) in programs {
        for _ in 0..copies {
            let mut motif = world.programs[*program].motif;
            if rng.random_bool(0.5) {
                motif.reverse();
                motif = motif.map(complement);
            }
            let start = rng.random_range(MOTIF_WINDOW.start..MOTIF_WINDOW.end - MOTIF_BASES);
            bases[start..start + MOTIF_BASES].copy_from_slice(&motif);
        }
    }
    bases
}

const fn complement(base: u8) -> u8 {
    match base {
        b'A' => b'T',
        b'C' => b'G',
        b'G' => b'C',
        _ => b'A',
    }
}

/// Draws from the standard normal distribution (Box and Muller).
fn normal(rng: &mut ChaCha8Rng) -> f64 {
    let (radius, angle): (f64, f64) = (rng.random_range(f64::EPSILON..1.0), rng.random());
    (-2.0 * radius.ln()).sqrt() * (std::f64::consts::TAU * angle).cos()
}

fn log_uniform(low: f64, high: f64, rng: &mut ChaCha8Rng) -> u32 {
    #[expect(clippy::cast_sign_loss, reason = "both bounds are positive")]
    let drawn = rng.random_range(low.ln()..high.ln()).exp() as u32;
    drawn
}

/// Rounds to four decimals, as tables print values; nothing is below 0.
fn rounded(value: f64) -> f32 {
    ((value.max(0.0) * 1e4).round() / 1e4) as f32
}

impl Simulated {
    /// Writes the dataset as the files that a lab would ingest: GCT, GTF, FASTA, into an existing folder.
    ///
    /// Genes without a profile have no row in the table; holes are blank.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn write_files(&self, folder: &Path) -> Result<SimulatedFiles, SimulationError> {
        let write = |name: &str, text: String| {
            let path = folder.join(name);
            match std::fs::write(&path, text) {
                Ok(()) => Ok(path),
                Err(source) => Err(SimulationError::Io { path: path.display().to_string(), source }),
            }
        };
        Ok(SimulatedFiles {
            expression: write("simulated.gct", self.gct())?,
            annotation: write("simulated.gtf", self.gtf())?,
            promoters: write("simulated.promoters.fa", self.fasta())?,
        })
    }

    fn gct(&self) -> String {
        let rows: Vec<_> = self.records.iter().filter(|record| record.expression.is_some()).collect();
        let names: Vec<&str> = self.tissues.iter().map(Tissue::name).collect();
        let mut text = format!("#1.2\n{}\t{}\nName\tDescription\t{}\n", rows.len(), names.len(), names.join("\t"));
        for record in rows {
            let _ = write!(text, "{}\t{}", record.gene.id, record.gene.symbol.as_str());
            for value in record.expression.iter().flatten() {
                let _ = if value.is_nan() { write!(text, "\t") } else { write!(text, "\t{value}") };
            }
            text.push('\n');
        }
        text
    }

    fn gtf(&self) -> String {
        let mut text = String::new();
        for Gene { id, symbol, biotype, locus, .. } in self.records.iter().map(|record| &record.gene) {
            let Some(Locus { chromosome, start, end, strand, .. }) = locus else { continue };
            let biotype = biotype.as_ref().map_or("unknown", Biotype::as_str);
            let _ = writeln!(
                text,
                "{chromosome}\tsimulated\tgene\t{start}\t{end}\t.\t{}\t.\tgene_id \"{id}\"; gene_type \"{biotype}\"; \
                 gene_name \"{}\";",
                strand.as_str(),
                symbol.as_str()
            );
        }
        text
    }

    fn fasta(&self) -> String {
        let mut text = String::new();
        for record in &self.records {
            let (Some(promoter), Some(locus)) = (&record.promoter, &record.gene.locus) else { continue };
            let _ = writeln!(
                text,
                ">{} {} {}:{}:{} source=simulated window=-{PROMOTER_TSS}..+{}",
                record.gene.id,
                record.gene.symbol.as_str(),
                locus.chromosome,
                locus.tss,
                locus.strand.as_str(),
                PROMOTER_BASES - PROMOTER_TSS - 1
            );
            for line in promoter.bases().chunks(FASTA_LINE) {
                text.extend(line.iter().map(|base| char::from(*base)));
                text.push('\n');
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::{Missing, Reference};

    fn simulated(seed: u64) -> Simulated {
        Simulation { seed, ..Simulation::default() }.run().unwrap()
    }

    #[test]
    fn the_same_seed_is_the_same_genome() {
        let text = |seed| {
            let simulated = Simulation { genes: 60, seed, ..Simulation::default() }.run().unwrap();
            (simulated.gct(), simulated.gtf(), simulated.fasta())
        };
        assert_eq!(text(1), text(1));
        assert_ne!(text(1), text(2));
    }

    #[test]
    fn every_kind_of_gene_is_there() {
        let Simulated { dataset, tissues, records } = simulated(1);
        assert_eq!((records.len(), tissues.len()), (600, 54));
        let reference = Reference::new(dataset, tissues, records);
        let count = |missing| (0..600).filter(|&gene| reference.missing(gene) == missing).count();
        assert!((5..40).contains(&count(Some(Missing::NoProfile))));
        assert!((10..50).contains(&count(Some(Missing::SomeTissues))));
        assert_eq!(count(Some(Missing::AllZero)), 1);
        assert!((10..80).contains(&(0..600).filter(|&gene| reference.promoter(gene).is_none()).count()));
        let chromosomes: BTreeSet<_> =
            reference.genes().iter().filter_map(|gene| gene.locus.as_ref().map(|locus| &locus.chromosome)).collect();
        assert_eq!(chromosomes.len(), 6);
        let mut positive: Vec<f32> =
            (0..600).flat_map(|gene| reference.expression(gene)).copied().filter(|x| *x > 0.0).collect();
        positive.sort_by(f32::total_cmp);
        let median = positive[positive.len() / 2];
        assert!((0.5..20.0).contains(&median) && positive[positive.len() - 1] > 100.0, "median {median}");
    }

    #[test]
    fn files_hold_what_was_simulated() {
        let simulated = simulated(3);
        let folder = tempfile::tempdir().unwrap();
        let files = simulated.write_files(folder.path()).unwrap();
        let read = |path: &Path| std::fs::read_to_string(path).unwrap();
        let table = read(&files.expression);
        let rows: Vec<&str> = table.lines().collect();
        let measured: Vec<_> = simulated.records.iter().filter(|record| record.expression.is_some()).collect();
        assert_eq!(rows[1], format!("{}\t54", measured.len()));
        for (row, record) in rows[3..].iter().zip(&measured) {
            let cells: Vec<&str> = row.split('\t').collect();
            assert_eq!(cells.len(), 56);
            for (cell, value) in cells[2..].iter().zip(record.expression.iter().flatten()) {
                let read = cell.parse::<f32>().map_or(f32::NAN.to_bits(), f32::to_bits);
                assert_eq!(read, value.to_bits(), "{}", record.gene.id);
            }
        }
        assert_eq!(read(&files.annotation).lines().count(), 600);
        let promoters = simulated.records.iter().filter(|record| record.promoter.is_some()).count();
        assert_eq!(read(&files.promoters).matches('>').count(), promoters);
        let missing = simulated.write_files(&folder.path().join("absent")).unwrap_err();
        assert!(missing.to_string().contains("simulated.gct"), "{missing}");
    }
}
