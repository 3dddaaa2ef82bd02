//! The old service's tenants come in when the daemon starts (`import.on_start`), so that the switch of a fleet is one deploy.
//!
//! Owns who is taken: whoever is connected in the old place, and was never linked here. Promises:
//!
//! - Each at most once, over restarts too: the entry that brings a tenant in remembers it, also when the tenant is unlinked or deleted
//!   later. Whoever was refused is tried again at the next start.
//! - The port waits until the deadline at the most, and not longer because the old place is silent, refuses, or is full of broken tenants.
//!   What is left then comes in while the daemon serves.
//! - A tenant comes in as by a request ([`Fleet::move_in`]): whole or not at all. It is connected at once.

use std::{collections::HashSet, sync::Arc};

use futures::future::join_all;
use tokio::time::{Instant, timeout_at};
use tracing::{debug, info, warn};

use super::{Fleet, FleetError, MoveInError, directory::RetryPause, takeback};
use crate::{
    config,
    import::{CounterMargin, Finality, ImportError, ImportFailure, LiveError, LiveSource, RefusedImport, TenantPast},
    tenant::TenantId,
    vault::VaultError,
};

/// Tenants at a time, as in the restore.
const BATCH: usize = 5;
/// Names in the log, of each kind.
const NAMED: usize = 100;

/// Why the old place could not be gone through.
#[derive(Debug, thiserror::Error)]
enum StartImportError {
    #[error(transparent)]
    Source(#[from] ImportError),
    #[error(transparent)]
    Vault(#[from] VaultError),
}

impl From<LiveError> for StartImportError {
    fn from(error: LiveError) -> Self {
        ImportError::from(error).into()
    }
}

impl StartImportError {
    fn is_transient(&self) -> bool {
        match self {
            Self::Source(ImportError::Live(error)) => error.is_transient(),
            Self::Source(_) => false,
            Self::Vault(error) => matches!(error, VaultError::Unavailable(_)),
        }
    }
}

/// The outcome for one tenant of the old place.
enum Taken {
    Imported,
    /// It was not connected there.
    NotConnected,
    /// It has been linked here, by an import or by a scan.
    KnownHere,
    Refused(ImportFailure),
    /// It may be taken when it is tried again.
    Later(String),
}

/// The import of one start.
struct StartImport {
    fleet: Arc<Fleet>,
    place: config::Import,
    outbound: config::OutboundConfig,
    /// Those of which no more is to be said in this process.
    decided: HashSet<String>,
    imported: usize,
    refused: usize,
}

impl Fleet {
    /// Returns when everybody is in or was refused, and at the deadline.
    pub async fn import_at_start(self: &Arc<Self>, place: config::Import, outbound: config::OutboundConfig) {
        let deadline = Instant::now() + place.deadline;
        self.announce_first(deadline).await;
        let (decided, imported, refused) = (HashSet::new(), 0, 0);
        let import = StartImport { fleet: self.clone(), place, outbound, decided, imported, refused };
        let importing = self.tasks.spawn(self.stop.clone().run_until_cancelled_owned(import.run()));
        // It may take longer than others believe a process to live that says nothing.
        if !self.settings.is_sole {
            self.answer_letters();
        }
        let imported = tokio::select! {
            imported = timeout_at(deadline, importing) => imported,
            never = takeback::keep_announcing(self) => match never {},
        };
        match imported {
            Ok(Ok(_)) => {}
            Ok(Err(crash)) => warn!(event = "import_crashed", %crash, "the import from the old service crashed"),
            Err(_) => {
                warn!(
                    event = "import_slow",
                    "the import from the old service takes longer than import.deadline: it goes on beside the others"
                )
            }
        }
    }
}

impl StartImport {
    async fn run(mut self) {
        let began = Instant::now();
        let mut pause = RetryPause::new();
        loop {
            match self.pass().await {
                Ok(0) => break,
                Ok(left) => {
                    warn!(
                        event = "import_incomplete",
                        left, "tenants of the old service could not be read or written now: they are tried again"
                    )
                }
                Err(error) if error.is_transient() => {
                    warn!(event = "import_delayed", %error, "the old service's tenants are not taken yet")
                }
                Err(error) => {
                    warn!(
                        event = "import_failed",
                        %error,
                        "the old service's tenants are not taken: the next start tries again"
                    );
                    return;
                }
            }
            pause.wait().await;
        }
        info!(
            imported = self.imported,
            refused = self.refused,
            took.ms = began.elapsed().as_millis() as u64,
            "the old service's tenants are in"
        );
    }

    /// Goes through the old place once. How many are to be tried again.
    async fn pass(&mut self) -> Result<usize, StartImportError> {
        let source = LiveSource::realtime(&self.place, &self.outbound, None).await?;
        let names = source.names().await?;
        let directory = self.fleet.env.vault.tenants().await?;
        // One that does not parse is told by the restore.
        let known = directory.into_iter().filter(|(_, record)| {
            record.as_ref().map_or(true, |record| record.whatsapp_connected || record.deleted_at.is_some())
        });
        self.decided.extend(known.map(|(id, _)| id));
        let names: Vec<String> = names.into_iter().filter(|name| !self.decided.contains(name)).collect();
        info!(event = "import_started", tenants = names.len(), "the old service's tenants are looked at");
        let mut left = 0;
        for batch in names.chunks(BATCH) {
            let taken = join_all(batch.iter().map(|name| take(&self.fleet, &source, name))).await;
            for (name, taken) in batch.iter().zip(taken) {
                left += usize::from(self.note(name, taken));
            }
        }
        Ok(left)
    }

    /// True: it is to be tried again.
    fn note(&mut self, name: &str, taken: Taken) -> bool {
        match taken {
            Taken::Later(reason) => {
                debug!(tenant = name, reason, "tried again");
                return true;
            }
            Taken::Imported => {
                self.imported += 1;
                info!(event = "tenant_imported", tenant = name, "taken from the old service");
            }
            Taken::Refused(ImportFailure { code, detail }) => {
                self.refused += 1;
                if self.refused <= NAMED {
                    warn!(
                        event = "import_refused",
                        tenant = name,
                        code,
                        reason = detail,
                        "not taken from the old service"
                    );
                }
            }
            Taken::NotConnected | Taken::KnownHere => {}
        }
        self.decided.insert(name.to_owned());
        false
    }
}

async fn take(fleet: &Arc<Fleet>, source: &LiveSource, name: &str) -> Taken {
    let tenant = source.tenant(name, true).await;
    if tenant.connected == Some(false) {
        return Taken::NotConnected;
    }
    let copy = match tenant.copy {
        Ok(copy) => copy,
        Err(ImportError::Live(error)) if error.is_transient() => return Taken::Later(error.to_string()),
        Err(error) => return Taken::Refused(ImportFailure::from(&error)),
    };
    let Ok(id) = name.parse::<TenantId>() else {
        let detail = "its name is no tenant's id: import it with --map".to_owned();
        return Taken::Refused(ImportFailure { code: "no_tenant_id", detail });
    };
    match fleet.import_writer().past(&id).await {
        Ok(TenantPast::New) => {}
        Ok(TenantPast::Linked | TenantPast::LinkedBefore | TenantPast::Imported) => return Taken::KnownHere,
        Err(error) => return refused(error),
    }
    if let Err(error) = copy.verify(tenant.number.as_deref()) {
        return Taken::Refused(ImportFailure::from(&error));
    }
    // Nobody said that the old service has sent its last.
    let settled = copy.settle(Finality::MayBeStale, CounterMargin::default());
    match fleet.move_in(&id, settled).await {
        Ok(_) => Taken::Imported,
        Err(MoveInError::Import(error)) => refused(error),
        Err(MoveInError::Fleet(error @ FleetError::Moved)) => {
            Taken::Refused(ImportFailure { code: "moved", detail: error.to_string() })
        }
        Err(MoveInError::Fleet(error)) => Taken::Later(error.to_string()),
    }
}

fn refused(error: RefusedImport) -> Taken {
    match error {
        RefusedImport::Vault(VaultError::Unavailable(_)) | RefusedImport::Unconfirmed => {
            Taken::Later(error.to_string())
        }
        error => Taken::Refused(ImportFailure::from(&error)),
    }
}
