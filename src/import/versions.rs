//! A tenant that one source has more than once: the newest copy counts.
//!
//! Pure. Owns [`SourceVersions`]: what a first reading saw, by tenant, and what becomes of each copy in a second one. A stale copy that
//! came in would send with counters that were used since, so where the source does not tell the newest none counts.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{ImportError, SourceTenant};

#[derive(Debug, Default)]
pub struct SourceVersions(BTreeMap<String, TenantVersions>);

/// The copies of one tenant, in the source's order.
#[derive(Debug, Default)]
struct TenantVersions {
    saved: Vec<CopyVersion>,
    /// What one of them says is said of the tenant.
    connected: Option<bool>,
    number: Option<String>,
    judged: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum CopyVersion {
    /// A place without credentials is no copy.
    Nothing,
    SavedAt(Option<Timestamp>),
}

impl SourceVersions {
    /// The first reading.
    pub fn note(&mut self, tenant: &SourceTenant) {
        let versions = self.0.entry(tenant.name.clone()).or_default();
        versions.connected = versions.connected.or(tenant.connected);
        versions.number = versions.number.take().or_else(|| tenant.number.clone());
        versions.saved.push(match tenant.copy {
            Err(ImportError::NoCredentials) => CopyVersion::Nothing,
            _ => CopyVersion::SavedAt(tenant.saved_at),
        });
    }

    /// The second reading, in the same order. `None`: nothing is to be said of this one.
    pub fn judge(&mut self, mut tenant: SourceTenant) -> Option<SourceTenant> {
        let Some(versions) = self.0.get_mut(&tenant.name) else { return Some(tenant) };
        let at = versions.judged;
        versions.judged += 1;
        tenant.connected = versions.connected;
        tenant.number.clone_from(&versions.number);
        let is_copy = |version: &CopyVersion| *version != CopyVersion::Nothing;
        if versions.saved.iter().filter(|version| is_copy(version)).count() < 2 {
            let counts = versions.saved.iter().position(is_copy).unwrap_or(0);
            return (at == counts).then_some(tenant);
        }
        match versions.newest() {
            Some(newest) if newest == at => {}
            Some(_) if versions.saved.get(at).is_some_and(is_copy) => tenant.copy = Err(ImportError::OlderCopy),
            // Said once.
            None if at == 0 => tenant.copy = Err(ImportError::TwiceInSource),
            _ => return None,
        }
        Some(tenant)
    }
}

impl TenantVersions {
    /// The copy that is later than every other; `None` where one does not say, or two are of one moment.
    fn newest(&self) -> Option<usize> {
        let times = self.saved.iter().enumerate().filter_map(|(at, version)| match version {
            CopyVersion::Nothing => None,
            CopyVersion::SavedAt(time) => Some((*time, at)),
        });
        let times: Vec<_> = times.collect();
        let (latest, at) = times.iter().max()?;
        let is_told = times.iter().all(|(time, _)| time.is_some());
        (is_told && times.iter().filter(|(time, _)| time == latest).count() == 1).then_some(*at)
    }
}
