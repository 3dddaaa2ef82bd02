//! whatsmeow's databases of every kind: all schemas since 2, several devices, exports of PostgreSQL, what tools make of values.

use rusqlite::{Connection, types::ValueRef};

use super::{
    whatsmeow::{database, one, read_file},
    *,
};

const OWN: &str = "4915000000018:1@s.whatsapp.net";

/// A database with something done to it.
fn with(folder: &TempDir, name: &str, sql: &str) -> std::path::PathBuf {
    let path = folder.path().join(name);
    database(&path).execute_batch(sql).unwrap_or_else(|error| panic!("{name}: {error}"));
    path
}

/// From the newest schema back to the second (of June 2022): what each upgrade of whatsmeow's brought is taken away again, and what is left
/// comes whole.
#[test]
fn every_schema_since_the_second_is_read() {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("wm.db");
    let writer = database(&path);
    writer.execute_batch("PRAGMA foreign_keys=ON").expect("as whatsmeow has it");
    for (version, undo) in [
        (15, ""),
        (14, "ALTER TABLE whatsmeow_device DROP COLUMN companion_meta_nonce"),
        (13, "DROP TABLE whatsmeow_nct_salt"),
        (12, "DROP TABLE whatsmeow_retry_buffer"),
        (11, "ALTER TABLE whatsmeow_privacy_tokens DROP COLUMN sender_timestamp"),
        (10, "ALTER TABLE whatsmeow_contacts DROP COLUMN redacted_phone"),
        (9, "ALTER TABLE whatsmeow_device DROP COLUMN lid_migration_ts"),
        (8, "DROP TABLE whatsmeow_event_buffer"),
        (7, "DROP TABLE whatsmeow_lid_map"),
        (6, "ALTER TABLE whatsmeow_device DROP COLUMN lid"),
        (5, "ALTER TABLE whatsmeow_device DROP COLUMN facebook_uuid"),
        (4, "UPDATE whatsmeow_device SET jid = replace(jid, ':', '.0:')"),
        (3, "DROP TABLE whatsmeow_privacy_tokens"),
        (2, "DROP TABLE whatsmeow_message_secrets"),
    ] {
        writer.execute_batch(undo).unwrap_or_else(|error| panic!("{version}: {error}"));
        let copy = one(&path);
        copy.verify(Some("4915000000018")).unwrap_or_else(|error| panic!("{version}: {error}"));
        let sessions: Vec<_> = copy.sessions.keys().map(ToString::to_string).collect();
        assert_eq!(sessions, ["180000000142543@lid.0", "180000000150462@lid.0", "180000000158381@lid.0"], "{version}");
        assert_eq!((copy.pre_keys.len(), copy.sync_keys.len(), copy.device.me.device), (7, 1, 1), "{version}");
        // The people's numbers, and so a sender's second name, are known since 8; the device's LID since 7.
        assert_eq!(copy.sender_keys.len(), if version >= 8 { 4 } else { 2 }, "{version}");
        assert_eq!(copy.device.lid.is_some(), version >= 7, "{version}");
        assert_eq!(copy.tally.problems, [], "{version}");
    }
}

/// Linked before schema 7, and never since: its own LID is where everybody's is.
#[test]
fn a_device_without_its_lid_finds_it_in_the_map() {
    let folder = TempDir::new().expect("a folder");
    let copy = one(&with(&folder, "wm.db", "UPDATE whatsmeow_device SET lid = NULL"));
    assert_eq!(copy.device.lid.as_ref().map(ToString::to_string).as_deref(), Some("180000000142543:1@lid.0"));
}

/// Two more devices: of another number, and of the same.
const SEVERAL: &str = "
    INSERT INTO whatsmeow_device SELECT '4915000000099:3@s.whatsapp.net', NULL, NULL, registration_id, noise_key, identity_key,
      signed_pre_key, signed_pre_key_id, signed_pre_key_sig, adv_key, adv_details, adv_account_sig, adv_account_sig_key, adv_device_sig,
      '', '', '', 0, '' FROM whatsmeow_device WHERE jid LIKE '4915000000018:1@%';
    INSERT INTO whatsmeow_contacts (our_jid, their_jid) VALUES ('4915000000099:3@s.whatsapp.net', '573009999999@s.whatsapp.net');
    INSERT INTO whatsmeow_lid_map VALUES ('180000000999999', '573009999999'), ('180000000888888', '573008888888');";

#[test]
fn each_device_gets_the_names_of_its_own_contacts() {
    let folder = TempDir::new().expect("a folder");
    let (found, result) = read_file(&with(&folder, "several.db", SEVERAL));
    result.expect("a database");
    let numbers = |at: usize| {
        let copy = found[at].copy.as_ref().expect("a copy");
        copy.lid_mappings.iter().map(|(_, number)| number.to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(numbers(0), ["4915000000018", "4915000000019", "4915000000020"]);
    assert_eq!(numbers(1), ["573009999999"], "another device's contacts");
    // Alone it has all: who else should they be of?
    let alone = with(&folder, "alone.db", "INSERT INTO whatsmeow_lid_map VALUES ('180000000888888', '573008888888')");
    assert_eq!(one(&alone).lid_mappings.lid_of("573008888888"), Some("180000000888888"));
}

#[test]
fn one_of_several_devices_is_chosen_by_its_name_or_its_number() {
    let folder = TempDir::new().expect("a folder");
    let again = SEVERAL
        .replace("4915000000099:3", "4915000000018:2")
        .replace("180000000", "180000001")
        .replace("57300", "57301");
    let path = with(&folder, "wm.db", &format!("{SEVERAL}{again}"));
    let chosen = |name: Option<&str>, number: Option<&str>| {
        let found =
            crate::import::read_one(SourceFormat::Whatsmeow, &path, None, (name, number), &ImportLimits::default());
        found.map_or_else(|error| error.code().to_owned(), |tenant| tenant.name)
    };
    for (name, number, expected) in [
        (Some(OWN), None, OWN),
        (Some("4915000000018"), None, "not_in_source"),
        (None, Some("4915000000099"), "4915000000099:3@s.whatsapp.net"),
        (None, Some("4915000000018"), "several_tenants"),
        (None, Some("573001112233"), "not_in_source"),
        (None, None, "several_tenants"),
    ] {
        assert_eq!(chosen(name, number), expected, "{name:?} {number:?}");
    }
    // One that is damaged is found by its number as well, and says what is wrong.
    let broken = Connection::open(&path).expect("a database");
    let sql = "UPDATE whatsmeow_device SET adv_details = '' WHERE jid LIKE '4915000000099%'";
    assert_eq!(broken.execute(sql, []).expect("a row"), 1);
    assert_eq!(chosen(None, Some("4915000000099")), "4915000000099:3@s.whatsapp.net");
}

/// Whoever copies a database from one program to another may make texts of JSON, and words of truth.
#[test]
fn values_as_tools_write_them_are_the_same() {
    let folder = TempDir::new().expect("a folder");
    let plain = one(&with(&folder, "plain.db", ""));
    for (name, uploaded) in [("words.db", "'true'"), ("letters.db", "'t'"), ("digits.db", "'1'")] {
        let copied = one(&with(
            &folder,
            name,
            &format!(
                "UPDATE whatsmeow_sessions SET session = CAST(session AS TEXT);
                 UPDATE whatsmeow_sender_keys SET sender_key = CAST(sender_key AS TEXT);
                 UPDATE whatsmeow_pre_keys SET uploaded = {uploaded};"
            ),
        ));
        assert_same(&copied, &plain);
        assert_eq!(copied.tally, plain.tally, "{name}");
        assert!(copied.settle(Finality::Final, CounterMargin::default()).server_has_pre_keys, "{name}");
    }
}

/// Keys of statuses are made anew, and nobody gave the token that is empty: neither is damage.
#[test]
fn what_is_of_no_use_is_counted_and_no_problem() {
    let folder = TempDir::new().expect("a folder");
    let sql = format!(
        "INSERT INTO whatsmeow_sender_keys SELECT our_jid, 'status@broadcast', sender_id, sender_key FROM whatsmeow_sender_keys;
         INSERT INTO whatsmeow_privacy_tokens VALUES ('{OWN}', '4915000000019@s.whatsapp.net', x'', 7, 8);"
    );
    let copy = one(&with(&folder, "wm.db", &sql));
    assert_eq!(copy.tally.problems, []);
    let ignored = [EntryKind::SenderKey, EntryKind::ContactToken].map(|kind| copy.tally.of(kind).ignored);
    // Our own key of the group, and each of the three of statuses.
    assert_eq!((ignored, copy.contact_tokens.len()), ([4, 1], 0));
}

/// As `\copy … CSV HEADER` writes a table: texts in quotes where they need them, bytes in hexadecimal, nulls empty.
fn csv(connection: &Connection, table: &str) -> String {
    let mut statement = connection.prepare(&format!("SELECT * FROM {table}")).expect("a table");
    let columns: Vec<String> = statement.column_names().into_iter().map(str::to_owned).collect();
    let mut text = columns.join(",") + "\n";
    let mut rows = statement.query([]).expect("rows");
    while let Some(row) = rows.next().expect("a row") {
        let fields = columns.iter().enumerate().map(|(at, name)| match row.get_ref(at).expect("a value") {
            ValueRef::Null => String::new(),
            ValueRef::Integer(flag) if name == "uploaded" => ["f", "t"][usize::from(flag == 1)].to_owned(),
            ValueRef::Integer(number) => number.to_string(),
            ValueRef::Text(text) => format!("\"{}\"", String::from_utf8_lossy(text).replace('"', "\"\"")),
            ValueRef::Blob(bytes) => format!("\\x{}", hex::encode(bytes)),
            other => panic!("{other:?}"),
        });
        text.push_str(&fields.collect::<Vec<_>>().join(","));
        text.push('\n');
    }
    text
}

#[test]
fn tables_as_csv_are_the_same() {
    let folder = TempDir::new().expect("a folder");
    let name = "UPDATE whatsmeow_device SET push_name = '\\x41 \"Söhne\", & Co'";
    let sqlite = with(&folder, "wm.db", name);
    let tables = folder.path().join("tables");
    fs::create_dir(&tables).expect("a folder");
    let source = Connection::open(&sqlite).expect("a database");
    for table in ["device", "identity_keys", "pre_keys", "sessions", "sender_keys", "app_state_sync_keys", "lid_map"] {
        let table = format!("whatsmeow_{table}");
        fs::write(tables.join(format!("{table}.csv")), csv(&source, &table)).expect("a file");
    }
    fs::write(tables.join("readme.txt"), "somebody's").expect("a file");
    let (from_csv, from_sqlite) = (one(&tables), one(&sqlite));
    from_csv.verify(Some("4915000000018")).expect("whole");
    assert_same(&from_csv, &from_sqlite);
    assert_eq!(from_csv.tally, from_sqlite.tally);
    assert_eq!(
        from_csv.device.push_name.as_deref(),
        Some("\\x41 \"Söhne\", & Co"),
        "a text, though it begins as bytes do"
    );
    // Links are followed nowhere, and rows are as long as their header.
    let sessions = tables.join("whatsmeow_sessions.csv");
    let text = fs::read_to_string(&sessions).expect("a file");
    fs::write(&sessions, text.replace("\n\"", "\n1,\"")).expect("a file");
    assert!(matches!(read_file(&tables).1, Err(ImportError::OtherFormat(_))));
    fs::rename(&sessions, folder.path().join("outside.csv")).expect("a file");
    std::os::unix::fs::symlink(folder.path().join("outside.csv"), &sessions).expect("a link");
    assert!(matches!(read_file(&tables).1, Err(ImportError::Link { .. })));
    fs::remove_file(&sessions).expect("a link");
    fs::remove_file(tables.join("whatsmeow_device.csv")).expect("a file");
    assert!(matches!(read_file(&tables).1, Err(ImportError::NoCredentials)), "no device");
}

#[test]
fn a_dump_in_another_form_is_named() {
    let folder = TempDir::new().expect("a folder");
    let dump = folder.path().join("wm.dump");
    for (bytes, expected) in [
        (&b"PGDMP\x01\x0e\x00 and all the rest of it"[..], "plain text"),
        (&b"\x1f\x8b\x08\x00 and all the rest of it"[..], "unpacked"),
        (&b"INSERT INTO public.whatsmeow_device VALUES ('4915000000018:1@s.whatsapp.net');\n"[..], "without --inserts"),
        (&b"CREATE TABLE public.other (id integer);\n"[..], "whatsmeow's tables"),
    ] {
        fs::write(&dump, bytes).expect("a file");
        let error = read_file(&dump).1.expect_err(expected).to_string();
        assert!(error.contains(expected), "{error}");
    }
}
