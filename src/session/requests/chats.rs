//! Changes of a conversation on all of the tenant's devices at once: archive, mark as unread, star, clear, delete.
//! WhatsApp keeps these settings sealed with keys that only the account's devices have.

use whatsapp_rust::{
    Jid,
    features::{SyncActionMessageRange, message_key, message_range},
};

use crate::{
    message::{MessageTarget, history},
    session::{RequestError, Session, requests},
};

/// The newest messages of a chat, by which the other devices know how far it had come.
const RANGE: usize = 3;

impl Session {
    pub async fn archive(&self, chat: &str, archived: bool) -> Result<(), RequestError> {
        let (jid, range) = (self.named_here(chat).await?, self.range(chat).await?);
        self.set(|client| async move {
            let chats = client.chat_actions();
            if archived { chats.archive_chat(&jid, range).await } else { chats.unarchive_chat(&jid, range).await }
        })
        .await
    }

    /// Says to the tenant's own devices that a chat has not been read; tells the other one nothing.
    pub async fn mark_unread(&self, chat: &str) -> Result<(), RequestError> {
        let (jid, range) = (self.named_here(chat).await?, self.range(chat).await?);
        self.set(|client| async move { client.chat_actions().mark_chat_as_read(&jid, false, range).await }).await
    }

    pub async fn star(&self, chat: &str, target: &MessageTarget, starred: bool) -> Result<(), RequestError> {
        let jid = self.named_here(chat).await?;
        let (id, from_me) = (target.id.clone(), target.from_me);
        let author = author(&jid, target)?;
        self.set(|client| async move {
            let chats = client.chat_actions();
            if starred {
                chats.star_message(&jid, author.as_ref(), &id, from_me).await
            } else {
                chats.unstar_message(&jid, author.as_ref(), &id, from_me).await
            }
        })
        .await
    }

    /// Empties a chat, here and on all of the tenant's devices; the other one keeps what it has.
    pub async fn clear_chat(&self, chat: &str) -> Result<(), RequestError> {
        let (jid, range) = (self.named_here(chat).await?, self.range(chat).await?);
        self.set(|client| async move { client.chat_actions().clear_chat(&jid, true, true, range).await }).await?;
        Ok(self.0.hide(chat).await?)
    }

    /// As [`Self::clear_chat`], and takes the chat off the list.
    pub async fn delete_chat(&self, chat: &str) -> Result<(), RequestError> {
        let (jid, range) = (self.named_here(chat).await?, self.range(chat).await?);
        self.set(|client| async move { client.chat_actions().delete_chat(&jid, true, range).await }).await?;
        Ok(self.0.hide(chat).await?)
    }

    /// The conversation by the name that it has here, whichever it was called by: each device goes by one.
    async fn named_here(&self, chat: &str) -> Result<Jid, RequestError> {
        Ok(self.conversation(chat).await?.swap_remove(0))
    }

    async fn range(&self, chat: &str) -> Result<Option<SyncActionMessageRange>, RequestError> {
        let query =
            history::MessageQuery { chat: Some(chat.to_owned()), limit: RANGE, ..history::MessageQuery::default() };
        let _turn = self.look_turn().await.ok_or(RequestError::ReadersBusy)?;
        let newest = self.messages(&query).await?;
        let Some(last) = newest.first().map(|entry| entry.message.timestamp) else { return Ok(None) };
        let keys = newest.iter().filter_map(|entry| {
            let message = &entry.message;
            let (chat, sender): (Jid, Jid) =
                (message.addressed.chat.parse().ok()?, message.addressed.sender.parse().ok()?);
            let author = Some(sender.to_non_ad()).filter(|_| message.is_group && !message.from_me);
            let key = message_key(message.id.clone(), &chat.to_non_ad(), message.from_me, author.as_ref());
            Some((key, message.timestamp))
        });
        Ok(Some(message_range(last, None, keys.collect())))
    }
}

/// The author of the target, where the chat alone does not name one.
fn author(chat: &Jid, target: &MessageTarget) -> Result<Option<Jid>, RequestError> {
    if target.from_me || chat.server != whatsapp_rust::Server::Group {
        return Ok(None);
    }
    requests::person("messageId", &target.sender).map(Some)
}
