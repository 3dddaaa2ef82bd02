//! The operator's overview: who needs somebody and what to do, how much goes through, failing webhooks, the vault and its cost, what was
//! told. Asks nobody: it reads what is in memory, as a scrape of the metrics does.

mod unalerted;

use std::{collections::BTreeMap, time::Duration};

use axum::extract;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::unalerted::UnalertedFindings;
use super::{App, alerting, answer::Fresh, input::Query};
use crate::{
    session::{State, Status},
    telemetry::{
        alerts::{AlertChannelHealth, AlertCondition, AlertLanguage, AlertObservation, RecentAlert},
        metrics::{
            self,
            label::{Direction, WebhookState},
        },
    },
    vault::Usage,
    webhook::WebhookStanding,
};

/// A list shows so many at the most; its total tells how many there are.
const MOST_SHOWN: usize = 100;

const MINUTE_SECONDS: u32 = 60;

/// A day is shown in quarters of an hour.
const DAY_STEP_MINUTES: usize = 15;

/// A message may wait so long before somebody is needed where `alerts.outbox_old` is off: as its default has it.
const OUTBOX_PATIENCE: Duration = Duration::from_secs(900);

/// A session that connects, or is restored, gets so long.
const CONNECT_PATIENCE_SECONDS: i64 = 60;

#[derive(Deserialize, JsonSchema)]
pub struct OverviewQuery {
    /// The language of titles and advice.
    #[schemars(example = &"en")]
    language: Option<OverviewLanguage>,
}

#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum OverviewLanguage {
    En,
    Es,
}

/// The overview for the operator: people in need, traffic, webhooks, the vault, alerts.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FleetOverview {
    at: Timestamp,
    tenants: TenantCounts,
    /// Tenants and parts in need of somebody, the worst first; 100 at the most. Empty while this process stops.
    attention: Vec<AttentionNeeded>,
    attention_total: usize,
    /// The last hour, minute by minute.
    hour: MessageFlow,
    /// The last day, by quarters of an hour.
    day: MessageFlow,
    /// Tenants with webhooks that fail or have parked events; 100 at the most.
    webhooks: Vec<FailingWebhooks>,
    webhooks_total: usize,
    vault: VaultToday,
    alerts: AlertsToday,
}

#[derive(Serialize, JsonSchema)]
pub struct TenantCounts {
    total: usize,
    working: usize,
    /// Served by another process on the same vault.
    elsewhere: usize,
}

/// Something that is wrong, with whom, and what to do about it.
#[derive(Serialize, JsonSchema)]
pub struct AttentionNeeded {
    /// `null`: it is the daemon's.
    tenant: Option<String>,
    /// As the setting `alerts.…` is called. No alert tells `state_lost`, `vault_loss` and `vault_mended` (what the vault has lost: for
    /// good, now, and since the start), nor `bot_stuck`.
    condition: &'static str,
    title: &'static str,
    advice: &'static str,
    /// The reason why the session does not work, or what was lost, in English.
    reason: Option<String>,
    since: Option<Timestamp>,
}

/// Messages of this process, slot by slot, the oldest first. The last slot goes on; nothing was counted before the start.
#[derive(Serialize, JsonSchema)]
pub struct MessageFlow {
    /// The length of a slot.
    seconds: u32,
    received: Vec<u32>,
    /// From the API, and from the tenants' own phones.
    sent: Vec<u32>,
}

/// The webhooks of a tenant, where one of them needs somebody.
#[derive(Debug, Serialize, JsonSchema, PartialEq, Eq)]
pub struct FailingWebhooks {
    tenant: String,
    /// So many take nothing now.
    failing: usize,
    /// So many have answered 410, and are asked no more.
    gone: usize,
    /// Events that wait, of all its webhooks.
    owed: usize,
    /// Events that were refused for good, and can be sent again.
    parked: usize,
}

/// The vault, and the requests of this process to it.
#[derive(Serialize, JsonSchema)]
pub struct VaultToday {
    /// `firestore` or `embedded`.
    home: &'static str,
    /// The vault takes changes.
    up: bool,
    /// Sessions whose changes it does not take.
    stalled: usize,
    /// Changes that are not in it yet.
    backlog: u64,
    /// Losses that were found since the start; what this process had was written anew.
    losses: u64,
    /// The counts are of the time since then: midnight (UTC), or the start.
    since: Timestamp,
    reads: u64,
    writes: u64,
    deletes: u64,
    /// The price of that at Firestore, in several regions, with nothing taken off that is free; `null` for another home.
    dollars: Option<f64>,
}

#[derive(Serialize, JsonSchema)]
pub struct AlertsToday {
    /// The channels that the daemon tells; empty while no channel is set.
    channels: Vec<AlertChannelHealth>,
    /// The alerts that this process has told, the newest first; 50 at the most.
    sent: Vec<SentAlert>,
}

#[derive(Serialize, JsonSchema)]
pub struct SentAlert {
    at: Timestamp,
    condition: &'static str,
    title: &'static str,
    /// `firing` or `resolved`.
    state: &'static str,
    /// Twenty of them at the most; none for a condition of the daemon itself.
    tenants: Vec<String>,
    /// The number of them.
    total: usize,
}

/// `GET /api/overview`
pub async fn show(
    extract::State(app): extract::State<App>,
    Query(query): Query<OverviewQuery>,
) -> Fresh<FleetOverview> {
    let language = match query.language {
        Some(OverviewLanguage::Es) => AlertLanguage::Spanish,
        Some(OverviewLanguage::En) | None => AlertLanguage::English,
    };
    let at = app.fleet.env().clock.now();
    let statuses: BTreeMap<String, Status> =
        app.fleet.reports().into_iter().map(|report| (report.tenant.to_string(), report.status)).collect();
    let (seen, findings) = (alerting::observe(&app), app.findings());
    let outbox_patience = app.alerts.delay(AlertCondition::OutboxOld).unwrap_or(OUTBOX_PATIENCE);
    // While the process stops, nobody is needed.
    let mut attention = if seen.is_some() { findings.needs(language) } else { Vec::new() };
    attention.extend(in_need(&seen.unwrap_or_default(), &statuses, language, outbox_patience, at));
    let attention_total = attention.len();
    attention.truncate(MOST_SHOWN);
    let mut webhooks = failing(&app.webhooks.standings());
    let webhooks_total = webhooks.len();
    webhooks.truncate(MOST_SHOWN);
    let counts = app.fleet.counts();
    let sent = app.alerts.recent().into_iter().map(|alert| SentAlert::new(alert, language)).collect();
    Fresh(FleetOverview {
        at,
        tenants: TenantCounts { total: counts.total, working: counts.working, elsewhere: counts.elsewhere },
        attention,
        attention_total,
        hour: MessageFlow::of(60, 1),
        day: MessageFlow::of(24 * 60, DAY_STEP_MINUTES),
        webhooks,
        webhooks_total,
        vault: VaultToday::new(&app, findings.vault_losses()),
        alerts: AlertsToday { channels: app.alerts.channels(), sent },
    })
}

impl App {
    /// Gives what the vault was asked for today, and since when. Somebody has to look every few seconds: see [`crate::vault::UsageToday`].
    pub fn see_usage(&self) -> (Usage, Timestamp) {
        let env = self.fleet.env();
        self.usage_today.see(env.vault.usage(), env.clock.now())
    }
}

impl App {
    fn findings(&self) -> UnalertedFindings {
        let losses = self.fleet.reports().into_iter().filter_map(|report| Some((report.tenant, report.loss?)));
        UnalertedFindings {
            losses: losses.collect(),
            incidents: self.fleet.incidents(),
            stuck_bots: self.bots.stuck_tenants(),
        }
    }
}

impl VaultToday {
    fn new(app: &App, losses: u64) -> Self {
        let (usage, since) = app.see_usage();
        let Usage { reads, writes, deletes } = usage;
        let sessions = app.fleet.standings().into_iter().filter_map(|tenant| tenant.session);
        Self {
            home: app.metrics.vault,
            up: !app.fleet.is_vault_down(),
            stalled: app.fleet.stalled(),
            backlog: sessions.map(|session| session.journal_backlog).sum(),
            losses,
            since,
            reads,
            writes,
            deletes,
            dollars: (app.metrics.vault == "firestore").then(|| usage.dollars()),
        }
    }
}

impl MessageFlow {
    fn of(minutes: usize, step: usize) -> Self {
        let counts = |direction| summed(&metrics::recent_messages(direction, minutes), step);
        let seconds = MINUTE_SECONDS * u32::try_from(step).unwrap_or(u32::MAX / MINUTE_SECONDS);
        Self { seconds, received: counts(Direction::In), sent: counts(Direction::Out) }
    }
}

impl SentAlert {
    fn new(alert: RecentAlert, language: AlertLanguage) -> Self {
        let RecentAlert { at, condition, state, tenants, total } = alert;
        Self { at, condition: condition.key(), title: condition.words(language).title, state, tenants, total }
    }
}

/// So many neighbours as one.
fn summed(counts: &[u32], step: usize) -> Vec<u32> {
    counts.chunks(step).map(|slot| slot.iter().fold(0_u32, |sum, count| sum.saturating_add(*count))).collect()
}

/// Lists what somebody has to mend, in the order of the conditions; without what has just begun, what something else explains, and
/// webhooks, which have a list of their own.
fn in_need(
    seen: &AlertObservation,
    statuses: &BTreeMap<String, Status>,
    language: AlertLanguage,
    outbox_patience: Duration,
    now: Timestamp,
) -> Vec<AttentionNeeded> {
    let outbox_patience = i64::try_from(outbox_patience.as_secs()).unwrap_or(i64::MAX);
    let is_so = |condition: AlertCondition, subject: &str| seen.wrong.contains_key(&(condition, subject.to_owned()));
    let needed = |((condition, subject), begun): (&(AlertCondition, String), &Option<Timestamp>)| {
        let condition = *condition;
        let status = statuses.get(subject);
        let since = begun.or_else(|| status.map(|status| status.since));
        let lasts = since.map_or(i64::MAX, |since| now.duration_since(since).as_secs());
        let is_early = match condition {
            AlertCondition::WebhookFailing | AlertCondition::WebhookParked => return None,
            AlertCondition::OutboxOld => lasts < outbox_patience,
            AlertCondition::Offline | AlertCondition::Unowned => lasts < CONNECT_PATIENCE_SECONDS,
            _ => false,
        };
        if is_early || condition.causes().iter().any(|cause| is_so(*cause, subject) || is_so(*cause, "")) {
            return None;
        }
        let words = condition.words(language);
        Some(AttentionNeeded {
            tenant: (!subject.is_empty()).then(|| subject.clone()),
            condition: condition.key(),
            title: words.title,
            advice: words.advice,
            reason: status.filter(|status| status.state != State::Working).map(|status| status.reason.clone()),
            since,
        })
    };
    seen.wrong.iter().filter_map(needed).collect()
}

/// By tenant, in the order of their names.
fn failing(standings: &[WebhookStanding]) -> Vec<FailingWebhooks> {
    let mut tenants: BTreeMap<&str, FailingWebhooks> = BTreeMap::new();
    for standing in standings {
        let name = standing.tenant.as_str();
        let sums = tenants.entry(name).or_insert_with(|| FailingWebhooks {
            tenant: name.to_owned(),
            failing: 0,
            gone: 0,
            owed: 0,
            parked: 0,
        });
        match standing.state {
            WebhookState::Failing => sums.failing += 1,
            WebhookState::Gone => sums.gone += 1,
            WebhookState::Ok => {}
        }
        sums.owed += standing.owed;
        sums.parked += standing.parked;
    }
    tenants.into_values().filter(|sums| sums.failing + sums.gone + sums.parked > 0).collect()
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;
    use crate::config::Config;

    const NOW: Timestamp = Timestamp::constant(1_790_000_000, 0);

    fn ago(seconds: i64) -> Timestamp {
        NOW.checked_sub(SignedDuration::from_secs(seconds)).unwrap()
    }

    fn needed(wrong: &[(AlertCondition, &str, Option<Timestamp>)]) -> Vec<(&'static str, Option<String>)> {
        let mut seen = AlertObservation::default();
        for (condition, subject, since) in wrong {
            seen.wrong.insert((*condition, (*subject).to_owned()), *since);
        }
        let status = Status::new(State::Starting, "the line broke".to_owned(), ago(90));
        let statuses = BTreeMap::from([("trattoria".to_owned(), status)]);
        let needed = in_need(&seen, &statuses, AlertLanguage::English, OUTBOX_PATIENCE, NOW);
        needed.into_iter().map(|one| (one.condition, one.tenant)).collect()
    }

    #[test]
    fn what_is_young_or_explained_needs_nobody() {
        let trattoria = || Some("trattoria".to_owned());
        assert!(needed(&[]).is_empty());
        // The daemon's own comes first, and explains what follows from it.
        let wrong =
            [(AlertCondition::Offline, "trattoria", None), (AlertCondition::ScanNeeded, "trattoria", Some(ago(5)))];
        assert_eq!(needed(&wrong), [("scan_needed", trattoria()), ("offline", trattoria())]);
        let wrong = [wrong[0], wrong[1], (AlertCondition::VaultDown, "", None)];
        assert_eq!(needed(&wrong), [("vault_down", None), ("scan_needed", trattoria())]);
        // That there is an oldest message, or that one connects, is always so for a while.
        let young = [
            (AlertCondition::OutboxOld, "trattoria", Some(ago(899))),
            (AlertCondition::Offline, "trattoria", Some(ago(59))),
            (AlertCondition::Unowned, "trattoria", Some(ago(59))),
            (AlertCondition::WebhookFailing, "trattoria", None),
        ];
        assert!(needed(&young).is_empty());
        let old = [(AlertCondition::OutboxOld, "trattoria", Some(ago(900)))];
        assert_eq!(needed(&old), [("outbox_old", trattoria())]);
    }

    #[test]
    fn a_reason_and_advice_stand_beside_it() {
        let mut seen = AlertObservation::default();
        seen.wrong.insert((AlertCondition::Offline, "trattoria".to_owned()), None);
        let status = Status::new(State::Starting, "the line broke".to_owned(), ago(90));
        let statuses = BTreeMap::from([("trattoria".to_owned(), status)]);
        let needed = in_need(&seen, &statuses, AlertLanguage::Spanish, OUTBOX_PATIENCE, NOW);
        assert_eq!(needed[0].reason.as_deref(), Some("the line broke"));
        assert_eq!(needed[0].since, Some(ago(90)));
        assert_eq!(needed[0].title, "Sin conexión con WhatsApp");
        assert!(!needed[0].advice.is_empty());
    }

    #[test]
    fn a_message_may_wait_as_long_as_the_alert_waits() {
        let alerts = Config::from_parts(None, &BTreeMap::new()).unwrap().alerts;
        assert_eq!(alerts.conditions[&AlertCondition::OutboxOld], OUTBOX_PATIENCE);
        let mut seen = AlertObservation::default();
        seen.wrong.insert((AlertCondition::OutboxOld, "trattoria".to_owned()), Some(ago(120)));
        let needed = |seconds| {
            let patience = Duration::from_secs(seconds);
            in_need(&seen, &BTreeMap::new(), AlertLanguage::English, patience, NOW).len()
        };
        assert_eq!((needed(120), needed(121)), (1, 0));
    }

    #[test]
    fn a_tenants_webhooks_are_one_row() {
        let standing =
            |name: &str, state, owed, parked| WebhookStanding { tenant: name.parse().unwrap(), state, owed, parked };
        let rows = failing(&[
            standing("trattoria", WebhookState::Ok, 2, 1),
            standing("arepas", WebhookState::Ok, 9, 0),
            standing("trattoria", WebhookState::Failing, 5, 0),
            standing("trattoria", WebhookState::Gone, 0, 0),
        ]);
        let row = FailingWebhooks { tenant: "trattoria".to_owned(), failing: 1, gone: 1, owed: 7, parked: 1 };
        assert_eq!(rows, [row]);
    }

    #[test]
    fn quarters_of_an_hour_are_sums() {
        assert_eq!(summed(&[1, 2, 3, 4, 5], 2), [3, 7, 5]);
        assert_eq!(summed(&[u32::MAX, 1], 2), [u32::MAX]);
        let flow = MessageFlow::of(60, DAY_STEP_MINUTES);
        assert_eq!(flow.seconds, 900);
    }
}
