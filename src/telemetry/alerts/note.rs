//! What processes without the alerts' file tell the one that has it: of which tenant they have told that something began, or is over.
//!
//! A tenant may go to another process and come back. Whoever has the file knows by these notes what was told of it meanwhile, so nobody
//! is told the same beginning or the same end twice. Processes add lines to `alerts.notes` in the data folder; the one with the file
//! takes them all at each look. A lock of that file, held for one write or one read, keeps the two apart. What is said of a process
//! itself, and what is over at once, is no concern of others.

use std::{
    fs::OpenOptions,
    io::{self, Read as _, Seek as _, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    condition::AlertCondition,
    message::{AlertMessage, AlertState},
};

const NAME: &str = "alerts.notes";

/// With more than this nobody has taken notes for long: they are thrown away.
const MOST_BYTES: u64 = 1024 * 1024;

/// Something was told of a tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlertNote {
    pub condition: AlertCondition,
    pub subject: String,
    pub since: Timestamp,
    pub is_over: bool,
}

impl AlertNote {
    /// What a message tells of tenants.
    pub fn of(message: &AlertMessage) -> Vec<Self> {
        let lasting = message.sections.iter().filter(|section| !section.condition.is_event());
        let notes = lasting.flat_map(|section| {
            let (condition, since) = (section.condition, section.since);
            let is_over = section.state == AlertState::Resolved;
            let tenants = section.tenants.iter().cloned();
            tenants.map(move |subject| Self { condition, subject, since, is_over })
        });
        notes.collect()
    }

    /// For the process that has the file.
    pub fn leave(folder: &Path, notes: &[Self]) -> io::Result<()> {
        let mut file = OpenOptions::new().create(true).append(true).mode(0o600).open(folder.join(NAME))?;
        file.lock()?;
        if file.metadata()?.len() > MOST_BYTES {
            file.set_len(0)?;
        }
        let mut lines = String::new();
        for note in notes {
            lines.push_str(&serde_json::to_string(note)?);
            lines.push('\n');
        }
        file.write_all(lines.as_bytes())
    }

    /// All that were left, the oldest first; what a later build wrote is read as far as it is known.
    pub fn take(folder: &Path) -> io::Result<Vec<Self>> {
        let mut file = match OpenOptions::new().read(true).write(true).open(folder.join(NAME)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            file => file?,
        };
        file.lock()?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        if !bytes.is_empty() {
            file.rewind()?;
            file.set_len(0)?;
        }
        Ok(bytes.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::alerts::message::AlertSection;

    #[test]
    fn notes_are_taken_once_in_their_order() {
        let folder = tempfile::tempdir().unwrap();
        assert!(AlertNote::take(folder.path()).unwrap().is_empty());
        let at: Timestamp = "2026-11-30T12:00:00Z".parse().unwrap();
        let section = |condition, state, tenants: &[&str]| AlertSection {
            condition,
            state,
            tenants: tenants.iter().map(|tenant| (*tenant).to_owned()).collect(),
            left: 0,
            since: at,
        };
        let sections = vec![
            section(AlertCondition::DiskLow, AlertState::Firing, &[]),
            section(AlertCondition::ScanNeeded, AlertState::Firing, &["a", "b"]),
            section(AlertCondition::OtherAccount, AlertState::Firing, &["c"]),
        ];
        let first = AlertNote::of(&AlertMessage { at, sections, is_last: false });
        let sections = vec![section(AlertCondition::ScanNeeded, AlertState::Resolved, &["a"])];
        let second = AlertNote::of(&AlertMessage { at, sections, is_last: false });
        let short = |notes: &[AlertNote]| -> Vec<_> {
            notes.iter().map(|note| format!("{} {} {}", note.condition.key(), note.subject, note.is_over)).collect()
        };
        assert_eq!(short(&first), ["scan_needed a false", "scan_needed b false"]);
        AlertNote::leave(folder.path(), &first).unwrap();
        let file = folder.path().join(NAME);
        let left = std::fs::read_to_string(&file).unwrap();
        std::fs::write(&file, left + "{\"condition\":\"on_fire\",\"subject\":\"\"}\n").unwrap();
        AlertNote::leave(folder.path(), &second).unwrap();
        assert_eq!(AlertNote::take(folder.path()).unwrap(), [first, second].concat());
        assert!(AlertNote::take(folder.path()).unwrap().is_empty());
    }
}
