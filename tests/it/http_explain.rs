//! What imputed values rest on, measured by leaving parts out; and posted values in another unit than the dataset's.

use axum::http::StatusCode;
use serde_json::{Value, json};
use tissuecast::http::problem::Kind;
use tissuecast::model::Scale;
use tissuecast::reference::Unit;

use crate::http_support::{App, NearestTwo, OwnAndNear, Setup, TISSUES, served};

fn reading() -> App {
    let model = served(OwnAndNear(NearestTwo::new(Scale::Log2)), Unit::Tpm, &TISSUES);
    Setup { model: Some(model), ..Setup::default() }.build()
}

fn gene(promoter: bool, observed: &Value) -> Value {
    let mut gene = json!({"id": "mine", "chromosome": "12", "tss": 9000, "strand": "+", "observed": observed});
    if promoter {
        gene["promoter"] = json!("ACGT");
    }
    gene
}

async fn post(app: &App, body: &Value) -> Value {
    let answer = app.post("/v1/profiles", body).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    answer.json()["data"].clone()
}

fn log(value: &Value) -> f64 {
    (1.0 + value.as_f64().unwrap()).log2()
}

fn close(got: &Value, expected: f64) {
    let got = got.as_f64().unwrap_or_else(|| panic!("{got} is no number"));
    assert!((got - expected).abs() < 2e-4 * expected.abs().max(1.0), "{got} is not {expected}");
}

#[tokio::test]
async fn what_a_part_moves_is_what_the_prediction_loses_without_it() {
    let app = reading();
    let own = json!({"Liver": 7.0});
    let genes = json!([gene(true, &own), gene(false, &own), gene(true, &Value::Null)]);
    let data = post(&app, &json!({"genes": genes, "explain": true})).await;
    for tissue in 1..4 {
        let of = |at: usize| data[at]["tissues"][tissue].clone();
        let whole = log(&of(0)["value"]);
        let explanation = of(0)["explanation"].clone();
        close(&explanation["promoter"]["moved"], whole - log(&of(1)["value"]));
        close(&explanation["promoter"]["moved"], 0.5);
        close(&explanation["own_tissues"]["moved"], whole - log(&of(2)["value"]));
        // Without neighbours the model says what the gene's own liver says: log2 8, and the promoter's half.
        close(&explanation["neighbours"]["moved"], whole - 3.5);
        let parts = ["promoter", "neighbours", "own_tissues"].map(|part| explanation[part].clone());
        let total: f64 = parts.iter().map(|part| part["moved"].as_f64().unwrap().abs()).sum();
        for part in &parts {
            close(&part["share"], part["moved"].as_f64().unwrap().abs() / total);
        }
        assert_eq!(of(1)["explanation"]["promoter"], Value::Null, "no promoter, no part");
        assert_eq!(of(2)["explanation"]["own_tissues"], Value::Null);
        // Without own tissues this model needs its neighbours: what they do has no number.
        assert_eq!(of(2)["explanation"]["neighbours"], json!({"moved": null, "share": null}));
    }
    assert_eq!(data[0]["tissues"][0]["explanation"], Value::Null, "what was measured needs no explanation");
    assert!(data[0]["notes"].to_string().contains("log2(1 + tpm)"), "{}", data[0]["notes"]);
    let notes = data[0]["notes"].to_string();
    assert!(
        notes.contains(
            "read 1 measured tissue of the gene itself, beside the measured genes around it and its promoter"
        ),
        "{notes}"
    );
    let plain = post(&app, &json!({"genes": [gene(true, &own)]})).await;
    assert!(!plain.to_string().contains("explanation"), "only where it is asked for");
    assert_eq!(plain[0]["tissues"][1]["value"], data[0]["tissues"][1]["value"]);
}

#[tokio::test]
async fn a_known_gene_is_explained_afresh_and_in_every_format() {
    let app = reading();
    let path = "/v1/genes/DELTA/profile";
    let plain = app.get(path).await.json();
    for _ in 0..2 {
        let explained = app.get(&format!("{path}?explain=true")).await.json();
        let explanation = &explained["tissues"][1]["explanation"];
        assert!(explanation["own_tissues"]["moved"].is_number() && explanation["neighbours"]["moved"].is_number());
        assert_eq!(explained["tissues"][1]["value"], plain["tissues"][1]["value"]);
        assert_eq!(app.get(path).await.json(), plain, "the plain answer is kept apart");
    }
    let table = app.get(&format!("{path}?explain=true&format=tsv")).await.text();
    assert!(
        table.lines().next().unwrap().ends_with(
            "\tunit\tpromoter_moved\tpromoter_share\tneighbours_moved\tneighbours_share\town_tissues_moved\t\
             own_tissues_share"
        ),
        "{table}"
    );
    assert!(table.lines().nth(1).unwrap().ends_with("\ttpm\tNA\tNA\tNA\tNA\tNA\tNA"), "{table}");
    assert!(app.get(&format!("{path}?explain=true&format=svg")).await.text().starts_with("<svg "));
    let shapes = served(NearestTwo::new(Scale::MinMax), Unit::Tpm, &TISSUES);
    let app = Setup { model: Some(shapes), ..Setup::default() }.build();
    let explained = app.get("/v1/genes/GAMMA/profile?explain=true").await.json();
    assert!(explained["notes"].to_string().contains("0 to 1 over the gene's tissues"), "{}", explained["notes"]);
    assert_eq!(explained["tissues"][0]["explanation"], json!({"neighbours": {"moved": null, "share": null}}));
}

#[tokio::test]
async fn posted_tpm_comes_into_a_dataset_in_rpkm_by_its_own_sums() {
    let model = served(OwnAndNear(NearestTwo::new(Scale::Log2)), Unit::Rpkm, &TISSUES);
    let app = Setup { model: Some(model), unit: Unit::Rpkm, ..Setup::default() }.build();
    // The livers of the small dataset add up to 1 + 1 + 2 + 0 + 2 + 5 = 11; genes without a value count as nothing.
    let (tpm, rpkm) = (json!({"Liver": 500_000.0}), json!({"Liver": 5.5}));
    let body = json!({"unit": "rpkm", "genes": [
        {"chromosome": "12", "tss": 9000, "strand": "+", "observed": tpm, "unit": "TPM"},
        {"chromosome": "12", "tss": 9000, "strand": "+", "observed": rpkm},
    ]});
    let data = post(&app, &body).await;
    assert_eq!((&data[0]["unit"], &data[0]["tissues"]), (&json!("rpkm"), &data[1]["tissues"]));
    close(&data[0]["tissues"][0]["value"], 5.5);
    let notes = data[0]["notes"].to_string();
    assert!(notes.contains("1 observed value was posted in TPM and converted to RPKM"), "{notes}");
    assert!(notes.contains("RPKM = TPM × Σ RPKM ÷ 10⁶") && notes.contains("count as nothing"), "{notes}");
    assert!(!data[1]["notes"].to_string().contains("converted"), "{}", data[1]["notes"]);
    let whole = post(&app, &json!({"unit": "tpm", "genes": [gene(false, &tpm)]})).await;
    assert_eq!(whole[0]["tissues"], data[0]["tissues"], "the body's unit is that of every item without one");
    let none = post(&app, &json!({"unit": "tpm", "genes": [gene(false, &Value::Null), {"gene": "ALPHA"}]})).await;
    assert!(!none.to_string().contains("converted"), "nothing was posted, nothing is converted");
}

#[tokio::test]
async fn units_that_cannot_be_brought_together_are_refused_with_the_place() {
    let app = reading();
    let liver = json!({"Liver": 1.0});
    let cases = [
        (json!({"unit": "cpm", "genes": [{"gene": "ALPHA"}]}), "unit", "write tpm or rpkm"),
        (json!({"unit": "rpkm", "genes": [gene(false, &liver)]}), "genes[0].unit", "does not tell"),
    ];
    for (body, pointer, says) in cases {
        let answer = app.post("/v1/profiles", &body).await;
        assert_eq!(answer.problem(), Kind::InvalidItem.describe().0);
        let problem = answer.json();
        assert_eq!(problem["errors"][0]["pointer"], pointer);
        assert!(problem["detail"].as_str().unwrap().contains(says), "{problem}");
    }
    let mut wrong = gene(false, &liver);
    wrong["unit"] = json!(7);
    let answer = app.post("/v1/profiles", &json!({"genes": [wrong]})).await;
    assert_eq!(answer.json()["errors"][0]["pointer"], "genes[0].unit");
}

#[tokio::test]
async fn a_model_that_reads_no_own_tissues_says_what_became_of_them() {
    let observed = json!({"Liver": 2.5, "Lung": 1.0});
    let body = json!({"genes": [gene(false, &observed)]});
    let levels = Setup::default().build();
    let notes = post(&levels, &body).await[0]["notes"].to_string();
    assert!(
        notes.contains("does not read the gene's own values") && notes.contains("follows the 2 measured"),
        "{notes}"
    );
    let shapes = served(NearestTwo::new(Scale::MinMax), Unit::Tpm, &TISSUES);
    let shapes = Setup { model: Some(shapes), ..Setup::default() }.build();
    let notes = post(&shapes, &body).await[0]["notes"].to_string();
    assert!(notes.contains("had no part in the imputed shape"), "{notes}");
}
