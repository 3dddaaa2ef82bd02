//! Nine ways in which a file on a disk goes wrong while somebody relies on it.

use std::{
    fs::{self, OpenOptions},
    io::{self, Seek as _, SeekFrom, Write as _},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use rand::{Rng, seq::IndexedRandom as _};
use sessiond::demo::Process;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Damage {
    /// Some bits, anywhere.
    Flip,
    /// Its second half is gone.
    Truncate,
    /// All of it is zeros, at the same length.
    Zero,
    /// Random bytes in the place of some pages.
    Overwrite,
    Delete,
    /// What was there some time ago is there again.
    OlderCopy,
    /// The same file of somebody else.
    ForeignCopy,
    /// Nobody may read it. (Root may: for root this is no damage.)
    Unreadable,
    /// A folder of that name.
    Folder,
}

pub const ALL: [Damage; 9] = [
    Damage::Flip,
    Damage::Truncate,
    Damage::Zero,
    Damage::Overwrite,
    Damage::Delete,
    Damage::OlderCopy,
    Damage::ForeignCopy,
    Damage::Unreadable,
    Damage::Folder,
];

impl Damage {
    pub fn any(rng: &mut impl Rng) -> Self {
        *ALL.choose(rng).expect("there are nine")
    }

    /// Damages a file. `older` and `foreign` are what the two copies are made of; where there is none, the file is deleted.
    pub fn apply(
        self,
        file: &Path,
        older: Option<&[u8]>,
        foreign: Option<&[u8]>,
        rng: &mut impl Rng,
    ) -> io::Result<()> {
        let length = fs::metadata(file)?.len();
        let open = || OpenOptions::new().write(true).open(file);
        match self {
            Self::Flip => {
                let mut bytes = fs::read(file)?;
                for _ in 0..16.min(bytes.len()) {
                    let at = rng.random_range(0..bytes.len());
                    bytes[at] ^= 1 << rng.random_range(0..8);
                }
                // In place: whoever has the file open sees it.
                open()?.write_all(&bytes)
            }
            Self::Truncate => open()?.set_len(length / 2),
            Self::Zero => open()?.write_all(&vec![0; usize::try_from(length).unwrap_or_default()]),
            Self::Overwrite => {
                let mut file = open()?;
                for _ in 0..4 {
                    let mut page = [0; 1024];
                    rng.fill(&mut page[..]);
                    file.seek(SeekFrom::Start(rng.random_range(0..length.max(1))))?;
                    file.write_all(&page)?;
                }
                Ok(())
            }
            Self::Delete => fs::remove_file(file),
            Self::OlderCopy | Self::ForeignCopy => {
                fs::remove_file(file)?;
                match if self == Self::OlderCopy { older } else { foreign } {
                    Some(bytes) => fs::write(file, bytes),
                    None => Ok(()),
                }
            }
            Self::Unreadable => fs::set_permissions(file, fs::Permissions::from_mode(0o0)),
            Self::Folder => {
                fs::remove_file(file)?;
                fs::create_dir(file)
            }
        }
    }
}

/// Whether a process has the file open.
pub fn has_open(daemon: &Process, file: &Path) -> bool {
    let descriptors = format!("/proc/{}/fd", daemon.id().unwrap());
    let mut open = std::fs::read_dir(descriptors).unwrap().filter_map(|entry| entry.ok()?.path().read_link().ok());
    open.any(|open| open == file)
}

/// The files of a tenant's working copy, wherever they are in the data folder.
pub fn working_copy(data_dir: &Path, tenant: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![data_dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                folders.push(path);
            } else if path.parent().and_then(Path::file_name).is_some_and(|folder| folder == tenant) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}
