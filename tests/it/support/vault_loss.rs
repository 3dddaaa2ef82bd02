//! What a vault may forget while a daemon runs, and the hand that makes it forget.

use sessiond::{
    tenant::TenantId,
    vault::{DocumentKind, Seq, Vault, embedded::Embedded},
};

use crate::support::{
    emulator,
    stage::{LIMIT, Stage},
};

/// The loss.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// The tenant with everything below it.
    Everything,
    /// An older copy was put in the place: the last entries, and the snapshots since.
    TheEnd,
    /// The embedded vault's file.
    TheFile,
    /// All that it has committed since the last checkpoint.
    TheLog,
}

/// The stage's vault, past the daemon.
pub async fn vault(stage: &Stage) -> Box<dyn Vault> {
    match &stage.project {
        Some(project) => Box::new(emulator::vault(project).await.unwrap()),
        None => Box::new(Embedded::open(&stage.path("cloud").join("vault.db")).unwrap()),
    }
}

pub async fn lose(stage: &Stage, vault: &dyn Vault, tenant: &str, loss: Loss) {
    let id: TenantId = tenant.parse().unwrap();
    let documents = vault.documents(&id, Seq(1)).await.unwrap();
    let numbers: Vec<_> = documents.iter().map(|document| document.seq).collect();
    let from = match loss {
        Loss::TheLog => {
            std::fs::remove_file(stage.path("cloud").join("vault.db-wal")).unwrap();
            return;
        }
        Loss::TheFile => {
            for name in ["vault.db", "vault.db-wal", "vault.db-shm"] {
                std::fs::remove_file(stage.path("cloud").join(name)).unwrap();
            }
            return;
        }
        Loss::Everything => Seq(1),
        Loss::TheEnd => numbers[numbers.len().saturating_sub(3)],
    };
    // First: once the documents go, the daemon writes everything anew, this too.
    if loss == Loss::Everything {
        remove_record(stage, tenant);
    }
    // It goes on writing meanwhile, and only what is lost at the end is noticed.
    let mut before = numbers.last().copied();
    let mut lost: Vec<_> = numbers.into_iter().filter(|seq| *seq >= from).collect();
    while !lost.is_empty() {
        vault.remove_documents(&id, &lost).await.unwrap();
        let since = vault.documents(&id, from).await.unwrap();
        let since = since.iter().filter(|document| Some(document.seq) > before);
        if since.clone().any(|document| document.kind == DocumentKind::Takeover) {
            break;
        }
        lost = since.map(|document| document.seq).collect();
        before = before.max(lost.last().copied());
    }
    for snapshot in vault.snapshots(&id).await.unwrap() {
        if snapshot.seq >= from && Some(snapshot.seq) <= before {
            vault.remove_snapshot(&id, &snapshot).await.unwrap();
        }
    }
}

fn remove_record(stage: &Stage, tenant: &str) {
    match &stage.project {
        Some(project) => emulator::delete(project, &format!("tenants/{tenant}")),
        None => {
            let connection = rusqlite::Connection::open(stage.path("cloud").join("vault.db")).unwrap();
            connection.busy_timeout(LIMIT).unwrap();
            connection.execute("DELETE FROM tenants WHERE id = ?1", [tenant]).unwrap();
        }
    }
}
