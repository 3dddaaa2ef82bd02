//! What one connection does now, and whether that takes too long. Pure.

use std::{net::IpAddr, time::Duration};

use tokio::time::Instant;

use super::transfer::{Transfer, TransferPatience};

/// An answer on a WebSocket may wait this much longer: a client that reads slowly has the log, and one that is gone answers no ping.
const UPGRADED_PATIENCE: u32 = 4;

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

    pub fn is_overdue(&self, limits: &ActivityLimits, now: Instant) -> bool {
        let lasts = now.saturating_duration_since(self.since);
        match self.phase {
            ConnectionPhase::Head => lasts > limits.head,
            // What is left of the last answer may still be on its way.
            ConnectionPhase::Idle => lasts > limits.keep_alive || self.answer.is_too_slow(limits.patience, now),
            ConnectionPhase::Request => {
                self.body.is_too_slow(limits.patience, now) || self.answer.is_too_slow(limits.patience, now)
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
