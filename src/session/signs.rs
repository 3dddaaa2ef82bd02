//! Small signs to a chat, worth nothing a moment later: seen, typing. Not durable, and never repeated.

use whatsapp_rust::{Client, Jid};

use super::{RefusedSend, Session, pace::Ask};
use crate::message::{Message, history};

/// How many messages are marked as read at once.
const UNREAD: usize = 100;

impl Session {
    /// Marks these messages of a chat as read; without any, what came there since we last wrote.
    /// Returns them.
    pub async fn mark_read(&self, chat: &str, ids: &[String]) -> Result<Vec<Message>, RefusedSend> {
        let (client, jid) = self.reach(Ask::Receipt, chat).await?;
        let query = history::Query { chat: Some(chat.to_owned()), limit: UNREAD, ..history::Query::default() };
        let recent = self.messages(&query).await.map_err(|_| RefusedSend::VaultDown)?;
        let wanted: Vec<_> = if ids.is_empty() {
            // What the phone told is older than all that came here.
            recent.iter().take_while(|entry| !entry.message.from_me && !entry.past).collect()
        } else {
            recent.iter().filter(|entry| !entry.message.from_me && ids.contains(&entry.message.id)).collect()
        };
        for entry in &wanted {
            // As WhatsApp addressed it, which is what the sender's client goes by.
            let addressed = &entry.message.addressed;
            let chat: Jid = addressed.chat.parse().unwrap_or_else(|_| jid.clone());
            let sender: Option<Jid> = addressed.sender.parse().ok().filter(|_| entry.message.is_group);
            let id = [entry.message.id.as_str()];
            client
                .mark_as_read(&chat, sender.as_ref(), &id)
                .await
                .map_err(|_| self.unready(RefusedSend::NotConnected))?;
        }
        Ok(wanted.into_iter().map(|entry| entry.message.clone()).collect())
    }

    /// Shows in the chat that somebody is typing, or not any more.
    pub async fn show_typing(&self, chat: &str, typing: bool) -> Result<(), RefusedSend> {
        let (client, jid) = self.reach(Ask::Presence, chat).await?;
        let shown = if typing {
            client.chatstate().send_composing(&jid).await
        } else {
            client.chatstate().send_paused(&jid).await
        };
        shown.map_err(|_| self.unready(RefusedSend::NotConnected))
    }

    async fn reach(&self, kind: Ask, chat: &str) -> Result<(std::sync::Arc<Client>, Jid), RefusedSend> {
        let client = self.0.ready.borrow().clone().ok_or_else(|| self.unready(RefusedSend::NotConnected))?;
        let jid = self.addressee(chat).await?.swap_remove(0);
        self.0.pace.take(kind).map_err(|wait| RefusedSend::TooMany { wait })?;
        Ok((client, jid))
    }
}
