//! Odd requests: whatever a client sends, the answer is right or says what is wrong, and never a failure of the service.

use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::{Map, Value, json};
use tissuecast::http::problem::Kind;

use crate::http_support::{Answer, App, Setup};

fn name(kind: Kind) -> &'static str {
    kind.describe().0
}

#[tokio::test]
async fn pages_beyond_the_end_are_empty_and_counted() {
    let app = Setup::default().build();
    for page in ["1", "4294967295"] {
        let answer = app.get(&format!("/v1/genes?page={page}&items_per_page=10000")).await;
        assert_eq!((answer.status, &answer.json()["data"]), (StatusCode::OK, &json!([])), "{page}");
        assert_eq!(answer.json()["paging_info"]["totalNumberOfItems"], 9);
    }
    for query in ["page=4294967296", "items_per_page=10001", "page=", "page=1&page=2", "page=0x1", "missing=yes"] {
        let answer = app.get(&format!("/v1/genes?{query}")).await;
        if query == "page=" {
            assert_eq!(answer.status, StatusCode::OK, "an empty parameter counts as not given");
        } else {
            assert_eq!(answer.problem(), name(Kind::InvalidParameter), "{query}");
        }
    }
}

#[tokio::test]
async fn very_long_names_are_unknown_and_not_repeated_at_length() {
    let app = Setup::default().build();
    let long = "A".repeat(20_000);
    let paths = [
        format!("/v1/genes/{long}/profile"),
        format!("/v1/genes/ENSG{long}"),
        format!("/v1/models/{long}"),
        format!("/v1/genes/ALPHA?dataset={long}"),
        format!("/v1/genes?{long}=1"),
        format!("/v1/genes?page={long}"),
        format!("/v1/genes/ALPHA?format={long}"),
        format!("/v1/genes?chromosome=1%20{long}"),
    ];
    for path in paths {
        let answer = app.get(&path).await;
        assert!(answer.status.is_client_error(), "{}", answer.text());
        answer.problem();
        assert!(answer.body.len() < 4_000, "{} bytes", answer.body.len());
    }
    let said = app.get(&format!("/v1/models/{long}")).await.text();
    assert!(said.contains("loaded: nearest-two"), "the end of a detail is kept: {said}");
    let gene = json!({"chromosome": format!("1 {long}"), "tss": 1, "strand": &long, "promoter": &long});
    assert!(app.post("/v1/profiles", &json!({"genes": [gene]})).await.body.len() < 4_000);
    let genes: Vec<Value> = (0..1_000).map(|_| json!({"gene": &long[..500]})).collect();
    let answer = app.post("/v1/profiles", &json!({"genes": genes})).await;
    assert_eq!((answer.status, answer.json()["data"].as_array().unwrap().len()), (StatusCode::OK, 1_000));
}

#[tokio::test]
async fn bodies_that_no_honest_client_sends_are_refused() {
    let app = Setup::default().build();
    let deep = format!("{{\"genes\": {}{}}}", "[".repeat(100_000), "]".repeat(100_000));
    let bodies: [&[u8]; 6] = [
        deep.as_bytes(),
        b"{\"genes\": [{\"gene\": \"\xff\xfe\"}]}",
        b"{\"genes\": [{\"tss\": 1e400}]}",
        b"{\"genes\": [{\"gene\": \"ALPHA\"}]} trailing",
        b"{\"genes\": [{\"gene\": \"ALPHA\"}], \"genes\": []}",
        b"\x1f\x8b\x08\x00",
    ];
    for body in bodies {
        let request = Request::post("/v1/profiles").header("content-type", "application/json");
        let answer = app.send(request.body(Body::from(body.to_vec())).unwrap()).await;
        assert_eq!(answer.problem(), name(Kind::MalformedBody), "{}", answer.text());
        assert!(answer.body.len() < 1_000, "{} bytes", answer.body.len());
    }
    for item in [json!(null), json!({}), json!({"gene": null}), json!([[]]), json!({"gene": "A", "gene ": "B"})] {
        let answer = app.post("/v1/profiles", &json!({"genes": [item]})).await;
        assert_eq!(answer.problem(), name(Kind::InvalidItem), "{item}");
        assert!(answer.json()["errors"][0]["pointer"].as_str().unwrap().starts_with("genes[0]"), "{item}");
    }
}

#[tokio::test]
async fn unknown_datasets_and_models_of_a_body_are_named() {
    let app = Setup::default().build();
    for (field, value, kind) in [
        ("dataset", json!("other"), Kind::UnknownDataset),
        ("model", json!("other"), Kind::UnknownModel),
        ("model", json!("nearest-two@7"), Kind::UnknownModel),
        ("dataset", json!(7), Kind::MalformedBody),
    ] {
        let mut body = json!({"genes": [{"gene": "ALPHA"}]});
        body[field] = value;
        assert_eq!(app.post("/v1/profiles", &body).await.problem(), name(kind), "{body}");
    }
    let answer = app.post("/v1/profiles?tissue=Liver", &json!({"genes": [{"gene": "ALPHA"}]})).await;
    assert_eq!(answer.problem(), name(Kind::InvalidParameter));
}

#[tokio::test]
async fn heads_answer_as_gets_do_without_the_body() {
    let app = Setup::default().build();
    for path in ["/v1/genes/ALPHA/profile", "/v1/genes/NOBODY", "/", "/readyz"] {
        let get = app.get(path).await;
        let head = app.send(Request::head(path).body(Body::empty()).unwrap()).await;
        assert_eq!((head.status, head.header("content-type")), (get.status, get.header("content-type")), "{path}");
    }
}

/// Text as clients have it: names that are nearly right, odd letters, or anything at all.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => proptest::sample::select(vec!["ALPHA", "GAMMA", "DELTA", "TWIN", "small", "nearest-two", "Liver", "chr12", "true"])
            .prop_map(str::to_owned),
        2 => "[A-Za-z0-9.@_%+/ -]{0,30}",
        1 => any::<String>(),
    ]
}

fn encoded(text: &str, plain: bool) -> String {
    let keep = |byte: &u8| byte.is_ascii_alphanumeric() || (plain && b"-._~".contains(byte));
    text.bytes().map(|byte| if keep(&byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

fn path() -> impl Strategy<Value = String> {
    let parameter = proptest::sample::select(vec![
        "dataset",
        "model",
        "tissue",
        "missing_only",
        "format",
        "query",
        "chromosome",
        "biotype",
        "missing",
        "page",
        "items_per_page",
        "other",
    ]);
    let routes = vec![
        "/v1/genes/{}/profile",
        "/v1/genes/{}",
        "/v1/genes",
        "/v1/models/{}",
        "/v1/tissues",
        "/v1/datasets",
        "/genes/{}",
        "/genes",
        "/{}",
        "/v1/{}",
    ];
    (proptest::sample::select(routes), text(), vec((parameter, text()), 0..4)).prop_map(|(route, name, query)| {
        let query: Vec<String> = query.iter().map(|(name, value)| format!("{name}={}", encoded(value, true))).collect();
        format!("{}?{}", route.replace("{}", &encoded(&name, true)), query.join("&"))
    })
}

/// A body of about the documented shape.
fn body() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        (0_u64..20_000).prop_map(Value::from),
        text().prop_map(Value::from),
        "[ACGTNacgt]{0,40}".prop_map(Value::from),
        proptest::sample::select(vec!["+", "-", "12", "chrX"]).prop_map(Value::from),
    ];
    let keys = vec![
        "gene",
        "id",
        "chromosome",
        "tss",
        "strand",
        "biotype",
        "promoter",
        "observed",
        "genes",
        "dataset",
        "model",
        "Liver",
    ];
    let value = leaf.prop_recursive(4, 40, 6, move |inner| {
        let key = proptest::sample::select(keys.clone()).prop_map(str::to_owned);
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            vec((key, inner), 0..7).prop_map(|fields| Value::from(fields.into_iter().collect::<Map<_, _>>())),
        ]
    });
    (vec(value.clone(), 0..4), value, any::<bool>(), text()).prop_map(|(genes, other, whole, dataset)| match whole {
        true => other,
        false if dataset.len() % 2 == 0 => json!({"genes": genes}),
        false => json!({"genes": genes, "dataset": dataset}),
    })
}

fn check(answer: &Answer, sent: &str) {
    assert!(answer.status.as_u16() < 500, "{sent}: {}", answer.text());
    let is_page = answer.header("content-type").starts_with("text/html");
    if answer.status.is_client_error() && !is_page {
        answer.problem();
    }
}

#[test]
fn nothing_that_a_client_sends_makes_the_service_fail() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let app: App = Setup::default().build();
    let seeded = |seed: u8| {
        let config = Config { cases: 1_500, failure_persistence: None, ..Config::default() };
        TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &[seed; 32]))
    };
    let accept = proptest::option::of(vec(32_u8..=255, 0..40).prop_filter("no DEL", |bytes| !bytes.contains(&127)));
    let gets = seeded(1).run(&(path(), accept), |(path, accept)| {
        let mut request = Request::builder().method(Method::GET).uri(&path);
        if let Some(accept) = accept {
            request = request.header("accept", accept);
        }
        let answer = runtime.block_on(app.send(request.body(Body::empty()).unwrap()));
        check(&answer, &path);
        Ok(())
    });
    gets.unwrap();
    let posts = seeded(2).run(&body(), |body| {
        check(&runtime.block_on(app.post("/v1/profiles", &body)), &body.to_string());
        Ok(())
    });
    posts.unwrap();
}
