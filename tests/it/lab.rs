//! A simulated lab: its files, its dataset in a store, and models trained on it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use serde_json::Value;
use tissuecast::config::ServeConfig;
use tissuecast::genome::Assembly;
use tissuecast::http::state::AppState;
use tissuecast::model::Scale;
use tissuecast::model::baseline::BaselineKind;
use tissuecast::model::golden::{self, Golden};
use tissuecast::model::manifest::{Card, SCHEMA, TrainingRecord};
use tissuecast::model::registry;
use tissuecast::reference::assemble::ReferenceTable;
use tissuecast::reference::source::Source;
use tissuecast::reference::{Reference, Unit, annotation, gct, promoter};
use tissuecast::serve::{self, Loaded, data::DataSource, serve_on};
use tissuecast::simulate::{PROMOTER_TSS, Simulated, Simulation};
use tissuecast::store::Store;
use tissuecast::training::calibration::calibrate;
use tissuecast::training::folds::{Split, parse_chromosomes};
use tissuecast::training::method::{ProfileMethod, fit_method};
use tissuecast::training::profile::{Ablation, HybridPlan, Preset};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::http_support::App;

/// The name of the lab's dataset.
pub const DATASET: &str = "lab";

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    config: ServeConfig,
}

/// The configuration of `serve` with these flags.
pub fn config(flags: &[&str]) -> ServeConfig {
    Line::parse_from(std::iter::once("serve").chain(flags.iter().copied())).config
}

/// A genome on chromosomes 1 to 6 that has every kind of gene.
pub fn genome(genes: usize, seed: u64) -> Simulated {
    Simulation { genes, seed, ..Simulation::default() }.run().unwrap()
}

/// The genome as an ingest reads it: written as files and parsed again.
pub fn table(genome: &Simulated, folder: &Path) -> ReferenceTable {
    let files = genome.write_files(folder).unwrap();
    let expression = gct::read(Source::open(&files.expression).unwrap()).unwrap();
    let annotation = annotation::read(Source::open(&files.annotation).unwrap()).unwrap();
    let assembly = Assembly::parse("simulated").unwrap();
    let mut table = ReferenceTable::join(assembly, Unit::Tpm, expression, annotation).unwrap();
    table.attach_promoters(promoter::read(Source::open(&files.promoters).unwrap()).unwrap()).unwrap();
    table
}

/// Fits a baseline to the dataset and writes it into the folder of models, under its method's name.
pub fn train(reference: &Reference, kind: BaselineKind, scale: Scale, models: &Path) {
    train_as(kind.as_str(), reference, kind, scale, models);
}

/// Fits a baseline to the dataset and writes it into the folder of models.
pub fn train_as(name: &str, reference: &Reference, kind: BaselineKind, scale: Scale, models: &Path) {
    let chromosomes = |list| parse_chromosomes(list).unwrap();
    let split = Split::by_chromosome(reference, &chromosomes("5,6"), &chromosomes("4")).unwrap();
    let method = ProfileMethod::Baseline(kind);
    let plan = HybridPlan {
        scale,
        on_base: false,
        preset: Preset::Compact,
        ablation: Ablation::None,
        members: 2,
        promoter_tss: PROMOTER_TSS,
        seed: 7,
    };
    let model = fit_method(method, reference, &split, &plan, &|_| {}).unwrap();
    let Simulated { dataset, tissues, records } = Simulation { genes: 20, chromosomes: 2, seed: 3 }.run().unwrap();
    let sample = Golden::record(&*model, &Reference::new(dataset, tissues, records)).unwrap();
    let mut files = model.files().unwrap();
    files.insert(golden::FILE.to_owned(), serde_json::to_vec(&sample).unwrap());
    let names = |chromosomes: &[tissuecast::genome::Chromosome]| {
        chromosomes.iter().map(|chromosome| chromosome.as_str().to_owned()).collect()
    };
    let mut card = Card {
        schema: SCHEMA,
        name: name.to_owned(),
        version: registry::next_version(models, name).unwrap(),
        method: method.as_str().to_owned(),
        description: method.description().to_owned(),
        scale,
        unit: reference.dataset().unit,
        tissues: reference.tissues().iter().map(|tissue| tissue.id().to_owned()).collect(),
        training: TrainingRecord {
            dataset: reference.dataset().name.clone(),
            dataset_version: reference.dataset().version.clone(),
            assembly: reference.dataset().assembly.as_str().to_owned(),
            genes: split.train.len(),
            held_out_chromosomes: names(&split.held_out_chromosomes),
            calibration_chromosomes: names(&split.calibration_chromosomes),
            seed: plan.seed,
            command: "none: fitted by a test".to_owned(),
            tissuecast_version: env!("CARGO_PKG_VERSION").to_owned(),
            seconds: 0.0,
        },
        accuracy: Vec::new(),
        hidden: Vec::new(),
        calibration: calibrate(&*model, reference, &split.calibration, &split.test, 7).unwrap(),
        settings: model.settings().unwrap(),
        files: BTreeMap::new(),
    };
    registry::write(models, &mut card, &files).unwrap();
}

/// A router over what the store and the folder of models hold, with the task that saves imputed profiles.
pub async fn app(store: Store, models: &Path) -> App {
    let (mut source, _saving) = DataSource::open(store, models.to_owned(), 2).await.unwrap();
    let loaded = source.load().await.unwrap();
    app_of(loaded)
}

/// A router over what was loaded.
pub fn app_of(loaded: Loaded) -> App {
    let config = config(&[]);
    let snapshot = serve::snapshot(&config, loaded, None).unwrap();
    let state = Arc::new(AppState::new(snapshot, config.http_limits(), config.operator()));
    App { router: tissuecast::http::router(Arc::clone(&state)), state }
}

/// The service as `serve` runs it, on a free port, looking for changes every second.
pub struct Service {
    pub address: SocketAddr,
    stop: oneshot::Sender<()>,
    ended: JoinHandle<anyhow::Result<()>>,
    watching: JoinHandle<()>,
}

impl Service {
    /// Starts over a store and a folder of models.
    pub async fn start(store: Store, models: &Path) -> Self {
        let (mut source, _saving) = DataSource::open(store, models.to_owned(), 2).await.unwrap();
        let loaded = source.load().await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (events, receiver) = mpsc::channel(4);
        let watching = source.watch(Duration::from_secs(1), events);
        let (stop, stopped) = oneshot::channel::<()>();
        let ended = tokio::spawn(serve_on(listener, config(&[]), loaded, receiver, async { drop(stopped.await) }));
        Self { address, stop, ended, watching }
    }

    /// Asks for a path; the status and the body, which is null where it is no JSON.
    pub async fn get(&self, path: &str) -> (u16, Value) {
        get(self.address, path).await
    }

    /// Asks until `is_right` says so, for ten seconds at most.
    pub async fn wait_for(&self, path: &str, is_right: impl Fn(u16, &Value) -> bool) -> Value {
        let asked = async {
            loop {
                let (status, body) = self.get(path).await;
                if is_right(status, &body) {
                    return body;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), asked).await.unwrap()
    }

    /// Stops it and waits until it has ended as it should.
    pub async fn stop(self) {
        self.watching.abort();
        self.stop.send(()).unwrap();
        tokio::time::timeout(Duration::from_secs(10), self.ended).await.unwrap().unwrap().unwrap();
    }
}

/// Asks a service on a socket for a path.
pub async fn get(address: SocketAddr, path: &str) -> (u16, Value) {
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    let asked = crate::socket::ask(address, request);
    let answer = tokio::time::timeout(Duration::from_secs(20), asked).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, serde_json::from_str(body).unwrap_or(Value::Null))
}
