//! Receivers by their host. One host counts once, however many tenants point at it: its share of the requests in flight is bounded, and
//! between two retries to it there is a least delay, so that nobody is flooded in our name, nor all others held up by one that is slow.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use reqwest::Url;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit},
    time::{Instant, sleep_until},
};

use crate::sync::lock;

/// Between two retries to a host.
const LEAST_DELAY: Duration = Duration::from_millis(250);

/// No retry waits longer for those of other tenants.
const MAX_WAIT: Duration = Duration::from_secs(10);

/// So many hosts are remembered before those that nobody uses are forgotten.
const MANY: usize = 1000;

#[derive(Debug)]
pub struct Hosts {
    /// Requests in flight to one of them.
    most: usize,
    known: Mutex<HashMap<String, Host>>,
}

#[derive(Debug)]
struct Host {
    places: Arc<Semaphore>,
    /// The earliest that the next retry may go.
    next_retry: Instant,
}

impl Hosts {
    /// `concurrency`: requests in flight to all of them.
    pub fn new(concurrency: usize) -> Self {
        Self { most: concurrency.div_ceil(2), known: Mutex::default() }
    }

    /// Waits for the host's turn: held while the request is in flight. `own`: the places that the tenant has there.
    pub async fn turn<'a>(
        &self,
        url: &Url,
        is_retry: bool,
        own: &'a Semaphore,
    ) -> Option<(SemaphorePermit<'a>, OwnedSemaphorePermit)> {
        let (places, at) = self.reserve(url, is_retry, Instant::now());
        sleep_until(at).await;
        let own = own.acquire().await.ok()?;
        Some((own, places.acquire_owned().await.ok()?))
    }

    fn reserve(&self, url: &Url, is_retry: bool, now: Instant) -> (Arc<Semaphore>, Instant) {
        let name = name(url);
        let mut known = lock(&self.known);
        if known.len() >= MANY && !known.contains_key(&name) {
            known.retain(|_, host| host.next_retry > now || Arc::strong_count(&host.places) > 1);
        }
        let new = || Host { places: Arc::new(Semaphore::new(self.most)), next_retry: now };
        let host = known.entry(name).or_insert_with(new);
        let at = if is_retry { host.next_retry.clamp(now, now + MAX_WAIT) } else { now };
        if is_retry {
            host.next_retry = at + LEAST_DELAY;
        }
        (host.places.clone(), at)
    }
}

/// The host's key: name or address, and the port. Another port is another receiver; http and https share one, and so do a name with and
/// without the dot at its end.
pub fn name(url: &Url) -> String {
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}{port}", url.host_str().unwrap_or_default().trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retries_to_a_host_keep_their_distance_whoever_makes_them() {
        let hosts = Hosts::new(4);
        let now = Instant::now();
        let at = |url: &str, is_retry| hosts.reserve(&url.parse().unwrap(), is_retry, now).1.duration_since(now);
        assert_eq!(at("https://a.example/one", true), Duration::ZERO);
        assert_eq!(at("http://a.example/two", true), LEAST_DELAY);
        assert_eq!(at("https://a.example/one", true), LEAST_DELAY * 2);
        assert_eq!(at("https://A.example./one", true), LEAST_DELAY * 3, "by its whole name");
        assert_eq!(at("https://a.example/one", false), Duration::ZERO, "what is new waits for no retry");
        assert_eq!(at("https://b.example/", true), Duration::ZERO);
        let longest = (0..200).map(|_| at("https://a.example/", true)).max().unwrap();
        assert_eq!(longest, MAX_WAIT);
    }

    #[tokio::test]
    async fn a_host_has_half_of_all_places() {
        let hosts = Hosts::new(4);
        let (a, b): (Url, Url) = ("http://a.example/".parse().unwrap(), "http://b.example/".parse().unwrap());
        let own = Semaphore::new(4);
        let _held = [hosts.turn(&a, false, &own).await.unwrap(), hosts.turn(&a, false, &own).await.unwrap()];
        assert!(tokio::time::timeout(Duration::from_millis(20), hosts.turn(&a, false, &own)).await.is_err());
        drop(hosts.turn(&b, false, &own).await.unwrap());
    }

    #[tokio::test]
    async fn who_waits_for_places_of_its_own_takes_none_of_the_hosts() {
        let hosts = Hosts::new(4);
        let (a, one, other): (Url, _, _) = ("http://a.example/".parse().unwrap(), Semaphore::new(1), Semaphore::new(1));
        let _held = hosts.turn(&a, false, &one).await.unwrap();
        let mut waits = std::pin::pin!(hosts.turn(&a, false, &one));
        assert!(tokio::time::timeout(Duration::from_millis(20), &mut waits).await.is_err());
        assert!(tokio::time::timeout(Duration::from_secs(20), hosts.turn(&a, false, &other)).await.unwrap().is_some());
    }

    #[test]
    fn hosts_that_nobody_uses_are_forgotten() {
        let hosts = Hosts::new(4);
        let now = Instant::now();
        for n in 0..3 * MANY {
            hosts.reserve(&format!("http://{n}.example/").parse().unwrap(), false, now);
        }
        assert!(hosts.known.lock().unwrap().len() <= MANY);
    }
}
