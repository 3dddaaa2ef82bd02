//! Messages that only the tenant's phone can still tell: it is asked for them, one after another, until each has been asked for.
//!
//! A request is a message to the phone, and fails as others do: without a session for the phone, or on a line that ends. WhatsApp
//! has its ack by then, so that nobody else asks again. What waits here is forgotten with the process; its placeholder stays.

use std::{
    collections::VecDeque,
    convert::Infallible,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::Notify,
    time::{Instant, sleep, sleep_until},
};
use tracing::warn;
use whatsapp_rust::{Client, wacore::types::message::MessageInfo};

use super::{env::jitter, signal::backoff};

/// Messages that wait; what is above is not asked for.
const MOST: usize = 1024;

/// Tries for one message: about an hour of them.
const TRIES: u32 = 20;

const SHORTEST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// So long the library may take to ask by itself. Until then it takes our request for a repetition of its own, and drops it.
const LIBRARY_ASKS: Duration = Duration::from_secs(5);

#[derive(Clone)]
struct Lost {
    info: Arc<MessageInfo>,
    due: Instant,
    tries: u32,
}

/// One session's.
#[derive(Default)]
pub(super) struct Recoveries {
    waiting: Mutex<VecDeque<Lost>>,
    more: Notify,
}

impl Recoveries {
    pub fn add(&self, info: MessageInfo) {
        self.wait(Lost { info: Arc::new(info), due: Instant::now(), tries: 0 });
    }

    /// The library asks for it, too, at the moment: this is for when it cannot.
    pub fn add_after_library(&self, info: MessageInfo) {
        self.wait(Lost { info: Arc::new(info), due: Instant::now() + LIBRARY_ASKS, tries: 0 });
    }

    fn wait(&self, lost: Lost) {
        let is_known = |known: &Lost| known.info.id == lost.info.id && known.info.source.chat == lost.info.source.chat;
        let mut waiting = self.waiting();
        if waiting.iter().any(is_known) {
            return;
        }
        if waiting.len() >= MOST {
            warn!(message.id = lost.info.id, "too many messages wait for the phone: it is not asked for this one");
            return;
        }
        waiting.push_back(lost);
        drop(waiting);
        self.more.notify_one();
    }

    /// Asks, as long as the connection lasts.
    pub async fn ask(&self, client: Arc<Client>) -> Infallible {
        let mut failures = 0;
        loop {
            let Some(lost) = self.next() else {
                self.more.notified().await;
                continue;
            };
            sleep_until(lost.due).await;
            if !client.is_logged_in() {
                sleep(SHORTEST_PAUSE).await;
                continue;
            }
            let asked = client.send_pdo_placeholder_resend_request(&lost.info).await;
            // Not before: a connection that ends meanwhile leaves it to the next.
            self.remove(&lost);
            let Err(error) = asked else {
                failures = 0;
                continue;
            };
            let id = &lost.info.id;
            warn!(message.id = id, tries = lost.tries + 1, error = format!("{error:#}"), "the phone was not asked");
            if lost.tries + 1 < TRIES {
                self.wait(Lost { tries: lost.tries + 1, ..lost });
            }
            sleep(backoff(failures, SHORTEST_PAUSE, LONGEST_PAUSE, jitter())).await;
            failures += 1;
        }
    }

    /// The one that is due first.
    fn next(&self) -> Option<Lost> {
        self.waiting().iter().min_by_key(|lost| lost.due).cloned()
    }

    fn remove(&self, lost: &Lost) {
        self.waiting().retain(|other| !Arc::ptr_eq(&other.info, &lost.info));
    }

    fn waiting(&self) -> MutexGuard<'_, VecDeque<Lost>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
