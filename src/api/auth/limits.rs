//! The limits of pairing and sending: a bucket for each key, user and address.
//!
//! Bounded: so many buckets are kept, and whoever comes when all are in use shares one with the others.

use std::{
    collections::HashMap,
    hash::Hash,
    net::IpAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use crate::{
    allowance::RateAllowance,
    clock::{Clock, Instant},
    config,
    listener::network_of,
    sync::lock,
};

/// An action that is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    Pairing,
    Sending,
}

/// A caller, as the limits count it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Subject {
    Key(Arc<str>),
    User(Arc<str>),
    Address(IpAddr),
}

impl Subject {
    /// An address; of IPv6 the network, since whoever has one has all of it.
    pub fn address(address: IpAddr) -> Self {
        Self::Address(network_of(address))
    }
}

#[derive(Debug)]
pub struct RateLimiter {
    per_minute: config::Limits,
    buckets: Mutex<Buckets<(Action, Subject)>>,
    clock: Arc<dyn Clock>,
}

impl RateLimiter {
    pub fn new(per_minute: config::Limits, clock: Arc<dyn Clock>) -> Self {
        Self { per_minute, buckets: Mutex::new(Buckets::new(10_000)), clock }
    }

    /// Counts it. An error says how long to wait, and counts nothing.
    pub fn take(&self, action: Action, subject: Subject) -> Result<(), Duration> {
        let rates = match action {
            Action::Pairing => &self.per_minute.pairing,
            Action::Sending => &self.per_minute.sending,
        };
        let rate = if matches!(subject, Subject::Address(_)) { rates.per_address } else { rates.per_key };
        let Some(rate) = rate else { return Ok(()) };
        let mut buckets = lock(&self.buckets);
        buckets.take((action, subject), rate.get(), self.clock.instant())
    }
}

/// An allowance for each of many.
#[derive(Debug)]
pub struct Buckets<K> {
    most: usize,
    of: HashMap<K, RateAllowance>,
    /// For those who find no place.
    shared: Option<RateAllowance>,
    swept: Option<Instant>,
}

impl<K: Hash + Eq> Buckets<K> {
    pub fn new(most: usize) -> Self {
        Self { most, of: HashMap::new(), shared: None, swept: None }
    }

    /// A minute's worth at once, then so many a minute.
    pub fn take(&mut self, key: K, per_minute: u32, now: Instant) -> Result<(), Duration> {
        self.allowance(key, now).take(per_minute, per_minute, now)
    }

    /// One more would be taken. Counts nothing.
    pub fn has_room(&self, key: &K, per_minute: u32, now: Instant) -> bool {
        self.of.get(key).is_none_or(|allowance| allowance.has_room(per_minute, per_minute, now).is_ok())
    }

    fn allowance(&mut self, key: K, now: Instant) -> &mut RateAllowance {
        if !self.of.contains_key(&key) && self.of.len() >= self.most {
            self.sweep(now);
            if self.of.len() >= self.most {
                return self.shared.get_or_insert(RateAllowance::new(now));
            }
        }
        self.of.entry(key).or_insert(RateAllowance::new(now))
    }

    /// An empty bucket is as good as none. Once a second at the most, as it looks at each.
    fn sweep(&mut self, now: Instant) {
        if self.swept.is_some_and(|swept| now.since(swept) < Duration::from_secs(1)) {
            return;
        }
        self.swept = Some(now);
        self.of.retain(|_, allowance| !allowance.is_whole(now));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::from_start(Duration::from_millis(millis))
    }

    #[test]
    fn a_minutes_worth_at_once_and_then_evenly() {
        let mut buckets = Buckets::new(10);
        for _ in 0..6 {
            buckets.take("a", 6, at(5000)).unwrap();
        }
        assert_eq!(buckets.take("a", 6, at(5000)), Err(Duration::from_secs(10)));
        buckets.take("b", 6, at(5000)).unwrap();
        // Refused ones cost nothing: ten seconds later there is room for one.
        assert_eq!(buckets.take("a", 6, at(14_999)), Err(Duration::from_millis(1)));
        buckets.take("a", 6, at(15_000)).unwrap();
        assert!(buckets.take("a", 6, at(15_000)).is_err());
        for _ in 0..6 {
            buckets.take("a", 6, at(200_000)).unwrap();
        }
        assert!(buckets.take("a", 6, at(200_000)).is_err(), "what was not used does not add up");
    }

    #[test]
    fn a_flood_of_addresses_takes_no_more_memory_and_shares_one_bucket() {
        let mut buckets = Buckets::new(100);
        let passed = (0..10_000).filter(|&n| buckets.take(n, 5, at(0)).is_ok()).count();
        assert_eq!((passed, buckets.of.len()), (105, 100));
        // A minute later those are empty, and a newcomer has its own again.
        buckets.take(20_000, 5, at(60_001)).unwrap();
        assert_eq!(buckets.of.len(), 1);
    }

    #[test]
    fn an_ipv6_network_is_one_address() {
        let subject = |text: &str| Subject::address(text.parse().unwrap());
        assert_eq!(subject("2001:db8::1"), subject("2001:db8::ffff:2"));
        assert_ne!(subject("2001:db8::1"), subject("2001:db8:0:1::1"));
        assert_eq!(subject("::ffff:10.0.0.1"), subject("10.0.0.1"));
        assert_ne!(subject("10.0.0.2"), subject("10.0.0.1"));
    }
}
