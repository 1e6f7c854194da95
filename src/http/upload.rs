//! Genotypes on their way in: the body's bytes go to the reader's thread while they arrive and are never kept whole.
//!
//! In a multipart body the small files (samples, variants) come first and the genotypes last, so that the genotypes
//! can be read while they arrive; genotypes that come before their companions are kept in memory up to a limit.

use std::io::{self, Cursor, Read};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use axum::extract::{FromRequest as _, Multipart, Request};
use axum::http::{HeaderMap, header};
use bytes::{Buf as _, Bytes};
use futures_core::Stream;
use tokio::sync::{mpsc, oneshot};

use super::problem::{Kind, Problem};
use crate::genotype::submission::{self, FileKind, SubmittedFile};

/// Chunks of a body that may wait for the reader.
const CHUNKS: usize = 16;

/// Time between two looks whether a silent client's answer is still wanted.
const LOOK: Duration = Duration::from_millis(200);

/// Waits for what a client sends; `None` as soon as nobody wants the answer any more, even if it never sends again.
async fn unless_stopped<F: Future>(stop: &AtomicBool, coming: F) -> Option<F::Output> {
    let mut coming = pin!(coming);
    loop {
        match tokio::time::timeout(LOOK, coming.as_mut()).await {
            Ok(come) => return Some(come),
            Err(_) if stop.load(Ordering::Relaxed) => return None,
            Err(_) => {}
        }
    }
}

/// The bytes of a body as they arrive, read by a thread that may block.
struct Arriving {
    chunks: mpsc::Receiver<io::Result<Bytes>>,
    current: Bytes,
    ended: bool,
}

impl Arriving {
    fn new() -> (mpsc::Sender<io::Result<Bytes>>, Self) {
        let (sender, chunks) = mpsc::channel(CHUNKS);
        (sender, Self { chunks, current: Bytes::new(), ended: false })
    }
}

impl Read for Arriving {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() && !self.ended {
            match self.chunks.blocking_recv() {
                Some(Ok(chunk)) => self.current = chunk,
                Some(Err(error)) => {
                    self.ended = true;
                    return Err(error);
                }
                None => self.ended = true,
            }
        }
        let count = self.current.len().min(buffer.len());
        self.current.copy_to_slice(&mut buffer[..count]);
        Ok(count)
    }
}

/// Takes a request's genotypes; what has not arrived yet goes on arriving while it is read.
///
/// Nothing more is taken from the client once `stop` is set.
///
/// # Errors
/// The media type is none of genotypes, a multipart body is malformed or its files do not belong together.
pub(crate) async fn receive(
    request: Request,
    kept_bytes: usize,
    stop: Arc<AtomicBool>,
) -> Result<Vec<SubmittedFile>, Problem> {
    let essence = essence(request.headers());
    if essence == "multipart/form-data" {
        let multipart = Multipart::from_request(request, &()).await.map_err(|rejection| {
            Problem::new(Kind::MalformedBody, format!("the multipart body cannot be read: {rejection}"))
        })?;
        return receive_parts(multipart, kept_bytes, stop).await;
    }
    let kind = match essence.as_str() {
        "application/json" => FileKind::Json,
        _ if essence.starts_with("application/") && essence.ends_with("+json") => FileKind::Json,
        // BCF and compressed VCF are told by their first bytes.
        "text/vcf"
        | "text/x-vcf"
        | "application/vcf"
        | "application/x-vcf"
        | "text/plain"
        | "application/gzip"
        | "application/x-gzip"
        | "application/bcf"
        | "application/x-bcf"
        | "application/octet-stream" => FileKind::Vcf,
        "application/x-bgen" => FileKind::Bgen,
        _ => {
            let detail = format!(
                "the body's content-type is '{essence}': send application/json, text/vcf (plain, gzip or bgzip), \
                 application/octet-stream (VCF or BCF), or multipart/form-data with bed, bim and fam (or pgen, pvar, \
                 psam; bgen, sample; dosage, samples; vcf; json)"
            );
            return Err(Problem::new(Kind::UnsupportedMediaType, detail));
        }
    };
    let (sender, arriving) = Arriving::new();
    tokio::spawn(feed(request.into_body(), sender, stop));
    Ok(vec![SubmittedFile { kind, name: "the body".to_owned(), bytes: Box::new(arriving) }])
}

fn essence(headers: &HeaderMap) -> String {
    let media_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// Hands a body's chunks to the reader until either ends.
async fn feed(body: Body, chunks: mpsc::Sender<io::Result<Bytes>>, stop: Arc<AtomicBool>) {
    let mut stream = body.into_data_stream();
    let mut next = async || std::future::poll_fn(|context| Pin::new(&mut stream).poll_next(context)).await;
    while let Some(chunk) = unless_stopped(&stop, next()).await.flatten() {
        let failed = chunk.is_err();
        if chunks.send(chunk.map_err(io::Error::other)).await.is_err() || failed {
            if !failed {
                drain(stream).await;
            }
            return;
        }
    }
}

/// Bytes and time that are spent on a body that nobody reads any more.
const DRAINED_BYTES: usize = 256 << 20;
const DRAINED_TIME: Duration = Duration::from_secs(5);

/// Takes the rest of a body and throws it away, up to a limit: many clients read the answer only when they have sent
/// everything, and would otherwise see a broken connection in the place of the problem.
async fn drain(mut stream: BodyDataStream) {
    let all = async {
        let mut left = DRAINED_BYTES;
        while let Some(Ok(chunk)) = std::future::poll_fn(|context| Pin::new(&mut stream).poll_next(context)).await {
            match left.checked_sub(chunk.len()) {
                Some(rest) => left = rest,
                None => return,
            }
        }
    };
    // Whether it came to the end or not: nothing of it is wanted.
    let _ = tokio::time::timeout(DRAINED_TIME, all).await;
}

/// Takes a refused request's body off the connection beside the answer, so that the client gets to read it.
pub(crate) fn refuse(request: Request) {
    tokio::spawn(drain(request.into_body().into_data_stream()));
}

/// Reads the parts of a multipart body up to the one that can be read while it arrives, and goes on with that one.
async fn receive_parts(
    multipart: Multipart,
    kept_bytes: usize,
    stop: Arc<AtomicBool>,
) -> Result<Vec<SubmittedFile>, Problem> {
    let (ready, files) = oneshot::channel();
    // The parts borrow the body: one task owns it to its end.
    tokio::spawn(async move {
        let mut parts = Parts { kept: Vec::new(), left: kept_bytes, ready: Some(ready), stop };
        if let Err(problem) = parts.read(multipart).await {
            parts.answer(Err(problem));
        }
    });
    files.await.unwrap_or_else(|_| Err(Problem::new(Kind::MalformedBody, "the body could not be read to its end")))
}

type Ready = oneshot::Sender<Result<Vec<SubmittedFile>, Problem>>;

struct Parts {
    kept: Vec<(FileKind, String, Vec<u8>)>,
    left: usize,
    ready: Option<Ready>,
    stop: Arc<AtomicBool>,
}

impl Parts {
    fn answer(&mut self, files: Result<Vec<SubmittedFile>, Problem>) {
        if let Some(ready) = self.ready.take() {
            // Nobody waits any more: the client has gone.
            let _ = ready.send(files);
        }
    }

    async fn read(&mut self, mut multipart: Multipart) -> Result<(), Problem> {
        while let Some(mut field) = multipart.next_field().await.map_err(|error| malformed(&error))? {
            let part = field.name().unwrap_or_default().to_owned();
            let file = field.file_name().unwrap_or_default().to_owned();
            let Some(kind) = FileKind::of(&part).or_else(|| FileKind::of(&file)) else {
                let detail = format!(
                    "part '{part}' (file '{file}') is none that is known here: name the parts bed, bim, fam, pgen, \
                     pvar, psam, bgen, sample, dosage, samples, vcf or json"
                );
                return Err(Problem::new(Kind::MalformedBody, detail));
            };
            let name = if file.is_empty() { kind.name().to_owned() } else { file };
            let mut kinds: Vec<FileKind> = self.kept.iter().map(|(kind, ..)| *kind).collect();
            kinds.push(kind);
            // Several dosage files may follow one another: they are kept.
            let is_complete = kind.holds_genotypes() && kind != FileKind::Dosage && submission::check(&kinds).is_ok();
            // A sample file may still follow a bgen file that names none: it is kept, too, unless one came before.
            let is_complete = is_complete && (kind != FileKind::Bgen || kinds.contains(&FileKind::Sample));
            if is_complete {
                let (sender, arriving) = Arriving::new();
                let mut files = self.files();
                files.push(SubmittedFile { kind, name, bytes: Box::new(arriving) });
                self.answer(Ok(files));
                while let Some(Some(chunk)) = unless_stopped(&self.stop, field.chunk()).await.map(Result::transpose) {
                    let failed = chunk.is_err();
                    let chunk = chunk.map_err(|error| io::Error::other(error.to_string()));
                    if sender.send(chunk).await.is_err() || failed {
                        return Ok(());
                    }
                }
                if self.stop.load(Ordering::Relaxed) {
                    return Ok(());
                }
                drop(field);
                // Parts after the genotypes would come too late to be read: they are refused while the stream is open.
                if let Ok(Some(extra)) = multipart.next_field().await {
                    let what = extra.name().unwrap_or_default().to_owned();
                    let late = format!("part '{what}' comes after the genotypes: send it before them, or leave it out");
                    let _ = sender.send(Err(io::Error::other(late))).await;
                }
                return Ok(());
            }
            let mut bytes = Vec::new();
            while let Some(chunk) = field.chunk().await.map_err(|error| malformed(&error))? {
                if chunk.len() > self.left {
                    let detail = format!(
                        "the files before the genotypes pass the limit: send bim and fam (pvar and psam) first and \
                         the genotypes last, so that they are read while they arrive; '{name}' went past it"
                    );
                    return Err(Problem::new(Kind::BodyTooLarge, detail));
                }
                self.left -= chunk.len();
                bytes.extend_from_slice(&chunk);
            }
            self.kept.push((kind, name, bytes));
        }
        let files = self.files();
        self.answer(Ok(files));
        Ok(())
    }

    fn files(&mut self) -> Vec<SubmittedFile> {
        let file = |(kind, name, bytes)| SubmittedFile { kind, name, bytes: Box::new(Cursor::new(bytes)) };
        std::mem::take(&mut self.kept).into_iter().map(file).collect()
    }
}

fn malformed(error: &axum::extract::multipart::MultipartError) -> Problem {
    Problem::new(Kind::MalformedBody, format!("the multipart body cannot be read: {}", error.body_text()))
}
