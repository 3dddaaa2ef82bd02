//! Older messages of a chat, asked of the tenant's own phone. It is asked for what is older than the oldest that is known; what it tells
//! is kept as [`crate::message::past`] says. One chat of a tenant at a time, and a few tenants.
//!
//! The phone answers with a blob of its making, at a time of its choosing, or not at all: what is too large, cannot be read or was not
//! asked for is dropped, and the connection goes on.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use futures::FutureExt as _;
use tokio::{
    sync::{Semaphore, SemaphorePermit, mpsc},
    time::{Instant, timeout, timeout_at},
};
use tracing::{debug, warn};
use whatsapp_rust::{Client, Jid, types::events::LazyHistorySync};

use super::parse;
use crate::{
    message::{
        Message,
        cleared::{self, Cleared},
        past::{self, BackfillLimits, KnownHistory},
    },
    session::{Inner, RequestError, Session, requests::pace::RequestKind, send::attempt},
    store::StoreError,
    sync::lock,
};

/// Bytes of an answer as it comes, and inflated. A message with a picture's thumbnail has some 20 KiB.
const MAX_BLOB: usize = 4 * 1024 * 1024;
const MAX_INFLATED: usize = 16 * 1024 * 1024;

/// Answers that wait to be read.
const ANSWERS: usize = 2;

/// How long a caller that comes too soon should wait.
const BUSY_PHONE_WAIT: Duration = Duration::from_secs(5);

/// A phone that says nothing for so long waits on without a turn.
const SILENT_AFTER: Duration = BUSY_PHONE_WAIT;

/// Why there is no past.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    #[error(transparent)]
    Refused(#[from] RequestError),
    /// The phone is asked for what is older than a message, and there is none.
    #[error("no message of the chat is known")]
    NothingKnown,
    #[error("as many phones are asked as may be")]
    Busy { wait: Duration },
    #[error("the phone does not answer")]
    Silent,
    #[error("the phone's answer cannot be read")]
    Unreadable,
    #[error("the vault does not answer")]
    VaultDown,
}

impl From<StoreError> for HistoryError {
    fn from(error: StoreError) -> Self {
        Self::Refused(error.into())
    }
}

/// The outcome of one question to the phone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FetchedHistory {
    /// Messages that were not known, and are kept.
    pub messages: usize,
    /// The phone has nothing older; `None`: it did not say.
    pub complete: Option<bool>,
    /// Older ones are not kept: there is no more room.
    pub full: bool,
}

/// An answer of the phone; `None`: it was too large.
type PhoneAnswer = Option<LazyHistorySync>;

/// A session's questions to its phone.
#[derive(Default)]
pub(in crate::session) struct PhoneRequests {
    /// Held while the phone is asked.
    asking: tokio::sync::Mutex<()>,
    waiting: Mutex<Option<mpsc::Sender<PhoneAnswer>>>,
    /// Held from looking at what is cleared to having written what was told.
    writing: tokio::sync::Mutex<()>,
}

impl PhoneRequests {
    /// Notes a history of the kind that is asked for. Runs inside the library's dispatch, and so does not wait.
    pub fn heard(&self, sync: &LazyHistorySync) {
        let Some(waiting) = self.waiting().clone() else {
            debug!("the phone answers what nobody waits for any more");
            return;
        };
        let fits = sync.compressed_bytes().len() <= MAX_BLOB && sync.decompressed_size() <= MAX_INFLATED;
        if !fits {
            warn!(
                event = "history_too_large",
                bytes = sync.decompressed_size(),
                "the phone tells too much of the past at once: dropped"
            );
        }
        // A clone shares the bytes.
        if waiting.try_send(fits.then(|| sync.clone())).is_err() {
            warn!(event = "history_unasked", "the phone answers more often than it was asked: dropped");
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Option<mpsc::Sender<PhoneAnswer>>> {
        lock(&self.waiting)
    }

    fn listen(&self) -> (Listening<'_>, mpsc::Receiver<PhoneAnswer>) {
        let (answers, heard) = mpsc::channel(ANSWERS);
        *self.waiting() = Some(answers);
        (Listening(self), heard)
    }
}

/// Ends with whoever waits, also when he goes away.
struct Listening<'a>(&'a PhoneRequests);

impl Drop for Listening<'_> {
    fn drop(&mut self) {
        *self.0.waiting() = None;
    }
}

/// The right to ask a phone, and to read what it answers. A silent phone gives it up for a while, so that silent ones keep nobody from
/// asking; so many may wait so, and another one is given up early.
struct PhoneTurn<'a> {
    turns: &'a Semaphore,
    silent: &'a Semaphore,
    silent_after: Duration,
    turn: Option<SemaphorePermit<'a>>,
}

impl<'a> PhoneTurn<'a> {
    /// `None`: as many phones are asked as may be.
    fn begin(turns: &'a Semaphore, silent: &'a Semaphore, silent_after: Duration) -> Option<Self> {
        Some(Self { turns, silent, silent_after, turn: Some(turns.try_acquire().ok()?) })
    }

    /// The phone's next answer, to be read under a turn. `None`: it says nothing, and is waited for no longer.
    async fn answer<T>(&mut self, answers: &mut mpsc::Receiver<T>, deadline: Instant) -> Option<T> {
        let silent_at = deadline.min(Instant::now() + self.silent_after);
        if let Ok(answer) = timeout_at(silent_at, answers.recv()).await {
            return answer;
        }
        let _among_silent = self.silent.try_acquire().ok()?;
        drop(self.turn.take());
        let answer = timeout_at(deadline, answers.recv()).await.ok()??;
        // It has answered: that others are read just now makes it no silent one.
        let deadline = deadline.max(Instant::now() + self.silent_after);
        self.turn = Some(timeout_at(deadline, self.turns.acquire()).await.ok()?.ok()?);
        Some(answer)
    }
}

/// The chat that the phone is asked about, and the oldest message that is known of it.
struct HistoryQuestion {
    chat: Jid,
    addressed: Jid,
    oldest: Message,
    count: u16,
}

impl Session {
    /// Asks the phone for at most `count` messages of a chat that are older than those that are known. Returns when what came is durable.
    pub async fn fetch_past(&self, chat: &str, count: u16) -> Result<FetchedHistory, HistoryError> {
        let inner = &self.0;
        let busy = HistoryError::Busy { wait: BUSY_PHONE_WAIT };
        let Ok(_asking) = inner.questions.asking.try_lock() else { return Err(busy) };
        let begun = PhoneTurn::begin(&inner.env.asking_phones, &inner.env.silent_phones, SILENT_AFTER);
        let Some(mut turn) = begun else { return Err(busy) };
        let client = self.connected()?;
        let named = self.conversation(chat).await?.swap_remove(0);
        let chat = &named.to_string();
        let cleared = cleared::read(&inner.store).await?;
        let known = KnownHistory::read(&inner.log, chat, &cleared).await?;
        let oldest = known.oldest.ok_or(HistoryError::NothingKnown)?;
        let addressed = oldest.addressed.chat.parse::<Jid>().map_or_else(|_| named.clone(), |jid| jid.to_non_ad());
        inner.pace.take(RequestKind::Past).map_err(|wait| HistoryError::Busy { wait })?;
        let question = HistoryQuestion { chat: named, addressed, oldest, count };
        let page = inner.ask_phone(&client, &question, &mut turn).await?;
        inner.keep(&client, &question, page).await
    }
}

impl Inner {
    async fn ask_phone(
        &self,
        client: &Arc<Client>,
        question: &HistoryQuestion,
        turn: &mut PhoneTurn<'_>,
    ) -> Result<parse::HistoryPage, HistoryError> {
        let (_listening, mut answers) = self.questions.listen();
        let deadline = Instant::now() + self.env.messages.history.patience;
        // A request is a message as every other, to the phone.
        if !matches!(timeout_at(deadline, attempt::prepare(self, client)).await, Ok(Ok(()))) {
            return Err(HistoryError::VaultDown);
        }
        let HistoryQuestion { addressed, oldest, count, .. } = question;
        let (from_me, at) = (oldest.from_me, oldest.timestamp.saturating_mul(1000));
        let asked = client.fetch_message_history(addressed, &oldest.id, from_me, at, i32::from(*count)).boxed();
        let request = match timeout_at(deadline, asked).await {
            Ok(Ok(request)) => request,
            failed => {
                debug!(?failed, "the phone was not asked");
                return Err(HistoryError::Refused(RequestError::Unreachable));
            }
        };
        let names = self.names_of(&question.chat).await?;
        let ids: Vec<_> = std::iter::once(&question.addressed).chain(&names).map(Jid::to_string).collect();
        loop {
            let answer = turn.answer(&mut answers, deadline).await.ok_or(HistoryError::Silent)?;
            let answer = answer.ok_or(HistoryError::Unreadable)?;
            let is_it = answer.peer_data_request_session_id() == Some(request.as_str());
            let (ids, most) = (ids.clone(), (usize::from(question.count), MAX_INFLATED as u64));
            let read = move || parse::page(answer.compressed_bytes(), &ids, most);
            let read = tokio::task::spawn_blocking(read).await.map_err(|_| HistoryError::Unreadable)?;
            match read {
                Ok(Some(page)) => return Ok(page),
                Ok(None) if is_it => return Ok(parse::HistoryPage::default()),
                Ok(None) => debug!("the phone tells of another chat, which nobody asked for any more"),
                Err(error) => {
                    warn!(event = "history_unreadable", %error, "the phone's answer cannot be read");
                    return Err(HistoryError::Unreadable);
                }
            }
        }
    }

    async fn keep(
        &self,
        client: &Client,
        question: &HistoryQuestion,
        page: parse::HistoryPage,
    ) -> Result<FetchedHistory, HistoryError> {
        let me: Vec<Jid> = [client.pn(), client.lid()].into_iter().flatten().map(|jid| jid.to_non_ad()).collect();
        let mut numbers = HashMap::new();
        for lid in page.lids() {
            if let Ok(Some(entry)) = client.get_lid_pn_entry(&lid).await {
                numbers.insert(lid, Jid::pn(entry.phone_number.as_ref()));
            }
        }
        let complete = page.complete;
        let chat =
            parse::AskedChat { addressed: &question.addressed, named: &question.chat, me: &me, numbers: &numbers };
        let mut told = page.messages(&chat);
        let _writing = self.questions.writing.lock().await;
        // It may have been cleared meanwhile, and more may have come.
        let cleared = cleared::read(&self.store).await?;
        let name = question.chat.to_string();
        let mut known = KnownHistory::read(&self.log, &name, &cleared).await?;
        told.retain(|told| is_wanted(told, &question.oldest, &cleared) && known.learn(&told.message));
        let history = &self.env.messages.history;
        let limits = BackfillLimits { chat: history.per_chat, tenant: history.per_tenant };
        let kept = timeout(history.patience, past::keep(&self.store, &told, limits));
        let kept = kept.await.map_err(|_| HistoryError::VaultDown)??;
        Ok(FetchedHistory { messages: kept.new, complete, full: kept.full })
    }

    /// Hides what was said in a chat until now, and what the phone told of it.
    pub(in crate::session) async fn hide(&self, chat: &str) -> Result<(), StoreError> {
        let hidden = {
            let _writing = self.questions.writing.lock().await;
            let Some(last) = self.log.newest() else { return Ok(()) };
            cleared::clear(&self.store, chat, last).await?
        };
        self.confirm(hidden).await
    }
}

/// Whether the phone was asked for this message, and it is not from before the chat was cleared.
fn is_wanted(told: &past::BackfilledMessage, oldest: &Message, cleared: &Cleared) -> bool {
    let is_shown = cleared.get(&told.message.chat).is_none_or(|last| told.event() > *last);
    is_shown && told.message.chat == oldest.chat && told.message.timestamp <= oldest.timestamp
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use super::*;

    #[tokio::test]
    async fn silent_phones_keep_nobody_from_asking() {
        const SOON: Duration = Duration::from_millis(40);
        let (turns, silent) = (Semaphore::new(1), Semaphore::new(1));
        let deadline = Instant::now() + Duration::from_secs(60);
        let begin = || PhoneTurn::begin(&turns, &silent, SOON);
        let ((says, mut answers), (_quiet, mut nothing)) = (mpsc::channel(1), mpsc::channel::<u32>(1));
        let mut first = begin().unwrap();
        assert!(begin().is_none());
        let mut heard = pin!(first.answer(&mut answers, deadline));
        // It says nothing: its turn is another's.
        assert!(timeout(SOON * 2, heard.as_mut()).await.is_err());
        let mut second = begin().unwrap();
        // As many wait so as may.
        assert_eq!(second.answer(&mut nothing, deadline).await, None);
        assert!(Instant::now() < deadline);
        // The late answer is read in its turn.
        says.send(7).await.unwrap();
        assert!(timeout(SOON, heard.as_mut()).await.is_err());
        drop(second);
        assert_eq!(heard.await, Some(7));
        assert!(begin().is_none() && silent.try_acquire().is_ok());
    }
}
