//! A watch over the disks: threads of its own look at them once a second, one at those that everything needs and one at that of the files,
//! so that whoever asks never waits for a disk that does not answer, and neither waits for the other. A look that takes too long counts as
//! a full disk: what has to be written will not be. Without the files' disk there are no more files, and everything else goes on.

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

/// Cheap to clone. The threads end after the last of the clones.
#[derive(Debug, Clone)]
pub struct DiskWatch(Arc<WatchFields>);

#[derive(Debug)]
struct WatchFields {
    vital: Mutex<DiskLook>,
    files: Mutex<DiskLook>,
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
        !self.folder.is_empty() && now.saturating_duration_since(self.at) > SILENCE
    }

    /// Its space now, where no answer counts as `silence`.
    fn space_at(&self, now: Instant, silence: DiskSpace) -> DiskSpace {
        if self.is_stale(now) { silence } else { self.space }
    }
}

impl DiskWatch {
    /// Looks at what everything needs once, and from then on at all in threads of their own. The first look blocks.
    pub fn start(disks: Disks) -> io::Result<Self> {
        let Disks { vital, files } = disks;
        let folder = files.as_ref().map_or_else(String::new, |disk| disk.folder().display().to_string());
        // The first answer may never come.
        let unseen = DiskLook { space: DiskSpace::Enough, folder, at: Instant::now() };
        let vital = Disks { vital, files: None };
        let fields = WatchFields {
            vital: Mutex::new(DiskLook::take(&vital)),
            files: Mutex::new(unseen),
            told: Mutex::new(DiskSpace::Enough),
        };
        let watch = Self(Arc::new(fields));
        watch.look_at(vital, |fields| &fields.vital)?;
        if files.is_some() {
            watch.look_at(Disks { vital: Vec::new(), files }, |fields| &fields.files)?;
        }
        Ok(watch)
    }

    fn look_at(&self, disks: Disks, seen: fn(&WatchFields) -> &Mutex<DiskLook>) -> io::Result<()> {
        let fields = Arc::downgrade(&self.0);
        let looking = move || {
            loop {
                // Nobody asks any more. It holds the fields only while it writes them, as a look may last for ever.
                if fields.strong_count() == 0 {
                    return;
                }
                let look = DiskLook::take(&disks);
                let Some(fields) = fields.upgrade() else { return };
                *lock(seen(&fields)) = look;
                drop(fields);
                thread::sleep(PERIOD);
            }
        };
        thread::Builder::new().name("disks".to_owned()).spawn(looking).map(drop)
    }

    /// The space on the disk that has the least. Never blocks.
    pub fn space(&self) -> DiskSpace {
        self.look_of(Instant::now()).0
    }

    /// The look that says most, and what it says by now.
    fn look_of(&self, now: Instant) -> (DiskSpace, DiskLook) {
        let vital = lock(&self.0.vital).clone();
        let files = lock(&self.0.files).clone();
        let (needed, wanted) = (vital.space_at(now, DiskSpace::Full), files.space_at(now, DiskSpace::Low));
        if wanted > needed { (wanted, files) } else { (needed, vital) }
    }

    /// Logs the space when it is another than the log has. Returns what it has logged.
    pub fn tell(&self) -> Option<DiskSpace> {
        let now = Instant::now();
        let (space, look) = self.look_of(now);
        let before = std::mem::replace(&mut *lock(&self.0.told), space);
        if before == space {
            return None;
        }
        let folder = look.folder.as_str();
        match space {
            DiskSpace::Enough => info!(event = "disk_recovered", folder, "there is room on the disks again"),
            DiskSpace::Low | DiskSpace::Full if look.is_stale(now) => {
                error!(event = "disk_silent", folder, "the disks do not answer: nobody knows what can be written");
            }
            DiskSpace::Low => {
                warn!(
                    event = "disk_low",
                    folder, "the disk is nearly full: no file is kept or sent (data.reserve_mib)"
                );
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
        let at = |watch: &DiskWatch, later| watch.look_of(Instant::now() + later).0;
        assert_eq!(at(&open, PERIOD), DiskSpace::Enough);
        assert_eq!(at(&open, SILENCE + 10 * PERIOD), DiskSpace::Full);
        // That of the files takes none but files with it.
        let folder = tempfile::tempdir().unwrap();
        let files = Some(DiskReserve::new(folder.path().into(), 0));
        let watch = DiskWatch::start(Disks { vital: Vec::new(), files }).unwrap();
        assert_eq!(at(&watch, PERIOD), DiskSpace::Enough);
        assert_eq!(at(&watch, SILENCE + 10 * PERIOD), DiskSpace::Low);
    }
}
