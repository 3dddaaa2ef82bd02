//! What metrics cost: a scrape of the whole fleet, and the same traffic through a daemon that counts and one that does not.
//!
//! Processor time a message is the figure to read: messages a second vary by more than metrics cost.

use std::time::Instant;

use anyhow::bail;
use serde::Serialize;
use serde_json::json;
use sessiond::demo::{Dashboard, Process, Setup, until};

use super::{
    LIMIT, Whatsapp,
    gauge::{Gauge, Spread},
    one_tenant, round, tell,
    traffic::{Chat, Traffic},
};

const SCRAPES: usize = 30;

/// Of each kind, in turn: what else the machine does is in both.
const ROUNDS: usize = 3;

#[derive(Debug, Serialize)]
pub struct MetricsCost {
    scrape: ScrapeCost,
    /// Medians of the rounds.
    counting: CountedRun,
    not_counting: CountedRun,
    /// How much more processor time a message takes.
    cpu_percent: f64,
    held_kib_per_session: f64,
}

#[derive(Debug, Serialize)]
struct ScrapeCost {
    /// From the request to the last byte.
    ms: Spread,
    bytes: usize,
}

/// What went through one process.
#[derive(Debug, Serialize)]
struct CountedRun {
    in_per_s: f64,
    out_per_s: f64,
    cpu_ms_per_message: f64,
    /// Memory that cannot be dropped, of the whole process, when all tenants are logged in.
    held_mib: f64,
}

/// `crowd`: chats of one of the tenants, with sessions. Gives back a daemon that counts.
pub async fn measure(
    setup: &Setup,
    mut daemon: Process,
    whatsapp: &Whatsapp,
    dashboard: &Dashboard,
    tenants: usize,
    crowd: &[Chat],
) -> anyhow::Result<(Process, MetricsCost)> {
    let scrape = scrape(setup).await?;
    tell(format!("a scrape: {}", json!(scrape)));
    let mut not_counting = Vec::new();
    let mut counting = Vec::new();
    for _ in 0..ROUNDS {
        for (setup, runs) in
            [(setup.clone().set("LOOPBACK_METRICS", "off"), &mut not_counting), (setup.clone(), &mut counting)]
        {
            if daemon.terminate(LIMIT).await? != Some(0) {
                bail!("the daemon did not stop well; see {}", setup.log.display());
            }
            daemon = setup.start(LIMIT).await?;
            let are_back = || async {
                whatsapp.stats().await.is_ok_and(|stats| stats["active_devices"].as_u64() >= Some(tenants as u64))
            };
            until(LIMIT, "all tenants to be back", are_back).await?;
            let gauge = Gauge::of(&daemon)?;
            let held_mib = gauge.held_mib()?;
            let traffic = Traffic::new(whatsapp, dashboard, &crowd[..1]).await?;
            let ceiling = one_tenant::ceiling(&traffic, &gauge, crowd).await?;
            let one_tenant::Ceiling { in_per_s, out_per_s, cpu_ms_per_message } = ceiling;
            let run = CountedRun { in_per_s, out_per_s, cpu_ms_per_message, held_mib };
            tell(format!("metrics: {}", json!(run)));
            runs.push(run);
        }
    }
    let (counting, not_counting) = (CountedRun::median(&counting), CountedRun::median(&not_counting));
    let cost = MetricsCost {
        scrape,
        cpu_percent: round((counting.cpu_ms_per_message / not_counting.cpu_ms_per_message - 1.0) * 100.0),
        held_kib_per_session: round((counting.held_mib - not_counting.held_mib) * 1024.0 / tenants as f64),
        counting,
        not_counting,
    };
    Ok((daemon, cost))
}

impl CountedRun {
    /// Of each figure.
    fn median(runs: &[Self]) -> Self {
        let of = |figure: fn(&Self) -> f64| {
            let mut figures: Vec<f64> = runs.iter().map(figure).collect();
            figures.sort_by(f64::total_cmp);
            figures[figures.len() / 2]
        };
        Self {
            in_per_s: of(|run| run.in_per_s),
            out_per_s: of(|run| run.out_per_s),
            cpu_ms_per_message: of(|run| run.cpu_ms_per_message),
            held_mib: of(|run| run.held_mib),
        }
    }
}

/// As Prometheus asks, one scrape after the other.
async fn scrape(setup: &Setup) -> anyhow::Result<ScrapeCost> {
    let client = reqwest::Client::builder().no_proxy().build()?;
    let url = format!("http://{}/metrics", setup.address);
    let (mut took, mut bytes) = (Vec::with_capacity(SCRAPES), 0);
    for _ in 0..SCRAPES {
        let began = Instant::now();
        let answer = client.get(&url).bearer_auth(&setup.admin_key).send().await?.error_for_status()?;
        bytes = answer.bytes().await?.len();
        took.push(began.elapsed().as_secs_f64() * 1000.0);
    }
    Ok(ScrapeCost { ms: Spread::of(took), bytes })
}
