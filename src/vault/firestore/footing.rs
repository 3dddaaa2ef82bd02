//! The footing of a write to a journal, as a precondition of its commit.
//!
//! Firestore compares no contents, but it knows when a document was last updated: at that time it was the one that the writer means, and
//! it still is if nothing has happened to it since. That time is remembered for the last document of each tenant that this process has
//! written or read. Where it is not known, the document is read: one more request, after an answer was lost or so.

use std::{collections::HashMap, sync::Mutex};

use firestore::gcloud_sdk::{
    google::firestore::v1::{Write, precondition::ConditionType},
    prost_types,
};

use super::{
    Firestore,
    paths::{journal_path, snapshot_path},
    wire::RpcFailure,
};
use crate::{
    seal::Digest,
    sync::lock,
    tenant::TenantId,
    vault::{AppendError, Footing, JournalDocument, Seq, VaultError},
};

/// Each tenant's document that was written or read last, and when it was updated.
#[derive(Debug, Default)]
pub(super) struct LastDocuments(Mutex<HashMap<TenantId, Updated>>);

#[derive(Debug, Clone)]
struct Updated {
    seq: Seq,
    digest: Digest,
    at: prost_types::Timestamp,
}

impl LastDocuments {
    pub(super) fn remember(
        &self,
        tenant: &TenantId,
        document: &JournalDocument,
        updated: Option<prost_types::Timestamp>,
    ) {
        let Some(at) = updated else { return };
        let updated = Updated { seq: document.seq, digest: document.digest(), at };
        lock(&self.0).insert(tenant.clone(), updated);
    }

    fn updated(&self, tenant: &TenantId, seq: Seq, digest: Digest) -> Option<prost_types::Timestamp> {
        let all = lock(&self.0);
        all.get(tenant).filter(|last| last.seq == seq && last.digest == digest).map(|last| last.at)
    }
}

/// Why a commit was not carried out, or may not have been.
pub(super) enum Uncommitted {
    /// A document that was to be created exists.
    Exists,
    /// The footing is gone.
    Gap,
    /// A document that was to be updated is missing.
    Missing(RpcFailure),
    Vault(VaultError),
}

impl From<VaultError> for Uncommitted {
    fn from(error: VaultError) -> Self {
        Self::Vault(error)
    }
}

impl From<Uncommitted> for AppendError {
    fn from(uncommitted: Uncommitted) -> Self {
        match uncommitted {
            Uncommitted::Exists => Self::Exists,
            Uncommitted::Gap => Self::Gap,
            Uncommitted::Missing(failure) => Self::Vault(failure.into()),
            Uncommitted::Vault(error) => Self::Vault(error),
        }
    }
}

impl Firestore {
    /// All writes, or none of them: none if the footing is gone. `last` is the last document that they create, and `at` its place among
    /// them.
    pub(super) async fn commit_onto(
        &self,
        tenant: &TenantId,
        footing: &Footing,
        writes: Vec<Write>,
        last: Option<(usize, &JournalDocument)>,
    ) -> Result<(), Uncommitted> {
        let name = match footing {
            _ if !self.verifies => None,
            Footing::Nothing => None,
            Footing::Document(seq, _) => Some(self.wire.name(&journal_path(tenant, *seq))),
            Footing::Manifest(id) => Some(self.wire.name(&snapshot_path(tenant, id))),
        };
        let count = writes.len();
        let (mut condition, mut read) = match footing {
            Footing::Document(seq, Some(digest)) if name.is_some() => {
                match self.last_documents.updated(tenant, *seq, *digest) {
                    Some(at) => (ConditionType::UpdateTime(at), false),
                    None => (self.as_it_is(tenant, *seq, *digest).await?, true),
                }
            }
            _ => (ConditionType::Exists(true), false),
        };
        loop {
            let committed = match &name {
                Some(name) => self.wire.commit_after(writes.clone(), name.clone(), condition).await,
                None => self.wire.commit(writes.clone()).await,
            };
            let failure = match committed {
                Ok(results) => {
                    self.counters.wrote(count);
                    if let Some((at, document)) = last {
                        let updated = results.get(at).and_then(|result| result.update_time);
                        self.last_documents.remember(tenant, document, updated);
                    }
                    return Ok(());
                }
                Err(failure) if failure.exists() => return Err(Uncommitted::Exists),
                Err(failure) if failure.missing() || failure.changed() => failure,
                Err(failure) => return Err(Uncommitted::Vault(failure.into())),
            };
            // It does not say which document is missing, or changed. The database itself would be an error here.
            match footing {
                _ if name.is_none() => {}
                Footing::Nothing => {}
                Footing::Document(seq, Some(digest)) => {
                    let found = self.as_it_is(tenant, *seq, *digest).await?;
                    // Written again as it was: an older copy of the database that was put in its place, say.
                    if found != condition && !read {
                        (condition, read) = (found, true);
                        continue;
                    }
                }
                Footing::Document(seq, None) => {
                    self.get(&journal_path(tenant, *seq)).await?.ok_or(Uncommitted::Gap)?;
                }
                Footing::Manifest(id) => {
                    self.get(&snapshot_path(tenant, id)).await?.ok_or(Uncommitted::Gap)?;
                }
            }
            return Err(match failure.changed() {
                true => VaultError::Unavailable("the document before is another one each time".into()).into(),
                false => Uncommitted::Missing(failure),
            });
        }
    }

    /// The condition that the document stays as it is now, if it is the one that is meant.
    async fn as_it_is(&self, tenant: &TenantId, seq: Seq, digest: Digest) -> Result<ConditionType, Uncommitted> {
        let found = self.get(&journal_path(tenant, seq)).await?.ok_or(Uncommitted::Gap)?;
        let updated = found.updated();
        if found.journal_document()?.digest() != digest {
            return Err(Uncommitted::Gap);
        }
        Ok(updated.map_or(ConditionType::Exists(true), ConditionType::UpdateTime))
    }
}
