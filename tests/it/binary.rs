//! The program itself: what it prints, serves, refuses and leaves behind.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use serde_json::Value;
use tissuecast::model::Scale;
use tissuecast::model::baseline::BaselineKind;
use tissuecast::model::own_tissues::OwnTissuesKind;
use tissuecast::reference::Reference;
use tissuecast::simulate::Simulated;

use crate::lab;
use crate::support::{TestDatabase, on_both_databases};

on_both_databases!(a_schema_that_is_not_the_programs_is_refused);

/// How long anything may take; far above what it does take.
pub const PATIENCE: Duration = Duration::from_mins(1);

/// The program with nothing of the caller's settings.
fn program(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = clean(env!("CARGO_BIN_EXE_tissuecast"), folder);
    command.args(arguments);
    command
}

/// The program on a disk that has room for files of so many blocks of 512 bytes: what goes beyond fails to be written.
pub fn limited(folder: &Path, blocks: u32, arguments: &[&str]) -> Command {
    let mut command = clean("sh", folder);
    // Without the trap the first write beyond the limit would end the program.
    command.args(["-c", r#"trap '' XFSZ; ulimit -f "$0"; exec "$@""#, &blocks.to_string()]);
    command.arg(env!("CARGO_BIN_EXE_tissuecast")).args(arguments);
    command
}

fn clean(program: &str, folder: &Path) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("TISSUECAST_")) {
        command.env_remove(name);
    }
    command.current_dir(folder).stdin(Stdio::null());
    command
}

/// A run of the program that ends with its test.
pub struct Running {
    child: Child,
    lines: Receiver<String>,
    messages: PathBuf,
}

impl Running {
    pub fn start(folder: &Path, arguments: &[&str]) -> Self {
        Self::spawn(folder, program(folder, arguments))
    }

    pub fn spawn(folder: &Path, mut command: Command) -> Self {
        // The messages go to a file: a pipe that nobody reads would fill up and hold the program.
        let (messages, file) =
            tempfile::Builder::new().tempfile_in(folder).unwrap().keep().map(|(f, p)| (p, f)).unwrap();
        let mut child = command.stdout(Stdio::piped()).stderr(file).spawn().unwrap();
        let (sender, lines) = mpsc::channel();
        let output = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Self { child, lines, messages }
    }

    pub fn messages(&self) -> String {
        fs::read_to_string(&self.messages).unwrap()
    }

    /// The next line of its output that has `text` in it.
    fn line_with(&self, text: &str) -> String {
        let until = Instant::now() + PATIENCE;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let line = self.lines.recv_timeout(left);
            let line = line.unwrap_or_else(|error| panic!("no line with '{text}' ({error}): {}", self.messages()));
            if line.contains(text) {
                return line;
            }
        }
    }

    /// How it has ended, where it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// Waits for its end, no longer than `limit`.
    pub fn end(&mut self, limit: Duration) -> ExitStatus {
        let until = Instant::now() + limit;
        loop {
            if let Some(status) = self.ended() {
                return status;
            }
            assert!(Instant::now() < until, "still running after {limit:?}: {}", self.messages());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Asks it to stop as a container's manager does.
    pub fn terminate(&self) {
        let kill = Command::new("kill").args(["-TERM", &self.id().to_string()]).status().unwrap();
        assert!(kill.success());
    }

    /// Ends it there and then, as a power cut does.
    pub fn kill(&mut self) {
        // One that has ended already cannot be killed, which is as good.
        let _ = self.child.kill();
        self.child.wait().unwrap();
    }

    /// The process's number.
    pub fn id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // One that has ended already cannot be killed, which is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a command to its end; its success, output and messages.
fn run(folder: &Path, arguments: &[&str]) -> (bool, String, String) {
    run_to_its_end(folder, program(folder, arguments))
}

/// Runs a command to its end; its success, output and messages.
pub fn run_to_its_end(folder: &Path, command: Command) -> (bool, String, String) {
    let mut running = Running::spawn(folder, command);
    let success = running.end(3 * PATIENCE).success();
    let output: Vec<String> = running.lines.iter().collect();
    (success, output.join("\n"), running.messages())
}

/// Runs a command that has to succeed; its output.
pub fn succeed(folder: &Path, arguments: &[&str]) -> String {
    let (success, output, messages) = run(folder, arguments);
    assert!(success, "{arguments:?}: {output}{messages}");
    output
}

/// Runs a command that has to fail without a panic; its output and messages.
pub fn fail(folder: &Path, arguments: &[&str]) -> String {
    let (success, output, messages) = run(folder, arguments);
    assert!(!success && !messages.contains("panicked"), "{arguments:?}: {output}{messages}");
    output + &messages
}

/// What stands between single quotes in a shell's command line.
fn quoted(line: &str) -> Vec<&str> {
    line.split('\'').skip(1).step_by(2).collect()
}

/// Does what a printed `curl` line does; the status, the head and the body.
fn curl(line: &str) -> (u16, String, String) {
    let mut headers = String::new();
    let (mut body, mut url) = ("", "");
    for (flag, text) in line.split('\'').step_by(2).zip(quoted(line)) {
        match flag.trim().rsplit(' ').next().unwrap() {
            "-H" => headers = format!("{text}\r\n"),
            "-d" => body = text,
            "curl" | "" => url = text,
            other => panic!("{other} in {line}"),
        }
    }
    let (host, path) = url.strip_prefix("http://").unwrap().split_once('/').unwrap();
    let method = if body.is_empty() { "GET" } else { "POST" };
    let mut stream = TcpStream::connect(host).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let length = body.len();
    let request = format!(
        "{method} /{path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n"
    );
    stream.write_all((request + body).as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), head.to_owned(), body.to_owned())
}

/// Writes a model of a simulated genome into a folder of models.
pub fn write_model(name: &str, models: &Path) {
    let Simulated { dataset, tissues, records } = lab::genome(150, 1);
    lab::train_as(name, &Reference::new(dataset, tissues, records), BaselineKind::RidgeNearest, Scale::Log2, models);
}

#[test]
fn the_demo_does_what_it_prints_and_stops_in_order() {
    let folder = tempfile::tempdir().unwrap();
    write_model("demo", &folder.path().join("models"));
    let arguments = ["demo", "--listen", "127.0.0.1:0", "--demo-dir", "a demo's", "--genes", "240"];
    // The second run replaces what the first has left.
    for _ in 0..2 {
        let started = Instant::now();
        let mut demo = Running::start(folder.path(), &arguments);
        let page = demo.line_with("open http://");
        let (status, head, _) = curl(&format!("curl '{}'", page.trim().trim_start_matches("open ")));
        assert!(status == 200 && head.to_lowercase().contains("content-type: text/html"), "{head}");
        assert!(started.elapsed() < Duration::from_secs(10), "the demo took {:?}", started.elapsed());

        let (status, _, body) = curl(&demo.line_with("curl "));
        let profile: Value = serde_json::from_str(&body).unwrap();
        let sources = |profile: &Value, wanted: &str| {
            let tissues = profile["tissues"].as_array().unwrap();
            tissues.iter().filter(|row| row["source"] == wanted && row["value"].is_number()).count()
        };
        assert_eq!((status, sources(&profile, "measured")), (200, 54));
        let (status, _, body) = curl(&demo.line_with("curl "));
        assert_eq!((status, body.lines().filter(|line| line.contains("\timputed\t")).count()), (200, 54), "{body}");
        let (status, _, body) = curl(&demo.line_with("curl "));
        let answer: Value = serde_json::from_str(&body).unwrap();
        assert_eq!((status, &answer["data"][0]["gene"]["gene_id"]), (200, &"my_gene".into()));
        assert_eq!((&answer["data"][0]["model"]["name"], sources(&answer["data"][0], "imputed")), (&"demo".into(), 54));

        demo.terminate();
        assert_eq!(demo.end(Duration::from_secs(10)).code(), Some(0), "{}", demo.messages());
    }
}

#[test]
fn the_demo_empties_no_folder_but_its_own() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("thesis.txt"), "years of work").unwrap();
    let said = fail(folder.path(), &["demo", "--listen", "127.0.0.1:0", "--demo-dir", "."]);
    assert!(said.contains("--demo-dir"), "{said}");
    assert_eq!(fs::read_to_string(folder.path().join("thesis.txt")).unwrap(), "years of work");
}

async fn a_schema_that_is_not_the_programs_is_refused(database: &TestDatabase) {
    let folder = tempfile::tempdir().unwrap();
    let commands: [&[&str]; 4] = [
        &["serve", "--listen", "127.0.0.1:0"],
        &["train", "profile", "--dataset", "d", "--method", "copy-nearest", "--out", "models/m"],
        &["evaluate", "profile", "--dataset", "d"],
        &["complete", "--dataset", "d", "--out", "d.tsv"],
    ];
    let refused = |says: &str| {
        for command in commands {
            let said = fail(folder.path(), &[command, &["--database-url", database.url()]].concat());
            assert!(said.contains(says), "{command:?}: {said}");
        }
    };
    drop(database.open().await);
    refused("tissuecast migrate");
    drop(database.migrated().await);
    database
        .execute(
            "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
             SELECT 9999, 'of the future', success, checksum, 0 FROM _sqlx_migrations WHERE version = 1",
        )
        .await;
    refused("run a newer tissuecast");
    let said = fail(folder.path(), &["migrate", "--database-url", database.url()]);
    assert!(said.contains("newer"), "{said}");
}

/// A folder with the simulated files, ingested into `lab.sqlite` as `lab`.
pub fn ingested(folder: &Path) {
    lab::genome(150, 1).write_files(folder).unwrap();
    succeed(folder, &INGEST);
}

/// Ingests the simulated files of the folder into its `lab.sqlite`.
pub const INGEST: [&str; 15] = [
    "ingest",
    "--dataset",
    "lab",
    "--expression",
    "simulated.gct",
    "--annotation",
    "simulated.gtf",
    "--promoters",
    "simulated.promoters.fa",
    "--assembly",
    "simulated",
    "--unit",
    "tpm",
    "--database-url",
    "sqlite://lab.sqlite",
];

#[test]
fn a_malformed_file_is_named_with_its_place_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    ingested(folder.path());
    let before = succeed(folder.path(), &INGEST);
    assert!(before.contains("unchanged"), "{before}");
    let cases = [
        ("simulated.gct", 7, "\t", "\tx", "column 56"),
        ("simulated.gct", 7, "SIMG", "\t", "line 7"),
        ("simulated.gtf", 3, "\tgene\t", "\tgene\tx", "column 4"),
        ("simulated.gtf", 3, "gene_id", "id", "line 3"),
        ("simulated.promoters.fa", 2, "A", "!", "line 2"),
    ];
    for (file, number, from, to, place) in cases {
        let path = folder.path().join(file);
        let text = fs::read_to_string(&path).unwrap();
        let lines: Vec<String> = (1..)
            .zip(text.lines())
            .map(|(at, line)| {
                // In a table of values, the last field is the one to spoil.
                let spoilt =
                    if file.ends_with("gct") && from == "\t" { format!("{line}x") } else { line.replacen(from, to, 1) };
                if at == number { spoilt } else { line.to_owned() }
            })
            .collect();
        fs::write(&path, lines.join("\n") + "\n").unwrap();
        let said = fail(folder.path(), &INGEST);
        assert!(said.contains(file) && said.contains(&format!("line {number}")) && said.contains(place), "{said}");
        fs::write(&path, text).unwrap();
    }
    let after = succeed(folder.path(), &INGEST);
    assert_eq!(after.lines().next(), before.lines().next(), "same version, unchanged");
}

#[test]
fn training_is_reproducible_and_a_damaged_model_is_not_served() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    ingested(folder);
    let database = ["--database-url", "sqlite://lab.sqlite"];
    let train = |out: &str| {
        // Without held-out chromosomes no baseline is fitted beside it: that takes its time in a debug build.
        let line = format!("train profile --dataset lab --method ridge-nearest --seed 5 --out {out}");
        let mut arguments: Vec<&str> = line.split(' ').collect();
        arguments.extend(["--holdout-chromosomes", "", "--calibration-chromosomes", "4,5,6"]);
        succeed(folder, &[&arguments[..], &database].concat())
    };
    let said = train("first/ridge");
    assert!(said.contains("ridge@1"), "{said}");
    train("second/ridge");
    let weights = |models: &str| fs::read(folder.join(models).join("ridge/1/weights.safetensors")).unwrap();
    assert!(weights("first") == weights("second"), "the same command gave other weights");
    assert!(train("first/ridge").contains("ridge@2"), "the next version stands beside the first");

    let check = ["models", "check", "--models-dir", "first"];
    let said = succeed(folder, &check);
    assert!(said.contains("ridge@1 passes") && said.contains("ridge@2 passes"), "{said}");
    let listed = succeed(folder, &["models", "list", "--format", "json", "--models-dir", "first"]);
    let listed: Value = serde_json::from_str(&listed).unwrap();
    assert_eq!((&listed[0]["card"]["training"]["seed"], &listed[1]["card"]["version"]), (&5.into(), &"2".into()));

    let path = folder.join("first/ridge/2/weights.safetensors");
    let mut bytes = fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&path, bytes).unwrap();
    let said = fail(folder, &check);
    assert!(said.contains("ridge@2 FAILS") && said.contains("weights.safetensors"), "{said}");
    let serve = ["serve", "--listen", "127.0.0.1:0", "--models-dir", "first"];
    let said = fail(folder, &[&serve[..], &database].concat());
    assert!(said.contains("ridge@2") && said.contains("weights.safetensors"), "{said}");
}

#[test]
fn an_evaluation_writes_its_reports_and_refuses_a_model_that_saw_the_genes() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    ingested(folder);
    let evaluate = |holdout: &'static str, models: &'static str| {
        [
            "evaluate",
            "profile",
            "--dataset",
            "lab",
            "--database-url",
            "sqlite://lab.sqlite",
            "--calibration-chromosomes",
            "4",
        ]
        .into_iter()
        .chain(["--holdout-chromosomes", holdout, "--models-dir", models, "--out", "report"])
        .collect::<Vec<_>>()
    };
    write_model("ridge", &folder.join("models"));
    let said = fail(folder, &[&evaluate("1", "models")[..], &["--models", "ridge"]].concat());
    assert!(said.contains("ridge") && said.contains("chr1"), "{said}");
    let said = fail(folder, &evaluate("1,99", "models"));
    assert!(said.contains("chr99") && said.contains("chr1, chr2"), "{said}");
    let printed = succeed(folder, &[&evaluate("5,6", "models")[..], &["--models", "ridge"]].concat());
    let text = fs::read_to_string(folder.join("report/report.txt")).unwrap();
    assert!(printed.starts_with(text.trim_end()), "what is printed is what is written");
    for kind in BaselineKind::ALL {
        assert!(text.contains(kind.as_str()), "{kind}: {text}");
    }
    assert!(text.contains("ridge@1"), "{text}");
    for kind in OwnTissuesKind::ALL {
        assert!(text.contains(kind.as_str()), "{kind}: {text}");
    }
    assert!(text.contains("one tissue hidden in all scored genes"), "{text}");
    let json = fs::read_to_string(folder.join("report/report.json")).unwrap();
    assert!(serde_json::from_str::<Value>(&json).unwrap().is_object());
    assert!(fs::read_to_string(folder.join("report/report.svg")).unwrap().starts_with("<svg "));
}

#[test]
fn chromosomes_that_nobody_names_are_chosen_and_stand_in_the_card() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    ingested(folder);
    let line = "train profile --dataset lab --method mean-profile --out models/mean --database-url sqlite://lab.sqlite";
    let arguments: Vec<&str> = line.split(' ').collect();
    let said = succeed(folder, &[&arguments[..], &["--holdout-chromosomes", ""]].concat());
    let chosen = said.lines().find(|line| line.starts_with("chosen by")).unwrap();
    let card = fs::read_to_string(folder.join("models/mean/1/manifest.json")).unwrap();
    let card: Value = serde_json::from_str(&card).unwrap();
    let calibration = card["training"]["calibration_chromosomes"].as_array().unwrap();
    assert!(!calibration.is_empty() && card["training"]["held_out_chromosomes"].as_array().unwrap().is_empty());
    for chromosome in calibration.iter().map(|name| name.as_str().unwrap()) {
        assert!(chosen.contains(chromosome), "{chosen}");
        assert!(card["training"]["command"].as_str().unwrap().contains(chromosome), "{card}");
    }
}

#[test]
fn serve_answers_from_an_ingested_store_and_says_what_is_wrong_before_it_listens() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    ingested(folder);
    write_model("ridge", &folder.join("models"));
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let serve = ["serve", "--database-url", "sqlite://lab.sqlite", "--listen", &address];
    assert!(fail(folder, &serve).contains(&format!("cannot listen on {address}")));
    let said = fail(folder, &[&serve[..], &["--batch-genes", "0"]].concat());
    assert!(said.contains("--batch-genes is 0"), "{said}");
    drop(taken);
    let mut running = Running::start(folder, &serve);
    let until = Instant::now() + PATIENCE;
    while TcpStream::connect(&address).is_err() {
        assert!(Instant::now() < until, "{}", running.messages());
        std::thread::sleep(Duration::from_millis(20));
    }
    let (status, _, body) = curl(&format!("curl 'http://{address}/readyz'"));
    assert_eq!(status, 200, "{body}");
    let (status, _, body) =
        curl(&format!("curl -H 'Accept: text/tab-separated-values' 'http://{address}/v1/genes/SIM2/profile'"));
    assert_eq!((status, body.lines().count()), (200, 55), "{body}");
    running.terminate();
    assert_eq!(running.end(Duration::from_secs(10)).code(), Some(0), "{}", running.messages());
}

#[test]
fn every_command_has_help_and_the_contract_is_the_committed_one() {
    let folder = tempfile::tempdir().unwrap();
    let commands = "\nserve\ndemo\nmigrate\ningest\ntrain\ntrain profile\nevaluate\nevaluate profile\ncomplete\nmodels\nmodels list\n\
                    models check\nopenapi\nhealth";
    for command in commands.split('\n') {
        let arguments: Vec<&str> = command.split_whitespace().chain(["--help"]).collect();
        let help = succeed(folder.path(), &arguments);
        assert!(help.contains("Usage: tissuecast"), "{command}: {help}");
    }
    let said = fail(folder.path(), &["evaluate", "profile", "--dataset", "d", "--methods", "magic"]);
    assert!(said.contains("there is no method 'magic'") && said.contains("ridge-nearest"), "{said}");
    let printed = succeed(folder.path(), &["openapi"]);
    let committed = File::open(concat!(env!("CARGO_MANIFEST_DIR"), "/openapi.yaml")).map(BufReader::new).unwrap();
    assert!(printed.lines().eq(committed.lines().map(Result::unwrap)), "openapi.yaml is not what the program prints");
}
