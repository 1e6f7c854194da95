//! People with genotypes and expression, as `train genotype` and `evaluate genotype` read them.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};

use super::predict::{open, set};
use super::progress::FitProgress;
use crate::genome::{Assembly, Chromosome};
use crate::genotype::submission::{FileKind, SubmittedFile};
use crate::training::annotation::Annotations;
use crate::training::cohort::transform::Transform;
use crate::training::cohort::{Cohort, CohortInputs};
use crate::training::genotype::{GenotypeMethod, GenotypeProgress, Plan, Round, TrainedRound, Training};
use crate::training::scaled_cnn::{CnnSettings, Start};

/// Bootstrap resamples over genes of every report.
pub const RESAMPLES: usize = 2_000;

/// What genotype models are trained on and how.
#[derive(Debug, Clone, Args)]
pub struct CohortArgs {
    /// Genotypes: a VCF or BCF, a BGEN, or the stem or one file of a PLINK 1 or 2 set; each may be gzipped
    #[arg(long, env = "TISSUECAST_GENOTYPES", value_name = "FILE")]
    pub genotypes: PathBuf,
    /// Expression: phenotype BED (chromosome, start, end, gene, a column a person), plain or gzip
    #[arg(long, env = "TISSUECAST_EXPRESSION", value_name = "FILE")]
    pub expression: PathBuf,
    /// Covariates as the eQTL tools take them, a row each or a column each
    #[arg(long, env = "TISSUECAST_COVARIATES", value_name = "FILE")]
    pub covariates: Option<PathBuf>,
    /// A table with the columns `sample` and `population`: folds are balanced over populations
    #[arg(long, env = "TISSUECAST_POPULATIONS", value_name = "FILE")]
    pub populations: Option<PathBuf>,
    /// Annotations of variants: BED intervals, or tables by variant with a column each; several
    #[arg(long, env = "TISSUECAST_ANNOTATIONS", value_name = "FILE", num_args = 1..)]
    pub annotations: Vec<PathBuf>,
    /// Gene models (GTF or BED12): the genes' strands, and with --chain their exons and promoters
    #[arg(long, env = "TISSUECAST_GENE_MODELS", value_name = "FILE")]
    pub gene_models: Option<PathBuf>,
    /// A UCSC chain that leads from the gene models' assembly to that of the genotypes
    #[arg(long, env = "TISSUECAST_CHAIN", value_name = "FILE", requires = "gene_models")]
    pub chain: Option<PathBuf>,
    /// A UCSC chain that leads from the expression's assembly to that of the genotypes, where they differ
    #[arg(long, env = "TISSUECAST_EXPRESSION_CHAIN", value_name = "FILE")]
    pub expression_chain: Option<PathBuf>,
    /// The assembly of the genotypes, such as `GRCh37`
    #[arg(long, env = "TISSUECAST_ASSEMBLY", value_name = "NAME", value_parser = |text: &str| Assembly::parse(text))]
    pub assembly: Option<Assembly>,
    /// How far from a gene's body its variants may lie, in base pairs
    #[arg(long, env = "TISSUECAST_WINDOW", value_name = "BP", default_value_t = 500_000)]
    pub window: u32,
    /// The least frequency of a variant's rarer allele
    #[arg(long, env = "TISSUECAST_MIN_MAF", value_name = "SHARE", default_value_t = 0.05, value_parser = minor_frequency)]
    pub min_maf: f64,
    /// Keeps palindromic variants (A/T, C/G), which are left out because predictions cannot tell their strand
    #[arg(long, env = "TISSUECAST_KEEP_AMBIGUOUS")]
    pub keep_ambiguous: bool,
    /// What is done to each gene's expression before anything else
    #[arg(long, env = "TISSUECAST_TRANSFORM", value_enum, default_value_t = TransformArg::InverseNormal)]
    pub transform: TransformArg,
    /// Only these genes, repeated or parted by commas
    #[arg(long, env = "TISSUECAST_GENE", value_delimiter = ',', value_name = "GENE")]
    pub gene: Vec<String>,
    /// Only genes on these chromosomes, repeated or parted by commas
    #[arg(long, env = "TISSUECAST_CHROMOSOME", value_delimiter = ',', value_name = "NAME", value_parser = |text: &str| Chromosome::parse(text))]
    pub chromosome: Vec<Chromosome>,
    /// Methods, repeated or parted by commas; `all` for every one
    #[arg(long, env = "TISSUECAST_METHOD", value_delimiter = ',', value_name = "NAME", default_value = "all")]
    pub method: Vec<MethodArg>,
    /// Folds of people that accuracy is measured by
    #[arg(long, env = "TISSUECAST_OUTER_FOLDS", value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(2..=50))]
    pub outer_folds: u32,
    /// Folds within those that everything is chosen by
    #[arg(long, env = "TISSUECAST_INNER_FOLDS", value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(2..=50))]
    pub inner_folds: u32,
    /// Members of each gene's network
    #[arg(long, env = "TISSUECAST_MEMBERS", value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(2..=50))]
    pub members: u32,
    /// Where networks start
    #[arg(long, env = "TISSUECAST_NETWORK_START", value_enum, value_name = "START", default_value_t = StartArg::ElasticNet)]
    pub network_start: StartArg,
    /// The seed of everything random: the same command gives the same weights
    #[arg(long, env = "TISSUECAST_SEED", value_name = "N", default_value_t = 7)]
    pub seed: u64,
    /// The folder that finished genes are kept in: the same command goes on where it was interrupted
    #[arg(long, env = "TISSUECAST_WORK", value_name = "DIR", default_value = "tissuecast-data/training")]
    pub work: PathBuf,
}

/// A method, or all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum MethodArg {
    /// Elastic net, the penalty chosen by inner folds
    ElasticNet,
    /// The scaled convolutional network
    ScaledCnn,
    /// The same with scales that a shared network derives from annotations
    AnnotatedCnn,
    /// Elastic net with penalties that follow from annotations
    AnnotatedElasticNet,
    /// Every method
    All,
}

/// Where networks start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum StartArg {
    /// At the elastic nets of their members' people
    ElasticNet,
    /// At the correlations with expression: what a network learns by itself
    Correlations,
}

/// What is done to expression.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum TransformArg {
    /// Ranks to normal scores
    InverseNormal,
    /// Nothing
    None,
}

impl CohortArgs {
    /// Returns the methods, the simplest first. Networks bring the elastic nets that they start from.
    #[must_use]
    pub fn methods(&self) -> Vec<GenotypeMethod> {
        let wants = |arg: MethodArg| self.method.contains(&arg) || self.method.contains(&MethodArg::All);
        let mut methods = vec![GenotypeMethod::ElasticNet];
        if wants(MethodArg::ScaledCnn) {
            methods.extend([GenotypeMethod::ElasticNetBagged, GenotypeMethod::ScaledCnn]);
        }
        if wants(MethodArg::AnnotatedElasticNet) || wants(MethodArg::AnnotatedCnn) {
            methods.push(GenotypeMethod::AnnotatedElasticNet);
        }
        if wants(MethodArg::AnnotatedCnn) {
            methods.push(GenotypeMethod::AnnotatedCnn);
        }
        methods.sort_unstable();
        methods
    }

    /// Loads people, annotations and plan.
    ///
    /// # Errors
    /// A file cannot be read or used.
    pub fn load(&self) -> anyhow::Result<Training> {
        let progress = FitProgress::new("cohort");
        let inputs = CohortInputs {
            covariates: self.covariates.clone(),
            populations: self.populations.clone(),
            gene_models: self.gene_models.clone(),
            expression_chain: self.expression_chain.clone(),
            window_bp: self.window,
            min_maf: self.min_maf,
            keep_ambiguous: self.keep_ambiguous,
            transform: match self.transform {
                TransformArg::InverseNormal => Transform::InverseNormal,
                TransformArg::None => Transform::None,
            },
            assembly: self.assembly.clone(),
            genes: (!self.gene.is_empty()).then(|| self.gene.clone()),
            chromosomes: (!self.chromosome.is_empty()).then(|| self.chromosome.clone()),
            ..CohortInputs::new(genotype_files(&self.genotypes)?, self.expression.clone())
        };
        let cohort = Cohort::load(inputs, &|what, done, total| progress.count(what, done, total))?;
        let people = cohort.people.len();
        // A fold of fewer than three people has no correlation; one of the inner folds needs somebody to be left.
        if self.outer_folds as usize * 3 > people || self.inner_folds.max(self.members) as usize * 2 > people / 2 {
            bail!("{people} people are too few for so many folds: lower --outer-folds, --inner-folds or --members");
        }
        let covariates = cohort.covariates.as_ref().map_or(0, |covariates| covariates.names.len());
        if covariates * 2 > people - people / self.outer_folds as usize {
            bail!(
                "{covariates} covariates leave too little of {people} people's expression: give fewer than half as many as \
                 people of training"
            );
        }
        let is_trained = |name: &&String| {
            cohort.genes.iter().any(|gene| {
                *gene.name == **name
                    || gene.id.as_str() == name.split('.').next().unwrap_or_default()
                    || gene.symbol.as_ref().is_some_and(|symbol| symbol.as_str().eq_ignore_ascii_case(name))
            })
        };
        for name in self.gene.iter().filter(|name| !is_trained(name)) {
            eprintln!("note: {name} is not trained: the expression table does not have it, or it has no variants.");
        }
        let mut plan = Plan::new(self.methods(), self.seed);
        plan.outer_folds = self.outer_folds as usize;
        plan.inner_folds = self.inner_folds as usize;
        plan.cnn.members = self.members as usize;
        plan.cnn.start = match self.network_start {
            StartArg::ElasticNet => Start::ElasticNet,
            StartArg::Correlations => Start::Correlations,
        };
        if plan.cnn.start == Start::Correlations {
            // Without a start that is good already, it takes longer steps and more of them.
            plan.cnn = CnnSettings { steps: 300, patience: 30, learning_rate: 0.03, spread: 1.0, ..plan.cnn };
        }
        if !self.annotations.is_empty() && !plan.methods.iter().any(|method| method.reads_annotations()) {
            eprintln!("note: none of the methods reads annotations: the files are not used.");
        }
        let annotations = if plan.methods.iter().any(|method| method.reads_annotations()) {
            let (models, chain) = (self.gene_models.as_deref(), self.chain.as_deref());
            Some(Annotations::build(&cohort, &self.annotations, models, chain)?)
        } else {
            None
        };
        progress.finish();
        eprintln!(
            "{} people, {} genes, {} variants within {} bases of a gene",
            cohort.people.len(),
            cohort.genes.len(),
            cohort.variants.len(),
            self.window
        );
        for note in cohort.notes.iter().chain(annotations.iter().flat_map(|annotations| &annotations.notes)) {
            eprintln!("note: {note}");
        }
        Ok(Training::new(cohort, annotations, plan, &self.work)?)
    }
}

fn minor_frequency(text: &str) -> Result<f64, String> {
    let share = text.parse::<f64>().ok().filter(|share| (0.0..0.5).contains(share));
    share.ok_or_else(|| format!("'{text}' is no frequency of a rarer allele: give a number from 0 to below 0.5"))
}

/// The files that a path of genotypes stands for.
fn genotype_files(path: &Path) -> anyhow::Result<Vec<SubmittedFile>> {
    let text = path.to_string_lossy();
    let bare = text.strip_suffix(".gz").or_else(|| text.strip_suffix(".zst")).unwrap_or(&text);
    let (stem, ending) = bare.rsplit_once('.').unwrap_or((bare, ""));
    let plink1 = [FileKind::Bed, FileKind::Bim, FileKind::Fam];
    let plink2 = [FileKind::Pgen, FileKind::Pvar, FileKind::Psam];
    match ending {
        "vcf" | "bcf" | "bgz" => Ok(vec![open(path, FileKind::Vcf)?]),
        "bgen" => Ok(vec![open(path, FileKind::Bgen)?]),
        "json" => Ok(vec![open(path, FileKind::Json)?]),
        "bed" | "bim" | "fam" => set(Path::new(stem), &plink1),
        "pgen" | "pvar" | "psam" => set(Path::new(stem), &plink2),
        _ if has(path, "bed") => set(path, &plink1),
        _ if has(path, "pgen") => set(path, &plink2),
        _ => bail!(
            "cannot tell what {} is: give a .vcf, .vcf.gz, .bcf, .bgen or .json, or the stem of a PLINK set",
            path.display()
        ),
    }
}

fn has(stem: &Path, ending: &str) -> bool {
    ["", ".gz"].iter().any(|packed| {
        let mut path = stem.as_os_str().to_owned();
        path.push(format!(".{ending}{packed}"));
        Path::new(&path).exists()
    })
}

/// Trains rounds, or reads them where the work folder has them.
///
/// # Errors
/// Training fails, or the work folder cannot be used.
pub fn train(training: &Training, rounds: &[Round]) -> anyhow::Result<Vec<TrainedRound>> {
    let progress = Arc::new(FitProgress::new("training"));
    let mut trained = Vec::new();
    for (at, round) in rounds.iter().enumerate() {
        let started = Instant::now();
        let name = match round.control {
            None => round.name.clone(),
            Some(control) => format!("{}, {}", round.name, control.as_str()),
        };
        let show = |now: GenotypeProgress<'_>| {
            let text = format!("{name} ({} of {}), {}", at + 1, rounds.len(), now.stage);
            progress.count(&text, now.done, now.total);
        };
        let done = training.round(round, &show).with_context(|| format!("round {name}"))?;
        eprintln!("{name}: {} genes in {:.0} s", done.genes.len(), started.elapsed().as_secs_f64());
        trained.push(done);
    }
    progress.finish();
    Ok(trained)
}
