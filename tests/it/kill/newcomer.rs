//! A third tenant pairs while everything goes wrong. Its owner scans again only where the phone does not show the device.

use std::time::Duration;

use anyhow::Context as _;
use loopback::Network;
use sessiond::demo::{Conversation, Dashboard, Sent, until};
use tokio::time::{sleep, timeout};

use crate::stage::LIMIT;

pub const TENANT: &str = "pizzeria";

/// The owner looks at one QR code for so long, and a page waits so long for one answer.
const PATIENCE: Duration = Duration::from_secs(10);

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
        let send = || timeout(PATIENCE, dashboard.send(TENANT, &customer, &text, &text));
        until(LIMIT, "the newcomer's answer to be accepted", || async { matches!(send().await, Ok(Ok(_))) }).await?;
        let id = send().await?.context("a repeat of the newcomer's answer")?;
        conversation.sent.push(Sent { id, customer, text });
    }
    Ok(conversation)
}
