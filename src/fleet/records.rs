//! Caches the directory's records of all tenants for a moment: each look costs the vault one read a tenant.

use std::{
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use tokio::time::Instant;

use crate::{sync::lock, tenant::TenantRecord, vault::VaultError};

/// How old the cached records may be.
const DIRECTORY_AGE: Duration = Duration::from_secs(30);

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
}

impl RecordCache {
    /// This process has changed the directory.
    pub fn invalidate(&self) {
        let mut known = self.known();
        known.generation += 1;
        known.records = None;
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
