//! The resources that all sessions of this process share.

use std::{
    collections::{HashMap, HashSet},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use rand::{Rng as _, SeedableRng as _, rngs::SmallRng};
use tokio::sync::{Notify, Semaphore, watch};
use whatsapp_rust::wacore::net::HttpClient;

use super::{
    connection::{transport::Endpoint, version::Versions},
    files::UrlPlaces,
};
use crate::{
    clock::Clock,
    config,
    journal::{self, Policy},
    message::{ConnectionState, Feed, SegmentCache, media::Keeper},
    outbound::Outbound,
    seal::Keyring,
    store::{self, Pool},
    sync::lock,
    tenant::TenantId,
    vault::{InstanceId, Vault},
};

/// One for the process; sessions hold it in an `Arc`.
pub struct Env {
    pub vault: Arc<dyn Vault>,
    pub keyring: Arc<Keyring>,
    pub instance: InstanceId,
    pub clock: Arc<dyn Clock>,
    pub pool: Pool,
    pub policy: Policy,
    pub feed: Feed,
    pub shelf: SegmentCache,
    pub directory: Directory,
    pub ended: EndedTenants,
    pub settings: config::SessionPolicy,
    /// Its figures may change while the process runs.
    pub heartbeat: watch::Sender<config::Heartbeat>,
    pub messages: config::MessagesConfig,
    /// Working copies of this process, one folder a tenant.
    pub sessions_dir: PathBuf,
    pub endpoint: Endpoint,
    pub http: Arc<dyn HttpClient>,
    /// For tenants with a proxy of their own.
    pub proxied: HashMap<TenantId, Arc<dyn HttpClient>>,
    pub media: Arc<Keeper>,
    /// Files that tenants name by URL.
    pub files_from: Outbound,
    /// Those that are being fetched, of all tenants.
    pub url_places: UrlPlaces,
    /// Downloads of files, of all tenants.
    pub fetching: Semaphore,
    /// Files that are sent, of all tenants.
    pub uploading: Semaphore,
    /// Answers with many messages, of all tenants.
    pub reading: Arc<Semaphore>,
    /// Pictures that are decoded.
    pub decoding: Semaphore,
    /// Phones that are asked for older messages.
    pub asking_phones: Semaphore,
    /// Those that have said nothing for a while, and are still waited for.
    pub silent_phones: Semaphore,
    pub versions: Versions,
    /// Sessions that may be between dialing and login at the same time.
    pub dialing: Arc<Semaphore>,
    /// Lines to WhatsApp: one a session, and as many as there are file descriptors for.
    pub lines: Arc<Semaphore>,
}

impl Env {
    /// After so much quiet a session is first tested for deafness.
    pub fn quiet_first(&self) -> Duration {
        self.heartbeat.borrow().interval / 2
    }

    /// Names a tenant's journal, for this process to look at or to take over. `expect_history`: the directory has the tenant as
    /// connected, so a vault without history is damage, not a new tenant.
    pub fn journal_context(&self, tenant: &TenantId, expect_history: bool) -> journal::Context {
        journal::Context {
            vault: self.vault.clone(),
            seal: self.keyring.tenant(tenant),
            tenant: tenant.clone(),
            writer: self.instance.clone(),
            clock: self.clock.clone(),
            policy: self.policy.clone(),
            rng: SmallRng::from_os_rng(),
            expect_history,
            check: Some(store::check),
        }
    }

    /// The HTTP client by which a tenant reaches WhatsApp's web servers: through its own proxy, if it has one.
    pub fn http_of(&self, tenant: &TenantId) -> &Arc<dyn HttpClient> {
        self.proxied.get(tenant).unwrap_or(&self.http)
    }
}

/// Changes of connections that the directory in the vault has not been told yet; the latest of each tenant.
#[derive(Debug, Default)]
pub struct Directory {
    waiting: std::sync::Mutex<HashMap<TenantId, ConnectionState>>,
    pub changed: Notify,
}

impl Directory {
    pub fn note(&self, tenant: &TenantId, connection: ConnectionState) {
        lock(&self.waiting).insert(tenant.clone(), connection);
        self.changed.notify_one();
    }

    /// Puts a status back that could not be written, unless a newer one has come.
    pub fn give_back(&self, tenant: TenantId, connection: ConnectionState) {
        lock(&self.waiting).entry(tenant).or_insert(connection);
        self.changed.notify_one();
    }

    pub fn take(&self) -> HashMap<TenantId, ConnectionState> {
        std::mem::take(&mut *lock(&self.waiting))
    }
}

/// Tenants whose session ended by itself and that nobody has looked after yet.
#[derive(Debug, Default)]
pub struct EndedTenants {
    waiting: std::sync::Mutex<HashSet<TenantId>>,
    pub changed: Notify,
}

impl EndedTenants {
    pub fn note(&self, tenant: &TenantId) {
        lock(&self.waiting).insert(tenant.clone());
        self.changed.notify_one();
    }

    pub fn take(&self) -> HashSet<TenantId> {
        std::mem::take(&mut *lock(&self.waiting))
    }
}

/// A number in 0..1 for spreading what would otherwise happen at once.
#[expect(clippy::disallowed_methods, reason = "it is for those who have nobody to ask")]
pub fn jitter() -> f64 {
    rand::rng().random()
}
