//! All meters, made once at the start; a series with labels for each value that they may have, but for those of HTTP.

use std::sync::atomic::AtomicI64;

use jiff::Timestamp;
use metrics::{Counter, Gauge, Histogram, Key, Label, Level, Metadata, Recorder as _};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder};
use tokio::time::Instant;

use super::{
    family::{self, FAMILIES, Family, MetricKind},
    history::MessageRing,
    label::{
        BotOrderOutcome, BotTurnOutcome, By, ConnectionEnd, Consumer, DeliveryOutcome, Direction, FetchOutcome,
        ForwardOutcome, GivingOutcome, LabelValue, MessageKind, ModelOutcome, PairingOutcome, SendFailure,
        TakeoverReason, TakingOutcome, VaultOperation, VaultOutcome,
    },
    library,
};

pub struct Meters {
    pub recorder: PrometheusRecorder,
    pub handle: PrometheusHandle,
    pub messages: By<Direction, By<MessageKind, Counter>>,
    pub recent_messages: By<Direction, MessageRing>,
    pub message_failures: By<SendFailure, Counter>,
    pub message_durable: Histogram,
    pub message_delivery: By<Consumer, Histogram>,
    pub decrypt_failures: Counter,
    pub disconnects: By<ConnectionEnd, Counter>,
    pub reconnects: By<ConnectionEnd, Counter>,
    pub pairings: By<PairingOutcome, Counter>,
    pub webhook_deliveries: By<DeliveryOutcome, Counter>,
    pub webhook_duration: Histogram,
    pub webhook_parked: Counter,
    pub vault_operations: By<VaultOperation, By<VaultOutcome, Counter>>,
    pub vault_seconds: By<VaultOperation, Histogram>,
    pub takeovers: By<TakeoverReason, Counter>,
    pub restores: Histogram,
    pub given: By<GivingOutcome, Counter>,
    pub giving: Histogram,
    pub taken: By<TakingOutcome, Counter>,
    pub forwarded: By<ForwardOutcome, Counter>,
    pub media_fetches: By<FetchOutcome, Counter>,
    pub media_bytes: By<Direction, Counter>,
    pub bot_turns: By<BotTurnOutcome, Counter>,
    pub bot_orders: By<BotOrderOutcome, Counter>,
    pub bot_reply: Histogram,
    pub model_questions: By<ModelOutcome, Counter>,
    pub socketio_clients: Gauge,
    /// Milliseconds since 1970; 0: there was none.
    pub heartbeat_ms: AtomicI64,
    pub started_at: Timestamp,
    /// The same moment, on a clock that nobody sets.
    pub began: Instant,
}

impl Meters {
    pub fn new() -> Self {
        let mut builder = PrometheusBuilder::new();
        for Family { name, kind, .. } in FAMILIES.iter().copied() {
            if let MetricKind::Histogram(buckets) = kind {
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
                MetricKind::Counter => recorder.describe_counter((*name).into(), None, (*help).into()),
                MetricKind::Gauge => recorder.describe_gauge((*name).into(), None, (*help).into()),
                MetricKind::Histogram(_) => recorder.describe_histogram((*name).into(), None, (*help).into()),
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
    pub fn minute(&self) -> u32 {
        let started_at = u64::try_from(self.started_at.as_second()).unwrap_or_default();
        u32::try_from((started_at + self.began.elapsed().as_secs()) / 60).unwrap_or_default()
    }

    pub fn counter(&self, family: &Family, labels: &[&str]) -> Counter {
        register_counter(&self.recorder, family, labels)
    }

    pub fn histogram(&self, family: &Family, labels: &[&str]) -> Histogram {
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
