//! One process for an embedded vault, unless sharing it is asked for by name.
//!
//! Two processes on one vault take each other's tenants, which only a deploy wants. The lock is a file beside the vault, under a lock
//! that the kernel takes back when its process dies. In it stands who has it. A process that does not get it touches nothing. The
//! vault's file is under such a lock as well: it may have other names.

use std::{
    fs::{self, File, TryLockError},
    io::{self, Seek as _, Write as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use crate::vault::InstanceId;

/// The exit code when another process has the vault (`EX_TEMPFAIL` of sysexits.h): trying again later may help.
pub const EXIT_IN_USE: u8 = 75;

/// Held for as long as the vault is used.
#[derive(Debug)]
pub struct VaultLock {
    vault: PathBuf,
    shared: bool,
    _file: File,
    /// Closed only with the process's last use of the vault: closing it takes SQLite's own locks away (fcntl(2)).
    held: Option<File>,
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
        let path = vault.with_extension("lock");
        let disk = |source| VaultLockError::Disk { vault: vault.to_owned(), source };
        let mut file = loop {
            let file = open(&path).map_err(disk)?;
            match lock(&file, shared) {
                // Removed or replaced meanwhile: the next process would lock another one.
                Ok(()) if !is_at(&file, &path) => {}
                Ok(()) => break file,
                Err(TryLockError::WouldBlock) => {
                    return Err(VaultLockError::InUse { vault: vault.to_owned(), holder: holder(&file, &path) });
                }
                Err(TryLockError::Error(error)) => return Err(disk(error)),
            }
        };
        let mut this = Self { vault: vault.to_owned(), shared, _file: file.try_clone().map_err(disk)?, held: None };
        if vault.exists() {
            this.hold_vault()?;
        }
        let whose = if shared { "processes that share it, at last" } else { "process" };
        let words = format!("{whose} {} (instance {})\n", std::process::id(), instance.0);
        let written = file.set_len(0).and_then(|()| file.rewind()).and_then(|()| file.write_all(words.as_bytes()));
        written.map_err(disk)?;
        Ok(this)
    }

    /// Locks the file of the vault itself, once it is there.
    pub fn hold_vault(&mut self) -> Result<(), VaultLockError> {
        if self.held.is_some() {
            return Ok(());
        }
        let disk = |source| VaultLockError::Disk { vault: self.vault.clone(), source };
        let file = File::open(&self.vault).map_err(disk)?;
        lock(&file, self.shared).map_err(|error| match error {
            TryLockError::WouldBlock => {
                let holder = "another process, which knows it by another name".to_owned();
                VaultLockError::InUse { vault: self.vault.clone(), holder }
            }
            TryLockError::Error(error) => disk(error),
        })?;
        self.held = Some(file);
        Ok(())
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
