//! A third tenant pairs while everything goes wrong. Its owner scans again only where the phone does not show the device.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use loopback::Network;
use sessiond::demo::{Conversation, Dashboard, Sent, until};
use tokio::time::{sleep, timeout};

use crate::support::stage::LIMIT;

pub const TENANT: &str = "pizzeria";

/// The owner looks at one QR code for so long, and a page waits so long for one answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Sends under one key until somebody lives who takes it.
async fn accepted(dashboard: &Dashboard, customer: &str, text: &str) -> anyhow::Result<String> {
    let taken = async {
        loop {
            if let Ok(Ok(id)) = timeout(PATIENCE, dashboard.send(TENANT, customer, text, text)).await {
                return id;
            }
            sleep(Duration::from_millis(25)).await;
        }
    };
    timeout(LIMIT, taken).await.context("the newcomer's answer is not accepted")
}

/// From `at` on: pairs, and then its customers write and are answered once each.
pub async fn arrives(at: Duration, network: &Network, dashboard: &Dashboard) -> anyhow::Result<Conversation> {
    sleep(at).await;
    let phone = network.add_phone(Some(format!("{TENANT}'s phone"))).await;
    let linked = || async { network.devices(&phone.number).await.is_ok_and(|devices| !devices.is_empty()) };
    until(LIMIT, "the phone to show the newcomer's device", || async {
        if linked().await {
            return true;
        }
        if let Ok(Ok(qr)) = timeout(PATIENCE, dashboard.qr(TENANT)).await {
            let _ = timeout(PATIENCE, network.scan(&phone.number, &qr)).await;
        }
        linked().await
    })
    .await?;
    until(LIMIT, "the newcomer to be connected", || dashboard.is_connected(TENANT)).await?;

    let customers = vec![network.add_customer().await, network.add_customer().await];
    let mut conversation = Conversation {
        tenant: TENANT.to_owned(),
        number: phone.number,
        customers,
        written: Vec::new(),
        sent: Vec::new(),
        answered: std::collections::HashMap::new(),
    };
    conversation.customers_write(network, 1).await?;
    for customer in conversation.customers.clone() {
        let text = format!("welcome, {customer}");
        let id = accepted(dashboard, &customer, &text).await?;
        // The key makes it the same message, also where the process died between the two.
        let again = accepted(dashboard, &customer, &text).await?;
        ensure!(again == id, "a repeat of {id} became {again}");
        conversation.sent.push(Sent { id, customer, text });
    }
    Ok(conversation)
}
