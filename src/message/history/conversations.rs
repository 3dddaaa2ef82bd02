//! The list of conversations, each with its last message.

use std::collections::{HashMap, HashSet};

use super::{HistoryEntry, backwards::Backwards, is_shown};
use crate::{
    message::{
        Log,
        cleared::Cleared,
        segments::{NameMark, mark},
        status::STATUS_CHAT,
        timer,
    },
    store::StoreError,
};

/// Bytes of messages that a list of conversations has whole; of more only what is brief.
const LIST_BYTES: usize = 1024 * 1024;

/// So many of the newest events are looked through for the names of those who are listed.
const NAMED: usize = 2560;

/// A conversation with its last message.
#[derive(Debug, Clone, PartialEq)]
pub struct ChatSummary {
    /// A jid.
    pub id: String,
    /// The name that the other one chose, known once a message of theirs came.
    pub name: Option<String>,
    /// Its messages disappear after so many seconds.
    pub timer: Option<u32>,
    pub last: HistoryEntry,
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
    let mut wanted: Option<HashSet<NameMark>> = only.map(|_| HashSet::new());
    for id in only.into_iter().flatten() {
        let names = log.store.names(id).await?;
        wanted.get_or_insert_default().extend(names.iter().map(|name| mark(name)));
        only_named.extend(names.into_iter().next());
    }
    let only = only.map(|_| &only_named);
    let enough = offset.saturating_add(limit).min(only.map_or(usize::MAX, HashSet::len));
    // Of these nothing more is; what is shown to many is no conversation.
    let mut done: HashSet<NameMark> = HashSet::from([mark(STATUS_CHAT)]);
    let (mut nameless, mut listed) = (0, 0);
    let mut backwards = Backwards::new(log, Vec::new());
    while chats.len() < enough || nameless > 0 && backwards.events < NAMED {
        let is_wanted =
            |mark: &NameMark| wanted.as_ref().is_none_or(|wanted| wanted.contains(mark)) && !done.contains(mark);
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
                let mut message = entry.message;
                if chats.len() < offset {
                    // It is counted, and not listed.
                    message.erase();
                } else {
                    listed += message.shown_size();
                    message = if listed > LIST_BYTES { message.brief() } else { message };
                }
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
