//! The line to WhatsApp: dials, but only after the vault said that this process still owns the tenant; shares one TLS
//! configuration; gives up on a peer that falls silent; lets no ciphertext out ahead of the vault
//! ([`crate::session::connection::wire_gate`]); and can be cut at once, without a word to the other side.
//!
//! The library's own transport does none of that (its close waits for the peer: a black-holed socket held it for minutes).

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::{Context as _, bail};
use async_trait::async_trait;
use bytes::Bytes;
use rustix::net::sockopt;
use tokio::{
    net::{TcpStream, lookup_host},
    time::{Instant, timeout},
};
use tokio_websockets::{ClientBuilder, Connector, MaybeTlsStream, WebSocketStream};
use tracing::warn;
use whatsapp_rust::{
    async_channel,
    transport::{Transport, TransportEvent, TransportFactory, from_websocket},
    wacore::net::WHATSAPP_WEB_ORIGIN,
};

use super::{socket::Socket, wire_gate::WireGate};
use crate::{config::shown_url, crash, journal::Journal, sync::lock};

/// How long data may stay unacknowledged by the peer's TCP before the kernel gives the connection up.
const USER_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a line may take to open for whoever only asks whether one can be.
const REACH_TIMEOUT: Duration = Duration::from_secs(10);

/// Bytes that the kernel takes of what is not read yet: while reading pauses ([`crate::session::connection::pressure`]) they are memory,
/// too.
const RECEIVE_BUFFER: usize = 512 << 10;

/// Where WhatsApp is and how to get there; one for the process.
#[derive(Clone)]
pub struct Endpoint {
    uri: http::Uri,
    tls: Arc<Connector>,
}

impl Endpoint {
    pub fn new(url: &str) -> anyhow::Result<Self> {
        let uri: http::Uri = url.parse().with_context(|| format!("{} is no URL", shown_url(url)))?;
        let mut roots = rustls::RootCertStore::empty();
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        let tls = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        Ok(Self { uri, tls: Arc::new(Connector::Rustls(Arc::new(tls).into())) })
    }

    /// The addresses of the host. A build for the loopback network takes no other: checked here, at the dial, so that no name
    /// or setting leads around it.
    async fn addresses(&self) -> anyhow::Result<Vec<SocketAddr>> {
        let host = self.uri.host().context("the URL has no host")?.trim_matches(['[', ']']);
        let port = self.uri.port_u16().unwrap_or(if self.uri.scheme_str() == Some("ws") { 80 } else { 443 });
        let found: Vec<SocketAddr> = lookup_host((host, port)).await?.collect();
        if cfg!(feature = "loopback") && found.iter().any(|address| !address.ip().is_loopback()) {
            bail!("a build with the feature `loopback` does not connect to {host}: it is not on loopback");
        }
        Ok(found)
    }

    /// Opens a line and hangs up; nobody logs in. An error says why there is no way to WhatsApp from here.
    pub async fn reach(&self) -> anyhow::Result<()> {
        let opened = timeout(REACH_TIMEOUT, self.open()).await.context("nobody answers where WhatsApp is")?;
        let (socket, _) = opened?;
        socket.cut();
        Ok(())
    }

    async fn connect(&self) -> anyhow::Result<TcpStream> {
        let mut last = None;
        for address in self.addresses().await? {
            match TcpStream::connect(address).await {
                Ok(stream) => return Ok(stream),
                Err(error) => last = Some(error),
            }
        }
        Err(last.map_or_else(|| anyhow::anyhow!("the host has no address"), Into::into))
    }

    /// A line on which nobody has said anything yet.
    async fn open(&self) -> anyhow::Result<(Socket, WebSocketStream<MaybeTlsStream<Socket>>)> {
        let stream = self.connect().await?;
        stream.set_nodelay(true)?;
        sockopt::set_socket_keepalive(&stream, true)?;
        sockopt::set_socket_recv_buffer_size(&stream, RECEIVE_BUFFER)?;
        sockopt::set_tcp_user_timeout(&stream, USER_TIMEOUT.as_millis() as u32)?;
        let socket = Socket::new(stream);
        let secure = self.uri.scheme_str() != Some("ws");
        let plain = Connector::Plain;
        let connector = if secure { &*self.tls } else { &plain };
        let host = self.uri.host().context("the URL has no host")?;
        let stream = connector.wrap(host, socket.clone()).await?;
        let origin = http::HeaderValue::from_static(WHATSAPP_WEB_ORIGIN);
        let (websocket, _) = ClientBuilder::from_uri(self.uri.clone())
            .add_header(http::header::ORIGIN, origin)?
            .connect_on(stream)
            .await?;
        Ok((socket, websocket))
    }
}

/// Makes one session's lines, one at a time.
pub struct Dialer {
    endpoint: Endpoint,
    journal: Journal,
    current: Arc<CurrentLine>,
    gate: Arc<WireGate>,
}

/// The line that is up, for cutting it.
#[derive(Default)]
pub struct CurrentLine(Mutex<LineState>);

#[derive(Default)]
struct LineState {
    line: Weak<WhatsAppLine>,
    made_at: Option<Instant>,
    /// Since when one is being dialed.
    dialing_since: Option<Instant>,
    /// The error of the last dial, if it failed.
    trouble: Option<String>,
    /// There will be no other.
    shut: bool,
}

/// A line is being dialed, for as long as it lives: the library may drop a dial.
struct Dialing<'a>(&'a CurrentLine);

impl Dialing<'_> {
    fn end(self, trouble: Option<String>) {
        self.0.latest().trouble = trouble;
    }
}

impl Drop for Dialing<'_> {
    fn drop(&mut self) {
        self.0.latest().dialing_since = None;
    }
}

impl CurrentLine {
    /// Whether there is a line that was not cut.
    pub fn is_up(&self) -> bool {
        let line = self.latest().line.upgrade();
        line.is_some_and(|line| !line.cut.load(Ordering::Acquire))
    }

    /// When the latest line was made, up still or not.
    pub fn made_at(&self) -> Option<Instant> {
        self.latest().made_at
    }

    /// For how long one is being dialed, while it is.
    pub fn dialing_for(&self) -> Option<Duration> {
        self.latest().dialing_since.map(|since| since.elapsed())
    }

    /// Why there was no line when one was dialed last, if there was none.
    pub fn trouble(&self) -> Option<String> {
        self.latest().trouble.clone()
    }

    fn dial(&self) -> Dialing<'_> {
        self.latest().dialing_since = Some(Instant::now());
        Dialing(self)
    }

    /// Cuts the line: nothing more is sent, the socket is shut, the reader sees its end. Does not wait.
    pub fn cut(&self) {
        if let Some(line) = self.latest().line.upgrade() {
            line.cut();
        }
    }

    /// As [`Self::cut`], and no other line is made: one that is being dialed now is cut before it is used.
    pub fn shut(&self) {
        let mut latest = self.latest();
        latest.shut = true;
        if let Some(line) = latest.line.upgrade() {
            line.cut();
        }
    }

    /// Nothing is read from the line until [`Self::go_on`]; what is to be said on it still can be.
    pub fn pause(&self) {
        if let Some(line) = self.latest().line.upgrade() {
            line.socket.deafen();
        }
    }

    /// It is read again.
    pub fn go_on(&self) {
        if let Some(line) = self.latest().line.upgrade() {
            line.socket.hear();
        }
    }

    fn renew(&self, line: &Arc<WhatsAppLine>) -> anyhow::Result<()> {
        let mut latest = self.latest();
        if latest.shut {
            line.cut();
            bail!("the session is over");
        }
        latest.line = Arc::downgrade(line);
        latest.made_at = Some(Instant::now());
        Ok(())
    }

    fn latest(&self) -> MutexGuard<'_, LineState> {
        lock(&self.0)
    }
}

impl Dialer {
    pub fn new(endpoint: Endpoint, journal: Journal, current: Arc<CurrentLine>, gate: Arc<WireGate>) -> Self {
        Self { endpoint, journal, current, gate }
    }
}

#[async_trait]
impl TransportFactory for Dialer {
    async fn create_transport(&self) -> anyhow::Result<(Arc<dyn Transport>, async_channel::Receiver<TransportEvent>)> {
        let dialing = self.current.dial();
        let dialed = self.dial().await;
        let trouble = dialed.as_ref().err().map(|error| format!("{error:#}"));
        if let Some(error) = &trouble {
            // Said here: the library's log leaves the reason out.
            warn!(event = "dial_failed", error, "no line to WhatsApp");
        }
        dialing.end(trouble);
        dialed
    }
}

impl Dialer {
    async fn dial(&self) -> anyhow::Result<(Arc<dyn Transport>, async_channel::Receiver<TransportEvent>)> {
        self.journal
            .confirm()
            .await
            .context("not dialing: the vault has not confirmed that this process owns the tenant")?;
        let (socket, websocket) = self.endpoint.open().await?;
        let (inner, events) = from_websocket(websocket);
        let line = Arc::new(WhatsAppLine { inner, socket, cut: AtomicBool::new(false), gate: self.gate.clone() });
        self.current.renew(&line)?;
        Ok((line, events))
    }
}

struct WhatsAppLine {
    inner: Arc<dyn Transport>,
    socket: Socket,
    cut: AtomicBool,
    gate: Arc<WireGate>,
}

impl WhatsAppLine {
    fn cut(&self) {
        self.cut.store(true, Ordering::Release);
        self.socket.cut();
    }
}

#[async_trait]
impl Transport for WhatsAppLine {
    async fn send(&self, data: Bytes) -> anyhow::Result<()> {
        if self.cut.load(Ordering::Acquire) {
            bail!("the line was cut");
        }
        let held = self.gate.pass(data.len()).await?;
        // Waiting at the gate it may have been cut.
        if self.cut.load(Ordering::Acquire) {
            bail!("the line was cut");
        }
        self.inner.send(data).await?;
        if held {
            crash::point("ciphertext_on_the_wire");
        }
        Ok(())
    }

    async fn disconnect(&self) {
        // The close frame is a courtesy; a peer that does not take it must not hold anyone up.
        let _ = tokio::time::timeout(Duration::from_secs(1), self.inner.disconnect()).await;
        self.cut();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Else it would be said that nobody answers where WhatsApp is.
    #[test]
    fn a_dial_that_is_dropped_is_not_dialed_any_more() {
        let current = CurrentLine::default();
        let dialing = current.dial();
        assert!(current.dialing_for().is_some());
        drop(dialing);
        assert_eq!((current.dialing_for(), current.trouble()), (None, None));
        current.dial().end(Some("refused".into()));
        assert_eq!((current.dialing_for(), current.trouble()), (None, Some("refused".into())));
    }
}
