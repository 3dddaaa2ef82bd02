//! How a session stands, for whoever watches the process: what it remembers, and never a question to WhatsApp, the store or the vault.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicI64, Ordering::Relaxed},
};

use jiff::Timestamp;

use super::{
    Session,
    limits::{Capping, Timelock},
};
use crate::message::Backlogged;

/// What a session has seen of WhatsApp.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Milliseconds since 1970; 0: there was none yet.
    stanza_ms: AtomicI64,
    limits: Mutex<Limits>,
}

/// As WhatsApp answered last; nobody asks for it here.
#[derive(Debug, Default)]
struct Limits {
    capping: Option<Capping>,
    timelock: Option<Timelock>,
}

impl Seen {
    /// WhatsApp said something, whatever it was.
    pub fn stanza(&self, now: Timestamp) {
        self.stanza_ms.store(now.as_millisecond(), Relaxed);
    }

    pub fn capping(&self, told: &Capping) {
        self.limits().capping = Some(told.clone());
    }

    pub fn timelock(&self, told: &Timelock) {
        self.limits().timelock = Some(told.clone());
    }

    fn limits(&self) -> std::sync::MutexGuard<'_, Limits> {
        self.limits.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How a session stands now.
#[derive(Debug, Clone, PartialEq)]
pub struct Standing {
    /// When WhatsApp said something last, in seconds since 1970.
    pub last_stanza: Option<f64>,
    pub outbox: Backlogged,
    /// Changes that the vault does not have yet.
    pub journal_backlog: u64,
    /// Messages since the session was opened.
    pub received: u64,
    pub sent: u64,
    /// Part of the new chats used that WhatsApp allows in this cycle; `None`: nobody has asked, or there is no limit.
    pub new_chats_used: Option<f64>,
    /// `None`: nobody has asked.
    pub is_timelocked: Option<bool>,
}

impl Session {
    pub fn standing(&self) -> Standing {
        let inner = &self.0;
        let stanza_ms = inner.seen.stanza_ms.load(Relaxed);
        let now = inner.env.clock.now().as_second();
        let limits = inner.seen.limits();
        // What was true of a cycle that is over says nothing of this one.
        let capping = limits.capping.as_ref().filter(|told| told.total > 0 && (told.ends == 0 || told.ends > now));
        Standing {
            last_stanza: (stanza_ms != 0).then_some(stanza_ms as f64 / 1e3),
            outbox: inner.outbox.backlogged(),
            journal_backlog: inner.journal.backlog(),
            received: inner.log.traffic.received(),
            sent: inner.log.traffic.sent(),
            new_chats_used: capping.map(|told| told.used as f64 / told.total as f64),
            is_timelocked: limits.timelock.as_ref().map(|told| told.active && (told.ends == 0 || told.ends > now)),
        }
    }
}
