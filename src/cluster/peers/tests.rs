//! Who lives, told from looks, letters and the kernel.

use super::*;
use crate::cluster::this_process;

fn instance(id: &str, beat: i64, process: Option<String>) -> Instance {
    Instance {
        id: InstanceId(id.into()),
        address: Some(LETTER_BOX.into()),
        listens_at: None,
        process,
        version: String::new(),
        started_at: Timestamp::UNIX_EPOCH,
        heartbeat_at: Timestamp::from_second(beat).unwrap(),
        draining: false,
    }
}

fn at(ms: u64) -> Instant {
    Instant::from_start(Duration::from_millis(ms))
}

/// Each an announcement apart.
fn looks(peers: &Peers, instances: &[Instance], count: u32) {
    (0..count).for_each(|_| {
        peers.observe(instances, at(0));
    });
}

fn does_not_answer(peers: &Peers, id: &InstanceId) {
    peers.ask(id, at(0));
    (1..=4).for_each(|n| peers.count(at(n * 2000)));
}

fn peers() -> Peers {
    Peers::new(Duration::from_secs(30))
}

#[test]
fn whoever_is_not_seen_to_change_is_dead() {
    let peers = peers();
    let other = InstanceId("other".into());
    assert!(!peers.is_alive(&other), "nobody has ever seen it");
    // Its clock is years behind; only that it changes counts.
    looks(&peers, &[instance("other", 7, None)], 1);
    looks(&peers, &[instance("other", 5, None)], MISSED);
    assert!(peers.is_alive(&other));
    looks(&peers, &[instance("other", 6, None)], MISSED);
    assert!(peers.is_alive(&other));
    // The vault was away.
    peers.excuse(at(0));
    looks(&peers, &[instance("other", 6, None)], MISSED - 1);
    assert!(peers.is_alive(&other));
    let look = peers.observe(&[instance("other", 6, None)], at(0));
    assert_eq!(look.silent, std::slice::from_ref(&other));
    assert!(peers.is_alive(&other), "it was not asked yet");
    let look = peers.observe(&[instance("other", 6, None)], at(0));
    assert!(look.silent.is_empty() && peers.has_doubts(), "it is to be asked once");
    does_not_answer(&peers, &other);
    assert_eq!(peers.dead(), std::slice::from_ref(&other));
    looks(&peers, &[instance("other", 8, None)], 1);
    assert!(peers.is_alive(&other), "it goes on");
    assert!(peers.observe(&[], at(1)).has_lost_one, "one that lived is gone");
    assert!(!peers.is_alive(&other), "it has stopped");
    assert!(!peers.observe(&[], at(2)).has_lost_one, "which is told once");
}

/// An earlier version: it answers no letters.
#[test]
fn one_that_reads_no_letters_has_an_announcement_and_a_half() {
    let peers = peers();
    let old = |beat| [Instance { address: None, ..instance("other", beat, None) }];
    let other = InstanceId("other".into());
    assert_eq!(peers.meet(&old(7), at(0)), std::slice::from_ref(&other));
    peers.ask(&other, at(0));
    for ms in [1, 11_250, 22_500, 33_750] {
        peers.observe(&old(7), at(ms));
        peers.count(at(ms));
        assert!(peers.is_alive(&other), "after {ms} ms");
    }
    assert!(peers.meet(&old(7), at(45_000)).is_empty());
    assert!(!peers.is_alive(&other));
    peers.meet(&old(8), at(50_000));
    assert!(peers.is_alive(&other) && peers.correspondents().is_empty());
    assert_eq!(peers.meeting_pause(), Some(WATCH_PAUSE), "it will not say that it stops");
    peers.meet(&[], at(51_000));
    assert!(!peers.is_alive(&other), "it has removed its record");
    assert!(peers.observe(&[], at(52_000)).has_lost_one || !peers.is_listed(&other));
}

/// The record of a process that was killed, in a container that is not there any more.
#[test]
fn whoever_does_not_answer_a_knock_is_dead_within_seconds() {
    let peers = peers();
    let (other, record) = (InstanceId("other".into()), [instance("other", 7, None)]);
    peers.meet(&record, at(0));
    for ms in [0, 5000, 10_000] {
        peers.count(at(ms));
        assert!(peers.is_alive(&other), "the question is on its way");
    }
    peers.ask(&other, at(10_000));
    for ms in [10_500, 12_000, 14_000, 16_000, 17_900] {
        peers.count(at(ms));
        assert!(peers.is_alive(&other), "after {ms} ms");
    }
    peers.count(at(18_000));
    assert!(!peers.is_alive(&other));
    peers.hear(&other, true, at(19_000));
    assert!(peers.is_alive(&other) && !peers.has_doubts(), "it lives after all");
}

/// Nobody has read for a day: it may have been suspended with everybody else.
#[test]
fn a_suspension_counts_as_one_reading() {
    let peers = peers();
    let (other, record) = (InstanceId("other".into()), [instance("other", 7, None)]);
    peers.meet(&record, at(0));
    peers.ask(&other, at(0));
    peers.count(at(86_400_000));
    assert!(peers.is_alive(&other) && peers.has_doubts());
    peers.hear(&other, true, at(86_400_001));
    looks(&peers, &record, MISSED - 1);
    assert!(peers.is_alive(&other) && !peers.has_doubts());
    assert_eq!(peers.living(), [(other.clone(), false)]);
    peers.note_draining(&other);
    assert_eq!(peers.living(), [(other, true)]);
}

/// A third one has arrived: it may be the successor of one that is believed to live.
#[test]
fn one_that_was_heard_before_has_to_answer_anew() {
    let peers = peers();
    let (other, record) = (InstanceId("other".into()), [instance("other", 7, None)]);
    peers.meet(&record, at(0));
    peers.ask(&other, at(0));
    peers.hear(&other, true, at(1000));
    assert!(peers.doubt(Duration::from_secs(5), at(5999)).is_empty());
    assert_eq!(peers.doubt(Duration::from_secs(5), at(6000)), std::slice::from_ref(&other));
    assert!(peers.doubt(Duration::from_secs(5), at(7000)).is_empty(), "it is asked already");
    peers.ask(&other, at(7000));
    peers.hear(&other, false, at(7001));
    (0..5).for_each(|n| peers.count(at(7000 + n * 2000)));
    assert!(!peers.is_alive(&other), "what it wrote before it was asked proves nothing");
}

#[test]
fn whoever_has_said_that_it_is_gone_does_not_come_back() {
    let peers = peers();
    let other = InstanceId("other".into());
    peers.meet(&[instance("other", 7, None)], at(0));
    peers.note_gone(&other);
    peers.meet(&[instance("other", 8, None)], at(1));
    assert!(!peers.is_alive(&other), "its last announcement was on its way");
    peers.meet(&[], at(2));
    assert!(peers.meet(&[instance("other", 8, None)], at(3)).is_empty());
    assert_eq!(peers.dead(), [other]);
}

/// Looks a second apart, and a vault that takes its time: a newcomer is not dead before it could have read the question.
#[test]
fn a_newcomer_is_asked_before_it_is_believed_to_be_dead() {
    let peers = Peers::new(Duration::from_secs(1));
    let (other, record) = (InstanceId("other".into()), [instance("other", 7, None)]);
    assert!(peers.observe(&record, at(0)).has_newcomer);
    for second in 1..20 {
        peers.observe(&record, at(second * 1000));
        peers.count(at(second * 1000));
        assert!(peers.is_alive(&other), "after {second} s");
    }
    // The vault takes no letter to it.
    for second in 20..40 {
        peers.observe(&record, at(second * 1000));
    }
    assert!(!peers.is_alive(&other));
}

/// Of two lists the one that was read earlier may come later.
#[test]
fn an_older_list_takes_nobody_away() {
    let peers = peers();
    let other = InstanceId("other".into());
    peers.meet(&[instance("other", 7, None)], at(2));
    peers.meet(&[], at(1));
    assert!(peers.is_alive(&other));
    peers.meet(&[], at(3));
    assert!(!peers.is_alive(&other));
}

#[test]
fn the_kernel_knows_who_has_died_on_this_machine() {
    let peers = peers();
    let us = this_process().unwrap();
    let (before, start) = us.rsplit_once('/').unwrap();
    let reused = format!("{before}/{}", start.parse::<u64>().unwrap() + 1);
    let elsewhere = format!("x{us}");
    let instances = [("us", us), ("reused", reused), ("elsewhere", elsewhere)];
    let instances = instances.map(|(id, process)| instance(id, 0, Some(process)));
    let lives = |id: &str| peers.is_alive(&InstanceId(id.into()));
    looks(&peers, &instances, 1);
    ["us", "elsewhere"].iter().for_each(|id| peers.hear(&InstanceId((*id).into()), true, at(0)));
    looks(&peers, &instances, MISSED - 1);
    assert!(!lives("reused"));
    assert!(lives("us") && lives("elsewhere"));
    looks(&peers, &instances, 1);
    ["us", "elsewhere"].iter().for_each(|id| does_not_answer(&peers, &InstanceId((*id).into())));
    assert!(!lives("us"), "it lives and says nothing: it may be stopped");
    assert!(!lives("elsewhere"));
}
