//! The giving side: lets go of a tenant that it is asked for, and of all when this process is about to stop.

use std::{
    collections::HashSet,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tokio::time::{Instant, sleep, timeout};
use tracing::{debug, info, warn};

use crate::{
    cluster::{HandoverAsk, HandoverVerdict, should_own},
    crash,
    fleet::{
        Fleet,
        letters::{self, BUSY_PAUSE, GOODBYE_TIMEOUT},
        slot::Slot,
        takeback,
    },
    session::{HandOverError, Session},
    telemetry::{
        metrics::{self, label::GivingOutcome},
        traces::{self, SpanName},
    },
    tenant::TenantId,
    vault::{InstanceId, Seq},
};

/// A code on a screen is waited for so long, within the time that this process has: whoever has not scanned it by then has gone away.
const PAIRING_TIME: Duration = Duration::from_secs(60);

/// Between two looks at what has become of tenants that were let go of for nothing.
const CHECK_PAUSE: Duration = Duration::from_secs(1);

/// Whoever has asked for nothing by then is passed over, where another asks.
const ASKING_TIME: Duration = Duration::from_secs(6);

/// Lets go of a tenant, if it may be let go of.
pub(super) async fn give(fleet: &Fleet, by: &InstanceId, ask: &HandoverAsk) -> HandoverVerdict {
    // Asked by one that is dead by now, or about to stop itself.
    let slot = fleet.slot(&ask.tenant).filter(|_| fleet.stays(by));
    let Some(slot) = slot else {
        metrics::handover_asked(GivingOutcome::Kept, None);
        return HandoverVerdict::Kept;
    };
    crash::point("give");
    let began = Instant::now();
    let _opening = slot.opening.lock().await;
    let Some(session) = slot.session() else {
        let verdict = give_again(fleet, by, &ask.tenant).await;
        let is_kept = matches!(verdict, HandoverVerdict::Kept);
        metrics::handover_asked(if is_kept { GivingOutcome::Kept } else { GivingOutcome::GivenAgain }, None);
        return verdict;
    };
    let handed = session.hand_over().await;
    if matches!(handed, Ok(()) | Err(HandOverError::Unwritten)) {
        fleet.incidents.count_closed(session.store().journal());
        slot.closed();
    }
    match handed {
        Ok(()) => {
            let head = session.store().journal().head();
            slot.set_owner(Some(by.clone()));
            fleet.handovers.book().let_go.insert(ask.tenant.clone(), Some(by.clone()));
            metrics::handover_asked(GivingOutcome::Given, Some(began.elapsed()));
            traces::handover(&ask.tenant, head.0, SpanName::Given, began.elapsed());
            info!(
                event = "tenant_handed_over",
                tenant = %ask.tenant,
                to = %by.0,
                took.ms = began.elapsed().as_millis() as u64,
                "handed over"
            );
            HandoverVerdict::given(head)
        }
        Err(why) => {
            if why == HandOverError::Unwritten {
                fleet.handovers.book().let_go.insert(ask.tenant.clone(), None);
            }
            let is_unwritten = matches!(why, HandOverError::VaultDown | HandOverError::Unwritten);
            metrics::handover_asked(if is_unwritten { GivingOutcome::Unwritten } else { GivingOutcome::Kept }, None);
            info!(event = "handover_refused", tenant = %ask.tenant, to = %by.0, %why, "not handed over");
            HandoverVerdict::Kept
        }
    }
}

/// Answers an ask for a tenant that was let go of before: it is free unless a living process has taken it.
async fn give_again(fleet: &Fleet, by: &InstanceId, tenant: &TenantId) -> HandoverVerdict {
    let to = fleet.handovers.book().let_go.get(tenant).cloned();
    let is_free = match to {
        None => false,
        Some(to) => to.is_none_or(|to| to == *by || !fleet.stays(&to)),
    };
    if !is_free {
        return HandoverVerdict::Kept;
    }
    match takeback::owner(fleet, tenant).await {
        Ok(owner) if owner.as_ref().is_none_or(|owner| !fleet.is_alive(owner)) => {
            fleet.handovers.book().let_go.insert(tenant.clone(), Some(by.clone()));
            if let Some(slot) = fleet.slot(tenant) {
                slot.set_owner(Some(by.clone()));
            }
            info!(
                event = "tenant_offered_again",
                %tenant,
                to = %by.0,
                "handed over again: whoever was to have it is gone"
            );
            HandoverVerdict::given(Seq(0))
        }
        Ok(_) => {
            fleet.handovers.book().let_go.remove(tenant);
            HandoverVerdict::Kept
        }
        Err(error) => {
            debug!(%tenant, %error, "who has it is read later");
            HandoverVerdict::Kept
        }
    }
}

impl Fleet {
    /// This process is about to stop, and gives its tenants away.
    pub fn is_leaving(&self) -> bool {
        self.handovers.is_leaving.load(Ordering::Acquire)
    }

    /// Gives all tenants to processes that stay, if there are any. Returns when that is done, or at the limit.
    pub async fn leave(self: &Arc<Self>, limit: Duration) {
        let began = Instant::now();
        let met = timeout(GOODBYE_TIMEOUT, self.meet_peers()).await;
        if !matches!(met, Ok(Ok(()))) {
            warn!(event = "peers_unlisted", "the vault does not list the other processes: those that were known count");
        }
        if self.staying_peers().is_empty() {
            return;
        }
        info!(
            event = "handover_started",
            peers = self.staying_peers().len(),
            "other processes stay: giving the tenants to them"
        );
        self.handovers.is_leaving.store(true, Ordering::Release);
        {
            let mut book = self.handovers.book();
            book.joiner.leave();
            book.leaving_since = Some(began);
        }
        self.handovers.news.notify_one();
        match timeout(GOODBYE_TIMEOUT, self.announce()).await {
            Ok(Ok(())) => {}
            _ => warn!(event = "leaving_unannounced", "this instance's record does not say that it stops"),
        }
        let mut checked_at = began;
        while began.elapsed() < limit && !self.staying_peers().is_empty() && self.has_something_to_give() {
            self.doubt_the_quiet();
            if checked_at.elapsed() >= CHECK_PAUSE {
                let _ = timeout(GOODBYE_TIMEOUT, self.check_let_go()).await;
                checked_at = Instant::now();
            }
            sleep(BUSY_PAUSE / 2).await;
        }
        letters::write_now(self).await;
        let left = self.slots().values().filter(|slot| slot.session().is_some()).count();
        info!(event = "handover_finished", left, took.ms = began.elapsed().as_millis() as u64, "handover finished");
    }

    /// Drops tenants from `let_go` that some living process has taken by now.
    async fn check_let_go(&self) {
        let staying = self.staying_peers();
        let let_go = self.handovers.book().let_go.clone();
        for (tenant, to) in let_go {
            if is_free(to.as_ref(), &staying)
                && let Ok(Some(_)) = self.living_owner(&tenant).await
            {
                self.handovers.book().let_go.remove(&tenant);
            }
        }
    }

    /// While this process leaves: a tenant whose session has ended is not opened again here, but offered.
    pub(in crate::fleet) fn let_go(&self, tenant: &TenantId) {
        self.handovers.book().let_go.insert(tenant.clone(), None);
        self.handovers.news.notify_one();
    }

    /// Tenants whose closing is another's business.
    pub(in crate::fleet) fn is_giving(&self, tenant: &TenantId) -> bool {
        self.handovers.book().giving.contains(tenant)
    }

    fn staying_peers(&self) -> Vec<InstanceId> {
        let correspondents = self.correspondents();
        correspondents.into_iter().filter(|(_, is_draining)| !is_draining).map(|(id, _)| id).collect()
    }

    fn stays(&self, peer: &InstanceId) -> bool {
        self.staying_peers().contains(peer)
    }

    fn has_something_to_give(&self) -> bool {
        let staying = self.staying_peers();
        let slots: Vec<_> = self.slots().values().filter_map(|slot| slot.session()).collect();
        let book = self.handovers.book();
        let waits_for_codes = book.leaving_since.is_none_or(|since| since.elapsed() < PAIRING_TIME);
        let is_open = slots.iter().any(|session| match session.is_pairing() {
            true => waits_for_codes,
            // The others are opened when somebody asks for them.
            false => session.status().paired,
        });
        is_open || !book.giving.is_empty() || book.let_go.values().any(|to| is_free(to.as_ref(), &staying))
    }

    /// Idle tenants first, since nobody notices; one that somebody is pairing when that is over.
    pub(in crate::fleet) fn offers_to(
        &self,
        peer: &InstanceId,
        correspondents: &[(InstanceId, bool)],
    ) -> Vec<TenantId> {
        let staying = correspondents.iter().filter(|(_, is_draining)| !is_draining).map(|(id, _)| id.clone());
        let staying: Vec<_> = staying.collect();
        let open = |slot: &Arc<Slot>| {
            slot.session().filter(is_offered).map(|session| (session.is_busy(), slot.tenant.clone()))
        };
        let mut open: Vec<_> = self.slots().values().filter_map(open).collect();
        open.sort();
        let mut book = self.handovers.book();
        // Nobody serves these: they come first.
        let free = book.let_go.iter().filter(|(_, to)| is_free(to.as_ref(), &staying));
        let mut offers: Vec<_> = free.map(|(tenant, _)| tenant.clone()).collect();
        offers.sort();
        // What was offered before stays in its place, or each message would be a letter.
        let known: HashSet<_> = book.offers.iter().cloned().collect();
        let now: HashSet<_> = open.iter().map(|(_, tenant)| tenant.clone()).collect();
        book.offers.retain(|tenant| now.contains(tenant));
        book.offers.extend(open.into_iter().map(|(_, tenant)| tenant).filter(|tenant| !known.contains(tenant)));
        offers.extend(book.offers.iter().cloned());
        let waited = book.leaving_since.map_or(Duration::ZERO, |since| since.elapsed());
        let willing = willing(&staying, &book.asking, waited);
        offers.retain(|tenant| should_own(tenant, &willing) == Some(peer));
        offers
    }
}

/// Let go of, and whoever was to have it does not stay.
fn is_free(to: Option<&InstanceId>, staying: &[InstanceId]) -> bool {
    to.is_none_or(|to| !staying.contains(to))
}

fn is_offered(session: &Session) -> bool {
    session.status().paired && !session.is_pairing()
}

/// Those that ask, if one does: another has not got the key of what it is offered, or no way to WhatsApp, and its tenants would be served
/// by nobody when this process ends.
fn willing(staying: &[InstanceId], asking: &HashSet<InstanceId>, waited: Duration) -> Vec<InstanceId> {
    let asks = |peer: &&InstanceId| waited < ASKING_TIME || asking.contains(*peer);
    let willing: Vec<_> = staying.iter().filter(asks).cloned().collect();
    if willing.is_empty() { staying.to_vec() } else { willing }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_asks_for_nothing_is_passed_over_where_another_asks() {
        let [idle, busy] = ["idle", "busy"].map(|id| InstanceId(id.into()));
        let staying = [idle, busy.clone()];
        assert_eq!(willing(&staying, &HashSet::new(), ASKING_TIME), staying, "nobody is better than the other");
        let asking = HashSet::from([busy.clone()]);
        assert_eq!(willing(&staying, &asking, ASKING_TIME / 2), staying, "it has time yet");
        assert_eq!(willing(&staying, &asking, ASKING_TIME), [busy]);
    }
}
