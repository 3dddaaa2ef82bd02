//! One tenant's session: its journal, its store, its connection to WhatsApp, its messages.
//!
//! Owns the state machine, pairing, dialing and the mapping of WhatsApp's events. The only part beside `store` that names the
//! library's types. Knows nothing of HTTP. Promises: credentials are wiped only when WhatsApp rejected them or the owner
//! asked; nothing is sent unless the vault confirmed that this process owns the tenant; nothing is acked before it is durable.

mod app_state;
mod callbacks;
mod connection;
mod country;
mod delivery;
mod end;
mod env;
mod files;
mod handing;
mod history;
mod inbound;
mod naming;
mod open;
mod pairing;
mod reading;
mod requests;
mod send;
mod standing;
mod state;
mod state_events;
mod stopping;

use std::{
    sync::{Arc, Mutex, OnceLock, atomic::AtomicBool},
    time::Duration,
};

use futures::FutureExt as _;
use tokio::{
    sync::{Notify, Semaphore, mpsc, oneshot, watch},
    task::JoinHandle,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{Instrument as _, info, info_span, warn};
use whatsapp_rust::{Client, Jid};

use self::{connection::transport::CurrentLine, send::answers::Answers};
pub use self::{
    connection::{
        agent::http_client, health::SessionHealth, reach::ReachError, transport::Endpoint, version::Versions,
    },
    end::End,
    env::{Directory, EndedTenants, Env, jitter},
    files::{FileError, FileSource, UrlPlaces},
    handing::HandOverError,
    history::fetch::{FetchedHistory, HistoryError},
    naming::{chat_of, chats_of, load_phone_rules},
    open::{SessionError, prepare},
    pairing::{
        code::CodeRequestError,
        own_account::AccountChange,
        passkey::{Assertion, Challenge, PasskeyStepError},
        screen::is_on_screen,
    },
    requests::{
        RequestError,
        account_limits::{Capping, Timelock},
        channels::{Channel, ChannelRole},
        contacts::{Account, LidNumberPair, Person},
        groups,
        presence::{MemberPresence, PresenceState},
        profile::Profile,
    },
    send::accept::AcceptError,
    standing::Standing,
    state::{Qr, State, Status},
};
pub use crate::journal::Prepared;
use crate::{
    journal::{ChangeNo, Journal, JournalClosedError},
    message::{EventBody, FeedItem, Inbox, Log, Outbox, PublishWhen, ResealError},
    store::{Batch, Exported, Store, StoreError},
    sync::lock,
    tenant::TenantId,
};

/// Bytes as a message's, for fuzzing.
#[cfg(feature = "loopback")]
pub(crate) fn read_anything(bytes: &[u8]) -> Option<crate::message::Message> {
    inbound::translate::read_anything(bytes)
}

/// Bytes as what a phone tells of a chat, for fuzzing.
#[cfg(feature = "loopback")]
pub(crate) fn read_past(
    bytes: &[u8],
    chat: &str,
    named: &str,
    most: usize,
) -> Vec<crate::message::past::BackfilledMessage> {
    history::parse::read_anything(bytes, chat, named, most)
}

/// A running session. Cheap to clone; ends by [`Session::close`].
#[derive(Clone)]
pub struct Session(Arc<Inner>);

struct Inner {
    tenant: TenantId,
    env: Arc<Env>,
    journal: Journal,
    store: Arc<Store>,
    log: Arc<Log>,
    inbox: Arc<Inbox>,
    outbox: Arc<Outbox>,
    files: files::Files,
    status: watch::Sender<Status>,
    line: Arc<CurrentLine>,
    /// The client while messages can be sent: logged in, and what waited at WhatsApp has come.
    ready: watch::Sender<Option<Arc<Client>>>,
    /// The client of the current connection, logged in or not.
    client: watch::Sender<Option<Arc<Client>>>,
    commands: mpsc::Sender<SessionCommand>,
    answers: Answers,
    /// For whoever watches the process.
    seen: standing::WhatsAppReadings,
    pacer: send::pacing::Pacer,
    owes_acks: Arc<AtomicBool>,
    /// Messages came that the vault took too long for.
    late: Arc<Notify>,
    unknown_devices: Arc<inbound::unknown_devices::UnknownDevices>,
    member_receipts: inbound::member_receipts::MemberReceipts,
    presences: requests::presence::Presences,
    typing: send::manners::Typing,
    calls: inbound::calls::Calls,
    subjects: requests::subjects::GroupSubjects,
    label_numbers: requests::labels::LabelNumbers,
    label_names: requests::labels::LabelNames,
    collected: app_state::buffer::AppStateBuffer,
    skipped: app_state::refetch::SkippedCollections,
    first_sync: Arc<app_state::first_sync::FirstSync>,
    live_changes: app_state::live::LiveChanges,
    recoveries: inbound::recoveries::Recoveries,
    questions: history::fetch::PhoneRequests,
    changes: send::channel_posts::PendingEdits,
    pace: requests::pace::RequestPace,
    /// The owner wants it to stay away.
    stopped: AtomicBool,
    /// Held while that changes.
    stop_turn: tokio::sync::Mutex<()>,
    /// It has left for another gateway.
    exported: Mutex<Option<Exported>>,
    /// The supervisor has taken somebody's command to unlink the device, and it is not over.
    unlinking: AtomicBool,
    /// The last states that were published as events.
    published_states: state_events::PublishedStates,
    /// The tenant's own.
    country: country::OwnCountry,
    chosen_readings: naming::ChosenReadings,
    refused_scan: pairing::own_account::RefusedScan,
    pairing_mark: pairing::mark::PairingMark,
    /// Held for reading while a message is being accepted, for writing while the tenant is handed over.
    accepting: Arc<tokio::sync::RwLock<()>>,
    /// Answers with many messages that are on their way.
    reading: Arc<Semaphore>,
    /// Looks at the history that hold nothing afterwards.
    looks: Semaphore,
    /// Why it ended by itself, when it has.
    end: OnceLock<End>,
    /// Why it is being closed; unset: the daemon is stopping.
    closed_for: OnceLock<&'static str>,
    stop: CancellationToken,
    tasks: TaskTracker,
    journal_tasks: TaskTracker,
}

/// Answers with many messages that a tenant's readers may have on their way. Each has half a MiB in memory, whether it is read or not.
const MAX_READERS_OF_TENANT: usize = 16;

/// Looks at a tenant's history at the same time. A list of conversations has some MiB.
const MAX_LOOKS_OF_TENANT: usize = 16;

/// The reason of a session that nobody has paired.
pub const NOT_PAIRED: &str = "not paired";

/// The reason of a session that WhatsApp has logged out.
const LOGGED_OUT: &str = "WhatsApp logged this device out: scan again";

const STAYS_AWAY: &str = "stopped; it stays linked, and away until it is started";

/// A command to a session's supervisor.
enum SessionCommand {
    /// Connect, and pair if there are no credentials.
    Connect,
    /// Somebody still looks at the QR code.
    KeepPairing,
    /// Show no more QR codes.
    StopPairing,
    /// Another account scanned: the line is cut.
    RefuseScan,
    /// WhatsApp did not take a step of the passkey ceremony: why.
    EndCeremony(String),
    /// Go away.
    Stop,
    /// Do not wait any longer before the next dial; give up one that has taken this long.
    DialNow { patience: Duration },
    /// Unlink at WhatsApp and wipe the credentials.
    Unlink(oneshot::Sender<Result<(), JournalClosedError>>),
}

impl Session {
    pub fn tenant(&self) -> &TenantId {
        &self.0.tenant
    }

    pub fn status(&self) -> Status {
        self.0.status.borrow().clone()
    }

    pub fn watch(&self) -> watch::Receiver<Status> {
        self.0.status.subscribe()
    }

    /// Where the tenant has gone, if it has left for another gateway: it is not paired anew before somebody logs it out.
    pub fn exported(&self) -> Option<Exported> {
        lock(&self.0.exported).clone()
    }

    /// Renews the pairing offer, for as long as the first request did: somebody still looks at the QR code. An offer
    /// that lapsed is made anew; one that was given up is not.
    pub fn keep_pairing(&self) {
        if !self.status().paired {
            // Full: whoever looks, looks again soon.
            let _ = self.0.commands.try_send(SessionCommand::KeepPairing);
        }
    }

    /// Gives up a pairing that nobody has finished. Credentials that there are stay.
    pub async fn stop_pairing(&self) {
        let _ = self.0.commands.send(SessionCommand::StopPairing).await;
    }

    /// Counts a login on request; an error says when the next one is allowed.
    pub fn may_log_in(&self) -> Result<(), RequestError> {
        self.0.pace.take(requests::pace::RequestKind::Login).map_err(|wait| RequestError::TooMany { wait })
    }

    /// A new connection with the same credentials.
    pub async fn reconnect(&self) {
        self.0.line.cut();
        let _ = self.0.commands.send(SessionCommand::DialNow { patience: Duration::ZERO }).await;
    }

    /// Unlinks at WhatsApp and wipes the credentials; messages and events stay. Waits for a login when there is none; a WhatsApp that
    /// cannot be reached within 15 s is not told, and the status says so. Once it was heard it goes on when nobody waits any more: for the
    /// vault, above all.
    pub async fn unlink(&self) -> Result<(), StoreError> {
        /// WhatsApp is tried, and a connection ends.
        const PATIENCE: Duration = Duration::from_secs(30);
        let (done, answer) = oneshot::channel();
        let answered = async {
            match self.0.commands.send(SessionCommand::Unlink(done)).await {
                Ok(()) => answer.await.unwrap_or(Err(JournalClosedError::Stopped)),
                Err(_) => Err(JournalClosedError::Stopped),
            }
        };
        Ok(tokio::time::timeout(PATIENCE, answered).await.map_err(|_| StoreError::Unconfirmed)??)
    }

    /// The tenant's own jid, when it is paired.
    pub fn me(&self) -> Option<String> {
        Some(Jid::pn(self.0.status.borrow().phone_number.clone()?).to_string())
    }

    /// The tenant's state, for those who keep records of their own in it.
    pub fn store(&self) -> &Arc<Store> {
        &self.0.store
    }

    /// Seals all that the vault has of the tenant with the first master key.
    pub async fn reseal(&self) -> Result<(), ResealError> {
        self.0.log.reseal_segments().await?;
        Ok(self.0.journal.reseal().await?)
    }

    /// Runs a task beside the session. It must end soon after [`Session::stopping`] says so: the closing waits for it, and what it
    /// has written by then goes to the vault.
    pub fn attend(&self, task: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
        self.0.tasks.spawn(task.instrument(info_span!("session", tenant = %self.0.tenant)))
    }

    /// Cancelled when the session ends, for whatever reason.
    pub fn stopping(&self) -> CancellationToken {
        self.0.stop.clone()
    }

    /// Why it ended by itself; `None` while it goes on.
    pub fn end(&self) -> Option<&End> {
        self.0.end.get()
    }

    /// As [`Self::close`], while the daemon goes on: the session says why.
    pub async fn close_for(&self, reason: &'static str) -> bool {
        let _ = self.0.closed_for.set(reason);
        self.close().await
    }

    /// Stops: finishes what is in flight, disconnects, writes everything to the vault, removes the working copy. While the vault does
    /// not answer it waits: bound it. Cancel-safe, and may be called again. False: the last changes did not reach the vault.
    pub async fn close(&self) -> bool {
        /// Nothing that a task still does then reaches WhatsApp, the vault or the next session's working copy.
        const LAST_WORDS: Duration = Duration::from_secs(20);
        let inner = &self.0;
        inner.stop.cancel();
        inner.release_library();
        inner.tasks.close();
        let over = async {
            inner.tasks.wait().await;
            // Changes whose callers did not wait for them.
            inner.log.written().await;
        };
        if self.end().is_none() {
            over.await;
        } else if tokio::time::timeout(LAST_WORDS, over).await.is_err() {
            warn!(
                event = "session_tasks_left",
                tenant = %inner.tenant,
                tasks = inner.tasks.len(),
                "tasks of a session that ended go on"
            );
        }
        let flushed = inner.journal.close().await;
        inner.journal_tasks.close();
        inner.journal_tasks.wait().await;
        if tokio::time::timeout(LAST_WORDS, inner.log.ended()).await.is_err() {
            warn!(
                event = "session_events_left",
                tenant = %inner.tenant,
                "events of a session that ended are still on their way"
            );
        }
        let is_written = flushed.is_ok();
        match flushed {
            // A former owner writes nothing any more.
            Ok(()) | Err(JournalClosedError::Fenced) => {}
            Err(closed) => {
                warn!(
                    event = "last_changes_unsaved",
                    tenant = %inner.tenant,
                    %closed,
                    "the last changes did not reach the vault"
                )
            }
        }
        if let Err(error) = inner.store.close().await {
            warn!(event = "working_copy_kept", tenant = %inner.tenant, %error, "the working copy was not removed");
        }
        is_written
    }
}

/// A panic of one tenant's task is a bug, and that tenant's alone: the session ends, visibly, and the others go on.
///
/// Made of combinators: an `async` function would have room for the work twice, as its argument and as what it waits for.
fn guarded(session: Arc<Inner>, work: impl Future<Output = ()>) -> impl Future<Output = ()> {
    std::panic::AssertUnwindSafe(work).catch_unwind().map(move |done| {
        if done.is_err() {
            session.end(End::Crashed);
        }
    })
}

impl Inner {
    /// While the session ends, none of its tasks may wait for the library, which waits for a store that answers nothing. The
    /// line is shut by then, so the library's errors reach nobody.
    fn release_library(&self) {
        let over = self.store.failure().is_some() || self.journal.closed().now_or_never().is_some();
        if over && self.stop.is_cancelled() {
            self.line.shut();
            self.store.release_library();
        }
    }

    /// After the end nothing changes any more.
    fn set_status(&self, change: impl FnOnce(&mut Status)) {
        self.change_status(|status| {
            if self.end.get().is_none() {
                change(status);
            }
        });
    }

    fn change_status(&self, change: impl FnOnce(&mut Status)) {
        state::change(&self.status, &*self.env.clock, change, |status| {
            info!(event = "session_state", state = status.state.as_str(), reason = status.reason, "session");
            self.publish(status);
        });
    }

    /// Something that is an event, and that nobody waits for.
    async fn publish_event(&self, event: EventBody) {
        match self.log.commit(Batch::default(), vec![event], PublishWhen::AtOnce).await {
            Ok(_) => self.log.publish(),
            Err(error) => warn!(event = "event_unwritten", %error, "an event could not be written"),
        }
    }

    /// A person as conversations name them: by the phone number where it is known.
    async fn display_name_of(&self, person: &Jid) -> String {
        let names = self.names_of(person).await.ok();
        names.map_or_else(|| person.to_non_ad_string(), |mut names| names.swap_remove(0).to_string())
    }

    fn publish(&self, status: &Status) {
        let connection = status.connection();
        self.env.feed.publish(&self.tenant, FeedItem::Connection(connection.clone()));
        self.env.directory.note(&self.tenant, connection);
    }

    /// The client as soon as messages can be sent; `None` when the session stops.
    async fn ready_client(&self) -> Option<Arc<Client>> {
        let mut ready = self.ready.subscribe();
        tokio::select! {
            () = self.stop.cancelled() => None,
            found = ready.wait_for(Option::is_some) => found.ok()?.clone(),
        }
    }

    /// Waits until a change is durable, as long as somebody who asked for it should wait.
    async fn confirm(&self, change: ChangeNo) -> Result<(), StoreError> {
        const PATIENCE: Duration = Duration::from_secs(5);
        let confirmed = tokio::time::timeout(PATIENCE, self.store.wait(change)).await;
        Ok(confirmed.map_err(|_| StoreError::Unconfirmed)??)
    }

    /// When this client is no longer the one to send with.
    async fn client_gone(&self, client: &Arc<Client>) {
        let mut ready = self.ready.subscribe();
        let _ = ready.wait_for(|now| now.as_ref().is_none_or(|now| !Arc::ptr_eq(now, client))).await;
    }
}
