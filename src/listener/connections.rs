//! Who is connected, and who has to leave.
//!
//! Owns the counts, in all and by address. When there is no room, the one leaves that was waited for longest: for its next request, for the
//! rest of one, for a key on its WebSocket, to take an answer; those that have shown a key come last. Requests with a key that are being
//! answered, and WebSockets with one, stay. So half requests and slow readers by the hundreds keep nobody out, not even those who come from
//! behind the same proxy. WebSockets never take all places. One sweep ends what takes too long: no connection has timers of its own.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, Weak},
    time::Duration,
};

use rustix::net::{Shutdown, shutdown};
use tokio::{
    net::TcpStream,
    sync::Notify,
    time::{Instant, timeout},
};
use tracing::warn;

use super::{
    activity::{Activity, ActivityLimits, ConnectionPhase, HeadEnd},
    address::{is_trusted, network_of},
    transfer::{Transfer, TransferPatience},
};
use crate::{config, sync::lock};

/// Connections that were told to leave and are still open, before no more are taken: each has its descriptor until it is gone.
const MOST_LEAVING: usize = 16;

/// How long that holds up newcomers at the most.
const LEAVING_TIMEOUT: Duration = Duration::from_secs(1);

/// Connections of this moment that give way as late as those with a key. A page opens some at once, and each would close the one before it;
/// more of them are a flood, which takes no place of one that has shown a key.
const SPARED_NEWCOMERS: usize = 16;

/// How often it is told that there was no room.
const TELL_AGAIN: Duration = Duration::from_secs(60);

/// There is no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RefusedConnectionError;

/// The listener's part of the process's file descriptors.
#[derive(Debug, Clone, Copy)]
pub struct Room {
    pub connections: usize,
    /// The first descriptor that no connection takes.
    pub reserve: u64,
}

#[derive(Debug, Clone, Copy)]
struct ConnectionLimits {
    most: usize,
    web_sockets: usize,
    per_address: usize,
    /// The first descriptor of the reserve.
    reserve: u64,
    activity: ActivityLimits,
}

pub struct Connections {
    limits: ConnectionLimits,
    proxies: config::Proxies,
    table: Mutex<ConnectionTable>,
    /// One that was told to leave is gone.
    left: Notify,
}

#[derive(Default)]
struct ConnectionTable {
    next: u64,
    open: HashMap<u64, Arc<CallerConnection>>,
    by_address: HashMap<IpAddr, usize>,
    web_sockets: usize,
    leaving: usize,
    told: Option<Instant>,
    refused: u64,
}

/// One connection.
pub struct CallerConnection {
    id: u64,
    /// The slot keeps it open: a request's parts may outlive their connection.
    stream: Weak<TcpStream>,
    is_of_proxy: bool,
    activity: Mutex<Activity>,
}

/// The most connections that there may be.
fn most(settings: &config::ConnectionsConfig, room: Room) -> usize {
    // The other descriptors are promised to WhatsApp, SQLite and webhooks.
    settings.most.min(room.connections).max(1)
}

/// The most WebSockets among them: the other places are for requests.
pub fn web_sockets(settings: &config::ConnectionsConfig, room: Room) -> usize {
    let most = most(settings, room);
    (most - most / 4).max(1)
}

impl Connections {
    pub fn new(settings: &config::ConnectionsConfig, proxies: &config::Proxies, room: Room) -> Arc<Self> {
        let most = most(settings, room);
        let limits = ConnectionLimits {
            most,
            web_sockets: web_sockets(settings, room),
            per_address: settings.per_address.map_or(most / 2, |per_address| per_address.get()).max(1),
            reserve: room.reserve,
            activity: ActivityLimits {
                head: settings.head_timeout,
                keep_alive: settings.keep_alive,
                patience: TransferPatience {
                    stall: settings.stall_timeout,
                    bytes_per_second: settings.bytes_per_second,
                },
            },
        };
        if most < settings.most {
            warn!(
                event = "connection_limit_lowered",
                connections = most,
                "fewer connections are taken than configured: RLIMIT_NOFILE is low"
            );
        }
        Arc::new(Self { limits, proxies: proxies.clone(), table: Mutex::default(), left: Notify::new() })
    }

    /// A place for a connection, or none. `descriptor`: its number.
    pub fn admit(
        self: &Arc<Self>,
        stream: Arc<TcpStream>,
        peer: IpAddr,
        descriptor: u64,
    ) -> Result<ConnectionSlot, RefusedConnectionError> {
        let now = Instant::now();
        let is_of_proxy = is_trusted(peer, &self.proxies);
        let counted = (!is_of_proxy).then(|| network_of(peer));
        let mut table = self.table();
        let crowded = counted.filter(|address| table.count(*address) >= self.limits.per_address);
        if let Some(address) = crowded
            && !table.close_a_waiting_one(Some(address))
        {
            return Err(table.refuse(now, "one address has as many as it may: is it a proxy? (http.trusted_proxies)"));
        }
        let is_full = table.open.len() >= self.limits.most || descriptor >= self.limits.reserve;
        if is_full && !table.close_a_waiting_one(None) {
            return Err(table.refuse(now, "all are in use"));
        }
        table.next += 1;
        let activity = Activity {
            phase: ConnectionPhase::Head,
            since: now,
            counted,
            body: Transfer::default(),
            answer: Transfer::default(),
            head: HeadEnd::default(),
            has_key: false,
            is_proven: false,
            has_unread: false,
        };
        let connection = Arc::new(CallerConnection {
            id: table.next,
            stream: Arc::downgrade(&stream),
            is_of_proxy,
            activity: Mutex::new(activity),
        });
        table.open.insert(connection.id, connection.clone());
        table.add(counted);
        drop(table);
        Ok(ConnectionSlot { stream, handle: ConnectionHandle { connections: self.clone(), connection } })
    }

    /// Waits until most of those that were told to leave are gone.
    pub async fn settle(&self) {
        let settled = async {
            loop {
                let left = self.left.notified();
                if self.table().leaving <= MOST_LEAVING {
                    return;
                }
                left.await;
            }
        };
        let _ = timeout(LEAVING_TIMEOUT, settled).await;
    }

    /// Closes all that only wait: there will be no next request.
    pub fn close_waiting(&self) {
        let mut table = self.table();
        let waiting: Vec<_> = table.open.values().filter(|one| one.activity().waits()).cloned().collect();
        waiting.iter().for_each(|one| table.close(one));
    }

    /// Closes one that only waits, if there is one.
    pub fn make_room(&self) {
        self.table().close_a_waiting_one(None);
    }

    /// Ends what has taken too long.
    pub fn sweep(&self, now: Instant) {
        let limits = self.limits.activity;
        let mut table = self.table();
        let overdue: Vec<_> =
            table.open.values().filter(|one| one.activity().is_overdue(&limits, now)).cloned().collect();
        overdue.iter().for_each(|one| table.close(one));
    }

    fn table(&self) -> MutexGuard<'_, ConnectionTable> {
        lock(&self.table)
    }
}

impl ConnectionTable {
    fn count(&self, address: IpAddr) -> usize {
        self.by_address.get(&address).copied().unwrap_or_default()
    }

    fn add(&mut self, address: Option<IpAddr>) {
        if let Some(address) = address {
            *self.by_address.entry(address).or_default() += 1;
        }
    }

    fn take_away(&mut self, address: Option<IpAddr>) {
        let Some(address) = address else { return };
        if let Some(count) = self.by_address.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                self.by_address.remove(&address);
            }
        }
    }

    /// The one that gives way most readily, of all or of an address.
    fn close_a_waiting_one(&mut self, of: Option<IpAddr>) -> bool {
        let now = Instant::now();
        let newcomers = self.open.values().filter(|one| one.activity().is_newcomer(now)).count();
        let spares_newcomers = newcomers <= SPARED_NEWCOMERS;
        self.close_first(|activity| {
            activity.gives_way(now, spares_newcomers).filter(|_| of.is_none() || activity.counted == of)
        })
    }

    fn close_an_unproven_web_socket(&mut self) -> bool {
        let now = Instant::now();
        self.close_first(|activity| {
            let is_one = activity.phase == ConnectionPhase::Upgraded && !activity.is_proven;
            is_one.then(|| now.saturating_duration_since(activity.since))
        })
    }

    /// Closes the one of which `readiness` says most; `None`: it stays.
    fn close_first<T: Ord + Copy>(&mut self, readiness: impl Fn(&Activity) -> Option<T>) -> bool {
        let found = self.open.values().filter_map(|one| Some((readiness(&one.activity())?, one)));
        let Some(first) = found.max_by_key(|(ready, _)| *ready).map(|(_, one)| one.clone()) else { return false };
        self.close(&first);
        true
    }

    /// Its task learns of it by its socket, and goes.
    fn close(&mut self, connection: &CallerConnection) {
        if self.forget(connection) {
            self.leaving += 1;
            connection.shut();
        }
    }

    /// False: it was forgotten before.
    fn forget(&mut self, connection: &CallerConnection) -> bool {
        let was_open = self.open.remove(&connection.id).is_some();
        if was_open {
            let counted = {
                let mut activity = connection.activity();
                self.web_sockets -= usize::from(activity.phase == ConnectionPhase::Upgraded);
                activity.phase = ConnectionPhase::Closed;
                activity.counted.take()
            };
            self.take_away(counted);
        }
        was_open
    }

    fn refuse(&mut self, now: Instant, why: &str) -> RefusedConnectionError {
        self.refused += 1;
        if self.told.is_none_or(|told| now.duration_since(told) >= TELL_AGAIN) {
            self.told = Some(now);
            warn!(
                event = "connections_refused",
                refused = self.refused,
                connections = self.open.len(),
                why,
                "connections are refused"
            );
            self.refused = 0;
        }
        RefusedConnectionError
    }
}

impl CallerConnection {
    fn activity(&self) -> MutexGuard<'_, Activity> {
        lock(&self.activity)
    }

    /// Whoever reads or writes is told at once.
    fn shut(&self) {
        if let Some(stream) = self.stream.upgrade() {
            let _ = shutdown(&*stream, Shutdown::Both);
        }
    }
}

/// A connection's place: free again when this is dropped.
pub struct ConnectionSlot {
    stream: Arc<TcpStream>,
    handle: ConnectionHandle,
}

impl ConnectionSlot {
    pub fn handle(&self) -> ConnectionHandle {
        self.handle.clone()
    }

    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }

    pub fn is_upgraded(&self) -> bool {
        self.handle.connection.activity().phase == ConnectionPhase::Upgraded
    }

    pub fn is_closed(&self) -> bool {
        self.handle.connection.activity().phase == ConnectionPhase::Closed
    }

    /// Something of a request's body may still come that nobody reads.
    pub fn has_unread(&self) -> bool {
        let activity = self.handle.connection.activity();
        activity.has_unread
            && matches!(activity.phase, ConnectionPhase::Request | ConnectionPhase::Idle | ConnectionPhase::Head)
    }

    /// Ends the connection.
    pub fn close(&self) {
        self.handle.connections.table().close(&self.handle.connection);
    }

    /// Bytes have come that are not of a WebSocket.
    pub fn received(&self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let mut activity = self.handle.connection.activity();
        if activity.phase == ConnectionPhase::Idle {
            (activity.phase, activity.since) = (ConnectionPhase::Head, Instant::now());
            activity.head = HeadEnd::default();
        }
        activity.head = activity.head.after(bytes);
    }

    /// The peer does not take what we have to say.
    pub fn waits_to_send(&self) {
        self.handle.connection.activity().answer.waits(Instant::now());
    }

    pub fn sent(&self, bytes: usize) {
        self.handle.connection.activity().answer.moved(bytes, Instant::now());
    }
}

impl Drop for ConnectionSlot {
    fn drop(&mut self) {
        let connections = &self.handle.connections;
        let mut table = connections.table();
        if !table.forget(&self.handle.connection) {
            table.leaving -= 1;
            connections.left.notify_one();
        }
    }
}

/// What the parts of a request tell of their connection; and how those who serve it end it.
#[derive(Clone)]
pub struct ConnectionHandle {
    connections: Arc<Connections>,
    connection: Arc<CallerConnection>,
}

impl std::fmt::Debug for ConnectionHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("ConnectionHandle").field(&self.connection.id).finish()
    }
}

impl ConnectionHandle {
    /// Ends the connection if it is a WebSocket: others may carry the next request of somebody else.
    pub fn close_web_socket(&self) {
        let mut table = self.connections.table();
        let is_upgraded = self.connection.activity().phase == ConnectionPhase::Upgraded;
        if is_upgraded {
            table.close(&self.connection);
        }
    }

    /// A head is complete. Behind a trusted proxy it counts for its client while it is answered.
    pub(super) fn begin_request(&self, client: IpAddr) -> Result<(), RefusedConnectionError> {
        let now = Instant::now();
        // A proxy may ask for itself, too: nobody else is named then.
        let is_counted = self.connection.is_of_proxy && !is_trusted(client, &self.connections.proxies);
        let counted = is_counted.then(|| network_of(client));
        let mut table = self.connections.table();
        if counted.is_some_and(|address| table.count(address) >= self.connections.limits.per_address) {
            return Err(table.refuse(now, "one address has as many requests as it may"));
        }
        let mut activity = self.connection.activity();
        if activity.phase == ConnectionPhase::Closed {
            return Ok(());
        }
        activity.begin_request(self.connection.is_of_proxy, now);
        if self.connection.is_of_proxy {
            activity.counted = counted;
            drop(activity);
            table.add(counted);
        }
        Ok(())
    }

    /// A key was shown on the WebSocket: it does not make room for others any more.
    pub fn prove(&self) {
        let mut activity = self.connection.activity();
        (activity.is_proven, activity.has_key) = (true, true);
    }

    /// The request that it carries has a good key: it makes room after all that have none.
    pub fn note_key(&self) {
        self.connection.activity().has_key = true;
    }

    /// From now on it is a WebSocket, unless there are too many, or it has begun before it was told that it may: nobody has counted what
    /// that says.
    pub(super) fn upgrade(&self) -> Result<(), RefusedConnectionError> {
        let now = Instant::now();
        let mut table = self.connections.table();
        if self.connection.activity().head == HeadEnd::Passed {
            return Err(RefusedConnectionError);
        }
        if table.web_sockets >= self.connections.limits.web_sockets && !table.close_an_unproven_web_socket() {
            return Err(table.refuse(now, "WebSockets have as many places as they may"));
        }
        let mut activity = self.connection.activity();
        if activity.phase == ConnectionPhase::Request {
            (activity.phase, activity.since) = (ConnectionPhase::Upgraded, now);
            activity.answer = Transfer::default();
            drop(activity);
            table.web_sockets += 1;
        }
        Ok(())
    }

    pub(super) fn waits_for_body(&self) {
        self.connection.activity().body.waits(Instant::now());
    }

    /// The rest of the body is not read.
    pub(super) fn leaves_body(&self) {
        self.connection.activity().has_unread = true;
    }

    pub(super) fn body_came(&self, bytes: usize) {
        self.connection.activity().body.moved(bytes, Instant::now());
    }

    /// The whole answer is given to the socket.
    pub(super) fn end_request(&self) {
        let mut table = self.connections.table();
        let counted = {
            let mut activity = self.connection.activity();
            if !matches!(activity.phase, ConnectionPhase::Request | ConnectionPhase::Head) {
                return;
            }
            (activity.phase, activity.since) = (ConnectionPhase::Idle, Instant::now());
            activity.body = Transfer::default();
            if self.connection.is_of_proxy { activity.counted.take() } else { None }
        };
        table.take_away(counted);
    }
}
