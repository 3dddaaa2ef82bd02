//! The directory, kept true.
//!
//! The directory (the tenants' records in the vault) says whom to restore, and other hands write there too: people, the pages of
//! dashboards, programs that shared it before. A tenant's journal knows better than its record whether it is paired. So a record that
//! is gone, or that says "not connected" of a tenant that is paired, is written anew, in the commit of a journal entry, and that is
//! told. Looked for from time to time, whenever somebody connects the tenant, and once after the start among those that were not
//! restored.

use std::{sync::Arc, time::Duration};

use rand::{SeedableRng as _, rngs::SmallRng};
use tokio::time::{MissedTickBehavior, interval, timeout};
use tracing::{debug, error, warn};

use super::{Fleet, revival};
use crate::{
    journal,
    session::Session,
    store,
    tenant::{TenantId, TenantRecord},
    vault::{Notice as Record, VaultError},
};

const MENDED: &str = "the record said that the tenant is not connected, or was gone: written anew";

/// The vault's time for one record, while the others wait. A record that it writes later is written all the same.
const MEND_LIMIT: Duration = Duration::from_secs(20);

/// Looks from time to time, until the fleet stops.
pub async fn watch(fleet: Arc<Fleet>) {
    let mut tick = interval(fleet.settings.heartbeat.directory);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // The first is at once: what was restored had good records.
    tick.tick().await;
    loop {
        tokio::select! {
            () = fleet.stop.cancelled() => return,
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
    if !open.iter().any(|session| session.status().paired) {
        return Ok(());
    }
    let mut connected: Vec<String> = fleet.env.vault.restorable().await?.into_iter().map(|(id, _)| id).collect();
    connected.sort_unstable();
    for session in open {
        let is_connected = connected.binary_search_by(|id| id.as_str().cmp(session.tenant().as_str())).is_ok();
        if session.status().paired && !is_connected {
            check(fleet, &session).await?;
        }
    }
    Ok(())
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
    let told = Record {
        last_error: Some(Some(MENDED.into())),
        last_error_at: Some(Some(fleet.env.clock.now())),
        ..Record::default()
    };
    fleet.env.vault.notice(tenant, &told).await?;
    match session.store().affirm_pairing().await {
        Ok(Some(change)) => {
            if let Ok(Ok(())) = timeout(MEND_LIMIT, session.store().wait(change)).await {
                warn!(%tenant, gone = record.is_none(), "{MENDED}");
                fleet.incidents.count_mended();
            }
        }
        // Unlinked meanwhile: the record was right.
        Ok(None) => {}
        Err(error) => warn!(%tenant, %error, "the directory's record was not mended"),
    }
    Ok(())
}

/// Brings back tenants that are paired, as their journals say, and that the directory does not have as connected. After the port is open:
/// it reads every other tenant's state.
pub async fn restore_forgotten(fleet: Arc<Fleet>) {
    let remembered = match fleet.env.vault.remembered().await {
        Ok(remembered) => remembered,
        Err(error) => return warn!(%error, "tenants that the directory has lost are not looked for"),
    };
    for name in remembered {
        let Ok(tenant) = name.parse::<TenantId>() else { continue };
        if fleet.slot(&tenant).is_some() {
            continue;
        }
        match is_paired(&fleet, &tenant).await {
            Ok(false) => {}
            Ok(true) => {
                warn!(%tenant, "the directory does not have it as connected, and its journal has it as paired: restoring it");
                let slot = fleet.slot_of(&tenant);
                slot.expect_state();
                revival::take(&fleet, slot);
            }
            Err(error) => error!(%tenant, error = format!("{error:#}"), "whether it is paired cannot be read"),
        }
    }
}

/// What its journal says. Does not take the tenant over.
async fn is_paired(fleet: &Fleet, tenant: &TenantId) -> anyhow::Result<bool> {
    let env = &fleet.env;
    let context = journal::Context {
        vault: env.vault.clone(),
        seal: env.keyring.tenant(tenant),
        tenant: tenant.clone(),
        writer: env.instance.clone(),
        clock: env.clock.clone(),
        policy: env.policy.clone(),
        rng: SmallRng::from_os_rng(),
        expect_history: false,
        check: Some(store::check),
    };
    Ok(store::is_paired(&journal::look(&context).await?)?)
}
