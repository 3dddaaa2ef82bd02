//! The file that is open, as this process left it: tells how it is found, and moves its log into it. Mends nothing.

use std::{
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use rusqlite::Connection;

use super::EARLY;
use crate::vault::{
    VaultError,
    embedded::{
        probe::{WriteAheadLog, damage, marks_in},
        schema,
        suspicion::{SUSPICION, Suspicion, is_suspect},
        writer::vault_error,
    },
};

/// A file that somebody writes is looked at again after so long, …
const QUIET: Duration = Duration::from_millis(50);
/// … so often at the most.
const LOOKS: u32 = 100;

pub(super) struct Open {
    pub(super) connection: Connection,
    file: FileIdentity,
    pub(super) log: Option<FileIdentity>,
    /// The file as the last checkpoint left it.
    stamp: FileStamp,
    /// The number of the last checkpoint that is known to be in the file.
    checkpoint: Option<i64>,
    pub(super) checkpointed_at: Instant,
    /// Something is in the log that is not in the file.
    pub(super) behind: bool,
    log_length: u64,
}

/// Device and inode.
pub(super) type FileIdentity = (u64, u64);
/// Length and the time of the last change.
type FileStamp = (u64, (i64, i64));

/// The state in which the file is found.
pub(super) enum FoundFile {
    AsLeft,
    Deleted,
    LogGone,
    Replaced,
    WrittenOver,
    /// It, or its log, was cut or damaged.
    Damaged,
    Failing,
}

impl Open {
    pub(super) fn new(path: &Path) -> Result<Self, VaultError> {
        let connection = schema::open(path)?;
        // By `checkpoint` alone: whatever else changes the file is looked into.
        connection.pragma_update(None, "wal_autocheckpoint", 0).map_err(vault_error)?;
        let context = |error| failed(path, &error);
        let log_path = beside(path, "-wal");
        let (file, stamp) = look_at(path).map_err(context)?;
        Ok(Self {
            connection,
            file,
            log: identity(&log_path).map_err(context)?,
            stamp,
            checkpoint: marks_in(path).map_err(vault_error)?.0,
            checkpointed_at: Instant::now(),
            behind: true,
            log_length: length(&log_path).map_err(context)?,
        })
    }

    pub(super) fn look(&mut self, path: &Path, own: Option<&[u8]>) -> io::Result<FoundFile> {
        let (file, stamp) = match look_at(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(FoundFile::Deleted),
            found => found?,
        };
        if file != self.file {
            return Ok(FoundFile::Replaced);
        }
        let log_path = beside(path, "-wal");
        let log = identity(&log_path)?;
        // SQLite makes it when it needs it first, and keeps it for as long as it is open.
        self.log = self.log.or(log);
        if log != self.log {
            return Ok(FoundFile::LogGone);
        }
        if stamp != self.stamp {
            match self.written_by_another(path, own)? {
                FoundFile::AsLeft => {}
                found => return Ok(found),
            }
        }
        let length = length(&log_path)?;
        let is_cut =
            length < self.log_length && self.behind && !matches!(damage(path, WriteAheadLog::Counts), Ok(None));
        self.log_length = length;
        Ok(match SUSPICION.get() {
            _ if is_cut => FoundFile::Damaged,
            Suspicion::Damage => FoundFile::Damaged,
            Suspicion::Failure => FoundFile::Failing,
            Suspicion::None => FoundFile::AsLeft,
        })
    }

    /// Another program has moved the log into the file, or has written over it.
    fn written_by_another(&mut self, path: &Path, own: Option<&[u8]>) -> io::Result<FoundFile> {
        let mut stamp = look_at(path)?.1;
        let mut before = None;
        for _ in 0..LOOKS {
            let marks = marks_in(path).map_err(io::Error::other)?;
            let (number, value) = &marks;
            let (number, is_ours) = (*number, own.is_none() || value.is_none() || own == value.as_deref());
            if is_ours && number > self.checkpoint {
                (self.stamp, self.checkpoint) = (stamp, number);
                return Ok(FoundFile::AsLeft);
            }
            // It may be in the middle of it: what was read counts when it is the same a while later.
            let is_settled = before.as_ref() == Some(&marks);
            before = Some(marks);
            thread::sleep(QUIET);
            let now = look_at(path)?.1;
            if now == stamp && is_settled {
                let is_sound = |log| matches!(damage(path, log), Ok(None));
                let found = match is_ours && number == self.checkpoint {
                    true if is_sound(WriteAheadLog::Counts) => FoundFile::AsLeft,
                    false if is_sound(WriteAheadLog::IsIgnored) => FoundFile::WrittenOver,
                    _ => FoundFile::Damaged,
                };
                self.stamp = stamp;
                return Ok(found);
            }
            stamp = now;
        }
        Err(io::Error::other("another program goes on writing it"))
    }

    /// Moves the log into the file, if that is due.
    pub(super) fn settle(&mut self, path: &Path) -> rusqlite::Result<()> {
        let log_path = beside(path, "-wal");
        self.log_length = length(&log_path).unwrap_or(self.log_length);
        let is_as_left = || look_at(path).is_ok_and(|found| found == (self.file, self.stamp));
        if !self.behind || self.checkpointed_at.elapsed() < EARLY || is_suspect() || !is_as_left() {
            return Ok(());
        }
        self.checkpointed_at = Instant::now();
        let number = schema::number_checkpoint(&self.connection)?;
        let checkpoint = "PRAGMA wal_checkpoint(PASSIVE)";
        let (is_busy, log, moved): (bool, i64, i64) =
            self.connection.query_row(checkpoint, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        // Another program's reader may keep a part of it. And while another one moves the log, this one has moved nothing, and is told -1
        // of both: the number is in the log and not in the file.
        if !is_busy && log >= 0 && log == moved {
            (self.checkpoint, self.behind) = (Some(number), false);
        }
        if let Ok((_, stamp)) = look_at(path) {
            self.stamp = stamp;
        }
        self.log_length = length(&log_path).unwrap_or(self.log_length);
        Ok(())
    }
}

pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn look_at(path: &Path) -> io::Result<(FileIdentity, FileStamp)> {
    let found = fs::metadata(path)?;
    Ok(((found.dev(), found.ino()), (found.len(), (found.mtime(), found.mtime_nsec()))))
}

pub(super) fn identity(path: &Path) -> io::Result<Option<FileIdentity>> {
    match look_at(path) {
        Ok((identity, _)) => Ok(Some(identity)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Zero without a file.
fn length(path: &Path) -> io::Result<u64> {
    match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        found => Ok(found?.len()),
    }
}

pub(super) fn failed(path: &Path, error: &io::Error) -> VaultError {
    VaultError::Unavailable(format!("{}: {error}", path.display()))
}
