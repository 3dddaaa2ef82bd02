//! Lists of messages that are written as they are read: whatever a page has, little of it is in memory, and nothing of what is not read.

use std::{io, marker::PhantomData};

use axum::{
    body::{Body, Bytes},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use futures::stream;
use schemars::JsonSchema;
use serde::Serialize;
use tokio::sync::mpsc;

use super::{
    openapi::{Gives, Operation},
    problem::Problem,
};
use crate::{
    message::history::{HistoryEntry, MessageQuery},
    session::Session,
    store::StoreError,
};

/// So many bytes go out at a time, or one message.
const CHUNK: usize = 16 * 1024;

/// JSON in the form of `T`.
pub struct Streamed<T> {
    body: Body,
    form: PhantomData<T>,
}

impl<T> Streamed<T> {
    pub fn empty(frame: Frame) -> Self {
        Self { body: Body::from(frame.head + &(frame.tail)(0)), form: PhantomData }
    }
}

impl<T> IntoResponse for Streamed<T> {
    fn into_response(self) -> Response {
        ([(header::CONTENT_TYPE, "application/json")], self.body).into_response()
    }
}

impl<T: JsonSchema> Gives for Streamed<T> {
    fn gives(operation: &mut Operation<'_>) {
        operation.gives_json::<T>(StatusCode::OK);
    }
}

/// The fields around the list of messages.
pub struct Frame {
    pub head: String,
    /// Of how many.
    pub tail: Box<dyn FnOnce(usize) -> String + Send>,
}

impl Frame {
    /// The list alone.
    pub fn list() -> Self {
        Self { head: "[".into(), tail: Box::new(|_| "]".into()) }
    }
}

struct Writing<F> {
    entries: mpsc::Receiver<Result<Option<HistoryEntry>, StoreError>>,
    /// The first was read before there was an answer: a failure is one.
    first: Option<Option<HistoryEntry>>,
    form: F,
    buffer: Vec<u8>,
    count: usize,
    tail: Option<Box<dyn FnOnce(usize) -> String + Send>>,
}

/// Others read as much as is read at a time.
pub fn busy() -> Problem {
    Problem::unavailable("busy", "Too many conversations are being read at once")
}

/// The messages that a query finds, each in its form.
pub async fn messages<T, M: Serialize>(
    session: &Session,
    query: MessageQuery,
    frame: Frame,
    form: impl Fn(HistoryEntry) -> M + Send + 'static,
) -> Result<Streamed<T>, Problem> {
    let mut entries = session.stream_messages(query).ok_or_else(busy)?;
    let first = match entries.recv().await {
        Some(first) => first.map_err(Problem::unreadable)?,
        None => return Err(Problem::unavailable("draining", "The session ends")),
    };
    let Frame { head, tail } = frame;
    let writing = Writing { entries, first: Some(first), form, buffer: head.into_bytes(), count: 0, tail: Some(tail) };
    let chunks = stream::try_unfold(writing, |mut writing| async move {
        Ok::<_, io::Error>(writing.chunk().await?.map(|chunk| (chunk, writing)))
    });
    Ok(Streamed { body: Body::from_stream(chunks), form: PhantomData })
}

impl<M: Serialize, F: Fn(HistoryEntry) -> M> Writing<F> {
    /// `None` after the end. A list that breaks off ends the connection: it must not look whole.
    async fn chunk(&mut self) -> io::Result<Option<Bytes>> {
        if self.tail.is_none() {
            return Ok(None);
        }
        while self.buffer.len() < CHUNK {
            let entry = match self.first.take() {
                Some(first) => first,
                None => match self.entries.recv().await {
                    Some(entry) => entry.map_err(io::Error::other)?,
                    None => return Err(io::ErrorKind::UnexpectedEof.into()),
                },
            };
            let Some(entry) = entry else {
                let tail = self.tail.take().map(|tail| tail(self.count)).unwrap_or_default();
                self.buffer.extend_from_slice(tail.as_bytes());
                break;
            };
            if self.count > 0 {
                self.buffer.push(b',');
            }
            self.count += 1;
            serde_json::to_writer(&mut self.buffer, &(self.form)(entry))?;
        }
        Ok(Some(std::mem::take(&mut self.buffer).into()))
    }
}
