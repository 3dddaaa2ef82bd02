//! Segments that were read last, in memory.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use ulid::Ulid;

use crate::{journal::Piece, sync::lock, tenant::TenantId};

/// An event's id and its bytes as they were in the state.
pub(super) type Entries = Arc<Vec<(Ulid, Bytes)>>;

/// The segments read last, one cache for the process: whoever reads one page of them reads the next.
#[derive(Debug, Clone, Default)]
pub struct SegmentCache(Arc<Mutex<VecDeque<(TenantId, String, Entries)>>>);

impl SegmentCache {
    /// Segments, each of less than a MiB but for single events that are larger.
    const CAPACITY: usize = 8;

    pub(super) fn find(&self, tenant: &TenantId, piece: &Piece) -> Option<Entries> {
        let shelf = lock(&self.0);
        shelf.iter().find(|(of, name, _)| of == tenant && name == piece.name()).map(|(_, _, entries)| entries.clone())
    }

    pub(super) fn keep(&self, tenant: &TenantId, piece: &Piece, entries: Entries) {
        let mut shelf = lock(&self.0);
        shelf.push_front((tenant.clone(), piece.name().to_owned(), entries));
        shelf.truncate(Self::CAPACITY);
    }
}
