//! Handovers over thousands of schedules, each made of a seed: processes that start, restart, are told to stop, are killed and are
//! stopped for a while, whose letters are late, come in another order than they were written in or never, and whose wall clocks jump.
//!
//! The vault is reduced to what counts: who took a tenant over last, records, and letters. What `fleet::handover`, `fleet::letters` and
//! `fleet::takeback` do around the pure parts is repeated here in few words. Checked is that whoever serves and is not fenced is the last
//! who took over; that a tenant that was given changes hands without two serving it; that in calm an owner that lives is never taken
//! from; and that in the end, when all is quiet, **every** tenant is served by a process that lives and stays, whoever had it before.
//!
//! `CLUSTER_SEED=n` replays one schedule; `CLUSTER_SCHEDULES=n` runs another number of them.

mod letters;
mod process;
mod turn;
mod world;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    time::Duration,
};

use rand::rngs::SmallRng;

use super::{Giver, HandoverAsk, Joiner, Letter, Peers, Post};
use crate::{
    clock::Instant,
    tenant::TenantId,
    vault::{InstanceId, Seq},
};

const STEP: Duration = Duration::from_millis(50);
const ANNOUNCE: Duration = Duration::from_secs(30);
const GLANCE: Duration = Duration::from_secs(1);
/// A process that was told to stop gives for so long, and then closes the rest.
const GRACE: Duration = Duration::from_secs(40);
/// One that is written and not confirmed for so long is written again.
const VAULT_TIMEOUT: Duration = Duration::from_secs(5);
/// Glances at a tenant that another one should have taken.
const PASSES: u32 = 30;
/// Processes of one schedule, one after the other.
const MOST: usize = 8;

/// One process.
struct SimulatedProcess {
    id: InstanceId,
    /// Killed, or ended.
    is_over: bool,
    /// It knows who lives, and has taken up what is its own.
    is_open: bool,
    started_at: Instant,
    leaving_since: Option<Instant>,
    /// What it still had is closed then.
    closed_at: Option<Instant>,
    /// Does nothing before then.
    stopped_until: Instant,
    peers: Peers,
    joiner: Joiner,
    giver: Giver,
    post: Post,
    /// Tenants that it serves, as it believes.
    serves: BTreeSet<TenantId>,
    /// Tenants that it has let go of, and to whom.
    let_go: BTreeMap<TenantId, InstanceId>,
    giving: HashSet<TenantId>,
    /// What it is at, and when that is done.
    work: Vec<(Instant, Work)>,
    /// On its screen is a code.
    pairing: BTreeSet<TenantId>,
    passes: HashMap<TenantId, u32>,
    read_at: Instant,
    round_began: Option<Instant>,
    looked_at: Instant,
    met_at: Instant,
    glanced_at: Instant,
    /// Letters whose writing is not confirmed yet: when it will be, or will have failed.
    puts: Vec<(Instant, InstanceId, Letter, bool)>,
    /// The takings that it knew of at its last word to the vault.
    known_takings: u64,
}

enum Work {
    Give {
        by: InstanceId,
        ask: HandoverAsk,
    },
    Prepare(TenantId),
    Take {
        tenant: TenantId,
        from: InstanceId,
        last: Option<Seq>,
    },
    /// Its owner is dead.
    TakeUp(TenantId),
}

struct ScheduleWorld {
    now: Instant,
    rng: SmallRng,
    processes: Vec<SimulatedProcess>,
    /// Records, with the number of their last announcement, and whether they say that the process is about to stop.
    records: BTreeMap<usize, (i64, bool)>,
    /// The letter of each to each that can be read.
    letters: BTreeMap<(usize, usize), Letter>,
    in_flight: Vec<(Instant, usize, usize, Letter)>,
    owners: BTreeMap<TenantId, (u64, usize)>,
    /// Longest time that a letter takes.
    delay: Duration,
    /// Nobody is stopped, and letters are quick: then nobody is taken from.
    is_calm: bool,
    /// For how many steps nobody has served a tenant, although somebody who stays is there.
    gaps: BTreeMap<TenantId, u32>,
    worst_gap: Duration,
    /// Only where somebody asks for them: they are most of a schedule's work.
    measures_gaps: bool,
    /// Tenants that were taken, ever: while nothing is taken nobody can lose anything.
    takings: u64,
    checked_takings: u64,
    /// The vault answers nobody before then.
    cut_until: Instant,
    problems: Vec<String>,
}

fn tenant(n: usize) -> TenantId {
    format!("tenant-{n}").parse().unwrap()
}

const fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// New up, then SIGTERM to the old.
#[test]
fn in_a_deploy_each_tenant_waits_a_moment() {
    let mut world = ScheduleWorld::quiet(1, 200);
    world.start();
    world.until(seconds(6), "the new one to hear of the old one", |world| world.processes[1].is_open);
    assert_eq!(world.served_by(0), 200, "it leaves them where they are");
    world.tell_to_stop(0);
    let began = world.now;
    world.until(seconds(35), "the old one to end", |world| world.processes[0].is_over);
    println!(
        "200 tenants in {:?}, each without a session for {:?} at the most",
        world.now.since(began),
        world.worst_gap
    );
    world.run(seconds(1));
    world.assert_served_by(1, Duration::from_millis(1500));
}

/// The whole fleet is one process, and its platform starts it again, elsewhere: the record of the killed one is still there.
#[test]
fn a_process_that_is_killed_holds_its_successor_up_for_seconds() {
    let mut world = ScheduleWorld::quiet(1, 50);
    world.processes[0].is_over = true;
    world.run(seconds(1));
    world.start();
    world.run(seconds(10));
    assert_eq!(world.served_by(1), 50);
    assert!(world.problems.is_empty());
}

/// The new one is killed while it takes, and starts again. The old one learns of it, and gives the rest to the second.
#[test]
fn a_joiner_that_is_killed_and_restarted_gets_everything() {
    let mut world = ScheduleWorld::quiet(1, 200);
    world.start();
    world.until(seconds(6), "the new one to open", |world| world.processes[1].is_open);
    world.tell_to_stop(0);
    world.until(seconds(10), "some to be given", |world| world.served_by(1) > 20);
    world.processes[1].is_over = true;
    world.run(seconds(1));
    world.start();
    world.until(seconds(60), "the old one to end", |world| world.processes[0].is_over);
    world.run(seconds(2));
    world.assert_served_by(2, seconds(15));
}

/// The new one is killed, and nobody else is there: the old one does not wait for it until its time is over.
#[test]
fn an_owner_does_not_wait_for_a_dead_joiner() {
    let mut world = ScheduleWorld::quiet(2, 200);
    world.tell_to_stop(0);
    world.until(seconds(10), "some to be given", |world| world.served_by(1) > 20);
    world.processes[1].is_over = true;
    world.until(seconds(16), "the old one to end", |world| world.processes[0].is_over);
}

/// SIGTERM to the joiner as well, while a third one stays: what it was given and has not taken is the third one's.
#[test]
fn a_joiner_that_is_told_to_stop_loses_nothing() {
    let mut world = ScheduleWorld::quiet(3, 200);
    world.tell_to_stop(0);
    world.until(seconds(10), "some to be given", |world| world.served_by(1) > 20);
    world.tell_to_stop(1);
    world.until(seconds(35), "both to end", |world| world.processes[..2].iter().all(|process| process.is_over));
    world.run(seconds(2));
    world.assert_served_by(2, seconds(6));
}

/// Nobody is silent who could not be heard.
#[test]
fn a_vault_that_is_away_in_a_deploy_makes_nobody_take_from_the_living() {
    let mut world = ScheduleWorld::quiet(2, 200);
    world.tell_to_stop(0);
    world.until(seconds(10), "some to be given", |world| world.served_by(1) > 20);
    world.cut_until = world.now + seconds(9);
    world.until(seconds(60), "the old one to end", |world| world.processes[0].is_over);
    world.run(seconds(2));
    world.assert_served_by(1, seconds(12));
}

fn schedule(seed: u64) -> Vec<String> {
    let mut world = ScheduleWorld::new(seed);
    for _ in 0..600 {
        world.trouble();
        world.step();
    }
    // Quiet: whoever is stopped goes on, what is on a screen is over, and somebody is there.
    world.delay = Duration::from_millis(50);
    world.processes.iter_mut().for_each(|process| process.pairing.clear());
    if world.processes.iter().all(|process| process.is_over || process.is_leaving()) {
        world.start();
    }
    world.is_calm = false;
    for _ in 0..6000 {
        world.step();
    }
    for (tenant, (_, owner)) in &world.owners {
        let process = &world.processes[*owner];
        if process.is_over || process.is_leaving() || !process.serves.contains(tenant) {
            let state = (process.is_over, process.is_leaving(), process.serves.contains(tenant));
            world
                .problems
                .push(format!("{tenant:?} is nobody's: its last owner {owner} (over, leaving, serves) is {state:?}"));
        }
    }
    world.problems
}

#[test]
fn every_schedule_is_polite_and_ends_with_every_tenant_served() {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().expect(name));
    let seeds = match number("CLUSTER_SEED") {
        Some(seed) => seed..=seed,
        None => 1..=number("CLUSTER_SCHEDULES").unwrap_or(600),
    };
    for seed in seeds {
        let problems = schedule(seed);
        assert!(problems.is_empty(), "replay with CLUSTER_SEED={seed}: {problems:#?}");
    }
}
