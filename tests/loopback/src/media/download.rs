//! `GET {direct_path}`, whole or a range of bytes.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures_util::stream;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::header::{ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, HeaderValue, RANGE};
use hyper::{Method, Request, Response, StatusCode};

use super::host::{Answer, Cut, full, refusal};
use crate::faults::MediaTrouble;
use crate::shell::Shared;

pub(super) fn answer(
    shared: &Arc<Shared>,
    request: &Request<Incoming>,
    query: &str,
    trouble: Option<MediaTrouble>,
) -> Answer {
    let blob = shared.with(|world| world.media.get(request.uri().path(), query).map(|blob| blob.bytes.clone()));
    let Some(mut bytes) = blob else {
        return refusal(StatusCode::NOT_FOUND, "no such file");
    };
    if matches!(trouble, Some(MediaTrouble::Corrupt)) {
        bytes = corrupted(bytes);
    }
    let total = bytes.len();
    let mut status = StatusCode::OK;
    let mut content_range = None;
    if let Some(range) = request.headers().get(RANGE) {
        let Some((from, to)) = range.to_str().ok().and_then(|range| parse_range(range, total)) else {
            return refusal(StatusCode::RANGE_NOT_SATISFIABLE, "no such range");
        };
        bytes = bytes.slice(from..to);
        status = StatusCode::PARTIAL_CONTENT;
        content_range = Some(format!("bytes {from}-{}/{total}", to - 1));
    }
    let length = bytes.len();
    let body = if request.method() == Method::HEAD {
        full(Bytes::new())
    } else if matches!(trouble, Some(MediaTrouble::Cut)) {
        // Half of it, then the connection ends.
        let half = Ok(Frame::data(bytes.slice(..length / 2)));
        StreamBody::new(stream::iter([half, Err(Cut)])).boxed_unsync()
    } else {
        full(bytes)
    };
    let mut answer = Response::new(body);
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    if let Some(range) = content_range.and_then(|range| HeaderValue::from_str(&range).ok()) {
        headers.insert(CONTENT_RANGE, range);
    }
    answer
}

/// One bit in the middle is wrong.
fn corrupted(bytes: Bytes) -> Bytes {
    let mut wrong = BytesMut::from(bytes);
    let middle = wrong.len() / 2;
    if let Some(byte) = wrong.get_mut(middle) {
        *byte ^= 1;
    }
    wrong.freeze()
}

/// `bytes=a-b`, `bytes=a-` or `bytes=-n` as a half-open range that is not empty.
fn parse_range(range: &str, total: usize) -> Option<(usize, usize)> {
    let (from, to) = range.strip_prefix("bytes=")?.split_once('-')?;
    let (from, to) = match (from, to) {
        ("", last) => (total.saturating_sub(last.parse().ok()?), total),
        (from, "") => (from.parse().ok()?, total),
        (from, to) => (from.parse().ok()?, to.parse::<usize>().ok()?.saturating_add(1).min(total)),
    };
    (from < to).then_some((from, to))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_cut_to_what_there_is() {
        let cases = [
            ("bytes=0-3", Some((0, 4))),
            ("bytes=8-", Some((8, 10))),
            ("bytes=-3", Some((7, 10))),
            ("bytes=5-99", Some((5, 10))),
            ("bytes=10-", None),
            ("bytes=6-2", None),
            ("bytes=a-b", None),
            ("lines=0-3", None),
        ];
        for (text, expected) in cases {
            assert_eq!(parse_range(text, 10), expected, "{text}");
        }
    }
}
