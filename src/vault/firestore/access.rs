//! API keys: the collection `apiKeys`, and `revokedApiKeys` with a document for each that was revoked lately.
//!
//! A revoked key is deleted, and changes require that their document exists: so nothing brings it back. The time of a
//! change is the server's, and a reader goes on from the server's time of its last reading: no clock of a process
//! matters.

use std::collections::BTreeSet;

use async_trait::async_trait;
use firestore::gcloud_sdk::google::firestore::v1::{
    StructuredQuery, Value, Write,
    document_transform::{
        FieldTransform,
        field_transform::{ServerValue, TransformType},
    },
    structured_query::{FieldFilter, Filter, Order, field_filter::Operator, filter::FilterType},
};
use jiff::Timestamp;
use serde_json::json;

use super::{
    Firestore,
    document::{self, Fields, FirestoreReader, as_boolean, as_text, as_time, given, text, time, to_json},
    statements::{by_id, field, only, require},
};
use crate::{
    tenant::TenantId,
    vault::{
        VaultError,
        access::{AccessVault, ApiKey, KeyChange, KeyCursor, KeyHash, METRICS, Rights, Scope},
        limits,
    },
};

const CHANGED: &str = "changedAt";
/// A change's time is taken when the server gets to it, a moment before it can be read.
const OVERLAP_MICROS: i64 = 10_000_000;

#[async_trait]
impl AccessVault for Firestore {
    async fn key_changes(&self, since: Option<KeyCursor>) -> Result<(Vec<KeyChange>, KeyCursor), VaultError> {
        let query = |collection| match since {
            None => by_id(collection),
            Some(KeyCursor(since)) => {
                let since = Timestamp::from_microsecond(since).unwrap_or(Timestamp::MIN);
                since_then(collection, Operator::GreaterThanOrEqual, since)
            }
        };
        // The keys first: one that is revoked in between is then found among the revoked, which have the last word.
        let (keys, as_of) = self.wire.query_as_of("", query("apiKeys")).await?;
        self.counters.read(keys.len());
        let (revoked, _) = self.wire.query_as_of("", query("revokedApiKeys")).await?;
        self.counters.read(revoked.len());
        let of = |document: &FirestoreReader| KeyHash::parse(document.id());
        let mut changes = Vec::new();
        for document in keys.into_iter().map(FirestoreReader::new) {
            // A document of another name opens nothing: no key has it as its hash.
            let Some(hash) = of(&document) else { continue };
            changes.push(KeyChange { hash, key: document.api_key(hash).map(Some) });
        }
        let revoked = revoked.into_iter().map(FirestoreReader::new).filter_map(|document| of(&document));
        changes.extend(revoked.map(|hash| KeyChange { hash, key: Ok(None) }));
        let as_of = as_of.ok_or_else(|| VaultError::Malformed("an answer without its time".into()))?;
        Ok((changes, KeyCursor(as_of.as_microsecond() - OVERLAP_MICROS)))
    }

    async fn key(&self, hash: &KeyHash) -> Result<Option<ApiKey>, VaultError> {
        self.get(&path(hash)).await?.map(|document| document.api_key(*hash)).transpose()
    }

    async fn create_key(&self, key: &ApiKey) -> Result<(), VaultError> {
        limits::api_key(key)?;
        Ok(self.commit(vec![self.creation(key)]).await?)
    }

    async fn change_key(&self, key: &ApiKey) -> Result<bool, VaultError> {
        limits::api_key(key)?;
        let update = stamped(self.update(&path(&key.hash), rights_fields(key)));
        found(self.commit(vec![update]).await)
    }

    async fn revoke_key(&self, hash: &KeyHash, successor: Option<&ApiKey>) -> Result<bool, VaultError> {
        successor.map_or(Ok(()), limits::api_key)?;
        let mut writes = vec![
            require(self.deletion(&path(hash)), true),
            stamped(self.write(&format!("revokedApiKeys/{hash}"), Fields::new())),
        ];
        writes.extend(successor.map(|key| self.creation(key)));
        found(self.commit(writes).await)
    }

    async fn key_used(&self, hash: &KeyHash, at: Timestamp) -> Result<(), VaultError> {
        let update = self.update(&path(hash), document::fields([("lastUsedAt", time(at))]));
        found(self.commit(vec![update]).await).map(drop)
    }

    async fn forget_revoked(&self, before: Timestamp) -> Result<(), VaultError> {
        let old = since_then("revokedApiKeys", Operator::LessThan, before);
        let names =
            self.query("", StructuredQuery { select: only(&["__name__"]), ..old }, FirestoreReader::into_name).await?;
        self.delete(names).await
    }

    async fn memberships(&self, uid: &str) -> Result<BTreeSet<TenantId>, VaultError> {
        let member = filtered("members", Operator::ArrayContains, text(uid));
        let query = StructuredQuery { r#where: Some(member), select: only(&["__name__"]), ..by_id("tenants") };
        // An id that is no tenant's cannot be asked for either.
        let tenants = self.query("", query, |document| document.id().parse().ok()).await?;
        Ok(tenants.into_iter().flatten().collect())
    }
}

impl Firestore {
    fn creation(&self, key: &ApiKey) -> Write {
        let mut fields = rights_fields(key);
        fields.extend(given([
            ("keyId", Some(text(&*key.id))),
            ("createdAt", Some(time(key.created_at))),
            ("lastUsedAt", key.last_used_at.map(time)),
        ]));
        stamped(self.create(&path(&key.hash), fields))
    }
}

impl FirestoreReader {
    fn api_key(mut self, hash: KeyHash) -> Result<ApiKey, VaultError> {
        let rights = match self.required("admin", as_boolean)? {
            true => Rights::Admin,
            false => {
                let tenant = self.required("tenantId", as_text)?;
                let names = |value| serde_json::from_value::<Vec<String>>(to_json(value)?).ok();
                let names = self.required("scopes", names)?;
                if (&*tenant, &*names.join(",")) == METRICS {
                    Rights::Metrics
                } else {
                    let scopes = names.iter().map(|name| Scope::parse(name)).collect::<Option<_>>();
                    let scopes = scopes.ok_or_else(|| self.malformed("scopes"))?;
                    Rights::Tenant { tenant: tenant.parse().map_err(|_| self.malformed("tenantId"))?, scopes }
                }
            }
        };
        Ok(ApiKey {
            hash,
            id: self.required("keyId", as_text)?.into(),
            rights,
            active: self.required("active", as_boolean)?,
            created_at: self.time("createdAt")?,
            last_used_at: self.optional("lastUsedAt", as_time)?,
        })
    }
}

fn rights_fields(key: &ApiKey) -> Fields {
    let (admin, tenant, scopes) = match &key.rights {
        Rights::Admin => (true, None, Vec::new()),
        Rights::Tenant { tenant, scopes } => {
            (false, Some(tenant.as_str()), scopes.iter().map(|scope| scope.as_str()).collect())
        }
        Rights::Metrics => (false, Some(METRICS.0), vec![METRICS.1]),
    };
    document::fields([
        ("admin", document::boolean(admin)),
        ("tenantId", document::from_json(&json!(tenant))),
        ("scopes", document::from_json(&json!(scopes))),
        ("active", document::boolean(key.active)),
    ])
}

fn path(hash: &KeyHash) -> String {
    format!("apiKeys/{hash}")
}

/// The server writes its time into it.
fn stamped(write: Write) -> Write {
    let time = Some(TransformType::SetToServerValue(ServerValue::RequestTime.into()));
    let transform = FieldTransform { field_path: CHANGED.into(), transform_type: time };
    // Without a mask an update replaces the whole document: also right for one without any other field.
    Write { update_transforms: vec![transform], ..write }
}

fn since_then(collection: &str, op: Operator, at: Timestamp) -> StructuredQuery {
    // An inequality wants its field first in the order.
    let order = Order { field: Some(field(CHANGED)), ..Order::default() };
    StructuredQuery { r#where: Some(filtered(CHANGED, op, time(at))), order_by: vec![order], ..by_id(collection) }
}

fn filtered(name: &str, op: Operator, value: Value) -> Filter {
    let filter = FieldFilter { field: Some(field(name)), op: op.into(), value: Some(value) };
    Filter { filter_type: Some(FilterType::FieldFilter(filter)) }
}

fn found(done: Result<(), super::RpcFailure>) -> Result<bool, VaultError> {
    match done {
        Ok(()) => Ok(true),
        Err(failure) if failure.missing() => Ok(false),
        Err(failure) => Err(failure.into()),
    }
}
