//! Files of a foreign folder: what may be opened, and how much of it is read.
//!
//! Promises: no link within a source is followed, nothing but regular files is opened, nothing is waited for, no more is read
//! than the limits allow. The folder that the user names may itself be a link; that is his choice. Never writes.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use rustix::fs::OFlags;

use super::{EntryError, ImportError, ImportLimits};

/// Opens a regular file that lies there itself. A pipe without a writer does not hold us up.
pub fn open(path: &Path) -> io::Result<Option<File>> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC).bits();
    let file = match OpenOptions::new().read(true).custom_flags(flags as i32).open(path) {
        Ok(file) => file,
        // The kernel's answer to a link, and to a socket.
        Err(error) if is_no_file(&error) => return Ok(None),
        Err(error) => return Err(error),
    };
    Ok(file.metadata()?.is_file().then_some(file))
}

fn is_no_file(error: &io::Error) -> bool {
    let code = error.raw_os_error().map(rustix::io::Errno::from_raw_os_error);
    matches!(code, Some(rustix::io::Errno::LOOP | rustix::io::Errno::NXIO))
}

/// One entry's file, whole, or why not. `None`: it is gone since the folder was listed.
pub fn read_entry(path: &Path, limit: usize) -> Result<Option<Vec<u8>>, EntryError> {
    let file = match open(path) {
        Ok(Some(file)) => file,
        Ok(None) => return Err(EntryError::NotAFile),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(_) => return Err(EntryError::Unreadable),
    };
    let mut text = Vec::new();
    let count = file.take(limit as u64 + 1).read_to_end(&mut text).map_err(|_| EntryError::Unreadable)?;
    if count > limit { Err(EntryError::TooLarge) } else { Ok(Some(text)) }
}

/// A file without which there is no import.
pub fn read_required(path: &Path, what: &'static str, limit: usize) -> Result<Vec<u8>, ImportError> {
    match read_entry(path, limit) {
        Ok(Some(text)) => Ok(text),
        Ok(None) => Err(io::Error::from(io::ErrorKind::NotFound).into()),
        Err(EntryError::NotAFile) => Err(ImportError::Link { what }),
        Err(EntryError::TooLarge) => Err(ImportError::TooLarge { what, limit: limit as u64, unit: "bytes" }),
        Err(_) => Err(io::Error::from(io::ErrorKind::PermissionDenied).into()),
    }
}

/// Folders in a folder, no links, by name.
pub fn folders(folder: &Path, limits: &ImportLimits) -> Result<Vec<PathBuf>, ImportError> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        if found.len() == limits.tenants {
            return Err(ImportError::TooLarge { what: "the source", limit: limits.tenants as u64, unit: "folders" });
        }
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            found.push(entry.path());
        }
    }
    found.sort_unstable();
    Ok(found)
}
