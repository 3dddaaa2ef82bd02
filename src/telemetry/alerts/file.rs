//! What outlives the process: messages that a channel has not taken, and what was told.
//!
//! A small file in the data folder, and not the vault: that the vault takes nothing is the first thing that somebody must be told. It
//! has names of tenants and what is the matter with them, as the folders of working copies and the log have; no URL and no key. Where
//! the disk is thrown away with the process it goes too: what is still so is told once more then.
//!
//! Several processes may share a data folder. The first has the file; another takes it over when that one has ended, and reads it
//! meanwhile: what is told is not told twice.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;

use super::{engine::ToldAlert, outbox::PendingAlert};

const NAME: &str = "alerts.json";

/// The file, as long as no other process has it. Cheap to clone.
#[derive(Debug, Clone)]
pub struct AlertFile {
    path: PathBuf,
    _lock: Arc<File>,
}

/// What is in it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct AlertRecord {
    pub told: Vec<ToldAlert>,
    /// When messages were sent, in the last hour.
    pub sent: Vec<Timestamp>,
    pub pending: Vec<PendingAlert>,
}

/// As it is read: a later build may know conditions that this one does not.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct LenientRecord {
    told: Vec<Value>,
    sent: Vec<Value>,
    pending: Vec<Value>,
}

impl AlertFile {
    /// `None`: another process has it.
    pub fn acquire(folder: &Path) -> io::Result<Option<Self>> {
        let lock =
            OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(folder.join("alerts.lock"))?;
        match lock.try_lock() {
            Ok(()) => Ok(Some(Self { path: folder.join(NAME), _lock: Arc::new(lock) })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    pub fn read(&self) -> io::Result<AlertRecord> {
        read(&self.path)
    }

    /// What the process that has it has told.
    pub fn told_elsewhere(folder: &Path) -> io::Result<Vec<ToldAlert>> {
        Ok(read(&folder.join(NAME))?.told)
    }

    /// Whole or not at all, whatever dies.
    pub fn write(&self, record: &AlertRecord) -> io::Result<()> {
        let aside = self.path.with_extension("new");
        let mut file = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&aside)?;
        file.write_all(&serde_json::to_vec(record)?)?;
        file.sync_all()?;
        fs::rename(&aside, &self.path)?;
        let folder = self.path.parent().unwrap_or(Path::new("."));
        File::open(folder)?.sync_all()
    }
}

fn read(path: &Path) -> io::Result<AlertRecord> {
    let text = match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(AlertRecord::default()),
        text => text?,
    };
    let read: LenientRecord = serde_json::from_slice(&text)?;
    Ok(AlertRecord { told: known(read.told), sent: known(read.sent), pending: known(read.pending) })
}

fn known<T: DeserializeOwned>(values: Vec<Value>) -> Vec<T> {
    values.into_iter().filter_map(|value| serde_json::from_value(value).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::alerts::{condition::AlertCondition, message::AlertMessage};

    fn record() -> AlertRecord {
        let at: Timestamp = "2026-11-30T12:00:00Z".parse().unwrap();
        let message = AlertMessage { at, sections: Vec::new(), is_last: true };
        AlertRecord {
            told: vec![ToldAlert { condition: AlertCondition::ScanNeeded, subject: "trattoria".into(), since: at }],
            sent: vec![at],
            pending: vec![PendingAlert { id: "alert_1".into(), message, channels: ["slack".to_owned()].into() }],
        }
    }

    #[test]
    fn one_process_has_it_and_the_next_reads_what_it_left() {
        let folder = tempfile::tempdir().unwrap();
        let first = AlertFile::acquire(folder.path()).unwrap().expect("nobody has it");
        assert_eq!(first.read().unwrap(), AlertRecord::default());
        first.write(&record()).unwrap();
        assert!(AlertFile::acquire(folder.path()).unwrap().is_none(), "the first has it");
        assert_eq!(AlertFile::told_elsewhere(folder.path()).unwrap(), record().told);
        drop(first);
        let second = AlertFile::acquire(folder.path()).unwrap().expect("it is free again");
        assert_eq!(second.read().unwrap(), record());
    }

    #[test]
    fn what_a_later_build_wrote_is_read_as_far_as_it_is_known() {
        let folder = tempfile::tempdir().unwrap();
        let file = AlertFile::acquire(folder.path()).unwrap().unwrap();
        let mut later = serde_json::to_value(record()).unwrap();
        let told = later["told"].as_array_mut().unwrap();
        told.push(serde_json::json!({ "condition": "on_fire", "subject": "", "since": "2026-11-30T12:00:00Z" }));
        later["more"] = serde_json::json!({});
        fs::write(&file.path, later.to_string()).unwrap();
        assert_eq!(file.read().unwrap(), record());
        fs::write(&file.path, "{\"told\":").unwrap();
        assert!(file.read().is_err());
    }
}
