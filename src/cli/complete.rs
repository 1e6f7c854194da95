//! `tissuecast complete`: fills every hole and every missing gene of a dataset, into a file and into the store.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, bail};
use clap::Args;
use tokio::task::JoinHandle;

use super::progress::FitProgress;
use crate::completion::batch::{Filled, Filler};
use crate::completion::output::{Form, Sink};
use crate::completion::{NotImputed, Source, shape_only};
use crate::config::DatabaseArgs;
use crate::genome::GeneId;
use crate::model::registry;
use crate::model::served::ServedModel;
use crate::reference::Reference;
use crate::serve::library::{EitherKind, load_model};
use crate::serve::{by_preference, saved};
use crate::store::{Store, StoreError};

/// Genes that are completed, saved and written at one time.
const CHUNK: usize = 1_024;
/// Names that a line of the summary spells out.
const SPELT_OUT: usize = 8;

/// Fills every hole and every missing gene of a dataset of the store.
///
/// Measured values stay as they were measured; the others are imputed by the model, each with its interval, and are
/// marked as such. Genes without a place, or on a chromosome without a measured gene, stay unknown, which is never 0. What
/// is imputed is also kept in the store, where `serve` finds it; what is kept there already is not imputed again. The
/// file appears under its name once it is whole.
#[derive(Debug, Clone, Args)]
pub struct Complete {
    /// The dataset's name
    #[arg(long, env = "TISSUECAST_DATASET", value_name = "NAME")]
    dataset: String,
    /// The model, as NAME or NAME@VERSION; the one that `serve` would use where it is left out
    #[arg(long, env = "TISSUECAST_DEFAULT_MODEL", value_name = "NAME")]
    model: Option<String>,
    /// Where the completed dataset goes; the form is that of the ending: .parquet, .tsv (a line for each gene and
    /// tissue) or .gct (the matrix, with FILE.lower.gct, FILE.upper.gct and FILE.source.tsv beside it); .tsv and .gct
    /// also with .gz
    #[arg(long, env = "TISSUECAST_OUT", value_name = "FILE")]
    out: PathBuf,
    /// The folder with the models
    #[arg(long, env = "TISSUECAST_MODELS_DIR", default_value = "models", value_name = "DIR")]
    models_dir: PathBuf,
    #[command(flatten)]
    database: DatabaseArgs,
}

/// What came of a dataset.
#[derive(Debug, Default)]
struct Tally {
    /// Values by source.
    values: BTreeMap<Source, usize>,
    genes: usize,
    complete: usize,
    imputed_now: usize,
    recalled: usize,
    unplaced: usize,
    lonely: usize,
    lonely_chromosomes: BTreeSet<String>,
    without_neighbour: usize,
    /// Values of tissues that the model does not know.
    unknown_to_model: usize,
}

impl Complete {
    /// Runs the command.
    ///
    /// # Errors
    /// The dataset or the model is not there or they do not fit, the model fails, or the store or a file cannot be
    /// written.
    pub async fn run(self) -> anyhow::Result<()> {
        let started = Instant::now();
        let form = Form::of_path(&self.out).context("--out")?;
        let store = self.database.open_existing().await?;
        store.require_current_schema().await?;
        let Some(dataset) = store.load_reference(&self.dataset).await? else {
            let names: Vec<String> = store.datasets().await?.into_iter().map(|one| one.name).collect();
            bail!("the store has no dataset '{}'; it has: {}", self.dataset, names.join(", "));
        };
        let dataset = Arc::new(dataset);
        let model = {
            let (arguments, dataset) = (self.clone(), Arc::clone(&dataset));
            tokio::task::spawn_blocking(move || arguments.choose_model(&dataset)).await??
        };
        let kept = store.imputed_all(&dataset.dataset().version, &model.imputation_key()).await?;
        let kept: Vec<_> = kept.into_iter().collect();
        let kept = saved(&dataset, &kept);
        let filler = Filler::try_new(dataset, model, kept)
            .with_context(|| format!("the model cannot read dataset '{}'", self.dataset))?;
        let filler = Arc::new(filler);
        let sink = form.start(&self.out, filler.dataset())?;
        let (tally, places) = tokio::select! {
            done = fill(&store, &filler, sink) => done?,
            _ = tokio::signal::ctrl_c() => bail!("interrupted: no file was written; the next run goes on from what the store has kept by now"),
        };
        store.close().await;
        print!("{}", summary(&filler, &tally, started.elapsed().as_secs_f64()));
        for place in places {
            println!("wrote {}", place.display());
        }
        Ok(())
    }

    /// Loads the model that is named, or the one that the service would use.
    fn choose_model(&self, dataset: &Reference) -> anyhow::Result<Arc<ServedModel>> {
        let folder = self.models_dir.display();
        if let Some(named) = &self.model {
            return match load_model(&registry::find(&self.models_dir, named)?)? {
                EitherKind::Profile(model) => Ok(model),
                EitherKind::Genotype(_) => bail!("model '{named}' reads genotypes and imputes no tissue profiles"),
            };
        }
        let mut models = Vec::new();
        for found in &registry::defaults(&self.models_dir)? {
            if registry::genotype_card(&found.path)?.is_none()
                && let EitherKind::Profile(model) = load_model(found)?
            {
                models.push(model);
            }
        }
        let known = |id: &String| dataset.find_tissue(id).is_some();
        let fitting = by_preference(&models, dataset).into_iter().find(|model| model.card.tissues.iter().all(known));
        fitting.cloned().with_context(|| {
            let names: Vec<&str> = models.iter().map(|model| model.card.name.as_str()).collect();
            format!(
                "no model in {folder} reads dataset '{}', whose tissues are others than theirs; there are: {}; \
                 'tissuecast train profile' makes one",
                dataset.dataset().name,
                names.join(", ")
            )
        })
    }
}

/// Completes every gene: while a chunk is imputed and written, the one before it is saved.
async fn fill(store: &Store, filler: &Arc<Filler>, mut sink: Box<dyn Sink>) -> anyhow::Result<(Tally, Vec<PathBuf>)> {
    let total = filler.dataset().genes().len();
    let progress = FitProgress::new("complete");
    let mut tally = Tally::default();
    let mut saving: Option<JoinHandle<Result<(), StoreError>>> = None;
    for from in (0..total).step_by(CHUNK) {
        let chunk = from..total.min(from + CHUNK);
        let end = chunk.end;
        let work = Arc::clone(filler);
        // The sink goes along: writing blocks, too.
        let worked = tokio::task::spawn_blocking(move || {
            let filled = work.fill(chunk)?;
            for one in &filled {
                sink.gene(work.dataset().gene(one.gene), &one.cells)?;
            }
            let fresh = fresh(&work, &filled);
            Ok::<_, anyhow::Error>((sink, filled, fresh))
        });
        let (back, filled, fresh) = worked.await??;
        sink = back;
        for one in &filled {
            tally.add(filler, one);
        }
        if let Some(before) = saving.take() {
            before.await??;
        }
        if !fresh.is_empty() {
            let (store, work) = (store.clone(), Arc::clone(filler));
            saving = Some(tokio::spawn(async move {
                let version = &work.dataset().dataset().version;
                store.save_imputed(version, &work.model().imputation_key(), &fresh).await
            }));
        }
        progress.count("genes", end, total);
    }
    if let Some(last) = saving {
        last.await??;
    }
    let places = tokio::task::spawn_blocking(move || sink.finish()).await??;
    progress.finish();
    Ok((tally, places))
}

/// What was imputed just now, as the store keeps it.
fn fresh(filler: &Filler, filled: &[Filled]) -> Vec<(GeneId, String)> {
    let json = |one: &Filled| {
        let profile = serde_json::to_string(one.fresh.as_ref()?.as_ref()).ok()?;
        Some((filler.dataset().gene(one.gene).id.clone(), profile))
    };
    filled.iter().filter_map(json).collect()
}

impl Tally {
    fn add(&mut self, filler: &Filler, one: &Filled) {
        self.genes += 1;
        for cell in &one.cells {
            *self.values.entry(cell.source).or_default() += 1;
        }
        let count = |source: Source| one.cells.iter().filter(|cell| cell.source == source).count();
        match &one.not_imputed {
            Some(NotImputed::NoPlace) => self.unplaced += 1,
            Some(NotImputed::LonelyChromosome(chromosome)) => {
                self.lonely += 1;
                self.lonely_chromosomes.insert(chromosome.as_str().to_owned());
            }
            Some(NotImputed::NoNeighbour | NotImputed::NoModel) => self.without_neighbour += 1,
            None if count(Source::Measured) == filler.dataset().tissues().len() => self.complete += 1,
            None => {
                self.unknown_to_model += count(Source::Unknown);
                if one.fresh.is_some() {
                    self.imputed_now += 1;
                } else {
                    self.recalled += 1;
                }
            }
        }
    }
}

/// What came of it, for people.
fn summary(filler: &Filler, tally: &Tally, seconds: f64) -> String {
    let (about, card) = (filler.dataset().dataset(), &filler.model().card);
    let mut out = String::new();
    let tissues = filler.dataset().tissues().len();
    // Writing to a String cannot fail.
    let _ = writeln!(out, "dataset {} version {}, {}", about.name, about.version, about.unit);
    let _ = writeln!(out, "model {} version {}, {}", card.name, card.version, filler.model().digest);
    let _ = writeln!(out, "{} genes × {tissues} tissues in {seconds:.1} s", tally.genes);
    let _ = writeln!(out, "{:<44}{:>10}", "genes measured in every tissue", tally.complete);
    let _ = writeln!(out, "{:<44}{:>10}", "genes imputed now, and kept in the store", tally.imputed_now);
    let _ = writeln!(out, "{:<44}{:>10}", "genes imputed before, from the store", tally.recalled);
    for source in Source::ALL {
        let count = tally.values.get(&source).copied().unwrap_or(0);
        let _ = writeln!(out, "{:<44}{count:>10}", format!("values {}", source.as_str()));
    }
    if tally.unplaced > 0 {
        let _ = writeln!(out, "left unknown: {} genes that the annotation has no place for", tally.unplaced);
    }
    if tally.lonely > 0 {
        let names: Vec<&str> = tally.lonely_chromosomes.iter().take(SPELT_OUT).map(String::as_str).collect();
        let more = if tally.lonely_chromosomes.len() > SPELT_OUT { ", …" } else { "" };
        let _ = writeln!(
            out,
            "left unknown: {} genes on chromosomes without a gene that was measured in every tissue of the model ({}{more})",
            tally.lonely,
            names.join(", ")
        );
    }
    if tally.without_neighbour > 0 {
        let _ = writeln!(out, "left unknown: {} genes without a measured gene nearby", tally.without_neighbour);
    }
    if tally.unknown_to_model > 0 {
        let known = |id: &str| card.tissues.iter().any(|one| one == id);
        let others: Vec<&str> =
            filler.dataset().tissues().iter().map(crate::genome::Tissue::id).filter(|id| !known(id)).collect();
        let _ = writeln!(
            out,
            "left unknown: {} values of tissues that the model does not know ({})",
            tally.unknown_to_model,
            others.join(", ")
        );
    }
    if let Some(why) = shape_only(filler.model(), filler.dataset()) {
        let _ = writeln!(out, "note: {why}; the column 'relative' of .parquet and .tsv has the shape");
    }
    out
}
