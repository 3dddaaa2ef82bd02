//! Messages at a rate, each way: how long each takes, and what it costs the vault.

use std::{
    collections::HashMap,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, bail};
use serde::Serialize;
use sessiond::demo::{Dashboard, Ear};
use tokio::{
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval, sleep},
};

use super::{LIMIT, Whatsapp, gauge::Spread, round, usage};

/// Changes that nobody waits for go to the vault by themselves after 3 s: they belong to a run, too.
const SETTLING: Duration = Duration::from_secs(4);

/// Registrations on one socket: the daemon takes 64.
const REGISTRATIONS: usize = 50;

/// First messages a second.
const GREETINGS: u32 = 20;

/// A tenant with its phone, and a customer who writes to it: a chat.
#[derive(Debug, Clone)]
pub struct Chat {
    pub tenant: String,
    pub phone: String,
    pub customer: String,
}

/// What became of a run's messages.
#[derive(Debug, Serialize)]
pub struct Run {
    rate_per_s: u32,
    chats: usize,
    messages: usize,
    /// In: from WhatsApp to Socket.IO. Out: from HTTP to WhatsApp.
    latency_ms: Spread,
    vault_writes_per_message: f64,
}

pub struct Traffic<'a> {
    pub whatsapp: &'a Whatsapp,
    pub dashboard: &'a Dashboard,
    ears: Vec<Ear>,
}

impl<'a> Traffic<'a> {
    /// Opens dashboards, and lets everyone say the first words, which cost more than later ones.
    pub async fn new(whatsapp: &'a Whatsapp, dashboard: &'a Dashboard, chats: &[Chat]) -> anyhow::Result<Self> {
        let names = chats.iter().map(|chat| chat.tenant.clone()).collect::<Vec<_>>();
        let ears = names.chunks(REGISTRATIONS).map(|names| Ear::open(dashboard, names.to_vec())).collect();
        let traffic = Self { whatsapp, dashboard, ears };
        traffic.greet(chats).await?;
        traffic.outbound(chats, GREETINGS, (chats.len() as u32).div_ceil(GREETINGS)).await?;
        Ok(traffic)
    }

    /// A message from each customer.
    pub async fn greet(&self, chats: &[Chat]) -> anyhow::Result<()> {
        self.inbound(chats, GREETINGS, (chats.len() as u32).div_ceil(GREETINGS)).await.map(drop)
    }

    /// Customers write, in turn.
    pub async fn inbound(&self, chats: &[Chat], rate: u32, seconds: u32) -> anyhow::Result<Run> {
        let before = usage(self.dashboard).await?;
        let mut writing = JoinSet::new();
        let mut beat = beat(rate);
        for n in 0..(rate * seconds) as usize {
            beat.tick().await;
            let (chat, whatsapp) = (chats[n % chats.len()].clone(), self.whatsapp.clone());
            writing.spawn(async move { whatsapp.write(&chat.customer, &chat.phone, &format!("order {n}")).await });
        }
        let ids: Vec<String> = writing.join_all().await.into_iter().collect::<anyhow::Result<_>>()?;
        let deadline = Instant::now() + LIMIT;
        let heard = loop {
            let heard = self.heard();
            if ids.iter().all(|id| heard.contains_key(id)) {
                break heard;
            }
            if Instant::now() > deadline {
                let lost = ids.iter().filter(|id| !heard.contains_key(*id)).count();
                bail!("{lost} of {} messages were not heard", ids.len());
            }
            sleep(Duration::from_millis(100)).await;
        };
        let seen = self.whatsapp.seen().await?;
        let latencies = ids.iter().map(|id| Some(heard.get(id)? - seen.get(id)?)).collect::<Option<Vec<_>>>();
        let latencies = latencies.context("a message that the network does not know")?;
        self.close_books(before.writes, chats, rate, latencies).await
    }

    /// Dashboards send, in turn.
    pub async fn outbound(&self, chats: &[Chat], rate: u32, seconds: u32) -> anyhow::Result<Run> {
        let before = usage(self.dashboard).await?;
        let mut sending = JoinSet::new();
        let mut beat = beat(rate);
        for n in 0..(rate * seconds) as usize {
            beat.tick().await;
            let (chat, dashboard) = (chats[n % chats.len()].clone(), self.dashboard.clone());
            sending.spawn(async move {
                let asked = now();
                let key = format!("{asked}-{n}");
                let id = dashboard.send(&chat.tenant, &chat.customer, &format!("answer {n}"), &key).await?;
                anyhow::Ok((id, asked))
            });
        }
        let sent: Vec<(String, f64)> = sending.join_all().await.into_iter().collect::<anyhow::Result<_>>()?;
        let deadline = Instant::now() + LIMIT;
        let latencies = loop {
            let seen = self.whatsapp.seen().await?;
            let latencies = sent.iter().map(|(id, asked)| Some(seen.get(id)? - asked)).collect::<Option<Vec<_>>>();
            if let Some(latencies) = latencies {
                break latencies;
            }
            if Instant::now() > deadline {
                bail!("not everything that was accepted was sent");
            }
            sleep(Duration::from_millis(250)).await;
        };
        self.close_books(before.writes, chats, rate, latencies).await
    }

    async fn close_books(
        &self,
        writes_before: u64,
        chats: &[Chat],
        rate: u32,
        latencies: Vec<f64>,
    ) -> anyhow::Result<Run> {
        sleep(SETTLING).await;
        let writes = usage(self.dashboard).await?.writes - writes_before;
        let messages = latencies.len();
        Ok(Run {
            rate_per_s: rate,
            chats: chats.len(),
            messages,
            latency_ms: Spread::of(latencies),
            vault_writes_per_message: round(writes as f64 / messages as f64),
        })
    }

    /// Waits until a message was heard.
    pub async fn hear(&self, id: &str) -> anyhow::Result<()> {
        let heard = |heard: &[sessiond::demo::Heard]| {
            heard.iter().rev().any(|heard| heard.payload["message"]["id"] == serde_json::json!(id))
        };
        self.ears[0].until(LIMIT, heard).await
    }

    /// When each message came over Socket.IO, by its id; in milliseconds since 1970.
    pub fn heard(&self) -> HashMap<String, f64> {
        let heard = self.ears.iter().flat_map(Ear::heard).filter(|heard| heard.event == "message:received");
        heard
            .filter_map(|heard| Some((heard.payload["message"]["id"].as_str()?.to_owned(), millis(heard.at))))
            .collect()
    }
}

/// Late ticks are made up for: the rate is what is asked, however slow the answers.
fn beat(rate: u32) -> tokio::time::Interval {
    let mut beat = interval(Duration::from_secs(1) / rate);
    beat.set_missed_tick_behavior(MissedTickBehavior::Burst);
    beat
}

pub fn now() -> f64 {
    millis(SystemTime::now())
}

fn millis(at: SystemTime) -> f64 {
    at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64() * 1000.0
}
