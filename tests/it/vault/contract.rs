//! The promises of every home of the vault, as lists of tests that run on each: a list a file, on what stands here.

mod appends;
mod documents;
mod instances;
mod records;
mod snapshots;

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use jiff::{Timestamp, ToSpan};
use serde_json::json;
use sessiond::{
    tenant::{TenantId, TenantRecord},
    vault::{
        AppendError, Decision, DocumentKind, Footing, Instance, InstanceId, JournalDocument, Seq, SnapshotId, Vault,
        VaultError,
        access::{self, KeyHash},
        embedded::Embedded,
        firestore::Firestore,
    },
};

use crate::support::emulator;

/// A vault under test, and what is done to it behind its back.
#[async_trait]
pub trait ContractVault: Sync {
    fn vault(&self) -> Arc<dyn access::FullVault>;
    /// The same vault, as another process has it.
    async fn other(&self) -> Arc<dyn access::FullVault>;
    fn remove_record(&self, tenant: &TenantId);
    /// Makes records that no `TenantRecord` can hold: `bad` (connected, with an impossible phone number) and the reserved id
    /// `sessions` (connected).
    fn spoil_records(&self);
    /// Makes journal document 2 of a tenant one that does not parse.
    fn spoil_document(&self, tenant: &TenantId);
    /// Makes a key's record one that does not parse.
    fn spoil_key(&self, hash: &KeyHash);
    /// Writes `members` into a tenant's record. False: this home has none.
    fn set_members(&self, tenant: &str, uids: &[&str]) -> bool;
}

pub struct OnDisk {
    folder: tempfile::TempDir,
    vault: Arc<Embedded>,
}

impl OnDisk {
    pub async fn new() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let vault = Arc::new(Embedded::open(&folder.path().join("vault.db")).unwrap());
        Some(Self { folder, vault })
    }

    fn sql(&self, sql: &str) {
        let connection = rusqlite::Connection::open(self.folder.path().join("vault.db")).unwrap();
        connection.busy_timeout(std::time::Duration::from_secs(5)).unwrap();
        connection.execute_batch(sql).unwrap();
    }
}

#[async_trait]
impl ContractVault for OnDisk {
    fn vault(&self) -> Arc<dyn access::FullVault> {
        self.vault.clone()
    }

    async fn other(&self) -> Arc<dyn access::FullVault> {
        Arc::new(Embedded::open(&self.folder.path().join("vault.db")).unwrap())
    }

    fn remove_record(&self, tenant: &TenantId) {
        self.sql(&format!("DELETE FROM tenants WHERE id = '{tenant}'"));
    }

    fn spoil_records(&self) {
        self.sql(
            "INSERT INTO tenants (id, whatsapp_connected, phone_number) VALUES ('bad', 1, x'00');
             INSERT INTO tenants (id, whatsapp_connected) VALUES ('sessions', 1);",
        );
    }

    fn spoil_document(&self, tenant: &TenantId) {
        self.sql(&format!("UPDATE journal SET kind = 'poem' WHERE tenant = '{tenant}' AND seq = 2"));
    }

    fn spoil_key(&self, hash: &KeyHash) {
        self.sql(&format!("UPDATE api_keys SET scopes = 'everything', change = 1000 WHERE hash = '{hash}'"));
    }

    fn set_members(&self, _: &str, _: &[&str]) -> bool {
        false
    }
}

pub struct OnFirestore {
    project: String,
    vault: Arc<Firestore>,
}

impl OnFirestore {
    pub async fn new() -> Option<Self> {
        let project = emulator::project();
        let vault = Arc::new(emulator::vault(&project).await?);
        Some(Self { project, vault })
    }
}

#[async_trait]
impl ContractVault for OnFirestore {
    fn vault(&self) -> Arc<dyn access::FullVault> {
        self.vault.clone()
    }

    async fn other(&self) -> Arc<dyn access::FullVault> {
        Arc::new(emulator::vault(&self.project).await.unwrap())
    }

    fn remove_record(&self, tenant: &TenantId) {
        emulator::delete(&self.project, &format!("tenants/{tenant}"));
    }

    fn spoil_records(&self) {
        let phone = json!({ "mapValue": { "fields": { "country": { "integerValue": "57" } } } });
        let connected = json!({ "booleanValue": true });
        emulator::put(&self.project, "tenants/bad", json!({ "whatsappConnected": connected, "phoneNumber": phone }));
        emulator::put(&self.project, "tenants/sessions", json!({ "whatsappConnected": connected }));
    }

    fn spoil_document(&self, tenant: &TenantId) {
        let path = format!("tenants/{tenant}/journal/{}", Seq(2));
        emulator::put(&self.project, &path, json!({ "kind": { "stringValue": "poem" } }));
    }

    fn spoil_key(&self, hash: &KeyHash) {
        let later = json!({ "timestampValue": (Timestamp::now() + 1.hour()).to_string() });
        let scopes = json!({ "stringValue": "everything" });
        let fields = json!({ "changedAt": later, "scopes": scopes, "admin": { "booleanValue": false } });
        emulator::put(&self.project, &format!("apiKeys/{hash}"), fields);
    }

    fn set_members(&self, tenant: &str, uids: &[&str]) -> bool {
        let values: Vec<_> = uids.iter().map(|uid| json!({ "stringValue": uid })).collect();
        let members = json!({ "arrayValue": { "values": values } });
        emulator::put(&self.project, &format!("tenants/{tenant}"), json!({ "members": members }));
        true
    }
}

macro_rules! contract {
    ($($name:ident)*) => {
        mod embedded {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name(&$crate::vault::contract::OnDisk::new().await.unwrap()).await;
            })*
        }

        mod firestore {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                if let Some(home) = $crate::vault::contract::OnFirestore::new().await {
                    super::$name(&home).await;
                }
            })*
        }
    };
}

pub(crate) use contract;

fn tenant(id: &str) -> TenantId {
    id.parse().unwrap()
}

fn at(seconds: i64) -> Timestamp {
    // To the microsecond.
    "2026-11-24T10:00:00.123456Z".parse::<Timestamp>().unwrap() + seconds.seconds()
}

fn document(seq: u64, payload: impl Into<Bytes>) -> JournalDocument {
    let (kind, writer) = (DocumentKind::Last, InstanceId("instance-1".into()));
    JournalDocument { seq: Seq(seq), kind, writer, at: at(seq as i64 % 100_000), payload: payload.into() }
}

fn takeover(seq: u64) -> JournalDocument {
    JournalDocument { kind: DocumentKind::Takeover, ..document(seq, "takeover") }
}

/// Bytes that no compression on the way makes smaller.
fn noise(length: usize) -> Bytes {
    let mut bytes = vec![0; length];
    rand::RngCore::fill_bytes(&mut rand::rng(), &mut bytes);
    bytes.into()
}

fn snapshot(seq: u64, attempt: &str) -> SnapshotId {
    SnapshotId { seq: Seq(seq), attempt: attempt.into() }
}

fn is_refused<T: std::fmt::Debug>(result: Result<T, impl Into<AppendError>>) -> String {
    match result.map_err(Into::into) {
        Err(AppendError::Vault(VaultError::Refused(reason))) => reason,
        other => panic!("should have been refused: {other:?}"),
    }
}

async fn record(vault: &dyn Vault, id: &TenantId) -> TenantRecord {
    vault.tenant(id).await.unwrap().expect("there is a record")
}

async fn seqs(vault: &dyn Vault, id: &TenantId, first: u64) -> Vec<u64> {
    vault.documents(id, Seq(first)).await.unwrap().iter().map(|document| document.seq.0).collect()
}

/// Documents with whatever stands before them.
async fn scatter(vault: &dyn Vault, id: &TenantId, documents: &[JournalDocument]) {
    vault.start_over(id, &Footing::Nothing, documents, None, &Decision::default()).await.unwrap();
}

fn instance(id: &str) -> Instance {
    Instance {
        id: InstanceId(id.into()),
        address: None,
        listens_at: None,
        process: None,
        version: "0.1.0".into(),
        started_at: at(0),
        heartbeat_at: at(1),
        draining: false,
    }
}
