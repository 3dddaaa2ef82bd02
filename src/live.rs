//! Socket.IO: what happens, as it happens, to the dashboards that may see it.
//!
//! A socket proves itself in the handshake (`auth.key` or `auth.token`), and lives no longer than what it proved itself with. It says
//! `register(tenantId)` or, to get what it missed, `register({tenantId, cursor})` with the `eventId` of the last event that it has
//! seen; for tenants that it may read. Each registration is a task of its own
//! that reads the log and the feed, so a slow client holds up nobody else: what waits for it is its queue, and the rest stays in the
//! log until it reads. One that answers no ping is gone, and so is one that shows no key for some seconds: [`visitors`].

mod outlet;
mod peer_events;
mod seats;
mod visitors;

use std::{collections::HashMap, ops::ControlFlow, sync::Arc, time::Duration};

use axum::{Router, extract::Request, http::header, middleware};
use serde::Deserialize;
use serde_json::{Value, json};
use socketioxide::{
    SocketIo,
    extract::{SocketRef, State, TryData},
    handler::ConnectHandler as _,
    layer::SocketIoLayer,
    socket::DisconnectReason,
};
use tokio::{
    sync::broadcast::error::RecvError,
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{debug, warn};

use self::{
    outlet::Outlet,
    seats::{Seat, Seats},
    visitors::{MAX_PAYLOAD, PATH, Visitor, Visitors},
};
use crate::{
    api::{Auth, AuthError, Caller, Forwarder, Scope, Valid, allows, old_form},
    config,
    fleet::Fleet,
    message::{ConnectionState, Delivery, Event, EventBody, EventId, FeedItem, OrderChange, status::STATUS_CHAT},
    telemetry::metrics::{self, label::Consumer},
    tenant::TenantId,
    waha::{self, KitchenOrder, View},
};

/// How long a client may take to open, and to read what is on its way to it before its goodbye.
const SOCKET_CLOSE_TIMEOUT: Duration = Duration::from_secs(20);

/// Between two looks for a tenant that somebody has registered for before it exists, or whose events cannot be read now.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Packets that wait for a client. One with a long text has some 120 KiB, so that a client that does not read holds a MiB.
const MAX_UNREAD: usize = 8;

/// Tenants that one socket may register for.
const MAX_REGISTRATIONS: usize = 64;

/// The Socket.IO server.
pub struct Live {
    io: SocketIo,
    context: LiveContext,
}

#[derive(Clone)]
struct LiveContext {
    fleet: Arc<Fleet>,
    auth: Arc<Auth>,
    origins: config::Origins,
    seats: Seats,
    /// `None`: what other processes have is not followed.
    forwarder: Option<Arc<Forwarder>>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

/// Whose socket it is, what it has registered for, and when it is gone.
#[derive(Clone)]
struct Registrations {
    caller: Caller,
    /// What ends each of them.
    tenants: Arc<std::sync::Mutex<HashMap<TenantId, CancellationToken>>>,
    gone: CancellationToken,
    _seat: Arc<Seat>,
}

/// What a handshake brings: a key or a token, under either name.
#[derive(Deserialize)]
struct Handshake {
    key: Option<String>,
    token: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Registration {
    Tenant(String),
    Resume {
        #[serde(rename = "tenantId")]
        tenant_id: String,
        cursor: Option<EventId>,
    },
}

impl Live {
    /// `sockets`: how many WebSockets there may be in all.
    pub fn new(
        fleet: Arc<Fleet>,
        auth: Arc<Auth>,
        forwarder: Option<Arc<Forwarder>>,
        settings: &config::Http,
        sockets: usize,
    ) -> (Self, Doorway) {
        let tasks = TaskTracker::new();
        let stop = CancellationToken::new();
        let visitors = Visitors::new(settings.handshakes.clone());
        let origins = settings.origins.clone();
        let seats = Seats::new(sockets);
        let context = LiveContext { fleet, auth: auth.clone(), origins, seats, forwarder, tasks, stop };
        let (sockets, io) = SocketIo::builder()
            .req_path(PATH)
            .max_payload(MAX_PAYLOAD as u64)
            .max_buffer_size(MAX_UNREAD)
            .ws_max_message_size(MAX_PAYLOAD)
            .ws_max_frame_size(MAX_PAYLOAD)
            .connect_timeout(settings.handshakes.timeout)
            .with_state(context.clone())
            .build_layer();
        io.ns("/", (async || ()).with(admit));
        (Self { io, context }, Doorway { sockets, auth, visitors })
    }

    /// What other processes ask for, for their own clients. For the second port.
    pub fn peer_router(&self) -> Router {
        peer_events::router(self.context.clone())
    }

    /// Disconnects everyone. Bounded: a client that does not answer is not waited for.
    pub async fn close(&self) {
        self.context.stop.cancel();
        self.context.tasks.close();
        self.context.tasks.wait().await;
        // The library waits for every client without a limit.
        if tokio::time::timeout(Duration::from_millis(500), self.io.close()).await.is_err() {
            debug!("some sockets did not close in time");
        }
    }
}

/// The way from a request to a socket.
pub struct Doorway {
    sockets: SocketIoLayer,
    auth: Arc<Auth>,
    visitors: Arc<Visitors>,
}

impl Doorway {
    /// The same routes, and Socket.IO.
    pub fn beside(self, router: Router) -> Router {
        let Self { sockets, auth, visitors } = self;
        router.layer(sockets).layer(middleware::from_fn(move |request: Request, next| {
            visitors::pass(auth.clone(), visitors.clone(), request, next)
        }))
    }
}

/// The client sees it as `connect_error`.
#[derive(Debug, thiserror::Error)]
enum ConnectError {
    #[error("unauthorized: {0}")]
    Unauthorized(AuthError),
    #[error("unavailable: {0}")]
    Unavailable(AuthError),
    #[error("forbidden: this page may not connect without a key")]
    Origin,
    #[error("too many: the key has as many sockets as it may")]
    Full,
}

/// What a client may say once it is in.
pub const EVENTS: [&str; 1] = ["register"];

/// Lets a socket in that has a key or a token, and listens to it.
///
/// Listens here and not in the connect handler: socketioxide 0.18 runs that one only after it has told the client that it is
/// connected (`ns.rs`, `connect`), and drops what a quick client says in between.
async fn admit(
    socket: SocketRef,
    State(shared): State<LiveContext>,
    TryData(handshake): TryData<Handshake>,
) -> Result<(), ConnectError> {
    let brought = handshake.map_or([None, None], |handshake| [handshake.key, handshake.token]);
    let credential = brought.into_iter().flatten().find(|credential| !credential.is_empty());
    let visitor = socket.req_parts().extensions.get::<Arc<Visitor>>();
    let identified = match credential {
        Some(credential) => shared.auth.identify_from(visitor.and_then(|visitor| visitor.address), &credential).await,
        None if shared.auth.legacy_open() => {
            // A browser lets every page open a WebSocket: where only some may call, that is said here.
            if !allows(&shared.origins, socket.req_parts().headers.get(header::ORIGIN)) {
                return Err(ConnectError::Origin);
            }
            Ok(Valid { caller: Caller::Anyone, gone: CancellationToken::new(), expires_at: None })
        }
        None => Err(AuthError::Missing),
    };
    let valid = identified.map_err(|denied| {
        if let Some(visitor) = visitor.filter(|visitor| !visitor.may_try_again()) {
            visitor.hang_up();
        }
        match denied {
            AuthError::Missing | AuthError::Wrong | AuthError::TooMany { .. } => ConnectError::Unauthorized(denied),
            AuthError::Unavailable => ConnectError::Unavailable(denied),
        }
    })?;
    let address = visitor.and_then(|visitor| visitor.address);
    let seat = shared.seats.take(&valid.caller, address).ok_or(ConnectError::Full)?;
    if visitor.is_some_and(|visitor| !visitor.enter()) {
        return Err(ConnectError::Full);
    }
    let gone = shared.stop.child_token();
    socket.extensions.insert(Registrations {
        caller: valid.caller.clone(),
        tenants: Arc::default(),
        gone: gone.clone(),
        _seat: Arc::new(seat),
    });
    shared.tasks.spawn(end_with_its_credential(socket.clone(), valid, gone.clone(), shared.clone()));
    socket.on_disconnect(move |socket: SocketRef, reason: DisconnectReason| {
        gone.cancel();
        // Its session would stay for as long as it answers pings.
        let visitor = socket.req_parts().extensions.get::<Arc<Visitor>>();
        if let Some(visitor) = visitor.filter(|_| reason == DisconnectReason::ClientNSDisconnect) {
            visitor.hang_up();
        }
        std::future::ready(())
    });
    socket.on("register", on_register);
    Ok(())
}

/// A socket is disconnected when its key is revoked or its token has expired.
async fn end_with_its_credential(socket: SocketRef, valid: Valid, gone: CancellationToken, shared: LiveContext) {
    let clock = &shared.fleet.env().clock;
    let expiry = async {
        match valid.expires_at {
            Some(at) => clock.sleep(at.duration_since(clock.now()).try_into().unwrap_or_default()).await,
            None => std::future::pending().await,
        }
    };
    let reason = tokio::select! {
        () = gone.cancelled() => return,
        // Nobody else gives its seat back.
        () = lost(&socket) => return drop(socket.extensions.remove::<Registrations>()),
        () = valid.gone.cancelled() => "the key is no longer valid",
        () = expiry => "the token has expired",
    };
    // Whatever it still has to read, it gets nothing more.
    gone.cancel();
    let _ = socket.emit("error", &json!({ "code": "unauthorized", "error": reason }));
    // A full queue refuses the goodbye: then once there is room, or never, if the client is gone.
    let leaving = async {
        while socket.clone().disconnect().is_err() {
            sleep(Duration::from_millis(20)).await;
        }
    };
    let _ = shared.stop.run_until_cancelled(tokio::time::timeout(SOCKET_CLOSE_TIMEOUT, leaving)).await;
}

async fn on_register(
    socket: SocketRef,
    State(shared): State<LiveContext>,
    TryData(registration): TryData<Registration>,
) {
    let refuse = |error: &str| {
        let _ = socket.emit("error", &json!({ "code": "invalid_input", "error": error }));
    };
    let (tenant, cursor) = match registration {
        Ok(Registration::Tenant(tenant)) => (tenant, None),
        Ok(Registration::Resume { tenant_id, cursor }) => (tenant_id, cursor),
        Err(_) => return refuse("register takes a tenantId, or {tenantId, cursor}"),
    };
    let Ok(tenant) = tenant.parse::<TenantId>() else { return refuse("tenantId is not valid") };
    let Some(registrations) = socket.extensions.get::<Registrations>() else { return };
    if registrations.gone.is_cancelled() {
        return;
    }
    if registrations.caller.permit(&tenant, Scope::Read).is_err() {
        let _ = socket.emit("error", &json!({ "code": "forbidden", "error": "this tenant is not yours to read" }));
        return;
    }
    let exists = exists(&shared.fleet, &tenant).await;
    let over = registrations.gone.child_token();
    {
        let mut known = registrations.tenants.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        match known.get(&tenant) {
            Some(_) if !exists => {
                let _ = socket.emit("error", &unknown(&tenant));
                return;
            }
            Some(_) if cursor.is_none() => {
                let _ = socket.emit("registered", &json!({ "tenantId": tenant, "socketId": socket.id }));
                return;
            }
            // It goes on from the cursor instead.
            Some(former) => former.cancel(),
            None if known.len() >= MAX_REGISTRATIONS => return refuse("too many registrations on one socket"),
            None => {}
        }
        known.insert(tenant.clone(), over.clone());
    }
    // Who sees the code can link a phone of their own: over HTTP that takes the same scope.
    let may_pair = registrations.caller.permit(&tenant, Scope::Control).is_ok();
    let tasks = shared.tasks.clone();
    tasks.spawn(async move {
        let outlet = Outlet::Client(socket.clone());
        tokio::select! {
            () = over.cancelled() => {}
            () = lost(&socket) => {}
            () = peer_events::follow_everywhere(&shared, &outlet, &tenant, cursor, exists, may_pair) => {}
        }
    });
}

/// Returns when the socket is gone. Polls: a socket that ends while it opens triggers no disconnect handler.
async fn lost(socket: &SocketRef) {
    loop {
        sleep(SOCKET_CLOSE_TIMEOUT).await;
        if !socket.connected() {
            return;
        }
    }
}

/// While the vault does not answer nobody knows, and the registration waits.
async fn exists(fleet: &Fleet, tenant: &TenantId) -> bool {
    fleet.status(tenant).is_some() || !matches!(fleet.record(tenant).await, Ok(None))
}

fn unknown(tenant: &TenantId) -> Value {
    json!({
        "code": "unknown_tenant", "tenantId": tenant,
        "error": "there is no such tenant; registered as soon as it is made",
    })
}

/// How far a registration has come.
struct Place {
    /// The last event that went out, or after which it begins.
    cursor: Option<EventId>,
    /// The client knows where it begins.
    is_begun: bool,
}

/// Everything of one tenant to one outlet, from its place on (from now on without one), as long as this process can tell. Of one that does not
/// exist the client is told so, and nothing else until it is made: a dashboard may be open before its tenant connects for the first time.
/// `goes_on`: ends when another process has the tenant, which says the rest (`Continue`).
async fn follow(
    fleet: &Arc<Fleet>,
    outlet: &Outlet,
    tenant: &TenantId,
    place: &mut Place,
    exists: bool,
    may_pair: bool,
    goes_on: bool,
) -> ControlFlow<()> {
    // First listen, then read: nothing falls between.
    let mut notices = fleet.env().feed.subscribe(tenant);
    if !exists {
        outlet.emit("error", &unknown(tenant)).await;
        // One that is made, and connects to nothing, gives no notice.
        while fleet.status(tenant).is_none() {
            if let Ok(Err(RecvError::Closed)) = timeout(LOOK_AGAIN, notices.recv()).await {
                return ControlFlow::Break(());
            }
        }
    }
    // What came after its cursor; a tenant that is not up yet has to wait for it, and one that comes from another process has all of it.
    let mut is_behind = place.cursor.is_some() || place.is_begun || !exists;
    if !is_behind {
        place.cursor = fleet.newest_event(tenant);
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
    let is_anothers = |connection: &ConnectionState| goes_on && has_moved(connection) && fleet.has_peer_listeners();
    if let Some(status) = fleet.status(tenant).filter(|status| !is_anothers(&status.connection())) {
        emit_connection(outlet, tenant, &status.connection(), now(fleet)).await;
        if let Some(qr) = status.qr.filter(|_| may_pair) {
            emit_qr(outlet, tenant, qr.code.expose(), now(fleet)).await;
        }
    }
    loop {
        if is_behind && let Some(session) = fleet.session(tenant) {
            // The event of the cursor may have been lost with an earlier process.
            *last = last.map(|last| session.place_of(last));
            is_behind = !catch_up(fleet, outlet, tenant, last).await;
        }
        let may_be_elsewhere = goes_on && fleet.session(tenant).is_none();
        let heard = if is_behind || may_be_elsewhere {
            // A session that is opened again, or a store that answers again, gives no notice; nor does another process.
            match timeout(LOOK_AGAIN, notices.recv()).await {
                Ok(heard) => heard,
                Err(_) if may_be_elsewhere && fleet.known_listener(tenant).is_some() => {
                    return ControlFlow::Continue(());
                }
                Err(_) => continue,
            }
        } else {
            notices.recv().await
        };
        match heard {
            // Older events may not have been read yet: this one comes from the log, after them.
            Ok(FeedItem::Event(_)) if is_behind => {}
            Ok(FeedItem::Event(event)) if last.is_none_or(|last| event.id > last) => {
                *last = Some(event.id);
                emit_event(fleet, outlet, &event).await;
                if event.body.message().is_some() {
                    metrics::message_delivered(Consumer::SocketIo, event.at_ms(), fleet.env().clock.now());
                }
            }
            Ok(FeedItem::Event(_) | FeedItem::Presence(_)) => {}
            Ok(FeedItem::Connection(connection)) if is_anothers(&connection) => return ControlFlow::Continue(()),
            Ok(FeedItem::Connection(connection)) => {
                emit_connection(outlet, tenant, &connection, now(fleet)).await;
                if has_moved(&connection) && fleet.is_leaving() {
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

fn has_moved(connection: &ConnectionState) -> bool {
    matches!(connection, ConnectionState::Disconnected { reason, .. } if reason == "moved")
}

/// Ends the client's line after its tenant was given away: this process hears nothing more of the tenant. The client
/// reconnects by itself, to a process that stays, and continues from its cursor.
async fn send_on(outlet: &Outlet) {
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
async fn catch_up(fleet: &Fleet, outlet: &Outlet, tenant: &TenantId, last: &mut Option<EventId>) -> bool {
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

/// Where a message of the tenant begins: what its phone wrote is with WhatsApp, and no other event will say so.
async fn first_status(fleet: &Fleet, tenant: &TenantId, message_id: &str) -> Delivery {
    let Some(session) = fleet.session(tenant) else { return Delivery::Accepted };
    match session.delivery(message_id).await {
        Ok(None) => Delivery::Sent,
        Ok(Some(_)) | Err(_) => Delivery::Accepted,
    }
}

async fn emit_event(fleet: &Fleet, outlet: &Outlet, event: &Event) {
    let (tenant, at, id, links) = (&event.tenant, event.at_ms(), event.id, &fleet.env().media.links);
    // The old service never told of them, and its pages would take one for a conversation.
    if event.body.chat() == STATUS_CHAT {
        return;
    }
    match &event.body {
        EventBody::Received { message } | EventBody::Sent { message } if message.content.is_mark() => {
            let payload = json!({
                "tenantId": tenant, "message": old_form::message(tenant, message.clone(), links), "timestamp": at, "eventId": id,
            });
            outlet.emit("message:marked", &payload).await;
        }
        EventBody::Received { message } => {
            let payload = json!({
                "tenantId": tenant, "message": old_form::message(tenant, message.clone(), links), "timestamp": at, "eventId": id,
            });
            outlet.emit("message:received", &payload).await;
        }
        EventBody::Sent { message } => {
            let mut payload = json!({
                "tenantId": tenant, "message": old_form::message(tenant, message.clone(), links), "timestamp": at, "eventId": id,
            });
            payload["message"]["status"] = json!(first_status(fleet, tenant, &message.id).await.as_str());
            outlet.emit("message:sent", &payload).await;
        }
        EventBody::Status { message_id, chat, status, failure, .. } => {
            let status = status.as_str();
            let mut payload = json!({
                "tenantId": tenant, "messageId": message_id, "chat": chat, "status": status,
                "timestamp": at, "eventId": id,
            });
            if let Some(failure) = failure {
                payload["failure"] = json!(failure);
            }
            outlet.emit("message:status", &payload).await;
        }
        // The old service's kitchen page reads the order itself.
        EventBody::Order { change, restaurant, order } => {
            let event = match change {
                OrderChange::Created => "nuevo-pedido",
                OrderChange::Updated => "pedido:actualizado",
            };
            let mut payload = json!(KitchenOrder::new(tenant.as_str(), restaurant, order));
            payload["eventId"] = json!(id);
            outlet.emit(event, &payload).await;
        }
        // What the old contract has no word for: `call.received` is `call:received`, and its payload the `call`.
        body => {
            let Some(name) = waha::names(body).first() else { return };
            let event = name.as_str().replace(".v2.", ".").replace('.', ":");
            let about = event.split(':').next().unwrap_or_default();
            let payload = json!({
                "tenantId": tenant, about: waha::payload(tenant.as_str(), body, *name, View::plain("")),
                "timestamp": at, "eventId": id,
            });
            outlet.emit(&event, &payload).await;
        }
    }
}

async fn emit_connection(outlet: &Outlet, tenant: &TenantId, connection: &ConnectionState, now_ms: i64) {
    let (status, details) = match connection {
        ConnectionState::Connected { phone_number } => ("connected", json!({ "phoneNumber": phone_number })),
        ConnectionState::Connecting => ("connecting", json!({})),
        ConnectionState::Disconnected { reason, scan_needed } => {
            ("disconnected", json!({ "reason": reason, "scanNeeded": scan_needed }))
        }
    };
    let payload = json!({ "tenantId": tenant, "status": status, "details": details, "timestamp": now_ms });
    outlet.emit("connection:status", &payload).await;
}

async fn emit_qr(outlet: &Outlet, tenant: &TenantId, qr: &str, now_ms: i64) {
    outlet.emit("qr:updated", &json!({ "tenantId": tenant, "qr": qr, "timestamp": now_ms })).await;
}

fn now(fleet: &Fleet) -> i64 {
    fleet.env().clock.now().as_millisecond()
}
