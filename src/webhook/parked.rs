//! Which failures of a webhook are kept: the newest, so many of them and so many bytes. Pure.
//!
//! They are whole events in the tenant's state, which every snapshot and every restore has in memory.

use std::collections::VecDeque;

use crate::message::EventId;

/// Failures kept of a webhook; the oldest give way.
const MAX_FAILURES: usize = 500;

/// And so many bytes of them; the newest stays, whatever its size.
const MAX_BYTES: usize = 4 << 20;

#[derive(Debug, Default)]
pub struct Parked {
    /// With the size of the record, oldest first.
    failures: VecDeque<(EventId, usize)>,
    bytes: usize,
}

impl Parked {
    /// A record is written; it takes the place of one with the same id. Returns those that give way, oldest first.
    pub fn add(&mut self, id: EventId, bytes: usize) -> Vec<EventId> {
        match self.failures.iter_mut().find(|(known, _)| *known == id) {
            Some((_, known)) => self.bytes = self.bytes - std::mem::replace(known, bytes) + bytes,
            None => {
                self.failures.push_back((id, bytes));
                self.bytes += bytes;
            }
        }
        let mut given_up = Vec::new();
        while self.failures.len() > MAX_FAILURES || (self.bytes > MAX_BYTES && self.failures.len() > 1) {
            let Some((oldest, bytes)) = self.failures.pop_front() else { break };
            self.bytes -= bytes;
            given_up.push(oldest);
        }
        given_up
    }

    /// A record is gone.
    pub fn remove(&mut self, id: EventId) {
        if let Some(place) = self.failures.iter().position(|(known, _)| *known == id)
            && let Some((_, bytes)) = self.failures.remove(place)
        {
            self.bytes -= bytes;
        }
    }

    pub fn len(&self) -> usize {
        self.failures.len()
    }

    /// Oldest first.
    pub fn ids(&self) -> Vec<EventId> {
        self.failures.iter().map(|(id, _)| *id).collect()
    }
}

#[cfg(test)]
mod tests {
    use ulid::Ulid;

    use super::*;

    fn id(n: usize) -> EventId {
        EventId(Ulid(n as u128))
    }

    #[test]
    fn the_oldest_give_way_by_number_and_by_bytes() {
        let mut parked = Parked::default();
        for n in 0..MAX_FAILURES {
            assert_eq!(parked.add(id(n), 1), []);
        }
        assert_eq!(parked.add(id(MAX_FAILURES), 1), [id(0)]);
        let mut parked = Parked::default();
        for n in 0..4 {
            assert_eq!(parked.add(id(n), MAX_BYTES / 4), []);
        }
        assert_eq!(parked.add(id(4), MAX_BYTES / 2), [id(0), id(1)]);
        assert_eq!(parked.ids(), [id(2), id(3), id(4)]);
        // One that is larger than all of it is kept alone.
        assert_eq!(parked.add(id(5), 2 * MAX_BYTES), [id(2), id(3), id(4)]);
        assert_eq!(parked.ids(), [id(5)]);
        assert_eq!(parked.add(id(6), 1), [id(5)]);
    }

    #[test]
    fn what_is_refused_again_or_taken_is_counted_as_it_is_now() {
        let mut parked = Parked::default();
        parked.add(id(1), MAX_BYTES / 2);
        assert_eq!(parked.add(id(1), MAX_BYTES / 4), [], "refused again: one record");
        assert_eq!(parked.add(id(2), MAX_BYTES * 3 / 4), [], "there is room");
        parked.remove(id(2));
        parked.remove(id(2));
        assert_eq!(parked.add(id(3), MAX_BYTES * 3 / 4), []);
        assert_eq!(parked.ids(), [id(1), id(3)]);
    }
}
