//! The SQLite file: one table of records, nothing else.
//!
//! It is a working copy that every start throws away, so nothing is paid for its survival: no fsync, the rollback journal
//! in memory (a failed transaction still undoes itself), and no lock files, for one connection is the only one. That
//! makes one file descriptor and, with the small cache, some 100 KiB an open file.

use std::path::Path;

use bytes::Bytes;
use rusqlite::{CachedStatement, Connection, OpenFlags, OptionalExtension, Row, ToSql, params};

use super::{key, space::Space};

/// Statements of this module, all of which a busy tenant uses.
const STATEMENTS: usize = 12;

pub(super) struct Database(Connection);

/// A key and its value.
pub(super) type Pair = (Box<[u8]>, Bytes);

impl Database {
    /// Makes the file, which must not exist, and its table.
    pub(super) fn create(file: &Path) -> rusqlite::Result<Self> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let database = Self::connect(file, flags)?;
        database.0.execute_batch(
            "CREATE TABLE records (space INTEGER NOT NULL, key BLOB NOT NULL, value BLOB NOT NULL, PRIMARY KEY (space, key))
             STRICT, WITHOUT ROWID",
        )?;
        Ok(database)
    }

    /// Opens a file that [`Self::create`] made. One that has vanished is an error, not a new, empty tenant.
    pub(super) fn open(file: &Path) -> rusqlite::Result<Self> {
        Self::connect(file, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)
    }

    fn connect(file: &Path, flags: OpenFlags) -> rusqlite::Result<Self> {
        let connection = Connection::open_with_flags(file, flags)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS);
        connection.execute_batch(
            "PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = MEMORY; PRAGMA synchronous = OFF;
             PRAGMA cache_size = -64; PRAGMA temp_store = MEMORY;",
        )?;
        Ok(Self(connection))
    }

    pub(super) fn begin(&self) -> rusqlite::Result<()> {
        self.statement("BEGIN IMMEDIATE")?.execute([]).map(drop)
    }

    pub(super) fn commit(&self) -> rusqlite::Result<()> {
        self.statement("COMMIT")?.execute([]).map(drop)
    }

    /// SQLite undoes some failed transactions by itself; then there is nothing left to do.
    pub(super) fn rollback(&self) -> rusqlite::Result<()> {
        if self.0.is_autocommit() { Ok(()) } else { self.statement("ROLLBACK")?.execute([]).map(drop) }
    }

    pub(super) fn get(&self, space: Space, key: &[u8]) -> rusqlite::Result<Option<Bytes>> {
        self.statement("SELECT value FROM records WHERE space = ?1 AND key = ?2")?
            .query_row(params![space.0, key], |row| row.get::<_, Vec<u8>>(0))
            .optional()
            .map(|value| value.map(Bytes::from))
    }

    pub(super) fn put(&self, space: Space, key: &[u8], value: &[u8]) -> rusqlite::Result<()> {
        self.statement(
            "INSERT INTO records (space, key, value) VALUES (?1, ?2, ?3)
             ON CONFLICT (space, key) DO UPDATE SET value = excluded.value",
        )?
        .execute(params![space.0, key, value])
        .map(drop)
    }

    /// Whether there was one.
    pub(super) fn delete(&self, space: Space, key: &[u8]) -> rusqlite::Result<bool> {
        Ok(self.statement("DELETE FROM records WHERE space = ?1 AND key = ?2")?.execute(params![space.0, key])? > 0)
    }

    pub(super) fn scan(&self, space: Space, after: Option<&[u8]>, limit: usize) -> rusqlite::Result<Vec<Pair>> {
        // Keys are not negative infinity: the empty one sorts first and may exist, so "from the start" is a query of its own.
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        match after {
            Some(after) => self.pairs(
                "SELECT key, value FROM records WHERE space = ?1 AND key > ?2 ORDER BY key LIMIT ?3",
                params![space.0, after, limit],
            ),
            None => self.pairs(
                "SELECT key, value FROM records WHERE space = ?1 ORDER BY key LIMIT ?2",
                params![space.0, limit],
            ),
        }
    }

    pub(super) fn scan_back(&self, space: Space, before: Option<&[u8]>, limit: usize) -> rusqlite::Result<Vec<Pair>> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        match before {
            Some(before) => self.pairs(
                "SELECT key, value FROM records WHERE space = ?1 AND key < ?2 ORDER BY key DESC LIMIT ?3",
                params![space.0, before, limit],
            ),
            None => self.pairs(
                "SELECT key, value FROM records WHERE space = ?1 ORDER BY key DESC LIMIT ?2",
                params![space.0, limit],
            ),
        }
    }

    /// As [`Self::scan`], and at most `bytes` of values beside the first.
    pub(super) fn page(
        &self,
        space: Space,
        after: Option<&[u8]>,
        limit: usize,
        bytes: usize,
    ) -> rusqlite::Result<Vec<Pair>> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        match after {
            Some(after) => self.pairs_within(
                "SELECT key, value FROM records WHERE space = ?1 AND key > ?2 ORDER BY key LIMIT ?3",
                params![space.0, after, limit],
                bytes,
            ),
            None => self.pairs_within(
                "SELECT key, value FROM records WHERE space = ?1 ORDER BY key LIMIT ?2",
                params![space.0, limit],
                bytes,
            ),
        }
    }

    /// As [`Self::scan_back`], and at most `bytes` of values beside the first.
    pub(super) fn page_back(
        &self,
        space: Space,
        before: &[u8],
        limit: usize,
        bytes: usize,
    ) -> rusqlite::Result<Vec<Pair>> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.pairs_within(
            "SELECT key, value FROM records WHERE space = ?1 AND key < ?2 ORDER BY key DESC LIMIT ?3",
            params![space.0, before, limit],
            bytes,
        )
    }

    /// Those whose keys begin with `prefix`, in order.
    pub(super) fn scan_prefix(&self, space: Space, prefix: &[u8], limit: usize) -> rusqlite::Result<Vec<Pair>> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        match key::end_of(prefix) {
            Some(end) => self.pairs(
                "SELECT key, value FROM records WHERE space = ?1 AND key >= ?2 AND key < ?3 ORDER BY key LIMIT ?4",
                params![space.0, prefix, end, limit],
            ),
            None => self.pairs(
                "SELECT key, value FROM records WHERE space = ?1 AND key >= ?2 ORDER BY key LIMIT ?3",
                params![space.0, prefix, limit],
            ),
        }
    }

    /// Every record of every space, in one read transaction: a statement is one.
    pub(super) fn all(&self, mut each: impl FnMut(Space, Box<[u8]>, Bytes)) -> rusqlite::Result<()> {
        let mut statement = self.statement("SELECT space, key, value FROM records ORDER BY space, key")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let (key, value) = pair(row, 1)?;
            each(Space(row.get(0)?), key, value);
        }
        Ok(())
    }

    fn pairs(&self, sql: &str, parameters: &[&dyn ToSql]) -> rusqlite::Result<Vec<Pair>> {
        self.statement(sql)?.query_map(parameters, |row| pair(row, 0))?.collect()
    }

    fn pairs_within(&self, sql: &str, parameters: &[&dyn ToSql], bytes: usize) -> rusqlite::Result<Vec<Pair>> {
        let mut statement = self.statement(sql)?;
        let mut rows = statement.query(parameters)?;
        let (mut found, mut sum) = (Vec::new(), 0);
        while let Some(row) = rows.next()? {
            let (key, value) = pair(row, 0)?;
            sum += value.len();
            if sum > bytes && !found.is_empty() {
                break;
            }
            found.push((key, value));
        }
        Ok(found)
    }

    fn statement(&self, sql: &str) -> rusqlite::Result<CachedStatement<'_>> {
        self.0.prepare_cached(sql)
    }
}

fn pair(row: &Row<'_>, at: usize) -> rusqlite::Result<Pair> {
    Ok((row.get::<_, Vec<u8>>(at)?.into(), row.get::<_, Vec<u8>>(at + 1)?.into()))
}
