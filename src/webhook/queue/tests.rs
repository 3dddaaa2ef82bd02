use proptest::prelude::*;
use ulid::Ulid;

use super::*;

fn id(n: u64) -> EventId {
    EventId(Ulid::from_parts(1_800_000_000_000, u128::from(n)))
}

const fn retries(attempts: u32) -> Retries {
    Retries { policy: RetryPolicy::Constant, delay: Duration::from_secs(2), attempts }
}

const REFUSED: AttemptOutcome = failed(true, false, None);
const UNREACHABLE: AttemptOutcome = failed(false, false, None);
const NOT_NOW: AttemptOutcome = failed(false, true, None);

const fn failed(answered: bool, not_now: bool, after: Option<Duration>) -> AttemptOutcome {
    AttemptOutcome::Failed(DeliveryRefusal { answered, not_now, after, status: None, error: String::new() })
}

/// A queue with a clock of its own and a receiver that decides by the event's number.
struct QueueWorld {
    queue: Queue,
    now: Instant,
    /// (event, when it was taken).
    taken: Vec<u64>,
    parked: Vec<u64>,
    attempts: usize,
}

impl QueueWorld {
    fn new(attempts: u32) -> Self {
        let queue = Queue::new(retries(attempts), None, []);
        Self { queue, now: Instant::now(), taken: Vec::new(), parked: Vec::new(), attempts: 0 }
    }

    fn take(&mut self, n: u64, lane: &str) {
        self.queue.take(id(n), lane, vec![EventName::MessageAny], self.now);
    }

    fn land(&mut self, lane: &Arc<str>, job: &Job, outcome: &AttemptOutcome) {
        let number = |job: &Job| job.id.0.0 as u64 & 0xffff;
        self.attempts += 1;
        let Settlement { done, parked } = self.queue.land(lane, job.id, outcome, self.now, self.now, 1.0);
        self.taken.extend(done.as_ref().map(number));
        self.parked.extend(parked.iter().map(number));
    }

    /// Runs until nothing is owed or the time is over.
    fn run(&mut self, span: Duration, receiver: impl Fn(u64) -> AttemptOutcome) {
        let end = self.now + span;
        loop {
            while let Some((lane, job)) = self.queue.launch(self.now, 8) {
                let outcome = receiver(job.id.0.0 as u64 & 0xffff);
                self.now += Duration::from_millis(1);
                self.land(&lane, &job, &outcome);
            }
            match self.queue.wake_at(8) {
                Some(at) if at <= end => self.now = self.now.max(at),
                _ => break,
            }
        }
        self.now = self.now.max(end);
    }
}

const DAY: Duration = Duration::from_secs(86_400);

#[test]
fn a_refused_message_is_parked_and_the_rest_goes_on() {
    let mut world = QueueWorld::new(3);
    for n in 0..6 {
        world.take(n, if n % 2 == 0 { "a" } else { "b" });
    }
    world.run(DAY, |n| if n == 2 { REFUSED } else { AttemptOutcome::Taken });
    assert_eq!(world.parked, [2]);
    let lane_a: Vec<_> = world.taken.iter().copied().filter(|n| n % 2 == 0).collect();
    assert_eq!(lane_a, [0, 4]);
    assert_eq!(world.queue.cursor(), Some(id(5)));
}

#[test]
fn a_receiver_that_is_down_for_a_day_loses_nothing() {
    for down in [UNREACHABLE, REFUSED, NOT_NOW] {
        let mut world = QueueWorld::new(3);
        for n in 0..30 {
            world.take(n, ["a", "b", "c"][n as usize % 3]);
        }
        world.run(DAY, |_| down.clone());
        assert_eq!((world.parked.len(), world.taken.len(), world.queue.cursor()), (0, 0, None), "{down:?}");
        assert!(world.attempts < 1_500, "{} attempts in a day", world.attempts);
        world.run(Duration::from_secs(600), |_| AttemptOutcome::Taken);
        assert_eq!((world.parked.len(), world.taken.len(), world.queue.cursor()), (0, 30, Some(id(29))), "{down:?}");
        for lane in 0..3 {
            let order: Vec<_> = world.taken.iter().copied().filter(|n| n % 3 == lane).collect();
            assert!(order.is_sorted(), "{order:?}");
        }
    }
}

#[test]
fn the_only_chat_goes_on_past_a_refused_message() {
    let mut world = QueueWorld::new(3);
    for n in 0..4 {
        world.take(n, "a");
    }
    world.run(DAY, |n| if n == 1 { REFUSED } else { AttemptOutcome::Taken });
    assert_eq!((world.parked.as_slice(), world.taken.as_slice()), ([1].as_slice(), [0, 2, 3].as_slice()));
    assert_eq!(world.queue.cursor(), Some(id(3)));
}

/// Its refusals were those of a receiver that was broken, and nobody else wrote meanwhile.
#[test]
fn a_receiver_that_is_back_gets_the_refused_one_before_the_next() {
    let mut world = QueueWorld::new(3);
    world.take(0, "a");
    world.run(Duration::from_secs(7), |_| REFUSED);
    world.take(1, "a");
    world.run(Duration::from_secs(600), |_| AttemptOutcome::Taken);
    assert_eq!((world.parked.as_slice(), world.taken.as_slice()), ([].as_slice(), [0, 1].as_slice()));
}

/// It comes back just between the first and the one that is tried ahead of it.
#[test]
fn what_was_refused_once_too_often_is_tried_again_after_a_later_one_was_taken() {
    let mut world = QueueWorld::new(3);
    world.take(0, "a");
    world.take(1, "a");
    let refusals = std::cell::Cell::new(0);
    world.run(Duration::from_secs(600), |n| {
        refusals.set(refusals.get() + u32::from(n == 0));
        if n == 0 && refusals.get() <= 3 { REFUSED } else { AttemptOutcome::Taken }
    });
    assert_eq!((world.parked.as_slice(), world.taken.as_slice()), ([].as_slice(), [1, 0].as_slice()));
}

#[test]
fn several_refused_messages_in_a_row_are_parked_and_the_rest_goes_on() {
    let mut world = QueueWorld::new(3);
    for n in 0..6 {
        world.take(n, "a");
    }
    world.run(DAY, |n| if (1..4).contains(&n) { REFUSED } else { AttemptOutcome::Taken });
    assert_eq!((world.parked.as_slice(), world.taken.as_slice()), ([1, 2, 3].as_slice(), [0, 4, 5].as_slice()));
}

#[test]
fn nothing_is_tried_ahead_where_there_is_no_answer() {
    let mut world = QueueWorld::new(2);
    world.take(0, "a");
    world.take(1, "a");
    let tried = std::cell::RefCell::new(BTreeSet::new());
    world.run(DAY, |n| {
        tried.borrow_mut().insert(n);
        UNREACHABLE
    });
    assert_eq!(tried.into_inner(), BTreeSet::from([0]));
}

#[test]
fn a_quiet_refused_message_is_parked_after_the_next_sign_of_life() {
    let mut world = QueueWorld::new(3);
    world.take(0, "a");
    world.run(DAY, |_| REFUSED);
    assert!(world.parked.is_empty());
    world.take(1, "b");
    world.run(Duration::from_secs(900), |n| if n == 0 { REFUSED } else { AttemptOutcome::Taken });
    assert_eq!((world.parked.as_slice(), world.taken.as_slice()), ([0].as_slice(), [1].as_slice()));
    assert_eq!(world.queue.cursor(), Some(id(1)));
}

#[test]
fn a_retry_holds_up_its_own_chat_alone() {
    let mut world = QueueWorld::new(100);
    world.take(0, "a");
    world.take(1, "a");
    for n in 2..10 {
        world.take(n, "b");
    }
    world.run(Duration::from_millis(1500), |n| if n == 0 { REFUSED } else { AttemptOutcome::Taken });
    assert_eq!(world.taken, [2, 3, 4, 5, 6, 7, 8, 9]);
    // All that is done ahead is remembered, so that a restart repeats none of it.
    assert_eq!((world.queue.cursor(), world.queue.done().count(), world.queue.len()), (None, 8, 10));
    let done: Vec<_> = world.queue.done().collect();
    let mut again = Queue::new(retries(3), None, done);
    for n in 0..10 {
        again.take(id(n), if n < 2 { "a" } else { "b" }, vec![EventName::MessageAny], world.now);
    }
    assert_eq!(again.owed(), 2);
}

#[test]
fn the_receivers_own_word_is_kept() {
    let mut world = QueueWorld::new(3);
    world.take(0, "a");
    world.take(1, "b");
    let (lane, job) = world.queue.launch(world.now, 1).unwrap();
    let after = Some(Duration::from_secs(120));
    world.land(&lane, &job, &failed(false, true, after));
    assert_eq!(world.queue.launch(world.now + Duration::from_secs(119), 8), None);
    assert_eq!(world.queue.wake_at(8), Some(world.now + Duration::from_secs(120)));
    assert!(world.queue.launch(world.now + Duration::from_secs(120), 8).is_some());
}

#[test]
fn who_is_only_asked_to_wait_is_not_parked() {
    let mut world = QueueWorld::new(2);
    for n in 0..20 {
        world.take(n, ["a", "b"][n as usize % 2]);
    }
    // It takes one of three, and is busy the rest of the time.
    let turn = std::cell::Cell::new(0);
    world.run(DAY, |_| {
        turn.set(turn.get() + 1);
        if turn.get() % 3 == 0 { AttemptOutcome::Taken } else { NOT_NOW }
    });
    assert_eq!((world.taken.len(), world.parked.len()), (20, 0));
}

#[test]
fn nothing_wakes_where_nothing_may_begin() {
    let mut world = QueueWorld::new(3);
    world.take(0, "a");
    world.take(1, "b");
    let (lane, job) = world.queue.launch(world.now, 1).unwrap();
    assert_eq!((world.queue.launch(world.now, 1), world.queue.wake_at(1)), (None, None));
    world.land(&lane, &job, &AttemptOutcome::Taken);
    assert_eq!(world.queue.wake_at(1), Some(world.now));
}

#[test]
fn a_dead_receiver_is_asked_by_one_request_at_a_time() {
    let mut world = QueueWorld::new(100);
    for n in 0..20 {
        world.take(n, &n.to_string());
    }
    let flying = |world: &mut QueueWorld| std::iter::from_fn(|| world.queue.launch(world.now, 8)).collect::<Vec<_>>();
    let first = flying(&mut world);
    assert_eq!(first.len(), 8);
    for (lane, job) in first {
        world.land(&lane, &job, &UNREACHABLE);
    }
    assert_eq!(flying(&mut world).len(), 1);
}

#[test]
fn two_names_of_one_event_go_out_one_after_the_other() {
    let mut world = QueueWorld::new(3);
    world.queue.take(id(0), "a", vec![EventName::Message, EventName::MessageAny], world.now);
    let (lane, job) = world.queue.launch(world.now, 8).unwrap();
    assert_eq!(world.queue.launch(world.now, 8), None);
    world.land(&lane, &job, &AttemptOutcome::Taken);
    assert_eq!(world.queue.cursor(), None);
    let (lane, job) = world.queue.launch(world.now, 8).unwrap();
    assert_eq!(job.names, [EventName::MessageAny]);
    world.land(&lane, &job, &AttemptOutcome::Taken);
    assert_eq!(world.queue.cursor(), Some(id(0)));
}

#[test]
fn waits_follow_the_policy_and_then_double_up_to_a_limit() {
    let policy =
        |policy, attempts| wait(Retries { policy, delay: Duration::from_secs(2), attempts: 4 }, attempts).as_secs();
    let waits = |policy_| (1..=6).map(|attempts| policy(policy_, attempts)).collect::<Vec<_>>();
    assert_eq!(waits(RetryPolicy::Constant), [2, 2, 2, 2, 4, 8]);
    assert_eq!(waits(RetryPolicy::Linear), [2, 4, 6, 8, 16, 32]);
    assert_eq!(waits(RetryPolicy::Exponential), [2, 4, 8, 16, 32, 64]);
    assert_eq!(policy(RetryPolicy::Exponential, u32::MAX), 300);
    let slow = Retries { policy: RetryPolicy::Constant, delay: Duration::from_secs(3600), attempts: 2 };
    assert_eq!(wait(slow, 9).as_secs(), 3600);
}

/// Whatever is known of the receiver meanwhile: a later message of the chat comes, and is taken; it was down, and is back.
#[test]
fn no_retry_is_sooner_than_the_delay_that_was_set() {
    for policy in [RetryPolicy::Constant, RetryPolicy::Linear, RetryPolicy::Exponential] {
        let delay = Duration::from_secs(20);
        let mut queue = Queue::new(Retries { policy, delay, attempts: 3 }, None, []);
        let begin = Instant::now();
        let mut tried: HashMap<u64, Vec<Duration>> = HashMap::new();
        for second in 0..3600u64 {
            let now = begin + Duration::from_secs(second);
            // Two chats; the first message of each is refused. In between the receiver is away.
            let (n, is_down) = (second / 45, (600..1800).contains(&second));
            if second % 45 == 0 {
                queue.take(id(n), ["a", "b"][n as usize % 2], vec![EventName::MessageAny], now);
            }
            while let Some((lane, job)) = queue.launch(now, 8) {
                let number = job.id.0.0 as u64 & 0xffff;
                tried.entry(number).or_default().push(now - begin);
                let outcome = if is_down {
                    UNREACHABLE
                } else if number < 2 {
                    REFUSED
                } else {
                    AttemptOutcome::Taken
                };
                queue.land(&lane, job.id, &outcome, now, now, 0.5);
            }
        }
        assert!(tried.values().any(|times| times.len() > 3), "{policy:?}: some were tried again: {tried:?}");
        for (number, times) in tried {
            assert!(times.windows(2).all(|pair| pair[1] - pair[0] >= delay), "{policy:?}, {number}: {times:?}");
        }
    }
}

/// Each message that comes is news of the chat, and none of the receiver.
#[test]
fn a_chat_that_keeps_writing_makes_no_retry_sooner_than_its_backoff() {
    for (policy, seconds, attempts) in [
        (RetryPolicy::Constant, 1, 1),
        (RetryPolicy::Constant, 2, 3),
        (RetryPolicy::Linear, 1, 4),
        (RetryPolicy::Exponential, 1, 2),
        (RetryPolicy::Exponential, 5, 15),
    ] {
        for outcome in [REFUSED, UNREACHABLE, NOT_NOW] {
            let retries = Retries { policy, delay: Duration::from_secs(seconds), attempts };
            let mut queue = Queue::new(retries, None, []);
            let begin = Instant::now();
            let (mut firsts, mut others) = (Vec::new(), 0);
            for second in 0..1800u64 {
                let now = begin + Duration::from_secs(second);
                queue.take(id(second), "a", vec![EventName::MessageAny], now);
                while let Some((lane, job)) = queue.launch(now, 8) {
                    if job.id == id(0) {
                        firsts.push(second)
                    } else {
                        others += 1
                    }
                    queue.land(&lane, job.id, &outcome, now, now, 0.0);
                }
            }
            let case = format!("{policy:?}, {seconds} s, {attempts}, {outcome:?}: {firsts:?}");
            assert!(firsts.len() > 3, "{case}");
            for (tries, pair) in (1..).zip(firsts.windows(2)) {
                assert!(pair[1] - pair[0] >= wait(retries, tries).as_secs(), "{case}");
            }
            // One ahead of it each time, at the most: it may be that the first alone is refused.
            assert!(others <= firsts.len(), "{others} others, {case}");
        }
    }
}

/// As [`QueueWorld::run`], where so many are read ahead of the first that is owed, as a consumer does.
fn run_reading(
    world: &mut QueueWorld,
    events: std::ops::Range<u64>,
    window: usize,
    receiver: impl Fn(u64) -> AttemptOutcome,
) {
    let mut next = events.start;
    for _ in 0..2_000 {
        // And one more where only that can be a sign.
        let has_room = |queue: &Queue| queue.len() < window || (queue.len() < 3 * window && queue.lacks_a_sign());
        while next < events.end && has_room(&world.queue) {
            world.take(next, &format!("{}", next % 7));
            next += 1;
        }
        world.run(Duration::from_secs(5), &receiver);
    }
    assert_eq!(next, events.end, "of these so many were read");
}

/// A receiver whose handler crashes on one message behind a proxy that says 503 then.
#[test]
fn a_message_that_alone_is_answered_not_now_is_parked_and_stops_nobody() {
    for refusal in [NOT_NOW, failed(false, true, Some(Duration::from_secs(60)))] {
        let mut world = QueueWorld::new(3);
        world.take(0, "alone");
        run_reading(&mut world, 1..600, 256, |n| if n == 0 { refusal.clone() } else { AttemptOutcome::Taken });
        assert_eq!((world.parked.as_slice(), world.taken.len()), ([0].as_slice(), 599), "{refusal:?}");
        assert_eq!(world.queue.cursor(), Some(id(599)));
    }
}

/// Everything that there was room for was taken before the refused one had its attempts: then nothing more can tell that others are taken.
#[test]
fn a_window_that_is_full_is_no_reason_to_stand_still() {
    for refusal in [NOT_NOW, REFUSED] {
        let mut world = QueueWorld::new(15);
        world.take(0, "alone");
        run_reading(&mut world, 1..600, 256, |n| if n == 0 { refusal.clone() } else { AttemptOutcome::Taken });
        assert_eq!((world.parked.as_slice(), world.taken.len()), ([0].as_slice(), 599), "{refusal:?}");
    }
}

#[test]
fn what_is_of_now_is_given_up_however_it_is_refused() {
    let mut world = QueueWorld::new(3);
    let nobody = crate::waha::person::WAHAChatPresences { id: "a".into(), presences: Vec::new() };
    let news = JobSource::News(Arc::new(Payload::Presence(nobody)));
    let job = Job { id: id(0), source: news, names: vec![EventName::PresenceUpdate], attempts: 0, refusal: None };
    world.queue.push("presences", job, world.now);
    world.run(DAY, |_| NOT_NOW);
    assert_eq!((world.parked.as_slice(), world.attempts), ([0].as_slice(), 3));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    /// Whatever the receiver refuses, and however long it is away in between: each event is taken or parked once, in its chat's
    /// order, and the cursor is never beyond one that is owed.
    #[test]
    fn every_event_ends_once_and_in_order(
        lanes in prop::collection::vec(0u8..4, 1..60),
        poison in prop::collection::btree_set(0u64..60, 0..4),
        away in (0usize..60, 0usize..60),
    ) {
        let mut world = QueueWorld::new(4);
        for (n, lane) in lanes.iter().enumerate() {
            world.take(n as u64, &lane.to_string());
        }
        let turn = std::cell::Cell::new(0);
        let receiver = |n: u64| {
            turn.set(turn.get() + 1);
            let down = (away.0..away.0 + away.1).contains(&turn.get());
            if down { UNREACHABLE } else if poison.contains(&n) { REFUSED } else { AttemptOutcome::Taken }
        };
        for _ in 0..80 {
            world.run(Duration::from_secs(700), receiver);
            let first_owed = world.queue.owed.first().copied();
            prop_assert!(first_owed.is_none_or(|first| world.queue.cursor() < Some(first)));
        }
        for lane in 0..4 {
            let order: Vec<_> = world.taken.iter().copied().filter(|n| lanes[*n as usize] == lane).collect();
            prop_assert!(order.is_sorted(), "lane {} {:?}", lane, order);
        }
        let mut ends: Vec<_> = world.taken.iter().chain(&world.parked).copied().collect();
        ends.sort_unstable();
        ends.dedup();
        prop_assert_eq!(ends.len(), world.taken.len() + world.parked.len());
        prop_assert!(world.parked.iter().all(|n| poison.contains(n)), "{:?} parked", world.parked);
        prop_assert!(world.taken.iter().all(|n| !poison.contains(n)));
        let undecided = (0..lanes.len() as u64).filter(|n| !ends.contains(n)).collect::<Vec<_>>();
        // Only a refused message that nothing follows may still be open.
        prop_assert!(undecided.iter().all(|n| poison.contains(n)), "{:?} are undecided", undecided);
    }
}
