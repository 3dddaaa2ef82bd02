//! What can go wrong, for whom and for how long, and how it is done to them.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::account::{AccountId, DeviceAddress};
use crate::stanza::{stream_error, stream_replaced};
use crate::world::{ConnId, Effect, Ending, Session, World};

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FaultKind {
    /// Sockets close without a word; with `ms`, those of later logins too.
    Drop,
    /// Sockets stay open, nothing that arrives is answered, nothing is sent.
    Silence,
    /// Everything is answered, but messages, receipts and notifications are kept back.
    Withhold,
    /// Messages are routed, but the sender does not get the server's ack before the fault ends. It never gets it when
    /// its socket ends first.
    WithholdAcks,
    /// Messages are not routed; the server's acks of them carry `code` (default 479).
    RefuseMessages,
    /// Requests are answered with the error `code`.
    RefuseRequests,
    /// Requests are not answered.
    IgnoreRequests,
    /// The Noise handshake completes, `<success>` never comes.
    WithholdLogin,
    /// Live sockets close; new ones are accepted and closed at once. With a target: closed when they name it.
    Refuse,
    /// Every stanza to a client leaves `ms` milliseconds late. Lasts until cleared.
    Latency,
    /// `<stream:error code>`, then the socket closes; with `ms`, also for later logins.
    StreamError,
    /// `<failure reason=code>` at the next logins: `count` of them, or until cleared or `ms` have passed.
    ConnectFailure,
    /// `<stream:error><conflict type="replaced"/>`, as if somebody else had logged in.
    Replaced,
    /// The phone does nothing that its devices ask of it.
    PhoneSilent,
    /// The media host closes connections unanswered. With a target, here and below: those that carry its token, as
    /// uploads do and whatsapp-rust's downloads; Baileys downloads without one.
    MediaDown,
    /// The media host answers `code` (default 404).
    MediaRefuse,
    /// Downloads have a wrong bit.
    MediaCorrupt,
    /// Downloads and uploads end half-way. What came of an upload can be resumed.
    MediaCut,
    /// The media host answers `ms` milliseconds late. Lasts until cleared.
    MediaSlow,
}

/// What the media host does wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MediaTrouble {
    Down,
    Refuse(u16),
    Corrupt,
    Cut,
    Slow(Duration),
}

impl FaultKind {
    /// Done at once to live connections, and over unless `ms` says otherwise.
    fn is_momentary(self) -> bool {
        matches!(self, Self::Drop | Self::StreamError | Self::Replaced)
    }

    /// Its `ms` is how late, not how long.
    fn is_delay(self) -> bool {
        matches!(self, Self::Latency | Self::MediaSlow)
    }
}

/// A fault to inject.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    pub kind: FaultKind,
    /// A phone's or customer's number; everybody when absent.
    #[serde(default)]
    pub target: Option<String>,
    /// Of `stream-error` and `refuse-requests` (default 503), `connect-failure` (default 401), `refuse-messages` (default 479) and
    /// `media-refuse` (default 404).
    #[serde(default)]
    pub code: Option<u16>,
    /// Of `withhold-acks` and `refuse-messages`: only messages to this customer or group.
    #[serde(default)]
    pub chat: Option<String>,
    /// Of `refuse-requests` and `ignore-requests`: only requests in this namespace.
    #[serde(default)]
    pub xmlns: Option<String>,
    /// How long it lasts; for `latency` and `media-slow`, how late.
    #[serde(default)]
    pub ms: Option<u64>,
    /// How many logins a `connect-failure` refuses, how many requests are refused or ignored; how many requests to the media host a
    /// fault of it spoils.
    #[serde(default)]
    pub count: Option<u32>,
}

impl Fault {
    pub fn new(kind: FaultKind) -> Self {
        Self { kind, target: None, code: None, chat: None, xmlns: None, ms: None, count: None }
    }

    pub fn target(mut self, number: impl Into<String>) -> Self {
        self.target = Some(number.into());
        self
    }

    pub fn code(mut self, code: u16) -> Self {
        self.code = Some(code);
        self
    }

    pub fn chat(mut self, chat: impl Into<String>) -> Self {
        self.chat = Some(chat.into());
        self
    }

    pub fn xmlns(mut self, namespace: impl Into<String>) -> Self {
        self.xmlns = Some(namespace.into());
        self
    }

    pub fn ms(mut self, ms: u64) -> Self {
        self.ms = Some(ms);
        self
    }

    pub fn count(mut self, count: u32) -> Self {
        self.count = Some(count);
        self
    }
}

struct Active {
    kind: FaultKind,
    target: Option<AccountId>,
    code: Option<u16>,
    chat: Option<String>,
    xmlns: Option<String>,
    ms: u64,
    until: Option<Instant>,
    left: Option<u32>,
}

#[derive(Default)]
pub(crate) struct Faults(Vec<Active>);

impl Faults {
    /// Puts a fault in force; says when it ends by itself, if it does.
    pub(crate) fn add(&mut self, fault: &Fault, target: Option<AccountId>, now: Instant) -> Option<Instant> {
        let lasts = fault.ms.filter(|_| !fault.kind.is_delay()).map(Duration::from_millis);
        if fault.kind.is_momentary() && lasts.is_none() {
            return None;
        }
        let until = lasts.map(|d| now + d);
        self.0.push(Active {
            kind: fault.kind,
            target,
            code: fault.code,
            chat: fault.chat.clone(),
            xmlns: fault.xmlns.clone(),
            ms: fault.ms.unwrap_or_default(),
            until,
            left: fault.count,
        });
        until
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    pub(crate) fn expire(&mut self, now: Instant) {
        self.0.retain(|f| f.until.is_none_or(|until| now < until));
    }

    /// Whether a fault of this kind hits that account.
    pub(crate) fn hits(&self, kind: FaultKind, account: AccountId) -> bool {
        self.of(kind, Some(account)).next().is_some()
    }

    /// Whether a fault of this kind names that account itself. A customer has no connection that a fault for
    /// everybody could hit.
    pub(crate) fn targets(&self, kind: FaultKind, account: AccountId) -> bool {
        self.0.iter().any(|f| f.kind == kind && f.target == Some(account))
    }

    /// Whether a fault of this kind hits connections whose account is not known yet.
    pub(crate) fn hits_everybody(&self, kind: FaultKind) -> bool {
        self.of(kind, None).next().is_some()
    }

    pub(crate) fn stream_error(&self, account: AccountId) -> Option<u16> {
        self.of(FaultKind::StreamError, Some(account)).next().map(|f| f.code.unwrap_or(503))
    }

    /// The code to refuse a login with; spends one of a counted fault.
    pub(crate) fn take_connect_failure(&mut self, account: Option<AccountId>) -> Option<u16> {
        let at = self
            .0
            .iter()
            .position(|f| f.kind == FaultKind::ConnectFailure && (f.target.is_none() || f.target == account))?;
        let code = self.0[at].code.unwrap_or(401);
        self.spend(at);
        Some(code)
    }

    /// The code of a fault of this kind that hits a message of that account to a chat, of which `is_chat` knows the names.
    pub(crate) fn of_message(
        &self,
        kind: FaultKind,
        account: AccountId,
        is_chat: impl Fn(&str) -> bool,
    ) -> Option<u16> {
        let hit = self.of(kind, Some(account)).find(|f| f.chat.as_deref().is_none_or(&is_chat))?;
        Some(hit.code.unwrap_or(479))
    }

    /// The code of a fault of this kind that hits a request of that account; spends one of a counted fault.
    pub(crate) fn take_request(&mut self, kind: FaultKind, account: AccountId, xmlns: &str) -> Option<u16> {
        let hits = |f: &Active| f.kind == kind && f.target.is_none_or(|target| target == account);
        let at = self.0.iter().position(|f| hits(f) && f.xmlns.as_deref().is_none_or(|named| named == xmlns))?;
        let code = self.0[at].code.unwrap_or(503);
        self.spend(at);
        Some(code)
    }

    /// What the media host does wrong to a request by that account, or by somebody unknown; spends one of a counted
    /// fault.
    pub(crate) fn take_media_trouble(&mut self, account: Option<AccountId>) -> Option<MediaTrouble> {
        let hit = self.0.iter().enumerate().filter(|(_, f)| f.target.is_none() || f.target == account);
        let (at, trouble) = hit
            .filter_map(|(at, f)| {
                let trouble = match f.kind {
                    FaultKind::MediaDown => MediaTrouble::Down,
                    FaultKind::MediaRefuse => MediaTrouble::Refuse(f.code.unwrap_or(404)),
                    FaultKind::MediaCorrupt => MediaTrouble::Corrupt,
                    FaultKind::MediaCut => MediaTrouble::Cut,
                    FaultKind::MediaSlow => MediaTrouble::Slow(Duration::from_millis(f.ms)),
                    _ => return None,
                };
                Some((at, trouble))
            })
            .next()?;
        self.spend(at);
        Some(trouble)
    }

    fn spend(&mut self, at: usize) {
        if let Some(left) = &mut self.0[at].left {
            *left = left.saturating_sub(1);
            if *left == 0 {
                self.0.remove(at);
            }
        }
    }

    pub(crate) fn latency(&self, account: Option<AccountId>) -> Duration {
        Duration::from_millis(self.of(FaultKind::Latency, account).map(|f| f.ms).max().unwrap_or_default())
    }

    fn of(&self, kind: FaultKind, account: Option<AccountId>) -> impl Iterator<Item = &Active> {
        self.0.iter().filter(move |f| f.kind == kind && (f.target.is_none() || f.target == account))
    }
}

/// Faults at work.
impl World {
    /// Puts a fault in force, on live connections too.
    pub(crate) fn inject(&mut self, fault: &Fault) -> Result<(), String> {
        let target = match &fault.target {
            Some(number) => {
                Some(self.directory.find_text(number).ok_or_else(|| format!("nobody has the number {number}"))?)
            }
            None => None,
        };
        if fault.kind.is_delay() && fault.ms.is_none() {
            return Err("a delay needs ms".to_owned());
        }
        if let Some(at) = self.faults.add(fault, target, Instant::now()) {
            self.effects.push(Effect::WakeAt(at));
        }
        match fault.kind {
            FaultKind::Drop | FaultKind::Refuse => {
                for conn in self.live(target) {
                    self.mute(conn);
                    self.close(conn, Ending::Abrupt);
                }
            }
            FaultKind::StreamError => {
                for conn in self.live(target) {
                    self.end(conn, stream_error(fault.code.unwrap_or(503)));
                }
            }
            FaultKind::Replaced => {
                for conn in self.live(target) {
                    self.end(conn, stream_replaced());
                }
            }
            FaultKind::Silence
            | FaultKind::Withhold
            | FaultKind::WithholdAcks
            | FaultKind::RefuseMessages
            | FaultKind::RefuseRequests
            | FaultKind::IgnoreRequests
            | FaultKind::WithholdLogin
            | FaultKind::Latency
            | FaultKind::ConnectFailure
            | FaultKind::PhoneSilent
            | FaultKind::MediaDown
            | FaultKind::MediaRefuse
            | FaultKind::MediaCorrupt
            | FaultKind::MediaCut
            | FaultKind::MediaSlow => {}
        }
        Ok(())
    }

    pub(crate) fn clear_faults(&mut self) {
        self.faults.clear();
        self.release();
    }

    pub(crate) fn expire_faults(&mut self, now: Instant) {
        self.faults.expire(now);
        self.release();
    }

    /// Sends what faults kept back and keep back no longer.
    fn release(&mut self) {
        let devices: Vec<DeviceAddress> = self
            .sessions
            .values()
            .filter_map(|session| match session {
                Session::Device(address) => Some(*address),
                _ => None,
            })
            .collect();
        for address in devices {
            self.flush(address);
            if !self.faults.hits(FaultKind::WithholdAcks, address.account)
                && let Some(companion) = self.directory.companion_mut(address)
                && let Some(conn) = companion.conn
            {
                for (id, ack) in std::mem::take(&mut companion.held_acks) {
                    self.ledger.acked(address, &id);
                    self.send(conn, ack);
                }
            }
        }
        for (from, to, stanza) in std::mem::take(&mut self.parked) {
            self.mail.push_back((from, to, stanza));
        }
        self.deliver_mail();
    }

    /// Whether stanzas from a queue may go out to that account's devices.
    pub(crate) fn may_deliver(&self, account: AccountId) -> bool {
        !self.faults.hits(FaultKind::Withhold, account) && !self.faults.hits(FaultKind::Silence, account)
    }

    /// Whether what this client says goes unheard.
    pub(crate) fn is_deaf(&self, conn: ConnId) -> bool {
        match self.sessions.get(&conn) {
            None | Some(Session::Mute(_)) => true,
            Some(_) => match self.account_of(conn) {
                Some(account) => self.faults.hits(FaultKind::Silence, account),
                None => self.faults.hits_everybody(FaultKind::Silence),
            },
        }
    }

    /// Live connections of an account, or all.
    fn live(&self, target: Option<AccountId>) -> Vec<ConnId> {
        let mut conns: Vec<ConnId> =
            self.sessions.keys().copied().filter(|c| target.is_none() || self.account_of(*c) == target).collect();
        conns.sort_unstable();
        conns
    }
}
