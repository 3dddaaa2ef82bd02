//! Caches the directory's records of all tenants for a moment: each look costs the vault one read a tenant. Remembers as long which
//! tenants were looked for alone and are not there.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use tokio::time::Instant;

use super::{Fleet, FleetError};
use crate::{
    sync::lock,
    tenant::{TenantId, TenantRecord},
    vault::VaultError,
};

/// How old the cached records may be.
const DIRECTORY_AGE: Duration = Duration::from_secs(30);

/// Of so many tenants it is remembered that they are not there.
const MOST_ABSENT: usize = 256;

/// The last look, and the turn for the next.
#[derive(Default)]
pub(super) struct RecordCache {
    known: Mutex<KnownRecords>,
    /// Held by the one that looks: who asks meanwhile has the same answer.
    turn: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct KnownRecords {
    records: Option<(Instant, Arc<Vec<TenantRecord>>)>,
    /// Counts the changes: a look that began before one is not kept.
    generation: u64,
    failed: Option<(Instant, VaultError)>,
    /// Who was looked for alone, and was not there.
    absent: HashMap<TenantId, Instant>,
}

impl Fleet {
    /// Whether there is no such tenant. That there is none may be half a minute old: whoever asks in vain again and again costs the vault
    /// one read in that time.
    pub async fn is_absent(&self, tenant: &TenantId) -> Result<bool, FleetError> {
        if self.records.knows_absent(tenant) {
            return Ok(true);
        }
        let is_absent = self.record(tenant).await?.is_none();
        if is_absent {
            self.records.note_absent(tenant);
        }
        Ok(is_absent)
    }
}

impl RecordCache {
    /// This process has changed the directory.
    pub fn invalidate(&self) {
        let mut known = self.known();
        known.generation += 1;
        known.records = None;
        known.absent.clear();
    }

    /// By a look for it alone that is at most [`DIRECTORY_AGE`] old. The records of all say nothing: one that does not parse is not among
    /// them.
    fn knows_absent(&self, tenant: &TenantId) -> bool {
        self.known().absent.get(tenant).is_some_and(|at| at.elapsed() < DIRECTORY_AGE)
    }

    /// One more than are remembered is looked for again.
    fn note_absent(&self, tenant: &TenantId) {
        let mut known = self.known();
        known.absent.retain(|_, at| at.elapsed() < DIRECTORY_AGE);
        if known.absent.len() < MOST_ABSENT {
            known.absent.insert(tenant.clone(), Instant::now());
        }
    }

    /// At most [`DIRECTORY_AGE`] old.
    pub async fn read<L>(&self, look: impl FnOnce() -> L) -> Result<Arc<Vec<TenantRecord>>, VaultError>
    where
        L: Future<Output = Result<Vec<TenantRecord>, VaultError>>,
    {
        let asked_at = Instant::now();
        if let Some(fresh) = self.known().fresh() {
            return Ok(fresh);
        }
        let _turn = self.turn.lock().await;
        let generation = {
            let known = self.known();
            if let Some(fresh) = known.fresh() {
                return Ok(fresh);
            }
            // Those who waited do not wait for a vault that is silent one after the other.
            if let Some((at, error)) = &known.failed
                && *at >= asked_at
            {
                return Err(error.clone());
            }
            known.generation
        };
        let looked = look().await;
        let mut known = self.known();
        known.failed = looked.as_ref().err().map(|error| (Instant::now(), error.clone()));
        let records = Arc::new(looked?);
        if known.generation == generation {
            known.records = Some((Instant::now(), records.clone()));
        }
        Ok(records)
    }

    fn known(&self) -> MutexGuard<'_, KnownRecords> {
        lock(&self.known)
    }
}

impl KnownRecords {
    fn fresh(&self) -> Option<Arc<Vec<TenantRecord>>> {
        let (at, records) = self.records.as_ref()?;
        (at.elapsed() < DIRECTORY_AGE).then(|| records.clone())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::task::yield_now;

    use super::*;

    #[tokio::test]
    async fn a_look_that_began_before_a_change_is_not_kept() {
        let cache = RecordCache::default();
        let looks = AtomicUsize::new(0);
        let first = cache.read(|| async {
            looks.fetch_add(1, Ordering::SeqCst);
            cache.invalidate();
            Ok(Vec::new())
        });
        first.await.unwrap();
        for _ in 0..2 {
            let next = cache.read(|| async {
                looks.fetch_add(1, Ordering::SeqCst);
                Ok(Vec::new())
            });
            next.await.unwrap();
        }
        assert_eq!(looks.load(Ordering::SeqCst), 2, "the first is not kept, the second is");
    }

    #[test]
    fn who_is_not_there_is_known_for_a_moment() {
        let tenant = |name: &str| name.parse::<TenantId>().unwrap();
        let cache = RecordCache::default();
        assert!(!cache.knows_absent(&tenant("nobody")), "nobody has looked");
        cache.note_absent(&tenant("nobody"));
        assert!(cache.knows_absent(&tenant("nobody")) && !cache.knows_absent(&tenant("another")));
        cache.invalidate();
        assert!(!cache.knows_absent(&tenant("nobody")), "it may have been made");
        for n in 0..=MOST_ABSENT {
            cache.note_absent(&tenant(&format!("nobody-{n}")));
        }
        assert_eq!(cache.known().absent.len(), MOST_ABSENT);
    }

    #[tokio::test]
    async fn one_look_answers_all_who_ask_meanwhile() {
        for is_well in [true, false] {
            let (cache, looks) = (RecordCache::default(), AtomicUsize::new(0));
            let read = || {
                cache.read(|| async {
                    looks.fetch_add(1, Ordering::SeqCst);
                    yield_now().await;
                    if is_well { Ok(Vec::new()) } else { Err(VaultError::Unavailable("away".into())) }
                })
            };
            let (one, two, three) = tokio::join!(read(), read(), read());
            assert!([one, two, three].iter().all(|answer| answer.is_ok() == is_well));
            assert_eq!(looks.load(Ordering::SeqCst), 1);
            // A failure is nobody's answer who asks afterwards.
            drop(read().await);
            assert_eq!(looks.load(Ordering::SeqCst), if is_well { 1 } else { 2 });
        }
    }
}
