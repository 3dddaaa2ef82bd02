//! Values as columns hold them.

use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use rusqlite::{Row, types::Type};

use crate::vault::{Seq, SnapshotId};

pub(super) fn snapshot_id(row: &Row<'_>) -> rusqlite::Result<SnapshotId> {
    Ok(SnapshotId { seq: seq_from(row.get("seq")?), attempt: row.get::<_, Arc<str>>("attempt")? })
}

pub(super) fn payload(row: &Row<'_>) -> rusqlite::Result<Bytes> {
    row.get::<_, Vec<u8>>("payload").map(Bytes::from)
}

/// Numbers above what SQLite knows are above all that is there: nothing is stored under them ([`crate::vault::limits`]).
pub(super) fn seq_to(seq: Seq) -> i64 {
    i64::try_from(seq.0).unwrap_or(i64::MAX)
}

pub(super) fn seq_from(seq: i64) -> Seq {
    Seq(seq.unsigned_abs())
}

pub(super) fn micros(at: Timestamp) -> i64 {
    at.as_microsecond()
}

pub(super) fn time(row: &Row<'_>, column: &str) -> rusqlite::Result<Timestamp> {
    let at = row.get(column)?;
    Timestamp::from_microsecond(at).map_err(|error| malformed(row, column, Type::Integer, error))
}

pub(super) fn optional_time(row: &Row<'_>, column: &str) -> rusqlite::Result<Option<Timestamp>> {
    match row.get::<_, Option<i64>>(column)? {
        None => Ok(None),
        Some(_) => time(row, column).map(Some),
    }
}

pub(super) fn malformed(
    row: &Row<'_>,
    column: &str,
    kind: Type,
    error: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> rusqlite::Error {
    let index = row.as_ref().column_index(column).unwrap_or_default();
    rusqlite::Error::FromSqlConversionFailure(index, kind, error.into())
}
