//! Two processes on one data folder: nothing is told twice.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Arc,
    time::Duration,
};

use super::{AlertPlay, alarm, at, short};
use crate::{
    clock::SystemClock,
    config::{self, Config},
    outbound::{Allow, Outbound, SystemLookup},
    telemetry::alerts::{
        AlertCondition::{self, *},
        AlertDesk, AlertObservation, Alerts,
        engine::ToldAlert,
        note::AlertNote,
    },
};

/// Both look in turn until that second, `old` with the file: what each tells.
fn both(old: &mut AlertPlay, new: &mut AlertPlay, second: i64) -> Vec<String> {
    let mut told = Vec::new();
    while old.now < second {
        let now = old.now;
        told.extend(old.tick().map(|message| format!("{now} old {}", short(&message))));
        new.engine.leave_to_others(old.engine.told());
        if let Some(message) = new.tick() {
            old.engine.heed(AlertNote::of(&message));
            told.push(format!("{now} new {}", short(&message)));
        }
    }
    told
}

/// The tenant is where it was not before, and it is so of it, or not.
fn moves(from: &mut AlertPlay, to: &mut AlertPlay, is_wrong: bool) {
    from.right(ScanNeeded, "a").seen.tenants.clear();
    to.seen.tenants.insert("a".to_owned());
    if is_wrong {
        to.wrong(ScanNeeded, "a");
    }
}

#[test]
fn a_tenant_that_goes_to_and_fro_is_told_of_once_each_time() {
    let (mut old, mut new) = (AlertPlay::of(&["a"]), AlertPlay::of(&[]));
    old.wrong(ScanNeeded, "a");
    assert_eq!(both(&mut old, &mut new, 120), ["90 old firing scan_needed a"]);
    // Its end is told by the other one, and it is back before it is forgotten.
    moves(&mut old, &mut new, false);
    assert_eq!(both(&mut old, &mut new, 240), ["180 new resolved scan_needed a"]);
    moves(&mut new, &mut old, false);
    assert_eq!(both(&mut old, &mut new, 600), [""; 0]);
    old.wrong(ScanNeeded, "a");
    assert_eq!(both(&mut old, &mut new, 900), ["690 old firing scan_needed a"]);
    moves(&mut old, &mut new, true);
    assert_eq!(both(&mut old, &mut new, 1500), [""; 0]);
    new.right(ScanNeeded, "a");
    assert_eq!(both(&mut old, &mut new, 1800), ["1560 new resolved scan_needed a"]);

    // Its beginning is told by the one without the file.
    new.wrong(ScanNeeded, "a");
    assert_eq!(both(&mut old, &mut new, 2400), ["1890 new firing scan_needed a"]);
    moves(&mut new, &mut old, true);
    assert_eq!(both(&mut old, &mut new, 3000), [""; 0]);
    old.right(ScanNeeded, "a");
    assert_eq!(both(&mut old, &mut new, 3300), ["3060 old resolved scan_needed a"]);

    // It was here, and the other one has told its end meanwhile.
    old.wrong(ScanNeeded, "a");
    assert_eq!(both(&mut old, &mut new, 3450), ["3390 old firing scan_needed a"]);
    moves(&mut old, &mut new, true);
    assert_eq!(both(&mut old, &mut new, 3600), [""; 0]);
    moves(&mut new, &mut old, false);
    assert_eq!(both(&mut old, &mut new, 3720), ["3660 old resolved scan_needed a"]);
    moves(&mut old, &mut new, false);
    assert_eq!(both(&mut old, &mut new, 4200), [""; 0]);
}

/// The old process runs until the new one serves.
#[test]
fn what_a_process_that_lives_has_told_is_told_once() {
    let mut old = AlertPlay::of(&["a"]);
    old.wrong(ScanNeeded, "a").wrong(DiskLow, "");
    assert_eq!(old.until(120), ["90 firing disk_low ; firing scan_needed a"]);

    let mut new = AlertPlay::of(&["a", "b"]);
    new.now = 120;
    new.engine.leave_to_others(old.engine.told());
    new.wrong(ScanNeeded, "a").wrong(DiskLow, "").wrong(ScanNeeded, "b");
    assert_eq!(new.until(600), ["210 firing scan_needed b +1"]);
    new.engine.adopt(old.engine.told(), Vec::new());
    assert_eq!(new.until(1200), [""; 0]);
    new.right(ScanNeeded, "a").right(DiskLow, "");
    assert_eq!(new.until(2400), ["1260 resolved disk_low ", "1560 resolved scan_needed a +1"]);

    // The old process lives on, without the tenant, and with room on its disk.
    let mut new = AlertPlay::of(&["a"]);
    new.now = 120;
    new.engine.leave_to_others(old.engine.told());
    new.wrong(ScanNeeded, "a").wrong(DiskLow, "");
    assert_eq!(new.until(600), [""; 0]);
    new.engine.leave_to_others(Vec::new());
    assert_eq!(new.until(1200), ["600 firing disk_low "]);
    new.right(ScanNeeded, "a");
    assert_eq!(new.until(2400), ["1260 resolved scan_needed a"]);
}

/// The tenant moves on, and both live.
#[test]
fn the_end_of_what_another_process_told_is_told_once_by_whoever_serves_the_tenant() {
    let mut old = AlertPlay::of(&["a"]);
    old.wrong(ScanNeeded, "a");
    assert_eq!(old.until(120), ["90 firing scan_needed a"]);
    let mut new = AlertPlay::of(&[]);
    new.now = 120;
    new.engine.leave_to_others(old.engine.told());
    assert_eq!(new.until(180), [""; 0]);
    // It is right for a moment before it moves, and well where it is then.
    old.right(ScanNeeded, "a");
    assert_eq!(old.until(135), [""; 0]);
    old.seen.tenants.clear();
    new.seen.tenants.insert("a".to_owned());
    let mut told = Vec::new();
    while new.now < 600 {
        let second = new.now + 15;
        assert_eq!(old.until(second), [""; 0], "it has lost sight of the tenant");
        new.engine.leave_to_others(old.engine.told());
        told.extend(new.until(second));
    }
    assert_eq!(told, ["240 resolved scan_needed a"]);

    // While the other remembers the last time it is news here when it is so again.
    let mut new = AlertPlay::of(&["a"]);
    new.now = 120;
    let remembered = ToldAlert { condition: ScanNeeded, subject: "a".to_owned(), since: at(0) };
    new.engine.leave_to_others(vec![remembered.clone()]);
    assert_eq!(new.until(600), ["180 resolved scan_needed a"]);
    new.wrong(ScanNeeded, "a");
    assert_eq!(new.until(900), ["690 firing scan_needed a"]);
    new.right(ScanNeeded, "a");
    assert_eq!(new.until(1200), ["960 resolved scan_needed a"]);
    // It ends, and this one has the file.
    new.engine.adopt(vec![remembered], Vec::new());
    assert_eq!(new.until(1800), [""; 0]);
}

/// It is with the other one for so long that nothing is remembered of it here.
#[test]
fn the_end_of_what_another_process_told_is_told_when_the_tenant_comes_again() {
    let mut new = AlertPlay::of(&["a"]);
    new.engine.leave_to_others(vec![ToldAlert { condition: ScanNeeded, subject: "a".to_owned(), since: at(0) }]);
    new.wrong(ScanNeeded, "a");
    assert_eq!(new.until(600), [""; 0]);
    new.right(ScanNeeded, "a").seen.tenants.clear();
    let forgotten = 600 + 2 * i64::try_from(new.settings.repeat.as_secs()).unwrap();
    assert_eq!(new.until(forgotten), [""; 0]);
    new.seen.tenants.insert("a".to_owned());
    let told = new.until(forgotten + 600);
    assert!(matches!(&told[..], [only] if only.ends_with(" resolved scan_needed a")), "{told:?}");
}

/// A process of this data folder.
fn process(settings: &config::AlertsConfig, folder: &Path) -> (Arc<Alerts>, AlertDesk) {
    let outbound = Outbound::new(Allow::default(), Duration::from_secs(5), Arc::new(SystemLookup)).unwrap();
    let clock = SystemClock::shared();
    let alerts = Alerts::new(settings.clone(), "https://x.example", folder.to_owned(), outbound, clock);
    (alerts, AlertDesk::default())
}

fn told(desk: &AlertDesk) -> Vec<String> {
    desk.outbox.pending().iter().map(|pending| short(&pending.message)).collect()
}

#[tokio::test]
async fn who_has_the_file_hears_what_another_process_tells() {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = Config::from_parts(None, &BTreeMap::new()).unwrap().alerts;
    (settings.gather, settings.clear) = (Duration::ZERO, Duration::ZERO);
    settings.conditions = [(ScanNeeded, Duration::ZERO)].into();
    let observe = |tenants: &[&str], is_wrong: bool| {
        let wrong = is_wrong.then(|| (alarm(ScanNeeded, "a"), None)).into_iter().collect();
        let tenants = tenants.iter().map(|tenant| (*tenant).to_owned()).collect();
        let seen = AlertObservation { tenants, wrong, ..AlertObservation::default() };
        move || Some(seen.clone())
    };
    let channels = BTreeSet::from(["slack"]);
    let (old, mut old_desk) = process(&settings, folder.path());
    let (new, mut new_desk) = process(&settings, folder.path());
    old.look(&settings, &channels, &mut old_desk, &observe(&[], false)).await;
    new.look(&settings, &channels, &mut new_desk, &observe(&["a"], true)).await;
    assert_eq!((told(&new_desk), new_desk.file.is_some()), (vec!["firing scan_needed a".to_owned()], false));
    old.look(&settings, &channels, &mut old_desk, &observe(&["a"], true)).await;
    assert_eq!(told(&old_desk), [""; 0], "the other process has told it");
    old.look(&settings, &channels, &mut old_desk, &observe(&["a"], false)).await;
    assert_eq!(told(&old_desk), ["resolved scan_needed a"]);
}

#[tokio::test]
async fn a_process_that_waits_for_the_file_reads_it_before_it_has_it_and_when_it_gets_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = Config::from_parts(None, &BTreeMap::new()).unwrap().alerts;
    (settings.gather, settings.clear) = (Duration::ZERO, Duration::ZERO);
    settings.conditions = [(DiskLow, Duration::ZERO), (VaultDown, Duration::ZERO)].into();
    let observe = |wrong: &[AlertCondition]| {
        let wrong = wrong.iter().map(|condition| (alarm(*condition, ""), None)).collect();
        let seen = AlertObservation { wrong, ..AlertObservation::default() };
        move || Some(seen.clone())
    };
    let channels = BTreeSet::from(["slack"]);
    let (old, mut old_desk) = process(&settings, folder.path());
    old.look(&settings, &channels, &mut old_desk, &observe(&[DiskLow])).await;
    assert_eq!(told(&old_desk), ["firing disk_low "]);
    let (new, mut new_desk) = process(&settings, folder.path());
    new.look(&settings, &channels, &mut new_desk, &observe(&[DiskLow])).await;
    assert_eq!((told(&new_desk).len(), new_desk.file.is_some()), (0, false), "the old process tells it");
    // The file cannot be read for once.
    std::fs::write(folder.path().join("alerts.json"), "{").unwrap();
    new.look(&settings, &channels, &mut new_desk, &observe(&[DiskLow])).await;
    assert_eq!(told(&new_desk).len(), 0, "what was read before is still so");
    // What the old one tells, and does not send any more.
    old.look(&settings, &channels, &mut old_desk, &observe(&[DiskLow, VaultDown])).await;
    drop(old_desk);
    new.look(&settings, &channels, &mut new_desk, &observe(&[DiskLow, VaultDown])).await;
    assert!(new_desk.file.is_some());
    assert_eq!(told(&new_desk), ["firing disk_low ", "firing vault_down "]);
    new.look(&settings, &channels, &mut new_desk, &observe(&[DiskLow])).await;
    assert_eq!(told(&new_desk)[2..], ["resolved vault_down "]);
}
