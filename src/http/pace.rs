//! Clients have to send and to take at some speed: one that trickles would otherwise hold its place for as long as it
//! likes.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep};

/// A client was slower than it may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the connection is slower than {0} bytes a second: use a faster one")]
pub(crate) struct TooSlow(u64);

/// How much longer a client may be waited for, which it earns by what it sends or takes.
///
/// Only the time counts in which the service waits for the client, not that in which the client waits for the service.
#[derive(Debug, Clone)]
pub(crate) struct Pace {
    bytes_per_second: u64,
    /// How long a client may take before its speed is looked at.
    grace: Duration,
    left: Duration,
}

/// Bytes that a client is paid for in advance at most: what fills the buffers on the way is not yet taken, and who was
/// fast for a while may not dawdle for ever after.
const AHEAD: u64 = 1 << 20;
/// Nor for longer than this, where the least speed is low.
const LONGEST_AHEAD: Duration = Duration::from_mins(1);

impl Pace {
    pub(crate) const fn new(bytes_per_second: u64, grace: Duration) -> Self {
        Self { bytes_per_second, grace, left: if bytes_per_second == 0 { LONGEST } else { grace } }
    }

    /// How much longer the client may be waited for; nothing where it has used that up.
    pub(crate) const fn left(&self) -> Duration {
        self.left
    }

    /// Notes that so many bytes have come or gone after a wait.
    pub(crate) fn note(&mut self, bytes: usize, waited: Duration) {
        let most = self.grace.saturating_add(self.ahead());
        self.left = self.left.saturating_add(self.time_of(bytes as u64)).saturating_sub(waited).min(most);
    }

    fn ahead(&self) -> Duration {
        // Without a least speed nobody is ever too slow.
        if self.bytes_per_second == 0 { LONGEST } else { self.time_of(AHEAD).min(LONGEST_AHEAD) }
    }

    /// How long so many bytes take at the least speed.
    fn time_of(&self, bytes: u64) -> Duration {
        let nanoseconds = bytes.saturating_mul(1_000_000_000).checked_div(self.bytes_per_second);
        nanoseconds.map_or(LONGEST, Duration::from_nanos)
    }

    pub(crate) const fn too_slow(&self) -> TooSlow {
        TooSlow(self.bytes_per_second)
    }
}

/// As good as for ever.
const LONGEST: Duration = Duration::from_hours(24 * 365);

/// A body that ends in [`TooSlow`] where its client, on average, sends fewer bytes a second than asked.
#[derive(Debug)]
pub(crate) struct Paced {
    body: Body,
    pace: Pace,
    /// Since when the service waits, and what wakes it where nothing comes.
    waiting: Option<(Instant, Pin<Box<Sleep>>)>,
}

impl Paced {
    pub(crate) const fn new(body: Body, pace: Pace) -> Self {
        Self { body, pace, waiting: None }
    }
}

impl HttpBody for Paced {
    type Data = Bytes;
    type Error = axum::BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        let too_slow = |pace: &Pace| Poll::Ready(Some(Err(pace.too_slow().into())));
        if let Poll::Ready(frame) = polled {
            let waited = self.waiting.take().map_or(Duration::ZERO, |(since, _)| since.elapsed());
            let bytes = frame.as_ref().and_then(|frame| frame.as_ref().ok()?.data_ref()).map_or(0, Bytes::len);
            self.pace.note(bytes, waited);
            if self.pace.left().is_zero() {
                return too_slow(&self.pace);
            }
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        let left = self.pace.left();
        let (_, alarm) = self.waiting.get_or_insert_with(|| (Instant::now(), Box::pin(sleep(left))));
        match alarm.as_mut().poll(context) {
            Poll::Ready(()) => too_slow(&self.pace),
            Poll::Pending => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use futures_core::Stream;
    use tokio::sync::mpsc;

    use super::*;

    /// What a client sends, and the body of it.
    struct Sent(mpsc::Receiver<Bytes>);

    impl Stream for Sent {
        type Item = Result<Bytes, std::io::Error>;

        fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
            self.0.poll_recv(context).map(|chunk| chunk.map(Ok))
        }
    }

    async fn read(paced: Paced) -> Result<usize, String> {
        let bytes = axum::body::to_bytes(Body::new(paced), usize::MAX).await;
        bytes.map(|bytes| bytes.len()).map_err(|error| format!("{error:?}"))
    }

    /// What a client sends, which has to come at 1,000 bytes a second after 0.2 s.
    fn body() -> (mpsc::Sender<Bytes>, Paced) {
        let (sender, receiver) = mpsc::channel(1);
        (sender, Paced::new(Body::from_stream(Sent(receiver)), Pace::new(1_000, Duration::from_millis(200))))
    }

    #[tokio::test]
    async fn a_trickle_is_cut_off_and_a_steady_client_is_not() {
        let (sender, paced) = body();
        let trickle = tokio::spawn(async move {
            for sent in 0..200 {
                if sender.send(Bytes::from_static(b"x")).await.is_err() {
                    return sent;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            200
        });
        assert!(read(paced).await.unwrap_err().contains("TooSlow"));
        assert!(trickle.await.unwrap() < 200);
        let (sender, paced) = body();
        tokio::spawn(async move {
            for _ in 0..20 {
                sender.send(Bytes::from(vec![0; 2_000])).await.unwrap();
                tokio::time::sleep(Duration::from_millis(25)).await;
            }
        });
        assert_eq!(read(paced).await, Ok(40_000));
    }

    #[test]
    fn what_was_fast_for_long_is_not_paid_for_for_ever() {
        let mut pace = Pace::new(1_000, Duration::from_secs(2));
        for _ in 0..100 {
            pace.note(1 << 20, Duration::ZERO);
        }
        let most = Duration::from_secs(2) + LONGEST_AHEAD;
        assert_eq!(pace.left(), most);
        pace.note(0, most);
        assert!(pace.left().is_zero());
        assert_eq!(Pace::new(0, Duration::ZERO).left(), LONGEST, "as slow as it likes");
    }

    #[tokio::test]
    async fn silence_is_cut_off_and_a_service_that_takes_its_time_is_not_held_against_the_client() {
        let (sender, paced) = body();
        assert!(read(paced).await.unwrap_err().contains("TooSlow"));
        drop(sender);
        let (sender, mut paced) = body();
        tokio::spawn(async move {
            for _ in 0..5 {
                sender.send(Bytes::from_static(b"x")).await.unwrap();
            }
        });
        let mut frames = 0;
        while let Some(frame) = std::future::poll_fn(|context| Pin::new(&mut paced).poll_frame(context)).await {
            assert!(frame.is_ok());
            frames += 1;
            tokio::time::sleep(Duration::from_millis(150)).await;
        }
        assert_eq!(frames, 5);
    }
}
