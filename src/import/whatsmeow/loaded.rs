//! whatsmeow's tables as an export brings them, in a private SQLite database, so that one reader serves all.
//!
//! Owns the tables and columns that are taken, the values of PostgreSQL's texts, and the way from a folder of CSV files
//! (`\copy whatsmeow_device TO 'whatsmeow_device.csv' CSV HEADER`). The database is SQLite's own temporary one: nobody else can open it,
//! and it is gone with the connection.

use std::{io, path::Path};

use rusqlite::{Connection, Statement, params_from_iter, types::Value};

use crate::import::{ImportError, ImportLimits, csv::CsvRecords, files};

/// The tables that are read, as whatsmeow declares their columns: bytes, numbers and texts.
const TABLES: [(&str, &str); 10] = [
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
    ("whatsmeow_contacts", "our_jid TEXT, their_jid TEXT"),
];

/// One of [`TABLES`].
#[derive(Clone, Copy)]
pub struct Table {
    name: &'static str,
    columns: &'static str,
}

impl Table {
    pub fn of(name: &str) -> Option<Self> {
        TABLES.iter().find(|(known, _)| *known == name).map(|&(name, columns)| Self { name, columns })
    }

    fn type_of(self, column: &str) -> Option<&'static str> {
        self.columns
            .split(", ")
            .filter_map(|declared| declared.split_once(' '))
            .find(|(name, _)| *name == column)
            .map(|(_, of)| of)
    }
}

/// An empty database with the tables.
pub fn empty() -> Result<Connection, ImportError> {
    let connection = Connection::open("")?;
    for (table, columns) in TABLES {
        connection.execute_batch(&format!("CREATE TABLE {table} ({columns})"))?;
    }
    Ok(connection)
}

/// Takes the rows of one table of an export: of its columns those that are known.
pub struct TableRows<'c> {
    insert: Statement<'c>,
    /// Places in a row of the export, each with its type.
    taken: Vec<(usize, &'static str)>,
    width: usize,
}

impl<'c> TableRows<'c> {
    pub fn new(connection: &'c Connection, table: Table, columns: &[String]) -> Result<Self, ImportError> {
        let taken: Vec<_> =
            columns.iter().enumerate().filter_map(|(at, name)| Some((at, table.type_of(name)?))).collect();
        if taken.is_empty() {
            return Err(ImportError::OtherFormat("whatsmeow's columns"));
        }
        let names = taken.iter().map(|(at, _)| columns[*at].as_str()).collect::<Vec<_>>().join(", ");
        let places = vec!["?"; taken.len()].join(", ");
        let insert = connection.prepare(&format!("INSERT INTO {} ({names}) VALUES ({places})", table.name))?;
        Ok(Self { insert, taken, width: columns.len() })
    }

    /// A row of the export; `None` is a null.
    pub fn put(&mut self, fields: &[Option<Vec<u8>>]) -> Result<(), ImportError> {
        if fields.len() != self.width {
            return Err(ImportError::OtherFormat("rows as long as their header"));
        }
        let values = self.taken.iter().map(|(at, of)| value(of, fields[*at].as_deref()));
        self.insert.execute(params_from_iter(values))?;
        Ok(())
    }
}

/// A value as PostgreSQL writes it: bytes are `\x…`, truth is `t` or `f`.
fn value(of: &str, text: Option<&[u8]>) -> Value {
    let Some(text) = text else { return Value::Null };
    match (of, text) {
        ("BLOB", text) => {
            let bytes = text.strip_prefix(b"\\x").and_then(|digits| hex::decode(digits).ok());
            Value::Blob(bytes.unwrap_or_else(|| text.to_vec()))
        }
        ("INTEGER", b"t" | b"true") => Value::Integer(1),
        ("INTEGER", b"f" | b"false") => Value::Integer(0),
        // Numbers become such by the column's type.
        (_, text) => Value::Text(String::from_utf8_lossy(text).into_owned()),
    }
}

/// Reads a folder in which each table is a CSV file of its name, with a header. Tables that an old schema does not have may be missing.
pub fn load_folder(folder: &Path, limits: &ImportLimits) -> Result<Connection, ImportError> {
    let connection = empty()?;
    let mut tables = 0;
    connection.execute_batch("BEGIN")?;
    for (name, columns) in TABLES {
        let file = match files::open(&folder.join(format!("{name}.csv"))) {
            Ok(Some(file)) => file,
            Ok(None) => return Err(ImportError::Link { what: "a table" }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error.into()),
        };
        tables += 1;
        let mut records = CsvRecords::new(file, limits);
        let header = records.header()?;
        let mut rows = TableRows::new(&connection, Table { name, columns }, &header)?;
        while let Some(record) = records.next_record()? {
            // CSV tells no empty text from a null; no column needs an empty one.
            let fields = record.into_iter().map(|field| Some(field.into_bytes()).filter(|field| !field.is_empty()));
            rows.put(&fields.collect::<Vec<_>>())?;
        }
    }
    connection.execute_batch("COMMIT")?;
    match tables {
        0 => Err(ImportError::OtherFormat("a database, or a folder with whatsmeow_device.csv and the other tables")),
        _ => Ok(connection),
    }
}
