//! The service on a real socket: stopping, reloading, and bodies without a length.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use clap::Parser;
use tissuecast::config::ServeConfig;
use tissuecast::model::Scale;
use tissuecast::model::served::ServedModel;
use tissuecast::reference::Unit;
use tissuecast::serve::{Event, Loaded, serve_on};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::http_support::{Door, NearestTwo, TISSUES, reference, served};

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    config: ServeConfig,
}

/// A service on a free port.
struct Service {
    address: std::net::SocketAddr,
    events: mpsc::Sender<Event>,
    stop: oneshot::Sender<()>,
    ended: JoinHandle<anyhow::Result<()>>,
}

fn loaded(dataset: &str, model: Arc<ServedModel>) -> Loaded {
    Loaded { references: vec![reference(dataset)], models: [model].into_iter().collect(), ..Loaded::default() }
}

async fn service(flags: &[&str], loaded: Loaded) -> Service {
    let config = Line::parse_from(std::iter::once("serve").chain(flags.iter().copied())).config;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (events, receiver) = mpsc::channel(4);
    let (stop, stopped) = oneshot::channel::<()>();
    let ended = tokio::spawn(serve_on(listener, config, loaded, receiver, async { drop(stopped.await) }));
    Service { address, events, stop, ended }
}

impl Service {
    async fn ask(&self, request: String) -> String {
        ask(self.address, request).await
    }

    async fn get(&self, path: &str) -> String {
        self.ask(format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")).await
    }
}

/// Sends a request and returns everything that comes back until the service hangs up.
pub async fn ask(address: std::net::SocketAddr, request: String) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

fn held() -> (Arc<Door>, Arc<ServedModel>) {
    let door = Arc::new(Door::default());
    let model = NearestTwo { door: Some(Arc::clone(&door)), ..NearestTwo::new(Scale::Log2) };
    (door, served(model, Unit::Tpm, &TISSUES))
}

async fn arrival(door: &Door) {
    while door.arrived.load(Ordering::SeqCst) == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn stopping_finishes_the_slow_request_and_takes_no_new_one() {
    let (door, model) = held();
    let service = service(&[], loaded("small", model)).await;
    let address = service.address;
    let request = "GET /v1/genes/GAMMA/profile HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".to_owned();
    let slow = tokio::spawn(ask(address, request));
    arrival(&door).await;
    service.stop.send(()).unwrap();
    let refused = async {
        while TcpStream::connect(address).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), refused).await.unwrap();
    assert!(!slow.is_finished());
    door.open();
    assert!(slow.await.unwrap().starts_with("HTTP/1.1 200"));
    service.ended.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_request_that_never_ends_does_not_hold_the_service_beyond_its_deadline() {
    let (door, model) = held();
    let service = service(&["--drain-seconds", "0"], loaded("small", model)).await;
    let request = "GET /v1/genes/GAMMA/profile HTTP/1.1\r\nhost: x\r\n\r\n".to_owned();
    let _slow = tokio::spawn(ask(service.address, request));
    arrival(&door).await;
    service.stop.send(()).unwrap();
    tokio::time::sleep(Duration::from_millis(20)).await;
    door.open();
    let ended = tokio::time::timeout(Duration::from_secs(5), service.ended).await.unwrap().unwrap();
    assert!(ended.unwrap_err().to_string().contains("deadline"));
}

#[tokio::test]
async fn a_change_is_served_without_a_failed_request() {
    let (door, model) = held();
    let service = service(&[], loaded("old", model)).await;
    let request = "GET /v1/genes/GAMMA/profile HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".to_owned();
    let slow = tokio::spawn(ask(service.address, request));
    arrival(&door).await;
    let fresh = served(NearestTwo::new(Scale::Log2), Unit::Tpm, &TISSUES);
    service.events.send(Event::Changed(loaded("new", fresh))).await.unwrap();
    let changed = async {
        while !service.get("/v1/datasets").await.contains("\"name\":\"new\"") {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), changed).await.unwrap();
    assert!(service.get("/v1/genes/GAMMA/profile").await.contains("\"name\":\"new\""));
    door.open();
    let answered = slow.await.unwrap();
    assert!(answered.starts_with("HTTP/1.1 200") && answered.contains("\"name\":\"old\""), "{answered}");
    service.events.send(Event::Store { answers: false }).await.unwrap();
    let noted = async {
        while !service.get("/readyz").await.starts_with("HTTP/1.1 503") {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), noted).await.unwrap();
    service.stop.send(()).unwrap();
    service.ended.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_body_without_a_length_is_cut_off_at_the_limit() {
    let model = served(NearestTwo::new(Scale::Log2), Unit::Tpm, &TISSUES);
    let service = service(&["--max-body-mib", "1"], loaded("small", model)).await;
    let head = "POST /v1/profiles HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\n\
                transfer-encoding: chunked\r\n\r\n";
    let mut stream = TcpStream::connect(service.address).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    let (mut reader, mut writer) = stream.into_split();
    let writing = tokio::spawn(async move {
        let chunk = format!("{:x}\r\n{}\r\n", 65_536, " ".repeat(65_536));
        // Until the service hangs up: more than the limit by far.
        for _ in 0..64 {
            if writer.write_all(chunk.as_bytes()).await.is_err() {
                return;
            }
        }
        drop(writer.write_all(b"0\r\n\r\n").await);
    });
    let mut answer = vec![0; 4096];
    let length = reader.read(&mut answer).await.unwrap();
    let answer = String::from_utf8_lossy(&answer[..length]).into_owned();
    assert!(answer.starts_with("HTTP/1.1 413") && answer.contains("/problems/body-too-large"), "{answer}");
    drop(reader);
    writing.await.unwrap();
    service.stop.send(()).unwrap();
    service.ended.await.unwrap().unwrap();
}
