//! The file under the connection. SQLite trusts it: it writes on into one that was deleted or replaced, and mixes its log with whatever
//! was written over the file.
//!
//! So before each transaction the file and its log must be those that this process left. Otherwise, and when SQLite finds damage itself:
//!
//! - *Deleted*, or the log deleted or replaced: what is open is written there again, whole.
//! - *Replaced* (by an older copy, say): that one is opened.
//! - *Written over* in place: its log belongs to another file, and goes.
//! - *Cut*, or damaged otherwise: the whole part of the log counts; failing that the file without it; failing that all rows that can be
//!   read, in a new file ([`rescue`]).
//!
//! Tenants' owners miss something then, and write it anew themselves, see [`crate::journal`]. The less the log holds the less they miss:
//! so it goes into the file early. Another vault's file is set aside, and so is one that is damaged: nothing is written over.
//!
//! Others may write too: SQLite's own tools, and processes that share the vault. They move the log into the file, as this one does. Such a
//! move never takes the number of the last checkpoint back, as an older copy does; one that leaves it as it was is
//! looked into.

mod open_file;

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use rusqlite::{Connection, config::DbConfig};
use tokio::sync::watch;

use self::open_file::{FoundFile, Open, beside, failed, identity};
use super::{
    VaultError,
    probe::{WriteAheadLog, check_value, damage, is_damage, is_foreign, look_into},
    rescue, schema,
    suspicion::{HAS_NEW_CHECK_VALUE, SUSPICION, Suspicion, suspect},
    writer::vault_error,
};

/// The log is written into the file after so long, with the next transaction.
const EARLY: Duration = Duration::from_secs(3);

pub(super) struct VaultFile {
    path: PathBuf,
    /// `None`: it could not be opened anew yet.
    open: Option<Open>,
    /// The vault's check value: another vault has another.
    own: Option<Vec<u8>>,
    /// Counts how often something may have been lost.
    doubts: watch::Sender<u64>,
    /// Counts how often the file, or its log, was taken away and was written anew from what was open.
    renewals: Arc<AtomicU64>,
}

impl VaultFile {
    /// Opens the file or makes it.
    pub(super) fn open(path: &Path) -> Result<Self, VaultError> {
        let open = Open::new(path)?;
        let own = check_value(&open.connection).map_err(vault_error)?;
        Ok(Self {
            path: path.to_owned(),
            open: Some(open),
            own,
            doubts: watch::Sender::new(0),
            renewals: Arc::default(),
        })
    }

    /// See [`super::Vault::doubts`].
    pub(super) fn doubts(&self) -> watch::Receiver<u64> {
        self.doubts.subscribe()
    }

    /// See [`super::Vault::renewals`].
    pub(super) fn renewals(&self) -> Arc<AtomicU64> {
        self.renewals.clone()
    }

    /// A connection to the file that the path leads to.
    pub(super) fn connection(&mut self) -> Result<&mut Connection, VaultError> {
        let restored = self.restore();
        SUSPICION.set(Suspicion::None);
        restored.map_err(|error| match error {
            // Nothing that is asked for is wrong.
            VaultError::Malformed(why) => VaultError::Unavailable(why),
            error => error,
        })?;
        let open = self.open.as_mut().ok_or_else(|| VaultError::Unavailable("it is not open".into()))?;
        Ok(&mut open.connection)
    }

    /// After each transaction. `wrote`: it has changed something.
    pub(super) fn settle(&mut self, wrote: bool) {
        let path = &self.path;
        let Some(open) = &mut self.open else { return };
        let is_new = HAS_NEW_CHECK_VALUE.take();
        if is_new || self.own.is_none() {
            self.own = check_value(&open.connection).unwrap_or_default().or(self.own.take());
        }
        if is_new {
            // The file itself must not have the old one for longer than it takes.
            open.checkpointed_at = open.checkpointed_at.checked_sub(EARLY).unwrap_or(open.checkpointed_at);
        }
        open.behind |= wrote;
        if let Err(error) = open.settle(path) {
            suspect(&error);
            tracing::warn!(
                event = "vault_log_unmerged",
                path = %path.display(),
                %error,
                "the vault's log was not moved into its file"
            );
        }
    }

    fn restore(&mut self) -> Result<(), VaultError> {
        let path = self.path.clone();
        let name = path.display();
        let found = match &mut self.open {
            Some(open) => open.look(&path, self.own.as_deref()).map_err(|error| failed(&path, &error))?,
            None => return self.reopen(),
        };
        match found {
            FoundFile::AsLeft => return Ok(()),
            FoundFile::Deleted => {
                tracing::error!(
                    event = "vault_file_deleted",
                    path = %name,
                    "the vault's file was deleted: writing it anew"
                );
                self.write_anew()?;
            }
            FoundFile::LogGone => {
                tracing::error!(
                    event = "vault_log_replaced",
                    path = %name,
                    "the vault's log was deleted or replaced: writing the file anew"
                );
                self.write_anew()?;
            }
            FoundFile::Replaced => {
                tracing::error!(
                    event = "vault_file_replaced",
                    path = %name,
                    "the vault's file was replaced: going on with the new one"
                );
                let log = identity(&beside(&path, "-wal")).map_err(|error| failed(&path, &error))?;
                if log.is_some() && self.open.as_ref().is_some_and(|open| log == open.log) {
                    self.remove_logs()?;
                }
                self.close();
                self.doubt();
            }
            FoundFile::WrittenOver => {
                tracing::error!(
                    event = "vault_file_overwritten",
                    path = %name,
                    "the vault's file was written over: going on with what is in it now"
                );
                self.close();
                self.doubt();
                self.remove_logs()?;
            }
            FoundFile::Damaged => {
                tracing::error!(
                    event = "vault_file_cut",
                    path = %name,
                    "the vault's file or its log was cut or damaged: opening it anew"
                );
                self.close();
                self.doubt();
            }
            FoundFile::Failing => {
                tracing::error!(event = "vault_file_failed", path = %name, "the vault's file fails: opening it anew");
                self.close();
            }
        }
        self.reopen()
    }

    /// Opens what is there, if it is whole and this vault's.
    fn reopen(&mut self) -> Result<(), VaultError> {
        if !self.path.exists() {
            self.doubt();
            schema::make_private(&self.path).map_err(|error| failed(&self.path, &error))?;
        }
        if let Some(why) = damage(&self.path, WriteAheadLog::Counts)? {
            tracing::error!(
                event = "vault_file_damaged",
                path = %self.path.display(),
                why,
                "the vault's file is damaged, or its log is"
            );
            self.doubt();
            match damage(&self.path, WriteAheadLog::IsIgnored)? {
                None => {
                    tracing::error!(
                        event = "vault_log_given_up",
                        path = %self.path.display(),
                        "the vault goes on without the log"
                    );
                    self.remove_logs()?;
                }
                Some(_) => self.rescue()?,
            }
        }
        if let Some(own) = &self.own
            && is_foreign(&self.path, own)?
        {
            self.doubt();
            let aside = self.free_name("foreign")?;
            fs::rename(&self.path, &aside).map_err(|error| failed(&self.path, &error))?;
            self.remove_logs()?;
            tracing::error!(
                event = "vault_file_foreign",
                aside = %aside.display(),
                "the vault's file is another vault's: set aside, beginning a new one"
            );
        }
        let open = Open::new(&self.path)?;
        if let Some(own) = &self.own {
            let put = "INSERT INTO check_value (only, value) VALUES (1, ?1) ON CONFLICT DO NOTHING";
            open.connection.execute(put, [own]).map_err(vault_error)?;
        }
        self.open = Some(open);
        Ok(())
    }

    fn doubt(&self) {
        self.doubts.send_modify(|doubts| *doubts += 1);
    }

    /// Its close would write its log into the new file, or delete that one's log, by their names.
    pub(super) fn close(&mut self) {
        if let Some(open) = self.open.take()
            && let Err(error) = open.connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)
        {
            tracing::warn!(
                event = "vault_file_close_failed",
                path = %self.path.display(),
                %error,
                "the vault's old file is closed as any other"
            );
        }
    }

    /// Writes all that is open where the file was. Whole, or not at all.
    fn write_anew(&mut self) -> Result<(), VaultError> {
        let Some(open) = &self.open else { return Ok(()) };
        let aside = self.make_aside()?;
        let name = aside.to_string_lossy();
        match open.connection.execute("VACUUM INTO ?1", [&*name]) {
            Ok(_) => {}
            Err(error) if is_damage(&error) => {
                self.doubt();
                let aside = self.make_aside()?;
                rescue::copy(&open.connection, &aside)?;
            }
            Err(error) => return Err(vault_error(error)),
        }
        self.put(&aside)?;
        self.renewals.fetch_add(1, Ordering::Relaxed);
        self.close();
        Ok(())
    }

    /// Puts all rows that can be read into a new file.
    fn rescue(&mut self) -> Result<(), VaultError> {
        let aside = self.make_aside()?;
        match look_into(&self.path, WriteAheadLog::Counts) {
            Ok(damaged) => rescue::copy(&damaged, &aside)?,
            Err(error) if is_damage(&error) => drop(schema::open(&aside)?),
            Err(error) => return Err(vault_error(error)),
        }
        // A process that starts in between finds the damaged file, or the new one.
        let damaged = self.free_name("damaged")?;
        fs::hard_link(&self.path, &damaged)
            .or_else(|_| fs::copy(&self.path, &damaged).map(drop))
            .map_err(|error| failed(&damaged, &error))?;
        tracing::error!(
            event = "vault_file_rescued",
            aside = %damaged.display(),
            "the vault's file was damaged: all that can be read is in a new one"
        );
        self.put(&aside)
    }

    fn make_aside(&self) -> Result<PathBuf, VaultError> {
        let aside = beside(&self.path, ".anew");
        let make = || {
            if aside.exists() {
                fs::remove_file(&aside)?;
            }
            schema::make_private(&aside)
        };
        make().map_err(|error| failed(&aside, &error))?;
        Ok(aside)
    }

    fn put(&self, aside: &Path) -> Result<(), VaultError> {
        fs::File::open(aside).and_then(|file| file.sync_all()).map_err(|error| failed(aside, &error))?;
        self.remove_logs()?;
        fs::rename(aside, &self.path).map_err(|error| failed(&self.path, &error))
    }

    /// Under which a file can be kept for the operator.
    fn free_name(&self, why: &str) -> Result<PathBuf, VaultError> {
        let mut names = (0..1000).map(|n| beside(&self.path, &format!(".{why}-{n}")));
        let taken = || VaultError::Unavailable(format!("{}: there are too many .{why} files", self.path.display()));
        names.find(|name| !name.exists()).ok_or_else(taken)
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
