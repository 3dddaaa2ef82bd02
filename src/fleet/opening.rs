//! Opens a tenant's session, by one task at a time, and closes what is left of the one before.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, timeout};
use tracing::{debug, error};

use super::{
    Fleet, FleetError,
    slot::{OpenFailure, OpenFailureKind, Slot},
    standing,
};
use crate::{
    crash,
    journal::{Damage, OpenError},
    session::{End, Prepared, Session, SessionError},
    store::StoreError,
    telemetry::{metrics, traces},
    tenant::TenantId,
    vault::TenantInfo,
};

/// How long the vault may take for the last changes of a session that ended, before that is tried anew.
pub(super) const FLUSH_LIMIT: Duration = Duration::from_secs(20);

impl Fleet {
    /// The tenant's session; opens it, makes the tenant if it is new, takes it over if no process that lives has it. Does not connect.
    pub async fn open_or_create(self: &Arc<Self>, tenant: &TenantId) -> Result<Session, FleetError> {
        if self.is_draining() {
            return Err(FleetError::Draining);
        }
        match self.await_session(tenant).await {
            Ok(session) => Ok(session),
            Err(_) => self.spawn_open(tenant).await,
        }
    }

    /// Goes on when nobody waits any more: half an opening would keep the tenant's place, and nobody would look after it.
    pub(super) async fn spawn_open(self: &Arc<Self>, tenant: &TenantId) -> Result<Session, FleetError> {
        if self.is_draining() {
            return Err(FleetError::Draining);
        }
        let (fleet, tenant) = (self.clone(), tenant.clone());
        self.finish(async move { fleet.open_by_record(&tenant).await }).await
    }

    pub(super) async fn open_by_record(&self, tenant: &TenantId) -> Result<Session, FleetError> {
        if let Some(slot) = self.slot(tenant) {
            if let Some(session) = slot.session() {
                return Ok(session);
            }
            if self.is_served_elsewhere(&slot) {
                return Err(FleetError::Moved);
            }
            if slot.is_deleted() {
                // Made anew when that is over.
                return Err(FleetError::Restoring);
            }
        }
        if self.is_leaving() {
            return Err(FleetError::Draining);
        }
        let record = match self.env.vault.tenant(tenant).await {
            Ok(record) => record,
            Err(error) => return Err(self.unreadable(&error)),
        };
        if record.as_ref().is_none_or(|record| record.deleted_at.is_some()) {
            let made = TenantInfo { deleted_at: record.as_ref().map(|_| None), ..TenantInfo::default() };
            self.env.vault.notice(tenant, &made).await.map_err(|_| FleetError::VaultDown)?;
            self.records.invalidate();
        }
        let slot = self.slot_of(tenant);
        crash::pause("owner").await;
        if let Err(error) = self.check_unowned(&slot).await {
            if record.as_ref().is_some_and(|record| record.whatsapp_connected) {
                slot.expect_state();
            }
            if !matches!(error, FleetError::Moved) {
                // It goes on by itself, as if the opening had failed.
                slot.failed(self.unread_owner(&error));
                self.env.ended.note(tenant);
            }
            return Err(error);
        }
        let known = record.as_ref().is_some_and(|record| record.whatsapp_connected);
        slot.set_known_number(record.and_then(|record| record.phone_number));
        self.open(&slot, known || slot.was_paired()).await
    }

    /// Opens the tenant once, however many ask. `known`: there must be a state.
    pub(super) async fn open(&self, slot: &Slot, known: bool) -> Result<Session, FleetError> {
        self.open_prepared(slot, known, None).await
    }

    /// As [`Self::open`], of a tenant that was read before.
    pub(super) async fn open_prepared(
        &self,
        slot: &Slot,
        known: bool,
        prepared: Option<Prepared>,
    ) -> Result<Session, FleetError> {
        let tenant = &slot.tenant;
        if known {
            // Should this try fail: the next must know it as well.
            slot.expect_state();
        }
        let _opening = slot.opening.lock().await;
        if self.is_draining() {
            return Err(FleetError::Draining);
        }
        if !self.has(slot) {
            return Err(FleetError::Restoring);
        }
        if let Some(session) = slot.session() {
            return Ok(session);
        }
        let failure = if timeout(FLUSH_LIMIT, self.close_ended(slot)).await.is_err() {
            let reason = "the vault did not take the last changes of the session that ended".to_owned();
            OpenFailure { reason, at: self.env.clock.now(), kind: OpenFailureKind::VaultDown }
        } else {
            let (number, newest) = (slot.known_number(), slot.newest_event());
            let (began, reason) = (Instant::now(), standing::takeover_reason(slot));
            // What this process has sealed itself says nothing of its keys.
            let was_sealed_before = known && matches!(slot.end(), None | Some(End::Moved));
            crash::pause("opening").await;
            let env = self.env.clone();
            let opened = Session::open(env, tenant.clone(), known, newest, number.as_deref(), prepared).await;
            match opened {
                Ok(session) => {
                    metrics::tenant_opened(reason, began.elapsed());
                    traces::opening(tenant, began.elapsed());
                    self.incidents.count_opened(session.store().journal());
                    if was_sealed_before {
                        self.illegible.note_opened(tenant);
                    }
                    slot.opened(session.clone());
                    self.observers.get().into_iter().flatten().for_each(|observer| observer.opened(&session));
                    return Ok(session);
                }
                Err(error) => self.failure(&error),
            }
        };
        error!(
            event = "tenant_failed",
            %tenant,
            reason = failure.reason,
            transient = failure.is_transient(),
            "the tenant cannot be opened"
        );
        slot.failed(failure.clone());
        if failure.is_transient() {
            self.env.ended.note(tenant);
        }
        Err(failure.error())
    }

    /// Closes the session that ended by itself, if there is one.
    pub(super) async fn close_ended(&self, slot: &Slot) {
        if let Some(session) = slot.unclosed().filter(|session| session.end().is_some()) {
            let journal = session.store().journal();
            if let Some(End::CopyFailed(_)) = session.end() {
                // The next one reads what the vault has now: should that be less than it had, this is the last who notices.
                let _ = journal.confirm().await;
            }
            session.close().await;
            self.incidents.count_closed(journal);
            slot.closed();
        }
    }

    /// As [`Self::close_ended`], for a tenant that another process has; the slot stays, empty.
    pub(super) async fn close_moved(&self, slot: &Slot) {
        let _opening = slot.opening.lock().await;
        if timeout(FLUSH_LIMIT, self.close_ended(slot)).await.is_err() {
            debug!(tenant = %slot.tenant, "what another process has is closed later");
        }
    }

    fn failure(&self, error: &SessionError) -> OpenFailure {
        let kind = match error {
            SessionError::Journal(OpenError::Vault(_)) => OpenFailureKind::VaultDown,
            SessionError::Journal(OpenError::Taken) => OpenFailureKind::Taken,
            SessionError::Journal(OpenError::Damaged(Damage::NoHistory)) => OpenFailureKind::NoHistory,
            SessionError::Journal(OpenError::Damaged(_)) => OpenFailureKind::Damaged,
            // It was hydrated as it is in the vault.
            SessionError::Store(StoreError::Record { .. } | StoreError::Device { .. } | StoreError::Setting { .. }) => {
                OpenFailureKind::Damaged
            }
            SessionError::Store(_) => OpenFailureKind::Disk,
        };
        OpenFailure { reason: error.to_string(), at: self.env.clock.now(), kind }
    }
}
