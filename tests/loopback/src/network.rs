//! The running network: its listener, its connections, and the methods a test or the control API calls.
//!
//! Owns all tasks; `shutdown` ends them. The world is behind one lock that is never held across an await.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use wacore_binary::Node;

use crate::account::{AccountId, Form, Kind};
use crate::cert::ServerIdentity;
use crate::contact::{Contact, Received};
use crate::control;
use crate::faults::{Fault, FaultKind};
use crate::ledger::WireMessage;
use crate::link_code::TypedCode;
use crate::pairing::Qr;
use crate::phone::PhoneState;
use crate::stats::Stats;
use crate::transport::{self, OUT_CAPACITY, Out};
use crate::world::{ConnId, Effect, Ticket, World};

/// How long a client may take to sign its identity once it is offered.
const PAIRING_LIMIT: Duration = Duration::from_secs(30);

#[derive(Debug, Clone)]
pub struct NetworkConfig {
    /// Where clients connect; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Where the HTTP control API listens, if anywhere.
    pub control: Option<SocketAddr>,
    /// Makes keys, ids and everything else random repeatable.
    pub seed: Option<u64>,
    /// How a customer addresses somebody who never wrote to them.
    pub addressing: Form,
}

impl Default for NetworkConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            control: None,
            seed: None,
            addressing: Form::Pn,
        }
    }
}

/// Why a request to the network failed.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
pub enum NetworkError {
    #[error("nobody has the number {0}")]
    UnknownNumber(String),
    #[error("{0}")]
    Refused(String),
}

/// An account, under both its names.
#[derive(Debug, Clone, Serialize)]
pub struct PhoneInfo {
    pub number: String,
    pub jid: String,
    pub lid: String,
    pub name: String,
    /// How many devices were ever linked to it: a rescan shows here.
    pub pairings: u64,
}

#[derive(Debug, Clone, Serialize)]
pub struct DeviceInfo {
    pub id: u16,
    pub jid: String,
    pub online: bool,
    /// Unix time in seconds.
    pub paired_at: u64,
    pub logins: u64,
    /// One-time pre-keys left.
    pub pre_keys: usize,
    /// Id of the signed pre-key that bundles carry.
    pub signed_pre_key: u32,
    /// Ids of messages that wait or were not acknowledged, oldest first.
    pub waiting: Vec<String>,
}

/// A handle to the network; clones are the same network.
#[derive(Clone)]
pub struct Network(Arc<Shared>);

pub(crate) struct Shared {
    state: Mutex<State>,
    identity: ServerIdentity,
    listen: SocketAddr,
    control: Option<SocketAddr>,
    /// Accept loop and connections; ended by `stop`.
    pub(crate) sockets: TaskTracker,
    /// Ends the accept loop and connections of the present run; `None` while stopped.
    front: Mutex<Option<CancellationToken>>,
    /// Control API and timers.
    tasks: TaskTracker,
    ended: CancellationToken,
}

struct State {
    world: World,
    wires: HashMap<ConnId, mpsc::Sender<Out>>,
    pairings: HashMap<Ticket, oneshot::Sender<Result<u16, String>>>,
    next_conn: u64,
}

impl Network {
    /// Binds and begins to serve.
    pub async fn start(config: NetworkConfig) -> io::Result<Self> {
        let world = World::new(config.seed, config.addressing);
        let listener = TcpListener::bind(config.listen).await?;
        let control = match config.control {
            Some(address) => Some(TcpListener::bind(address).await?),
            None => None,
        };
        let shared = Arc::new(Shared {
            identity: world.server.clone(),
            state: Mutex::new(State {
                world,
                wires: HashMap::new(),
                pairings: HashMap::new(),
                next_conn: 0,
            }),
            listen: listener.local_addr()?,
            control: control.as_ref().map(TcpListener::local_addr).transpose()?,
            sockets: TaskTracker::new(),
            front: Mutex::new(None),
            tasks: TaskTracker::new(),
            ended: CancellationToken::new(),
        });
        shared.open(listener);
        let network = Self(shared);
        if let Some(listener) = control {
            network.0.tasks.spawn(control::serve(
                network.clone(),
                listener,
                network.0.ended.clone(),
            ));
        }
        Ok(network)
    }

    /// Where clients connect.
    pub fn ws_url(&self) -> String {
        format!("ws://{}/ws/chat", self.0.listen)
    }

    pub fn control_url(&self) -> Option<String> {
        self.0.control.map(|address| format!("http://{address}"))
    }

    /// Public key of the certificate root.
    pub fn root_public_key(&self) -> [u8; 32] {
        self.0.identity.root_public
    }

    /// A phone, with an owner, to which devices can be linked.
    pub async fn add_phone(&self, name: Option<String>) -> PhoneInfo {
        self.add(Kind::Phone, name)
    }

    /// Somebody who writes and is written to; returns the number.
    pub async fn add_customer(&self) -> String {
        self.add(Kind::Customer, None).number
    }

    fn add(&self, kind: Kind, name: Option<String>) -> PhoneInfo {
        self.0.with(|world| {
            let contact = Contact::generate(&mut world.rng);
            let time = world.time_ms();
            let phone = PhoneState::generate(&mut world.rng, time);
            let id = world.directory.add(kind, name, contact, phone);
            phone_info(world, id)
        })
    }

    pub async fn phone(&self, number: &str) -> Result<PhoneInfo, NetworkError> {
        self.of(number, |world, id| phone_info(world, id))
    }

    /// The owner scans a QR code: returns the new device's id once the device has signed its identity.
    pub async fn scan(&self, number: &str, qr: &str) -> Result<u16, NetworkError> {
        let qr = Qr::parse(qr).map_err(NetworkError::Refused)?;
        let ticket = self
            .of(number, |world, id| world.scan(id, &qr))?
            .map_err(NetworkError::Refused)?;
        self.paired(ticket).await
    }

    /// The owner types a link code: returns the new device's id.
    pub async fn link_code(&self, number: &str, code: &str) -> Result<u16, NetworkError> {
        let request = self
            .of(number, |world, id| world.link_request(id))?
            .map_err(NetworkError::Refused)?;
        let code = code.to_owned();
        let typed = tokio::task::spawn_blocking(move || TypedCode::compute(request, &code))
            .await
            .map_err(|e| NetworkError::Refused(e.to_string()))?
            .map_err(NetworkError::Refused)?;
        let ticket = self
            .of(number, |world, id| world.code_typed(id, typed))?
            .map_err(NetworkError::Refused)?;
        self.paired(ticket).await
    }

    async fn paired(&self, ticket: Ticket) -> Result<u16, NetworkError> {
        let receiver = self.0.wait_for(ticket);
        match timeout(PAIRING_LIMIT, receiver).await {
            Ok(Ok(result)) => result.map_err(NetworkError::Refused),
            Ok(Err(_)) => Err(NetworkError::Refused(
                "the network was shut down".to_owned(),
            )),
            Err(_) => Err(NetworkError::Refused(
                "the client did not answer".to_owned(),
            )),
        }
    }

    pub async fn devices(&self, number: &str) -> Result<Vec<DeviceInfo>, NetworkError> {
        self.of(number, |world, id| {
            let companions = world.directory.get(id).companions.iter();
            companions
                .map(|(device, companion)| DeviceInfo {
                    id: *device,
                    jid: id.device(*device).to_string(),
                    online: companion.conn.is_some(),
                    paired_at: companion.paired_at,
                    logins: companion.logins,
                    pre_keys: companion.keys.count(),
                    signed_pre_key: companion.keys.signed.id,
                    waiting: companion.queue.message_ids(),
                })
                .collect()
        })
    }

    /// The owner unlinks a device.
    pub async fn unlink(&self, number: &str, device: u16) -> Result<(), NetworkError> {
        let found = self.of(number, |world, id| world.unlink(id.device(device)))?;
        if found {
            Ok(())
        } else {
            Err(NetworkError::Refused(format!(
                "there is no device {device}"
            )))
        }
    }

    /// The owner writes from the phone itself; returns the message's id.
    pub async fn phone_send(
        &self,
        number: &str,
        to: &str,
        text: &str,
    ) -> Result<String, NetworkError> {
        self.of(number, |world, id| world.write(id, to, text))?
            .map_err(NetworkError::Refused)
    }

    /// What the phone itself has seen: messages of others, and copies of what its devices sent.
    pub async fn phone_inbox(&self, number: &str) -> Result<Vec<Received>, NetworkError> {
        self.of(number, |world, id| {
            world.directory.get(id).contact.inbox().to_vec()
        })
    }

    /// A customer writes; returns the message's id. `to` is a number, or a JID whose kind then is the chat's.
    pub async fn customer_send(
        &self,
        number: &str,
        to: &str,
        text: &str,
    ) -> Result<String, NetworkError> {
        self.phone_send(number, to, text).await
    }

    pub async fn customer_inbox(&self, number: &str) -> Result<Vec<Received>, NetworkError> {
        self.phone_inbox(number).await
    }

    /// Injects a fault, on live connections at once.
    pub async fn fault(&self, fault: Fault) -> Result<(), NetworkError> {
        self.0
            .with(|world| world.inject(&fault))
            .map_err(NetworkError::Refused)
    }

    /// Ends all faults: what they kept back is sent.
    pub async fn clear_faults(&self) {
        self.0.with(World::clear_faults);
    }

    pub async fn stats(&self) -> Stats {
        self.0.with(|world| Stats::of(world))
    }

    /// Every message that crossed the network, in order of its first appearance.
    pub async fn messages(&self, from: Option<&str>) -> Result<Vec<WireMessage>, NetworkError> {
        let Some(number) = from else {
            return Ok(self.0.with(|world| world.ledger.messages().to_vec()));
        };
        self.of(number, |world, id| {
            let number = world.directory.get(id).number();
            let by = |m: &&WireMessage| m.from.split(['@', ':']).next() == Some(number.as_str());
            world.ledger.messages().iter().filter(by).cloned().collect()
        })
    }

    /// Closes the listener and every socket; what the network knows is kept.
    pub async fn stop(&self) {
        if let Some(front) = self.0.front().take() {
            front.cancel();
        }
        self.0.sockets.close();
        self.0.sockets.wait().await;
    }

    /// Listens again on the same port.
    pub async fn resume(&self) -> io::Result<()> {
        if self.0.front().is_some() {
            return Ok(());
        }
        let listener = TcpListener::bind(self.0.listen).await?;
        self.0.open(listener);
        Ok(())
    }

    /// Ends everything.
    pub async fn shutdown(&self) {
        self.stop().await;
        self.0.ended.cancel();
        self.0.tasks.close();
        self.0.tasks.wait().await;
    }

    fn of<T>(
        &self,
        number: &str,
        f: impl FnOnce(&mut World, AccountId) -> T,
    ) -> Result<T, NetworkError> {
        self.0.with(|world| {
            let id = world.directory.find_text(number);
            id.map(|id| f(world, id))
                .ok_or_else(|| NetworkError::UnknownNumber(number.to_owned()))
        })
    }
}

impl Shared {
    fn open(self: &Arc<Self>, listener: TcpListener) {
        let stop = CancellationToken::new();
        *self.front() = Some(stop.clone());
        self.sockets.reopen();
        self.sockets
            .spawn(transport::accept(Arc::clone(self), listener, stop));
    }

    fn front(&self) -> MutexGuard<'_, Option<CancellationToken>> {
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

    fn wait_for(&self, ticket: Ticket) -> oneshot::Receiver<Result<u16, String>> {
        let (sender, receiver) = oneshot::channel();
        self.state().pairings.insert(ticket, sender);
        receiver
    }

    /// Changes the world and carries out what comes of it, in order.
    pub(crate) fn with<T>(self: &Arc<Self>, change: impl FnOnce(&mut World) -> T) -> T {
        let mut state = self.state();
        let result = change(&mut state.world);
        let effects = std::mem::take(&mut state.world.effects);
        let mut batch: Option<(ConnId, Vec<Node>, Duration)> = None;
        for effect in effects {
            if let Effect::Send(conn, stanza, late) = effect {
                match &mut batch {
                    Some((same, stanzas, delay)) if *same == conn && *delay == late => {
                        stanzas.push(stanza)
                    }
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
                Effect::Send(..) => unreachable!("handled above"),
            }
        }
        state.post(batch);
        result
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

fn phone_info(world: &World, id: AccountId) -> PhoneInfo {
    let account = world.directory.get(id);
    PhoneInfo {
        number: account.number(),
        jid: Form::Pn.jid(id.primary()).to_string(),
        lid: Form::Lid.jid(id.primary()).to_string(),
        name: account.name.clone(),
        pairings: account.pairings,
    }
}
