//! A phone that is off holds up the files that it alone has, and no others.

use std::time::{Duration, Instant};

use loopback::{Fault, FaultKind, Say};
use reqwest::Method;
use serde_json::json;
use sessiond::demo::{Ear, Heard, until};

use super::{JPEG, MediaScene, TENANT, base64, file, lazily};
use crate::support::stage::LIMIT;

const OTHER: &str = "pizzeria";

#[tokio::test(flavor = "multi_thread")]
async fn files_of_others_come_while_a_phone_is_asked() {
    let few = |stage| lazily(stage).set("SESSIOND_MEDIA__PARALLEL", "2").set("SESSIOND_MEDIA__PER_TENANT", "2");
    let scene = MediaScene::with(few).await;
    let network = &scene.stage.network;
    let other = scene.stage.pair(OTHER).await;
    let ear = Ear::open(&scene.stage.dashboard, vec![OTHER.to_owned()]);
    let mut gone = Vec::new();
    for _ in 0..2 {
        gone.push(scene.receive(Say::image(file(JPEG, 1000))).await);
    }
    network.media_forgets().await;
    network.fault(Fault::new(FaultKind::PhoneSilent).target(&scene.tenant.number)).await.unwrap();
    let data = file(JPEG, 2000);
    let id = network.customer_send(&other.customers[0], &other.number, Say::image(data.clone())).await.unwrap();
    let is_it = |heard: &Heard| heard.payload["message"]["id"] == json!(id);
    ear.until(LIMIT, |heard| heard.iter().any(is_it)).await.unwrap();
    let heard = ear.heard().into_iter().find(is_it).unwrap();
    let url = heard.payload["message"]["mediaUrl"].as_str().unwrap().to_owned();

    let asking: Vec<_> = gone.iter().map(|url| tokio::spawn(scene.ask(Method::GET, url).send())).collect();
    let both_asked = async || network.stats().await.counts.media_retries == 2;
    until(LIMIT, "both questions", both_asked).await.unwrap_or_else(|e| panic!("{e}\n{}", scene.stage.log()));
    let began = Instant::now();
    assert_eq!(scene.bytes(&url).await, data);
    let fresh = scene.receive(Say::image(data.clone())).await;
    assert_eq!(scene.bytes(&fresh).await, data, "of the same tenant");
    assert!(began.elapsed() < Duration::from_secs(10), "after {:?}\n{}", began.elapsed(), scene.stage.log());
    asking.iter().for_each(tokio::task::JoinHandle::abort);
    scene.end_after(2).await;
}

/// One place for all: whoever waits in it for WhatsApp's word keeps everybody waiting.
#[tokio::test(flavor = "multi_thread")]
async fn files_of_others_come_while_whatsapp_names_no_hosts() {
    let few = |stage| lazily(stage).set("SESSIOND_MEDIA__PARALLEL", "1").set("SESSIOND_MEDIA__PER_TENANT", "1");
    let mut scene = MediaScene::with(few).await;
    let network = scene.stage.network.clone();
    let other = scene.stage.pair(OTHER).await;
    let url = scene.receive(Say::image(file(JPEG, 1000))).await;
    // Nobody knows the hosts any more.
    scene.daemon.kill().await.unwrap();
    network.fault(Fault::new(FaultKind::IqSilence).xmlns("w:m").target(&scene.tenant.number)).await.unwrap();
    scene.daemon = scene.stage.start().await;
    for tenant in [TENANT, OTHER] {
        until(LIMIT, "the login", || scene.stage.dashboard.is_connected(tenant)).await.unwrap();
    }
    let ear = Ear::open(&scene.stage.dashboard, vec![OTHER.to_owned()]);
    let asking = tokio::spawn(scene.ask(Method::GET, &url).send());
    // The first of them may be quicker than the question.
    for n in 0..3 {
        let data = file(JPEG, 2000 + n);
        let id = network.customer_send(&other.customers[0], &other.number, Say::image(data.clone())).await.unwrap();
        let is_it = |heard: &Heard| heard.payload["message"]["id"] == json!(id);
        ear.until(LIMIT, |heard| heard.iter().any(is_it)).await.unwrap();
        let heard = ear.heard().into_iter().find(is_it).unwrap();
        let began = Instant::now();
        assert_eq!(scene.bytes(heard.payload["message"]["mediaUrl"].as_str().unwrap()).await, data);
        assert!(began.elapsed() < Duration::from_secs(10), "after {:?}\n{}", began.elapsed(), scene.stage.log());
    }
    asking.abort();

    // Whoever is offline and sends one waits for his line in no place that is for all.
    network.clear_faults().await;
    network.fault(Fault::new(FaultKind::Refuse).target(&scene.tenant.number)).await.unwrap();
    let is_offline = async || !scene.stage.dashboard.is_connected(TENANT).await;
    until(LIMIT, "the end of the line", is_offline).await.unwrap();
    let send = |tenant: &str, customer: &str| {
        let file = json!({ "data": base64(&file(JPEG, 500)) });
        let body = json!({ "session": tenant, "chatId": format!("{customer}@c.us"), "file": file });
        scene.ask(Method::POST, "/api/sendFile").json(&body).send()
    };
    let waiting = tokio::spawn(send(TENANT, &scene.customer));
    for _ in 0..3 {
        let began = Instant::now();
        assert_eq!(send(OTHER, &other.customers[0]).await.unwrap().status(), 201);
        assert!(began.elapsed() < Duration::from_secs(6), "after {:?}\n{}", began.elapsed(), scene.stage.log());
    }
    waiting.abort();
    scene.end_after(2).await;
}
