//! Requests to URLs that strangers name reach what was checked, and nothing else.

use std::{
    collections::HashMap,
    io,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use axum::{
    Router,
    body::Body,
    extract::Request as Received,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse as _, Response},
};
use reqwest::{Method, Url};
use sessiond::outbound::{Allow, Lookup, Outbound, OutboundError, Request, TargetError};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

/// Answers each question about a name with the next of its answers; the last stays.
#[derive(Default)]
struct Names {
    answers: Mutex<HashMap<String, Vec<Vec<IpAddr>>>>,
    asked: AtomicUsize,
}

impl Names {
    fn with(self, name: &str, answers: &[&[&str]]) -> Self {
        let parse = |answer: &&[&str]| answer.iter().map(|address| address.parse().unwrap()).collect();
        self.answers.lock().unwrap().insert(name.into(), answers.iter().map(parse).collect());
        self
    }
}

#[async_trait]
impl Lookup for Names {
    async fn lookup(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let mut answers = self.answers.lock().unwrap();
        let answers = answers.get_mut(host).ok_or(io::ErrorKind::NotFound)?;
        Ok(if answers.len() > 1 { answers.remove(0) } else { answers[0].clone() })
    }
}

/// The operator allows 127.0.0.1 only: every other loopback address stands for the inner net.
fn client(names: Names) -> (Outbound, Arc<Names>) {
    let names = Arc::new(names);
    let allow = Allow::parse(["127.0.0.1/32"]).unwrap();
    (Outbound::new(allow, Duration::from_secs(5), names.clone()).unwrap(), names)
}

/// A server on 127.0.0.1 and one on the same port of 127.0.0.2, which nobody may reach.
struct Servers {
    port: u16,
    trespassers: Arc<AtomicUsize>,
}

impl Servers {
    async fn start(answer: impl Fn(&str, &HeaderMap) -> Response + Clone + Send + Sync + 'static) -> Self {
        let outer = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = outer.local_addr().unwrap().port();
        let inner = TcpListener::bind(SocketAddr::from(([127, 0, 0, 2], port))).await.unwrap();
        let router = Router::new().fallback(move |request: Received<Body>| {
            let answer = answer.clone();
            async move {
                let (parts, _) = request.into_parts();
                let mut response = answer(parts.uri.path(), &parts.headers);
                response.headers_mut().insert("connection", "close".parse().unwrap());
                response
            }
        });
        tokio::spawn(async move { axum::serve(outer, router).await.unwrap() });
        let trespassers = Arc::new(AtomicUsize::new(0));
        let count = trespassers.clone();
        tokio::spawn(async move {
            while inner.accept().await.is_ok() {
                count.fetch_add(1, Ordering::Relaxed);
            }
        });
        Self { port, trespassers }
    }

    fn url(&self, host: &str, path: &str) -> Url {
        format!("http://{host}:{}{path}", self.port).parse().unwrap()
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        assert_eq!(self.trespassers.load(Ordering::Relaxed), 0, "someone reached the inner net");
    }
}

fn redirect(status: u16, to: &str) -> Response {
    (StatusCode::from_u16(status).unwrap(), [("location", to.to_owned())]).into_response()
}

fn refusal(outcome: Result<impl std::fmt::Debug, OutboundError>) -> TargetError {
    match outcome {
        Err(OutboundError::Refused(refusal)) => refusal,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_answer_that_changes_changes_nothing() {
    let servers = Servers::start(|_, _| "hello".into_response()).await;
    let (client, names) = client(Names::default().with("rebinds.example", &[&["127.0.0.1"], &["127.0.0.2"]]));
    let url = servers.url("rebinds.example", "/");
    // Checked and connected to by one answer.
    let answer = client.send(Request::get(url.clone()), 100).await.unwrap();
    assert_eq!(answer.bytes().await.unwrap(), "hello");
    assert_eq!(names.asked.load(Ordering::Relaxed), 1);
    // The next connection asks anew, and is refused.
    assert_eq!(refusal(client.send(Request::get(url), 100).await), TargetError::Address);
    assert_eq!(names.asked.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn a_name_of_the_inner_net_is_refused_however_it_is_mixed() {
    let servers = Servers::start(|_, _| "hello".into_response()).await;
    let inner: &[&[&str]] = &[
        &["127.0.0.2"],
        &["127.0.0.1", "127.0.0.2"],
        &["127.0.0.2", "127.0.0.1"],
        &["::ffff:127.0.0.2"],
        &["::1"],
        &["10.0.0.1"],
        &["169.254.169.254"],
        &["fd00:ec2::254"],
        &["1.1.1.1", "192.168.0.1"],
    ];
    for answer in inner {
        let (client, _) = client(Names::default().with("inner.example", &[answer]));
        let outcome = client.send(Request::get(servers.url("inner.example", "/")), 100).await;
        assert_eq!(refusal(outcome), TargetError::Address, "{answer:?}");
    }
    let (client, _) = client(Names::default());
    assert_eq!(refusal(client.send(Request::get(servers.url("127.0.0.2", "/")), 100).await), TargetError::Address);
}

#[tokio::test]
async fn every_redirect_is_checked() {
    let servers = Servers::start(|path, headers| {
        let port = headers["host"].to_str().unwrap().rsplit(':').next().unwrap();
        match path {
            "/metadata" => redirect(302, "http://169.254.169.254/latest/meta-data/"),
            "/inner" => redirect(307, &format!("http://127.0.0.2:{port}/")),
            "/name" => redirect(301, &format!("http://inner.example:{port}/")),
            "/file" => redirect(302, "file:///etc/passwd"),
            "/user" => redirect(302, &format!("http://a:b@127.0.0.1:{port}/")),
            "/mapped" => redirect(302, &format!("http://[::ffff:127.0.0.2]:{port}/")),
            "/relative" => redirect(302, "hello"),
            "/loop" => redirect(302, "/loop"),
            _ => "hello".into_response(),
        }
    })
    .await;
    let (client, _) = client(Names::default().with("inner.example", &[&["127.0.0.2"]]));
    let get = async |path: &str| client.send(Request::get(servers.url("127.0.0.1", path)), 100).await;
    for path in ["/metadata", "/inner", "/name", "/mapped"] {
        assert_eq!(refusal(get(path).await), TargetError::Address, "{path}");
    }
    assert_eq!(refusal(get("/file").await), TargetError::Scheme);
    assert_eq!(refusal(get("/user").await), TargetError::UserInfo);
    assert!(matches!(get("/loop").await, Err(OutboundError::TooManyRedirects)));
    assert_eq!(get("/relative").await.unwrap().bytes().await.unwrap(), "hello");
}

#[tokio::test]
async fn a_post_is_repeated_only_where_the_redirect_says_so() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let servers = Servers::start({
        let seen = seen.clone();
        move |path, headers| {
            seen.lock().unwrap().push((path.to_owned(), headers.clone()));
            let port = headers["host"].to_str().unwrap().rsplit(':').next().unwrap();
            match path {
                "/moved" => redirect(302, "/there"),
                "/kept" => redirect(308, "/there"),
                "/away" => redirect(307, &format!("http://other.example:{port}/there")),
                _ => "hello".into_response(),
            }
        }
    })
    .await;
    let (client, _) = client(Names::default().with("other.example", &[&["127.0.0.1"]]));
    let post = async |path: &str| {
        let headers = |name: &'static str| HeaderMap::from_iter([(name.parse().unwrap(), "x".parse().unwrap())]);
        let request = Request {
            method: Method::POST,
            headers: headers("webhook-id"),
            secret_headers: headers("authorization"),
            body: "{}".into(),
            ..Request::get(servers.url("127.0.0.1", path))
        };
        client.send(request, 100).await.unwrap().status.as_u16()
    };
    assert_eq!((post("/moved").await, post("/kept").await, post("/away").await), (302, 200, 200));
    let seen = seen.lock().unwrap();
    let paths: Vec<_> = seen.iter().map(|(path, _)| path.as_str()).collect();
    assert_eq!(paths, ["/moved", "/kept", "/there", "/away", "/there"]);
    assert!(seen[2].1.contains_key("authorization") && seen[2].1.contains_key("webhook-id"));
    // Another origin gets the message, not the secrets.
    assert!(!seen[4].1.contains_key("authorization") && seen[4].1.contains_key("webhook-id"));
}

/// Mail goes by SMTP, and no further than requests do.
#[tokio::test]
async fn another_protocol_gets_only_addresses_that_may_be_reached() {
    let names = Names::default().with("mail.example", &[&["127.0.0.1"]]);
    let (client, _) = client(names.with("mixed.example", &[&["127.0.0.1", "127.0.0.2"]]));
    assert_eq!(client.resolve("mail.example").await.unwrap(), ["127.0.0.1".parse::<IpAddr>().unwrap()]);
    let mixed = client.resolve("mixed.example").await;
    assert!(matches!(mixed, Err(OutboundError::Refused(TargetError::Address))), "{mixed:?}");
    let nobody = client.resolve("nobody.example").await;
    assert!(matches!(nobody, Err(OutboundError::Unreachable(_))), "{nobody:?}");
}

#[tokio::test]
async fn what_comes_back_is_bounded_in_bytes_and_time() {
    let servers = Servers::start(|path, _| match path {
        "/large" => "x".repeat(1000).into_response(),
        "/endless" => {
            let pieces = futures::stream::repeat_with(|| Ok::<_, io::Error>(vec![0u8; 100]));
            Response::new(Body::from_stream(pieces))
        }
        // Says that it is compressed: it is taken as it is.
        "/packed" => ([("content-encoding", "gzip")], "not gzip").into_response(),
        _ => "hello".into_response(),
    })
    .await;
    let (client, names) = client(Names::default());
    let get = async |path: &str| match client.send(Request::get(servers.url("127.0.0.1", path)), 500).await {
        Ok(answer) => answer.bytes().await,
        Err(error) => Err(error),
    };
    assert!(matches!(get("/large").await, Err(OutboundError::TooLarge(500))));
    assert!(matches!(get("/endless").await, Err(OutboundError::TooLarge(500))));
    assert_eq!(get("/packed").await.unwrap(), "not gzip");
    // An answer that trickles.
    let trickling = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", trickling.local_addr().unwrap()).parse().unwrap();
    tokio::spawn(async move {
        let (mut socket, _) = trickling.accept().await.unwrap();
        assert_ne!(socket.read(&mut [0; 1024]).await.unwrap(), 0, "a request");
        let _ = socket.write_all(b"HTTP/1.1 200 OK\r\n").await;
        while socket.write_all(b"x: y\r\n").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    let allow = Allow::parse(["127.0.0.1/32"]).unwrap();
    let hasty = Outbound::new(allow, Duration::from_millis(300), names).unwrap();
    let outcome = hasty.send(Request::get(url), 500).await;
    assert!(matches!(outcome, Err(OutboundError::Timeout)), "{outcome:?}");
}
