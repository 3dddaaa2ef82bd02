//! `sessiond export`: one tenant leaves the configured vault with its WhatsApp session, as a folder that another gateway logs in with.
//!
//! Owns the order of the steps, and what is printed. The vault decides before the folder has a key in it, so that a device is never in two
//! places ([`Departure`]).

mod folder;

use std::{collections::BTreeMap, fmt, path::PathBuf, sync::Arc};

use anyhow::{Context as _, bail};
use serde::Serialize;
use ulid::Ulid;

use self::folder::{ExportFolder, FolderError};
use super::import::owner::LivingDaemons;
use crate::{
    clock::SystemClock,
    config::{Config, VaultHome},
    crash,
    daemon::{self, VaultLock},
    import::{
        CounterMargin, Departure, EntryKind, EntryProblem, ImportFailure, ImportWriter, RefusedExport,
        baileys::entry_name,
    },
    tenant::TenantId,
    vault::InstanceId,
};

#[derive(Debug, clap::Args)]
pub struct ExportOptions {
    /// The gateway that the folder is for.
    #[arg(long, value_enum, value_name = "GATEWAY")]
    to: TargetFormat,
    /// Where to: a folder that is not there yet, or is empty, or was left unfinished by the same export.
    folder: PathBuf,
    /// The tenant that leaves.
    tenant: TenantId,
    /// Counters to skip in each session, for what may still be on its way from here.
    #[arg(long, value_name = "COUNTERS", default_value_t = 200)]
    margin: u32,
    /// Print an object instead of a table.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum TargetFormat {
    /// A multi-file folder of Baileys 7.
    Baileys,
}

/// The tenant is still here, or the folder is not finished; why was printed.
#[derive(Debug, thiserror::Error)]
#[error("{0} was not exported")]
pub struct FailedExportError(TenantId);

/// Why an export did not come to its end.
#[derive(Debug, thiserror::Error)]
enum ExportError {
    #[error(transparent)]
    Refused(#[from] RefusedExport),
    #[error(transparent)]
    Folder(#[from] FolderError),
}

impl ExportError {
    fn code(&self) -> &'static str {
        match self {
            Self::Refused(refused) => refused.code(),
            Self::Folder(error) => error.code(),
        }
    }
}

pub async fn run(config: Config, options: ExportOptions) -> anyhow::Result<()> {
    let margin = CounterMargin::new(options.margin).context("--margin: contacts refuse jumps of so many counters")?;
    let TargetFormat::Baileys = options.to;
    let (writer, _lock) = open(&config).await?;
    let mut report = ExportReport::new(&options);
    match export(&writer, LivingDaemons::of(&config).as_ref(), &options, margin, &mut report).await {
        Ok(()) => report.outcome = ExportOutcome::Exported,
        Err(error) => report.reason = Some(ImportFailure { code: error.code(), detail: error.to_string() }),
    }
    if options.json {
        println!("{}", serde_json::to_string(&report).expect("a report is plain data, which JSON always takes"));
    } else {
        println!("{report}");
    }
    if report.reason.is_some() { Err(FailedExportError(options.tenant).into()) } else { Ok(()) }
}

async fn open(config: &Config) -> anyhow::Result<(ImportWriter, Option<VaultLock>)> {
    let instance = InstanceId(Ulid::generate().to_string().into());
    let lock = match &config.vault.home {
        VaultHome::Embedded { path, .. } if !path.exists() => bail!("there is no vault at {}", path.display()),
        VaultHome::Embedded { path, shared } => Some(VaultLock::acquire(path, *shared, &instance)?),
        VaultHome::Firestore { .. } => None,
    };
    let (vault, keyring) = daemon::existing_vault(config).await?.context("there is no vault yet")?;
    let policy = daemon::journal_policy(config);
    let (clock, unsearchable) = (SystemClock::shared(), Arc::default());
    Ok((ImportWriter { vault, keyring, instance, clock, policy, unsearchable }, lock))
}

/// `others`: daemons that may live beside this command. One that has the tenant keeps it.
async fn export(
    writer: &ImportWriter,
    others: Option<&LivingDaemons>,
    options: &ExportOptions,
    margin: CounterMargin,
    report: &mut ExportReport,
) -> Result<(), ExportError> {
    let tenant = &options.tenant;
    let folder = ExportFolder::look(&options.folder, tenant)?;
    // Looked at first: what is refused takes nobody's tenant over, and makes no folder.
    let begun = match writer.inspect_departure(tenant).await {
        // That try died after its last word to the vault.
        Err(RefusedExport::AlreadyExported(mark)) if folder.is_finished_with(&mark.device) => {
            report.number = Some(mark.number);
            return Ok(folder.finish()?);
        }
        begun => begun?,
    };
    if folder.is_finished() && !begun.is_some_and(|mark| folder.is_finished_with(&mark.device)) {
        return Err(FolderError::NotEmpty(options.folder.clone()).into());
    }
    if let Some(others) = others
        && let Some(owner) = others.owner(writer, tenant).await.map_err(RefusedExport::Vault)?
    {
        return Err(RefusedExport::OwnedElsewhere { owner }.into());
    }
    tokio::task::block_in_place(|| folder.begin())?;
    crash::point("export_begun");
    let departure = writer.depart(tenant, margin).await?;
    report.describe(&departure);
    if !folder.is_finished() {
        tokio::task::block_in_place(|| folder.write(&departure.files))?;
    }
    crash::point("export_written");
    departure.complete().await?;
    crash::point("export_completed");
    Ok(folder.finish()?)
}

#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
enum ExportOutcome {
    Exported,
    Failed,
}

/// The object of `--json`, and the table. Names, counts and reasons; never a key.
#[derive(Debug, Serialize)]
struct ExportReport {
    tenant: TenantId,
    folder: PathBuf,
    outcome: ExportOutcome,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<ImportFailure>,
    #[serde(skip_serializing_if = "Option::is_none")]
    number: Option<String>,
    /// By kind: how many files the folder has.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    entries: BTreeMap<EntryKind, u64>,
    /// Entries that were left out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    problems: Vec<EntryProblem>,
}

impl ExportReport {
    fn new(options: &ExportOptions) -> Self {
        Self {
            tenant: options.tenant.clone(),
            folder: options.folder.clone(),
            outcome: ExportOutcome::Failed,
            reason: None,
            number: None,
            entries: BTreeMap::new(),
            problems: Vec::new(),
        }
    }

    fn describe(&mut self, departure: &Departure) {
        self.number = Some(departure.mark.number.clone());
        for kind in departure.files.iter().filter_map(|(name, _)| entry_name::of_file(name)) {
            *self.entries.entry(kind).or_default() += 1;
        }
        self.problems = departure.tally.as_ref().map_or(Vec::new(), |tally| tally.problems.clone());
    }
}

impl fmt::Display for ExportReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = self.number.as_ref().map_or(String::new(), |number| format!("+{number}"));
        let outcome = match self.outcome {
            ExportOutcome::Exported => "exported",
            ExportOutcome::Failed => "FAILED",
        };
        write!(f, "{:<28} {number:<16} {outcome:<9}", self.tenant.as_str())?;
        if let Some(ImportFailure { code, detail }) = &self.reason {
            write!(f, " {detail} ({code})")?;
        } else {
            write!(f, " {}", self.folder.display())?;
        }
        for (kind, count) in &self.entries {
            write!(f, "\n    {:<14} {count}", format!("{kind:?}"))?;
        }
        for EntryProblem { kind, entry, reason } in &self.problems {
            write!(f, "\n    left out: {kind:?} {entry}: {reason}")?;
        }
        Ok(())
    }
}
