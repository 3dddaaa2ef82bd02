//! The file: how it is opened, and its tables.

use std::{
    fs::{self, OpenOptions, Permissions},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::Path,
    thread,
    time::{Duration, Instant},
};

use rusqlite::{Connection, ErrorCode, Transaction, TransactionBehavior};

use super::{VaultError, writer::vault_error};

/// How long to wait for another process that holds the write lock.
pub(super) const BUSY: Duration = Duration::from_secs(5);
/// "sesd": SQLite files of other programs are not taken for a vault.
pub(super) const APPLICATION: i32 = 0x7365_7364;
/// A file of an older layout is brought up, step by step; one of a newer is left as it is.
pub(super) const LAYOUTS: &[&str] = &[TENANTS, KEYS, SEGMENTS, PROCESSES, DELETIONS];
const VERSION: i32 = LAYOUTS.len() as i32;

/// Times are microseconds since 1970. A payload comes last in its row, so that a scan of the other columns does not read it.
const TENANTS: &str = "
    CREATE TABLE tenants (
        id TEXT PRIMARY KEY NOT NULL,
        name TEXT,
        whatsapp_connected INTEGER NOT NULL,
        phone_number TEXT,
        connected_at INTEGER,
        status TEXT,
        last_error TEXT,
        last_error_at INTEGER,
        config TEXT
    );
    CREATE TABLE journal (
        tenant TEXT NOT NULL,
        seq INTEGER NOT NULL,
        kind TEXT NOT NULL,
        writer TEXT NOT NULL,
        at INTEGER NOT NULL,
        payload BLOB NOT NULL,
        PRIMARY KEY (tenant, seq)
    );
    CREATE TABLE manifests (
        tenant TEXT NOT NULL,
        seq INTEGER NOT NULL,
        attempt TEXT NOT NULL,
        payload BLOB NOT NULL,
        PRIMARY KEY (tenant, seq, attempt)
    );
    CREATE TABLE chunks (
        tenant TEXT NOT NULL,
        seq INTEGER NOT NULL,
        attempt TEXT NOT NULL,
        n INTEGER NOT NULL,
        payload BLOB NOT NULL,
        PRIMARY KEY (tenant, seq, attempt, n)
    );
    CREATE TABLE instances (
        id TEXT PRIMARY KEY NOT NULL,
        address TEXT,
        version TEXT NOT NULL,
        started_at INTEGER NOT NULL,
        heartbeat_at INTEGER NOT NULL,
        draining INTEGER NOT NULL
    );
    CREATE TABLE check_value (
        only INTEGER PRIMARY KEY CHECK (only = 1),
        value BLOB NOT NULL
    );
";

/// `change` numbers the changes of all keys. No `tenant`: an admin's.
const KEYS: &str = "
    CREATE TABLE api_keys (
        hash TEXT PRIMARY KEY NOT NULL,
        id TEXT NOT NULL,
        tenant TEXT,
        scopes TEXT NOT NULL,
        active INTEGER NOT NULL,
        created_at INTEGER NOT NULL,
        last_used_at INTEGER,
        revoked_at INTEGER,
        change INTEGER NOT NULL UNIQUE
    );
";

const SEGMENTS: &str = "
    CREATE TABLE segments (
        tenant TEXT NOT NULL,
        name TEXT NOT NULL,
        payload BLOB NOT NULL,
        PRIMARY KEY (tenant, name)
    );
";

const PROCESSES: &str = "ALTER TABLE instances ADD COLUMN process TEXT;";

/// Letters from one process to another, for as long as both live. Beside the layouts, so that a program that does not
/// know them, as after a deploy that was rolled back, still opens the file.
const LETTERS: &str = "
    CREATE TABLE IF NOT EXISTS letters (
        recipient TEXT NOT NULL,
        sender TEXT NOT NULL,
        payload BLOB NOT NULL,
        PRIMARY KEY (recipient, sender)
    );
";

/// Where a process takes what others forward. Beside the layouts, too: whoever does not know the column writes its own row without it.
const LISTENERS: &str = "ALTER TABLE instances ADD COLUMN listens_at TEXT;";

const DELETIONS: &str = "ALTER TABLE tenants ADD COLUMN deleted_at INTEGER;";

/// The number of the last checkpoint. Beside the layouts: a program that does not know it leaves it alone.
const CHECKPOINTS: &str = "
    CREATE TABLE IF NOT EXISTS checkpoints (
        only INTEGER PRIMARY KEY CHECK (only = 1),
        number INTEGER NOT NULL
    );
";

/// Opens the file or makes it, for its owner only. Several processes may do so at the same time.
pub(super) fn open(path: &Path) -> Result<Connection, VaultError> {
    make_private(path).map_err(|error| VaultError::Refused(format!("{}: {error}", path.display())))?;
    let mut connection = Connection::open(path).map_err(vault_error)?;
    connection.busy_timeout(BUSY).map_err(vault_error)?;
    // Before anything is changed in it. In a transaction, or it would see another process set it up half.
    layout(&connection.transaction().map_err(vault_error)?)?;
    // Counts for a file that is empty: one that is made without it keeps all room that it ever had.
    connection.pragma_update(None, "auto_vacuum", "INCREMENTAL").map_err(vault_error)?;
    prepare(&connection).map_err(vault_error)?;
    set_up(&mut connection)?;
    Ok(connection)
}

/// SQLite gives its `-wal` and `-shm` the mode of the file.
pub(super) fn make_private(path: &Path) -> std::io::Result<()> {
    OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path)?;
    fs::set_permissions(path, Permissions::from_mode(0o600))
}

fn prepare(connection: &Connection) -> rusqlite::Result<()> {
    connection.set_prepared_statement_cache_capacity(64);
    // The change to WAL does not wait for another process that makes it too.
    let started = Instant::now();
    loop {
        match connection.pragma_update(None, "journal_mode", "WAL") {
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) && started.elapsed() < BUSY => {
                thread::sleep(Duration::from_millis(5));
            }
            result => break result?,
        }
    }
    // FULL: an answered commit survives the loss of power.
    connection.pragma_update(None, "synchronous", "FULL")?;
    // Gives back the disk space of a log that a burst made large.
    connection.pragma_update(None, "journal_size_limit", 16 * 1024 * 1024)
}

/// Zero for an empty file. Refuses what is no vault, or a later program's.
fn layout(transaction: &Transaction<'_>) -> Result<i32, VaultError> {
    let number = |query| transaction.query_row(query, [], |row| row.get::<_, i32>(0)).map_err(vault_error);
    match (number("PRAGMA application_id")?, number("PRAGMA user_version")?) {
        (APPLICATION, version @ 1..=VERSION) => Ok(version),
        (APPLICATION, other) => {
            Err(VaultError::Refused(format!("the file has layout {other}, this program knows {VERSION}")))
        }
        (0, 0) if number("SELECT count(*) FROM sqlite_schema")? == 0 => Ok(0),
        _ => Err(VaultError::Refused("the file is no vault but some other SQLite file".into())),
    }
}

fn set_up(connection: &mut Connection) -> Result<(), VaultError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(vault_error)?;
    let missing = LAYOUTS.iter().skip(layout(&transaction)? as usize).copied().collect::<String>();
    if missing.is_empty() && has_all_beside(&transaction).map_err(vault_error)? {
        return Ok(());
    }
    let make = || {
        transaction.execute_batch(&missing)?;
        transaction.execute_batch(CHECKPOINTS)?;
        transaction.execute_batch(LETTERS)?;
        if !has_listeners(&transaction)? {
            transaction.execute_batch(LISTENERS)?;
        }
        transaction.pragma_update(None, "application_id", APPLICATION)?;
        transaction.pragma_update(None, "user_version", VERSION)
    };
    make().map_err(vault_error)?;
    transaction.commit().map_err(vault_error)
}

fn has_all_beside(connection: &Connection) -> rusqlite::Result<bool> {
    let count = "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name IN ('checkpoints', 'letters')";
    let has_tables = connection.query_row(count, [], |row| Ok(row.get::<_, i32>(0)? == 2))?;
    Ok(has_tables && has_listeners(connection)?)
}

fn has_listeners(connection: &Connection) -> rusqlite::Result<bool> {
    let column = "SELECT 1 FROM pragma_table_info('instances') WHERE name = 'listens_at'";
    connection.prepare(column)?.exists([])
}

/// Gives pages of deleted rows back to the disk, at the next checkpoint: so many at a time, as each may cost a page of the log.
pub(super) fn give_back(connection: &Connection) -> rusqlite::Result<()> {
    let free: i64 = connection.query_row("PRAGMA freelist_count", [], |row| row.get(0))?;
    if free == 0 {
        return Ok(());
    }
    let mut vacuum = connection.prepare("PRAGMA incremental_vacuum(1024)")?;
    let mut rows = vacuum.query([])?;
    while rows.next()?.is_some() {}
    Ok(())
}

/// Gives the next checkpoint its number.
pub(super) fn number_checkpoint(connection: &Connection) -> rusqlite::Result<i64> {
    let put = "INSERT INTO checkpoints (only, number) VALUES (1, 1) ON CONFLICT DO UPDATE SET number = number + 1";
    connection.prepare_cached(put)?.execute([])?;
    last_checkpoint(connection)
}

/// An error: there was none.
pub(super) fn last_checkpoint(connection: &Connection) -> rusqlite::Result<i64> {
    connection.query_row("SELECT number FROM checkpoints", [], |row| row.get(0))
}

pub(super) fn is_empty(connection: &Connection) -> rusqlite::Result<bool> {
    connection.prepare("SELECT 1 FROM sqlite_schema")?.exists([]).map(|found| !found)
}
