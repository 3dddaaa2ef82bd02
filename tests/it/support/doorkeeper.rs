//! A doorkeeper as a process has it, over a vault that can be down, with a clock that can be put forward; for the tests of keys and of
//! tokens.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Duration,
};

use async_trait::async_trait;
use jiff::Timestamp;
use sessiond::{
    api::{Auth, AuthSettings},
    clock::SystemClock,
    config::{Config, Firebase, Secret},
    tenant::TenantId,
    vault::{
        Usage, Vault, VaultError,
        access::{AccessVault, ApiKey, FullVault, KeyChange, KeyCursor, KeyHash},
        embedded::Embedded,
    },
};

use crate::support::journal_bench::Shifted;

pub const ADMIN: &str = "the-admin-key-of-these-tests";

/// A vault that several processes share.
pub struct House {
    folder: Arc<tempfile::TempDir>,
}

/// One of them.
pub struct Doorkeeper {
    pub auth: Arc<Auth>,
    pub vault: Arc<AccessLine>,
    pub clock: Arc<Shifted>,
    /// A vault whose folder is gone answers nothing any more.
    _folder: Arc<tempfile::TempDir>,
}

impl House {
    pub fn new() -> Self {
        Self { folder: Arc::new(tempfile::tempdir().unwrap()) }
    }

    /// All bytes on the disk.
    pub fn bytes(&self) -> Vec<u8> {
        let files = std::fs::read_dir(self.folder.path()).unwrap();
        files.flat_map(|file| std::fs::read(file.unwrap().path()).unwrap()).collect()
    }

    pub async fn enter(&self) -> Doorkeeper {
        self.enter_with(None).await
    }

    pub async fn enter_with(&self, firebase: Option<Firebase>) -> Doorkeeper {
        // Without a provider of its own rustls cannot tell which of two the tree means.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let config = Config::from_parts(None, &Default::default()).unwrap();
        let mut settings = AuthSettings {
            admin_key: Secret::new(ADMIN),
            auth: config.auth,
            limits: config.limits,
            proxies: config.http.proxies,
        };
        settings.auth.firebase = firebase;
        // The tests say when.
        settings.auth.refresh = Duration::from_secs(3600);
        let home = Arc::new(Embedded::open(&self.folder.path().join("vault.db")).unwrap());
        let vault = Arc::new(AccessLine { home, down: AtomicBool::new(false), members: Mutex::default() });
        let clock = Arc::new(Shifted { clock: SystemClock::shared(), ahead: Mutex::default() });
        let auth = Auth::start(settings, vault.clone(), clock.clone()).await;
        Doorkeeper { auth, vault, clock, _folder: self.folder.clone() }
    }
}

impl Doorkeeper {
    pub fn wait(&self, span: Duration) {
        *self.clock.ahead.lock().unwrap() += span;
    }
}

/// The way to the vault. Says who is a member, too, as another product would.
#[derive(Debug)]
pub struct AccessLine {
    home: Arc<dyn FullVault>,
    pub down: AtomicBool,
    pub members: Mutex<Vec<(&'static str, &'static str)>>,
}

impl AccessLine {
    pub fn usage(&self) -> Usage {
        Vault::usage(&*self.home)
    }

    fn reach(&self) -> Result<&dyn FullVault, VaultError> {
        if self.down.load(SeqCst) { Err(VaultError::Unavailable("cut".into())) } else { Ok(&*self.home) }
    }
}

#[async_trait]
impl AccessVault for AccessLine {
    async fn key_changes(&self, since: Option<KeyCursor>) -> Result<(Vec<KeyChange>, KeyCursor), VaultError> {
        self.reach()?.key_changes(since).await
    }

    async fn key(&self, hash: &KeyHash) -> Result<Option<ApiKey>, VaultError> {
        self.reach()?.key(hash).await
    }

    async fn create_key(&self, key: &ApiKey) -> Result<(), VaultError> {
        self.reach()?.create_key(key).await
    }

    async fn change_key(&self, key: &ApiKey) -> Result<bool, VaultError> {
        self.reach()?.change_key(key).await
    }

    async fn revoke_key(&self, hash: &KeyHash, successor: Option<&ApiKey>) -> Result<bool, VaultError> {
        self.reach()?.revoke_key(hash, successor).await
    }

    async fn key_used(&self, hash: &KeyHash, at: Timestamp) -> Result<(), VaultError> {
        self.reach()?.key_used(hash, at).await
    }

    async fn forget_revoked(&self, before: Timestamp) -> Result<(), VaultError> {
        self.reach()?.forget_revoked(before).await
    }

    async fn memberships(&self, uid: &str) -> Result<BTreeSet<TenantId>, VaultError> {
        self.reach()?;
        let members = self.members.lock().unwrap();
        Ok(members.iter().filter(|(_, member)| *member == uid).map(|(tenant, _)| tenant.parse().unwrap()).collect())
    }
}
