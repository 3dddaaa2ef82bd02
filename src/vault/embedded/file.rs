//! The file under the connection: SQLite writes on into one that was deleted or replaced, and nobody would ever read that again.
//!
//! So before each transaction the path must still lead to the file that is open, and to its log. One of them deleted, or the log replaced:
//! what is open is written there again, whole.
//! Replaced (by an older copy, say): that one is opened, and what the tenants' owners miss in it they write anew themselves, see
//! [`crate::journal`].

use std::{
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use rusqlite::{Connection, config::DbConfig};

use super::{VaultError, schema, writer::vault_error};

pub(super) struct VaultFile {
    path: PathBuf,
    connection: Connection,
    /// The file that is open, and its log.
    identity: Identity,
    log: Option<Identity>,
}

/// Device and inode.
type Identity = (u64, u64);

impl VaultFile {
    /// Opens the file or makes it.
    pub(super) fn open(path: &Path) -> Result<Self, VaultError> {
        let connection = schema::open(path)?;
        let identity = identity(path).map_err(|error| failed(path, &error))?;
        let identity = identity.ok_or_else(|| failed(path, &io::ErrorKind::NotFound.into()))?;
        let log = self::identity(&beside(path, "-wal")).map_err(|error| failed(path, &error))?;
        Ok(Self { path: path.to_owned(), connection, identity, log })
    }

    /// A connection to the file that the path leads to.
    pub(super) fn connection(&mut self) -> Result<&mut Connection, VaultError> {
        let path = &self.path;
        match identity(path).map_err(|error| failed(path, &error))? {
            Some(found) if found == self.identity => {
                let log = identity(&beside(path, "-wal")).map_err(|error| failed(path, &error))?;
                // SQLite makes it when it needs it first, and keeps it for as long as it is open.
                self.log = self.log.or(log);
                if log == self.log {
                    return Ok(&mut self.connection);
                }
                tracing::error!(path = %path.display(), "the vault's log was deleted or replaced: writing the file anew");
                self.write_anew()?;
            }
            Some(_) => {
                tracing::error!(path = %path.display(), "the vault's file was replaced: going on with the new one");
                let log = identity(&beside(path, "-wal")).map_err(|error| failed(path, &error))?;
                if log.is_some() && log == self.log {
                    self.remove_logs()?;
                }
            }
            None => {
                tracing::error!(path = %path.display(), "the vault's file was deleted: writing it anew");
                self.write_anew()?;
            }
        }
        // Its close would delete the new file's log, by its name.
        self.connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).map_err(vault_error)?;
        *self = Self::open(&self.path)?;
        Ok(&mut self.connection)
    }

    /// Whole, or not at all.
    fn write_anew(&self) -> Result<(), VaultError> {
        let aside = beside(&self.path, ".anew");
        let written = || {
            if aside.exists() {
                fs::remove_file(&aside).map_err(|error| failed(&aside, &error))?;
            }
            schema::make_private(&aside).map_err(|error| failed(&aside, &error))?;
            let name = aside.to_string_lossy();
            self.connection.execute("VACUUM INTO ?1", [&*name]).map_err(vault_error)?;
            fs::File::open(&aside).and_then(|file| file.sync_all()).map_err(|error| failed(&aside, &error))
        };
        written()?;
        self.remove_logs()?;
        fs::rename(&aside, &self.path).map_err(|error| failed(&self.path, &error))
    }

    /// SQLite would take the log of the file that is gone for the new one's.
    fn remove_logs(&self) -> Result<(), VaultError> {
        for log in ["-wal", "-shm"] {
            match fs::remove_file(beside(&self.path, log)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(&self.path, &error)),
                _ => {}
            }
        }
        Ok(())
    }
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn identity(path: &Path) -> io::Result<Option<Identity>> {
    match fs::metadata(path) {
        Ok(found) => Ok(Some((found.dev(), found.ino()))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn failed(path: &Path, error: &io::Error) -> VaultError {
    VaultError::Unavailable(format!("{}: {error}", path.display()))
}
