//! The library's memory of messages, answered from the daemon's own records of them.
//!
//! **Pending inbound.** For each decrypted message the library stores a pending row, runs the durability hook, deletes
//! the row, acknowledges (whatsapp-rust `message/commit_batch.rs`, `commit_inbound_batch`). A message that WhatsApp
//! delivers again does not decrypt (its key is spent); then the library asks for the row (`message/durability.rs`,
//! `ack_or_replay_to_hook`): a row is committed anew, none means "committed long ago" and is acknowledged, an error
//! leaves it unacknowledged. *None* is true there only if no ratchet step is ever durable before its message. It can
//! be: the Signal cache is flushed whole, by another stanza's 25 ms timer or a send, while this message is between its
//! decryption and its row; if the process then dies, the step is in the vault and the message is not. The inbox knows
//! better:
//!
//! | row | inbox | answer |
//! |---|---|---|
//! | yes | | the row |
//! | no | yes | none: acknowledge it |
//! | no | no | an error, and [`super::StoreCallbacks::lost_inbound`]: the phone is asked for it |
//!
//! The order of the journal is that of the writes, so a row is never durable later than a step written after it. A
//! placeholder in the inbox is no message: it was written because nothing could be decrypted.
//!
//! **Names.** WhatsApp names a person by the phone number or by a LID, and the same message by either: live by one,
//! from the phone's copy by the other. A message is therefore filed under one canonical name, the number where the
//! mapping is known, without the device; and looked for under every name, since a mapping may have been learned later,
//! and earlier builds filed as WhatsApp addressed.
//!
//! **Sent messages.** A recipient that cannot decrypt asks for the message again, also after our disk is lost or the
//! library's two hours are over. The outbox has it.

use prost::Message;
use whatsapp_rust::{
    Server,
    store::error::{Result, StoreError as LibraryError},
    wacore::store::traits::{PendingInboundKey, PendingInboundRow},
    wacore_binary::{Jid, JidExt as _},
};

use super::{
    Batch, Store, StoreError,
    key::{self, Key},
    records::{InboxRecord, LidMappingRecord, OutboxRecord, PendingInboundRecord, SentMessageRecord},
    space,
    turn::{StoreTurn, parse},
};
use crate::crash;

impl Store {
    pub(super) async fn keep_pending(&self, rows: &[PendingInboundRow<'_>]) -> Result<()> {
        self.copy.arrivals.enters(rows.iter().map(|row| (row.chat, row.id)));
        let inserted_at = self.copy.clock.now().as_second();
        let mut batch = Batch::default();
        for row in rows {
            let record = PendingInboundRecord { message: bytes::Bytes::copy_from_slice(row.message), inserted_at };
            let key = key::pending_inbound(row.chat, row.sender, row.id);
            batch.put(space::PENDING_INBOUND, key, record.encode_to_vec());
        }
        crash::pause("decrypted").await;
        self.write_all(batch).await?;
        self.copy.arrivals.kept(rows.iter().map(|row| (row.chat, row.id)));
        Ok(())
    }

    pub(super) async fn forget_pending(&self, keys: &[PendingInboundKey<'_>]) -> Result<()> {
        let mut batch = Batch::default();
        for row in keys {
            batch.delete(space::PENDING_INBOUND, key::pending_inbound(row.chat, row.sender, row.id));
        }
        self.write_all(batch).await
    }

    pub(super) async fn pending(&self, chat: &str, sender: &str, id: &str) -> Result<Option<Vec<u8>>> {
        // The library asks for a repeat, which is not kept again.
        self.copy.arrivals.finished([(chat, id)]);
        let place = InboundPlace { chat: chat.into(), sender: sender.into(), id: id.into() };
        let found = self.read(move |turn| {
            let row = turn.pending_row(&place)?;
            let filed = turn.filed(&place)?.known;
            Ok((row, filed.is_some_and(|(_, record)| !record.message.is_empty())))
        });
        let (row, in_inbox) = self.answer(found).await?;
        match row {
            Some(row) => Ok(Some(row.message.into())),
            None if in_inbox || self.copy.gates_are_off() => Ok(None),
            None => {
                if let Some(hooks) = self.copy.hooks() {
                    hooks.lost_inbound(chat, sender, id);
                }
                Err(LibraryError::Database(Box::new(StoreError::LostInbound)))
            }
        }
    }

    pub(super) async fn keep_sent(&self, chat: &str, id: &str, message: &[u8]) -> Result<()> {
        let record = SentMessageRecord {
            message: bytes::Bytes::copy_from_slice(message),
            stored_at: self.copy.clock.now().as_second(),
        };
        let key = key::sent_message(chat, id);
        // The message waits for it before it goes. It is read behind it, and the vault has the message elsewhere.
        let kept = self.copy.post(move |turn| turn.put_record(space::SENT_MESSAGES, key, &record));
        self.answer(kept).await
    }

    pub(super) async fn take_sent(&self, chat: &str, id: &str) -> Result<Option<Vec<u8>>> {
        let (chat, id) = (chat.to_owned(), id.to_owned());
        let taken = self.read(move |turn| {
            let key = key::sent_message(&chat, &id);
            if let Some(value) = turn.get(space::SENT_MESSAGES, &key)? {
                turn.delete(space::SENT_MESSAGES, key)?;
                let sent: SentMessageRecord = parse(space::SENT_MESSAGES, &value)?;
                return Ok(Some(sent.message.into()));
            }
            let Some(sent) = turn.record::<OutboxRecord>(space::OUTBOX, &key::outbox(&id))? else { return Ok(None) };
            // The library keeps a message under the name of the chat that it encrypted for and asks by that first; the
            // outbox may have the other name.
            // One that was emptied, because the tenant became another account, is gone.
            Ok((!sent.message.is_empty() && turn.same_chat(&sent.chat, &chat)?).then(|| sent.message.to_vec()))
        });
        self.answer(taken).await
    }
}

/// A message by the names that somebody has for it.
#[derive(Debug, Clone)]
pub struct InboundPlace {
    pub chat: String,
    pub sender: String,
    pub id: String,
}

/// A message's conversation, and the record that there is of it.
pub struct Filed {
    /// Canonical jids.
    pub chat: String,
    pub sender: String,
    /// Under the key that it has, which may be made of other names.
    pub known: Option<(Key, InboxRecord)>,
}

impl Store {
    /// As [`Self::filed`]. Before, in the same turn, it notes of each pair of a LID and a number, in either order, that they name one
    /// person, where that is not known yet. What is filed under the number because a message said so is then found by the LID as well, also
    /// after a crash: the library writes what it learns only some time later, and of messages that waited offline nothing (whatsapp-rust
    /// 0.7, `learn_lid_pn_mapping_fast`).
    pub async fn learn_and_file(
        &self,
        pairs: Vec<(String, String)>,
        places: Vec<InboundPlace>,
    ) -> std::result::Result<Vec<Filed>, StoreError> {
        let now = self.copy.clock.now().as_second();
        self.read(move |turn| {
            pairs.iter().try_for_each(|(one, other)| turn.learn_names(one, other, now))?;
            places.iter().map(|place| turn.filed(place)).collect()
        })
        .await
    }

    /// Files messages under their conversations, in the order given.
    pub async fn filed(&self, places: Vec<InboundPlace>) -> std::result::Result<Vec<Filed>, StoreError> {
        self.read(move |turn| places.iter().map(|place| turn.filed(place)).collect()).await
    }

    /// Every name of a person or chat, the canonical one first.
    pub async fn names(&self, jid: &str) -> std::result::Result<Vec<String>, StoreError> {
        if let Some(names) = self.copy.known(|lookups| lookups.names(jid)) {
            return Ok(names);
        }
        let jid = jid.to_owned();
        self.read(move |turn| turn.names(&jid)).await
    }

    /// The names of each of these, in one turn.
    pub async fn names_of_each(&self, jids: Vec<String>) -> std::result::Result<Vec<Vec<String>>, StoreError> {
        self.read(move |turn| jids.iter().map(|jid| turn.names(jid)).collect()).await
    }

    /// As [`Self::names`], for a send. `None`: digits that were taken for a number, and are somebody's LID.
    pub async fn names_to_write_to(&self, jid: &str) -> std::result::Result<Option<Vec<String>>, StoreError> {
        // A person with several names is no LID that was taken for a number.
        if let Some(names) = self.copy.known(|lookups| lookups.names(jid)).filter(|names| names.len() > 1) {
            return Ok(Some(names));
        }
        let jid = jid.to_owned();
        let found = self.read(move |turn| {
            let names = turn.names(&jid)?;
            let digits = match names.as_slice() {
                [alone] => alone.parse::<Jid>().ok().filter(Jid::is_pn).map(|jid| jid.user.to_string()),
                _ => None,
            };
            Ok(if digits.map_or(Ok(false), |digits| turn.is_lid(&digits))? { None } else { Some(names) })
        });
        found.await
    }

    /// The message of a chat with this id, whoever wrote it; no placeholder.
    pub async fn inbound_of(&self, chat: &str, id: &str) -> std::result::Result<Option<InboxRecord>, StoreError> {
        let (chat, id) = (chat.to_owned(), id.to_owned());
        let found = self.read(move |turn| {
            for name in turn.names(&chat)? {
                for (_, value) in turn.scan_prefix(space::INBOX, &key::inbox_of(&name, &id), SAME_ID)? {
                    let record: InboxRecord = parse(space::INBOX, &value)?;
                    if !record.message.is_empty() {
                        return Ok(Some(record));
                    }
                }
            }
            Ok(None)
        });
        found.await
    }
}

/// Members of one group who use one id, as far as they are looked at.
const SAME_ID: usize = 64;

impl StoreTurn<'_> {
    /// Of two that are no LID and number, and of a LID that is known: nothing.
    fn learn_names(&mut self, one: &str, other: &str, now: i64) -> std::result::Result<(), StoreError> {
        let (Ok(one), Ok(other)) = (one.parse::<Jid>(), other.parse::<Jid>()) else { return Ok(()) };
        let (lid, number) = if other.is_lid() { (other, one) } else { (one, other) };
        if !lid.is_lid() || !number.is_pn() || self.get(space::LID_MAPPINGS, lid.user.as_bytes())?.is_some() {
            return Ok(());
        }
        self.put_mapping(LidMappingRecord {
            lid: lid.user.to_string(),
            phone_number: number.user.to_string(),
            created_at: now,
            updated_at: now,
            learning_source: "other".into(),
        })
    }

    /// Every name of a person or chat, the canonical one first.
    fn names(&self, jid: &str) -> std::result::Result<Vec<String>, StoreError> {
        if self.writing {
            return self.find_names(jid);
        }
        if let Some(names) = self.lookups.names(jid) {
            return Ok(names);
        }
        let names = self.find_names(jid)?;
        self.findings.borrow_mut().note_names(jid, &names);
        Ok(names)
    }

    fn find_names(&self, jid: &str) -> std::result::Result<Vec<String>, StoreError> {
        let Ok(parsed) = jid.parse::<Jid>() else { return Ok(vec![jid.to_owned()]) };
        let bare = parsed.to_non_ad();
        let number = if bare.is_lid() {
            let mapping = self.record::<LidMappingRecord>(space::LID_MAPPINGS, bare.user.as_bytes())?;
            mapping.map(|mapping| mapping.phone_number)
        } else {
            bare.is_pn().then(|| bare.user.to_string())
        };
        let Some(number) = number else { return Ok(vec![bare.to_string()]) };
        let lids = self.scan_prefix(space::LIDS_OF_NUMBERS, &key::under(&number), usize::MAX)?;
        let lids = lids.iter().filter_map(|(key, _)| key::second(key)).map(|lid| Jid::lid(lid).to_string());
        Ok(std::iter::once(Jid::pn(number.as_str()).to_string()).chain(lids).collect())
    }

    /// Whether digits are known to be somebody's LID: a message came from it, or is encrypted for it.
    fn is_lid(&self, digits: &str) -> std::result::Result<bool, StoreError> {
        let lid = Jid::lid(digits);
        if self.get(space::LID_MAPPINGS, lid.user.as_bytes())?.is_some() {
            return Ok(true);
        }
        let address = key::text(&format!("{lid}."));
        let places = [
            (space::INBOX, key::under(&lid.to_string())),
            (space::SESSIONS, address.clone()),
            (space::IDENTITIES, address),
        ];
        for (space, prefix) in places {
            if !self.scan_prefix(space, &prefix, 1)?.is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn filed(&self, place: &InboundPlace) -> std::result::Result<Filed, StoreError> {
        let (mut chats, authors) = (self.names(&place.chat)?, self.names(&place.sender)?);
        let chat = place.chat.parse::<Jid>().ok();
        let is_group = chat.as_ref().is_some_and(|chat| !chat.is_pn() && !chat.is_lid());
        // A message that came by a broadcast list is filed with its author.
        if chat.is_some_and(|chat| chat.server == Server::Broadcast && !chat.is_status_broadcast()) {
            chats.extend(authors.iter().cloned());
        }
        let by_peer = chats.contains(&authors[0]);
        let mut known = None;
        'names: for chat in &chats {
            let prefix = key::inbox_of(chat, &place.id);
            for (key, value) in self.scan_prefix(space::INBOX, &prefix, SAME_ID)? {
                let author = String::from_utf8_lossy(&key[prefix.len()..]);
                let author = bare(&author);
                // Between two there is only the question which of them: our own names may not be mapped.
                let same = authors.contains(&author) || !is_group && chats.contains(&author) == by_peer;
                if same {
                    known = Some((key, parse(space::INBOX, &value)?));
                    break 'names;
                }
            }
        }
        let [chat, sender] = [chats, authors].map(|names| names.into_iter().next().unwrap_or_default());
        Ok(Filed { chat, sender, known })
    }

    /// A pending row: by the very names that the library has for it now, else by those that it may have had before.
    fn pending_row(&self, place: &InboundPlace) -> std::result::Result<Option<PendingInboundRecord>, StoreError> {
        let row = |chat: &str, sender: &str| {
            self.record::<PendingInboundRecord>(space::PENDING_INBOUND, &key::pending_inbound(chat, sender, &place.id))
        };
        if let Some(found) = row(&place.chat, &place.sender)? {
            return Ok(Some(found));
        }
        let device = place.sender.parse::<Jid>().map_or(0, |sender| sender.device);
        for chat in self.names(&place.chat)? {
            for sender in self.names(&place.sender)? {
                let sender = sender.parse::<Jid>().map_or(sender, |sender| sender.with_device(device).to_string());
                if let Some(found) = row(&chat, &sender)? {
                    return Ok(Some(found));
                }
            }
        }
        Ok(None)
    }

    /// Whether two JIDs name one chat: the same, or the phone number and the LID of one user.
    fn same_chat(&self, one: &str, other: &str) -> std::result::Result<bool, StoreError> {
        Ok(one == other || self.names(one)?.contains(&bare(other)))
    }
}

/// Without the device.
fn bare(jid: &str) -> String {
    jid.parse::<Jid>().map_or_else(|_| jid.to_owned(), |jid| jid.to_non_ad_string())
}
