//! How long a peer may let us wait for bytes: for a while at once, and on the whole no longer than what it moved is worth. Pure.

use std::time::Duration;

use tokio::time::Instant;

/// How patient we are.
#[derive(Debug, Clone, Copy)]
pub struct TransferPatience {
    /// At once, and on the whole before anything has moved.
    pub stall: Duration,
    pub bytes_per_second: u64,
}

/// One direction of one request: how long was waited for the peer, and what came of it.
///
/// Counts only the time in which we were ready: a handler that does not read, or writes nothing, is not the peer's fault.
#[derive(Debug, Clone, Copy, Default)]
pub struct Transfer {
    waiting_since: Option<Instant>,
    waited: Duration,
    bytes: u64,
}

impl Transfer {
    /// We are ready, the peer is not.
    pub fn waits(&mut self, now: Instant) {
        self.waiting_since.get_or_insert(now);
    }

    pub fn moved(&mut self, bytes: usize, now: Instant) {
        if let Some(since) = self.waiting_since.take() {
            self.waited += now.saturating_duration_since(since);
        }
        self.bytes += bytes as u64;
    }

    /// We are ready, and the peer is not.
    pub fn is_waiting(&self) -> bool {
        self.waiting_since.is_some()
    }

    /// All in all, as far as we are waiting now.
    pub fn waited(&self, now: Instant) -> Option<Duration> {
        self.waiting_since.map(|since| self.waited + now.saturating_duration_since(since))
    }

    pub fn is_too_slow(&self, patience: TransferPatience, now: Instant) -> bool {
        let Some(since) = self.waiting_since else { return false };
        let waiting = now.saturating_duration_since(since);
        let earned = Duration::from_secs(self.bytes / patience.bytes_per_second.max(1));
        waiting > patience.stall || self.waited + waiting > patience.stall + earned
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: TransferPatience = TransferPatience { stall: Duration::from_secs(10), bytes_per_second: 100 };

    #[test]
    fn a_peer_that_stalls_or_dribbles_is_too_slow_and_one_that_we_let_wait_is_not() {
        let began = Instant::now();
        let at = |seconds| began + Duration::from_secs(seconds);
        let mut stalled = Transfer::default();
        assert!(!stalled.is_too_slow(PATIENCE, at(1000)), "nobody waits for it");
        stalled.waits(at(0));
        stalled.waits(at(9));
        assert!(!stalled.is_too_slow(PATIENCE, at(10)));
        assert!(stalled.is_too_slow(PATIENCE, at(11)));

        // A byte every nine seconds.
        let mut dribbling = Transfer::default();
        dribbling.waits(at(0));
        dribbling.moved(1, at(9));
        dribbling.waits(at(9));
        assert!(dribbling.is_too_slow(PATIENCE, at(11)));

        // Slow, but worth it.
        let mut slow = Transfer::default();
        for second in 0..100 {
            slow.waits(at(second));
            assert!(!slow.is_too_slow(PATIENCE, at(second + 1)), "{second}");
            slow.moved(101, at(second + 1));
        }
        // Much that came does not buy a long stall.
        slow.waits(at(100));
        assert!(slow.is_too_slow(PATIENCE, at(111)));
    }
}
