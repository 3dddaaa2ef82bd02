//! After how long the messages of a chat disappear, as its members set it. Owns the records of it in the tenant's store.

use std::collections::HashMap;

use bytes::Bytes;

use crate::store::{Batch, Store, StoreError, key, space};

const PREFIX: &str = "timer/";

/// Longer ones are none of WhatsApp's: a year.
const LONGEST: u32 = 366 * 86_400;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timer {
    /// 0: they stay.
    pub seconds: u32,
    /// When it was set, or was seen to be so; seconds since 1970.
    pub since: i64,
}

impl Timer {
    /// `at`: when the message was written that says so. Nothing is set later than it is said.
    pub fn new(seconds: u32, since: Option<i64>, at: i64) -> Option<Self> {
        (seconds <= LONGEST)
            .then(|| Self { seconds, since: since.filter(|since| *since > 0).map_or(at, |it| it.min(at)) })
    }

    fn read(value: &Bytes) -> Option<Self> {
        let (seconds, since) = value.split_at_checked(4)?;
        let (seconds, since) =
            (u32::from_be_bytes(seconds.try_into().ok()?), i64::from_be_bytes(since.try_into().ok()?));
        Some(Self { seconds, since })
    }

    fn write(self) -> Vec<u8> {
        [&self.seconds.to_be_bytes()[..], &self.since.to_be_bytes()].concat()
    }
}

/// Notes what a message says of its chat's timer, unless something newer is known. Nobody waits for it: the next message says it again.
pub async fn learn(store: &Store, chat: &str, timer: Timer) -> Result<(), StoreError> {
    let known = of(store, chat).await?;
    let is_news = match known {
        None => timer.seconds > 0,
        Some(known) => timer.since >= known.since && timer.seconds != known.seconds,
    };
    if is_news {
        let mut batch = Batch::default();
        let chat = store.names(chat).await?.swap_remove(0);
        batch.put(space::SETTINGS, key::text(&format!("{PREFIX}{chat}")), timer.write());
        store.write(batch).await?;
    }
    Ok(())
}

/// The timer of a chat, by whatever name it was learned.
pub async fn of(store: &Store, chat: &str) -> Result<Option<Timer>, StoreError> {
    let mut newest: Option<Timer> = None;
    for name in store.names(chat).await? {
        let found = store.get(space::SETTINGS, &key::text(&format!("{PREFIX}{name}"))).await?;
        let found = found.as_ref().and_then(Timer::read);
        newest = newest.into_iter().chain(found).max_by_key(|timer| timer.since);
    }
    Ok(newest)
}

/// The chats whose messages disappear, and after how many seconds.
pub async fn all(store: &Store) -> Result<HashMap<String, u32>, StoreError> {
    let mut all: HashMap<String, Timer> = HashMap::new();
    for (key, value) in store.scan_prefix(space::SETTINGS, PREFIX.as_bytes(), usize::MAX).await? {
        let chat = std::str::from_utf8(&key).ok().and_then(|key| key.strip_prefix(PREFIX));
        let (Some(chat), Some(timer)) = (chat, Timer::read(&value)) else { continue };
        // By the name that it has now.
        let chat = if chat.ends_with("@lid") { store.names(chat).await?.swap_remove(0) } else { chat.to_owned() };
        let known = all.entry(chat).or_insert(timer);
        *known = [*known, timer].into_iter().max_by_key(|timer| timer.since).unwrap_or(timer);
    }
    Ok(all.into_iter().filter(|(_, timer)| timer.seconds > 0).map(|(chat, timer)| (chat, timer.seconds)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_set_later_than_it_is_said() {
        assert_eq!(Timer::new(86_400, Some(i64::MAX), 50), Some(Timer { seconds: 86_400, since: 50 }));
        assert_eq!(Timer::new(86_400, Some(40), 50).map(|timer| timer.since), Some(40));
        for unknown in [None, Some(0), Some(-1)] {
            assert_eq!(Timer::new(0, unknown, 50), Some(Timer { seconds: 0, since: 50 }));
        }
        assert_eq!(Timer::new(u32::MAX, None, 50), None);
    }

    #[test]
    fn what_is_written_is_read() {
        let timer = Timer { seconds: 604_800, since: 1_800_000_000 };
        assert_eq!(Timer::read(&timer.write().into()), Some(timer));
        assert_eq!(Timer::read(&Bytes::from_static(b"xyz")), None);
    }
}
