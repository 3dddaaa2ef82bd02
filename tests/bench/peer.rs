//! The same work done by sessions of Baileys 7 in one Node process (`tests/baileys/fleet.mjs`), on the same network and machine, in the
//! same run. Baileys keeps its keys in files, writes them behind and promises nothing about them; its figures say what that costs.

use std::{
    path::Path,
    process::Stdio,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context as _, bail};
use serde::Serialize;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    process::{Child, ChildStdin, Command},
    sync::Notify,
    time::{Instant, timeout},
};

use super::{
    Figures, LIMIT,
    gauge::{Gauge, Spread},
    network::Whatsapp,
    number,
    one_tenant::{BURST, ROUNDS, SEQUENTIAL, write_burst},
    round, tell,
    traffic::now,
};

/// Sessions that are linked at the same time.
const LINKING: usize = 8;

#[derive(Debug, Serialize)]
pub struct Peer {
    sessions: u32,
    /// From the start of the process to the last login.
    restore_ms: f64,
    restore_cpu_ms_per_session: f64,
    rss_none_mib: f64,
    rss_mib: f64,
    held_none_mib: f64,
    held_mib: f64,
    held_per_session_mib: f64,
    cpu_ms_per_session_minute: f64,
    burst_ms: f64,
    /// Until the last is at the customer; Baileys itself waits only for its socket.
    sequential_arrived_per_s: f64,
    ping_pong_ms: Spread,
    /// The burst, the sends and the ping-pong together.
    cpu_ms_per_message: f64,
}

/// Baileys' figure divided by ours, so that more is better for us; rates the other way round.
#[derive(Debug, Serialize)]
pub struct Ratios {
    restore: f64,
    held_per_session: f64,
    idle_cpu: f64,
    burst: f64,
    sequential_sends: f64,
    ping_pong_p50: f64,
    cpu_per_message: f64,
}

impl Peer {
    pub fn ratios(&self, ours: &Figures) -> Ratios {
        let single = &ours.one_tenant;
        Ratios {
            restore: round(self.restore_ms / ours.restore.restore_ms.max(1) as f64),
            held_per_session: round(self.held_per_session_mib / ours.memory.held_per_session_mib),
            idle_cpu: round(self.cpu_ms_per_session_minute / ours.memory.cpu_ms_per_session_minute),
            burst: round(self.burst_ms / single.burst_ms),
            sequential_sends: round(single.sequential_sends.arrived_per_s / self.sequential_arrived_per_s),
            ping_pong_p50: round(self.ping_pong_ms.p50 / single.ping_pong_ms.p50),
            cpu_per_message: round(self.cpu_ms_per_message / single.ceiling.cpu_ms_per_message),
        }
    }
}

pub async fn measure(whatsapp: &Whatsapp, dir: &Path, sessions: u32, idle: u64) -> anyhow::Result<Peer> {
    let folder = dir.join("baileys");
    let names: Vec<String> = (1..=sessions).map(|n| format!("session{n:05}")).collect();
    let mut fleet = Fleet::start(whatsapp.url(), &folder).await?;
    let mut phones = Vec::new();
    for some in names.chunks(LINKING) {
        for name in some {
            fleet.tell(json!({ "command": "open", "session": name })).await?;
        }
        for name in some {
            let phone = whatsapp.add_phone().await?;
            let shown = fleet.find("qr", |event| event["session"] == json!(name)).await?;
            whatsapp.scan(&phone, shown["qr"].as_str().context("no code")?).await?;
            phones.push(phone);
        }
        for name in some {
            fleet.find("open", |event| event["session"] == json!(name)).await?;
        }
    }
    fleet.stop().await?;
    tell(format!("Baileys: {sessions} sessions are linked"));

    let nobody = Fleet::start(whatsapp.url(), &dir.join("nobody-of-baileys")).await?;
    let began = now();
    let mut fleet = Fleet::start(whatsapp.url(), &folder).await?;
    for name in &names {
        fleet.tell(json!({ "command": "open", "session": name })).await?;
    }
    for name in &names {
        fleet.find("open", |event| event["session"] == json!(name)).await?;
    }
    let restore_ms = now() - began;
    let gauge = fleet.gauge()?;
    let restored = gauge.cpu()?;
    tokio::time::sleep(Duration::from_secs(idle)).await;
    let idle_cpu = gauge.cpu()? - restored;
    let (rss, held) = (gauge.rss_mib()?, gauge.held_mib()?);
    let (rss_none, held_none) = (nobody.gauge()?.rss_mib()?, nobody.gauge()?.held_mib()?);
    drop(nobody);

    let customer = whatsapp.add_customer().await?;
    // The first words open the Signal session.
    ping_pong(&fleet, whatsapp, &customer, &phones[0], 1).await?;
    let before = gauge.cpu()?;
    let burst_ms = burst(&fleet, whatsapp, &customer, &phones[0]).await?;
    let sequential_arrived_per_s = sequential(&mut fleet, whatsapp, &names[0], &customer).await?;
    let ping_pong_ms = ping_pong(&fleet, whatsapp, &customer, &phones[0], ROUNDS).await?;
    let busy = (gauge.cpu()? - before).as_secs_f64() * 1000.0;
    let each = |cpu: Duration| round(cpu.as_secs_f64() * 1000.0 / f64::from(sessions));
    Ok(Peer {
        sessions,
        restore_ms: round(restore_ms),
        restore_cpu_ms_per_session: each(restored),
        rss_none_mib: round(rss_none),
        rss_mib: round(rss),
        held_none_mib: round(held_none),
        held_mib: round(held),
        held_per_session_mib: (held - held_none) / f64::from(sessions),
        cpu_ms_per_session_minute: round(each(idle_cpu) * 60.0 / (idle as f64).max(f64::EPSILON)),
        burst_ms: round(burst_ms),
        sequential_arrived_per_s,
        ping_pong_ms,
        cpu_ms_per_message: round(busy / (BURST + SEQUENTIAL + 2 * ROUNDS) as f64),
    })
}

async fn burst(fleet: &Fleet, whatsapp: &Whatsapp, customer: &str, phone: &str) -> anyhow::Result<f64> {
    let ids = write_burst(whatsapp, BURST, |_| (customer, phone)).await?;
    let mut last = f64::MIN;
    for id in &ids {
        let heard = fleet.find("message", |event| event["id"] == json!(id)).await?;
        last = last.max(number(&heard["at"])? as f64);
    }
    let seen = whatsapp.seen().await?;
    let first = ids.iter().filter_map(|id| seen.get(id)).copied().fold(f64::MAX, f64::min);
    Ok(last - first)
}

async fn sequential(fleet: &mut Fleet, whatsapp: &Whatsapp, session: &str, customer: &str) -> anyhow::Result<f64> {
    let texts: Vec<String> = (0..SEQUENTIAL).map(|n| format!("sequential {n}")).collect();
    fleet.forget("sent");
    let began = now();
    fleet.tell(json!({ "command": "send", "session": session, "to": customer, "texts": texts })).await?;
    let sent = fleet.count("sent", SEQUENTIAL).await?;
    let ids: Vec<&str> = sent.iter().filter_map(|event| event["id"].as_str()).collect();
    let deadline = Instant::now() + LIMIT;
    loop {
        let seen = whatsapp.seen().await?;
        let all: Option<Vec<f64>> = ids.iter().map(|id| seen.get(*id).copied()).collect();
        if let Some(all) = all {
            let last = all.into_iter().fold(f64::MIN, f64::max);
            return Ok(round(SEQUENTIAL as f64 * 1000.0 / (last - began)));
        }
        if Instant::now() > deadline {
            bail!("not all that Baileys sent has arrived");
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// A customer writes, and is answered before he writes again.
async fn ping_pong(
    fleet: &Fleet,
    whatsapp: &Whatsapp,
    customer: &str,
    phone: &str,
    rounds: usize,
) -> anyhow::Result<Spread> {
    let mut took = Vec::with_capacity(rounds);
    for n in 0..rounds {
        let ping = whatsapp.write(customer, phone, &format!("ping {n}-{}", now())).await?;
        fleet.find("message", |event| event["id"] == json!(ping)).await?;
        let answer = fleet.find("answer", |event| event["to"] == json!(ping)).await?;
        took.push(whatsapp.round_trip(&ping, answer["id"].as_str().context("no id")?).await?);
    }
    Ok(Spread::of(took))
}

/// The Node process; ends with its standard input.
struct Fleet {
    process: Child,
    input: ChildStdin,
    heard: Arc<Heard>,
}

#[derive(Default)]
struct Heard {
    events: Mutex<Vec<Value>>,
    news: Notify,
}

impl Fleet {
    async fn start(url: &str, folder: &Path) -> anyhow::Result<Self> {
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/baileys");
        if !program.join("node_modules").exists() {
            bail!("run `npm ci --ignore-scripts` in tests/baileys first");
        }
        let mut process = Command::new("node")
            .current_dir(program)
            .args(["fleet.mjs", url])
            .arg(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("node")?;
        let (input, output) = (process.stdin.take().context("no input")?, process.stdout.take().context("no output")?);
        let heard = Arc::new(Heard::default());
        let hearing = heard.clone();
        tokio::spawn(async move {
            let mut lines = BufReader::new(output).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                let event = serde_json::from_str(&line).unwrap_or_default();
                hearing.events.lock().unwrap_or_else(PoisonError::into_inner).push(event);
                hearing.news.notify_waiters();
            }
        });
        let fleet = Self { process, input, heard };
        fleet.find("ready", |_| true).await?;
        Ok(fleet)
    }

    fn gauge(&self) -> anyhow::Result<Gauge> {
        Gauge::of_pid(self.process.id())
    }

    async fn tell(&mut self, command: Value) -> anyhow::Result<()> {
        Ok(self.input.write_all(format!("{command}\n").as_bytes()).await?)
    }

    /// Takes the first event of a kind that fits out of what was heard.
    async fn find(&self, kind: &str, fits: impl Fn(&Value) -> bool) -> anyhow::Result<Value> {
        self.take(kind, |events| {
            let at = events.iter().position(|event| event["event"] == json!(kind) && fits(event))?;
            Some(events.remove(at))
        })
        .await
    }

    /// Takes as many of a kind, once there are.
    async fn count(&self, kind: &str, count: usize) -> anyhow::Result<Vec<Value>> {
        let is = |event: &Value| event["event"] == json!(kind);
        self.take(kind, |events| {
            (events.iter().filter(|event| is(event)).count() >= count)
                .then(|| events.extract_if(.., |event| is(event)).collect())
        })
        .await
    }

    fn forget(&self, kind: &str) {
        let mut events = self.heard.events.lock().unwrap_or_else(PoisonError::into_inner);
        events.retain(|event| event["event"] != json!(kind));
    }

    async fn take<T>(&self, what: &str, mut take: impl FnMut(&mut Vec<Value>) -> Option<T>) -> anyhow::Result<T> {
        let waiting = async {
            loop {
                let news = self.heard.news.notified();
                tokio::pin!(news);
                news.as_mut().enable();
                let taken = {
                    let mut events = self.heard.events.lock().unwrap_or_else(PoisonError::into_inner);
                    if let Some(error) = events.iter().find(|event| event["event"] == json!("error")) {
                        bail!("Baileys: {}", error["error"]);
                    }
                    take(&mut events)
                };
                match taken {
                    Some(taken) => return Ok(taken),
                    None => news.await,
                }
            }
        };
        timeout(LIMIT, waiting).await.with_context(|| format!("Baileys says no {what}"))?
    }

    async fn stop(mut self) -> anyhow::Result<()> {
        self.tell(json!({ "command": "stop" })).await?;
        timeout(LIMIT, self.process.wait()).await.context("Baileys does not stop")??;
        Ok(())
    }
}
