//! Tenants are islands: what is wrong with nine of a hundred is named, contained and left as it is, and the other ninety-one work.

use std::{collections::BTreeSet, path::PathBuf, time::Duration};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use loopback::{Fault, FaultKind};
use rusqlite::{Connection, params, types::Value as Cell};
use serde_json::{Value, json};
use sessiond::{
    demo::{Conversation, Ear, until},
    seal::{Digest, Keyring, Kind, MasterKey, SealPosition},
    vault::Seq,
};

use crate::support::stage::{Home, LIMIT, Stage};

const TENANTS: usize = 100;

const TENANT_TIMEOUT: Duration = Duration::from_secs(12);

/// Pairings at the same time.
const PAIRINGS: usize = 8;

/// Sockets take 64 registrations each.
const HALF: usize = 45;

/// What is done to whose state in the vault, and what the operator is to read of it.
const DAMAGES: &[(&str, Wound, &str)] = &[
    ("missing-entry", Wound::MissingEntry, "is missing"),
    ("altered-entry", Wound::AlteredEntry, "does not open"),
    ("swapped-entries", Wound::SwappedEntries, "does not open"),
    ("foreign-entry", Wound::ForeignEntry, "does not open"),
    ("other-key", Wound::OtherKey, "which is not configured"),
    ("altered-chunk", Wound::AlteredChunks, "chunk 0 of snapshot"),
    ("missing-manifest", Wound::MissingManifests, "is missing"),
];

/// WhatsApp answers the login with 401.
const LOGGED_OUT: &str = "logged-out";

/// WhatsApp takes the connection and never answers the login.
const SILENT: &str = "a-silent-one";

/// Its newest snapshot is damaged, and the one before it is not: it comes up, by what the journal promises.
const LUCKY: &str = "lucky";

#[derive(Debug, Clone, Copy)]
enum Wound {
    /// In the middle: a journal whose end is cut off is one that is not so far yet.
    MissingEntry,
    AlteredEntry,
    SwappedEntries,
    /// Another tenant's, in the place of its own.
    ForeignEntry,
    /// Sealed with a master key that is not configured.
    OtherKey,
    /// Of all snapshots.
    AlteredChunks,
    /// All of them, after compaction: what is left of the journal does not reach back to the beginning.
    MissingManifests,
}

/// The directory of the old service says who was connected, and there is no journal yet: a platform that waits for `/health` must be able to
/// put the daemon there, or nobody could ever be moved in.
#[tokio::test(flavor = "multi_thread")]
async fn a_directory_without_any_state_does_not_keep_a_deploy_from_being_healthy() {
    let stage = Stage::new(Home::Embedded).await.unwrap();
    let daemon = stage.start().await;
    stage.pair("trattoria").await;
    daemon.kill().await.unwrap();
    let vault = Connection::open(stage.path("cloud/vault.db")).unwrap();
    vault.execute_batch("DELETE FROM journal; DELETE FROM manifests; DELETE FROM chunks").unwrap();
    drop(vault);
    let daemon = stage.start().await;
    let (code, health) = stage.health().await;
    assert_eq!((code, &health["status"]), (200, &json!("degraded")), "{health}");
    assert_eq!(health["sessions"]["ill"][0]["tenant"], json!("trattoria"), "{health}");
    assert_eq!(health["problems"]["unowned"], json!(1), "{health}");
    daemon.kill().await.unwrap();
}

/// Another key may open it: a deploy that serves nobody for the lack of one is not healthy.
#[tokio::test(flavor = "multi_thread")]
async fn a_deploy_without_the_key_of_its_tenants_is_not_healthy() {
    let stage = Stage::new(Home::Embedded).await.unwrap();
    let daemon = stage.start().await;
    stage.pair("trattoria").await;
    daemon.kill().await.unwrap();
    let vault = File(stage.path("cloud/vault.db"));
    let last = "SELECT max(seq) FROM journal WHERE tenant = 'trattoria' AND kind = 'last'";
    let last: i64 = vault.open().query_row(last, [], |row| row.get(0)).unwrap();
    vault.set_payload("trattoria", last, &sealed_by_another_key("trattoria", last));
    let daemon = stage.start().await;
    let (code, health) = stage.health().await;
    assert_eq!((code, &health["status"]), (503, &json!("unserved")), "{health}");
    let reason = health["sessions"]["ill"][0]["reason"].as_str().unwrap();
    assert!(reason.contains("which is not configured"), "{health}");
    daemon.kill().await.unwrap();
}

/// A tenant without any state hides nobody: of those that there are, another process has all.
#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_without_any_state_does_not_hide_that_nobody_is_served() {
    let stage = Stage::new(Home::Embedded).await.unwrap().shared();
    let daemon = stage.start().await;
    for tenant in ["trattoria", "osteria", "pizzeria"] {
        stage.pair(tenant).await;
    }
    daemon.kill().await.unwrap();
    let vault = Connection::open(stage.path("cloud/vault.db")).unwrap();
    for table in ["journal", "manifests", "chunks"] {
        vault.execute(&format!("DELETE FROM {table} WHERE tenant = 'pizzeria'"), []).unwrap();
    }
    drop(vault);
    let daemon = stage.start().await;
    let (code, health) = stage.health().await;
    assert_eq!(
        (code, &health["status"], &health["sessions"]["working"], &health["problems"]["unowned"]),
        (200, &json!("degraded"), &json!(2), &json!(1)),
        "{health}"
    );
    daemon.kill().await.unwrap();
    let vault = Connection::open(stage.path("cloud/vault.db")).unwrap();
    let altered = "UPDATE journal SET payload = x'00' WHERE tenant IN ('trattoria', 'osteria') AND seq = 2";
    assert_eq!(vault.execute(altered, []).unwrap(), 2);
    drop(vault);
    let daemon = stage.start().await;
    let (code, health) = stage.health().await;
    assert_eq!((code, &health["status"]), (503, &json!("unserved")), "{health}\n{}", stage.log());
    daemon.kill().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn nine_broken_tenants_cost_the_others_nothing() {
    let stage = Stage::new(Home::Embedded)
        .await
        .unwrap()
        .set("SESSIOND_SESSION__PRE_KEYS", "10")
        .set("SESSIOND_VAULT__SNAPSHOT_ENTRIES", "10");
    let vault = File(stage.path("cloud/vault.db"));

    // A first life with snapshots and compaction, …
    let daemon = stage.start().await;
    let wounded = DAMAGES.iter().map(|(name, ..)| *name).chain([LUCKY]);
    let mut conversations = pair(&stage, wounded.map(str::to_owned)).await;
    let ear = stage.listen(&conversations);
    talk_until(&stage, &mut conversations, &ear, |tenant| vault.is_compacted(tenant)).await;
    drop(ear);
    assert_eq!(daemon.terminate(LIMIT).await.unwrap(), Some(0), "{}", stage.log());

    // … and a second one with entries after them.
    let stage = stage.set("SESSIOND_VAULT__SNAPSHOT_ENTRIES", "1000");
    let daemon = stage.start().await;
    let ear = stage.listen(&conversations);
    let names = [LOGGED_OUT, SILENT].map(str::to_owned).into_iter();
    let others = names.chain((conversations.len() + 2..TENANTS).map(|n| format!("tenant{n}")));
    let (others, ()) = tokio::join!(
        pair(&stage, others),
        talk_until(&stage, &mut conversations, &ear, |tenant| vault.tail(tenant).len() >= 4),
    );
    conversations.extend(others);
    drop(ear);
    assert_eq!(daemon.terminate(LIMIT).await.unwrap(), Some(0), "{}", stage.log());
    assert_eq!(conversations.len(), TENANTS);

    for (tenant, wound, _) in DAMAGES {
        vault.inflict(tenant, *wound);
    }
    vault.alter_chunks(LUCKY, "AND seq = (SELECT max(seq) FROM chunks WHERE tenant = ?1)");
    let damaged_before: Vec<_> = DAMAGES.iter().map(|(tenant, ..)| vault.rows(tenant)).collect();
    let logged_out_before = vault.rows(LOGGED_OUT);
    let number = |tenant: &str| conversations.iter().find(|c| c.tenant == tenant).unwrap().number.clone();
    let (logged_out, silent) = (number(LOGGED_OUT), number(SILENT));
    let network = stage.network.clone();
    network.fault(Fault::new(FaultKind::ConnectFailure).code(401).target(logged_out)).await.unwrap();
    network.fault(Fault::new(FaultKind::WithholdLogin).target(&silent)).await.unwrap();

    let stage = stage.set("SESSIOND_RESTORE__TENANT_TIMEOUT", format!("{}s", TENANT_TIMEOUT.as_secs()));
    let mut daemon = stage.setup.spawn().unwrap();
    let opened = daemon.await_port(LIMIT).await.unwrap();
    assert!(opened < 3 * TENANT_TIMEOUT, "the port opened after {opened:?}");
    until(LIMIT, "the others to work", || async { health(&stage).await["sessions"]["working"] == json!(91) })
        .await
        .unwrap_or_else(|error| panic!("{error}\n{}", stage.log()));

    // Said is what is wrong, with whom: in the log, …
    let summary = logged(&stage, "restored").pop().unwrap();
    assert_eq!((&summary["tenants"], &summary["failed"]), (&json!(TENANTS), &json!(8)), "{summary}");
    let reasons = logged(&stage, "not restored");
    let expected = DAMAGES.iter().map(|(tenant, _, words)| (*tenant, *words));
    let expected: Vec<_> = expected.chain([(LOGGED_OUT, "logged this device out")]).collect();
    for (tenant, words) in &expected {
        let said = reasons.iter().find(|line| line["tenant"] == *tenant).unwrap_or_else(|| panic!("{tenant}"));
        assert!(said["reason"].as_str().unwrap().contains(words), "{said}");
    }
    assert!(logged(&stage, "not up in time: goes on in the background").iter().any(|line| line["tenant"] == SILENT));
    let passed_over = logged(&stage, "damage in the vault was passed over");
    assert_eq!(passed_over.iter().map(|line| &line["tenant"]).collect::<Vec<_>>(), [LUCKY]);
    // … and to those who have a key.
    assert_eq!(health(&stage).await["incidents"]["snapshots_passed_over"], json!(1));
    let ill = health(&stage).await["sessions"]["ill"].clone();
    let ill = ill.as_array().unwrap();
    for (tenant, words) in expected.iter().chain(&[(SILENT, "does not answer the login")]) {
        let told = ill.iter().find(|ill| ill["tenant"] == *tenant).unwrap_or_else(|| panic!("{tenant} in {ill:?}"));
        assert!(told["reason"].as_str().unwrap().contains(words), "{told}");
    }
    assert_eq!(ill.len(), 9, "{ill:?}");

    // Not one of them is offered a scan, not even one that asks.
    for (tenant, ..) in DAMAGES {
        let answer = stage.dashboard.post("/api/baileys/connect", json!({ "tenantId": tenant })).await.unwrap();
        assert_eq!((answer.status, &answer.body["code"]), (409, &json!("session_failed")), "{tenant}: {}", answer.body);
    }
    for broken in ill {
        let tenant = broken["tenant"].as_str().unwrap();
        assert_ne!(broken["state"], json!("SCAN_QR_CODE"), "{tenant}");
        let answer = stage.dashboard.get(&format!("/api/baileys/qr?tenantId={tenant}")).await.unwrap();
        assert_eq!(answer.body["qr"], Value::Null, "{tenant}");
    }

    // The others talk.
    let is_broken = |tenant: &str| ill.iter().any(|ill| ill["tenant"] == tenant);
    let (mut well, broken): (Vec<_>, Vec<_>) = conversations.into_iter().partition(|c| !is_broken(&c.tenant));
    assert_eq!((well.len(), broken.len()), (91, 9));
    for half in well.chunks_mut(HALF) {
        let ear = stage.listen(half);
        talk(&stage, half, &ear).await;
    }

    // What was damaged is as it was; of what WhatsApp rejected the state before it is kept; what was silent comes back.
    for ((tenant, ..), before) in DAMAGES.iter().zip(damaged_before) {
        assert!(vault.rows(tenant) == before, "{tenant}'s state was written over");
    }
    assert!(vault.keeps_state(LOGGED_OUT, &logged_out_before), "the state before the wipe is gone");
    network.clear_faults().await;
    network.fault(Fault::new(FaultKind::Drop).target(&silent)).await.unwrap();
    until(LIMIT, "the silent one to be back", || stage.dashboard.is_connected(SILENT))
        .await
        .unwrap_or_else(|error| panic!("{error}\n{}", stage.log()));
    well.extend(broken);
    stage.assert_promises(&well).await;
    daemon.kill().await.unwrap();
}

async fn pair(stage: &Stage, tenants: impl Iterator<Item = String>) -> Vec<Conversation> {
    let pairings = tenants.map(|tenant| Conversation::pair(&stage.network, &stage.dashboard, tenant, LIMIT));
    let paired = stream::iter(pairings).buffer_unordered(PAIRINGS).try_collect().await;
    paired.unwrap_or_else(|error| panic!("{error:#}\n{}", stage.log()))
}

/// A message from each customer, and an answer to each.
async fn talk(stage: &Stage, conversations: &mut [Conversation], ear: &Ear) {
    for conversation in conversations.iter_mut() {
        conversation.customers_write(&stage.network, 1).await.unwrap();
    }
    if let Err(error) = stage.tally.answer_all(conversations, &stage.dashboard, ear, LIMIT).await {
        panic!("{error:#}\n{}", stage.log());
    }
}

async fn talk_until(stage: &Stage, conversations: &mut [Conversation], ear: &Ear, enough: impl Fn(&str) -> bool) {
    const ROUNDS: usize = 40;
    for _ in 0..ROUNDS {
        talk(stage, conversations, ear).await;
        if conversations.iter().all(|conversation| enough(&conversation.tenant)) {
            return;
        }
    }
    panic!("{ROUNDS} rounds of messages made too few entries\n{}", stage.log());
}

async fn health(stage: &Stage) -> Value {
    stage.dashboard.get("/health").await.unwrap().body
}

fn sealed_by_another_key(tenant: &str, seq: i64) -> Vec<u8> {
    let seq = Seq(seq as u64);
    let place = SealPosition { kind: Kind::Entry, seq, part: 0, parts: 1, epoch: Seq(1), previous: Digest::ZERO };
    let keyring = Keyring::new(vec!["0b".repeat(32).parse::<MasterKey>().unwrap()]);
    keyring.tenant(&tenant.parse().unwrap()).seal(&place, b"anything").to_vec()
}

/// Lines of the log with this message.
fn logged(stage: &Stage, message: &str) -> Vec<Value> {
    let log = stage.log();
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines.filter(|line| line["message"] == message).collect()
}

/// The vault's file, past the daemon.
struct File(PathBuf);

impl File {
    fn open(&self) -> Connection {
        let connection = Connection::open(&self.0).unwrap();
        connection.busy_timeout(Duration::from_secs(10)).unwrap();
        connection
    }

    /// Two snapshots, and entries below them that are gone.
    fn is_compacted(&self, tenant: &str) -> bool {
        let query = "SELECT (SELECT count(*) FROM manifests WHERE tenant = ?1),
                            (SELECT max(seq) - count(*) FROM journal WHERE tenant = ?1)";
        let (snapshots, gone): (i64, Option<i64>) =
            self.open().query_row(query, [tenant], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        snapshots >= 2 && gone.is_some_and(|gone| gone > 0)
    }

    /// Numbers of the entries after the newest snapshot.
    fn tail(&self, tenant: &str) -> Vec<i64> {
        let query = "SELECT seq FROM journal WHERE tenant = ?1 AND kind = 'last'
                     AND seq > (SELECT max(seq) FROM manifests WHERE tenant = ?1) ORDER BY seq";
        let connection = self.open();
        let mut statement = connection.prepare(query).unwrap();
        statement.query_map([tenant], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    }

    fn payload(&self, tenant: &str, seq: i64) -> Vec<u8> {
        let query = "SELECT payload FROM journal WHERE tenant = ?1 AND seq = ?2";
        self.open().query_row(query, params![tenant, seq], |row| row.get(0)).unwrap()
    }

    fn set_payload(&self, tenant: &str, seq: i64, payload: &[u8]) {
        let update = "UPDATE journal SET payload = ?3 WHERE tenant = ?1 AND seq = ?2";
        assert_eq!(self.open().execute(update, params![tenant, seq, payload]).unwrap(), 1);
    }

    fn inflict(&self, tenant: &str, wound: Wound) {
        let tail = self.tail(tenant);
        let [first, second, ..] = tail[..] else { panic!("{tenant} has too few entries: {tail:?}") };
        match wound {
            Wound::MissingEntry => {
                let delete = "DELETE FROM journal WHERE tenant = ?1 AND seq = ?2";
                assert_eq!(self.open().execute(delete, params![tenant, second]).unwrap(), 1);
            }
            Wound::AlteredEntry => self.set_payload(tenant, second, &altered(self.payload(tenant, second))),
            Wound::SwappedEntries => {
                let (one, other) = (self.payload(tenant, first), self.payload(tenant, second));
                self.set_payload(tenant, first, &other);
                self.set_payload(tenant, second, &one);
            }
            Wound::ForeignEntry => self.set_payload(tenant, first, &self.payload(LUCKY, self.tail(LUCKY)[0])),
            Wound::OtherKey => {
                self.set_payload(tenant, second, &sealed_by_another_key(tenant, second));
            }
            Wound::AlteredChunks => self.alter_chunks(tenant, ""),
            Wound::MissingManifests => {
                assert!(self.open().execute("DELETE FROM manifests WHERE tenant = ?1", [tenant]).unwrap() >= 2);
            }
        }
    }

    fn alter_chunks(&self, tenant: &str, which: &str) {
        let connection = self.open();
        let query = format!("SELECT rowid, payload FROM chunks WHERE tenant = ?1 {which}");
        let mut statement = connection.prepare(&query).unwrap();
        let chunks = statement.query_map([tenant], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, Vec<u8>>(1)?)));
        let chunks: Vec<_> = chunks.unwrap().map(Result::unwrap).collect();
        assert!(!chunks.is_empty());
        for (row, payload) in chunks {
            let update = "UPDATE chunks SET payload = ?2 WHERE rowid = ?1";
            connection.execute(update, params![row, altered(payload)]).unwrap();
        }
    }

    /// All that the vault has of the tenant: each row with its table.
    fn rows(&self, tenant: &str) -> BTreeSet<String> {
        let connection = self.open();
        let mut rows = BTreeSet::new();
        for (table, owner) in [("tenants", "id"), ("journal", "tenant"), ("manifests", "tenant"), ("chunks", "tenant")]
        {
            let mut statement = connection.prepare(&format!("SELECT * FROM {table} WHERE {owner} = ?1")).unwrap();
            let columns = statement.column_count();
            let found = statement.query_map([tenant], |row| {
                let cells: Vec<Cell> = (0..columns).map(|n| row.get(n)).collect::<Result<_, _>>()?;
                Ok(format!("{table} {cells:?}"))
            });
            rows.extend(found.unwrap().map(Result::unwrap));
        }
        rows
    }

    /// The tenant is not connected any more, all of its former entries are there, and so is a snapshot that was made since.
    fn keeps_state(&self, tenant: &str, before: &BTreeSet<String>) -> bool {
        let now = self.rows(tenant);
        let mut entries = before.iter().filter(|row| !row.starts_with("tenants"));
        let query = "SELECT whatsapp_connected FROM tenants WHERE id = ?1";
        let connected: bool = self.open().query_row(query, [tenant], |row| row.get(0)).unwrap();
        let snapshots = |rows: &BTreeSet<String>| rows.iter().filter(|row| row.starts_with("manifests")).count();
        !connected && entries.all(|row| now.contains(row)) && snapshots(&now) == snapshots(before) + 1
    }
}

/// One bit of the last byte.
fn altered(mut payload: Vec<u8>) -> Vec<u8> {
    *payload.last_mut().unwrap() ^= 1;
    payload
}
