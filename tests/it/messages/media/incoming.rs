//! What comes: every kind, through hosts that fail, from phones that are asked again, with lies.

use std::time::Duration;

use loopback::{Fault, FaultKind, File, Say};
use reqwest::{Method, StatusCode, header};
use serde_json::{Value, json};
use sessiond::demo::until;
use whatsapp_rust::{
    buffa::MessageField,
    waproto::whatsapp::{self as wa, message::ImageMessage},
};

use super::{JPEG, MP4, MediaScene, OGG, PDF, TENANT, WEBP, base64, file, lazily, problem, stored};
use crate::support::stage::LIMIT;

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_comes_byte_for_byte() {
    let scene = MediaScene::new().await;
    let gif_like = |data: &[u8]| File { data: data.to_vec(), ..File::default() };
    let cases = [
        (file(JPEG, 5000), "image/jpeg", "inline", Say::image as fn(Vec<u8>) -> Say),
        (file(MP4, 9000), "video/mp4", "inline", Say::video),
        (file(OGG, 100), "audio/ogg", "inline", Say::voice),
        (file(OGG, 100), "audio/ogg", "inline", Say::audio),
        (file(WEBP, 50), "image/webp", "inline", Say::sticker),
        (file(PDF, 70_000), "application/pdf", "attachment", |data| Say::document("menu.pdf", data)),
        (b"a;b\n1;2\n".to_vec(), "text/csv", "attachment", |data| Say::document("prices.csv", data)),
        (b"<html>1</html>".to_vec(), "application/octet-stream", "attachment", |data| Say::document("a.pdf", data)),
        (b"alert(1)".to_vec(), "application/octet-stream", "attachment", |data| Say::document("a.html", data)),
        (b"<script>alert(1)</script>".to_vec(), "application/octet-stream", "attachment", Say::image),
        (
            b"<svg xmlns='http://www.w3.org/2000/svg' onload='x()'/>".to_vec(),
            "application/octet-stream",
            "attachment",
            Say::image,
        ),
        (Vec::new(), "application/octet-stream", "attachment", |data| Say::document("empty.txt", data)),
        // Sizes around a block of the cipher.
        (vec![7; 15], "application/octet-stream", "attachment", |data| Say::document("a", data)),
        (vec![7; 16], "application/octet-stream", "attachment", |data| Say::document("a", data)),
    ];
    for (data, mime, disposition, say) in cases {
        let url = scene.receive(say(data.clone())).await;
        let answer = scene.get(&url).await;
        let head = answer.headers().clone();
        let of = |name: header::HeaderName| head.get(name).map(|value| value.to_str().unwrap().to_owned()).unwrap();
        assert_eq!(
            (answer.status(), of(header::CONTENT_TYPE)),
            (StatusCode::OK, mime.to_owned()),
            "{url}\n{}",
            scene.stage.log()
        );
        assert!(of(header::CONTENT_DISPOSITION).starts_with(disposition), "{head:?}");
        assert_eq!(of(header::X_CONTENT_TYPE_OPTIONS), "nosniff");
        assert!(of(header::CONTENT_SECURITY_POLICY).contains("sandbox"));
        assert_eq!(answer.bytes().await.unwrap(), data);
    }
    for say in [Say::Gif(gif_like(MP4)), Say::VideoNote(gif_like(MP4))] {
        let url = scene.receive(say).await;
        assert_eq!(scene.bytes(&url).await, MP4);
    }
    // What the owner sends from the phone.
    let data = file(JPEG, 300);
    let network = &scene.stage.network;
    let id = network.phone_send(&scene.tenant.number, &scene.customer, Say::image(data.clone())).await.unwrap();
    let url = scene.seen(&id).await["mediaUrl"].as_str().unwrap().to_owned();
    assert_eq!(scene.bytes(&url).await, data);
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_on_the_way_in_is_fetched_later() {
    let scene = MediaScene::with(lazily).await;
    let network = scene.stage.network.clone();
    for (fault, expected) in [
        (Fault::new(FaultKind::MediaDown), (503, "media_down")),
        (Fault::new(FaultKind::MediaRefuse).code(500), (503, "media_down")),
        (Fault::new(FaultKind::MediaRefuse).code(429), (503, "media_down")),
        (Fault::new(FaultKind::MediaRefuse).code(404), (404, "file_gone")),
        (Fault::new(FaultKind::MediaRefuse).code(403), (404, "file_gone")),
        (Fault::new(FaultKind::MediaCorrupt), (503, "media_down")),
        (Fault::new(FaultKind::MediaCut), (503, "media_down")),
    ] {
        let data = file(JPEG, 50_000);
        let url = scene.receive(Say::image(data.clone())).await;
        let what = format!("{fault:?}");
        network.fault(fault).await.unwrap();
        let answer = scene.get(&url).await;
        let again = answer.headers().contains_key(header::RETRY_AFTER);
        assert_eq!((problem(answer).await, again), ((expected.0, expected.1.to_owned()), expected.0 == 503), "{what}");
        // The list of messages says so too.
        let path = format!("/api/{TENANT}/chats/{}@c.us/messages?limit=1", scene.customer);
        let listed = async || scene.get(&path).await.json::<Value>().await.unwrap()[0]["media"].take();
        let media = listed().await;
        assert!(media["error"]["message"].is_string() && media["url"] == json!(url), "{what}: {media}");
        network.clear_faults().await;
        if expected.0 == 404 {
            // That is known for a while: nobody has the hosts and the phone asked anew with each look at the chat.
            assert_eq!(problem(scene.get(&url).await).await, (404, expected.1.to_owned()), "{what}");
            continue;
        }
        assert_eq!(scene.bytes(&url).await, data, "{what}");
        assert_eq!(listed().await["error"], Value::Null);
    }
    network.fault(Fault::new(FaultKind::MediaSlow).ms(1500)).await.unwrap();
    let data = file(JPEG, 500);
    let url = scene.receive(Say::image(data.clone())).await;
    assert_eq!(scene.bytes(&url).await, data);
    network.clear_faults().await;
    // Whoever asks without end has the hosts asked so often only.
    network.fault(Fault::new(FaultKind::MediaCorrupt)).await.unwrap();
    let url = scene.receive(Say::image(file(JPEG, 500))).await;
    let mut tried = 0;
    let refused = loop {
        let answer = scene.get(&url).await;
        match answer.status().as_u16() {
            503 if tried < 400 => tried += 1,
            _ => break answer,
        }
    };
    assert!((100..400).contains(&tried), "{tried}");
    assert!(refused.headers().contains_key(header::RETRY_AFTER));
    assert_eq!(problem(refused).await, (429, "too_many_requests".to_owned()));
    scene.end().await;
}

/// The tenant becomes another account while a file of the former is fetched: it is not kept for whoever knows its name.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_on_its_way_does_not_survive_a_change_of_account() {
    let scene = MediaScene::with(lazily).await;
    let (network, dashboard) = (scene.stage.network.clone(), &scene.stage.dashboard);
    let url = scene.receive(Say::image(file(JPEG, 500))).await;
    let downloads = async || network.stats().await.counts.media_downloads;
    let before = downloads().await;
    network.fault(Fault::new(FaultKind::MediaSlow).ms(4000)).await.unwrap();
    let asked = tokio::spawn(scene.ask(Method::GET, &url).send());
    until(LIMIT, "the download", async || downloads().await > before).await.unwrap();
    let left = dashboard.post(&format!("/api/sessions/{TENANT}/logout"), json!({})).await.unwrap();
    assert_eq!(left.status, 201, "{}", left.body);
    let change = format!("/api/sessions/{TENANT}/account/change");
    let allowed = dashboard.put(&change, json!({ "conversations": "delete" })).await.unwrap();
    assert_eq!(allowed.status, 200, "{}", allowed.body);
    let other = network.add_phone(None).await;
    network.scan(&other.number, &dashboard.qr(TENANT).await.unwrap()).await.unwrap();
    until(LIMIT, "the other account", || dashboard.is_connected(TENANT)).await.unwrap();
    // Whatever came of it.
    let _ = asked.await.unwrap();
    network.clear_faults().await;
    assert_ne!(scene.get(&url).await.status(), StatusCode::OK, "{}", scene.stage.log());
    scene.end_after(2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_phone_is_asked_for_what_whatsapp_has_forgotten() {
    let scene = MediaScene::with(lazily).await;
    let network = scene.stage.network.clone();
    let retries = async || network.stats().await.counts.media_retries;
    let group = network.create_group(&scene.customer, "Neighbours", &[&scene.tenant.number]).await.unwrap();
    let data = [file(JPEG, 3000), file(MP4, 4000), file(PDF, 5000)];
    let mut urls = vec![scene.receive(Say::image(data[0].clone())).await];
    let own = network.phone_send(&scene.tenant.number, &scene.customer, Say::video(data[1].clone())).await.unwrap();
    urls.push(scene.seen(&own).await["mediaUrl"].as_str().unwrap().to_owned());
    let grouped =
        network.customer_send(&scene.customer, &group.jid, Say::document("a", data[2].clone())).await.unwrap();
    urls.push(scene.seen(&grouped).await["mediaUrl"].as_str().unwrap().to_owned());
    let lost = scene.receive(Say::image(file(JPEG, 100))).await;
    network.media_forgets().await;
    for (asked, (url, data)) in urls.iter().zip(&data).enumerate() {
        assert_eq!(&scene.bytes(url).await, data, "{url}");
        assert_eq!(retries().await, asked as u64 + 1);
    }
    network.phones_lose_files().await;
    for _ in 0..3 {
        assert_eq!(problem(scene.get(&lost).await).await, (404, "file_gone".to_owned()));
    }
    assert_eq!(retries().await, 4, "asked once");
    // The phone is asked for so many only, whoever walks over old messages.
    let mut old = Vec::new();
    for _ in 0..40 {
        old.push(scene.receive(Say::image(file(JPEG, 100))).await);
    }
    network.media_forgets().await;
    network.phones_lose_files().await;
    let mut refused = 0;
    for url in &old {
        match problem(scene.get(url).await).await {
            (404, _) => {}
            (status, code) => {
                assert_eq!((status, code.as_str()), (429, "too_many_requests"));
                refused += 1;
            }
        }
    }
    assert!((1..=14).contains(&refused), "{refused} of 40");
    assert_eq!(retries().await, 4 + 40 - refused);
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_come_before_they_are_asked_for() {
    let scene = MediaScene::new().await;
    let network = scene.stage.network.clone();
    let data = file(JPEG, 3000);
    let url = scene.receive(Say::image(data.clone())).await;
    let stats = || async { network.stats().await.counts };
    until(LIMIT, "the download", || async { stats().await.media_downloads >= 1 }).await.unwrap();
    // The next comes when the host is back.
    network.fault(Fault::new(FaultKind::MediaDown)).await.unwrap();
    let late = file(JPEG, 4000);
    let late_url = scene.receive(Say::image(late.clone())).await;
    let failed = || async { scene.get(&late_url).await.status() == StatusCode::SERVICE_UNAVAILABLE };
    until(LIMIT, "a failure", failed).await.unwrap();
    network.clear_faults().await;
    until(LIMIT, "another try", || async { stats().await.media_downloads >= 2 }).await.unwrap();
    let there = |url: String| scene.stage.setup.data_dir.join("media").join(TENANT).join(stored(&url));
    for url in [&url, &late_url] {
        until(LIMIT, "the file", || async { there(url.clone()).exists() }).await.unwrap();
    }
    network.media_forgets().await;
    network.phones_lose_files().await;
    assert_eq!((scene.bytes(&url).await, scene.bytes(&late_url).await), (data, late));
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_come_again_after_a_lost_disk() {
    let mut scene = MediaScene::new().await;
    let (came, went) = (file(JPEG, 3000), file(PDF, 4000));
    let came_url = scene.receive(Say::image(came.clone())).await;
    let (_, went_url) = scene.sent("/api/sendFile", json!({ "file": { "data": base64(&went) } })).await;
    assert_eq!(scene.bytes(&came_url).await, came);
    scene.daemon.kill().await.unwrap();
    scene.stage.wipe_local_data();
    scene.daemon = scene.stage.start().await;
    until(LIMIT, "the login", || scene.stage.dashboard.is_connected(TENANT)).await.unwrap();
    for (url, data) in [(&came_url, &came), (&went_url, &went)] {
        assert!(!scene.stage.setup.data_dir.join("media").join(TENANT).join(stored(url)).exists());
        let served = || async { scene.get(url).await.status() == StatusCode::OK };
        until(LIMIT, "the file", served).await.unwrap();
        assert_eq!(&scene.bytes(url).await, data);
    }
    scene.end().await;
}

/// What a stranger writes about a file leads nowhere, and is not believed.
#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_lies_about_its_file() {
    let scene = MediaScene::with(|stage| lazily(stage).set("SESSIOND_MEDIA__MAX_RECEIVED_MIB", "1")).await;
    let network = scene.stage.network.clone();
    let trap = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let trap_at = trap.local_addr().unwrap();
    let data = file(JPEG, 20_000);
    let truth = network.media_put(&data).await.unwrap();
    let say = |image: ImageMessage| Say::Raw {
        message: Box::new(wa::Message { image_message: MessageField::some(image), ..Default::default() }),
    };
    let large = network.media_put(&file(JPEG, 1024 * 1024 + 1)).await.unwrap();
    let mut hidden = large.clone();
    hidden.file_length = None;
    let path = truth.direct_path.clone().unwrap();
    type Lie<'a> = (&'a str, ImageMessage, (u16, &'a str));
    let lie = |change: &dyn Fn(&mut ImageMessage)| {
        let mut image = truth.clone();
        change(&mut image);
        image
    };
    let cases: Vec<Lie<'_>> = vec![
        ("less than there is", lie(&|image| image.file_length = Some(100)), (422, "file_damaged")),
        ("more than there is", lie(&|image| image.file_length = Some(20_001)), (422, "file_damaged")),
        ("much more than may be", lie(&|image| image.file_length = Some(u64::MAX)), (422, "file_too_large")),
        ("another file", lie(&|image| image.file_sha256 = Some(vec![7; 32])), (422, "file_damaged")),
        ("another key", lie(&|image| image.media_key = Some(vec![7; 32])), (503, "media_down")),
        ("no key at all", lie(&|image| image.media_key = Some(Vec::new())), (503, "media_down")),
        ("a large file", large, (422, "file_too_large")),
        ("a large file that does not say so", hidden, (422, "file_too_large")),
        ("another host", lie(&|image| image.direct_path = Some(format!("@{trap_at}{path}"))), (404, "unknown_file")),
        ("a part of a host", lie(&|image| image.direct_path = Some(format!(".{path}"))), (404, "unknown_file")),
        ("a line of its own", lie(&|image| image.direct_path = Some("/x\r\nHost: x".into())), (404, "unknown_file")),
    ];
    for (what, image, (status, code)) in cases {
        let url = scene.receive(say(image)).await;
        assert_eq!(problem(scene.get(&url).await).await, (status, code.to_owned()), "{what}\n{}", scene.stage.log());
    }
    // The file is what it says; that it is elsewhere as well is not looked at.
    let url = scene.receive(say(lie(&|image| image.static_url = Some(format!("http://{trap_at}/x"))))).await;
    assert_eq!(scene.bytes(&url).await, data);
    let url = scene.receive(say(lie(&|image| {
        image.direct_path = None;
        image.url = Some(format!("https://{trap_at}{path}"));
    })));
    assert_eq!(scene.bytes(&url.await).await, data);
    let caught = tokio::time::timeout(Duration::ZERO, trap.accept()).await;
    assert!(caught.is_err(), "somebody was sent elsewhere");
    scene.end().await;
}
