use std::fs::File;

use super::*;
use crate::model::registry::tests::{card, files_of};
use crate::model::registry::{DEFAULT, MANIFEST, set_default, write};

/// A folder of models with versions of the model `one`, whose weight is the version.
struct Models(tempfile::TempDir);

impl Models {
    fn with(versions: &[&str]) -> Self {
        let models = Self(tempfile::tempdir().unwrap());
        for version in versions {
            models.add(version);
        }
        models
    }

    fn add(&self, version: &str) {
        write(self.0.path(), &mut card(version), &files_of(version.parse().unwrap())).unwrap();
    }

    fn folder(&self, version: &str) -> PathBuf {
        self.0.path().join("one").join(version)
    }

    fn library(&self, keep: usize) -> ModelLibrary {
        ModelLibrary::open(self.0.path().to_owned(), keep).unwrap().0
    }

    /// A file of weights, and what is in it.
    fn weights(&self, version: &str) -> (PathBuf, Vec<u8>) {
        let path = self.folder(version).join("weights.safetensors");
        let bytes = fs::read(&path).unwrap();
        (path, bytes)
    }

    /// Flips a bit of the weights; the file's length and time stay.
    fn spoil(&self, version: &str) {
        let (path, mut bytes) = self.weights(version);
        let time = fs::metadata(&path).unwrap().modified().unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(&path, bytes).unwrap();
        File::options().append(true).open(&path).unwrap().set_modified(time).unwrap();
    }
}

fn look(library: &mut ModelLibrary) -> Looked {
    library.look(Depth::Changed).unwrap()
}

fn served(library: &ModelLibrary) -> String {
    let shelf = library.expression_models();
    let name = |one: crate::model::shelf::Shelved<'_, Arc<ServedGenotypeModel>>| {
        let weight = one.item.model.weight(0).unwrap();
        assert_eq!(weight.to_string(), one.version, "the weight is the version");
        format!("{}{}", one.version, if one.is_default { "*" } else { "" })
    };
    shelf.iter().map(name).collect::<Vec<_>>().join(" ")
}

fn text(labels: &[String]) -> String {
    labels.join(" ")
}

#[test]
fn the_newest_versions_are_kept_and_the_default_one() {
    let models = Models::with(&["8", "9", "10"]);
    let mut library = models.library(2);
    assert_eq!(served(&library), "9 10*");
    assert_eq!(look(&mut library), Looked { unchanged: 2, ..Looked::default() });
    set_default(models.0.path(), "one", Some("8")).unwrap();
    let looked = look(&mut library);
    assert_eq!((text(&looked.changed), looked.unchanged), ("one@8".to_owned(), 2));
    assert_eq!(served(&library), "8* 9 10");
    models.add("11");
    let looked = look(&mut library);
    assert_eq!((text(&looked.changed), text(&looked.removed)), ("one@11".to_owned(), "one@9".to_owned()));
    set_default(models.0.path(), "one", Some("10")).unwrap();
    let looked = look(&mut library);
    assert_eq!((text(&looked.changed), text(&looked.removed)), ("one@10".to_owned(), "one@8".to_owned()));
    assert_eq!((served(&library), looked.unchanged), ("10* 11".to_owned(), 1));
    assert_eq!(served(&models.library(1)), "10* 11");
}

#[test]
fn an_unchanged_version_stays_the_one_that_it_is() {
    let models = Models::with(&["1"]);
    let mut library = models.library(2);
    let before = library.expression_models();
    models.add("2");
    for depth in [Depth::Changed, Depth::Everything] {
        library.look(depth).unwrap();
        let after = library.expression_models();
        assert!(Arc::ptr_eq(before.get("one@1").unwrap(), after.get("one@1").unwrap()));
    }
}

#[test]
fn a_spoilt_folder_is_refused_and_what_is_in_memory_stays() {
    let models = Models::with(&["1", "2"]);
    let mut library = models.library(1);
    assert_eq!(served(&library), "2*");
    let (path, whole) = models.weights("2");
    models.spoil("2");
    assert_eq!(look(&mut library), Looked { unchanged: 1, ..Looked::default() }, "nothing tells that it changed");
    for _ in 0..2 {
        let looked = library.look(Depth::Everything).unwrap();
        let [Refusal { model, reason }] = &looked.refused[..] else { panic!("{looked:?}") };
        assert!(model == "one@2" && reason.contains("weights.safetensors: has SHA-256"), "{reason}");
        assert!(!looked.has_changes() && served(&library) == "2*", "{looked:?}");
        assert_eq!(look(&mut library).refused, looked.refused, "it is remembered");
    }
    fs::write(&path, whole).unwrap();
    assert_eq!(look(&mut library), Looked { unchanged: 1, ..Looked::default() });
    models.add("3");
    models.spoil("3");
    let looked = look(&mut library);
    assert_eq!((looked.refused[0].model.as_str(), served(&library).as_str()), ("one@3", "2*"), "{looked:?}");
    assert!(ModelLibrary::open(models.0.path().to_owned(), 1).unwrap_err().to_string().contains("model one@3 in "));
}

#[test]
fn no_reason_tells_where_the_folder_lies() {
    let models = Models::with(&["1"]);
    let mut library = models.library(1);
    let (path, _) = models.weights("1");
    fs::remove_file(path).unwrap();
    let looked = look(&mut library);
    let reason = &looked.refused[0].reason;
    assert!(reason.contains("weights.safetensors cannot be read"), "{reason}");
    assert!(!reason.contains(&models.0.path().display().to_string()), "{reason}");
}

#[test]
fn a_folder_that_is_gone_is_let_go_and_one_being_written_is_not_looked_at() {
    let models = Models::with(&["1", "2"]);
    let mut library = models.library(2);
    fs::create_dir(models.folder("3")).unwrap();
    fs::create_dir(models.folder(".4.partial")).unwrap();
    fs::copy(models.folder("2").join(MANIFEST), models.folder(".4.partial").join(MANIFEST)).unwrap();
    assert_eq!(look(&mut library), Looked { unchanged: 2, ..Looked::default() });
    fs::remove_dir_all(models.folder("2")).unwrap();
    let looked = look(&mut library);
    assert_eq!((text(&looked.removed), text(&looked.changed)), ("one@2".to_owned(), "one@1".to_owned()));
    assert_eq!(served(&library), "1*");
    fs::remove_dir_all(models.0.path().join("one")).unwrap();
    assert_eq!((text(&look(&mut library).removed), served(&library)), ("one@1".to_owned(), String::new()));
}

#[test]
fn a_default_that_is_not_there_is_refused_and_what_was_served_before_serves() {
    let models = Models::with(&["1", "2"]);
    set_default(models.0.path(), "one", Some("7")).unwrap();
    let mut library = models.library(2);
    assert_eq!(served(&library), "1 2*", "the newest at start");
    set_default(models.0.path(), "one", Some("1")).unwrap();
    assert!(look(&mut library).refused.is_empty());
    assert_eq!(served(&library), "1* 2");
    for (content, says) in [("7\n", "names version 7, which is not there"), ("\n", "the name of one version")] {
        fs::write(models.0.path().join("one").join(DEFAULT), content).unwrap();
        let looked = look(&mut library);
        assert!(looked.refused[0].reason.contains(says), "{looked:?}");
        assert_eq!((served(&library).as_str(), looked.has_changes()), ("1* 2", false));
    }
    fs::remove_file(models.0.path().join("one").join(DEFAULT)).unwrap();
    assert_eq!(text(&look(&mut library).changed), "one@2");
    assert_eq!(served(&library), "1 2*");
}
