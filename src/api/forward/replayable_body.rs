//! A request's body that can be read again: what was read is kept, as long as that is little, and the rest is where it was.

use std::{
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use axum::{
    body::{Body, Bytes},
    http::{header, request::Parts},
};
use futures::stream;
use http_body::{Body as HttpBody, Frame};

use super::super::BODY_LIMIT;
use crate::{message::media::Spooled, sync::lock};

/// Of one body: more than any that is no file has.
const MOST_KEPT: usize = BODY_LIMIT + 64 * 1024;

/// Of all bodies. What comes beyond that is read once, and so not forwarded.
const MOST_KEPT_OF_ALL: usize = 64 * 1024 * 1024;

/// Bytes that are kept now.
static KEPT: AtomicUsize = AtomicUsize::new(0);

/// Of a file, at a time.
const PIECE: usize = 64 * 1024;

#[derive(Clone)]
pub struct ReplayableBody(Arc<Mutex<Recording>>);

struct Recording {
    kept: Vec<Bytes>,
    bytes: usize,
    /// Some of what was read is gone: nobody can begin anew.
    is_cut: bool,
    /// The part that nobody has read yet; `None`: it has ended, or there was nothing.
    rest: Option<Body>,
}

impl ReplayableBody {
    pub fn new(body: Body, head: &Parts) -> Self {
        let has_body = head.headers.get(header::CONTENT_LENGTH).is_some_and(|length| length != "0")
            || head.headers.contains_key(header::TRANSFER_ENCODING);
        let rest = has_body.then_some(body);
        Self(Arc::new(Mutex::new(Recording { kept: Vec::new(), bytes: 0, is_cut: false, rest })))
    }

    /// From its beginning. One reader at a time; `None`: it is not there any more.
    pub fn replay(&self) -> Option<Body> {
        let recording = lock(&self.0);
        if recording.is_cut {
            return None;
        }
        // A client may be told to end at once what has no bytes.
        let is_empty = recording.rest.is_none() && recording.kept.is_empty();
        Some(if is_empty { Body::empty() } else { Body::new(ReplayReader { recording: self.0.clone(), at: 0 }) })
    }
}

impl Recording {
    fn keep(&mut self, bytes: &Bytes) {
        if self.is_cut {
            return;
        }
        self.bytes += bytes.len();
        let kept = KEPT.fetch_add(bytes.len(), Ordering::AcqRel) + bytes.len();
        if self.bytes <= MOST_KEPT && kept <= MOST_KEPT_OF_ALL {
            self.kept.push(bytes.clone());
            return;
        }
        self.is_cut = true;
        self.forget();
    }

    fn forget(&mut self) {
        self.kept = Vec::new();
        KEPT.fetch_sub(std::mem::take(&mut self.bytes), Ordering::AcqRel);
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        self.forget();
    }
}

struct ReplayReader {
    recording: Arc<Mutex<Recording>>,
    /// Pieces that it has read of what is kept.
    at: usize,
}

impl HttpBody for ReplayReader {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = self.get_mut();
        let mut recording = lock(&this.recording);
        if let Some(kept) = recording.kept.get(this.at) {
            this.at += 1;
            return Poll::Ready(Some(Ok(Frame::data(kept.clone()))));
        }
        loop {
            let Some(rest) = &mut recording.rest else { return Poll::Ready(None) };
            let frame = match std::task::ready!(Pin::new(rest).poll_frame(cx)) {
                None => {
                    recording.rest = None;
                    return Poll::Ready(None);
                }
                Some(Err(error)) => {
                    // Whoever begins anew would get less than the client has sent.
                    recording.is_cut = true;
                    recording.rest = None;
                    return Poll::Ready(Some(Err(error)));
                }
                Some(Ok(frame)) => frame,
            };
            // Trailers say nothing to any route.
            let Ok(bytes) = frame.into_data() else { continue };
            recording.keep(&bytes);
            this.at = recording.kept.len();
            return Poll::Ready(Some(Ok(Frame::data(bytes))));
        }
    }
}

/// A body that lies on the disk.
pub fn replay(spooled: Spooled) -> Body {
    let pieces = stream::try_unfold((spooled, 0), |(spooled, at)| async move {
        if at >= spooled.size {
            return Ok::<_, std::io::Error>(None);
        }
        let piece = spooled.read(at, PIECE).await?;
        let read = piece.len() as u64;
        // A file that has become shorter ends here: the peer sees by the length that something is missing.
        Ok((read > 0).then(|| (Bytes::from(piece), (spooled, at + read))))
    });
    Body::from_stream(pieces)
}

#[cfg(test)]
mod tests {
    use axum::http::Request;
    use futures::{StreamExt as _, TryStreamExt as _};

    use super::*;

    fn replayable(pieces: Vec<Bytes>) -> ReplayableBody {
        let (head, ()) = Request::post("/").header("transfer-encoding", "chunked").body(()).unwrap().into_parts();
        ReplayableBody::new(Body::from_stream(stream::iter(pieces.into_iter().map(Ok::<_, std::io::Error>))), &head)
    }

    async fn read(body: Body) -> Vec<u8> {
        body.into_data_stream().map_ok(|bytes| bytes.to_vec()).try_concat().await.unwrap()
    }

    #[tokio::test]
    async fn what_one_reader_has_read_the_next_gets_too() {
        let body = replayable(vec!["one ".into(), "two ".into(), "three".into()]);
        let mut first = body.replay().unwrap().into_data_stream();
        assert_eq!(first.next().await.unwrap().unwrap(), "one ");
        drop(first);
        for _ in 0..2 {
            assert_eq!(read(body.replay().unwrap()).await, b"one two three");
        }
        let (bare, ()) = Request::get("/").body(()).unwrap().into_parts();
        assert_eq!(read(ReplayableBody::new(Body::from("never read"), &bare).replay().unwrap()).await, b"");
    }

    #[tokio::test]
    async fn what_is_too_much_is_read_once() {
        let piece = Bytes::from(vec![7; MOST_KEPT / 2 + 1]);
        let body = replayable(vec![piece.clone(), piece.clone(), piece.clone()]);
        let whole = read(body.replay().unwrap()).await;
        assert_eq!(whole.len(), 3 * piece.len());
        assert!(body.replay().is_none());
        assert_eq!(body.0.lock().unwrap().bytes, 0, "nothing is kept for nothing");
    }
}
