//! Segments of event logs, as rows.

use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension, params};

use super::columns::payload;
use crate::tenant::TenantId;

pub(super) fn put(connection: &Connection, tenant: &TenantId, name: &str, payload: &[u8]) -> rusqlite::Result<()> {
    let put = "INSERT OR REPLACE INTO segments (tenant, name, payload) VALUES (?1, ?2, ?3)";
    connection.prepare_cached(put)?.execute(params![tenant.as_str(), name, payload]).map(drop)
}

pub(super) fn find(connection: &Connection, tenant: &TenantId, name: &str) -> rusqlite::Result<Option<Bytes>> {
    let query = "SELECT payload FROM segments WHERE tenant = ?1 AND name = ?2";
    connection.prepare_cached(query)?.query_row([tenant.as_str(), name], payload).optional()
}

pub(super) fn names(connection: &Connection, tenant: &TenantId) -> rusqlite::Result<Vec<String>> {
    let mut statement = connection.prepare_cached("SELECT name FROM segments WHERE tenant = ?1 ORDER BY name")?;
    let rows = statement.query_map([tenant.as_str()], |row| row.get("name"))?;
    rows.collect()
}

pub(super) fn remove(connection: &Connection, tenant: &TenantId, names: &[String]) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached("DELETE FROM segments WHERE tenant = ?1 AND name = ?2")?;
    names.iter().try_for_each(|name| statement.execute([tenant.as_str(), name]).map(drop))
}
