//! What one connection does now, and whether that takes too long. Pure.

use std::{net::IpAddr, time::Duration};

use tokio::time::Instant;

use super::transfer::{Transfer, TransferPatience};

/// An answer on a WebSocket may wait this much longer: a client that reads slowly has the log, and one that is gone answers no ping.
const UPGRADED_PATIENCE: u32 = 4;

/// An answer to somebody who has shown no key may let us wait no longer than this, all in all, whatever its size.
const KEYLESS_PATIENCE: Duration = Duration::from_secs(60);

/// Whoever has a key has shown it within this time, over a slow line too.
const NEWCOMER_TIME: Duration = Duration::from_secs(2);

/// How long the parts of a connection may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct ActivityLimits {
    pub head: Duration,
    pub keep_alive: Duration,
    pub patience: TransferPatience,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Activity {
    pub phase: ConnectionPhase,
    pub since: Instant,
    /// Whom it counts for. Of a trusted proxy nobody, but for the client whose request it carries.
    pub counted: Option<IpAddr>,
    pub body: Transfer,
    pub answer: Transfer,
    pub head: HeadEnd,
    /// A good key was shown on it. On a trusted proxy's: with the last request.
    pub has_key: bool,
    /// A WebSocket on which a key was shown.
    pub is_proven: bool,
    /// The request was answered before its body was read to the end.
    pub has_unread: bool,
}

/// The place in the head of a request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum HeadEnd {
    #[default]
    Within,
    /// The last byte ends a line; a carriage return may follow.
    Line,
    Reached,
    /// And something has come after it.
    Passed,
}

impl HeadEnd {
    /// As lenient with ends of lines as hyper is.
    pub fn after(self, bytes: &[u8]) -> Self {
        bytes.iter().fold(self, |place, byte| match (place, byte) {
            (Self::Reached | Self::Passed, _) => Self::Passed,
            (Self::Line, b'\n') => Self::Reached,
            (Self::Line, b'\r') | (Self::Within, b'\n') => Self::Line,
            (Self::Within | Self::Line, _) => Self::Within,
        })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ConnectionPhase {
    /// Open, or between requests; nothing has come.
    Idle,
    /// A part of a head has come, or nothing since it was opened.
    Head,
    Request,
    Upgraded,
    /// It was told to leave.
    Closed,
}

impl Activity {
    /// Nothing of it is being answered, and no request is on its way but for its head.
    pub fn waits(&self) -> bool {
        match self.phase {
            ConnectionPhase::Idle | ConnectionPhase::Head => true,
            ConnectionPhase::Upgraded => !self.is_proven,
            ConnectionPhase::Request | ConnectionPhase::Closed => false,
        }
    }

    /// A request begins. Who asks for more before the last answer is taken has no new time for it without a key.
    pub fn begin_request(&mut self, is_of_proxy: bool, now: Instant) {
        (self.phase, self.since) = (ConnectionPhase::Request, now);
        if is_of_proxy {
            self.has_key = false;
        }
        self.body = Transfer::default();
        if self.has_key || !self.answer.is_waiting() {
            self.answer = Transfer::default();
        }
        self.has_unread = false;
    }

    /// How readily it makes room for a newcomer: those with a key come last, and of the others those who were waited for longest: for the
    /// next request, for the rest of one, for a key, or to take an answer. Whoever dribbles is within what is allowed to a slow line; but
    /// where all places are taken so, it gives way, and not a newcomer. `None`: it stays. `spares_newcomers`: who cannot have shown a key
    /// yet counts as one who has.
    pub fn gives_way(&self, now: Instant, spares_newcomers: bool) -> Option<(bool, Duration)> {
        let waited = match self.phase {
            ConnectionPhase::Request if self.has_key => self.body.waited(now),
            ConnectionPhase::Request => self.body.waited(now).max(self.answer.waited(now)),
            _ => self.waits().then(|| now.saturating_duration_since(self.since)),
        };
        let is_spared = self.has_key || spares_newcomers && self.is_newcomer(now);
        waited.map(|waited| (!is_spared, waited))
    }

    /// It was opened a moment ago, and has asked for nothing yet.
    pub fn is_newcomer(&self, now: Instant) -> bool {
        let lasts = now.saturating_duration_since(self.since);
        self.phase == ConnectionPhase::Head && !self.has_key && lasts < NEWCOMER_TIME
    }

    /// Somebody without a key takes an answer so slowly.
    fn holds_a_place(&self, now: Instant) -> bool {
        !self.has_key && self.answer.waited(now).is_some_and(|waited| waited > KEYLESS_PATIENCE)
    }

    pub fn is_overdue(&self, limits: &ActivityLimits, now: Instant) -> bool {
        let lasts = now.saturating_duration_since(self.since);
        match self.phase {
            ConnectionPhase::Head => lasts > limits.head,
            // What is left of the last answer may still be on its way.
            ConnectionPhase::Idle => {
                lasts > limits.keep_alive || self.answer.is_too_slow(limits.patience, now) || self.holds_a_place(now)
            }
            ConnectionPhase::Request => {
                self.body.is_too_slow(limits.patience, now)
                    || self.answer.is_too_slow(limits.patience, now)
                    || self.holds_a_place(now)
            }
            ConnectionPhase::Upgraded => {
                let stall = limits.patience.stall * UPGRADED_PATIENCE;
                self.answer.is_too_slow(TransferPatience { stall, ..limits.patience }, now)
            }
            ConnectionPhase::Closed => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn activity(phase: ConnectionPhase, since: Instant, has_key: bool) -> Activity {
        Activity {
            phase,
            since,
            counted: None,
            body: Transfer::default(),
            answer: Transfer::default(),
            head: HeadEnd::default(),
            has_key,
            is_proven: false,
            has_unread: false,
        }
    }

    #[test]
    fn an_answer_without_a_key_has_a_minute_however_much_was_asked_for() {
        let began = Instant::now();
        let at = |seconds| began + Duration::from_secs(seconds);
        let limits = ActivityLimits {
            head: Duration::from_secs(10),
            keep_alive: Duration::from_secs(75),
            patience: TransferPatience { stall: Duration::from_secs(30), bytes_per_second: 512 },
        };
        let outlived = |has_key: bool| {
            let mut reader = activity(ConnectionPhase::Request, began, has_key);
            for second in 0..120 {
                reader.answer.waits(at(second));
                // Asks for more now and then, before it has taken what it asked for.
                if second % 20 == 10 {
                    reader.begin_request(false, at(second));
                    reader.answer.waits(at(second));
                }
                if reader.is_overdue(&limits, at(second + 1)) {
                    return second;
                }
                reader.answer.moved(600, at(second + 1));
            }
            120
        };
        assert_eq!((outlived(false), outlived(true)), (60, 120));
        // The next request begins anew, where the answer was taken.
        let mut patient = activity(ConnectionPhase::Request, began, false);
        for second in 0..50 {
            patient.answer.waits(at(second));
            patient.answer.moved(600, at(second + 1));
        }
        patient.begin_request(false, at(50));
        patient.answer.waits(at(50));
        assert_eq!(patient.answer.waited(at(70)), Some(Duration::from_secs(20)));
    }

    #[test]
    fn who_has_shown_a_key_gives_way_last() {
        let began = Instant::now();
        let now = began + Duration::from_secs(20);
        let idle = |has_key| activity(ConnectionPhase::Idle, began, has_key);
        let mut reader = activity(ConnectionPhase::Request, began, false);
        assert_eq!(reader.gives_way(now, true), None, "it is being answered");
        reader.answer.waits(began + Duration::from_secs(19));
        let ready = |activity: &Activity| activity.gives_way(now, true);
        assert!(ready(&reader) > ready(&idle(true)));
        assert!(ready(&reader) < ready(&idle(false)));
        reader.has_key = true;
        assert_eq!(ready(&reader), None);
        let newcomer = activity(ConnectionPhase::Head, now - Duration::from_secs(1), false);
        assert!(ready(&newcomer) < ready(&idle(true)), "the next one of the same page would close it");
        assert!(newcomer.gives_way(now, false) > idle(true).gives_way(now, false), "of a flood");
        // What a proxy carries next may be of somebody else.
        reader.begin_request(true, now);
        assert!(!reader.has_key);
    }

    #[test]
    fn the_end_of_a_head_is_found_as_hyper_finds_it() {
        let whole = |text: &str| HeadEnd::default().after(text.as_bytes());
        for head in
            ["GET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET / HTTP/1.1\nHost: a\n\n", "GET / HTTP/1.1\r\nHost: a\n\r\n"]
        {
            assert_eq!(whole(head), HeadEnd::Reached, "{head:?}");
            assert_eq!(whole(&format!("{head}\u{1}")), HeadEnd::Passed, "{head:?}");
            let (first, rest) = head.split_at(head.len() - 1);
            assert_ne!(whole(first), HeadEnd::Reached, "{first:?}");
            assert_eq!(whole(first).after(rest.as_bytes()), HeadEnd::Reached);
        }
    }
}
