//! What a client gets wrong, and what can go wrong inside: every documented problem, each with what names the fault.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use serde_json::{Value, json};
use tissuecast::http::problem::Kind;
use tissuecast::http::state::HttpLimits;
use tissuecast::inference::Limits;
use tissuecast::model::Scale;
use tissuecast::reference::Unit;

use crate::http_support::{App, Door, NearestTwo, Setup, served};

fn held() -> (Arc<Door>, NearestTwo) {
    let door = Arc::new(Door::default());
    (Arc::clone(&door), NearestTwo { door: Some(door), ..NearestTwo::new(Scale::Log2) })
}

fn name(kind: Kind) -> &'static str {
    kind.describe().0
}

#[tokio::test]
async fn what_is_not_there_is_named_with_what_is() {
    let app = Setup::default().build();
    let cases = [
        ("/v1/genes/BETTA", Kind::UnknownGene, json!(["BETA"])),
        ("/v1/genes/ENSG00000000099/profile", Kind::UnknownGene, json!(["ENSG00000000009"])),
        ("/v1/genes/TWIN/profile", Kind::AmbiguousGene, json!(["ENSG00000000006", "ENSG00000000007"])),
        ("/v1/genes/ALPHA/profile?dataset=other", Kind::UnknownDataset, json!(["small"])),
        ("/v1/genes/ALPHA/profile?model=other", Kind::UnknownModel, json!(["nearest-two@1.0.0"])),
        ("/v1/tissues/Livre/missing", Kind::UnknownTissue, json!(["Liver"])),
        ("/v1/tissues/Liver/missing?model=other", Kind::UnknownModel, json!(["nearest-two@1.0.0"])),
        ("/v1/models/other", Kind::UnknownModel, json!(["nearest-two@1.0.0"])),
        ("/v1/models/nearest-two@2", Kind::UnknownModel, json!(["nearest-two@1.0.0"])),
    ];
    for (path, kind, candidates) in cases {
        let answer = app.get(path).await;
        assert_eq!(answer.problem(), name(kind), "{path}");
        let listed = answer.json()["candidates"].clone();
        let first = candidates.as_array().unwrap().iter().all(|one| listed.as_array().unwrap().contains(one));
        assert!(first, "{path}: {listed}");
    }
}

#[tokio::test]
async fn the_dataset_has_to_be_named_where_there_are_several_or_none() {
    let app = Setup { datasets: vec!["one", "two"], ..Setup::default() }.build();
    let answer = app.get("/v1/genes/ALPHA/profile").await;
    assert_eq!(answer.problem(), name(Kind::NoDefaultDataset));
    assert_eq!(answer.json()["candidates"], json!(["one", "two"]));
    assert_eq!(app.get("/v1/genes/ALPHA/profile?dataset=two").await.json()["dataset"]["name"], "two");
    let none = Setup { datasets: Vec::new(), ..Setup::default() }.build();
    assert_eq!(none.get("/v1/genes").await.problem(), name(Kind::NoDefaultDataset));
}

#[tokio::test]
async fn a_model_that_cannot_read_the_dataset_says_which_tissues_lack() {
    let model = served(NearestTwo::new(Scale::Log2), Unit::Tpm, &["Liver", "Spleen"]);
    let app = Setup { model: Some(model), ..Setup::default() }.build();
    let answer = app.get("/v1/genes/GAMMA/profile?model=nearest-two").await;
    assert_eq!(answer.problem(), name(Kind::ModelDoesNotFit));
    assert!(answer.json()["detail"].as_str().unwrap().contains("Spleen"));
    assert_eq!(app.get("/v1/genes/GAMMA/profile").await.status, StatusCode::OK, "without it nothing is imputed");
}

#[tokio::test]
async fn wrong_parameters_are_named() {
    let app = Setup::default().build();
    for (path, parameter) in [
        ("/v1/genes/ALPHA/profile?tissue=Livre", "tissue"),
        ("/v1/genes/ALPHA/profile?tisue=Liver", "tisue"),
        ("/v1/genes/ALPHA/profile?missing_only=maybe", "missing_only"),
        ("/v1/genes/ALPHA/profile?format=pdf", "format"),
        ("/v1/genes/ALPHA/profile?dataset=a&dataset=b", "dataset"),
        ("/v1/genes?format=svg", "format"),
        ("/v1/genes?page=-1", "page"),
        ("/v1/genes?model=nearest-two", "model"),
        ("/v1/genes/ALPHA/profile?explain=perhaps", "explain"),
        ("/v1/tissues/Liver/missing?items_per_page=501", "items_per_page"),
        ("/v1/tissues/Liver/missing?sort=certainty", "sort"),
        ("/v1/genes?items_per_page=0", "items_per_page"),
        ("/v1/genes?tissue=Liver", "tissue"),
        ("/v1/genes?chromosome=chr%201", "chromosome"),
        ("/v1/genes?query=%ff", "query"),
    ] {
        let answer = app.get(path).await;
        if answer.status == StatusCode::OK {
            assert_eq!(path, "/v1/genes?query=%ff", "a lossy query matches nothing");
            continue;
        }
        assert_eq!(answer.problem(), name(Kind::InvalidParameter), "{path}");
        assert_eq!(answer.json()["errors"][0]["pointer"], parameter, "{path}");
    }
    let nearest = app.get("/v1/genes/ALPHA/profile?tissue=cortex").await.json();
    assert_eq!(nearest["candidates"][0], "Brain_Cortex");
}

fn gene(change: (&str, Value)) -> Value {
    let mut gene = json!({"id": "mine", "chromosome": "chr12", "tss": 9000, "strand": "+"});
    gene[change.0] = change.1;
    gene
}

#[tokio::test]
async fn a_wrong_item_is_named_by_index_and_field() {
    let app = Setup::default().build();
    let cases = [
        (gene(("promoter", json!("ACGXT"))), "promoter", "letter 'X' at base 4"),
        (gene(("promoter", json!("é"))), "promoter", "at base 1"),
        (gene(("promoter", json!("A".repeat(20_001)))), "promoter", "the limit is 20000"),
        (gene(("promoter", json!(""))), "promoter", "is empty"),
        (gene(("promoter", json!(7))), "promoter", "is not a string"),
        (gene(("tss", json!(133_275_310))), "tss", "beyond the end of chr12, which has 133275309 bases in GRCh38"),
        (gene(("tss", json!(0))), "tss", "whole number"),
        (gene(("tss", json!(1.5))), "tss", "whole number"),
        (gene(("tss", json!("9000"))), "tss", "whole number"),
        (gene(("tss", json!(u64::MAX))), "tss", "whole number"),
        (gene(("tss", Value::Null)), "tss", "is missing"),
        (gene(("strand", json!("forward"))), "strand", "write + or -"),
        (gene(("chromosome", json!(""))), "chromosome", "not a chromosome name"),
        (gene(("chromosome", Value::Null)), "chromosome", "is missing"),
        (gene(("id", json!(" "))), "id", "is empty"),
        (gene(("observed", json!([1]))), "observed", "is not an object"),
        (gene(("observed", json!({"Livre": 1}))), "observed.Livre", "no tissue 'Livre'; nearest: Liver"),
        (gene(("observed", json!({"Liver": -1}))), "observed.Liver", "at least 0"),
        (gene(("observed", json!({"Liver": "1"}))), "observed.Liver", "at least 0"),
        (gene(("observed", json!({"Liver": 1e39}))), "observed.Liver", "at least 0"),
        (gene(("observed", json!({"Brain - Cortex": 1, "Brain_Cortex": 2}))), "observed.Brain_Cortex", "twice"),
        (gene(("sequence", json!("ACGT"))), "sequence", "is no field"),
        (json!({"gene": "ALPHA", "tss": 1}), "tss", "stands beside 'gene'"),
        (json!({"gene": 1}), "gene", "is not a string"),
    ];
    for (item, field, detail) in cases {
        let answer = app.post("/v1/profiles", &json!({"genes": [{"gene": "ALPHA"}, item]})).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{field}: {}", answer.text());
        assert_eq!(answer.problem(), name(Kind::InvalidItem));
        let wrong = &answer.json()["errors"][0];
        assert_eq!(wrong["pointer"], format!("genes[1].{field}"));
        assert!(wrong["detail"].as_str().unwrap().contains(detail), "{field}: {wrong}");
    }
    let several = json!({"genes": [7, {"gene": "ALPHA"}, {"chromosome": "1"}]});
    let errors = app.post("/v1/profiles", &several).await.json()["errors"].clone();
    assert_eq!((&errors[0]["pointer"], &errors[1]["pointer"]), (&json!("genes[0]"), &json!("genes[2].tss")));
}

#[tokio::test]
async fn empty_and_oversized_batches_are_refused() {
    let limits = HttpLimits { batch_genes: 2, body_bytes: 400, ..HttpLimits::default() };
    let app = Setup { limits, ..Setup::default() }.build();
    for genes in [json!([]), json!([{"gene": "A"}, {"gene": "A"}, {"gene": "A"}])] {
        let answer = app.post("/v1/profiles", &json!({"genes": genes})).await;
        assert_eq!(
            (answer.problem().as_str(), &answer.json()["errors"][0]["pointer"]),
            (name(Kind::InvalidItem), &json!("genes"))
        );
    }
    let answer = app.post("/v1/profiles", &json!({"genes": [{"gene": "A".repeat(500)}]})).await;
    assert_eq!(answer.problem(), name(Kind::BodyTooLarge));
}

#[tokio::test]
async fn bodies_that_are_not_the_documented_json_are_refused() {
    let app = Setup::default().build();
    for body in ["", "{", "[]", "{\"genes\": 1}", "{\"genes\": [], \"extra\": 1}", "\u{0}"] {
        let request = Request::post("/v1/profiles").header("content-type", "application/json; charset=utf-8");
        let answer = app.send(request.body(Body::from(body)).unwrap()).await;
        assert_eq!(answer.problem(), name(Kind::MalformedBody), "{body:?}");
    }
    let request = Request::post("/v1/profiles").header("content-type", "text/plain").body(Body::from("{}")).unwrap();
    assert_eq!(app.send(request).await.problem(), name(Kind::UnsupportedMediaType));
}

#[tokio::test]
async fn routes_methods_and_formats_that_are_not_there() {
    let app = Setup::default().build();
    for path in ["/v2/genes", "/v1/genes/ALPHA/nothing", "/v1/genes/%FF"] {
        assert_eq!(app.get(path).await.problem(), name(Kind::NoSuchRoute), "{path}");
    }
    let answer = app.send(Request::delete("/v1/genes").body(Body::empty()).unwrap()).await;
    assert_eq!(answer.problem(), name(Kind::MethodNotAllowed));
    assert!(answer.header("allow").contains("GET"), "{:?}", answer.headers);
    let answer = app.get_with("/v1/genes/ALPHA/profile", ("accept", "application/pdf")).await;
    assert_eq!(answer.problem(), name(Kind::NotAcceptable));
}

/// Asks for two genes at the same time.
async fn both(app: &App, first: &str, second: &str) -> (String, String) {
    let one = |path: &str| {
        let path = path.to_owned();
        async move {
            let answer = app.get(&path).await;
            if answer.status == StatusCode::OK { "ok".to_owned() } else { answer.problem() }
        }
    };
    tokio::join!(one(first), one(second))
}

#[tokio::test]
async fn overload_is_refused_at_once_with_retry_after() {
    let (door, model) = held();
    let limits = Limits { queue_rows: 1, batch_rows: 1 };
    let app = Arc::new(Setup { engine: limits, ..Setup::with_model(model) }.build());
    let post = |app: Arc<App>, tss: u32| async move {
        let gene = json!({"chromosome": "12", "tss": tss, "strand": "+"});
        app.post("/v1/profiles", &json!({"genes": [gene]})).await
    };
    let working = tokio::spawn(post(Arc::clone(&app), 1));
    while door.arrived.load(std::sync::atomic::Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    let waiting = tokio::spawn(post(Arc::clone(&app), 2));
    tokio::task::yield_now().await;
    for _ in 0..100 {
        let refused = post(Arc::clone(&app), 3).await;
        assert_eq!(refused.problem(), name(Kind::Overloaded));
        assert_eq!(refused.header("retry-after"), "1");
    }
    door.open();
    assert_eq!(working.await.unwrap().status, StatusCode::OK);
    assert_eq!(waiting.await.unwrap().status, StatusCode::OK);
}

#[tokio::test]
async fn more_requests_than_may_be_at_work_are_refused_but_health_answers() {
    let (door, model) = held();
    let limits = HttpLimits { in_flight: 1, ..HttpLimits::default() };
    let app = Setup { limits, ..Setup::with_model(model) }.build();
    let second = async {
        while door.arrived.load(std::sync::atomic::Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
        let refused = app.get("/v1/genes/ALPHA").await.problem();
        let live = app.get("/livez").await.status;
        door.open();
        (refused, live)
    };
    let (first, (refused, live)) = tokio::join!(app.get("/v1/genes/GAMMA/profile"), second);
    assert_eq!((first.status, refused.as_str(), live), (StatusCode::OK, name(Kind::Overloaded), StatusCode::OK));
}

#[tokio::test]
async fn a_slow_model_ends_in_a_timeout_and_a_closed_one_is_unavailable() {
    let (door, model) = held();
    let limits = HttpLimits { timeout: Duration::from_millis(30), ..HttpLimits::default() };
    let app = Setup { limits, ..Setup::with_model(model) }.build();
    assert_eq!(app.get("/v1/genes/GAMMA/profile").await.problem(), name(Kind::Timeout));
    door.open();
    let snapshot = app.state.snapshot();
    for (_, _, engine) in snapshot.engines() {
        let engine = Arc::clone(engine);
        tokio::task::spawn_blocking(move || engine.close()).await.unwrap();
    }
    let answer = app.get("/v1/genes/GAMMA/profile").await;
    assert_eq!((answer.problem().as_str(), answer.header("retry-after")), (name(Kind::Unavailable), "1"));
    assert_eq!(app.get("/readyz").await.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(app.get("/v1/genes/ALPHA/profile").await.status, StatusCode::OK, "measured genes need no model");
}

#[tokio::test]
async fn a_model_that_panics_fails_one_request_without_telling_why() {
    let model = NearestTwo { panics_at: Some(9_000), ..NearestTwo::new(Scale::Log2) };
    let app = Setup::with_model(model).build();
    let (failed, fine) = both(&app, "/v1/genes/GAMMA/profile", "/v1/genes/DELTA/profile").await;
    assert_eq!((failed.as_str(), fine.as_str()), (name(Kind::Internal), "ok"));
    assert!(!app.get("/v1/genes/GAMMA/profile").await.text().contains("told to panic"));
}

#[test]
fn the_contract_names_every_problem_and_equals_the_committed_file() {
    let generated = tissuecast::http::openapi_yaml();
    for kind in Kind::ALL {
        let (path, _, _) = kind.describe();
        let short = path.trim_start_matches("/problems/");
        assert!(generated.contains(short), "{short} is not in the OpenAPI document");
    }
    let names: BTreeSet<_> = Kind::ALL.into_iter().map(name).collect();
    assert_eq!(names.len(), Kind::ALL.len(), "every kind has its own type");
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/openapi.yaml");
    let committed = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        committed == generated,
        "openapi.yaml is not what the handlers say: write it anew with `cargo run -- openapi > openapi.yaml`"
    );
}
