//! `POST /mms/{kind}/{hash}?auth=&token=`: in one piece, chunked, or from where an earlier one was cut off.
//!
//! With `resume=1` and no body the answer says how much is there: `{"resume": "complete"}` with the file's place,
//! or the number of bytes. `file_offset` continues there.

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::{Request, StatusCode};
use serde_json::json;

use super::host::{Answer, Cut, json_answer, refusal};
use super::{Blob, MediaStore, parameter};
use crate::faults::MediaTrouble;
use crate::shell::Shared;

/// WhatsApp takes documents up to 2 GB; tests do not.
const MAX_UPLOAD: usize = 128 << 20;

pub(super) async fn answer(
    shared: &std::sync::Arc<Shared>,
    request: Request<Incoming>,
    query: &str,
    trouble: Option<MediaTrouble>,
) -> Result<Answer, Cut> {
    let known = parameter(query, "auth").and_then(|token| shared.with(|world| world.media.owner(token)));
    if known.is_none() {
        return Ok(refusal(StatusCode::UNAUTHORIZED, "no such auth token"));
    }
    let mut steps = request.uri().path().trim_start_matches('/').split('/');
    let (Some("mms"), Some(kind), Some(hash), None) = (steps.next(), steps.next(), steps.next(), steps.next()) else {
        return Ok(refusal(StatusCode::NOT_FOUND, "no such path"));
    };
    let (kind, hash) = (kind.to_owned(), hash.to_owned());
    if parameter(query, "token") != Some(hash.as_str()) {
        return Ok(refusal(StatusCode::BAD_REQUEST, "the path and the token name different hashes"));
    }
    if parameter(query, "resume") == Some("1") {
        return Ok(shared.with(|world| progress(&world.media, kind, hash)));
    }
    let key = (kind.clone(), hash.clone());
    let before = match parameter(query, "file_offset").map(str::parse::<usize>) {
        None => Bytes::new(),
        Some(offset) => {
            let before = shared.with(|world| world.media.partial.get(&key).cloned()).unwrap_or_default();
            if offset != Ok(before.len()) {
                return Ok(refusal(StatusCode::RANGE_NOT_SATISFIABLE, "that is not how much is here"));
            }
            before
        }
    };
    let (bytes, whole) = receive(before, request.into_body(), trouble).await;
    if !whole {
        shared.with(|world| world.media.partial.insert(key, bytes));
        return Err(Cut);
    }
    if bytes.len() > MAX_UPLOAD {
        return Ok(refusal(StatusCode::PAYLOAD_TOO_LARGE, "too large"));
    }
    Ok(shared.with(|world| match world.media.put(&kind, &hash, bytes) {
        Ok(blob) => json_answer(StatusCode::OK, &place(&world.media, &blob)),
        Err(reason) => refusal(StatusCode::BAD_REQUEST, &reason.to_string()),
    }))
}

/// Reads to the end, and says whether it was the end. Stops soon after what is too much.
async fn receive(before: Bytes, mut body: Incoming, trouble: Option<MediaTrouble>) -> (Bytes, bool) {
    let mut bytes = BytesMut::from(before);
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else {
            return (bytes.freeze(), false);
        };
        if let Some(data) = frame.data_ref() {
            bytes.extend_from_slice(data);
        }
        if matches!(trouble, Some(MediaTrouble::Cut)) {
            return (bytes.freeze(), false);
        }
        if bytes.len() > MAX_UPLOAD {
            break;
        }
    }
    (bytes.freeze(), true)
}

fn progress(store: &MediaStore, kind: String, hash: String) -> Answer {
    if let Some(blob) = store.uploaded(&kind, &hash) {
        let mut answer = place(store, blob);
        answer["resume"] = json!("complete");
        return json_answer(StatusCode::OK, &answer);
    }
    let there = store.partial.get(&(kind, hash)).map_or(0, Bytes::len);
    json_answer(StatusCode::OK, &json!({ "resume": there.to_string() }))
}

fn place(store: &MediaStore, blob: &Blob) -> serde_json::Value {
    json!({ "url": store.url(blob), "direct_path": blob.direct_path })
}
