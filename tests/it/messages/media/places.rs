//! Where files are kept, and the way there: a cloud, and a proxy of the tenant's own.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{DefaultBodyLimit, State},
    http::{HeaderMap, StatusCode, Uri},
    response::{IntoResponse as _, Response},
};
use loopback::Say;
use reqwest::{Method, header};
use serde_json::json;
use sessiond::demo::until;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

use super::{JPEG, MP4, MediaScene, PDF, TENANT, base64, file, lazily, problem, stored};
use crate::support::stage::{LIMIT, Stage};

/// An HTTP proxy that counts whom it lets through.
async fn gate() -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, passed) = (listener.local_addr().unwrap(), Arc::<AtomicUsize>::default());
    let counted = passed.clone();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let counted = counted.clone();
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(stream.read_u8().await?);
                }
                let head = String::from_utf8(head).unwrap();
                // "user:secret"
                assert!(head.to_lowercase().contains("proxy-authorization: basic dxnlcjpzzwnyzxq="), "{head}");
                let target = head.strip_prefix("CONNECT ").unwrap().split(' ').next().unwrap();
                let mut there = TcpStream::connect(target).await?;
                stream.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await?;
                counted.fetch_add(1, SeqCst);
                tokio::io::copy_bidirectional(&mut stream, &mut there).await
            });
        }
    });
    (address, passed)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_may_have_a_proxy_of_its_own() {
    let (address, passed) = gate().await;
    let proxy = format!("{TENANT}=http://user:secret@{address}");
    let scene = MediaScene::with(|stage| lazily(stage).set("SESSIOND_MEDIA__PROXIES", proxy)).await;
    let passed = || passed.load(SeqCst);
    let data = file(JPEG, 3000);
    let url = scene.receive(Say::image(data.clone())).await;
    assert_eq!((passed(), scene.bytes(&url).await), (0, data.clone()));
    let after_download = passed();
    assert!(after_download > 0, "it came another way");
    let (id, _) = scene.sent("/api/sendImage", json!({ "file": { "data": base64(&data) } })).await;
    assert_eq!(scene.arrived(&id).await.file.unwrap().data, data);
    assert!(passed() >= after_download);
    // Another tenant has none.
    let other = scene.stage.pair("pizzeria").await;
    let ear = scene.stage.listen(std::slice::from_ref(&other));
    let network = &scene.stage.network;
    let id = network.customer_send(&scene.customer, &other.number, Say::image(data.clone())).await.unwrap();
    let is_it = |heard: &sessiond::demo::Heard| heard.payload["message"]["id"] == json!(id);
    ear.until(LIMIT, |heard| heard.iter().any(is_it)).await.unwrap();
    let url = ear.heard().into_iter().find(is_it).unwrap().payload["message"]["mediaUrl"].as_str().unwrap().to_owned();
    let before = passed();
    assert_eq!((scene.bytes(&url).await, passed()), (data, before));
    assert!(!scene.stage.log().contains("secret"));
    scene.end_after(2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_kept_in_the_cloud() {
    let cloud = Cloud::open().await;
    let scene = MediaScene::with(|stage| cloud.keeps_for(stage)).await;
    // The larger one goes in pieces.
    for size in [3000, 12 * 1024 * 1024] {
        let data = file(MP4, size);
        let url = scene.receive(Say::video(data.clone())).await;
        assert!(scene.bytes(&url).await == data);
        let object = format!("/kds/whatsapp/{TENANT}/{}", stored(&url));
        assert!(cloud.objects.lock().unwrap().get(&object) == Some(&data), "{object}");
        scene.stage.network.media_forgets().await;
        scene.stage.network.phones_lose_files().await;
        assert!(scene.bytes(&url).await == data, "from the cloud");
        let part = scene.ask(Method::GET, &url).header(header::RANGE, "bytes=100-199").send().await.unwrap();
        assert_eq!((part.status().as_u16(), part.bytes().await.unwrap().as_ref()), (206, &data[100..200]));
    }
    let (_, url) = scene.sent("/api/sendFile", json!({ "file": { "data": base64(PDF) } })).await;
    assert_eq!(scene.bytes(&url).await, PDF);
    // A cloud that fails takes nothing away but the files.
    cloud.down.store(true, SeqCst);
    assert_eq!(problem(scene.get(&url).await).await, (503, "storage".to_owned()));
    let (id, _) = scene.sent("/api/sendFile", json!({ "file": { "data": base64(PDF) } })).await;
    assert_eq!(scene.arrived(&id).await.file.unwrap().data, PDF);
    scene.end().await;
}

type Objects = Arc<Mutex<BTreeMap<String, Vec<u8>>>>;

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_whose_files_take_long_to_list_holds_up_no_other() {
    let cloud = Cloud::open().await;
    let scene = MediaScene::with(|stage| cloud.keeps_for(stage).set("SESSIOND_MEDIA__KEEP_MIB", "1")).await;
    let other = scene.stage.pair("pizzeria").await;
    let ear = scene.stage.listen(std::slice::from_ref(&other));
    let video = || file(MP4, 700_000);
    let first = scene.receive(Say::video(video())).await;
    scene.bytes(&first).await;
    let second = scene.receive(Say::video(video())).await;
    *cloud.silent.lock().unwrap() = Some(format!("whatsapp/{TENANT}"));
    // It has too much, and somebody looks for what is to go.
    let waiting = scene.ask(Method::GET, &second).send();
    let waiting = tokio::spawn(waiting);
    until(LIMIT, "the look at its files", || async { cloud.asked_in_vain.load(SeqCst) > 0 }).await.unwrap();

    let began = Instant::now();
    let mut urls = Vec::new();
    for n in 1..=3 {
        scene.stage.network.customer_send(&scene.customer, &other.number, Say::video(video())).await.unwrap();
        let videos = || {
            let heard = ear.heard();
            let urls =
                heard.iter().filter_map(|heard| heard.payload["message"]["mediaUrl"].as_str().map(str::to_owned));
            urls.collect::<Vec<_>>()
        };
        until(LIMIT, "another video", || async { videos().len() == n }).await.unwrap();
        urls = videos();
        scene.bytes(&urls[n - 1]).await;
    }
    let object = format!("/kds/whatsapp/pizzeria/{}", stored(&urls[2]));
    until(LIMIT, "the other tenant's file in the cloud", || async {
        cloud.objects.lock().unwrap().contains_key(&object)
    })
    .await
    .unwrap();
    assert_eq!(
        cloud.objects.lock().unwrap().keys().filter(|key| key.starts_with("/kds/whatsapp/pizzeria/")).count(),
        1
    );
    // The request for the list ends by itself after half a minute.
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
    waiting.abort();
    scene.end_after(2).await;
}

/// As much of Google's XML API as keeping files takes.
#[derive(Clone)]
struct Cloud {
    address: SocketAddr,
    objects: Objects,
    pieces: Objects,
    down: Arc<AtomicBool>,
    /// Whoever lists what begins with it gets no answer.
    silent: Arc<Mutex<Option<String>>>,
    asked_in_vain: Arc<AtomicUsize>,
}

impl Cloud {
    async fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let cloud = Self {
            address,
            objects: Objects::default(),
            pieces: Objects::default(),
            down: Default::default(),
            silent: Default::default(),
            asked_in_vain: Default::default(),
        };
        let answer = async |State(cloud): State<Self>, method: Method, uri: Uri, headers: HeaderMap, body: Bytes| {
            if cloud.down.load(SeqCst) {
                return StatusCode::SERVICE_UNAVAILABLE.into_response();
            }
            let path = decoded(uri.path());
            let query = uri.query().unwrap_or_default();
            let parameter = |name: &str| {
                query.split('&').find_map(|pair| Some(pair.strip_prefix(name)?.strip_prefix('=')?.to_owned()))
            };
            let listed = parameter("prefix").map(|prefix| decoded(&prefix));
            if let Some(prefix) = listed.filter(|_| method == Method::GET && parameter("list-type").is_some()) {
                if cloud.silent.lock().unwrap().as_ref().is_some_and(|silent| prefix.starts_with(silent)) {
                    cloud.asked_in_vain.fetch_add(1, SeqCst);
                    std::future::pending::<()>().await;
                }
                return cloud.list(&path, &prefix, parameter("delimiter").is_some()).into_response();
            }
            match (method.as_str(), parameter("uploadId")) {
                ("POST", None) => {
                    "<InitiateMultipartUploadResult><UploadId>u1</UploadId></InitiateMultipartUploadResult>"
                        .into_response()
                }
                ("PUT", Some(_)) => {
                    let number: usize = parameter("partNumber").unwrap().parse().unwrap();
                    cloud.pieces.lock().unwrap().insert(format!("{path}#{number:05}"), body.to_vec());
                    ([("etag", "\"p\"")], "").into_response()
                }
                ("POST", Some(_)) => {
                    let mut pieces = cloud.pieces.lock().unwrap();
                    let whole: Vec<u8> = std::mem::take(&mut *pieces).into_values().flatten().collect();
                    cloud.objects.lock().unwrap().insert(path, whole);
                    "<CompleteMultipartUploadResult><ETag>\"e\"</ETag></CompleteMultipartUploadResult>".into_response()
                }
                ("PUT", None) => {
                    cloud.objects.lock().unwrap().insert(path, body.to_vec());
                    ([("etag", "\"e\"")], "").into_response()
                }
                ("DELETE", _) => {
                    cloud.objects.lock().unwrap().remove(&path);
                    StatusCode::NO_CONTENT.into_response()
                }
                _ => match cloud.objects.lock().unwrap().get(&path) {
                    None => StatusCode::NOT_FOUND.into_response(),
                    Some(data) => {
                        let range = headers.get("range").map(|range| {
                            range.to_str().unwrap().strip_prefix("bytes=").unwrap().split_once('-').unwrap()
                        });
                        let range = range.map(|(from, to)| {
                            (from.parse::<usize>().unwrap(), to.parse::<usize>().unwrap().min(data.len() - 1))
                        });
                        let (status, part) = match range {
                            Some((from, to)) => (206, &data[from..=to]),
                            None => (200, data.as_slice()),
                        };
                        let mut answer = Response::builder()
                            .status(status)
                            .header("etag", "\"e\"")
                            .header("last-modified", "Tue, 24 Nov 2026 12:00:00 GMT");
                        if let Some((from, to)) = range {
                            answer = answer.header("content-range", format!("bytes {from}-{to}/{}", data.len()));
                        }
                        if method == Method::HEAD {
                            answer = answer.header("content-length", data.len());
                        }
                        answer.body(Body::from(part.to_vec())).unwrap()
                    }
                },
            }
        };
        let router = Router::new().fallback(answer).layer(DefaultBodyLimit::disable()).with_state(cloud.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        cloud
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Files are kept here, once somebody asks for them.
    fn keeps_for(&self, stage: Stage) -> Stage {
        lazily(stage)
            .set("SESSIOND_MEDIA__STORE", "gcs")
            .set("SESSIOND_MEDIA__BUCKET", "kds")
            .set("SESSIOND_MEDIA__ENDPOINT", self.url())
    }

    fn list(&self, bucket: &str, prefix: &str, folders: bool) -> String {
        let objects = self.objects.lock().unwrap();
        let bucket = format!("{}/", bucket.trim_end_matches('/'));
        let mut found = BTreeSet::new();
        for (key, data) in objects.iter() {
            let Some(key) = key.strip_prefix(&bucket).filter(|key| key.starts_with(prefix)) else { continue };
            let folder = key[prefix.len()..].split_once('/').filter(|_| folders);
            found.insert(match folder {
                Some((folder, _)) => format!("<CommonPrefixes><Prefix>{prefix}{folder}/</Prefix></CommonPrefixes>"),
                None => format!(
                    "<Contents><Key>{key}</Key><Size>{}</Size><ETag>\"e\"</ETag>\
                     <LastModified>2026-11-24T12:00:00Z</LastModified></Contents>",
                    data.len()
                ),
            });
        }
        format!("<ListBucketResult>{}</ListBucketResult>", found.into_iter().collect::<String>())
    }
}

/// `%40` is `@`.
fn decoded(path: &str) -> String {
    let mut parts = path.split('%');
    let mut text = parts.next().unwrap().to_owned();
    for part in parts {
        text.push(char::from(u8::from_str_radix(&part[..2], 16).unwrap()));
        text.push_str(&part[2..]);
    }
    text
}

/// Of a tenant that names a host which only drips: as many requests to it as it may have, and not as many as it asks for.
#[tokio::test(flavor = "multi_thread")]
async fn pictures_by_url_take_the_places_of_files_by_url() {
    const ASKED: usize = 60;
    let scene = MediaScene::with(|stage| {
        lazily(stage).set("SESSIOND_OUTBOUND__ALLOW", "127.0.0.1/32").set("SESSIOND_MEDIA__FETCH_TIMEOUT", "5s")
    })
    .await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, open, most) =
        (listener.local_addr().unwrap(), Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
    let (now, highest) = (open.clone(), most.clone());
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            highest.fetch_max(now.fetch_add(1, SeqCst) + 1, SeqCst);
            let now = now.clone();
            tokio::spawn(async move {
                // Until the daemon gives it up.
                while stream.read_u8().await.is_ok() {}
                now.fetch_sub(1, SeqCst);
            });
        }
    });
    let picture = json!({ "file": { "url": format!("http://{address}/picture.jpg") } });
    let asking = (0..ASKED).map(|_| async {
        let request = scene.ask(Method::PUT, &format!("/api/{TENANT}/profile/picture")).json(&picture);
        request.send().await.unwrap().status().as_u16()
    });
    let answers = futures::future::join_all(asking).await;
    assert!(answers.iter().all(|status| [400, 503].contains(status)), "{answers:?}");
    let most = most.load(SeqCst);
    assert!((1..=16).contains(&most), "{most} at the same time");
    scene.end_after(1).await;
}
