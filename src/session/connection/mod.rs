//! One connection to WhatsApp, from the dial to its end: one client of the library over the session's store. Says in a
//! [`DisconnectReason`] how it ended; what follows is the supervisor's to decide.

pub(super) mod agent;
mod client;
mod deadlines;
mod dial_permit;
pub(super) mod disconnect;
pub(super) mod drain;
mod events;
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
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use futures::{
    FutureExt as _,
    future::{BoxFuture, pending},
};
use tokio::{
    sync::{OwnedSemaphorePermit, mpsc, watch},
    time::{Instant, sleep, timeout},
};
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::AbortOnDropHandle,
};
use tracing::{error, warn};
use whatsapp_rust::{Client, wacore::iq::devices::RemoveCompanionDeviceSpec};

use self::{
    client::{FAREWELL, client, farewell},
    disconnect::DisconnectReason,
    drain::Drain,
    frame_watch::FrameWatch,
    supervisor::{Stop, Supervisor},
    version::Version,
};
use super::{
    Inner, SessionCommand, guarded,
    inbound::{hook::EventBridge, recorder},
    pairing::qr_rotation::QrRotation,
    state::{FIRST_CONNECTING, State},
};

/// How long the library may take to finish with the messages that have come, before its connection is ended. In the middle of one it
/// would write the ratchet and drop the message (whatsapp-rust 0.7.0: `disconnect` and the end of `run` both clean up, and the
/// second takes what is decrypted between them for a part of an offline queue).
const DRAINED_TIMEOUT: Duration = Duration::from_secs(1);

/// As [`DRAINED_TIMEOUT`], where the connection has ended by itself: the library's queues are not worked on any more.
const LEFT_TIMEOUT: Duration = Duration::from_millis(100);

/// From the dial to the login. WhatsApp answers within seconds; silence is a dead line.
const LOGIN_TIMEOUT: Duration = Duration::from_secs(25);

/// After so many hellos without an answer the next one is WhatsApp Web's longer, which needs nothing that was learned before. The
/// library falls back to that only when an answer is wrong.
const HELLOS: u32 = 2;

/// A connection that was up for so long, or on which WhatsApp confirmed a message, was a good one.
const STABLE: Duration = Duration::from_secs(30);

/// How a connection ended.
pub struct ConnectionOutcome {
    pub signal: DisconnectReason,
    /// It was logged in for a while, or a message was confirmed on it.
    pub was_stable: bool,
    /// It was logged in.
    pub was_connected: bool,
    /// It was logged in, and ended without a word while a message was on its way: perhaps because of that.
    pub lost_a_message: bool,
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
                status.reason = if paired { FIRST_CONNECTING } else { "asking WhatsApp for a QR code" }.into();
            }
            status.state = State::Starting;
            status.qr = None;
        });
        let Ok(place) = session.env.lines.clone().try_acquire_owned() else {
            return Ok(ConnectionOutcome {
                signal: DisconnectReason::NoDescriptor,
                was_stable: false,
                was_connected: false,
                lost_a_message: false,
            });
        };
        let turn = match supervisor.await_turn(paired, commands).await? {
            Ok(turn) => turn,
            Err(signal) => {
                return Ok(ConnectionOutcome {
                    signal,
                    was_stable: false,
                    was_connected: false,
                    lost_a_message: false,
                });
            }
        };
        let forgets = supervisor.unanswered_hellos >= HELLOS;
        let version = session.env.versions.current().await;
        let over = CancellationToken::new();
        // Boxed, as all that is over soon: the task's room is the connection's for as long as that lasts.
        let client = match Box::pin(client(&session, version, over.clone(), paired, forgets)).await {
            Ok(client) => client,
            Err(error) => {
                error!(event = "client_failed", error = format!("{error:#}"), "no client");
                return Ok(ConnectionOutcome {
                    signal: DisconnectReason::Dropped,
                    was_stable: false,
                    was_connected: false,
                    lost_a_message: false,
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
        // Unacknowledged messages come again with the login that is ahead.
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
                        error!(event = "client_crashed", %error, "the library's client crashed");
                    }
                    // Its last events may still be in the channel.
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
            if self.supervisor.is_unlinking()
                && let ControlFlow::Break(stop) = Box::pin(self.unlink()).await
            {
                break stop;
            }
        };
        self.turn = None;
        self.is_answered |= answer.now_or_never() == Some(true);
        self.count_hello();
        session.ready.send_replace(None);
        let abrupt = matches!(stop, Some(Stop::Closed(_))) || session.end.get().is_some();
        if !abrupt {
            session.line.pause();
            session.store.arrivals().drain(if run.is_finished() { LEFT_TIMEOUT } else { DRAINED_TIMEOUT }).await;
        }
        drop(subscription);
        Box::pin(farewell(&session, &self.client, run, abrupt)).await;
        drop(writer);
        if !abrupt && let Err(error) = Box::pin(session.store.write_signal_rest()).await {
            warn!(
                event = "last_ratchets_unwritten",
                error = format!("{:#}", anyhow::Error::new(error)),
                "ratchets are not stored"
            );
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
        let was_connected = self.connected_at.is_some();
        let lost_under = |at: Instant| signal == DisconnectReason::Dropped && session.answers.any_lost_since(at);
        let lost_a_message = self.connected_at.is_some_and(lost_under);
        drop(self);
        // The ears are gone with the subscription: the recorder writes what it still has and ends.
        if timeout(FAREWELL, recorder).await.is_err() {
            warn!(event = "receipts_pending", "receipts are still being written");
        }
        match stop {
            Some(stop) => Err(stop),
            None => Ok(ConnectionOutcome { signal, was_stable, was_connected, lost_a_message }),
        }
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
                    warn!(event = "login_unanswered", "WhatsApp does not answer the login: dialing anew");
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
        let paired = self.session.status.borrow().paired;
        self.signal = match self.client.pn() {
            Some(device) if paired && self.client.is_logged_in() => {
                self.client.enable_auto_reconnect.store(false, Ordering::Relaxed);
                match timeout(FAREWELL, self.client.execute(RemoveCompanionDeviceSpec::new(&device))).await {
                    Ok(Ok(())) => Some(DisconnectReason::Unlinked { told: true }),
                    failed => {
                        warn!(event = "unlink_unconfirmed", ?failed, "WhatsApp did not confirm the unlinking");
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
}

/// The answer, while one is awaited.
async fn proof(awaited: &mut Option<BoxFuture<'static, bool>>) -> bool {
    match awaited {
        Some(proof) => proof.await,
        None => pending().await,
    }
}
