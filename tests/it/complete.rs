//! `tissuecast complete`: a whole dataset into files and into the store, by the real program, on both databases.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use arrow_array::{Array as _, Float32Array, StringArray};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use tissuecast::model::Scale;
use tissuecast::model::baseline::BaselineKind;
use tissuecast::reference::gct;
use tissuecast::reference::source::Source;
use tissuecast::simulate::Simulated;

use crate::binary::{fail, succeed};
use crate::lab::{self, DATASET};
use crate::support::{TestDatabase, on_both_databases};

on_both_databases!(a_dataset_is_completed_into_files_and_the_store);

const GENES: usize = 150;

/// Ingests the lab's genome and writes a model of it; the folder has both.
async fn lab(database: &TestDatabase, folder: &Path, scale: Scale) {
    let store = database.migrated().await;
    store.ingest(DATASET, &lab::table(&lab::genome(GENES, 1), folder), 1).await.unwrap();
    let reference = store.load_reference(DATASET).await.unwrap().unwrap();
    lab::train(&reference, BaselineKind::RidgeNearest, scale, &folder.join("models"));
    store.close().await;
}

fn complete(database: &TestDatabase, folder: &Path, out: &str) -> String {
    succeed(folder, &["complete", "--dataset", DATASET, "--database-url", database.url(), "--out", out])
}

fn count(said: &str, label: &str) -> usize {
    let line = said.lines().find(|line| line.starts_with(label)).unwrap_or_else(|| panic!("no '{label}' in {said}"));
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

/// A long table's lines by gene and tissue, each of which is there once.
type Lines<'a> = BTreeMap<(&'a str, &'a str), Vec<&'a str>>;

fn by_gene_and_tissue(table: &str) -> Lines<'_> {
    let mut lines = Lines::new();
    for line in table.lines().skip(1) {
        let fields: Vec<&str> = line.split('\t').collect();
        assert!(lines.insert((fields[0], fields[2]), fields).is_none(), "twice: {line}");
    }
    lines
}

/// What was measured is there as it was measured, and all else is imputed with an interval.
fn check_values(lines: &Lines<'_>, genome: &Simulated) {
    for record in &genome.records {
        for (at, tissue) in genome.tissues.iter().enumerate() {
            let fields = &lines[&(record.gene.id.as_str(), tissue.id())];
            let value = record.expression.as_ref().map(|values| values[at]).filter(|value| value.is_finite());
            let number = |at: usize| fields[at].parse::<f32>().unwrap();
            if let Some(value) = value {
                assert_eq!((fields[3], fields[5]), ("measured", "NA"));
                assert_eq!(number(4).to_bits(), value.to_bits(), "{fields:?}");
            } else {
                assert_eq!(fields[3], "imputed");
                assert!(number(5) <= number(4) && number(4) <= number(6), "{fields:?}");
            }
        }
    }
}

/// The matrix and the Parquet file say what the table says.
fn check_other_forms(database: &TestDatabase, folder: &Path, (lines, genome): (&Lines<'_>, &Simulated)) {
    complete(database, folder, "out.gct.gz");
    let matrix = |name: &str| gct::read(Source::open(&folder.join(name)).unwrap()).unwrap();
    let (values, lower) = (matrix("out.gct.gz"), matrix("out.lower.gct.gz"));
    assert_eq!((values.tissues.clone(), values.rows.len()), (genome.tissues.clone(), GENES));
    for (row, low) in values.rows.iter().zip(&lower.rows) {
        for (tissue, (value, low)) in values.tissues.iter().zip(row.values.iter().zip(&low.values)) {
            let fields = &lines[&(row.id.as_str(), tissue.id())];
            assert_eq!(fields[4].parse::<f32>().unwrap().to_bits(), value.to_bits());
            assert_eq!(fields[3] == "measured", low.is_nan(), "{fields:?}");
        }
    }
    complete(database, folder, "out.parquet");
    let file = fs::File::open(folder.join("out.parquet")).unwrap();
    let batches: Vec<_> = ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap().collect();
    let rows: usize = batches.iter().map(|batch| batch.as_ref().unwrap().num_rows()).sum();
    assert_eq!(rows, GENES * genome.tissues.len());
    let batch = batches[0].as_ref().unwrap();
    let text = |at: usize| batch.column(at).as_any().downcast_ref::<StringArray>().unwrap();
    let value = batch.column(4).as_any().downcast_ref::<Float32Array>().unwrap();
    for row in 0..batch.num_rows() {
        let fields = &lines[&(text(0).value(row), text(2).value(row))];
        assert_eq!((fields[3], value.is_valid(row)), (text(3).value(row), fields[4] != "NA"));
    }
}

async fn a_dataset_is_completed_into_files_and_the_store(database: &TestDatabase) {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    lab(database, folder, Scale::Log2).await;
    let genome = lab::genome(GENES, 1);
    let said = complete(database, folder, "out.tsv");
    let now = count(&said, "genes imputed now");
    let lacking = |values: &Option<Vec<f32>>| values.as_ref().is_none_or(|values| values.iter().any(|x| x.is_nan()));
    assert_eq!(now, genome.records.iter().filter(|record| lacking(&record.expression)).count(), "{said}");
    assert!(now > 0 && count(&said, "genes imputed before") == 0 && said.contains("wrote out.tsv"), "{said}");

    // Every gene and tissue once, and what was measured as it was measured.
    let table = fs::read_to_string(folder.join("out.tsv")).unwrap();
    assert_eq!(table.lines().count(), 1 + GENES * genome.tissues.len());
    let lines = by_gene_and_tissue(&table);
    check_values(&lines, &genome);

    // The service recalls all of it, under the same key, and says the same.
    let app = lab::app(database.open().await, &folder.join("models")).await;
    let missing = genome.records.iter().find(|record| record.expression.is_none()).unwrap();
    let answer = app.get(&format!("/v1/genes/{}/profile?format=tsv", missing.gene.id)).await;
    assert!(!answer.header("server-timing").contains("compute"), "{}", answer.header("server-timing"));
    for line in answer.text().lines().skip(1) {
        assert!(table.lines().any(|own| own == line), "{line}");
    }
    let listed = app.get("/v1/genes?missing=true").await;
    assert!(!listed.header("server-timing").contains("compute"), "all are kept");

    // A second run imputes nothing and writes the same.
    let said = complete(database, folder, "again.tsv");
    assert_eq!((count(&said, "genes imputed now"), count(&said, "genes imputed before")), (0, now), "{said}");
    assert!(fs::read_to_string(folder.join("again.tsv")).unwrap() == table, "another table the second time");

    check_other_forms(database, folder, (&lines, &genome));

    // What goes wrong leaves no file, whole or half.
    let database_url = ["--database-url", database.url()];
    let refused = |arguments: &[&str]| fail(folder, &[&["complete"], arguments, &database_url].concat());
    assert!(refused(&["--dataset", "other", "--out", "x.tsv"]).contains("it has: lab"));
    assert!(refused(&["--dataset", DATASET, "--out", "x.csv"]).contains(".parquet"));
    assert!(
        refused(&["--dataset", DATASET, "--out", "x.tsv", "--model", "other"]).contains("there are: ridge-nearest")
    );
    let names: Vec<String> = folder
        .read_dir()
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with('x') || name.ends_with(".partial"))
        .collect();
    assert!(names.is_empty(), "{names:?}");
}

#[test]
fn shapes_without_levels_are_told_and_stay_blank() {
    let folder = tempfile::tempdir().unwrap();
    crate::support::block_on(async {
        let database = TestDatabase::create(crate::support::Database::Sqlite).await;
        lab(&database, folder.path(), Scale::MinMax).await;
        let said = complete(&database, folder.path(), "out.gct");
        assert!(said.contains("note: the model predicts relative shapes only"), "{said}");
        for name in ["out.gct", "out.lower.gct", "out.upper.gct", "out.source.tsv"] {
            assert!(said.contains(&format!("wrote {name}")), "{said}");
        }
        let values = gct::read(Source::open(&folder.path().join("out.gct")).unwrap()).unwrap();
        assert!(values.rows.iter().any(|row| row.values.iter().all(|value| value.is_nan())), "blank, never 0");
        let sources = fs::read_to_string(folder.path().join("out.source.tsv")).unwrap();
        assert!(sources.contains("\timputed\t") && sources.lines().count() == GENES + 1);
    });
}
