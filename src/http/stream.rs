//! Answers on their way out: written by a thread that may block, sent while they are written.
//!
//! The first bytes are held back until there is a good deal of them, so that a short answer is sent only when all of
//! it is known to be right, and everything that goes wrong before is a problem with its status.

use std::io::{self, Write};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;
use futures_core::Stream;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::pace::Pace;

/// Bytes that are held back at the beginning.
const HELD_BACK: usize = 1 << 20;
/// Bytes of a chunk after that.
const CHUNK: usize = 128 << 10;
/// Chunks that may wait for the client: a slow one makes the writer wait.
const CHUNKS: usize = 8;

/// The writer's end of an answer. Dropped before [`Self::finish`], by an error or by a panic, it breaks the answer off,
/// so that the client sees that it is not complete.
#[derive(Debug)]
pub(crate) struct ChunkWriter {
    buffer: Vec<u8>,
    chunks: mpsc::Sender<Bytes>,
    /// A client that takes its answer too slowly is not waited for.
    pace: Pace,
    has_begun: bool,
    is_complete: Arc<AtomicBool>,
}

/// The client's end of an answer; dropping it tells the writer to stop.
#[derive(Debug)]
pub(crate) struct Chunks {
    coming: mpsc::Receiver<Bytes>,
    first: Option<Bytes>,
    is_complete: Arc<AtomicBool>,
    has_ended: bool,
    stop: Arc<AtomicBool>,
}

/// Returns the two ends of an answer; `stop` is set when nobody reads it any more. The writer is for a thread of the
/// runtime that may block.
pub(crate) fn channel(stop: Arc<AtomicBool>, pace: Pace) -> (ChunkWriter, Chunks) {
    let (sender, receiver) = mpsc::channel(CHUNKS);
    let is_complete: Arc<AtomicBool> = Arc::default();
    let writer = ChunkWriter {
        buffer: Vec::with_capacity(CHUNK),
        chunks: sender,
        pace,
        has_begun: false,
        is_complete: Arc::clone(&is_complete),
    };
    (writer, Chunks { coming: receiver, first: None, is_complete, has_ended: false, stop })
}

impl ChunkWriter {
    /// Sends what is left: the answer is complete.
    pub(crate) fn finish(mut self) -> io::Result<()> {
        self.send()?;
        self.is_complete.store(true, Ordering::Release);
        Ok(())
    }

    /// Whether bytes have left: from then on what goes wrong can only break the answer off.
    pub(crate) const fn has_begun(&self) -> bool {
        self.has_begun
    }

    fn send(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        self.has_begun = true;
        let chunk = Bytes::from(std::mem::replace(&mut self.buffer, Vec::with_capacity(CHUNK)));
        let (bytes, clock) = (chunk.len(), Instant::now());
        let sending = timeout(self.pace.left(), self.chunks.send(chunk));
        let sent = Handle::current().block_on(sending).map_err(|_| io::Error::other(self.pace.too_slow()))?;
        self.pace.note(bytes, clock.elapsed());
        sent.map_err(|_| io::Error::new(io::ErrorKind::BrokenPipe, "nobody reads the answer any more"))
    }
}

impl Write for ChunkWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= if self.has_begun { CHUNK } else { HELD_BACK } {
            self.send()?;
        }
        Ok(bytes.len())
    }

    /// Does nothing: what is held back stays held back until [`Self::finish`].
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Chunks {
    /// Waits until the answer begins; `false` where it ends without a byte.
    pub(crate) async fn begin(&mut self) -> bool {
        self.first = self.coming.recv().await;
        self.first.is_some()
    }
}

impl Stream for Chunks {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(Ok(first)));
        }
        match self.coming.poll_recv(context) {
            // The writer went without a word: the client has to see that something is missing.
            Poll::Ready(None) if !self.is_complete.load(Ordering::Acquire) && !self.has_ended => {
                self.has_ended = true;
                Poll::Ready(Some(Err(io::Error::other("the answer was broken off"))))
            }
            polled => polled.map(|chunk| chunk.map(Ok)),
        }
    }
}

impl Drop for Chunks {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn pace() -> Pace {
        Pace::new(0, Duration::ZERO)
    }

    /// Reads an answer to its end; the error's text where it was broken off.
    async fn read(mut chunks: Chunks) -> Result<usize, String> {
        let mut bytes = 0;
        while let Some(chunk) = std::future::poll_fn(|context| Pin::new(&mut chunks).poll_next(context)).await {
            bytes += chunk.map_err(|error| error.to_string())?.len();
        }
        Ok(bytes)
    }

    #[tokio::test]
    async fn an_answer_is_whole_or_seen_to_be_broken_off() {
        for (finishes, expected) in [(true, Ok(HELD_BACK + 5)), (false, Err("the answer was broken off".to_owned()))] {
            let (mut writer, chunks) = channel(Arc::default(), pace());
            let work = tokio::task::spawn_blocking(move || {
                writer.write_all(&vec![b'x'; HELD_BACK]).unwrap();
                writer.write_all(b"12345").unwrap();
                if finishes { writer.finish().unwrap() } else { panic!("a defect") }
            });
            assert_eq!(read(chunks).await, expected);
            assert_eq!(work.await.is_ok(), finishes);
        }
    }

    #[tokio::test]
    async fn a_client_that_takes_its_answer_too_slowly_is_not_waited_for() {
        let (mut writer, chunks) = channel(Arc::default(), Pace::new(1 << 30, Duration::from_millis(100)));
        let work = tokio::task::spawn_blocking(move || {
            for _ in 0..4 * CHUNKS {
                writer.write_all(&vec![b'x'; HELD_BACK])?;
            }
            writer.finish()
        });
        let error = work.await.unwrap().unwrap_err();
        assert!(error.to_string().contains("slower than"), "{error}");
        assert_eq!(read(chunks).await, Err("the answer was broken off".to_owned()), "what had left is not all");
    }

    #[tokio::test]
    async fn nothing_leaves_before_there_is_much_and_the_writer_learns_that_nobody_reads() {
        let stop = Arc::new(AtomicBool::new(false));
        let (mut writer, mut chunks) = channel(Arc::clone(&stop), pace());
        writer.write_all(b"short").unwrap();
        assert!(!writer.has_begun());
        drop(tokio::task::spawn_blocking(move || drop(writer)).await);
        assert!(!chunks.begin().await, "an answer that failed before its first byte has none");
        drop(chunks);
        assert!(stop.load(Ordering::Relaxed));
        let (mut writer, chunks) = channel(Arc::default(), pace());
        drop(chunks);
        let write = tokio::task::spawn_blocking(move || writer.write_all(&vec![b'x'; HELD_BACK]));
        assert_eq!(write.await.unwrap().unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }
}
