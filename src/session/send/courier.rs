//! The courier: carries the outbox to WhatsApp, one message of a chat after the other.
//!
//! Before each message it makes sure that the vault is there, that this process still owns the tenant, and that every ratchet
//! step taken so far is durable; the store's gates see to the counter that the message itself takes. A message is carried
//! again, under its id, until an ack or a receipt has settled it, or until it has failed: refused, out of time, or left
//! unanswered too often. Never decides what is sent.
//!
//! It is told *that* there is something, not what: the order is the outbox's, and what a former process accepted is in it. A chat
//! waits for its own messages only. What is slow, or waits before it is tried again, takes nothing from the others.

use std::{
    collections::{BTreeSet, HashMap, HashSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
    time::{Instant, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, warn};
use whatsapp_rust::Client;

use super::{
    attempt::{ChatOutcome, carry},
    manners::Manners,
    pacing::Asking,
};
use crate::{
    backoff::Backoff,
    humanize::Act,
    message::WaitingMessage,
    pacing::Held,
    session::{Inner, env::jitter},
};

/// Messages that are sent at the same time.
const SLOTS: usize = 16;

/// A message that takes longer gives its slot to another, and goes on without one.
const SLOT_TIME: Duration = Duration::from_secs(2);

/// Messages that are sent or wait for WhatsApp's answer at the same time, with a slot or without.
const RUNNING: usize = 256;

/// A time that is further away is looked at again meanwhile: clocks are corrected.
const EXPIRY_CHECK_INTERVAL: Duration = Duration::from_secs(60);

/// While the vault does not answer: a moment that grows, since each attempt asks it once more, of each tenant.
const BREATH: Duration = Duration::from_millis(250);
const LONGEST_BREATH: Duration = Duration::from_secs(5);

/// At a new line the first message waits so long, at the most, for those that have come before.
const SETTLING: Duration = Duration::from_secs(1);

/// What may have ended a line waits so long on the next, at the most: some lines are short.
const LONGEST_SUSPICION: Duration = Duration::from_secs(8);

/// Before the next attempt.
const RETRIES: Backoff = Backoff::new(Duration::from_secs(2), Duration::from_secs(300));

/// Where a chat is that has something to send.
enum LaneState {
    /// In the queue.
    Ready,
    /// A message of it is being sent.
    Busy,
    /// Not before then.
    Waits(Instant),
    /// Until the messages of the chats are sent that have become one with it.
    Held,
}

struct ChatLane {
    lane: LaneState,
    /// Attempts in a row that have to be repeated.
    setbacks: u32,
    /// The line has ended under its message.
    is_suspect: bool,
    /// Messages that are being sent and were begun under another name of the chat.
    elsewhere: usize,
}

pub struct Courier {
    session: Arc<Inner>,
    chats: HashMap<Arc<str>, ChatLane>,
    ready: VecDeque<Arc<str>>,
    waits: BTreeSet<(Instant, Arc<str>)>,
    /// Nothing is begun before then: what keeps one message back now keeps back all.
    pause: Option<Instant>,
    /// Such pauses in a row.
    pauses: u32,
    /// `None`: a typing sign, on which no message depends.
    running: JoinSet<Option<(WaitingMessage, ChatOutcome)>>,
    /// Ids of the messages that are being sent.
    sending: HashSet<Arc<str>>,
    /// For a chat whose message is being sent under an old name: its current name.
    renamed: HashMap<Arc<str>, Arc<str>>,
    slots: Arc<Semaphore>,
    manners: Manners,
}

impl Courier {
    pub fn new(session: Arc<Inner>) -> Self {
        let manners = Manners::new(session.typing.clone());
        Self {
            session,
            chats: HashMap::new(),
            ready: VecDeque::new(),
            waits: BTreeSet::new(),
            pause: None,
            pauses: 0,
            running: JoinSet::new(),
            sending: HashSet::new(),
            renamed: HashMap::new(),
            slots: Arc::new(Semaphore::new(SLOTS)),
            manners,
        }
    }

    /// Until `stop`. What is in flight then stays in the outbox.
    pub async fn run(mut self, stop: CancellationToken) {
        let session = self.session.clone();
        let mut client = session.ready.subscribe();
        self.gather();
        loop {
            let now = client.borrow_and_update().clone();
            let first_wait = self.waits.first().map(|(until, _)| *until).into_iter().chain(self.pause).min();
            let (expiring, expires_in) = self.first_to_expire().unzip();
            let has_work = now.is_some() && !self.ready.is_empty();
            let may_start = has_work && self.pause.is_none() && self.running.len() < RUNNING;
            tokio::select! {
                () = stop.cancelled() => break,
                Some(done) = self.running.join_next() => match done {
                    Ok(Some((sent, next))) => self.finish(&sent, next),
                    Ok(None) => {}
                    Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
                    Err(_) => {}
                },
                () = session.outbox.news() => self.gather(),
                Ok(()) = client.changed() => {
                    self.manners.begin_connection();
                    // Messages that waited at WhatsApp are read by now or are just being kept, and may say that two
                    // chats are one.
                    if client.borrow().is_some() {
                        session.store.arrivals().settle(SETTLING).await;
                        self.delay_suspects();
                    }
                    self.gather();
                }
                () = sleep_until(first_wait.unwrap_or_else(Instant::now)), if first_wait.is_some() => self.wake(),
                () = session.env.clock.sleep(expires_in.unwrap_or_default().min(EXPIRY_CHECK_INTERVAL)), if expiring.is_some() => {
                    if let Some(waiting) = expiring.filter(|_| expires_in <= Some(EXPIRY_CHECK_INTERVAL)) {
                        Box::pin(self.expire(&waiting)).await;
                    }
                }
                Ok(slot) = self.slots.clone().acquire_owned(), if may_start => {
                    if let Some(client) = now {
                        self.start(client, slot);
                    }
                }
            }
        }
        self.running.shutdown().await;
    }

    /// Takes note of the chats that have something to send, and had not before.
    fn gather(&mut self) {
        for (from, into) in self.session.outbox.joined_chats() {
            self.join(from, into);
        }
        // The message that such a chat waited for may not come any more.
        for chat in self.session.outbox.withdrawn_chats() {
            self.go_at_once(chat);
        }
        for chat in self.session.outbox.fresh_chats() {
            if !self.chats.contains_key(&chat) {
                self.enqueue(chat, 0);
            }
        }
    }

    /// Two chats are one. A message of the former that is being sent is waited for.
    fn join(&mut self, from: Arc<str>, into: Arc<str>) {
        self.manners.join(&from, &into);
        let mut elsewhere = 0;
        if let Some(former) = self.chats.remove(&from) {
            elsewhere = former.elsewhere;
            match former.lane {
                LaneState::Ready => self.ready.retain(|chat| *chat != from),
                LaneState::Waits(until) => drop(self.waits.remove(&(until, from.clone()))),
                LaneState::Held => {}
                LaneState::Busy => elsewhere += 1,
            }
            self.renamed.values_mut().filter(|name| **name == from).for_each(|name| *name = into.clone());
            if let LaneState::Busy = former.lane {
                self.renamed.insert(from, into.clone());
            }
        }
        match self.chats.get_mut(&into) {
            Some(known) => known.elsewhere += elsewhere,
            None => {
                self.enqueue(into.clone(), 0);
                if let Some(known) = self.chats.get_mut(&into) {
                    known.elsewhere = elsewhere;
                }
            }
        }
    }

    fn enqueue(&mut self, chat: Arc<str>, setbacks: u32) {
        let (elsewhere, suspected) =
            self.chats.get(&chat).map_or((0, false), |known| (known.elsewhere, known.is_suspect));
        let is_suspect = suspected && setbacks > 0;
        self.chats.insert(chat.clone(), ChatLane { lane: LaneState::Ready, setbacks, is_suspect, elsewhere });
        self.ready.push_back(chat);
    }

    /// Chats whose wait is over.
    fn wake(&mut self) {
        let now = Instant::now();
        self.pause = self.pause.filter(|until| *until > now);
        while let Some((until, chat)) = self.waits.first().cloned()
            && until <= now
        {
            self.waits.remove(&(until, chat.clone()));
            let setbacks = self.chats.get(&chat).map_or(0, |known| known.setbacks);
            self.enqueue(chat, setbacks);
        }
    }

    fn start(&mut self, client: Arc<Client>, slot: OwnedSemaphorePermit) {
        while let Some(chat) = self.ready.pop_front() {
            if let Some(known) = self.chats.get_mut(&chat).filter(|known| known.elsewhere > 0) {
                known.lane = LaneState::Held;
                continue;
            }
            let Some(head) = self.session.outbox.head(&chat) else {
                self.chats.remove(&chat);
                if self.chats.is_empty() {
                    // A campaign to thousands is over.
                    self.chats.shrink_to(RUNNING);
                    self.ready.shrink_to(RUNNING);
                }
                self.manners.forget(&chat);
                self.session.pacer.forget(&chat);
                if self.manners.is_typing(&chat) {
                    return self.end_typing(client, slot, chat);
                }
                continue;
            };
            let now_ms = self.session.env.clock.now().as_millisecond();
            if head.parcel.is_first_contact {
                match self.session.pacer.asking(now_ms) {
                    Asking::Known => {}
                    Asking::Wait(wait) => {
                        self.wait(chat, wait);
                        continue;
                    }
                    Asking::Ask => return self.ask_word(slot, chat, head),
                }
            }
            // A message that a limit keeps back is not typed meanwhile.
            let mut held = self.session.check_pace(&head, now_ms).err();
            let act = if held.is_none() { self.manners.act(&head, now_ms) } else { Act::Send };
            if let Act::Wait(wait) = act {
                self.wait(chat, wait);
                continue;
            }
            if act == Act::Send && held.is_none() {
                held = self.session.take_pace(&head, now_ms).err();
            }
            if let Some(held) = held {
                self.hold(&chat, held, now_ms);
                if self.manners.is_typing(&chat) {
                    return self.end_typing(client, slot, chat);
                }
                continue;
            }
            if let Some(known) = self.chats.get_mut(&chat) {
                known.lane = LaneState::Busy;
            }
            self.sending.insert(head.id.clone());
            let (session, typing) = (self.session.clone(), self.manners.typing());
            let carried = async move {
                let work = async {
                    if act != Act::Send {
                        typing.show(&session, &client, &chat, act).await;
                        return ChatOutcome::Again;
                    }
                    let next = carry(&session, &client, &head).await;
                    typing.end(&session, &client, &chat).await;
                    next
                };
                let next = in_slot(slot, Box::pin(work)).await;
                Some((head, next))
            };
            // The log names the tenant.
            self.running.spawn(carried.in_current_span());
            return;
        }
    }

    /// Before the first message to a stranger.
    fn ask_word(&mut self, slot: OwnedSemaphorePermit, chat: Arc<str>, head: WaitingMessage) {
        if let Some(known) = self.chats.get_mut(&chat) {
            known.lane = LaneState::Busy;
        }
        let session = self.session.clone();
        let asking = async move {
            in_slot(slot, session.ask_new_chat_limits()).await;
            Some((head, ChatOutcome::Again))
        };
        self.running.spawn(asking.in_current_span());
    }

    /// A limit keeps the message of a chat back, and the owner hears of the limit.
    fn hold(&mut self, chat: &Arc<str>, held: Held, now_ms: i64) {
        self.wait(chat.clone(), Inner::hold_time(held, now_ms));
        if self.session.pacer.is_news(held, now_ms) {
            let session = self.session.clone();
            let telling = async move {
                session.tell_held(held).await;
                None
            };
            self.running.spawn(telling.in_current_span());
        }
    }

    fn end_typing(&mut self, client: Arc<Client>, slot: OwnedSemaphorePermit, chat: Arc<str>) {
        let (session, typing) = (self.session.clone(), self.manners.typing());
        let ending = async move {
            in_slot(slot, typing.end(&session, &client, &chat)).await;
            None
        };
        self.running.spawn(ending.in_current_span());
    }

    fn wait(&mut self, chat: Arc<str>, wait: Duration) {
        let Some(known) = self.chats.get_mut(&chat) else { return };
        let until = Instant::now() + wait;
        known.lane = LaneState::Waits(until);
        self.waits.insert((until, chat));
    }

    /// A new line: what may have ended the one before waits as if it had been tried just now. The others go first, and find a line that
    /// lasts for a while.
    fn delay_suspects(&mut self) {
        let chats = &self.chats;
        self.ready.retain(|chat| chats.get(chat).is_none_or(|known| !known.is_suspect));
        let suspects: Vec<(Arc<str>, u32, Option<Instant>)> = chats
            .iter()
            .filter(|(_, known)| known.is_suspect)
            .filter_map(|(chat, known)| match known.lane {
                LaneState::Ready => Some((chat.clone(), known.setbacks, None)),
                LaneState::Waits(until) => Some((chat.clone(), known.setbacks, Some(until))),
                LaneState::Busy | LaneState::Held => None,
            })
            .collect();
        for (chat, setbacks, until) in suspects {
            let mut wait = RETRIES.spread(setbacks.saturating_sub(1), jitter()).min(LONGEST_SUSPICION);
            if let Some(until) = until {
                self.waits.remove(&(until, chat.clone()));
                wait = wait.max(until.saturating_duration_since(Instant::now()));
            }
            self.wait(chat, wait);
        }
    }

    /// A chat that waits waits no longer.
    fn go_at_once(&mut self, chat: Arc<str>) {
        if let Some(ChatLane { lane: LaneState::Waits(until), .. }) = self.chats.get(&chat) {
            self.waits.remove(&(*until, chat.clone()));
            self.enqueue(chat, 0);
        }
    }

    fn finish(&mut self, sent: &WaitingMessage, next: ChatOutcome) {
        self.sending.remove(&sent.id);
        self.session.outbox.end(&sent.id);
        let Some(into) = self.renamed.remove(&sent.chat) else { return self.go_on(sent.chat.clone(), next) };
        self.manners.join(&sent.chat, &into);
        let Some(known) = self.chats.get_mut(&into) else { return };
        known.elsewhere = known.elsewhere.saturating_sub(1);
        if let (LaneState::Held, 0) = (&known.lane, known.elsewhere) {
            self.go_on(into, next);
        }
    }

    fn go_on(&mut self, chat: Arc<str>, next: ChatOutcome) {
        let Some(known) = self.chats.get_mut(&chat) else { return };
        let wait = match next {
            ChatOutcome::Onward => {
                self.pauses = 0;
                return self.enqueue(chat, 0);
            }
            ChatOutcome::Again => {
                let setbacks = known.setbacks;
                return self.enqueue(chat, setbacks);
            }
            ChatOutcome::Soon => {
                let setbacks = known.setbacks;
                // Attempts that were begun together fail together.
                if self.pause.is_none() {
                    let breath = Backoff::new(BREATH, LONGEST_BREATH).spread(self.pauses, jitter());
                    self.pause = Some(Instant::now() + breath);
                    self.pauses = self.pauses.saturating_add(1);
                }
                return self.enqueue(chat, setbacks);
            }
            ChatOutcome::Later(least) => {
                self.pauses = 0;
                let wait = RETRIES.spread(known.setbacks, jitter());
                known.setbacks += 1;
                wait.max(least.unwrap_or_default())
            }
            ChatOutcome::AfterOthers => {
                let wait = RETRIES.spread(known.setbacks, jitter());
                known.setbacks += 1;
                known.is_suspect = true;
                wait
            }
        };
        self.wait(chat, wait);
    }

    /// The first to expire of all messages that are not being sent, and how long it has.
    fn first_to_expire(&self) -> Option<(WaitingMessage, Duration)> {
        let first = self.session.outbox.first_to_expire(|waiting| self.sending.contains(&waiting.id))?;
        let left = first.expires_at_ms.saturating_sub(self.session.outbox.certain_ms());
        Some((first, Duration::from_millis(u64::try_from(left).unwrap_or(0))))
    }

    async fn expire(&mut self, waiting: &WaitingMessage) {
        warn!(event = "message_expired", message.id = &*waiting.id, "a message could not be sent in time");
        match self.session.outbox.expire(&waiting.id).await {
            Ok(true) => {}
            // Its record is gone, or settled.
            Ok(false) => self.session.outbox.forget(&waiting.id),
            Err(error) => {
                warn!(event = "outbox_unwritten", message.id = &*waiting.id, %error, "the outbox cannot be written");
                tokio::time::sleep(BREATH).await;
                return;
            }
        }
        // Messages behind it need not wait any more.
        self.go_at_once(waiting.chat.clone());
    }
}

/// Gives the slot back when the work is done, or takes long.
async fn in_slot<T>(slot: OwnedSemaphorePermit, work: impl Future<Output = T>) -> T {
    tokio::pin!(work);
    let quick = timeout(SLOT_TIME, &mut work).await;
    drop(slot);
    match quick {
        Ok(done) => done,
        Err(_) => work.await,
    }
}
