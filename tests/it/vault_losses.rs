//! The vault forgets what was in it while the daemon runs, under traffic: everything that was acknowledged before and after is there at the
//! next start, on a wiped disk, and nobody scans again.

use sessiond::{
    demo::Conversation,
    tenant::TenantId,
    vault::{DocumentKind, Seq, Vault, embedded::Embedded},
};

use crate::{
    emulator,
    stage::{Home, LIMIT, Stage},
};

const TENANT: &str = "trattoria";

/// What is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Loss {
    /// The tenant with everything below it.
    Everything,
    /// An older copy was put in the place: the last entries, and the snapshots since.
    TheEnd,
    /// The embedded vault's file.
    TheFile,
}

struct Scene {
    stage: Stage,
    vault: Box<dyn Vault>,
    project: Option<String>,
}

async fn made_good(home: Home, loss: Loss) {
    let Some(stage) = Stage::new(home).await else { return };
    let stage = stage.set("SESSIOND_VAULT__SNAPSHOT_ENTRIES", "20");
    let daemon = stage.start().await;
    let mut conversations = vec![stage.pair(TENANT).await];
    let project = stage.project.clone();
    let vault: Box<dyn Vault> = match &project {
        Some(project) => Box::new(emulator::vault(project).await.unwrap()),
        None => Box::new(Embedded::open(&stage.path("cloud").join("vault.db")).unwrap()),
    };
    let scene = Scene { stage, vault, project };
    for _ in 0..3 {
        scene.talk(&mut conversations).await;
    }
    // In the middle of a conversation: some of it is on its way in, and some on its way out.
    conversations[0].customers_write(&scene.stage.network, 2).await.unwrap();
    scene.lose(loss).await;
    scene.talk(&mut conversations).await;
    scene.talk(&mut conversations).await;
    let log = scene.stage.log();
    assert!(log.contains("the vault has lost") || log.contains("the vault's file was deleted"), "{log}");

    daemon.kill().await.unwrap();
    scene.stage.wipe_local_data();
    let daemon = scene.stage.start().await;
    assert!(scene.stage.dashboard.is_connected(TENANT).await, "{}", scene.stage.log());
    scene.talk(&mut conversations).await;
    scene.stage.assert_promises(&conversations).await;
    daemon.kill().await.unwrap();
}

impl Scene {
    async fn talk(&self, conversations: &mut [Conversation]) {
        let stage = &self.stage;
        let ear = stage.listen(conversations);
        conversations[0].customers_write(&stage.network, 2).await.unwrap();
        if let Err(error) = stage.tally.answer_all(conversations, &stage.dashboard, &ear, LIMIT).await {
            panic!("{error:#}\n{:#?}\n{}", stage.network.stats().await, stage.log());
        }
    }

    async fn lose(&self, loss: Loss) {
        let tenant: TenantId = TENANT.parse().unwrap();
        let documents = self.vault.documents(&tenant, Seq(1)).await.unwrap();
        let numbers: Vec<_> = documents.iter().map(|document| document.seq).collect();
        let from = match loss {
            Loss::TheFile => {
                for name in ["vault.db", "vault.db-wal", "vault.db-shm"] {
                    std::fs::remove_file(self.stage.path("cloud").join(name)).unwrap();
                }
                return;
            }
            Loss::Everything => Seq(1),
            Loss::TheEnd => numbers[numbers.len() - 3],
        };
        // First: once the documents go, the daemon writes everything anew, this too.
        if loss == Loss::Everything {
            self.remove_record();
        }
        // It goes on writing meanwhile, and only what is lost at the end is noticed.
        let mut before = numbers.last().copied();
        let mut lost: Vec<_> = numbers.into_iter().filter(|seq| *seq >= from).collect();
        while !lost.is_empty() {
            self.vault.remove_documents(&tenant, &lost).await.unwrap();
            let since = self.vault.documents(&tenant, from).await.unwrap();
            let since = since.iter().filter(|document| Some(document.seq) > before);
            if since.clone().any(|document| document.kind == DocumentKind::Takeover) {
                break;
            }
            lost = since.map(|document| document.seq).collect();
            before = before.max(lost.last().copied());
        }
        for id in self.vault.snapshots(&tenant).await.unwrap() {
            if id.seq >= from && Some(id.seq) <= before {
                self.vault.remove_snapshot(&tenant, &id).await.unwrap();
            }
        }
    }

    fn remove_record(&self) {
        match &self.project {
            Some(project) => emulator::delete(project, &format!("tenants/{TENANT}")),
            None => {
                let connection = rusqlite::Connection::open(self.stage.path("cloud").join("vault.db")).unwrap();
                connection.busy_timeout(LIMIT).unwrap();
                connection.execute("DELETE FROM tenants", []).unwrap();
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_embedded_vault_that_was_emptied() {
    made_good(Home::Embedded, Loss::Everything).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_firestore_that_was_emptied() {
    made_good(Home::Emulator, Loss::Everything).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_embedded_vault_that_is_an_older_copy() {
    made_good(Home::Embedded, Loss::TheEnd).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_firestore_that_is_an_older_copy() {
    made_good(Home::Emulator, Loss::TheEnd).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_embedded_vaults_file_that_was_deleted() {
    made_good(Home::Embedded, Loss::TheFile).await;
}
