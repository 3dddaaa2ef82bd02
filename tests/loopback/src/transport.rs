//! Sockets: accept, WebSocket upgrade, Noise handshake, frames in and out.
//!
//! One task a connection. What it reads goes to the world; what the world wants sent comes through a bounded
//! channel, and a client that does not keep up is cut off, as its messages wait in its queue anyway.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::{SinkExt, StreamExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tokio_websockets::{Limits, Message, ServerBuilder, WebSocketStream};
use wacore_binary::util::unpack_bytes;
use wacore_binary::{Node, OwnedNodeRef, marshal_auto};
use wacore_noise::framing::{FrameDecoder, append_frame_into};

use crate::faults::FaultKind;
use crate::handshake::{self, Established, Reply};
use crate::shell::Shared;
use crate::world::{Babble, ConnId, Ending};

type Socket = WebSocketStream<TcpStream>;

/// Baileys 6 loses a frame that comes at once after the handshake; on a loaded machine it is late to expect one.
const AFTER_XX: Duration = Duration::from_millis(150);
/// How long a client has to close after a stream error before we do.
const LAST_WORD: Duration = Duration::from_millis(400);
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(20);
/// A client that takes nothing for so long is gone.
const SEND_LIMIT: Duration = Duration::from_secs(30);
const MAX_MESSAGE: usize = 16 << 20;
/// Frames are written together up to about this size.
const WRITE_CHUNK: usize = 64 << 10;

/// What the world has for one connection.
pub(crate) enum Out {
    Stanzas(Vec<Node>, Instant),
    Babble(Babble),
    Close(Ending, Instant),
}

impl Out {
    /// Not before then.
    fn due(&self) -> Option<Instant> {
        match self {
            Self::Stanzas(_, at) | Self::Close(Ending::Graceful, at) => Some(*at),
            Self::Babble(_) | Self::Close(Ending::Abrupt, _) => None,
        }
    }
}

/// Batches that may wait for a client.
pub(crate) const OUT_CAPACITY: usize = 1024;

pub(crate) async fn accept(shared: Arc<Shared>, listener: TcpListener, stop: CancellationToken) {
    loop {
        let stream = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "accept failed");
                    sleep(Duration::from_millis(50)).await;
                    continue;
                }
            },
        };
        if shared.refuses() {
            continue;
        }
        let stop = stop.clone();
        let task = serve(Arc::clone(&shared), stream);
        shared.sockets.spawn(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                result = task => if let Err(error) = result {
                    tracing::debug!(error = format!("{error:#}"), "connection ended");
                }
            }
        });
    }
}

async fn serve(shared: Arc<Shared>, stream: TcpStream) -> anyhow::Result<()> {
    stream.set_nodelay(true)?;
    let limits = Limits::default().max_payload_len(Some(MAX_MESSAGE));
    let upgrade = ServerBuilder::new().limits(limits);
    let (_, mut socket) = timeout(HANDSHAKE_LIMIT, upgrade.accept(stream)).await??;
    shared.with(|world| world.ledger.counts.connections += 1);
    let mut input = Input::default();
    let Some((established, wait)) = timeout(HANDSHAKE_LIMIT, shake_hands(&shared, &mut socket, &mut input)).await??
    else {
        while next_bytes(&mut socket).await?.is_some() {}
        return Ok(());
    };
    sleep(wait).await;
    let (guard, out) = Guard::admit(shared);
    guard.shared.with(|world| world.connected(guard.conn, established.client_static, &established.payload));
    let Established { send, receive, .. } = established;
    let mut connection = Connection { guard, socket, input, send: (send, 0), receive: (receive, 0) };
    connection.run(out).await
}

/// Bytes received and not yet read.
#[derive(Default)]
struct Input(FrameDecoder);

impl Input {
    /// The next frame, or `None` when the client has closed.
    async fn frame(&mut self, socket: &mut Socket) -> anyhow::Result<Option<BytesMut>> {
        loop {
            if let Some(frame) = self.0.decode_frame() {
                return Ok(Some(frame));
            }
            match next_bytes(socket).await? {
                Some(bytes) => self.0.feed(&bytes),
                None => return Ok(None),
            }
        }
    }
}

async fn next_bytes(socket: &mut Socket) -> anyhow::Result<Option<Bytes>> {
    while let Some(message) = socket.next().await {
        let message = message?;
        if message.is_binary() {
            return Ok(Some(Bytes::from(BytesMut::from(message.into_payload()))));
        }
        if message.is_close() {
            return Ok(None);
        }
    }
    Ok(None)
}

/// Returns the outcome, and how long to wait before the first stanza; `None` where a fault leaves the client unanswered.
async fn shake_hands(
    shared: &Arc<Shared>,
    socket: &mut Socket,
    input: &mut Input,
) -> anyhow::Result<Option<(Established, Duration)>> {
    let closed = || anyhow::anyhow!("closed during the handshake");
    let mut head = Vec::new();
    let prologue = loop {
        head.extend_from_slice(&next_bytes(socket).await?.ok_or_else(closed)?);
        if let Some((prologue, at)) = handshake::split_header(&head)? {
            input.0.feed(&head[at..]);
            break prologue;
        }
    };
    let hello = input.frame(socket).await?.ok_or_else(closed)?;
    let reply = handshake::respond(shared.identity(), &prologue, &hello, &mut rand::rng())?;
    if handshake::is_ik(&hello) {
        let user = match &reply {
            Reply::Established(_, established) => established.payload.username,
            Reply::Pending(..) => None,
        };
        match shared.with(|world| world.ik_trouble(user)) {
            Some(FaultKind::CloseIk) => anyhow::bail!("closed by a fault"),
            Some(_) => return Ok(None),
            None => {}
        }
    }
    match reply {
        Reply::Established(reply, established) => {
            send_frame(socket, &reply).await?;
            Ok(Some((*established, Duration::ZERO)))
        }
        Reply::Pending(reply, pending) => {
            send_frame(socket, &reply).await?;
            let finish = input.frame(socket).await?.ok_or_else(closed)?;
            Ok(Some((pending.finish(&finish)?, AFTER_XX)))
        }
    }
}

async fn send_frame(socket: &mut Socket, frame: &[u8]) -> anyhow::Result<()> {
    let mut bytes = Vec::with_capacity(frame.len() + 3);
    append_frame_into(frame, None, &mut bytes)?;
    Ok(socket.send(Message::binary(Bytes::from(bytes))).await?)
}

/// A connection's place in the network; leaving it tells the world.
struct Guard {
    shared: Arc<Shared>,
    conn: ConnId,
}

impl Guard {
    fn admit(shared: Arc<Shared>) -> (Self, mpsc::Receiver<Out>) {
        let (conn, out) = shared.admit();
        (Self { shared, conn }, out)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.shared.leave(self.conn);
    }
}

struct Connection {
    guard: Guard,
    socket: Socket,
    input: Input,
    /// Cipher and counter of each direction.
    send: (wacore_noise::NoiseCipher, u32),
    receive: (wacore_noise::NoiseCipher, u32),
}

impl Connection {
    async fn run(&mut self, mut out: mpsc::Receiver<Out>) -> anyhow::Result<()> {
        // A late stanza holds up those behind it, and nothing that comes in: a slow line still reads while it waits to write.
        let mut next: Option<Out> = None;
        loop {
            let due = next.as_ref().and_then(Out::due);
            let is_due = async {
                if let Some(at) = due {
                    sleep_until(at).await;
                }
            };
            tokio::select! {
                // Answers go out before more is read, so that order is kept under load.
                biased;
                out = out.recv(), if next.is_none() => match out {
                    Some(out) => next = Some(out),
                    None => return Ok(()),
                },
                () = is_due, if next.is_some() => match next.take() {
                    Some(Out::Stanzas(stanzas, _)) => timeout(SEND_LIMIT, self.write(&stanzas)).await??,
                    Some(Out::Babble(babble)) => timeout(SEND_LIMIT, self.babble(babble)).await??,
                    Some(Out::Close(Ending::Graceful, _)) => return self.close().await,
                    Some(Out::Close(Ending::Abrupt, _)) | None => return Ok(()),
                },
                frame = self.input.frame(&mut self.socket) => match frame? {
                    Some(frame) => self.read(frame)?,
                    None => return Ok(()),
                },
            }
        }
    }

    fn read(&mut self, mut frame: BytesMut) -> anyhow::Result<()> {
        let (cipher, counter) = &mut self.receive;
        cipher.decrypt_in_place_with_counter(*counter, &mut frame)?;
        *counter += 1;
        let stanza = OwnedNodeRef::new(unpack_bytes(frame)?)?.to_owned_node();
        self.guard.shared.with(|world| world.stanza(self.guard.conn, &stanza));
        Ok(())
    }

    async fn babble(&mut self, babble: Babble) -> anyhow::Result<()> {
        match babble {
            Babble::Stanza(stanza) => self.write(&[stanza]).await,
            Babble::Plain(mut plain) => {
                self.encrypt(&mut plain)?;
                send_frame(&mut self.socket, &plain).await
            }
            Babble::Frame(frame) => send_frame(&mut self.socket, &frame).await,
            Babble::Garbled(stanza) => {
                let mut frame = marshal_auto(&stanza)?;
                self.encrypt(&mut frame)?;
                if let Some(byte) = frame.first_mut() {
                    *byte ^= 1;
                }
                send_frame(&mut self.socket, &frame).await
            }
        }
    }

    fn encrypt(&mut self, frame: &mut Vec<u8>) -> anyhow::Result<()> {
        let (cipher, counter) = &mut self.send;
        cipher.encrypt_in_place_with_counter(*counter, frame)?;
        *counter += 1;
        Ok(())
    }

    async fn write(&mut self, stanzas: &[Node]) -> anyhow::Result<()> {
        let mut bytes = Vec::new();
        for stanza in stanzas {
            let mut frame = marshal_auto(stanza)?;
            self.encrypt(&mut frame)?;
            append_frame_into(&frame, None, &mut bytes)?;
            if bytes.len() >= WRITE_CHUNK {
                self.socket.feed(Message::binary(Bytes::from(std::mem::take(&mut bytes)))).await?;
            }
        }
        if !bytes.is_empty() {
            self.socket.feed(Message::binary(Bytes::from(bytes))).await?;
        }
        Ok(self.socket.flush().await?)
    }

    /// Lets the client read the last word and close first.
    async fn close(&mut self) -> anyhow::Result<()> {
        let deadline = Instant::now() + LAST_WORD;
        while let Ok(Ok(Some(_))) = tokio::time::timeout_at(deadline, self.input.frame(&mut self.socket)).await {}
        timeout(LAST_WORD, self.socket.close()).await??;
        Ok(())
    }
}
