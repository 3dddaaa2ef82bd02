//! Tenants come from another gateway without a scan: a device of Baileys is linked on the network, talks, and stops; its store is
//! imported, and the daemon goes on as that device. Its contacts are the network's, which count every ciphertext.
//!
//! Needs Node and npm. Where they are missing the tests say so and pass, unless `CI=true`.

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
};

use loopback::{PhoneInfo, Setting, Stats};
use serde_json::{Value, json};
use sessiond::demo::{Ear, Heard, Process, until};

use crate::support::{
    driver::Client,
    node::program,
    stage::{Home, LIMIT, Stage},
};

pub const TENANT: &str = "trattoria";

/// What the old service sends to one contact after a stale copy was made. More than one of the library's leases (64).
const LATE: usize = 70;

/// What the owner calls a contact on the phone.
const SAVED: &str = "Ana López";

#[tokio::test(flavor = "multi_thread")]
async fn nobody_notices_that_baileys_7_has_moved_in() {
    unnoticed("7").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_notices_that_baileys_6_has_moved_in() {
    unnoticed("6").await;
}

async fn unnoticed(version: &str) {
    let Some(mut scene) = MoveInScene::begin(version).await else { return };
    scene.save_a_contact().await;
    scene.talk(2).await;
    scene.stop_old_service().await;
    scene.all_write("waiting").await;
    let report = scene.import(&["--stopped"]).await;
    scene.goes_on_unnoticed(&report).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_may_be_stale_costs_each_contact_one_retry() {
    one_retry("7").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_of_baileys_6_that_may_be_stale_costs_each_contact_one_retry() {
    one_retry("6").await;
}

async fn one_retry(version: &str) {
    let Some(mut scene) = MoveInScene::begin(version).await else { return };
    scene.talk(2).await;
    scene.stop_old_service().await;
    scene.all_write("waiting").await;
    let report = scene.import(&[]).await;
    assert_eq!(report["entries"]["session"]["kept"], json!(0), "{report:#}");
    scene.go_on().await;
    let stats = scene.stats().await;
    // For what was written on a session that is not there; group keys of others are.
    assert!(stats.counts.retry_receipts <= scene.people.len() as u64, "{}", scene.story(&stats));
    scene.assert_clean(&stats);
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_alone_are_enough() {
    credentials_alone("7").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_of_baileys_6_alone_are_enough() {
    credentials_alone("6").await;
}

async fn credentials_alone(version: &str) {
    let Some(mut scene) = MoveInScene::begin(version).await else { return };
    scene.save_a_contact().await;
    scene.talk(1).await;
    scene.stop_old_service().await;
    scene.all_write("waiting").await;
    let creds = scene.stage.path("creds.json");
    std::fs::copy(scene.store.join("creds.json"), &creds).unwrap();
    let report = scene.import_from(&creds, &[]).await;
    scene.goes_on_with_credentials_alone(&report).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stale_copy_that_is_called_final_loses_nothing() {
    saved_by_the_margin("7").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stale_copy_of_baileys_6_that_is_called_final_loses_nothing() {
    saved_by_the_margin("6").await;
}

async fn saved_by_the_margin(version: &str) {
    let Some(mut scene) = MoveInScene::begin(version).await else { return };
    let copy = scene.stale_copy().await;
    let report = scene.import_from(&copy, &["--stopped"]).await;
    scene.assert_all_sessions_kept(&report);
    scene.go_on().await;
    let stats = scene.stats().await;
    scene.assert_clean(&stats);
}

/// The negative control: what the margin saves from. The contact never gets it, and nobody says so.
#[tokio::test(flavor = "multi_thread")]
async fn a_stale_copy_without_a_margin_uses_counters_twice() {
    let Some(mut scene) = MoveInScene::begin("7").await else { return };
    let copy = scene.stale_copy().await;
    let report = scene.import_from(&copy, &["--stopped", "--margin", "0"]).await;
    scene.assert_all_sessions_kept(&report);
    let daemon = scene.serve().await;
    for Person { jid, .. } in &scene.people {
        scene.answer(jid, "a new answer").await;
    }
    let reused = || async { scene.stats().await.counters_reused > 0 };
    if let Err(error) = until(LIMIT, "a counter that is used twice", reused).await {
        panic!("{error}\n{}", scene.story(&scene.stats().await));
    }
    scene.settled().await;
    let lost = scene.people.iter().map(|person| has(&scene.stage, &person.number, "a new answer"));
    let arrived = futures::future::join_all(lost).await;
    assert!(arrived.contains(&false), "all arrived all the same: {}", scene.story(&scene.stats().await));
    daemon.terminate(LIMIT).await.unwrap();
}

/// Somebody who writes to the tenant.
struct Person {
    number: String,
    /// The tenant's name to that person.
    to: String,
    /// The person's name to the tenant.
    jid: String,
    /// The old service's name for the chat, as it learned it.
    chat: String,
}

pub struct MoveInScene {
    pub stage: Stage,
    pub owner: PhoneInfo,
    old: Option<Client>,
    /// The old service's folder.
    pub store: PathBuf,
    people: Vec<Person>,
    group: String,
    /// Ids of what was written to the tenant and the old service had not.
    written: Vec<String>,
    ear: Option<Ear>,
    /// Whether the phone has [`SAVED`] in its address book.
    has_saved: bool,
}

impl MoveInScene {
    /// `None`: Node is missing, and that has been said.
    pub async fn begin(version: &str) -> Option<Self> {
        let folder = program("baileys")?;
        let stage = Stage::new(Home::Embedded).await?;
        let network = stage.network.clone();
        let owner = network.add_phone(Some("Trattoria".into())).await;
        let store = stage.path("sessions");
        let mut old = Client::start_storing(&folder, version, &network, &store);
        old.scanned(&network, &owner.number).await;
        old.linked().await;
        let mut people = Vec::new();
        for at in 0..3 {
            let number = network.add_customer().await;
            let PhoneInfo { jid, lid, .. } = network.phone(&number).await.unwrap();
            // The last shows nobody a number.
            let by_lid = at == 2;
            network.hide_number(&number, by_lid).await.unwrap();
            let (to, jid) = if by_lid { (owner.lid.clone(), lid) } else { (owner.number.clone(), jid) };
            people.push(Person { number, to, chat: jid.clone(), jid });
        }
        let others = [&owner.number[..], &people[1].number];
        let group = network.create_group(&people[0].number, "Suppliers", &others).await.unwrap().jid;
        let (old, written, ear) = (Some(old), Vec::new(), None);
        Some(Self { stage, owner, old, store, people, group, written, ear, has_saved: false })
    }

    /// The old service learns it too, and keeps it nowhere.
    async fn save_a_contact(&mut self) {
        let number = self.people[0].number.clone();
        let person = Setting::Person { number, name: SAVED.into(), first: "Ana".into() };
        self.stage.network.phone_sets(&self.owner.number, &person).await.unwrap();
        self.has_saved = true;
    }

    /// Everybody writes and is answered by the old service, in the group as well.
    pub async fn talk(&mut self, rounds: usize) {
        let network = self.stage.network.clone();
        let old = self.old.as_mut().expect("it runs");
        for round in 0..rounds {
            for Person { number, to, chat, .. } in &mut self.people {
                let text = format!("question {round} of {number}");
                network.customer_send(number, to, &text).await.unwrap();
                *chat = old.text(&text).await["chat"].as_str().expect("a chat").to_owned();
                let answer = format!("answer {round} for {number}");
                old.send(chat, &answer).await;
                arrives(&self.stage, number, &answer).await;
            }
            for person in &self.people[..2] {
                let text = format!("question {round} to the group, of {}", person.number);
                network.customer_send(&person.number, &self.group, &text).await.unwrap();
                old.text(&text).await;
            }
            let answer = format!("answer {round} for the group");
            old.send(&self.group, &answer).await;
            for person in &self.people[..2] {
                arrives(&self.stage, &person.number, &answer).await;
            }
        }
    }

    pub async fn stop_old_service(&mut self) {
        self.settled().await;
        let mut old = self.old.take().expect("it runs");
        old.command(json!({ "command": "stop" })).await;
        old.event("stopped", |_| true).await;
        old.end().await;
    }

    /// A copy from the middle: the old service has sent since. On the same connection: after another login Baileys 7 begins new sessions, and
    /// uses no counter of the copy's.
    async fn stale_copy(&mut self) -> PathBuf {
        self.talk(1).await;
        self.settled().await;
        let old = self.old.as_mut().expect("it runs");
        old.command(json!({ "command": "store" })).await;
        old.event("stored", |_| true).await;
        let copy = self.stage.path("copy");
        std::fs::create_dir(&copy).unwrap();
        for file in std::fs::read_dir(&self.store).unwrap() {
            let file = file.unwrap();
            std::fs::copy(file.path(), copy.join(file.file_name())).unwrap();
        }
        for (Person { number, chat, .. }, answers) in self.people.iter().zip([LATE, 3, LATE]) {
            for n in 0..answers {
                old.send(chat, &format!("late answer {n} for {number}")).await;
            }
            arrives(&self.stage, number, &format!("late answer {} for {number}", answers - 1)).await;
        }
        self.stop_old_service().await;
        copy
    }

    /// Everybody writes to the tenant, and to the group.
    pub async fn all_write(&mut self, what: &str) {
        let network = &self.stage.network;
        for Person { number, to, .. } in &self.people {
            let text = format!("{what}, from {number}");
            self.written.push(network.customer_send(number, to, &text).await.unwrap());
        }
        for person in &self.people[..2] {
            let text = format!("{what}, to the group, from {}", person.number);
            self.written.push(network.customer_send(&person.number, &self.group, &text).await.unwrap());
        }
    }

    async fn import(&self, options: &[&str]) -> Value {
        self.import_from(&self.store, options).await
    }

    async fn import_from(&self, source: &Path, options: &[&str]) -> Value {
        self.import_as("baileys", Some(source), options).await
    }

    pub async fn import_as(&self, from: &str, source: Option<&Path>, options: &[&str]) -> Value {
        let mut command = self.stage.setup.command().unwrap();
        command.args(["import", "--from", from, "--tenant", TENANT, "--json"]).args(source).args(options);
        let output = command.output().await.unwrap();
        let (told, log) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8_lossy(&output.stderr));
        let lines: Vec<&str> = told.lines().collect();
        let [line] = lines[..] else { panic!("{told}\n{log}") };
        assert!(output.status.success(), "{told}\n{log}");
        serde_json::from_str(line).unwrap()
    }

    async fn serve(&mut self) -> Process {
        let daemon = self.stage.start().await;
        self.ear = Some(Ear::open(&self.stage.dashboard, vec![TENANT.to_owned()]));
        let connected = until(LIMIT, "the tenant to be connected", || self.stage.dashboard.is_connected(TENANT));
        connected.await.unwrap_or_else(|error| panic!("{error}\n{}", self.stage.log()));
        daemon
    }

    /// A final copy: no session is lost, no retry, nothing is asked of the phone.
    pub async fn goes_on_unnoticed(&mut self, report: &Value) {
        self.assert_all_sessions_kept(report);
        self.go_on().await;
        let stats = self.stats().await;
        assert_eq!((stats.counts.retry_receipts, stats.counts.placeholder_requests), (0, 0), "{}", self.story(&stats));
        self.assert_clean(&stats);
    }

    pub async fn goes_on_with_credentials_alone(&mut self, report: &Value) {
        assert_eq!(report["outcome"], "imported", "{report:#}");
        // What was written to keys that are not there, to the group as well; and a new contact's message, which draws an old key.
        let unreadable = self.written.len() as u64 + 1;
        self.go_on().await;
        let stats = self.stats().await;
        assert!(stats.counts.retry_receipts <= 2 * unreadable, "{}", self.story(&stats));
        self.assert_clean(&stats);
        // New keys went up, far from those of the old service.
        let creds = std::fs::read(self.store.join("creds.json")).unwrap();
        let next = serde_json::from_slice::<Value>(&creds).unwrap()["nextPreKeyId"].as_u64().unwrap();
        let devices = self.stage.network.devices(&self.owner.number).await.unwrap();
        let newest = devices.iter().find_map(|device| device.newest_pre_key);
        assert!(newest.is_some_and(|newest| u64::from(newest) >= next + 10_000), "{next} {devices:#?}");
    }

    fn assert_all_sessions_kept(&self, report: &Value) {
        assert_eq!(report["outcome"], "imported", "{report:#}");
        let sessions = &report["entries"]["session"];
        let is_whole = sessions["dropped"] == json!(0) && sessions["kept"].as_u64() >= Some(self.people.len() as u64);
        assert!(is_whole, "{report:#}");
    }

    /// The daemon starts: what waited comes, everybody is answered and writes again, and somebody new does.
    async fn go_on(&mut self) {
        let daemon = self.serve().await;
        self.heard_all().await;
        if self.has_saved {
            // By the settings that all devices share: the import had no word of it, and of credentials alone not even the keys.
            let path = format!("/api/contacts?session={TENANT}&contactId={}@c.us", self.people[0].number);
            let known = || async { self.stage.dashboard.get(&path).await.unwrap().body["name"] == SAVED };
            let known = until(LIMIT, "the address book", known).await;
            known.unwrap_or_else(|error| panic!("{error}\n{}", self.stage.log()));
        }
        for round in 0..2 {
            for Person { number, jid, .. } in &self.people {
                let text = format!("our answer {round} for {number}");
                self.answer(jid, &text).await;
                arrives(&self.stage, number, &text).await;
            }
            let text = format!("our answer {round} for the group");
            self.answer(&self.group, &text).await;
            for person in &self.people[..2] {
                arrives(&self.stage, &person.number, &text).await;
            }
            self.all_write(&format!("live {round}")).await;
            self.heard_all().await;
        }
        self.hears_what_was_said_before().await;
        let network = &self.stage.network;
        let stranger = network.add_customer().await;
        self.written.push(network.customer_send(&stranger, &self.owner.number, "good day").await.unwrap());
        self.heard_all().await;
        self.answer(&format!("{stranger}@s.whatsapp.net"), "good day to you").await;
        arrives(&self.stage, &stranger, "good day to you").await;
        self.settled().await;
        daemon.terminate(LIMIT).await.unwrap();
    }

    /// The phone has what was said while the old service had the device.
    async fn hears_what_was_said_before(&self) {
        let number = &self.people[1].number;
        let body = json!({ "chatId": format!("{number}@c.us"), "count": 50 });
        let answer = self.stage.dashboard.post(&format!("/api/sessions/{TENANT}/history"), body).await.unwrap();
        assert_eq!(answer.status, 200, "{:#}\n{}", answer.body, self.stage.log());
        let messages = format!("/api/{TENANT}/chats/{number}@c.us/messages?limit=200");
        let messages = self.stage.dashboard.get(&messages).await.unwrap().body;
        let first = format!("question 0 of {number}");
        let is_first = |message: &Value| message["body"] == json!(first);
        assert!(messages.as_array().unwrap().iter().any(is_first), "{messages:#}\n{}", self.stage.log());
    }

    async fn answer(&self, to: &str, text: &str) {
        let body = json!({ "session": TENANT, "chatId": to, "text": text });
        let answer = self.stage.dashboard.post("/api/sendText", body).await.unwrap();
        assert!((200..300).contains(&answer.status), "{} {:#}\n{}", answer.status, answer.body, self.stage.log());
    }

    /// Everything that was written to the tenant has come, readable.
    async fn heard_all(&self) {
        let ear = self.ear.as_ref().expect("it is served");
        let all = |heard: &[Heard]| self.written.iter().all(|id| heard.iter().any(|heard| is_readable(heard, id)));
        if let Err(error) = ear.until(LIMIT, all).await {
            let heard = ear.heard();
            let missing: Vec<_> =
                self.written.iter().filter(|id| !heard.iter().any(|heard| is_readable(heard, id))).collect();
            let stats = self.stage.network.stats().await;
            panic!("{error}: {missing:?} of {:?}\n{}", self.written, self.story(&stats));
        }
    }

    async fn settled(&self) {
        let network = &self.stage.network;
        let empty = || async { network.stats().await.offline_queues.is_empty() };
        until(LIMIT, "everything to be acknowledged", empty).await.unwrap();
    }

    async fn stats(&self) -> Stats {
        self.stage.network.stats().await
    }

    fn story(&self, stats: &Stats) -> String {
        format!("{stats:#?}\n{}", self.stage.log())
    }

    /// Nobody scanned again, nothing was sent twice under a counter, nothing was refused or stays unreadable at a contact.
    fn assert_safe(&self, stats: &Stats) {
        assert_eq!(stats.counts.pairings, 1, "{}", self.story(stats));
        let broken = (stats.counters_reused, stats.nacks.len(), stats.counts.undecryptable);
        assert_eq!(broken, (0, 0, 0), "{}", self.story(stats));
    }

    /// The same, and one message is one event.
    fn assert_clean(&self, stats: &Stats) {
        self.assert_safe(stats);
        let heard = self.ear.as_ref().expect("it was served").heard();
        for id in &self.written {
            let readable: Vec<_> = heard.iter().filter(|heard| is_readable(heard, id)).collect();
            let events: HashSet<_> = readable.iter().map(|heard| heard.payload["eventId"].to_string()).collect();
            assert_eq!(events.len(), 1, "{id}: {readable:#?}");
        }
    }
}

/// One that cannot be read yet is told as well, without a text, and told again when it can.
pub fn is_readable(heard: &Heard, id: &str) -> bool {
    let message = &heard.payload["message"];
    heard.event == "message:received" && message["id"] == json!(id) && message["undecryptable"] == json!(false)
}

async fn has(stage: &Stage, number: &str, text: &str) -> bool {
    let inbox = stage.network.customer_inbox(number).await.unwrap();
    inbox.iter().any(|received| received.text.as_deref() == Some(text))
}

async fn arrives(stage: &Stage, number: &str, text: &str) {
    if let Err(error) = until(LIMIT, text, || has(stage, number, text)).await {
        let stats = stage.network.stats().await;
        panic!("{error}, at {number}\n{stats:#?}\n{}", stage.log());
    }
}
