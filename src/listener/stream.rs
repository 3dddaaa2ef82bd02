//! The socket of a connection: tells what moves over it, and slows down what comes over an upgraded one.
//!
//! A client of Socket.IO asks to be let in, says `register`, and answers pings. What says much more is slowed down here, and what asks
//! again and again is hung up on: the libraries behind it start a task for each packet before anybody has looked at it.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep_until},
};

use super::{
    connections::ConnectionSlot,
    frames::{Counted, Frames},
};

/// What an upgraded connection may say at once, and then in a second.
const BURST: f64 = 32.0 * 1024.0;
const BYTES_PER_SECOND: f64 = 4.0 * 1024.0;
const BURST_FRAMES: f64 = 128.0;
const FRAMES_PER_SECOND: f64 = 8.0;

/// The most requests to be let in: a few keys, each once.
const MAX_CONNECTS: u32 = 4;

/// So much is read of it at a time: then others have their turn.
const BITE: usize = 512;

pub struct GuardedStream {
    slot: Arc<ConnectionSlot>,
    allowance: Option<ReadAllowance>,
    frames: Frames,
    connects: u32,
    sleeping: Option<Pin<Box<Sleep>>>,
    /// Others have their turn before the next bite.
    rests: bool,
}

struct ReadAllowance {
    bytes: f64,
    frames: f64,
    at: Instant,
}

impl GuardedStream {
    pub fn new(slot: Arc<ConnectionSlot>) -> Self {
        Self { slot, allowance: None, frames: Frames::new(), connects: 0, sleeping: None, rests: false }
    }

    /// How much may be read of an upgraded connection now.
    fn poll_allowance(&mut self, cx: &mut Context<'_>) -> Poll<usize> {
        loop {
            if let Some(sleeping) = &mut self.sleeping {
                ready!(sleeping.as_mut().poll(cx));
                self.sleeping = None;
            }
            if std::mem::take(&mut self.rests) {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            let now = Instant::now();
            let full = ReadAllowance { bytes: BURST, frames: BURST_FRAMES, at: now };
            let allowance = self.allowance.get_or_insert(full);
            let passed = now.duration_since(allowance.at).as_secs_f64();
            allowance.bytes = (allowance.bytes + passed * BYTES_PER_SECOND).min(BURST);
            allowance.frames = (allowance.frames + passed * FRAMES_PER_SECOND).min(BURST_FRAMES);
            allowance.at = now;
            if allowance.bytes >= 1.0 && allowance.frames >= 1.0 {
                return Poll::Ready(BITE.min(allowance.bytes as usize));
            }
            let whole_bite = Duration::from_secs_f64(BITE as f64 / BYTES_PER_SECOND);
            self.sleeping = Some(Box::pin(sleep_until(now + whole_bite)));
        }
    }
}

impl AsyncRead for GuardedStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        // Nobody needs to hear what is still in the kernel.
        if this.slot.is_closed() {
            return Poll::Ready(Ok(()));
        }
        let is_upgraded = this.slot.is_upgraded();
        let most = if is_upgraded { ready!(this.poll_allowance(cx)) } else { buffer.remaining() };
        loop {
            ready!(this.slot.stream().poll_read_ready(cx))?;
            let room = buffer.initialize_unfilled_to(most.min(buffer.remaining()));
            match this.slot.stream().try_read(room) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
                Ok(read) if is_upgraded => {
                    let Counted { frames, connects } = this.frames.feed(&room[..read]);
                    this.connects += connects;
                    if this.connects > MAX_CONNECTS {
                        this.slot.close();
                        return Poll::Ready(Ok(()));
                    }
                    this.rests = read > 0;
                    if let Some(allowance) = &mut this.allowance {
                        allowance.bytes -= read as f64;
                        allowance.frames -= f64::from(frames);
                    }
                    buffer.advance(read);
                    return Poll::Ready(Ok(()));
                }
                Ok(read) => {
                    this.slot.received(&room[..read]);
                    buffer.advance(read);
                    return Poll::Ready(Ok(()));
                }
            }
        }
    }
}

impl GuardedStream {
    fn poll_send(
        &self,
        cx: &mut Context<'_>,
        send: impl Fn(&tokio::net::TcpStream) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        let stream = self.slot.stream();
        loop {
            let Poll::Ready(ready) = stream.poll_write_ready(cx) else {
                self.slot.waits_to_send();
                return Poll::Pending;
            };
            ready?;
            match send(stream) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                sent => {
                    if let Ok(sent) = &sent {
                        self.slot.sent(*sent);
                    }
                    return Poll::Ready(sent);
                }
            }
        }
    }
}

impl AsyncWrite for GuardedStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_send(cx, |stream| stream.try_write(bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_send(cx, |stream| stream.try_write_vectored(pieces))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// What is written to a TCP socket is on its way.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        match rustix::net::shutdown(self.slot.stream(), rustix::net::Shutdown::Write) {
            Ok(()) | Err(rustix::io::Errno::NOTCONN) => Poll::Ready(Ok(())),
            Err(error) => Poll::Ready(Err(error.into())),
        }
    }
}
