//! Observes the fleet, the webhooks, the vault and the disks for alerts, as the keyed `/health` and the metrics know them. Asks nobody:
//! it reads what is in memory.

use std::time::Duration;

use jiff::Timestamp;

use super::App;
use crate::{
    fleet::TenantStanding,
    message::media::DiskSpace,
    session::State,
    telemetry::{
        alerts::{AlertCondition, AlertObservation},
        metrics::label::WebhookState,
    },
};

/// Collects all that is wrong now. `None` while this process stops, or gives its tenants away: that is nobody's concern.
pub fn observe(app: &App) -> Option<AlertObservation> {
    if app.fleet.is_draining() || app.fleet.is_leaving() {
        return None;
    }
    let mut seen = AlertObservation::default();
    // The daemon's own.
    mark(&mut seen, AlertCondition::VaultDown, "", app.fleet.is_vault_down());
    mark(&mut seen, AlertCondition::DiskLow, "", app.disks.space() != DiskSpace::Enough);
    let handovers = app.fleet.incidents().get("handovers_failed").copied().unwrap_or_default();
    seen.counts.insert((AlertCondition::HandoverFailed, String::new()), handovers);

    let now = app.fleet.env().clock.now();
    // What one heartbeat hears is not silence, whatever `alerts.silent` says.
    let silence = 3 * app.fleet.heartbeat().interval;
    let unowned = app.fleet.unowned();
    for standing in app.fleet.standings() {
        if standing.session.is_none() && app.fleet.served_elsewhere(&standing.tenant).is_some() {
            continue;
        }
        let name = standing.tenant.to_string();
        seen.tenants.insert(name.clone());
        see_tenant(&mut seen, &name, &standing, unowned.contains(&standing.tenant));
        see_session(&mut seen, &name, &standing, silence, now);
    }
    for webhook in app.webhooks.standings() {
        let name = webhook.tenant.as_str();
        // A tenant may have several.
        if webhook.state != WebhookState::Ok {
            mark(&mut seen, AlertCondition::WebhookFailing, name, true);
        }
        if webhook.parked > 0 {
            mark(&mut seen, AlertCondition::WebhookParked, name, true);
        }
    }
    Some(seen)
}

/// Adds the conditions of a tenant with or without a session.
fn see_tenant(seen: &mut AlertObservation, name: &str, standing: &TenantStanding, is_unowned: bool) {
    let is_banned =
        standing.state == State::Failed && standing.session.as_ref().is_some_and(|session| session.is_banned);
    mark(seen, AlertCondition::ScanNeeded, name, standing.needs_scan);
    // Who has no session here yet may have been logged out: only its store knows.
    let is_unsaid = standing.session.is_none() && !standing.needs_scan && !standing.is_paired;
    if is_unsaid {
        seen.unsaid.insert((AlertCondition::ScanNeeded, name.to_owned()));
    }
    mark(seen, AlertCondition::Banned, name, is_banned);
    mark(seen, AlertCondition::TenantFailed, name, standing.state == State::Failed && !is_banned);
    mark(seen, AlertCondition::Unowned, name, is_unowned && standing.state != State::Failed);
}

/// Adds the conditions that its session knows.
fn see_session(seen: &mut AlertObservation, name: &str, standing: &TenantStanding, silence: Duration, now: Timestamp) {
    let Some(session) = &standing.session else {
        for condition in [
            AlertCondition::Silent,
            AlertCondition::Flapping,
            AlertCondition::Timelocked,
            AlertCondition::NewChats,
            AlertCondition::OutboxOld,
            AlertCondition::WebhookFailing,
            AlertCondition::WebhookParked,
        ] {
            seen.unsaid.insert((condition, name.to_owned()));
        }
        return;
    };
    mark(seen, AlertCondition::Offline, name, standing.is_paired && standing.state == State::Starting);
    mark(seen, AlertCondition::Outdated, name, session.is_outdated && standing.state != State::Working);
    let alarm = |condition| (condition, name.to_owned());
    if standing.state == State::Working {
        // Since the login, for one that has heard nothing after it.
        let heard = session.last_stanza.and_then(|at| Timestamp::from_millisecond((at * 1e3) as i64).ok());
        let since = heard.map_or(standing.since, |heard| heard.max(standing.since));
        if Duration::try_from(now.duration_since(since)).unwrap_or_default() >= silence {
            seen.wrong.insert(alarm(AlertCondition::Silent), Some(since));
        }
    }
    for (condition, is_so) in
        [(AlertCondition::Timelocked, session.is_timelocked), (AlertCondition::NewChats, session.no_new_chats)]
    {
        match is_so {
            Some(is_so) => mark(seen, condition, name, is_so),
            // Nobody has asked WhatsApp since the session was opened.
            None => {
                seen.unsaid.insert(alarm(condition));
            }
        }
    }
    if let Some(oldest) = session.outbox.oldest_ms.and_then(|at| i64::try_from(at).ok()) {
        seen.wrong.insert(alarm(AlertCondition::OutboxOld), Timestamp::from_millisecond(oldest).ok());
    }
    seen.counts.insert(alarm(AlertCondition::Flapping), session.breaks);
    seen.counts.insert(alarm(AlertCondition::OtherAccount), session.other_accounts);
}

fn mark(seen: &mut AlertObservation, condition: AlertCondition, subject: &str, is_so: bool) {
    if is_so {
        seen.wrong.insert((condition, subject.to_owned()), None);
    }
}
