//! `sessiond demo`: the whole main job on one machine, no phone, no cloud.
//!
//! Tenants pair by QR with the loopback network, customers write and are answered; then the daemon is killed without warning and
//! its local data deleted, customers go on writing, and a new process brings every tenant back without a scan. The figures at
//! the end are the network's: what it saw of devices, messages and counters, not what the daemon says of itself.

mod dashboard;
mod process;
mod tally;
mod verdict;

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};
use futures::future::try_join_all;
use loopback::{Network, NetworkConfig};
use serde::Serialize;
use serde_json::Value;

pub use self::{
    dashboard::{ApiAnswer, Dashboard, Ear, Heard},
    process::{Process, Setup, free_address},
    tally::{Conversation, MessageCount, Sent, Tally, Written, until},
    verdict::Verdict,
};

#[derive(Debug, Clone, Args)]
pub struct DemoOptions {
    /// Restaurants that pair.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=500))]
    tenants: u16,
    /// Where the durable state is: a file that is not deleted, or a Firestore emulator (FIRESTORE_EMULATOR_HOST).
    #[arg(long, value_enum, default_value_t = VaultKind::Embedded)]
    vault: VaultKind,
    /// Do not stop at the end: say where everything is.
    #[arg(long)]
    keep_running: bool,
    /// The last line is one JSON object with the figures.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum VaultKind {
    Embedded,
    Firestore,
}

/// What the demo promises, and what came of it.
#[derive(Debug, Serialize)]
struct DemoFigures {
    tenants: usize,
    paired: usize,
    restored: usize,
    rescans: usize,
    sent: usize,
    received: usize,
    lost: usize,
    duplicated: usize,
    counters_reused: usize,
    restore_ms: u64,
    port_opened_after_restore: bool,
}

impl DemoFigures {
    fn are_as_promised(&self) -> bool {
        self.paired == self.tenants
            && self.restored == self.tenants
            && self.rescans == 0
            && self.lost == 0
            && self.duplicated == 0
            && self.counters_reused == 0
            && self.received == self.sent
            && self.port_opened_after_restore
    }
}

/// How long anything may take before the demo gives up.
const LIMIT: Duration = Duration::from_secs(120);

/// Messages that each customer writes in each of the three acts.
const MESSAGES: usize = 3;

/// Runs the demo; an error when a promise was not kept.
pub async fn run(options: DemoOptions) -> anyhow::Result<()> {
    let story = Story { began: Instant::now() };
    let dir = tempdir()?;
    story.tell(format!("everything is under {}", dir.path.display()));
    let network =
        Network::start(NetworkConfig { control: Some(([127, 0, 0, 1], 0).into()), ..NetworkConfig::default() }).await?;
    story.tell(format!("a WhatsApp network speaks the real protocol on {}", network.ws_url()));
    let setup = Setup::new(std::env::current_exe()?, &dir.path, &network.ws_url())?
        .trusting(&dir.path, network.media_ca_pem())?;
    let setup = match options.vault {
        VaultKind::Embedded => setup.embedded(&dir.path.join("cloud").join("vault.db")),
        VaultKind::Firestore => {
            let emulator = std::env::var("FIRESTORE_EMULATOR_HOST")
                .context("--vault firestore needs a running emulator: set FIRESTORE_EMULATOR_HOST to its host:port")?;
            setup.firestore(&emulator, &format!("demo-{}", std::process::id()))
        }
    };
    let mut daemon = setup.start(LIMIT).await?;
    story.tell(format!("sessiond is up on http://{}", setup.address));
    let dashboard = Dashboard::new(setup.address, setup.admin_key.clone());

    let mut conversations = pair(&story, &network, &dashboard, usize::from(options.tenants)).await?;
    let pairings = network.stats().await.counts.pairings;
    let ear = Ear::open(&dashboard, conversations.iter().map(|c| c.tenant.clone()).collect());
    let tally = Tally::new(network.clone());

    story.tell("customers write, and are answered through the HTTP API");
    for conversation in &mut conversations {
        conversation.customers_write(&network, MESSAGES).await?;
    }
    tally.answer_all(&mut conversations, &dashboard, &ear, LIMIT).await?;
    story.tell(format!("{} messages in and as many answers out", sum(&conversations)));

    story.tell("customers write again; in the middle of it the daemon gets SIGKILL");
    for conversation in &mut conversations {
        conversation.customers_write(&network, MESSAGES).await?;
    }
    daemon.kill().await?;
    std::fs::remove_dir_all(&setup.data_dir).context("deleting the local data")?;
    story.tell(format!("the daemon is dead and {} is deleted", setup.data_dir.display()));
    for conversation in &mut conversations {
        conversation.customers_write(&network, MESSAGES).await?;
    }
    story.tell("customers wrote on meanwhile: WhatsApp keeps it");

    let restarting = Instant::now();
    daemon = setup.spawn()?;
    let (port_opened, online_then) = {
        daemon.await_port(LIMIT).await?;
        (restarting.elapsed(), online(&network, &conversations).await?)
    };
    story.tell(format!(
        "a new process has opened its port after {} ms, {online_then} tenants online",
        port_opened.as_millis()
    ));
    tally.answer_all(&mut conversations, &dashboard, &ear, LIMIT).await?;
    let restored = online(&network, &conversations).await?;
    let figures =
        figures(&network, &tally, &conversations, Restart { pairings, online_then, restored, port_opened }).await?;
    story.tell(format!(
        "every tenant is back: {} of {}, {} scanned again; {} messages written, {} arrived, {} lost, {} doubled, {} counters reused",
        figures.restored,
        figures.tenants,
        figures.rescans,
        figures.sent,
        figures.received,
        figures.lost,
        figures.duplicated,
        figures.counters_reused
    ));
    if options.keep_running {
        story.tell("look around; Ctrl-C ends it");
        println!("  daemon   http://{}  (X-Api-Key: {})", setup.address, setup.admin_key);
        println!("  network  {}", network.control_url().unwrap_or_default());
        println!("  tenants  {}", conversations.iter().map(|c| c.tenant.as_str()).collect::<Vec<_>>().join(" "));
        tokio::signal::ctrl_c().await?;
    }
    daemon.terminate(Duration::from_secs(30)).await?;
    network.shutdown().await;
    if options.json {
        println!("{}", serde_json::to_string(&figures)?);
    }
    if !figures.are_as_promised() {
        bail!("a promise was not kept: {figures:?}");
    }
    Ok(())
}

struct Restart {
    pairings: u64,
    online_then: usize,
    restored: usize,
    port_opened: Duration,
}

async fn figures(
    network: &Network,
    tally: &Tally,
    conversations: &[Conversation],
    restart: Restart,
) -> anyhow::Result<DemoFigures> {
    let stats = network.stats().await;
    let count = tally.count(conversations).await?;
    Ok(DemoFigures {
        tenants: conversations.len(),
        paired: usize::try_from(restart.pairings)?,
        restored: restart.restored,
        rescans: usize::try_from(stats.counts.pairings - restart.pairings)?,
        sent: count.written,
        received: count.arrived,
        lost: count.lost,
        duplicated: count.doubled,
        counters_reused: stats.counters_reused,
        restore_ms: u64::try_from(restart.port_opened.as_millis())?,
        port_opened_after_restore: restart.online_then == conversations.len(),
    })
}

/// N phones scan the QR codes of N tenants.
async fn pair(
    story: &Story,
    network: &Network,
    dashboard: &Dashboard,
    tenants: usize,
) -> anyhow::Result<Vec<Conversation>> {
    let mut paired = Vec::new();
    // A few at a time: each makes a set of pre-keys.
    let names: Vec<String> = (1..=tenants).map(|n| format!("restaurant{n}")).collect();
    for some in names.chunks(8) {
        paired.extend(
            try_join_all(some.iter().map(|tenant| Conversation::pair(network, dashboard, tenant.clone(), LIMIT)))
                .await?,
        );
        story.tell(format!("{} of {tenants} tenants are paired", paired.len()));
    }
    Ok(paired)
}

/// Tenants whose device is logged in, as the network sees it.
async fn online(network: &Network, conversations: &[Conversation]) -> anyhow::Result<usize> {
    let mut online = 0;
    for conversation in conversations {
        online += usize::from(network.devices(&conversation.number).await?.iter().any(|device| device.online));
    }
    Ok(online)
}

fn sum(conversations: &[Conversation]) -> usize {
    conversations.iter().map(|conversation| conversation.written.len()).sum()
}

/// Tells what happens, with the time.
struct Story {
    began: Instant,
}

impl Story {
    fn tell(&self, what: impl AsRef<str>) {
        println!("{:>8.2} s  {}", self.began.elapsed().as_secs_f64(), what.as_ref());
    }
}

/// A folder that goes away with the demo.
struct TempDir {
    path: PathBuf,
}

impl Drop for TempDir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

fn tempdir() -> anyhow::Result<TempDir> {
    let path = std::env::temp_dir().join(format!("sessiond-demo-{}-{}", std::process::id(), ulid::Ulid::generate()));
    std::fs::create_dir_all(&path)?;
    Ok(TempDir { path })
}

/// The last line of a demo run with `--json`.
pub fn last_json_line(output: &str) -> Option<Value> {
    output.lines().rev().find_map(|line| serde_json::from_str(line).ok())
}
