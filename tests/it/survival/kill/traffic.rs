//! Traffic in both directions at once: customers write, and a dashboard sends to them, in the same chats.

use std::{sync::Arc, time::Duration};

use loopback::Network;
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use sessiond::demo::{Dashboard, Sent, Written};
use tokio::time::{Instant, sleep};

use crate::support::stage::LIMIT;

/// How long a client waits for an answer before it asks again. The daemon gives one within five seconds, whatever the vault does.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// When each of a chat's messages is due, from the beginning.
pub fn moments(rng: &mut StdRng, messages: usize, length: Duration) -> Vec<Duration> {
    let mut moments: Vec<Duration> = (0..messages).map(|_| length.mul_f64(rng.random())).collect();
    moments.sort();
    moments
}

/// One customer writes to a tenant, whatever happens there.
pub async fn customer_writes(
    network: Network,
    customer: String,
    number: String,
    moments: Vec<Duration>,
) -> anyhow::Result<Vec<Written>> {
    let began = Instant::now();
    let mut written = Vec::new();
    for (n, moment) in moments.into_iter().enumerate() {
        tokio::time::sleep_until(began + moment).await;
        let text = format!("order {n} of {customer}");
        let id = network.customer_send(&customer, &number, text.as_str()).await?;
        written.push(Written { id, customer: customer.clone(), text });
    }
    Ok(written)
}

/// A dashboard that sends to one customer, one message after the other. Each is repeated under its key until it is accepted.
pub struct Sender {
    pub dashboard: Dashboard,
    pub tenant: String,
    pub customer: String,
    pub moments: Vec<Duration>,
    /// Goes away from some requests, and then asks again.
    pub leaves: bool,
    pub seed: u64,
    /// What it was told last, for who looks for the reason.
    pub told: Arc<std::sync::Mutex<String>>,
}

/// An accepted message and the key it was sent under.
pub struct Accepted {
    pub tenant: String,
    pub sent: Sent,
    pub key: String,
}

impl Sender {
    pub async fn run(self) -> anyhow::Result<Vec<Accepted>> {
        let mut luck = StdRng::seed_from_u64(self.seed);
        let (began, mut accepted) = (Instant::now(), Vec::new());
        for (n, moment) in self.moments.iter().enumerate() {
            tokio::time::sleep_until(began + *moment).await;
            let (text, key) = (format!("answer {n} to {}", self.customer), format!("{}-{n}", self.customer));
            if self.leaves && luck.random_bool(0.4) {
                let patience = Duration::from_micros(luck.random_range(300..6000));
                self.dashboard.send_and_leave(&self.tenant, &self.customer, &text, &key, patience).await;
            }
            let id = self.until_accepted(&text, &key).await?;
            let sent = Sent { id, customer: self.customer.clone(), text };
            accepted.push(Accepted { tenant: self.tenant.clone(), sent, key });
        }
        Ok(accepted)
    }

    async fn until_accepted(&self, text: &str, key: &str) -> anyhow::Result<String> {
        let began = Instant::now();
        loop {
            let asked = self.dashboard.send(&self.tenant, &self.customer, text, key);
            let error = match tokio::time::timeout(ANSWER_TIMEOUT, asked).await {
                Ok(Ok(id)) => return Ok(id),
                Ok(Err(error)) => format!("{error:#}"),
                Err(_) => {
                    println!("{text}: no answer within {ANSWER_TIMEOUT:?}, asking again");
                    "no answer".to_owned()
                }
            };
            anyhow::ensure!(began.elapsed() < LIMIT, "{text} is not accepted: {error}");
            *self.told.lock().expect("nothing panics under it") = error;
            sleep(Duration::from_millis(20)).await;
        }
    }
}
