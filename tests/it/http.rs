//! The API's answers, field by field.

use arrow_array::{Array as _, Float32Array, StringArray};
use arrow_ipc::reader::StreamReader;
use axum::http::StatusCode;
use serde_json::{Value, json};
use tissuecast::model::Scale;
use tissuecast::reference::Unit;
use tokio::sync::mpsc;

use crate::http_support::{NearestTwo, Setup, TISSUES, served};

fn column(profile: &Value, field: &str) -> Vec<Value> {
    profile["tissues"].as_array().unwrap().iter().map(|one| one[field].clone()).collect()
}

fn close(got: &Value, expected: f64) {
    let got = got.as_f64().unwrap();
    assert!((got - expected).abs() < 1e-4 * expected.abs().max(1.0), "{got} is not {expected}");
}

#[tokio::test]
async fn a_measured_profile_has_the_documented_shape() {
    let app = Setup::default().build();
    let answer = app.get("/v1/genes/ALPHA/profile?tissue=Liver&tissue=Brain%20-%20Cortex").await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(answer.header("x-tissuecast-model-digest"), format!("sha256:{}", "ab".repeat(32)));
    assert_eq!(
        answer.json(),
        json!({
            "gene": {"gene_id": "ENSG00000000001", "version": 4, "symbol": "ALPHA", "chromosome": "chr12", "start": 1000,
                     "end": 2000, "strand": "+", "tss": 1000, "biotype": "protein_coding"},
            "dataset": {"name": "small", "version": "small-v1"},
            "model": {"name": "nearest-two", "version": "1.0.0", "digest": format!("sha256:{}", "ab".repeat(32))},
            "unit": "tpm",
            "missing": null,
            "tissues": [
                {"tissue": "Liver", "name": "Liver", "value": 1.0, "source": "measured", "lower": null, "upper": null,
                 "relative": 0.0},
                {"tissue": "Brain_Cortex", "name": "Brain - Cortex", "value": 7.0, "source": "measured", "lower": null,
                 "upper": null, "relative": 0.428_571_43},
            ],
            "references": [],
            "notes": [],
        })
    );
}

#[tokio::test]
async fn a_missing_profile_is_imputed_with_interval_and_references() {
    let app = Setup::default().build();
    let answer = app.get("/v1/genes/gamma/profile").await;
    let profile = answer.json();
    assert_eq!(profile["missing"], "no_profile");
    assert_eq!(column(&profile, "source"), vec!["imputed"; 4]);
    // The mean of the neighbours on log2(1 + x): (1,2,3,0) and (1,2,3,4) give (1,2,3,2), and 2^p − 1 of it.
    for (got, expected) in column(&profile, "value").iter().zip([1.0, 3.0, 7.0, 3.0]) {
        close(got, expected);
    }
    for (got, p) in column(&profile, "lower").iter().zip([1.0, 2.0, 3.0, 2.0]) {
        close(got, f64::exp2(p - 0.5) - 1.0);
    }
    for (got, p) in column(&profile, "upper").iter().zip([1.0, 2.0, 3.0, 2.0]) {
        close(got, f64::exp2(p + 0.5) - 1.0);
    }
    for (got, expected) in column(&profile, "relative").iter().zip([0.0, 1.0 / 3.0, 1.0, 1.0 / 3.0]) {
        close(got, expected);
    }
    assert_eq!(
        profile["references"],
        json!([
            {"gene_id": "ENSG00000000002", "symbol": "BETA", "distance_bp": -3000, "orientation": "tandem"},
            {"gene_id": "ENSG00000000001", "symbol": "ALPHA", "distance_bp": -8000, "orientation": "tandem"},
        ])
    );
    assert!(profile["notes"][0].as_str().unwrap().contains("90.5 %"), "the coverage is told: {}", profile["notes"]);
    assert!(answer.header("server-timing").contains("compute;dur="), "{}", answer.header("server-timing"));
}

#[tokio::test]
async fn measured_tissues_stay_and_only_the_others_are_imputed() {
    let app = Setup::default().build();
    let profile = app.get("/v1/genes/DELTA/profile").await.json();
    assert_eq!(profile["missing"], "some_tissues");
    assert_eq!(column(&profile, "source"), ["measured", "imputed", "measured", "imputed"]);
    assert_eq!((&profile["tissues"][0]["value"], &profile["tissues"][2]["value"]), (&json!(2.0), &json!(0.0)));
    // The model says log2 values of 1, 2, 3, 2; those measured, log2 3 and 0, lie below: the level follows, by a third
    // less than the two differences ask for.
    let shift = ((3.0_f64.log2() - 1.0) + (0.0 - 3.0)) / 3.0;
    close(&profile["tissues"][1]["value"], (2.0 + shift).exp2() - 1.0);
    assert!(
        profile["notes"].to_string().contains("follows the 2 measured tissues of the gene"),
        "{}",
        profile["notes"]
    );
    let missing = app.get("/v1/genes/DELTA/profile?missing_only=true").await.json();
    assert_eq!(column(&missing, "tissue"), ["Lung", "Whole_Blood"]);
}

#[tokio::test]
async fn a_gene_that_is_all_zero_is_measured_zero_and_listed_as_missing() {
    let app = Setup::default().build();
    let profile = app.get("/v1/genes/NOUGHT/profile").await.json();
    assert_eq!((&profile["missing"], column(&profile, "source")), (&json!("all_zero"), vec![json!("measured"); 4]));
    assert_eq!(column(&profile, "value"), vec![json!(0.0); 4]);
    let listed = app.get("/v1/genes?missing=true").await.json();
    let reasons: Vec<_> =
        listed["data"].as_array().unwrap().iter().map(|one| (one["symbol"].clone(), one["missing"].clone())).collect();
    let expected = [
        ("GAMMA", "no_profile"),
        ("DELTA", "some_tissues"),
        ("NOUGHT", "all_zero"),
        ("LONELY", "no_profile"),
        ("NOWHERE", "no_profile"),
    ];
    assert_eq!(reasons, expected.map(|(symbol, reason)| (json!(symbol), json!(reason))));
    let lung = app.get("/v1/genes?missing=true&tissue=lung&items_per_page=2&page=1").await.json();
    assert_eq!(lung["data"].as_array().unwrap().len(), 2);
    assert_eq!(
        lung["paging_info"],
        json!({"numberOfPages": 2, "page": 1, "maxItemsPerPage": 2, "totalNumberOfItems": 4})
    );
}

#[tokio::test]
async fn what_cannot_be_imputed_is_null_with_a_reason_and_no_error() {
    let app = Setup::default().build();
    for (gene, reason) in [("NOWHERE", "no place"), ("LONELY", "no measured gene on chrX")] {
        let answer = app.get(&format!("/v1/genes/{gene}/profile")).await;
        assert_eq!(answer.status, StatusCode::OK);
        let profile = answer.json();
        assert_eq!(profile["missing"], "no_profile");
        assert_eq!(column(&profile, "value"), vec![Value::Null; 4]);
        assert_eq!(column(&profile, "source"), vec!["unknown"; 4]);
        assert!(profile["notes"][0].as_str().unwrap().contains(reason), "{}", profile["notes"]);
    }
    let app = Setup { model: None, ..Setup::default() }.build();
    let profile = app.get("/v1/genes/GAMMA/profile").await.json();
    assert_eq!((&profile["model"], column(&profile, "value")), (&Value::Null, vec![Value::Null; 4]));
    assert!(profile["notes"][0].as_str().unwrap().contains("no model"));
}

#[tokio::test]
async fn a_shape_without_a_level_has_no_value() {
    let shapes = served(NearestTwo::new(Scale::MinMax), Unit::Tpm, &TISSUES);
    let other_unit = served(NearestTwo::new(Scale::Log2), Unit::Rpkm, &TISSUES);
    for (model, note) in [(shapes, "relative shapes only"), (other_unit, "learned from rpkm")] {
        let app = Setup { model: Some(model), ..Setup::default() }.build();
        let profile = app.get("/v1/genes/GAMMA/profile").await.json();
        for field in ["value", "lower", "upper"] {
            assert_eq!(column(&profile, field), vec![Value::Null; 4], "{field}");
        }
        let relative = column(&profile, "relative");
        assert_eq!((&relative[0], &relative[2]), (&json!(0.0), &json!(1.0)));
        assert!(profile["notes"][0].as_str().unwrap().contains(note), "{}", profile["notes"]);
    }
}

#[tokio::test]
async fn a_tissue_that_the_model_does_not_know_stays_unknown() {
    let model = served(NearestTwo::new(Scale::Log2), Unit::Tpm, &["Brain_Cortex", "Liver"]);
    let app = Setup { model: Some(model), ..Setup::default() }.build();
    let profile = app.get("/v1/genes/GAMMA/profile").await.json();
    assert_eq!(column(&profile, "source"), ["imputed", "unknown", "imputed", "unknown"]);
    // In these two tissues DELTA is measured in full and, like BETA, one of the two nearest.
    close(&profile["tissues"][0]["value"], f64::sqrt(2.0 * 3.0) - 1.0);
    close(&profile["tissues"][2]["value"], f64::sqrt(8.0) - 1.0);
}

#[tokio::test]
async fn genes_are_found_by_id_version_and_symbol_in_either_case() {
    let app = Setup::default().build();
    for name in ["ALPHA", "alpha", "ENSG00000000001", "ENSG00000000001.4", "ENSG00000000001.9", "ensg00000000001"] {
        let gene = app.get(&format!("/v1/genes/{name}")).await.json();
        assert_eq!((&gene["symbol"], &gene["version"], &gene["missing"]), (&json!("ALPHA"), &json!(4), &Value::Null));
    }
    let found = app.get("/v1/genes?query=ta").await.json();
    let symbols: Vec<_> = found["data"].as_array().unwrap().iter().map(|one| one["symbol"].clone()).collect();
    assert_eq!(symbols, ["BETA", "DELTA"]);
    let found = app.get("/v1/genes?query=ENSG00000000006&chromosome=chr13&biotype=protein_coding").await.json();
    assert_eq!(found["paging_info"]["totalNumberOfItems"], 1);
    let table = app.get("/v1/genes?chromosome=X&format=tsv").await.text();
    insta::assert_snapshot!(table, @r"
    gene_id	version	symbol	chromosome	start	end	strand	tss	biotype	missing
    ENSG00000000009	NA	LONELY	chrX	1000	2000	+	1000	protein_coding	no_profile
    ");
}

#[tokio::test]
async fn a_profile_comes_in_four_formats() {
    let app = Setup::default().build();
    let tsv = app.get_with("/v1/genes/DELTA/profile", ("accept", "text/tab-separated-values")).await;
    assert_eq!(tsv.header("content-type"), "text/tab-separated-values; charset=utf-8");
    insta::assert_snapshot!(tsv.text(), @r"
    gene_id	symbol	tissue	source	value	lower	upper	relative	unit
    ENSG00000000004	DELTA	Liver	measured	2	NA	NA	1	tpm
    ENSG00000000004	DELTA	Lung	imputed	1.2894285	0.6188704	2.237741	0.64471424	tpm
    ENSG00000000004	DELTA	Brain_Cortex	measured	0	NA	NA	0	tpm
    ENSG00000000004	DELTA	Whole_Blood	imputed	1.2894285	0.6188704	2.237741	0.64471424	tpm
    ");
    let arrow = app.get("/v1/genes/DELTA/profile?format=arrow").await;
    assert_eq!(arrow.header("content-type"), "application/vnd.apache.arrow.stream");
    let batch = StreamReader::try_new(arrow.body.as_slice(), None).unwrap().next().unwrap().unwrap();
    let lower = batch.column_by_name("lower").unwrap().as_any().downcast_ref::<Float32Array>().unwrap();
    let tissue = batch.column_by_name("tissue").unwrap().as_any().downcast_ref::<StringArray>().unwrap();
    assert!(lower.is_null(0) && lower.is_valid(1));
    assert_eq!((batch.num_rows(), tissue.value(3)), (4, "Whole_Blood"));
    let svg = app.get_with("/v1/genes/DELTA/profile", ("accept", "image/svg+xml, */*;q=0.1")).await;
    assert_eq!(svg.header("content-type"), "image/svg+xml");
    assert!(svg.text().starts_with("<svg ") && svg.text().contains("2 tissues measured, 2 imputed"));
}

#[tokio::test]
async fn a_profile_that_the_client_has_is_not_sent_again() {
    let app = Setup::default().build();
    let path = "/v1/genes/GAMMA/profile";
    let first = app.get(path).await;
    let tag = first.header("etag").to_owned();
    assert!(tag.contains("small-v1") && tag.contains("abababab"), "{tag} names dataset and model");
    assert_ne!(tag, app.get(&format!("{path}?format=tsv")).await.header("etag"));
    let again = app.get_with(path, ("if-none-match", &tag)).await;
    assert_eq!((again.status, again.body.len(), again.header("etag")), (StatusCode::NOT_MODIFIED, 0, tag.as_str()));
    assert_eq!(app.get_with(path, ("if-none-match", "\"other\"")).await.body, first.body);
}

#[tokio::test]
async fn a_batch_answers_in_order_with_new_and_unknown_genes() {
    let app = Setup::default().build();
    let body = json!({"dataset": "small", "model": "nearest-two@1.0.0", "genes": [
        {"gene": "alpha"},
        {"id": "mine", "chromosome": "12", "tss": 9000, "strand": "-", "biotype": "lincRNA", "promoter": "acgtN",
         "observed": {"Liver": 2.5}},
        {"gene": "ALPHQ"},
        {"gene": "TWIN"},
        {"chromosome": "chr12", "tss": 9000, "strand": "+"},
        {"gene": "ENSG00000000003.1"},
        {"chromosome": "chrY", "tss": 1, "strand": "+"},
    ]});
    let answer = app.post("/v1/profiles", &body).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    let answer_json = answer.json();
    let data = answer_json["data"].as_array().unwrap();
    assert_eq!(answer_json["paging_info"]["totalNumberOfItems"], 7);
    assert_eq!(data[0]["gene"]["symbol"], "ALPHA");
    assert_eq!(
        data[1]["gene"],
        json!({"gene_id": "mine", "version": null, "symbol": "mine", "chromosome": "chr12", "start": null, "end": null,
               "strand": "-", "tss": 9000, "biotype": "lincRNA"})
    );
    assert_eq!(
        (&data[1]["missing"], column(&data[1], "source")[0].clone()),
        (&json!("some_tissues"), json!("measured"))
    );
    assert_eq!(data[1]["tissues"][0]["value"], 2.5);
    close(&data[1]["tissues"][2]["value"], (3.0 + (3.5_f64.log2() - 1.0) / 2.0).exp2() - 1.0);
    assert_eq!((&data[2]["query"], &data[2]["error"]["type"]), (&json!("ALPHQ"), &json!("/problems/unknown-gene")));
    assert_eq!(data[2]["error"]["candidates"], json!(["ALPHA"]));
    assert_eq!((&data[3]["query"], &data[3]["error"]["status"]), (&json!("TWIN"), &json!(409)));
    assert_eq!(data[4]["gene"]["gene_id"], "new_gene_5");
    assert_eq!(data[5]["tissues"], data[4]["tissues"], "a known gene and a new one in its place");
    assert_eq!(column(&data[6], "source"), vec!["unknown"; 4]);
    let tsv = app.post("/v1/profiles?format=tsv", &json!({"genes": [{"gene": "NO"}, {"gene": "NOUGHT"}]})).await.text();
    assert_eq!(tsv.lines().nth(1).unwrap(), "NO\tNA\tNA\tnot_found\tNA\tNA\tNA\tNA\tNA");
    assert_eq!(tsv.lines().count(), 6);
}

#[tokio::test]
async fn imputed_profiles_of_known_genes_are_computed_once_and_handed_over_to_be_saved() {
    let (saver, mut saved) = mpsc::channel(8);
    let model = NearestTwo::new(Scale::Log2);
    let computed = std::sync::Arc::clone(&model.computed);
    let app = Setup { saver: Some(saver), ..Setup::with_model(model) }.build();
    for format in ["json", "tsv", "svg"] {
        app.get(&format!("/v1/genes/GAMMA/profile?format={format}")).await;
    }
    app.post("/v1/profiles", &json!({"genes": [{"gene": "GAMMA"}]})).await;
    assert_eq!(*computed.lock().unwrap(), [9_000]);
    let save = saved.recv().await.unwrap();
    assert_eq!((save.dataset_version.as_str(), save.profiles.len()), ("small-v1", 1));
    assert_eq!(save.profiles[0].0.as_str(), "ENSG00000000003");
    let read: tissuecast::model::served::ImputedProfile = serde_json::from_str(&save.profiles[0].1).unwrap();
    assert_eq!(read.references[0].symbol.as_str(), "BETA");
    assert!(saved.try_recv().is_err(), "saved once");
}

#[tokio::test]
async fn what_is_loaded_is_listed() {
    let app = Setup::default().build();
    let models = app.get("/v1/models").await.json();
    assert_eq!(models["data"][0]["name"], "nearest-two");
    assert_eq!(models["data"][0]["datasets"], json!(["small"]));
    let model = app.get("/v1/models/nearest-two").await.json();
    assert_eq!((&model["scale"], &model["unit"]), (&json!("log2"), &json!("tpm")));
    assert_eq!(model["calibration"]["strata"][0]["coverage"], 0.905);
    assert_eq!(model["training"]["held_out_chromosomes"], json!(["chr8"]));
    let datasets = app.get("/v1/datasets").await.json();
    assert_eq!(
        datasets["data"],
        json!([{"name": "small", "version": "small-v1", "assembly": "GRCh38", "unit": "tpm", "genes": 9, "tissues": 4,
                "promoters": 0, "is_default": true, "default_model": "nearest-two", "models": [{"model": "nearest-two@1.0.0", "is_default": true}],
                "unfit_models": {}}])
    );
    let tissues = app.get("/v1/tissues?dataset=small").await.json();
    assert_eq!(
        tissues["data"][2],
        json!({"tissue": "Brain_Cortex", "name": "Brain - Cortex", "colour": "EEEE00", "system": "nervous",
               "genes_measured": 6})
    );
    let info = app.get("/service-info").await.json();
    assert_eq!((&info["type"]["artifact"], &info["organization"]["name"]), (&json!("tissuecast"), &json!("a lab")));
    for field in ["id", "name", "version"] {
        assert!(info[field].is_string(), "GA4GH requires {field}");
    }
}

#[tokio::test]
async fn readiness_explains_itself_and_liveness_does_not_follow_it() {
    let app = Setup::default().build();
    let ready = app.get("/readyz").await;
    assert_eq!((ready.status, &ready.json()["ready"]), (StatusCode::OK, &json!(true)));
    app.state.note_store(false);
    let answer = app.get("/readyz").await;
    assert_eq!(
        (answer.status, &answer.json()["checks"]["store"]["ok"]),
        (StatusCode::SERVICE_UNAVAILABLE, &json!(false))
    );
    app.state.note_store(true);
    app.state.drain();
    assert_eq!(app.get("/readyz").await.json()["checks"]["shutdown"]["ok"], false);
    assert_eq!(app.get("/livez").await.status, StatusCode::OK);
    let empty = Setup { datasets: Vec::new(), ..Setup::default() }.build();
    assert_eq!(empty.get("/readyz").await.json()["checks"]["datasets"]["ok"], false);
}

#[tokio::test]
async fn request_ids_are_kept_or_given_and_answers_are_compressed_when_asked() {
    let app = Setup::default().build();
    assert_eq!(app.get_with("/livez", ("x-request-id", "abc-1")).await.header("x-request-id"), "abc-1");
    let (one, two) = (app.get("/livez").await, app.get_with("/livez", ("x-request-id", "a b\"<")).await);
    assert_eq!(one.header("x-request-id").len(), 18);
    assert_ne!(one.header("x-request-id"), two.header("x-request-id"));
    assert!(one.header("server-timing").starts_with("total;dur="));
    let small = app.get_with("/livez", ("accept-encoding", "gzip")).await;
    assert_eq!(small.header("content-encoding"), "");
    let large = app.get_with("/v1/genes", ("accept-encoding", "gzip")).await;
    assert_eq!(large.header("content-encoding"), "gzip");
}
