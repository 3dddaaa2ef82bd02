//! What waits to be answered, chat by chat: messages of a moment are one turn. Pure: the times are those of the events, so that a process
//! that reads them again after a crash comes to the same turns.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use super::hearing::{HeardEvent, HeardMessage};
use crate::{
    bot::conversation::{Input, Said, Utterance},
    message::EventId,
};

/// Who goes on writing is answered after so many times the time of gathering.
const LONGEST_TURN: i64 = 8;

/// What waits of a chat to be answered at once, however lately it came; and the longest turn that the engine takes whole.
pub const FULL_TURN: usize = 30;

/// What waits of all chats together: more is read when some of it is done.
const MAX_EVENTS: usize = 256;
const MAX_BYTES: usize = 1 << 20;

#[derive(Debug, Default)]
struct CustomerLane {
    events: Vec<HeardEvent>,
    /// Milliseconds since 1970.
    due_ms: i64,
    /// It is not waited for more.
    is_hurried: bool,
}

/// The turns to come.
#[derive(Debug)]
pub struct Gathering {
    window_ms: i64,
    lanes: HashMap<Arc<str>, CustomerLane>,
    due: BTreeSet<(i64, Arc<str>)>,
    count: usize,
    bytes: usize,
}

impl Gathering {
    pub fn new(window_ms: u32) -> Self {
        Self { window_ms: window_ms.into(), lanes: HashMap::new(), due: BTreeSet::new(), count: 0, bytes: 0 }
    }

    pub fn push(&mut self, chat: &str, event: HeardEvent) {
        (self.count, self.bytes) = (self.count + 1, self.bytes + event.size());
        let chat = self.lanes.get_key_value(chat).map_or_else(|| chat.into(), |(known, _)| known.clone());
        let lane = self.lanes.entry(chat.clone()).or_default();
        self.due.remove(&(lane.due_ms, chat.clone()));
        lane.events.push(event);
        lane.due_ms = if lane.is_hurried { at(&lane.events[0]) } else { due(&lane.events, self.window_ms) };
        self.due.insert((lane.due_ms, chat));
    }

    /// What waits of a chat is due at once: a reply is about to leave that knows nothing of it.
    pub fn hurry(&mut self, chat: &str) {
        let Some((chat, lane)) = self.lanes.get_key_value(chat) else { return };
        let (chat, before, now) = (chat.clone(), lane.due_ms, at(&lane.events[0]));
        self.due.remove(&(before, chat.clone()));
        self.due.insert((now, chat.clone()));
        if let Some(lane) = self.lanes.get_mut(&chat) {
            (lane.due_ms, lane.is_hurried) = (now, true);
        }
    }

    /// Whether the owner's word is among what waits of a chat.
    pub fn has_owners_word(&self, chat: &str) -> bool {
        self.lanes.get(chat).is_some_and(|lane| lane.events.iter().any(HeardEvent::is_owners))
    }

    /// What waits of a chat is not due before this time, milliseconds since 1970, unless more comes.
    pub fn postpone(&mut self, chat: &str, due_ms: i64) {
        let Some((chat, lane)) = self.lanes.get_key_value(chat) else { return };
        let (chat, before) = (chat.clone(), lane.due_ms);
        self.due.remove(&(before, chat.clone()));
        self.due.insert((due_ms, chat.clone()));
        if let Some(lane) = self.lanes.get_mut(&chat) {
            lane.due_ms = due_ms;
        }
    }

    pub fn is_full(&self) -> bool {
        self.count >= MAX_EVENTS || self.bytes >= MAX_BYTES
    }

    /// The chat whose turn is next, and when: milliseconds since 1970.
    pub fn next(&self) -> Option<(i64, Arc<str>)> {
        self.due.first().cloned()
    }

    /// What waits of a chat, in the order in which it came.
    pub fn take(&mut self, chat: &str) -> Vec<HeardEvent> {
        let Some((chat, lane)) = self.lanes.remove_entry(chat) else { return Vec::new() };
        self.due.remove(&(lane.due_ms, chat));
        self.count -= lane.events.len();
        self.bytes -= lane.events.iter().map(HeardEvent::size).sum::<usize>();
        lane.events
    }

    /// The first event that is not done.
    pub fn first(&self) -> Option<EventId> {
        self.lanes.values().filter_map(|lane| lane.events.first()).map(|event| event.id).min()
    }

    /// From now on; what waits keeps its time.
    pub fn set_window(&mut self, window_ms: u32) {
        self.window_ms = window_ms.into();
    }

    pub fn clear(&mut self) {
        *self = Self { window_ms: self.window_ms, ..Self::new(0) };
    }
}

/// Milliseconds since 1970.
fn at(event: &HeardEvent) -> i64 {
    i64::try_from(event.id.0.timestamp_ms()).unwrap_or(i64::MAX)
}

/// When a turn with these events is due, milliseconds since 1970.
fn due(events: &[HeardEvent], window_ms: i64) -> i64 {
    let (Some(first), Some(last)) = (events.first(), events.last()) else { return i64::MAX };
    // Whoever else speaks is heard at once.
    if events.len() >= FULL_TURN || events.iter().any(HeardEvent::is_owners) {
        return at(first);
    }
    let latest = at(first).saturating_add(window_ms.saturating_mul(LONGEST_TURN));
    at(last).saturating_add(window_ms).min(latest)
}

/// A turn as the engine takes it. The owner's word comes first, whenever it fell: whoever reads a question and answers it has answered what
/// was asked before, too. What was edited or deleted before anybody read it is as if it had been written so. A turn that is too long for
/// the engine is several.
pub fn inputs(events: Vec<HeardEvent>) -> Vec<Input> {
    let (owners, customers): (Vec<_>, Vec<_>) = events.into_iter().partition(HeardEvent::is_owners);
    let mut inputs = Vec::new();
    for event in owners.into_iter().chain(customers) {
        match event.what {
            HeardMessage::OwnerWrote { text } => inputs.push(Input::OwnerWrote { text }),
            HeardMessage::Said(said) => match inputs.last_mut() {
                Some(Input::Said(turn)) if turn.len() < FULL_TURN => turn.push(said),
                _ => inputs.push(Input::Said(vec![said])),
            },
            HeardMessage::Edited { id, text } => match unread(&mut inputs, &id) {
                Some((turn, at)) => turn[at].what = Utterance::Text(text),
                None => inputs.push(Input::Edited { id, text }),
            },
            HeardMessage::Revoked { id } => match unread(&mut inputs, &id) {
                Some((turn, at)) => drop(turn.remove(at)),
                None => inputs.push(Input::Revoked { id }),
            },
        }
    }
    inputs.retain(|input| !matches!(input, Input::Said(turn) if turn.is_empty()));
    inputs
}

/// A message that is in the turn itself, and its place there.
fn unread<'a>(inputs: &'a mut [Input], id: &str) -> Option<(&'a mut Vec<Said>, usize)> {
    inputs.iter_mut().find_map(|input| match input {
        Input::Said(turn) => turn.iter().position(|said| said.id == id).map(|at| (turn, at)),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use ulid::Ulid;

    use super::*;

    fn event(ms: u64, what: HeardMessage) -> HeardEvent {
        HeardEvent { id: EventId(Ulid::from_parts(ms, 0)), what, name: None }
    }

    fn said(id: &str, text: &str) -> HeardMessage {
        HeardMessage::Said(Said { id: id.into(), at: jiff::Timestamp::UNIX_EPOCH, what: Utterance::Text(text.into()) })
    }

    fn texts(inputs: &[Input]) -> Vec<String> {
        let text = |said: &Said| match &said.what {
            Utterance::Text(text) => text.clone(),
            other => format!("{other:?}"),
        };
        inputs
            .iter()
            .map(|input| match input {
                Input::Said(turn) => turn.iter().map(text).collect::<Vec<_>>().join("+"),
                other => format!("{other:?}"),
            })
            .collect()
    }

    #[test]
    fn who_goes_on_writing_is_waited_for_and_not_for_ever() {
        let mut gathering = Gathering::new(1_000);
        gathering.push("ana", event(10_000, said("a", "hola")));
        assert_eq!(gathering.next(), Some((11_000, "ana".into())));
        gathering.push("ana", event(10_900, said("b", "dos")));
        assert_eq!(gathering.next(), Some((11_900, "ana".into())));
        for n in 1..20 {
            gathering.push("ana", event(10_900 + n * 900, said("c", "y")));
        }
        assert_eq!(gathering.next(), Some((18_000, "ana".into())), "eight times the window after the first");
        gathering.push("luz", event(12_000, said("d", "buenas")));
        assert_eq!(gathering.next(), Some((13_000, "luz".into())), "one chat does not hold up another");
        assert_eq!(gathering.first(), Some(EventId(Ulid::from_parts(10_000, 0))));
        assert_eq!(gathering.take("ana").len(), 21);
        assert_eq!(gathering.first(), Some(EventId(Ulid::from_parts(12_000, 0))));
        gathering.take("luz");
        assert_eq!((gathering.next(), gathering.count, gathering.bytes), (None, 0, 0));
    }

    #[test]
    fn who_writes_while_a_reply_is_typed_is_not_waited_for() {
        let mut gathering = Gathering::new(1_000);
        gathering.push("ana", event(10_000, said("a", "hola")));
        gathering.push("luz", event(9_500, said("l", "hola")));
        gathering.hurry("ana");
        gathering.hurry("elsewhere");
        assert_eq!(gathering.next(), Some((10_000, "ana".into())));
        gathering.push("ana", event(10_500, said("b", "dos")));
        assert_eq!(gathering.next(), Some((10_000, "ana".into())));
        assert_eq!(gathering.take("ana").len(), 2);
        gathering.push("ana", event(20_000, said("c", "gracias")));
        gathering.take("luz");
        assert_eq!(gathering.next(), Some((21_000, "ana".into())), "the next turn is gathered again");
    }

    #[test]
    fn the_owner_is_heard_at_once_and_first() {
        let mut gathering = Gathering::new(1_000);
        gathering.push("ana", event(10_000, said("a", "hola")));
        gathering.push("ana", event(10_100, HeardMessage::OwnerWrote { text: None }));
        assert_eq!(gathering.next(), Some((10_000, "ana".into())));
        gathering.push("ana", event(10_200, said("b", "gracias")));
        assert_eq!(texts(&inputs(gathering.take("ana"))), ["OwnerWrote { text: None }", "hola+gracias"]);
    }

    /// The engine takes no longer turn.
    #[test]
    fn a_long_turn_is_parted_and_nothing_of_it_is_lost() {
        let mut turn: Vec<_> = (0..70).map(|n| event(n, said(&n.to_string(), &n.to_string()))).collect();
        turn.push(event(70, HeardMessage::Edited { id: "69".into(), text: "last".into() }));
        let parts = inputs(turn);
        let lengths: Vec<_> =
            parts.iter().map(|part| if let Input::Said(turn) = part { turn.len() } else { 0 }).collect();
        assert_eq!(lengths, [30, 30, 10]);
        assert!(texts(&parts)[2].ends_with("68+last"), "{:?}", texts(&parts)[2]);
    }

    #[test]
    fn what_was_edited_or_deleted_in_time_is_read_so() {
        let edit = |id: &str, text: &str| HeardMessage::Edited { id: id.into(), text: text.into() };
        let revoke = |id: &str| HeardMessage::Revoked { id: id.into() };
        let turn = [
            said("a", "dos"),
            said("b", "ajiacos"),
            edit("a", "tres"),
            revoke("b"),
            edit("x", "cuatro"),
            said("c", "ya"),
        ];
        let turn = turn.into_iter().map(|what| event(1, what)).collect();
        let expected = ["tres", r#"Edited { id: "x", text: "cuatro" }"#, "ya"];
        assert_eq!(texts(&inputs(turn)), expected);
        let gone = vec![event(1, said("a", "dos")), event(1, revoke("a"))];
        assert_eq!(inputs(gone), []);
    }
}
