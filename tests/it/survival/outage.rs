//! The vault is gone for a while, under traffic in both directions: what comes waits at WhatsApp, what is to go is refused, or its
//! outcome is called unknown, and afterwards all of it arrives, once. `OUTAGE_SECONDS=60` makes the outages that long.

use std::{
    collections::{HashMap, HashSet},
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use sessiond::demo::{Conversation, Ear, Heard, Process, until};
use tokio::time::sleep;

use crate::support::{
    proxy::{self, Mode, Proxy},
    stage::{LIMIT, Stage},
};

const TENANT: &str = "trattoria";

const REQUEST_TIMEOUT: Duration = Duration::from_secs(2);

fn length() -> Duration {
    let seconds = std::env::var("OUTAGE_SECONDS").ok().and_then(|seconds| seconds.parse().ok());
    Duration::from_secs(seconds.unwrap_or(15))
}

/// Between two messages of each customer, and between two tries of the dashboard: the same number of them, however long it is.
fn pace() -> Duration {
    length() / 30
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum OutageDeath {
    None,
    /// SIGKILL in the middle of the outage, and the disk is lost.
    KillAndWipe,
}

/// A message that the dashboard wants sent, and what it was told.
struct Wanted {
    key: String,
    customer: String,
    text: String,
}

/// An answer to a send: nothing when there was none, since the daemon was dead.
type SendOutcome = Option<(u16, Option<u32>, Value)>;

struct OutageScene {
    stage: Stage,
    proxy: Proxy,
    ear: Ear,
    client: reqwest::Client,
}

async fn survives(mode: Mode, death: OutageDeath) {
    let Some((stage, proxy)) = proxy::stage().await else { return };
    let stage = stage
        .set("SESSIOND_VAULT__FIRESTORE__REQUEST_TIMEOUT", format!("{}s", REQUEST_TIMEOUT.as_secs()))
        .set("SESSIOND_HEARTBEAT__FIRST", "1s")
        .set("SESSIOND_HEARTBEAT__INTERVAL", "4s")
        .set("SESSIOND_HEARTBEAT__PING_TIMEOUT", "1s");
    let mut daemon = stage.start().await;
    let mut conversations = vec![stage.pair(TENANT).await];
    let ear = stage.listen(&conversations);
    let scene = OutageScene { stage, proxy, ear, client: reqwest::Client::new() };
    scene.talk(&mut conversations).await;

    scene.proxy.set(mode);
    let before = conversations[0].written.len();
    let customers = conversations[0].customers.clone();
    let (wanted, (), reborn) = tokio::join!(
        scene.try_to_send(&customers, death),
        scene.customers_write_on(&mut conversations[0]),
        scene.die(daemon, death),
    );
    daemon = reborn;
    scene.assert_nothing_moved(&conversations[0], before, &wanted).await;

    scene.proxy.set(Mode::Pass);
    // Since its start, which in the case of a death was in the outage.
    daemon.await_port(length() + LIMIT).await.unwrap();
    let accepted = scene.send_at_last(&wanted).await;
    scene.answer_all(&mut conversations).await;
    scene.assert_arrived_once(&wanted, &accepted, death).await;
    // Neither deaf nor mute since.
    scene.talk(&mut conversations).await;
    scene.stage.assert_promises(&conversations).await;
    assert_heard_once(&scene.ear.heard(), &conversations[0]);
    daemon.kill().await.unwrap();
}

impl OutageScene {
    async fn talk(&self, conversations: &mut [Conversation]) {
        conversations[0].customers_write(&self.stage.network, 2).await.unwrap();
        self.answer_all(conversations).await;
    }

    async fn answer_all(&self, conversations: &mut [Conversation]) {
        let stage = &self.stage;
        if let Err(error) = stage.tally.answer_all(conversations, &stage.dashboard, &self.ear, LIMIT).await {
            panic!("{error:#}\n{:#?}\n{}", stage.network.stats().await, stage.log());
        }
    }

    async fn customers_write_on(&self, conversation: &mut Conversation) {
        let began = Instant::now();
        while began.elapsed() < length() {
            conversation.customers_write(&self.stage.network, 1).await.unwrap();
            sleep(pace()).await;
        }
    }

    /// Wants a new message sent again and again. Nothing is called accepted. Each try is refused; but for the first of a life, whose
    /// outcome nobody can know: the vault has not been found silent yet.
    async fn try_to_send(&self, customers: &[String], death: OutageDeath) -> Vec<Wanted> {
        let began = Instant::now();
        let mut wanted = Vec::new();
        let (mut refused, mut unknown) = (0, 0);
        while began.elapsed() < length() {
            let (key, customer) =
                (format!("offer-{}", wanted.len()), customers[wanted.len() % customers.len()].clone());
            let offer = Wanted { text: format!("{key} of the day"), key, customer };
            let asked = Instant::now();
            match self.send(&offer).await {
                Some((status, retry_after, body)) => {
                    let code = body["code"].as_str().unwrap_or_default();
                    unknown += usize::from(code == "send_outcome_unknown");
                    let honest = code == "vault_down" || code == "send_outcome_unknown" && unknown <= 2;
                    assert!(status == 503 && honest, "{}: {status} {body}\n{}", offer.key, self.stage.log());
                    assert!(retry_after.is_some_and(|seconds| seconds > 0), "no Retry-After");
                    assert!(asked.elapsed() < Duration::from_secs(8), "refused only after {:?}", asked.elapsed());
                    refused += usize::from(code == "vault_down");
                }
                None => assert_eq!(death, OutageDeath::KillAndWipe, "no answer\n{}", self.stage.log()),
            }
            wanted.push(offer);
            sleep(pace()).await;
        }
        assert!(refused > 3, "only {refused} sends were refused: that proves little");
        wanted
    }

    async fn send(&self, offer: &Wanted) -> SendOutcome {
        let setup = &self.stage.setup;
        let body = json!({ "tenantId": TENANT, "to": offer.customer, "text": offer.text });
        let request = self
            .client
            .post(format!("http://{}/api/baileys/send", setup.address))
            .header("X-Api-Key", &setup.admin_key)
            .header("Idempotency-Key", &offer.key)
            .timeout(Duration::from_secs(20))
            .json(&body);
        let response = request.send().await.ok()?;
        let retry_after = response.headers().get("retry-after").and_then(|value| value.to_str().ok()?.parse().ok());
        Some((response.status().as_u16(), retry_after, response.json().await.ok()?))
    }

    async fn die(&self, daemon: Process, death: OutageDeath) -> Process {
        match death {
            OutageDeath::None => daemon,
            OutageDeath::KillAndWipe => {
                sleep(length() / 2).await;
                daemon.kill().await.unwrap();
                self.stage.wipe_local_data();
                self.stage.setup.spawn().unwrap()
            }
        }
    }

    /// The outage is not over yet. Nothing that came in it was acked, since none of it can be durable for all that the daemon
    /// knows; and nothing that was refused in it went out.
    async fn assert_nothing_moved(&self, conversation: &Conversation, before: usize, wanted: &[Wanted]) {
        let network = &self.stage.network;
        let devices = network.devices(&conversation.number).await.unwrap();
        let waiting: HashSet<&String> = devices.iter().flat_map(|device| &device.waiting).collect();
        for written in &conversation.written[before..] {
            assert!(waiting.contains(&written.id), "{written:?} was acked\n{}", self.stage.log());
        }
        for customer in &conversation.customers {
            let inbox = network.customer_inbox(customer).await.unwrap();
            let early = wanted.iter().find(|w| inbox.iter().any(|received| received.text.as_ref() == Some(&w.text)));
            assert!(early.is_none(), "{} was refused and sent", early.unwrap().key);
        }
    }

    /// The dashboard is patient: it says the same again until it is taken. The ids, by key.
    async fn send_at_last(&self, wanted: &[Wanted]) -> HashMap<String, String> {
        let began = Instant::now();
        let mut accepted = HashMap::new();
        for offer in wanted {
            loop {
                match self.send(offer).await {
                    Some((200, _, body)) => {
                        accepted.insert(offer.key.clone(), body["messageId"].as_str().unwrap().to_owned());
                        break;
                    }
                    answer => {
                        assert!(began.elapsed() < LIMIT, "still refused: {answer:?}\n{}", self.stage.log());
                        sleep(Duration::from_millis(100)).await;
                    }
                }
            }
        }
        accepted
    }

    /// Each message under one id, which is the one that the dashboard was told.
    async fn assert_arrived_once(&self, wanted: &[Wanted], accepted: &HashMap<String, String>, death: OutageDeath) {
        let began = Instant::now();
        for offer in wanted {
            loop {
                let inbox = self.stage.network.customer_inbox(&offer.customer).await.unwrap();
                let ids: Vec<_> = inbox.iter().filter(|received| received.text.as_ref() == Some(&offer.text)).collect();
                if let [received] = ids[..] {
                    assert_eq!(received.id, accepted[&offer.key], "{}", offer.key);
                    // A process that died cannot know what WhatsApp confirmed to it: it may say it again, under the same id.
                    assert!(received.arrivals == 1 || death == OutageDeath::KillAndWipe, "{received:?}");
                    break;
                }
                assert!(ids.is_empty(), "{} went out under several ids: {ids:?}", offer.key);
                assert!(began.elapsed() < LIMIT, "{} is lost\n{}", offer.key, self.stage.log());
                sleep(Duration::from_millis(25)).await;
            }
        }
    }
}

/// What a customer wrote is one event, however often it was delivered to us and we tell it.
fn assert_heard_once(heard: &[Heard], conversation: &Conversation) {
    let mut events: HashMap<&str, HashSet<&str>> = HashMap::new();
    for heard in heard.iter().filter(|heard| heard.event == "message:received") {
        let (message, event) = (&heard.payload["message"]["id"], &heard.payload["eventId"]);
        events.entry(message.as_str().unwrap()).or_default().insert(event.as_str().unwrap());
    }
    for written in &conversation.written {
        assert_eq!(events[written.id.as_str()].len(), 1, "{written:?} is {:?}", events[written.id.as_str()]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vault_that_refuses_costs_no_message() {
    survives(Mode::Refuse, OutageDeath::None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vault_that_hangs_costs_no_message() {
    survives(Mode::Hang, OutageDeath::None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vault_that_loses_its_answers_costs_no_message() {
    survives(Mode::LoseAnswers, OutageDeath::None).await;
}

/// What the vault took without saying so is found by the next life; what was refused stays refused until it is asked for again.
#[tokio::test(flavor = "multi_thread")]
async fn death_and_a_lost_disk_while_answers_are_lost_cost_no_message() {
    survives(Mode::LoseAnswers, OutageDeath::KillAndWipe).await;
}

/// Firestore answers, and does not, and answers again, while the daemon starts.
#[tokio::test(flavor = "multi_thread")]
async fn a_start_goes_on_when_firestore_falls_silent_in_the_middle_of_it() {
    let Some((stage, proxy)) = proxy::stage().await else { return };
    let stage = stage.set("SESSIOND_VAULT__FIRESTORE__REQUEST_TIMEOUT", "1s");
    for open in (5..200).step_by(15) {
        let setup = stage.setup.clone();
        let mut daemon = setup.spawn().unwrap();
        for _ in 0..10 {
            proxy.set(Mode::Pass);
            sleep(Duration::from_millis(open)).await;
            proxy.set(Mode::Refuse);
            sleep(Duration::from_millis(30)).await;
        }
        proxy.set(Mode::Pass);
        daemon.await_port(LIMIT).await.unwrap_or_else(|error| panic!("{open} ms: {error}\n{}", stage.log()));
        daemon.kill().await.unwrap();
    }
}

/// Longer than a message is waited for: its ack was given up. When the vault is back the dashboard hears of it, without another event and
/// before WhatsApp says it again.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_vault_took_too_long_for_is_told_when_it_is_back() {
    /// The message is waited for 30 s.
    const TOO_LONG: Duration = Duration::from_secs(34);
    let Some((stage, proxy)) = crate::support::proxy::stage().await else { return };
    let stage = stage.set("SESSIOND_HEARTBEAT__FIRST", "1h").set("SESSIOND_HEARTBEAT__INTERVAL", "1h");
    let daemon = stage.start().await;
    let conversation = stage.pair("trattoria").await;
    let ear = stage.listen(std::slice::from_ref(&conversation));
    let (number, customer) = (&conversation.number, &conversation.customers[0]);
    let says = async |text: &str| stage.network.customer_send(customer, number, text).await.unwrap();
    let hears = async |id: &str| {
        let is_it = |heard: &Heard| heard.payload["message"]["id"] == json!(id);
        ear.until(LIMIT, |heard| heard.iter().any(is_it)).await
    };
    let first = says("hello").await;
    hears(&first).await.unwrap();
    proxy.set(Mode::Refuse);
    let late = says("is anybody there?").await;
    sleep(TOO_LONG).await;
    let logins = stage.network.stats().await.counts.logins;
    proxy.set(Mode::Pass);
    hears(&late).await.unwrap_or_else(|error| panic!("{error}\n{}", stage.log()));
    assert_eq!(stage.network.stats().await.counts.logins, logins, "it was said again\n{}", stage.log());
    daemon.kill().await.unwrap();
}

/// What comes while the vault is away is told when it is kept, so the silence says nothing of the line: one that is good is not tested because
/// of it as soon as the vault is back, and with it every tenant's.
#[tokio::test(flavor = "multi_thread")]
async fn silence_in_an_outage_is_no_deafness() {
    /// After so much quiet a line is tested, and each is looked at four times meanwhile.
    const QUIET: Duration = Duration::from_secs(6);
    let Some((stage, proxy)) = crate::support::proxy::stage().await else { return };
    let stage = stage
        .set("SESSIOND_HEARTBEAT__FIRST", "1h")
        .set("SESSIOND_HEARTBEAT__INTERVAL", format!("{}s", 2 * QUIET.as_secs()));
    let daemon = stage.start().await;
    stage.pair(TENANT).await;
    let logins = async || stage.network.stats().await.counts.logins;
    // Of which WhatsApp hears nothing.
    let write = async |country: &str| {
        let config = json!({ "config": { "country": country } });
        stage.dashboard.put(&format!("/api/sessions/{TENANT}"), config).await.unwrap().status
    };
    proxy.set(Mode::Refuse);
    let began = Instant::now();
    let refused = until(LIMIT, "the outage", async || write("MX").await == 503).await;
    refused.unwrap_or_else(|error| panic!("{error}\n{}", stage.log()));
    // Longer than the quiet that it takes.
    sleep((QUIET + Duration::from_secs(1)).saturating_sub(began.elapsed())).await;
    let before = logins().await;
    proxy.set(Mode::Pass);
    let taken = until(LIMIT, "the vault", async || write("AR").await == 200).await;
    taken.unwrap_or_else(|error| panic!("{error}\n{}", stage.log()));
    let cut = until(QUIET / 2, "another login", async || logins().await > before).await;
    assert!(cut.is_err(), "a good line was cut\n{}", stage.log());
    daemon.kill().await.unwrap();
}

/// A message waits for a vault that refuses at once: it is asked less and less often, and the message goes when it is back.
#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_waits_does_not_hammer_a_vault_that_refuses() {
    const TIME: Duration = Duration::from_secs(10);
    let Some((stage, proxy)) = crate::support::proxy::stage().await else { return };
    let stage = stage.set("SESSIOND_HEARTBEAT__FIRST", "1h").set("SESSIOND_HEARTBEAT__INTERVAL", "1h");
    let daemon = stage.start().await;
    let conversation = stage.pair(TENANT).await;
    let (number, customer) = (&conversation.number, &conversation.customers[0]);
    let not_now = loopback::Fault::new(loopback::FaultKind::ErrorAcks).code(503).target(number);
    stage.network.fault(not_now).await.unwrap();
    let id = stage.dashboard.send(TENANT, customer, "hello", "hello").await.unwrap();
    // The library says so; the network forgets what it refuses.
    let is_refused = async || stage.log().lines().any(|line| line.contains("nack") && line.contains(&id));
    until(LIMIT, "the first attempt", is_refused).await.unwrap_or_else(|error| panic!("{error}\n{}", stage.log()));
    proxy.set(Mode::Refuse);
    stage.network.clear_faults().await;
    // Before the next attempt, which otherwise goes as far as the wire and waits there for what it has written itself.
    let config = json!({ "config": { "country": "MX" } });
    let refused = stage.dashboard.put(&format!("/api/sessions/{TENANT}"), config).await.unwrap();
    assert_eq!(refused.status, 503, "{}", refused.body);
    let before = proxy.refusals();
    // What counts is what comes within a time.
    sleep(TIME).await;
    let asked = proxy.refusals() - before;
    println!("a vault that refuses was asked {asked} times within {TIME:?}");
    assert!((1..=20).contains(&asked), "asked {asked} times within {TIME:?}\n{}", stage.log());
    proxy.set(Mode::Pass);
    let arrived = async || {
        let inbox = stage.network.customer_inbox(customer).await.unwrap();
        inbox.iter().any(|received| received.id == id)
    };
    until(LIMIT, "the message", arrived).await.unwrap_or_else(|error| panic!("{error}\n{}", stage.log()));
    daemon.kill().await.unwrap();
}
