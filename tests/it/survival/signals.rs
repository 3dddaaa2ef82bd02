//! Signals to a daemon that has hardly begun.

use std::{
    fs::{File, OpenOptions},
    future::ready,
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use rustix::{
    fs::OFlags,
    process::{Pid, Signal, kill_process},
};
use sessiond::demo::until;
use tokio::{process::Command, time::timeout};

use crate::support::stage::LIMIT;

/// Of the kernel: the process has a handler of its own for SIGHUP.
fn hears_hangups(id: u32) -> bool {
    let status = std::fs::read_to_string(Path::new("/proc").join(id.to_string()).join("status")).unwrap_or_default();
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
    let caught = caught.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or_default();
    caught & 1 == 1
}

/// `None`: nobody reads the pipe yet. To wait for a reader would hold up the runtime's end, if the daemon dies before it is one.
fn open_for_a_reader(pipe: &Path) -> Option<File> {
    let at_once = i32::try_from(OFlags::NONBLOCK.bits()).unwrap();
    OpenOptions::new().write(true).custom_flags(at_once).open(pipe).ok()
}

/// It waits for its configuration, so nothing has been read, and SIGHUP does not end it: it goes on, and says what is wrong with the file.
#[tokio::test]
async fn a_hangup_before_the_configuration_is_read_ends_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("sessiond.toml");
    assert!(Command::new("mkfifo").arg(&pipe).status().await.unwrap().success());
    let program = std::env::var("SESSIOND_PROGRAM").unwrap_or_else(|_| env!("CARGO_BIN_EXE_sessiond").to_owned());
    let mut command = Command::new(program);
    command.arg("--config").arg(&pipe).current_dir(folder.path()).kill_on_drop(true);
    let mut daemon = command.spawn().unwrap();
    let id = daemon.id().unwrap();
    until(LIMIT, "SIGHUP to be heard", || ready(hears_hangups(id))).await.unwrap();
    kill_process(Pid::from_raw(id.try_into().unwrap()).unwrap(), Signal::HUP).unwrap();
    let mut opened = None;
    until(LIMIT, "the configuration to be read", || {
        opened = open_for_a_reader(&pipe);
        ready(opened.is_some())
    })
    .await
    .unwrap();
    // As few bytes as a pipe takes at once. Then it is closed, and the daemon is at the end of its configuration.
    opened.take().unwrap().write_all(b"no configuration at all").unwrap();
    let ended = timeout(LIMIT, daemon.wait()).await.expect("it reads on").unwrap();
    assert_eq!(ended.code(), Some(i32::from(sessiond::config::EXIT_CONFIG)), "{ended:?}");
}
