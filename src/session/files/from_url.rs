//! Files that tenants name by URL: who may fetch how many at the same time.
//!
//! Owns places of their own: a file that only drips in holds up neither files that are here already nor the URLs of others. A tenant has
//! a few; one whose last URL was slow has one. Whatever is slow gives its place back, and goes on among the slow ones.

use std::{
    pin::pin,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::{Instant, timeout, timeout_at},
};

/// A host that has not given a file after this long is slow.
const SLOW: Duration = Duration::from_secs(3);

/// The places of all tenants.
#[derive(Debug)]
pub struct UrlPlaces {
    quick: Semaphore,
    slow: Semaphore,
}

/// The turns of one tenant.
#[derive(Debug)]
pub(super) struct UrlTurns {
    each: Semaphore,
    /// Of one whose last URL was slow.
    alone: Semaphore,
    was_slow: AtomicBool,
    /// From here on a host is slow.
    slow_after: Duration,
}

/// A fetched file's, until it is dropped.
#[derive(Debug)]
pub(super) struct UrlTurn<'a> {
    _own: Option<SemaphorePermit<'a>>,
}

/// There was no place in time.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct UrlPlaceError;

impl UrlPlaces {
    /// As many files come at the same time, and as many slow ones.
    pub fn new(most: usize) -> Self {
        Self { quick: Semaphore::new(most.max(1)), slow: Semaphore::new(most.max(1)) }
    }
}

impl UrlTurns {
    /// `most`: files that the tenant may send at the same time.
    pub fn new(most: usize) -> Self {
        // The rest is for files that are here.
        Self {
            each: Semaphore::new(most.div_ceil(2)),
            alone: Semaphore::new(1),
            was_slow: AtomicBool::new(false),
            slow_after: SLOW,
        }
    }

    /// Runs `fetching` in this tenant's turn, after at most `patience` of waiting. The turn lasts until the caller has
    /// sent the file: otherwise files would pile up on the disk.
    pub async fn fetch<T>(
        &self,
        places: &UrlPlaces,
        patience: Duration,
        fetching: impl Future<Output = T>,
    ) -> Result<(T, UrlTurn<'_>), UrlPlaceError> {
        let until = Instant::now() + patience;
        let turn = async {
            let own = self.each.acquire().await;
            let alone = if self.was_slow.load(Ordering::Relaxed) { Some(self.alone.acquire().await) } else { None };
            (own, alone, places.quick.acquire().await)
        };
        let (own, _alone, quick) = timeout_at(until, turn).await.map_err(|_| UrlPlaceError)?;
        let began = Instant::now();
        let mut fetching = pin!(fetching);
        let fetched = match timeout(self.slow_after, &mut fetching).await {
            Ok(fetched) => fetched,
            Err(_) => {
                self.was_slow.store(true, Ordering::Relaxed);
                // Without a place among the slow ones it keeps the one it has: how many there are is bounded.
                let _place = match places.slow.try_acquire() {
                    Ok(slow) => {
                        drop(quick);
                        Ok(slow)
                    }
                    Err(_) => Err(quick),
                };
                fetching.await
            }
        };
        self.was_slow.store(began.elapsed() > self.slow_after, Ordering::Relaxed);
        Ok((fetched, UrlTurn { _own: own.ok() }))
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;

    const SOON: Duration = Duration::from_millis(50);
    const PATIENCE: Duration = Duration::from_secs(30);

    fn turns(most: usize) -> UrlTurns {
        UrlTurns { slow_after: SOON, ..UrlTurns::new(most) }
    }

    #[tokio::test]
    async fn slow_ones_leave_the_others_their_places() {
        let places = UrlPlaces::new(2);
        let (bad, good) = (turns(3), turns(3));
        let mut dripping = pin!(async {
            tokio::join!(
                bad.fetch(&places, PATIENCE, pending::<()>()),
                bad.fetch(&places, PATIENCE, pending::<()>()),
                bad.fetch(&places, PATIENCE, pending::<()>()),
            )
        });
        let mut fetched = pin!(good.fetch(&places, PATIENCE, async {}));
        tokio::select! {
            biased;
            _ = &mut dripping => unreachable!("nothing comes"),
            fetched = &mut fetched => assert!(fetched.is_ok()),
        }
        assert!(!good.was_slow.load(Ordering::Relaxed) && bad.was_slow.load(Ordering::Relaxed));
    }

    /// The file lies on the disk until it is sent: for so long nobody fetches another one in its place.
    #[tokio::test]
    async fn a_turn_lasts_until_the_file_is_out_of_the_way() {
        let (places, turns) = (UrlPlaces::new(8), turns(2));
        let (file, turn) = turns.fetch(&places, PATIENCE, async { "a file" }).await.unwrap();
        assert!(turns.fetch(&places, SOON, async {}).await.is_err(), "{file} is still there");
        drop(turn);
        assert!(turns.fetch(&places, PATIENCE, async {}).await.is_ok());
    }

    #[tokio::test]
    async fn one_that_was_slow_has_one_place_until_it_is_quick_again() {
        let (places, turns) = (UrlPlaces::new(8), turns(4));
        let slow = || tokio::time::sleep(SOON * 2);
        turns.fetch(&places, PATIENCE, slow()).await.unwrap();
        let began = Instant::now();
        let (first, second) =
            tokio::join!(turns.fetch(&places, PATIENCE, slow()), turns.fetch(&places, PATIENCE, async {}));
        assert!(matches!((first, second), (Ok(_), Ok(_))));
        assert!(began.elapsed() >= SOON * 2, "one after the other");
        assert!(!turns.was_slow.load(Ordering::Relaxed));
        let _held = turns.each.acquire_many(2).await;
        assert!(turns.fetch(&places, SOON, async {}).await.is_err());
    }
}
