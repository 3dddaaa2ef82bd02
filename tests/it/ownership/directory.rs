//! Other hands write in the directory: a record that is gone, or that says "not connected" of a tenant that is paired, costs nobody the
//! session.

use rusqlite::Connection;
use serde_json::json;
use sessiond::demo::{Process, until};

use crate::support::{
    emulator,
    stage::{Home, LIMIT, Stage},
};

const TENANT: &str = "trattoria";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hand {
    SaysNotConnected,
    RemovesTheRecord,
}

pub const HANDS: [Hand; 2] = [Hand::SaysNotConnected, Hand::RemovesTheRecord];

/// The directory, past the daemon.
pub enum Directory {
    File(std::path::PathBuf),
    /// The URL of the tenant's document.
    Emulator(String),
}

impl Directory {
    pub fn of(stage: &Stage, home: Home) -> Self {
        let project = || {
            let mut environment = stage.setup.environment.iter();
            environment.find(|(name, _)| name == "FIRESTORE_PROJECT_ID").unwrap().1.clone()
        };
        match home {
            Home::Embedded => Self::File(stage.path("cloud").join("vault.db")),
            Home::Emulator => Self::Emulator(format!(
                "http://{}/v1/projects/{}/databases/(default)/documents/tenants/{TENANT}",
                emulator::host().unwrap(),
                project()
            )),
        }
    }

    /// Whether there was a record.
    pub async fn change(&self, hand: Hand) -> bool {
        match self {
            Self::File(file) => {
                let connection = Connection::open(file).unwrap();
                connection.busy_timeout(LIMIT).unwrap();
                let change = match hand {
                    Hand::SaysNotConnected => "UPDATE tenants SET whatsapp_connected = 0 WHERE id = ?1",
                    Hand::RemovesTheRecord => "DELETE FROM tenants WHERE id = ?1",
                };
                connection.execute(change, [TENANT]).unwrap() == 1
            }
            Self::Emulator(url) => {
                let client = reqwest::Client::new();
                let fields = json!({ "fields": { "whatsappConnected": { "booleanValue": false } } });
                let request = match hand {
                    Hand::SaysNotConnected => {
                        client.patch(format!("{url}?updateMask.fieldPaths=whatsappConnected")).json(&fields)
                    }
                    Hand::RemovesTheRecord => client.delete(url),
                };
                let answer = request.header("Authorization", "Bearer owner").send().await.unwrap();
                assert!(answer.status().is_success(), "{}", answer.text().await.unwrap());
                true
            }
        }
    }

    async fn says_connected(&self) -> bool {
        match self {
            Self::File(file) => {
                let connection = Connection::open(file).unwrap();
                connection.busy_timeout(LIMIT).unwrap();
                let query =
                    "SELECT count(*) FROM tenants WHERE id = ?1 AND whatsapp_connected AND phone_number IS NOT NULL";
                connection.query_row(query, [TENANT], |row| row.get::<_, i64>(0)).unwrap() == 1
            }
            Self::Emulator(url) => {
                let request = reqwest::Client::new().get(url).header("Authorization", "Bearer owner");
                let document: serde_json::Value = request.send().await.unwrap().json().await.unwrap();
                document["fields"]["whatsappConnected"]["booleanValue"] == json!(true)
                    && document["fields"]["phoneNumber"]["stringValue"].is_string()
            }
        }
    }

    async fn until_connected(&self, stage: &Stage, when: &str) {
        until(LIMIT, "the record to be right", || self.says_connected())
            .await
            .unwrap_or_else(|error| panic!("{when}: {error}\n{}", stage.log()));
    }
}

async fn is_put_right(home: Home) {
    let Some(stage) = Stage::new(home).await else { return };
    let stage = stage.set("SESSIOND_HEARTBEAT__DIRECTORY", "1s");
    let mut daemon = stage.start().await;
    let mut conversations = vec![stage.pair(TENANT).await];
    let ear = stage.listen(&conversations);
    let directory = Directory::of(&stage, home);
    for hand in HANDS {
        let before = stage.health().await.1["incidents"]["records_mended"].as_u64().unwrap();
        assert!(directory.change(hand).await);
        directory.until_connected(&stage, &format!("{hand:?} while it runs")).await;
        let mended = || async { stage.health().await.1["incidents"]["records_mended"].as_u64().unwrap() > before };
        until(LIMIT, "the mending to be told", mended).await.unwrap();
        assert!(stage.dashboard.is_connected(TENANT).await, "the session noticed");
        conversations[0].customers_write(&stage.network, 1).await.unwrap();
        stage.tally.answer_all(&mut conversations, &stage.dashboard, &ear, LIMIT).await.unwrap();
    }
    // While nobody is there to see it.
    for hand in HANDS {
        daemon.kill().await.unwrap();
        assert!(directory.change(hand).await);
        daemon = stage.start().await;
        until(LIMIT, "the tenant to be restored", || stage.dashboard.is_connected(TENANT))
            .await
            .unwrap_or_else(|error| panic!("{hand:?} while it is down: {error}\n{}", stage.log()));
        directory.until_connected(&stage, &format!("{hand:?} while it is down")).await;
    }
    conversations[0].customers_write(&stage.network, 1).await.unwrap();
    stage.tally.answer_all(&mut conversations, &stage.dashboard, &ear, LIMIT).await.unwrap();
    stage.assert_promises(&conversations).await;
    unlinks(stage, daemon, &directory).await;
}

/// A tenant that is unlinked stays so: its journal says it, too.
async fn unlinks(stage: Stage, daemon: Process, directory: &Directory) {
    let answer = stage.dashboard.post("/api/baileys/disconnect", json!({ "tenantId": TENANT })).await.unwrap();
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert!(!directory.says_connected().await);
    daemon.kill().await.unwrap();
    let daemon = stage.start().await;
    let looked = std::time::Instant::now() + std::time::Duration::from_secs(3);
    while std::time::Instant::now() < looked {
        assert!(!stage.dashboard.is_connected(TENANT).await && !directory.says_connected().await, "{}", stage.log());
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    daemon.kill().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_others_changed_is_put_right() {
    is_put_right(Home::Embedded).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_others_changed_is_put_right_with_firestore() {
    is_put_right(Home::Emulator).await;
}

/// Whoever connects the tenant puts its record right as well.
#[tokio::test(flavor = "multi_thread")]
async fn connect_puts_the_record_right() {
    let stage = Stage::new(Home::Embedded).await.unwrap();
    let daemon = stage.start().await;
    stage.pair(TENANT).await;
    let directory = Directory::of(&stage, Home::Embedded);
    for path in ["/api/baileys/connect", "/api/sessions/trattoria/start"] {
        for hand in HANDS {
            assert!(directory.change(hand).await);
            let answer = stage.dashboard.post(path, json!({ "tenantId": TENANT })).await.unwrap();
            assert!((200..300).contains(&answer.status), "{}", answer.body);
            directory.until_connected(&stage, &format!("{hand:?}, {path}")).await;
        }
    }
    daemon.kill().await.unwrap();
}

/// The vault does not answer the first opening. The directory said "connected", which the second try has to remember: no state is damage
/// then, and nobody may scan.
#[tokio::test(flavor = "multi_thread")]
async fn a_connected_tenant_without_a_state_is_not_begun_anew_at_the_second_try() {
    const GHOST: &str = "pizzeria";
    let stage = Stage::new(Home::Embedded).await.unwrap();
    let daemon = stage.start().await;
    let connection = Connection::open(stage.path("cloud").join("vault.db")).unwrap();
    connection.busy_timeout(LIMIT).unwrap();
    connection.execute("INSERT INTO tenants (id, whatsapp_connected) VALUES (?1, 1)", [GHOST]).unwrap();
    connection.execute_batch("ALTER TABLE journal RENAME TO journal_away").unwrap();
    let answer = stage.dashboard.post("/api/baileys/connect", json!({ "tenantId": GHOST })).await.unwrap();
    assert_eq!(answer.status, 503, "{}", answer.body);
    connection.execute_batch("ALTER TABLE journal_away RENAME TO journal").unwrap();
    let is_told = || async {
        let health = stage.health().await.1;
        let mut ill = health["sessions"]["ill"].as_array().unwrap().iter().filter(|ill| ill["tenant"] == GHOST);
        ill.any(|ill| ill["reason"].as_str().unwrap().contains("has no state of it"))
    };
    until(LIMIT, "the damage to be told", is_told).await.unwrap_or_else(|error| panic!("{error}\n{}", stage.log()));
    let written: i64 = connection.query_row("SELECT count(*) FROM journal", [], |row| row.get(0)).unwrap();
    assert_eq!(written, 0, "a new state was begun");
    daemon.kill().await.unwrap();
}

/// Whom the directory has lost is looked for once after a start, and the vault does not answer then.
#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_is_gone_is_put_right_once_the_state_can_be_read() {
    let stage = Stage::new(Home::Embedded).await.unwrap();
    let mut daemon = stage.start().await;
    stage.pair(TENANT).await;
    let directory = Directory::of(&stage, Home::Embedded);
    for hand in HANDS {
        daemon.kill().await.unwrap();
        assert!(directory.change(hand).await);
        let connection = Connection::open(stage.path("cloud").join("vault.db")).unwrap();
        connection.busy_timeout(LIMIT).unwrap();
        connection.execute_batch("ALTER TABLE journal RENAME COLUMN payload TO payload_away").unwrap();
        let seen = stage.log().len();
        daemon = stage.start().await;
        let is_unread =
            async || stage.log()[seen..].contains("tenant state cannot be read: whether it is paired is unknown");
        until(LIMIT, "a look in vain", is_unread).await.unwrap_or_else(|error| panic!("{error}\n{}", stage.log()));
        assert!(!stage.dashboard.is_connected(TENANT).await);
        connection.execute_batch("ALTER TABLE journal RENAME COLUMN payload_away TO payload").unwrap();
        until(LIMIT, "the tenant to be restored", || stage.dashboard.is_connected(TENANT))
            .await
            .unwrap_or_else(|error| panic!("{hand:?}: {error}\n{}", stage.log()));
        directory.until_connected(&stage, &format!("{hand:?}")).await;
    }
    daemon.kill().await.unwrap();
}

/// What a record says beside "connected" only informs: the journal knows it.
#[tokio::test(flavor = "multi_thread")]
async fn what_another_hand_has_spoilt_in_a_record_costs_nothing() {
    let stage = Stage::new(Home::Embedded).await.unwrap();
    let mut daemon = stage.start().await;
    let conversation = stage.pair(TENANT).await;
    daemon.kill().await.unwrap();
    let connection = Connection::open(stage.path("cloud").join("vault.db")).unwrap();
    let spoil =
        "UPDATE tenants SET config = '{ no JSON', phone_number = x'00', last_error_at = 'yesterday', name = x'ff'";
    assert_eq!(connection.execute(spoil, []).unwrap(), 1);
    drop(connection);
    stage.wipe_local_data();
    daemon = stage.start().await;
    assert!(stage.dashboard.is_connected(TENANT).await, "{}", stage.log());
    stage.dashboard.send(TENANT, &conversation.customers[0], "still here", "key").await.unwrap();
    daemon.kill().await.unwrap();
}
