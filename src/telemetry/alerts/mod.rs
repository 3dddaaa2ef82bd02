//! Alerts from the daemon itself, for who has neither Prometheus nor Alertmanager.
//!
//! One task looks at an interval ([`AlertObservation`]; whoever starts it says how), asks the pure [`AlertEngine`] what is to be told, and
//! sends that to every channel. Off while no channel is set. Promises: what is to be told is in a file before it is sent, so it outlives
//! the process; it is tried until the channel takes it or calls it malformed, or for a day; a channel that takes nothing holds up no other,
//! and is named in [`Alerts::channels`]. A message may come twice after a crash, under the same id. No URL of a channel is logged or shown.

mod channel;
mod condition;
mod engine;
mod file;
mod group;
mod https;
mod message;
mod note;
mod outbox;
mod recent;
mod rise;
mod smtp;
#[cfg(test)]
mod tests;
mod words;

use std::{
    collections::BTreeSet,
    io,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

use futures::{StreamExt as _, stream::FuturesUnordered};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;
use tokio::{
    sync::watch,
    task::spawn_blocking,
    time::{Instant, MissedTickBehavior, interval, sleep_until},
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};
use ulid::Ulid;

use self::{
    channel::{AlertChannel, AlertStyle},
    engine::AlertEngine,
    file::{AlertFile, AlertRecord},
    note::AlertNote,
    outbox::{AlertOutbox, PendingAlert},
    recent::RecentAlerts,
};
pub use self::{
    condition::AlertCondition,
    engine::{Alarm, AlertObservation},
    message::AlertMessage,
    recent::RecentAlert,
    words::AlertLanguage,
};
use crate::{clock::Clock, config, outbound::Outbound, sync::lock};

/// How a channel is, for who looks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct AlertChannelHealth {
    /// `slack`, `discord`, `webhook` or `mail`.
    pub channel: &'static str,
    /// Whether it took the last message.
    pub working: bool,
    /// Messages that it has not taken.
    pub pending: usize,
    /// Why it did not take the last one, and since when that is so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
}

/// What a test message came to.
#[derive(Debug)]
pub struct AlertTest {
    pub channel: &'static str,
    /// `None`: it was taken.
    pub error: Option<String>,
}

/// Watches, and tells.
pub struct Alerts {
    settings: watch::Sender<config::AlertsConfig>,
    /// Where the console is.
    console: String,
    folder: PathBuf,
    outbound: Outbound,
    clock: Arc<dyn Clock>,
    shown: Mutex<Vec<AlertChannelHealth>>,
    recent: RecentAlerts,
}

/// What the task has in hand.
#[derive(Default)]
struct AlertDesk {
    engine: AlertEngine,
    outbox: AlertOutbox,
    file: Option<AlertFile>,
    /// What is in the file.
    kept: AlertRecord,
    /// Said once.
    file_fails: bool,
}

impl Alerts {
    /// `public_url`: where people reach this daemon. `folder`: of its data.
    pub fn new(
        settings: config::AlertsConfig,
        public_url: &str,
        folder: PathBuf,
        outbound: Outbound,
        clock: Arc<dyn Clock>,
    ) -> Arc<Self> {
        let console = format!("{public_url}/console/");
        let settings = watch::Sender::new(settings);
        let (shown, recent) = Default::default();
        Arc::new(Self { settings, console, folder, outbound, clock, shown, recent })
    }

    /// Other settings, from now on. What waits for a channel that is still there goes there.
    pub fn change(&self, settings: config::AlertsConfig) {
        self.settings.send_if_modified(|known| {
            let is_new = *known != settings;
            *known = settings;
            is_new
        });
    }

    /// How the channels are.
    pub fn channels(&self) -> Vec<AlertChannelHealth> {
        lock(&self.shown).clone()
    }

    /// So long something lasts before it is told; `None`: that is off.
    pub fn delay(&self, condition: AlertCondition) -> Option<Duration> {
        self.settings.borrow().conditions.get(&condition).copied()
    }

    /// What this process has told lately, the newest first.
    pub fn recent(&self) -> Vec<RecentAlert> {
        self.recent.all()
    }

    /// Sends a test to every channel, once; keeps nothing.
    pub async fn test(&self) -> Vec<AlertTest> {
        let settings = self.settings.borrow().clone();
        let style = self.style(&settings);
        let now = self.clock.now();
        let message = AlertMessage { at: now, sections: Vec::new(), is_last: false };
        let pending = PendingAlert { id: new_id(), message, channels: BTreeSet::new() };
        let mut tests = Vec::new();
        for channel in AlertChannel::all(&settings) {
            let error = channel.deliver(&self.outbound, &pending, &style, now).await.err();
            tests.push(AlertTest { channel: channel.name(), error: error.map(|error| error.to_string()) });
        }
        tests
    }

    /// Watches until `stop`. `observe`: what is seen now, from memory; `None` while nothing can be said, as while the daemon stops.
    pub async fn run(&self, observe: impl Fn() -> Option<AlertObservation> + Sync, stop: &CancellationToken) {
        let mut desk = AlertDesk::default();
        let mut changes = self.settings.subscribe();
        while !stop.is_cancelled() {
            let settings = changes.borrow_and_update().clone();
            let channels = AlertChannel::all(&settings);
            if channels.is_empty() {
                desk.engine.pause();
                self.show(&desk.outbox, &[]);
                tokio::select! {
                    () = stop.cancelled() => {}
                    _ = changes.changed() => {}
                }
            } else {
                let names: Vec<_> = channels.iter().map(AlertChannel::name).collect();
                info!(event = "alerts_on", channels = names.join(", "), "alerts are sent");
                self.serve(&settings, &channels, &mut desk, &observe, &mut changes, stop).await;
            }
        }
    }

    /// Until the settings change, or `stop`. Deliveries that are on their way then are made again.
    async fn serve(
        &self,
        settings: &config::AlertsConfig,
        channels: &[AlertChannel],
        desk: &mut AlertDesk,
        observe: &(impl Fn() -> Option<AlertObservation> + Sync),
        changes: &mut watch::Receiver<config::AlertsConfig>,
        stop: &CancellationToken,
    ) {
        let style = self.style(settings);
        let names: BTreeSet<_> = channels.iter().map(AlertChannel::name).collect();
        let mut ticks = interval(settings.interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut busy = BTreeSet::new();
        let mut flights = FuturesUnordered::new();
        loop {
            for channel in channels {
                let name = channel.name();
                if !busy.contains(name)
                    && let Some(pending) = desk.outbox.next(name, Instant::now()).cloned()
                {
                    busy.insert(name);
                    let style = &style;
                    flights.push(async move {
                        let result = channel.deliver(&self.outbound, &pending, style, self.clock.now()).await;
                        (name, pending.id, result)
                    });
                }
            }
            self.show(&desk.outbox, channels);
            let idle = names.iter().filter(|name| !busy.contains(*name));
            let next_try = idle.filter_map(|name| desk.outbox.next_try(name)).min();
            tokio::select! {
                () = stop.cancelled() => return,
                _ = changes.changed() => return,
                _ = ticks.tick() => self.look(settings, &names, desk, observe).await,
                Some((name, id, result)) = flights.next(), if !flights.is_empty() => {
                    busy.remove(name);
                    if let Err(error) = &result {
                        warn!(event = "alert_unsent", channel = name, %error, "an alert was not taken: trying again");
                    }
                    desk.outbox.landed(name, &id, result, self.clock.now(), Instant::now());
                    self.keep(desk).await;
                }
                () = sleep_until(next_try.unwrap_or_else(Instant::now)), if next_try.is_some() => {}
            }
        }
    }

    async fn look(
        &self,
        settings: &config::AlertsConfig,
        channels: &BTreeSet<&'static str>,
        desk: &mut AlertDesk,
        observe: &impl Fn() -> Option<AlertObservation>,
    ) {
        if desk.file.is_none() {
            self.acquire(desk).await;
        }
        if desk.file.is_some() {
            let folder = self.folder.clone();
            match in_background(move || AlertNote::take(&folder)).await {
                Ok(notes) => desk.engine.heed(notes),
                Err(error) => debug!(%error, "what other processes told cannot be read"),
            }
        }
        let now = self.clock.now();
        desk.outbox.keep(channels, now);
        if let Some(seen) = observe()
            && let Some(message) = desk.engine.on(settings, &seen, now)
        {
            for section in &message.sections {
                let (condition, state) = (section.condition.key(), section.state.as_str());
                warn!(event = "alert", condition, state, tenants = section.tenants.len(), "an alert");
            }
            self.recent.add(&message);
            if desk.file.is_none() {
                let (folder, notes) = (self.folder.clone(), AlertNote::of(&message));
                let left = in_background(move || AlertNote::leave(&folder, &notes)).await;
                left.unwrap_or_else(|error| debug!(%error, "another process does not learn what is told here"));
            }
            let channels = channels.iter().map(|name| (*name).to_owned()).collect();
            desk.outbox.add(PendingAlert { id: new_id(), message, channels });
        }
        // Before it is sent: what dies now is told by the next process.
        self.keep(desk).await;
    }

    /// Takes the file, and what another process has left in it. While that one lives it has the file: what it tells is not told here.
    async fn acquire(&self, desk: &mut AlertDesk) {
        let folder = self.folder.clone();
        let acquired = in_background(move || {
            let Some(file) = AlertFile::acquire(&folder)? else {
                let told = AlertFile::told_elsewhere(&folder);
                let told = told.inspect_err(|error| debug!(%error, "what another process told cannot be read"));
                return Ok(Err(told.ok()));
            };
            // What cannot be read is written anew: an alert is told once too often.
            let record = file.read().inspect_err(
                |error| warn!(event = "alert_file_unreadable", %error, "what was told before cannot be read"),
            );
            Ok(Ok((file, record.unwrap_or_default())))
        });
        match acquired.await {
            Ok(Ok((file, record))) => {
                desk.kept = record.clone();
                desk.engine.adopt(record.told, record.sent);
                desk.outbox.adopt(record.pending);
                desk.file = Some(file);
            }
            Ok(Err(Some(told))) => desk.engine.leave_to_others(told),
            // What was read before is still so, as far as is known.
            Ok(Err(None)) => {}
            Err(error) => desk.file_failed(&error),
        }
    }

    /// Writes what has changed.
    async fn keep(&self, desk: &mut AlertDesk) {
        let Some(file) = desk.file.clone() else { return };
        let told = desk.engine.told();
        let record = AlertRecord { told, sent: desk.engine.sent().collect(), pending: desk.outbox.pending().to_vec() };
        if record == desk.kept {
            return;
        }
        let (written, writing) = (record.clone(), file);
        match in_background(move || writing.write(&written)).await {
            Ok(()) => {
                desk.kept = record;
                desk.file_fails = false;
            }
            Err(error) => desk.file_failed(&error),
        }
    }

    fn show(&self, outbox: &AlertOutbox, channels: &[AlertChannel]) {
        let health = |channel: &AlertChannel| {
            let channel = channel.name();
            let trouble = outbox.trouble(channel);
            AlertChannelHealth {
                channel,
                working: trouble.is_none(),
                pending: outbox.pending().iter().filter(|pending| pending.channels.contains(channel)).count(),
                error: trouble.map(|trouble| trouble.error.clone()),
                since: trouble.map(|trouble| trouble.since),
            }
        };
        *lock(&self.shown) = channels.iter().map(health).collect();
    }

    fn style(&self, settings: &config::AlertsConfig) -> AlertStyle {
        AlertStyle { language: settings.language, console: self.console.clone() }
    }
}

impl AlertDesk {
    /// Alerts are sent all the same: a full disk is one.
    fn file_failed(&mut self, error: &io::Error) {
        if !std::mem::replace(&mut self.file_fails, true) {
            error!(
                event = "alert_file_unwritten",
                %error,
                "alerts.json cannot be written: what is not sent yet is lost with this process"
            );
        }
    }
}

/// Zero of what lies ahead: the clock was set back.
fn age(now: Timestamp, since: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(since)).unwrap_or_default()
}

fn new_id() -> String {
    format!("alert_{}", Ulid::generate())
}

async fn in_background<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    spawn_blocking(work).await.unwrap_or_else(|error| Err(io::Error::other(error)))
}
