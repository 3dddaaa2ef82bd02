//! The reserve of free space: below it no file is kept, nor written on its way. A file can be fetched again; the vault, which stands on
//! the same disk, cannot go without: a customer's documents must never stop it.

use std::{
    io,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use tracing::{info, warn};

/// Cheap to clone.
#[derive(Debug, Clone)]
pub struct DiskReserve(Arc<ReserveFields>);

#[derive(Debug)]
struct ReserveFields {
    /// On the disk that is looked at.
    folder: PathBuf,
    bytes: u64,
    is_low: AtomicBool,
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
        Self(Arc::new(ReserveFields { folder, bytes, is_low: AtomicBool::new(false) }))
    }

    /// Bytes that may still be written by who is not the superuser.
    fn free(&self) -> io::Result<u64> {
        let disk = rustix::fs::statvfs(&self.0.folder)?;
        Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
    }

    pub fn space(&self) -> DiskSpace {
        match self.free() {
            Ok(free) if free >= self.0.bytes => DiskSpace::Enough,
            Ok(free) if free >= self.0.bytes / FULL_PART => DiskSpace::Low,
            // Somebody wiped the folder: the next file makes it again.
            Err(error) if error.kind() == io::ErrorKind::NotFound => DiskSpace::Enough,
            _ => DiskSpace::Full,
        }
    }

    /// Whether a file may take so many bytes more. Blocks, shortly.
    pub fn allow(&self, bytes: u64) -> io::Result<()> {
        let free = match self.free() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            free => free?,
        };
        let is_low = free.saturating_sub(bytes) < self.0.bytes;
        // Said when it changes, not at every file.
        if self.0.is_low.swap(is_low, Ordering::Relaxed) != is_low {
            let (free_mib, reserve_mib) = (free >> 20, self.0.bytes >> 20);
            if is_low {
                warn!(
                    event = "disk_low",
                    free_mib, reserve_mib, "the disk is nearly full: no file is kept or sent (data.reserve_mib)"
                );
            } else {
                info!(event = "disk_recovered", free_mib, reserve_mib, "there is room for files again");
            }
        }
        if is_low { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
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
    /// The space on the disk that has the least.
    pub fn space(&self) -> DiskSpace {
        let vital = self.vital.iter().map(DiskReserve::space);
        let files = self.files.iter().map(|disk| disk.space().min(DiskSpace::Low));
        vital.chain(files).max().unwrap_or(DiskSpace::Enough)
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
            Disks { vital: vital.iter().copied().cloned().collect(), files: files.cloned() }.space()
        };
        assert_eq!(space(&[&open, &open], Some(&open)), DiskSpace::Enough);
        assert_eq!(space(&[&open, &full], Some(&open)), DiskSpace::Full);
        assert_eq!(space(&[&full], None), DiskSpace::Full);
        // Messages go on without it.
        assert_eq!(space(&[&open, &open], Some(&full)), DiskSpace::Low);
    }
}
