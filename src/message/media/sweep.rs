//! Retention: files go when they are old, when nobody knows their message any more, and the oldest when a tenant has too many. One
//! pass after the other, one file after the other, in the background. A file that goes too early (a clock that jumped) is no
//! loss: it is fetched from WhatsApp again.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use futures::TryStreamExt as _;
use jiff::Timestamp;
use object_store::{ObjectMeta, path::Path};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::{FileName, Keeper, Unkept};
use crate::{clock::Clock, tenant::TenantId};

/// A file is kept shortly before its message is.
const NEW: Duration = Duration::from_secs(600);

/// Who knows which messages there are.
#[async_trait]
pub trait Witness: Send + Sync + 'static {
    /// Whether there is the message whose file it is; `None` when nobody can tell now.
    async fn knows(&self, tenant: &TenantId, name: &FileName) -> Option<bool>;
}

pub struct Sweeper {
    pub keeper: Arc<Keeper>,
    pub witness: Arc<dyn Witness>,
    pub clock: Arc<dyn Clock>,
}

impl Sweeper {
    /// Until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        let sweeping = async {
            loop {
                tokio::time::sleep(self.keeper.settings.sweep).await;
                match self.pass().await {
                    Ok(0) => {}
                    Ok(removed) => debug!(removed, "old files were removed"),
                    Err(error) => warn!(%error, "old files could not be removed"),
                }
            }
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = sweeping => {}
        }
    }

    /// How many were removed.
    pub async fn pass(&self) -> Result<u64, Unkept> {
        let mut removed = 0;
        for (tenant, place) in self.keeper.tenants().await? {
            removed += self.tenant(&tenant, &place).await?;
        }
        Ok(removed)
    }

    async fn tenant(&self, tenant: &TenantId, place: &Path) -> Result<u64, Unkept> {
        let settings = &self.keeper.settings;
        let mut files: Vec<ObjectMeta> = self.keeper.files(place).try_collect().await?;
        files.sort_by_key(|file| std::cmp::Reverse(file.last_modified));
        let (mut sum, mut removed) = (0, 0);
        for file in files {
            let age = age(self.clock.now(), &file);
            let goes = age > settings.keep
                || sum + file.size > settings.keep_bytes
                || (age > NEW && self.is_forgotten(tenant, &file).await);
            if goes {
                self.keeper.delete(&file.location).await?;
                removed += 1;
            } else {
                sum += file.size;
            }
        }
        Ok(removed)
    }

    async fn is_forgotten(&self, tenant: &TenantId, file: &ObjectMeta) -> bool {
        // What is not ours stays until it is old.
        let Some(Ok(name)) = file.location.filename().map(str::parse) else { return false };
        self.witness.knows(tenant, &name).await == Some(false)
    }
}

/// Nothing, when it is from the future.
fn age(now: Timestamp, file: &ObjectMeta) -> Duration {
    let age = now.as_millisecond() - file.last_modified.timestamp_millis();
    Duration::from_millis(u64::try_from(age).unwrap_or(0))
}
