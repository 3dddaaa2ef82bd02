//! Takes back the tenants of dead processes.
//!
//! A process that was fenced keeps the tenant's place, and looks from time to time whether the new owner lives. A living one keeps the
//! tenant, or two processes would take it from each other for ever; only whoever asks for the tenant by name decides otherwise
//! ([`Fleet::connect`]). What nobody serves any more is taken over by the first that notices; a dead process's record is removed.

use std::{
    convert::Infallible,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use futures::{StreamExt as _, stream};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout_at};
use tracing::{debug, info, warn};

use super::{
    Fleet, FleetError, revival,
    slot::{OpenFailure, OpenFailureKind, Slot},
};
use crate::{
    backoff::Backoff,
    clock,
    cluster::{PeerLook, should_own},
    journal::{self, LastWriting},
    session::End,
    sync::lock,
    tenant::{TenantId, TenantRecord},
    vault::{Instance, InstanceId, VaultError},
};

/// Tenants whose owner is asked for at the same time.
const CONCURRENT_OWNER_READS: usize = 8;

/// The port waits so long for this process's first record.
const FIRST_ANNOUNCEMENT: Duration = Duration::from_secs(20);

/// Between two tries of it.
const ANNOUNCEMENT_RETRIES: Backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(2));

/// Glances, between two looks, at the processes that have taken our tenants.
const GLANCES: u32 = 30;

/// Glances after which a tenant is taken that another process should have taken.
const PASSES: u32 = GLANCES;

/// Announces this process, and looks after what others have taken, until the fleet stops.
pub async fn run(fleet: Arc<Fleet>) {
    let mut tick = interval(fleet.heartbeat().announce);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let is_due = tokio::select! {
            () = fleet.stop.cancelled() => return,
            _ = tick.tick() => true,
            () = orphan(&fleet) => false,
        };
        tokio::select! {
            () = fleet.stop.cancelled() => return,
            () = async { if is_due { look(&fleet).await } else { glance(&fleet).await } } => {}
        }
    }
}

/// Until a tenant was taken by nobody knows whom, or by a process that is dead by now: of this machine's the kernel says so at once.
async fn orphan(fleet: &Fleet) {
    let mut tick = interval(fleet.heartbeat().announce / GLANCES);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // The first is at once, and a look has just been.
    tick.tick().await;
    let doubted = Instant::now();
    loop {
        tick.tick().await;
        // A vault that does not answer is asked at the usual pace.
        let is_cut_off = !fleet.is_announced();
        // Before the lock of all tenants: whether a process lives, the kernel is asked.
        let living = fleet.living_ids();
        let is_orphan = |slot: &Arc<Slot>| {
            slot.is_moved() && !slot.is_reviving() && slot.owner().is_none_or(|owner| !living.contains(&owner))
        };
        if is_cut_off {
            continue;
        }
        // One that is about to stop, or an earlier version, is gone when its record is.
        let is_doubtful = fleet.peers.meeting_pause().is_some_and(|pause| doubted.elapsed() >= pause);
        if is_doubtful || fleet.slots().values().any(is_orphan) {
            return;
        }
    }
}

/// Announces this process, and takes nothing, while it restores: that may last, and whoever says nothing for long counts as dead.
pub(super) async fn keep_announcing(fleet: &Fleet) -> Infallible {
    let mut tick = interval(fleet.heartbeat().announce);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // The first is at once, and the restore has begun with it.
    tick.tick().await;
    loop {
        tick.tick().await;
        announce_and_note(fleet).await;
    }
}

async fn announce_and_note(fleet: &Fleet) -> bool {
    let asked = fleet.env.clock.instant();
    let announced = fleet.announce().await;
    fleet.note_announced(announced.is_ok(), asked);
    announced
        .inspect_err(
            |error| warn!(event = "instance_record_unwritten", %error, "this instance's record was not written"),
        )
        .is_ok()
}

async fn look(fleet: &Arc<Fleet>) {
    if !announce_and_note(fleet).await {
        fleet.peers.excuse(fleet.env.clock.instant());
        return;
    }
    let looked = async {
        let asked = fleet.env.clock.instant();
        let instances = fleet.env.vault.instances().await?;
        let PeerLook { has_lost_one, has_newcomer, silent } = fleet.peers.observe(&fleet.others(instances), asked);
        if has_newcomer {
            fleet.welcome();
        }
        fleet.knock_at(&silent);
        // A process that stops takes nothing more, but must know to whom it can give.
        if fleet.is_leaving() || fleet.is_draining() {
            return Ok(());
        }
        let dead = fleet.dead_peers();
        if has_lost_one || !dead.is_empty() {
            fleet.orphans_are_due.store(true, Ordering::Release);
            // Those without a pairing have no session, but their webhooks may be owed something.
            fleet.lost_one.notify_one();
        }
        take_back_moved(fleet).await;
        if fleet.orphans_are_due.load(Ordering::Acquire) {
            take_over_orphans(fleet, fleet.env.vault.restorable().await?).await?;
            fleet.orphans_are_due.store(false, Ordering::Release);
        }
        for id in dead {
            info!(event = "process_died", instance = %id.0, "a process has died: its record is removed");
            fleet.env.vault.remove_instance(&id).await?;
        }
        Ok::<_, VaultError>(())
    };
    if let Err(error) = looked.await {
        debug!(%error, "what others have taken is looked after later");
    }
}

/// Between two looks: who has what was ours, and whether that one lives.
async fn glance(fleet: &Arc<Fleet>) {
    let glanced = async {
        fleet.meet_peers().await?;
        match fleet.is_leaving() || fleet.is_draining() {
            true => {}
            false => take_back_moved(fleet).await,
        }
        Ok::<_, VaultError>(())
    };
    if let Err(error) = glanced.await {
        debug!(%error, "what others have taken is looked after later");
    }
}

/// Tenants that were ours.
async fn take_back_moved(fleet: &Arc<Fleet>) {
    let mut moved: Vec<_> = fleet.slots().values().filter(|slot| slot.is_moved()).cloned().collect();
    {
        // A tenant on its way here is the handover's business, also when its owner has gone.
        let book = fleet.handovers.book();
        moved.retain(|slot| !book.joiner.wants(&slot.tenant));
    }
    let mut owners = stream::iter(moved)
        .map(|slot| async move {
            let owner = match slot.owner() {
                // Only the dead may have been followed by another.
                Some(owner) if fleet.is_alive(&owner) => Some(owner),
                // And nobody else is there: a score of reads less, while nobody serves it.
                _ if fleet.living_peers().is_empty() => None,
                _ => match owner(fleet, &slot.tenant).await {
                    Ok(owner) => owner,
                    Err(error) => {
                        debug!(tenant = %slot.tenant, %error, "who has it is read later");
                        return None;
                    }
                },
            };
            Some((slot, owner))
        })
        .buffer_unordered(CONCURRENT_OWNER_READS);
    while let Some(asked) = owners.next().await {
        // An unreadable tenant holds up no other.
        let Some((slot, owner)) = asked else { continue };
        if owner.as_ref().is_some_and(|owner| fleet.is_alive(owner)) {
            slot.set_owner(owner);
            continue;
        }
        if !fleet.should_own(&slot.tenant) && slot.pass(PASSES) {
            continue;
        }
        info!(
            event = "tenant_taken_back",
            tenant = %slot.tenant,
            "the process that had taken the tenant over is gone: taking it back"
        );
        slot.set_owner(None);
        revival::take(fleet, slot);
    }
}

/// Tenants that no living process serves and that were never ours: their process has died, or has stopped after they paired there.
/// `connected`: those that the directory has as connected.
pub(super) async fn take_over_orphans(
    fleet: &Arc<Fleet>,
    connected: Vec<(String, Result<TenantRecord, VaultError>)>,
) -> Result<(), VaultError> {
    let (mut owned, mut unread) = (Vec::new(), None);
    let tenants = connected.into_iter().filter(|(_, record)| record.is_ok());
    let tenants = tenants.filter_map(|(name, _)| name.parse::<TenantId>().ok());
    let tenants: Vec<_> = tenants.filter(|tenant| fleet.slot(tenant).is_none()).collect();
    let owners = stream::iter(tenants).map(|tenant| async move { (last_writing(fleet, &tenant).await, tenant) });
    let mut owners = owners.buffer_unordered(CONCURRENT_OWNER_READS);
    while let Some((read, tenant)) = owners.next().await {
        match read {
            Ok(owner) => owned.push((owner, tenant)),
            Err(error @ VaultError::Unavailable(_)) => unread = Some(error),
            // It would be the same at each look, and holds up no other.
            Err(error) => fleet.note_malformed(&tenant, &error),
        }
    }
    // Only now: a process announces itself before it takes anything over, so the owners that were read are known by now.
    if !owned.is_empty() {
        fleet.meet_peers().await?;
    }
    for (last, tenant) in owned {
        if let Some(owner) = last.as_ref().map(|last| last.writer.clone()).filter(|owner| fleet.is_alive(owner)) {
            let slot = fleet.slot_of(&tenant);
            slot.expect_state();
            slot.set_elsewhere(Some(owner), fleet.env.clock.now());
            continue;
        }
        if fleet.is_draining() || fleet.is_leaving() || !fleet.should_own(&tenant) {
            continue;
        }
        info!(event = "tenant_adopted", %tenant, "no process serves it: taking it over");
        let slot = fleet.slot_of(&tenant);
        slot.expect_state();
        slot.note_last_writing(last);
        revival::take(fleet, slot);
    }
    unread.map_or(Ok(()), Err)
}

/// Nobody but a tenant's owner can write its journal.
pub(super) async fn owner(fleet: &Fleet, tenant: &TenantId) -> Result<Option<InstanceId>, VaultError> {
    Ok(last_writing(fleet, tenant).await?.map(|last| last.writer))
}

/// The tenant's place, if it has one, remembers it: who looks again soon reads little.
async fn last_writing(fleet: &Fleet, tenant: &TenantId) -> Result<Option<LastWriting>, VaultError> {
    let slot = fleet.slot(tenant);
    let known = slot.as_ref().and_then(|slot| slot.last_writing());
    let last = journal::last_writing(&fleet.env.vault, tenant, known).await?;
    if let Some(slot) = slot {
        slot.note_last_writing(last.clone());
    }
    Ok(last)
}

impl Fleet {
    /// Before anything is taken over: whoever loses a tenant to this process looks in its record whether it lives, and answers no letter of
    /// one that is not listed. Until the record is written, nobody is believed dead for not answering.
    pub(super) async fn announce_first(&self, deadline: Instant) {
        let deadline = deadline.min(Instant::now() + FIRST_ANNOUNCEMENT);
        let mut failures = 0_u32;
        loop {
            let asked = self.env.clock.instant();
            let announced = timeout_at(deadline, self.announce()).await;
            self.note_announced(matches!(announced, Ok(Ok(()))), asked);
            match announced {
                Ok(Ok(())) => return,
                Ok(Err(error)) => {
                    warn!(event = "instance_record_unwritten", %error, "this instance's record was not written")
                }
                Err(_) => warn!(event = "instance_record_unwritten", "this instance's record was not written in time"),
            }
            let pause = ANNOUNCEMENT_RETRIES.whole(failures);
            if Instant::now() + pause >= deadline {
                return;
            }
            sleep(pause).await;
            failures = failures.saturating_add(1);
        }
    }

    /// Others can know of this process.
    pub(super) fn is_announced(&self) -> bool {
        lock(&self.unannounced_since).is_none()
    }

    /// Tells the others that this process lives.
    pub(super) async fn announce(&self) -> Result<(), VaultError> {
        self.env.vault.put_instance(&self.instance()).await
    }

    fn note_announced(&self, is_announced: bool, asked: clock::Instant) {
        let mut since = lock(&self.unannounced_since);
        *since = if is_announced { None } else { Some(since.unwrap_or(asked)) };
    }

    /// Whether another process is alive. Our own id counts as dead: if a journal names us and we do not know it, it is
    /// our own takeover whose answer was lost.
    pub(super) fn is_alive(&self, owner: &InstanceId) -> bool {
        *owner != self.env.instance && self.peers.is_alive(owner)
    }

    /// Those that live, as far as anybody here can know, and whether they are about to stop.
    pub(super) fn living_peers(&self) -> Vec<(InstanceId, bool)> {
        let mut living = self.peers.living();
        living.retain(|(id, _)| *id != self.env.instance);
        living
    }

    /// Reads who is there, between two looks.
    pub(super) async fn meet_peers(&self) -> Result<(), VaultError> {
        let asked = self.env.clock.instant();
        let instances = self.others(self.env.vault.instances().await?);
        if !self.peers.meet(&instances, asked).is_empty() {
            self.welcome();
        }
        Ok(())
    }

    /// Whether this process, of all that are there, should own the tenant.
    pub(super) fn should_own(&self, tenant: &TenantId) -> bool {
        let correspondents = self.correspondents();
        let staying = correspondents.iter().filter(|(_, is_draining)| !is_draining).map(|(id, _)| id);
        should_own(tenant, staying.chain([&self.env.instance])) == Some(&self.env.instance)
    }

    pub(super) fn others(&self, mut instances: Vec<Instance>) -> Vec<Instance> {
        instances.retain(|instance| instance.id != self.env.instance);
        instances
    }

    /// An error when a process that lives has the tenant, other than the one that has let go of it: whoever asks for it by name, or opens
    /// it anew, does not take it away from that one.
    pub(super) async fn check_unowned(&self, slot: &Slot) -> Result<(), FleetError> {
        let giver = slot.giver();
        let is_anothers = |owner: &InstanceId| Some(owner) != giver.as_ref();
        if slot.is_moved() && slot.owner().is_some_and(|owner| is_anothers(&owner) && self.is_alive(&owner)) {
            return Err(FleetError::Moved);
        }
        let owner = self.living_owner(&slot.tenant).await.map_err(|error| self.unreadable(&error))?;
        let Some(owner) = owner.filter(is_anothers) else { return Ok(()) };
        slot.set_elsewhere(Some(owner), self.env.clock.now());
        Err(FleetError::Moved)
    }

    /// Why a tenant is not opened whose owner cannot be read.
    pub(super) fn unread_owner(&self, error: &FleetError) -> OpenFailure {
        let reason = format!("who has it cannot be read: {error}");
        let kind = match error {
            FleetError::VaultDown => OpenFailureKind::VaultDown,
            _ => OpenFailureKind::Damaged,
        };
        OpenFailure { reason, at: self.env.clock.now(), kind }
    }

    /// The other process that has it and lives.
    pub(super) async fn living_owner(&self, tenant: &TenantId) -> Result<Option<InstanceId>, VaultError> {
        let Some(owner) = owner(self, tenant).await? else { return Ok(None) };
        if owner != self.env.instance && !self.peers.is_alive(&owner) {
            self.meet_peers().await?;
        }
        Ok(self.is_alive(&owner).then_some(owner))
    }

    pub(super) fn dead_peers(&self) -> Vec<InstanceId> {
        let mut dead = self.peers.dead();
        dead.retain(|id| *id != self.env.instance);
        dead
    }
}

impl Slot {
    /// Another process has the tenant, as far as is known here.
    pub(super) fn is_moved(&self) -> bool {
        self.end() == Some(End::Moved) || self.was_taken() || self.is_elsewhere()
    }

    /// One that lives has it.
    pub(super) fn is_served_by(&self, is_alive: impl FnOnce(&InstanceId) -> bool) -> bool {
        self.session().is_none() && self.is_moved() && self.owner().is_some_and(|owner| is_alive(&owner))
    }
}
