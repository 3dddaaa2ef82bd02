//! The fleet: all sessions of this process. Restores them at the start, looks after them with a heartbeat, opens and closes
//! them when asked, and stops them.
//!
//! Owns which tenants this process serves. Promises: one tenant is opened by one task at a time; what goes wrong with a tenant
//! stays with that tenant. Knows nothing of HTTP.

mod arrival;
mod directory;
mod elsewhere;
mod handover;
mod heartbeat;
mod illegible;
mod incidents;
mod letters;
mod move_in;
mod ownership;
mod records;
mod rekey;
mod restore;
mod revival;
mod slot;
mod standing;
mod start_import;
mod takeback;
mod whatsapp_reach;
mod work_folder;

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use jiff::Timestamp;
use phonenumber::country;
use tokio::{
    sync::{Notify, Semaphore, watch},
    time::{Instant, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{debug, error, info, warn};

pub use self::{
    elsewhere::PeerListener,
    illegible::IllegibleTenant,
    move_in::MoveInError,
    rekey::{RekeyReport, Rekeyer},
    restore::{RestoreError, Summary},
    standing::TenantStanding,
    work_folder::WorkFolder,
};
use self::{
    handover::Handovers,
    illegible::IllegibleTenants,
    incidents::Incidents,
    records::RecordCache,
    slot::{OpenFailure, OpenFailureKind, Slot},
    whatsapp_reach::WhatsAppReach,
};
use crate::{
    clock,
    cluster::{self, Peers},
    config, crash,
    import::UnsearchableRecords,
    journal::{Damage, Journal, Loss, OpenError},
    message::{
        Acceptance, Event, EventId, SendRequest,
        media::{FileName, MessageLookup, Sweeper},
    },
    session::{
        AcceptError, CodeRequestError, End, Env, FileSource, Prepared, Session, SessionError, SessionHealth, State,
        Status,
    },
    store::StoreError,
    sync::lock,
    telemetry::{metrics, traces},
    tenant::{TenantId, TenantRecord},
    vault::{Instance, TenantInfo, VaultError},
};

/// How long the vault may take for the last changes of a session that ended, before that is tried anew.
const FLUSH_LIMIT: Duration = Duration::from_secs(20);

/// How long somebody waits for a deletion: for WhatsApp and the vault. It goes on after that.
const DELETION_TIMEOUT: Duration = Duration::from_secs(60);

/// All sessions of this process.
pub struct Fleet {
    env: Arc<Env>,
    settings: FleetSettings,
    tenants: Mutex<HashMap<TenantId, Arc<Slot>>>,
    draining: AtomicBool,
    records: RecordCache,
    started_at: Timestamp,
    stop: CancellationToken,
    tasks: TaskTracker,
    observers: OnceLock<Vec<Arc<dyn SessionObserver>>>,
    incidents: Incidents,
    peers: Peers,
    handovers: Handovers,
    illegible: IllegibleTenants,
    whatsapp: WhatsAppReach,
    /// Since when the vault does not take this instance's record, as far as was tried.
    unannounced_since: Mutex<Option<clock::Instant>>,
    /// Tenants that are opened anew at the same time.
    reviving: Semaphore,
    unsearchable: Arc<UnsearchableRecords>,
    /// A process is gone, and what it had was not looked through to the end since.
    orphans_are_due: AtomicBool,
    /// A process is gone that may have had tenants without a pairing.
    lost_one: Notify,
    /// Tenants that are opened for dashboards at the same time: many of those hold up nobody who is paired.
    visiting: Semaphore,
    /// How far the vault is sealed with the first master key, as of the last look.
    rekeying: Mutex<RekeyReport>,
}

/// Works beside each session, for as long as it is open.
pub trait SessionObserver: Send + Sync + 'static {
    /// A session was opened: the tenant's first, or the one after a session that ended. Does not wait.
    fn opened(&self, session: &Session);
}

/// The fleet's settings.
#[derive(Debug, Clone)]
pub struct FleetSettings {
    pub restore: config::Restore,
    /// No other process can have the vault open while this one has.
    pub is_sole: bool,
    /// Where others forward to; `None`: they do not, or not yet.
    pub listens_at: Option<watch::Receiver<Option<String>>>,
}

/// A heartbeat's finding, and its time.
#[derive(Debug, Clone)]
pub struct Beat {
    pub at: Timestamp,
    pub health: SessionHealth,
}

/// Why the fleet did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum FleetError {
    #[error("the daemon is stopping")]
    Draining,
    #[error("there is no such session")]
    Unknown,
    /// Not in this process, whether or not the directory knows it.
    #[error("the session is not open")]
    NotOpen,
    /// The tenant's state is damaged or another process has it; in words for operators.
    #[error("the tenant cannot be opened: {0}")]
    Failed(String),
    #[error("the vault does not answer")]
    VaultDown,
    /// It is begun, and goes on.
    #[error("the vault did not confirm it in time")]
    Unconfirmed,
    /// Its session ended, and the next is being opened.
    #[error("the session is being restored")]
    Restoring,
    /// To another process.
    #[error("moved")]
    Moved,
    /// To another gateway; where and when.
    #[error("the tenant was {0}")]
    Exported(String),
}

/// A tenant as the operator sees it.
#[derive(Debug, Clone)]
pub struct Report {
    pub tenant: TenantId,
    pub status: Status,
    /// The loss of its vault, until everything is there again.
    pub loss: Option<Loss>,
}

/// How many there are, and how many work.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    pub working: usize,
    /// Those that have a session here and should be connected: paired and not stopped, or logged out by WhatsApp.
    pub expected: usize,
    /// Without a session anywhere, as far as is known here: being restored, failed, or taken by a process that has died. Another build or
    /// key may serve them.
    pub unserved: usize,
    /// Connected by the directory, without any state in the vault: nobody can serve them.
    pub without_history: usize,
    /// Served by another process.
    pub elsewhere: usize,
    pub total: usize,
}

impl Fleet {
    pub fn new(env: Arc<Env>, settings: FleetSettings) -> Arc<Self> {
        let started_at = env.clock.now();
        let peers = Peers::new(env.heartbeat.borrow().announce);
        let reviving = Semaphore::new(settings.restore.batch_size);
        let visiting = Semaphore::new(settings.restore.batch_size);
        let fleet = Arc::new(Self {
            env,
            settings,
            tenants: Mutex::default(),
            draining: AtomicBool::new(false),
            records: RecordCache::default(),
            started_at,
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
            observers: OnceLock::new(),
            incidents: Incidents::default(),
            peers,
            handovers: Handovers::default(),
            illegible: IllegibleTenants::default(),
            whatsapp: WhatsAppReach::default(),
            unannounced_since: Mutex::new(None),
            reviving,
            unsearchable: Arc::default(),
            orphans_are_due: AtomicBool::new(false),
            lost_one: Notify::new(),
            visiting,
            rekeying: Mutex::default(),
        });
        // The first to log in, in the restore, need it.
        let env = fleet.env.clone();
        let versions = async move { env.versions.keep(&env.http).await };
        fleet.tasks.spawn(fleet.stop.clone().run_until_cancelled_owned(versions));
        fleet
    }

    /// Sets the observers that hear of every session that is opened. Once, before the first is.
    pub fn set_observers(&self, observers: Vec<Arc<dyn SessionObserver>>) {
        assert!(self.observers.set(observers).is_ok(), "observers are set once");
    }

    pub fn env(&self) -> &Arc<Env> {
        &self.env
    }

    /// The figures of the heartbeat, as they are now.
    pub fn heartbeat(&self) -> config::Heartbeat {
        self.env.heartbeat.borrow().clone()
    }

    /// Other figures from now on. But for `announce`, which all processes on one vault have to agree on, and for `first`, which is over.
    pub fn change_heartbeat(&self, settings: &config::Heartbeat) {
        self.env.heartbeat.send_if_modified(|known| {
            let config::Heartbeat { interval, ping_timeout, directory, first: _, announce: _ } = settings.clone();
            let changed = config::Heartbeat { interval, ping_timeout, directory, ..known.clone() };
            let is_new = *known != changed;
            *known = changed;
            is_new
        });
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
        self.slot(tenant)?.session()
    }

    /// The tenant's session; `None`: there is none to be expected soon.
    pub async fn serving(&self, tenant: &TenantId) -> Result<Option<Session>, FleetError> {
        match self.await_session(tenant).await {
            Ok(session) => Ok(Some(session)),
            Err(error @ (FleetError::Restoring | FleetError::VaultDown | FleetError::Moved)) => Err(error),
            Err(_) => Ok(None),
        }
    }

    /// The tenant's session, opened if the directory knows the tenant; not taken back from another process.
    pub async fn open_known(self: &Arc<Self>, tenant: &TenantId) -> Result<Session, FleetError> {
        match self.await_session(tenant).await {
            Ok(session) => Ok(session),
            Err(_) => self.open_known_now(tenant).await,
        }
    }

    /// As [`Self::open_known`], a few at a time: for requests that many may make at once, as all dashboards do after
    /// a restart.
    pub async fn open_known_in_turn(self: &Arc<Self>, tenant: &TenantId) -> Result<Session, FleetError> {
        if let Ok(session) = self.await_session(tenant).await {
            return Ok(session);
        }
        let _turn = self.visiting.acquire().await;
        self.open_known_now(tenant).await
    }

    async fn open_known_now(self: &Arc<Self>, tenant: &TenantId) -> Result<Session, FleetError> {
        // Looked after, with backoff: a caller more makes it no quicker.
        if let Some(slot) = self.slot(tenant)
            && slot.session().is_none()
            && (slot.end().is_some() || self.is_served_elsewhere(&slot))
        {
            return Err(slot.refusal());
        }
        match self.env.vault.tenant(tenant).await {
            Ok(record) if record.as_ref().is_none_or(|record| record.deleted_at.is_some()) => Err(FleetError::Unknown),
            _ => self.spawn_open(tenant).await,
        }
    }

    /// Why the tenant has no session now.
    pub fn refusal(&self, tenant: &TenantId) -> FleetError {
        self.slot(tenant).map_or(FleetError::NotOpen, |slot| slot.refusal())
    }

    /// As [`Self::open_known`], and also takes back a tenant whose process has died.
    pub async fn open_or_reclaim(self: &Arc<Self>, tenant: &TenantId) -> Result<Session, FleetError> {
        match self.open_known(tenant).await {
            Err(FleetError::Moved | FleetError::Restoring) => self.open_or_create(tenant).await,
            known => known,
        }
    }

    /// Opens the tenant, makes it if it is new, takes it over if no process that lives has it, and connects it.
    pub async fn connect(self: &Arc<Self>, tenant: &TenantId) -> Result<Session, FleetError> {
        let session = self.open_for_connect(tenant).await?;
        session.connect().await;
        Ok(session)
    }

    /// As [`Self::connect`] without the connecting: for a caller that connects and waits for it.
    pub async fn open_for_connect(self: &Arc<Self>, tenant: &TenantId) -> Result<Session, FleetError> {
        let session = self.open_or_create(tenant).await?;
        refuse_exported(&session)?;
        if session.status().paired {
            let (fleet, session) = (self.clone(), session.clone());
            self.tasks.spawn(self.stop.clone().run_until_cancelled_owned(async move {
                if let Err(error) = directory::check(&fleet, &session).await {
                    debug!(tenant = %session.tenant(), %error, "its record is compared later");
                }
            }));
        }
        Ok(session)
    }

    pub async fn request_code(
        self: &Arc<Self>,
        tenant: &TenantId,
        phone: &str,
    ) -> Result<Result<String, CodeRequestError>, FleetError> {
        let session = self.open_or_create(tenant).await?;
        refuse_exported(&session)?;
        Ok(session.request_code(phone).await)
    }

    /// The inner error: the session's own no.
    pub async fn send(
        &self,
        tenant: &TenantId,
        request: &SendRequest,
        key: Option<&str>,
    ) -> Result<Result<Acceptance, AcceptError>, FleetError> {
        if self.is_draining() {
            return Err(FleetError::Draining);
        }
        let session = self.await_session(tenant).await?;
        Ok(session.send(request, key).await)
    }

    /// As [`Self::send`], with a file.
    pub async fn send_file(
        &self,
        tenant: &TenantId,
        request: &SendRequest,
        source: FileSource,
        key: Option<&str>,
    ) -> Result<Result<Acceptance, AcceptError>, FleetError> {
        if self.is_draining() {
            return Err(FleetError::Draining);
        }
        let session = self.await_session(tenant).await?;
        Ok(session.send_file(request, source, key).await)
    }

    /// Unlinks the tenant at WhatsApp and wipes its credentials. A tenant that nobody knows has nothing to unlink; one that could
    /// not be opened has, so that it is an error.
    pub async fn disconnect(self: &Arc<Self>, tenant: &TenantId) -> Result<(), FleetError> {
        if self.slot(tenant).is_none() && !self.find_linked(tenant).await.map_err(|error| self.unreadable(&error))? {
            return Ok(());
        }
        let session = self.await_session(tenant).await?;
        session.unlink().await.map_err(|error| match (session.end(), error) {
            (Some(End::Moved), _) => FleetError::Moved,
            (_, StoreError::Unconfirmed) => FleetError::Unconfirmed,
            (_, error) => FleetError::Failed(error.to_string()),
        })
    }

    /// Makes a slot for a tenant that was paired at another process after this one started. False: nobody ever paired
    /// it.
    async fn find_linked(self: &Arc<Self>, tenant: &TenantId) -> Result<bool, VaultError> {
        let record = self.env.vault.tenant(tenant).await?;
        if record.as_ref().is_some_and(|record| record.deleted_at.is_some()) {
            return Ok(false);
        }
        let living = self.living_owner(tenant).await?;
        let is_living = living.is_some();
        if is_living {
            self.slot_of(tenant).set_elsewhere(living, self.env.clock.now());
        } else if record.is_some_and(|record| record.whatsapp_connected)
            || takeback::owner(self, tenant).await?.is_some()
        {
            // Its process has died.
            drop(self.spawn_open(tenant).await);
        }
        Ok(self.slot(tenant).is_some())
    }

    /// Unlinks the tenant and takes it out of the directory: there is no such session until somebody makes it anew, for whatever
    /// account. What was said stays until it is too old, closed to all accounts but the former. Goes on when nobody waits any more.
    pub async fn delete(self: &Arc<Self>, tenant: &TenantId) -> Result<(), FleetError> {
        let (fleet, tenant) = (self.clone(), tenant.clone());
        let deleting = self.finish(async move {
            fleet.disconnect(&tenant).await?;
            if let Some(session) = fleet.session(&tenant) {
                session.disown().await.map_err(|error| match error {
                    StoreError::Unconfirmed => FleetError::Unconfirmed,
                    error => FleetError::Failed(error.to_string()),
                })?;
            }
            fleet.forget(&tenant).await
        });
        timeout(DELETION_TIMEOUT, deleting).await.unwrap_or(Err(FleetError::Unconfirmed))
    }

    /// Does it to its end, also when nobody waits any more; a stop waits for it.
    pub async fn finish<T, E>(&self, work: impl Future<Output = Result<T, E>> + Send + 'static) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<FleetError> + Send + 'static,
    {
        self.tasks.spawn(work).await.unwrap_or_else(|_| Err(FleetError::Restoring.into()))
    }

    async fn forget(&self, tenant: &TenantId) -> Result<(), FleetError> {
        // The next tenant of this id is somebody else.
        let deleted = TenantInfo {
            name: Some(String::new()),
            last_error: Some(None),
            last_error_at: Some(None),
            deleted_at: Some(Some(self.env.clock.now())),
            ..TenantInfo::default()
        };
        self.env.vault.notice(tenant, &deleted).await.map_err(|error| self.unreadable(&error))?;
        self.records.invalidate();
        let Some(slot) = self.slot(tenant) else { return Ok(()) };
        let _opening = slot.opening.lock().await;
        // Closed before its place is free: the next of this name has its working copy in the same folder. However long the vault takes for
        // the last changes: an end before that would leave a session that nobody knows.
        let session = slot.delete();
        crash::pause("deleting").await;
        if let Some(session) = session {
            let reason = "the session was deleted";
            session.close_for(reason).await;
        }
        let mut slots = self.slots();
        if slots.get(tenant).is_some_and(|place| Arc::ptr_eq(place, &slot)) {
            slots.remove(tenant);
        }
        drop(slots);
        info!(event = "session_deleted", %tenant, "the session is deleted");
        Ok(())
    }

    /// The directory's record of one tenant.
    pub async fn record(&self, tenant: &TenantId) -> Result<Option<TenantRecord>, FleetError> {
        let record = self.env.vault.tenant(tenant).await.map_err(|error| self.unreadable(&error))?;
        Ok(record.filter(|record| record.deleted_at.is_none()))
    }

    /// How people call the tenant; empty: by its id.
    pub async fn set_display_name(&self, tenant: &TenantId, name: &str) -> Result<(), FleetError> {
        let named = TenantInfo { name: Some(name.to_owned()), ..TenantInfo::default() };
        self.env.vault.notice(tenant, &named).await.map_err(|error| self.unreadable(&error))?;
        self.records.invalidate();
        Ok(())
    }

    /// The directory's records of all tenants, by id; at most half a minute old, since each look costs one read a
    /// tenant.
    pub async fn records(&self) -> Result<Arc<Vec<TenantRecord>>, FleetError> {
        let look = || async {
            let tenants = self.env.vault.tenants().await?;
            // One that does not parse is named where the sessions are.
            let parsed = tenants.into_iter().filter_map(|(_, record)| record.ok());
            Ok::<_, VaultError>(parsed.filter(|record| record.deleted_at.is_none()).collect::<Vec<_>>())
        };
        self.records.read(look).await.map_err(|error| self.unreadable(&error))
    }

    fn unreadable(&self, error: &VaultError) -> FleetError {
        warn!(event = "directory_unreadable", %error, "the directory cannot be read");
        match error {
            VaultError::Unavailable(_) => FleetError::VaultDown,
            error => FleetError::Failed(error.to_string()),
        }
    }

    /// The tenant's status; `None`: this process has never heard of it.
    pub fn status(&self, tenant: &TenantId) -> Option<Status> {
        Some(self.slot(tenant)?.status(self.started_at))
    }

    /// The last heartbeat's finding; `None`: there was none yet.
    pub fn beat(&self, tenant: &TenantId) -> Option<Beat> {
        self.slot(tenant)?.beat()
    }

    /// Events of a tenant after `cursor`. An error: they cannot be read now, here; none is not the same.
    pub async fn events_after(
        &self,
        tenant: &TenantId,
        cursor: Option<EventId>,
        limit: usize,
    ) -> Result<Vec<Event>, StoreError> {
        // The next session answers those who ask again.
        let session = self.session(tenant).ok_or(StoreError::Closed)?;
        session.events_after(cursor, limit).await
    }

    /// Where a phone number of a tenant without a country code is dialed.
    pub fn country(&self, tenant: &TenantId) -> country::Id {
        self.session(tenant).map_or(self.env.messages.country, |session| session.country())
    }

    /// The id of the last event of a tenant that was published.
    pub fn newest_event(&self, tenant: &TenantId) -> Option<EventId> {
        self.slot(tenant)?.newest_event()
    }

    /// All tenants, by id.
    pub fn reports(&self) -> Vec<Report> {
        let mut reports: Vec<_> = self
            .slots()
            .iter()
            .map(|(tenant, slot)| Report {
                tenant: tenant.clone(),
                status: slot.status(self.started_at),
                loss: slot.session().and_then(|session| *session.store().journal().loss().borrow()),
            })
            .collect();
        reports.sort_by(|a, b| a.tenant.cmp(&b.tenant));
        reports
    }

    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        // Before the lock: whether a process lives, the kernel is asked.
        let living = self.living_ids();
        for slot in self.slots().values().filter(|slot| !slot.is_deleted()) {
            counts.total += 1;
            match slot.session() {
                Some(session) => {
                    counts.working += usize::from(session.status().state == State::Working);
                    counts.expected += usize::from(session.should_be_connected());
                }
                None if slot.lacks_history() => counts.without_history += 1,
                None if slot.is_served_by(|owner| living.contains(owner)) => counts.elsewhere += 1,
                None => counts.unserved += 1,
            }
        }
        counts
    }

    /// The vault takes nothing, as far as its last answers say.
    pub fn is_vault_down(&self) -> bool {
        let open = self.open_journals();
        let since = *lock(&self.unannounced_since);
        let is_unannounced = since.is_some_and(|since| open.iter().all(|journal| journal.confirmed_at() <= since));
        is_unannounced || !open.is_empty() && open.iter().all(Journal::outage)
    }

    /// Counts the faults since the start, by name; each was put right as far as it could be.
    pub fn incidents(&self) -> BTreeMap<&'static str, u64> {
        self.incidents.all(&self.open_journals())
    }

    fn open_journals(&self) -> Vec<Journal> {
        let slots = self.slots();
        slots.values().filter_map(|slot| slot.unclosed()).map(|session| session.store().journal().clone()).collect()
    }

    /// Starts what runs beside the sessions once they are restored: the heartbeat, the record of this instance, and the removal of old
    /// files.
    pub fn start(self: &Arc<Self>) {
        let env = &self.env;
        let sweeper = Sweeper { keeper: env.media.clone(), witness: self.clone(), clock: env.clock.clone() };
        self.tasks.spawn(sweeper.run(self.stop.clone()));
        let fleet = self.clone();
        self.tasks.spawn(self.stop.clone().run_until_cancelled_owned(async move {
            let unread = directory::restore_forgotten(&fleet).await;
            // A tenant that can never be read holds up no other.
            let unlinked = async {
                loop {
                    restore::open_unlinked(&fleet).await;
                    fleet.lost_one.notified().await;
                }
            };
            tokio::join!(directory::restore_unread(&fleet, unread), unlinked);
        }));
        self.tasks.spawn(self.stop.clone().run_until_cancelled_owned(illegible::look_again(self.clone())));
        self.tasks.spawn(directory::watch(self.clone()));
        self.tasks.spawn(revival::run(self.clone()));
        self.tasks.spawn(takeback::run(self.clone()));
        self.tasks.spawn(heartbeat::run(self.clone()));
        self.tasks.spawn(heartbeat::keep_directory(self.clone()));
    }

    /// Refuses new work, finishes what is in flight, writes everything to the vault. Before the limit is over the others are told, whatever
    /// is not closed by then.
    pub async fn stop(&self, limit: Duration) {
        /// For the last letters, and for removing this instance's record.
        const FAREWELL: Duration = Duration::from_secs(5);
        const TASKS_TIMEOUT: Duration = Duration::from_secs(2);
        self.draining.store(true, Ordering::Release);
        self.stop.cancel();
        self.tasks.close();
        self.handovers.giving.close();
        let slots: Vec<_> = self.slots().values().cloned().collect();
        let closing = TaskTracker::new();
        let ending = async {
            // Openings and deletions end, or one of them would find its session closed; one that hangs holds up no other tenant.
            let _ = timeout(TASKS_TIMEOUT, self.tasks.wait()).await;
            // A tenant that is being given away is closed by its giver, if it lets go of it.
            let (giving, kept): (Vec<_>, Vec<_>) = slots.iter().partition(|slot| self.is_giving(&slot.tenant));
            let close = |slot: &Arc<Slot>| {
                if let Some(session) = slot.unclosed() {
                    closing.spawn(async move { session.close().await });
                }
            };
            kept.into_iter().for_each(close);
            self.handovers.giving.wait().await;
            giving.into_iter().for_each(close);
            self.tasks.wait().await;
            // Sessions that these tasks have opened meanwhile.
            let open = self.slots().values().filter(|slot| slot.session().is_some()).cloned().collect::<Vec<_>>();
            open.iter().for_each(close);
            closing.close();
            closing.wait().await;
        };
        tokio::pin!(ending);
        let is_over = timeout(limit.saturating_sub(FAREWELL.min(limit / 2)), &mut ending).await.is_ok();
        if !is_over {
            warn!(event = "sessions_unclosed", "not all sessions are closed: other processes are told all the same");
        }
        self.handovers.over.cancel();
        self.handovers.writing.close();
        self.handovers.writing.wait().await;
        letters::say_goodbye(self).await;
        if timeout(Duration::from_secs(2), self.env.vault.remove_instance(&self.env.instance)).await.is_err() {
            warn!(event = "instance_record_kept", "this instance's record stays in the vault");
        }
        if !is_over {
            ending.await;
        }
        info!(event = "sessions_closed", sessions = slots.len(), "all sessions are closed");
    }

    /// The tenant's session; opens it, makes the tenant if it is new, takes it over if no process that lives has it. Does not connect.
    pub async fn open_or_create(self: &Arc<Self>, tenant: &TenantId) -> Result<Session, FleetError> {
        if self.is_draining() {
            return Err(FleetError::Draining);
        }
        match self.await_session(tenant).await {
            Ok(session) => Ok(session),
            Err(_) => self.spawn_open(tenant).await,
        }
    }

    /// Goes on when nobody waits any more: half an opening would keep the tenant's place, and nobody would look after it.
    async fn spawn_open(self: &Arc<Self>, tenant: &TenantId) -> Result<Session, FleetError> {
        if self.is_draining() {
            return Err(FleetError::Draining);
        }
        let (fleet, tenant) = (self.clone(), tenant.clone());
        self.finish(async move { fleet.open_by_record(&tenant).await }).await
    }

    async fn open_by_record(&self, tenant: &TenantId) -> Result<Session, FleetError> {
        if let Some(slot) = self.slot(tenant) {
            if let Some(session) = slot.session() {
                return Ok(session);
            }
            if self.is_served_elsewhere(&slot) {
                return Err(FleetError::Moved);
            }
            if slot.is_deleted() {
                // Made anew when that is over.
                return Err(FleetError::Restoring);
            }
        }
        if self.is_leaving() {
            return Err(FleetError::Draining);
        }
        let record = match self.env.vault.tenant(tenant).await {
            Ok(record) => record,
            Err(error) => return Err(self.unreadable(&error)),
        };
        if record.as_ref().is_none_or(|record| record.deleted_at.is_some()) {
            let made = TenantInfo { deleted_at: record.as_ref().map(|_| None), ..TenantInfo::default() };
            self.env.vault.notice(tenant, &made).await.map_err(|_| FleetError::VaultDown)?;
            self.records.invalidate();
        }
        let slot = self.slot_of(tenant);
        if let Err(error) = self.check_unowned(&slot).await {
            if record.as_ref().is_some_and(|record| record.whatsapp_connected) {
                slot.expect_state();
            }
            if !matches!(error, FleetError::Moved) {
                // It goes on by itself, as if the opening had failed.
                slot.failed(self.unread_owner(&error));
                self.env.ended.note(tenant);
            }
            return Err(error);
        }
        let known = record.as_ref().is_some_and(|record| record.whatsapp_connected);
        slot.set_known_number(record.and_then(|record| record.phone_number));
        self.open(&slot, known || slot.was_paired()).await
    }

    /// Opens the tenant once, however many ask. `known`: there must be a state.
    async fn open(&self, slot: &Slot, known: bool) -> Result<Session, FleetError> {
        self.open_prepared(slot, known, None).await
    }

    /// As [`Self::open`], of a tenant that was read before.
    async fn open_prepared(&self, slot: &Slot, known: bool, prepared: Option<Prepared>) -> Result<Session, FleetError> {
        let tenant = &slot.tenant;
        if known {
            // Should this try fail: the next must know it as well.
            slot.expect_state();
        }
        let _opening = slot.opening.lock().await;
        if self.is_draining() {
            return Err(FleetError::Draining);
        }
        if !self.has(slot) {
            return Err(FleetError::Restoring);
        }
        if let Some(session) = slot.session() {
            return Ok(session);
        }
        let failure = if timeout(FLUSH_LIMIT, self.close_ended(slot)).await.is_err() {
            let reason = "the vault did not take the last changes of the session that ended".to_owned();
            OpenFailure { reason, at: self.env.clock.now(), kind: OpenFailureKind::VaultDown }
        } else {
            let (number, newest) = (slot.known_number(), slot.newest_event());
            let (began, reason) = (Instant::now(), standing::takeover_reason(slot));
            crash::pause("opening").await;
            let env = self.env.clone();
            let opened = Session::open(env, tenant.clone(), known, newest, number.as_deref(), prepared).await;
            match opened {
                Ok(session) => {
                    metrics::tenant_opened(reason, began.elapsed());
                    traces::opening(tenant, began.elapsed());
                    self.incidents.count_opened(session.store().journal());
                    if known {
                        self.illegible.note_opened(tenant);
                    }
                    slot.opened(session.clone());
                    self.observers.get().into_iter().flatten().for_each(|observer| observer.opened(&session));
                    return Ok(session);
                }
                Err(error) => self.failure(&error),
            }
        };
        error!(
            event = "tenant_failed",
            %tenant,
            reason = failure.reason,
            transient = failure.is_transient(),
            "the tenant cannot be opened"
        );
        slot.failed(failure.clone());
        if failure.is_transient() {
            self.env.ended.note(tenant);
        }
        Err(failure.error())
    }

    /// Closes the session that ended by itself, if there is one.
    async fn close_ended(&self, slot: &Slot) {
        if let Some(session) = slot.unclosed().filter(|session| session.end().is_some()) {
            let journal = session.store().journal();
            if let Some(End::CopyFailed(_)) = session.end() {
                // The next one reads what the vault has now: should that be less than it had, this is the last who notices.
                let _ = journal.confirm().await;
            }
            session.close().await;
            self.incidents.count_closed(journal);
            slot.closed();
        }
    }

    /// As [`Self::close_ended`], for a tenant that another process has; the slot stays, empty.
    async fn close_moved(&self, slot: &Slot) {
        let _opening = slot.opening.lock().await;
        if timeout(FLUSH_LIMIT, self.close_ended(slot)).await.is_err() {
            debug!(tenant = %slot.tenant, "what another process has is closed later");
        }
    }

    fn failure(&self, error: &SessionError) -> OpenFailure {
        let kind = match error {
            SessionError::Journal(OpenError::Vault(_)) => OpenFailureKind::VaultDown,
            SessionError::Journal(OpenError::Taken) => OpenFailureKind::Taken,
            SessionError::Journal(OpenError::Damaged(Damage::NoHistory)) => OpenFailureKind::NoHistory,
            SessionError::Journal(OpenError::Damaged(_)) => OpenFailureKind::Damaged,
            // It was hydrated as it is in the vault.
            SessionError::Store(StoreError::Record { .. } | StoreError::Device { .. } | StoreError::Setting { .. }) => {
                OpenFailureKind::Damaged
            }
            SessionError::Store(_) => OpenFailureKind::Disk,
        };
        OpenFailure { reason: error.to_string(), at: self.env.clock.now(), kind }
    }

    /// A tenant whose directory record does not parse.
    fn note_malformed(&self, tenant: &TenantId, error: &VaultError) {
        let (reason, at) = (error.to_string(), self.env.clock.now());
        self.slot_of(tenant).failed(OpenFailure { reason, at, kind: OpenFailureKind::Damaged });
    }

    fn instance(&self) -> Instance {
        Instance {
            id: self.env.instance.clone(),
            address: (!self.settings.is_sole).then(|| cluster::LETTER_BOX.to_owned()),
            listens_at: self.settings.listens_at.as_ref().and_then(|at| at.borrow().clone()),
            process: cluster::this_process(),
            version: env!("CARGO_PKG_VERSION").into(),
            started_at: self.started_at,
            heartbeat_at: self.env.clock.now(),
            draining: self.is_draining() || self.is_leaving(),
        }
    }

    fn slot(&self, tenant: &TenantId) -> Option<Arc<Slot>> {
        self.slots().get(tenant).cloned()
    }

    /// True while it is its tenant's place: a session that is deleted leaves none.
    fn has(&self, slot: &Slot) -> bool {
        let is_place = |place: &Arc<Slot>| std::ptr::eq(&raw const **place, &raw const *slot);
        !slot.is_deleted() && self.slots().get(&slot.tenant).is_some_and(is_place)
    }

    /// Makes the tenant's place when there is none.
    fn slot_of(&self, tenant: &TenantId) -> Arc<Slot> {
        let new = || Arc::new(Slot::new(tenant.clone()));
        self.slots().entry(tenant.clone()).or_insert_with(new).clone()
    }

    fn slots(&self) -> std::sync::MutexGuard<'_, HashMap<TenantId, Arc<Slot>>> {
        lock(&self.tenants)
    }
}

/// Two gateways with one device would use the same keys.
fn refuse_exported(session: &Session) -> Result<(), FleetError> {
    session.exported().map_or(Ok(()), |exported| Err(FleetError::Exported(exported.words())))
}

#[async_trait]
impl MessageLookup for Fleet {
    async fn knows(&self, tenant: &TenantId, name: &FileName) -> Option<bool> {
        self.session(tenant)?.knows_file(name).await.ok()
    }
}
