//! Another program at the embedded vault's file: it holds the lock, or takes away what is in it.

use std::{path::Path, time::Duration};

use rusqlite::Connection;

fn open(file: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(file)?;
    connection.busy_timeout(Duration::from_secs(10))?;
    Ok(connection)
}

/// Nobody else writes for so long.
pub async fn hold(file: &Path, length: Duration) {
    let file = file.to_owned();
    let held = tokio::task::spawn_blocking(move || {
        let connection = open(&file)?;
        connection.execute_batch("BEGIN IMMEDIATE")?;
        std::thread::sleep(length);
        connection.execute_batch("ROLLBACK")
    });
    held.await.expect("no panic").expect("the vault's lock is to be had");
}
