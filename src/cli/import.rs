//! `sessiond import`: tenants of another gateway come into the configured vault, one entry each, while no daemon has it.
//!
//! Owns which of a source's tenants goes where, and what is printed. A tenant at a time is in memory.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use anyhow::{Context as _, bail};
use tokio::sync::mpsc;
use ulid::Ulid;

use crate::{
    clock::SystemClock,
    config::{Config, VaultHome},
    daemon::{self, VaultLock},
    import::{
        CounterMargin, Finality, ImportError, ImportFailure, ImportLimits, ImportOutcome, ImportReport, ImportWriter,
        Occupancy, RefusedImport, SourceFormat, SourceTenant, TenantCopy,
    },
    tenant::TenantId,
    vault::InstanceId,
};

#[derive(Debug, clap::Args)]
pub struct ImportOptions {
    /// The gateway that the source is of.
    #[arg(long, value_enum, value_name = "GATEWAY")]
    from: SourceFormat,
    /// Its folder, file or database. It is only read.
    source: PathBuf,
    /// The tenant that it becomes; for a source with one.
    #[arg(long, value_name = "ID", conflicts_with = "map")]
    tenant: Option<TenantId>,
    /// A file with a line for each tenant that is to come: its name in the source, and the tenant's id. Without it tenants keep their names.
    #[arg(long, value_name = "FILE")]
    map: Option<PathBuf>,
    /// Evolution API with its credentials in a database: the folder of its instances, where the keys are.
    #[arg(long, value_name = "FOLDER")]
    keys: Option<PathBuf>,
    /// The copy was made after the old service was stopped, and that will not run again. Only then Signal sessions are kept.
    #[arg(long)]
    stopped: bool,
    /// Counters to skip in each session that is kept, for what the old service sent and did not store.
    #[arg(long, value_name = "COUNTERS", default_value_t = 200)]
    margin: u32,
    /// Say what would be imported, and what is wrong with it. Write nothing.
    #[arg(long)]
    dry_run: bool,
    /// Print an object for each tenant, one a line, instead of a table.
    #[arg(long)]
    json: bool,
}

/// Some tenants are not in; each was named.
#[derive(Debug, thiserror::Error)]
#[error("{failed} of {all} tenants were not imported")]
pub struct FailedImportsError {
    failed: usize,
    all: usize,
}

pub async fn run(config: Config, options: ImportOptions) -> anyhow::Result<()> {
    let margin = CounterMargin::new(options.margin).context("--margin: contacts refuse jumps of so many counters")?;
    let choice = TenantChoice::new(&options)?;
    let finality = if options.stopped { Finality::Final } else { Finality::MayBeStale };
    let instance = InstanceId(Ulid::generate().to_string().into());
    let (writer, _lock) = open(&config, &options, instance).await?;
    let mut import = Import {
        writer,
        finality,
        margin,
        is_dry: options.dry_run,
        json: options.json,
        devices: BTreeMap::new(),
        all: 0,
        failed: 0,
    };
    if finality == Finality::MayBeStale && !options.json {
        println!("without --stopped no Signal session is kept: each contact's next message costs a retry");
    }

    // A source is read on a thread of its own, one tenant ahead of the vault.
    let (sender, mut tenants) = mpsc::channel(1);
    let (from, source, keys) = (options.from, options.source.clone(), options.keys.clone());
    let reading = tokio::task::spawn_blocking(move || {
        let mut take = |tenant: SourceTenant| drop(sender.blocking_send(tenant));
        crate::import::read(from, &source, keys.as_deref(), &ImportLimits::default(), &mut take)
    });
    let mut only = None;
    let mut names = BTreeSet::new();
    while let Some(mut tenant) = tenants.recv().await {
        if let Err(error @ ImportError::OlderCopy) = &tenant.copy {
            import.leave_out(&tenant.name, error.code(), &error.to_string());
            continue;
        }
        if !names.insert(tenant.name.clone()) {
            // The first one may be in; this one may be newer.
            tenant.copy = Err(ImportError::TwiceInSource);
        }
        match &choice {
            TenantChoice::One(id) if only.is_some() => {
                only = only.filter(|_| tenant.copy.is_ok()).or(Some((tenant, id.clone())));
            }
            TenantChoice::One(id) => only = Some((tenant, id.clone())),
            TenantChoice::Map(map) => match map.get(&tenant.name) {
                Some(id) => import.take(tenant, id.clone()).await,
                None => import.leave_out(&tenant.name, "not_mapped", "the map does not name it"),
            },
            TenantChoice::OwnNames if tenant.connected == Some(false) => {
                import.leave_out(&tenant.name, "not_connected", "it was not connected there");
            }
            TenantChoice::OwnNames => match tenant.name.parse() {
                Ok(id) => import.take(tenant, id).await,
                Err(_) => import.refuse_name(&tenant),
            },
        }
    }
    let read = reading.await.context("the reader crashed")?;
    match only {
        Some(_) if names.len() > 1 => {
            let names: Vec<_> = names.into_iter().take(20).collect();
            bail!("--tenant is for one, and the source has several ({}): use --map", names.join(", "));
        }
        // Of a source that ends early nobody knows whether it has one.
        Some((tenant, id)) if read.is_ok() => import.take(tenant, id).await,
        _ => {}
    }
    if let TenantChoice::Map(map) = &choice {
        for (name, id) in map.iter().filter(|(name, _)| !names.contains(*name)) {
            import.miss(name, id.clone());
        }
    }
    read.map_err(|error| anyhow::anyhow!("{}: {}", options.source.display(), ImportFailure::from(&error).detail))?;
    let Import { failed, all, .. } = import;
    if failed > 0 { Err(FailedImportsError { failed, all }.into()) } else { Ok(()) }
}

async fn open(
    config: &Config,
    options: &ImportOptions,
    instance: InstanceId,
) -> anyhow::Result<(Option<ImportWriter>, Option<VaultLock>)> {
    let policy = daemon::journal_policy(config);
    let writer =
        |vault, keyring, instance| ImportWriter { vault, keyring, instance, clock: SystemClock::shared(), policy };
    if options.dry_run {
        // It may well look while the daemon runs.
        let existing = daemon::existing_vault(config).await?;
        return Ok((existing.map(|(vault, keyring)| writer(vault, keyring, instance)), None));
    }
    let mut lock = match &config.vault.home {
        VaultHome::Embedded { path, shared } => Some(VaultLock::acquire(path, *shared, &instance)?),
        VaultHome::Firestore { .. } => None,
    };
    let (vault, keyring) = daemon::open_vault(config).await?;
    if let Some(lock) = &mut lock {
        lock.hold_vault()?;
    }
    Ok((Some(writer(vault, keyring, instance)), lock))
}

/// Which tenants of the source are meant.
enum TenantChoice {
    One(TenantId),
    /// By their names in the source.
    Map(BTreeMap<String, TenantId>),
    OwnNames,
}

impl TenantChoice {
    fn new(options: &ImportOptions) -> anyhow::Result<Self> {
        if let Some(tenant) = &options.tenant {
            return Ok(Self::One(tenant.clone()));
        }
        let Some(file) = &options.map else { return Ok(Self::OwnNames) };
        let text = std::fs::read_to_string(file).with_context(|| format!("the map {}", file.display()))?;
        parse_map(&text).map(Self::Map).with_context(|| format!("the map {}", file.display()))
    }
}

/// `NAME ID` a line; `#` begins a comment.
fn parse_map(text: &str) -> anyhow::Result<BTreeMap<String, TenantId>> {
    let mut map = BTreeMap::new();
    let mut targets = BTreeSet::new();
    for (at, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let at = at + 1;
        let (name, id) = line.rsplit_once(char::is_whitespace).with_context(|| format!("line {at}: NAME ID"))?;
        let id: TenantId = id.parse().with_context(|| format!("line {at}: the tenant's id"))?;
        if !targets.insert(id.clone()) {
            bail!("line {at}: two tenants would become {id}");
        }
        if map.insert(name.trim_end().to_owned(), id).is_some() {
            bail!("line {at}: the name stands there twice");
        }
    }
    Ok(map)
}

struct Import {
    /// None: there is no vault yet, and a look makes none.
    writer: Option<ImportWriter>,
    finality: Finality,
    margin: CounterMargin,
    is_dry: bool,
    json: bool,
    /// By the public half of the noise key: where this command brings it, or would.
    devices: BTreeMap<[u8; 32], TenantId>,
    all: usize,
    failed: usize,
}

impl Import {
    async fn take(&mut self, tenant: SourceTenant, id: TenantId) {
        let SourceTenant { name, copy, .. } = tenant;
        let report = match copy.and_then(|copy| copy.verify(None).map(|()| copy)) {
            Ok(copy) => self.import(&name, id, copy).await,
            Err(error) => ImportReport::failed(&name, Some(id), ImportFailure::from(&error)),
        };
        self.tell(&report);
    }

    async fn import(&mut self, name: &str, id: TenantId, copy: TenantCopy) -> ImportReport {
        let settled = copy.settle(self.finality, self.margin);
        let device = settled.copy.device.noise_key.public;
        let other = self.devices.get(&device).filter(|other| **other != id);
        let elsewhere = other.map(|other| RefusedImport::DeviceElsewhere {
            tenant: other.to_string(),
            how: "this command brings it there",
        });
        let written = match (&self.writer, elsewhere) {
            (_, Some(elsewhere)) => Err(elsewhere),
            (Some(writer), None) if self.is_dry => writer.inspect(&id, &settled.copy).await,
            (Some(writer), None) => writer.write(&id, &settled).await,
            (None, None) => Ok(Occupancy::Free),
        };
        if written.is_ok() {
            self.devices.insert(device, id.clone());
        }
        let mut report = match written {
            Ok(Occupancy::SameDevice) => ImportReport::new(name, Some(id), ImportOutcome::AlreadyImported),
            Ok(Occupancy::Free) if self.is_dry => ImportReport::new(name, Some(id), ImportOutcome::Importable),
            Ok(Occupancy::Free) => ImportReport::new(name, Some(id), ImportOutcome::Imported),
            Err(error) => ImportReport::failed(name, Some(id), ImportFailure::from(&error)),
        };
        report.describe(&settled.copy, self.finality);
        report
    }

    fn leave_out(&mut self, name: &str, code: &'static str, detail: &str) {
        self.tell(&ImportReport::left_out(name, code, detail));
    }

    fn refuse_name(&mut self, tenant: &SourceTenant) {
        let reason = match &tenant.copy {
            Err(error) => ImportFailure::from(error),
            Ok(_) => ImportFailure {
                code: "no_tenant_id",
                detail: "its name is no tenant's id: say where it goes with --tenant or --map".to_owned(),
            },
        };
        self.tell(&ImportReport::failed(&tenant.name, None, reason));
    }

    fn miss(&mut self, name: &str, id: TenantId) {
        let reason = ImportFailure { code: "not_found", detail: "the source does not have it".to_owned() };
        self.tell(&ImportReport::failed(name, Some(id), reason));
    }

    fn tell(&mut self, report: &ImportReport) {
        self.all += 1;
        self.failed += usize::from(report.is_failure());
        if self.json {
            println!("{}", serde_json::to_string(report).expect("a report is plain data, which JSON always takes"));
        } else {
            println!("{report}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_names_each_tenant_once() {
        let map =
            parse_map("# old  new\n\n4915000000018:1@s.whatsapp.net trattoria\n the old one   osteria \n").unwrap();
        let pairs: Vec<_> = map.iter().map(|(name, id)| (name.as_str(), id.as_str())).collect();
        assert_eq!(pairs, [("4915000000018:1@s.whatsapp.net", "trattoria"), ("the old one", "osteria")]);
        for wrong in ["a", "a b\na c", "a x\nb x", "a ../x", "a sessions"] {
            assert!(parse_map(wrong).is_err(), "{wrong}");
        }
    }
}
