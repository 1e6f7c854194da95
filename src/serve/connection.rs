//! Connections that fall silent are closed: a client that sends half a request would otherwise keep its place for good.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

/// How long a connection may be silent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// How long it may neither be read from nor written to: longer than the longest request.
    pub(super) silence: Duration,
    /// How long a client may take nothing of an answer that waits for it.
    pub(super) untaken: Duration,
}

/// A stream that ends in an error after a silence.
#[derive(Debug)]
pub(super) struct Impatient<S> {
    stream: S,
    patience: Patience,
    until: Pin<Box<Sleep>>,
    /// Until when the client has to take something, where an answer waits for it.
    untaken_until: Option<Pin<Box<Sleep>>>,
}

impl<S> Impatient<S> {
    /// Takes a stream.
    pub(super) fn new(stream: S, patience: Patience) -> Self {
        Self { stream, patience, until: Box::pin(sleep(patience.silence)), untaken_until: None }
    }

    /// Passes on what happened; a silence that was too long is an error.
    fn heard<T>(&mut self, context: &mut Context<'_>, happened: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if happened.is_ready() {
            let until = Instant::now() + self.patience.silence;
            // Moved once a second at most: requests that follow each other quickly need no timer each.
            let soon = Duration::from_secs(1).min(self.patience.silence / 10);
            if until.saturating_duration_since(self.until.deadline()) > soon {
                self.until.as_mut().reset(until);
            }
            return happened;
        }
        match self.until.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }

    /// Passes on what became of a write; one that waits for the client for too long is an error.
    fn taken<T>(&mut self, context: &mut Context<'_>, happened: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if happened.is_ready() {
            self.untaken_until = None;
            return self.heard(context, happened);
        }
        let untaken = self.patience.untaken;
        match self.untaken_until.get_or_insert_with(|| Box::pin(sleep(untaken))).as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Impatient<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let happened = Pin::new(&mut self.stream).poll_read(context, buffer);
        self.heard(context, happened)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Impatient<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let happened = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.taken(context, happened)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let happened = Pin::new(&mut self.stream).poll_write_vectored(context, bytes);
        self.taken(context, happened)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::*;

    #[tokio::test]
    async fn a_silent_client_is_dropped_and_a_slow_one_is_not() {
        let silence = Duration::from_millis(300);
        let (mut client, server) = duplex(64);
        let mut server = Impatient::new(server, Patience { silence, untaken: silence });
        let reading = tokio::spawn(async move {
            let mut byte = [0];
            let mut read = 0;
            loop {
                match server.read(&mut byte).await {
                    Ok(_) => read += 1,
                    Err(error) => return (read, error.kind()),
                }
            }
        });
        for _ in 0..5 {
            tokio::time::sleep(silence / 3).await;
            client.write_all(b"x").await.unwrap();
        }
        let ended = tokio::time::timeout(10 * silence, reading).await.unwrap().unwrap();
        assert_eq!(ended, (5, io::ErrorKind::TimedOut));
    }

    #[tokio::test]
    async fn a_client_that_takes_nothing_is_dropped_before_one_that_waits_for_its_answer() {
        let patience = Patience { silence: Duration::from_secs(20), untaken: Duration::from_millis(200) };
        let (mut client, server) = duplex(64);
        let mut server = Impatient::new(server, patience);
        // It may wait for longer than it may leave its answer lying.
        tokio::time::sleep(2 * patience.untaken).await;
        server.write_all(&[1; 64]).await.unwrap();
        let mut answer = [0; 64];
        client.read_exact(&mut answer).await.unwrap();
        let writing = tokio::time::timeout(Duration::from_secs(10), server.write_all(&[1; 65]));
        assert_eq!(writing.await.unwrap().unwrap_err().kind(), io::ErrorKind::TimedOut);
    }
}
