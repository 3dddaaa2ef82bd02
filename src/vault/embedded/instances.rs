//! Processes on this vault, as rows, and the letters that they write to each other.

use bytes::Bytes;
use rusqlite::{Connection, params};

use super::columns::{micros, payload, time};
use crate::vault::{Instance, InstanceId};

pub(super) fn put(connection: &Connection, instance: Instance) -> rusqlite::Result<()> {
    let put = "INSERT OR REPLACE INTO instances
               (id, address, listens_at, process, version, started_at, heartbeat_at, draining)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
    let Instance { id, address, listens_at, process, version, started_at, heartbeat_at, draining } = instance;
    let (started_at, heartbeat_at) = (micros(started_at), micros(heartbeat_at));
    let row = params![&*id.0, address, listens_at, process, version, started_at, heartbeat_at, draining];
    connection.prepare_cached(put)?.execute(row).map(drop)
}

pub(super) fn all(connection: &Connection) -> rusqlite::Result<Vec<Instance>> {
    let mut statement = connection.prepare_cached("SELECT * FROM instances ORDER BY id")?;
    let rows = statement.query_map([], |row| {
        // A record that another hand has spoilt is as if it were not there: its process writes it anew, if it lives.
        Ok(Instance {
            id: InstanceId(row.get("id")?),
            address: row.get("address").unwrap_or_default(),
            listens_at: row.get("listens_at").unwrap_or_default(),
            process: row.get("process").unwrap_or_default(),
            version: row.get("version").unwrap_or_default(),
            started_at: time(row, "started_at").unwrap_or_default(),
            heartbeat_at: time(row, "heartbeat_at").unwrap_or_default(),
            draining: row.get("draining").unwrap_or_default(),
        })
    })?;
    rows.collect()
}

/// Its letters go with it.
pub(super) fn remove(connection: &Connection, id: &InstanceId) -> rusqlite::Result<()> {
    connection.prepare_cached("DELETE FROM letters WHERE recipient = ?1")?.execute([&*id.0])?;
    connection.prepare_cached("DELETE FROM instances WHERE id = ?1")?.execute([&*id.0]).map(drop)
}

pub(super) fn put_letter(
    connection: &Connection,
    from: &InstanceId,
    to: &InstanceId,
    body: &[u8],
) -> rusqlite::Result<()> {
    let put = "INSERT OR REPLACE INTO letters (recipient, sender, payload) VALUES (?1, ?2, ?3)";
    connection.prepare_cached(put)?.execute(params![&*to.0, &*from.0, body]).map(drop)
}

/// One that another hand has spoilt is left out.
pub(super) fn letters(connection: &Connection, to: &InstanceId) -> rusqlite::Result<Vec<(InstanceId, Bytes)>> {
    let query = "SELECT sender, payload FROM letters WHERE recipient = ?1 ORDER BY sender";
    let mut statement = connection.prepare_cached(query)?;
    let rows = statement.query_map([&*to.0], |row| Ok((InstanceId(row.get("sender")?), payload(row)?)))?;
    rows.filter(|row| !matches!(row, Err(rusqlite::Error::InvalidColumnType(..)))).collect()
}

pub(super) fn remove_letter(connection: &Connection, from: &InstanceId, to: &InstanceId) -> rusqlite::Result<()> {
    let remove = "DELETE FROM letters WHERE recipient = ?1 AND sender = ?2";
    connection.prepare_cached(remove)?.execute([&*to.0, &*from.0]).map(drop)
}
