//! Conversations between customers and tenants, and the count of what arrived: by what the network's side saw.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use anyhow::bail;
use loopback::Network;
use serde_json::json;

use super::{Dashboard, Ear, verdict::late};

/// One tenant, its phone, and two customers who write to it.
pub struct Conversation {
    pub tenant: String,
    /// The phone's number.
    pub number: String,
    pub customers: Vec<String>,
    /// What customers wrote, in order.
    pub written: Vec<Written>,
    /// What the daemon has accepted, in order.
    pub sent: Vec<Sent>,
    /// Answers by the id of the message that they answer.
    pub answered: HashMap<String, Answered>,
}

/// A customer's message.
#[derive(Debug, Clone)]
pub struct Written {
    pub id: String,
    pub customer: String,
    pub text: String,
}

/// A message that the daemon accepted.
#[derive(Debug, Clone)]
pub struct Sent {
    pub id: String,
    pub customer: String,
    pub text: String,
}

/// An answer that the daemon accepted.
#[derive(Debug, Clone)]
pub struct Answered {
    pub id: String,
    pub text: String,
}

impl Conversation {
    /// Pairs the tenant by QR with a phone of its own.
    pub async fn pair(
        network: &Network,
        dashboard: &Dashboard,
        tenant: String,
        limit: Duration,
    ) -> anyhow::Result<Self> {
        let phone = network.add_phone(Some(format!("{tenant}'s phone"))).await;
        let qr = dashboard.qr(&tenant).await?;
        network.scan(&phone.number, &qr).await?;
        until(limit, "the tenant to be connected", || dashboard.is_connected(&tenant)).await?;
        let customers = vec![network.add_customer().await, network.add_customer().await];
        let number = phone.number;
        Ok(Self { tenant, number, customers, written: Vec::new(), sent: Vec::new(), answered: HashMap::new() })
    }

    pub async fn customers_write(&mut self, network: &Network, messages: usize) -> anyhow::Result<()> {
        for _ in 0..messages {
            for customer in &self.customers {
                let text = format!("order {} for {}", self.written.len() + 1, self.tenant);
                let id = network.customer_send(customer, &self.number, &text).await?;
                self.written.push(Written { id, customer: customer.clone(), text });
            }
        }
        Ok(())
    }
}

impl Conversation {
    async fn answer(&mut self, received: &HashSet<String>, dashboard: &Dashboard) -> anyhow::Result<()> {
        for written in &self.written {
            if self.answered.contains_key(&written.id) || !received.contains(&written.id) {
                continue;
            }
            let text = format!("thank you for {}", written.text);
            let id = dashboard.send(&self.tenant, &written.customer, &text, &written.id).await?;
            self.sent.push(Sent { id: id.clone(), customer: written.customer.clone(), text: text.clone() });
            self.answered.insert(written.id.clone(), Answered { id, text });
        }
        Ok(())
    }
}

/// Polls until `done`.
pub async fn until<F: Future<Output = bool>>(
    limit: Duration,
    what: &str,
    mut done: impl FnMut() -> F,
) -> anyhow::Result<()> {
    let waited = tokio::time::timeout(limit, async {
        while !done().await {
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
    });
    waited.await.map_err(|_| anyhow::anyhow!("waited {limit:?} for {what}"))
}

/// How many messages went where.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct MessageCount {
    /// By customers and, as answers, by tenants.
    pub written: usize,
    pub arrived: usize,
    pub lost: usize,
    /// One send under two ids.
    pub doubled: usize,
    /// Messages that a customer got after one that was accepted later.
    pub out_of_order: usize,
}

pub struct Tally {
    pub(super) network: Network,
}

impl Tally {
    pub fn new(network: Network) -> Self {
        Self { network }
    }

    /// Answers every message that comes, until each of them is answered and each answer has arrived. An answer that the daemon
    /// did not take, because it was dead or refused, is sent again with the same key.
    pub async fn answer_all(
        &self,
        conversations: &mut [Conversation],
        dashboard: &Dashboard,
        ear: &Ear,
        limit: Duration,
    ) -> anyhow::Result<()> {
        let mut trouble = String::new();
        let waited = tokio::time::timeout(limit, async {
            while conversations.iter().any(|conversation| conversation.answered.len() < conversation.written.len()) {
                let received = received(&ear.heard());
                for conversation in conversations.iter_mut() {
                    if let Err(error) = conversation.answer(&received, dashboard).await {
                        trouble = format!("{error:#}");
                    }
                }
                ear.news(Duration::from_millis(50)).await;
            }
            while self.count(conversations).await?.lost > 0 {
                tokio::time::sleep(Duration::from_millis(25)).await;
            }
            Ok(())
        });
        match waited.await {
            Ok(done) => done,
            Err(_) => {
                let count = self.count(conversations).await?;
                let unanswered: usize = conversations.iter().map(|c| c.written.len() - c.answered.len()).sum();
                bail!("after {limit:?} {unanswered} messages are unanswered: {count:?}; {trouble}")
            }
        }
    }

    /// Counts at the network: a customer's message has arrived when the tenant's device has confirmed it and not refused it, an
    /// answer when the customer has decrypted it.
    pub async fn count(&self, conversations: &[Conversation]) -> anyhow::Result<MessageCount> {
        let mut count = MessageCount::default();
        let refused = self.network.stats().await.nacks;
        let refused: HashSet<&String> = refused.iter().map(|nack| &nack.id).collect();
        for conversation in conversations {
            let devices = self.network.devices(&conversation.number).await?;
            let waiting: HashSet<&String> = devices.iter().flat_map(|device| &device.waiting).collect();
            count.written += conversation.written.len() + conversation.sent.len();
            let arrived = |id: &String| !waiting.contains(id) && !refused.contains(id);
            count.arrived += conversation.written.iter().filter(|written| arrived(&written.id)).count();
            for customer in &conversation.customers {
                let inbox = self.network.customer_inbox(customer).await?;
                let mut texts: HashMap<&str, usize> = HashMap::new();
                for text in inbox.iter().filter_map(|received| received.text.as_deref()) {
                    *texts.entry(text).or_default() += 1;
                }
                count.doubled += texts.values().filter(|ids| **ids > 1).count();
                let mine = conversation.sent.iter().filter(|sent| &sent.customer == customer);
                let places: HashMap<&str, usize> = mine.enumerate().map(|(n, sent)| (sent.id.as_str(), n)).collect();
                let arrived: Vec<_> = inbox.iter().filter_map(|one| places.get(one.id.as_str()).copied()).collect();
                count.arrived += arrived.len();
                count.out_of_order += late(&arrived);
            }
        }
        count.lost = count.written - count.arrived;
        Ok(count)
    }
}

/// Ids of customers' messages that were heard.
fn received(heard: &[super::Heard]) -> HashSet<String> {
    let events = heard
        .iter()
        .filter(|heard| heard.event == "message:received" && heard.payload["message"]["fromMe"] == json!(false));
    events.filter_map(|heard| heard.payload["message"]["id"].as_str().map(str::to_owned)).collect()
}
