//! A session's figures for metrics, from memory only: no question to WhatsApp, the store or the vault.

use std::{
    collections::VecDeque,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use jiff::Timestamp;

use super::{
    Session,
    requests::account_limits::{Capping, Timelock},
    send::pacing::until_ms,
};
use crate::{
    message::BacklogSize,
    pacing::{Held, HeldBy},
    sync::lock,
    telemetry::metrics::label::ConnectionEnd,
};

/// A session's last readings of WhatsApp: its newest stanza, its limits.
#[derive(Debug, Default)]
pub(super) struct WhatsAppReadings {
    /// Milliseconds since 1970; 0: there was none yet.
    stanza_ms: AtomicI64,
    limits: Mutex<AccountLimits>,
    breaks: AtomicU64,
    other_accounts: AtomicU64,
    refused_lately: Mutex<RefusedAccounts>,
    is_banned: AtomicBool,
    is_outdated: AtomicBool,
}

/// Accounts whose scans were refused within [`SAME_ACCOUNT`], oldest first.
#[derive(Debug, Default)]
struct RefusedAccounts(VecDeque<(Timestamp, String)>);

/// Somebody who tries again within this time is no news. For so long an alert of it lasts.
const SAME_ACCOUNT: Duration = Duration::from_secs(3600);

/// So many are remembered of a tenant.
const MOST_REFUSED: usize = 16;

impl RefusedAccounts {
    /// Whether it is another one than those before.
    fn note(&mut self, number: &str, now: Timestamp) -> bool {
        self.0.retain(|(at, _)| now.duration_since(*at).unsigned_abs() < SAME_ACCOUNT);
        if self.0.iter().any(|(_, known)| known == number) {
            return false;
        }
        if self.0.len() == MOST_REFUSED {
            self.0.pop_front();
        }
        self.0.push_back((now, number.to_owned()));
        true
    }
}

/// As WhatsApp answered last; nobody asks for it here.
#[derive(Debug, Default)]
struct AccountLimits {
    capping: Option<Capping>,
    timelock: Option<Timelock>,
}

impl WhatsAppReadings {
    /// WhatsApp said something, whatever it was.
    pub fn stanza(&self, now: Timestamp) {
        self.stanza_ms.store(now.as_millisecond(), Relaxed);
    }

    /// A connection ended, or there was none.
    pub fn ended(&self, end: ConnectionEnd, was_connected: bool) {
        use ConnectionEnd::{Banned, Dropped, Garbled, Outdated, Unanswered, Unreachable, Unwell};
        let is_break = was_connected && matches!(end, Dropped | Garbled | Unanswered | Unreachable | Unwell);
        self.breaks.fetch_add(is_break.into(), Relaxed);
        self.is_banned.store(end == Banned, Relaxed);
        self.is_outdated.store(end == Outdated, Relaxed);
    }

    /// Another account has scanned, and was refused.
    pub fn refused(&self, number: &str, now: Timestamp) {
        let is_new = lock(&self.refused_lately).note(number, now);
        self.other_accounts.fetch_add(is_new.into(), Relaxed);
    }

    pub fn capping(&self, told: &Capping) {
        self.limits().capping = Some(told.clone());
    }

    pub fn timelock(&self, told: &Timelock) {
        self.limits().timelock = Some(told.clone());
    }

    /// Until when WhatsApp wants no new chats of the account: it locks them, or has warned twice that there are too many.
    pub fn no_new_chats(&self, now_ms: i64) -> Option<Held> {
        let limits = self.limits();
        let lock = limits.timelock.as_ref().filter(|told| told.active);
        let cap = limits.used_up();
        let held = [
            lock.map(|told| (HeldBy::WhatsappTimelock, told.ends)),
            cap.map(|told| (HeldBy::WhatsappNewChats, told.ends)),
        ];
        let held = held.into_iter().flatten().map(|(reason, ends)| Held { reason, until_ms: until_ms(ends, now_ms) });
        held.filter(|held| held.until_ms > now_ms).max_by_key(|held| held.until_ms)
    }

    fn limits(&self) -> std::sync::MutexGuard<'_, AccountLimits> {
        lock(&self.limits)
    }
}

impl AccountLimits {
    /// WhatsApp has warned for the last time of too many new chats, or there are none left.
    fn used_up(&self) -> Option<&Capping> {
        const LAST_WARNINGS: [&str; 2] = ["SECOND_WARNING", "CAPPED"];
        self.capping.as_ref().filter(|told| {
            let is_used_up = told.total > 0 && told.used >= told.total;
            is_used_up || LAST_WARNINGS.contains(&told.status.as_str())
        })
    }
}

/// How a session stands now.
#[derive(Debug, Clone, PartialEq)]
pub struct Standing {
    /// When WhatsApp said something last, in seconds since 1970.
    pub last_stanza: Option<f64>,
    pub outbox: BacklogSize,
    /// Changes that the vault does not have yet.
    pub journal_backlog: u64,
    /// Messages since the session was opened.
    pub received: u64,
    pub sent: u64,
    /// Part of the new chats used that WhatsApp allows in this cycle; `None`: nobody has asked, or there is no limit.
    pub new_chats_used: Option<f64>,
    /// `None`: nobody has asked.
    pub is_timelocked: Option<bool>,
    /// Whether WhatsApp has warned for the last time of too many new chats, or they are used up; `None`: nobody has asked.
    pub no_new_chats: Option<bool>,
    /// Logins that the line or WhatsApp broke, since the session was opened.
    pub breaks: u64,
    /// Other accounts whose scans were refused; one that tries again within an hour counts once.
    pub other_accounts: u64,
    /// Why the last connection ended: WhatsApp has banned the account for a while, …
    pub is_banned: bool,
    /// … or calls this version outdated.
    pub is_outdated: bool,
}

impl Session {
    pub fn standing(&self) -> Standing {
        let inner = &self.0;
        let stanza_ms = inner.seen.stanza_ms.load(Relaxed);
        let now = inner.env.clock.now().as_second();
        let limits = inner.seen.limits();
        // The figures of a cycle that is over say nothing of this one.
        let capping = limits.capping.as_ref().filter(|told| told.total > 0 && (told.ends == 0 || told.ends > now));
        Standing {
            last_stanza: (stanza_ms != 0).then_some(stanza_ms as f64 / 1e3),
            outbox: inner.outbox.backlogged(),
            journal_backlog: inner.journal.backlog(),
            received: inner.log.traffic.received(),
            sent: inner.log.traffic.sent(),
            new_chats_used: capping.map(|told| told.used as f64 / told.total as f64),
            is_timelocked: limits.timelock.as_ref().map(|told| told.active && (told.ends == 0 || told.ends > now)),
            no_new_chats: limits
                .capping
                .as_ref()
                .map(|told| limits.used_up().is_some() && (told.ends == 0 || told.ends > now)),
            breaks: inner.seen.breaks.load(Relaxed),
            other_accounts: inner.seen.other_accounts.load(Relaxed),
            is_banned: inner.seen.is_banned.load(Relaxed),
            is_outdated: inner.seen.is_outdated.load(Relaxed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_chats_stop_at_the_lock_and_at_the_second_warning() {
        const NOW: i64 = 1_800_000_000;
        let lock = |active, ends| Timelock { kind: "DEFAULT".into(), active, ends };
        let cap = |status: &str, used, ends| Capping {
            status: status.into(),
            total: 100,
            used,
            begins: NOW - 9,
            ends,
            meta_verified: String::new(),
            one_time: String::new(),
        };
        let rows = [
            (lock(false, 0), cap("FIRST_WARNING", 64, NOW + 9), None),
            (lock(true, NOW + 5), cap("NONE", 0, NOW + 9), Some((HeldBy::WhatsappTimelock, 5))),
            (lock(true, 0), cap("NONE", 0, NOW + 9), Some((HeldBy::WhatsappTimelock, 600))),
            (lock(true, NOW - 1), cap("NONE", 0, NOW + 9), None),
            (lock(false, 0), cap("SECOND_WARNING", 90, NOW + 9), Some((HeldBy::WhatsappNewChats, 9))),
            (lock(false, 0), cap("FIRST_WARNING", 100, NOW + 9), Some((HeldBy::WhatsappNewChats, 9))),
            (lock(true, NOW + 99), cap("CAPPED", 100, NOW + 9), Some((HeldBy::WhatsappTimelock, 99))),
            (lock(false, 0), cap("CAPPED", 100, NOW - 9), None),
        ];
        for (lock, cap, expected) in rows {
            let seen = WhatsAppReadings::default();
            seen.timelock(&lock);
            seen.capping(&cap);
            let held = seen.no_new_chats(NOW * 1_000).map(|held| (held.reason, held.until_ms / 1_000 - NOW));
            assert_eq!(held, expected, "{lock:?} {cap:?}");
        }
        assert_eq!(WhatsAppReadings::default().no_new_chats(NOW * 1_000), None);
    }

    #[test]
    fn an_account_that_tries_again_within_an_hour_is_counted_once() {
        let seen = WhatsAppReadings::default();
        let counted = |number: &str, second: i64| {
            seen.refused(number, Timestamp::from_second(1_800_000_000 + second).unwrap());
            seen.other_accounts.load(Relaxed)
        };
        let tries = [("1", 0), ("1", 60), ("2", 120), ("1", 3599), ("1", 3600), ("2", 3600)];
        assert_eq!(tries.map(|(number, second)| counted(number, second)), [1, 1, 2, 2, 3, 3]);
        // However many there are.
        let many: Vec<_> = (10..1000).map(|number| counted(&number.to_string(), 3601)).collect();
        assert_eq!((many.last(), lock(&seen.refused_lately).0.len()), (Some(&993), MOST_REFUSED));
    }
}
