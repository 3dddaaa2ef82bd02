//! The folder of this process's working copies: `<data>/sessions/<instance>`.
//!
//! Several processes may share a data folder: two for a minute at each deploy on one volume. So each has a folder of its own, under a
//! lock that the kernel takes back when the process dies, however it dies. Promises: nobody removes a folder whose lock is held, and a
//! folder of the dead does not outlive the next start. A folder without a lock file is not ours to judge: it stays.

use std::{
    fs::{self, File, TryLockError},
    io,
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use tracing::{debug, warn};

use crate::vault::InstanceId;

/// In the folder; locked as long as its process lives.
const LOCK: &str = "lock";

/// Removed when dropped.
#[derive(Debug)]
pub struct WorkFolder {
    path: PathBuf,
    /// Holds the lock.
    _lock: File,
}

impl WorkFolder {
    /// Makes this process's folder in `home`, and removes those of processes that are dead.
    pub fn create(home: &Path, instance: &InstanceId) -> anyhow::Result<Self> {
        let path = home.join(&*instance.0);
        let context = || format!("the folder {} cannot be made", path.display());
        let lock = make(&path).with_context(context)?;
        remove_the_dead(home, &path);
        Ok(Self { path, _lock: lock })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for WorkFolder {
    fn drop(&mut self) {
        if let Err(error) = remove(&self.path) {
            warn!(
                event = "work_folder_kept",
                folder = %self.path.display(),
                %error,
                "the working copies were not removed"
            );
        }
    }
}

/// Locks a new folder. Another process may remove it between creation and locking, because it looks dead: then it is
/// made again.
fn make(path: &Path) -> io::Result<File> {
    loop {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(path)?;
        let file = path.join(LOCK);
        let lock = match File::options().create(true).truncate(false).write(true).mode(0o600).open(&file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            opened => opened?,
        };
        lock.lock()?;
        let is_there =
            fs::metadata(&file).is_ok_and(|there| lock.metadata().is_ok_and(|ours| ours.ino() == there.ino()));
        if is_there {
            return Ok(lock);
        }
    }
}

fn remove_the_dead(home: &Path, own: &Path) {
    let folders = match fs::read_dir(home) {
        Ok(folders) => folders,
        Err(error) => {
            return warn!(
                event = "dead_work_folders_kept",
                folder = %home.display(),
                %error,
                "working copies of dead processes stay"
            );
        }
    };
    for folder in folders.filter_map(Result::ok).map(|entry| entry.path()).filter(|folder| folder != own) {
        match remove_if_dead(&folder) {
            Ok(true) => debug!(folder = %folder.display(), "the working copies of a dead process were removed"),
            Ok(false) => {}
            Err(error) => {
                warn!(
                    event = "dead_work_folders_kept",
                    folder = %folder.display(),
                    %error,
                    "the working copies of a dead process stay"
                )
            }
        }
    }
}

/// False: its process lives, or nobody knows whose it is.
fn remove_if_dead(folder: &Path) -> io::Result<bool> {
    let lock = match File::options().write(true).open(folder.join(LOCK)) {
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(false);
        }
        opened => opened?,
    };
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(false),
        Err(TryLockError::Error(error)) => return Err(error),
    }
    // Still locked: whoever makes a folder of this name waits, and finds that it is gone.
    remove(folder).map(|()| true)
}

/// The lock file last: a folder without one is nobody's, and would stay for ever if the process died in the middle.
fn remove(folder: &Path) -> io::Result<()> {
    let removed = || {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            match entry.file_type()?.is_dir() {
                true => fs::remove_dir_all(entry.path())?,
                false if entry.file_name() == LOCK => {}
                false => fs::remove_file(entry.path())?,
            }
        }
        fs::remove_dir_all(folder)
    };
    match removed() {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instance(name: &str) -> InstanceId {
        InstanceId(name.into())
    }

    #[test]
    fn folders_of_the_living_stay_and_those_of_the_dead_go() {
        let home = tempfile::tempdir().unwrap();
        let home = home.path();
        let living = WorkFolder::create(home, &instance("living")).unwrap();
        fs::create_dir_all(living.path().join("tenant")).unwrap();
        // As a process leaves it that was killed.
        let dead = std::mem::ManuallyDrop::new(WorkFolder::create(home, &instance("dead")).unwrap());
        fs::create_dir_all(dead.path().join("tenant")).unwrap();
        dead._lock.unlock().unwrap();
        let dead = dead.path();
        // Nobody knows whose: an older build's, a person's.
        fs::create_dir_all(home.join("tenant")).unwrap();
        fs::write(home.join("note"), "not a folder").unwrap();

        let next = WorkFolder::create(home, &instance("next")).unwrap();
        assert!(living.path().join("tenant").exists());
        assert!(!dead.exists());
        assert!(home.join("tenant").exists() && home.join("note").exists());
        let path = next.path().to_owned();
        drop(next);
        assert!(!path.exists());
    }

    /// Something in it cannot be removed, as when the process dies in the middle: the next one tries again.
    #[test]
    fn a_folder_that_is_half_removed_has_its_lock_still() {
        let home = tempfile::tempdir().unwrap();
        let dead = std::mem::ManuallyDrop::new(WorkFolder::create(home.path(), &instance("dead")).unwrap());
        for tenant in ["a", "b", "c"] {
            fs::create_dir_all(dead.path().join(tenant)).unwrap();
        }
        let busy = dead.path().join("b");
        let mount = std::process::Command::new("mount").args(["-t", "tmpfs", "tmpfs"]).arg(&busy).status();
        if !mount.is_ok_and(|mounted| mounted.success()) {
            assert!(std::env::var_os("CI").is_none(), "nothing may be mounted");
            return eprintln!("NOT TESTED: nothing may be mounted");
        }
        let removed = remove(dead.path());
        let unmounted = std::process::Command::new("umount").arg(&busy).status().unwrap();
        assert!(removed.is_err() && unmounted.success());
        assert!(dead.path().join(LOCK).exists(), "nobody would ever remove it");
        dead._lock.unlock().unwrap();
        drop(WorkFolder::create(home.path(), &instance("next")).unwrap());
        assert!(!dead.path().exists());
    }

    #[test]
    fn many_that_start_at_the_same_time_disturb_nobody() {
        let home = tempfile::tempdir().unwrap();
        let folders: Vec<_> = std::thread::scope(|scope| {
            let start = |n: usize| {
                let home = home.path();
                move || WorkFolder::create(home, &instance(&format!("i{n}"))).unwrap()
            };
            let threads: Vec<_> = (0..16).map(|n| scope.spawn(start(n))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(folders.iter().all(|folder| folder.path().join(LOCK).exists()));
    }
}
