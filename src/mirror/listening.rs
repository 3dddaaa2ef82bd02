//! Listens to the orders of one tenant in the Realtime Database while the kitchen has some, and says which of them changed there. A stream
//! that ends is opened anew; its first event says how everything is, so nothing is missed. Where more tenants listen than there are
//! streams, they take turns.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{Semaphore, SemaphorePermit, mpsc, watch},
    time::{Instant, sleep, sleep_until},
};
use tracing::{debug, warn};

use super::{
    MirrorContext, Pause,
    database::DatabaseError,
    stream::{HeardOrders, StreamEnd, meaning},
};
use crate::tenant::TenantId;

/// So long a tenant keeps its stream although others wait for one.
const TURN: Duration = Duration::from_secs(30);

/// Between two looks whether others wait.
const LOOK: Duration = Duration::from_secs(5);

/// Streams of all tenants, of which there are so many.
pub struct StreamTurns {
    free: Semaphore,
    /// Each that waits for a stream has a share of it.
    waiting: Arc<()>,
}

impl StreamTurns {
    pub fn new(streams: usize) -> Self {
        Self { free: Semaphore::new(streams), waiting: Arc::default() }
    }

    /// `None`: there are none any more.
    async fn take(&self) -> Option<SemaphorePermit<'_>> {
        let _waits = self.waiting.clone();
        self.free.acquire().await.ok()
    }

    fn are_waited_for(&self) -> bool {
        Arc::strong_count(&self.waiting) > 1
    }
}

/// Until nobody takes what it says. `wanted`: whether the kitchen has orders.
pub async fn run(
    cx: Arc<MirrorContext>,
    tenant: TenantId,
    mut wanted: watch::Receiver<bool>,
    heard: mpsc::Sender<HeardOrders>,
) {
    let mut pause = Pause::default();
    loop {
        if wanted.wait_for(|wanted| *wanted).await.is_err() {
            return;
        }
        let Some(turn) = cx.streams.take().await else { return };
        let began = Instant::now();
        let followed = follow(&cx, &tenant, &mut wanted, &heard).await;
        drop(turn);
        match followed {
            Ok(()) => pause = Pause::default(),
            Err(error) => {
                if matches!(error, DatabaseError::Ended(StreamEnd::Revoked)) {
                    cx.database.forget_token();
                }
                // Each stream ends some time.
                let is_usual = began.elapsed() > TURN;
                if is_usual {
                    pause = Pause::default();
                }
                let wait = pause.next();
                let retry_ms = wait.as_millis() as u64;
                if is_usual {
                    debug!(%error, retry.ms = retry_ms, "a stream of orders is opened anew");
                } else {
                    warn!(
                        event = "kitchen_unheard",
                        %error,
                        retry.ms = retry_ms,
                        "the kitchen's steps are not heard: tried again"
                    );
                }
                sleep(wait).await;
            }
        }
    }
}

async fn unwanted(wanted: &mut watch::Receiver<bool>) {
    let _ = wanted.wait_for(|wanted| !*wanted).await;
}

/// Until it is not wanted any more, or others wait.
async fn follow(
    cx: &MirrorContext,
    tenant: &TenantId,
    wanted: &mut watch::Receiver<bool>,
    heard: &mpsc::Sender<HeardOrders>,
) -> Result<(), DatabaseError> {
    let mut stream = cx.database.listen(&["tenants", tenant.as_str(), "pedidos"]).await?;
    debug!("listening to the kitchen");
    let turn_ends = Instant::now() + TURN;
    let mut look = turn_ends;
    loop {
        tokio::select! {
            events = stream.next() => {
                for event in events? {
                    for orders in meaning(&event)? {
                        if heard.send(orders).await.is_err() {
                            return Ok(());
                        }
                    }
                }
            }
            () = sleep_until(look) => {
                if cx.streams.are_waited_for() {
                    return Ok(());
                }
                look = Instant::now() + LOOK;
            }
            () = unwanted(wanted) => return Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::poll;

    use super::*;

    #[tokio::test]
    async fn a_stream_ends_its_turn_only_where_others_wait() {
        let streams = StreamTurns::new(1);
        let turn = streams.take().await.unwrap();
        assert!(!streams.are_waited_for(), "all are taken, and nobody waits");
        let mut leaving = Box::pin(streams.take());
        assert!(poll!(&mut leaving).is_pending() && streams.are_waited_for());
        drop(leaving);
        assert!(!streams.are_waited_for(), "it has gone");
        let mut next = Box::pin(streams.take());
        assert!(poll!(&mut next).is_pending() && streams.are_waited_for());
        drop(turn);
        assert!(next.await.is_some());
        assert!(!streams.are_waited_for());
    }
}
