//! Handovers over thousands of schedules, each made of a seed: owners and joiners whose letters are late, that are killed and stopped, and
//! that disagree about who lives.
//!
//! The vault is reduced to what counts: who took over last, and how far each owner had written. Checked is that whoever serves and is not
//! fenced is the last who took over; that a tenant that was given changes hands without two serving it; that an owner that lives and
//! answers is never taken from; and that in the end, when all is quiet, every tenant that is offered is served by a process that stays.
//!
//! `CLUSTER_SEED=n` replays one schedule; `CLUSTER_SCHEDULES=n` runs another number of them.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::Duration,
};

use rand::{Rng, SeedableRng, rngs::SmallRng};

use super::{Giver, Joiner, Letter, Move, Verdict, should_own};
use crate::{
    clock::Instant,
    tenant::TenantId,
    vault::{InstanceId, Seq},
};

const STEP: Duration = Duration::from_millis(50);

/// One process.
struct Process {
    id: InstanceId,
    is_leaving: bool,
    is_dead: bool,
    /// Does nothing before then.
    stopped_until: Instant,
    joiner: Joiner,
    giver: Giver,
    /// Tenants that it serves, as it believes.
    serves: BTreeSet<TenantId>,
    /// Tenants that it is letting go of or reading, and when that is done.
    work: Vec<(Instant, Work)>,
    read: HashMap<InstanceId, Letter>,
    /// On its screen is a code.
    pairing: BTreeSet<TenantId>,
}

enum Work {
    Give { by: InstanceId, ask: super::Ask },
    Prepare(TenantId),
    Take { tenant: TenantId, from: InstanceId, last: Option<Seq> },
}

struct World {
    now: Instant,
    rng: SmallRng,
    processes: Vec<Process>,
    /// The letter of each to each that can be read, and the one that is on its way: the next is not written before it is there.
    letters: BTreeMap<(usize, usize), (Letter, Option<(Instant, Letter)>)>,
    owners: BTreeMap<TenantId, (u64, usize)>,
    /// Longest time that a letter takes.
    delay: Duration,
    /// Nobody is stopped, and letters are quick: then nobody is taken from.
    is_calm: bool,
    problems: Vec<String>,
}

fn tenant(n: usize) -> TenantId {
    format!("tenant-{n}").parse().unwrap()
}

impl World {
    fn new(seed: u64) -> Self {
        let mut rng = SmallRng::seed_from_u64(seed);
        let count = rng.random_range(2..=4);
        let is_calm = rng.random_bool(0.4);
        let most = if is_calm { 250 } else { 4000 };
        let delay = Duration::from_millis(rng.random_range(50..=most));
        let mut world = Self {
            now: Instant::from_start(Duration::from_secs(1)),
            rng,
            processes: Vec::new(),
            letters: BTreeMap::new(),
            owners: BTreeMap::new(),
            delay,
            is_calm,
            problems: Vec::new(),
        };
        for n in 0..count {
            world.processes.push(Process {
                id: InstanceId(format!("process-{n}").into()),
                is_leaving: false,
                is_dead: false,
                stopped_until: world.now,
                joiner: Joiner::default(),
                giver: Giver::default(),
                serves: BTreeSet::new(),
                work: Vec::new(),
                read: HashMap::new(),
                pairing: BTreeSet::new(),
            });
        }
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

    /// As each of them sees it: some are wrong for a while.
    fn staying(&mut self, but: usize) -> Vec<InstanceId> {
        let mut staying = Vec::new();
        for (n, process) in self.processes.iter().enumerate() {
            let seems_alive = !process.is_dead || (!self.is_calm && self.rng.random_bool(0.05));
            if n != but && seems_alive && !process.is_leaving {
                staying.push(process.id.clone());
            }
        }
        staying
    }

    fn turn(&mut self, n: usize) {
        let now = self.now;
        if self.processes[n].is_dead || self.processes[n].stopped_until > now {
            return;
        }
        let staying = self.staying(n);
        for from in 0..self.processes.len() {
            if let Some((there, _)) = self.letters.get(&(from, n)) {
                let (id, letter) = (self.processes[from].id.clone(), there.clone());
                self.read(n, &id, letter);
            }
            if self.processes[from].is_dead && self.rng.random_bool(0.1) {
                let id = self.processes[from].id.clone();
                self.processes[n].joiner.gone(&id);
            }
        }
        let (due, later) = std::mem::take(&mut self.processes[n].work).into_iter().partition(|(at, _)| *at <= now);
        self.processes[n].work = later;
        for (_, work) in due {
            self.work(n, work);
        }
        for step in self.processes[n].joiner.moves(now) {
            let work = match step {
                Move::Prepare(tenant) => Work::Prepare(tenant),
                Move::Take { tenant, from, last } => Work::Take { tenant, from, last },
            };
            self.later(n, work, 400);
        }
        // Whoever was taken from learns it at its next word to the vault.
        let fenced = |tenant: &TenantId| self.owners[tenant].1 != n;
        let lost: Vec<_> = self.processes[n].serves.iter().filter(|tenant| fenced(tenant)).cloned().collect();
        self.processes[n].serves.retain(|tenant| !lost.contains(tenant));
        self.write(n, &staying);
    }

    fn read(&mut self, n: usize, from: &InstanceId, letter: Letter) {
        let now = self.now;
        let process = &mut self.processes[n];
        if process.read.insert(from.clone(), letter.clone()).as_ref() != Some(&letter) {
            process.joiner.heard(from, now);
        }
        let offers: Vec<_> = letter.offers.into_iter().filter(|tenant| !process.serves.contains(tenant)).collect();
        if !process.is_leaving {
            process.joiner.offered(from, offers, now);
        }
        process.joiner.answered(from, &letter.answers, now);
        for ask in process.giver.asked(from, &letter.asks) {
            let by = from.clone();
            self.later(n, Work::Give { by, ask }, 700);
        }
    }

    fn later(&mut self, n: usize, work: Work, most: u64) {
        let at = self.now + Duration::from_millis(self.rng.random_range(0..most));
        self.processes[n].work.push((at, work));
    }

    fn work(&mut self, n: usize, work: Work) {
        let now = self.now;
        match work {
            Work::Prepare(tenant) => self.processes[n].joiner.prepared(&tenant, now),
            Work::Give { by, ask } => {
                let process = &mut self.processes[n];
                let verdict = match process.pairing.contains(&ask.tenant) || !process.is_leaving {
                    true => Verdict::Kept,
                    false if process.serves.remove(&ask.tenant) => Verdict::given(Seq(self.owners[&ask.tenant].0)),
                    false => Verdict::Kept,
                };
                process.giver.answer(&by, &ask, verdict);
            }
            Work::Take { tenant, from, last } => {
                let (epoch, owner) = self.owners[&tenant];
                let victim = &self.processes[owner];
                // The one that does not answer may have given it to another before: whoever takes looks at the vault.
                if last.is_none() && victim.id != from && !victim.is_dead {
                    return self.processes[n].joiner.taken(&tenant);
                }
                let lives = !victim.is_dead && victim.stopped_until <= now && victim.serves.contains(&tenant);
                if last.is_some() && lives && victim.id == from {
                    self.problems.push(format!("{tenant:?} was given and is still served"));
                }
                if self.is_calm && lives && owner != n {
                    self.problems.push(format!("{tenant:?} is taken from a process that lives and answers"));
                }
                self.owners.insert(tenant.clone(), (epoch + 1, n));
                self.processes[n].serves.insert(tenant.clone());
                self.processes[n].joiner.taken(&tenant);
            }
        }
    }

    fn write(&mut self, n: usize, staying: &[InstanceId]) {
        for to in 0..self.processes.len() {
            let process = &self.processes[n];
            let peer = &self.processes[to].id;
            let is_theirs =
                |tenant: &&TenantId| !process.pairing.contains(*tenant) && should_own(tenant, staying) == Some(peer);
            let offers = process.serves.iter().filter(is_theirs).cloned();
            let letter = Letter {
                draining: process.is_leaving,
                stopped: false,
                offers: if process.is_leaving { offers.collect() } else { Vec::new() },
                asks: process.joiner.asks_of(peer),
                answers: process.giver.answers_to(peer),
            };
            let (there, on_its_way) = self.letters.entry((n, to)).or_default();
            if n != to && on_its_way.is_none() && *there != letter {
                let most = u64::try_from(self.delay.as_millis()).unwrap();
                let late = if !self.is_calm && self.rng.random_bool(0.05) { 3000 } else { 0 };
                let at = self.now + Duration::from_millis(self.rng.random_range(0..most) + late);
                *on_its_way = Some((at, letter));
            }
        }
    }

    /// What has come there can be read, whatever has become of its sender.
    fn deliver(&mut self) {
        for (there, on_its_way) in self.letters.values_mut() {
            if let Some((_, letter)) = on_its_way.take_if(|(at, _)| *at <= self.now) {
                *there = letter;
            }
        }
    }

    fn trouble(&mut self) {
        let n = self.rng.random_range(0..self.processes.len());
        let others = self.processes.iter().enumerate().any(|(m, other)| m != n && !other.is_dead && !other.is_leaving);
        match self.rng.random_range(0..400) {
            0..=7 if others => self.processes[n].is_leaving = true,
            8..=9 if others && !self.is_calm => self.processes[n].is_dead = true,
            10..=14 if !self.is_calm => {
                let span = Duration::from_millis(self.rng.random_range(0..8000));
                self.processes[n].stopped_until = self.now + span;
            }
            15..=40 => self.processes[n].pairing.clear(),
            _ => {}
        }
    }

    fn check(&mut self) {
        for (tenant, (_, owner)) in &self.owners {
            let serving = self.processes.iter().filter(|process| !process.is_dead && process.serves.contains(tenant));
            let serving: Vec<_> = serving.map(|process| process.id.clone()).collect();
            // Fenced ones that have not noticed cannot write; in calm there are none.
            if self.is_calm && serving.len() > 1 {
                self.problems.push(format!("{tenant:?} is served by {serving:?}, owned by {owner}"));
            }
        }
    }
}

fn schedule(seed: u64) -> Vec<String> {
    let mut world = World::new(seed);
    for _ in 0..400 {
        world.now = world.now + STEP;
        world.trouble();
        world.deliver();
        (0..world.processes.len()).for_each(|n| world.turn(n));
        world.check();
    }
    // Quiet: whoever is stopped goes on, and what is on a screen is over.
    (world.is_calm, world.delay) = (false, Duration::from_millis(50));
    world.processes.iter_mut().for_each(|process| process.pairing.clear());
    for _ in 0..1200 {
        world.now = world.now + STEP;
        world.deliver();
        (0..world.processes.len()).for_each(|n| world.turn(n));
    }
    let stays = |n: usize| !world.processes[n].is_dead && !world.processes[n].is_leaving;
    // One that was given to a process that died then is nobody's until its former owner has stopped: the fleet takes it back.
    let stuck = world.owners.iter().filter(|(tenant, (_, owner))| {
        let owner = &world.processes[*owner];
        owner.is_leaving && !owner.is_dead && owner.serves.contains(*tenant) && (0..world.processes.len()).any(stays)
    });
    let stuck: Vec<_> = stuck.map(|(tenant, _)| format!("{tenant:?} stays with a process that leaves")).collect();
    world.problems.extend(stuck);
    world.problems
}

#[test]
fn every_schedule_is_polite() {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().expect(name));
    let seeds = match number("CLUSTER_SEED") {
        Some(seed) => seed..=seed,
        None => 1..=number("CLUSTER_SCHEDULES").unwrap_or(120),
    };
    for seed in seeds {
        let problems = schedule(seed);
        assert!(problems.is_empty(), "replay with CLUSTER_SEED={seed}: {problems:#?}");
    }
}
