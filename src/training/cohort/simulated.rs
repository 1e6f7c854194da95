//! Simulated cohorts for tests and demonstrations: nothing in them is real.
//!
//! Every gene has variants of its own, in linkage with their neighbours and with frequencies that differ a little
//! between four populations; one to three of them move its expression, rather those near the transcription start.
//! Imports `genome` and `genotype`. Invariant: the same settings give the same cohort, to the bit.

use std::fmt::Write;
use std::io;
use std::path::{Path, PathBuf};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::genotypes::GenotypeRows;
use super::transform::NormalScores;
use super::{Cohort, CohortGene, CohortVariant, Covariates, Person, WINDOW_BP};
use crate::genome::{Allele, Biotype, Chromosome, GeneId, GeneSymbol, GenomeError, Position, Strand, VariantId};
use crate::genotype::Sex;

/// Base pairs between the starts of two genes: further than two windows, so that no variant is of two genes.
const GENE_EVERY: u32 = 2_000_000;
/// Genes of a simulated chromosome.
const GENES_PER_CHROMOSOME: usize = 20;
/// Variants lie as far as this from the gene's start.
const REACH: u32 = 200_000;
/// Correlation of neighbouring variants' latent values.
const LINKAGE: f64 = 0.9;
/// Bases of a simulated gene.
const GENE_BASES: u32 = 20_000;
/// The share of expression's variance that covariates explain.
const COVARIATE_SHARE: f64 = 0.05;

/// A simulated cohort and what moves its genes.
#[derive(Debug, Clone)]
pub struct SimulatedCohort {
    /// The cohort.
    pub cohort: Cohort,
    /// By gene: variants (places in [`Cohort::variants`]) and their effects on standardised dosages.
    pub causal: Vec<Vec<(usize, f64)>>,
}

/// Where a simulated cohort was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SimulatedFiles {
    /// The genotypes, VCF.
    pub genotypes: PathBuf,
    /// The expression, BED.
    pub expression: PathBuf,
    /// The covariates, rows of a table.
    pub covariates: PathBuf,
    /// The populations and sexes.
    pub populations: PathBuf,
    /// The gene models with an exon each, GTF.
    pub gene_models: PathBuf,
    /// Intervals around every third variant, BED.
    pub intervals: PathBuf,
}

/// Simulates a cohort of genes with as many variants each, and people of whose expression genotypes explain the share
/// `heritability` (of what covariates leave).
#[must_use]
pub fn simulate(genes: usize, variants_per_gene: usize, people: usize, heritability: f64, seed: u64) -> Cohort {
    simulate_with_causes(genes, variants_per_gene, people, heritability, seed).cohort
}

/// Simulates as [`simulate`] does, and tells which variants move which gene.
#[must_use]
pub fn simulate_with_causes(
    genes: usize,
    variants_per_gene: usize,
    people: usize,
    heritability: f64,
    seed: u64,
) -> SimulatedCohort {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut world = World::draw(people, &mut rng);
    for at in 0..genes {
        // The names and positions that are made here are words of the genome: nothing is refused.
        let added = world.add_gene(at, variants_per_gene, heritability.clamp(0.0, 1.0), &mut rng);
        debug_assert!(added.is_ok(), "{added:?}");
    }
    let World { people, covariates, genes, variants, genotypes, causal } = world;
    let cohort = Cohort {
        people,
        genes,
        variants,
        covariates: Some(covariates),
        assembly: None,
        other_is_reference: true,
        notes: Vec::new(),
        window_bp: WINDOW_BP,
        genotypes,
        windows: Vec::new(),
    };
    SimulatedCohort { cohort: cohort.with_windows(), causal }
}

struct World {
    people: Vec<Person>,
    covariates: Covariates,
    genes: Vec<CohortGene>,
    variants: Vec<CohortVariant>,
    genotypes: GenotypeRows,
    causal: Vec<Vec<(usize, f64)>>,
}

impl World {
    fn draw(people: usize, rng: &mut ChaCha8Rng) -> Self {
        let person = |at: usize| Person {
            id: format!("SIM{:04}", at + 1).into(),
            population: Some(["A", "B", "C", "D"][at % 4].into()),
            sex: if rng.random_bool(0.5) { Sex::Male } else { Sex::Female },
        };
        let people: Vec<Person> = (0..people).map(person).collect();
        let age = people.iter().map(|_| f64::from(rng.random_range(20_u8..80))).collect();
        let batch = people.iter().map(|_| f64::from(rng.random_range(0_u8..2))).collect();
        let covariates = Covariates::new(["age", "batch"].map(str::to_owned).to_vec(), vec![age, batch]);
        let genotypes = GenotypeRows::new(people.len());
        Self { people, covariates, genes: Vec::new(), variants: Vec::new(), genotypes, causal: Vec::new() }
    }

    fn add_gene(
        &mut self,
        at: usize,
        variants: usize,
        heritability: f64,
        rng: &mut ChaCha8Rng,
    ) -> Result<(), GenomeError> {
        let chromosome = Chromosome::parse(&(at / GENES_PER_CHROMOSOME + 1).to_string())?;
        let first = (at % GENES_PER_CHROMOSOME) as u32 * GENE_EVERY + 1_000_000;
        let (start, end) = (first - 1, first + GENE_BASES - 1);
        let strand = if rng.random_bool(0.5) { Strand::Forward } else { Strand::Reverse };
        let tss = if strand == Strand::Forward { first } else { end };
        let positions = draw_positions(tss, variants, rng);
        let place = self.variants.len();
        let dosages = self.draw_dosages(&chromosome, &positions, rng)?;
        let causes = draw_causes(tss, &positions, rng);
        let genetic = weighted(&causes, &dosages, self.people.len());
        let (h, c) = (heritability * (1.0 - COVARIATE_SHARE), COVARIATE_SHARE);
        let noise = standardised(self.people.iter().map(|_| normal(rng)).collect());
        let background = self.background(rng);
        let value = |person: usize| {
            h.sqrt() * genetic[person] + c.sqrt() * background[person] + (1.0 - h - c).max(0.0).sqrt() * noise[person]
        };
        let mut expression: Vec<f64> = (0..self.people.len()).map(value).collect();
        NormalScores::new(self.people.len()).apply(&mut expression);
        let name = format!("ENSG{:011}", at + 1);
        let (id, version) = GeneId::parse(&name)?;
        self.genes.push(CohortGene {
            name: name.into(),
            id,
            version,
            symbol: Some(GeneSymbol::new(&format!("SIM{}", at + 1))),
            biotype: Some(Biotype::new("protein_coding")),
            chromosome,
            start,
            end,
            strand: Some(strand),
            expression,
        });
        self.causal.push(causes.into_iter().map(|(variant, effect)| (place + variant, effect)).collect());
        Ok(())
    }

    /// What age and batch do to a gene.
    fn background(&self, rng: &mut ChaCha8Rng) -> Vec<f64> {
        let effects: Vec<f64> = self.covariates.columns().iter().map(|_| normal(rng)).collect();
        let columns: Vec<Vec<f64>> = self.covariates.columns().iter().cloned().map(standardised).collect();
        let value = |person: usize| effects.iter().zip(&columns).map(|(effect, column)| effect * column[person]).sum();
        standardised((0..self.people.len()).map(value).collect())
    }

    /// Draws a gene's variants; returns their standardised dosages.
    fn draw_dosages(
        &mut self,
        chromosome: &Chromosome,
        positions: &[u32],
        rng: &mut ChaCha8Rng,
    ) -> Result<Vec<Vec<f64>>, GenomeError> {
        let mut haplotypes: Vec<f64> = (0..2 * self.people.len()).map(|_| normal(rng)).collect();
        let mut all = Vec::with_capacity(positions.len());
        for position in positions {
            let fresh = (1.0 - LINKAGE * LINKAGE).sqrt();
            for value in &mut haplotypes {
                *value = LINKAGE * *value + fresh * normal(rng);
            }
            let shifts: [f64; 4] = std::array::from_fn(|_| 0.3 * normal(rng));
            let shifted: Vec<f64> =
                haplotypes.iter().enumerate().map(|(at, value)| value + shifts[at / 2 % 4]).collect();
            let frequency = rng.random_range(0.08..0.5);
            let mut ordered = shifted.clone();
            ordered.sort_by(f64::total_cmp);
            // The empirical quantile: every variant is as frequent as it was drawn.
            #[expect(clippy::cast_sign_loss, reason = "a count times a frequency")]
            let carriers = ((ordered.len() as f64 * frequency).ceil() as usize).min(ordered.len());
            let least = ordered.get(ordered.len() - carriers).copied().unwrap_or(f64::MAX);
            let carries = |value: &f64| u8::from(*value >= least);
            let dosages: Vec<f32> =
                shifted.chunks(2).map(|pair| f32::from(pair.iter().map(carries).sum::<u8>())).collect();
            self.genotypes.push(&dosages);
            let sum: f64 = dosages.iter().map(|dosage| f64::from(*dosage)).sum();
            let [other, effect] = [["A", "G"], ["G", "A"], ["C", "T"], ["A", "C"]][rng.random_range(0..4)];
            self.variants.push(CohortVariant {
                chromosome: chromosome.clone(),
                position: Position::new(*position).ok_or_else(|| GenomeError::Position(position.to_string()))?,
                id: Some(VariantId::Rs(self.variants.len() as u64 + 1)),
                other: Allele::parse(other)?,
                effect: Allele::parse(effect)?,
                frequency: (sum / (2.0 * self.people.len() as f64)) as f32,
            });
            all.push(standardised(dosages.into_iter().map(f64::from).collect()));
        }
        Ok(all)
    }
}

fn draw_positions(tss: u32, count: usize, rng: &mut ChaCha8Rng) -> Vec<u32> {
    let mut positions = std::collections::BTreeSet::new();
    while positions.len() < count {
        positions.insert(tss - REACH + rng.random_range(0..2 * REACH));
    }
    positions.into_iter().collect()
}

/// One to three variants, nearer ones likelier, and their effects.
fn draw_causes(tss: u32, positions: &[u32], rng: &mut ChaCha8Rng) -> Vec<(usize, f64)> {
    let mut weights: Vec<f64> =
        positions.iter().map(|position| (-f64::from(position.abs_diff(tss)) / 20_000.0).exp() + 1e-3).collect();
    let mut causes = Vec::new();
    for _ in 0..rng.random_range(1..=3_usize).min(positions.len()) {
        let mut left = rng.random::<f64>() * weights.iter().sum::<f64>();
        let chosen = weights.iter().position(|weight| {
            left -= weight;
            left <= 0.0 && *weight > 0.0
        });
        let chosen = chosen.unwrap_or(0);
        weights[chosen] = 0.0;
        let sign = if rng.random_bool(0.5) { 1.0 } else { -1.0 };
        causes.push((chosen, sign * rng.random_range(0.5..1.5)));
    }
    causes
}

fn weighted(causes: &[(usize, f64)], dosages: &[Vec<f64>], people: usize) -> Vec<f64> {
    let value = |person: usize| causes.iter().map(|(variant, effect)| effect * dosages[*variant][person]).sum();
    standardised((0..people).map(value).collect())
}

/// Shifts and scales to mean 0 and variance 1; a constant becomes 0.
fn standardised(mut values: Vec<f64>) -> Vec<f64> {
    let count = values.len().max(1) as f64;
    let mean = values.iter().sum::<f64>() / count;
    for value in &mut values {
        *value -= mean;
    }
    let deviation = (values.iter().map(|value| value * value).sum::<f64>() / count).sqrt();
    for value in &mut values {
        *value = if deviation > 0.0 { *value / deviation } else { 0.0 };
    }
    values
}

/// Draws from the standard normal distribution (Box and Muller).
fn normal(rng: &mut ChaCha8Rng) -> f64 {
    let (radius, angle): (f64, f64) = (rng.random_range(f64::EPSILON..1.0), rng.random());
    (-2.0 * radius.ln()).sqrt() * (std::f64::consts::TAU * angle).cos()
}

/// Writes a cohort as the files that a lab would train from, into an existing folder.
///
/// # Errors
/// A file cannot be written.
pub fn write_files(cohort: &Cohort, folder: &Path) -> io::Result<SimulatedFiles> {
    let write = |name: &str, text: String| {
        let path = folder.join(name);
        std::fs::write(&path, text).map(|()| path)
    };
    Ok(SimulatedFiles {
        genotypes: write("cohort.vcf", vcf(cohort))?,
        expression: write("expression.bed", expression(cohort))?,
        covariates: write("covariates.txt", covariates(cohort))?,
        populations: write("populations.tsv", populations(cohort))?,
        gene_models: write("genes.gtf", gene_models(cohort))?,
        intervals: write("open_chromatin.bed", intervals(cohort))?,
    })
}

fn ids(cohort: &Cohort) -> String {
    cohort.people.iter().map(|person| &*person.id).collect::<Vec<_>>().join("\t")
}

fn vcf(cohort: &Cohort) -> String {
    let mut text = "##fileformat=VCFv4.2\n##FORMAT=<ID=GT,Number=1,Type=String,Description=\"Genotype\">\n".to_owned();
    let _ = writeln!(text, "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\t{}", ids(cohort));
    for (at, variant) in cohort.variants.iter().enumerate() {
        let CohortVariant { chromosome, position, other, effect, .. } = variant;
        let id = variant.id.as_ref().map_or_else(|| ".".to_owned(), ToString::to_string);
        let _ = write!(text, "{chromosome}\t{position}\t{id}\t{other}\t{effect}\t.\tPASS\t.\tGT");
        for dosage in cohort.dosages(std::iter::once(at)) {
            text.push_str(if dosage < 0.5 {
                "\t0/0"
            } else if dosage < 1.5 {
                "\t0/1"
            } else {
                "\t1/1"
            });
        }
        text.push('\n');
    }
    text
}

fn expression(cohort: &Cohort) -> String {
    let mut text = format!("#chr\tstart\tend\tgene_id\t{}\n", ids(cohort));
    for gene in &cohort.genes {
        let _ = write!(text, "{}\t{}\t{}\t{}", gene.chromosome, gene.start, gene.end, gene.name);
        for value in &gene.expression {
            let _ = write!(text, "\t{value}");
        }
        text.push('\n');
    }
    text
}

fn covariates(cohort: &Cohort) -> String {
    let mut text = format!("id\t{}\n", ids(cohort));
    for (name, column) in cohort.covariates.iter().flat_map(|all| all.names.iter().zip(all.columns())) {
        text.push_str(name);
        for value in column {
            let _ = write!(text, "\t{value}");
        }
        text.push('\n');
    }
    text
}

fn populations(cohort: &Cohort) -> String {
    let mut text = "sample\tpopulation\tsex\n".to_owned();
    for person in &cohort.people {
        let sex = match person.sex {
            Sex::Male => "1",
            Sex::Female => "2",
            Sex::Unknown => "0",
        };
        let _ = writeln!(text, "{}\t{}\t{sex}", person.id, person.population.as_deref().unwrap_or("NA"));
    }
    text
}

fn gene_models(cohort: &Cohort) -> String {
    let mut text = String::new();
    for gene in &cohort.genes {
        let (first, last) = gene.body();
        let strand = gene.strand.map_or(".", Strand::as_str);
        let symbol = gene.symbol.as_ref().map_or_else(|| gene.id.as_str(), |symbol| symbol.as_str());
        let biotype = gene.biotype.as_ref().map_or("unknown", |biotype| biotype.as_str());
        for (kind, last) in [("gene", last), ("exon", first + (last - first) / 4)] {
            let _ = writeln!(
                text,
                "{}\tsimulated\t{kind}\t{first}\t{last}\t.\t{strand}\t.\tgene_id \"{}\"; gene_type \"{biotype}\"; \
                 gene_name \"{symbol}\";",
                gene.chromosome, gene.id
            );
        }
    }
    text
}

fn intervals(cohort: &Cohort) -> String {
    let mut text = String::new();
    for variant in cohort.variants.iter().step_by(3) {
        let base = variant.position.get();
        let _ = writeln!(text, "{}\t{}\t{}", variant.chromosome, base.saturating_sub(50), base + 50);
    }
    text
}
