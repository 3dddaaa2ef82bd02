//! The restore: every connected tenant comes back from the vault before the port opens.
//!
//! Tenants are hydrated a batch at a time; a hydrated one connects at once, and its connecting holds nobody up. A tenant that
//! is not up within its limit, or long after the others, goes on in the background.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use futures::{StreamExt as _, stream};
use tokio::{
    task::{JoinError, JoinSet},
    time::{Instant, sleep, timeout, timeout_at},
};
use tracing::{debug, info, warn};

use super::{
    Fleet, FleetError, arrival, directory::RetryPause, heartbeat::CONNECTED, illegible, letters, takeback,
    whatsapp_reach,
};
use crate::{
    backoff::Backoff,
    crash,
    session::{self, Session, State},
    tenant::{TenantId, TenantRecord},
    vault::VaultError,
};

/// How the restore went.
#[derive(Debug, Clone, Default)]
pub struct Summary {
    pub tenants: usize,
    pub restored: usize,
    /// Not up in time, and still trying.
    pub late: Vec<TenantId>,
    /// Served by a process that lives, and left to it.
    pub elsewhere: usize,
    /// Given up, with the reason.
    pub failed: BTreeMap<String, String>,
    pub took: Duration,
}

#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    #[error("the vault did not answer within {0:?}: {1}")]
    Vault(Duration, VaultError),
}

enum RestoreOutcome {
    Up,
    /// Another process was quicker.
    Elsewhere,
    Late,
    Failed(String),
}

/// When all are hydrated and some are up, the port waits so long for the next one. WhatsApp may leave a login without an answer for good.
const STRAGGLERS: Duration = Duration::from_secs(5);

/// Tenants whose owner is asked for at the same time.
const OWNER_READS_AT_START: usize = 32;

/// Pauses until the vault lists the tenants.
const LISTING_RETRIES: Backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(5));

/// The port does not wait longer for knowing who has what: the rest is asked for afterwards.
const OWNER_READ_TIMEOUT: Duration = Duration::from_secs(10);

/// Tenants that lost their pairing so lately are opened as well.
const LATELY: Duration = Duration::from_secs(7 * 24 * 3600);

/// Opens the tenants that have lost their pairing lately, once all others are there. They connect to nothing, but their webhooks may
/// still be owed the news of it.
pub async fn open_unlinked(fleet: &Arc<Fleet>) {
    let mut pause = RetryPause::new();
    let listed = loop {
        match fleet.env.vault.tenants().await {
            Ok(listed) => break listed,
            Err(error) => {
                warn!(
                    event = "unpaired_tenants_unlisted",
                    %error,
                    "unpaired tenants cannot be listed: their webhooks wait"
                )
            }
        }
        pause.wait().await;
    };
    let now = fleet.env.clock.now();
    let lately = |at: jiff::Timestamp| now.duration_since(at).unsigned_abs() < LATELY;
    let records = listed.into_iter().filter_map(|(_, record)| record.ok());
    let unlinked = records.filter(|record| !record.whatsapp_connected && record.deleted_at.is_none());
    let is_due = |record: &TenantRecord| is_untold(record) || record.last_error_at.is_some_and(lately);
    let mut left: Vec<_> = unlinked.filter(is_due).collect();
    let mut pause = RetryPause::new();
    while !left.is_empty() {
        let mut unread = Vec::new();
        for record in left {
            if !open_one_unlinked(fleet, &record).await {
                unread.push(record);
            }
        }
        left = unread;
        if !left.is_empty() {
            pause.wait().await;
        }
    }
}

/// Shown as connected, and not paired: the process that lost the pairing died before it wrote more than that decision. Or as being paired:
/// it died with that.
fn is_untold(record: &TenantRecord) -> bool {
    record.status.as_deref() == Some(CONNECTED) || arrival::is_being_paired(record)
}

/// False: nobody knows who has it, since the vault does not say. It may be another's, with a code on a screen.
async fn open_one_unlinked(fleet: &Fleet, record: &TenantRecord) -> bool {
    // Those that are paired all the same are restored.
    if fleet.slot(&record.id).is_some() {
        return true;
    }
    match fleet.living_owner(&record.id).await {
        // A process that lives tells their webhooks.
        Ok(Some(_)) => return true,
        Ok(None) => {}
        Err(VaultError::Unavailable(_)) => return false,
        // It would be the same each time, and hold up the others.
        Err(error) => {
            fleet.note_malformed(&record.id, &error);
            return true;
        }
    }
    let slot = fleet.slot_of(&record.id);
    slot.set_known_number(record.phone_number.clone());
    match fleet.open(&slot, false).await {
        Ok(session) if is_untold(record) => fleet.env.directory.note(&record.id, session.status().connection()),
        Ok(_) => {}
        Err(_) => {
            warn!(
                event = "unpaired_tenant_unopened",
                tenant = %record.id,
                "unpaired tenant could not be opened: its pending webhook events are delayed"
            )
        }
    }
    true
}

impl Fleet {
    /// Restores all. Returns at the latest at the deadline, which counts from `began`.
    pub async fn restore(self: &Arc<Self>, began: Instant) -> Result<Summary, RestoreError> {
        let deadline = began + self.settings.restore.deadline;
        self.announce_first(deadline).await;
        let asked = self.env.clock.instant();
        let instances = self.insist(deadline, || self.env.vault.instances()).await?;
        self.peers.meet(&self.others(instances), asked);
        match self.settings.is_sole {
            true => self.peers.bury(),
            false => {
                letters::knock(self, deadline).await;
                self.answer_letters();
                let looking = whatsapp_reach::look(self.clone());
                self.tasks.spawn(self.stop.clone().run_until_cancelled_owned(looking));
            }
        }
        let restoring = async {
            let summary = self.restore_own(began, deadline).await;
            tokio::join!(illegible::look(self, deadline), self.await_first_reach(deadline));
            summary
        };
        tokio::select! {
            summary = restoring => summary,
            never = takeback::keep_announcing(self) => match never {},
        }
    }

    /// Restores the tenants that no living process has.
    async fn restore_own(self: &Arc<Self>, began: Instant, deadline: Instant) -> Result<Summary, RestoreError> {
        let listed = self.insist(deadline, || self.env.vault.restorable()).await?;
        let mut summary = Summary { tenants: listed.len(), ..Summary::default() };
        let mut tenants = Vec::new();
        for (name, record) in listed {
            match (name.parse::<TenantId>(), record) {
                (Ok(tenant), Ok(_)) => tenants.push(tenant),
                (Ok(tenant), Err(error)) => {
                    self.note_malformed(&tenant, &error);
                    summary.failed.insert(name, error.to_string());
                }
                (Err(error), _) => {
                    summary.failed.insert(name, format!("its id {error}"));
                }
            }
        }
        let tenants = self.leave_to_the_living(tenants, deadline).await;
        summary.elsewhere = summary.tenants - summary.failed.len() - tenants.len();
        let size = self.settings.restore.batch_size;
        let batches = tenants.len().div_ceil(size);
        info!(event = "restore_started", tenants = summary.tenants, batches, batch.size = size, "restoring");
        let lines = self.env.lines.available_permits();
        if tenants.len() > lines {
            warn!(
                event = "descriptors_too_few",
                tenants = tenants.len(),
                limit = lines,
                "more tenants than the limit of open files carries: the rest waits; raise it (ulimit -n, LimitNOFILE)"
            );
        }
        for outcome in self.hydrate(tenants, size, batches, deadline).await {
            match outcome {
                (_, RestoreOutcome::Up) => summary.restored += 1,
                (_, RestoreOutcome::Elsewhere) => summary.elsewhere += 1,
                (tenant, RestoreOutcome::Late) => summary.late.push(tenant),
                (tenant, RestoreOutcome::Failed(reason)) => {
                    summary.failed.insert(tenant.to_string(), reason);
                }
            }
        }
        crash::pause("restored").await;
        summary.took = began.elapsed();
        info!(
            event = "restore_finished",
            tenants = summary.tenants,
            restored = summary.restored,
            elsewhere = summary.elsewhere,
            late = summary.late.len(),
            failed = summary.failed.len(),
            took.ms = summary.took.as_millis() as u64,
            "restored"
        );
        summary
            .late
            .iter()
            .for_each(|tenant| warn!(event = "restore_late", %tenant, "not up in time: goes on in the background"));
        summary
            .failed
            .iter()
            .for_each(|(tenant, reason)| warn!(event = "restore_failed", tenant, reason, "not restored"));
        Ok(summary)
    }

    /// The tenants to restore here: those without a living owner that this process should own. All others have an
    /// owner, or will be offered to one. A starting process takes nothing away: it may be gone in a moment.
    async fn leave_to_the_living(&self, tenants: Vec<TenantId>, deadline: Instant) -> Vec<TenantId> {
        if self.living_peers().is_empty() {
            return tenants;
        }
        // A handover may be near, in which every thread is needed.
        self.tasks.spawn(self.stop.clone().run_until_cancelled_owned(session::load_phone_rules()));
        let limit = deadline.min(Instant::now() + OWNER_READ_TIMEOUT);
        let silent = || VaultError::Unavailable("no answer".into());
        let owners = stream::iter(tenants).map(|tenant| async move {
            let owner = timeout_at(limit, takeback::owner(self, &tenant)).await;
            (owner.unwrap_or_else(|_| Err(silent())), tenant)
        });
        let owners: Vec<_> = owners.buffer_unordered(OWNER_READS_AT_START).collect().await;
        let (mut ours, mut unread) = (Vec::new(), 0);
        for (owner, tenant) in owners {
            let owner = match owner {
                Ok(Some(owner)) if self.is_alive(&owner) => Some(owner),
                Ok(_) if self.should_own(&tenant) => {
                    ours.push(tenant);
                    continue;
                }
                Ok(_) => None,
                Err(error) => {
                    debug!(%tenant, %error, "who has it cannot be read yet: asked again later");
                    unread += 1;
                    None
                }
            };
            let slot = self.slot_of(&tenant);
            slot.expect_state();
            slot.set_elsewhere(owner, self.env.clock.now());
        }
        info!(
            event = "tenants_elsewhere",
            elsewhere = self.slots().len(),
            unread,
            "other processes live, and keep their tenants"
        );
        ours
    }

    /// The vault may be slower to start than we are.
    async fn insist<T, A>(&self, deadline: Instant, ask: impl Fn() -> A) -> Result<T, RestoreError>
    where
        A: Future<Output = Result<T, VaultError>>,
    {
        let mut failures = 0_u32;
        let limit = self.settings.restore.deadline;
        let silent = || VaultError::Unavailable("no answer".into());
        loop {
            let error = match timeout_at(deadline, ask()).await {
                Ok(Ok(listed)) => return Ok(listed),
                Ok(Err(error)) => error,
                Err(_) => return Err(RestoreError::Vault(limit, silent())),
            };
            let wait = LISTING_RETRIES.whole(failures);
            if Instant::now() + wait >= deadline {
                return Err(RestoreError::Vault(limit, error));
            }
            warn!(event = "tenants_unlisted", %error, "the vault does not list the tenants yet");
            sleep(wait).await;
            failures = failures.saturating_add(1);
        }
    }

    /// Whoever has come since the owners were read may have taken it: a restore lasts.
    async fn open_in_restore(&self, tenant: &TenantId) -> Result<Session, FleetError> {
        let slot = self.slot_of(tenant);
        slot.expect_state();
        crash::pause("restoring").await;
        if !self.living_peers().is_empty()
            && let Err(error) = self.check_unowned(&slot).await
        {
            if !matches!(error, FleetError::Moved) {
                slot.failed(self.unread_owner(&error));
                self.env.ended.note(tenant);
            }
            return Err(error);
        }
        self.open(&slot, true).await
    }

    async fn hydrate(
        self: &Arc<Self>,
        tenants: Vec<TenantId>,
        size: usize,
        batches: usize,
        deadline: Instant,
    ) -> Vec<(TenantId, RestoreOutcome)> {
        let limit = self.settings.restore.tenant_timeout;
        let mut connecting = JoinSet::new();
        let mut waiting = BTreeSet::new();
        let total = tenants.len();
        let mut hydrating = stream::iter(tenants)
            .map(|tenant| {
                let fleet = self.clone();
                async move {
                    let began = Instant::now();
                    // A task of its own: a slow one goes on when its limit is over.
                    let opening = fleet.tasks.spawn({
                        let (fleet, tenant) = (fleet.clone(), tenant.clone());
                        async move { fleet.open_in_restore(&tenant).await }
                    });
                    (tenant, began, timeout(limit.min(deadline - began), opening).await)
                }
            })
            .buffer_unordered(size);
        let mut done = 0;
        let mut outcomes = Vec::new();
        while let Some((tenant, began, opened)) = hydrating.next().await {
            done += 1;
            if done % size == 0 || done == total {
                info!(
                    event = "restore_progress",
                    batch = done.div_ceil(size),
                    batches,
                    hydrated = done,
                    tenants = total,
                    "hydrated"
                );
            }
            match opened {
                Ok(Ok(Ok(session))) => {
                    waiting.insert(tenant.clone());
                    connecting.spawn(async move {
                        session.resume().await;
                        let mut status = session.watch();
                        let settled = status.wait_for(|status| {
                            matches!(status.state, State::Working | State::Failed)
                                || (status.state == State::Stopped && (!status.paired || session.is_stopped()))
                        });
                        let outcome = match timeout_at((began + limit).min(deadline), settled).await {
                            Ok(Ok(status)) if status.state == State::Working || session.is_stopped() => {
                                RestoreOutcome::Up
                            }
                            Ok(Ok(status)) => RestoreOutcome::Failed(status.reason.clone()),
                            _ => RestoreOutcome::Late,
                        };
                        (tenant, outcome)
                    });
                }
                Ok(Ok(Err(FleetError::Moved))) => outcomes.push((tenant, RestoreOutcome::Elsewhere)),
                Ok(Ok(Err(_))) => {
                    let reason = self.status(&tenant).map_or_else(String::new, |status| status.reason);
                    outcomes.push((tenant, RestoreOutcome::Failed(reason)));
                }
                Ok(Err(crash)) => {
                    outcomes.push((tenant, RestoreOutcome::Failed(format!("its opening crashed: {crash}"))))
                }
                Err(_) => outcomes.push((tenant, RestoreOutcome::Late)),
            }
        }
        let mut is_any_up = false;
        while let Some(joined) = next(&mut connecting, is_any_up.then_some(STRAGGLERS)).await {
            match joined {
                Ok((tenant, outcome)) => {
                    is_any_up |= matches!(outcome, RestoreOutcome::Up);
                    waiting.remove(&tenant);
                    outcomes.push((tenant, outcome));
                }
                Err(error) => warn!(event = "connecting_task_crashed", %error, "a connecting task crashed"),
            }
        }
        // Only the looking on ends.
        connecting.abort_all();
        outcomes.extend(waiting.into_iter().map(|tenant| (tenant, RestoreOutcome::Late)));
        outcomes
    }
}

/// The next one that is up or failed; `None`: there is none, or not within `limit`.
async fn next<T: 'static>(connecting: &mut JoinSet<T>, limit: Option<Duration>) -> Option<Result<T, JoinError>> {
    match limit {
        Some(limit) => timeout(limit, connecting.join_next()).await.ok().flatten(),
        None => connecting.join_next().await,
    }
}
