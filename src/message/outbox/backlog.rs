//! The order of the outbox: the ids of the messages that still have to be sent. In memory, so that nobody reads
//! twenty thousand settled records to find ten that wait; and small, since the messages themselves stay in the store.
//! Pure.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::Arc,
    time::SystemTime,
};

use ulid::Ulid;

use crate::{humanize::Timing, journal::ChangeNo, pacing::Parcel};

/// Messages for which there is room when nothing waits.
const ROOM: usize = 16;

/// A message that still has to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaitingMessage {
    pub id: Arc<str>,
    /// The conversation in whose order it goes: a jid, by one of its names.
    pub chat: Arc<str>,
    /// Milliseconds since 1970. It is not sent later than that.
    pub expires_at_ms: i64,
    /// With this change it is durable.
    pub change: ChangeNo,
    /// It gives way to whoever answers in its place.
    pub from_bot: bool,
    pub timing: Timing,
    /// Its count for the sending limits.
    pub parcel: Parcel,
    /// Of its record.
    pub bytes: usize,
}

/// How much waits, and since when.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BacklogSize {
    pub messages: usize,
    /// When the oldest was accepted, milliseconds since 1970; `None`: nothing waits.
    pub oldest_ms: Option<u64>,
}

/// By chat, each in the order of acceptance.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    chats: HashMap<Arc<str>, BTreeMap<Ulid, WaitingMessage>>,
    places: HashMap<Arc<str>, (Arc<str>, Ulid)>,
    expiries: BTreeSet<(i64, Ulid, Arc<str>)>,
    /// Messages that somebody is just sending.
    begun: HashSet<Arc<str>>,
    /// Chats that had nothing to send before, until somebody takes them.
    fresh: Vec<Arc<str>>,
    /// Chats that are one with another now, until somebody takes them: what became of which.
    joined: Vec<(Arc<str>, Arc<str>)>,
    /// Chats in which something was taken back, until somebody takes them.
    withdrawn: BTreeSet<Arc<str>>,
    /// Counts the times that two names became one person's.
    meetings: u64,
    last: Ulid,
    /// Of the records of all that waits: they are in the tenant's state, which a snapshot and a restore have whole in memory.
    bytes: usize,
}

impl Backlog {
    /// A place behind all others, also when the clock has gone back since they were accepted.
    pub fn next_order(&self, now: SystemTime) -> Ulid {
        let fresh = Ulid::from_datetime(now);
        if fresh > self.last { fresh } else { Ulid(self.last.0 + 1) }
    }

    /// As [`Self::next_order`], and nobody else gets it.
    pub fn take_order(&mut self, now: SystemTime) -> Ulid {
        let order = self.next_order(now);
        self.know(order);
        order
    }

    /// The last place that there is.
    pub fn last(&self) -> Ulid {
        self.last
    }

    /// There is a record with this place; new ones come behind it.
    pub fn know(&mut self, order: Ulid) {
        self.last = self.last.max(order);
    }

    pub fn add(&mut self, order: Ulid, waiting: WaitingMessage) {
        self.know(order);
        let (id, chat) = (waiting.id.clone(), waiting.chat.clone());
        let lane = self.chats.entry(chat.clone()).or_default();
        if lane.is_empty() {
            self.fresh.push(chat.clone());
        }
        self.expiries.insert((waiting.expires_at_ms, order, id.clone()));
        self.bytes += waiting.bytes;
        lane.insert(order, waiting);
        self.places.insert(id, (chat, order));
    }

    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Whether so many bytes more may wait, where `limit` is the most. A message that is larger than all of that waits alone.
    pub fn has_room(&self, bytes: usize, limit: usize) -> bool {
        self.bytes == 0 || self.bytes.saturating_add(bytes) <= limit
    }

    pub fn remove(&mut self, id: &str) {
        let Some((chat, order)) = self.places.remove(id) else { return };
        let Some(lane) = self.chats.get_mut(&chat) else { return };
        if let Some(waiting) = lane.remove(&order) {
            self.bytes = self.bytes.saturating_sub(waiting.bytes);
            self.expiries.remove(&(waiting.expires_at_ms, order, waiting.id));
        }
        if lane.is_empty() {
            self.chats.remove(&chat);
        }
        if self.places.is_empty() {
            // The room that thousands have left would stay for as long as the session lives.
            self.chats.shrink_to(ROOM);
            self.places.shrink_to(ROOM);
        }
    }

    /// Somebody begins to send it: from here on nobody takes it back. False: it is not to be sent any more.
    pub fn begin(&mut self, id: &str) -> bool {
        let Some((id, _)) = self.places.get_key_value(id) else { return false };
        self.begun.insert(id.clone());
        true
    }

    /// The attempt is over, whatever came of it.
    pub fn end(&mut self, id: &str) {
        self.begun.remove(id);
    }

    /// Takes out what a bot said in a chat that has these names, and what nobody is sending now.
    pub fn withdraw(&mut self, names: &[String]) -> Vec<(Ulid, WaitingMessage)> {
        let lanes = names.iter().filter_map(|name| self.chats.get(name.as_str()));
        let waiting = lanes.flatten().filter(|(_, waiting)| waiting.from_bot && !self.begun.contains(&waiting.id));
        let withdrawn: Vec<_> = waiting.map(|(order, waiting)| (*order, waiting.clone())).collect();
        self.take_out(&withdrawn);
        withdrawn
    }

    /// Takes out these. `None`: one of them is gone or is just being sent, and all stay.
    pub fn withdraw_all(&mut self, ids: &[String]) -> Option<Vec<(Ulid, WaitingMessage)>> {
        let find = |id: &String| {
            let (chat, order) = self.places.get(id.as_str())?;
            let waiting = self.chats.get(chat)?.get(order)?;
            (!self.begun.contains(&waiting.id)).then(|| (*order, waiting.clone()))
        };
        let withdrawn = ids.iter().map(find).collect::<Option<Vec<_>>>()?;
        self.take_out(&withdrawn);
        Some(withdrawn)
    }

    fn take_out(&mut self, withdrawn: &[(Ulid, WaitingMessage)]) {
        for (_, waiting) in withdrawn {
            self.remove(&waiting.id);
            self.withdrawn.insert(waiting.chat.clone());
        }
    }

    /// Somebody is just sending it.
    pub fn is_begun(&self, id: &str) -> bool {
        self.begun.contains(id)
    }

    /// A bot's message waits for its time in the chat, and nobody is sending it.
    pub fn is_replying(&self, chat: &str) -> bool {
        let waits = |waiting: &WaitingMessage| waiting.from_bot && waiting.timing.due_at_ms != 0;
        let mut lane = self.chats.get(chat).into_iter().flat_map(BTreeMap::values);
        lane.any(|waiting| waits(waiting) && !self.begun.contains(&waiting.id))
    }

    /// Chats in which something was taken back since this was last asked.
    pub fn take_withdrawn(&mut self) -> Vec<Arc<str>> {
        std::mem::take(&mut self.withdrawn).into_iter().collect()
    }

    /// When the last of what waits in a chat is due, Unix milliseconds.
    pub fn last_due(&self, chat: &str) -> Option<i64> {
        self.chats.get(chat)?.values().map(|waiting| waiting.timing.due_at_ms).max()
    }

    /// Nothing is to be sent any more; what comes is behind it all the same.
    pub fn clear(&mut self) {
        *self = Self {
            last: self.last,
            meetings: self.meetings,
            begun: std::mem::take(&mut self.begun),
            ..Self::default()
        };
    }

    /// Two names are one person's: what waits under both goes in one order from now on, that of the acceptances. False: one of them has
    /// nothing to send.
    pub fn join(&mut self, from: &str, into: &str) -> bool {
        self.meetings += 1;
        let Some((into, _)) = self.chats.get_key_value(into).filter(|_| from != into) else { return false };
        let into = into.clone();
        let Some((from, moved)) = self.chats.remove_entry(from) else { return false };
        let lane = self.chats.entry(into.clone()).or_default();
        for (order, waiting) in moved {
            self.places.insert(waiting.id.clone(), (into.clone(), order));
            lane.insert(order, WaitingMessage { chat: into.clone(), ..waiting });
        }
        self.fresh.retain(|chat| *chat != from);
        self.joined.push((from, into));
        true
    }

    pub fn meetings(&self) -> u64 {
        self.meetings
    }

    /// Chats that have become one with another since this was last asked: which, and with which.
    pub fn take_joined(&mut self) -> Vec<(Arc<str>, Arc<str>)> {
        std::mem::take(&mut self.joined)
    }

    pub fn get(&self, id: &str) -> Option<&WaitingMessage> {
        let (chat, order) = self.places.get(id)?;
        self.chats.get(chat)?.get(order)
    }

    /// First messages to strangers that wait.
    pub fn first_contacts(&self) -> usize {
        self.chats.values().flat_map(BTreeMap::values).filter(|waiting| waiting.parcel.is_first_contact).count()
    }

    /// Whatever a chat waits for whose next message is such a one, it is looked at anew.
    pub fn look_anew(&mut self, is_meant: impl Fn(&WaitingMessage) -> bool) {
        for (chat, lane) in &self.chats {
            if lane.values().next().is_some_and(&is_meant) {
                self.withdrawn.insert(chat.clone());
            }
        }
    }

    /// A place has the time of its acceptance in it.
    pub fn backlogged(&self) -> BacklogSize {
        let firsts = self.chats.values().filter_map(|lane| lane.keys().next());
        BacklogSize { messages: self.places.len(), oldest_ms: firsts.min().map(Ulid::timestamp_ms) }
    }

    /// The message of a chat that goes next.
    pub fn head(&self, chat: &str) -> Option<&WaitingMessage> {
        self.chats.get(chat)?.values().next()
    }

    /// Chats that have got something to send since this was last asked, in the order of what they send first.
    pub fn take_fresh(&mut self) -> Vec<Arc<str>> {
        let mut fresh = std::mem::take(&mut self.fresh);
        let first = |chat: &Arc<str>| self.chats.get(chat).and_then(|lane| lane.keys().next().copied());
        fresh.sort_by_cached_key(first);
        fresh
    }

    /// The message that expires first, of all that are not `busy`.
    pub fn first_to_expire(&self, busy: impl Fn(&WaitingMessage) -> bool) -> Option<&WaitingMessage> {
        let mut by_time = self.expiries.iter().filter_map(|(_, _, id)| self.get(id));
        by_time.find(|waiting| !busy(waiting))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn waiting(id: &str, chat: &str) -> WaitingMessage {
        WaitingMessage {
            id: id.into(),
            chat: chat.into(),
            expires_at_ms: 0,
            change: ChangeNo::ZERO,
            from_bot: false,
            timing: Timing::default(),
            parcel: Parcel::default(),
            bytes: 10,
        }
    }

    #[test]
    fn what_leaves_in_any_way_makes_room() {
        let mut backlog = Backlog::default();
        let has_room = |backlog: &Backlog| [11, 21, 31].map(|limit| backlog.has_room(1, limit));
        assert!(backlog.has_room(100, 1), "one that is larger than all of it never goes");
        for (order, id, chat) in [(1, "a", "lid"), (2, "b", "number")] {
            backlog.add(Ulid(order), WaitingMessage { from_bot: true, ..waiting(id, chat) });
        }
        assert_eq!(has_room(&backlog), [false, true, true]);
        backlog.join("number", "lid");
        assert_eq!(has_room(&backlog), [false, true, true], "a name more is no message more");
        let withdrawn = backlog.withdraw(&["lid".to_owned()]);
        assert_eq!(has_room(&backlog), [true; 3]);
        withdrawn.into_iter().for_each(|(order, waiting)| backlog.add(order, waiting));
        backlog.remove("a");
        backlog.remove("a");
        assert_eq!(has_room(&backlog), [true; 3]);
        backlog.add(Ulid(3), waiting("c", "lid"));
        assert_eq!(has_room(&backlog), [false, true, true]);
        backlog.clear();
        assert!(backlog.has_room(100, 1));
    }

    #[test]
    fn thousands_leave_no_room_behind() {
        let mut backlog = Backlog::default();
        let ids: Vec<_> = (0..5000).map(|n| n.to_string()).collect();
        ids.iter().zip(1..).for_each(|(id, order)| backlog.add(Ulid(order), waiting(id, id)));
        assert!(backlog.places.capacity() >= 5000 && backlog.chats.capacity() >= 5000);
        ids.iter().for_each(|id| backlog.remove(id));
        assert!(backlog.places.capacity() < 100 && backlog.chats.capacity() < 100);
    }

    #[test]
    fn a_clock_that_went_back_puts_nothing_in_front() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let mut backlog = Backlog::default();
        backlog.add(backlog.next_order(now), waiting("a", "chat"));
        backlog.add(backlog.next_order(now - Duration::from_secs(3600)), waiting("b", "chat"));
        assert_eq!(backlog.head("chat").map(|it| &*it.id), Some("a"));
        backlog.remove("a");
        assert_eq!(backlog.head("chat").map(|it| &*it.id), Some("b"));
    }

    #[test]
    fn what_is_being_sent_is_not_withdrawn() {
        let mut backlog = Backlog::default();
        for (order, id, from_bot) in [(1, "a", true), (2, "b", false), (3, "c", true)] {
            backlog.add(Ulid(order), WaitingMessage { from_bot, ..waiting(id, "lid") });
        }
        assert!(backlog.begin("a") && !backlog.begin("elsewhere"));
        let names = ["number".to_owned(), "lid".to_owned()];
        let ids = |withdrawn: Vec<(Ulid, WaitingMessage)>| {
            withdrawn.iter().map(|(_, it)| it.id.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(ids(backlog.withdraw(&names)), ["c"]);
        assert!(!backlog.begin("c"), "it is sent all the same");
        backlog.end("a");
        assert_eq!(ids(backlog.withdraw(&names)), ["a"]);
        assert_eq!(backlog.head("lid").map(|it| it.id.to_string()), Some("b".into()));
    }

    #[test]
    fn all_are_withdrawn_or_none() {
        let mut backlog = Backlog::default();
        for (order, id) in [(1, "a"), (2, "b")] {
            backlog.add(Ulid(order), WaitingMessage { from_bot: true, ..waiting(id, "lid") });
        }
        let ids = ["a".to_owned(), "b".to_owned()];
        backlog.begin("a");
        assert_eq!(backlog.withdraw_all(&ids), None);
        backlog.end("a");
        assert_eq!(backlog.withdraw_all(&ids).map(|withdrawn| withdrawn.len()), Some(2));
        assert_eq!(backlog.take_withdrawn(), ["lid".into()]);
        assert_eq!(backlog.head("lid"), None);
        assert_eq!(backlog.withdraw_all(&ids), None, "they are gone");
    }

    #[test]
    fn a_reply_that_waits_for_its_time_is_being_written() {
        let mut backlog = Backlog::default();
        let timing = Timing { due_at_ms: 9, ..Timing::default() };
        backlog.add(Ulid(1), WaitingMessage { timing, ..waiting("a", "owners") });
        backlog.add(Ulid(2), WaitingMessage { from_bot: true, ..waiting("b", "at_once") });
        backlog.add(Ulid(3), WaitingMessage { from_bot: true, timing, ..waiting("c", "typed") });
        let typed = |backlog: &Backlog| ["owners", "at_once", "typed"].map(|chat| backlog.is_replying(chat));
        assert_eq!(typed(&backlog), [false, false, true]);
        backlog.begin("c");
        assert_eq!(typed(&backlog), [false; 3]);
    }

    #[test]
    fn a_chat_is_fresh_once_until_it_has_sent_everything() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let mut backlog = Backlog::default();
        let add = |backlog: &mut Backlog, id, chat| backlog.add(backlog.next_order(now), waiting(id, chat));
        for (id, chat) in [("a", "second"), ("b", "first"), ("c", "second")] {
            add(&mut backlog, id, chat);
        }
        assert_eq!(backlog.take_fresh(), ["second".into(), "first".into()]);
        assert_eq!(backlog.take_fresh(), []);
        backlog.remove("a");
        backlog.remove("c");
        add(&mut backlog, "d", "second");
        assert_eq!(backlog.take_fresh(), [Arc::from("second")]);
    }

    #[test]
    fn what_is_cleared_is_not_sent_and_does_not_expire() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let mut backlog = Backlog::default();
        let first = backlog.next_order(now);
        backlog.add(first, waiting("a", "chat"));
        backlog.clear();
        assert_eq!((backlog.head("chat"), backlog.get("a"), backlog.first_to_expire(|_| false)), (None, None, None));
        assert_eq!(backlog.take_fresh(), []);
        let next = backlog.next_order(now - Duration::from_secs(3600));
        assert!(next > first, "the next one is in front of what is gone");
        backlog.add(next, waiting("b", "chat"));
        assert_eq!(backlog.take_fresh(), ["chat".into()]);
    }

    #[test]
    fn two_chats_become_one_in_the_order_of_acceptance() {
        let mut backlog = Backlog::default();
        for (order, id, chat) in [(1, "a", "lid"), (2, "b", "number"), (3, "c", "lid")] {
            backlog.add(Ulid(order), waiting(id, chat));
        }
        assert!(
            !backlog.join("lid", "elsewhere")
                && !backlog.join("elsewhere", "number")
                && backlog.take_joined().is_empty()
        );
        assert!(backlog.join("lid", "number"));
        assert_eq!(backlog.take_joined(), [("lid".into(), "number".into())]);
        for id in ["a", "b", "c"] {
            let head = backlog.head("number").map(|it| (it.id.to_string(), it.chat.to_string()));
            assert_eq!(head, Some((id.to_owned(), "number".to_owned())));
            assert_eq!(backlog.first_to_expire(|_| false).map(|it| &*it.id), Some(id));
            backlog.remove(id);
        }
        assert_eq!((backlog.head("lid"), backlog.head("number")), (None, None));
        assert_eq!(backlog.meetings(), 3);
    }

    #[test]
    fn what_is_on_its_way_does_not_expire() {
        let mut backlog = Backlog::default();
        for (order, id, expires_at_ms) in [(1, "a", 9), (2, "b", 5), (3, "c", 7)] {
            backlog.add(Ulid(order), WaitingMessage { expires_at_ms, ..waiting(id, id) });
        }
        let first = |busy: &str| backlog.first_to_expire(|it| &*it.id == busy).map(|it| it.id.to_string());
        assert_eq!((first(""), first("b")), (Some("b".into()), Some("c".into())));
    }
}
