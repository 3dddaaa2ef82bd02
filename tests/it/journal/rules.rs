//! Cuts, takeovers and fencing: each rule with the failure that it prevents, on every home of the vault.

use std::{sync::atomic::Ordering, time::Duration};

use futures::FutureExt;
use sessiond::{
    journal::{ChangeNo, ConfirmError, Damage, JournalClosedError, Loss, OpenError, SnapshotError, open},
    vault::{Decision, DocumentKind, MAX_PAYLOAD, Seq},
};
use tokio_util::sync::CancellationToken;

use crate::support::{
    journal_bench::{Bench, Owner, connect, noise, on_every_home},
    journal_time::run,
    journal_wire::Act,
};

on_every_home! {
    what_was_waited_for_is_what_the_next_owner_finds
    an_old_owner_learns_from_the_vault_that_it_is_fenced
    an_old_owner_cannot_append_into_the_past_that_was_compacted
    a_decision_is_not_carried_out_a_second_time_from_the_past
    a_reader_whose_tail_is_compacted_away_starts_over
    a_takeover_that_lands_in_the_past_is_made_again
    a_takeover_outlives_its_own_withdrawal
    a_cut_whose_answer_was_lost_stays_as_it_was
    a_lost_append_is_no_success_when_something_else_stands_there
    an_entry_larger_than_a_document_is_whole_or_nothing
    of_two_claimers_one_stands_down
    a_takeover_whose_answer_was_lost_is_still_ours
    takeovers_are_trimmed_after_weeks_and_a_long_sleeper_asks_first
    while_the_vault_is_away_everything_waits_and_then_goes
    a_vault_that_has_lost_everything_gets_it_again
    a_vault_that_is_an_older_copy_gets_the_rest_again
    entries_that_are_lost_beside_their_snapshots_come_again
    a_loss_is_told_and_nothing_is_durable_before_all_is_there_again
    a_loss_beside_a_working_copy_that_failed_ends_the_journal
    an_older_copy_that_another_process_has_taken_over_is_no_loss
    an_entry_that_is_lost_under_its_snapshot_is_done_without
}

async fn what_was_waited_for_is_what_the_next_owner_finds(bench: Bench) {
    bench.enrol().await;
    let first = bench.open("first").await;
    assert!(first.first && first.found.is_empty());
    first.set("gone", "x");
    first.set("kept", "old");
    first.change("gone", None, None);
    let number = first.change("kept", Some("new".into()), connect(true));
    first.journal().wait(number).await.unwrap();
    assert_eq!(first.journal().durable(), number);
    assert_eq!(bench.connected().await, Some(true));
    // Four changes, one entry.
    assert_eq!(bench.documents().await.len(), 2);
    first.journal().close().await.unwrap();

    let second = bench.open("second").await;
    assert!(!second.first && second.epoch > first.epoch);
    assert_eq!((second.has("kept"), second.has("gone")), (Some(&b"new"[..]), None));
}

async fn an_old_owner_learns_from_the_vault_that_it_is_fenced(bench: Bench) {
    bench.enrol().await;
    let old = bench.open("old").await;
    old.put("key", "old").await;
    old.journal().confirm().await.unwrap();
    let new = bench.open("new").await;
    let before = bench.dump().await;
    assert!(matches!(old.journal().confirm().await, Err(ConfirmError::Closed(JournalClosedError::Fenced))));
    let number = old.change("key", Some("zombie".into()), connect(true));
    assert_eq!(old.journal().wait(number).await, Err(JournalClosedError::Fenced));
    assert_eq!(old.journal().closed().await, JournalClosedError::Fenced);
    // Whoever asks afterwards is told so, and does not wait for a writer that is gone.
    let asked = old.journal().confirm().now_or_never();
    assert!(matches!(asked, Some(Err(ConfirmError::Closed(JournalClosedError::Fenced)))), "{asked:?}");
    let kept = old.journal().keep_state_before_wipe().now_or_never();
    assert!(matches!(kept, Some(Err(SnapshotError::Closed(JournalClosedError::Fenced)))), "{kept:?}");
    // Not even what was durable before: who asks is about to act as the owner.
    assert_eq!(old.journal().wait(ChangeNo::ZERO).await, Err(JournalClosedError::Fenced));
    assert_eq!(bench.dump().await, before);
    new.put("key", "new").await;
    assert_eq!(bench.open("reader").await.has("key"), Some(&b"new"[..]));
}

/// The number that the old owner would write next lies below everything that is left: only the takeover still stands there.
async fn an_old_owner_cannot_append_into_the_past_that_was_compacted(bench: Bench) {
    bench.enrol().await;
    let old = bench.open("old").await;
    old.put("key", "old").await;
    let new = bench.open("new").await;
    bench.compact_past(&new, new.epoch.next()).await;
    drop(new);
    let newest = bench.open("newest").await;
    bench.compact_past(&newest, newest.epoch.next()).await;
    newest.journal().close().await.unwrap();
    bench.all_ended_but(1).await;
    let before = bench.dump().await;
    let number = old.change("key", Some("zombie".into()), connect(true));
    assert_eq!(old.journal().wait(number).await, Err(JournalClosedError::Fenced));
    assert_eq!(bench.dump().await, before);
}

/// An owner was stopped between the vault's yes and hearing it. What it sends again must not change the tenant's record.
async fn a_decision_is_not_carried_out_a_second_time_from_the_past(bench: Bench) {
    bench.enrol().await;
    let (wire, cx) = bench.wired("old");
    let old = bench.try_open(cx).await.unwrap();
    wire.next("append", Act::LoseAnswer);
    let asked = wire.hold("document");
    let number = old.change("key", Some("1".into()), connect(true));
    let waiting = tokio::spawn({
        let journal = old.journal().clone();
        async move { journal.wait(number).await }
    });
    asked.reached().await;
    assert_eq!(bench.connected().await, Some(true));

    let new = bench.open("new").await;
    let number = new.change("key", Some("2".into()), connect(false));
    new.journal().wait(number).await.unwrap();
    bench.compact_past_guards(&new).await;
    asked.release();
    assert_eq!(waiting.await.unwrap(), Err(JournalClosedError::Fenced));
    assert_eq!(bench.connected().await, Some(false));
}

async fn a_reader_whose_tail_is_compacted_away_starts_over(bench: Bench) {
    for held in ["chunks", "documents"] {
        let owner = bench.open("owner").await;
        bench.compact_past(&owner, owner.epoch.next()).await;
        let (wire, cx) = bench.wired("reader");
        let reading = wire.hold(held);
        let tasks = bench.tasks.clone();
        let reader = tokio::spawn(async move { open(cx, &tasks, CancellationToken::new()).await.map(Owner::new) });
        reading.reached().await;
        let end = bench.documents().await.last().unwrap().seq;
        bench.compact_past(&owner, end.next()).await;
        owner.put("last", held).await;
        reading.release();
        let reader = reader.await.unwrap().unwrap();
        assert_eq!(reader.has("last"), Some(held.as_bytes()));
        assert_eq!(reader.passed_over, None);
        assert_eq!(owner.journal().wait(owner.set("last", "zombie")).await, Err(JournalClosedError::Fenced));
    }
}

/// The reader is so slow that its takeover lands below everything that is left. There it fences no one.
async fn a_takeover_that_lands_in_the_past_is_made_again(bench: Bench) {
    let owner = bench.open("owner").await;
    owner.put("key", "1").await;
    let (wire, cx) = bench.wired("slow");
    let taking = wire.hold("append");
    let tasks = bench.tasks.clone();
    let slow = tokio::spawn(async move { open(cx, &tasks, CancellationToken::new()).await.map(Owner::new) });
    taking.reached().await;
    let number = bench.documents().await.last().unwrap().seq.next();
    bench.compact_past(&owner, number).await;
    owner.put("key", "2").await;
    taking.release();
    let slow = slow.await.unwrap().unwrap();
    assert!(slow.epoch > number.next(), "took over at {} again", slow.epoch.0);
    assert_eq!(slow.has("key"), Some(&b"2"[..]));
    assert_eq!(owner.journal().wait(owner.set("key", "zombie")).await, Err(JournalClosedError::Fenced));
    slow.put("key", "3").await;
    assert_eq!(bench.open("next").await.has("key"), Some(&b"3"[..]));
}

/// A takeover looks as if it were in the past, and is not: its successor has compacted. It still has to stop the owner before it.
async fn a_takeover_outlives_its_own_withdrawal(bench: Bench) {
    let old = bench.open("old").await;
    old.put("key", "1").await;
    let (wire, cx) = bench.wired("slow");
    let taking = wire.hold("append");
    let tasks = bench.tasks.clone();
    let slow = tokio::spawn(async move { open(cx, &tasks, CancellationToken::new()).await.map(Owner::new) });
    taking.reached().await;
    let listing = wire.hold("manifests");
    taking.release();
    listing.reached().await;
    let next = bench.open("next").await;
    bench.compact_past(&next, next.epoch.next()).await;
    listing.release();
    let slow = slow.await.unwrap().unwrap();
    assert_eq!(next.journal().wait(next.set("key", "zombie")).await, Err(JournalClosedError::Fenced));
    assert_eq!(old.journal().wait(old.set("key", "zombie")).await, Err(JournalClosedError::Fenced));
    slow.put("key", "2").await;
    assert_eq!(bench.open("reader").await.has("key"), Some(&b"2"[..]));
}

async fn a_cut_whose_answer_was_lost_stays_as_it_was(bench: Bench) {
    for act in [Act::LoseAnswer, Act::Lose] {
        let (wire, cx) = bench.wired("owner");
        let owner = bench.try_open(cx).await.unwrap();
        let before = bench.documents().await.len();
        wire.next("append", act);
        let asked = wire.hold("document");
        let first = owner.set("key", "1");
        let waiting = tokio::spawn({
            let journal = owner.journal().clone();
            async move { journal.wait(first).await }
        });
        asked.reached().await;
        // What comes while the outcome is unknown must not get into the cut.
        let second = owner.set("key", "2");
        assert!(owner.journal().outage());
        asked.release();
        waiting.await.unwrap().unwrap();
        assert_eq!(owner.journal().durable(), first);
        owner.journal().wait(second).await.unwrap();
        assert!(!owner.journal().outage());
        assert_eq!(bench.documents().await.len(), before + 2);
        assert_eq!(bench.open("next").await.has("key"), Some(&b"2"[..]));
    }
}

/// The request was lost, and before it is sent again another owner's document takes the number.
async fn a_lost_append_is_no_success_when_something_else_stands_there(bench: Bench) {
    let (wire, cx) = bench.wired("old");
    let old = bench.try_open(cx).await.unwrap();
    wire.next("append", Act::Lose);
    let asked = wire.hold("document");
    let number = old.set("key", "lost");
    let waiting = tokio::spawn({
        let journal = old.journal().clone();
        async move { journal.wait(number).await }
    });
    asked.reached().await;
    let new = bench.open("new").await;
    asked.release();
    assert_eq!(waiting.await.unwrap(), Err(JournalClosedError::Fenced));
    assert_eq!(new.has("key"), None);
}

/// Takes four documents, of which three fit into a commit.
const HUGE: usize = 3 * MAX_PAYLOAD + MAX_PAYLOAD / 2;

async fn an_entry_larger_than_a_document_is_whole_or_nothing(bench: Bench) {
    let owner = bench.open("owner").await;
    for n in 0..400 {
        owner.set(&format!("message {n}"), noise(200 + n));
    }
    owner.put("huge", noise(HUGE)).await;
    let documents = bench.documents().await;
    let kinds: Vec<_> = documents[1..].iter().map(|document| document.kind).collect();
    assert_eq!(kinds, [[DocumentKind::Part; 3].as_slice(), &[DocumentKind::Last]].concat());

    let next = bench.open("next").await;
    assert_eq!(next.found.len(), 401);
    assert_eq!(next.has("huge"), Some(&*noise(HUGE)));
    assert_eq!(next.has("message 399"), Some(&*noise(599)));
    drop(owner);

    // The next one dies between the two commits that such an entry takes.
    let (wire, cx) = bench.wired("dying");
    let dying = bench.try_open(cx).await.unwrap();
    let (first, second) = (wire.hold("append"), wire.hold("append"));
    first.release();
    dying.set("huge", noise(HUGE + 1));
    let number = dying.set("other", "x");
    assert!(dying.journal().wait(number).now_or_never().is_none());
    second.reached().await;
    assert_eq!(bench.documents().await.last().unwrap().kind, DocumentKind::Part);
    let heir = bench.open("heir").await;
    assert_eq!((heir.has("huge"), heir.has("other")), (Some(&*noise(HUGE)), None));
    second.release();
    assert_eq!(dying.journal().wait(number).await, Err(JournalClosedError::Fenced));
    heir.put("other", "y").await;
    assert_eq!(bench.open("last").await.has("other"), Some(&b"y"[..]));
}

async fn of_two_claimers_one_stands_down(bench: Bench) {
    bench.open("former").await.put("key", "1").await;
    let (mut claims, mut holds) = (Vec::new(), Vec::new());
    for name in ["one", "other"] {
        let (wire, cx) = bench.wired(name);
        let taking = wire.hold("append");
        let tasks = bench.tasks.clone();
        claims.push(tokio::spawn(async move { open(cx, &tasks, CancellationToken::new()).await.map(Owner::new) }));
        taking.reached().await;
        holds.push(taking);
    }
    holds.iter().for_each(|taking| taking.release());
    let mut won = Vec::new();
    for claim in claims {
        match claim.await.unwrap() {
            Ok(owner) => won.push(owner),
            Err(OpenError::Taken) => {}
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!(won.len(), 1);
    won[0].put("key", "2").await;
}

async fn a_takeover_whose_answer_was_lost_is_still_ours(bench: Bench) {
    for act in [Act::LoseAnswer, Act::Lose] {
        let (wire, cx) = bench.wired("owner");
        let before = bench.documents().await.len();
        wire.next("append", act);
        let owner = bench.try_open(cx).await.unwrap();
        assert_eq!(bench.documents().await.len(), before + 1);
        owner.put("key", "1").await;
    }
}

async fn takeovers_are_trimmed_after_weeks_and_a_long_sleeper_asks_first(bench: Bench) {
    let mut epochs = Vec::new();
    let sleeper = bench.open("sleeper").await;
    for _ in 0..5 {
        epochs.push(bench.open("owner").await.epoch);
    }
    *bench.clock.ahead.lock().unwrap() = Duration::from_secs(29 * 24 * 3600);
    let owner = bench.open("owner").await;
    bench.compact_past(&owner, owner.epoch.next()).await;
    let trimmed = || async {
        let takeovers = bench.vault.takeovers(&bench.tenant).await.unwrap();
        takeovers.iter().map(|(seq, _)| *seq).eq([owner.epoch])
    };
    bench.until("only ours is left", trimmed).await;
    // Its next number is free now.
    assert_eq!(bench.vault.document(&bench.tenant, sleeper.epoch.next()).await.unwrap(), None);
    assert_eq!(sleeper.journal().wait(sleeper.set("key", "zombie")).await, Err(JournalClosedError::Fenced));
    assert_eq!(bench.vault.document(&bench.tenant, sleeper.epoch.next()).await.unwrap(), None);
}

async fn while_the_vault_is_away_everything_waits_and_then_goes(bench: Bench) {
    let (wire, cx) = bench.wired("owner");
    let owner = bench.try_open(cx).await.unwrap();
    let confirmed_at = owner.journal().confirmed_at();
    wire.down(true);
    let number = owner.set("key", "1");
    assert!(owner.journal().wait(number).now_or_never().is_none());
    bench.until("it is noticed", || async { owner.journal().outage() }).await;
    assert!(matches!(owner.journal().confirm().await, Err(ConfirmError::Vault(_))));
    assert_eq!(owner.journal().durable(), ChangeNo::ZERO);
    wire.down(false);
    owner.journal().wait(number).await.unwrap();
    assert!(!owner.journal().outage() && owner.journal().confirmed_at() >= confirmed_at);
    assert_eq!(bench.open("next").await.has("key"), Some(&b"1"[..]));
}

/// Is everything that `owner` has in the vault, for the next one?
async fn assert_heals(bench: &Bench, owner: &Owner, lost: &str) {
    owner.put("after", lost.to_owned()).await;
    owner.put("and then", lost.to_owned()).await;
    owner.journal().confirm().await.unwrap();
    assert!(owner.journal().loss().borrow().is_none() && !owner.journal().outage());
    let next = bench.open("next").await;
    assert_eq!(next.found, *owner.store.state.lock().unwrap(), "{lost}");
    assert_eq!(next.passed_over, None, "{lost}");
    assert_eq!(owner.journal().wait(owner.set("key", "zombie")).await, Err(JournalClosedError::Fenced), "{lost}");
    // And it goes on from there, snapshots and all.
    bench.compact_past(&next, next.epoch.next()).await;
    assert_eq!(bench.open("reader").await.has("after"), Some(lost.as_bytes()), "{lost}");
}

async fn busy(bench: &Bench) -> Owner {
    let owner = bench.open("owner").await;
    for n in 0..11 {
        owner.put(&format!("key {n}"), "before").await;
    }
    owner
}

async fn a_vault_that_has_lost_everything_gets_it_again(bench: Bench) {
    let owner = busy(&bench).await;
    bench.lose_from(Seq(1)).await;
    assert_heals(&bench, &owner, "everything").await;
}

async fn a_vault_that_is_an_older_copy_gets_the_rest_again(bench: Bench) {
    for back in [0, 1, 5] {
        let owner = busy(&bench).await;
        // A snapshot that is being written would be put into the copy.
        let end = bench.documents().await.last().unwrap().seq;
        bench.lose_from(Seq(end.0 - back)).await;
        assert_heals(&bench, &owner, &format!("all from {back} before the end")).await;
    }
}

async fn entries_that_are_lost_beside_their_snapshots_come_again(bench: Bench) {
    let owner = busy(&bench).await;
    let all: Vec<_> = bench.documents().await.iter().map(|document| document.seq).collect();
    bench.vault.remove_documents(&bench.tenant, &all).await.unwrap();
    // A confirmation notices it as well.
    let confirmed = owner.journal().confirm().await;
    // A snapshot in the background may have been faster.
    assert!(confirmed.is_err() || !bench.documents().await.is_empty());
    assert_heals(&bench, &owner, "all entries").await;
}

async fn a_loss_is_told_and_nothing_is_durable_before_all_is_there_again(bench: Bench) {
    let (wire, cx) = bench.wired("owner");
    let owner = bench.try_open(cx).await.unwrap();
    owner.put("key", "1").await;
    let durable = owner.journal().durable();
    bench.lose_from(Seq(2)).await;
    wire.next("start_over", Act::Lose);
    wire.next("start_over", Act::LoseAnswer);
    let held = wire.hold("put_chunk");
    let number = owner.set("key", "2");
    let waiting = tokio::spawn({
        let journal = owner.journal().clone();
        async move { journal.wait(number).await }
    });
    held.reached().await;
    assert_eq!(*owner.journal().loss().borrow(), Some(Loss::Entry(Seq(2))));
    assert!(owner.journal().outage() && owner.journal().durable() == durable && !waiting.is_finished());
    // Nobody who reads now finds anything that is half there.
    assert_eq!(bench.documents().await.len(), 1);
    held.release();
    waiting.await.unwrap().unwrap();
    assert_eq!(*owner.journal().loss().borrow(), None);
    assert!(!owner.journal().outage() && owner.journal().durable() >= number);
    assert_eq!(bench.open("next").await.has("key"), Some(&b"2"[..]));
}

/// Nobody has what is lost: the journal ends, and the next owner finds what the vault has.
async fn a_loss_beside_a_working_copy_that_failed_ends_the_journal(bench: Bench) {
    let owner = busy(&bench).await;
    bench.all_ended_but(1).await;
    owner.store.failed.store(true, Ordering::Relaxed);
    bench.lose_from(bench.documents().await.last().unwrap().seq).await;
    owner.set("key", "lost");
    let closing = tokio::spawn({
        let journal = owner.journal().clone();
        async move { journal.close().await }
    });
    bench.until("it is closed", || async { closing.is_finished() }).await;
    let closed = closing.await.unwrap();
    assert!(matches!(closed, Err(JournalClosedError::StateLost(Loss::Entry(_)))), "{closed:?}");
    let next = bench.open("next").await;
    assert_eq!((next.has("key"), next.has("key 0")), (None, Some(&b"before"[..])));
}

/// Then the other one owns what is left, and this one is over.
async fn an_older_copy_that_another_process_has_taken_over_is_no_loss(bench: Bench) {
    for from in [1, 4] {
        let owner = busy(&bench).await;
        *bench.clock.ahead.lock().unwrap() += Duration::from_secs(60);
        bench.all_ended_but(1).await;
        bench.lose_from(Seq(from)).await;
        let other = bench.open("other").await;
        assert_eq!(owner.journal().wait(owner.set("key", "zombie")).await, Err(JournalClosedError::Fenced));
        other.put("key", "other").await;
        assert_eq!(bench.open("next").await.has("key"), Some(&b"other"[..]));
        bench.lose_from(Seq(1)).await;
    }
}

/// With no owner alive: what the snapshot has is there, and that something is missing is told.
async fn an_entry_that_is_lost_under_its_snapshot_is_done_without(bench: Bench) {
    let owner = busy(&bench).await;
    let kept = owner.journal().keep_state_before_wipe().await.unwrap();
    owner.journal().close().await.unwrap();
    drop(owner);
    let all: Vec<_> = bench.documents().await.iter().map(|document| document.seq).collect();
    bench.vault.remove_documents(&bench.tenant, &all).await.unwrap();
    let next = bench.open("next").await;
    assert_eq!(next.has("key 10"), Some(&b"before"[..]));
    assert_eq!(next.passed_over, Some(Damage::MissingEntry(kept.seq)));
    next.put("key", "1").await;
    assert_eq!(bench.open("reader").await.has("key"), Some(&b"1"[..]));
}

#[test]
fn a_record_that_is_removed_comes_back_with_the_next_decision() {
    run(|time| async move {
        let bench = Bench::simulated(time);
        let owner = bench.open("owner").await;
        let phone = Decision { phone_number: Some(Some("57300".into())), ..Decision::default() };
        owner.journal().know_record(phone);
        owner.put("key", "1").await;
        bench.world.as_ref().unwrap().ground().record = None;
        owner.put("key", "2").await;
        let number = owner.change("key", Some("3".into()), connect(true));
        owner.journal().wait(number).await.unwrap();
        let record = bench.vault.tenant(&bench.tenant).await.unwrap().unwrap();
        assert_eq!((record.whatsapp_connected, record.phone_number), (true, Some("57300".into())));
        assert_eq!(bench.open("next").await.has("key"), Some(&b"3"[..]));
    });
}
