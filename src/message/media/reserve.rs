//! The reserve of free space: below it no file is kept, nor written on its way. A file can be fetched again; the vault, which stands on
//! the same disk, cannot go without: a customer's documents must never stop it.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use tracing::warn;

/// Cheap to clone.
#[derive(Debug, Clone)]
pub struct DiskReserve(Arc<ReserveFields>);

#[derive(Debug)]
struct ReserveFields {
    /// On the disk that is looked at.
    folder: PathBuf,
    bytes: u64,
    /// The last file that was asked for did not fit.
    has_refused: AtomicBool,
}

/// The part of the reserve below which a disk is full, and an embedded vault takes no more entries: one in so many bytes.
pub const FULL_PART: u64 = 4;

/// How much room there is on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum DiskSpace {
    Enough,
    /// Less than the reserve: no more files.
    Low,
    /// Less than a quarter of it ([`FULL_PART`]), or it cannot be said: what has to be written will fail soon.
    Full,
}

impl DiskReserve {
    pub fn new(folder: PathBuf, bytes: u64) -> Self {
        Self(Arc::new(ReserveFields { folder, bytes, has_refused: AtomicBool::new(false) }))
    }

    /// Bytes that may still be written by who is not the superuser.
    fn free(&self) -> io::Result<u64> {
        let disk = rustix::fs::statvfs(&self.0.folder)?;
        Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
    }

    pub fn folder(&self) -> &Path {
        &self.0.folder
    }

    /// Blocks as long as the disk does.
    pub fn space(&self) -> DiskSpace {
        match self.free() {
            Ok(free) if free >= self.0.bytes => DiskSpace::Enough,
            Ok(free) if free >= self.0.bytes / FULL_PART => DiskSpace::Low,
            // Somebody wiped the folder: the next file makes it again.
            Err(error) if error.kind() == io::ErrorKind::NotFound => DiskSpace::Enough,
            _ => DiskSpace::Full,
        }
    }

    /// As [`Self::allow`], for who must not block: a disk may not answer for minutes.
    pub async fn allow_soon(&self, bytes: u64) -> io::Result<()> {
        let disk = self.clone();
        tokio::task::spawn_blocking(move || disk.allow(bytes)).await.map_err(io::Error::other)?
    }

    /// Whether a file may take so many bytes more. Blocks as long as the disk does.
    pub fn allow(&self, bytes: u64) -> io::Result<()> {
        let free = match self.free() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            free => free?,
        };
        let fits = free.saturating_sub(bytes) >= self.0.bytes;
        // Said when it changes, not at every file. That the disk is low for every file the watch says.
        let is_news = self.0.has_refused.swap(!fits, Ordering::Relaxed) == fits;
        if is_news && !fits && free >= self.0.bytes {
            let (free_mib, reserve_mib) = (free >> 20, self.0.bytes >> 20);
            warn!(
                event = "file_without_room",
                free_mib,
                reserve_mib,
                "a file does not fit on the disk beside data.reserve_mib: it is not kept or sent"
            );
        }
        if fits { Ok(()) } else { Err(io::ErrorKind::StorageFull.into()) }
    }
}

/// All disks on which a process writes; several may be one.
#[derive(Debug, Clone, Default)]
pub struct Disks {
    /// Without room on these nothing goes on: that of the data folder, and that of an embedded vault.
    pub vital: Vec<DiskReserve>,
    /// Without room on this one there are no more files.
    pub files: Option<DiskReserve>,
}

impl Disks {
    /// The disk that has the least room. Blocks as long as the disks do.
    pub fn scarcest(&self) -> Option<(DiskSpace, &DiskReserve)> {
        let vital = self.vital.iter().map(|disk| (disk.space(), disk));
        let files = self.files.iter().map(|disk| (disk.space().min(DiskSpace::Low), disk));
        vital.chain(files).max_by_key(|(space, _)| *space)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_not_for_files() {
        let folder = tempfile::tempdir().unwrap();
        let open = DiskReserve::new(folder.path().into(), 0);
        assert_eq!(open.space(), DiskSpace::Enough);
        open.allow(1000).unwrap();
        let closed = DiskReserve::new(folder.path().into(), u64::MAX);
        assert_eq!(closed.space(), DiskSpace::Full);
        assert_eq!(closed.allow(1).unwrap_err().kind(), io::ErrorKind::StorageFull);
        let low = DiskReserve::new(folder.path().into(), open.free().unwrap() + (64 << 20));
        assert_eq!(low.space(), DiskSpace::Low);
        assert!(low.allow(0).is_err());
    }

    #[test]
    fn the_disk_with_the_least_room_counts() {
        let folder = tempfile::tempdir().unwrap();
        let [open, full] = [0, u64::MAX].map(|bytes| DiskReserve::new(folder.path().into(), bytes));
        let space = |vital: &[&DiskReserve], files: Option<&DiskReserve>| {
            let disks = Disks { vital: vital.iter().copied().cloned().collect(), files: files.cloned() };
            disks.scarcest().map(|(space, _)| space)
        };
        assert_eq!(space(&[&open, &open], Some(&open)), Some(DiskSpace::Enough));
        assert_eq!(space(&[&open, &full], Some(&open)), Some(DiskSpace::Full));
        assert_eq!(space(&[&full], None), Some(DiskSpace::Full));
        // Messages go on without it.
        assert_eq!(space(&[&open, &open], Some(&full)), Some(DiskSpace::Low));
    }
}
