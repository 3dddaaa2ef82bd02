//! Snapshots, as rows: their manifests, and their chunks.

use bytes::Bytes;
use rusqlite::{Connection, params};

use super::columns::{payload, seq_to, snapshot_id};
use crate::{
    tenant::TenantId,
    vault::{Manifest, SnapshotId},
};

pub(super) fn put_manifest(connection: &Connection, tenant: &TenantId, manifest: &Manifest) -> rusqlite::Result<()> {
    let Manifest { id, payload } = manifest;
    let put = "INSERT OR REPLACE INTO manifests (tenant, seq, attempt, payload) VALUES (?1, ?2, ?3, ?4)";
    let row = params![tenant.as_str(), seq_to(id.seq), &*id.attempt, &payload[..]];
    connection.prepare_cached(put)?.execute(row).map(drop)
}

pub(super) fn manifests(connection: &Connection, tenant: &TenantId) -> rusqlite::Result<Vec<Manifest>> {
    let query = "SELECT seq, attempt, payload FROM manifests WHERE tenant = ?1 ORDER BY seq, attempt";
    let mut statement = connection.prepare_cached(query)?;
    let rows =
        statement.query_map([tenant.as_str()], |row| Ok(Manifest { id: snapshot_id(row)?, payload: payload(row)? }))?;
    rows.collect()
}

pub(super) fn put_chunk(
    connection: &Connection,
    tenant: &TenantId,
    id: &SnapshotId,
    n: u32,
    payload: &[u8],
) -> rusqlite::Result<()> {
    let put = "INSERT OR REPLACE INTO chunks (tenant, seq, attempt, n, payload) VALUES (?1, ?2, ?3, ?4, ?5)";
    let row = params![tenant.as_str(), seq_to(id.seq), &*id.attempt, n, payload];
    connection.prepare_cached(put)?.execute(row).map(drop)
}

pub(super) fn chunks(
    connection: &Connection,
    tenant: &TenantId,
    id: &SnapshotId,
) -> rusqlite::Result<Vec<(u32, Bytes)>> {
    let query = "SELECT n, payload FROM chunks WHERE tenant = ?1 AND seq = ?2 AND attempt = ?3 ORDER BY n";
    let mut statement = connection.prepare_cached(query)?;
    let which = params![tenant.as_str(), seq_to(id.seq), &*id.attempt];
    let rows = statement.query_map(which, |row| Ok((row.get("n")?, payload(row)?)))?;
    rows.collect()
}

pub(super) fn count_chunks(connection: &Connection, tenant: &TenantId, id: &SnapshotId) -> rusqlite::Result<i64> {
    let query = "SELECT count(*) FROM chunks WHERE tenant = ?1 AND seq = ?2 AND attempt = ?3";
    let mut statement = connection.prepare_cached(query)?;
    statement.query_row(params![tenant.as_str(), seq_to(id.seq), &*id.attempt], |row| row.get(0))
}

/// Of all that has a manifest or a chunk.
pub(super) fn ids(connection: &Connection, tenant: &TenantId) -> rusqlite::Result<Vec<SnapshotId>> {
    let query = "SELECT seq, attempt FROM manifests WHERE tenant = ?1
                 UNION SELECT seq, attempt FROM chunks WHERE tenant = ?1 ORDER BY seq, attempt";
    let mut statement = connection.prepare_cached(query)?;
    let rows = statement.query_map([tenant.as_str()], snapshot_id)?;
    rows.collect()
}

/// The manifest goes first. How many rows went.
pub(super) fn remove(connection: &Connection, tenant: &TenantId, id: &SnapshotId) -> rusqlite::Result<usize> {
    let mut deleted = 0;
    for table in ["manifests", "chunks"] {
        let delete = format!("DELETE FROM {table} WHERE tenant = ?1 AND seq = ?2 AND attempt = ?3");
        let which = params![tenant.as_str(), seq_to(id.seq), &*id.attempt];
        deleted += connection.prepare_cached(&delete)?.execute(which)?;
    }
    Ok(deleted)
}
