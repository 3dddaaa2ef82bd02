//! A simulated vault for the journal's tests: in memory, one tenant, in simulated time ([`crate::support::journal_time`]).
//!
//! Each write has one moment at which it happens, like in the real ones. Around it everything goes wrong that a network and a
//! process can do: requests and answers are lost, writes land after their client has given up, a process is stopped and
//! goes on minutes later, or dies in the middle of a call. What a [`World`] sees land it also judges: see [`Ground::append`].

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;
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
pub struct World {
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

impl World {
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
    pub fn process(self: &Arc<Self>, name: &str) -> (Arc<Process>, Arc<Line>) {
        let process = Arc::new(Process { life: watch::Sender::new(Life::Runs) });
        let line = Line { world: self.clone(), process: process.clone(), name: name.into() };
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
pub struct Line {
    world: Arc<World>,
    process: Arc<Process>,
    name: Arc<str>,
}

impl fmt::Debug for Line {
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

impl Line {
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

#[async_trait]
impl Vault for Line {
    async fn ping(&self) -> Result<(), VaultError> {
        self.read("ping".into(), |_| ()).await
    }

    async fn tenants(&self) -> Result<Vec<(String, Result<TenantRecord, VaultError>)>, VaultError> {
        let record = self.read("tenants".into(), |ground| ground.record.clone()).await?;
        Ok(record.into_iter().map(|record| (record.id.to_string(), Ok(record))).collect())
    }

    async fn tenants_with(
        &self,
        text: RecordText,
        prefix: &str,
    ) -> Result<Vec<(String, Result<TenantRecord, VaultError>)>, VaultError> {
        let mut all = self.tenants().await?;
        let text = |record: &TenantRecord| match text {
            RecordText::PhoneNumber => record.phone_number.clone(),
            RecordText::Status => record.status.clone(),
        };
        all.retain(|(_, record)| {
            record.as_ref().is_ok_and(|record| text(record).is_some_and(|text| text.starts_with(prefix)))
        });
        Ok(all)
    }

    async fn remembered(&self) -> Result<Vec<String>, VaultError> {
        Ok(self.tenants().await?.into_iter().map(|(id, _)| id).collect())
    }

    async fn restorable(&self) -> Result<Vec<(String, Result<TenantRecord, VaultError>)>, VaultError> {
        let mut all = self.tenants().await?;
        all.retain(|(_, record)| record.as_ref().is_ok_and(|record| record.whatsapp_connected));
        Ok(all)
    }

    async fn tenant(&self, _: &TenantId) -> Result<Option<TenantRecord>, VaultError> {
        self.read("tenant".into(), |ground| ground.record.clone()).await
    }

    async fn notice(&self, _: &TenantId, _: &TenantInfo) -> Result<(), VaultError> {
        self.call("notice".into(), true, |_| ()).await
    }

    async fn append(
        &self,
        _: &TenantId,
        after: Option<Digest>,
        documents: &[JournalDocument],
        decision: Option<&Decision>,
    ) -> Result<(), AppendError> {
        let (documents, decision) = (documents.to_vec(), decision.cloned());
        let (first, kind) = (documents[0].seq.0, documents[0].kind);
        self.call(format!("append {first} x{} {kind:?}", documents.len()), true, move |ground| {
            ground.append(after, &documents, decision.as_ref())
        })
        .await?
    }

    async fn start_over(
        &self,
        _: &TenantId,
        footing: &Footing,
        documents: &[JournalDocument],
        manifest: Option<&Manifest>,
        decision: &Decision,
    ) -> Result<(), AppendError> {
        let (footing, documents) = (footing.clone(), documents.to_vec());
        let (manifest, decision) = (manifest.cloned(), decision.clone());
        self.call(format!("start over at {}", documents[0].seq.0), true, move |ground| {
            ground.start_over(&footing, &documents, manifest.as_ref(), &decision)
        })
        .await?
    }

    async fn headings(&self, _: &TenantId, first: Seq, limit: usize) -> Result<Vec<Heading>, VaultError> {
        self.read(format!("headings {}..", first.0), move |ground| {
            let heading = |(seq, document): (&Seq, &JournalDocument)| {
                let JournalDocument { writer, at, .. } = document.clone();
                Heading { seq: *seq, writer, at }
            };
            ground.journal.range(first..).take(limit).map(heading).collect()
        })
        .await
    }

    async fn document(&self, _: &TenantId, seq: Seq) -> Result<Option<JournalDocument>, VaultError> {
        self.read(format!("document {}", seq.0), move |ground| ground.journal.get(&seq).cloned()).await
    }

    /// In two steps: others write between them.
    async fn documents(&self, _: &TenantId, first: Seq) -> Result<Vec<JournalDocument>, VaultError> {
        let mut documents: Vec<JournalDocument> = self
            .read(format!("documents {}..", first.0), move |ground| {
                let half = ground.journal.range(first..).count().div_ceil(2);
                ground.journal.range(first..).take(half).map(|(_, document)| document.clone()).collect()
            })
            .await?;
        let rest = documents.last().map_or(first, |last| last.seq.next());
        let more = self.read(format!("documents {}..", rest.0), move |ground| {
            ground.journal.range(rest..).map(|(_, document)| document.clone()).collect::<Vec<_>>()
        });
        documents.extend(more.await?);
        Ok(documents)
    }

    async fn takeovers(&self, _: &TenantId) -> Result<Vec<(Seq, Timestamp)>, VaultError> {
        self.read("takeovers".into(), |ground| {
            let takeovers = ground.journal.values().filter(|document| document.kind == DocumentKind::Takeover);
            takeovers.map(|document| (document.seq, document.at)).collect()
        })
        .await
    }

    async fn entries_below(&self, _: &TenantId, end: Seq) -> Result<Vec<Seq>, VaultError> {
        self.read(format!("entries below {}", end.0), move |ground| {
            let below = ground.journal.range(..end);
            below.filter(|(_, document)| document.kind != DocumentKind::Takeover).map(|(seq, _)| *seq).collect()
        })
        .await
    }

    async fn empty_document(&self, _: &TenantId, document: &JournalDocument) -> Result<bool, VaultError> {
        let document = document.clone();
        self.call(format!("empty {}", document.seq.0), true, move |ground| {
            let found = ground.journal.get_mut(&document.seq).filter(|found| found.payload == document.payload);
            let Some(found) = found else { return false };
            found.payload = Bytes::new();
            ground.usage.writes += 1;
            true
        })
        .await
    }

    /// One by one.
    async fn remove_documents(&self, _: &TenantId, seqs: &[Seq]) -> Result<(), VaultError> {
        for &seq in seqs {
            self.call(format!("remove {}", seq.0), true, move |ground| {
                ground.journal.remove(&seq);
                ground.usage.deletes += 1;
            })
            .await?;
        }
        Ok(())
    }

    async fn manifests(&self, _: &TenantId) -> Result<Vec<Manifest>, VaultError> {
        self.read("manifests".into(), |ground| {
            let manifest = |(id, payload): (&SnapshotId, &Bytes)| Manifest { id: id.clone(), payload: payload.clone() };
            ground.manifests.iter().map(manifest).collect()
        })
        .await
    }

    async fn put_chunk(&self, _: &TenantId, id: &SnapshotId, n: u32, payload: Bytes) -> Result<(), VaultError> {
        let id = id.clone();
        self.call(format!("chunk {n} of {}-{}", id.seq.0, id.attempt), true, move |ground| {
            ground.chunks.insert((id, n), payload);
            ground.usage.writes += 1;
        })
        .await
    }

    async fn put_manifest(&self, _: &TenantId, manifest: &Manifest, entry: Option<Digest>) -> Result<(), AppendError> {
        let Manifest { id, payload } = manifest.clone();
        self.call(format!("manifest {}-{}", id.seq.0, id.attempt), true, move |ground| {
            ground.stand(&Footing::Document(id.seq, entry))?;
            ground.manifests.insert(id, payload);
            ground.usage.writes += 1;
            Ok(())
        })
        .await?
    }

    /// In two steps: others delete between them.
    async fn chunks(&self, _: &TenantId, id: &SnapshotId) -> Result<Vec<(u32, Bytes)>, VaultError> {
        let mut chunks = Vec::new();
        for part in 0..2u32 {
            let id = id.clone();
            let found = self.read(format!("chunks of {}-{}", id.seq.0, id.attempt), move |ground| {
                let range = ground.chunks.range((id.clone(), part)..=(id, if part == 0 { 0 } else { u32::MAX }));
                range.map(|((_, n), payload)| (*n, payload.clone())).collect::<Vec<_>>()
            });
            chunks.extend(found.await?);
        }
        Ok(chunks)
    }

    async fn snapshots(&self, _: &TenantId) -> Result<Vec<SnapshotId>, VaultError> {
        self.read("snapshots".into(), |ground| {
            let ids = ground.manifests.keys().chain(ground.chunks.keys().map(|(id, _)| id));
            ids.cloned().collect::<std::collections::BTreeSet<_>>().into_iter().collect()
        })
        .await
    }

    async fn remove_snapshot(&self, _: &TenantId, id: &SnapshotId) -> Result<(), VaultError> {
        let (first, second) = (id.clone(), id.clone());
        self.call(format!("remove manifest {}-{}", id.seq.0, id.attempt), true, move |ground| {
            ground.manifests.remove(&first);
        })
        .await?;
        self.call(format!("remove chunks {}-{}", id.seq.0, id.attempt), true, move |ground| {
            ground.chunks.retain(|(id, _), _| *id != second);
        })
        .await
    }

    async fn put_segment(&self, _: &TenantId, _: &str, _: Bytes) -> Result<(), VaultError> {
        Err(VaultError::Refused("this world has no segments".into()))
    }

    async fn segment(&self, _: &TenantId, _: &str) -> Result<Option<Bytes>, VaultError> {
        Err(VaultError::Refused("this world has no segments".into()))
    }

    async fn segments(&self, _: &TenantId) -> Result<Vec<String>, VaultError> {
        Err(VaultError::Refused("this world has no segments".into()))
    }

    async fn remove_segments(&self, _: &TenantId, _: &[String]) -> Result<(), VaultError> {
        Err(VaultError::Refused("this world has no segments".into()))
    }

    async fn put_instance(&self, _: &Instance) -> Result<(), VaultError> {
        Err(VaultError::Refused("this world has no instances".into()))
    }

    async fn instances(&self) -> Result<Vec<Instance>, VaultError> {
        Err(VaultError::Refused("this world has no instances".into()))
    }

    async fn remove_instance(&self, _: &InstanceId) -> Result<(), VaultError> {
        Err(VaultError::Refused("this world has no instances".into()))
    }

    async fn put_letter(&self, _: &InstanceId, _: &InstanceId, _: Bytes) -> Result<(), VaultError> {
        Err(VaultError::Refused("this world has no letters".into()))
    }

    async fn letters(&self, _: &InstanceId) -> Result<Vec<(InstanceId, Bytes)>, VaultError> {
        Err(VaultError::Refused("this world has no letters".into()))
    }

    async fn remove_letter(&self, _: &InstanceId, _: &InstanceId) -> Result<(), VaultError> {
        Err(VaultError::Refused("this world has no letters".into()))
    }

    async fn check_value(&self) -> Result<Option<Bytes>, VaultError> {
        Err(VaultError::Refused("this world has no check value".into()))
    }

    async fn create_check_value(&self, _: Bytes) -> Result<bool, VaultError> {
        Err(VaultError::Refused("this world has no check value".into()))
    }

    async fn replace_check_value(&self, _: Bytes, _: Bytes) -> Result<bool, VaultError> {
        Err(VaultError::Refused("this world has no check value".into()))
    }

    fn usage(&self) -> Usage {
        self.world.ground().usage
    }
}
