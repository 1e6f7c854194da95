//! `tissuecast models import`: models that others trained, into the folder of models.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};

use crate::genome::Assembly;
use crate::genome::liftover::LiftoverMap;
use crate::model::expression::GenotypeCard;
use crate::model::import::extras::{self, Chain};
use crate::model::import::{Draft, Format, Imported, Naming, frequencies, fusion, head, scoring_file, tigar};
use crate::model::registry;
use crate::reference::annotation::{self, Annotation};
use crate::reference::source::Source;
use crate::store::predictdb;

/// The longest name of a model.
const LONGEST_NAME: usize = 100;

/// Imports models that others trained.
#[derive(Debug, Args)]
pub struct Import {
    /// The model's name; with several models its beginning, followed by tissue or file: `NAME_Liver`.
    #[arg(long, env = "TISSUECAST_NAME")]
    pub name: String,
    /// The format; by content where it is left out.
    #[arg(long, env = "TISSUECAST_FORMAT", value_enum, default_value_t = FormatArg::Auto)]
    pub format: FormatArg,
    /// The assembly of the positions, where the file does not say it: `GRCh37` or `GRCh38`.
    #[arg(long, env = "TISSUECAST_ASSEMBLY", value_parser = Assembly::parse)]
    pub assembly: Option<Assembly>,
    /// The column of weights, where a table has several: `enet`, `lasso`.
    #[arg(long, env = "TISSUECAST_WEIGHTS")]
    pub weights: Option<String>,
    /// The tissue, where the file does not say it.
    #[arg(long, env = "TISSUECAST_TISSUE")]
    pub tissue: Option<String>,
    /// A chain file of UCSC from the model's assembly to another one: submissions on that one fit the model, too.
    #[arg(long, env = "TISSUECAST_CHAIN", value_name = "FILE")]
    pub chain: Option<PathBuf>,
    /// The assembly that the chain file leads to, where its name does not say it.
    #[arg(long, env = "TISSUECAST_CHAIN_TO", requires = "chain", value_parser = Assembly::parse)]
    pub chain_to: Option<Assembly>,
    /// Genes on the model's assembly (GTF, BED12, table): gives the genes their places.
    #[arg(long, env = "TISSUECAST_ANNOTATION", value_name = "FILE")]
    pub annotation: Option<PathBuf>,
    /// Allele frequencies of the training population (.afreq or .frq): a missing genotype can then be its mean.
    #[arg(long, env = "TISSUECAST_FREQUENCIES", value_name = "FILE")]
    pub frequencies: Option<PathBuf>,
    /// Files to import, or a folder of .db and .db.gz files.
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
}

/// A format as it is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FormatArg {
    /// By content.
    Auto,
    /// `PredictDB` (SQLite).
    #[value(name = "predictdb")]
    PredictDb,
    /// FUSION's weights as a table.
    Fusion,
    /// TIGAR.
    Tigar,
    /// A scoring file of the PGS Catalog.
    ScoringFile,
}

/// What became of one file.
#[derive(Debug)]
pub struct Outcome {
    /// The file.
    pub file: PathBuf,
    /// The model's name.
    pub name: String,
    /// The model, or why there is none.
    pub result: anyhow::Result<Stored>,
}

/// A model that is in the folder of models now.
#[derive(Debug)]
pub struct Stored {
    /// Its card.
    pub card: GenotypeCard,
    /// Whether the same model was there already, so that nothing was written.
    pub was_there: bool,
}

/// What is added to every model.
struct Extras {
    chain: Option<Chain>,
    annotation: Option<Annotation>,
    /// FUSION's table of models.
    companion: Option<PathBuf>,
}

impl Import {
    /// Imports and prints what became of each file.
    ///
    /// # Errors
    /// A file could not be imported; the others were.
    pub async fn run(self, models: &Path) -> anyhow::Result<()> {
        let outcomes = self.import(models, &|done, total, file| {
            if total > 1 {
                eprintln!("{}/{total} {}", done + 1, file.display());
            }
        });
        let outcomes = outcomes.await?;
        print!("{}", table(&outcomes));
        let failed: Vec<&Outcome> = outcomes.iter().filter(|outcome| outcome.result.is_err()).collect();
        for Outcome { file, result, .. } in &failed {
            if let Err(error) = result {
                eprintln!("{}: {error:#}", file.display());
            }
        }
        if !failed.is_empty() {
            bail!("{} of {} files could not be imported", failed.len(), outcomes.len());
        }
        Ok(())
    }

    /// Imports every file into the folder of models, one after the other; a file that fails stops no other one.
    ///
    /// # Errors
    /// What all files share cannot be used: the names, the chain, the annotation.
    pub async fn import(
        &self,
        models: &Path,
        progress: &(dyn Fn(usize, usize, &Path) + Sync),
    ) -> anyhow::Result<Vec<Outcome>> {
        require_name(&self.name)?;
        let (files, companion) = self.sort_files()?;
        let extras = self.extras(companion)?;
        let many = files.len() > 1;
        let mut outcomes: Vec<Outcome> = Vec::with_capacity(files.len());
        for (index, (file, format)) in files.iter().enumerate() {
            progress(index, files.len(), file);
            let (label, tissue) = label(file);
            let name = if many { format!("{}_{label}", self.name) } else { self.name.clone() };
            let result = match (format, outcomes.iter().find(|earlier| earlier.name == name)) {
                (_, Some(earlier)) => Err(anyhow::anyhow!(
                    "it would have the name {name}, as {} has: rename one of them",
                    earlier.file.display()
                )),
                (Err(error), None) => Err(anyhow::anyhow!("{error:#}")),
                (Ok(format), None) => {
                    let named = (name.as_str(), self.tissue.clone().filter(|_| !many).or(tissue));
                    self.one(models, (file, *format), named, &extras).await
                }
            };
            outcomes.push(Outcome { file: file.clone(), name, result });
        }
        Ok(outcomes)
    }

    fn extras(&self, companion: Option<PathBuf>) -> anyhow::Result<Extras> {
        let chain = self.chain.as_deref().map(|path| read_chain(path, self.chain_to.clone())).transpose()?;
        let annotation = match &self.annotation {
            Some(path) => Some(annotation::read(Source::open(path)?)?),
            None => None,
        };
        Ok(Extras { chain, annotation, companion })
    }

    /// The files with their formats; FUSION's table of models is no model of its own.
    #[expect(clippy::type_complexity, reason = "a list and what belongs to it, taken apart at once")]
    fn sort_files(&self) -> anyhow::Result<(Vec<(PathBuf, anyhow::Result<Format>)>, Option<PathBuf>)> {
        let (mut files, mut companion) = (Vec::new(), None);
        for path in expand(&self.files)? {
            let format = self.format_of(&path);
            if matches!(format, Ok(Format::FusionModels)) {
                if companion.replace(path).is_some() {
                    bail!("there are two tables of FUSION models: give one, beside its weights");
                }
                continue;
            }
            files.push((path, format));
        }
        let fusion = files.iter().filter(|(_, format)| matches!(format, Ok(Format::Fusion))).count();
        if companion.is_some() && fusion != 1 {
            bail!("a table of FUSION models belongs to one table of weights, there are {fusion}");
        }
        if files.is_empty() {
            bail!("there is no file to import");
        }
        Ok((files, companion))
    }

    fn format_of(&self, path: &Path) -> anyhow::Result<Format> {
        // PredictDB's own reader says best what is wrong with a database, even with one that does not look like it.
        let wanted = match self.format {
            FormatArg::PredictDb => return Ok(Format::PredictDb),
            FormatArg::Auto => None,
            FormatArg::Fusion => Some(Format::Fusion),
            FormatArg::Tigar => Some(Format::Tigar),
            FormatArg::ScoringFile => Some(Format::ScoringFile),
        };
        let name = path.file_name().map(|name| name.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
        if wanted.is_none() && is_database(&name) {
            return Ok(Format::PredictDb);
        }
        let opened = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
        let head = head(opened).context("cannot read or inflate the file")?;
        let found = Format::detect(&head);
        match (wanted, found) {
            (Some(Format::Fusion), Ok(Format::FusionModels)) => Ok(Format::FusionModels),
            (Some(wanted), _) => Ok(wanted),
            (None, found) => Ok(found?),
        }
    }

    async fn one(
        &self,
        models: &Path,
        (file, format): (&Path, Format),
        (name, tissue): (&str, Option<String>),
        extras: &Extras,
    ) -> anyhow::Result<Stored> {
        require_name(name)?;
        let companion = extras.companion.as_deref();
        let draft = self.draft((file, format), companion).await?;
        let mut built = draft.build(self.assembly.as_ref())?;
        let mut sources = vec![file];
        sources.extend(companion.filter(|_| format == Format::Fusion));
        if let Some(annotation) = &extras.annotation {
            extras::annotate(&mut built, annotation)?;
            sources.extend(self.annotation.as_deref());
        }
        if let Some(path) = &self.frequencies {
            frequencies::fill(&mut built, Source::open(path)?)?;
            sources.push(path);
        }
        let liftover = extras.chain.as_ref().map(|chain| extras::lift(&mut built, chain)).transpose()?;
        let sources: anyhow::Result<BTreeMap<String, String>> = sources.into_iter().map(digest).collect();
        // What the file says of its tissue comes before what its name says, and after what was given.
        let tissue = self.tissue.clone().or_else(|| built.about.tissue.clone()).or(tissue);
        let version = registry::next_version(models, name)?;
        let naming = Naming { name: name.to_owned(), version, tissue, sources: sources? };
        store(models, Imported::new(built, liftover, naming)?)
    }

    async fn draft(&self, (file, format): (&Path, Format), companion: Option<&Path>) -> anyhow::Result<Draft> {
        let open = || Source::open(file);
        Ok(match format {
            Format::PredictDb => predictdb::read(file).await?,
            Format::Fusion => fusion::read(open()?, self.weights.as_deref(), companion.map(Source::open).transpose()?)?,
            Format::Tigar => tigar::read(open()?)?,
            Format::ScoringFile => scoring_file::read(open()?, &label(file).0)?,
            Format::FusionModels => bail!("a table of FUSION models has no weights: give the table of weights, too"),
        })
    }
}

/// Writes a model, unless the folder has the very same one.
fn store(models: &Path, imported: Imported) -> anyhow::Result<Stored> {
    let Imported { mut card, files } = imported;
    card.files = files.iter().map(|(name, bytes)| (name.clone(), registry::sha256(bytes))).collect();
    for folder in registry::list(models)?.into_iter().filter(|folder| folder.name == card.name) {
        // A folder that cannot be read is no reason not to write another one.
        let Ok(Some(mut there)) = registry::genotype_card(&folder.path) else { continue };
        let version = std::mem::replace(&mut there.version, card.version.clone());
        if let (Some(there), Some(own)) = (&mut there.import, &card.import) {
            there.tissuecast_version.clone_from(&own.tissuecast_version);
        }
        if there == card {
            there.version = version;
            return Ok(Stored { card: there, was_there: true });
        }
    }
    let folder = registry::write(models, &mut card, &files)?;
    registry::load(&folder).context("the model that was just written does not load")?;
    Ok(Stored { card, was_there: false })
}

/// The files, a folder standing for its databases.
fn expand(paths: &[PathBuf]) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in paths {
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        let mut found = Vec::new();
        for entry in fs::read_dir(path).with_context(|| format!("cannot read the folder {}", path.display()))? {
            let file = entry.with_context(|| format!("cannot read the folder {}", path.display()))?.path();
            let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            if is_database(&name.to_ascii_lowercase()) {
                found.push(file);
            }
        }
        if found.is_empty() {
            bail!("the folder {} has no .db and no .db.gz file", path.display());
        }
        found.sort();
        files.append(&mut found);
    }
    Ok(files)
}

/// What a file's name adds to a model's name, and the tissue where the name has the form that tells it.
fn label(file: &Path) -> (String, Option<String>) {
    let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let mut stem = name.as_str();
    for ending in [".gz", ".db", ".sqlite", ".tsv", ".txt", ".csv"] {
        stem = stem.strip_suffix(ending).unwrap_or(stem);
    }
    let bare =
        ["TW_", "en_", "mashr_", "expression_", "gtex_v7_", "gtex_v8_"].iter().find_map(|p| stem.strip_prefix(p));
    let tissue = bare.map(|bare| {
        ["_imputed_europeans_tw_0.5_signif", "_0.5"]
            .iter()
            .fold(bare, |text, end| text.strip_suffix(end).unwrap_or(text))
    });
    let kept = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '_' };
    let label: String = tissue.unwrap_or(stem).chars().map(kept).collect();
    (label, tissue.filter(|text| !text.is_empty()).map(|text| text.replace('_', " ")))
}

/// Whether a file's name, in small letters, is that of a database.
fn is_database(name: &str) -> bool {
    let bare = name.strip_suffix(".gz").unwrap_or(name);
    Path::new(bare).extension().is_some_and(|ending| ending == "db" || ending == "sqlite")
}

fn require_name(name: &str) -> anyhow::Result<()> {
    let fits = !name.is_empty()
        && name.len() <= LONGEST_NAME
        && !name.starts_with('.')
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
    if !fits {
        bail!("'{name}' is no model name: use 1 to {LONGEST_NAME} letters, digits, '_', '-' and '.', not '.' first");
    }
    Ok(())
}

fn read_chain(path: &Path, to: Option<Assembly>) -> anyhow::Result<Chain> {
    let (file, sha256) = digest(path)?;
    let to = to.or_else(|| Chain::target_of_name(&file)).with_context(|| {
        format!("the name of {} does not say which assembly it leads to: give --chain-to", path.display())
    })?;
    let opened = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    let map = LiftoverMap::read(opened).with_context(|| format!("cannot use {}", path.display()))?;
    Ok(Chain { map, to, file, sha256 })
}

/// A file's name and SHA-256.
fn digest(path: &Path) -> anyhow::Result<(String, String)> {
    let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    Ok((name, registry::sha256(&bytes)))
}

/// The outcomes as aligned columns, with what was left out and noted below each model.
fn table(outcomes: &[Outcome]) -> String {
    let width = outcomes.iter().map(|outcome| outcome.name.chars().count()).max().unwrap_or(0).max(24);
    let mut text =
        format!("{:<width$} {:>7} {:>7} {:>8} {:>8}  {}\n", "name", "version", "genes", "weights", "left out", "");
    for Outcome { name, result, .. } in outcomes {
        let Ok(Stored { card, was_there }) = result else {
            let _ = writeln!(text, "{name:<width$} {:>7} {:>7} {:>8} {:>8}  not imported", "-", "-", "-", "-");
            continue;
        };
        let record = card.import.as_ref();
        let left_out: usize = record.map_or(0, |record| record.left_out.values().sum());
        let (version, genes, weights) = (&card.version, card.genes, card.weights);
        let said = if *was_there { "was there already: nothing written" } else { "imported" };
        let _ = writeln!(text, "{name:<width$} {version:>7} {genes:>7} {weights:>8} {left_out:>8}  {said}");
        for (reason, rows) in record.into_iter().flat_map(|record| &record.left_out) {
            let _ = writeln!(text, "    left out: {reason} ({rows})");
        }
        for note in record.into_iter().flat_map(|record| &record.notes) {
            let _ = writeln!(text, "    {note}");
        }
        if let Some(lifted) = &card.liftover {
            let _ = writeln!(
                text,
                "    lifted to {}: {} weights ({} turned round), {} without a place there, {} with several",
                lifted.assembly, lifted.lifted, lifted.reversed, lifted.unmapped, lifted.multiple
            );
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_files_tell_tissues_where_they_can() {
        let cases = [
            ("TW_Adipose_Subcutaneous_0.5.db.gz", "Adipose_Subcutaneous", Some("Adipose Subcutaneous")),
            ("expression_Liver.db", "Liver", Some("Liver")),
            ("mashr_Whole_Blood.db", "Whole_Blood", Some("Whole Blood")),
            ("GTExv8 breast.db.gz", "GTExv8_breast", None),
            ("PGS1.txt.gz", "PGS1", None),
        ];
        for (file, name, tissue) in cases {
            assert_eq!(label(Path::new(file)), (name.to_owned(), tissue.map(str::to_owned)), "{file}");
        }
        for name in ["", ".x", "a/b", "a b", "ä"] {
            assert!(require_name(name).is_err(), "{name}");
        }
    }
}
