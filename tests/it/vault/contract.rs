//! What every home of the vault promises, as one list of tests that runs on each.

use std::{collections::BTreeSet, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use jiff::{Timestamp, ToSpan};
use serde_json::json;
use sessiond::{
    tenant::{TenantId, TenantRecord},
    vault::{
        AppendError, Decision, DocumentKind, Footing, Instance, InstanceId, JournalDocument, MAX_APPEND, MAX_PAYLOAD,
        Manifest, RecordText, Seq, SnapshotId, TenantInfo, Vault, VaultError,
        access::{self, KeyHash},
        embedded::Embedded,
        firestore::Firestore,
    },
};
use tokio::task::JoinSet;

use crate::support::emulator;

/// A vault under test, and what is done to it behind its back.
#[async_trait]
pub trait Home: Sync {
    fn vault(&self) -> Arc<dyn access::Home>;
    /// The same vault, as another process has it.
    async fn other(&self) -> Arc<dyn access::Home>;
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
impl Home for OnDisk {
    fn vault(&self) -> Arc<dyn access::Home> {
        self.vault.clone()
    }

    async fn other(&self) -> Arc<dyn access::Home> {
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
impl Home for OnFirestore {
    fn vault(&self) -> Arc<dyn access::Home> {
        self.vault.clone()
    }

    async fn other(&self) -> Arc<dyn access::Home> {
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

contract! {
    an_append_lands_whole_or_not_at_all
    an_append_needs_the_document_before_it
    a_journal_starts_over_in_one_commit
    an_append_needs_the_very_document_that_is_meant
    what_starts_over_or_is_a_snapshot_needs_its_footing
    headings_come_in_order_and_no_further_than_asked
    an_append_without_a_decision_needs_no_record
    a_decision_needs_the_record
    a_decision_changes_what_it_names
    documents_come_back_as_they_were_and_in_order
    reading_seeks_past_what_was_deleted
    of_two_appenders_of_a_number_one_wins
    another_process_sees_and_is_seen
    takeovers_and_entries_are_told_apart
    removing_twice_is_removing
    a_document_is_emptied_as_it_is_and_keeps_its_number
    tenants_do_not_see_each_other
    the_largest_documents_fit_and_larger_ones_are_refused
    impossible_numbers_and_names_are_refused
    a_snapshot_is_what_its_manifest_says
    a_late_chunk_of_another_attempt_stays_apart
    a_large_snapshot_comes_back
    segments_come_back_and_go
    a_notice_touches_nothing_decisive
    records_are_found_by_what_their_texts_begin_with
    a_notice_refuses_what_firestore_could_not_hold
    a_tenant_without_a_record_is_remembered_by_its_journal
    a_record_that_does_not_parse_is_an_error_of_its_own
    a_document_that_does_not_parse_is_an_error_of_its_tenant
    instances_come_and_go
    letters_come_and_go
    the_check_value_is_made_once
    usage_counts_documents
}

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

async fn an_append_lands_whole_or_not_at_all(home: &dyn Home) {
    let (vault, id) = (home.vault(), tenant("a"));
    vault.notice(&id, &TenantInfo::default()).await.unwrap();
    scatter(&*vault, &id, &[document(2, "there")]).await;
    let decision = Decision { whatsapp_connected: Some(true), ..Decision::default() };
    let documents = [document(1, "x"), document(2, "y"), document(3, "z")];
    let result = vault.append(&id, None, &documents, Some(&decision)).await;
    assert!(matches!(result, Err(AppendError::Exists)), "{result:?}");
    assert_eq!(vault.documents(&id, Seq(1)).await.unwrap(), [document(2, "there")]);
    assert!(!record(&*vault, &id).await.whatsapp_connected);

    let documents = [document(3, "x"), document(4, "y"), document(5, "z")];
    vault.append(&id, None, &documents, Some(&decision)).await.unwrap();
    assert_eq!(vault.documents(&id, Seq(3)).await.unwrap(), documents);
    assert!(record(&*vault, &id).await.whatsapp_connected);
}

/// Documents with whatever stands before them.
async fn scatter(vault: &dyn Vault, id: &TenantId, documents: &[JournalDocument]) {
    vault.start_over(id, &Footing::Nothing, documents, None, &Decision::default()).await.unwrap();
}

async fn an_append_needs_the_document_before_it(home: &dyn Home) {
    let (vault, id) = (home.vault(), tenant("a"));
    vault.notice(&id, &TenantInfo::default()).await.unwrap();
    let decision = Decision { whatsapp_connected: Some(true), ..Decision::default() };
    let is_gap = async |documents: &[JournalDocument], decision| {
        let result = vault.append(&id, None, documents, decision).await;
        assert!(matches!(result, Err(AppendError::Gap)), "{result:?}");
    };
    is_gap(&[document(2, "x")], None).await;
    is_gap(&[document(7, "x"), document(8, "x")], Some(&decision)).await;
    vault.append(&id, None, &[document(1, "x"), document(2, "x")], None).await.unwrap();
    is_gap(&[document(4, "x")], None).await;
    vault.append(&id, None, &[document(3, "x")], None).await.unwrap();
    vault.remove_documents(&id, &[Seq(3)]).await.unwrap();
    is_gap(&[document(4, "x")], Some(&decision)).await;
    // Another tenant's does not count.
    vault.append(&tenant("b"), None, &[document(1, "x"), document(2, "x"), document(3, "x")], None).await.unwrap();
    is_gap(&[document(4, "x")], None).await;
    assert_eq!(seqs(&*vault, &id, 1).await, [1, 2]);
    assert!(!record(&*vault, &id).await.whatsapp_connected);
    // Only the one before.
    vault.remove_documents(&id, &[Seq(1)]).await.unwrap();
    vault.append(&id, None, &[document(3, "x")], Some(&decision)).await.unwrap();
    // The record is missing, nothing else.
    home.remove_record(&id);
    let gone = vault.append(&id, None, &[document(4, "x")], Some(&decision)).await;
    assert!(matches!(gone, Err(AppendError::TenantGone)), "{gone:?}");
    assert_eq!(seqs(&*vault, &id, 1).await, [2, 3]);
}

async fn a_journal_starts_over_in_one_commit(home: &dyn Home) {
    let (vault, id) = (home.vault(), tenant("a"));
    let decision =
        Decision { whatsapp_connected: Some(true), phone_number: Some(Some("57".into())), ..Decision::default() };
    let manifest = Manifest { id: snapshot(9, "a"), payload: "m".into() };
    vault.start_over(&id, &Footing::Nothing, &[takeover(9), takeover(2)], Some(&manifest), &decision).await.unwrap();
    assert_eq!(vault.documents(&id, Seq(1)).await.unwrap(), [takeover(2), takeover(9)]);
    assert_eq!(vault.manifests(&id).await.unwrap(), std::slice::from_ref(&manifest));
    let made = record(&*vault, &id).await;
    assert_eq!((made.whatsapp_connected, made.phone_number), (true, Some("57".into())));

    let other = Manifest { id: snapshot(12, "b"), payload: "m".into() };
    let dead = Decision { whatsapp_connected: Some(false), ..Decision::default() };
    let taken = vault.start_over(&id, &Footing::Nothing, &[takeover(12), takeover(2)], Some(&other), &dead).await;
    assert!(matches!(taken, Err(AppendError::Exists)), "{taken:?}");
    assert_eq!(seqs(&*vault, &id, 1).await, [2, 9]);
    assert_eq!(vault.manifests(&id).await.unwrap(), [manifest]);
    assert!(record(&*vault, &id).await.whatsapp_connected);

    // A decision leaves what it does not name; one that says nothing makes no record.
    vault.notice(&id, &TenantInfo { name: Some("Mario".into()), ..TenantInfo::default() }).await.unwrap();
    vault.start_over(&id, &Footing::Nothing, &[takeover(12)], None, &dead).await.unwrap();
    let changed = record(&*vault, &id).await;
    assert_eq!((changed.whatsapp_connected, changed.phone_number), (false, Some("57".into())));
    assert_eq!(changed.name.as_deref(), Some("Mario"));
    scatter(&*vault, &tenant("b"), &[takeover(3)]).await;
    assert_eq!(vault.tenant(&tenant("b")).await.unwrap(), None);
}

/// Another one may have come to stand at its number, after a loss.
async fn an_append_needs_the_very_document_that_is_meant(home: &dyn Home) {
    let (vault, other, id) = (home.vault(), home.other().await, tenant("a"));
    let digest = |payload: &'static str| Some(document(1, payload).digest());
    vault.append(&id, None, &[document(1, "one")], None).await.unwrap();
    vault.append(&id, digest("one"), &[document(2, "x"), document(3, "three")], None).await.unwrap();
    // Written by this process, or by another one.
    for vault in [&vault, &other] {
        let wrong = vault.append(&id, digest("four"), &[document(4, "y")], None).await;
        assert!(matches!(wrong, Err(AppendError::Gap)), "{wrong:?}");
    }
    other.append(&id, digest("three"), &[document(4, "four")], None).await.unwrap();
    vault.append(&id, digest("four"), &[document(5, "five")], None).await.unwrap();
    // The same number, by another's hand, and back again.
    other.remove_documents(&id, &[Seq(5)]).await.unwrap();
    other.append(&id, digest("four"), &[document(5, "another")], None).await.unwrap();
    let replaced = vault.append(&id, digest("five"), &[document(6, "six")], None).await;
    assert!(matches!(replaced, Err(AppendError::Gap)), "{replaced:?}");
    other.remove_documents(&id, &[Seq(5)]).await.unwrap();
    other.append(&id, digest("four"), &[document(5, "five")], None).await.unwrap();
    vault.append(&id, digest("five"), &[document(6, "six")], None).await.unwrap();
    assert_eq!(seqs(&*vault, &id, 1).await, [1, 2, 3, 4, 5, 6]);

    // Nothing more than the writes themselves, while one process follows itself.
    let start = vault.usage();
    vault.append(&id, digest("six"), &[document(7, "seven")], None).await.unwrap();
    vault.append(&id, digest("seven"), &[document(8, "eight")], None).await.unwrap();
    vault.documents(&id, Seq(8)).await.unwrap();
    vault.append(&id, digest("eight"), &[document(9, "nine")], None).await.unwrap();
    let end = vault.usage();
    assert_eq!((end.reads - start.reads, end.writes - start.writes), (1, 3));
}

async fn what_starts_over_or_is_a_snapshot_needs_its_footing(home: &dyn Home) {
    let (vault, id) = (home.vault(), tenant("a"));
    let gap = |result: Result<(), AppendError>| assert!(matches!(result, Err(AppendError::Gap)), "{result:?}");
    let start_over = async |number, footing: Footing| {
        vault.start_over(&id, &footing, &[takeover(number)], None, &Decision::default()).await
    };
    let manifest = Manifest { id: snapshot(3, "a"), payload: "m".into() };
    let digest = |payload: &'static str| Some(document(1, payload).digest());
    gap(vault.put_manifest(&id, &manifest, None).await);
    gap(start_over(9, Footing::Manifest(manifest.id.clone())).await);
    gap(start_over(9, Footing::Document(Seq(3), None)).await);
    scatter(&*vault, &id, &[document(3, "three")]).await;
    gap(vault.put_manifest(&id, &manifest, digest("another")).await);
    assert_eq!(vault.manifests(&id).await.unwrap(), []);
    vault.put_manifest(&id, &manifest, digest("three")).await.unwrap();
    gap(start_over(9, Footing::Document(Seq(3), digest("another"))).await);
    assert_eq!(seqs(&*vault, &id, 1).await, [3]);
    start_over(9, Footing::Document(Seq(3), digest("three"))).await.unwrap();
    start_over(12, Footing::Document(Seq(9), None)).await.unwrap();
    start_over(14, Footing::Manifest(manifest.id.clone())).await.unwrap();
    gap(start_over(16, Footing::Manifest(snapshot(3, "b"))).await);
    assert_eq!(seqs(&*vault, &id, 1).await, [3, 9, 12, 14]);
    // A copy of a snapshot, while that one is there.
    let copy = Manifest { id: snapshot(3, "c"), payload: "copy".into() };
    let put = async |footing| vault.start_over(&id, &footing, &[], Some(&copy), &Decision::default()).await;
    gap(put(Footing::Manifest(snapshot(3, "b"))).await);
    assert_eq!(vault.manifests(&id).await.unwrap(), std::slice::from_ref(&manifest));
    put(Footing::Manifest(manifest.id.clone())).await.unwrap();
    assert_eq!(vault.manifests(&id).await.unwrap(), [manifest, copy.clone()]);
}

async fn headings_come_in_order_and_no_further_than_asked(home: &dyn Home) {
    let (vault, id) = (home.vault(), tenant("a"));
    let numbers = async |first, limit| {
        let headings = vault.headings(&id, Seq(first), limit).await.unwrap();
        for found in &headings {
            let whole = document(found.seq.0, "x");
            assert_eq!((&found.writer, found.at), (&whole.writer, whole.at));
        }
        headings.into_iter().map(|found| found.seq).collect::<Vec<_>>()
    };
    assert_eq!(numbers(1, 5).await, []);
    scatter(&*vault, &id, &[document(2, "x"), takeover(3), document(5, "x"), document(11, "x")]).await;
    assert_eq!(numbers(1, usize::MAX).await, [2, 3, 5, 11].map(Seq));
    assert_eq!(numbers(3, 2).await, [3, 5].map(Seq));
    assert_eq!(numbers(4, 9).await, [5, 11].map(Seq));
    assert_eq!(numbers(12, 9).await, []);
}

async fn an_append_without_a_decision_needs_no_record(home: &dyn Home) {
    let (vault, id) = (home.vault(), tenant("a"));
    vault.append(&id, None, &[document(1, "x")], None).await.unwrap();
    assert_eq!(vault.tenant(&id).await.unwrap(), None);
    assert_eq!(vault.document(&id, Seq(1)).await.unwrap(), Some(document(1, "x")));
    assert_eq!(vault.document(&id, Seq(2)).await.unwrap(), None);
}

async fn a_decision_needs_the_record(home: &dyn Home) {
    let (vault, id) = (home.vault(), tenant("a"));
    vault.notice(&id, &TenantInfo::default()).await.unwrap();
    home.remove_record(&id);
    let decisions = [Decision { whatsapp_connected: Some(true), ..Decision::default() }, Decision::default()];
    for decision in &decisions {
        let result = vault.append(&id, None, &[document(1, "x")], Some(decision)).await;
        assert!(matches!(result, Err(AppendError::TenantGone)), "{result:?}");
    }
    assert_eq!(seqs(&*vault, &id, 1).await, [] as [u64; 0]);
    assert_eq!(vault.tenant(&id).await.unwrap(), None, "and it was not made anew");
}

async fn a_decision_changes_what_it_names(home: &dyn Home) {
    let (vault, id) = (home.vault(), tenant("a"));
    let config = json!({ "hours": { "open": "08:00", "days": [1, 2.5, true, null, { "x": "y" }] }, "emoji": "🍕" });
    let notice = TenantInfo {
        name: Some("Pizzería Ñandú".into()),
        status: Some("STARTING".into()),
        last_error: Some(Some("no answer".into())),
        last_error_at: Some(Some(at(0))),
        deleted_at: Some(Some(at(2))),
        config: Some(config.clone()),
    };
    vault.notice(&id, &notice).await.unwrap();
    let paired = Decision {
        whatsapp_connected: Some(true),
        phone_number: Some(Some("573001234567".into())),
        connected_at: Some(Some(at(1))),
    };
    vault.append(&id, None, &[document(1, "x")], Some(&paired)).await.unwrap();
    let mut expected = TenantRecord {
        id: id.clone(),
        name: notice.name,
        whatsapp_connected: true,
        phone_number: Some("573001234567".into()),
        connected_at: Some(at(1)),
        status: notice.status,
        last_error: Some("no answer".into()),
        last_error_at: Some(at(0)),
        deleted_at: Some(at(2)),
        config,
    };
    assert_eq!(record(&*vault, &id).await, expected);

    vault.append(&id, None, &[document(2, "x")], Some(&Decision::default())).await.unwrap();
    assert_eq!(record(&*vault, &id).await, expected, "nothing was decided");

    let dead = Decision { whatsapp_connected: Some(false), phone_number: Some(None), connected_at: Some(None) };
    vault.append(&id, None, &[document(3, "x")], Some(&dead)).await.unwrap();
    expected = TenantRecord { whatsapp_connected: false, phone_number: None, connected_at: None, ..expected };
    assert_eq!(record(&*vault, &id).await, expected);
}

async fn documents_come_back_as_they_were_and_in_order(home: &dyn Home) {
    let (vault, id) = (home.vault(), tenant("a"));
    let every_byte: Vec<u8> = (0..=255).collect();
    let odd = InstanceId("49170@s.whatsapp.net:5 ä%2f".into());
    let documents = [
        JournalDocument { writer: odd, payload: every_byte.into(), ..takeover(8) },
        JournalDocument { kind: DocumentKind::Part, ..document(9, "") },
        document(10, "x"),
        JournalDocument { at: Timestamp::UNIX_EPOCH - 1.microsecond(), ..document(11, "y") },
    ];
    for document in documents.iter().rev() {
        scatter(&*vault, &id, std::slice::from_ref(document)).await;
    }
    assert_eq!(vault.documents(&id, Seq(1)).await.unwrap(), documents);
    assert_eq!(vault.documents(&id, Seq(10)).await.unwrap(), documents[2..]);
    assert_eq!(vault.documents(&id, Seq(12)).await.unwrap(), []);
    assert_eq!(vault.document(&id, Seq(8)).await.unwrap().as_ref(), Some(&documents[0]));
}

async fn reading_seeks_past_what_was_deleted(home: &dyn Home) {
    let (vault, id) = (home.vault(), tenant("a"));
    let documents: Vec<_> = (1..=1010).map(|seq| document(seq, "x")).collect();
    for group in documents.chunks(101) {
        vault.append(&id, None, group, None).await.unwrap();
    }
    let gone: Vec<_> = (1..=1000).map(Seq).collect();
    vault.remove_documents(&id, &gone).await.unwrap();
    assert_eq!(seqs(&*vault, &id, 1).await, Vec::from_iter(1001..=1010));
    let before = vault.usage();
    assert_eq!(seqs(&*vault, &id, 1006).await, Vec::from_iter(1006..=1010));
    assert_eq!(vault.usage().reads - before.reads, 5, "what is below costs nothing");
}

async fn of_two_appenders_of_a_number_one_wins(home: &dyn Home) {
    let (vault, id) = (home.vault(), tenant("a"));
    let other = home.other().await;
    vault.append(&id, None, &[document(1, "x")], None).await.unwrap();
    let mut racers = JoinSet::new();
    for racer in 0..32u8 {
        let (vault, id) = (if racer % 2 == 0 { vault.clone() } else { other.clone() }, id.clone());
        racers.spawn(async move {
            (racer, vault.append(&id, None, &[document(2, vec![racer]), document(3, "")], None).await)
        });
    }
    let mut winners = Vec::new();
    for (racer, result) in racers.join_all().await {
        match result {
            Ok(()) => winners.push(racer),
            Err(AppendError::Exists) => {}
            other => panic!("racer {racer}: {other:?}"),
        }
    }
    assert_eq!(winners.len(), 1, "{winners:?}");
    let found = vault.document(&id, Seq(2)).await.unwrap().unwrap();
    assert_eq!(found.payload[..], winners);
}

async fn another_process_sees_and_is_seen(home: &dyn Home) {
    let (one, id) = (home.vault(), tenant("a"));
    let two = home.other().await;
    one.append(&id, None, &[document(1, "one")], None).await.unwrap();
    assert_eq!(two.document(&id, Seq(1)).await.unwrap(), Some(document(1, "one")));
    two.append(&id, None, &[document(2, "two")], None).await.unwrap();
    assert_eq!(seqs(&*one, &id, 1).await, [1, 2]);
    let late = one.append(&id, None, &[document(2, "late")], None).await;
    assert!(matches!(late, Err(AppendError::Exists)), "{late:?}");
}

async fn takeovers_and_entries_are_told_apart(home: &dyn Home) {
    let (vault, id) = (home.vault(), tenant("a"));
    assert_eq!(vault.takeovers(&id).await.unwrap(), []);
    let part = JournalDocument { kind: DocumentKind::Part, ..document(3, "x") };
    let documents = [takeover(1), document(2, "x"), part, document(4, "x"), takeover(5), document(6, "x")];
    vault.append(&id, None, &documents, None).await.unwrap();
    assert_eq!(vault.takeovers(&id).await.unwrap(), [(Seq(1), at(1)), (Seq(5), at(5))]);
    let below = |end| vault.entries_below(&id, Seq(end));
    assert_eq!(below(6).await.unwrap(), [2, 3, 4].map(Seq));
    assert_eq!(below(4).await.unwrap(), [2, 3].map(Seq));
    assert_eq!(below(1).await.unwrap(), []);
    assert_eq!(below(u64::MAX).await.unwrap(), [2, 3, 4, 6].map(Seq));
}

async fn removing_twice_is_removing(home: &dyn Home) {
    let (vault, id) = (home.vault(), tenant("a"));
    vault.append(&id, None, &[document(1, "x"), document(2, "x"), document(3, "x")], None).await.unwrap();
    for _ in 0..2 {
        vault.remove_documents(&id, &[Seq(1), Seq(3), Seq(9)]).await.unwrap();
        assert_eq!(seqs(&*vault, &id, 1).await, [2]);
    }
    vault.remove_documents(&id, &[]).await.unwrap();
    vault.append(&id, None, &[document(1, "again")], None).await.unwrap();

    vault.put_chunk(&id, &snapshot(1, "a"), 0, "x".into()).await.unwrap();
    for _ in 0..2 {
        vault.remove_snapshot(&id, &snapshot(1, "a")).await.unwrap();
        assert_eq!(vault.snapshots(&id).await.unwrap(), []);
    }
}

async fn a_document_is_emptied_as_it_is_and_keeps_its_number(home: &dyn Home) {
    let (vault, other, id) = (home.vault(), home.other().await, tenant("a"));
    let documents = [takeover(1), document(2, "x"), document(3, "y")];
    vault.append(&id, None, &documents, None).await.unwrap();
    assert!(!vault.empty_document(&id, &document(2, "z")).await.unwrap(), "it is not that one");
    assert!(!vault.empty_document(&id, &document(4, "x")).await.unwrap(), "there is none");
    for known in &documents[..2] {
        assert!(other.empty_document(&id, known).await.unwrap());
        assert!(!vault.empty_document(&id, known).await.unwrap(), "it is empty");
    }
    let empty = |document: JournalDocument| JournalDocument { payload: Bytes::new(), ..document };
    let found = vault.documents(&id, Seq(1)).await.unwrap();
    assert_eq!(found, [empty(takeover(1)), empty(document(2, "x")), document(3, "y")]);
    assert_eq!(vault.takeovers(&id).await.unwrap(), [(Seq(1), at(1))]);
    // Its number is taken, and nothing stands on what it was.
    let late = vault.append(&id, None, &[document(2, "late")], None).await;
    assert!(matches!(late, Err(AppendError::Exists)), "{late:?}");
    vault.remove_documents(&id, &[Seq(3)]).await.unwrap();
    let late = vault.append(&id, Some(document(2, "x").digest()), &[document(3, "late")], None).await;
    assert!(matches!(late, Err(AppendError::Gap)), "{late:?}");
}

async fn tenants_do_not_see_each_other(home: &dyn Home) {
    let vault = home.vault();
    let ids = ["a", "A", "aa", "a-", "a_", "a1", &"x".repeat(64)].map(tenant);
    for id in &ids {
        vault.append(id, None, &[document(1, id.as_str().to_owned())], None).await.unwrap();
        vault.put_chunk(id, &snapshot(1, "s"), 0, id.as_str().to_owned().into()).await.unwrap();
        vault.notice(id, &TenantInfo { status: Some(id.as_str().into()), ..TenantInfo::default() }).await.unwrap();
    }
    vault.remove_documents(&ids[0], &[Seq(1)]).await.unwrap();
    vault.remove_snapshot(&ids[0], &snapshot(1, "s")).await.unwrap();
    for id in &ids[1..] {
        assert_eq!(vault.documents(id, Seq(1)).await.unwrap(), [document(1, id.as_str().to_owned())]);
        let chunks = vault.chunks(id, &snapshot(1, "s")).await.unwrap();
        assert_eq!(chunks, [(0, Bytes::from(id.as_str().to_owned()))]);
        assert_eq!(record(&*vault, id).await.status.as_deref(), Some(id.as_str()));
    }
    let listed: Vec<_> = vault.tenants().await.unwrap().into_iter().map(|(id, _)| id).collect();
    let sorted = BTreeSet::from_iter(ids.iter().map(|id| id.as_str().to_owned()));
    assert_eq!(listed, Vec::from_iter(sorted), "all, by id");
}

async fn the_largest_documents_fit_and_larger_ones_are_refused(home: &dyn Home) {
    let (vault, id) = (home.vault(), tenant("a"));
    let largest = noise(MAX_PAYLOAD);
    let rest = noise(MAX_APPEND - 3 * MAX_PAYLOAD);
    let [one, two, three] = [1, 2, 3].map(|seq| document(seq, largest.clone()));
    let documents = [one, two, three, document(4, rest.clone())];
    vault.append(&id, None, &documents, None).await.unwrap();
    assert_eq!(vault.documents(&id, Seq(1)).await.unwrap(), documents);

    let too_large = noise(MAX_PAYLOAD + 1);
    let reason = is_refused(vault.append(&id, None, &[document(5, too_large.clone())], None).await);
    assert!(reason.contains(&too_large.len().to_string()), "{reason}");
    let [five, six, seven] = [5, 6, 7].map(|seq| document(seq, largest.clone()));
    let one_more = [&rest[..], b"x"].concat();
    let reason = is_refused(vault.append(&id, None, &[five, six, seven, document(8, one_more)], None).await);
    assert!(reason.contains(&MAX_APPEND.to_string()), "{reason}");
    assert_eq!(seqs(&*vault, &id, 5).await, [] as [u64; 0]);

    vault.put_chunk(&id, &snapshot(4, "a"), 0, largest.clone()).await.unwrap();
    vault.put_manifest(&id, &Manifest { id: snapshot(4, "a"), payload: largest }, None).await.unwrap();
    is_refused(vault.put_chunk(&id, &snapshot(4, "a"), 1, too_large.clone()).await);
    is_refused(vault.put_manifest(&id, &Manifest { id: snapshot(4, "b"), payload: too_large.clone() }, None).await);
    is_refused(vault.create_check_value(too_large).await);
    assert_eq!(vault.snapshots(&id).await.unwrap(), [snapshot(4, "a")]);
}

async fn impossible_numbers_and_names_are_refused(home: &dyn Home) {
    let (vault, id) = (home.vault(), tenant("a"));
    is_refused(vault.append(&id, None, &[], None).await);
    is_refused(vault.append(&id, None, &[document(0, "x")], None).await);
    is_refused(vault.append(&id, None, &[document(1, "x"), document(3, "x")], None).await);
    is_refused(vault.append(&id, None, &[document(2, "x"), document(1, "x")], None).await);
    is_refused(vault.append(&id, None, &[document(1, "x"), document(1, "x")], None).await);
    is_refused(vault.append(&id, None, &[document(u64::MAX, "x")], None).await);
    for name in ["", ".", "..", "a/b", "__x__", &"x".repeat(1501)] {
        let writer = InstanceId(name.into());
        is_refused(vault.append(&id, None, &[JournalDocument { writer, ..document(1, "x") }], None).await);
        is_refused(vault.put_instance(&instance(name)).await);
    }
    for attempt in ["", "a/b", ".", "a b", "ä", &"x".repeat(65)] {
        is_refused(vault.put_chunk(&id, &snapshot(1, attempt), 0, "x".into()).await);
        is_refused(vault.put_manifest(&id, &Manifest { id: snapshot(1, attempt), payload: "x".into() }, None).await);
    }
    is_refused(vault.put_chunk(&id, &snapshot(1, "a"), 10_000, "x".into()).await);
    assert_eq!(seqs(&*vault, &id, 1).await, [] as [u64; 0]);
    assert_eq!(vault.snapshots(&id).await.unwrap(), []);

    for name in ["__", "_x_", "...", "a b:c@d", "ünïcode", &"x".repeat(1500)] {
        vault.put_instance(&instance(name)).await.unwrap();
    }
    assert_eq!(vault.instances().await.unwrap().len(), 6);
    scatter(&*vault, &id, &[document(i64::MAX as u64, "x")]).await;
    assert_eq!(seqs(&*vault, &id, i64::MAX as u64).await, [i64::MAX as u64]);
}

async fn a_snapshot_is_what_its_manifest_says(home: &dyn Home) {
    let (vault, id) = (home.vault(), tenant("a"));
    assert_eq!(vault.manifests(&id).await.unwrap(), []);
    let [first, second] = [snapshot(9, "b-1_x"), snapshot(10, "a")];
    for n in [11, 2, 0] {
        vault.put_chunk(&id, &second, n, format!("chunk {n}").into()).await.unwrap();
    }
    assert_eq!(vault.manifests(&id).await.unwrap(), [], "no manifest, no snapshot");
    assert_eq!(vault.snapshots(&id).await.unwrap(), std::slice::from_ref(&second), "but something to clear away");
    vault.put_chunk(&id, &second, 2, "chunk 2 again".into()).await.unwrap();
    let chunks = vault.chunks(&id, &second).await.unwrap();
    assert_eq!(chunks, [(0, "chunk 0".into()), (2, "chunk 2 again".into()), (11, "chunk 11".into())]);

    scatter(&*vault, &id, &[document(9, "x"), document(10, "x")]).await;
    let manifest = |id: &SnapshotId| Manifest { id: id.clone(), payload: format!("of {}", id.seq).into() };
    vault.put_manifest(&id, &manifest(&second), None).await.unwrap();
    vault.put_manifest(&id, &manifest(&first), None).await.unwrap();
    vault.put_manifest(&id, &manifest(&first), None).await.unwrap();
    assert_eq!(vault.manifests(&id).await.unwrap(), [manifest(&first), manifest(&second)]);
    assert_eq!(vault.snapshots(&id).await.unwrap(), [first.clone(), second.clone()]);

    vault.remove_snapshot(&id, &second).await.unwrap();
    assert_eq!(vault.manifests(&id).await.unwrap(), [manifest(&first)]);
    assert_eq!(vault.chunks(&id, &second).await.unwrap(), []);
    assert_eq!(vault.snapshots(&id).await.unwrap(), [first]);
}

async fn segments_come_back_and_go(home: &dyn Home) {
    let (vault, id, other) = (home.vault(), tenant("a"), tenant("b"));
    assert_eq!(vault.segments(&id).await.unwrap(), [""; 0]);
    assert_eq!(vault.segment(&id, "01J-x-0000").await.unwrap(), None);
    let largest = noise(MAX_PAYLOAD);
    vault.put_segment(&id, "01J-x-0001", largest.clone()).await.unwrap();
    vault.put_segment(&id, "01J-x-0000", "one".into()).await.unwrap();
    vault.put_segment(&other, "01J-x-0000", "another's".into()).await.unwrap();
    assert_eq!(vault.segments(&id).await.unwrap(), ["01J-x-0000", "01J-x-0001"]);
    assert_eq!(vault.segment(&id, "01J-x-0000").await.unwrap(), Some("one".into()));
    assert!(vault.segment(&id, "01J-x-0001").await.unwrap() == Some(largest));
    for name in ["", "a/b", "..", "__x__", "ñ", &"x".repeat(129)] {
        is_refused(vault.put_segment(&id, name, "x".into()).await);
    }
    is_refused(vault.put_segment(&id, "large", noise(MAX_PAYLOAD + 1)).await);
    for _ in 0..2 {
        vault.remove_segments(&id, &["01J-x-0000".into(), "nothing".into()]).await.unwrap();
        assert_eq!(vault.segments(&id).await.unwrap(), ["01J-x-0001"]);
    }
    assert_eq!(vault.segment(&other, "01J-x-0000").await.unwrap(), Some("another's".into()));
}

async fn a_late_chunk_of_another_attempt_stays_apart(home: &dyn Home) {
    let (vault, id) = (home.vault(), tenant("a"));
    let [failed, good] = [snapshot(5, "failed"), snapshot(5, "good")];
    scatter(&*vault, &id, &[document(5, "x")]).await;
    vault.put_chunk(&id, &good, 0, "good".into()).await.unwrap();
    vault.put_manifest(&id, &Manifest { id: good.clone(), payload: "m".into() }, None).await.unwrap();
    vault.put_chunk(&id, &failed, 0, "late".into()).await.unwrap();
    assert_eq!(vault.chunks(&id, &good).await.unwrap(), [(0, "good".into())]);
    assert_eq!(vault.manifests(&id).await.unwrap().len(), 1);
    assert_eq!(vault.snapshots(&id).await.unwrap(), [failed.clone(), good.clone()]);
    vault.remove_snapshot(&id, &failed).await.unwrap();
    assert_eq!(vault.snapshots(&id).await.unwrap(), std::slice::from_ref(&good));
    assert_eq!(vault.chunks(&id, &good).await.unwrap(), [(0, "good".into())]);
}

async fn a_large_snapshot_comes_back(home: &dyn Home) {
    let (vault, id) = (home.vault(), tenant("a"));
    let mut chunks = Vec::new();
    for n in 0..40 {
        chunks.push((n, noise(MAX_PAYLOAD)));
        vault.put_chunk(&id, &snapshot(1, "a"), n, chunks[n as usize].1.clone()).await.unwrap();
    }
    // Not by assert_eq!, which would print it.
    assert!(vault.chunks(&id, &snapshot(1, "a")).await.unwrap() == chunks);
}

async fn a_notice_touches_nothing_decisive(home: &dyn Home) {
    let (vault, id) = (home.vault(), tenant("a"));
    assert_eq!(vault.tenant(&id).await.unwrap(), None);
    vault.notice(&id, &TenantInfo::default()).await.unwrap();
    let fresh = record(&*vault, &id).await;
    assert_eq!((fresh.whatsapp_connected, &fresh.phone_number, fresh.name), (false, &None, None));
    assert_eq!(vault.restorable().await.unwrap().len(), 0);

    let paired = Decision {
        whatsapp_connected: Some(true),
        phone_number: Some(Some("57300".into())),
        connected_at: Some(Some(at(0))),
    };
    vault.append(&id, None, &[document(1, "x")], Some(&paired)).await.unwrap();
    let notice = TenantInfo {
        name: Some("n".into()),
        status: Some("s".into()),
        last_error: Some(Some("e".into())),
        last_error_at: Some(Some(at(2))),
        deleted_at: Some(Some(at(3))),
        config: Some(json!({ "a": 1 })),
    };
    vault.notice(&id, &notice).await.unwrap();
    let clearing = TenantInfo {
        last_error: Some(None),
        last_error_at: Some(None),
        deleted_at: Some(None),
        config: Some(json!(null)),
        ..TenantInfo::default()
    };
    vault.notice(&id, &clearing).await.unwrap();
    let expected = TenantRecord {
        id: id.clone(),
        name: Some("n".into()),
        whatsapp_connected: true,
        phone_number: Some("57300".into()),
        connected_at: Some(at(0)),
        status: Some("s".into()),
        last_error: None,
        last_error_at: None,
        deleted_at: None,
        config: json!(null),
    };
    assert_eq!(record(&*vault, &id).await, expected);
    let restorable = vault.restorable().await.unwrap();
    assert_eq!(
        restorable.into_iter().map(|(id, found)| (id, found.unwrap())).collect::<Vec<_>>(),
        [("a".to_owned(), expected)]
    );
}

async fn a_tenant_without_a_record_is_remembered_by_its_journal(home: &dyn Home) {
    let vault = home.vault();
    assert_eq!(vault.remembered().await.unwrap(), Vec::<String>::new());
    vault.notice(&tenant("recorded"), &TenantInfo::default()).await.unwrap();
    vault.append(&tenant("journaled"), None, &[document(1, "entry")], None).await.unwrap();
    let manifest = Manifest { id: SnapshotId { seq: Seq(1), attempt: "a".into() }, payload: Bytes::from_static(b"m") };
    vault.append(&tenant("kept"), None, &[document(1, "entry")], None).await.unwrap();
    vault.put_manifest(&tenant("kept"), &manifest, None).await.unwrap();
    vault.remove_documents(&tenant("kept"), &[Seq(1)]).await.unwrap();
    vault.notice(&tenant("both"), &TenantInfo::default()).await.unwrap();
    vault.append(&tenant("both"), None, &[document(1, "entry")], None).await.unwrap();
    assert_eq!(vault.remembered().await.unwrap(), ["both", "journaled", "kept", "recorded"]);
    let listed: Vec<_> = vault.tenants().await.unwrap().into_iter().map(|(id, _)| id).collect();
    assert_eq!(listed, ["both", "recorded"]);
}

async fn records_are_found_by_what_their_texts_begin_with(home: &dyn Home) {
    let vault = home.vault();
    let paired = |number: &str| Decision { phone_number: Some(Some(number.into())), ..Decision::default() };
    for (name, number, status) in [
        ("b", Some("57300"), "importing x 1"),
        ("a", Some("57300:5@s.whatsapp.net"), "importing"),
        ("c", Some("573001"), "importing y 1"),
        ("d", Some("5729"), "importing x 2"),
        ("e", Some("5731"), "connected"),
        ("f", Some("+57300"), "Importing x 1"),
        ("g", None, ""),
    ] {
        let id = tenant(name);
        vault.notice(&id, &TenantInfo { status: Some(status.into()), ..TenantInfo::default() }).await.unwrap();
        if let Some(number) = number {
            vault.append(&id, None, &[document(1, "x")], Some(&paired(number))).await.unwrap();
        }
    }
    for (text, prefix, expected) in [
        (RecordText::PhoneNumber, "57300", &["a", "b", "c"][..]),
        (RecordText::PhoneNumber, "573001", &["c"]),
        (RecordText::PhoneNumber, "+57300", &["f"]),
        (RecordText::PhoneNumber, "9", &[]),
        (RecordText::Status, "importing x ", &["b", "d"]),
        (RecordText::Status, "importing", &["a", "b", "c", "d"]),
        (RecordText::Status, "connected", &["e"]),
    ] {
        let found = vault.tenants_with(text, prefix).await.unwrap();
        let ids: Vec<_> = found.iter().map(|(id, record)| (id.as_str(), record.is_ok())).collect();
        assert_eq!(ids, expected.iter().map(|id| (*id, true)).collect::<Vec<_>>(), "{prefix}");
    }
    for prefix in ["", "x~", "é", "a\nb", &"x".repeat(129)] {
        is_refused(vault.tenants_with(RecordText::Status, prefix).await.map(drop));
    }
}

async fn a_notice_refuses_what_firestore_could_not_hold(home: &dyn Home) {
    let (vault, id) = (home.vault(), tenant("a"));
    let deep = |depth| (0..depth).fold(json!("x"), |inner, _| json!({ "in": inner }));
    let refused = [
        json!([1]),
        json!("text"),
        deep(21),
        json!({ "": 1 }),
        json!({ "__x__": 1 }),
        json!({ "a": [[1]] }),
        json!({ "a": u64::MAX }),
        json!({ "a": "x".repeat(256 * 1024) }),
    ];
    for config in refused {
        is_refused(vault.notice(&id, &TenantInfo { config: Some(config), ..TenantInfo::default() }).await);
    }
    is_refused(vault.notice(&id, &TenantInfo { name: Some("x".repeat(64 * 1024 + 1)), ..TenantInfo::default() }).await);
    assert_eq!(vault.tenant(&id).await.unwrap(), None);

    let taken = [deep(20), json!({}), json!({ "a": [1, { "b": [] }], "b.c/d `e`": i64::MIN, "f": 1e300 })];
    for config in taken {
        vault.notice(&id, &TenantInfo { config: Some(config.clone()), ..TenantInfo::default() }).await.unwrap();
        assert_eq!(record(&*vault, &id).await.config, config);
    }
}

async fn a_record_that_does_not_parse_is_an_error_of_its_own(home: &dyn Home) {
    let (vault, good) = (home.vault(), tenant("good"));
    vault.notice(&good, &TenantInfo::default()).await.unwrap();
    let connected = Decision { whatsapp_connected: Some(true), ..Decision::default() };
    vault.append(&good, None, &[document(1, "x")], Some(&connected)).await.unwrap();
    vault.notice(&tenant("idle"), &TenantInfo::default()).await.unwrap();
    home.spoil_records();
    for (list, expected) in [
        (vault.tenants().await.unwrap(), &["bad", "good", "idle", "sessions"][..]),
        (vault.restorable().await.unwrap(), &["bad", "good", "sessions"]),
    ] {
        assert_eq!(list.iter().map(|(id, _)| id.as_str()).collect::<Vec<_>>(), expected);
        for (id, record) in list {
            match record {
                Ok(record) => assert_eq!((record.id.as_str(), record.phone_number), (&*id, None)),
                Err(VaultError::Malformed(reason)) => {
                    assert!(id == "sessions" && reason.contains(&id), "{id}: {reason}");
                }
                Err(other) => panic!("{id}: {other:?}"),
            }
        }
    }
    // What only informs is as if it were not there.
    let bad = vault.tenant(&tenant("bad")).await.unwrap().unwrap();
    assert_eq!((bad.whatsapp_connected, bad.phone_number), (true, None));
}

async fn a_document_that_does_not_parse_is_an_error_of_its_tenant(home: &dyn Home) {
    let (vault, id) = (home.vault(), tenant("a"));
    for id in [&id, &tenant("b")] {
        vault.append(id, None, &[document(1, "x"), document(2, "x"), document(3, "x")], None).await.unwrap();
    }
    home.spoil_document(&id);
    let read = vault.documents(&id, Seq(1)).await;
    assert!(matches!(read, Err(VaultError::Malformed(_))), "{read:?}");
    let read = vault.document(&id, Seq(2)).await;
    assert!(matches!(read, Err(VaultError::Malformed(_))), "{read:?}");
    assert_eq!(seqs(&*vault, &id, 3).await, [3]);
    assert_eq!(seqs(&*vault, &tenant("b"), 1).await, [1, 2, 3]);
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

async fn instances_come_and_go(home: &dyn Home) {
    let vault = home.vault();
    assert_eq!(vault.instances().await.unwrap(), []);
    let mut one = instance("one");
    let (address, process) = (Some("http://10.0.0.2:8080".into()), Some("this machine, that process".into()));
    let listens_at = Some("[fd12::7]:3001".into());
    let two = Instance { address, listens_at, process, ..instance("two") };
    vault.put_instance(&two).await.unwrap();
    vault.put_instance(&one).await.unwrap();
    assert_eq!(vault.instances().await.unwrap(), [one.clone(), two.clone()]);
    one = Instance { heartbeat_at: at(120), draining: true, ..one };
    vault.put_instance(&one).await.unwrap();
    assert_eq!(vault.instances().await.unwrap(), [one.clone(), two.clone()]);
    for _ in 0..2 {
        vault.remove_instance(&two.id).await.unwrap();
        assert_eq!(home.other().await.instances().await.unwrap(), [one.clone()]);
    }
}

/// One of each process to each other, the newest, whoever has a record.
async fn letters_come_and_go(home: &dyn Home) {
    let (vault, other) = (home.vault(), home.other().await);
    let [one, two, odd] = ["one", "two", "49170@s.whatsapp.net:5 ä%2f"].map(|id| InstanceId(id.into()));
    assert_eq!(vault.letters(&one).await.unwrap(), []);
    vault.put_letter(&two, &one, "first".into()).await.unwrap();
    other.put_letter(&odd, &one, "from somebody odd".into()).await.unwrap();
    other.put_letter(&one, &two, "back".into()).await.unwrap();
    vault.put_letter(&two, &one, "second".into()).await.unwrap();
    let to_one = [(odd.clone(), "from somebody odd".into()), (two.clone(), "second".into())];
    assert_eq!(other.letters(&one).await.unwrap(), to_one);
    assert_eq!(other.letters(&odd).await.unwrap(), []);
    for _ in 0..2 {
        vault.remove_letter(&odd, &one).await.unwrap();
        assert_eq!(other.letters(&one).await.unwrap(), to_one[1..]);
    }
    // Letters to a process go with its record, those of it stay.
    vault.put_instance(&instance("one")).await.unwrap();
    vault.remove_instance(&one).await.unwrap();
    assert_eq!((other.letters(&one).await.unwrap(), other.letters(&two).await.unwrap().len()), (Vec::new(), 1));
    let large = Bytes::from(vec![7; MAX_PAYLOAD]);
    vault.put_letter(&one, &two, large.clone()).await.unwrap();
    assert_eq!(other.letters(&two).await.unwrap(), [(one.clone(), large)]);
    is_refused(vault.put_letter(&one, &two, vec![7; MAX_PAYLOAD + 1].into()).await);
    is_refused(vault.put_letter(&InstanceId("a/b".into()), &two, Bytes::new()).await);
}

async fn the_check_value_is_made_once(home: &dyn Home) {
    let vault = home.vault();
    vault.ping().await.unwrap();
    assert_eq!(vault.check_value().await.unwrap(), None);
    let mut racers = JoinSet::new();
    for racer in 0..8u8 {
        let vault = vault.clone();
        racers.spawn(async move { vault.create_check_value(vec![racer; 40].into()).await.unwrap().then_some(racer) });
    }
    let winners: Vec<u8> = racers.join_all().await.into_iter().flatten().collect();
    assert_eq!(winners.len(), 1, "{winners:?}");
    assert_eq!(home.other().await.check_value().await.unwrap(), Some(vec![winners[0]; 40].into()));
    vault.ping().await.unwrap();
    let (old, new) = (Bytes::from(vec![winners[0]; 40]), Bytes::from_static(b"sealed with another key"));
    assert!(!vault.replace_check_value(new.clone(), old.clone()).await.unwrap(), "it is not that one");
    assert_eq!(vault.check_value().await.unwrap(), Some(old.clone()));
    assert!(vault.replace_check_value(old.clone(), new.clone()).await.unwrap());
    assert!(!vault.replace_check_value(old, new.clone()).await.unwrap(), "it was that one before");
    assert_eq!(home.other().await.check_value().await.unwrap(), Some(new.clone()));
    // By which a file knows itself: it is no other vault's now.
    vault.put_instance(&instance("a")).await.unwrap();
    assert_eq!(vault.check_value().await.unwrap(), Some(new));
}

async fn usage_counts_documents(home: &dyn Home) {
    let (vault, id) = (home.vault(), tenant("a"));
    vault.notice(&id, &TenantInfo { status: Some("x".into()), ..TenantInfo::default() }).await.unwrap();
    let start = vault.usage();
    let decision = Decision { whatsapp_connected: Some(true), ..Decision::default() };
    vault.append(&id, None, &[document(1, "x"), document(2, "x")], Some(&decision)).await.unwrap();
    vault.append(&id, None, &[document(2, "x")], None).await.unwrap_err();
    vault.documents(&id, Seq(1)).await.unwrap();
    vault.document(&id, Seq(9)).await.unwrap();
    vault.remove_documents(&id, &[Seq(1)]).await.unwrap();
    vault.put_instance(&instance("i")).await.unwrap();
    let end = vault.usage();
    let spent = [end.reads - start.reads, end.writes - start.writes, end.deletes - start.deletes];
    assert_eq!(spent, [3, 4, 1]);
}
