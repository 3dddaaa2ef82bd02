//! The HTTP listener: takes connections, and gives each of them only so much time, room and company.
//!
//! Owns the accept loop and the connections. Promises: whoever sends half a request, reads half an answer or opens connections by
//! the hundreds holds up nobody else and takes no descriptor that WhatsApp, the vault or a webhook needs. Never looks into a request
//! but for the address that a trusted proxy names.
//!
//! | file | subject |
//! |---|---|
//! | `connections` | who is connected, who has to leave |
//! | `activity` | what a connection does now, and whether it takes too long |
//! | `transfer` | how long a peer may let us wait for bytes |
//! | `stream` | the socket: tells what moves; slows down what comes over an upgraded one |
//! | `frames` | what comes over an upgraded one, counted |
//! | `body` | tells when a request's body is waited for, and when an answer has ended |
//! | `address` | where a request comes from |

mod activity;
mod address;
mod body;
mod connections;
mod frames;
mod stream;
mod transfer;

use std::{convert::Infallible, net::SocketAddr, os::fd::AsRawFd as _, sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::ConnectInfo,
    http::{HeaderValue, Request, Response, StatusCode, header},
};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    net::{TcpListener, TcpStream},
    time::{Instant, MissedTickBehavior, interval, sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::ServiceExt as _;
use tracing::{debug, warn};

pub use self::{
    address::{client_address, network_of},
    connections::{ConnectionHandle, Room, web_sockets},
};
use self::{
    body::{Answering, Awaited},
    connections::{ConnectionSlot, Connections, RefusedConnectionError},
    stream::GuardedStream,
};
use crate::{
    backoff::Backoff,
    config::{ConnectionsConfig, Proxies},
};

/// The most bytes of a request's head. A token has some two thousand, and proxies add their own.
const MAX_HEAD: usize = 16 * 1024;

/// Bytes that are read ahead of a body, and of an answer that wait for the socket.
const MAX_BUFFER: usize = 64 * 1024;

/// What a client still sends of a request that was answered already is read and thrown away: a socket that is closed over unread bytes is
/// reset, and the client loses the answer. So many bytes and so long at the most, and no longer than this after the last of them.
const MAX_UNREAD: usize = 64 * 1024 * 1024;
const LINGER: Duration = Duration::from_secs(10);
const LINGER_GAP: Duration = Duration::from_secs(2);

/// How often is looked for connections that have to leave.
const SWEEP: Duration = Duration::from_millis(500);

/// Rests after an error of `accept` that is not the peer's: it comes again at once.
const ACCEPT_RETRIES: Backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(1));

/// Why a request does not reach the routes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestRejection {
    /// The address has as many connections as it may.
    TooManyConnections,
    /// More than one `Host`.
    Hosts,
    /// There are as many WebSockets as there may be.
    NoWebSocket,
}

/// Serves until it is told to stop, and then until every request is answered. `reject` has the words for what does not reach the routes.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    reject: fn(RequestRejection) -> Response<Body>,
    settings: &ConnectionsConfig,
    proxies: Proxies,
    room: Room,
    stop: CancellationToken,
) -> std::io::Result<()> {
    let server = Arc::new(Server {
        router,
        reject,
        connections: Connections::new(settings, &proxies, room),
        proxies,
        tasks: TaskTracker::new(),
        stop,
    });
    tokio::select! {
        () = server.stop.cancelled() => {}
        () = server.accept(&listener) => {}
        () = server.sweep() => {}
    }
    drop(listener);
    server.connections.close_waiting();
    server.tasks.close();
    tokio::select! {
        () = server.tasks.wait() => {}
        () = server.sweep() => {}
    }
    Ok(())
}

struct Server {
    router: Router,
    reject: fn(RequestRejection) -> Response<Body>,
    connections: Arc<Connections>,
    proxies: Proxies,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Server {
    async fn accept(self: &Arc<Self>, listener: &TcpListener) {
        let mut failures = 0_u32;
        loop {
            // Others wait in the kernel meanwhile.
            self.connections.settle().await;
            match listener.accept().await {
                Ok((stream, peer)) => {
                    failures = 0;
                    self.take(stream, peer);
                }
                Err(error) if is_the_peers(&error) => {}
                Err(error) => {
                    // No descriptor is left, or no memory: whoever only waits makes room, and nobody spins.
                    self.connections.make_room();
                    warn!(event = "connection_failed", %error, "a connection cannot be taken");
                    sleep(ACCEPT_RETRIES.whole(failures)).await;
                    failures = failures.saturating_add(1);
                }
            }
        }
    }

    fn take(self: &Arc<Self>, stream: TcpStream, peer: SocketAddr) {
        // Numbers are given from the lowest: one so high says how many descriptors are open.
        let descriptor = u64::try_from(stream.as_raw_fd()).unwrap_or_default();
        let _ = stream.set_nodelay(true);
        // Dropped, so closed, when there is no place for it.
        let Ok(slot) = self.connections.admit(Arc::new(stream), peer.ip(), descriptor) else { return };
        let server = self.clone();
        self.tasks.spawn(async move { server.converse(slot, peer).await });
    }

    async fn converse(self: Arc<Self>, slot: ConnectionSlot, peer: SocketAddr) {
        let slot = Arc::new(slot);
        let handle = slot.handle();
        let server = self.clone();
        let service = service_fn(move |request| {
            let (server, handle) = (server.clone(), handle.clone());
            async move { Ok::<_, Infallible>(server.answer(request, handle, peer).await) }
        });
        let connection = http1::Builder::new()
            .max_header_size(MAX_HEAD)
            .max_buf_size(MAX_BUFFER)
            // Ours count by what a connection does; hyper's would end one that only waits for its next request.
            .header_read_timeout(None::<Duration>)
            .serve_connection(TokioIo::new(GuardedStream::new(slot.clone())), service)
            .with_upgrades();
        let mut connection = std::pin::pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = self.stop.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            debug!(%error, "a connection ended early");
        }
        if slot.has_unread() {
            let _ = self.stop.run_until_cancelled(timeout(LINGER, linger(&slot))).await;
        }
    }

    async fn answer(&self, request: Request<Incoming>, handle: ConnectionHandle, peer: SocketAddr) -> Response<Body> {
        let client = client_address(peer.ip(), request.headers(), &self.proxies);
        // Also of what is refused here: a client that sends first gets the answer only if the rest is read.
        let mut request = request.map(|body| Body::new(Awaited::new(body, handle.clone())));
        if handle.begin_request(client) == Err(RefusedConnectionError) {
            let answer = (self.reject)(RequestRejection::TooManyConnections);
            return answer.map(|body| Body::new(Answering::new(body, handle)));
        }
        // Whoever stands before us may have taken the other one (RFC 9112, 3.2).
        if request.headers().get_all(header::HOST).iter().count() > 1 {
            let mut answer = (self.reject)(RequestRejection::Hosts);
            answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            return answer.map(|body| Body::new(Answering::new(body, handle)));
        }
        request.extensions_mut().insert(ConnectInfo(peer));
        request.extensions_mut().insert(handle.clone());
        let answer = match self.router.clone().oneshot(request).await {
            Ok(answer) => answer,
            Err(never) => match never {},
        };
        let answer = match answer.status() {
            StatusCode::SWITCHING_PROTOCOLS if handle.upgrade().is_err() => {
                (self.reject)(RequestRejection::NoWebSocket)
            }
            _ => answer,
        };
        answer.map(|body| Body::new(Answering::new(body, handle)))
    }

    async fn sweep(&self) {
        let mut ticks = interval(SWEEP);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.connections.sweep(Instant::now());
        }
    }
}

/// Reads what still comes, until the peer has hung up.
async fn linger(slot: &ConnectionSlot) {
    let (mut bytes, mut left) = (vec![0; 16 * 1024], MAX_UNREAD);
    while let Ok(Ok(())) = timeout(LINGER_GAP, slot.stream().readable()).await {
        match slot.stream().try_read(&mut bytes) {
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Ok(read) if read > 0 && read < left && !slot.is_closed() => left -= read,
            _ => return,
        }
    }
}

/// Errors of a connection that broke before it was taken.
fn is_the_peers(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}
