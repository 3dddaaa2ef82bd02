//! Another master key: what older ones have sealed is counted, and sealed anew with the first.
//!
//! The owner of a tenant writes new snapshots ([`super::Journal::reseal`]); its takeover and everything after it are sealed with the
//! first key already. Of what lies below the snapshot before the newest nobody opens anything but states that are kept since a wipe: they
//! are copied here. Takeovers and decisions of before only have to be there, so that their numbers stay taken: they are emptied where
//! they stand. An empty document opens at no place of the chain, so a reader that comes to it sees damage, never less of a state than
//! there was; and an owner of before that wakes finds another document than its own, as if another owner had written it. Pieces of the
//! history belong to who has their references.

use std::sync::Mutex;

use futures::{FutureExt as _, future::BoxFuture};

use super::{
    Archive, Context, Record, SnapshotError, SnapshotSource, SourceError,
    archive::{ArchiveError, Piece},
    hydrate::{assemble, open_manifest},
    snapshot::SnapshotWriter,
};
use crate::{
    crash,
    sync::lock,
    vault::{AppendError, Decision, Footing, Seq, VaultError},
};

/// What a key opens that is not the first, of one tenant.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OlderSeals {
    pub snapshots: u64,
    /// Entries and takeovers, also those that only keep their numbers.
    pub entries: u64,
    pub segments: u64,
}

impl OlderSeals {
    pub fn total(self) -> u64 {
        self.snapshots + self.entries + self.segments
    }

    /// Looks through a tenant. Reads its journal, its manifests and all pieces of its history; writes nothing.
    pub async fn count(cx: &Context) -> Result<Self, VaultError> {
        let (vault, tenant, seal) = (&cx.vault, &cx.tenant, &cx.seal);
        let manifests = vault.manifests(tenant).await?;
        let mut found = Self {
            snapshots: count(manifests.iter().map(|manifest| seal.is_of_older_key(&manifest.payload))),
            ..Self::default()
        };
        let documents = vault.documents(tenant, Seq(1)).await?;
        found.entries = count(documents.iter().map(|document| seal.is_of_older_key(&document.payload)));
        for name in vault.segments(tenant).await? {
            let piece = vault.segment(tenant, &name).await?;
            found.segments += u64::from(piece.is_some_and(|piece| seal.is_of_older_key(&piece)));
        }
        Ok(found)
    }
}

fn count(older: impl Iterator<Item = bool>) -> u64 {
    older.filter(|is_older| *is_older).count() as u64
}

impl Archive {
    /// The same piece sealed with the first key, under another name; `None`: it is. The caller refers to it, and removes the other when
    /// that is durable.
    pub async fn reseal(&self, label: &str, piece: &Piece) -> Result<Option<Piece>, ArchiveError> {
        let Some(first) = piece.documents().next() else { return Ok(None) };
        let found = self.vault.segment(&self.tenant, &first).await?;
        // All of a piece is sealed at the same time.
        if !found.is_some_and(|found| self.seal.is_of_older_key(&found)) {
            return Ok(None);
        }
        let plain = self.get(label, piece).await?;
        Ok(Some(self.put(label, &plain).await?))
    }
}

impl SnapshotWriter {
    /// Afterwards nothing that is left below `previous`, a snapshot that was read as good, needs another key than the first: what is kept
    /// is sealed anew, and the rest is emptied.
    pub async fn clear_older_seals(&mut self, previous: Option<Seq>) -> Result<(), SnapshotError> {
        self.reseal_kept().await?;
        if let Some(previous) = previous {
            self.empty_below(previous).await?;
        }
        Ok(())
    }

    /// One by one: what breaks it off leaves documents that are as they were, or empty.
    async fn empty_below(&self, end: Seq) -> Result<(), VaultError> {
        let mut past = self.vault.documents(&self.tenant, Seq(1)).await?;
        past.retain(|document| document.seq < end && self.seal.is_of_older_key(&document.payload));
        for document in &past {
            // One that is another by now was emptied or taken away meanwhile.
            self.vault.empty_document(&self.tenant, document).await?;
            crash::point("past_emptied");
        }
        Ok(())
    }

    /// Copies the states that are kept since a wipe and that another key has sealed. The copy takes the place of the other, and is kept
    /// for as long. One that does not open stays as it is.
    async fn reseal_kept(&mut self) -> Result<(), SnapshotError> {
        let seal = self.seal.clone();
        let manifests = self.vault.manifests(&self.tenant).await?;
        for manifest in manifests.iter().filter(|manifest| seal.is_of_older_key(&manifest.payload)) {
            let id = &manifest.id;
            let Ok(opened) = open_manifest(&seal, manifest) else { continue };
            if opened.kept_until.is_none() {
                continue;
            }
            let (head, guards, kept_until) = (opened.head, opened.guards.clone(), opened.kept_until);
            let sealed = self.vault.chunks(&self.tenant, id).await?;
            let snapshot = match assemble(&seal, id, opened, sealed) {
                Ok(snapshot) => snapshot,
                Err(damage) => {
                    self.complain("a state that is kept since a wipe does not open", &damage);
                    continue;
                }
            };
            let record = |((space, key), value)| Record { space, key, value };
            let records = snapshot.state.into_iter().map(record).collect();
            let chunks = self.write_chunks(records, &head).await?;
            let copy = self.manifest(&chunks, &head, guards, kept_until);
            let footing = Footing::Manifest(id.clone());
            let put = self.vault.start_over(&self.tenant, &footing, &[], Some(&copy), &Decision::default()).await;
            put.map_err(|error| match error {
                AppendError::Vault(error) => error,
                error => VaultError::Unavailable(error.to_string()),
            })?;
            crash::point("kept_state_copied");
            self.read_back(&copy).await?;
            self.vault.remove_snapshot(&self.tenant, id).await?;
        }
        Ok(())
    }
}

/// A state in memory, of a tenant that nobody serves meanwhile.
#[derive(Debug)]
pub struct HeldState(Mutex<Vec<Record>>);

impl HeldState {
    pub fn new(records: Vec<Record>) -> Self {
        Self(Mutex::new(records))
    }

    /// Looks at it, or changes it; records what it has changed meanwhile.
    pub fn with<T>(&self, work: impl FnOnce(&mut Vec<Record>) -> T) -> T {
        work(&mut lock(&self.0))
    }
}

impl SnapshotSource for HeldState {
    fn read(&self, begun: Box<dyn FnOnce() + Send>) -> BoxFuture<'static, Result<Vec<Record>, SourceError>> {
        let records = self.with(|records| {
            begun();
            records.clone()
        });
        async { Ok(records) }.boxed()
    }
}
