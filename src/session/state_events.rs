//! Which changes of a session's state are events of the tenant's log, and when.
//!
//! Publishes at once what a consumer can act on. Publishes a reconnect only when it takes long: a lost line, a test
//! of a quiet session or a restart of the daemon, over within [`CONNECTING_GRACE`], concerns nobody and costs no
//! write. Publishes ever more rarely for a session that comes and goes ([`StatePace`]), and then the state of that
//! moment, so that the last one is never missing. Keeps the last published states with the events, for the next owner
//! to go on from.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, sleep, sleep_until};
use tracing::{debug, warn};

use super::{
    Inner,
    state::{State, Status},
};
use crate::{
    message::{EventBody, PublishWhen, StatePoint},
    store::{Batch, Store, StoreError, key, space},
};

/// A session that is connecting again for longer than this does not work.
const CONNECTING_GRACE: Duration = Duration::from_secs(10);

/// Changes told at once before they are spread.
const BURST: f64 = 30.0;

/// Then one in this time.
const SPREAD: Duration = Duration::from_secs(300);

/// States that an event lists.
const LISTED: usize = 8;

/// After the store failed.
const STATE_WRITE_RETRY_DELAY: Duration = Duration::from_secs(5);

const TOLD: &str = "session/told";

/// The states that were published as events, oldest first.
#[derive(Debug)]
pub(in crate::session) struct PublishedStates(tokio::sync::Mutex<Vec<StatePoint>>);

impl PublishedStates {
    pub async fn read(store: &Store) -> Result<Self, StoreError> {
        let stored = store.get(space::SETTINGS, &key::text(TOLD)).await?;
        let states = stored.and_then(|stored| serde_json::from_slice(&stored).ok()).unwrap_or_default();
        Ok(Self(tokio::sync::Mutex::new(states)))
    }
}

/// The last published state; a tenant without one begins as stopped.
fn last(states: &[StatePoint]) -> State {
    states.last().map_or(State::Stopped, |point| point.state)
}

impl Inner {
    /// Makes a state an event, unless it was the last one told.
    pub(in crate::session) async fn tell_state(&self, state: State) -> Result<(), StoreError> {
        let mut told = self.published_states.0.lock().await;
        if last(&told) == state {
            return Ok(());
        }
        let at = self.env.clock.now().as_millisecond();
        let before = &told[told.len().saturating_sub(LISTED - 1)..];
        let states: Vec<_> = before.iter().copied().chain([StatePoint { state, at }]).collect();
        let mut batch = Batch::default();
        let kept = serde_json::to_vec(&states).expect("states are plain data, which JSON always takes");
        batch.put(space::SETTINGS, key::text(TOLD), kept);
        self.log.commit(batch, vec![EventBody::Session { states: states.clone() }], PublishWhen::AtOnce).await?;
        *told = states;
        self.log.publish();
        Ok(())
    }
}

/// Tells the session's states, until it ends.
pub(in crate::session) async fn tell(session: Arc<Inner>) {
    let mut status = session.status.subscribe();
    let mut watcher = Watcher::new(Instant::now());
    loop {
        let told = last(&session.published_states.0.lock().await);
        let stopped = session.is_stopped();
        let now = Instant::now();
        let (state, due) = {
            let status = status.borrow_and_update();
            (status.state, watcher.due(told, &status, stopped, now))
        };
        let due = match due {
            Some(due) if due <= now => {
                if let Err(error) = session.tell_state(state).await {
                    if error.is_final() {
                        debug!(%error, "the states of a session end with it");
                        return;
                    }
                    warn!(event = "state_unwritten", %error, "a state of the session cannot be written down now");
                    tokio::select! {
                        () = session.stop.cancelled() => return,
                        () = sleep(STATE_WRITE_RETRY_DELAY) => {}
                    }
                } else {
                    watcher.told(now);
                }
                continue;
            }
            due => due,
        };
        tokio::select! {
            biased;
            () = session.stop.cancelled() => return,
            changed = status.changed() => if changed.is_err() { return },
            () = sleep_until(due.unwrap_or(now)), if due.is_some() => {}
        }
    }
}

/// Decides. Pure.
struct Watcher {
    /// The state now, and since when.
    state: (Option<State>, Instant),
    pace: StatePace,
}

impl Watcher {
    fn new(now: Instant) -> Self {
        Self { state: (None, now), pace: StatePace { left: BURST, filled: now } }
    }

    /// When the state is to be told; `None`: not while it is as it is. `stopped`: its owner wants it to stay away.
    fn due(&mut self, told: State, status: &Status, stopped: bool, now: Instant) -> Option<Instant> {
        if self.state.0 != Some(status.state) {
            self.state = (Some(status.state), now);
        }
        let since = self.state.1;
        let settled = match status.state {
            state if state == told => return None,
            // Before the first dial, or at the daemon's end: the next process goes on where this one was.
            State::Stopped if status.paired && !stopped => return None,
            State::Starting if told != State::Stopped => since + CONNECTING_GRACE,
            _ => since,
        };
        Some(settled.max(self.pace.next(now)))
    }

    fn told(&mut self, now: Instant) {
        self.pace.next(now);
        self.pace.left -= 1.0;
    }
}

/// So many at once, then one in [`SPREAD`].
struct StatePace {
    left: f64,
    filled: Instant,
}

impl StatePace {
    fn next(&mut self, now: Instant) -> Instant {
        self.left = BURST.min(self.left + (now - self.filled).as_secs_f64() / SPREAD.as_secs_f64());
        self.filled = now;
        now + SPREAD.mul_f64((1.0 - self.left).max(0.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(state: State, paired: bool) -> Status {
        Status { paired, ..Status::new(state, String::new(), jiff::Timestamp::UNIX_EPOCH) }
    }

    /// A session that is in each state for so many seconds; what is told of it, and when.
    struct Life {
        watcher: Watcher,
        now: Instant,
        told: Vec<(State, u64)>,
        begin: Instant,
        stopped: bool,
    }

    impl Life {
        fn new(told: State) -> Self {
            let now = Instant::now();
            Self { watcher: Watcher::new(now), now, told: vec![(told, 0)], begin: now, stopped: false }
        }

        fn lives(&mut self, state: State, seconds: u64) -> &mut Self {
            let until = self.now + Duration::from_secs(seconds);
            let status = status(state, state != State::ScanQrCode);
            while let Some(due) = self.watcher.due(self.told.last().unwrap().0, &status, self.stopped, self.now)
                && due < until
            {
                self.now = due.max(self.now);
                if self.watcher.due(self.told.last().unwrap().0, &status, self.stopped, self.now) == Some(self.now) {
                    self.told.push((state, (self.now - self.begin).as_secs()));
                    self.watcher.told(self.now);
                }
            }
            self.now = until;
            self
        }

        fn states(&self) -> Vec<State> {
            self.told[1..].iter().map(|(state, _)| *state).collect()
        }
    }

    #[test]
    fn a_pairing_is_told_as_it_happens() {
        let mut life = Life::new(State::Stopped);
        life.lives(State::Starting, 1).lives(State::ScanQrCode, 30).lives(State::Starting, 2).lives(State::Working, 60);
        assert_eq!(life.states(), [State::Starting, State::ScanQrCode, State::Working]);
        assert_eq!(life.told[3].1, 33, "at once");
    }

    #[test]
    fn what_is_over_at_once_is_not_told() {
        let mut life = Life::new(State::Working);
        // A restart, tests of a quiet session, lost lines: a year of them.
        for _ in 0..10_000 {
            life.lives(State::Stopped, 3).lives(State::Starting, 9).lives(State::Working, 3600);
        }
        assert_eq!(life.states(), []);
        // One that takes long is, and what follows from it.
        life.lives(State::Starting, 11).lives(State::Working, 1);
        assert_eq!(life.states(), [State::Starting, State::Working]);
        // Its owner's wish.
        life.stopped = true;
        life.lives(State::Stopped, 1);
        assert_eq!(life.states().last(), Some(&State::Stopped));
    }

    #[test]
    fn a_session_that_comes_and_goes_fills_nothing_and_its_last_state_is_told() {
        const DAY: u64 = 24 * 3600;
        let mut life = Life::new(State::Working);
        for _ in 0..DAY / 30 {
            life.lives(State::Starting, 15).lives(State::Working, 15);
        }
        let count = life.states().len() as u64;
        assert!((200..=30 + DAY / SPREAD.as_secs() + 1).contains(&count), "{count} changes told in a day");
        for state in [State::Starting, State::Failed, State::Working] {
            life.lives(state, 600);
            assert_eq!(life.told.last().unwrap().0, state);
        }
    }
}
