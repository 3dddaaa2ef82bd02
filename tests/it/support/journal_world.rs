//! A simulated vault for the journal's tests: in memory, one tenant, in simulated time ([`crate::support::journal_time`]).
//!
//! Each write has one moment at which it happens, like in the real ones. Around it everything goes wrong that a network and a
//! process can do: requests and answers are lost, writes land after their client has given up, a process is stopped and
//! goes on minutes later, or dies in the middle of a call. What a [`JournalWorld`] sees land it also judges: see [`Ground::append`].

mod requests;

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use bytes::Bytes;
use rand::{Rng, SeedableRng, rngs::SmallRng};
use sessiond::{
    seal::Digest,
    tenant::{TenantId, TenantRecord},
    vault::*,
};
use tokio::sync::watch;

use crate::support::journal_time::Time;

/// What happens to requests.
#[derive(Debug, Clone, Copy)]
pub struct Weather {
    /// Of a thousand requests so many are lost, …
    pub lost: u32,
    /// … lose their answer, …
    pub unanswered: u32,
    /// … or, if they write, land after their client has given up.
    pub late: u32,
    /// Takes seconds instead of milliseconds.
    pub slow: u32,
}

impl Weather {
    pub const CALM: Self = Self { lost: 0, unanswered: 0, late: 0, slow: 0 };
}

/// How long a client waits for an answer.
const PATIENCE: Duration = Duration::from_secs(4);

/// The vault, seen from above: what is in it, and what ever was.
#[derive(Debug)]
pub struct JournalWorld {
    ground: Mutex<Ground>,
    pub time: Arc<Time>,
}

/// Of a tenant that is new.
fn record(tenant: &TenantId) -> TenantRecord {
    TenantRecord {
        id: tenant.clone(),
        name: None,
        whatsapp_connected: false,
        phone_number: None,
        connected_at: None,
        status: None,
        last_error: None,
        last_error_at: None,
        deleted_at: None,
        config: serde_json::Value::Null,
    }
}

fn decide(record: &mut TenantRecord, decision: &Decision) {
    record.whatsapp_connected = decision.whatsapp_connected.unwrap_or(record.whatsapp_connected);
    record.phone_number = decision.phone_number.clone().unwrap_or(record.phone_number.take());
    record.connected_at = decision.connected_at.unwrap_or(record.connected_at.take());
}

#[derive(Debug)]
pub struct Ground {
    tenant: TenantId,
    pub record: Option<TenantRecord>,
    pub journal: BTreeMap<Seq, JournalDocument>,
    pub manifests: BTreeMap<SnapshotId, Bytes>,
    pub chunks: BTreeMap<(SnapshotId, u32), Bytes>,
    pub weather: Weather,
    pub usage: Usage,
    /// Rules that were broken.
    pub violations: Vec<String>,
    /// All documents that ever stood at a number, the first one there.
    ever: BTreeMap<Seq, JournalDocument>,
    /// Those that were lost.
    lost: Vec<JournalDocument>,
    /// The last takeover at the end of the journal.
    pub owner: Option<(Seq, InstanceId)>,
    rng: SmallRng,
    trace: bool,
}

impl JournalWorld {
    pub fn new(time: Arc<Time>, tenant: &TenantId, seed: u64, weather: Weather, trace: bool) -> Arc<Self> {
        let ground = Ground {
            tenant: tenant.clone(),
            record: Some(record(tenant)),
            journal: BTreeMap::new(),
            manifests: BTreeMap::new(),
            chunks: BTreeMap::new(),
            weather,
            usage: Usage::default(),
            violations: Vec::new(),
            ever: BTreeMap::new(),
            lost: Vec::new(),
            owner: None,
            rng: SmallRng::seed_from_u64(seed),
            trace,
        };
        Arc::new(Self { ground: Mutex::new(ground), time })
    }

    pub fn ground(&self) -> MutexGuard<'_, Ground> {
        self.ground.lock().unwrap()
    }

    pub fn say(&self, what: fmt::Arguments<'_>) {
        if self.ground().trace {
            println!("{:>9.3} {what}", self.time.elapsed().as_secs_f64());
        }
    }

    /// A new process, with its way to the vault.
    pub fn process(self: &Arc<Self>, name: &str) -> (Arc<Process>, Arc<ProcessLine>) {
        let process = Arc::new(Process { life: watch::Sender::new(Life::Runs) });
        let line = ProcessLine { world: self.clone(), process: process.clone(), name: name.into() };
        (process, Arc::new(line))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Life {
    Runs,
    /// SIGSTOP.
    Stopped,
    Dead,
}

#[derive(Debug)]
pub struct Process {
    pub life: watch::Sender<Life>,
}

impl Process {
    /// A stopped process goes on when it is continued, a dead one never.
    pub async fn gate(&self) {
        let mut life = self.life.subscribe();
        let _ = life.wait_for(|life| *life == Life::Runs).await;
        if *life.borrow() != Life::Runs {
            std::future::pending::<()>().await;
        }
    }

    pub fn set(&self, life: Life) {
        self.life.send_if_modified(|now| {
            let changes = *now != Life::Dead && *now != life;
            if changes {
                *now = life;
            }
            changes
        });
    }
}

/// One process's way to the vault.
pub struct ProcessLine {
    world: Arc<JournalWorld>,
    process: Arc<Process>,
    name: Arc<str>,
}

impl fmt::Debug for ProcessLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Line").field(&self.name).finish()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Fine,
    Lost,
    Unanswered,
    Late,
}

impl ProcessLine {
    /// One request. What it does to the ground it does at one moment.
    async fn call<T: Send + 'static>(
        &self,
        what: String,
        writes: bool,
        act: impl FnOnce(&mut Ground) -> T + Send + 'static,
    ) -> Result<T, VaultError> {
        self.process.gate().await;
        let (fate, there, back) = {
            let mut ground = self.world.ground();
            let weather = ground.weather;
            let fate = match ground.rng.random_range(0..1000) {
                n if n < weather.lost => Fate::Lost,
                n if n < weather.lost + weather.unanswered => Fate::Unanswered,
                n if n < weather.lost + weather.unanswered + weather.late && writes => Fate::Late,
                _ => Fate::Fine,
            };
            let top = if ground.rng.random_range(0..1000) < weather.slow { 3000 } else { 30 };
            let mut way = || Duration::from_millis(ground.rng.random_range(1..=top));
            (fate, way(), way())
        };
        self.world.say(format_args!("{} {what} ({fate:?})", self.name));
        let answer = match fate {
            Fate::Fine => {
                self.world.time.sleep(there).await;
                let answer = act(&mut self.world.ground());
                self.world.time.sleep(back).await;
                Ok(answer)
            }
            Fate::Lost => {
                self.world.time.sleep(PATIENCE).await;
                Err(VaultError::Unavailable("lost".into()))
            }
            Fate::Unanswered => {
                self.world.time.sleep(there).await;
                act(&mut self.world.ground());
                self.world.time.sleep(PATIENCE).await;
                Err(VaultError::Unavailable("unanswered".into()))
            }
            Fate::Late => {
                let world = self.world.clone();
                let delay = PATIENCE + Duration::from_millis(self.world.ground().rng.random_range(0..90_000));
                let late = format!("{} {what} lands late", self.name);
                tokio::spawn(async move {
                    world.time.sleep(delay).await;
                    world.say(format_args!("{late}"));
                    act(&mut world.ground());
                });
                self.world.time.sleep(PATIENCE).await;
                Err(VaultError::Unavailable("late".into()))
            }
        };
        self.process.gate().await;
        answer
    }

    async fn read<T: Send + 'static>(
        &self,
        what: String,
        act: impl FnOnce(&mut Ground) -> T + Send + 'static,
    ) -> Result<T, VaultError> {
        self.call(what, false, act).await
    }
}

impl Ground {
    /// Judges what lands at the end of the journal (only the owner's documents may, and new takeovers) and what lands in its past: only
    /// what stood there before, without deciding anything again, and takeovers of readers that were too slow.
    fn append(
        &mut self,
        after: Option<Digest>,
        documents: &[JournalDocument],
        decision: Option<&Decision>,
    ) -> Result<(), AppendError> {
        if documents.iter().any(|document| self.journal.contains_key(&document.seq)) {
            return Err(AppendError::Exists);
        }
        if let Some(before) = documents[0].seq.previous() {
            self.stand(&Footing::Document(before, after))?;
        }
        let Some(record) = self.record.as_mut().filter(|_| decision.is_some()) else {
            if decision.is_some() {
                return Err(AppendError::TenantGone);
            }
            self.land(documents, false);
            return Ok(());
        };
        decide(record, &decision.cloned().unwrap_or_default());
        self.land(documents, true);
        Ok(())
    }

    /// Only the owner starts over, and the last document that ever was is below its new takeover; or a claimer does without what was
    /// before its takeover.
    fn start_over(
        &mut self,
        footing: &Footing,
        documents: &[JournalDocument],
        manifest: Option<&Manifest>,
        decision: &Decision,
    ) -> Result<(), AppendError> {
        if documents.iter().any(|document| self.journal.contains_key(&document.seq)) {
            return Err(AppendError::Exists);
        }
        self.stand(footing)?;
        let end = self.ever.last_key_value().map_or(Seq(0), |(seq, _)| *seq);
        let (first, writer) = (&documents[0], &documents[0].writer);
        if manifest.is_some() && self.owner.as_ref().is_some_and(|(_, owner)| owner != writer) {
            self.violations.push(format!("{writer:?} starts over at {} and is not the owner", first.seq.0));
        }
        if manifest.is_some() && first.seq <= end {
            self.violations.push(format!("{writer:?} starts over at {}, in the past", first.seq.0));
        }
        if manifest.is_some() || first.seq > end {
            self.owner = Some((first.seq, writer.clone()));
        }
        for document in documents {
            self.ever.entry(document.seq).or_insert_with(|| document.clone());
            self.journal.insert(document.seq, document.clone());
        }
        if let Some(Manifest { id, payload }) = manifest {
            self.manifests.insert(id.clone(), payload.clone());
        }
        if *decision != Decision::default() {
            decide(self.record.get_or_insert_with(|| record(&self.tenant)), decision);
        }
        self.usage.writes += documents.len() as u64 + 2;
        Ok(())
    }

    fn stand(&self, footing: &Footing) -> Result<(), AppendError> {
        let stands = match footing {
            Footing::Nothing => true,
            Footing::Document(seq, digest) => {
                self.journal.get(seq).is_some_and(|found| digest.is_none_or(|digest| found.digest() == digest))
            }
            Footing::Manifest(id) => self.manifests.contains_key(id),
        };
        if stands { Ok(()) } else { Err(AppendError::Gap) }
    }

    /// Loses documents from a number on, of the snapshots there and after it as many as are told; and the memory of them.
    pub fn lose(&mut self, from: Seq, snapshots: bool) {
        self.journal.retain(|seq, _| *seq < from);
        let lost = self.ever.split_off(&from);
        self.lost.extend(lost.into_values());
        // It knows nothing of an owner whose takeover it has lost.
        if self.owner.as_ref().is_some_and(|(epoch, _)| *epoch >= from) {
            let mut left = self.ever.values().filter(|document| document.kind == DocumentKind::Takeover);
            self.owner = left.next_back().map(|last| (last.seq, last.writer.clone()));
        }
        if snapshots {
            self.manifests.retain(|id, _| id.seq < from);
            self.chunks.retain(|(id, _), _| id.seq < from);
        }
    }

    fn land(&mut self, documents: &[JournalDocument], decides: bool) {
        for document in documents {
            let end = self.ever.last_key_value().map_or(Seq(0), |(seq, _)| *seq);
            let takeover = document.kind == DocumentKind::Takeover;
            let mine = self.owner.as_ref().is_some_and(|(_, owner)| *owner == document.writer);
            let broken = if document.seq > end {
                if document.seq != end.next() {
                    Some("leaves a gap")
                } else if takeover {
                    self.owner = Some((document.seq, document.writer.clone()));
                    None
                } else {
                    (!mine).then_some("is appended by a process that is not the owner")
                }
            } else {
                let stood = self.ever.get(&document.seq).into_iter().chain(&self.lost);
                let same = stood.into_iter().any(|before| before.payload == document.payload);
                match (takeover, same) {
                    (true, _) => None,
                    (false, false) => Some("is another one in the past"),
                    (false, true) => decides.then_some("decides once more, in the past"),
                }
            };
            if let Some(broken) = broken {
                self.violations.push(format!("document {} of {:?} {broken}", document.seq.0, document.writer));
            }
            self.ever.entry(document.seq).or_insert_with(|| document.clone());
            self.journal.insert(document.seq, document.clone());
        }
        self.usage.writes += documents.len() as u64;
    }
}
