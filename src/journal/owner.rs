//! Reads a tenant's owner from its journal, for processes that do not own it.

use std::sync::Arc;

use crate::{
    tenant::TenantId,
    vault::{InstanceId, Seq, Vault, VaultError},
};

/// Who wrote the last document of a tenant's journal: nobody but its owner can. Some twenty reads at the most, however long the journal is.
pub async fn last_writer(vault: &Arc<dyn Vault>, tenant: &TenantId) -> Result<Option<InstanceId>, VaultError> {
    let from = async |seq: u64| Ok::<_, VaultError>(vault.headings(tenant, Seq(seq), 1).await?.pop());
    // From the newest snapshot on there are no gaps; below it there may be.
    let base = vault.manifests(tenant).await?.last().map_or(1, |manifest| manifest.id.seq.0);
    let Some(mut last) = from(base).await? else { return Ok(None) };
    let (mut step, mut end) = (1, None);
    while end.is_none_or(|end| last.seq.0 + 1 < end) {
        let next = match end {
            None => last.seq.0 + step,
            Some(end) => last.seq.0 + (end - last.seq.0) / 2,
        };
        match from(next).await? {
            // Where something is missing it stands further on.
            Some(found) => last = found,
            None => end = Some(next),
        }
        step *= 2;
    }
    Ok(Some(last.writer))
}
