//! Letters on their way: which is to be written now, which of two is the newer one, and who has answered.
//!
//! A letter whose writing was not confirmed may land after its successor, and then stands in the newer one's place. So letters have
//! numbers, a reader passes over one with a lower number than it has read, and the writer writes the newest again until nothing older can
//! be on its way.

use std::{collections::HashMap, time::Duration};

use super::Letter;
use crate::{clock::Instant, vault::InstanceId};

/// A writing that was not confirmed may land for so long.
const ADRIFT: Duration = Duration::from_secs(30);

/// Meanwhile the newest is written again so often.
const AGAIN: Duration = Duration::from_secs(5);

#[derive(Debug, Default)]
pub struct Post {
    sent: HashMap<InstanceId, SentLetter>,
    /// The newest number of each, and what it asked to be told.
    read: HashMap<InstanceId, Letter>,
    knocks: HashMap<InstanceId, u64>,
    number: u64,
}

#[derive(Debug, Default)]
struct SentLetter {
    /// The last that is in the vault for certain.
    letter: Option<Letter>,
    at: Option<Instant>,
    adrift_until: Option<Instant>,
}

/// A letter that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LetterReading {
    /// Older than one that was read before: it says nothing any more.
    Stale,
    Known,
    New,
}

impl Post {
    /// The letter as it is to be written now; `None`: its reader has all of it. The first is written also when it says nothing: it shows
    /// that somebody is here, and asks the same of its reader.
    pub fn due(&mut self, to: &InstanceId, letter: Letter, now: Instant) -> Option<Letter> {
        let heard = self.read.get(to).map_or(0, |read| read.knock);
        let letter = Letter { knock: *self.knocks.entry(to.clone()).or_insert(1), heard, ..letter };
        let sent = self.sent.entry(to.clone()).or_default();
        let is_there =
            sent.letter.as_ref().is_some_and(|sent| Letter { number: sent.number, ..letter.clone() } == *sent);
        let is_adrift = sent.adrift_until.is_some_and(|until| now < until);
        let is_recent = sent.at.is_some_and(|at| now.since(at) < AGAIN);
        if is_there && (!is_adrift || is_recent) {
            return None;
        }
        self.number += 1;
        Some(Letter { number: self.number, ..letter })
    }

    /// It is in the vault. True: it asks its reader for the first time for a sign of life.
    pub fn landed(&mut self, to: &InstanceId, letter: Letter, now: Instant) -> bool {
        let sent = self.sent.entry(to.clone()).or_default();
        let is_first = sent.letter.as_ref().is_none_or(|sent| sent.knock != letter.knock);
        (sent.letter, sent.at) = (Some(letter), Some(now));
        is_first
    }

    /// It may be in the vault, or come there later.
    pub fn went_adrift(&mut self, to: &InstanceId, now: Instant) {
        let sent = self.sent.entry(to.clone()).or_default();
        (sent.letter, sent.adrift_until) = (None, Some(now + ADRIFT));
    }

    pub fn read(&mut self, from: &InstanceId, letter: &Letter) -> LetterReading {
        match self.read.get(from) {
            Some(read) if letter.number < read.number => LetterReading::Stale,
            Some(read) if read == letter => LetterReading::Known,
            _ => {
                self.read.insert(from.clone(), letter.clone());
                LetterReading::New
            }
        }
    }

    /// Asks for a sign of life with the next letter.
    pub fn knock(&mut self, at: &InstanceId) {
        *self.knocks.entry(at.clone()).or_insert(1) += 1;
    }

    /// The last knock was heard.
    pub fn is_heard(&self, letter: &Letter, from: &InstanceId) -> bool {
        self.knocks.get(from).is_some_and(|knock| letter.heard == *knock)
    }

    /// Of one that is dead. Should it live after all, it is written to anew, and answers.
    pub fn bury(&mut self, id: &InstanceId) {
        if self.sent.remove(id).is_some() {
            self.knock(id);
        }
    }

    /// To whom letters were written.
    pub fn readers(&self) -> Vec<InstanceId> {
        self.sent.keys().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(s: u64) -> Instant {
        Instant::from_start(Duration::from_secs(s))
    }

    #[test]
    fn a_letter_that_lands_after_its_successor_says_nothing() {
        let (a, b) = (InstanceId("a".into()), InstanceId("b".into()));
        let (mut post, mut reader) = (Post::default(), Post::default());
        let first = post.due(&b, Letter { draining: true, ..Letter::default() }, at(0)).unwrap();
        post.went_adrift(&b, at(0));
        let second = post.due(&b, Letter::default(), at(1)).unwrap();
        assert!(post.landed(&b, second.clone(), at(1)));
        assert_eq!(reader.read(&a, &second), LetterReading::New);
        assert_eq!(reader.read(&a, &second), LetterReading::Known);
        assert_eq!(reader.read(&a, &first), LetterReading::Stale);
        // The older one may stand there now: the newest is written again, until it cannot be.
        assert_eq!(post.due(&b, Letter::default(), at(5)), None);
        let again = post.due(&b, Letter::default(), at(6)).unwrap();
        assert!(again.number > second.number);
        assert!(!post.landed(&b, again, at(6)), "it asks nothing new");
        assert_eq!(post.due(&b, Letter::default(), at(31)), None);
    }

    #[test]
    fn a_knock_is_answered_once() {
        let (a, b) = (InstanceId("a".into()), InstanceId("b".into()));
        let (mut post, mut other) = (Post::default(), Post::default());
        for round in 0..2 {
            let knock = post.due(&b, Letter::default(), at(round)).expect("it knocks");
            assert!(post.landed(&b, knock.clone(), at(round)));
            other.read(&a, &knock);
            let answer = other.due(&a, Letter::default(), at(round)).expect("an answer");
            other.landed(&a, answer.clone(), at(round));
            assert_eq!(post.read(&b, &answer), LetterReading::New);
            assert!(post.is_heard(&answer, &b));
            if round == 0 {
                // It knocked, too.
                let heard = post.due(&b, Letter::default(), at(round)).expect("its knock is answered");
                post.landed(&b, heard.clone(), at(round));
                other.read(&a, &heard);
            }
            assert_eq!(
                (post.due(&b, Letter::default(), at(round)), other.due(&a, Letter::default(), at(round))),
                (None, None)
            );
            post.knock(&b);
            assert!(!post.is_heard(&answer, &b));
        }
    }
}
