//! All rows of a damaged file that can be read, in a new one.
//!
//! A table is read from its beginning up to the damage, and then from its end. A part of a tenant's journal is of no use by itself: its
//! owner, if it runs, writes the tenant anew.

use std::path::Path;

use rusqlite::{Connection, ErrorCode, Transaction, params_from_iter, types::Value};

use super::{VaultError, probe::is_damage, schema, writer::vault_error};

/// `new` is made, or is empty.
pub(super) fn copy(damaged: &Connection, new: &Path) -> Result<(), VaultError> {
    let mut connection = schema::open(new)?;
    let mut copied = || {
        let transaction = connection.transaction()?;
        for table in tables(&transaction)? {
            let (rows, end) = copy_table(damaged, &transaction, &table)?;
            match end {
                Ok(()) => {
                    tracing::info!(event = "vault_table_rescued", table, rows, "a table of the damaged file was read")
                }
                Err(error) => {
                    tracing::error!(
                        event = "vault_table_cut",
                        table,
                        rows,
                        %error,
                        "a table of the damaged file was read in part"
                    )
                }
            }
        }
        transaction.commit()?;
        // One file, that can be moved.
        connection.pragma_update(None, "journal_mode", "DELETE")
    };
    copied().map_err(vault_error)
}

fn tables(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    let query = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'";
    connection.prepare(query)?.query_map([], |row| row.get(0))?.collect()
}

/// Counts the rows. The inner error: there was more.
fn copy_table(
    damaged: &Connection,
    new: &Transaction<'_>,
    table: &str,
) -> rusqlite::Result<(usize, rusqlite::Result<()>)> {
    let mut names = new.prepare("SELECT name FROM pragma_table_info(?1)")?;
    let columns = names.query_map([table], |row| row.get(0))?.collect::<rusqlite::Result<Vec<String>>>()?;
    let places = vec!["?"; columns.len()].join(", ");
    let columns = columns.join(", ");
    let mut put = new.prepare(&format!("INSERT OR REPLACE INTO {table} ({columns}) VALUES ({places})"))?;
    let mut rows = 0;
    let mut read = |order: &str| -> rusqlite::Result<rusqlite::Result<()>> {
        let query = format!("SELECT {columns} FROM {table} ORDER BY rowid {order}");
        let mut statement = match damaged.prepare(&query) {
            Ok(statement) => statement,
            // The damage took the table's name.
            Err(error) if is_damage(&error) || error.sqlite_error_code() == Some(ErrorCode::Unknown) => {
                return Ok(Err(error));
            }
            Err(error) => return Err(error),
        };
        let count = statement.column_count();
        let mut found = statement.raw_query();
        loop {
            let row = match found.next() {
                Ok(None) => return Ok(Ok(())),
                Ok(Some(row)) => (0..count).map(|column| row.get::<_, Value>(column)).collect::<Result<Vec<_>, _>>(),
                Err(error) if is_damage(&error) => return Ok(Err(error)),
                Err(error) => return Err(error),
            };
            // A row that means nothing is no reason to stop.
            let Ok(row) = row else { continue };
            match put.execute(params_from_iter(row)) {
                Ok(_) => rows += 1,
                Err(error) if error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) => {}
                Err(error) => return Err(error),
            }
        }
    };
    let end = read("ASC")?;
    if end.is_err() {
        let _ = read("DESC")?;
    }
    Ok((rows, end))
}
