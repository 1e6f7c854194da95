//! The folder of models: `models/<name>/<version>/manifest.json` and the files that it names by their SHA-256.
//!
//! A folder is served only when every file has the digest that the manifest says, every tensor has its name and shape,
//! and the golden sample comes out as recorded. A new folder is written beside its place and moved there whole. Both
//! kinds of models lie here: tissue profiles, and expression from genotypes, whose manifests say so by their `kind`.

mod alias;

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::ModelError;
use super::expression::{GenotypeCard, ServedGenotypeModel, card::KIND, stored};
use super::golden::{self, Golden};
use super::manifest::{Card, SCHEMA};
use super::method::{self, StoredModel};
use super::shelf::{age, label};
pub(crate) use alias::not_there;
pub use alias::{DEFAULT, default_version, defaults, find, set_default};

/// The manifest's file name.
pub const MANIFEST: &str = "manifest.json";

/// A profile model that was read from its folder and checked.
pub struct LoadedModel {
    /// The card.
    pub card: Card,
    /// `sha256:` and the manifest's digest; the manifest names the digests of all other files.
    pub digest: String,
    /// The model.
    pub model: Box<dyn StoredModel>,
}

/// A model of either kind that was read from its folder and checked.
pub enum Loaded {
    /// A model of tissue profiles.
    Profile(LoadedModel),
    /// A model of expression from genotypes.
    Genotype(ServedGenotypeModel),
}

impl Loaded {
    /// Returns the folder's digest.
    #[must_use]
    pub fn digest(&self) -> &str {
        match self {
            Self::Profile(model) => &model.digest,
            Self::Genotype(model) => &model.digest,
        }
    }

    /// Returns the model where it is one of tissue profiles.
    #[must_use]
    pub fn profile(self) -> Option<LoadedModel> {
        match self {
            Self::Profile(model) => Some(model),
            Self::Genotype(_) => None,
        }
    }

    /// Returns the model where it is one of expression from genotypes.
    #[must_use]
    pub fn genotype(self) -> Option<ServedGenotypeModel> {
        match self {
            Self::Profile(_) => None,
            Self::Genotype(model) => Some(model),
        }
    }
}

/// What every kind of card has.
pub trait Manifest: Serialize + DeserializeOwned {
    /// Returns the schema version.
    fn schema(&self) -> u32;
    /// Returns the model's name and version.
    fn place(&self) -> (&str, &str);
    /// Returns the other files of the folder with their SHA-256.
    fn files(&self) -> &BTreeMap<String, String>;
    /// Sets the other files of the folder with their SHA-256.
    fn set_files(&mut self, files: BTreeMap<String, String>);
}

macro_rules! manifest {
    ($card:ty) => {
        impl Manifest for $card {
            fn schema(&self) -> u32 {
                self.schema
            }

            fn place(&self) -> (&str, &str) {
                (&self.name, &self.version)
            }

            fn files(&self) -> &BTreeMap<String, String> {
                &self.files
            }

            fn set_files(&mut self, files: BTreeMap<String, String>) {
                self.files = files;
            }
        }
    };
}

manifest!(Card);
manifest!(GenotypeCard);

/// A model's place in the folder of models.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ModelFolder {
    /// The model's name.
    pub name: String,
    /// The version's name.
    pub version: String,
    /// The folder.
    pub path: PathBuf,
}

impl ModelFolder {
    /// Returns `name@version`.
    #[must_use]
    pub fn label(&self) -> String {
        label(&self.name, &self.version)
    }
}

/// Lists every version of every model below `models`, sorted by name and version; a missing folder has none.
///
/// # Errors
/// A folder cannot be read.
pub fn list(models: &Path) -> Result<Vec<ModelFolder>, ModelError> {
    let mut found = Vec::new();
    for name in folders(models)? {
        for version in folders(&name.1)? {
            if version.1.join(MANIFEST).is_file() {
                found.push(ModelFolder { name: name.0.clone(), version: version.0, path: version.1 });
            }
        }
    }
    found.sort_by(|a, b| (&a.name, age(&a.version)).cmp(&(&b.name, age(&b.version))));
    Ok(found)
}

fn folders(path: &Path) -> Result<Vec<(String, PathBuf)>, ModelError> {
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(io(path, source)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|source| io(path, source))?;
        // A name that is no text, or that starts with a dot (a folder still being written), is no model.
        if let Ok(name) = entry.file_name().into_string()
            && !name.starts_with('.')
            && entry.path().is_dir()
        {
            found.push((name, entry.path()));
        }
    }
    Ok(found)
}

/// Loads a model's folder, of either kind, and checks everything that can be checked.
///
/// # Errors
/// A file is missing or altered, the manifest is of another schema, a tensor does not fit, or the golden sample comes
/// out otherwise.
pub fn load(folder: &Path) -> Result<Loaded, ModelError> {
    let manifest = read(folder, MANIFEST)?;
    let digest = format!("sha256:{}", sha256(&manifest));
    match kind(&manifest)?.as_deref() {
        None => {
            let (card, files) = verified::<Card>(folder, &manifest)?;
            let model = method::build(&card, &files)?;
            let golden =
                files.get(golden::FILE).ok_or_else(|| fault(golden::FILE, "is not in the manifest".to_owned()))?;
            let golden: Golden =
                serde_json::from_slice(golden).map_err(|error| fault(golden::FILE, error.to_string()))?;
            golden.check(&*model)?;
            Ok(Loaded::Profile(LoadedModel { card, digest, model }))
        }
        Some(KIND) => {
            let (card, files) = verified::<GenotypeCard>(folder, &manifest)?;
            let model = stored::build(&card, &files)?;
            Ok(Loaded::Genotype(ServedGenotypeModel { card, digest, model }))
        }
        Some(other) => Err(fault(MANIFEST, format!("is of the kind '{other}', which this program does not know"))),
    }
}

/// Reads a folder's card without its weights, where the model is one of expression from genotypes.
///
/// # Errors
/// The manifest cannot be read.
pub fn genotype_card(folder: &Path) -> Result<Option<GenotypeCard>, ModelError> {
    let manifest = read(folder, MANIFEST)?;
    match kind(&manifest)?.as_deref() {
        Some(KIND) => card(&manifest).map(Some),
        _ => Ok(None),
    }
}

/// Returns what kind of model a manifest is of; profile models, the older kind, say nothing.
fn kind(manifest: &[u8]) -> Result<Option<String>, ModelError> {
    #[derive(Deserialize)]
    struct Kind {
        kind: Option<String>,
    }
    serde_json::from_slice::<Kind>(manifest).map(|found| found.kind).map_err(|e| fault(MANIFEST, e.to_string()))
}

fn card<C: Manifest>(manifest: &[u8]) -> Result<C, ModelError> {
    let card: C = serde_json::from_slice(manifest).map_err(|error| fault(MANIFEST, error.to_string()))?;
    if card.schema() != SCHEMA {
        return Err(fault(MANIFEST, format!("has schema {}, this program reads {SCHEMA}", card.schema())));
    }
    Ok(card)
}

/// The card and the bytes of the files, which have the digests that it names.
fn verified<C: Manifest>(folder: &Path, manifest: &[u8]) -> Result<(C, BTreeMap<String, Vec<u8>>), ModelError> {
    let card: C = card(manifest)?;
    let (name, version) = card.place();
    // Two folders with one name would stand for each other: a copied folder is not another model.
    let named = |path: Option<&Path>| path.and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned());
    if (named(folder.parent()).as_deref(), named(Some(folder)).as_deref()) != (Some(name), Some(version)) {
        return Err(fault(MANIFEST, format!("is of {name}@{version}, which is not its folder's name")));
    }
    let mut files = BTreeMap::new();
    for (name, expected) in card.files() {
        if name.contains(['/', '\\']) || name.starts_with('.') {
            return Err(fault(name, "is not a plain file name".to_owned()));
        }
        let bytes = read(folder, name)?;
        let found = sha256(&bytes);
        if found != *expected {
            return Err(fault(name, format!("has SHA-256 {found}, the manifest says {expected}")));
        }
        files.insert(name.clone(), bytes);
    }
    Ok((card, files))
}

/// Writes a model below `models`, whole or not at all, and returns its folder.
///
/// The card's files are filled in here; the golden sample has to be among `files`.
///
/// # Errors
/// The version is there already, or a file cannot be written.
pub fn write<C: Manifest>(
    models: &Path,
    card: &mut C,
    files: &BTreeMap<String, Vec<u8>>,
) -> Result<PathBuf, ModelError> {
    card.set_files(files.iter().map(|(name, bytes)| (name.clone(), sha256(bytes))).collect());
    let (name, version) = card.place();
    let parent = models.join(name);
    let place = parent.join(version);
    if place.exists() {
        return Err(fault(MANIFEST, format!("version {version} of {name} is there already")));
    }
    let partial = parent.join(format!(".{version}.partial"));
    if partial.exists() {
        fs::remove_dir_all(&partial).map_err(|source| io(&partial, source))?;
    }
    let mut manifest = serde_json::to_vec_pretty(&*card).map_err(|error| fault(MANIFEST, error.to_string()))?;
    manifest.push(b'\n');
    if let Err(error) = fill(&partial, files, &manifest) {
        // On a full disk it would be in everybody's way; what cannot be removed is hidden, and replaced by the next try.
        let _ = fs::remove_dir_all(&partial);
        return Err(error);
    }
    fs::rename(&partial, &place).map_err(|source| io(&place, source))?;
    // The rename itself has to survive a power cut.
    fs::File::open(&parent).and_then(|folder| folder.sync_all()).map_err(|source| io(&parent, source))?;
    Ok(place)
}

/// Returns the number that follows the newest version of `name`.
///
/// # Errors
/// A folder cannot be read.
pub fn next_version(models: &Path, name: &str) -> Result<String, ModelError> {
    let versions = folders(&models.join(name))?;
    let newest = versions.iter().map(|(version, _)| age(version).0).max().unwrap_or(0);
    Ok((newest + 1).to_string())
}

/// Makes a folder with a model's files.
fn fill(folder: &Path, files: &BTreeMap<String, Vec<u8>>, manifest: &[u8]) -> Result<(), ModelError> {
    fs::create_dir_all(folder).map_err(|source| io(folder, source))?;
    for (name, bytes) in files {
        write_file(&folder.join(name), bytes)?;
    }
    write_file(&folder.join(MANIFEST), manifest)
}

fn write_file(path: &Path, bytes: &[u8]) -> Result<(), ModelError> {
    let mut file = fs::File::create(path).map_err(|source| io(path, source))?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(|source| io(path, source))
}

fn read(folder: &Path, name: &str) -> Result<Vec<u8>, ModelError> {
    let path = folder.join(name);
    fs::read(&path).map_err(|source| io(&path, source))
}

fn io(path: &Path, source: std::io::Error) -> ModelError {
    ModelError::Io { path: path.display().to_string(), source }
}

fn fault(file: &str, reason: String) -> ModelError {
    ModelError::File { file: file.to_owned(), reason }
}

/// Returns a SHA-256 digest in lower-case hexadecimal.
#[must_use]
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"))
}

#[cfg(test)]
pub(crate) mod tests;
