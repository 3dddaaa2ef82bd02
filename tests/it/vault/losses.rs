//! The vault forgets what was in it while the daemon runs, under traffic: everything that was acknowledged before and after is there at the
//! next start, on a wiped disk, and nobody scans again.

use rustix::process::Signal;
use serde_json::json;
use sessiond::{
    demo::{Conversation, until},
    vault::Vault,
};

use crate::{
    support::{
        stage::{Home, LIMIT, Stage},
        vault_loss::{self, Loss},
    },
    survival::damage,
};

const TENANT: &str = "trattoria";

/// What becomes of the embedded vault's file, which stays the same file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Harm {
    /// All that it has committed since the last checkpoint is gone.
    LogCut,
    /// A backup's content is in it.
    WrittenOver,
    /// It ends in its middle.
    CutInHalf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum VaultFate {
    Forgets(Loss),
    ComesTo(Harm),
}

/// As the daemon tells it.
const TOLD: [&str; 6] = [
    "the vault has lost",
    "the vault's file was deleted",
    "the vault's log was deleted",
    "was cut or damaged",
    "was written over",
    "is damaged",
];

struct LossScene {
    stage: Stage,
    /// While it is there, another program has the embedded vault's file open.
    vault: Option<Box<dyn Vault>>,
}

async fn made_good(home: Home, fate: VaultFate) {
    let Some(stage) = Stage::new(home).await else { return };
    // The log is moved into the file with a write: that is seldom.
    let stage = stage.set("SESSIOND_VAULT__SNAPSHOT_ENTRIES", "20").set("SESSIOND_HEARTBEAT__ANNOUNCE", "1s");
    let daemon = stage.start().await;
    let mut conversations = vec![stage.pair(TENANT).await];
    let vault = vault_loss::vault(&stage).await;
    let mut scene = LossScene { stage, vault: Some(vault) };
    scene.talk(&mut conversations).await;
    scene.back_up();
    for _ in 0..2 {
        scene.talk(&mut conversations).await;
    }
    scene.log_was_moved().await;
    // In the middle of a conversation: some of it is on its way in, and some on its way out.
    conversations[0].customers_write(&scene.stage.network, 2).await.unwrap();
    scene.befalls(fate).await;
    scene.talk(&mut conversations).await;
    scene.talk(&mut conversations).await;
    let log = scene.stage.log();
    // The log may have had nothing that is not in the file.
    assert!(fate == VaultFate::ComesTo(Harm::LogCut) || TOLD.iter().any(|told| log.contains(told)), "{log}");
    let well = || async { scene.stage.health().await.1["status"] == "ok" };
    until(LIMIT, "all to be well", well).await.unwrap_or_else(|error| panic!("{error}\n{log}"));
    if fate == VaultFate::Forgets(Loss::TheFile) {
        let (_, health) = scene.stage.health().await;
        let losses = health["incidents"]["vault_losses"].as_u64();
        assert!(losses >= Some(1) && health["warnings"].to_string().contains("was deleted"), "{health}");
    }

    daemon.kill().await.unwrap();
    scene.stage.wipe_local_data();
    let daemon = scene.stage.start().await;
    assert!(scene.stage.dashboard.is_connected(TENANT).await, "{}", scene.stage.log());
    scene.talk(&mut conversations).await;
    scene.stage.assert_promises(&conversations).await;
    daemon.kill().await.unwrap();
}

impl LossScene {
    async fn talk(&self, conversations: &mut [Conversation]) {
        let stage = &self.stage;
        let ear = stage.listen(conversations);
        conversations[0].customers_write(&stage.network, 2).await.unwrap();
        if let Err(error) = stage.tally.answer_all(conversations, &stage.dashboard, &ear, LIMIT).await {
            panic!("{error:#}\n{:#?}\n{}", stage.network.stats().await, stage.log());
        }
    }

    fn cloud(&self, name: &str) -> std::path::PathBuf {
        self.stage.path("cloud").join(name)
    }

    fn back_up(&self) {
        if self.stage.project.is_none() {
            let connection = rusqlite::Connection::open(self.cloud("vault.db")).unwrap();
            connection.busy_timeout(LIMIT).unwrap();
            connection.execute("VACUUM INTO ?1", [self.cloud("backup.db").to_str().unwrap()]).unwrap();
        }
    }

    /// All that was written until now is in the embedded vault's file itself.
    async fn log_was_moved(&self) {
        if self.stage.project.is_some() {
            return;
        }
        let file = format!("file:{}?immutable=1", self.cloud("vault.db").display());
        let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY | rusqlite::OpenFlags::SQLITE_OPEN_URI;
        let number = || {
            let connection = rusqlite::Connection::open_with_flags(&file, flags).ok()?;
            connection.query_row("SELECT number FROM checkpoints", [], |row| row.get::<_, i64>(0)).ok()
        };
        let before = number();
        until(LIMIT, "the log to be moved", || std::future::ready(number() > before)).await.unwrap();
    }

    async fn befalls(&mut self, fate: VaultFate) {
        let (file, log) = (self.cloud("vault.db"), self.cloud("vault.db-wal"));
        let open = |path: &std::path::Path| std::fs::OpenOptions::new().write(true).open(path).unwrap();
        match fate {
            VaultFate::Forgets(loss) => {
                let vault = self.vault.as_deref().unwrap();
                vault_loss::lose(&self.stage, vault, TENANT, loss).await;
            }
            VaultFate::ComesTo(Harm::LogCut) => open(&log).set_len(0).unwrap(),
            VaultFate::ComesTo(Harm::WrittenOver) => {
                self.vault = None;
                std::fs::copy(self.cloud("backup.db"), file).unwrap();
            }
            VaultFate::ComesTo(Harm::CutInHalf) => {
                self.vault = None;
                let pages = std::fs::metadata(&file).unwrap().len() / 4096;
                open(&file).set_len(pages / 2 * 4096).unwrap();
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_embedded_vault_that_was_emptied() {
    made_good(Home::Embedded, VaultFate::Forgets(Loss::Everything)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_firestore_that_was_emptied() {
    made_good(Home::Emulator, VaultFate::Forgets(Loss::Everything)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_embedded_vault_that_is_an_older_copy() {
    made_good(Home::Embedded, VaultFate::Forgets(Loss::TheEnd)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_firestore_that_is_an_older_copy() {
    made_good(Home::Emulator, VaultFate::Forgets(Loss::TheEnd)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_embedded_vaults_file_that_was_deleted() {
    made_good(Home::Embedded, VaultFate::Forgets(Loss::TheFile)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_embedded_vaults_log_that_was_deleted() {
    made_good(Home::Embedded, VaultFate::Forgets(Loss::TheLog)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_embedded_vaults_log_that_was_cut() {
    made_good(Home::Embedded, VaultFate::ComesTo(Harm::LogCut)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_embedded_vaults_file_that_was_written_over() {
    made_good(Home::Embedded, VaultFate::ComesTo(Harm::WrittenOver)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_embedded_vaults_file_that_was_cut_in_half() {
    made_good(Home::Embedded, VaultFate::ComesTo(Harm::CutInHalf)).await;
}

/// While the vault takes nothing that is what `/health` says, to those who have no key too.
#[tokio::test(flavor = "multi_thread")]
async fn a_vault_that_is_away_is_told() {
    let stage = Stage::new(Home::Embedded).await.unwrap().set("SESSIOND_HEARTBEAT__ANNOUNCE", "1s");
    let daemon = stage.start().await;
    let mut conversations = vec![stage.pair(TENANT).await];
    let ear = stage.listen(&conversations);
    let (cloud, away) = (stage.path("cloud"), stage.path("away"));
    std::fs::rename(&cloud, &away).unwrap();
    let says = |word: &'static str| {
        let stage = &stage;
        until(LIMIT, word, move || async move {
            let (status, health) = stage.health().await;
            (status, health["status"].as_str()) == (200, Some(word))
        })
    };
    says("vault_down").await.unwrap_or_else(|error| panic!("{error}\n{}", stage.log()));
    let refused = stage.dashboard.send(TENANT, &conversations[0].customers[0], "hello", "k").await.unwrap_err();
    assert!(refused.to_string().contains("503"), "{refused}");
    std::fs::rename(&away, &cloud).unwrap();
    says("ok").await.unwrap_or_else(|error| panic!("{error}\n{}", stage.log()));
    conversations[0].customers_write(&stage.network, 2).await.unwrap();
    stage.tally.answer_all(&mut conversations, &stage.dashboard, &ear, LIMIT).await.unwrap();
    stage.assert_promises(&conversations).await;
    daemon.kill().await.unwrap();
}

/// The operator sees who has lost what for as long as it lasts, and afterwards that it was.
#[tokio::test(flavor = "multi_thread")]
async fn a_loss_is_shown_while_it_lasts_and_counted() {
    let stage = Stage::new(Home::Embedded).await.unwrap();
    let daemon = stage.start().await;
    let mut conversations = vec![stage.pair(TENANT).await];
    let ear = stage.listen(&conversations);
    let connection = rusqlite::Connection::open(stage.path("cloud").join("vault.db")).unwrap();
    connection.busy_timeout(LIMIT).unwrap();
    // No snapshot lands.
    connection.execute_batch("ALTER TABLE chunks RENAME TO chunks_away; DELETE FROM journal").unwrap();
    conversations[0].customers_write(&stage.network, 1).await.unwrap();
    let ill = || async {
        let health = stage.health().await.1;
        let ill = health["sessions"]["ill"].as_array().unwrap().clone();
        ill.into_iter().find(|ill| ill["tenant"] == TENANT).map(|ill| ill["reason"].as_str().unwrap().to_owned())
    };
    let is_told = || async { ill().await.is_some_and(|reason| reason.contains("the vault has lost journal entry")) };
    until(LIMIT, "the loss to be told", is_told).await.unwrap_or_else(|error| panic!("{error}\n{}", stage.log()));
    connection.execute_batch("ALTER TABLE chunks_away RENAME TO chunks").unwrap();
    stage.tally.answer_all(&mut conversations, &stage.dashboard, &ear, LIMIT).await.unwrap();
    until(LIMIT, "the end of it to be told", || async { ill().await.is_none() }).await.unwrap();
    let (status, health) = stage.health().await;
    assert_eq!((status, &health["incidents"]["vault_losses"]), (200, &json!(1)), "{health}");
    stage.assert_promises(&conversations).await;
    daemon.kill().await.unwrap();
}

/// A backup is put in the place of the vault, and the working copies go with the rest of the disk: nobody has what was since, and the
/// tenant goes on from the backup.
#[tokio::test(flavor = "multi_thread")]
async fn a_restored_backup_beside_working_copies_that_are_gone() {
    let stage = Stage::new(Home::Embedded).await.unwrap().set("SESSIOND_SESSION__FILE_IDLE", "1s");
    let daemon = stage.start().await;
    let mut conversations = vec![stage.pair(TENANT).await];
    let ear = stage.listen(&conversations);
    let (vault, backup) = (stage.path("cloud").join("vault.db"), stage.path("cloud").join("backup.db"));
    let connection = rusqlite::Connection::open(&vault).unwrap();
    connection.busy_timeout(LIMIT).unwrap();
    connection.execute("VACUUM INTO ?1", [backup.to_str().unwrap()]).unwrap();
    drop(connection);
    conversations[0].customers_write(&stage.network, 2).await.unwrap();
    stage.tally.answer_all(&mut conversations, &stage.dashboard, &ear, LIMIT).await.unwrap();
    // A file that is open would be read as it was.
    let files = damage::working_copy(&stage.setup.data_dir, TENANT);
    let descriptors = format!("/proc/{}/fd", daemon.id().unwrap());
    let is_open = || {
        let mut open = std::fs::read_dir(&descriptors).unwrap().filter_map(|entry| entry.ok()?.path().read_link().ok());
        open.any(|open| files.contains(&open))
    };
    loop {
        until(LIMIT, "the file to be closed", || std::future::ready(!is_open())).await.unwrap();
        daemon.signal(Signal::STOP).unwrap();
        if !is_open() {
            break;
        }
        daemon.signal(Signal::CONT).unwrap();
    }
    files.iter().for_each(|file| std::fs::remove_file(file).unwrap());
    std::fs::rename(&backup, &vault).unwrap();
    daemon.signal(Signal::CONT).unwrap();
    // It needs the file.
    conversations[0].customers_write(&stage.network, 1).await.unwrap();
    let is_back = || async {
        stage.health().await.1["incidents"]["states_lost"] == json!(1) && stage.dashboard.is_connected(TENANT).await
    };
    until(LIMIT, "the tenant to go on", is_back).await.unwrap_or_else(|error| panic!("{error}\n{}", stage.log()));
    assert!(stage.log().contains("nobody has it any more"), "{}", stage.log());
    daemon.kill().await.unwrap();
}
