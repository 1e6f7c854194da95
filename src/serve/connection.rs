//! Connections that fall silent are closed: a client that sends half a request would otherwise keep its place for good.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

/// A stream that ends in an error after a silence.
#[derive(Debug)]
pub(super) struct Impatient<S> {
    stream: S,
    silence: Duration,
    until: Pin<Box<Sleep>>,
}

impl<S> Impatient<S> {
    /// Takes a stream; `silence` is how long it may neither be read from nor written to.
    pub(super) fn new(stream: S, silence: Duration) -> Self {
        Self { stream, silence, until: Box::pin(sleep(silence)) }
    }

    /// Passes on what happened; a silence that was too long is an error.
    fn heard<T>(&mut self, context: &mut Context<'_>, happened: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if happened.is_ready() {
            let until = Instant::now() + self.silence;
            // Moved once a second at most: requests that follow each other quickly need no timer each.
            if until.saturating_duration_since(self.until.deadline()) > Duration::from_secs(1).min(self.silence / 10) {
                self.until.as_mut().reset(until);
            }
            return happened;
        }
        match self.until.as_mut().poll(context) {
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
        self.heard(context, happened)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let happened = Pin::new(&mut self.stream).poll_write_vectored(context, bytes);
        self.heard(context, happened)
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
        let mut server = Impatient::new(server, silence);
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
}
