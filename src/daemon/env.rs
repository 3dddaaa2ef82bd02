//! From the configuration to the parts: the sessions' environment, webhooks, metrics.

use std::{path::Path, sync::Arc};

use anyhow::Context as _;
use tokio::sync::{Semaphore, watch};
use tracing::error;

use super::descriptors::Descriptors;
use crate::{
    api::MetricsSettings,
    bot::service::{Bots, ModelClient},
    clock::SystemClock,
    config::{Config, Secret, VaultHome},
    fleet::{Fleet, SessionObserver, WorkFolder},
    journal::{JournalPace, Policy},
    message::{
        Feed, SegmentCache,
        media::{DiskReserve, Disks, Keeper, Links, Spool, open_place},
    },
    mirror::Mirror,
    outbound::{Outbound, SystemLookup},
    seal::Keyring,
    session::{Directory, EndedTenants, Endpoint, Env, UrlPlaces, Versions, http_client},
    store::{Pool, PoolOptions},
    telemetry::alerts::Alerts,
    vault::{InstanceId, Vault},
    webhook::Webhooks,
};

/// Sessions that may be between dialing and login at the same time: WhatsApp need not see a thousand at once, and each costs
/// a handshake's worth of processor.
const DIALING: usize = 64;

/// Pictures that are decoded at the same time: each may take a hundred megabytes.
const DECODING: usize = 2;

/// For each phone that may be asked at the same time so many silent ones are waited for.
const SILENT_PHONES: usize = 4;

/// Answers with many messages that are on their way, of all tenants: each has half a MiB in memory.
const MAX_READERS: usize = 128;

pub(super) fn env(
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
        silent_phones: Semaphore::new(config.messages.history.parallel.saturating_mul(SILENT_PHONES)),
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

pub(super) fn outbound(config: &Config) -> anyhow::Result<Outbound> {
    let settings = config.outbound.clone();
    Outbound::new(settings.allow, settings.timeout, Arc::new(SystemLookup))
}

/// The language model, if there is one. Where it may not be asked everything else goes on.
pub(super) fn language_model(config: &Config) -> Option<ModelClient> {
    let settings = config.bot.language_model.as_ref()?;
    match ModelClient::new(settings, config.outbound.allow.clone()) {
        Ok(client) => Some(client),
        Err(error) => {
            error!(
                event = "bot_model_off",
                %error,
                "no language model is asked: it cannot be reached as it is set (outbound.allow)"
            );
            None
        }
    }
}

/// The mirror, if it is on. Without its database everything else goes on.
pub(super) fn mirror(
    config: &Config,
    fleet: &Fleet,
    bots: &Arc<Bots>,
    descriptors: Descriptors,
) -> Option<Arc<dyn SessionObserver>> {
    if !config.bot.mirror {
        return None;
    }
    let consumer = (fleet.env().feed.clone(), fleet.env().clock.clone());
    match Mirror::open(&config.import, &config.outbound, bots.clone(), consumer, descriptors.requests) {
        Ok(mirror) => Some(mirror),
        Err(error) => {
            error!(event = "order_mirror_off", %error, "orders are not mirrored: the Realtime Database cannot be used");
            None
        }
    }
}

/// The part that tells people when something is wrong.
pub fn alerts(config: &Config) -> anyhow::Result<Arc<Alerts>> {
    let clock = SystemClock::shared();
    Ok(Alerts::new(config.alerts.clone(), &config.http.public_url, config.data_dir.clone(), outbound(config)?, clock))
}

pub(super) fn webhooks(config: &Config, fleet: &Fleet, descriptors: Descriptors) -> anyhow::Result<Arc<Webhooks>> {
    let env = fleet.env();
    let mut settings = config.webhooks.clone();
    settings.concurrency = settings.concurrency.min(descriptors.requests / 2);
    Ok(Webhooks::new(outbound(config)?, env.feed.clone(), env.clock.clone(), settings))
}

/// The disks that `/health` looks at.
pub(super) fn disks(config: &Config, media: &Keeper) -> Disks {
    let mut vital = vec![media.spool.reserve().clone()];
    if let VaultHome::Embedded { path, .. } = &config.vault.home {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        vital.push(DiskReserve::new(folder.to_owned(), config.media.reserve));
    }
    Disks { vital, files: media.reserve().cloned() }
}

/// The settings of `/metrics`.
pub(super) fn metrics_settings(config: &Config) -> MetricsSettings {
    let vault = match config.vault.home {
        VaultHome::Embedded { .. } => "embedded",
        VaultHome::Firestore { .. } => "firestore",
    };
    MetricsSettings { per_tenant: config.metrics.per_tenant, vault }
}
