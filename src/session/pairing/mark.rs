//! A pairing that has begun and is not over, as a restart of the process must find it: whoever has the code, or has scanned it, is still
//! there, and learns how it goes on. A page that shows a code goes on showing one, until the offer is over that it was made for.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use tokio::sync::watch;
use tracing::warn;

use crate::{
    session::Inner,
    store::{Batch, PAIRING, Store, StoreError, key, space},
};

/// A page that polls makes the offer longer with every look: that is written so seldom.
const STEP: Duration = Duration::from_secs(60);

/// Set while a pairing has begun and is not over.
pub struct PairingMark {
    begun: watch::Sender<Option<PairingOffer>>,
    /// As it was written when the session was opened.
    stored: Option<PairingOffer>,
}

/// When the offer is over, as far as nobody looks again; in milliseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct PairingOffer {
    until: i64,
}

impl PairingOffer {
    fn bytes(self) -> Vec<u8> {
        self.until.to_be_bytes().to_vec()
    }

    /// Marks of earlier versions are empty: theirs are over.
    fn parse(bytes: &[u8]) -> Self {
        Self { until: bytes.try_into().map_or(0, i64::from_be_bytes) }
    }
}

impl PairingMark {
    pub async fn read(store: &Store) -> Result<Self, StoreError> {
        let stored = store.get(space::SETTINGS, &key::text(PAIRING)).await?;
        let stored = stored.map(|stored| PairingOffer::parse(&stored));
        Ok(Self { begun: watch::Sender::new(stored), stored })
    }

    pub fn is_set(&self) -> bool {
        self.begun.borrow().is_some()
    }

    /// How long the offer still stands; `None` when it is over, or was never made.
    pub fn left(&self, now: Timestamp, most: Duration) -> Option<Duration> {
        let until = self.begun.borrow().as_ref()?.until;
        let left = u64::try_from(until - now.as_millisecond()).ok().filter(|left| *left > 0)?;
        // Whatever the clocks of two machines say.
        Some(Duration::from_millis(left).min(most))
    }

    /// It has begun, or somebody looks at it again.
    pub fn offer(&self, now: Timestamp, length: Duration) {
        let length = i64::try_from(length.as_millis()).unwrap_or(i64::MAX);
        let offer = PairingOffer { until: now.as_millisecond().saturating_add(length) };
        self.begun.send_replace(Some(offer));
    }

    pub fn clear(&self) {
        self.begun.send_if_modified(|mark| mark.take().is_some());
    }
}

/// Whether what is written says too little of what is.
fn is_stale(stored: Option<PairingOffer>, now: Option<PairingOffer>) -> bool {
    match (stored, now) {
        (Some(stored), Some(now)) => now.until.abs_diff(stored.until) >= STEP.as_millis() as u64,
        (stored, now) => stored != now,
    }
}

/// Writes the changes, until the session stops. One that begins goes to the vault at once: a process that dies while somebody looks must
/// leave it there. Nobody waits for the others: what is lost with a crash costs a word, and no message.
pub(in crate::session) async fn keep(session: Arc<Inner>) {
    let mut begun = session.pairing_mark.begun.subscribe();
    let mut stored = session.pairing_mark.stored;
    loop {
        let now = *begun.borrow_and_update();
        if is_stale(stored, now) {
            let mut batch = Batch::default();
            match now {
                Some(offer) => batch.put(space::SETTINGS, key::text(PAIRING), offer.bytes()),
                None => batch.delete(space::SETTINGS, key::text(PAIRING)),
            }
            let written = match session.store.write(batch).await {
                Ok(change) if now.is_some() => session.confirm(change).await,
                written => written.map(drop),
            };
            match written {
                // The vault takes it later.
                Ok(()) | Err(StoreError::Unconfirmed) => stored = now,
                Err(error) => warn!(event = "pairing_mark_unwritten", %error, "could not record how far a pairing is"),
            }
        }
        tokio::select! {
            () = session.stop.cancelled() => return,
            changed = begun.changed() => if changed.is_err() { return },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_of_an_offer_is_never_more_than_one_has() {
        let at = |ms| Timestamp::from_millisecond(ms).unwrap();
        let most = Duration::from_secs(300);
        let mark = PairingMark { begun: watch::Sender::new(Some(PairingOffer::parse(&[]))), stored: None };
        assert_eq!((mark.is_set(), mark.left(at(5), most)), (true, None));
        mark.offer(at(1000), most);
        assert_eq!(mark.left(at(1000), most), Some(most));
        assert_eq!(mark.left(at(0), most), Some(most));
        assert_eq!(mark.left(at(300_000), most), Some(Duration::from_secs(1)));
        assert_eq!(mark.left(at(301_000), most), None);
        let offer = *mark.begun.borrow();
        assert_eq!(Some(PairingOffer::parse(&offer.unwrap().bytes())), offer);
        mark.clear();
        assert!(!mark.is_set() && mark.left(at(1000), most).is_none());
    }

    #[test]
    fn a_page_that_polls_costs_a_write_a_minute() {
        let offer = |until| Some(PairingOffer { until });
        assert!(is_stale(None, offer(300_000)) && is_stale(offer(300_000), None));
        assert!(!is_stale(offer(300_000), offer(302_000)) && is_stale(offer(300_000), offer(360_000)));
        assert!(!is_stale(None, None));
    }
}
