//! Requests for a tenant by its name: its session, opened, taken back or made as far as the request may, and what is sent through it.

use std::sync::Arc;

use tracing::debug;

use super::{Fleet, FleetError, directory};
use crate::{
    message::{Acceptance, SendRequest},
    session::{AcceptError, CodeRequestError, FileSource, Session},
    tenant::TenantId,
};

impl Fleet {
    /// The tenant's session; `None`: there is none to be expected soon. One whose process has died is taken back.
    pub async fn serving(self: &Arc<Self>, tenant: &TenantId) -> Result<Option<Session>, FleetError> {
        expected(self.await_or_reclaim(tenant).await)
    }

    /// As [`Self::serving`], and opens a tenant that the directory knows and that has no place here: one that was unlinked long ago is not
    /// opened at the start, and what it said is there.
    pub async fn serving_known(self: &Arc<Self>, tenant: &TenantId) -> Result<Option<Session>, FleetError> {
        match self.serving(tenant).await? {
            None if self.slot(tenant).is_none() => expected(self.open_known_in_turn(tenant).await),
            session => Ok(session),
        }
    }

    /// As [`Self::serving`], and takes nothing back.
    pub async fn serving_here(&self, tenant: &TenantId) -> Result<Option<Session>, FleetError> {
        expected(self.await_session(tenant).await)
    }

    /// The tenant's session, opened if the directory knows the tenant; not taken from a process that lives.
    pub async fn open_known(self: &Arc<Self>, tenant: &TenantId) -> Result<Session, FleetError> {
        match self.await_session(tenant).await {
            Ok(session) => Ok(session),
            Err(_) => self.open_known_now(tenant).await,
        }
    }

    /// As [`Self::open_known`], a few at a time: for requests that many may make at once, as all dashboards do after
    /// a restart.
    pub async fn open_known_in_turn(self: &Arc<Self>, tenant: &TenantId) -> Result<Session, FleetError> {
        if let Ok(session) = self.await_session(tenant).await {
            return Ok(session);
        }
        let _turn = self.visiting.acquire().await;
        self.open_known_now(tenant).await
    }

    async fn open_known_now(self: &Arc<Self>, tenant: &TenantId) -> Result<Session, FleetError> {
        // Looked after, with backoff: a caller more makes it no quicker.
        if let Some(slot) = self.slot(tenant)
            && slot.session().is_none()
            && (slot.end().is_some() || slot.is_moved())
        {
            return self.reclaim(&slot).await;
        }
        match self.env.vault.tenant(tenant).await {
            Ok(record) if record.as_ref().is_none_or(|record| record.deleted_at.is_some()) => Err(FleetError::Unknown),
            _ => self.spawn_open(tenant).await,
        }
    }

    /// Why the tenant has no session now.
    pub fn refusal(&self, tenant: &TenantId) -> FleetError {
        self.slot(tenant).map_or(FleetError::NotOpen, |slot| slot.refusal())
    }

    /// As [`Self::open_known`], and also takes back a tenant whose process has died.
    pub async fn open_or_reclaim(self: &Arc<Self>, tenant: &TenantId) -> Result<Session, FleetError> {
        match self.open_known(tenant).await {
            Err(FleetError::Moved | FleetError::Restoring) => self.open_or_create(tenant).await,
            known => known,
        }
    }

    /// Opens the tenant, makes it if it is new, takes it over if no process that lives has it, and connects it.
    pub async fn connect(self: &Arc<Self>, tenant: &TenantId) -> Result<Session, FleetError> {
        let session = self.open_for_connect(tenant).await?;
        session.connect().await;
        Ok(session)
    }

    /// As [`Self::connect`] without the connecting: for a caller that connects and waits for it.
    pub async fn open_for_connect(self: &Arc<Self>, tenant: &TenantId) -> Result<Session, FleetError> {
        let session = self.open_or_create(tenant).await?;
        refuse_exported(&session)?;
        if session.status().paired {
            let (fleet, session) = (self.clone(), session.clone());
            self.tasks.spawn(self.stop.clone().run_until_cancelled_owned(async move {
                if let Err(error) = directory::check(&fleet, &session).await {
                    debug!(tenant = %session.tenant(), %error, "its record is compared later");
                }
            }));
        }
        Ok(session)
    }

    pub async fn request_code(
        self: &Arc<Self>,
        tenant: &TenantId,
        phone: &str,
    ) -> Result<Result<String, CodeRequestError>, FleetError> {
        let session = self.open_or_create(tenant).await?;
        refuse_exported(&session)?;
        Ok(session.request_code(phone).await)
    }

    /// The inner error: the session's own no.
    pub async fn send(
        self: &Arc<Self>,
        tenant: &TenantId,
        request: &SendRequest,
        key: Option<&str>,
    ) -> Result<Result<Acceptance, AcceptError>, FleetError> {
        if self.is_draining() {
            return Err(FleetError::Draining);
        }
        let session = self.await_or_reclaim(tenant).await?;
        Ok(session.send(request, key).await)
    }

    /// As [`Self::send`], with a file.
    pub async fn send_file(
        self: &Arc<Self>,
        tenant: &TenantId,
        request: &SendRequest,
        source: FileSource,
        key: Option<&str>,
    ) -> Result<Result<Acceptance, AcceptError>, FleetError> {
        if self.is_draining() {
            return Err(FleetError::Draining);
        }
        let session = self.await_or_reclaim(tenant).await?;
        Ok(session.send_file(request, source, key).await)
    }
}

/// `None`: there is no session, and there will be none soon.
fn expected(session: Result<Session, FleetError>) -> Result<Option<Session>, FleetError> {
    match session {
        Ok(session) => Ok(Some(session)),
        Err(error @ (FleetError::Restoring | FleetError::VaultDown | FleetError::Moved | FleetError::Draining)) => {
            Err(error)
        }
        Err(_) => Ok(None),
    }
}

/// Two gateways with one device would use the same keys.
fn refuse_exported(session: &Session) -> Result<(), FleetError> {
    session.exported().map_or(Ok(()), |exported| Err(FleetError::Exported(exported.words())))
}
