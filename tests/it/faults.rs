//! What a lab's machine does to the program: clients that dawdle and hang up, full disks, power cuts, a database that
//! goes away, a stop in the middle of the work. All against the program itself, over real sockets and files.

mod clients;
mod database;
mod full_disk;
mod killed;
mod stopping;

use std::path::Path;

use tissuecast::reference::{Missing, Reference};
use tissuecast::store::{DatasetSummary, Store};

use crate::binary::INGEST;
use crate::client::{STORE, import_wide};
use crate::lab::{self, DATASET};

/// A folder with the model `wide` of so many genes, and no dataset.
fn wide_folder(genes: usize) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    import_wide(folder.path(), genes);
    folder
}

/// Writes a simulated lab's files into a folder; the version that they make of a dataset.
fn write_lab(folder: &Path, genes: usize, seed: u64) -> String {
    lab::table(&lab::genome(genes, seed), folder).version()
}

/// The arguments that ingest the files of the folder into a store.
fn ingest_into(url: &str) -> Vec<&str> {
    let files = INGEST.iter().copied().filter(|argument| !STORE.contains(argument));
    files.chain(["--database-url", url]).collect()
}

/// The dataset's version, after a look whether all of it is there; `None` where there is none.
async fn whole_version(store: &Store) -> Option<String> {
    let summaries = store.datasets().await.unwrap();
    let DatasetSummary { version, counts, .. } = summaries.into_iter().find(|one| one.name == DATASET)?;
    let reference: Reference = store.load_reference(DATASET).await.unwrap().unwrap();
    let genes = 0..reference.genes().len();
    let without_profile = genes.clone().filter(|gene| reference.missing(*gene) == Some(Missing::NoProfile)).count();
    let without_promoter = genes.clone().filter(|gene| reference.promoter(*gene).is_none()).count();
    assert_eq!(
        (genes.len(), without_profile, without_promoter, &reference.dataset().version),
        (counts.genes, counts.without_profile, counts.without_promoter, &version)
    );
    Some(version)
}

/// Everything below a folder that is no dot file, by its path.
fn visible(folder: &Path) -> Vec<String> {
    let Ok(entries) = folder.read_dir() else { return Vec::new() };
    let mut found = Vec::new();
    for entry in entries.map(Result::unwrap) {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with('.') {
            continue;
        }
        let below = visible(&entry.path());
        found.extend(below.into_iter().map(|inner| format!("{name}/{inner}")));
        if entry.path().is_file() {
            found.push(name);
        }
    }
    found.sort();
    found
}
