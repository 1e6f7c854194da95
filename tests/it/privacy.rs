//! Marked genotypes through every way that succeeds and every way that fails; then everything that the program wrote is
//! searched for the marks: log, audit log, store, the folder it works in, metrics, traces.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tissuecast::model::Scale;
use tissuecast::model::baseline::BaselineKind;
use tissuecast::reference::Reference;
use tissuecast::simulate::Simulated;

use crate::lab;
use crate::predict_command::{fixture, inflated, shifted};
use crate::served_predictions::{Served, program};
use crate::served_telemetry::Collector;

/// How long anything may take; far above what it does take.
const PATIENCE: Duration = Duration::from_mins(1);

/// What only a submission knows: a person, a variant by identifier, place and alleles, genes by name and by sequence, and
/// what stands in queries, headers and names of files.
const MARKS: [&str; 10] =
    ["zqperson", "rs987612345", "187654329", INSERTION, DELETION, "zqgene", PROMOTER, "zqquery", "zqheader", "zqfile"];
const INSERTION: &str = "GATTACAGATTACCAGATTACAGGCATTACA";
const DELETION: &str = "CCATTGACCATTGGACCATTGACCATTGGA";
const PROMOTER: &str = "TTGACATTGGCATTCAGTATAATGCATTGACC";

/// What is sent and what comes back.
struct Case {
    path: String,
    media_type: String,
    body: Vec<u8>,
    status: u16,
}

fn case(status: u16, path: &str, media_type: &str, body: impl Into<Vec<u8>>) -> Case {
    Case { path: path.to_owned(), media_type: media_type.to_owned(), body: body.into(), status }
}

/// Every head has a mark in its headers.
fn head(method: &str, path: &str, more: &str) -> String {
    format!(
        "{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\nuser-agent: zqheader\r\ncookie: zqheader=1\r\n\
         authorization: Basic zqheader\r\nreferer: http://x/?zqheader\r\n{more}\r\n"
    )
}

/// Sends bytes and reads all that comes back.
fn send(served: &Served, bytes: &[u8]) -> String {
    let mut stream = served.connect();
    // One that refuses early may hang up before it has read everything.
    let _ = stream.write_all(bytes);
    read(stream)
}

fn read(mut stream: TcpStream) -> String {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut answer = Vec::new();
    // What came before a connection was broken off counts as well.
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

fn status(answer: &str) -> u16 {
    answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_else(|| panic!("no answer: {answer}"))
}

fn post(served: &Served, case: &Case) -> String {
    let more = format!("content-type: {}\r\ncontent-length: {}\r\n", case.media_type, case.body.len());
    send(served, &[head("POST", &case.path, &more).as_bytes(), &case.body].concat())
}

/// Posts each and returns all answers; fails where a status is another one.
fn post_all<'a>(served: &Served, cases: impl IntoIterator<Item = &'a Case>) -> String {
    let (mut answers, mut faults) = (String::new(), Vec::new());
    for (number, case) in cases.into_iter().enumerate() {
        let answer = post(served, case);
        if status(&answer) != case.status {
            let body: String = answer.split("\r\n\r\n").skip(1).take(1).collect();
            let body: String = body.chars().take(400).collect();
            faults.push(format!("{number}: {} {}: {} {body}", case.path, case.status, status(&answer)));
        }
        answers += &answer;
    }
    assert!(faults.is_empty(), "{faults:#?}");
    answers
}

/// The fixture's VCF with marked people, and marked records behind those of the model.
fn marked_vcf() -> String {
    let text = inflated(Path::new(&fixture("geno.vcf.gz"))).replace("\tS00", "\tzqpersonS00");
    let cells: Vec<&str> = text.lines().next_back().unwrap().split('\t').collect();
    let people = cells[9..].join("\t");
    let marked = |reference: &str, alt: &str| {
        format!("{}\t187654329\trs987612345\t{reference}\t{alt}\t.\tPASS\tzqquery=1\tGT:DS\t{people}\n", cells[0])
    };
    text.trim_end().to_owned() + "\n" + &marked(INSERTION, "G") + &marked("C", DELETION)
}

/// The row of a VCF that is spoilt in its middle.
fn spoilt(text: &str, spoil: impl Fn(&str) -> String) -> String {
    let row = text.lines().filter(|line| !line.starts_with('#')).nth(100).unwrap();
    text.replacen(row, &spoil(row), 1)
}

/// Every fifth record, and so some of the model's, with a second identifier and other alleles.
fn other_alleles(vcf: &str) -> String {
    let other = |(number, row): (usize, &str)| {
        let mut cells: Vec<String> = row.split('\t').map(str::to_owned).collect();
        if number % 5 == 0 && !row.starts_with('#') {
            cells[2] += ";rs987612345";
            (cells[3], cells[4]) = (INSERTION.to_owned(), DELETION.to_owned());
        }
        cells.join("\t") + "\n"
    };
    vcf.lines().enumerate().map(other).collect()
}

fn form(parts: &[(&str, &str, &[u8])]) -> Vec<u8> {
    let mut body = Vec::new();
    for (name, file, bytes) in parts {
        let head = format!("--zq\r\ncontent-disposition: form-data; name=\"{name}\"; filename=\"{file}\"\r\n\r\n");
        body.extend([head.as_bytes(), bytes, b"\r\n"].concat());
    }
    body.extend(b"--zq--\r\n");
    body
}

const FORM: &str = "multipart/form-data; boundary=zq";
const PREDICT: &str = "/v1/predictions?model=m";

/// A VCF, and everything that is wrong with it in turn.
fn genotype_cases(vcf: &str) -> Vec<Case> {
    let text = |status, path: &str, body: String| case(status, path, "text/vcf", body);
    let mark = format!("zqperson{INSERTION}");
    let json = |people: &str, dosage: &str| {
        format!(
            "{{\"samples\": [{people}], \"variants\": [{{\"id\": \"rs987612345\", \"chromosome\": \"1\", \"position\": \
             187654329, \"ref\": \"{INSERTION}\", \"alt\": \"{DELETION}\", \"dosages\": [{dosage}]}}]}}"
        )
    };
    let with = |query: &str| format!("{PREDICT}&{query}");
    let missing = vcf.replace("\t0|1:1.000", "\t.|.:.");
    vec![
        text(200, &with("preset=predixcan&report=variants"), vcf.to_owned()),
        text(200, &with("explain=true"), vcf.to_owned()),
        text(200, &with("report=variants"), other_alleles(vcf)),
        text(200, &with("format=tsv"), vcf.to_owned()),
        text(200, "/v1/predictions/check?model=m", vcf.to_owned()),
        text(200, "/v1/predictions/check?model=m", shifted(vcf)),
        text(422, PREDICT, shifted(vcf)),
        text(400, PREDICT, spoilt(vcf, |row| format!("{row}{mark}"))),
        text(400, PREDICT, spoilt(vcf, |row| row.replacen('\t', "\t187654329x", 1))),
        text(400, PREDICT, spoilt(vcf, |row| row.replacen('\t', &format!("\t{mark}"), 1))),
        text(400, PREDICT, spoilt(vcf, |_| format!("1\t187654329\trs987612345\t{INSERTION}\t{DELETION}"))),
        text(400, PREDICT, spoilt(vcf, |row| row.replace("\tGT:DS\t", &format!("\t{mark}\t")))),
        text(400, PREDICT, vcf.replacen("#CHROM", &mark, 1)),
        text(400, PREDICT, mark.clone()),
        text(400, PREDICT, vcf.replacen("zqpersonS00001", "zqpersonS00000", 1)),
        text(400, &with("missing=error"), missing),
        text(422, &with("sample=zqpersonX"), vcf.to_owned()),
        text(404, &with("gene=zqgeneX"), vcf.to_owned()),
        text(404, "/v1/predictions?model=zqquery", vcf.to_owned()),
        text(422, &with("missing=zqquery"), vcf.to_owned()),
        text(422, &with("assembly=zqquery%00"), vcf.to_owned()),
        text(422, &with("min_overlap=zqquery"), vcf.to_owned()),
        text(422, &with("format=zqquery"), vcf.to_owned()),
        text(422, &with("zqquery=zqquery"), vcf.to_owned()),
        case(415, PREDICT, "application/zqheader", vcf),
        case(400, PREDICT, "application/gzip", [b"\x1f\x8b\x08\0".as_slice(), vcf.as_bytes()].concat()),
        case(422, PREDICT, "application/json", json("\"zqperson\"", "1")),
        case(400, PREDICT, "application/json", json("\"zqperson\"", "7")),
        case(400, PREDICT, "application/json", json("\"zqperson\"", "\"zqperson\"")),
        case(400, PREDICT, "application/json", json("\"zqperson\", \"zqperson\"", "1, 1")),
        case(400, PREDICT, "application/json", json("\"zqperson\", zqperson", "1")),
    ]
}

/// Forms: good ones, and everything that is wrong with them in turn.
fn form_cases(vcf: &str) -> Vec<Case> {
    let plink = |name: &str| fs::read(fixture(name)).unwrap();
    let (bed, bim) = (plink("geno.bed"), String::from_utf8(plink("geno.bim")).unwrap());
    let fam = String::from_utf8(plink("geno.fam")).unwrap().replace("S00", "zqpersonS00");
    assert!(fam.contains("zqperson"));
    let files = |fam: &str, bim: &str, bed: &[u8]| {
        form(&[
            ("fam", "zqfile.fam", fam.as_bytes()),
            ("bim", "zqfile.bim", bim.as_bytes()),
            ("bed", "zqfile.bed", bed),
        ])
    };
    let twice = fam.replacen("zqpersonS00001", "zqpersonS00000", 2);
    let broken = bim.replacen('\n', &format!("\nrs987612345 187654329 {INSERTION}\n"), 1);
    let cut = form(&[("vcf", "zqfile.vcf", vcf.as_bytes())]);
    vec![
        case(200, PREDICT, FORM, files(&fam, &bim, &bed)),
        case(200, PREDICT, FORM, form(&[("vcf", "zqfile.vcf", vcf.as_bytes())])),
        case(400, PREDICT, FORM, files(&fam, &bim, b"zqperson")),
        case(400, PREDICT, FORM, files(&fam, &bim, &bed[..bed.len() - 7])),
        case(400, PREDICT, FORM, files(&fam, &broken, &bed)),
        case(400, PREDICT, FORM, files(&twice, &bim, &bed)),
        case(400, PREDICT, FORM, form(&[("zqquery", "zqfile.zqfile", vcf.as_bytes())])),
        case(400, PREDICT, FORM, &cut[..cut.len() / 2]),
        case(400, PREDICT, FORM, vcf),
        case(400, PREDICT, "multipart/form-data; zqheader", vcf),
    ]
}

/// Genes by name and by sequence, in paths, queries and bodies.
fn profile_cases() -> Vec<Case> {
    let gene = |more: &str| {
        format!("{{\"genes\": [{{\"id\": \"zqgene\", \"chromosome\": \"1\", \"strand\": \"+\", {more}}}]}}")
    };
    let post = |status, body: String| case(status, "/v1/profiles", "application/json", body);
    vec![
        post(200, gene(&format!("\"tss\": 1000000, \"promoter\": \"{PROMOTER}\", \"observed\": {{\"Liver\": 2.5}}"))),
        post(200, "{\"genes\": [{\"gene\": \"zqgene\"}]}".to_owned()),
        post(422, gene(&format!("\"tss\": 0, \"promoter\": \"{PROMOTER}\""))),
        post(422, gene(&format!("\"tss\": 1, \"promoter\": \"{PROMOTER}!\""))),
        post(422, gene("\"tss\": 1, \"observed\": {\"zqgene\": 1}")),
        post(422, gene("\"tss\": 1, \"zqgene\": 1")),
        post(400, gene("\"tss\": zqgene")),
        post(400, "{\"zqgene\": [\"zqgene\"]}".to_owned()),
        post(404, "{\"dataset\": \"zqgene\", \"genes\": [{\"gene\": \"zqgene\"}]}".to_owned()),
        case(415, "/v1/profiles", "text/zqheader", "zqgene"),
        case(413, "/v1/profiles", "application/json", "\"zqgene\",".repeat(200_000)),
        case(422, "/v1/profiles?zqquery=1", "application/json", "{\"genes\": [{\"gene\": \"zqgene\"}]}"),
    ]
}

/// Requests without a body.
fn look(served: &Served) -> String {
    let mut answers = String::new();
    let mut faults = Vec::new();
    for (expected, path) in [
        (404, "/v1/genes/zqgene/profile"),
        (422, "/v1/genes/zqgene/profile?zqquery=zqquery"),
        (422, "/v1/genes/SIM2/profile?tissue=zqquery"),
        (404, "/v1/genes/SIM2/profile?dataset=zqquery"),
        (404, "/v1/genes/zqgene"),
        (404, "/v1/models/zqquery"),
        (404, "/v1/models/m/genes/zqgene"),
        (200, "/v1/genes?query=zqgene"),
        (404, "/zqgene/zqgene?zqquery"),
        (404, "/v1/genes/%E0%80zqgene/profile"),
    ] {
        let answer = send(served, head("GET", path, "traceparent: 00-zqheader\r\n").as_bytes());
        if status(&answer) != expected {
            faults.push(format!("{path} {expected}: {answer}"));
        }
        answers += &answer;
    }
    assert!(faults.is_empty(), "{faults:#?}");
    for page in ["/genes/zqgene?zqquery=1", "/?q=zqgene", "/zqgene"] {
        answers += &send(served, head("GET", page, "").as_bytes());
    }
    assert_eq!(status(&send(served, head("ZQHEADER", "/v1/models", "").as_bytes())), 405);
    for malformed in [
        "GET /zqquery zqheader\r\n\r\n".to_owned(),
        head("GET", "/zqquery", "zqheader zqheader\r\n"),
        head("POST", PREDICT, "content-length: zqheader\r\n"),
        head("GET", "/zqquery", &format!("zqheader: {}\r\n", "zqheader".repeat(100_000))),
        head("POST", PREDICT, "content-type: text/vcf\r\ntransfer-encoding: chunked\r\n")
            + "8\r\nzqperson\r\nzqperson\r\n",
    ] {
        send(served, malformed.as_bytes());
    }
    answers
}

/// Clients that leave in the middle, that send nothing more, and that come while others are served.
fn leave(served: &Served, vcf: &str) {
    let more = format!("content-type: text/vcf\r\ncontent-length: {}\r\n", vcf.len());
    for path in [PREDICT, "/v1/predictions/check?model=m"] {
        let mut stream = served.connect();
        stream.write_all(&[head("POST", path, &more).as_bytes(), &vcf.as_bytes()[..vcf.len() / 2]].concat()).unwrap();
        drop(stream);
    }
    // Gone after the first bytes of the answer; those that left before may hold their places for a moment yet.
    let everything = head("POST", &format!("{PREDICT}&explain=true&preset=predixcan"), &more);
    let until = Instant::now() + PATIENCE;
    loop {
        let mut stream = served.connect();
        stream.write_all(&[everything.as_bytes(), vcf.as_bytes()].concat()).unwrap();
        let mut begun = [0; 12];
        stream.read_exact(&mut begun).unwrap();
        if &begun == b"HTTP/1.1 200" {
            break;
        }
        assert!(&begun == b"HTTP/1.1 503" && Instant::now() < until, "{}", String::from_utf8_lossy(&begun));
        std::thread::sleep(Duration::from_millis(20));
    }
    // As many at work as may be: the next one is refused, and those that stay silent are given up.
    wait_for(served, "tissuecast_predictions_running 0");
    let half = &vcf.as_bytes()[..vcf.len() / 2];
    let silent = [(); 2].map(|()| {
        let mut stream = served.connect();
        stream.write_all(&[head("POST", PREDICT, &more).as_bytes(), half].concat()).unwrap();
        stream
    });
    wait_for(served, "tissuecast_predictions_running 2");
    let refused = send(served, &[head("POST", PREDICT, &more).as_bytes(), vcf.as_bytes()].concat());
    assert_eq!(status(&refused), 503, "{refused}");
    for stream in silent {
        let answer = read(stream);
        assert!([400, 408, 504].contains(&status(&answer)), "{answer}");
    }
}

/// The text of the metrics.
fn metrics(served: &Served) -> String {
    let mut stream = TcpStream::connect(served.address_of("serving metrics and health")).unwrap();
    stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").unwrap();
    read(stream)
}

/// Waits until the metrics have this line.
fn wait_for(served: &Served, line: &str) {
    let until = Instant::now() + PATIENCE;
    while !metrics(served).lines().any(|one| one == line) {
        assert!(Instant::now() < until, "never {line}: {}", metrics(served));
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Every file below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { folders.push(path) } else { found.push(path) }
        }
    }
    found
}

/// The marks that are in the bytes, whatever their case.
fn marks_in(bytes: &[u8]) -> Vec<&'static str> {
    let lower = bytes.to_ascii_lowercase();
    let text = String::from_utf8_lossy(&lower);
    MARKS.into_iter().filter(|mark| text.contains(&mark.to_ascii_lowercase())).collect()
}

/// A folder with a dataset, a profile model and the genotype model `m`.
fn prepare(folder: &Path) {
    let genome = lab::genome(150, 1);
    genome.write_files(folder).unwrap();
    let files = ["--expression", "simulated.gct", "--annotation", "simulated.gtf"];
    let ingest = ["ingest", "--dataset", "lab", "--promoters", "simulated.promoters.fa", "--assembly", "simulated"];
    let store = ["--unit", "tpm", "--database-url", "sqlite://lab.sqlite"];
    crate::binary::succeed(folder, &[&ingest[..], &files, &store].concat());
    let Simulated { dataset, tissues, records } = genome;
    let reference = Reference::new(dataset, tissues, records);
    lab::train_as("ridge", &reference, BaselineKind::RidgeNearest, Scale::Log2, &folder.join("models"));
    let import = ["models", "import", "--name", "m", &fixture("model.db.gz")];
    assert!(program(folder).args(import).output().unwrap().status.success());
}

#[test]
fn nothing_of_a_submission_is_in_anything_that_the_program_writes() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    prepare(folder);
    let collector = Collector::start();
    let flags = [
        "--internal-listen",
        "127.0.0.1:0",
        "--audit-log",
        "audit.jsonl",
        "--otlp-endpoint",
        &collector.endpoint,
        "--max-body-mib",
        "1",
        "--max-genotype-mib",
        "4",
        "--max-samples",
        "5000",
        "--predictions",
        "2",
        "--waiting-predictions",
        "0",
        "--idle-seconds",
        "2",
    ];
    let served = Served::start_with(folder, "sqlite://lab.sqlite", &flags);
    let vcf = marked_vcf();
    assert_eq!(marks_in(vcf.as_bytes()).len(), 6, "the submission has its marks");
    let too_many = (0..6_000).fold(String::new(), |text, at| text + "\tzqperson" + &at.to_string());
    let header = format!("##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT{too_many}\n");
    let large = [
        case(413, PREDICT, "text/vcf", header),
        case(413, PREDICT, "text/vcf", format!("#{}", "zqperson".repeat(600_000))),
    ];
    let (genotypes, forms, profiles) = (genotype_cases(&vcf), form_cases(&vcf), profile_cases());
    let mut answers = post_all(&served, genotypes.iter().chain(&forms).chain(&profiles).chain(&large));
    answers += &look(&served);
    leave(&served, &vcf);
    // It answers as before after all of that, and what it answers has the marks: the search finds them.
    answers += &post_all(&served, &[case(200, &format!("{PREDICT}&preset=predixcan"), "text/vcf", vcf)]);
    let told = marks_in(answers.as_bytes());
    for mark in ["zqperson", "rs987612345", "187654329", INSERTION, DELETION, "zqgene", "zqquery", "zqfile"] {
        assert!(told.contains(&mark), "no answer has {mark}, only {told:?}: the search is blind");
    }

    let metrics = metrics(&served);
    assert!(metrics.contains("status=\"aborted\"") && metrics.contains("reason=\"overloaded\"} "), "{metrics}");
    let said = served.stop();
    assert!(!said.contains("panicked"), "{said}");
    assert!(said.lines().count() > 70, "the log says nothing: {said}");
    let audit = fs::read_to_string(folder.join("audit.jsonl")).unwrap();
    assert!(audit.lines().count() > 60 && audit.contains("\"outcome\":\"aborted\""), "{audit}");
    assert!(!collector.received().is_empty());
    assert_eq!(marks_in(metrics.as_bytes()), Vec::<&str>::new(), "{metrics}");
    assert_eq!(marks_in(&collector.received()), Vec::<&str>::new());
    let mut searched = Vec::new();
    for file in files(folder) {
        let bytes = fs::read(&file).unwrap();
        let found = marks_in(&bytes);
        let text = String::from_utf8_lossy(&bytes);
        let lines: Vec<&str> = text.lines().filter(|line| !marks_in(line.as_bytes()).is_empty()).take(5).collect();
        assert!(found.is_empty(), "{found:?} in {}: {lines:#?}", file.display());
        searched.push(file.file_name().unwrap().to_string_lossy().into_owned());
    }
    for name in ["log", "audit.jsonl", "lab.sqlite"] {
        assert!(searched.iter().any(|one| one == name), "{name} is not among {searched:?}");
    }
}
