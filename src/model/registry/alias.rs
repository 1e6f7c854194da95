//! Which version a model's name alone means: the one that the file `models/<name>/default` names, else the newest.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::{ModelFolder, fault, io, list, write_file};
use crate::model::ModelError;
use crate::model::shelf::split_label;

/// The file beside a model's versions that names its default one.
pub const DEFAULT: &str = "default";

/// The file while it is written; folders and files whose names start with a dot are never read.
const PARTIAL: &str = ".default.partial";

/// Bytes that a version's name may have, which a folder's name may have, too.
const LONGEST_NAME: usize = 255;

/// Returns the version that a model's `default` file names; `None` where there is no such file.
///
/// # Errors
/// The file cannot be read or does not hold one version's name.
pub fn default_version(models: &Path, name: &str) -> Result<Option<String>, ModelError> {
    let path = models.join(name).join(DEFAULT);
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(io(&path, source)),
    };
    let version = text.trim();
    let plain = |c: char| !c.is_whitespace() && !c.is_control() && !matches!(c, '/' | '\\' | '@');
    if version.is_empty() || version.len() > LONGEST_NAME || version.starts_with('.') || !version.chars().all(plain) {
        return Err(fault(DEFAULT, "does not hold the name of one version".to_owned()));
    }
    Ok(Some(version.to_owned()))
}

/// Sets the version that a model's name alone means, whole or not at all; `None` makes it the newest one again.
///
/// # Errors
/// The file cannot be written.
pub fn set_default(models: &Path, name: &str, version: Option<&str>) -> Result<(), ModelError> {
    let folder = models.join(name);
    let path = folder.join(DEFAULT);
    match version {
        Some(version) => {
            let partial = folder.join(PARTIAL);
            write_file(&partial, format!("{version}\n").as_bytes())?;
            fs::rename(&partial, &path).map_err(|source| io(&path, source))?;
        }
        None => match fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(io(&path, error)),
            _ => {}
        },
    }
    // The rename itself has to survive a power cut.
    fs::File::open(&folder).and_then(|folder| folder.sync_all()).map_err(|source| io(&folder, source))
}

/// Finds a model by `NAME`, which means its default version, or by `NAME@VERSION`.
///
/// # Errors
/// There is no such model, its `default` file names a version that is not there, or a folder cannot be read.
pub fn find(models: &Path, named: &str) -> Result<ModelFolder, ModelError> {
    let (name, version) = split_label(named);
    let folders = list(models)?;
    let of_name: Vec<&ModelFolder> = folders.iter().filter(|folder| folder.name == name).collect();
    let there = match (of_name.is_empty(), version) {
        (true, _) => {
            let mut names: Vec<String> = folders.iter().map(|folder| folder.name.clone()).collect();
            names.dedup();
            names
        }
        (false, None) => return default_of(models, &of_name),
        (false, Some(version)) => {
            if let Some(found) = of_name.iter().find(|folder| folder.version == version) {
                return Ok((*found).clone());
            }
            of_name.iter().map(|folder| folder.label()).collect()
        }
    };
    Err(ModelError::NotThere { named: named.to_owned(), folder: models.display().to_string(), there })
}

/// Lists the default version of every model below `models`, sorted by name.
///
/// # Errors
/// A `default` file names a version that is not there, or a folder cannot be read.
pub fn defaults(models: &Path) -> Result<Vec<ModelFolder>, ModelError> {
    let folders = list(models)?;
    let mut by_name: BTreeMap<&str, Vec<&ModelFolder>> = BTreeMap::new();
    for folder in &folders {
        by_name.entry(&folder.name).or_default().push(folder);
    }
    by_name.values().map(|versions| default_of(models, versions)).collect()
}

/// The default one of a model's versions, which come from old to new.
fn default_of(models: &Path, versions: &[&ModelFolder]) -> Result<ModelFolder, ModelError> {
    let named = versions.last().map(|newest| default_version(models, &newest.name)).transpose()?.flatten();
    let found = match &named {
        Some(named) => versions.iter().find(|folder| folder.version == *named),
        None => versions.last(),
    };
    found.map(|folder| (*folder).clone()).ok_or_else(|| not_there(named.as_deref().unwrap_or_default()))
}

/// The fault of a `default` file that names a version which is not there.
pub(crate) fn not_there(version: &str) -> ModelError {
    fault(DEFAULT, format!("names version {version}, which is not there"))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{card, files};
    use super::super::write;
    use super::*;

    fn models(versions: &[&str]) -> tempfile::TempDir {
        let models = tempfile::tempdir().unwrap();
        for version in versions {
            write(models.path(), &mut card(version), &files()).unwrap();
        }
        models
    }

    fn found(models: &Path, named: &str) -> Result<String, String> {
        find(models, named).map(|folder| folder.label()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_name_alone_means_the_newest_version_until_another_is_set() {
        let models = models(&["9", "10"]);
        let models = models.path();
        assert_eq!(found(models, "one").unwrap(), "one@10");
        set_default(models, "one", Some("9")).unwrap();
        assert_eq!(default_version(models, "one").unwrap().as_deref(), Some("9"));
        assert_eq!(found(models, "one").unwrap(), "one@9");
        assert_eq!(defaults(models).unwrap()[0].label(), "one@9");
        assert_eq!(found(models, "one@10").unwrap(), "one@10");
        assert_eq!(list(models).unwrap().len(), 2, "the file is no version");
        for _ in 0..2 {
            set_default(models, "one", None).unwrap();
            assert_eq!(found(models, "one").unwrap(), "one@10");
        }
    }

    #[test]
    fn what_is_not_there_is_said_with_what_is() {
        let models = models(&["1", "2"]);
        let models = models.path();
        assert!(found(models, "two").unwrap_err().ends_with("there are: one"));
        assert!(found(models, "one@3").unwrap_err().ends_with("there are: one@1, one@2"));
        set_default(models, "one", Some("3")).unwrap();
        assert!(found(models, "one").unwrap_err().contains("names version 3, which is not there"));
        assert!(defaults(models).is_err());
        for odd in ["", "../2", "1\n2", ".x", &"9".repeat(300)] {
            fs::write(models.join("one").join(DEFAULT), odd).unwrap();
            assert!(found(models, "one").unwrap_err().contains("the name of one version"), "{odd}");
        }
    }
}
