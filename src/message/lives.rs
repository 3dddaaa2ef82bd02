//! The lives of a tenant's event log: one from each takeover to the next. Pure.
//!
//! Some events are published before they are durable. When the process dies they are lost, and the next life, whose
//! clock may be behind, gives out ids below theirs. A consumer whose cursor is such an id would miss these. So an id
//! carries the epoch of its life, and the log remembers, for each life that wrote something, the last id that was
//! durable when it began: a cursor of an earlier life beyond that names a lost event, and the place where it was is
//! exactly there.
//!
//! An id is a ULID: 48 bits of milliseconds, 40 of the epoch, 40 of chance. Ids of builds before this have chance in
//! all 80; what they name is found all the same, as long as it is durable.
//!
//! A log that was restored from a backup has ids of another vault's epochs, and here these began anew. So lives are remembered from the
//! first one here on, and all that came along keeps its place.

use std::time::SystemTime;

use ulid::Ulid;

/// The number of a takeover, which grows with each.
pub type Epoch = u64;

const EPOCH_BITS: u32 = 40;
const CHANCE_BITS: u32 = 40;

/// Lives that are remembered. One that wrote nothing takes no place.
const REMEMBERED: usize = 64;

/// The bytes of a life as it is written.
const WRITTEN: usize = 24;

/// When which life began, the oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lives(Vec<LogLife>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct LogLife {
    epoch: Epoch,
    /// The last event that was durable when it began.
    after: Ulid,
}

impl LogLife {
    /// Whether what it found has another vault's epochs, or a build's before epochs: ours would be earlier than its own.
    fn follows_another(&self) -> bool {
        epoch_of(self.after) >= self.epoch
    }
}

impl Lives {
    /// As [`Self::write`] wrote it. What is not quite there is left out.
    pub fn read(bytes: &[u8]) -> Self {
        let lives = bytes.chunks_exact(WRITTEN).filter_map(|life| {
            let (epoch, after) = life.split_at(8);
            Some(LogLife {
                epoch: Epoch::from_be_bytes(epoch.try_into().ok()?),
                after: Ulid::from_bytes(after.try_into().ok()?),
            })
        });
        Self(lives.collect())
    }

    pub fn write(&self) -> Vec<u8> {
        self.0.iter().flat_map(|life| [&life.epoch.to_be_bytes()[..], &life.after.to_bytes()].concat()).collect()
    }

    /// A life begins; `last` is the last event that is durable.
    pub fn begin(&mut self, epoch: Epoch, last: Ulid) {
        // One that wrote nothing durable ended where it began.
        self.0.retain(|life| life.epoch < epoch && life.after < last);
        self.0.push(LogLife { epoch, after: last });
        // Lives of another vault, whose epochs are not ours: by them events that are here would be taken for lost ones.
        if let Some(arrival) = self.0.iter().rposition(LogLife::follows_another) {
            self.0.drain(..arrival);
        }
        let surplus = self.0.len().saturating_sub(REMEMBERED);
        self.0.drain(..surplus);
    }

    /// The place that a cursor names: its own, or, if its event was lost, where that was.
    pub fn place_of(&self, cursor: Ulid) -> Ulid {
        let epoch = epoch_of(cursor);
        let (first, now) = (self.0.first().map_or(0, |life| life.epoch), self.0.last().map_or(0, |life| life.epoch));
        // Before the first life that is remembered ids had no epochs, or another vault's, or nobody knows; and nobody is ahead of the life
        // that is now.
        let epoch = if (first..=now).contains(&epoch) { epoch } else { 0 };
        let next = self.0.iter().find(|life| life.epoch > epoch);
        next.map_or(cursor, |next| cursor.min(next.after))
    }
}

/// The next id of a life: of this moment, or just above the last when the clock stands or went back.
pub fn next_id(last: Ulid, now: SystemTime, epoch: Epoch) -> Ulid {
    let fresh = |milliseconds| {
        let chance = Ulid::generate().random() & ((1 << CHANCE_BITS) - 1);
        let epoch = u128::from(epoch) & ((1 << EPOCH_BITS) - 1);
        Ulid::from_parts(milliseconds, (epoch << CHANCE_BITS) | chance)
    };
    let since_1970 = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_millis();
    let moment = u64::try_from(since_1970).unwrap_or(u64::MAX).max(last.timestamp_ms());
    let id = fresh(moment);
    if id > last {
        return id;
    }
    // The clock stands, or `last` is of a build before epochs.
    let above = Ulid(last.0.saturating_add(1));
    if epoch_of(above) == epoch { above } else { fresh(moment + 1) }
}

fn epoch_of(id: Ulid) -> Epoch {
    u64::try_from(id.random() >> CHANCE_BITS).unwrap_or(Epoch::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    const NOON: Duration = Duration::from_secs(1_800_000_000);

    /// A log's history: events with the clock so many milliseconds off, and how many of them survive the death that
    /// follows.
    fn story() -> impl Strategy<Value = Vec<(i64, usize, usize)>> {
        prop::collection::vec((-4_000_000..4_000_000i64, 0..6usize, 0..6usize), 1..90)
    }

    fn at(shift: i64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_millis((NOON.as_millis() as i64 + shift) as u64)
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

        /// A consumer that comes back with any id that was ever published gets all that came after it, and nothing
        /// from before.
        #[test]
        fn a_cursor_of_any_life_misses_nothing(story in story(), old in 0..3usize) {
            // As an earlier build left it.
            let old_id = |n| Ulid::from_parts(NOON.as_millis() as u64, (u128::MAX >> 50) << n);
            let mut durable: Vec<Ulid> = (0..old).map(old_id).collect();
            let mut written = Lives::default();
            // Each published id, and how many durable events were before it then, and whether it is one of them.
            let mut published: Vec<(Ulid, usize)> = Vec::new();
            let mut lives_written = 0;
            for (life, (shift, events, survive)) in story.into_iter().enumerate() {
                let epoch = 10 + 3 * life as Epoch;
                let last = durable.last().copied().unwrap_or(Ulid::nil());
                let mut lives = written.clone();
                lives.begin(epoch, last);
                let mut of_this_life = Vec::new();
                let mut newest = last;
                for n in 0..events {
                    let id = next_id(newest, at(shift + n as i64 / 2), epoch);
                    prop_assert!(id > newest);
                    newest = id;
                    of_this_life.push(id);
                    published.push((id, durable.len() + (n + 1).min(survive)));
                }
                if events > 0 && survive > 0 {
                    written = Lives::read(&lives.write());
                    lives_written += 1;
                    prop_assert_eq!(&written, &lives);
                }
                durable.extend(of_this_life.into_iter().take(survive));
                prop_assume!(lives_written < REMEMBERED);
                // The next life looks at all cursors that there can be.
                let mut next = written.clone();
                next.begin(epoch + 1, durable.last().copied().unwrap_or(Ulid::nil()));
                for (cursor, before) in &published {
                    let place = next.place_of(*cursor);
                    let seen = durable.iter().filter(|id| **id <= place).count();
                    prop_assert_eq!(seen, *before);
                }
            }
        }
    }

    #[test]
    fn ids_grow_when_the_clock_stands_or_goes_back() {
        let now = SystemTime::UNIX_EPOCH + NOON;
        let mut last = Ulid::from_parts(NOON.as_millis() as u64, u128::MAX >> 48);
        for step in 0..1000 {
            let shifted = if step % 3 == 0 { now - Duration::from_secs(step) } else { now };
            let next = next_id(last, shifted, 7);
            assert!(next > last && epoch_of(next) == 7);
            last = next;
        }
    }

    /// A life that writes three events.
    fn live(lives: &mut Lives, events: &mut Vec<Ulid>, epoch: Epoch) {
        let mut newest = events.last().copied().unwrap_or(Ulid::nil());
        lives.begin(epoch, newest);
        for _ in 0..3 {
            newest = next_id(newest, at(events.len() as i64), epoch);
            events.push(newest);
        }
    }

    /// A reader that is sent back from an event which it has just read would read for ever.
    #[test]
    fn events_that_came_from_another_vault_keep_their_places() {
        for first in [1, 2, 3, 16, 17, 18, 39, 40, 41, 60] {
            let (mut lives, mut events) = (Lives::default(), Vec::new());
            [1, 17, 40].into_iter().for_each(|epoch| live(&mut lives, &mut events, epoch));
            let newest = events[events.len() - 1];
            // Seen after the backup was made.
            let lost = next_id(newest, at(20), 40);
            for step in 0..8 {
                live(&mut lives, &mut events, first + 7 * step);
                for event in &events {
                    assert_eq!(lives.place_of(*event), *event, "restored at {first}, and {step} lives later");
                }
                if first < 40 && step == 0 {
                    assert_eq!(lives.place_of(lost), newest);
                }
                lives = Lives::read(&lives.write());
            }
        }
    }

    /// A build before this one kept the other vault's lives.
    #[test]
    fn a_log_that_was_restored_long_ago_is_read_again() {
        let (mut before, mut events) = (Lives::default(), Vec::new());
        [1, 40].into_iter().for_each(|epoch| live(&mut before, &mut events, epoch));
        let newest = events[events.len() - 1];
        let kept = [LogLife { epoch: 1, after: Ulid::nil() }, LogLife { epoch: 3, after: newest }];
        let mut lives = Lives(kept.into());
        lives.begin(5, next_id(newest, at(20), 3));
        assert!(events.iter().all(|event| lives.place_of(*event) == *event));
    }

    #[test]
    fn lives_that_wrote_nothing_take_no_place() {
        let mut lives = Lives::default();
        (1..1000).for_each(|epoch| lives.begin(epoch, Ulid(5)));
        assert_eq!(lives.0, [LogLife { epoch: 999, after: Ulid(5) }]);
        (1000..2000).for_each(|epoch| lives.begin(epoch, Ulid(u128::from(epoch))));
        assert_eq!(lives.0.len(), REMEMBERED);
    }
}
