//! Remembers what became of messages, until the message itself is met: a reader that goes backwards comes to it last.

use std::{
    collections::{HashMap, HashSet, hash_map},
    hash::{BuildHasher as _, RandomState},
};

use super::{HistoryEntry, Reaction, Vote};
use crate::message::{Content, Delivery, EventBody, EventId, Failure, Message};

/// Texts of edits that wait for their messages.
const EDITED_BYTES: usize = 1024 * 1024;

/// The fates of messages that are older than what was read, and so are met later.
#[derive(Default)]
pub(super) struct Fates {
    status: HashMap<String, Fate>,
    /// What they say, and whom they mention.
    edits: HashMap<MessageKey, (Content, Vec<String>)>,
    /// Of texts in there, those too that are gone.
    edited_bytes: usize,
    revoked: HashSet<MessageKey>,
    /// By chat and message: what the tenant, as an admin of a group, deleted of others.
    removed: HashSet<(String, String)>,
    /// By chat and message.
    reactions: HashMap<(String, String), Vec<Reaction>>,
    votes: HashMap<(String, String), Vec<Vote>>,
    /// Digests of the places of messages that could be read: their placeholders are not shown.
    read: HashSet<u64>,
    digests: RandomState,
}

/// How far a message came.
struct Fate {
    status: Delivery,
    failure: Option<Failure>,
    /// Only of what is sent from here it is told that WhatsApp has it, or that it failed; and always.
    is_ours: bool,
}

impl Fate {
    fn new(status: Delivery, failure: Option<Failure>) -> Self {
        let is_ours = matches!(status, Delivery::Accepted | Delivery::Sent | Delivery::Failed);
        Self { status, failure, is_ours }
    }

    /// Joins this fate with an earlier one. A process that begins reports the states of the phone's messages again: a
    /// lesser state says nothing.
    fn after(self, earlier: Self) -> Self {
        let (is_ours, failed) = (self.is_ours || earlier.is_ours, Delivery::Failed);
        let takes_back = self.status != failed && earlier.status != failed && earlier.status > self.status;
        let last = if takes_back { earlier } else { self };
        Self { is_ours, ..last }
    }
}

/// A message of one author in one chat. Only the author may edit or delete it: what somebody else says of it is not believed,
/// whatever id he names.
#[derive(PartialEq, Eq, Hash)]
struct MessageKey {
    chat: String,
    id: String,
    /// `None`: we.
    author: Option<String>,
}

impl MessageKey {
    /// The message that `message` may change: one of the same author.
    fn named_by(message: &Message, id: String) -> Self {
        let author = (!message.from_me).then(|| message.sender.clone());
        Self { chat: message.chat.clone(), id, author }
    }
}

impl Fates {
    /// True for a placeholder when the message itself has been met.
    pub(super) fn is_read_now(&mut self, message: &Message) -> bool {
        let digest = self.digests.hash_one(MessageKey::named_by(message, message.id.clone()));
        if message.content == Content::Undecryptable {
            return self.read.contains(&digest);
        }
        self.read.insert(digest);
        false
    }

    /// True for a change of another message that WhatsApp never had: the other one is as it was.
    fn has_come_to_nothing(&self, message: &Message) -> bool {
        let is_change = matches!(
            message.content,
            Content::Edit { .. } | Content::Revoke { .. } | Content::Reaction { .. } | Content::Vote { .. }
        );
        let fate = self.status.get(&message.id).filter(|_| is_change && message.from_me);
        fate.is_some_and(|Fate { status, failure, .. }| {
            *status == Delivery::Failed && !failure.is_some_and(Failure::may_have_arrived)
        })
    }

    /// Remembers what an event says of another message, or completes the message that it brings.
    pub(super) fn meet(&mut self, id: EventId, body: EventBody) -> Option<HistoryEntry> {
        let message = match body {
            EventBody::Status { message_id, status, failure, .. } => {
                // The newest is met first.
                let met = Fate::new(status, failure);
                let fate = match self.status.remove(&message_id) {
                    Some(newer) => newer.after(met),
                    None => met,
                };
                self.status.insert(message_id, fate);
                return None;
            }
            EventBody::Received { message } | EventBody::Sent { message } => message,
            _ => return None,
        };
        if self.is_read_now(&message) || self.has_come_to_nothing(&message) {
            return None;
        }
        match &message.content {
            Content::Edit { target, content } => {
                let place = MessageKey::named_by(&message, target.id.clone());
                if let hash_map::Entry::Vacant(vacant) = self.edits.entry(place) {
                    self.edited_bytes += content.text().len();
                    self.edited_bytes += message.mentions.iter().map(String::len).sum::<usize>();
                    // Many edits of messages of long ago must not fill the reader's memory.
                    let is_much = self.edited_bytes > EDITED_BYTES;
                    vacant.insert(match is_much {
                        true => (content.brief(), Vec::new()),
                        false => (content.as_ref().clone(), message.mentions.clone()),
                    });
                }
                None
            }
            // WhatsApp took it from an admin. What another admin deletes is not believed: nothing here says who is one.
            Content::Revoke { target } if message.from_me && message.is_group && !target.from_me => {
                self.removed.insert((message.chat.clone(), target.id.clone()));
                None
            }
            Content::Revoke { target } => {
                self.revoked.insert(MessageKey::named_by(&message, target.id.clone()));
                None
            }
            Content::Reaction { target, emoji } => {
                let place = (message.chat.clone(), target.id.clone());
                let reactions = self.reactions.entry(place).or_default();
                if !reactions.iter().any(|reaction| reaction.sender == message.sender) {
                    let (sender, from_me) = (message.sender.clone(), message.from_me);
                    reactions.push(Reaction { sender, from_me, emoji: emoji.clone() });
                }
                None
            }
            Content::Vote { poll, options } => {
                let votes = self.votes.entry((message.chat.clone(), poll.id.clone())).or_default();
                if !votes.iter().any(|vote| vote.sender == message.sender) {
                    let (sender, from_me) = (message.sender.clone(), message.from_me);
                    votes.push(Vote { sender, from_me, options: options.clone() });
                }
                None
            }
            content if content.is_mark() => None,
            _ => Some(self.complete(id, message)),
        }
    }

    fn complete(&mut self, event: EventId, mut message: Message) -> HistoryEntry {
        let place = MessageKey::named_by(&message, message.id.clone());
        let edit = self.edits.remove(&place);
        let edited = edit.is_some();
        if let Some((content, mentions)) = edit {
            message.content.amend(content);
            message.mentions = mentions;
        }
        let named = (message.chat.clone(), message.id.clone());
        let mut reactions = self.reactions.remove(&named).unwrap_or_default();
        reactions.retain(|reaction| !reaction.emoji.is_empty());
        let mut votes = self.votes.remove(&named).unwrap_or_default();
        votes.retain(|vote| !vote.options.is_empty());
        let fate = self.status.remove(&message.id);
        let revoked = self.revoked.remove(&place) || !message.from_me && self.removed.remove(&named);
        if revoked {
            message.erase();
            // These say again what could be chosen.
            votes.clear();
            reactions.clear();
        }
        HistoryEntry {
            event,
            past: false,
            status: fate.as_ref().map(|fate| fate.status),
            is_ours: fate.as_ref().is_some_and(|fate| fate.is_ours),
            failure: fate.and_then(|fate| fate.failure),
            edited,
            revoked,
            reactions,
            votes,
            message,
        }
    }
}
