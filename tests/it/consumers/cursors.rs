//! A consumer that keeps the id of the last event it has seen misses nothing, whichever process gave out that id,
//! whether the event outlived it, and whatever the clock of the next one shows.

use std::{net::SocketAddr, time::Duration};

use futures::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use sessiond::demo::Heard;
use tokio::{net::TcpStream, time::timeout};
use tokio_websockets::{ClientBuilder, MaybeTlsStream, Message, WebSocketStream};

use crate::support::stage::{Home, LIMIT, Stage};

const TENANT: &str = "trattoria";

/// The customer's messages that were heard.
fn texts(heard: &[Heard]) -> Vec<String> {
    let received = heard.iter().filter(|heard| heard.event == "message:received");
    received.filter_map(|heard| heard.payload["message"]["text"].as_str().map(str::to_owned)).collect()
}

/// The daemon dies right after it has published something that is not durable, and comes back with its clock so many
/// seconds off.
async fn comes_back(home: Home, shifts: &[i64]) {
    let Some(stage) = Stage::new(home).await else { return };
    let mut daemon = stage.start().await;
    let conversation = stage.pair(TENANT).await;
    let (customer, number) = (conversation.customers[0].clone(), conversation.number.clone());
    let ear = stage.listen(&[conversation]);
    let mut written = 0;
    for (life, shift) in shifts.iter().enumerate() {
        let id = stage.dashboard.send(TENANT, &customer, "hello", &format!("send-{life}")).await.unwrap();
        // Receipts are told at once; the vault gets them when somebody waits for something, or seconds later.
        let told = ear.until(LIMIT, |heard| {
            heard.iter().any(|heard| {
                heard.event == "message:status"
                    && heard.payload["messageId"] == json!(id)
                    && heard.payload["status"] == json!("delivered")
            })
        });
        told.await.unwrap();
        daemon.kill().await.unwrap();
        stage.wipe_local_data();
        let Some(setup) = stage.clock(*shift) else { return };
        daemon = setup.start(LIMIT).await.unwrap();
        for _ in 0..5 {
            written += 1;
            stage.network.customer_send(&customer, &number, format!("order {written}")).await.unwrap();
        }
        let heard = ear.until(Duration::from_secs(20), |heard| {
            let texts = texts(heard);
            (1..=written).all(|n| texts.contains(&format!("order {n}")))
        });
        if heard.await.is_err() {
            let of_this_life = texts(&ear.heard());
            panic!("{shift} s: of {written} messages only these were heard: {of_this_life:?}\n{}", stage.log());
        }
    }
    daemon.kill().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_an_hour_behind_hides_nothing() {
    comes_back(Home::Embedded, &[-3600]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_seconds_behind_hides_nothing() {
    comes_back(Home::Embedded, &[-3, -6, -9]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_jumps_hides_nothing() {
    comes_back(Home::Embedded, &[3600, -3600, 60]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_behind_hides_nothing_with_firestore() {
    comes_back(Home::Emulator, &[-3600, -3603]).await;
}

pub type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// A socket that has shown its key and registers so.
pub async fn registering(stage: &Stage, registration: Value) -> Socket {
    registering_at(stage.setup.address, &stage.setup.admin_key, registration).await
}

/// The same at any process.
pub async fn registering_at(address: SocketAddr, key: &str, registration: Value) -> Socket {
    let uri = format!("ws://{address}/socket.io/?EIO=4&transport=websocket");
    let (mut socket, _) = ClientBuilder::from_uri(uri.parse().unwrap()).connect().await.unwrap();
    socket.send(Message::text(format!("40{}", json!({ "key": key })))).await.unwrap();
    while !next(&mut socket).await.starts_with("40") {}
    socket.send(Message::text(format!("42{}", json!(["register", registration])))).await.unwrap();
    socket
}

async fn next(socket: &mut Socket) -> String {
    let message = timeout(LIMIT, socket.next()).await.unwrap().unwrap().unwrap();
    message.as_text().unwrap_or_default().to_owned()
}

/// The payload of the next event of this name.
pub async fn hears(socket: &mut Socket, name: &str) -> Value {
    loop {
        let text = next(socket).await;
        let Some(event) = text.strip_prefix("42") else { continue };
        let (event, payload): (String, Value) = serde_json::from_str(event).unwrap();
        if event == name {
            return payload;
        }
    }
}

/// A client without a cursor registers, and its line breaks before anything comes.
#[tokio::test(flavor = "multi_thread")]
async fn who_has_heard_nothing_goes_on_from_the_registration() {
    let stage = Stage::new(Home::Embedded).await.unwrap();
    let daemon = stage.start().await;
    let conversation = stage.pair(TENANT).await;
    let (customer, number) = (conversation.customers[0].clone(), conversation.number.clone());
    let ear = stage.listen(&[conversation]);
    let ordered = async |order: &str| {
        stage.network.customer_send(&customer, &number, order.to_owned()).await.unwrap();
        ear.until(LIMIT, |heard| texts(heard).iter().any(|text| text == order)).await.unwrap();
    };
    ordered("before").await;
    let mut socket = registering(&stage, json!(TENANT)).await;
    let cursor = hears(&mut socket, "registered").await["cursor"].clone();
    assert!(cursor.is_string(), "{cursor}");
    drop(socket);
    ordered("meanwhile").await;
    let mut socket = registering(&stage, json!({ "tenantId": TENANT, "cursor": cursor })).await;
    assert_eq!(hears(&mut socket, "registered").await["cursor"], cursor);
    assert_eq!(hears(&mut socket, "message:received").await["message"]["text"], "meanwhile");
    daemon.kill().await.unwrap();
}

/// Its line did not break: it only asks again for what came after its cursor.
#[tokio::test(flavor = "multi_thread")]
async fn who_registers_once_more_with_a_cursor_hears_what_came_after_it() {
    let stage = Stage::new(Home::Embedded).await.unwrap();
    let daemon = stage.start().await;
    let conversation = stage.pair(TENANT).await;
    let (customer, number) = (conversation.customers[0].clone(), conversation.number.clone());
    let mut socket = registering(&stage, json!(TENANT)).await;
    let cursor = hears(&mut socket, "registered").await["cursor"].clone();
    let order = async |order: &str| stage.network.customer_send(&customer, &number, order.to_owned()).await.unwrap();
    let heard = async |socket: &mut Socket| hears(socket, "message:received").await["message"]["text"].clone();
    order("one").await;
    assert_eq!(heard(&mut socket).await, "one");
    let again = json!(["register", { "tenantId": TENANT, "cursor": cursor }]);
    socket.send(Message::text(format!("42{again}"))).await.unwrap();
    assert_eq!(heard(&mut socket).await, "one");
    // From here on once, not once for each registration.
    order("two").await;
    assert_eq!(heard(&mut socket).await, "two");
    order("three").await;
    assert_eq!(heard(&mut socket).await, "three");
    daemon.kill().await.unwrap();
}
