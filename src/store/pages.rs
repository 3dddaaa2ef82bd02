//! The bytes of a working copy, each page checked whenever it is read.
//!
//! SQLite's files have no checksums: a changed byte is another value, or a row less. So the process remembers a digest of
//! each page as it wrote it last, and compares it before SQLite sees the page. Whatever else lies in its place is noticed: a
//! changed byte, a lost tail, an older page, a page of another tenant's file. With the pages every answer is checked that
//! rests on them, also "there is no such record" and "there are no more".
//!
//! The digests outlive the open file, so a file that is opened again must be the one that was closed: device, inode and
//! length at once, each page when it is read. They take 8 bytes a page of 4 KiB, or 0.2 % of the file, and their key is
//! random: only this process can tell which bytes are right.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt},
    path::Path,
    sync::{Arc, Mutex, MutexGuard},
};

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::failure::{CopyFailure, CopyFailureKind};
use crate::sync::lock;

/// The bytes that SQLite reads and writes at a time.
pub(super) const PAGE: usize = 4096;

/// The digests of one tenant's file in this process, whether the file is open or closed. Clones share them.
#[derive(Clone)]
pub(super) struct Pages(Arc<Mutex<PageDigests>>);

struct PageDigests {
    seed: u64,
    /// Device and inode.
    identity: Option<(u64, u64)>,
    /// Of each page, as it was written last.
    digests: Vec<u64>,
    /// The first one. SQLite knows it as an error code only, and sometimes goes on.
    failure: Option<CopyFailure>,
}

/// The failure is noted in [`Pages`].
pub(super) struct Failed;

impl Pages {
    /// Begins with a file that is not made yet.
    pub(super) fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(PageDigests { seed, identity: None, digests: Vec::new(), failure: None })))
    }

    pub(super) fn failure(&self) -> Option<CopyFailure> {
        self.known().failure.clone()
    }

    /// No step of a change to it can panic.
    fn known(&self) -> MutexGuard<'_, PageDigests> {
        lock(&self.0)
    }
}

impl PageDigests {
    fn digest(&self, page: &[u8]) -> u64 {
        xxh3_64_with_seed(page, self.seed)
    }

    fn fail(&mut self, failure: CopyFailure) -> Failed {
        self.failure.get_or_insert(failure);
        Failed
    }

    /// After a failure nothing is read or written.
    fn good(&self) -> Result<(), Failed> {
        if self.failure.is_none() { Ok(()) } else { Err(Failed) }
    }
}

/// A tenant's file, open.
pub(super) struct PageFile {
    file: File,
    pages: Pages,
}

impl PageFile {
    /// Makes the file, which must not exist.
    pub(super) fn create(path: &Path, pages: &Pages) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path)?;
        let found = file.metadata()?;
        pages.known().identity = Some((found.dev(), found.ino()));
        Ok(Self { file, pages: pages.clone() })
    }

    /// Opens the file again. It must be the very file that was closed.
    pub(super) fn open(path: &Path, pages: &Pages) -> Result<Self, CopyFailure> {
        let open = || {
            let file = OpenOptions::new().read(true).write(true).open(path)?;
            let found = file.metadata()?;
            Ok((file, found))
        };
        let (file, found) = open().map_err(|error: io::Error| CopyFailure::of_io(&error))?;
        {
            let known = pages.known();
            if known.identity != Some((found.dev(), found.ino())) {
                return Err(CopyFailure::new(CopyFailureKind::Exchanged, "another file is in its place"));
            }
            let expected = (known.digests.len() * PAGE) as u64;
            if found.len() != expected {
                let detail = format!("the file has {} bytes instead of {expected}", found.len());
                return Err(CopyFailure::damaged(detail));
            }
        }
        Ok(Self { file, pages: pages.clone() })
    }

    /// Fills the buffer; false: the file ends before, and the rest is zeros.
    pub(super) fn read(&self, offset: u64, buffer: &mut [u8]) -> Result<bool, Failed> {
        let mut known = self.pages.known();
        known.good()?;
        let mut filled = 0;
        while filled < buffer.len() {
            let (number, within) = place(offset + filled as u64);
            let rest = &mut buffer[filled..];
            if number >= known.digests.len() {
                rest.fill(0);
                return Ok(false);
            }
            if within == 0 && rest.len() >= PAGE {
                self.read_page(&mut known, number, &mut rest[..PAGE])?;
                filled += PAGE;
            } else {
                // SQLite reads the file's header like this.
                let mut page = [0; PAGE];
                self.read_page(&mut known, number, &mut page)?;
                let length = rest.len().min(PAGE - within);
                rest[..length].copy_from_slice(&page[within..within + length]);
                filled += length;
            }
        }
        Ok(true)
    }

    fn read_page(&self, known: &mut PageDigests, number: usize, page: &mut [u8]) -> Result<(), Failed> {
        let failure = match self.file.read_exact_at(page, (number * PAGE) as u64) {
            Ok(()) if known.digest(page) == known.digests[number] => return Ok(()),
            Ok(()) => CopyFailure::damaged(format!("page {} has other bytes than were written", number + 1)),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                CopyFailure::damaged(format!("page {} is cut off", number + 1))
            }
            Err(error) => CopyFailure::of_io(&error),
        };
        Err(known.fail(failure))
    }

    pub(super) fn write(&self, offset: u64, page: &[u8]) -> Result<(), Failed> {
        let mut known = self.pages.known();
        known.good()?;
        let (number, within) = place(offset);
        if within != 0 || page.len() != PAGE {
            return Err(
                known.fail(CopyFailure::new(CopyFailureKind::Unreadable, "SQLite wrote something else than a page"))
            );
        }
        if let Err(error) = self.file.write_all_at(page, offset) {
            return Err(known.fail(CopyFailure::of_io(&error)));
        }
        let digest = known.digest(page);
        if number >= known.digests.len() {
            // The system fills what is left out with zeros.
            let hole = known.digest(&[0; PAGE]);
            known.digests.resize(number + 1, hole);
        }
        known.digests[number] = digest;
        Ok(())
    }

    pub(super) fn truncate(&self, size: u64) -> Result<(), Failed> {
        let mut known = self.pages.known();
        known.good()?;
        if let Err(error) = self.file.set_len(size) {
            return Err(known.fail(CopyFailure::of_io(&error)));
        }
        known.digests.truncate(size as usize / PAGE);
        Ok(())
    }

    /// In bytes, as it was written.
    pub(super) fn size(&self) -> u64 {
        (self.pages.known().digests.len() * PAGE) as u64
    }
}

impl Drop for PageFile {
    /// A closed file takes no more memory than it must.
    fn drop(&mut self) {
        self.pages.known().digests.shrink_to_fit();
    }
}

/// The page, and the byte within it.
fn place(offset: u64) -> (usize, usize) {
    ((offset / PAGE as u64) as usize, (offset % PAGE as u64) as usize)
}
