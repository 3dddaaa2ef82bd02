//! What can go wrong, for whom and for how long, and how it is done to them.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use wacore_binary::Jid;

use crate::account::{AccountId, DeviceAddress, Form};
use crate::stanza::{stream_error, stream_owed, stream_replaced};
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
    /// its socket ends first. Like the next two for one message (`id`) or what goes to one `chat`, where these are given.
    WithholdAcks,
    /// The server's acks of messages come `ms` milliseconds late; everything else overtakes them. Lasts until cleared.
    LateAcks,
    /// The server's acks of messages carry `error=code` (default 500), and the messages go nowhere. `count` of them.
    ErrorAcks,
    /// Requests are answered with an error of `code` (default 500): those of the namespace `xmlns` and with the child `tag`,
    /// where these are given, about one `chat`, where that is given; `count` of them. Those of a client that is being linked, too.
    IqError,
    /// Such requests are not answered at all.
    IqSilence,
    /// Such requests end the stream: the socket closes without an answer.
    IqDrop,
    /// Such requests get an answer that says something else.
    IqNonsense,
    /// A collection of the app state is answered with an error of `code` (default 404), whatever is asked of it.
    MissingAppState,
    /// The app state comes one patch at a time: each answer says that there is more, until there is none.
    PagedAppState,
    /// Nobody is told that an account has linked a device, or lost one.
    WithholdDevices,
    /// Messages under a LID do not say whose number it is. With a target: messages of that customer.
    HideNumber,
    /// The Noise handshake completes, `<success>` never comes.
    WithholdLogin,
    /// Live sockets close; new ones are accepted and closed at once. With a target: closed when they name it.
    Refuse,
    /// Every stanza to a client leaves `ms` milliseconds late. Lasts until cleared.
    Latency,
    /// `<stream:error code>`, then the socket closes; with `ms`, also for later logins.
    StreamError,
    /// `<stream:error code>`, and the socket stays open: nothing is answered on it any more. With `ms`, also for later logins.
    StreamErrorOpen,
    /// The server closes on clients that begin with what they know of it from earlier (Noise IK). One with a target closes only on
    /// those whose knowledge is right, for of the others it learns no account.
    CloseIk,
    /// The same, without an answer: the socket stays open.
    IgnoreIk,
    /// `<failure reason=code>` at the next logins: `count` of them, or until cleared or `ms` have passed.
    ConnectFailure,
    /// `<stream:error><conflict type="replaced"/>`, as if somebody else had logged in.
    Replaced,
    /// The phone does nothing that its devices ask of it.
    PhoneSilent,
    /// The phone never gives its devices the keys of the app state, asked or not.
    WithholdKeys,
    /// A client that is linked is not told the account's name: it has to learn it from the app state.
    HideName,
    /// A client that is being linked has the device from the beginning, and its line drops before it can sign its identity.
    DropSign,
    /// A message that a device has not acknowledged after `ms` milliseconds ends its stream, again and again. Lasts until cleared.
    Insist,
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

/// What the server does wrong in acknowledging a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AckTrouble {
    Withheld,
    Late(Duration),
    Error(u16),
}

/// What the server does wrong with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum IqTrouble {
    Silence,
    Drop,
    Nonsense,
    Error(u16),
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
        matches!(self, Self::Drop | Self::StreamError | Self::StreamErrorOpen | Self::Replaced)
    }

    /// Its `ms` is how late, not how long.
    fn is_delay(self) -> bool {
        matches!(self, Self::Latency | Self::LateAcks | Self::Insist | Self::MediaSlow)
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
    /// Of stream errors (default 503), `connect-failure` (default 401), `media-refuse` and `missing-app-state` (default 404),
    /// `error-acks` and `iq-error` (default 500).
    #[serde(default)]
    pub code: Option<u16>,
    /// How long it lasts; for `latency`, `late-acks`, `insist` and `media-slow`, how late.
    #[serde(default)]
    pub ms: Option<u64>,
    /// How many logins a `connect-failure` refuses; how many messages, requests, or requests to the media host a fault of these
    /// spoils.
    #[serde(default)]
    pub count: Option<u32>,
    /// Of faults of acks: the one message.
    #[serde(default)]
    pub id: Option<String>,
    /// Of faults of acks: a number or JID. Of faults of requests: somebody whom they are about.
    #[serde(default)]
    pub chat: Option<String>,
    /// Of faults of requests.
    #[serde(default)]
    pub xmlns: Option<String>,
    /// Of faults of requests: the tag of what is in it.
    #[serde(default)]
    pub tag: Option<String>,
}

impl Fault {
    pub fn new(kind: FaultKind) -> Self {
        let (target, id, chat, xmlns, tag) = Default::default();
        Self { kind, target, code: None, ms: None, count: None, id, chat, xmlns, tag }
    }

    pub fn target(mut self, number: impl Into<String>) -> Self {
        self.target = Some(number.into());
        self
    }

    pub fn code(mut self, code: u16) -> Self {
        self.code = Some(code);
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

    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.id = Some(id.into());
        self
    }

    pub fn chat(mut self, chat: impl Into<String>) -> Self {
        self.chat = Some(chat.into());
        self
    }

    pub fn xmlns(mut self, xmlns: impl Into<String>) -> Self {
        self.xmlns = Some(xmlns.into());
        self
    }

    pub fn tag(mut self, tag: impl Into<String>) -> Self {
        self.tag = Some(tag.into());
        self
    }
}

/// A message that the server is to acknowledge.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Acked<'a> {
    pub(crate) by: AccountId,
    pub(crate) id: &'a str,
    /// Where it goes, bare.
    pub(crate) chat: &'a str,
}

/// A request that the server is to answer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked<'a> {
    /// Of a client that is not linked yet: whose phone it asks, where it says that.
    pub(crate) by: Option<AccountId>,
    pub(crate) xmlns: &'a str,
    pub(crate) tag: &'a str,
    /// Everybody whom it is about, bare.
    pub(crate) named: &'a [String],
}

struct Active {
    kind: FaultKind,
    target: Option<AccountId>,
    code: Option<u16>,
    ms: u64,
    until: Option<Instant>,
    left: Option<u32>,
    only: Only,
}

/// What a fault is narrowed to.
struct Only {
    id: Option<String>,
    /// Every name of the chat, bare.
    chats: Vec<String>,
    xmlns: Option<String>,
    tag: Option<String>,
}

impl Only {
    fn includes(&self, message: Acked<'_>) -> bool {
        self.id.as_ref().is_none_or(|id| id == message.id)
            && (self.chats.is_empty() || self.chats.iter().any(|chat| chat == message.chat))
    }

    fn includes_request(&self, request: Asked<'_>) -> bool {
        self.xmlns.as_ref().is_none_or(|only| only == request.xmlns)
            && self.tag.as_ref().is_none_or(|only| only == request.tag)
            && (self.chats.is_empty() || self.chats.iter().any(|chat| request.named.contains(chat)))
    }
}

#[derive(Default)]
pub(crate) struct Faults(Vec<Active>);

impl Faults {
    /// Puts a fault in force; says when it ends by itself, if it does.
    pub(crate) fn add(
        &mut self,
        fault: &Fault,
        target: Option<AccountId>,
        chats: Vec<String>,
        now: Instant,
    ) -> Option<Instant> {
        let lasts = fault.ms.filter(|_| !fault.kind.is_delay()).map(Duration::from_millis);
        if fault.kind.is_momentary() && lasts.is_none() {
            return None;
        }
        let until = lasts.map(|d| now + d);
        self.0.push(Active {
            kind: fault.kind,
            target,
            code: fault.code,
            ms: fault.ms.unwrap_or_default(),
            until,
            left: fault.count,
            only: Only { id: fault.id.clone(), chats, xmlns: fault.xmlns.clone(), tag: fault.tag.clone() },
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

    /// The code, and whether the socket stays open.
    pub(crate) fn stream_error(&self, account: AccountId) -> Option<(u16, bool)> {
        let of = |kind| self.of(kind, Some(account)).next().map(|f| f.code.unwrap_or(503));
        let open = of(FaultKind::StreamErrorOpen).map(|code| (code, true));
        open.or_else(|| of(FaultKind::StreamError).map(|code| (code, false)))
    }

    /// What is wrong with the ack of a message. One that carries an error is spent by the caller.
    pub(crate) fn ack_trouble(&self, message: Acked<'_>) -> Option<AckTrouble> {
        let hit = |kind| self.of(kind, Some(message.by)).find(|f| f.only.includes(message));
        let error = hit(FaultKind::ErrorAcks).map(|f| AckTrouble::Error(f.code.unwrap_or(500)));
        let withheld = || hit(FaultKind::WithholdAcks).map(|_| AckTrouble::Withheld);
        let late = || hit(FaultKind::LateAcks).map(|f| AckTrouble::Late(Duration::from_millis(f.ms)));
        error.or_else(withheld).or_else(late)
    }

    pub(crate) fn spend_error_ack(&mut self, message: Acked<'_>) {
        let hits = |f: &Active| {
            f.kind == FaultKind::ErrorAcks
                && (f.target.is_none() || f.target == Some(message.by))
                && f.only.includes(message)
        };
        if let Some(at) = self.0.iter().position(hits) {
            self.spend(at);
        }
    }

    /// What is wrong with the answer to a request; spends one of a counted fault.
    pub(crate) fn take_iq_trouble(&mut self, request: Asked<'_>) -> Option<IqTrouble> {
        let (at, trouble) = self.0.iter().enumerate().find_map(|(at, f)| {
            let trouble = match f.kind {
                FaultKind::IqError => IqTrouble::Error(f.code.unwrap_or(500)),
                FaultKind::IqSilence => IqTrouble::Silence,
                FaultKind::IqDrop => IqTrouble::Drop,
                FaultKind::IqNonsense => IqTrouble::Nonsense,
                _ => return None,
            };
            let hit = (f.target.is_none() || f.target == request.by) && f.only.includes_request(request);
            hit.then_some((at, trouble))
        })?;
        self.spend(at);
        Some(trouble)
    }

    /// The code with which a collection of that account's settings is answered.
    pub(crate) fn missing_app_state(&self, account: AccountId) -> Option<u16> {
        self.of(FaultKind::MissingAppState, Some(account)).next().map(|f| f.code.unwrap_or(404))
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

    /// How long that account's devices may leave a message without an ack.
    pub(crate) fn insistence(&self, account: AccountId) -> Option<Duration> {
        self.of(FaultKind::Insist, Some(account)).next().map(|f| Duration::from_millis(f.ms))
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
        let chats = fault.chat.as_deref().map(|chat| match self.directory.find_text(chat) {
            Some(account) => [Form::Pn, Form::Lid].map(|form| form.jid(account.primary()).to_string()).into(),
            None => vec![chat.to_owned()],
        });
        if let Some(at) = self.faults.add(fault, target, chats.unwrap_or_default(), Instant::now()) {
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
            FaultKind::StreamErrorOpen => {
                for conn in self.live(target) {
                    self.send(conn, stream_error(fault.code.unwrap_or(503)));
                    self.mute(conn);
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
            | FaultKind::LateAcks
            | FaultKind::ErrorAcks
            | FaultKind::IqError
            | FaultKind::IqSilence
            | FaultKind::IqDrop
            | FaultKind::IqNonsense
            | FaultKind::MissingAppState
            | FaultKind::PagedAppState
            | FaultKind::WithholdDevices
            | FaultKind::HideNumber
            | FaultKind::CloseIk
            | FaultKind::IgnoreIk
            | FaultKind::WithholdKeys
            | FaultKind::HideName
            | FaultKind::DropSign
            | FaultKind::Insist
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
            if let Some(limit) = self.faults.insistence(address.account)
                && let Some((conn, id)) = self.unacknowledged(address, limit)
            {
                self.end(conn, stream_owed(&id));
                continue;
            }
            let Some(companion) = self.directory.companion_mut(address) else { continue };
            let Some(conn) = companion.conn else { continue };
            let faults = &self.faults;
            let due = companion.held_acks.extract_if(.., |held| {
                let message = Acked { by: address.account, id: &held.id, chat: &held.chat };
                match faults.ack_trouble(message) {
                    Some(AckTrouble::Withheld) => false,
                    Some(AckTrouble::Late(_)) => held.due.is_none_or(|due| due <= Instant::now()),
                    Some(AckTrouble::Error(_)) | None => true,
                }
            });
            for held in due.collect::<Vec<_>>() {
                self.ledger.acked(address, &held.id);
                self.send(conn, held.ack);
            }
        }
        for (from, to, stanza) in std::mem::take(&mut self.parked) {
            self.mail.push_back((from, to, stanza));
        }
        self.deliver_mail();
    }

    /// A message that the device has had for so long on this connection.
    fn unacknowledged(&self, address: DeviceAddress, limit: Duration) -> Option<(ConnId, String)> {
        let companion = self.directory.companion(address)?;
        Some((companion.conn?, companion.queue.overdue(limit)?.to_owned()))
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

    /// Which fault hits a client that begins with Noise IK; `user` is who it is, where that could be read.
    pub(crate) fn ik_trouble(&self, user: Option<u64>) -> Option<FaultKind> {
        let account = user.and_then(|user| self.directory.find(&Jid::pn(user.to_string())));
        [FaultKind::CloseIk, FaultKind::IgnoreIk].into_iter().find(|kind| match account {
            Some(account) => self.faults.hits(*kind, account),
            None => self.faults.hits_everybody(*kind),
        })
    }

    /// Live connections of an account, or all.
    fn live(&self, target: Option<AccountId>) -> Vec<ConnId> {
        let mut conns: Vec<ConnId> =
            self.sessions.keys().copied().filter(|c| target.is_none() || self.account_of(*c) == target).collect();
        conns.sort_unstable();
        conns
    }
}
