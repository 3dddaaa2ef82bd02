//! The world of a schedule: makes processes and tenants of a seed, moves the time, troubles processes, and looks whether the promises hold.

use std::{collections::BTreeMap, time::Duration};

use rand::{Rng, SeedableRng, rngs::SmallRng};

use super::{MOST, STEP, ScheduleWorld, SimulatedProcess, tenant};
use crate::{clock::Instant, tenant::TenantId, vault::InstanceId};

impl ScheduleWorld {
    pub(super) fn new(seed: u64) -> Self {
        let mut rng = SmallRng::seed_from_u64(seed);
        let count = rng.random_range(1..=4);
        let is_calm = rng.random_bool(0.4);
        let most = if is_calm { 250 } else { 4000 };
        let delay = Duration::from_millis(rng.random_range(50..=most));
        let now = Instant::from_start(Duration::from_secs(1));
        let mut world = Self {
            now,
            rng,
            processes: Vec::new(),
            records: BTreeMap::new(),
            letters: BTreeMap::new(),
            in_flight: Vec::new(),
            owners: BTreeMap::new(),
            delay,
            is_calm,
            gaps: BTreeMap::new(),
            worst_gap: Duration::ZERO,
            measures_gaps: false,
            takings: 0,
            checked_takings: 0,
            cut_until: now,
            problems: Vec::new(),
        };
        world.begin(count);
        for n in 0..world.rng.random_range(1..60) {
            let owner = world.rng.random_range(0..count);
            world.owners.insert(tenant(n), (1, owner));
            world.processes[owner].serves.insert(tenant(n));
            if world.rng.random_bool(0.1) {
                world.processes[owner].pairing.insert(tenant(n));
            }
        }
        world
    }

    /// The first ones, which know each other.
    fn begin(&mut self, count: usize) {
        (0..count).for_each(|_| self.start());
        for n in 0..count {
            self.meet(n);
            self.processes[n].is_open = true;
        }
    }

    /// In calm, with tenants that the first process serves, and nothing that happens by itself.
    pub(super) fn quiet(count: usize, tenants: usize) -> Self {
        let mut world = Self::new(0);
        let rng = SmallRng::seed_from_u64(1);
        let delay = Duration::from_millis(100);
        world = Self {
            rng,
            delay,
            is_calm: true,
            measures_gaps: true,
            processes: Vec::new(),
            records: BTreeMap::new(),
            ..world
        };
        world.owners = (0..tenants).map(|n| (tenant(n), (1, 0))).collect();
        world.begin(count);
        world.processes[0].serves = world.owners.keys().cloned().collect();
        world.run(Duration::from_secs(20));
        world
    }

    pub(super) fn run(&mut self, span: Duration) {
        let until = self.now + span;
        while self.now < until {
            self.step();
        }
    }

    /// Until it is so; panics when that takes too long.
    pub(super) fn until(&mut self, limit: Duration, what: &str, is_so: impl Fn(&Self) -> bool) {
        let limit = self.now + limit;
        while !is_so(self) {
            let served: Vec<_> = (0..self.processes.len()).map(|n| self.served_by(n)).collect();
            assert!(self.now < limit, "{what}: not within the limit; each serves {served:?}");
            self.step();
        }
    }

    pub(super) fn served_by(&self, n: usize) -> usize {
        self.owners.iter().filter(|(tenant, (_, owner))| *owner == n && self.lives_and_serves(tenant)).count()
    }

    /// All are, and none had no session for so long; nobody was taken from that lives.
    pub(super) fn assert_served_by(&self, n: usize, worst: Duration) {
        assert_eq!(self.served_by(n), self.owners.len());
        assert!(self.worst_gap <= worst, "{:?}", self.worst_gap);
        assert!(self.problems.is_empty(), "{:#?}", self.problems);
    }

    pub(super) fn number(&self, id: &InstanceId) -> usize {
        self.processes.iter().position(|process| process.id == *id).unwrap()
    }

    pub(super) fn start(&mut self) {
        let n = self.processes.len();
        self.processes.push(SimulatedProcess::new(n, self.now));
        self.records.insert(n, (0, false));
        self.meet(n);
    }

    pub(super) fn tell_to_stop(&mut self, n: usize) {
        let process = &mut self.processes[n];
        if process.is_over || process.is_leaving() || !process.is_open {
            return;
        }
        process.leaving_since = Some(self.now);
        process.joiner.leave();
        self.announce(n);
    }

    pub(super) fn trouble(&mut self) {
        let n = self.rng.random_range(0..self.processes.len());
        match self.rng.random_range(0..400) {
            0..=5 => self.tell_to_stop(n),
            6..=7 => self.processes[n].is_over = true,
            8..=12 if !self.is_calm => {
                let span = Duration::from_millis(self.rng.random_range(0..12_000));
                self.processes[n].stopped_until = self.now + span;
            }
            13..=38 => self.processes[n].pairing.clear(),
            39..=44 if self.processes.len() < MOST => self.start(),
            _ => {}
        }
    }

    pub(super) fn lives_and_serves(&self, tenant: &TenantId) -> bool {
        let owner = &self.processes[self.owners[tenant].1];
        !owner.is_over && owner.stopped_until <= self.now && owner.serves.contains(tenant)
    }

    fn check(&mut self) {
        // Fenced ones that have not noticed cannot write; in calm there are none.
        if self.is_calm && self.checked_takings != self.takings {
            self.checked_takings = self.takings;
            for (tenant, (_, owner)) in &self.owners {
                let is_serving = |process: &&SimulatedProcess| !process.is_over && process.serves.contains(tenant);
                let serving: Vec<_> = self.processes.iter().filter(is_serving).map(|process| &process.id).collect();
                if serving.len() > 1 {
                    self.problems.push(format!("{tenant:?} is served by {serving:?}, owned by {owner}"));
                }
            }
        }
        if self.measures_gaps {
            self.measure_gaps();
        }
    }

    fn measure_gaps(&mut self) {
        let is_there = |process: &SimulatedProcess| !process.is_over && process.is_open && !process.is_leaving();
        let is_anybody_there = self.processes.iter().any(is_there);
        for tenant in self.owners.keys() {
            let is_missed = is_anybody_there && !self.lives_and_serves(tenant);
            let gap = self.gaps.entry(tenant.clone()).or_default();
            *gap = if is_missed { *gap + 1 } else { 0 };
            self.worst_gap = self.worst_gap.max(STEP * *gap);
        }
    }

    pub(super) fn step(&mut self) {
        self.now = self.now + STEP;
        self.in_flight.iter_mut().for_each(|(at, ..)| *at = (*at).max(self.cut_until));
        self.deliver();
        (0..self.processes.len()).for_each(|n| self.turn(n));
        self.check();
    }

    /// What has come there can be read, whatever has become of its sender; the last to land stands there, not the last that was written.
    fn deliver(&mut self) {
        let (due, later): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.in_flight).into_iter().partition(|(at, ..)| *at <= self.now);
        self.in_flight = later;
        for (_, from, to, letter) in due {
            self.letters.insert((from, to), letter);
        }
    }
}
