//! Sources that mean harm.

use std::os::unix::fs::symlink;

use proptest::prelude::*;

use super::*;
use crate::import::{baileys::folder, fuzz};

const TARGETS: [fn(&[u8]); 8] = [
    fuzz::document,
    fuzz::realtime,
    fuzz::firestore,
    fuzz::rows,
    fuzz::redis,
    fuzz::database,
    fuzz::session,
    fuzz::folder,
];

fn limits() -> ImportLimits {
    ImportLimits {
        entry_bytes: 20_000,
        tenant_bytes: 200_000,
        entries: 1_000,
        values: 10_000,
        ..ImportLimits::default()
    }
}

#[test]
fn links_pipes_and_large_files_of_a_folder_are_not_read() {
    let root = TempDir::new().expect("a folder");
    let outside = root.path().join("outside");
    fs::write(&outside, &files(BAILEYS_7)["pre-key-7.json"]).expect("a file");
    let store = root.path().join("store");
    write(&store, &files(BAILEYS_7));
    for name in ["pre-key-7.json", "session-180000000007920_1.0.json"] {
        fs::remove_file(store.join(name)).expect("a file");
    }
    symlink(&outside, store.join("pre-key-7.json")).expect("a link");
    symlink("/dev/zero", store.join("pre-key-20.json")).expect("a link");
    let pipe = store.join("session-180000000007920_1.0.json");
    rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RWXU).expect("a pipe");
    fs::create_dir(store.join("pre-key-21.json")).expect("a folder");
    fs::write(store.join("pre-key-22.json"), vec![b' '; 20_001]).expect("a file");
    let copy = folder::read(&store, ImportOrigin::Baileys, &limits()).expect("a copy");
    let counts = |kind| {
        let counts = copy.tally.of(kind);
        (counts.kept, counts.dropped)
    };
    assert_eq!(counts(EntryKind::PreKey), (6, 4));
    assert_eq!(counts(EntryKind::Session), (4, 1));
    let reasons: Vec<_> =
        copy.tally.problems.iter().map(|problem| (problem.entry.as_str(), problem.reason.as_str())).collect();
    for name in ["pre-key-7", "pre-key-20", "pre-key-21", "session-180000000007920_1.0"] {
        assert!(reasons.contains(&(name, "a link, or no file")), "{name}: {reasons:?}");
    }
    // Credentials are not looked for elsewhere.
    fs::remove_file(store.join("creds.json")).expect("a file");
    symlink(root.path().join("creds.json"), store.join("creds.json")).expect("a link");
    fs::write(root.path().join("creds.json"), &files(BAILEYS_7)["creds.json"]).expect("a file");
    assert!(matches!(folder::read(&store, ImportOrigin::Baileys, &limits()), Err(ImportError::Link { .. })));
    // The folder that the user names may be a link.
    write(&root.path().join("real"), &files(BAILEYS_7));
    symlink(root.path().join("real"), root.path().join("named")).expect("a link");
    folder::read(&root.path().join("named"), ImportOrigin::Baileys, &limits()).expect("a copy");
    for name in ["outside", "nowhere"] {
        assert!(matches!(
            folder::read(&root.path().join(name), ImportOrigin::Baileys, &limits()),
            Err(ImportError::Io(_))
        ));
    }
}

#[test]
fn too_much_of_everything_ends_the_tenant() {
    let root = TempDir::new().expect("a folder");
    let with = |name: &str, change: &dyn Fn(&Path)| {
        let store = root.path().join(name);
        write(&store, &files(BAILEYS_7));
        change(&store);
        match folder::read(&store, ImportOrigin::Baileys, &limits()) {
            Err(ImportError::TooLarge { .. }) => {}
            other => panic!("{name}: {other:?}"),
        }
    };
    with("creds", &|store| fs::write(store.join("creds.json"), vec![b' '; 30_000]).expect("a file"));
    with("files", &|store| (0..1_000).for_each(|at| fs::write(store.join(format!("x{at}")), "").expect("a file")));
    with("bytes", &|store| {
        (20..40).for_each(|at| fs::write(store.join(format!("pre-key-{at}.json")), vec![b' '; 19_000]).expect("a file"))
    });
    with("values", &|store| {
        let bomb = format!("[{}1]", "[],".repeat(6_000));
        (20..22).for_each(|at| fs::write(store.join(format!("pre-key-{at}.json")), &bomb).expect("a file"));
    });
    with("depth", &|store| fs::write(store.join("pre-key-20.json"), "[".repeat(5_000)).expect("a file"));
}

/// A bomb in a buffer goes off only when the copy is made.
#[test]
fn a_bomb_within_a_sender_key_ends_the_tenant() {
    let mut store = whole(&files(BAILEYS_7));
    let bomb = format!("[{}1]", "{},".repeat(20_000));
    let buffer = serde_json::json!({ "type": "Buffer", "data": super::super::json::encode_base64(bomb.as_bytes()) });
    store["keys"]["sender-key-120363000000000001@g.us::4915000000001::0"] = buffer;
    assert!(matches!(baileys_document(&store.to_string()), Err(ImportError::TooLarge { .. })));
}

/// Base64 and strings within each other: every layer is paid for.
#[test]
fn wrapped_bombs_end_in_an_error() {
    let mut text = format!("[{}1]", "{},".repeat(50_000));
    for _ in 0..3 {
        text = Value::String(text).to_string();
        let read = baileys_document(&text);
        assert!(matches!(read, Err(ImportError::TooLarge { .. })), "{read:?}");
    }
    assert!(matches!(baileys_document(&"\"".repeat(300_000)), Err(ImportError::TooLarge { .. })));
}

fn baileys_document(text: &str) -> Result<TenantCopy, ImportError> {
    super::super::baileys::document::read(text.as_bytes(), ImportOrigin::Baileys, &limits())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    /// Whatever is overwritten in a document: an error, or a copy; and if it is found whole, its keys are the ones that were.
    #[test]
    fn no_damage_makes_another_device(at in 0usize..10_000, with in "[ -~]{1,6}") {
        let text = whole(&files(BAILEYS_7)).to_string();
        let at = at % text.len();
        let end = (at + with.len()).min(text.len());
        prop_assume!(text.is_char_boundary(at) && text.is_char_boundary(end));
        let damaged = format!("{}{with}{}", &text[..at], &text[end..]);
        if let Ok(copy) = document(&damaged) {
            if copy.verify(Some("4915000000000")).is_ok() {
                let original = document(&text).expect("a copy");
                prop_assert_eq!(&copy.device.identity_key, &original.device.identity_key);
                prop_assert_eq!(&copy.device.account, &original.device.account);
            }
            let settled = copy.settle(Finality::Final, CounterMargin::default());
            prop_assert!(settled.sessions.len() <= 5);
        }
    }

    /// Every fuzz target takes anything.
    #[test]
    fn anything_ends(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        for run in TARGETS {
            run(&bytes);
        }
    }
}

/// What the targets are fed with in a long run: real sources, bent.
fn seeds() -> Vec<Vec<u8>> {
    let (seven, six) = (whole(&files(BAILEYS_7)), whole(&files(BAILEYS_6)));
    let row = serde_json::json!([{ "sessionId": "i", "creds": six["creds"].to_string() }]);
    let folder = TempDir::new().expect("a folder");
    drop(super::whatsmeow::database(&folder.path().join("wm.db")));
    let hash: String =
        files(BAILEYS_6).iter().map(|(name, text)| format!("{}\n{text}\n", name.replace(".json", ""))).collect();
    vec![
        seven.to_string().into(),
        serde_json::json!({ "tenants": { "t": { "baileys_session": six } } }).to_string().into(),
        row.to_string().into(),
        format!("sessionId,creds\ni,\"{}\"\n", six["creds"].to_string().replace('"', "\"\"")).into(),
        hash.into(),
        fs::read(folder.path().join("wm.db")).expect("a file"),
        super::peers::fixture()["ours"]["session"].to_string().into(),
        files(BAILEYS_7)["session-180000000007920_1.0.json"].clone().into(),
    ]
}

/// `IMPORT_FUZZ_ROUNDS` makes it longer.
#[test]
fn bent_sources_break_no_reader() {
    use rand_010::{RngExt, SeedableRng, rngs::StdRng};
    let rounds: u64 = std::env::var("IMPORT_FUZZ_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(3);
    let seeds = seeds();
    for round in 0..rounds {
        let mut random = StdRng::seed_from_u64(round);
        for seed in &seeds {
            let mut bytes = seed.clone();
            for _ in 0..random.random_range(1..6) {
                let at = random.random_range(0..bytes.len());
                let to = random.random_range(0..bytes.len());
                let length = random.random_range(1..200).min(bytes.len() - at.max(to));
                match random.random_range(0..5) {
                    0 => bytes[at] = random.random(),
                    1 => bytes[at] ^= 1 << random.random_range(0..8),
                    2 => bytes.copy_within(at..at + length, to),
                    3 => drop(bytes.drain(at..at + length)),
                    _ => {
                        let piece = bytes[at..at + length].to_vec();
                        bytes.splice(to..to, piece);
                    }
                }
                if bytes.is_empty() {
                    break;
                }
            }
            for run in TARGETS {
                run(&bytes);
            }
        }
    }
}
