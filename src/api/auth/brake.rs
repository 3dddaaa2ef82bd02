//! The brake on guesses: wrong keys are counted by themselves, and slow down whoever guesses.
//!
//! Nothing is refused that is right: a wall would shut out the operator, too, who may share an address with the one who guesses, and
//! attackers could build it on purpose. So all that guesses could gain from is answered late, right or wrong, where many wrong keys
//! come from; how late tells nothing. What was answered wrong too often is told so (429).

use std::{
    collections::HashMap,
    net::IpAddr,
    num::NonZeroU32,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use super::limits::Buckets;
use crate::{
    allowance::RateAllowance,
    clock::{Clock, Instant},
    listener::network_of,
    sync::lock,
};

/// The delay of an answer where many wrong keys come from.
pub const DELAY: Duration = Duration::from_secs(2);

/// Wrong keys of all addresses: at once, and in a minute. Beyond, guesses come from many addresses.
const FAILURES_OF_ALL: (u32, u32) = (300, 300);

/// An address from which the admin key came is not suspected for this long.
const KNOWN_FOR: Duration = Duration::from_secs(24 * 3600);
const MOST_KNOWN: usize = 1000;

#[derive(Debug)]
pub struct Brake {
    per_address: Option<NonZeroU32>,
    clock: Arc<dyn Clock>,
    state: Mutex<BrakeState>,
}

#[derive(Debug)]
struct BrakeState {
    by_address: Buckets<IpAddr>,
    all: RateAllowance,
    /// From where the admin key came lately.
    known: HashMap<IpAddr, Instant>,
}

impl Brake {
    pub fn new(per_address: Option<NonZeroU32>, clock: Arc<dyn Clock>) -> Self {
        let all = RateAllowance::new(clock.instant());
        let state = BrakeState { by_address: Buckets::new(10_000), all, known: HashMap::new() };
        Self { per_address, clock, state: Mutex::new(state) }
    }

    /// The time that an attempt from there has to wait for its answer, whatever that is.
    pub fn delay(&self, address: Option<IpAddr>) -> Option<Duration> {
        let per_address = self.per_address?.get();
        let (address, now) = (address.map(network_of), self.clock.instant());
        let state = self.state();
        let is_suspect = address.is_some_and(|address| !state.by_address.has_room(&address, per_address, now));
        let (burst, per_minute) = FAILURES_OF_ALL;
        let is_flooded = state.all.has_room(burst, per_minute, now).is_err();
        let is_known =
            address.is_some_and(|address| state.known.get(&address).is_some_and(|at| now.since(*at) < KNOWN_FOR));
        (is_suspect || (is_flooded && !is_known)).then_some(DELAY)
    }

    /// Counts a wrong key. An error: there were too many from there.
    pub fn failed(&self, address: Option<IpAddr>) -> Result<(), Duration> {
        let now = self.clock.instant();
        let mut state = self.state();
        let (burst, per_minute) = FAILURES_OF_ALL;
        let _ = state.all.take(burst, per_minute, now);
        let (Some(address), Some(per_address)) = (address.map(network_of), self.per_address) else { return Ok(()) };
        state.by_address.take(address, per_address.get(), now)
    }

    /// The admin key came from there.
    pub fn knows(&self, address: Option<IpAddr>) {
        let Some(address) = address.map(network_of) else { return };
        let now = self.clock.instant();
        let mut state = self.state();
        if state.known.len() >= MOST_KNOWN && !state.known.contains_key(&address) {
            state.known.retain(|_, at| now.since(*at) < KNOWN_FOR);
        }
        if state.known.len() < MOST_KNOWN || state.known.contains_key(&address) {
            state.known.insert(address, now);
        }
    }

    fn state(&self) -> MutexGuard<'_, BrakeState> {
        lock(&self.state)
    }
}
