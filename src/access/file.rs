//! A file of keys: JSON, readable by its owner alone, written whole or not at all.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::Seconds;
use super::record::{KeyName, KeyRecord};

/// What goes wrong with a file of keys.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// The file cannot be read or written.
    #[error("cannot {task} the file of keys {}", path.display())]
    Io {
        /// What was being done.
        task: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The file is not what it should be.
    #[error("the file of keys {} makes no sense", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: serde_json::Error,
    },
    /// Two keys have one name.
    #[error("key {0} is there twice")]
    Twice(KeyName),
    /// There is a key of the name already.
    #[error("there is a key {0} already: revoke it and take another name, so that log lines stay clear")]
    Taken(KeyName),
    /// There is no key of the name.
    #[error("there is no key {0}")]
    Unknown(KeyName),
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    keys: Vec<KeyRecord>,
}

/// Reads the keys of a file.
///
/// # Errors
/// The file is missing or malformed, or a name is there twice.
pub fn read(path: &Path) -> Result<Vec<KeyRecord>, KeyFileError> {
    let bytes = fs::read(path).map_err(io("read", path))?;
    let content: Content =
        serde_json::from_slice(&bytes).map_err(|source| KeyFileError::Malformed { path: path.to_owned(), source })?;
    let mut names = BTreeSet::new();
    match content.keys.iter().find(|key| !names.insert(&key.name)) {
        Some(twice) => Err(KeyFileError::Twice(twice.name.clone())),
        None => Ok(content.keys),
    }
}

/// Adds a key; makes the file where it is missing.
///
/// # Errors
/// The name is taken, or the file cannot be read or written.
pub fn add(path: &Path, record: KeyRecord) -> Result<(), KeyFileError> {
    let _alone = lock(path)?;
    let mut keys = if path.exists() { read(path)? } else { Vec::new() };
    if keys.iter().any(|key| key.name == record.name) {
        return Err(KeyFileError::Taken(record.name));
    }
    keys.push(record);
    write(path, keys)
}

/// Revokes a key; one that was revoked before keeps its time.
///
/// # Errors
/// There is no key of the name, or the file cannot be read or written.
pub fn revoke(path: &Path, name: &KeyName, now: Seconds) -> Result<(), KeyFileError> {
    let _alone = lock(path)?;
    let mut keys = read(path)?;
    let key = keys.iter_mut().find(|key| key.name == *name).ok_or_else(|| KeyFileError::Unknown(name.clone()))?;
    key.revoked_at_seconds.get_or_insert(now);
    write(path, keys)
}

fn write(path: &Path, keys: Vec<KeyRecord>) -> Result<(), KeyFileError> {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(".partial");
    let partial = path.with_file_name(name);
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    // Names, digests and numbers: they can be written.
    let text = serde_json::to_vec_pretty(&Content { keys })
        .map_err(|source| KeyFileError::Malformed { path: path.to_owned(), source })?;
    let written = options.open(&partial).and_then(|mut file| {
        keep_owner(path, &file)?;
        file.write_all(&text)?;
        file.sync_all()
    });
    written.and_then(|()| fs::rename(&partial, path)).map_err(io("write", path))
}

/// Holds off other commands until it is dropped: two at once would lose what one of them has written.
#[cfg(unix)]
fn lock(path: &Path) -> Result<fs::File, KeyFileError> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let folder = fs::File::open(folder).map_err(io("lock", path))?;
    folder.lock().map_err(io("lock", path))?;
    Ok(folder)
}

/// Folders cannot be locked here: commands have to come one after another.
#[cfg(not(unix))]
fn lock(_: &Path) -> Result<(), KeyFileError> {
    Ok(())
}

/// Gives a new file the owner and the mode of the one whose place it takes: the service may run as another user than
/// whoever makes a key.
fn keep_owner(path: &Path, file: &fs::File) -> std::io::Result<()> {
    #[cfg(unix)]
    if let Ok(before) = fs::metadata(path) {
        use std::os::unix::fs::{MetadataExt as _, fchown};
        fchown(file, Some(before.uid()), Some(before.gid()))?;
        file.set_permissions(before.permissions())?;
    }
    #[cfg(not(unix))]
    let _ = (path, file);
    Ok(())
}

fn io(task: &'static str, path: &Path) -> impl Fn(std::io::Error) -> KeyFileError {
    let path = path.to_owned();
    move |source| KeyFileError::Io { task, path: path.clone(), source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::key::KeyDigest;

    fn record(name: &str) -> KeyRecord {
        KeyRecord {
            name: name.parse().unwrap(),
            sha256: KeyDigest::of(name),
            scopes: "predict,read".parse().unwrap(),
            created_at_seconds: 1,
            expires_at_seconds: None,
            revoked_at_seconds: None,
            requests_per_minute: None,
            samples_per_day: None,
        }
    }

    #[test]
    fn keys_are_added_and_revoked_and_nobody_else_reads_them() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.json");
        add(&path, record("ada")).unwrap();
        add(&path, record("bob")).unwrap();
        assert!(matches!(add(&path, record("ada")), Err(KeyFileError::Taken(name)) if name.as_str() == "ada"));
        revoke(&path, &"ada".parse().unwrap(), 7).unwrap();
        revoke(&path, &"ada".parse().unwrap(), 9).unwrap();
        assert!(matches!(revoke(&path, &"eve".parse().unwrap(), 7), Err(KeyFileError::Unknown(_))));
        let keys = read(&path).unwrap();
        assert_eq!(keys, [KeyRecord { revoked_at_seconds: Some(7), ..record("ada") }, record("bob")]);
        #[cfg(unix)]
        assert_eq!(std::os::unix::fs::PermissionsExt::mode(&path.metadata().unwrap().permissions()) & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing else is left behind");
    }

    #[test]
    fn a_file_that_makes_no_sense_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.json");
        assert!(read(&path).unwrap_err().to_string().contains("keys.json"));
        fs::write(&path, r#"{"keys": [{"name": "ada"}]}"#).unwrap();
        assert!(matches!(read(&path), Err(KeyFileError::Malformed { .. })));
        let one = serde_json::to_string(&record("ada")).unwrap();
        fs::write(&path, format!(r#"{{"keys": [{one}, {one}]}}"#)).unwrap();
        assert!(matches!(read(&path), Err(KeyFileError::Twice(_))));
    }
}
