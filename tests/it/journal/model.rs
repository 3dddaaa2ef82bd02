//! The journal's promises over thousands of schedules, each made of a seed.
//!
//! Several processes open one tenant in a simulated vault ([`crate::support::journal_world`]), write, wait, take snapshots, are
//! stopped, continued and killed, while requests and answers are lost, slow and late. Afterwards the whole story is checked:
//! each owner must have found exactly what its predecessor had recorded up to some change, and that change is not before
//! the last one whose wait said yes.
//!
//! `JOURNAL_SEED=n` replays one schedule and tells what happens in it; `JOURNAL_SCHEDULES=n` runs another number of them.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::RangeInclusive,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures::{FutureExt, future::BoxFuture};
use rand::{Rng, SeedableRng, rngs::SmallRng};
use sessiond::{
    journal::{
        Change, ConfirmError, Context, Journal, JournalClosedError, OpenError, Opened, Policy, Record, SnapshotSource,
        SourceError, Space, open, open_prepared, prepare,
    },
    seal::{Keyring, MasterKey},
    tenant::TenantId,
    vault::{Decision, InstanceId, Seq},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::support::{
    journal_bench::State,
    journal_time::{Time, WorldClock, run},
    journal_world::{JournalWorld, Life, Process, Weather},
};

/// What one owner found and did.
#[derive(Debug)]
struct ModelOwner {
    name: String,
    found: State,
    /// Change n is at n − 1.
    recorded: Vec<(Vec<Change>, Option<bool>)>,
    /// So many changes were said to be durable.
    acknowledged: usize,
}

/// The owners by their epochs.
type Story = Arc<Mutex<BTreeMap<Seq, ModelOwner>>>;

struct Model {
    world: Arc<JournalWorld>,
    story: Story,
    tenant: TenantId,
    keyring: Keyring,
    policy: Policy,
    problems: Arc<Mutex<Vec<String>>>,
}

/// One process's working copy.
struct ModelStore {
    state: Mutex<State>,
    journal: Journal,
    epoch: Seq,
    model: Arc<Model>,
    process: Arc<Process>,
    rng: Mutex<SmallRng>,
}

impl SnapshotSource for ModelStore {
    fn read(&self, begun: Box<dyn FnOnce() + Send>) -> BoxFuture<'static, Result<Vec<Record>, SourceError>> {
        let (before, after, fails) = {
            let mut rng = self.rng.lock().unwrap();
            let mut nap = || Duration::from_millis(rng.random_range(0..20));
            (nap(), nap(), rng.random_bool(0.03))
        };
        let time = self.model.world.time.clone();
        let records = {
            let state = self.state.lock().unwrap();
            begun();
            let records = state.iter();
            records.map(|(key, value)| Record { space: Space(1), key: key.clone(), value: value.clone() }).collect()
        };
        async move {
            time.sleep(before).await;
            time.sleep(after).await;
            if fails { Err(SourceError { why: "the disk is full".into(), is_final: false }) } else { Ok(records) }
        }
        .boxed()
    }
}

impl ModelStore {
    /// Makes some changes and records them under the same lock.
    fn change(&self) {
        let mut rng = self.rng.lock().unwrap();
        let mut state = self.state.lock().unwrap();
        let mut story = self.model.story.lock().unwrap();
        let owner = story.get_mut(&self.epoch).unwrap();
        let number = owner.recorded.len() + 1;
        let mut changes = Vec::new();
        for _ in 0..rng.random_range(1..=3) {
            let key: Box<[u8]> = [rng.random_range(0..6u8)].into();
            let value = rng.random_bool(0.85).then(|| {
                // Mostly small; at times larger than several documents.
                let noise = if rng.random_bool(0.05) { rng.random_range(0..1500) } else { rng.random_range(0..30) };
                let mut value = format!("{}.{number} ", self.epoch.0).into_bytes();
                value.extend((0..noise).map(|_| rng.random::<u8>()));
                Bytes::from(value)
            });
            changes.retain(|change: &Change| change.key != key);
            match &value {
                Some(value) => state.insert(key.clone(), value.clone()),
                None => state.remove(&key),
            };
            changes.push(Change { space: Space(1), key, value });
        }
        let connected = rng.random_bool(0.15).then(|| rng.random());
        let decision =
            connected.map(|connected| Decision { whatsapp_connected: Some(connected), ..Decision::default() });
        owner.recorded.push((changes.clone(), connected));
        self.journal.record(changes, decision);
    }
}

impl Model {
    fn new(time: Arc<Time>, rng: &mut SmallRng, trace: bool) -> Self {
        let tenant: TenantId = "tenant1".parse().unwrap();
        let weather = match rng.random_range(0..4) {
            0 => Weather::CALM,
            1 => Weather { lost: 10, unanswered: 10, late: 10, slow: 20 },
            2 => Weather { lost: 50, unanswered: 50, late: 50, slow: 100 },
            _ => Weather { lost: 0, unanswered: 20, late: 60, slow: 200 },
        };
        let world = JournalWorld::new(time, &tenant, rng.random(), weather, trace);
        // It draws from a copy: what else happens is what happened without audits.
        let audit = rng.clone().random_bool(0.5).then(|| Duration::from_secs(5));
        let policy = Policy {
            snapshot_entries: rng.random_range(2..8),
            snapshot_bytes: 4000,
            snapshot_retry: Duration::from_secs(2),
            delete_batch: 3,
            max_payload: 400,
            max_append: 900,
            takeover_keep: Duration::from_secs(3600),
            audit,
            ..Policy::default()
        };
        let counter = AtomicU64::new(0);
        let nonces = move || {
            let mut nonce = [0; 24];
            nonce[..8].copy_from_slice(&counter.fetch_add(1, Ordering::Relaxed).to_be_bytes());
            nonce
        };
        let key: MasterKey = "00".repeat(32).parse().unwrap();
        let keyring = Keyring::new(vec![key]).with_nonces(Arc::new(nonces));
        Self { world, story: Story::default(), tenant, keyring, policy, problems: Arc::default() }
    }

    fn problem(&self, what: String) {
        self.world.say(format_args!("PROBLEM {what}"));
        self.problems.lock().unwrap().push(what);
    }

    fn context(&self, name: &str, process: Option<&str>, rng: &mut SmallRng) -> (Arc<Process>, Context) {
        let (process, line) = self.world.process(process.unwrap_or(name));
        let context = Context {
            vault: line,
            seal: self.keyring.tenant(&self.tenant),
            tenant: self.tenant.clone(),
            writer: InstanceId(name.into()),
            clock: Arc::new(WorldClock(self.world.time.clone())),
            policy: self.policy.clone(),
            rng: SmallRng::from_rng(rng),
            expect_history: false,
            check: None,
        };
        (process, context)
    }

    /// One process: opens the tenant, works for a while, ends in one way or another.
    async fn live(self: Arc<Self>, name: String, mut rng: SmallRng) {
        let (process, cx) = self.context(&name, None, &mut rng);
        let trouble = tokio::spawn(trouble(self.clone(), process.clone(), name.clone(), SmallRng::from_rng(&mut rng)));
        let tasks = TaskTracker::new();
        let stop = CancellationToken::new();
        let mut opened = None;
        for _ in 0..3 {
            // Some have read everything a while before they take over, as one that was offered the tenant.
            let prepared = if rng.random_bool(0.5) { prepare(&cx).await.ok() } else { None };
            if prepared.is_some() {
                self.world.time.sleep(Duration::from_millis(rng.random_range(0..8_000))).await;
            }
            match open_prepared(cx.clone(), prepared, &tasks, stop.clone()).await {
                Ok(found) => {
                    opened = Some(found);
                    break;
                }
                Err(OpenError::Damaged(damage)) => self.problem(format!("{name} finds damage: {damage}")),
                Err(error) => self.world.say(format_args!("{name} does not open: {error}")),
            }
            self.world.time.sleep(Duration::from_millis(rng.random_range(0..10_000))).await;
        }
        if let Some(opened) = opened {
            self.work(&name, opened, &process, &tasks, &mut rng).await;
        }
        stop.cancel();
        trouble.abort();
        process.set(Life::Dead);
    }

    async fn work(
        self: &Arc<Self>,
        name: &str,
        opened: Opened,
        process: &Arc<Process>,
        tasks: &TaskTracker,
        rng: &mut SmallRng,
    ) {
        let Opened { records, journal, epoch, passed_over, .. } = opened;
        self.world.say(format_args!("{name} owns the tenant at {}", epoch.0));
        if let Some(damage) = passed_over {
            self.problem(format!("{name} passes over {damage}"));
        }
        let found: State = records.into_iter().map(|record| (record.key, record.value)).collect();
        let owner = ModelOwner { name: name.into(), found: found.clone(), recorded: Vec::new(), acknowledged: 0 };
        self.story.lock().unwrap().insert(epoch, owner);
        let store = Arc::new(ModelStore {
            state: Mutex::new(found),
            journal,
            epoch,
            model: self.clone(),
            process: process.clone(),
            rng: Mutex::new(SmallRng::from_rng(rng)),
        });
        let source: Arc<dyn SnapshotSource> = store.clone();
        store.journal.snapshots_from(Arc::downgrade(&source));
        let mut steps = rng.random_range(1..40);
        while steps > 0 {
            steps -= 1;
            process.gate().await;
            for _ in 0..rng.random_range(0..4) {
                store.change();
            }
            let number = store.journal.recorded();
            let count = self.story.lock().unwrap()[&epoch].recorded.len();
            match rng.random_range(0..20) {
                0..=8 => {
                    if !self.waited(&store, number, count).await {
                        break;
                    }
                }
                9..=11 => {
                    // Someone who does not wait for the outcome.
                    let (model, store) = (self.clone(), store.clone());
                    tasks.spawn(async move { model.waited(&store, number, count).await });
                }
                12 => drop(store.journal.wait(number).now_or_never()),
                13 => self.confirm(&store).await,
                14 if rng.random_bool(0.3) => {
                    let kept = store.journal.keep_state_before_wipe().await;
                    self.world.say(format_args!("{name} keeps {kept:?}"));
                }
                _ => self.world.time.sleep(Duration::from_millis(rng.random_range(0..2_000))).await,
            }
        }
        if store.journal.losses() > 0 {
            self.problem(format!("{name} misses what nobody has lost"));
        }
        if rng.random_bool(0.6) {
            let count = self.story.lock().unwrap()[&epoch].recorded.len();
            let closed = store.journal.close().await;
            self.world.say(format_args!("{name} closes: {closed:?}"));
            if closed.is_ok() {
                self.acknowledge(&store, count);
            }
        }
    }

    async fn waited(&self, store: &ModelStore, number: sessiond::journal::ChangeNo, count: usize) -> bool {
        let settled = store.journal.wait(number).await;
        store.process.gate().await;
        match settled {
            Ok(()) => {
                self.acknowledge(store, count);
                true
            }
            Err(closed) => {
                self.world.say(format_args!("epoch {} is closed: {closed}", store.epoch.0));
                if matches!(closed, JournalClosedError::Refused(_)) {
                    self.problem(format!("epoch {} is closed: {closed}", store.epoch.0));
                }
                false
            }
        }
    }

    fn acknowledge(&self, store: &ModelStore, count: usize) {
        let mut story = self.story.lock().unwrap();
        let owner = story.get_mut(&store.epoch).unwrap();
        owner.acknowledged = owner.acknowledged.max(count);
        drop(story);
        self.world.say(format_args!("epoch {}: change {count} is durable", store.epoch.0));
    }

    /// A confirmation says what was true at some moment after it was asked for.
    async fn confirm(&self, store: &ModelStore) {
        let owner = self.world.ground().owner.clone();
        let answer = store.journal.confirm().await;
        match answer {
            Ok(()) if owner.as_ref().is_some_and(|(epoch, _)| *epoch == store.epoch) => {}
            Ok(()) => self.problem(format!("epoch {} is confirmed under {owner:?}", store.epoch.0)),
            Err(ConfirmError::Closed(_) | ConfirmError::Vault(_)) => {}
        }
    }

    async fn confirm_quietly(&self, store: &ModelStore) {
        let answer = store.journal.confirm().await;
        self.world.say(format_args!("confirmed: {answer:?}"));
    }

    /// What the next owner must have found: what this one found and recorded, up to a change that is not before the last
    /// acknowledged one. Equal states can come of several changes; gives what the tenant's record may say after them.
    fn check_succession(
        &self,
        epoch: Seq,
        owner: &ModelOwner,
        next: &State,
        decided: &BTreeSet<bool>,
    ) -> Result<BTreeSet<bool>, String> {
        let mut state = owner.found.clone();
        let mut now = decided.clone();
        let mut possible = BTreeSet::new();
        for n in 0..=owner.recorded.len() {
            if let Some((changes, connected)) = n.checked_sub(1).and_then(|n| owner.recorded.get(n)) {
                for change in changes {
                    match &change.value {
                        Some(value) => state.insert(change.key.clone(), value.clone()),
                        None => state.remove(&change.key),
                    };
                }
                if let Some(connected) = connected {
                    now = BTreeSet::from([*connected]);
                }
            }
            if state == *next && n >= owner.acknowledged {
                possible.extend(&now);
            }
        }
        if !possible.is_empty() {
            return Ok(possible);
        }
        let show = |state: &State| -> Vec<String> {
            let head = |value: &Bytes| String::from_utf8_lossy(&value[..value.len().min(8)]).into_owned();
            state.iter().map(|(key, value)| format!("{key:?}={}", head(value))).collect()
        };
        Err(format!(
            "{} at {} had {:?}, recorded {} changes, {} acknowledged, with them {:?}; its successor found {:?}",
            owner.name,
            epoch.0,
            show(&owner.found),
            owner.recorded.len(),
            owner.acknowledged,
            show(&state),
            show(next)
        ))
    }

    fn check_story(&self) {
        let story = self.story.lock().unwrap();
        let mut decided = BTreeSet::from([false]);
        let owners: Vec<_> = story.iter().collect();
        if owners.first().is_some_and(|(_, owner)| !owner.found.is_empty()) {
            self.problem("the first owner found something".into());
        }
        for pair in owners.windows(2) {
            let ((epoch, owner), (_, next)) = (pair[0], pair[1]);
            match self.check_succession(*epoch, owner, &next.found, &decided) {
                Ok(possible) => decided = possible,
                Err(problem) => self.problem(problem),
            }
        }
        // The last owner decides nothing.
        let connected = self.world.ground().record.as_ref().unwrap().whatsapp_connected;
        if !decided.contains(&connected) {
            self.problem(format!("the record says {connected}, the entries {decided:?}"));
        }
        self.problems.lock().unwrap().extend(self.world.ground().violations.iter().cloned());
    }
}

/// Stops a process, continues it, or kills it.
async fn trouble(model: Arc<Model>, process: Arc<Process>, name: String, mut rng: SmallRng) {
    loop {
        let quiet = if rng.random_bool(0.5) { 2_000 } else { 30_000 };
        model.world.time.sleep(Duration::from_millis(rng.random_range(0..quiet))).await;
        match rng.random_range(0..10) {
            0..=1 => {
                model.world.say(format_args!("{name} is killed"));
                process.set(Life::Dead);
                return;
            }
            2..=6 => {
                let span = if rng.random_bool(0.5) { 1_000 } else { 60_000 };
                let span = Duration::from_millis(rng.random_range(0..span));
                model.world.say(format_args!("{name} is stopped for {span:?}"));
                process.set(Life::Stopped);
                model.world.time.sleep(span).await;
                model.world.say(format_args!("{name} is continued"));
                process.set(Life::Runs);
            }
            _ => {}
        }
    }
}

async fn schedule(seed: u64, time: Arc<Time>, trace: bool) -> Vec<String> {
    let mut rng = SmallRng::seed_from_u64(seed);
    let model = Arc::new(Model::new(time, &mut rng, trace));
    let world = model.world.clone();

    let (mut processes, rushed) = (Vec::new(), rng.random_bool(0.3));
    for n in 0..rng.random_range(2..=4) {
        let start = Duration::from_millis(rng.random_range(0..if rushed { 50 } else { 20_000 }));
        let (model, rng) = (model.clone(), SmallRng::from_rng(&mut rng));
        let time = world.time.clone();
        processes.push(tokio::spawn(async move {
            time.sleep(start).await;
            model.live(format!("process-{n}"), rng).await;
        }));
    }
    // Everything that was sent has landed by then, or never will.
    world.time.sleep(Duration::from_secs(400)).await;
    for process in processes {
        process.abort();
    }
    world.ground().weather = Weather::CALM;
    last(&model, &mut rng).await;
    model.check_story();
    let problems = model.problems.lock().unwrap();
    problems.clone()
}

/// When all is quiet, one more process must be able to open the tenant and to write, and another to read what it wrote.
async fn last(model: &Arc<Model>, rng: &mut SmallRng) {
    for name in ["last-but-one", "last"] {
        let (process, cx) = model.context(name, None, rng);
        let tasks = TaskTracker::new();
        match open(cx, &tasks, CancellationToken::new()).await {
            Ok(Opened { records, journal, epoch, .. }) => {
                let found: State = records.into_iter().map(|record| (record.key, record.value)).collect();
                let owner =
                    ModelOwner { name: name.into(), found: found.clone(), recorded: Vec::new(), acknowledged: 0 };
                model.story.lock().unwrap().insert(epoch, owner);
                if name == "last" {
                    continue;
                }
                let store = ModelStore {
                    state: Mutex::new(found),
                    journal,
                    epoch,
                    model: model.clone(),
                    process,
                    rng: Mutex::new(SmallRng::from_rng(rng)),
                };
                store.change();
                let closed = store.journal.close().await;
                if closed.is_err() {
                    model.problem(format!("undisturbed, the journal closes with {closed:?}"));
                }
                model.acknowledge(&store, 1);
            }
            Err(error) => model.problem(format!("undisturbed, the tenant does not open: {error}")),
        }
    }
}

/// An owner that lives, and a vault that loses things under its hands. What is said to be durable, before a loss or after it, is there in
/// the end, unless another process has taken over what the vault had left: then the owner is over.
async fn losses(seed: u64, time: Arc<Time>, trace: bool) -> Vec<String> {
    let mut rng = SmallRng::seed_from_u64(seed);
    let model = Arc::new(Model::new(time, &mut rng, trace));
    let world = model.world.clone();
    let (process, cx) = model.context("owner", None, &mut rng);
    let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
    let Some(opened) = patiently(&model, &cx, &tasks, &stop).await else { return Vec::new() };
    let Opened { journal, epoch, .. } = opened;
    let owner = ModelOwner { name: "owner".into(), found: State::new(), recorded: Vec::new(), acknowledged: 0 };
    model.story.lock().unwrap().insert(epoch, owner);
    let store = Arc::new(ModelStore {
        state: Mutex::default(),
        journal,
        epoch,
        model: model.clone(),
        process,
        rng: Mutex::new(SmallRng::from_rng(&mut rng)),
    });
    let source: Arc<dyn SnapshotSource> = store.clone();
    store.journal.snapshots_from(Arc::downgrade(&source));
    let mut taken = false;
    for _ in 0..rng.random_range(5..40) {
        for _ in 0..rng.random_range(0..4) {
            store.change();
        }
        match rng.random_range(0..12) {
            0..=4 => {
                let ended = store.journal.wait(store.journal.recorded()).await.is_err();
                if ended {
                    break;
                }
            }
            5..=6 => world.time.sleep(Duration::from_millis(rng.random_range(0..2_000))).await,
            7..=8 => {
                let mut ground = world.ground();
                let end = ground.journal.last_key_value().map_or(1, |(seq, _)| seq.0);
                let from = if rng.random_bool(0.4) { 1 } else { rng.random_range(1..=end) };
                let snapshots = rng.random_bool(0.7);
                ground.lose(Seq(from), snapshots);
                drop(ground);
                world.say(format_args!("the vault loses everything from {from} on, snapshots: {snapshots}"));
            }
            9 => {
                world.ground().record = None;
                world.say(format_args!("the vault loses the tenant's record"));
            }
            10 => model.confirm_quietly(&store).await,
            _ if rng.random_bool(0.1) => {
                let (_, cx) = model.context("rival", None, &mut rng);
                match open(cx, &tasks, stop.clone()).await {
                    Ok(opened) => {
                        world.say(format_args!("the rival owns the tenant at {}", opened.epoch.0));
                        taken = true;
                    }
                    Err(error) => world.say(format_args!("the rival does not open: {error}")),
                }
            }
            _ => {}
        }
    }
    // Whatever was sent has landed by then.
    world.time.sleep(Duration::from_secs(200)).await;
    world.ground().weather = Weather::CALM;
    store.change();
    let settled = store.journal.wait(store.journal.recorded()).await;
    world.say(format_args!("at last: {settled:?}"));
    match settled {
        Ok(()) => {
            let state = store.state.lock().unwrap().clone();
            let (_, cx) = model.context("reader", None, &mut rng);
            match open(cx, &tasks, stop.clone()).await {
                Ok(opened) => {
                    let found: State = opened.records.into_iter().map(|record| (record.key, record.value)).collect();
                    if found != state {
                        model.problem(format!("the reader found {} records of {}", found.len(), state.len()));
                    }
                }
                Err(error) => model.problem(format!("the reader: {error}")),
            }
        }
        // A takeover whose answer was lost may have happened all the same.
        Err(JournalClosedError::Fenced)
            if taken || world.ground().owner.as_ref().is_some_and(|(_, owner)| &*owner.0 != "owner") => {}
        Err(closed) => model.problem(format!("the owner is over: {closed}")),
    }
    let violations = world.ground().violations.clone();
    model.problems.lock().unwrap().extend(violations);
    let problems = model.problems.lock().unwrap();
    problems.clone()
}

async fn patiently(model: &Model, cx: &Context, tasks: &TaskTracker, stop: &CancellationToken) -> Option<Opened> {
    for _ in 0..5 {
        match open(cx.clone(), tasks, stop.clone()).await {
            Ok(opened) => return Some(opened),
            Err(error) => model.world.say(format_args!("{:?} does not open: {error}", cx.writer)),
        }
    }
    None
}

const SCHEDULES: u64 = 20_000;

#[test]
fn every_schedule_keeps_the_promises() {
    try_all(SCHEDULES, |seed, trace| run(|time| schedule(seed, time, trace)));
}

#[test]
fn every_loss_is_made_good() {
    try_all(SCHEDULES / 4, |seed, trace| run(|time| losses(seed, time, trace)));
}

fn try_all(schedules: u64, replay: impl Fn(u64, bool) -> Vec<String> + Sync) {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().expect(name));
    if let Some(seed) = number("JOURNAL_SEED") {
        let problems = replay(seed, true);
        assert!(problems.is_empty(), "schedule {seed}: {problems:#?}");
        return;
    }
    let seeds: RangeInclusive<u64> = 1..=number("JOURNAL_SCHEDULES").unwrap_or(schedules);
    let next = AtomicU64::new(*seeds.start());
    let failed = Mutex::new(BTreeMap::new());
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if !seeds.contains(&seed) || failed.lock().unwrap().len() >= 10 {
                        return;
                    }
                    let problems = replay(seed, false);
                    if !problems.is_empty() {
                        failed.lock().unwrap().insert(seed, problems);
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap();
    assert!(failed.is_empty(), "replay with JOURNAL_SEED=<seed>: {failed:#?}");
}
