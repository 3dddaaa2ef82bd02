//! Daemons that live while the command runs: a tenant that one of them has is left to it, unlinked as it is. The takeover of an import
//! would end its session there, and the daemon would not connect who has come in. That of an export would take a linked session from it.

use std::time::Duration;

use crate::{
    config::{Config, VaultHome},
    import::{ImportWriter, RefusedImport},
    journal,
    tenant::TenantId,
    vault::InstanceId,
};

/// Announcements within which a process that lives has made one.
const ANNOUNCEMENTS: u32 = 2;

pub struct LivingDaemons {
    /// A record that is older is of a process that has died.
    trust: Duration,
}

impl LivingDaemons {
    /// `None`: the lock of an embedded vault proves that there are none.
    pub fn of(config: &Config) -> Option<Self> {
        let is_locked = matches!(&config.vault.home, VaultHome::Embedded { shared: false, .. });
        (!is_locked).then(|| Self { trust: config.heartbeat.announce * ANNOUNCEMENTS })
    }

    /// Whether one of them has the tenant.
    pub async fn have(&self, writer: &ImportWriter, tenant: &TenantId) -> Result<bool, RefusedImport> {
        Ok(self.owner(writer, tenant).await?.is_some())
    }

    /// The one that has the tenant. The clocks of two machines are compared here, since a command does not stay to see a record
    /// change. A wrong guess costs a repetition, or ends an unlinked session: the journal decides who owns the tenant.
    pub async fn owner(&self, writer: &ImportWriter, tenant: &TenantId) -> Result<Option<InstanceId>, RefusedImport> {
        let now = writer.clock.now();
        let mut living = writer.vault.instances().await?;
        living.retain(|instance| now.duration_since(instance.heartbeat_at).unsigned_abs() <= self.trust);
        if living.is_empty() {
            return Ok(None);
        }
        let owner = journal::last_writer(&writer.vault, tenant).await?;
        Ok(owner.filter(|owner| living.iter().any(|instance| instance.id == *owner)))
    }
}
