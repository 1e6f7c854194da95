//! The service's metrics: exact after known requests, in flight to the last byte, every name there.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use serde_json::json;
use tissuecast::http::internal;
use tissuecast::http::state::HttpLimits;
use tissuecast::model::Scale;

use crate::http_support::{Answer, App, Door, NearestTwo, Row, Setup, expression_model};

/// How long anything may take; far above what it does take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Two people, each of whose variants fits the models.
const VCF: &str = "##fileformat=VCFv4.2\n##contig=<ID=chr12>\n\
    #CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\tS1\tS2\n\
    chr12\t100\trs1\tA\tG\t.\tPASS\t.\tGT\t0|0\t0/1\n\
    chr12\t200\trs2\tT\tC\t.\tPASS\t.\tGT\t0/0\t0/1\n\
    chr12\t300\trs3\tA\tT\t.\tPASS\t.\tGT\t0/0\t0/1\n\
    chr12\t400\trs4\tA\tG\t.\tPASS\t.\tGT\t0/0\t0/1\n";

/// The samples of a text of metrics by name and labels, after every line was read by the format's grammar.
pub fn parse(text: &str) -> BTreeMap<String, f64> {
    let mut samples = BTreeMap::new();
    let mut described: Vec<String> = Vec::new();
    let body = text.strip_suffix("# EOF\n").unwrap_or_else(|| panic!("no end: {text}"));
    for line in body.lines() {
        if let Some(comment) = line.strip_prefix("# ") {
            let mut words = comment.splitn(3, ' ');
            let (what, name, rest) = (words.next().unwrap(), words.next().unwrap(), words.next().unwrap());
            assert!(["HELP", "TYPE", "UNIT"].contains(&what) && is_name(name), "{line}");
            match what {
                "TYPE" => assert!(["counter", "gauge", "histogram", "info"].contains(&rest), "{line}"),
                "UNIT" => assert!(name.ends_with(&format!("_{rest}")), "{line}"),
                _ => described.push(name.to_owned()),
            }
            continue;
        }
        let (series, value) = line.rsplit_once(' ').unwrap();
        let value: f64 = value.parse().unwrap_or_else(|_| panic!("no number: {line}"));
        let name = match series.split_once('{') {
            None => series,
            Some((name, labels)) => {
                let labels = labels.strip_suffix("\"}").unwrap_or_else(|| panic!("{line}"));
                for label in labels.split("\",") {
                    let (key, value) = label.split_once("=\"").unwrap_or_else(|| panic!("{line}"));
                    assert!(is_name(key) && !value.contains('"'), "{line}");
                }
                name
            }
        };
        assert!(is_name(name) && described.iter().any(|one| name.starts_with(one.as_str())), "{line}");
        assert!(samples.insert(series.to_owned(), value).is_none(), "twice: {line}");
    }
    samples
}

fn is_name(text: &str) -> bool {
    let letter = |c: char| c.is_ascii_lowercase() || c == '_';
    text.starts_with(letter) && text.chars().all(|c| letter(c) || c.is_ascii_digit())
}

async fn scrape(app: &App) -> BTreeMap<String, f64> {
    let answer = ask(app, "/metrics").await;
    assert_eq!(answer.header("content-type"), "application/openmetrics-text; version=1.0.0; charset=utf-8");
    parse(&answer.text())
}

/// Asks the internal listener's routes.
async fn ask(app: &App, path: &str) -> Answer {
    let router = internal::router(Arc::clone(&app.state));
    let internal = App { router, state: Arc::clone(&app.state) };
    internal.get(path).await
}

async fn vcf(app: &App, query: &str) -> Answer {
    let request = Request::post(format!("/v1/predictions{query}")).header("content-type", "text/vcf");
    app.send(request.body(Body::from(VCF)).unwrap()).await
}

/// Samples that differ from what is expected of them.
pub fn check(samples: &BTreeMap<String, f64>, expected: &[(&str, f64)]) {
    let found = |name: &str| samples.get(&format!("tissuecast_{name}")).copied();
    let wrong: Vec<_> = expected.iter().filter(|(name, value)| found(name) != Some(*value)).collect();
    let near = |name: &str| {
        let family = name.split('{').next().unwrap().to_owned();
        samples.iter().filter(move |(one, _)| one.contains(&family)).map(|(one, value)| format!("{one} {value}"))
    };
    let found: Vec<String> = wrong.iter().flat_map(|(name, _)| near(name)).collect();
    assert!(wrong.is_empty(), "wrong: {wrong:#?}\nfound: {found:#?}");
}

#[tokio::test]
async fn known_requests_are_counted_exactly() {
    let app = Setup::predicting().build();
    for path in ["/v1/genes/ALPHA/profile", "/v1/genes/GAMMA/profile", "/v1/genes/GAMMA/profile"] {
        assert_eq!(app.get(path).await.status, StatusCode::OK);
    }
    assert_eq!(app.get("/v1/genes/NOPE/profile").await.status, StatusCode::NOT_FOUND);
    assert_eq!(app.get("/nowhere/at/all").await.status, StatusCode::NOT_FOUND);
    assert_eq!(app.get("/readyz").await.status, StatusCode::OK);
    let brew = Request::builder().method("BREW").uri("/v1/models").body(Body::empty()).unwrap();
    assert_eq!(app.send(brew).await.status, StatusCode::METHOD_NOT_ALLOWED);
    let new = |id: &str, tss: u32| json!({"id": id, "chromosome": "12", "tss": tss, "strand": "+"});
    let posted = app.post("/v1/profiles", &json!({"genes": [new("a", 3_000), new("b", 4_000)]})).await;
    assert_eq!(posted.status, StatusCode::OK);
    assert_eq!(vcf(&app, "?model=blood").await.status, StatusCode::OK);
    assert_eq!(vcf(&app, "?model=all&assembly=GRCh38").await.status, StatusCode::OK);
    assert_eq!(vcf(&app, "?model=other").await.status, StatusCode::NOT_FOUND);
    let samples = scrape(&app).await;
    let request = |method: &str, route: &str, status: &str| {
        format!("http_requests_total{{method=\"{method}\",route=\"{route}\",status=\"{status}\"}}")
    };
    let profile = "/v1/genes/{gene}/profile";
    for (method, route, status, count) in [
        ("GET", profile, "200", 3.0),
        ("GET", profile, "404", 1.0),
        ("GET", "<unmatched>", "404", 1.0),
        ("GET", "/readyz", "200", 1.0),
        ("<other>", "/v1/models", "405", 1.0),
        ("POST", "/v1/profiles", "200", 1.0),
        ("POST", "/v1/predictions", "200", 2.0),
        ("POST", "/v1/predictions", "404", 1.0),
    ] {
        check(&samples, &[(&request(method, route, status), count)]);
    }
    check(
        &samples,
        &[
            ("http_requests_in_flight", 0.0),
            ("http_request_duration_seconds_count{route=\"/v1/predictions\"}", 3.0),
            ("ready", 1.0),
            ("store_up", 1.0),
            ("engine_queue_rows{dataset=\"small\",model=\"nearest-two@1.0.0\"}", 0.0),
            // GAMMA once, since it is kept, and the two posted genes in one call.
            ("engine_batch_rows_count{model=\"nearest-two@1.0.0\"}", 2.0),
            ("engine_batch_rows_sum{model=\"nearest-two@1.0.0\"}", 3.0),
            ("engine_queue_seconds_count{model=\"nearest-two@1.0.0\"}", 2.0),
            ("engine_compute_seconds_count{model=\"nearest-two@1.0.0\"}", 2.0),
            ("predictions_running", 0.0),
            ("predictions_waiting", 0.0),
            ("prediction_seconds_count{model=\"blood@1\"}", 1.0),
            ("prediction_seconds_count{model=\"several\"}", 1.0),
            ("prediction_samples_total", 4.0),
            // Each of two predictions: rs1, rs4 exact, rs2 swapped, rs3 palindromic.
            ("prediction_variants_total{model=\"blood@1\",kind=\"exact\"}", 4.0),
            ("prediction_variants_total{model=\"blood@1\",kind=\"swapped\"}", 2.0),
            ("prediction_variants_total{model=\"blood@1\",kind=\"ambiguous\"}", 2.0),
            ("prediction_variants_total{model=\"blood@1\",kind=\"absent\"}", 0.0),
            ("prediction_variants_total{model=\"liver@1\",kind=\"swapped\"}", 1.0),
            ("model_info{model=\"blood\",version=\"1\",kind=\"genotype\",digest=\"sha256:blood\"}", 1.0),
            ("model_reloads_total{outcome=\"changed\"}", 0.0),
            ("models_refused", 0.0),
            ("audit_lines_lost_total", 0.0),
            ("http_refused_total{reason=\"overloaded\"}", 0.0),
        ],
    );
    app.state.note_store(false);
    let samples = scrape(&app).await;
    check(&samples, &[("ready", 0.0), ("store_up", 0.0)]);
    assert_eq!(app.get("/metrics").await.status, StatusCode::NOT_FOUND, "metrics are internal");
    assert_eq!(ask(&app, "/livez").await.text(), "live\n");
    assert_eq!(ask(&app, "/readyz").await.status, StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn every_name_is_there_after_a_request_of_each_kind() {
    let app = Setup::predicting().build();
    assert_eq!(app.get("/v1/genes/GAMMA/profile").await.status, StatusCode::OK);
    assert_eq!(vcf(&app, "?model=blood").await.status, StatusCode::OK);
    let text = ask(&app, "/metrics").await.text();
    parse(&text);
    let names = "build_info{version= ready http_requests_total{method= http_request_duration_seconds_bucket{le= \
        http_requests_in_flight http_refused_total{reason= engine_queue_rows{dataset= engine_batch_rows_bucket{le= \
        engine_queue_seconds_bucket{le= engine_compute_seconds_bucket{le= predictions_running predictions_waiting \
        prediction_seconds_bucket{le= prediction_samples_total prediction_variants_total{model= store_up \
        store_profiles_saved_total store_profiles_dropped_total model_info{model= models_refused \
        model_reloads_total{outcome=";
    for name in names.split_whitespace() {
        assert!(text.contains(&format!("\ntissuecast_{name}")), "{name} is missing: {text}");
    }
    if cfg!(target_os = "linux") {
        for name in ["resident_memory_bytes", "open_fds", "cpu_seconds_total", "start_time_seconds"] {
            assert!(text.contains(&format!("\nprocess_{name} ")), "{name} is missing: {text}");
        }
    }
}

#[tokio::test]
async fn what_is_at_work_and_what_is_refused_is_seen() {
    let door = Arc::new(Door::default());
    let model = NearestTwo { door: Some(Arc::clone(&door)), ..NearestTwo::new(Scale::Log2) };
    let limits = HttpLimits { in_flight: 1, ..HttpLimits::default() };
    let app = Setup { limits, ..Setup::with_model(model) }.build();
    let app = Arc::new(app);
    let held = tokio::spawn({
        let app = Arc::clone(&app);
        async move { app.get("/v1/genes/GAMMA/profile").await.status }
    });
    let arrived = async {
        while door.arrived.load(Ordering::SeqCst) == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(PATIENCE, arrived).await.unwrap();
    assert_eq!(app.get("/v1/genes/ALPHA/profile").await.status, StatusCode::SERVICE_UNAVAILABLE);
    let samples = scrape(&app).await;
    check(&samples, &[("http_requests_in_flight", 1.0), ("http_refused_total{reason=\"overloaded\"}", 1.0)]);
    door.open();
    assert_eq!(held.await.unwrap(), StatusCode::OK);
    check(&scrape(&app).await, &[("http_requests_in_flight", 0.0), ("http_refused_total{reason=\"overloaded\"}", 1.0)]);
}

/// A model of many genes, and the genotypes of many people: an answer that no buffer holds.
fn wide() -> (App, String) {
    const GENES: usize = 1_200;
    const PEOPLE: usize = 1_000;
    let text = |text: String| -> &'static str { text.leak() };
    let position = |gene: usize| 100_000 * (gene as u32 + 1);
    let row = |at: usize| -> Row {
        let gene = text(format!("ENSG{at:011}"));
        (gene, text(format!("G{at}")), text(format!("rs{at}")), position(at), "A>G", 0.123_456_789 + at as f64)
    };
    let rows: Vec<Row> = (0..GENES).map(row).collect();
    let app = Setup { expression_models: vec![expression_model("wide", &rows)], ..Setup::default() }.build();
    let mut vcf = "##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT".to_owned();
    (0..PEOPLE).for_each(|at| write!(vcf, "\tP{at}").unwrap());
    vcf.push('\n');
    let people = "\t0/1".repeat(PEOPLE);
    (0..GENES).for_each(|at| writeln!(vcf, "12\t{}\trs{at}\tA\tG\t.\t.\t.\tGT{people}", position(at)).unwrap());
    (app, vcf)
}

/// Asks until the samples are right.
async fn wait_until(app: &App, is_right: impl Fn(&BTreeMap<String, f64>) -> bool) -> BTreeMap<String, f64> {
    let asking = async {
        loop {
            let samples = scrape(app).await;
            if is_right(&samples) {
                return samples;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, asking).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_is_read_slowly_is_in_flight_to_its_end_and_one_that_is_not_is_aborted() {
    let (app, vcf) = wide();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = app.router.clone();
    let serving = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    let ask = || {
        let head = format!(
            "POST /v1/predictions?model=wide&assembly=GRCh38 HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\
             content-type: text/vcf\r\ncontent-length: {}\r\n\r\n",
            vcf.len()
        );
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(vcf.as_bytes()).unwrap();
        let mut status = [0; 12];
        stream.read_exact(&mut status).unwrap();
        assert_eq!(&status, b"HTTP/1.1 200");
        stream
    };
    let in_flight = |samples: &BTreeMap<String, f64>| samples["tissuecast_http_requests_in_flight"];
    let mut slow = ask();
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!((in_flight(&scrape(&app).await) - 1.0).abs() < 1e-9);
    let mut rest = Vec::new();
    slow.read_to_end(&mut rest).unwrap();
    assert!(rest.len() > 8 << 20, "{} bytes fit into buffers", rest.len());
    let samples = scrape(&app).await;
    let ended =
        |status: &str| format!("http_requests_total{{method=\"POST\",route=\"/v1/predictions\",status=\"{status}\"}}");
    check(&samples, &[("http_requests_in_flight", 0.0), (&ended("200"), 1.0)]);

    drop(ask());
    let samples = wait_until(&app, |samples| in_flight(samples) < 0.5).await;
    check(&samples, &[(&ended("200"), 1.0), (&ended("aborted"), 1.0)]);
    // One that goes in the middle of its upload has no status at all.
    let mut stream = TcpStream::connect(address).unwrap();
    let head =
        "POST /v1/predictions?model=wide HTTP/1.1\r\nhost: x\r\ncontent-type: text/vcf\r\ncontent-length: 999999\r\n";
    write!(stream, "{head}\r\n{}", &vcf[..10_000]).unwrap();
    wait_until(&app, |samples| in_flight(samples) > 0.5).await;
    drop(stream);
    let samples = wait_until(&app, |samples| in_flight(samples) < 0.5).await;
    check(&samples, &[(&ended("200"), 1.0), (&ended("aborted"), 2.0)]);
    serving.abort();
}

#[tokio::test]
async fn a_model_that_panics_is_one_500_and_the_next_request_is_answered() {
    let model = NearestTwo { panics_at: Some(9_000), ..NearestTwo::new(Scale::Log2) };
    let app = Setup::with_model(model).build();
    assert_eq!(app.get("/v1/genes/GAMMA/profile").await.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(app.get("/v1/genes/ALPHA/profile").await.status, StatusCode::OK);
    let failed = "http_requests_total{method=\"GET\",route=\"/v1/genes/{gene}/profile\",status=\"500\"}";
    check(&scrape(&app).await, &[(failed, 1.0), ("http_requests_in_flight", 0.0)]);
}
