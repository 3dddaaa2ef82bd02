//! What a seed stands for: how many lives the daemon has, what goes wrong in each, and how it ends.

use std::{ops::Range, time::Duration};

use loopback::{Fault, FaultKind};
use rand::{Rng, seq::IndexedRandom as _};

use crate::{
    ownership::directory::{HANDS, Hand},
    support::{proxy::Mode, stage::Home, vault_loss::Loss},
    survival::damage::Damage,
};

/// Points that ordinary traffic passes (`sessiond::crash`), each several times.
const CRASH_POINTS: [&str; 8] = [
    "decrypted",
    "in_the_vault",
    "lease_raised",
    "on_the_wire",
    "chunks_before_manifest",
    "segment_written",
    "segment_referred_to",
    "takeover",
];

/// Wall clocks of later lives, in seconds.
const CLOCKS: [i64; 5] = [-3600, -3, 0, 0, 3600];

const LINGERS: [Option<u32>; 6] = [None, None, None, None, Some(20), Some(400)];

/// Fewer than the connections that say nothing.
const DESCRIPTORS: u32 = 256;

#[derive(Debug, Clone)]
pub struct Plan {
    /// The last one goes on to the end.
    pub lives: Vec<PlannedLife>,
    /// Messages of each customer, and as many to each.
    pub messages: usize,
    /// Some of the dashboard's requests are given up before they are answered.
    pub clients_leave: bool,
    /// A customer writes for the first time in the middle of it.
    pub stranger: bool,
    pub webhook: bool,
    /// When another tenant begins to pair.
    pub newcomer: Option<Duration>,
    /// A page with the real Socket.IO client.
    pub page: bool,
    /// In the last life: the vault forgets, and once that is made good the daemon dies with its disk.
    pub loss: Option<Loss>,
}

#[derive(Debug, Clone)]
pub struct PlannedLife {
    pub length: Duration,
    /// When, and what.
    pub troubles: Vec<(Duration, Trouble)>,
    /// Seconds by which its wall clock is off.
    pub clock: i64,
    pub end: End,
    /// Its disk is lost with it.
    pub wipe: bool,
    /// Milliseconds that each message takes between its decryption and its being kept.
    pub lingers: Option<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    Kill,
    Terminate,
    /// By itself, at the n-th passage of a named point; by SIGKILL where it does not come there.
    CrashAt(&'static str, u32),
    /// The next daemon is up before this one is told to go, as in a rolling deploy; on the same disk or on another.
    Rival {
        same_folder: bool,
    },
    /// The same, and this one sleeps meanwhile.
    Sleeper,
    Never,
}

#[derive(Debug, Clone)]
pub enum Trouble {
    /// To the tenant's working copy.
    Disk(Damage),
    /// Connections that say nothing take the daemon's file descriptors, of which it has few.
    Descriptors(Duration),
    /// Somebody holds the lock of the embedded vault.
    VaultLocked(Duration),
    /// The emulator is behind a proxy.
    VaultBehind(Mode, Duration),
    /// Somebody else writes in the directory.
    Directory(Hand),
    /// WhatsApp's side.
    Line(Fault),
}

impl Plan {
    pub fn draw(rng: &mut impl Rng, home: Home) -> Self {
        let deaths = *[0, 1, 1, 1, 2, 2, 3].choose(rng).expect("not empty");
        let mut lives: Vec<PlannedLife> =
            (0..=deaths).map(|n| PlannedLife::draw(rng, home, n == 0, n == deaths)).collect();
        let without = std::env::var("KILL_WITHOUT").unwrap_or_default();
        let without: Vec<&str> = without.split(',').collect();
        for life in &mut lives {
            life.leave_out(&without);
        }
        let losses = [Loss::Everything, Loss::TheEnd];
        let loss = losses.choose(rng).copied().filter(|_| rng.random_bool(0.15) && !without.contains(&"loss"));
        if loss.is_some()
            && let Some(last) = lives.last_mut()
        {
            // What the vault has forgotten is in the working copy alone.
            last.leave_out(&["disk", "descriptors"]);
        }
        let length: Duration = lives.iter().map(|life| life.length).sum();
        let newcomer = rng.random_bool(0.3).then(|| length.mul_f64(rng.random()));
        Self {
            lives,
            newcomer: newcomer.filter(|_| !without.contains(&"newcomer")),
            messages: rng.random_range(5..12),
            clients_leave: rng.random_bool(0.5) && !without.contains(&"leaving"),
            stranger: rng.random_bool(0.5),
            webhook: rng.random_bool(0.4),
            page: rng.random_bool(0.15),
            loss,
        }
    }

    pub fn length(&self) -> Duration {
        self.lives.iter().map(|life| life.length).sum()
    }
}

impl PlannedLife {
    fn draw(rng: &mut impl Rng, home: Home, first: bool, last: bool) -> Self {
        let length = millis(rng, 100..700);
        let troubles = (0..rng.random_range(0..=2)).map(|_| (length.mul_f64(rng.random()), Trouble::draw(rng, home)));
        let troubles = troubles.collect();
        let end = if last { End::Never } else { End::draw(rng, home) };
        // The tenant pairs in the first.
        let clock = if first { 0 } else { *CLOCKS.choose(rng).expect("not empty") };
        let lingers = *LINGERS.choose(rng).expect("not empty");
        Self { length, troubles, clock, end, wipe: rng.random_bool(0.6), lingers }
    }

    /// The file descriptors it is started with, where they matter.
    pub fn descriptors(&self) -> Option<u32> {
        self.troubles.iter().any(|(_, trouble)| matches!(trouble, Trouble::Descriptors(_))).then_some(DESCRIPTORS)
    }

    /// For who looks for the cause of a failure: `KILL_WITHOUT=disk,descriptors,vault,directory,line,leaving,clock,lingers,
    /// rival,crash,loss,newcomer`.
    fn leave_out(&mut self, kinds: &[&str]) {
        self.troubles.retain(|(_, trouble)| !kinds.contains(&trouble.kind()));
        if kinds.contains(&"clock") {
            self.clock = 0;
        }
        if kinds.contains(&"lingers") {
            self.lingers = None;
        }
        let kind = match self.end {
            End::CrashAt(..) => "crash",
            End::Rival { .. } | End::Sleeper => "rival",
            End::Kill | End::Terminate | End::Never => return,
        };
        if kinds.contains(&kind) {
            self.end = End::Kill;
        }
    }
}

impl End {
    fn draw(rng: &mut impl Rng, home: Home) -> Self {
        match rng.random_range(0..10) {
            0..4 => Self::Kill,
            4 => Self::Terminate,
            5..8 => Self::CrashAt(CRASH_POINTS.choose(rng).expect("not empty"), rng.random_range(1..=4)),
            // A process that is stopped within a transaction holds the lock of the embedded vault.
            8 if home == Home::Emulator => Self::Sleeper,
            _ => Self::Rival { same_folder: rng.random_bool(0.5) },
        }
    }
}

impl Trouble {
    fn draw(rng: &mut impl Rng, home: Home) -> Self {
        match rng.random_range(0..7) {
            6 => Self::Directory(*HANDS.choose(rng).expect("not empty")),
            0 | 1 => Self::Disk(Damage::any(rng)),
            2 => Self::Descriptors(millis(rng, 50..800)),
            3 if home == Home::Embedded => Self::VaultLocked(millis(rng, 50..1500)),
            3 => {
                let mode = *[Mode::Refuse, Mode::Hang, Mode::LoseAnswers].choose(rng).expect("not empty");
                Self::VaultBehind(mode, millis(rng, 50..1500))
            }
            _ => Self::Line(line_fault(rng)),
        }
    }

    fn kind(&self) -> &'static str {
        match self {
            Self::Disk(_) => "disk",
            Self::Descriptors(_) => "descriptors",
            Self::VaultLocked(_) | Self::VaultBehind(..) => "vault",
            Self::Directory(_) => "directory",
            Self::Line(_) => "line",
        }
    }
}

fn line_fault(rng: &mut impl Rng) -> Fault {
    match rng.random_range(0..5) {
        0 => Fault::new(FaultKind::Drop),
        1 => Fault::new(FaultKind::Latency).ms(rng.random_range(5..60)),
        2 => Fault::new(FaultKind::LateAcks).ms(rng.random_range(50..400)),
        3 => Fault::new(FaultKind::Withhold).ms(rng.random_range(50..400)),
        _ => Fault::new(FaultKind::StreamError).code(*[503, 515, 429].choose(rng).expect("not empty")),
    }
}

fn millis(rng: &mut impl Rng, range: Range<u64>) -> Duration {
    Duration::from_millis(rng.random_range(range))
}
