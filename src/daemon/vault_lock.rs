//! One process for an embedded vault, unless sharing it is asked for by name.
//!
//! Two processes on one vault take each other's tenants, which only a deploy wants. The lock is a file beside the vault, under a lock
//! that the kernel takes back when its process dies. In it stands who has it. A process that does not get it touches nothing. The
//! vault's file is under such a lock as well: it may have other names. Both are locked anew where somebody removed or replaced them while
//! the process runs, see [`keep_lock`]: a lock on a file that is gone keeps nobody out.

use std::{
    fs::{self, File, TryLockError},
    io::{self, Seek as _, Write as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio_util::sync::CancellationToken;
use tracing::error;

use crate::{sync, vault::InstanceId};

/// The exit code when another process has the vault (`EX_TEMPFAIL` of sysexits.h): trying again later may help.
pub const EXIT_IN_USE: u8 = 75;

/// Held for as long as the vault is used.
#[derive(Debug)]
pub struct VaultLock {
    vault: PathBuf,
    shared: bool,
    words: String,
    file: File,
    /// Closed only with the process's last use of the vault: closing it takes SQLite's own locks away (fcntl(2)).
    held: Option<File>,
    /// The one before it, which SQLite may have open for a moment.
    _held_before: Option<File>,
    /// False: another process has the lock of `held`.
    is_held: bool,
}

/// Why there is none.
#[derive(Debug, thiserror::Error)]
pub enum VaultLockError {
    #[error(
        "the vault {vault} is in use by {holder}; stop that process, or let all of them share it (vault.embedded.shared)"
    )]
    InUse { vault: PathBuf, holder: String },
    #[error("the lock of the vault {vault}")]
    Disk { vault: PathBuf, source: io::Error },
}

impl VaultLock {
    /// `shared`: with all others that say so.
    pub fn acquire(vault: &Path, shared: bool, instance: &InstanceId) -> Result<Self, VaultLockError> {
        // By the name that all others end at. A vault that is not there yet has no other.
        let vault = &fs::canonicalize(vault).unwrap_or_else(|_| vault.to_owned());
        let file = lock_file(vault, shared)?;
        let whose = if shared { "processes that share it, at last" } else { "process" };
        let words = format!("{whose} {} (instance {})\n", std::process::id(), instance.0);
        let mut this =
            Self { vault: vault.to_owned(), shared, words, file, held: None, _held_before: None, is_held: true };
        if vault.exists() {
            this.hold_vault()?;
        }
        this.sign()?;
        Ok(this)
    }

    /// Says in the file who has it.
    fn sign(&mut self) -> Result<(), VaultLockError> {
        let file = &mut self.file;
        let written = file.set_len(0).and_then(|()| file.rewind()).and_then(|()| file.write_all(self.words.as_bytes()));
        written.map_err(|source| VaultLockError::Disk { vault: self.vault.clone(), source })
    }

    /// Locks anew what was removed or replaced since. True: it was needed.
    fn renew(&mut self) -> Result<bool, VaultLockError> {
        let path = self.vault.with_extension("lock");
        let has_folder = path.parent().is_none_or(|folder| folder.as_os_str().is_empty() || folder.exists());
        let is_lost = has_folder && !is_at(&self.file, &path);
        if is_lost {
            self.file = lock_file(&self.vault, self.shared)?;
            self.sign()?;
        }
        let is_replaced = self.held.as_ref().is_some_and(|held| !is_at(held, &self.vault)) && self.vault.exists();
        if is_replaced {
            let found = File::open(&self.vault);
            let found = found.map_err(|source| VaultLockError::Disk { vault: self.vault.clone(), source })?;
            // Kept, locked or not: see `held`.
            self._held_before = self.held.replace(found);
            self.is_held = false;
        }
        if let Some(held) = self.held.as_ref().filter(|_| !self.is_held) {
            lock(held, self.shared).map_err(|error| self.vault_is_taken(error))?;
            self.is_held = true;
        }
        Ok(is_lost || is_replaced)
    }

    fn vault_is_taken(&self, error: TryLockError) -> VaultLockError {
        match error {
            TryLockError::WouldBlock => {
                let holder = "another process, which knows it by another name".to_owned();
                VaultLockError::InUse { vault: self.vault.clone(), holder }
            }
            TryLockError::Error(source) => VaultLockError::Disk { vault: self.vault.clone(), source },
        }
    }

    /// Locks the file of the vault itself, once it is there.
    pub fn hold_vault(&mut self) -> Result<(), VaultLockError> {
        if self.held.is_some() {
            return Ok(());
        }
        let disk = |source| VaultLockError::Disk { vault: self.vault.clone(), source };
        let file = File::open(&self.vault).map_err(disk)?;
        lock(&file, self.shared).map_err(|error| self.vault_is_taken(error))?;
        self.held = Some(file);
        Ok(())
    }
}

/// How often is looked whether the locked files are still there. Until then a second process could come in.
const LOCK_LOOK: Duration = Duration::from_secs(1);

/// Locks the vault anew whenever its lock file, or its own, is gone or another. Where that fails, another process has come in.
pub(super) async fn keep_lock(held: Arc<Mutex<VaultLock>>, stop: &CancellationToken) {
    let mut last = None;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(LOCK_LOOK) => {}
        }
        let held = held.clone();
        let renewed = tokio::task::spawn_blocking(move || sync::lock(&held).renew()).await;
        let failure = match renewed {
            Ok(Ok(true)) => {
                error!(
                    event = "vault_lock_restored",
                    "the vault's lock file, or its own, was removed or replaced: it is locked again"
                );
                None
            }
            Ok(Err(error)) => Some(error.to_string()),
            Ok(Ok(false)) | Err(_) => None,
        };
        if let Some(error) = failure.as_ref().filter(|_| failure != last) {
            error!(
                event = "vault_lock_unrestored",
                %error,
                "the vault's lock file, or its own, was removed or replaced, and cannot be locked again"
            );
        }
        last = failure;
    }
}

/// The lock file beside the vault, under the lock.
fn lock_file(vault: &Path, shared: bool) -> Result<File, VaultLockError> {
    let path = vault.with_extension("lock");
    let disk = |source| VaultLockError::Disk { vault: vault.to_owned(), source };
    loop {
        let file = open(&path).map_err(disk)?;
        match lock(&file, shared) {
            // Removed or replaced meanwhile: the next process would lock another one.
            Ok(()) if !is_at(&file, &path) => {}
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) => {
                return Err(VaultLockError::InUse { vault: vault.to_owned(), holder: holder(&file, &path) });
            }
            Err(TryLockError::Error(error)) => return Err(disk(error)),
        }
    }
}

fn lock(file: &File, shared: bool) -> Result<(), TryLockError> {
    if shared { file.try_lock_shared() } else { file.try_lock() }
}

/// The process that has the lock, in words. Of several that share it the last one wrote its name, and may be dead: the kernel knows better.
fn holder(file: &File, path: &Path) -> String {
    let written = fs::read_to_string(path).unwrap_or_default();
    let written = written.trim();
    let inode = file.metadata().map_or(0, |found| found.ino()).to_string();
    let locks = fs::read_to_string("/proc/locks").unwrap_or_default();
    // proc(5): number, kind, how, access, process, device:inode.
    let locks = locks.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let of_file = locks.filter(|lock| lock.get(5).and_then(|place| place.rsplit(':').next()) == Some(&inode));
    let mut holders: Vec<_> = of_file.map(|lock| lock[4].to_owned()).filter(|process| process != "0").collect();
    holders.sort();
    holders.dedup();
    let is_named = |process: &String| written.contains(&format!(" {process} (instance "));
    match &holders[..] {
        [] if written.is_empty() => "another process".to_owned(),
        [] => written.to_owned(),
        [one] if !is_named(one) => format!("process {one}"),
        [_] => written.to_owned(),
        several => format!("processes {}", several.join(", ")),
    }
}

fn is_at(file: &File, path: &Path) -> bool {
    let is_same = |ours: fs::Metadata, there: fs::Metadata| (ours.dev(), ours.ino()) == (there.dev(), there.ino());
    file.metadata().is_ok_and(|ours| fs::metadata(path).is_ok_and(|there| is_same(ours, there)))
}

fn open(path: &Path) -> io::Result<File> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        fs::create_dir_all(folder)?;
    }
    File::options().create(true).truncate(false).read(true).write(true).mode(0o600).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_has_it_or_all_share_it() {
        let folder = tempfile::tempdir().unwrap();
        let vault = folder.path().join("cloud").join("vault.db");
        let acquire = |shared, name: &str| VaultLock::acquire(&vault, shared, &InstanceId(name.into()));
        let one = acquire(false, "one").unwrap();
        for shared in [false, true] {
            let Err(VaultLockError::InUse { holder, .. }) = acquire(shared, "two") else { panic!("two have it") };
            assert_eq!(holder, format!("process {} (instance one)", std::process::id()));
        }
        drop(one);
        let two = acquire(true, "two").unwrap();
        let three = acquire(true, "three").unwrap();
        let Err(VaultLockError::InUse { holder, .. }) = acquire(false, "four") else { panic!("four has it alone") };
        assert!(holder.contains("share") && holder.contains("three"), "{holder}");
        // One that has died since wrote its name last.
        fs::write(vault.with_extension("lock"), "processes that share it, at last 1 (instance dead)").unwrap();
        let Err(VaultLockError::InUse { holder, .. }) = acquire(false, "five") else { panic!("five has it alone") };
        assert_eq!(holder, format!("process {}", std::process::id()));
        drop((two, three));
        acquire(false, "five").unwrap();
    }

    #[test]
    fn files_that_were_removed_are_locked_again() {
        let folder = tempfile::tempdir().unwrap();
        let cloud = folder.path().join("cloud");
        let vault = cloud.join("vault.db");
        let acquire = |name: &str| VaultLock::acquire(&vault, false, &InstanceId(name.into()));
        let mut one = acquire("one").unwrap();
        fs::write(&vault, b"a vault").unwrap();
        one.hold_vault().unwrap();
        assert!(!one.renew().unwrap(), "nothing was wrong");
        fs::remove_dir_all(&cloud).unwrap();
        assert!(
            !one.renew().unwrap() && !cloud.exists(),
            "a folder that is gone may be a disk that is away for a while"
        );
        fs::create_dir(&cloud).unwrap();
        fs::write(&vault, b"a vault").unwrap();
        assert!(one.renew().unwrap());
        let Err(VaultLockError::InUse { holder, .. }) = acquire("two") else { panic!("two have it") };
        assert!(holder.contains("instance one"), "{holder}");
        // By another name of the file, too.
        let link = folder.path().join("link.db");
        fs::hard_link(&vault, &link).unwrap();
        assert!(VaultLock::acquire(&link, false, &InstanceId("three".into())).is_err());
        assert!(!one.renew().unwrap());
        // Another process was faster.
        fs::remove_dir_all(&cloud).unwrap();
        fs::create_dir(&cloud).unwrap();
        let faster = acquire("four").unwrap();
        assert!(matches!(one.renew(), Err(VaultLockError::InUse { .. })));
        drop(faster);
        assert!(one.renew().unwrap());
    }

    #[test]
    fn another_name_of_the_same_file_is_no_other_vault() {
        let folder = tempfile::tempdir().unwrap();
        let names = ["vault.db", "link.db", "hard.db"].map(|name| folder.path().join(name));
        let acquire = |vault: &Path| VaultLock::acquire(vault, false, &InstanceId("one".into()));
        let mut first = acquire(&names[0]).unwrap();
        fs::write(&names[0], b"a vault").unwrap();
        first.hold_vault().unwrap();
        std::os::unix::fs::symlink(&names[0], &names[1]).unwrap();
        fs::hard_link(&names[0], &names[2]).unwrap();
        for other in &names[1..] {
            assert!(matches!(acquire(other), Err(VaultLockError::InUse { .. })), "{}", other.display());
        }
        drop(first);
        acquire(&names[2]).unwrap();
    }
}
