//! Firestore's limits, which every home keeps: so nothing is stored that could not move there.
//!
//! Facts: <https://firebase.google.com/docs/firestore/quotas>. A refusal says what is too much; it happens before anything
//! is sent.

use serde_json::Value;

use super::{
    Instance, InstanceId, JournalDocument, MAX_APPEND, MAX_PAYLOAD, Manifest, Seq, SnapshotId, TenantInfo, VaultError,
    access::ApiKey,
};

/// Bytes in a document's id.
const MAX_ID: usize = 1500;
/// Characters that a text of a record may have: a document takes 1 MiB, so all of them fit together.
const MAX_TEXT: usize = 64 * 1024;
/// Bytes of a tenant's settings as JSON.
const MAX_CONFIG: usize = 256 * 1024;
/// Maps and arrays in each other.
const MAX_DEPTH: usize = 20;

type LimitCheck = Result<(), VaultError>;

fn refuse(what: impl Into<String>) -> LimitCheck {
    Err(VaultError::Refused(what.into()))
}

pub(super) fn append(documents: &[JournalDocument]) -> LimitCheck {
    let mut previous = None;
    for document in documents {
        if previous.is_some_and(|previous: Seq| previous.next() != document.seq) {
            return refuse(format!("document {} is out of its row", document.seq));
        }
        previous = Some(document.seq);
    }
    start_over(documents, None)
}

pub(super) fn start_over(documents: &[JournalDocument], manifest: Option<&Manifest>) -> LimitCheck {
    if documents.is_empty() && manifest.is_none() {
        return refuse("an append without a document");
    }
    if let Some(Manifest { id, payload: sealed }) = manifest {
        snapshot_id(id)?;
        payload(sealed)?;
    }
    for document in documents {
        seq(document.seq)?;
        payload(&document.payload)?;
        instance_id(&document.writer)?;
    }
    let total: usize = documents.iter().map(|document| document.payload.len()).sum();
    if total > MAX_APPEND {
        return refuse(format!("{total} bytes in one append, more than {MAX_APPEND}"));
    }
    Ok(())
}

/// An i64 to SQLite.
fn seq(seq: Seq) -> LimitCheck {
    match i64::try_from(seq.0) {
        Ok(1..) => Ok(()),
        _ => refuse(format!("{seq} is no number of a journal document")),
    }
}

pub(super) fn payload(payload: &[u8]) -> LimitCheck {
    match payload.len() {
        0..=MAX_PAYLOAD => Ok(()),
        length => refuse(format!("{length} bytes in one document, more than {MAX_PAYLOAD}")),
    }
}

/// Their numbers have four digits in their ids, by which they are ordered.
pub(super) fn chunk(n: u32, bytes: &[u8]) -> LimitCheck {
    if n > 9999 {
        return refuse(format!("chunk {n} of a snapshot, more than 10,000"));
    }
    payload(bytes)
}

pub(super) fn instance_id(InstanceId(id): &InstanceId) -> LimitCheck {
    let reserved = id.len() >= 4 && id.starts_with("__") && id.ends_with("__");
    if id.is_empty() || id.len() > MAX_ID || &**id == "." || &**id == ".." || id.contains('/') || reserved {
        return refuse(format!("{id:?} cannot be the id of a document"));
    }
    Ok(())
}

pub(super) fn snapshot_id(id: &SnapshotId) -> LimitCheck {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
    if id.attempt.is_empty() || id.attempt.len() > 64 || !id.attempt.bytes().all(allowed) {
        return refuse(format!("{:?} cannot name an attempt", id.attempt));
    }
    seq(id.seq)
}

pub(super) fn segment(name: &str) -> LimitCheck {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
    if name.is_empty() || name.len() > 128 || !name.bytes().all(allowed) {
        return refuse(format!("{name:?} cannot name a segment"));
    }
    instance_id(&InstanceId(name.into()))
}

pub(super) fn order_id(id: &str) -> LimitCheck {
    if id.is_empty() || id.len() > 64 || !id.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return refuse(format!("{id:?} cannot name an order"));
    }
    Ok(())
}

pub(super) fn letter(from: &InstanceId, to: &InstanceId, body: &[u8]) -> LimitCheck {
    instance_id(from)?;
    instance_id(to)?;
    payload(body)
}

pub(super) fn instance(instance: &Instance) -> LimitCheck {
    instance_id(&instance.id)?;
    text(&instance.version)?;
    [&instance.address, &instance.listens_at, &instance.process].into_iter().flatten().try_for_each(|value| text(value))
}

/// Its index would not take more than 1,500 bytes.
pub(super) fn api_key(key: &ApiKey) -> LimitCheck {
    match key.id.len() {
        1..=MAX_ID => Ok(()),
        length => refuse(format!("a key's id of {length} bytes")),
    }
}

pub(super) fn notice(notice: &TenantInfo) -> LimitCheck {
    let texts = [&notice.name, &notice.status, &notice.last_error.clone().flatten()];
    texts.into_iter().flatten().try_for_each(|value| text(value))?;
    let Some(config) = &notice.config else { return Ok(()) };
    if !(config.is_object() || config.is_null()) {
        return refuse("a tenant's config is an object");
    }
    let length = config.to_string().len();
    if length > MAX_CONFIG {
        return refuse(format!("{length} bytes of config, more than {MAX_CONFIG}"));
    }
    nested(config, 0)
}

/// A prefix that both homes search alike: what begins so lies between it and the returned text.
pub(super) fn prefix_end(prefix: &str) -> Result<String, VaultError> {
    let is_plain = prefix.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    let last = prefix.bytes().last().filter(|last| is_plain && prefix.len() <= 128 && *last < b'~');
    let Some(last) = last else {
        return Err(VaultError::Refused("a prefix is 1 to 128 plain characters, and ends with no tilde".to_owned()));
    };
    Ok(format!("{}{}", &prefix[..prefix.len() - 1], char::from(last + 1)))
}

fn text(text: &str) -> LimitCheck {
    match text.len() {
        0..=MAX_TEXT => Ok(()),
        length => refuse(format!("a text of {length} bytes, more than {MAX_TEXT}")),
    }
}

fn nested(value: &Value, depth: usize) -> LimitCheck {
    if depth > MAX_DEPTH {
        return refuse(format!("config nested deeper than {MAX_DEPTH}"));
    }
    match value {
        Value::Object(fields) => fields.iter().try_for_each(|(name, value)| {
            let reserved = name.len() >= 4 && name.starts_with("__") && name.ends_with("__");
            if name.is_empty() || name.len() > MAX_ID || reserved {
                return refuse(format!("{name:?} cannot be a field of config"));
            }
            nested(value, depth + 1)
        }),
        Value::Array(values) => values.iter().try_for_each(|value| {
            if value.is_array() {
                return refuse("an array directly in an array of config");
            }
            nested(value, depth + 1)
        }),
        Value::Number(number) if number.is_u64() && !number.is_i64() => refuse("a number of config beyond 64 bits"),
        _ => Ok(()),
    }
}
