//! What one tenant can do when it has to: traffic that nothing spreads out, so that no brake can hide.

use std::time::Duration;

use anyhow::bail;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use serde::Serialize;
use tokio::time::{Instant, sleep};

use super::{
    LIMIT, Whatsapp,
    gauge::{Gauge, Spread},
    round,
    traffic::{Chat, Traffic, now},
};

/// Texts of one chat.
pub const BURST: usize = 200;
/// Sends, one after the other.
pub const SEQUENTIAL: usize = 400;
/// Customers who have never been written to.
const NEW_CHATS: usize = 60;
/// Times that a customer writes and is answered before he writes again.
pub const ROUNDS: usize = 100;
/// Messages each way, over many chats.
const CEILING: usize = 4000;

#[derive(Debug, Serialize)]
pub struct OneTenant {
    /// 200 texts of one customer, from the first at WhatsApp to the last at Socket.IO.
    pub burst_ms: f64,
    pub sequential_sends: Sequential,
    /// 60 sends to 60 new customers at once, until the last has it.
    new_chats_ms: f64,
    /// From a customer's message to its answer, at WhatsApp; the bot hears it at Socket.IO and answers over HTTP.
    pub ping_pong_ms: Spread,
    pub ceiling: Ceiling,
}

/// Each waits for its answer.
#[derive(Debug, Serialize)]
pub struct Sequential {
    answered_per_s: f64,
    /// Until the last is at the customer.
    pub arrived_per_s: f64,
}

/// As fast as they come, over many chats.
#[derive(Debug, Serialize)]
pub struct Ceiling {
    pub in_per_s: f64,
    pub out_per_s: f64,
    pub cpu_ms_per_message: f64,
}

/// `crowd`: chats of one tenant, with sessions; `strangers`: customers of the same one.
pub async fn measure(
    traffic: &Traffic<'_>,
    daemon: &Gauge,
    crowd: &[Chat],
    strangers: &[Chat],
) -> anyhow::Result<OneTenant> {
    let burst_ms = burst(traffic, &crowd[..1], BURST).await?;
    let sequential_sends = sequential(traffic, &crowd[0]).await?;
    let began = now();
    let ids = send_at_once(traffic, &strangers[..NEW_CHATS], NEW_CHATS).await?;
    let new_chats_ms = arrival(traffic, &ids).await? - began;
    let ping_pong_ms = ping_pong(traffic, &crowd[0]).await?;
    let ceiling = ceiling(traffic, daemon, crowd).await?;
    Ok(OneTenant {
        burst_ms: round(burst_ms),
        sequential_sends,
        new_chats_ms: round(new_chats_ms),
        ping_pong_ms,
        ceiling,
    })
}

/// As much as goes through, first in, then out.
pub async fn ceiling(traffic: &Traffic<'_>, daemon: &Gauge, crowd: &[Chat]) -> anyhow::Result<Ceiling> {
    let before = daemon.cpu()?;
    let in_ms = burst(traffic, crowd, CEILING).await?;
    let began = now();
    let ids = send_at_once(traffic, crowd, CEILING).await?;
    let out_ms = arrival(traffic, &ids).await? - began;
    let cpu_ms = (daemon.cpu()? - before).as_secs_f64() * 1000.0;
    let per_s = |ms: f64| round(CEILING as f64 * 1000.0 / ms);
    Ok(Ceiling {
        in_per_s: per_s(in_ms),
        out_per_s: per_s(out_ms),
        // Four digits: what is compared differs by one in a hundred.
        cpu_ms_per_message: (cpu_ms / (2 * CEILING) as f64 * 1e4).round() / 1e4,
    })
}

/// Customers write as fast as the network takes it; milliseconds until all of it was heard.
async fn burst(traffic: &Traffic<'_>, chats: &[Chat], messages: usize) -> anyhow::Result<f64> {
    let ids = write_burst(traffic.whatsapp, messages, |n| {
        let chat = &chats[n % chats.len()];
        (&chat.customer, &chat.phone)
    });
    let ids = ids.await?;
    let last = until(|| async {
        let heard = traffic.heard();
        let all: Option<Vec<f64>> = ids.iter().map(|id| heard.get(id).copied()).collect();
        Ok(all.map(|all| all.into_iter().fold(f64::MIN, f64::max)))
    });
    let last = last.await?;
    let seen = traffic.whatsapp.seen().await?;
    let first = ids.iter().filter_map(|id| seen.get(id)).copied().fold(f64::MAX, f64::min);
    Ok(last - first)
}

/// Customers write as fast as the network takes it, each in the order of his texts; the messages' ids.
pub async fn write_burst<'a>(
    whatsapp: &Whatsapp,
    messages: usize,
    who: impl Fn(usize) -> (&'a str, &'a str),
) -> anyhow::Result<Vec<String>> {
    let writing = (0..messages).map(|n| {
        let (customer, phone) = who(n);
        async move { whatsapp.write(customer, phone, &format!("burst {n}")).await }
    });
    stream::iter(writing).buffered(64).try_collect().await
}

async fn ping_pong(traffic: &Traffic<'_>, chat: &Chat) -> anyhow::Result<Spread> {
    let mut took = Vec::with_capacity(ROUNDS);
    for n in 0..ROUNDS {
        let word = format!("{n}-{}", now());
        let ping = traffic.whatsapp.write(&chat.customer, &chat.phone, &format!("ping {word}")).await?;
        traffic.hear(&ping).await?;
        let pong = format!("pong {word}");
        let pong = traffic.dashboard.send(&chat.tenant, &chat.customer, &pong, &word).await?;
        took.push(traffic.whatsapp.round_trip(&ping, &pong).await?);
    }
    Ok(Spread::of(took))
}

async fn sequential(traffic: &Traffic<'_>, chat: &Chat) -> anyhow::Result<Sequential> {
    let began = now();
    let mut ids = Vec::with_capacity(SEQUENTIAL);
    for n in 0..SEQUENTIAL {
        let (text, key) = (format!("sequential {n}"), format!("sequential-{began}-{n}"));
        ids.push(traffic.dashboard.send(&chat.tenant, &chat.customer, &text, &key).await?);
    }
    let answered = now();
    let arrived = arrival(traffic, &ids).await?;
    let per_s = |until: f64| round(SEQUENTIAL as f64 * 1000.0 / (until - began));
    Ok(Sequential { answered_per_s: per_s(answered), arrived_per_s: per_s(arrived.max(answered)) })
}

async fn send_at_once(traffic: &Traffic<'_>, chats: &[Chat], messages: usize) -> anyhow::Result<Vec<String>> {
    let began = now();
    let sending = (0..messages).map(|n| {
        let (chat, dashboard) = (&chats[n % chats.len()], traffic.dashboard);
        async move {
            let key = format!("at-once-{began}-{n}");
            dashboard.send(&chat.tenant, &chat.customer, &format!("at once {n}"), &key).await
        }
    });
    stream::iter(sending).buffer_unordered(64).try_collect().await
}

/// When the network saw the last of them.
async fn arrival(traffic: &Traffic<'_>, ids: &[String]) -> anyhow::Result<f64> {
    until(|| async {
        let seen = traffic.whatsapp.seen().await?;
        let all: Option<Vec<f64>> = ids.iter().map(|id| seen.get(id).copied()).collect();
        Ok(all.map(|all| all.into_iter().fold(f64::MIN, f64::max)))
    })
    .await
}

async fn until<F: Future<Output = anyhow::Result<Option<f64>>>>(mut found: impl FnMut() -> F) -> anyhow::Result<f64> {
    let deadline = Instant::now() + LIMIT;
    loop {
        if let Some(found) = found().await? {
            return Ok(found);
        }
        if Instant::now() > deadline {
            bail!("not all of it has come");
        }
        sleep(Duration::from_millis(50)).await;
    }
}
