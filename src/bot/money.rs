//! Money: a whole number of a currency's smallest unit. Owns arithmetic and display; never a floating-point number,
//! never parsed from what a customer writes.

use std::fmt;

use serde::{Deserialize, Serialize};

/// An amount in the smallest unit that prices of its currency are written in (a peso in Colombia, a cent elsewhere).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Money(u64);

/// The largest amount that a menu may name. Sums of a whole basket stay far below `u64::MAX`.
const MAX_AMOUNT: u64 = 1_000_000_000_000;

impl Money {
    pub const ZERO: Self = Self(0);

    pub const fn new(amount: u64) -> Self {
        Self(amount)
    }

    pub const fn amount(self) -> u64 {
        self.0
    }

    /// Larger amounts are typing mistakes.
    pub const fn is_plausible(self) -> bool {
        self.0 <= MAX_AMOUNT
    }

    pub fn times(self, quantity: u32) -> Option<Self> {
        self.0.checked_mul(u64::from(quantity)).map(Self)
    }

    pub fn plus(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).map(Self)
    }
}

/// With dots between thousands, as Colombia writes: `$ 38.000`.
impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.0.to_string();
        f.write_str("$ ")?;
        for (index, digit) in digits.chars().enumerate() {
            if index > 0 && (digits.len() - index).is_multiple_of(3) {
                f.write_str(".")?;
            }
            write!(f, "{digit}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Money;

    #[test]
    fn thousands_have_dots() {
        let shown = |amount| Money::new(amount).to_string();
        assert_eq!(
            ["$ 0", "$ 500", "$ 38.000", "$ 1.250.000"].map(str::to_owned),
            [0, 500, 38_000, 1_250_000].map(shown)
        );
    }

    #[test]
    fn a_sum_that_does_not_fit_is_refused() {
        assert_eq!(Money::new(u64::MAX).times(2), None);
        assert_eq!(Money::new(u64::MAX).plus(Money::new(1)), None);
    }
}
