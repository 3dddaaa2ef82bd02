//! The directory, kept true.
//!
//! The directory (the tenants' records in the vault) says whom to restore, and other hands write there too: people, the pages of
//! dashboards, programs that shared it before. A tenant's journal knows better than its record whether it is paired. So a record that
//! is gone, or that says "not connected" of a tenant that is paired, is written anew, in the commit of a journal entry, and that is
//! told. Looked for from time to time, whenever somebody connects the tenant, and once after the start among those that were not
//! restored.

use std::{sync::Arc, time::Duration};

use rand::{SeedableRng as _, rngs::SmallRng};
use tokio::time::{sleep, timeout};
use tracing::{debug, error, warn};

use super::{Fleet, heartbeat::ticks, revival, takeback};
use crate::{
    journal::{self, Backoff},
    session::Session,
    store,
    tenant::{TenantId, TenantRecord},
    vault::{TenantInfo, VaultError},
};

const MENDED: &str = "the record said that the tenant is not connected, or was gone: written anew";

/// The vault's time for one record, while the others wait. A record that it writes later is written all the same.
const MEND_LIMIT: Duration = Duration::from_secs(20);

/// When a state is looked at again that could not be read: soon, since its tenant is offline; seldom in the end, since it may be damaged.
const UNREAD_STATE_BACKOFF: Backoff = Backoff { first: Duration::from_secs(1), cap: Duration::from_secs(300) };

/// Looks from time to time, until the fleet stops.
pub async fn watch(fleet: Arc<Fleet>) {
    let mut changes = fleet.env.heartbeat.subscribe();
    let directory = changes.borrow_and_update().directory;
    // Not at once: what was restored had good records.
    let mut tick = ticks(directory, directory);
    loop {
        tokio::select! {
            () = fleet.stop.cancelled() => return,
            Ok(()) = changes.changed() => {
                let directory = changes.borrow_and_update().directory;
                tick = ticks(directory, directory);
                continue;
            }
            _ = tick.tick() => {}
        }
        tokio::select! {
            () = fleet.stop.cancelled() => return,
            looked = look(&fleet) => if let Err(error) = looked {
                debug!(%error, "the directory is compared later");
            }
        }
    }
}

async fn look(fleet: &Arc<Fleet>) -> Result<(), VaultError> {
    let open: Vec<_> = fleet.slots().values().filter_map(|slot| slot.session()).collect();
    let records = fleet.env.vault.restorable().await?;
    let mut connected: Vec<String> = records.iter().map(|(id, _)| id.clone()).collect();
    connected.sort_unstable();
    for session in open {
        let is_connected = connected.binary_search_by(|id| id.as_str().cmp(session.tenant().as_str())).is_ok();
        if session.status().paired
            && !is_connected
            && let Err(error) = check(fleet, &session).await
        {
            debug!(tenant = %session.tenant(), %error, "its record is compared later");
        }
    }
    takeback::take_over_orphans(fleet, records).await
}

/// Reads the record of an open tenant, and writes it anew if it is wrong.
pub(super) async fn check(fleet: &Fleet, session: &Session) -> Result<(), VaultError> {
    let record = match fleet.env.vault.tenant(session.tenant()).await {
        // Somebody else's business: it parses, or an operator mends it.
        Err(VaultError::Malformed(_)) => return Ok(()),
        record => record?,
    };
    mend(fleet, session, record.as_ref()).await
}

async fn mend(fleet: &Fleet, session: &Session, record: Option<&TenantRecord>) -> Result<(), VaultError> {
    let tenant = session.tenant();
    if !session.status().paired || record.is_some_and(|record| record.whatsapp_connected) {
        return Ok(());
    }
    // The journal's decision needs a record to be written into.
    let told = TenantInfo {
        last_error: Some(Some(MENDED.into())),
        last_error_at: Some(Some(fleet.env.clock.now())),
        ..TenantInfo::default()
    };
    fleet.env.vault.notice(tenant, &told).await?;
    match session.store().affirm_pairing().await {
        Ok(Some(change)) => {
            if let Ok(Ok(())) = timeout(MEND_LIMIT, session.store().wait(change)).await {
                warn!(event = "directory_record_mended", %tenant, gone = record.is_none(), "{MENDED}");
                fleet.incidents.count_mended();
            }
        }
        // Unlinked meanwhile: the record was right.
        Ok(None) => {}
        Err(error) => {
            warn!(event = "directory_record_unmended", %tenant, %error, "the directory's record was not mended")
        }
    }
    Ok(())
}

/// Brings back tenants that are paired, as their journals say, and that the directory does not have as connected. After the port is open:
/// it reads every other tenant's state. Returns those whose state could not be read.
pub async fn restore_forgotten(fleet: &Arc<Fleet>) -> Vec<TenantId> {
    let mut pause = RetryPause::new();
    let remembered = loop {
        match fleet.env.vault.remembered().await {
            Ok(remembered) => break remembered,
            Err(error) => {
                warn!(
                    event = "directory_unsearched",
                    %error,
                    "tenants that the directory has lost are looked for later"
                )
            }
        }
        pause.wait().await;
    };
    restore_paired(fleet, remembered.iter().filter_map(|name| name.parse().ok()).collect()).await
}

/// Looks at them again until they can be read: nobody else looks for them.
pub async fn restore_unread(fleet: &Arc<Fleet>, mut unread: Vec<TenantId>) {
    let mut pause = RetryPause::new();
    while !unread.is_empty() {
        pause.wait().await;
        unread = restore_paired(fleet, unread).await;
    }
}

/// Returns those whose state could not be read.
async fn restore_paired(fleet: &Arc<Fleet>, tenants: Vec<TenantId>) -> Vec<TenantId> {
    let mut unread = Vec::new();
    for tenant in tenants {
        if fleet.slot(&tenant).is_some() {
            continue;
        }
        match is_paired(fleet, &tenant).await {
            Ok(false) => {}
            Ok(true) => {
                warn!(
                    event = "directory_record_wrong",
                    %tenant,
                    "the directory does not have it as connected, and its journal has it as paired: restoring it"
                );
                let slot = fleet.slot_of(&tenant);
                slot.expect_state();
                // It looks whether another process has it, until the vault says so.
                revival::revive(fleet, slot);
            }
            Err(error) => {
                error!(
                    event = "tenant_state_unreadable",
                    %tenant,
                    error = format!("{error:#}"),
                    "tenant state cannot be read: whether it is paired is unknown"
                );
                unread.push(tenant);
            }
        }
    }
    unread
}

/// Between two looks at what could not be read: longer each time.
pub struct RetryPause {
    rng: SmallRng,
    taken: u32,
}

impl RetryPause {
    pub fn new() -> Self {
        Self { rng: SmallRng::from_os_rng(), taken: 0 }
    }

    pub async fn wait(&mut self) {
        sleep(UNREAD_STATE_BACKOFF.pause(self.taken, &mut self.rng)).await;
        self.taken += 1;
    }
}

/// Asks the tenant's journal. Does not take the tenant over.
pub(super) async fn is_paired(fleet: &Fleet, tenant: &TenantId) -> anyhow::Result<bool> {
    Ok(store::is_paired(&journal::look(&fleet.env.journal_context(tenant, false)).await?)?)
}
