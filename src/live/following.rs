//! One registration: what happens to a tenant that is here, from a place in its log on, into an outlet.

use std::{ops::ControlFlow, sync::Arc, time::Duration};

use serde_json::json;
use tokio::{
    sync::broadcast::error::RecvError,
    time::{sleep, timeout},
};
use tracing::debug;
use ulid::Ulid;

use super::{
    EventOutlet, now,
    packets::{emit_connection, emit_event, emit_qr},
    unknown,
    visitors::Visitor,
};
use crate::{
    fleet::Fleet,
    message::{ConnectionState, EventId, FeedItem},
    session::End,
    telemetry::{
        metrics::{self, label::Consumer},
        traces::{self, SpanName},
    },
    tenant::TenantId,
};

/// Between two looks for a tenant that somebody has registered for before it exists, or whose events cannot be read now.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// So seldom the vault is asked whether another process has it.
const LOOKS_A_READ: u32 = 10;

/// How far a registration has come.
pub struct StreamPlace {
    /// The last event that went out, or after which it begins.
    pub cursor: Option<EventId>,
    /// The client knows where it begins.
    pub is_begun: bool,
}

/// Everything of one tenant to one outlet, from its place on (from now on without one), as long as this process can tell. Of one that
/// does not exist the client is told so, and nothing else until it is made: a dashboard may be open before its tenant connects for the
/// first time. `goes_on`: ends when another process has the tenant, which says the rest (`Continue`).
pub async fn follow(
    fleet: &Arc<Fleet>,
    outlet: &EventOutlet,
    tenant: &TenantId,
    place: &mut StreamPlace,
    exists: bool,
    may_pair: bool,
    goes_on: bool,
) -> ControlFlow<()> {
    // First listen, then read: nothing falls between.
    let mut notices = fleet.env().feed.subscribe(tenant);
    if !exists {
        outlet.emit("error", &unknown(tenant)).await;
        // One that is made, and connects to nothing, gives no notice.
        let mut looks = 0;
        while fleet.status(tenant).is_none() {
            if let Ok(Err(RecvError::Closed)) = timeout(LOOK_AGAIN, notices.recv()).await {
                return ControlFlow::Break(());
            }
            looks += 1;
            if goes_on && has_gone(fleet, tenant, looks).await {
                // From its beginning.
                place.cursor = Some(EventId(Ulid::nil()));
                return ControlFlow::Continue(());
            }
        }
    }
    if !exists {
        // It was made meanwhile: from its beginning.
        place.cursor.get_or_insert(EventId(Ulid::nil()));
    }
    // What came after its cursor; a tenant that is not up yet has to wait for it.
    let mut is_behind = place.cursor.is_some();
    if !is_behind {
        // An empty log begins with what comes. How far the log of a tenant has come that nobody has, nobody knows.
        let beginning = || fleet.session(tenant).map(|_| EventId(Ulid::nil()));
        place.cursor = fleet.newest_event(tenant).or_else(beginning);
    }
    if !place.is_begun {
        let mut registered = json!({ "tenantId": tenant, "socketId": outlet.client().map(|socket| socket.id) });
        if let Some(cursor) = place.cursor {
            // A client that hears nothing before its line breaks has a place to go on at.
            registered["cursor"] = json!(cursor);
        }
        outlet.emit("registered", &registered).await;
        place.is_begun = true;
    }
    let last = &mut place.cursor;
    if exists && may_pair && fleet.status(tenant).is_none() {
        open_unpaired(fleet, tenant).await;
    }
    // How it stands at another process, that one says.
    let is_anothers =
        |connection: &ConnectionState| goes_on && End::has_moved(connection) && fleet.has_peer_listeners();
    if let Some(status) = fleet.status(tenant).filter(|status| !is_anothers(&status.connection())) {
        emit_connection(outlet, tenant, &status.connection(), now(fleet)).await;
        if let Some(qr) = status.qr.filter(|_| may_pair) {
            emit_qr(outlet, tenant, qr.code.expose(), now(fleet)).await;
        }
    }
    let mut looks = 0;
    loop {
        if is_behind && let Some(session) = fleet.session(tenant) {
            // The event of the cursor may have been lost with an earlier process.
            *last = last.map(|last| session.place_of(last));
            is_behind = !catch_up(fleet, outlet, tenant, last).await;
        }
        let may_be_elsewhere = goes_on && fleet.session(tenant).is_none();
        let heard = if is_behind || may_be_elsewhere {
            // A session that is opened again, or a store that answers again, gives no notice; nor does another process.
            let Ok(heard) = timeout(LOOK_AGAIN, notices.recv()).await else {
                looks += 1;
                if may_be_elsewhere && has_gone(fleet, tenant, looks).await {
                    return ControlFlow::Continue(());
                }
                continue;
            };
            heard
        } else {
            notices.recv().await
        };
        match heard {
            // Older events may not have been read yet: this one comes from the log, after them.
            Ok(FeedItem::Event(_)) if is_behind => {}
            Ok(FeedItem::Event(event)) if last.is_none_or(|last| event.id > last) => {
                *last = Some(event.id);
                emit_event(fleet, outlet, &event).await;
                if let Some(message) = event.body.message() {
                    metrics::message_delivered(Consumer::SocketIo, event.at_ms(), fleet.env().clock.now());
                    traces::message(tenant, &message.id, SpanName::OnSocket, traces::since(event.at_ms()));
                }
            }
            Ok(FeedItem::Event(_) | FeedItem::Presence(_)) => {}
            Ok(FeedItem::Connection(connection)) if is_anothers(&connection) => return ControlFlow::Continue(()),
            Ok(FeedItem::Connection(connection)) => {
                emit_connection(outlet, tenant, &connection, now(fleet)).await;
                if End::has_moved(&connection) && fleet.is_leaving() {
                    send_on(outlet).await;
                    return ControlFlow::Break(());
                }
            }
            Ok(FeedItem::Qr(_)) if !may_pair => {}
            Ok(FeedItem::Qr(qr)) => emit_qr(outlet, tenant, qr.expose(), now(fleet)).await,
            Ok(FeedItem::InLog) => is_behind = true,
            // Too slow for the feed: the log has what was missed.
            Err(RecvError::Lagged(_)) => {
                if let Some(status) = fleet.status(tenant) {
                    emit_connection(outlet, tenant, &status.connection(), now(fleet)).await;
                }
                is_behind = true;
            }
            Err(RecvError::Closed) => return ControlFlow::Break(()),
        }
    }
}

/// Another process takes questions about it by now. Of one that was made there, and is not paired yet, or whose former owner died, only
/// the vault tells: it is asked at some of the looks.
async fn has_gone(fleet: &Fleet, tenant: &TenantId, looks: u32) -> bool {
    let asks_vault = looks.is_multiple_of(LOOKS_A_READ) && fleet.has_peer_listeners();
    fleet.known_listener(tenant).is_some() || asks_vault && fleet.find_listener(tenant).await.is_some()
}

/// Ends the client's line after its tenant was given away: this process hears nothing more of the tenant. The client
/// reconnects by itself, to a process that stays, and continues from its cursor.
pub async fn send_on(outlet: &EventOutlet) {
    /// What was said last goes out first, and tenants that go in the same moment cost one line.
    const FAREWELL: Duration = Duration::from_secs(1);
    sleep(FAREWELL).await;
    let Some(socket) = outlet.client() else { return };
    if let Some(visitor) = socket.req_parts().extensions.get::<Arc<Visitor>>() {
        visitor.hang_up();
    }
}

/// A page that showed a code before a restart shows the next one: its offer goes on once the tenant is open. One that is paired is somebody
/// else's to serve, and so is one whose code a process that lives shows.
async fn open_unpaired(fleet: &Arc<Fleet>, tenant: &TenantId) {
    let is_unpaired = matches!(fleet.record(tenant).await, Ok(Some(record)) if !record.whatsapp_connected);
    if is_unpaired && let Err(error) = fleet.open_known_in_turn(tenant).await {
        debug!(%tenant, %error, "a tenant is not opened for its dashboard");
    }
}

/// What the log has after `last`. False: it cannot be read to its end now, and the rest is still to come.
async fn catch_up(fleet: &Fleet, outlet: &EventOutlet, tenant: &TenantId, last: &mut Option<EventId>) -> bool {
    const PAGE: usize = 100;
    loop {
        // Deleted before it was read here: the client is told, and knows that it must ask for the conversations anew.
        let trimmed = fleet.session(tenant).and_then(|session| session.trimmed());
        if let Some(trimmed) = trimmed.filter(|trimmed| last.is_some_and(|last| last < *trimmed)) {
            let gap = json!({ "tenantId": tenant, "after": *last, "until": trimmed, "timestamp": now(fleet) });
            *last = Some(trimmed);
            outlet.emit("events:gap", &gap).await;
        }
        let events = match fleet.events_after(tenant, *last, PAGE).await {
            // Retention was at work meanwhile: the gap first.
            Ok(_) if fleet.session(tenant).and_then(|session| session.trimmed()) != trimmed => continue,
            Ok(events) => events,
            Err(error) => {
                debug!(%tenant, %error, "events cannot be read now: tried again");
                return false;
            }
        };
        for event in &events {
            *last = Some(event.id);
            emit_event(fleet, outlet, event).await;
        }
        // A page of large events has fewer.
        if events.is_empty() {
            return true;
        }
    }
}
