//! Where the service's data comes from: the store's datasets and imputed profiles, the folder of models.
//!
//! Both are read at start and then looked at every few seconds; no request waits for either. A database that is away
//! costs readiness and no answer, and the folder of models is looked at meanwhile. Looks are taken one after another by
//! one task, those that somebody asks for included.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until, timeout};

use super::library::{Depth, Looked, ModelLibrary};
use super::{Event, Loaded};
use crate::http::admin::{Refusal, Reload, Reloaded, Reloader, ServedVersion};
use crate::http::state::{Save, Saver};
use crate::reference::Reference;
use crate::store::{Store, StoreError};

/// Batches of imputed profiles that may wait for the store.
const SAVE_QUEUE: usize = 256;

/// Reloads that may wait for their turn.
const RELOAD_QUEUE: usize = 16;

/// How long the store may take to give what new models have imputed before: they impute it again where it does not.
const STORE_PATIENCE: Duration = Duration::from_secs(5);

/// The store and the models as the service reads them.
#[derive(Debug)]
pub struct DataSource {
    store: Arc<Store>,
    library: Arc<Mutex<ModelLibrary>>,
    saver: Saver,
    reloader: Reloader,
    reloads: mpsc::Receiver<Reload>,
    /// The datasets that are served.
    references: BTreeMap<String, Arc<Reference>>,
    /// Dataset versions and imputation keys whose saved profiles were handed over.
    handed_over: BTreeSet<(String, String)>,
    /// Folders of models that do not pass their checks.
    refused: Vec<Refusal>,
    /// Models whose first prediction on a dataset failed.
    refused_on_datasets: Vec<Refusal>,
    /// Whether what was last handed over could not be served.
    unserved: bool,
}

/// What runs beside the service: saving and looking for changes.
#[derive(Debug)]
pub struct Background {
    saving: JoinHandle<()>,
    watching: JoinHandle<()>,
}

/// The service is gone: nobody takes events any more.
struct Gone;

impl DataSource {
    /// Checks the schema, loads the newest versions of every model, and starts to save imputed profiles.
    ///
    /// # Errors
    /// The schema is not the program's, or a model does not pass its checks.
    pub async fn open(
        store: Store,
        models_dir: PathBuf,
        keep_versions: usize,
    ) -> anyhow::Result<(Self, JoinHandle<()>)> {
        store.require_current_schema().await?;
        let store = Arc::new(store);
        let (library, refused) =
            tokio::task::spawn_blocking(move || ModelLibrary::open(models_dir, keep_versions)).await??;
        let (saver, saves) = mpsc::channel(SAVE_QUEUE);
        let (reloader, reloads) = mpsc::channel(RELOAD_QUEUE);
        let saving = tokio::spawn(save(Arc::clone(&store), saves));
        let source = Self {
            store,
            library: Arc::new(Mutex::new(library)),
            saver,
            reloader,
            reloads,
            references: BTreeMap::new(),
            handed_over: BTreeSet::new(),
            refused,
            refused_on_datasets: Vec::new(),
            unserved: false,
        };
        Ok((source, saving))
    }

    /// Loads every dataset that is new or has changed, with the profiles that were imputed before, and gives all that is
    /// to be served.
    ///
    /// # Errors
    /// The store fails.
    pub async fn load(&mut self) -> Result<Loaded, StoreError> {
        let versions = self.store.versions().await?;
        self.load_versions(&versions).await
    }

    async fn load_versions(&mut self, versions: &BTreeMap<String, String>) -> Result<Loaded, StoreError> {
        let mut references = BTreeMap::new();
        for (name, version) in versions {
            let known = self.references.get(name).filter(|known| known.dataset().version == *version);
            let reference = match known {
                Some(known) => Arc::clone(known),
                // One that was removed since the names were read is simply not served.
                None => match self.store.load_reference(name).await? {
                    Some(reference) => Arc::new(reference),
                    None => continue,
                },
            };
            references.insert(name.clone(), reference);
        }
        let mut loaded = self.serving();
        loaded.references = references.values().cloned().collect();
        let imputed = self.imputed(&loaded).await?;
        self.handed_over = pairs(&loaded);
        self.references = references;
        loaded.imputed = imputed;
        Ok(loaded)
    }

    /// The models that are to be served, without datasets.
    fn serving(&self) -> Loaded {
        let library = self.library.lock().unwrap_or_else(PoisonError::into_inner);
        Loaded {
            models: library.models(),
            expression_models: library.expression_models(),
            saver: Some(self.saver.clone()),
            reloader: Some(self.reloader.clone()),
            ..Loaded::default()
        }
    }

    /// What was imputed before by models on datasets, where it was not handed over yet.
    async fn imputed(&self, loaded: &Loaded) -> Result<BTreeMap<(String, String), Vec<ImputedJson>>, StoreError> {
        let mut imputed = BTreeMap::new();
        for (version, key) in pairs(loaded).difference(&self.handed_over) {
            let profiles = self.store.imputed_all(version, key).await?;
            imputed.insert((version.clone(), key.clone()), profiles.into_iter().collect());
        }
        Ok(imputed)
    }

    /// Looks for changed datasets and models, and whenever somebody asks, until the service is gone.
    #[must_use]
    pub fn watch(mut self, every: Duration, events: mpsc::Sender<Event>) -> JoinHandle<()> {
        tokio::spawn(async move {
            if !self.refused.is_empty() {
                let refused = std::mem::take(&mut self.refused);
                if self.note(Looked { refused, ..Looked::default() }, &events).await.is_err() {
                    return;
                }
            }
            let mut next = Instant::now() + every;
            let mut asking: Option<Asking> = None;
            loop {
                // A database that takes its time holds up nothing else.
                let answer = async {
                    match &mut asking {
                        Some(asking) => asking.await,
                        None => std::future::pending().await,
                    }
                };
                let going_on = tokio::select! {
                    answer = answer => {
                        asking = None;
                        self.store_answered(answer.ok(), &events).await
                    }
                    Some(Reload(reply)) = self.reloads.recv() => self.reload(reply, &events).await,
                    () = sleep_until(next) => {
                        next = Instant::now() + every;
                        if asking.is_none() {
                            let store = Arc::clone(&self.store);
                            asking = Some(tokio::spawn(async move { store.versions().await }));
                        }
                        self.look(Depth::Changed, &events).await.map(drop)
                    }
                };
                if going_on.is_err() {
                    return;
                }
            }
        })
    }

    /// Serves changed datasets, once the store has said which versions it has.
    async fn store_answered(
        &mut self,
        answer: Option<Result<BTreeMap<String, String>, StoreError>>,
        events: &mpsc::Sender<Event>,
    ) -> Result<(), Gone> {
        let known = self.references.iter().map(|(name, reference)| (name, &reference.dataset().version));
        let event = match answer {
            Some(Ok(versions)) if known.eq(&versions) => Event::Store { answers: true },
            Some(Ok(versions)) => match self.load_versions(&versions).await {
                Ok(loaded) => {
                    self.serve(loaded, events).await?;
                    Event::Store { answers: true }
                }
                Err(error) => {
                    tracing::error!(error = &error as &dyn std::error::Error, "a changed dataset could not be read");
                    Event::Store { answers: false }
                }
            },
            Some(Err(error)) => {
                tracing::error!(%error, "the store does not answer; the loaded datasets are served on");
                Event::Store { answers: false }
            }
            None => Event::Store { answers: false },
        };
        events.send(event).await.map_err(|_| Gone)
    }

    /// Checks every model whole, and answers once what came of it is served.
    async fn reload(&mut self, reply: oneshot::Sender<Reloaded>, events: &mpsc::Sender<Event>) -> Result<(), Gone> {
        // Whoever asked learns from the silence that the folder cannot be read, or that the change cannot be served.
        let Some(looked) = self.look(Depth::Everything, events).await?.filter(|_| !self.unserved) else {
            return Ok(());
        };
        let Looked { changed, removed, unchanged, refused } = looked;
        tracing::info!(?changed, ?removed, unchanged, refused = refused.len(), "models were reloaded");
        let all = self.serving();
        let models = ServedVersion::all(&all.models, &all.expression_models);
        // Whoever asked may have gone.
        let _ = reply.send(Reloaded { changed, removed, unchanged, refused, models });
        Ok(())
    }

    /// Looks at the folder of models, and comes back once what has changed is served; `None` where the folder cannot be
    /// read.
    async fn look(&mut self, depth: Depth, events: &mpsc::Sender<Event>) -> Result<Option<Looked>, Gone> {
        let library = Arc::clone(&self.library);
        let look = move || library.lock().unwrap_or_else(PoisonError::into_inner).look(depth);
        let mut looked = match tokio::task::spawn_blocking(look).await {
            Ok(Ok(looked)) => looked,
            Ok(Err(error)) => {
                tracing::error!(error = &error as &dyn std::error::Error, "the folder of models cannot be read");
                return Ok(None);
            }
            Err(error) => {
                tracing::error!(%error, "the look at the folder of models failed");
                return Ok(None);
            }
        };
        if looked.refused != self.refused || looked.has_changes() || depth == Depth::Everything {
            self.note(looked.clone(), events).await?;
        }
        // A model that failed on a dataset gets another try where somebody asks.
        let retries = depth == Depth::Everything && !self.refused_on_datasets.is_empty();
        if looked.has_changes() || self.unserved || retries {
            self.serve_models(events).await?;
        }
        looked.refused.extend_from_slice(&self.refused_on_datasets);
        Ok(Some(looked))
    }

    /// Says what a look has found, each refusal once.
    async fn note(&mut self, looked: Looked, events: &mpsc::Sender<Event>) -> Result<(), Gone> {
        for refusal in looked.refused.iter().filter(|one| !self.refused.contains(one)) {
            let Refusal { model, reason } = refusal;
            tracing::warn!(model, reason, "a model is refused: what was served of it is served on");
        }
        self.refused.clone_from(&looked.refused);
        events.send(Event::Looked(looked)).await.map_err(|_| Gone)
    }

    /// Serves the models that are in memory now on the datasets that are.
    async fn serve_models(&mut self, events: &mpsc::Sender<Event>) -> Result<(), Gone> {
        let mut loaded = self.serving();
        loaded.references = self.references.values().cloned().collect();
        match timeout(STORE_PATIENCE, self.imputed(&loaded)).await {
            Ok(Ok(imputed)) => loaded.imputed = imputed,
            Ok(Err(_)) | Err(_) => {
                tracing::warn!("the store does not give what new models have imputed before: they impute it again");
            }
        }
        self.handed_over = pairs(&loaded);
        self.serve(loaded, events).await
    }

    /// Hands over what is to be served, and waits until it is.
    async fn serve(&mut self, mut loaded: Loaded, events: &mpsc::Sender<Event>) -> Result<(), Gone> {
        let (sender, served) = oneshot::channel();
        loaded.served = Some(sender);
        events.send(Event::Changed(loaded)).await.map_err(|_| Gone)?;
        match served.await {
            Ok(refused) => (self.refused_on_datasets, self.unserved) = (refused, false),
            Err(_) => self.unserved = true,
        }
        Ok(())
    }
}

/// A gene with its imputed profile as JSON.
type ImputedJson = (crate::genome::GeneId, String);

/// A question to the store for the versions of its datasets.
type Asking = JoinHandle<Result<BTreeMap<String, String>, StoreError>>;

/// The dataset versions and imputation keys of what is to be served.
fn pairs(loaded: &Loaded) -> BTreeSet<(String, String)> {
    let versions = loaded.references.iter().map(|reference| &reference.dataset().version);
    versions
        .flat_map(|version| loaded.models.iter().map(|model| (version.clone(), model.item.imputation_key())))
        .collect()
}

impl Background {
    /// Takes charge of the tasks.
    #[must_use]
    pub fn new(saving: JoinHandle<()>, watching: JoinHandle<()>) -> Self {
        Self { saving, watching }
    }

    /// Stops looking for changes and lets what waits be saved, for a short while.
    pub async fn end(self) {
        self.watching.abort();
        if tokio::time::timeout(Duration::from_secs(5), self.saving).await.is_err() {
            tracing::warn!("some imputed profiles were not saved: they will be imputed again");
        }
    }
}

async fn save(store: Arc<Store>, mut saves: mpsc::Receiver<Save>) {
    while let Some(Save { dataset_version, imputation_key, profiles, meters }) = saves.recv().await {
        let count = profiles.len() as u64;
        if let Err(error) = store.save_imputed(&dataset_version, &imputation_key, &profiles).await {
            meters.dropped.inc_by(count);
            tracing::warn!(%error, profiles = profiles.len(), "imputed profiles were not saved");
        } else {
            meters.saved.inc_by(count);
        }
    }
}
