//! Segments under another master key: each is written anew, sealed with the first, and referred to instead of the old.
//!
//! Extends [`Log`]; and the same for a tenant that nobody serves, whose state is in memory, and for one that goes to another vault. The new
//! piece is in the vault before its reference, and the old one is deleted after that: whatever dies in between leaves a stray, which
//! [`Archive::sweep`] takes away.

use std::sync::Arc;

use tracing::warn;

use super::{log::Log, segments::Segment};
use crate::{
    crash,
    journal::{
        Archive, ArchiveError, Change, HeldState, Journal, JournalClosedError, Piece, Record, SnapshotError,
        SnapshotSource,
    },
    seal::UnsealError,
    store::{Batch, StoreError, space},
    vault::VaultError,
};

/// Why not all of a tenant is sealed with the first key now.
#[derive(Debug, thiserror::Error)]
pub enum ResealError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    #[error(transparent)]
    Closed(#[from] JournalClosedError),
}

impl From<VaultError> for ResealError {
    fn from(error: VaultError) -> Self {
        Self::Archive(error.into())
    }
}

impl Log {
    /// Seals all segments anew that another key has sealed. One that is lost stays as it is: its readers are told.
    pub async fn reseal_segments(&self) -> Result<(), ResealError> {
        let _turn = self.segment_turn.lock().await;
        // What nobody refers to would be counted for ever.
        self.sweep().await?;
        let archive = self.store.journal().archive();
        for segment in self.segments().await? {
            let label = segment.first.to_string();
            let old = segment.piece().clone();
            let Some(new) = resealed(archive, &label, &old).await? else { continue };
            crash::point("segment_resealed");
            let change = {
                let _tail = self.tail.lock().await;
                // Retention may have deleted it meanwhile, or written its reference anew.
                match self.find_segment(segment.first).await?.filter(|found| *found.piece() == old) {
                    None => None,
                    Some(mut found) => {
                        found.refer_to(new.clone());
                        let mut batch = Batch::default();
                        found.put(&mut batch);
                        Some(self.store.write(batch).await?)
                    }
                }
            };
            match change {
                None => archive.remove(&new).await?,
                Some(change) => {
                    self.store.wait(change).await?;
                    crash::point("segment_referred_to_anew");
                    archive.remove(&old).await?;
                }
            }
        }
        Ok(())
    }
}

/// Seals a tenant anew that nobody serves: its journal was just opened, and `records` is the whole state.
pub async fn reseal_state(journal: &Journal, records: Vec<Record>) -> Result<(), ResealError> {
    let archive = journal.archive();
    let segments = records.iter().filter(|record| record.space == space::SEGMENTS);
    let segments: Vec<_> = segments.map(Segment::of).collect();
    let state = Arc::new(HeldState::new(records));
    let source: Arc<dyn SnapshotSource> = state.clone();
    journal.snapshots_from(Arc::downgrade(&source));
    // A reference that this build does not know may be of any piece.
    let are_known = segments.iter().all(Option::is_some);
    let mut segments: Vec<_> = segments.into_iter().flatten().collect();
    for segment in &mut segments {
        let old = segment.piece().clone();
        let Some(new) = resealed(archive, &segment.first.to_string(), &old).await? else { continue };
        segment.refer_to(new);
        let (key, value) = (segment.first.to_bytes(), segment.encoded());
        let change = state.with(|records| {
            let is_it = |record: &&mut Record| record.space == space::SEGMENTS && *record.key == key;
            if let Some(record) = records.iter_mut().find(is_it) {
                record.value = value.clone().into();
            }
            journal.record(vec![Change { space: space::SEGMENTS, key: key.into(), value: Some(value.into()) }], None)
        });
        journal.wait(change).await?;
        crash::point("segment_referred_to_anew");
        archive.remove(&old).await?;
    }
    if are_known {
        // Ours since the takeover: nobody else writes pieces here.
        let strays = archive.strays(segments.iter().map(Segment::piece)).await?;
        archive.sweep(&strays).await?;
    }
    journal.reseal().await?;
    Ok(())
}

/// `None`: there is nothing to be done, or nothing that can be.
async fn resealed(archive: &Archive, label: &str, piece: &Piece) -> Result<Option<Piece>, ArchiveError> {
    match archive.reseal(label, piece).await {
        Err(error @ ArchiveError::Sealed { error: UnsealError::UnknownKey { .. }, .. }) => {
            warn!(
                event = "segment_key_missing",
                %error,
                "a piece of the history stays as it is: the key that sealed it is not configured"
            );
            Ok(None)
        }
        Err(error) if error.is_lost() => Ok(None),
        answer => answer,
    }
}

/// The references to segments in a state.
pub struct SegmentReferences;

/// A reference, and the piece that it is of.
pub struct ReferredSegment(Segment);

/// A segment out of its vault: in plain.
pub struct StoredSegment {
    segment: Segment,
    pub plain: Vec<u8>,
}

impl SegmentReferences {
    /// All of them. `None`: a newer build wrote it.
    pub fn of(records: &[Record]) -> Vec<Option<ReferredSegment>> {
        let segments = records.iter().filter(|record| record.space == space::SEGMENTS);
        segments.map(|record| Segment::of(record).map(ReferredSegment)).collect()
    }
}

impl ReferredSegment {
    pub async fn read(self, archive: &Archive) -> Result<StoredSegment, ArchiveError> {
        let plain = archive.get(&self.0.first.to_string(), self.0.piece()).await?;
        Ok(StoredSegment { segment: self.0, plain })
    }
}

impl StoredSegment {
    /// `reference`: the record that was it.
    pub fn new(reference: &Record, plain: Vec<u8>) -> Option<Self> {
        Some(Self { segment: Segment::of(reference)?, plain })
    }

    pub fn key(&self) -> [u8; 16] {
        self.segment.first.to_bytes()
    }

    pub fn reference(&self) -> Vec<u8> {
        self.segment.encoded()
    }

    /// Writes it into another archive, and gives the record that refers to it there.
    pub async fn write(&self, archive: &Archive) -> Result<Record, VaultError> {
        let mut segment = self.segment.clone();
        segment.refer_to(archive.put(&segment.first.to_string(), &self.plain).await?);
        Ok(Record { space: space::SEGMENTS, key: self.key().into(), value: segment.encoded().into() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_of_a_newer_build_is_not_passed_over() {
        let record = |space, value: &'static str| Record { space, key: [7; 16].into(), value: value.into() };
        let records = [record(space::SEGMENTS, r#"{"of":"a time to come"}"#), record(space::SETTINGS, "{}")];
        let found = SegmentReferences::of(&records);
        assert!(found.len() == 1 && found[0].is_none());
    }
}
