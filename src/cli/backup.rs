//! `sessiond backup` and `sessiond restore`: one tenant as a file that only the master key opens, and back into a vault where it is not.
//!
//! A backup takes nothing away and may be made while the daemon runs. A restore writes as an import does: no daemon may have the tenant,
//! one device is one tenant, and nothing is written over.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Context as _;
use serde_json::json;
use ulid::Ulid;

use super::import::owner::LivingDaemons;
use crate::{
    clock::SystemClock,
    config::{Config, VaultHome},
    daemon::{self, VaultLock},
    import::{BackupError, ImportWriter, Occupancy, RefusedImport, TenantBackup},
    seal::Keyring,
    tenant::TenantId,
    vault::{InstanceId, access::FullVault},
};

/// The most bytes of a file: it is in memory, sealed and in plain.
const MAX_FILE: u64 = 2 << 30;

#[derive(Debug, clap::Args)]
pub struct BackupOptions {
    tenant: TenantId,
    /// A file that is not there yet.
    file: PathBuf,
    /// Exit with 0 also where the vault lacks pieces of the history. The file is written without them in any case.
    #[arg(long)]
    incomplete: bool,
    /// Print an object instead of words.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
pub struct RestoreOptions {
    file: PathBuf,
    /// Restore it as this tenant, instead of the one that it was.
    #[arg(long, value_name = "ID")]
    tenant: Option<TenantId>,
    /// Print an object instead of words.
    #[arg(long)]
    json: bool,
}

/// The file is there, without some of the history.
#[derive(Debug, thiserror::Error)]
#[error("{tenant}: {lost} pieces of its history are not in the backup (incomplete)")]
pub struct BackupIncompleteError {
    tenant: TenantId,
    lost: usize,
}

/// Why was printed.
#[derive(Debug, thiserror::Error)]
#[error("{tenant}: {detail} ({code})")]
pub struct BackupFailedError {
    tenant: String,
    code: &'static str,
    detail: String,
}

impl BackupFailedError {
    fn of_backup(tenant: impl ToString, error: &BackupError) -> Self {
        Self { tenant: tenant.to_string(), code: error.code(), detail: error.to_string() }
    }

    fn without_key(file: &str) -> Self {
        let detail = "there is no master key here: put the key file of the vault that it was made from beside the new vault, or set \
                      vault.master_keys. Nothing was made";
        Self { tenant: file.to_owned(), code: "unknown_key", detail: detail.to_owned() }
    }

    fn of_import(tenant: &TenantId, error: &RefusedImport) -> Self {
        Self { tenant: tenant.to_string(), code: error.code(), detail: error.to_string() }
    }
}

fn writer((vault, keyring): (Arc<dyn FullVault>, Arc<Keyring>), instance: InstanceId, config: &Config) -> ImportWriter {
    let (clock, policy) = (SystemClock::shared(), daemon::journal_policy(config));
    ImportWriter { vault, keyring, instance, clock, policy, unsearchable: Arc::default() }
}

pub async fn back_up(config: Config, options: BackupOptions) -> anyhow::Result<()> {
    let tenant = &options.tenant;
    let opened = daemon::existing_vault(&config).await?.context("there is no vault yet")?;
    let writer = writer(opened, InstanceId(Ulid::generate().to_string().into()), &config);
    let backup = writer.back_up(tenant).await.map_err(|error| BackupFailedError::of_backup(tenant, &error))?;
    let file = backup.seal(&writer.keyring);
    let name = &options.file;
    tokio::task::block_in_place(|| put(name, &file)).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => {
            anyhow::anyhow!("{} is there already, and stays: name another file, or remove it", name.display())
        }
        _ => anyhow::Error::from(error).context(name.display().to_string()),
    })?;
    let lost = backup.lost_segments;
    match options.json {
        true => {
            let bytes = file.len();
            println!("{}", json!({ "tenant": tenant, "file": name, "bytes": bytes, "lostSegments": lost }));
        }
        false => {
            println!("{tenant}: {} bytes in {}, of use with the master key only", file.len(), name.display());
            if lost > 0 {
                println!("    left out: {lost} pieces of its history, which the vault lacks or a newer version wrote");
            }
        }
    }
    if lost > 0 && !options.incomplete {
        return Err(BackupIncompleteError { tenant: tenant.clone(), lost }.into());
    }
    Ok(())
}

/// Whole or not at all, and nobody's but ours. One that is there stays.
fn put(name: &Path, content: &[u8]) -> io::Result<()> {
    refuse_large(content.len() as u64)?;
    let mut aside = name.as_os_str().to_owned();
    #[expect(clippy::disallowed_methods, reason = "the name of a file for a moment")]
    aside.push(format!(".{:016x}", rand::random::<u64>()));
    let aside = PathBuf::from(aside);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&aside)?;
    let written = file.write_all(content).and_then(|()| file.sync_all()).and_then(|()| fs::hard_link(&aside, name));
    fs::remove_file(&aside)?;
    written?;
    let folder = name.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

pub async fn restore(config: Config, options: RestoreOptions) -> anyhow::Result<()> {
    let instance = InstanceId(Ulid::generate().to_string().into());
    let name = options.file.display().to_string();
    let file = tokio::task::block_in_place(|| read(&options.file)).with_context(|| name.clone())?;
    // Before a vault is made, and a key for it: what does not come back leaves nothing, and least of all a key that is not the right one.
    let keys = daemon::present_keys(&config)?;
    if keys.is_empty() {
        return Err(BackupFailedError::without_key(&name).into());
    }
    let no_backup = |error| BackupFailedError::of_backup(&name, &error);
    let backup = TenantBackup::open(&Keyring::new(keys), &file).map_err(no_backup)?;
    let tenant = options.tenant.clone().unwrap_or_else(|| backup.tenant.clone());
    let settled = backup.settle().map_err(no_backup)?;
    let mut lock = match &config.vault.home {
        VaultHome::Embedded { path, shared } => Some(VaultLock::acquire(path, *shared, &instance)?),
        VaultHome::Firestore { .. } => None,
    };
    let opened = daemon::open_vault(&config).await?;
    if let Some(lock) = &mut lock {
        lock.hold_vault()?;
    }
    let writer = writer(opened, instance, &config);
    let refused = |error| BackupFailedError::of_import(&tenant, &error);
    if let Some(others) = LivingDaemons::of(&config)
        && others.have(&writer, &tenant).await.map_err(refused)?
    {
        return Err(refused(RefusedImport::Taken).into());
    }
    let is_new = writer.write(&tenant, &settled).await.map_err(refused)? == Occupancy::Free;
    let (number, outcome) = (settled.copy.number(), if is_new { "restored" } else { "already_there" });
    match options.json {
        true => println!("{}", json!({ "tenant": tenant, "number": number, "outcome": outcome })),
        false if is_new => println!("{tenant}: restored as +{number}; the next daemon connects it"),
        false => println!("{tenant}: this device is linked there already, and nothing was written"),
    }
    Ok(())
}

fn read(name: &Path) -> io::Result<Vec<u8>> {
    refuse_large(fs::metadata(name)?.len())?;
    fs::read(name)
}

/// What is written can be read again.
fn refuse_large(bytes: u64) -> io::Result<()> {
    if bytes > MAX_FILE { Err(io::Error::other("it is too large for a backup")) } else { Ok(()) }
}
