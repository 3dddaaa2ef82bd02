//! Another program at the embedded vault's file: it holds the lock, or takes away what is in it.

use std::{path::Path, time::Duration};

use rusqlite::Connection;
use tokio::{sync::oneshot, task::JoinHandle};

fn open(file: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(file)?;
    connection.busy_timeout(Duration::from_secs(10))?;
    Ok(connection)
}

/// Nobody else writes for so long.
pub async fn hold(file: &Path, length: Duration) {
    take(file, length).await.await.expect("no panic");
}

/// Returns when nobody else writes any more; the task ends when they can again.
pub async fn take(file: &Path, length: Duration) -> JoinHandle<()> {
    let file = file.to_owned();
    let (taken, is_taken) = oneshot::channel();
    let holding = tokio::task::spawn_blocking(move || {
        let connection = open(&file).expect("the vault's file opens");
        connection.execute_batch("BEGIN IMMEDIATE").expect("the vault's lock is to be had");
        // Whoever does not wait for it any more does not need to know.
        let _ = taken.send(());
        std::thread::sleep(length);
        connection.execute_batch("ROLLBACK").expect("the lock is given back");
    });
    // It says so, or it panics, and then its handle tells.
    let _ = is_taken.await;
    holding
}
