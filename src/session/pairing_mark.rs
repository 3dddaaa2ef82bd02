//! A pairing that has begun and is not over, as a restart of the process must find it: whoever has the code, or has scanned it, is still
//! there, and learns how it goes on.

use std::sync::Arc;

use tokio::sync::watch;
use tracing::warn;

use super::Inner;
use crate::store::{Batch, Store, StoreError, key, space};

const KEY: &str = "session/pairing";

/// Set while a pairing has begun and is not over.
pub struct PairingMark {
    begun: watch::Sender<bool>,
    /// As it was written when the session was opened.
    stored: bool,
}

impl PairingMark {
    pub async fn read(store: &Store) -> Result<Self, StoreError> {
        let stored = store.get(space::SETTINGS, &key::text(KEY)).await?.is_some();
        Ok(Self { begun: watch::Sender::new(stored), stored })
    }

    pub fn is_set(&self) -> bool {
        *self.begun.borrow()
    }

    pub fn set(&self, begun: bool) {
        self.begun.send_if_modified(|mark| std::mem::replace(mark, begun) != begun);
    }
}

/// Writes every change, until the session stops. Nobody waits for it: what is lost with a crash costs a word, and no message.
pub(super) async fn keep(session: Arc<Inner>) {
    let mut begun = session.pairing_mark.begun.subscribe();
    let mut stored = session.pairing_mark.stored;
    loop {
        let now = *begun.borrow_and_update();
        if now != stored {
            let mut batch = Batch::default();
            match now {
                true => batch.put(space::SETTINGS, key::text(KEY), Vec::new()),
                false => batch.delete(space::SETTINGS, key::text(KEY)),
            }
            match session.store.write(batch).await {
                Ok(_) => stored = now,
                Err(error) => warn!(%error, "could not record how far a pairing is"),
            }
        }
        tokio::select! {
            () = session.stop.cancelled() => return,
            changed = begun.changed() => if changed.is_err() { return },
        }
    }
}
