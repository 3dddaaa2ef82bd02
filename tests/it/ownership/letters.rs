//! What a process makes of the letters of another one: the test plays the part of a process that has died, whose tenants are its own by their
//! journals, and says what a real one would say seldom, late, or never.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use rustix::process::Signal;
use serde_json::json;
use sessiond::{
    cluster::{HandoverAnswer, HandoverVerdict, LETTER_BOX, Letter},
    demo::{Conversation, Process, until},
    tenant::TenantId,
    vault::{Instance, InstanceId, Seq, Vault as _, embedded::Embedded},
};

use crate::support::stage::{Home, LIMIT, Other, Stage};

/// So often a process says that it lives.
const ANNOUNCE: Duration = Duration::from_secs(4);

/// One that is never seen to change, and reads no letters, is believed to live for one and a half of them.
const TRUST: Duration = Duration::from_secs(6);

/// A process that died on another machine, as far as the vault says.
struct Ghost {
    vault: Embedded,
    instance: Instance,
    number: u64,
}

struct LetterScene {
    stage: Stage,
    conversations: Vec<Conversation>,
    ghost: Ghost,
    other: Other,
}

impl LetterScene {
    async fn new(tenants: usize, reads_letters: bool) -> Self {
        let stage = Stage::new(Home::Embedded).await.unwrap().shared();
        let dead = stage.start().await;
        let mut conversations = Vec::new();
        for n in 0..tenants {
            conversations.push(stage.pair(&format!("tenant-{n}")).await);
        }
        dead.kill().await.unwrap();
        let ghost = Ghost::of(&stage.path("cloud/vault.db"), reads_letters).await;
        let mut other = stage.other("other", false);
        other.setup = other.setup.set("SESSIOND_HEARTBEAT__ANNOUNCE", format!("{}s", ANNOUNCE.as_secs()));
        Self { stage, conversations, ghost, other }
    }

    fn tenants(&self) -> Vec<TenantId> {
        self.conversations.iter().map(|conversation| conversation.tenant.parse().unwrap()).collect()
    }

    async fn serves(&self) -> usize {
        let mut count = 0;
        for conversation in &self.conversations {
            count += usize::from(self.other.dashboard.is_connected(&conversation.tenant).await);
        }
        count
    }

    async fn until_served(&self) {
        let served = || async { self.serves().await == self.conversations.len() };
        until(LIMIT, "the tenants to be served", served).await.unwrap_or_else(|e| panic!("{e}\n{}", self.other.log()));
    }

    async fn end(self, other: Process) {
        self.stage.assert_promises(&self.conversations).await;
        other.kill().await.unwrap();
    }

    /// Its process knocks at the ghost's, and is answered, so that it believes it to live.
    async fn start(&mut self) -> Process {
        let mut process = self.other.setup.spawn().unwrap();
        let (reader, knock) = self.ghost.until(|_| true, &self.other).await;
        self.ghost.write(&reader, Letter { heard: knock.knock, ..Letter::default() }).await;
        process.await_port(LIMIT).await.unwrap_or_else(|e| panic!("{e}\n{}", self.other.log()));
        assert_eq!(self.serves().await, 0, "taken from a process that answers\n{}", self.other.log());
        let (status, health) = self.other.health().await;
        assert_eq!((status, &health["status"]), (200, &json!("standby")), "{health}");
        process
    }
}

impl Ghost {
    async fn of(file: &Path, reads_letters: bool) -> Self {
        let vault = Embedded::open(file).unwrap();
        let mut instance = vault.instances().await.unwrap().pop().expect("it left its record behind");
        instance.process = Some("another machine/1/1/1".into());
        instance.address = reads_letters.then(|| LETTER_BOX.to_owned());
        vault.put_instance(&instance).await.unwrap();
        Self { vault, instance, number: 0 }
    }

    /// Says that it lives.
    async fn announce(&mut self) {
        self.instance.heartbeat_at += Duration::from_secs(1);
        self.vault.put_instance(&self.instance).await.unwrap();
    }

    async fn write(&mut self, to: &InstanceId, letter: Letter) {
        self.number += 1;
        self.write_as(to, Letter { number: self.number, knock: 1, ..letter }).await;
    }

    async fn write_as(&self, to: &InstanceId, letter: Letter) {
        self.vault.put_letter(&self.instance.id, to, letter.write()).await.unwrap();
    }

    async fn letter(&self) -> Option<(InstanceId, Letter)> {
        let (from, body) = self.vault.letters(&self.instance.id).await.unwrap().pop()?;
        Some((from, Letter::read(&body).expect("a letter")))
    }

    /// The first letter that is so.
    async fn until(&self, is_so: impl Fn(&Letter) -> bool, reader: &Other) -> (InstanceId, Letter) {
        let began = Instant::now();
        loop {
            let letter = self.letter().await;
            match letter {
                Some((from, letter)) if is_so(&letter) => return (from, letter),
                letter => assert!(began.elapsed() < LIMIT, "the last letter was {letter:?}\n{}", reader.log()),
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
    }
}

/// An earlier version: nobody can ask it whether it lives. It was killed before the new one came.
#[tokio::test(flavor = "multi_thread")]
async fn an_earlier_version_that_says_nothing_is_taken_from_after_its_time() {
    let mut scene = LetterScene::new(2, false).await;
    let began = Instant::now();
    let other = scene.other.start().await;
    assert!(began.elapsed() < TRUST, "the port waited for one that cannot answer\n{}", scene.other.log());
    while began.elapsed() < TRUST - Duration::from_secs(1) {
        assert_eq!(scene.serves().await, 0, "{}", scene.other.log());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    scene.until_served().await;
    println!("taken from an earlier version after {:?}", began.elapsed());
    assert!(began.elapsed() < TRUST * 3, "{:?}", began.elapsed());
    scene.ghost.announce().await;
    scene.end(other).await;
}

/// The same, and it lives: it keeps its tenants for as long as it says so, and they are served soon after it has stopped.
#[tokio::test(flavor = "multi_thread")]
async fn an_earlier_version_that_lives_keeps_its_tenants_until_it_stops() {
    let mut scene = LetterScene::new(2, false).await;
    let other = scene.other.start().await;
    let began = Instant::now();
    while began.elapsed() < TRUST * 2 {
        scene.ghost.announce().await;
        assert_eq!(scene.serves().await, 0, "{}", scene.other.log());
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    let stopped = Instant::now();
    scene.ghost.vault.remove_instance(&scene.ghost.instance.id).await.unwrap();
    scene.until_served().await;
    assert!(stopped.elapsed() < TRUST, "{:?}", stopped.elapsed());
    scene.end(other).await;
}

/// It lives and offers, and never answers an ask: its time for that begins when the ask is in the vault.
#[tokio::test(flavor = "multi_thread")]
async fn an_owner_that_offers_and_does_not_answer_is_taken_from() {
    let mut scene = LetterScene::new(2, true).await;
    let other = scene.start().await;
    let (reader, knock) = scene.ghost.letter().await.unwrap();
    let offer = Letter { heard: knock.knock, draining: true, offers: scene.tenants(), ..Letter::default() };
    scene.ghost.write(&reader, offer).await;
    scene.ghost.until(|letter| !letter.asks.is_empty(), &scene.other).await;
    let asked = Instant::now();
    // Whoever sends meanwhile waits, and is not sent away.
    let Conversation { tenant, customers, .. } = &scene.conversations[1];
    let sent = tokio::spawn({
        let (dashboard, tenant, customer) = (scene.other.dashboard.clone(), tenant.clone(), customers[0].clone());
        async move { dashboard.send(&tenant, &customer, "while it is on its way", "while it is on its way").await }
    });
    let mut taken_after = None;
    while taken_after.is_none() {
        assert!(asked.elapsed() < Duration::from_secs(10), "nobody takes them\n{}", scene.other.log());
        // Its record says that it lives, all the while.
        scene.ghost.announce().await;
        if scene.serves().await > 0 {
            taken_after = Some(asked.elapsed());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    println!("taken {taken_after:?} after the ask");
    assert!(taken_after > Some(Duration::from_millis(1500)), "it was given no time: {taken_after:?}");
    assert!(scene.other.log().contains("taken over from a process that did not let go of it"), "{}", scene.other.log());
    sent.await.unwrap().unwrap_or_else(|refused| panic!("{refused}\n{}", scene.other.log()));
    scene.until_served().await;
    scene.end(other).await;
}

/// A letter that lands after its successor stands in the newer one's place, and says nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_letter_that_lands_late_offers_nothing() {
    let mut scene = LetterScene::new(2, true).await;
    let other = scene.start().await;
    let (reader, knock) = scene.ghost.letter().await.unwrap();
    let heard = knock.knock;
    scene.ghost.number = 10;
    scene.ghost.write(&reader, Letter { heard, knock: 1, ..Letter::default() }).await;
    // The reader answers it, so it has read it.
    let knocks = Letter { number: 12, knock: 2, heard, ..Letter::default() };
    scene.ghost.write_as(&reader, knocks).await;
    scene.ghost.until(|letter| letter.heard == 2, &scene.other).await;
    let late = Letter { number: 9, knock: 2, heard, draining: true, offers: scene.tenants(), ..Letter::default() };
    scene.ghost.write_as(&reader, late).await;
    let began = Instant::now();
    // Some readings, a quarter of a second apart.
    while began.elapsed() < Duration::from_secs(3) {
        scene.ghost.announce().await;
        let (_, letter) = scene.ghost.letter().await.unwrap();
        assert!(letter.asks.is_empty(), "it asks for what is not offered any more: {letter:?}");
        assert_eq!(scene.serves().await, 0, "{}", scene.other.log());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    // The same in a letter that is newer counts.
    let offer = Letter { number: 13, knock: 2, heard, draining: true, offers: scene.tenants(), ..Letter::default() };
    scene.ghost.write_as(&reader, offer).await;
    let (_, letter) = scene.ghost.until(|letter| letter.asks.len() == 2, &scene.other).await;
    let given = |ask: &sessiond::cluster::HandoverAsk| HandoverAnswer {
        tenant: ask.tenant.clone(),
        number: ask.number,
        verdict: HandoverVerdict::given(Seq(1)),
    };
    let answers = letter.asks.iter().map(given).collect();
    let answer = Letter { number: 14, knock: 2, heard, draining: true, answers, ..Letter::default() };
    scene.ghost.write_as(&reader, answer).await;
    scene.until_served().await;
    scene.end(other).await;
}

/// What it has asked for and not taken it asks for no more: whoever gave it away would give it to one that has no time left.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_told_to_stop_asks_for_nothing_more() {
    let mut scene = LetterScene::new(2, true).await;
    let mut other = scene.start().await;
    // Somebody looks at a code there, so that it does not end at once.
    scene.other.dashboard.qr("new").await.unwrap();
    let (reader, knock) = scene.ghost.letter().await.unwrap();
    let offer = Letter { heard: knock.knock, offers: scene.tenants(), ..Letter::default() };
    scene.ghost.write(&reader, offer).await;
    scene.ghost.until(|letter| letter.asks.len() == 2, &scene.other).await;
    other.signal(Signal::TERM).unwrap();
    let (_, letter) = scene.ghost.until(|letter| letter.draining, &scene.other).await;
    assert!(!letter.stopped && letter.asks.is_empty(), "{letter:?}");
    assert!(!other.has_ended().unwrap());
    assert_eq!(scene.serves().await, 0, "{}", scene.other.log());
    other.kill().await.unwrap();
}
