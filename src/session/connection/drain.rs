//! The offline queue of one login, which is what WhatsApp has kept meanwhile: whether all of it has come. Pure.
//!
//! The library calls it over a minute after the login, whatever still comes (whatsapp-rust 0.7.0, `client/sessions.rs`), and from then on
//! asks for no more of it (`client/offline_resume.rs`). What is still to come may be the owner's word about what has come. So it is over
//! when WhatsApp says so, or when nothing has come for long.

use std::time::Duration;

use tokio::time::Instant;

/// From the login, from WhatsApp's word of how much it has, and from the last sign of it.
const PATIENCE: Duration = Duration::from_secs(60);

/// As [`PATIENCE`], where the library asks for no more: the messages that it had asked for come within this time.
const REST_PATIENCE: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub struct Drain {
    /// The login, or WhatsApp's word of how much it has.
    began: Instant,
    /// So many stanzas.
    announced: Option<i32>,
    /// WhatsApp has said that this was all.
    has_ended: bool,
    /// When the library stopped to wait.
    left: Option<Instant>,
}

/// The judgement on an offline queue that is not over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    GoesOn,
    /// The rest needs another login.
    Stands,
    /// It is taken for over.
    TooLong,
}

impl Drain {
    pub fn new(now: Instant) -> Self {
        Self { began: now, announced: None, has_ended: false, left: None }
    }

    /// There is a login.
    pub fn begin(&mut self, now: Instant) {
        self.began = now;
    }

    pub fn announce(&mut self, total: i32, now: Instant) {
        (self.began, self.announced) = (now, Some(total));
    }

    pub fn has_begun(&self) -> bool {
        self.announced.is_some()
    }

    /// WhatsApp says that this was all. True: nobody else will say so.
    pub fn end(&mut self) -> bool {
        self.has_ended = true;
        self.left.take().is_some()
    }

    /// The library calls it over, after so many stanzas. True: it is not, the library only waits no longer.
    pub fn left_by_library(&mut self, count: i32, now: Instant) -> bool {
        let is_all = self.has_ended || self.announced.is_none_or(|total| count >= total);
        self.left = (!is_all).then_some(now);
        !is_all
    }

    /// `last`: the last sign of it.
    pub fn look(&self, last: Instant, now: Instant) -> Look {
        let since = |at: Instant| now.saturating_duration_since(last.max(at));
        match self.left {
            _ if since(self.began) > PATIENCE => Look::TooLong,
            Some(left) if since(left) > REST_PATIENCE => Look::Stands,
            _ => Look::GoesOn,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(start: Instant, seconds: u64) -> Instant {
        start + Duration::from_secs(seconds)
    }

    /// Logged in, and told of a queue, after a second.
    fn begun() -> (Instant, Drain) {
        let start = Instant::now();
        let mut drain = Drain::new(start);
        drain.begin(at(start, 1));
        drain.announce(400, at(start, 1));
        (start, drain)
    }

    #[test]
    fn it_goes_on_for_as_long_as_it_comes() {
        let (start, mut drain) = begun();
        let look = |drain: &Drain, last: u64, now: u64| drain.look(at(start, last), at(start, now));
        assert_eq!(look(&drain, 0, 60), Look::GoesOn, "a minute from WhatsApp's word");
        assert_eq!(look(&drain, 0, 62), Look::TooLong);
        assert_eq!(look(&drain, 59, 118), Look::GoesOn, "it still comes");
        assert_eq!(look(&drain, 59, 120), Look::TooLong);
        // The library gives up after a minute, and is not believed.
        assert!(drain.left_by_library(300, at(start, 61)));
        assert_eq!(look(&drain, 59, 70), Look::GoesOn, "what it had asked for comes");
        assert_eq!(look(&drain, 59, 72), Look::Stands, "nobody asks for the rest");
        assert_eq!(look(&drain, 75, 84), Look::GoesOn);
        assert_eq!(look(&drain, 75, 136), Look::TooLong);
        assert!(drain.end(), "the library has said it already");
        assert!(!drain.end());
    }

    #[test]
    fn whatsapps_word_for_the_end_counts() {
        let (start, mut drain) = begun();
        assert!(!drain.end(), "the library says it when all of it is kept");
        assert!(!drain.left_by_library(0, at(start, 2)), "whatever it has counted");
        let (start, mut drain) = begun();
        assert!(!drain.left_by_library(400, at(start, 61)), "all of it has come");
        // Without a word of how much there is nothing says that more comes.
        let mut silent = Drain::new(start);
        assert!(!silent.has_begun() && !silent.left_by_library(0, at(start, 61)));
    }
}
