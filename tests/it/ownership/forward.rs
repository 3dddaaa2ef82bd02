//! Any process answers: what is asked of one for another's tenant is forwarded, with its file, and its answer comes back; also while the tenant
//! changes hands. Nobody else gets in at the second port.

use std::collections::HashSet;

use loopback::Received;
use reqwest::{Client, Method, RequestBuilder};
use rustix::process::Signal;
use serde_json::{Value, json};
use sessiond::{
    cluster::{HELLO_HEADER, HELLO_PATH, Hello, PROOF_HEADER, head_digest},
    demo::{Conversation, Ear, Heard, Process, Setup, free_address, until},
    seal::{Keyring, PeerKey, read_key_file},
    vault::{InstanceId, Vault as _, embedded::Embedded},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::{
    consumers::cursors,
    messages::media::{PDF, bare, base64, file, form},
    ownership::handover::Traffic,
    support::stage::{Home, LIMIT, Other, Stage},
};

const TENANT: &str = "trattoria";
const LISTEN: &str = "SESSIOND_CLUSTER__LISTEN";

/// The first process has the tenant; the second is the one that is asked.
struct ForwardScene {
    stage: Stage,
    other: Other,
    old: Process,
    new: Process,
    http: Client,
}

impl ForwardScene {
    async fn new(home: Home) -> Option<Self> {
        let stage = Stage::new(home).await?.shared().set(LISTEN, free_address().unwrap().to_string());
        let old = stage.start().await;
        stage.pair(TENANT).await;
        let other = other(&stage, "other");
        let new = other.start().await;
        assert_eq!(other.health().await.1["sessions"]["elsewhere"], json!(1), "{}", other.log());
        Some(Self { stage, other, old, new, http: Client::new() })
    }

    /// Of the second process.
    fn ask(&self, method: Method, path: &str) -> RequestBuilder {
        let url = format!("http://{}{path}", self.other.setup.address);
        self.http.request(method, url).header("x-api-key", &self.stage.setup.admin_key).timeout(LIMIT)
    }

    async fn accepted(&self, request: RequestBuilder) -> Value {
        let answer = request.send().await.unwrap();
        let (status, body) = (answer.status(), answer.json::<Value>().await.unwrap_or_default());
        assert_eq!(status, 201, "{body}\n{}\n--\n{}", self.other.log(), self.stage.log());
        body
    }

    async fn arrived(&self, customer: &str, id: &str) -> Received {
        let found = || async {
            let inbox = self.stage.network.customer_inbox(customer).await.unwrap();
            inbox.into_iter().find(|received| received.id == id)
        };
        let there = until(LIMIT, "the message", || async { found().await.is_some() }).await;
        there.unwrap_or_else(|error| panic!("{id}: {error}\n{}", self.stage.log()));
        found().await.unwrap()
    }

    async fn logins(&self) -> u64 {
        self.stage.network.stats().await.counts.logins
    }
}

fn other(stage: &Stage, name: &str) -> Other {
    let mut other = stage.other(name, false);
    other.setup = other.setup.set(LISTEN, free_address().unwrap().to_string());
    other
}

async fn any_process_answers(home: Home) {
    let Some(scene) = ForwardScene::new(home).await else { return };
    let (before, dashboard) = (scene.logins().await, &scene.other.dashboard);
    let customer = scene.stage.network.add_customer().await;
    assert!(dashboard.is_connected(TENANT).await, "{}", scene.other.log());
    let id = dashboard.send(TENANT, &customer, "at eight", "k1").await.unwrap();
    // The same request at both: the owner knows it.
    assert_eq!(scene.stage.dashboard.send(TENANT, &customer, "at eight", "k1").await.unwrap(), id);
    assert_eq!(scene.arrived(&customer, &id).await.text.as_deref(), Some("at eight"));
    let chats = dashboard.get(&format!("/api/{TENANT}/chats")).await.unwrap();
    assert!(chats.status == 200 && chats.body.as_array().is_some_and(|chats| !chats.is_empty()), "{}", chats.body);
    // What the owner refuses is refused in its words.
    let wrong = json!({ "session": TENANT, "chatId": "nobody", "text": "hello" });
    let [ours, theirs] = [dashboard, &scene.stage.dashboard].map(|at| at.post("/api/sendText", wrong.clone()));
    let (ours, theirs) = (ours.await.unwrap(), theirs.await.unwrap());
    assert!((400..500).contains(&ours.status), "{}", ours.body);
    assert_eq!((ours.status, ours.body), (theirs.status, theirs.body));
    let keyless = scene.http.get(format!("http://{}/api/sessions/{TENANT}", scene.other.setup.address));
    assert_eq!(keyless.send().await.unwrap().status(), 401);
    let setup = &scene.other.setup;
    let told = crate::support::scrape::ask(setup.address, Some(&setup.admin_key)).await.text().await.unwrap();
    let answered = told.lines().find_map(|line| {
        let count = line.strip_prefix("sessiond_forwarded_requests_total{outcome=\"answered\"} ")?;
        count.parse::<u64>().ok()
    });
    assert!(answered >= Some(4), "{answered:?} forwarded requests were answered");

    // Files: a form is streamed; of JSON everything has to be there before its tenant is known.
    let chat = format!("{customer}@c.us");
    let data = file(PDF, 3_000_000);
    let (kind, body) = form(&[("session", TENANT), ("chatId", &chat)], "Menu.pdf", "application/pdf", &data);
    let request = scene.ask(Method::POST, "/api/sendFile").header("content-type", kind).body(body);
    let id = bare(&scene.accepted(request).await);
    assert!(scene.arrived(&customer, &id).await.file.is_some_and(|file| file.data == data));
    let data = file(PDF, 1_500_000);
    let given = json!({ "mimetype": "application/pdf", "filename": "Menu.pdf", "data": base64(&data) });
    let body = json!({ "chatId": chat, "file": given, "session": TENANT });
    let sent = scene.accepted(scene.ask(Method::POST, "/api/sendFile").json(&body)).await;
    let id = bare(&sent);
    assert!(scene.arrived(&customer, &id).await.file.is_some_and(|file| file.data == data));

    assert_eq!(scene.logins().await, before, "asking takes nothing away\n{}", scene.other.log());
    let owned = scene.stage.health().await.1;
    assert_eq!((&owned["sessions"]["working"], &owned["sessions"]["elsewhere"]), (&json!(1), &json!(0)), "{owned}");
    if home == Home::Embedded {
        // Made after the second process began, which has never heard of it.
        scene.stage.pair("latecomer").await;
        let id = dashboard.send("latecomer", &customer, "at nine", "k2").await;
        let id = id.unwrap_or_else(|error| panic!("{error}\n{}", scene.other.log()));
        assert_eq!(scene.arrived(&customer, &id).await.text.as_deref(), Some("at nine"));
        // So many clients listen for one tenant of another; the next is told that it waits.
        let mut sockets = Vec::new();
        for said in std::iter::repeat_n("registered", 32).chain(["error"]) {
            let (address, key) = (scene.other.setup.address, &scene.stage.setup.admin_key);
            let mut socket = cursors::registering_at(address, key, json!(TENANT)).await;
            let payload = cursors::hears(&mut socket, said).await;
            assert!(said == "registered" || payload["code"] == json!("busy"), "{payload}");
            sockets.push(socket);
        }
    }
    if home == Home::Emulator {
        // The other process had the tenant once, and has kept a file.
        let name = sent["media"]["url"].as_str().and_then(|url| url.rsplit('/').next()).unwrap();
        let folder = |setup: &Setup| setup.data_dir.join("media").join(TENANT);
        let (theirs, ours) = (folder(&scene.stage.setup), folder(&scene.other.setup));
        std::fs::create_dir_all(&ours).unwrap();
        for kept in std::fs::read_dir(theirs).unwrap().map(Result::unwrap) {
            std::fs::copy(kept.path(), ours.join(kept.file_name())).unwrap();
        }
        // An embedded vault's file may be locked by one that is stopped.
        scene.old.signal(Signal::STOP).unwrap();
        let kept = scene.ask(Method::GET, &format!("/api/files/{TENANT}/{name}")).send().await.unwrap();
        assert_eq!(kept.status(), 200, "its owner is not asked for what is here");
        assert!(kept.bytes().await.unwrap() == data);
        let silent = dashboard.get(&format!("/api/sessions/{TENANT}")).await.unwrap();
        scene.old.signal(Signal::CONT).unwrap();
        assert_eq!((silent.status, &silent.body["code"]), (503, &json!("peer_silent")), "{}", silent.body);
        assert!(silent.body["detail"].as_str().unwrap().starts_with("process 01"), "{}", silent.body);
    }
    scene.new.kill().await.unwrap();
    scene.old.kill().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn any_process_answers_for_a_tenant_of_another() {
    any_process_answers(Home::Embedded).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn any_process_answers_for_a_tenant_of_another_with_firestore() {
    any_process_answers(Home::Emulator).await;
}

/// The owner lives, and says an address at which nobody answers. A tenant that nobody has paired is paired where it is asked for, after the time
/// for which a request waits; one that is paired stays where it is.
#[tokio::test(flavor = "multi_thread")]
async fn an_unpaired_tenant_of_an_owner_that_cannot_be_reached_is_paired_here() {
    let stage = Stage::new(Home::Embedded).await.unwrap().shared().set(LISTEN, free_address().unwrap().to_string());
    let other = other(&stage, "other");
    let stage = stage.set("SESSIOND_CLUSTER__ADVERTISE", free_address().unwrap().to_string());
    let old = stage.start().await;
    stage.pair(TENANT).await;
    stage.dashboard.qr("new").await.unwrap();
    let stopped = stage.dashboard.post("/api/sessions/new/stop", json!({})).await.unwrap();
    assert!(stopped.status < 300, "{}", stopped.body);
    let new = other.start().await;
    let logins = stage.network.stats().await.counts.logins;
    // Whoever wants something else of it waits for its owner.
    let settings = json!({ "config": { "webhooks": [] } });
    let changed = other.dashboard.put("/api/sessions/new", settings).await.unwrap();
    assert_eq!((changed.status, &changed.body["code"]), (503, &json!("peer_silent")), "{}", changed.body);
    let connect = |tenant: &str| other.dashboard.post("/api/baileys/connect", json!({ "tenantId": tenant }));
    let paired = connect(TENANT).await.unwrap();
    assert_eq!((paired.status, &paired.body["code"]), (503, &json!("peer_silent")), "{}", paired.body);
    // The directory may say for some seconds that its code is on a screen.
    let is_taken = || async { connect("new").await.is_ok_and(|answer| answer.status == 200) };
    until(LIMIT, "the new tenant to be taken", is_taken).await.unwrap_or_else(|e| panic!("{e}\n{}", other.log()));
    assert!(stage.dashboard.is_connected(TENANT).await, "{}", stage.log());
    assert_eq!(stage.network.stats().await.counts.logins, logins, "nobody has logged in\n{}", other.log());
    let phone = stage.network.add_phone(None).await;
    let qr = other.dashboard.qr("new").await.unwrap();
    stage.network.scan(&phone.number, &qr).await.unwrap_or_else(|e| panic!("{e}\n{}", other.log()));
    let paired = until(LIMIT, "the new tenant to be paired", || other.dashboard.is_connected("new")).await;
    paired.unwrap_or_else(|e| panic!("{e}\n{}", other.log()));
    new.kill().await.unwrap();
    old.kill().await.unwrap();
}

/// Every event of these tenants went to a client once, in order, over one line.
fn assert_heard_once(heard: &[Heard], conversations: &[Conversation]) {
    for Conversation { tenant, .. } in conversations {
        let of_tenant: Vec<_> = heard.iter().filter(|heard| heard.payload["tenantId"] == json!(tenant)).collect();
        let ids: Vec<_> = of_tenant.iter().filter_map(|heard| heard.payload["eventId"].as_str()).collect();
        let is_rising = ids.is_sorted_by(|earlier, later| earlier < later);
        assert!(is_rising && !ids.is_empty(), "{tenant}: {ids:?}");
        let registered = of_tenant.iter().filter(|heard| heard.event == "registered").count();
        assert_eq!(registered, 1, "{tenant}: the client had to come back");
    }
}

fn has_heard_all(heard: &[Heard], conversations: &[Conversation]) -> bool {
    let messages = heard.iter().filter(|heard| ["message:received", "message:sent"].contains(&heard.event.as_str()));
    let ids: HashSet<_> = messages.filter_map(|heard| heard.payload["message"]["id"].as_str()).collect();
    conversations.iter().all(|conversation| {
        let sent = conversation.sent.iter().map(|sent| &sent.id);
        conversation.written.iter().map(|written| &written.id).chain(sent).all(|id| ids.contains(id.as_str()))
    })
}

/// Clients know one address, and all tenants change hands behind it, twice.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_knows_one_address_is_served_while_tenants_move() {
    let stage = Stage::new(Home::Embedded).await.unwrap().shared().set(LISTEN, free_address().unwrap().to_string());
    let old = stage.start().await;
    let mut conversations = Vec::new();
    for n in 0..4 {
        conversations.push(stage.pair(&format!("tenant-{n}")).await);
    }
    let front = other(&stage, "front");
    let front_process = front.start().await;
    let ear = Ear::open(&front.dashboard, conversations.iter().map(|one| one.tenant.clone()).collect());
    let traffic = Traffic::start(&stage, vec![front.dashboard.clone()], conversations);
    traffic.until_begun().await;
    let logins = stage.network.stats().await.counts.logins;
    // To the front and to a third one, each by what it should own; and what the third one has to the front.
    let third = other(&stage, "third");
    let third_process = third.start().await;
    assert_eq!(old.terminate(LIMIT).await.unwrap(), Some(0), "{}", stage.log());
    traffic.until_all_go_on().await;
    assert_eq!(third_process.terminate(LIMIT).await.unwrap(), Some(0), "{}", third.log());
    traffic.until_all_go_on().await;
    let conversations = traffic.end().await;
    let all_there = || async { stage.tally.count(&conversations).await.unwrap().lost == 0 };
    let settled = until(LIMIT, "everything to arrive", all_there).await;
    settled.unwrap_or_else(|e| panic!("{e}\n{}\n--\n{}", front.log(), third.log()));
    stage.assert_promises(&conversations).await;
    let heard = ear.until(LIMIT, |heard| has_heard_all(heard, &conversations)).await;
    heard.unwrap_or_else(|e| panic!("{e}: {:?}\n{}\n--\n{}", ear.heard(), front.log(), third.log()));
    assert_heard_once(&ear.heard(), &conversations);
    let counts = stage.network.stats().await.counts;
    assert!(counts.replaced_logins == 0 && counts.logins > logins, "{}\n--\n{}", front.log(), third.log());
    front_process.kill().await.unwrap();
}

/// The answer to a request as it stands there; its status and its head.
async fn raw(address: &str, request: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
    (status.unwrap_or_else(|| panic!("{answer}")), answer)
}

/// A process with the right key, as far as it can prove.
struct Asker {
    id: InstanceId,
    keys: Vec<PeerKey>,
    admin_key: String,
}

impl Asker {
    /// A request with its proof.
    async fn request(&self, peer: &InstanceId, address: &str, path: &str) -> String {
        let hello = Hello { from: &self.id, to: peer, at: address, keys: &self.keys, nonce: rand::random() };
        let question =
            format!("GET {HELLO_PATH} HTTP/1.1\r\n{HELLO_HEADER}: {}\r\nconnection: close\r\n\r\n", hello.header());
        let (status, answer) = raw(address, &question).await;
        assert_eq!(status, 204, "{answer}");
        let code = answer.lines().find_map(|line| line.strip_prefix("sessiond-hello: ")).unwrap();
        let proven = hello.accept(code.trim()).expect("it proves that it is the one meant");
        let head = http::Request::get(path).header("x-api-key", &self.admin_key).body(()).unwrap().into_parts().0;
        let proof = proven.proof([203, 0, 113, 7].into(), &head_digest(&head));
        let key = &self.admin_key;
        format!("GET {path} HTTP/1.1\r\nx-api-key: {key}\r\n{PROOF_HEADER}: {proof}\r\nconnection: close\r\n\r\n")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_second_port_is_for_processes_with_the_key_and_one_hop() {
    let scene = ForwardScene::new(Home::Embedded).await.unwrap();
    let vault = Embedded::open(&scene.stage.path("cloud/vault.db")).unwrap();
    let key = read_key_file(&scene.stage.path("cloud/vault.key")).unwrap();
    let keys = Keyring::new(vec![key]).peer_keys();
    let asker = Asker { id: InstanceId("asker".into()), keys, admin_key: scene.stage.setup.admin_key.clone() };
    let instances = vault.instances().await.unwrap();
    let port_of = |address: &str| {
        let instance = instances.iter().find(|one| one.listens_at.as_deref() == Some(address));
        instance.unwrap_or_else(|| panic!("{instances:?}")).id.clone()
    };
    let listens = |environment: &[(String, String)]| {
        environment.iter().find(|(name, _)| name == LISTEN).map(|(_, address)| address.clone()).unwrap()
    };
    let (owners, others) = (listens(&scene.stage.setup.environment), listens(&scene.other.setup.environment));
    let (owner, other) = (port_of(&owners), port_of(&others));
    let path = format!("/api/sessions/{TENANT}");

    let key = &asker.admin_key;
    let bare = format!("GET {path} HTTP/1.1\r\nx-api-key: {key}\r\nconnection: close\r\n\r\n");
    assert_eq!(raw(&owners, &bare).await.0, 403, "the operator's key alone");
    let request = asker.request(&owner, &owners, &path).await;
    let (status, answer) = raw(&owners, &request).await;
    assert!(status == 200 && answer.contains("WORKING"), "{answer}");
    let (status, answer) = raw(&owners, &request).await;
    assert!(status == 403 && answer.contains("sessiond-peer: refused"), "a replay: {answer}");
    let wrong = asker.request(&owner, &owners, &path).await.replace(key.as_str(), "another-key");
    assert_eq!(raw(&owners, &wrong).await.0, 403, "a head that was changed");
    // It is the other process's: this one says so, and asks nobody.
    let (status, answer) = raw(&others, &asker.request(&other, &others, &path).await).await;
    assert_eq!(status, 503, "{answer}");
    assert!(answer.contains("sessiond-peer: elsewhere") && answer.contains("owned_elsewhere"), "{answer}");
    scene.new.kill().await.unwrap();
    scene.old.kill().await.unwrap();
}
