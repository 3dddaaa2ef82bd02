//! Two processes on one data folder: nothing is told twice.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use super::{Play, alarm, short};
use crate::{
    clock::SystemClock,
    config::Config,
    outbound::{Allow, Outbound, SystemLookup},
    telemetry::alerts::{
        AlertCondition::{self, *},
        AlertDesk, AlertObservation, Alerts,
    },
};

/// The old process runs until the new one serves.
#[test]
fn what_a_process_that_lives_has_told_is_told_once() {
    let mut old = Play::of(&["a"]);
    old.wrong(ScanNeeded, "a").wrong(DiskLow, "");
    assert_eq!(old.until(120), ["90 firing disk_low ; firing scan_needed a"]);

    let mut new = Play::of(&["a", "b"]);
    new.now = 120;
    new.engine.leave_to_others(old.engine.told());
    new.wrong(ScanNeeded, "a").wrong(DiskLow, "").wrong(ScanNeeded, "b");
    assert_eq!(new.until(600), ["210 firing scan_needed b"]);
    new.engine.adopt(old.engine.told(), Vec::new());
    assert_eq!(new.until(1200), [""; 0]);
    new.right(ScanNeeded, "a").right(DiskLow, "");
    assert_eq!(new.until(2400), ["1260 resolved disk_low ", "1560 resolved scan_needed a +1"]);

    // The old process lives on, without the tenant, and with room on its disk.
    let mut new = Play::of(&["a"]);
    new.now = 120;
    new.engine.leave_to_others(old.engine.told());
    new.wrong(ScanNeeded, "a").wrong(DiskLow, "");
    assert_eq!(new.until(600), [""; 0]);
    new.engine.leave_to_others(Vec::new());
    assert_eq!(new.until(1200), ["600 firing disk_low "]);
    new.right(ScanNeeded, "a");
    assert_eq!(new.until(2400), ["1260 resolved scan_needed a"]);
}

#[tokio::test]
async fn a_process_that_waits_for_the_file_reads_it_before_it_has_it_and_when_it_gets_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = Config::from_parts(None, &BTreeMap::new()).unwrap().alerts;
    (settings.gather, settings.clear) = (Duration::ZERO, Duration::ZERO);
    settings.conditions = [(DiskLow, Duration::ZERO), (VaultDown, Duration::ZERO)].into();
    let process = || {
        let outbound = Outbound::new(Allow::default(), Duration::from_secs(5), Arc::new(SystemLookup)).unwrap();
        let folder = folder.path().to_owned();
        let alerts = Alerts::new(settings.clone(), "https://x.example", folder, outbound, SystemClock::shared());
        (alerts, AlertDesk::default())
    };
    let observe = |wrong: &[AlertCondition]| {
        let wrong = wrong.iter().map(|condition| (alarm(*condition, ""), None)).collect();
        let seen = AlertObservation { wrong, ..AlertObservation::default() };
        move || Some(seen.clone())
    };
    let channels = BTreeSet::from(["slack"]);
    let told =
        |desk: &AlertDesk| -> Vec<_> { desk.outbox.pending().iter().map(|pending| short(&pending.message)).collect() };

    let (old, mut old_desk) = process();
    old.look(&settings, &channels, &mut old_desk, &observe(&[DiskLow])).await;
    assert_eq!(told(&old_desk), ["firing disk_low "]);
    let (new, mut new_desk) = process();
    new.look(&settings, &channels, &mut new_desk, &observe(&[DiskLow])).await;
    assert_eq!((told(&new_desk).len(), new_desk.file.is_some()), (0, false), "the old process tells it");
    // What the old one tells, and does not send any more.
    old.look(&settings, &channels, &mut old_desk, &observe(&[DiskLow, VaultDown])).await;
    drop(old_desk);
    new.look(&settings, &channels, &mut new_desk, &observe(&[DiskLow, VaultDown])).await;
    assert!(new_desk.file.is_some());
    assert_eq!(told(&new_desk), ["firing disk_low ", "firing vault_down "]);
    new.look(&settings, &channels, &mut new_desk, &observe(&[DiskLow])).await;
    assert_eq!(told(&new_desk)[2..], ["resolved vault_down "]);
}
