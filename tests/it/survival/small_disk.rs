//! A disk that customers' messages fill: the vault keeps the room that a start needs, and what did not fit comes when there is room again.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

use rand::{Rng as _, distr::Alphanumeric};
use sessiond::demo::{Conversation, Written, until};

use crate::support::stage::{Home, LIMIT, Stage};

/// A file system of its own, in memory.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// `None`, with a word, where nothing may be mounted; under `CI=true` a failure.
    fn mount(at: PathBuf, mib: u64) -> Option<Self> {
        std::fs::create_dir_all(&at).unwrap();
        let size = format!("size={mib}m,mode=700");
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(&at).output().unwrap();
        if mount.status.success() {
            return Some(Self(at));
        }
        let why = String::from_utf8_lossy(&mount.stderr).into_owned();
        assert!(env::var_os("CI").is_none(), "no small disk: {why}");
        eprintln!("NOT TESTED, no small disk: {why}");
        None
    }

    fn free(&self) -> u64 {
        let disk = rustix::fs::statvfs(&self.0).unwrap();
        disk.f_bavail * disk.f_frsize
    }

    /// All but so many bytes.
    fn fill(&self, leave: u64) -> PathBuf {
        let ballast = self.0.join("ballast");
        std::fs::write(&ballast, vec![1; usize::try_from(self.free() - leave).unwrap()]).unwrap();
        ballast
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

fn vault(disk: &Path) -> String {
    disk.join("cloud").join("vault.db").to_string_lossy().into_owned()
}

async fn lost(stage: &Stage, conversation: &Conversation) -> usize {
    stage.tally.count(std::slice::from_ref(conversation)).await.unwrap().lost
}

const MIB: u64 = 1 << 20;

#[tokio::test(flavor = "multi_thread")]
async fn messages_that_fill_the_disk_leave_room_to_restore() {
    let mut stage = Stage::new(Home::Embedded).await.unwrap();
    let Some(disk) = SmallDisk::mount(stage.path("small"), 320) else { return };
    stage.setup.data_dir = disk.0.join("data");
    let stage = stage.set("SESSIOND_VAULT__EMBEDDED__PATH", vault(&disk.0)).set("SESSIOND_DATA__RESERVE_MIB", "128");
    let mut daemon = stage.start().await;
    let mut conversation = stage.pair("trattoria").await;
    conversation.customers_write(&stage.network, 1).await.unwrap();
    until(LIMIT, "the first words to be kept", || async { lost(&stage, &conversation).await == 0 }).await.unwrap();

    let ballast = disk.fill(40 * MIB);
    for n in 0..400 {
        let customer = conversation.customers[n % 2].clone();
        let text: String = rand::rng().sample_iter(Alphanumeric).take(60_000).map(char::from).collect();
        let id = stage.network.customer_send(&customer, &conversation.number, text.as_str()).await.unwrap();
        conversation.written.push(Written { id, customer, text });
    }
    let full = || async {
        let (status, health) = stage.health().await;
        (status, &health["status"]) == (503, &"disk_full".into())
    };
    until(4 * LIMIT, "the disk to be full", full).await.unwrap_or_else(|error| {
        panic!("{error}, {} MiB are free: they were no flood\n{}", disk.free() / MIB, stage.log())
    });
    assert!(lost(&stage, &conversation).await > 0, "{} MiB are free, and all was kept", disk.free() / MIB);

    daemon.kill().await.unwrap();
    daemon = stage.start().await;
    let online = async || stage.network.devices(&conversation.number).await.unwrap().iter().any(|device| device.online);
    until(LIMIT, "the tenant to be online with a full disk", online)
        .await
        .unwrap_or_else(|error| panic!("{error}, {} KiB are free\n{}", disk.free() >> 10, stage.log()));
    assert!(!stage.log().contains("not restored"), "{}", stage.log());

    std::fs::remove_file(ballast).unwrap();
    until(4 * LIMIT, "what waited to be kept", || async { lost(&stage, &conversation).await == 0 })
        .await
        .unwrap_or_else(|error| panic!("{error}\n{}", stage.log()));
    stage.assert_promises(std::slice::from_ref(&conversation)).await;
    daemon.terminate(LIMIT).await.unwrap();
}

/// The vault and the files may each have a disk of its own.
#[tokio::test(flavor = "multi_thread")]
async fn every_disk_that_is_written_on_is_looked_at() {
    let mut stage = Stage::new(Home::Embedded).await.unwrap();
    let Some(cloud) = SmallDisk::mount(stage.path("cloud-disk"), 64) else { return };
    let Some(files) = SmallDisk::mount(stage.path("files-disk"), 64) else { return };
    stage = stage
        .set("SESSIOND_VAULT__EMBEDDED__PATH", vault(&cloud.0))
        .set("SESSIOND_MEDIA__FOLDER", files.0.join("media").to_string_lossy())
        .set("SESSIOND_DATA__RESERVE_MIB", "32");
    let daemon = stage.start().await;
    let is = async |status: u16, word: &str, disks: u64| {
        let seen = async || {
            let (answered, health) = stage.health().await;
            (answered, health["status"].as_str(), health["problems"]["disk"].as_u64())
                == (status, Some(word), Some(disks))
        };
        until(LIMIT, word, seen).await.unwrap_or_else(|error| panic!("{error}\n{}", stage.log()));
    };
    is(200, "ok", 0).await;
    // Without files messages go on.
    let ballast = files.fill(MIB);
    is(200, "disk_low", 1).await;
    std::fs::remove_file(ballast).unwrap();
    is(200, "ok", 0).await;
    let ballast = cloud.fill(16 * MIB);
    is(200, "disk_low", 1).await;
    std::fs::remove_file(ballast).unwrap();
    let ballast = cloud.fill(2 * MIB);
    is(503, "disk_full", 1).await;
    std::fs::remove_file(ballast).unwrap();
    is(200, "ok", 0).await;
    daemon.kill().await.unwrap();
}
