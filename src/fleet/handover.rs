//! Handing tenants over to another process, and taking them from one: does what [`crate::cluster`] says.
//!
//! A process that is told to stop offers its tenants to those that stay, each to the one that should own it, and stops when they are gone
//! or its time is over. Nobody else gives anything away: a process that starts leaves the others' tenants where they are. So a deploy
//! that fails costs nothing, and one that succeeds moves each tenant once.
//!
//! What was let go of stays on this process's mind until it stops: should the next owner die, or be told to stop itself, before it has
//! taken the tenant over, it is offered to another.

mod giving;

use std::{
    collections::{HashMap, HashSet},
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, MutexGuard, atomic::AtomicBool},
    time::Duration,
};

use futures::FutureExt as _;
use tokio::{
    sync::Notify,
    time::{Instant, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{debug, error, info, warn};

use super::{Fleet, FleetError, directory, illegible::Legibility, revival, slot::Slot};
use crate::{
    clock,
    cluster::{Giver, HandoverVerdict, Joiner, JoinerMove, Letter, Post},
    journal,
    session::{Prepared, Session, State},
    sync::lock,
    telemetry::{
        metrics::{
            self,
            label::{GivingOutcome, TakingOutcome},
        },
        traces::{self, SpanName},
    },
    tenant::TenantId,
    vault::{InstanceId, Seq, VaultError},
};

/// A tenant counts as taken over when it has logged in, or after so long.
const LOGIN_TIMEOUT: Duration = Duration::from_secs(4);

/// Readings of tenants that their owners keep: for when they are asked for again.
const READINGS: usize = 32;

#[derive(Default)]
pub(super) struct Handovers {
    book: Mutex<HandoverBook>,
    /// Something is to be written, or to be read soon.
    pub news: Notify,
    /// Letters were read, or a tenant was opened: whoever waits for one looks again.
    pub progress: Notify,
    /// This process is about to stop, and gives its tenants away.
    is_leaving: AtomicBool,
    /// Nothing is read or written any more.
    pub over: CancellationToken,
    /// Tenants that are being given away: not dropped half-way.
    pub giving: TaskTracker,
    /// The correspondence, and whether it has begun.
    pub writing: TaskTracker,
    pub answers: AtomicBool,
}

#[derive(Default)]
pub(super) struct HandoverBook {
    pub joiner: Joiner,
    pub giver: Giver,
    pub post: Post,
    /// Tenants that are being given away.
    giving: HashSet<TenantId>,
    /// Tenants that this process has let go of, and to whom; `None`: nobody has taken them.
    let_go: HashMap<TenantId, Option<InstanceId>>,
    /// What is offered, in the order in which it was first.
    offers: Vec<TenantId>,
    /// Processes that have asked for something since this one is about to stop.
    asking: HashSet<InstanceId>,
    prepared: HashMap<TenantId, Prepared>,
    pub peers: Vec<(InstanceId, bool)>,
    pub changed_at: Option<Instant>,
    /// When the letters were read last, or that was tried.
    pub read_at: Option<clock::Instant>,
    leaving_since: Option<Instant>,
}

impl Handovers {
    pub fn book(&self) -> MutexGuard<'_, HandoverBook> {
        lock(&self.book)
    }
}

/// What another process offers, asks and answers.
pub(super) fn heed(fleet: &Arc<Fleet>, from: &InstanceId, letter: &Letter) {
    let now = fleet.env.clock.instant();
    let offers: Vec<_> = letter.offers.iter().filter(|tenant| fleet.may_want(tenant)).cloned().collect();
    // A tenant is better off where it is than where nothing reaches WhatsApp.
    let may_ask = fleet.has_reached_whatsapp() || !fleet.is_alive(from);
    let asked = {
        let mut book = fleet.handovers.book();
        if may_ask && !fleet.is_leaving() && !fleet.is_draining() {
            book.joiner.offered(from, offers, now);
        }
        book.joiner.answered(from, &letter.answers, now);
        if fleet.is_leaving() && !letter.asks.is_empty() {
            book.asking.insert(from.clone());
        }
        book.giver.asked(from, &letter.asks)
    };
    for ask in asked {
        let (fleet, by) = (fleet.clone(), from.clone());
        fleet.clone().handovers.giving.spawn(async move {
            let gives = fleet.is_leaving() && !fleet.is_draining();
            let is_first = gives && fleet.handovers.book().giving.insert(ask.tenant.clone());
            let giving = async { if is_first { giving::give(&fleet, &by, &ask).await } else { HandoverVerdict::Kept } };
            // One that crashes must not stay among those that are under way: it would be neither closed nor asked for again.
            let verdict = AssertUnwindSafe(giving).catch_unwind().await.unwrap_or_else(|_| {
                error!(event = "handover_crashed", tenant = %ask.tenant, "handing a tenant over crashed: it is kept");
                fleet.incidents.count_failed_handover();
                metrics::handover_asked(GivingOutcome::Kept, None);
                HandoverVerdict::Kept
            });
            let mut book = fleet.handovers.book();
            book.giver.answer(&by, &ask, verdict);
            if is_first {
                book.giving.remove(&ask.tenant);
            }
            drop(book);
            fleet.handovers.news.notify_one();
        });
    }
}

/// Does what follows from what was read.
pub(super) fn proceed(fleet: &Arc<Fleet>) {
    let moves = {
        let mut book = fleet.handovers.book();
        for owner in book.joiner.owners().into_iter().filter(|owner| !fleet.is_alive(owner)) {
            book.joiner.gone(&owner);
        }
        for asker in book.giver.askers().into_iter().filter(|asker| !fleet.is_alive(asker)) {
            book.giver.forget(&asker);
        }
        let HandoverBook { joiner, prepared, .. } = &mut *book;
        let mut kept = 0;
        prepared.retain(|tenant, _| {
            let waits = !joiner.wants(tenant) && joiner.waits_for(tenant);
            kept += usize::from(waits);
            joiner.wants(tenant) || waits && kept <= READINGS
        });
        joiner.moves(fleet.env.clock.instant())
    };
    for step in moves {
        let spawned = fleet.clone();
        let tenant = step.tenant().clone();
        let work = async move {
            match step {
                JoinerMove::Prepare(tenant) => prepare(&spawned, tenant).await,
                JoinerMove::Take { tenant, from, last } => take(&spawned, tenant, &from, last).await,
            }
            spawned.handovers.news.notify_one();
        };
        let (stop, fleet) = (fleet.stop.clone(), fleet.clone());
        let step = stop.run_until_cancelled_owned(work);
        fleet.clone().tasks.spawn(async move {
            // One that crashes must not keep its place among those that are under way.
            if AssertUnwindSafe(step).catch_unwind().await.is_err() {
                error!(event = "takeover_crashed", %tenant, "taking a tenant over crashed: it is offered again");
                fleet.incidents.count_failed_handover();
                fleet.handovers.book().joiner.taken(&tenant, fleet.env.clock.instant());
            }
        });
    }
}

async fn prepare(fleet: &Fleet, tenant: TenantId) {
    let is_read = fleet.handovers.book().prepared.contains_key(&tenant);
    if !is_read {
        match fleet.read_anothers(&tenant).await {
            Legibility::Read(prepared) => {
                drop(fleet.handovers.book().prepared.insert(tenant.clone(), *prepared));
            }
            Legibility::Unread => {}
            // Asked for, it would be let go of, and nobody would serve it.
            Legibility::Illegible => {
                let now = fleet.env.clock.instant();
                return fleet.handovers.book().joiner.illegible(&tenant, now);
            }
        }
    }
    fleet.handovers.book().joiner.prepared(&tenant);
}

async fn take(fleet: &Arc<Fleet>, tenant: TenantId, from: &InstanceId, last: Option<Seq>) {
    let prepared = fleet.handovers.book().prepared.remove(&tenant);
    let slot = fleet.slot_of(&tenant);
    slot.expect_state();
    if last.is_some() {
        // Until it is open, whoever tries has to know that nobody else looks after it.
        slot.set_giver(from.clone());
    }
    match (is_served_by_another(fleet, &slot, from, last).await, last) {
        (Ok(true), _) => {
            if last.is_some() {
                // The giver found that one dead, or would not have given it, and offers it to nobody else. A process of another machine is
                // believed to live for a minute more, unless it is asked.
                fleet.doubt_the_quiet();
            }
            let now = fleet.env.clock.instant();
            return fleet.handovers.book().joiner.declined(&tenant, from, now);
        }
        (Ok(false), _) => {}
        (Err(error), _) => {
            debug!(%tenant, %error, "who has it is read again before it is opened");
            revival::take(fleet, slot);
            return fleet.handovers.book().joiner.taken(&tenant, fleet.env.clock.instant());
        }
    }
    let began = Instant::now();
    let opened = match fleet.is_leaving() || fleet.is_draining() {
        true => Err(FleetError::Draining),
        false => fleet.open_prepared(&slot, true, prepared).await,
    };
    match opened {
        Ok(session) => {
            fleet.handovers.progress.notify_waiters();
            note_taken(&session, from, last, began.elapsed());
            if last.is_none() {
                fleet.incidents.count_failed_handover();
            }
            session.resume().await;
            logged_in(&session).await;
            fleet.handovers.book().joiner.taken(&tenant, fleet.env.clock.instant());
            if let Err(error) = directory::check(fleet, &session).await {
                debug!(%tenant, %error, "its record is compared later");
            }
        }
        Err(_) => {
            if slot.failure().is_some_and(|failure| failure.is_transient()) {
                revival::take(fleet, slot);
            }
            fleet.handovers.book().joiner.taken(&tenant, fleet.env.clock.instant());
        }
    }
}

fn note_taken(session: &Session, from: &InstanceId, last: Option<Seq>, took: Duration) {
    let (tenant, epoch) = (session.tenant(), session.store().journal().epoch());
    if let Some(last) = last {
        traces::handover(tenant, last.0, SpanName::Taken, took);
    }
    let took = took.as_millis() as u64;
    if last.is_some_and(|last| epoch <= last) {
        error!(event = "handover_entries_missing", %tenant, "vault is missing entries that the previous owner wrote");
    }
    metrics::handover_taken(if last.is_some() { TakingOutcome::Given } else { TakingOutcome::Silent });
    match last {
        Some(_) => info!(event = "tenant_taken_over", %tenant, from = %from.0, took.ms = took, "taken over"),
        None => {
            warn!(
                event = "takeover_forced",
                %tenant,
                from = %from.0,
                took.ms = took,
                "taken over from a process that did not let go of it"
            )
        }
    }
}

/// Or will not within the time that others wait for their turn.
async fn logged_in(session: &Session) {
    let mut status = session.watch();
    let settled = status.wait_for(|status| {
        matches!(status.state, State::Working | State::Failed) || status.state == State::Stopped && session.is_stopped()
    });
    let _ = timeout(LOGIN_TIMEOUT, settled).await;
}

/// Whoever did not answer may have given it to another before. Whoever has given it may have died since, and another may have been quicker.
async fn is_served_by_another(
    fleet: &Fleet,
    slot: &Slot,
    from: &InstanceId,
    last: Option<Seq>,
) -> Result<bool, VaultError> {
    // Mostly what the giver wrote last is the last: one read, instead of a score, while nobody serves the tenant.
    if let Some(last) = last.filter(|last| *last > Seq(0))
        && !journal::has_successor(&fleet.env.vault, &slot.tenant, last).await?
    {
        return Ok(false);
    }
    let other = fleet.living_owner(&slot.tenant).await?.filter(|owner| owner != from);
    let is_served = other.is_some();
    if is_served {
        slot.set_elsewhere(other, fleet.env.clock.now());
    }
    Ok(is_served)
}

impl Fleet {
    /// An offered tenant is not wanted that is here already, or that is being opened anew.
    fn may_want(&self, tenant: &TenantId) -> bool {
        self.slot(tenant).is_none_or(|slot| slot.session().is_none() && !slot.is_reviving())
    }
}
