//! What an import took and what it left: for the user, who decides by it.
//!
//! Owns the counts and the list of problems. Names of entries are told, shortened and without control characters; values never.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::EntryError;

/// Problems that are listed one by one; more are only counted.
const LISTED: usize = 100;
/// Characters of an entry's name that are told.
const NAME: usize = 120;

/// A kind of entry, in any gateway's store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EntryKind {
    PreKey,
    Session,
    /// Closed sessions within a kept record: for messages that come late.
    ArchivedSession,
    SenderKey,
    SenderKeyMemory,
    Identity,
    LidMapping,
    ContactToken,
    SyncKey,
    SyncVersion,
    DeviceList,
    /// A dish of the restaurant's menu.
    MenuItem,
    /// Hours, delivery, and the switches of the bot.
    BotSetting,
    /// Of no kind that this build knows.
    Unknown,
}

impl EntryKind {
    /// Of the restaurant, not of its device.
    pub fn is_of_bot(self) -> bool {
        matches!(self, Self::MenuItem | Self::BotSetting)
    }
}

/// Entries of one kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EntryCounts {
    pub kept: u64,
    /// Wanted, but damaged or not to be trusted: each has a problem.
    pub dropped: u64,
    /// Not wanted: made anew, or of no use here.
    pub ignored: u64,
}

/// One entry that was left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct EntryProblem {
    pub kind: EntryKind,
    pub entry: String,
    pub reason: String,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ImportTally {
    pub entries: BTreeMap<EntryKind, EntryCounts>,
    pub problems: Vec<EntryProblem>,
    /// Problems that the list has no room for.
    pub unlisted: u64,
}

impl ImportTally {
    pub fn of(&self, kind: EntryKind) -> EntryCounts {
        self.entries.get(&kind).copied().unwrap_or_default()
    }

    pub(super) fn keep(&mut self, kind: EntryKind, count: usize) {
        self.counts(kind).kept += count as u64;
    }

    pub(super) fn ignore(&mut self, kind: EntryKind, count: usize) {
        self.counts(kind).ignored += count as u64;
    }

    pub(super) fn drop_entry(&mut self, kind: EntryKind, entry: &str, reason: &EntryError) {
        self.counts(kind).dropped += 1;
        self.tell(kind, entry, reason);
    }

    /// Names a problem of an entry that is counted elsewhere.
    pub(super) fn tell(&mut self, kind: EntryKind, entry: &str, reason: &EntryError) {
        if self.problems.len() == LISTED {
            self.unlisted += 1;
            return;
        }
        let entry = entry.chars().filter(|character| !character.is_control()).take(NAME).collect();
        self.problems.push(EntryProblem { kind, entry, reason: reason.to_string() });
    }

    /// Takes back what was counted as kept: a later rule leaves it out.
    pub(super) fn withdraw(&mut self, kind: EntryKind, count: usize) {
        let counts = self.counts(kind);
        counts.kept = counts.kept.saturating_sub(count as u64);
        counts.dropped += count as u64;
    }

    fn counts(&mut self, kind: EntryKind) -> &mut EntryCounts {
        self.entries.entry(kind).or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_problems_is_counted_and_names_are_short() {
        let mut tally = ImportTally::default();
        let name = format!("a\u{1b}[2J\n{}", "x".repeat(5000));
        for _ in 0..LISTED + 7 {
            tally.drop_entry(EntryKind::Session, &name, &EntryError::Json);
        }
        assert_eq!(tally.of(EntryKind::Session).dropped, LISTED as u64 + 7);
        assert_eq!((tally.problems.len(), tally.unlisted), (LISTED, 7));
        let told = &tally.problems[0].entry;
        assert!(told.chars().count() == NAME && !told.contains(char::is_control));
    }
}
