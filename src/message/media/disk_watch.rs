//! A watch over the disks: a thread of its own looks at them once a second, so that whoever asks never waits for a disk that does not
//! answer. A look that takes too long counts as a full disk: what has to be written will not be.

use std::{
    io,
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::reserve::{DiskSpace, Disks};
use crate::sync::lock;

/// Between two looks.
const PERIOD: Duration = Duration::from_secs(1);

/// After so long without an answer nobody knows what can be written. A machine with too much to do gets its turn before that.
const SILENCE: Duration = Duration::from_secs(15);

/// Cheap to clone. The thread ends after the last of the clones.
#[derive(Debug, Clone)]
pub struct DiskWatch(Arc<WatchFields>);

#[derive(Debug)]
struct WatchFields {
    seen: Mutex<DiskLook>,
    /// As the log has it.
    told: Mutex<DiskSpace>,
}

/// The disk that had the least room, as it was then.
#[derive(Debug, Clone)]
struct DiskLook {
    space: DiskSpace,
    /// Empty: no disk is written on.
    folder: String,
    at: Instant,
}

impl DiskLook {
    /// Blocks as long as the disks do.
    fn take(disks: &Disks) -> Self {
        let (space, folder) = match disks.scarcest() {
            Some((space, disk)) => (space, disk.folder().display().to_string()),
            None => (DiskSpace::Enough, String::new()),
        };
        // The time after the answer: a look that took long is as good as any.
        Self { space, folder, at: Instant::now() }
    }

    fn is_stale(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.at) > SILENCE
    }
}

impl DiskWatch {
    /// Looks once, and from then on in a thread of its own. The first look blocks.
    pub fn start(disks: Disks) -> io::Result<Self> {
        let first = DiskLook::take(&disks);
        let watch = Self(Arc::new(WatchFields { seen: Mutex::new(first), told: Mutex::new(DiskSpace::Enough) }));
        let fields = Arc::downgrade(&watch.0);
        thread::Builder::new().name("disks".to_owned()).spawn(move || {
            loop {
                thread::sleep(PERIOD);
                // Nobody asks any more. It holds the fields only while it writes them, as a look may last for ever.
                if fields.strong_count() == 0 {
                    return;
                }
                let look = DiskLook::take(&disks);
                let Some(fields) = fields.upgrade() else { return };
                *lock(&fields.seen) = look;
            }
        })?;
        Ok(watch)
    }

    /// The space on the disk that has the least. Never blocks.
    pub fn space(&self) -> DiskSpace {
        self.space_at(Instant::now())
    }

    fn space_at(&self, now: Instant) -> DiskSpace {
        let seen = lock(&self.0.seen);
        if seen.is_stale(now) { DiskSpace::Full } else { seen.space }
    }

    /// Logs the space when it is another than the log has. Returns what it has logged.
    pub fn tell(&self) -> Option<DiskSpace> {
        let now = Instant::now();
        let space = self.space_at(now);
        let before = std::mem::replace(&mut *lock(&self.0.told), space);
        if before == space {
            return None;
        }
        let look = lock(&self.0.seen).clone();
        let folder = look.folder.as_str();
        match space {
            DiskSpace::Enough => info!(event = "disk_recovered", folder, "there is room on the disks again"),
            DiskSpace::Low => {
                warn!(
                    event = "disk_low",
                    folder, "the disk is nearly full: no file is kept or sent (data.reserve_mib)"
                );
            }
            DiskSpace::Full if look.is_stale(now) => {
                error!(event = "disk_silent", folder, "the disks do not answer: nobody knows what can be written");
            }
            DiskSpace::Full => {
                error!(
                    event = "disk_full",
                    folder,
                    "the disk is nearly full: less than a quarter of data.reserve_mib is left, and what has to be written will fail soon"
                );
            }
        }
        Some(space)
    }

    /// Tells until it is stopped.
    pub async fn keep_telling(&self, stop: &CancellationToken) {
        loop {
            self.tell();
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(PERIOD) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::media::DiskReserve;

    fn watch(bytes: u64) -> (tempfile::TempDir, DiskWatch) {
        let folder = tempfile::tempdir().unwrap();
        let vital = vec![DiskReserve::new(folder.path().into(), bytes)];
        (folder, DiskWatch::start(Disks { vital, files: None }).unwrap())
    }

    #[test]
    fn a_disk_is_told_when_its_space_changes_and_at_the_start_too() {
        let (_folder, full) = watch(u64::MAX);
        assert_eq!([full.tell(), full.tell()], [Some(DiskSpace::Full), None]);
        let (_folder, open) = watch(0);
        assert_eq!((open.space(), open.tell()), (DiskSpace::Enough, None));
    }

    #[test]
    fn a_disk_that_does_not_answer_counts_as_full() {
        let (_folder, open) = watch(0);
        let now = Instant::now();
        assert_eq!(open.space_at(now + PERIOD), DiskSpace::Enough);
        assert_eq!(open.space_at(now + SILENCE + 10 * PERIOD), DiskSpace::Full);
    }
}
