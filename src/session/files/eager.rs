//! Fetches files as their messages come, before anybody asks: WhatsApp's hosts forget them after weeks, and a phone that has gone has
//! none. In the background, a few at a time; what is missed is fetched when it is asked for.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use tokio::{
    sync::broadcast::error::RecvError,
    task::JoinSet,
    time::{Instant, sleep_until},
};

use super::{FetchCause, FileError};
use crate::{
    message::{Event, EventBody, FeedItem, media::FileName},
    session::Inner,
};

/// Files that wait to be fetched; the oldest of more are not fetched before they are asked for.
const WAITING: usize = 1024;

/// After how long a file is tried again that could not be fetched.
const AGAIN: [Duration; 5] = [
    Duration::from_secs(1),
    Duration::from_secs(10),
    Duration::from_secs(60),
    Duration::from_secs(600),
    Duration::from_secs(3600),
];

/// A file to be fetched, and how often that was tried.
type Wanted = (FileName, usize);

/// Until the session ends.
pub async fn eager(session: Arc<Inner>) {
    let mut feed = session.env.feed.subscribe(&session.tenant);
    let mut waiting: VecDeque<Wanted> = VecDeque::new();
    let mut later: BTreeMap<(Instant, u64), Wanted> = BTreeMap::new();
    let mut number = 0;
    let mut flying: JoinSet<(Wanted, Option<FileError>)> = JoinSet::new();
    loop {
        let next = later.first_key_value().map(|((at, _), _)| *at);
        tokio::select! {
            () = session.stop.cancelled() => return,
            notice = feed.recv() => match notice {
                Ok(FeedItem::Event(event)) => waiting.extend(file_of(&event).map(|name| (name, 0))),
                Ok(_) | Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return,
            },
            Some(landed) = flying.join_next() => {
                if let Ok(((name, tries), Some(failure))) = landed
                    && failure.is_passing()
                    && let Some(wait) = AGAIN.get(tries)
                    && later.len() < WAITING
                {
                    number += 1;
                    later.insert((Instant::now() + *wait, number), (name, tries + 1));
                }
            }
            () = sleep_until(next.unwrap_or_else(Instant::now)), if next.is_some() => {
                waiting.extend(later.pop_first().map(|(_, wanted)| wanted));
            }
        }
        while waiting.len() > WAITING {
            waiting.pop_front();
        }
        // As many may wait for the phone.
        while flying.len() < 2 * session.env.media.settings.per_tenant
            && let Some(wanted) = waiting.pop_front()
        {
            let session = session.clone();
            flying.spawn(async move {
                let failure = match session.fly(&wanted.0, FetchCause::Came) {
                    Ok(flight) => flight.await.err(),
                    Err(failure) => Some(failure),
                };
                (wanted, failure)
            });
        }
    }
}

/// The file of a conversation's message. Files of broadcasts are fetched when somebody looks at them.
fn file_of(event: &Event) -> Option<FileName> {
    let (EventBody::Received { message } | EventBody::Sent { message }) = &event.body else { return None };
    let broadcast = message.chat.ends_with("@broadcast") || message.chat.ends_with("@newsletter");
    if broadcast { None } else { FileName::of(message) }
}
