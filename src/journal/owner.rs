//! Reads a tenant's owner from its journal, for processes that do not own it.

use std::sync::Arc;

use crate::{
    tenant::TenantId,
    vault::{InstanceId, Seq, Vault, VaultError},
};

/// The last document of a tenant's journal, as somebody read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastWriting {
    pub seq: Seq,
    /// Nobody but the tenant's owner can have written it.
    pub writer: InstanceId,
}

/// As [`last_writing`], of a journal that nobody has read before.
pub async fn last_writer(vault: &Arc<dyn Vault>, tenant: &TenantId) -> Result<Option<InstanceId>, VaultError> {
    Ok(last_writing(vault, tenant, None).await?.map(|last| last.writer))
}

/// The last document of a tenant's journal: some twenty reads at the most, however long the journal is. `known`: what it was when it was
/// read before; two reads if it is so still.
pub async fn last_writing(
    vault: &Arc<dyn Vault>,
    tenant: &TenantId,
    known: Option<LastWriting>,
) -> Result<Option<LastWriting>, VaultError> {
    if let Some(known) = known {
        let found = vault.headings(tenant, known.seq, 2).await?;
        if matches!(found.as_slice(), [only] if only.seq == known.seq && only.writer == known.writer) {
            return Ok(Some(known));
        }
    }
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
    Ok(Some(LastWriting { seq: last.seq, writer: last.writer }))
}

/// Whether anybody has written behind this document, which a tenant's owner calls its last. One read.
pub async fn has_successor(vault: &Arc<dyn Vault>, tenant: &TenantId, last: Seq) -> Result<bool, VaultError> {
    Ok(!vault.headings(tenant, last.next(), 1).await?.is_empty())
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::vault::{DocumentKind, JournalDocument, embedded::Embedded};

    fn document(seq: u64, writer: &str) -> JournalDocument {
        let (kind, writer) = (DocumentKind::Last, InstanceId(writer.into()));
        JournalDocument { seq: Seq(seq), kind, writer, at: Timestamp::UNIX_EPOCH, payload: vec![1].into() }
    }

    #[tokio::test]
    async fn the_last_writing_is_found_whatever_was_known_of_it() {
        let folder = tempfile::tempdir().unwrap();
        let vault: Arc<dyn Vault> = Arc::new(Embedded::open(&folder.path().join("vault.db")).unwrap());
        let tenant: TenantId = "trattoria".parse().unwrap();
        assert_eq!(last_writing(&vault, &tenant, None).await.unwrap(), None);
        for seq in 1..=40 {
            vault.append(&tenant, None, &[document(seq, "one")], None).await.unwrap();
        }
        let last = |seq: u64, writer: &str| Some(LastWriting { seq: Seq(seq), writer: InstanceId(writer.into()) });
        assert_eq!(last_writing(&vault, &tenant, None).await.unwrap(), last(40, "one"));
        let before = vault.usage().reads;
        assert_eq!(last_writing(&vault, &tenant, last(40, "one")).await.unwrap(), last(40, "one"));
        assert_eq!(vault.usage().reads - before, 1, "what is known is read again, and what would follow");
        assert!(!has_successor(&vault, &tenant, Seq(40)).await.unwrap());

        vault.append(&tenant, None, &[document(41, "two")], None).await.unwrap();
        assert!(has_successor(&vault, &tenant, Seq(40)).await.unwrap());
        // Of a journal that has grown, of one that was made anew, and of one that has lost its end.
        for known in [last(40, "one"), last(41, "one"), last(50, "one")] {
            assert_eq!(last_writing(&vault, &tenant, known.clone()).await.unwrap(), last(41, "two"), "{known:?}");
        }
    }
}
