//! The vault loses a piece of what was in it while a tenant is quiet: no append and no confirmation notices. The audit does, and while the
//! daemon has everything in hand a gap costs nothing: at the next start, on a wiped disk, the tenant is there.

use serde_json::json;
use sessiond::{
    demo::{Conversation, until},
    tenant::TenantId,
    vault::{Seq, SnapshotId, Vault},
};

use crate::support::{
    emulator,
    stage::{Home, LIMIT, Stage},
    vault_loss,
};

const TENANT: &str = "trattoria";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Gap {
    /// In the middle of the journal.
    Entry,
    /// All of the tenant's journal.
    Journal,
    Manifest,
    Chunk,
    Snapshots,
}

fn remove(stage: &Stage, document: &str, rows: &str, values: &[&dyn rusqlite::ToSql]) {
    match &stage.project {
        Some(project) => emulator::delete(project, document),
        None => {
            let connection = rusqlite::Connection::open(stage.path("cloud").join("vault.db")).unwrap();
            connection.busy_timeout(LIMIT).unwrap();
            connection.execute(&format!("DELETE FROM {rows}"), values).unwrap();
        }
    }
}

fn remove_manifest(stage: &Stage, id: &SnapshotId) {
    let (seq, attempt) = (id.seq.0 as i64, &*id.attempt);
    let document = format!("tenants/{TENANT}/snapshots/{}-{attempt}", id.seq);
    remove(stage, &document, "manifests WHERE seq = ?1 AND attempt = ?2", &[&seq, &attempt]);
}

impl Gap {
    async fn tear(self, stage: &Stage, vault: &dyn Vault) {
        let id: TenantId = TENANT.parse().unwrap();
        let manifests = vault.manifests(&id).await.unwrap();
        let newest = &manifests.last().unwrap().id;
        let numbers: Vec<_> = vault.headings(&id, Seq(1), usize::MAX).await.unwrap().iter().map(|it| it.seq).collect();
        let last = *numbers.last().unwrap();
        match self {
            Self::Entry => {
                let middle = Seq(u64::midpoint(newest.seq.0, last.0));
                assert!(middle > newest.seq && middle < last, "{newest:?} {last}");
                vault.remove_documents(&id, &[middle]).await.unwrap();
            }
            Self::Journal => vault.remove_documents(&id, &numbers).await.unwrap(),
            Self::Manifest => remove_manifest(stage, newest),
            Self::Chunk => {
                let (seq, attempt) = (newest.seq.0 as i64, &*newest.attempt);
                let document = format!("tenants/{TENANT}/snapshots/{}-{attempt}/chunks/0000", newest.seq);
                remove(stage, &document, "chunks WHERE seq = ?1 AND attempt = ?2 AND n = 0", &[&seq, &attempt]);
            }
            Self::Snapshots => manifests.iter().for_each(|manifest| remove_manifest(stage, &manifest.id)),
        }
    }
}

/// A tenant that has talked, whose newest snapshot has some entries after it, and who is quiet.
async fn quiet_tenant(stage: &Stage, vault: &dyn Vault) -> Vec<Conversation> {
    let mut conversations = vec![stage.pair(TENANT).await];
    let id: TenantId = TENANT.parse().unwrap();
    let mut before = None;
    loop {
        let newest = vault.manifests(&id).await.unwrap().last().map(|manifest| manifest.id.seq.0);
        let last = vault.headings(&id, Seq(1), usize::MAX).await.unwrap().last().map(|last| last.seq.0);
        let has_tail = newest.zip(last).is_some_and(|(newest, last)| (4..25).contains(&(last - newest)));
        if has_tail && before == last {
            return conversations;
        }
        before = last;
        if has_tail {
            // What rides along with nothing goes alone after three seconds.
            tokio::time::sleep(std::time::Duration::from_secs(4)).await;
        } else {
            talk(stage, &mut conversations).await;
        }
    }
}

async fn talk(stage: &Stage, conversations: &mut [Conversation]) {
    let ear = stage.listen(conversations);
    conversations[0].customers_write(&stage.network, 1).await.unwrap();
    if let Err(error) = stage.tally.answer_all(conversations, &stage.dashboard, &ear, LIMIT).await {
        panic!("{error:#}\n{}", stage.log());
    }
}

async fn staged(home: Home, audit: &str) -> Option<Stage> {
    let stage = Stage::new(home).await?.set("SESSIOND_VAULT__SNAPSHOT_ENTRIES", "30");
    Some(stage.set("SESSIOND_JOURNAL__AUDIT", audit))
}

async fn mended(home: Home, gap: Gap) {
    let Some(stage) = staged(home, "1s").await else { return };
    let daemon = stage.start().await;
    let vault = vault_loss::vault(&stage).await;
    let mut conversations = quiet_tenant(&stage, &*vault).await;
    gap.tear(&stage, &*vault).await;
    let is_counted = || async { stage.health().await.1["incidents"]["vault_losses"] == json!(1) };
    until(LIMIT, "the gap to be found", is_counted).await.unwrap_or_else(|error| panic!("{error}\n{}", stage.log()));
    let is_mended = || async { stage.log().contains("the tenant's state is in it again") };
    until(LIMIT, "the gap to be mended", is_mended).await.unwrap_or_else(|error| panic!("{error}\n{}", stage.log()));
    let (status, health) = stage.health().await;
    assert_eq!((status, &health["status"]), (200, &json!("ok")), "{health}");

    daemon.kill().await.unwrap();
    stage.wipe_local_data();
    let daemon = stage.start().await;
    assert!(stage.dashboard.is_connected(TENANT).await, "{}", stage.log());
    let health = stage.health().await.1;
    assert_eq!(health["incidents"]["snapshots_passed_over"], json!(0), "{health}");
    talk(&stage, &mut conversations).await;
    stage.assert_promises(&conversations).await;
    daemon.kill().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_in_the_middle_embedded() {
    mended(Home::Embedded, Gap::Entry).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_in_the_middle_with_firestore() {
    mended(Home::Emulator, Gap::Entry).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quiet_tenants_journal_embedded() {
    mended(Home::Embedded, Gap::Journal).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quiet_tenants_journal_with_firestore() {
    mended(Home::Emulator, Gap::Journal).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manifest_embedded() {
    mended(Home::Embedded, Gap::Manifest).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manifest_with_firestore() {
    mended(Home::Emulator, Gap::Manifest).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chunk_embedded() {
    mended(Home::Embedded, Gap::Chunk).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chunk_with_firestore() {
    mended(Home::Emulator, Gap::Chunk).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_snapshots_embedded() {
    mended(Home::Embedded, Gap::Snapshots).await;
}

/// The control: nothing else finds it, and the next start pays.
#[tokio::test(flavor = "multi_thread")]
async fn without_the_audit_a_gap_is_a_loss() {
    let stage = staged(Home::Embedded, "720h").await.unwrap();
    let daemon = stage.start().await;
    let vault = vault_loss::vault(&stage).await;
    quiet_tenant(&stage, &*vault).await;
    Gap::Entry.tear(&stage, &*vault).await;
    assert_eq!(stage.health().await.1["incidents"]["vault_losses"], json!(0));
    daemon.kill().await.unwrap();
    stage.wipe_local_data();
    let daemon = stage.start().await;
    assert!(!stage.dashboard.is_connected(TENANT).await, "{}", stage.log());
    assert!(stage.log().contains("is missing"), "{}", stage.log());
    daemon.kill().await.unwrap();
}

/// Without it another key would be taken for the vault's own at the next start.
async fn check_value_comes_back(home: Home) {
    let Some(stage) = staged(home, "1s").await else { return };
    let daemon = stage.start().await;
    let vault = vault_loss::vault(&stage).await;
    let before = vault.check_value().await.unwrap();
    assert!(before.is_some());
    remove(&stage, "vault/check", "check_value", &[]);
    let is_back = || async { vault.check_value().await.unwrap().is_some() };
    until(LIMIT, "the check value to be back", is_back)
        .await
        .unwrap_or_else(|error| panic!("{error}\n{}", stage.log()));
    let is_told = async || stage.log().contains("the vault had lost its check value");
    until(LIMIT, "it to be told", is_told).await.unwrap_or_else(|error| panic!("{error}\n{}", stage.log()));
    daemon.kill().await.unwrap();
    let daemon = stage.start().await;
    daemon.kill().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_check_value_embedded() {
    check_value_comes_back(Home::Embedded).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_check_value_with_firestore() {
    check_value_comes_back(Home::Emulator).await;
}
