//! What a process uses, by `/proc`; and how measurements spread.

use std::{fs, time::Duration};

use anyhow::Context as _;
use serde::Serialize;
use sessiond::demo::Process;

/// The kernel's unit of processor time, for programs: 10 ms on every Linux.
const TICK: Duration = Duration::from_millis(10);

pub struct Gauge(u32);

impl Gauge {
    pub fn of(process: &Process) -> anyhow::Result<Self> {
        Self::of_pid(process.id())
    }

    pub fn of_pid(id: Option<u32>) -> anyhow::Result<Self> {
        Ok(Self(id.context("the process has ended")?))
    }

    /// Resident memory.
    pub fn rss_mib(&self) -> anyhow::Result<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
        let kib: f64 = line.trim().trim_end_matches("kB").trim().parse()?;
        Ok(kib / 1024.0)
    }

    /// Memory that cannot be dropped: anonymous pages, and pages of files that are not written yet.
    pub fn held_mib(&self) -> anyhow::Result<f64> {
        let rollup = fs::read_to_string(format!("/proc/{}/smaps_rollup", self.0))?;
        let kib = |name: &str| -> anyhow::Result<f64> {
            let line = rollup.lines().find_map(|line| line.strip_prefix(name)).context("a field is missing")?;
            Ok(line.trim().trim_end_matches("kB").trim().parse()?)
        };
        // An anonymous page is nearly always a dirty one, too.
        let dirty = kib("Private_Dirty:")? + kib("Shared_Dirty:")?;
        Ok(kib("Anonymous:")?.max(dirty) / 1024.0)
    }

    /// Processor time of all its threads since its start.
    pub fn cpu(&self) -> anyhow::Result<Duration> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.0))?;
        // After the name, which may hold anything, in parentheses; `utime` and `stime` are fields 14 and 15 of proc(5).
        let (_, fields) = stat.rsplit_once(')').context("no name")?;
        let fields: Vec<&str> = fields.split_whitespace().collect();
        let ticks = fields[11].parse::<u32>()? + fields[12].parse::<u32>()?;
        Ok(TICK * ticks)
    }
}

#[derive(Debug, Serialize)]
pub struct Spread {
    pub p50: f64,
    pub p99: f64,
    pub max: f64,
}

impl Spread {
    pub fn of(mut samples: Vec<f64>) -> Self {
        samples.sort_by(f64::total_cmp);
        let at = |share: f64| {
            let place = (samples.len() as f64 * share).ceil() as usize;
            samples.get(place.saturating_sub(1)).copied().unwrap_or(f64::NAN)
        };
        let digits = |figure: f64| (figure * 10.0).round() / 10.0;
        Self { p50: digits(at(0.5)), p99: digits(at(0.99)), max: digits(at(1.0)) }
    }
}
