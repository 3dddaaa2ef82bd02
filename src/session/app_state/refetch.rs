//! Settings that the library did not fetch. Told of a change while it is reading the same collection, it leaves it at that, although
//! what it reads may be from before the change, and nothing tells it again (whatsapp-rust 0.7.0, `sync_collections_batched`; only
//! [`AppStateSyncFailed`] says so). Here they are fetched once that reading is over.

use std::{
    collections::BTreeSet,
    convert::Infallible,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::Notify;
use tracing::debug;
use whatsapp_rust::{
    Client, sync_task::MajorSyncTask, types::events::AppStateSyncFailed, wacore::appstate::patch_decode::WAPatchName,
};

/// Names of collections that are to be fetched: there are five.
#[derive(Debug, Default)]
pub(in crate::session) struct Skipped {
    names: Mutex<BTreeSet<&'static str>>,
    more: Notify,
}

impl Skipped {
    pub fn heard(&self, failed: &AppStateSyncFailed) {
        let names = failed.skipped.iter().filter_map(|name| collection(name)).map(|name| name.as_str());
        self.names.lock().unwrap_or_else(PoisonError::into_inner).extend(names);
        self.more.notify_one();
    }

    /// As long as the connection lasts.
    pub async fn fetch(&self, client: Arc<Client>) -> Infallible {
        loop {
            self.more.notified().await;
            let names = std::mem::take(&mut *self.names.lock().unwrap_or_else(PoisonError::into_inner));
            for name in names.into_iter().filter_map(collection) {
                debug!(collection = name.as_str(), "fetching settings once more");
                // Waits for whoever is reading it.
                client.process_sync_task(MajorSyncTask::AppStateSync { name, full_sync: false }).await;
            }
        }
    }
}

fn collection(name: &str) -> Option<WAPatchName> {
    name.parse().ok().filter(|name| *name != WAPatchName::Unknown)
}
