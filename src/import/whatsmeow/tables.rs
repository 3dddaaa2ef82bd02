//! The other tables of a device: one function a table.

use std::collections::HashSet;

use rusqlite::{
    Row,
    types::{FromSql, FromSqlError, FromSqlResult, ValueRef},
};

use super::database::ForeignDatabase;
use crate::import::{
    AddressServer, ContactToken, EntryError, EntryKind, ImportError, ImportLimits, KeyHalves, KeyMaterial,
    SignalAddress, SyncKeyCopy, TenantCopy, address, counters,
    json::JsonBudget,
    key,
    signal::{self, LocalDevice, go_sender_key, go_session},
};

/// Reads the tables of one device, in the order in which they need each other.
pub struct DeviceTables<'d> {
    database: &'d ForeignDatabase,
    jid: &'d str,
    limits: ImportLimits,
    budget: JsonBudget,
    /// Other devices are in the database.
    is_shared: bool,
}

/// More than a table can have.
const ALL_ROWS: usize = usize::MAX >> 1;

/// A row's values, or why it is left out.
type RowResult = Result<(), EntryError>;

impl<'d> DeviceTables<'d> {
    pub fn new(database: &'d ForeignDatabase, jid: &'d str, is_shared: bool, limits: &ImportLimits) -> Self {
        Self { database, jid, limits: *limits, budget: JsonBudget::new(limits), is_shared }
    }

    pub fn read_into(&self, copy: &mut TenantCopy) -> Result<(), ImportError> {
        let local = copy.device.local();
        self.mappings(copy)?;
        self.pre_keys(copy)?;
        self.rows(
            copy,
            EntryKind::Identity,
            "whatsmeow_identity_keys",
            "our_jid",
            &["their_id", "identity"],
            identity,
        )?;
        let session = |copy: &mut TenantCopy, name: &str, row: &Row| self.session(copy, &local, name, row);
        self.rows(copy, EntryKind::Session, "whatsmeow_sessions", "our_jid", &["their_id", "session"], session)?;
        let sender_key = |copy: &mut TenantCopy, name: &str, row: &Row| self.sender_key(copy, name, row);
        let columns = ["chat_id", "sender_id", "sender_key"];
        self.rows(copy, EntryKind::SenderKey, "whatsmeow_sender_keys", "our_jid", &columns, sender_key)?;
        let columns = ["key_id", "key_data", "timestamp", "fingerprint"];
        self.rows(copy, EntryKind::SyncKey, "whatsmeow_app_state_sync_keys", "jid", &columns, sync_key)?;
        let columns = ["their_jid", "token", "timestamp", "sender_timestamp"];
        self.rows(copy, EntryKind::ContactToken, "whatsmeow_privacy_tokens", "our_jid", &columns, contact_token)?;
        self.database.select("whatsmeow_nct_salt", &["salt"], Some(("our_jid", self.jid)), 1, |row| {
            let salt = get::<Vec<u8>>(row, 0).ok().filter(|salt| !salt.is_empty());
            copy.device.nct_salt = salt.map(KeyMaterial::new);
            Ok(())
        })
    }

    /// Row after row of the device; one that is damaged is left out and told.
    fn rows(
        &self,
        copy: &mut TenantCopy,
        kind: EntryKind,
        table: &'static str,
        own: &'static str,
        columns: &[&'static str],
        mut take: impl FnMut(&mut TenantCopy, &str, &Row) -> RowResult,
    ) -> Result<(), ImportError> {
        let mut count = 0;
        self.database.select(table, columns, Some((own, self.jid)), self.limits.entries + 1, |row| {
            count += 1;
            if count > self.limits.entries {
                return Err(ImportError::TooLarge { what: table, limit: self.limits.entries as u64, unit: "rows" });
            }
            for column in 0..columns.len() {
                let value = row.get_ref(column)?;
                self.budget.spend_bytes(value.as_bytes().map_or(8, <[u8]>::len));
            }
            self.budget.check(table)?;
            let name = get::<String>(row, 0).unwrap_or_else(|_| table.to_owned());
            if let Err(reason) = take(copy, &name, row) {
                copy.tally.drop_entry(kind, &name, &reason);
            }
            self.budget.check(table)
        })
    }

    /// The table is all devices' of the database. Another's contacts are none of this one's business: of a database with several come the
    /// people whom this device's own tables name.
    fn mappings(&self, copy: &mut TenantCopy) -> Result<(), ImportError> {
        let people = if self.is_shared { Some(self.people()?) } else { None };
        let is_known = |user: &str| people.as_ref().is_none_or(|people| people.contains(user));
        let own = copy.device.me.user.clone();
        self.database.select("whatsmeow_lid_map", &["lid", "pn"], None, ALL_ROWS, |row| {
            let (Ok(lid), Ok(number)) = (get::<String>(row, 0), get::<String>(row, 1)) else { return Ok(()) };
            let (lid, number) = (user(&lid), user(&number));
            if number != own && !is_known(lid) && !is_known(number) {
                return Ok(());
            }
            if copy.lid_mappings.len() >= self.limits.entries {
                copy.tally.ignore(EntryKind::LidMapping, 1);
            } else if !copy.lid_mappings.insert(lid, number) {
                copy.tally.drop_entry(EntryKind::LidMapping, "whatsmeow_lid_map", &EntryError::Address);
            }
            Ok(())
        })?;
        // Devices linked before schema 7 have no LID of their own beside them.
        if copy.device.lid.is_none()
            && let Some(lid) = copy.lid_mappings.lid_of(&own)
        {
            copy.device.lid = SignalAddress::new(lid, AddressServer::Lid, copy.device.me.device).ok();
        }
        Ok(())
    }

    /// Whom this device has keys, tokens or names of.
    fn people(&self) -> Result<HashSet<String>, ImportError> {
        let mut people = HashSet::new();
        for (table, column) in [
            ("whatsmeow_identity_keys", "their_id"),
            ("whatsmeow_sessions", "their_id"),
            ("whatsmeow_sender_keys", "sender_id"),
            ("whatsmeow_privacy_tokens", "their_jid"),
            ("whatsmeow_contacts", "their_jid"),
        ] {
            self.database.select(table, &[column], Some(("our_jid", self.jid)), self.limits.entries, |row| {
                people.extend(get::<String>(row, 0).ok().map(|name| user(&name).to_owned()));
                Ok(())
            })?;
        }
        Ok(people)
    }

    /// Used keys are deleted, so the highest id that is left says little about the highest that was given out.
    fn pre_keys(&self, copy: &mut TenantCopy) -> Result<(), ImportError> {
        let columns = ["key_id", "key", "uploaded"];
        let mut uploaded = false;
        self.rows(copy, EntryKind::PreKey, "whatsmeow_pre_keys", "jid", &columns, |copy, _, row| {
            let id = u32::try_from(get::<i64>(row, 0)?).ok().filter(|id| (1..counters::PRE_KEY_IDS).contains(id));
            let id = id.ok_or(EntryError::Invalid("key_id"))?;
            copy.pre_keys.insert(id, KeyHalves::from_private(&get::<Vec<u8>>(row, 1)?)?);
            uploaded |= is_true(row.get_ref(2).map_err(|_| EntryError::Invalid("uploaded"))?);
            Ok(())
        })?;
        if let Some(newest) = copy.pre_keys.keys().next_back().copied() {
            let next = counters::beyond(newest);
            copy.device.next_pre_key_id = next;
            // When none of those that are left is at WhatsApp, fresh ones go up at the login.
            if uploaded {
                copy.device.first_unuploaded_pre_key_id = next;
            }
        }
        Ok(())
    }

    fn session(&self, copy: &mut TenantCopy, local: &LocalDevice, their: &str, row: &Row) -> RowResult {
        let address = SignalAddress::from_whatsmeow(their)?;
        let session = go_session::convert(&get::<TextOrBytes>(row, 1)?.0, local, &self.budget)?;
        copy.tally.keep(EntryKind::ArchivedSession, session.record.previous_sessions.len());
        for _ in 0..session.archived_dropped {
            copy.tally.drop_entry(EntryKind::ArchivedSession, their, &EntryError::Invalid("a closed session"));
        }
        copy.sessions.insert(address, session.record);
        Ok(())
    }

    fn sender_key(&self, copy: &mut TenantCopy, group: &str, row: &Row) -> RowResult {
        let sender = SignalAddress::from_whatsmeow(&get::<String>(row, 1)?)?;
        if copy.device.is_me(&sender) {
            copy.tally.ignore(EntryKind::SenderKey, 1);
            return Ok(());
        }
        // A status that comes before its author has sent a key anew costs a retry.
        if address::is_statuses(group) {
            copy.tally.ignore(EntryKind::SenderKey, 1);
            return Ok(());
        }
        if !address::is_group(group) {
            return Err(EntryError::Address);
        }
        let record = go_sender_key::convert(&get::<TextOrBytes>(row, 2)?.0, &self.budget)?;
        if !signal::is_foreign(&record) {
            copy.tally.ignore(EntryKind::SenderKey, 1);
            return Ok(());
        }
        copy.sender_keys.insert((group.to_owned(), sender), record);
        Ok(())
    }
}

fn identity(copy: &mut TenantCopy, their: &str, row: &Row) -> RowResult {
    let address = SignalAddress::from_whatsmeow(their)?;
    copy.identities.insert(address, key::public_key(&get::<Vec<u8>>(row, 1)?)?);
    Ok(())
}

fn sync_key(copy: &mut TenantCopy, _: &str, row: &Row) -> RowResult {
    let key = SyncKeyCopy {
        key_data: KeyMaterial::new(
            get::<Vec<u8>>(row, 1).ok().filter(|data| !data.is_empty()).ok_or(EntryError::Missing("key_data"))?,
        ),
        timestamp: get(row, 2)?,
        fingerprint: get(row, 3)?,
    };
    copy.sync_keys.insert(get(row, 0)?, key);
    Ok(())
}

fn contact_token(copy: &mut TenantCopy, their: &str, row: &Row) -> RowResult {
    let contact = SignalAddress::from_jid(their)?;
    let lid = match contact.server {
        AddressServer::Lid | AddressServer::HostedLid => contact.user,
        AddressServer::Phone | AddressServer::Hosted => {
            copy.lid_mappings.lid_of(&contact.user).ok_or(EntryError::NoLid)?.to_owned()
        }
    };
    let token = get::<Vec<u8>>(row, 1)?;
    // Ours was given to somebody who has given none.
    if token.is_empty() {
        copy.tally.ignore(EntryKind::ContactToken, 1);
        return Ok(());
    }
    let token =
        ContactToken { token: KeyMaterial::new(token), timestamp: get(row, 2)?, sender_timestamp: get(row, 3).ok() };
    copy.contact_tokens.insert(lid, token);
    Ok(())
}

/// JSON, which some tools that copy a database write as a text.
struct TextOrBytes(Vec<u8>);

impl FromSql for TextOrBytes {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        match value {
            ValueRef::Blob(bytes) | ValueRef::Text(bytes) => Ok(Self(bytes.to_vec())),
            _ => Err(FromSqlError::InvalidType),
        }
    }
}

/// SQLite has no booleans of its own, and tools write them in their words.
fn is_true(value: ValueRef<'_>) -> bool {
    match value {
        ValueRef::Integer(number) => number != 0,
        ValueRef::Text(text) => ["t", "true", "1"].iter().any(|word| text.eq_ignore_ascii_case(word.as_bytes())),
        _ => false,
    }
}

/// The user of an address or a JID: what is before the agent, the device and the server.
fn user(name: &str) -> &str {
    name.split(['_', '.', ':', '@']).next().unwrap_or_default()
}

/// A null is a value that is missing, or was too large to be read.
fn get<T: FromSql>(row: &Row, column: usize) -> Result<T, EntryError> {
    let value: Option<T> = row.get(column).map_err(|_| EntryError::Invalid("a column"))?;
    value.ok_or(EntryError::Missing("a column"))
}
