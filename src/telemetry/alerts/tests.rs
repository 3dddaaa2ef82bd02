//! What is told, and when, played with a time of its own.

mod two_processes;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use jiff::Timestamp;

use super::{
    AlertCondition::{self, *},
    AlertLanguage, AlertMessage, AlertObservation,
    engine::{AlertEngine, ToldAlert},
};
use crate::config::{self, Config};

/// How often is looked.
const TICK: i64 = 15;

struct AlertPlay {
    engine: AlertEngine,
    settings: config::AlertsConfig,
    seen: AlertObservation,
    now: i64,
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

fn alarm(condition: AlertCondition, subject: &str) -> (AlertCondition, String) {
    (condition, subject.to_owned())
}

impl AlertPlay {
    /// With the default settings, and these tenants.
    fn new(tenants: impl IntoIterator<Item = String>) -> Self {
        let settings = Config::from_parts(None, &BTreeMap::new()).unwrap().alerts;
        let seen = AlertObservation { tenants: tenants.into_iter().collect(), ..AlertObservation::default() };
        Self { engine: AlertEngine::default(), settings, seen, now: 0 }
    }

    fn of(tenants: &[&str]) -> Self {
        Self::new(tenants.iter().map(|tenant| (*tenant).to_owned()))
    }

    fn wrong(&mut self, condition: AlertCondition, subject: &str) -> &mut Self {
        self.seen.wrong.insert(alarm(condition, subject), None);
        self
    }

    fn right(&mut self, condition: AlertCondition, subject: &str) -> &mut Self {
        self.seen.wrong.remove(&alarm(condition, subject));
        self
    }

    fn tick(&mut self) -> Option<AlertMessage> {
        let message = self.engine.on(&self.settings, &self.seen, at(self.now));
        self.now += TICK;
        message
    }

    /// Looks until that second: what is told, in short.
    fn until(&mut self, second: i64) -> Vec<String> {
        let mut told = Vec::new();
        while self.now < second {
            let now = self.now;
            told.extend(self.tick().map(|message| format!("{now} {}", short(&message))));
        }
        told
    }
}

fn short(message: &AlertMessage) -> String {
    let sections = message.sections.iter().map(|section| {
        let tenants = match section.tenants.len() {
            count @ 4.. => count.to_string(),
            _ => section.tenants.join(","),
        };
        let left = if section.left > 0 { format!(" +{}", section.left) } else { String::new() };
        format!("{} {} {tenants}{left}", section.state.as_str(), section.condition.key())
    });
    sections.collect::<Vec<_>>().join("; ")
}

#[test]
fn it_is_told_once_after_its_delay_and_resolved_once() {
    let mut play = AlertPlay::of(&["trattoria", "pizzeria"]);
    assert_eq!(play.until(600), [""; 0]);
    play.wrong(ScanNeeded, "trattoria");
    // A minute, and 20 s for others.
    assert_eq!(play.until(7200), ["690 firing scan_needed trattoria"]);
    play.right(ScanNeeded, "trattoria");
    assert_eq!(play.until(9000), ["7260 resolved scan_needed trattoria"]);
    play.wrong(VaultDown, "");
    assert_eq!(play.until(9900), ["9090 firing vault_down "]);
    play.right(VaultDown, "");
    assert_eq!(play.until(10800), ["9960 resolved vault_down "]);
}

#[test]
fn what_comes_and_goes_is_told_neither_way() {
    let mut play = AlertPlay::of(&["trattoria"]);
    for _ in 0..20 {
        let now = play.now;
        play.wrong(Offline, "trattoria");
        assert_eq!(play.until(now + 120), [""; 0], "short of its delay");
        play.right(Offline, "trattoria");
        assert_eq!(play.until(now + 135), [""; 0]);
    }
    let start = play.now;
    play.wrong(Offline, "trattoria");
    assert_eq!(play.until(start + 600).len(), 1);
    for _ in 0..20 {
        let now = play.now;
        play.right(Offline, "trattoria");
        assert_eq!(play.until(now + 45), [""; 0], "short of alerts.clear");
        play.wrong(Offline, "trattoria");
        assert_eq!(play.until(now + 300), [""; 0]);
    }
}

/// The heartbeat notices session by session, and they come back one by one.
#[test]
fn a_cut_of_300_tenants_is_one_message_and_its_end_another() {
    let name = |n: i64| format!("tenant{n:03}");
    let mut play = AlertPlay::new((0..300).map(name));
    let mut told = Vec::new();
    for second in (0..=120).step_by(15) {
        (0..300).filter(|n| n * 120 / 300 <= second).for_each(|n| {
            play.wrong(Offline, &name(n));
        });
        told.extend(play.until(second + 15));
    }
    told.extend(play.until(3600));
    assert_eq!(told, ["330 firing offline 300"]);
    told.clear();
    for second in (0..=180).step_by(15) {
        (0..300).filter(|n| n * 180 / 300 <= second).for_each(|n| {
            play.right(Offline, &name(n));
        });
        told.extend(play.until(3600 + second + 15));
    }
    told.extend(play.until(7200));
    assert_eq!(told, ["3840 resolved offline 300"]);
}

#[test]
fn more_tenants_are_told_later_and_each_end_names_who_is_left() {
    let mut play = AlertPlay::of(&["a", "b", "c"]);
    play.wrong(ScanNeeded, "a");
    assert_eq!(play.until(120), ["90 firing scan_needed a"]);
    play.wrong(ScanNeeded, "b").wrong(ScanNeeded, "c");
    // Not within five minutes of the first.
    assert_eq!(play.until(1200), ["390 firing scan_needed b,c +1"]);
    play.right(ScanNeeded, "b");
    assert_eq!(play.until(2400), ["1560 resolved scan_needed b +2"]);
    play.right(ScanNeeded, "a").right(ScanNeeded, "c");
    assert_eq!(play.until(3600), ["2460 resolved scan_needed a,c"]);
}

#[test]
fn all_that_is_due_at_one_moment_is_one_message() {
    let mut play = AlertPlay::of(&["a", "b"]);
    play.wrong(WebhookParked, "b").wrong(Banned, "a");
    assert_eq!(play.until(600), ["30 firing banned a; firing webhook_parked b"]);
}

#[test]
fn no_more_than_so_many_an_hour_and_what_is_held_is_told_later_if_it_is_still_so() {
    let mut play = AlertPlay::of(&["a", "b"]);
    play.settings.per_hour = 2;
    play.wrong(Banned, "a");
    assert!(play.tick().is_none());
    play.tick();
    let first = play.tick().expect("it is due");
    assert!(!first.is_last);
    assert_eq!(play.until(600), [""; 0]);
    play.wrong(Banned, "b");
    let mut last = None;
    while last.is_none() {
        last = play.tick();
    }
    assert!(last.unwrap().is_last);
    // It comes and goes while nobody may be told of it; the other stays.
    play.wrong(WebhookParked, "b").wrong(DiskLow, "");
    assert_eq!(play.until(1800), [""; 0]);
    play.right(WebhookParked, "b");
    assert_eq!(play.until(7200), ["3630 firing disk_low "]);
}

#[test]
fn what_has_another_cause_is_not_told() {
    let mut play = AlertPlay::of(&["a", "b"]);
    for condition in [OutboxOld, Offline, Unowned, TenantFailed] {
        play.wrong(condition, "a");
    }
    play.wrong(VaultDown, "").wrong(ScanNeeded, "b").wrong(OutboxOld, "b");
    assert_eq!(play.until(3600), ["90 firing vault_down ; firing scan_needed b"]);
    play.right(VaultDown, "").right(Unowned, "a").right(TenantFailed, "a");
    // That the session is offline remains, and explains its outbox.
    assert_eq!(play.until(7200), ["3660 resolved vault_down ", "3945 firing offline a"]);
}

#[test]
fn what_is_counted_is_told_when_it_rises() {
    let mut play = AlertPlay::of(&["a"]);
    let count = |play: &mut AlertPlay, condition, count: u32| {
        play.seen.counts.insert(alarm(condition, "a"), count.into());
    };
    for n in 0..=4 {
        count(&mut play, Flapping, n);
        assert_eq!(play.until(150 * (i64::from(n) + 1)), [""; 0]);
    }
    count(&mut play, Flapping, 5);
    assert_eq!(play.until(3600), ["780 firing flapping a", "1110 resolved flapping a"]);
    // Another session of the tenant counts anew.
    count(&mut play, Flapping, 2);
    assert_eq!(play.until(7200), [""; 0]);
    count(&mut play, OtherAccount, 1);
    assert_eq!(play.until(14400), ["7230 firing other_account a"], "it is over with that: nothing is resolved");
    count(&mut play, OtherAccount, 2);
    assert_eq!(play.until(15000), ["14430 firing other_account a"]);
    // Within the hour: another one than before.
    count(&mut play, OtherAccount, 3);
    assert_eq!(play.until(21600), ["15030 firing other_account a"]);
}

/// Nobody knows how often it broke before the start.
#[test]
fn what_a_former_process_counted_is_over_when_it_would_be_here() {
    let mut play = AlertPlay::of(&["a"]);
    assert_eq!(play.until(15), [""; 0]);
    play.seen.counts.insert(alarm(Flapping, "a"), 5);
    assert_eq!(play.until(60), ["45 firing flapping a"]);
    let mut next = AlertPlay::of(&["a"]);
    next.now = 60;
    next.engine.adopt(play.engine.told(), Vec::new());
    next.seen.counts.insert(alarm(Flapping, "a"), 0);
    assert_eq!(next.until(1800), ["1020 resolved flapping a"]);
}

/// The channel is set three weeks later.
#[test]
fn what_was_counted_before_the_first_look_is_not_told() {
    let mut play = AlertPlay::of(&["a"]);
    let counts = [(Flapping, "a", 6), (OtherAccount, "a", 1), (HandoverFailed, "", 1)];
    play.seen.counts = counts.map(|(condition, subject, count)| (alarm(condition, subject), count)).into();
    assert_eq!(play.until(3600), [""; 0]);
    play.seen.counts.insert(alarm(OtherAccount, "a"), 2);
    assert_eq!(play.until(7200), ["3630 firing other_account a"]);
    // Without a channel for a while.
    play.engine.pause();
    play.seen.counts.insert(alarm(OtherAccount, "a"), 3);
    assert_eq!(play.until(10800), [""; 0]);
}

#[test]
fn an_age_is_wrong_when_it_is_old_enough() {
    let mut play = AlertPlay::of(&["a"]);
    let oldest = |play: &mut AlertPlay, second| {
        play.seen.wrong.insert(alarm(OutboxOld, "a"), Some(at(second)));
    };
    // There is always one that waits, and it goes.
    for second in (0..3600).step_by(60) {
        oldest(&mut play, second);
        assert_eq!(play.until(second + 60), [""; 0]);
    }
    // A quarter of an hour, and 20 s for others.
    assert_eq!(play.until(7200), ["4470 firing outbox_old a"]);
    for second in (7200..9000).step_by(60) {
        oldest(&mut play, second);
        let told = play.until(second + 60);
        assert_eq!(told.is_empty(), second != 7260, "{told:?} at {second}");
    }
}

#[test]
fn a_restart_tells_nothing_twice_and_resolves_nothing_that_is_not_known() {
    let mut play = AlertPlay::of(&["a", "b"]);
    play.wrong(ScanNeeded, "a").wrong(ScanNeeded, "b").wrong(DiskLow, "");
    assert_eq!(play.until(120).len(), 1);
    let (told, sent): (Vec<ToldAlert>, Vec<_>) = (play.engine.told(), play.engine.sent().collect());
    assert_eq!((told.len(), sent.len()), (3, 1));

    let mut next = AlertPlay::of(&["a"]);
    next.now = 300;
    next.engine.adopt(told, sent);
    next.wrong(DiskLow, "");
    // Nobody has asked WhatsApp yet; the other tenant is nowhere.
    next.seen.unsaid = BTreeSet::from([alarm(ScanNeeded, "a")]);
    assert_eq!(next.until(1800), [""; 0]);
    assert_eq!(next.engine.told().len(), 2);
    next.seen.unsaid.clear();
    assert_eq!(next.until(3600), ["1860 resolved scan_needed a"]);
}

#[test]
fn what_something_worse_has_replaced_is_not_resolved() {
    let offline = || {
        let mut play = AlertPlay::of(&["a", "b"]);
        play.wrong(Offline, "a");
        assert_eq!(play.until(600), ["330 firing offline a"]);
        play.right(Offline, "a");
        play
    };
    let mut play = offline();
    play.wrong(ScanNeeded, "a");
    assert_eq!(play.until(3600), ["690 firing scan_needed a"]);
    play.right(ScanNeeded, "a");
    assert_eq!(play.until(7200), ["3660 resolved scan_needed a"], "its end is the end of both");

    // Nobody was told of the worse thing.
    let mut play = offline();
    play.wrong(TenantFailed, "a");
    assert_eq!(play.until(720), [""; 0]);
    play.right(TenantFailed, "a");
    assert_eq!(play.until(1800), ["780 resolved offline a"]);

    // That the vault is back says nothing of a tenant.
    let mut play = offline();
    play.wrong(VaultDown, "");
    assert_eq!(play.until(3600), ["690 firing vault_down "]);
    play.right(VaultDown, "");
    assert_eq!(play.until(7200), ["3660 resolved vault_down ; resolved offline a"]);

    // Another tenant's is no matter of this one.
    let mut play = offline();
    play.wrong(ScanNeeded, "b");
    assert_eq!(play.until(3600), ["660 resolved offline a", "690 firing scan_needed b"]);
}

#[test]
fn who_is_worse_off_holds_up_nobody_else() {
    let mut play = AlertPlay::of(&["a", "b"]);
    play.settings.conditions.remove(&ScanNeeded);
    play.wrong(Offline, "a").wrong(Offline, "b");
    assert_eq!(play.until(600), ["330 firing offline a,b"]);
    play.right(Offline, "a").right(Offline, "b").wrong(ScanNeeded, "a");
    assert_eq!(play.until(3600), ["660 resolved offline b +1"]);
    play.right(ScanNeeded, "a");
    assert_eq!(play.until(7200), ["3660 resolved offline a"]);
}

/// Unpaired tenants get their place when the port is open already.
#[test]
fn what_was_told_of_a_tenant_is_known_until_it_has_its_place_again() {
    let mut play = AlertPlay::of(&["a"]);
    play.wrong(ScanNeeded, "a");
    assert_eq!(play.until(120).len(), 1);
    let (told, sent) = (play.engine.told(), play.engine.sent().collect());

    let mut next = AlertPlay::of(&[]);
    next.now = 300;
    next.engine.adopt(told, sent);
    assert_eq!(next.until(420), [""; 0]);
    assert_eq!(next.engine.told().len(), 1);
    next.seen.tenants.insert("a".to_owned());
    next.wrong(ScanNeeded, "a");
    assert_eq!(next.until(1200), [""; 0], "it was told");
    next.right(ScanNeeded, "a");
    assert_eq!(next.until(2400), ["1260 resolved scan_needed a"]);
}

#[test]
fn what_is_switched_off_is_not_told() {
    let mut play = AlertPlay::of(&["a"]);
    play.settings.conditions.remove(&ScanNeeded);
    play.settings.conditions.insert(DiskLow, Duration::ZERO);
    play.wrong(ScanNeeded, "a").wrong(DiskLow, "");
    assert_eq!(play.until(3600), ["30 firing disk_low "]);
    play.settings.conditions.remove(&DiskLow);
    assert_eq!(play.until(7200), [""; 0], "and not resolved");
}

#[test]
fn a_clock_that_is_set_back_only_delays() {
    let mut play = AlertPlay::of(&["a"]);
    play.wrong(ScanNeeded, "a");
    assert_eq!(play.until(60), [""; 0]);
    play.now = -3600;
    assert_eq!(play.until(-3000), ["-3510 firing scan_needed a"]);
    play.now = -7200;
    play.right(ScanNeeded, "a");
    assert_eq!(play.until(-6000), ["-7140 resolved scan_needed a"]);
}

#[test]
fn every_condition_has_words_and_a_setting() {
    let settings = Config::from_parts(None, &BTreeMap::new()).unwrap().alerts;
    let mut seen = BTreeSet::new();
    for condition in AlertCondition::ALL {
        assert!(settings.conditions.contains_key(condition), "{condition:?} is off by default");
        for language in [AlertLanguage::Spanish, AlertLanguage::English] {
            let words = condition.words(language);
            assert!(!words.title.ends_with('.') && words.advice.ends_with('.'), "{condition:?}");
            assert!(seen.insert(words.title), "{} twice", words.title);
            assert!(words.title.chars().count() <= 60 && words.advice.chars().count() <= 200, "{condition:?}");
        }
    }
}

#[test]
fn a_message_in_words() {
    let mut play = AlertPlay::of(&["a", "b"]);
    play.wrong(Banned, "a");
    play.until(30);
    let message = play.tick().expect("it is due");
    let text = message.text(AlertLanguage::Spanish, "https://x.example/console/");
    assert_eq!(
        text,
        "🔴 WhatsApp bloqueó el número por un tiempo: a\n\
         → Que el dueño lea el aviso de WhatsApp en su teléfono. Después, escribe menos a desconocidos.\n\
         https://x.example/console/#/t/a"
    );
    assert_eq!(message.subject(AlertLanguage::English), "sessiond: WhatsApp has banned the number for a while: a");
    play.right(Banned, "a");
    let mut message = None;
    while message.is_none() {
        message = play.tick();
    }
    let text = message.unwrap().text(AlertLanguage::English, "https://x.example/console/");
    assert_eq!(text, "🟢 Resolved: WhatsApp has banned the number for a while: a");
}

#[test]
fn many_tenants_are_counted() {
    let mut play = AlertPlay::new((0..300).map(|n| format!("t{n:03}")));
    for n in 0..300 {
        play.wrong(Banned, &format!("t{n:03}"));
    }
    play.until(30);
    let text = play.tick().expect("it is due").text(AlertLanguage::Spanish, "https://x.example/console/");
    assert!(text.contains(": t000, t001, ") && text.contains(", t019 y 280 más\n"), "{text}");
    assert!(text.ends_with("/console/#/"), "{text}");
    let test = AlertMessage { at: at(0), sections: Vec::new(), is_last: false };
    assert!(test.text(AlertLanguage::English, "x").starts_with("Test of sessiond's alerts"));
}
