//! Several processes on one vault that are told to stop, killed, and cut off from it at any moment: nothing is lost or sent twice, and nobody
//! scans again. `CLUSTER_SEED=n` makes the moments the same again; `CLUSTER_MINUTES=n` makes a storm so long, and `CLUSTER_SCALE=n` its crowd n
//! times as large.

use std::time::{Duration, Instant};

use rand::{Rng, SeedableRng, rngs::SmallRng};
use rustix::process::Signal;
use serde_json::json;
use sessiond::demo::{Conversation, Process, until};

use crate::{
    ownership::handover::{Traffic, scale},
    support::{
        proxy::{self, Mode},
        stage::{Home, LIMIT, Other, Stage},
    },
};

/// The first process, with tenants, and the others, which may be started.
struct Fleet {
    stage: Stage,
    first: Process,
    others: Vec<Other>,
    conversations: Vec<Conversation>,
}

impl Fleet {
    async fn new(home: Home, tenants: usize, others: usize) -> Option<Self> {
        let stage = Stage::new(home).await?.shared();
        Some(Self::on(stage, tenants, others).await)
    }

    async fn on(stage: Stage, tenants: usize, others: usize) -> Self {
        let first = stage.start().await;
        let mut conversations = Vec::new();
        for n in 0..tenants {
            conversations.push(stage.pair(&format!("tenant-{n}")).await);
        }
        let others = (0..others).map(|n| stage.other(&format!("other-{n}"), false)).collect();
        Self { stage, first, others, conversations }
    }

    fn traffic(&mut self) -> Traffic {
        let others = self.others.iter().map(|other| other.dashboard.clone());
        let dashboards = [self.stage.dashboard.clone()].into_iter().chain(others).collect();
        Traffic::start(&self.stage, dashboards, std::mem::take(&mut self.conversations))
    }

    fn logs(&self) -> String {
        let logs: Vec<_> = self.others.iter().map(Other::log).collect();
        format!("{}\n--\n{}", self.stage.log(), logs.join("\n--\n"))
    }
}

/// All are served by this one, and the promises were kept.
async fn assert_all_at(stage: &Stage, owner: &Other, conversations: &[Conversation], logs: impl Fn() -> String) {
    for conversation in conversations {
        let served = || owner.dashboard.is_connected(&conversation.tenant);
        let served = until(LIMIT, "the tenant to be served", served).await;
        served.unwrap_or_else(|e| panic!("{}: {e}\n{}", conversation.tenant, logs()));
    }
    let arrived = || async { stage.tally.count(conversations).await.unwrap().lost == 0 };
    let arrived = until(LIMIT, "everything to arrive", arrived).await;
    arrived.unwrap_or_else(|e| panic!("{e}\n{}", logs()));
    stage.assert_promises(conversations).await;
}

async fn until_taken_over(other: &Other) {
    let begun = || async { other.log().contains("\"taken over\"") };
    until(LIMIT, "the first to be handed over", begun).await.unwrap_or_else(|e| panic!("{e}\n{}", other.log()));
}

fn seed() -> u64 {
    let seed =
        std::env::var("CLUSTER_SEED").map_or_else(|_| rand::random(), |seed| seed.parse().expect("CLUSTER_SEED"));
    println!("CLUSTER_SEED={seed}");
    seed
}

/// The new process dies at a moment of its start, twenty times: the old one goes on as if there were none.
async fn failed_deploys(home: Home) {
    let mut rng = SmallRng::seed_from_u64(seed());
    let Some(mut fleet) = Fleet::new(home, 3, 1).await else { return };
    let traffic = fleet.traffic();
    traffic.until_begun().await;
    let before = fleet.stage.network.stats().await.counts;
    for _ in 0..20 {
        let new = fleet.others[0].setup.spawn().unwrap();
        tokio::time::sleep(Duration::from_millis(rng.random_range(0..2500))).await;
        new.kill().await.unwrap();
    }
    let conversations = traffic.end().await;
    let arrived = || async { fleet.stage.tally.count(&conversations).await.unwrap().lost == 0 };
    until(LIMIT, "everything to arrive", arrived).await.unwrap_or_else(|e| panic!("{e}\n{}", fleet.logs()));
    fleet.stage.assert_promises(&conversations).await;
    let after = fleet.stage.network.stats().await.counts;
    assert_eq!((after.logins, after.replaced_logins), (before.logins, 0), "somebody dialed\n{}", fleet.logs());
    // The last one is forgotten: its tenants are nobody's but the old one's.
    let well = || async { fleet.stage.health().await.1["status"] == json!("ok") };
    until(LIMIT, "nothing to be wrong", well).await.unwrap();
    fleet.first.kill().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_failed_deploys_cost_nothing() {
    failed_deploys(Home::Embedded).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_failed_deploys_cost_nothing_with_firestore() {
    failed_deploys(Home::Emulator).await;
}

/// One is told to stop, one is killed, one is told to stop: each time the others serve what it had.
async fn three_processes(home: Home) {
    let Some(mut fleet) = Fleet::new(home, 12, 3).await else { return };
    let traffic = fleet.traffic();
    traffic.until_begun().await;
    let second = fleet.others[0].start().await;
    let third = fleet.others[1].start().await;
    let Fleet { stage, first, others, .. } = fleet;
    let logs = || others.iter().fold(stage.log(), |logs, other| format!("{logs}\n--\n{}", other.log()));
    assert_eq!(first.terminate(LIMIT).await.unwrap(), Some(0), "{}", logs());
    let replaced = stage.network.stats().await.counts.replaced_logins;
    assert_eq!(replaced, 0, "a stop that nobody was disturbed by\n{}", logs());
    for other in &others[..2] {
        assert!(other.log().contains("\"taken over\""), "each has its share\n{}", other.log());
    }
    traffic.until_all_go_on().await;
    second.kill().await.unwrap();
    let killed = Instant::now();
    let all = || async { others[1].health().await.1["sessions"]["working"] == json!(12) };
    until(LIMIT, "the third to serve all", all).await.unwrap_or_else(|e| panic!("{e}\n{}", logs()));
    println!("{home:?}: what the killed one had is served after {:?}", killed.elapsed());
    let fourth = others[2].start().await;
    assert_eq!(third.terminate(LIMIT).await.unwrap(), Some(0), "{}", logs());
    traffic.until_all_go_on().await;
    let conversations = traffic.end().await;
    assert_all_at(&stage, &others[2], &conversations, logs).await;
    assert_eq!(stage.network.stats().await.counts.replaced_logins, 0, "WhatsApp saw two of one tenant\n{}", logs());
    fourth.kill().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn three_processes_stop_and_die_and_lose_nothing() {
    three_processes(Home::Embedded).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn three_processes_stop_and_die_and_lose_nothing_with_firestore() {
    three_processes(Home::Emulator).await;
}

/// The next owner is told to stop in the middle of it. `stays`: there is a third.
async fn a_joiner_that_is_told_to_stop(stays: bool) {
    let mut fleet = Fleet::new(Home::Embedded, 16, 2).await.unwrap();
    let joiner = fleet.others[0].start().await;
    let third = match stays {
        true => Some(fleet.others[1].start().await),
        false => None,
    };
    let traffic = fleet.traffic();
    traffic.until_begun().await;
    fleet.first.signal(Signal::TERM).unwrap();
    until_taken_over(&fleet.others[0]).await;
    let Fleet { stage, first, others, .. } = fleet;
    let logs = || others.iter().fold(stage.log(), |logs, other| format!("{logs}\n--\n{}", other.log()));
    let (first, joiner) = tokio::join!(first.ended(LIMIT), joiner.terminate(LIMIT));
    assert_eq!((first.unwrap(), joiner.unwrap()), (Some(0), Some(0)), "{}", logs());
    let third = match third {
        Some(third) => third,
        None => others[1].start().await,
    };
    traffic.until_all_go_on().await;
    let conversations = traffic.end().await;
    assert_all_at(&stage, &others[1], &conversations, logs).await;
    assert_eq!(stage.network.stats().await.counts.replaced_logins, 0, "WhatsApp saw two of one tenant\n{}", logs());
    third.kill().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_joiner_that_is_told_to_stop_gives_to_a_third() {
    a_joiner_that_is_told_to_stop(true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_joiner_that_is_told_to_stop_where_nobody_stays_loses_nothing() {
    a_joiner_that_is_told_to_stop(false).await;
}

/// The vault answers nobody for a while, in the middle of a handover.
async fn a_vault_that_is_away(mode: Mode) {
    let Some((stage, proxy)) = proxy::stage().await else { return };
    let stage = stage.set("SESSIOND_VAULT__FIRESTORE__REQUEST_TIMEOUT", "2s");
    let mut fleet = Fleet::on(stage, 16, 1).await;
    let new = fleet.others[0].start().await;
    let traffic = fleet.traffic();
    traffic.until_begun().await;
    fleet.first.signal(Signal::TERM).unwrap();
    until_taken_over(&fleet.others[0]).await;
    proxy.set(mode);
    tokio::time::sleep(Duration::from_secs(6)).await;
    proxy.set(Mode::Pass);
    let Fleet { stage, first, others, .. } = fleet;
    let logs = || format!("{}\n--\n{}", stage.log(), others[0].log());
    assert_eq!(first.ended(LIMIT).await.unwrap(), Some(0), "{}", logs());
    traffic.until_all_go_on().await;
    let conversations = traffic.end().await;
    assert_all_at(&stage, &others[0], &conversations, logs).await;
    assert_eq!(stage.network.stats().await.counts.replaced_logins, 0, "taken from one that lives\n{}", logs());
    new.kill().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vault_that_refuses_in_a_handover_costs_nothing() {
    a_vault_that_is_away(Mode::Refuse).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vault_that_hangs_in_a_handover_costs_nothing() {
    a_vault_that_is_away(Mode::Hang).await;
}

/// What happens to a crew of processes, in an order that the seed decides.
#[derive(Debug, Clone, Copy)]
enum Calamity {
    Start,
    Terminate,
    Kill,
    /// SIGSTOP, for longer than a process is believed to live; then it goes on.
    Stop,
    Vault(Mode),
}

impl Calamity {
    /// What comes next, where so many processes run. A short storm has no time for those that last.
    fn draw(rng: &mut SmallRng, running: usize, is_long: bool) -> Self {
        match rng.random_range(0..7) {
            _ if running < 2 => Self::Start,
            0 | 1 if running < 3 => Self::Start,
            0 | 2 => Self::Terminate,
            1 | 3 => Self::Kill,
            4 if is_long => Self::Stop,
            4 | 5 => Self::Vault(Mode::Refuse),
            _ if is_long => Self::Vault(Mode::Hang),
            _ => Self::Vault(Mode::Stall),
        }
    }
}

/// Up to three processes at a time: started, told to stop, killed, stopped and continued, cut off from their vault, while everybody writes.
#[tokio::test(flavor = "multi_thread")]
async fn a_storm_loses_nothing() {
    const PROCESSES: usize = 4;
    const SHORT: usize = 3;
    let minutes: u64 = std::env::var("CLUSTER_MINUTES").map_or(0, |n| n.parse().expect("CLUSTER_MINUTES"));
    let mut rng = SmallRng::seed_from_u64(seed());
    let Some((stage, proxy)) = proxy::stage().await else { return };
    let stage = stage.set("SESSIOND_VAULT__FIRESTORE__REQUEST_TIMEOUT", "2s").set("SESSIOND_HEARTBEAT__ANNOUNCE", "5s");
    let mut fleet = Fleet::on(stage, 6 * scale(), PROCESSES - 1).await;
    let traffic = fleet.traffic();
    traffic.until_begun().await;
    let Fleet { stage, first, others, .. } = fleet;
    let logs = || others.iter().fold(stage.log(), |logs, other| format!("{logs}\n--\n{}", other.log()));
    let setup = |n: usize| if n == 0 { &stage.setup } else { &others[n - 1].setup };
    let mut crew: Vec<_> = std::iter::once(Some(first)).chain((1..PROCESSES).map(|_| None)).collect();
    let end = Instant::now() + Duration::from_secs(60 * minutes);
    let (mut rounds, mut rude) = (0, 0);
    while rounds < SHORT || Instant::now() < end {
        rounds += 1;
        let (running, free): (Vec<usize>, Vec<usize>) = (0..PROCESSES).partition(|n| crew[*n].is_some());
        let calamity = Calamity::draw(&mut rng, running.len(), minutes > 0);
        let one = match calamity {
            Calamity::Start => free[rng.random_range(0..free.len())],
            _ => running[rng.random_range(0..running.len())],
        };
        println!("{rounds}: {calamity:?} at {one}, of {running:?}");
        match calamity {
            Calamity::Start => crew[one] = Some(setup(one).start(LIMIT).await.unwrap()),
            Calamity::Terminate => {
                let process = crew[one].take().expect("it runs");
                assert_eq!(process.terminate(LIMIT * 2).await.unwrap(), Some(0), "{}", logs());
            }
            Calamity::Kill => {
                rude += 1;
                crew[one].take().expect("it runs").kill().await.unwrap();
            }
            Calamity::Stop => {
                rude += 1;
                let process = crew[one].as_ref().expect("it runs");
                process.signal(Signal::STOP).unwrap();
                tokio::time::sleep(Duration::from_secs(rng.random_range(20..40))).await;
                process.signal(Signal::CONT).unwrap();
            }
            Calamity::Vault(mode) => {
                proxy.set(mode);
                tokio::time::sleep(Duration::from_millis(rng.random_range(500..6000))).await;
                proxy.set(Mode::Pass);
            }
        }
        traffic.until_all_go_on().await;
    }
    let conversations = traffic.end().await;
    let arrived = || async { stage.tally.count(&conversations).await.unwrap().lost == 0 };
    until(LIMIT * 2, "everything to arrive", arrived).await.unwrap_or_else(|e| panic!("{e}\n{}", logs()));
    stage.assert_promises(&conversations).await;
    let replaced = stage.network.stats().await.counts.replaced_logins;
    println!("{} tenants, {rounds} calamities, {rude} of them rude: {replaced} logins replaced", conversations.len());
    assert!(replaced <= rude * conversations.len() as u64, "{replaced} logins replaced\n{}", logs());
}

/// What nobody can serve keeps no deploy from being healthy, and is still there, and named, when the old process has ended.
#[tokio::test(flavor = "multi_thread")]
async fn a_standby_with_a_failed_tenant_is_healthy() {
    let fleet = Fleet::new(Home::Embedded, 2, 1).await.unwrap();
    let Fleet { stage, first, others, conversations } = fleet;
    first.kill().await.unwrap();
    let vault = rusqlite::Connection::open(stage.path("cloud/vault.db")).unwrap();
    let altered = "UPDATE journal SET payload = x'00' WHERE tenant = 'tenant-1' AND seq = 2";
    assert_eq!(vault.execute(altered, []).unwrap(), 1);
    drop(vault);
    let first = stage.start().await;
    assert!(stage.dashboard.is_connected("tenant-0").await, "{}", stage.log());
    let new = others[0].start().await;
    let (code, health) = others[0].health().await;
    assert_eq!((code, &health["status"]), (200, &json!("degraded")), "{health}");
    assert_eq!(first.terminate(LIMIT).await.unwrap(), Some(0), "{}", stage.log());
    let served = || others[0].dashboard.is_connected("tenant-0");
    until(LIMIT, "the other tenant to be served", served).await.unwrap_or_else(|e| panic!("{e}\n{}", others[0].log()));
    let failed = || async {
        let status = others[0].dashboard.get("/api/sessions/tenant-1").await.unwrap();
        status.body["status"] == json!("FAILED")
    };
    until(LIMIT, "the failure to be told", failed).await.unwrap_or_else(|e| panic!("{e}\n{}", others[0].log()));
    let (code, health) = others[0].health().await;
    assert_eq!((code, &health["status"]), (200, &json!("degraded")), "{health}");
    stage.assert_promises(&conversations).await;
    new.kill().await.unwrap();
}
