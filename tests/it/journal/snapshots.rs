//! Snapshots, compaction, and what a journal costs.

use std::time::Duration;

use bytes::Bytes;
use sessiond::{
    journal::{ChangeNo, Context, Damage, Document, JournalClosedError, OlderSeals, Policy, SnapshotError, open},
    seal::{Keyring, MasterKey},
    vault::Seq,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::support::{
    journal_bench::{Bench, noise, on_every_home},
    journal_time::run,
    journal_wire::Act,
};

on_every_home! {
    a_late_chunk_of_a_failed_snapshot_harms_no_later_one
    an_owner_that_is_fenced_while_it_writes_a_snapshot_deletes_nothing
    a_snapshot_holds_no_change_that_the_journal_does_not
    a_damaged_newest_snapshot_is_passed_over
    the_state_before_a_wipe_is_kept_for_a_week
    what_the_owner_before_compacted_is_no_loss
}

async fn a_late_chunk_of_a_failed_snapshot_harms_no_later_one(bench: Bench) {
    let (wire, cx) = bench.wired("owner");
    let owner = bench.try_open(cx).await.unwrap();
    owner.put("key", "1").await;
    // Given up after its last try.
    let late = crate::support::journal_wire::Hold::new();
    wire.next("put_chunk", Act::Late(late.clone()));
    (0..3).for_each(|_| wire.next("put_chunk", Act::Lose));
    assert!(owner.journal().keep_state_before_wipe().await.is_err());
    assert_eq!(bench.vault.snapshots(&bench.tenant).await.unwrap(), []);

    owner.put("key", "2").await;
    let good = owner.journal().keep_state_before_wipe().await.unwrap();
    late.release();
    late.landed().await;
    let ids = bench.vault.snapshots(&bench.tenant).await.unwrap();
    assert_eq!(ids.len(), 2, "the late one is there: {ids:?}");
    drop(owner);
    let next = bench.open("next").await;
    assert_eq!(next.has("key"), Some(&b"2"[..]));
    assert_eq!(next.passed_over, None);
    // It goes with the next compaction.
    bench.compact_past(&next, good.seq).await;
    let swept = || async { bench.vault.snapshots(&bench.tenant).await.unwrap().iter().all(|id| id.seq >= good.seq) };
    bench.until("the late chunk is swept", swept).await;
}

async fn an_owner_that_is_fenced_while_it_writes_a_snapshot_deletes_nothing(bench: Bench) {
    let (wire, cx) = bench.wired("old");
    let old = bench.try_open(cx).await.unwrap();
    bench.compact_past(&old, old.epoch.next()).await;
    let writing = wire.hold("put_chunk");
    for n in 0..8 {
        old.put("key", format!("{n}")).await;
    }
    writing.reached().await;
    // One that takes no snapshots itself.
    let new = open(bench.context("new"), &bench.tasks, CancellationToken::new()).await.unwrap();
    let (before, sent) = (bench.dump().await, wire.sent().len());
    writing.release();
    assert_eq!(old.journal().closed().await, JournalClosedError::Fenced);
    assert_eq!(wire.sent()[sent..].iter().find(|kind| **kind != "put_chunk"), None);
    let after = bench.dump().await;
    assert_eq!((after.documents, after.manifests), (before.documents, before.manifests));
    drop(new);
}

/// Else the change would become durable without an entry, which no takeover could prevent.
async fn a_snapshot_holds_no_change_that_the_journal_does_not(bench: Bench) {
    let (wire, cx) = bench.wired("old");
    let old = bench.try_open(cx).await.unwrap();
    old.put("key", "1").await;
    let (appending, chunk) = (wire.hold("append"), wire.hold("put_chunk"));
    old.set("key", "2");
    let keeping = tokio::spawn({
        let journal = old.journal().clone();
        async move { journal.keep_state_before_wipe().await }
    });
    // The chunks are written, the entry before them is still on its way: so the manifest has to wait.
    chunk.reached().await;
    chunk.release();
    appending.reached().await;
    let new = bench.open("new").await;
    assert_eq!(new.has("key"), Some(&b"1"[..]));
    appending.release();
    assert!(matches!(keeping.await.unwrap(), Err(SnapshotError::Closed(JournalClosedError::Fenced))));
    assert_eq!(bench.vault.manifests(&bench.tenant).await.unwrap(), []);
    assert_eq!(bench.open("reader").await.has("key"), Some(&b"1"[..]));
}

/// Nothing is deleted above the previous snapshot, so the newest one may be lost.
async fn a_damaged_newest_snapshot_is_passed_over(bench: Bench) {
    let owner = bench.open("owner").await;
    bench.compact_past(&owner, Seq(12)).await;
    owner.put("key", "last").await;
    owner.journal().close().await.unwrap();
    drop(owner);
    let newest = bench.vault.manifests(&bench.tenant).await.unwrap().pop().unwrap();
    bench.vault.put_chunk(&bench.tenant, &newest.id, 0, Bytes::from_static(b"rubbish")).await.unwrap();
    let next = bench.open("next").await;
    assert_eq!(next.has("key"), Some(&b"last"[..]));
    let passed_over = next.passed_over.expect("told");
    assert!(matches!(passed_over, Damage::DoesNotOpen { document: Document::Chunk(..), .. }), "{passed_over}");
}

async fn the_state_before_a_wipe_is_kept_for_a_week(bench: Bench) {
    let owner = bench.open("owner").await;
    owner.put("credentials", "precious").await;
    let kept = owner.journal().keep_state_before_wipe().await.unwrap();
    let wiped = owner.change("credentials", None, None);
    owner.journal().wait(wiped).await.unwrap();
    bench.compact_past(&owner, kept.seq.next().next()).await;
    let manifests = bench.vault.manifests(&bench.tenant).await.unwrap();
    assert_eq!(manifests[0].id, kept);
    assert_eq!(bench.vault.chunks(&bench.tenant, &kept).await.unwrap().len(), 1);
    let next = bench.open("next").await;
    assert_eq!(next.has("credentials"), None, "what is kept is no state to come back to");

    *bench.clock.ahead.lock().unwrap() = Duration::from_secs(8 * 24 * 3600);
    let end = bench.documents().await.last().unwrap().seq;
    bench.compact_past(&next, end.next()).await;
    let gone =
        || async { bench.vault.manifests(&bench.tenant).await.unwrap().iter().all(|manifest| manifest.id != kept) };
    bench.until("it is gone", gone).await;
}

/// While the new owner reads, the one before writes its first snapshots and takes away what they stand for.
async fn what_the_owner_before_compacted_is_no_loss(mut bench: Bench) {
    let old = bench.open("old").await;
    for n in 0..2 {
        old.put("key", format!("{n}")).await;
    }
    bench.policy.audit = Some(Duration::from_millis(50));
    let (wire, cx) = bench.wired("new");
    let takeover = wire.hold("append");
    let opening = bench.try_open(cx);
    let compacting = async {
        takeover.reached().await;
        let kept = old.journal().keep_state_before_wipe().await.unwrap();
        old.journal().keep_state_before_wipe().await.unwrap();
        let compacted = || async { bench.vault.entries_below(&bench.tenant, kept.seq).await.unwrap().is_empty() };
        bench.until("what is below is taken away", compacted).await;
        takeover.release();
    };
    let (new, ()) = tokio::join!(opening, compacting);
    let new = new.unwrap();
    assert_eq!(new.has("key"), Some(&b"1"[..]));
    // An audit begins with them. Whoever finds a loss asks for them once more before it is counted.
    for _ in 0..4 {
        let begun = wire.hold("manifests");
        begun.reached().await;
        begun.release();
    }
    assert_eq!(new.journal().losses(), 0, "{:?}", bench.dump().await.documents);
}

#[test]
fn what_no_one_waits_for_goes_alone_and_an_idle_journal_does_nothing() {
    run(|time| async move {
        let bench = Bench::simulated(time.clone());
        let owner = bench.open("owner").await;
        owner.set("key", "1");
        let before = time.elapsed();
        bench.until("it goes", || async { owner.journal().durable() > ChangeNo::ZERO }).await;
        let lingered = time.elapsed() - before;
        assert!(lingered >= bench.policy.pace.linger && lingered < bench.policy.pace.linger * 2, "{lingered:?}");
        let usage = bench.vault.usage();
        assert_eq!(time.timers(), 1, "only the end of the simulation is waited for");
        time.sleep(Duration::from_secs(24 * 3600)).await;
        assert_eq!(bench.vault.usage(), usage);
        drop(owner);
        bench.tasks.close();
        bench.tasks.wait().await;
    });
}

/// Writes for each message, snapshots and all, when one message comes every so often, in one chat after the other, and each is waited
/// for. A write takes 31 ms on the average.
fn writes_a_message(every: Duration) -> f64 {
    run(|time| async move {
        let mut bench = Bench::simulated(time.clone());
        bench.policy = Policy::default();
        let owner = bench.open("owner").await;
        let before = bench.vault.usage().writes;
        let messages = 3000;
        let waiting = TaskTracker::new();
        for n in 0..messages {
            // The inbox record, and the ratchet that opened it.
            owner.set(&format!("inbox {n}"), noise(400));
            let number = owner.set(&format!("session {}", n % 20), noise(2000 + n as usize % 7));
            let journal = owner.journal().clone();
            waiting.spawn(async move { journal.wait(number).await.unwrap() });
            time.sleep(every).await;
        }
        waiting.close();
        waiting.wait().await;
        (bench.vault.usage().writes - before) as f64 / f64::from(messages)
    })
}

#[test]
fn a_message_a_second_costs_one_write_and_fifty_share_them_by_batching_alone() {
    let slow = writes_a_message(Duration::from_secs(1));
    assert!(slow <= 1.3, "{slow}");
    let fast = writes_a_message(Duration::from_millis(20));
    // A write is always on its way: 50 messages in 1,000 ms / 31 ms writes, and the snapshots.
    assert!(fast <= 0.67, "{fast}");
}

/// The texts of one chat: each waits for its own cut. Nothing but the vault's answers takes time.
#[test]
fn who_waits_for_one_write_after_the_other_waits_for_nothing_else() {
    run(|time| async move {
        let mut bench = Bench::simulated(time.clone());
        bench.policy = Policy::default();
        let owner = bench.open("owner").await;
        let before = time.elapsed();
        for n in 0..200 {
            owner.put("key", format!("{n}")).await;
        }
        let took = time.elapsed() - before;
        assert!(took <= 200 * Duration::from_millis(40), "{took:?}");
    });
}

/// Two keys, then the new one alone: what the owner has written, what is kept since a wipe, and pieces of the history.
async fn nothing_needs_the_older_key(bench: Bench) {
    let key = |n: u8| -> MasterKey { format!("{n:02x}").repeat(32).parse().unwrap() };
    let with = |keys: &[u8], name: &str| Context {
        seal: Keyring::new(keys.iter().map(|n| key(*n)).collect()).tenant(&bench.tenant),
        ..bench.context(name)
    };
    let left = async |keys: &[u8]| OlderSeals::count(&with(keys, "counter")).await.unwrap();
    let owner = bench.try_open(with(&[1], "old")).await.unwrap();
    bench.compact_past(&owner, owner.epoch.next()).await;
    owner.put("credentials", "precious").await;
    let kept = owner.journal().keep_state_before_wipe().await.unwrap();
    owner.journal().wait(owner.change("credentials", None, None)).await.unwrap();
    let piece = owner.journal().archive().put("label", b"what was said").await.unwrap();
    owner.journal().close().await.unwrap();
    drop(owner);
    assert_eq!(left(&[1]).await, OlderSeals::default());
    let all = left(&[2, 1]).await;
    assert!(all.snapshots >= 2 && all.entries >= 1 && all.segments == 1, "{all:?}");

    let (wire, cx) = bench.wired("new");
    let owner = bench.try_open(Context { vault: cx.vault.clone(), ..with(&[2, 1], "new") }).await.unwrap();
    let archive = owner.journal().archive();
    let again = archive.reseal("label", &piece).await.unwrap().expect("it was sealed with the other key");
    assert_eq!(archive.reseal("label", &again).await.unwrap(), None, "it is done");
    assert_eq!(archive.get("label", &again).await.unwrap(), b"what was said");
    archive.remove(&piece).await.unwrap();
    // The vault loses the copy of what is kept; then an answer. The next time does the rest.
    wire.next("start_over", Act::Lose);
    assert!(owner.journal().reseal().await.is_err(), "said to be done while a state that is kept is not");
    assert!(left(&[2, 1]).await.snapshots > 0);
    assert_eq!(wire.sent().iter().filter(|kind| **kind == "start_over").count(), 1);
    owner.journal().reseal().await.unwrap();
    assert_eq!(left(&[2, 1]).await, OlderSeals::default());
    owner.put("key", "after").await;
    owner.journal().close().await.unwrap();
    drop(owner);

    // Also what was kept opens with the new key, where it stood, and is kept on.
    let manifests = bench.vault.manifests(&bench.tenant).await.unwrap();
    let copy = manifests.iter().find(|manifest| manifest.id.seq == kept.seq).expect("it is kept");
    assert_ne!(copy.id, kept);
    let next = bench.try_open(with(&[2], "next")).await.unwrap();
    assert_eq!((next.has("key"), next.has("credentials")), (Some(&b"after"[..]), None));
    assert_eq!(next.passed_over, None);
    assert_eq!(next.journal().archive().get("label", &again).await.unwrap(), b"what was said");
    bench.compact_past(&next, next.epoch.next().next()).await;
    assert!(bench.vault.manifests(&bench.tenant).await.unwrap().iter().any(|manifest| manifest.id == copy.id));
}

#[tokio::test]
async fn nothing_needs_the_older_key_in_a_file() {
    crate::support::journal_bench::in_time(nothing_needs_the_older_key(Bench::embedded())).await;
}

#[tokio::test]
async fn nothing_needs_the_older_key_in_firestore() {
    if let Some(bench) = Bench::firestore().await {
        crate::support::journal_bench::in_time(nothing_needs_the_older_key(bench)).await;
    }
}
