//! One socket for its reader, its writer and whoever cuts it: a duplicate would be a file descriptor more, for every tenant.

use std::{
    io::{self, IoSlice},
    os::fd::AsFd as _,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
};

use futures::task::AtomicWaker;
use rustix::net::{Shutdown, shutdown};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

/// For one reader and one writer: each direction wakes the one that waited last.
#[derive(Clone)]
pub struct Socket(Arc<SharedStream>);

struct SharedStream {
    stream: TcpStream,
    /// Nothing is read, until it is cut or hears again.
    is_deaf: AtomicBool,
    reader: AtomicWaker,
}

impl Socket {
    pub fn new(stream: TcpStream) -> Self {
        Self(Arc::new(SharedStream { stream, is_deaf: AtomicBool::new(false), reader: AtomicWaker::new() }))
    }

    /// Shuts it below TLS, at once. Fails only when the peer was first.
    pub fn cut(&self) {
        let _ = shutdown(self.0.stream.as_fd(), Shutdown::Both);
        self.0.is_deaf.store(false, Ordering::Release);
        self.0.reader.wake();
    }

    /// Leaves unread whatever comes from now on.
    pub fn deafen(&self) {
        self.0.is_deaf.store(true, Ordering::Release);
    }

    pub fn hear(&self) {
        self.0.is_deaf.store(false, Ordering::Release);
        self.0.reader.wake();
    }

    fn write(&self, cx: &mut Context<'_>, write: impl Fn(&TcpStream) -> io::Result<usize>) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.0.stream.poll_write_ready(cx))?;
            match write(&self.0.stream) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                done => return Poll::Ready(done),
            }
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.0.reader.register(cx.waker());
        if self.0.is_deaf.load(Ordering::Acquire) {
            return Poll::Pending;
        }
        loop {
            ready!(self.0.stream.poll_read_ready(cx))?;
            match self.0.stream.try_read(buffer.initialize_unfilled()) {
                Ok(count) => {
                    buffer.advance(count);
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.write(cx, |stream| stream.try_write(bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.write(cx, |stream| stream.try_write_vectored(pieces))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// Returns at once: written bytes are the kernel's.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(shutdown(self.0.stream.as_fd(), Shutdown::Write).map_err(Into::into))
    }
}
