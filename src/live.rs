//! Socket.IO: what happens, as it happens, to the dashboards that may see it.
//!
//! A socket proves itself in the handshake (`auth.key` or `auth.token`), and lives no longer than what it proved itself with. It says
//! `register(tenantId)` or, to get what it missed, `register({tenantId, cursor})` with the `eventId` of the last event that it has
//! seen; for tenants that it may read. Each registration is a task of its own
//! that reads the log and the feed, so a slow client holds up nobody else: what waits for it is its queue, and the rest stays in the
//! log until it reads. One that answers no ping is gone, and so is one that shows no key for some seconds: [`visitors`].
//!
//! A client is refused only by what it can change itself. Socket.IO's clients take a refusal (`connect_error`) as final, and connect
//! again by themselves after a cut: so they are cut where nobody can tell yet, and by a process that stops.

mod following;
mod outlet;
mod packets;
mod peer_events;
mod seats;
mod visitors;

use std::{collections::HashMap, sync::Arc, time::Duration};

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
use tokio::time::sleep;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::debug;

use self::{
    outlet::EventOutlet,
    seats::{Seat, Seats},
    visitors::{MAX_PAYLOAD, PATH, Visitor, Visitors},
};
use crate::{
    api::{Auth, AuthError, Caller, Forwarder, Scope, Valid, allows},
    config,
    fleet::Fleet,
    message::EventId,
    sync::lock,
    tenant::TenantId,
};

/// How long a client may take to open, and to read what is on its way to it before its goodbye.
const SOCKET_CLOSE_TIMEOUT: Duration = Duration::from_secs(20);

/// How much longer than a handshake may take a client that is cut stays unanswered.
const CUT_MARGIN: Duration = Duration::from_secs(1);

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
    /// How long a handshake may take.
    handshake_timeout: Duration,
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
        let handshake_timeout = settings.handshakes.timeout;
        let context =
            LiveContext { fleet, auth: auth.clone(), origins, handshake_timeout, seats, forwarder, tasks, stop };
        let (sockets, io) = SocketIo::builder()
            .req_path(PATH)
            .max_payload(MAX_PAYLOAD as u64)
            .max_buffer_size(MAX_UNREAD)
            .ws_max_message_size(MAX_PAYLOAD)
            .ws_max_frame_size(MAX_PAYLOAD)
            .connect_timeout(handshake_timeout)
            .with_state(context.clone())
            .build_layer();
        io.ns("/", (async || ()).with(admit));
        // The library forgets that one when it closes, and refuses whoever connects then ("Invalid namespace"). This one it makes anew.
        io.dyn_ns("/", (async || ()).with(admit)).expect("the path is a pattern");
        (Self { io, context }, Doorway { sockets, auth, visitors })
    }

    /// What other processes ask for, for their own clients. For the second port. `most`: clients at the same time, of all processes.
    pub fn peer_router(&self, most: usize) -> Router {
        peer_events::router(self.context.clone(), most)
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
    /// The client does not get to read it.
    #[error("unavailable: try again")]
    Cut,
    #[error("forbidden: this page may not connect without a key")]
    Origin,
    #[error("too many: the key has as many sockets as it may")]
    Full,
}

impl LiveContext {
    /// Ends a client's connection without an answer, so that the client connects again. One that polls is ended by the library, as
    /// one that takes too long; what is answered after that reaches nobody.
    async fn cut(&self, visitor: Option<&Arc<Visitor>>) -> ConnectError {
        if let Some(visitor) = visitor {
            visitor.hang_up();
        }
        sleep(self.handshake_timeout + CUT_MARGIN).await;
        ConnectError::Cut
    }
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
    if shared.stop.is_cancelled() || matches!(identified, Err(AuthError::Unavailable)) {
        return Err(shared.cut(visitor).await);
    }
    let valid = identified.map_err(|denied| {
        if let Some(visitor) = visitor.filter(|visitor| !visitor.may_try_again()) {
            visitor.hang_up();
        }
        ConnectError::Unauthorized(denied)
    })?;
    let address = visitor.and_then(|visitor| visitor.address);
    let seat = shared.seats.take(&valid.caller, address).ok_or(ConnectError::Full)?;
    if visitor.is_some_and(|visitor| !visitor.enter()) {
        // Others took its place while its key was looked up. That passes.
        return Err(shared.cut(visitor).await);
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
        let mut known = lock(&registrations.tenants);
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
        let outlet = EventOutlet::Client(socket.clone());
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

fn now(fleet: &Fleet) -> i64 {
    fleet.env().clock.now().as_millisecond()
}
