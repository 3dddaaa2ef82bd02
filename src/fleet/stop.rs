//! The stop: what is open is written and closed, and the other processes are told.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tokio::time::timeout;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

use super::{Fleet, letters, slot::Slot};

impl Fleet {
    /// Refuses new work, finishes what is in flight, writes everything to the vault. Before the limit is over the others are told, whatever
    /// is not closed by then.
    pub async fn stop(&self, limit: Duration) {
        /// For the last letters, and for removing this instance's record.
        const FAREWELL: Duration = Duration::from_secs(5);
        const TASKS_TIMEOUT: Duration = Duration::from_secs(2);
        self.draining.store(true, Ordering::Release);
        self.stop.cancel();
        self.tasks.close();
        self.handovers.giving.close();
        let slots: Vec<_> = self.slots().values().cloned().collect();
        let closing = TaskTracker::new();
        let ending = async {
            // Openings and deletions end, or one of them would find its session closed; one that hangs holds up no other tenant.
            let _ = timeout(TASKS_TIMEOUT, self.tasks.wait()).await;
            // A tenant that is being given away is closed by its giver, if it lets go of it.
            let (giving, kept): (Vec<_>, Vec<_>) = slots.iter().partition(|slot| self.is_giving(&slot.tenant));
            let close = |slot: &Arc<Slot>| {
                if let Some(session) = slot.unclosed() {
                    closing.spawn(async move { session.close().await });
                }
            };
            kept.into_iter().for_each(close);
            self.handovers.giving.wait().await;
            giving.into_iter().for_each(close);
            self.tasks.wait().await;
            // Sessions that these tasks have opened meanwhile.
            let open = self.slots().values().filter(|slot| slot.session().is_some()).cloned().collect::<Vec<_>>();
            open.iter().for_each(close);
            closing.close();
            closing.wait().await;
        };
        tokio::pin!(ending);
        let is_over = timeout(limit.saturating_sub(FAREWELL.min(limit / 2)), &mut ending).await.is_ok();
        if !is_over {
            warn!(event = "sessions_unclosed", "not all sessions are closed: other processes are told all the same");
        }
        self.handovers.over.cancel();
        self.handovers.writing.close();
        self.handovers.writing.wait().await;
        letters::say_goodbye(self).await;
        if timeout(Duration::from_secs(2), self.env.vault.remove_instance(&self.env.instance)).await.is_err() {
            warn!(event = "instance_record_kept", "this instance's record stays in the vault");
        }
        if !is_over {
            ending.await;
        }
        info!(event = "sessions_closed", sessions = slots.len(), "all sessions are closed");
    }
}
