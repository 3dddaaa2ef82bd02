//! The working copy is damaged, exchanged, taken away: no wrong answer, no error to the library, and the failure told once.

use std::{
    collections::BTreeMap,
    fs::{self, OpenOptions},
    io::Write as _,
    os::unix::fs::{FileExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    pin::pin,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use futures::FutureExt as _;
use rand::{Rng, SeedableRng, rngs::SmallRng};
use sessiond::store::{
    Batch, CopyFailure, CopyFailureKind, Pool, PoolOptions, StoreError, key,
    space::{self, Home, Space},
};
use whatsapp_rust::wacore::store::{
    Device,
    traits::{ProtocolStore, SignalStore},
};

use crate::support::{
    store_session::{Session, paired},
    store_world::{World, poll_once, soon},
};

const PAGE: usize = 4096;

/// Ways in which a file turns into something else under a running daemon.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Way {
    FlipInLeaves,
    FlipInInteriorPages,
    FlipInHeader,
    FlipInFreelist,
    Truncate,
    ZeroAPage,
    Overwrite,
    Delete,
    OlderCopyIntoIt,
    OlderCopyInItsPlace,
    OtherTenantIntoIt,
    OtherTenantInItsPlace,
    NoPermission,
    DirectoryInItsPlace,
}

const WAYS: [Way; 14] = [
    Way::FlipInLeaves,
    Way::FlipInInteriorPages,
    Way::FlipInHeader,
    Way::FlipInFreelist,
    Way::Truncate,
    Way::ZeroAPage,
    Way::Overwrite,
    Way::Delete,
    Way::OlderCopyIntoIt,
    Way::OlderCopyInItsPlace,
    Way::OtherTenantIntoIt,
    Way::OtherTenantInItsPlace,
    Way::NoPermission,
    Way::DirectoryInItsPlace,
];

impl Way {
    fn damage(self, file: &Path, older: &[u8], other: &[u8]) {
        let bytes = fs::read(file).unwrap();
        let write = |at: usize, bytes: &[u8]| {
            OpenOptions::new().write(true).open(file).unwrap().write_all_at(bytes, at as u64).unwrap();
        };
        let flip = |pages: Vec<usize>| {
            assert!(!pages.is_empty(), "the file has no such page");
            // At the end of a page are its cells, in use in every page of these tests.
            pages.into_iter().for_each(|page| write(page * PAGE + PAGE - 9, &[!bytes[page * PAGE + PAGE - 9]]));
        };
        let into_it = |bytes: &[u8]| {
            let mut file = OpenOptions::new().write(true).truncate(true).open(file).unwrap();
            file.write_all(bytes).unwrap();
        };
        let in_its_place = |bytes: &[u8]| {
            let beside = file.with_extension("beside");
            fs::write(&beside, bytes).unwrap();
            fs::rename(beside, file).unwrap();
        };
        match self {
            Self::FlipInLeaves => flip(pages(&bytes, 0x0a)),
            Self::FlipInInteriorPages => flip(pages(&bytes, 0x02)),
            Self::FlipInHeader => write(40, &[!bytes[40]]),
            Self::FlipInFreelist => flip(vec![be32(&bytes, 32) as usize - 1]),
            Self::Truncate => OpenOptions::new().write(true).open(file).unwrap().set_len(5 * PAGE as u64).unwrap(),
            Self::ZeroAPage => pages(&bytes, 0x0a).into_iter().for_each(|page| write(page * PAGE, &[0; PAGE])),
            Self::Overwrite => {
                let mut random = vec![0; bytes.len()];
                rand::rng().fill(&mut random[..]);
                write(0, &random);
            }
            Self::Delete => fs::remove_file(file).unwrap(),
            Self::OlderCopyIntoIt => into_it(older),
            Self::OlderCopyInItsPlace => in_its_place(older),
            Self::OtherTenantIntoIt => into_it(other),
            Self::OtherTenantInItsPlace => in_its_place(other),
            Self::NoPermission => fs::set_permissions(file, fs::Permissions::from_mode(0o0)).unwrap(),
            Self::DirectoryInItsPlace => {
                fs::remove_file(file).unwrap();
                fs::create_dir(file).unwrap();
            }
        }
    }

    /// The file that is open stays the right one; it is only not to be found any more.
    fn leaves_the_open_file(self) -> bool {
        matches!(
            self,
            Self::Delete
                | Self::OlderCopyInItsPlace
                | Self::OtherTenantInItsPlace
                | Self::NoPermission
                | Self::DirectoryInItsPlace
        )
    }

    /// Whether reading everything meets it, and so must fail.
    fn is_met_by_a_scan(self, closed: bool) -> bool {
        match self {
            // Nothing reads the free pages; and what may not be opened by others may be by root.
            Self::FlipInFreelist | Self::NoPermission => false,
            // These few pages are in the cache of an open file.
            Self::FlipInInteriorPages | Self::FlipInHeader => closed,
            _ => closed || !self.leaves_the_open_file(),
        }
    }
}

fn be32(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap())
}

/// The pages of a kind: 0x0a leaves, 0x02 interior pages of the table.
fn pages(file: &[u8], kind: u8) -> Vec<usize> {
    (1..file.len() / PAGE).filter(|page| file[page * PAGE] == kind).collect()
}

/// A tenant with records in many pages, some of them freed again, and what they are.
struct Tenant {
    world: World,
    session: Arc<Session>,
    records: BTreeMap<(Space, Box<[u8]>), Bytes>,
    file: PathBuf,
    /// Its file at an earlier time.
    older: Vec<u8>,
}

const SPACES: [Space; 4] = [space::IDENTITIES, space::SIGNED_PRE_KEYS, space::INBOX, space::SETTINGS];

impl Tenant {
    async fn on(pool: &Pool) -> Self {
        let world = World::sharing(pool).await;
        let session = Session::attach(&world, paired(Device::new()));
        let file = world.folder().join("session.db");
        let mut tenant = Self { world, session, records: BTreeMap::new(), file, older: Vec::new() };
        tenant.write(0..120, 1).await;
        tenant.older = fs::read(&tenant.file).unwrap();
        // All of them, so that no page of the older copy is current; fewer, so that some are free.
        tenant.write(0..90, 2).await;
        let mut batch = Batch::default();
        for number in 90u32..120 {
            for space in SPACES {
                batch.delete(space, key::number(number));
                tenant.records.remove(&(space, key::number(number)));
            }
        }
        tenant.world.store.write(batch).await.unwrap();
        tenant.world.settle().await;
        tenant
    }

    async fn write(&mut self, numbers: std::ops::Range<u32>, version: u8) {
        let mut batch = Batch::default();
        for number in numbers {
            for space in SPACES {
                let length = if space == space::IDENTITIES { 32 } else { 1_000 };
                let value = Bytes::from(vec![version ^ number as u8; length]);
                batch.put(space, key::number(number), value.clone());
                self.records.insert((space, key::number(number)), value);
            }
        }
        self.world.store.write(batch).await.unwrap();
    }

    fn told(&self) -> Vec<CopyFailure> {
        self.session.failures.lock().unwrap().clone()
    }

    async fn failed(&self) -> bool {
        let Some(failure) = self.world.store.failure() else { return false };
        // A snapshot in the background may have met it a moment ago.
        soon(async {
            while self.told().is_empty() {
                tokio::task::yield_now().await;
            }
        })
        .await;
        assert_eq!(self.told(), [failure], "told once");
        true
    }

    /// The answer, or none where the copy has failed.
    fn answer<T>(&self, answer: Result<T, StoreError>) -> Option<T> {
        match answer {
            Ok(answer) => Some(answer),
            Err(StoreError::CopyFailed(failure)) => {
                assert_eq!(self.told(), [failure], "told once, and before the answer");
                None
            }
            Err(error) => panic!("{error:?}"),
        }
    }

    /// A call of the library: its answer, or none if it waits because the copy has failed.
    async fn library<T>(
        &self,
        call: impl Future<Output = Result<T, whatsapp_rust::store::error::StoreError>>,
    ) -> Option<T> {
        let mut call = pin!(call);
        soon(async {
            loop {
                match poll_once(call.as_mut()).await {
                    std::task::Poll::Ready(answer) => return Some(answer.expect("never an error to the library")),
                    std::task::Poll::Pending if self.failed().await => {
                        // Not now and not later.
                        let late = tokio::time::timeout(Duration::from_millis(5), call.as_mut()).await;
                        assert!(late.is_err());
                        return None;
                    }
                    std::task::Poll::Pending => tokio::task::yield_now().await,
                }
            }
        })
        .await
    }

    async fn get(&self) {
        for (number, ((space, key), value)) in self.records.iter().enumerate() {
            if number % 5 == 0
                && let Some(found) = self.answer(self.world.store.get(*space, key).await)
            {
                assert_eq!(found.as_ref(), Some(value));
            }
        }
        if let Some(absent) = self.answer(self.world.store.get(space::SETTINGS, b"never there").await) {
            assert_eq!(absent, None);
        }
        if let Some(found) = self.library(self.world.store.load_signed_prekey(7)).await {
            assert_eq!(found.as_deref(), Some(&*self.records[&(space::SIGNED_PRE_KEYS, key::number(7))]));
        }
        if let Some(absent) = self.library(self.world.store.get_session("nobody@c.us.0")).await {
            assert_eq!(absent, None);
        }
        if let Some(absent) = self.library(self.world.store.get_lid_mapping("nobody")).await {
            assert!(absent.is_none());
        }
    }

    async fn scan(&self) {
        for space in SPACES {
            let expected: Vec<_> = self.records.iter().filter(|((of, _), _)| *of == space).collect();
            if let Some(found) = self.answer(self.world.store.scan(space, None, usize::MAX).await) {
                let found: Vec<_> = found.into_iter().map(|(key, value)| ((space, key), value)).collect();
                assert!(found.iter().map(|(name, value)| (name, value)).eq(expected), "a scan lost records");
            }
        }
        if let Some(found) = self.library(self.world.store.load_all_signed_prekeys()).await {
            assert_eq!(found.len(), 90);
        }
    }

    async fn put(&mut self) {
        let recorded = self.world.journal.recorded();
        let value = Bytes::from_static(&[9; 700]);
        let mut batch = Batch::default();
        for number in (0u32..90).step_by(10) {
            batch.put(space::INBOX, key::number(number), value.clone());
        }
        if self.answer(self.world.store.write(batch).await).is_some() {
            for number in (0u32..90).step_by(10) {
                self.records.insert((space::INBOX, key::number(number)), value.clone());
            }
        } else {
            assert_eq!(self.world.journal.recorded(), recorded, "what the file did not take is not recorded");
        }
        let kept = self.library(self.world.store.store_signed_prekey(7, &[7; 700])).await;
        if kept.is_some() {
            self.records.insert((space::SIGNED_PRE_KEYS, key::number(7)), Bytes::from_static(&[7; 700]));
        }
    }

    async fn snapshot(&self) {
        let kept = soon(self.world.journal.keep_state_before_wipe()).await;
        assert_eq!(kept.is_err(), self.failed().await, "{kept:?}");
    }

    /// The vault has what was written, whatever became of the copy, and gives it to the next owner.
    async fn restore(&self) {
        let restored = self.world.restored().await;
        for space in SPACES {
            let expected: Vec<_> = self.records.iter().filter(|((of, _), _)| *of == space).collect();
            let found: Vec<_> =
                restored.space(space).await.into_iter().map(|(key, value)| ((space, key), value)).collect();
            assert!(found.iter().map(|(name, value)| (name, value)).eq(expected), "the vault has other records");
        }
    }
}

/// One thread that keeps one file open: another tenant's turn closes a tenant's file.
fn narrow_pool() -> Pool {
    Pool::new(PoolOptions { threads: 1, open_files: 1, ..PoolOptions::default() }).unwrap()
}

async fn one_way(way: Way, closed: bool, first: &str) {
    let name = format!("{way:?}, {}, {first} first", if closed { "closed" } else { "open" });
    let pool = narrow_pool();
    let other = Tenant::on(&pool).await;
    let mut tenant = Tenant::on(&pool).await;
    tenant.get().await;
    if closed {
        other.get().await;
    }
    way.damage(&tenant.file, &tenant.older, &fs::read(&other.file).unwrap());
    match first {
        "get" => tenant.get().await,
        "scan" => tenant.scan().await,
        "put" => tenant.put().await,
        _ => tenant.snapshot().await,
    }
    tenant.scan().await;
    if way.is_met_by_a_scan(closed) {
        assert!(tenant.failed().await, "{name}: it was not noticed");
    }
    tenant.get().await;
    tenant.put().await;
    tenant.snapshot().await;
    if tenant.failed().await {
        let failure = soon(tenant.world.store.failed()).await;
        assert_eq!(Some(&failure), tenant.world.store.failure().as_ref());
        let kind = failure.kind;
        match way {
            Way::Delete => assert_eq!(kind, CopyFailureKind::Missing, "{name}"),
            Way::OlderCopyInItsPlace | Way::OtherTenantInItsPlace | Way::DirectoryInItsPlace => {
                assert_eq!(kind, CopyFailureKind::Exchanged, "{name}: {failure}")
            }
            Way::NoPermission => assert_eq!(kind, CopyFailureKind::Unreadable, "{name}"),
            _ => assert_eq!(kind, CopyFailureKind::Damaged, "{name}: {failure}"),
        }
        // What the session does in the end.
        let mut waiting = pin!(tenant.world.store.get_session("nobody@c.us.0"));
        assert!(poll_once(waiting.as_mut()).await.is_pending());
        tenant.world.store.release_library();
        assert!(soon(waiting).await.is_err());
    } else {
        assert!(tenant.world.store.failed().now_or_never().is_none());
    }
    other.scan().await;
    assert!(!other.failed().await, "{name}: another tenant's copy failed");
    tenant.restore().await;
}

macro_rules! ways {
    ($($name:ident: $closed:literal, $first:literal;)*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            for way in WAYS {
                one_way(way, $closed, $first).await;
            }
        }
    )*};
}

ways! {
    a_damaged_open_file_answers_nothing_wrong_to_a_get: false, "get";
    a_damaged_open_file_answers_nothing_wrong_to_a_scan: false, "scan";
    a_damaged_open_file_answers_nothing_wrong_to_a_put: false, "put";
    a_damaged_open_file_becomes_no_snapshot: false, "snapshot";
    a_damaged_closed_file_answers_nothing_wrong_to_a_get: true, "get";
    a_damaged_closed_file_answers_nothing_wrong_to_a_scan: true, "scan";
    a_damaged_closed_file_answers_nothing_wrong_to_a_put: true, "put";
    a_damaged_closed_file_becomes_no_snapshot: true, "snapshot";
}

/// A row that is taken away by SQLite itself leaves a file in which everything agrees with everything.
#[tokio::test]
async fn a_row_deleted_by_another_hand_is_not_absent() {
    for closed in [false, true] {
        let pool = narrow_pool();
        let (tenant, other) = (Tenant::on(&pool).await, Tenant::on(&pool).await);
        if closed {
            other.get().await;
        } else {
            tenant.get().await;
        }
        let elsewhere = rusqlite::Connection::open(&tenant.file).unwrap();
        elsewhere
            .execute("DELETE FROM records WHERE space = ?1 AND key > ?2", (space::INBOX.0, key::number(5).to_vec()))
            .unwrap();
        drop(elsewhere);
        tenant.get().await;
        tenant.scan().await;
        assert!(tenant.failed().await);
    }
}

/// Whatever is written, undone and closed in between: the digest in memory is that of what a snapshot reads.
#[tokio::test]
async fn the_set_in_memory_is_the_set_in_the_file() {
    let seed = rand::random();
    println!("seed {seed}");
    let mut rng = SmallRng::seed_from_u64(seed);
    let pool = narrow_pool();
    let (world, other) = (World::sharing(&pool).await, World::sharing(&pool).await);
    let mut records = BTreeMap::new();
    for round in 0..60 {
        let mut batch = Batch::default();
        let mut after = records.clone();
        for _ in 0..rng.random_range(0..40) {
            let row = space::TABLE[rng.random_range(0..space::TABLE.len())];
            // Its records are looked into.
            if [space::DEVICE, space::LID_MAPPINGS].contains(&row.space) {
                continue;
            }
            let key = key::number(rng.random_range(0..30));
            if rng.random_bool(0.3) {
                batch.delete(row.space, key.clone());
                after.remove(&(row.space, key));
            } else {
                let value = Bytes::from(vec![rng.random(); rng.random_range(0..3_000)]);
                batch.put(row.space, key.clone(), value.clone());
                after.insert((row.space, key), value);
            }
        }
        if round % 20 == 7 {
            // Too long for SQLite: all of the batch is undone.
            batch.put(space::INBOX, *b"huge", vec![0; 1_000_000_001]);
            assert!(matches!(world.store.write(batch).await, Err(StoreError::Sqlite(_))));
        } else {
            world.store.write(batch).await.unwrap();
            records = after;
        }
        if rng.random_bool(0.2) {
            other.store.get(space::INBOX, b"closes the first one's file").await.unwrap();
        }
        if round % 5 == 0 {
            soon(world.journal.keep_state_before_wipe()).await.unwrap();
        }
    }
    assert_eq!(world.store.failure(), None);
    let restored = world.restored().await;
    for row in space::TABLE.iter().filter(|row| row.home == Home::Journal) {
        let expected: Vec<_> = records.iter().filter(|((of, _), _)| *of == row.space).collect();
        let found: Vec<_> =
            restored.space(row.space).await.into_iter().map(|(key, value)| ((row.space, key), value)).collect();
        assert!(found.iter().map(|(name, value)| (name, value)).eq(expected), "{}", row.name);
    }
}

/// Runs a test again in a process of its own, below a limit that the shell sets. True in that process.
fn is_below(limit: &str, test: &str) -> bool {
    const BELOW: &str = "SESSIOND_TEST_BELOW_A_LIMIT";
    if std::env::var_os(BELOW).is_some() {
        return true;
    }
    let run = format!("{limit}; exec \"$0\" --exact store::damage::{test}");
    let mut child = std::process::Command::new("sh");
    child.arg("-c").arg(run).arg(std::env::current_exe().unwrap()).env(BELOW, "1");
    let output = child.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    false
}

#[tokio::test]
async fn a_store_without_descriptors_takes_another_ones_and_then_fails_aloud() {
    if !is_below("ulimit -n 64", "a_store_without_descriptors_takes_another_ones_and_then_fails_aloud") {
        return;
    }
    let idle = Duration::from_millis(50);
    let pool = Pool::new(PoolOptions { threads: 1, idle, ..PoolOptions::default() }).unwrap();
    let (one, other) = (Tenant::on(&pool).await, Tenant::on(&pool).await);
    let mut held = Vec::new();
    let closed = async |pool: &Pool| {
        soon(async {
            while pool.open_files() > 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await
    };
    closed(&pool).await;
    other.get().await;
    while let Ok(file) = fs::File::open("/dev/null") {
        held.push(file);
    }
    // The other's file gives its descriptor, and takes it back.
    one.get().await;
    other.get().await;
    assert!(!one.failed().await && !other.failed().await);

    closed(&pool).await;
    while let Ok(file) = fs::File::open("/dev/null") {
        held.push(file);
    }
    one.get().await;
    assert!(one.failed().await);
    let failure = one.world.store.failure().unwrap();
    assert_eq!(failure.kind, CopyFailureKind::NoDescriptors);
    assert!(failure.kind.is_shortage());
    drop(held);
    one.get().await;
    other.get().await;
    assert!(!other.failed().await, "its file is as it was");
}

#[tokio::test]
async fn a_full_disk_loses_no_change_that_was_recorded() {
    // In blocks of 512 bytes or of 1,024, as the shell has it; in time for the vault's file, which has all but the local records.
    if !is_below("trap '' XFSZ; ulimit -f 8000", "a_full_disk_loses_no_change_that_was_recorded") {
        return;
    }
    let mut tenant = Tenant::on(&narrow_pool()).await;
    let mut writes = 0;
    while tenant.library(tenant.world.store.put_group_metadata(&format!("{writes}@g.us"), &[1; 20_000])).await.is_some()
    {
        writes += 1;
        assert!(writes < 1_000, "there is no limit");
    }
    let failure = tenant.world.store.failure().unwrap();
    assert_eq!(failure.kind, CopyFailureKind::DiskFull);
    assert!(failure.kind.is_shortage());
    tenant.get().await;
    tenant.put().await;
    tenant.restore().await;
}
