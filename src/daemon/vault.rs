//! Opens the vault and proves that the master key is its own; keeps the key's file and the check value while the process runs.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use crate::{
    backoff::Backoff,
    config::{Config, Credentials, VaultHome},
    message::media::FULL_PART,
    seal::{KeyId, Keyring, MasterKey, load_or_create_key_file, read_key_file, restore_key_file},
    vault::{
        Vault, VaultError, access,
        embedded::Embedded,
        firestore::{self, Firestore, FirestoreConfig, ServiceAccountKey},
    },
};

/// The master key is not there, or is not this vault's: a mistake in the configuration, which only a look at the vault shows.
#[derive(Debug, thiserror::Error)]
pub enum MasterKeyError {
    #[error(
        "the key of the vault {vault} is lost: {key} is not there. Put it back, or set vault.master_keys: another key cannot open what is in \
         the vault. To begin anew, move the vault away"
    )]
    Lost { vault: String, key: String },
    #[error("the master key is not this vault's")]
    NotThisVaults,
    #[error("the file {file} holds no master key: put the right one back")]
    Unreadable { file: String },
}

/// Opens the vault and proves that the master key is its own. What is missing is made.
pub async fn open_vault(config: &Config) -> anyhow::Result<(Arc<dyn access::FullVault>, Arc<Keyring>)> {
    let mut keys = config.vault.master_keys.clone();
    let mut had_key = !keys.is_empty();
    if let VaultHome::Embedded { path, .. } = &config.vault.home {
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder)?;
        }
        if keys.is_empty() {
            let file = key_file(path)?;
            had_key = file.exists();
            keys.push(load_or_create_key_file(&file).map_err(|error| unreadable(&file, error))?);
            let file = file.display();
            if had_key {
                info!(event = "vault_key_read", %file, "the vault's key is in this file: nothing opens the vault without it");
            } else {
                info!(
                    event = "vault_key_made",
                    %file,
                    "the vault's key is made: back it up, nothing opens the vault without it"
                );
            }
        }
    }
    let keyring = Arc::new(Keyring::new(keys));
    let vault = until_answered(patience(config), async || {
        let vault = reach_vault(config).await?;
        prove(&vault, &keyring, had_key.then_some(&config.vault.home)).await?;
        Ok(vault)
    });
    Ok((vault.await?, keyring))
}

/// The embedded vault's key and its file, if it has one of its own.
pub(super) fn kept_key(config: &Config) -> anyhow::Result<Option<(PathBuf, MasterKey)>> {
    let VaultHome::Embedded { path, .. } = &config.vault.home else { return Ok(None) };
    if !config.vault.master_keys.is_empty() {
        return Ok(None);
    }
    let file = path.with_extension("key");
    let key = read_key_file(&file).map_err(|error| unreadable(&file, error))?;
    Ok(Some((file, key)))
}

/// How often is looked whether the vault's key is still in its file.
const KEY_FILE_LOOK: Duration = Duration::from_secs(10);

/// Puts the vault's key back whenever its file is gone or has another: what is sealed meanwhile would open for nobody after a restart.
pub(super) async fn keep_key(file: PathBuf, key: MasterKey, stop: &CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(KEY_FILE_LOOK) => {}
        }
        let (path, key) = (file.clone(), key.clone());
        match tokio::task::spawn_blocking(move || restore_key_file(&path, &key)).await {
            Ok(Ok(true)) => {
                error!(
                    event = "vault_key_restored",
                    file = %file.display(),
                    "the vault's key was gone from its file, or replaced: it is there again"
                )
            }
            Ok(Err(error)) => {
                error!(
                    event = "vault_key_unrestored",
                    file = %file.display(),
                    %error,
                    "the vault's key cannot be put back into its file"
                )
            }
            Ok(Ok(false)) | Err(_) => {}
        }
    }
}

/// Looks at the vault's check value in the time of one audit.
pub(super) const CHECKS: u32 = 24;

/// Writes the vault's check value again whenever it is gone: without it another master key would be taken for the vault's own.
pub(super) async fn keep_check_value(
    vault: &dyn Vault,
    keyring: &Keyring,
    interval: Duration,
    stop: &CancellationToken,
) {
    let mut is_foreign = false;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(interval) => {}
        }
        let found = match vault.check_value().await {
            Ok(None) => vault.create_check_value(keyring.check_value()).await.map(|is_made| {
                if is_made {
                    warn!(event = "check_value_restored", "the vault had lost its check value: it is there again");
                    // It was not alone, as likely as not.
                    vault.suspect();
                }
                false
            }),
            Ok(Some(value)) => Ok(verify(keyring, &value).is_err()),
            Err(error) => Err(error),
        };
        match found {
            Ok(now) if now != is_foreign => {
                is_foreign = now;
                if now {
                    error!(
                        event = "check_value_replaced",
                        "the vault's check value was replaced: with this master key the next start will be refused"
                    );
                }
            }
            Ok(_) => {}
            Err(error) => debug!(%error, "the vault's check value cannot be looked at"),
        }
    }
}

/// Proves that the key is the vault's; makes it the key of a vault that has none. `expected`: the key was there before, and so,
/// but at a first start, was a vault at this place.
async fn prove(
    vault: &Arc<dyn access::FullVault>,
    keyring: &Keyring,
    expected: Option<&VaultHome>,
) -> anyhow::Result<()> {
    if let Some(value) = vault.check_value().await? {
        return Ok(verify(keyring, &value)?);
    }
    if let Some(home) = expected {
        let place = match home {
            VaultHome::Embedded { path, .. } => path.display().to_string(),
            VaultHome::Firestore { project, database, .. } => format!("{project}, {database}"),
        };
        warn!(
            event = "vault_empty",
            %place,
            "the vault is new or empty: nobody is paired in it. If there were tenants, it is another one: a volume that is not mounted, \
             another project"
        );
    }
    if vault.create_check_value(keyring.check_value()).await? {
        return Ok(());
    }
    let value = vault.check_value().await?.context("the vault's check value is gone")?;
    Ok(verify(keyring, &value)?)
}

/// As [`open_vault`], for a vault that is there: makes nothing. For callers that only look. `None`: there is none
/// yet.
pub async fn existing_vault(config: &Config) -> anyhow::Result<Option<(Arc<dyn access::FullVault>, Arc<Keyring>)>> {
    let mut keys = config.vault.master_keys.clone();
    if let VaultHome::Embedded { path, .. } = &config.vault.home {
        if !path.exists() {
            return Ok(None);
        }
        if keys.is_empty() {
            let file = key_file(path)?;
            keys.push(read_key_file(&file).map_err(|error| unreadable(&file, error))?);
        }
    }
    let keyring = Arc::new(Keyring::new(keys));
    let vault = until_answered(patience(config), async || {
        let vault = reach_vault(config).await?;
        if let Some(value) = vault.check_value().await? {
            verify(&keyring, &value)?;
        }
        Ok(vault)
    });
    Ok(Some((vault.await?, keyring)))
}

/// The master keys as far as they are there: none of a vault that is still to be made. Makes nothing.
pub fn present_keys(config: &Config) -> anyhow::Result<Vec<MasterKey>> {
    let mut keys = config.vault.master_keys.clone();
    if let VaultHome::Embedded { path, .. } = &config.vault.home
        && keys.is_empty()
    {
        let file = key_file(path)?;
        if file.exists() {
            keys.push(read_key_file(&file).map_err(|error| unreadable(&file, error))?);
        }
    }
    Ok(keys)
}

/// The name of the key that seals; `None`: an embedded vault's own, which is not there yet.
pub fn first_key(config: &Config) -> anyhow::Result<Option<KeyId>> {
    Ok(match config.vault.master_keys.first() {
        Some(first) => Some(first.id()),
        None => kept_key(config)?.map(|(_, key)| key.id()),
    })
}

fn unreadable(file: &Path, error: std::io::Error) -> anyhow::Error {
    match error.kind() {
        std::io::ErrorKind::InvalidData => MasterKeyError::Unreadable { file: file.display().to_string() }.into(),
        _ => anyhow::Error::from(error).context("the key file of the vault"),
    }
}

/// Where the key of an embedded vault is, or will be. A vault without it is no new one: another key would look like its own until
/// somebody needs what is in there.
fn key_file(vault: &Path) -> Result<PathBuf, MasterKeyError> {
    let file = vault.with_extension("key");
    if vault.exists() && !file.exists() {
        let (vault, key) = (vault.display().to_string(), file.display().to_string());
        return Err(MasterKeyError::Lost { vault, key });
    }
    Ok(file)
}

fn verify(keyring: &Keyring, value: &[u8]) -> Result<(), MasterKeyError> {
    keyring.verify_check_value(value).map_err(|_| MasterKeyError::NotThisVaults)
}

/// Free bytes below which the embedded vault takes no more entries, at the most. A start needs them: WhatsApp sends again what did not fit,
/// and all tenants together write up to 48 MiB of it into their working copies (`store::arrivals`) before they see that the vault
/// takes nothing. One tenant was seen to write 13 MiB, the vault's own log had 6.
const MOST_VAULT_FLOOR: u64 = 64 << 20;

async fn reach_vault(config: &Config) -> anyhow::Result<Arc<dyn access::FullVault>> {
    match &config.vault.home {
        VaultHome::Embedded { path, shared } => {
            let opened =
                Embedded::open(path).with_context(|| format!("the vault {} cannot be opened", path.display()))?;
            info!(event = "vault_opened", path = %path.display(), "embedded vault");
            Ok(Arc::new(
                opened.with_floor(MOST_VAULT_FLOOR.min(config.media.reserve / FULL_PART)).with_sharing(*shared),
            ))
        }
        VaultHome::Firestore { project, database, credentials, request_timeout } => {
            let settings = FirestoreConfig {
                project: project.clone(),
                database: database.clone(),
                credentials: match credentials {
                    Credentials::ServiceAccount(json) => firestore::FirestoreCredentials::ServiceAccountJson(
                        ServiceAccountKey::new(json.expose().to_owned()),
                    ),
                    Credentials::ApplicationDefault => firestore::FirestoreCredentials::ApplicationDefault,
                    Credentials::Emulator(host) => firestore::FirestoreCredentials::Emulator { host: host.clone() },
                },
                request_timeout: *request_timeout,
            };
            let connected = Firestore::connect(settings).await.context("Firestore cannot be used")?;
            info!(event = "vault_opened", project, database, "Firestore vault");
            Ok(Arc::new(connected))
        }
    }
}

/// Pauses until the vault answers.
const VAULT_RETRIES: Backoff = Backoff::new(Duration::from_millis(250), Duration::from_secs(5));

/// Firestore may be slower to answer than we are to start, and may fall silent in the middle of it. Whoever starts us again gives up
/// sooner.
async fn until_answered<T>(limit: Duration, ask: impl AsyncFn() -> anyhow::Result<T>) -> anyhow::Result<T> {
    let deadline = Instant::now() + limit;
    let mut failures = 0_u32;
    loop {
        let wait = VAULT_RETRIES.whole(failures);
        match ask().await {
            Err(error) if is_unanswered(&error) && Instant::now() + wait < deadline => {
                warn!(event = "vault_unreachable", error = format!("{error:#}"), "the vault does not answer yet");
                tokio::time::sleep(wait).await;
                failures = failures.saturating_add(1);
            }
            answer => return answer,
        }
    }
}

/// The start waits so long for a vault. A file that cannot be opened is its operator's mistake, and is told at once.
fn patience(config: &Config) -> Duration {
    match config.vault.home {
        VaultHome::Embedded { .. } => Duration::ZERO,
        VaultHome::Firestore { .. } => config.restore.deadline,
    }
}

fn is_unanswered(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(VaultError::Unavailable(_)))
}
