//! The door: connections are taken up to a limit, with or without TLS, and none may dawdle.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

use super::connection::{Impatient, Patience};
use super::tls::Certificate;
use crate::http::client::Peer;

/// How long a client may take for its TLS greeting, and for the head of a request.
const GREETING: Duration = Duration::from_secs(10);

/// How long nothing is accepted after the system had no connection to give, such as for want of file descriptors.
const BREATH: Duration = Duration::from_millis(100);

/// Bytes of a request's head, and what is read ahead of a body.
const BUFFER: usize = 64 << 10;

/// A listener and the rules for its connections.
#[derive(Debug)]
pub(super) struct Door {
    listener: TcpListener,
    certificate: Option<Arc<Certificate>>,
    connections: Arc<Semaphore>,
    patience: Patience,
}

impl Door {
    /// Takes a listener, with so many places for connections.
    pub(super) fn new(
        listener: TcpListener,
        certificate: Option<Arc<Certificate>>,
        connections: usize,
        patience: Patience,
    ) -> Self {
        let connections = Arc::new(Semaphore::new(connections.min(Semaphore::MAX_PERMITS)));
        Self { listener, certificate, connections, patience }
    }

    /// Serves until `stop`; then takes no new connection, and ends when the last request is answered.
    pub(super) async fn serve(self, router: axum::Router, stop: CancellationToken) {
        let open = TaskTracker::new();
        loop {
            let coming = async {
                // Beyond the limit clients wait in the system's own queue, which costs no memory here.
                let permit = Arc::clone(&self.connections).acquire_owned().await;
                (permit, self.listener.accept().await)
            };
            let (permit, accepted) = tokio::select! {
                () = stop.cancelled() => break,
                coming = coming => coming,
            };
            let (Ok(permit), Ok((stream, address))) = (permit, accepted) else {
                tokio::time::sleep(BREATH).await;
                continue;
            };
            let connection = Connection {
                router: router.clone(),
                peer: Peer { address },
                patience: self.patience,
                stop: stop.clone(),
                _place: permit,
            };
            open.spawn(connection.run(stream, self.certificate.clone()));
        }
        drop(self.listener);
        open.close();
        open.wait().await;
    }
}

/// One connection, which holds its place until it ends.
struct Connection {
    router: axum::Router,
    peer: Peer,
    patience: Patience,
    stop: CancellationToken,
    _place: OwnedSemaphorePermit,
}

impl Connection {
    async fn run(self, stream: TcpStream, certificate: Option<Arc<Certificate>>) {
        // Small answers must not wait for the acknowledgement of the one before; not every stream can be told.
        let _ = stream.set_nodelay(true);
        let Some(certificate) = certificate else {
            return self.serve(stream).await;
        };
        // A client that does not greet, or in another way than TLS, has nothing to be told.
        if let Ok(Ok(stream)) = timeout(GREETING, certificate.acceptor().accept(stream)).await {
            self.serve(stream).await;
        }
    }

    async fn serve<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(self, stream: S) {
        let Self { router, peer, patience, stop, _place } = self;
        let service = service_fn(move |request: hyper::Request<Incoming>| {
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(peer);
            router.clone().oneshot(request)
        });
        let stream = TokioIo::new(Impatient::new(stream, patience));
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(GREETING)
            .max_buf_size(BUFFER)
            .serve_connection(stream, service);
        tokio::pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = stop.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            // A client that has gone, fell silent or sent no HTTP: nothing of what it sent is in the error.
            tracing::trace!(%error, "a connection ended early");
        }
    }
}
