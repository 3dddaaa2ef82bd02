//! Snapshots: the state, written beside the journal, so that a reader need not begin at the beginning; and compaction, which
//! then deletes what no reader needs.
//!
//! A snapshot stands exactly after an entry. Chunks first, then the manifest: without it there is no snapshot. An attempt has a
//! random name of its own, so a late chunk of a failed one is never taken for its successor's.
//!
//! A snapshot counts when it was read back. Compaction deletes only below the *previous* one that did, so a newer one may turn out to be
//! damaged, whatever it is that damaged it. Older snapshots go before the entries after them. What another owner may be writing is at or
//! above our own entries, so none of it is ever touched.

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use futures::future::BoxFuture;
use jiff::Timestamp;
use prost::Message;
use rand::{Rng, rngs::SmallRng};

use super::{
    Context, Policy, SnapshotError,
    book::JournalShared,
    chain::Head,
    damage::{Damage, Document},
    format::{self, Guard},
    hydrate::{assemble, chunk_place, manifest_place, open_manifest},
    pace::Patience,
    record::{ChangeNo, Record},
};
use crate::{
    clock::Clock,
    crash,
    seal::{Digest, OVERHEAD, TenantSeal},
    tenant::TenantId,
    vault::{AppendError, Manifest, Seq, SnapshotId, Vault, VaultError},
};

/// How often a write is repeated that can be.
const MAX_WRITE_TRIES: u32 = 3;

/// The state, for snapshots: the store.
pub trait SnapshotSource: Send + Sync + 'static {
    /// Reads all journaled records in one read transaction, off the async threads.
    ///
    /// Calls `begun` once the transaction sees its state and before anything else can be recorded: under the lock
    /// under which the caller records. What is recorded before it is part of the snapshot, what is recorded after is not;
    /// a snapshot that held a change more than the journal would make it durable without an entry.
    fn read(&self, begun: Box<dyn FnOnce() + Send>) -> BoxFuture<'static, Result<Vec<Record>, SourceError>>;
}

/// Why a source does not tell its state.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct SourceError {
    pub why: String,
    /// It never will.
    pub is_final: bool,
}

/// Where in the journal a snapshot stands.
#[derive(Debug, Clone)]
pub(super) struct Anchor {
    pub head: Head,
    pub guards: Vec<Guard>,
    /// The last change that the snapshot holds.
    pub upto: ChangeNo,
}

/// The chunks of a snapshot, written.
pub(super) struct Chunks {
    pub id: SnapshotId,
    digests: Vec<Digest>,
    pub bytes: u64,
}

/// What writing snapshots takes. One for each snapshot.
pub(super) struct SnapshotWriter {
    pub(super) vault: Arc<dyn Vault>,
    pub(super) seal: TenantSeal,
    pub(super) tenant: TenantId,
    clock: Arc<dyn Clock>,
    policy: Policy,
    rng: SmallRng,
    shared: Arc<JournalShared>,
}

impl SnapshotWriter {
    pub fn new(cx: &Context, rng: SmallRng, shared: Arc<JournalShared>) -> Self {
        Self {
            vault: cx.vault.clone(),
            seal: cx.seal.clone(),
            tenant: cx.tenant.clone(),
            clock: cx.clock.clone(),
            policy: cx.policy.clone(),
            rng,
            shared,
        }
    }

    pub fn shared(&self) -> &Arc<JournalShared> {
        &self.shared
    }

    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    pub fn complain(&self, what: &str, why: &dyn std::error::Error) {
        tracing::warn!(event = "snapshot_delayed", tenant = %self.tenant, "{what}: {why}");
    }

    /// The source does not give its state: told, and counted.
    pub fn refused(&self, SourceError { why, .. }: SourceError) -> SnapshotError {
        tracing::error!(
            event = "snapshot_refused",
            tenant = %self.tenant,
            "no snapshot: the tenant's working copy is not what it should be: {why}"
        );
        self.shared.refused_snapshots.fetch_add(1, Relaxed);
        SnapshotError::Source(why)
    }

    /// Writes a snapshot and reads it back; gives its name and the bytes of its chunks.
    pub async fn take(
        &mut self,
        records: Vec<Record>,
        anchor: Anchor,
        keep: Option<Duration>,
    ) -> Result<(SnapshotId, u64), SnapshotError> {
        let chunks = self.write_chunks(records, &anchor.head).await?;
        crash::point("chunks_before_manifest");
        // The entry that it stands after may still be on its way.
        self.shared.wait(anchor.upto).await.map_err(SnapshotError::Closed)?;
        self.shared.confirm().await?;
        let kept_until = keep.map(|keep| self.clock.now().as_millisecond().saturating_add(keep.as_millis() as i64));
        let manifest = self.manifest(&chunks, &anchor.head, anchor.guards, kept_until);
        let mut patience = Patience::new(self.policy.backoff, MAX_WRITE_TRIES);
        loop {
            match self.vault.put_manifest(&self.tenant, &manifest, anchor.head.document).await {
                Err(AppendError::Vault(VaultError::Unavailable(_)))
                    if patience.once_more(&*self.clock, &mut self.rng).await => {}
                Err(AppendError::Vault(error)) => return Err(error.into()),
                // The next append finds out.
                Err(why) => return Err(VaultError::Unavailable(why.to_string()).into()),
                Ok(()) => break,
            }
        }
        self.read_back(&manifest).await?;
        Ok((manifest.id, chunks.bytes))
    }

    /// Writes the state in chunks, under a name of its own.
    pub async fn write_chunks(&mut self, records: Vec<Record>, head: &Head) -> Result<Chunks, VaultError> {
        let attempt = format!("{:016x}", self.rng.random::<u64>());
        let id = SnapshotId { seq: head.last, attempt: attempt.into() };
        let (mut digests, mut bytes) = (Vec::new(), 0);
        let size = self.policy.max_payload - OVERHEAD;
        for (n, piece) in (0..).zip(Pieces::new(records, size)) {
            let sealed = self.seal.seal(&chunk_place(&id, n, head), &piece);
            digests.push(Digest::of([&*sealed]));
            bytes += sealed.len() as u64;
            let mut patience = Patience::new(self.policy.backoff, MAX_WRITE_TRIES);
            loop {
                match self.vault.put_chunk(&self.tenant, &id, n, sealed.clone()).await {
                    Err(VaultError::Unavailable(_)) if patience.once_more(&*self.clock, &mut self.rng).await => {}
                    answer => break answer?,
                }
            }
        }
        Ok(Chunks { id, digests, bytes })
    }

    /// The manifest, which makes chunks a snapshot.
    pub fn manifest(&self, chunks: &Chunks, head: &Head, guards: Vec<Guard>, kept_until: Option<i64>) -> Manifest {
        let plain = format::ManifestRecord {
            entry: head.digest.0.to_vec(),
            epoch: head.epoch.0,
            chunks: chunks.digests.iter().map(|digest| digest.0.to_vec()).collect(),
            bytes: chunks.bytes,
            kept_until,
            guards,
            document: head.document.map(|digest| digest.0.to_vec()),
        };
        let payload = self.seal.seal(&manifest_place(&chunks.id), &plain.encode_to_vec());
        Manifest { id: chunks.id.clone(), payload }
    }

    /// Reads a snapshot as the next owner would. Only then is it one, and may what it replaces be deleted.
    pub async fn read_back(&mut self, written: &Manifest) -> Result<(), SnapshotError> {
        let mut patience = Patience::new(self.policy.backoff, MAX_WRITE_TRIES);
        loop {
            match self.reread(written).await {
                Err(VaultError::Unavailable(_)) if patience.once_more(&*self.clock, &mut self.rng).await => {}
                answer => return answer?.map_err(SnapshotError::Unreadable),
            }
        }
    }

    async fn reread(&self, written: &Manifest) -> Result<Result<(), Damage>, VaultError> {
        let found = self.vault.manifests(&self.tenant).await?.into_iter().find(|found| found.id == written.id);
        let missing = || Damage::MissingChunk(Document::Manifest(written.id.clone()));
        let Some(found) = found.filter(|found| found.payload == written.payload) else { return Ok(Err(missing())) };
        let opened = match open_manifest(&self.seal, &found) {
            Ok(opened) => opened,
            Err(damage) => return Ok(Err(damage)),
        };
        let chunks = self.vault.chunks(&self.tenant, &found.id).await?;
        Ok(assemble(&self.seal, &found.id, opened, chunks).map(drop))
    }

    /// Deletes what no reader needs any more: below `previous`, a snapshot that was read as good. Whatever is left when it fails, the
    /// next time takes with it.
    pub async fn compact(&self, current: Seq, guards: &[Guard], previous: Seq) -> Result<(), VaultError> {
        // Nothing else says how late it is: so nothing goes as long as the clock may be wrong.
        let now = self.clock.certain(Timestamp::UNIX_EPOCH);
        let manifests = self.vault.manifests(&self.tenant).await?;
        let opened = manifests.iter().filter_map(|manifest| {
            let kept_until = open_manifest(&self.seal, manifest).ok()?.kept_until;
            Some((&manifest.id, kept_until))
        });
        let opened: Vec<_> = opened.collect();
        let expired = |id: &SnapshotId| match manifests.iter().any(|manifest| manifest.id == *id) {
            // What a failed attempt has left.
            false => true,
            true => opened.iter().any(|(known, kept_until)| {
                *known == id && kept_until.is_none_or(|until| until <= now.as_millisecond())
            }),
        };
        for id in self.vault.snapshots(&self.tenant).await? {
            if id.seq < previous && expired(&id) {
                self.vault.remove_snapshot(&self.tenant, &id).await?;
            }
        }
        let mut entries = self.vault.entries_below(&self.tenant, previous).await?;
        entries.retain(|seq| !guards.iter().any(|guard| guard.seq() == *seq));
        self.remove(&entries).await?;

        let takeovers = self.vault.takeovers(&self.tenant).await?;
        let last = takeovers.last().map(|(seq, _)| *seq);
        let old = |at: Timestamp| is_old(at.as_millisecond(), now, self.policy.takeover_keep);
        let trimmed =
            takeovers.into_iter().filter(|&(seq, at)| seq < previous && seq != current && Some(seq) != last && old(at));
        self.remove(&trimmed.map(|(seq, _)| seq).collect::<Vec<_>>()).await
    }

    async fn remove(&self, seqs: &[Seq]) -> Result<(), VaultError> {
        for batch in seqs.chunks(self.policy.delete_batch) {
            self.vault.remove_documents(&self.tenant, batch).await?;
        }
        Ok(())
    }
}

/// Is something that was written at `at` past the time for which takeovers and decisions are kept?
pub(super) fn is_old(at: i64, now: Timestamp, keep: Duration) -> bool {
    now.as_millisecond().saturating_sub(at) > keep.as_millis() as i64
}

/// The plaintexts of a snapshot's chunks: the records one after the other, cut without regard to where one ends.
struct Pieces {
    records: std::vec::IntoIter<Record>,
    buffer: BytesMut,
    size: usize,
}

impl Pieces {
    fn new(records: Vec<Record>, size: usize) -> Self {
        Self { records: records.into_iter(), buffer: BytesMut::new(), size }
    }
}

impl Iterator for Pieces {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        while self.buffer.len() < self.size
            && let Some(record) = self.records.next()
        {
            format::encode_record(record.space, &record.key, &record.value, &mut self.buffer);
        }
        let length = self.buffer.len().min(self.size);
        (length > 0).then(|| self.buffer.split_to(length).freeze())
    }
}
