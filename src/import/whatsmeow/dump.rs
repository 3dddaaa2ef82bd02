//! whatsmeow in PostgreSQL: `pg_dump --data-only --table 'whatsmeow_*'`, in its plain form.
//!
//! Owns the way from `COPY … FROM stdin` to the tables of [`super::loaded`]. Only tables and columns that the reader knows are taken;
//! nothing of the dump is executed.

use std::io::{BufRead, BufReader, Read};

use rusqlite::Connection;

use super::loaded::{self, Table, TableRows};
use crate::import::{ImportError, ImportLimits};

/// Columns of a table in the dump.
const COLUMNS: usize = 100;

/// Reads a dump.
pub fn load(source: impl Read, limits: &ImportLimits) -> Result<Connection, ImportError> {
    let connection = loaded::empty()?;
    let mut lines = DumpLines { source: BufReader::new(source), left: limits.source_bytes, limits: *limits };
    let (mut tables, mut inserts) = (0, false);
    connection.execute_batch("BEGIN")?;
    while let Some(line) = lines.next_line()? {
        inserts |= line.starts_with(b"INSERT INTO ");
        let Some((table, columns)) = std::str::from_utf8(&line).ok().and_then(copy_of) else { continue };
        let Some(table) = Table::of(&table) else {
            // Somebody else's table, to its end.
            while lines.next_line()?.is_some_and(|line| line != b"\\.") {}
            continue;
        };
        tables += 1;
        load_table(TableRows::new(&connection, table, &columns)?, &mut lines)?;
    }
    connection.execute_batch("COMMIT")?;
    match (tables, inserts) {
        (0, true) => Err(ImportError::OtherFormat("a dump with COPY (pg_dump without --inserts)")),
        (0, false) => Err(ImportError::OtherFormat("whatsmeow's tables")),
        _ => Ok(connection),
    }
}

fn load_table(mut rows: TableRows<'_>, lines: &mut DumpLines<impl Read>) -> Result<(), ImportError> {
    loop {
        // A dump that was cut has no end.
        let line = lines.next_line()?.ok_or(ImportError::OtherFormat("a dump that is whole"))?;
        if line == b"\\." {
            return Ok(());
        }
        // `\N` is a null.
        let field = |field: &[u8]| if field == b"\\N" { None } else { Some(unescaped(field)) };
        rows.put(&line.split(|byte| *byte == b'\t').map(field).collect::<Vec<_>>())?;
    }
}

/// `COPY public.whatsmeow_device (jid, lid, …) FROM stdin;`
fn copy_of(line: &str) -> Option<(String, Vec<String>)> {
    let (table, rest) = line.strip_prefix("COPY ")?.split_once(" (")?;
    let columns = rest.trim_end().strip_suffix(") FROM stdin;")?;
    let name = |text: &str| text.trim().trim_matches('"').to_owned();
    let columns: Vec<_> = columns.split(',').map(name).collect();
    (columns.len() <= COLUMNS).then(|| (name(table.rsplit('.').next().unwrap_or(table)), columns))
}

fn unescaped(field: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(field.len());
    let mut bytes = field.iter();
    while let Some(&byte) = bytes.next() {
        text.push(match byte {
            b'\\' => match bytes.next() {
                Some(b'n') => b'\n',
                Some(b't') => b'\t',
                Some(b'r') => b'\r',
                Some(b'b') => 8,
                Some(b'f') => 12,
                Some(b'v') => 11,
                Some(other) => *other,
                None => break,
            },
            byte => byte,
        });
    }
    text
}

struct DumpLines<R> {
    source: BufReader<R>,
    left: u64,
    limits: ImportLimits,
}

impl<R: Read> DumpLines<R> {
    fn next_line(&mut self) -> Result<Option<Vec<u8>>, ImportError> {
        // Bytes are written in hexadecimal.
        let longest = self.limits.entry_bytes.saturating_mul(3);
        let mut line = Vec::new();
        let count = (&mut self.source).take(longest as u64 + 1).read_until(b'\n', &mut line)?;
        if count > longest {
            return Err(ImportError::TooLarge { what: "a row", limit: longest as u64, unit: "bytes" });
        }
        let limit = self.limits.source_bytes;
        self.left = self.left.checked_sub(count as u64).ok_or(ImportError::TooLarge {
            what: "the dump",
            limit,
            unit: "bytes",
        })?;
        if line.last() == Some(&b'\n') {
            line.pop();
        }
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        Ok((count > 0).then_some(line))
    }
}
