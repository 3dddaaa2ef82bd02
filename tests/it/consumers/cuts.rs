//! Socket.IO's clients never try again after a refusal, and always after a cut: nobody is refused for what passes by itself.

use std::{net::SocketAddr, time::Duration};

use futures::{SinkExt as _, StreamExt as _, future::join_all};
use reqwest::StatusCode;
use rustix::process::Signal;
use serde_json::json;
use tokio::{
    net::TcpStream,
    time::{interval, timeout},
};
use tokio_websockets::{ClientBuilder, Message, WebSocketStream};

use crate::{
    strangers::front_door::connect_from,
    support::stage::{Home, LIMIT, Stage},
};

/// A WebSocket of a client that has not asked to be let in yet.
async fn opened(own: [u8; 4], to: SocketAddr) -> WebSocketStream<TcpStream> {
    let uri: http::Uri = format!("ws://{to}/socket.io/?EIO=4&transport=websocket").parse().unwrap();
    let stream = connect_from(own, to).await.unwrap();
    let (mut socket, _) = timeout(LIMIT, ClientBuilder::from_uri(uri).connect_on(stream)).await.unwrap().unwrap();
    // The session's opening: what is said after it is heard.
    timeout(LIMIT, socket.next()).await.unwrap().unwrap().unwrap();
    socket
}

/// What a client reads that asks to be let in: `40` and what follows, `44` and what follows, or nothing before its end.
async fn answer(mut socket: WebSocketStream<TcpStream>, key: &str) -> Option<String> {
    let _ = socket.send(Message::text(format!("40{}", json!({ "key": key })))).await;
    let reading = async {
        while let Some(Ok(message)) = socket.next().await {
            match message.as_text() {
                Some(text) if text.starts_with("40") || text.starts_with("44") => return Some(text.to_owned()),
                _ => {}
            }
        }
        None
    };
    timeout(LIMIT, reading).await.expect("an answer, or an end")
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_connects_while_the_process_stops_is_cut_and_not_refused() {
    let stage = Stage::new(Home::Embedded).await.unwrap();
    let daemon = stage.start().await;
    let address = stage.setup.address;
    let sockets = join_all((0..100).map(|_| opened([127, 0, 0, 1], address))).await;
    // One that is in, and does not answer the goodbye: the process waits half a second for it.
    let mut silent = opened([127, 0, 0, 1], address).await;
    let key = json!({ "key": stage.setup.admin_key });
    silent.send(Message::text(format!("40{key}"))).await.unwrap();
    timeout(LIMIT, silent.next()).await.unwrap().unwrap().unwrap();
    daemon.signal(Signal::TERM).unwrap();
    // One after the other, so that some come in each moment of the end.
    let mut pace = interval(Duration::from_millis(20));
    let mut asking = Vec::new();
    for socket in sockets {
        pace.tick().await;
        let key = stage.setup.admin_key.clone();
        asking.push(tokio::spawn(async move { answer(socket, &key).await }));
    }
    let answers: Vec<Option<String>> = join_all(asking).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(daemon.ended(LIMIT).await.unwrap(), Some(0), "{}", stage.log());
    let refused: Vec<&String> = answers.iter().flatten().filter(|answer| answer.starts_with("44")).collect();
    assert!(refused.is_empty(), "{refused:?}");
    assert!(answers.iter().any(Option::is_none), "all were let in: {answers:?}");
    drop(silent);
}

#[tokio::test(flavor = "multi_thread")]
async fn whose_key_cannot_be_looked_up_now_is_cut_and_not_refused() {
    let stage = Stage::new(Home::Embedded).await.unwrap();
    let daemon = stage.start().await;
    let address = stage.setup.address;
    let client = |own: u8| reqwest::Client::builder().local_address(Some([127, 0, 1, own].into())).build().unwrap();
    let (mut own, mut next_key) = (0, 0);
    let mut key = || {
        next_key += 1;
        format!("key_{next_key:043}")
    };
    // Somebody guesses until nobody's key is looked up any more.
    let spent = loop {
        own += 1;
        let guess = client(own).get(format!("http://{address}/api/sessions")).header("X-Api-Key", key());
        let status = guess.send().await.unwrap().status();
        if status == StatusCode::SERVICE_UNAVAILABLE {
            break own;
        }
        assert_eq!(status, StatusCode::UNAUTHORIZED, "guess {own}");
    };
    // A lookup comes back now and then: what is said in between is wrong, and no key is said to be unknown for good.
    let mut answers = Vec::new();
    for n in 0..5 {
        let own = spent + 1 + n;
        answers.push(answer(opened([127, 0, 1, own], address).await, &key()).await);
    }
    let refused = answers.iter().flatten().any(|answer| answer.contains("unavailable"));
    assert!(!refused && answers.iter().any(Option::is_none), "{answers:?}");
    daemon.kill().await.unwrap();
}
