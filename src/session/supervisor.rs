//! The supervisor: keeps one session connected. One connection is one client of the library over the same store; its own
//! reconnect is off (but for the restart within a pairing, which it alone can carry over). What WhatsApp says is turned into
//! a [`Signal`], and the table in [`super::signal`] says what follows.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tokio::{
    sync::{mpsc, oneshot, watch},
    task::JoinHandle,
    time::{Instant, sleep, sleep_until, timeout},
};
use tracing::{debug, error, info, warn};
use whatsapp_rust::{
    Client, ClientBuilderError, Server, TokioRuntime,
    store::{commands::DeviceCommand, persistence_manager::PersistenceManager},
    types::events::{ConnectFailureReason, Event, Receipt},
    wacore::{
        store::device::DevicePropsOverride,
        types::{message::MessageInfo, presence::ReceiptType},
    },
};

use super::{
    Inner, Wish,
    env::jitter,
    hook::{Ears, Hook},
    line::Dialer,
    signal::{Next, Signal, backoff},
    state::{Qr, State},
    translate,
};
use crate::{
    config::Secret,
    crash,
    journal::{Closed, SnapshotError},
    message::{Delivery, Notice},
    vault::Decision,
};

/// How long the library may take to end a connection before it is aborted.
const FAREWELL: Duration = Duration::from_secs(5);

/// From the dial to the login. WhatsApp answers within seconds; silence is a dead line.
const LOGIN_TIMEOUT: Duration = Duration::from_secs(25);

/// After so long a login is called slow: where it is asked why the session does not work.
const SLOW_LOGIN: Duration = Duration::from_secs(5);

/// From the login to the end of the offline queue, from its last sign of life.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(60);

/// How often a connection's deadlines are looked at.
const MIN_TICK: Duration = Duration::from_millis(500);
const MAX_TICK: Duration = Duration::from_secs(5);

/// How long a session that was replaced although it is still the owner waits before it takes its place back.
const REPLACED_WAIT: Duration = Duration::from_secs(10);

pub struct Supervisor {
    session: Arc<Inner>,
    /// Failed connections in a row.
    failures: u32,
    /// Taken over by another connection since the last time that this one was up for long.
    replaced: bool,
    /// Someone wants to pair, until then.
    pairing_until: Option<Instant>,
    /// So much quiet and the connection is tested for deafness; grows with each test that finds nothing.
    quiet_limit: Duration,
    /// This connection is such a test.
    testing: bool,
    /// Who asked to unlink, and waits for the wipe.
    unlinking: Option<oneshot::Sender<Result<(), Closed>>>,
}

/// How a connection ended.
struct Ended {
    signal: Signal,
    /// It was logged in for a while.
    was_stable: bool,
}

/// What ends the supervisor.
enum Stop {
    /// The process is stopping.
    Asked,
    /// The journal closed: the tenant is another's, or its record is gone.
    Closed(Closed),
}

impl Supervisor {
    pub fn new(session: Arc<Inner>) -> Self {
        let quiet_limit = session.env.quiet_first;
        Self {
            session,
            failures: 0,
            replaced: false,
            pairing_until: None,
            quiet_limit,
            testing: false,
            unlinking: None,
        }
    }

    pub async fn run(mut self, mut wishes: mpsc::Receiver<Wish>) {
        let stop = loop {
            match self.turn(&mut wishes).await {
                Ok(()) => {}
                Err(stop) => break stop,
            }
        };
        let session = &self.session;
        session.ready.send_replace(None);
        session.client.send_replace(None);
        match stop {
            Stop::Asked | Stop::Closed(Closed::Stopped) => session.set_status(|status| {
                status.state = State::Stopped;
                status.reason = "the daemon is stopping".into();
            }),
            Stop::Closed(closed) => {
                warn!(%closed, "this process does not own the tenant any more");
                session.line.cut();
                session.set_status(|status| {
                    status.qr = None;
                    (status.state, status.reason) = match closed {
                        Closed::Fenced => (State::Stopped, "moved".into()),
                        other => (State::Failed, other.to_string()),
                    };
                });
                session.stop.cancel();
                let _ = session.store.close().await;
            }
        }
    }

    /// Waits for a reason to connect, connects, and sees what follows.
    async fn turn(&mut self, wishes: &mut mpsc::Receiver<Wish>) -> Result<(), Stop> {
        let paired = self.session.status.borrow().paired;
        let pairing = self.pairing_until.is_some_and(|until| until > Instant::now());
        if !paired && !pairing {
            self.pairing_until = None;
            self.session.set_status(|status| {
                if status.state != State::Stopped {
                    status.state = State::Stopped;
                    status.reason = "the QR code was not scanned".into();
                }
                status.qr = None;
            });
            return self.idle(wishes).await;
        }
        let ended = self.connection(wishes).await?;
        self.session.ready.send_replace(None);
        self.session.client.send_replace(None);
        if ended.was_stable {
            self.failures = 0;
            self.replaced = false;
        }
        let next = ended.signal.next();
        info!(signal = ?ended.signal, next = ?next, failures = self.failures, "the connection ended");
        self.follow(next, &ended.signal, wishes).await
    }

    /// Not paired and nobody asks: waits for someone who does.
    async fn idle(&mut self, wishes: &mut mpsc::Receiver<Wish>) -> Result<(), Stop> {
        let session = self.session.clone();
        tokio::select! {
            closed = session.journal.closed() => Err(Stop::Closed(closed)),
            () = session.stop.cancelled() => Err(Stop::Asked),
            wish = wishes.recv() => match wish {
                Some(wish) => self.grant(wish).await,
                None => Err(Stop::Asked),
            },
        }
    }

    /// A wish while there is no connection.
    async fn grant(&mut self, wish: Wish) -> Result<(), Stop> {
        match wish {
            Wish::Connect => self.pairing_until = Some(Instant::now() + self.session.env.settings.pairing_timeout),
            Wish::DialNow { .. } => {}
            Wish::Unlink(done) => {
                let wiped = self.wipe("unlinked", false).await;
                let _ = done.send(wiped.clone());
                wiped.map_err(Stop::Closed)?;
            }
        }
        Ok(())
    }

    async fn follow(&mut self, next: Next, signal: &Signal, wishes: &mut mpsc::Receiver<Wish>) -> Result<(), Stop> {
        let settings = &self.session.env.settings;
        let wait = match next {
            Next::Wipe => {
                let rejected = *signal != Signal::Unlinked;
                let reason = if rejected { "WhatsApp logged this device out: scan again" } else { "unlinked" };
                self.pairing_until = None;
                let wiped = self.wipe(reason, rejected).await;
                if let Some(done) = self.unlinking.take() {
                    let _ = done.send(wiped.clone());
                }
                return wiped.map_err(Stop::Closed);
            }
            Next::ReconnectNow => return Ok(()),
            Next::NewQr => return Ok(()),
            Next::Reconnect => backoff(self.failures, settings.backoff_min, settings.backoff_max, jitter()),
            Next::Update => {
                error!("WhatsApp calls this version outdated");
                backoff(self.failures, settings.backoff_min, settings.backoff_max, jitter())
            }
            Next::WaitFor(ban) => {
                error!(ban.s = ban.as_secs(), "WhatsApp banned this number for a while");
                self.session.set_status(|status| {
                    status.state = State::Failed;
                    status.reason = format!("banned by WhatsApp for {} s", ban.as_secs());
                });
                return self.pause(ban, true, wishes).await;
            }
            Next::RetrySlowly => {
                error!(?signal, "WhatsApp refuses the connection");
                settings.backoff_max
            }
            Next::AskOwner => {
                // Fenced: the journal closes, and the pause ends by it.
                let owner = self.session.journal.confirm().await;
                if self.replaced {
                    error!(
                        "replaced again although the vault says that this process owns the tenant: is the device in use elsewhere?"
                    );
                    settings.backoff_max
                } else {
                    warn!(owner = owner.is_ok(), "another connection took this session's place");
                    self.replaced = true;
                    REPLACED_WAIT.min(settings.backoff_max)
                }
            }
        };
        self.failures = self.failures.saturating_add(1);
        let reason = reason(signal);
        self.session.set_status(|status| {
            status.state = if next == Next::RetrySlowly { State::Failed } else { State::Starting };
            status.reason = reason;
            status.qr = None;
        });
        self.pause(wait, false, wishes).await
    }

    /// Waits before the next dial; a heartbeat or a user cuts it short unless it is `fixed`.
    async fn pause(&mut self, wait: Duration, fixed: bool, wishes: &mut mpsc::Receiver<Wish>) -> Result<(), Stop> {
        let session = self.session.clone();
        let until = Instant::now() + wait;
        loop {
            tokio::select! {
                closed = session.journal.closed() => return Err(Stop::Closed(closed)),
                () = session.stop.cancelled() => return Err(Stop::Asked),
                () = sleep_until(until) => return Ok(()),
                wish = wishes.recv() => {
                    let Some(wish) = wish else { return Err(Stop::Asked) };
                    let unlink = matches!(wish, Wish::Unlink(_));
                    self.grant(wish).await?;
                    if !fixed || unlink {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// The credentials are dead, or unwanted. An entry first; then a fresh device.
    async fn wipe(&mut self, reason: &str, rejected: bool) -> Result<(), Closed> {
        let session = &self.session;
        loop {
            match session.journal.keep_state_before_wipe().await {
                Ok(_) => break,
                Err(SnapshotError::Closed(closed)) => return Err(closed),
                Err(error) => warn!(%error, "the state before the wipe is not kept yet"),
            }
            sleep(Duration::from_secs(1)).await;
        }
        let decision = Decision { whatsapp_connected: Some(false), phone_number: Some(None), connected_at: Some(None) };
        match session.store.wipe_credentials(decision).await {
            Ok(change) => session.store.wait(change).await?,
            Err(error) => error!(%error, "the credentials could not be wiped"),
        }
        session.set_status(|status| {
            status.state = State::Stopped;
            status.reason = reason.to_owned();
            status.paired = false;
            status.rejected = rejected;
            status.phone_number = None;
            status.qr = None;
        });
        Ok(())
    }

    /// One connection from dial to end.
    async fn connection(&mut self, wishes: &mut mpsc::Receiver<Wish>) -> Result<Ended, Stop> {
        let session = self.session.clone();
        let paired = session.status.borrow().paired;
        session.set_status(|status| {
            // Why it is not connected is more to the point than that it is being tried again.
            let known = paired && self.failures > 0 && status.state == State::Starting;
            if !known {
                status.reason = if paired { "connecting" } else { "asking WhatsApp for a QR code" }.into();
            }
            status.state = State::Starting;
            status.qr = None;
        });
        let turn = tokio::select! {
            closed = session.journal.closed() => return Err(Stop::Closed(closed)),
            () = session.stop.cancelled() => return Err(Stop::Asked),
            turn = session.env.dialing.clone().acquire_owned() => turn,
        };
        let mut turn = turn.ok();
        let (control, mut news) = mpsc::channel(256);
        let (records, recorded) = mpsc::channel(4096);
        let client = match self.client(paired).await {
            Ok(client) => client,
            Err(error) => {
                error!(error = format!("{error:#}"), "no client");
                return Ok(Ended { signal: Signal::Dropped, was_stable: false });
            }
        };
        let began = Instant::now();
        let pushed = watch::Sender::new(began);
        let last_push = pushed.subscribe();
        let ears = Arc::new(Ears { control, records, pushed, line: session.line.clone() });
        let subscription = client.subscribe_handler(ears);
        session.client.send_replace(Some(client.clone()));
        let recorder = session.tasks.spawn(record(session.clone(), recorded));
        let mut run = tokio::spawn({
            let client = client.clone();
            async move { client.run().await }
        });
        let mut signal = None;
        let mut connected_at = None;
        let mut logged_in_since = None;
        let mut deadline = Instant::now() + LOGIN_TIMEOUT;
        let stop = loop {
            let working = session.status.borrow().state == State::Working;
            let tick = sleep(if working { (self.quiet_limit / 4).clamp(MIN_TICK, MAX_TICK) } else { MIN_TICK });
            tokio::select! {
                closed = session.journal.closed() => break Some(Stop::Closed(closed)),
                () = session.stop.cancelled() => break Some(Stop::Asked),
                ended = &mut run => {
                    if let Err(error) = ended {
                        error!(%error, "the library's client crashed");
                    }
                    // What it said last may still be in the channel.
                    while let Ok(event) = news.try_recv() {
                        signal = self.heard(&client, &event).or(signal);
                    }
                    break None;
                }
                Some(event) = news.recv() => {
                    match &*event {
                        Event::Connected(_) | Event::PairingQrCode(_) => {
                            turn = None;
                            deadline = Instant::now() + DRAIN_TIMEOUT;
                        }
                        Event::PairSuccess(_) => deadline = Instant::now() + LOGIN_TIMEOUT,
                        Event::OfflineSyncPreview(_) => deadline = Instant::now() + DRAIN_TIMEOUT,
                        _ => {}
                    }
                    if matches!(&*event, Event::Connected(_)) {
                        connected_at.get_or_insert_with(Instant::now);
                        client.enable_auto_reconnect.store(false, Ordering::Relaxed);
                    }
                    let ready = matches!(&*event, Event::OfflineSyncCompleted(_));
                    if let Some(heard) = self.heard(&client, &event) {
                        signal = Some(heard);
                    }
                    if ready {
                        self.learn(*last_push.borrow() > began);
                        session.ready.send_replace(Some(client.clone()));
                    }
                }
                Some(wish) = wishes.recv() => match wish {
                    Wish::Connect => self.pairing_until = Some(Instant::now() + session.env.settings.pairing_timeout),
                    Wish::DialNow { patience } => {
                        let silent = session.status.borrow().state == State::Starting && !client.is_logged_in();
                        if silent && began.elapsed() > patience {
                            warn!("WhatsApp does not answer the login: dialing anew");
                            signal = Some(Signal::Unanswered);
                            break None;
                        }
                    }
                    Wish::Unlink(done) => {
                        self.unlinking = Some(done);
                        if timeout(FAREWELL, client.logout()).await.is_err() {
                            warn!("WhatsApp did not confirm the unlinking");
                        }
                        signal = Some(Signal::Unlinked);
                        break None;
                    }
                },
                () = tick => {
                    let state = session.status.borrow().state;
                    // A first login whose state sync fails never says Connected, but is usable all the same.
                    if state == State::Starting && client.is_logged_in() {
                        let since = *logged_in_since.get_or_insert_with(Instant::now);
                        if since.elapsed() > LOGIN_TIMEOUT && connected_at.is_none() {
                            warn!("logged in, but the first sync does not end: going on without it");
                            connected_at = Some(Instant::now());
                            self.connected(&client);
                        }
                    } else if state == State::Starting && Instant::now() > deadline {
                        warn!("WhatsApp does not finish the login");
                        signal = Some(Signal::Unanswered);
                        break None;
                    } else if state == State::Starting && began.elapsed() > SLOW_LOGIN && session.line.is_up() {
                        session.set_status(|status| status.reason = reason(&Signal::Unanswered));
                    }
                    let waits = session.ready.borrow().is_none();
                    if state == State::Working && waits && Instant::now() > deadline {
                        warn!("WhatsApp does not finish its offline queue: sending anyway");
                        session.ready.send_replace(Some(client.clone()));
                    }
                    // Messages that wait for the vault are not quiet; and without it there is no new login.
                    let tested = state == State::Working && !waits && !session.journal.outage();
                    if tested && last_push.borrow().elapsed() > self.quiet_limit {
                        debug!(quiet.s = self.quiet_limit.as_secs(), "quiet: is it deaf?");
                        self.testing = true;
                        signal = Some(Signal::Quiet);
                        break None;
                    }
                    let unwanted = self.pairing_until.is_none_or(|until| Instant::now() > until);
                    if state == State::ScanQrCode && unwanted {
                        break None;
                    }
                }
            }
        };
        drop(turn);
        session.ready.send_replace(None);
        drop(subscription);
        let abrupt = matches!(stop, Some(Stop::Closed(_)));
        farewell(&session, &client, run, abrupt).await;
        drop(client);
        // The ears are gone with the subscription: the recorder writes what it still has and ends.
        if timeout(FAREWELL, recorder).await.is_err() {
            warn!("receipts are still being written");
        }
        if let Some(stop) = stop {
            return Err(stop);
        }
        let was_stable = connected_at.is_some_and(|at: Instant| at.elapsed() > Duration::from_secs(30));
        Ok(Ended { signal: signal.unwrap_or(Signal::Dropped), was_stable })
    }

    async fn client(&self, paired: bool) -> anyhow::Result<Arc<Client>> {
        let session = &self.session;
        let env = &session.env;
        let version = env.versions.current(&env.http).await;
        let persistence = Arc::new(PersistenceManager::new(session.store.clone()).await?);
        let props = DevicePropsOverride::new().with_os(env.settings.device_name.clone());
        if !paired {
            persistence.process_command(DeviceCommand::SetDeviceProps(props)).await;
        }
        let hook = Hook { inbox: session.inbox.clone(), owes_acks: session.owes_acks.clone() };
        let dialer = Dialer::new(env.endpoint.clone(), session.journal.clone(), session.line.clone());
        let client = Client::builder()
            .with_runtime(TokioRuntime)
            .with_persistence_manager(persistence)
            .with_transport_factory(dialer)
            .with_http_client_arc(env.http.clone())
            .with_version_override(version)
            .with_inbound_durability_hook(hook)
            .with_wanted_pre_key_count(env.settings.pre_keys)
            .with_background_saver_interval(Duration::from_secs(30))
            .build()
            .await
            .map_err(|error: ClientBuilderError| anyhow::anyhow!(error))?
            .into_client();
        // Within a pairing the library restarts the connection by itself (515) and remembers that a first sync is due.
        client.enable_auto_reconnect.store(!paired, Ordering::Relaxed);
        Ok(client)
    }

    /// What an event means for the connection, if it ends it.
    fn heard(&mut self, client: &Arc<Client>, event: &Event) -> Option<Signal> {
        let session = &self.session;
        match event {
            Event::PairingQrCode(qr) => {
                let code = Secret::new(qr.code.clone());
                let expires_at = session.env.clock.now() + qr.timeout;
                session.set_status(|status| {
                    status.state = State::ScanQrCode;
                    status.reason = "waiting for a scan".into();
                    status.qr = Some(Qr { code: code.clone(), expires_at });
                });
                session.env.feed.publish(&session.tenant, Notice::Qr(code));
                None
            }
            Event::PairPasskeyRequest(_) => {
                session.set_status(|status| {
                    status.state = State::PasskeyRequired;
                    status.reason = "WhatsApp asks for a passkey".into();
                });
                None
            }
            Event::PairSuccess(pairing) => {
                crash::point("paired");
                session.set_status(|status| {
                    status.state = State::Starting;
                    status.reason = "paired, logging in".into();
                    status.paired = true;
                    status.phone_number = Some(pairing.id.user.to_string());
                    status.qr = None;
                });
                None
            }
            Event::PairError(error) => {
                warn!(error = error.error, "the pairing failed");
                Some(Signal::PairingFailed)
            }
            Event::Connected(_) => {
                self.connected(client);
                None
            }
            Event::PairingQrCodesExhausted(_) => Some(Signal::QrExhausted),
            Event::LoggedOut(out) => Some(Signal::LoggedOut { code: code(&out.reason) }),
            Event::StreamReplaced(_) => Some(Signal::Replaced),
            Event::TemporaryBan(ban) => {
                Some(Signal::Banned { until: ban.expire.to_std().unwrap_or(Duration::from_secs(3600)) })
            }
            Event::ClientOutdated(_) => {
                let env = session.env.clone();
                session.tasks.spawn(async move {
                    let version = env.versions.current(&env.http).await;
                    env.versions.outdated(version).await;
                });
                Some(Signal::Outdated)
            }
            Event::ConnectFailure(failure) if failure.reason.should_reconnect() => {
                Some(Signal::Unwell { code: code(&failure.reason) })
            }
            Event::ConnectFailure(failure) => Some(Signal::Refused { code: code(&failure.reason) }),
            Event::Disconnected(gone) => {
                debug!(reason = %gone.reason, "the socket ended");
                None
            }
            _ => None,
        }
    }

    /// A login that was made because of quiet is over its offline queue: was anything kept back?
    fn learn(&mut self, found_something: bool) {
        if !std::mem::take(&mut self.testing) {
            return;
        }
        if found_something {
            warn!("the connection before was deaf: messages had been kept back");
            self.quiet_limit = self.session.env.quiet_first;
        } else {
            self.quiet_limit = (self.quiet_limit * 2).min(self.session.env.settings.quiet_max);
        }
    }

    fn connected(&mut self, client: &Arc<Client>) {
        let session = &self.session;
        session.set_status(|status| {
            status.state = State::Working;
            status.reason = "connected".into();
            status.paired = true;
            status.rejected = false;
            status.qr = None;
        });
        self.pairing_until = None;
        // The library says "available" at each login; the owner's phone would stop notifying.
        let client = client.clone();
        session.tasks.spawn(async move {
            if let Err(error) = client.presence().set_unavailable().await {
                debug!(%error, "presence was not set");
            }
        });
    }
}

/// Ends the library's client for good, so that never two of them live on one store.
async fn farewell(session: &Inner, client: &Arc<Client>, mut run: JoinHandle<()>, abrupt: bool) {
    if abrupt {
        // Not a word more to WhatsApp: the tenant is another's.
        session.line.cut();
        run.abort();
    } else if timeout(FAREWELL, client.disconnect()).await.is_err() {
        warn!("the library does not end the connection: cutting the line");
        session.line.cut();
    }
    if !run.is_finished() && timeout(FAREWELL, &mut run).await.is_err() {
        run.abort();
    }
}

/// Writes what the library reports of messages, in order, until the connection is over.
async fn record(session: Arc<Inner>, mut events: mpsc::Receiver<Arc<Event>>) {
    while let Some(event) = events.recv().await {
        match &*event {
            Event::ServerAck(ack) if ack.class.as_deref() == Some("message") => {
                let to = if ack.error.is_some() { Delivery::Failed } else { Delivery::Sent };
                session.progress(&ack.id, to).await;
            }
            Event::Receipt(receipt) => {
                if let Some(to) = delivery(receipt) {
                    for id in &receipt.message_ids {
                        session.progress(id, to).await;
                    }
                }
            }
            Event::UndecryptableMessage(lost) => {
                keep(&session, vec![translate::undecryptable(&lost.info)]).await;
            }
            // The hook has had the others: these come from outside its reach.
            Event::Messages(batch) => {
                let outside = |info: &MessageInfo| {
                    info.unavailable_request_id.is_some() || info.source.chat.server == Server::Newsletter
                };
                let found: Vec<_> =
                    batch.messages.iter().filter(|m| outside(&m.info)).map(translate::incoming).collect();
                if !found.is_empty() {
                    keep(&session, found).await;
                }
            }
            _ => {}
        }
    }
}

async fn keep(session: &Arc<Inner>, found: Vec<crate::message::Incoming>) {
    if let Err(error) = session.inbox.receive(&found).await {
        warn!(%error, "a message from outside the hook was not kept");
    }
}

fn delivery(receipt: &Receipt) -> Option<Delivery> {
    if receipt.source.is_from_me {
        return None;
    }
    match receipt.r#type {
        ReceiptType::Delivered | ReceiptType::Inactive => Some(Delivery::Delivered),
        ReceiptType::Read | ReceiptType::Played => Some(Delivery::Read),
        _ => None,
    }
}

fn code(reason: &ConnectFailureReason) -> i32 {
    reason.code()
}

/// For people.
fn reason(signal: &Signal) -> String {
    match signal {
        Signal::LoggedOut { code } => format!("WhatsApp logged this device out ({code})"),
        Signal::Unlinked => "unlinked".into(),
        Signal::Replaced => "another connection of this device took over; trying again".into(),
        Signal::Banned { .. } => "banned by WhatsApp for a while".into(),
        Signal::Outdated => "WhatsApp calls this version outdated; trying a newer one".into(),
        Signal::Refused { code } => format!("WhatsApp refuses the connection ({code})"),
        Signal::Unwell { code } => format!("WhatsApp is unwell ({code}); trying again"),
        Signal::Dropped => "the connection was lost; trying again".into(),
        Signal::Unanswered => "WhatsApp does not answer the login; trying again".into(),
        Signal::Quiet => "testing a quiet connection".into(),
        Signal::QrExhausted => "the QR codes ran out".into(),
        Signal::PairingFailed => "the pairing failed".into(),
    }
}
