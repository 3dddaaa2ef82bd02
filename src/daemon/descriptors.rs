//! How many file descriptors there are, and who may have how many.
//!
//! A process without a free one can neither dial nor open a file, and whoever takes the last one decides who suffers. So the limit is
//! raised as far as the system allows, and then divided: a fixed part for the process itself, its vault and files on their way; some
//! for working copies, requests to webhooks and media hosts, and callers; the rest are lines to WhatsApp, one a tenant. Tenants
//! beyond that wait, visibly, and lose nothing: WhatsApp keeps their messages.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tracing::{info, warn};

/// The runtime, the listener, logs, the vault, names that are looked up, files on their way.
const PROCESS: u64 = 64;

/// More are of no use to one process; some systems have no limit at all.
const MOST: u64 = 1 << 20;

/// The division.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Descriptors {
    pub limit: u64,
    /// Working copies that are open at the same time. Each tenant has one, closed while it is idle.
    pub files: usize,
    /// Requests to webhooks and to hosts of files.
    pub requests: usize,
    /// Connections of callers.
    pub callers: usize,
    /// Lines to WhatsApp: tenants.
    pub lines: usize,
}

impl Descriptors {
    /// Descriptors that no connection of a caller may take: a number so high says that somebody has more than this table gives.
    pub fn reserve(&self) -> u64 {
        self.limit.saturating_sub(PROCESS / 2)
    }

    /// Raises the limit, and divides it.
    pub fn claim() -> Self {
        let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
        let wanted = Rlimit { current: Some(maximum.unwrap_or(MOST).min(MOST)), maximum };
        if current.is_some_and(|current| Some(current) < wanted.current)
            && let Err(error) = setrlimit(Resource::Nofile, wanted)
        {
            warn!(event = "descriptor_limit_kept", %error, "the limit of open files was not raised");
        }
        let divided = Self::of(getrlimit(Resource::Nofile).current.unwrap_or(MOST).min(MOST));
        let Self { limit, files, requests, callers, lines } = divided;
        info!(event = "descriptor_limit", limit, tenants = lines, files, requests, callers, "file descriptors");
        divided
    }

    fn of(limit: u64) -> Self {
        let rest = limit.saturating_sub(PROCESS);
        let share = |part: u64, least: u64, most: u64| (rest / part).clamp(least, most);
        let (files, requests, callers) = (share(16, 4, 128), share(16, 4, 320), share(4, 8, 16_384));
        let lines = rest.saturating_sub(files + requests + callers).max(1);
        let count = |count: u64| usize::try_from(count).unwrap_or(usize::MAX);
        Self { limit, files: count(files), requests: count(requests), callers: count(callers), lines: count(lines) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_gets_what_another_needs() {
        for limit in [128, 256, 1024, 4096, 65_536, MOST] {
            let divided @ Descriptors { files, requests, callers, lines, .. } = Descriptors::of(limit);
            assert!(files + requests + callers + lines + PROCESS as usize <= limit as usize, "{divided:?}");
            assert!(lines as u64 >= limit / 4, "{divided:?}");
        }
        assert!(Descriptors::of(1024).lines >= 520, "{:?}", Descriptors::of(1024));
        assert!(Descriptors::of(0).lines > 0);
    }
}
