//! One run: two tenants, their customers and dashboards, and a daemon that lives as its plan says.
//!
//! The verdict is the network's and the consumers'. A run that cannot be judged (somebody waits in vain) is an error.

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

use anyhow::Context as _;
use futures::future::{join_all, try_join_all};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use rustix::process::Signal;
use sessiond::demo::{Conversation, Dashboard, Ear, Heard, Process, Setup, Verdict, free_address, until};
use tokio::{net::TcpStream, time::sleep};

use super::{
    consumers::{self, Hook, Page},
    newcomer,
    plan::{End, Plan, PlannedLife, Trouble},
    traffic::{Accepted, Sender, customer_writes, moments},
};
use crate::{
    ownership::directory::Directory,
    support::{
        emulator,
        front::Front,
        proxy::{Mode, Proxy},
        stage::{Home, LIMIT, Stage},
        vault_loss::{self, Loss},
    },
    survival::damage::working_copy,
    vault::lock as vault_lock,
};

/// The tenant to whom it happens, and one who must not notice.
const TENANTS: [&str; 2] = ["trattoria", "osteria"];

/// How long the daemon may take to exit after SIGTERM.
const EXIT_TIMEOUT: Duration = Duration::from_secs(30);

pub struct KillScene {
    stage: Stage,
    front: Front,
    dashboard: Dashboard,
    proxy: Option<Proxy>,
    directory: Directory,
}

/// A daemon and the setup that it was started with.
struct Running {
    process: Process,
    setup: Setup,
}

impl KillScene {
    /// `None`: the emulator is missing, and that has been said.
    pub async fn new(home: Home) -> Option<Self> {
        let stage = Stage::new(home).await?;
        let stage = stage
            .set("SESSIOND_VAULT__SNAPSHOT_ENTRIES", "10")
            .set("SESSIOND_MESSAGES__LIVE_EVENTS", "20")
            .set("SESSIOND_OUTBOUND__ALLOW", "127.0.0.1/32")
            .set("SESSIOND_VAULT__FIRESTORE__REQUEST_TIMEOUT", "1s");
        let (stage, proxy) = match home {
            // Rivals share it.
            Home::Embedded => (stage.shared(), None),
            Home::Emulator => {
                let proxy = Proxy::start(&emulator::host()?).await;
                (stage.set("FIRESTORE_EMULATOR_HOST", proxy.address()), Some(proxy))
            }
        };
        let front = Front::start().await;
        let dashboard = Dashboard::new(front.address, stage.setup.admin_key.clone());
        let directory = Directory::of(&stage, home);
        Some(Self { stage, front, dashboard, proxy, directory })
    }

    /// What the daemons logged last.
    pub fn log_tail(&self) -> String {
        let log = self.stage.log();
        let lines: Vec<&str> = log.lines().rev().take(60).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }

    /// What the network has counted.
    pub async fn network_story(&self) -> String {
        format!("{:#?}", self.stage.network.stats().await)
    }

    pub async fn play(&self, plan: &Plan, seed: u64) -> anyhow::Result<Verdict> {
        let mut rng = StdRng::seed_from_u64(!seed);
        let mut daemon = self.start(self.stage.setup.clone(), &plan.lives[0]).await?;
        daemon.process.await_port(LIMIT).await?;
        let pairs =
            TENANTS.map(|tenant| Conversation::pair(&self.stage.network, &self.dashboard, tenant.to_owned(), LIMIT));
        let mut conversations = try_join_all(pairs).await?;
        if plan.stranger {
            conversations[0].customers.push(self.stage.network.add_customer().await);
        }
        let hook = if plan.webhook { Some(Hook::add(&self.dashboard, TENANTS[0], seed).await) } else { None };
        let mut ears = vec![Ear::open(&self.dashboard, TENANTS.map(str::to_owned).into())];

        let key = &self.stage.setup.admin_key;
        let page = if plan.page { Page::open(&self.dashboard, key, TENANTS[0]) } else { None };

        let told = Arc::new(Mutex::new(String::new()));
        let traffic = self.traffic(plan, &conversations, &told, &mut rng);
        let lives = self.lives(plan, daemon, seed);
        let newcomer = async {
            let at = plan.newcomer?;
            Some(newcomer::arrives(at, &self.stage.network, &self.dashboard).await)
        };
        let (traffic, daemon, newcomer) = tokio::join!(traffic, lives, newcomer);
        let mut daemon = daemon?;
        let traffic =
            traffic.with_context(|| format!("the last answer was {:?}", told.lock().map(|told| told.clone())))?;
        for (conversation, (written, accepted)) in conversations.iter_mut().zip(&traffic) {
            conversation.written.clone_from(written);
            conversation.sent = accepted.iter().map(|one| one.sent.clone()).collect();
        }
        if let Some(newcomer) = newcomer {
            conversations.push(newcomer.context("the newcomer")?);
            ears.push(Ear::open(&self.dashboard, vec![newcomer::TENANT.to_owned()]));
        }
        self.await_all(&conversations, &ears).await;
        if let Some(loss) = plan.loss {
            daemon = self.forget(loss, daemon, &mut conversations, &ears).await?;
        }
        let mut verdict = self.stage.tally.verdict(&conversations, &heard(&ears)).await?;
        // What no dashboard has heard of is as lost as what never came.
        verdict.lost += consumers::unheard(&conversations, &heard(&ears));
        if let Some(hook) = hook {
            hook.await_all(&conversations[0]).await?;
        }
        if let Some(mut page) = page {
            page.await_all(&conversations[0]).await;
        }
        anyhow::ensure!(!daemon.process.has_ended()?, "the last daemon has ended");
        for accepted in traffic.iter().flat_map(|(_, accepted)| accepted) {
            self.assert_same_answer(accepted).await?;
        }
        daemon.process.kill().await?;
        Ok(verdict)
    }

    /// Whoever repeats a send now, long after, is still told the same.
    async fn assert_same_answer(&self, accepted: &Accepted) -> anyhow::Result<()> {
        let Accepted { tenant, sent, key } = accepted;
        let repeat = || self.dashboard.send(tenant, &sent.customer, &sent.text, key);
        // A damage that nobody has met so far may only show now, and be mended.
        until(LIMIT, &format!("an answer to a repeat of {key}"), || async { repeat().await.is_ok() }).await?;
        let id = repeat().await.with_context(|| format!("a repeat of {key}"))?;
        anyhow::ensure!(id == sent.id, "{key} was {} and is {id}", sent.id);
        Ok(())
    }

    /// The vault forgets; what the daemon has in hand is there after its death with its disk.
    async fn forget(
        &self,
        loss: Loss,
        daemon: Running,
        conversations: &mut [Conversation],
        ears: &[Ear],
    ) -> anyhow::Result<Running> {
        // Nobody else may be without it: a copy that is being built is built from the vault.
        until(LIMIT, "the tenant to be connected", || self.dashboard.is_connected(TENANTS[0])).await?;
        let vault = vault_loss::vault(&self.stage).await;
        conversations[0].customers_write(&self.stage.network, 1).await?;
        vault_loss::lose(&self.stage, &*vault, TENANTS[0], loss).await;
        conversations[0].customers_write(&self.stage.network, 1).await?;
        self.await_all(conversations, ears).await;
        let Running { process, setup } = daemon;
        process.kill().await?;
        let _ = std::fs::remove_dir_all(&setup.data_dir);
        let environment = self.stage.setup.environment.clone();
        let setup = Setup { address: free_address()?, environment, launcher: Vec::new(), ..setup };
        let mut process = setup.spawn()?;
        self.front.point_to(setup.address);
        process.await_port(LIMIT).await?;
        conversations[0].customers_write(&self.stage.network, 1).await?;
        self.await_all(conversations, ears).await;
        Ok(Running { process, setup })
    }

    /// Until everything has arrived everywhere, or it has had its time.
    async fn await_all(&self, conversations: &[Conversation], ears: &[Ear]) {
        let arrived = until(LIMIT, "everything", || async {
            let lost = self.stage.tally.count(conversations).await.map_or(1, |count| count.lost);
            lost + consumers::unheard(conversations, &heard(ears)) == 0
        });
        // Otherwise the verdict says it.
        let _ = arrived.await;
    }

    async fn traffic(
        &self,
        plan: &Plan,
        conversations: &[Conversation],
        told: &Arc<Mutex<String>>,
        rng: &mut StdRng,
    ) -> anyhow::Result<Vec<(Vec<sessiond::demo::Written>, Vec<Accepted>)>> {
        let chats = conversations.iter().map(|conversation| {
            let of_customer = conversation.customers.iter().map(|customer| {
                let (network, number) = (self.stage.network.clone(), conversation.number.clone());
                let writing = moments(rng, plan.messages, plan.length());
                let writing = customer_writes(network, customer.clone(), number, writing);
                let sender = Sender {
                    dashboard: self.dashboard.clone(),
                    tenant: conversation.tenant.clone(),
                    customer: customer.clone(),
                    moments: moments(rng, plan.messages, plan.length()),
                    leaves: plan.clients_leave,
                    seed: rng.random(),
                    told: told.clone(),
                };
                async { tokio::try_join!(writing, sender.run()) }
            });
            let of_customer: Vec<_> = of_customer.collect();
            async {
                let (written, accepted): (Vec<_>, Vec<_>) = try_join_all(of_customer).await?.into_iter().unzip();
                Ok((written.into_iter().flatten().collect(), accepted.into_iter().flatten().collect()))
            }
        });
        try_join_all(chats.collect::<Vec<_>>()).await
    }
}

/// The lives.
impl KillScene {
    async fn lives(&self, plan: &Plan, first: Running, seed: u64) -> anyhow::Result<Running> {
        let mut daemon = first;
        for (n, life) in plan.lives.iter().enumerate() {
            let setup = daemon.setup.clone();
            let troubles = life.troubles.iter().enumerate().map(|(k, (at, trouble))| {
                let rng = StdRng::seed_from_u64(seed ^ ((n as u64 + 1) << 32) ^ ((k as u64 + 1) << 40));
                self.trouble(*at, trouble, &setup, rng)
            });
            let troubles = join_all(troubles.collect::<Vec<_>>());
            if life.end == End::Never {
                troubles.await;
                daemon.process.await_port(LIMIT).await?;
                break;
            }
            let next = &plan.lives[n + 1];
            let (_, ended) = tokio::join!(troubles, self.end(life, next, daemon));
            daemon = ended?;
        }
        self.stage.network.clear_faults().await;
        Ok(daemon)
    }

    /// Starts a life; whether it opens its port is another matter.
    async fn start(&self, setup: Setup, life: &PlannedLife) -> anyhow::Result<Running> {
        let setup = fitted(Setup { address: free_address()?, ..setup }, life)?;
        let process = setup.spawn()?;
        self.front.point_to(setup.address);
        Ok(Running { process, setup })
    }

    /// A life comes to its end, and the next begins.
    async fn end(&self, life: &PlannedLife, next: &PlannedLife, daemon: Running) -> anyhow::Result<Running> {
        let Running { mut process, setup } = daemon;
        // Without the clock and the crash of this life.
        let bare = Setup { environment: self.stage.setup.environment.clone(), ..setup.clone() };
        match life.end {
            End::Kill | End::CrashAt(..) | End::Terminate => {
                sleep(life.length).await;
                if life.end == End::Terminate {
                    process.terminate(EXIT_TIMEOUT).await?;
                } else {
                    process.kill().await?;
                }
                if let End::CrashAt(point, nth) = life.end {
                    // The point is in a life of its own, which begins on what the kill left.
                    let doomed = setup.clone().set("LOOPBACK_CRASH", format!("{point}:{nth}"));
                    let mut doomed = self.start(doomed, life).await?;
                    let crashed = until(life.length + Duration::from_secs(2), "", || {
                        std::future::ready(doomed.process.has_ended().unwrap_or(true))
                    });
                    // Where no traffic passes the point the crash is one like any other.
                    if crashed.await.is_err() {
                        doomed.process.kill().await?;
                    }
                }
                if life.wipe {
                    // What was damaged may be a folder by now, or belong to nobody.
                    let _ = std::fs::remove_dir_all(&setup.data_dir);
                }
                self.start(bare, next).await
            }
            End::Rival { same_folder } => {
                sleep(life.length).await;
                let next = self.rival(&setup, same_folder, next).await?;
                process.terminate(EXIT_TIMEOUT).await?;
                Ok(next)
            }
            End::Sleeper => {
                sleep(life.length).await;
                process.signal(Signal::STOP)?;
                let next = self.rival(&setup, false, next).await?;
                process.signal(Signal::CONT)?;
                sleep(Duration::from_millis(200)).await;
                if !process.has_ended()? {
                    process.terminate(EXIT_TIMEOUT).await?;
                }
                Ok(next)
            }
            End::Never => Ok(Running { process, setup }),
        }
    }

    /// The next daemon, beside one that runs: the traffic is its own once its port is open.
    async fn rival(&self, setup: &Setup, same_folder: bool, next: &PlannedLife) -> anyhow::Result<Running> {
        let mut rival = Setup { environment: self.stage.setup.environment.clone(), ..setup.clone() };
        rival.address = free_address()?;
        if !same_folder {
            rival.data_dir = other_folder(&setup.data_dir);
        }
        rival = fitted(rival, next)?;
        let mut process = rival.spawn()?;
        process.await_port(LIMIT).await?;
        self.front.point_to(rival.address);
        Ok(Running { process, setup: rival })
    }
}

/// What goes wrong.
impl KillScene {
    async fn trouble(&self, at: Duration, trouble: &Trouble, setup: &Setup, mut rng: StdRng) {
        match trouble {
            Trouble::Disk(damage) => {
                let read = |tenant| -> HashMap<PathBuf, Vec<u8>> {
                    let files = working_copy(&setup.data_dir, tenant).into_iter();
                    files.filter_map(|file| Some((file.clone(), std::fs::read(file).ok()?))).collect()
                };
                sleep(at / 2).await;
                let older = read(TENANTS[0]);
                sleep(at / 2).await;
                let foreign = read(TENANTS[1]);
                for file in working_copy(&setup.data_dir, TENANTS[0]) {
                    let twin = foreign.iter().find(|(other, _)| other.file_name() == file.file_name());
                    let (older, foreign) = (older.get(&file), twin.map(|(_, bytes)| bytes));
                    // It may have gone meanwhile.
                    let _ = damage.apply(&file, older.map(Vec::as_slice), foreign.map(Vec::as_slice), &mut rng);
                }
            }
            Trouble::Descriptors(length) => {
                sleep(at).await;
                let idle = join_all((0..300).map(|_| TcpStream::connect(setup.address))).await;
                sleep(*length).await;
                drop(idle);
            }
            Trouble::VaultLocked(length) => {
                sleep(at).await;
                vault_lock::hold(&self.stage.path("cloud").join("vault.db"), *length).await;
            }
            Trouble::VaultBehind(mode, length) => {
                let Some(proxy) = &self.proxy else { return };
                sleep(at).await;
                proxy.set(*mode);
                sleep(*length).await;
                proxy.set(Mode::Pass);
            }
            Trouble::Directory(hand) => {
                sleep(at).await;
                self.directory.change(*hand).await;
            }
            Trouble::Line(fault) => {
                sleep(at).await;
                self.stage.network.fault(fault.clone()).await.expect("it is a fault");
                if let Some(ms) = fault.ms {
                    sleep(Duration::from_millis(ms.max(200))).await;
                    self.stage.network.clear_faults().await;
                }
            }
        }
    }
}

fn heard(ears: &[Ear]) -> Vec<Heard> {
    ears.iter().flat_map(Ear::heard).collect()
}

/// With the clock and the file descriptors of a life.
fn fitted(setup: Setup, life: &PlannedLife) -> anyhow::Result<Setup> {
    let setup = Setup { launcher: Vec::new(), ..setup };
    let setup = match life.descriptors() {
        Some(limit) => setup.descriptors(limit),
        None => setup,
    };
    let setup = match life.lingers {
        Some(ms) => setup.set("LOOPBACK_PAUSE", format!("decrypted:{ms}")),
        None => setup,
    };
    if life.clock == 0 {
        return Ok(setup);
    }
    match setup.clone().clock(life.clock) {
        Some(setup) => Ok(setup),
        None if std::env::var("CI").as_deref() == Ok("true") => anyhow::bail!("CI needs Debian's package libfaketime"),
        None => {
            eprintln!("\n*** NOT RUN: wrong clocks need Debian's package libfaketime ***\n");
            Ok(setup)
        }
    }
}

fn other_folder(folder: &std::path::Path) -> PathBuf {
    let mut name = folder.file_name().unwrap_or_default().to_owned();
    name.push("-next");
    folder.with_file_name(name)
}
