//! A tenant that another process is handing over to this one: whoever asks for it meanwhile waits, and is told to come again only when
//! that takes too long.

use std::time::Duration;

use tokio::time::timeout;

use super::{Fleet, FleetError};
use crate::{session::Session, tenant::TenantId};

/// An owner that does not answer is taken from after two seconds, and opening a tenant takes a moment. Whoever waits longer holds a
/// connection that others need.
const ARRIVAL_TIMEOUT: Duration = Duration::from_secs(5);

impl Fleet {
    /// The tenant's session, also one that is on its way here; why there is none.
    pub(super) async fn running(&self, tenant: &TenantId) -> Result<Session, FleetError> {
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
}
