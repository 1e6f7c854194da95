//! A disk that is full: every file may grow to so many blocks of 512 bytes and no further.

use std::fs;
use std::path::Path;

use tissuecast::store::Store;

use super::{ingest_into, visible, whole_version, wide_folder, write_lab};
use crate::binary::{INGEST, Running, ingested, limited, run_to_its_end, succeed, write_model};
use crate::client::{IMPORT, STORE, Server, get, vcf, write_wide};
use crate::support::block_on;

/// Runs a command that has to fail for want of room, without a panic; what it says.
fn fails(folder: &Path, blocks: u32, arguments: &[&str]) -> String {
    let (success, output, said) = run_to_its_end(folder, limited(folder, blocks, arguments));
    assert!(!success && !said.contains("panicked"), "{blocks} blocks, {arguments:?}: {output}{said}");
    assert!(said.contains("error: "), "{blocks} blocks, {arguments:?}: {said}");
    said
}

fn version_in(folder: &Path) -> Option<String> {
    block_on(async {
        let store = Store::open(&format!("sqlite://{}", folder.join("lab.sqlite").display())).await.unwrap();
        whole_version(&store).await
    })
}

#[test]
fn an_ingest_into_a_new_store_leaves_no_dataset() {
    let folder = tempfile::tempdir().unwrap();
    let version = write_lab(folder.path(), 150, 1);
    // From nothing at all over parts of the schema to nearly everything.
    for blocks in [16, 40, 72, 104, 128, 160, 192, 256, 400, 600] {
        let said = fails(folder.path(), blocks, &INGEST);
        assert!(said.contains("error: cannot"), "{blocks}: {said}");
        if blocks >= 256 {
            assert!(said.contains("cannot commit the ingest") || said.contains("cannot write"), "{blocks}: {said}");
            assert_eq!(version_in(folder.path()), None, "{blocks}");
        }
        if blocks % 16 == 0 {
            // Every other one begins with what the one before has left.
            for name in ["lab.sqlite", "lab.sqlite-wal", "lab.sqlite-shm"] {
                // What was not made needs no removing.
                let _ = fs::remove_file(folder.path().join(name));
            }
        }
    }
    succeed(folder.path(), &INGEST);
    assert_eq!(version_in(folder.path()), Some(version));
}

#[test]
fn an_ingest_leaves_the_dataset_as_it_was() {
    let (old, new) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (before, after) = (write_lab(old.path(), 150, 1), write_lab(new.path(), 160, 2));
    let url = format!("sqlite://{}", old.path().join("lab.sqlite").display());
    succeed(old.path(), &ingest_into(&url));
    for blocks in [72, 200, 400, 800] {
        let said = fails(new.path(), blocks, &ingest_into(&url));
        assert!(said.contains("error: cannot"), "{said}");
        assert_eq!(version_in(old.path()), Some(before.clone()), "{blocks}");
    }
    succeed(new.path(), &ingest_into(&url));
    assert_eq!(version_in(old.path()), Some(after));
}

#[test]
fn an_import_leaves_no_model() {
    let folder = tempfile::tempdir().unwrap();
    write_wide(folder.path(), 1_000);
    for blocks in [2, 16, 64] {
        let said = fails(folder.path(), blocks, &IMPORT);
        assert!(said.contains("models/wide/.1.partial/"), "{blocks}: {said}");
        assert_eq!(visible(&folder.path().join("models")), Vec::<String>::new(), "{blocks}");
        assert!(!folder.path().join("models/wide/.1.partial").exists(), "half a model takes room on a full disk");
        assert_eq!(succeed(folder.path(), &["models", "list"]), "");
    }
    succeed(folder.path(), &IMPORT);
    assert!(succeed(folder.path(), &["models", "check"]).contains("wide@1 passes"));
}

#[test]
fn training_leaves_no_model_and_a_completion_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    ingested(folder);
    let line = "train profile --dataset lab --method ridge-nearest --out models/ridge --calibration-chromosomes 4,5,6";
    let arguments: Vec<&str> = line.split(' ').collect();
    let train = [&arguments[..], &["--holdout-chromosomes", ""], &STORE].concat();
    // The store's own files have room, the golden sample has none.
    let said = fails(folder, 130, &train);
    assert!(said.contains("models/ridge/.1.partial/"), "{said}");
    assert_eq!(visible(&folder.join("models")), Vec::<String>::new());
    succeed(folder, &train);
    assert!(succeed(folder, &["models", "check"]).contains("ridge@1 passes"));

    fs::write(folder.join("old.tsv"), "precious\n").unwrap();
    for out in ["new.tsv", "old.tsv"] {
        let said = fails(folder, 512, &[&["complete", "--dataset", "lab", "--out", out], &STORE[..]].concat());
        assert!(said.contains(&format!("cannot write {out}")), "{said}");
    }
    let names = visible(folder);
    assert!(!names.iter().any(|name| name.contains("new.tsv")), "{names:?}");
    assert_eq!(fs::read_to_string(folder.join("old.tsv")).unwrap(), "precious\n");
    succeed(folder, &[&["complete", "--dataset", "lab", "--out", "new.tsv"], &STORE[..]].concat());
    assert_eq!(fs::read_to_string(folder.join("new.tsv")).unwrap().lines().count(), 150 * 54 + 1);
}

#[test]
fn a_prediction_leaves_no_file() {
    let folder = wide_folder(100);
    let folder = folder.path();
    fs::write(folder.join("p.vcf"), vcf(1_000, 100)).unwrap();
    for (out, more) in [
        ("o.tsv", &["--variants", "v.tsv"][..]),
        ("o.json.gz", &[]),
        ("o.bed", &[]),
        ("o.arrow", &[]),
        ("o.parquet", &[]),
        ("s.tsv", &["--sample", "P1", "--explain", "e.tsv"]),
    ] {
        let arguments = [&["predict", "--model", "wide", "--vcf", "p.vcf", "--out", out][..], more].concat();
        let before = visible(folder);
        let said = fails(folder, 2, &arguments);
        assert!(said.contains("cannot write ") && said.contains("File too large"), "{out}: {said}");
        let after = visible(folder);
        assert!(after.iter().all(|name| before.contains(name) || !name.starts_with(['o', 'v', 'e', 's'])), "{after:?}");
        succeed(folder, &arguments);
        assert!(folder.join(out).metadata().unwrap().len() > 0);
    }
}

#[test]
fn the_service_goes_on_where_its_store_cannot_grow() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    ingested(folder);
    write_model("ridge", &folder.join("models"));
    let arguments = Server::arguments(&["--poll-seconds", "1"]);
    let genes: Vec<String> = (1..=150).map(|number| format!("/v1/genes/SIM{number}/profile")).collect();
    let ask = |server: &Server| -> Vec<(u16, String)> {
        let answers = genes.iter().map(|path| server.ask(&get(path)));
        answers.map(|reply| (reply.status, reply.text())).collect()
    };
    let full = Server::of(Running::spawn(folder, limited(folder, 66, &arguments)));
    let answers = ask(&full);
    assert!(answers.iter().all(|(status, _)| *status == 200), "a gene has no answer");
    assert!(answers.iter().any(|(_, answer)| answer.contains("\"imputed\"")));
    assert_eq!(full.ask(&get("/livez")).status, 200);
    assert!(full.stop().contains("imputed profiles were not saved"), "the store had room");
    // Nothing is wrong with the store, and the same is answered from it.
    let server = Server::start(folder, &[]);
    assert!(ask(&server) == answers);
    server.stop();
}
