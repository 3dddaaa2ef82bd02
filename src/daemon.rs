//! The daemon's life: open the vault, restore, open the port, beat, stop. Puts the parts together; holds no rules of its own.

mod allocator;
mod descriptors;
mod vault_lock;

use std::{
    net::SocketAddr,
    panic::AssertUnwindSafe,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, bail};
use futures::FutureExt as _;
use tokio::{
    net::{TcpListener, TcpSocket},
    signal::unix::{Signal, SignalKind, signal},
    sync::{Semaphore, watch},
    task::JoinHandle,
    time::Instant,
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};
use ulid::Ulid;

pub use self::allocator::give_back_large_blocks;
use self::descriptors::Descriptors;
pub use self::vault_lock::{EXIT_IN_USE, VaultLock, VaultLockError};
use crate::{
    api::{self, App, Auth, AuthSettings, MetricsSettings},
    bot::service::Bots,
    clock::SystemClock,
    config::{self, Config, Credentials, Secret, VaultHome},
    fleet::{Fleet, FleetSettings, Summary, WorkFolder},
    journal::{JournalPace, Policy},
    listener::{self, Room},
    live::Live,
    message::{
        Feed, SegmentCache,
        media::{DiskReserve, Disks, Keeper, Links, Spool, open_place},
    },
    outbound::{Outbound, SystemLookup},
    seal::{Keyring, MasterKey, load_or_create_key_file, read_key_file, restore_key_file},
    session::{Directory, EndedTenants, Endpoint, Env, UrlPlaces, Versions, http_client},
    store::{Pool, PoolOptions},
    telemetry::{alerts::Alerts, metrics},
    vault::{
        InstanceId, MeteredVault, Vault, VaultError, access,
        embedded::Embedded,
        firestore::{self, Firestore, FirestoreConfig, ServiceAccountKey},
    },
    webhook::Webhooks,
};

/// Sessions that may be between dialing and login at the same time: WhatsApp need not see a thousand at once, and each costs
/// a handshake's worth of processor.
const DIALING: usize = 64;

/// Pictures that are decoded at the same time: each may take a hundred megabytes.
const DECODING: usize = 2;

/// Answers with many messages that are on their way, of all tenants: each has half a MiB in memory.
const MAX_READERS: usize = 128;

/// Of a grace that is set so much is kept for closing what was not given away.
const KEPT_FOR_CLOSING: Duration = Duration::from_secs(10);

/// So much of the giving is kept for the last letters.
const LAST_LETTERS: Duration = Duration::from_secs(3);

/// What comes after the sessions takes a second or two.
const AFTER_SESSIONS: Duration = Duration::from_secs(2);

/// Where none is set: so long for closing.
const CLOSING_TIME: Duration = Duration::from_secs(25);

/// Where none is set and other processes stay: before the closing, so long for giving them the tenants. It ends when all are given, so
/// the length counts only on a slow machine or a slow vault. Tenants change hands up to 32 at a time, each in about a second: of
/// more than some 9,000 the rest is closed, and taken over when this process has ended.
fn giving_time(tenants: usize) -> Duration {
    let each = Duration::from_millis(250).saturating_mul(u32::try_from(tenants).unwrap_or(u32::MAX));
    (Duration::from_secs(15) + each).min(Duration::from_secs(275))
}

/// SIGTERM to exit at the most, where none is set and other processes stay.
pub fn default_grace(tenants: usize) -> Duration {
    giving_time(tenants) + CLOSING_TIME
}

/// A daemon whose port is open.
pub struct Daemon {
    pub address: SocketAddr,
    pub summary: Summary,
    fleet: Arc<Fleet>,
    live: Live,
    auth: Arc<Auth>,
    alerts: Arc<Alerts>,
    stop_serving: CancellationToken,
    serving: JoinHandle<std::io::Result<()>>,
    /// `None`: see [`default_grace`].
    grace: Option<Duration>,
    /// Removed at the end.
    _work: WorkFolder,
    /// Of an embedded vault.
    _lock: Option<VaultLock>,
}

impl Daemon {
    /// Restores all tenants and opens the port. `None`: it was told to stop before that, and has.
    pub async fn start(config: &Config, stop: CancellationToken) -> anyhow::Result<Option<Self>> {
        let began = Instant::now();
        metrics::install();
        let instance = InstanceId(Ulid::generate().to_string().into());
        // Before anything else is touched: it may be another's.
        let mut lock = match &config.vault.home {
            VaultHome::Embedded { path, shared } => Some(VaultLock::acquire(path, *shared, &instance)?),
            VaultHome::Firestore { .. } => None,
        };
        // By which other processes name this one.
        info!(instance = %instance.0, version = env!("CARGO_PKG_VERSION"), "this process starts");
        let descriptors = Descriptors::claim();
        std::fs::create_dir_all(&config.data_dir)
            .with_context(|| format!("the data folder {} cannot be made", config.data_dir.display()))?;
        let socket = reserve(config.http.listen)?;
        let watched = config.metrics.listen.map(reserve).transpose()?;
        let Some(opened) = stop.run_until_cancelled(open_vault(config)).await else { return Ok(None) };
        let (vault, keyring) = opened?;
        let kept_key = kept_key(config)?;
        let vault = MeteredVault::new(vault);
        let proof = (vault.clone(), keyring.clone(), config.vault.audit / CHECKS);
        if let Some(lock) = &mut lock {
            lock.hold_vault()?;
        }
        let auth = AuthSettings {
            admin_key: admin_key(config)?,
            auth: config.auth.clone(),
            limits: config.limits.clone(),
            proxies: config.http.proxies.clone(),
        };
        let auth = Auth::start(auth, vault.clone(), SystemClock::shared()).await;
        let work = WorkFolder::create(&config.data_dir.join("sessions"), &instance)?;
        let env = Arc::new(env(config, vault, keyring, instance, &work, descriptors)?);
        let is_sole = matches!(&config.vault.home, VaultHome::Embedded { shared: false, .. });
        let settings = FleetSettings { restore: config.restore.clone(), is_sole };
        let fleet = Fleet::new(env, settings);
        let webhooks = webhooks(config, &fleet, descriptors)?;
        let alerts = alerts(config)?;
        let bots = Bots::new(fleet.env().feed.clone(), fleet.env().clock.clone(), config.bot.clone());
        fleet.set_observers(vec![webhooks.clone(), bots.clone()]);
        let restoring = Instant::now();
        if config.import.on_start {
            // Told to stop, the restore ends at once as well.
            let _ =
                stop.run_until_cancelled(fleet.import_at_start(config.import.clone(), config.outbound.clone())).await;
        }
        // The import is within the restore's deadline: whoever waits for the port knows of one limit.
        let restored = stop.run_until_cancelled(fleet.restore(restoring)).await;
        let summary = match restored {
            Some(Ok(summary)) => summary,
            // What an import has opened is written and closed, also where the vault does not say whom to restore.
            unrestored => {
                if unrestored.is_none() {
                    info!("told to stop while the tenants are restored");
                }
                let limit = config.shutdown_grace.unwrap_or(CLOSING_TIME);
                let ending = async {
                    fleet.stop(limit.saturating_sub(AFTER_SESSIONS)).await;
                    auth.stop().await;
                };
                let is_over = tokio::time::timeout(limit, ending).await.is_ok();
                unrestored.transpose()?;
                if !is_over {
                    bail!("not everything that the start had begun was finished within {limit:?}");
                }
                return Ok(None);
            }
        };
        fleet.start();
        let room = Room { connections: descriptors.callers, reserve: descriptors.reserve() };
        let web_sockets = listener::web_sockets(&config.http.connections, room);
        let (live, sockets) = Live::new(fleet.clone(), auth.clone(), &config.http, web_sockets);
        // Bound at the start, so that a taken port is known at once; answers only from here on.
        let stop_serving = CancellationToken::new();
        let metrics = metrics_settings(config);
        let disks = disks(config, &fleet.env().media);
        let app =
            App { fleet: fleet.clone(), auth: auth.clone(), webhooks, bots, metrics, disks, alerts: alerts.clone() };
        let watched_app = app.clone();
        let ports = || -> anyhow::Result<_> {
            let listener = socket.listen(1024).context("the port cannot be opened")?;
            let address = listener.local_addr()?;
            let watched = watched.map(|socket| watch(socket, &app, config, room.reserve, stop_serving.clone()));
            Ok((listener, address, watched.transpose()?))
        };
        let (listener, address, watched) = match ports() {
            Ok(ports) => ports,
            // Another process took the port in the same moment. What was restored is written and closed, or others would wait for it.
            Err(error) => {
                fleet.stop(CLOSING_TIME).await;
                auth.stop().await;
                return Err(error);
            }
        };
        let router = sockets.beside(api::router(app)).layer(api::cors(&config.http.origins));
        let serving = serve(listener, router, config.http.clone(), room, stop_serving.clone());
        let (counting, keeping, proving) = (stop_serving.clone(), stop_serving.clone(), stop_serving.clone());
        let (trimming, alerting) = (stop_serving.clone(), stop_serving.clone());
        let serving = tokio::spawn(async move {
            let watched = async {
                match watched {
                    Some(watched) => watched.await,
                    None => Ok(()),
                }
            };
            let keeping = async {
                if let Some((file, key)) = kept_key {
                    keep_key(file, key, &keeping).await;
                }
                Ok::<_, std::io::Error>(())
            };
            let proving = async {
                let (vault, keyring, interval) = proof;
                keep_check_value(&*vault, &keyring, interval, &proving).await;
                Ok::<_, std::io::Error>(())
            };
            let counting = async {
                metrics::keep(&counting).await;
                Ok::<_, std::io::Error>(())
            };
            let trimming = async {
                allocator::give_back_free_memory(&trimming).await;
                Ok::<_, std::io::Error>(())
            };
            let alerting = async {
                // Who watches must not take down what is watched.
                let watching = watched_app.alerts.run(|| api::observe(&watched_app), &alerting);
                if AssertUnwindSafe(watching).catch_unwind().await.is_err() {
                    error!("alerts crashed: nobody is told of anything before the next start");
                }
                Ok::<_, std::io::Error>(())
            };
            tokio::try_join!(serving, watched, counting, keeping, proving, trimming, alerting).map(drop)
        });
        info!(%address, after.ms = began.elapsed().as_millis() as u64, "the port is open");
        if fleet.counts().total == 0 {
            info!(
                "nobody is paired yet: open /console/ with the admin key, or POST /api/baileys/connect {{\"tenantId\": \"…\"}} with it as \
                 X-Api-Key, then GET /api/baileys/qr?tenantId=…, and scan"
            );
        }
        let grace = config.shutdown_grace;
        Ok(Some(Self {
            address,
            summary,
            fleet,
            live,
            auth,
            alerts,
            stop_serving,
            serving,
            grace,
            _work: work,
            _lock: lock,
        }))
    }

    pub fn fleet(&self) -> &Arc<Fleet> {
        &self.fleet
    }

    /// Takes over what can be changed while the process runs; names what cannot. A configuration with mistakes changes nothing.
    /// `begun_with`: what this process has begun with, `last`: what it read last, and reads now.
    fn reload(&self, begun_with: &Config, last: &mut Config, read: Result<Config, config::Mistakes>) {
        let config = match read {
            Ok(config) => config,
            Err(mistakes) => return error!(%mistakes, "SIGHUP: nothing is changed"),
        };
        let taken: Vec<_> = last.differences(&config).into_iter().filter(|key| config::is_reloadable(key)).collect();
        let left: Vec<_> =
            begun_with.differences(&config).into_iter().filter(|key| !config::is_reloadable(key)).collect();
        self.fleet.change_heartbeat(&config.heartbeat);
        self.alerts.change(config.alerts.clone());
        info!(changed = taken.join(", "), "SIGHUP: the configuration was read again");
        if !left.is_empty() {
            warn!(settings = left.join(", "), "SIGHUP: these settings have changed, and need a restart");
        }
        *last = config;
    }

    /// The serving ended by itself: it should not.
    pub async fn failed(&mut self) -> anyhow::Error {
        match (&mut self.serving).await {
            Ok(Ok(())) => anyhow::anyhow!("the HTTP server ended"),
            Ok(Err(error)) => anyhow::Error::from(error).context("the HTTP server failed"),
            Err(error) => anyhow::Error::from(error).context("the HTTP server crashed"),
        }
    }

    /// Refuses new work, finishes what is in flight, writes everything to the vault; within the grace.
    pub async fn stop(self) -> anyhow::Result<()> {
        let began = Instant::now();
        let giving = match self.grace {
            Some(grace) => grace.saturating_sub(KEPT_FOR_CLOSING.min(grace / 2)),
            None => giving_time(self.fleet.counts().total).max(self.fleet.pairing_time() + LAST_LETTERS),
        };
        // Its last letters, and a vault that does not answer, take no more than the time that there is.
        let _ = tokio::time::timeout(giving, self.fleet.leave(giving.saturating_sub(LAST_LETTERS))).await;
        let left = match self.grace {
            Some(grace) => grace.saturating_sub(began.elapsed()),
            None if self.fleet.is_leaving() => CLOSING_TIME,
            // Nobody was there to give anything to.
            None => CLOSING_TIME.saturating_sub(began.elapsed()),
        };
        let ending = async {
            self.fleet.stop(left.saturating_sub(AFTER_SESSIONS)).await;
            self.live.close().await;
            self.auth.stop().await;
            self.stop_serving.cancel();
            let _ = tokio::time::timeout(Duration::from_secs(1), self.serving).await;
        };
        if tokio::time::timeout(left, ending).await.is_err() {
            bail!("not everything was finished within {:?}", began.elapsed());
        }
        info!(took.ms = began.elapsed().as_millis() as u64, "stopped");
        Ok(())
    }
}

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

/// The file of the admin key holds none.
#[derive(Debug, thiserror::Error)]
#[error("{file}: {why}; remove the file, and a new key is made")]
pub struct AdminKeyError {
    file: String,
    why: std::io::Error,
}

/// Opens the vault and proves that the master key is its own. What is missing is made.
pub async fn open_vault(config: &Config) -> anyhow::Result<(Arc<dyn access::Home>, Arc<Keyring>)> {
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
            info!(file = %file.display(), "the vault's key: back it up, nothing opens the vault without it");
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
fn kept_key(config: &Config) -> anyhow::Result<Option<(PathBuf, MasterKey)>> {
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
async fn keep_key(file: PathBuf, key: MasterKey, stop: &CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(KEY_FILE_LOOK) => {}
        }
        let (path, key) = (file.clone(), key.clone());
        match tokio::task::spawn_blocking(move || restore_key_file(&path, &key)).await {
            Ok(Ok(true)) => {
                error!(file = %file.display(), "the vault's key was gone from its file, or replaced: it is there again")
            }
            Ok(Err(error)) => {
                error!(file = %file.display(), %error, "the vault's key cannot be put back into its file")
            }
            Ok(Ok(false)) | Err(_) => {}
        }
    }
}

/// Looks at the vault's check value in the time of one audit.
const CHECKS: u32 = 24;

/// Writes the vault's check value again whenever it is gone: without it another master key would be taken for the vault's own.
async fn keep_check_value(vault: &dyn Vault, keyring: &Keyring, interval: Duration, stop: &CancellationToken) {
    let mut is_foreign = false;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(interval) => {}
        }
        let found = match vault.check_value().await {
            Ok(None) => vault.create_check_value(keyring.check_value()).await.map(|is_made| {
                if is_made {
                    warn!("the vault had lost its check value: it is there again");
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
                    error!("the vault's check value was replaced: with this master key the next start will be refused");
                }
            }
            Ok(_) => {}
            Err(error) => debug!(%error, "the vault's check value cannot be looked at"),
        }
    }
}

/// Proves that the key is the vault's; makes it the key of a vault that has none. `expected`: the key was there before, and so,
/// but at a first start, was a vault at this place.
async fn prove(vault: &Arc<dyn access::Home>, keyring: &Keyring, expected: Option<&VaultHome>) -> anyhow::Result<()> {
    if let Some(value) = vault.check_value().await? {
        return Ok(verify(keyring, &value)?);
    }
    if let Some(home) = expected {
        let place = match home {
            VaultHome::Embedded { path, .. } => path.display().to_string(),
            VaultHome::Firestore { project, database, .. } => format!("{project}, {database}"),
        };
        warn!(
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

/// The same of a vault that is there, and makes nothing: for who only looks. `None`: there is none yet.
pub async fn existing_vault(config: &Config) -> anyhow::Result<Option<(Arc<dyn access::Home>, Arc<Keyring>)>> {
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

/// Free bytes below which the embedded vault takes no more entries, at the most: enough for the working copies of some tenants and for the
/// vault's own log.
const MOST_VAULT_FLOOR: u64 = 32 << 20;

async fn reach_vault(config: &Config) -> anyhow::Result<Arc<dyn access::Home>> {
    match &config.vault.home {
        VaultHome::Embedded { path, .. } => {
            let opened =
                Embedded::open(path).with_context(|| format!("the vault {} cannot be opened", path.display()))?;
            info!(path = %path.display(), "embedded vault");
            Ok(Arc::new(opened.with_floor(MOST_VAULT_FLOOR.min(config.media.reserve / 8))))
        }
        VaultHome::Firestore { project, database, credentials, request_timeout } => {
            let settings = FirestoreConfig {
                project: project.clone(),
                database: database.clone(),
                credentials: match credentials {
                    Credentials::ServiceAccount(json) => {
                        firestore::Credentials::ServiceAccountJson(ServiceAccountKey::new(json.expose().to_owned()))
                    }
                    Credentials::ApplicationDefault => firestore::Credentials::ApplicationDefault,
                    Credentials::Emulator(host) => firestore::Credentials::Emulator { host: host.clone() },
                },
                request_timeout: *request_timeout,
            };
            let connected = Firestore::connect(settings).await.context("Firestore cannot be used")?;
            info!(project, database, "Firestore vault");
            Ok(Arc::new(connected))
        }
    }
}

/// Firestore may be slower to answer than we are to start, and may fall silent in the middle of it. Whoever starts us again gives up
/// sooner.
async fn until_answered<T>(limit: Duration, ask: impl AsyncFn() -> anyhow::Result<T>) -> anyhow::Result<T> {
    let deadline = Instant::now() + limit;
    let mut wait = Duration::from_millis(250);
    loop {
        match ask().await {
            Err(error) if is_unanswered(&error) && Instant::now() + wait < deadline => {
                warn!(error = format!("{error:#}"), "the vault does not answer yet");
                tokio::time::sleep(wait).await;
                wait = (wait * 2).min(Duration::from_secs(5));
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

/// The configured admin key, or the one in `admin.key` of the data folder, made when there is none.
pub fn admin_key(config: &Config) -> anyhow::Result<Secret> {
    if let Some(key) = &config.auth.admin_key {
        return Ok(key.clone());
    }
    let file = config.data_dir.join("admin.key");
    let key = crate::config::load_or_create_secret(&file).map_err(|why| match why.kind() {
        std::io::ErrorKind::InvalidData => AdminKeyError { file: file.display().to_string(), why }.into(),
        _ => anyhow::Error::from(why).context("the admin key's file"),
    })?;
    info!(file = %file.display(), "the admin key is in this file");
    Ok(key)
}

fn env(
    config: &Config,
    vault: Arc<dyn Vault>,
    keyring: Arc<Keyring>,
    instance: InstanceId,
    work: &WorkFolder,
    descriptors: Descriptors,
) -> anyhow::Result<Env> {
    let media = config.media.clone();
    let spool =
        Spool::new(config.data_dir.join("spool"), media.reserve).context("the folder for files on their way")?;
    let links = Links::new(config.http.public_url.clone());
    let authority = config.whatsapp.media_authority.as_deref();
    let client = |proxy: Option<&Secret>| http_client(authority, proxy.map(Secret::expose));
    let proxied = media.proxies.iter().filter_map(|(who, proxy)| Some((who.clone()?, proxy)));
    let proxied = proxied.map(|(tenant, proxy)| Ok((tenant, client(Some(proxy))?)));
    let keeper = Keeper::new(open_place(&media.home)?, spool, links, media.clone());
    Ok(Env {
        vault,
        keyring,
        instance,
        clock: SystemClock::shared(),
        pool: Pool::new(PoolOptions {
            open_files: descriptors.files,
            idle: config.session.file_idle,
            ..PoolOptions::default()
        })?,
        feed: Feed::new(),
        shelf: SegmentCache::default(),
        directory: Directory::default(),
        ended: EndedTenants::default(),
        policy: journal_policy(config),
        settings: config.session.clone(),
        heartbeat: watch::Sender::new(config.heartbeat.clone()),
        messages: config.messages.clone(),
        sessions_dir: work.path().to_owned(),
        endpoint: Endpoint::new(&config.whatsapp.endpoint)?,
        http: client(media.proxies.iter().find(|(who, _)| who.is_none()).map(|(_, proxy)| proxy))?,
        proxied: proxied.collect::<anyhow::Result<_>>()?,
        media: Arc::new(keeper),
        files_from: Outbound::new(config.outbound.allow.clone(), media.fetch_timeout, Arc::new(SystemLookup))?,
        url_places: UrlPlaces::new(media.parallel.min(descriptors.requests / 8)),
        fetching: Semaphore::new(media.parallel.min(descriptors.requests / 4)),
        uploading: Semaphore::new(media.parallel.min(descriptors.requests / 4)),
        reading: Arc::new(Semaphore::new(MAX_READERS)),
        decoding: Semaphore::new(DECODING),
        asking_phones: Semaphore::new(config.messages.history.parallel),
        versions: Versions::new(config.whatsapp.version),
        dialing: Arc::new(Semaphore::new(DIALING.min(descriptors.lines))),
        lines: Arc::new(Semaphore::new(descriptors.lines)),
    })
}

/// How journals are kept.
pub fn journal_policy(config: &Config) -> Policy {
    Policy {
        pace: JournalPace { writes_per_minute: config.vault.writes_per_minute, ..JournalPace::default() },
        snapshot_entries: config.vault.snapshot_entries,
        audit: Some(config.vault.audit),
        ..Policy::default()
    }
}

fn webhooks(config: &Config, fleet: &Fleet, descriptors: Descriptors) -> anyhow::Result<Arc<Webhooks>> {
    let settings = config.outbound.clone();
    let outbound = Outbound::new(settings.allow, settings.timeout, Arc::new(SystemLookup))?;
    let env = fleet.env();
    let mut settings = config.webhooks.clone();
    settings.concurrency = settings.concurrency.min(descriptors.requests / 2);
    Ok(Webhooks::new(outbound, env.feed.clone(), env.clock.clone(), settings))
}

/// Who tells people that something is wrong.
pub fn alerts(config: &Config) -> anyhow::Result<Arc<Alerts>> {
    let outbound = Outbound::new(config.outbound.allow.clone(), config.outbound.timeout, Arc::new(SystemLookup))?;
    let clock = SystemClock::shared();
    Ok(Alerts::new(config.alerts.clone(), &config.http.public_url, config.data_dir.clone(), outbound, clock))
}

fn reserve(address: SocketAddr) -> anyhow::Result<TcpSocket> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    socket.bind(address).with_context(|| format!("{address} cannot be used"))?;
    Ok(socket)
}

async fn serve(
    listener: TcpListener,
    router: axum::Router,
    settings: config::Http,
    room: Room,
    stop: CancellationToken,
) -> std::io::Result<()> {
    listener::serve(listener, router, api::rejected, &settings.connections, settings.proxies, room, stop).await
}

/// What `/health` looks at.
fn disks(config: &Config, media: &Keeper) -> Disks {
    let mut vital = vec![media.spool.reserve().clone()];
    if let VaultHome::Embedded { path, .. } = &config.vault.home {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        vital.push(DiskReserve::new(folder.to_owned(), config.media.reserve));
    }
    Disks { vital, files: media.reserve().cloned() }
}

/// What `/metrics` goes by.
fn metrics_settings(config: &Config) -> MetricsSettings {
    let vault = match config.vault.home {
        VaultHome::Embedded { .. } => "embedded",
        VaultHome::Firestore { .. } => "firestore",
    };
    MetricsSettings { per_tenant: config.metrics.per_tenant, vault }
}

/// Connections of who reads `/metrics` without a key, at the same time.
const WATCHERS: usize = 16;

/// Serves `/metrics` without a key, on its own address.
fn watch(
    socket: TcpSocket,
    app: &App,
    config: &Config,
    reserve: u64,
    stop: CancellationToken,
) -> anyhow::Result<impl Future<Output = std::io::Result<()>> + use<>> {
    let listener = socket.listen(64).context("the port for metrics cannot be opened")?;
    info!(address = %listener.local_addr()?, "metrics are served without a key");
    let room = Room { connections: WATCHERS, reserve };
    let settings = config::Connections { most: WATCHERS, per_address: None, ..config.http.connections.clone() };
    let (router, proxies) = (api::metrics_router(app.clone()), config.http.proxies.clone());
    Ok(async move { listener::serve(listener, router, api::rejected, &settings, proxies, room, stop).await })
}

/// What tells the process to stop.
struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// The name of the next one.
    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

/// Runs until a signal. A second signal, or a grace that is over, ends it at once. `file`: the configuration's, to be read again at SIGHUP.
pub async fn run(config: &Config, file: Option<&Path>) -> anyhow::Result<()> {
    let mut signals = StopSignals::listen()?;
    // One that comes during the start is heard after it.
    let mut hangups = signal(SignalKind::hangup())?;
    let mut last_read = config.clone();
    let told = CancellationToken::new();
    let starting = Daemon::start(config, told.clone());
    tokio::pin!(starting);
    let started = tokio::select! {
        started = &mut starting => started?,
        signal = signals.next() => {
            info!(signal, "stopping before the start is over");
            told.cancel();
            tokio::select! {
                started = &mut starting => started?,
                _ = signals.next() => bail!("stopped at once by a second signal"),
            }
        }
    };
    let Some(mut daemon) = started else { return Ok(()) };
    loop {
        tokio::select! {
            biased;
            // It was up in the same moment.
            () = told.cancelled() => break,
            signal = signals.next() => {
                info!(signal, "stopping");
                break;
            }
            failure = daemon.failed() => {
                error!(error = format!("{failure:#}"), "stopping after a fatal error");
                let _ = daemon.stop().await;
                return Err(failure);
            }
            Some(()) = hangups.recv() => daemon.reload(config, &mut last_read, Config::load(file)),
        }
    }
    tokio::select! {
        stopped = daemon.stop() => stopped,
        _ = signals.next() => bail!("stopped at once by a second signal"),
    }
}
