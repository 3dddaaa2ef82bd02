//! Whether the owner wants the session to stay away. The store, the memory and the supervisor say the same of it, whatever becomes of
//! whoever asked: else the next start of the process would stop a session that runs, or start one that was stopped.

use std::{sync::atomic::Ordering, time::Duration};

use tracing::{Instrument as _, warn};

use super::{Inner, Session, SessionCommand, state::State};
use crate::{
    journal::ChangeNo,
    store::{Batch, STOPPED, StoreError, key, space},
};

impl Session {
    /// Connects, also one that was stopped; pairs when there are no credentials. Never touches credentials that there are. While the
    /// vault is down a start does not hang: it is durable when the vault is back.
    pub async fn connect(&self) {
        if !self.is_stopped() {
            return self.resume().await;
        }
        match self.set_stopped(false).await {
            Ok(change) => {
                if self.0.confirm(change).await.is_err() {
                    warn!(
                        event = "stop_unwritten",
                        tenant = %self.0.tenant,
                        "the session may be stopped again after a restart"
                    );
                }
            }
            Err(error) => {
                warn!(
                    event = "start_unwritten",
                    tenant = %self.0.tenant,
                    %error,
                    "the session stays stopped: the start could not be written"
                )
            }
        }
    }

    /// As [`Self::connect`], but leaves a stopped or exported session alone: for the start of the process.
    pub async fn resume(&self) {
        if !self.is_stopped() && self.exported().is_none() {
            let _ = self.0.commands.send(SessionCommand::Connect).await;
        }
    }

    /// Disconnects and stays linked until somebody asks for a connection; over restarts too, unless this says that it
    /// is unconfirmed. Messages wait at WhatsApp meanwhile. Waits at most ten seconds for the disconnect: after that
    /// the status says why it takes longer.
    pub async fn stop(&self) -> Result<(), StoreError> {
        let change = self.set_stopped(true).await?;
        let mut status = self.watch();
        let away = async {
            let stopped = status.wait_for(|status| status.state == State::Stopped);
            let _ = tokio::time::timeout(Duration::from_secs(10), stopped).await;
        };
        let ((), confirmed) = tokio::join!(away, self.0.confirm(change));
        confirmed
    }

    pub fn is_stopped(&self) -> bool {
        self.0.is_stopped()
    }

    /// Its tenant counts on it: it is paired, and nobody has stopped or exported it; or WhatsApp has logged it out.
    pub fn should_be_connected(&self) -> bool {
        let status = self.status();
        status.rejected || status.paired && !self.is_stopped() && self.exported().is_none()
    }

    /// Writes it, remembers it and tells the supervisor: one caller after the other, so that the last one counts everywhere; in a task of
    /// its own, since whoever asked may go away in the middle.
    async fn set_stopped(&self, stopped: bool) -> Result<ChangeNo, StoreError> {
        let session = self.clone();
        let setting = async move {
            let inner = &session.0;
            let _turn = inner.stop_turn.lock().await;
            let mut batch = Batch::default();
            if stopped {
                batch.put(space::SETTINGS, key::text(STOPPED), Vec::new());
            } else {
                batch.delete(space::SETTINGS, key::text(STOPPED));
            }
            let change = inner.store.write(batch).await?;
            inner.stopped.store(stopped, Ordering::Release);
            if stopped {
                let _ = inner.commands.send(SessionCommand::Stop).await;
            } else {
                session.resume().await;
            }
            Ok::<_, StoreError>(change)
        };
        self.0.tasks.spawn(setting.in_current_span()).await.map_err(|_| StoreError::Interrupted)?
    }
}

impl Inner {
    pub(super) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }
}
