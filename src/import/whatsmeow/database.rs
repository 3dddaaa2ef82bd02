//! A SQLite file of somebody else: opened for reading, trusted with nothing.
//!
//! Promises: the file and its folder stay as they are; changes that still lie in a journal beside it are read as well, for
//! without them counters would be old; no view, no virtual table and no computed column is read; no value larger than the
//! limits comes into memory; no query, whatever it scans, goes on when the tenant's time is over.

use std::{
    ffi::OsString,
    fs::File,
    io::{self, Read, Seek},
    path::{Path, PathBuf},
};

use rusqlite::{Connection, ErrorCode, OpenFlags, limits::Limit};

use super::{dump, loaded};
use crate::import::{ImportError, ImportLimits, TimeBudget, files};

/// Steps of SQLite's machine between two looks at the clock: some ten microseconds.
const STEPS: i32 = 1_000;

pub struct ForeignDatabase {
    connection: Connection,
    limits: ImportLimits,
    /// The copy that was opened in the file's place, if one was needed.
    _copy: Option<tempfile::TempDir>,
}

impl ForeignDatabase {
    pub fn open(file: &Path, limits: &ImportLimits) -> Result<Self, ImportError> {
        if file.is_dir() {
            return Self::new(loaded::load_folder(file, limits)?, limits, None);
        }
        let what = "the database";
        let mut opened = files::open(file)?.ok_or(ImportError::Link { what })?;
        if opened.metadata()?.len() > limits.source_bytes {
            return Err(ImportError::TooLarge { what, limit: limits.source_bytes, unit: "bytes" });
        }
        let mut magic = [0; 16];
        if opened.read_exact(&mut magic).is_err() || &magic != b"SQLite format 3\0" {
            if magic.starts_with(b"PGDMP") || magic.starts_with(b"\x1f\x8b") {
                return Err(ImportError::OtherFormat("a dump in plain text (pg_dump --format=plain), unpacked"));
            }
            opened.rewind()?;
            return Self::new(dump::load(opened, limits)?, limits, None);
        }
        let journals = [beside(file, "-wal"), beside(file, "-journal")];
        let is_left = |journal: &PathBuf| journal.symlink_metadata().is_ok_and(|found| found.len() > 0);
        let (connection, copy) = if journals.iter().any(is_left) {
            // Reading them in place would write beside the file.
            let folder = copy_to_temporary(file, limits)?;
            (
                Connection::open_with_flags(folder.path().join("copy.db"), OpenFlags::SQLITE_OPEN_READ_WRITE)?,
                Some(folder),
            )
        } else {
            let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
            (Connection::open_with_flags(immutable(file)?, flags)?, None)
        };
        Self::new(connection, limits, copy)
    }

    fn new(
        connection: Connection,
        limits: &ImportLimits,
        copy: Option<tempfile::TempDir>,
    ) -> Result<Self, ImportError> {
        connection.set_limit(Limit::SQLITE_LIMIT_LENGTH, i32::try_from(limits.entry_bytes).unwrap_or(i32::MAX))?;
        connection.execute_batch("PRAGMA trusted_schema=OFF; PRAGMA cell_size_check=ON; PRAGMA mmap_size=0")?;
        let database = Self { connection, limits: *limits, _copy: copy };
        database.begin_tenant()?;
        Ok(database)
    }

    /// The time of the next tenant begins. (That of the first, when the database is opened.)
    pub fn begin_tenant(&self) -> Result<(), ImportError> {
        let time = TimeBudget::new(&self.limits);
        Ok(self.connection.progress_handler(STEPS, Some(move || time.is_spent()))?)
    }

    /// Nobody but the clock interrupts.
    fn error(&self, error: rusqlite::Error) -> ImportError {
        match error.sqlite_error_code() {
            Some(ErrorCode::OperationInterrupted) => {
                ImportError::TooSlow { seconds: self.limits.tenant_time.as_secs() }
            }
            _ => error.into(),
        }
    }

    /// The columns of a table; none when there is no such table, or it is not a plain one.
    pub fn columns(&self, table: &'static str) -> Result<Vec<String>, ImportError> {
        self.read_columns(table).map_err(|error| self.error(error))
    }

    fn read_columns(&self, table: &'static str) -> Result<Vec<String>, rusqlite::Error> {
        let plain: i64 = self.connection.query_row(
            "SELECT count(*) FROM sqlite_master WHERE name = ?1 COLLATE NOCASE AND sql LIKE 'CREATE TABLE%'",
            [table],
            |row| row.get(0),
        )?;
        if plain != 1 {
            return Ok(Vec::new());
        }
        let mut statement = self.connection.prepare("SELECT name, hidden FROM pragma_table_xinfo(?1)")?;
        let columns = statement.query_map([table], |row| Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?)))?;
        let plain = columns.filter_map(|column| match column {
            Ok((name, 0)) => Some(Ok(name)),
            Ok(_) => None,
            Err(error) => Some(Err(error)),
        });
        plain.collect()
    }

    /// Selects columns by name; one that an old schema does not have is null, and so is a value that is too large. Columns and
    /// table are ours, never the source's.
    pub fn select(
        &self,
        table: &'static str,
        wanted: &[&'static str],
        own: Option<(&'static str, &str)>,
        rows: usize,
        mut take: impl FnMut(&rusqlite::Row) -> Result<(), ImportError>,
    ) -> Result<(), ImportError> {
        let known = self.columns(table)?;
        let is_known = |name: &str| known.iter().any(|column| column == name);
        if known.is_empty() || own.is_some_and(|(column, _)| !is_known(column)) {
            return Ok(());
        }
        let limit = self.limits.entry_bytes;
        let columns = wanted.iter().map(|name| match is_known(name) {
            true => format!("CASE WHEN octet_length({name}) <= {limit} THEN {name} END"),
            false => "NULL".to_owned(),
        });
        let columns = columns.collect::<Vec<_>>().join(", ");
        let filter = own.map_or(String::new(), |(column, _)| format!(" WHERE {column} = ?1"));
        let query = format!("SELECT {columns} FROM {table}{filter} LIMIT {rows}");
        let mut statement = self.connection.prepare(&query).map_err(|error| self.error(error))?;
        let found = match own {
            Some((_, value)) => statement.query([value]),
            None => statement.query([]),
        };
        let mut found = found.map_err(|error| self.error(error))?;
        while let Some(row) = found.next().map_err(|error| self.error(error))? {
            take(row)?;
        }
        Ok(())
    }
}

fn beside(file: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(file);
    name.push(suffix);
    name.into()
}

/// Nobody else has the database open, or he would have left a journal: then no lock is needed, and none is made.
fn immutable(file: &Path) -> Result<String, ImportError> {
    let file = std::path::absolute(file)?;
    let path = file.to_str().ok_or(ImportError::OtherFormat("a path in UTF-8"))?;
    let path = path.replace('%', "%25").replace('?', "%3f").replace('#', "%23");
    Ok(format!("file://{path}?immutable=1"))
}

fn copy_to_temporary(file: &Path, limits: &ImportLimits) -> Result<tempfile::TempDir, ImportError> {
    let folder = tempfile::tempdir()?;
    let mut left = limits.source_bytes;
    for suffix in ["", "-wal", "-journal"] {
        let what = "the database";
        let source = match files::open(&beside(file, suffix)) {
            Ok(Some(source)) => source,
            Ok(None) => return Err(ImportError::Link { what }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error.into()),
        };
        let mut copy = File::create_new(folder.path().join(format!("copy.db{suffix}")))?;
        let copied = io::copy(&mut source.take(left.saturating_add(1)), &mut copy)?;
        left = left.checked_sub(copied).ok_or(ImportError::TooLarge {
            what,
            limit: limits.source_bytes,
            unit: "bytes",
        })?;
    }
    Ok(folder)
}
