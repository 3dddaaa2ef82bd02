//! Edits of messages: of what WhatsApp takes one, until when, and in which form; the file of which a customer edits the caption; and how
//! a message stands after its edits, for whoever quotes it or passes it on.
//!
//! WhatsApp confirms an edit of anything, at any time. Phones ignore one that comes late, or that has another form than what it
//! edits: it would have been reported as done.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::timeout;
use whatsapp_rust::{
    Jid, Server,
    buffa::MessageField,
    waproto::{
        codec,
        whatsapp::{self as wa, message::FutureProofMessage},
    },
};

use super::content;
use crate::{
    message::{Content, Draft, Flaw, Inbox, Message, MessageTarget, Outbox, history},
    session::{AcceptError, Session},
    store::StoreError,
};

/// A look at a chat's history takes no longer: the oldest part of a busy chat comes from the vault.
const HISTORY_LIMIT: Duration = Duration::from_secs(60);

/// A message that the tenant may edit.
pub struct Editable {
    pub target: MessageTarget,
    pub original: wa::Message,
    /// WhatsApp takes edits of it for so long from now on; `None`: it is not sent yet.
    pub left: Option<Duration>,
}

/// What is known of a message.
enum EditFate {
    /// Nothing that is told edits or deletes it. Nobody has looked whether it is there.
    Untouched,
    /// It is not among what is told.
    Unheard,
    Known(Box<history::HistoryEntry>),
}

impl Session {
    /// The message that a draft edits. `None`: it is no edit, or one of a post in a channel, which WhatsApp takes for weeks.
    pub(in crate::session) async fn editable(
        &self,
        names: &[Jid],
        draft: &Draft,
        now: Timestamp,
    ) -> Result<Option<Editable>, AcceptError> {
        let Draft::Edit { target, .. } = draft else { return Ok(None) };
        let Some(chat) = names.first().filter(|chat| chat.server != Server::Newsletter) else { return Ok(None) };
        let window = self.0.env.messages.edit_window;
        let Some((body, sent_at_ms)) = self.own_message(names, &target.id).await? else {
            // Its events are kept for longer than the message is whole.
            let known = self.message_named(&chat.to_string(), &target.id).await?;
            let is_own = known.is_some_and(|entry| entry.message.from_me);
            return Err(if is_own { AcceptError::EditTooLate(window) } else { AcceptError::UnknownMessage });
        };
        self.undeleted(chat, target).await?;
        let left = match sent_at_ms {
            Some(sent) => Some(left(sent, now, window).ok_or(AcceptError::EditTooLate(window))?),
            None => None,
        };
        let original = codec::message_decode(&body).map_err(|_| AcceptError::UnknownMessage)?;
        Ok(Some(Editable { target: target.clone(), original, left }))
    }

    /// A message with what became of it, if something did. Refused, when it was deleted for everyone: nobody is to read it, or about it,
    /// any more. Reads no history for one that nobody has changed.
    pub(in crate::session) async fn undeleted(
        &self,
        chat: &Jid,
        target: &MessageTarget,
    ) -> Result<Option<history::HistoryEntry>, AcceptError> {
        Ok(match self.fate(chat, target).await? {
            EditFate::Untouched | EditFate::Unheard => None,
            EditFate::Known(entry) => Some(*entry),
        })
    }

    async fn fate(&self, chat: &Jid, target: &MessageTarget) -> Result<EditFate, AcceptError> {
        let unreadable = |error: StoreError| self.lookup_error(&error);
        let came = match target.from_me {
            true => None,
            false => self.0.inbox.find(&chat.to_string(), &target.id).await.map_err(unreadable)?,
        };
        let came_ms = came.map(|found| found.timestamp_ms);
        if self.0.log.is_untouched(&target.id, came_ms).await.map_err(unreadable)? {
            return Ok(EditFate::Untouched);
        }
        Ok(self.told(chat, target).await?.map_or(EditFate::Unheard, |entry| EditFate::Known(Box::new(entry))))
    }

    /// The newest message of a conversation that has this id, as it is shown; `None`: none is.
    pub async fn message_named(&self, chat: &str, id: &str) -> Result<Option<history::HistoryEntry>, AcceptError> {
        let (chat, id) = (Some(chat.to_owned()), Some(id.to_owned()));
        let query = history::MessageQuery { chat, id, limit: 1, ..history::MessageQuery::default() };
        Ok(self.in_turn(self.messages(&query)).await?.pop())
    }

    /// Reads history when it is this one's turn among those who look at it, and not for long.
    pub(in crate::session) async fn in_turn<T>(
        &self,
        read: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, AcceptError> {
        let Some(_turn) = self.look_turn().await else { return Err(AcceptError::ReadersBusy) };
        match timeout(HISTORY_LIMIT, read).await {
            Ok(read) => read.map_err(|error| self.lookup_error(&error)),
            Err(_) => Err(AcceptError::ReadersBusy),
        }
    }

    /// As [`Self::undeleted`], as far as its events are kept, whether something became of it or not.
    pub(in crate::session) async fn told(
        &self,
        chat: &Jid,
        target: &MessageTarget,
    ) -> Result<Option<history::HistoryEntry>, AcceptError> {
        // Also of a conversation that was cleared.
        let query = history::MessageQuery {
            chat: Some(chat.to_string()),
            id: Some(target.id.clone()),
            from_me: Some(target.from_me),
            limit: 1,
            ..history::MessageQuery::default()
        };
        let unreadable = |error: StoreError| self.lookup_error(&error);
        let Some(entry) = self.in_turn(history::messages(&self.0.log, &query)).await?.pop() else {
            return Ok(None);
        };
        // Members of a group choose the ids of what they write: another one may have chosen the same. Who names no author means any.
        if entry.message.is_group && !target.from_me && target.sender != entry.message.chat {
            let names = self.0.store.names(&target.sender).await.map_err(unreadable)?;
            if !names.contains(&entry.message.sender) {
                return Ok(None);
            }
        }
        if entry.revoked { Err(AcceptError::UnknownMessage) } else { Ok(Some(entry)) }
    }

    /// Refused, when there is no such message here, or none any more.
    pub async fn check_known(&self, chat: &str, target: &MessageTarget) -> Result<(), AcceptError> {
        let chat = chat.parse().map_err(|_| AcceptError::UnknownMessage)?;
        self.check_there(&chat, target).await
    }

    /// As [`Self::check_was_there`]. Refused too, when it was deleted for everyone.
    pub(in crate::session) async fn check_there(&self, chat: &Jid, target: &MessageTarget) -> Result<(), AcceptError> {
        match self.fate(chat, target).await? {
            EditFate::Known(_) => Ok(()),
            EditFate::Untouched => self.check_was_there(chat, target).await,
            EditFate::Unheard => match self.is_surely_told(chat, target).await? {
                true => Err(AcceptError::UnknownMessage),
                false => Ok(()),
            },
        }
    }

    /// Refused, when nobody here has ever heard of the message: WhatsApp would take what is said of it, and phones would ignore it.
    pub(in crate::session) async fn check_was_there(
        &self,
        chat: &Jid,
        target: &MessageTarget,
    ) -> Result<(), AcceptError> {
        if !self.is_surely_told(chat, target).await? {
            return Ok(());
        }
        match self.told(chat, target).await {
            Ok(None) => Err(AcceptError::UnknownMessage),
            // It was deleted since.
            Ok(Some(_)) | Err(AcceptError::UnknownMessage) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Whether history has the message, if it is anywhere. False too of one that is kept whole, for which nobody need look.
    async fn is_surely_told(&self, chat: &Jid, target: &MessageTarget) -> Result<bool, AcceptError> {
        // Posts of channels, and what others show as a status, need not be here.
        if !matches!(chat.server, Server::Pn | Server::Lid | Server::Group) {
            return Ok(false);
        }
        // Retention took the oldest events; and an id says nothing of its message's age.
        if self.0.log.trimmed().is_some() {
            return Ok(false);
        }
        let kept = self.kept_target(&chat.to_string(), &target.id).await?;
        if kept.is_some_and(|kept| kept.from_me == target.from_me) {
            return Ok(false);
        }
        // What was written in the place that the tenant came from, WhatsApp has as well.
        let came = self.0.store.has_come_from_elsewhere().await;
        Ok(!came.map_err(|error| self.lookup_error(&error))?)
    }

    /// A message as everybody sees it now: with its last edit.
    pub(in crate::session) async fn as_it_stands(
        &self,
        chat: &Jid,
        target: &MessageTarget,
        original: wa::Message,
    ) -> Result<wa::Message, AcceptError> {
        let Some(entry) = self.undeleted(chat, target).await? else { return Ok(original) };
        Ok(amended(original, &entry))
    }

    /// A message of a chat by WhatsApp's own id, as far as it is kept whole; `None` says nothing of older ones.
    pub async fn kept_target(&self, chat: &str, id: &str) -> Result<Option<MessageTarget>, AcceptError> {
        let Ok(jid) = chat.parse::<Jid>() else { return Ok(None) };
        let unreadable = |error: StoreError| self.lookup_error(&error);
        let names = self.0.names_of(&jid).await.map_err(unreadable)?;
        if self.own_message(&names, id).await?.is_some() {
            return Ok(Some(self.target(chat, id, true, None)));
        }
        for name in &names {
            if let Some(found) = self.0.inbox.find(&name.to_string(), id).await.map_err(unreadable)? {
                let author = found.sender.parse::<Jid>().map_or(found.sender, |jid| jid.to_non_ad_string());
                let author = Some(author.as_str()).filter(|_| jid.server == Server::Group);
                return Ok(Some(self.target(chat, id, found.from_me, author)));
            }
        }
        Ok(None)
    }

    /// A message that the tenant wrote, here or on its phone, and since when WhatsApp has it.
    async fn own_message(&self, names: &[Jid], id: &str) -> Result<Option<(bytes::Bytes, Option<i64>)>, AcceptError> {
        if let Some(accepted) = self.accepted(id).await? {
            let is_here = !accepted.body.is_empty() && names.iter().any(|name| name.to_string() == accepted.chat);
            return Ok(is_here.then_some((accepted.body, accepted.sent_at_ms)));
        }
        for name in names {
            let found = self.0.inbox.find(&name.to_string(), id).await.map_err(|error| self.lookup_error(&error))?;
            if let Some(found) = found.filter(|found| found.from_me) {
                return Ok(Some((found.body, Some(found.timestamp_ms))));
            }
        }
        Ok(None)
    }
}

/// The rest of the time in which WhatsApp takes edits; `None`: it is over.
fn left(sent_at_ms: i64, now: Timestamp, window: Duration) -> Option<Duration> {
    let age = now.as_millisecond().saturating_sub(sent_at_ms).max(0).unsigned_abs();
    window.checked_sub(Duration::from_millis(age)).filter(|left| !left.is_zero())
}

/// The message that an edit puts in the place of another: a text, or the same file with another caption.
pub fn edited(original: &wa::Message, text: &str) -> Result<wa::Message, Flaw> {
    let caption = Some(text.to_owned());
    let mut message = content::unwrap(original).clone();
    let is_text = message.conversation.is_some() || message.extended_text_message.is_set();
    if is_text {
        return Ok(wa::Message { conversation: caption, ..Default::default() });
    }
    if let Some(image) = message.image_message.as_option_mut() {
        (image.caption, image.context_info) = (caption, MessageField::none());
        return Ok(wa::Message { image_message: message.image_message, ..Default::default() });
    }
    if let Some(video) = message.video_message.as_option_mut() {
        (video.caption, video.context_info) = (caption, MessageField::none());
        return Ok(wa::Message { video_message: message.video_message, ..Default::default() });
    }
    if let Some(document) = message.document_message.as_option_mut() {
        (document.caption, document.context_info) = (caption, MessageField::none());
        let document = wa::Message { document_message: message.document_message, ..Default::default() };
        let wrapper = FutureProofMessage { message: MessageField::some(document) };
        return Ok(wa::Message { document_with_caption_message: MessageField::some(wrapper), ..Default::default() });
    }
    Err(Flaw { field: "messageId", expected: "a text, or a picture, video or document with its caption".into() })
}

/// With the words that its last edit gave it.
fn amended(original: wa::Message, entry: &history::HistoryEntry) -> wa::Message {
    let content = &entry.message.content;
    // Made anew, what may be seen once would not say so any more.
    let is_once = content.media().is_some_and(|media| media.view_once);
    if !entry.edited || is_once {
        return original;
    }
    edited(&original, content.text()).unwrap_or(original)
}

/// A customer's edit of a caption names the caption, and no file: whoever is told of it gets the file as it was, with the new words.
pub async fn complete(inbox: &Inbox, outbox: &Outbox, message: &mut Message) {
    let Content::Edit { target, content } = &mut message.content else { return };
    let body = match inbox.find(&message.chat, &target.id).await {
        Ok(Some(found)) if found.from_me == message.from_me => Some(found.body),
        Ok(None) if message.from_me => outbox.body(&target.id).await.ok().flatten(),
        _ => None,
    };
    let original = body.and_then(|body| codec::message_decode(&body).ok());
    let Some(mut file) = original.as_ref().and_then(content::file) else { return };
    file.amend(std::mem::replace(content, Content::plain("")));
    **content = file;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_closes() {
        let (now, window) = (Timestamp::from_second(10_000).unwrap(), Duration::from_secs(1200));
        assert_eq!(left(10_000_000 - 1_199_000, now, window), Some(Duration::from_secs(1)));
        for sent in [10_000_000 - 1_200_000, 0] {
            assert_eq!(left(sent, now, window), None);
        }
        // WhatsApp's clock is ahead of ours.
        assert_eq!(left(10_005_000, now, window), Some(window));
    }

    #[test]
    fn an_edit_has_the_form_of_what_it_edits() {
        let text = wa::Message { conversation: Some("one".into()), ..Default::default() };
        assert_eq!(edited(&text, "two").unwrap().conversation.as_deref(), Some("two"));
        let image = wa::message::ImageMessage { mimetype: Some("image/png".into()), ..Default::default() };
        let image = wa::Message { image_message: MessageField::some(image), ..Default::default() };
        let edited_image = edited(&image, "two").unwrap();
        let shown = edited_image.image_message.as_option().unwrap();
        assert_eq!((shown.mimetype.as_deref(), shown.caption.as_deref()), (Some("image/png"), Some("two")));
        let sticker = wa::Message { sticker_message: MessageField::some(Default::default()), ..Default::default() };
        assert!(edited(&sticker, "two").is_err());
    }
}
