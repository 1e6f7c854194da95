//! A power cut at any moment of the work, and the same work again after it.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use tissuecast::store::Store;

use super::{ingest_into, visible, whole_version, write_lab};
use crate::binary::{Running, ingested, succeed};
use crate::client::{IMPORT, STORE, write_wide};
use crate::support::{TestDatabase, on_both_databases};

on_both_databases!(an_ingest_leaves_the_old_dataset_or_the_new_one);

/// Moments at which a piece of work is cut off.
const CUTS: u32 = 12;

/// How long a command takes, up to what a test has the time for.
fn time_of(folder: &Path, arguments: &[&str]) -> Duration {
    let since = Instant::now();
    succeed(folder, arguments);
    since.elapsed().min(Duration::from_secs(2))
}

/// Runs a command and cuts it off after a while.
fn cut(folder: &Path, arguments: &[&str], after: Duration) {
    let mut running = Running::start(folder, arguments);
    thread::sleep(after);
    running.kill();
}

/// From the first moment to a little beyond the end.
fn moments(whole: Duration) -> impl Iterator<Item = Duration> {
    (1..=CUTS).map(move |step| whole * step / (CUTS - 2))
}

async fn an_ingest_leaves_the_old_dataset_or_the_new_one(database: &TestDatabase) {
    let (old, new) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (before, after) = (write_lab(old.path(), 150, 1), write_lab(new.path(), 160, 2));
    let ingest = ingest_into(database.url());
    let whole = time_of(new.path(), &ingest);
    succeed(old.path(), &ingest);
    let store: Store = database.open().await;
    let mut cut_off = 0;
    for moment in moments(whole) {
        cut(new.path(), &ingest, moment);
        let found = whole_version(&store).await.unwrap();
        assert!(found == before || found == after, "{found}");
        if found == after {
            succeed(old.path(), &ingest);
        } else {
            cut_off += 1;
        }
        assert_eq!(whole_version(&store).await, Some(before.clone()));
    }
    println!("{cut_off} of {CUTS} ingests of {whole:?} were cut off before their end");
    assert!(cut_off > 0);
    succeed(new.path(), &ingest);
    assert_eq!(whole_version(&store).await, Some(after));
    store.close().await;
}

#[test]
fn a_first_ingest_can_be_run_again() {
    let files = tempfile::tempdir().unwrap();
    let version = write_lab(files.path(), 150, 1);
    let places: Vec<String> =
        (0..=CUTS).map(|at| format!("sqlite://{}", files.path().join(format!("{at}.sqlite")).display())).collect();
    let whole = time_of(files.path(), &ingest_into(&places[0]));
    for (place, moment) in places[1..].iter().zip(moments(whole)) {
        cut(files.path(), &ingest_into(place), moment);
        succeed(files.path(), &ingest_into(place));
        let found = crate::support::block_on(async { whole_version(&Store::open(place).await.unwrap()).await });
        assert_eq!(found.as_ref(), Some(&version));
    }
}

/// The versions of a model that `models list` knows, all of which `models check` passes; the weights of the first.
fn whole_models(folder: &Path, name: &str) -> (usize, Option<Vec<u8>>) {
    let listed = succeed(folder, &["models", "list", "--format", "json"]);
    let listed: serde_json::Value = serde_json::from_str(&listed).unwrap();
    let models = listed.as_array().unwrap().len();
    let checked = succeed(folder, &["models", "check"]);
    assert_eq!(checked.matches(" passes ").count(), models, "{checked}");
    (models, std::fs::read(folder.join(format!("models/{name}/1/weights.safetensors"))).ok())
}

/// Cuts a command off that makes the first version of a model, and runs it again.
fn cut_and_run_again(folder: &Path, name: &str, arguments: &[&str]) {
    let models = folder.join("models");
    let whole = time_of(folder, arguments);
    let (_, expected) = whole_models(folder, name);
    let files = visible(&models);
    let mut cut_off = 0;
    for moment in moments(whole) {
        std::fs::remove_dir_all(&models).unwrap();
        cut(folder, arguments, moment);
        std::fs::create_dir_all(&models).unwrap();
        let (there, weights) = whole_models(folder, name);
        assert!(
            there == 0 && visible(&models).is_empty() || there == 1 && weights == expected,
            "{:?}",
            visible(&models)
        );
        cut_off += usize::from(there == 0);
        if there == 0 {
            succeed(folder, arguments);
        }
        let (there, weights) = whole_models(folder, name);
        assert!(there == 1 && weights == expected && visible(&models) == files, "{:?}", visible(&models));
        let left = models.join(name).read_dir().unwrap().map(|entry| entry.unwrap().file_name());
        assert_eq!(left.collect::<Vec<_>>(), ["1"], "the second run takes away what the first has left");
    }
    println!("{cut_off} of {CUTS} runs of {whole:?} for {name} were cut off before their end");
    assert!(cut_off > 0);
}

#[test]
fn an_import_leaves_a_whole_model_or_none() {
    let folder = tempfile::tempdir().unwrap();
    write_wide(folder.path(), 1_300);
    cut_and_run_again(folder.path(), "wide", &IMPORT);
    assert!(succeed(folder.path(), &IMPORT).contains("was there already"));
}

#[test]
fn training_leaves_a_whole_model_or_none() {
    let folder = tempfile::tempdir().unwrap();
    ingested(folder.path());
    let line = "train profile --dataset lab --method ridge-nearest --out models/ridge --calibration-chromosomes 4,5,6";
    let arguments: Vec<&str> = line.split(' ').collect();
    cut_and_run_again(folder.path(), "ridge", &[&arguments[..], &["--holdout-chromosomes", ""], &STORE].concat());
}
