//! The messages that a request is about: who wrote them, and what they say. Reads what is kept here, and never asks WhatsApp.

use whatsapp_rust::{
    Jid, Server,
    waproto::{codec, whatsapp as wa},
};

use super::AcceptError;
use crate::{
    message::{Draft, Flaw, MessageTarget},
    session::Session,
    store::StoreError,
};

const NO_AUTHOR: &str =
    "in a group the id names who wrote the message (false_{group}_{id}_{author}), unless the message is kept here";

impl Session {
    /// Names a message that is not looked up: `participant` says who wrote it, in a group.
    pub fn target(&self, chat: &str, id: &str, from_me: bool, participant: Option<&str>) -> MessageTarget {
        let me = || self.status().phone_number.map(|number| Jid::pn(number).to_string()).unwrap_or_default();
        let sender = if from_me { me() } else { participant.unwrap_or(chat).to_owned() };
        MessageTarget { id: id.to_owned(), from_me, sender }
    }

    /// In a group a message is named with its author. Who knows only its id leaves him out: then he is looked up.
    pub(super) async fn name_author(&self, chat: &Jid, draft: &mut Draft) -> Result<(), AcceptError> {
        let group = chat.to_string();
        let Some(target) = draft.target_mut().filter(|target| !target.from_me && target.sender == group) else {
            return Ok(());
        };
        if chat.server != Server::Group {
            return Ok(());
        }
        let unreadable = |error: StoreError| self.lookup_error(&error);
        let found = self.0.inbox.find(&group, &target.id).await.map_err(unreadable)?;
        let author = match found {
            Some(found) => Some(found.sender).filter(|_| !found.from_me),
            // Its events are kept for longer than the message is whole.
            None => self.told(chat, target).await?.map(|entry| entry.message.sender),
        };
        let author = author.ok_or_else(|| Flaw { field: "messageId", expected: NO_AUTHOR.into() })?;
        target.sender = author.parse::<Jid>().map_or(author, |jid| jid.to_non_ad_string());
        Ok(())
    }

    /// The author of a group's message as WhatsApp addressed it: in most groups by the LID, which no client of ours need know, and by which
    /// the members look for it. `None`: it is not kept, or is not his.
    pub(super) async fn addressed_author(
        &self,
        group: &Jid,
        target: &MessageTarget,
    ) -> Result<Option<String>, AcceptError> {
        if group.server != Server::Group || target.from_me {
            return Ok(None);
        }
        let unreadable = |error: StoreError| self.lookup_error(&error);
        let found = self.0.inbox.find(&group.to_string(), &target.id).await.map_err(unreadable)?;
        let Some(found) = found.filter(|found| !found.from_me) else { return Ok(None) };
        let author = found.sender.parse::<Jid>().map_or(found.sender, |jid| jid.to_non_ad_string());
        // Members choose the ids of what they write: another one may have chosen the same.
        let names = self.0.store.names(&target.sender).await.map_err(unreadable)?;
        Ok(Some(author).filter(|author| names.contains(author)))
    }

    /// A message of a chat by its id, with who wrote it; as everybody sees it now, or `as_it_was`.
    pub(super) async fn original(
        &self,
        chat: &Jid,
        id: &str,
        me: &Jid,
        as_it_was: bool,
    ) -> Result<(MessageTarget, wa::Message), AcceptError> {
        let (target, body) = self.kept(chat, id, me).await?;
        let message = codec::message_decode(&body).map_err(|_| AcceptError::UnknownMessage)?;
        let message = if as_it_was { message } else { self.as_it_stands(chat, &target, message).await? };
        Ok((target, message))
    }

    /// The whole protobuf of a message of a chat, as it came or went, with who wrote it.
    async fn kept(&self, chat: &Jid, id: &str, me: &Jid) -> Result<(MessageTarget, bytes::Bytes), AcceptError> {
        let inner = &self.0;
        let unreadable = |error: StoreError| self.lookup_error(&error);
        if let Some(body) = inner.outbox.body(id).await.map_err(unreadable)? {
            return Ok((MessageTarget { id: id.to_owned(), from_me: true, sender: me.to_string() }, body));
        }
        for name in inner.names_of(chat).await.map_err(unreadable)? {
            if let Some(found) = inner.inbox.find(&name.to_string(), id).await.map_err(unreadable)? {
                let sender = found.sender.parse::<Jid>().map_or(found.sender, |jid| jid.to_non_ad_string());
                return Ok((MessageTarget { id: id.to_owned(), from_me: found.from_me, sender }, found.body));
            }
        }
        Err(AcceptError::UnknownMessage)
    }
}
