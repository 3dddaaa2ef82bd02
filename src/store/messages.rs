//! What the library remembers of messages, answered from what the daemon keeps of them.
//!
//! **Pending inbound.** For each decrypted message the library stores a pending row, runs the durability hook, deletes
//! the row, acknowledges (whatsapp-rust `message/commit_batch.rs`, `commit_inbound_batch`). A message that WhatsApp
//! delivers again does not decrypt (its key is spent); then the library asks for the row (`message/durability.rs`,
//! `ack_or_replay_to_hook`): a row is committed anew, none means "committed long ago" and is acknowledged, an error leaves
//! it unacknowledged. *None* is true there only if no ratchet step is ever durable before its message. It can be: the
//! Signal cache is flushed whole, by another stanza's 25 ms timer or a send, while this message is between its decryption
//! and its row; if the process then dies, the step is in the vault and the message is not. The inbox knows better:
//!
//! | row | inbox | answer |
//! |---|---|---|
//! | yes | | the row |
//! | no | yes | none: acknowledge it |
//! | no | no | an error, and [`super::Hooks::lost_inbound`]: the phone is asked for it |
//!
//! The order of the journal is that of the writes, so a row is never durable later than a step written after it.
//!
//! **Sent messages.** A recipient that cannot decrypt asks for the message again, also after our disk is lost or the
//! library's two hours are over. The outbox has it.

use prost::Message;
use whatsapp_rust::{
    store::error::Result,
    wacore::store::traits::{PendingInboundKey, PendingInboundRow},
    wacore_binary::Jid,
};

use super::{
    Batch, Store, StoreError, key,
    records::{LidMappingRecord, OutboxRecord, PendingInboundRecord, SentMessageRecord},
    space,
    turn::{Turn, parse},
};

impl Store {
    pub(super) async fn keep_pending(&self, rows: &[PendingInboundRow<'_>]) -> Result<()> {
        let inserted_at = self.copy.clock.now().as_second();
        let mut batch = Batch::default();
        for row in rows {
            let record = PendingInboundRecord { message: bytes::Bytes::copy_from_slice(row.message), inserted_at };
            let key = key::pending_inbound(row.chat, row.sender, row.id);
            batch.put(space::PENDING_INBOUND, key, record.encode_to_vec());
        }
        self.write(batch).await?;
        Ok(())
    }

    pub(super) async fn forget_pending(&self, keys: &[PendingInboundKey<'_>]) -> Result<()> {
        let mut batch = Batch::default();
        for row in keys {
            batch.delete(space::PENDING_INBOUND, key::pending_inbound(row.chat, row.sender, row.id));
        }
        self.write(batch).await?;
        Ok(())
    }

    pub(super) async fn pending(&self, chat: &str, sender: &str, id: &str) -> Result<Option<Vec<u8>>> {
        let row = key::pending_inbound(chat, sender, id);
        let message = key::inbox(chat, id, sender);
        let (row, in_inbox) = self
            .read(move |turn| {
                let row = turn.record::<PendingInboundRecord>(space::PENDING_INBOUND, &row)?;
                Ok((row, turn.get(space::INBOX, &message)?.is_some()))
            })
            .await?;
        match row {
            Some(row) => Ok(Some(row.message.into())),
            None if in_inbox || self.copy.gates_are_off() => Ok(None),
            None => {
                if let Some(hooks) = self.copy.hooks() {
                    hooks.lost_inbound(chat, sender, id);
                }
                Err(StoreError::LostInbound.into())
            }
        }
    }

    pub(super) async fn keep_sent(&self, chat: &str, id: &str, message: &[u8]) -> Result<()> {
        let record = SentMessageRecord {
            message: bytes::Bytes::copy_from_slice(message),
            stored_at: self.copy.clock.now().as_second(),
        };
        self.put_one(space::SENT_MESSAGES, key::sent_message(chat, id), record.encode_to_vec().into()).await
    }

    pub(super) async fn take_sent(&self, chat: &str, id: &str) -> Result<Option<Vec<u8>>> {
        let (chat, id) = (chat.to_owned(), id.to_owned());
        let taken = self.turn(move |turn| {
            let key = key::sent_message(&chat, &id);
            if let Some(value) = turn.get(space::SENT_MESSAGES, &key)? {
                turn.delete(space::SENT_MESSAGES, key)?;
                let sent: SentMessageRecord = parse(space::SENT_MESSAGES, &value)?;
                return Ok(Some(sent.message.into()));
            }
            let Some(sent) = turn.record::<OutboxRecord>(space::OUTBOX, &key::outbox(&id))? else { return Ok(None) };
            // The library keeps a message under the name of the chat that it encrypted for and asks by that first; the
            // outbox may have the other name.
            Ok(turn.same_chat(&sent.chat, &chat)?.then_some(sent.message))
        });
        Ok(taken.await?.0)
    }
}

impl Turn<'_> {
    /// Whether two JIDs name one chat: the same, or the phone number and the LID of one user.
    fn same_chat(&self, one: &str, other: &str) -> std::result::Result<bool, StoreError> {
        if one == other {
            return Ok(true);
        }
        let (Ok(one), Ok(other)) = (one.parse::<Jid>(), other.parse::<Jid>()) else { return Ok(false) };
        let (lid, number) = match (one.is_lid(), other.is_lid()) {
            (true, false) if other.is_pn() => (one, other),
            (false, true) if one.is_pn() => (other, one),
            _ => return Ok(one == other),
        };
        let mapping = self.record::<LidMappingRecord>(space::LID_MAPPINGS, lid.user.as_bytes())?;
        Ok(mapping.is_some_and(|mapping| mapping.phone_number == *number.user))
    }
}
