//! The table of API keys.

use std::collections::BTreeSet;

use async_trait::async_trait;
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, Row, params, types::Type};

use super::{
    Embedded,
    columns::{malformed, micros, optional_time, time},
};
use crate::{
    tenant::TenantId,
    vault::{
        VaultError,
        access::{AccessVault, ApiKey, KeyChange, KeyCursor, KeyHash, METRICS, Rights, Scope},
        limits,
    },
};

/// The number of the next change. Forgetting leaves the last row, so that no number comes twice.
const NEXT: &str = "(SELECT coalesce(max(change), 0) + 1 FROM api_keys)";

#[async_trait]
impl AccessVault for Embedded {
    async fn key_changes(&self, since: Option<KeyCursor>) -> Result<(Vec<KeyChange>, KeyCursor), VaultError> {
        let KeyCursor(since) = since.unwrap_or(KeyCursor(0));
        let (changes, cursor) = self
            .read(move |connection| {
                let mut statement =
                    connection.prepare_cached("SELECT * FROM api_keys WHERE change > ?1 ORDER BY change")?;
                let rows = statement.query_map([since], |row| Ok((change(row)?, row.get("change")?)))?;
                let rows = rows.collect::<rusqlite::Result<Vec<(KeyChange, i64)>>>()?;
                let cursor = rows.last().map_or(since, |(_, number)| *number);
                Ok((rows.into_iter().map(|(change, _)| change).collect::<Vec<_>>(), KeyCursor(cursor)))
            })
            .await?;
        self.counters.read(changes.len());
        Ok((changes, cursor))
    }

    async fn key(&self, hash: &KeyHash) -> Result<Option<ApiKey>, VaultError> {
        let hash = hash.to_string();
        let found = self
            .read(move |connection| {
                let query = "SELECT * FROM api_keys WHERE hash = ?1 AND revoked_at IS NULL";
                connection.prepare_cached(query)?.query_row([hash], key).optional()
            })
            .await?;
        self.counters.read(1);
        Ok(found)
    }

    async fn create_key(&self, key: &ApiKey) -> Result<(), VaultError> {
        limits::api_key(key)?;
        let key = key.clone();
        let created = self.write(0, move |connection| insert(connection, &key)).await?;
        self.counters.wrote(created);
        if created == 0 { Err(VaultError::Refused("there is a key of this hash".into())) } else { Ok(()) }
    }

    async fn change_key(&self, key: &ApiKey) -> Result<bool, VaultError> {
        limits::api_key(key)?;
        let key = key.clone();
        let changed = self
            .write(0, move |connection| {
                let (tenant, scopes) = rights_columns(&key.rights);
                let update = format!(
                    "UPDATE api_keys SET tenant = ?2, scopes = ?3, active = ?4, change = {NEXT}
                     WHERE hash = ?1 AND revoked_at IS NULL"
                );
                let row = params![key.hash.to_string(), tenant, scopes, key.active];
                connection.prepare_cached(&update)?.execute(row)
            })
            .await?;
        self.counters.wrote(changed);
        Ok(changed == 1)
    }

    async fn revoke_key(&self, hash: &KeyHash, successor: Option<&ApiKey>) -> Result<bool, VaultError> {
        successor.map_or(Ok(()), limits::api_key)?;
        let (hash, successor) = (hash.to_string(), successor.cloned());
        let written = self
            .write(0, move |connection| {
                let update = format!(
                    "UPDATE api_keys SET revoked_at = ?2, change = {NEXT} WHERE hash = ?1 AND revoked_at IS NULL"
                );
                #[expect(clippy::disallowed_methods, reason = "the vault's time, as Firestore's server has its own")]
                let now = micros(Timestamp::now());
                let revoked = connection.prepare_cached(&update)?.execute(params![hash, now])?;
                match successor {
                    Some(successor) if revoked == 1 => Ok(1 + insert(connection, &successor)?),
                    _ => Ok(revoked),
                }
            })
            .await?;
        self.counters.wrote(written);
        Ok(written > 0)
    }

    async fn key_used(&self, hash: &KeyHash, at: Timestamp) -> Result<(), VaultError> {
        let hash = hash.to_string();
        self.write(1, move |connection| {
            let update = "UPDATE api_keys SET last_used_at = max(coalesce(last_used_at, ?2), ?2)
                          WHERE hash = ?1 AND revoked_at IS NULL";
            connection.prepare_cached(update)?.execute(params![hash, micros(at)]).map(drop)
        })
        .await
    }

    async fn forget_revoked(&self, before: Timestamp) -> Result<(), VaultError> {
        let forgotten = self
            .write(0, move |connection| {
                let delete =
                    "DELETE FROM api_keys WHERE revoked_at < ?1 AND change < (SELECT max(change) FROM api_keys)";
                connection.prepare_cached(delete)?.execute([micros(before)])
            })
            .await?;
        self.counters.deleted(forgotten);
        Ok(())
    }

    async fn memberships(&self, _: &str) -> Result<BTreeSet<TenantId>, VaultError> {
        Ok(BTreeSet::new())
    }
}

fn insert(connection: &Connection, key: &ApiKey) -> rusqlite::Result<usize> {
    let (tenant, scopes) = rights_columns(&key.rights);
    let insert = format!(
        "INSERT INTO api_keys (hash, id, tenant, scopes, active, created_at, last_used_at, change)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, {NEXT}) ON CONFLICT DO NOTHING"
    );
    let ApiKey { hash, id, rights: _, active, created_at, last_used_at } = key;
    let row = params![hash.to_string(), &**id, tenant, scopes, active, micros(*created_at), last_used_at.map(micros)];
    connection.prepare_cached(&insert)?.execute(row)
}

/// An admin's key has no tenant.
fn rights_columns(rights: &Rights) -> (Option<&str>, String) {
    match rights {
        Rights::Admin => (None, String::new()),
        Rights::Tenant { tenant, scopes } => {
            let scopes: Vec<_> = scopes.iter().map(|scope| scope.as_str()).collect();
            (Some(tenant.as_str()), scopes.join(","))
        }
        Rights::Metrics => (Some(METRICS.0), METRICS.1.to_owned()),
    }
}

fn change(row: &Row<'_>) -> rusqlite::Result<KeyChange> {
    let hash = hash(row)?;
    let revoked = row.get_ref("revoked_at")? != rusqlite::types::ValueRef::Null;
    let key = if revoked { Ok(None) } else { key(row).map(Some).map_err(super::writer::vault_error) };
    Ok(KeyChange { hash, key })
}

fn key(row: &Row<'_>) -> rusqlite::Result<ApiKey> {
    Ok(ApiKey {
        hash: hash(row)?,
        id: row.get("id")?,
        rights: rights(row)?,
        active: row.get("active")?,
        created_at: time(row, "created_at")?,
        last_used_at: optional_time(row, "last_used_at")?,
    })
}

fn rights(row: &Row<'_>) -> rusqlite::Result<Rights> {
    let Some(tenant) = row.get::<_, Option<String>>("tenant")? else { return Ok(Rights::Admin) };
    let scopes: String = row.get("scopes")?;
    if (&*tenant, &*scopes) == METRICS {
        return Ok(Rights::Metrics);
    }
    let tenant = tenant.parse().map_err(|error| malformed(row, "tenant", Type::Text, error))?;
    let unknown = || malformed(row, "scopes", Type::Text, format!("{scopes:?} are no scopes"));
    let names = scopes.split(',').filter(|name| !name.is_empty());
    let scopes = names.map(Scope::parse).collect::<Option<_>>().ok_or_else(unknown)?;
    Ok(Rights::Tenant { tenant, scopes })
}

fn hash(row: &Row<'_>) -> rusqlite::Result<KeyHash> {
    let hash: String = row.get("hash")?;
    KeyHash::parse(&hash).ok_or_else(|| malformed(row, "hash", Type::Text, format!("{hash:?} is no hash")))
}
