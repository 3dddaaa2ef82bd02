//! The writer: a settled tenant becomes one entry of its journal, with the decision that it is connected.
//!
//! Owns who may be imported over what. Promises:
//!
//! - A tenant that is linked, or that is another account, is refused; nothing is written over.
//! - The entry is all or nothing: whoever dies before it is in the vault leaves a tenant without a device, and the same import
//!   can be made again. Whoever dies after it leaves a tenant that is in.
//! - A tenant that another process takes meanwhile is that process's: the entry does not land.
//! - One device is one tenant: [`super::claim`].
//! - Nothing connects. The next that opens the tenant does.

use std::{sync::Arc, time::Duration};

use rand::{SeedableRng as _, rngs::SmallRng};
use tokio::time::timeout;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    SettledTenant, TenantCopy,
    claim::UnsearchableRecords,
    entry::{TenantEntry, UnwritableCopyError, has_any_receipt, has_receipt},
};
use crate::{
    clock::Clock,
    crash,
    journal::{self, ChangeNo, Journal, JournalClosedError, OpenError, Opened, Policy, Record},
    seal::Keyring,
    store::{self, OwnAccount, StoreError, records, space},
    tenant::{TenantId, TenantRecord},
    vault::{InstanceId, TenantInfo, Vault, VaultError},
};

/// How long the vault may take to confirm the entry. Some are megabytes.
const CONFIRM_LIMIT: Duration = Duration::from_secs(120);

/// What imports are written with.
pub struct ImportWriter {
    pub vault: Arc<dyn Vault>,
    pub keyring: Arc<Keyring>,
    pub instance: InstanceId,
    pub clock: Arc<dyn Clock>,
    pub policy: Policy,
    pub unsearchable: Arc<UnsearchableRecords>,
}

/// What stands where a copy is to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Occupancy {
    Free,
    /// This very device: it was imported before.
    SameDevice,
}

/// What a tenant has been here so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TenantPast {
    /// Never linked.
    New,
    Linked,
    /// Linked once, and not any more.
    LinkedBefore,
    /// Imported once, whatever it is now.
    Imported,
}

/// Why a copy was not written.
#[derive(Debug, thiserror::Error)]
pub enum RefusedImport {
    #[error("the tenant is linked already; unlink it first, or import to another tenant")]
    Linked,
    #[error("the tenant is the account {expected}, and the copy is of {found}")]
    OtherAccount { expected: String, found: String },
    #[error("another process has the tenant, or has just taken it: nothing was written")]
    Taken,
    #[error("the tenant's state in the vault cannot be read: {0}")]
    Damaged(String),
    #[error(transparent)]
    Vault(VaultError),
    #[error("the device is tenant {tenant}'s ({how}): one device is one tenant")]
    DeviceElsewhere { tenant: String, how: &'static str },
    #[error(
        "the tenant has sent with these keys from here since its import: import it without --stopped, so that no session comes along"
    )]
    UsedHere,
    #[error("the vault did not confirm it in time: it may be there. The same again finds out")]
    Unconfirmed,
    #[error(transparent)]
    Unwritable(#[from] UnwritableCopyError),
}

impl RefusedImport {
    /// Stable; for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Linked => "already_linked",
            Self::OtherAccount { .. } => "other_account",
            Self::Taken => "owned_elsewhere",
            Self::Damaged(_) => "tenant_damaged",
            Self::Vault(_) => "vault_down",
            Self::DeviceElsewhere { .. } => "device_elsewhere",
            Self::UsedHere => "used_here",
            Self::Unconfirmed => "unconfirmed",
            Self::Unwritable(_) => "unwritable",
        }
    }
}

impl From<VaultError> for RefusedImport {
    fn from(error: VaultError) -> Self {
        match error {
            VaultError::Malformed(_) => Self::Damaged(error.to_string()),
            error => Self::Vault(error),
        }
    }
}

impl From<OpenError> for RefusedImport {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Vault(error) => error.into(),
            OpenError::Taken => Self::Taken,
            OpenError::Damaged(damage) => Self::Damaged(damage.to_string()),
        }
    }
}

impl From<StoreError> for RefusedImport {
    fn from(error: StoreError) -> Self {
        Self::Damaged(error.to_string())
    }
}

impl ImportWriter {
    /// Whether the copy may go there. Takes nothing over, writes nothing.
    pub async fn inspect(&self, tenant: &TenantId, settled: &SettledTenant) -> Result<Occupancy, RefusedImport> {
        let record = self.vault.tenant(tenant).await?;
        let state = journal::look(&self.context(tenant, record.as_ref())).await?;
        let found = occupancy(&state, record.as_ref(), settled)?;
        if found == Occupancy::Free {
            self.refuse_device_elsewhere(tenant, &settled.copy).await?;
        }
        Ok(found)
    }

    /// How many Signal sessions the vault has of a tenant. Takes nothing over, writes nothing.
    pub async fn count_sessions(&self, tenant: &TenantId) -> Result<u64, RefusedImport> {
        let record = self.vault.tenant(tenant).await?;
        let state = journal::look(&self.context(tenant, record.as_ref())).await?;
        Ok(state.iter().filter(|record| record.space == space::SESSIONS).count() as u64)
    }

    /// For whoever takes each tenant once: an import is remembered for good. Takes nothing over, writes nothing.
    pub async fn past(&self, tenant: &TenantId) -> Result<TenantPast, RefusedImport> {
        let record = self.vault.tenant(tenant).await?;
        let state = journal::look(&self.context(tenant, record.as_ref())).await?;
        Ok(if has_any_receipt(&state) {
            TenantPast::Imported
        } else if store::is_paired(&state)? {
            TenantPast::Linked
        } else if store::account_of(&state)?.is_some() || store::was_disowned(&state) {
            TenantPast::LinkedBefore
        } else {
            TenantPast::New
        })
    }

    /// Writes the copy. [`Occupancy::SameDevice`]: it was there, and nothing was written.
    pub async fn write(&self, tenant: &TenantId, settled: &SettledTenant) -> Result<Occupancy, RefusedImport> {
        // Looked at first: a takeover ends the session of whoever has the tenant.
        if self.inspect(tenant, settled).await? == Occupancy::SameDevice {
            return Ok(Occupancy::SameDevice);
        }
        self.write_inspected(tenant, settled).await
    }

    /// The same for whoever has inspected the tenant just now.
    pub async fn write_inspected(
        &self,
        tenant: &TenantId,
        settled: &SettledTenant,
    ) -> Result<Occupancy, RefusedImport> {
        crash::point("import_inspected");
        crash::pause("import_inspected").await;
        let record = self.vault.tenant(tenant).await?;
        if record.as_ref().is_none_or(|record| record.deleted_at.is_some()) {
            // A decision needs a record.
            let made = TenantInfo { deleted_at: record.as_ref().map(|_| None), ..TenantInfo::default() };
            self.vault.notice(tenant, &made).await?;
        }
        crash::point("import_recorded");
        crash::pause("import_recorded").await;
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let opened = journal::open(self.context(tenant, record.as_ref()), &tasks, stop.clone()).await?;
        crash::point("import_taken_over");
        crash::pause("import_taken_over").await;
        let written = self.append(tenant, &opened, record.as_ref(), settled).await;
        match &written {
            Ok(Occupancy::Free) => self.end_own_claim(tenant, record.as_ref(), true).await,
            // It may still come in, or is another's: the claim is not ours to end.
            Ok(Occupancy::SameDevice) | Err(RefusedImport::Unconfirmed | RefusedImport::Taken) => {}
            Err(_) => self.end_own_claim(tenant, record.as_ref(), false).await,
        }
        stop.cancel();
        tasks.close();
        tasks.wait().await;
        crash::point("import_written");
        written
    }

    async fn append(
        &self,
        tenant: &TenantId,
        Opened { records: state, journal, .. }: &Opened,
        record: Option<&TenantRecord>,
        settled: &SettledTenant,
    ) -> Result<Occupancy, RefusedImport> {
        if occupancy(state, record, settled)? == Occupancy::SameDevice {
            return Ok(Occupancy::SameDevice);
        }
        self.claim_device(tenant, &settled.copy).await?;
        let kept = match &settled.backup {
            Some(backup) => backup.kept(state, journal.archive(), self.clock.now()).await?,
            None => Vec::new(),
        };
        crash::point("import_kept");
        let entry = TenantEntry::new(settled, state, &kept, self.clock.now())?;
        let change = journal.record(entry.changes, Some(entry.decision));
        confirm(journal, change).await?;
        Ok(Occupancy::Free)
    }

    pub(super) fn context(&self, tenant: &TenantId, record: Option<&TenantRecord>) -> journal::Context {
        journal::Context {
            vault: self.vault.clone(),
            seal: self.keyring.tenant(tenant),
            tenant: tenant.clone(),
            writer: self.instance.clone(),
            clock: self.clock.clone(),
            policy: self.policy.clone(),
            rng: SmallRng::from_os_rng(),
            expect_history: record.is_some_and(|record| record.whatsapp_connected),
            check: Some(store::check),
        }
    }
}

/// Waits until the vault has it.
pub(super) async fn confirm(journal: &Journal, change: ChangeNo) -> Result<(), RefusedImport> {
    match timeout(CONFIRM_LIMIT, journal.wait(change)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(JournalClosedError::Fenced)) => Err(RefusedImport::Taken),
        Ok(Err(JournalClosedError::Refused(why))) => Err(RefusedImport::Vault(VaultError::Refused(why))),
        Ok(Err(closed)) => Err(RefusedImport::Damaged(closed.to_string())),
        Err(_) => Err(RefusedImport::Unconfirmed),
    }
}

fn occupancy(
    state: &[Record],
    record: Option<&TenantRecord>,
    settled: &SettledTenant,
) -> Result<Occupancy, RefusedImport> {
    let copy = &settled.copy;
    if store::is_paired(state)? {
        return if has_device(state, copy)? { Ok(Occupancy::SameDevice) } else { Err(RefusedImport::Linked) };
    }
    let own = match store::account_of(state)? {
        Some(own) => Some(own),
        // Of a tenant that was never here: the directory may know its number.
        None => record.and_then(|record| record.phone_number.as_deref()).and_then(OwnAccount::named),
    };
    let found = OwnAccount::new(copy.number(), copy.device.lid.as_ref().map(|lid| lid.user.clone()));
    match own {
        Some(own) if !own.is_same(&found) => {
            Err(RefusedImport::OtherAccount { expected: own.number, found: found.number })
        }
        // A margin counts from the same copy each time: a second import would begin where the first one did.
        _ if has_receipt(state, &copy.device.noise_key.public) && !settled.sessions.is_empty() => {
            Err(RefusedImport::UsedHere)
        }
        _ => Ok(Occupancy::Free),
    }
}

/// The noise key is what WhatsApp knows a device by.
pub(super) fn has_device(state: &[Record], copy: &TenantCopy) -> Result<bool, StoreError> {
    let device = state.iter().find(|record| record.space == space::DEVICE);
    let device = device.map(|record| records::device::decode(&record.value)).transpose()?;
    let public = device.as_ref().map(|device| device.noise_key.public_key.public_key_bytes());
    Ok(public == Some(&copy.device.noise_key.public[..]))
}
