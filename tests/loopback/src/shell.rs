//! The shell around the world: the lock, the wires to the connections, the tasks.
//!
//! All changes of the world go through [`Shared::with`], which carries out the effects before it lets go of the lock:
//! two changes never mix their stanzas on a wire.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use wacore_binary::Node;

use crate::cert::ServerIdentity;
use crate::faults::FaultKind;
use crate::network::NetworkError;
use crate::transport::{self, OUT_CAPACITY, Out};
use crate::world::{ConnId, Effect, Ticket, World};

/// The new device's id, or why there is none.
pub(crate) type Outcome = Result<u16, String>;

pub(crate) struct Shared {
    state: Mutex<State>,
    identity: ServerIdentity,
    pub(crate) listen: SocketAddr,
    pub(crate) control: Option<SocketAddr>,
    /// Certificate of the media host's authority.
    pub(crate) media_ca: String,
    /// Accept loop and connections; ended by `stop`.
    pub(crate) sockets: TaskTracker,
    /// Ends the accept loop and connections of the present run; `None` while stopped.
    front: Mutex<Option<CancellationToken>>,
    /// Control API and timers.
    pub(crate) tasks: TaskTracker,
    pub(crate) ended: CancellationToken,
}

struct State {
    world: World,
    wires: HashMap<ConnId, mpsc::Sender<Out>>,
    pairings: HashMap<Ticket, oneshot::Sender<Outcome>>,
    next_conn: u64,
}

impl Shared {
    pub(crate) fn new(world: World, listen: SocketAddr, control: Option<SocketAddr>, media_ca: String) -> Self {
        Self {
            identity: world.server.clone(),
            state: Mutex::new(State { world, wires: HashMap::new(), pairings: HashMap::new(), next_conn: 0 }),
            listen,
            control,
            media_ca,
            sockets: TaskTracker::new(),
            front: Mutex::new(None),
            tasks: TaskTracker::new(),
            ended: CancellationToken::new(),
        }
    }

    pub(crate) fn open(self: &Arc<Self>, listener: TcpListener) {
        let stop = CancellationToken::new();
        *self.front() = Some(stop.clone());
        self.sockets.reopen();
        self.sockets.spawn(transport::accept(Arc::clone(self), listener, stop));
    }

    pub(crate) fn front(&self) -> MutexGuard<'_, Option<CancellationToken>> {
        self.front.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A panic in the world is a defect that every later call must show.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("the world has panicked")
    }

    pub(crate) fn identity(&self) -> &ServerIdentity {
        &self.identity
    }

    /// Whether new sockets are closed unheard.
    pub(crate) fn refuses(&self) -> bool {
        self.state().world.faults.hits_everybody(FaultKind::Refuse)
    }

    pub(crate) fn admit(&self) -> (ConnId, mpsc::Receiver<Out>) {
        let mut state = self.state();
        state.next_conn += 1;
        let conn = ConnId(state.next_conn);
        let (wire, out) = mpsc::channel(OUT_CAPACITY);
        state.wires.insert(conn, wire);
        (conn, out)
    }

    pub(crate) fn leave(self: &Arc<Self>, conn: ConnId) {
        self.with(|world| world.disconnected(conn));
        self.state().wires.remove(&conn);
    }

    /// Begins a pairing; the receiver gets its outcome. The caller is registered before a client can answer.
    pub(crate) fn begin_pairing(
        self: &Arc<Self>,
        begin: impl FnOnce(&mut World) -> Result<Ticket, NetworkError>,
    ) -> Result<oneshot::Receiver<Outcome>, NetworkError> {
        let (sender, receiver) = oneshot::channel();
        let mut state = self.state();
        let ticket = begin(&mut state.world)?;
        state.pairings.insert(ticket, sender);
        self.carry_out(&mut state);
        Ok(receiver)
    }

    /// Changes the world and carries out what comes of it, in order.
    pub(crate) fn with<T>(self: &Arc<Self>, change: impl FnOnce(&mut World) -> T) -> T {
        let mut state = self.state();
        let result = change(&mut state.world);
        self.carry_out(&mut state);
        result
    }

    fn carry_out(self: &Arc<Self>, state: &mut State) {
        let effects = std::mem::take(&mut state.world.effects);
        let mut batch: Option<(ConnId, Vec<Node>, Duration)> = None;
        for effect in effects {
            if let Effect::Send(conn, stanza, late) = effect {
                match &mut batch {
                    Some((same, stanzas, delay)) if *same == conn && *delay == late => stanzas.push(stanza),
                    _ => {
                        state.post(batch.replace((conn, vec![stanza], late)));
                    }
                }
                continue;
            }
            state.post(batch.take());
            match effect {
                Effect::Close(conn, ending) => {
                    let late = state.world.faults.latency(state.world.account_of(conn));
                    state.put(conn, Out::Close(ending, Instant::now() + late));
                }
                Effect::Paired(ticket, outcome) => {
                    if let Some(waiting) = state.pairings.remove(&ticket) {
                        // A caller that gave up does not mind.
                        let _ = waiting.send(outcome);
                    }
                }
                Effect::WakeAt(at) => self.wake_at(at),
                Effect::Babble(conn, babble) => state.put(conn, Out::Babble(babble)),
                Effect::Send(..) => unreachable!("handled above"),
            }
        }
        state.post(batch);
    }

    fn wake_at(self: &Arc<Self>, at: std::time::Instant) {
        let shared = Arc::clone(self);
        self.tasks.spawn(async move {
            tokio::select! {
                () = shared.ended.cancelled() => {}
                () = tokio::time::sleep_until(at.into()) => shared.with(|world| world.expire_faults(at)),
            }
        });
    }
}

impl State {
    fn post(&mut self, batch: Option<(ConnId, Vec<Node>, Duration)>) {
        if let Some((conn, stanzas, late)) = batch {
            self.put(conn, Out::Stanzas(stanzas, Instant::now() + late));
        }
    }

    /// A client that is this far behind is cut off: its task ends when the wire does.
    fn put(&mut self, conn: ConnId, out: Out) {
        if let Some(wire) = self.wires.get(&conn)
            && wire.try_send(out).is_err()
        {
            tracing::warn!(conn = conn.0, "client does not keep up, cut off");
            self.wires.remove(&conn);
        }
    }
}
