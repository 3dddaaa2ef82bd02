//! One tenant's import as operators and programs are told of it.
//!
//! Owns [`ImportReport`]: the object of `--json` and of the HTTP answer, and a line of the table. Names, counts and reasons; never a key.

use std::{collections::BTreeMap, fmt};

use schemars::JsonSchema;
use serde::Serialize;

use super::{
    EntryCounts, EntryKind, EntryProblem, Finality, ImportError, ImportOrigin, ImportTally, RefusedImport, TenantCopy,
};
use crate::tenant::TenantId;

/// What became of a tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ImportOutcome {
    Imported,
    /// It would be: nothing was written.
    Importable,
    /// By an import before.
    AlreadyImported,
    /// Nobody asked for it.
    LeftOut,
    Failed,
}

impl ImportOutcome {
    /// For people.
    pub fn word(self) -> &'static str {
        match self {
            Self::Imported => "imported",
            Self::Importable => "importable",
            Self::AlreadyImported => "already in",
            Self::LeftOut => "left out",
            Self::Failed => "FAILED",
        }
    }
}

/// Why it was not imported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ImportFailure {
    /// Stable; for programs.
    pub code: &'static str,
    pub detail: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ImportReport {
    /// The tenant's name in the source; empty where there is none.
    pub source: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant: Option<TenantId>,
    pub outcome: ImportOutcome,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<ImportFailure>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub origin: Option<ImportOrigin>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub number: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finality: Option<Finality>,
    /// The old service's bot was on: here it answers customers as soon as the tenant is connected.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub bot_on: bool,
    /// Of a tenant that was there already, where the command has looked: how many Signal sessions it has here. None of this copy's were
    /// written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sessions_in_vault: Option<u64>,
    /// By kind: how many entries of the source were kept, dropped, ignored.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub entries: BTreeMap<EntryKind, EntryCounts>,
    /// Entries that were left out, one by one, as far as there is room.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<EntryProblem>,
    #[serde(skip_serializing_if = "is_zero")]
    pub unlisted_problems: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl ImportReport {
    pub fn new(source: &str, tenant: Option<TenantId>, outcome: ImportOutcome) -> Self {
        Self {
            source: source.chars().filter(|character| !character.is_control()).take(200).collect(),
            tenant,
            outcome,
            reason: None,
            origin: None,
            number: None,
            finality: None,
            bot_on: false,
            sessions_in_vault: None,
            entries: BTreeMap::new(),
            problems: Vec::new(),
            unlisted_problems: 0,
        }
    }

    pub fn left_out(source: &str, code: &'static str, detail: &str) -> Self {
        let reason = ImportFailure { code, detail: detail.to_owned() };
        Self { reason: Some(reason), ..Self::new(source, None, ImportOutcome::LeftOut) }
    }

    pub fn failed(source: &str, tenant: Option<TenantId>, reason: ImportFailure) -> Self {
        Self { reason: Some(reason), ..Self::new(source, tenant, ImportOutcome::Failed) }
    }

    /// Tells of the copy what is no secret.
    pub fn describe(&mut self, copy: &TenantCopy, finality: Finality) {
        self.origin = Some(copy.origin);
        self.number = Some(copy.number().to_owned());
        self.finality = Some(finality);
        self.bot_on = copy.restaurant.settings.as_ref().is_some_and(|settings| settings.active);
        let ImportTally { entries, problems, unlisted } = &copy.tally;
        self.entries.clone_from(entries);
        self.problems.clone_from(problems);
        self.unlisted_problems = *unlisted;
    }

    pub fn is_failure(&self) -> bool {
        self.outcome == ImportOutcome::Failed
    }

    fn counts(&self, kind: EntryKind) -> EntryCounts {
        self.entries.get(&kind).copied().unwrap_or_default()
    }
}

impl From<&ImportError> for ImportFailure {
    fn from(error: &ImportError) -> Self {
        Self { code: error.code(), detail: with_causes(error) }
    }
}

impl From<&RefusedImport> for ImportFailure {
    fn from(error: &RefusedImport) -> Self {
        Self { code: error.code(), detail: error.to_string() }
    }
}

/// Errors of the system are told with what they wrap; our own say it themselves.
fn with_causes(error: &ImportError) -> String {
    match error {
        ImportError::Io(cause) => format!("{error}: {cause}"),
        error => error.to_string(),
    }
}

/// Problems that the table shows of one tenant.
const SHOWN: usize = 5;

/// A line of the table, and what there is to say below it.
impl fmt::Display for ImportReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match &self.tenant {
            Some(tenant) => tenant.as_str(),
            None if self.source.is_empty() => "-",
            None => &self.source,
        };
        let outcome = self.outcome.word();
        let number = self.number.as_ref().map_or(String::new(), |number| format!("+{number}"));
        write!(f, "{name:<28} {number:<16} {outcome:<11}")?;
        if let Some(reason) = &self.reason {
            write!(f, " {} ({})", reason.detail, reason.code)?;
        }
        if self.outcome == ImportOutcome::AlreadyImported {
            write!(f, " nothing was written")?;
            let brings = self.counts(EntryKind::Session).kept;
            match self.sessions_in_vault {
                Some(0) if brings > 0 => {
                    write!(
                        f,
                        ", and the vault has no sessions of it\n    it is too late to bring the {brings} of this copy: each is made anew with \
                         its next message"
                    )?;
                }
                Some(count) => write!(f, ", sessions in the vault {count}")?,
                None => {}
            }
        } else if self.reason.is_none() && !self.entries.is_empty() {
            let (sessions, pre_keys) = (self.counts(EntryKind::Session), self.counts(EntryKind::PreKey));
            let whole = sessions.kept + sessions.dropped;
            let (kept, sender_keys) = (sessions.kept, self.counts(EntryKind::SenderKey).kept);
            write!(f, " sessions {kept} of {whole}, sender keys {sender_keys}, pre-keys {}", pre_keys.kept)?;
            let (dishes, settings) = (self.counts(EntryKind::MenuItem), self.counts(EntryKind::BotSetting));
            if dishes.kept + settings.kept > 0 {
                let bot = if self.bot_on { "on" } else { "off" };
                write!(f, ", dishes {}, settings {}, bot {bot}", dishes.kept, settings.kept)?;
            }
        }
        for EntryProblem { kind, entry, reason } in self.problems.iter().take(SHOWN) {
            write!(f, "\n    {kind:?} {entry}: {reason}")?;
        }
        let more = (self.problems.len().saturating_sub(SHOWN)) as u64 + self.unlisted_problems;
        if more > 0 { write!(f, "\n    and {more} more (--json lists them)") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The counts are the source's: of a tenant that was there they are none of the vault's.
    #[test]
    fn of_a_tenant_that_was_there_is_told_what_the_vault_has() {
        let report = |sessions_in_vault| {
            let mut report = ImportReport::new("seven", "trattoria".parse().ok(), ImportOutcome::AlreadyImported);
            report.entries.insert(EntryKind::Session, EntryCounts { kept: 1, dropped: 0, ignored: 0 });
            report.sessions_in_vault = sessions_in_vault;
            report.to_string()
        };
        let none = report(Some(0));
        assert!(none.contains("the vault has no sessions of it") && none.contains("too late"), "{none}");
        assert!(report(Some(3)).ends_with("nothing was written, sessions in the vault 3"), "{}", report(Some(3)));
        for told in [report(None), none] {
            assert!(!told.contains("1 of 1"), "{told}");
        }
    }
}
