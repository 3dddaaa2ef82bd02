//! The pause between pairings that are refused: without one each refusal is a login more. Pure: chance comes from the caller.

use std::time::Duration;

use crate::backoff::Backoff;

/// The longest of them: somebody may be about to scan.
const MAX_PAIRING_PAUSE: Duration = Duration::from_secs(15);

/// The pause after so many pairings in a row that came to nothing. None after the first: somebody has just scanned, and sees the next
/// code.
pub(super) fn pairing_pause(failed: u32, first: Duration, chance: f64) -> Option<Duration> {
    let again = failed.checked_sub(2)?;
    Some(Backoff::new(first, MAX_PAIRING_PAUSE).spread(again, chance))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairings_that_fail_in_a_row_come_slower_and_never_slowly() {
        let pause = |failed| pairing_pause(failed, Duration::from_secs(1), 0.0);
        assert_eq!([0, 1].map(pause), [None, None]);
        assert_eq!([2, 3, 5].map(pause), [1, 2, 8].map(|seconds| Some(Duration::from_secs(seconds))));
        assert_eq!([6, 40, u32::MAX].map(pause), [Some(MAX_PAIRING_PAUSE); 3]);
        assert_eq!(pairing_pause(40, Duration::from_secs(1), 1.0), Some(MAX_PAIRING_PAUSE / 2));
    }
}
