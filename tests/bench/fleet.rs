//! What a fleet costs: `cargo bench --bench fleet -- --tenants 1000 --vault embedded|firestore`.
//!
//! Pairs N tenants with a production number of pre-keys (not timed), starts the daemon anew and watches it restore them, lets it
//! sit idle, then sends traffic through it, and at last hands the tenants over to a second process. The daemon is a process of its
//! own, and so is the WhatsApp network; this one watches. The figures are one JSON object, the last line of the output; what goes
//! on meanwhile is told on stderr. Latencies are taken between this process's clock and the network's, in whole milliseconds.

#![allow(clippy::disallowed_methods, reason = "it measures the real time")]

#[path = "../it/support/emulator.rs"]
#[allow(dead_code, reason = "the tests use more of it")]
mod emulator;
mod gauge;
mod metrics_cost;
mod network;
mod one_tenant;
mod peer;
mod traffic;

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use clap::{Parser, ValueEnum};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use serde::Serialize;
use serde_json::{Value, json};
use sessiond::{
    demo::{Dashboard, Process, Setup, free_address, until},
    vault::{Seq, Vault, embedded::Embedded, firestore::Firestore},
};

use self::{
    gauge::{Gauge, Spread},
    metrics_cost::MetricsCost,
    network::Whatsapp,
    one_tenant::OneTenant,
    peer::{Peer, Ratios},
    traffic::{Chat, Run},
};

#[derive(Debug, Clone, Parser)]
struct Options {
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    tenants: u32,
    #[arg(long, value_enum, default_value_t = VaultKind::Embedded)]
    vault: VaultKind,
    /// One-time pre-keys of each tenant.
    #[arg(long, default_value_t = 812)]
    pre_keys: u32,
    /// Seconds before the memory is read.
    #[arg(long, default_value_t = 60)]
    idle: u64,
    /// Messages a second, over all tenants, but over 100 at the most.
    #[arg(long, default_value_t = 200)]
    rate: u32,
    /// How long traffic lasts, each way.
    #[arg(long, default_value_t = 30)]
    seconds: u32,
    /// Measure a scrape, and the same traffic with and without metrics: six starts more.
    #[arg(long)]
    metrics: bool,
    /// Let another gateway's sessions do the same work on the same network.
    #[arg(long, value_enum)]
    peer: Option<PeerKind>,
    /// Be the WhatsApp network: how this program starts it.
    #[arg(long, hide = true)]
    network: bool,
    /// Cargo says so.
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
enum VaultKind {
    Embedded,
    Firestore,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum PeerKind {
    /// Version 7, all sessions in one Node process, their keys in files.
    Baileys,
}

#[derive(Debug, Serialize)]
struct Figures {
    tenants: u32,
    vault: VaultKind,
    pre_keys: u32,
    optimized: bool,
    /// Pairing all tenants. Not a figure of merit.
    prepare_s: f64,
    restore: Restore,
    memory: Memory,
    idle_hour: IdleHour,
    vault_bytes_per_tenant: u64,
    inbound: Run,
    outbound: Run,
    /// One tenant alone.
    inbound_1_per_s: Run,
    inbound_50_per_s: Run,
    one_tenant: OneTenant,
    #[serde(skip_serializing_if = "Option::is_none")]
    metrics: Option<MetricsCost>,
    handover: Handover,
    rescans: u64,
    counters_reused: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    peer: Option<Peer>,
    /// The peer's figures divided by ours; rates the other way round. More is better.
    #[serde(skip_serializing_if = "Option::is_none")]
    ratios: Option<Ratios>,
}

#[derive(Debug, Serialize)]
struct Restore {
    /// By the daemon's log: from the listing of the tenants to the last one's login.
    restore_ms: u64,
    /// From the start of the process, as seen from outside.
    port_opened_ms: u64,
    sessions_per_s: f64,
    /// Logged in when the port opened, by the network.
    online: u64,
    cpu_ms_per_session: f64,
    vault: Usage,
}

#[derive(Debug, Clone, Copy, Serialize)]
struct Usage {
    reads: u64,
    writes: u64,
    deletes: u64,
}

impl Usage {
    fn since(self, before: Self) -> Self {
        Self {
            reads: self.reads.saturating_sub(before.reads),
            writes: self.writes.saturating_sub(before.writes),
            deletes: self.deletes.saturating_sub(before.deletes),
        }
    }
}

/// What an hour of an idle fleet asks of the vault, in documents.
#[derive(Debug, Serialize)]
struct IdleHour {
    /// Counted for so long, and scaled to an hour: what comes every few seconds.
    counted_s: u64,
    reads: f64,
    writes: f64,
    /// Not counted, since it comes once an hour or once a day: a look at the directory, and the audits (`src/guide/costs.md`).
    derived_reads: f64,
}

/// Documents for each tenant that changes hands, of both processes.
#[derive(Debug, Serialize)]
struct HandoverDocuments {
    reads: f64,
    writes: f64,
    deletes: f64,
}

/// Reads of an audit of one tenant: two manifests, two counts, and one more.
const AUDIT_READS: f64 = 5.0;

/// Reads of one tenant's record in an hour: `heartbeat.directory` is two.
const RECORD_READS: f64 = 0.5;

#[derive(Debug, Serialize)]
struct Memory {
    idle_s: u64,
    rss_none_mib: f64,
    rss_mib: f64,
    rss_per_session_mib: f64,
    /// What cannot be dropped: anonymous memory and dirty pages.
    held_none_mib: f64,
    held_mib: f64,
    held_per_session_mib: f64,
    /// While idle.
    cpu_ms_per_session_minute: f64,
}

/// From SIGTERM to one process, at which another starts.
#[derive(Debug, Serialize)]
struct Handover {
    /// How long each tenant had no session, by the network.
    offline_ms: Spread,
    /// Logins that threw the old process's out: conflicts, as WhatsApp sees them.
    conflicts: u64,
    took_ms: u64,
    /// With what both processes write and read anyway meanwhile.
    documents_per_tenant: HandoverDocuments,
}

/// How long anything may take.
const LIMIT: Duration = Duration::from_secs(600);

/// Pairings at the same time.
const PAIRINGS: usize = 16;

/// Tenants with traffic.
const BUSY: usize = 100;

/// Of a run with one tenant.
const SINGLE_SECONDS: u32 = 20;

fn main() -> anyhow::Result<()> {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let options = Options::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    if options.network {
        return runtime.block_on(network::serve());
    }
    let figures = runtime.block_on(run(&options))?;
    println!("{}", serde_json::to_string(&figures)?);
    Ok(())
}

async fn run(options: &Options) -> anyhow::Result<Figures> {
    let dir = tempfile::tempdir()?;
    let whatsapp = Whatsapp::start().await?;
    let home = Home::new(options.vault, dir.path())?;
    let setup = home.apply(Setup::new(env!("CARGO_BIN_EXE_sessiond"), dir.path(), whatsapp.url())?, "fleet");
    let setup = setup.set("SESSIOND_SESSION__PRE_KEYS", options.pre_keys.to_string());
    let dashboard = Dashboard::new(setup.address, setup.admin_key.clone());

    let began = Instant::now();
    let daemon = setup.start(LIMIT).await?;
    let tenants = pair(options, &whatsapp, &dashboard).await?;
    if daemon.terminate(LIMIT).await? != Some(0) {
        bail!("the daemon did not stop well; see {}", setup.log.display());
    }
    let prepare_s = seconds(began.elapsed());
    tell(format!("{} tenants are paired after {prepare_s:.0} s", tenants.len()));

    // A daemon with nobody, to compare with.
    let mut nobody = home.apply(Setup::new(&setup.program, &dir.path().join("nobody"), whatsapp.url())?, "nobody");
    std::fs::create_dir_all(dir.path().join("nobody"))?;
    nobody.address = free_address()?;
    let nobody = nobody.start(LIMIT).await?;

    let (daemon, restore) = restore(&setup, &whatsapp, &dashboard, tenants.len()).await?;
    tell(format!("restored: {}", json!(restore)));
    let before = usage(&dashboard).await?;
    let memory = idle(options, &daemon, &nobody, tenants.len()).await?;
    let idle_hour = idle_hour(options.idle, usage(&dashboard).await?.since(before), tenants.len());
    nobody.kill().await?;
    tell(format!("idle: {}", json!(memory)));
    tell(format!("the vault in an idle hour: {}", json!(idle_hour)));
    let vault_bytes_per_tenant = home.bytes_per_tenant(&tenants).await?;

    let busy = &tenants[..tenants.len().min(BUSY)];
    let traffic = traffic::Traffic::new(&whatsapp, &dashboard, busy).await?;
    let inbound = traffic.inbound(busy, options.rate, options.seconds).await?;
    tell(format!("in: {}", json!(inbound)));
    let outbound = traffic.outbound(busy, options.rate, options.seconds).await?;
    tell(format!("out: {}", json!(outbound)));
    let inbound_1_per_s = traffic.inbound(&busy[..1], 1, SINGLE_SECONDS).await?;
    tell(format!("one tenant, one message a second: {}", json!(inbound_1_per_s)));
    let crowd = crowd(&busy[0], &whatsapp).await?;
    traffic.greet(&crowd).await?;
    let inbound_50_per_s = traffic.inbound(&crowd, 50, SINGLE_SECONDS).await?;
    tell(format!("one tenant, fifty messages a second: {}", json!(inbound_50_per_s)));
    let strangers = crowd_of(60, &busy[0], &whatsapp).await?;
    let one_tenant = one_tenant::measure(&traffic, &Gauge::of(&daemon)?, &crowd, &strangers).await?;
    tell(format!("one tenant, as fast as it can: {}", json!(one_tenant)));
    drop(traffic);

    let (daemon, metrics) = if options.metrics {
        let (daemon, cost) =
            metrics_cost::measure(&setup, daemon, &whatsapp, &dashboard, tenants.len(), &crowd).await?;
        (daemon, Some(cost))
    } else {
        (daemon, None)
    };

    let handover = hand_over(&setup, daemon, &whatsapp, &tenants).await?;
    let stats = whatsapp.stats().await?;
    let mut figures = Figures {
        tenants: options.tenants,
        vault: options.vault,
        pre_keys: options.pre_keys,
        optimized: !cfg!(debug_assertions),
        prepare_s,
        restore,
        memory,
        idle_hour,
        vault_bytes_per_tenant,
        inbound,
        outbound,
        inbound_1_per_s,
        inbound_50_per_s,
        one_tenant,
        metrics,
        handover,
        rescans: number(&stats["pairings"])? - u64::from(options.tenants),
        counters_reused: number(&stats["counters_reused"])?,
        peer: None,
        ratios: None,
    };
    if options.peer == Some(PeerKind::Baileys) {
        let peer = peer::measure(&whatsapp, dir.path(), options.tenants, options.idle).await?;
        tell(format!("Baileys: {}", json!(peer)));
        (figures.ratios, figures.peer) = (Some(peer.ratios(&figures)), Some(peer));
    }
    Ok(figures)
}

/// Pairs all tenants, each with a phone of its own, and gives each a customer.
async fn pair(options: &Options, whatsapp: &Whatsapp, dashboard: &Dashboard) -> anyhow::Result<Vec<Chat>> {
    let pairings = (1..=options.tenants).map(|n| async move {
        let name = format!("tenant{n:05}");
        let phone = whatsapp.add_phone().await?;
        let qr = dashboard.qr(&name).await?;
        whatsapp.scan(&phone, &qr).await?;
        until(LIMIT, "a tenant to be connected", || dashboard.is_connected(&name)).await?;
        Ok::<_, anyhow::Error>(Chat { tenant: name, phone, customer: whatsapp.add_customer().await? })
    });
    let mut pairing = stream::iter(pairings).buffered(PAIRINGS);
    let mut paired = Vec::new();
    while let Some(tenant) = pairing.try_next().await? {
        paired.push(tenant);
        if paired.len() % 100 == 0 {
            tell(format!("{} tenants are paired", paired.len()));
        }
    }
    Ok(paired)
}

/// As many customers for one tenant as write to it a second: what one of them writes waits for what he wrote before.
async fn crowd(one: &Chat, whatsapp: &Whatsapp) -> anyhow::Result<Vec<Chat>> {
    crowd_of(50, one, whatsapp).await
}

async fn crowd_of(count: usize, one: &Chat, whatsapp: &Whatsapp) -> anyhow::Result<Vec<Chat>> {
    let mut crowd = Vec::new();
    for _ in 0..count {
        crowd.push(Chat { customer: whatsapp.add_customer().await?, ..one.clone() });
    }
    Ok(crowd)
}

async fn restore(
    setup: &Setup,
    whatsapp: &Whatsapp,
    dashboard: &Dashboard,
    tenants: usize,
) -> anyhow::Result<(Process, Restore)> {
    let mut daemon = setup.spawn()?;
    let gauge = Gauge::of(&daemon)?;
    let port_opened = daemon.await_port(LIMIT).await?;
    let cpu = gauge.cpu()?;
    let vault = usage(dashboard).await?;
    let online = number(&whatsapp.stats().await?["active_devices"])?;
    let log = std::fs::read_to_string(&setup.log)?;
    let mut lines = log.lines().rev().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let summary = lines.find(|line| line["message"] == "restored").context("no summary in the log")?;
    let restore_ms = number(&summary["took.ms"])?;
    if number(&summary["restored"])? != tenants as u64 {
        bail!("not everyone was restored: {summary}");
    }
    let restore = Restore {
        restore_ms,
        port_opened_ms: port_opened.as_millis() as u64,
        sessions_per_s: round(tenants as f64 * 1000.0 / restore_ms as f64),
        online,
        cpu_ms_per_session: round(cpu.as_secs_f64() * 1000.0 / tenants as f64),
        vault,
    };
    Ok((daemon, restore))
}

async fn idle(options: &Options, daemon: &Process, nobody: &Process, tenants: usize) -> anyhow::Result<Memory> {
    let (full, empty) = (Gauge::of(daemon)?, Gauge::of(nobody)?);
    let before = full.cpu()?;
    tokio::time::sleep(Duration::from_secs(options.idle)).await;
    let cpu = full.cpu()? - before;
    let (rss, none) = (full.rss_mib()?, empty.rss_mib()?);
    let (held, held_none) = (full.held_mib()?, empty.held_mib()?);
    let minutes = (options.idle as f64 / 60.0).max(f64::EPSILON);
    Ok(Memory {
        idle_s: options.idle,
        rss_none_mib: round(none),
        rss_mib: round(rss),
        rss_per_session_mib: (rss - none) / tenants as f64,
        held_none_mib: round(held_none),
        held_mib: round(held),
        held_per_session_mib: (held - held_none) / tenants as f64,
        cpu_ms_per_session_minute: round(cpu.as_secs_f64() * 1000.0 / tenants as f64 / minutes),
    })
}

fn idle_hour(counted_s: u64, counted: Usage, tenants: usize) -> IdleHour {
    let to_an_hour = |count: u64| round(count as f64 * 3600.0 / (counted_s as f64).max(1.0));
    IdleHour {
        counted_s,
        reads: to_an_hour(counted.reads),
        writes: to_an_hour(counted.writes),
        derived_reads: round(tenants as f64 * (RECORD_READS + AUDIT_READS / 24.0)),
    }
}

/// A second process starts when the first is told to stop.
async fn hand_over(setup: &Setup, old: Process, whatsapp: &Whatsapp, tenants: &[Chat]) -> anyhow::Result<Handover> {
    let mut next = setup.clone();
    next.address = free_address()?;
    next.data_dir = setup.data_dir.with_file_name("next");
    next.log = setup.log.with_file_name("next.log");
    let conflicts = number(&whatsapp.stats().await?["replaced_logins"])?;
    let mut logins = Vec::new();
    for tenant in tenants {
        logins.push(number(&whatsapp.device(&tenant.phone).await?["logins"])?);
    }
    // As a platform does it: the new one first, and SIGTERM to the old one when that is there.
    let new = next.start(LIMIT).await?;
    let dashboards = [setup, &next].map(|setup| Dashboard::new(setup.address, setup.admin_key.clone()));
    let before = [usage(&dashboards[0]).await?, usage(&dashboards[1]).await?];
    let mut after = before;
    let began = Instant::now();
    old.signal(rustix::process::Signal::TERM)?;
    let mut offline = Vec::new();
    for (tenant, logins) in tenants.iter().zip(logins) {
        let deadline = Instant::now() + LIMIT;
        let device = loop {
            let device = whatsapp.device(&tenant.phone).await?;
            if number(&device["logins"])? > logins && device["online"] == json!(true) {
                break device;
            }
            if Instant::now() > deadline {
                bail!("{} did not come over", tenant.tenant);
            }
            // The old one cannot be asked when it has ended.
            if let Ok(now) = usage(&dashboards[0]).await {
                after[0] = now;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        offline.push(number(&device["offline_ms"])? as f64);
    }
    let took = began.elapsed();
    after[1] = usage(&dashboards[1]).await?;
    let [given, taken] = [0, 1].map(|n: usize| after[n].since(before[n]));
    let each = |given: u64, taken: u64| round((given + taken) as f64 / tenants.len() as f64);
    let documents_per_tenant = HandoverDocuments {
        reads: each(given.reads, taken.reads),
        writes: each(given.writes, taken.writes),
        deletes: each(given.deletes, taken.deletes),
    };
    let conflicts = number(&whatsapp.stats().await?["replaced_logins"])? - conflicts;
    drop(old);
    new.kill().await?;
    let (offline_ms, took_ms) = (Spread::of(offline), took.as_millis() as u64);
    Ok(Handover { offline_ms, conflicts, took_ms, documents_per_tenant })
}

/// What the daemon has asked the vault for since its start.
async fn usage(dashboard: &Dashboard) -> anyhow::Result<Usage> {
    let health = dashboard.get("/health").await?.body;
    let count = |what: &str| number(&health["vault"][what]);
    Ok(Usage { reads: count("reads")?, writes: count("writes")?, deletes: count("deletes")? })
}

/// Where the tenants' durable state is.
enum Home {
    Embedded(std::path::PathBuf),
    Emulator { host: String, project: String },
}

impl Home {
    fn new(kind: VaultKind, dir: &Path) -> anyhow::Result<Self> {
        Ok(match kind {
            VaultKind::Embedded => Self::Embedded(dir.join("cloud")),
            VaultKind::Firestore => {
                let host = emulator::host().context("there is no Firestore emulator")?;
                Self::Emulator { host, project: emulator::project() }
            }
        })
    }

    fn apply(&self, setup: Setup, name: &str) -> Setup {
        match self {
            // The second process comes while the first still stops.
            Self::Embedded(dir) => setup.embedded(&dir.join(name)).set("SESSIOND_VAULT__EMBEDDED__SHARED", "true"),
            Self::Emulator { host, project } => setup.firestore(host, &format!("{project}-{name}")),
        }
    }

    /// Sealed bytes: journal, manifests and chunks. Of a few tenants: they are alike.
    async fn bytes_per_tenant(&self, tenants: &[Chat]) -> anyhow::Result<u64> {
        const SAMPLE: usize = 20;
        let vault: Box<dyn Vault> = match self {
            Self::Embedded(dir) => Box::new(Embedded::open(&dir.join("fleet"))?),
            Self::Emulator { host, project } => {
                Box::new(Firestore::connect(emulator::config(host, &format!("{project}-fleet"))).await?)
            }
        };
        let sample = &tenants[..tenants.len().min(SAMPLE)];
        let mut bytes = 0;
        for tenant in sample {
            let tenant = tenant.tenant.parse()?;
            bytes += vault.documents(&tenant, Seq(1)).await?.iter().map(|d| d.payload.len()).sum::<usize>();
            for manifest in vault.manifests(&tenant).await? {
                bytes += manifest.payload.len();
                bytes += vault.chunks(&tenant, &manifest.id).await?.iter().map(|(_, chunk)| chunk.len()).sum::<usize>();
            }
        }
        Ok((bytes / sample.len()) as u64)
    }
}

fn number(value: &Value) -> anyhow::Result<u64> {
    value.as_u64().with_context(|| format!("{value} is no number"))
}

fn seconds(duration: Duration) -> f64 {
    round(duration.as_secs_f64())
}

/// Two digits are enough for any of them.
fn round(figure: f64) -> f64 {
    (figure * 100.0).round() / 100.0
}

fn tell(what: impl AsRef<str>) {
    eprintln!("{}", what.as_ref());
}
