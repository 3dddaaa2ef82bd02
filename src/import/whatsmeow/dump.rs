//! whatsmeow in PostgreSQL: `pg_dump --data-only --table 'whatsmeow_*'`, in its plain form.
//!
//! Owns the way from `COPY … FROM stdin` to a private SQLite database with the same tables, so that one reader serves both. Only
//! tables and columns that the reader knows are taken; nothing of the dump is executed.

use std::io::{BufRead, BufReader, Read};

use rusqlite::{Connection, params_from_iter, types::Value};

use crate::import::{ImportError, ImportLimits};

/// The tables that are read, as whatsmeow declares their columns: bytes, numbers and texts.
const TABLES: [(&str, &str); 9] = [
    (
        "whatsmeow_device",
        "jid TEXT, lid TEXT, registration_id INTEGER, noise_key BLOB, identity_key BLOB, signed_pre_key BLOB, \
         signed_pre_key_id INTEGER, signed_pre_key_sig BLOB, adv_key BLOB, adv_details BLOB, adv_account_sig BLOB, \
         adv_account_sig_key BLOB, adv_device_sig BLOB, platform TEXT, business_name TEXT, push_name TEXT, \
         lid_migration_ts INTEGER",
    ),
    ("whatsmeow_identity_keys", "our_jid TEXT, their_id TEXT, identity BLOB"),
    ("whatsmeow_pre_keys", "jid TEXT, key_id INTEGER, key BLOB, uploaded INTEGER"),
    ("whatsmeow_sessions", "our_jid TEXT, their_id TEXT, session BLOB"),
    ("whatsmeow_sender_keys", "our_jid TEXT, chat_id TEXT, sender_id TEXT, sender_key BLOB"),
    ("whatsmeow_app_state_sync_keys", "jid TEXT, key_id BLOB, key_data BLOB, timestamp INTEGER, fingerprint BLOB"),
    ("whatsmeow_lid_map", "lid TEXT, pn TEXT"),
    (
        "whatsmeow_privacy_tokens",
        "our_jid TEXT, their_jid TEXT, token BLOB, timestamp INTEGER, sender_timestamp INTEGER",
    ),
    ("whatsmeow_nct_salt", "our_jid TEXT, salt BLOB"),
];
/// Columns of a table in the dump.
const COLUMNS: usize = 100;

/// Reads a dump. The database is SQLite's own temporary one: nobody else can open it, and it is gone with the connection.
pub fn load(source: impl Read, limits: &ImportLimits) -> Result<Connection, ImportError> {
    let connection = Connection::open("")?;
    for (table, columns) in TABLES {
        connection.execute_batch(&format!("CREATE TABLE {table} ({columns})"))?;
    }
    let mut lines = Lines { source: BufReader::new(source), left: limits.source_bytes, limits: *limits };
    let mut tables = 0;
    connection.execute_batch("BEGIN")?;
    while let Some(line) = lines.next_line()? {
        let Some((table, columns)) = std::str::from_utf8(&line).ok().and_then(copy_of) else { continue };
        let Some((table, known)) = TABLES.iter().find(|(known, _)| *known == table) else {
            // Somebody else's table, to its end.
            while lines.next_line()?.is_some_and(|line| line != b"\\.") {}
            continue;
        };
        tables += 1;
        load_table(&connection, table, known, &columns, &mut lines)?;
    }
    connection.execute_batch("COMMIT")?;
    if tables == 0 { Err(ImportError::OtherFormat("whatsmeow's tables")) } else { Ok(connection) }
}

fn load_table(
    connection: &Connection,
    table: &str,
    known: &str,
    columns: &[String],
    lines: &mut Lines<impl Read>,
) -> Result<(), ImportError> {
    let is_known = |column: &str| known.split(", ").any(|declared| declared.split(' ').next() == Some(column));
    let taken: Vec<(usize, &str)> =
        columns.iter().enumerate().map(|(at, name)| (at, name.as_str())).filter(|(_, name)| is_known(name)).collect();
    let names = taken.iter().map(|(_, name)| *name).collect::<Vec<_>>().join(", ");
    let places = vec!["?"; taken.len()].join(", ");
    let mut insert = connection.prepare(&format!("INSERT INTO {table} ({names}) VALUES ({places})"))?;
    loop {
        // A dump that was cut has no end.
        let line = lines.next_line()?.ok_or(ImportError::OtherFormat("a dump that is whole"))?;
        if line == b"\\." {
            return Ok(());
        }
        let fields: Vec<&[u8]> = line.split(|byte| *byte == b'\t').collect();
        if fields.len() != columns.len() {
            return Err(ImportError::OtherFormat("rows as long as their header"));
        }
        insert.execute(params_from_iter(taken.iter().map(|(at, name)| value(name, fields[*at]))))?;
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

/// A field of the text format: `\N` is null, `\\x…` bytes.
fn value(column: &str, field: &[u8]) -> Value {
    if field == b"\\N" {
        return Value::Null;
    }
    let text = unescaped(field);
    if let Some(bytes) = text.strip_prefix(b"\\x").and_then(|digits| hex::decode(digits).ok()) {
        return Value::Blob(bytes);
    }
    let text = String::from_utf8_lossy(&text).into_owned();
    match (column, text.as_str()) {
        ("uploaded", "t") => Value::Integer(1),
        ("uploaded", "f") => Value::Integer(0),
        // Numbers become such by the column's type.
        _ => Value::Text(text),
    }
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

struct Lines<R> {
    source: BufReader<R>,
    left: u64,
    limits: ImportLimits,
}

impl<R: Read> Lines<R> {
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
        Ok((count > 0).then_some(line))
    }
}
