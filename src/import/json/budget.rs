//! What the JSON of one tenant may cost.

use std::cell::Cell;

use crate::import::{ImportError, ImportLimits, TimeBudget};

/// Shared by all texts of a tenant. Whoever spends too much is told by [`JsonBudget::check`]; until then the parser goes on
/// without keeping anything, so that a stream with other tenants behind this one stays readable.
#[derive(Debug)]
pub struct JsonBudget {
    limits: ImportLimits,
    time: TimeBudget,
    bytes: Cell<usize>,
    values: Cell<usize>,
    excess: Cell<Option<JsonExcess>>,
}

/// The bound that was passed first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum JsonExcess {
    Bytes,
    Values,
    Depth,
}

impl JsonBudget {
    pub fn new(limits: &ImportLimits) -> Self {
        let (bytes, values, excess) = Default::default();
        Self { limits: *limits, time: TimeBudget::new(limits), bytes, values, excess }
    }

    pub fn limits(&self) -> &ImportLimits {
        &self.limits
    }

    /// A reader counts what it reads before it parses it.
    pub fn spend_bytes(&self, bytes: usize) {
        self.bytes.set(self.bytes.get().saturating_add(bytes));
        if self.bytes.get() > self.limits.tenant_bytes {
            self.exceed(JsonExcess::Bytes);
        }
    }

    pub(super) fn spend_value(&self) {
        self.values.set(self.values.get().saturating_add(1));
        if self.values.get() > self.limits.values {
            self.exceed(JsonExcess::Values);
        }
    }

    pub(super) fn enter(&self, depth: usize) {
        if depth > self.limits.depth {
            self.exceed(JsonExcess::Depth);
        }
    }

    pub(super) fn is_exceeded(&self) -> bool {
        self.excess.get().is_some()
    }

    pub fn check(&self, what: &'static str) -> Result<(), ImportError> {
        self.time.check()?;
        let (limit, unit) = match self.excess.get() {
            None => return Ok(()),
            Some(JsonExcess::Bytes) => (self.limits.tenant_bytes, "bytes"),
            Some(JsonExcess::Values) => (self.limits.values, "values"),
            Some(JsonExcess::Depth) => (self.limits.depth, "levels of nesting"),
        };
        Err(ImportError::TooLarge { what, limit: limit as u64, unit })
    }

    fn exceed(&self, excess: JsonExcess) {
        if !self.is_exceeded() {
            self.excess.set(Some(excess));
        }
    }
}
