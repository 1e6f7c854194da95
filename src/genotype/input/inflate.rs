//! Inflating gzip and bgzip, at once or ahead on a thread.

use std::io::{self, BufReader, Cursor, ErrorKind, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};

use flate2::bufread::MultiGzDecoder;
use noodles_bgzf as bgzf;

use super::{AHEAD, CHUNK};
use crate::genotype::Fault;

const SOURCE_BUFFER: usize = 128 << 10;

/// The empty block at the end of every whole bgzip file.
const END: [u8; 28] = [
    0x1f, 0x8b, 0x08, 0x04, 0, 0, 0, 0, 0, 0xff, 0x06, 0, b'B', b'C', 0x02, 0, 0x1b, 0, 0x03, 0, 0, 0, 0, 0, 0, 0, 0, 0,
];

/// Reads once into `buffer` from `at`, again where a signal interrupted it.
pub(super) fn read_some(source: &mut impl Read, buffer: &mut [u8], at: usize) -> io::Result<usize> {
    let free = buffer.get_mut(at..).unwrap_or_default();
    loop {
        match source.read(free) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            // A source that claims more than there was room for must not be believed.
            result => return result.map(|count| count.min(free.len())),
        }
    }
}

/// The compressed bytes: remembers the last ones, and whether it was the source that failed.
struct Tap<R> {
    source: R,
    tail: [u8; END.len()],
    failed: Arc<AtomicBool>,
}

impl<R: Read> Read for Tap<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.source.read(buffer).inspect_err(|error| {
            if error.kind() != ErrorKind::Interrupted {
                self.failed.store(true, Ordering::Relaxed);
            }
        })?;
        let bytes = buffer.get(..count).unwrap_or_default();
        if let Some(last) = bytes.last_chunk() {
            self.tail = *last;
        } else {
            self.tail.rotate_left(bytes.len());
            let keep = self.tail.len() - bytes.len();
            self.tail[keep..].copy_from_slice(bytes);
        }
        Ok(count)
    }
}

/// Bgzip, whose end has to be marked.
struct Bgzip<R>(bgzf::io::Reader<BufReader<Tap<R>>>);

impl<R: Read> Read for Bgzip<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.0.read(buffer)?;
        // A file cut between two blocks, or within a block's header, ends like a whole one but for the mark.
        if count == 0 && !buffer.is_empty() && self.0.get_ref().get_ref().tail != END {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        Ok(count)
    }
}

/// Decompressed bytes of a compressed source.
pub(super) struct Inflater {
    reader: Box<dyn Read + Send>,
    source_failed: Arc<AtomicBool>,
    cancelled: Arc<AtomicBool>,
}

impl Inflater {
    /// Inflates `head` and what follows it in `source`.
    pub(super) fn new(head: Vec<u8>, source: impl Read + Send + 'static) -> Self {
        // Other extra fields beside bgzip's are allowed; such a file is inflated as the gzip that it also is.
        let bgzip = head.starts_with(&END[..4]) && head.get(10..16) == END.get(10..16);
        let source_failed = Arc::new(AtomicBool::new(false));
        let source = Cursor::new(head).chain(source);
        let tap = Tap { source, tail: [0; END.len()], failed: Arc::clone(&source_failed) };
        let source = BufReader::with_capacity(SOURCE_BUFFER, tap);
        let reader: Box<dyn Read + Send> =
            if bgzip { Box::new(Bgzip(bgzf::io::Reader::new(source))) } else { Box::new(MultiGzDecoder::new(source)) };
        Self { reader, source_failed, cancelled: Arc::default() }
    }

    /// Inflates up to `size` bytes; returns whether the input has ended. What came before a fault is in `chunk`.
    pub(super) fn inflate(&mut self, chunk: &mut Vec<u8>, size: usize) -> Result<bool, Fault> {
        chunk.resize(size, 0);
        let mut filled = 0;
        let mut result = Ok(false);
        while filled < size && !self.cancelled.load(Ordering::Relaxed) {
            match read_some(&mut self.reader, chunk, filled) {
                Ok(0) => {
                    result = Ok(true);
                    break;
                }
                Ok(count) => filled += count,
                Err(error) => {
                    result = Err(self.fault(error));
                    break;
                }
            }
        }
        chunk.truncate(filled);
        result
    }

    fn fault(&self, error: io::Error) -> Fault {
        if self.source_failed.load(Ordering::Relaxed) {
            return Fault::Io(error);
        }
        Fault::Compressed(match error.kind() {
            ErrorKind::UnexpectedEof => {
                io::Error::new(ErrorKind::UnexpectedEof, "it ends before its compressed data does: send the whole file")
            }
            _ => error,
        })
    }
}

type Chunk = Result<Vec<u8>, Fault>;

/// A thread that inflates ahead. It ends with the input, at a fault, or, once this is dropped, as soon as its source
/// returns: it is not waited for, since a source may block for as long as a client likes.
pub(super) struct Ahead {
    full: Receiver<Chunk>,
    empty: Sender<Vec<u8>>,
    cancelled: Arc<AtomicBool>,
}

impl Ahead {
    /// Starts the thread.
    pub(super) fn start(inflater: Inflater) -> io::Result<Self> {
        // One buffer more is being filled, and one is being parsed.
        let (send, full) = sync_channel(AHEAD - 2);
        let (empty, used) = channel();
        let cancelled = Arc::clone(&inflater.cancelled);
        std::thread::Builder::new().name("inflate".to_owned()).spawn(move || run(inflater, &send, &used))?;
        Ok(Self { full, empty, cancelled })
    }

    /// Returns the next buffer, empty at the end, and gives `used` back to be filled again.
    pub(super) fn next(&self, used: Vec<u8>) -> Chunk {
        // Once the thread has ended nobody takes it, and it is freed.
        let _ = self.empty.send(used);
        self.full.recv().unwrap_or_else(|_| Err(Fault::Io(io::Error::other("reading it was given up"))))
    }
}

impl Drop for Ahead {
    fn drop(&mut self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }
}

fn run(mut inflater: Inflater, full: &SyncSender<Chunk>, used: &Receiver<Vec<u8>>) {
    loop {
        let mut chunk = used.try_recv().unwrap_or_default();
        let result = inflater.inflate(&mut chunk, CHUNK);
        let last = match result {
            Ok(false) if inflater.cancelled.load(Ordering::Relaxed) => return,
            Ok(false) => None,
            Ok(true) => Some(Ok(Vec::new())),
            Err(fault) => Some(Err(fault)),
        };
        // An empty buffer is the mark of the end.
        if !chunk.is_empty() && full.send(Ok(chunk)).is_err() {
            return;
        }
        if let Some(last) = last {
            // Nobody waits for it where the input was dropped.
            let _ = full.send(last);
            return;
        }
    }
}
