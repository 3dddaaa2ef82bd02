//! Settings that the library did not fetch. Told of a change while it is reading the same collection, it leaves it at that, although
//! what it reads may be from before the change, and nothing tells it again (whatsapp-rust 0.7.0, `sync_collections_batched`; only
//! [`AppStateSyncFailed`] says so). Here they are fetched once that reading is over.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::{Notify, watch};
use tracing::debug;
use whatsapp_rust::{
    Client, sync_task::MajorSyncTask, types::events::AppStateSyncFailed, wacore::appstate::patch_decode::WAPatchName,
};

/// Names of collections that are to be fetched: there are five. Each with how often it was skipped.
#[derive(Debug, Default)]
pub(in crate::session) struct Skipped {
    names: Mutex<BTreeMap<&'static str, u64>>,
    more: Notify,
}

impl Skipped {
    pub fn heard(&self, failed: &AppStateSyncFailed) {
        let skipped = failed.skipped.iter().filter_map(|name| collection(name));
        let mut names = self.names();
        skipped.for_each(|name| *names.entry(name.as_str()).or_default() += 1);
        drop(names);
        self.more.notify_one();
    }

    fn names(&self) -> MutexGuard<'_, BTreeMap<&'static str, u64>> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// As long as the connection lasts. What it does not come to is left to the next. `ready`: the client while it is logged in for good.
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
                // Waits for whoever is reading it.
                client.process_sync_task(MajorSyncTask::AppStateSync { name, full_sync: false }).await;
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
    fn what_is_skipped_while_it_is_fetched_is_fetched_again() {
        let skipped = Skipped::default();
        let name = WAPatchName::CriticalBlock.as_str();
        skipped.names().insert(name, 1);
        *skipped.names().entry(name).or_default() += 1;
        skipped.fetched(name, 1);
        assert_eq!(skipped.names().get(name), Some(&2));
        skipped.fetched(name, 2);
        assert!(skipped.names().is_empty());
    }
}
