//! Tests beside the contract suite: the file, the group commit, a full disk.

use std::{
    fs,
    io::Read as _,
    os::unix::fs::{MetadataExt as _, PermissionsExt},
    process::{Command, Stdio},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use tokio::task::JoinSet;

use super::*;

fn document(seq: u64, payload: Vec<u8>) -> JournalDocument {
    let (kind, writer) = (DocumentKind::Last, InstanceId("i".into()));
    JournalDocument { seq: Seq(seq), kind, writer, at: Timestamp::UNIX_EPOCH, payload: payload.into() }
}

fn tenant(n: usize) -> TenantId {
    format!("tenant{n}").parse().unwrap()
}

/// The file and its log as they are on the disk now: what a process that dies leaves behind.
fn as_left_behind(folder: &Path) -> (tempfile::TempDir, Embedded) {
    let copy = tempfile::tempdir().unwrap();
    for name in ["vault.db", "vault.db-wal"] {
        fs::copy(folder.join(name), copy.path().join(name)).unwrap();
    }
    let vault = Embedded::open(&copy.path().join("vault.db")).unwrap();
    (copy, vault)
}

#[test]
fn the_file_is_its_owners_only_whoever_made_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vault.db");
    fs::write(&path, "").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    let _vault = Embedded::open(&path).unwrap();
    for entry in fs::read_dir(folder.path()).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{entry:?}");
    }
}

#[test]
fn many_make_the_same_file_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vault.db");
    thread::scope(|scope| {
        let opening: Vec<_> = (0..16).map(|_| scope.spawn(|| Embedded::open(&path).map(drop))).collect();
        for opened in opening {
            opened.join().unwrap().unwrap();
        }
    });
}

#[test]
fn files_of_others_are_left_as_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("other.db");
    let made = |sql: &str| {
        fs::remove_file(&path).ok();
        Connection::open(&path).unwrap().execute_batch(sql).unwrap();
        fs::read(&path).unwrap()
    };
    let newer = format!("PRAGMA application_id = {}; PRAGMA user_version = 1000; CREATE TABLE t (x)", 0x7365_7364);
    for sql in ["CREATE TABLE t (x)", "PRAGMA application_id = 7", &newer] {
        let before = made(sql);
        let opened = Embedded::open(&path);
        assert!(matches!(opened, Err(VaultError::Refused(_))), "{sql}: {opened:?}");
        assert!(fs::read(&path).unwrap() == before, "{sql}");
    }
    fs::write(&path, "no database at all, and long enough to be taken for one. ".repeat(100)).unwrap();
    let opened = Embedded::open(&path);
    assert!(matches!(opened, Err(VaultError::Malformed(_))), "{opened:?}");
}

#[tokio::test]
async fn a_file_of_an_older_layout_is_brought_up_with_all_that_it_holds() {
    use crate::vault::access::{AccessVault as _, ApiKey, KeyHash, Rights};
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vault.db");
    let old = Connection::open(&path).unwrap();
    old.execute_batch(schema::LAYOUTS[0]).unwrap();
    old.pragma_update(None, "application_id", schema::APPLICATION).unwrap();
    old.pragma_update(None, "user_version", 1).unwrap();
    old.execute("INSERT INTO tenants (id, whatsapp_connected) VALUES ('trattoria', 1)", []).unwrap();
    drop(old);
    for _ in 0..2 {
        let vault = Embedded::open(&path).unwrap();
        assert_eq!(vault.restorable().await.unwrap()[0].0, "trattoria");
        let hash = KeyHash::of(&format!("{:?}", std::time::Instant::now()));
        let at = Timestamp::UNIX_EPOCH;
        let key =
            ApiKey { hash, id: "k".into(), rights: Rights::Admin, active: true, created_at: at, last_used_at: None };
        vault.create_key(&key).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_answered_outlives_the_process() {
    let folder = tempfile::tempdir().unwrap();
    let vault = Arc::new(Embedded::open(&folder.path().join("vault.db")).unwrap());
    let mut appends = JoinSet::new();
    for n in 0..100 {
        let vault = vault.clone();
        appends.spawn(
            async move { vault.append(&tenant(n), None, &[document(1, vec![7; 1000])], None).await.map(|()| n) },
        );
    }
    let mut answered = Vec::new();
    while let Some(done) = appends.join_next().await {
        answered.push(done.unwrap().unwrap());
        if answered.len() % 20 == 0 {
            let (_copy, left) = as_left_behind(folder.path());
            for &n in &answered {
                assert!(left.document(&tenant(n), Seq(1)).await.unwrap().is_some(), "{n} of {answered:?}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_stays_with_its_job() {
    let folder = tempfile::tempdir().unwrap();
    let vault = Arc::new(Embedded::open(&folder.path().join("vault.db")).unwrap());
    for n in (0..200).step_by(2) {
        let taken = [document(2, vec![])];
        vault.start_over(&tenant(n), &Footing::Nothing, &taken, None, &Decision::default()).await.unwrap();
    }
    let mut appends = JoinSet::new();
    for n in 0..200 {
        let vault = vault.clone();
        let documents = [document(1, vec![]), document(2, vec![])];
        appends.spawn(async move { (n, vault.append(&tenant(n), None, &documents, None).await) });
    }
    for (n, result) in appends.join_all().await {
        let there = vault.document(&tenant(n), Seq(1)).await.unwrap().is_some();
        match result {
            Ok(()) => assert!(there && n % 2 == 1, "{n}"),
            Err(AppendError::Exists) => assert!(!there && n % 2 == 0, "{n}"),
            Err(other) => panic!("{n}: {other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_no_answer_and_takes_nothing_away() {
    let folder = tempfile::tempdir().unwrap();
    let vault = Arc::new(Embedded::open(&folder.path().join("vault.db")).unwrap());
    let limit = |pages: u32| vault.read(move |connection| connection.pragma_update(None, "max_page_count", pages));
    limit(500).await.unwrap();
    let mut appends = JoinSet::new();
    for n in 0..100 {
        let vault = vault.clone();
        appends.spawn(async move { (n, vault.append(&tenant(n), None, &[document(1, vec![7; 100_000])], None).await) });
    }
    let (mut landed, mut failed) = (Vec::new(), Vec::new());
    for (n, result) in appends.join_all().await {
        match result {
            Ok(()) => landed.push(n),
            Err(AppendError::Vault(VaultError::Unavailable(_))) => failed.push(n),
            Err(other) => panic!("{n}: {other:?}"),
        }
    }
    assert!(!failed.is_empty());
    limit(u32::MAX).await.unwrap();
    for n in landed {
        assert!(vault.document(&tenant(n), Seq(1)).await.unwrap().is_some(), "{n}");
    }
    for n in failed {
        vault.append(&tenant(n), None, &[document(1, vec![])], None).await.unwrap();
    }
}

#[tokio::test]
async fn with_little_room_it_takes_takeovers_and_no_entries() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vault.db");
    let vault = Embedded::open(&path).unwrap().with_floor(1);
    vault.append(&tenant(1), None, &[document(1, vec![])], None).await.unwrap();
    drop(vault);
    let vault = Embedded::open(&path).unwrap().with_floor(u64::MAX);
    let refused = vault.append(&tenant(1), None, &[document(2, vec![])], None).await;
    assert!(matches!(refused, Err(AppendError::Vault(VaultError::Unavailable(_)))), "{refused:?}");
    let takeover = JournalDocument { kind: DocumentKind::Takeover, ..document(2, vec![]) };
    vault.append(&tenant(1), None, &[takeover], None).await.unwrap();
}

/// Or a disk that its own file has filled stays full, whatever its owner deletes.
#[tokio::test]
async fn on_a_full_disk_it_gives_back_the_room_of_what_was_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vault.db");
    let length = || fs::metadata(&path).unwrap().len();
    let vault = Embedded::open(&path).unwrap();
    let names: Vec<String> = (0..40).map(|n| format!("segment{n}")).collect();
    for name in &names {
        vault.put_segment(&tenant(1), name, vec![1; 100_000].into()).await.unwrap();
    }
    vault.put_segment(&tenant(2), "other", vec![2; 100_000].into()).await.unwrap();
    drop(vault);
    let full = length();
    assert!(full > 4_000_000, "{full}");

    let vault = Embedded::open(&path).unwrap().with_floor(u64::MAX);
    vault.remove_segments(&tenant(1), &names).await.unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    while length() > full / 8 {
        assert!(Instant::now() < deadline, "{} of {full} bytes", length());
        vault.put_segment(&tenant(1), "next", vec![1].into()).await.unwrap_err();
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(vault.segment(&tenant(2), "other").await.unwrap().unwrap(), vec![2; 100_000]);
}

/// SQLite itself would write on into the file that nobody can open any more.
#[tokio::test]
async fn a_file_that_is_deleted_under_its_hands_is_there_again_with_everything() {
    for all in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("vault.db");
        let vault = Embedded::open(&path).unwrap();
        vault.append(&tenant(1), None, &[document(1, vec![1])], None).await.unwrap();
        vault.create_check_value(Bytes::from_static(b"check")).await.unwrap();
        for name in if all { &["vault.db", "vault.db-wal", "vault.db-shm"][..] } else { &["vault.db"] } {
            fs::remove_file(folder.path().join(name)).unwrap();
        }
        assert_eq!(vault.renewals(), 0);
        vault.append(&tenant(1), None, &[document(2, vec![2])], None).await.unwrap();
        assert_eq!(vault.renewals(), 1);
        let (_copy, left) = as_left_behind(folder.path());
        assert_eq!(left.documents(&tenant(1), Seq(1)).await.unwrap().len(), 2);
        assert_eq!(left.check_value().await.unwrap(), Some(Bytes::from_static(b"check")));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        vault.append(&tenant(1), None, &[document(3, vec![3])], None).await.unwrap();
        drop(vault);
        let opened = Embedded::open(&path).unwrap();
        assert_eq!(opened.documents(&tenant(1), Seq(1)).await.unwrap().len(), 3);
    }
}

#[tokio::test]
async fn a_file_that_is_replaced_under_its_hands_is_the_one_that_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let (path, older) = (folder.path().join("vault.db"), folder.path().join("older.db"));
    let vault = Embedded::open(&path).unwrap();
    vault.append(&tenant(1), None, &[document(1, vec![1])], None).await.unwrap();
    Connection::open(&path).unwrap().execute("VACUUM INTO ?1", [older.to_str().unwrap()]).unwrap();
    vault.append(&tenant(1), None, &[document(2, vec![2])], None).await.unwrap();
    fs::rename(&older, &path).unwrap();
    // The file has taken along all that was written since, and the next append says so.
    let lost = vault.append(&tenant(1), None, &[document(3, vec![3])], None).await;
    assert!(matches!(lost, Err(AppendError::Gap)), "{lost:?}");
    assert_eq!(vault.documents(&tenant(1), Seq(1)).await.unwrap().len(), 1);
    vault.append(&tenant(1), None, &[document(2, vec![22])], None).await.unwrap();
    drop(vault);
    let opened = Embedded::open(&path).unwrap();
    assert_eq!(opened.documents(&tenant(1), Seq(1)).await.unwrap(), [document(1, vec![1]), document(2, vec![22])]);
}

/// The harm that is done to the file while it is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Harm {
    LogCut,
    LogCutInHalf,
    CutInHalf,
    Emptied,
    Noise,
    OlderCopy,
    AnotherVault,
    AnotherProgram,
}

impl Harm {
    const ALL: [Self; 8] = [
        Self::LogCut,
        Self::LogCutInHalf,
        Self::CutInHalf,
        Self::Emptied,
        Self::Noise,
        Self::OlderCopy,
        Self::AnotherVault,
        Self::AnotherProgram,
    ];

    /// In place: the file stays the same one.
    fn befalls(self, path: &Path, older: &[u8]) {
        let log = path.with_extension("db-wal");
        let cut = |path: &Path, to: u64| fs::OpenOptions::new().write(true).open(path).unwrap().set_len(to).unwrap();
        let length = |path: &Path| fs::metadata(path).unwrap().len();
        let aside = tempfile::tempdir().unwrap();
        let other = aside.path().join("other.db");
        match self {
            Self::LogCut => cut(&log, 0),
            Self::LogCutInHalf => cut(&log, length(&log) / 2),
            Self::CutInHalf => cut(path, length(path) / 2 / 4096 * 4096),
            Self::Emptied => cut(path, 0),
            Self::Noise => {
                fs::write(path, "no database at all, and long enough to be taken for one. ".repeat(100)).unwrap()
            }
            Self::OlderCopy => fs::write(path, older).unwrap(),
            Self::AnotherVault => {
                let vault = Embedded::open(&other).unwrap();
                futures::executor::block_on(vault.create_check_value(Bytes::from_static(b"another"))).unwrap();
                drop(vault);
                fs::write(path, fs::read(&other).unwrap()).unwrap();
            }
            Self::AnotherProgram => {
                Connection::open(&other).unwrap().execute_batch("CREATE TABLE t (x)").unwrap();
                fs::write(path, fs::read(&other).unwrap()).unwrap();
            }
        }
    }
}

/// Appends in its turn, until the log has been moved into the file with the first of them, and is not empty.
async fn filled(vault: &Embedded, path: &Path) -> u64 {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
    for seq in 1.. {
        vault.append(&tenant(1), None, &[document(seq, vec![7; 5000])], None).await.unwrap();
        let aside = tempfile::tempdir().unwrap();
        let copy = aside.path().join("vault.db");
        fs::copy(path, &copy).unwrap();
        assert!(std::time::Instant::now() < deadline, "{seq} documents, and the file never has some of them");
        // The log may be moved into the file while it is copied: such a copy is torn.
        let Ok(alone) = Embedded::open(&copy) else { continue };
        let Ok(moved) = alone.documents(&tenant(1), Seq(1)).await else { continue };
        let moved = moved.len() as u64;
        if moved > 2 && moved < seq {
            return seq;
        }
    }
    unreachable!()
}

#[tokio::test]
async fn a_file_that_comes_to_harm_under_its_hands_takes_writes_again() {
    for harm in Harm::ALL {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("vault.db");
        let vault = Embedded::open(&path).unwrap();
        vault.create_check_value(Bytes::from_static(b"check")).await.unwrap();
        let older = folder.path().join("older.db");
        Connection::open(&path).unwrap().execute("VACUUM INTO ?1", [older.to_str().unwrap()]).unwrap();
        let last = filled(&vault, &path).await;
        let doubts = vault.doubts();
        harm.befalls(&path, &fs::read(&older).unwrap());

        let mut answers: Vec<Result<(), AppendError>> = Vec::new();
        while !answers.iter().any(Result::is_ok) && answers.len() < 3 {
            answers.push(vault.append(&tenant(2 + answers.len()), None, &[document(1, vec![1])], None).await);
        }
        let refused =
            answers.iter().filter(|answer| !matches!(answer, Err(AppendError::Vault(VaultError::Unavailable(_)))));
        assert!(matches!(refused.collect::<Vec<_>>()[..], [Ok(())]), "{harm:?}: {answers:?}");
        let left = vault.documents(&tenant(1), Seq(1)).await.unwrap().len() as u64;
        assert!(
            left == last || doubts.has_changed().unwrap(),
            "{harm:?}: {left} of {last} are left, and nobody is told"
        );
        drop(vault);
        let opened = Embedded::open(&path).unwrap();
        let tenant = tenant(1 + answers.len());
        assert_eq!(opened.documents(&tenant, Seq(1)).await.unwrap(), [document(1, vec![1])], "{harm:?}");
        assert_eq!(opened.check_value().await.unwrap().as_deref(), Some(&b"check"[..]), "{harm:?}");
        drop(opened);
        let sound: String =
            Connection::open(&path).unwrap().query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
        assert_eq!(sound, "ok", "{harm:?}");
    }
}

/// SQLite's own tools may move the log into the file as well.
/// While another process moves the log into the file nobody else can, and what was to be moved stays in the log.
#[tokio::test]
async fn a_log_that_another_process_is_moving_is_no_harm() {
    // The lock of whoever moves it, as SQLite has it in its shared memory: wal.c, `WAL_CKPT_LOCK`.
    const MOVES: &str = "import fcntl, sys; file = open(sys.argv[1], 'r+b'); fcntl.lockf(file, fcntl.LOCK_EX, 1, 121); \
                         print('ok', flush=True); sys.stdin.read()";
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vault.db");
    let vault = Embedded::open(&path).unwrap();
    let doubts = vault.doubts();
    let put = async |seq: u64| vault.append(&tenant(1), None, &[document(seq, vec![7; 100])], None).await.unwrap();
    let is_due = || thread::sleep(std::time::Duration::from_millis(1100));
    put(1).await;
    is_due();
    put(2).await;
    let mut other = Command::new("python3")
        .args(["-c", MOVES, &folder.path().join("vault.db-shm").to_string_lossy()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    other.stdout.as_mut().unwrap().read_exact(&mut [0; 3]).unwrap();
    is_due();
    put(3).await;
    drop(other.stdin.take());
    assert!(other.wait().unwrap().success());
    // The other one has changed the file meanwhile.
    assert!(Command::new("touch").arg(&path).status().unwrap().success());
    let file = fs::metadata(&path).unwrap().ino();
    put(4).await;
    assert!(!doubts.has_changed().unwrap(), "it believes that the file was written over");
    assert_eq!(fs::metadata(&path).unwrap().ino(), file);
    assert_eq!(vault.documents(&tenant(1), Seq(1)).await.unwrap().len(), 4);
}

#[tokio::test]
async fn whoever_moves_the_log_into_the_file_does_no_harm() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vault.db");
    let vault = Embedded::open(&path).unwrap();
    let doubts = vault.doubts();
    let tool = Connection::open(&path).unwrap();
    tool.busy_timeout(std::time::Duration::from_secs(10)).unwrap();
    for seq in 1..20 {
        vault.append(&tenant(1), None, &[document(seq, vec![7; 5000])], None).await.unwrap();
        let how = ["PASSIVE", "TRUNCATE", "RESTART"][seq as usize % 3];
        tool.query_row(&format!("PRAGMA wal_checkpoint({how})"), [], |_| Ok(())).unwrap();
        if seq % 5 == 0 {
            tool.execute_batch("VACUUM").unwrap();
        }
    }
    assert_eq!(vault.documents(&tenant(1), Seq(1)).await.unwrap().len(), 19);
    assert!(!doubts.has_changed().unwrap());
}
