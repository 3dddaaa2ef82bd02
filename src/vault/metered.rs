//! Measures a vault: the kind of each question, how long it took and how it ended.
//!
//! Owns nothing and changes nothing. It stands at the border, so that every home is measured alike, and whoever asks is. Documents are
//! counted by the homes themselves ([`Vault::usage`]), which know what a question costs.

use std::{collections::BTreeSet, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;
use serde_json::Value;
use tokio::sync::watch;

use super::{
    AppendError, Decision, Footing, Heading, Instance, InstanceId, JournalDocument, Manifest, RecordText, Seq,
    SnapshotId, TenantInfo, Usage, Vault, VaultError,
    access::{AccessVault, ApiKey, FullVault, KeyChange, KeyCursor, KeyHash},
};
use crate::{
    seal::Digest,
    telemetry::metrics::{
        VaultTimer,
        label::{VaultOperation as Asked, VaultOutcome},
    },
    tenant::{TenantId, TenantRecord},
};

/// A home of tenants that is measured.
#[derive(Debug)]
pub struct MeteredVault {
    home: Arc<dyn FullVault>,
    suspicions: watch::Sender<u64>,
}

impl MeteredVault {
    pub fn new(home: Arc<dyn FullVault>) -> Arc<Self> {
        Arc::new(Self { home, suspicions: watch::Sender::new(0) })
    }
}

/// How a question ended, for the counter.
trait MeteredOutcome {
    fn outcome(&self) -> VaultOutcome;
}

impl MeteredOutcome for VaultError {
    fn outcome(&self) -> VaultOutcome {
        match self {
            Self::Unavailable(_) => VaultOutcome::Unavailable,
            Self::Refused(_) => VaultOutcome::Refused,
            Self::Malformed(_) => VaultOutcome::Malformed,
        }
    }
}

impl MeteredOutcome for AppendError {
    fn outcome(&self) -> VaultOutcome {
        match self {
            Self::Exists | Self::Gap | Self::TenantGone => VaultOutcome::Conflict,
            Self::Vault(error) => error.outcome(),
        }
    }
}

async fn measured<T, E: MeteredOutcome>(asked: Asked, answer: impl Future<Output = Result<T, E>>) -> Result<T, E> {
    let timer = VaultTimer::begin(asked);
    let answer = answer.await;
    timer.end(answer.as_ref().err().map_or(VaultOutcome::Ok, MeteredOutcome::outcome));
    answer
}

/// Each method of a trait, with what it counts as.
macro_rules! metered {
    ($vault:ident { $($asked:ident: fn $method:ident($($name:ident: $type:ty),*) -> $answer:ty;)* } $($rest:tt)*) => {
        #[async_trait]
        impl $vault for MeteredVault {
            $(async fn $method(&self, $($name: $type),*) -> $answer {
                measured(Asked::$asked, self.home.$method($($name),*)).await
            })*
            $($rest)*
        }
    };
}

type TenantListing = Result<Vec<(String, Result<TenantRecord, VaultError>)>, VaultError>;

metered! {
    Vault {
        Ping: fn ping() -> Result<(), VaultError>;
        DirectoryRead: fn tenants() -> TenantListing;
        DirectoryRead: fn restorable() -> TenantListing;
        DirectoryRead: fn tenants_with(text: RecordText, prefix: &str) -> TenantListing;
        DirectoryRead: fn remembered() -> Result<Vec<String>, VaultError>;
        DirectoryRead: fn tenant(tenant: &TenantId) -> Result<Option<TenantRecord>, VaultError>;
        DirectoryWrite: fn notice(tenant: &TenantId, notice: &TenantInfo) -> Result<(), VaultError>;
        Append: fn append(
            tenant: &TenantId,
            after: Option<Digest>,
            documents: &[JournalDocument],
            decision: Option<&Decision>
        ) -> Result<(), AppendError>;
        StartOver: fn start_over(
            tenant: &TenantId,
            footing: &Footing,
            documents: &[JournalDocument],
            manifest: Option<&Manifest>,
            decision: &Decision
        ) -> Result<(), AppendError>;
        JournalRead: fn document(tenant: &TenantId, seq: Seq) -> Result<Option<JournalDocument>, VaultError>;
        JournalRead: fn documents(tenant: &TenantId, first: Seq) -> Result<Vec<JournalDocument>, VaultError>;
        JournalRead: fn takeovers(tenant: &TenantId) -> Result<Vec<(Seq, Timestamp)>, VaultError>;
        JournalRead: fn headings(tenant: &TenantId, first: Seq, limit: usize) -> Result<Vec<Heading>, VaultError>;
        JournalRead: fn entries_below(tenant: &TenantId, end: Seq) -> Result<Vec<Seq>, VaultError>;
        JournalRead: fn count_documents(tenant: &TenantId, first: Seq, last: Seq) -> Result<u64, VaultError>;
        JournalWrite: fn empty_document(tenant: &TenantId, document: &JournalDocument) -> Result<bool, VaultError>;
        JournalDelete: fn remove_documents(tenant: &TenantId, seqs: &[Seq]) -> Result<(), VaultError>;
        SnapshotRead: fn manifests(tenant: &TenantId) -> Result<Vec<Manifest>, VaultError>;
        SnapshotWrite: fn put_chunk(tenant: &TenantId, id: &SnapshotId, n: u32, payload: Bytes) -> Result<(), VaultError>;
        SnapshotWrite: fn put_manifest(
            tenant: &TenantId,
            manifest: &Manifest,
            entry: Option<Digest>
        ) -> Result<(), AppendError>;
        SnapshotRead: fn chunks(tenant: &TenantId, id: &SnapshotId) -> Result<Vec<(u32, Bytes)>, VaultError>;
        SnapshotRead: fn count_chunks(tenant: &TenantId, id: &SnapshotId) -> Result<u64, VaultError>;
        SnapshotRead: fn snapshots(tenant: &TenantId) -> Result<Vec<SnapshotId>, VaultError>;
        SnapshotDelete: fn remove_snapshot(tenant: &TenantId, id: &SnapshotId) -> Result<(), VaultError>;
        SegmentWrite: fn put_segment(tenant: &TenantId, name: &str, payload: Bytes) -> Result<(), VaultError>;
        SegmentRead: fn segment(tenant: &TenantId, name: &str) -> Result<Option<Bytes>, VaultError>;
        SegmentRead: fn segments(tenant: &TenantId) -> Result<Vec<String>, VaultError>;
        SegmentDelete: fn remove_segments(tenant: &TenantId, names: &[String]) -> Result<(), VaultError>;
        InstanceWrite: fn put_instance(instance: &Instance) -> Result<(), VaultError>;
        InstanceRead: fn instances() -> Result<Vec<Instance>, VaultError>;
        InstanceWrite: fn remove_instance(id: &InstanceId) -> Result<(), VaultError>;
        LetterWrite: fn put_letter(from: &InstanceId, to: &InstanceId, body: Bytes) -> Result<(), VaultError>;
        LetterRead: fn letters(to: &InstanceId) -> Result<Vec<(InstanceId, Bytes)>, VaultError>;
        LetterDelete: fn remove_letter(from: &InstanceId, to: &InstanceId) -> Result<(), VaultError>;
        CheckValue: fn check_value() -> Result<Option<Bytes>, VaultError>;
        CheckValue: fn create_check_value(value: Bytes) -> Result<bool, VaultError>;
        CheckValue: fn replace_check_value(old: Bytes, new: Bytes) -> Result<bool, VaultError>;
        DirectoryWrite: fn put_order_document(
            tenant: &TenantId,
            id: &str,
            revision: u64,
            order: &Value
        ) -> Result<(), VaultError>;
    }

    fn has_order_documents(&self) -> bool {
        self.home.has_order_documents()
    }

    fn usage(&self) -> Usage {
        self.home.usage()
    }

    // It has a default, which would hear nothing.
    fn doubts(&self) -> watch::Receiver<u64> {
        self.home.doubts()
    }

    // The same.
    fn renewals(&self) -> u64 {
        self.home.renewals()
    }

    fn suspect(&self) {
        self.suspicions.send_modify(|count| *count += 1);
    }

    fn suspicions(&self) -> watch::Receiver<u64> {
        self.suspicions.subscribe()
    }
}

metered! {
    AccessVault {
        AccessRead: fn key_changes(since: Option<KeyCursor>) -> Result<(Vec<KeyChange>, KeyCursor), VaultError>;
        AccessRead: fn key(hash: &KeyHash) -> Result<Option<ApiKey>, VaultError>;
        AccessWrite: fn create_key(key: &ApiKey) -> Result<(), VaultError>;
        AccessWrite: fn change_key(key: &ApiKey) -> Result<bool, VaultError>;
        AccessWrite: fn revoke_key(hash: &KeyHash, successor: Option<&ApiKey>) -> Result<bool, VaultError>;
        AccessWrite: fn key_used(hash: &KeyHash, at: Timestamp) -> Result<(), VaultError>;
        AccessWrite: fn forget_revoked(before: Timestamp) -> Result<(), VaultError>;
        AccessRead: fn memberships(uid: &str) -> Result<BTreeSet<TenantId>, VaultError>;
    }
}
