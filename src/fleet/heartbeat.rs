//! Two background tasks: the heartbeat, which reconnects dropped sessions, and the writer of the directory's status
//! fields.

use std::{collections::HashMap, sync::Arc, time::Duration};

use futures::{StreamExt as _, stream};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, sleep};
use tracing::{debug, info, warn};

use super::{Beat, Fleet};
use crate::{
    message::ConnectionState,
    session::{End, SessionHealth},
    telemetry::metrics,
    tenant::TenantId,
    vault::{TenantInfo, VaultError},
};

/// Sessions that are asked for a sign of life at the same time.
const PINGS: usize = 64;

/// Status writes at the same time.
const NOTICES: usize = 8;

/// Status writes of a tenant are collected for this long.
const STATUS_DELAY: Duration = Duration::from_secs(5);

/// What the directory says of a session's connection.
pub const CONNECTED: &str = "connected";
pub const CONNECTING: &str = "connecting";
pub const DISCONNECTED: &str = "disconnected";

/// First after `heartbeat.first`, then every `heartbeat.interval`; other figures count from when they come.
pub async fn run(fleet: Arc<Fleet>) {
    let mut changes = fleet.env.heartbeat.subscribe();
    let settings = changes.borrow_and_update().clone();
    let mut beat = ticks(settings.first, settings.interval);
    loop {
        tokio::select! {
            () = fleet.stop.cancelled() => return,
            Ok(()) = changes.changed() => {
                let interval = changes.borrow_and_update().interval;
                beat = ticks(interval, interval);
                continue;
            }
            _ = beat.tick() => {}
        }
        tokio::select! {
            () = fleet.stop.cancelled() => return,
            () = beat_once(&fleet) => {}
        }
    }
}

/// The first after `first`.
pub(super) fn ticks(first: Duration, interval: Duration) -> Interval {
    let mut ticks = interval_at(Instant::now() + first, interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

async fn beat_once(fleet: &Arc<Fleet>) {
    let patience = fleet.heartbeat().ping_timeout;
    let slots: Vec<_> = fleet.slots().iter().map(|(tenant, slot)| (tenant.clone(), slot.clone())).collect();
    let sessions = slots.into_iter().filter_map(|(tenant, slot)| {
        let session = slot.session()?;
        Some((tenant, slot, session))
    });
    let mut counts: HashMap<&'static str, usize> = HashMap::new();
    let mut checks = stream::iter(sessions)
        .map(|(tenant, slot, session)| async move {
            let health = session.check(patience).await;
            slot.set_beat(Beat { at: fleet.env.clock.now(), health: health.clone() });
            (tenant, health)
        })
        .buffer_unordered(PINGS);
    while let Some((tenant, health)) = checks.next().await {
        if let SessionHealth::Reconnecting(why) = health {
            warn!(event = "session_reconnecting", %tenant, why, "reconnecting");
        }
        *counts.entry(health.as_str()).or_default() += 1;
    }
    metrics::heartbeat(fleet.env.clock.now());
    let count = |word| counts.get(word).copied().unwrap_or_default();
    info!(
        event = "heartbeat",
        healthy = count("healthy"),
        reconnecting = count("reconnecting"),
        idle = count("idle"),
        failed = count("failed"),
        "heartbeat"
    );
}

/// Keeps `status`, `lastError` and `lastErrorAt` in the directory: for people, so late and coalesced.
pub async fn keep_directory(fleet: Arc<Fleet>) {
    loop {
        tokio::select! {
            () = fleet.stop.cancelled() => return,
            () = fleet.env.directory.changed.notified() => {}
        }
        tokio::select! {
            () = fleet.stop.cancelled() => return,
            () = sleep(STATUS_DELAY) => {}
        }
        // A vault that is slow or silent does not hold up the stop: what is not written is only shown.
        tokio::select! {
            () = fleet.stop.cancelled() => return,
            () = write_statuses(&fleet) => {}
        }
    }
}

async fn write_statuses(fleet: &Fleet) {
    let due = fleet.env.directory.take();
    stream::iter(due)
        .for_each_concurrent(NOTICES, |(tenant, connection)| write_status(fleet, tenant, connection))
        .await;
}

async fn write_status(fleet: &Fleet, tenant: TenantId, connection: ConnectionState) {
    let slot = fleet.slot(&tenant);
    // Another process's business by now.
    if End::has_moved(&connection) {
        slot.iter().for_each(|slot| slot.set_written(None));
        return;
    }
    // A session that was tested and is as it was costs no write.
    if slot.as_ref().is_some_and(|slot| slot.written().as_ref() == Some(&connection)) {
        return;
    }
    let record = record(fleet, &connection);
    match fleet.env.vault.notice(&tenant, &record).await {
        Ok(()) => slot.iter().for_each(|slot| slot.set_written(Some(connection.clone()))),
        Err(error @ VaultError::Unavailable(_)) => {
            debug!(%tenant, %error, "the status is written later");
            fleet.env.directory.give_back(tenant, connection);
        }
        Err(error) => debug!(%tenant, %error, "the status was not written"),
    }
}

fn record(fleet: &Fleet, connection: &ConnectionState) -> TenantInfo {
    let mut record = TenantInfo::default();
    match connection {
        ConnectionState::Connected { .. } => record.status = Some(CONNECTED.into()),
        ConnectionState::Connecting => record.status = Some(CONNECTING.into()),
        ConnectionState::Disconnected { reason, .. } => {
            record.status = Some(DISCONNECTED.into());
            record.last_error = Some(Some(reason.clone()));
            record.last_error_at = Some(Some(fleet.env.clock.now()));
        }
    }
    record
}
