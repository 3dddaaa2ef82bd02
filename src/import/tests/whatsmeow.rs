//! whatsmeow's database.

use rusqlite::Connection;

use super::*;
use crate::import::whatsmeow;

const TABLES: &str = include_str!("../../../tests/fixtures/import/whatsmeow.sql");

/// Makes the database as whatsmeow left it.
pub fn database(path: &Path) -> Connection {
    let connection = Connection::open(path).expect("a database");
    connection.execute_batch(TABLES).expect("whatsmeow's tables");
    connection
}

pub fn read_file(path: &Path) -> (Vec<SourceTenant>, Result<(), ImportError>) {
    collect(|take| whatsmeow::read(path, ImportOrigin::Whatsmeow, &ImportLimits::default(), take))
}

pub fn one(path: &Path) -> TenantCopy {
    let (mut found, result) = read_file(path);
    result.expect("a database");
    assert_eq!(found.len(), 1);
    found.remove(0).copy.expect("a copy")
}

fn listing(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    let mut files: Vec<_> = entries.map(|path| (path.display().to_string(), fs::read(path).expect("a file"))).collect();
    files.sort();
    files
}

#[test]
fn a_database_is_read_whole() {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("wm #1?.db");
    drop(database(&path));
    let before = listing(folder.path());
    let (found, result) = read_file(&path);
    result.expect("a database");
    assert_eq!(found[0].name, "4915000000018:1@s.whatsapp.net");
    let copy = found[0].copy.as_ref().expect("a copy");
    copy.verify(Some("4915000000018")).expect("whole");
    assert_eq!(listing(folder.path()), before, "nothing was written");
    assert_eq!(copy.device.lid.as_ref().map(ToString::to_string).as_deref(), Some("180000000142543:1@lid.0"));
    assert_eq!((copy.device.registration_id, copy.device.push_name.as_deref()), (1_588_294_087, Some("Trattoria")));
    let sessions: Vec<_> = copy.sessions.keys().map(ToString::to_string).collect();
    assert_eq!(sessions, ["180000000142543@lid.0", "180000000150462@lid.0", "180000000158381@lid.0"]);
    assert_eq!(copy.pre_keys.keys().copied().collect::<Vec<_>>(), [3, 4, 5, 6, 7, 811, 812]);
    assert_eq!(copy.device.next_pre_key_id, 10_812);
    let senders: Vec<_> = copy.sender_keys.keys().map(|(_, sender)| sender.to_string()).collect();
    assert_eq!(
        senders,
        ["180000000150462@lid.0", "180000000158381@lid.0", "4915000000019@c.us.0", "4915000000020@c.us.0",],
        "each under both names, ours left out"
    );
    assert_eq!(copy.lid_mappings.lid_of("4915000000019"), Some("180000000150462"));
    assert_eq!(copy.sync_keys.len(), 1);
    assert_eq!(copy.tally.problems, []);
    assert_eq!(copy.tally.of(EntryKind::SenderKey).ignored, 1);
    // The counter of a chain that never sent, one before zero in 32 bits.
    let own = copy.sessions.values().next().and_then(|record| record.current_session.as_ref()).expect("a session");
    assert_eq!(own.previous_counter, Some(0));
    let copy = one(&path);
    let settled = copy.settle(Finality::Final, CounterMargin::default());
    assert_eq!((settled.sessions.len(), settled.server_has_pre_keys), (3, true));
}

/// All that were uploaded are used, and the next ones are made but not sent: sessions stay, and fresh keys go up.
#[test]
fn pre_keys_that_were_never_uploaded_cost_no_session() {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("wm.db");
    let writer = database(&path);
    writer.execute("UPDATE whatsmeow_pre_keys SET uploaded = 0", []).expect("rows");
    drop(writer);
    let settled = one(&path).settle(Finality::Final, CounterMargin::default());
    assert_eq!((settled.sessions.len(), settled.copy.tally.of(EntryKind::Session).dropped), (3, 0));
    assert!(!settled.server_has_pre_keys);
    assert!(settled.next_pre_key_id >= 10_812 && settled.first_unuploaded_pre_key_id == settled.next_pre_key_id);
}

/// Nothing of it ever comes out of the query, so no count of what was read ends it.
#[test]
fn a_scan_that_returns_nothing_ends_in_time() {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("wm.db");
    let writer = database(&path);
    writer
        .execute_batch(
            "ALTER TABLE whatsmeow_identity_keys RENAME TO other;
             CREATE TABLE whatsmeow_identity_keys (our_jid TEXT, their_id TEXT, identity BLOB);
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
             INSERT INTO whatsmeow_identity_keys SELECT 'x', i, '' FROM n;
             DELETE FROM whatsmeow_pre_keys; DELETE FROM whatsmeow_lid_map;",
        )
        .expect("rows of nobody");
    drop(writer);
    let read = |tenant_time| {
        let limits = ImportLimits { tenant_time, ..ImportLimits::default() };
        collect(|take| whatsmeow::read(&path, ImportOrigin::Whatsmeow, &limits, take))
    };
    let (found, result) = read(ImportLimits::default().tenant_time);
    assert!(result.is_ok() && found[0].copy.is_ok(), "{found:?}");
    let (found, result) = read(std::time::Duration::ZERO);
    let copy = result.and_then(|()| found.into_iter().next().expect("a device").copy);
    assert!(matches!(copy, Err(ImportError::TooSlow { .. })), "{copy:?}");
}

#[test]
fn changes_in_a_journal_count() {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("wm.db");
    let writer = database(&path);
    writer.pragma_update(None, "journal_mode", "wal").expect("a journal");
    writer.pragma_update(None, "wal_autocheckpoint", 0).expect("a journal");
    writer.execute("UPDATE whatsmeow_device SET push_name = 'in the journal'", []).expect("a change");
    let before = listing(folder.path());
    let copy = one(&path);
    assert_eq!(copy.device.push_name.as_deref(), Some("in the journal"));
    assert_eq!(listing(folder.path()), before, "nothing was written");
    assert!(path.with_extension("db-wal").exists());
}

#[test]
fn what_else_a_device_has() {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("wm.db");
    let writer = database(&path);
    writer
        .execute_batch(
            "INSERT INTO whatsmeow_privacy_tokens VALUES ('4915000000018:1@s.whatsapp.net', '4915000000019@s.whatsapp.net', x'0102', 7, 8);
             INSERT INTO whatsmeow_privacy_tokens VALUES ('4915000000018:1@s.whatsapp.net', '180000000158381@lid', x'03', 9, NULL);
             INSERT INTO whatsmeow_privacy_tokens VALUES ('4915000000018:1@s.whatsapp.net', '573001112233@s.whatsapp.net', x'04', 9, NULL);
             INSERT INTO whatsmeow_nct_salt VALUES ('4915000000018:1@s.whatsapp.net', x'0a0b');
             UPDATE whatsmeow_device SET lid_migration_ts = 5;
             INSERT INTO whatsmeow_device SELECT '4915000000099:3@s.whatsapp.net', NULL, NULL, registration_id, noise_key,
               identity_key, signed_pre_key, signed_pre_key_id, signed_pre_key_sig, adv_key, adv_details, adv_account_sig,
               adv_account_sig_key, adv_device_sig, '', '', '', 0, '' FROM whatsmeow_device;
             UPDATE whatsmeow_sessions SET session = 'no json' WHERE their_id = '180000000158381_1:0';
             UPDATE whatsmeow_sessions SET their_id = 'somebody' WHERE their_id = '180000000150462_1:0';",
        )
        .expect("rows");
    drop(writer);
    let (found, result) = read_file(&path);
    result.expect("a database");
    assert_eq!(found.len(), 2);
    let copy = found[0].copy.as_ref().expect("a copy");
    let tokens: Vec<_> = copy
        .contact_tokens
        .iter()
        .map(|(lid, token)| (lid.as_str(), token.timestamp, token.sender_timestamp))
        .collect();
    assert_eq!(tokens, [("180000000150462", 7, Some(8)), ("180000000158381", 9, None)]);
    assert!(copy.device.lid_migrated && copy.device.nct_salt.is_some());
    assert_eq!((copy.sessions.len(), copy.tally.of(EntryKind::Session).dropped), (1, 2));
    assert_eq!(copy.tally.problems.len(), 3);
    let second = found[1].copy.as_ref().expect("a copy");
    assert!(second.sessions.is_empty() && second.device.me.device == 3);
}

#[test]
fn old_schemas_lack_columns() {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("wm.db");
    let writer = database(&path);
    writer
        .execute_batch(
            "PRAGMA foreign_keys=OFF;
             ALTER TABLE whatsmeow_device DROP COLUMN lid_migration_ts; ALTER TABLE whatsmeow_device DROP COLUMN lid;
             DROP TABLE whatsmeow_lid_map; DROP TABLE whatsmeow_nct_salt; DROP TABLE whatsmeow_privacy_tokens;",
        )
        .expect("an old schema");
    drop(writer);
    let copy = one(&path);
    copy.verify(None).expect("whole");
    assert!(copy.device.lid.is_none() && copy.sessions.len() == 3);
}

/// As `pg_dump` writes a table.
fn dumped(connection: &Connection, table: &str) -> String {
    let mut statement = connection.prepare(&format!("SELECT * FROM {table}")).expect("a table");
    let columns: Vec<String> = statement.column_names().into_iter().map(str::to_owned).collect();
    let mut dump = format!("COPY public.{table} ({}) FROM stdin;\n", columns.join(", "));
    let mut rows = statement.query([]).expect("rows");
    while let Some(row) = rows.next().expect("a row") {
        let fields = columns.iter().enumerate().map(|(at, name)| match row.get_ref(at).expect("a value") {
            rusqlite::types::ValueRef::Null => "\\N".to_owned(),
            rusqlite::types::ValueRef::Integer(flag) if name == "uploaded" => {
                if flag == 1 { "t" } else { "f" }.to_owned()
            }
            rusqlite::types::ValueRef::Integer(number) => number.to_string(),
            rusqlite::types::ValueRef::Text(text) => {
                String::from_utf8_lossy(text).replace('\\', "\\\\").replace('\n', "\\n")
            }
            rusqlite::types::ValueRef::Blob(bytes) => format!("\\\\x{}", hex::encode(bytes)),
            other => panic!("{other:?}"),
        });
        dump.push_str(&fields.collect::<Vec<_>>().join("\t"));
        dump.push('\n');
    }
    dump + "\\.\n\n"
}

#[test]
fn a_dump_of_postgresql_is_the_same() {
    let folder = TempDir::new().expect("a folder");
    let (sqlite, dump) = (folder.path().join("wm.db"), folder.path().join("wm.sql"));
    let source = database(&sqlite);
    source.execute("UPDATE whatsmeow_device SET push_name = 'Trattoria \\ & Söhne\n'", []).expect("a name");
    let mut text = "--\n-- PostgreSQL database dump\n--\nSET statement_timeout = 0;\n\n".to_owned();
    for table in
        ["contacts", "device", "identity_keys", "pre_keys", "sessions", "sender_keys", "app_state_sync_keys", "lid_map"]
    {
        text.push_str(&dumped(&source, &format!("whatsmeow_{table}")));
    }
    drop(source);
    fs::write(&dump, &text).expect("a file");
    let (from_dump, from_sqlite) = (one(&dump), one(&sqlite));
    from_dump.verify(Some("4915000000018")).expect("whole");
    assert_same(&from_dump, &from_sqlite);
    assert_eq!(from_dump.tally, from_sqlite.tally);
    // Cut within a table: an error. Cut between two: that there were more nobody can know.
    let cut = text.find("whatsmeow_sessions (").expect("sessions") + 300;
    fs::write(&dump, &text[..cut]).expect("a file");
    assert!(matches!(read_file(&dump).1, Err(ImportError::OtherFormat(_))));
    fs::write(&dump, text.replace("\\N", "\\N\t7")).expect("a file");
    assert!(matches!(read_file(&dump).1, Err(ImportError::OtherFormat(_))));
}

#[test]
fn hostile_databases_end_in_an_error() {
    let folder = TempDir::new().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    drop(database(&at("whole.db")));
    let fails = |name: &str| {
        let (found, result) = read_file(&at(name));
        assert!(found.is_empty(), "{name}");
        result.expect_err(name)
    };
    fs::write(at("text.db"), "no database, but longer than a header is").expect("a file");
    assert!(matches!(fails("text.db"), ImportError::OtherFormat(_)));
    std::os::unix::fs::symlink(at("whole.db"), at("link.db")).expect("a link");
    assert!(matches!(fails("link.db"), ImportError::Link { .. }));
    fs::create_dir(at("folder.db")).expect("a folder");
    fails("folder.db");
    // A view that never ends, in the place of the table.
    Connection::open(at("view.db"))
        .expect("a database")
        .execute_batch(
            "CREATE VIEW whatsmeow_device AS WITH RECURSIVE n(jid) AS (SELECT 1 UNION ALL SELECT jid + 1 FROM n) SELECT jid FROM n;",
        )
        .expect("a view");
    assert!(matches!(fails("view.db"), ImportError::OtherFormat(_)));
    // A computed column as large as SQLite can.
    Connection::open(at("computed.db"))
        .expect("a database")
        .execute_batch(
            "CREATE TABLE whatsmeow_device (x); INSERT INTO whatsmeow_device VALUES (1);
             ALTER TABLE whatsmeow_device ADD COLUMN jid AS (hex(zeroblob(400000000)));",
        )
        .expect("a table");
    assert!(matches!(fails("computed.db"), ImportError::NoCredentials));
    // One value larger than any entry.
    let huge = database(&at("huge.db"));
    huge.execute(
        "UPDATE whatsmeow_sessions SET session = zeroblob(20000000) WHERE their_id LIKE '180000000158381%'",
        [],
    )
    .expect("a blob");
    drop(huge);
    let copy = one(&at("huge.db"));
    assert_eq!((copy.sessions.len(), copy.tally.of(EntryKind::Session).dropped), (2, 1));
    // Pages overwritten: some error or a copy, never a panic.
    let whole = fs::read(at("whole.db")).expect("a file");
    for page in 0..whole.len() / 4096 {
        let mut damaged = whole.clone();
        damaged[page * 4096 + 100..page * 4096 + 160].fill(0xa5);
        fs::write(at("damaged.db"), &damaged).expect("a file");
        let _ = read_file(&at("damaged.db"));
        fs::write(at("cut.db"), &whole[..page * 4096 + 50]).expect("a file");
        let _ = read_file(&at("cut.db"));
    }
    // More rows than a tenant may have.
    let limits = ImportLimits { entries: 5, ..ImportLimits::default() };
    let (found, _) = collect(|take| whatsmeow::read(&at("whole.db"), ImportOrigin::Whatsmeow, &limits, take));
    assert!(matches!(found[0].copy, Err(ImportError::TooLarge { .. })));
}
