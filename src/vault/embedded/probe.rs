//! Looks into the file with nothing in memory, beside whoever has it open.

use std::path::Path;

use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension as _, config::DbConfig, ffi};

use super::{VaultError, schema, writer::vault_error};

/// Not a disk that fails, which may be over soon.
pub(super) fn is_damage(error: &rusqlite::Error) -> bool {
    let cut = ffi::SQLITE_IOERR_SHORT_READ;
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
        || error.sqlite_error().is_some_and(|error| error.extended_code == cut)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WriteAheadLog {
    Counts,
    /// As if there were none.
    IsIgnored,
}

/// Reads the file with nothing in memory.
pub(super) fn look_into(path: &Path, log: WriteAheadLog) -> rusqlite::Result<Connection> {
    let writable = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = match log {
        WriteAheadLog::Counts => Connection::open_with_flags(path, writable)?,
        WriteAheadLog::IsIgnored => {
            let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
            Connection::open_with_flags(format!("file:{}?immutable=1", in_uri(path)), flags)?
        }
    };
    connection.busy_timeout(schema::BUSY)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    Ok(connection)
}

fn in_uri(path: &Path) -> String {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"/-_.".contains(byte);
    let bytes = path.as_os_str().as_encoded_bytes().iter();
    bytes.map(|byte| if plain(byte) { char::from(*byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

/// Says what is wrong with the file. An error: it cannot be read now.
pub(super) fn damage(path: &Path, log: WriteAheadLog) -> Result<Option<String>, VaultError> {
    let check = || look_into(path, log)?.query_row("PRAGMA quick_check(1)", [], |row| row.get::<_, String>(0));
    match check() {
        Ok(said) if said == "ok" => Ok(None),
        Ok(said) => Ok(Some(said)),
        Err(error) if is_damage(&error) => Ok(Some(error.to_string())),
        Err(error) => Err(vault_error(error)),
    }
}

/// The number of the last checkpoint and the check value that the file itself has, if it is one that has such.
pub(super) fn marks_in(path: &Path) -> rusqlite::Result<(Option<i64>, Option<Vec<u8>>)> {
    let connection = look_into(path, WriteAheadLog::IsIgnored)?;
    let known = |error: &rusqlite::Error| {
        // There is no such table, or nothing in it.
        is_damage(error) || matches!(error.sqlite_error_code(), None | Some(ErrorCode::Unknown))
    };
    let number = match schema::last_checkpoint(&connection) {
        Err(error) if known(&error) => None,
        number => Some(number?),
    };
    let value = match check_value(&connection) {
        Err(error) if known(&error) => None,
        value => value?,
    };
    Ok((number, value))
}

pub(super) fn check_value(connection: &Connection) -> rusqlite::Result<Option<Vec<u8>>> {
    connection.query_row("SELECT value FROM check_value", [], |row| row.get(0)).optional()
}

/// Another vault, or another program's file. `own`: our check value.
pub(super) fn is_foreign(path: &Path, own: &[u8]) -> Result<bool, VaultError> {
    let ask = || {
        let connection = look_into(path, WriteAheadLog::Counts)?;
        if schema::is_empty(&connection)? {
            return Ok(false);
        }
        let application: i32 = connection.query_row("PRAGMA application_id", [], |row| row.get(0))?;
        Ok(application != schema::APPLICATION || check_value(&connection)?.is_some_and(|found| found != own))
    };
    ask().map_err(vault_error)
}
