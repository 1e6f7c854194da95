//! `tissuecast predict`: genotypes from files to expression in a file, without a server.

use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail};
use clap::{ArgGroup, Args};

use crate::genome::Assembly;
use crate::genotype::policy::{Absent, Ambiguous, Missing, PolicyChoices, Preset, share};
use crate::genotype::report::{MatchKind, Report};
use crate::genotype::submission::{self, FileKind, SubmittedFile};
use crate::genotype::{GenotypeSource, ReadLimits};
use crate::model::expression::ServedGenotypeModel;
use crate::model::registry;
use crate::prediction::answer::{ExplanationLog, Form, Output, Packing, Tee, VariantLog};
use crate::prediction::panel::Panel;
use crate::prediction::selection::Selection;
use crate::prediction::{Answer, PredictionError, Request, predict};

/// Predicts expression from genotypes.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("genotypes").required(true).multiple(false)
    .args(["vcf", "bfile", "pfile", "bgen", "dosages", "json"]))]
pub struct Predict {
    /// Models, as NAME or NAME@VERSION, repeated or parted by commas; `all` for every genotype model
    #[arg(long, required = true, value_delimiter = ',', value_name = "NAME")]
    model: Vec<String>,
    /// The folder with the models
    #[arg(long, env = "TISSUECAST_MODELS_DIR", default_value = "models", value_name = "DIR")]
    models_dir: PathBuf,
    #[command(flatten)]
    genotypes: Genotypes,
    #[command(flatten)]
    policies: PolicyArgs,
    /// Only these genes, repeated or parted by commas
    #[arg(long, value_delimiter = ',', value_name = "GENE")]
    gene: Vec<String>,
    /// Only these people, repeated or parted by commas; they are answered in the input's order
    #[arg(long, value_delimiter = ',', value_name = "ID")]
    sample: Vec<String>,
    /// Where the predictions go; the form is that of the ending: .json, .tsv, .bed (each also with .gz, by bgzip),
    /// .arrow, .parquet
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Where the match report goes, as JSON
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Where a line for every variant of every gene goes, as TSV
    #[arg(long, value_name = "FILE")]
    variants: Option<PathBuf>,
    /// Where what each variant has added to each prediction goes, as TSV: a gene's lines for a person, one of them
    /// `(base)`, add up to the prediction
    #[arg(long, value_name = "FILE")]
    explain: Option<PathBuf>,
}

/// The genotypes.
#[derive(Debug, Args)]
#[command(next_help_heading = "Genotypes")]
pub struct Genotypes {
    /// A VCF (plain, gzip or bgzip) or BCF; `-` for the standard input
    #[arg(long, value_name = "FILE")]
    vcf: Option<PathBuf>,
    /// PLINK 1: STEM.bed, STEM.bim and STEM.fam (each may end with .gz)
    #[arg(long, value_name = "STEM")]
    bfile: Option<PathBuf>,
    /// PLINK 2: STEM.pgen, STEM.pvar (or .pvar.zst) and STEM.psam
    #[arg(long, value_name = "STEM")]
    pfile: Option<PathBuf>,
    /// A BGEN file
    #[arg(long, value_name = "FILE")]
    bgen: Option<PathBuf>,
    /// The .sample file of a BGEN file that names no samples itself
    #[arg(long, value_name = "FILE", requires = "bgen")]
    sample_file: Option<PathBuf>,
    /// Text dosages as `PrediXcan` reads them, one file or several
    #[arg(long, value_name = "FILE", num_args = 1.., requires = "dosage_samples")]
    dosages: Vec<PathBuf>,
    /// The samples of text dosages: family and individual, no header
    #[arg(long, value_name = "FILE")]
    dosage_samples: Option<PathBuf>,
    /// JSON of the shape that `POST /v1/predictions` takes
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// What is done with what is not known.
#[derive(Debug, Args)]
#[command(next_help_heading = "Policies")]
pub struct PolicyArgs {
    /// A set of policies: `predixcan` gives the reference tool's numbers on clean input
    #[arg(long, value_name = "NAME")]
    preset: Option<Preset>,
    /// Missing genotypes: mean (of the model's frequency), cohort (mean), ref, drop, error
    #[arg(long, value_name = "POLICY")]
    missing: Option<Missing>,
    /// Palindromic variants: drop, keep, frequency
    #[arg(long, value_name = "POLICY")]
    ambiguous: Option<Ambiguous>,
    /// Sites without a record: unknown, homref
    #[arg(long, value_name = "POLICY")]
    absent: Option<Absent>,
    /// The least share of variants that has to be found, of a model and of a gene
    #[arg(long, value_name = "SHARE", value_parser = share)]
    min_overlap: Option<f64>,
    /// The genotypes' assembly, such as `GRCh37`
    #[arg(long, value_name = "NAME", value_parser = |text: &str| Assembly::parse(text))]
    assembly: Option<Assembly>,
}

impl Predict {
    /// Runs the command.
    ///
    /// # Errors
    /// A file cannot be read or written, the genotypes are malformed, or too little of a model matches.
    pub fn run(self) -> anyhow::Result<()> {
        let (form, packing) = Form::of_path(&self.out).map_err(anyhow::Error::msg).context("--out")?;
        let selection = Selection::of(self.models()?, &self.gene);
        if !selection.not_found.is_empty() {
            eprintln!("not in any of the models: {}", selection.not_found.join(", "));
        }
        if !self.gene.is_empty() && selection.genes() == 0 {
            return Err(PredictionError::NoSuchGene(selection.not_found).into());
        }
        let limits = ReadLimits::default();
        let mut source = submission::open(self.genotypes.files()?, &limits)?;
        let request = Request {
            selection,
            samples: (!self.sample.is_empty()).then(|| self.sample.clone()),
            policies: self.policies.choices().policies(),
            report_variants: self.variants.is_some(),
            explain: self.explain.is_some(),
            stop: Arc::default(),
        };
        let report = self.write(&mut *source, &request, (form, packing));
        let report = match report {
            Ok(report) => report,
            Err(error) => {
                if let Some(PredictionError::LowOverlap(report)) = error.downcast_ref() {
                    self.keep(report)?;
                    eprint!("{}", summary(report));
                }
                return Err(error);
            }
        };
        self.keep(&report)?;
        eprint!("{}", summary(&report));
        Ok(())
    }

    fn models(&self) -> anyhow::Result<Vec<Arc<ServedGenotypeModel>>> {
        let mut folders = Vec::new();
        for named in &self.model {
            if named == "all" {
                folders.extend(registry::defaults(&self.models_dir)?);
            } else {
                folders.push(registry::find(&self.models_dir, named)?);
            }
        }
        let mut models = Vec::new();
        for folder in folders {
            let loaded =
                registry::load(&folder.path).with_context(|| format!("model {} cannot be used", folder.label()))?;
            match loaded {
                registry::Loaded::Genotype(model) => models.push(Arc::new(model)),
                registry::Loaded::Profile(_) if self.model.iter().any(|name| name == "all") => {}
                registry::Loaded::Profile(_) => {
                    bail!("model '{}' imputes tissue profiles and reads no genotypes", folder.name)
                }
            }
        }
        if models.is_empty() {
            bail!("there is no genotype model in {}: 'tissuecast models import' makes one", self.models_dir.display());
        }
        Ok(models)
    }

    fn write(
        &self,
        source: &mut dyn GenotypeSource,
        request: &Request,
        (form, packing): (Form, Packing),
    ) -> anyhow::Result<Report> {
        // Written beside their places and moved there whole: a file that is there is complete.
        let outcome = self.write_partial(source, request, (form, packing));
        let places = std::iter::once(&self.out).chain(&self.variants).chain(&self.explain);
        match outcome {
            Ok(report) => {
                for path in places {
                    std::fs::rename(partial(path), path).with_context(|| format!("cannot write {}", path.display()))?;
                }
                Ok(report)
            }
            Err(error) => {
                // A file that was never made needs no removing.
                places.for_each(|path| drop(std::fs::remove_file(partial(path))));
                Err(error)
            }
        }
    }

    fn write_partial(
        &self,
        source: &mut dyn GenotypeSource,
        request: &Request,
        (form, packing): (Form, Packing),
    ) -> anyhow::Result<Report> {
        let log = |path: &PathBuf| Ok::<_, anyhow::Error>(Output::new(BufWriter::new(create(path)?), Packing::Plain));
        let mut answer: Box<dyn Answer> = form.writer(packing, BufWriter::with_capacity(1 << 20, create(&self.out)?));
        if let Some(path) = &self.variants {
            answer = Box::new(Tee(answer, VariantLog::new(log(path)?)));
        }
        if let Some(path) = &self.explain {
            answer = Box::new(Tee(answer, ExplanationLog::new(log(path)?)));
        }
        let panel = |assembly: Option<&Assembly>| Arc::new(Panel::build(&request.selection, assembly));
        Ok(predict(source, request, panel, &mut *answer)?)
    }

    fn keep(&self, report: &Report) -> anyhow::Result<()> {
        let Some(path) = &self.report else { return Ok(()) };
        let mut json = serde_json::to_vec_pretty(report)?;
        json.push(b'\n');
        std::fs::write(path, json).with_context(|| format!("cannot write {}", path.display()))
    }
}

fn create(path: &Path) -> anyhow::Result<Named> {
    let file = File::create(partial(path)).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(Named { file, path: path.to_owned() })
}

/// A file whose errors say which one it is.
struct Named {
    file: File,
    path: PathBuf,
}

impl Named {
    fn named(&self, error: &io::Error) -> io::Error {
        io::Error::new(error.kind(), format!("cannot write {}: {error}", self.path.display()))
    }
}

impl Write for Named {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes).map_err(|error| self.named(&error))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush().map_err(|error| self.named(&error))
    }
}

fn partial(path: &Path) -> PathBuf {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    path.with_file_name(format!(".{name}.partial"))
}

impl PolicyArgs {
    fn choices(&self) -> PolicyChoices {
        PolicyChoices {
            preset: self.preset,
            missing: self.missing,
            ambiguous: self.ambiguous,
            absent: self.absent,
            min_overlap: self.min_overlap,
            assembly: self.assembly.clone(),
        }
    }
}

impl Genotypes {
    fn files(&self) -> anyhow::Result<Vec<SubmittedFile>> {
        if let Some(stem) = &self.bfile {
            return set(stem, &[FileKind::Bed, FileKind::Bim, FileKind::Fam]);
        }
        if let Some(stem) = &self.pfile {
            return set(stem, &[FileKind::Pgen, FileKind::Pvar, FileKind::Psam]);
        }
        let mut files = Vec::new();
        let single = [
            (&self.vcf, FileKind::Vcf),
            (&self.bgen, FileKind::Bgen),
            (&self.sample_file, FileKind::Sample),
            (&self.dosage_samples, FileKind::Samples),
            (&self.json, FileKind::Json),
        ];
        for (path, kind) in single {
            if let Some(path) = path {
                files.push(open(path, kind)?);
            }
        }
        for path in &self.dosages {
            files.push(open(path, FileKind::Dosage)?);
        }
        Ok(files)
    }
}

/// The files of a set by their stem, each with or without compression.
pub(super) fn set(stem: &Path, kinds: &[FileKind]) -> anyhow::Result<Vec<SubmittedFile>> {
    let mut files = Vec::new();
    for kind in kinds {
        let named = |ending: &str| {
            let mut path = stem.as_os_str().to_owned();
            path.push(format!(".{}{ending}", kind.name()));
            PathBuf::from(path)
        };
        let found = ["", ".gz", ".zst"].map(named).into_iter().find(|path| path.exists());
        let path = found.with_context(|| format!("there is no file {} (nor with .gz)", named("").display()))?;
        files.push(open(&path, *kind)?);
    }
    Ok(files)
}

pub(super) fn open(path: &Path, kind: FileKind) -> anyhow::Result<SubmittedFile> {
    let bytes: Box<dyn Read + Send> = if path == Path::new("-") {
        Box::new(std::io::stdin())
    } else {
        Box::new(File::open(path).with_context(|| format!("cannot read {}", path.display()))?)
    };
    Ok(SubmittedFile { kind, name: path.display().to_string(), bytes })
}

/// The report for people.
fn summary(report: &Report) -> String {
    use std::fmt::Write as _;
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = writeln!(text, "{} records read ({}), {} not used", report.records, report.format, report.records_unused);
    for model in &report.models {
        let kinds: Vec<String> = MatchKind::ALL
            .iter()
            .filter(|kind| model.by_kind.of(**kind) > 0)
            .map(|kind| format!("{} {}", model.by_kind.of(*kind), kind.name()))
            .collect();
        let _ = writeln!(
            text,
            "{}: {} of {} genes predicted; {:.1} % of its variants on the input's chromosomes found; {}",
            model.model,
            model.genes_predicted,
            model.genes,
            100.0 * model.overlap,
            kinds.join(", ")
        );
        if model.genes_without_model > 0 {
            let _ = writeln!(text, "{}: {} genes have no variant in the model", model.model, model.genes_without_model);
        }
    }
    for note in &report.notes {
        let _ = writeln!(text, "note: {note}");
    }
    text
}
