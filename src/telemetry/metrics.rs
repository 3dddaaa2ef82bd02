//! What is counted and measured, for Prometheus.
//!
//! Owns the names: [`family`] is the one table of them. Whoever has something to count calls one of the functions here; so no name and no
//! label is a text anywhere else, and each label has the values of an enum ([`label`]) or of the table of routes, and no others. What
//! a scrape can ask of the fleet (states, backlogs, ages) is not counted here: `api::metrics` writes it onto the [`Page`] when it is asked.
//!
//! Promises: counting is an atomic step or two on what was made at the start; it never waits, and never fails. Before [`install`], as in
//! tests of a part, nothing is counted. Samples of histograms are gathered for [`UPKEEP`] at the most.
//!
//! The library counts what happens in it under names of its own (`library`).
//!
//! Tenants appear on the page alone, never here: so a tenant's series are gone when the tenant is.

pub mod family;
mod history;
pub mod label;
mod library;
mod page;
mod process;

use std::{
    sync::{
        OnceLock, PoisonError, RwLock,
        atomic::{AtomicI64, Ordering::Relaxed},
    },
    time::Duration,
};

use http::{Method, StatusCode};
use jiff::Timestamp;
use metrics::{Counter, Gauge, Histogram, Key, Label, Level, Metadata, Recorder as _};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder};
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

pub use self::page::Page;
use self::{
    family::{FAMILIES, Family, Kind},
    history::MessageRing,
    label::{
        BotOrderOutcome, BotTurnOutcome, By, ConnectionEnd, Consumer, DeliveryOutcome, Direction, FetchOutcome,
        ForwardOutcome, GivingOutcome, LabelValue, MessageKind, ModelOutcome, PairingOutcome, SendFailure,
        TakeoverReason, TakingOutcome, VaultOperation, VaultOutcome,
    },
};

/// The recorder keeps every sample of a histogram until somebody sums them up.
const UPKEEP: Duration = Duration::from_secs(5);

static METERS: OnceLock<Meters> = OnceLock::new();

struct Meters {
    recorder: PrometheusRecorder,
    handle: PrometheusHandle,
    messages: By<Direction, By<MessageKind, Counter>>,
    recent_messages: By<Direction, MessageRing>,
    message_failures: By<SendFailure, Counter>,
    message_durable: Histogram,
    message_delivery: By<Consumer, Histogram>,
    decrypt_failures: Counter,
    disconnects: By<ConnectionEnd, Counter>,
    reconnects: By<ConnectionEnd, Counter>,
    pairings: By<PairingOutcome, Counter>,
    webhook_deliveries: By<DeliveryOutcome, Counter>,
    webhook_duration: Histogram,
    webhook_parked: Counter,
    vault_operations: By<VaultOperation, By<VaultOutcome, Counter>>,
    vault_seconds: By<VaultOperation, Histogram>,
    takeovers: By<TakeoverReason, Counter>,
    restores: Histogram,
    given: By<GivingOutcome, Counter>,
    giving: Histogram,
    taken: By<TakingOutcome, Counter>,
    forwarded: By<ForwardOutcome, Counter>,
    media_fetches: By<FetchOutcome, Counter>,
    media_bytes: By<Direction, Counter>,
    bot_turns: By<BotTurnOutcome, Counter>,
    bot_orders: By<BotOrderOutcome, Counter>,
    bot_reply: Histogram,
    model_questions: By<ModelOutcome, Counter>,
    socketio_clients: Gauge,
    /// Milliseconds since 1970; 0: there was none.
    heartbeat_ms: AtomicI64,
    started_at: Timestamp,
    /// The same moment, on a clock that nobody sets.
    began: Instant,
}

/// Begins to count. A second call does nothing.
pub fn install() {
    let meters = METERS.get_or_init(Meters::new);
    library::install(&meters.recorder);
}

fn meters() -> Option<&'static Meters> {
    METERS.get()
}

/// Sums up samples, until `stop`. `also` is done each time, for what else is seen every few seconds.
pub async fn keep(also: impl Fn() + Sync, stop: &CancellationToken) {
    let mut ticks = interval(UPKEEP);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let sum_up = async {
        loop {
            ticks.tick().await;
            if let Some(meters) = meters() {
                meters.handle.run_upkeep();
            }
            also();
        }
    };
    tokio::select! {
        () = stop.cancelled() => {}
        () = sum_up => {}
    }
}

/// All that was counted, with what the operating system says of this process. The caller writes on.
pub fn page() -> Page {
    let mut page = Page::new(meters().map(|meters| meters.handle.render()).unwrap_or_default());
    if let Some(meters) = meters() {
        process::write(&mut page, meters.started_at);
    }
    page
}

// --- messages

/// A message was published: it is durable, and consumers see it from now on.
pub fn message(direction: Direction, kind: MessageKind) {
    if let Some(meters) = meters() {
        meters.messages.at(direction).at(kind).increment(1);
        meters.recent_messages.at(direction).count(meters.minute());
    }
}

/// Counts the messages of the last minutes, at most a day, the oldest first; the last one goes on. Nothing was counted before the start.
pub fn recent_messages(direction: Direction, minutes: usize) -> Vec<u32> {
    meters().map(|meters| meters.recent_messages.at(direction).last(minutes, meters.minute())).unwrap_or_default()
}

/// A message that was accepted will not be sent.
pub fn message_failed(reason: SendFailure) {
    if let Some(meters) = meters() {
        meters.message_failures.at(reason).increment(1);
    }
}

/// A message is in the vault, so long after its stanza came. `None`: nobody knows when that was.
pub fn message_durable(after: Option<Duration>) {
    if let (Some(meters), Some(after)) = (meters(), after) {
        meters.message_durable.record(after);
    }
}

/// A consumer has a message that was recorded at `recorded_ms`.
pub fn message_delivered(to: Consumer, recorded_ms: u64, now: Timestamp) {
    if let Some(meters) = meters() {
        let now = u64::try_from(now.as_millisecond()).unwrap_or_default();
        meters.message_delivery.at(to).record(Duration::from_millis(now.saturating_sub(recorded_ms)));
    }
}

/// A message came that the library could not decrypt.
pub fn decrypt_failed() {
    if let Some(meters) = meters() {
        meters.decrypt_failures.increment(1);
    }
}

// --- connections

/// A connection to WhatsApp ended.
pub fn disconnected(end: ConnectionEnd) {
    let Some(meters) = meters() else { return };
    meters.disconnects.at(end).increment(1);
    if let Some(outcome) = end.pairing() {
        meters.pairings.at(outcome).increment(1);
    }
}

/// A linked session dials again, after such an end.
pub fn reconnects(after: ConnectionEnd) {
    if let Some(meters) = meters() {
        meters.reconnects.at(after).increment(1);
    }
}

/// A phone has linked this device.
pub fn paired() {
    if let Some(meters) = meters() {
        meters.pairings.at(PairingOutcome::Paired).increment(1);
    }
}

// --- webhooks and Socket.IO

/// An attempt to deliver an event to a webhook ended.
pub fn webhook_attempt(outcome: DeliveryOutcome, took: Duration) {
    if let Some(meters) = meters() {
        meters.webhook_deliveries.at(outcome).increment(1);
        meters.webhook_duration.record(took);
    }
}

/// An event is put aside: its receiver refuses it.
pub fn webhook_parked() {
    if let Some(meters) = meters() {
        meters.webhook_parked.increment(1);
    }
}

pub fn socket_opened() {
    if let Some(meters) = meters() {
        meters.socketio_clients.increment(1.0);
    }
}

pub fn socket_closed() {
    if let Some(meters) = meters() {
        meters.socketio_clients.decrement(1.0);
    }
}

// --- the vault and the fleet

/// Measures one question to the vault; one that is dropped before its answer counts as [`VaultOutcome::Abandoned`].
pub struct VaultTimer {
    operation: VaultOperation,
    began: Instant,
    outcome: VaultOutcome,
}

impl VaultTimer {
    pub fn begin(operation: VaultOperation) -> Self {
        Self { operation, began: Instant::now(), outcome: VaultOutcome::Abandoned }
    }

    pub fn end(mut self, outcome: VaultOutcome) {
        self.outcome = outcome;
    }
}

impl Drop for VaultTimer {
    fn drop(&mut self) {
        if let Some(meters) = meters() {
            meters.vault_operations.at(self.operation).at(self.outcome).increment(1);
            meters.vault_seconds.at(self.operation).record(self.began.elapsed());
        }
    }
}

/// A tenant was read from the vault and taken over.
pub fn tenant_opened(reason: TakeoverReason, took: Duration) {
    if let Some(meters) = meters() {
        meters.takeovers.at(reason).increment(1);
        meters.restores.record(took);
    }
}

/// Another process has asked for a tenant of this one, which stops. `took`: of one that was let go of.
pub fn handover_asked(outcome: GivingOutcome, took: Option<Duration>) {
    let Some(meters) = meters() else { return };
    meters.given.at(outcome).increment(1);
    if let Some(took) = took {
        meters.giving.record(took);
    }
}

/// A tenant is open here that another process was asked for.
pub fn handover_taken(outcome: TakingOutcome) {
    if let Some(meters) = meters() {
        meters.taken.at(outcome).increment(1);
    }
}

/// Another process was asked to answer a request.
pub fn request_forwarded(outcome: ForwardOutcome) {
    if let Some(meters) = meters() {
        meters.forwarded.at(outcome).increment(1);
    }
}

/// A heartbeat has asked every session.
pub fn heartbeat(at: Timestamp) {
    if let Some(meters) = meters() {
        meters.heartbeat_ms.store(at.as_millisecond(), Relaxed);
    }
}

/// The last heartbeat, in seconds since 1970; `None`: there was none yet.
pub fn last_heartbeat() -> Option<f64> {
    let at = meters()?.heartbeat_ms.load(Relaxed);
    (at != 0).then_some(at as f64 / 1e3)
}

// --- files

/// A file was fetched from WhatsApp, or not.
pub fn media_fetched(outcome: FetchOutcome, bytes: u64) {
    if let Some(meters) = meters() {
        meters.media_fetches.at(outcome).increment(1);
        meters.media_bytes.at(Direction::In).increment(bytes);
    }
}

/// A file is with WhatsApp.
pub fn media_sent(bytes: u64) {
    if let Some(meters) = meters() {
        meters.media_bytes.at(Direction::Out).increment(bytes);
    }
}

// --- the bot

/// A turn of the bot's is written. `answers`: so long ago the customer wrote whom it answers.
pub fn bot_turn(outcome: BotTurnOutcome, answers: Option<Duration>) {
    let Some(meters) = meters() else { return };
    meters.bot_turns.at(outcome).increment(1);
    if let Some(answers) = answers {
        meters.bot_reply.record(answers);
    }
}

/// A customer's order is placed, or has come to its end.
pub fn bot_order(outcome: BotOrderOutcome) {
    if let Some(meters) = meters() {
        meters.bot_orders.at(outcome).increment(1);
    }
}

/// The language model was to read what a customer said.
pub fn model_asked(outcome: ModelOutcome) {
    if let Some(meters) = meters() {
        meters.model_questions.at(outcome).increment(1);
    }
}

// --- HTTP

/// The meters of one route, by its path in the table of routes. Made once; its series appear with its first answer.
#[derive(Debug)]
pub struct HttpRoute {
    method: &'static str,
    path: &'static str,
    duration: OnceLock<Histogram>,
    /// By status: few.
    answers: RwLock<Vec<(StatusCode, Counter)>>,
}

impl HttpRoute {
    pub fn new(method: &Method, path: &'static str) -> Self {
        Self { method: label::method(method), path, duration: OnceLock::new(), answers: RwLock::default() }
    }

    pub fn answered(&self, status: StatusCode, took: Duration) {
        let Some(meters) = meters() else { return };
        self.duration.get_or_init(|| meters.histogram(&family::HTTP_DURATION, &[self.path])).record(took);
        let known = self.answers.read().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, counter)) = known.iter().find(|(known, _)| *known == status) {
            return counter.increment(1);
        }
        drop(known);
        let counter = meters.counter(&family::HTTP_REQUESTS, &[self.path, self.method, status.as_str()]);
        counter.increment(1);
        // Two at once register the same series.
        self.answers.write().unwrap_or_else(PoisonError::into_inner).push((status, counter));
    }
}

/// A request was answered that no route is for: whatever its path, it is one series for each method.
pub fn http_unmatched(method: &Method, status: StatusCode) {
    let Some(meters) = meters() else { return };
    let labels = [label::UNMATCHED, label::method(method), status.as_str()];
    meters.counter(&family::HTTP_REQUESTS, &labels).increment(1);
}

impl Meters {
    fn new() -> Self {
        let mut builder = PrometheusBuilder::new();
        for Family { name, kind, .. } in FAMILIES.iter().copied() {
            if let Kind::Histogram(buckets) = kind {
                let matcher = Matcher::Full((*name).to_owned());
                builder =
                    builder.set_buckets_for_metric(matcher, buckets).expect("no family has an empty list of buckets");
            }
        }
        let of_library = Matcher::Prefix(library::PREFIX.to_owned());
        builder = builder.set_buckets_for_metric(of_library, family::LIBRARY).expect("they are not empty");
        let recorder = builder.build_recorder();
        for Family { name, kind, help, .. } in FAMILIES.iter().copied() {
            match kind {
                Kind::Counter => recorder.describe_counter((*name).into(), None, (*help).into()),
                Kind::Gauge => recorder.describe_gauge((*name).into(), None, (*help).into()),
                Kind::Histogram(_) => recorder.describe_histogram((*name).into(), None, (*help).into()),
            }
        }
        let counter = |family, labels: &[&str]| register_counter(&recorder, family, labels);
        let histogram = |family, labels: &[&str]| register_histogram(&recorder, family, labels);
        Self {
            messages: By::new(|way: Direction| {
                By::new(|kind: MessageKind| counter(&family::MESSAGES, &[way.text(), kind.text()]))
            }),
            recent_messages: By::new(|_: Direction| MessageRing::default()),
            message_failures: By::new(|reason: SendFailure| counter(&family::MESSAGE_FAILURES, &[reason.text()])),
            message_durable: histogram(&family::MESSAGE_DURABLE, &[]),
            message_delivery: By::new(|to: Consumer| histogram(&family::MESSAGE_DELIVERY, &[to.text()])),
            decrypt_failures: counter(&family::DECRYPT_FAILURES, &[]),
            disconnects: By::new(|end: ConnectionEnd| counter(&family::DISCONNECTS, &[end.text()])),
            reconnects: By::new(|end: ConnectionEnd| counter(&family::RECONNECTS, &[end.text()])),
            pairings: By::new(|outcome: PairingOutcome| counter(&family::PAIRINGS, &[outcome.text()])),
            webhook_deliveries: By::new(|outcome: DeliveryOutcome| {
                counter(&family::WEBHOOK_DELIVERIES, &[outcome.text()])
            }),
            webhook_duration: histogram(&family::WEBHOOK_DURATION, &[]),
            webhook_parked: counter(&family::WEBHOOK_PARKED, &[]),
            vault_operations: By::new(|operation: VaultOperation| {
                By::new(|outcome: VaultOutcome| counter(&family::VAULT_OPERATIONS, &[operation.text(), outcome.text()]))
            }),
            vault_seconds: By::new(|operation: VaultOperation| histogram(&family::VAULT_SECONDS, &[operation.text()])),
            takeovers: By::new(|reason: TakeoverReason| counter(&family::TAKEOVERS, &[reason.text()])),
            restores: histogram(&family::RESTORE_SECONDS, &[]),
            given: By::new(|outcome: GivingOutcome| counter(&family::HANDOVERS_GIVEN, &[outcome.text()])),
            giving: histogram(&family::HANDOVER_GIVING, &[]),
            taken: By::new(|outcome: TakingOutcome| counter(&family::HANDOVERS_TAKEN, &[outcome.text()])),
            forwarded: By::new(|outcome: ForwardOutcome| counter(&family::FORWARDED, &[outcome.text()])),
            media_fetches: By::new(|outcome: FetchOutcome| counter(&family::MEDIA_FETCHES, &[outcome.text()])),
            media_bytes: By::new(|way: Direction| counter(&family::MEDIA_BYTES, &[way.text()])),
            bot_turns: By::new(|outcome: BotTurnOutcome| counter(&family::BOT_TURNS, &[outcome.text()])),
            bot_orders: By::new(|outcome: BotOrderOutcome| counter(&family::BOT_ORDERS, &[outcome.text()])),
            bot_reply: histogram(&family::BOT_REPLY, &[]),
            model_questions: By::new(|outcome: ModelOutcome| counter(&family::MODEL_QUESTIONS, &[outcome.text()])),
            socketio_clients: recorder.register_gauge(&key(&family::SOCKETIO_CLIENTS, &[]), &METADATA),
            heartbeat_ms: AtomicI64::new(0),
            #[expect(clippy::disallowed_methods, reason = "a scrape compares it with the real time")]
            started_at: Timestamp::now(),
            began: Instant::now(),
            handle: recorder.handle(),
            recorder,
        }
    }

    /// The minute that goes on, counted since 1970 by a clock that nobody sets.
    fn minute(&self) -> u32 {
        let started_at = u64::try_from(self.started_at.as_second()).unwrap_or_default();
        u32::try_from((started_at + self.began.elapsed().as_secs()) / 60).unwrap_or_default()
    }

    fn counter(&self, family: &Family, labels: &[&str]) -> Counter {
        register_counter(&self.recorder, family, labels)
    }

    fn histogram(&self, family: &Family, labels: &[&str]) -> Histogram {
        register_histogram(&self.recorder, family, labels)
    }
}

/// The recorder does not look at it.
const METADATA: Metadata<'static> = Metadata::new(module_path!(), Level::INFO, None);

fn register_counter(recorder: &PrometheusRecorder, family: &Family, labels: &[&str]) -> Counter {
    recorder.register_counter(&key(family, labels), &METADATA)
}

fn register_histogram(recorder: &PrometheusRecorder, family: &Family, labels: &[&str]) -> Histogram {
    recorder.register_histogram(&key(family, labels), &METADATA)
}

/// `values` in the order of the family's labels.
fn key(family: &Family, values: &[&str]) -> Key {
    debug_assert_eq!(family.labels.len(), values.len(), "{}", family.name);
    let labels = family.labels.iter().zip(values).map(|(name, value)| Label::new(*name, (*value).to_owned()));
    Key::from_parts(family.name, labels.collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_has_each_family_once_and_says_what_it_is() {
        install();
        let route = HttpRoute::new(&Method::GET, "/api/{session}/chats");
        route.answered(StatusCode::OK, Duration::from_millis(3));
        route.answered(StatusCode::OK, Duration::from_millis(3));
        http_unmatched(&Method::from_bytes(b"SECRET").unwrap(), StatusCode::NOT_FOUND);
        message(Direction::In, MessageKind::Text);
        // In this minute or, were it just over, in the one before. Other tests count, too.
        assert!(recent_messages(Direction::In, 2).iter().sum::<u32>() >= 1);
        assert_eq!(recent_messages(Direction::Out, 60).len(), 60);
        let text = page().into_text();
        assert!(
            text.contains(
                "sessiond_http_requests_total{route=\"/api/{session}/chats\",method=\"GET\",status=\"200\"} 2"
            ),
            "{text}"
        );
        assert!(text.contains("{route=\"unmatched\",method=\"other\",status=\"404\"} 1"), "{text}");
        assert!(!text.contains("SECRET"));
        let types: Vec<_> = text.lines().filter(|line| line.starts_with("# TYPE ")).collect();
        let unique: std::collections::BTreeSet<_> = types.iter().collect();
        assert_eq!(types.len(), unique.len(), "{types:#?}");
        for line in types {
            let name = line.split(' ').nth(2).unwrap();
            let is_ours = FAMILIES.iter().any(|family| family.name == name);
            assert!(is_ours || name.starts_with(library::PREFIX), "{name} is not in the table");
            assert!(text.contains(&format!("# HELP {name} ")), "{name} has no help");
        }
    }
}
