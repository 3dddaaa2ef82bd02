//! The letters of this process and to it: reads and writes them at a pace, and asks others for a sign of life.
//!
//! Quickly while somebody stops, something is under way, or nobody knows who lives; for some minutes after a process came or went, in case
//! another is told to stop; otherwise every [`BOX_PAUSE`], also while this process is alone: whoever comes has to know soon that it
//! is here.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use bytes::Bytes;
use futures::future::join_all;
use tokio::time::{Instant, sleep, timeout};
use tracing::{debug, info, warn};

use super::{Fleet, handover};
use crate::{
    cluster::{BOX_PAUSE, Letter, LetterReading},
    tenant::TenantId,
    vault::{InstanceId, VaultError},
};

/// Between two readings of the letters.
pub(super) const BUSY_PAUSE: Duration = Duration::from_millis(100);
const WATCHFUL_PAUSE: Duration = Duration::from_millis(250);

/// So long after a process came or went another one may soon be told to stop.
const WATCHFUL_TIME: Duration = Duration::from_secs(300);

/// One operation of the vault, of many: a letter that is not confirmed within it is written again.
const VAULT_TIMEOUT: Duration = Duration::from_secs(5);

/// After so long between two readings nobody knows what was said meanwhile: longer than any of them, with its pause and its letters.
const LETTER_GAP: Duration = Duration::from_secs(4);

/// A process that stops tells the others, and does not wait for a vault that does not answer.
pub(super) const GOODBYE_TIMEOUT: Duration = Duration::from_secs(2);

/// The port waits so long for answers at the most: where the vault is too slow for them, those that are listed are believed to live.
const KNOCK_TIMEOUT: Duration = Duration::from_secs(20);

/// Tenants in one offer: what is given makes room for more, and 1,000 names of 64 characters are 70 KB of a letter's 900.
const MOST_OFFERS: usize = 1000;

/// A process that this one waits for is asked again for a sign of life when it has said nothing for so long.
const SILENCE_TIMEOUT: Duration = Duration::from_secs(3);

/// Until the letters are over: after the fleet has stopped, since whoever comes meanwhile must not believe that this process is dead.
async fn run(fleet: Arc<Fleet>) {
    let over = fleet.handovers.over.clone();
    loop {
        tokio::select! {
            () = over.cancelled() => return,
            () = fleet.handovers.news.notified() => {}
            () = sleep(fleet.letter_pause()) => {}
        }
        let began = fleet.env.clock.instant();
        let done = tokio::select! {
            () = over.cancelled() => return,
            done = correspond(&fleet) => done,
        };
        let now = fleet.env.clock.instant();
        match done {
            Ok(()) if now.since(began) < LETTER_GAP => fleet.handovers.book().joiner.took_round(now.since(began)),
            // Nobody could read for a while, or the machine was suspended.
            Ok(()) => fleet.handovers.book().joiner.resumed(now),
            Err(error) => {
                debug!(%error, "letters are read and written later");
                fleet.handovers.book().joiner.resumed(now);
            }
        }
    }
}

/// Reads what others have written, does what follows, and writes. An error: it could not be read. What cannot be written is written again.
async fn correspond(fleet: &Arc<Fleet>) -> Result<(), VaultError> {
    let began = fleet.env.clock.instant();
    let was_long_away = {
        let mut book = fleet.handovers.book();
        let last = book.read_at.replace(began);
        last.is_some_and(|last| began.since(last) > BOX_PAUSE + LETTER_GAP)
    };
    // Suspended, perhaps with everybody else.
    if was_long_away {
        fleet.handovers.book().joiner.resumed(began);
    }
    let letters = receive(fleet).await?;
    for (from, letter) in &letters {
        heed(fleet, from, letter);
    }
    handover::proceed(fleet);
    fleet.handovers.progress.notify_waiters();
    write(fleet).await;
    let removed = async {
        for (from, _) in letters {
            if !fleet.is_alive(&from) {
                // What it has said is done, or under way.
                answered(fleet.env.vault.remove_letter(&from, &fleet.env.instance)).await?;
            }
        }
        forget(fleet).await
    };
    if let Err(error) = removed.await {
        debug!(%error, "letters of and to dead processes are removed later");
    }
    Ok(())
}

/// Reads the letters, and learns from them who lives. Gives those that say something.
async fn receive(fleet: &Fleet) -> Result<Vec<(InstanceId, Letter)>, VaultError> {
    let bodies: Vec<(InstanceId, Bytes)> = answered(fleet.env.vault.letters(&fleet.env.instance)).await?;
    if bodies.iter().any(|(from, _)| !fleet.peers.is_listed(from)) {
        fleet.meet_peers().await?;
    }
    let now = fleet.env.clock.instant();
    let mut letters = Vec::new();
    for (from, body) in bodies {
        let Some(letter) = Letter::read(&body) else { continue };
        let mut book = fleet.handovers.book();
        let reading = book.post.read(&from, &letter);
        if reading == LetterReading::New {
            fleet.peers.hear(&from, book.post.is_heard(&letter, &from), now);
            book.joiner.heard(&from, now);
        }
        if reading != LetterReading::Stale {
            letters.push((from, letter));
        }
    }
    // Whoever is not listed is not answered.
    if fleet.is_announced() {
        fleet.peers.count(now);
    }
    Ok(letters)
}

fn heed(fleet: &Arc<Fleet>, from: &InstanceId, letter: &Letter) {
    if letter.draining {
        fleet.peers.note_draining(from);
    }
    handover::heed(fleet, from, letter);
    // Last: its answers count.
    if letter.stopped {
        fleet.peers.note_gone(from);
    }
}

/// To each what it has not been told yet. One that cannot be written holds up no other.
async fn write(fleet: &Fleet) -> bool {
    let now = fleet.env.clock.instant();
    let correspondents = fleet.correspondents();
    let due = correspondents.iter().filter_map(|(peer, _)| {
        let letter = fleet.letter_to(peer, &correspondents);
        let letter = fleet.handovers.book().post.due(peer, letter, now)?;
        Some((peer.clone(), letter))
    });
    let due: Vec<_> = due.collect();
    let written = join_all(due.into_iter().map(|(peer, letter)| put(fleet, peer, letter))).await;
    written.into_iter().all(|is_written| is_written)
}

async fn put(fleet: &Fleet, peer: InstanceId, letter: Letter) -> bool {
    let put = answered(fleet.env.vault.put_letter(&fleet.env.instance, &peer, letter.write())).await;
    let now = fleet.env.clock.instant();
    let mut book = fleet.handovers.book();
    match put {
        Ok(()) => {
            book.joiner.posted(&peer, &letter.asks, now);
            if book.post.landed(&peer, letter, now) {
                fleet.peers.ask(&peer, now);
            }
            true
        }
        Err(error) => {
            warn!(event = "letter_unwritten", to = %peer.0, %error, "a letter was not written: trying again");
            book.post.went_adrift(&peer, now);
            false
        }
    }
}

/// Letters to processes whose records are removed are nobody's: nobody would list them again.
async fn forget(fleet: &Fleet) -> Result<(), VaultError> {
    let readers = fleet.handovers.book().post.readers();
    for reader in readers.into_iter().filter(|reader| !fleet.is_alive(reader)) {
        if !fleet.peers.is_listed(&reader) {
            answered(fleet.env.vault.remove_letter(&fleet.env.instance, &reader)).await?;
        }
        fleet.handovers.book().post.bury(&reader);
    }
    Ok(())
}

async fn answered<T>(operation: impl Future<Output = Result<T, VaultError>>) -> Result<T, VaultError> {
    let silent = |_| Err(VaultError::Unavailable("no answer".into()));
    timeout(VAULT_TIMEOUT, operation).await.unwrap_or_else(silent)
}

/// The last answers, before the rest is closed.
pub(super) async fn write_now(fleet: &Fleet) {
    if !matches!(timeout(GOODBYE_TIMEOUT, write(fleet)).await, Ok(true)) {
        warn!(
            event = "last_letters_unwritten",
            "last handover answers were not written: other processes will wait for them"
        );
    }
}

/// Asks those that are listed for a sign of life, until it is known of each, at the latest at the deadline.
pub(super) async fn knock(fleet: &Fleet, deadline: Instant) {
    let began = Instant::now();
    let deadline = deadline.min(began + KNOCK_TIMEOUT);
    while fleet.peers.has_doubts() && Instant::now() < deadline {
        write(fleet).await;
        if let Err(error) = receive(fleet).await {
            debug!(%error, "who lives is asked again");
        }
        sleep(WATCHFUL_PAUSE).await;
    }
    let (living, dead) = (fleet.living_peers().len(), fleet.peers.dead().len());
    if living + dead > 0 {
        info!(
            living,
            dead,
            took.ms = began.elapsed().as_millis() as u64,
            "other processes were asked for a sign of life"
        );
    }
}

/// The last letters: what this process still had it has no more.
pub(super) async fn say_goodbye(fleet: &Fleet) {
    let goodbye = async {
        let now = fleet.env.clock.instant();
        for (peer, _) in fleet.correspondents() {
            let answers = fleet.handovers.book().giver.answers_to(&peer);
            let letter = Letter { draining: true, stopped: true, answers, ..Letter::default() };
            let letter = fleet.handovers.book().post.due(&peer, letter, now);
            if let Some(letter) = letter
                && !put(fleet, peer, letter).await
            {
                debug!("another process learns of the stop later");
            }
        }
        // One that stopped in the same moment reads nothing any more, and nobody lists what stays in its box.
        if fleet.meet_peers().await.is_ok() {
            let _ = forget(fleet).await;
        }
    };
    if timeout(GOODBYE_TIMEOUT, goodbye).await.is_err() {
        warn!(event = "stop_unannounced", "other processes learn of the stop later");
    }
}

impl Fleet {
    /// From now on, once: whoever starts meanwhile asks this process for a sign of life.
    pub(super) fn answer_letters(self: &Arc<Self>) {
        if !self.handovers.answers.swap(true, Ordering::AcqRel) {
            self.handovers.writing.spawn(run(self.clone()));
        }
    }

    /// Asks silent peers for a sign of life, so that a dead one is not waited for.
    pub(super) fn doubt_the_quiet(&self) {
        self.doubt(SILENCE_TIMEOUT);
    }

    /// Somebody new is here, and waits for an answer. It may be the successor of one that is believed to live.
    pub(super) fn welcome(&self) {
        self.doubt(BOX_PAUSE);
        self.handovers.news.notify_one();
    }

    fn doubt(&self, silence: Duration) {
        self.knock_at(&self.peers.doubt(silence, self.env.clock.instant()));
    }

    /// Asks them for a sign of life.
    pub(super) fn knock_at(&self, doubted: &[InstanceId]) {
        if !doubted.is_empty() {
            let mut book = self.handovers.book();
            doubted.iter().for_each(|id| book.post.knock(id));
            drop(book);
            self.handovers.news.notify_one();
        }
    }

    /// Those that live and read letters, and whether they are about to stop.
    pub(super) fn correspondents(&self) -> Vec<(InstanceId, bool)> {
        let mut correspondents = self.peers.correspondents();
        correspondents.retain(|(id, _)| *id != self.env.instance);
        correspondents
    }

    fn letter_pause(&self) -> Duration {
        let living = self.living_peers();
        let mut book = self.handovers.book();
        if book.peers != living {
            book.changed_at = Some(Instant::now());
            book.peers = living;
        }
        let is_alone = book.peers.is_empty();
        let is_busy = !book.joiner.is_idle() || self.is_leaving() && !is_alone;
        let is_watchful = book.changed_at.is_some_and(|at| at.elapsed() < WATCHFUL_TIME) && !is_alone;
        match (is_busy, is_watchful || self.peers.has_doubts()) {
            (true, _) => BUSY_PAUSE,
            (false, true) => WATCHFUL_PAUSE,
            (false, false) => BOX_PAUSE,
        }
    }

    fn letter_to(&self, peer: &InstanceId, correspondents: &[(InstanceId, bool)]) -> Letter {
        let mut offers: Vec<TenantId> = Vec::new();
        if self.is_leaving() && !self.is_draining() {
            offers = self.offers_to(peer, correspondents);
            offers.truncate(MOST_OFFERS);
        }
        let book = self.handovers.book();
        let (asks, answers) = (book.joiner.asks_of(peer), book.giver.answers_to(peer));
        Letter { draining: self.is_leaving() || self.is_draining(), offers, asks, answers, ..Letter::default() }
    }
}
