//! How long the reading of one tenant may take.
//!
//! Owns [`TimeBudget`]. Sizes bound most of the work; a database does not keep to them: one query over tables without an index may scan
//! what it never returns. So every reader has an end in time as well, and SQLite is interrupted within a query.

use std::time::{Duration, Instant};

use super::{ImportError, ImportLimits};

/// Begins when it is made. Cheap to copy.
#[derive(Debug, Clone, Copy)]
pub struct TimeBudget {
    until: Instant,
    limit: Duration,
}

impl TimeBudget {
    pub fn new(limits: &ImportLimits) -> Self {
        let until = Instant::now() + limits.tenant_time;
        Self { until: limits.until.map_or(until, |end| end.min(until)), limit: limits.tenant_time }
    }

    pub fn is_spent(&self) -> bool {
        Instant::now() >= self.until
    }

    pub fn check(&self) -> Result<(), ImportError> {
        if self.is_spent() { Err(ImportError::TooSlow { seconds: self.limit.as_secs() }) } else { Ok(()) }
    }
}
