//! The fleet: all sessions of this process. Restores them at the start, looks after them with a heartbeat, opens and closes
//! them when asked, and stops them.
//!
//! Owns which tenants this process serves. Promises: one tenant is opened by one task at a time; what goes wrong with a tenant
//! stays with that tenant. Knows nothing of HTTP.

mod arrival;
mod deletion;
mod directory;
mod elsewhere;
mod error;
mod handover;
mod heartbeat;
mod illegible;
mod incidents;
mod letters;
mod move_in;
mod opening;
mod ownership;
mod records;
mod rekey;
mod reports;
mod request;
mod restore;
mod revival;
mod slot;
mod standing;
mod start_import;
mod stop;
mod takeback;
mod whatsapp_reach;
mod work_folder;

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};

use async_trait::async_trait;
use jiff::Timestamp;
use phonenumber::country;
use tokio::sync::{Notify, Semaphore, watch};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::warn;

pub use self::{
    elsewhere::PeerListener,
    error::FleetError,
    illegible::IllegibleTenant,
    move_in::MoveInError,
    rekey::{RekeyReport, Rekeyer},
    reports::{Counts, Report},
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
    config,
    import::UnsearchableRecords,
    message::{
        Event, EventId,
        media::{FileName, MessageLookup, Sweeper},
    },
    session::{Env, Session, SessionHealth, Status},
    store::StoreError,
    sync::lock,
    tenant::{TenantId, TenantRecord},
    vault::{Instance, TenantInfo, VaultError},
};

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
    /// Tenants of dead processes that are opened for whoever asks for them by name, at the same time.
    claiming: Semaphore,
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

impl Fleet {
    pub fn new(env: Arc<Env>, settings: FleetSettings) -> Arc<Self> {
        let started_at = env.clock.now();
        let peers = Peers::new(env.heartbeat.borrow().announce);
        let reviving = Semaphore::new(settings.restore.batch_size);
        let visiting = Semaphore::new(settings.restore.batch_size);
        let claiming = Semaphore::new(settings.restore.batch_size);
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
            claiming,
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

    /// Does it to its end, also when nobody waits any more; a stop waits for it.
    pub async fn finish<T, E>(&self, work: impl Future<Output = Result<T, E>> + Send + 'static) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<FleetError> + Send + 'static,
    {
        self.tasks.spawn(work).await.unwrap_or_else(|_| Err(FleetError::Restoring.into()))
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

#[async_trait]
impl MessageLookup for Fleet {
    async fn knows(&self, tenant: &TenantId, name: &FileName) -> Option<bool> {
        self.session(tenant)?.knows_file(name).await.ok()
    }
}
