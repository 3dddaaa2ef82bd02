//! Reopens tenants whose session ended by itself or could not be opened.
//!
//! One mechanism for every reason: a working copy that failed, a task that crashed, a vault that refused or did not answer, a disk
//! that was full. The first time at once, then with backoff. A tenant that another process owns is left to it: see
//! [`super::takeback`] for when it is taken back. Who owns it is asked before each try, since another process may be quicker than the
//! next one.

use std::sync::Arc;

use futures::FutureExt as _;
use tokio::time::sleep;
use tracing::{debug, error, info, warn};

use super::{
    Fleet, FleetError, directory,
    slot::{OpenFailure, OpenFailureKind, Slot},
};
use crate::{
    backoff::Backoff,
    crash,
    session::{End, jitter},
};

/// The shortest wait between two openings that fail.
const MIN_REVIVAL_PAUSE: std::time::Duration = std::time::Duration::from_millis(250);

/// Looks after ended sessions until the fleet stops.
pub async fn run(fleet: Arc<Fleet>) {
    loop {
        tokio::select! {
            () = fleet.stop.cancelled() => return,
            () = fleet.env.ended.changed.notified() => {}
        }
        for tenant in fleet.env.ended.take() {
            let slot = fleet.slots().get(&tenant).cloned();
            if let Some(slot) = slot {
                note(&fleet, &slot);
                revive(&fleet, slot);
            }
        }
    }
}

/// Said and counted once, whatever is tried afterwards.
fn note(fleet: &Fleet, slot: &Slot) {
    let Some(end) = slot.unclosed().and_then(|session| session.end().cloned()) else { return };
    fleet.incidents.count(&end);
    match end {
        End::Moved => warn!(event = "tenant_taken", tenant = %slot.tenant, "another process has taken the tenant over"),
        end => {
            error!(
                event = "session_ended",
                tenant = %slot.tenant,
                cause = end.as_str(),
                "a session ended by itself: {end}"
            )
        }
    }
}

/// The tenant's former owner.
enum Former {
    Ours,
    /// A process' that was gone when this one looked, or that has let go of it.
    Orphaned,
}

/// Opens the tenant, unless a process that lives has it.
pub fn revive(fleet: &Arc<Fleet>, slot: Arc<Slot>) {
    begin(fleet, slot, Former::Ours);
}

/// As [`revive`], for a tenant whose process is gone, or has let go of it for this one ([`Slot::giver`]). Another
/// process may have been quicker.
pub fn take(fleet: &Arc<Fleet>, slot: Arc<Slot>) {
    begin(fleet, slot, Former::Orphaned);
}

fn begin(fleet: &Arc<Fleet>, slot: Arc<Slot>, former: Former) {
    if slot.begin_revival() {
        let stopped = fleet.stop.clone().run_until_cancelled_owned(until_open(fleet.clone(), slot, former));
        fleet.tasks.spawn(stopped.map(drop));
    }
}

/// Ends with the task, also with one that crashes: the tenant is looked after again.
struct Revival {
    fleet: Arc<Fleet>,
    slot: Arc<Slot>,
}

impl Drop for Revival {
    fn drop(&mut self) {
        let Self { fleet, slot } = self;
        if std::thread::panicking() {
            let (reason, at) = ("opening it crashed".to_owned(), fleet.env.clock.now());
            slot.failed(OpenFailure { reason, at, kind: OpenFailureKind::Crashed });
        }
        slot.end_revival();
        // It may have ended again before that, or somebody else may have failed to open it.
        let has_ended = slot.unclosed().is_some_and(|session| session.end().is_some());
        let has_failed = slot.session().is_none() && slot.failure().is_some_and(|failure| failure.is_transient());
        if has_ended || has_failed && !slot.is_moved() && !fleet.is_leaving() && fleet.has(slot) {
            fleet.env.ended.note(&slot.tenant);
        }
    }
}

async fn until_open(fleet: Arc<Fleet>, slot: Arc<Slot>, former: Former) {
    let _revival = Revival { fleet: fleet.clone(), slot: slot.clone() };
    loop {
        if slot.end() == Some(End::Moved) && matches!(former, Former::Ours) && slot.giver().is_none() {
            fleet.close_moved(&slot).await;
            break;
        }
        let settings = &fleet.env.settings;
        match slot.repeats() {
            0 => {}
            n => {
                let backoff = Backoff::new(settings.backoff_min.max(MIN_REVIVAL_PAUSE), settings.backoff_max);
                sleep(backoff.spread(n - 1, jitter())).await
            }
        }
        // Somebody may have opened it meanwhile, or deleted it.
        if slot.session().is_some() || !fleet.has(&slot) {
            break;
        }
        if fleet.is_leaving() {
            leave_to_another(&fleet, &slot).await;
            break;
        }
        crash::pause("revival").await;
        let turn = fleet.reviving.acquire().await;
        // That may have lasted.
        if slot.session().is_some() || !fleet.has(&slot) {
            break;
        }
        if fleet.is_leaving() {
            drop(turn);
            leave_to_another(&fleet, &slot).await;
            break;
        }
        // Of the dead one's successors one may have come a moment ago: nobody here knows of it.
        if matches!(former, Former::Orphaned)
            && fleet.living_peers().is_empty()
            && let Err(error) = fleet.meet_peers().await
        {
            slot.failed(fleet.unread_owner(&fleet.unreadable(&error)));
            continue;
        }
        // While it was away, could not be opened, or waited for its turn, another process may have taken it over.
        if !fleet.living_peers().is_empty() {
            match fleet.check_unowned(&slot).await {
                Ok(()) => {}
                Err(FleetError::Moved) => {
                    drop(turn);
                    fleet.close_moved(&slot).await;
                    break;
                }
                Err(error) => {
                    slot.failed(fleet.unread_owner(&error));
                    continue;
                }
            }
        }
        let opened = fleet.open(&slot, slot.was_paired()).await;
        drop(turn);
        match opened {
            Ok(session) => {
                info!(event = "session_reopened", tenant = %slot.tenant, "open again");
                session.resume().await;
                if let Err(error) = directory::check(&fleet, &session).await {
                    debug!(tenant = %slot.tenant, %error, "its record is compared later");
                }
                break;
            }
            Err(_) if slot.failure().is_none_or(|failure| failure.is_transient()) => {}
            Err(_) => break,
        }
    }
}

/// This process is about to stop: what it would open now it would hand over in a moment. Another one may have it at once.
async fn leave_to_another(fleet: &Fleet, slot: &Slot) {
    fleet.close_moved(slot).await;
    if slot.was_paired() && slot.unclosed().is_none() {
        fleet.let_go(&slot.tenant);
    }
}
