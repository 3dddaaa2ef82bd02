//! Connecting for somebody who waits: until the session is as it should be, or it shows that there is no way to WhatsApp, and why.

use std::{pin::pin, time::Duration};

use tokio::time::{Instant, timeout};

use crate::session::{
    Session,
    state::{State, Status},
};

/// How long to wait for a connection before an unreachable WhatsApp is reported. Covers a short network failure and a
/// slow login.
const REACH_LIMIT: Duration = Duration::from_secs(8);

/// Between two looks after that.
const REACH_LOOK_INTERVAL: Duration = Duration::from_millis(500);

/// A session stops between a pairing that was given up and the next; one that stays stopped was told to.
const BETWEEN_PAIRINGS_LIMIT: Duration = Duration::from_secs(10);

/// Why a session is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReachError {
    /// Another request stopped it meanwhile, or it ended by itself.
    Stopped,
    /// There is no way to WhatsApp now: why. It goes on trying.
    Unreachable(String),
    /// WhatsApp is there, and did not get as far.
    TimedOut,
}

impl Session {
    /// Connects, and waits until it is as `wanted`.
    pub async fn connect_until(&self, limit: Duration, wanted: impl Fn(&Status) -> bool) -> Result<Status, ReachError> {
        let began = Instant::now();
        let mut settled = pin!(self.settle(wanted));
        loop {
            let elapsed = began.elapsed();
            if elapsed >= limit {
                return Err(ReachError::TimedOut);
            }
            let look = if elapsed < REACH_LIMIT { REACH_LIMIT - elapsed } else { REACH_LOOK_INTERVAL };
            match timeout(look.min(limit - elapsed), &mut settled).await {
                Ok(settled) => return settled.ok_or(ReachError::Stopped),
                Err(_) if began.elapsed() < REACH_LIMIT => {}
                Err(_) => {
                    if let Some(reason) = self.unreached() {
                        return Err(ReachError::Unreachable(reason));
                    }
                }
            }
        }
    }

    /// Why there is no way to WhatsApp, while there is none.
    fn unreached(&self) -> Option<String> {
        let status = self.status();
        if status.state != State::Starting {
            return None;
        }
        // The library dials again and again within one of our connections: the line knows first.
        let line = &self.0.line;
        let is_silent = line.dialing_for().is_some_and(|dialing| dialing >= REACH_LIMIT / 2);
        let silent = is_silent.then(|| "nobody answers where WhatsApp is".to_owned());
        line.trouble().or(status.trouble).or(silent)
    }

    async fn settle(&self, wanted: impl Fn(&Status) -> bool) -> Option<Status> {
        let mut status = self.watch();
        self.connect().await;
        loop {
            let begun = status.wait_for(|status| status.state != State::Stopped || self.end().is_some());
            timeout(BETWEEN_PAIRINGS_LIMIT, begun).await.ok()?.ok()?;
            if self.end().is_some() {
                return None;
            }
            let settled = status.wait_for(|status| status.state == State::Stopped || wanted(status)).await.ok()?;
            if settled.state != State::Stopped {
                return Some(settled.clone());
            }
        }
    }
}
