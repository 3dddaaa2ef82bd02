//! Whether WhatsApp can be reached from here, before this process asks those that live for their tenants.
//!
//! A deploy may come up in a place that lets nothing out. Until a line could be opened once, such a process leaves all that a living one
//! has where it is, also when that one is told to stop and offers it, and is not healthy beside it: a platform that waits for a healthy
//! process before it stops the old one keeps the old one. What nobody who lives has is taken all the same.
//!
//! A way that was found stays found: what breaks later is no reason to refuse a tenant.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout_at},
};
use tracing::{info, warn};

use super::Fleet;
use crate::{backoff::Backoff, session::State};

/// The port waits so long for the first try.
const FIRST_TRY: Duration = Duration::from_secs(5);

/// Between two tries; the first also between two looks whether somebody else lives.
const RETRIES: Backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(15));

/// What was tried so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Reach {
    #[default]
    Untried,
    Failed,
    Found,
}

#[derive(Debug, Default)]
pub(super) struct WhatsAppReach(watch::Sender<Reach>);

/// Tries as long as others live and no way was found.
pub(super) async fn look(fleet: Arc<Fleet>) {
    let mut failures = 0_u32;
    while !fleet.has_reached_whatsapp() {
        if fleet.living_peers().is_empty() {
            sleep(RETRIES.first).await;
            continue;
        }
        let reached = fleet.env.endpoint.reach().await;
        let before = fleet.whatsapp.0.send_replace(if reached.is_ok() { Reach::Found } else { Reach::Failed });
        match reached {
            Ok(()) if before == Reach::Failed => {
                info!(event = "whatsapp_in_reach", "WhatsApp can be reached: what others offer is taken")
            }
            Ok(()) => {}
            Err(error) => {
                if before == Reach::Untried {
                    let error = format!("{error:#}");
                    warn!(
                        event = "whatsapp_out_of_reach",
                        error, "WhatsApp cannot be reached from here: other processes keep their tenants"
                    );
                }
                sleep(RETRIES.whole(failures)).await;
                failures = failures.saturating_add(1);
            }
        }
    }
}

impl Fleet {
    /// A line to WhatsApp was open here, once.
    pub fn has_reached_whatsapp(&self) -> bool {
        let is_found = || *self.whatsapp.0.borrow() == Reach::Found;
        if !is_found() && self.is_any_working() {
            self.whatsapp.0.send_replace(Reach::Found);
        }
        is_found()
    }

    fn is_any_working(&self) -> bool {
        let sessions: Vec<_> = self.slots().values().filter_map(|slot| slot.session()).collect();
        sessions.iter().any(|session| session.status().state == State::Working)
    }

    /// Returns when it was tried once, unless nobody else lives: a platform asks for the first time as soon as the port is open.
    pub(super) async fn await_first_reach(&self, deadline: Instant) {
        if self.living_peers().is_empty() {
            return;
        }
        let mut reach = self.whatsapp.0.subscribe();
        let tried = reach.wait_for(|reach| *reach != Reach::Untried);
        let _ = timeout_at(deadline.min(Instant::now() + FIRST_TRY), tried).await;
    }
}
