//! The keys that were made over the API, as this process knows them.
//!
//! Owns their copy in memory. Promises: a request with a known key costs the vault nothing and needs no vault; what another process
//! changes is known here within a minute; what was revoked here is refused at once. A key that nobody knows is looked up once, and
//! a flood of those costs a bounded number of reads.

use std::{
    collections::{HashMap, hash_map},
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL};
use jiff::Timestamp;
use rand::RngCore as _;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{AuthError, Caller, Valid};
use crate::{
    allowance::RateAllowance,
    clock::{Clock, Instant},
    config::Secret,
    sync::lock,
    tenant::TenantId,
    vault::{
        VaultError,
        access::{AccessVault, ApiKey, KeyChange, KeyCursor, KeyHash, Rights},
    },
};

/// A key is this and 256 random bits in base64: what does not look like one is not looked up.
const PREFIX: &str = "key_";
const LENGTH: usize = PREFIX.len() + 43;

/// A key's last use is written this seldom.
const USES: Duration = Duration::from_secs(10 * 60);
/// All keys are read anew this often, in case somebody changed a document by hand.
const ANEW: Duration = Duration::from_secs(6 * 3600);
/// A process that could not read for this long begins anew: the others may have forgotten by then what they revoked.
const LOST: Duration = Duration::from_secs(3600);
/// Revoked keys are remembered this long.
const REMEMBERED: Duration = Duration::from_secs(7 * 24 * 3600);
/// The time for which a key that is none stays so, if nobody makes it.
const UNKNOWN: Duration = Duration::from_secs(60);
const MOST_UNKNOWN: usize = 4096;
/// Unknown keys that are looked up in a minute, whoever brings them.
const LOOKUPS: u32 = 60;

#[derive(Debug)]
pub struct Keys {
    vault: Arc<dyn AccessVault>,
    clock: Arc<dyn Clock>,
    known: Mutex<KeyTable>,
}

#[derive(Debug)]
struct KeyTable {
    keys: HashMap<KeyHash, CachedKey>,
    /// Grows whenever something changes: what was read from the vault before is then too old to be taken over.
    generation: u64,
    cursor: Option<KeyCursor>,
    read_at: Instant,
    read_anew_at: Instant,
    unknown: HashMap<KeyHash, Instant>,
    lookups: RateAllowance,
}

#[derive(Debug)]
struct CachedKey {
    key: Arc<ApiKey>,
    /// Cancelled when the key opens less than it did.
    gone: CancellationToken,
    used: Option<Timestamp>,
}

impl Keys {
    pub fn new(vault: Arc<dyn AccessVault>, clock: Arc<dyn Clock>) -> Self {
        let now = clock.instant();
        let known = KeyTable {
            keys: HashMap::new(),
            generation: 0,
            cursor: None,
            read_at: now,
            read_anew_at: now,
            unknown: HashMap::new(),
            lookups: RateAllowance::new(now),
        };
        Self { vault, clock, known: Mutex::new(known) }
    }

    /// Returns the caller whose key this is.
    pub async fn open(&self, key: &str) -> Result<Valid, AuthError> {
        let alphabet = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        if key.len() != LENGTH || !key.starts_with(PREFIX) || !key.bytes().all(alphabet) {
            return Err(AuthError::Wrong);
        }
        let hash = KeyHash::of(key);
        let now = self.clock.now();
        // A change while the vault answers makes the answer too old; more than one such is not to be waited for.
        for _ in 0..3 {
            let generation = {
                let mut known = self.known();
                if let Some(entry) = known.keys.get_mut(&hash) {
                    return entry.open(now);
                }
                known.may_look_up(&hash, self.clock.instant())?;
                known.generation
            };
            let found = self.vault.key(&hash).await.map_err(|error| {
                warn!(event = "key_lookup_failed", %error, "a key cannot be looked up");
                AuthError::Unavailable
            })?;
            let mut known = self.known();
            if known.generation != generation {
                continue;
            }
            let Some(key) = found else {
                let instant = self.clock.instant();
                known.unknown.insert(hash, instant);
                return Err(AuthError::Wrong);
            };
            known.set(key);
            let entry = known.keys.get_mut(&hash).ok_or(AuthError::Wrong)?;
            return entry.open(now);
        }
        Err(AuthError::Unavailable)
    }

    /// All of them, the oldest first.
    pub async fn list(&self) -> Vec<Arc<ApiKey>> {
        if let Err(error) = self.refresh().await {
            warn!(event = "key_list_incomplete", %error, "the list of keys may lack what another process changed");
        }
        let known = self.known();
        let mut keys: Vec<_> = known.keys.values().map(CachedKey::as_used).collect();
        keys.sort_by(|a, b| (a.created_at, &a.id).cmp(&(b.created_at, &b.id)));
        keys
    }

    /// The key itself is told here and never again.
    pub async fn create(&self, rights: Rights, active: bool) -> Result<(Arc<ApiKey>, Secret), VaultError> {
        let id = format!("key_id_{}", hex::encode(random::<16>()));
        let (key, secret) = self.generate(id.into(), rights, active);
        self.vault.create_key(&key).await?;
        info!(event = "key_made", key = &*key.id, rights = ?key.rights, "a key was made");
        Ok((self.known().set(key), secret))
    }

    /// `None`: there is no such key any more.
    pub async fn change(&self, old: &ApiKey, rights: Rights, active: bool) -> Result<Option<Arc<ApiKey>>, VaultError> {
        let key = ApiKey { rights, active, ..old.clone() };
        if !self.vault.change_key(&key).await? {
            self.known().remove(&old.hash);
            return Ok(None);
        }
        info!(event = "key_changed", key = &*key.id, rights = ?key.rights, active, "a key was changed");
        Ok(Some(self.known().set(key)))
    }

    /// False: there is no such key.
    pub async fn revoke(&self, id: &str) -> Result<bool, VaultError> {
        let Some(old) = self.find(id).await? else { return Ok(false) };
        let revoked = self.vault.revoke_key(&old.hash, None).await?;
        self.known().remove(&old.hash);
        if revoked {
            info!(event = "key_revoked", key = id, "a key was revoked");
        }
        Ok(revoked)
    }

    /// Revokes all keys of a tenant.
    pub async fn revoke_of(&self, tenant: &TenantId) -> Result<(), VaultError> {
        // One that another process made a moment ago is among them, or nobody says that all are revoked.
        self.refresh().await?;
        for key in self.list().await {
            if matches!(&key.rights, Rights::Tenant { tenant: whose, .. } if whose == tenant) {
                self.revoke(&key.id).await?;
            }
        }
        Ok(())
    }

    /// A new key under the same id; the old one is refused from now on.
    pub async fn renew(&self, id: &str) -> Result<Option<(Arc<ApiKey>, Secret)>, VaultError> {
        let Some(old) = self.find(id).await? else { return Ok(None) };
        let (key, secret) = self.generate(old.id.clone(), old.rights.clone(), old.active);
        let renewed = self.vault.revoke_key(&old.hash, Some(&key)).await?;
        let mut known = self.known();
        known.remove(&old.hash);
        if !renewed {
            return Ok(None);
        }
        info!(event = "key_renewed", key = id, "a key was renewed");
        Ok(Some((known.set(key), secret)))
    }

    /// Learns what other processes changed.
    pub async fn refresh(&self) -> Result<(), VaultError> {
        for _ in 0..3 {
            let now = self.clock.instant();
            let (generation, cursor) = {
                let known = self.known();
                let anew = now.since(known.read_anew_at) > ANEW || now.since(known.read_at) > LOST;
                (known.generation, known.cursor.filter(|_| !anew))
            };
            let (changes, next) = self.vault.key_changes(cursor).await?;
            let mut known = self.known();
            if known.generation != generation {
                continue;
            }
            known.read_at = now;
            known.cursor = Some(next);
            match cursor {
                None => {
                    known.read_anew_at = now;
                    known.replace(changes);
                }
                Some(_) => changes.into_iter().for_each(|change| known.apply(change)),
            }
            return Ok(());
        }
        Ok(())
    }

    /// Refreshes until it is told to stop, and writes down which keys were used.
    pub async fn keep(&self, interval: Duration, stop: CancellationToken) {
        let mut began_anew = None;
        while stop.run_until_cancelled(self.clock.sleep(interval)).await.is_some() {
            if let Err(error) = self.refresh().await {
                warn!(event = "keys_unreadable", %error, "the keys cannot be read: those that are known stay good");
                continue;
            }
            self.write_uses().await;
            let anew = self.known().read_anew_at;
            if began_anew.replace(anew) != Some(anew) {
                self.forget().await;
            }
        }
    }

    async fn write_uses(&self) {
        let due: Vec<_> = self.known().keys.values().filter_map(CachedKey::use_to_write).collect();
        for (hash, at) in due {
            if let Err(error) = self.vault.key_used(&hash, at).await {
                warn!(event = "key_use_unwritten", %error, "the last use of a key is not written");
                return;
            }
            if let Some(entry) = self.known().keys.get_mut(&hash) {
                Arc::make_mut(&mut entry.key).last_used_at = Some(at);
            }
        }
    }

    async fn forget(&self) {
        // Another process that has not read for a while would take a key that is forgotten too early for a good one. Nothing else says how
        // late it is: so nothing goes as long as the clock may be wrong.
        let before = self.clock.certain(Timestamp::UNIX_EPOCH) - REMEMBERED;
        if let Err(error) = self.vault.forget_revoked(before).await {
            warn!(event = "revoked_keys_kept", %error, "keys that were revoked long ago stay in the vault");
        }
    }

    /// The key of this id, as it is now.
    pub async fn find(&self, id: &str) -> Result<Option<Arc<ApiKey>>, VaultError> {
        self.refresh().await?;
        let known = self.known();
        Ok(known.keys.values().find(|entry| &*entry.key.id == id).map(CachedKey::as_used))
    }

    fn generate(&self, id: Arc<str>, rights: Rights, active: bool) -> (ApiKey, Secret) {
        let secret = Secret::new(format!("{PREFIX}{}", BASE64URL.encode(random::<32>())));
        // No finer than the vault keeps it.
        let now = self.clock.now();
        let created_at = Timestamp::from_microsecond(now.as_microsecond()).unwrap_or(now);
        let hash = KeyHash::of(secret.expose());
        (ApiKey { hash, id, rights, active, created_at, last_used_at: None }, secret)
    }

    fn known(&self) -> MutexGuard<'_, KeyTable> {
        lock(&self.known)
    }
}

impl KeyTable {
    fn set(&mut self, key: ApiKey) -> Arc<ApiKey> {
        self.generation += 1;
        self.unknown.remove(&key.hash);
        let key = Arc::new(key);
        match self.keys.entry(key.hash) {
            hash_map::Entry::Occupied(mut entry) => {
                let entry = entry.get_mut();
                if (&entry.key.rights, entry.key.active) != (&key.rights, key.active) {
                    std::mem::take(&mut entry.gone).cancel();
                }
                entry.key = key.clone();
            }
            hash_map::Entry::Vacant(place) => {
                place.insert(CachedKey { key: key.clone(), gone: CancellationToken::new(), used: None });
            }
        }
        key
    }

    fn remove(&mut self, hash: &KeyHash) {
        self.generation += 1;
        if let Some(entry) = self.keys.remove(hash) {
            entry.gone.cancel();
        }
    }

    fn apply(&mut self, KeyChange { hash, key }: KeyChange) {
        match key {
            // A change that comes twice is none.
            Ok(Some(key)) if self.keys.get(&hash).is_some_and(|entry| *entry.key == key) => {}
            Ok(Some(key)) => drop(self.set(key)),
            Ok(None) if !self.keys.contains_key(&hash) => {}
            Ok(None) => self.remove(&hash),
            Err(error) => {
                warn!(event = "key_record_damaged", %error, "a key's record cannot be read: it opens nothing");
                self.remove(&hash);
            }
        }
    }

    fn replace(&mut self, changes: Vec<KeyChange>) {
        let named: std::collections::HashSet<_> = changes.iter().map(|change| change.hash).collect();
        let missing: Vec<_> = self.keys.keys().filter(|hash| !named.contains(hash)).copied().collect();
        if !missing.is_empty() {
            // Whoever removes a document by hand means it, too: nobody can tell that from a vault that has lost it.
            warn!(
                event = "keys_missing",
                keys = missing.len(),
                "keys are gone from the vault that nobody revoked here: they are refused from now on"
            );
        }
        missing.iter().for_each(|hash| self.remove(hash));
        changes.into_iter().for_each(|change| self.apply(change));
    }

    /// Counts the lookup. A key that was looked up a moment ago is wrong. When no lookup is left nobody knows: another process may have
    /// made the key since the last refresh.
    fn may_look_up(&mut self, hash: &KeyHash, now: Instant) -> Result<(), AuthError> {
        if self.unknown.get(hash).is_some_and(|at| now.since(*at) < UNKNOWN) {
            return Err(AuthError::Wrong);
        }
        if self.unknown.len() >= MOST_UNKNOWN {
            self.unknown.retain(|_, at| now.since(*at) < UNKNOWN);
        }
        if self.unknown.len() >= MOST_UNKNOWN || self.lookups.take(LOOKUPS, LOOKUPS, now).is_err() {
            return Err(AuthError::Unavailable);
        }
        Ok(())
    }
}

impl CachedKey {
    fn open(&mut self, now: Timestamp) -> Result<Valid, AuthError> {
        if !self.key.active {
            return Err(AuthError::Wrong);
        }
        self.used = Some(now);
        let caller = match &self.key.rights {
            Rights::Admin => Caller::Admin,
            Rights::Tenant { .. } | Rights::Metrics => Caller::Key(self.key.clone()),
        };
        Ok(Valid { caller, gone: self.gone.clone(), expires_at: None })
    }

    /// With its last use, written or not.
    fn as_used(&self) -> Arc<ApiKey> {
        let last_used_at = self.key.last_used_at.max(self.used);
        if last_used_at == self.key.last_used_at {
            return self.key.clone();
        }
        Arc::new(ApiKey { last_used_at, ..(*self.key).clone() })
    }

    fn use_to_write(&self) -> Option<(KeyHash, Timestamp)> {
        let used = self.used?;
        let due = self.key.last_used_at.is_none_or(|written| used.duration_since(written).unsigned_abs() >= USES);
        due.then_some((self.key.hash, used))
    }
}

#[expect(clippy::disallowed_methods, reason = "a key is made here")]
fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    rand::rng().fill_bytes(&mut bytes);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{clock::SystemClock, vault::embedded::Embedded};

    /// A wall clock that is so far ahead, and the time is known.
    #[derive(Debug)]
    struct Ahead(Duration);

    impl Clock for Ahead {
        fn now(&self) -> Timestamp {
            Timestamp::now() + self.0
        }

        fn instant(&self) -> Instant {
            SystemClock.instant()
        }

        fn certain(&self, _known: Timestamp) -> Timestamp {
            Timestamp::now()
        }
    }

    /// A process that has not read for a while would take the key for a good one.
    #[tokio::test]
    async fn a_wall_clock_that_is_ahead_forgets_no_revoked_key() {
        let folder = tempfile::tempdir().unwrap();
        let vault: Arc<dyn AccessVault> = Arc::new(Embedded::open(&folder.path().join("vault.db")).unwrap());
        let keys = Keys::new(vault.clone(), Arc::new(Ahead(2 * REMEMBERED)));
        let (key, _) = keys.create(Rights::Admin, true).await.unwrap();
        let (_, before) = vault.key_changes(None).await.unwrap();
        assert!(keys.revoke(&key.id).await.unwrap());
        keys.create(Rights::Admin, true).await.unwrap();
        keys.forget().await;
        let (changes, _) = vault.key_changes(Some(before)).await.unwrap();
        assert!(changes.iter().any(|change| change.hash == key.hash && matches!(change.key, Ok(None))), "{changes:?}");
    }
}
