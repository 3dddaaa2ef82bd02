//! All tenants' figures for metrics, from memory only.

use jiff::Timestamp;

use super::{Fleet, slot::Slot};
use crate::{
    session::{End, Standing, State},
    telemetry::metrics::label::TakeoverReason,
    tenant::TenantId,
};

/// How a tenant stands.
#[derive(Debug, Clone)]
pub struct TenantStanding {
    pub tenant: TenantId,
    pub state: State,
    /// WhatsApp has logged it out, and nobody has scanned since.
    pub needs_scan: bool,
    /// It has credentials that WhatsApp has not rejected.
    pub is_paired: bool,
    /// For so long it is as it is.
    pub since: Timestamp,
    /// Of the session, as long as there is one that is not closed.
    pub session: Option<Standing>,
}

impl Fleet {
    /// How all tenants stand, in no order.
    pub fn standings(&self) -> Vec<TenantStanding> {
        // Not under the lock: it is everybody's.
        let slots: Vec<_> = self.slots().values().cloned().collect();
        let standing = |slot: &Slot| {
            let status = slot.status(self.started_at);
            let session = slot.unclosed().map(|session| session.standing());
            TenantStanding {
                tenant: slot.tenant.clone(),
                state: status.state,
                needs_scan: status.rejected,
                is_paired: status.paired,
                since: status.since,
                session,
            }
        };
        slots.iter().map(|slot| standing(slot)).collect()
    }
}

/// Why a tenant is opened now: it had no session in this process, or the one that it had ended by itself.
pub(super) fn takeover_reason(slot: &Slot) -> TakeoverReason {
    match slot.end() {
        None => TakeoverReason::First,
        Some(End::Moved) => TakeoverReason::Moved,
        Some(End::CopyFailed(_)) => TakeoverReason::CopyFailed,
        Some(End::Crashed) => TakeoverReason::Crashed,
        Some(End::VaultRefused(_)) => TakeoverReason::VaultRefused,
    }
}
