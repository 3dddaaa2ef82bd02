//! A consumer that keeps the id of the last event it has seen misses nothing, whichever process gave out that id,
//! whether the event outlived it, and whatever the clock of the next one shows.

use std::time::Duration;

use serde_json::json;
use sessiond::demo::Heard;

use crate::stage::{Home, LIMIT, Stage};

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
        let Some(setup) = stage.setup.clone().clock(*shift) else {
            eprintln!("skipped: libfaketime is missing");
            return;
        };
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
