//! One connection to WhatsApp, from the dial to its end: one client of the library over the session's store. Says in a
//! [`DisconnectReason`] how it ended; what follows is the supervisor's to decide.

pub(super) mod agent;
pub(super) mod disconnect;
pub(super) mod drain;
pub(super) mod frame_watch;
pub(super) mod health;
pub(super) mod pressure;
pub(super) mod reach;
pub(super) mod socket;
pub(super) mod stream_error;
pub(super) mod supervisor;
pub(super) mod transport;
pub(super) mod version;
pub(super) mod web;
pub(super) mod wire_gate;

use std::{
    ops::ControlFlow,
    pin::pin,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use futures::{
    FutureExt as _,
    future::{BoxFuture, pending},
};
use tokio::{
    sync::{OwnedSemaphorePermit, mpsc, watch},
    time::{Instant, sleep, sleep_until, timeout},
};
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::AbortOnDropHandle,
};
use tracing::{debug, error, warn};
use whatsapp_rust::{
    CacheConfig, Client, ClientBuilderError, TokioRuntime,
    store::{Device, commands::DeviceCommand, persistence_manager::PersistenceManager},
    types::events::{ConnectFailureReason, Event},
    wacore::{
        iq::{devices::RemoveCompanionDeviceSpec, keepalive::KeepaliveSpec},
        runtime::Runtime,
        store::device::DevicePropsOverride,
    },
    wacore_binary::NodeRef,
};

use self::{
    disconnect::DisconnectReason,
    drain::{Drain, Look},
    frame_watch::{FrameWatch, WatchedRuntime},
    stream_error::StreamError,
    supervisor::{Stop, Supervisor},
    transport::Dialer,
    version::Version,
    web::BoundedBody,
    wire_gate::WireGate,
};
use super::{
    Inner, SessionCommand,
    app_state::first_sync::PatientRuntime,
    guarded,
    inbound::{
        hook::{DurabilityHook, EventBridge},
        message_secrets::StoredMessageSecrets,
        recorder,
    },
    pairing::{
        code,
        qr_rotation::{PairingRuntime, QrRotation},
    },
    state::{Qr, State},
};
use crate::{config::Secret, crash, message::FeedItem, telemetry::metrics};

/// How long the library may take to end a connection before it is aborted.
const FAREWELL: Duration = Duration::from_secs(5);

/// How long the library may take to finish with the messages that have come, before its connection is ended. In the middle of one it
/// would write the ratchet and drop the message (whatsapp-rust 0.7.0: `disconnect` and the end of `run` both clean up, and the
/// second takes what is decrypted between them for a part of an offline queue).
const DRAINED_TIMEOUT: Duration = Duration::from_secs(1);

/// The same where the connection has ended by itself: what waits in the library's queues is not worked on any more.
const LEFT_TIMEOUT: Duration = Duration::from_millis(100);

/// From the dial to the login. WhatsApp answers within seconds; silence is a dead line.
const LOGIN_TIMEOUT: Duration = Duration::from_secs(25);

/// From the line to WhatsApp's answer to the first thing that is said on it.
const HELLO_TIMEOUT: Duration = Duration::from_secs(10);

/// After so many hellos without an answer the next one is WhatsApp Web's longer, which needs nothing that was learned before. The
/// library falls back to that only when an answer is wrong.
const HELLOS: u32 = 2;

/// After so long a login is called slow: where it is asked why the session does not work. It no longer takes another's turn.
const SLOW_LOGIN: Duration = Duration::from_secs(5);

/// After a stream error that may be harmless, how long WhatsApp has to answer a ping.
const PROOF_OF_LIFE: Duration = Duration::from_secs(5);

/// A frame that does not open costs the connection once in this time. One that comes again with each login cannot be read at all.
const GARBLED_AGAIN: Duration = Duration::from_secs(600);

/// From the login to WhatsApp's first word of its offline queue.
const SILENT_QUEUE_TIMEOUT: Duration = Duration::from_secs(10);

/// Logins in a row that are given up because WhatsApp said nothing of an offline queue, or no more of it.
const MAX_SILENT_LOGINS: u32 = 3;

/// A connection that was up for so long, or on which WhatsApp confirmed a message, was a good one.
const STABLE: Duration = Duration::from_secs(30);

/// How often a connection's deadlines are looked at.
const MIN_TICK: Duration = Duration::from_millis(500);
const MAX_TICK: Duration = Duration::from_secs(5);

/// How a connection ended.
pub struct ConnectionOutcome {
    pub signal: DisconnectReason,
    /// It was logged in for a while, or a message was confirmed on it.
    pub was_stable: bool,
    /// It was logged in.
    pub was_connected: bool,
}

pub struct Connection<'a> {
    supervisor: &'a mut Supervisor,
    session: Arc<Inner>,
    client: Arc<Client>,
    /// The right to be between dial and login, until it is.
    turn: Option<OwnedSemaphorePermit>,
    /// The right to a line.
    _place: OwnedSemaphorePermit,
    began: Instant,
    /// The version that it claims.
    version: Version,
    /// Ends what sleeps in the client.
    _over: DropGuard,
    /// There were credentials when it began.
    was_paired: bool,
    frames: Arc<FrameWatch>,
    /// WhatsApp has answered the hello.
    is_answered: bool,
    /// A code that may be typed into the phone was given.
    has_code: bool,
    /// Asks whether a stream goes on of which WhatsApp reported an error.
    proof: Option<BoxFuture<'static, bool>>,
    /// When WhatsApp last pushed something.
    last_push: watch::Receiver<Instant>,
    /// When the last stanza of the offline queue came.
    last_kept: watch::Receiver<Instant>,
    /// When the vault was last found to take nothing.
    last_outage: Instant,
    connected_at: Option<Instant>,
    logged_in_since: Option<Instant>,
    drain: Drain,
    /// For the login.
    deadline: Instant,
    /// Why it will end, as far as WhatsApp has said.
    signal: Option<DisconnectReason>,
}

/// Whether the connection goes on, or why not. `Break(None)`: it is over, and nothing forbids the next.
type Flow = ControlFlow<Option<Stop>>;

const OVER: Flow = ControlFlow::Break(None);

impl<'a> Connection<'a> {
    /// Dials, and holds the connection until it ends or must.
    pub async fn run(
        supervisor: &'a mut Supervisor,
        commands: &mut mpsc::Receiver<SessionCommand>,
    ) -> Result<ConnectionOutcome, Stop> {
        let session = supervisor.session.clone();
        let paired = session.status.borrow().paired;
        session.set_status(|status| {
            // Why it is not connected is more to the point than that it is being tried again.
            let known = paired && supervisor.failures > 0 && status.state == State::Starting;
            if !known {
                status.reason = if paired { "connecting" } else { "asking WhatsApp for a QR code" }.into();
            }
            status.state = State::Starting;
            status.qr = None;
        });
        let Ok(place) = session.env.lines.clone().try_acquire_owned() else {
            return Ok(ConnectionOutcome {
                signal: DisconnectReason::NoDescriptor,
                was_stable: false,
                was_connected: false,
            });
        };
        let turn = match supervisor.await_turn(paired, commands).await? {
            Ok(turn) => turn,
            Err(signal) => return Ok(ConnectionOutcome { signal, was_stable: false, was_connected: false }),
        };
        let forgets = supervisor.unanswered_hellos >= HELLOS;
        let version = session.env.versions.current().await;
        let over = CancellationToken::new();
        let client = match client(&session, version, over.clone(), paired, forgets).await {
            Ok(client) => client,
            Err(error) => {
                error!(error = format!("{error:#}"), "no client");
                return Ok(ConnectionOutcome {
                    signal: DisconnectReason::Dropped,
                    was_stable: false,
                    was_connected: false,
                });
            }
        };
        let began = Instant::now();
        let (pushed, kept) = (watch::Sender::new(began), watch::Sender::new(began));
        let connection = Self {
            supervisor,
            session,
            client,
            turn: Some(turn),
            _place: place,
            began,
            version,
            _over: over.drop_guard(),
            was_paired: paired,
            frames: Arc::default(),
            is_answered: false,
            has_code: false,
            proof: None,
            last_push: pushed.subscribe(),
            last_kept: kept.subscribe(),
            last_outage: began,
            connected_at: None,
            logged_in_since: None,
            drain: Drain::new(began),
            deadline: began + LOGIN_TIMEOUT,
            signal: None,
        };
        connection.serve([pushed, kept], commands).await
    }

    async fn serve(
        mut self,
        [pushed, kept]: [watch::Sender<Instant>; 2],
        commands: &mut mpsc::Receiver<SessionCommand>,
    ) -> Result<ConnectionOutcome, Stop> {
        let session = self.session.clone();
        let (control, mut news) = mpsc::channel(256);
        let (records, recorded) = mpsc::channel(4096);
        let ears = Arc::new(EventBridge {
            control,
            records,
            pushed,
            kept,
            rotation: QrRotation::default(),
            session: session.clone(),
        });
        let subscription = self.client.subscribe_handler(ears);
        session.store.begin_connection();
        // What was not acknowledged comes again with the login that is ahead.
        session.owes_acks.store(false, Ordering::Release);
        session.client.send_replace(Some(self.client.clone()));
        let store = session.store.clone();
        let writer = AbortOnDropHandle::new(session.tasks.spawn(async move { store.write_signal_queue().await }));
        let recorder = recorder::record(session.clone(), self.client.clone(), recorded);
        let recorder = session.tasks.spawn(guarded(session.clone(), recorder));
        let _stanzas = self.client.acquire_raw_node_forwarding();
        let (client, frames) = (self.client.clone(), self.frames.clone());
        let watch = frames.clone();
        // Whatever becomes of this task, the client does not go on without it.
        let mut run = AbortOnDropHandle::new(session.tasks.spawn(watch.over(async move { client.run().await })));
        let client = self.client.clone();
        let mut answer = Box::pin(async move { client.wait_for_socket(LOGIN_TIMEOUT).await.is_ok() }.fuse());
        let mut fetching = Box::pin(session.skipped.fetch(self.client.clone(), session.ready.subscribe()));
        let mut asking = Box::pin(session.clone().ask_for_lost(self.client.clone()));
        let mut easing = Box::pin(pressure::ease(session.clone()));
        let mut publishing = Box::pin(session.clone().publish_late());
        let mut hiding = Box::pin(session.clone().stay_unseen(self.client.clone()));
        let stop = loop {
            let tick = sleep(self.tick_length());
            let flow = tokio::select! {
                closed = session.journal.closed() => ControlFlow::Break(Some(Stop::Closed(closed))),
                () = session.stop.cancelled() => ControlFlow::Break(Some(Stop::Asked)),
                ended = &mut run => {
                    if let Err(error) = ended {
                        error!(%error, "the library's client crashed");
                    }
                    // What it said last may still be in the channel.
                    while let Ok(event) = news.try_recv() {
                        self.apply_event(&event);
                    }
                    OVER
                }
                Some(event) = news.recv() => self.on_event(&event),
                Some(command) = commands.recv() => self.on_command(command).await,
                () = tick => self.check_deadlines(),
                answered = &mut answer => {
                    self.is_answered |= answered;
                    ControlFlow::Continue(())
                }
                lost = frames.lost() => self.lost_frame(lost),
                alive = proof(&mut self.proof) => self.on_liveness(alive),
                never = &mut fetching => match never {},
                never = &mut asking => match never {},
                never = &mut easing => match never {},
                never = &mut publishing => match never {},
                never = &mut hiding => match never {},
            };
            if let ControlFlow::Break(stop) = flow {
                break stop;
            }
            if let ControlFlow::Break(stop) = self.unlink().await {
                break stop;
            }
        };
        self.turn = None;
        self.is_answered |= answer.now_or_never() == Some(true);
        self.count_hello();
        session.ready.send_replace(None);
        let abrupt = matches!(stop, Some(Stop::Closed(_))) || session.end.get().is_some();
        if !abrupt {
            session.line.deafen();
            session.store.arrivals().drain(if run.is_finished() { LEFT_TIMEOUT } else { DRAINED_TIMEOUT }).await;
        }
        drop(subscription);
        farewell(&session, &self.client, run, abrupt).await;
        drop(writer);
        if !abrupt && let Err(error) = session.store.write_signal_rest().await {
            warn!(error = format!("{:#}", anyhow::Error::new(error)), "ratchets are not stored");
        }
        let is_good = |at: Instant| at.elapsed() > STABLE || session.answers.any_since(at);
        let was_stable = self.connected_at.is_some_and(is_good);
        // Somebody scanned, and the login that belongs to it is still to come.
        self.supervisor.is_unproven |= !self.was_paired && self.connected_at.is_none() && self.client.pn().is_some();
        let refused = session.refused_scan.take();
        let signal = refused.or(self.signal.take()).unwrap_or_else(|| match session.line.trouble() {
            Some(trouble) => DisconnectReason::Unreachable(trouble),
            None => DisconnectReason::Dropped,
        });
        drop(self);
        // The ears are gone with the subscription: the recorder writes what it still has and ends.
        if timeout(FAREWELL, recorder).await.is_err() {
            warn!("receipts are still being written");
        }
        match stop {
            Some(stop) => Err(stop),
            None => Ok(ConnectionOutcome { signal, was_stable, was_connected: self.connected_at.is_some() }),
        }
    }

    fn tick_length(&self) -> Duration {
        let working = self.session.status.borrow().state == State::Working;
        if working { (self.supervisor.quiet_limit / 4).clamp(MIN_TICK, MAX_TICK) } else { MIN_TICK }
    }

    fn on_event(&mut self, event: &Event) -> Flow {
        match event {
            Event::Connected(_) => {
                self.turn = None;
                self.drain.begin(Instant::now());
            }
            Event::PairingQrCode(_) => self.turn = None,
            Event::PairSuccess(_) => self.deadline = Instant::now() + LOGIN_TIMEOUT,
            Event::OfflineSyncPreview(preview) => self.drain.announce(preview.total, Instant::now()),
            Event::RawNode(stanza) => return self.read(stanza.get()),
            _ => {}
        }
        if matches!(event, Event::Connected(_)) {
            self.connected_at.get_or_insert_with(Instant::now);
            self.client.enable_auto_reconnect.store(false, Ordering::Relaxed);
        }
        // The library would connect again by itself, and still be in the ceremony that ended with the connection.
        let lost = matches!(event, Event::Disconnected(_)) && self.session.status.borrow().state.is_ceremony();
        self.apply_event(event);
        if lost || matches!(self.signal, Some(DisconnectReason::PasskeyFailed(_))) {
            return OVER;
        }
        if let Event::OfflineSyncCompleted(done) = event {
            // Of a device that never had its first sync the library says Connected late, or not at all. All that is missing is what it
            // has been without since it was paired.
            if self.was_paired && self.session.status.borrow().state == State::Starting {
                self.connected_at.get_or_insert_with(Instant::now);
                self.connected();
            }
            match self.drain.left_by_library(done.count, Instant::now()) {
                true => warn!("the offline queue takes longer than the library waits for its end"),
                false => self.drained(),
            }
        }
        ControlFlow::Continue(())
    }

    /// All that WhatsApp kept has come.
    fn drained(&mut self) {
        self.supervisor.silent_logins = 0;
        self.adapt_quiet_limit();
        self.session.ready.send_replace(Some(self.client.clone()));
    }

    /// A stanza that the library has no event for.
    fn read(&mut self, stanza: &NodeRef<'_>) -> Flow {
        if stanza.tag == "success" {
            self.turn = None;
            return ControlFlow::Continue(());
        }
        if stanza.tag == "ib" {
            // The library has said already that it is over, and says it once.
            if self.drain.end() {
                self.drained();
            }
            return ControlFlow::Continue(());
        }
        match StreamError::read(stanza) {
            // The socket may stay open for as long as it likes.
            StreamError::Code(code) => {
                warn!(code, "WhatsApp ends the stream");
                self.signal = Some(DisconnectReason::Unwell { code });
                return OVER;
            }
            StreamError::Doubtful => {
                let client = self.client.clone();
                let ping = async move { client.execute(KeepaliveSpec::with_timeout(PROOF_OF_LIFE)).await.is_ok() };
                let proof = async move { timeout(PROOF_OF_LIFE, ping).await.unwrap_or(false) };
                self.proof.get_or_insert_with(|| proof.boxed());
            }
            StreamError::Handled => {}
        }
        ControlFlow::Continue(())
    }

    fn on_liveness(&mut self, alive: bool) -> Flow {
        self.proof = None;
        if alive {
            return ControlFlow::Continue(());
        }
        warn!("WhatsApp reported an error of the stream and says nothing more");
        OVER
    }

    /// A frame did not open, as `in_a_row` before it.
    fn lost_frame(&mut self, in_a_row: u32) -> Flow {
        let again = self.supervisor.garbled_at.is_some_and(|at| at.elapsed() < GARBLED_AGAIN);
        warn!(in_a_row, again, "a frame from WhatsApp could not be read");
        if !again {
            self.supervisor.garbled_at = Some(Instant::now());
            self.signal = Some(DisconnectReason::Garbled);
            return OVER;
        }
        // Its successors open: it is lost for good, and the session lives. They do not: it is deaf.
        if in_a_row > 1 { OVER } else { ControlFlow::Continue(()) }
    }

    /// Whether WhatsApp answered the hello of the line that this connection had, if it had one.
    fn count_hello(&mut self) {
        if self.is_answered {
            self.supervisor.unanswered_hellos = 0;
        } else if self.session.line.made_at().is_some_and(|at| at > self.began) {
            self.supervisor.unanswered_hellos += 1;
        }
    }

    async fn on_command(&mut self, command: SessionCommand) -> Flow {
        match command {
            SessionCommand::Connect => self.supervisor.wants_to_pair(),
            SessionCommand::KeepPairing => self.supervisor.keep_pairing(),
            SessionCommand::StopPairing => {
                self.supervisor.give_up_pairing();
                let state = self.session.status.borrow().state;
                if state == State::ScanQrCode || state.is_ceremony() {
                    self.signal = Some(DisconnectReason::GivenUp);
                    return OVER;
                }
            }
            SessionCommand::EndCeremony(why) => {
                if self.session.status.borrow().state.is_ceremony() {
                    // Somebody is there: they see the next QR code.
                    self.supervisor.wants_to_pair();
                    self.signal = Some(DisconnectReason::PasskeyFailed(why));
                    return OVER;
                }
            }
            // Why is in the session's hands, see the end of `serve`.
            SessionCommand::RefuseScan => return OVER,
            SessionCommand::Stop => {
                self.signal = Some(DisconnectReason::Stopped);
                return OVER;
            }
            SessionCommand::DialNow { patience } => {
                let silent = self.session.status.borrow().state == State::Starting && !self.client.is_logged_in();
                if silent && self.began.elapsed() > patience {
                    warn!("WhatsApp does not answer the login: dialing anew");
                    self.signal = Some(DisconnectReason::Unanswered);
                    return OVER;
                }
            }
            SessionCommand::Unlink(done) => {
                self.supervisor.wants_to_unlink(done);
            }
        }
        ControlFlow::Continue(())
    }

    /// Unlinks at WhatsApp once there is a login, when somebody wants that. Not by the library's `logout`, which does not say
    /// whether WhatsApp heard it.
    async fn unlink(&mut self) -> Flow {
        if !self.supervisor.is_unlinking() {
            return ControlFlow::Continue(());
        }
        let paired = self.session.status.borrow().paired;
        self.signal = match self.client.pn() {
            Some(device) if paired && self.client.is_logged_in() => {
                self.client.enable_auto_reconnect.store(false, Ordering::Relaxed);
                match timeout(FAREWELL, self.client.execute(RemoveCompanionDeviceSpec::new(&device))).await {
                    Ok(Ok(())) => Some(DisconnectReason::Unlinked { told: true }),
                    failed => {
                        warn!(?failed, "WhatsApp did not confirm the unlinking");
                        Some(DisconnectReason::Dropped)
                    }
                }
            }
            _ if !paired => Some(DisconnectReason::Unlinked { told: true }),
            _ if self.supervisor.is_tired_of_unlinking() => Some(DisconnectReason::Unlinked { told: false }),
            _ => return ControlFlow::Continue(()),
        };
        OVER
    }

    fn check_deadlines(&mut self) -> Flow {
        if self.session.journal.outage() {
            self.last_outage = Instant::now();
        }
        let state = self.session.status.borrow().state;
        let waits = self.session.ready.borrow().is_none();
        let logged_in_for = self.client.is_logged_in().then(|| self.logged_in_since.get_or_insert_with(Instant::now));
        let logged_in_for = logged_in_for.map(|since| since.elapsed()).unwrap_or_default();
        // While the vault takes nothing, reading pauses: then the silence is ours.
        if waits && logged_in_for > SILENT_QUEUE_TIMEOUT && self.is_silent() && !self.session.journal.outage() {
            warn!("WhatsApp does not begin to deliver after the login: connecting anew");
            self.supervisor.silent_logins += 1;
            self.signal = Some(DisconnectReason::Unanswered);
            return OVER;
        }
        match state {
            State::Starting if self.client.is_logged_in() => self.await_first_sync(logged_in_for),
            State::Starting if Instant::now() > self.deadline => {
                warn!("WhatsApp does not finish the login");
                self.signal = Some(
                    self.session.line.trouble().map_or(DisconnectReason::Unanswered, DisconnectReason::Unreachable),
                );
                return OVER;
            }
            State::Starting if self.began.elapsed() > SLOW_LOGIN && self.session.line.is_up() => {
                self.turn = None;
                if !self.is_answered && self.session.line.made_at().is_some_and(|at| at.elapsed() > HELLO_TIMEOUT) {
                    warn!("WhatsApp does not answer the hello");
                    self.signal = Some(DisconnectReason::Unanswered);
                    return OVER;
                }
                self.session.set_status(|status| status.reason = DisconnectReason::Unanswered.to_string());
            }
            State::Working if waits => return self.look_at_the_queue(),
            // Messages that wait for the vault are not quiet; and without it there is no new login.
            State::Working if !self.session.journal.outage() => {
                let limit = self.supervisor.quiet_limit;
                if self.last_sign().elapsed() > limit {
                    debug!(quiet.s = limit.as_secs(), "quiet: is it deaf?");
                    self.supervisor.testing = true;
                    self.signal = Some(DisconnectReason::Quiet);
                    return OVER;
                }
            }
            State::ScanQrCode if !self.supervisor.is_pairing() => return OVER,
            State::PasskeyRequired | State::PasskeyConfirmationRequired if self.session.ceremony_expired() => {
                warn!("nobody finished the passkey ceremony in time");
                self.signal = Some(DisconnectReason::PasskeyExpired);
                return OVER;
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }

    /// The silence since then is WhatsApp's. While the vault takes nothing it is ours: what comes is not told before it is kept.
    fn last_sign(&self) -> Instant {
        (*self.last_push.borrow()).max(self.last_outage)
    }

    fn look_at_the_queue(&mut self) -> Flow {
        let last = self.last_sign().max(*self.last_kept.borrow());
        match self.drain.look(last, Instant::now()) {
            Look::GoesOn => {}
            Look::Stands if self.supervisor.silent_logins < MAX_SILENT_LOGINS => {
                warn!("WhatsApp has more of its offline queue, and is not asked for it any more: connecting anew");
                self.supervisor.silent_logins += 1;
                self.signal = Some(DisconnectReason::Quiet);
                return OVER;
            }
            Look::Stands => {}
            Look::TooLong => {
                warn!("WhatsApp does not finish its offline queue: sending anyway");
                self.session.ready.send_replace(Some(self.client.clone()));
            }
        }
        ControlFlow::Continue(())
    }

    /// A first login whose state sync fails never says Connected, but is usable all the same.
    fn await_first_sync(&mut self, logged_in_for: Duration) {
        if logged_in_for > LOGIN_TIMEOUT && self.connected_at.is_none() {
            warn!("logged in, but the first sync does not end: going on without it");
            self.connected_at = Some(Instant::now());
            self.connected();
        }
    }

    /// What an event says of the session; and why the connection will end, if it says that.
    fn apply_event(&mut self, event: &Event) {
        let session = &self.session;
        let signal = match event {
            Event::PairingQrCode(qr) => {
                let code = Secret::new(qr.code.clone());
                let expires_at = session.env.clock.now() + qr.timeout;
                session.set_status(|status| {
                    status.state = State::ScanQrCode;
                    status.reason = match &self.supervisor.last_pairing_error {
                        Some(setback) => format!("{setback}; scan again"),
                        None => "waiting for a scan".into(),
                    };
                    status.qr = Some(Qr { code: code.clone(), expires_at });
                    status.trouble = None;
                });
                session.env.feed.publish(&session.tenant, FeedItem::Qr(code));
                None
            }
            Event::PairingCode(_) => {
                self.has_code = true;
                self.supervisor.last_pairing_error = None;
                session.set_status(|status| {
                    if status.state == State::ScanQrCode {
                        status.reason = "waiting for a scan".into();
                    }
                });
                None
            }
            // Without a code that counts it is the answer to whoever asked for one, who has it.
            Event::PairingCodeError(_) | Event::PairingCodeRefresh(_) if !std::mem::take(&mut self.has_code) => None,
            Event::PairingCodeError(_) | Event::PairingCodeRefresh(_) | Event::QrScannedWithoutMultidevice(_) => {
                if let Some(words) = code::pairing_error(event) {
                    warn!(words, "pairing failed");
                    session.set_status(|status| {
                        if status.state == State::ScanQrCode {
                            status.reason = format!("{words}; ask for another code, or scan");
                        }
                    });
                    self.supervisor.last_pairing_error = Some(words);
                }
                None
            }
            // Whatever is sent to a device that is linked: it has nothing to prove.
            Event::PairPasskeyRequest(_) | Event::PairPasskeyConfirmation(_) | Event::PairPasskeyError(_)
                if session.status.borrow().paired =>
            {
                warn!("WhatsApp speaks of a passkey to a device that is linked: ignored");
                None
            }
            Event::PairPasskeyRequest(asked) => {
                session.begin_ceremony(&asked.request_options_json).err().map(DisconnectReason::PasskeyFailed)
            }
            Event::PairPasskeyConfirmation(agreed) => {
                session.compare_codes(agreed);
                None
            }
            Event::PairPasskeyError(error) => Some(DisconnectReason::PasskeyFailed(error.error.clone())),
            Event::PairSuccess(pairing) => {
                crash::point("paired");
                metrics::paired();
                session.set_status(|status| {
                    status.state = State::Starting;
                    status.reason = "paired, logging in".into();
                    status.paired = true;
                    status.phone_number = Some(pairing.id.user.to_string());
                    status.expected = status.phone_number.clone();
                    status.qr = None;
                });
                None
            }
            Event::PairError(error) => {
                warn!(error = error.error, "the pairing failed");
                Some(DisconnectReason::PairingFailed)
            }
            Event::Connected(_) => {
                session.first_sync.done();
                self.connected();
                None
            }
            Event::SelfPushNameUpdated(name) => {
                let name = Some(name.new_name.clone()).filter(|name| !name.is_empty());
                session.set_status(|status| status.push_name = name);
                None
            }
            Event::PairingQrCodesExhausted(_) => Some(DisconnectReason::QrExhausted),
            Event::LoggedOut(out) => Some(DisconnectReason::LoggedOut { code: code_of(&out.reason) }),
            Event::StreamReplaced(_) => Some(DisconnectReason::Replaced),
            Event::TemporaryBan(ban) => {
                Some(DisconnectReason::Banned { until: ban.expire.to_std().unwrap_or(Duration::from_secs(3600)) })
            }
            Event::ClientOutdated(_) => {
                session.env.versions.outdated(self.version);
                Some(DisconnectReason::Outdated)
            }
            Event::ConnectFailure(failure)
                if failure.reason.should_reconnect() || is_passing(code_of(&failure.reason)) =>
            {
                Some(DisconnectReason::Unwell { code: code_of(&failure.reason) })
            }
            Event::ConnectFailure(failure) => Some(DisconnectReason::Refused { code: code_of(&failure.reason) }),
            Event::Disconnected(gone) => {
                debug!(reason = %gone.reason, "the socket ended");
                None
            }
            _ => None,
        };
        self.signal = signal.or(self.signal.take());
    }

    /// WhatsApp has not mentioned its offline queue: it may have refused to leave passive mode, and then delivers
    /// nothing. The library only logs that (`client/node_io.rs`). Only [`MAX_SILENT_LOGINS`] logins in a row are given
    /// up for it.
    fn is_silent(&self) -> bool {
        let is_silent = !self.drain.has_begun() && *self.last_push.borrow() <= self.began;
        is_silent && self.supervisor.silent_logins < MAX_SILENT_LOGINS
    }

    /// A login that was made because of quiet is over its offline queue: was anything kept back?
    fn adapt_quiet_limit(&mut self) {
        if !std::mem::take(&mut self.supervisor.testing) {
            return;
        }
        if *self.last_push.borrow() > self.began {
            warn!("the connection before was deaf: messages had been kept back");
            self.supervisor.quiet_limit = self.session.env.quiet_first();
        } else {
            self.supervisor.quiet_limit = (self.supervisor.quiet_limit * 2).min(self.session.env.settings.quiet_max);
        }
    }

    fn connected(&mut self) {
        let session = &self.session;
        let name = Some(self.client.push_name()).filter(|name| !name.is_empty());
        // The pairing may have ended without the library's word for it: when the line dropped on its last stanza.
        let number = self.client.pn().map(|me| me.user.to_string());
        let jid = self.client.pn().map(|me| me.to_string());
        let lid = self.client.lid().map(|me| me.to_non_ad_string());
        session.set_status(|status| {
            status.push_name = name;
            status.phone_number = number.or(status.phone_number.take());
            status.lid = lid.or(status.lid.take());
            status.jid = jid.or(status.jid.take());
            status.state = State::Working;
            status.reason = "connected".into();
            status.paired = true;
            status.rejected = false;
            status.qr = None;
            status.trouble = None;
        });
        session.pairing_mark.clear();
        self.supervisor.pairing_until = None;
        self.supervisor.last_pairing_error = None;
        self.supervisor.is_unproven = false;
        let client = self.client.clone();
        session.tasks.spawn({
            let session = session.clone();
            async move { session.presences.renew(&client).await }
        });
    }
}

impl Supervisor {
    /// Waits for a permit to dial. Returns early with the reason if there is no need to dial any more: the line may be
    /// long, and its caller must not wait for it.
    async fn await_turn(
        &mut self,
        paired: bool,
        commands: &mut mpsc::Receiver<SessionCommand>,
    ) -> Result<Result<OwnedSemaphorePermit, DisconnectReason>, Stop> {
        let session = self.session.clone();
        let mut turn = pin!(session.env.dialing.clone().acquire_owned());
        loop {
            let over = match () {
                // Without credentials there is nothing to unlink at WhatsApp.
                () if self.is_unlinking() && !paired => Some(DisconnectReason::Unlinked { told: true }),
                () if self.is_tired_of_unlinking() => Some(DisconnectReason::Unlinked { told: false }),
                () if self.is_unlinking() => None,
                () if session.is_stopped() => Some(DisconnectReason::Stopped),
                () if !paired && !self.is_pairing() => Some(DisconnectReason::GivenUp),
                () => None,
            };
            if let Some(over) = over {
                return Ok(Err(over));
            }
            let ends = if paired { self.tired_at() } else { self.pairing_until };
            tokio::select! {
                closed = session.journal.closed() => return Err(Stop::Closed(closed)),
                () = session.stop.cancelled() => return Err(Stop::Asked),
                turn = &mut turn => return turn.map(Ok).map_err(|_| Stop::Asked),
                () = sleep_until(ends.unwrap_or_else(Instant::now)), if ends.is_some() => {}
                Some(command) = commands.recv() => self.note_command(command),
            }
        }
    }
}

/// `over`: cancelled when the client is no longer used. `forgets`: drop the stored certificate and edge route, so that
/// the hello does not depend on them.
async fn client(
    session: &Inner,
    version: Version,
    over: CancellationToken,
    paired: bool,
    forgets: bool,
) -> anyhow::Result<Arc<Client>> {
    let env = &session.env;
    let persistence = Arc::new(PersistenceManager::new(session.store.clone()).await?);
    if forgets {
        warn!("WhatsApp has not answered for some time: forgetting its certificate and its route");
        let forget = |device: &mut Device| (device.server_cert_chain, device.edge_routing_info) = (None, None);
        persistence.modify_device(forget).await;
    }
    let props = DevicePropsOverride::new().with_os(env.settings.device_name.clone());
    if !paired {
        persistence.process_command(DeviceCommand::SetDeviceProps(props)).await;
    }
    let hook = DurabilityHook {
        inbox: session.inbox.clone(),
        outbox: session.outbox.clone(),
        store: session.store.clone(),
        owes_acks: session.owes_acks.clone(),
        late: session.late.clone(),
        unknown_devices: session.unknown_devices.clone(),
    };
    let secrets = StoredMessageSecrets { inbox: session.inbox.clone(), outbox: session.outbox.clone() };
    let caches = CacheConfig { original_message_resolver: Some(Arc::new(secrets)), ..CacheConfig::default() };
    let gate = Arc::new(WireGate::new(session.store.clone()));
    let dialer = Dialer::new(env.endpoint.clone(), session.journal.clone(), session.line.clone(), gate.clone());
    let first_sync = session.first_sync.clone();
    let runtime: Arc<dyn Runtime> = if paired {
        Arc::new(WatchedRuntime(PatientRuntime { runtime: TokioRuntime, first_sync, over }))
    } else {
        Arc::new(WatchedRuntime(PatientRuntime { runtime: PairingRuntime, first_sync, over }))
    };
    let client = Client::builder()
        .with_runtime_arc(runtime)
        .with_persistence_manager(persistence)
        .with_transport_factory(dialer)
        .with_http_client_arc(Arc::new(BoundedBody(env.http_of(&session.tenant).clone())))
        .with_version_override(version)
        .with_inbound_durability_hook(hook)
        .with_cache_config(caches)
        .with_wanted_pre_key_count(env.settings.pre_keys)
        .with_background_saver_interval(Duration::from_secs(30))
        .build()
        .await
        .map_err(|error: ClientBuilderError| anyhow::anyhow!(error))?
        .into_client();
    gate.attach(&client);
    // Within a pairing the library restarts the connection by itself (515) and remembers that a first sync is due.
    client.enable_auto_reconnect.store(!paired, Ordering::Relaxed);
    Ok(client)
}

/// Ends the library's client for good, so that never two of them live on one store.
async fn farewell(session: &Inner, client: &Arc<Client>, mut run: AbortOnDropHandle<()>, abrupt: bool) {
    if abrupt {
        // Not a word more to WhatsApp: the tenant is another's, or what would be said cannot be trusted.
        session.line.shut();
        run.abort();
        // What it does in the background ends, too: nothing of it can leave any more.
        let client = client.clone();
        session.tasks.spawn(async move {
            if timeout(FAREWELL, client.disconnect()).await.is_err() {
                debug!("the library does not end a connection that was cut");
            }
        });
    } else if timeout(FAREWELL, client.disconnect()).await.is_err() {
        warn!("the library does not end the connection: cutting the line");
        session.line.cut();
    }
    if !run.is_finished() && timeout(FAREWELL, &mut run).await.is_err() {
        run.abort();
    }
}

/// The answer, while one is awaited.
async fn proof(awaited: &mut Option<BoxFuture<'static, bool>>) -> bool {
    match awaited {
        Some(proof) => proof.await,
        None => pending().await,
    }
}

/// Codes of the moment, in HTTP's meaning, which the library does not know.
fn is_passing(code: i32) -> bool {
    matches!(code, 408 | 425 | 429 | 500..=599)
}

fn code_of(reason: &ConnectFailureReason) -> i32 {
    reason.code()
}
