//! How sure the service is of what was never measured: by tissue, and by gene.

use std::sync::Arc;

use axum::http::StatusCode;
use serde_json::{Value, json};
use tissuecast::model::Scale;
use tissuecast::reference::Unit;
use tokio::sync::mpsc;

use crate::http_support::{NearestTwo, OwnAndNear, Setup, TISSUES, served};

fn field(page: &Value, name: &str) -> Vec<Value> {
    page["data"].as_array().unwrap().iter().map(|one| one[name].clone()).collect()
}

fn close(got: &Value, expected: f64) {
    let got = got.as_f64().unwrap();
    assert!((got - expected).abs() < 1e-4 * expected.abs().max(1.0), "{got} is not {expected}");
}

#[tokio::test]
async fn a_tissues_missing_genes_are_paged_with_value_interval_and_reason() {
    let app = Setup::default().build();
    let answer = app.get("/v1/tissues/lung/missing").await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    assert_eq!(answer.header("x-tissuecast-model-digest"), format!("sha256:{}", "ab".repeat(32)));
    let page = answer.json();
    assert_eq!(
        (&page["tissue"], &page["unit"], &page["dataset"]["name"]),
        (&json!("Lung"), &json!("tpm"), &json!("small"))
    );
    assert_eq!(page["model"]["name"], "nearest-two");
    assert_eq!(
        page["paging_info"],
        json!({"numberOfPages": 1, "page": 0, "maxItemsPerPage": 250, "totalNumberOfItems": 4})
    );
    assert_eq!(field(&page, "symbol"), ["GAMMA", "DELTA", "LONELY", "NOWHERE"]);
    assert_eq!(field(&page, "missing"), ["no_profile", "some_tissues", "no_profile", "no_profile"]);
    assert_eq!(field(&page, "source"), ["imputed", "imputed", "unknown", "unknown"]);
    // GAMMA's lung is log2 2 with half a unit either way, so that (1 + upper) ÷ (1 + lower) is 2.
    let gamma = &page["data"][0];
    close(&gamma["value"], 3.0);
    close(&gamma["lower"], 1.5_f64.exp2() - 1.0);
    close(&gamma["upper"], 2.5_f64.exp2() - 1.0);
    close(&gamma["fold_range"], 2.0);
    assert_eq!(gamma["reason"], Value::Null);
    for name in ["value", "lower", "upper", "fold_range", "relative"] {
        assert_eq!(field(&page, name)[2..], [Value::Null, Value::Null], "{name}");
    }
    let reasons = field(&page, "reason");
    assert!(reasons[2].as_str().unwrap().contains("no measured gene on chrX"), "{reasons:?}");
    assert!(reasons[3].as_str().unwrap().contains("no place"), "{reasons:?}");
    // The same values as the gene's own profile.
    let profile = app.get("/v1/genes/GAMMA/profile?tissue=Lung").await.json();
    for name in ["value", "lower", "upper", "relative"] {
        assert_eq!(profile["tissues"][0][name], gamma[name], "{name}");
    }

    let second = app.get("/v1/tissues/Lung/missing?items_per_page=1&page=1").await.json();
    assert_eq!((field(&second, "symbol"), &second["paging_info"]["numberOfPages"]), (vec![json!("DELTA")], &json!(4)));
    assert_eq!(field(&app.get("/v1/tissues/Lung/missing?page=9").await.json(), "symbol"), Vec::<Value>::new());
    let liver = app.get("/v1/tissues/Liver/missing").await.json();
    assert_eq!(field(&liver, "symbol"), ["GAMMA", "LONELY", "NOWHERE"]);
    let table = app.get("/v1/tissues/Lung/missing?format=tsv&items_per_page=2").await.text();
    let rows: Vec<Vec<&str>> = table.lines().map(|line| line.split('\t').collect()).collect();
    let heading = "gene_id version symbol chromosome start end strand tss biotype missing source value lower upper \
                   fold_range relative reason";
    assert_eq!(rows[0], heading.split_whitespace().collect::<Vec<_>>());
    assert_eq!(
        rows[1][..11].join(" "),
        "ENSG00000000003 1 GAMMA chr12 9000 9900 + 9000 protein_coding no_profile imputed"
    );
    assert_eq!((rows.len(), rows[2][2], rows[2][16]), (3, "DELTA", "NA"));
    assert_eq!(rows[1][11].parse::<f64>().ok(), gamma["value"].as_f64());
    let arrow = app.get("/v1/tissues/Lung/missing?format=arrow").await;
    assert_eq!(arrow.header("content-type"), "application/vnd.apache.arrow.stream");
}

#[tokio::test]
async fn a_page_is_one_submission_and_is_imputed_once() {
    let (saver, mut saved) = mpsc::channel(8);
    let model = NearestTwo::new(Scale::Log2);
    let computed = Arc::clone(&model.computed);
    let app = Setup { saver: Some(saver), ..Setup::with_model(model) }.build();
    for path in ["/v1/tissues/Lung/missing", "/v1/genes?missing=true", "/v1/tissues/Lung/missing?format=tsv"] {
        assert_eq!(app.get(path).await.status, StatusCode::OK);
    }
    assert_eq!(*computed.lock().unwrap(), [9_000, 12_000]);
    assert_eq!(saved.recv().await.unwrap().profiles.len(), 2);
    assert!(saved.try_recv().is_err(), "saved once");
    assert!(app.get("/v1/genes/DELTA/profile").await.header("server-timing").find("compute").is_none(), "recalled");
}

#[tokio::test]
async fn listed_missing_genes_say_how_sure_they_are() {
    let app = Setup::default().build();
    let listed = app.get("/v1/genes?missing=true").await.json();
    assert_eq!(field(&listed, "symbol"), ["GAMMA", "DELTA", "NOUGHT", "LONELY", "NOWHERE"]);
    assert_eq!(field(&listed, "missing_tissues"), [4, 2, 0, 4, 4]);
    let ranges = field(&listed, "fold_range");
    close(&ranges[0], 2.0);
    close(&ranges[1], 2.0);
    assert_eq!(ranges[2..], [Value::Null, Value::Null, Value::Null], "unknown is null");
    let table = app.get("/v1/genes?missing=true&tissue=lung&format=tsv").await.text();
    assert!(table.lines().next().unwrap().ends_with("\tmissing\tmissing_tissues\tfold_range"), "{table}");
    // Without `missing`, and on long pages, the list is as it was.
    for path in ["/v1/genes", "/v1/genes?missing=true&items_per_page=501", "/v1/genes/GAMMA"] {
        assert!(!app.get(path).await.text().contains("fold_range"), "{path}");
    }
    let none = Setup { model: None, ..Setup::default() }.build();
    assert_eq!(field(&none.get("/v1/genes?missing=true").await.json(), "fold_range"), vec![Value::Null; 5]);
    let page = none.get("/v1/tissues/Lung/missing").await.json();
    assert_eq!((&page["model"], field(&page, "source")), (&Value::Null, vec![json!("unknown"); 4]));
}

#[tokio::test]
async fn a_model_that_reads_own_tissues_is_surer_of_partly_measured_genes() {
    let model = served(OwnAndNear(NearestTwo::new(Scale::Log2)), Unit::Tpm, &TISSUES);
    let app = Setup { model: Some(model), ..Setup::default() }.build();
    let listed = app.get("/v1/genes?missing=true").await.json();
    let ranges = field(&listed, "fold_range");
    close(&ranges[0], 2.0);
    // Half of DELTA's tissues are known: half widths of a quarter.
    close(&ranges[1], 0.5_f64.exp2());
    let profile = app.get("/v1/genes/DELTA/profile").await.json();
    let notes = profile["notes"].to_string();
    assert!(
        notes.contains("read 2 measured tissues of the gene itself") && notes.contains("more than a quarter"),
        "{notes}"
    );
    assert!(!notes.contains("promoter"), "DELTA has none: {notes}");
}

#[tokio::test]
async fn shapes_without_levels_have_no_range() {
    let model = served(NearestTwo::new(Scale::MinMax), Unit::Tpm, &TISSUES);
    let app = Setup { model: Some(model), ..Setup::default() }.build();
    let page = app.get("/v1/tissues/Lung/missing").await.json();
    assert_eq!(field(&page, "source")[0], "imputed");
    assert_eq!((&field(&page, "value")[0], &field(&page, "fold_range")[0]), (&Value::Null, &Value::Null));
    assert!(field(&page, "relative")[0].is_number());
}

#[tokio::test]
async fn a_tissue_that_the_model_does_not_know_says_so() {
    let model = served(NearestTwo::new(Scale::Log2), Unit::Tpm, &["Brain_Cortex", "Liver"]);
    let app = Setup { model: Some(model), ..Setup::default() }.build();
    let page = app.get("/v1/tissues/Lung/missing").await.json();
    assert_eq!(field(&page, "source"), vec!["unknown"; 4]);
    assert_eq!(page["data"][0]["reason"], "the model does not know Lung");
}
