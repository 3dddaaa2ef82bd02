//! Long texts that come faster than the vault takes them: they wait in TCP's buffers and at WhatsApp, not in the daemon's memory, and none
//! is lost.

use std::time::Duration;

use sessiond::demo::{Conversation, Written, until};
use tokio::time::sleep;

use crate::{
    strangers::front_door::resident,
    support::{
        heavy,
        stage::{Home, LIMIT, Stage},
    },
    vault::lock as vault_lock,
};

/// As many bytes as 1,600 of the longest that people can write; a few are sent before the vault has given up on the first.
const TEXTS: usize = 160;
const LENGTH: usize = 600_000;

/// MiB. The texts are 92 of them.
const GROWTH: f64 = 60.0;

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_faster_than_it_is_kept_waits_outside() {
    let _turn = heavy::turn().await;
    let stage = Stage::new(Home::Embedded).await.unwrap().shared();
    let daemon = stage.start().await;
    let mut conversation = stage.pair("trattoria").await;
    conversation.customers_write(&stage.network, 1).await.unwrap();
    let count =
        async |conversation: &Conversation| stage.tally.count(std::slice::from_ref(conversation)).await.unwrap();
    let kept = || async { count(&conversation).await.lost == 0 };
    until(LIMIT, "the first words to be kept", kept).await.unwrap();

    let before = resident(&daemon);
    let file = stage.path("cloud").join("vault.db");
    let stall = vault_lock::take(&file, Duration::from_secs(20)).await;
    let mut most = before;
    for n in 0..TEXTS {
        let customer = conversation.customers[n % 2].clone();
        let text = format!("{n} {}", "x".repeat(LENGTH));
        let id = stage.network.customer_send(&customer, &conversation.number, text.as_str()).await.unwrap();
        conversation.written.push(Written { id, customer, text });
        most = most.max(resident(&daemon));
    }
    while !stall.is_finished() {
        most = most.max(resident(&daemon));
        // The pace of the looks at its memory.
        sleep(Duration::from_millis(50)).await;
    }
    stall.await.unwrap();
    let grown = most - before;
    assert!(grown < GROWTH, "{grown:.0} MiB more while the vault stood still");

    let kept = || async { count(&conversation).await.lost == 0 };
    until(2 * LIMIT, "all texts to be kept", kept).await.unwrap_or_else(|error| panic!("{error}\n{}", stage.log()));
    let stats = stage.network.stats().await;
    assert_eq!((stats.counts.retry_receipts, stats.counts.undecryptable, stats.nacks.len()), (0, 0, 0));
    daemon.kill().await.unwrap();
}
