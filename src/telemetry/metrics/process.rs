//! What the kernel says of this process, under the names that all of Prometheus' clients use. Of Linux; elsewhere the lines are missing.

use std::fs;

use jiff::Timestamp;
use rustix::process::{Resource, getrlimit};

use super::{Page, family};

/// Linux counts in these for programs, whatever its own clock does.
const TICKS_PER_SECOND: f64 = 100.0;

pub(super) fn write(page: &mut Page, started_at: Timestamp) {
    page.value(&family::PROCESS_START, started_at.as_millisecond() as f64 / 1e3);
    if let Some(ticks) = cpu_ticks() {
        page.value(&family::PROCESS_CPU, ticks / TICKS_PER_SECOND);
    }
    if let Ok(status) = fs::read_to_string("/proc/self/status") {
        let number = |name: &str| -> Option<f64> {
            status.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next()?.parse().ok())
        };
        for (family, name, unit) in [
            (&family::PROCESS_RESIDENT, "VmRSS:", 1024.0),
            (&family::PROCESS_VIRTUAL, "VmSize:", 1024.0),
            (&family::PROCESS_THREADS, "Threads:", 1.0),
        ] {
            if let Some(value) = number(name) {
                page.value(family, value * unit);
            }
        }
    }
    if let Ok(open) = fs::read_dir("/proc/self/fd") {
        // One is the folder itself.
        page.value(&family::PROCESS_OPEN_FDS, open.count().saturating_sub(1) as f64);
    }
    if let Some(most) = getrlimit(Resource::Nofile).current {
        page.value(&family::PROCESS_MAX_FDS, most as f64);
    }
}

/// Of the program and of the kernel for it.
fn cpu_ticks() -> Option<f64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The name before it may have spaces and parentheses.
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<f64>().ok();
    Some(ticks()? + ticks()?)
}
