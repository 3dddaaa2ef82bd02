//! The promises in figures: each counts breaches of one, as the network and a dashboard saw them, so that all zeros is a pass.

use std::{
    collections::{HashMap, HashSet},
    ops::AddAssign,
    time::Duration,
};

use super::{Conversation, Heard, Tally, until};

/// How long a device may take to confirm what it has been sent.
const CONFIRMATION_TIMEOUT: Duration = Duration::from_secs(20);

/// Breaches by their kind.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// Tenants that had to scan a second time, each time.
    pub rescans: u64,
    pub lost: usize,
    /// One send under two ids, or one message as two events.
    pub doubled: usize,
    /// Messages that came after one that was accepted, or written, later in the same chat: at the customer and at the dashboard.
    pub out_of_order: usize,
    pub counters_reused: usize,
    /// Ciphertexts that a customer or a phone could not open.
    pub undecryptable: u64,
    /// Retry receipts, in either direction.
    pub retries: u64,
    /// Stanzas that a tenant's device refused for good.
    pub nacks: usize,
    /// Messages that a tenant asked its phone for, and those that a dashboard saw as undecryptable.
    pub placeholders: u64,
    /// Messages that wait at WhatsApp still, though the device is there.
    pub stuck: usize,
}

impl Verdict {
    pub fn is_clean(&self) -> bool {
        *self == Self::default()
    }
}

impl AddAssign for Verdict {
    fn add_assign(&mut self, other: Self) {
        self.rescans += other.rescans;
        self.lost += other.lost;
        self.doubled += other.doubled;
        self.out_of_order += other.out_of_order;
        self.counters_reused += other.counters_reused;
        self.undecryptable += other.undecryptable;
        self.retries += other.retries;
        self.nacks += other.nacks;
        self.placeholders += other.placeholders;
        self.stuck += other.stuck;
    }
}

impl Tally {
    /// Judges when all traffic is over and the devices are online. `heard`: what a dashboard has heard of these tenants, if one
    /// listened.
    pub async fn verdict(&self, conversations: &[Conversation], heard: &[Heard]) -> anyhow::Result<Verdict> {
        let settled = until(CONFIRMATION_TIMEOUT, "the confirmations", || async {
            self.waiting(conversations).await.is_ok_and(|waiting| waiting == 0)
        });
        // What waits longer is counted below.
        let _ = settled.await;
        let stats = self.network.stats().await;
        let count = self.count(conversations).await?;
        let unreadable = heard.iter().filter(|heard| heard.payload["message"]["undecryptable"] == true);
        let unreadable: HashSet<_> = unreadable.filter_map(|heard| heard.payload["message"]["id"].as_str()).collect();
        Ok(Verdict {
            rescans: stats.counts.pairings.saturating_sub(conversations.len() as u64),
            lost: count.lost,
            doubled: count.doubled + events_doubled(heard),
            out_of_order: count.out_of_order + conversations.iter().map(|one| heard_late(one, heard)).sum::<usize>(),
            counters_reused: stats.counters_reused,
            undecryptable: stats.counts.undecryptable,
            retries: stats.counts.retry_receipts,
            nacks: stats.nacks.len(),
            placeholders: stats.counts.placeholder_requests + unreadable.len() as u64,
            stuck: self.waiting(conversations).await?,
        })
    }

    /// Messages that wait for the tenants' devices.
    async fn waiting(&self, conversations: &[Conversation]) -> anyhow::Result<usize> {
        let mut waiting = 0;
        for conversation in conversations {
            let devices = self.network.devices(&conversation.number).await?;
            waiting += devices.iter().map(|device| device.waiting.len()).sum::<usize>();
        }
        Ok(waiting)
    }
}

/// Messages that a dashboard heard of as several events. A repeat has the id of the event that it repeats.
fn events_doubled(heard: &[Heard]) -> usize {
    let mut events: HashMap<&str, HashSet<&str>> = HashMap::new();
    for heard in heard.iter().filter(|heard| heard.event == "message:received") {
        if let (Some(message), Some(event)) =
            (heard.payload["message"]["id"].as_str(), heard.payload["eventId"].as_str())
        {
            events.entry(message).or_default().insert(event);
        }
    }
    events.values().filter(|events| events.len() > 1).count()
}

/// Messages that a dashboard heard of after one of the same chat that the customer wrote later.
fn heard_late(conversation: &Conversation, heard: &[Heard]) -> usize {
    let mut seen = HashSet::new();
    let events = heard.iter().filter(|heard| heard.event == "message:received");
    let ids: Vec<&str> = events.filter_map(|heard| heard.payload["message"]["id"].as_str()).collect();
    let first: Vec<&str> = ids.into_iter().filter(|id| seen.insert(*id)).collect();
    let of = |customer: &String| {
        let mine = conversation.written.iter().filter(|written| written.customer == *customer);
        let places: HashMap<&str, usize> = mine.enumerate().map(|(n, written)| (written.id.as_str(), n)).collect();
        late(&first.iter().filter_map(|id| places.get(id).copied()).collect::<Vec<_>>())
    };
    conversation.customers.iter().map(of).sum()
}

/// How many stand behind one that belongs behind them.
pub(super) fn late(places: &[usize]) -> usize {
    let mut latest = None;
    let late = places.iter().filter(|place| {
        let before = latest.is_some_and(|latest| **place < latest);
        latest = latest.max(Some(**place));
        before
    });
    late.count()
}

#[cfg(test)]
mod tests {
    use super::late;

    #[test]
    fn late_is_who_comes_after_a_later_one() {
        assert_eq!(late(&[0, 1, 2]), 0);
        assert_eq!(late(&[0, 2, 1, 3]), 1);
        assert_eq!(late(&[3, 0, 1, 2]), 3);
        assert_eq!(late(&[]), 0);
    }
}
