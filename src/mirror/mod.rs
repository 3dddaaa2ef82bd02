//! The mirror: orders and flags in the old service's Realtime Database, for the kitchen's pages that exist (`bot.mirror`, off by default).
//!
//! Owns what is at `tenants/{t}/pedidos`, `…/historial`, and the flags of the connection; a consumer of each tenant's event log, with a
//! place of its own there. Promises:
//!
//! - An order is written under its id, as it is in the journal at that moment: twice is once, and whatever dies, it is written.
//! - A step that the kitchen takes there is taken here, as if the API had been asked: the customer is told once. Steps go only forward, so
//!   our own writing, heard again, is none; a step that is none is written over.
//! - What the kitchen changes meanwhile is not overwritten unseen (conditional writes), and what it took off its board is not put back.
//! - A database that is silent, refuses, or talks nonsense costs only the mirror: everything here is bounded, and nothing waits for it.
//!
//! Never reads an order from there but for its stage, and never sends.

mod database;
mod listening;
mod shape;
mod stream;
mod tenant_mirror;

use std::{sync::Arc, time::Duration};

use self::{database::MirrorDatabase, listening::StreamTurns, tenant_mirror::TenantMirror};
use crate::{
    backoff::Backoff, bot::service::Bots, clock::Clock, config, fleet::SessionObserver, import::LiveError,
    message::Feed, session::Session,
};

/// Streams at the same time, of all tenants, at the most.
const MAX_STREAMS: usize = 256;

pub struct Mirror(Arc<MirrorContext>);

/// What the mirrors of all tenants share.
struct MirrorContext {
    database: MirrorDatabase,
    bots: Arc<Bots>,
    feed: Feed,
    clock: Arc<dyn Clock>,
    streams: StreamTurns,
}

impl Mirror {
    /// `descriptors`: of requests. Asks nobody anything: the database, and credentials for it, may be there only later.
    pub fn open(
        place: &config::Import,
        rules: &config::OutboundConfig,
        bots: Arc<Bots>,
        (feed, clock): (Feed, Arc<dyn Clock>),
        descriptors: usize,
    ) -> Result<Arc<Self>, LiveError> {
        let database = MirrorDatabase::open(place, rules)?;
        let streams = StreamTurns::new((descriptors / 4).clamp(1, MAX_STREAMS));
        Ok(Arc::new(Self(Arc::new(MirrorContext { database, bots, feed, clock, streams }))))
    }
}

impl SessionObserver for Mirror {
    fn opened(&self, session: &Session) {
        session.attend(TenantMirror::run(session.clone(), self.0.clone()));
    }
}

const RETRIES: Backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(300));

/// Between two tries: twice as long each time, and never the same for many at once.
#[derive(Debug, Default)]
struct Pause {
    tries: u32,
}

impl Pause {
    #[expect(clippy::disallowed_methods, reason = "it spreads what would happen at once")]
    fn next(&mut self) -> Duration {
        let pause = RETRIES.spread(self.tries, rand::random());
        self.tries = self.tries.saturating_add(1);
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::{Pause, RETRIES};

    #[test]
    fn pauses_grow_to_an_end() {
        let mut pause = Pause::default();
        let waits: Vec<_> = (0..40).map(|_| pause.next()).collect();
        assert!(waits[0] <= RETRIES.first && (RETRIES.cap / 2..=RETRIES.cap).contains(&waits[39]), "{waits:?}");
    }
}
