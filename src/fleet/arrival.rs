//! A tenant that another process has, or is handing over to this one, and whoever asks for it here. While it is on its way he waits, and is
//! told to come again only when that takes too long; a process that lives keeps it, and one that has died holds nobody.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, timeout};
use tracing::{debug, warn};

use super::{
    Fleet, FleetError, directory,
    heartbeat::{CONNECTING, DISCONNECTED},
    slot::Slot,
};
use crate::{
    session::{Session, Status, is_on_screen},
    tenant::{TenantId, TenantRecord},
    vault::InstanceId,
};

/// An owner that does not answer is taken from after two seconds, and opening a tenant takes a moment. Whoever waits longer holds a
/// connection that others need.
const ARRIVAL_TIMEOUT: Duration = Duration::from_secs(5);

/// A request waits so long for a tenant to be opened that it, or another, has asked for. That goes on meanwhile.
const CLAIM_TIMEOUT: Duration = Duration::from_secs(20);

/// After a vault that did not answer a request for a tenant, the next one is refused for so long without asking it.
const CLAIM_PAUSE: Duration = Duration::from_secs(1);

impl Fleet {
    /// The tenant's session, also one that is on its way here; why there is none.
    pub(super) async fn await_session(&self, tenant: &TenantId) -> Result<Session, FleetError> {
        let arrival = async {
            loop {
                // Before the look: what happens after it is not missed.
                let change = self.handovers.progress.notified();
                if let Some(session) = self.session(tenant) {
                    return Some(session);
                }
                // It is the next that its owner is asked for.
                if !self.handovers.book().joiner.hurry(tenant) {
                    return self.session(tenant);
                }
                change.await;
            }
        };
        let arrived = timeout(ARRIVAL_TIMEOUT, arrival).await.unwrap_or_default();
        arrived.ok_or_else(|| self.refusal(tenant))
    }

    /// As [`Self::await_session`], for whoever wants something of the tenant by its name: one whose process has died is taken back, and one
    /// that another process has made after this one began is known to be there.
    pub(super) async fn await_or_reclaim(self: &Arc<Self>, tenant: &TenantId) -> Result<Session, FleetError> {
        let refusal = match self.await_session(tenant).await {
            Err(error @ (FleetError::Moved | FleetError::NotOpen | FleetError::Restoring)) => error,
            known => return known,
        };
        let slot = match self.slot(tenant) {
            Some(slot) => slot,
            None => self.place_of_anothers(tenant).await?.ok_or(refusal)?,
        };
        match self.reclaim(&slot).await {
            // Its owner deleted it before it died.
            Err(FleetError::Unknown) => Err(FleetError::NotOpen),
            known => known,
        }
    }

    /// The session of a tenant that had none just now: it is taken back from a process that has died. An error says why there is none.
    pub(super) async fn reclaim(self: &Arc<Self>, slot: &Slot) -> Result<Session, FleetError> {
        self.await_owner(slot).await?;
        if let Some(session) = slot.session() {
            return Ok(session);
        }
        if self.is_served_elsewhere(slot) {
            return Err(FleetError::Moved);
        }
        // A tenant that cannot be opened is tried again with backoff: a request makes it no quicker.
        let has_failed = slot.failure().is_some() && !slot.was_taken();
        if has_failed || !slot.is_moved() {
            return Err(slot.refusal());
        }
        self.taken_back(slot).await
    }

    /// How the tenant stands, for whoever asks for it by name; `None`: no process has it, as far as this one can know. How a tenant stands
    /// that a process has which lives only that one can say: that is an error. One whose process has died is taken back.
    pub async fn current_status(self: &Arc<Self>, tenant: &TenantId) -> Result<Option<Status>, FleetError> {
        let slot = match self.slot(tenant) {
            Some(slot) => slot,
            None => match self.place_of_anothers(tenant).await? {
                Some(slot) => slot,
                None => return Ok(None),
            },
        };
        self.await_owner(&slot).await?;
        if !slot.is_moved() {
            return Ok(Some(slot.status(self.started_at)));
        }
        if let Ok(session) = self.await_session(tenant).await {
            return Ok(Some(session.status()));
        }
        if self.is_served_elsewhere(&slot) {
            return Err(FleetError::Moved);
        }
        // A tenant that cannot be opened is tried again with backoff: a request makes it no quicker.
        let has_failed = || slot.failure().is_some() && !slot.was_taken();
        if has_failed() {
            return Ok(Some(slot.status(self.started_at)));
        }
        match self.taken_back(&slot).await {
            Ok(session) => Ok(Some(session.status())),
            Err(FleetError::Unknown) => Ok(None),
            Err(error @ (FleetError::Moved | FleetError::Draining | FleetError::VaultDown)) => Err(error),
            Err(_) if has_failed() => Ok(Some(slot.status(self.started_at))),
            Err(error) => Err(error),
        }
    }

    /// Somebody else may be looking up who has the tenant, or opening it: until that is over nobody knows how it stands. An error: it takes
    /// too long. One that is being opened is this process's, as far as the vault said.
    async fn await_owner(&self, slot: &Slot) -> Result<(), FleetError> {
        if !slot.is_unsettled() || self.living_peers().is_empty() {
            return Ok(());
        }
        let _ = timeout(ARRIVAL_TIMEOUT, slot.settle()).await;
        let is_being_opened = || slot.opening.try_lock().is_err();
        if slot.is_unsettled() && !is_being_opened() { Err(FleetError::Restoring) } else { Ok(()) }
    }

    /// The place of a tenant that was paired at another process after this one had begun: it has none yet.
    async fn place_of_anothers(&self, tenant: &TenantId) -> Result<Option<Arc<Slot>>, FleetError> {
        // Nobody else can have it, and whoever asks for it again and again costs the vault no reads.
        if self.living_peers().is_empty() && self.dead_peers().is_empty() {
            return Ok(None);
        }
        let Some(record) = self.record(tenant).await? else { return Ok(None) };
        let owner = self.living_owner(tenant).await.map_err(|error| self.unreadable(&error))?;
        if owner.is_none() && !record.whatsapp_connected {
            return Ok(None);
        }
        let slot = self.slot_of(tenant);
        if record.whatsapp_connected {
            slot.expect_state();
        }
        // Also one that nobody has: should it not be opened now, it is looked after as what others have taken.
        slot.set_elsewhere(owner, self.env.clock.now());
        Ok(Some(slot))
    }

    /// Takes a tenant that nobody has paired from a process that lives, and that cannot be reached at its address: whoever wants to pair it
    /// here would be refused as long as that one lives, and there is no login of which WhatsApp could see two. Not one with a code on
    /// somebody's screen there, nor one that has been paired there meanwhile. False: it stays where it is.
    pub async fn take_unreachable(self: &Arc<Self>, tenant: &TenantId, owner: &InstanceId) -> bool {
        if self.is_draining() || self.is_leaving() {
            return false;
        }
        if !matches!(&self.env.vault.tenant(tenant).await, Ok(Some(record)) if is_nobodys_yet(record))
            || !matches!(self.living_owner(tenant).await, Ok(Some(found)) if found == *owner)
        {
            return false;
        }
        // The directory may not know of a scan yet; what cannot be read stays where it can.
        match directory::is_paired(self, tenant).await {
            Ok(false) => {}
            Ok(true) => return false,
            Err(error) => {
                debug!(%tenant, %error, "whether it is paired cannot be read: it stays where it is");
                return false;
            }
        }
        warn!(
            event = "unpaired_tenant_taken",
            %tenant,
            owner = %owner.0,
            "the process that has an unpaired tenant cannot be reached: it is taken over"
        );
        let slot = self.slot_of(tenant);
        // It is as if that one had let go of it.
        slot.set_giver(owner.clone());
        let (fleet, opened) = (self.clone(), slot.clone());
        let taken = self.finish(async move { fleet.open(&opened, false).await }).await;
        if let Err(error) = &taken {
            debug!(%tenant, %error, "it stays where it is");
            slot.set_elsewhere(Some(owner.clone()), self.env.clock.now());
        }
        taken.is_ok()
    }

    /// Opens and connects it, once for all who ask, a few tenants at a time: should each of those who ask for a dead process's tenants ask
    /// the vault, that would answer nobody. Goes on when nobody waits any more: a session that is open and not connected would stay so
    /// until the next heartbeat.
    async fn taken_back(self: &Arc<Self>, slot: &Slot) -> Result<Session, FleetError> {
        if self.is_draining() {
            return Err(FleetError::Draining);
        }
        timeout(CLAIM_TIMEOUT, self.claimed(slot)).await.unwrap_or(Err(FleetError::Restoring))
    }

    async fn claimed(self: &Arc<Self>, slot: &Slot) -> Result<Session, FleetError> {
        let asked = Instant::now();
        let mut refused = slot.claim.clone().lock_owned().await;
        if let Some(session) = slot.session() {
            return Ok(session);
        }
        if let Some((at, error)) = &*refused
            && (*at >= asked || matches!(error, FleetError::VaultDown) && at.elapsed() < CLAIM_PAUSE)
        {
            return Err(error.clone());
        }
        let (fleet, tenant) = (self.clone(), slot.tenant.clone());
        let taking = self.tasks.spawn(async move {
            let _turn = fleet.claiming.acquire().await;
            let taken = fleet.take_back(&tenant).await;
            *refused = taken.as_ref().err().map(|error| (Instant::now(), error.clone()));
            taken
        });
        taking.await.unwrap_or(Err(FleetError::Restoring))
    }

    async fn take_back(self: &Arc<Self>, tenant: &TenantId) -> Result<Session, FleetError> {
        // An opening makes a tenant that is not there: its owner may have deleted it.
        self.record(tenant).await?.ok_or(FleetError::Unknown)?;
        let session = self.open_by_record(tenant).await?;
        // One without a pairing waits for somebody who wants to scan.
        if session.status().paired {
            session.resume().await;
        }
        Ok(session)
    }
}

/// Neither paired nor about to be.
fn is_nobodys_yet(record: &TenantRecord) -> bool {
    !record.whatsapp_connected && record.deleted_at.is_none() && !is_being_paired(record)
}

/// Of a tenant that is not paired: a code of it may be on a screen, as far as the directory says, which is some seconds late.
pub(super) fn is_being_paired(record: &TenantRecord) -> bool {
    match record.status.as_deref() {
        Some(CONNECTING) => true,
        // Of another status it is the error before that.
        Some(DISCONNECTED) => record.last_error.as_deref().is_some_and(is_on_screen),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenant_with_a_code_on_a_screen_is_somebodys() {
        let record = |status: Option<&str>, error: Option<&str>| TenantRecord {
            id: "trattoria".parse().unwrap(),
            name: None,
            whatsapp_connected: false,
            phone_number: None,
            connected_at: None,
            status: status.map(str::to_owned),
            last_error: error.map(str::to_owned),
            last_error_at: None,
            deleted_at: None,
            config: serde_json::Value::Null,
        };
        assert!(is_nobodys_yet(&record(None, None)));
        assert!(is_nobodys_yet(&record(Some("disconnected"), Some("the QR code was not scanned"))));
        assert!(!is_nobodys_yet(&record(Some("disconnected"), Some("waiting for a scan"))));
        assert!(!is_nobodys_yet(&record(Some("disconnected"), Some("WhatsApp asks for a passkey"))));
        assert!(!is_nobodys_yet(&record(Some("connecting"), None)));
        assert!(!is_nobodys_yet(&TenantRecord { whatsapp_connected: true, ..record(None, None) }));
        assert!(!is_nobodys_yet(&TenantRecord { deleted_at: Some(jiff::Timestamp::UNIX_EPOCH), ..record(None, None) }));
    }
}
