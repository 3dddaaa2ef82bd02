//! The bill: what the vault is asked for while a fleet does nothing, and when it changes hands, counted at the vault's border.
//!
//! `BILL_TENANTS=1000 BILL_SECONDS=3600` counts an hour of a thousand tenants, `BILL_VAULT=firestore` on Google's emulator. Otherwise few
//! tenants are counted for seconds, with short intervals, and what comes once an interval is carried on to an hour of the default ones.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use rustix::process::Signal;
use serde_json::json;
use sessiond::demo::{Conversation, Dashboard, Process};

use crate::support::{
    scrape,
    stage::{Home, LIMIT, Stage},
};

/// Dollars for a document, as `src/guide/costs.md` has them.
const READ_PRICE: f64 = 0.06 / 100_000.0;
const WRITE_PRICE: f64 = 0.18 / 100_000.0;
const HOURS_A_MONTH: f64 = 730.0;

/// Dollars a month for instances, letters and the directory of so many tenants.
const BUDGET: f64 = 1.0;
const FLEET: f64 = 1000.0;

/// Reads of a tenant's daily audit.
const AUDIT_READS: f64 = 5.0;

/// Reads of Firestore when somebody looks for new keys.
const KEY_READS: f64 = 2.0;

/// Between two looks at the counters.
const COUNTER_PAUSE: Duration = Duration::from_millis(100);

/// What one process has asked of the vault.
struct VaultTab {
    /// Questions, by kind.
    asked: BTreeMap<String, f64>,
    /// Documents.
    reads: f64,
    writes: f64,
}

impl VaultTab {
    async fn read(stage: &Stage) -> Self {
        let scrape = scrape::scrape(stage).await;
        let mut asked = BTreeMap::new();
        for series in scrape.containing("sessiond_vault_operations_total{") {
            let kind = series.split('"').nth(1).unwrap_or_default();
            *asked.entry(kind.to_owned()).or_insert(0.0) += scrape.value(series);
        }
        let documents = |op: &str| scrape.value(&format!("sessiond_vault_documents_total{{op=\"{op}\"}}"));
        Self { asked, reads: documents("read"), writes: documents("write") }
    }

    fn of(&self, kind: &str) -> f64 {
        self.asked.get(kind).copied().unwrap_or_default()
    }

    fn since(&self, before: &Self) -> Self {
        let asked = self.asked.iter().map(|(kind, count)| (kind.clone(), count - before.of(kind)));
        let (reads, writes) = (self.reads - before.reads, self.writes - before.writes);
        Self { asked: asked.filter(|(_, count)| *count > 0.0).collect(), reads, writes }
    }

    /// Somebody's state was written.
    fn has_tenants_writes(&self) -> bool {
        ["append", "directory_write", "snapshot_write"].iter().any(|kind| self.of(kind) > 0.0)
    }
}

/// The counters just after the process has read its letters, which a process that is alone does every five seconds.
async fn after_letters(stage: &Stage) -> (VaultTab, Instant) {
    let (began, before) = (Instant::now(), VaultTab::read(stage).await.of("letter_read"));
    loop {
        let tab = VaultTab::read(stage).await;
        if tab.of("letter_read") > before {
            return (tab, Instant::now());
        }
        assert!(began.elapsed() < LIMIT, "no letters are read\n{}", stage.log());
        tokio::time::sleep(COUNTER_PAUSE).await;
    }
}

/// What an idle process asks for, and in how many seconds: from one reading of the letters to the next, or for so long.
async fn idle(stage: &Stage, whole: Option<Duration>, limit: Duration) -> (VaultTab, f64) {
    let asked = Instant::now();
    let (mut before, mut began) = after_letters(stage).await;
    loop {
        let (after, ended) = after_letters(stage).await;
        let tab = after.since(&before);
        (before, began) = match (tab.has_tenants_writes(), whole) {
            (false, None) => return (tab, (ended - began).as_secs_f64()),
            (false, Some(whole)) => {
                tokio::time::sleep(whole).await;
                let tab = VaultTab::read(stage).await.since(&after);
                return (tab, ended.elapsed().as_secs_f64());
            }
            // The pairings are being written.
            (true, _) => (after, ended),
        };
        assert!(asked.elapsed() < limit, "the fleet is not idle: {:?}\n{}", tab.asked, stage.log());
    }
}

/// Documents that a process has asked for: reads and writes. `None`: it has ended.
async fn usage(dashboard: &Dashboard) -> Option<[f64; 2]> {
    let health = dashboard.get("/health").await.ok()?.body;
    let vault = &health["vault"];
    Some([vault["reads"].as_f64()?, vault["writes"].as_f64()?])
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|number| number.parse().expect("a number"))
}

/// The default of a setting, in seconds.
fn default_seconds(name: &str) -> f64 {
    let head = format!("{name} = \"");
    let settings = include_str!("../../../config/default.toml");
    let value = settings.lines().find_map(|line| line.strip_prefix(head.as_str())?.strip_suffix('"'));
    let value = value.expect("a duration");
    let (count, unit) = value.split_at(value.len() - 1);
    let seconds = match unit {
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => panic!("{name} = {value}"),
    };
    count.parse::<f64>().expect("a number") * seconds
}

/// An old process gives all to a new one: documents a tenant, of both together, and the seconds that it took.
async fn hand_over(stage: &Stage, old: &Process, tenants: &[Conversation], limit: Duration) -> [f64; 3] {
    let mut other = stage.other("other", false);
    other.setup = other.setup.set("SESSIOND_HEARTBEAT__DIRECTORY", "1h");
    let new = other.start().await;
    let before = [usage(&stage.dashboard).await.unwrap(), usage(&other.dashboard).await.unwrap()];
    let mut after = before;
    let began = Instant::now();
    old.signal(Signal::TERM).unwrap();
    for conversation in tenants {
        while !other.dashboard.is_connected(&conversation.tenant).await {
            assert!(began.elapsed() < limit, "{}\n{}\n--\n{}", conversation.tenant, stage.log(), other.log());
            if let Some(now) = usage(&stage.dashboard).await {
                after[0] = now;
            }
            tokio::time::sleep(COUNTER_PAUSE).await;
        }
    }
    let seconds = began.elapsed().as_secs_f64();
    if let Some(now) = usage(&stage.dashboard).await {
        after[0] = now;
    }
    after[1] = usage(&other.dashboard).await.unwrap();
    assert_eq!(stage.network.stats().await.counts.replaced_logins, 0, "{}", other.log());
    stage.assert_promises(tenants).await;
    new.kill().await.unwrap();
    let each =
        |n: usize| (0..2).map(|side: usize| after[side][n] - before[side][n]).sum::<f64>() / tenants.len() as f64;
    [each(0), each(1), seconds]
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_fleet_costs_a_dollar_a_month_at_the_most() {
    let tenants = number("BILL_TENANTS").unwrap_or(2);
    let whole = number("BILL_SECONDS").map(Duration::from_secs);
    let home = match std::env::var("BILL_VAULT") {
        Ok(vault) if vault == "firestore" => Home::Emulator,
        _ => Home::Embedded,
    };
    let limit = LIMIT * u32::try_from(1 + tenants / 20).expect("a number of tenants");
    // The directory is compared some times in each count: in an hour of the default it may not be at all.
    let directory = whole.map_or(1, |whole| (whole.as_secs() / 6).max(1));
    let Some(stage) = Stage::new(home).await else { return };
    // The logins that test quiet sessions are not in this bill.
    let mut stage = stage.shared().set("SESSIOND_HEARTBEAT__FIRST", "1h").set("SESSIOND_HEARTBEAT__INTERVAL", "1h");
    stage = stage.set("SESSIOND_HEARTBEAT__DIRECTORY", format!("{directory}s"));
    // The defaults are so many times as long.
    let [announce, refresh] =
        ["announce", "refresh"].map(|name| if whole.is_some() { 1.0 } else { default_seconds(name) });
    if whole.is_none() {
        stage = stage.set("SESSIOND_HEARTBEAT__ANNOUNCE", "1s").set("SESSIOND_AUTH__REFRESH", "1s");
    }
    let old = stage.start().await;
    let mut conversations = Vec::new();
    for n in 0..tenants {
        conversations.push(stage.pair(&format!("tenant-{n}")).await);
    }

    let (tab, seconds) = idle(&stage, whole, limit).await;
    let an_hour = |kind: &str, times: f64| tab.of(kind) * 3600.0 / seconds / times;
    let (instances, letters) = (an_hour("instance_read", announce), an_hour("letter_read", 1.0));
    let looks = an_hour("directory_read", default_seconds("directory") / directory as f64);
    let (keys, audits) = (an_hour("access_read", refresh) * KEY_READS, FLEET * AUDIT_READS / 24.0);
    let (reads, writes) = (instances + letters + looks * FLEET, an_hour("instance_write", announce));
    let dollars = |reads: f64| (reads * READ_PRICE + writes * WRITE_PRICE) * HOURS_A_MONTH;
    let (bill, whole_bill) = (dollars(reads), dollars(reads + keys + audits));
    let counted = json!({
        "vault": format!("{home:?}"), "tenants": tenants, "seconds": seconds,
        "asked": tab.asked, "reads": tab.reads, "writes": tab.writes,
        "hour_of_1000": { "instances": instances, "letters": letters, "directory": looks * FLEET, "keys": keys, "writes": writes },
        "dollars_a_month": bill, "with_keys_and_audits": whole_bill,
    });
    println!("an idle fleet: {counted}");
    assert!(instances > 0.0 && letters > 0.0 && looks > 0.0 && writes > 0.0, "nothing was counted: {counted}");
    assert!(bill <= BUDGET, "{counted}");
    if whole.is_none() {
        // Each question is a document, of keys two, and each look at the directory one a tenant. Some are under way while it is counted.
        let more = tab.of("directory_read") * (tenants as f64 - 1.0) + tab.of("access_read");
        let explained = tab.asked.values().sum::<f64>() + more;
        assert!(tab.reads <= explained + tenants as f64 + 2.0, "documents that no question explains: {counted}");
        assert!(tab.writes <= tab.of("instance_write") + 1.0, "an idle tenant is written: {counted}");
    }

    let [reads, writes, seconds] = hand_over(&stage, &old, &conversations, limit).await;
    println!("a handover of {tenants} tenants in {seconds:.1} s: {reads:.1} reads and {writes:.1} writes a tenant");
    // Of few tenants, the letters and the signs of life of both processes are most of it.
    let shared = 2.0 * (seconds + 2.0) / tenants as f64;
    assert!(writes <= 16.0 + shared, "{writes} writes a tenant\n{}", stage.log());
    assert!(reads <= 100.0 + 20.0 * shared, "{reads} reads a tenant\n{}", stage.log());
    drop(old);
}
