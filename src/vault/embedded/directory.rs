//! The tenants' records as rows.

use rusqlite::{Connection, Row, ToSql, params, types::Type};

use super::columns::{malformed, micros, optional_time};
use crate::{
    tenant::{TenantId, TenantRecord},
    vault::{Decision, VaultError},
};

pub(super) fn decide(connection: &Connection, tenant: &TenantId, decision: &Decision) -> rusqlite::Result<()> {
    let Decision { whatsapp_connected, phone_number, connected_at } = decision;
    set(connection, tenant, "whatsapp_connected", *whatsapp_connected)?;
    set(connection, tenant, "phone_number", phone_number.clone())?;
    set(connection, tenant, "connected_at", connected_at.map(|at| at.map(micros)))
}

pub(super) fn make_record(connection: &Connection, tenant: &TenantId) -> rusqlite::Result<()> {
    let make = "INSERT INTO tenants (id, whatsapp_connected) VALUES (?1, 0) ON CONFLICT DO NOTHING";
    connection.prepare_cached(make)?.execute([tenant.as_str()]).map(drop)
}

/// Sets one field of a record; `None` leaves it as it is.
pub(super) fn set(
    connection: &Connection,
    tenant: &TenantId,
    column: &str,
    value: Option<impl ToSql>,
) -> rusqlite::Result<()> {
    let Some(value) = value else { return Ok(()) };
    let update = format!("UPDATE tenants SET {column} = ?2 WHERE id = ?1");
    connection.prepare_cached(&update)?.execute(params![tenant.as_str(), value]).map(drop)
}

/// An error names the tenant: it stands alone in a list.
pub(super) fn tenant_record(id: &str, row: &Row<'_>) -> Result<TenantRecord, VaultError> {
    let record = || -> rusqlite::Result<TenantRecord> {
        Ok(TenantRecord {
            id: id.parse().map_err(|error| malformed(row, "id", Type::Text, error))?,
            // The rest only informs. What another hand has spoilt there is as if it were not there: the journal knows better.
            name: row.get("name").unwrap_or_default(),
            whatsapp_connected: row.get("whatsapp_connected")?,
            phone_number: row.get("phone_number").unwrap_or_default(),
            connected_at: optional_time(row, "connected_at").unwrap_or_default(),
            status: row.get("status").unwrap_or_default(),
            last_error: row.get("last_error").unwrap_or_default(),
            last_error_at: optional_time(row, "last_error_at").unwrap_or_default(),
            deleted_at: optional_time(row, "deleted_at").unwrap_or_default(),
            config: row
                .get::<_, Option<String>>("config")
                .ok()
                .flatten()
                .and_then(|text| serde_json::from_str(&text).ok())
                .unwrap_or_default(),
        })
    };
    record().map_err(|error| VaultError::Malformed(format!("the record of tenant {id:?}: {error}")))
}
