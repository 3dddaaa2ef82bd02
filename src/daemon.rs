//! The daemon's life: open the vault, restore, open the port, beat, stop. Puts the parts together; holds no rules of its own.

mod allocator;
mod descriptors;
mod env;
mod peer_port;
mod ports;
mod signals;
mod vault;
mod vault_lock;

use std::{
    net::SocketAddr,
    panic::AssertUnwindSafe,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

use anyhow::{Context as _, bail};
use futures::FutureExt as _;
use tokio::{task::JoinHandle, time::Instant};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};
use ulid::Ulid;

pub use self::{
    allocator::give_back_large_blocks,
    env::{alerts, journal_policy},
    signals::{hear_hangups, run},
    vault::{MasterKeyError, existing_vault, first_key, open_vault, present_keys},
    vault_lock::{EXIT_IN_USE, VaultLock, VaultLockError},
};
use self::{
    descriptors::Descriptors,
    env::{disks, env, language_model, metrics_settings, mirror, outbound, webhooks},
    peer_port::PeerPort,
    ports::{reserve, serve, watch},
    vault::{CHECKS, keep_check_value, keep_key, kept_key},
    vault_lock::keep_lock,
};
use crate::{
    api::{self, App, Auth, AuthSettings, Forwarder},
    bot::service::Bots,
    clock::SystemClock,
    config::{self, Config, Secret, VaultHome},
    crash,
    fleet::{Fleet, FleetSettings, SessionObserver, Summary, WorkFolder},
    listener::{self, Room},
    live::Live,
    message::media::DiskWatch,
    telemetry::{alerts::Alerts, log_filter, metrics, traces},
    vault::{InstanceId, MeteredVault, UsageToday},
};

/// Requests that this process forwards at the same time, and clients of Socket.IO for whom it listens to others; and as many that it takes
/// from others.
const MOST_BETWEEN_PROCESSES: [usize; 2] = [256, 2048];

/// Of a grace that is set so much is kept for closing what was not given away.
const KEPT_FOR_CLOSING: Duration = Duration::from_secs(10);

/// So much of the giving is kept for the last letters.
const LAST_LETTERS: Duration = Duration::from_secs(3);

/// Time for the work after the sessions, which takes a second or two.
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

/// For giving tenants away, with all that is waited for meanwhile, a code on a screen too: whoever limits the process knows of no other
/// time.
fn giving_limit(grace: Option<Duration>, tenants: usize) -> Duration {
    match grace {
        Some(grace) => grace.saturating_sub(KEPT_FOR_CLOSING.min(grace / 2)),
        None => giving_time(tenants),
    }
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
    _lock: Option<Arc<Mutex<VaultLock>>>,
}

impl Daemon {
    /// Restores all tenants and opens the port. `None`: it was told to stop before that, and has.
    pub async fn start(config: &Config, stop: CancellationToken) -> anyhow::Result<Option<Self>> {
        let began = Instant::now();
        if !crash::metrics_off() {
            metrics::install();
        }
        let instance = InstanceId(Ulid::generate().to_string().into());
        traces::install(&config.traces, &instance.0);
        // Before anything else is touched: it may be another's.
        let mut lock = match &config.vault.home {
            VaultHome::Embedded { path, shared } => Some(VaultLock::acquire(path, *shared, &instance)?),
            VaultHome::Firestore { .. } => None,
        };
        // By which other processes name this one.
        info!(
            event = "process_started",
            instance = %instance.0,
            version = env!("CARGO_PKG_VERSION"),
            "this process starts"
        );
        let descriptors = Descriptors::claim();
        std::fs::create_dir_all(&config.data_dir)
            .with_context(|| format!("the data folder {} cannot be made", config.data_dir.display()))?;
        let socket = reserve(config.http.listen)?;
        let watched = config.metrics.listen.map(reserve).transpose()?;
        let peer_port = match config.cluster.listen {
            Some(address) => Some(PeerPort::reserve(address, &config.cluster.advertise).await?),
            None => None,
        };
        let Some(opened) = stop.run_until_cancelled(open_vault(config)).await else { return Ok(None) };
        let (vault, keyring) = opened?;
        let kept_key = kept_key(config)?;
        let vault = MeteredVault::new(vault);
        let proof = (vault.clone(), keyring.clone(), config.vault.audit / CHECKS);
        if let Some(lock) = &mut lock {
            lock.hold_vault()?;
        }
        let lock = lock.map(|lock| Arc::new(Mutex::new(lock)));
        let admin_key = admin_key(config)?;
        // One that is configured has no file.
        let kept_secret = config.auth.admin_key.is_none().then(|| (config.data_dir.join(ADMIN_KEY), admin_key.clone()));
        let auth = AuthSettings {
            admin_key,
            auth: config.auth.clone(),
            limits: config.limits.clone(),
            proxies: config.http.proxies.clone(),
        };
        let auth = Auth::start(auth, vault.clone(), SystemClock::shared()).await;
        let work = WorkFolder::create(&config.data_dir.join("sessions"), &instance)?;
        let env = Arc::new(env(config, vault, keyring, instance, &work, descriptors)?);
        let is_sole = matches!(&config.vault.home, VaultHome::Embedded { shared: false, .. });
        let settings = FleetSettings {
            restore: config.restore.clone(),
            is_sole,
            listens_at: peer_port.as_ref().map(|port| port.advertised.clone()),
        };
        let fleet = Fleet::new(env, settings);
        let disks = DiskWatch::start(disks(config, &fleet.env().media)).context("the watch over the disks")?;
        // Before the restore, which a full disk may hold up.
        disks.tell();
        let webhooks = webhooks(config, &fleet, descriptors)?;
        let alerts = alerts(config)?;
        let (feed, clock) = (fleet.env().feed.clone(), fleet.env().clock.clone());
        let bots = Bots::new(feed, clock, config.bot.clone(), outbound(config)?, language_model(config));
        let mut observers: Vec<Arc<dyn SessionObserver>> = vec![webhooks.clone(), bots.clone()];
        observers.extend(mirror(config, &fleet, &bots, descriptors));
        fleet.set_observers(observers);
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
            // Sessions that an import has opened are written and closed, also where the vault does not say whom to
            // restore.
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
        // Of what callers may have, each direction between processes has a part.
        let between =
            MOST_BETWEEN_PROCESSES.map(|most| peer_port.as_ref().map_or(0, |_| most.min(descriptors.callers / 8)));
        let from_peers: usize = between.iter().sum();
        let room = Room { connections: descriptors.callers - 2 * from_peers, reserve: descriptors.reserve() };
        let web_sockets = listener::web_sockets(&config.http.connections, room);
        let forwarder = peer_port.is_some().then(|| {
            let (instance, keys) = (fleet.env().instance.clone(), fleet.env().keyring.peer_keys());
            Arc::new(Forwarder::new(instance, keys, config.http.proxies.header.clone(), between))
        });
        let (live, sockets) = Live::new(fleet.clone(), auth.clone(), forwarder.clone(), &config.http, web_sockets);
        // Bound at the start, so that a taken port is known at once; answers only from here on.
        let stop_serving = CancellationToken::new();
        let metrics = metrics_settings(config);
        let disk_watch = disks.clone();
        let app = App {
            fleet: fleet.clone(),
            auth: auth.clone(),
            webhooks,
            bots,
            metrics,
            disks,
            forwarder,
            alerts: alerts.clone(),
            usage_today: Arc::new(UsageToday::new(fleet.env().clock.now())),
            making: Default::default(),
        };
        let (watched_app, counted_app) = (app.clone(), app.clone());
        let ports = || -> anyhow::Result<_> {
            let listener = socket.listen(1024).context("the port cannot be opened")?;
            let address = listener.local_addr()?;
            let watched = watched.map(|socket| watch(socket, &app, config, room.reserve, stop_serving.clone()));
            let room = Room { connections: from_peers, ..room };
            let router = live.peer_router(between[1]).merge(api::router(app.clone()));
            let peers = peer_port.map(|port| port.serve(router, fleet.env(), config, room, stop_serving.clone()));
            Ok((listener, address, watched.transpose()?, peers.transpose()?))
        };
        let (listener, address, watched, peers) = match ports() {
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
        let (trimming, alerting, telling) = (stop_serving.clone(), stop_serving.clone(), stop_serving.clone());
        let kept_lock = lock.clone();
        let serving = tokio::spawn(async move {
            let watched = async {
                match watched {
                    Some(watched) => watched.await,
                    None => Ok(()),
                }
            };
            let peers = async {
                match peers {
                    Some(peers) => peers.await,
                    None => Ok(()),
                }
            };
            let keeping_key = async {
                if let Some((file, key)) = kept_key {
                    keep_key(file, key, &keeping).await;
                }
                Ok::<_, std::io::Error>(())
            };
            let keeping_secret = async {
                if let Some((file, secret)) = kept_secret {
                    keep_admin_key(file, secret, &keeping).await;
                }
                Ok::<_, std::io::Error>(())
            };
            let locking = async {
                if let Some(lock) = kept_lock {
                    keep_lock(lock, &keeping).await;
                }
                Ok::<_, std::io::Error>(())
            };
            let proving = async {
                let (vault, keyring, interval) = proof;
                keep_check_value(&*vault, &keyring, interval, &proving).await;
                Ok::<_, std::io::Error>(())
            };
            let counting = async {
                let see = || {
                    counted_app.see_usage();
                };
                metrics::keep(see, &counting).await;
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
                    error!(
                        event = "alerts_crashed",
                        "alerts crashed: nobody is told of anything before the next start"
                    );
                }
                Ok::<_, std::io::Error>(())
            };
            let telling = async {
                disk_watch.keep_telling(&telling).await;
                Ok::<_, std::io::Error>(())
            };
            tokio::try_join!(
                serving,
                watched,
                peers,
                counting,
                keeping_key,
                keeping_secret,
                locking,
                proving,
                trimming,
                alerting,
                telling,
            )
            .map(drop)
        });
        info!(event = "port_opened", %address, after.ms = began.elapsed().as_millis() as u64, "the port is open");
        if fleet.counts().total == 0 {
            info!(
                event = "nobody_paired",
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
            Err(mistakes) => return error!(event = "reload_refused", %mistakes, "SIGHUP: nothing is changed"),
        };
        let taken: Vec<_> = last.differences(&config).into_iter().filter(|key| config::is_reloadable(key)).collect();
        let left: Vec<_> =
            begun_with.differences(&config).into_iter().filter(|key| !config::is_reloadable(key)).collect();
        self.fleet.change_heartbeat(&config.heartbeat);
        self.alerts.change(config.alerts.clone());
        info!(event = "configuration_reloaded", changed = taken.join(", "), "SIGHUP: the configuration was read again");
        if !left.is_empty() {
            warn!(
                event = "restart_needed",
                settings = left.join(", "),
                "SIGHUP: these settings have changed, and need a restart"
            );
        }
        // Last, so that the filter that was decides on the lines above. One that is written as before leaves what the operator asked for
        // since.
        if last.log.filter != config.log.filter
            && let Err(error) = log_filter::change(&config.log.filter, &"SIGHUP")
        {
            warn!(event = "log_filter_kept", %error, "SIGHUP: the log filter stays");
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
        let giving = giving_limit(self.grace, self.fleet.counts().total);
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
            traces::shut_down().await;
        };
        if tokio::time::timeout(left, ending).await.is_err() {
            bail!("not everything was finished within {:?}", began.elapsed());
        }
        info!(event = "process_stopped", took.ms = began.elapsed().as_millis() as u64, "stopped");
        Ok(())
    }
}

/// The file of the admin key holds none.
#[derive(Debug, thiserror::Error)]
#[error("{file}: {why}; remove the file, and a new key is made")]
pub struct AdminKeyError {
    file: String,
    why: std::io::Error,
}

/// The file of the admin key, in the data folder.
const ADMIN_KEY: &str = "admin.key";

/// How often is looked whether that file is still there.
const ADMIN_KEY_LOOK: Duration = Duration::from_secs(10);

/// Puts the admin key back whenever its file is gone: commands that ask the daemon read it there. Another key in the file is
/// somebody's wish for the next start.
async fn keep_admin_key(file: PathBuf, secret: Secret, stop: &CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(ADMIN_KEY_LOOK) => {}
        }
        let (path, secret) = (file.clone(), secret.clone());
        match tokio::task::spawn_blocking(move || crate::config::restore_secret(&path, &secret)).await {
            Ok(Ok(true)) => {
                warn!(event = "admin_key_restored", file = %file.display(), "the admin key's file was gone: it is there again");
            }
            Ok(Err(error)) => {
                warn!(event = "admin_key_unrestored", file = %file.display(), %error, "the admin key cannot be put back into its file");
            }
            Ok(Ok(false)) | Err(_) => {}
        }
    }
}

/// The configured admin key, or the one in `admin.key` of the data folder, made when there is none.
pub fn admin_key(config: &Config) -> anyhow::Result<Secret> {
    if let Some(key) = &config.auth.admin_key {
        return Ok(key.clone());
    }
    let file = config.data_dir.join(ADMIN_KEY);
    let key = crate::config::load_or_create_secret(&file).map_err(|why| match why.kind() {
        std::io::ErrorKind::InvalidData => AdminKeyError { file: file.display().to_string(), why }.into(),
        _ => anyhow::Error::from(why).context("the admin key's file"),
    })?;
    info!(event = "admin_key_file", file = %file.display(), "the admin key is in this file");
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stop_takes_no_longer_than_the_guide_says() {
        for (tenants, ms) in [(0, 40_000), (4, 41_000), (1000, 290_000), (100_000, 300_000)] {
            let stop = giving_limit(None, tenants) + CLOSING_TIME;
            assert_eq!((stop, default_grace(tenants)), (Duration::from_millis(ms), stop), "{tenants} tenants");
        }
        assert_eq!(giving_limit(Some(Duration::from_secs(90)), 4), Duration::from_secs(80));
        let guide = include_str!("guide/deploy.md");
        assert!(guide.contains("up to 40 s and 250 ms for each tenant in a deploy, 300 s at the most"));
    }
}
