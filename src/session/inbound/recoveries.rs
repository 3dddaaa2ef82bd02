//! Messages that only the tenant's phone can still tell: it is asked for them, one after another, until each has been asked for.
//!
//! A request is a message to the phone, and fails as others do: without a session for the phone, or on a line that ends. WhatsApp
//! has its ack by then, so that nobody else asks again. What waits here is forgotten with the process; its placeholder stays, and the next
//! process asks for the latest of those.

use std::{
    collections::{HashSet, VecDeque},
    convert::Infallible,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::Notify,
    time::{Instant, sleep, sleep_until, timeout},
};
use tracing::{debug, info, warn};
use whatsapp_rust::{
    Client, Jid,
    types::events::InboundMessage,
    wacore::{
        time,
        types::message::{MessageInfo, MessageSource},
    },
    waproto::{codec, whatsapp::message::PeerDataOperationRequestResponseMessage},
};

use super::text_mending;
use crate::{
    backoff::Backoff,
    message::{Content, Message},
    session::{Inner, env::jitter},
    store::StoreError,
    sync::lock,
};

/// Messages that wait; what is above is not asked for.
const MOST: usize = 1024;

/// Those among them that may still come by themselves. Somebody who writes what cannot be read must not keep the phone busy.
const MOST_UNREAD: usize = 32;

/// Between two questions for such.
const UNREAD_PAUSE: Duration = Duration::from_secs(1);

/// Tries for one message: about an hour of them.
const TRIES: u32 = 20;

const SHORTEST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// After a question that could not be put.
const REFUSED_BACKOFF: Backoff = Backoff::new(SHORTEST_PAUSE, LONGEST_PAUSE);

/// So long the library may take to ask by itself. Until then it takes our request for a repetition of its own, and drops it.
const LIBRARY_ASKS: Duration = Duration::from_secs(5);

/// Messages whose answer may still come.
const MOST_ASKED: usize = 64;

/// Events that a new process looks through for placeholders, and their age.
const LOOKED_THROUGH: usize = 128;
const MOST_AGE_MS: u64 = 24 * 3600 * 1000;

#[derive(Clone)]
struct Lost {
    info: Arc<MessageInfo>,
    due: Instant,
    tries: u32,
    /// It may come by itself meanwhile.
    is_unread: bool,
}

/// One session's.
#[derive(Default)]
pub(in crate::session) struct Recoveries {
    waiting: Mutex<VecDeque<Lost>>,
    /// Newest last.
    asked: Mutex<VecDeque<Arc<MessageInfo>>>,
    more: Notify,
    /// The placeholders of earlier processes wait here too.
    has_looked: AtomicBool,
}

impl Recoveries {
    pub fn add(&self, info: MessageInfo) {
        self.wait(Lost { info: Arc::new(info), due: Instant::now(), tries: 0, is_unread: false });
    }

    /// The library asks for it, too, at the moment: this is for when it cannot.
    pub fn add_after_library(&self, info: MessageInfo) {
        self.wait(Lost { info: Arc::new(info), due: Instant::now() + LIBRARY_ASKS, tries: 0, is_unread: false });
    }

    /// It could not be read. Its sender may send it once more; when nothing has come of that the phone is asked, once.
    pub fn add_unread(&self, info: Arc<MessageInfo>) {
        self.wait(Lost { info, due: Instant::now() + LIBRARY_ASKS, tries: 0, is_unread: true });
    }

    fn wait(&self, lost: Lost) {
        let is_it = |info: &MessageInfo| info.id == lost.info.id && info.source.chat == lost.info.source.chat;
        if lost.is_unread && lock(&self.asked).iter().any(|asked| is_it(asked)) {
            return;
        }
        let mut waiting = lock(&self.waiting);
        if waiting.iter().any(|known| is_it(&known.info)) {
            return;
        }
        if lost.is_unread && waiting.iter().filter(|known| known.is_unread).count() >= MOST_UNREAD {
            debug!(message.id = lost.info.id, "more messages cannot be read than the phone is asked for");
            return;
        }
        if waiting.len() >= MOST {
            warn!(
                event = "resend_queue_full",
                message.id = lost.info.id,
                "too many messages wait for the phone: it is not asked for this one"
            );
            return;
        }
        waiting.push_back(lost);
        drop(waiting);
        self.more.notify_one();
    }

    /// The one that is due first.
    fn next(&self) -> Option<Lost> {
        lock(&self.waiting).iter().min_by_key(|lost| lost.due).cloned()
    }

    fn remove(&self, lost: &Lost) {
        lock(&self.waiting).retain(|other| !Arc::ptr_eq(&other.info, &lost.info));
    }

    fn note_asked(&self, info: &Arc<MessageInfo>) {
        let mut asked = lock(&self.asked);
        if asked.len() >= MOST_ASKED {
            asked.pop_front();
        }
        asked.push_back(info.clone());
    }

    /// Reads the phone's answer where the library cannot, because of a text that is no UTF-8.
    pub fn read_answer(&self, answer: &PeerDataOperationRequestResponseMessage) -> Vec<InboundMessage> {
        let told = answer.peer_data_operation_result.iter().filter_map(|result| {
            let bytes = result.placeholder_message_resend_response.as_option()?.web_message_info_bytes.as_deref()?;
            let decodes = |bytes: &[u8]| codec::web_message_info_decode(bytes).is_ok();
            if decodes(bytes) {
                return None;
            }
            let mut told = codec::web_message_info_decode(&text_mending::mended(bytes, decodes)?).ok()?;
            let id = told.key.as_option()?.id.as_deref()?;
            let asked = lock(&self.asked).iter().rev().find(|asked| asked.id == *id).cloned()?;
            let message = told.message.take()?;
            let request = answer.stanza_id.clone().unwrap_or_default();
            let info = MessageInfo { unavailable_request_id: Some(request), ..(*asked).clone() };
            Some(InboundMessage::builder().message(message.into()).info(info.into()).build())
        });
        told.collect()
    }
}

impl Inner {
    /// Asks, as long as the connection lasts.
    pub(in crate::session) async fn ask_for_lost(self: Arc<Self>, client: Arc<Client>) -> Infallible {
        let recoveries = &self.recoveries;
        let mut failures = 0;
        let mut look_pause = LIBRARY_ASKS;
        loop {
            let Some(lost) = recoveries.next() else {
                if recoveries.has_looked.load(Ordering::Relaxed) {
                    recoveries.more.notified().await;
                } else {
                    // Not while all others log in.
                    let more = timeout(look_pause, recoveries.more.notified()).await;
                    if more.is_err() && client.is_logged_in() {
                        Box::pin(self.look_for_placeholders()).await;
                        look_pause = LONGEST_PAUSE;
                    }
                }
                continue;
            };
            sleep_until(lost.due).await;
            if !client.is_logged_in() {
                sleep(SHORTEST_PAUSE).await;
                continue;
            }
            if lost.is_unread && self.has_come(&lost.info).await {
                recoveries.remove(&lost);
                continue;
            }
            recoveries.note_asked(&lost.info);
            let asked = Box::pin(client.send_pdo_placeholder_resend_request(&lost.info)).await;
            // Not before: a connection that ends meanwhile leaves it to the next.
            recoveries.remove(&lost);
            let Err(error) = asked else {
                failures = 0;
                if lost.is_unread {
                    info!(message.id = lost.info.id, "a message cannot be read: the phone is asked for it");
                    sleep(UNREAD_PAUSE).await;
                }
                continue;
            };
            let id = &lost.info.id;
            warn!(
                event = "resend_request_failed",
                message.id = id,
                tries = lost.tries + 1,
                error = format!("{error:#}"),
                "placeholder resend request to the phone failed"
            );
            if lost.tries + 1 < TRIES {
                lock(&recoveries.asked).retain(|asked| !Arc::ptr_eq(asked, &lost.info));
                recoveries.wait(Lost { tries: lost.tries + 1, ..lost });
            }
            sleep(REFUSED_BACKOFF.spread(failures, jitter())).await;
            failures += 1;
        }
    }

    /// When it cannot be looked up, the phone may as well be asked.
    async fn has_come(&self, info: &MessageInfo) -> bool {
        let chat = info.source.chat.to_non_ad_string();
        matches!(self.inbox.find(&chat, &info.id).await, Ok(Some(_)))
    }

    /// Puts the placeholders of earlier processes on the list, as far as nothing has come in their place.
    async fn look_for_placeholders(&self) {
        match self.placeholders().await {
            Ok(found) => {
                self.recoveries.has_looked.store(true, Ordering::Relaxed);
                found.into_iter().for_each(|info| self.recoveries.add_unread(Arc::new(info)));
            }
            Err(error) => {
                warn!(
                    event = "unread_messages_unlisted",
                    %error,
                    "messages that were not read cannot be looked for now"
                )
            }
        }
    }

    async fn placeholders(&self) -> Result<Vec<MessageInfo>, StoreError> {
        let oldest = u64::try_from(self.env.clock.now().as_millisecond()).unwrap_or_default();
        let oldest = oldest.saturating_sub(MOST_AGE_MS);
        let (mut met, mut found) = (HashSet::new(), Vec::new());
        for event in self.log.before(None, LOOKED_THROUGH).await? {
            if event.at_ms() < oldest || found.len() >= MOST_UNREAD {
                break;
            }
            let Some(message) = event.body.message() else { continue };
            // The newest is met first: what came in its place, or the placeholder.
            let is_first = met.insert((message.chat.clone(), message.id.clone(), message.sender.clone()));
            if is_first && message.content == Content::Undecryptable {
                found.extend(info_of(message));
            }
        }
        Ok(found)
    }
}

/// As WhatsApp named it when it came.
fn info_of(message: &Message) -> Option<MessageInfo> {
    let chat: Jid = message.addressed.chat.parse().ok()?;
    let sender: Jid = message.addressed.sender.parse().ok()?;
    let named = |name: &str, addressed: &Jid| name.parse::<Jid>().ok().filter(|name| name != addressed);
    let source = MessageSource {
        sender_alt: named(&message.sender, &sender.to_non_ad()).filter(|_| !message.from_me),
        recipient_alt: named(&message.chat, &chat.to_non_ad()).filter(|_| message.from_me && !message.is_group),
        chat,
        sender,
        is_from_me: message.from_me,
        is_group: message.is_group,
        ..MessageSource::default()
    };
    Some(MessageInfo {
        id: message.id.clone(),
        source,
        push_name: message.push_name.clone(),
        timestamp: time::from_secs_or_now(message.timestamp),
        ..MessageInfo::default()
    })
}
