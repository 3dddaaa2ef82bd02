//! What is counted, and how much of it is new. Pure.

use std::{collections::VecDeque, time::Duration};

use jiff::Timestamp;

use super::age;

/// How much a count has risen lately.
#[derive(Debug)]
pub struct Rise {
    last: u64,
    steps: VecDeque<(Timestamp, u64)>,
}

impl Rise {
    /// `last`: what was counted before anybody looked.
    pub fn new(last: u64) -> Self {
        Self { last, steps: VecDeque::new() }
    }

    /// By how much it has risen within this time.
    ///
    /// A count that is lower than before has begun anew.
    pub fn see(&mut self, count: u64, within: Duration, now: Timestamp) -> u64 {
        let step = count.checked_sub(self.last).unwrap_or(count);
        self.last = count;
        if step > 0 {
            self.steps.push_back((now, step));
        }
        self.steps.retain(|(at, _)| *at <= now && age(now, *at) < within);
        self.steps.iter().map(|(_, step)| step).sum()
    }

    /// Whether it has risen at this look.
    pub fn is_new(&self, now: Timestamp) -> bool {
        self.steps.back().is_some_and(|(at, _)| *at == now)
    }
}
