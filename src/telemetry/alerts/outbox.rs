//! Messages that a channel has not taken, and when it is tried again. Pure.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::{channel::AlertDeliveryError, message::AlertMessage};
use crate::backoff::Backoff;

/// The oldest gives way.
const MOST_PENDING: usize = 200;

/// Older news helps nobody.
const MAX_AGE: Duration = Duration::from_secs(24 * 3600);

/// Waits after failures.
const RETRIES: Backoff = Backoff::new(Duration::from_secs(5), Duration::from_secs(600));

/// A message that a channel has called wrong so often in a row is given up there: it would hold up all later ones.
const REFUSALS: u32 = 3;

/// A message that some channels have not taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingAlert {
    /// The same at every repeat.
    pub id: String,
    pub message: AlertMessage,
    pub channels: BTreeSet<String>,
}

#[derive(Debug, Default)]
pub struct AlertOutbox {
    /// The oldest first.
    pending: Vec<PendingAlert>,
    troubles: BTreeMap<&'static str, ChannelTrouble>,
}

/// Why a channel takes nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelTrouble {
    pub since: Timestamp,
    pub error: String,
    failures: u32,
    /// Of the message that goes next.
    refusals: u32,
    next: Instant,
}

impl AlertOutbox {
    pub fn add(&mut self, pending: PendingAlert) {
        self.pending.push(pending);
        let excess = self.pending.len().saturating_sub(MOST_PENDING);
        self.pending.drain(..excess);
    }

    /// What another process has left; it is older than what is here.
    pub fn adopt(&mut self, left: Vec<PendingAlert>) {
        let known: BTreeSet<_> = self.pending.iter().map(|pending| pending.id.clone()).collect();
        let left = left.into_iter().filter(|left| !known.contains(&left.id));
        let own = std::mem::take(&mut self.pending);
        left.chain(own).for_each(|pending| self.add(pending));
    }

    /// There are these channels and no others; what is too old is given up. True: something is gone.
    pub fn keep(&mut self, channels: &BTreeSet<&'static str>, now: Timestamp) -> bool {
        let before: usize = self.pending.iter().map(|pending| pending.channels.len()).sum();
        for pending in &mut self.pending {
            pending.channels.retain(|channel| channels.contains(channel.as_str()));
        }
        let age = |at| Duration::try_from(now.duration_since(at)).unwrap_or_default();
        self.pending.retain(|pending| !pending.channels.is_empty() && age(pending.message.at) < MAX_AGE);
        self.troubles.retain(|channel, _| channels.contains(channel));
        before != self.pending.iter().map(|pending| pending.channels.len()).sum::<usize>()
    }

    /// What goes to this channel now.
    pub fn next(&self, channel: &'static str, now: Instant) -> Option<&PendingAlert> {
        if self.troubles.get(channel).is_some_and(|trouble| trouble.next > now) {
            return None;
        }
        self.pending.iter().find(|pending| pending.channels.contains(channel))
    }

    /// When a channel that failed is tried again.
    pub fn next_try(&self, channel: &'static str) -> Option<Instant> {
        let trouble = self.troubles.get(channel)?;
        self.pending.iter().any(|pending| pending.channels.contains(channel)).then_some(trouble.next)
    }

    /// An attempt ended.
    pub fn landed(
        &mut self,
        channel: &'static str,
        id: &str,
        result: Result<(), AlertDeliveryError>,
        at: Timestamp,
        now: Instant,
    ) {
        match result {
            Ok(()) => {
                self.troubles.remove(channel);
                self.end(channel, id);
            }
            Err(error) => {
                let before = self.troubles.get(channel);
                let (since, mut failures) = before.map_or((at, 0), |trouble| (trouble.since, trouble.failures));
                let mut refusals = before.filter(|_| error.is_refusal).map_or(0, |trouble| trouble.refusals);
                refusals += u32::from(error.is_refusal);
                if refusals == REFUSALS {
                    self.end(channel, id);
                    // The next has its own chance.
                    (failures, refusals) = (0, 0);
                }
                let next = now + error.after.unwrap_or(RETRIES.whole(failures)).max(RETRIES.first);
                let error = error.to_string();
                let trouble = ChannelTrouble { since, error, failures: failures + 1, refusals, next };
                self.troubles.insert(channel, trouble);
            }
        }
    }

    /// Nothing more of this message goes there.
    fn end(&mut self, channel: &str, id: &str) {
        for pending in self.pending.iter_mut().filter(|pending| pending.id == id) {
            pending.channels.remove(channel);
        }
        self.pending.retain(|pending| !pending.channels.is_empty());
    }

    pub fn pending(&self) -> &[PendingAlert] {
        &self.pending
    }

    pub fn trouble(&self, channel: &'static str) -> Option<&ChannelTrouble> {
        self.troubles.get(channel)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    fn pending(id: &str, second: i64) -> PendingAlert {
        let message = AlertMessage { at: at(second), sections: Vec::new(), is_last: false };
        PendingAlert { id: id.into(), message, channels: ["discord".to_owned(), "slack".to_owned()].into() }
    }

    fn failed(after: Option<u64>) -> Result<(), AlertDeliveryError> {
        Err(AlertDeliveryError::new("answered 500", after.map(Duration::from_secs)))
    }

    fn next<'a>(outbox: &'a AlertOutbox, channel: &'static str, now: Instant) -> Option<&'a str> {
        outbox.next(channel, now).map(|pending| pending.id.as_str())
    }

    #[test]
    fn a_failing_channel_waits_longer_and_longer_and_holds_up_no_other() {
        let (mut outbox, start) = (AlertOutbox::default(), Instant::now());
        outbox.add(pending("a", 0));
        outbox.add(pending("b", 1));
        outbox.landed("slack", "a", Ok(()), at(2), start);
        assert_eq!((next(&outbox, "slack", start), next(&outbox, "discord", start)), (Some("b"), Some("a")));
        let mut now = start;
        for wait in [5, 10, 20, 40, 80, 160, 320, 600, 600] {
            outbox.landed("discord", "a", failed(None), at(3), now);
            assert_eq!(outbox.next_try("discord"), Some(now + Duration::from_secs(wait)));
            assert_eq!(next(&outbox, "discord", now + Duration::from_secs(wait - 1)), None);
            now += Duration::from_secs(wait);
            assert_eq!(next(&outbox, "discord", now), Some("a"));
        }
        let trouble = outbox.trouble("discord").unwrap();
        assert_eq!((trouble.since, trouble.error.as_str()), (at(3), "answered 500"));
        outbox.landed("discord", "a", failed(Some(1800)), at(9), now);
        assert_eq!(outbox.next_try("discord"), Some(now + Duration::from_secs(1800)), "as it asked for");
        assert_eq!(next(&outbox, "slack", start), Some("b"));
        outbox.landed("discord", "a", Ok(()), at(9), now);
        assert_eq!((next(&outbox, "discord", now), outbox.trouble("discord")), (Some("b"), None));
        outbox.landed("discord", "b", Ok(()), at(9), now);
        outbox.landed("slack", "b", Ok(()), at(9), now);
        assert!(outbox.pending().is_empty());
    }

    #[test]
    fn what_a_channel_calls_wrong_again_and_again_holds_up_no_later_message() {
        let refused = || {
            let mut error = AlertDeliveryError::new("answered 422", None);
            error.is_refusal = true;
            Err(error)
        };
        let (mut outbox, mut now) = (AlertOutbox::default(), Instant::now());
        outbox.add(pending("wrong", 0));
        outbox.add(pending("right", 1));
        for result in [refused(), refused(), failed(None), refused(), refused()] {
            outbox.landed("slack", "wrong", result, at(2), now);
            now += RETRIES.cap;
            assert_eq!(next(&outbox, "slack", now), Some("wrong"));
        }
        outbox.landed("slack", "wrong", refused(), at(3), now);
        assert_eq!(outbox.next_try("slack"), Some(now + RETRIES.first), "the next does not wait for long");
        assert_eq!(outbox.trouble("slack").unwrap().error, "answered 422");
        now += RETRIES.first;
        assert_eq!((next(&outbox, "slack", now), next(&outbox, "discord", now)), (Some("right"), Some("wrong")));
    }

    #[test]
    fn what_is_too_old_too_much_or_for_nobody_is_given_up() {
        let mut outbox = AlertOutbox::default();
        (0..300).for_each(|n| outbox.add(pending(&n.to_string(), n)));
        assert_eq!((outbox.pending().len(), outbox.pending()[0].id.as_str()), (200, "100"));
        let channels = BTreeSet::from(["discord", "slack"]);
        assert!(!outbox.keep(&channels, at(1000)));
        assert!(outbox.keep(&channels, at(24 * 3600 + 298)));
        assert_eq!(outbox.pending().iter().map(|pending| pending.id.as_str()).collect::<Vec<_>>(), ["299"]);
        assert!(outbox.keep(&BTreeSet::from(["slack"]), at(1000)));
        assert_eq!(outbox.pending()[0].channels, BTreeSet::from(["slack".to_owned()]));
        outbox.adopt(vec![pending("x", 1), pending("299", 299)]);
        assert_eq!(outbox.pending().iter().map(|pending| pending.id.as_str()).collect::<Vec<_>>(), ["x", "299"]);
        assert_eq!(outbox.pending()[1].channels, BTreeSet::from(["slack".to_owned()]), "its own counts");
    }
}
