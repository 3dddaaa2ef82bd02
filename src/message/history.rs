//! Conversations, read from the event log and from what the phone told of the time before: what was said, with what became of it
//! since. Reads backwards from the newest event, so it has seen a message's receipts, edits and reactions by the time it comes to the
//! message. Bounded by what the two keep. An event says the name that its chat had then; here each has the one that it has now, so
//! that a LID whose number was learned later is not a second conversation.

use std::{
    collections::{HashMap, HashSet, VecDeque, hash_map},
    hash::{BuildHasher as _, RandomState},
    iter::Peekable,
    time::Duration,
};

use jiff::Timestamp;
use tokio::sync::mpsc;

use super::{
    Content, Delivery, EventBody, EventId, Failure, Log, Message,
    cleared::Cleared,
    oldest::OldestFirst,
    past,
    segments::{Mark, Marks, mark},
    status::STATUS_CHAT,
    timer,
};
use crate::store::{StoreError, key, space};

/// A message with what became of it.
#[derive(Debug, Clone, PartialEq)]
pub struct HistoryEntry {
    /// Of the event that brought it, or in its place: where the next page begins.
    pub event: EventId,
    /// The phone told it when it was asked: it never was an event.
    pub past: bool,
    /// With the text of its last edit.
    pub message: Message,
    /// How far it came, when we sent it. `None` too of one that the tenant wrote on its phone, as long as nothing is known of it.
    pub status: Option<Delivery>,
    /// Accepted by a daemon, and not written on the phone or in another client.
    pub is_ours: bool,
    /// Why it failed, if it did.
    pub failure: Option<Failure>,
    pub edited: bool,
    /// Deleted for everyone.
    pub revoked: bool,
    /// Who reacted with what, the latest of each.
    pub reactions: Vec<Reaction>,
    /// Who chose what, the latest of each, when it is a poll.
    pub votes: Vec<Vote>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reaction {
    pub sender: String,
    pub from_me: bool,
    pub emoji: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vote {
    pub sender: String,
    pub from_me: bool,
    /// The names of all options chosen now.
    pub options: Vec<String>,
}

/// A conversation with its last message.
#[derive(Debug, Clone, PartialEq)]
pub struct ChatSummary {
    /// A jid.
    pub id: String,
    /// What the other one calls himself, as far as he wrote.
    pub name: Option<String>,
    /// Its messages disappear after so many seconds.
    pub timer: Option<u32>,
    pub last: HistoryEntry,
}

/// Which messages are wanted.
#[derive(Debug, Clone, Default)]
pub struct MessageQuery {
    /// A jid; all conversations without one.
    pub chat: Option<String>,
    /// The one with this id.
    pub id: Option<String>,
    /// Older than this event.
    pub before: Option<EventId>,
    /// Newer than this event.
    pub after: Option<EventId>,
    /// Sent in this second or later, by the message's own time, seconds since 1970.
    pub since: Option<i64>,
    /// Sent in this second or before.
    pub until: Option<i64>,
    /// Only our messages, or only those of others.
    pub from_me: Option<bool>,
    /// Only messages that came so far and no further.
    pub delivery: Option<Delivery>,
    /// The oldest first.
    pub oldest_first: bool,
    /// So many of them are left out.
    pub offset: usize,
    pub limit: usize,
    /// Only messages whose text has this in it, in any case.
    pub text: Option<String>,
    /// What is not shown any more.
    pub cleared: Cleared,
}

impl MessageQuery {
    /// Nothing that is wanted is as old as this one: whoever asks for the last minute does not read years.
    fn ends_before(&self, entry: &HistoryEntry) -> bool {
        let at_s = i64::try_from(entry.event.0.timestamp_ms() / 1000).unwrap_or(i64::MAX);
        self.after.is_some_and(|after| entry.event <= after)
            || self.since.is_some_and(|since| at_s.saturating_add(LATENESS_S) < since)
    }

    /// By the conditions on the message itself.
    fn takes(&self, entry: &HistoryEntry) -> bool {
        let Message { id, from_me, timestamp, .. } = &entry.message;
        self.id.as_ref().is_none_or(|wanted| wanted == id)
            && self.before.is_none_or(|before| entry.event < before)
            && self.after.is_none_or(|after| entry.event > after)
            && self.since.is_none_or(|since| *timestamp >= since)
            && self.until.is_none_or(|until| *timestamp <= until)
            && self.from_me.is_none_or(|wanted| wanted == *from_me)
            && self.delivery.is_none_or(|wanted| wanted == entry.delivery())
    }
}

impl HistoryEntry {
    /// How far the message came. One that came is with our device, one that the phone sent is with WhatsApp.
    pub fn delivery(&self) -> Delivery {
        self.status.unwrap_or(if self.message.from_me { Delivery::Sent } else { Delivery::Delivered })
    }
}

/// A message is told at most so many seconds before its own time, by clocks that differ.
const LATENESS_S: i64 = 24 * 60 * 60;
/// Events read at a time.
const PAGE: usize = 256;
/// Bytes of messages that a list of conversations has whole; of more only what is brief.
const LIST_BYTES: usize = 1024 * 1024;
/// Texts of edits that wait for their messages.
const EDITED_BYTES: usize = 1024 * 1024;
/// So many of the newest events are looked through for the names of those who are listed.
const NAMED: usize = 2560;

/// What became of messages that are yet to come, since they are older.
#[derive(Default)]
struct Fates {
    status: HashMap<String, Fate>,
    edits: HashMap<MessageKey, Content>,
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

    /// The same, with what was told before. A process that begins tells of the phone's messages what another one has told: what is less
    /// says nothing.
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
    /// What `message` may say something of.
    fn named_by(message: &Message, id: String) -> Self {
        let author = (!message.from_me).then(|| message.sender.clone());
        Self { chat: message.chat.clone(), id, author }
    }
}

/// Messages that a query wants, newest first, one after the other.
pub(super) struct MatchingMessages<'a> {
    query: &'a MessageQuery,
    /// Of the conversation, the one that it has now first; none: all conversations.
    names: Vec<String>,
    /// In lower case.
    text: Option<String>,
    backwards: Backwards<'a>,
    skip: usize,
    left: usize,
}

impl<'a> MatchingMessages<'a> {
    pub(super) async fn new(log: &'a Log, query: &'a MessageQuery) -> Result<Self, StoreError> {
        let text = query.text.as_deref().map(str::to_lowercase);
        let names = match &query.chat {
            Some(chat) => log.store.names(chat).await?,
            None => Vec::new(),
        };
        let past = past::read(&log.store, query.chat.is_some().then_some(&names[..])).await?;
        Ok(Self { query, names, text, backwards: Backwards::new(log, past), skip: query.offset, left: query.limit })
    }

    pub(super) async fn next(&mut self) -> Result<Option<HistoryEntry>, StoreError> {
        let Self { query, names, .. } = self;
        while self.left > 0 {
            let worth = |chats: &Marks| names.is_empty() || names.iter().any(|name| chats.may_have(name));
            let Some(entry) = self.backwards.next(worth).await? else { break };
            if query.ends_before(&entry) {
                break;
            }
            let here = names.first().is_none_or(|chat| *chat == entry.message.chat);
            let shown = is_shown(&query.cleared, &entry);
            let fits = self.text.as_ref().is_none_or(|text| entry.message.content.text().to_lowercase().contains(text));
            if !(here && shown && fits && query.takes(&entry)) {
                continue;
            }
            if self.skip > 0 {
                self.skip -= 1;
                continue;
            }
            self.left -= 1;
            return Ok(Some(entry));
        }
        Ok(None)
    }
}

/// Newest first, all at once: for few.
pub async fn messages(log: &Log, query: &MessageQuery) -> Result<Vec<HistoryEntry>, StoreError> {
    let mut wanted = MatchingMessages::new(log, query).await?;
    let mut found = Vec::new();
    while let Some(entry) = wanted.next().await? {
        found.push(entry);
    }
    Ok(found)
}

/// How long whoever reads a stream may take for one message.
const STALLED: Duration = Duration::from_secs(60);

/// In the query's order, one at a time, as fast as they are taken. `None` is the end: a stream that ends without it has broken off.
pub async fn stream(log: &Log, query: &MessageQuery, to: mpsc::Sender<Result<Option<HistoryEntry>, StoreError>>) {
    let read = async {
        if query.oldest_first {
            let mut pages = OldestFirst::new(log, query).await?;
            while let Some(page) = pages.next().await? {
                for entry in page {
                    if to.send_timeout(Ok(Some(entry)), STALLED).await.is_err() {
                        return Ok(false);
                    }
                }
            }
            return Ok(true);
        }
        let mut wanted = MatchingMessages::new(log, query).await?;
        while let Some(entry) = wanted.next().await? {
            if to.send_timeout(Ok(Some(entry)), STALLED).await.is_err() {
                return Ok(false);
            }
        }
        Ok(true)
    };
    let end = match read.await {
        Ok(true) => Ok(None),
        Ok(false) => return,
        Err(error) => Err(error),
    };
    let _ = to.send_timeout(end, STALLED).await;
}

/// By their last message, newest first, `offset` of them left out; of `only` these, if it says any. Who wrote nothing among the newest
/// events has no name here.
pub async fn chats(
    log: &Log,
    cleared: &Cleared,
    only: Option<&HashSet<String>>,
    offset: usize,
    limit: usize,
) -> Result<Vec<ChatSummary>, StoreError> {
    let mut chats: Vec<ChatSummary> = Vec::new();
    let mut places: HashMap<String, usize> = HashMap::new();
    let mut only_named: HashSet<String> = HashSet::new();
    let mut wanted: Option<HashSet<Mark>> = only.map(|_| HashSet::new());
    for id in only.into_iter().flatten() {
        let names = log.store.names(id).await?;
        wanted.get_or_insert_default().extend(names.iter().map(|name| mark(name)));
        only_named.extend(names.into_iter().next());
    }
    let only = only.map(|_| &only_named);
    let enough = offset.saturating_add(limit).min(only.map_or(usize::MAX, HashSet::len));
    // Of these nothing more is; what is shown to many is no conversation.
    let mut done: HashSet<Mark> = HashSet::from([mark(STATUS_CHAT)]);
    let (mut nameless, mut listed) = (0, 0);
    let mut backwards = Backwards::new(log, Vec::new());
    while chats.len() < enough || nameless > 0 && backwards.events < NAMED {
        let is_wanted =
            |mark: &Mark| wanted.as_ref().is_none_or(|wanted| wanted.contains(mark)) && !done.contains(mark);
        let Some(entry) = backwards.next(|chats| chats.marks().any(|mark| is_wanted(&mark))).await? else { break };
        let message = &entry.message;
        let place = places.get(&message.chat).copied();
        let is_asked_for = message.chat != STATUS_CHAT && only.is_none_or(|ids| ids.contains(&message.chat));
        if !is_asked_for || place.is_none() && chats.len() >= enough {
            continue;
        }
        let shown = is_shown(cleared, &entry);
        let name = Some(message.push_name.clone());
        let name = name.filter(|name| shown && !name.is_empty() && !message.from_me && !message.is_group);
        // A group is not called after whoever writes there.
        if !shown || name.is_some() || message.is_group || backwards.events >= NAMED {
            done.insert(mark(&message.chat));
        }
        match place {
            // A name may be known only from further back.
            Some(place) => {
                let known = &mut chats[place].name;
                nameless -= usize::from(known.is_none() && name.is_some());
                *known = known.take().or(name);
            }
            None if shown => {
                nameless += usize::from(name.is_none() && !message.is_group);
                places.insert(message.chat.clone(), chats.len());
                let id = message.chat.clone();
                listed += entry.message.shown_size();
                let message = if listed > LIST_BYTES { entry.message.brief() } else { entry.message };
                let last = HistoryEntry { message, ..entry };
                chats.push(ChatSummary { id, name, timer: None, last });
            }
            None => {}
        }
    }
    let timers = timer::all(&log.store).await?;
    let shown = chats.into_iter().skip(offset).take(limit);
    Ok(shown.map(|chat| ChatSummary { timer: timers.get(&chat.id).copied(), ..chat }).collect())
}

pub(super) fn is_shown(cleared: &Cleared, entry: &HistoryEntry) -> bool {
    cleared.get(&entry.message.chat).is_none_or(|last| entry.event > *last)
}

/// Accepted for sending in the last minute, hour and day.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sends {
    pub minute: u32,
    pub hour: u32,
    pub day: u32,
}

/// As far as the log goes back.
pub async fn sends(log: &Log, now: Timestamp) -> Result<Sends, StoreError> {
    const MINUTE: u64 = 60_000;
    let now = u64::try_from(now.as_millisecond()).unwrap_or(0);
    let mut sends = Sends::default();
    let mut before = None;
    loop {
        let events = log.before_among(|_| true, before, PAGE).await?;
        before = events.last().map(|event| event.id);
        for event in &events {
            let age = now.saturating_sub(event.at_ms());
            if age >= 24 * 60 * MINUTE {
                return Ok(sends);
            }
            if matches!(event.body, EventBody::Sent { .. }) {
                sends.day += 1;
                sends.hour += u32::from(age < 60 * MINUTE);
                sends.minute += u32::from(age < MINUTE);
            }
        }
        if events.is_empty() {
            return Ok(sends);
        }
    }
}

/// Messages, newest first, each with what became of it. What the phone told stands between the events, by its ids.
pub(super) struct Backwards<'a> {
    log: &'a Log,
    past: Peekable<std::vec::IntoIter<(EventId, EventBody)>>,
    fates: Fates,
    before: Option<EventId>,
    /// Of LIDs that were met, the names that they have now.
    names: HashMap<String, String>,
    /// Read, and not given yet.
    entries: VecDeque<HistoryEntry>,
    /// So many events have been read.
    events: usize,
    is_over: bool,
}

impl<'a> Backwards<'a> {
    pub fn new(log: &'a Log, past: Vec<(EventId, EventBody)>) -> Self {
        let (mut fates, names, entries) = (Fates::default(), HashMap::new(), VecDeque::new());
        // A placeholder is younger than its message, and is met before it.
        for message in past.iter().filter_map(|(_, body)| body.message()) {
            fates.is_read_now(message);
        }
        let past = past.into_iter().peekable();
        Self { log, past, fates, before: None, names, entries, events: 0, is_over: false }
    }

    /// `worth`: whether it pays to read a segment that has these chats.
    pub async fn next(&mut self, worth: impl Fn(&Marks) -> bool) -> Result<Option<HistoryEntry>, StoreError> {
        while self.entries.is_empty() && !self.is_over {
            let events = self.log.before_among(&worth, self.before, PAGE).await?;
            self.before = events.last().map_or(self.before, |event| Some(event.id));
            self.events += events.len();
            self.is_over = events.is_empty();
            for mut event in events {
                self.told_after(Some(event.id));
                if let EventBody::Received { message } | EventBody::Sent { message } = &mut event.body {
                    self.rename(&mut message.chat).await?;
                    self.rename(&mut message.sender).await?;
                }
                self.entries.extend(self.fates.meet(event.id, event.body));
            }
            self.tell_what_waits().await?;
            if self.is_over {
                self.told_after(None);
            }
        }
        Ok(self.entries.pop_front())
    }

    /// Of an own message nothing has been told: it waits in the outbox, or it was written on the phone.
    async fn tell_what_waits(&mut self) -> Result<(), StoreError> {
        let log = self.log;
        let is_untold = |entry: &&mut HistoryEntry| entry.message.from_me && !entry.past && entry.status.is_none();
        for entry in self.entries.iter_mut().filter(is_untold) {
            if log.store.get(space::OUTBOX, &key::outbox(&entry.message.id)).await?.is_some() {
                (entry.status, entry.is_ours) = (Some(Delivery::Accepted), true);
            }
        }
        Ok(())
    }

    async fn rename(&mut self, jid: &mut String) -> Result<(), StoreError> {
        if !jid.ends_with("@lid") {
            return Ok(());
        }
        if !self.names.contains_key(jid) {
            let name = self.log.store.names(jid).await?.swap_remove(0);
            self.names.insert(jid.clone(), name);
        }
        jid.clone_from(&self.names[jid.as_str()]);
        Ok(())
    }

    fn told_after(&mut self, event: Option<EventId>) {
        while let Some((id, body)) = self.past.next_if(|(id, _)| event.is_none_or(|event| *id > event)) {
            self.entries.extend(self.fates.meet(id, body).map(HistoryEntry::told));
        }
    }
}

impl HistoryEntry {
    /// The phone told it. It was not sent from here.
    fn told(self) -> Self {
        Self { past: true, status: None, is_ours: false, failure: None, ..self }
    }
}

impl Fates {
    /// True for a placeholder when the message itself has been met.
    fn is_read_now(&mut self, message: &Message) -> bool {
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
    fn meet(&mut self, id: EventId, body: EventBody) -> Option<HistoryEntry> {
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
                    // Whoever edits what is long ago, again and again, must not fill the memory of who reads.
                    let is_much = self.edited_bytes > EDITED_BYTES;
                    vacant.insert(if is_much { content.brief() } else { content.as_ref().clone() });
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
        if let Some(edit) = edit {
            message.content.amend(edit);
        }
        let named = (message.chat.clone(), message.id.clone());
        let mut reactions = self.reactions.remove(&named).unwrap_or_default();
        reactions.retain(|reaction| !reaction.emoji.is_empty());
        let mut votes = self.votes.remove(&named).unwrap_or_default();
        votes.retain(|vote| !vote.options.is_empty());
        let fate = self.status.remove(&message.id);
        let revoked = self.revoked.remove(&place) || !message.from_me && self.removed.remove(&named);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{Addressed, Event, Media, MessageTarget};

    const CHAT: &str = "573009998877@s.whatsapp.net";

    fn event(n: u128, body: EventBody) -> Event {
        Event { id: EventId(ulid::Ulid(n)), tenant: "trattoria".parse().unwrap(), body }
    }

    fn message(id: &str, chat: &str, sender: &str, from_me: bool, content: Content) -> Message {
        Message {
            id: id.into(),
            chat: chat.into(),
            sender: sender.into(),
            addressed: Addressed { chat: chat.into(), sender: sender.into(), alternate: None },
            from_me,
            is_group: false,
            timestamp: 0,
            push_name: String::new(),
            content,
            quoted: None,
            forwarded: false,
            mentions: Vec::new(),
            advertisement: None,
            album: None,
            truncated: false,
        }
    }

    fn said(id: &str, sender: &str, content: Content) -> EventBody {
        EventBody::Received { message: message(id, CHAT, sender, false, content) }
    }

    fn text(text: &str) -> Content {
        Content::plain(text)
    }

    fn target(id: &str) -> MessageTarget {
        MessageTarget { id: id.into(), from_me: false, sender: CHAT.into() }
    }

    /// Oldest first, as they happened; what is shown comes newest first.
    fn shown(bodies: Vec<EventBody>) -> Vec<HistoryEntry> {
        let mut fates = Fates::default();
        let events: Vec<_> = bodies.into_iter().zip(1..).map(|(body, n)| event(n, body)).collect();
        events.into_iter().rev().filter_map(|event| fates.meet(event.id, event.body)).collect()
    }

    #[test]
    fn a_message_carries_what_became_of_it() {
        let sent = EventBody::Sent { message: message("S", CHAT, "me", true, text("at eight")) };
        let status = |status| {
            let (message_id, chat) = ("S".into(), CHAT.into());
            EventBody::Status { message_id, chat, status, by: None, failure: None }
        };
        let edit = |text: &str| Content::Edit { target: target("A"), content: Box::new(Content::plain(text)) };
        let react = |emoji: &str| Content::Reaction { target: target("A"), emoji: emoji.into() };
        let shown = shown(vec![
            said("A", CHAT, text("a tabel")),
            said("E1", CHAT, edit("a tabl")),
            said("R1", CHAT, react("👍")),
            said("E2", CHAT, edit("a table")),
            said("R2", CHAT, react("❤")),
            sent,
            status(Delivery::Sent),
            status(Delivery::Read),
        ]);
        assert_eq!(shown.len(), 2);
        assert_eq!((shown[0].message.id.as_str(), shown[0].status), ("S", Some(Delivery::Read)));
        assert_eq!((shown[1].message.content.text(), shown[1].edited), ("a table", true));
        assert_eq!(shown[1].reactions, [Reaction { sender: CHAT.into(), from_me: false, emoji: "❤".into() }]);
    }

    /// Whoever begins anew tells again what was told; of what is ours it is told that WhatsApp has it.
    #[test]
    fn the_phones_messages_come_as_far_as_anybody_told() {
        let sent = |id: &str| EventBody::Sent { message: message(id, CHAT, "me", true, text("at eight")) };
        let status = |id: &str, status| {
            let failure = (status == Delivery::Failed).then(|| crate::message::FailureReason::Unconfirmed.into());
            EventBody::Status { message_id: id.into(), chat: CHAT.into(), status, by: None, failure }
        };
        let shown = shown(vec![
            sent("phone"),
            sent("ours"),
            sent("late"),
            sent("untold"),
            status("phone", Delivery::Delivered),
            status("phone", Delivery::Read),
            status("phone", Delivery::Delivered),
            status("ours", Delivery::Sent),
            status("ours", Delivery::Delivered),
            status("late", Delivery::Failed),
            status("late", Delivery::Delivered),
        ]);
        let shown: Vec<_> = shown.iter().rev().map(|entry| (&*entry.message.id, entry.status, entry.is_ours)).collect();
        let expected = [
            ("phone", Some(Delivery::Read), false),
            ("ours", Some(Delivery::Delivered), true),
            ("late", Some(Delivery::Delivered), true),
            ("untold", None, false),
        ];
        assert_eq!(shown, expected);
    }

    #[test]
    fn an_edit_of_a_caption_keeps_the_file() {
        let file = Media {
            mime: "image/jpeg".into(),
            size: Some(5),
            caption: "Margerita".into(),
            thumbnail: Some("AAAA".into()),
            ..Media::default()
        };
        let caption = |caption: &str| Media { caption: caption.into(), ..Media::default() };
        for edit in [text("Margherita"), Content::Image(caption("Margherita"))] {
            let edit = Content::Edit { target: target("A"), content: Box::new(edit) };
            let shown = shown(vec![said("A", CHAT, Content::Image(file.clone())), said("E", CHAT, edit)]);
            let expected = Content::Image(Media { caption: "Margherita".into(), ..file.clone() });
            assert_eq!((&shown[0].message.content, shown[0].edited), (&expected, true));
        }
        // A text stays one.
        let edit = Content::Edit { target: target("A"), content: Box::new(Content::Image(caption("two"))) };
        let shown = shown(vec![said("A", CHAT, text("one")), said("E", CHAT, edit)]);
        assert_eq!(shown[0].message.content, text("two"));
    }

    #[test]
    fn nobody_edits_or_deletes_what_another_wrote() {
        let stranger = "573000000000@s.whatsapp.net";
        let forged = Content::Edit { target: target("A"), content: Box::new(text("free pizza")) };
        let elsewhere = |content| EventBody::Received { message: message("X", stranger, stranger, false, content) };
        let shown = shown(vec![
            said("A", CHAT, text("a table")),
            elsewhere(forged.clone()),
            elsewhere(Content::Revoke { target: target("A") }),
            said("Y", stranger, forged),
            said("Z", stranger, Content::Revoke { target: target("A") }),
        ]);
        let original = shown.iter().find(|entry| entry.message.id == "A").unwrap();
        assert_eq!((original.message.content.text(), original.edited, original.revoked), ("a table", false, false));
    }

    #[test]
    fn an_admins_deletions_count_in_a_group() {
        const GROUP: &str = "120363000000000001@g.us";
        let there = |message: Message| Message { is_group: true, ..message };
        let theirs =
            |id: &str| EventBody::Received { message: there(message(id, GROUP, CHAT, false, text("free pizza"))) };
        let revoke = |id: &str, about: &str, sender: &str, from_me| {
            there(message(id, GROUP, sender, from_me, Content::Revoke { target: target(about) }))
        };
        let ours = |id: &str, about: &str| EventBody::Sent { message: revoke(id, about, "me", true) };
        let status = EventBody::Status {
            message_id: "Z".into(),
            chat: GROUP.into(),
            status: Delivery::Failed,
            by: None,
            failure: Some(crate::message::FailureReason::Expired.into()),
        };
        let shown = shown(vec![
            theirs("A"),
            theirs("B"),
            theirs("C"),
            ours("X", "A"),
            EventBody::Received { message: revoke("Y", "B", "573000000000@s.whatsapp.net", false) },
            ours("Z", "C"),
            status,
        ]);
        let shown: Vec<_> = shown.iter().map(|entry| (&*entry.message.id, entry.revoked)).collect();
        assert_eq!(shown, [("C", false), ("B", false), ("A", true)]);
    }

    #[test]
    fn a_message_takes_the_place_of_its_placeholder() {
        let stranger = "573000000000@s.whatsapp.net";
        let lost = |id: &str| said(id, CHAT, Content::Undecryptable);
        let react = Content::Reaction { target: target("A"), emoji: "👍".into() };
        let shown = shown(vec![
            lost("A"),
            lost("R"),
            lost("B"),
            said("A", CHAT, text("a table")),
            // Not the same message.
            said("B", stranger, text("another")),
            said("R", CHAT, react),
        ]);
        let shown: Vec<_> = shown.iter().map(|entry| (&*entry.message.id, entry.message.content.text())).collect();
        assert_eq!(shown, [("B", "another"), ("A", "a table"), ("B", "")]);
    }

    #[test]
    fn a_reaction_that_was_taken_back_is_none() {
        let react = |emoji: &str| Content::Reaction { target: target("A"), emoji: emoji.into() };
        let shown = shown(vec![said("A", CHAT, text("a")), said("1", CHAT, react("👍")), said("2", CHAT, react(""))]);
        assert_eq!(shown[0].reactions, []);
    }

    #[test]
    fn a_poll_carries_the_last_vote_of_each() {
        let other = "573000000000@s.whatsapp.net";
        let poll = Content::Poll(crate::message::Poll { name: "When?".into(), ..Default::default() });
        let vote = |options: &[&str]| {
            let options = options.iter().map(|option| (*option).to_owned()).collect();
            Content::Vote { poll: target("P"), options }
        };
        let shown = shown(vec![
            said("P", CHAT, poll),
            said("1", CHAT, vote(&["noon", "eight"])),
            said("2", other, vote(&["noon"])),
            said("3", CHAT, vote(&["eight"])),
            said("4", other, vote(&[])),
        ]);
        assert_eq!(shown[0].votes, [Vote { sender: CHAT.into(), from_me: false, options: vec!["eight".into()] }]);
    }
}
