//! A webhook's delivery queue: order, retries, parking. Pure: no clock, no network.
//!
//! Each chat is a lane, and of a lane only the first job flies; so a chat's order is kept, and a message that is being retried
//! holds up its own chat alone. How far the other lanes run ahead is bounded by who fills the queue ([`Queue::len`]).
//!
//! **When a message is given up.** A message that has had its attempts is parked as soon as the receiver has been seen to take
//! another one since: then it is this message that is refused. A receiver that takes nothing is down, not refusing: nothing is
//! parked, and every lane goes on trying, ever more slowly, until it is back. In a chat that is all alone the sign of life can
//! only come from a later message: right after the first was refused once more, the next that has attempts left is tried (never
//! when there was no answer at all); if that one is taken, each before it is tried once more and parked if it is refused again.
//!
//! **Not now.** 429 and 503 speak of the moment, and such an attempt is not counted; unless the receiver takes message after message
//! at once meanwhile ([`SIGNS`]): then it is no moment that it speaks of. So one message on which a receiver's handler always crashes
//! is parked, and one that is only busy parks nothing. When the queue is full of what was taken, [`Queue::lacks_a_sign`] asks for more.

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use tokio::time::Instant;

use super::settings::{Retries, RetryPolicy};
use crate::{
    backoff::Backoff,
    message::EventId,
    waha::{EventName, Payload},
};

/// The longest wait between two attempts, unless the webhook's own delay is longer.
const MAX_WAIT: Duration = Duration::from_secs(300);

/// So much of a wait is added by chance at the most, as WAHA does: those who wait for one receiver do not come all at once, and none sooner
/// than its webhook says.
const JITTER: f64 = 0.2;

/// A receiver that has failed so often in a row is asked by one request at a time.
const SHY: u32 = 8;

/// The receiver wants nothing any more: that is of no message.
const GONE: u16 = 410;

/// Messages that a receiver takes at their first attempt, one after the other, before one that it puts off meanwhile is refused by that.
const SIGNS: u64 = 3;

/// Where the body of a job is.
#[derive(Debug, Clone, PartialEq)]
pub enum JobSource {
    /// In the event log.
    Log,
    /// In the record of a failure: sent once more because someone asked.
    Parked,
    /// Here: what is of now, and in no log.
    News(Arc<Payload>),
}

impl JobSource {
    /// It waits for no better moment.
    fn is_of_now(&self) -> bool {
        matches!(self, Self::News(_))
    }
}

/// One event that the webhook is owed.
#[derive(Debug, Clone, PartialEq)]
pub struct Job {
    pub id: EventId,
    pub source: JobSource,
    /// The names under which it still goes out, in order; not empty.
    pub names: Vec<EventName>,
    /// Attempts of the first of the names.
    pub attempts: u32,
    /// How the last one ended.
    pub refusal: Option<DeliveryRefusal>,
}

#[derive(Debug)]
struct Waiting {
    job: Job,
    /// Attempts, those too that do not count.
    tries: u32,
    due: Instant,
    flying: bool,
    /// When the last attempt failed; the beginning of the first one while that flies.
    since: Instant,
    /// It was refused by an answer just now, after all of its attempts: a later one of its lane may be tried.
    canary: bool,
    /// [`Queue::taken_at_once`], when an attempt that was put off was counted last.
    signs_used: u64,
}

impl Waiting {
    /// There is news of the receiver: nobody sits out a long wait for that, but the webhook's own delay holds.
    fn hurry(&mut self, retries: Retries, now: Instant) {
        self.due = self.due.min(now.max(self.since + retries.delay));
    }

    /// The receiver has taken others meanwhile, each at once.
    fn is_put_off_alone(&self, taken_at_once: u64) -> bool {
        // Fewer than were counted: the row was broken, and another one has begun.
        let used = if taken_at_once < self.signs_used { 0 } else { self.signs_used };
        taken_at_once - used >= SIGNS
    }
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AttemptOutcome {
    Taken,
    Failed(DeliveryRefusal),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryRefusal {
    /// By an answer to this request, so that the receiver is there.
    pub answered: bool,
    /// It speaks of the moment, not of this request, which is not one attempt the less for it.
    pub not_now: bool,
    /// Nothing before, by the receiver's own word.
    pub after: Option<Duration>,
    pub status: Option<u16>,
    /// In words.
    pub error: String,
}

/// What follows from an attempt for the jobs of its lane: which left the queue.
#[derive(Debug, Default, PartialEq)]
pub struct Settlement {
    pub done: Option<Job>,
    /// In the order of the lane.
    pub parked: Vec<Job>,
}

pub struct Queue {
    retries: Retries,
    lanes: HashMap<Arc<str>, VecDeque<Waiting>>,
    /// Of the log: owed, and done while an earlier one is still owed.
    owed: BTreeSet<EventId>,
    done: BTreeSet<EventId>,
    /// All of the log up to here is done.
    cursor: Option<EventId>,
    /// All of the log up to here was looked at.
    read: Option<EventId>,
    failures: u32,
    /// When the last attempt that was taken began.
    sign_of_life: Option<Instant>,
    /// Attempts in a row that were the first of their job and were taken.
    taken_at_once: u64,
    pause: Option<QueuePause>,
    flying: usize,
}

/// Nothing goes out, by the receiver's own word.
#[derive(Debug)]
struct QueuePause {
    until: Instant,
    /// When the attempt began that it answered so.
    began: Instant,
    /// Attempts that began later, and were taken.
    taken_since: u64,
}

impl Queue {
    pub fn new(retries: Retries, cursor: Option<EventId>, done: impl IntoIterator<Item = EventId>) -> Self {
        Self {
            retries,
            lanes: HashMap::new(),
            owed: BTreeSet::new(),
            done: done.into_iter().collect(),
            cursor,
            read: cursor,
            failures: 0,
            sign_of_life: None,
            taken_at_once: 0,
            pause: None,
            flying: 0,
        }
    }

    /// Events of the log that are owed, or done ahead of one that is.
    pub fn len(&self) -> usize {
        self.owed.len() + self.done.len()
    }

    /// Events of any kind that are owed.
    pub fn owed(&self) -> usize {
        self.lanes.values().map(VecDeque::len).sum()
    }

    pub fn cursor(&self) -> Option<EventId> {
        self.cursor
    }

    pub fn read(&self) -> Option<EventId> {
        self.read
    }

    pub fn done(&self) -> impl Iterator<Item = EventId> {
        self.done.iter().copied()
    }

    /// Failed attempts since the last that was taken.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// An event of the log was looked at: owed under these names, if any.
    pub fn take(&mut self, id: EventId, lane: &str, names: Vec<EventName>, now: Instant) {
        self.read = Some(id);
        if !self.done.contains(&id) && !names.is_empty() {
            self.owed.insert(id);
            self.push(lane, Job { id, source: JobSource::Log, names, attempts: 0, refusal: None }, now);
        }
        self.advance();
    }

    /// The log has nothing up to here any more.
    pub fn skip(&mut self, to: EventId) {
        self.read = self.read.max(Some(to));
        self.advance();
    }

    /// Something that is owed and not in the log.
    pub fn push(&mut self, lane: &str, job: Job, now: Instant) {
        let waiting = Waiting { job, tries: 0, due: now, flying: false, since: now, canary: false, signs_used: 0 };
        let jobs = self.lanes.entry(lane.into()).or_default();
        let has_canary = jobs.iter().any(|waiting| waiting.job.attempts < self.retries.attempts);
        // The receiver may be back since the first was refused: then that goes first. Not sooner than it is due: who only writes more
        // tells nothing of the receiver.
        if let Some(first) = jobs.front_mut().filter(|first| first.canary && !first.flying && !has_canary) {
            first.canary = false;
        }
        jobs.push_back(waiting);
    }

    /// The same, for what need not be kept: of the lane's jobs the oldest gives way when there are more than `limit`.
    pub fn push_bounded(&mut self, lane: &str, job: Job, now: Instant, limit: usize) {
        self.push(lane, job, now);
        if let Some(jobs) = self.lanes.get_mut(lane)
            && jobs.len() > limit
            && let Some(place) = jobs.iter().position(|waiting| !waiting.flying)
        {
            jobs.remove(place);
        }
    }

    /// The next attempt that may begin now, marked as flying. `limit`: attempts in flight.
    pub fn launch(&mut self, now: Instant, limit: usize) -> Option<(Arc<str>, Job)> {
        if self.is_full(limit) || self.pause.as_ref().is_some_and(|pause| pause.until > now) {
            return None;
        }
        let attempts = self.retries.attempts;
        let candidates =
            self.lanes.iter().filter_map(|(lane, jobs)| due(jobs, attempts).map(|(at, place)| (at, place, lane)));
        let ready = candidates.filter(|(at, ..)| *at <= now);
        let (_, place, lane) = ready.min_by_key(|(at, place, lane)| (*at, self.lanes[*lane][*place].job.id))?;
        let lane = lane.clone();
        let jobs = self.lanes.get_mut(&lane)?;
        let waiting = &mut jobs[place];
        waiting.flying = true;
        if waiting.tries == 0 {
            waiting.since = now;
        }
        self.flying += 1;
        Some((lane, waiting.job.clone()))
    }

    /// When something may begin, if nothing lands before.
    pub fn wake_at(&self, limit: usize) -> Option<Instant> {
        if self.is_full(limit) {
            return None;
        }
        let attempts = self.retries.attempts;
        let next = self.lanes.values().filter_map(|jobs| due(jobs, attempts).map(|(at, _)| at)).min()?;
        Some(self.pause.as_ref().map_or(next, |pause| pause.until.max(next)))
    }

    /// Whether nothing that is here can show that the receiver takes others, while one waits for that: then one more event is to be taken
    /// in, however many there are.
    pub fn lacks_a_sign(&self) -> bool {
        // A receiver that takes nothing is down: then there is enough to try.
        if self.owed.len() > self.done.len() {
            return false;
        }
        let mut firsts = self.lanes.values().filter_map(VecDeque::front);
        firsts.clone().all(|first| first.tries > 0) && firsts.any(|first| self.waits_for_a_sign(first))
    }

    fn waits_for_a_sign(&self, first: &Waiting) -> bool {
        match &first.job.refusal {
            _ if first.job.source != JobSource::Log => false,
            Some(refusal) if refusal.not_now => !first.is_put_off_alone(self.taken_at_once),
            _ => {
                let has_had_enough = first.job.attempts >= self.retries.attempts;
                has_had_enough && self.sign_of_life.is_none_or(|began| began < first.since)
            }
        }
    }

    fn is_full(&self, limit: usize) -> bool {
        self.flying >= if self.failures >= SHY { 1 } else { limit }
    }

    /// An attempt ended. `began`: when; `chance`: 0 to 1, for the jitter.
    pub fn land(
        &mut self,
        lane: &Arc<str>,
        id: EventId,
        outcome: &AttemptOutcome,
        began: Instant,
        now: Instant,
        chance: f64,
    ) -> Settlement {
        self.flying = self.flying.saturating_sub(1);
        let Some(place) = self.place(lane, id) else { return Settlement::default() };
        match outcome {
            AttemptOutcome::Taken => self.taken(lane, place, began, now),
            AttemptOutcome::Failed(refusal) => {
                self.failures = self.failures.saturating_add(1);
                self.failed(lane, place, refusal, began, now, chance)
            }
        }
    }

    /// Takes a job out without an outcome: what it speaks of is gone.
    pub fn drop(&mut self, lane: &Arc<str>, id: EventId) {
        self.flying = self.flying.saturating_sub(1);
        if let Some(place) = self.place(lane, id) {
            self.remove(lane, place);
        }
    }

    fn taken(&mut self, lane: &Arc<str>, place: usize, began: Instant, now: Instant) -> Settlement {
        self.sign_of_life = self.sign_of_life.max(Some(began));
        if self.failures >= SHY {
            self.lanes.values_mut().flatten().for_each(|waiting| waiting.hurry(self.retries, now));
        }
        self.failures = 0;
        if let Some(pause) = &mut self.pause
            && began >= pause.began
        {
            pause.taken_since += 1;
            if pause.taken_since >= SIGNS {
                self.pause = None;
            }
        }
        let Some(waiting) = self.lanes.get_mut(lane).and_then(|jobs| jobs.get_mut(place)) else {
            return Settlement::default();
        };
        self.taken_at_once += u64::from(waiting.tries == 0);
        waiting.job.names.remove(0);
        let is_done = waiting.job.names.is_empty();
        if !is_done {
            (waiting.job.attempts, waiting.tries, waiting.flying, waiting.due) = (0, 0, false, now);
        }
        let done = if is_done { self.remove(lane, place) } else { None };
        // It flew ahead of others. The receiver may have come back between them and it: each is tried once more, and parked when it
        // is refused.
        if let Some(first) = self.lanes.get_mut(lane).and_then(VecDeque::front_mut).filter(|_| place > 0) {
            first.canary = false;
            first.hurry(self.retries, now);
        }
        Settlement { done, parked: Vec::new() }
    }

    fn failed(
        &mut self,
        lane: &Arc<str>,
        place: usize,
        refusal: &DeliveryRefusal,
        began: Instant,
        now: Instant,
        chance: f64,
    ) -> Settlement {
        let (retries, sign_of_life, taken_at_once) = (self.retries, self.sign_of_life, self.taken_at_once);
        let Some(jobs) = self.lanes.get_mut(lane) else { return Settlement::default() };
        let waiting = &mut jobs[place];
        waiting.flying = false;
        waiting.job.refusal = Some(refusal.clone());
        // Of what was taken before a message was tried it does not know whether it would have been refused then.
        let is_alone = waiting.tries > 0 && waiting.is_put_off_alone(taken_at_once);
        if waiting.tries == 0 {
            (self.taken_at_once, waiting.signs_used) = (0, 0);
        }
        waiting.tries = waiting.tries.saturating_add(1);
        let may_count = place == 0 && refusal.status != Some(GONE) && (is_alone || waiting.job.source.is_of_now());
        let is_excused = refusal.not_now && !may_count;
        let mut next = now + wait(retries, waiting.tries).mul_f64(1.0 + JITTER * chance);
        if let Some(after) = refusal.after {
            // Of one that is put off alone its own word is of itself. Behind the others, so that they can show it.
            next += after;
            if !is_alone {
                self.pause = Some(QueuePause { until: now + after, began, taken_since: 0 });
            }
        }
        if !is_excused && (place == 0 || refusal.answered) {
            waiting.job.attempts = waiting.job.attempts.saturating_add(1);
        }
        let others_are_taken =
            sign_of_life.is_some_and(|began| began >= waiting.since) || (refusal.not_now && is_alone);
        if refusal.not_now && !is_excused {
            waiting.signs_used = taken_at_once;
        }
        (waiting.since, waiting.due) = (now, next);
        if place > 0 {
            // Then the first again when it is due, and this one behind it.
            jobs[0].canary = false;
            return Settlement::default();
        }
        let had_enough = waiting.job.attempts >= retries.attempts && !is_excused;
        // What someone asked to send again, and what nobody can send again, has had its attempts and no more.
        let gives_up = had_enough && (others_are_taken || waiting.job.source != JobSource::Log);
        waiting.canary = had_enough && refusal.answered;
        let parked = if gives_up { self.remove(lane, place) } else { None };
        Settlement { done: None, parked: parked.into_iter().collect() }
    }

    fn place(&self, lane: &Arc<str>, id: EventId) -> Option<usize> {
        self.lanes.get(lane)?.iter().position(|waiting| waiting.job.id == id)
    }

    fn remove(&mut self, lane: &Arc<str>, place: usize) -> Option<Job> {
        let jobs = self.lanes.get_mut(lane)?;
        let removed = jobs.remove(place)?.job;
        if jobs.is_empty() {
            self.lanes.remove(lane);
        }
        if removed.source == JobSource::Log && self.owed.remove(&removed.id) {
            self.done.insert(removed.id);
            self.advance();
        }
        Some(removed)
    }

    /// Moves the cursor over all that is done.
    fn advance(&mut self) {
        match self.owed.first().copied() {
            None => {
                self.cursor = self.cursor.max(self.read);
                self.done.retain(|id| Some(*id) > self.cursor);
            }
            Some(first) => {
                let ahead = self.done.split_off(&first);
                self.cursor = self.cursor.max(self.done.last().copied());
                self.done = ahead;
            }
        }
    }
}

/// When the lane's next attempt is due, and of which of its jobs. `attempts`: how many each has.
fn due(jobs: &VecDeque<Waiting>, attempts: u32) -> Option<(Instant, usize)> {
    let first = jobs.front()?;
    let ahead = || jobs.iter().position(|waiting| waiting.job.attempts < attempts);
    match ahead().filter(|_| first.canary && !first.flying) {
        Some(place) if jobs[place].flying => None,
        // It has its own delay, once it was tried.
        Some(place) if jobs[place].due <= first.due => Some((first.since.max(jobs[place].due), place)),
        Some(_) => Some((first.due, 0)),
        None => (!first.flying).then_some((first.due, 0)),
    }
}

/// The wait after so many attempts; the policy's until they are used up, then doubling.
fn wait(retries: Retries, attempts: u32) -> Duration {
    let base = retries.delay.max(Duration::from_millis(100));
    let within = attempts.min(retries.attempts);
    let by_policy = match retries.policy {
        RetryPolicy::Constant => base,
        RetryPolicy::Linear => base.saturating_mul(within),
        RetryPolicy::Exponential => Backoff::new(base, Duration::MAX).whole(within - 1),
    };
    let beyond = attempts.saturating_sub(retries.attempts);
    Backoff::new(by_policy, MAX_WAIT.max(base)).whole(beyond)
}

#[cfg(test)]
mod tests;
