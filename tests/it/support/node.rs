//! Node programs that the tests drive: installed once from their lock files, run as processes that print JSON lines and, if
//! they read any, are told JSON lines. Part of this test binary and of the loopback network's.

use std::{
    fs::File,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command as Blocking, Stdio},
    time::Duration,
};

use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
    time::timeout,
};

/// The folder of a Node program with its packages installed; `None`, loudly, where Node is missing.
pub fn program(name: &str) -> Option<PathBuf> {
    if !is_present("node") || !is_present("npm") {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "CI needs Node and npm for the tests with real clients");
        // Past the test harness, which keeps what a passing test prints to itself.
        let loud = "\n*** NOT RUN: the tests with real clients need Node (20 or newer) and npm ***\n";
        writeln!(std::io::stderr(), "{loud}").expect("stderr is writable");
        return None;
    }
    // The workspace's `tests`, whichever package this is compiled in.
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .map(|above| above.join("tests").join(name))
        .find(|folder| folder.join("package.json").is_file())
        .expect("the program is in the repository");
    // Tests run in parallel, and so may other test binaries: one installs, the rest wait.
    let lock = File::create(folder.join(".install.lock")).expect("the folder is writable");
    lock.lock().expect("lockable");
    if !is_newer(&folder.join("node_modules/.package-lock.json"), &folder.join("package-lock.json")) {
        let status = Blocking::new("npm")
            .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"])
            .current_dir(&folder)
            .stdout(Stdio::null())
            .status()
            .expect("npm runs");
        assert!(status.success(), "npm ci failed in {}", folder.display());
    }
    Some(folder)
}

fn is_present(program: &str) -> bool {
    Blocking::new(program).arg("--version").output().is_ok_and(|output| output.status.success())
}

fn is_newer(file: &Path, than: &Path) -> bool {
    let modified = |path: &Path| path.metadata().and_then(|metadata| metadata.modified()).ok();
    modified(file).is_some_and(|time| Some(time) >= modified(than))
}

/// A running program. Killed when dropped.
pub struct Script {
    child: Child,
    input: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Script {
    pub fn start(folder: &Path, arguments: &[&str]) -> Self {
        Self::start_with(folder, arguments, &[])
    }

    /// With variables of its own in its environment.
    pub fn start_with(folder: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let mut command = Command::new("node");
        command.args(arguments).envs(variables.iter().copied()).current_dir(folder);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().expect("node starts");
        let input = child.stdin.take().expect("piped");
        let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        Self { child, input, lines }
    }

    pub async fn tell(&mut self, line: &Value) {
        self.input.write_all(format!("{line}\n").as_bytes()).await.expect("the program reads");
    }

    /// The next line that `wanted` accepts; the others are dropped.
    pub async fn line(&mut self, limit: Duration, mut wanted: impl FnMut(&Value) -> bool) -> Value {
        let mut dropped = Vec::new();
        let found = async {
            loop {
                let line = next(&mut self.lines).await.expect("the program is alive");
                if wanted(&line) {
                    return line;
                }
                dropped.push(line);
            }
        };
        match timeout(limit, found).await {
            Ok(line) => line,
            Err(_) => panic!("the program did not say it in time, but: {dropped:#?}"),
        }
    }

    /// Closes the program's input, which ends it; what it still had to say.
    pub async fn end(mut self, limit: Duration) -> Vec<Value> {
        drop(self.input);
        let mut rest = Vec::new();
        let ending = async {
            while let Some(line) = next(&mut self.lines).await {
                rest.push(line);
            }
            self.child.wait().await.expect("it ran");
        };
        timeout(limit, ending).await.expect("it ends");
        rest
    }
}

async fn next(lines: &mut Lines<BufReader<ChildStdout>>) -> Option<Value> {
    let line = lines.next_line().await.expect("readable")?;
    Some(serde_json::from_str(&line).expect("JSON lines"))
}
