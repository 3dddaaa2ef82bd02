//! A stage for a test of the whole: a WhatsApp network, a vault that outlives the daemon, and the daemon as a process.

use std::{path::PathBuf, time::Duration};

use loopback::{Network, NetworkConfig};
use sessiond::demo::{Conversation, Dashboard, Ear, Process, Setup, Tally, until};

use crate::support::emulator;

/// How long anything may take on a machine that is busy with other tests.
pub const LIMIT: Duration = Duration::from_secs(60);

/// Where the durable state is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Home {
    Embedded,
    Emulator,
}

pub struct Stage {
    pub network: Network,
    pub setup: Setup,
    pub dashboard: Dashboard,
    pub tally: Tally,
    /// On the emulator.
    pub project: Option<String>,
    dir: tempfile::TempDir,
}

impl Stage {
    /// `None`: the emulator is missing, and that has been said.
    pub async fn new(home: Home) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        // Its control API is for programs that act as people who have a phone.
        let config = NetworkConfig { control: Some(([127, 0, 0, 1], 0).into()), ..NetworkConfig::default() };
        let network = Network::start(config).await.unwrap();
        // Another build, to see a test fail or pass on it.
        let program = std::env::var("SESSIOND_PROGRAM").unwrap_or_else(|_| env!("CARGO_BIN_EXE_sessiond").to_owned());
        let setup = Setup::new(program, dir.path(), &network.ws_url())
            .and_then(|setup| setup.trusting(dir.path(), network.media_ca_pem()))
            .unwrap();
        let project = (home == Home::Emulator).then(emulator::project);
        let setup = match &project {
            None => setup.embedded(&dir.path().join("cloud").join("vault.db")),
            Some(project) => setup.firestore(&emulator::host()?, project),
        };
        // Fewer keys make a pairing quick; what is tested here does not depend on their number.
        let setup = setup
            .set("SESSIOND_SESSION__PRE_KEYS", "30")
            .set("SESSIOND_SESSION__BACKOFF_MIN", "0s")
            .set("SESSIOND_SESSION__BACKOFF_MAX", "2s");
        let dashboard = Dashboard::new(setup.address, setup.admin_key.clone());
        let tally = Tally::new(network.clone());
        Some(Self { network, setup, dashboard, tally, project, dir })
    }

    pub fn set(mut self, name: &str, value: impl Into<String>) -> Self {
        self.setup = self.setup.set(name, value);
        self
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub async fn start(&self) -> Process {
        self.setup.start(LIMIT).await.unwrap()
    }

    /// A daemon with a wall clock that is off by so many seconds. `None`: libfaketime is missing, and that has been said.
    pub fn clock(&self, offset_seconds: i64) -> Option<Setup> {
        let setup = self.setup.clone().clock(offset_seconds);
        if setup.is_none() {
            assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "CI needs Debian's package libfaketime");
            eprintln!("\n*** NOT RUN: wrong clocks need Debian's package libfaketime ***\n");
        }
        setup
    }

    pub fn wipe_local_data(&self) {
        std::fs::remove_dir_all(&self.setup.data_dir).unwrap();
    }

    pub async fn pair(&self, tenant: &str) -> Conversation {
        Conversation::pair(&self.network, &self.dashboard, tenant.into(), LIMIT).await.unwrap()
    }

    /// Another process on the same vault, with a port and, unless `shares_data`, a data folder of its own. An embedded vault has to be
    /// shared for it: see [`Self::shared`].
    pub fn other(&self, name: &str, shares_data: bool) -> Other {
        let mut setup = self.setup.clone();
        setup.address = sessiond::demo::free_address().unwrap();
        setup.log = self.path(&format!("{name}.log"));
        if !shares_data {
            setup.data_dir = self.path(name);
        }
        Other { dashboard: Dashboard::new(setup.address, setup.admin_key.clone()), setup }
    }

    /// Several processes may have the vault.
    pub fn shared(self) -> Self {
        self.set("SESSIOND_VAULT__EMBEDDED__SHARED", "true")
    }

    /// What `/health` says to whoever has the admin key, and its status.
    pub async fn health(&self) -> (u16, serde_json::Value) {
        health(&self.dashboard).await
    }

    pub fn listen(&self, conversations: &[Conversation]) -> Ear {
        Ear::open(&self.dashboard, conversations.iter().map(|conversation| conversation.tenant.clone()).collect())
    }

    /// What the daemon has logged so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.setup.log).unwrap_or_default()
    }

    /// Customers write, and all of them are answered over the dashboards that `ear` listens to.
    pub async fn talk(&self, conversations: &mut [Conversation], ear: &Ear, messages: usize) {
        for conversation in conversations.iter_mut() {
            conversation.customers_write(&self.network, messages).await.unwrap();
        }
        if let Err(error) = self.tally.answer_all(conversations, &self.dashboard, ear, LIMIT).await {
            panic!("{error:#}\n{}", self.log());
        }
    }

    /// The oldest message of a conversation is read by its dashboard, wherever it lies by now.
    pub async fn assert_oldest_is_read(&self, conversation: &Conversation) {
        let customer = &conversation.customers[0];
        let path = format!("/api/{}/chats/{customer}@c.us/messages?limit=100", conversation.tenant);
        let read = self.dashboard.get(&path).await.unwrap().body;
        let oldest = conversation.written.iter().find(|one| one.customer == *customer).unwrap();
        assert!(read.as_array().unwrap().iter().any(|message| message["body"] == *oldest.text), "{read:#}");
    }

    /// The promises, by what the network saw: no second scan, nothing lost, nothing doubled, no counter used twice.
    pub async fn assert_promises(&self, conversations: &[Conversation]) {
        let stats = self.network.stats().await;
        assert_eq!(stats.counts.pairings, conversations.len() as u64, "somebody had to scan again");
        assert_eq!(stats.counters_reused, 0, "counters were used twice: {:#?}", stats.reuses);
        let count = self.tally.count(conversations).await.unwrap();
        assert_eq!((count.lost, count.doubled), (0, 0), "{count:?}\n{}", self.log());
    }
}

/// A second daemon.
pub struct Other {
    pub setup: Setup,
    pub dashboard: Dashboard,
}

impl Other {
    pub async fn start(&self) -> Process {
        self.setup.start(LIMIT).await.unwrap()
    }

    pub async fn health(&self) -> (u16, serde_json::Value) {
        health(&self.dashboard).await
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.setup.log).unwrap_or_default()
    }
}

async fn health(dashboard: &Dashboard) -> (u16, serde_json::Value) {
    // The daemon may be closing the idle connection on which this is asked: whoever probes asks once more.
    let answer = match dashboard.get("/health").await {
        Ok(answer) => answer,
        Err(_) => dashboard.get("/health").await.unwrap(),
    };
    (answer.status, answer.body)
}

/// Until the daemon has died at its crash point, by itself.
pub async fn await_death(daemon: &mut Process, seed: u64) {
    let died = until(LIMIT, "the crash point", || std::future::ready(daemon.has_ended().unwrap()));
    died.await.unwrap_or_else(|error| panic!("seed {seed}: {error}"));
}
