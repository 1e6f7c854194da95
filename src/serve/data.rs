//! Where the service's data comes from: the store's datasets and imputed profiles, the folder of models.
//!
//! The store is asked at start and then looked at every few seconds for a dataset that changed; no request waits for
//! it, and one that is away costs readiness and no answer.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::{Event, Loaded};
use crate::http::state::{Save, Saver};
use crate::model::expression::ServedGenotypeModel;
use crate::model::method::StoredModel;
use crate::model::registry::{self, Loaded as LoadedFolder, ModelFolder};
use crate::model::served::ServedModel;
use crate::reference::Reference;
use crate::store::Store;

/// Batches of imputed profiles that may wait for the store.
const SAVE_QUEUE: usize = 256;

/// The store and the models as the service reads them.
#[derive(Debug, Clone)]
pub struct DataSource {
    store: Arc<Store>,
    models: Vec<Arc<ServedModel>>,
    expression_models: Vec<Arc<ServedGenotypeModel>>,
    saver: Saver,
}

/// What runs beside the service: saving and looking for changes.
#[derive(Debug)]
pub struct Background {
    saving: JoinHandle<()>,
    watching: JoinHandle<()>,
}

impl DataSource {
    /// Checks the schema, loads every model, and starts to save imputed profiles.
    ///
    /// # Errors
    /// The schema is not the program's, or a model does not pass its checks.
    pub async fn open(store: Store, models_dir: PathBuf) -> anyhow::Result<(Self, JoinHandle<()>)> {
        store.require_current_schema().await?;
        let store = Arc::new(store);
        let (models, expression_models) = tokio::task::spawn_blocking(move || load_models(&models_dir)).await??;
        let (saver, saves) = mpsc::channel(SAVE_QUEUE);
        let saving = tokio::spawn(save(Arc::clone(&store), saves));
        Ok((Self { store, models, expression_models, saver }, saving))
    }

    /// Loads every dataset with the profiles that were imputed before, and the versions that this is.
    ///
    /// # Errors
    /// The store fails.
    pub async fn load(&self) -> anyhow::Result<(Loaded, BTreeMap<String, String>)> {
        let versions = self.store.versions().await?;
        let mut references: Vec<Arc<Reference>> = Vec::with_capacity(versions.len());
        let mut imputed = BTreeMap::new();
        for name in versions.keys() {
            // One that was removed since the names were read is simply not served.
            let Some(reference) = self.store.load_reference(name).await? else { continue };
            let version = reference.dataset().version.clone();
            for model in &self.models {
                let key = model.imputation_key();
                let profiles = self.store.imputed_all(&version, &key).await?;
                imputed.insert((version.clone(), key), profiles.into_iter().collect());
            }
            references.push(Arc::new(reference));
        }
        let models = self.models.clone();
        let expression_models = self.expression_models.clone();
        let saver = Some(self.saver.clone());
        Ok((Loaded { references, models, expression_models, imputed, saver }, versions))
    }

    /// Looks for changed datasets until the service is gone.
    #[must_use]
    pub fn watch(
        self,
        mut known: BTreeMap<String, String>,
        every: Duration,
        events: mpsc::Sender<Event>,
    ) -> JoinHandle<()> {
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(every).await;
                let event = match self.store.versions().await {
                    Ok(versions) if versions == known => Event::Store { answers: true },
                    Ok(_) => match self.load().await {
                        Ok((loaded, versions)) => {
                            known = versions;
                            Event::Changed(loaded)
                        }
                        Err(error) => {
                            tracing::error!(error = format!("{error:#}"), "a changed dataset could not be read");
                            Event::Store { answers: false }
                        }
                    },
                    Err(error) => {
                        tracing::error!(%error, "the store does not answer; the loaded datasets are served on");
                        Event::Store { answers: false }
                    }
                };
                if events.send(event).await.is_err() {
                    return;
                }
            }
        })
    }
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

/// The models of both kinds.
type BothKinds = (Vec<Arc<ServedModel>>, Vec<Arc<ServedGenotypeModel>>);

/// Loads the newest version of every model.
fn load_models(folder: &std::path::Path) -> anyhow::Result<BothKinds> {
    let (mut models, mut expression_models) = (Vec::new(), Vec::new());
    let newest = registry::newest(folder)?;
    if newest.is_empty() {
        tracing::warn!(folder = %folder.display(), "there is no model: nothing is imputed");
    }
    for found in newest {
        match load_model(&found)? {
            EitherKind::Profile(model) => models.push(model),
            EitherKind::Genotype(model) => expression_models.push(model),
        }
    }
    Ok((models, expression_models))
}

/// A model of either kind.
#[derive(Debug)]
pub enum EitherKind {
    /// It imputes tissue profiles.
    Profile(Arc<ServedModel>),
    /// It predicts expression from genotypes.
    Genotype(Arc<ServedGenotypeModel>),
}

/// Loads a model as it is served.
///
/// # Errors
/// It does not pass its checks.
pub fn load_model(found: &ModelFolder) -> anyhow::Result<EitherKind> {
    let loaded = registry::load(&found.path)
        .with_context(|| format!("model {}@{} in {}", found.name, found.version, found.path.display()))?;
    Ok(match loaded {
        LoadedFolder::Profile(loaded) => EitherKind::Profile(Arc::new(ServedModel {
            card: loaded.card,
            digest: loaded.digest,
            model: Arc::<dyn StoredModel>::from(loaded.model),
        })),
        LoadedFolder::Genotype(loaded) => EitherKind::Genotype(Arc::new(loaded)),
    })
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
