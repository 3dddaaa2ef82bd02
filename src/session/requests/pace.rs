//! The table of rate limits for a tenant's requests, messages excepted. Counted per tenant, not per caller: WhatsApp
//! counts per account, and slows down or bans the account as a whole.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use crate::{
    allowance::RateAllowance,
    clock::{Clock, Instant},
    sync::lock,
};

/// Kinds of requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestKind {
    Login,
    Pairing,
    Code,
    Lookup,
    Query,
    Change,
    Presence,
    Receipt,
    Past,
    Fetch,
    Reupload,
    UnaskedReupload,
}

/// How many at once, and then how many a minute.
const TABLE: [(RequestKind, u32, u32, &str); 12] = [
    (
        RequestKind::Login,
        10,
        4,
        "a restart is a login: who needs many has lost the way, and to WhatsApp many look like an attack",
    ),
    (
        RequestKind::Pairing,
        10,
        4,
        "a login without credentials, for which a page asks by itself; those with credentials have their own",
    ),
    (
        RequestKind::Code,
        10,
        4,
        "codes to type; WhatsApp gives none for a while to a number that asks for many, and each may be a login",
    ),
    (RequestKind::Lookup, 60, 30, "WhatsApp bans accounts that try numbers to see who is on it"),
    (
        RequestKind::Query,
        240,
        120,
        "what dashboards show beside messages; WhatsApp answers too many with 429, and so the account's sends",
    ),
    (RequestKind::Change, 120, 60, "groups, profile, labels, settings: each goes to every device of the account"),
    (RequestKind::Presence, 240, 240, "typing begins and ends with every message"),
    (RequestKind::Receipt, 300, 300, "one request for a chat that is read, of up to five hundred messages"),
    (RequestKind::Past, 30, 12, "each is a message to the tenant's own phone, which uploads what it has"),
    (
        RequestKind::Fetch,
        120,
        120,
        "files that somebody asks for and that are not here: a page of pictures at once. What is fetched as it comes is not counted",
    ),
    (RequestKind::Reupload, 30, 12, "as older messages: the tenant's own phone uploads a file again"),
    (
        RequestKind::UnaskedReupload,
        30,
        12,
        "the same of what comes: how much that is others decide, who leave the owner his own",
    ),
];

/// One tenant's allowances.
#[derive(Debug)]
pub struct RequestPace {
    clock: Arc<dyn Clock>,
    allowances: Mutex<[RateAllowance; TABLE.len()]>,
}

impl RequestPace {
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let now = clock.instant();
        Self { clock, allowances: Mutex::new([RateAllowance::new(now); TABLE.len()]) }
    }

    /// Counts it. An error says how long to wait, and counts nothing.
    pub fn take(&self, ask: RequestKind) -> Result<(), Duration> {
        self.with(ask, RateAllowance::take)
    }

    /// Takes back what was counted last.
    pub fn give_back(&self, ask: RequestKind) {
        let _ = self.with(ask, |allowance, _, per_minute, now| {
            allowance.give_back(per_minute, now);
            Ok(())
        });
    }

    /// Says if one more may be asked, and if not, when. Counts nothing.
    pub fn has_room(&self, ask: RequestKind) -> Result<(), Duration> {
        self.with(ask, |allowance, burst, per_minute, now| allowance.has_room(burst, per_minute, now))
    }

    fn with(
        &self,
        ask: RequestKind,
        work: impl FnOnce(&mut RateAllowance, u32, u32, Instant) -> Result<(), Duration>,
    ) -> Result<(), Duration> {
        let now = self.clock.instant();
        let mut allowances = lock(&self.allowances);
        let row = TABLE.iter().zip(allowances.iter_mut()).find(|((kind, ..), _)| *kind == ask);
        let Some(((_, burst, per_minute, _), allowance)) = row else { return Ok(()) };
        work(allowance, *burst, *per_minute, now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;

    #[test]
    fn each_kind_has_its_row_and_its_own_allowance() {
        let pace = RequestPace::new(SystemClock::shared());
        for (ask, burst, ..) in TABLE {
            let taken = (0..burst + 9).take_while(|_| pace.take(ask).is_ok()).count();
            // The clock runs on.
            assert!((burst as usize..burst as usize + 2).contains(&taken), "{ask:?}: {taken}");
        }
    }
}
