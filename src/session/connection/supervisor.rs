//! The supervisor: keeps one session connected. One connection is one client of the library over the same store; its own
//! reconnect is off (but for the restart within a pairing, which it alone can carry over). What WhatsApp says is turned into
//! a [`DisconnectReason`], and the table in [`crate::session::connection::disconnect`] says what follows.

mod pairing_pause;
mod unlink;

use std::{pin::pin, sync::Arc, time::Duration};

use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until},
};
use tracing::{error, info, warn};

use self::{pairing_pause::pairing_pause, unlink::Unlinked};
use super::{
    Connection,
    disconnect::{DisconnectReason, ReconnectPlan},
};
use crate::{
    backoff::Backoff,
    journal::JournalClosedError,
    session::{End, Inner, STAYS_AWAY, SessionCommand, env::jitter, requests::pace::RequestKind, state::State},
    telemetry::metrics::{self, label::ConnectionEnd},
};

/// How long a session that was replaced although it is still the owner waits before it takes its place back.
const REPLACED_WAIT: Duration = Duration::from_secs(10);

/// Replaced twice within this time is a fight: with the same device in use elsewhere. However well the connection between went, the place
/// is taken back slowly then.
const FIGHT: Duration = Duration::from_secs(3600);

/// A message, or a question that goes with it, may be what WhatsApp ends the line for. That is counted for the message; so often in a
/// row it says nothing of the line, and the others wait no longer than after the first such loss.
const LOSSES_OF_MESSAGES: u32 = 12;

pub struct Supervisor {
    pub(in crate::session) session: Arc<Inner>,
    /// Failed connections in a row.
    pub(in crate::session) failures: u32,
    /// Of these, and before: those that ended under a message, in a row.
    losses_of_messages: u32,
    /// When another connection last took this one's place.
    replaced_at: Option<Instant>,
    /// Someone wants to pair, until then.
    pub(in crate::session) pairing_until: Option<Instant>,
    /// No login with the credentials, if there are any, has succeeded: they are of a pairing that is not over.
    pub(in crate::session) is_unproven: bool,
    /// Nobody scanned in time: whoever still looks is offered another code.
    has_lapsed: bool,
    /// Nobody wanted to pair until now: the next dial is a login that somebody asked for.
    was_idle: bool,
    /// Why the last pairing attempt failed; shown at the next attempt.
    pub(in crate::session) last_pairing_error: Option<String>,
    /// Pairings in a row that came to nothing by a refusal.
    pub(in crate::session) failed_pairings: u32,
    /// The pause before the next of them, unless somebody asks.
    pairing_pause: Option<Duration>,
    /// So much quiet and the connection is tested for deafness; grows with each test that finds nothing.
    pub(in crate::session) quiet_limit: Duration,
    /// This connection is such a test.
    pub(in crate::session) testing: bool,
    /// Lines in a row on which WhatsApp did not answer the hello.
    pub(in crate::session) unanswered_hellos: u32,
    /// Logins in a row after which WhatsApp said nothing of what it has kept.
    pub(in crate::session) silent_logins: u32,
    /// When a connection was given up for a frame that did not open.
    pub(in crate::session) garbled_at: Option<Instant>,
    /// How the last connection ended.
    last_end: Option<ConnectionEnd>,
    /// Set while an unlink is wanted: the deadline for telling WhatsApp, and the callers that wait for the wipe.
    unlinking: Option<(Instant, Vec<Unlinked>)>,
}

/// A wait before the next dial, by what cuts it short.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum DialPause {
    /// A heartbeat, or somebody who wants a connection.
    Short,
    /// Only somebody: to be insistent makes it worse.
    Slow,
    /// Nobody.
    Fixed,
    /// Somebody who begins to pair: no page that only looks.
    AfterPairing,
}

/// When a command ends such a wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ends {
    No,
    /// As soon as the shortest wait is over.
    Soon,
    AtOnce,
}

/// The reason for which the supervisor ends.
pub enum Stop {
    /// The process is stopping.
    Asked,
    /// The journal closed: the tenant is another's, or its record is gone.
    Closed(JournalClosedError),
}

impl Supervisor {
    pub fn new(session: Arc<Inner>) -> Self {
        let quiet_limit = session.env.quiet_first();
        let (was_pairing, paired) = (session.pairing_mark.is_set(), session.status.borrow().paired);
        let mut supervisor = Self {
            session,
            failures: 0,
            losses_of_messages: 0,
            replaced_at: None,
            pairing_until: None,
            is_unproven: was_pairing && paired,
            has_lapsed: was_pairing && !paired,
            was_idle: false,
            last_pairing_error: None,
            failed_pairings: 0,
            pairing_pause: None,
            quiet_limit,
            testing: false,
            unanswered_hellos: 0,
            silent_logins: 0,
            garbled_at: None,
            last_end: None,
            unlinking: None,
        };
        if supervisor.is_unproven {
            // Somebody scanned before this process began, and is still there.
            supervisor.wants_to_pair();
        } else if !paired {
            // So is somebody who looks at a code.
            let (now, most) = (supervisor.session.env.clock.now(), supervisor.session.env.settings.pairing_timeout);
            let left = supervisor.session.pairing_mark.left(now, most);
            supervisor.pairing_until = left.map(|left| Instant::now() + left);
        }
        supervisor
    }

    pub async fn run(mut self, mut commands: mpsc::Receiver<SessionCommand>) {
        crate::crash::pause("supervisor").await;
        let stop = loop {
            match self.run_once(&mut commands).await {
                Ok(()) => {}
                Err(stop) => break stop,
            }
        };
        let session = &self.session;
        session.ready.send_replace(None);
        session.client.send_replace(None);
        match stop {
            Stop::Closed(JournalClosedError::Stopped) if !session.stop.is_cancelled() => session.end(End::Crashed),
            Stop::Closed(closed) => End::of(closed).into_iter().for_each(|end| session.end(end)),
            Stop::Asked => {}
        }
        if session.end.get().is_none() {
            let reason = session.closed_for.get().copied().unwrap_or("the daemon is stopping");
            session.set_status(|status| {
                status.state = State::Stopped;
                status.reason = reason.into();
            });
        }
    }

    /// Waits for a reason to connect, connects, and sees what follows.
    async fn run_once(&mut self, commands: &mut mpsc::Receiver<SessionCommand>) -> Result<(), Stop> {
        let paired = self.session.status.borrow().paired;
        if self.is_tired_of_unlinking() {
            return Box::pin(self.unlinked(&DisconnectReason::Unlinked { told: false }, commands)).await;
        }
        if self.session.is_stopped() && !self.is_unlinking() {
            self.give_up_pairing();
            self.session.set_status(|status| {
                if status.paired || status.state != State::Stopped {
                    status.reason = STAYS_AWAY.into();
                }
                status.state = State::Stopped;
                status.qr = None;
            });
            return self.idle(commands).await;
        }
        if !paired && !self.is_pairing() {
            self.has_lapsed |= self.pairing_until.take().is_some();
            let reason = self.last_pairing_error.take().unwrap_or_else(|| "the QR code was not scanned".into());
            self.session.set_status(|status| {
                if status.state != State::Stopped {
                    status.state = State::Stopped;
                    status.reason = reason;
                }
                status.qr = None;
            });
            self.was_idle = true;
            return self.idle(commands).await;
        }
        // A page may give a pairing up and begin it again as often as it likes: to WhatsApp each is a login.
        if !paired
            && self.was_idle
            && let Err(wait) = self.session.pace.take(RequestKind::Pairing)
        {
            self.session.set_status(|status| {
                status.state = State::Starting;
                status.reason = "too many pairings were begun: waiting before the next".into();
                status.qr = None;
            });
            return self.pause(wait, DialPause::Fixed, commands).await;
        }
        if let Some(wait) = self.pairing_pause.take().filter(|_| !paired) {
            let reason = self.last_pairing_error.clone();
            self.session.set_status(|status| {
                status.state = State::Starting;
                status.reason = reason.unwrap_or_else(|| "waiting before the next pairing".into());
                status.qr = None;
            });
            return self.pause(wait, DialPause::AfterPairing, commands).await;
        }
        self.was_idle = false;
        self.last_end.take().filter(|_| paired).into_iter().for_each(metrics::reconnects);
        let ended = Connection::run(self, commands).await?;
        let end = *self.last_end.insert(ended.signal.counted_as());
        metrics::disconnected(end);
        self.session.seen.ended(end, ended.was_connected);
        self.session.ready.send_replace(None);
        self.session.client.send_replace(None);
        if ended.was_stable {
            (self.failures, self.losses_of_messages) = (0, 0);
        } else if ended.lost_a_message && self.losses_of_messages < LOSSES_OF_MESSAGES {
            self.failures = 0;
            self.losses_of_messages += 1;
        }
        let next = ended.signal.next();
        info!(
            event = "connection_ended",
            reason = %ended.signal,
            next = ?next,
            failures = self.failures,
            "the connection ended"
        );
        // Boxed: while a connection lasts it takes no room in the task.
        Box::pin(self.carry_out(next, &ended.signal, commands)).await
    }

    /// Someone wants to pair: for so long QR codes are shown.
    pub(in crate::session) fn wants_to_pair(&mut self) {
        let length = self.session.env.settings.pairing_timeout;
        self.pairing_until = Some(Instant::now() + length);
        self.has_lapsed = false;
        if !self.session.status.borrow().paired {
            self.session.pairing_mark.offer(self.session.env.clock.now(), length);
        }
    }

    /// Renews the offer to pair: somebody still looks at the code.
    pub(in crate::session) fn keep_pairing(&mut self) {
        let paired = self.session.status.borrow().paired;
        if !paired && (self.is_pairing() || self.has_lapsed) {
            self.wants_to_pair();
        }
    }

    /// Nobody wants to pair any more.
    pub(in crate::session) fn give_up_pairing(&mut self) {
        self.pairing_until = None;
        self.has_lapsed = false;
        if !self.session.status.borrow().paired {
            self.session.pairing_mark.clear();
        }
    }

    /// Notes that WhatsApp, or the phone, has refused a pairing. Refusals that come at once must not make a login each.
    fn note_failed_pairing(&mut self) {
        self.failed_pairings = self.failed_pairings.saturating_add(1);
        self.pairing_pause = pairing_pause(self.failed_pairings, self.session.env.settings.backoff_min, jitter());
    }

    pub(in crate::session) fn is_pairing(&self) -> bool {
        self.pairing_until.is_some_and(|until| until > Instant::now())
    }

    /// Not paired and nobody asks: waits for someone who does.
    async fn idle(&mut self, commands: &mut mpsc::Receiver<SessionCommand>) -> Result<(), Stop> {
        let session = self.session.clone();
        tokio::select! {
            closed = session.journal.closed() => Err(Stop::Closed(closed)),
            () = session.stop.cancelled() => Err(Stop::Asked),
            command = commands.recv() => match command {
                Some(command) => self.on_command(command, commands).await,
                None => Err(Stop::Asked),
            },
        }
    }

    /// A command while there is no connection.
    async fn on_command(
        &mut self,
        command: SessionCommand,
        commands: &mut mpsc::Receiver<SessionCommand>,
    ) -> Result<(), Stop> {
        if let SessionCommand::Connect = command {
            self.last_pairing_error = None;
            self.pairing_pause = None;
        }
        // A device that was never linked needs no connection to be unlinked.
        let wipes = matches!(command, SessionCommand::Unlink(_)) && !self.session.status.borrow().paired;
        self.note_command(command);
        if wipes {
            Box::pin(self.unlinked(&DisconnectReason::Unlinked { told: true }, commands)).await?;
        }
        Ok(())
    }

    async fn carry_out(
        &mut self,
        next: ReconnectPlan,
        signal: &DisconnectReason,
        commands: &mut mpsc::Receiver<SessionCommand>,
    ) -> Result<(), Stop> {
        let env = self.session.env.clone();
        let settings = &env.settings;
        let reconnect = Backoff::new(settings.backoff_min, settings.backoff_max);
        let mut slowly = next == ReconnectPlan::RetrySlowly;
        let wait = match next {
            ReconnectPlan::Wipe => return self.unlinked(signal, commands).await,
            ReconnectPlan::ReconnectNow => return Ok(()),
            ReconnectPlan::NewQr => {
                let told = matches!(
                    signal,
                    DisconnectReason::PasskeyExpired
                        | DisconnectReason::PasskeyFailed(_)
                        | DisconnectReason::GivenUp
                        | DisconnectReason::OtherAccount { .. }
                );
                self.last_pairing_error = told.then(|| signal.to_string());
                if signal.refuses_pairing() {
                    self.note_failed_pairing();
                } else {
                    self.failed_pairings = 0;
                }
                return Ok(());
            }
            ReconnectPlan::Reconnect => reconnect.spread(self.failures, jitter()),
            ReconnectPlan::Update => {
                error!(event = "version_outdated", "WhatsApp calls this version outdated");
                reconnect.spread(self.failures, jitter())
            }
            ReconnectPlan::WaitFor(ban) => {
                error!(event = "number_banned", ban.s = ban.as_secs(), "WhatsApp banned this number for a while");
                self.session.set_status(|status| {
                    status.state = State::Failed;
                    status.reason = format!("banned by WhatsApp for {} s", ban.as_secs());
                });
                return self.pause(ban, DialPause::Fixed, commands).await;
            }
            ReconnectPlan::RetrySlowly => {
                error!(event = "connection_refused", ?signal, "WhatsApp refuses the connection");
                settings.backoff_max
            }
            ReconnectPlan::AwaitDescriptor => {
                error!(event = "descriptors_exhausted", "no file descriptor for another line");
                settings.backoff_max.mul_f64(1.0 - jitter() / 2.0)
            }
            ReconnectPlan::AskOwner => {
                // Fenced: the journal closes, and the pause ends by it.
                let session = self.session.clone();
                let owner = self.meanwhile(commands, session.journal.confirm()).await?;
                let again = self.replaced_at.replace(Instant::now()).is_some_and(|at| at.elapsed() < FIGHT);
                slowly = again;
                if again {
                    error!(
                        event = "device_used_elsewhere",
                        "replaced again although the vault says that this process owns the tenant: is the device in use elsewhere?"
                    );
                    settings.backoff_max
                } else {
                    warn!(
                        event = "connection_replaced",
                        owner = owner.is_ok(),
                        "another connection took this session's place"
                    );
                    REPLACED_WAIT.min(settings.backoff_max)
                }
            }
        };
        self.failures = self.failures.saturating_add(1);
        let reason = signal.to_string();
        self.session.set_status(|status| {
            let fails = matches!(next, ReconnectPlan::RetrySlowly | ReconnectPlan::AwaitDescriptor);
            status.state = if fails { State::Failed } else { State::Starting };
            status.trouble = Some(reason.clone());
            status.reason = reason;
            status.qr = None;
        });
        self.pause(wait, if slowly { DialPause::Slow } else { DialPause::Short }, commands).await
    }

    /// Waits before the next dial.
    async fn pause(
        &mut self,
        wait: Duration,
        kind: DialPause,
        commands: &mut mpsc::Receiver<SessionCommand>,
    ) -> Result<(), Stop> {
        let session = self.session.clone();
        // Somebody may have wished it while the vault was asked.
        if session.is_stopped() && !self.is_unlinking() {
            return Ok(());
        }
        let began = Instant::now();
        let mut until = began + wait;
        loop {
            let until_then = self.unlinking.as_ref().map_or(until, |(tired, _)| until.min(*tired));
            tokio::select! {
                closed = session.journal.closed() => return Err(Stop::Closed(closed)),
                () = session.stop.cancelled() => return Err(Stop::Asked),
                () = sleep_until(until_then) => return Ok(()),
                command = commands.recv() => {
                    let Some(command) = command else { return Err(Stop::Asked) };
                    let ends = self.ends_pause(&command, kind);
                    self.on_command(command, commands).await?;
                    match ends {
                        Ends::No => {}
                        Ends::AtOnce => return Ok(()),
                        Ends::Soon => until = until.min(began + session.env.settings.backoff_min),
                    }
                }
            }
        }
    }

    /// Whether a command shortens the wait before the next dial. Pages may ask as often as they like, but WhatsApp
    /// takes many logins for an attack: so logins on request are limited.
    fn ends_pause(&self, command: &SessionCommand, kind: DialPause) -> Ends {
        let paired = self.session.status.borrow().paired;
        match command {
            SessionCommand::Unlink(_) | SessionCommand::Stop => Ends::AtOnce,
            // There is no next dial.
            SessionCommand::StopPairing if !paired => Ends::AtOnce,
            SessionCommand::DialNow { patience } => match kind {
                DialPause::Short => Ends::AtOnce,
                // Somebody asked, and it was counted; a heartbeat has patience.
                DialPause::Slow | DialPause::AfterPairing if patience.is_zero() => Ends::AtOnce,
                DialPause::Slow | DialPause::AfterPairing | DialPause::Fixed => Ends::No,
            },
            // A person who asks again does not wait for the failures before.
            SessionCommand::Connect if kind == DialPause::AfterPairing => {
                match self.session.pace.take(RequestKind::Pairing) {
                    Ok(()) => Ends::AtOnce,
                    Err(_) => Ends::No,
                }
            }
            SessionCommand::Connect
                if kind != DialPause::Fixed && self.session.pace.take(RequestKind::Login).is_ok() =>
            {
                Ends::Soon
            }
            SessionCommand::Connect
            | SessionCommand::KeepPairing
            | SessionCommand::StopPairing
            | SessionCommand::EndCeremony(_)
            | SessionCommand::RefuseScan => Ends::No,
        }
    }

    /// Runs `work` to its end while commands are still noted; stops early if the session ends.
    async fn meanwhile<T>(
        &mut self,
        commands: &mut mpsc::Receiver<SessionCommand>,
        work: impl Future<Output = T>,
    ) -> Result<T, Stop> {
        let session = self.session.clone();
        let mut work = pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return Ok(done),
                closed = session.journal.closed() => return Err(Stop::Closed(closed)),
                () = session.stop.cancelled() => return Err(Stop::Asked),
                Some(command) = commands.recv() => self.note_command(command),
            }
        }
    }

    /// Notes what a command changes of what comes next. Does nothing now.
    pub(super) fn note_command(&mut self, command: SessionCommand) {
        match command {
            SessionCommand::Unlink(done) => self.wants_to_unlink(done),
            SessionCommand::Connect => self.wants_to_pair(),
            SessionCommand::KeepPairing => self.keep_pairing(),
            SessionCommand::StopPairing => self.give_up_pairing(),
            SessionCommand::DialNow { .. }
            | SessionCommand::Stop
            | SessionCommand::EndCeremony(_)
            | SessionCommand::RefuseScan => {}
        }
    }
}
