//! The folder of models: `models/<name>/<version>/manifest.json` and the files that it names by their SHA-256.
//!
//! A folder is served only when every file has the digest that the manifest says, every tensor has its name and shape,
//! and the golden sample comes out as recorded. A new folder is written beside its place and moved there whole.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::ModelError;
use super::golden::{self, Golden};
use super::manifest::{Card, SCHEMA};
use super::method::{self, StoredModel};

/// The manifest's file name.
pub const MANIFEST: &str = "manifest.json";

/// A model that was read from its folder and checked.
pub struct LoadedModel {
    /// The card.
    pub card: Card,
    /// `sha256:` and the manifest's digest; the manifest names the digests of all other files.
    pub digest: String,
    /// The model.
    pub model: Box<dyn StoredModel>,
}

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
    found.sort_by(|a, b| (&a.name, number(&a.version), &a.version).cmp(&(&b.name, number(&b.version), &b.version)));
    Ok(found)
}

/// Lists the newest version of every model below `models`.
///
/// # Errors
/// A folder cannot be read.
pub fn newest(models: &Path) -> Result<Vec<ModelFolder>, ModelError> {
    let by_name: BTreeMap<String, ModelFolder> =
        list(models)?.into_iter().map(|folder| (folder.name.clone(), folder)).collect();
    Ok(by_name.into_values().collect())
}

fn number(version: &str) -> u64 {
    version.parse().unwrap_or(0)
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

/// Loads a model's folder and checks everything that can be checked.
///
/// # Errors
/// A file is missing or altered, the manifest is of another schema, a tensor does not fit, or the golden sample comes
/// out otherwise.
pub fn load(folder: &Path) -> Result<LoadedModel, ModelError> {
    let manifest = read(folder, MANIFEST)?;
    let card: Card = serde_json::from_slice(&manifest).map_err(|error| fault(MANIFEST, error.to_string()))?;
    if card.schema != SCHEMA {
        return Err(fault(MANIFEST, format!("has schema {}, this program reads {SCHEMA}", card.schema)));
    }
    // Two folders with one name would stand for each other: a copied folder is not another model.
    let named = |path: Option<&Path>| path.and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned());
    let place = (named(folder.parent()), named(Some(folder)));
    if place != (Some(card.name.clone()), Some(card.version.clone())) {
        let reason = format!("is of {}@{}, which is not its folder's name", card.name, card.version);
        return Err(fault(MANIFEST, reason));
    }
    let mut files = BTreeMap::new();
    for (name, expected) in &card.files {
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
    let model = method::build(&card, &files)?;
    let golden = files.get(golden::FILE).ok_or_else(|| fault(golden::FILE, "is not in the manifest".to_owned()))?;
    let golden: Golden = serde_json::from_slice(golden).map_err(|error| fault(golden::FILE, error.to_string()))?;
    golden.check(&*model)?;
    Ok(LoadedModel { card, digest: format!("sha256:{}", sha256(&manifest)), model })
}

/// Writes a model below `models`, whole or not at all, and returns its folder.
///
/// `card.files` is filled in here; the golden sample has to be among `files`.
///
/// # Errors
/// The version is there already, or a file cannot be written.
pub fn write(models: &Path, card: &mut Card, files: &BTreeMap<String, Vec<u8>>) -> Result<PathBuf, ModelError> {
    card.files = files.iter().map(|(name, bytes)| (name.clone(), sha256(bytes))).collect();
    let parent = models.join(&card.name);
    let place = parent.join(&card.version);
    if place.exists() {
        return Err(fault(MANIFEST, format!("version {} of {} is there already", card.version, card.name)));
    }
    let partial = parent.join(format!(".{}.partial", card.version));
    if partial.exists() {
        fs::remove_dir_all(&partial).map_err(|source| io(&partial, source))?;
    }
    fs::create_dir_all(&partial).map_err(|source| io(&partial, source))?;
    for (name, bytes) in files {
        write_file(&partial.join(name), bytes)?;
    }
    let mut manifest = serde_json::to_vec_pretty(&card).map_err(|error| fault(MANIFEST, error.to_string()))?;
    manifest.push(b'\n');
    write_file(&partial.join(MANIFEST), &manifest)?;
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
    let newest = versions.iter().map(|(version, _)| number(version)).max().unwrap_or(0);
    Ok((newest + 1).to_string())
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

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"))
}
