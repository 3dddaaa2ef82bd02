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
mod http_route;
pub mod label;
mod library;
mod page;
mod process;
mod registry;
mod vault_timer;

use std::{
    sync::{OnceLock, atomic::Ordering::Relaxed},
    time::Duration,
};

use jiff::Timestamp;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

pub use self::{
    http_route::{HttpRoute, http_unmatched},
    page::Page,
    vault_timer::VaultTimer,
};
use self::{
    label::{
        BotOrderOutcome, BotTurnOutcome, ConnectionEnd, Consumer, DeliveryOutcome, Direction, FetchOutcome,
        ForwardOutcome, GivingOutcome, MessageKind, ModelOutcome, PairingOutcome, SendFailure, TakeoverReason,
        TakingOutcome,
    },
    registry::Meters,
};

/// The recorder keeps every sample of a histogram until somebody sums them up.
const UPKEEP: Duration = Duration::from_secs(5);

static METERS: OnceLock<Meters> = OnceLock::new();

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

#[cfg(test)]
mod tests {
    use http::{Method, StatusCode};

    use super::{family::FAMILIES, *};

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
