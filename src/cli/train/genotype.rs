//! `tissuecast train genotype`: models of expression from genotypes, each with its accuracy beside the others'.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};
use sha2::{Digest, Sha256};

use crate::cli::cohort::{CohortArgs, RESAMPLES, TransformArg, train};
use crate::evaluation::genotype::scores::GeneScores;
use crate::evaluation::genotype::{Report, SELECTED, cross_predictions};
use crate::genotype::variants::VariantTable;
use crate::model::expression::card::{GeneSet, GenotypeTraining, KIND, MethodAccuracy};
use crate::model::expression::golden::GenotypeGolden;
use crate::model::expression::{GeneAccuracy, GenotypeCard, GenotypeModel, network_file};
use crate::model::golden;
use crate::model::registry;
use crate::training::cohort::people::populations;
use crate::training::genotype::models;
use crate::training::genotype::{GenotypeMethod, Round, TrainedRound, Training};

/// What is trained.
#[derive(Debug, Args)]
pub struct TrainGenotype {
    #[command(flatten)]
    cohort: CohortArgs,
    /// The tissue of the expression, such as `Cells_EBV-transformed_lymphocytes`
    #[arg(long, env = "TISSUECAST_TISSUE", value_name = "NAME")]
    tissue: Option<String>,
    /// The model's folder, `models/NAME`. With several methods, NAME predicts each gene by the method that the inner
    /// folds favour, and NAME-METHOD by one method
    #[arg(long, env = "TISSUECAST_OUT", value_name = "DIR")]
    out: PathBuf,
}

impl TrainGenotype {
    /// Runs the command.
    ///
    /// # Errors
    /// A file cannot be read or used, training fails, or a model cannot be written.
    pub fn run(&self) -> anyhow::Result<()> {
        let name = self.out.file_name().and_then(|name| name.to_str()).filter(|name| !name.starts_with('.'));
        let Some(name) = name else { bail!("--out has to name the model's folder, such as models/lcl") };
        let folder = self.out.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        // What would fail at the end fails here.
        probe(folder)?;
        let sources = self.sources()?;
        let loaded = self.cohort.load()?;
        let folds = train(&loaded, &Round::folds(&loaded.cohort, &loaded.plan, None))?;
        let split = format!("{}-fold", loaded.plan.outer_folds);
        let predictions = cross_predictions(&loaded.cohort, &split, &folds, &[]);
        let report = Report::try_new(&predictions, RESAMPLES, loaded.plan.seed)?;
        let everybody = train(&loaded, &[Round::everybody(&loaded.cohort)])?;
        let everybody = everybody.first().context("the round of everybody is missing")?;
        print!("{}", report.text());
        let writer = Writer {
            args: self,
            loaded: &loaded,
            report: &report,
            round: everybody,
            folder,
            sources,
            // Of the records, so that a run that goes on where another one stopped says the whole.
            seconds: folds.iter().chain([everybody]).map(TrainedRound::seconds).sum(),
        };
        let methods: Vec<GenotypeMethod> = loaded
            .plan
            .methods
            .iter()
            .copied()
            .filter(|method| method.is_served() && self.is_wanted(*method))
            .collect();
        if let [only] = methods.as_slice() {
            return writer.write(name, Some(*only));
        }
        for method in methods {
            writer.write(&format!("{name}-{}", method.as_str()), Some(method))?;
        }
        writer.write(name, None)
    }

    /// Whether a model of the method was asked for; others are trained because it builds on them.
    fn is_wanted(&self, method: GenotypeMethod) -> bool {
        use crate::cli::cohort::MethodArg;
        let arg = match method {
            GenotypeMethod::ElasticNet => MethodArg::ElasticNet,
            GenotypeMethod::AnnotatedElasticNet => MethodArg::AnnotatedElasticNet,
            GenotypeMethod::ScaledCnn => MethodArg::ScaledCnn,
            GenotypeMethod::AnnotatedCnn => MethodArg::AnnotatedCnn,
            GenotypeMethod::ElasticNetBagged => return false,
        };
        self.cohort.method.iter().any(|given| *given == arg || *given == MethodArg::All)
    }

    /// The files that were read, by name, with their SHA-256; of a PLINK stem none, the cohort's digest stands for them.
    fn sources(&self) -> anyhow::Result<BTreeMap<String, String>> {
        let args = &self.cohort;
        let optional = [&args.covariates, &args.populations, &args.gene_models, &args.chain, &args.expression_chain];
        let paths = [&args.genotypes, &args.expression].into_iter().chain(optional.into_iter().flatten());
        let mut sources = BTreeMap::new();
        for path in paths.chain(&args.annotations).filter(|path| path.is_file()) {
            let sha256 = sha256_of(path).with_context(|| format!("cannot read {}", path.display()))?;
            sources.insert(file_name(path), sha256);
        }
        Ok(sources)
    }

    /// The command that gives the same weights, with files by their names.
    fn command(&self, name: &str) -> String {
        let args = &self.cohort;
        let mut words = vec!["tissuecast train genotype".to_owned()];
        let mut flag = |name: &str, value: String| words.push(format!("--{name} {value}"));
        flag("genotypes", file_name(&args.genotypes));
        flag("expression", file_name(&args.expression));
        let files =
            [("covariates", &args.covariates), ("populations", &args.populations), ("gene-models", &args.gene_models)];
        for (name, path) in
            files.into_iter().chain([("chain", &args.chain), ("expression-chain", &args.expression_chain)])
        {
            if let Some(path) = path {
                flag(name, file_name(path));
            }
        }
        if !args.annotations.is_empty() {
            flag("annotations", args.annotations.iter().map(|path| file_name(path)).collect::<Vec<_>>().join(" "));
        }
        if let Some(assembly) = &args.assembly {
            flag("assembly", assembly.to_string());
        }
        let lists = [
            ("gene", args.gene.join(",")),
            ("chromosome", args.chromosome.iter().map(|name| name.as_str().to_owned()).collect::<Vec<_>>().join(",")),
            ("method", args.method.iter().map(value_name).collect::<Vec<_>>().join(",")),
        ];
        lists.into_iter().filter(|(_, value)| !value.is_empty()).for_each(|(name, value)| flag(name, value));
        flag("window", args.window.to_string());
        flag("min-maf", args.min_maf.to_string());
        if args.transform == TransformArg::None {
            flag("transform", "none".to_owned());
        }
        flag("outer-folds", args.outer_folds.to_string());
        flag("inner-folds", args.inner_folds.to_string());
        flag("members", args.members.to_string());
        flag("network-start", value_name(&args.network_start));
        flag("seed", args.seed.to_string());
        if let Some(tissue) = &self.tissue {
            flag("tissue", tissue.clone());
        }
        flag("out", format!("models/{name}"));
        if args.keep_ambiguous {
            words.push("--keep-ambiguous".to_owned());
        }
        words.join(" ")
    }
}

/// A choice as the command line spells it.
fn value_name(choice: &impl ValueEnum) -> String {
    choice.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}

/// The SHA-256 of a file that may be larger than memory.
fn sha256_of(path: &Path) -> std::io::Result<String> {
    let mut hash = Sha256::new();
    let mut file = fs::File::open(path)?;
    let mut part = vec![0; 1 << 20];
    loop {
        let count = file.read(&mut part)?;
        if count == 0 {
            return Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat());
        }
        hash.update(&part[..count]);
    }
}

/// Checks that a folder can be written into.
fn probe(folder: &Path) -> anyhow::Result<()> {
    let file = folder.join(format!(".probe-{}", std::process::id()));
    let write =
        || fs::create_dir_all(folder).and_then(|()| fs::write(&file, b"")).and_then(|()| fs::remove_file(&file));
    write().with_context(|| format!("cannot write into the folder {}", folder.display()))
}

fn file_name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// Everything that a model's folder is made of.
struct Writer<'a> {
    args: &'a TrainGenotype,
    loaded: &'a Training,
    report: &'a Report,
    round: &'a TrainedRound,
    folder: &'a Path,
    sources: BTreeMap<String, String>,
    seconds: f64,
}

impl Writer<'_> {
    /// Writes the model of a method, or of the method that the inner folds favour for each gene.
    fn write(&self, name: &str, method: Option<GenotypeMethod>) -> anyhow::Result<()> {
        let label = method.map_or(SELECTED, GenotypeMethod::as_str);
        let scores = self.report.gene_scores(label, None).unwrap_or_default();
        let scores: BTreeMap<&str, &GeneScores> = scores.iter().map(|score| (score.gene.as_str(), score)).collect();
        let methods = self.round.methods(method);
        let method_of = |gene: usize| methods.get(gene).copied().flatten();
        let accuracy = |gene: usize| {
            let score = scores.get(&*self.loaded.cohort.genes.get(gene)?.name)?;
            let served = method_of(gene)?;
            let record = self.round.genes.get(gene)?.methods.get(&served)?;
            Some(GeneAccuracy {
                r2: Some(rounded(score.all.r2)),
                p_value: None,
                n: Some(self.loaded.cohort.people.len() as u32),
                kind: format!("nested cross-validation, {}", self.report.split),
                r: Some(rounded(score.all.r)),
                rsq: Some(rounded(score.all.rsq)),
                method: method.is_none().then(|| served.as_str().to_owned()),
                inner_r2: Some(rounded(record.inner_r2)),
            })
        };
        let built = models::build(&self.loaded.cohort, self.round, method_of, accuracy)?;
        let model = &built.model;
        let mut files = network_file::store(model)?;
        files.insert(golden::FILE.to_owned(), serde_json::to_vec(&GenotypeGolden::record(model)?)?);
        let mut card = self.card(name, method, model)?;
        let folder = registry::write(self.folder, &mut card, &files)?;
        let loaded = registry::load(&folder).inspect_err(|_| {
            // A version that does not load would keep every other model from being served.
            drop(fs::remove_dir_all(&folder));
        });
        let loaded = loaded.context("the model that was written does not load, so it was taken away again")?;
        println!("{} {}@{} in {}", loaded.digest(), card.name, card.version, folder.display());
        Ok(())
    }

    fn card(
        &self,
        name: &str,
        method: Option<GenotypeMethod>,
        model: &dyn GenotypeModel,
    ) -> anyhow::Result<GenotypeCard> {
        let cohort = &self.loaded.cohort;
        let table: &VariantTable = model.variants();
        let (paper, mut ours) = statements(method);
        ours.push(if self.args.cohort.keep_ambiguous {
            "palindromic variants are kept: predictions need ambiguous=keep".to_owned()
        } else {
            "palindromic variants are left out".to_owned()
        });
        let by_population: BTreeMap<String, usize> =
            populations(&cohort.people).into_iter().map(|(name, people)| (name.to_string(), people.len())).collect();
        let population = by_population.iter().map(|(name, people)| format!("{name} {people}")).collect::<Vec<_>>();
        Ok(GenotypeCard {
            schema: crate::model::manifest::SCHEMA,
            kind: KIND.to_owned(),
            name: name.to_owned(),
            version: registry::next_version(self.folder, name)?,
            method: method.map_or(SELECTED, GenotypeMethod::as_str).to_owned(),
            description: description(method).to_owned(),
            tissue: self.args.tissue.clone(),
            assembly: table.assembly.as_ref().map(|assembly| assembly.as_str().to_owned()),
            liftover: None,
            unit: match self.args.cohort.transform {
                TransformArg::InverseNormal => "standard deviations of inverse-normal expression",
                TransformArg::None => "unit of the expression that it was trained on, centred",
            }
            .to_owned(),
            genes: model.genes().len(),
            weights: table.rows.len(),
            has_frequencies: table.rows.iter().any(|row| row.frequency.is_some()),
            n_samples: Some(cohort.people.len() as u32),
            population: (!population.is_empty()).then(|| population.join(", ")),
            import: None,
            training: Some(Box::new(GenotypeTraining {
                population: by_population,
                people: cohort.people.len(),
                genes: cohort.genes.len(),
                window_bp: cohort.window_bp,
                outer_folds: self.loaded.plan.outer_folds,
                inner_folds: self.loaded.plan.inner_folds,
                members: if method.is_some_and(|method| !method.is_network()) {
                    1
                } else {
                    self.loaded.plan.cnn.all_members()
                },
                seed: self.loaded.plan.seed,
                transform: match self.args.cohort.transform {
                    TransformArg::InverseNormal => "inverse-normal",
                    TransformArg::None => "none",
                }
                .to_owned(),
                covariates: cohort.covariates.as_ref().map(|covariates| covariates.names.clone()).unwrap_or_default(),
                annotations: match (&self.loaded.annotations, method.is_none_or(GenotypeMethod::reads_annotations)) {
                    (Some(annotations), true) => annotations.names.clone(),
                    _ => Vec::new(),
                },
                min_maf: self.args.cohort.min_maf,
                sources: self.sources.clone(),
                cohort_digest: cohort.digest(),
                command: self.args.command(name.strip_suffix(&suffix(method)).unwrap_or(name)),
                seconds: (self.seconds * 10.0).round() / 10.0,
                tissuecast_version: env!("CARGO_PKG_VERSION").to_owned(),
                stated_by_paper: paper,
                our_choice: ours,
            })),
            accuracy: self.accuracy(),
            files: BTreeMap::new(),
        })
    }

    /// Every method's accuracy on the same folds.
    fn accuracy(&self) -> Vec<MethodAccuracy> {
        let mut rows = Vec::new();
        for summary in self.report.methods.iter().filter(|summary| summary.control.is_none()) {
            let heritable = summary.heritable.as_ref().map(|of_genes| (GeneSet::Heritable, of_genes));
            for (genes, of_genes) in std::iter::once((GeneSet::All, &summary.all)).chain(heritable) {
                rows.push(MethodAccuracy {
                    method: summary.method.clone(),
                    genes,
                    n_genes: of_genes.genes,
                    mean_r: rounded(of_genes.mean_r),
                    interval_r: of_genes.mean_r_interval.map(rounded),
                    median_r: rounded(of_genes.median_r),
                    mean_r2: rounded(of_genes.mean_r2),
                    mean_rsq: rounded(of_genes.mean_rsq),
                    r_above: [0, 1, 2].map(|at| of_genes.r_above.get(at).map_or(0, |above| above.genes)),
                    split: format!("nested cross-validation, {}", self.report.split),
                });
            }
        }
        rows
    }
}

fn suffix(method: Option<GenotypeMethod>) -> String {
    method.map(|method| format!("-{}", method.as_str())).unwrap_or_default()
}

fn rounded(value: f64) -> f64 {
    (value * 1e5).round() / 1e5
}

fn description(method: Option<GenotypeMethod>) -> &'static str {
    match method {
        None => {
            "Each gene is predicted by the method that the inner folds of the training people favour, that of all genes together \
             unless another is clearly better for the gene: elastic net or scaled convolutional network, with or without \
             annotations; the gene's accuracy names it."
        }
        Some(GenotypeMethod::AnnotatedElasticNet) => {
            "Elastic net of each gene on the dosages around it, variants penalised by what their annotations say."
        }
        Some(GenotypeMethod::ScaledCnn) => {
            "A scaled convolutional network of each gene: a scale for every variant, a linear skip and a small encoder over \
             variants in genome order; the mean of members that learned from different people."
        }
        Some(GenotypeMethod::AnnotatedCnn) => {
            "The scaled convolutional network with scales that start from, and are learned with, a network from annotations \
             to scales that all genes share."
        }
        Some(GenotypeMethod::ElasticNet | GenotypeMethod::ElasticNetBagged) => {
            "Elastic net of each gene on the dosages around it, the penalty chosen by inner folds."
        }
    }
}

/// What the published description says of the method, and what was chosen here.
fn statements(method: Option<GenotypeMethod>) -> (Vec<String>, Vec<String>) {
    let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    let network = method.is_none_or(GenotypeMethod::is_network);
    let mut paper = Vec::new();
    if network {
        paper.push(
            "Ramprasad, Ren and Pan, Genet Epidemiol 2025;49(1):e22595 (its abstract was at hand, not its text): a \
                    learnable scaling of the inputs followed by a convolutional encoder for each gene"
                .to_owned(),
        );
    }
    if method.is_none_or(GenotypeMethod::reads_annotations) {
        paper.push(
            "the same: annotations of variants enter through parameters that several networks share; elastic net is \
                    the comparator with and without annotations"
                .to_owned(),
        );
    }
    let mut ours: Vec<String> = owned(&[
        "the cohort, the window, the transform of expression and the filter of variants",
        "elastic net with mixing 0.5, the penalty by inner folds",
    ]);
    if network {
        ours.extend::<Vec<String>>(owned(&[
            "patches of 16 variants and 4 channels, a second convolution over 3 patches, a dense head, a linear skip",
            "members start from elastic nets of their own people; the step that is kept is the one at which they predict \
             their held-out people best",
            "an L1 penalty on the scales, weight decay on everything behind them",
        ]));
    }
    if method.is_none_or(GenotypeMethod::reads_annotations) {
        ours.extend::<Vec<String>>(owned(&[
            "annotations that can be computed from the cohort and the files given, instead of the paper's unknown ones",
            "penalty factors exp(−strength × θ · annotations), θ from where elastic nets of the training people put their \
             weight, the strength by inner folds",
        ]));
    }
    (paper, ours)
}
