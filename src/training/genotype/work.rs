//! The genes that are finished, on disk: one line a gene, so that an interrupted run loses at most the lines under way.
//!
//! A folder belongs to one cohort, plan and version of this program: its name is their digest. A line that was cut off
//! is left out and trained again.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use super::{GeneRecord, GenotypeTrainingError};

/// Why the folder cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot {what} {path}")]
pub struct WorkError {
    what: &'static str,
    path: String,
    #[source]
    source: std::io::Error,
}

fn fault(what: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> WorkError {
    let path = path.display().to_string();
    move |source| WorkError { what, path, source }
}

/// A folder of finished genes.
#[derive(Debug, Clone)]
pub struct Work {
    folder: PathBuf,
}

impl Work {
    /// Opens or makes the folder that belongs to `key` below `parent`.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn open(parent: &Path, key: &impl Serialize) -> Result<Self, WorkError> {
        let text = serde_json::to_vec(key).map_err(|error| fault("name a folder in", parent)(error.into()))?;
        let digest = Sha256::digest(&text).iter().take(8).fold(0u64, |number, byte| number << 8 | u64::from(*byte));
        let folder = parent.join(format!("{digest:016x}"));
        private(&folder).map_err(fault("make the folder", &folder))?;
        Ok(Self { folder })
    }

    /// Returns the folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Opens the log of one stage of one round.
    ///
    /// # Errors
    /// It cannot be opened.
    pub(super) fn log(&self, key: &str) -> Result<Log, WorkError> {
        let path = self.folder.join(format!("{}.jsonl", escaped(key)));
        let file = OpenOptions::new().create(true).append(true).open(&path).map_err(fault("open", &path))?;
        Ok(Log { path, file: Mutex::new(file) })
    }

    /// Returns what was made under a name before, or makes it and keeps it.
    ///
    /// # Errors
    /// Making fails, or it cannot be kept.
    pub(super) fn once<T: Serialize + DeserializeOwned>(
        &self,
        key: &str,
        make: impl FnOnce() -> Result<T, GenotypeTrainingError>,
    ) -> Result<T, GenotypeTrainingError> {
        let path = self.folder.join(format!("{}.json", escaped(key)));
        if let Some(kept) = fs::read(&path).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()) {
            return Ok(kept);
        }
        let made = make()?;
        let write = || -> std::io::Result<()> {
            let partial = path.with_extension("partial");
            fs::write(&partial, serde_json::to_vec(&made)?)?;
            fs::rename(&partial, &path)
        };
        write().map_err(fault("write", &path))?;
        Ok(made)
    }
}

/// Makes a folder that nobody else may look into: it holds what people are predicted to have.
fn private(folder: &Path) -> std::io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.recursive(true).create(folder)
}

/// A key as a file's name: populations may be called anything.
fn escaped(key: &str) -> String {
    use std::fmt::Write as _;
    key.bytes().fold(String::new(), |mut name, byte| {
        if byte.is_ascii_alphanumeric() || b"._-".contains(&byte) {
            name.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(name, "%{byte:02X}");
        }
        name
    })
}

/// The finished genes of one stage.
pub(super) struct Log {
    path: PathBuf,
    file: Mutex<File>,
}

impl Log {
    /// Returns the genes that are there, by their places.
    pub(super) fn read(&self) -> Result<BTreeMap<usize, GeneRecord>, WorkError> {
        let file = File::open(&self.path).map_err(fault("open", &self.path))?;
        let mut genes = BTreeMap::new();
        for line in BufReader::new(file).split(b'\n') {
            let line = line.map_err(fault("read", &self.path))?;
            if let Ok(record) = serde_json::from_slice::<GeneRecord>(&line) {
                genes.insert(record.gene, record);
            }
        }
        // A line that was cut off must not swallow the next one.
        self.write(b"\n")?;
        Ok(genes)
    }

    /// Adds a gene.
    pub(super) fn append(&self, record: &GeneRecord) -> Result<(), WorkError> {
        let mut line = serde_json::to_vec(record).map_err(|error| fault("write", &self.path)(error.into()))?;
        line.push(b'\n');
        self.write(&line)
    }

    fn write(&self, bytes: &[u8]) -> Result<(), WorkError> {
        // A panic in another thread leaves whole lines behind.
        let mut file = self.file.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        file.write_all(bytes).map_err(fault("write", &self.path))
    }
}
