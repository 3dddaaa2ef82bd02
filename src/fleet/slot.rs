//! A tenant's place in the fleet: which session it has now, or why it has none.
//!
//! ```text
//!            open                    ends by itself              closed
//! Vacant ───────────▶ Open(session) ───────────────▶ Open(ended) ───────▶ Over
//!   ▲ │ fails            ▲                                                 │ open
//!   └─┘                  └─────────────────────────────────────────────────┘
//! ```
//!
//! A session is never used again once it has ended: the next one is hydrated anew from the vault. Promises: one task at a time opens;
//! of two sessions of a tenant the older is closed, with all that it had to say to the vault, before the newer reads.

use std::{
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use jiff::Timestamp;
use tokio::{sync::Notify, time::Instant};

use super::{Beat, FleetError};
use crate::{
    journal::LastWriting,
    message::{ConnectionState, EventId},
    session::{End, Session, State, Status},
    sync::lock,
    tenant::TenantId,
    vault::InstanceId,
};

/// A session that was open for so long was a good one: the next failure is the first.
const STABLE: Duration = Duration::from_secs(120);

pub(super) struct Slot {
    pub tenant: TenantId,
    /// Held while the tenant is opened, so that two callers make one session.
    pub opening: tokio::sync::Mutex<()>,
    /// Somebody opens it again and again until it is open.
    reviving: AtomicBool,
    /// Held by the one request that asks the vault who has the tenant, and opens it: those that wait have the same answer. Why it was not
    /// opened, and when that was.
    pub claim: Arc<tokio::sync::Mutex<Option<(Instant, FleetError)>>>,
    /// How often it was left to another process, which should take it and has not yet.
    passes: AtomicU32,
    /// Its tenant is deleted: what is left is closed, and nobody opens it any more.
    deleted: AtomicBool,
    /// It became known where the tenant is.
    settled: Notify,
    inside: Mutex<SlotFields>,
}

struct SlotFields {
    place: SlotState,
    /// Why it could not be opened when that was tried last, since the last session that went on.
    failure: Option<OpenFailure>,
    /// The last heartbeat's finding.
    beat: Option<Beat>,
    /// The status that the directory has from here. Goes with the place: a tenant that is made anew has none there.
    written: Option<ConnectionState>,
    /// Failed openings, and sessions that soon ended by themselves, in a row.
    setbacks: u32,
    opened_at: Option<Instant>,
    /// The last event that was published here.
    newest_event: Option<EventId>,
    /// Of a tenant that another process has: which.
    owner: Option<InstanceId>,
    /// The end of its journal, as it was when its owner was read.
    last_writing: Option<LastWriting>,
    /// The process that lives and has let go of it, for this one.
    giver: Option<InstanceId>,
    /// Another process had it when this one looked, and none of ours was taken away by that: since when that is known.
    elsewhere_since: Option<Timestamp>,
    /// The directory has it as connected, or its journal as paired: so there must be a state. Never taken back.
    expects_state: bool,
    /// The phone number that the directory had when it was read last.
    known_number: Option<String>,
}

enum SlotState {
    /// Nobody has opened it yet, or opening it failed.
    Vacant,
    /// The session may have ended, and waits to be closed.
    Open(Session),
    /// The session ended by itself, and is closed.
    Over { end: End, status: Box<Status> },
}

/// Why an opening failed.
#[derive(Debug, Clone)]
pub(super) struct OpenFailure {
    pub reason: String,
    pub at: Timestamp,
    pub kind: OpenFailureKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OpenFailureKind {
    /// Trying again may help.
    VaultDown,
    /// Trying again may help.
    Disk,
    /// Trying again may help.
    Crashed,
    /// Another process has just taken it.
    Taken,
    /// The directory calls it connected, and the vault has no state of it at all. Only an operator can help.
    NoHistory,
    /// Only an operator can help.
    Damaged,
}

impl OpenFailure {
    pub fn is_transient(&self) -> bool {
        matches!(self.kind, OpenFailureKind::VaultDown | OpenFailureKind::Disk | OpenFailureKind::Crashed)
    }

    pub fn error(&self) -> FleetError {
        match self.kind {
            OpenFailureKind::VaultDown => FleetError::VaultDown,
            OpenFailureKind::Disk => FleetError::Failed("the local disk fails".into()),
            OpenFailureKind::Taken => FleetError::Moved,
            OpenFailureKind::Crashed | OpenFailureKind::NoHistory | OpenFailureKind::Damaged => {
                FleetError::Failed(self.reason.clone())
            }
        }
    }
}

impl Slot {
    pub fn new(tenant: TenantId) -> Self {
        let inside = SlotFields {
            place: SlotState::Vacant,
            failure: None,
            beat: None,
            written: None,
            setbacks: 0,
            opened_at: None,
            newest_event: None,
            owner: None,
            last_writing: None,
            giver: None,
            elsewhere_since: None,
            expects_state: false,
            known_number: None,
        };
        Self {
            tenant,
            opening: tokio::sync::Mutex::default(),
            reviving: AtomicBool::new(false),
            claim: Arc::default(),
            passes: AtomicU32::new(0),
            deleted: AtomicBool::new(false),
            settled: Notify::new(),
            inside: Mutex::new(inside),
        }
    }

    /// The session, while it goes on.
    pub fn session(&self) -> Option<Session> {
        match &self.inside().place {
            SlotState::Open(session) if session.end().is_none() => Some(session.clone()),
            _ => None,
        }
    }

    /// The session that is to be closed, ended or not.
    pub fn unclosed(&self) -> Option<Session> {
        match &self.inside().place {
            SlotState::Open(session) => Some(session.clone()),
            _ => None,
        }
    }

    /// Why the last session ended by itself, while there is no other.
    pub fn end(&self) -> Option<End> {
        match &self.inside().place {
            SlotState::Open(session) => session.end().cloned(),
            SlotState::Over { end, .. } => Some(end.clone()),
            SlotState::Vacant => None,
        }
    }

    /// Another process was quicker when it was opened last.
    pub fn was_taken(&self) -> bool {
        self.failure().is_some_and(|failure| failure.kind == OpenFailureKind::Taken)
    }

    /// The process that has it, as far as that was asked.
    pub fn owner(&self) -> Option<InstanceId> {
        self.inside().owner.clone()
    }

    pub fn set_owner(&self, owner: Option<InstanceId>) {
        self.inside().owner = owner;
    }

    pub fn last_writing(&self) -> Option<LastWriting> {
        self.inside().last_writing.clone()
    }

    pub fn note_last_writing(&self, last: Option<LastWriting>) {
        self.inside().last_writing = last;
    }

    /// The vault says that another process has it. Not of one that is open here, or on its way here. `since`: that is known.
    pub fn learn_owner(&self, owner: InstanceId, since: Timestamp) {
        let mut inside = self.inside();
        if inside.giver.is_none() && !matches!(inside.place, SlotState::Open(_)) {
            inside.owner = Some(owner);
            inside.elsewhere_since.get_or_insert(since);
            self.settled.notify_waiters();
        }
    }

    /// The process that has given this tenant to us and is still alive: nobody else looks after it until it is open
    /// here or elsewhere.
    pub fn giver(&self) -> Option<InstanceId> {
        self.inside().giver.clone()
    }

    pub fn set_giver(&self, giver: InstanceId) {
        self.inside().giver = Some(giver);
    }

    /// Another process has it, which this one has not lost it to. `since`: of what the vault says of it.
    pub fn set_elsewhere(&self, owner: Option<InstanceId>, since: Timestamp) {
        let mut inside = self.inside();
        inside.owner = owner;
        inside.giver = None;
        inside.elsewhere_since.get_or_insert(since);
        self.settled.notify_waiters();
    }

    /// It has no session, and nobody has said yet where it is, or why: it is looked up, or opened.
    pub fn is_unsettled(&self) -> bool {
        let inside = self.inside();
        let is_vacant = matches!(inside.place, SlotState::Vacant);
        is_vacant && inside.failure.is_none() && inside.elsewhere_since.is_none() && !self.is_deleted()
    }

    /// Returns when that is known.
    pub async fn settle(&self) {
        loop {
            // Before the look: what happens after it is not missed.
            let change = self.settled.notified();
            if !self.is_unsettled() {
                return;
            }
            change.await;
        }
    }

    pub fn is_elsewhere(&self) -> bool {
        let inside = self.inside();
        inside.elsewhere_since.is_some() && !matches!(inside.place, SlotState::Open(_))
    }

    /// For a session that knows of none: another account must not be paired in its place.
    pub fn known_number(&self) -> Option<String> {
        self.inside().known_number.clone()
    }

    pub fn set_known_number(&self, number: Option<String>) {
        let mut inside = self.inside();
        inside.known_number = number.or(inside.known_number.take());
    }

    pub fn failure(&self) -> Option<OpenFailure> {
        self.inside().failure.clone()
    }

    /// The vault has no state of it: no process, no key and no other build can open it.
    pub fn lacks_history(&self) -> bool {
        self.inside().failure.as_ref().is_some_and(|failure| failure.kind == OpenFailureKind::NoHistory)
    }

    /// Why there is no session now, for whoever wants one.
    pub fn refusal(&self) -> FleetError {
        match (self.end(), self.failure()) {
            (_, Some(failure)) if !failure.is_transient() => failure.error(),
            (Some(End::Moved), _) => FleetError::Moved,
            (_, Some(failure)) if failure.kind == OpenFailureKind::VaultDown => FleetError::VaultDown,
            _ if self.is_elsewhere() => FleetError::Moved,
            _ => FleetError::Restoring,
        }
    }

    pub fn expect_state(&self) {
        self.inside().expects_state = true;
    }

    /// True if the vault had the tenant as connected, as far as the last session knew; before the first one, as far as anybody did.
    pub fn was_paired(&self) -> bool {
        let inside = self.inside();
        match &inside.place {
            SlotState::Open(session) => session.status().paired,
            SlotState::Over { status, .. } => status.paired,
            SlotState::Vacant => inside.expects_state,
        }
    }

    pub fn newest_event(&self) -> Option<EventId> {
        let inside = self.inside();
        match &inside.place {
            SlotState::Open(session) => session.newest_event(),
            _ => inside.newest_event,
        }
    }

    pub fn status(&self, started_at: Timestamp) -> Status {
        let inside = self.inside();
        let last = match &inside.place {
            SlotState::Open(session) => Some(session.status()),
            SlotState::Over { status, .. } => Some((**status).clone()),
            SlotState::Vacant => None,
        };
        let Some(failure) = &inside.failure else {
            if let (SlotState::Vacant, Some(since)) = (&inside.place, inside.elsewhere_since) {
                let mut status = Status::new(State::Stopped, End::Moved.to_string(), since);
                status.paired = inside.expects_state;
                status.phone_number = inside.known_number.clone();
                return status;
            }
            return last.unwrap_or_else(|| Status::new(State::Starting, "being restored".into(), started_at));
        };
        let mut status = Status::new(State::Failed, failure.reason.clone(), failure.at);
        if let Some(last) = last {
            status.paired = last.paired;
            status.phone_number = last.phone_number;
            status.expected = last.expected;
        }
        status
    }

    pub fn beat(&self) -> Option<Beat> {
        self.inside().beat.clone()
    }

    pub fn set_beat(&self, beat: Beat) {
        self.inside().beat = Some(beat);
    }

    pub fn written(&self) -> Option<ConnectionState> {
        self.inside().written.clone()
    }

    pub fn set_written(&self, status: Option<ConnectionState>) {
        self.inside().written = status;
    }

    // --- transitions

    pub fn opened(&self, session: Session) {
        self.passes.store(0, Ordering::Release);
        let mut inside = self.inside();
        inside.place = SlotState::Open(session);
        inside.failure = None;
        inside.opened_at = Some(Instant::now());
        inside.owner = None;
        inside.last_writing = None;
        inside.giver = None;
        inside.elsewhere_since = None;
        self.settled.notify_waiters();
    }

    pub fn failed(&self, failure: OpenFailure) {
        let mut inside = self.inside();
        // Its record in the directory may not parse: it goes on all the same.
        if matches!(&inside.place, SlotState::Open(session) if session.end().is_none()) {
            return;
        }
        inside.setbacks = inside.setbacks.saturating_add(1);
        if failure.kind == OpenFailureKind::Taken {
            // What was given to this process is another's now.
            inside.giver = None;
        }
        // One that ended and cannot be closed, too.
        inside.failure = Some(failure);
        self.settled.notify_waiters();
    }

    /// The session has ended and is closed: its last status stays to be seen.
    pub fn closed(&self) {
        let mut inside = self.inside();
        let SlotState::Open(session) = &inside.place else { return };
        let Some(end) = session.end().cloned() else { return };
        let (status, newest) = (session.status(), session.newest_event());
        let lived = inside.opened_at.take().map_or(Duration::ZERO, |at| at.elapsed());
        inside.setbacks = if lived > STABLE { 1 } else { inside.setbacks.saturating_add(1) };
        inside.newest_event = newest;
        inside.failure = None;
        inside.place = SlotState::Over { end, status: Box::new(status) };
    }

    /// The session is closed, because something else has to be done with its tenant: another is opened after that.
    pub fn vacate(&self) {
        let mut inside = self.inside();
        let SlotState::Open(session) = &inside.place else { return };
        inside.newest_event = session.newest_event();
        inside.opened_at = None;
        inside.failure = None;
        inside.place = SlotState::Vacant;
    }

    /// The tenant is deleted: returns the session that is to be closed. Nobody else gets it.
    pub fn delete(&self) -> Option<Session> {
        self.deleted.store(true, Ordering::Release);
        let session = self.unclosed();
        self.vacate();
        self.settled.notify_waiters();
        session
    }

    pub fn is_deleted(&self) -> bool {
        self.deleted.load(Ordering::Acquire)
    }

    /// Failures in a row, the first not counted: it is tried again at once.
    pub fn repeats(&self) -> u32 {
        self.inside().setbacks.saturating_sub(1)
    }

    /// False when somebody is at it already.
    pub fn begin_revival(&self) -> bool {
        !self.reviving.swap(true, Ordering::AcqRel)
    }

    pub fn is_reviving(&self) -> bool {
        self.reviving.load(Ordering::Acquire)
    }

    /// Nobody serves it, and another process should: false when that one has had time enough.
    pub fn pass(&self, most: u32) -> bool {
        self.passes.fetch_add(1, Ordering::AcqRel) < most
    }

    pub fn end_revival(&self) {
        self.reviving.store(false, Ordering::Release);
    }

    fn inside(&self) -> MutexGuard<'_, SlotFields> {
        lock(&self.inside)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_place_is_settled_when_it_is_known_who_has_its_tenant() {
        let slot = Slot::new("trattoria".parse().unwrap());
        assert!(slot.is_unsettled());
        let found = async {
            tokio::task::yield_now().await;
            slot.set_elsewhere(Some(InstanceId("other".into())), Timestamp::UNIX_EPOCH);
        };
        tokio::join!(slot.settle(), found);
        assert!(!slot.is_unsettled());
        let slot = Slot::new("pizzeria".parse().unwrap());
        slot.failed(OpenFailure {
            reason: "damaged".into(),
            at: Timestamp::UNIX_EPOCH,
            kind: OpenFailureKind::Damaged,
        });
        assert!(!slot.is_unsettled(), "its status says why it has no session");
    }

    #[test]
    fn the_vault_says_who_has_a_tenant_but_of_one_that_comes_here() {
        let slot = Slot::new("trattoria".parse().unwrap());
        let [dead, next] = ["dead", "next"].map(|id| InstanceId(id.into()));
        slot.learn_owner(dead.clone(), Timestamp::UNIX_EPOCH);
        assert!(slot.is_served_by(|owner| *owner == dead), "it had no owner");
        slot.learn_owner(next.clone(), Timestamp::UNIX_EPOCH);
        assert!(slot.is_served_by(|owner| *owner == next), "its owner died");
        slot.set_giver(next.clone());
        slot.learn_owner(dead, Timestamp::UNIX_EPOCH);
        assert_eq!((slot.owner(), slot.giver()), (Some(next.clone()), Some(next)), "it is given to this process");
    }
}
