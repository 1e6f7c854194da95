//! The whole service over both databases: from files to answers, what is kept, what changes, and what goes away.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use axum::http::StatusCode;
use serde_json::{Value, json};
use tissuecast::genome::{GeneId, Promoter};
use tissuecast::model::Scale;
use tissuecast::model::baseline::BaselineKind;
use tissuecast::reference::GeneRecord;
use tissuecast::serve::data::DataSource;
use tissuecast::simulate::{Simulated, Simulation};

use crate::http_support::Answer;
use crate::lab::{self, DATASET, Service};
use crate::support::{TestDatabase, on_both_databases};

on_both_databases!(
    every_kind_of_gene_is_answered,
    imputed_profiles_are_saved_and_served_again,
    a_dataset_that_changes_is_served_without_a_failing_request,
    a_store_that_goes_away_costs_readiness_and_no_answer,
);

/// A lab with a dataset in the store and a model of it.
struct Lab {
    genome: Simulated,
    models: tempfile::TempDir,
}

impl Lab {
    async fn open(database: &TestDatabase) -> Self {
        let genome = lab::genome(150, 1);
        let (files, models) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let store = database.migrated().await;
        store.ingest(DATASET, &lab::table(&genome, files.path()), 1).await.unwrap();
        let reference = store.load_reference(DATASET).await.unwrap().unwrap();
        lab::train(&reference, BaselineKind::RidgeNearest, Scale::Log2, models.path());
        store.close().await;
        Self { genome, models }
    }

    fn find(&self, wanted: impl Fn(&GeneRecord) -> bool) -> &GeneRecord {
        self.genome.records.iter().find(|record| wanted(record)).unwrap()
    }

    /// A gene that was measured in every tissue, and not as zero everywhere.
    fn measured(&self) -> &GeneRecord {
        self.find(|record| measured(record, |x| x.is_finite()) && !measured(record, |x| *x == 0.0))
    }

    fn with_holes(&self) -> &GeneRecord {
        self.find(|record| record.expression.is_some() && !measured(record, |x| x.is_finite()))
    }

    fn without_profile(&self) -> Vec<&GeneRecord> {
        self.genome.records.iter().filter(|record| record.expression.is_none()).collect()
    }

    fn all_zero(&self) -> &GeneRecord {
        self.find(|record| measured(record, |x| *x == 0.0))
    }

    /// Every tissue once, in the dataset's order.
    fn check_tissues(&self, profile: &Value) {
        let ids: Vec<&str> = rows(profile).iter().map(|one| one["tissue"].as_str().unwrap()).collect();
        assert_eq!(ids, self.genome.tissues.iter().map(tissuecast::genome::Tissue::id).collect::<Vec<_>>());
    }
}

fn measured(record: &GeneRecord, each: impl Fn(&f32) -> bool) -> bool {
    record.expression.as_ref().is_some_and(|values| values.iter().all(each))
}

fn rows(profile: &Value) -> &Vec<Value> {
    profile["tissues"].as_array().unwrap()
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

fn check_measured(row: &Value, value: f32) {
    assert_eq!((&row["source"], &row["lower"], &row["upper"]), (&json!("measured"), &Value::Null, &Value::Null));
    assert!((number(&row["value"]) - f64::from(value)).abs() < 1e-6 * f64::from(value.abs().max(1.0)), "{row}");
}

fn check_imputed(row: &Value) {
    assert_eq!(row["source"], "imputed");
    let (lower, value, upper) = (number(&row["lower"]), number(&row["value"]), number(&row["upper"]));
    assert!(0.0 <= lower && lower <= value && value <= upper && lower < upper && upper.is_finite(), "{row}");
    assert!((0.0..=1.0).contains(&number(&row["relative"])), "{row}");
}

/// The answer is 200 and imputed by the model.
fn imputed(answer: &Answer) -> Value {
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    let profile = answer.json();
    assert_eq!(profile["model"]["name"], "ridge-nearest");
    assert_eq!(profile["model"]["digest"], answer.header("x-tissuecast-model-digest"));
    let distances: Vec<i64> = profile["references"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["distance_bp"].as_i64().unwrap().abs())
        .collect();
    assert!(!distances.is_empty() && distances.is_sorted(), "nearest first: {distances:?}");
    assert!(profile["notes"].to_string().contains("90 %"), "the interval is explained: {}", profile["notes"]);
    profile
}

async fn every_kind_of_gene_is_answered(database: &TestDatabase) {
    let lab = Lab::open(database).await;
    let app = lab::app(database.open().await, lab.models.path()).await;
    let path = |record: &GeneRecord| format!("/v1/genes/{}/profile", record.gene.symbol.as_str());

    let whole = lab.measured();
    let profile = app.get(&path(whole)).await.json();
    lab.check_tissues(&profile);
    assert_eq!(
        (&profile["missing"], &profile["references"], &profile["unit"]),
        (&Value::Null, &json!([]), &json!("tpm"))
    );
    for (row, value) in rows(&profile).iter().zip(whole.expression.as_ref().unwrap()) {
        check_measured(row, *value);
    }

    let holes = lab.with_holes();
    let profile = imputed(&app.get(&path(holes)).await);
    lab.check_tissues(&profile);
    assert_eq!(profile["missing"], "some_tissues");
    for (row, value) in rows(&profile).iter().zip(holes.expression.as_ref().unwrap()) {
        if value.is_nan() { check_imputed(row) } else { check_measured(row, *value) }
    }

    let unmeasured = lab.without_profile()[0];
    let profile = imputed(&app.get(&path(unmeasured)).await);
    lab.check_tissues(&profile);
    assert_eq!(profile["missing"], "no_profile");
    rows(&profile).iter().for_each(check_imputed);

    let zero = lab.all_zero();
    let profile = app.get(&path(zero)).await.json();
    lab.check_tissues(&profile);
    assert_eq!(profile["missing"], "all_zero");
    for row in rows(&profile) {
        check_measured(row, 0.0);
    }
    let listed = app.get("/v1/genes?missing=true&items_per_page=10000").await.json();
    let listed: Vec<(&str, &str)> = (listed["data"].as_array().unwrap().iter())
        .map(|one| (one["symbol"].as_str().unwrap(), one["missing"].as_str().unwrap()))
        .collect();
    let reason = |record: &GeneRecord| match &record.expression {
        None => Some("no_profile"),
        Some(values) if values.iter().any(|x| x.is_nan()) => Some("some_tissues"),
        Some(values) => values.iter().all(|x| *x == 0.0).then_some("all_zero"),
    };
    let expected = lab.genome.records.iter().filter_map(|one| Some((one.gene.symbol.as_str(), reason(one)?)));
    assert_eq!(listed, expected.collect::<Vec<_>>());
    assert!(listed.contains(&(zero.gene.symbol.as_str(), "all_zero")));

    let other = Simulation { genes: 1, chromosomes: 1, seed: 99 }.run().unwrap();
    let promoter = other.records[0].promoter.as_ref().map(Promoter::bases).unwrap_or_default();
    let body = json!({"dataset": DATASET, "genes": [
        {"gene": unmeasured.gene.id.as_str()},
        {"id": "mine", "chromosome": "2", "tss": 1_200_000, "strand": "-", "biotype": "lincRNA",
         "promoter": String::from_utf8_lossy(promoter), "observed": {"Liver": 2.5}},
        {"gene": "SIM9999"},
    ]});
    let answer = app.post("/v1/profiles", &body).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    let data = answer.json()["data"].clone();
    assert_eq!(data[0]["tissues"], app.get(&path(unmeasured)).await.json()["tissues"], "alone and in a batch");
    lab.check_tissues(&data[1]);
    for row in rows(&data[1]) {
        if row["tissue"] == "Liver" { check_measured(row, 2.5) } else { check_imputed(row) }
    }
    assert_eq!(data[2]["error"]["status"], 404);
}

async fn imputed_profiles_are_saved_and_served_again(database: &TestDatabase) {
    let lab = Lab::open(database).await;
    let store = database.open().await;
    let app = lab::app(database.open().await, lab.models.path()).await;
    let gene = lab.without_profile()[0].gene.id.as_str();
    let path = format!("/v1/genes/{gene}/profile");
    let first = app.get(&path).await;
    let profile = imputed(&first);
    let text = |name: &str, field: &str| profile[name][field].as_str().unwrap().to_owned();
    let version = text("dataset", "version");
    let key = format!("{}/{}", text("model", "digest"), tissuecast::model::served::IMPUTATION);
    let id = GeneId::parse(gene).unwrap().0;
    let saved = async {
        while store.imputed(&version, &key, &id).await.unwrap().is_none() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), saved).await.unwrap();

    let (mut source, saving) = DataSource::open(database.open().await, lab.models.path().to_owned(), 2).await.unwrap();
    let loaded = source.load().await.unwrap();
    assert_eq!(loaded.imputed[&(version, key)].len(), 1);
    let again = lab::app_of(loaded);
    let answer = again.get(&path).await;
    assert_eq!(answer.json(), profile);
    assert!(first.header("server-timing").contains("compute"), "{}", first.header("server-timing"));
    assert!(!answer.header("server-timing").contains("compute"), "{}", answer.header("server-timing"));
    drop((source, again));
    tokio::time::timeout(Duration::from_secs(10), saving).await.unwrap().unwrap();
}

async fn a_dataset_that_changes_is_served_without_a_failing_request(database: &TestDatabase) {
    let lab = Lab::open(database).await;
    let service = Service::start(database.open().await, lab.models.path()).await;
    let (done, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let asking = {
        let (address, done, asked) = (service.address, Arc::clone(&done), Arc::clone(&asked));
        tokio::spawn(async move {
            while !done.load(Ordering::SeqCst) {
                let number = asked.fetch_add(1, Ordering::SeqCst) % 150 + 1;
                let (status, body) =
                    lab::get(address, &format!("/v1/genes/SIM{number}/profile?dataset={DATASET}")).await;
                assert_eq!(status, 200, "SIM{number}: {body}");
            }
        })
    };
    let files = tempfile::tempdir().unwrap();
    let fresh = lab::table(&lab::genome(150, 2), files.path());
    let store = database.open().await;
    store.ingest(DATASET, &fresh, 2).await.unwrap();
    store.ingest("second", &fresh, 2).await.unwrap();
    let has_both = |_, body: &Value| {
        let version = |at: usize| body["data"][at]["version"].as_str();
        version(0) == Some(&fresh.version()) && version(1) == Some(&fresh.version())
    };
    service.wait_for("/v1/datasets", has_both).await;
    done.store(true, Ordering::SeqCst);
    asking.await.unwrap();
    let (_, profile) = service.get(&format!("/v1/genes/SIM1/profile?dataset={DATASET}")).await;
    assert_eq!(profile["dataset"]["version"], fresh.version());
    assert!(asked.load(Ordering::SeqCst) > 0);
    service.stop().await;
}

async fn a_store_that_goes_away_costs_readiness_and_no_answer(database: &TestDatabase) {
    let lab = Lab::open(database).await;
    let service = Service::start(database.open().await, lab.models.path()).await;
    service.wait_for("/readyz", |status, _| status == 200).await;
    database.vanish().await;
    let readiness = service.wait_for("/readyz", |status, _| status == 503).await;
    assert_eq!(readiness["checks"]["store"]["ok"], false, "{readiness}");
    for record in [lab.measured(), lab.with_holes(), lab.without_profile()[0], lab.all_zero()] {
        let (status, profile) = service.get(&format!("/v1/genes/{}/profile", record.gene.id)).await;
        assert_eq!(status, 200, "{profile}");
        lab.check_tissues(&profile);
        assert!(rows(&profile).iter().all(|row| row["value"].is_number()), "{profile}");
    }
    assert_eq!(service.get("/livez").await.0, 200);
    service.stop().await;
}

/// Odd genes of their own, each of which the API takes.
fn odd_genes() -> Value {
    let gene = |tss: u32, chromosome: &str, promoter: Value| json!({"chromosome": chromosome, "tss": tss, "strand": "+", "promoter": promoter, "biotype": "no_such_biotype"});
    json!([
        gene(1, "1", Value::Null),
        gene(u32::MAX, "1", Value::Null),
        gene(1_000_000, "2", json!("A")),
        gene(1_000_000, "2", json!("ACGTN")),
        gene(1_000_000, "3", json!("N".repeat(1_500))),
        gene(1_000_000, "3", json!("a".repeat(20_000))),
        gene(1_000_000, "chr4", json!("CG".repeat(750))),
        gene(1_000_000, "MT", json!("ACGT".repeat(300))),
        gene(7, "HLA-DRB1*15:01:01:02", Value::Null),
    ])
}

#[test]
fn every_baseline_answers_every_odd_gene() {
    crate::support::block_on(async {
        let lab = lab::genome(150, 1);
        let models = tempfile::tempdir().unwrap();
        let Simulated { dataset, tissues, records } = lab;
        let reference = tissuecast::reference::Reference::new(dataset, tissues, records);
        let mut names = Vec::new();
        for kind in BaselineKind::ALL {
            lab::train(&reference, kind, Scale::Log2, models.path());
            names.push(kind.as_str().to_owned());
            // The wide ridges take their time to fit and read the same features on either scale.
            if !matches!(kind, BaselineKind::RidgeNeighboursPromoter | BaselineKind::RidgeSurroundings) {
                names.push(format!("{kind}-scaled"));
                lab::train_as(&format!("{kind}-scaled"), &reference, kind, Scale::MinMax, models.path());
            }
        }
        let database = TestDatabase::create(crate::support::Database::Sqlite).await;
        let store = database.migrated().await;
        let files = tempfile::tempdir().unwrap();
        store.ingest(DATASET, &lab::table(&lab::genome(150, 1), files.path()), 1).await.unwrap();
        let app = lab::app(store, models.path()).await;
        for name in names {
            let answer = app.post("/v1/profiles", &json!({"model": name, "genes": odd_genes()})).await;
            assert_eq!(answer.status, StatusCode::OK, "{name}: {}", answer.text());
            let data = answer.json()["data"].clone();
            for (at, profile) in data.as_array().unwrap().iter().enumerate() {
                let known = rows(profile).iter().filter(|row| row["source"] == "imputed").count();
                assert_eq!(known, if at < 7 { 54 } else { 0 }, "{name}, gene {at}");
                let in_range = |row: &Value| row["relative"].as_f64().is_none_or(|x| (0.0..=1.0).contains(&x));
                assert!(rows(profile).iter().all(in_range), "{name}, gene {at}");
            }
        }
    });
}
