//! The folder of models as the service keeps it: which versions are in memory, and what a new look at the folder changes.
//!
//! Plain files and memory; whoever calls it must be allowed to block. Invariants: a version is in memory only if its
//! folder passed every check; one that is in memory stays as it is, and goes on being served, until a changed folder of
//! its name passes the checks again or the folder is gone.

use std::collections::BTreeMap;
use std::error::Error as _;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use anyhow::{Context as _, bail};

use crate::http::admin::Refusal;
use crate::model::ModelError;
use crate::model::expression::ServedGenotypeModel;
use crate::model::method::StoredModel;
use crate::model::registry::{self, Loaded, ModelFolder};
use crate::model::served::ServedModel;
use crate::model::shelf::{Shelf, label};

/// A model of either kind as it is served.
#[derive(Debug, Clone)]
pub enum EitherKind {
    /// It imputes tissue profiles.
    Profile(Arc<ServedModel>),
    /// It predicts expression from genotypes.
    Genotype(Arc<ServedGenotypeModel>),
}

impl EitherKind {
    fn digest(&self) -> &str {
        match self {
            Self::Profile(model) => &model.digest,
            Self::Genotype(model) => &model.digest,
        }
    }
}

impl From<Loaded> for EitherKind {
    fn from(loaded: Loaded) -> Self {
        match loaded {
            Loaded::Profile(loaded) => Self::Profile(Arc::new(ServedModel {
                card: loaded.card,
                digest: loaded.digest,
                model: Arc::<dyn StoredModel>::from(loaded.model),
            })),
            Loaded::Genotype(loaded) => Self::Genotype(Arc::new(loaded)),
        }
    }
}

/// Loads a model as it is served.
///
/// # Errors
/// It does not pass its checks.
pub fn load_model(found: &ModelFolder) -> anyhow::Result<EitherKind> {
    let loaded =
        registry::load(&found.path).with_context(|| format!("model {} in {}", found.label(), found.path.display()))?;
    Ok(loaded.into())
}

/// How closely a look goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// Only folders whose files have other names, lengths or times than before are read.
    Changed,
    /// Every folder is read and checked whole.
    Everything,
}

/// What a look has changed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Looked {
    /// Versions that were loaded, replaced, or made what their name alone means.
    pub changed: Vec<String>,
    /// Versions that have been let go.
    pub removed: Vec<String>,
    /// How many versions stay as they were.
    pub unchanged: usize,
    /// Folders that do not pass their checks.
    pub refused: Vec<Refusal>,
}

impl Looked {
    /// Returns whether something else is to be served now.
    #[must_use]
    pub fn has_changes(&self) -> bool {
        !self.changed.is_empty() || !self.removed.is_empty()
    }
}

/// The names, lengths and times of a folder's files: cheap to take, and another one as soon as a file is written.
type Fingerprint = Vec<(String, u64, Option<SystemTime>)>;

/// A version's name and version.
type Place = (String, String);

#[derive(Debug, Clone)]
struct Held {
    fingerprint: Fingerprint,
    model: EitherKind,
}

#[derive(Debug, Clone)]
struct Refused {
    fingerprint: Option<Fingerprint>,
    reason: String,
}

/// The versions that are in memory, and the folder that they come from.
#[derive(Debug)]
pub struct ModelLibrary {
    folder: PathBuf,
    keep: usize,
    held: BTreeMap<Place, Held>,
    refused: BTreeMap<Place, Refused>,
    /// By name, the version that was set as its default and is held.
    set: BTreeMap<String, String>,
}

impl ModelLibrary {
    /// Loads the `keep` newest versions of every model below a folder, and the versions that defaults name; also gives
    /// the defaults that are refused.
    ///
    /// # Errors
    /// The folder cannot be read, or one of these versions does not pass its checks.
    pub fn open(folder: PathBuf, keep: usize) -> anyhow::Result<(Self, Vec<Refusal>)> {
        let mut library = Self { folder, keep, held: BTreeMap::new(), refused: BTreeMap::new(), set: BTreeMap::new() };
        let looked = library.look(Depth::Everything)?;
        if let Some(((name, version), refused)) = library.refused.iter().next() {
            bail!("model {} in {}: {}", label(name, version), library.folder.display(), refused.reason);
        }
        Ok((library, looked.refused))
    }

    /// Looks at the folder anew.
    ///
    /// # Errors
    /// The folder of models cannot be read; everything stays as it was.
    pub fn look(&mut self, depth: Depth) -> Result<Looked, ModelError> {
        let mut by_name: BTreeMap<String, Vec<ModelFolder>> = BTreeMap::new();
        for folder in registry::list(&self.folder)? {
            by_name.entry(folder.name.clone()).or_default().push(folder);
        }
        let before = self.defaults();
        let mut held = BTreeMap::new();
        let mut refused = BTreeMap::new();
        let mut looked = Looked::default();
        let mut set = BTreeMap::new();
        for (name, versions) in &by_name {
            let wish = registry::default_version(&self.folder, name);
            let wanted = wish.as_ref().ok().and_then(Option::as_deref);
            let mut kept = 0;
            for (at, folder) in versions.iter().rev().enumerate() {
                let place = (name.clone(), folder.version.clone());
                // In the place of a version that is refused an older one stays, where it is in memory.
                let stays = kept < self.keep && self.held.contains_key(&place);
                let is_wanted = wanted == Some(folder.version.as_str());
                if at >= self.keep && !is_wanted && !stays {
                    continue;
                }
                let (one, refusal) = self.take(folder, &place, depth);
                if let Some(refusal) = refusal {
                    looked.refused.push(Refusal { model: folder.label(), reason: refusal.reason.clone() });
                    refused.insert(place.clone(), refusal);
                }
                let Some(one) = one else { continue };
                kept += 1;
                let same = self.held.get(&place).is_some_and(|before| before.model.digest() == one.model.digest());
                if same {
                    looked.unchanged += 1;
                } else {
                    looked.changed.push(folder.label());
                }
                held.insert(place, one);
            }
            let served = before.get(name).map(String::as_str);
            let (default, refusal) = choose(name, wish, served, &held);
            looked.refused.extend(refusal);
            set.extend(default.map(|version| (name.clone(), version)));
        }
        let gone = self.held.keys().filter(|place| !held.contains_key(*place));
        looked.removed = gone.map(|(name, version)| label(name, version)).collect();
        (self.held, self.refused, self.set) = (held, refused, set);
        for (name, version) in self.defaults() {
            let label = label(&name, &version);
            // A version that came and is the default at once has changed once.
            if before.get(&name).is_some_and(|before| *before != version) && !looked.changed.contains(&label) {
                looked.unchanged -= 1;
                looked.changed.push(label);
            }
        }
        looked.changed.sort();
        looked.refused.sort();
        Ok(looked)
    }

    /// What is to be in memory of a folder that is wanted, and why its content is not.
    fn take(&self, folder: &ModelFolder, place: &Place, depth: Depth) -> (Option<Held>, Option<Refused>) {
        let before = self.held.get(place);
        let fingerprint = match fingerprint(&folder.path) {
            Ok(fingerprint) => fingerprint,
            Err(error) => {
                let reason = format!("its folder cannot be read: {error}");
                return (before.cloned(), Some(Refused { fingerprint: None, reason }));
            }
        };
        if depth == Depth::Changed {
            let refused = self.refused.get(place).filter(|one| one.fingerprint.as_ref() == Some(&fingerprint));
            if let Some(refused) = refused {
                return (before.cloned(), Some(refused.clone()));
            }
            // What was refused is looked at again even where it is what it was when it was loaded.
            if let Some(before) = before.filter(|one| one.fingerprint == fingerprint) {
                return (Some(before.clone()), None);
            }
        }
        // A model's own mistake must not end the looks at all others.
        let loaded = catch_unwind(AssertUnwindSafe(|| registry::load(&folder.path)));
        let reason = match loaded {
            Ok(Ok(loaded)) => {
                let same = before.filter(|before| before.model.digest() == loaded.digest());
                let model = same.map_or_else(|| loaded.into(), |before| before.model.clone());
                return (Some(Held { fingerprint, model }), None);
            }
            Ok(Err(error)) => reason(&error),
            Err(_) => "it makes the program fail while it is loaded".to_owned(),
        };
        (before.cloned(), Some(Refused { fingerprint: Some(fingerprint), reason }))
    }

    /// By name, the version that the name alone means.
    fn defaults(&self) -> BTreeMap<String, String> {
        let mut shelf = Shelf::default();
        for (name, version) in self.held.keys() {
            shelf.insert(name, version, ());
        }
        for (name, version) in &self.set {
            shelf.set_default(name, version);
        }
        let defaults = shelf.iter().filter(|one| one.is_default);
        defaults.map(|one| (one.name.to_owned(), one.version.to_owned())).collect()
    }

    /// Returns the models of tissue profiles.
    #[must_use]
    pub fn models(&self) -> Shelf<Arc<ServedModel>> {
        self.shelf(|model| match model {
            EitherKind::Profile(model) => Some(model),
            EitherKind::Genotype(_) => None,
        })
    }

    /// Returns the models of expression from genotypes.
    #[must_use]
    pub fn expression_models(&self) -> Shelf<Arc<ServedGenotypeModel>> {
        self.shelf(|model| match model {
            EitherKind::Profile(_) => None,
            EitherKind::Genotype(model) => Some(model),
        })
    }

    fn shelf<T>(&self, of_kind: impl Fn(&EitherKind) -> Option<&Arc<T>>) -> Shelf<Arc<T>> {
        let mut shelf = Shelf::default();
        for ((name, version), held) in &self.held {
            if let Some(model) = of_kind(&held.model) {
                shelf.insert(name, version, Arc::clone(model));
            }
        }
        for (name, version) in &self.set {
            if shelf.get(&label(name, version)).is_some() {
                shelf.set_default(name, version);
            }
        }
        shelf
    }
}

/// The version that is set as a name's default, from what its file says; where that is not held, what was served before
/// is, and there is a reason to tell.
fn choose(
    name: &str,
    wish: Result<Option<String>, ModelError>,
    served: Option<&str>,
    held: &BTreeMap<Place, Held>,
) -> (Option<String>, Option<Refusal>) {
    let is_held = |version: &str| held.contains_key(&(name.to_owned(), version.to_owned()));
    let (model, reason) = match wish {
        Ok(None) => return (None, None),
        Ok(Some(version)) if is_held(&version) => return (Some(version), None),
        Ok(Some(version)) => (label(name, &version), reason(&registry::not_there(&version))),
        Err(error) => (name.to_owned(), reason(&error)),
    };
    (served.filter(|version| is_held(version)).map(str::to_owned), Some(Refusal { model, reason }))
}

fn fingerprint(folder: &Path) -> std::io::Result<Fingerprint> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        // Follows links: what counts is what would be read.
        let about = fs::metadata(entry.path())?;
        if about.is_file() {
            files.push((entry.file_name().to_string_lossy().into_owned(), about.len(), about.modified().ok()));
        }
    }
    files.sort();
    Ok(files)
}

/// Why a folder is refused, without the server's own paths.
fn reason(error: &ModelError) -> String {
    if let ModelError::Io { path, source } = error {
        let file = Path::new(path).file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        return format!("file {file} cannot be read: {source}");
    }
    let mut reason = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        reason = format!("{reason}: {inner}");
        cause = inner.source();
    }
    reason
}

#[cfg(test)]
mod tests;
