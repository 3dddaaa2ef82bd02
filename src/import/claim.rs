//! One device is one tenant: its Signal counters have one writer, or they are used twice.
//!
//! Owns the search for another tenant with the device, and the claim that makes two imports at one time see each other. A tenant's
//! journal cannot tell of another tenant, and the vault has no commit over two. So each import, after its takeover, *announces* the
//! device in its tenant's record and then *looks* at all records: of two imports, the one that announces later sees the other's claim
//! or, when that one is done, its number, which the commit of the entry wrote before the claim goes. Both may see each other; then
//! neither comes in, and a later try does.
//!
//! To look at all records is to ask for those of this number, and for those that claim this device: a fleet that moves would else read
//! the whole directory for each of its tenants. Records that such a question does not find ([`UnsearchableRecords`]) are read once in a
//! while: no import and no pairing writes such a record, so none can come in between unseen.
//!
//! A claim that an import left behind when it died is ended by a takeover of its tenant: whatever that import was about to write does not
//! land. Its age only decides when that is tried, so clocks that differ can refuse an import, and never let two in.
//!
//! Not seen: a tenant whose record has another number (the account changed it after the device was copied) or none (its record is gone).
//! A daemon that has one of the tenants until this moment can write its status over a claim; so the guide has it stopped first.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use sha2::{Digest as _, Sha256};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    TenantCopy,
    writer::{ImportWriter, RefusedImport, has_device},
};
use crate::{
    crash,
    journal::{self, OpenError, Record},
    store::{self, OwnAccount},
    sync::lock,
    tenant::{TenantId, TenantRecord},
    vault::{RecordText, TenantInfo, Vault, VaultError},
};

/// The first word of a record's status while a device is claimed; the device's name and the time follow.
const WORD: &str = "importing";
/// The status afterwards, for people.
const DONE: &str = "imported";
/// The status when nothing came of it and there was none before.
const NOTHING: &str = "disconnected";

/// An import of this age is dead, or its machine slept: it is fenced. Longer than the vault may take for an entry.
const CLAIM_LIFE: Duration = Duration::from_secs(600);

/// The announcement of one device in one tenant's record.
#[derive(Debug, Clone, PartialEq, Eq)]
struct DeviceClaim {
    /// Names the device without telling its key.
    device: String,
    /// Unix seconds.
    since: i64,
}

impl DeviceClaim {
    fn new(copy: &TenantCopy, since: i64) -> Self {
        let digest = Sha256::digest(copy.device.noise_key.public);
        Self { device: hex::encode(&digest[..16]), since }
    }

    fn parse(status: &str) -> Option<Self> {
        let (device, since) = status.strip_prefix(WORD)?.trim_start().split_once(' ')?;
        Some(Self { device: device.to_owned(), since: since.parse().ok()? })
    }

    fn of(record: &TenantRecord) -> Option<Self> {
        record.status.as_deref().and_then(Self::parse)
    }

    fn status(&self) -> String {
        format!("{WORD} {} {}", self.device, self.since)
    }

    /// What every claim of the device begins with.
    fn beginning(&self) -> String {
        format!("{WORD} {} ", self.device)
    }
}

type ListedRecord = (String, Result<TenantRecord, VaultError>);

/// Records that may be of any number: they do not parse, or their number is written as only other hands write it. Shared by all imports
/// of a process.
#[derive(Debug, Default)]
pub struct UnsearchableRecords(Mutex<Option<(Instant, Arc<[ListedRecord]>)>>);

impl UnsearchableRecords {
    async fn of(&self, vault: &dyn Vault) -> Result<Arc<[ListedRecord]>, VaultError> {
        let known = lock(&self.0).clone();
        if let Some((at, records)) = known
            && at.elapsed() < CLAIM_LIFE
        {
            return Ok(records);
        }
        let at = Instant::now();
        let mut records = vault.tenants().await?;
        records.retain(|(_, record)| !record.as_ref().is_ok_and(is_searchable));
        let records: Arc<[_]> = records.into();
        *lock(&self.0) = Some((at, records.clone()));
        Ok(records)
    }
}

fn is_searchable(record: &TenantRecord) -> bool {
    record.phone_number.as_deref().is_none_or(|number| number.bytes().all(|byte| byte.is_ascii_digit()))
}

impl ImportWriter {
    /// Refuses a device that another tenant has, as far as the directory knows now. Reads only: no claim is made or ended.
    pub(super) async fn refuse_device_elsewhere(
        &self,
        tenant: &TenantId,
        copy: &TenantCopy,
    ) -> Result<(), RefusedImport> {
        for (id, record) in self.same_number(copy).await? {
            if id != tenant.as_str() {
                self.refuse_holder(&id, record.as_ref(), copy).await?;
            }
        }
        Ok(())
    }

    /// The records that may be of the copy's account.
    async fn same_number(&self, copy: &TenantCopy) -> Result<Vec<ListedRecord>, VaultError> {
        let mut found = self.vault.tenants_with(RecordText::PhoneNumber, copy.number()).await?;
        let unsearchable = self.unsearchable.of(&*self.vault).await?;
        found.extend(
            unsearchable
                .iter()
                .filter(|(id, _)| !found.iter().any(|(other, _)| other == id))
                .cloned()
                .collect::<Vec<_>>(),
        );
        Ok(found)
    }

    /// Announces the device as this tenant's and looks whose it may be else. Ours is the tenant: its takeover is in the vault.
    pub(super) async fn claim_device(&self, tenant: &TenantId, copy: &TenantCopy) -> Result<(), RefusedImport> {
        let now = self.clock.now().as_second();
        let claim = DeviceClaim::new(copy, now);
        self.tell_status(tenant, &claim.status()).await?;
        crash::point("import_claimed");
        crash::pause("import_claimed").await;
        // The claims first: an import that ends its claim meanwhile has its number in its record before.
        let mut is_announced = false;
        let mut dead = Vec::new();
        for (id, record) in self.vault.tenants_with(RecordText::Status, &claim.beginning()).await? {
            let claimed = record.as_ref().ok().and_then(DeviceClaim::of);
            if id == tenant.as_str() {
                is_announced = claimed.as_ref() == Some(&claim);
                continue;
            }
            let Some(other) = claimed else { continue };
            // One from the future was written by a wrong clock, and would never grow old.
            if now.abs_diff(other.since) < CLAIM_LIFE.as_secs() {
                return Err(RefusedImport::DeviceElsewhere { tenant: id, how: "another import brings it there" });
            }
            dead.push(id);
        }
        self.refuse_device_elsewhere(tenant, copy).await?;
        for id in dead {
            self.end_claim(&id, copy).await?;
        }
        // Somebody wrote over it: nobody else would see it.
        if is_announced { Ok(()) } else { Err(RefusedImport::Taken) }
    }

    /// The end of a claim. That it stays when the vault is silent costs a takeover later.
    pub(super) async fn end_own_claim(&self, tenant: &TenantId, before: Option<&TenantRecord>, is_in: bool) {
        let said =
            before.filter(|record| DeviceClaim::of(record).is_none()).and_then(|record| record.status.as_deref());
        let status = if is_in { DONE } else { said.unwrap_or(NOTHING) };
        if let Err(error) = self.tell_status(tenant, status).await {
            tracing::warn!(
                event = "import_status_unwritten",
                %tenant,
                %error,
                "the tenant's status still says that it is imported at this moment"
            );
        }
    }

    async fn refuse_holder(
        &self,
        id: &str,
        record: Result<&TenantRecord, &VaultError>,
        copy: &TenantCopy,
    ) -> Result<(), RefusedImport> {
        // A record that does not parse may have any number.
        let number = record.ok().map(|record| record.phone_number.as_deref().and_then(OwnAccount::named));
        let may_have_it = number.is_none_or(|own| own.is_some_and(|own| own.number == copy.number()));
        // No daemon takes a tenant of such a name.
        let Some(other) = id.parse::<TenantId>().ok().filter(|_| may_have_it) else { return Ok(()) };
        let state = journal::look(&self.context(&other, record.ok())).await.map_err(|error| match error {
            OpenError::Damaged(damage) => {
                RefusedImport::Damaged(format!("{other} has the same number, and its state cannot be read: {damage}"))
            }
            error => error.into(),
        })?;
        refuse_linked(&other, &state, copy)
    }

    /// Fences an import that is not heard of any more. It may have come in before: then its tenant has the device.
    async fn end_claim(&self, id: &str, copy: &TenantCopy) -> Result<(), RefusedImport> {
        let Ok(other) = id.parse::<TenantId>() else { return Ok(()) };
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let opened = journal::open(self.context(&other, None), &tasks, stop.clone()).await;
        stop.cancel();
        tasks.close();
        tasks.wait().await;
        refuse_linked(&other, &opened?.records, copy)?;
        tracing::info!(
            event = "import_claim_ended",
            tenant = %other,
            "an import that died had claimed the device for this tenant: its claim is ended"
        );
        Ok(self.tell_status(&other, NOTHING).await?)
    }

    async fn tell_status(&self, tenant: &TenantId, status: &str) -> Result<(), VaultError> {
        self.vault.notice(tenant, &TenantInfo { status: Some(status.to_owned()), ..TenantInfo::default() }).await
    }
}

fn refuse_linked(other: &TenantId, state: &[Record], copy: &TenantCopy) -> Result<(), RefusedImport> {
    if store::is_paired(state)? && has_device(state, copy)? {
        return Err(RefusedImport::DeviceElsewhere { tenant: other.to_string(), how: "it is linked there" });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_is_read_back_and_other_words_are_none() {
        let claim = DeviceClaim { device: "00ff".to_owned(), since: 1_790_000_000 };
        assert_eq!(DeviceClaim::parse(&claim.status()), Some(claim));
        for status in ["", "connected", "importing", "importing x", "importing x y", "imported", "disconnected"] {
            assert_eq!(DeviceClaim::parse(status), None, "{status}");
        }
    }
}
