//! The paths of documents below the database: where a tenant, its journal, snapshots and segments, and the instances are. Pure.

use crate::{
    tenant::TenantId,
    vault::{InstanceId, Seq, SnapshotId},
};

pub(super) fn tenant_path(tenant: &TenantId) -> String {
    format!("tenants/{tenant}")
}

pub(super) fn journal_path(tenant: &TenantId, seq: Seq) -> String {
    format!("tenants/{tenant}/journal/{seq}")
}

pub(super) fn snapshot_path(tenant: &TenantId, SnapshotId { seq, attempt }: &SnapshotId) -> String {
    format!("tenants/{tenant}/snapshots/{seq}-{attempt}")
}

pub(super) fn segment_path(tenant: &TenantId, name: &str) -> String {
    format!("tenants/{tenant}/segments/{name}")
}

pub(super) fn instance_path(InstanceId(id): &InstanceId) -> String {
    format!("instances/{id}")
}

pub(super) fn letter_path(from: &InstanceId, to: &InstanceId) -> String {
    format!("instances/{}/letters/{}", to.0, from.0)
}
