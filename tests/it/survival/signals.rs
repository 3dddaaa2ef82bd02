//! Signals to a daemon that has hardly begun.

use std::{path::Path, time::Duration};

use rustix::process::{Pid, Signal, kill_process};
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
    until(LIMIT, "SIGHUP to be heard", || std::future::ready(hears_hangups(id))).await.unwrap();
    kill_process(Pid::from_raw(id.try_into().unwrap()).unwrap(), Signal::HUP).unwrap();
    let writing = tokio::task::spawn_blocking(move || std::fs::write(pipe, "no configuration at all"));
    let ended = timeout(LIMIT, daemon.wait()).await.expect("it reads on").unwrap();
    assert_eq!(ended.code(), Some(i32::from(sessiond::config::EXIT_CONFIG)), "{ended:?}");
    timeout(Duration::from_secs(10), writing).await.unwrap().unwrap().unwrap();
}
