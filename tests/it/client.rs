//! The served program, and clients that speak to it byte by byte, as well and as badly as clients do.

use std::fmt::Write as _;
use std::fs;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use flate2::write::GzEncoder;
use serde_json::Value;

use crate::binary::{PATIENCE, Running, succeed};
use crate::http_streaming::{header, position, record, weight};

/// Between two looks at something that is waited for.
pub const LOOK: Duration = Duration::from_millis(20);

/// A store of the folder that a test works in.
pub const STORE: [&str; 2] = ["--database-url", "sqlite://lab.sqlite"];

/// The program as it serves.
pub struct Server {
    pub running: Running,
    pub address: SocketAddr,
}

impl Server {
    /// Serves from a folder's `models` and `lab.sqlite`.
    pub fn start(folder: &Path, flags: &[&str]) -> Self {
        Self::of(Running::start(folder, &Self::arguments(flags)))
    }

    /// The program's arguments.
    pub fn arguments<'a>(flags: &[&'a str]) -> Vec<&'a str> {
        [&["serve", "--listen", "127.0.0.1:0"], &STORE[..], flags].concat()
    }

    /// Waits until a program that was started to serve says where it listens.
    pub fn of(mut running: Running) -> Self {
        let until = Instant::now() + PATIENCE;
        loop {
            let said = running.messages();
            let line = said.lines().find(|line| line.contains("\"serving\"")).unwrap_or("{}");
            let line: Value = serde_json::from_str(line).unwrap_or_default();
            if let Some(address) = line["address"].as_str() {
                return Self { running, address: address.parse().unwrap() };
            }
            assert!(running.ended().is_none() && Instant::now() < until, "it does not serve: {said}");
            std::thread::sleep(LOOK);
        }
    }

    /// A connection that has to come about.
    pub fn connect(&self) -> Connection {
        Connection::open(self.address).unwrap()
    }

    /// Asks on a connection of its own for an answer that has to come whole.
    pub fn ask(&self, request: &[u8]) -> Reply {
        self.connect().ask(request).unwrap_or_else(|broken| panic!("{broken:?}: {}", self.running.messages()))
    }

    /// Asks until the answer is right; how long it took.
    pub fn wait_for(&self, request: &[u8], limit: Duration, is_right: impl Fn(&Reply) -> bool) -> (Reply, Duration) {
        let since = Instant::now();
        loop {
            let reply = self.ask(request);
            if is_right(&reply) {
                return (reply, since.elapsed());
            }
            assert!(since.elapsed() < limit, "after {limit:?} still {}: {}", reply.status, reply.text());
            std::thread::sleep(LOOK);
        }
    }

    /// Sends what takes the only place for predictions, and waits until it is taken.
    pub fn take_place(&self, request: &[u8]) -> Connection {
        let until = Instant::now() + PATIENCE;
        loop {
            let mut client = self.connect();
            client.send(request).unwrap();
            // The small one that tells may itself have the place when the other one comes: that one is then refused.
            while !client.is_refused() {
                if self.ask(&small_prediction(1)).status == 503 {
                    return client;
                }
                assert!(Instant::now() < until, "the place is not taken");
                std::thread::sleep(LOOK);
            }
        }
    }

    /// Stops it, which has to end well and without a panic.
    pub fn stop(mut self) -> String {
        self.running.terminate();
        let status = self.running.end(PATIENCE);
        let said = self.running.messages();
        assert!(status.code() == Some(0) && !said.contains("panicked"), "{status}: {said}");
        said
    }
}

/// An answer that came whole.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Reply {
    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        let fields = self.head.lines().skip(1).filter_map(|line| line.split_once(':'));
        fields.into_iter().find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error} in {}", self.text()))
    }

    /// The problem's type, where it is one as it should be.
    pub fn problem(&self) -> Option<String> {
        let is_problem = self.header("content-type") == Some("application/problem+json");
        let body: Value = serde_json::from_slice(&self.body).ok()?;
        let says_so = is_problem && body["status"] == self.status;
        body["type"].as_str().filter(|_| says_so).map(str::to_owned)
    }
}

/// How an answer did not come.
#[derive(Debug)]
pub enum Broken {
    /// The connection ended before a byte of it.
    Before(String),
    /// The connection ended in the middle of it.
    Midway(String),
}

/// A connection that is kept from one request to the next.
pub struct Connection {
    stream: BufReader<TcpStream>,
}

impl Connection {
    pub fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self { stream: BufReader::new(stream) })
    }

    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.get_mut().write_all(bytes)
    }

    /// Sends a request and reads the answer.
    pub fn ask(&mut self, request: &[u8]) -> Result<Reply, Broken> {
        // A service that has refused already need not read to the end: its answer counts.
        let _ = self.send(request);
        self.reply()
    }

    /// Reads an answer to its end.
    pub fn reply(&mut self) -> Result<Reply, Broken> {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            let read = self.stream.read_line(&mut head);
            if matches!(read, Ok(count) if count > 0) {
                continue;
            }
            let why = format!("{read:?}");
            return Err(if head.is_empty() { Broken::Before(why) } else { Broken::Midway(format!("{why}: {head}")) });
        }
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap();
        let mut reply = Reply { status, head, body: Vec::new() };
        match self.body(&reply) {
            Ok(body) => reply.body = body,
            Err(error) => return Err(Broken::Midway(format!("{error}: {}", reply.head))),
        }
        Ok(reply)
    }

    fn body(&mut self, reply: &Reply) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        if reply.header("transfer-encoding").is_none() {
            let length = reply.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
            body.resize(length, 0);
            self.stream.read_exact(&mut body)?;
            return Ok(body);
        }
        loop {
            let mut line = String::new();
            self.stream.read_line(&mut line)?;
            let size = usize::from_str_radix(line.trim(), 16).map_err(io::Error::other)?;
            let from = body.len();
            body.resize(from + size + 2, 0);
            self.stream.read_exact(&mut body[from..])?;
            body.truncate(from + size);
            if size == 0 {
                return Ok(body);
            }
        }
    }

    /// Whether the answer has begun and is a refusal.
    fn is_refused(&mut self) -> bool {
        let mut begin = [0; 12];
        self.has_word(Duration::from_millis(1))
            && self.stream.get_ref().peek(&mut begin).is_ok()
            && begin.ends_with(b" 503")
    }

    /// Takes up to so many bytes of what comes; none at the end.
    pub fn take(&mut self, most: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; most];
        let count = self.stream.read(&mut bytes)?;
        bytes.truncate(count);
        Ok(bytes)
    }

    /// Whether the service says something or hangs up within so long a time.
    pub fn has_word(&mut self, within: Duration) -> bool {
        let stream = self.stream.get_mut();
        stream.set_read_timeout(Some(within)).unwrap();
        let seen = stream.peek(&mut [0]);
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        !matches!(seen, Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut))
    }
}

/// A request without a body.
pub fn get(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n").into_bytes()
}

/// A request with its body.
pub fn post(path: &str, media_type: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head =
        format!("POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: {media_type}\r\ncontent-length: {length}\r\n\r\n");
    [head.as_bytes(), body].concat()
}

/// The head of a request whose body comes in chunks.
pub fn chunked(path: &str, media_type: &str) -> Vec<u8> {
    format!("POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: {media_type}\r\ntransfer-encoding: chunked\r\n\r\n")
        .into_bytes()
}

/// A chunk of a body; the empty one ends it.
pub fn chunk(text: &str) -> Vec<u8> {
    format!("{:x}\r\n{text}\r\n", text.len()).into_bytes()
}

/// Imports the model `wide`: a variant a gene, all along the chromosome.
pub fn import_wide(folder: &Path, genes: usize) {
    write_wide(folder, genes);
    succeed(folder, &IMPORT);
}

/// Imports `wide.tsv` as the model `wide`.
pub const IMPORT: [&str; 7] = ["models", "import", "--name", "wide", "--assembly", "GRCh38", "wide.tsv"];

/// Writes `wide.tsv`, a table of weights as TIGAR has it.
pub fn write_wide(folder: &Path, genes: usize) {
    let mut table = "CHROM\tPOS\tREF\tALT\tTargetID\tES\tGeneName\n".to_owned();
    for gene in 0..genes {
        writeln!(table, "12\t{}\tA\tG\tENSG{gene:011}\t{}\tG{gene}", position(gene), weight(gene)).unwrap();
    }
    fs::write(folder.join("wide.tsv"), table).unwrap();
}

/// Everybody's VCF of the first genes.
pub fn vcf(people: usize, genes: usize) -> String {
    (0..genes).fold(header(people), |text, gene| text + &record(gene, people))
}

/// A text packed by gzip, which other packed texts may follow.
pub fn packed(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

/// A prediction of one gene for a few people.
pub fn small_prediction(gene: usize) -> Vec<u8> {
    let path = format!("/v1/predictions?model=wide&assembly=GRCh38&min_overlap=0&gene=G{gene}");
    post(&path, "text/vcf", vcf(4, gene + 1).as_bytes())
}

/// Checks the answer to it.
pub fn check_small_prediction(gene: usize, reply: &Reply) {
    assert_eq!(reply.status, 200, "{}", reply.text());
    let values = reply.json()["genes"][0]["values"].as_array().cloned().unwrap();
    let is_right = |value: &Value| (value.as_f64().unwrap() - weight(gene)).abs() < 1e-5;
    assert!(values.len() == 4 && values.iter().all(is_right), "gene {gene}: {values:?}");
}
