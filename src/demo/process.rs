//! The daemon as a process of its own, for the demo and the tests: started, killed without warning, stopped, started again over
//! the same vault.

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::Stdio,
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use tokio::process::{Child, Command};

/// Debian's libfaketime, by architecture.
const FAKETIME: [&str; 2] =
    ["/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1", "/usr/lib/aarch64-linux-gnu/faketime/libfaketime.so.1"];

/// How a daemon is started.
#[derive(Debug, Clone)]
pub struct Setup {
    pub program: PathBuf,
    /// Working copies and the admin key; may be deleted at any time.
    pub data_dir: PathBuf,
    pub address: SocketAddr,
    pub admin_key: String,
    /// `SESSIOND_…` and the like.
    pub environment: Vec<(String, String)>,
    /// The daemon's output goes there.
    pub log: PathBuf,
    /// A program that starts the daemon in its own place, with its arguments.
    pub launcher: Vec<String>,
}

impl Setup {
    pub fn new(program: impl Into<PathBuf>, dir: &Path, whatsapp: &str) -> anyhow::Result<Self> {
        let environment = [
            ("SESSIOND_WHATSAPP__ENDPOINT", whatsapp),
            ("SESSIOND_WHATSAPP__VERSION", "2.3000.1026131876"),
            ("SESSIOND_LOG__FORMAT", "json"),
        ];
        Ok(Self {
            program: program.into(),
            data_dir: dir.join("data"),
            address: free_address()?,
            admin_key: "demo-admin-key-demo-admin-key".into(),
            environment: environment.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
            log: dir.join("sessiond.log"),
            launcher: Vec::new(),
        })
    }

    pub fn set(mut self, name: &str, value: impl Into<String>) -> Self {
        self.environment.retain(|(known, _)| known != name);
        self.environment.push((name.to_owned(), value.into()));
        self
    }

    /// The embedded vault in a file outside the data: it stands for the cloud.
    pub fn embedded(self, file: &Path) -> Self {
        self.set("SESSIOND_VAULT__KIND", "embedded").set("SESSIOND_VAULT__EMBEDDED__PATH", file.to_string_lossy())
    }

    /// A project of a Firestore emulator.
    pub fn firestore(self, emulator: &str, project: &str) -> Self {
        self.set("FIRESTORE_EMULATOR_HOST", emulator)
            .set("FIRESTORE_PROJECT_ID", project)
            .set("SESSIOND_MASTER_KEY", "5e".repeat(32))
    }

    /// Starts with so many file descriptors and no way to more.
    pub fn descriptors(mut self, limit: u32) -> Self {
        self.launcher = ["prlimit".into(), format!("--nofile={limit}:{limit}")].into();
        self
    }

    /// Starts with a wall clock that is off by so many seconds. `None`: libfaketime is missing.
    pub fn clock(self, offset_seconds: i64) -> Option<Self> {
        let library = FAKETIME.iter().find(|path| Path::new(path).exists())?;
        let offset = format!("{offset_seconds:+}s");
        Some(self.set("LD_PRELOAD", *library).set("FAKETIME", offset).set("FAKETIME_DONT_FAKE_MONOTONIC", "1"))
    }

    /// Trusts the network's media host: its authority's certificate goes into a file in `dir`.
    pub fn trusting(self, dir: &Path, authority: &str) -> anyhow::Result<Self> {
        let file = dir.join("media-authority.pem");
        std::fs::write(&file, authority)?;
        Ok(self.set("SESSIOND_WHATSAPP__MEDIA_AUTHORITY", file.to_string_lossy()))
    }

    /// Starts the daemon. It has not restored anything yet.
    pub fn spawn(&self) -> anyhow::Result<Process> {
        let log = std::fs::OpenOptions::new().create(true).append(true).open(&self.log)?;
        let mut command = self.command()?;
        command.stdout(log.try_clone()?).stderr(log);
        let child = command.spawn().with_context(|| format!("{} cannot be started", self.program.display()))?;
        Ok(Process { child, address: self.address, log: self.log.clone(), started: Instant::now() })
    }

    /// The program with all its settings; without arguments it serves.
    pub fn command(&self) -> anyhow::Result<Command> {
        std::fs::create_dir_all(&self.data_dir)?;
        let program = self.program.to_string_lossy().into_owned();
        let mut words = self.launcher.iter().chain([&program]);
        let mut command = Command::new(words.next().context("the program comes last")?);
        command
            .args(words)
            .env_clear()
            .envs(
                std::env::vars_os()
                    .filter(|(name, _)| ["PATH", "HOME", "LLVM_PROFILE_FILE"].iter().any(|keep| name == keep)),
            )
            .env("SESSIOND_ADMIN_KEY", &self.admin_key)
            .env("SESSIOND_DATA__DIR", &self.data_dir)
            .env("SESSIOND_HTTP__LISTEN", self.address.to_string())
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .kill_on_drop(true);
        Ok(command)
    }

    /// Starts the daemon and waits until its port is open.
    pub async fn start(&self, limit: Duration) -> anyhow::Result<Process> {
        let mut process = self.spawn()?;
        process.await_port(limit).await?;
        Ok(process)
    }
}

/// A running daemon. Killed when dropped.
pub struct Process {
    child: Child,
    address: SocketAddr,
    log: PathBuf,
    started: Instant,
}

impl Process {
    pub fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Waits until the port is open; the time since the start.
    pub async fn await_port(&mut self, limit: Duration) -> anyhow::Result<Duration> {
        while self.started.elapsed() < limit {
            if let Some(status) = self.child.try_wait()? {
                bail!("the daemon ended: {status}; see {}\n{}", self.log.display(), tail(&self.log));
            }
            if tokio::net::TcpStream::connect(self.address).await.is_ok() {
                return Ok(self.started.elapsed());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        bail!("the port did not open within {limit:?}; see {}\n{}", self.log.display(), tail(&self.log))
    }

    /// SIGKILL: no flush, no goodbye.
    pub async fn kill(mut self) -> anyhow::Result<()> {
        self.child.kill().await?;
        Ok(())
    }

    /// Whether it has ended by itself (a crash point).
    pub fn has_ended(&mut self) -> anyhow::Result<bool> {
        Ok(self.child.try_wait()?.is_some())
    }

    /// SIGTERM; its exit code.
    pub async fn terminate(self, limit: Duration) -> anyhow::Result<Option<i32>> {
        self.signal(rustix::process::Signal::TERM)?;
        self.ended(limit).await
    }

    /// Waits until it has ended; its exit code.
    pub async fn ended(mut self, limit: Duration) -> anyhow::Result<Option<i32>> {
        let status = tokio::time::timeout(limit, self.child.wait()).await.context("the daemon does not stop")??;
        Ok(status.code())
    }

    pub fn signal(&self, signal: rustix::process::Signal) -> anyhow::Result<()> {
        let id = self.child.id().context("the daemon has ended")?;
        let id = rustix::process::Pid::from_raw(id.try_into()?).context("no process id")?;
        Ok(rustix::process::kill_process(id, signal)?)
    }
}

/// A port that was free a moment ago, and that no other call of this process gives. It lies below those that a kernel gives to whoever
/// asks for any (32768 and up on Linux): so a daemon that is killed and started again finds it as it left it.
pub fn free_address() -> std::io::Result<SocketAddr> {
    static TAKEN: AtomicU32 = AtomicU32::new(0);
    const PORTS: std::ops::Range<u16> = 10_000..32_000;
    let count = u32::from(PORTS.end - PORTS.start);
    // Another process begins elsewhere.
    let start = std::process::id().wrapping_mul(7_919);
    for _ in 0..count {
        let offset = start.wrapping_add(TAKEN.fetch_add(1, Ordering::Relaxed)) % count;
        let port = PORTS.start + u16::try_from(offset).unwrap_or_default();
        if let Ok(listener) = TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
            return listener.local_addr();
        }
    }
    Err(std::io::ErrorKind::AddrInUse.into())
}

fn tail(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<_> = text.lines().rev().take(15).collect();
    lines.into_iter().rev().collect::<Vec<_>>().join("\n")
}
