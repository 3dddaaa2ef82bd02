//! Sources that hold many tenants: one after the other comes out, whole or with its error.

use std::cell::RefCell;

use jiff::Timestamp;

use super::{ImportError, ImportLimits, TenantCopy, TimeBudget, encoding::Utf8Reader, json::GuardedReader};

/// Bytes of a tenant's name that are kept. Ids of databases, folders and jids are shorter; names of all tenants are remembered.
const NAME: usize = 1024;

/// A tenant as a source has it.
#[derive(Debug)]
pub struct SourceTenant {
    /// As the source names it; empty where there is one and no name.
    pub name: String,
    /// What the source says of it, where it says anything: connected when it was last seen.
    pub connected: Option<bool>,
    /// When the source says that this copy was written.
    pub saved_at: Option<Timestamp>,
    /// Whose it is, where the source says so beside the copy. Digits.
    pub number: Option<String>,
    pub copy: Result<TenantCopy, ImportError>,
}

impl SourceTenant {
    pub fn new(name: impl Into<String>, copy: Result<TenantCopy, ImportError>) -> Self {
        Self { name: name.into(), connected: None, saved_at: None, number: None, copy }
    }

    /// Whose it is: as the source says, else as the copy does.
    pub fn number(&self) -> Option<&str> {
        self.number.as_deref().or_else(|| self.copy.as_ref().ok().map(TenantCopy::number))
    }
}

/// Where readers of such sources put what they find, in the order of the source. One tenant at a time is in memory.
pub struct TenantSink<'s> {
    limits: ImportLimits,
    found: usize,
    take: &'s mut dyn FnMut(SourceTenant),
}

impl<'s> TenantSink<'s> {
    pub fn new(limits: &ImportLimits, take: &'s mut dyn FnMut(SourceTenant)) -> Self {
        Self { limits: *limits, found: 0, take }
    }

    pub fn limits(&self) -> ImportLimits {
        self.limits
    }

    pub fn found(&self) -> usize {
        self.found
    }

    pub fn put(&mut self, mut tenant: SourceTenant) -> Result<(), ImportError> {
        if self.found == self.limits.tenants {
            return Err(ImportError::TooLarge {
                what: "the source",
                limit: self.limits.tenants as u64,
                unit: "tenants",
            });
        }
        if self.limits.until.is_some() {
            TimeBudget::new(&self.limits).check()?;
        }
        self.found += 1;
        tenant.name.truncate(tenant.name.floor_char_boundary(NAME));
        tenant.name.shrink_to_fit();
        (self.take)(tenant);
        Ok(())
    }
}

/// The same for visitors of a JSON stream: an error that is not the parser's own is kept beside the one that stops the parser.
pub struct StreamSink<'s> {
    sink: RefCell<TenantSink<'s>>,
    failure: RefCell<Option<ImportError>>,
}

impl<'s> StreamSink<'s> {
    pub fn new(limits: &ImportLimits, take: &'s mut dyn FnMut(SourceTenant)) -> Self {
        Self { sink: RefCell::new(TenantSink::new(limits, take)), failure: RefCell::new(None) }
    }

    pub fn limits(&self) -> ImportLimits {
        self.sink.borrow().limits()
    }

    pub fn found(&self) -> usize {
        self.sink.borrow().found()
    }

    pub fn put<E: serde::de::Error>(&self, tenant: SourceTenant) -> Result<(), E> {
        self.put_or(tenant).map_err(|error| {
            *self.failure.borrow_mut() = Some(error);
            E::custom("stopped")
        })
    }

    /// Where no parser has to be stopped.
    pub fn put_or(&self, tenant: SourceTenant) -> Result<(), ImportError> {
        self.sink.borrow_mut().put(tenant)
    }

    /// What the walk came to: the error for which it was stopped, before the parser's.
    pub fn end(&self, walked: Result<(), ImportError>) -> Result<(), ImportError> {
        self.failure.take().map_or(walked, Err)
    }
}

/// Runs a visitor over a JSON stream, within the limits. Its own errors come back as they are; `what` names the source.
pub(super) fn walk<R: std::io::Read, V>(
    source: R,
    what: &'static str,
    limits: &ImportLimits,
    visit: impl FnOnce(
        &mut serde_json::Deserializer<serde_json::de::IoRead<std::io::BufReader<GuardedReader<Utf8Reader<R>>>>>,
    ) -> Result<V, serde_json::Error>,
) -> Result<V, ImportError> {
    // Texts of others lie in the same database: pictures, say, of up to 10 MB in the Realtime Database.
    let longest = limits.entry_bytes.saturating_mul(2);
    let guarded = GuardedReader::new(Utf8Reader::new(source), limits.source_bytes, longest);
    let mut parser = serde_json::Deserializer::from_reader(std::io::BufReader::new(guarded));
    let walked = visit(&mut parser).and_then(|value| parser.end().map(|()| value));
    walked.map_err(|error| match error.io_error_kind() {
        Some(std::io::ErrorKind::FileTooLarge) => {
            ImportError::TooLarge { what, limit: limits.source_bytes, unit: "bytes" }
        }
        Some(_) => ImportError::Io(error.into()),
        None => ImportError::Json { what, line: error.line(), column: error.column() },
    })
}
