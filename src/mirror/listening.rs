//! Listens to the orders of one tenant in the Realtime Database while the kitchen has some, and says which of them changed there. A stream
//! that ends is opened anew; its first event says how everything is, so nothing is missed. Where more tenants listen than there are
//! streams, they take turns.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{mpsc, watch},
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
        let Ok(turn) = cx.streams.acquire().await else { return };
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
                    warn!(%error, retry.ms = retry_ms, "the kitchen's steps are not heard: tried again");
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
                if cx.streams.available_permits() == 0 {
                    return Ok(());
                }
                look = Instant::now() + LOOK;
            }
            () = unwanted(wanted) => return Ok(()),
        }
    }
}
