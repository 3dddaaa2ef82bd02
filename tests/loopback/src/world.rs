//! The network's state and its one rule of motion: something happens, effects come out.
//!
//! No I/O and no waiting in here or in the `impl World` blocks of the neighbouring modules. The shell (`network`)
//! calls in under one lock and carries out the effects in the order in which they came.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;
use waproto::whatsapp::ClientPayload;

use crate::account::{AccountId, DeviceAddress, Directory, Form};
use crate::calls::Call;
use crate::cert::ServerIdentity;
use crate::channels::Channel;
use crate::faults::{FaultKind, Faults};
use crate::groups::Groups;
use crate::ledger::Ledger;
use crate::link_code::LinkRequest;
use crate::media::MediaStore;
use crate::pairing::{REFERENCE_BYTES, Registration};
use crate::presence::Presence;
use crate::queue::Class;
use crate::stanza::{attr, failure, leaf, stream_error, stream_removed, stream_replaced};

/// The route of a client's next connection; opaque to the client.
const EDGE_ROUTING_INFO: [u8; 4] = [8, 8, 8, 13];

/// One connection, never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct ConnId(pub(crate) u64);

/// A caller that waits for a pairing to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Ticket(pub(crate) u64);

#[derive(Debug)]
pub(crate) enum Effect {
    Send(ConnId, Node, Duration),
    Babble(ConnId, Babble),
    /// Close after what was sent: at once, or when the client has had time to read and close itself (Baileys
    /// reports a wrong reason when the server closes right after a stream error).
    Close(ConnId, Ending),
    /// The pairing that the ticket stands for linked this device, or failed.
    Paired(Ticket, Result<u16, String>),
    /// A fault ends then: call `expire_faults`.
    WakeAt(Instant),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    Abrupt,
    Graceful,
}

/// The nonsense that a broken network sends.
#[derive(Debug, Clone)]
pub enum Babble {
    /// A stanza that it would never send.
    Stanza(Node),
    /// Bytes where a stanza should be, encrypted as it should be.
    Plain(Vec<u8>),
    /// Bytes where an encrypted frame should be.
    Frame(Vec<u8>),
    /// A stanza whose frame was altered on its way. Those before and after it open.
    Garbled(Node),
}

pub(crate) enum Session {
    /// Not linked yet.
    Registering(Box<Registration>),
    Device(DeviceAddress),
    /// Nothing is answered any more, or a fault keeps it from logging in.
    Mute(Option<AccountId>),
}

pub(crate) struct World {
    pub(crate) rng: StdRng,
    pub(crate) server: ServerIdentity,
    pub(crate) directory: Directory,
    pub(crate) sessions: HashMap<ConnId, Session>,
    /// Pairing references on display, and whose they are.
    pub(crate) refs: HashMap<String, ConnId>,
    /// Random bytes of a pairing reference.
    pub(crate) reference_bytes: usize,
    /// Link-code requests by phone.
    pub(crate) link_requests: HashMap<AccountId, LinkRequest>,
    pub(crate) faults: Faults,
    pub(crate) ledger: Ledger,
    pub(crate) media: MediaStore,
    pub(crate) presence: Presence,
    pub(crate) groups: Groups,
    /// All there ever were, oldest first.
    pub(crate) calls: Vec<Call>,
    pub(crate) channels: Vec<Channel>,
    /// How customers address an account that never wrote to them.
    pub(crate) addressing: Form,
    /// Stanzas for the network's own endpoints, in order.
    pub(crate) mail: VecDeque<(DeviceAddress, DeviceAddress, Node)>,
    /// Stanzas for endpoints that a fault has cut off.
    pub(crate) parked: Vec<(DeviceAddress, DeviceAddress, Node)>,
    pub(crate) effects: Vec<Effect>,
    next_ticket: u64,
}

impl World {
    pub(crate) fn new(seed: Option<u64>, addressing: Form) -> Self {
        let mut rng = seed.map_or_else(rand::make_rng, StdRng::seed_from_u64);
        Self {
            server: ServerIdentity::generate(&mut rng),
            media: MediaStore::new(&mut rng),
            presence: Presence::default(),
            groups: Groups::default(),
            calls: Vec::new(),
            channels: Vec::new(),
            rng,
            directory: Directory::default(),
            sessions: HashMap::new(),
            refs: HashMap::new(),
            reference_bytes: REFERENCE_BYTES,
            link_requests: HashMap::new(),
            faults: Faults::default(),
            ledger: Ledger::default(),
            addressing,
            mail: VecDeque::new(),
            parked: Vec::new(),
            effects: Vec::new(),
            next_ticket: 0,
        }
    }

    /// A handshake completed: who is it, and may they come in?
    pub(crate) fn connected(&mut self, conn: ConnId, client_static: [u8; 32], payload: &ClientPayload) {
        self.ledger.counts.handshakes += 1;
        let login = payload.username.map(|user| wacore_binary::Jid::pn(user.to_string()));
        let account = login.as_ref().and_then(|jid| self.directory.find(jid));
        if let Some(code) = self.faults.take_connect_failure(account) {
            return self.refuse(conn, account, code);
        }
        if let Some(registration) = payload.device_pairing_data.as_option() {
            return self.register(conn, client_static, registration);
        }
        let device = payload.device.and_then(|d| u16::try_from(d).ok()).filter(|d| *d != 0);
        let address = account.zip(device).map(|(account, device)| account.device(device));
        let known = address.filter(|a| self.directory.companion(*a).is_some_and(|c| c.noise_key == client_static));
        match known {
            Some(address) => self.login(conn, address),
            // A pairing that was cut off logs in without a device; an unlinked one is not known any more.
            None => self.refuse(conn, account, 401),
        }
    }

    fn refuse(&mut self, conn: ConnId, account: Option<AccountId>, code: u16) {
        self.ledger.counts.refused_logins += 1;
        self.sessions.insert(conn, Session::Mute(account));
        self.send(conn, failure(code));
        self.close(conn, Ending::Graceful);
    }

    fn login(&mut self, conn: ConnId, address: DeviceAddress) {
        let account = address.account;
        if self.faults.hits(FaultKind::Drop, account) || self.faults.hits(FaultKind::Refuse, account) {
            self.sessions.insert(conn, Session::Mute(Some(account)));
            return self.close(conn, Ending::Abrupt);
        }
        if self.faults.hits(FaultKind::WithholdLogin, account) || self.faults.hits(FaultKind::Silence, account) {
            self.sessions.insert(conn, Session::Mute(Some(account)));
            return;
        }
        if let Some((code, stays_open)) = self.faults.stream_error(account) {
            self.sessions.insert(conn, Session::Mute(Some(account)));
            self.send(conn, stream_error(code));
            if !stays_open {
                self.close(conn, Ending::Graceful);
            }
            return;
        }
        if let Some(before) = self.directory.companion(address).and_then(|c| c.conn) {
            self.ledger.counts.replaced_logins += 1;
            self.end(before, stream_replaced());
        }
        self.ledger.counts.logins += 1;
        self.sessions.insert(conn, Session::Device(address));
        let companion = self.directory.companion_mut(address).expect("the caller found it");
        companion.was_offline = companion.offline_since.take().map_or(Duration::ZERO, |since| since.elapsed());
        companion.conn = Some(conn);
        companion.active = false;
        companion.logins += 1;
        companion.queue.rewind();
        let success = NodeBuilder::new("success")
            .attr("t", self.time())
            .attr("lid", Form::Lid.jid(address))
            .attr("display_name", self.directory.get(account).name.as_str())
            .attr("props", 27u8)
            .attr("companion_enc_static", "AAAA")
            .build();
        self.send(conn, success);
        // The client puts it in front of its next connections.
        let routing = NodeBuilder::new("edge_routing").children([leaf("routing_info", EDGE_ROUTING_INFO)]);
        self.send(conn, NodeBuilder::new("ib").children([routing.build()]).build());
    }

    /// The client has asked for what waits for it: all of it, in order, then the marker that it was all.
    pub(crate) fn activate(&mut self, address: DeviceAddress) {
        let Some(companion) = self.directory.companion_mut(address) else {
            return;
        };
        let (Some(conn), false) = (companion.conn, companion.active) else {
            return;
        };
        companion.active = true;
        self.share_app_state_keys(address);
        let withheld = !self.may_deliver(address.account);
        let Some(companion) = self.directory.companion_mut(address) else {
            return;
        };
        let queue = &mut companion.queue;
        let total = if withheld { 0 } else { queue.len() };
        let mut batch = Vec::new();
        if total > 0 {
            let preview = NodeBuilder::new("offline_preview")
                .attr("count", total)
                .attr("message", queue.count(Class::Message))
                .attr("receipt", queue.count(Class::Receipt))
                .attr("notification", queue.count(Class::Notification))
                .attr("call", 0u8)
                .attr("appdata", 0u8)
                .build();
            batch.push(NodeBuilder::new("ib").children([preview]).build());
            batch.extend(queue.take_unsent().into_iter().map(|mut stanza| {
                stanza.attrs.insert("offline", "1");
                stanza
            }));
        }
        let end = NodeBuilder::new("offline").attr("count", total).build();
        batch.push(NodeBuilder::new("ib").children([end]).build());
        for stanza in batch {
            self.send(conn, stanza);
        }
        self.await_acks(address);
    }

    /// A connection ended, by either side.
    pub(crate) fn disconnected(&mut self, conn: ConnId) {
        match self.sessions.remove(&conn) {
            Some(Session::Device(address)) => {
                if let Some(companion) = self.directory.companion_mut(address)
                    && companion.conn == Some(conn)
                {
                    companion.conn = None;
                    companion.offline_since = Some(Instant::now());
                    companion.active = false;
                    companion.held_acks.clear();
                    self.set_available(address, false);
                }
            }
            Some(Session::Registering(registration)) => self.abandon(conn, *registration),
            Some(Session::Mute(_)) | None => {}
        }
    }

    /// Unlinks a device: it hears so now, or at its next login.
    pub(crate) fn unlink(&mut self, address: DeviceAddress) -> bool {
        let Some(companion) = self.directory.get_mut(address.account).companions.remove(&address.device) else {
            return false;
        };
        self.renew_key_index_list(address.account);
        self.tell_of_device(address, "remove");
        if let Some(conn) = companion.conn {
            self.end(conn, stream_removed());
        }
        true
    }

    /// Sends an active device what it has not been sent.
    pub(crate) fn flush(&mut self, address: DeviceAddress) {
        if !self.may_deliver(address.account) {
            return;
        }
        let Some(companion) = self.directory.companion_mut(address) else {
            return;
        };
        let (Some(conn), true) = (companion.conn, companion.active) else {
            return;
        };
        for stanza in companion.queue.take_unsent() {
            self.send(conn, stanza);
        }
        self.await_acks(address);
    }

    /// Looks again when a device should have acknowledged what it was sent.
    fn await_acks(&mut self, address: DeviceAddress) {
        if let Some(limit) = self.faults.insistence(address.account) {
            self.effects.push(Effect::WakeAt(Instant::now() + limit));
        }
    }

    /// The account of a connection, when it is known.
    pub(crate) fn account_of(&self, conn: ConnId) -> Option<AccountId> {
        match self.sessions.get(&conn)? {
            Session::Registering(registration) => registration.account(),
            Session::Device(address) => Some(address.account),
            Session::Mute(account) => *account,
        }
    }

    /// Says a last word and closes when the client has read it.
    pub(crate) fn end(&mut self, conn: ConnId, last: Node) {
        self.send(conn, last);
        self.mute(conn);
        self.close(conn, Ending::Graceful);
    }

    /// Forgets the session of a connection that is about to close.
    pub(crate) fn mute(&mut self, conn: ConnId) {
        let account = self.account_of(conn);
        self.disconnected(conn);
        self.sessions.insert(conn, Session::Mute(account));
    }

    pub(crate) fn send(&mut self, conn: ConnId, stanza: Node) {
        self.send_after(conn, stanza, Duration::ZERO);
    }

    /// The same, when so much time has passed. Nothing overtakes it.
    pub(crate) fn send_after(&mut self, conn: ConnId, stanza: Node, wait: Duration) {
        let late = self.faults.latency(self.account_of(conn));
        self.effects.push(Effect::Send(conn, stanza, late + wait));
    }

    pub(crate) fn close(&mut self, conn: ConnId, ending: Ending) {
        self.effects.push(Effect::Close(conn, ending));
    }

    pub(crate) fn ticket(&mut self) -> Ticket {
        self.next_ticket += 1;
        Ticket(self.next_ticket)
    }

    /// Unix time in seconds, as stanzas carry it.
    pub(crate) fn time(&self) -> u64 {
        self.time_ms() / 1000
    }

    pub(crate) fn time_ms(&self) -> u64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }

    /// An id for a stanza of the server's own.
    pub(crate) fn stanza_id(&mut self) -> String {
        self.rng.random::<u32>().to_string()
    }

    /// An id for a message, in the shape a phone gives it.
    pub(crate) fn message_id(&mut self) -> String {
        format!("3A{}", hex::encode_upper(self.rng.random::<[u8; 9]>()))
    }
}

/// The stanzas a linked device may send.
impl World {
    pub(crate) fn stanza(&mut self, conn: ConnId, stanza: &Node) {
        if self.is_deaf(conn) {
            return;
        }
        match self.sessions.get(&conn) {
            Some(Session::Registering(_)) => self.registering(conn, stanza),
            Some(Session::Device(address)) => {
                let address = *address;
                match stanza.tag.as_ref() {
                    "iq" => self.iq(conn, address, stanza),
                    "message" => self.message(conn, address, stanza),
                    "receipt" => self.receipt(conn, address, stanza),
                    "ack" => self.ack(address, stanza),
                    "call" => {
                        self.call_stanza(address, stanza);
                        let ack = crate::stanza::server_ack(stanza, self.time());
                        self.send(conn, ack);
                    }
                    "presence" => self.presence_stanza(address, stanza),
                    "chatstate" => self.chat_state_stanza(address, stanza),
                    // Information broadcasts want no answer.
                    "ib" => {}
                    other => {
                        tracing::debug!(tag = other, id = ?attr(stanza, "id"), "stanza ignored")
                    }
                }
            }
            Some(Session::Mute(_)) | None => {}
        }
        self.deliver_mail();
    }
}
