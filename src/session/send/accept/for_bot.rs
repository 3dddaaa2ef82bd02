//! What a session does for a bot: makes messages of its replies, writes what it decided, and tells it what became of what was said.
//! Decides nothing itself.

use std::{collections::HashSet, time::Duration};

use super::AcceptError;
use crate::{
    journal::{ChangeNo, JournalClosedError},
    message::{BotDecision, Draft, Humanize, Mentions, OutboxError, Outgoing, SendRequest, media::Attachment},
    session::{Inner, Session, files::FileSource},
    store::StoreError,
};

/// A word of the owner's that has been on its way for longer keeps no customer from an answer: it may never be over.
const OWNERS_JOURNEY: Duration = Duration::from_secs(10);

impl Inner {
    /// Whom the owner has written something by the phone that is not in the log yet, by the names that the wire has of them.
    pub fn owner_writes_to(&self) -> HashSet<String> {
        self.store.arrivals().recipients(OWNERS_JOURNEY)
    }
}

impl Session {
    /// What a bot says in a chat, whole, for [`Self::decide`]. Under the same `key` it has the same id. `is_notice`: it answers nobody.
    pub async fn bot_reply(
        &self,
        chat: &str,
        text: String,
        key: &str,
        is_notice: bool,
        humanize: Option<Humanize>,
    ) -> Result<Outgoing, AcceptError> {
        let (to, draft) = (chat.to_owned(), Draft::Text { text, mentions: Mentions::default() });
        let request = SendRequest { to, draft, answers: None, id: None, ttl: None, from_bot: true, humanize };
        Ok(Outgoing { is_notice, ..self.composed(&request, None, Some(key)).await? })
    }

    /// The same of an attachment whose bytes are at a URL: they are with WhatsApp then. The same file is fetched once in a few minutes,
    /// whoever is sent it.
    pub async fn bot_file(
        &self,
        chat: &str,
        attachment: Attachment,
        url: &str,
        key: &str,
        humanize: Option<Humanize>,
    ) -> Result<Outgoing, AcceptError> {
        let checked = self.0.env.files_from.check(url);
        let checked = checked.map_err(|refusal| AcceptError::Unfetched(format!("its URL {refusal}")))?;
        let (to, draft) = (chat.to_owned(), Draft::File(attachment));
        let request = SendRequest { to, draft, answers: None, id: None, ttl: None, from_bot: true, humanize };
        let composed = self.composed(&request, Some(FileSource::Shared(checked)), Some(key)).await?;
        Ok(Outgoing { is_notice: false, ..composed })
    }

    /// Writes what a bot decided. What it says goes out when the vault has it; wait for that with [`Self::settled`].
    pub async fn decide(&self, decision: BotDecision) -> Result<ChangeNo, OutboxError> {
        self.0.outbox.decide(decision).await
    }

    /// Returns when the vault has a change, and its events are published.
    pub async fn settled(&self, change: ChangeNo) -> Result<(), JournalClosedError> {
        self.0.log.wait_and_publish(change).await
    }

    /// Whether something may be decided now: the tenant is linked, all that WhatsApp kept for it has come, and the vault answers. What
    /// comes of an offline queue may be the owner's word about the rest of it.
    pub fn may_decide(&self) -> bool {
        self.0.status.borrow().paired && self.0.ready.borrow().is_some() && !self.0.journal.outage()
    }

    /// The last attempt to reach the vault had no answer.
    pub fn is_vault_down(&self) -> bool {
        self.0.journal.outage()
    }

    /// When a message left; see [`crate::message::Outbox::left_at`].
    pub async fn left_at(&self, id: &str) -> Result<Option<i64>, StoreError> {
        self.0.outbox.left_at(id).await
    }

    /// Whether a message was said here, by a bot.
    pub async fn is_from_bot(&self, id: &str) -> Result<bool, StoreError> {
        self.0.outbox.is_from_bot(id).await
    }

    /// See [`Inner::owner_writes_to`].
    pub fn owner_writes_to(&self) -> HashSet<String> {
        self.0.owner_writes_to()
    }

    /// Whether a bot's reply waits for its time in a chat, by the name that it has now.
    pub fn is_replying(&self, chat: &str) -> bool {
        self.0.outbox.is_replying(chat)
    }

    /// Whether all of these messages can still be taken back; see [`crate::message::Outbox::may_withdraw`].
    pub async fn may_withdraw(&self, ids: &[String]) -> Result<bool, StoreError> {
        self.0.outbox.may_withdraw(ids).await
    }
}
