//! Node programs that the tests drive: installed once from their lock files, run as processes that print JSON lines.

use std::{path::PathBuf, process::Stdio, time::Duration};

use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader, Lines},
    process::{Child, ChildStdout, Command},
    sync::OnceCell,
};

/// The folder of a Node program with its packages installed; `None`, loudly, where Node is missing.
pub async fn program(name: &'static str) -> Option<PathBuf> {
    static INSTALLED: OnceCell<bool> = OnceCell::const_new();
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests").join(name);
    let installed = INSTALLED.get_or_init(|| async {
        if Command::new("node").arg("--version").stdout(Stdio::null()).status().await.is_err() {
            assert!(std::env::var_os("CI").is_none(), "Node is missing");
            eprintln!("\n*** NODE IS MISSING: tests with real clients DID NOT RUN ***\n");
            return false;
        }
        if !folder.join("node_modules").exists() {
            let status = Command::new("npm").args(["ci", "--ignore-scripts"]).current_dir(&folder).status().await;
            assert!(status.is_ok_and(|status| status.success()), "npm ci failed in {}", folder.display());
        }
        true
    });
    installed.await.then_some(folder)
}

/// A running program.
pub struct Script {
    _child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Script {
    pub fn start(folder: &PathBuf, arguments: &[&str]) -> Self {
        let mut command = Command::new("node");
        command.args(arguments).current_dir(folder).stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { _child: child, lines }
    }

    /// The next line that `wanted` accepts; the others are dropped.
    pub async fn line(&mut self, limit: Duration, mut wanted: impl FnMut(&Value) -> bool) -> Value {
        let found = tokio::time::timeout(limit, async {
            while let Some(line) = self.lines.next_line().await.unwrap() {
                if let Ok(value) = serde_json::from_str(&line)
                    && wanted(&value)
                {
                    return value;
                }
            }
            panic!("the program ended");
        });
        found.await.expect("the program did not say it in time")
    }
}
