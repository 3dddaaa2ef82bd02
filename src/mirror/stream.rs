//! The streaming REST interface of the Realtime Database (`text/event-stream`): bytes into events, and events into the orders that they are
//! about. Pure. An event that is larger than [`MAX_EVENT_BYTES`] ends the stream.

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::Value;

use super::shape::read_stage;
use crate::bot::order::OrderStage;

/// The first event brings all of `pedidos`: some 3,000 orders that nobody took away.
pub const MAX_EVENT_BYTES: usize = 4 << 20;

/// An event as it comes.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct StreamEvent {
    pub name: String,
    pub data: Vec<u8>,
}

/// Cuts a stream into its events.
#[derive(Debug, Default)]
pub struct EventCutter {
    line: Vec<u8>,
    event: StreamEvent,
}

/// An event is larger than anything that may be meant.
#[derive(Debug, PartialEq, Eq)]
pub struct TooLargeEvent;

impl EventCutter {
    /// The events that end in this piece.
    pub fn push(&mut self, piece: &[u8]) -> Result<Vec<StreamEvent>, TooLargeEvent> {
        let mut events = Vec::new();
        for part in piece.split_inclusive(|byte| *byte == b'\n') {
            self.line.extend_from_slice(part);
            if self.line.len() + self.event.data.len() > MAX_EVENT_BYTES {
                return Err(TooLargeEvent);
            }
            if self.line.ends_with(b"\n") {
                let line = std::mem::take(&mut self.line);
                events.extend(self.take(line.trim_ascii_end()));
            }
        }
        Ok(events)
    }

    fn take(&mut self, line: &[u8]) -> Option<StreamEvent> {
        if line.is_empty() {
            let event = std::mem::take(&mut self.event);
            return (!event.name.is_empty()).then_some(event);
        }
        let colon = line.iter().position(|byte| *byte == b':')?;
        let (field, value) = (&line[..colon], &line[colon + 1..]);
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match field {
            b"event" => self.event.name = String::from_utf8_lossy(value).into_owned(),
            b"data" => {
                if !self.event.data.is_empty() {
                    self.event.data.push(b'\n');
                }
                self.event.data.extend_from_slice(value);
            }
            _ => {}
        }
        None
    }
}

/// What an event says of the orders in `pedidos`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeardOrders {
    /// Exactly these are there now, with their stages where they have one of ours.
    All(HashMap<String, Option<OrderStage>>),
    /// This one has this stage now; `None`: another word, or it was taken away.
    One { id: String, stage: Option<OrderStage> },
}

/// Why a stream is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StreamEnd {
    #[error("the database ends it: it is not allowed any more")]
    Cancelled,
    /// The token has come to its end, as each does after an hour.
    #[error("the token is not good any more")]
    Revoked,
    #[error("an event cannot be read")]
    Unreadable,
}

#[derive(Deserialize)]
struct StreamChange {
    path: String,
    data: Value,
}

/// What an event means.
pub fn meaning(event: &StreamEvent) -> Result<Vec<HeardOrders>, StreamEnd> {
    let is_put = match event.name.as_str() {
        "put" => true,
        "patch" => false,
        "cancel" => return Err(StreamEnd::Cancelled),
        "auth_revoked" => return Err(StreamEnd::Revoked),
        // "keep-alive", and what is not known yet.
        _ => return Ok(Vec::new()),
    };
    let StreamChange { path, data } = serde_json::from_slice(&event.data).map_err(|_| StreamEnd::Unreadable)?;
    let path: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    if is_put {
        return Ok(put(&path, &data));
    }
    // Each name is a path of its own, from there on.
    let Value::Object(changes) = data else { return Err(StreamEnd::Unreadable) };
    let heard = changes.iter().flat_map(|(name, data)| {
        let below = name.split('/').filter(|part| !part.is_empty());
        put(&path.iter().copied().chain(below).collect::<Vec<_>>(), data)
    });
    Ok(heard.collect())
}

fn put(path: &[&str], data: &Value) -> Vec<HeardOrders> {
    let one = |id: &str, stage| vec![HeardOrders::One { id: id.to_owned(), stage }];
    match path {
        [] => {
            let orders = data.as_object().into_iter().flatten();
            vec![HeardOrders::All(orders.map(|(id, order)| (id.clone(), read_stage(&order["estado"]))).collect())]
        }
        [id] => one(id, read_stage(&data["estado"])),
        [id, "estado"] => one(id, read_stage(data)),
        // Whatever else a page notes at an order.
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(name: &str, data: &str) -> Result<Vec<HeardOrders>, StreamEnd> {
        meaning(&StreamEvent { name: name.into(), data: data.into() })
    }

    fn one(id: &str, stage: Option<OrderStage>) -> HeardOrders {
        HeardOrders::One { id: id.into(), stage }
    }

    #[test]
    fn events_are_cut_wherever_the_pieces_end() {
        let stream =
            "event: put\ndata: {\"path\":\"/\",\"data\":null}\n\nevent: keep-alive\r\ndata: null\r\n\r\n: x\n\n";
        for size in [1, 2, 7, 1_000] {
            let mut cutter = EventCutter::default();
            let pieces = stream.as_bytes().chunks(size);
            let events: Vec<_> = pieces.flat_map(|piece| cutter.push(piece).unwrap()).collect();
            let names: Vec<_> = events.iter().map(|event| (event.name.as_str(), event.data.len())).collect();
            assert_eq!(names, [("put", 24), ("keep-alive", 4)], "{size}");
        }
        let mut cutter = EventCutter::default();
        assert_eq!(cutter.push(&vec![b'x'; MAX_EVENT_BYTES]), Ok(Vec::new()));
        assert_eq!(cutter.push(b"x"), Err(TooLargeEvent));
    }

    #[test]
    fn an_event_names_the_orders_that_it_is_about() {
        let all = r#"{"path":"/","data":{"a":{"estado":"listo","items":[1]},"b":{"estado":"?"},"c":1}}"#;
        let expected = [("a", Some(OrderStage::Listo)), ("b", None), ("c", None)];
        let expected = expected.map(|(id, stage)| (id.to_owned(), stage)).into_iter().collect();
        assert_eq!(heard("put", all), Ok(vec![HeardOrders::All(expected)]));
        assert_eq!(heard("put", r#"{"path":"/","data":null}"#), Ok(vec![HeardOrders::All(HashMap::new())]));
        let cooking = Some(OrderStage::Cocinando);
        for (name, data, expected) in [
            ("put", r#"{"path":"/a/estado","data":"cocinando"}"#, vec![one("a", cooking)]),
            ("put", r#"{"path":"/a","data":null}"#, vec![one("a", None)]),
            ("put", r#"{"path":"/a/horaListo","data":1}"#, vec![]),
            ("patch", r#"{"path":"/a","data":{"estado":"cocinando","inicioCocinado":1}}"#, vec![one("a", cooking)]),
            (
                "patch",
                r#"{"path":"/","data":{"a/estado":"cocinando","b":null}}"#,
                vec![one("a", cooking), one("b", None)],
            ),
            ("keep-alive", "null", vec![]),
        ] {
            assert_eq!(heard(name, data), Ok(expected), "{data}");
        }
        assert_eq!(heard("cancel", "null"), Err(StreamEnd::Cancelled));
        assert_eq!(heard("auth_revoked", "null"), Err(StreamEnd::Revoked));
        for data in ["", "null", "[]", r#"{"path":1}"#] {
            assert_eq!(heard("put", data), Err(StreamEnd::Unreadable), "{data}");
        }
        assert_eq!(heard("patch", r#"{"path":"/","data":1}"#), Err(StreamEnd::Unreadable));
    }
}
