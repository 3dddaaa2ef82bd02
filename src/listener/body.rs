//! Bodies that tell their connection how they get on: whether the peer lets a request's body be waited for, and when an answer has ended.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use axum::body::{Body, Bytes};
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;

use super::connections::ConnectionHandle;

/// A request's body.
pub struct Awaited {
    body: Incoming,
    handle: ConnectionHandle,
}

impl Awaited {
    pub fn new(body: Incoming, handle: ConnectionHandle) -> Self {
        Self { body, handle }
    }
}

impl HttpBody for Awaited {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.body).poll_frame(cx);
        match &polled {
            Poll::Pending => this.handle.waits_for_body(),
            Poll::Ready(frame) => {
                let data = frame.as_ref().and_then(|frame| frame.as_ref().ok()?.data_ref());
                this.handle.body_came(data.map_or(0, Bytes::len));
            }
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Awaited {
    /// Nobody waits for it any more.
    fn drop(&mut self) {
        self.handle.body_came(0);
        if !self.body.is_end_stream() {
            self.handle.leaves_body();
        }
    }
}

/// An answer's body. The request ends with it.
pub struct Answering {
    body: Body,
    handle: ConnectionHandle,
}

impl Answering {
    pub fn new(body: Body, handle: ConnectionHandle) -> Self {
        Self { body, handle }
    }
}

impl HttpBody for Answering {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.get_mut().body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.handle.end_request();
    }
}
