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
    slice,
    sync::Arc,
    time::Duration,
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
    time::{Instant, sleep, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, debug, warn};
use whatsapp_rust::{
    Client, ErrorChainExt as _, Freshness, Jid, SendError, SendOptions, Server,
    traits::SignalStore as _,
    usync::{
        UsyncContext, UsyncMode, UsyncOutcome, UsyncProtocol, UsyncProtocolKind, UsyncProtocolResult, UsyncQuery,
        UsyncUser,
    },
    waproto::codec,
};

use super::{
    answers::SendAnswer,
    channel_posts,
    judgement::{Judgement, LookupsSpentError},
    manners::Manners,
    pacing::Asking,
    status_broadcast,
};
use crate::{
    crash,
    humanize::Act,
    message::{Failure, FailureReason, Unsettled, WaitingMessage},
    pacing::Held,
    session::{Inner, connection::disconnect::backoff, env::jitter, requests::pace::RequestKind},
    store::{key, space},
};

/// Messages that are sent at the same time.
const SLOTS: usize = 16;

/// A message that takes longer gives its slot to another, and goes on without one.
const SLOT_TIME: Duration = Duration::from_secs(2);

/// Messages that are sent or wait for WhatsApp's answer at the same time, with a slot or without.
const RUNNING: usize = 256;

/// How long WhatsApp and the vault may take, all in all, until a message is on the wire: at the first attempt, and twice as long at each
/// further one. An answer that was lost is asked for again soon, and what is slow gets its time. What goes to many asks about all of them,
/// and has the longer time from the beginning.
const FIRST_SEND_TIMEOUT: Duration = Duration::from_secs(15);
const SEND_TIMEOUT: Duration = Duration::from_secs(90);

/// A time that is further away is looked at again meanwhile: clocks are corrected.
const EXPIRY_CHECK_INTERVAL: Duration = Duration::from_secs(60);

/// While the vault does not answer: a moment that grows, since each attempt asks it once more, of each tenant.
const BREATH: Duration = Duration::from_millis(250);
const LONGEST_BREATH: Duration = Duration::from_secs(5);

/// The library calls the line gone: its end is known here within this time.
const LINE_PATIENCE: Duration = Duration::from_secs(5);

/// At a new line the first message waits so long, at the most, for those that have come before.
const SETTLING: Duration = Duration::from_secs(1);

/// WhatsApp's word for what is not there.
const NOT_FOUND: u16 = 404;

/// Waiting before the next attempt doubles from the first to the second.
const RETRY_MIN: Duration = Duration::from_secs(2);
const RETRY_MAX: Duration = Duration::from_secs(300);

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
    /// Messages that are being sent and were begun under another name of the chat.
    elsewhere: usize,
}

/// What follows for a chat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ChatOutcome {
    /// Its message is settled, or failed: the next one goes.
    Onward,
    /// The line was lost: the same again, over the next.
    Again,
    /// The same again after a moment.
    Soon,
    /// The same again after a wait that grows, this long at least.
    Later(Option<Duration>),
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
                    // What waited at WhatsApp is read by now or is just being kept, and may say that two chats are one.
                    if client.borrow().is_some() {
                        session.store.arrivals().settle(SETTLING).await;
                    }
                    self.gather();
                }
                () = sleep_until(first_wait.unwrap_or_else(Instant::now)), if first_wait.is_some() => self.wake(),
                () = session.env.clock.sleep(expires_in.unwrap_or_default().min(EXPIRY_CHECK_INTERVAL)), if expiring.is_some() => {
                    if let Some(waiting) = expiring.filter(|_| expires_in <= Some(EXPIRY_CHECK_INTERVAL)) {
                        self.expire(&waiting).await;
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
        // What it waited for may not come any more.
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
        let elsewhere = self.chats.get(&chat).map_or(0, |known| known.elsewhere);
        self.chats.insert(chat.clone(), ChatLane { lane: LaneState::Ready, setbacks, elsewhere });
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
            // What waits for a limit is not typed meanwhile.
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
                let next = in_slot(slot, work).await;
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
                    let breath = backoff(self.pauses, BREATH, LONGEST_BREATH, jitter());
                    self.pause = Some(Instant::now() + breath);
                    self.pauses = self.pauses.saturating_add(1);
                }
                return self.enqueue(chat, setbacks);
            }
            ChatOutcome::Later(least) => {
                self.pauses = 0;
                let wait = backoff(known.setbacks, RETRY_MIN, RETRY_MAX, jitter());
                known.setbacks += 1;
                wait.max(least.unwrap_or_default())
            }
        };
        self.wait(chat, wait);
    }

    /// Of all that are not being sent: which, and in how long.
    fn first_to_expire(&self) -> Option<(WaitingMessage, Duration)> {
        let first = self.session.outbox.first_to_expire(|waiting| self.sending.contains(&waiting.id))?;
        let left = first.expires_at_ms.saturating_sub(self.session.outbox.certain_ms());
        Some((first, Duration::from_millis(u64::try_from(left).unwrap_or(0))))
    }

    async fn expire(&mut self, waiting: &WaitingMessage) {
        warn!(message.id = &*waiting.id, "a message could not be sent in time");
        match self.session.outbox.expire(&waiting.id).await {
            Ok(true) => {}
            // Its record is gone, or settled.
            Ok(false) => self.session.outbox.forget(&waiting.id),
            Err(error) => {
                warn!(message.id = &*waiting.id, %error, "the outbox cannot be written");
                tokio::time::sleep(BREATH).await;
                return;
            }
        }
        // What waited behind it need not wait any more.
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

/// Runs `work` while the connection lasts; `None` if the line goes first. For waits on WhatsApp and the library, which
/// may wait for minutes on a dead line. Not for outbox writes: those must finish.
async fn on_line<T>(session: &Inner, client: &Arc<Client>, work: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        // An answer that is there counts, whatever became of the line behind it.
        biased;
        done = work => Some(done),
        () = session.client_gone(client) => None,
    }
}

/// Carries one message over one connection.
async fn carry(session: &Inner, client: &Arc<Client>, waiting: &WaitingMessage) -> ChatOutcome {
    let id = &*waiting.id;
    let ready = async {
        prepare(session, client).await?;
        anyhow::Ok(session.outbox.await_durable(waiting).await?)
    };
    match on_line(session, client, ready).await {
        None => return ChatOutcome::Again,
        Some(Ok(())) => {}
        Some(Err(error)) => {
            debug!(message.id = id, error = format!("{error:#}"), "not sending yet");
            return ChatOutcome::Soon;
        }
    }
    // Only now: it may have been settled, by a receipt, while the vault was waited for.
    let message = match session.outbox.begin(id).await {
        Ok(Some(message)) => message,
        Ok(None) => {
            session.outbox.forget(id);
            return ChatOutcome::Onward;
        }
        Err(error) => {
            warn!(message.id = id, %error, "the outbox cannot be read");
            return ChatOutcome::Later(None);
        }
    };
    let left = message.expires_at_ms.saturating_sub(session.outbox.certain_ms());
    let Some(left) = u64::try_from(left).ok().filter(|left| *left > 0).map(Duration::from_millis) else {
        return expire(session, id).await;
    };
    let chat = jid(&message.chat);
    let goes_to_many = !message.audience.is_empty() || chat.as_ref().is_ok_and(|chat| chat.server == Server::Group);
    let limit = send_timeout(goes_to_many, message.attempts);
    let mut expected = session.answers.expect(id);
    let sending = async {
        let chat = chat?;
        let names = session.names_of(&chat).await.map_err(|error| SendError::Internal(error.into()))?;
        if let Some(failure) = obstacle(session, client, &message, &chat, &names).await? {
            return Ok(Some(failure));
        }
        send(session, client, message, chat, names).await.map(|()| None)
    };
    // Given up when its time is over: what the library has not queued for the wire by then does not leave. What it has may leave all the
    // same, under its id.
    let error = match on_line(session, client, timeout(limit.min(left), sending)).await {
        // It may be what WhatsApp ended the line for: the message itself, or a question that goes with it.
        None => return leave_unanswered(session, waiting, FailureReason::Unconfirmed, true).await,
        Some(Ok(Ok(None))) => {
            crash::point("on_the_wire");
            let sent = Instant::now();
            let answer = timeout(session.env.settings.ack_timeout, expected.answer());
            match on_line(session, client, answer).await {
                None => return leave_unanswered(session, waiting, FailureReason::Unconfirmed, true).await,
                Some(Ok(SendAnswer::Settled)) => return ChatOutcome::Onward,
                Some(Ok(SendAnswer::NotNow(code))) => {
                    session.note_too_much(code);
                    debug!(message.id = id, code, "WhatsApp does not take a message now");
                    return ChatOutcome::Later(None);
                }
                Some(Err(_)) => {
                    // Swallowed by the connection, or this one by WhatsApp?
                    let is_deaf = !session.answers.any_since(sent);
                    let next = leave_unanswered(session, waiting, FailureReason::Unconfirmed, false).await;
                    if is_deaf {
                        warn!(message.id = id, "WhatsApp confirms nothing: connecting anew");
                        session.line.cut();
                    }
                    return next;
                }
            }
        }
        Some(Ok(Ok(Some(failure)))) => return fail(session, id, failure).await,
        Some(Ok(Err(error))) => error,
        Some(Err(_)) => return leave_unanswered(session, waiting, FailureReason::Unconfirmed, false).await,
    };
    if let Some(rejection) = error.server_rejection() {
        session.note_too_much(rejection.code);
    }
    match Judgement::of(&error) {
        Judgement::Final(failure) => {
            debug!(message.id = id, %error, "a message cannot be sent");
            fail(session, id, failure).await
        }
        Judgement::Later(wait) => {
            debug!(message.id = id, %error, "a message cannot be sent now");
            ChatOutcome::Later(wait)
        }
        Judgement::Unanswered => leave_unanswered(session, waiting, FailureReason::Unconfirmed, false).await,
        Judgement::Broken => {
            warn!(message.id = id, %error, "a message is not sent");
            leave_unanswered(session, waiting, FailureReason::Unsendable, false).await
        }
        Judgement::LineGone => {
            // The end of the line is told in a moment, and is counted where it is told.
            let _ = on_line(session, client, sleep(LINE_PATIENCE)).await;
            leave_unanswered(session, waiting, FailureReason::Unconfirmed, true).await
        }
    }
}

fn send_timeout(goes_to_many: bool, attempts: u32) -> Duration {
    match goes_to_many {
        true => SEND_TIMEOUT,
        false => FIRST_SEND_TIMEOUT.saturating_mul(1 << attempts.min(3)).min(SEND_TIMEOUT),
    }
}

/// Its time was over before it could leave.
async fn expire(session: &Inner, id: &str) -> ChatOutcome {
    warn!(message.id = id, "a message could not be sent in time");
    match session.outbox.expire(id).await {
        Ok(true) => ChatOutcome::Onward,
        Ok(false) => {
            session.outbox.forget(id);
            ChatOutcome::Onward
        }
        Err(error) => {
            warn!(message.id = id, %error, "the outbox cannot be written");
            ChatOutcome::Later(None)
        }
    }
}

/// Counts an attempt that came to nothing; after some the message has failed.
async fn leave_unanswered(
    session: &Inner,
    waiting: &WaitingMessage,
    reason: FailureReason,
    line_lost: bool,
) -> ChatOutcome {
    let id = &*waiting.id;
    match session.outbox.note_attempt(id).await {
        Ok(attempts) if attempts >= session.env.settings.send_attempts => fail(session, id, reason.into()).await,
        // It was settled meanwhile, which the next look finds.
        Ok(0) => ChatOutcome::Again,
        // Lines end, and most of them not because of a message.
        Ok(1) if line_lost => ChatOutcome::Again,
        Ok(attempts) => {
            debug!(message.id = id, attempts, "no answer to a message");
            ChatOutcome::Later(None)
        }
        Err(error) => {
            warn!(message.id = id, %error, "the outbox cannot be written");
            ChatOutcome::Later(None)
        }
    }
}

async fn fail(session: &Inner, id: &str, failure: Failure) -> ChatOutcome {
    warn!(message.id = id, %failure, "a message has failed");
    crash::pause("failing").await;
    match session.outbox.fail(id, failure).await {
        Ok(_) => ChatOutcome::Onward,
        Err(error) => {
            warn!(message.id = id, %error, "the outbox cannot be written");
            ChatOutcome::Later(None)
        }
    }
}

/// Everything that must be true before anything is encrypted.
pub(in crate::session) async fn prepare(session: &Inner, client: &Arc<Client>) -> anyhow::Result<()> {
    let unconfirmed = session.env.clock.instant().since(session.journal.confirmed_at());
    if unconfirmed > session.env.settings.ownership_limit || session.journal.outage() {
        session.journal.confirm().await?;
    }
    client.flush_pending_signal_state().await?;
    session.store.wait(session.journal.recorded()).await?;
    Ok(())
}

/// Why the message cannot be sent at all, if that is so.
async fn obstacle(
    session: &Inner,
    client: &Client,
    message: &Unsettled,
    chat: &Jid,
    names: &[Jid],
) -> Result<Option<Failure>, SendError> {
    let account = session.status.borrow().phone_number.clone();
    if !message.account.is_empty() && account.is_some_and(|account| account != message.account) {
        // A person who changes the number stays the same account.
        let own = session.store.own_account().await.map_err(|error| SendError::Internal(error.into()))?;
        if !own.is_some_and(|own| own.has_had(&message.account)) {
            return Ok(Some(FailureReason::OtherAccount.into()));
        }
    }
    if !message.audience.is_empty() || !matches!(chat.server, Server::Pn | Server::Lid) {
        return Ok(None);
    }
    // Whoever has devices is there. To others the library would send a copy for the tenant's own phone and nothing else, and
    // WhatsApp would confirm that. The list may be under any of the names.
    let lists = names.iter().map(|name| key::text(&name.user)).collect();
    if session.store.get_all(space::DEVICE_LISTS, lists).await.is_ok_and(|lists| !lists.is_empty()) {
        return Ok(None);
    }
    let mut is_known = false;
    for name in names {
        is_known |= matches!(session.store.has_signal_state_for_user(&name.user).await, Ok(true));
    }
    if is_known && chat.server == Server::Lid {
        return Ok(None);
    }
    // WhatsApp may be asked freely about people with whom there is a conversation: their devices are forgotten with every restart.
    if !is_known {
        session.pace.has_room(RequestKind::Lookup).map_err(spent)?;
    }
    let is_missing = match chat.server {
        Server::Lid => has_no_devices(client, chat).await?,
        _ => {
            let found = client.contacts().is_on_whatsapp(slice::from_ref(chat)).await;
            let found = found.map_err(|error| SendError::Internal(error.into()))?;
            found.first().is_some_and(|found| !found.is_registered && found.contact_error.is_none())
        }
    };
    if is_missing {
        // Numbers that are tried count, not new customers. Those that are asked about at this moment may be some too many.
        let _ = session.pace.take(RequestKind::Lookup);
    }
    Ok(is_missing.then(|| FailureReason::NotOnWhatsapp.into()))
}

/// Whether nobody has this LID. A lookup by LID always "succeeds" in the library, so ask for devices instead: an
/// account has at least its phone. Not needed where Signal sessions exist: their keys came from a device.
async fn has_no_devices(client: &Client, lid: &Jid) -> Result<bool, SendError> {
    let internal = |error: whatsapp_rust::anyhow::Error| SendError::Internal(error);
    let (protocols, users) = (vec![UsyncProtocol::DevicesV2], vec![UsyncUser::from_jid(lid.clone())]);
    let query = UsyncQuery::new(UsyncMode::Query, UsyncContext::Message, protocols, users);
    let answer = client.query_usync(query.map_err(|error| internal(error.into()))?).await;
    let answer = answer.map_err(|error| internal(error.into()))?;
    let user = answer
        .users
        .iter()
        .find(|user| user.id.as_ref().is_some_and(|id| (&id.user, id.server) == (&lid.user, lid.server)));
    Ok(user.and_then(|user| user.protocol(UsyncProtocolKind::Devices)).is_some_and(says_nobody))
}

/// Only in so many words: an answer that leaves the devices out, or an error, says nothing, and the message goes.
fn says_nobody(devices: &UsyncProtocolResult) -> bool {
    match devices {
        UsyncProtocolResult::Devices(UsyncOutcome::Value(found)) => {
            found.device_list.as_ref().is_some_and(|list| list.devices.is_empty())
        }
        UsyncProtocolResult::Devices(UsyncOutcome::Error(error)) => error.code == Some(NOT_FOUND),
        _ => false,
    }
}

/// A message to strangers asks who is on WhatsApp, as a lookup does.
pub(in crate::session) fn count_lookup(session: &Inner) -> Result<(), SendError> {
    session.pace.take(RequestKind::Lookup).map_err(spent)
}

fn spent(wait: Duration) -> SendError {
    SendError::Internal(LookupsSpentError { wait }.into())
}

fn jid(text: &str) -> Result<Jid, SendError> {
    text.parse().map_err(|_| SendError::InvalidRequest("the chat is no jid".into()))
}

async fn send(
    session: &Inner,
    client: &Arc<Client>,
    message: Unsettled,
    chat: Jid,
    names: Vec<Jid>,
) -> Result<(), SendError> {
    let body = codec::message_decode(&message.body)
        .map_err(|error| SendError::InvalidRequest(format!("the message does not parse: {error}")))?;
    if !message.audience.is_empty() {
        return status_broadcast::send(session, client, message, body).await;
    }
    if chat.server == Server::Newsletter {
        return channel_posts::publish(session, client, chat, message.id, body).await;
    }
    let mut options = SendOptions::default().with_message_id(message.id);
    // The tenant's own devices get a copy.
    let people: Vec<Jid> = names.into_iter().chain([client.pn(), client.lid()].into_iter().flatten()).collect();
    if chat.server != Server::Group && session.unknown_devices.take(&people) {
        options = options.with_device_freshness(Freshness::Refresh);
    }
    client.send_message_with_options(chat, body, options).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn what_goes_to_many_has_the_longer_time_at_once() {
        assert_eq!([0, 1, 2, 9].map(|attempts| send_timeout(false, attempts).as_secs()), [15, 30, 60, 90]);
        assert_eq!([0, 9].map(|attempts| send_timeout(true, attempts).as_secs()), [90, 90]);
    }

    /// A message that fails as `not_on_whatsapp` has failed for good.
    #[test]
    fn nobody_is_there_only_if_whatsapp_says_so() {
        let says = |kind: &str, data: Value| {
            let outcome = json!({ "type": kind, "data": data });
            says_nobody(&serde_json::from_value(json!({ "type": "devices", "data": outcome })).unwrap())
        };
        assert!(says("value", json!({ "device_list": { "devices": [] } })));
        assert!(says("error", json!({ "code": 404 })));
        let phone = json!([{ "id": 0, "is_hosted": false }]);
        assert!(!says("value", json!({ "device_list": { "devices": phone } })));
        assert!(!says("value", json!({})), "the list is left out");
        assert!(!says("error", json!({ "code": 500 })) && !says("error", json!({})), "it cannot say it now");
    }
}
