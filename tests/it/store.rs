//! The store's contract, run on SQLite and on PostgreSQL.

use std::future::poll_fn;
use std::task::Poll;

use tissuecast::genome::{
    Assembly, Biotype, Chromosome, Gene, GeneId, GeneSymbol, Locus, Position, Promoter, Strand, Tissue,
};
use tissuecast::reference::assemble::ReferenceTable;
use tissuecast::reference::{GeneRecord, Unit};
use tissuecast::store::{IngestOutcome, SchemaError, SchemaState, Store, StoreError};

use crate::support::{TestDatabase, on_both_databases};

on_both_databases!(
    a_dataset_comes_back_exactly,
    an_empty_database_is_refused_until_migrated,
    other_schemas_are_refused,
    the_same_content_changes_nothing,
    new_content_replaces_the_old_whole,
    a_failing_ingest_leaves_everything_as_it_was,
    an_ingest_that_is_given_up_leaves_nothing,
    ingests_at_once_wait_for_each_other,
    a_reader_sees_one_version_whole,
    datasets_live_side_by_side,
    names_that_cannot_stand_in_a_url_are_refused,
    corrupt_rows_are_errors_and_not_zeros,
    imputed_profiles_are_kept_by_version_and_model,
);

fn gene_id(text: &str) -> GeneId {
    GeneId::parse(text).unwrap().0
}

fn measured(id: &str, values: &[f32]) -> GeneRecord {
    let gene = Gene { id: gene_id(id), version: None, symbol: GeneSymbol::new(id), biotype: None, locus: None };
    GeneRecord { gene, expression: Some(values.to_vec()), promoter: None }
}

fn table(records: Vec<GeneRecord>) -> ReferenceTable {
    let tissues = vec![Tissue::from_name("Liver"), Tissue::from_name("leaf (young)")];
    ReferenceTable::new(Assembly::parse("GRCh38").unwrap(), Unit::Tpm, tissues, records).unwrap()
}

/// A table of so many genes, all with this value: what a half-seen version would betray.
fn uniform(genes: usize, value: f32) -> ReferenceTable {
    table((0..genes).map(|gene| measured(&format!("g{gene}"), &[value, value])).collect())
}

async fn values_of(store: &Store, name: &str) -> Vec<u32> {
    let reference = store.load_reference(name).await.unwrap().unwrap();
    (0..reference.genes().len()).flat_map(|gene| reference.expression(gene).to_vec()).map(f32::to_bits).collect()
}

async fn a_dataset_comes_back_exactly(database: &TestDatabase) {
    let store = database.migrated().await;
    let awkward = [0.1, 16.67, f32::MIN_POSITIVE, f32::from_bits(1), f32::MAX, 16_777_217.0, 1.0e-7, 0.0];
    let mut records: Vec<GeneRecord> = awkward
        .iter()
        .enumerate()
        .map(|(index, value)| measured(&format!("value{index}"), &[*value, f32::NAN]))
        .collect();
    let position = |base| Position::new(base).unwrap();
    let mut locus = Locus::new(Chromosome::parse("X").unwrap(), position(10), position(4_294_967_295), Strand::Reverse);
    locus.tss = position(77);
    records.push(GeneRecord {
        gene: Gene {
            id: gene_id("ENSG00000182378.13_PAR_Y"),
            version: Some(13),
            symbol: GeneSymbol::new("it's \"odd\" $1 – ü"),
            biotype: Some(Biotype::new("lincRNA")),
            locus: Some(locus),
        },
        expression: None,
        promoter: Some(Promoter::parse(b"ACGTN").unwrap()),
    });
    let table = table(records);
    store.ingest("d", &table, 1_700_000_000).await.unwrap();

    let loaded = store.load_reference("d").await.unwrap().unwrap();
    let expected = table.clone().into_reference("d");
    assert_eq!(loaded.dataset(), expected.dataset());
    assert_eq!(loaded.tissues(), expected.tissues());
    assert_eq!(loaded.genes(), expected.genes());
    for gene in 0..expected.genes().len() {
        let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(loaded.expression(gene)), bits(expected.expression(gene)), "{}", expected.gene(gene).id);
        assert_eq!(loaded.promoter(gene), expected.promoter(gene));
    }
    let summaries = store.datasets().await.unwrap();
    let [summary] = &summaries[..] else { panic!("one dataset: {summaries:?}") };
    assert_eq!((summary.name.as_str(), summary.created_at_seconds), ("d", 1_700_000_000));
    assert_eq!((&summary.counts, &summary.version), (table.counts(), &table.version()));
    assert!(store.load_reference("other").await.unwrap().is_none());
}

async fn an_empty_database_is_refused_until_migrated(database: &TestDatabase) {
    let store = database.open().await;
    store.ping().await.unwrap();
    assert_eq!(store.schema_state().await.unwrap(), SchemaState::Empty);
    let error = store.require_current_schema().await.unwrap_err();
    assert!(error.to_string().contains("tissuecast migrate"), "{error}");
    let applied = store.migrate().await.unwrap();
    assert!(applied > 0);
    store.require_current_schema().await.unwrap();
    assert_eq!(store.migrate().await.unwrap(), 0, "a second run has nothing to do");
    assert!(store.versions().await.unwrap().is_empty());
}

async fn other_schemas_are_refused(database: &TestDatabase) {
    let store = database.migrated().await;
    let refused = async || match store.require_current_schema().await {
        Err(StoreError::Schema(error)) => error,
        other => panic!("not refused: {other:?}"),
    };
    database
        .execute(
            "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
             SELECT 9999, 'of the future', success, checksum, 0 FROM _sqlx_migrations WHERE version = 1",
        )
        .await;
    assert!(matches!(refused().await, SchemaError::TooNew { found: 9999, .. }));
    assert!(matches!(store.migrate().await, Err(StoreError::Schema(SchemaError::TooNew { .. }))));
    database.execute("DELETE FROM _sqlx_migrations WHERE version = 9999").await;
    store.require_current_schema().await.unwrap();
    database.execute("UPDATE _sqlx_migrations SET version = 0 WHERE version = 1").await;
    assert!(matches!(refused().await, SchemaError::Altered { version: 0 }));
    database.execute("DELETE FROM _sqlx_migrations").await;
    assert!(matches!(refused().await, SchemaError::Empty));
}

async fn the_same_content_changes_nothing(database: &TestDatabase) {
    let store = database.migrated().await;
    let version = uniform(3, 1.0).version();
    assert_eq!(store.ingest("d", &uniform(3, 1.0), 5).await.unwrap(), IngestOutcome::New { version: version.clone() });
    assert_eq!(store.ingest("d", &uniform(3, 1.0), 9).await.unwrap(), IngestOutcome::Unchanged { version });
    assert_eq!(store.datasets().await.unwrap()[0].created_at_seconds, 5);
}

async fn new_content_replaces_the_old_whole(database: &TestDatabase) {
    let store = database.migrated().await;
    // More than one chunk of rows, then fewer genes than before.
    store.ingest("d", &uniform(1203, 1.0), 1).await.unwrap();
    assert_eq!(values_of(&store, "d").await, vec![1.0_f32.to_bits(); 2406]);
    store.ingest("d", &uniform(2, 2.0), 2).await.unwrap();
    assert_eq!(values_of(&store, "d").await, vec![2.0_f32.to_bits(); 4]);
    let versions = store.versions().await.unwrap();
    assert_eq!(versions.get("d"), Some(&uniform(2, 2.0).version()));
}

async fn a_failing_ingest_leaves_everything_as_it_was(database: &TestDatabase) {
    let store = database.migrated().await;
    store.ingest("d", &uniform(3, 1.0), 1).await.unwrap();
    let before = store.datasets().await.unwrap();
    // A NUL in a symbol: PostgreSQL has no such text. SQLite has, so there a table goes away.
    let mut bad = measured("bad", &[3.0, 3.0]);
    bad.gene.symbol = GeneSymbol::new("a\0b");
    let bad = table(vec![measured("good", &[3.0, 3.0]), bad]);
    if store.database_kind() == "SQLite" {
        database.execute("ALTER TABLE promoters RENAME TO hidden").await;
        assert!(matches!(store.ingest("d", &bad, 2).await, Err(StoreError::Database { .. })));
        assert!(matches!(store.ingest("fresh", &bad, 2).await, Err(StoreError::Database { .. })));
        database.execute("ALTER TABLE hidden RENAME TO promoters").await;
    } else {
        assert!(matches!(store.ingest("d", &bad, 2).await, Err(StoreError::Database { .. })));
        assert!(matches!(store.ingest("fresh", &bad, 2).await, Err(StoreError::Database { .. })));
    }
    assert_eq!(store.datasets().await.unwrap(), before);
    assert_eq!(values_of(&store, "d").await, vec![1.0_f32.to_bits(); 6]);
}

async fn an_ingest_that_is_given_up_leaves_nothing(database: &TestDatabase) {
    let store = database.migrated().await;
    store.ingest("d", &uniform(3, 1.0), 1).await.unwrap();
    let table = uniform(6000, 2.0);
    let mut ingest = Box::pin(store.ingest("d", &table, 2));
    // Its two dozen statements wait at least once each: after ten waits it is in the middle.
    let mut waits = 0;
    let given_up = poll_fn(|context| match ingest.as_mut().poll(context) {
        Poll::Ready(_) => Poll::Ready(false),
        Poll::Pending if waits == 10 => Poll::Ready(true),
        Poll::Pending => {
            waits += 1;
            Poll::Pending
        }
    });
    assert!(given_up.await, "the ingest was over too soon to be given up");
    drop(ingest);
    assert_eq!(values_of(&store, "d").await, vec![1.0_f32.to_bits(); 6]);
    assert!(matches!(store.ingest("d", &table, 3).await.unwrap(), IngestOutcome::New { .. }));
    assert_eq!(values_of(&store, "d").await.len(), 12_000);
}

async fn ingests_at_once_wait_for_each_other(database: &TestDatabase) {
    let (first, second) = (database.migrated().await, database.open().await);
    for round in 0..2 {
        let (one, other) = (uniform(400, 1.0 + round as f32), uniform(700, 100.0 + round as f32));
        let (a, b, c) =
            tokio::join!(first.ingest("d", &one, 1), second.ingest("d", &other, 2), first.ingest("e", &one, 3));
        assert!(matches!(a.unwrap(), IngestOutcome::New { .. }));
        assert!(matches!(b.unwrap(), IngestOutcome::New { .. }));
        c.unwrap();
        let winner = first.versions().await.unwrap()["d"].clone();
        let expected = if winner == one.version() { one } else { other };
        assert_eq!(winner, expected.version());
        assert_eq!(first.load_reference("d").await.unwrap().unwrap().genes().len(), expected.records().len());
    }
    // The same content from two sides: one writes, the other sees it.
    let (a, b) = tokio::join!(async { first.ingest("same", &uniform(9, 1.0), 1).await }, async {
        second.ingest("same", &uniform(9, 1.0), 1).await
    });
    let new = [a.unwrap(), b.unwrap()].iter().filter(|outcome| matches!(outcome, IngestOutcome::New { .. })).count();
    assert_eq!(new, 1);
}

async fn a_reader_sees_one_version_whole(database: &TestDatabase) {
    let (writer, reader) = (database.migrated().await, database.open().await);
    let tables: Vec<ReferenceTable> = (1..=3_u8).map(|value| uniform(4200, f32::from(value))).collect();
    writer.ingest("d", &tables[0], 0).await.unwrap();
    let write = async {
        for table in &tables[1..] {
            writer.ingest("d", table, 1).await.unwrap();
        }
    };
    let read = async {
        for _ in 0..3 {
            let values = values_of(&reader, "d").await;
            assert_eq!(values.len(), 8400);
            assert!(values.iter().all(|value| *value == values[0]), "values of two versions");
        }
    };
    tokio::join!(write, read);
}

async fn datasets_live_side_by_side(database: &TestDatabase) {
    let store = database.migrated().await;
    for (name, value) in [("b", 2.0), ("a", 1.0), ("B", 2.0)] {
        store.ingest(name, &uniform(2, value), 1).await.unwrap();
    }
    let names: Vec<_> = store.datasets().await.unwrap().into_iter().map(|dataset| dataset.name).collect();
    assert_eq!(names, ["B", "a", "b"]);
    let versions = store.versions().await.unwrap();
    assert_eq!(versions["b"], versions["B"], "the same content is the same version under every name");
    assert_eq!(values_of(&store, "a").await, vec![1.0_f32.to_bits(); 4]);
    assert_eq!(values_of(&store, "B").await, vec![2.0_f32.to_bits(); 4]);
}

async fn names_that_cannot_stand_in_a_url_are_refused(database: &TestDatabase) {
    let store = database.migrated().await;
    let long = "x".repeat(65);
    for name in ["", "a b", "a/b", "..", "ü", long.as_str()] {
        let error = store.ingest(name, &uniform(1, 1.0), 1).await.unwrap_err();
        assert!(matches!(error, StoreError::DatasetName(_)), "{name}: {error}");
    }
    assert!(store.versions().await.unwrap().is_empty());
}

async fn corrupt_rows_are_errors_and_not_zeros(database: &TestDatabase) {
    let store = database.migrated().await;
    store.ingest("d", &uniform(2, 1.0), 1).await.unwrap();
    for (value, column) in [("[1]", "tissue_values"), ("[1,\"x\"]", "tissue_values"), ("nonsense", "tissue_values")] {
        database.execute(&format!("UPDATE expression SET tissue_values = '{value}' WHERE gene_id = 'g1'")).await;
        let error = store.load_reference("d").await.unwrap_err().to_string();
        assert!(error.contains("gene g1") && error.contains(column), "{error}");
    }
    database.execute("UPDATE expression SET tissue_values = '[null,2]' WHERE gene_id = 'g1'").await;
    let reference = store.load_reference("d").await.unwrap().unwrap();
    let index = reference.find(&gene_id("g1")).unwrap();
    assert!(reference.expression(index)[0].is_nan());
    database.execute("UPDATE datasets SET unit = 'cups'").await;
    assert!(store.datasets().await.unwrap_err().to_string().contains("unit of dataset d"));
}

async fn imputed_profiles_are_kept_by_version_and_model(database: &TestDatabase) {
    let store = database.migrated().await;
    let version = uniform(2, 1.0).version();
    store.ingest("d", &uniform(2, 1.0), 1).await.unwrap();
    store.ingest("copy", &uniform(2, 1.0), 1).await.unwrap();
    let profile = |text: &str, gene: &str| (gene_id(gene), format!("{{\"text\": \"{text}\"}}"));
    let many: Vec<_> = (0..1200).map(|gene| profile("first", &format!("g{gene:04}"))).collect();
    store.save_imputed(&version, "m1", &many).await.unwrap();
    store.save_imputed(&version, "m1", &[profile("second", "g0000"), profile("second", "h")]).await.unwrap();
    store.save_imputed(&version, "m2", &[]).await.unwrap();
    let one = async |model: &str, gene: &str| store.imputed(&version, model, &gene_id(gene)).await.unwrap();
    assert_eq!(one("m1", "g0000").await, Some(profile("first", "g0000").1), "what is there stays");
    assert_eq!(one("m1", "h").await, Some(profile("second", "h").1));
    assert_eq!(one("m2", "h").await, None);
    let all = store.imputed_all(&version, "m1").await.unwrap();
    assert_eq!((all.len(), all.get(&gene_id("g1199"))), (1201, Some(&many[1199].1)));
    // The copy still has the version: its profiles stay until the last dataset of the version goes.
    store.ingest("d", &uniform(2, 2.0), 2).await.unwrap();
    assert_eq!(store.imputed_all(&version, "m1").await.unwrap().len(), 1201);
    store.ingest("copy", &uniform(2, 2.0), 2).await.unwrap();
    assert!(store.imputed_all(&version, "m1").await.unwrap().is_empty());
}

#[test]
fn errors_of_opening_tell_no_password() {
    crate::support::block_on(async {
        for url in [
            "postgres://lab:s3cret@127.0.0.1:1/none",
            "postgres://lab:s3cret@127.0.0.1:notaport/none",
            "postgres://lab@127.0.0.1:1/none?password=s3cret",
            "mysql://lab:s3cret@h/d",
        ] {
            let error = Store::open(url).await.unwrap_err();
            let debug = format!("{error:?}");
            let shown = format!("{debug} {:#}", anyhow::Error::from(error));
            assert!(!shown.contains("s3cret") && shown.contains("lab"), "{shown}");
        }
    });
}
