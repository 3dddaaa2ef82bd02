//! The records: one table in one SQLite file, nothing else.
//!
//! It is a working copy that every start throws away, so nothing is paid for its survival: no fsync, the rollback journal
//! in memory (a failed transaction still undoes itself), and no lock files, for one connection is the only one. That
//! makes one file descriptor and, with the small cache, some 100 KiB an open file.
//!
//! Reads return what was written: [`super::pages`] checks the pages, and here each row is compared with its digest.

use std::{ops::ControlFlow, slice};

use bytes::Bytes;
use rusqlite::{CachedStatement, Connection, OptionalExtension, Row, Statement, ToSql, params};

use super::{
    StoreError,
    digest::{DigestKey, RowDigest, SetDigest},
    failure::CopyFailure,
    key::{self, Key},
    pages::{PAGE, PageFile},
    space::Space,
    vfs,
};

/// Statements of this module, all of which a busy tenant uses.
const STATEMENTS: usize = 14;

pub(super) struct Database {
    connection: Connection,
    digests: DigestKey,
}

/// A key and its value.
pub(super) type Pair = (Box<[u8]>, Bytes);

/// A record that is put where none is.
pub(super) type NewRow<'a> = (Space, &'a [u8], &'a [u8]);

const COLUMNS: usize = 4;

/// A statement costs about as much as three rows.
const ROWS_AT_ONCE: usize = 16;

const PUT: &str = "INSERT INTO records (space, key, digest, value) VALUES (?1, ?2, ?3, ?4)
     ON CONFLICT (space, key) DO UPDATE SET digest = excluded.digest, value = excluded.value";

impl Database {
    /// Makes the table in a new file.
    pub(super) fn create(file: PageFile, digests: DigestKey) -> rusqlite::Result<Self> {
        let database = Self::open(file, digests)?;
        database.connection.execute_batch(
            "CREATE TABLE records
                 (space INTEGER NOT NULL, key BLOB NOT NULL, digest BLOB NOT NULL, value BLOB NOT NULL,
                  PRIMARY KEY (space, key))
             STRICT, WITHOUT ROWID",
        )?;
        Ok(database)
    }

    /// Opens a file that [`Self::create`] made.
    pub(super) fn open(file: PageFile, digests: DigestKey) -> rusqlite::Result<Self> {
        let connection = vfs::connect(file)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS);
        connection.execute_batch(&format!(
            "PRAGMA page_size = {PAGE}; PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = MEMORY;
             PRAGMA synchronous = OFF; PRAGMA cache_size = -64; PRAGMA temp_store = MEMORY;",
        ))?;
        Ok(Self { connection, digests })
    }

    pub(super) fn begin(&self) -> rusqlite::Result<()> {
        self.statement("BEGIN IMMEDIATE")?.execute([]).map(drop)
    }

    pub(super) fn commit(&self) -> rusqlite::Result<()> {
        self.statement("COMMIT")?.execute([]).map(drop)
    }

    /// SQLite undoes some failed transactions by itself; then there is nothing left to do.
    pub(super) fn rollback(&self) -> rusqlite::Result<()> {
        if self.connection.is_autocommit() { Ok(()) } else { self.statement("ROLLBACK")?.execute([]).map(drop) }
    }

    pub(super) fn get(&self, space: Space, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        let found = self
            .statement("SELECT digest, value FROM records WHERE space = ?1 AND key = ?2")?
            .query_row(params![space.0, key], |row| Ok((digest(row, 0)?, row.get::<_, Vec<u8>>(1)?)))
            .optional()?;
        let Some((digest, value)) = found else { return Ok(None) };
        self.check(space, key, &value, digest)?;
        Ok(Some(value.into()))
    }

    /// Puts records where none are: a start does that with all of them. Keeps `set` up.
    pub(super) fn fill(&self, set: &mut SetDigest, rows: &[NewRow<'_>]) -> rusqlite::Result<()> {
        let (full, rest) = rows.as_chunks::<ROWS_AT_ONCE>();
        if !full.is_empty() {
            let mut insertion = self.connection.prepare(&insertion(ROWS_AT_ONCE))?;
            for rows in full {
                self.insert(&mut insertion, set, rows)?;
            }
        }
        if !rest.is_empty() {
            // Prepared once: turns use it as well.
            let mut insertion = self.statement(PUT)?;
            for row in rest {
                self.insert(&mut insertion, set, slice::from_ref(row))?;
            }
        }
        Ok(())
    }

    fn insert(&self, insertion: &mut Statement<'_>, set: &mut SetDigest, rows: &[NewRow<'_>]) -> rusqlite::Result<()> {
        for (n, (space, key, value)) in rows.iter().enumerate() {
            let digest = self.digests.row(*space, key, value);
            let first = n * COLUMNS + 1;
            insertion.raw_bind_parameter(first, space.0)?;
            insertion.raw_bind_parameter(first + 1, key)?;
            insertion.raw_bind_parameter(first + 2, digest.to_bytes())?;
            insertion.raw_bind_parameter(first + 3, value)?;
            set.add(digest);
        }
        insertion.raw_execute().map(drop)
    }

    /// Keeps `set` up.
    pub(super) fn put(&self, set: &mut SetDigest, space: Space, key: &[u8], value: &[u8]) -> rusqlite::Result<()> {
        let before = self
            .statement("SELECT digest FROM records WHERE space = ?1 AND key = ?2")?
            .query_row(params![space.0, key], |row| digest(row, 0))
            .optional()?;
        let after = self.digests.row(space, key, value);
        self.statement(PUT)?.execute(params![space.0, key, after.to_bytes(), value])?;
        if let Some(before) = before {
            set.remove(before);
        }
        set.add(after);
        Ok(())
    }

    /// Whether there was one. Keeps `set` up.
    pub(super) fn delete(&self, set: &mut SetDigest, space: Space, key: &[u8]) -> rusqlite::Result<bool> {
        let before = self
            .statement("DELETE FROM records WHERE space = ?1 AND key = ?2 RETURNING digest")?
            .query_row(params![space.0, key], |row| digest(row, 0))
            .optional()?;
        if let Some(before) = before {
            set.remove(before);
        }
        Ok(before.is_some())
    }

    pub(super) fn scan(&self, space: Space, after: Option<&[u8]>, limit: usize) -> Result<Vec<Pair>, StoreError> {
        // Keys are not negative infinity: the empty one sorts first and may exist, so "from the start" is a query of its own.
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        match after {
            Some(after) => self.pairs(
                space,
                "SELECT key, digest, value FROM records WHERE space = ?1 AND key > ?2 ORDER BY key LIMIT ?3",
                params![space.0, after, limit],
            ),
            None => self.pairs(
                space,
                "SELECT key, digest, value FROM records WHERE space = ?1 ORDER BY key LIMIT ?2",
                params![space.0, limit],
            ),
        }
    }

    pub(super) fn scan_back(&self, space: Space, before: Option<&[u8]>, limit: usize) -> Result<Vec<Pair>, StoreError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        match before {
            Some(before) => self.pairs(
                space,
                "SELECT key, digest, value FROM records WHERE space = ?1 AND key < ?2 ORDER BY key DESC LIMIT ?3",
                params![space.0, before, limit],
            ),
            None => self.pairs(
                space,
                "SELECT key, digest, value FROM records WHERE space = ?1 ORDER BY key DESC LIMIT ?2",
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
    ) -> Result<Vec<Pair>, StoreError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        match after {
            Some(after) => self.pairs_within(
                space,
                "SELECT key, digest, value FROM records WHERE space = ?1 AND key > ?2 ORDER BY key LIMIT ?3",
                params![space.0, after, limit],
                bytes,
            ),
            None => self.pairs_within(
                space,
                "SELECT key, digest, value FROM records WHERE space = ?1 ORDER BY key LIMIT ?2",
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
    ) -> Result<Vec<Pair>, StoreError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.pairs_within(
            space,
            "SELECT key, digest, value FROM records WHERE space = ?1 AND key < ?2 ORDER BY key DESC LIMIT ?3",
            params![space.0, before, limit],
            bytes,
        )
    }

    /// Those from one key to another, both included, in order.
    pub(super) fn range(&self, space: Space, first: &[u8], last: &[u8]) -> Result<Vec<Pair>, StoreError> {
        self.pairs(
            space,
            "SELECT key, digest, value FROM records WHERE space = ?1 AND key >= ?2 AND key <= ?3 ORDER BY key",
            params![space.0, first, last],
        )
    }

    /// Those whose keys begin with `prefix`, in order.
    pub(super) fn scan_prefix(&self, space: Space, prefix: &[u8], limit: usize) -> Result<Vec<Pair>, StoreError> {
        let mut pairs = Vec::new();
        self.each_of(space, prefix, limit, |pair| pairs.push(pair))?;
        Ok(pairs)
    }

    /// The keys alone of all that begin with `prefix`, in order. One value is in memory at a time.
    pub(super) fn keys(&self, space: Space, prefix: &[u8]) -> Result<Vec<Key>, StoreError> {
        let mut keys = Vec::new();
        self.each_of(space, prefix, usize::MAX, |(key, _)| keys.push(key))?;
        Ok(keys)
    }

    fn each_of(&self, space: Space, prefix: &[u8], limit: usize, mut each: impl FnMut(Pair)) -> Result<(), StoreError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let each = |pair| {
            each(pair);
            ControlFlow::Continue(())
        };
        match key::end_of(prefix) {
            Some(end) => self.each(
                space,
                "SELECT key, digest, value FROM records WHERE space = ?1 AND key >= ?2 AND key < ?3 ORDER BY key LIMIT ?4",
                params![space.0, prefix, end, limit],
                each,
            ),
            None => self.each(
                space,
                "SELECT key, digest, value FROM records WHERE space = ?1 AND key >= ?2 ORDER BY key LIMIT ?3",
                params![space.0, prefix, limit],
                each,
            ),
        }
    }

    /// Every record of every space, in one read transaction: a statement is one. All together they must be `set`.
    pub(super) fn all(&self, set: SetDigest, mut each: impl FnMut(Space, Box<[u8]>, Bytes)) -> Result<(), StoreError> {
        let mut read = SetDigest::default();
        let mut statement = self.statement("SELECT space, key, value FROM records ORDER BY space, key")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let (space, key, value) = (Space(row.get(0)?), row.get::<_, Vec<u8>>(1)?, row.get::<_, Vec<u8>>(2)?);
            read.add(self.digests.row(space, &key, &value));
            each(space, key.into(), value.into());
        }
        if read == set {
            return Ok(());
        }
        Err(StoreError::CopyFailed(CopyFailure::damaged("its records are not the set that was written")))
    }

    fn pairs(&self, space: Space, sql: &str, parameters: &[&dyn ToSql]) -> Result<Vec<Pair>, StoreError> {
        self.pairs_within(space, sql, parameters, usize::MAX)
    }

    /// At most `bytes` of values beside the first.
    fn pairs_within(
        &self,
        space: Space,
        sql: &str,
        parameters: &[&dyn ToSql],
        bytes: usize,
    ) -> Result<Vec<Pair>, StoreError> {
        let (mut pairs, mut sum) = (Vec::new(), 0_usize);
        self.each(space, sql, parameters, |(key, value)| {
            sum = sum.saturating_add(value.len());
            if sum > bytes && !pairs.is_empty() {
                return ControlFlow::Break(());
            }
            pairs.push((key, value));
            ControlFlow::Continue(())
        })?;
        Ok(pairs)
    }

    /// One after the other, each checked.
    fn each(
        &self,
        space: Space,
        sql: &str,
        parameters: &[&dyn ToSql],
        mut each: impl FnMut(Pair) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        let mut statement = self.statement(sql)?;
        let mut rows = statement.query(parameters)?;
        while let Some(row) = rows.next()? {
            let (key, digest, value) = (row.get::<_, Vec<u8>>(0)?, digest(row, 1)?, row.get::<_, Vec<u8>>(2)?);
            self.check(space, &key, &value, digest)?;
            if each((key.into(), value.into())).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn check(&self, space: Space, key: &[u8], value: &[u8], digest: RowDigest) -> Result<(), StoreError> {
        if self.digests.row(space, key, value) == digest {
            return Ok(());
        }
        let detail = format!("a record of space {} is not the one that was written", space.0);
        Err(StoreError::CopyFailed(CopyFailure::damaged(detail)))
    }

    fn statement(&self, sql: &str) -> rusqlite::Result<CachedStatement<'_>> {
        self.connection.prepare_cached(sql)
    }
}

fn insertion(rows: usize) -> String {
    let places = vec!["(?, ?, ?, ?)"; rows].join(", ");
    format!("INSERT INTO records (space, key, digest, value) VALUES {places}")
}

fn digest(row: &Row<'_>, at: usize) -> rusqlite::Result<RowDigest> {
    Ok(RowDigest::from_bytes(row.get(at)?))
}
