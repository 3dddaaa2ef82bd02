//! The way out is the way in, backwards.

use super::*;
use crate::import::export::baileys_folder;

fn back(copy: TenantCopy) -> TenantCopy {
    let folder = baileys_folder(copy, CounterMargin::default());
    assert_eq!(folder.files.last().map(|(name, _)| name.as_str()), Some("creds.json"));
    let files: Files =
        folder.files.into_iter().map(|(name, text)| (name, String::from_utf8(text).expect("JSON"))).collect();
    read(&files).expect("a copy")
}

#[test]
fn what_is_exported_can_be_imported() {
    let folder = TempDir::new().expect("a folder");
    drop(super::whatsmeow::database(&folder.path().join("wm.db")));
    let whatsmeow = || {
        let (mut found, _) = collect(|take| {
            crate::import::whatsmeow::read(
                &folder.path().join("wm.db"),
                ImportOrigin::Whatsmeow,
                &ImportLimits::default(),
                take,
            )
        });
        found.remove(0).copy.expect("a copy")
    };
    let makers: [&dyn Fn() -> TenantCopy; 3] =
        [&|| read(&files(BAILEYS_7)).expect("a copy"), &|| read(&files(BAILEYS_6)).expect("a copy"), &whatsmeow];
    for make in makers {
        let mut expected = make();
        let again = back(make());
        again.verify(Some(expected.number())).expect("whole");
        // Its counters are further on, by the margin.
        expected.skip_counters(Finality::Final, CounterMargin::default());
        assert_same(&again, &expected);
        assert_eq!(again.tally.problems, []);
    }
}
