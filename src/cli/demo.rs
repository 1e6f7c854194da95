//! `tissuecast demo`: a simulated genome through the whole product, with no network and no data of one's own.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::{Args, Parser};

use super::{ingest, serve};
use crate::config::ServeConfig;
use crate::genome::Promoter;
use crate::reference::GeneRecord;
use crate::simulate::{Simulated, Simulation};

/// The demo's dataset, and the model that was trained on another simulated genome.
const DEMO: &str = "demo";

/// A file that marks a folder as the demo's, so that no other one is ever emptied.
const MARK: &str = ".tissuecast-demo";

/// Simulates a small genome, ingests it into a fresh SQLite file, and serves it: needs no data and no network
#[derive(Debug, Args)]
pub struct Demo {
    /// Address and port to listen on
    #[arg(long, env = "TISSUECAST_LISTEN", default_value = "127.0.0.1:8080", value_name = "HOST:PORT")]
    listen: SocketAddr,
    /// The folder with the models
    #[arg(long, env = "TISSUECAST_MODELS_DIR", default_value = "models", value_name = "DIR")]
    models_dir: PathBuf,
    /// Where the simulated files and the database go; every run of the demo replaces its own
    #[arg(long = "demo-dir", env = "TISSUECAST_DEMO_DIR", default_value = "tissuecast-demo", value_name = "DIR")]
    folder: PathBuf,
    /// Genes of the simulated genome
    #[arg(long, env = "TISSUECAST_GENES", default_value_t = 600)]
    genes: usize,
    /// The seed of the simulated genome
    #[arg(long, env = "TISSUECAST_SEED", default_value_t = 7)]
    seed: u64,
}

/// The commands that the demo runs, as a user would type them.
#[derive(Debug, Parser)]
enum Typed {
    Ingest(Box<ingest::IngestArgs>),
    Serve(Box<ServeFlags>),
}

#[derive(Debug, Args)]
struct ServeFlags {
    #[command(flatten)]
    config: ServeConfig,
}

impl Demo {
    /// Runs the demo until it is told to stop.
    ///
    /// # Errors
    /// The folder is somebody else's or cannot be written, or the service cannot start.
    pub async fn run(self) -> anyhow::Result<()> {
        let folder = self.fresh_folder()?;
        let genome = Simulation { genes: self.genes, seed: self.seed, ..Simulation::default() }.run()?;
        // The promoter of a gene that this genome does not have.
        let other = Simulation { genes: 1, chromosomes: 1, seed: self.seed.wrapping_add(1) }.run()?;
        let examples = Examples::of(&genome, &other).with_context(|| {
            format!("{} genes are too few to have one of every kind: ask for some hundreds with --genes", self.genes)
        })?;
        let files = genome.write_files(&folder)?;
        let database = format!("sqlite://{}", folder.join("demo.sqlite").display());
        let path = |path: &Path| path.display().to_string();
        let typed = Typed::try_parse_from([
            "tissuecast",
            "ingest",
            "--dataset",
            DEMO,
            "--expression",
            &path(&files.expression),
            "--annotation",
            &path(&files.annotation),
            "--promoters",
            &path(&files.promoters),
            "--assembly",
            "simulated",
            "--unit",
            "tpm",
            "--database-url",
            &database,
        ])?;
        let Typed::Ingest(ingest) = typed else { bail!("the demo's own command line is not understood") };
        println!("a simulated genome of {} genes, ingested from {}:", self.genes, folder.display());
        ingest.run().await?;
        let listen = self.listen.to_string();
        let typed = Typed::try_parse_from([
            "tissuecast",
            "serve",
            "--listen",
            &listen,
            "--database-url",
            &database,
            "--models-dir",
            &path(&self.models_dir),
            "--default-model",
            DEMO,
        ])?;
        let Typed::Serve(flags) = typed else { bail!("the demo's own command line is not understood") };
        serve::run(flags.config, |address| println!("{}", examples.greeting(address))).await
    }

    /// Returns an empty folder of the demo's own.
    fn fresh_folder(&self) -> anyhow::Result<PathBuf> {
        let folder = &self.folder;
        let cannot = || format!("cannot use the folder {}", folder.display());
        if folder.exists() {
            let empty = fs::read_dir(folder).with_context(cannot)?.next().is_none();
            if !empty && !folder.join(MARK).exists() {
                bail!("{} is not a folder of the demo: name another one with --demo-dir", folder.display());
            }
            if !empty {
                fs::remove_dir_all(folder).with_context(cannot)?;
            }
        }
        fs::create_dir_all(folder).with_context(cannot)?;
        fs::write(folder.join(MARK), "made by 'tissuecast demo'; every run replaces it\n").with_context(cannot)?;
        // SQLite's address has to be the same from everywhere.
        folder.canonicalize().with_context(cannot)
    }
}

/// What the demo shows.
struct Examples {
    measured: String,
    missing: String,
    place: String,
    promoter: String,
}

impl Examples {
    /// Picks a gene that was measured in every tissue, one that was in none, and the promoter of a new one.
    fn of(genome: &Simulated, other: &Simulated) -> Option<Self> {
        let symbol = |wanted: &dyn Fn(&GeneRecord) -> bool| {
            genome.records.iter().find(|record| wanted(record)).map(|record| record.gene.symbol.as_str().to_owned())
        };
        let whole = |values: &Vec<f32>| values.iter().all(|value| value.is_finite()) && values.iter().any(|x| *x > 0.0);
        let measured = symbol(&|record| record.expression.as_ref().is_some_and(whole))?;
        let missing = symbol(&|record| record.expression.is_none() && record.gene.locus.is_some())?;
        let locus = genome.records.iter().find_map(|record| record.gene.locus.as_ref())?;
        let place = format!(r#""chromosome":"{}","tss":{},"strand":"+""#, locus.chromosome, locus.end.get() + 4_000);
        let promoter = other.records.iter().find_map(|record| record.promoter.as_ref().map(Promoter::bases))?;
        Some(Self { measured, missing, place, promoter: String::from_utf8_lossy(promoter).into_owned() })
    }

    /// Returns what the demo says once it is up: the page and three commands that work.
    fn greeting(&self, address: SocketAddr) -> String {
        let Self { measured, missing, place, promoter } = self;
        let json = "Content-Type: application/json";
        format!(
            "
The demo is up. Stop it with Ctrl-C.

  open http://{address}/

A gene that was measured, one that was not, and one that nobody has, with a promoter of its own:

  curl 'http://{address}/v1/genes/{measured}/profile'
  curl -H 'Accept: text/tab-separated-values' 'http://{address}/v1/genes/{missing}/profile'
  curl -H '{json}' -d '{{\"dataset\":\"{DEMO}\",\"genes\":[{{\"id\":\"my_gene\",{place},\"promoter\":\"{promoter}\"}}]}}' 'http://{address}/v1/profiles'
"
        )
    }
}
