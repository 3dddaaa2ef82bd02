//! Converts Firestore's documents to the vault's types, and back.
//!
//! Reads strictly where a field decides something, and with patience where it only informs: another product writes into
//! `tenants` too, and an odd note of it must not keep a tenant down.

use std::collections::HashMap;

use bytes::Bytes;
use firestore::gcloud_sdk::{
    google::firestore::v1::{ArrayValue, Document, MapValue, Value, value::ValueType},
    prost_types,
};
use jiff::Timestamp;

use super::super::{
    Decision, DocumentKind, Heading, Instance, InstanceId, JournalDocument, Manifest, Seq, SnapshotId, TenantInfo,
    VaultError,
};
use crate::tenant::TenantRecord;

pub(super) type Fields = HashMap<String, Value>;

/// The field of an order's document that says which change of the order it shows.
pub(super) const REVISION: &str = "revision";

// --- to Firestore

pub(super) fn fields<const N: usize>(fields: [(&str, Value); N]) -> Fields {
    fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

pub(super) fn journal_fields(document: &JournalDocument) -> Fields {
    let JournalDocument { seq: _, kind, writer, at, payload } = document;
    fields([
        ("kind", text(kind.as_str())),
        ("writer", text(&*writer.0)),
        ("at", time(*at)),
        ("payload", bytes(payload)),
    ])
}

pub(super) fn payload_fields(payload: &Bytes) -> Fields {
    fields([("payload", bytes(payload))])
}

pub(super) fn instance_fields(instance: &Instance) -> Fields {
    let Instance { id: _, address, listens_at, process, version, started_at, heartbeat_at, draining } = instance;
    fields([
        ("address", or_null(address.as_ref().map(text))),
        ("listensAt", or_null(listens_at.as_ref().map(text))),
        ("process", or_null(process.as_ref().map(text))),
        ("version", text(version)),
        ("startedAt", time(*started_at)),
        ("heartbeatAt", time(*heartbeat_at)),
        ("draining", boolean(*draining)),
    ])
}

pub(super) fn decision_fields(decision: &Decision) -> Fields {
    let Decision { whatsapp_connected, phone_number, connected_at } = decision;
    let all = [
        ("whatsappConnected", whatsapp_connected.map(boolean)),
        ("phoneNumber", phone_number.as_ref().map(|number| or_null(number.as_ref().map(text)))),
        ("connectedAt", connected_at.map(|at| or_null(at.map(time)))),
    ];
    given(all)
}

pub(super) fn notice_fields(notice: &TenantInfo) -> Fields {
    let TenantInfo { name, status, last_error, last_error_at, deleted_at, config } = notice;
    let all = [
        ("name", name.as_ref().map(text)),
        ("status", status.as_ref().map(text)),
        ("lastError", last_error.as_ref().map(|error| or_null(error.as_ref().map(text)))),
        ("lastErrorAt", last_error_at.map(|at| or_null(at.map(time)))),
        ("deletedAt", deleted_at.map(|at| or_null(at.map(time)))),
        ("config", config.as_ref().map(from_json)),
    ];
    given(all)
}

pub(super) fn given<const N: usize>(all: [(&str, Option<Value>); N]) -> Fields {
    all.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
}

pub(super) fn text(text: impl Into<String>) -> Value {
    some(ValueType::StringValue(text.into()))
}

pub(super) fn boolean(value: bool) -> Value {
    some(ValueType::BooleanValue(value))
}

pub(super) fn bytes(bytes: &Bytes) -> Value {
    some(ValueType::BytesValue(bytes.to_vec()))
}

pub(super) fn reference(name: String) -> Value {
    some(ValueType::ReferenceValue(name))
}

pub(super) fn time(at: Timestamp) -> Value {
    // Firestore keeps no more than microseconds.
    let micros = at.as_microsecond();
    some(ValueType::TimestampValue(prost_types::Timestamp {
        seconds: micros.div_euclid(1_000_000),
        nanos: (micros.rem_euclid(1_000_000) * 1000) as i32,
    }))
}

fn or_null(value: Option<Value>) -> Value {
    value.unwrap_or_else(|| some(ValueType::NullValue(0)))
}

fn some(value: ValueType) -> Value {
    Value { value_type: Some(value) }
}

/// [`super::super::limits`] has seen it: every number fits.
pub(super) fn from_json(json: &serde_json::Value) -> Value {
    use serde_json::Value as Json;
    some(match json {
        Json::Null => ValueType::NullValue(0),
        Json::Bool(value) => ValueType::BooleanValue(*value),
        Json::Number(number) => match number.as_i64() {
            Some(integer) => ValueType::IntegerValue(integer),
            None => ValueType::DoubleValue(number.as_f64().unwrap_or_default()),
        },
        Json::String(value) => ValueType::StringValue(value.clone()),
        Json::Array(values) => ValueType::ArrayValue(ArrayValue { values: values.iter().map(from_json).collect() }),
        Json::Object(fields) => {
            let fields = fields.iter().map(|(name, value)| (name.clone(), from_json(value))).collect();
            ValueType::MapValue(MapValue { fields })
        }
    })
}

// --- from Firestore

/// A document being read.
pub(super) struct FirestoreReader {
    name: String,
    fields: Fields,
    updated: Option<prost_types::Timestamp>,
}

type Read<T> = Result<T, VaultError>;

impl FirestoreReader {
    pub(super) fn new(document: Document) -> Self {
        Self { name: document.name, fields: document.fields, updated: document.update_time }
    }

    pub(super) fn id(&self) -> &str {
        last_segment(&self.name)
    }

    /// When it was last written.
    pub(super) fn updated(&self) -> Option<prost_types::Timestamp> {
        self.updated
    }

    pub(super) fn into_name(self) -> String {
        self.name
    }

    pub(super) fn journal_document(mut self) -> Read<JournalDocument> {
        Ok(JournalDocument {
            seq: self.seq()?,
            kind: self.kind()?,
            writer: InstanceId(self.required("writer", as_text)?.into()),
            at: self.time("at")?,
            payload: self.payload()?,
        })
    }

    pub(super) fn heading(mut self) -> Read<Heading> {
        let writer = InstanceId(self.required("writer", as_text)?.into());
        Ok(Heading { seq: self.seq()?, writer, at: self.time("at")? })
    }

    pub(super) fn manifest(mut self) -> Read<Manifest> {
        Ok(Manifest { id: snapshot_id(&self.name)?, payload: self.payload()? })
    }

    pub(super) fn chunk(mut self) -> Read<(u32, Bytes)> {
        let n = self.id().parse().map_err(|_| self.malformed("id"))?;
        Ok((n, self.payload()?))
    }

    /// When the order of the document was placed, and which change of it that is; what others wrote there is older than everything.
    pub(super) fn order_version(&self) -> (i64, u64) {
        let number = |name: &str| match self.fields.get(name)?.value_type {
            Some(ValueType::IntegerValue(number)) => Some(number),
            _ => None,
        };
        let revision = number(REVISION).and_then(|number| u64::try_from(number).ok());
        (number("timestamp").unwrap_or(i64::MIN), revision.unwrap_or(0))
    }

    pub(super) fn segment(mut self) -> Read<Bytes> {
        self.payload()
    }

    pub(super) fn check_value(mut self) -> Read<Bytes> {
        self.required("value", as_bytes)
    }

    pub(super) fn seq(&self) -> Read<Seq> {
        self.id().parse().map(Seq).map_err(|_| self.malformed("id"))
    }

    pub(super) fn kind(&mut self) -> Read<DocumentKind> {
        self.required("kind", |value| DocumentKind::parse(&as_text(value)?))
    }

    pub(super) fn time(&mut self, field: &str) -> Read<Timestamp> {
        self.required(field, as_time)
    }

    fn payload(&mut self) -> Read<Bytes> {
        self.required("payload", as_bytes)
    }

    pub(super) fn letter(mut self) -> Read<(InstanceId, Bytes)> {
        let sender = InstanceId(self.id().into());
        Ok((sender, self.payload()?))
    }

    /// A record that another hand has spoilt is as if it were not there: its process writes it anew, if it lives.
    pub(super) fn instance(mut self) -> Instance {
        Instance {
            id: InstanceId(self.id().into()),
            address: self.optional("address", as_text).unwrap_or_default(),
            listens_at: self.optional("listensAt", as_text).unwrap_or_default(),
            process: self.optional("process", as_text).unwrap_or_default(),
            version: self.optional("version", as_text).unwrap_or_default().unwrap_or_default(),
            started_at: self.optional("startedAt", as_time).unwrap_or_default().unwrap_or_default(),
            heartbeat_at: self.optional("heartbeatAt", as_time).unwrap_or_default().unwrap_or_default(),
            draining: self.optional("draining", as_boolean).unwrap_or_default().unwrap_or_default(),
        }
    }

    pub(super) fn tenant(mut self) -> Read<TenantRecord> {
        Ok(TenantRecord {
            id: self.id().parse().map_err(|error| VaultError::Malformed(format!("{}: its id {error}", self.path())))?,
            whatsapp_connected: self.optional("whatsappConnected", as_boolean)?.unwrap_or(false),
            // The rest only informs. What another hand has spoilt there is as if it were not there: the journal knows better.
            phone_number: self.optional("phoneNumber", as_text).unwrap_or_default(),
            config: self.optional("config", to_json).unwrap_or_default().unwrap_or_default(),
            name: self.optional("name", as_text).unwrap_or_default(),
            connected_at: self.optional("connectedAt", as_time).unwrap_or_default(),
            status: self.optional("status", as_text).unwrap_or_default(),
            last_error: self.optional("lastError", as_text).unwrap_or_default(),
            last_error_at: self.optional("lastErrorAt", as_time).unwrap_or_default(),
            deleted_at: self.optional("deletedAt", as_time).unwrap_or_default(),
        })
    }

    pub(super) fn required<T>(&mut self, field: &str, read: impl FnOnce(ValueType) -> Option<T>) -> Read<T> {
        self.optional(field, read)?.ok_or_else(|| self.malformed(field))
    }

    /// Absent and null are the same.
    pub(super) fn optional<T>(&mut self, field: &str, read: impl FnOnce(ValueType) -> Option<T>) -> Read<Option<T>> {
        match self.fields.remove(field).and_then(|value| value.value_type) {
            None | Some(ValueType::NullValue(_)) => Ok(None),
            Some(value) => read(value).map(Some).ok_or_else(|| self.malformed(field)),
        }
    }

    pub(super) fn malformed(&self, field: &str) -> VaultError {
        VaultError::Malformed(format!("{}: its {field} is missing or not what it should be", self.path()))
    }

    fn path(&self) -> &str {
        path(&self.name)
    }
}

pub(super) fn snapshot_id(name: &str) -> Read<SnapshotId> {
    let parsed = last_segment(name).split_once('-').and_then(|(seq, attempt)| {
        let seq = (seq.len() == 20).then(|| seq.parse().ok()).flatten()?;
        Some(SnapshotId { seq: Seq(seq), attempt: attempt.into() })
    });
    parsed.ok_or_else(|| VaultError::Malformed(format!("{}: no id of a snapshot", path(name))))
}

fn last_segment(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

/// The path without project and database.
fn path(name: &str) -> &str {
    name.split_once("/documents/").map_or(name, |(_, path)| path)
}

pub(super) fn as_text(value: ValueType) -> Option<String> {
    match value {
        ValueType::StringValue(text) => Some(text),
        _ => None,
    }
}

pub(super) fn as_boolean(value: ValueType) -> Option<bool> {
    match value {
        ValueType::BooleanValue(value) => Some(value),
        _ => None,
    }
}

fn as_bytes(value: ValueType) -> Option<Bytes> {
    match value {
        ValueType::BytesValue(bytes) => Some(bytes.into()),
        _ => None,
    }
}

pub(super) fn as_time(value: ValueType) -> Option<Timestamp> {
    match value {
        ValueType::TimestampValue(time) => Timestamp::new(time.seconds, time.nanos).ok(),
        _ => None,
    }
}

/// Only what JSON has: a record's settings with a reference or bytes among them are not ours to guess at.
pub(super) fn to_json(value: ValueType) -> Option<serde_json::Value> {
    use serde_json::Value as Json;
    Some(match value {
        ValueType::NullValue(_) => Json::Null,
        ValueType::BooleanValue(value) => value.into(),
        ValueType::IntegerValue(value) => value.into(),
        ValueType::DoubleValue(value) => value.into(),
        ValueType::StringValue(value) => value.into(),
        ValueType::TimestampValue(_) => as_time(value)?.to_string().into(),
        ValueType::ArrayValue(array) => {
            Json::Array(array.values.into_iter().map(|value| to_json(value.value_type?)).collect::<Option<_>>()?)
        }
        ValueType::MapValue(map) => {
            let field = |(name, value): (String, Value)| Some((name, to_json(value.value_type?)?));
            Json::Object(map.fields.into_iter().map(field).collect::<Option<_>>()?)
        }
        _ => return None,
    })
}
