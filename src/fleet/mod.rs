//! The fleet: all sessions of this process. Restores them at the start, looks after them with a heartbeat, opens and closes
//! them when asked, and stops them.
//!
//! Owns which tenants this process serves. Promises: one tenant is opened by one task at a time; what goes wrong with a tenant
//! stays with that tenant. Knows nothing of HTTP.

mod heartbeat;
mod restore;

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use jiff::Timestamp;
use phonenumber::country;
use tokio::{
    sync::OnceCell,
    time::{Instant, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{error, info, warn};

pub use self::restore::{RestoreError, Summary};
use crate::{
    config,
    journal::OpenError,
    message::{
        Event, EventId, Message, SendRequest,
        media::{FileName, Sweeper, Witness},
    },
    session::{Env, Health, RefusedCode, RefusedSend, Session, SessionError, Source, State, Status},
    store::StoreError,
    tenant::{TenantId, TenantRecord},
    vault::{Instance, Notice as Record, VaultError},
};

/// How old what is said of all tenants may be.
const DIRECTORY_AGE: Duration = Duration::from_secs(30);

/// All sessions of this process.
pub struct Fleet {
    env: Arc<Env>,
    settings: Settings,
    tenants: Mutex<HashMap<TenantId, Arc<Slot>>>,
    draining: AtomicBool,
    /// What the directory said last, and when.
    directory: Mutex<Option<(Instant, Arc<Vec<TenantRecord>>)>>,
    started_at: Timestamp,
    stop: CancellationToken,
    tasks: TaskTracker,
    attendants: OnceLock<Vec<Arc<dyn Attendant>>>,
}

/// Whoever works beside the sessions, each as long as it is open.
pub trait Attendant: Send + Sync + 'static {
    /// A session was opened, here, once. Does not wait.
    fn opened(&self, session: &Session);
}

/// What the fleet goes by.
#[derive(Debug, Clone)]
pub struct Settings {
    pub restore: config::Restore,
    pub heartbeat: config::Heartbeat,
}

/// A tenant's place. Opening goes through the cell, so that two callers make one session.
struct Slot {
    session: OnceCell<Session>,
    /// Why the last opening failed.
    failure: Mutex<Option<Failure>>,
    /// What the last heartbeat found.
    beat: Mutex<Option<Beat>>,
}

/// What a heartbeat found, and when.
#[derive(Debug, Clone)]
pub struct Beat {
    pub at: Timestamp,
    pub health: Health,
}

#[derive(Debug, Clone)]
struct Failure {
    reason: String,
    at: Timestamp,
    /// Trying again may help.
    transient: bool,
}

/// Why the fleet did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum FleetError {
    #[error("the daemon is stopping")]
    Draining,
    #[error("there is no such session")]
    Unknown,
    /// The tenant's state is damaged or another process has it; in words for operators.
    #[error("the tenant cannot be opened: {0}")]
    Failed(String),
    #[error("the vault does not answer")]
    VaultDown,
}

/// A tenant as the operator sees it.
#[derive(Debug, Clone)]
pub struct Report {
    pub tenant: TenantId,
    pub status: Status,
}

/// How many there are, and how many work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    pub working: usize,
    pub total: usize,
}

impl Fleet {
    pub fn new(env: Arc<Env>, settings: Settings) -> Arc<Self> {
        let started_at = env.clock.now();
        Arc::new(Self {
            env,
            settings,
            tenants: Mutex::default(),
            draining: AtomicBool::new(false),
            directory: Mutex::new(None),
            started_at,
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
            attendants: OnceLock::new(),
        })
    }

    /// Who is to be told of every session that is opened. Once, before the first is.
    pub fn attended_by(&self, attendants: Vec<Arc<dyn Attendant>>) {
        assert!(self.attendants.set(attendants).is_ok(), "attendants are set once");
    }

    pub fn env(&self) -> &Arc<Env> {
        &self.env
    }

    /// When this process began.
    pub fn started_at(&self) -> Timestamp {
        self.started_at
    }

    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    /// The tenant's session, if it is open.
    pub fn session(&self, tenant: &TenantId) -> Option<Session> {
        self.slots().get(tenant)?.session.get().cloned()
    }

    /// The tenant's session, opened if the directory knows the tenant.
    pub async fn known(&self, tenant: &TenantId) -> Result<Session, FleetError> {
        if let Some(session) = self.session(tenant) {
            return Ok(session);
        }
        match self.env.vault.tenant(tenant).await {
            Ok(None) => Err(FleetError::Unknown),
            _ => self.opened(tenant).await,
        }
    }

    /// Opens the tenant, makes it if it is new, and connects it.
    pub async fn connect(&self, tenant: &TenantId) -> Result<Session, FleetError> {
        let session = self.opened(tenant).await?;
        session.connect().await;
        Ok(session)
    }

    pub async fn request_code(
        &self,
        tenant: &TenantId,
        phone: &str,
    ) -> Result<Result<String, RefusedCode>, FleetError> {
        Ok(self.opened(tenant).await?.request_code(phone).await)
    }

    /// The inner error: the session's own no.
    pub async fn send(
        &self,
        tenant: &TenantId,
        request: &SendRequest,
        key: Option<&str>,
    ) -> Result<Result<Message, RefusedSend>, FleetError> {
        if self.is_draining() {
            return Err(FleetError::Draining);
        }
        let session = self.session(tenant).ok_or(FleetError::Unknown)?;
        Ok(session.send(request, key).await)
    }

    /// The same with a file.
    pub async fn send_file(
        &self,
        tenant: &TenantId,
        request: &SendRequest,
        source: Source,
        key: Option<&str>,
    ) -> Result<Result<Message, RefusedSend>, FleetError> {
        if self.is_draining() {
            return Err(FleetError::Draining);
        }
        let session = self.session(tenant).ok_or(FleetError::Unknown)?;
        Ok(session.send_file(request, source, key).await)
    }

    /// Unlinks the tenant at WhatsApp and wipes its credentials. A tenant that nobody knows has nothing to unlink; one that could
    /// not be opened has, so that it is an error.
    pub async fn disconnect(&self, tenant: &TenantId) -> Result<(), FleetError> {
        let slot = self.slots().get(tenant).cloned();
        let Some(slot) = slot else { return Ok(()) };
        match slot.session.get() {
            Some(session) => session.unlink().await.map_err(|closed| FleetError::Failed(closed.to_string())),
            None => Err(FleetError::Failed(slot.status(self.started_at).reason)),
        }
    }

    /// What the directory has of one tenant.
    pub async fn record(&self, tenant: &TenantId) -> Result<Option<TenantRecord>, FleetError> {
        self.env.vault.tenant(tenant).await.map_err(|error| self.unreadable(&error))
    }

    /// What the directory has of all tenants, by id; at most [`DIRECTORY_AGE`] old, since each look costs a read a tenant.
    pub async fn records(&self) -> Result<Arc<Vec<TenantRecord>>, FleetError> {
        let known = self.directory.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((at, records)) = known
            && at.elapsed() < DIRECTORY_AGE
        {
            return Ok(records);
        }
        let tenants = self.env.vault.tenants().await.map_err(|error| self.unreadable(&error))?;
        // One that does not parse is named where the sessions are.
        let records = Arc::new(tenants.into_iter().filter_map(|(_, record)| record.ok()).collect::<Vec<_>>());
        *self.directory.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), records.clone()));
        Ok(records)
    }

    fn unreadable(&self, error: &VaultError) -> FleetError {
        warn!(%error, "the directory cannot be read");
        match error {
            VaultError::Unavailable(_) => FleetError::VaultDown,
            error => FleetError::Failed(error.to_string()),
        }
    }

    /// What is known of the tenant; `None`: this process has never heard of it.
    pub fn status(&self, tenant: &TenantId) -> Option<Status> {
        let slot = self.slots().get(tenant)?.clone();
        Some(slot.status(self.started_at))
    }

    /// What the last heartbeat found; `None`: there was none yet.
    pub fn beat(&self, tenant: &TenantId) -> Option<Beat> {
        let slot = self.slots().get(tenant)?.clone();
        slot.beat.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Events of a tenant after `cursor`.
    pub async fn events_after(
        &self,
        tenant: &TenantId,
        cursor: Option<EventId>,
        limit: usize,
    ) -> Result<Vec<Event>, StoreError> {
        let Some(session) = self.session(tenant) else { return Ok(Vec::new()) };
        match session.events_after(cursor, limit).await {
            // The session is over.
            Err(StoreError::Closed | StoreError::Journal(_)) => Ok(Vec::new()),
            events => events,
        }
    }

    /// Where a phone number of a tenant without a country code is dialed.
    pub fn country(&self, tenant: &TenantId) -> country::Id {
        self.session(tenant).map_or(self.env.messages.country, |session| session.country())
    }

    /// The id of the last event of a tenant that was published.
    pub fn newest_event(&self, tenant: &TenantId) -> Option<EventId> {
        self.session(tenant)?.newest_event()
    }

    /// All tenants, by id.
    pub fn reports(&self) -> Vec<Report> {
        let mut reports: Vec<_> = self
            .slots()
            .iter()
            .map(|(tenant, slot)| Report { tenant: tenant.clone(), status: slot.status(self.started_at) })
            .collect();
        reports.sort_by(|a, b| a.tenant.cmp(&b.tenant));
        reports
    }

    pub fn counts(&self) -> Counts {
        let slots = self.slots();
        let working =
            |slot: &&Arc<Slot>| slot.session.get().is_some_and(|session| session.status().state == State::Working);
        Counts { working: slots.values().filter(working).count(), total: slots.len() }
    }

    /// Starts what runs beside the sessions: the heartbeat, the record of this instance, and the removal of old files.
    pub fn start(self: &Arc<Self>) {
        let env = &self.env;
        let sweeper = Sweeper { keeper: env.media.clone(), witness: self.clone(), clock: env.clock.clone() };
        self.tasks.spawn(sweeper.run(self.stop.clone()));
        self.tasks.spawn(self.stop.clone().run_until_cancelled_owned(restore::open_unlinked(self.clone())));
        self.tasks.spawn(heartbeat::run(self.clone()));
        self.tasks.spawn(heartbeat::keep_directory(self.clone()));
    }

    /// Refuses new work, finishes what is in flight, writes everything to the vault. The caller sets the limit.
    pub async fn stop(&self) {
        self.draining.store(true, Ordering::Release);
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        let slots: Vec<_> = self.slots().values().cloned().collect();
        let closing = TaskTracker::new();
        for session in slots.iter().filter_map(|slot| slot.session.get().cloned()) {
            closing.spawn(async move { session.close().await });
        }
        closing.close();
        closing.wait().await;
        if timeout(Duration::from_secs(2), self.env.vault.remove_instance(&self.env.instance)).await.is_err() {
            warn!("this instance's record stays in the vault");
        }
        info!(sessions = slots.len(), "all sessions are closed");
    }

    /// The tenant's session; opens it, and makes the tenant if it is new. Does not connect.
    pub async fn opened(&self, tenant: &TenantId) -> Result<Session, FleetError> {
        if self.is_draining() {
            return Err(FleetError::Draining);
        }
        if let Some(session) = self.session(tenant) {
            return Ok(session);
        }
        let record = match self.env.vault.tenant(tenant).await {
            Ok(record) => record,
            Err(error) => return Err(self.unreadable(&error)),
        };
        if record.is_none() {
            self.env.vault.notice(tenant, &Record::default()).await.map_err(|_| FleetError::VaultDown)?;
        }
        let known = record.as_ref().is_some_and(|record| record.whatsapp_connected);
        let session = self.open(tenant, known).await?;
        if let Some(number) = record.and_then(|record| record.phone_number) {
            session.expect_number(&number).await.map_err(|_| FleetError::VaultDown)?;
        }
        Ok(session)
    }

    /// Opens the tenant once, however many ask.
    async fn open(&self, tenant: &TenantId, known: bool) -> Result<Session, FleetError> {
        let slot = self.slots().entry(tenant.clone()).or_insert_with(Slot::new).clone();
        let open = || async {
            let session = Session::open(self.env.clone(), tenant.clone(), known).await?;
            self.attendants.get().into_iter().flatten().for_each(|attendant| attendant.opened(&session));
            Ok(session)
        };
        let opened = slot.session.get_or_try_init(open).await;
        let error = match opened {
            Ok(session) => {
                slot.set_failure(None);
                return Ok(session.clone());
            }
            Err(error) => error,
        };
        let (transient, answer) = match &error {
            SessionError::Journal(OpenError::Vault(_)) => (true, FleetError::VaultDown),
            SessionError::Journal(OpenError::Taken) => (false, FleetError::Failed(error.to_string())),
            SessionError::Journal(OpenError::Damaged(_)) => (false, FleetError::Failed(error.to_string())),
            SessionError::Store(_) => (true, FleetError::Failed("the local disk fails".into())),
        };
        error!(%tenant, %error, transient, "the tenant cannot be opened");
        slot.set_failure(Some(Failure { reason: error.to_string(), at: self.env.clock.now(), transient }));
        Err(answer)
    }

    /// A tenant whose directory record does not parse.
    fn note_malformed(&self, tenant: &TenantId, error: &VaultError) {
        let slot = self.slots().entry(tenant.clone()).or_insert_with(Slot::new).clone();
        slot.set_failure(Some(Failure { reason: error.to_string(), at: self.env.clock.now(), transient: false }));
    }

    fn instance(&self) -> Instance {
        Instance {
            id: self.env.instance.clone(),
            address: None,
            version: env!("CARGO_PKG_VERSION").into(),
            started_at: self.started_at,
            heartbeat_at: self.env.clock.now(),
            draining: self.is_draining(),
        }
    }

    fn slots(&self) -> std::sync::MutexGuard<'_, HashMap<TenantId, Arc<Slot>>> {
        self.tenants.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Witness for Fleet {
    async fn knows(&self, tenant: &TenantId, name: &FileName) -> Option<bool> {
        self.session(tenant)?.knows_file(name).await.ok()
    }
}

impl Slot {
    fn new() -> Arc<Self> {
        Arc::new(Self { session: OnceCell::new(), failure: Mutex::new(None), beat: Mutex::new(None) })
    }

    fn set_beat(&self, beat: Beat) {
        *self.beat.lock().unwrap_or_else(PoisonError::into_inner) = Some(beat);
    }

    fn set_failure(&self, failure: Option<Failure>) {
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = failure;
    }

    fn failure(&self) -> Option<Failure> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn status(&self, started_at: Timestamp) -> Status {
        if let Some(session) = self.session.get() {
            return session.status();
        }
        let failure = self.failure();
        Status {
            state: if failure.is_some() { State::Failed } else { State::Starting },
            since: failure.as_ref().map_or(started_at, |failure| failure.at),
            reason: failure.map_or_else(|| "being restored".into(), |failure| failure.reason),
            paired: false,
            rejected: false,
            phone_number: None,
            expected: None,
            push_name: None,
            qr: None,
            passkey: None,
        }
    }
}
