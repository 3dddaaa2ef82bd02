//! Segments in trouble: strays, a vault that is silent, a segment that is lost, another build, and readers while segments are closed.

use std::sync::Arc;

use sessiond::{
    journal::ArchiveError,
    message::{EventId, FormerConversations, Outbox},
    store::{Batch, OwnAccount, StoreError, space},
};

use super::{DAY, Desk, KEEP, backwards, ids, open};
use crate::support::store_world::{soon, tenant};

/// A reader with a cursor, while events come and leave.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_or_doubled_while_segments_are_closed() {
    let desk = Arc::new(Desk::new(KEEP).await);
    let writer = tokio::spawn({
        let desk = desk.clone();
        async move { desk.write(600).await }
    });
    let closer = tokio::spawn({
        let desk = desk.clone();
        async move {
            let mut swept = false;
            while desk.log.after(None, usize::MAX).await.unwrap().len() < 600 {
                desk.log.tidy(&mut swept).await.unwrap();
            }
        }
    });
    let mut seen: Vec<EventId> = Vec::new();
    while seen.len() < 600 {
        let events = desk.log.after(seen.last().copied(), 16).await.unwrap();
        assert!(events.iter().all(|event| seen.last().is_none_or(|last| event.id > *last)));
        seen.extend(ids(&events));
        let back = backwards(&desk.log, 9).await;
        assert!(back.windows(2).all(|pair| pair[0] > pair[1]), "no doubles, in order");
        assert!(back.len() >= seen.len(), "nothing is missing on the way back: {} of {}", back.len(), seen.len());
        tokio::task::yield_now().await;
    }
    soon(async { (writer.await.unwrap(), closer.await.unwrap()) }).await;
    assert_eq!(seen, desk.all().await);
    assert!(desk.documents().await.len() > 20);
}

#[tokio::test]
async fn what_nothing_refers_to_is_removed_by_the_next_owner_and_by_no_other() {
    let desk = Desk::new(KEEP).await;
    desk.write(30).await;
    let stray = desk.world.journal.archive().put("01STRAY", b"written, and then the process died").await.unwrap();
    let next = desk.restored(KEEP).await;
    next.tidy().await.unwrap();
    let kept = next.documents().await;
    assert!(!kept.is_empty() && kept.iter().all(|name| !name.starts_with(stray.name())), "{kept:?}");
    // The one before does not know yet that it is none any more, and takes the other's segments for strays.
    desk.tidy().await.unwrap_err();
    assert_eq!(next.documents().await, kept);
    assert_eq!(next.all().await.len(), 30);
}

#[tokio::test]
async fn a_vault_that_does_not_answer_is_no_empty_history() {
    let desk = Desk::new(KEEP).await;
    desk.write(50).await;
    let before = desk.all().await;
    desk.tidy().await.unwrap();
    let log = open(&desk.world, desk.clock.clone(), KEEP).await;
    desk.world.silence();
    let is_told = |error: StoreError| matches!(error, StoreError::Archive(ArchiveError::Vault(_)));
    assert!(log.after(None, 100).await.is_err_and(is_told));
    assert!(log.before(None, 100).await.is_err_and(is_told));
    assert!(log.find(before[0]).await.is_err_and(is_told));
    assert_eq!(ids(&log.before(None, 10).await.unwrap()).len(), 10, "what is in the state is read all the same");
    assert_eq!(log.trimmed(), None, "nothing is taken for lost");
    desk.world.answer();
    assert_eq!(ids(&log.after(None, 100).await.unwrap()), before);
}

#[tokio::test]
async fn a_segment_that_is_lost_is_told_of_and_holds_up_nothing() {
    async fn altered(desk: &Desk, names: &[String]) {
        let vault = &desk.world.line.vault;
        let mut bytes = vault.segment(&tenant(), &names[1]).await.unwrap().unwrap().to_vec();
        *bytes.last_mut().unwrap() ^= 1;
        vault.put_segment(&tenant(), &names[1], bytes.into()).await.unwrap();
    }
    async fn swapped(desk: &Desk, names: &[String]) {
        let vault = &desk.world.line.vault;
        let other = vault.segment(&tenant(), &names[2]).await.unwrap().unwrap();
        vault.put_segment(&tenant(), &names[1], other).await.unwrap();
    }
    async fn missing(desk: &Desk, names: &[String]) {
        desk.world.line.vault.remove_segments(&tenant(), &names[1..2]).await.unwrap();
    }
    for wound in ["altered", "swapped", "missing"] {
        let desk = Desk::new(KEEP).await;
        desk.write(50).await;
        let before = desk.all().await;
        desk.tidy().await.unwrap();
        let names = desk.documents().await;
        match wound {
            "altered" => altered(&desk, &names).await,
            "swapped" => swapped(&desk, &names).await,
            _ => missing(&desk, &names).await,
        }
        let log = open(&desk.world, desk.clock.clone(), KEEP).await;
        assert_eq!(ids(&log.after(None, 100).await.unwrap()), before[..10], "{wound}: as far as it goes");
        assert!(log.after(Some(before[9]), 100).await.is_err_and(|error| match error {
            StoreError::Archive(error) => error.is_lost(),
            _ => false,
        }));
        assert_eq!(log.trimmed(), Some(before[19]), "{wound}: and where it goes on");
        assert_eq!(ids(&log.after(log.trimmed(), 100).await.unwrap()), before[20..]);
        let rest: Vec<_> = before[20..].iter().chain(&[]).rev().chain(before[..10].iter().rev()).copied().collect();
        assert_eq!(backwards(&log, 7).await, rest, "{wound}: conversations are read around it");
        assert_eq!(log.find(before[15]).await.unwrap(), None);
    }
}

/// A build that was rolled back meets what a later one wrote: it keeps it.
#[tokio::test]
async fn what_this_build_cannot_read_is_no_stray() {
    let desk = Desk::new(KEEP).await;
    desk.write(30).await;
    desk.tidy().await.unwrap();
    let before = desk.documents().await;
    let (key, _) = desk.world.space(space::SEGMENTS).await[0].clone();
    let mut batch = Batch::default();
    batch.put(space::SEGMENTS, key, b"{\"of\":\"a later version\"}".to_vec());
    desk.world.store.write(batch).await.unwrap();
    let next = desk.restored(KEEP).await;
    next.write(30).await;
    next.tidy().await.unwrap();
    let after = next.documents().await;
    assert!(before.iter().all(|name| after.contains(name)), "deleted: {before:?} -> {after:?}");
}

/// The tenant is another account, durably, and then the vault does not remove a document: that is a stray, and no failed change.
#[tokio::test]
async fn a_change_of_the_account_that_leaves_a_stray_is_carried_out() {
    let desk = Desk::new(KEEP).await;
    desk.write(104).await;
    desk.tidy().await.unwrap();
    let documents = desk.documents().await;
    assert!(!documents.is_empty());
    let outbox =
        Outbox::open(desk.world.store.clone(), desk.log.clone(), desk.clock.clone(), DAY, 64 << 20).await.unwrap();
    let (former, new) = (OwnAccount::new("573001112233", None), OwnAccount::new("573009998877", None));
    desk.world.line.keep_segments();
    let changed = soon(outbox.change_account(former, Some(&new), FormerConversations::Delete)).await;
    assert!(changed.is_ok(), "called refused although it is carried out: {changed:?}");
    assert_eq!(desk.documents().await, documents);
    let desk = desk.restored(KEEP).await;
    assert_eq!(desk.world.store.own_account().await.unwrap(), Some(new));
    assert_eq!(desk.all().await.len(), 1, "the change itself");
    // The next owner sweeps before it closes a segment of its own.
    desk.write(30).await;
    desk.tidy().await.unwrap();
    let left = desk.documents().await;
    assert!(documents.iter().all(|stray| !left.contains(stray)), "{left:?}");
}
