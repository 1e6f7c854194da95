//! Predictions by the served program over both databases, and that nothing of the genotypes is in its log.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::predict_command::{fixture, inflated, shifted};
use crate::support::{TestDatabase, on_both_databases};

on_both_databases!(an_imported_model_is_served_and_no_genotype_is_logged);

const PATIENCE: Duration = Duration::from_mins(1);
/// What only the submission knows.
const MARK: &str = "PERSONAL4711";

/// The program as it is served, with all that it says in one file.
pub struct Served {
    child: Child,
    log: PathBuf,
    /// Where it listens.
    pub address: String,
}

impl Served {
    pub fn start(folder: &Path, database: &str) -> Self {
        Self::start_with(folder, database, &[])
    }

    /// Starts it with more flags.
    pub fn start_with(folder: &Path, database: &str, flags: &[&str]) -> Self {
        let log = folder.join("log");
        let file = File::create(&log).unwrap();
        let child = program(folder)
            .args(["serve", "--listen", "127.0.0.1:0", "--database-url", database])
            .args(flags)
            .env("TISSUECAST_LOG", "trace")
            .env("RUST_LOG", "trace")
            .stdout(file.try_clone().unwrap())
            .stderr(file)
            .spawn()
            .unwrap();
        let mut served = Self { child, log, address: String::new() };
        let until = Instant::now() + PATIENCE;
        while served.address.is_empty() {
            assert!(Instant::now() < until, "it does not say where it listens: {}", served.said());
            std::thread::sleep(Duration::from_millis(20));
            served.address = served.address_of("serving");
        }
        served
    }

    /// The address that it gives with this message; empty where it has not yet.
    pub fn address_of(&self, message: &str) -> String {
        let said = self.said();
        let quoted = format!("\"{message}\"");
        let line = said.lines().find(|line| line.contains(&quoted)).unwrap_or("{}");
        let line: Value = serde_json::from_str(line).unwrap_or_default();
        line["address"].as_str().unwrap_or_default().to_owned()
    }

    /// Everything that it has said so far.
    pub fn said(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap()).into_owned()
    }

    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    pub fn get(&self, path: &str) -> (u16, Value) {
        let mut stream = self.connect();
        write!(stream, "GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
        answer(stream)
    }

    /// Posts a body in chunks; `None` where it is cut off in the middle.
    pub fn post(&self, path: &str, media_type: &str, body: &[u8], whole: bool) -> Option<(u16, Value)> {
        let mut stream = self.connect();
        write!(
            stream,
            "POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: {media_type}\r\n\
             transfer-encoding: chunked\r\n\r\n"
        )
        .unwrap();
        let sent = if whole { body } else { &body[..body.len() / 2] };
        for piece in sent.chunks(1_000) {
            let chunk = [format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat();
            // One that has refused already does not read to the end.
            if stream.write_all(&chunk).is_err() {
                break;
            }
        }
        if !whole {
            return None;
        }
        drop(stream.write_all(b"0\r\n\r\n"));
        Some(answer(stream))
    }

    pub fn vcf(&self, path: &str, text: &str) -> (u16, Value) {
        self.post(path, "text/vcf", text.as_bytes(), true).unwrap()
    }

    /// Sends it a signal, such as `-HUP`.
    pub fn signal(&self, signal: &str) {
        let kill = Command::new("kill").args([signal, &self.child.id().to_string()]).status().unwrap();
        assert!(kill.success());
    }

    pub fn stop(mut self) -> String {
        self.signal("-TERM");
        let until = Instant::now() + PATIENCE;
        while self.child.try_wait().unwrap().is_none() {
            assert!(Instant::now() < until, "it does not stop: {}", self.said());
            std::thread::sleep(Duration::from_millis(20));
        }
        self.said()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // One that has ended already cannot be killed, which is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The program with nothing of the caller's settings.
pub fn program(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tissuecast"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("TISSUECAST_")) {
        command.env_remove(name);
    }
    command.current_dir(folder).stdin(Stdio::null());
    command
}

/// The status and the body, which may come in chunks; null where it is no JSON.
pub fn answer(mut stream: TcpStream) -> (u16, Value) {
    let mut bytes = Vec::new();
    drop(stream.read_to_end(&mut bytes));
    let text = String::from_utf8_lossy(&bytes);
    let (head, mut rest) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {text}"));
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    if !head.to_lowercase().contains("transfer-encoding: chunked") {
        return (status, serde_json::from_str(rest).unwrap_or_default());
    }
    let mut body = String::new();
    while let Some((size, more)) = rest.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).unwrap();
        body.push_str(&more[..size]);
        rest = &more[size + 2..];
        if size == 0 {
            break;
        }
    }
    (status, serde_json::from_str(&body).unwrap_or_default())
}

/// The fixture's people; the first one, a variant and the INFO column have the mark.
fn marked() -> String {
    let text = inflated(Path::new(&fixture("geno.vcf.gz")));
    let mut cells = text.lines().find(|line| !line.starts_with('#')).unwrap().split('\t');
    let id = cells.nth(2).unwrap();
    let marked = text.replace("\tS00000", &format!("\t{MARK}S"));
    let marked = marked.replacen(&format!("\t{id}\t"), &format!("\trs{MARK}\t"), 1);
    assert_eq!(marked.matches(MARK).count(), 2);
    marked
}

/// The expected values by gene.
fn check_truth(answer: &Value) {
    let truth = fs::read_to_string(fixture("truth.tsv")).unwrap();
    let genes = answer["genes"].as_array().unwrap();
    assert_eq!(genes.len(), 12);
    for line in truth.lines().skip(1) {
        let mut cells = line.split('\t');
        let name = cells.next().unwrap();
        let gene = genes.iter().find(|gene| gene["gene"] == name).unwrap();
        for (expected, found) in cells.skip(1).zip(gene["values"].as_array().unwrap()) {
            let (expected, found): (f64, f64) = (expected.parse().unwrap(), found.as_f64().unwrap());
            assert!((expected - found).abs() <= 1e-6, "{name}: {found} {expected}");
        }
    }
}

/// Everything that goes wrong with a body, the mark in each of them.
fn send_bad_ones(served: &Served, text: &str) {
    let path = "/v1/predictions?model=m";
    let mut rows = text.lines().filter(|line| !line.starts_with('#'));
    let row = rows.nth(100).unwrap();
    let spoilt = text.replace(row, &format!("{row}{MARK}"));
    let (status, problem) = served.vcf(path, &spoilt);
    assert_eq!((status, &problem["type"]), (400, &"/problems/malformed-genotypes".into()), "{problem}");
    let (status, problem) = served.vcf(path, &shifted(text).replace("\t.\t", &format!("\t{MARK}\t")));
    assert_eq!((status, &problem["type"]), (422, &"/problems/low-overlap".into()), "{problem}");
    let twice = text.replace("\tS00001", &format!("\t{MARK}S"));
    assert_eq!(served.vcf(path, &twice).0, 400);
    assert_eq!(served.vcf(&format!("{path}&sample={MARK}X"), text).0, 422);
    assert_eq!(served.vcf(&format!("{path}&gene={MARK}X"), text).0, 404);
    let json = format!("{{\"samples\": [\"{MARK}\"], \"variants\": [{{\"id\": \"{MARK}\", \"dosages\": [9]}}]}}");
    assert_eq!(served.post(path, "application/json", json.as_bytes(), true).unwrap().0, 400);
    let part = format!(
        "--b\r\ncontent-disposition: form-data; name=\"vcf\"; filename=\"{MARK}.vcf\"\r\n\r\n{spoilt}\r\n--b--\r\n"
    );
    assert_eq!(served.post(path, "multipart/form-data; boundary=b", part.as_bytes(), true).unwrap().0, 400);
    for check in ["", "/check"] {
        let path = format!("/v1/predictions{check}?model=m");
        assert!(served.post(&path, "text/vcf", text.as_bytes(), false).is_none());
    }
    // A chunk that is none.
    let mut stream = served.connect();
    let head = "content-type: text/vcf\r\ntransfer-encoding: chunked\r\n\r\n";
    write!(stream, "POST {path} HTTP/1.1\r\nhost: x\r\n{head}{:x}\r\n{MARK}\r\n{MARK}\r\n", MARK.len()).unwrap();
    drop(stream);
}

async fn an_imported_model_is_served_and_no_genotype_is_logged(database: &TestDatabase) {
    drop(database.migrated().await);
    let folder = tempfile::tempdir().unwrap();
    let import = ["models", "import", "--name", "m", &fixture("model.db.gz")];
    assert!(program(folder.path()).args(import).output().unwrap().status.success());
    let served = Served::start(folder.path(), database.url());
    let text = marked();

    let (status, answer) = served.vcf("/v1/predictions?model=m&preset=predixcan&report=variants", &text);
    assert_eq!(status, 200, "{answer}");
    assert_eq!(answer["samples"][0], format!("{MARK}S"));
    check_truth(&answer);
    let (status, one) = served.vcf(&format!("/v1/predictions?model=m&sample={MARK}S"), &text);
    assert_eq!((status, &one["samples"]), (200, &serde_json::json!([format!("{MARK}S")])));
    let (status, report) = served.vcf("/v1/predictions/check?model=m", &text);
    assert_eq!((status, &report["diagnosis"]), (200, &Value::Null), "{report}");
    let (status, report) = served.vcf("/v1/predictions/check?model=m", &shifted(&text));
    assert!(status == 200 && report["diagnosis"]["summary"].as_str().unwrap().contains("count from 0"), "{report}");
    let (status, gene) = served.get("/v1/models/m/genes/ENSG00000000001");
    assert_eq!((status, gene["variants"].as_array().map(Vec::len)), (200, Some(20)), "{gene}");

    send_bad_ones(&served, &text);
    // It answers as before after all of that.
    let (status, answer) = served.vcf("/v1/predictions?model=m&preset=predixcan", &text);
    assert_eq!(status, 200, "{answer}");
    check_truth(&answer);
    let said = served.stop();
    assert!(said.contains("/v1/predictions/check") && said.contains("ended"), "the log says nothing: {said}");
    assert!(!said.contains("panicked"), "{said}");
    let leaked: Vec<&str> = said.lines().filter(|line| line.contains(MARK)).collect();
    assert!(leaked.is_empty(), "genotypes in the log: {leaked:#?}");
}
