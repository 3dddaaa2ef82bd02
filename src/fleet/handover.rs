//! Handing tenants over to another process, and taking them from one: reads and writes the letters, and does what [`crate::cluster`] says.
//!
//! A process that is told to stop offers its tenants to those that stay, each to the one that should own it, and stops when they are gone or
//! its time is over. Nobody else gives anything away: a process that starts leaves the others' tenants where they are. So a deploy that
//! fails costs nothing, and one that succeeds moves each tenant once.
//!
//! Letters are read at a pace: quickly while somebody stops or something is under way, and for some minutes after a process came or
//! went, slowly otherwise, and never while this process is alone.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use tokio::{
    sync::Notify,
    time::{Instant, sleep, timeout},
};
use tracing::{debug, error, info, warn};

use super::{Fleet, FleetError, directory, slot::Slot, takeback};
use crate::{
    cluster::{Ask, Giver, Joiner, Letter, Move, Verdict, should_own},
    session::{self, Prepared, Session},
    tenant::TenantId,
    vault::{InstanceId, Seq, VaultError},
};

/// Between two readings of the letters: while something is under way, for a while after a process came or went, and otherwise.
const BUSY_PAUSE: Duration = Duration::from_millis(100);
const WATCHFUL_PAUSE: Duration = Duration::from_millis(250);
const QUIET_PAUSE: Duration = Duration::from_secs(5);

/// So long after a process came or went another one may soon be told to stop.
const WATCHFUL_TIME: Duration = Duration::from_secs(300);

/// While this process is alone: only a look at what is in memory.
const ALONE_PAUSE: Duration = Duration::from_millis(500);

/// A process that stops tells the others, and does not wait for a vault that does not answer.
const GOODBYE_TIMEOUT: Duration = Duration::from_secs(2);

#[derive(Default)]
pub(super) struct Handovers {
    book: Mutex<Book>,
    /// Something is to be written, or to be read soon.
    news: Notify,
    /// This process is about to stop, and gives its tenants away.
    is_leaving: AtomicBool,
}

#[derive(Default)]
struct Book {
    joiner: Joiner,
    giver: Giver,
    /// Tenants that are being given away.
    giving: HashSet<TenantId>,
    /// What is offered, in the order in which it was first.
    offers: Vec<TenantId>,
    prepared: HashMap<TenantId, Prepared>,
    /// The newest letter of each, as it was read.
    read: HashMap<InstanceId, Bytes>,
    /// The last letter to each, as far as the vault has taken it.
    sent: HashMap<InstanceId, Letter>,
    peers: Vec<(InstanceId, bool)>,
    changed_at: Option<Instant>,
}

impl Handovers {
    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Until the fleet stops.
pub async fn run(fleet: Arc<Fleet>) {
    loop {
        let pause = fleet.letter_pause();
        tokio::select! {
            () = fleet.stop.cancelled() => return,
            () = fleet.handovers.news.notified() => {}
            () = sleep(pause.unwrap_or(ALONE_PAUSE)) => {}
        }
        if fleet.letter_pause().is_none() {
            continue;
        }
        tokio::select! {
            () = fleet.stop.cancelled() => return,
            done = correspond(&fleet) => if let Err(error) = done {
                debug!(%error, "letters are read and written later");
            }
        }
    }
}

/// Reads what others have written, does what follows, and writes.
async fn correspond(fleet: &Arc<Fleet>) -> Result<(), VaultError> {
    let letters = fleet.env.vault.letters(&fleet.env.instance).await?;
    for (from, body) in letters {
        if !fleet.is_alive(&from) && fleet.handovers.book().read.get(&from) != Some(&body) {
            fleet.meet_peers().await?;
        }
        read(fleet, &from, &body);
        if !fleet.is_alive(&from) {
            fleet.handovers.book().read.remove(&from);
            fleet.env.vault.remove_letter(&from, &fleet.env.instance).await?;
        }
    }
    let living = fleet.living_peers();
    let moves = {
        let mut book = fleet.handovers.book();
        let gone: Vec<_> = book.peers.iter().map(|(id, _)| id).filter(|id| !fleet.is_alive(id)).cloned().collect();
        for id in gone {
            book.joiner.gone(&id);
            book.giver.forget(&id);
            book.sent.remove(&id);
        }
        let Book { joiner, prepared, .. } = &mut *book;
        prepared.retain(|tenant, _| joiner.wants(tenant));
        joiner.moves(fleet.env.clock.instant())
    };
    for step in moves {
        let fleet = fleet.clone();
        fleet.clone().tasks.spawn(async move {
            match step {
                Move::Prepare(tenant) => prepare(&fleet, tenant).await,
                Move::Take { tenant, from, last } => take(&fleet, tenant, &from, last).await,
            }
            fleet.handovers.news.notify_one();
        });
    }
    write(fleet, &living).await
}

/// To each what it has not been told yet.
async fn write(fleet: &Fleet, living: &[(InstanceId, bool)]) -> Result<(), VaultError> {
    for (peer, _) in living {
        let letter = fleet.letter_to(peer, living);
        let is_sent = fleet.handovers.book().sent.get(peer).map_or(letter.is_empty(), |sent| *sent == letter);
        if !is_sent {
            fleet.env.vault.put_letter(&fleet.env.instance, peer, letter.write()).await?;
            fleet.handovers.book().sent.insert(peer.clone(), letter);
        }
    }
    Ok(())
}

fn read(fleet: &Arc<Fleet>, from: &InstanceId, body: &Bytes) {
    let Some(letter) = Letter::read(body) else { return };
    let now = fleet.env.clock.instant();
    if fleet.handovers.book().read.insert(from.clone(), body.clone()).as_ref() != Some(body) {
        fleet.peers.prove(from);
        fleet.handovers.book().joiner.heard(from, now);
    }
    if letter.draining {
        fleet.peers.note_draining(from);
    }
    let offers: Vec<_> = letter.offers.into_iter().filter(|tenant| fleet.may_want(tenant)).collect();
    let asked = {
        let mut book = fleet.handovers.book();
        if !fleet.is_leaving() {
            book.joiner.offered(from, offers, now);
        }
        book.joiner.answered(from, &letter.answers, now);
        book.giver.asked(from, &letter.asks)
    };
    for ask in asked {
        let (fleet, by) = (fleet.clone(), from.clone());
        fleet.clone().tasks.spawn(async move {
            let is_first = fleet.is_leaving() && fleet.handovers.book().giving.insert(ask.tenant.clone());
            let verdict = if is_first { give(&fleet, &by, &ask).await } else { Verdict::Kept };
            let mut book = fleet.handovers.book();
            book.giver.answer(&by, &ask, verdict);
            if is_first {
                book.giving.remove(&ask.tenant);
            }
            drop(book);
            fleet.handovers.news.notify_one();
        });
    }
    // Last: its answers count.
    if letter.stopped {
        fleet.peers.note_gone(from);
    }
}

/// Lets go of a tenant, if it may be let go of.
async fn give(fleet: &Fleet, by: &InstanceId, ask: &Ask) -> Verdict {
    // Given to another, or being opened anew: what is not here cannot be given.
    let Some(slot) = fleet.slot(&ask.tenant) else { return Verdict::Kept };
    let _opening = slot.opening.lock().await;
    let Some(session) = slot.session() else { return Verdict::Kept };
    let began = Instant::now();
    match session.hand_over().await {
        Ok(()) => {
            let head = session.store().journal().head();
            fleet.incidents.count_closed(session.store().journal());
            slot.closed();
            slot.set_owner(Some(by.clone()));
            info!(tenant = %ask.tenant, to = %by.0, took.ms = began.elapsed().as_millis() as u64, "handed over");
            Verdict::given(head)
        }
        Err(why) => {
            info!(tenant = %ask.tenant, to = %by.0, %why, "not handed over");
            Verdict::Kept
        }
    }
}

async fn prepare(fleet: &Fleet, tenant: TenantId) {
    match session::prepare(&fleet.env, &tenant, true).await {
        Ok(prepared) => drop(fleet.handovers.book().prepared.insert(tenant.clone(), prepared)),
        Err(error) => debug!(%tenant, %error, "read when it is taken over"),
    }
    fleet.handovers.book().joiner.prepared(&tenant, fleet.env.clock.instant());
}

async fn take(fleet: &Arc<Fleet>, tenant: TenantId, from: &InstanceId, last: Option<Seq>) {
    let prepared = fleet.handovers.book().prepared.remove(&tenant);
    let slot = fleet.slot_of(&tenant);
    slot.expect_state();
    let began = Instant::now();
    let opened = match fleet.is_leaving() || fleet.is_draining() {
        true => Err(FleetError::Draining),
        false if last.is_none() && is_served_by_another(fleet, &slot, from).await => Err(FleetError::Moved),
        false => fleet.open_prepared(&slot, true, prepared).await,
    };
    if let Ok(session) = opened {
        let epoch = session.store().journal().epoch();
        if last.is_some_and(|last| epoch <= last) {
            error!(%tenant, "the vault shows less than the owner before had written into it");
        }
        session.resume().await;
        let took = began.elapsed().as_millis() as u64;
        match last {
            Some(_) => info!(%tenant, from = %from.0, took.ms = took, "taken over"),
            None => {
                warn!(%tenant, from = %from.0, took.ms = took, "taken over from a process that did not let go of it")
            }
        }
        if let Err(error) = directory::check(fleet, &session).await {
            debug!(%tenant, %error, "its record is compared later");
        }
    }
    fleet.handovers.book().joiner.taken(&tenant);
}

/// Whoever did not answer may have given it to another before.
async fn is_served_by_another(fleet: &Fleet, slot: &Slot, from: &InstanceId) -> bool {
    match takeback::owner(fleet, &slot.tenant).await {
        Ok(Some(owner)) if owner != *from && fleet.is_alive(&owner) => {
            slot.set_elsewhere(Some(owner), fleet.env.clock.now());
            true
        }
        _ => false,
    }
}

/// The last letters: what this process still had it has no more.
pub(super) async fn say_goodbye(fleet: &Fleet) {
    let letters = async {
        for (peer, _) in fleet.living_peers() {
            let answers = fleet.handovers.book().giver.answers_to(&peer);
            let letter = Letter { draining: true, stopped: true, answers, ..Letter::default() };
            if let Err(error) = fleet.env.vault.put_letter(&fleet.env.instance, &peer, letter.write()).await {
                debug!(%error, "another process learns of the stop later");
            }
        }
    };
    if timeout(GOODBYE_TIMEOUT, letters).await.is_err() {
        warn!("other processes learn of the stop later");
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
        if !matches!(met, Ok(Ok(()))) || self.staying_peers().is_empty() {
            return;
        }
        info!(peers = self.staying_peers().len(), "other processes stay: giving the tenants to them");
        self.handovers.is_leaving.store(true, Ordering::Release);
        self.handovers.news.notify_one();
        match timeout(GOODBYE_TIMEOUT, self.announce()).await {
            Ok(Ok(())) => {}
            _ => warn!("this instance's record does not say that it stops"),
        }
        while began.elapsed() < limit && !self.staying_peers().is_empty() && self.has_something_to_give() {
            sleep(BUSY_PAUSE / 2).await;
        }
        // The last answers, before the rest is closed.
        if !matches!(timeout(GOODBYE_TIMEOUT, write(self, &self.living_peers())).await, Ok(Ok(()))) {
            warn!("the last answers are written at the end");
        }
        let left = self.slots().values().filter(|slot| slot.session().is_some()).count();
        info!(left, took.ms = began.elapsed().as_millis() as u64, "the tenants were given away");
    }

    fn staying_peers(&self) -> Vec<InstanceId> {
        let living = self.living_peers();
        living.into_iter().filter(|(_, is_draining)| !is_draining).map(|(id, _)| id).collect()
    }

    fn has_something_to_give(&self) -> bool {
        let is_open = |slot: &Arc<Slot>| slot.session().is_some_and(|session| is_wanted(&session));
        !self.handovers.book().giving.is_empty() || self.slots().values().any(is_open)
    }

    /// `None`: nobody writes, since nobody else is there.
    fn letter_pause(&self) -> Option<Duration> {
        let living = self.living_peers();
        let mut book = self.handovers.book();
        if book.peers != living {
            book.changed_at = Some(Instant::now());
            book.peers = living;
        }
        if book.peers.is_empty() && book.joiner.is_idle() {
            return None;
        }
        let is_busy = self.is_leaving() || !book.joiner.is_idle();
        let is_watchful = book.changed_at.is_some_and(|at| at.elapsed() < WATCHFUL_TIME);
        Some(match (is_busy, is_watchful) {
            (true, _) => BUSY_PAUSE,
            (false, true) => WATCHFUL_PAUSE,
            (false, false) => QUIET_PAUSE,
        })
    }

    /// An offered tenant is not wanted that is here already, or that is being opened anew.
    fn may_want(&self, tenant: &TenantId) -> bool {
        let Some(slot) = self.slot(tenant) else { return true };
        let is_looked_after = slot.is_reviving() || slot.failure().is_some_and(|failure| failure.is_transient());
        slot.session().is_none() && !is_looked_after
    }

    fn letter_to(&self, peer: &InstanceId, living: &[(InstanceId, bool)]) -> Letter {
        let offers = if self.is_leaving() { self.offers_to(peer, living) } else { Vec::new() };
        let book = self.handovers.book();
        let (asks, answers) = (book.joiner.asks_of(peer), book.giver.answers_to(peer));
        Letter { draining: self.is_leaving(), stopped: false, offers, asks, answers }
    }

    /// Idle tenants first, since nobody notices; one that somebody is pairing when that is over.
    fn offers_to(&self, peer: &InstanceId, living: &[(InstanceId, bool)]) -> Vec<TenantId> {
        let staying: Vec<_> = living.iter().filter(|(_, is_draining)| !is_draining).map(|(id, _)| id.clone()).collect();
        let open = |slot: &Arc<Slot>| {
            slot.session().filter(is_offered).map(|session| (session.is_busy(), slot.tenant.clone()))
        };
        let mut open: Vec<_> = self.slots().values().filter_map(open).collect();
        open.sort();
        let mut book = self.handovers.book();
        // What was offered before stays in its place, or each message would be a letter.
        let known: HashSet<_> = book.offers.iter().cloned().collect();
        let now: HashSet<_> = open.iter().map(|(_, tenant)| tenant.clone()).collect();
        book.offers.retain(|tenant| now.contains(tenant));
        book.offers.extend(open.into_iter().map(|(_, tenant)| tenant).filter(|tenant| !known.contains(tenant)));
        let is_theirs = |tenant: &&TenantId| should_own(tenant, &staying) == Some(peer);
        book.offers.iter().filter(is_theirs).cloned().collect()
    }
}

/// Somebody has to serve it: it is paired, or somebody is at it. The others are opened when somebody asks for them.
fn is_wanted(session: &Session) -> bool {
    session.status().paired || session.is_pairing()
}

fn is_offered(session: &Session) -> bool {
    session.status().paired && !session.is_pairing()
}
