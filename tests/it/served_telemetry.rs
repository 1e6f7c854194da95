//! The served program seen from outside: audit lines, log lines, traces, health, and what stops its start.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::predict_command::{fixture, inflated};
use crate::served_predictions::{Served, program};
use crate::telemetry::{check, parse};

/// How long anything may take; far above what it does take.
const PATIENCE: Duration = Duration::from_secs(30);

/// A collector that keeps what it is sent.
pub struct Collector {
    /// Where it listens.
    pub endpoint: String,
    bodies: Arc<Mutex<Vec<u8>>>,
    ended: Arc<AtomicBool>,
}

impl Collector {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let (bodies, ended): (Arc<Mutex<Vec<u8>>>, Arc<AtomicBool>) = Default::default();
        let (kept, over) = (Arc::clone(&bodies), Arc::clone(&ended));
        std::thread::spawn(move || {
            let until = Instant::now() + 10 * PATIENCE;
            while !over.load(Ordering::SeqCst) && Instant::now() < until {
                match listener.accept() {
                    Ok((stream, _)) => {
                        let kept = Arc::clone(&kept);
                        std::thread::spawn(move || take(stream, &kept));
                    }
                    Err(_) => std::thread::sleep(Duration::from_millis(5)),
                }
            }
        });
        Self { endpoint, bodies, ended }
    }

    /// What it was sent so far.
    pub fn received(&self) -> Vec<u8> {
        self.bodies.lock().unwrap().clone()
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
    }
}

/// Takes requests off a connection until it ends.
fn take(mut stream: TcpStream, kept: &Mutex<Vec<u8>>) {
    stream.set_nonblocking(false).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut bytes = Vec::new();
    let mut piece = [0; 4096];
    while let Ok(count) = stream.read(&mut piece) {
        if count == 0 {
            return;
        }
        bytes.extend_from_slice(&piece[..count]);
        let Some(head) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
        let text = String::from_utf8_lossy(&bytes[..head]).to_lowercase();
        assert!(text.starts_with("post /v1/traces http/1.1\r\n"), "{text}");
        assert!(text.contains("content-type: application/x-protobuf"), "{text}");
        let length = text.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
        if bytes.len() < head + 4 + length.parse::<usize>().unwrap() {
            continue;
        }
        kept.lock().unwrap().append(&mut bytes);
        if stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").is_err() {
            return;
        }
    }
}

/// A folder with the imported model `m`.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let import = ["models", "import", "--name", "m", &fixture("model.db.gz")];
    assert!(program(folder.path()).args(import).output().unwrap().status.success());
    folder
}

fn contains(bytes: &[u8], text: &[u8]) -> bool {
    bytes.windows(text.len()).any(|window| window == text)
}

/// What stands on the service's internal address.
fn get(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(stream, "GET {path} HTTP/1.0\r\nhost: x\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.split_once("\r\n\r\n").unwrap().1.to_owned()
}

#[test]
fn a_served_program_is_seen_from_outside_in_every_way() {
    let folder = folder();
    let folder = folder.path();
    let collector = Collector::start();
    let flags =
        ["--internal-listen", "127.0.0.1:0", "--audit-log", "audit.jsonl", "--otlp-endpoint", &collector.endpoint];
    let served = Served::start_with(folder, "sqlite://s.sqlite", &flags);
    let internal = served.address_of("serving metrics and health");
    let text = inflated(Path::new(&fixture("geno.vcf.gz")));
    let people = text.lines().find(|line| line.starts_with("#CHROM")).unwrap().split('\t').count() - 9;
    assert_eq!(served.vcf("/v1/predictions?model=m", &text).0, 200);
    assert_eq!(served.get("/livez").0, 200);
    let parent = "0af7651916cd43dd8448eb211c80319c";
    let mut stream = served.connect();
    let head = format!("host: x\r\nconnection: close\r\ntraceparent: 00-{parent}-b7ad6b7169203331-01\r\n");
    write!(stream, "GET /v1/genes/ALPHA/profile?tissue=Liver HTTP/1.1\r\n{head}x-request-id: mine\r\n\r\n").unwrap();
    assert_eq!(crate::served_predictions::answer(stream).0, 422, "there is no dataset");

    let samples = parse(&get(&internal, "/metrics"));
    let predicted = "http_requests_total{method=\"POST\",route=\"/v1/predictions\",status=\"200\"}";
    check(&samples, &[(predicted, 1.0), ("prediction_samples_total", people as f64), ("http_requests_in_flight", 0.0)]);
    assert!(get(&internal, "/readyz").contains("\"ready\":true"));
    let health = |flags: &[&str]| program(folder).arg("health").args(flags).output().unwrap();
    for address in [&internal, &served.address] {
        let output = health(&["--url", &format!("http://{address}/readyz")]);
        assert!(output.status.success() && output.stdout == b"ready\n", "{output:?}");
    }
    assert!(health(&["--internal-listen", &internal]).status.success());
    assert!(health(&["--listen", &internal.replace("127.0.0.1", "0.0.0.0")]).status.success());

    // Rotated away, as logrotate does it: the next line goes to a new file.
    fs::rename(folder.join("audit.jsonl"), folder.join("audit.1")).unwrap();
    served.signal("-HUP");
    let until = Instant::now() + PATIENCE;
    while !folder.join("audit.jsonl").exists() {
        assert!(Instant::now() < until, "the audit log was not opened again: {}", served.said());
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(served.get("/v1/models").0, 200);

    let said = served.stop();
    check_audit(&fs::read_to_string(folder.join("audit.1")).unwrap(), people);
    let rotated = fs::read_to_string(folder.join("audit.jsonl")).unwrap();
    assert!(rotated.lines().count() == 1 && rotated.contains("GET /v1/models"), "{rotated}");
    assert!(!said.contains("tissuecast::audit"), "audit lines stand in one place: {said}");
    check_log(&said);
    let spans = collector.received();
    for text in ["POST /v1/predictions", "http.route", "http.response.status_code", "tissuecast.models", "m@1"] {
        assert!(contains(&spans, text.as_bytes()), "no {text} in {}", String::from_utf8_lossy(&spans));
    }
    let parent: Vec<u8> = (0..16).map(|at| u8::from_str_radix(&parent[2 * at..2 * at + 2], 16).unwrap()).collect();
    assert!(contains(&spans, &parent), "the client's trace is not gone on with");
    assert!(!contains(&spans, b"ALPHA") && !contains(&spans, b"Liver"), "{}", String::from_utf8_lossy(&spans));
    let dead = health(&["--url", &format!("http://{internal}/readyz")]);
    assert!(!dead.status.success() && String::from_utf8_lossy(&dead.stderr).contains("does not answer"), "{dead:?}");
}

/// One line a request but health, with exactly the agreed fields.
fn check_audit(text: &str, people: usize) {
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 2, "{text}");
    for line in &lines {
        let mut fields: Vec<&str> = line.as_object().unwrap().keys().map(String::as_str).collect();
        fields.sort_unstable();
        assert_eq!(fields, ["action", "genes", "models", "outcome", "request", "samples", "timestamp", "who"]);
        assert_eq!(line["who"], "anonymous");
    }
    let of = |line: &Value| {
        [&line["action"], &line["models"], &line["samples"], &line["genes"], &line["outcome"]].map(Value::clone)
    };
    assert_eq!(of(&lines[0]), [json!("POST /v1/predictions"), json!("m@1"), json!(people), json!(12), json!("200")]);
    let action = json!("GET /v1/genes/{gene}/profile");
    assert_eq!(of(&lines[1]), [action, json!(""), json!(0), json!(0), json!("422")]);
    assert_eq!(lines[1]["request"], "mine");
}

/// Lines of a request carry its id, method and route; the settings are told at the start.
fn check_log(said: &str) {
    let lines: Vec<Value> = said.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let ended = lines.iter().find(|line| line["message"] == "ended" && line["span"]["id"] == "mine");
    let ended = ended.unwrap_or_else(|| panic!("no line of the request: {said}"));
    let span = (&ended["span"]["method"], &ended["span"]["route"], &ended["outcome"]);
    assert_eq!(span, (&json!("GET"), &json!("/v1/genes/{gene}/profile"), &json!("422")));
    let settings = lines.iter().find(|line| line["message"] == "settings").unwrap();
    assert_eq!((&settings["audit_log"], &settings["drain_seconds"]), (&json!("audit.jsonl"), &json!(30)));
}

#[test]
fn a_collector_that_is_away_costs_a_warning_and_a_taken_port_or_a_wrong_address_the_start() {
    let folder = folder();
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let nowhere = format!("http://{}", free.local_addr().unwrap());
    drop(free);
    let served = Served::start_with(folder.path(), "sqlite://s.sqlite", &["--otlp-endpoint", &nowhere]);
    assert_eq!(served.get("/v1/models").0, 200);
    let audited = served.said().lines().any(|line| line.contains("tissuecast::audit") && line.contains("/v1/models"));
    assert!(audited, "without a file, audit lines stand with the others: {}", served.said());
    let said = served.stop();
    assert_eq!(said.matches("the trace collector does not take spans").count(), 1, "{said}");

    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = (taken.local_addr().unwrap().to_string(), taken);
    let cases = [
        (["--internal-listen", &taken.0], format!("cannot listen on {} (--internal-listen)", taken.0)),
        (["--otlp-endpoint", "https://x"], "--otlp-endpoint is 'https://x'".to_owned()),
        (["--audit-log", "no/such/folder"], "cannot append to the audit log no/such/folder".to_owned()),
    ];
    for (flags, says) in cases {
        let serve = ["serve", "--listen", "127.0.0.1:0", "--database-url", "sqlite://s.sqlite"];
        let output = program(folder.path()).args(serve).args(flags).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains(&says), "{flags:?}: {said}");
    }
}

#[test]
fn health_says_which_check_fails() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let answering = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            head.extend(byte);
        }
        assert!(head.starts_with(b"GET /readyz?exclude=store HTTP/1.0\r\n"));
        let body =
            r#"{"ready":false,"checks":{"store":{"ok":false,"detail":"gone"},"shutdown":{"ok":true,"detail":"no"}}}"#;
        let head = "HTTP/1.0 503 Service Unavailable\r\ncontent-type: application/json\r\n\r\n";
        stream.write_all([head, body].concat().as_bytes()).unwrap();
    });
    let folder = tempfile::tempdir().unwrap();
    let output = program(folder.path()).args(["health", "--listen", &address]).output().unwrap();
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(1), b"store: gone\n".as_slice()));
    assert!(String::from_utf8_lossy(&output.stderr).contains("answers 503"), "{output:?}");
    answering.join().unwrap();
}
