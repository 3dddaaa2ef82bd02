//! Applies the owner's sending limits and WhatsApp's limits on new chats. Owns the tenant's [`Pacing`] and the time of
//! the last question to WhatsApp; [`crate::pacing`] decides, the courier waits.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use ulid::Ulid;
use whatsapp_rust::{Jid, Server, traits::SignalStore as _};

use crate::{
    message::{EventBody, WaitingMessage},
    pacing::{DAY_MS, Held, HeldBy, Pacing, PacingSettings, SendingAllowance, SlowDown},
    session::{AcceptError, Inner, Session},
    store::{StoreError, space},
    sync::lock,
};

/// WhatsApp's word about new chats is asked for again after so long.
const WORD_MS: i64 = 600_000;

/// WhatsApp's word for too much, in HTTP's meaning.
const TOO_MUCH: u16 = 429;

/// While WhatsApp is asked.
const ASKING: Duration = Duration::from_millis(200);

/// The owner is told of the same limit again after so long.
const TELL_AGAIN_MS: i64 = 600_000;

#[derive(Debug, Default)]
pub struct Pacer(Mutex<Paced>);

#[derive(Debug, Default)]
struct Paced {
    /// `None`: the owner limits nothing.
    pacing: Option<Pacing>,
    /// WhatsApp's own word, which no setting changes.
    slow_down: SlowDown,
    /// The message of each chat that was counted already: it is tried again, and the owner's limits do not hold it a second time.
    counted: HashMap<Arc<str>, Arc<str>>,
    asked_ms: i64,
    is_asking: bool,
    told: HashMap<HeldBy, i64>,
}

/// Whether WhatsApp must be asked before a first message to a stranger.
pub enum Asking {
    /// WhatsApp's word, which whoever gets this asks for.
    Ask,
    /// Somebody else is asking.
    Wait(Duration),
    Known,
}

impl Pacer {
    fn paced(&self) -> MutexGuard<'_, Paced> {
        lock(&self.0)
    }

    fn is_on(&self) -> bool {
        self.paced().pacing.is_some()
    }

    /// Why a message waits, if it does.
    fn check(&self, waiting: &WaitingMessage, word: Option<Held>, now_ms: i64) -> Result<(), Held> {
        let paced = self.paced();
        paced.slow_down.check(now_ms)?;
        if paced.counted.get(&waiting.chat).is_some_and(|id| *id == waiting.id) {
            return Ok(());
        }
        if let Some(held) = word.filter(|held| waiting.parcel.is_first_contact && held.until_ms > now_ms) {
            return Err(held);
        }
        paced.pacing.as_ref().map_or(Ok(()), |pacing| pacing.check(waiting.parcel, now_ms))
    }

    /// The message leaves now. One that is tried again counts once.
    fn count(&self, waiting: &WaitingMessage, now_ms: i64) {
        let mut paced = self.paced();
        let Paced { pacing: Some(pacing), counted, .. } = &mut *paced else { return };
        if counted.insert(waiting.chat.clone(), waiting.id.clone()).as_ref() != Some(&waiting.id) {
            pacing.count(waiting.parcel, now_ms);
        }
    }

    /// Nothing waits in the chat.
    pub fn forget(&self, chat: &str) {
        self.paced().counted.remove(chat);
    }

    /// WhatsApp said that it is too much.
    fn slow_down(&self, first: Duration, now_ms: i64) {
        let first_ms = i64::try_from(first.as_millis()).unwrap_or(i64::MAX);
        self.paced().slow_down.hear(first_ms, now_ms);
    }

    /// Whether WhatsApp's limits on new chats must be asked for before a first message.
    pub fn asking(&self, now_ms: i64) -> Asking {
        let mut paced = self.paced();
        if paced.pacing.is_none() {
            return Asking::Known;
        }
        if paced.is_asking {
            return Asking::Wait(ASKING);
        }
        if now_ms.saturating_sub(paced.asked_ms) < WORD_MS {
            return Asking::Known;
        }
        (paced.is_asking, paced.asked_ms) = (true, now_ms);
        Asking::Ask
    }

    fn asked(&self) {
        self.paced().is_asking = false;
    }

    /// Whether the owner does not know of it yet.
    pub fn is_news(&self, held: Held, now_ms: i64) -> bool {
        let mut paced = self.paced();
        let is_news = paced.told.get(&held.reason).is_none_or(|at| now_ms.saturating_sub(*at) >= TELL_AGAIN_MS);
        if is_news {
            paced.told.insert(held.reason, now_ms);
        }
        is_news
    }
}

impl Inner {
    /// Why a message waits, if it does.
    pub(in crate::session) fn check_pace(&self, waiting: &WaitingMessage, now_ms: i64) -> Result<(), Held> {
        self.pacer.check(waiting, self.seen.no_new_chats(now_ms), now_ms)
    }

    /// As [`Self::check_pace`], for a message that is about to leave, and counts it.
    pub(in crate::session) fn take_pace(&self, waiting: &WaitingMessage, now_ms: i64) -> Result<(), Held> {
        self.check_pace(waiting, now_ms)?;
        self.pacer.count(waiting, now_ms);
        Ok(())
    }

    /// WhatsApp answered a message with this code. What is too much of one message is too much of all, the same one again first of all.
    pub(in crate::session) fn note_too_much(&self, code: u16) {
        if code == TOO_MUCH {
            self.pacer.slow_down(self.env.settings.slow_down, self.env.clock.now().as_millisecond());
        }
    }

    /// How long a held message waits before it is looked at again: WhatsApp's word may be another one by then.
    pub(in crate::session) fn hold_time(held: Held, now_ms: i64) -> Duration {
        let left_ms = held.until_ms.saturating_sub(now_ms).max(1);
        let is_word = matches!(held.reason, HeldBy::WhatsappTimelock | HeldBy::WhatsappNewChats);
        let wait_ms = if is_word { left_ms.min(WORD_MS) } else { left_ms };
        Duration::from_millis(u64::try_from(wait_ms).unwrap_or(1))
    }

    pub(in crate::session) async fn tell_held(&self, held: Held) {
        let Held { reason, until_ms } = held;
        let waiting = self.outbox.backlogged().messages;
        let timestamp = self.env.clock.now().as_second();
        self.publish_event(EventBody::Paced { reason, until_ms, waiting, timestamp }).await;
    }

    /// Asks WhatsApp how many new chats it allows. What it does not answer is as it was.
    pub(in crate::session) async fn ask_new_chat_limits(self: &Arc<Self>) {
        let session = Session(self.clone());
        let _ = tokio::join!(session.timelock(), session.capping());
        self.pacer.asked();
    }
}

impl Session {
    /// Limits what is sent from here on; `None`: not at all. What was sent before counts, as far as the outbox knows it.
    pub async fn set_pacing(&self, settings: Option<PacingSettings>) -> Result<(), StoreError> {
        let inner = &self.0;
        let pacing = match settings.filter(|settings| settings.enabled) {
            None => None,
            Some(settings) => {
                let now_ms = inner.env.clock.now().as_millisecond();
                let mut pacing = Pacing::new(settings, self.here_since_ms().await?);
                for (at_ms, parcel) in inner.outbox.left_since(now_ms.saturating_sub(DAY_MS)).await? {
                    pacing.count(parcel, at_ms);
                }
                Some(pacing)
            }
        };
        inner.pacer.paced().pacing = pacing;
        inner.outbox.look_anew();
        Ok(())
    }

    /// What the owner's limits allow now; `None`: there are none.
    pub fn allowance(&self) -> Option<SendingAllowance> {
        let now_ms = self.0.env.clock.now().as_millisecond();
        self.0.pacer.paced().pacing.as_ref().map(|pacing| pacing.allowance(now_ms))
    }

    /// Until when WhatsApp's word that it is too much keeps everything back, milliseconds since 1970.
    pub fn rests_until(&self) -> Option<i64> {
        let now_ms = self.0.env.clock.now().as_millisecond();
        self.0.pacer.paced().slow_down.check(now_ms).err().map(|held| held.until_ms)
    }

    /// Why a message waits, if it does and it is not the line that it waits for.
    pub fn held(&self, id: &str) -> Option<Held> {
        let waiting = self.0.outbox.waiting(id)?;
        self.0.check_pace(&waiting, self.0.env.clock.now().as_millisecond()).err()
    }

    /// The oldest event that is known, milliseconds since 1970. Where older ones were deleted the number is no young one.
    async fn here_since_ms(&self) -> Result<i64, StoreError> {
        if self.trimmed().is_some() {
            return Ok(0);
        }
        for space in [space::SEGMENTS, space::EVENTS] {
            let first = self.0.store.scan(space, None, 1).await?;
            if let Some(id) = first.first().and_then(|(key, _)| <[u8; 16]>::try_from(&**key).ok()) {
                return Ok(i64::try_from(Ulid::from_bytes(id).timestamp_ms()).unwrap_or(0));
            }
        }
        Ok(self.0.env.clock.now().as_millisecond())
    }

    /// Whether nobody has written in a chat yet, as far as somebody minds.
    pub(in crate::session) async fn is_first_contact(&self, names: &[Jid]) -> bool {
        let inner = &self.0;
        let now_ms = inner.env.clock.now().as_millisecond();
        let is_minded = inner.pacer.is_on() || inner.seen.no_new_chats(now_ms).is_some();
        if !is_minded || !matches!(names[0].server, Server::Pn | Server::Lid) {
            return false;
        }
        for name in names {
            // An unreadable record keeps nobody back.
            if inner.store.has_signal_state_for_user(&name.user).await.unwrap_or(true) {
                return false;
            }
        }
        true
    }

    /// Refuses a first message to a stranger that could not leave in its time: behind as many others, or while WhatsApp allows none.
    pub(in crate::session) async fn refuse_bulk(&self, id: &str, ttl: Option<Duration>) -> Result<(), AcceptError> {
        let inner = &self.0;
        let now_ms = inner.env.clock.now().as_millisecond();
        let limit = inner.env.messages.ttl;
        let ttl = ttl.map_or(limit, |ttl| ttl.min(limit));
        let ends_ms = now_ms.saturating_add(i64::try_from(ttl.as_millis()).unwrap_or(i64::MAX));
        let waiting = inner.outbox.waiting_strangers();
        let by_limit = {
            let paced = inner.pacer.paced();
            let until_ms = paced.pacing.as_ref().map(|pacing| pacing.stranger_leaves_at(waiting, now_ms));
            until_ms.map(|until_ms| Held { reason: HeldBy::NewContacts, until_ms })
        };
        let held = by_limit.into_iter().chain(inner.seen.no_new_chats(now_ms)).find(|held| held.until_ms > ends_ms);
        match held {
            // A repeat of what was accepted is answered as the first was.
            Some(held) if self.accepted(id).await?.is_none() => Err(AcceptError::Strangers(held)),
            _ => Ok(()),
        }
    }
}

/// A time of WhatsApp's, in seconds; 0: it does not say, and is asked again.
pub fn until_ms(ends: i64, now_ms: i64) -> i64 {
    if ends == 0 { now_ms + WORD_MS } else { ends.saturating_mul(1_000) }
}
