//! Refetches app-state collections that the library skips: a change that arrives while its collection is being read is
//! not fetched again (whatsapp-rust 0.7.0, `sync_collections_batched`; only [`AppStateSyncFailed`] reports it). Waits
//! until that read is over.
//!
//! So are all of them for a device that has a name and no keys: it came from another gateway with credentials alone. The library makes its
//! first sync for devices without a name only, and waits with the login until the phone has shared the keys; here the phone is asked behind
//! the login.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::sync::{Notify, watch};
use tracing::debug;
use whatsapp_rust::{
    Client, sync_task::MajorSyncTask, types::events::AppStateSyncFailed, wacore::appstate::patch_decode::WAPatchName,
};

use crate::sync::lock;

/// Names of collections that are to be fetched: there are five. Each with how often it was skipped.
#[derive(Debug, Default)]
pub(in crate::session) struct SkippedCollections {
    names: Mutex<BTreeMap<&'static str, u64>>,
    more: Notify,
    /// A fetched collection could not be read: its key is missing.
    lacks_keys: AtomicBool,
}

const COLLECTIONS: [WAPatchName; 5] = [
    WAPatchName::CriticalBlock,
    WAPatchName::CriticalUnblockLow,
    WAPatchName::RegularHigh,
    WAPatchName::Regular,
    WAPatchName::RegularLow,
];

impl SkippedCollections {
    /// Marks all collections as skipped, for a device with a name and without keys.
    pub fn without_keys() -> Self {
        let skipped = Self { lacks_keys: AtomicBool::new(true), ..Self::default() };
        skipped.add_all();
        skipped
    }

    /// The phone may answer after the library has given up.
    pub fn keys_came(&self) {
        if self.lacks_keys.swap(false, Ordering::Relaxed) {
            self.add_all();
        }
    }

    fn add_all(&self) {
        let mut names = self.names();
        COLLECTIONS.iter().for_each(|name| *names.entry(name.as_str()).or_default() += 1);
        drop(names);
        self.more.notify_one();
    }

    pub fn heard(&self, failed: &AppStateSyncFailed) {
        let skipped = failed.skipped.iter().filter_map(|name| collection(name));
        let mut names = self.names();
        skipped.for_each(|name| *names.entry(name.as_str()).or_default() += 1);
        drop(names);
        self.more.notify_one();
    }

    fn names(&self) -> MutexGuard<'_, BTreeMap<&'static str, u64>> {
        lock(&self.names)
    }

    /// Fetches skipped collections for as long as the connection lasts; the rest is left to the next connection.
    /// `ready`: the client while it is logged in for good.
    pub async fn fetch(&self, client: Arc<Client>, mut ready: watch::Receiver<Option<Arc<Client>>>) -> Infallible {
        if !self.names().is_empty() {
            let is_it = |now: &Option<Arc<Client>>| now.as_ref().is_some_and(|now| Arc::ptr_eq(now, &client));
            // An error: the session is gone, and this with it.
            let _ = ready.wait_for(is_it).await;
            self.more.notify_one();
        }
        loop {
            self.more.notified().await;
            let names = self.names().clone();
            for (named, times) in names {
                let Some(name) = collection(named) else { continue };
                debug!(collection = named, "fetching settings once more");
                // Waits for whoever is reading it. Boxed: this future lives as long as the connection, and hardly ever fetches.
                Box::pin(client.process_sync_task(MajorSyncTask::AppStateSync { name, full_sync: false })).await;
                // It says nothing of a line that has ended meanwhile; then nothing was fetched.
                if client.is_logged_in() {
                    self.fetched(named, times);
                }
            }
        }
    }

    /// It was fetched after it had been skipped so often; skipped again meanwhile, it is fetched again.
    fn fetched(&self, name: &'static str, times: u64) {
        let mut names = self.names();
        if names.get(name) == Some(&times) {
            names.remove(name);
        }
    }
}

fn collection(name: &str) -> Option<WAPatchName> {
    name.parse().ok().filter(|name| *name != WAPatchName::Unknown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_keys_all_is_fetched_and_once_more_when_they_come() {
        let skipped = SkippedCollections::without_keys();
        for _ in 0..2 {
            let names = skipped.names().clone();
            assert_eq!(names.len(), 5);
            names.into_iter().for_each(|(name, times)| skipped.fetched(name, times));
            assert!(skipped.names().is_empty());
            skipped.keys_came();
        }
        assert!(skipped.names().is_empty(), "keys that come later are of no concern");
    }

    #[test]
    fn what_is_skipped_while_it_is_fetched_is_fetched_again() {
        let skipped = SkippedCollections::default();
        let name = WAPatchName::CriticalBlock.as_str();
        skipped.names().insert(name, 1);
        *skipped.names().entry(name).or_default() += 1;
        skipped.fetched(name, 1);
        assert_eq!(skipped.names().get(name), Some(&2));
        skipped.fetched(name, 2);
        assert!(skipped.names().is_empty());
    }
}
