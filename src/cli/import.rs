//! `sessiond import`: tenants of another gateway come into the configured vault, one entry each, while no daemon has it.
//!
//! Owns which of a source's tenants goes where. A source on the disk is read a tenant at a time, a live one in batches ([`live`]); what
//! becomes of each, [`Importer`] decides and prints. `sessiond import menu` brings a menu without a session ([`menu`]).

mod importer;
mod live;
mod menu;
pub(super) mod owner;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context as _, bail};
use tokio::sync::mpsc;
use ulid::Ulid;

use self::{importer::Importer, owner::LivingDaemons};
use crate::{
    clock::SystemClock,
    config::{Config, VaultHome},
    daemon::{self, VaultLock},
    import::{
        CounterMargin, Finality, ImportError, ImportFailure, ImportLimits, ImportWriter, SourceFormat, SourceTenant,
        TenantFinder,
    },
    tenant::TenantId,
    vault::InstanceId,
};

#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct ImportCommand {
    #[command(subcommand)]
    part: Option<ImportPart>,
    #[command(flatten)]
    tenants: Option<ImportOptions>,
}

#[derive(Debug, clap::Subcommand)]
enum ImportPart {
    /// Bring the menu, hours and delivery of one restaurant of the old service, without a session. The daemon may run.
    Menu(menu::MenuOptions),
}

#[derive(Debug, clap::Args)]
pub struct ImportOptions {
    /// The gateway that the source is of.
    #[arg(long, value_enum, value_name = "GATEWAY")]
    from: SourceFormat,
    /// Its folder, file or database. It is only read. For rtdb also the address of the Realtime Database; without any, rtdb and firestore
    /// are read live where the configuration says.
    source: Option<PathBuf>,
    /// The tenant that it becomes; for a source with one. Of a live database the tenant of this name.
    #[arg(long, value_name = "ID", conflicts_with = "map")]
    tenant: Option<TenantId>,
    /// The number that the copy must be of. Of a source with several tenants it says which one is meant.
    #[arg(long, value_name = "NUMBER", requires = "tenant", value_parser = phone_digits)]
    number: Option<String>,
    /// All tenants of a database or an export of it; of rtdb those that are connected there.
    #[arg(long, conflicts_with_all = ["tenant", "map"])]
    all: bool,
    /// A file with a line for each tenant that is to come: its name in the source, and the tenant's id. Without it tenants keep their
    /// names.
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

pub async fn run(config: Config, command: ImportCommand) -> anyhow::Result<()> {
    match command {
        ImportCommand { part: Some(ImportPart::Menu(options)), .. } => menu::run(&config, &options).await,
        ImportCommand { tenants: Some(options), .. } => bring_tenants(config, options).await,
        ImportCommand { .. } => bail!("--from is missing: the gateway that the source is of"),
    }
}

async fn bring_tenants(config: Config, options: ImportOptions) -> anyhow::Result<()> {
    let margin = CounterMargin::new(options.margin).context("--margin: contacts refuse jumps of so many counters")?;
    let choice = TenantChoice::new(&options)?;
    let place = SourcePlace::new(&options)?;
    let finality = if options.stopped { Finality::Final } else { Finality::MayBeStale };
    let instance = InstanceId(Ulid::generate().to_string().into());
    let (writer, _lock) = open(&config, options.dry_run, instance).await?;
    let others = LivingDaemons::of(&config);
    let number = options.number.clone();
    let mut import = Importer::new(writer, others, finality, margin, number, options.dry_run, options.json);
    if finality == Finality::MayBeStale && !options.json {
        println!("without --stopped no Signal session is kept: each contact's next message costs a retry");
    }
    let read = match place {
        SourcePlace::Disk(source) => bring_from_disk(&mut import, &options, &choice, source).await,
        SourcePlace::Live(url) => live::bring(&mut import, &config, &options, &choice, url).await,
    };
    let (failed, all) = import.end();
    read?;
    if failed > 0 { Err(FailedImportsError { failed, all }.into()) } else { Ok(()) }
}

async fn bring_from_disk(
    import: &mut Importer,
    options: &ImportOptions,
    choice: &TenantChoice,
    source: &Path,
) -> anyhow::Result<()> {
    // A source is read on a thread of its own, one tenant ahead of the vault.
    let (sender, mut tenants) = mpsc::channel(1);
    let (from, path, keys) = (options.from, source.to_owned(), options.keys.clone());
    let reading = tokio::task::spawn_blocking(move || {
        let mut take = |tenant: SourceTenant| drop(sender.blocking_send(tenant));
        crate::import::read(from, &path, keys.as_deref(), &ImportLimits::default(), &mut take)
    });
    let only_connected = options.all && options.from == SourceFormat::RealtimeDatabase;
    let mut finder = TenantFinder::new(None, options.number.as_deref());
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
        match choice {
            TenantChoice::One(_) => finder.look(tenant),
            TenantChoice::Map(map) => match map.get(&tenant.name) {
                Some(id) => import.take(tenant, id.clone()).await,
                None => import.leave_out(&tenant.name, "not_mapped", "the map does not name it"),
            },
            TenantChoice::OwnNames if tenant.connected == Some(false) => {
                import.leave_out(&tenant.name, "not_connected", "it was not connected there");
            }
            // As of the live database: what says nothing of itself was never linked, or is half a tenant.
            TenantChoice::OwnNames if only_connected && tenant.connected.is_none() => {
                import.leave_out(&tenant.name, "not_connected", "the export does not say that it was connected there");
            }
            TenantChoice::OwnNames => match tenant.name.parse() {
                Ok(id) => import.take(tenant, id).await,
                Err(_) => import.refuse_name(&tenant),
            },
        }
    }
    let read = reading.await.context("the reader crashed")?;
    match choice {
        // Of a source that ends early nobody knows whether it has one.
        TenantChoice::One(id) if read.is_ok() => match finder.end() {
            Ok(tenant) => import.take(tenant, id.clone()).await,
            Err(ImportError::SeveralTenants { names }) => {
                bail!("--tenant is for one, and the source has several ({}): use --number or --map", names.join(", "));
            }
            Err(error) => bail!("{}: {}", source.display(), ImportFailure::from(&error).detail),
        },
        TenantChoice::Map(map) => {
            for (name, id) in map.iter().filter(|(name, _)| !names.contains(*name)) {
                import.miss(name, id.clone());
            }
        }
        _ => {}
    }
    read.map_err(|error| anyhow::anyhow!("{}: {}", source.display(), ImportFailure::from(&error).detail))
}

/// Where the source is.
enum SourcePlace<'o> {
    Disk(&'o Path),
    /// A database that lives: at this address, or where the configuration says.
    Live(Option<&'o str>),
}

impl<'o> SourcePlace<'o> {
    fn new(options: &'o ImportOptions) -> anyhow::Result<Self> {
        use SourceFormat::{Firestore, RealtimeDatabase};
        let url = options.source.as_deref().and_then(Path::to_str);
        let url = url.filter(|text| text.starts_with("https://") || text.starts_with("http://"));
        let place = match (options.source.as_deref(), url, options.from) {
            (Some(_), Some(url), RealtimeDatabase) => Self::Live(Some(url)),
            (Some(source), ..) => Self::Disk(source),
            (None, _, RealtimeDatabase | Firestore) => Self::Live(None),
            (None, ..) => bail!("SOURCE is missing: the folder, file or database of the other gateway"),
        };
        if let Some(keys) = &options.keys {
            let is_for_keys =
                options.from == SourceFormat::Evolution && matches!(place, Self::Disk(file) if !file.is_dir());
            if !is_for_keys {
                bail!("--keys is for rows of Evolution API: their keys are in a folder beside them");
            }
            if !keys.is_dir() {
                bail!("--keys {}: there is no such folder", keys.display());
            }
        }
        let is_chosen = options.all || options.tenant.is_some() || options.map.is_some();
        if matches!(place, Self::Live(_)) && !is_chosen {
            bail!("which tenants of the live database? --all, --tenant ID or --map FILE");
        }
        Ok(place)
    }
}

async fn open(
    config: &Config,
    is_dry: bool,
    instance: InstanceId,
) -> anyhow::Result<(Option<ImportWriter>, Option<VaultLock>)> {
    let policy = daemon::journal_policy(config);
    let writer = |vault, keyring, instance| ImportWriter {
        vault,
        keyring,
        instance,
        clock: SystemClock::shared(),
        policy,
        unsearchable: Arc::default(),
    };
    if is_dry {
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

/// A phone number as people write it: its digits.
fn phone_digits(text: &str) -> Result<String, String> {
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    if (5..=15).contains(&digits.len()) { Ok(digits) } else { Err("expected 5 to 15 digits".into()) }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_menu_is_a_command_of_its_own_and_tenants_need_a_gateway() {
        #[derive(Debug, clap::Parser)]
        struct ImportArguments {
            #[command(flatten)]
            command: ImportCommand,
        }
        let parse = |words: &[&str]| {
            let words = std::iter::once("import").chain(words.iter().copied());
            <ImportArguments as clap::Parser>::try_parse_from(words).map(|asked| asked.command)
        };
        let menu = parse(&["menu", "export.json", "--tenant", "trattoria"]).unwrap();
        assert!(matches!(menu, ImportCommand { part: Some(ImportPart::Menu(_)), tenants: None }), "{menu:?}");
        let tenants = parse(&["--from", "rtdb", "menu", "--tenant", "trattoria"]).unwrap();
        assert!(matches!(tenants, ImportCommand { part: None, tenants: Some(_) }), "{tenants:?}");
        assert!(parse(&[]).is_err() && parse(&["export.json"]).is_err() && parse(&["menu", "export.json"]).is_err());
    }

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
