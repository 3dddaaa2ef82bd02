//! What waits and for how long, over days of messages.

use super::*;

const NOW: i64 = 1_800_000_000_000;

/// Old enough for everything.
fn pacing(change: impl FnOnce(&mut PacingSettings)) -> Pacing {
    let wide = 100_000;
    let mut settings = PacingSettings {
        enabled: true,
        per_minute: 10_000,
        per_hour: wide,
        per_day: wide,
        new_contacts_per_day: wide,
        same_text_per_hour: wide,
        per_recipient_per_hour: wide,
        warm_up_days: 14,
    };
    change(&mut settings);
    Pacing::new(settings, NOW - 30 * DAY_MS)
}

fn answer(to: u64) -> Parcel {
    Parcel { recipient: to, text: 7, ..Parcel::default() }
}

fn notice(to: u64) -> Parcel {
    Parcel { is_notice: true, ..answer(to) }
}

fn stranger(to: u64) -> Parcel {
    Parcel { is_first_contact: true, ..answer(to) }
}

/// How many leave at once, and what keeps the next one.
fn at_once(pacing: &mut Pacing, parcel: impl Fn(u64) -> Parcel, now_ms: i64) -> (u64, Held) {
    for n in 0.. {
        if let Err(held) = pacing.check(parcel(n), now_ms) {
            return (n, held);
        }
        pacing.count(parcel(n), now_ms);
    }
    unreachable!("a limit is reached")
}

type Change = fn(&mut PacingSettings);

/// What holds, the limit, what is sent, how much passes at once, and then one in so many milliseconds.
type LimitRow = (HeldBy, Change, fn(u64) -> Parcel, u64, i64);

#[test]
fn each_limit_lets_its_number_through_and_then_one_after_the_other() {
    let rows: [LimitRow; 6] = [
        (HeldBy::PerMinute, |it| it.per_minute = 25, answer, 25, 2_400),
        (HeldBy::PerHour, |it| it.per_hour = 150, answer, 150, 24_000),
        (HeldBy::PerDay, |it| it.per_day = 1_000, answer, 1_000, 86_400),
        (HeldBy::NewContacts, |it| it.new_contacts_per_day = 48, stranger, 48, 1_800_000),
        (HeldBy::SameText, |it| it.same_text_per_hour = 10, notice, 10, 360_000),
        (HeldBy::PerRecipient, |it| it.per_recipient_per_hour = 50, |_| answer(0), 50, 72_000),
    ];
    for (reason, change, parcel, count, one_ms) in rows {
        let mut pacing = pacing(change);
        let found = at_once(&mut pacing, parcel, NOW);
        assert_eq!(found, (count, Held { reason, until_ms: NOW + one_ms }), "{reason:?}");
        assert_eq!(pacing.check(parcel(count), NOW + one_ms), Ok(()), "{reason:?}");
        assert!(pacing.check(parcel(count), NOW + one_ms - 1).is_err(), "{reason:?}");
    }
}

#[test]
fn answers_go_where_notices_wait() {
    let mut pacing = pacing(|it| it.per_minute = 25);
    let many = |n| Parcel { text: n + 1, ..notice(n) };
    assert_eq!(at_once(&mut pacing, many, NOW).0, 20);
    assert_eq!(at_once(&mut pacing, answer, NOW).0, 5);
    // However long they have waited: as soon as there is room, it is the answers'.
    assert!(pacing.check(many(90), NOW + 2_400).is_err() && pacing.check(answer(90), NOW + 2_400).is_ok());
}

#[test]
fn who_answers_may_say_the_same_to_everybody() {
    let mut pacing = pacing(|it| (it.same_text_per_hour, it.per_minute) = (2, 25));
    assert_eq!(at_once(&mut pacing, answer, NOW).1.reason, HeldBy::PerMinute);
}

#[test]
fn a_stranger_is_one_once() {
    let mut pacing = pacing(|it| it.new_contacts_per_day = 2);
    for to in [1, 1, 2, 2, 1] {
        pacing.check(stranger(to), NOW).unwrap();
        pacing.count(stranger(to), NOW);
    }
    assert_eq!(pacing.check(stranger(3), NOW).unwrap_err().reason, HeldBy::NewContacts);
    // The first that waits goes in half a day, and each a half day after the one before.
    let half_days = |waiting| (pacing.stranger_leaves_at(waiting, NOW) - NOW) / (DAY_MS / 2);
    assert_eq!((half_days(0), half_days(3)), (1, 4));
}

#[test]
fn a_young_number_begins_with_half() {
    let settings = PacingSettings { per_day: 1_000, ..PacingSettings::default() };
    let percent = |settings: &PacingSettings, days: i64| {
        Pacing::new(settings.clone(), NOW - days * DAY_MS).per_day(NOW).count / 10
    };
    assert_eq!([-1, 0, 7, 13, 14, 400].map(|days| percent(&settings, days)), [50, 50, 75, 96, 100, 100]);
    assert_eq!(percent(&PacingSettings { warm_up_days: 0, ..settings }, 0), 100);
}

#[test]
fn what_was_sent_before_a_restart_counts_after_it() {
    let mut first = pacing(|it| it.per_hour = 4);
    let sent: Vec<_> = (0..4).map(|n| (NOW + n * 1_000, answer(1))).collect();
    sent.iter().for_each(|(at, parcel)| first.count(*parcel, *at));
    let mut second = pacing(|it| it.per_hour = 4);
    sent.iter().for_each(|(at, parcel)| second.count(*parcel, *at));
    let now = NOW + 9_000;
    assert_eq!(first.check(answer(1), now), second.check(answer(1), now));
    assert!(second.check(answer(1), now).is_err());
}

#[test]
fn whatsapp_says_it_is_too_much_and_is_believed() {
    let (mut slow, mut now) = (SlowDown::default(), NOW);
    assert_eq!(slow.check(now), Ok(()));
    for wait in [30_000, 60_000, 120_000, 240_000, 480_000, 900_000, 900_000] {
        // One burst: each of its messages is answered so.
        for late in [0, 1, 900] {
            slow.hear(30_000, now + late);
        }
        let held = Held { reason: HeldBy::WhatsappSlowDown, until_ms: now + wait };
        assert_eq!((slow.check(now), slow.check(now + wait - 1)), (Err(held), Err(held)));
        now += wait;
        assert_eq!(slow.check(now), Ok(()));
    }
    let later = now + 2 * HOUR_MS;
    slow.hear(30_000, later);
    assert_eq!(slow.check(later).unwrap_err().until_ms, later + 30_000);
    assert_eq!(slow.check(later - DAY_MS), Ok(()), "the clock was a day ahead");
}

#[test]
fn no_number_is_too_large() {
    let mut pacing = pacing(|_| {});
    for now in [i64::MIN, 0, i64::MAX] {
        pacing.count(stranger(1), now);
        let _ = (pacing.check(notice(1), now), pacing.stranger_leaves_at(usize::MAX, now));
        let mut slow = SlowDown::default();
        slow.hear(i64::MAX, now);
        let _ = slow.check(i64::MIN);
    }
}
